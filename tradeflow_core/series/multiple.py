"""Multiple prices: at every stamp the prices of the contract that is priced, the one rolled into, and the carry contract.

A roll is stored as an *event*: the time after which three contracts are in force. Event k holds for
after_k < t <= after_{k+1}; the first has no beginning (NaT) and the last no end. Multiple prices are a pure function of
contract prices and events, and nothing is filled: a stamp at which only one of the three trades has one price.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.model import EVENT_CONTRACTS, contract_label
from tradeflow_core.series.calendars import CALENDAR_COLUMNS, read_calendar
from tradeflow_core.series.contract_table import (
    MISSING,
    ContractTable,
    Floats,
    Ints,
    PricesLike,
    StampForm,
    decode_contracts,
    encode_contracts,
    read_contract_prices,
)

PRICE_COLUMNS = ("PRICE", "FORWARD", "CARRY")
LABEL_COLUMNS = ("PRICE_CONTRACT", "FORWARD_CONTRACT", "CARRY_CONTRACT")


def build_multiple_prices(contract_prices: PricesLike, roll_calendar: pd.DataFrame) -> pd.DataFrame:
    """Multiple prices from a roll calendar.

    `contract_prices`: long frame (contract, date, price) or mapping from id to series; `roll_calendar`: index of dates,
    columns current_contract, next_contract, carry_contract. The first row only says when the second one's contracts
    begin; row i is in force from one second after date i-1 up to date i, both included; nothing follows the last date.
    Returns PRICE, FORWARD, CARRY, PRICE_CONTRACT, FORWARD_CONTRACT, CARRY_CONTRACT at every stamp at which one of the
    three contracts has a row. Raises DataError where dates do not increase strictly, there are fewer than two rows, or a contract
    in the middle has no prices (at the start such rows are left out; in the last row next and carry contract may lack prices).
    """
    table = read_contract_prices(contract_prices)
    calendar = read_calendar(roll_calendar, table)
    dates = calendar.dates
    if (np.diff(dates) <= 0).any():
        bad = int(np.argmax(np.diff(dates) <= 0)) + 1
        raise DataError(
            f"roll calendar: {table.form.show(dates[bad])} is not after the date before it; correct the calendar first"
        )
    first = next((i for i in range(1, len(dates)) if int(calendar.current[i]) in table.places), None)
    if first is None:
        raise DataError(
            "roll calendar covers no contract with prices: it needs two rows, and prices of the second one's contract"
        )
    for i in range(first, len(dates)):
        row = (("current", calendar.current[i]), ("next", calendar.next[i]), ("carry", calendar.carry[i]))
        for part, contract in row[:1] if i == len(dates) - 1 else row:
            if int(contract) not in table.places:
                name = "missing" if contract == MISSING else contract_label(int(contract))
                raise DataError(
                    f"{part} contract {name} of the roll calendar's row {table.form.show(dates[i])} has no prices: "
                    "fetch them or change the row"
                )
    return _assemble(
        table,
        dates[first - 1 : -1] + table.form.ticks(1),
        dates[first:],
        labels=(calendar.current[first:], calendar.next[first:], calendar.carry[first:]),
    )


def build_from_events(contract_prices: PricesLike, events: pd.DataFrame) -> pd.DataFrame:
    """Multiple prices from roll events; returns the same columns as `build_multiple_prices`.

    `events`: columns after (increasing; the first is NaT), price_contract, forward_contract,
    carry_contract. A forward or carry contract without prices gives an empty column: see `contracts_without_prices`. Raises
    DataError where events do not increase, or a price contract has no prices.
    """
    table = read_contract_prices(contract_prices)
    after = _event_stamps(events, table.form)
    price, forward, carry = (encode_contracts(events[name])[0] for name in EVENT_CONTRACTS)
    for k, contract in enumerate(price):
        if int(contract) not in table.places:
            name = "missing" if contract == MISSING else contract_label(int(contract))
            raise DataError(
                f"price contract {name} of the roll event after {events['after'].iloc[k]} has no prices: "
                "fetch them, or correct the event"
            )
    end_of_time = np.iinfo(np.int64).max - 1
    return _assemble(table, after + 1, np.append(after[1:], end_of_time), labels=(price, forward, carry))


def contracts_without_prices(contract_prices: PricesLike, events: pd.DataFrame) -> pd.DataFrame:
    """Events, except the last, whose forward or carry contract has no prices: columns after, column (FORWARD or CARRY), contract."""
    table = read_contract_prices(contract_prices)
    parts = []
    for column, label in zip(PRICE_COLUMNS[1:], EVENT_CONTRACTS[1:], strict=True):
        ids, _ = encode_contracts(events[label])
        without_prices = ~np.isin(ids[:-1], table.ids)
        parts.append(
            pd.DataFrame({"after": events["after"].iloc[:-1], "column": column, "contract": events[label].iloc[:-1]})[
                without_prices
            ]
        )
    return pd.concat(parts, ignore_index=True)


def events_from_calendar(
    calendar: pd.DataFrame, roll_rule: RollRule | None = None, known: Sequence[int] | None = None
) -> pd.DataFrame:
    """The roll events of a calendar. With a rule there is one more, without end, for the contract rolled into last.

    `known`: the ids that exist, where ids carry days. Of a calendar's first row only the date is used.
    """
    price, forward, carry = (encode_contracts(calendar[name]) for name in CALENDAR_COLUMNS)
    labels = [ids[1:] for ids, _ in (price, forward, carry)]
    dates = pd.DatetimeIndex(calendar.index)
    after = dates[:-1]
    if roll_rule is not None:
        last = int(forward[0][-1])
        open_event = (last, roll_rule.forward_of(last, known), roll_rule.carry_of(last, known))
        labels = [np.append(ids, contract) for ids, contract in zip(labels, open_event, strict=True)]
        after = dates
    return _events_frame(after, labels, as_text=price[1])


def calendar_from_events(events: pd.DataFrame) -> pd.DataFrame:
    """The calendar of roll events: a row for each roll from one event to the next."""
    (price, as_text), (carry, _) = (encode_contracts(events[name]) for name in (EVENT_CONTRACTS[0], EVENT_CONTRACTS[2]))
    columns = zip(CALENDAR_COLUMNS, (price[:-1], price[1:], carry[:-1]), strict=True)
    index = pd.DatetimeIndex(events["after"].iloc[1:], name="date")
    return pd.DataFrame({name: decode_contracts(ids, as_text=as_text) for name, ids in columns}, index=index)


def back_out_events(multiple_prices: pd.DataFrame) -> pd.DataFrame:
    """The roll events that multiple prices hold, without loss: a new one wherever any of the three labels changes.

    Columns after (NaT first), price_contract, forward_contract, carry_contract. Stamps must increase strictly.
    """
    index = increasing_index(multiple_prices)
    coded = [encode_contracts(multiple_prices[name]) for name in LABEL_COLUMNS]
    changed = np.zeros(len(index), dtype=bool)
    changed[0] = True
    for ids, _ in coded:
        changed[1:] |= ids[1:] != ids[:-1]
    starts = np.flatnonzero(changed)
    after = pd.DatetimeIndex(index[starts[1:] - 1].insert(0, pd.NaT))
    return _events_frame(after, [ids[starts] for ids, _ in coded], as_text=coded[0][1])


def contract_series(multiple_prices: pd.DataFrame) -> pd.DataFrame:
    """The contracts' own prices out of multiple prices: long frame contract, date, price, sorted.

    Of several values for one contract and stamp the first counts, in the order PRICE, FORWARD, CARRY: so a different value in
    CARRY never changes adjusted prices.
    """
    index = increasing_index(multiple_prices)
    coded = [encode_contracts(multiple_prices[name]) for name in LABEL_COLUMNS]
    unique = np.unique(np.concatenate([pd.unique(ids) for ids, _ in coded]))
    keys, prices = [], []
    for column, (ids, _) in zip(PRICE_COLUMNS, coded, strict=True):
        values = multiple_prices[column].to_numpy(dtype=float)
        rows = np.flatnonzero(~np.isnan(values) & (ids != MISSING))
        keys.append(np.searchsorted(unique, ids[rows]) * len(index) + rows)
        prices.append(values[rows])
    key, price = np.concatenate(keys), np.concatenate(prices)
    order = np.argsort(key, kind="stable")  # takes linear time here, since the three parts are sorted
    key, price = key[order], price[order]
    kept = np.concatenate(([True], key[1:] != key[:-1]))[: len(key)]
    place, row = np.divmod(key[kept], len(index))
    return pd.DataFrame(
        {"contract": decode_contracts(unique[place], as_text=coded[0][1]), "date": index[row], "price": price[kept]}
    )


def compare_multiple_prices(original: pd.DataFrame, rebuilt: pd.DataFrame) -> pd.DataFrame:
    """Differences between original and rebuilt multiple prices: columns date, column, original, rebuilt, kind.

    `kind`: `row without prices` (missing from the rebuilt ones; it was empty), `carry from forward` (FORWARD had a price of
    the carry contract, CARRY had none), `contradiction` (two columns had different prices of one contract), or `other`, which
    should not happen.
    """
    removed, added = (a.index[~a.index.isin(b.index)] for a, b in ((original, rebuilt), (rebuilt, original)))
    blank = original.loc[removed, list(PRICE_COLUMNS)].isna().all(axis=1)
    kinds = np.where(blank.reindex(removed.append(added), fill_value=False), "row without prices", "other")
    parts = [pd.DataFrame({"date": removed.append(added), "column": "row", "original": np.nan, "rebuilt": np.nan, "kind": kinds})]
    common = original.index[original.index.isin(rebuilt.index)]
    before, after = original.loc[common], rebuilt.loc[common]
    for column, label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True):
        old, new = before[column].to_numpy(dtype=float), after[column].to_numpy(dtype=float)
        differs = ~((old == new) | (np.isnan(old) & np.isnan(new)))
        columns = {
            "date": common,
            "column": column,
            "original": old,
            "rebuilt": new,
            "kind": _value_kinds(before, column, label, new=new),
        }
        parts.append(pd.DataFrame(columns)[differs])
        ids = [encode_contracts(frame[label])[0] for frame in (before, after)]
        columns = {
            "date": common,
            "column": label,
            "original": ids[0].astype(float),
            "rebuilt": ids[1].astype(float),
            "kind": "other",
        }
        parts.append(pd.DataFrame(columns)[ids[0] != ids[1]])
    parts = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(parts).sort_values(["date", "column"], kind="stable", ignore_index=True)


def _value_kinds(before: pd.DataFrame, column: str, label: str, *, new: Floats) -> np.ndarray:
    """The kind of each value, should it differ: it depends on whether another column of the original has it for the same contract."""
    ids, old = encode_contracts(before[label])[0], before[column].to_numpy(dtype=float)
    kinds = np.full(len(old), "other", dtype=object)
    for other, other_label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True):
        if other != column:
            same = (ids == encode_contracts(before[other_label])[0]) & (before[other].to_numpy(dtype=float) == new)
            filled = "carry from forward" if (column, other) == ("CARRY", "FORWARD") else "contradiction"
            kinds[same] = np.where(np.isnan(old[same]), filled, "contradiction")
    return kinds


def _assemble(table: ContractTable, low: Ints, high: Ints, *, labels: tuple[Ints, Ints, Ints]) -> pd.DataFrame:
    """Rows of all segments `low <= t <= high` (increasing, not overlapping); segment k has the k-th contract of each label."""
    cut = [_cut(table, low, high, ids=ids) for ids in labels]
    # Each column's stamps increase over all segments, so a stable sort only merges three sorted runs.
    stamps = np.concatenate([stamps for stamps, _ in cut])
    order = np.argsort(stamps, kind="stable")
    in_order = stamps[order]
    first = np.append(True, in_order[1:] != in_order[:-1])[: len(order)]
    union, row = in_order[first], np.empty(len(order), dtype=np.intp)
    row[order] = np.cumsum(first) - 1
    rows = np.split(row, np.cumsum([len(stamps) for stamps, _ in cut])[:-1])
    columns = {name: np.full(len(union), np.nan) for name in PRICE_COLUMNS}
    for name, (_, values), column_rows in zip(PRICE_COLUMNS, cut, rows, strict=True):
        columns[name][column_rows] = values
    segment = np.repeat(np.arange(len(high)), np.diff(union.searchsorted(high, side="right"), prepend=0))
    for name, ids in zip(LABEL_COLUMNS, labels, strict=True):
        columns[name] = decode_contracts(ids, as_text=table.as_text).take(segment)
    return pd.DataFrame(columns, index=table.form.index(union), copy=False)


def _cut(table: ContractTable, low: Ints, high: Ints, *, ids: Ints) -> tuple[Ints, Floats]:
    stamps: list[Ints] = [np.empty(0, dtype=np.int64)]
    values: list[Floats] = [np.empty(0)]
    for contract, bounds in zip(ids.tolist(), np.column_stack((low, high + 1)), strict=True):
        series = table.series(contract)
        if series is not None:
            start, end = series[0].searchsorted(bounds)
            stamps.append(series[0][start:end])
            values.append(series[1][start:end])
    return np.concatenate(stamps), np.concatenate(values)


def _event_stamps(events: pd.DataFrame, form: StampForm) -> Ints:
    if absent := {"after", *EVENT_CONTRACTS} - set(events.columns):
        raise DataError(f"roll events lack the columns {sorted(absent)}")
    if not len(events):
        raise DataError("there are no roll events: make them from a roll calendar first")
    index = pd.DatetimeIndex(events["after"])
    if index.isna().all() and index.tz is None and form.tz is not None:
        index = index.tz_localize("UTC")
    after = form.integers(index, "roll events")
    if (after[1:] <= after[:-1]).any() or index[1:].hasnans:
        bad = int(np.argmax(after[1:] <= after[:-1])) + 1
        raise DataError(f"roll events: number {bad + 1}, after {index[bad]}, is not after the one before it")
    return after


def _events_frame(after: pd.DatetimeIndex, labels: Sequence[Ints], *, as_text: bool) -> pd.DataFrame:
    columns = {name: decode_contracts(ids, as_text=as_text) for name, ids in zip(EVENT_CONTRACTS, labels, strict=True)}
    return pd.DataFrame({"after": pd.Series(after), **columns})


def increasing_index(multiple_prices: pd.DataFrame) -> pd.DatetimeIndex:
    index = pd.DatetimeIndex(multiple_prices.index)
    if not len(index):
        raise DataError("multiple prices are empty")
    if not (index.is_monotonic_increasing and index.is_unique):
        raise DataError("stamps of multiple prices do not increase strictly: sort them and keep one row for each stamp")
    return index
