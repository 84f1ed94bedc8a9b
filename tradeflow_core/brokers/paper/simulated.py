"""The simulated broker: a paper broker on the synthetic market."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from decimal import Decimal

import pandas as pd

from tradeflow_core.brokers.paper.broker import PaperBroker
from tradeflow_core.brokers.paper.synthetic import SyntheticMarket
from tradeflow_core.home import Clock
from tradeflow_core.instruments import Instrument, Sessions, SimulatedFx, SimulatedMarket


class SimulatedBroker(PaperBroker):
    """A broker whose market follows from `seed`, with a history that begins on `first_day`.

    `instruments`, `sessions`, `parameters` (by instrument) and `fx` (by currency) come from the tables of
    `tradeflow_core.instruments`. `broken` instruments send unusable bars, to practise what to do then. The book at `book_url`
    belongs to `account`, which starts with `capital` in `base_currency`.
    """

    name = "simulated"

    def __init__(
        self,
        *,
        instruments: Mapping[str, Instrument],
        sessions: Sessions,
        parameters: Mapping[str, SimulatedMarket],
        fx: Mapping[str, SimulatedFx],
        seed: int,
        first_day: date,
        clock: Clock,
        book_url: str,
        account: str,
        base_currency: str,
        capital: Decimal,
        broken: Collection[str] = (),
    ) -> None:
        market = SyntheticMarket(seed, instruments, sessions, parameters=parameters, fx=fx, first_day=first_day)
        super().__init__(market, clock, book_url=book_url, account=account, base_currency=base_currency, capital=capital)
        self._broken = frozenset(broken)
        made_with = {"simulated.seed": str(seed), "first day of the price history": str(first_day)}
        sizes = {code: instrument.point_size for code, instrument in instruments.items()}
        try:
            self.exchange.require_conditions(made_with, sizes, capital=capital)
        except BaseException:
            self.exchange.close()
            raise

    def bars(self, instrument: str, contract: int, frequency: str, *, start: datetime, end: datetime) -> pd.DataFrame:
        """As `PaperBroker.bars`; those of a broken instrument hold prices that are not numbers."""
        bars = super().bars(instrument, contract, frequency, start=start, end=end)
        return bars.assign(FINAL=float("nan")) if instrument in self._broken else bars
