"""A tear sheet: the results of a backtest in one HTML file, with charts, that needs no network."""

from __future__ import annotations

from pathlib import Path

from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy.backtest import Backtest
from tradeflow_core.strategy.results.curves import CurveGroup, portfolio_curve
from tradeflow_core.strategy.results.sheet import sections
from tradeflow_core.strategy.results.sheet.figures import instrument_layout
from tradeflow_core.strategy.results.sheet.packing import Packer, instrument_series
from tradeflow_core.strategy.results.sheet.page import page
from tradeflow_core.strategy.results.summary import summarise

__all__ = ["tear_sheet"]


def tear_sheet(backtest: Backtest, path: str | Path | None = None, *, by_rule: bool = True) -> str:
    """The tear sheet of a backtest as HTML, written to `path` if one is given.

    `by_rule`: with profit and loss by trading rule, which takes as long as the backtest itself. Raises ConfigError where `path`
    cannot be written.
    """
    curves = portfolio_curve(backtest.accounts)
    summary = summarise(backtest, curves)
    parts = [
        sections.account(curves, backtest.config),
        sections.statistics_section(summary),
        sections.months(curves),
        sections.sectors(curves, summary, backtest),
        sections.rules(_by_rule(backtest) if by_rule else None, backtest.config),
        sections.instruments(summary),
        sections.costs(curves, summary),
        sections.positions(backtest),
        sections.caveats(summary.shortcomings),
        sections.configuration(backtest.config, len(backtest.instruments)),
    ]
    packer = Packer()
    charts = {place: figure for part in parts for place, figure in part.charts.items()}
    data = packer.pack(
        {"charts": charts, "instruments": instrument_series(backtest, curves), "instrument_layout": instrument_layout()}
    )
    html = page(summary, parts, {**data, "dates": packer.dates})
    if path is not None:
        try:
            Path(path).write_text(html, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"the tear sheet cannot be written to {path}: {error.strerror}; choose another path") from None
    return html


def _by_rule(backtest: Backtest) -> CurveGroup:
    return CurveGroup.of_table(backtest.rule_accounts.by_rule, backtest.config.notional_trading_capital)
