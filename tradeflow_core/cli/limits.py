"""Limits by hand: of positions, and of what is traded in so many days; or all of them from risk."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tradeflow_core import orders, reports
from tradeflow_core.cli.changes import (
    MANY,
    history_option,
    of_instrument_option,
    print_change,
    print_controls,
    reason_option,
    strategy_option,
)
from tradeflow_core.cli.common import (
    DAYS,
    Number,
    ask,
    console,
    dry_run_option,
    json_option,
    open_desk,
    print_json,
    print_table,
    yes_option,
)

if TYPE_CHECKING:
    from tradeflow_core.orders import RiskLimit

contracts_argument = click.argument("contracts", metavar="CONTRACTS|none")


@click.group(invoke_without_command=True)
@history_option
@of_instrument_option
@json_option
@click.pass_context
def limits(ctx: click.Context, instrument: str | None, *, history: bool, as_json: bool) -> None:
    """Show the limits of positions beside positions, and of trades beside what is used; with a command, change them.

    \b
    tradeflow limits position CORN 20 --why "thin market"       at most 20 contracts, long or short
    tradeflow limits trade CORN --days 5 8 --why "thin market"  at most 8 contracts in any 5 days
    tradeflow limits populate --why "quarterly review"          all instruments, from risk
    """
    if ctx.invoked_subcommand is not None:
        return
    desk = open_desk(ctx.obj, quiet=as_json)
    code = instrument and desk.instrument(instrument).code
    position_limits = reports.position_limit_rows(desk, code, history=history)
    trade_limits = reports.trade_limit_rows(desk, code, history=history)
    if as_json:
        print_json({"position_limits": position_limits, "trade_limits": trade_limits})
        return
    print_controls("Position limits", position_limits, history=history, everything="all together")
    print_controls("Trade limits", trade_limits, history=history, everything="all together")


@limits.command(context_settings={"ignore_unknown_options": True})
@click.argument("instrument")
@contracts_argument
@strategy_option
@reason_option
@dry_run_option
@json_option
@click.pass_obj
def position(
    home: Path | None, instrument: str, contracts: str, *, strategy: str, why: str, dry_run: bool, as_json: bool
) -> None:
    """Limit the position in INSTRUMENT to so many CONTRACTS on either side; `none` ends the limit."""
    desk = open_desk(home, quiet=as_json)
    wanted, who = orders.parse_contracts(contracts), getpass.getuser()
    change = orders.limit_position_by_hand(desk, strategy, instrument, contracts=wanted, who=who, why=why, dry_run=dry_run)
    print_change(change, dry_run=dry_run, as_json=as_json)


@limits.command(context_settings={"ignore_unknown_options": True})
@click.argument("instrument")
@contracts_argument
@strategy_option
@click.option("--days", type=DAYS, required=True, help="The period: as many days that end now.")
@reason_option
@dry_run_option
@json_option
@click.pass_obj
def trade(
    home: Path | None, instrument: str, contracts: str, *, strategy: str, days: int, why: str, dry_run: bool, as_json: bool
) -> None:
    """Limit what is traded of INSTRUMENT to so many CONTRACTS in so many days, rolls included; `none` ends the limit."""
    desk = open_desk(home, quiet=as_json)
    wanted, who = orders.parse_contracts(contracts), getpass.getuser()
    change = orders.limit_trades_by_hand(
        desk, strategy, instrument, days=days, contracts=wanted, who=who, why=why, dry_run=dry_run
    )
    print_change(change, dry_run=dry_run, as_json=as_json)


@limits.command()
@click.option(
    "--days", type=DAYS, multiple=True, default=(1,), show_default=True, help="Period of the trade limits; may be repeated."
)
@click.option(
    "--max-leverage",
    type=Number(0, 1000),
    default=1.0,
    show_default=True,
    help="Largest value of a position, as a multiple of the capital.",
)
@reason_option
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def populate(
    home: Path | None, days: tuple[int, ...], max_leverage: float, *, why: str, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Set the limits of every instrument from risk, by the newest saved run of each strategy, after showing what changes and asking.

    The largest position of an instrument is what the strategies hold at their largest forecast (twice the average one), or what the
    leverage allows, whichever is smaller. The position limit is that, at least 1; the trade limit of N days is a third of it times the square
    root of N, at least 4. Instruments without figures keep their limits, and so do limits of a single strategy.
    """
    desk = open_desk(home, quiet=as_json)
    risk_limits = orders.limits_from_risk(desk, list(dict.fromkeys(days)), max_leverage=max_leverage)
    changes = sum(len(limit.changed) for limit in risk_limits)
    if not as_json:
        _print_limits(risk_limits)
    done = bool(changes) and not dry_run and ask(f"change {changes} limits?", yes=yes, as_json=as_json)
    if done:
        orders.apply_limits_from_risk(desk, risk_limits, who=getpass.getuser(), why=why)
    if as_json:
        print_json({"limits": [_row(limit) for limit in risk_limits], "changes": changes, "done": done})
    elif done:
        console.print(f"{changes} limits are changed")
    else:
        console.print(f"would change {changes} limits" if dry_run and changes else "nothing was changed")


def _row(limit: RiskLimit) -> dict[str, object]:
    """A row of the table of former and new limits."""
    columns: dict[str, object] = {
        "instrument": limit.instrument,
        "position": limit.position,
        "by_risk": limit.by_risk,
        "by_leverage": limit.by_leverage,
    }
    for days in limit.before:
        name = f"trades_in_{days}_days" if days else "position_limit"
        columns |= {f"{name}_before": limit.before[days], name: limit.after[days] if limit.is_known else limit.before[days]}
    return columns


def _print_limits(risk_limits: list[RiskLimit]) -> None:
    print_table(
        f"Limits from risk, by {risk_limits[0].source}" if risk_limits else "Limits from risk",
        [_row(limit) for limit in risk_limits],
        limit=MANY,
    )
    for limit in risk_limits:
        if not limit.is_known:
            console.print(
                f"{limit.instrument}: the saved run has no figures of it (too little history?); its limits stay", markup=False
            )
        elif abs(limit.position) > (limit.after[0] or 0):
            console.print(
                f"[yellow]warning:[/yellow] {limit.instrument}: the position is {limit.position}: the next orders reduce it to {limit.after[0]}"
            )
