"""The stages of a backtest by name, as tables by date."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.common.panel import Panel
from tradeflow_core.strategy.forecasts.forecasts import Forecasts
from tradeflow_core.strategy.inputs.raw_data import RawData

Hourly = dict[str, pd.DataFrame]


def _by_rule(panel: Callable[[str], Panel], rules: list[str], hourly: Hourly | None = None) -> pd.DataFrame:
    """Columns (instrument, rule), instruments first; with the stamps of hourly rules too where there are some."""
    at_stamps = hourly or {}
    tables = {rule: at_stamps[rule] if rule in at_stamps else panel(rule).values for rule in rules}
    joined = pd.concat(tables, axis=1, names=["rule", "instrument"], sort=True).swaplevel(axis=1)
    return joined.sort_index(axis=1, level=0, sort_remaining=False)


def _forecasts(part: str, panel: Callable[[Forecasts], Callable[[str], Panel]]) -> Callable[[Backtest], pd.DataFrame]:
    """A stage of every rule's forecasts, `part` being its name for hourly rules."""

    def stage(backtest: Backtest) -> pd.DataFrame:
        forecasts = backtest.forecasts
        hourly = {
            rule: pd.DataFrame(getattr(forecasts.intraday(rule), part)).rename_axis(columns="instrument")
            for rule in forecasts.rules
            if forecasts.has_intraday([rule])
        }
        return _by_rule(panel(forecasts), forecasts.rules, hourly)

    return stage


def _combined(part: str) -> Callable[[Backtest], Panel | pd.DataFrame]:
    """A stage of the combined forecast, at the stamps of hourly rules too where the strategy has some."""

    def stage(backtest: Backtest) -> Panel | pd.DataFrame:
        if not backtest.forecasts.has_intraday(backtest.forecasts.rules):
            return getattr(backtest.combined, part)  # type: ignore[no-any-return]
        columns = {}
        for code in backtest.instruments:
            found = backtest.combined.of(code)
            columns[code] = pd.Series(getattr(found, part), index=found.index)
        return pd.DataFrame(columns).rename_axis(columns="instrument")

    return stage


def _bands(backtest: Backtest) -> pd.DataFrame:
    sides = {"upper": backtest.buffers.upper.values, "lower": backtest.buffers.lower.values}
    joined = pd.concat(sides, axis=1, names=["edge", "instrument"]).swaplevel(axis=1)
    return joined.sort_index(axis=1, level=0, sort_remaining=False)


def _at_own_stamps(series: Mapping[str, pd.Series]) -> pd.DataFrame:
    columns = {code: one[~one.index.duplicated(keep="last")] for code, one in series.items()}
    return pd.DataFrame(columns).rename_axis(columns="instrument")


def _item(name: str) -> Callable[[Backtest], Panel]:
    return lambda backtest: backtest.raw_data.item(name)


STAGES: dict[str, Callable[[Backtest], Panel | pd.DataFrame]] = {
    **{name: _item(name) for name in RawData.ITEMS},
    "raw_futures_roll": lambda backtest: _at_own_stamps(backtest.raw_data.raw_futures_roll),
    "roll_differentials": lambda backtest: _at_own_stamps(backtest.raw_data.roll_differentials),
    "raw_forecast": _forecasts("raw", lambda forecasts: forecasts.raw),
    "attenuation": lambda backtest: backtest.forecasts.attenuation,
    "forecast_scalar": _forecasts("scalars", lambda forecasts: forecasts.scalars),
    "capped_forecast": _forecasts("capped", lambda forecasts: forecasts.capped),
    "forecast_weights": lambda backtest: _by_rule(backtest.combined.weights, backtest.combined.rules),
    "fdm": lambda backtest: backtest.combined.diversification_multiplier,
    "combined_forecast_before_cap": _combined("before_cap"),
    "combined_forecast": _combined("combined"),
    "fx": lambda backtest: backtest.sizing.fx,
    "block_value": lambda backtest: backtest.sizing.block_value,
    "instrument_currency_vol": lambda backtest: backtest.sizing.instrument_currency_vol,
    "instrument_value_vol": lambda backtest: backtest.sizing.instrument_value_vol,
    "average_position": lambda backtest: backtest.sizing.average_position,
    "subsystem_position": lambda backtest: backtest.sizing.subsystem_position,
    "instrument_weights": lambda backtest: backtest.portfolio.weights,
    "idm": lambda backtest: backtest.portfolio.diversification_multiplier,
    "position_before_overlay": lambda backtest: backtest.portfolio.position_before_overlay,
    "risk_overlay": lambda backtest: backtest.portfolio.risk_overlay,
    "risk_scalar": lambda backtest: backtest.portfolio.risk_scalar.to_frame(),
    "notional_position": lambda backtest: backtest.portfolio.notional_position,
    "buffers": _bands,
    "buffered_position_rounded": lambda backtest: backtest.buffered_position,
    "buffered_position_unrounded": lambda backtest: backtest.buffered_position_unrounded,
    "optimised_position": lambda backtest: backtest.dynamic.positions,
    "held_position": lambda backtest: backtest.held_position,
    "instrument_pandl": lambda backtest: backtest.accounts.by_instrument,
    "portfolio_pandl": lambda backtest: backtest.accounts.total,
    "rule_pandl": lambda backtest: backtest.rule_accounts.by_rule,
    "capital_multiplier": lambda backtest: backtest.capital_multiplier.to_frame(),
    "actual_position": lambda backtest: backtest.actual_position,
    "actual_pandl": lambda backtest: backtest.actual_accounts.total,
}
"""Each stage of a backtest, in the order of the calculation, by the name that it is asked for with."""
