"""Saving a backtest as saved_runs.py describes it: whole or not at all."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from tradeflow_core import __version__
from tradeflow_core.home import replace_text
from tradeflow_core.nightly.saved_runs import CONFIG, COVARIANCE, DATASET, MANIFEST, OPTIMAL, Manifest
from tradeflow_core.store import Store
from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.common.panel import business_day_numbers, business_days

BY_RULE = ("capped_forecast", "forecast_weights")
OF_OVERLAY = ("position_before_overlay", "risk_overlay")
KEPT_STAGES = (
    *("daily_price", "daily_returns_volatility", "daily_percentage_volatility", "raw_carry"),
    *("capped_forecast", "forecast_weights", "fdm", "combined_forecast_before_cap", "combined_forecast"),
    *("fx", "instrument_currency_vol", "instrument_value_vol", "average_position", "subsystem_position"),
    *("instrument_weights", "idm", "position_before_overlay", "risk_overlay", "notional_position"),
    *("buffers", "held_position", "instrument_pandl", "portfolio_pandl"),
)
"""Stages that are kept, in the order of the calculation; those of the risk overlay only of a strategy that has one."""

KEPT_ROWS = 260
"""Days kept of each stage of a nightly run: a year."""

ROWS_AT_ONCE = 250_000
"""Rows of a table that are put together at a time: some 40 megabytes, however many instruments there are."""


def save_day(store: Store, backtest: Backtest, strategy: str, *, day: date, time: datetime) -> None:
    """Keep the last year of a nightly run as that of `day`, in place of a former run of the same day."""
    folder = store.root / DATASET / strategy / day.isoformat()
    former = [child for child in folder.iterdir() if child.name != MANIFEST] if folder.exists() else []
    name = str(1 + max((int(child.name) for child in former if child.name.isdigit()), default=0))
    manifest = _write_files(folder / name, backtest, strategy, time=time, rows=KEPT_ROWS)
    _replace_text(folder / MANIFEST, replace(manifest, day=day, folder=name).to_json())
    for child in former:
        _remove(child)


def save_folder(folder: UPath, backtest: Backtest, strategy: str, *, time: datetime) -> Manifest:
    """Keep every day of a backtest in a folder of its own; the files of a former run there are replaced."""
    (folder / MANIFEST).unlink(missing_ok=True)
    manifest = _write_files(folder, backtest, strategy, time=time, rows=None)
    _replace_text(folder / MANIFEST, manifest.to_json())
    return manifest


def prune(store: Store, strategy: str, day: date, *, keep_days: int) -> None:
    """Remove runs of days that are more than `keep_days` before `day`."""
    oldest = (day - timedelta(days=keep_days)).isoformat()
    for folder in [child for child in (store.root / DATASET / strategy).iterdir() if child.name < oldest]:
        (folder / MANIFEST).unlink(missing_ok=True)
        _remove(folder)


def _write_files(folder: UPath, backtest: Backtest, strategy: str, *, time: datetime, rows: int | None) -> Manifest:
    """Everything but the manifest: the last `rows` days of each stage, or all."""
    folder.mkdir(parents=True, exist_ok=True)
    days = backtest.raw_data.calendar.days
    since = days[0] if rows is None else days[-min(rows, len(days))]
    wide = _by_column(backtest, since)
    _write_table(folder / "portfolio.parquet", iter([_portfolio_table(wide["portfolio"])]))
    _write_table(folder / "instruments.parquet", _instrument_tables(wide["instruments"], backtest.instruments))
    _write_table(folder / "rules.parquet", _rule_tables(backtest, since))
    facts = [backtest.data.instrument(instrument).point_size for instrument in backtest.instruments]
    _write_table(folder / OPTIMAL, iter([pa.Table.from_pandas(backtest.latest().assign(point_size=facts))]))
    if backtest.config.dynamic_optimisation:
        _write_table(folder / COVARIANCE, iter([pa.Table.from_pandas(backtest.dynamic.latest_covariance())]))
    _replace_text(folder / CONFIG, json.dumps(backtest.config.model_dump(mode="json"), indent=1))
    config = backtest.config
    columns = {table: _stages_of(names) for table, names in wide.items()} | {"rules": {stage: [stage] for stage in BY_RULE}}
    kept = {stage for stages in columns.values() for stage in stages}
    return Manifest(
        strategy=strategy,
        day=None,
        time=time,
        capital=float(config.notional_trading_capital),
        currency=config.base_currency,
        compat=config.compat if isinstance(config.compat, str) else [str(name) for name in config.compat],
        instruments=backtest.instruments,
        rules=backtest.forecasts.rules,
        first=since.date(),
        last=days[-1].date(),
        stages=[stage for stage in KEPT_STAGES if stage in kept],
        columns=columns,
        versions=_versions(),
    )


def _by_column(backtest: Backtest, since: pd.Timestamp) -> dict[str, dict[str, pd.DataFrame]]:
    """Wide tables of the stages by name of their column in the tables `instruments` and `portfolio`."""
    tables: dict[str, dict[str, pd.DataFrame]] = {"instruments": {}, "portfolio": {}}
    instruments = set(backtest.instruments)
    unused = (*BY_RULE, *(OF_OVERLAY if backtest.config.risk_overlay is None else ()))
    for stage in [stage for stage in KEPT_STAGES if stage not in unused]:
        wide = backtest.stage(stage).loc[since:]
        if not instruments.issuperset(wide.columns.get_level_values(0)):
            named = {stage if column == stage else f"{stage}.{column}": wide[[column]] for column in wide.columns}
            tables["portfolio"] |= named
        elif wide.columns.nlevels == 1:
            tables["instruments"][stage] = wide
        else:
            parts = wide.columns.unique(1)
            tables["instruments"] |= {f"{stage}.{part}": pd.DataFrame(wide.xs(part, axis=1, level=1)) for part in parts}
    return tables


def _stages_of(columns: Iterable[str]) -> dict[str, list[str]]:
    stages: dict[str, list[str]] = {}
    for column in columns:
        stages.setdefault(column.partition(".")[0], []).append(column)
    return stages


def _portfolio_table(columns: dict[str, pd.DataFrame]) -> pa.Table:
    joined = pd.concat([wide.set_axis([name], axis=1) for name, wide in columns.items()], axis=1)
    return pa.table({"date": _dates(pd.DatetimeIndex(joined.index)), **{name: joined[name].to_numpy(float) for name in columns}})


def _instrument_tables(columns: dict[str, pd.DataFrame], instruments: list[str]) -> Iterator[pa.Table]:
    """A row for each date and instrument, some dates at a time."""
    dates = pd.DatetimeIndex(reduce(pd.Index.union, (wide.index for wide in columns.values())))
    arrays = {name: wide.reindex(index=dates, columns=instruments).to_numpy(float) for name, wide in columns.items()}
    step = max(1, ROWS_AT_ONCE // len(instruments))
    for start in range(0, len(dates), step):
        some = dates[start : start + step]
        labels = {"instrument": _labels(np.tile(np.arange(len(instruments)), len(some)), instruments)}
        figures = {name: array[start : start + step].ravel() for name, array in arrays.items()}
        yield pa.table({"date": _dates(some.repeat(len(instruments))), **labels, **figures})


def _rule_tables(backtest: Backtest, since: pd.Timestamp) -> Iterator[pa.Table]:
    """A row for each rule that an instrument uses and each date, instrument by instrument."""
    instruments, rules = backtest.instruments, backtest.forecasts.rules
    used = backtest.forecasts.rules_by_instrument
    capped = {rule: backtest.forecasts.of(rule).capped.values.loc[since:] for rule in {*chain(*used.values())}}
    dates = backtest.raw_data.calendar.days
    dates = dates[dates >= since]
    for place, instrument in enumerate(instruments):
        used_rules = [rule for rule in rules if rule in used[instrument]]
        forecasts = np.column_stack([capped[rule][instrument].to_numpy(float) for rule in used_rules])
        weights = _daily_weights(backtest, instrument).reindex(index=dates, columns=used_rules).to_numpy(float)
        labels = {"instrument": _labels(np.full(forecasts.size, place), instruments)}
        labels["rule"] = _labels(np.tile([rules.index(rule) for rule in used_rules], len(dates)), rules)
        arrays = dict(zip(BY_RULE, (forecasts.ravel(), weights.ravel()), strict=True))
        yield pa.table({"date": _dates(dates.repeat(len(used_rules))), **labels, **arrays})


def _daily_weights(backtest: Backtest, instrument: str) -> pd.DataFrame:
    """Weights of rules in use at the end of each business day."""
    forecast = backtest.combined.of(instrument)
    numbers = business_day_numbers(forecast.index)
    last = np.flatnonzero(np.diff(numbers, append=-1))
    days = business_days(int(numbers[0]), int(numbers[-1]))[numbers[last] - numbers[0]] if len(numbers) else forecast.index
    return pd.DataFrame(forecast.weights[last], index=days, columns=forecast.rules)


def _labels(place: Any, names: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(place.astype(np.int32), names)


def _dates(dates: pd.DatetimeIndex) -> pa.Array:
    return pa.array(dates.as_unit("us"))


def _write_table(path: UPath, parts: Iterator[pa.Table]) -> None:
    """One Parquet file, put together some parts at a time."""
    first = next(parts)
    encodings = {each.name: "BYTE_STREAM_SPLIT" for each in first.schema if pa.types.is_floating(each.type)}
    coded = [name for name in first.schema.names if name not in encodings]
    options: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "column_encoding": encodings}
    with path.open("wb") as file:
        with pq.ParquetWriter(file, first.schema, use_dictionary=coded, **options) as writer:
            waiting = [first]
            for part in parts:
                waiting.append(part)
                if sum(map(len, waiting)) >= ROWS_AT_ONCE:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting.clear()
            writer.write_table(pa.concat_tables([first.slice(0, 0), *waiting]))
        _sync(path, file)


def _replace_text(path: UPath, text: str) -> None:
    """Replace a file as a whole: where files are local by renaming, an object store does it itself."""
    if not _is_local(path):
        path.write_text(text, encoding="utf-8")
    else:
        replace_text(Path(path.path), text)


def _sync(path: UPath, file: IO[Any]) -> None:
    """Have a local file on the disk, not only on its way there."""
    if _is_local(path):
        file.flush()
        os.fsync(file.fileno())


def _is_local(path: UPath) -> bool:
    return path.protocol in ("", "file", "local")


def _remove(path: UPath) -> None:
    path.fs.rm(path.path, recursive=True)


def _versions() -> dict[str, str]:
    """What the figures were made with."""
    libraries = {module.__name__: module.__version__ for module in (np, pd, pa)}
    return {"tradeflow": __version__, "python": platform.python_version(), **libraries}
