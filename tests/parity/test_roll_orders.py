"""Rolling gives the reference's states and orders, in a real ledger, but for its flaws."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection

from tests.orders import put_order
from tests.parity.proof import Answers, reads
from tradeflow_core import ledger as books
from tradeflow_core.desk import Desk
from tradeflow_core.execution import contract_trades, generate_roll_orders
from tradeflow_core.model import ROLLS, RollEvent, RollState
from tradeflow_core.rolls import allowed_states

ALLOCATION, ORDERS, MACHINE, REDUCING = (
    f"reference_cases/execution/{name}"
    for name in ("roll_instrument_order_allocation", "roll_generated_orders", "roll_state_machine", "is_trade_reducing")
)
PRICED, FORWARD = 20240300, 20240600
ROLL = RollEvent("CORN", None, PRICED, FORWARD, FORWARD, "calendar")
FORCED = (RollState.FORCE, RollState.FORCE_OUTRIGHT)


@reads(ALLOCATION)
def test_the_contracts_that_a_trade_uses_in_every_state(answers: Answers) -> None:
    """Two differences. A trade of nothing makes no order here; the function asked makes an empty one in three states, which its program stops
    before. And with nothing left to roll a forced roll is passive, as it then becomes in either program: a purchase goes to the forward
    contract like a sale; the function asked takes it for one that adds to the position."""
    table = answers.table(ALLOCATION).set_index(["roll_state", "position_priced", "instrument_trade"])
    answers_by_case = table[["n_child_orders", "trade_priced", "trade_forward"]]
    theirs = {case: tuple(map(int, row)) for case, row in zip(table.index, answers_by_case.to_numpy(), strict=True)}
    ours = {}
    for state, position, trade in table.index:
        trades = contract_trades(RollState(state), ROLL, position, trade=trade)
        by_contract = {leg.contract: leg.quantity for leg in trades}
        ours[state, position, trade] = (len(trades), by_contract.get(PRICED, 0), by_contract.get(FORWARD, 0))
    nothing = {case: (0, 0, 0) for case in theirs if case[2] == 0 and theirs[case][0]}
    bought = {case: (1, 0, case[2]) for case in theirs if case[0] in FORCED and case[1] == 0 and case[2] > 0}
    assert (len(nothing), len(bought)) == (27, 8)
    answers.equal_but(ALLOCATION, ours, theirs, named=nothing | bought)


def hold(desk: Desk, positions: dict[str, int]) -> None:
    """Give the strategy `s` positions in the priced contracts, and every instrument its contracts."""
    with desk.ledger.begin() as tx:
        books.append_roll_events(
            tx,
            [RollEvent(code, None, PRICED, FORWARD, FORWARD, "calendar") for code in positions],
            desk.now(),
            who="test",
            why="test",
        )
        for code, quantity in positions.items():
            if quantity:
                order(desk, tx, code, quantity=quantity, filled=quantity)
        books.complete_orders(tx, desk.now())


def order(desk: Desk, tx: Connection, code: str, *, quantity: int, filled: int = 0, strategy: str = "s") -> None:
    """An instrument order, with so much of it filled in the priced contract."""
    put_order(
        tx,
        code,
        quantity,
        now=desk.now(),
        day=desk.today(),
        strategy=strategy,
        account=desk.account,
        contract=PRICED,
        filled=filled,
    )


def enter(desk: Desk, codes: Iterable[str], state: RollState) -> None:
    with desk.ledger.begin() as tx:
        for code in codes:
            books.set_roll_state(tx, code, state, now=desk.now(), who="test", why="test")


def roll_orders(desk: Desk) -> dict[str, list[tuple[str, tuple[tuple[int, int], ...]]]]:
    """Make the roll orders and take them off the stack: by instrument, each contract order's strategy and legs."""
    generate_roll_orders(desk)
    found: dict[str, list[tuple[str, tuple[tuple[int, int], ...]]]] = {}
    with desk.ledger.begin() as tx:
        for made in books.open_contract_orders(tx, desk.account):
            legs = tuple((leg.contract, leg.quantity) for leg in made.legs)
            found.setdefault(made.instrument, []).append((made.strategies[0], legs))
        for parent in books.open_instrument_orders(tx, desk.account):
            if parent.strategy == ROLLS:
                assert parent.quantity == 0
        books.close_all_orders(tx, desk.account, desk.now())
    return found


@reads(ORDERS)
def test_the_orders_that_a_roll_makes(desk: Desk, answers: Answers) -> None:
    """Contracts, sizes and the strategy that they belong to. Reference prices are not recorded with a roll's orders here, which are market
    orders; the order of the instrument above them is of nothing, as in the reference."""
    table = answers.table(ORDERS)
    positions = dict(zip(desk.universe, sorted({int(held) for held in table["position_priced"]}), strict=True))
    hold(desk, positions)
    ours: list[tuple[str, int, int, str, str, str]] = []
    for state in (RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.CLOSE):
        enter(desk, positions, state)
        for code, made in roll_orders(desk).items():
            for place, (strategy, legs) in enumerate(made):
                contracts, sizes = "_".join(str(leg[0]) for leg in legs), str([leg[1] for leg in legs])
                name = "_ROLL_PSEUDO_STRATEGY" if strategy == ROLLS else strategy
                ours.append((state.value, positions[code], place, contracts, sizes, name))
            if state == RollState.FORCE:
                ours.append(("instrument_order(Force*)", positions[code], 0, "", "[0]", "_ROLL_PSEUDO_STRATEGY"))
    names = ["roll_state", "position_priced", "leg_order", "contracts", "trades", "strategy"]
    theirs = [(row[0], int(row[1]), int(row[2]), *row[3:]) for row in table[names].itertuples(index=False)]
    answers.equal(ORDERS, sorted(ours), sorted(theirs))
    assert all(json.loads(sizes) for *_, sizes, _ in ours)


@reads(MACHINE)
def test_the_states_that_may_follow_and_what_each_asks_for(desk: Desk, answers: Answers) -> None:
    """`double_sided`: an order of the roll trades both contracts; `requires_order_generation`: it makes orders at all; `active_rolling`: a
    trade that adds to the position makes no order meanwhile."""
    table = answers.table(MACHINE)
    states = list(zip(table["roll_state"].map(RollState), table["priced_position"], strict=True))
    followers = [",".join(allowed_states(state, position)) for state, position in states]
    answers.equal(MACHINE, followers, table["allowed_next(first=recommended)"])
    hold(desk, {"CORN": 3})
    legs: dict[RollState, set[int]] = {}
    for state in RollState:
        enter(desk, ["CORN"], state)
        legs[state] = {contract for _, parts in roll_orders(desk).get("CORN", []) for contract, _ in parts}
    answers.equal(MACHINE, [len(legs[state]) == 2 for state, _ in states], table["double_sided"])
    answers.equal(MACHINE, [bool(legs[state]) for state, _ in states], table["requires_order_generation"])
    idle = {state: contract_trades(state, ROLL, 3, trade=1) == [] for state in RollState}
    answers.equal(MACHINE, [idle[state] for state, _ in states], table["active_rolling"])


@reads(REDUCING)
def test_a_roll_waits_for_a_trade_that_reduces_the_position(desk: Desk, answers: Answers) -> None:
    """Two differences. A trade of nothing reduces nothing here; the reference lets a short position wait for it. And without a position
    there is nothing to roll, whatever is traded: nothing waits, while the reference calls sales reducing."""
    table = answers.table(REDUCING)
    cases = table[["trade", "position"]].to_numpy(int).tolist()
    theirs = {(trade, position): bool(found) for (trade, position), found in zip(cases, table["is_reducing"], strict=True)}
    ours: dict[tuple[int, int], bool] = {}
    held = 0
    hold(desk, {"CORN": 0})
    enter(desk, ["CORN"], RollState.FORCE)
    for position in sorted({position for _, position in theirs}):
        with desk.ledger.begin() as tx:
            if position != held:
                order(desk, tx, "CORN", quantity=position - held, filled=position - held)
            books.close_all_orders(tx, desk.account, desk.now())
        held = position
        for trade in sorted({trade for trade, _ in theirs}):
            with desk.ledger.begin() as tx:
                order(desk, tx, "CORN", quantity=trade, strategy="other")
            ours[trade, position] = not roll_orders(desk) and bool(position)
    nothing = {case: False for case in theirs if theirs[case] and (case[0] == 0 or case[1] == 0)}
    assert len(nothing) == 6
    answers.equal_but(REDUCING, ours, theirs, named=nothing)
