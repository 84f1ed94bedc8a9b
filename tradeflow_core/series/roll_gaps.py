"""Rolls whose two contracts have no price at the same last stamp, and the prices that mend them.

Stitching needs both prices in the last row before a roll. Where one is missing there are three ways: *infer* it from another contract by
the median of their last common differences, as a roll in production does; *fill* it with the last known price of the same contract; or a
person tells it. What is found is a mark: the bars stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.model import contract_label, parse_contract
from tradeflow_core.series.adjusted import label_changes
from tradeflow_core.series.contract_table import encode_contracts
from tradeflow_core.series.roll_plan import filled_within_contracts, inferred_at_end

RollMethod = Literal["infer", "fill"]
METHODS: tuple[RollMethod, ...] = get_args(RollMethod)
"""How a missing price is found; where one way gives none, the other is tried."""

MARK_COLUMNS = ["contract", "date", "price", "why"]
_WORDS: dict[RollMethod, str] = {"infer": "inferred", "fill": "last known"}


@dataclass(frozen=True, slots=True)
class RollGap:
    """A roll without common prices. `stamp`: the last before the roll, in the form of the index; `row`: its number. `price` and `forward`: what
    the contract rolled out of and the one rolled into cost there, NaN where it is not known."""

    stamp: pd.Timestamp
    row: int
    price_contract: int
    forward_contract: int
    price: float
    forward: float

    def __str__(self) -> str:
        known = {self.price_contract: self.price, self.forward_contract: self.forward}
        missing = " and ".join(contract_label(contract) for contract, price in known.items() if np.isnan(price))
        return (
            f"the roll of {self.stamp:%Y-%m-%d %H:%M:%S} from {contract_label(self.price_contract)} to "
            f"{contract_label(self.forward_contract)} lacks a price of {missing}"
        )


@dataclass(frozen=True, slots=True)
class MendedRoll:
    """A gap with both prices. `how`: by contract that lacked a price, `inferred`, `last known` or `told`."""

    gap: RollGap
    price: float
    forward: float
    how: dict[int, str]

    def __str__(self) -> str:
        prices = {self.gap.price_contract: self.price, self.gap.forward_contract: self.forward}
        found = ", ".join(f"{contract_label(contract)} {prices[contract]:g} ({how})" for contract, how in self.how.items())
        return f"{self.gap}; taken: {found}"


def roll_gaps(multiple_prices: pd.DataFrame) -> list[RollGap]:
    """The rolls of multiple prices without a price of both contracts in the row before, in order."""
    price, forward = (multiple_prices[name].to_numpy(dtype=float) for name in ("PRICE", "FORWARD"))
    rows = np.flatnonzero(label_changes(multiple_prices["PRICE_CONTRACT"])) - 1
    rows = rows[np.isnan(price[rows]) | np.isnan(forward[rows])]
    ids = [encode_contracts(multiple_prices[name])[0] for name in ("PRICE_CONTRACT", "FORWARD_CONTRACT")]
    index = pd.DatetimeIndex(multiple_prices.index)
    return [
        RollGap(index[row], row, int(ids[0][row]), int(ids[1][row]), float(price[row]), float(forward[row]))
        for row in rows.tolist()
    ]


def mend_roll(
    multiple_prices: pd.DataFrame, gap: RollGap, method: RollMethod, *, told: Mapping[int, float] | None = None
) -> MendedRoll:
    """The prices of a roll of `multiple_prices`: those that are known, those `told` by contract, and the others by the method, or else the
    other one. Raises DataError where a price cannot be had."""
    before = multiple_prices.iloc[: gap.row + 1]
    prices, how = {}, dict[int, str]()
    for column, contract, known in (("PRICE", gap.price_contract, gap.price), ("FORWARD", gap.forward_contract, gap.forward)):
        prices[column] = known
        if not np.isnan(known):
            continue
        if told and contract in told:
            prices[column], how[contract] = told[contract], "told"
            continue
        for way in (method, *(other for other in METHODS if other != method)):
            if np.isnan(prices[column]):
                found = inferred_at_end(before, column) if way == "infer" else filled_within_contracts(before)[column].iloc[-1]
                prices[column], how[contract] = float(found), _WORDS[way]
        if np.isnan(prices[column]):
            raise DataError(
                f"{gap}, and nothing to infer it from: the contract has no earlier price while its roll was ahead; tell its price"
            )
    return MendedRoll(gap, prices["PRICE"], prices["FORWARD"], how)


def marks_of_rolls(mended: Sequence[MendedRoll]) -> pd.DataFrame:
    """The marks that mend rolls: `MARK_COLUMNS`."""
    rows = []
    for each in mended:
        prices = {each.gap.price_contract: each.price, each.gap.forward_contract: each.forward}
        rows += [(contract, each.gap.stamp, prices[contract], how) for contract, how in each.how.items()]
    return pd.DataFrame(rows, columns=MARK_COLUMNS)


def told_for(gap: RollGap, told: Mapping[tuple[int, pd.Timestamp], float]) -> dict[int, float]:
    """Of the prices told by contract and time those of a roll, by contract."""
    return {contract: price for (contract, time), price in told.items() if time == gap.stamp}


def require_used(gaps: Sequence[RollGap], told: Mapping[tuple[int, pd.Timestamp], float]) -> None:
    """Raise ConfigError where a told price is not one that a roll lacks."""
    lacking = {
        (contract, gap.stamp)
        for gap in gaps
        for contract, price in ((gap.price_contract, gap.price), (gap.forward_contract, gap.forward))
        if np.isnan(price)
    }
    if strange := [f"{contract}@{time:%Y-%m-%dT%H:%M:%S}" for contract, time in told if (contract, time) not in lacking]:
        wanted = ", ".join(f"{contract}@{time:%Y-%m-%dT%H:%M:%S}" for contract, time in sorted(lacking)) or "none"
        raise ConfigError(f"no roll lacks the price {', '.join(strange)}; prices that are lacking: {wanted}")


def parse_told(text: str, zone: str) -> tuple[tuple[int, pd.Timestamp], float]:
    """A told price such as `20230800@2023-08-16T23:00=101.25`, its time in `zone`: contract and time, price. Raises ConfigError."""
    place, equals, number = text.rpartition("=")
    contract, at, time = place.partition("@")
    stamp: pd.Timestamp | None = None
    try:
        stamp = pd.Timestamp(time)
        price, number_of_contract = float(number), parse_contract(contract)
    except (ValueError, DataError):
        price, number_of_contract = float("nan"), 0
    if not (equals and at) or stamp is None or pd.isna(stamp) or stamp.tzinfo is not None or not np.isfinite(price):
        raise ConfigError(
            f"{text!r} is not a price of a roll; write CONTRACT@TIME=PRICE, such as 20230800@2023-08-16T23:00=101.25"
        )
    return (number_of_contract, stamp.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")), price
