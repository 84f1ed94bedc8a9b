"""A backtest in a few tables, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.config.compat import Correction
from tradeflow_core.strategy.results.curve_statistics import statistics
from tradeflow_core.strategy.results.curves import PARTS, AccountCurve, CurveGroup, Part, portfolio_curve
from tradeflow_core.strategy.results.shortcomings import Shortcoming, shortcomings
from tradeflow_core.strategy.results.turnovers import turnover_table

IN_PERCENT = frozenset(
    ("min", "max", "median", "mean", "std", "ann_mean", "ann_std", "avg_drawdown", "worst_drawdown", "avg_loss", "avg_gain")
)
"""Statistics in percent of capital; the others have no unit."""


@dataclass(frozen=True, eq=False)
class Summary:
    """What a backtest made. Percents are of the notional capital, by year where not said otherwise; money in `base_currency`.

    `statistics`: by gross, costs, net, those of daily percents. `by_sector`, `by_instrument` (best first): columns of
    `performance`, the latter with those of turnover. `portfolio_turnover`: average positions a year.
    """

    strategy: str
    compat: str
    first_day: pd.Timestamp | None
    last_day: pd.Timestamp | None
    base_currency: str
    capital: float
    percentage_vol_target: float
    statistics: dict[Part, dict[str, float]]
    by_sector: pd.DataFrame
    by_instrument: pd.DataFrame
    portfolio_turnover: float
    shortcomings: list[Shortcoming]

    def to_dict(self) -> dict[str, Any]:
        """The same in plain JSON types: tables as lists of records, dates in ISO form, what is unknown as null."""
        return {
            **{name: getattr(self, name) for name in ("strategy", "compat", "base_currency", "capital", "percentage_vol_target")},
            "first_day": _plain(self.first_day),
            "last_day": _plain(self.last_day),
            "statistics": {
                part: {name: _plain(value) for name, value in figures.items()} for part, figures in self.statistics.items()
            },
            "by_sector": _records(self.by_sector),
            "by_instrument": _records(self.by_instrument),
            "portfolio_turnover": _plain(self.portfolio_turnover),
            "shortcomings": [asdict(shortcoming) for shortcoming in self.shortcomings],
        }


def summarise(backtest: Backtest, curves: CurveGroup | None = None) -> Summary:
    """The summary of a backtest; `curves` of its portfolio, if at hand."""
    config = backtest.config
    portfolio = portfolio_curve(backtest.accounts) if curves is None else curves
    corrected = config.corrects(Correction.STATISTICS)
    sectors = sectors_of(backtest)
    turnovers = turnover_table(backtest)
    instruments = performance(portfolio.members, corrected=corrected).join(turnovers)
    instruments.insert(0, "sector", pd.Series(sectors))
    by_sector = performance(portfolio.grouped(sectors).members, corrected=corrected)
    by_sector.insert(0, "instruments", pd.Series(sectors).value_counts())
    days = portfolio.gross.index
    return Summary(
        strategy=Path(config.source).stem,
        compat=config.compat if isinstance(config.compat, str) else ", ".join(config.compat),
        first_day=pd.Timestamp(days[0]) if len(days) else None,
        last_day=pd.Timestamp(days[-1]) if len(days) else None,
        base_currency=config.base_currency,
        capital=config.notional_trading_capital,
        percentage_vol_target=config.percentage_vol_target,
        statistics={part: statistics(portfolio.returns(part), corrected=corrected) for part in PARTS},
        by_sector=by_sector.rename_axis("sector").sort_values("net", ascending=False),
        by_instrument=instruments.rename_axis("instrument").sort_values("net", ascending=False, na_position="last"),
        portfolio_turnover=float(turnovers["portfolio_turnover"].sum()),
        shortcomings=shortcomings(backtest, turnovers["SR_cost_per_trade"]),
    )


def sectors_of(backtest: Backtest) -> dict[str, str]:
    """The asset class of every instrument."""
    return {instrument: backtest.data.instrument(instrument).asset_class or "Other" for instrument in backtest.instruments}


def performance(curves: Mapping[str, AccountCurve], *, corrected: bool = True) -> pd.DataFrame:
    """A row per curve: held_since, percent a year (gross, costs, net, std), sharpe, worst_drawdown and total (percent)."""
    rows = {name: _performance(curve, corrected=corrected) for name, curve in curves.items()}
    columns = ["held_since", "gross", "costs", "net", "std", "sharpe", "worst_drawdown", "total"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _performance(curve: AccountCurve, *, corrected: bool) -> dict[str, Any]:
    net = curve.returns()
    figures = statistics(net, corrected=corrected)
    years = len(net.values) / net.per_year
    yearly: dict[str, float] = {part: _over(float(curve.returns(part).values.sum()), years) for part in PARTS}
    chosen = {"std": figures["ann_std"], "sharpe": figures["sharpe"], "worst_drawdown": figures["worst_drawdown"]}
    return {"held_since": curve.held_since, **yearly, **chosen, "total": float(net.values.sum())}


def _over(total: float, years: float) -> float:
    return total / years if years else math.nan


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): _plain(value) for key, value in row.items()} for row in table.reset_index().to_dict("records")]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return value.item() if hasattr(value, "item") else value


# For the terminal


def summary_tables(summary: Summary, instruments: int = 10) -> list[Table]:
    """Tables for a terminal: statistics, by sector, and the best and worst `instruments`, all in percent of capital a year."""
    best, worst = summary.by_instrument.head(instruments), summary.by_instrument.iloc[instruments:].tail(instruments)
    trading = {"turnover": _number, "SR_cost_per_year": _small}
    titles = ("Best instruments", "Worst instruments") if len(worst) else ("Instruments",)
    return [
        _statistics_table(summary),
        _performance_table("By sector", summary.by_sector, {"instruments": _count}),
        *(
            _performance_table(title, table, {"sector": str, **trading})
            for title, table in zip(titles, (best, worst), strict=False)
        ),
        *([_shortcomings_table(summary.shortcomings)] if summary.shortcomings else []),
    ]


def _statistics_table(summary: Summary) -> Table:
    span = f", {summary.first_day:%Y-%m-%d} to {summary.last_day:%Y-%m-%d}" if summary.first_day and summary.last_day else ""
    table = _table(f"{escape(summary.strategy)}{span}, {summary.base_currency} {summary.capital:,.0f}", ["", *PARTS])
    for name in summary.statistics["net"]:
        unit = " %" if name in IN_PERCENT else ""
        table.add_row(name, *(_significant(summary.statistics[part][name], unit) for part in PARTS))
    table.add_row("turnover", "", "", _number(summary.portfolio_turnover))
    return table


def _performance_table(title: str, rows: pd.DataFrame, extra: Mapping[str, Any]) -> Table:
    columns = {
        **{name: show for name, show in extra.items() if name in ("sector", "instruments")},
        **dict.fromkeys(("gross", "costs", "net"), _percent),
        "std": _unsigned,
        "sharpe": _number,
        "worst_drawdown": _percent,
        **{name: show for name, show in extra.items() if name not in ("sector", "instruments")},
    }
    table = _table(title, ["", *(name.replace("_", " ") for name in columns)])
    for label, row in rows.iterrows():
        table.add_row(escape(str(label)), *(escape(show(row[name])) for name, show in columns.items()))
    return table


def _shortcomings_table(notes: list[Shortcoming]) -> Table:
    table = Table(title="Caveats", title_justify="left", title_style="bold", header_style="dim")
    for name in ("instrument", "kind", "detail"):
        table.add_column(name)
    for note in notes:
        table.add_row(escape(note.instrument), note.kind, note.detail)
    return table


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place and name != "sector" else "left")
    return table


def _percent(value: float) -> str:
    return f"{value:+,.2f} %" if math.isfinite(value) else ""


def _unsigned(value: float) -> str:
    return f"{value:,.2f} %" if math.isfinite(value) else ""


def _significant(value: float, unit: str) -> str:
    return f"{value:.4g}{unit}" if math.isfinite(value) else ""


def _number(value: float) -> str:
    return f"{value:,.2f}" if math.isfinite(value) else ""


def _small(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""


def _count(value: float) -> str:
    return f"{value:.0f}"
