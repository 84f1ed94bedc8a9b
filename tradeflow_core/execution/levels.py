"""Positions at three levels: the broker's against contracts, contracts against their owners, what is held against what is optimal.

Each difference comes with the command that would mend it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tradeflow_core.desk import Desk
from tradeflow_core.execution.fills import poll_orders, unbooked_executions
from tradeflow_core.execution.reconciliation import PositionBreak, position_breaks, reconcile
from tradeflow_core.execution.session import session_if_free
from tradeflow_core.ledger import live_broker_orders, positions_by_contract, positions_by_strategy, untold_broker_orders
from tradeflow_core.model import ROLLS, UNASSIGNED, BrokerOrder, BrokerOrderStatus, Fill, contract_label
from tradeflow_core.nightly import optimal_rows
from tradeflow_core.parquet import DamagedFile

WHY = '--why "..."'
"""Stands in a command for the reason that a person gives."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `is_break`: it must not be; others wait for somebody, or are as they should be. `command` mends it, empty if time does."""

    level: str
    instrument: str
    what: str
    command: str
    is_break: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences by level, and what was done meanwhile."""

    broker: tuple[Difference, ...]
    owners: tuple[Difference, ...]
    optimal: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def breaks(self) -> int:
        """How many breaks there are, all of them on the first two levels."""
        return sum(each.is_break for each in (*self.broker, *self.owners))


def compare_levels(desk: Desk, *, dry_run: bool = False) -> Comparison:
    """Compare positions at the three levels. Raises BrokerUnavailable: unknown is not flat.

    While no stack handler runs, executions that the broker reports are booked first, and the locks of the comparison are set and lifted;
    a running one does both by itself, and with `dry_run` nothing is written.
    """
    notes = [] if dry_run else _bring_up_to_date(desk)
    breaks = position_breaks(desk)
    unbooked = unbooked_executions(desk) if breaks else []
    with desk.ledger.read() as view:
        at_work = live_broker_orders(view, desk.account)
        contracts = positions_by_contract(view, desk.account)
        owners = positions_by_strategy(view, desk.account)
        untold = untold_broker_orders(view, desk.account, {each.instrument for each in breaks})
    return Comparison(
        tuple(_of_broker(each, (*at_work, *untold), unbooked) for each in breaks),
        tuple(_of_owners(desk, contracts, owners)),
        tuple(_of_optimal(desk, owners)),
        tuple(notes),
    )


def _bring_up_to_date(desk: Desk) -> list[str]:
    with session_if_free(desk) as session:
        if session is None:
            return ["a stack handler is at work: it books executions and sets and lifts locks by itself"]
        booked = poll_orders(desk, long_ago=True)
        reconcile(desk)
        return [f"{booked} executions that the broker reports were booked"] if booked else []


def _of_broker(each: PositionBreak, at_work: Sequence[BrokerOrder], unbooked: Sequence[Fill]) -> Difference:
    """`at_work`: orders of which executions may still come."""
    what = f"{contract_label(each.contract)} is {each.ledger} here and {each.broker} at the broker"
    orders = [order for order in at_work if order.instrument == each.instrument]
    unknown = [order for order in orders if order.status is BrokerOrderStatus.UNKNOWN]
    untold = {
        order.client_ref: leg.remaining
        for order in orders
        for leg in order.legs
        if leg.contract == each.contract and leg.remaining and not order.status.is_live
    }
    working = [order for order in orders if order.status.is_live]
    command = f"tradeflow positions adopt {each.instrument} {WHY}"
    if any(fill.instrument == each.instrument and fill.contract == each.contract for fill in unbooked):
        what, command = f"{what}; the broker reports executions that are not booked yet", "tradeflow reconcile"
    elif unknown:
        what = f"{what}; the broker's answers do not have order {unknown[0].client_ref}: look there first whether it was filled"
        command = f"tradeflow orders fill {unknown[0].client_ref} {each.broker - each.ledger} PRICE {WHY}"
    elif working:
        what, command = f"{what}; order {working[0].client_ref} is at work, so its fills may follow", "tradeflow reconcile"
    elif untold:
        reference, lack = next(iter(untold.items()))
        what = f"{what}; the broker calls order {reference} filled and has not told {lack} of it yet; if it never does:"
        command = f"tradeflow orders fill {reference} {lack} PRICE {WHY}"
    return Difference("broker", each.instrument, what, command, is_break=True)


def _of_owners(desk: Desk, contracts: dict[tuple[str, int], int], owners: dict[tuple[str, str], int]) -> list[Difference]:
    found = []
    for name in sorted({*(name for name, _ in contracts), *(name for _, name in owners)}):
        held = sum(size for (code, _), size in contracts.items() if code == name)
        owned = {owner: size for (owner, code), size in owners.items() if code == name}
        if sum(owned.values()) != held:
            what = f"its contracts are {held}, its owners hold {sum(owned.values())}: the ledger is damaged"
            found.append(Difference("owners", name, what, "tradeflow check", is_break=True))
        found += [
            Difference("owners", name, f"{owner} {what}", command)
            for owner, size in sorted(owned.items())
            for what, command in _of_owner(desk, owner, name, size=size)
        ]
    return found


def _of_owner(desk: Desk, owner: str, instrument: str, *, size: int) -> list[tuple[str, str]]:
    strategy = next(iter(desk.settings.strategies))
    if owner in UNASSIGNED:
        return [
            (
                f"holds {size}, traded elsewhere, that belong to no strategy",
                f"tradeflow positions assign {instrument} --to {strategy} {WHY}",
            )
        ]
    if owner == ROLLS:
        return [(f"holds {size}, left of a roll that is half done; the next session trades them first", "")]
    if owner not in desk.settings.strategies:
        move = f"tradeflow positions transfer {instrument} {size} --from {owner} --to {strategy} {WHY}"
        what = (
            f"is not in the settings and holds {size}, so nothing is traded in it; name it again with weight = 0 to have it closed, or give "
            "it away:"
        )
        return [(what, move)]
    return []


def _of_optimal(desk: Desk, owners: dict[tuple[str, str], int]) -> list[Difference]:
    """Positions outside the buffer around the optimal ones: for the next orders, unless something holds them back."""
    found = []
    for strategy in desk.settings.strategies:
        if not desk.store.exists("optimal_positions", strategy):
            continue
        try:
            optimal = optimal_rows(desk, strategy)
        except DamagedFile as error:
            found.append(Difference("optimal", "", f"{strategy}: {error}", "tradeflow check"))
            continue
        for name, row in sorted(optimal.items()):
            held, lower, upper = owners.get((strategy, name), 0), row.get("lower"), row.get("upper")
            if lower is None or upper is None or round(lower) <= held <= round(upper):
                continue
            what = f"{strategy} holds {held}, its buffer is {lower:.1f} to {upper:.1f}"
            found.append(Difference("optimal", name, what, f"tradeflow status {name}"))
    return found
