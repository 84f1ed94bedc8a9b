"""The stages of a backtest by name, as tables by date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import pandas as pd

from tradeflow_core.strategy.common.panel import Panel
from tradeflow_core.strategy.config.data_items import DAILY_ITEMS
from tradeflow_core.strategy.parts import Parts


def _by_rule(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables by rule side by side: columns (instrument, rule), instruments first."""
    joined = pd.concat(tables, axis=1, names=["rule", "instrument"], sort=True).swaplevel(axis=1)
    return joined.sort_index(axis=1, level=0, sort_remaining=False)


def _forecasts(part: Literal["raw", "scalars", "capped"]) -> Callable[[Parts], pd.DataFrame]:
    """A stage of every rule's forecasts."""

    def stage(parts: Parts) -> pd.DataFrame:
        tables = {}
        for rule, forecast in parts.forecasts.by_rule.items():
            at_stamps = getattr(forecast.at_stamps, part) if forecast.hourly else None
            tables[rule] = (
                getattr(forecast, part).values if at_stamps is None else pd.DataFrame(at_stamps).rename_axis(columns="instrument")
            )
        return _by_rule(tables)

    return stage


def _combined(part: str) -> Callable[[Parts], Panel | pd.DataFrame]:
    """A stage of the combined forecast, at the stamps of hourly rules too where the strategy has some."""

    def stage(parts: Parts) -> Panel | pd.DataFrame:
        if not parts.forecasts.any_hourly(parts.forecasts.rules):
            return getattr(parts.combined, part)  # type: ignore[no-any-return]
        columns = {}
        for instrument in parts.instruments:
            forecast = parts.combined.of(instrument)
            columns[instrument] = pd.Series(getattr(forecast, part), index=forecast.index)
        return pd.DataFrame(columns).rename_axis(columns="instrument")

    return stage


def _bands(parts: Parts) -> pd.DataFrame:
    sides = {"upper": parts.buffers.upper.values, "lower": parts.buffers.lower.values}
    joined = pd.concat(sides, axis=1, names=["edge", "instrument"]).swaplevel(axis=1)
    return joined.sort_index(axis=1, level=0, sort_remaining=False)


def _at_own_stamps(series: Mapping[str, pd.Series]) -> pd.DataFrame:
    columns = {instrument: values[~values.index.duplicated(keep="last")] for instrument, values in series.items()}
    return pd.DataFrame(columns).rename_axis(columns="instrument")


def _item(name: str) -> Callable[[Parts], Panel]:
    return lambda parts: parts.raw_data.item(name)


STAGES: dict[str, Callable[[Parts], Panel | pd.DataFrame]] = {
    **{name: _item(name) for name in DAILY_ITEMS},
    "raw_futures_roll": lambda parts: _at_own_stamps(parts.raw_data.raw_futures_roll),
    "roll_differentials": lambda parts: _at_own_stamps(parts.raw_data.roll_differentials),
    "raw_forecast": _forecasts("raw"),
    "attenuation": lambda parts: parts.raw_data.attenuation,
    "forecast_scalar": _forecasts("scalars"),
    "capped_forecast": _forecasts("capped"),
    "forecast_weights": lambda parts: _by_rule({rule: parts.combined.weights(rule).values for rule in parts.combined.rules}),
    "fdm": lambda parts: parts.combined.diversification_multiplier,
    "combined_forecast_before_cap": _combined("before_cap"),
    "combined_forecast": _combined("combined"),
    "fx": lambda parts: parts.sizing.fx,
    "block_value": lambda parts: parts.sizing.block_value,
    "instrument_currency_vol": lambda parts: parts.sizing.instrument_currency_vol,
    "instrument_value_vol": lambda parts: parts.sizing.instrument_value_vol,
    "average_position": lambda parts: parts.sizing.average_position,
    "subsystem_position": lambda parts: parts.sizing.subsystem_position,
    "instrument_weights": lambda parts: parts.portfolio.weights,
    "idm": lambda parts: parts.portfolio.diversification_multiplier,
    "position_before_overlay": lambda parts: parts.portfolio.position_before_overlay,
    "risk_overlay": lambda parts: parts.portfolio.risk_overlay,
    "risk_scalar": lambda parts: parts.portfolio.risk_scalar.to_frame(),
    "notional_position": lambda parts: parts.portfolio.notional_position,
    "buffers": _bands,
    "buffered_position_rounded": lambda parts: parts.buffered_position,
    "buffered_position_unrounded": lambda parts: parts.buffered_position_unrounded,
    "optimised_position": lambda parts: parts.dynamic.positions,
    "held_position": lambda parts: parts.held_position,
    "instrument_pandl": lambda parts: parts.accounts.by_instrument,
    "portfolio_pandl": lambda parts: parts.accounts.total,
    "rule_pandl": lambda parts: parts.rule_accounts.by_rule,
    "capital_multiplier": lambda parts: parts.capital_multiplier.to_frame(),
    "actual_position": lambda parts: parts.actual_position,
    "actual_pandl": lambda parts: parts.actual_accounts.total,
}
"""Each stage of a backtest, in the order of the calculation, by the name that it is asked for with."""
