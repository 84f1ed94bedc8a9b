"""What is not traded says why, in the same words wherever it is told."""

from __future__ import annotations

import json
from datetime import time, timedelta
from pathlib import Path

from tests.commands import answer, run, said
from tests.days import run_until
from tradeflow_core.business_day import report_step
from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler
from tradeflow_core.ledger import (
    OrderEvent,
    cancel_instrument_order,
    events_of_orders,
    instrument_orders_of,
    lock_instrument,
    open_instrument_orders,
    set_position_limit,
    set_roll_state,
)
from tradeflow_core.model import InstrumentOrder, OrderLevel, RollState
from tradeflow_core.reports import not_traded, not_traded_lines

WHY = ("--why", "a test")


def first_order(desk: Desk) -> InstrumentOrder:
    with desk.ledger.read() as view:
        return open_instrument_orders(view, desk.account)[0]


def work_session(desk: Desk) -> None:
    StackHandler(desk).run(desk.home.at(desk.today(), desk.settings.day.session_end))


def row_of(desk: Desk, order: InstrumentOrder) -> dict[str, object]:
    (row,) = [row for row in not_traded(desk, order.day) if row["instrument"] == order.instrument]
    return row


def ending_of(desk: Desk, order: InstrumentOrder) -> OrderEvent:
    with desk.ledger.read() as view:
        return events_of_orders(view, [(OrderLevel.INSTRUMENT, order.id)])[-1]


def test_an_order_that_found_a_closed_market_says_from_when_to_when(trading_desk: Desk) -> None:
    desk, order = trading_desk, first_order(trading_desk)
    started, tick = desk.home.at(order.day, time(17, 5)), timedelta(minutes=desk.settings.day.tick_minutes)
    desk.clock.advance_to(started)
    StackHandler(desk).run(started + tick + timedelta(minutes=1))
    closed = [row for row in not_traded(desk, order.day) if "market closed" in str(row["why"])]
    assert closed, not_traded(desk, order.day)
    for row in closed:
        assert row["status"] == "cancelled" and row["what_to_do"] == "the next business day decides anew"
        assert row["why"] == f"market closed ({started:%H:%M} to {started + tick:%H:%M} UTC)"


def test_a_locked_order_names_the_lock_and_the_command_that_lifts_it(trading_desk: Desk) -> None:
    desk, order = trading_desk, first_order(trading_desk)
    with desk.ledger.begin() as tx:
        lock_instrument(tx, order.instrument, "person", now=desk.now(), why="flood")
    work_session(desk)
    row = row_of(desk, order)
    assert (row["order"], row["wanted"], row["filled"], row["left"]) == (order.id, order.quantity, 0, order.quantity)
    assert row["why"] == "locked (person: flood)" and "tradeflow locks" in str(row["what_to_do"])
    assert ending_of(desk, order).why == "no order outlives its day: locked (person: flood)"


def test_an_order_that_was_cut_by_a_limit_in_part_says_so(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.read() as view:
        order = max(open_instrument_orders(view, desk.account), key=lambda each: abs(each.quantity))
    assert abs(order.quantity) > 1
    assert not run(desk.home.path, "limits", "trade", order.instrument, "--days", "1", "1", *WHY).exit_code
    work_session(desk)
    row = row_of(desk, order)
    assert abs(int(str(row["filled"]))) == 1 and row["left"] == order.quantity - int(str(row["filled"]))
    assert "trade limit" in str(row["why"]) and "tradeflow limits" in str(row["what_to_do"])


def test_an_order_larger_than_what_the_market_offers_says_so(trading_desk: Desk) -> None:
    desk, order = trading_desk, first_order(trading_desk)
    quantity = 100_000
    ordered = run(desk.home.path, "orders", "manual", order.strategy, order.instrument, str(quantity), *WHY)
    assert not ordered.exit_code, ordered.output
    work_session(desk)
    (row,) = [row for row in not_traded(desk, order.day) if row["wanted"] == quantity]
    assert 0 < int(str(row["left"])) < quantity
    assert "the market offers fewer contracts than are left" in str(row["why"])


def test_an_order_whose_roll_forbids_it_names_the_state(trading_desk: Desk) -> None:
    desk, order = trading_desk, first_order(trading_desk)
    with desk.ledger.begin() as tx:
        set_roll_state(tx, order.instrument, RollState.CLOSE, now=desk.now(), who="me", why="end")
    work_session(desk)
    row = row_of(desk, order)
    assert row["why"] == f"the roll of {order.instrument} is in the state Close"
    assert "tradeflow roll set" in str(row["what_to_do"])


def test_an_order_that_a_person_cancelled_says_who_and_why(trading_desk: Desk) -> None:
    desk, order = trading_desk, first_order(trading_desk)
    with desk.ledger.begin() as tx:
        cancel_instrument_order(tx, order.id, now=desk.now(), who="ada", why="news")
    assert row_of(desk, order)["why"] == "cancelled by ada: news"


def test_a_wanted_trade_that_became_no_order_is_told_beside_the_orders(desk: Desk) -> None:
    run_until(desk, "optimal_positions")
    with desk.ledger.begin() as tx:
        for instrument in desk.universe:
            set_position_limit(tx, "", instrument, contracts=0, now=desk.now(), who="me", why="nothing yet")
    run_until(desk, "instrument_orders")
    rows = not_traded(desk, desk.business_day())
    assert rows and {row["status"] for row in rows} == {"no order"}
    assert all(row["order"] is None and row["wanted"] and row["why"] == "position limit" for row in rows)


def test_a_day_on_which_all_is_traded_has_no_line(day_done: Path) -> None:
    status = answer(day_done, "status")
    unfilled = [row for row in status["orders"] if row["filled"] != row["quantity"]]
    assert len(status["not_traded"]) == len(unfilled)


def test_status_report_and_json_tell_the_same(trading_desk: Desk) -> None:
    desk, order = trading_desk, first_order(trading_desk)
    with desk.ledger.begin() as tx:
        lock_instrument(tx, order.instrument, "person", now=desk.now(), why="flood")
    work_session(desk)
    report_step(desk)
    rows = not_traded(desk, order.day)
    lines = not_traded_lines(rows)
    (line,) = [line for line in lines if line.startswith(order.instrument)]
    assert f"{order.quantity} of {order.quantity} not traded, cancelled: locked (person: flood)" in line
    path = desk.home.path
    assert answer(path, "status")["not_traded"] == rows
    assert answer(path, "status", order.instrument)["not_traded"] == [row_of(desk, order)]
    assert line in said(run(path, "status", order.instrument)) and line in said(run(path, "status"))
    text = (path / "reports" / f"{order.day}.txt").read_text()
    assert all(each in text for each in lines)
    assert json.loads((path / "reports" / f"{order.day}.json").read_text())["not_traded"] == rows


def test_an_order_that_is_still_open_says_what_holds_it_back(trading_desk: Desk) -> None:
    desk, order = trading_desk, first_order(trading_desk)
    with desk.ledger.begin() as tx:
        lock_instrument(tx, order.instrument, "person", now=desk.now(), why="flood")
    assert row_of(desk, order)["why"] == "locked (person: flood)"
    with desk.ledger.read() as view:
        assert len(not_traded(desk, order.day)) == len(instrument_orders_of(view, desk.account, order.day))
