"""The paper exchange: matches orders against a market and keeps their durable book.

The book is a database of its own, as a broker's is: orders, fills, positions and the account survive every crash of
the client, and each event (a new order, a fill of all its legs, a cancellation) is one transaction. The exchange does
nothing between calls: each call first matches the working orders against the market at its time, so the same calls at
the same times give the same fills.

Rules of matching, each chosen on the pessimistic side:

- A market order buys at the ask and sells at the bid, moved against it by at most half of the half spread.
- An order can take the size of a quote once in `QUOTE_LIFE`; the rest of the order fills later.
- A limit order fills when the opposite quote reaches its limit: at that quote if it did so when the order came in, at
  its limit if the order had to wait. The quoted size limits it as well.
- An order of type `last` is filled in full when it comes in, at the last price of each leg without any spread, whether the market is
  open or not and even after the contract has expired. It closes positions that a replayed roll leaves over; no real exchange has it.
- The legs of a spread fill together in the ratio of the order, or not at all.
- A closed market, or one without a quote, leaves the order working. There is no time in force: an order works
  until it is filled or cancelled.

Money: each fill costs the instrument's commission. The account is worth its starting capital plus, for each currency at its
current rate, the sum over fills of (mark - price) x quantity x point size - commission. A contract that has expired was
settled in cash at its last price: it leaves the positions, and its mark stays. Excess liquidity is that value less a margin
of three times the daily risk (standard deviation of the last 60 daily changes; 2% of the price where there are fewer than
ten) of each instrument's net position.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, Row, func, insert, select, update

from tradeflow_core.brokers.base import (
    AccountSnapshot,
    BrokerError,
    NoData,
    NoQuote,
    OrderRejected,
    OrderState,
    Quote,
    UnknownContract,
    UnknownOrder,
)
from tradeflow_core.brokers.paper.book import (
    executions as executions_table,
    legs as legs_table,
    open_book,
    orders as orders_table,
    read_account,
)
from tradeflow_core.brokers.paper.market import Market, has_expired, micros, tick_size, unit_hash
from tradeflow_core.errors import StateError
from tradeflow_core.home import as_utc
from tradeflow_core.model import BrokerOrderStatus, Fill, OrderIntent, OrderType

QUOTE_LIFE = timedelta(minutes=5)
ADVERSE_FRACTION = 0.5
"""A market order fills at most this part of the half spread beyond the quote."""
ACCEPTED_TYPES = (OrderType.MARKET, OrderType.LIMIT, OrderType.LAST)
"""Types of orders that this exchange accepts."""
MARGIN_DAYS_OF_RISK = 3.0
MARGIN_LOOKBACK = timedelta(days=90)
"""Enough calendar days for 60 daily changes."""


class Exchange:
    """A paper exchange on `market`, for one `account` that starts with `capital` in `base_currency`.

    `book_url` names its database (SQLite or PostgreSQL); an existing book keeps its own capital and must belong to the same
    account and currency (StateError otherwise).
    """

    def __init__(self, market: Market, book_url: str, account: str, *, base_currency: str, capital: Decimal) -> None:
        self._market = market
        self._engine = open_book(book_url, account, base_currency, capital=capital)
        self.account, self.base_currency = account, base_currency
        with self._engine.begin() as connection:
            self._capital = read_account(connection).capital

    def close(self) -> None:
        """Release the connections to the book."""
        self._engine.dispose()

    def submit(self, intent: OrderIntent, now: datetime) -> OrderState:
        """Record the order, once for each `client_ref`, and match it. Raises OrderRejected; a refused order stays on record.

        The order is durable before anything is matched. A reference that was used before returns the state of that
        order; OrderRejected if it belongs to a different order.
        """
        now = as_utc(now)
        with self._engine.begin() as connection:
            order = _find_order(connection, intent.client_ref)
            if order is not None:
                _check_same(connection, order, intent)
            else:
                order = self._record(connection, intent, now)
        if order.status == BrokerOrderStatus.REJECTED:
            raise OrderRejected(order.reason)
        self._match(now, order.broker_id)
        return self._state(intent.client_ref)

    def cancel(self, client_ref: str, now: datetime) -> None:
        """Cancel a working order; what it filled stays. Raises UnknownOrder."""
        self._match(as_utc(now))
        with self._engine.begin() as connection:
            if _find_order(connection, client_ref) is None:
                raise UnknownOrder(f"no order has the reference {client_ref}")
            connection.execute(
                update(orders_table)
                .where(orders_table.c.client_ref == client_ref, orders_table.c.status == BrokerOrderStatus.WORKING)
                .values(status=BrokerOrderStatus.CANCELLED, reason="cancelled by request")
            )

    def order_state(self, client_ref: str, now: datetime) -> OrderState:
        """The state of the order at `now`; raises UnknownOrder."""
        self._match(as_utc(now))
        return self._state(client_ref)

    def executions(self, account: str, now: datetime, refs: Sequence[str] | None = None) -> list[Fill]:
        """Fills of the account up to `now` in order of time; with `refs`, only those of these orders."""
        self._check_account(account)
        self._match(as_utc(now))
        query = select(executions_table, orders_table.c.client_ref, orders_table.c.instrument).join(orders_table)
        if refs is not None:
            query = query.where(orders_table.c.client_ref.in_(list(refs)))
        with self._engine.begin() as connection:
            rows = connection.execute(query.order_by(executions_table.c.number)).all()
        return [
            Fill(
                exec_id=row.exec_id,
                client_ref=row.client_ref,
                account=self.account,
                instrument=row.instrument,
                contract=row.contract,
                quantity=row.quantity,
                price=row.price,
                time=datetime.fromisoformat(row.time),
                commission=Decimal(row.commission),
                currency=row.currency,
            )
            for row in rows
        ]

    def positions(self, account: str, now: datetime) -> dict[tuple[str, int], int]:
        """Contracts held at `now` by (instrument, contract), without zeros and without expired contracts."""
        self._check_account(account)
        self._match(as_utc(now))
        total = func.sum(executions_table.c.quantity).label("quantity")
        query = select(orders_table.c.instrument, executions_table.c.contract, total).select_from(
            executions_table.join(orders_table)
        )
        with self._engine.begin() as connection:
            rows = connection.execute(query.group_by(orders_table.c.instrument, executions_table.c.contract)).all()
        held = {(row.instrument, row.contract): int(row.quantity) for row in rows if row.quantity}
        return {key: held[key] for key in sorted(held) if not has_expired(self._market.contract(*key, now), now)}

    def account_snapshot(self, account: str, now: datetime) -> AccountSnapshot:
        """Net liquidation value and excess liquidity at `now`, both in the base currency alone (to the cent)."""
        now = as_utc(now)
        profit: dict[str, float] = defaultdict(float)
        commission: dict[str, Decimal] = defaultdict(Decimal)
        marks: dict[tuple[str, int], float] = {}
        for fill in self.executions(account, now):
            key = (fill.instrument, fill.contract)
            if key not in marks:
                marks[key] = self._market.mark(*key, now)
            profit[fill.currency] += (
                (marks[key] - fill.price) * fill.quantity * self._market.instruments[fill.instrument].point_size
            )
            commission[fill.currency] += fill.commission or Decimal(0)
        value = self._capital
        for currency, amount in profit.items():
            value += (Decimal(repr(amount)) - commission[currency]) * self._rate(currency, now)
        value = value.quantize(Decimal("0.01"))
        excess = value - self._margin(account, now).quantize(Decimal("0.01"))
        return AccountSnapshot(account, now, {self.base_currency: value}, {self.base_currency: excess})

    def _check_account(self, account: str) -> None:
        if account != self.account:
            raise BrokerError(f"the account {account} is not known here; this paper exchange keeps the account {self.account}")

    def _rate(self, currency: str, now: datetime) -> Decimal:
        """Units of the base currency for one unit of `currency`."""
        if currency == self.base_currency:
            return Decimal(1)
        return Decimal(repr(self._market.fx_rate(currency, now) / self._market.fx_rate(self.base_currency, now)))

    def _margin(self, account: str, now: datetime) -> Decimal:
        by_instrument: dict[str, dict[int, int]] = defaultdict(dict)
        for (code, contract), quantity in self.positions(account, now).items():
            by_instrument[code][contract] = quantity
        total = Decimal(0)
        for code, quantities in by_instrument.items():
            instrument = self._market.instruments[code]
            risk = self._daily_risk(code, max(quantities, key=lambda contract: abs(quantities[contract])), now)
            amount = MARGIN_DAYS_OF_RISK * risk * abs(sum(quantities.values())) * instrument.point_size
            total += Decimal(repr(amount)) * self._rate(instrument.currency, now)
        return total

    def _daily_risk(self, instrument: str, contract: int, now: datetime) -> float:
        try:
            changes = (
                self._market.bars(instrument, contract, "D", start=now - MARGIN_LOOKBACK, end=now, now=now)["FINAL"]
                .diff()
                .dropna()
                .tail(60)
            )
        except NoData:
            changes = None
        if changes is None or len(changes) < 10:
            return 0.02 * abs(self._market.mark(instrument, contract, now))
        return float(changes.std())

    def _record(self, connection: Connection, intent: OrderIntent, now: datetime) -> Row:
        reason = self._refusal(intent, now)
        status = BrokerOrderStatus.REJECTED if reason else BrokerOrderStatus.WORKING
        connection.execute(
            insert(orders_table).values(
                client_ref=intent.client_ref,
                account=intent.account,
                instrument=intent.instrument,
                order_type=intent.order_type,
                limit_price=intent.limit_price,
                status=status,
                reason=reason,
                submitted=now.isoformat(),
            )
        )
        order = _find_order(connection, intent.client_ref)
        if order is None:
            raise StateError(
                f"order {intent.client_ref} was not stored in the book of the paper exchange; restore it from a backup"
            )
        if intent.legs:
            connection.execute(
                insert(legs_table),
                [
                    {"broker_id": order.broker_id, "leg": number, "contract": leg.contract, "quantity": leg.quantity, "filled": 0}
                    for number, leg in enumerate(intent.legs)
                ],
            )
        return order

    def _refusal(self, intent: OrderIntent, now: datetime) -> str:
        """Why the order is refused, or an empty text."""
        place = f"order {intent.client_ref} in {intent.instrument}"
        if intent.account != self.account:
            return f"{place}: the account {intent.account} is not {self.account}"
        if intent.instrument not in self._market.instruments:
            return f"{place}: the instrument is not traded here"
        if not intent.legs or any(leg.quantity == 0 for leg in intent.legs):
            return f"{place}: a leg without quantity; give each leg a quantity that is not zero"
        if len({leg.contract for leg in intent.legs}) < len(intent.legs):
            return f"{place}: two legs in the same contract"
        for leg in intent.legs:
            try:
                spec = self._market.contract(intent.instrument, leg.contract, now)
            except UnknownContract as error:
                return f"{place}: {error}"
            if intent.order_type is OrderType.LAST:
                try:
                    self._market.mark(intent.instrument, leg.contract, now)
                except NoData as error:
                    return f"{place}: {error}"
            elif has_expired(spec, now):
                return f"{place}: contract {leg.contract} expired on {spec.expiry}"
        if intent.order_type not in ACCEPTED_TYPES:
            return f"{place}: orders of type {intent.order_type} are not accepted here; use {', '.join(ACCEPTED_TYPES)}"
        if intent.order_type is OrderType.LIMIT:
            if intent.limit_price is None or not math.isfinite(intent.limit_price):
                return f"{place}: a limit order needs a limit price"
            if len(intent.legs) > 1 and (len(intent.legs) > 2 or sum(leg.quantity for leg in intent.legs) != 0):
                return f"{place}: a limit price is defined for one leg, or for two of opposite and equal quantity"
        return ""

    def _state(self, client_ref: str) -> OrderState:
        with self._engine.begin() as connection:
            order = _find_order(connection, client_ref)
            if order is None:
                raise UnknownOrder(f"no order has the reference {client_ref}")
            filled = tuple(leg.filled for leg in _legs(connection, order.broker_id))
        return OrderState(client_ref, str(order.broker_id), order.status, filled, order.reason)

    def _match(self, now: datetime, broker_id: int | None = None) -> None:
        """Fill the working orders (or one, by its `broker_id`) as far as the market allows at `now`, each in its own transaction."""
        query = select(orders_table.c.broker_id).where(orders_table.c.status == BrokerOrderStatus.WORKING)
        if broker_id is not None:
            query = query.where(orders_table.c.broker_id == broker_id)
        with self._engine.begin() as connection:
            working_ids = connection.execute(query.order_by(orders_table.c.broker_id)).scalars().all()
        for working_id in working_ids:
            with self._engine.begin() as connection:
                self._match_order(connection, working_id, now)

    def _match_order(self, connection: Connection, broker_id: int, now: datetime) -> None:
        # Another process may have filled or cancelled the order since the list of working orders was read.
        order = connection.execute(
            select(orders_table).where(orders_table.c.broker_id == broker_id, orders_table.c.status == BrokerOrderStatus.WORKING)
        ).one_or_none()
        if order is None:
            return
        legs = _legs(connection, broker_id)
        # An order is a number of equal units: for each unit, leg i trades ratio[i] contracts.
        units = math.gcd(*(leg.quantity for leg in legs))
        ratio = [leg.quantity // units for leg in legs]
        filled = legs[0].filled // ratio[0]
        fill_number = order.fills + 1
        quote_bucket = micros(now) // (QUOTE_LIFE // timedelta(microseconds=1))
        used = 0 if order.quote_bucket != quote_bucket else order.hit_units
        prices: list[float] | None
        if order.order_type == OrderType.LAST:
            lots = units - filled
            prices = [self._market.mark(order.instrument, leg.contract, now) for leg in legs]
        else:
            try:
                quotes = [self._market.quote(order.instrument, leg.contract, now) for leg in legs]
            except (NoQuote, UnknownContract):
                return
            size = (
                min(_quoted_size(quote, leg_ratio) // abs(leg_ratio) for quote, leg_ratio in zip(quotes, ratio, strict=True))
                - used
            )
            lots = min(units - filled, size)
            if lots <= 0:
                return
            prices = self._fill_prices(order, quotes, ratio, fill_number=fill_number, now=now)
        if prices is None:
            return
        instrument = self._market.instruments[order.instrument]
        rows = []
        for leg, leg_ratio, price in zip(legs, ratio, prices, strict=True):
            cost = instrument.costs.commission(leg_ratio * lots, price, instrument.point_size)
            rows.append(
                {
                    "exec_id": f"{broker_id}.{fill_number:02d}.{leg.leg}",
                    "broker_id": broker_id,
                    "contract": leg.contract,
                    "quantity": leg_ratio * lots,
                    "price": price,
                    "time": now.isoformat(),
                    "commission": str(Decimal(repr(cost)).quantize(Decimal("0.0001"))),
                    "currency": instrument.currency,
                }
            )
            connection.execute(
                update(legs_table)
                .where(legs_table.c.broker_id == broker_id, legs_table.c.leg == leg.leg)
                .values(filled=leg.filled + leg_ratio * lots)
            )
        connection.execute(insert(executions_table), rows)
        status = BrokerOrderStatus.FILLED if filled + lots == units else BrokerOrderStatus.WORKING
        connection.execute(
            update(orders_table)
            .where(orders_table.c.broker_id == broker_id)
            .values(status=status, fills=fill_number, quote_bucket=quote_bucket, hit_units=used + lots)
        )

    def _fill_prices(
        self, order: Row, quotes: list[Quote], ratio: list[int], *, fill_number: int, now: datetime
    ) -> list[float] | None:
        """The price of each leg, or None if the limit is not reached."""
        instrument = self._market.instruments[order.instrument]
        # What each leg pays or gets without any slippage: it buys at the ask and sells at the bid.
        touch = [quote.ask if leg_ratio > 0 else quote.bid for quote, leg_ratio in zip(quotes, ratio, strict=True)]
        if order.order_type == OrderType.MARKET:
            prices = []
            for quote, leg_ratio, price in zip(quotes, ratio, touch, strict=True):
                adverse = (
                    ADVERSE_FRACTION
                    * unit_hash(order.instrument, order.submitted, fill_number, quote.contract)
                    * (quote.ask - quote.bid)
                    / 2
                )
                step = tick_size(instrument, price)
                prices.append(round(price + math.copysign(round(adverse / step) * step, leg_ratio), 10))
            return prices
        # Rounded, since the rounding error of a difference must not decide whether it meets the limit.
        short_of_limit = round(touch[0] - sum(touch[1:]) - order.limit_price, 9)
        if short_of_limit > 0 if ratio[0] > 0 else short_of_limit < 0:
            return None
        if now.isoformat() != order.submitted:
            # The order had to wait, so it fills at its limit: the first leg's price is the limit plus the other leg's quote.
            touch[0] = round(order.limit_price + sum(touch[1:]), 10)
        return touch


def _quoted_size(quote: Quote, leg_ratio: int) -> int:
    return quote.ask_size if leg_ratio > 0 else quote.bid_size


def _find_order(connection: Connection, client_ref: str) -> Row | None:
    return connection.execute(select(orders_table).where(orders_table.c.client_ref == client_ref)).one_or_none()


def _legs(connection: Connection, broker_id: int) -> Sequence[Row]:
    return connection.execute(select(legs_table).where(legs_table.c.broker_id == broker_id).order_by(legs_table.c.leg)).all()


def _check_same(connection: Connection, order: Row, intent: OrderIntent) -> None:
    recorded_legs = tuple((leg.contract, leg.quantity) for leg in _legs(connection, order.broker_id))
    recorded = (order.account, order.instrument, order.order_type, order.limit_price, recorded_legs)
    asked_legs = tuple((leg.contract, leg.quantity) for leg in intent.legs)
    if recorded != (intent.account, intent.instrument, intent.order_type, intent.limit_price, asked_legs):
        raise OrderRejected(f"the reference {intent.client_ref} was used for another order; give each order its own")
