"""The page around the sections of a tear sheet: head, figures at a glance, styles and scripts."""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import Any

from plotly.offline import get_plotlyjs

from tradeflow_core.strategy.results.html.formats import day, number, percent, spread, whole
from tradeflow_core.strategy.results.html.packing import script_json
from tradeflow_core.strategy.results.html.sections import Section
from tradeflow_core.strategy.results.summary import Summary

PACKAGE = resources.files("tradeflow_core.strategy.results.html")


def page(summary: Summary, sections: list[Section], data: dict[str, Any]) -> str:
    """The whole file. The charting library is part of it, once."""
    title = escape(summary.strategy or "Backtest")
    links = "".join(f"<a href='#{section.key}'>{escape(section.title)}</a>" for section in sections)
    body = "".join(
        f"<section id='{section.key}'><h2>{escape(section.title)}</h2>{section.html}</section>" for section in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_text("page.css")}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<header><h1>{title}</h1>{_span(summary)}</header>
<nav aria-label="Sections">{links}</nav>
<main>{_glance(summary)}{body}</main>
<script type="application/json" id="data">{script_json(data)}</script>
<script>{_text("page.js")}</script>
</body>
</html>
"""


def _text(name: str) -> str:
    return (PACKAGE / name).read_text(encoding="utf-8")


def _span(summary: Summary) -> str:
    dates = f"{day(summary.first_day)} to {day(summary.last_day)}" if summary.first_day is not None else "no days yet"
    money = f"{escape(summary.base_currency)} {whole(summary.capital)} of capital"
    return f"<p>Backtest, {dates} · {money} · volatility target {summary.percentage_vol_target:g} % a year</p>"


def _glance(summary: Summary) -> str:
    net, gross, costs = (summary.statistics[part] for part in ("net", "gross", "costs"))
    traded = int((summary.by_instrument["std"] > 0).sum())
    tiles = [
        ("Net return a year", percent(net["ann_mean"]), f"gross {percent(gross['ann_mean'])}"),
        ("Volatility a year", spread(net["ann_std"], 1), f"target {summary.percentage_vol_target:g} %"),
        ("Sharpe ratio", number(net["sharpe"]), f"Sortino {number(net['sortino'])}"),
        ("Worst drawdown", percent(net["worst_drawdown"]), f"average {percent(net['avg_drawdown'])}"),
        ("Costs a year", percent(costs["ann_mean"], 2), f"turnover {number(summary.portfolio_turnover, 1)}"),
        ("Instruments traded", str(traded), f"of {len(summary.by_instrument)}"),
    ]
    cards = "".join(
        f"<div class='tile'><span>{name}</span><b>{value}</b><small>{more}</small></div>" for name, value, more in tiles
    )
    return f"<div class='tiles'>{cards}</div>"
