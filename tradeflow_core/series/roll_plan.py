"""Planning a roll: the step from the priced contract to the forward one, and the prices that it gives.

A roll is one appended event. Where the two contracts have no price at the same last stamp, *marks* go with it: inferred
prices of a contract at a stamp. Multiple prices are rebuilt from contract prices with marks, and events; a plan shows them
before anything is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.model import EVENT_CONTRACTS
from tradeflow_core.series.adjusted import Method, back_adjust, fill_within_runs, label_changes
from tradeflow_core.series.contract_table import (
    ContractTable,
    PricesLike,
    decode_contracts,
    encode_contracts,
    read_contract_prices,
)
from tradeflow_core.series.multiple import (
    LABEL_COLUMNS,
    PRICE_COLUMNS,
    back_out_events,
    build_from_events,
    contract_series,
)

MEDIAN_OF = 5
"""A missing price is inferred by the median offset of two contracts over this many of their last common prices."""

_SECOND = pd.Timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class RollPlan:
    """A roll that has not happened yet: what will be recorded, and the prices that it gives.

    After `after` (exclusive, in the form of the stamps given) the three contracts are in force. `marks`: columns contract,
    date, price, why (`last known`, `inferred`, `first row`). `multiple_prices`, `adjusted_prices`: the preview.
    """

    after: pd.Timestamp
    price_contract: int
    forward_contract: int
    carry_contract: int
    marks: pd.DataFrame
    multiple_prices: pd.DataFrame
    adjusted_prices: pd.Series


@dataclass(frozen=True, slots=True)
class _LastRow:
    """The last row with a price: its number, and both prices at it, inferred where one is missing."""

    row: int
    price: float
    forward: float
    inferred: bool


def plan_roll(
    multiple_prices: pd.DataFrame,
    roll_rule: RollRule,
    contract_prices: PricesLike,
    *,
    forward_fill: bool = False,
    method: Method = "panama",
) -> RollPlan:
    """The roll of an instrument from its priced contract into its forward contract, after the last row with a price.

    If PRICE or FORWARD is missing there, it is inferred from another column by the median of their last five common
    differences while both columns held the present contracts; with `forward_fill` the last known price of the same contract is
    used first. Marks record inferred prices, and the first row of the new contract, so that prices show the roll at once.
    `method`: how the preview of adjusted prices is stitched. Raises DataError where a price is missing and cannot be inferred,
    or an older roll cannot be stitched.
    """
    table = read_contract_prices(contract_prices)
    filled = filled_within_contracts(multiple_prices) if forward_fill else multiple_prices
    last = last_priced_row(filled)
    ids = [int(encode_contracts(multiple_prices[label].iloc[[last.row]])[0][0]) for label in LABEL_COLUMNS]
    stamp = pd.DatetimeIndex(multiple_prices.index)[last.row]
    marks: list[tuple[int, pd.Timestamp, float, str]] = []
    if last.inferred:
        quotes = ((ids[0], last.price), (ids[1], last.forward))
        marks += [(contract, stamp + _SECOND, price, "inferred") for contract, price in quotes]
    elif forward_fill:
        for column, contract, price in zip(PRICE_COLUMNS[:2], ids, (last.price, last.forward), strict=False):
            if np.isnan(multiple_prices[column].iloc[last.row]):
                marks.append((contract, stamp, price, "last known"))
    after = stamp + _SECOND if last.inferred else stamp
    contracts = (ids[1], *contracts_following(ids[1], roll_rule, table))
    values = [last.forward, *(value_at(table, contract, stamp) for contract in contracts[1:])]
    marks += [(contract, after + _SECOND, price, "first row") for contract, price in zip(contracts, values, strict=True)]
    marked = pd.DataFrame(marks, columns=["contract", "date", "price", "why"]).dropna(subset=["price"])
    marked = marked.drop_duplicates(["contract", "date"], ignore_index=True)
    preview = _preview(multiple_prices.iloc[: last.row + 1], marked, after, contracts=contracts)
    return RollPlan(after, *contracts, marked, preview, back_adjust(preview, method=method))


def contracts_following(priced: int, rule: RollRule, table: ContractTable) -> tuple[int, int]:
    """Forward and carry contract of the new priced contract, by the rule; where ids carry days, among those of `table`."""
    contracts = [int(contract) for contract in table.ids]
    return rule.forward_of(priced, contracts), rule.carry_of(priced, contracts)


def last_priced_row(rows: pd.DataFrame) -> _LastRow:
    """The last row with a price. Raises DataError where there is none, or PRICE or FORWARD cannot be inferred."""
    prices = {column: rows[column].to_numpy(dtype=float) for column in PRICE_COLUMNS}
    quoted = np.flatnonzero(~np.all([np.isnan(values) for values in prices.values()], axis=0))
    if not len(quoted):
        raise DataError("cannot roll: multiple prices hold no price at all; update contract prices first")
    row = int(quoted[-1])
    roll_prices: dict[str, float] = {}
    for column in ("PRICE", "FORWARD"):
        value = float(prices[column][row])
        value = inferred_at_end(rows.iloc[: row + 1], column) if np.isnan(value) else value
        if np.isnan(value):
            contract = rows[f"{column}_CONTRACT"].iloc[row]
            raise DataError(
                f"cannot roll: no {column} of contract {contract} at {rows.index[row]}, and no other price to infer it from; "
                "fill forward, or wait for a quote"
            )
        roll_prices[column] = value
    inferred = bool(np.isnan(prices["PRICE"][row]) or np.isnan(prices["FORWARD"][row]))
    return _LastRow(row, roll_prices["PRICE"], roll_prices["FORWARD"], inferred)


def inferred_at_end(rows: pd.DataFrame, column: str) -> float:
    """The missing price of `column` in the last row, from the other contracts; NaN where it cannot be inferred."""
    others = ("FORWARD", "CARRY") if column == "PRICE" else ("PRICE", "CARRY")
    target, labels = rows[column].to_numpy(dtype=float), encode_contracts(rows[f"{column}_CONTRACT"])[0]
    for other in others:
        source, source_ids = rows[other].to_numpy(dtype=float), encode_contracts(rows[f"{other}_CONTRACT"])[0]
        value = _inferred(target, source, labels, source_ids=source_ids)
        if not np.isnan(value):
            return value
    return float("nan")


def _inferred(target: np.ndarray, source: np.ndarray, target_ids: np.ndarray, *, source_ids: np.ndarray) -> float:
    """The missing last value of `target`: that of `source` plus the median of their last differences in the present contracts."""
    present = (target_ids == target_ids[-1]) & (source_ids == source_ids[-1])
    present[0] = False  # the first row of a table never counts, as in pysystemtrade
    start = int(np.max(np.flatnonzero(~present), initial=-1)) + 1
    offsets = (target - source)[start:]
    offsets = offsets[~np.isnan(offsets)][-MEDIAN_OF:]
    return float(source[-1] + np.median(offsets)) if len(offsets) else float("nan")


def filled_within_contracts(multiple_prices: pd.DataFrame) -> pd.DataFrame:
    """Gaps in the three prices filled with the last price of the same contract."""
    filled = {
        column: fill_within_runs(multiple_prices[column].to_numpy(dtype=float), label_changes(multiple_prices[label]))
        for column, label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True)
    }
    return multiple_prices.assign(**filled)


def value_at(table: ContractTable, contract: int, stamp: pd.Timestamp) -> float:
    """The price of a contract at exactly that stamp; NaN where there is none."""
    series = table.series(contract)
    if series is None:
        return float("nan")
    stamps, prices = series
    number = table.form.integers(pd.DatetimeIndex([stamp]), "multiple prices")[0]
    row = int(stamps.searchsorted(number))
    return float(prices[row]) if row < len(stamps) and stamps[row] == number else float("nan")


def _preview(
    multiple_prices: pd.DataFrame, marks: pd.DataFrame, after: pd.Timestamp, *, contracts: tuple[int, int, int]
) -> pd.DataFrame:
    """Multiple prices rebuilt with a roll into these contracts and its marks."""
    series, events = contract_series(multiple_prices), back_out_events(multiple_prices)
    series["contract"], as_text = encode_contracts(series["contract"])
    for name in EVENT_CONTRACTS:
        events[name], _ = encode_contracts(events[name])
    series = pd.concat([series, marks[["contract", "date", "price"]]]).drop_duplicates(["contract", "date"])
    event = {"after": after, **dict(zip(EVENT_CONTRACTS, contracts, strict=True))}
    preview = build_from_events(series, pd.concat([events, pd.DataFrame([event])], ignore_index=True))
    for label in LABEL_COLUMNS if as_text else ():
        preview[label] = decode_contracts(preview[label].to_numpy(dtype=np.int64), as_text=as_text)
    return preview
