"""From the broker to the store: the new bars of the sampled contracts.

New bars are appended. A batch (the new bars of one contract and frequency) with a suspected spike is refused as a whole. A refresh of the whole
history adds missing bars and never changes stored ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from tradeflow_core.brokers import NoData, UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import marks_of
from tradeflow_core.model import contract_label
from tradeflow_core.prices.bar_store import (
    BAR_TYPES,
    DATASET,
    Closes,
    batches_of,
    in_order,
    no_bars,
    not_stored,
    stored_closes,
)
from tradeflow_core.prices.incoming import NEGATIVE_PRICE, Batch, check_bars, clean_bars, typed_bars
from tradeflow_core.series import apply_marks, first_spike, suspected_spikes

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class PriceSpike(DataError):
    """A batch of new bars was refused because of a suspected spike."""


@dataclass
class Collected:
    """The result of one instrument's download: the closes that are stored now, in parts; bars added by frequency; contracts without data;
    bars dropped by reason; why batches were refused; the bars that were, or would be, added."""

    stored: Sequence[Closes]
    added: dict[str, int] = field(default_factory=dict)
    without_data: list[int] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
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
    BrokerUnavailable, and writes nothing, where the broker does not answer. A batch with a spike is refused and reported, the others are written.
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
    """Add the `new` bars, except batches with a suspected spike, to those stored; completes `report`, which has the stored ones.

    `check` False: do not look for spikes; `write` False: report what would be added, and write nothing.
    """
    if not len(new):
        return report
    if new.dtypes.to_dict() != BAR_TYPES:
        new = new.astype(BAR_TYPES)
    new = in_order(new)
    with desk.ledger.read() as view:
        marks = marks_of(view, instrument)
    limit, closes, accepted = desk.settings.prices.max_price_spike, Closes.of_bars(new), []
    for rows, contract, frequency in batches_of(new):
        batch = closes.part(rows)
        if check and (spike := _spike(_history(report.stored, contract, frequency), batch, limit, marks=marks)):
            time, units = spike
            batch_name = f"{frequency} bars of {contract_label(contract)} from {new['start'].iloc[rows.start]:%Y-%m-%d %H:%M}"
            report.refused.append(f"{batch_name}: FINAL moves {units:.1f} average days at {time:%Y-%m-%d %H:%M} UTC")
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


def _history(stored: Sequence[Closes], contract: int, frequency: str) -> list[Closes]:
    """The stored bars of one contract and frequency, in parts that are not empty."""
    parts = [(part, part.place(contract, frequency)) for part in stored]
    return [part.part(rows) for part, rows in parts if rows.stop > rows.start]


def _spike(history: list[Closes], batch: Closes, limit: float, *, marks: pd.DataFrame) -> tuple[pd.Timestamp, float] | None:
    """Time and size (in average daily changes) of the first suspected spike of a batch, which follows the stored `history` of its contract and
    frequency; None where there is none that nobody has decided about."""
    parts, first_new = [*history, batch], batch.end.min()
    if len(marks):
        bars = apply_marks(pd.concat([part.bars() for part in parts]), marks).sort_values("end", kind="stable")
        final = pd.Series(bars["FINAL"].to_numpy(), index=pd.DatetimeIndex(bars["end"]))
        spikes = suspected_spikes(final, limit, _stamp(first_new) if history else None, decided=bars["decided"].to_numpy())
        return (spikes.index[0], float(spikes.iloc[0])) if len(spikes) else None
    ends, finals = np.concatenate([part.end for part in parts]), np.concatenate([part.final for part in parts])
    if (ends[1:] < ends[:-1]).any():
        order = np.argsort(ends, kind="stable")
        ends, finals = ends[order], finals[order]
    spike = first_spike(ends * 1000, finals, int(ends.searchsorted(first_new)) if history else 0, limit=limit)
    return (_stamp(ends[spike[0]]), spike[1]) if spike else None


def _stamp(microseconds: int) -> pd.Timestamp:
    return pd.Timestamp(microseconds, unit="us", tz="UTC")
