"""Suspected prices: what is listed, and what a person's word does to them."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from tests.frames import marked_bars
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import current_roll, locked_instruments, marks_of, rate_marks_of
from tradeflow_core.prices import (
    PriceDecision,
    contract_prices,
    decide_prices,
    review_bars,
    review_rates,
    run_stages,
    stored_bars,
    stored_fx,
    suspect_prices,
    update_spot_fx,
)

CODE = "US10"


def priced(desk: Desk) -> int:
    with desk.ledger.read() as view:
        roll = current_roll(view, CODE)
    assert roll is not None
    return roll.price_contract


def let_the_next_fetch_jump(desk: Desk, factor: float = 0.5) -> int:
    """What is stored of the priced contract's daily bars is at another level than what the broker sends next."""
    contract, bars = priced(desk), stored_bars(desk, CODE)
    daily = (bars["contract"] == contract) & (bars["frequency"] == "D")
    last = bars.index[daily][-3:]
    bars.loc[daily, ["OPEN", "HIGH", "LOW", "FINAL"]] *= factor
    desk.store.write("contract_prices", CODE, bars.drop(last).reset_index(drop=True))
    return contract


def bad_tick(desk: Desk, factor: float = 0.5) -> tuple[int, datetime, float]:
    """One stored daily price is wrong."""
    contract, bars = priced(desk), stored_bars(desk, CODE)
    place = bars.index[(bars["contract"] == contract) & (bars["frequency"] == "D")][-4]
    bars.loc[place, "FINAL"] *= factor
    desk.store.write("contract_prices", CODE, bars)
    return contract, bars.loc[place, "end"].to_pydatetime(), float(bars.loc[place, "FINAL"])


def prices_of(desk: Desk, contract: int) -> pd.Series:
    prices = contract_prices(desk, CODE)
    return prices[prices["contract"] == contract].set_index("date")["price"]


def test_good_prices_are_not_suspected(trading_desk: Desk) -> None:
    for code in trading_desk.universe:
        assert suspect_prices(trading_desk, code, review_bars(trading_desk, code)) == []


def test_a_spike_of_a_fresh_fetch_is_listed_with_the_rows_before_it(trading_desk: Desk) -> None:
    contract = let_the_next_fetch_jump(trading_desk)
    before = stored_bars(trading_desk, CODE)
    (found,) = suspect_prices(trading_desk, CODE, review_bars(trading_desk, CODE))
    assert (found.contract, found.frequency, found.stored) == (contract, "D", False)
    assert found.units > trading_desk.settings.prices.max_price_spike
    assert len(found.context) == 6 and found.context["FINAL"].iloc[-1] == found.price
    assert found.context["time"].is_monotonic_increasing
    assert suspect_prices(trading_desk, CODE, review_bars(trading_desk, CODE, fetch=False)) == []
    pd.testing.assert_frame_equal(stored_bars(trading_desk, CODE), before)


def test_a_spike_that_is_stored_already_is_listed_too(trading_desk: Desk) -> None:
    contract, time, price = bad_tick(trading_desk)
    found = suspect_prices(trading_desk, CODE, review_bars(trading_desk, CODE, fetch=False))
    assert [each.contract for each in found] == [contract] * 2, "into the bad price and out of it"
    assert (found[0].time, found[0].price, found[0].stored) == (time, price, True)


def test_a_refused_batch_is_stored_by_the_update_after_its_spike_was_accepted(trading_desk: Desk) -> None:
    desk = trading_desk
    let_the_next_fetch_jump(desk)
    before = len(stored_bars(desk, CODE))
    with pytest.raises(DataError, match="prices check US10"):
        run_stages(desk, CODE)
    assert len(stored_bars(desk, CODE)) == before
    bars = review_bars(desk, CODE)
    (found,) = suspect_prices(desk, CODE, bars)
    decide_prices(
        desk, CODE, bars, decisions=[PriceDecision(found.contract, found.time, "accept")], who="me", why="the quoting changed"
    )
    assert suspect_prices(desk, CODE, review_bars(desk, CODE)) == []
    run_stages(desk, CODE)
    assert len(stored_bars(desk, CODE)) == before + 3
    with desk.ledger.read() as view:
        assert CODE not in locked_instruments(view)
        mark = marks_of(view, CODE).iloc[-1]
    assert (mark["price"], mark["source"]) == (found.price, "manual")


def test_a_rejected_bar_counts_nowhere_and_stays_what_the_broker_sent(trading_desk: Desk) -> None:
    desk = trading_desk
    contract, time, _ = bad_tick(desk)
    before, stored = prices_of(desk, contract), stored_bars(desk, CODE)
    decide_prices(
        desk, CODE, review_bars(desk, CODE), decisions=[PriceDecision(contract, time, "reject")], who="me", why="bad tick"
    )
    pd.testing.assert_series_equal(prices_of(desk, contract), before.drop(pd.Timestamp(time)))
    pd.testing.assert_frame_equal(stored_bars(desk, CODE), stored)
    assert len(marked_bars(desk, CODE)) == len(stored) - 1
    assert suspect_prices(desk, CODE, review_bars(desk, CODE)) == []
    assert pd.Timestamp(time) not in desk.store.read("adjusted_prices", CODE).dropna().index


def test_a_replaced_close_moves_open_high_and_low_by_as_much_and_leaves_the_volume(trading_desk: Desk) -> None:
    desk = trading_desk
    contract, time, price = bad_tick(desk)
    decide_prices(
        desk,
        CODE,
        review_bars(desk, CODE),
        decisions=[PriceDecision(contract, time, "replace", 2 * price)],
        who="me",
        why="typing error",
    )
    assert prices_of(desk, contract)[pd.Timestamp(time)] == 2 * price
    raw, marked = (
        frame[(frame["contract"] == contract) & (frame["frequency"] == "D") & (frame["end"] == time)].iloc[0]
        for frame in (stored_bars(desk, CODE), marked_bars(desk, CODE))
    )
    for name in ("OPEN", "HIGH", "LOW", "FINAL"):
        assert marked[name] == pytest.approx(raw[name] + price)
    assert marked["VOLUME"] == raw["VOLUME"]
    adjusted = desk.store.read("adjusted_prices", CODE)["price"]
    assert adjusted[pd.Timestamp(time)] == 2 * price, "prices are rebuilt at once"


def test_a_replacement_that_is_a_spike_itself_needs_to_be_confirmed(trading_desk: Desk) -> None:
    desk = trading_desk
    contract, time, price = bad_tick(desk)
    wrong = [PriceDecision(contract, time, "replace", 5 * price)]
    with pytest.raises(DataError, match=r"moves .* average days itself"):
        decide_prices(desk, CODE, review_bars(desk, CODE), decisions=wrong, who="me", why="really")
    with desk.ledger.read() as view:
        assert "manual" not in set(marks_of(view, CODE)["source"])
    decide_prices(desk, CODE, review_bars(desk, CODE), decisions=wrong, who="me", why="really", trust=True)
    assert prices_of(desk, contract)[pd.Timestamp(time)] == 5 * price


def test_the_newest_decision_about_a_price_counts(trading_desk: Desk) -> None:
    desk = trading_desk
    contract, time, price = bad_tick(desk)
    for verdict in ("reject", "accept"):
        decide_prices(desk, CODE, review_bars(desk, CODE), decisions=[PriceDecision(contract, time, verdict)], who="me", why="x")  # type: ignore[arg-type]
    assert prices_of(desk, contract)[pd.Timestamp(time)] == price


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (lambda c, t: PriceDecision(19990300, t, "accept"), "US10 1999-03: it has no prices"),
        (lambda c, t: PriceDecision(c, t.replace(second=7), "accept"), r"no price at .*:07 UTC; the nearest is at .*:00 UTC"),
        (lambda c, t: PriceDecision(c, t, "replace", float("nan")), "must be a number"),
    ],
)
def test_a_decision_about_nothing_is_refused(trading_desk: Desk, decision, message: str) -> None:
    contract, time, _ = bad_tick(trading_desk)
    with pytest.raises(DataError, match=message):
        decide_prices(
            trading_desk, CODE, review_bars(trading_desk, CODE), decisions=[decision(contract, time)], who="me", why="x"
        )


def test_a_dry_run_records_nothing(trading_desk: Desk) -> None:
    contract, time, _ = bad_tick(trading_desk)
    table = decide_prices(
        trading_desk,
        CODE,
        review_bars(trading_desk, CODE),
        decisions=[PriceDecision(contract, time, "reject")],
        who="me",
        why="x",
        dry_run=True,
    )
    assert np.isnan(table["becomes"].iloc[0])
    with trading_desk.ledger.read() as view:
        assert marks_of(view, CODE).empty


def test_a_rate_that_goes_from_1_to_50_is_refused_until_a_person_accepts_it(trading_desk: Desk) -> None:
    desk = trading_desk
    stored = desk.store.read("spot_fx", "EURUSD")
    desk.store.write("spot_fx", "EURUSD", stored.iloc[:-3] / 50)
    with pytest.raises(DataError, match="prices check --fx EUR"):
        update_spot_fx(desk, "EUR")
    assert len(desk.store.read("spot_fx", "EURUSD")) == len(stored) - 3
    bars = review_rates(desk, "EUR")
    (found,) = suspect_prices(desk, "EURUSD", bars)
    assert (found.contract, found.time, found.stored) == (0, stored.index[-3].to_pydatetime(), False)
    decide_prices(desk, "EURUSD", bars, decisions=[PriceDecision(0, found.time, "accept")], who="me", why="devalued")
    update_spot_fx(desk, "EUR")
    assert len(stored_fx(desk)["EURUSD"]) == len(stored)


def test_rates_reach_as_far_back_as_the_prices_that_need_them(trading_desk: Desk) -> None:
    """An instrument has no position while there is no rate for its currency."""
    desk = trading_desk
    stored = desk.store.read("spot_fx", "EURUSD")
    first_price = desk.store.read("adjusted_prices", "EUROSTX", []).index[0]
    assert stored.index[0] - first_price < pd.Timedelta(days=8)
    late = stored.iloc[len(stored) // 2 :]
    desk.store.write("spot_fx", "EURUSD", late)
    rates = update_spot_fx(desk, "EUR")
    assert rates.index[0] - first_price < pd.Timedelta(days=8) and rates.index.is_monotonic_increasing
    pd.testing.assert_series_equal(rates[late.index[0] :], stored_fx(desk)["EURUSD"][late.index[0] :])
    pd.testing.assert_series_equal(desk.store.read("spot_fx", "EURUSD")["rate"][late.index], late["rate"])


def test_a_stored_rate_can_be_replaced_or_rejected(trading_desk: Desk) -> None:
    desk = trading_desk
    rates = stored_fx(desk)["EURUSD"]
    bad = desk.store.read("spot_fx", "EURUSD")
    bad.iloc[-3] *= 50
    desk.store.write("spot_fx", "EURUSD", bad)
    time = rates.index[-3].to_pydatetime()
    assert suspect_prices(desk, "EURUSD", review_rates(desk, "EUR"))[0].time == time
    decide_prices(
        desk,
        "EURUSD",
        review_rates(desk, "EUR"),
        decisions=[PriceDecision(0, time, "replace", float(rates.iloc[-3]))],
        who="me",
        why="typing error",
    )
    pd.testing.assert_series_equal(stored_fx(desk)["EURUSD"], rates)
    pd.testing.assert_series_equal(update_spot_fx(desk, "EUR"), rates)
    decide_prices(
        desk, "EURUSD", review_rates(desk, "EUR"), decisions=[PriceDecision(0, time, "reject")], who="me", why="no trade"
    )
    pd.testing.assert_series_equal(stored_fx(desk)["EURUSD"], rates.drop(rates.index[-3]))
    with desk.ledger.read() as view:
        assert len(rate_marks_of(view, "EURUSD")) == 1 and marks_of(view, "EURUSD").empty
