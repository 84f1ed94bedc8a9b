"""Faults on request: what goes wrong when it is asked for, and that nothing does otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.brokers.conftest import ACCOUNT, OPEN, fills_of, find_state, open_desk, state_of
from tests.brokers.test_book import assert_aggregates_agree
from tradeflow_core.brokers import BrokerUnavailable, FaultyBroker, OrderRejected, SessionLost, SimulatedBroker
from tradeflow_core.desk import open_broker
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import FaultSettings, Home, SimulatedClock
from tradeflow_core.model import BrokerOrderStatus, Fill, Leg, OrderIntent, OrderType

MARCH = 20240300
MICRO = ("SP500_micro", MARCH)


class Faulty(NamedTuple):
    """A broker with faults, and its clock."""

    broker: FaultyBroker
    clock: SimulatedClock

    def wait(self, **span: float) -> None:
        self.clock.advance_to(self.clock.now() + timedelta(**span))

    def fills(self) -> tuple[Fill, ...]:
        return self.broker.executions(ACCOUNT).fills


def faulty(folder: Path, **faults: object) -> Faulty:
    """The broker whose book lies in `folder`, with these faults, connected."""
    desk = open_desk(folder)
    broker = FaultyBroker(desk.broker, FaultSettings.model_validate(faults))
    broker.connect()
    return Faulty(broker, desk.clock)


@pytest.fixture
def with_faults(tmp_path: Path) -> Callable[..., Faulty]:
    return lambda **faults: faulty(tmp_path, **faults)


def order(ref: str, quantity: int = 1, code: str = "SP500_micro", **more) -> OrderIntent:
    return OrderIntent(ref, ACCOUNT, code, (Leg(MARCH, quantity),), **more)


def test_a_home_has_no_faults_unless_its_settings_ask_for_them(tmp_path):
    calm = Home.create(tmp_path / "calm", {"market": "simulated"}, datetime(2024, 1, 8, 5, tzinfo=UTC))
    rough = Home.create(
        tmp_path / "rough",
        {"market": "simulated", "simulated": {"faults": {"late_executions": 0.5}}},
        datetime(2024, 1, 8, 5, tzinfo=UTC),
    )
    assert type(open_broker(calm)) is SimulatedBroker
    assert type(open_broker(rough)) is FaultyBroker
    assert rough.settings.simulated.faults.late_executions == 0.5


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"late_executions": 1.5}, "late_executions: .*less than or equal to 1"),
        ({"explicit": ["late_execution@2024-01-08T15:00Z"]}, "names no fault.*late_executions"),
        ({"explicit": "silences@2024-01-08T15:00"}, "needs a time with its zone"),
    ],
)
def test_a_fault_that_cannot_be_is_named(tmp_path, faults, why):
    settings = {"market": "simulated", "simulated": {"faults": faults}}
    with pytest.raises(ConfigError, match=why):
        Home.create(tmp_path / "home", settings, datetime(2024, 1, 8, 5, tzinfo=UTC))


def test_a_late_execution_is_told_after_its_delay_although_the_order_is_filled_at_once(with_faults):
    desk = with_faults(late_executions=1)
    assert desk.broker.submit(order("a", 3)).status is BrokerOrderStatus.FILLED
    desk.wait(minutes=44)
    assert desk.fills() == ()
    assert desk.broker.positions(ACCOUNT) == {MICRO: 3}
    desk.wait(minutes=1)
    assert [(fill.quantity, fill.time) for fill in desk.fills()] == [(3, OPEN)]


def test_a_doubled_execution_comes_twice_with_the_same_number(with_faults):
    desk = with_faults(doubled_executions=1)
    desk.broker.submit(order("a", 3))
    first, second = desk.fills()
    assert first == second
    assert desk.broker.positions(ACCOUNT) == {MICRO: 3}


def test_executions_out_of_order_are_all_there(with_faults):
    desk = with_faults(disordered_executions=0.5, seed=3)
    for number in range(12):
        desk.broker.submit(order(f"r{number}"))
    told, real = desk.fills(), desk.broker.inner.executions(ACCOUNT).fills
    assert told != real
    assert sorted(told, key=lambda fill: fill.exec_id) == sorted(real, key=lambda fill: fill.exec_id)


def test_a_commission_comes_later_with_the_same_execution(with_faults):
    desk = with_faults(late_commissions=1)
    desk.broker.submit(order("a", 3))
    (before,) = desk.fills()
    desk.wait(hours=1)
    (after,) = desk.fills()
    assert (before.commission, after.exec_id) == (None, before.exec_id)
    assert after.commission is not None


def test_a_correction_takes_the_place_of_an_execution_and_moves_the_account_by_its_price(with_faults):
    desk = with_faults(corrected_executions=1)
    desk.broker.submit(order("a", 3))
    desk.wait(hours=1)
    desk.broker.orders(ACCOUNT)
    old, new = desk.fills()
    assert (new.replaces, new.quantity, new.client_ref, new.time) == (old.exec_id, 3, "a", OPEN + timedelta(hours=1))
    assert 0.25 <= abs(new.price - old.price) <= 0.75
    assert desk.broker.positions(ACCOUNT) == {MICRO: 3}
    assert_aggregates_agree(desk.broker.inner)
    desk.wait(hours=1)
    assert desk.fills() == (old, new), "a correction is not corrected again"


def test_a_correction_changes_what_the_account_is_worth(desk):
    desk.broker.submit(order("a", 3))
    (fill,) = fills_of(desk.broker, "a")
    before = desk.broker.account_snapshot(ACCOUNT).net_liquidation["USD"]
    desk.broker.exchange.change_execution(fill.exec_id, 3, price=fill.price + 1, now=OPEN)
    assert before - desk.broker.account_snapshot(ACCOUNT).net_liquidation["USD"] == 3 * 5
    for exec_id in (fill.exec_id, "nothing"):
        with pytest.raises(StateError, match="change one that stands"):
            desk.broker.exchange.change_execution(exec_id, 3, price=1.0, now=OPEN)


def test_a_voided_trade_leaves_no_position_and_is_not_made_again(with_faults):
    desk = with_faults(busted_executions=1)
    spread = OrderIntent("roll", ACCOUNT, "CRUDE_W_mini", (Leg(MARCH, -1), Leg(20240400, 1)))
    assert desk.broker.submit(spread).status is BrokerOrderStatus.FILLED
    desk.wait(hours=1)
    assert desk.broker.positions(ACCOUNT) == {}
    fills = desk.fills()
    assert [(fill.quantity, fill.replaces) for fill in fills[2:]] == [(0, fills[0].exec_id), (0, fills[1].exec_id)]
    state = state_of(desk.broker, "roll")
    assert (state.status, [leg.filled for leg in state.legs]) == (BrokerOrderStatus.FILLED, [0, 0])
    assert desk.broker.account_snapshot(ACCOUNT).net_liquidation["USD"] == 1000000, "its commission is given back"
    assert_aggregates_agree(desk.broker.inner)


def test_a_trade_at_the_terminal_is_an_execution_and_an_order_without_a_reference_of_ours(with_faults):
    desk = with_faults(foreign_trades=1)
    desk.broker.submit(order("a", 3))
    desk.wait(minutes=10)
    (ours, foreign) = desk.fills()
    assert (ours.client_ref, foreign.client_ref) == ("a", "")
    assert 1 <= abs(foreign.quantity) <= 3
    assert desk.broker.positions(ACCOUNT).get(MICRO, 0) == 3 + foreign.quantity
    state = next(state for state in desk.broker.orders(ACCOUNT).orders if not state.client_ref)
    assert (state.broker_id, state.status, state.instrument) == (foreign.broker_id, BrokerOrderStatus.FILLED, "SP500_micro")
    desk.wait(minutes=10)
    assert len(desk.fills()) == 2, "one trade at the terminal for each of ours"


def test_an_order_placed_at_the_terminal_goes_on_working(with_faults):
    desk = with_faults(foreign_orders=1)
    desk.broker.submit(order("a", 3))
    desk.wait(minutes=10)
    _, foreign = desk.broker.orders(ACCOUNT).orders
    assert (foreign.client_ref, foreign.status, foreign.order_type) == ("", BrokerOrderStatus.WORKING, OrderType.LIMIT)
    assert foreign.limit_price is not None


def test_a_liquidation_closes_the_position_once_a_day(with_faults):
    desk = with_faults(liquidations=1)
    desk.broker.submit(order("a", 3))
    desk.wait(minutes=10)
    assert desk.broker.positions(ACCOUNT) == {}
    assert [(fill.client_ref, fill.quantity) for fill in desk.fills()] == [("a", 3), ("", -3)]
    desk.broker.submit(order("b", 2))
    desk.wait(minutes=10)
    assert desk.broker.positions(ACCOUNT) == {MICRO: 2}


def test_an_order_is_missing_from_one_snapshot(with_faults):
    desk = with_faults(denied_orders=1)
    desk.broker.submit(order("a"))
    assert find_state(desk.broker, "a") is None
    assert find_state(desk.broker, "a") is not None


def test_an_order_is_missing_from_snapshots_for_a_while_but_not_from_those_of_a_new_session(with_faults):
    desk = with_faults(denied_orders=1, denied_minutes=30)
    desk.broker.submit(order("a"))
    for _ in range(3):
        assert find_state(desk.broker, "a") is None
        desk.wait(minutes=9)
    desk.wait(minutes=3)
    assert find_state(desk.broker, "a") is not None
    desk.broker.submit(order("b"))
    assert find_state(desk.broker, "b") is None
    desk.broker.connect()
    assert find_state(desk.broker, "b") is not None


def test_the_broker_is_silent_once_about_each_question(with_faults):
    desk = with_faults(silences=1)
    desk.broker.submit(order("a"))
    for ask in (desk.broker.orders, desk.broker.executions, desk.broker.positions):
        with pytest.raises(BrokerUnavailable, match="no answer about"):
            ask(ACCOUNT)
        ask(ACCOUNT)


def test_an_order_whose_answer_is_lost_is_there_and_a_lost_order_is_not(tmp_path):
    for name, fault, arrives in (("a", "lost_answers", True), ("b", "lost_orders", False)):
        (tmp_path / name).mkdir()
        desk = faulty(tmp_path / name, **{fault: 1})
        with pytest.raises(BrokerUnavailable, match="no answer"):
            desk.broker.submit(order("x", 2))
        assert (find_state(desk.broker, "x") is not None) == arrives
        assert desk.broker.submit(order("x", 2)).status is BrokerOrderStatus.FILLED, "sent again, it is one order"
        assert desk.broker.positions(ACCOUNT) == {MICRO: 2}


def test_a_refused_order_stays_refused(with_faults):
    desk = with_faults(rejected_orders=1)
    for _ in range(2):
        with pytest.raises(OrderRejected, match="refused by a fault"):
            desk.broker.submit(order("a"))
        desk.wait(minutes=5)
    assert state_of(desk.broker, "a").status is BrokerOrderStatus.REJECTED


def test_a_price_moves_between_quote_and_order(with_faults):
    desk = with_faults(moved_prices=1)
    shown, real = desk.broker.quote(*MICRO), desk.broker.inner.quote(*MICRO)
    assert 0.25 <= abs(shown.ask - real.ask) <= 0.75
    assert shown.ask - shown.bid == pytest.approx(real.ask - real.bid)
    assert desk.broker.quote(*MICRO) == shown, "at one instant it is shown the same"
    desk.broker.submit(order("a", 1, order_type=OrderType.LIMIT, limit_price=shown.ask))
    assert (state_of(desk.broker, "a").status is BrokerOrderStatus.FILLED) == (shown.ask > real.ask)


def test_an_order_for_what_is_shown_fills_in_part(with_faults):
    desk = with_faults(partial_fills=1)
    shown = desk.broker.quote("EUROSTX", MARCH).ask_size
    state = desk.broker.submit(order("a", shown, "EUROSTX"))
    assert (state.status, state.legs[0].filled) == (BrokerOrderStatus.WORKING, shown // 3)


def test_a_cancellation_comes_too_late_for_an_order_that_fills_meanwhile(with_faults):
    desk = with_faults(late_cancels=1)
    size = desk.broker.quote("EUROSTX", MARCH).ask_size
    desk.broker.submit(order("fills", size + 1, "EUROSTX"))
    desk.broker.submit(order("waits", 1, order_type=OrderType.LIMIT, limit_price=1.0))
    for ref in ("fills", "waits"):
        desk.broker.cancel(ref)
        assert state_of(desk.broker, ref).status is BrokerOrderStatus.WORKING
    desk.wait(minutes=5)
    assert state_of(desk.broker, "fills").status is BrokerOrderStatus.FILLED
    assert state_of(desk.broker, "waits").status is BrokerOrderStatus.CANCELLED


def test_a_session_drops_once_and_is_synchronised_anew(with_faults):
    desk = with_faults(explicit=[f"session_drops@{(OPEN + timedelta(minutes=5)).isoformat()}"])
    before = desk.broker.health()
    assert before.connected and desk.broker.orders(ACCOUNT).resync == before.resync
    desk.wait(minutes=7)
    with pytest.raises(BrokerUnavailable, match="session was dropped"):
        desk.broker.orders(ACCOUNT)
    assert not desk.broker.health().connected and "dropped" in desk.broker.health().reason
    assert desk.broker.orders(ACCOUNT).resync != before.resync
    assert desk.broker.health().connected
    desk.wait(minutes=7)
    desk.broker.orders(ACCOUNT)


def test_a_client_that_lost_its_session_to_a_newer_one_does_not_take_it_back_after_a_drop(tmp_path):
    old, new = faulty(tmp_path, session_drops=1), open_desk(tmp_path).broker
    new.connect(2)
    with pytest.raises(BrokerUnavailable):
        old.broker.submit(order("a"))
    with pytest.raises(SessionLost):
        old.broker.submit(order("a"))


def test_faults_do_not_come_back_when_the_client_is_started_again(tmp_path):
    at = (OPEN - timedelta(hours=1)).isoformat()
    faults = {"explicit": [f"session_drops@{at}", f"silences@{at}", f"late_executions@{at}"], "foreign_trades": 1}
    first = faulty(tmp_path, **faults)
    with pytest.raises(BrokerUnavailable):
        first.broker.positions(ACCOUNT)
    with pytest.raises(BrokerUnavailable):
        first.broker.positions(ACCOUNT)
    first.broker.submit(order("a"))
    assert first.fills() == ()
    first.broker.close()
    again = faulty(tmp_path, **faults)
    assert again.fills() == (), "what was told late is still late"
    again.wait(hours=1)
    assert len(again.fills()) == 2
    third = faulty(tmp_path, **faults)
    assert len(third.fills()) == 2


def test_the_same_seed_gives_the_same_faults_whatever_our_references_are(tmp_path):
    told = []
    for name, seed in (("x", 5), ("y", 5), ("z", 6)):
        (tmp_path / name).mkdir()
        desk = faulty(tmp_path / name, seed=seed, busted_executions=0.5, corrected_executions=0.5, foreign_trades=0.3)
        for number in range(12):
            desk.broker.submit(order(f"{name}{number}"))
            desk.wait(minutes=6)
        desk.wait(hours=1)
        told.append([(fill.exec_id, fill.quantity, fill.price, fill.replaces, fill.time) for fill in desk.fills()])
        assert_aggregates_agree(desk.broker.inner)
    assert told[0] == told[1] != told[2]
    assert len(told[0]) > 20
