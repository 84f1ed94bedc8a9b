"""Spread sampling: the priced contract of the moment, or the reason why there is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.home import SimulatedClock
from tradeflow_core.ledger import current_roll
from tradeflow_core.prices import sample_spreads
from tradeflow_core.rolls import roll_prices

NOON = datetime(2024, 1, 8, 16, 0, tzinfo=UTC)
NIGHT = datetime(2024, 1, 13, 16, 0, tzinfo=UTC)


def at(desk: Desk, moment: datetime) -> None:
    assert isinstance(desk.clock, SimulatedClock)
    desk.clock.advance_to(moment)


def test_the_spread_of_an_open_market_is_that_of_its_quote(trading_desk: Desk) -> None:
    desk = trading_desk
    at(desk, NOON)
    (sample,) = sample_spreads(desk, ["US10"])
    with desk.ledger.read() as view:
        roll = current_roll(view, "US10")
    assert roll is not None and sample.contract == roll.price_contract
    quote = desk.broker.quote("US10", roll.price_contract)
    assert sample.spread == quote.ask - quote.bid
    stored = desk.store.read("spreads", "US10")
    assert stored.index.tolist() == [pd.Timestamp(NOON)] and stored["spread"].tolist() == [sample.spread]


def test_samples_add_up_and_one_instant_counts_once(trading_desk: Desk) -> None:
    desk = trading_desk
    at(desk, NOON)
    sample_spreads(desk, ["US10"])
    sample_spreads(desk, ["US10"])
    desk.clock.wait(3600)
    sample_spreads(desk, ["US10", "GOLD_micro"])
    assert len(desk.store.read("spreads", "US10")) == 2
    assert len(desk.store.read("spreads", "GOLD_micro")) == 1


def test_a_roll_counts_for_the_next_sample(trading_desk: Desk) -> None:
    desk = trading_desk
    at(desk, NOON)
    (before,) = sample_spreads(desk, ["US10"])
    event = roll_prices(desk, "US10", "person", who="me", why="x")
    (after,) = sample_spreads(desk, ["US10"])
    assert (before.contract, after.contract) == (20240300, event.price_contract)


def test_a_closed_market_is_left_out_with_the_reason(trading_desk: Desk) -> None:
    at(trading_desk, NIGHT)
    (sample,) = sample_spreads(trading_desk, ["US10"])
    assert (sample.spread, sample.reason) == (None, "the market is closed")
    assert not trading_desk.store.exists("spreads", "US10")


def test_an_instrument_without_a_priced_contract_is_left_out(desk: Desk) -> None:
    (sample,) = sample_spreads(desk, ["US10"])
    assert sample.contract is None and "no contract is priced" in sample.reason
