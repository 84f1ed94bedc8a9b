"""A business day runs once, goes on where it was interrupted, and explains itself."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from tests.days import run_until
from tests.frames import table_of
from tradeflow_core import business_day as day
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError
from tradeflow_core.ledger import (
    ANY,
    fills,
    instrument_orders,
    lock_instrument,
    open_instrument_orders,
    positions_by_strategy,
    recorded_steps,
    set_override,
    set_position_limit,
)
from tradeflow_core.model import Override, OverrideKind
from tradeflow_core.nightly import latest_optimal
from tradeflow_core.orders import generate_orders
from tradeflow_core.reports import check_desk, freshness, positions_against_optimal, profit_of_day


def test_a_day_that_is_done_stays_as_it_is(trading_desk: Desk) -> None:
    desk = trading_desk
    today = desk.business_day()
    day.run_day(desk, today)
    with desk.ledger.read() as view:
        before = [table_of(view, table) for table in (instrument_orders, fills)]
        steps = recorded_steps(view)
    assert set(steps["step"]) == set(day.STEPS)
    day.run_day(desk, today)
    with desk.ledger.read() as view:
        for old, new in zip(before, [table_of(view, table) for table in (instrument_orders, fills)], strict=True):
            pd.testing.assert_frame_equal(old, new)
    assert day.days_to_run(desk, 0) == []
    assert check_desk(desk) == []


def test_days_follow_each_other_over_the_weekend(trading_desk: Desk) -> None:
    desk = trading_desk
    assert day.days_to_run(desk, 5) == [date(2024, 1, d) for d in (8, 9, 10, 11, 12, 15)]
    for each in day.days_to_run(desk, 5):
        day.run_day(desk, each)
    assert desk.last_done_day() == date(2024, 1, 15)
    assert day.days_to_run(desk, 1) == [date(2024, 1, 16)]
    assert check_desk(desk) == []
    assert freshness(desk)["age"].max() <= 1


def test_a_day_that_has_passed_is_refused(trading_desk: Desk) -> None:
    with pytest.raises(StateError, match="has passed"):
        day.run_day(trading_desk, date(2024, 1, 5))


def test_positions_are_not_computed_when_most_prices_are_bad(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.begin() as tx:
        for code in desk.universe[:3]:
            lock_instrument(tx, code, "prices", now=desk.now(), why="stale")
    with pytest.raises(DataError, match="only 25% of the instruments have good prices"):
        day.optimal_positions_step(desk)


def wanted(desk: Desk) -> pd.DataFrame:
    """Fresh decisions with an empty stack."""
    with desk.ledger.begin() as tx:
        tx.exec_driver_sql("delete from instrument_orders")
    return generate_orders(desk, "trend_carry", latest_optimal(desk, "trend_carry"), day=desk.business_day()).table.set_index(
        "instrument"
    )


def test_every_instrument_gets_a_reason(trading_desk: Desk) -> None:
    decisions = wanted(trading_desk)
    assert list(decisions.index) == trading_desk.universe
    assert (decisions["reason"] != "").all()
    traded = decisions[decisions["quantity"] != 0]
    assert len(traded) and (traded["reason"] == "trade to the buffer edge").all()


def test_a_locked_instrument_gets_no_order_and_says_so(trading_desk: Desk) -> None:
    desk = trading_desk
    code = wanted(desk).query("quantity != 0").index[0]
    with desk.ledger.begin() as tx:
        lock_instrument(tx, code, "person", now=desk.now(), why="do not touch")
    decision = wanted(desk).loc[code]
    assert decision["quantity"] == 0
    assert decision["reason"] == "locked (person: do not touch)"


def test_limits_and_overrides_cut_orders_and_are_named(trading_desk: Desk) -> None:
    desk = trading_desk
    code = wanted(desk).query("quantity != 0").index[0]
    with desk.ledger.begin() as tx:
        set_position_limit(tx, ANY, code, contracts=1, now=desk.now(), who="me", why="small")
    limited = wanted(desk).loc[code]
    assert abs(limited["quantity"]) == 1 and limited["reason"] == "position limit"
    with desk.ledger.begin() as tx:
        set_override(tx, ANY, code, override=Override(OverrideKind.NO_TRADING, 0.0, "restricted"), now=desk.now(), who="me")
    forbidden = wanted(desk).loc[code]
    assert forbidden["quantity"] == 0 and "no_trading (restricted)" in forbidden["reason"]


def test_orders_are_net_of_what_is_on_the_stack(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.read() as view:
        order = open_instrument_orders(view, desk.account)[0]
    with desk.ledger.begin() as tx:
        tx.exec_driver_sql("update instrument_orders set quantity = quantity - 2 where id = ?", (order.id,))
    decisions = generate_orders(
        desk, "trend_carry", latest_optimal(desk, "trend_carry"), day=desk.business_day()
    ).table.set_index("instrument")
    assert decisions.loc[order.instrument, "quantity"] == 2


def test_an_instrument_that_is_held_but_no_longer_wanted_is_closed(trading_desk: Desk) -> None:
    desk = trading_desk
    run_until(desk, "stack_handler")
    with desk.ledger.read() as view:
        (_, code), held = next(iter(positions_by_strategy(view, desk.account).items()))
    optimal = latest_optimal(desk, "trend_carry").drop(index=code)
    decisions = generate_orders(desk, "trend_carry", optimal, day=desk.business_day()).table.set_index("instrument")
    assert decisions.loc[code, "quantity"] == -held


def test_the_profit_of_a_day_is_the_change_of_the_account(trading_desk: Desk) -> None:
    desk = trading_desk
    assert profit_of_day(desk, desk.business_day()) is None
    day.run_day(desk, desk.business_day())
    profit = profit_of_day(desk, desk.business_day())
    values = desk.store.read("total_capital", "total")["broker"]
    assert profit == pytest.approx(values.iloc[-1] - values.iloc[0])
    assert not positions_against_optimal(desk).empty
