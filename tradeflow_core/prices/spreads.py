"""Bid-ask spreads, sampled from the broker's quotes, to compare with the spread costs of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tradeflow_core.brokers import BrokerError
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import find_roll

DATASET = "spreads"


@dataclass(frozen=True, slots=True)
class SpreadSample:
    """One sample of an instrument: the full `spread` in price points, or (None) why there is none."""

    instrument: str
    contract: int | None
    spread: float | None
    reason: str = ""


def sample_spreads(desk: Desk, instruments: Sequence[str]) -> list[SpreadSample]:
    """Quote the priced contract of each instrument now and append the spread to its file (index time UTC, column spread).

    The priced contract is read from the ledger each time, so that a roll takes effect at once. For an instrument whose market is closed, or
    without a usable quote, nothing is appended, and its sample has the reason; a second sample at the same instant changes nothing.
    """
    samples = [_sample(desk, instrument) for instrument in instruments]
    now = pd.DatetimeIndex([desk.now()], name="time").as_unit("us")
    for sample in samples:
        if sample.spread is not None:
            _append(desk, sample.instrument, pd.DataFrame({"spread": [sample.spread]}, index=now))
    return samples


def _sample(desk: Desk, instrument: str) -> SpreadSample:
    with desk.ledger.read() as view:
        roll = find_roll(view, instrument)
    if roll is None:
        return SpreadSample(instrument, None, None, "no contract is priced yet; update its prices first")
    try:
        if not desk.broker.is_open(instrument):
            return SpreadSample(instrument, roll.price_contract, None, "the market is closed")
        quote = desk.broker.quote(instrument, roll.price_contract)
    except BrokerError as error:
        return SpreadSample(instrument, roll.price_contract, None, str(error))
    if not quote.ask >= quote.bid:
        return SpreadSample(instrument, roll.price_contract, None, f"the quote is crossed: bid {quote.bid}, ask {quote.ask}")
    return SpreadSample(instrument, roll.price_contract, quote.ask - quote.bid)


def _append(desk: Desk, instrument: str, row: pd.DataFrame) -> None:
    old = desk.former_rows(DATASET, instrument)
    if old is not None and len(old) and old.index[-1] >= row.index[0]:
        return
    desk.store.write(DATASET, instrument, row if old is None or old.empty else pd.concat([old, row]))
