"""Calling a trading rule: fetching its data, giving it what it takes, checking what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError, TradeflowError
from tradeflow_core.strategy.common.panel import Floats, Panel, Span
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.data_items import FACTS
from tradeflow_core.strategy.config.nested import RuleConfig
from tradeflow_core.strategy.config.sections import ForecastSection
from tradeflow_core.strategy.inputs.raw_data import RawData
from tradeflow_core.strategy.rules import RULES, rule_function, takes_whole_table

DEFAULT_VOL_DAYS = 35
"""The default of `vol_days` of our own rules."""

Input = Panel | pd.Series


def raw_forecast(name: str, raw_data: RawData, section: ForecastSection) -> Panel:
    """The output of a rule of the strategy, for all instruments.

    A forecast of exactly 0 is missing, as in pysystemtrade; corrected (FLAT_STAYS_FLAT), it is flat. There are forecasts on
    days without price; corrected (PAUSED_MARKETS), there are none. Raises DataError where the rule fails, ConfigError where it
    returns something else than forecasts.
    """
    rule = section.trading_rules[name]
    where = f"{section.source}: trading_rules.{name}: {rule.function}"
    inputs = [_input(raw_data, item, rule.arguments_of_item(place)) for place, item in enumerate(rule.data, start=1)]
    panels = [data for data in inputs if isinstance(data, Panel)]
    span = panels[0].span
    for panel in panels[1:]:
        span = span | panel.span
    function = rule_function(rule.function)
    if rule.function in RULES or takes_whole_table(function):
        arguments = {**_provided(rule, function, raw_data, section=section), **rule.arguments}
        tables = [data.values.copy(deep=False) if isinstance(data, Panel) else data.copy() for data in inputs]
        table = _checked_table(_called(function, tables, arguments, where=where), panels[0].values, where)
    else:
        table = _by_instrument(function, inputs, rule.arguments, span=span, like=panels[0].values, where=where)
    rows = span.mask(len(table))
    if not section.corrects(Correction.FLAT_STAYS_FLAT):
        rows &= table.to_numpy() != 0.0
    if section.corrects(Correction.PAUSED_MARKETS):
        rows &= raw_data.priced
    return Panel(table.where(rows), span)


def called_at_stamps(name: str, raw_data: RawData, section: ForecastSection) -> dict[str, pd.Series]:
    """The output of a rule on data with stamps of their own, by instrument. Raises as `raw_forecast`."""
    rule = section.trading_rules[name]
    function = rule_function(rule.function)
    arguments = dict(rule.arguments)
    if rule.function in RULES and "vol_of_changes" in inspect.signature(function).parameters:
        arguments.setdefault("vol_of_changes", section.corrects(Correction.VOL_OF_CHANGES))
    forecasts = {}
    for instrument in raw_data.instruments:
        where = f"{section.source}: trading_rules.{name}: {rule.function}, instrument {instrument},"
        inputs = [getattr(raw_data, item)[instrument] for item in rule.data]
        stamps = pd.DatetimeIndex(next(data.index for data in inputs if isinstance(data, pd.Series)))
        values: Floats = np.empty(0)
        if len(stamps):
            values = _checked_series(_called(function, inputs, arguments, where=where), stamps, where)
        forecasts[instrument] = pd.Series(values, index=stamps, dtype=float)
    return forecasts


def _input(raw_data: RawData, item: str, arguments: dict[str, Any]) -> Input:
    return getattr(raw_data, item) if item in FACTS else raw_data.item(item, **arguments)


def _provided(rule: RuleConfig, function: Callable[..., Any], raw_data: RawData, *, section: ForecastSection) -> dict[str, Any]:
    """What the engine gives to our own rules: choices that the corrections make, and volatilities that several rules share."""
    parameters = inspect.signature(function).parameters if rule.function in RULES else {}
    provided: dict[str, Any] = {}
    if "vol_of_changes" in parameters:
        of_changes = bool(rule.arguments.get("vol_of_changes", section.corrects(Correction.VOL_OF_CHANGES)))
        days = rule.arguments.get("vol_days", DEFAULT_VOL_DAYS)
        vol = raw_data.level_vol_of(rule.data[0], days, of_changes=of_changes, **rule.arguments_of_item(1))
        provided = {"vol_of_changes": of_changes, "own_vol": vol.values}
    if "judge_short" in parameters:
        provided["judge_short"] = False  # a table's length says nothing of the length of each series
    return provided


def _called(function: Callable[..., Any], inputs: list[Any], arguments: dict[str, Any], *, where: str) -> Any:
    try:
        return function(*inputs, **arguments)
    except TradeflowError as error:
        raise type(error)(f"{where}: {error}") from error
    except Exception as error:
        raise DataError(f"{where} failed: {type(error).__name__}: {error}") from error


def _checked_table(result: Any, like: pd.DataFrame, where: str) -> pd.DataFrame:
    if not isinstance(result, pd.DataFrame):
        raise ConfigError(f"{where} returned {_described(result)}, not a table like its data, {_described(like)}")
    if not result.index.equals(like.index) or result.columns.has_duplicates or set(result.columns) != set(like.columns):
        returned, wanted = _described(result), _described(like)
        raise ConfigError(f"{where} returned {returned} with other days or instruments than its data, {wanted}")
    return result[like.columns] if all(map(_is_number, result.dtypes)) else _refused(result, where)


def _by_instrument(
    function: Callable[..., Any], inputs: list[Input], arguments: dict[str, Any], *, span: Span, like: pd.DataFrame, where: str
) -> pd.DataFrame:
    values = np.full(like.shape, np.nan)
    for column, instrument in enumerate(like.columns):
        if span.empty[column]:
            continue
        place = f"{where}, instrument {instrument},"
        rows = slice(int(span.first[column]), int(span.last[column]) + 1)
        result = _called(function, [_own(data, column) for data in inputs], arguments, where=place)
        values[rows, column] = _checked_series(result, pd.DatetimeIndex(like.index[rows]), place)
    return pd.DataFrame(values, index=like.index, columns=like.columns)


def _own(data: Input, column: int) -> Any:
    """What a rule gets of one instrument: its own rows of a panel, or its value."""
    if isinstance(data, Panel):
        return data.values.iloc[data.own_rows(column), column]
    return data.iloc[column]


def _checked_series(result: Any, days: pd.DatetimeIndex, where: str) -> Floats:
    if not isinstance(result, pd.Series):
        raise ConfigError(f"{where} returned {_described(result)}, not a Series like its data")
    if not _is_number(result.dtype):
        _refused(result, where)
    index = result.index
    if not isinstance(index, pd.DatetimeIndex) or index.has_duplicates or not index.isin(days).all():
        period = f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"
        raise ConfigError(f"{where} returned {_described(result)} that is not by the days of its data, {period}")
    return result.reindex(days).to_numpy(dtype=float)


def _is_number(dtype: Any) -> bool:
    types = pd.api.types
    return types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) and not types.is_complex_dtype(dtype)


def _refused(result: pd.DataFrame | pd.Series, where: str) -> Any:
    raise ConfigError(f"{where} returned {_described(result)} that are not all numbers")


def _described(result: Any) -> str:
    shape = getattr(result, "shape", None)
    return f"a {type(result).__name__}" + (f" of shape {shape}" if shape is not None else "")
