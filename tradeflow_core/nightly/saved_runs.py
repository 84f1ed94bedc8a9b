"""Backtests kept on disk: the stages that explain a position, the configuration, and a manifest.

A run is a folder with three Parquet tables, in which each stage is a column (`buffers.lower` where it has several):

- `instruments`: a row for each date and instrument: prices, volatility, forecasts, positions, profit and loss;
- `rules`: a row for each rule, date and instrument: forecasts and weights;
- `portfolio`: a row for each date: multipliers, total profit and loss;

`optimal.parquet` with the latest positions, of a strategy with dynamic optimisation also `covariance.parquet`, `config.json`, and
`manifest.json`. The manifest is written last and replaced as a whole: a run without one does not exist. So a process
that is killed while writing leaves the former run of that day, or none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.model import nearest
from tradeflow_core.parquet import naming_damage
from tradeflow_core.store import Store

MANIFEST, CONFIG, OPTIMAL, COVARIANCE = "manifest.json", "config.json", "optimal.parquet", "covariance.parquet"
DATASET = "backtests"
KEYS = {"portfolio": (), "instruments": ("instrument",), "rules": ("instrument", "rule")}
"""The tables, and what a row is about besides its date."""


@dataclass(frozen=True)
class Manifest:
    """What a run was. Dates are naive, `time` (when it was made) is UTC.

    `day`: business day of the desk; None for a run that is no day's. `columns`: of each stage, by table. `folder`: where the
    files are, relative to the manifest.
    """

    strategy: str
    day: date | None
    time: datetime
    capital: float
    currency: str
    compat: str | list[str]
    instruments: list[str]
    rules: list[str]
    first: date | None
    last: date | None
    stages: list[str]
    columns: dict[str, dict[str, list[str]]]
    folder: str = "."
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The manifest as text."""
        return json.dumps(asdict(self), indent=1, default=lambda moment: moment.isoformat())

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Raises StateError for a text that is not the manifest of a run."""
        try:
            values = json.loads(text)
            days = {name: date.fromisoformat(values[name]) if values[name] else None for name in ("day", "first", "last")}
            return Manifest(**{**values, **days, "time": datetime.fromisoformat(values["time"])})
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"{MANIFEST} is not that of a saved backtest ({error}); run the strategy again") from None


@dataclass(frozen=True)
class SavedRun:
    """One run as it was saved; tables are read when asked for."""

    folder: UPath
    manifest: Manifest

    @staticmethod
    def open(folder: UPath) -> SavedRun:
        """The run whose manifest is in `folder`. Raises StateError where there is none."""
        try:
            manifest = Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise StateError(f"{folder} holds no saved backtest: {MANIFEST} is missing") from None
        return SavedRun(folder / manifest.folder, manifest)

    @property
    def name(self) -> str:
        """Strategy and day."""
        return f"{self.manifest.strategy} of {self.manifest.day}" if self.manifest.day else self.manifest.strategy

    @cached_property
    def config(self) -> dict[str, Any]:
        """The whole configuration, defaults included, as plain values."""
        config: dict[str, Any] = json.loads((self.folder / CONFIG).read_text(encoding="utf-8"))
        return config

    @cached_property
    def optimal(self) -> pd.DataFrame:
        """The latest positions, index instrument; columns of `Backtest.latest`."""
        return self._read(OPTIMAL).to_pandas()

    @cached_property
    def covariance(self) -> pd.DataFrame:
        """Covariance of annual percentage returns on the last day, index and columns instrument; kept of dynamic strategies only."""
        return self._read(COVARIANCE).to_pandas()

    def stage(self, name: str, instrument: str | None = None, rule: str | None = None) -> pd.DataFrame:
        """A stage by date, with columns as in `Backtest.stage`: instrument, (instrument, rule), (instrument, part) or part.

        With `instrument` or `rule` only theirs. Raises ConfigError for an unknown name, saying the nearest valid one, and for
        an instrument or a rule where the stage has none.
        """
        tables = {stage: table for table, stages in self.manifest.columns.items() for stage in stages}
        if name not in tables:
            raise ConfigError(f"{self.name}: no stage {name} is kept{_nearest_or_all(name, self.manifest.stages)}")
        table = tables[name]
        keys, columns = KEYS[table], self.manifest.columns[table][name]
        names = {"instrument": self.manifest.instruments, "rule": self.manifest.rules}
        filters = []
        for key, wanted in (("instrument", instrument), ("rule", rule)):
            if wanted is None:
                continue
            if key not in keys:
                raise ConfigError(f"stage {name} is not by {key}; leave out --{key}")
            if wanted not in names[key]:
                raise ConfigError(f"{self.name} has no {key} {wanted}{_nearest_or_all(wanted, names[key])}")
            filters.append((key, "=", wanted))
        long = self._read(f"{table}.parquet", ["date", *keys, *columns], filters or None).to_pandas()
        return _wide(long.astype(dict.fromkeys(keys, str)), list(keys), columns, names=names)

    def _read(self, name: str, columns: list[str] | None = None, filters: list[Any] | None = None) -> pa.Table:
        words = {"path": str(self.folder / name), "remedy": "run the strategy again"}
        try:
            with naming_damage(DATASET, self.manifest.strategy, **words), (self.folder / name).open("rb") as file:
                return pq.read_table(file, columns=columns, filters=filters, use_threads=False)
        except FileNotFoundError:
            raise StateError(f"{self.folder / name} has gone: the run was replaced or pruned meanwhile; ask again") from None


def _wide(long: pd.DataFrame, keys: list[str], columns: list[str], *, names: dict[str, list[str]]) -> pd.DataFrame:
    """From a row per date and key to a row per date: keys in the order of `known`, pairs of instrument and rule without figures left out."""
    by_date = long.set_index(["date", *keys])[columns]
    if not keys:
        return by_date.set_axis([_part(column) for column in columns], axis=1)
    tables = [pd.DataFrame(by_date[column].unstack(keys)) for column in columns]
    order = _product([names[key] for key in keys], keys)
    order = order[order.isin(tables[0].columns)]
    if len(tables) == 1:
        wide = tables[0][order]
        return wide.dropna(axis=1, how="all") if "rule" in keys else wide
    parts = pd.concat(tables, axis=1, keys=[_part(column) for column in columns], names=["part"]).swaplevel(axis=1)
    return parts[pd.MultiIndex.from_product([order, [_part(column) for column in columns]])]


def _product(values: list[list[str]], names: list[str]) -> pd.Index:
    return pd.Index(values[0], name=names[0]) if len(values) == 1 else pd.MultiIndex.from_product(values, names=names)


def _part(column: str) -> str:
    return column.rpartition(".")[2]


def saved_strategies(store: Store) -> list[str]:
    """Strategies that have saved runs."""
    root = store.root / DATASET
    return sorted(folder.name for folder in root.iterdir() if saved_days(store, folder.name)) if root.exists() else []


def saved_days(store: Store, strategy: str) -> list[date]:
    """Business days of which a complete run is kept, oldest first."""
    folder = store.root / DATASET / strategy
    if not folder.exists():
        return []
    days = [_day(child.name) for child in folder.iterdir() if (child / MANIFEST).exists()]
    return sorted(day for day in days if day is not None)


def open_run(store: Store, strategy: str, day: date | None = None) -> SavedRun:
    """The saved run of a day, the newest one if none is given. Raises ConfigError for a strategy or day that is not kept."""
    days = saved_days(store, strategy)
    if not days:
        strategies = saved_strategies(store)
        hint = _nearest_or_all(strategy, strategies) if strategies else "; `tradeflow day` makes the first one"
        raise ConfigError(f"no run of strategy {strategy} is kept{hint}")
    wanted = day or days[-1]
    if wanted not in days:
        closest = min(days, key=lambda each: abs(each - wanted))
        raise ConfigError(
            f"no run of {strategy} of {wanted} is kept: the nearest is of {closest}, of {len(days)} since {days[0]}"
        )
    return SavedRun.open(store.root / DATASET / strategy / wanted.isoformat())


def _nearest_or_all(word: str, names: Iterable[str]) -> str:
    """The end of a sentence about a wrong word: the nearest of the valid `names`, or up to 40 of them."""
    valid = list(names)
    return nearest(word, valid) or (f"; there are {', '.join(valid[:40])}{' ...' if len(valid) > 40 else ''}" if valid else "")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
