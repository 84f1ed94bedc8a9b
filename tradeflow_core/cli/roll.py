"""Rolls by hand: roll states, rolls of prices, roll parameters."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import click
import pandas as pd

from tradeflow_core.cli.common import (
    DAYS,
    OFFSET,
    ask,
    console,
    json_option,
    open_desk,
    print_json,
    print_table,
    why_option,
    yes_option,
)
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.instruments import RollRule
from tradeflow_core.model import EVENT_CONTRACTS, RollState, contract_label
from tradeflow_core.rolls import (
    EXPLANATIONS,
    ParameterChange,
    RollStatus,
    apply_parameters,
    mend_gaps,
    parse_state,
    plan_parameters,
    preview_roll,
    preview_tables,
    roll_by_rules,
    roll_prices,
    roll_statuses,
    set_state,
)
from tradeflow_core.series import METHODS, MendedRoll, RollMethod, RollPlan


@click.group(invoke_without_command=True)
@click.option(
    "--days", type=DAYS, help="Only instruments that roll, or whose contract or carry contract expires, within this many days."
)
@json_option
@click.pass_context
def roll(ctx: click.Context, days: int | None, *, as_json: bool) -> None:
    """Show the roll state of every instrument, the most urgent first; with a command, act on it.

    \b
    tradeflow roll explain                        what the states mean
    tradeflow roll preview GOLD_micro             the prices before and after a roll
    tradeflow roll set GOLD_micro Roll_Adjusted   roll the prices into the forward contract
    tradeflow roll mend GOLD_micro --dry-run      past rolls without a price of both contracts
    """
    if ctx.invoked_subcommand is not None:
        return
    desk = open_desk(ctx.obj, quiet=as_json)
    statuses = [status for status in roll_statuses(desk) if days is None or status.urgency <= days]
    if as_json:
        print_json(status_rows(statuses))
        return
    if days is not None and not statuses:
        console.print(f"nothing is due in the next {days} days")
        return
    print_statuses("Rolls, the most urgent first", statuses)
    console.print("`tradeflow roll explain` says what the states mean")


def status_rows(statuses: list[RollStatus]) -> list[dict[str, object]]:
    """The statuses as JSON rows."""
    return [{**asdict(status), "urgency": status.urgency, "allowed": list(status.allowed)} for status in statuses]


def print_statuses(title: str, statuses: list[RollStatus]) -> None:
    """The statuses as a table."""
    rows = [
        {
            "instrument": status.instrument,
            "state": status.state,
            "decision": status.decision,
            "priced": contract_label(status.priced),
            "forward": contract_label(status.forward),
            "position": status.position,
            "days to roll": status.days_to_roll,
            "to expiry": status.days_to_expiry,
            "to carry expiry": status.days_to_carry_expiry,
            "relative volume": status.relative_volume,
            "allowed": ", ".join(status.allowed),
        }
        for status in statuses
    ]
    frame = pd.DataFrame(rows)
    if len(frame):
        frame = frame.drop(columns="decision" if (frame["decision"] == "").all() else "allowed")
    print_table(
        title, frame, "no instrument has a roll history yet; `tradeflow day` or `tradeflow prices update` makes it", limit=1000
    )
    for status in statuses:
        if status.note:
            console.print(f"{status.instrument}: {status.note}", soft_wrap=True, markup=False)


@roll.command()
@click.argument("state", required=False)
@json_option
def explain(state: str | None, *, as_json: bool) -> None:
    """Explain a roll state, or all of them."""
    roll_states = [parse_state(state)] if state else list(RollState)
    if as_json:
        print_json({roll_state.value: EXPLANATIONS[roll_state] for roll_state in roll_states})
        return
    for roll_state in roll_states:
        console.print(f"[bold]{roll_state}[/bold]: {EXPLANATIONS[roll_state]}", soft_wrap=True)


@roll.command("set")
@click.argument("instrument")
@click.argument("state")
@why_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@yes_option
@json_option
@click.pass_obj
def set_(home: Path | None, instrument: str, state: str, *, why: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Put INSTRUMENT into a roll STATE; Roll_Adjusted rolls its prices into the forward contract, after showing a preview and asking."""
    desk = open_desk(home, quiet=as_json)
    desk.instrument(instrument)
    new_state = parse_state(state)
    change = set_state(desk, instrument, new_state, who=getpass.getuser(), why=why, dry_run=dry_run)
    report: dict[str, object] = {
        "instrument": instrument,
        "before": change.before.value,
        "after": change.after.value,
        "position": change.position,
        "warnings": list(change.warnings),
        "done": not dry_run,
    }
    plan = preview_roll(desk, instrument) if new_state == RollState.ROLL_ADJUSTED else None
    if plan:
        if not as_json:
            print_preview(desk, instrument, plan)
        if not dry_run:
            report["done"] = ask(f"roll {instrument}?", yes=yes, as_json=as_json)
            if report["done"]:
                roll_prices(desk, instrument, "person", who=getpass.getuser(), why=why, plan=plan)
                report["after"] = RollState.NO_ROLL.value
        report["roll"] = _event(plan)
    if as_json:
        print_json(report)
        return
    for warning in change.warnings:
        console.print(f"[yellow]warning:[/yellow] {warning}", soft_wrap=True)
    if dry_run:
        console.print(f"would change {instrument} from {change.before} to {new_state}")
    elif report["done"]:
        rolled = f" (rolled into {contract_label(plan.price_contract)})" if plan else ""
        console.print(f"[bold]{instrument}[/bold]: {change.before} -> {report['after']}{rolled}")
    else:
        console.print("nothing was changed")


@roll.command()
@click.argument("instruments", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only say what the rules would do.")
@yes_option
@json_option
@click.pass_obj
def auto(home: Path | None, instruments: tuple[str, ...], *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Let the rules decide the roll of INSTRUMENTS (default: all near their roll); each roll of prices is shown and has to be confirmed."""
    desk = open_desk(home, quiet=as_json)
    for instrument in instruments:
        desk.instrument(instrument)

    def confirm(instrument: str, plan: RollPlan) -> bool:
        if not as_json:
            print_preview(desk, instrument, plan)
        return ask(f"roll {instrument}?", yes=yes, as_json=as_json)

    statuses = roll_by_rules(
        desk, list(instruments) or None, dry_run=dry_run, confirm=None if yes else confirm, who=getpass.getuser()
    )
    if as_json:
        print_json(status_rows(statuses))
        return
    listed = [status for status in statuses if status.decision or status.note or instruments]
    if listed:
        print_statuses("Rolls by the rules", listed)
    else:
        console.print(f"{len(statuses)} instruments, nothing to do")


@roll.command()
@click.argument("instrument")
@json_option
@click.pass_obj
def preview(home: Path | None, instrument: str, *, as_json: bool) -> None:
    """Show multiple and adjusted prices of INSTRUMENT before and after a roll into its forward contract. Nothing is changed."""
    desk = open_desk(home, quiet=as_json)
    desk.instrument(instrument)
    plan = preview_roll(desk, instrument)
    if as_json:
        tables = {name: frame.reset_index(names="time") for name, frame in preview_tables(desk, instrument, plan).items()}
        print_json({"instrument": instrument, "roll": _event(plan), "marks": plan.marks, **tables})
    else:
        print_preview(desk, instrument, plan)


def print_preview(desk: Desk, instrument: str, plan: RollPlan) -> None:
    """Show the prices before and after a roll."""
    for name, frame in preview_tables(desk, instrument, plan).items():
        shown = frame.reset_index(names="time").astype({"time": str})  # full times: rows of a roll are a second apart
        print_table(f"{instrument} {name.replace('_', ', ')} the roll", shown, decimals=4)
    for mark in plan.marks[plan.marks["why"] != "first row"].to_dict("records"):
        console.print(
            f"{contract_label(int(mark['contract']))} was not quoted at {mark['date']:%Y-%m-%d %H:%M} UTC: {mark['price']:,.4f} ({mark['why']})"
        )


def _event(plan: RollPlan) -> dict[str, object]:
    return {"after": plan.after, **{name: getattr(plan, name) for name in EVENT_CONTRACTS}}


@roll.command()
@click.argument("instrument")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="infer",
    show_default=True,
    help="infer: by the median of the last common differences to another contract; fill: the last known price of the contract.",
)
@click.option(
    "--price", "prices", multiple=True, metavar="CONTRACT@TIME=PRICE", help="A price that you know, its time in the desk's zone."
)
@why_option
@click.option("--dry-run", is_flag=True, help="Only show the rolls and the prices that they would get.")
@yes_option
@json_option
@click.pass_obj
def mend(
    home: Path | None,
    instrument: str,
    method: RollMethod,
    *,
    prices: tuple[str, ...],
    why: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Give the past rolls of INSTRUMENT that have no price of one of their contracts one, and make its prices anew.

    Without it its prices cannot be stitched, and it stays locked. What is taken is recorded as a mark; the bars stay as they are.
    """
    desk = open_desk(home, quiet=as_json)
    desk.instrument(instrument)
    mended = mend_gaps(desk, instrument, method, told=prices, who=getpass.getuser(), why=why, dry_run=True)
    if not as_json:
        for each in mended:
            console.print(f"{instrument}: {each}", soft_wrap=True)
    done = bool(mended) and not dry_run and ask(f"take these prices for the rolls of {instrument}?", yes=yes, as_json=as_json)
    if done:
        mend_gaps(desk, instrument, method, told=prices, who=getpass.getuser(), why=why)
    if as_json:
        print_json({"instrument": instrument, "rolls": [_mended(each) for each in mended], "done": done})
    elif not mended:
        console.print(f"every roll of {instrument} has a price of both contracts; nothing to mend")
    else:
        console.print("recorded; its prices are made anew" if done else "nothing was changed")


def _mended(each: MendedRoll) -> dict[str, object]:
    gap = each.gap
    facts = {
        "at": gap.stamp,
        "from": gap.price_contract,
        "into": gap.forward_contract,
        "price": each.price,
        "forward": each.forward,
    }
    return {**facts, "how": {str(contract): how for contract, how in each.how.items()}}


@roll.command()
@click.argument("instrument")
@click.option("--hold", help="Letters of the months that are held, such as HMUZ.")
@click.option("--priced", help="Letters of the months with usable prices.")
@click.option("--roll-offset", type=OFFSET, help="Days from expiry to the desired roll, usually negative.")
@click.option("--carry-offset", type=OFFSET, help="-1 or 1: the carry contract is the priced one before, or after.")
@click.option("--expiry-offset", type=OFFSET, help="Days from the first of the month to the approximate expiry.")
@why_option
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@yes_option
@json_option
@click.pass_obj
def parameters(
    home: Path | None,
    instrument: str,
    hold: str | None,
    *,
    priced: str | None,
    roll_offset: int | None,
    carry_offset: int | None,
    expiry_offset: int | None,
    why: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Change how INSTRUMENT is rolled: rebuild its history by the new rule, compare, and put it in force if confirmed.

    Options that are left out stay as they are. The former rolls stay in the ledger; the rule goes to rolls.csv in the home's config folder.
    """
    desk = open_desk(home, quiet=as_json)
    rule_now = desk.instrument(instrument).roll_rule
    if rule_now is None:
        raise ConfigError(f"{instrument}: no roll rule; add a row for it to {desk.home.path / 'config' / 'rolls.csv'}")
    options = {
        "hold": hold,
        "priced": priced,
        "roll_offset": roll_offset,
        "carry_offset": carry_offset,
        "expiry_offset": expiry_offset,
    }
    rule = replace(rule_now, **{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    change = plan_parameters(desk, instrument, rule)
    if not as_json:
        _print_change(change)
    same = change.same_history and change.before == change.after
    done = not dry_run and not same and ask(f"put the new rule of {instrument} in force?", yes=yes, as_json=as_json)
    if done:
        apply_parameters(desk, change, getpass.getuser(), why=why)
    if as_json:
        print_json({**_change_facts(change), "applied": done})
    elif done:
        console.print("in force; multiple and adjusted prices are rebuilt")
    else:
        console.print("nothing was changed" + (": the rule and its rolls are the same as now" if same else ""))


def _change_facts(change: ParameterChange) -> dict[str, object]:
    return {
        "instrument": change.instrument,
        "before": asdict(change.before),
        "after": asdict(change.after),
        "rolls_before": change.rolls_before,
        "rolls_after": change.rolls_after,
        "changed_rolls": change.rolls,
        "same_history": change.same_history,
        "priced_before": change.present.price_contract,
        "priced_after": change.events[-1].price_contract,
        "adjusted_change": change.adjusted_change,
        "adjusted_differs": change.adjusted_differs,
    }


def _print_change(change: ParameterChange) -> None:
    describe: Callable[[RollRule], str] = lambda rule: (  # noqa: E731
        f"hold {rule.hold}, priced {rule.priced}, roll {rule.roll_offset}, carry {rule.carry_offset:+d}, expiry {rule.expiry_offset}"
    )
    console.print(f"now:    {describe(change.before)}\nafter:  {describe(change.after)}")
    rolls = change.rolls.assign(into=[contract_label(int(contract)) for contract in change.rolls["into"]])
    print_table("Rolls that change", rolls, "none")
    last_roll, current_roll = change.events[-1], change.present
    console.print(
        f"rolls: {change.rolls_before} -> {change.rolls_after}; priced contract: {contract_label(current_roll.price_contract)} -> "
        f"{contract_label(last_roll.price_contract)}; adjusted prices change by up to {change.adjusted_change:,.4f} beyond a constant, "
        f"{change.adjusted_differs:.0%} of them",
        soft_wrap=True,
    )
