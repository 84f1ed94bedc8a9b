"""From the broker to the store: the new bars of the contracts that are followed.

New bars are appended; a batch of one contract and frequency that shows a spike is refused as a whole; a refresh of the whole history adds what
is missing and keeps what is there.
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
from tradeflow_core.series import first_spike, lay_over, suspicious

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class PriceSpike(DataError):
    """A batch of new bars was refused, since a price moves more than is plausible."""


@dataclass
class Collected:
    """What one instrument's download brought: the closes that are stored now, in parts, how many bars of each frequency were added,
    contracts without data, how many bars were dropped and for what, batches refused."""

    stored: Sequence[Closes]
    added: dict[str, int] = field(default_factory=dict)
    without_data: list[int] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Usable bars of the broker that are not stored yet, in order; contracts without any; how many bars were dropped for what."""

    bars: pd.DataFrame
    without_data: list[int]
    dropped: dict[str, int]


def collect_bars(
    desk: Desk,
    code: str,
    contracts: Sequence[int],
    *,
    frequencies: Sequence[str] | None = None,
    full_refresh: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Collected:
    """Fetch new bars of the contracts, check them, and add them to the store at once.

    `frequencies`: default daily and the intraday one of the settings. Normally each contract and frequency goes on after its last stored
    bar; `full_refresh` asks for everything from `start` on (default: the beginning) and adds what is missing. A broker that does not answer
    raises and nothing is written; a batch with a spike is refused and reported, the others are written.
    """
    stored = stored_closes(desk, code)
    fetched = fetch_bars(
        desk, code, stored, contracts=contracts, frequencies=frequencies, full_refresh=full_refresh, start=start, end=end
    )
    if count := fetched.dropped.get(NEGATIVE_PRICE):
        message = f"{code}: {count} new bars {NEGATIVE_PRICE} were dropped, as drop_negative_prices of tradeflow.toml says"
        desk.alerts.send(f"negative prices of {code}", message, desk.now())
    report = Collected(stored, without_data=fetched.without_data, dropped=fetched.dropped)
    return store_bars(desk, code, fetched.bars, report=report)


def fetch_bars(
    desk: Desk,
    code: str,
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
            # The bar that starts last need not end last: a price between two hours ends when it starts.
            last = max((int(part.end[part.place(contract, frequency)].max(initial=-1)) for part in stored), default=-1)
            since = start or BEGINNING if full_refresh or start else _since(desk, last, frequency, now=now)
            try:
                bars = desk.broker.bars(code, contract, frequency, start=since, end=min(end, now) if end else now)
            except (NoData, UnknownContract):
                without_data.append(contract)
                continue
            if len(bars):
                batches.append((contract, frequency, bars))
    if not batches:
        return Fetched(no_bars(), without_data, {})
    new, dropped = clean_bars(check_bars(typed_bars(batches, code), code, now), desk.settings.prices)
    if full_refresh or start is not None:
        new = not_stored(new, stored)
    return Fetched(new, without_data, dropped)


def _since(desk: Desk, last: int, frequency: str, *, now: datetime) -> datetime:
    """From where on bars are new: the end of the last stored one (microseconds; negative: there is none), else as far back as history goes."""
    if last >= 0:
        return BEGINNING + timedelta(microseconds=last)
    return now - timedelta(days=366 if frequency == "D" else desk.settings.prices.intraday_history_days)


def store_bars(
    desk: Desk, code: str, new: pd.DataFrame, *, report: Collected, check: bool = True, write: bool = True
) -> Collected:
    """Add `new` bars to those that `report` has as stored, but for batches that show a spike; completes the report.

    A batch is of one contract and frequency. `check` False: a person has accepted all of it; `write` False: only say what would come.
    """
    if not len(new):
        return report
    if new.dtypes.to_dict() != BAR_TYPES:
        new = new.astype(BAR_TYPES)
    new = in_order(new)
    with desk.ledger.read() as view:
        marks = marks_of(view, code)
    limit, closes, accepted = desk.settings.prices.max_price_spike, Closes.of_bars(new), []
    for rows, contract, frequency in batches_of(new):
        batch = closes.part(rows)
        if check and (spike := _spike(_history(report.stored, contract, frequency), batch, limit, marks=marks)):
            when, units = spike
            what = f"{frequency} bars of {contract_label(contract)} from {new['start'].iloc[rows.start]:%Y-%m-%d %H:%M}"
            report.refused.append(f"{what}: FINAL moves {units:.1f} average days at {when:%Y-%m-%d %H:%M} UTC")
            continue
        report.added[frequency] = report.added.get(frequency, 0) + len(batch.end)
        accepted.append(rows)
    if accepted and write:
        if report.refused:
            new = pd.concat([new.iloc[rows] for rows in accepted], ignore_index=True)
            closes = Closes.of_bars(new)
        desk.store.append(DATASET, code, new)
        report.stored = [*report.stored, closes]
    return report


def _history(stored: Sequence[Closes], contract: int, frequency: str) -> list[Closes]:
    """The stored bars of one contract and frequency, in parts that are not empty."""
    places = [(part, part.place(contract, frequency)) for part in stored]
    return [part.part(rows) for part, rows in places if rows.stop > rows.start]


def _spike(history: list[Closes], batch: Closes, limit: float, *, marks: pd.DataFrame) -> tuple[pd.Timestamp, float] | None:
    """The first implausible price of a batch of one contract and frequency, after those stored, that nobody has spoken about: when, and its size
    in average daily changes."""
    parts, came = [*history, batch], batch.end.min()
    if len(marks):
        laid = lay_over(pd.concat([part.bars() for part in parts]), marks).sort_values("end", kind="stable")
        final = pd.Series(laid["FINAL"].to_numpy(), index=pd.DatetimeIndex(laid["end"]))
        beyond = suspicious(final, limit, _stamp(came) if history else None, spoken=laid["spoken"].to_numpy())
        return (beyond.index[0], float(beyond.iloc[0])) if len(beyond) else None
    ends, finals = np.concatenate([part.end for part in parts]), np.concatenate([part.final for part in parts])
    if (ends[1:] < ends[:-1]).any():
        order = np.argsort(ends, kind="stable")
        ends, finals = ends[order], finals[order]
    found = first_spike(ends * 1000, finals, int(ends.searchsorted(came)) if history else 0, limit=limit)
    return (_stamp(ends[found[0]]), found[1]) if found else None


def _stamp(microseconds: int) -> pd.Timestamp:
    return pd.Timestamp(microseconds, unit="us", tz="UTC")
