"""The paper exchange: takes orders, has them matched against a market and keeps their durable book.

The book is a database of its own, as a broker's is: orders, fills, positions and the account survive every crash of the client. The
exchange does nothing between calls. All working orders are matched once for each instant at which it is called (`matching`), in one
transaction, before the call itself is answered; a new or changed order is matched once more when it comes in, in the transaction that
records it. So the same calls at the same times give the same fills, whether the client has died between them or not. There is no time
in force: an order works until it is filled or cancelled.

A contract that has expired was settled in cash at its last price: it leaves the positions, and its mark stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, insert, select, update

from tradeflow_core.brokers.base import (
    ENDED_ORDERS_REPORTED,
    AccountSnapshot,
    BrokerError,
    MarginChange,
    OrderRejected,
    OrderState,
    Quote,
    SessionLost,
)
from tradeflow_core.brokers.paper.book import (
    FOREIGN,
    LIQUIDATION,
    marks,
    open_book,
    orders as orders_table,
    read_account,
    read_holdings,
    require_conditions,
    session_table,
)
from tradeflow_core.brokers.paper.changes import change_execution
from tradeflow_core.brokers.paper.market import Market, has_expired
from tradeflow_core.brokers.paper.matching import Liquidity, QuoteBoard, commission_of, match
from tradeflow_core.brokers.paper.records import (
    add_order,
    check_same,
    find_order,
    order_of,
    read_fills,
    read_state,
    read_states,
)
from tradeflow_core.brokers.paper.refusals import refusal
from tradeflow_core.brokers.paper.valuation import CENT, account_value, initial_margin, rate
from tradeflow_core.home import as_utc
from tradeflow_core.model import BrokerOrderStatus, Fill, Leg, OrderIntent, OrderType


class Exchange:
    """A paper exchange on `market`, for one `account` that starts with `capital` in `base_currency`.

    `book_url` names its database (SQLite or PostgreSQL); an existing book keeps its own capital and must belong to the same
    account and currency (StateError otherwise).
    """

    def __init__(self, market: Market, book_url: str, account: str, *, base_currency: str, capital: Decimal) -> None:
        self._market, self._board = market, QuoteBoard(market)
        self._engine = open_book(book_url, account, base_currency, capital=capital)
        self.account, self.base_currency = account, base_currency
        self._matched_at: datetime | None = None
        with self._read() as connection:
            self._capital = read_account(connection).capital

    def require_conditions(self, made_with: Mapping[str, str], point_sizes: Mapping[str, float], *, capital: Decimal) -> None:
        """Note what the market was made with; raises StateError where that is something else than before (see `book`)."""
        require_conditions(self._engine, made_with, point_sizes, capital=capital)

    def close(self) -> None:
        """Release the connections to the book."""
        self._engine.dispose()

    def connect(self, generation: int) -> int:
        """Note a new connection; returns its number. Raises SessionLost if a higher generation than this one (not 0) has connected."""
        with self._engine.begin() as connection:
            session = connection.execute(select(session_table)).one()
            if generation:
                _fence(connection, generation)
            values = {"generation": max(generation, session.generation), "connections": session.connections + 1}
            connection.execute(update(session_table).values(values))
        return int(session.connections) + 1

    def submit(self, intent: OrderIntent, now: datetime, generation: int = 0, *, refuse: str = "") -> OrderState:
        """Record the order, once for each `client_ref`, and match it. Raises OrderRejected or SessionLost; a refused order stays on record.

        A reference that was used before returns the state of that order; OrderRejected if it belongs to a different order. A new one
        is refused for the reason `refuse`, if there is one.
        """
        with self._change(now, generation) as connection:
            order = find_order(connection, intent.client_ref)
            if order is not None:
                check_same(connection, order, intent)
            else:
                reason = refuse or refusal(self._market, self.account, intent, now=as_utc(now))
                broker_id = add_order(connection, intent, reason, now=as_utc(now))
                match(connection, self._market, self._board, now=as_utc(now), arriving=broker_id)
            state = read_state(connection, order_of(connection, intent.client_ref))
        if state.status == BrokerOrderStatus.REJECTED:
            raise OrderRejected(state.reason)
        return state

    def modify(self, client_ref: str, limit_price: float, *, now: datetime, generation: int = 0) -> None:
        """Change the limit of a working order and match it. Raises UnknownOrder, OrderRejected, SessionLost."""
        with self._change(now, generation) as connection:
            order = order_of(connection, client_ref)
            if order.order_type != OrderType.LIMIT or not math.isfinite(limit_price):
                raise OrderRejected(
                    f"order {client_ref}: the limit of an order of type {order.order_type} cannot become {limit_price}; "
                    "cancel it and send another one"
                )
            if order.status == BrokerOrderStatus.WORKING:
                connection.execute(
                    update(orders_table).where(orders_table.c.client_ref == client_ref).values(changed_limit=limit_price)
                )
                match(connection, self._market, self._board, now=as_utc(now), arriving=order.broker_id)

    def cancel(self, client_ref: str, now: datetime, generation: int = 0) -> None:
        """Cancel a working order; what it filled stays. Raises UnknownOrder, SessionLost."""
        with self._change(now, generation) as connection:
            order = order_of(connection, client_ref)
            values = {"status": BrokerOrderStatus.CANCELLED, "reason": "cancelled by request", "ended": as_utc(now).isoformat()}
            working = (orders_table.c.broker_id == order.broker_id, orders_table.c.status == BrokerOrderStatus.WORKING)
            connection.execute(update(orders_table).where(*working).values(values))

    def orders(self, account: str, now: datetime) -> tuple[OrderState, ...]:
        """Every open order and every one that ended within `ENDED_ORDERS_REPORTED` before `now`, by number."""
        self._check_account(account)
        with self._at(now) as connection:
            return read_states(connection, as_utc(now) - ENDED_ORDERS_REPORTED)

    def executions(self, account: str, now: datetime, since: datetime | None = None) -> tuple[Fill, ...]:
        """Executions and corrections up to `now` in the order in which they happened; with `since`, those of that time and later."""
        self._check_account(account)
        with self._at(now) as connection:
            return read_fills(connection, since and as_utc(since))

    def positions(self, account: str, now: datetime) -> dict[tuple[str, int], int]:
        """Contracts held at `now` by (instrument, contract), without zeros and without expired contracts."""
        self._check_account(account)
        with self._at(now) as connection:
            holdings = read_holdings(connection)
        held = {(holding.instrument, holding.contract): holding.quantity for holding in holdings if holding.quantity}
        if not self._market.closes_at_last_price:
            return held  # what had expired was settled
        return {key: quantity for key, quantity in held.items() if not has_expired(self._market.contract(*key, now), now)}

    def quote(self, instrument: str, contract: int, now: datetime) -> Quote:
        """The market's quote with the sizes that are left of it; raises NoQuote, UnknownContract."""
        quote = self._board.find(instrument, contract, as_utc(now))
        if quote is None:
            return self._market.quote(instrument, contract, now)  # which says why there is none
        with self._at(now) as connection:
            taken = Liquidity(connection, as_utc(now))
        return replace(quote, bid_size=taken.left(quote, -1), ask_size=taken.left(quote, 1))

    def account_snapshot(self, account: str, now: datetime) -> AccountSnapshot:
        """Net liquidation value and excess liquidity (value less margin) at `now`, both in the base currency alone, to the cent."""
        now = as_utc(now)
        positions = self.positions(account, now)
        with self._at(now) as connection:
            holdings = read_holdings(connection)
        value = account_value(self._market, self._capital, self.base_currency, holdings=holdings, now=now)
        excess = value - initial_margin(self._market, self.base_currency, positions, now=now)
        return AccountSnapshot(account, now, {self.base_currency: value}, {self.base_currency: excess})

    def what_if(self, intent: OrderIntent, now: datetime) -> MarginChange:
        """Margin before and after the order, and its commission at the last prices; raises OrderRejected where it would be refused."""
        now = as_utc(now)
        if reason := refusal(self._market, self.account, intent, now=now):
            raise OrderRejected(reason)
        instrument = self._market.instruments[intent.instrument]
        before = self.positions(self.account, now)
        after, commission = dict(before), Decimal(0)
        for leg in intent.legs:
            key = (intent.instrument, leg.contract)
            after[key] = after.get(key, 0) + leg.quantity
            commission += commission_of(instrument, leg.quantity, self._market.mark(*key, now))
        margins = [initial_margin(self._market, self.base_currency, held, now=now) for held in (before, after)]
        commission *= rate(self._market, instrument.currency, self.base_currency, now=now)
        return MarginChange(self.base_currency, margins[0], margins[1], commission.quantize(CENT))

    def change_execution(self, exec_id: str, quantity: int, *, price: float, now: datetime) -> None:
        """Replace an execution by one of another quantity and price; with a quantity of 0 it is voided. Raises StateError if it does not stand."""
        with self._engine.begin() as connection:
            self._match_once(connection, as_utc(now))
            change_execution(connection, self._market, exec_id, quantity=quantity, price=price, now=as_utc(now))

    def trade_elsewhere(self, intent: OrderIntent, now: datetime) -> None:
        """Take an order that the client knows nothing of, once for each reference, which is not shown to the client."""
        hidden = replace(intent, client_ref=FOREIGN + intent.client_ref)
        with self._engine.begin() as connection:
            self._match_once(connection, as_utc(now))
            if find_order(connection, hidden.client_ref) is None:
                broker_id = add_order(connection, hidden, "", now=as_utc(now))
                match(connection, self._market, self._board, now=as_utc(now), arriving=broker_id)

    def is_marked(self, mark: str) -> bool:
        """Whether the book has that mark."""
        with self._read() as connection:
            return connection.execute(select(marks).where(marks.c.mark == mark)).first() is not None

    def mark(self, mark: str) -> bool:
        """Set that mark in the book; False if it was set before."""
        with self._engine.begin() as connection:
            if connection.execute(select(marks).where(marks.c.mark == mark)).first() is not None:
                return False
            connection.execute(insert(marks).values(mark=mark))
        return True

    @contextmanager
    def _change(self, now: datetime, generation: int) -> Iterator[Connection]:
        """A transaction that changes orders, begun with the session checked and all orders matched; raises SessionLost."""
        with self._engine.begin() as connection:
            _fence(connection, generation)
            self._match_once(connection, as_utc(now))
            yield connection
        self._matched_at = as_utc(now)

    @contextmanager
    def _at(self, now: datetime) -> Iterator[Connection]:
        """A transaction that only reads, after the orders were matched at `now`."""
        now = as_utc(now)
        if self._matched_at != now:
            with self._engine.begin() as connection:
                self._match_once(connection, now)
            self._matched_at = now
        with self._read() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(read_only=True) as connection:
            yield connection

    def _match_once(self, connection: Connection, now: datetime) -> None:
        """Match all orders unless that was done for this instant before, by whichever process."""
        matched_at = connection.execute(select(session_table.c.matched_at)).scalar_one()
        if matched_at != now.isoformat():
            match(connection, self._market, self._board, now=now)
            self._settle_expired(connection, now)
            connection.execute(update(session_table).values(matched_at=now.isoformat()))

    def _settle_expired(self, connection: Connection, now: datetime) -> None:
        """Close what is held of contracts that have expired, at their last price: an execution of the broker, as of a liquidation."""
        if self._market.closes_at_last_price:
            return  # the desk does it itself, after the tape has rolled
        for holding in read_holdings(connection):
            if holding.quantity and has_expired(self._market.contract(holding.instrument, holding.contract, now), now):
                reference = f"{FOREIGN}{LIQUIDATION}expiry/{holding.instrument}/{holding.contract}/{now.isoformat()}"
                legs = (Leg(holding.contract, -holding.quantity),)
                intent = OrderIntent(reference, self.account, holding.instrument, legs, OrderType.LAST)
                broker_id = add_order(connection, intent, "", now=now)
                match(connection, self._market, self._board, now=now, arriving=broker_id)

    def _check_account(self, account: str) -> None:
        if account != self.account:
            raise BrokerError(f"the account {account} is not known here; this paper exchange keeps the account {self.account}")


def _fence(connection: Connection, generation: int) -> None:
    """Raises SessionLost if a higher generation has claimed the session. The transaction makes sure that none does so meanwhile."""
    claimed = connection.execute(select(session_table.c.generation)).scalar_one()
    if claimed > generation:
        raise SessionLost(
            f"generation {claimed} has claimed the session at the broker, this client is generation {generation}; "
            "another stack handler has taken over: stop this one"
        )
