"""The `tradeflow` command: its root, and how it fails."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.markup import escape

from tradeflow_core import __version__
from tradeflow_core.cli import backtest, days, desk, history, orders, prices, roll
from tradeflow_core.cli.render import errors
from tradeflow_core.errors import TradeflowError


class _Root(click.Group):
    """Commands whose expected failures are one line on standard error, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TradeflowError as error:
            errors.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
            ctx.exit(1)


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), help="The home to work in (default: TRADEFLOW_HOME, or ./var)."
)
@click.pass_context
def root(ctx: click.Context, home: Path | None) -> None:
    """Run a systematic futures trading business.

    \b
    Begin:     tradeflow init          make a home on the simulated market
               tradeflow day           run the business day: prices, positions, orders, trades
               tradeflow status        capital, positions, orders, freshness, locks
    """
    ctx.obj = home


for module in (days, desk, orders, roll, prices, history, backtest):
    for command in module.COMMANDS:
        root.add_command(command)


def main() -> None:
    """Entry point."""
    try:
        root(standalone_mode=True)
    except BrokenPipeError:
        sys.exit(1)
