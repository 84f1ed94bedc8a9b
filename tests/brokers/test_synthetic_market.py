"""The simulated market: the same seed gives the same world, and the world behaves like futures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.brokers.conftest import CODES, make_market, sessions_of, universe
from tradeflow_core.brokers import BAR_COLUMNS, NoData, NoQuote, UnknownContract
from tradeflow_core.brokers.paper.synthetic import SyntheticMarket
from tradeflow_core.errors import ConfigError
from tradeflow_core.instruments import load_simulated_market

NOW = datetime(2024, 1, 10, 15, 10, tzinfo=UTC)
FRONT = {"SP500_micro": 20240300, "EUROSTX": 20240300, "HANG_mini": 20240100, "CORN": 20241200, "CRUDE_W_mini": 20240300}
MARKET = make_market()

instants = st.datetimes(datetime(2023, 9, 1), datetime(2024, 2, 20)).map(lambda t: t.replace(tzinfo=UTC))
contracts = st.sampled_from(sorted(FRONT.items()))
frequencies = st.sampled_from(["D", "H"])


def history(market: SyntheticMarket, code: str, contract: int, *, frequency: str = "D", days: int = 400) -> pd.DataFrame:
    return market.bars(code, contract, frequency, start=NOW - timedelta(days=days), end=NOW, now=NOW)


@settings(max_examples=40, deadline=None)
@given(contracts, frequencies, st.lists(instants, min_size=3, max_size=5, unique=True))
def test_any_split_of_a_window_gives_the_same_bars(contract, frequency, cuts):
    cuts, now = sorted(cuts), datetime(2024, 3, 1, tzinfo=UTC)
    code, month = contract
    whole = MARKET.bars(code, month, frequency, start=cuts[0], end=cuts[-1], now=now)
    fresh = make_market(code)
    parts = [fresh.bars(code, month, frequency, start=a, end=b, now=now) for a, b in reversed(list(pairwise(cuts)))][::-1]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


@settings(max_examples=60, deadline=None)
@given(contracts, frequencies, instants)
def test_no_bar_is_shown_before_it_has_ended_and_none_changes_afterwards(contract, frequency, now):
    later = now + timedelta(days=3)
    start = now - timedelta(days=5)
    code, month = contract
    seen = MARKET.bars(code, month, frequency, start=start, end=later, now=now)
    assert (seen["end"] <= now).all()
    known_later = MARKET.bars(code, month, frequency, start=start, end=later, now=later)
    pd.testing.assert_frame_equal(known_later[known_later["end"] <= now].reset_index(drop=True), seen)


@settings(max_examples=40, deadline=None)
@given(contracts, instants)
def test_a_quote_lies_within_the_hour_that_is_still_forming(contract, now):
    code, month = contract
    expired = now.date() > MARKET.contract(code, month, now).expiry
    if expired or not MARKET.is_open(code, now):
        with pytest.raises(NoQuote, match=code):
            MARKET.quote(code, month, now)
        return
    quote = MARKET.quote(code, month, now)
    later = now + timedelta(days=1)
    bars = MARKET.bars(code, month, "H", start=now - timedelta(hours=2), end=later, now=later)
    forming = bars[(bars["start"] <= now) & (bars["end"] > now)].iloc[0]
    tick = MARKET.instruments[code].tick
    assert forming["LOW"] - tick <= quote.mid <= forming["HIGH"] + tick
    assert quote.ask > quote.bid
    assert min(quote.bid_size, quote.ask_size) >= 1


def test_another_seed_is_another_world(market):
    assert not history(make_market(seed=8), "SP500_micro", 20240300).equals(history(market, "SP500_micro", 20240300))


def test_an_instrument_has_the_same_prices_in_every_universe(market):
    alone = make_market("CRUDE_W_mini")
    for frequency in ("D", "H"):
        pd.testing.assert_frame_equal(
            history(alone, "CRUDE_W_mini", 20240300, frequency=frequency),
            history(market, "CRUDE_W_mini", 20240300, frequency=frequency),
        )


@pytest.mark.parametrize("code", sorted(FRONT))
def test_the_hours_of_a_session_add_up_to_its_day(market, code):
    days, hours = (history(market, code, FRONT[code], frequency=frequency, days=60) for frequency in ("D", "H"))
    assert list(days.columns) == BAR_COLUMNS
    ends = days["end"].to_numpy()
    hours = hours[hours["end"] <= days["end"].iloc[-1]]
    hours = hours[hours["start"] >= days["start"].iloc[0]]
    day = hours.groupby(np.searchsorted(ends, hours["end"].to_numpy()))
    assert len(days) > 30
    for column, how in (
        ("start", "first"),
        ("end", "last"),
        ("OPEN", "first"),
        ("HIGH", "max"),
        ("LOW", "min"),
        ("FINAL", "last"),
    ):
        assert (day[column].agg(how).to_numpy() == days[column].to_numpy()).all(), column
    assert (day["VOLUME"].sum().to_numpy() == days["VOLUME"].to_numpy()).all()


@pytest.mark.parametrize("code", sorted(FRONT))
def test_bars_are_consistent_traded_and_on_the_tick(market, code):
    for frequency in ("D", "H"):
        bars = history(market, code, FRONT[code], frequency=frequency)
        assert (bars["LOW"] <= bars[["OPEN", "FINAL"]].min(axis=1)).all()
        assert (bars["HIGH"] >= bars[["OPEN", "FINAL"]].max(axis=1)).all()
        assert (bars["VOLUME"] >= 1).all()
        ticks = bars[["OPEN", "HIGH", "LOW", "FINAL"]] / market.instruments[code].tick
        assert np.allclose(ticks, ticks.round(), atol=1e-6)
        assert bars["end"].is_monotonic_increasing
        assert (bars["start"] < bars["end"]).all()


def test_hourly_bars_keep_the_exchange_clock_when_summer_time_begins(market):
    zone = ZoneInfo("America/Chicago")
    now = datetime(2023, 3, 25, tzinfo=UTC)
    days = market.bars("SP500_micro", 20230600, "D", start=datetime(2023, 3, 4, tzinfo=UTC), end=now, now=now)
    assert {stamp.hour for stamp in days["end"]} == {21, 22}
    assert {stamp.hour for stamp in days["end"].dt.tz_convert(zone)} == {16}
    hours = market.bars("SP500_micro", 20230600, "H", start=datetime(2023, 3, 4, tzinfo=UTC), end=now, now=now)
    assert set(hours["start"].dt.minute) == {0}
    assert 16 not in set(hours["start"].dt.tz_convert(zone).dt.hour)
    assert hours.groupby(hours["start"].dt.tz_convert(zone).dt.date).size().max() == 23


def test_a_session_with_breaks_has_no_bar_inside_a_break(market):
    hours = history(market, "HANG_mini", 20240100, frequency="H", days=20)
    local = hours["start"].dt.tz_convert("Asia/Hong_Kong")
    in_break = (local.dt.hour == 12) | ((local.dt.hour == 16) & (local.dt.minute >= 30))
    assert not in_break.any()
    assert not market.is_open("HANG_mini", datetime(2024, 1, 10, 4, 30, tzinfo=UTC))


def test_volume_moves_to_the_next_contract_before_the_expiry(market):
    since = datetime(2023, 11, 1, tzinfo=UTC)
    near, far = (market.bars("EUROSTX", c, "D", start=since, end=NOW, now=NOW).set_index("end") for c in (20231200, 20240300))
    expiry = market.contract("EUROSTX", 20231200, NOW).expiry
    both = near.add_suffix("_near").join(far.add_suffix("_far"), how="inner")
    assert (both["VOLUME_near"] > 5 * both["VOLUME_far"]).iloc[0]
    overtaken = both.index[both["VOLUME_far"] > both["VOLUME_near"]]
    assert timedelta(days=1) < pd.Timestamp(expiry, tz="UTC") - overtaken[0].normalize() < timedelta(days=14)
    assert (both["VOLUME_far"] > both["VOLUME_near"])[overtaken[0] :].all()


def test_a_month_that_is_priced_but_never_held_trades_thinly(market):
    held, priced = (history(market, "CORN", contract, days=60)["VOLUME"].median() for contract in (20241200, 20240700))
    assert 0 < priced < held / 20


def test_carry_and_the_gap_at_a_roll_are_not_zero(market):
    for code, near, far in (
        ("SP500_micro", 20240300, 20240600),
        ("CRUDE_W_mini", 20240300, 20240400),
        ("CORN", 20241200, 20240900),
    ):
        spread = history(market, code, near, days=60)["FINAL"] - history(market, code, far, days=60)["FINAL"]
        assert spread.abs().min() > 0, code
        assert spread.nunique() > 5, code


def test_backwardation_is_positive_carry(market):
    crude = [history(market, "CRUDE_W_mini", contract, days=250)["FINAL"].iloc[-1] for contract in (20240300, 20240600)]
    stocks = [history(market, "SP500_micro", contract, days=250)["FINAL"].iloc[-1] for contract in (20240300, 20240600)]
    carry = load_simulated_market()
    assert carry["CRUDE_W_mini"].carry > 0 > carry["SP500_micro"].carry
    assert crude[0] > crude[1]
    assert stocks[0] < stocks[1]


def test_markets_of_one_asset_class_move_together(market):
    daily = {
        code: market.bars(code, contract, "D", start=datetime(2023, 3, 1, tzinfo=UTC), end=NOW, now=NOW)
        for code, contract in (("SP500_micro", 20240300), ("NASDAQ_micro", 20240300), ("EUROSTX", 20240300), ("CORN", 20241200))
    }
    returns = pd.DataFrame({code: bars.set_index(bars["end"].dt.date)["FINAL"].pct_change() for code, bars in daily.items()})
    with_stocks = returns.corr()["SP500_micro"]
    assert with_stocks["NASDAQ_micro"] > 0.5
    assert with_stocks["EUROSTX"] > 0.4
    assert abs(with_stocks["CORN"]) < 0.4


def test_daily_volatility_is_that_of_the_table():
    market = make_market()
    now = datetime(2024, 1, 1, tzinfo=UTC)
    for code, contract in (("EUROSTX", 20221200), ("CRUDE_W_mini", 20221200)):
        bars = market.bars(code, contract, "D", start=datetime(2021, 1, 1, tzinfo=UTC), end=now, now=now)
        vol = np.log(bars["FINAL"]).diff().std() * 16
        assert vol == pytest.approx(load_simulated_market()[code].annual_vol, rel=0.25)


def test_no_change_of_the_data_looks_like_a_price_spike(market):
    for code in sorted(FRONT):
        change = history(market, code, FRONT[code])["FINAL"].diff().abs()
        assert (change / change.ewm(span=500).mean()).iloc[20:].max() < 8


def test_contracts_are_listed_in_order_far_enough_ahead_and_leave_after_expiry(market):
    for code in CODES:
        rule = market.instruments[code].roll_rule
        listed = market.contracts(code, NOW)
        assert [spec.expiry for spec in listed] == sorted(spec.expiry for spec in listed)
        assert all(spec.expiry >= NOW.date() for spec in listed)
        held = [spec for spec in listed if rule.desired_roll_date(spec.contract) > NOW.date()]
        assert (
            len([spec for spec in held if spec.contract % 10000 // 100 in {1 + "FGHJKMNQUVXZ".index(m) for m in rule.hold}]) >= 3
        )
    expired = market.contracts("EUROSTX", NOW, since=date(2023, 9, 1))
    assert [spec.contract for spec in expired][:2] == [20230900, 20231200]
    assert market.contract("EUROSTX", 20231200, NOW) == expired[1]


def test_an_expiry_is_a_business_day(market):
    sessions = sessions_of(universe())
    for code in CODES:
        for spec in market.contracts(code, NOW, since=date(2021, 2, 1)):
            assert sessions.is_business_day(code, spec.expiry), (code, spec)


def test_an_expired_contract_has_bars_up_to_its_expiry_and_keeps_its_last_price(market):
    bars = history(market, "EUROSTX", 20231200)
    expiry = market.contract("EUROSTX", 20231200, NOW).expiry
    assert bars["end"].iloc[-1].date() == expiry
    assert market.mark("EUROSTX", 20231200, NOW) == bars["FINAL"].iloc[-1]
    with pytest.raises(NoQuote, match="expired on 2023"):
        market.quote("EUROSTX", 20231200, NOW)


def test_what_does_not_exist_is_named(market):
    with pytest.raises(UnknownContract, match="20240400"):
        market.contract("EUROSTX", 20240400, NOW)
    with pytest.raises(UnknownContract, match="not listed yet"):
        market.contract("EUROSTX", 20280300, NOW)
    with pytest.raises(NoData, match="frequency"):
        market.bars("EUROSTX", 20240300, "5M", start=NOW - timedelta(days=1), end=NOW, now=NOW)
    with pytest.raises(NoData, match="QQQ"):
        market.fx_rates("QQQ", NOW - timedelta(days=9), NOW, now=NOW)
    with pytest.raises(ConfigError, match="BUND"):
        market.contracts("BUND", NOW)


def test_a_contract_that_has_data_but_none_in_the_window_answers_with_an_empty_frame(market):
    saturday = datetime(2024, 1, 6, 12, tzinfo=UTC)
    bars = market.bars("EUROSTX", 20240300, "H", start=saturday, end=saturday + timedelta(hours=5), now=NOW)
    assert bars.empty
    assert bars.dtypes.equals(history(market, "EUROSTX", 20240300).dtypes)


def test_exchange_rates_close_at_five_in_new_york_and_are_never_from_the_future(market):
    rates = market.fx_rates("EUR", NOW - timedelta(days=200), NOW + timedelta(days=5), now=NOW)
    local = rates.index.tz_convert("America/New_York")
    assert set(local.hour) == {17}
    assert set(local.day_of_week) == {0, 1, 2, 3, 4}
    assert rates.index[-1] <= NOW
    assert market.fx_rate("EUR", NOW) == rates.iloc[-1]
    assert market.fx_rate("USD", NOW) == 1.0
    first = market.fx_rates("EUR", NOW - timedelta(days=200), NOW - timedelta(days=100), now=NOW)
    second = market.fx_rates("EUR", NOW - timedelta(days=100), NOW, now=NOW)
    pd.testing.assert_series_equal(pd.concat([first, second]), rates, check_freq=False)
