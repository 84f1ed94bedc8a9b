"""pysystemtrade's CSV files: prices, FX and instrument tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments import Costs, Instrument, RollRule
from tradeflow_core.model import MONTH_LETTERS
from tradeflow_core.strategy.common.lazy import LazyMapping

Value = TypeVar("Value")
PRICE_FOLDERS = ("multiple_prices_csv", "adjusted_prices_csv", "fx_prices_csv")
INSTRUMENT_TABLES = ("instrumentconfig.csv", "spreadcosts.csv", "rollconfig.csv")
MULTIPLE_PRICE_COLUMNS = ("PRICE", "CARRY", "PRICE_CONTRACT", "CARRY_CONTRACT")
TABLE_COLUMNS = ("Pointsize", "Currency")


@dataclass(frozen=True)
class CsvFolder:
    """A folder in that layout, checked to be complete."""

    root: Path

    @staticmethod
    def open(folder: str | Path) -> CsvFolder:
        """Raises ConfigError naming everything that is missing."""
        root = Path(folder)
        wanted = [root / name for name in PRICE_FOLDERS] + [root / "csvconfig" / name for name in INSTRUMENT_TABLES]
        missing = [str(path) for path in wanted if not path.exists()]
        if missing:
            raise ConfigError(f"not a complete folder of pysystemtrade's CSV layout; missing: {', '.join(missing)}")
        return CsvFolder(root)

    def multiple_prices(self) -> Mapping[str, pd.DataFrame]:
        """Multiple prices by instrument."""
        return self._files("multiple_prices_csv", _read_multiple_prices)

    def adjusted_prices(self) -> Mapping[str, pd.Series]:
        """Back-adjusted prices by instrument."""
        return self._files("adjusted_prices_csv", _read_series)

    def fx(self) -> Mapping[str, pd.Series]:
        """FX rates by pair."""
        return self._files("fx_prices_csv", _read_series)

    def instruments(self) -> Mapping[str, Instrument]:
        """Facts of every instrument of the tables."""
        main, spread, roll = (self._table(name) for name in INSTRUMENT_TABLES)
        return instruments_from_table(main.join(spread["SpreadCost"]).join(roll[roll.columns.difference(main.columns)]))

    def _table(self, name: str) -> pd.DataFrame:
        path = self.root / "csvconfig" / name
        table = pd.read_csv(path)
        wanted = {"Instrument"} | ({"SpreadCost"} if name == "spreadcosts.csv" else set())
        if not wanted <= set(table.columns):
            raise ConfigError(f"{path}: columns missing: {', '.join(sorted(wanted - set(table.columns)))}")
        return table.set_index("Instrument")

    def _files(self, folder: str, read: Callable[[Path], Value]) -> Mapping[str, Value]:
        paths = {path.stem: path for path in sorted((self.root / folder).glob("*.csv"))}
        return LazyMapping(paths, lambda name: read(paths[name]))


def instruments_from_table(table: pd.DataFrame) -> Mapping[str, Instrument]:
    """Instruments by code from a table with the columns of the three CSV tables; absent costs are zero.

    Raises ConfigError naming missing columns; a row with an unusable value raises when that instrument is asked for.
    """
    facts = table.set_index("Instrument") if "Instrument" in table.columns else table
    missing = [name for name in TABLE_COLUMNS if name not in facts.columns]
    if missing:
        raise ConfigError(f"instrument table: columns missing: {', '.join(missing)}")
    doubled = facts.index[facts.index.duplicated()]
    if len(doubled):
        raise ConfigError(f"instrument table: given twice: {', '.join(map(str, doubled.unique()))}")
    records = {str(instrument): row for instrument, row in zip(facts.index, facts.to_dict("records"), strict=True)}
    return LazyMapping(records, lambda instrument: _instrument(instrument, records[instrument]))


def _instrument(instrument: str, row: Mapping[object, object]) -> Instrument:
    point_size = _number(instrument, row, "Pointsize")
    currency = row.get("Currency")
    if not point_size > 0 or not isinstance(currency, str):
        raise ConfigError(f"instrument {instrument}: needs a Pointsize above 0 and a Currency; found {point_size} and {currency}")
    costs = Costs(
        spread_cost=_number(instrument, row, "SpreadCost"),
        per_block=_number(instrument, row, "PerBlock"),
        percentage=_number(instrument, row, "Percentage"),
        per_trade=_number(instrument, row, "PerTrade"),
    )
    return Instrument(
        code=instrument,
        description=_text(row, "Description"),
        asset_class=_text(row, "AssetClass"),
        region=_text(row, "Region"),
        currency=currency,
        point_size=point_size,
        costs=costs,
        roll_rule=_roll_rule(instrument, row),
    )


def _roll_rule(instrument: str, row: Mapping[object, object]) -> RollRule | None:
    hold = _text(row, "HoldRollCycle")
    if not hold or set(hold) - set(MONTH_LETTERS):
        return None
    roll, carry, expiry = (int(_number(instrument, row, name)) for name in ("RollOffsetDays", "CarryOffset", "ExpiryOffset"))
    return RollRule(hold, _text(row, "PricedRollCycle") or hold, roll, carry if carry in (-1, 1) else -1, expiry)


def _number(instrument: str, row: Mapping[object, object], name: str) -> float:
    value = row.get(name, 0.0)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigError(f"instrument {instrument}: {name} is {value!r}; give a number") from None
    return 0.0 if np.isnan(number) else number


def _text(row: Mapping[object, object], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _read_multiple_prices(path: Path) -> pd.DataFrame:
    table = _read(path)
    missing = [name for name in MULTIPLE_PRICE_COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"{path}: columns missing: {', '.join(missing)}")
    return table


def _read_series(path: Path) -> pd.Series:
    table = _read(path)
    try:
        return table.iloc[:, 0].astype(float)
    except (IndexError, ValueError):
        raise DataError(f"{path}: needs a column of stamps and a column of numbers") from None


def _read(path: Path) -> pd.DataFrame:
    """A CSV file by its first column of stamps (`YYYY-MM-DD HH:MM:SS`, longer text cut off, or dates), sorted."""
    try:
        table = pd.read_csv(path)
        text = table.iloc[:, 0].astype(str)
        stamps = pd.to_datetime(text.str[:19] if text.str.len().max() > 19 else text, format=_stamp_format(text))
    except (ValueError, IndexError) as error:
        raise DataError(f"{path} is not a CSV file whose first column holds stamps YYYY-MM-DD HH:MM:SS: {error}") from None
    body = table.iloc[:, 1:].set_axis(pd.DatetimeIndex(stamps, name="date").as_unit("ns"), axis=0)
    return body if body.index.is_monotonic_increasing else body.sort_index(kind="stable")


def _stamp_format(text: pd.Series) -> str:
    return "%Y-%m-%d %H:%M:%S" if len(text) and text.str.len().min() >= 19 else "%Y-%m-%d"
