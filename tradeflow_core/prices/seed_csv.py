"""Price history from CSV files, and removing an instrument's price data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError, StateError
from tradeflow_core.instruments import read_table
from tradeflow_core.ledger import contract_facts, open_instrument_orders, positions_by_contract, record_contracts
from tradeflow_core.model import contract_label
from tradeflow_core.prices.bar_store import BAR_TYPES, FREQUENCY_NAMES, INTRADAY_MINUTES, not_stored, stored_closes
from tradeflow_core.prices.collect import Collected, store_bars
from tradeflow_core.prices.incoming import clean_bars
from tradeflow_core.prices.sampling import roll_rule_of
from tradeflow_core.series import at_close

DATASETS = ("contract_prices", "multiple_prices", "adjusted_prices", "spreads")
"""The datasets that hold prices of an instrument."""


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """The names of the columns in a file; only `time` and `final` are required. `time_format`: a strptime format; None: ISO."""

    time: str = "Time"
    final: str = "Close"
    open: str | None = None
    high: str | None = None
    low: str | None = None
    volume: str | None = None
    time_format: str | None = None


@dataclass(frozen=True, slots=True)
class SeedReport:
    """The result of seeding: bars in the file, bars added, and why the batch was refused (empty: it was not)."""

    read: int
    added: int
    refused: str = ""


def read_bars_csv(path: Path, contract: int, columns: CsvColumns, *, frequency: str, zone: str) -> pd.DataFrame:
    """Bars of one contract from a CSV file with a header, in the columns and types of the store, sorted.

    Times without an offset are in `zone`. The time of a daily row is a date (its bar ends at 23:00 of it) or the time of the close; that of
    an intraday row is the start of its bar. In the hour that occurs twice in autumn, the second one is meant. Raises DataError naming file and
    line for a time or price that cannot be read and for a time that occurs twice; ConfigError for a missing file or column.
    """
    sources = {"FINAL": columns.final, "OPEN": columns.open, "HIGH": columns.high, "LOW": columns.low, "VOLUME": columns.volume}
    sources = {name: column for name, column in sources.items() if column}
    if frequency not in FREQUENCY_NAMES:
        raise ConfigError(
            f"frequency {frequency!r} is unknown; use D (daily), H (hourly) or another of {', '.join(INTRADAY_MINUTES)}"
        )
    try:
        rows = read_table(path, [columns.time, *(str(column) for column in sources.values())])
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); name a CSV file") from error
    if not rows:
        raise DataError(f"{path}: holds no row of prices below the header; name a file with prices")
    cells, lines = pd.DataFrame([row.cells for row in rows]), np.array([row.line for row in rows])
    time = _times(path, cells[columns.time], lines, columns=columns, zone=zone)
    frame = pd.DataFrame(
        {name: _numbers(path, cells[str(column)], lines, may_be_empty=name != "FINAL") for name, column in sources.items()}
    )
    minutes = INTRADAY_MINUTES.get(frequency)
    start, end = (time, time + pd.Timedelta(minutes=minutes)) if minutes else _daily_bars(time, zone)
    frame = frame.assign(
        contract=contract,
        frequency=frequency,
        start=start.tz_convert("UTC").as_unit("us"),
        end=end.tz_convert("UTC").as_unit("us"),
    )
    repeated = frame.duplicated("start").to_numpy()
    _refuse(path, lines, repeated, text=cells[columns.time], problem="the time occurs twice; keep one row")
    return frame.reindex(columns=BAR_COLUMNS).astype(BAR_TYPES).sort_values("start", ignore_index=True)


def seed_bars(desk: Desk, instrument: str, bars: pd.DataFrame, *, trust: bool = False, dry_run: bool = False) -> SeedReport:
    """Add bars of one contract to the store; stored bars stay, and a daily bar of a day that has one already is left out.

    Bars that have not ended, or that the settings drop, are left out too. The batch is checked for spikes unless `trust`. `dry_run`: nothing is
    written.
    """
    stored, zone = stored_closes(desk, instrument), desk.settings.time_zone
    usable, _ = clean_bars(bars[bars["end"] <= desk.now()], desk.settings.prices)
    new = not_stored(usable, stored)
    contract, frequency = int(bars["contract"].iloc[0]), str(bars["frequency"].iloc[0])
    if frequency == "D":
        stored_ends = pd.concat([part.part(part.place(contract, frequency)).bars() for part in stored] or [new.iloc[:0]])["end"]
        new = new[~new["end"].dt.tz_convert(zone).dt.date.isin(stored_ends.dt.tz_convert(zone).dt.date)]
    report = store_bars(desk, instrument, new, report=Collected(stored), check=not trust, write=not dry_run)
    added = report.added.get(frequency, 0)
    if added and not dry_run:
        rule = roll_rule_of(desk, instrument)
        with desk.ledger.begin() as tx:
            if contract not in contract_facts(tx, instrument):
                record_contracts(tx, instrument, {contract: (rule.approximate_expiry(contract), False)}, now=desk.now())
    return SeedReport(len(bars), added, "; ".join(report.refused))


def delete_prices(desk: Desk, instrument: str, *, dry_run: bool = False) -> list[str]:
    """Remove the price files of an instrument; returns the datasets that had one. Contracts, rolls, orders and positions stay.

    Raises StateError while the instrument is held or has an open order.
    """
    with desk.ledger.read() as view:
        positions = positions_by_contract(view, desk.account)
        held = [contract for (name, contract), quantity in positions.items() if name == instrument and quantity]
        orders = [order.id for order in open_instrument_orders(view, desk.account) if order.instrument == instrument]
    if held:
        raise StateError(f"{instrument}: {contract_label(held[0])} is still held; its prices value the position, close it first")
    if orders:
        raise StateError(f"{instrument}: order {orders[0]} is open; cancel it first")
    datasets = [dataset for dataset in DATASETS if desk.store.exists(dataset, instrument)]
    for dataset in () if dry_run else reversed(datasets):
        desk.store.delete(dataset, instrument)
    return datasets


def _times(path: Path, text: pd.Series, lines: np.ndarray, *, columns: CsvColumns, zone: str) -> pd.DatetimeIndex:
    try:
        parsed = pd.to_datetime(text, format=columns.time_format or "ISO8601", errors="coerce")
    except ValueError as error:
        raise DataError(
            f"{path}, column {columns.time}: times with and without an offset are mixed ({error}); write all the same way"
        ) from error
    example = f"as {columns.time_format}" if columns.time_format else "as 2024-01-31 or 2024-01-31T14:00"
    _refuse(path, lines, parsed.isna().to_numpy(), text=text, problem=f"is not a time; write it {example}")
    index = pd.DatetimeIndex(parsed)
    if index.tz is None:
        index = index.tz_localize(ZoneInfo(zone), ambiguous=np.zeros(len(index), dtype=bool), nonexistent="shift_forward")
    return index.tz_convert(ZoneInfo(zone))


def _daily_bars(time: pd.DatetimeIndex, zone: str) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Start (local midnight) and end of daily bars."""
    local = time.tz_localize(None)
    start, end = (
        stamps.tz_localize(ZoneInfo(zone), ambiguous=np.zeros(len(stamps), dtype=bool), nonexistent="shift_forward")
        for stamps in (local.normalize(), at_close(local))
    )
    return start, end


def _numbers(path: Path, text: pd.Series, lines: np.ndarray, *, may_be_empty: bool) -> pd.Series:
    values = pd.to_numeric(text, errors="coerce").astype("float64")
    wrong = ~np.isfinite(values.to_numpy()) & ~(may_be_empty & (text == "").to_numpy())
    _refuse(path, lines, wrong, text=text, problem="is not a number; write one such as 2.5")
    return values


def _refuse(path: Path, lines: np.ndarray, wrong: np.ndarray, *, text: pd.Series, problem: str) -> None:
    """Raise DataError about the first `wrong` row, if there is one."""
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{path}, line {lines[row]}, column {text.name}: {text.iloc[row]!r} {problem}; nothing was stored")
