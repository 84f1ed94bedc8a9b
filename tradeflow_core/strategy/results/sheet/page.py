"""The page around the sections of a tear sheet: head, figures at a glance, styles and scripts."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from tradeflow_core.strategy.results.sheet.formats import day, number, percent, spread, whole
from tradeflow_core.strategy.results.sheet.packing import script_json
from tradeflow_core.strategy.results.sheet.sections import PageSection
from tradeflow_core.strategy.results.summary import Summary

PACKAGE = "tradeflow_core.strategy.results.sheet"


def page(summary: Summary, sections: list[PageSection], data: dict[str, Any]) -> str:
    """The whole file. The charting library is part of it, once. Every text is escaped; the template exempts our own styles and scripts."""
    templates = Environment(
        loader=PackageLoader(PACKAGE, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template("page.html.jinja").render(
        title=summary.strategy or "Backtest",
        lead=_lead(summary),
        tiles=_tiles(summary),
        sections=sections,
        styles=_file("page.css"),
        script=_file("page.js"),
        charting_library=get_plotlyjs(),
        data=script_json(data),
    )


def _file(name: str) -> str:
    return (resources.files(PACKAGE) / name).read_text(encoding="utf-8")


def _lead(summary: Summary) -> str:
    dates = f"{day(summary.first_day)} to {day(summary.last_day)}" if summary.first_day is not None else "no days yet"
    money = f"{summary.base_currency} {whole(summary.capital)} of capital"
    return f"Backtest, {dates} · {money} · volatility target {summary.percentage_vol_target:g} % a year"


def _tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """Figures at a glance: name, value, and what goes with it."""
    net, gross, costs = (summary.statistics[part] for part in ("net", "gross", "costs"))
    traded = int((summary.by_instrument["std"] > 0).sum())
    return [
        ("Net return a year", percent(net["ann_mean"]), f"gross {percent(gross['ann_mean'])}"),
        ("Volatility a year", spread(net["ann_std"], 1), f"target {summary.percentage_vol_target:g} %"),
        ("Sharpe ratio", number(net["sharpe"]), f"Sortino {number(net['sortino'])}"),
        ("Worst drawdown", percent(net["worst_drawdown"]), f"average {percent(net['avg_drawdown'])}"),
        ("Costs a year", percent(costs["ann_mean"], 2), f"turnover {number(summary.portfolio_turnover, 1)}"),
        ("Instruments traded", str(traded), f"of {len(summary.by_instrument)}"),
    ]
