"""Bid-ask spreads, sampled from the broker's quotes: what trading costs really are."""

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


def sample_spreads(desk: Desk, codes: Sequence[str]) -> list[SpreadSample]:
    """Quote the priced contract of each instrument now and append the spread to its file (index time UTC, column spread).

    Which contract that is, is asked of the ledger each time, so that a roll counts at once. An instrument that is closed or without a usable
    quote is left out, with the reason; a second sample at the same instant changes nothing.
    """
    samples = [_sample(desk, code) for code in codes]
    now = pd.DatetimeIndex([desk.now()], name="time").as_unit("us")
    for sample in samples:
        if sample.spread is not None:
            _append(desk, sample.instrument, pd.DataFrame({"spread": [sample.spread]}, index=now))
    return samples


def _sample(desk: Desk, code: str) -> SpreadSample:
    with desk.ledger.read() as view:
        roll = find_roll(view, code)
    if roll is None:
        return SpreadSample(code, None, None, "no contract is priced yet; update its prices first")
    try:
        if not desk.broker.is_open(code):
            return SpreadSample(code, roll.price_contract, None, "the market is closed")
        quote = desk.broker.quote(code, roll.price_contract)
    except BrokerError as error:
        return SpreadSample(code, roll.price_contract, None, str(error))
    if not quote.ask >= quote.bid:
        return SpreadSample(code, roll.price_contract, None, f"the quote is crossed: bid {quote.bid}, ask {quote.ask}")
    return SpreadSample(code, roll.price_contract, quote.ask - quote.bid)


def _append(desk: Desk, code: str, row: pd.DataFrame) -> None:
    old = desk.store.read(DATASET, code) if desk.store.exists(DATASET, code) else row.iloc[:0]
    if len(old) and old.index[-1] >= row.index[0]:
        return
    desk.store.write(DATASET, code, pd.concat([old, row]) if len(old) else row)
