"""The sections of a tear sheet: tables, and places for charts."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd
import yaml

from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.config.strategy_config import StrategyConfig
from tradeflow_core.strategy.results.curves import CurveGroup
from tradeflow_core.strategy.results.html import figures
from tradeflow_core.strategy.results.html.formats import (
    Column,
    day,
    figure,
    number,
    pairs,
    percent,
    plain_table,
    price,
    small,
    spread,
    table,
    text,
    whole,
)
from tradeflow_core.strategy.results.html.packing import latest_positions
from tradeflow_core.strategy.results.shortcomings import Shortcoming
from tradeflow_core.strategy.results.summary import IN_PERCENT, Summary, performance, sectors_of

SHOWN_EACH_WAY = 12


@dataclass
class Section:
    """A heading, its HTML, and the charts that go into the places named by their ids."""

    key: str
    title: str
    html: str
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


def place(chart: str, label: str) -> str:
    """Where the page draws a chart."""
    return f"<div class='chart' id='{chart}' role='img' aria-label='{escape(label, quote=True)}'></div>"


def account(curves: CurveGroup, config: StrategyConfig) -> Section:
    """Curve, drawdown and volatility."""
    note = "<p class='note'>Percent of the capital, added up and not compounded. Volatility: of the 128 days around each one.</p>"
    html = place("account-chart", "Cumulative net and gross return, drawdown and rolling volatility") + note
    charts = {"account-chart": figures.account_figure(curves, config.corrects(Correction.STATISTICS))}
    return Section("account", "Account curve", html, charts)


def months(curves: CurveGroup) -> Section:
    """The heat map of months and years."""
    monthly, annual = curves.returns(frequency="monthly"), curves.returns(frequency="annual")
    if not len(monthly.values):
        return Section("months", "Months", "<p class='none'>There are no returns yet.</p>")
    html = f"<div class='scroll'><div class='wide'>{place('months-chart', 'Net return of each month and year')}</div></div>"
    html += "<p class='note'>Net percent of each month, and the sum of each year.</p>"
    return Section("months", "Months", html, {"months-chart": figures.months_figure(monthly, annual)})


def statistics_section(summary: Summary) -> Section:
    """Gross, net and costs side by side."""
    tables = []
    for groups in (("Year", "Drawdown"), ("Day",)):
        rows = {
            label: [_statistic(name, summary.statistics[part][name]) for part in ("gross", "net", "costs")]
            for group in groups
            for name, label in STATISTICS[group].items()
        }
        tables.append(plain_table(rows, ("", "Gross", "Net", "Costs")))
    html = f"<div class='pair'>{''.join(tables)}</div>"
    html += "<p class='note'>Of daily percents of the capital, 256 a year. Costs: from the first to the last day with any.</p>"
    return Section("statistics", "Statistics", html)


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


def sectors(curves: CurveGroup, summary: Summary, backtest: Backtest) -> Section:
    """Asset classes: curves and figures."""
    columns = {"instruments": Column("Instruments", whole), **PERFORMANCE}
    html = place("sectors-chart", "Cumulative net return by asset class") + table(summary.by_sector, columns, "Sector")
    groups = curves.grouped(sectors_of(backtest))
    return Section("sectors", "By sector", html, {"sectors-chart": figures.curves_figure(groups.members)})


def rules(curves: CurveGroup | None, config: StrategyConfig) -> Section:
    """Trading rules: curves and figures, if there are any to show."""
    if curves is None:
        return Section(
            "rules", "By rule", "<p class='none'>Left out: this tear sheet was made without profit and loss by rule.</p>"
        )
    found = performance(curves.members, config.corrects(Correction.STATISTICS)).drop(columns="held_since")
    columns = {name: column for name, column in PERFORMANCE.items() if name in found}
    html = place("rules-chart", "Cumulative net return by rule") + table(
        found.sort_values("net", ascending=False), columns, "Rule"
    )
    html += "<p class='note'>Each rule as if traded on its own with its weight in the portfolio, in fractions of contracts.</p>"
    return Section("rules", "By rule", html, {"rules-chart": figures.curves_figure(curves.members)})


def instruments(summary: Summary) -> Section:
    """The best and worst, and all of them."""
    total = summary.by_instrument["total"].dropna().sort_values(ascending=False)
    many = len(total) > 2 * SHOWN_EACH_WAY
    shown = pd.concat([total.head(SHOWN_EACH_WAY), total.tail(SHOWN_EACH_WAY)]) if many else total
    title = f"<h3>The {SHOWN_EACH_WAY} best and {SHOWN_EACH_WAY} worst</h3>" if many else ""
    html = title + place("instruments-chart", "Total net return by instrument")
    html += (
        f"<h3>All {len(total)}</h3><input class='filter' type='search' placeholder='Filter' aria-label='Filter instruments'>"
        if many
        else ""
    )
    html += table(summary.by_instrument, {"sector": Column("Sector"), **PERFORMANCE}, "Instrument")
    charts = {"instruments-chart": figures.bars_figure(shown, "Net, total")}
    return Section("instruments", "By instrument", html, charts)


def costs(curves: CurveGroup, summary: Summary) -> Section:
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
    lead = f"<p>The portfolio trades <b>{number(summary.portfolio_turnover)}</b> average positions a year"
    annual = curves.returns("costs", frequency="annual")
    charts = {"costs-chart": figures.costs_figure(annual)} if len(annual.values) else {}
    if charts:
        paid = spread(-summary.statistics["costs"]["ann_mean"])
        html = f"{lead}, which costs <b>{paid}</b> of the capital.</p>{place('costs-chart', 'Costs of each year')}"
    else:
        html = f"{lead}, and nothing was charged.</p>"
    by_cost = summary.by_instrument.sort_values("SR_cost_per_year", ascending=False, na_position="last")
    return Section("costs", "Turnover and costs", html + table(by_cost, columns, "Instrument"), charts)


def positions(backtest: Backtest) -> Section:
    """The latest ones, and the history of one that is chosen."""
    found = latest_positions(backtest)
    found.insert(0, "sector", pd.Series(sectors_of(backtest)))
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
    choices = "".join(f"<option>{escape(code)}</option>" for code in backtest.instruments)
    chooser = f"<label class='choice'>Instrument <select id='instrument-choice'>{choices}</select></label>"
    chart = place("instrument-chart", "Price, position and net return of the chosen instrument")
    html = f"<h3>Latest</h3>{table(found, columns, 'Instrument')}<h3>History of one</h3>{chooser}{chart}"
    return Section("positions", "Positions", html)


def configuration(config: StrategyConfig, instruments: int) -> Section:
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
    dump = yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    html = f"{pairs(chosen)}<details><summary>Every setting</summary><pre>{escape(dump)}</pre></details>"
    return Section("configuration", "Configuration", html)


_ESTIMATES = {
    "instrument": "use_instrument_weight_estimates",
    "forecast": "use_forecast_weight_estimates",
    "multiplier": "use_instrument_div_mult_estimates",
}


def caveats(found: list[Shortcoming]) -> Section:
    """What the backtest could not do fully."""
    if not found:
        return Section("caveats", "Caveats", "<p class='none'>Nothing to report: every instrument has what it needs.</p>")
    rows: dict[str, Any] = {"kind": [one.kind for one in found], "detail": [one.detail for one in found]}
    frame = pd.DataFrame(rows, index=[one.instrument for one in found])
    html = table(frame, {"kind": Column("What", text), "detail": Column("Detail", text)}, "Instrument")
    return Section("caveats", "Caveats", html)
