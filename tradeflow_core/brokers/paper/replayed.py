"""The replay broker: a paper broker on the market of past days."""

from __future__ import annotations

from decimal import Decimal

from tradeflow_core.brokers.paper.broker import PaperBroker
from tradeflow_core.brokers.paper.tape_market import TapeMarket
from tradeflow_core.home import Clock
from tradeflow_core.store import Tape


class ReplayBroker(PaperBroker):
    """A broker that shows `tape` up to the time of `clock`; the rest is as in `PaperBroker`."""

    name = "replay"

    def __init__(self, *, tape: Tape, clock: Clock, book_url: str, account: str, base_currency: str, capital: Decimal) -> None:
        market = TapeMarket(tape)
        super().__init__(market, clock, book_url=book_url, account=account, base_currency=base_currency, capital=capital)
