"""Rolling: the step from one priced contract to the next, the states of a roll, and what to do about it by rule.

A roll is one appended event. Where the two contracts had no price at the same last moment, *marks* go with it: synthetic
quotes of a contract at a stamp. Rebuilding from contract prices with marks, and events, gives the multiple prices; a plan
shows them before anything is stored.
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
"""Over how many of the last common prices the offset between two contracts is taken, to infer a missing one."""

_SECOND = pd.Timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class RollPlan:
    """A roll that has not happened yet: what to record of it, and the prices that it would give.

    From `after` on (exclusive, in the form of the stamps given) the three contracts would be in force. `marks`: columns contract,
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
    """The last row with a price: where it is, and both prices at it, inferred where need be."""

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

    If PRICE or FORWARD is absent there it is inferred from another column by the median of their last five common
    differences in the present contracts; with `forward_fill` the last known price of the same contract is taken first.
    Marks record what was not quoted, and the first row of the new contract, so that prices show the roll at once. Raises
    DataError where a price can be neither had nor inferred, or an older roll cannot be stitched. `method`: how the preview of
    adjusted prices is stitched.
    """
    table = read_contract_prices(contract_prices)
    filled = _filled_within_contracts(multiple_prices) if forward_fill else multiple_prices
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
    """Forward and carry contract of the new priced one: by the rule alone, or among the known ids where they carry days."""
    known = [int(contract) for contract in table.ids]
    return rule.forward_of(priced, known), rule.carry_of(priced, known)


def last_priced_row(rows: pd.DataFrame) -> _LastRow:
    prices = {column: rows[column].to_numpy(dtype=float) for column in PRICE_COLUMNS}
    quoted = np.flatnonzero(~np.all([np.isnan(values) for values in prices.values()], axis=0))
    if not len(quoted):
        raise DataError("cannot roll: multiple prices hold no price at all")
    row = int(quoted[-1])
    labels = {
        column: encode_contracts(rows[label])[0][: row + 1] for column, label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True)
    }
    prices = {column: values[: row + 1] for column, values in prices.items()}
    found: dict[str, float] = {}
    for column, others in (("PRICE", ("FORWARD", "CARRY")), ("FORWARD", ("PRICE", "CARRY"))):
        value = float(prices[column][row])
        for other in others:
            if np.isnan(value):
                value = _inferred(prices[column], prices[other], labels[column], given_ids=labels[other])
        if np.isnan(value):
            raise DataError(
                f"cannot roll: no {column} of contract {labels[column][-1]} at {rows.index[row]}, nor one to infer it from; "
                "fill forward, or wait for a quote"
            )
        found[column] = value
    inferred = bool(np.isnan(prices["PRICE"][row]) or np.isnan(prices["FORWARD"][row]))
    return _LastRow(row, found["PRICE"], found["FORWARD"], inferred)


def _inferred(wanted: np.ndarray, given: np.ndarray, wanted_ids: np.ndarray, *, given_ids: np.ndarray) -> float:
    """The missing last value of `wanted`: that of `given` plus the median of their last differences in the present contracts."""
    here = (wanted_ids == wanted_ids[-1]) & (given_ids == given_ids[-1])
    here[0] = False  # the first row of a table never counts, as in the system that this one replaces
    start = int(np.max(np.flatnonzero(~here), initial=-1)) + 1
    offsets = (wanted - given)[start:]
    offsets = offsets[~np.isnan(offsets)][-MEDIAN_OF:]
    return float(given[-1] + np.median(offsets)) if len(offsets) else float("nan")


def _filled_within_contracts(multiple_prices: pd.DataFrame) -> pd.DataFrame:
    filled = {
        column: fill_within_runs(multiple_prices[column].to_numpy(dtype=float), label_changes(multiple_prices[label]))
        for column, label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True)
    }
    return multiple_prices.assign(**filled)


def value_at(table: ContractTable, contract: int, stamp: pd.Timestamp) -> float:
    series = table.series(contract)
    if series is None:
        return float("nan")
    wanted = table.form.integers(pd.DatetimeIndex([stamp]), "multiple prices")[0]
    place = int(series[0].searchsorted(wanted))
    return float(series[1][place]) if place < len(series[0]) and series[0][place] == wanted else float("nan")


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
