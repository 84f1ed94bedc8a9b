"""What a paper account is worth, and the margin that its positions take.

The account is worth its starting capital plus, for each currency at its current rate, the sum over fills of
(mark - price) x quantity x point size - commission. Margin is three times the daily risk (standard deviation of the last 60 daily
changes; 2% of the price where there are fewer than ten) of each instrument's net position.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from tradeflow_core.brokers.base import NoData
from tradeflow_core.brokers.paper.book import Holding
from tradeflow_core.brokers.paper.market import Market

CENT = Decimal("0.01")
MARGIN_DAYS_OF_RISK = 3.0
MARGIN_LOOKBACK = timedelta(days=90)
"""Enough calendar days for 60 daily changes."""


def account_value(market: Market, capital: Decimal, base_currency: str, *, holdings: Iterable[Holding], now: datetime) -> Decimal:
    """What the account is worth at `now`, in base currency, to the cent."""
    value = capital
    for holding in holdings:
        instrument = market.instruments[holding.instrument]
        mark = Decimal(repr(market.mark(holding.instrument, holding.contract, now))) if holding.quantity else Decimal(0)
        profit = (mark * holding.quantity + holding.cash) * Decimal(repr(instrument.point_size)) - holding.commission
        value += profit * rate(market, instrument.currency, base_currency, now=now)
    return value.quantize(CENT)


def initial_margin(market: Market, base_currency: str, positions: Mapping[tuple[str, int], int], *, now: datetime) -> Decimal:
    """The margin of `positions`, contracts by (instrument, contract), at `now`, in base currency, to the cent."""
    by_instrument: dict[str, dict[int, int]] = defaultdict(dict)
    for (code, contract), quantity in positions.items():
        by_instrument[code][contract] = quantity
    total = Decimal(0)
    for code, quantities in by_instrument.items():
        instrument = market.instruments[code]
        largest = max(quantities, key=lambda contract: abs(quantities[contract]))
        net = abs(sum(quantities.values()))
        amount = MARGIN_DAYS_OF_RISK * _daily_risk(market, code, largest, now=now) * net * instrument.point_size
        total += Decimal(repr(amount)) * rate(market, instrument.currency, base_currency, now=now)
    return total.quantize(CENT)


def rate(market: Market, currency: str, base_currency: str, *, now: datetime) -> Decimal:
    """Units of the base currency for one unit of `currency`."""
    if currency == base_currency:
        return Decimal(1)
    return Decimal(repr(market.fx_rate(currency, now) / market.fx_rate(base_currency, now)))


def _daily_risk(market: Market, instrument: str, contract: int, *, now: datetime) -> float:
    try:
        bars = market.bars(instrument, contract, "D", start=now - MARGIN_LOOKBACK, end=now, now=now)
        changes = bars["FINAL"].diff().dropna().tail(60)
    except NoData:
        changes = None
    if changes is None or len(changes) < 10:
        return 0.02 * abs(market.mark(instrument, contract, now))
    return float(changes.std())
