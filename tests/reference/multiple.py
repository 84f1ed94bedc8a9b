"""How the reference keeps multiple and adjusted prices: it appends to them and, at a roll, rewrites them.

tradeflow rebuilds both from contract prices and roll events, and `series.plan_roll` says what a roll would make of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.series.contract_table import PricesLike, decode_contracts, encode_contracts, read_contract_prices
from tradeflow_core.series.multiple import LABEL_COLUMNS, PRICE_COLUMNS, increasing_index
from tradeflow_core.series.roll_plan import contracts_following, last_priced_row, value_at

_SECOND = pd.Timedelta(seconds=1)


def update_multiple(multiple_prices: pd.DataFrame, new_prices: pd.DataFrame) -> pd.DataFrame:
    """Multiple prices extended by new prices of their current contracts, as the system that this one replaces does daily.

    `new_prices`: columns column (PRICE, FORWARD or CARRY), contract, date, price; the contract must be the one that the
    last row names in that column, otherwise DataError. In each column old values stay, gaps in the last unbroken run of
    the contract are filled and later stamps added, from the first old stamp on that the new series has reached; a series
    that begins after the end waits. Rebuilding from events is the rule here; this is for moving in and for comparison.
    """
    index = increasing_index(multiple_prices)
    added: dict[str, pd.Series] = {}
    for column, label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True):
        new = new_prices[new_prices["column"] == column]
        ids, _ = encode_contracts(multiple_prices[label])
        if strangers := sorted(set(encode_contracts(new["contract"])[0].tolist()) - {int(ids[-1])}):
            raise DataError(
                f"new {column} prices are of contract {strangers[0]}, but {label} is {ids[-1]} since {index[-1]}: roll first"
            )
        if len(new):
            series = pd.Series(new["price"].to_numpy(dtype=float), index=pd.DatetimeIndex(new["date"])).sort_index()
            run_start = index[int(np.max(np.flatnonzero(ids != ids[-1]), initial=-1)) + 1]
            place = index.searchsorted(max(run_start, series.index[0]))
            if place < len(index):
                added[column] = series[series.index >= index[place]]
    stamps = index
    for series in added.values():
        stamps = stamps.union(pd.DatetimeIndex(series.index)).sort_values()
    columns = {name: multiple_prices[name].reindex(stamps) for name in PRICE_COLUMNS}
    for column, series in added.items():
        columns[column] = columns[column].fillna(series)
    columns |= {label: multiple_prices[label].reindex(stamps, method="ffill") for label in LABEL_COLUMNS}
    result = pd.DataFrame(columns, index=stamps)
    result.index.name = index.name
    return result


def update_adjusted(adjusted: pd.Series, multiple_prices: pd.DataFrame) -> pd.Series:
    """Adjusted prices extended by the PRICE of updated multiple prices, from the last adjusted stamp on; old values stay.

    Raises DataError where PRICE_CONTRACT changes from that stamp on: then a roll happened that is not registered.
    """
    index = increasing_index(multiple_prices)
    last = adjusted.index[-1]
    ids, _ = encode_contracts(multiple_prices["PRICE_CONTRACT"])
    before = int(index.searchsorted(last, side="right")) - 1
    if before < 0:
        raise DataError(f"multiple prices begin at {index[0]}, after the last adjusted price at {last}: rebuild adjusted prices")
    later = np.flatnonzero((index >= last) & (ids != ids[before]))
    if len(later):
        raise DataError(
            f"a roll happened that is not registered: PRICE_CONTRACT is {ids[before]} at {last} and {ids[later[0]]} at "
            f"{index[later[0]]}; record the roll and rebuild adjusted prices"
        )
    result = adjusted.combine_first(multiple_prices["PRICE"][index >= last].dropna()).sort_index()
    result.name = adjusted.name
    return result


def forward_fill_across_rolls(multiple_prices: pd.DataFrame) -> pd.DataFrame:
    """Every column filled forward over the whole table, across rolls, as the system that this one replaces does.

    A new contract without a price in its first rows takes the old contract's price. For comparisons with
    figures of that system only; `back_adjust(..., forward_fill=True)` fills within a contract.
    """
    return multiple_prices.ffill()


def roll_step(
    multiple_prices: pd.DataFrame, roll_rule: RollRule, contract_prices: PricesLike, *, forward_fill: bool = False
) -> pd.DataFrame:
    """Multiple prices with the one or two rows that a roll appends, as the system that this one replaces writes them.

    `forward_fill` fills every column of the whole table across rolls first. For comparison and moving in: `plan_roll` is
    the rule here. Raises DataError where PRICE or FORWARD can neither be had nor inferred.
    """
    table = read_contract_prices(contract_prices)
    rows = multiple_prices.sort_index(kind="stable")
    rows = forward_fill_across_rolls(rows) if forward_fill else rows
    last = last_priced_row(rows)
    rows = rows.iloc[: last.row + 1]
    stamp = rows.index[-1]
    old = rows[list(LABEL_COLUMNS)].iloc[-1].tolist()
    priced = int(encode_contracts(rows["FORWARD_CONTRACT"].iloc[[-1]])[0][0])
    forward, carry = contracts_following(priced, roll_rule, table)
    _, as_text = encode_contracts(rows["PRICE_CONTRACT"].iloc[[-1]])
    new = decode_contracts(np.array([priced, forward, carry], dtype=np.int64), as_text=as_text).tolist()
    added = [(last.price, last.forward, np.nan, *old)] if last.inferred else []
    added.append((last.forward, value_at(table, forward, stamp), value_at(table, carry, stamp), *new))
    index = pd.DatetimeIndex([stamp + _SECOND * (j + 1) for j in range(len(added))], name=rows.index.name)
    extra = pd.DataFrame(added, columns=[*PRICE_COLUMNS, *LABEL_COLUMNS], index=index).astype(
        {c: rows[c].dtype for c in rows.columns}
    )
    return pd.concat([rows, extra[rows.columns]])
