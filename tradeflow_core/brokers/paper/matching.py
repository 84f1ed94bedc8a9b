"""How the paper exchange fills orders.

Rules, each chosen on the pessimistic side:

- A market order buys at the ask and sells at the bid, moved against it by at most half of the half spread.
- The size of a quote belongs to all orders together: what one takes is gone for the others, first come first served, until the
  next period of `QUOTE_LIFE`. The rest of an order fills later.
- A limit order fills when the opposite quote reaches its limit: at that quote if it did so when the order came in, at
  its limit if the order had to wait. The quoted size limits it as well.
- An order of type `last` is filled in full when it comes in, at the last price of each leg without any spread, whether the market is
  open or not and even after the contract has expired. It closes positions that a replayed roll leaves over; no real exchange has it.
- The legs of a spread fill together in the ratio of the order, or not at all.
- A closed market, or one without a quote, leaves the order working.

A price follows from the time, the contract and the side alone, not from the order: whoever trades there then gets it. Each fill costs the
instrument's commission.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from tradeflow_core.brokers.base import NoQuote, Quote, UnknownContract
from tradeflow_core.brokers.paper.book import Holding, add_to_holdings, add_trade, executions, legs, liquidity, orders
from tradeflow_core.brokers.paper.market import Market, micros, tick_size, unit_hash
from tradeflow_core.brokers.paper.records import group_legs, working_limit
from tradeflow_core.instruments import Instrument
from tradeflow_core.model import BrokerOrderStatus, OrderType

QUOTE_LIFE = timedelta(minutes=5)
ADVERSE_FRACTION = 0.5
"""A market order fills at most this part of the half spread beyond the quote."""
_Side = tuple[str, int, int]


class QuoteBoard:
    """The quotes of one instant at a time: each contract's is asked for once."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._now: datetime | None = None
        self._quotes: dict[tuple[str, int], Quote | None] = {}

    def find(self, instrument: str, contract: int, now: datetime) -> Quote | None:
        """The quote at `now`; None where there is none."""
        if now != self._now:
            self._now, self._quotes = now, {}
        key = (instrument, contract)
        if key not in self._quotes:
            try:
                self._quotes[key] = self._market.quote(instrument, contract, now)
            except (NoQuote, UnknownContract):
                self._quotes[key] = None
        return self._quotes[key]


class Liquidity:
    """What was taken of the quotes of the period of `QUOTE_LIFE` in which `now` lies, by (instrument, contract, side)."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._period = micros(now) // (QUOTE_LIFE // timedelta(microseconds=1))
        rows = connection.execute(select(liquidity).where(liquidity.c.period == self._period)).all()
        self._taken: dict[_Side, int] = defaultdict(int, {(row.instrument, row.contract, row.side): row.taken for row in rows})
        self._changed: set[_Side] = set()

    def left(self, quote: Quote, direction: int) -> int:
        """Contracts that are left for a trade in `direction` (positive buys, so it takes the ask)."""
        side = 1 if direction > 0 else -1
        size = quote.ask_size if side > 0 else quote.bid_size
        return max(size - self._taken[quote.instrument, quote.contract, side], 0)

    def take(self, quote: Quote, quantity: int) -> None:
        """Use up the size that a trade of `quantity` takes."""
        key = (quote.instrument, quote.contract, 1 if quantity > 0 else -1)
        self._taken[key] += abs(quantity)
        self._changed.add(key)

    def write(self, connection: Connection) -> None:
        """Record what was taken."""
        rows = []
        for instrument, contract, side in sorted(self._changed):
            place = (liquidity.c.instrument == instrument, liquidity.c.contract == contract, liquidity.c.side == side)
            connection.execute(liquidity.delete().where(*place))
            taken = self._taken[instrument, contract, side]
            rows.append({"instrument": instrument, "contract": contract, "side": side, "period": self._period, "taken": taken})
        if rows:
            connection.execute(insert(liquidity), rows)


@dataclass
class _Changes:
    """The rows that a round of matching writes."""

    executions: list[dict[str, Any]] = field(default_factory=list)
    legs: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    holdings: dict[tuple[str, int], Holding] = field(default_factory=dict)

    def write(self, connection: Connection) -> None:
        if not self.orders:
            return
        connection.execute(insert(executions), self.executions)
        connection.execute(update(legs).where(legs.c.broker_id == bindparam("of"), legs.c.leg == bindparam("number")), self.legs)
        connection.execute(update(orders).where(orders.c.broker_id == bindparam("of")), self.orders)
        add_to_holdings(connection, self.holdings)


def match(connection: Connection, market: Market, board: QuoteBoard, *, now: datetime, arriving: int | None = None) -> None:
    """Fill the working orders, first come first served, as far as the market allows at `now`; or the one, by its number, that is `arriving`."""
    working = orders.c.status == BrokerOrderStatus.WORKING
    if arriving is not None:
        working = working & (orders.c.broker_id == arriving)
    rows = connection.execute(select(orders).where(working).order_by(orders.c.broker_id)).all()
    if not rows:
        return
    query = select(legs).join(orders).where(working).order_by(legs.c.broker_id, legs.c.leg)
    order_legs = group_legs(connection.execute(query))
    taken, changes = Liquidity(connection, now), _Changes()
    for order in rows:
        trade = _Trade(market, order, order_legs[order.broker_id], now=now)
        trade.fill(board, taken, arriving=arriving is not None)
        trade.record(changes)
    changes.write(connection)
    taken.write(connection)


class _Trade:
    """What one order trades at one instant: `lots` of its units, for each of which leg i trades `ratio[i]` contracts."""

    def __init__(self, market: Market, order: Row, order_legs: list[Row], *, now: datetime) -> None:
        self._market, self._order, self._legs, self._now = market, order, order_legs, now
        self._units = math.gcd(*(leg.quantity for leg in order_legs))
        self._ratio = [leg.quantity // self._units for leg in order_legs]
        self._left = self._units - order_legs[0].matched // self._ratio[0]
        self._lots = 0
        self._prices: list[float] = []

    def fill(self, board: QuoteBoard, taken: Liquidity, *, arriving: bool) -> None:
        """Find how much is traded and at which prices, and take it from the quotes."""
        name = self._order.instrument
        if self._order.order_type == OrderType.LAST:
            self._lots = self._left
            self._prices = [self._market.mark(name, leg.contract, self._now) for leg in self._legs]
            return
        quotes = [quote for leg in self._legs if (quote := board.find(name, leg.contract, self._now))]
        if len(quotes) < len(self._legs):
            return
        sizes = (taken.left(quote, ratio) // abs(ratio) for quote, ratio in zip(quotes, self._ratio, strict=True))
        lots = min(self._left, *sizes)
        prices = self._fill_prices(quotes, arriving=arriving)
        if lots <= 0 or prices is None:
            return
        self._lots, self._prices = lots, prices
        for quote, ratio in zip(quotes, self._ratio, strict=True):
            taken.take(quote, ratio * lots)

    def record(self, changes: _Changes) -> None:
        """Add what was traded to the rows to be written."""
        if not self._lots:
            return
        order, instrument, at = self._order, self._market.instruments[self._order.instrument], self._now.isoformat()
        for leg, ratio, price in zip(self._legs, self._ratio, self._prices, strict=True):
            quantity = ratio * self._lots
            commission = commission_of(instrument, quantity, price)
            changes.executions.append(
                {
                    "exec_id": f"{order.broker_id}.{order.fills + 1:02d}.{leg.leg}",
                    "broker_id": order.broker_id,
                    "contract": leg.contract,
                    "quantity": quantity,
                    "price": price,
                    "time": at,
                    "commission": str(commission),
                    "currency": instrument.currency,
                }
            )
            amounts = {"filled": leg.filled + quantity, "matched": leg.matched + quantity}
            changes.legs.append({"of": order.broker_id, "number": leg.leg, **amounts})
            key = (order.instrument, leg.contract)
            add_trade(changes.holdings, key, quantity=quantity, price=price, commission=commission)
        done = self._lots == self._left
        status = BrokerOrderStatus.FILLED if done else BrokerOrderStatus.WORKING
        ended = at if done else None
        changes.orders.append({"of": order.broker_id, "status": status, "fills": order.fills + 1, "ended": ended})

    def _fill_prices(self, quotes: list[Quote], *, arriving: bool) -> list[float] | None:
        """The price of each leg, or None if the limit is not reached."""
        # What each leg pays or gets without any slippage: it buys at the ask and sells at the bid.
        touch = [quote.ask if ratio > 0 else quote.bid for quote, ratio in zip(quotes, self._ratio, strict=True)]
        if self._order.order_type == OrderType.MARKET:
            instrument = self._market.instruments[self._order.instrument]
            return [worse_price(instrument, quote, ratio) for quote, ratio in zip(quotes, self._ratio, strict=True)]
        limit = working_limit(self._order)
        if limit is None:
            return None
        # Rounded, since the rounding error of a difference must not decide whether it meets the limit.
        short_of_limit = round(touch[0] - sum(touch[1:]) - limit, 9)
        if short_of_limit > 0 if self._ratio[0] > 0 else short_of_limit < 0:
            return None
        if not arriving:
            # The order had to wait, so it fills at its limit: the first leg's price is the limit plus the other leg's quote.
            touch[0] = round(limit + sum(touch[1:]), 10)
        return touch


def worse_price(instrument: Instrument, quote: Quote, direction: int) -> float:
    """What a market order in `direction` (positive buys) pays or gets: the quote, moved against it by a whole number of ticks."""
    price, side = (quote.ask, "buy") if direction > 0 else (quote.bid, "sell")
    share = ADVERSE_FRACTION * unit_hash(quote.instrument, quote.contract, quote.time.isoformat(), side)
    step = tick_size(instrument, price)
    return float(round(price + math.copysign(round(share * (quote.ask - quote.bid) / 2 / step) * step, direction), 10))


def commission_of(instrument: Instrument, quantity: int, price: float) -> Decimal:
    """The commission of one execution, in the instrument's currency."""
    cost = float(instrument.costs.commission(quantity, price, instrument.point_size))
    return Decimal(repr(cost)).quantize(Decimal("0.0001"))
