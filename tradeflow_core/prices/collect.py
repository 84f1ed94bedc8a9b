"""From the broker to the store: the new bars of the sampled contracts.

New bars are appended. A batch (the new bars of one contract and frequency) that is not plausible is refused as a whole. A refresh of the whole
history adds missing bars and never changes stored ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd

from tradeflow_core.brokers import NoData, UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import contract_facts, marks_of
from tradeflow_core.model import contract_label
from tradeflow_core.plausibility import SPIKE, YOUNG, Finding, Series, refused_batch, wrong_times
from tradeflow_core.prices.bar_store import (
    BAR_TYPES,
    DATASET,
    Closes,
    in_order,
    instants,
    no_bars,
    not_stored,
    stored_closes,
)
from tradeflow_core.prices.incoming import NEGATIVE_PRICE, Batch, check_bars, clean_bars, typed_bars
from tradeflow_core.series import apply_marks, first_spike

NEIGHBOURS = 8
"""So many contracts tell what is usual for a young one."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class PriceSpike(DataError):
    """A batch of new bars was refused: a suspected spike, other units than the other contracts, or a time at which there is no contract."""


@dataclass
class Collected:
    """The result of one instrument's download: the closes that are stored now, in parts; bars added by frequency; contracts without data;
    bars dropped by reason; why batches were refused, by contract and frequency; the bars that were, or would be, added."""

    stored: Sequence[Closes]
    added: dict[str, int] = field(default_factory=dict)
    without_data: list[int] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    refused: dict[tuple[int, str], str] = field(default_factory=dict)
    accepted: pd.DataFrame = field(default_factory=no_bars)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Usable bars of the broker that are not stored yet, in order; contracts without data; bars dropped by reason."""

    bars: pd.DataFrame
    without_data: list[int]
    dropped: dict[str, int]


def collect_bars(
    desk: Desk,
    instrument: str,
    contracts: Sequence[int],
    *,
    frequencies: Sequence[str] | None = None,
    full_refresh: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Collected:
    """Fetch new bars of the contracts, check them, and add them to the store.

    `frequencies`: default daily and the intraday one of the settings. Normally only bars after the last stored one of each contract and
    frequency are fetched; `full_refresh` fetches all bars from `start` on (default: the beginning) and adds missing ones. Raises
    BrokerUnavailable, and writes nothing, where the broker does not answer. A batch that is not plausible is refused and reported, the others are
    written.
    """
    stored = stored_closes(desk, instrument)
    fetched = fetch_bars(
        desk, instrument, stored, contracts=contracts, frequencies=frequencies, full_refresh=full_refresh, start=start, end=end
    )
    if count := fetched.dropped.get(NEGATIVE_PRICE):
        message = f"{instrument}: {count} new bars {NEGATIVE_PRICE} were dropped, as drop_negative_prices of tradeflow.toml says"
        desk.alerts.send(f"negative prices of {instrument}", message, desk.now())
    report = Collected(stored, without_data=fetched.without_data, dropped=fetched.dropped)
    return store_bars(desk, instrument, fetched.bars, report=report)


def fetch_bars(
    desk: Desk,
    instrument: str,
    stored: Sequence[Closes],
    *,
    contracts: Sequence[int],
    frequencies: Sequence[str] | None = None,
    full_refresh: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Fetched:
    """The usable bars of the broker that are not among the `stored` ones, given in parts. Writes nothing."""
    now, batches, without_data = desk.now(), list[Batch](), list[int]()
    frequencies = frequencies or (desk.settings.prices.intraday_frequency, "D")
    for contract in contracts:
        for frequency in frequencies:
            # The bar that starts last may not end last: a price between two hours is a bar without length.
            last = max((int(part.end[part.place(contract, frequency)].max(initial=-1)) for part in stored), default=-1)
            since = start or BEGINNING if full_refresh or start else _fetch_start(desk, last, frequency, now=now)
            try:
                bars = desk.broker.bars(instrument, contract, frequency, start=since, end=min(end, now) if end else now)
            except (NoData, UnknownContract):
                without_data.append(contract)
                continue
            if len(bars):
                batches.append((contract, frequency, bars))
    if not batches:
        return Fetched(no_bars(), without_data, {})
    new, dropped = clean_bars(check_bars(typed_bars(batches, instrument), instrument, now), desk.settings.prices)
    if full_refresh or start is not None:
        new = not_stored(new, stored)
    return Fetched(new, without_data, dropped)


def _fetch_start(desk: Desk, last: int, frequency: str, *, now: datetime) -> datetime:
    """Fetch from the end of the last stored bar (`last`: microseconds since 1970); where there is none (-1), a year of daily bars, or
    `intraday_history_days`."""
    if last >= 0:
        return BEGINNING + timedelta(microseconds=last)
    return now - timedelta(days=366 if frequency == "D" else desk.settings.prices.intraday_history_days)


def store_bars(
    desk: Desk, instrument: str, new: pd.DataFrame, *, report: Collected, check: bool = True, write: bool = True
) -> Collected:
    """Add the `new` bars, except batches that are not plausible, to those stored; completes `report`, which has the stored ones.

    `check` False: take them as they are; `write` False: report what would be added, and write nothing.
    """
    if not len(new):
        return report
    if new.dtypes.to_dict() != BAR_TYPES:
        new = new.astype(BAR_TYPES)
    new = in_order(new)
    closes, accepted = Closes.of_bars(new), []
    findings = refused_bars(desk, instrument, closes, stored=report.stored) if check else {}
    for rows, contract, frequency in closes.batches():
        batch = closes.part(rows)
        if finding := findings.get((contract, frequency)):
            batch_name = f"{frequency} bars of {contract_label(contract)} from {new['start'].iloc[rows.start]:%Y-%m-%d %H:%M}"
            report.refused[contract, frequency] = f"{batch_name}: {finding.detail}"
            continue
        report.added[frequency] = report.added.get(frequency, 0) + len(batch.end)
        accepted.append(rows)
    if accepted:
        if report.refused:
            new = pd.concat([new.iloc[rows] for rows in accepted], ignore_index=True)
            closes = Closes.of_bars(new)
        report.accepted = new
    if accepted and write:
        desk.store.append(DATASET, instrument, new)
        report.stored = [*report.stored, closes]
    return report


def refused_bars(desk: Desk, instrument: str, new: Closes, *, stored: Sequence[Closes]) -> dict[tuple[int, str], Finding]:
    """By contract and frequency, why their `new` bars must not be stored beside the `stored` ones before a person has looked."""
    with desk.ledger.read() as view:
        marks, facts = marks_of(view, instrument), contract_facts(view, instrument)
    expiries = {contract: expiry for contract, (expiry, _) in facts.items()}
    known = _Known(stored, new, marks, expiries, desk.settings.prices.max_price_spike)
    batches = ((contract, frequency) for _, contract, frequency in new.batches())
    return {batch: finding for batch in batches if (finding := known.refusal(*batch))}


@dataclass(frozen=True, slots=True)
class _Known:
    """All bars of an instrument, the `stored` ones in parts, what people have decided about them, when its contracts expire, and the limit
    for spikes."""

    stored: Sequence[Closes]
    new: Closes
    marks: pd.DataFrame
    expiries: Mapping[int, date]
    limit: float

    def refusal(self, contract: int, frequency: str) -> Finding | None:
        """Why the new bars of one contract and frequency must not be stored before a person has looked; None: nothing speaks against them."""
        own = self.series(contract, frequency)
        has_stored = any(rows.stop > rows.start for rows in (part.place(contract, frequency) for part in self.stored))
        first_new = int(own.end.searchsorted(self.new.end[self.new.place(contract, frequency)].min())) if has_stored else 0
        new = slice(first_new, None)
        if wrong := wrong_times(contract, own.end[new][~own.decided[new]], self.expiries.get(contract)):
            return wrong
        if spike := first_spike(own.end * 1000, own.final, first_new, limit=self.limit, decided=own.decided):
            time = pd.Timestamp(own.end[spike[0]], unit="us", tz="UTC")
            detail = f"FINAL moves {spike[1]:.1f} average days at {time:%Y-%m-%d %H:%M} UTC"
            return Finding(SPIKE, detail, time, time, contract=contract)
        return (
            refused_batch(own, first_new, self.neighbours(contract, frequency), limit=self.limit) if first_new < YOUNG else None
        )

    def series(self, contract: int, frequency: str) -> Series:
        """The closes of one contract and frequency in order of time, stored and new ones, with marks applied."""
        places = [(part, part.place(contract, frequency)) for part in (*self.stored, self.new)]
        found = [part.part(rows) for part, rows in places if rows.stop > rows.start]
        if not found:
            return Series(contract, np.empty(0, "int64"), np.empty(0), np.empty(0, bool))
        if len(self.marks):
            bars = apply_marks(pd.concat([part.bars() for part in found]), self.marks)
            ends, finals, decided = instants(bars["end"]), bars["FINAL"].to_numpy(), bars["decided"].to_numpy(dtype=bool)
        else:
            ends, finals = np.concatenate([part.end for part in found]), np.concatenate([part.final for part in found])
            decided = np.zeros(len(ends), dtype=bool)
        if (ends[1:] < ends[:-1]).any():
            order = np.argsort(ends, kind="stable")
            ends, finals, decided = ends[order], finals[order], decided[order]
        return Series(contract, ends, finals, decided)

    def neighbours(self, contract: int, frequency: str) -> list[Series]:
        """The closes of the contracts nearest to one."""
        ids = np.unique(np.concatenate([np.unique(part.contract) for part in (*self.stored, self.new)]))
        ids = ids[ids != contract]
        nearest = ids[np.argsort(np.abs(ids - contract), kind="stable")][:NEIGHBOURS]
        return [self.series(int(each), frequency) for each in nearest]
