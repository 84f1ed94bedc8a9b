"""Imports a pysystemtrade data folder as a tape: contract bars, roll events, rates and tables, and proves that they are complete.

The folder's multiple prices say which contract was priced, forward and used for carry at every time, and at what price. They are split
into contract bars and roll events. The proof: multiple prices rebuilt from these equal the folder's. How a time is read:

- 23:00:00 local time is a daily close: a bar of that day, from local midnight to this time;
- another full minute is the **start** of an hourly bar;
- a time with seconds is a mark (an observation, or a price that a roll wrote): a bar of length zero.

Roll calendars and adjusted prices of the folder are only compared, since they follow from the multiple prices.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.importers.csv_files import CONTRACT, PRICE, STAMP, read_csv
from tradeflow_core.importers.report import ImportReport, InstrumentImport
from tradeflow_core.importers.stamps import Instants, to_instants
from tradeflow_core.instruments import Instrument, find_instrument, load_fx_table, load_instruments
from tradeflow_core.series import (
    back_adjust,
    back_out_events,
    build_from_events,
    calendar_from_events,
    compare_multiple_prices,
    contract_series,
)
from tradeflow_core.store import MANIFEST, Store

MULTIPLE, ADJUSTED, FX, CALENDARS, CONFIG = (
    "multiple_prices_csv",
    "adjusted_prices_csv",
    "fx_prices_csv",
    "roll_calendars_csv",
    "csvconfig",
)
TABLES = ("instrumentconfig.csv", "rollconfig.csv", "spreadcosts.csv")
PRICE_NAMES = ("PRICE", "FORWARD", "CARRY")
MULTIPLE_COLUMNS = (
    {"DATETIME": STAMP}
    | dict.fromkeys(PRICE_NAMES, PRICE)
    | dict.fromkeys(("PRICE_CONTRACT", "FORWARD_CONTRACT", "CARRY_CONTRACT"), CONTRACT)
)
CALENDAR_COLUMNS = {"DATE_TIME": STAMP, "current_contract": CONTRACT, "next_contract": CONTRACT, "carry_contract": CONTRACT}
CLOSE = pd.Timedelta(hours=23)
HOUR = pd.Timedelta(hours=1)
EQUAL = 1e-9
"""Relative difference up to which two adjusted prices count as equal: both are sums of the same differences in another order."""


def import_pysystemtrade(
    folder: Path,
    tape: Path,
    *,
    instruments: Sequence[str] | None = None,
    zone: str = "Europe/London",
    on_instrument: Callable[[InstrumentImport], None] | None = None,
    replace: bool = False,
) -> ImportReport:
    """Make the tape `tape` from a pysystemtrade data folder (the folder with `csvconfig` and `multiple_prices_csv`).

    `instruments`: codes (default: all that have multiple prices); `zone`: time zone of the folder's times. The tape is complete
    or not there; an existing one is only replaced with `replace`. Raises ConfigError naming missing files, or file, line and column of a
    malformed cell.
    """
    folder, tape = Path(folder).absolute(), Path(tape).absolute()
    if tape.exists() and not replace:
        raise ConfigError(f"{tape} exists already; choose another name, or ask for it to be replaced")
    if replace and tape.exists() and not (tape / MANIFEST).exists():
        raise ConfigError(f"{tape} is not a tape, so it is not replaced; choose another name")
    names = _chosen_instruments(folder, instruments)
    table = load_instruments(folder / CONFIG, packaged=False)
    chosen = [find_instrument(table, name) for name in names]
    if without_rule := [instrument.code for instrument in chosen if instrument.roll_rule is None]:
        raise ConfigError(
            f"{folder / CONFIG / TABLES[1]}: no line for {', '.join(without_rule)}; add it, or leave the instrument out"
        )
    report = ImportReport(str(folder), zone)
    with _complete_or_absent(tape) as partial:
        store = Store(str(partial))
        for name in names:
            imported = _import_instrument(folder, store, name, zone=zone)
            report.instruments.append(imported)
            if on_instrument:
                on_instrument(imported)
        report.fx = _import_fx(folder, store, zone, notes=report.notes)
        _import_tables(folder, partial / "config", chosen, rates=set(report.fx), notes=report.notes)
        (partial / "import.json").write_text(report.to_json(), encoding="utf-8")
        manifest = {"zone": zone, "source": f"pysystemtrade, {folder}", "instruments": names}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return report


def _chosen_instruments(folder: Path, wanted: Sequence[str] | None) -> list[str]:
    """Codes of the instruments to import. Raises ConfigError naming every missing file and folder."""
    needed = [folder / MULTIPLE, folder / FX, *(folder / CONFIG / name for name in TABLES)]
    if missing := [str(path) for path in needed if not path.exists()]:
        raise ConfigError(
            f"{folder} is not a pysystemtrade data folder, {', '.join(missing)} missing; name the folder that holds {MULTIPLE} and {CONFIG}"
        )
    instruments = sorted(set(wanted) if wanted is not None else {path.stem for path in (folder / MULTIPLE).glob("*.csv")})
    if not instruments:
        raise ConfigError(f"{folder / MULTIPLE} has no CSV file; nothing to import")
    if missing := [str(path) for name in instruments if not (path := folder / MULTIPLE / f"{name}.csv").exists()]:
        raise ConfigError(f"{', '.join(missing)} missing; correct the instruments asked for, or add the files")
    return instruments


@contextmanager
def _complete_or_absent(tape: Path) -> Iterator[Path]:
    """A temporary folder beside `tape`: it is renamed to `tape` when the block ends, and removed when the block fails."""
    for leftover in tape.parent.glob(f".{tape.name}.importing-*"):
        if not _alive(int(leftover.name.rpartition("-")[2])):
            shutil.rmtree(leftover)
    partial = tape.parent / f".{tape.name}.importing-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
        (partial / "config").mkdir()
    except OSError as error:
        raise ConfigError(f"{tape.parent} cannot be written ({error.strerror}); choose another place for the tape") from error
    try:
        yield partial
        if tape.exists():
            old = partial / ".replaced"
            os.replace(tape, old)
            shutil.rmtree(old)
        os.replace(partial, tape)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# --- prices --------------------------------------------------------------------------------------------------------------


def _import_instrument(folder: Path, store: Store, instrument: str, *, zone: str) -> InstrumentImport:
    path = folder / MULTIPLE / f"{instrument}.csv"
    multiple = read_csv(path, MULTIPLE_COLUMNS)
    local = pd.DatetimeIndex(multiple.index)
    instants = to_instants(local, zone, str(path))
    multiple.index = instants.utc
    events = back_out_events(multiple)
    bars = make_bars(contract_series(multiple), local, instants.utc, zone=zone)
    if bars.empty:
        raise ConfigError(f"{path}: it has no price; restore the file, or leave the instrument out")
    store.write("bars", instrument, bars)
    store.write("roll_events", instrument, events.assign(after=events["after"].astype("datetime64[us, UTC]"), reason="import"))

    differences = compare_multiple_prices(multiple, build_from_events(bar_prices(bars), events))
    calendar = _compare_calendar(folder / CALENDARS / f"{instrument}.csv", events, zone)
    adjusted = _compare_adjusted(folder / ADJUSTED / f"{instrument}.csv", multiple, zone, instrument=instrument)
    marks = int((bars["start"] == bars["end"]).sum())
    daily = int((bars["frequency"] == "D").sum())
    return InstrumentImport(
        instrument=instrument,
        first=f"{local[0]:%Y-%m-%d %H:%M:%S}",
        last=f"{local[-1]:%Y-%m-%d %H:%M:%S}",
        rows=len(multiple),
        contracts=int(bars["contract"].nunique()),
        rolls=len(events) - 1,
        daily=daily,
        hourly=len(bars) - daily - marks,
        marks=marks,
        exceptions={str(kind): int(number) for kind, number in differences["kind"].value_counts().sort_index().items()},
        calendar_rows=calendar[0],
        calendar_matching=calendar[1],
        adjusted_rows=adjusted[0],
        adjusted_equal=adjusted[1],
        adjusted_new=adjusted[2],
        odd_times=instants.odd,
    )


def make_bars(series: pd.DataFrame, local: pd.DatetimeIndex, utc: pd.DatetimeIndex, *, zone: str) -> pd.DataFrame:
    """Contract prices (contract, date in UTC, price) as bars (`BAR_COLUMNS`), sorted by end.

    `local`, `utc`: every time of the folder's file in `zone` and in UTC, in the same order. Only closing prices are known, so OPEN, HIGH and
    LOW equal FINAL; the volume is unknown.
    """
    midnight = local.normalize()
    is_daily = np.asarray(local - midnight == CLOSE)
    is_mark = np.asarray((local.second != 0) | (local.microsecond != 0))
    start = np.where(is_daily, to_instants(midnight, zone, "midnights").utc.asi8, utc.asi8)  # type: ignore[attr-defined]
    end = np.where(is_daily | is_mark, utc.asi8, utc.asi8 + HOUR.value // 1000)  # type: ignore[attr-defined]
    row = utc.searchsorted(pd.DatetimeIndex(series["date"]))
    price = series["price"].to_numpy(dtype=float)
    frame = pd.DataFrame(
        {
            "contract": series["contract"].to_numpy(dtype=np.int64),
            "frequency": pd.array(["H", "D"], dtype="str").take(is_daily[row].astype(int)),
            "start": _utc(start[row]),
            "end": _utc(end[row]),
            **dict.fromkeys(("OPEN", "HIGH", "LOW", "FINAL"), price),
            "VOLUME": np.nan,
        }
    )
    return frame.sort_values(["end", "contract", "start"], ignore_index=True)[BAR_COLUMNS]


def bar_prices(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars as contract prices (contract, date, price): the date is the end of a daily bar and the start of an hourly bar."""
    date = bars["end"].where(bars["frequency"] == "D", bars["start"])
    return pd.DataFrame({"contract": bars["contract"], "date": date, "price": bars["FINAL"]})


def _utc(micros: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(micros.view("M8[us]")).tz_localize("UTC")


def _compare_calendar(path: Path, events: pd.DataFrame, zone: str) -> tuple[int, int]:
    """Number of rows of the folder's roll calendar, and of those that are also in the prices: same time, same two contracts."""
    if not path.exists():
        return 0, 0
    calendar = read_csv(path, CALENDAR_COLUMNS, increasing=False)
    from_prices = calendar_from_events(events)
    names = ["current_contract", "next_contract"]
    theirs = calendar[names].set_index(_instants_of(calendar, zone, path).utc.rename("date")).reset_index()
    ours = from_prices[names].rename_axis("date").reset_index().astype(dict.fromkeys(names, "int64"))
    return len(theirs), len(theirs.merge(ours.assign(date=ours["date"].astype(theirs["date"].dtype)), on=["date", *names]))


def _compare_adjusted(path: Path, multiple: pd.DataFrame, zone: str, *, instrument: str) -> tuple[int, int, int]:
    """Number of adjusted prices in the folder, of those that equal ours, and of ours that the folder lacks."""
    if not path.exists():
        return 0, 0, 0
    try:
        ours = back_adjust(multiple).dropna()
    except DataError as error:
        raise DataError(
            f"{instrument}: its multiple prices cannot be adjusted ({error}); correct them at the roll, or leave the instrument out"
        ) from error
    table = read_csv(path, {"DATETIME": STAMP, "price": PRICE})
    theirs = table["price"].set_axis(_instants_of(table, zone, path).utc).dropna()
    both = ours.reindex(theirs.index)
    equal = np.isclose(both.to_numpy(), theirs.to_numpy(), rtol=EQUAL, atol=EQUAL)
    return len(theirs), int(equal.sum()), int((~ours.index.isin(theirs.index)).sum())


def _instants_of(frame: pd.DataFrame, zone: str, path: Path) -> Instants:
    return to_instants(pd.DatetimeIndex(frame.index), zone, str(path))


# --- rates and tables ----------------------------------------------------------------------------------------------------


def _import_fx(folder: Path, store: Store, zone: str, *, notes: list[str]) -> dict[str, int]:
    """Import every rate against the dollar, and return the number of rates by pair. A date without a time means the close of that day."""
    rows = {}
    for path in sorted((folder / FX).glob("*.csv")):
        if not re.fullmatch("[A-Z]{3}USD", path.stem):
            notes.append(f"{path.name} is not a rate against the dollar and was left out")
            continue
        table = read_csv(path, {"DATETIME": STAMP, "PRICE": PRICE})
        local = pd.DatetimeIndex(table.index)
        closes = local.where(local != local.normalize(), local + CLOSE)
        rates = table["PRICE"].set_axis(closes).dropna()
        rates = rates[~rates.index.duplicated(keep="last")].sort_index()
        rates.index = to_instants(pd.DatetimeIndex(rates.index), zone, str(path)).utc.rename("time")
        store.write("fx", path.stem, rates.rename("rate").to_frame())
        rows[path.stem] = len(rates)
    return rows


def _import_tables(folder: Path, config: Path, instruments: Sequence[Instrument], *, rates: set[str], notes: list[str]) -> None:
    """Write the lines of the instrument tables for these instruments, and FX codes that the packaged table lacks."""
    codes = {instrument.code for instrument in instruments}
    for name in TABLES:
        with (folder / CONFIG / name).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
        column_of_code = [column.strip() for column in rows[0]].index("Instrument")
        kept = [row for row in rows[1:] if any(row) and row[column_of_code].strip() in codes]
        _write_csv(config / name, [rows[0], *kept])
        if missing_lines := sorted(codes - {row[column_of_code].strip() for row in kept}):
            notes.append(f"{name} has no line for {', '.join(missing_lines)}: their spread costs nothing")
    currencies = {instrument.currency for instrument in instruments} - {"USD"}
    if missing := sorted(currency for currency in currencies if f"{currency}USD" not in rates):
        files = ", ".join(str(folder / FX / f"{currency}USD.csv") for currency in missing)
        raise ConfigError(f"{files} missing; add the rates, or leave the instruments in {', '.join(missing)} out")
    without_code = sorted(currencies - {pair.currency for pair in load_fx_table().values()})
    if without_code:
        lines = [[f"{currency}USD", currency, f"USD.{currency}", "yes"] for currency in without_code]
        _write_csv(config / "fx.csv", [["Code", "Currency", "BrokerPair", "Invert"], *lines])
        notes.append(f"FX codes were made for {', '.join(without_code)}; check the broker's pairs in config/fx.csv")


def _write_csv(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
