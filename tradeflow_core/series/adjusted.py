"""Back-adjusted prices: one continuous series made of the prices of successive contracts.

At each roll the two contracts have different prices at the same time. Panama stitching adds that difference to all
earlier prices, so that every change of the adjusted series is a profit or loss that a holder really had:

    adjusted_j = PRICE_j + sum over rolls i > j of (FORWARD_{i-1} - PRICE_{i-1})

where row i is the first of a new contract. The last contract is unadjusted.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.errors import ConfigError, DataError

PRICE_COLUMNS = ("PRICE", "FORWARD", "CARRY")
Method = Literal["panama", "ratio", "none"]


def back_adjust(multiple_prices: pd.DataFrame, *, forward_fill: bool = False, method: Method = "panama") -> pd.Series:
    """Adjusted prices of one instrument; same index and length as the input.

    `multiple_prices`: columns PRICE, FORWARD, PRICE_CONTRACT, FORWARD_CONTRACT; unique stamps, naive or with a time zone.
    A roll is any change of PRICE_CONTRACT; its two prices come from the row before, whatever FORWARD_CONTRACT is there.
    `forward_fill`: first fill gaps in PRICE and FORWARD with the last price *of the same contract*. `method`: `panama`
    adds differences, `ratio` multiplies by quotients (prices must be positive at rolls), `none` leaves PRICE as it is. A
    row without PRICE has no adjusted price. Raises DataError for an empty table, duplicate stamps, and for rolls without
    both prices, naming every one; ConfigError for an unknown method.
    """
    if method not in ("panama", "ratio", "none"):
        raise ConfigError(f"method of adjustment is {method!r}; give panama, ratio or none")
    index = _checked_index(multiple_prices)
    changed = label_changes(multiple_prices["PRICE_CONTRACT"])
    price = multiple_prices["PRICE"].to_numpy(dtype=float)
    forward = multiple_prices["FORWARD"].to_numpy(dtype=float)
    if forward_fill:
        price = fill_within_runs(price, changed)
        forward = fill_within_runs(forward, label_changes(multiple_prices["FORWARD_CONTRACT"]))
    adjusted = price
    rolls = np.flatnonzero(changed)
    if method != "none" and len(rolls):
        old, new = price[rolls - 1], forward[rolls - 1]
        _refuse_rolls(
            multiple_prices,
            rolls[np.isnan(old) | np.isnan(new)],
            why="the last row before a roll needs a price of both contracts, but lacks one",
            remedy="move the roll to a time with both prices, add a roll mark, or fill forward",
        )
        if method == "panama":
            adjusted = price + _carried_back(new - old, rolls, len(price), combine=np.add, neutral=0.0)
        else:
            _refuse_rolls(
                multiple_prices,
                rolls[(old <= 0) | (new <= 0)],
                why="ratio adjustment needs positive prices at rolls, but some are zero or negative",
                remedy="use panama",
            )
            adjusted = price * _carried_back(new / old, rolls, len(price), combine=np.multiply, neutral=1.0)
    return pd.Series(adjusted, index=index, name="price", copy=adjusted is price)


def rolls_not_into_forward(multiple_prices: pd.DataFrame) -> pd.DataFrame:
    """Rolls into another contract than the forward one of the row before; their stitching uses the price of that forward contract.

    Index: first stamp of the new contract. Columns: rolled_from, expected (the forward contract before), rolled_into.
    """
    index = _checked_index(multiple_prices)
    price, forward = multiple_prices["PRICE_CONTRACT"], multiple_prices["FORWARD_CONTRACT"]
    rolls = np.flatnonzero(label_changes(price))
    table = pd.DataFrame(
        {
            "rolled_from": price.iloc[rolls - 1].to_numpy(),
            "expected": forward.iloc[rolls - 1].to_numpy(),
            "rolled_into": price.iloc[rolls].to_numpy(),
        },
        index=index[rolls],
    )
    return table[(table["expected"] != table["rolled_into"]).fillna(value=True).to_numpy(dtype=bool)]


def _checked_index(multiple_prices: pd.DataFrame) -> pd.DatetimeIndex:
    index = pd.DatetimeIndex(multiple_prices.index)
    if not len(index):
        raise DataError("multiple prices are empty: build them from contract prices and roll events first")
    if not index.is_unique:
        raise DataError(
            f"multiple prices have stamps more than once, the first at {index[index.duplicated()][0]}: keep one row for each"
        )
    return index


def label_changes(labels: pd.Series) -> NDArray[np.bool_]:
    """True where a label differs from the row before; never in row 0. A missing label differs from everything."""
    if isinstance(labels.dtype, np.dtype) and labels.dtype.kind == "i":
        ids = labels.to_numpy()
        return np.append(False, ids[1:] != ids[:-1])[: len(ids)]
    values = labels.cat.codes if isinstance(labels.dtype, pd.CategoricalDtype) else labels
    changed = np.zeros(len(values), dtype=bool)
    array = values.array
    changed[1:] = np.asarray(pd.Series(array[1:] != array[:-1]).fillna(value=True), dtype=bool)
    missing = labels.isna().to_numpy()
    changed[1:] |= missing[1:] | missing[:-1]
    return changed


def fill_within_runs(values: NDArray[np.float64], changed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Values filled forward inside each run; `changed` is True at the first row of a run."""
    rows = np.arange(len(values))
    start = np.maximum.accumulate(np.where(changed, rows, 0))
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows))
    return np.where(last >= start, values[np.maximum(last, 0)], np.nan)


def _carried_back(
    steps: NDArray[np.float64], rolls: NDArray[np.intp], length: int, *, combine: np.ufunc, neutral: float
) -> NDArray[np.float64]:
    """For each row, the combined steps of all rolls after it."""
    later = combine.accumulate(steps[::-1])[::-1]
    runs = np.diff(np.concatenate(([0], rolls, [length])))
    return np.repeat(np.append(later, neutral), runs)


def _refuse_rolls(multiple_prices: pd.DataFrame, bad: NDArray[np.intp], *, why: str, remedy: str) -> None:
    """Raise DataError if any roll is `bad` (row of the new contract), naming every one."""
    if not len(bad):
        return
    price, forward = multiple_prices["PRICE_CONTRACT"], multiple_prices["FORWARD_CONTRACT"]
    named = ", ".join(f"{multiple_prices.index[j]} ({price.iloc[j - 1]} to {forward.iloc[j - 1]})" for j in bad)
    raise DataError(f"{why} at {named}: {remedy}")
