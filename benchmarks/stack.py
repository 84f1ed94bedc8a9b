"""What the stack handler costs: a pass with nothing new, beside years of archived orders, and a thousand orders from end to end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from tradeflow_core import ledger as books
from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler, poll_orders
from tradeflow_core.home import Home
from tradeflow_core.ledger import schema
from tradeflow_core.model import (
    BrokerOrderStatus,
    Fill,
    Leg,
    OrderIntent,
    OrderLevel,
    OrderStatus,
    OrderType,
    RollEvent,
)
from tradeflow_core.orders import generate_orders

OPEN = datetime(2024, 1, 10, 15, 10, tzinfo=UTC)
"""A Wednesday on which most markets trade."""
WORKING, ORDERS, ARCHIVED, FILLS = 500, 1000, (0, 10_000, 100_000), 1000
STRATEGIES = 40
PASS_TARGET, ORDERS_TARGET, FILLS_TARGET = 0.25, 20.0, 100.0
"""Wall seconds of a pass without the exchange's own poll; CPU seconds of `ORDERS` orders; durable fills a second."""


@dataclass(frozen=True)
class StackFigure:
    """A measurement, with its unit and its target (None: none)."""

    name: str
    value: float
    target: float | None
    unit: str


class Timed:
    """A broker that counts the seconds that are spent in it."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self.seconds = self.cpu = 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if not callable(found):
            return found

        def timed(*arguments: Any, **named: Any) -> Any:
            started, cpu = time.perf_counter(), time.process_time()
            try:
                return found(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - started
                self.cpu += time.process_time() - cpu

        return timed


def figures() -> list[StackFigure]:
    """Everything that is measured here."""
    return [*passes(), thousand_orders(), durable_fills()]


def passes() -> list[StackFigure]:
    """A pass over working orders with nothing new, the exchange's own time apart, beside more and more archived families."""
    rows = []
    with opened() as desk:
        broker = Timed(desk.broker)
        desk.__dict__["broker"] = broker
        _work(desk, WORKING)
        handler, there = StackHandler(desk), 0
        handler.step()
        for count in ARCHIVED:
            _archive(desk, there, count)
            there = count
            best = float("inf")
            for _ in range(5):
                broker.seconds, started = 0.0, time.perf_counter()
                handler.step()
                best = min(best, time.perf_counter() - started - broker.seconds)
            name = f"pass over {WORKING} working orders, nothing new, {count:,} archived families"
            rows.append(StackFigure(name, best, PASS_TARGET, "wall s"))
    return rows


def thousand_orders() -> StackFigure:
    """CPU seconds of so many instrument orders, from generation to completion on the paper exchange."""
    with opened() as desk:
        codes = _open_instruments(desk)
        before, made = time.process_time(), 0
        for number in range(STRATEGIES):
            name = f"s{number:02d}"
            wanted = {code: _optimal(desk, code, 1 if number % 2 else -1) for code in codes[: ORDERS // STRATEGIES]}
            made += sum(decision.quantity != 0 for decision in generate_orders(desk, name, wanted, day=desk.today()).decisions)
        assert made == ORDERS, made
        handler = StackHandler(desk)
        while True:
            handler.step()
            with desk.ledger.read() as view:
                left = len(books.open_instrument_orders(view, desk.account))
            if not left:
                break
            desk.clock.wait(60)
        return StackFigure(f"{ORDERS} instrument orders to completion", time.process_time() - before, ORDERS_TARGET, "CPU s")


def durable_fills() -> StackFigure:
    """Fills booked a second, each in a transaction of its own that is on the disk when it ends."""
    with opened() as desk:
        code = _open_instruments(desk)[0]
        with desk.ledger.begin() as tx:
            orders = [_put(desk, tx, f"f{number}", code=code, quantity=1) for number in range(FILLS)]
        started = time.perf_counter()
        for number, (_, code, contract) in enumerate(orders):
            fill = Fill(f"e{number}", f"f{number}", desk.account, code, contract, 1, 100.0, desk.now(), Decimal("1.5"), "USD")
            with desk.ledger.begin() as tx:
                books.book_fill(tx, fill, desk.now())
        return StackFigure("durable fills", FILLS / (time.perf_counter() - started), FILLS_TARGET, "a second")


@contextmanager
def opened() -> Iterator[Desk]:
    """A desk in a home of its own, with roll events of every instrument."""
    with tempfile.TemporaryDirectory(prefix="tradeflow-bench-") as folder:
        strategies = {f"s{number:02d}": {"config": "static_trend_carry"} for number in range(STRATEGIES)}
        values = {"market": "simulated", "capital": "100000000", "strategies": strategies}
        desk = Desk(Home.create(Path(folder) / "home", values, OPEN))
        nearest = {code: [spec.contract for spec in desk.broker.contracts(code)[1:3]] for code in desk.universe}
        rolls = [RollEvent(code, None, near, far, far, "calendar") for code, (near, far) in nearest.items()]
        with desk.ledger.begin() as tx:
            books.append_roll_events(tx, rolls, desk.now(), who="bench", why="bench")
        yield desk
        desk.close()


def _open_instruments(desk: Desk) -> list[str]:
    return [code for code in desk.universe if desk.broker.is_open(code)]


def _optimal(desk: Desk, code: str, quantity: int) -> dict[str, Any]:
    with desk.ledger.read() as view:
        contract = books.current_roll(view, code).price_contract
    price = desk.broker.quote(code, contract).mid
    return {
        "lower": float(quantity),
        "upper": float(quantity),
        "reference_contract": contract,
        "reference_price": price,
        "reference_time": desk.now(),
    }


def _put(desk: Desk, tx: Any, reference: str, *, code: str, quantity: int) -> tuple[int, str, int]:
    """An order of all three levels, as if it were being sent."""
    contract = books.current_roll(tx, code).price_contract
    parent = books.add_instrument_order(
        tx,
        account=desk.account,
        strategy="s00",
        instrument=code,
        quantity=quantity,
        order_type=OrderType.BEST,
        day=desk.today(),
        now=desk.now(),
    )
    leg = Leg(contract, quantity)
    child = books.add_contract_order(tx, parent, legs=[leg], order_type=OrderType.LIMIT, limit_price=-1e6, now=desk.now())
    intent = OrderIntent(reference, desk.account, code, (leg,), OrderType.LIMIT, -1e6)
    return books.add_broker_order(tx, child, intent, now=desk.now()), code, contract


def _work(desk: Desk, count: int) -> None:
    """So many orders at work, each with a limit that the market does not reach."""
    codes = _open_instruments(desk)
    with desk.ledger.begin() as tx:
        placed = [
            (f"w{number}", *_put(desk, tx, f"w{number}", code=codes[number % len(codes)], quantity=1)) for number in range(count)
        ]
    for reference, _, code, contract in placed:
        desk.broker.submit(OrderIntent(reference, desk.account, code, (Leg(contract, 1),), OrderType.LIMIT, -1e6))
    poll_orders(desk)


def _archive(desk: Desk, begin: int, end: int) -> None:
    """Families of orders that were filled long ago, number `begin` to `end`. Their hashes are not those of facts: nobody checks them here."""
    long_ago, first = desk.now() - timedelta(days=400), 10_000
    said = {"who": "bench", "why": "", "recorded_at": long_ago, "hash": "0" * 64}
    common = {"account": desk.account, "instrument": "CORN", "created_at": long_ago, "closed_at": long_ago}
    leg = {"leg": 0, "instrument": "CORN", "contract": 20220300, "quantity": 1, "filled": 1}
    done = {"order_type": OrderType.BEST, "status": OrderStatus.COMPLETED}
    ids = range(first + begin, first + end)
    tables: dict[Any, Any] = {
        schema.instrument_orders: lambda n: {
            "id": n, **common, **done, "strategy": "s00", "quantity": 1, "filled": 1, "day": long_ago.date(), "who": "x", "why": ""
        },
        schema.contract_orders: lambda n: {"id": n, **common, **done},
        schema.contract_order_legs: lambda n: {"contract_order_id": n, **leg},
        schema.shares: lambda n: {"contract_order_id": n, "instrument_order_id": n, "quantity": 1, "filled": 1},
        schema.broker_orders: lambda n: {
            "id": n,
            **common,
            "contract_order_id": n,
            "client_ref": f"a{n}",
            "order_type": OrderType.BEST,
            "status": BrokerOrderStatus.FILLED,
            "sent_at": long_ago,
            "reason": "",
        },
        schema.broker_order_legs: lambda n: {"broker_order_id": n, **leg},
        schema.fills: lambda n: {
            "exec_id": f"a{n}", "broker_order_id": n, "leg": 0, "account": desk.account, "instrument": "CORN", "contract": 20220300,
            "quantity": 1, "change": 1, "price": 100.0, "time": long_ago, "commission": Decimal(1), "currency": "USD", **said,
        },
        schema.allocations: lambda n: {
            "account": desk.account, "strategy": "s00", "instrument": "CORN", "contract": 20220300, "quantity": 1, "price": 100.0,
            "time": long_ago, "instrument_order_id": n, "contract_order_id": n, **said,
        },
        schema.order_events: lambda n: {"level": OrderLevel.BROKER, "order_id": n, "before": None, "after": "filled", **said},
    }  # fmt: skip
    with desk.ledger.begin() as tx:
        for table, row in tables.items():
            if ids:
                tx.execute(insert(table), [row(number) for number in ids])
