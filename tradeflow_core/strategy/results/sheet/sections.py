"""What each section of a tear sheet shows. How it is laid out is in sections.html.jinja, a macro for each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd
import yaml

from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.results.curves import CurveGroup
from tradeflow_core.strategy.results.sheet import figures
from tradeflow_core.strategy.results.sheet.formats import (
    Column,
    day,
    figure,
    number,
    percent,
    price,
    small,
    spread,
    table,
    whole,
)
from tradeflow_core.strategy.results.sheet.packing import latest_positions
from tradeflow_core.strategy.results.shortcomings import Shortcoming
from tradeflow_core.strategy.results.summary import IN_PERCENT, Summary, performance, sectors_of

SHOWN_EACH_WAY = 12


@dataclass(frozen=True)
class PageSection:
    """A heading, what its macro in sections.html.jinja is given, and the charts for the places named by their ids."""

    key: str
    title: str
    content: dict[str, Any] = field(default_factory=dict)
    charts: dict[str, figures.Figure] = field(default_factory=dict)


PERFORMANCE = {
    "held_since": Column("Held since", day),
    "net": Column("Net a year", percent, coloured=True, meaning="Percent of the capital a year, over its own days"),
    "gross": Column("Gross a year", percent, coloured=True),
    "costs": Column("Costs a year", lambda value: percent(value, 2)),
    "std": Column("Std a year", lambda value: spread(value, 1), meaning="Standard deviation of daily net returns, a year"),
    "sharpe": Column("Sharpe", number, coloured=True),
    "worst_drawdown": Column("Worst drawdown", percent),
    "total": Column("Net, total", percent, coloured=True, meaning="Sum over all days, percent of the capital"),
}
STATISTICS = {
    "Year": {
        "ann_mean": "Mean a year",
        "ann_std": "Standard deviation a year",
        "sharpe": "Sharpe ratio",
        "sortino": "Sortino ratio",
        "t_stat": "t-statistic of the mean",
        "p_value": "p-value of the mean",
    },
    "Drawdown": {
        "avg_drawdown": "Average drawdown",
        "worst_drawdown": "Worst drawdown",
        "time_in_drawdown": "Share of days in drawdown",
        "calmar": "Mean a year / worst drawdown",
        "avg_return_to_drawdown": "Mean a year / average drawdown",
    },
    "Day": {
        "mean": "Mean a day",
        "median": "Median day",
        "std": "Standard deviation a day",
        "min": "Worst day",
        "max": "Best day",
        "skew": "Skew",
        "avg_loss": "Average loss",
        "avg_gain": "Average gain",
        "gaintolossratio": "Average gain / average loss",
        "profitfactor": "Sum of gains / sum of losses",
        "hitrate": "Gains among days with profit or loss",
        "quant_ratio_lower": "Lower tail (normal: 1)",
        "quant_ratio_upper": "Upper tail (normal: 1)",
        "average_quant_ratio": "Both tails (normal: 1)",
    },
}


def account(curves: CurveGroup, config: StrategyConfig) -> PageSection:
    """Curve, drawdown and volatility."""
    charts = {"account-chart": figures.account_figure(curves, corrected=config.corrects(Correction.STATISTICS))}
    return PageSection("account", "Account curve", charts=charts)


def months(curves: CurveGroup) -> PageSection:
    """The heat map of months and years."""
    monthly, annual = curves.returns(frequency="monthly"), curves.returns(frequency="annual")
    some = len(monthly.values) > 0
    return PageSection(
        "months", "Months", {"any": some}, {"months-chart": figures.months_figure(monthly, annual)} if some else {}
    )


def statistics_section(summary: Summary) -> PageSection:
    """Gross, net and costs side by side."""
    tables = [
        {
            label: [_statistic(name, summary.statistics[part][name]) for part in ("gross", "net", "costs")]
            for group in groups
            for name, label in STATISTICS[group].items()
        }
        for groups in (("Year", "Drawdown"), ("Day",))
    ]
    return PageSection("statistics", "Statistics", {"tables": tables})


def _statistic(name: str, value: float) -> str:
    if name in ("std", "ann_std"):
        return spread(value)
    if name in ("time_in_drawdown", "hitrate"):
        return spread(100.0 * value)
    if name == "p_value" and value < 0.0001:
        return "< 0.0001"
    if name in IN_PERCENT:
        return f"{'+' if value > 0 else ''}{spread(value)}"
    return figure(value)


def sectors(curves: CurveGroup, summary: Summary, backtest: Backtest) -> PageSection:
    """Asset classes: curves and figures."""
    columns = {"instruments": Column("Instruments", whole), **PERFORMANCE}
    groups = curves.grouped(sectors_of(backtest))
    content = {"table": table(summary.by_sector, columns, "Sector")}
    return PageSection("sectors", "By sector", content, {"sectors-chart": figures.curves_figure(groups.members)})


def rules(curves: CurveGroup | None, config: StrategyConfig) -> PageSection:
    """Trading rules: curves and figures, if there are any to show."""
    if curves is None:
        return PageSection("rules", "By rule", {"table": None})
    figures_of_rules = performance(curves.members, corrected=config.corrects(Correction.STATISTICS)).drop(columns="held_since")
    columns = {name: column for name, column in PERFORMANCE.items() if name in figures_of_rules}
    content = {"table": table(figures_of_rules.sort_values("net", ascending=False), columns, "Rule")}
    return PageSection("rules", "By rule", content, {"rules-chart": figures.curves_figure(curves.members)})


def instruments(summary: Summary) -> PageSection:
    """The best and worst, and all of them."""
    total = summary.by_instrument["total"].dropna().sort_values(ascending=False)
    many = len(total) > 2 * SHOWN_EACH_WAY
    shown = pd.concat([total.head(SHOWN_EACH_WAY), total.tail(SHOWN_EACH_WAY)]) if many else total
    content = {
        "many": many,
        "count": len(total),
        "shown_each_way": SHOWN_EACH_WAY,
        "table": table(summary.by_instrument, {"sector": Column("Sector"), **PERFORMANCE}, "Instrument"),
    }
    return PageSection("instruments", "By instrument", content, {"instruments-chart": figures.bars_figure(shown, "Net, total")})


def costs(curves: CurveGroup, summary: Summary) -> PageSection:
    """Turnover and what it costs."""
    columns = {
        "turnover": Column("Turnover", number, meaning="Average positions traded a year"),
        "portfolio_turnover": Column(
            "At portfolio level", number, meaning="The same in average positions of the whole capital; they add up"
        ),
        "subsystem_turnover": Column("Before buffers", number, meaning="Turnover of the wanted position"),
        "rolls_per_year": Column("Rolls a year", whole),
        "SR_cost_per_trade": Column("Cost a trade, SR", small, meaning="In units of annual risk"),
        "SR_cost_per_year": Column("Cost a year, SR", small, meaning="Of trading and rolling that much, in units of annual risk"),
        "costs": Column(
            "Costs a year", lambda value: percent(value, 2), meaning="Charged in the backtest, percent of the capital"
        ),
    }
    annual = curves.returns("costs", frequency="annual")
    charts = {"costs-chart": figures.costs_figure(annual)} if len(annual.values) else {}
    by_cost = summary.by_instrument.sort_values("SR_cost_per_year", ascending=False, na_position="last")
    content = {
        "turnover": number(summary.portfolio_turnover),
        "paid": spread(-summary.statistics["costs"]["ann_mean"]) if charts else "",
        "table": table(by_cost, columns, "Instrument"),
    }
    return PageSection("costs", "Turnover and costs", content, charts)


def positions(backtest: Backtest) -> PageSection:
    """The latest ones, and the history of one that is chosen."""
    latest = latest_positions(backtest)
    latest.insert(0, "sector", pd.Series(sectors_of(backtest)))
    currency = backtest.config.base_currency
    columns = {
        "sector": Column("Sector"),
        "position": Column("Contracts", whole, coloured=True, meaning="Decided at the last close"),
        "exposure": Column(f"Exposure, {currency}", whole, coloured=True, meaning="Contracts x price x point size x FX rate"),
        "exposure_percent": Column("Of capital", percent, coloured=True),
        "combined_forecast": Column("Forecast", number, coloured=True),
        "notional_position": Column("Wanted", number, coloured=True),
        "lower": Column("Lower edge", number),
        "upper": Column("Upper edge", number),
        "reference_price": Column("Price", price, meaning="Last daily adjusted price"),
        "reference_date": Column("Of", day),
    }
    content = {"table": table(latest, columns, "Instrument"), "instruments": backtest.instruments}
    return PageSection("positions", "Positions", content)


def configuration(config: StrategyConfig, instruments: int) -> PageSection:
    """The main settings, and all of them."""
    estimated = {name: "estimated" for name, key in _ESTIMATES.items() if getattr(config, key, False)}
    weights = estimated.get("instrument", "equal" if config.instrument_weights is None else "fixed")
    chosen = {
        "Strategy file": config.source,
        "Figures": config.compat if isinstance(config.compat, str) else f"{len(config.compat)} corrections",
        "Capital": f"{config.base_currency} {whole(config.notional_trading_capital)}",
        "Volatility target": f"{config.percentage_vol_target:g} % a year",
        "Instruments": f"{instruments}, weights {weights}",
        "Rules": ", ".join(config.trading_rules),
        "Forecast weights": estimated.get("forecast", "equal" if config.forecast_weights is None else "fixed"),
        "Forecast cap": f"{config.forecast_cap:g}",
        "Diversification multiplier": estimated.get("multiplier", f"{config.instrument_div_multiplier:g}"),
        "Buffer": config.buffer_method
        if config.buffer_method == "none"
        else f"{config.buffer_size:.0%} of the {config.buffer_method}",
        "Costs": "in Sharpe-ratio units" if config.use_SR_costs else "in money, by fill",
        "Start": f"{config.start_date:%-d %b %Y}",
    }
    every_setting = yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    return PageSection("configuration", "Configuration", {"chosen": chosen, "every_setting": every_setting})


_ESTIMATES = {
    "instrument": "use_instrument_weight_estimates",
    "forecast": "use_forecast_weight_estimates",
    "multiplier": "use_instrument_div_mult_estimates",
}


def caveats(shortcomings: list[Shortcoming]) -> PageSection:
    """What the backtest could not do fully."""
    rows = pd.DataFrame([asdict(shortcoming) for shortcoming in shortcomings], columns=["instrument", "kind", "detail"])
    columns = {"kind": Column("What"), "detail": Column("Detail")}
    return PageSection("caveats", "Caveats", {"table": table(rows.set_index("instrument"), columns, "Instrument")})
