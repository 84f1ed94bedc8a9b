"""A small simulated world: six markets of four session types, and a broker on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from tradeflow_core.brokers import Broker, OrderState, SimulatedBroker
from tradeflow_core.brokers.paper.synthetic import SyntheticMarket
from tradeflow_core.home import SimulatedClock
from tradeflow_core.instruments import (
    Instrument,
    Sessions,
    load_instruments,
    load_sessions,
    load_simulated_fx,
    load_simulated_market,
)
from tradeflow_core.model import Fill

CODES = ("SP500_micro", "NASDAQ_micro", "EUROSTX", "HANG_mini", "CORN", "CRUDE_W_mini")
FIRST_DAY = date(2021, 1, 4)
ACCOUNT = "DU1"
CAPITAL = Decimal("1000000")
OPEN = datetime(2024, 1, 10, 15, 10, tzinfo=UTC)
"""A Wednesday on which Chicago and Frankfurt trade, and Hong Kong too, in its night session."""


def make_market(*codes: str, seed: int = 7) -> SyntheticMarket:
    """A synthetic market of these instruments of the packaged tables (all of `CODES` if none is given)."""
    instruments = universe(*codes)
    parameters, fx = load_simulated_market(), load_simulated_fx()
    return SyntheticMarket(seed, instruments, sessions_of(instruments), parameters=parameters, fx=fx, first_day=FIRST_DAY)


def universe(*codes: str) -> dict[str, Instrument]:
    """Packaged instruments by code."""
    known = load_instruments()
    return {code: known[code] for code in codes or CODES}


def sessions_of(instruments: dict[str, Instrument]) -> Sessions:
    """Their opening hours."""
    return load_sessions(instruments)


class Desk(NamedTuple):
    """A broker and the clock that it lives by."""

    broker: SimulatedBroker
    clock: SimulatedClock


def open_desk(folder: Path, start: datetime = OPEN, capital: Decimal = CAPITAL) -> Desk:
    """The broker whose book and clock lie in `folder`; opened again, it is the same broker."""
    clock = SimulatedClock(folder / "clock.json", start)
    instruments = universe()
    broker = SimulatedBroker(
        instruments=instruments,
        sessions=sessions_of(instruments),
        parameters=load_simulated_market(),
        fx=load_simulated_fx(),
        seed=7,
        first_day=FIRST_DAY,
        clock=clock,
        book_url=f"sqlite:///{folder / 'book.db'}",
        account=ACCOUNT,
        base_currency="USD",
        capital=capital,
    )
    return Desk(broker, clock)


def find_state(broker: Broker, ref: str, account: str = ACCOUNT) -> OrderState | None:
    """What the broker reports about our order of that reference; None if it is missing from the snapshot."""
    return next((state for state in broker.orders(account).orders if state.client_ref == ref), None)


def state_of(broker: Broker, ref: str, account: str = ACCOUNT) -> OrderState:
    """The same, for an order that is there."""
    state = find_state(broker, ref, account)
    assert state is not None, f"{ref} is missing from the snapshot"
    return state


def filled(state: OrderState) -> tuple[int, ...]:
    """Contracts filled of each leg."""
    return tuple(leg.filled for leg in state.legs)


def fills_of(broker: Broker, ref: str, account: str = ACCOUNT) -> list[Fill]:
    """The executions of our order of that reference."""
    return [fill for fill in broker.executions(account).fills if fill.client_ref == ref]


@pytest.fixture(scope="session")
def market() -> SyntheticMarket:
    """One market for all tests that only look."""
    return make_market()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A fresh broker with a flat account, while the markets are open."""
    return open_desk(tmp_path)


@pytest.fixture
def new_desk(tmp_path: Path) -> Callable[[datetime], Desk]:
    """A fresh broker whose clock starts at a given instant."""
    return lambda start: open_desk(tmp_path, start)
