"""The replayed market: it shows of a tape what had happened, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.brokers.conftest import universe
from tradeflow_core.brokers import BAR_COLUMNS, NoData, NoQuote, ReplayBroker, UnknownContract
from tradeflow_core.brokers.paper.tape_market import TapeMarket
from tradeflow_core.home import SimulatedClock
from tradeflow_core.instruments import Instrument
from tradeflow_core.model import BrokerOrderStatus, Leg, OrderIntent

CODE, NEAR, FAR, THIN = "EUROSTX", 20230900, 20231200, 20240300
NOON = datetime(2023, 8, 16, 12, 0, tzinfo=UTC)
"""A Wednesday at noon."""


@dataclass
class RecordedTape:
    """Two weeks of one market: hourly closes from 08:00 to 20:00 of the near contract and a few of the next, daily closes at
    22:00 of three months, and no Tuesday the 15th (a holiday)."""

    instruments: Mapping[str, Instrument] = field(default_factory=lambda: universe(CODE))

    def bars(self, instrument: str) -> pd.DataFrame:
        rows = []
        days = [day for day in pd.bdate_range("2023-08-07", "2023-08-18", tz="UTC") if day.day != 15]
        for number, day in enumerate(days):
            for hour in range(8, 20):
                start = day + pd.Timedelta(hours=hour)
                price = 4300.0 + 10 * number + 2 * hour
                rows.append((NEAR, "H", start, start + pd.Timedelta(hours=1), price, np.nan))
                if hour == 9:
                    rows.append((FAR, "H", start, start + pd.Timedelta(hours=1), price + 20, np.nan))
            for contract, extra in ((NEAR, 0), (FAR, 20), (THIN, 40)):
                rows.append((contract, "D", day, day + pd.Timedelta(hours=22), 4300.0 + 10 * number + 21 + extra, np.nan))
        frame = pd.DataFrame(rows, columns=["contract", "frequency", "start", "end", "FINAL", "VOLUME"])
        for column in ("OPEN", "HIGH", "LOW"):
            frame[column] = frame["FINAL"]
        return frame.sort_values("end", kind="stable")[BAR_COLUMNS].reset_index(drop=True)

    def fx(self, currency: str) -> pd.Series:
        index = pd.bdate_range("2023-08-01", "2023-08-18", tz="UTC") + pd.Timedelta(hours=21)
        return pd.Series(np.linspace(1.09, 1.10, len(index)), index=index)

    def contracts(self, instrument: str) -> list[int]:
        return [20230600, NEAR, FAR, THIN, 20240600]


@pytest.fixture(scope="module")
def market() -> TapeMarket:
    return TapeMarket(RecordedTape())


MARKET = TapeMarket(RecordedTape())
instants = st.datetimes(datetime(2023, 8, 7, 9), datetime(2023, 8, 19)).map(lambda t: t.replace(tzinfo=UTC))


@settings(max_examples=60, deadline=None)
@given(instants, st.sampled_from(["D", "H"]))
def test_the_tape_shows_nothing_before_its_end(now, frequency):
    start, later = now - timedelta(days=4), now + timedelta(days=4)
    bars = MARKET.bars(CODE, NEAR, frequency, start=start, end=later, now=now)
    assert bars["end"].between(start, now, inclusive="right").all()
    everything = RecordedTape().bars(CODE)
    mine = everything[(everything["contract"] == NEAR) & (everything["frequency"] == frequency)]
    assert len(bars) == ((mine["end"] > start) & (mine["end"] <= now)).sum()
    assert (MARKET.fx_rates("EUR", start, later, now=now).index <= now).all()


@settings(max_examples=60, deadline=None)
@given(instants)
def test_the_future_of_a_tape_does_not_change_its_present(now):
    class Cut(RecordedTape):
        def bars(self, instrument):
            frame = super().bars(instrument)
            return frame[frame["end"] <= now].reset_index(drop=True)

        def fx(self, currency):
            rates = super().fx(currency)
            return rates[rates.index <= now]

    cut = TapeMarket(Cut())
    assert cut.is_open(CODE, now) == MARKET.is_open(CODE, now)
    assert cut.mark(CODE, NEAR, now) == MARKET.mark(CODE, NEAR, now)
    assert cut.fx_rate("EUR", now) == MARKET.fx_rate("EUR", now)
    if MARKET.is_open(CODE, now):
        assert cut.quote(CODE, NEAR, now) == MARKET.quote(CODE, NEAR, now)


def test_a_market_is_open_while_one_of_its_contracts_trades(market):
    day = datetime(2023, 8, 16, tzinfo=UTC)
    opened = [market.is_open(CODE, day + timedelta(hours=hour)) for hour in range(24)]
    assert opened == [9 <= hour <= 22 for hour in range(24)]


def test_a_holiday_and_a_weekend_are_closed(market):
    for day in (12, 13, 15):
        with pytest.raises(NoQuote, match="closed"):
            market.quote(CODE, NEAR, datetime(2023, 8, day, 12, tzinfo=UTC))


def test_a_quote_is_the_last_price_and_the_usual_spread(market):
    quote = market.quote(CODE, NEAR, NOON)
    last = market.bars(CODE, NEAR, "H", start=NOON - timedelta(hours=2), end=NOON, now=NOON)["FINAL"].iloc[-1]
    assert quote.mid == last
    assert quote.ask - quote.bid == 2 * max(market.instruments[CODE].costs.spread_cost, 0.5)
    assert (quote.bid_size, quote.ask_size) == (20, 20)


def test_a_thin_contract_moves_with_the_one_that_trades(market):
    near = market.mark(CODE, NEAR, NOON)
    thin = market.bars(CODE, THIN, "D", start=NOON - timedelta(days=5), end=NOON, now=NOON)["FINAL"].iloc[-1]
    then = market.bars(CODE, NEAR, "D", start=NOON - timedelta(days=5), end=NOON, now=NOON)["FINAL"].iloc[-1]
    assert near != then
    assert market.mark(CODE, THIN, NOON) == thin + near - then
    assert market.quote(CODE, THIN, NOON).mid == thin + near - then


def test_a_contract_without_any_price_cannot_trade(market):
    with pytest.raises(NoQuote, match="20240600"):
        market.quote(CODE, 20240600, NOON)
    with pytest.raises(NoData, match="20240600"):
        market.bars(CODE, 20240600, "D", start=NOON - timedelta(days=9), end=NOON, now=NOON)
    with pytest.raises(UnknownContract, match="20250300"):
        market.contract(CODE, 20250300, NOON)


def test_expiries_follow_the_roll_rule_and_never_precede_a_price(market):
    rule = market.instruments[CODE].roll_rule
    listed = market.contracts(CODE, NOON)
    assert [(spec.contract, spec.expiry) for spec in listed] == [
        (contract, rule.approximate_expiry(contract)) for contract in (NEAR, FAR, THIN, 20240600)
    ]
    assert market.contracts(CODE, NOON, since=date(2023, 6, 1))[0].contract == 20230600

    class Late(RecordedTape):
        def bars(self, instrument):
            frame = super().bars(instrument)
            return frame.assign(contract=frame["contract"].replace(THIN, 20230800))

    late = TapeMarket(Late())
    assert late.contract(CODE, 20230800, NOON).expiry == date(2023, 8, 18)


def test_the_replay_broker_trades_on_the_tape(tmp_path: Path):
    clock = SimulatedClock(tmp_path / "clock.json", NOON)
    broker = ReplayBroker(
        tape=RecordedTape(),
        clock=clock,
        book_url=f"sqlite:///{tmp_path / 'book.db'}",
        account="DU9",
        base_currency="USD",
        capital=Decimal(100000),
    )
    assert (broker.name, broker.server_time()) == ("replay", NOON)
    quote = broker.quote(CODE, NEAR)
    state = broker.submit(OrderIntent("a", "DU9", CODE, (Leg(NEAR, 3),)))
    roll = broker.submit(OrderIntent("b", "DU9", CODE, (Leg(NEAR, -3), Leg(FAR, 3))))
    assert state.status == roll.status == BrokerOrderStatus.FILLED
    assert broker.executions("DU9").fills[0].price >= quote.ask
    assert broker.positions("DU9") == {(CODE, FAR): 3}
    before = broker.account_snapshot("DU9").net_liquidation["USD"]
    clock.advance_to(NOON + timedelta(days=1))
    after = broker.account_snapshot("DU9").net_liquidation["USD"]
    gain = 10 * 3 * 10 * broker.fx_rates("EUR", NOON - timedelta(days=3), NOON + timedelta(days=1)).iloc[-1]
    assert float(after - before) == pytest.approx(gain, rel=0.05)
    broker.close()
