"""The tables of instruments and currencies: read, checked line by line, and merged.

The package has tables of about forty liquid futures. A folder (a home's own config folder, or the `csvconfig` folder of
a pysystemtrade installation) may have tables of the same kinds; a row there replaces the packaged row of the same code.

| table | our file | file of pysystemtrade |
|---|---|---|
| point size, currency, costs, region, session | instruments.csv | instrumentconfig.csv |
| roll rules | rolls.csv | rollconfig.csv |
| half spreads, in price points | spreadcosts.csv | spreadcosts.csv |
| currencies | fx.csv | |
| the simulated market | simulated_market.csv, simulated_fx.csv | |

Every error is a ConfigError that names the file, the line, the column and what to write instead, for all lines of a table that are wrong.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments.instrument import Costs, Instrument
from tradeflow_core.instruments.roll_rule import MOST_DAYS, RollRule
from tradeflow_core.model import nearest

if TYPE_CHECKING:
    import pandas as pd
from tradeflow_core.model import MONTH_LETTERS

REGIONS = ("US", "EMEA", "ASIA")

LATEST_REGION = REGIONS[0]
"""Where prices are fetched last on a day: an instrument of a region that we do not know has all its prices by then."""

INSTRUMENT_FILES = ("instruments.csv", "instrumentconfig.csv")
ROLL_FILES = ("rolls.csv", "rollconfig.csv")
SPREAD_FILES = ("spreadcosts.csv",)

INSTRUMENT_COLUMNS = (
    "Instrument",
    "Description",
    "Pointsize",
    "Currency",
    "AssetClass",
    "PerBlock",
    "Percentage",
    "PerTrade",
    "Region",
)
ROLL_COLUMNS = ("Instrument", "HoldRollCycle", "RollOffsetDays", "CarryOffset", "PricedRollCycle", "ExpiryOffset")
_EARLIER = re.compile(r"([A-Z]{3}) until (\d{4}-\d{2}-\d{2})")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_CURRENCY = re.compile(r"[A-Z]{3}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FxPair:
    """How a currency is priced against the US dollar.

    `code`: our name, e.g. `JPYUSD`, US dollars for one unit of `currency`. `broker_pair`: the pair that the broker
    quotes, e.g. `USD.JPY`. `invert`: True where our rate is 1 / the broker's.
    """

    code: str
    currency: str
    broker_pair: str
    invert: bool

    def from_quotes(self, quotes: pd.Series) -> pd.Series:
        """Our rate from the broker's quotes of `broker_pair`, inverted if `invert`.

        Raises DataError for a quote that is not a positive number.
        """
        wrong = quotes[~((quotes > 0) & (quotes < float("inf")))]
        if len(wrong):
            raise DataError(
                f"{self.broker_pair}: the quote of {wrong.index[0]} is {wrong.iloc[0]}, not a positive number: ask the broker again"
            )
        return ((1.0 / quotes) if self.invert else quotes).rename(self.code)


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """Parameters of one instrument in the simulated market.

    `price`: starting level in quote units. `annual_vol`: fraction of price a year. `carry`: roll yield of a long position,
    fraction of price a year (negative in contango). `factor`, `loading`: the common factor of its asset class and the
    correlation with it. `daily_volume`: contracts a day in the busiest contract.
    """

    instrument: str
    price: float
    annual_vol: float
    carry: float
    factor: str
    loading: float
    daily_volume: float


@dataclass(frozen=True, slots=True)
class SimulatedFx:
    """Parameters of one currency in the simulated market: `rate` in US dollars for one unit, `annual_vol` a fraction a year."""

    currency: str
    rate: float
    annual_vol: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. Its methods convert cells into values; each raises ConfigError, naming the cell, for a wrong value."""

    file: str
    line: int
    cells: Mapping[str, str]

    def error(self, column: str, problem: str) -> ConfigError:
        """An error about a cell of this line; `problem` says what is wrong and what to write instead."""
        return ConfigError(f"{self.file}, line {self.line}, column {column}: {problem}")

    def has(self, column: str) -> bool:
        """Whether the table has such a column."""
        return column in self.cells

    def text(self, column: str) -> str:
        """Text that is not empty."""
        if not (text := self.cells[column]):
            raise self.error(column, "is empty; fill it in")
        return text

    def code(self, column: str) -> str:
        """A name that can also be a file name and a partition key."""
        text = self.text(column)
        if not _CODE.fullmatch(text):
            raise self.error(column, f"{text!r} is not a code; use letters, digits, '_', '-' and '.' only (no comma, no space)")
        return text

    def currency(self, column: str) -> str:
        """A currency of three capital letters."""
        text = self.text(column)
        if not _CURRENCY.fullmatch(text):
            raise self.error(column, f"{text!r} is not a currency; write three capital letters such as EUR")
        return text

    def earlier_currencies(self, column: str) -> tuple[tuple[date, str], ...]:
        """Last days and currencies, such as `DEM until 1998-12-31`, several of them with semicolons between; an empty cell means none."""
        found: list[tuple[date, str]] = []
        for text in filter(None, map(str.strip, self.cells[column].split(";"))):
            match = _EARLIER.fullmatch(text)
            try:
                if match is None:
                    raise ValueError
                day = date.fromisoformat(match[2])
            except ValueError:
                raise self.error(column, f"{text!r} is no earlier currency; write it as DEM until 1998-12-31") from None
            if found and day <= found[-1][0]:
                raise self.error(column, f"{day} is not later than {found[-1][0]}; write the oldest currency first")
            found.append((day, match[1]))
        return tuple(found)

    def number(self, column: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number between `low` and `high`, both included."""
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(column, f"{text!r} is not a number; write one such as 2.5")
        if not low <= value <= high:
            raise self.error(column, f"{text} is out of range; it must lie between {low:g} and {high:g}")
        return value

    def positive(self, column: str) -> float:
        """A finite number above zero."""
        value = self.number(column)
        if value <= 0:
            raise self.error(column, f"{self.cells[column]} must be above zero")
        return value

    def cost(self, column: str) -> float:
        """A cost, zero or more; an empty cell or NaN means 0."""
        return 0.0 if self.cells[column].lower() in ("", "nan") else self.number(column, low=0.0)

    def days(self, column: str) -> int:
        """A whole number of days, before or after."""
        value = self.whole(column)
        if abs(value) > MOST_DAYS:
            raise self.error(column, f"{value} is out of range; it can be {MOST_DAYS} days at most")
        return value

    def whole(self, column: str) -> int:
        """A whole number."""
        text = self.text(column)
        try:
            return int(text)
        except ValueError:
            raise self.error(column, f"{text!r} is not a whole number; write one such as -5") from None

    def cycle(self, column: str) -> str:
        """Letters of delivery months."""
        text = self.text(column)
        if set(text) - set(MONTH_LETTERS):
            raise self.error(column, f"{text!r} is not a cycle; write month letters of {MONTH_LETTERS}, such as HMUZ")
        return text

    def choice(self, column: str, choices: Sequence[str]) -> str:
        """One of a few words."""
        text = self.text(column)
        if text not in choices:
            raise self.error(column, f"{text!r} is unknown; write one of {', '.join(choices)}")
        return text


def load_instruments(*folders: str | Path) -> dict[str, Instrument]:
    """All instruments by code, sorted by code.

    The tables in each of `folders` in turn are merged into the packaged ones: a row replaces the row of the same code, table by
    table, so a folder with a `rolls.csv` of one line changes one roll rule. The columns Session and Tick may be missing: these
    values then stay as before, or unknown. So may EarlierCurrencies, of an instrument whose prices were in another currency
    once (`DEM until 1998-12-31`). An instrument without roll row has `roll_rule` None, one without spread row has a
    spread cost of 0. Raises ConfigError for a missing folder, and with all lines of a folder that are wrong.
    """
    instruments: dict[str, Instrument] = {}
    rules: dict[str, RollRule] = {}
    spreads: dict[str, float] = {}
    rows: list[Row] = []
    for folder in table_folders(folders):
        tables = _Tables.read(folder, instruments)
        _raise_all(text for texts in tables.wrong.values() for text in texts)
        instruments.update(tables.instruments)
        rules.update(tables.rules)
        spreads.update(tables.spreads)
        if not tables.is_foreign:
            rows += [*tables.roll_rows, *tables.spread_rows]
    unknown = [row for row in rows if row.cells["Instrument"] not in instruments]
    remedy = f"add it to {INSTRUMENT_FILES[0]} or remove this line"
    _raise_all(str(row.error("Instrument", f"{unknown_name(row.cells['Instrument'], instruments)}; {remedy}")) for row in unknown)
    return {code: _with_rule_and_spread(instruments[code], rules, spreads) for code in sorted(instruments)}


def read_instruments(folder: Path) -> tuple[dict[str, Instrument], dict[str, list[str]], list[tuple[str, str, str]]]:
    """The instruments of a folder's own tables alone: by code; of the others, by code, what is wrong with their lines; and notes (code, kind,
    text) about what is missing or was replaced.

    Raises ConfigError only where a table as a whole cannot be read.
    """
    tables = _Tables.read(folder, {})
    blank = {row.cells["Instrument"] for row in tables.spread_rows if row.cells["SpreadCost"].lower() in ("", "nan")}
    regions = {row.cells["Instrument"]: row.cells["Region"] for row in tables.instrument_rows}
    notes = [
        (code, "other region", f"region {region!r} is unknown here; its prices are updated with {LATEST_REGION}")
        for code, region in regions.items()
        if region not in REGIONS
    ]
    notes += [
        (code, "no spread", f"{SPREAD_FILES[0]} has no spread for it; its spread costs nothing")
        for code in sorted(tables.instruments)
        if code not in tables.spreads or code in blank
    ]
    sound = sorted(tables.instruments.keys() - tables.wrong.keys())
    instruments = {code: _with_rule_and_spread(tables.instruments[code], tables.rules, tables.spreads) for code in sound}
    return instruments, tables.wrong, notes


@dataclass(frozen=True, slots=True)
class _Tables:
    """What the tables of one folder say by code, their lines, and by code what is wrong with lines.

    `is_foreign`: they are those of pysystemtrade, which have roll rules and spreads of instruments that its instrumentconfig.csv lacks.
    """

    instruments: dict[str, Instrument]
    rules: dict[str, RollRule]
    spreads: dict[str, float]
    instrument_rows: list[Row]
    roll_rows: list[Row]
    spread_rows: list[Row]
    wrong: dict[str, list[str]]
    is_foreign: bool

    @classmethod
    def read(cls, folder: Traversable, known: Mapping[str, Instrument]) -> _Tables:
        """`known`: instruments whose lines are replaced, which keep what a table has no column for."""
        file, instrument_rows = read_first(folder, INSTRUMENT_FILES, INSTRUMENT_COLUMNS)
        roll_file, roll_rows = read_first(folder, ROLL_FILES, ROLL_COLUMNS)
        _, spread_rows = read_first(folder, SPREAD_FILES, ("Instrument", "SpreadCost"))
        is_ours, wrong = file == INSTRUMENT_FILES[0], dict[str, list[str]]()
        return cls(
            _rows_of(instrument_rows, wrong, lambda row: _instrument(row, known.get(row.cells["Instrument"]), is_ours=is_ours)),
            _rows_of(roll_rows, wrong, _roll_rule),
            _rows_of(spread_rows, wrong, lambda row: row.cost("SpreadCost")),
            instrument_rows,
            roll_rows,
            spread_rows,
            wrong,
            file == INSTRUMENT_FILES[1] or roll_file == ROLL_FILES[1],
        )


def _rows_of(
    rows: Sequence[Row], wrong: dict[str, list[str]], build: Callable[[Row], T], *, key: str = "Instrument"
) -> dict[str, T]:
    """What the lines of a table give, by their `key`; what is wrong with a line goes to `wrong`."""
    built: dict[str, T] = {}
    rows_of: dict[str, Row] = {}
    for row in rows:
        try:
            _add(rows_of, row, key)
            built[row.cells[key]] = build(row)
        except ConfigError as error:
            wrong.setdefault(row.cells[key], []).append(str(error))
    return built


def _raise_all(wrong: Iterable[str]) -> None:
    """Raise ConfigError with everything that is wrong, if anything is."""
    if text := "\n".join(wrong):
        raise ConfigError(text)


def load_fx_table(*folders: str | Path) -> dict[str, FxPair]:
    """The currencies that can be converted, by FX code (`EURUSD`); rows of each folder's `fx.csv` replace packaged ones."""
    return _load(folders, "fx.csv", ("Code", "Currency", "BrokerPair", "Invert"), key="Code", build=_fx_pair)


def load_simulated_market(*folders: str | Path) -> dict[str, SimulatedMarket]:
    """The simulated market's parameters by instrument; rows of each folder's `simulated_market.csv` replace packaged ones."""
    columns = ("Instrument", "Price", "AnnualVol", "Carry", "Factor", "Loading", "DailyVolume")
    return _load(folders, "simulated_market.csv", columns, key="Instrument", build=_simulated_market)


def load_simulated_fx(*folders: str | Path) -> dict[str, SimulatedFx]:
    """The simulated market's parameters by currency; rows of each folder's `simulated_fx.csv` replace packaged ones."""
    return _load(folders, "simulated_fx.csv", ("Currency", "Rate", "AnnualVol"), key="Currency", build=_simulated_fx)


def default_universe() -> list[str]:
    """The codes of all packaged instruments, sorted."""
    return list(load_instruments())


def find_instrument(instruments: Mapping[str, Instrument], code: str) -> Instrument:
    """The instrument of that code. Raises ConfigError, naming the nearest code, where there is none."""
    if code not in instruments:
        raise ConfigError(f"{unknown_name(code, instruments)}; add it to an instruments.csv in the home's config folder")
    return instruments[code]


def unknown_name(name: str, names: Mapping[str, Any], kind: str = "instrument") -> str:
    """The beginning of an error about a name that is not among `names`, with the nearest one that is."""
    return f"unknown {kind} {name!r}{nearest(name, names)}"


def table_folders(folders: Sequence[str | Path]) -> list[Traversable]:
    """The folders to read tables from: the package's, then `folders`; rows of later ones replace those of earlier ones."""
    for folder in folders:
        if not Path(folder).is_dir():
            raise ConfigError(f"{folder} is not a folder; create it or name the folder that holds the tables")
    return [files(__package__) / "tables", *(Path(folder) for folder in folders)]


def read_first(folder: Traversable, names: Sequence[str], columns: Sequence[str]) -> tuple[str | None, list[Row]]:
    """The file of `names` that is in `folder` (None where there is none) and its lines, each with at least `columns`."""
    present = [name for name in names if (folder / name).is_file()]
    if len(present) > 1:
        raise ConfigError(f"{folder} holds {' and '.join(present)}, two tables of the same kind; remove one of them")
    return (present[0], read_table(folder / present[0], columns)) if present else (None, [])


def read_table(table: Traversable, columns: Sequence[str]) -> list[Row]:
    """The lines of a CSV file with a header, cells stripped, blank lines left out."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{table}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip() for name in next(reader, [])]
    for column in columns:
        if column not in header:
            raise ConfigError(f"{table}, line 1: column {column} is missing; the header needs {','.join(columns)}")
    rows, wrong = [], []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            wrong.append(
                f"{table}, line {reader.line_num}: has {len(cells)} cells, the header has {len(header)} columns from "
                f"{header[0]} to {header[-1]}; codes hold no comma, and a text with a comma goes in double quotes"
            )
            continue
        rows.append(Row(str(table), reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    _raise_all(wrong)
    return rows


def _add(rows_of: dict[str, Row], row: Row, column: str) -> None:
    code = row.code(column)
    if code in rows_of:
        raise row.error(column, f"{code} is already on line {rows_of[code].line}; keep one of the two lines")
    rows_of[code] = row


def _load(
    folders: Sequence[str | Path], name: str, columns: Sequence[str], *, key: str, build: Callable[[Row], T]
) -> dict[str, T]:
    values: dict[str, T] = {}
    for folder in table_folders(folders):
        _, rows = read_first(folder, (name,), columns)
        wrong: dict[str, list[str]] = {}
        values.update(_rows_of(rows, wrong, build, key=key))
        _raise_all(text for texts in wrong.values() for text in texts)
    return dict(sorted(values.items()))


def _instrument(row: Row, before: Instrument | None, *, is_ours: bool) -> Instrument:
    """`is_ours`: the table is of our making. One of another system may have regions that we do not have; see `LATEST_REGION`."""
    session, tick = (before.session, before.tick) if before else (None, 0.0)
    if row.has("Session"):
        session = row.cells["Session"] or None
    if row.has("Tick"):
        tick = row.cost("Tick")
    return Instrument(
        code=row.code("Instrument"),
        description=row.cells["Description"],
        asset_class=row.cells["AssetClass"],
        region=row.choice("Region", REGIONS) if is_ours or row.cells["Region"] in REGIONS else LATEST_REGION,
        currency=row.currency("Currency"),
        point_size=row.positive("Pointsize"),
        costs=Costs(per_block=row.cost("PerBlock"), percentage=row.cost("Percentage"), per_trade=row.cost("PerTrade")),
        roll_rule=None,
        session=session,
        tick=tick,
        earlier_currencies=row.earlier_currencies("EarlierCurrencies") if row.has("EarlierCurrencies") else (),
    )


def _with_rule_and_spread(instrument: Instrument, rules: Mapping[str, RollRule], spreads: Mapping[str, float]) -> Instrument:
    code = instrument.code
    return replace(instrument, roll_rule=rules.get(code), costs=replace(instrument.costs, spread_cost=spreads.get(code, 0.0)))


def _roll_rule(row: Row) -> RollRule:
    if (carry := row.whole("CarryOffset")) not in (-1, 1):
        raise row.error("CarryOffset", f"{carry} is not possible; write -1 (the priced contract before) or 1 (the one after)")
    return RollRule(
        hold=row.cycle("HoldRollCycle"),
        priced=row.cycle("PricedRollCycle"),
        roll_offset=row.days("RollOffsetDays"),
        carry_offset=carry,
        expiry_offset=row.days("ExpiryOffset"),
    )


def _fx_pair(row: Row) -> FxPair:
    code, currency = row.code("Code"), row.currency("Currency")
    if code != f"{currency}USD":
        raise row.error("Code", f"{code} does not belong to {currency}; write {currency}USD")
    return FxPair(code, currency, row.code("BrokerPair"), row.choice("Invert", ("yes", "no")) == "yes")


def _simulated_market(row: Row) -> SimulatedMarket:
    return SimulatedMarket(
        instrument=row.code("Instrument"),
        price=row.positive("Price"),
        annual_vol=row.positive("AnnualVol"),
        carry=row.number("Carry", low=-1.0, high=1.0),
        factor=row.code("Factor"),
        loading=row.number("Loading", low=0.0, high=1.0),
        daily_volume=row.positive("DailyVolume"),
    )


def _simulated_fx(row: Row) -> SimulatedFx:
    return SimulatedFx(row.currency("Currency"), row.positive("Rate"), row.positive("AnnualVol"))
