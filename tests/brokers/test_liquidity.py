"""The size of a quote belongs to all orders together, and what is traded does not depend on who asks or who has died."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from tests.brokers.conftest import ACCOUNT, OPEN, Desk, filled, fills_of, open_desk, state_of
from tradeflow_core.brokers import NoQuote
from tradeflow_core.model import BrokerOrderStatus, Leg, OrderIntent, OrderType

REPO = Path(__file__).resolve().parents[2]
MARCH = 20240300
WANTED = {("EUROSTX", MARCH): 1100, ("SP500_micro", MARCH): -900, ("CORN", MARCH): 60, ("CRUDE_W_mini", MARCH): -5}
END = OPEN + timedelta(hours=3)


def order(ref: str, quantity: int, code: str = "EUROSTX", **more) -> OrderIntent:
    return OrderIntent(ref, ACCOUNT, code, (Leg(MARCH, quantity),), **more)


def test_the_first_order_takes_what_is_quoted_and_the_second_one_waits_for_the_next_quote(desk):
    size = desk.broker.quote("EUROSTX", MARCH).ask_size
    assert filled(desk.broker.submit(order("first", size - 10))) == (size - 10,)
    assert filled(desk.broker.submit(order("second", 30))) == (10,)
    desk.clock.advance_to(OPEN + timedelta(minutes=4, seconds=59))
    assert filled(state_of(desk.broker, "second")) == (10,)
    desk.clock.advance_to(OPEN + timedelta(minutes=5))
    assert state_of(desk.broker, "second").status is BrokerOrderStatus.FILLED


def test_each_side_of_a_quote_has_a_size_of_its_own(desk):
    quote = desk.broker.quote("EUROSTX", MARCH)
    desk.broker.submit(order("buy", quote.ask_size))
    assert filled(desk.broker.submit(order("sell", -quote.bid_size))) == (-quote.bid_size,)


def test_a_quote_shows_what_is_left_of_it(desk):
    before = desk.broker.quote("EUROSTX", MARCH)
    desk.broker.submit(order("a", 100))
    after = desk.broker.quote("EUROSTX", MARCH)
    assert (after.ask_size, after.bid_size) == (before.ask_size - 100, before.bid_size)
    assert (after.bid, after.ask) == (before.bid, before.ask)


def test_what_was_taken_is_gone_for_the_next_client_too(desk, tmp_path):
    size = desk.broker.quote("EUROSTX", MARCH).ask_size
    desk.broker.submit(order("a", size))
    desk.broker.close()
    again = open_desk(tmp_path).broker
    assert again.quote("EUROSTX", MARCH).ask_size == 0
    assert filled(again.submit(order("b", 5))) == (0,)


def test_a_spread_and_an_outright_order_share_the_quotes(desk):
    near, far = (desk.broker.quote("CRUDE_W_mini", contract) for contract in (MARCH, 20240400))
    spread = min(near.bid_size, far.ask_size)
    desk.broker.submit(OrderIntent("roll", ACCOUNT, "CRUDE_W_mini", (Leg(MARCH, -spread), Leg(20240400, spread))))
    assert desk.broker.quote("CRUDE_W_mini", MARCH).bid_size == near.bid_size - spread
    assert desk.broker.quote("CRUDE_W_mini", 20240400).ask_size == far.ask_size - spread


def test_orders_that_trade_at_the_last_price_take_nothing_from_a_quote(desk):
    before = desk.broker.quote("EUROSTX", MARCH)
    desk.broker.submit(order("last", 10**4, order_type=OrderType.LAST))
    assert desk.broker.quote("EUROSTX", MARCH) == before


def test_two_orders_at_the_same_time_on_the_same_side_get_the_same_price(desk):
    for ref in ("a", "b"):
        desk.broker.submit(order(ref, 3))
    assert {fill.price for ref in ("a", "b") for fill in fills_of(desk.broker, ref)} == {fills_of(desk.broker, "a")[0].price}


def trade_until(desk: Desk, end=END) -> None:
    """What a stack handler does: at each pass, for each contract without an order at work, an order for as much as is quoted."""
    broker = desk.broker
    while desk.clock.now() < end:
        at_work = {s.instrument for s in broker.orders(ACCOUNT).orders if s.status is BrokerOrderStatus.WORKING}
        held = broker.positions(ACCOUNT)
        for (code, contract), wanted in WANTED.items():
            rest = wanted - held.get((code, contract), 0)
            try:
                quote = broker.quote(code, contract)
            except NoQuote:
                continue
            quantity = min(rest, quote.ask_size) if rest > 0 else -min(-rest, quote.bid_size)
            if quantity and code not in at_work:
                broker.submit(OrderIntent(uuid.uuid4().hex, ACCOUNT, code, (Leg(contract, quantity),)))
        desk.clock.advance_to(desk.clock.now() + timedelta(minutes=10))


DIES_AT_A_STATEMENT = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from tests.brokers.conftest import open_desk
from tests.brokers.test_liquidity import trade_until
desk, left = open_desk(Path(sys.argv[1])), int(sys.argv[2])
def count(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(desk.broker.exchange._engine, "before_cursor_execute", count)
event.listen(desk.broker.exchange._engine, "commit", count)
trade_until(desk)
"""


@pytest.mark.slow
def test_a_day_with_kills_has_the_fills_prices_and_times_of_an_undisturbed_one(tmp_path):
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    calm.mkdir(), rough.mkdir()
    undisturbed = open_desk(calm)
    trade_until(undisturbed)
    dice, kills = random.Random(1), 0
    code = -signal.SIGKILL
    while code:
        statements = dice.randint(5, 150) if kills < 6 else 10**6
        arguments = [sys.executable, "-W", "ignore", "-c", DIES_AT_A_STATEMENT, str(rough), str(statements)]
        code = subprocess.run(arguments, cwd=REPO, timeout=120, check=False).returncode
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
    assert kills == 6
    days = [
        [(fill.instrument, fill.contract, fill.quantity, fill.price, fill.time) for fill in each.broker.executions(ACCOUNT).fills]
        for each in (undisturbed, open_desk(rough))
    ]
    assert days[0] == days[1] and len(days[0]) > 20
    assert undisturbed.broker.account_snapshot(ACCOUNT) == open_desk(rough).broker.account_snapshot(ACCOUNT)
