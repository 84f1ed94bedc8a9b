"""A roll that is half done is finished before anything else, and nobody reduces the same position twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.execution.test_stack_handler import UnreliableLine, assert_sound
from tradeflow_core import business_day
from tradeflow_core.brokers import NoQuote, Quote
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.execution import StackHandler, generate_roll_orders, spawn_contract_orders
from tradeflow_core.ledger import (
    add_instrument_order,
    book_by_hand,
    close_all_orders,
    current_roll,
    ledger_problems,
    open_contract_orders,
    open_instrument_orders,
    positions_by_contract,
    positions_by_strategy,
    set_roll_state,
    unfinished_rolls,
)
from tradeflow_core.model import ROLLS, OrderType, RollEvent, RollState
from tradeflow_core.rolls import roll_prices


def held_instrument(desk: Desk) -> tuple[str, int, RollEvent]:
    """An instrument that is held after a day of trading, with the contracts held of its priced one; nothing is open."""
    StackHandler(desk).run(desk.home.at(desk.today(), desk.settings.day.session_end))
    with desk.ledger.read() as view:
        (code, _), quantity = min(positions_by_contract(view, desk.account).items(), key=lambda item: abs(item[1]))
        return code, quantity, current_roll(view, code)


def refuse_quotes(line: UnreliableLine, contract: int) -> None:
    def quote(instrument: str, asked: int) -> Quote:
        if asked == contract:
            raise NoQuote(f"{instrument} {contract}: nobody quotes it")
        return line._broker.quote(instrument, asked)

    line.__dict__["quote"] = quote


@pytest.fixture
def line(trading_desk: Desk) -> UnreliableLine:
    line = UnreliableLine(trading_desk.broker)
    trading_desk.__dict__["broker"] = line
    return line


def next_session(desk: Desk, code: str) -> None:
    """The next business day, when the market of that instrument is open."""
    day = business_day.days_to_run(desk, 1)[-1]
    desk.clock.advance_to(desk.home.at(day, desk.settings.day.start) + timedelta(hours=4))  # type: ignore[attr-defined]
    while not desk.broker.is_open(code):
        desk.clock.wait(600)


def test_an_outright_roll_that_stops_half_way_is_told_and_finished_in_the_next_session(
    trading_desk: Desk, line: UnreliableLine
) -> None:
    desk = trading_desk
    code, position, roll = held_instrument(desk)
    with desk.ledger.begin() as tx:
        set_roll_state(tx, code, RollState.FORCE_OUTRIGHT, now=desk.now(), who="me", why="x")
        before = positions_by_strategy(tx, desk.account)
    next_session(desk, code)
    refuse_quotes(line, roll.forward_contract)
    handler = StackHandler(desk)
    while desk.broker.is_open(code):
        handler.step()
        desk.clock.wait(300)
    handler.end_of_day()
    with desk.ledger.read() as view:
        assert unfinished_rolls(view, desk.account) == {code: -position}, "out of the old contract, not into the new one"
        assert {key: size for key, size in positions_by_strategy(view, desk.account).items() if key[0] != ROLLS} == before
        assert positions_by_contract(view, desk.account).get((code, roll.forward_contract), 0) == 0
    subjects = [alert["subject"] for alert in desk.alerts.read()]
    assert f"unfinished roll {code}" in subjects and subjects.count(f"roll lags {code}") == 1
    with pytest.raises(StateError, match="left of a roll that is half done"):
        roll_prices(desk, code, reason="person", who="me", why="x")
    line.__dict__.pop("quote")
    next_session(desk, code)
    with desk.ledger.begin() as tx:
        set_roll_state(tx, code, RollState.NO_ROLL, now=desk.now(), who="me", why="whatever the state says meanwhile")
    handler = StackHandler(desk)
    while desk.broker.is_open(code):
        handler.step()
        desk.clock.wait(300)
    with desk.ledger.read() as view:
        assert unfinished_rolls(view, desk.account) == {}
        assert positions_by_contract(view, desk.account)[code, roll.forward_contract] == position
        assert ledger_problems(view) == []
    handler.end_of_day()
    assert_sound(desk)


def test_the_second_leg_of_an_outright_roll_is_never_ahead_of_the_first(trading_desk: Desk, line: UnreliableLine) -> None:
    desk = trading_desk
    code, position, roll = held_instrument(desk)
    with desk.ledger.begin() as tx:
        set_roll_state(tx, code, RollState.FORCE_OUTRIGHT, now=desk.now(), who="me", why="x")
    next_session(desk, code)
    refuse_quotes(line, roll.price_contract)
    handler = StackHandler(desk)
    handler.step()
    with desk.ledger.read() as view:
        out, into = [order for order in open_contract_orders(view, desk.account) if order.instrument == code]
        assert into.follows == out.id and not into.legs[0].filled and not out.legs[0].filled
    line.__dict__.pop("quote")
    while desk.broker.is_open(code):
        handler.step()
        with desk.ledger.read() as view:
            rest = unfinished_rolls(view, desk.account).get(code, 0)
            held = positions_by_contract(view, desk.account)
        assert rest * position <= 0, "the forward leg has not overtaken"
        desk.clock.wait(300)
    assert held[code, roll.forward_contract] == position
    handler.end_of_day()
    assert_sound(desk)


def own(desk: Desk, code: str, holders: dict[str, int]) -> RollEvent:
    """Give strategies positions in the priced contract of an instrument, with nothing on the stack."""
    with desk.ledger.begin() as tx:
        close_all_orders(tx, desk.account, desk.now())
        roll = current_roll(tx, code)
        said = {"price": 100.0, "currency": "USD", "time": desk.now(), "now": desk.now(), "who": "me", "why": "test"}
        for strategy, quantity in holders.items():
            book_by_hand(
                tx,
                account=desk.account,
                strategy=strategy,
                instrument=code,
                contract=roll.price_contract,
                quantity=quantity,
                **said,  # type: ignore[arg-type]
            )
    return roll


def trade(desk: Desk, code: str, strategy: str, quantity: int) -> None:
    with desk.ledger.begin() as tx:
        add_instrument_order(
            tx,
            account=desk.account,
            strategy=strategy,
            instrument=code,
            quantity=quantity,
            order_type=OrderType.BEST,
            day=desk.today(),
            now=desk.now(),
        )


def test_two_strategies_do_not_both_reduce_the_same_priced_position(trading_desk: Desk) -> None:
    desk = trading_desk
    roll = own(desk, "CORN", {"fast": -30, "slow": -26})
    with desk.ledger.begin() as tx:
        set_roll_state(tx, "CORN", RollState.PASSIVE, now=desk.now(), who="me", why="x")
    trade(desk, "CORN", "fast", 50)
    trade(desk, "CORN", "slow", 50)
    assert spawn_contract_orders(desk) == 3
    with desk.ledger.read() as view:
        legs = [leg for order in open_contract_orders(view, desk.account) for leg in order.legs]
    bought = {
        contract: sum(leg.quantity for leg in legs if leg.contract == contract) for contract in {leg.contract for leg in legs}
    }
    assert bought == {roll.price_contract: 56, roll.forward_contract: 44}, "nothing is opened in the expiring contract"


def test_a_close_is_one_order_for_all_that_hold_the_contract(trading_desk: Desk) -> None:
    desk = trading_desk
    roll = own(desk, "CORN", {"fast": 6, "slow": 3, "contrary": -2})
    with desk.ledger.begin() as tx:
        set_roll_state(tx, "CORN", RollState.CLOSE, now=desk.now(), who="me", why="x")
    assert generate_roll_orders(desk) == 1 and generate_roll_orders(desk) == 0
    with desk.ledger.read() as view:
        (order,) = open_contract_orders(view, desk.account)
        assert [(leg.contract, leg.quantity) for leg in order.legs] == [(roll.price_contract, -7)]
        assert {share.strategy: share.quantity for share in order.shares} == {"fast": -6, "slow": -1}
        assert {each.strategy: each.quantity for each in open_instrument_orders(view, desk.account)} == {"fast": -6, "slow": -1}
        assert ledger_problems(view) == []
