"""What it costs to ask the paper exchange about many orders at once: one poll of the stack handler."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from benchmarks.measure import Figure, measure
from tradeflow_core.brokers import SimulatedBroker
from tradeflow_core.home import SimulatedClock
from tradeflow_core.instruments import (
    default_universe,
    load_instruments,
    load_sessions,
    load_simulated_fx,
    load_simulated_market,
)
from tradeflow_core.model import Leg, OrderIntent, OrderType

ORDERS = 500
TARGET = 0.2
"""Seconds that a poll of `ORDERS` working orders may take."""
OPEN = datetime(2024, 1, 10, 15, 10, tzinfo=UTC)
"""A Wednesday on which most markets trade."""
ACCOUNT = "BENCH"


def figures() -> list[Figure]:
    """Polls of working orders that wait for their price: the first after time has moved, and another one at the same instant."""
    with tempfile.TemporaryDirectory(prefix="tradeflow-bench-") as folder:
        clock = SimulatedClock(Path(folder) / "clock.json", OPEN)
        broker = _broker(Path(folder), clock)
        _place(broker, ORDERS)

        def poll() -> None:
            since = clock.now() - timedelta(days=1)
            broker.orders(ACCOUNT)
            broker.executions(ACCOUNT, since)

        def next_poll() -> None:
            clock.advance_to(clock.now() + timedelta(minutes=10))
            poll()

        next_poll()  # draws the paths of the day
        rows = [
            measure(f"poll of {ORDERS} working orders, time has moved", next_poll, ORDERS * 200, baseline=TARGET),
            measure(f"poll of {ORDERS} working orders, same instant", poll, ORDERS * 200, baseline=TARGET),
            measure("value and margin of the account", lambda: broker.account_snapshot(ACCOUNT), ORDERS * 200),
        ]
        broker.close()
        return rows


def _broker(folder: Path, clock: SimulatedClock) -> SimulatedBroker:
    universe = default_universe()
    instruments = {code: instrument for code, instrument in load_instruments().items() if code in universe}
    return SimulatedBroker(
        instruments=instruments,
        sessions=load_sessions(instruments),
        parameters=load_simulated_market(),
        fx=load_simulated_fx(),
        seed=7,
        first_day=date(2021, 1, 4),
        clock=clock,
        book_url=f"sqlite:///{folder / 'book.sqlite'}",
        account=ACCOUNT,
        base_currency="USD",
        capital=Decimal(10_000_000),
    )


def _place(broker: SimulatedBroker, count: int) -> None:
    """So many orders over all instruments, each with a limit that the market does not reach."""
    codes = default_universe()
    nearest = {code: broker.contracts(code)[1].contract for code in codes}
    for number in range(count):
        code = codes[number % len(codes)]
        intent = OrderIntent(f"b{number}", ACCOUNT, code, (Leg(nearest[code], 1),), order_type=OrderType.LIMIT, limit_price=-1e6)
        broker.submit(intent)
