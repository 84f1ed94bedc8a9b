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
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from tradeflow_core.brokers import BAR_COLUMNS
from tradeflow_core.data_folders import CONFIG, FX, MULTIPLE, TABLES, DataFolder, Note, Problems, SeriesFile
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.importers.report import ImportReport, InstrumentImport
from tradeflow_core.importers.rolls import RollChoice, mend_rolls, note_of, off_by_a_constant, stored_marks
from tradeflow_core.importers.stamps import to_instants
from tradeflow_core.instruments import Instrument, load_fx_table, load_instruments
from tradeflow_core.model import CLOSING_HOUR
from tradeflow_core.plausibility import doubtful_facts, doubtful_history, doubtful_rates, rates_beside_futures
from tradeflow_core.series import (
    MendedRoll,
    RollMethod,
    back_adjust,
    back_out_events,
    build_from_events,
    calendar_from_events,
    compare_multiple_prices,
    contract_series,
)
from tradeflow_core.store import MANIFEST, Store

CLOSE = pd.Timedelta(hours=CLOSING_HOUR)
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
    skip_bad: bool = False,
    roll_method: RollMethod = "infer",
    roll_prices: Sequence[str] = (),
) -> ImportReport:
    """Make the tape `tape` from a pysystemtrade data folder (the folder with `csvconfig` and `multiple_prices_csv`).

    `instruments`: codes (default: all that have multiple prices); `zone`: time zone of the folder's times; `skip_bad`: instruments whose files
    or lines are wrong are left out and listed in the report. `roll_method`, `roll_prices` (`CODE:CONTRACT@TIME=PRICE`, times in `zone`): which
    price a roll gets that has none of one contract; the report names every such roll. The tape is complete or not there; an existing one is
    only replaced with `replace`. Raises ConfigError naming missing files, or everything that is wrong, by file, line and column.
    """
    tape = Path(tape).absolute()
    if tape.exists() and not replace:
        raise ConfigError(f"{tape} exists already; choose another name, or ask for it to be replaced")
    if replace and tape.exists() and not (tape / MANIFEST).exists():
        raise ConfigError(f"{tape} is not a tape, so it is not replaced; choose another name")
    source = DataFolder.open(folder)
    names = _chosen_instruments(source, instruments)
    to_instants(pd.DatetimeIndex([]), zone, "")  # an unknown zone is told once, not for every file
    choice = RollChoice.parse(roll_method, roll_prices, zone)
    report = ImportReport(str(source.root), zone)
    with _complete_or_absent(tape) as partial:
        store = Store(str(partial))
        wrong_rates = _import_fx(source, store, zone, report=report)
        chosen: list[Instrument] = []
        for name in names:
            try:
                instrument = _usable(source, name, rates=report.fx, wrong_rates=wrong_rates)
                imported, mended = _import_instrument(source, store, name, zone=zone, choice=choice)
            except (ConfigError, DataError) as error:
                report.left_out[name] = str(error) if name in str(error) else f"{name}: {error}"
                for dataset in ("bars", "roll_events", "roll_marks"):
                    store.delete(dataset, name)
                continue
            chosen.append(instrument)
            report.instruments.append(imported)
            report.notes += [note_of(name, each) for each in mended]
            if on_instrument:
                on_instrument(imported)
        if not chosen or (report.left_out and not skip_bad):
            raise _all_wrong(report.left_out, skip_bad=skip_bad)
        report.notes += [str(note) for note in source.notes]
        _import_tables(source.root, partial / "config", chosen, notes=report.notes)
        (partial / "import.json").write_text(report.to_json(), encoding="utf-8")
        manifest = {"zone": zone, "source": f"pysystemtrade, {source.root}", "instruments": [one.code for one in chosen]}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return report


def _chosen_instruments(source: DataFolder, wanted: Sequence[str] | None) -> list[str]:
    """Codes of the instruments to import. Raises ConfigError where there is none, and naming every file that is missing."""
    instruments = sorted(set(wanted)) if wanted is not None else source.codes
    if not instruments:
        raise ConfigError(f"{source.root / MULTIPLE} has no CSV file; nothing to import")
    if missing := [str(path) for name in instruments if not (path := source.root / MULTIPLE / f"{name}.csv").exists()]:
        raise ConfigError(f"{', '.join(missing)} missing; correct the instruments asked for, or add the files")
    return instruments


def _usable(source: DataFolder, name: str, *, rates: Mapping[str, int], wrong_rates: Mapping[str, str]) -> Instrument:
    """The facts of an instrument. Raises ConfigError where lines of the tables or rates that it needs are missing or wrong."""
    instrument = source.instrument(name)
    if instrument.roll_rule is None:
        raise ConfigError(f"{source.root / CONFIG / TABLES[1]}: no line for {name}; add it, or leave the instrument out")
    for currency in instrument.currencies:
        pair = f"{currency}USD"
        if pair in wrong_rates:
            raise ConfigError(f"{name} needs rates that are wrong: {wrong_rates[pair]}")
        if currency != "USD" and pair not in rates:
            when = "is" if currency == instrument.currency else "was"
            raise ConfigError(
                f"{source.root / FX / f'{pair}.csv'} missing; add the rates, or leave {name} out, which {when} in {currency}"
            )
    return instrument


def _all_wrong(left_out: Mapping[str, str], *, skip_bad: bool) -> ConfigError:
    problems = Problems(shown=40, texts=[line for text in left_out.values() for line in text.splitlines()])
    error = problems.error()
    if skip_bad:
        return ConfigError(f"no instrument is sound:\n{error}")
    return ConfigError(f"{error}\nnothing was imported; --skip-bad imports the other instruments") if len(left_out) > 1 else error


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


def _import_instrument(
    source: DataFolder, store: Store, instrument: str, *, zone: str, choice: RollChoice
) -> tuple[InstrumentImport, list[MendedRoll]]:
    path = source.root / MULTIPLE / f"{instrument}.csv"
    multiple = source.multiple_prices(instrument).at_closes()
    theirs = source.adjusted_prices(instrument) if source.has_adjusted_prices(instrument) else None
    source.notes.extend(_doubts(source, instrument, multiple, adjusted=theirs))
    local = pd.DatetimeIndex(multiple.index)
    instants = to_instants(local, zone, str(path))
    multiple.index = instants.utc
    events = back_out_events(multiple)
    bars = make_bars(contract_series(multiple), local, instants.utc, zone=zone)
    if bars.empty:
        raise ConfigError(f"{path}: it has no price; restore the file, or leave the instrument out")
    store.write("bars", instrument, bars)
    store.write("roll_events", instrument, events.assign(after=events["after"].astype("datetime64[us, UTC]"), reason="import"))

    prices = bar_prices(bars)
    rebuilt = build_from_events(prices, events)
    differences = compare_multiple_prices(multiple, rebuilt)
    mended = mend_rolls(rebuilt, instrument, choice, zone=zone)
    if mended:
        of_rolls = stored_marks(mended)
        store.write("roll_marks", instrument, of_rolls)
        rebuilt = build_from_events(pd.concat([prices, of_rolls[["contract", "date", "price"]]], ignore_index=True), events)
    calendar = _compare_calendar(source.roll_calendar(instrument), events, zone, what=f"the roll calendar of {instrument}")
    adjusted = _compare_adjusted(theirs, rebuilt, mended, zone=zone, instrument=instrument)
    marks = int((bars["start"] == bars["end"]).sum())
    daily = int((bars["frequency"] == "D").sum())
    imported = InstrumentImport(
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
        mended_rolls=[str(each) for each in mended],
    )
    return imported, mended


def _doubts(source: DataFolder, instrument: str, multiple: pd.DataFrame, *, adjusted: SeriesFile | None) -> list[Note]:
    """What is not plausible in the prices and facts of an instrument, and in the rates of a currency that it is a future on."""
    facts, price = source.instrument(instrument), multiple["PRICE"]
    found = doubtful_history(multiple, adjusted.at_closes()["price"] if adjusted else None)
    for pair in source.rate_files:
        if facts.is_on_currency(pair[:3]):
            found += rates_beside_futures(pair[:3], source.rates(pair).frame["PRICE"], price)
    of_facts = doubtful_facts(facts, price, load_instruments().get(instrument))
    return [Note(instrument, *doubt) for doubt in (*((each.kind, each.detail) for each in found), *of_facts)]


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


def _compare_calendar(calendar: SeriesFile | None, events: pd.DataFrame, zone: str, *, what: str) -> tuple[int, int]:
    """Number of rows of the folder's roll calendar, and of those that are also in the prices: same time, same two contracts."""
    if calendar is None:
        return 0, 0
    from_prices = calendar_from_events(events)
    names = ["current_contract", "next_contract"]
    stamps = to_instants(calendar.closes, zone, what).utc.rename("date")
    theirs = calendar.frame[names].set_index(stamps).reset_index()
    ours = from_prices[names].rename_axis("date").reset_index().astype(dict.fromkeys(names, "int64"))
    return len(theirs), len(theirs.merge(ours.assign(date=ours["date"].astype(theirs["date"].dtype)), on=["date", *names]))


def _compare_adjusted(
    file: SeriesFile | None, multiple: pd.DataFrame, mended: Sequence[MendedRoll], *, zone: str, instrument: str
) -> tuple[int, int, int]:
    """Number of adjusted prices in the folder, of those that equal ours, before a mended roll up to a constant, and of ours that it lacks."""
    if file is None:
        return 0, 0, 0
    ours = back_adjust(multiple).dropna()
    prices = file.at_closes()
    stamps = to_instants(pd.DatetimeIndex(prices.index), zone, f"adjusted prices of {instrument}").utc
    theirs = prices["price"].set_axis(stamps).dropna()
    both = off_by_a_constant(theirs, ours.reindex(theirs.index), mended)
    equal = np.isclose(both.to_numpy(), theirs.to_numpy(), rtol=EQUAL, atol=EQUAL)
    return len(theirs), int(equal.sum()), int((~ours.index.isin(theirs.index)).sum())


# --- rates and tables ----------------------------------------------------------------------------------------------------


def _import_fx(source: DataFolder, store: Store, zone: str, *, report: ImportReport) -> dict[str, str]:
    """Import every rate against the dollar and count the rates by pair in the `report`; returns what is wrong with the others, by pair."""
    wrong = {}
    for pair, file in source.rate_files.items():
        try:
            rates = source.rates(pair).at_closes()["PRICE"].dropna()
            source.notes.extend(Note(pair, doubt.kind, doubt.detail) for doubt in doubtful_rates(pair[:3], rates))
            rates.index = to_instants(pd.DatetimeIndex(rates.index), zone, str(file.path)).utc.rename("time")
        except (ConfigError, DataError) as error:
            wrong[pair] = str(error)
            continue
        store.write("fx", pair, rates.rename("rate").to_frame())
        report.fx[pair] = len(rates)
    report.notes += [f"rates left out: {text}" for text in wrong.values()]
    return wrong


def _import_tables(folder: Path, config: Path, instruments: Sequence[Instrument], *, notes: list[str]) -> None:
    """Write the lines of the instrument tables for these instruments, and FX codes that the packaged table lacks."""
    codes = {instrument.code for instrument in instruments}
    for name in TABLES:
        with (folder / CONFIG / name).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
        column_of_code = [column.strip() for column in rows[0]].index("Instrument")
        _write_csv(config / name, [rows[0], *(row for row in rows[1:] if any(row) and row[column_of_code].strip() in codes)])
    currencies = {currency for instrument in instruments for currency in instrument.currencies} - {"USD"}
    without_code = sorted(currencies - {pair.currency for pair in load_fx_table().values()})
    if without_code:
        lines = [[f"{currency}USD", currency, f"USD.{currency}", "yes"] for currency in without_code]
        _write_csv(config / "fx.csv", [["Code", "Currency", "BrokerPair", "Invert"], *lines])
        notes.append(f"FX codes were made for {', '.join(without_code)}; check the broker's pairs in config/fx.csv")


def _write_csv(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
