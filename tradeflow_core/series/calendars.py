"""Roll calendars: when an instrument rolls from which contract into which, made from contract prices and a roll rule.

A row says that `date` is the last time at which `current_contract` is held, that the roll goes into `next_contract`,
and which contract gives the carry *until* `date`. A calendar is made in two steps: contracts and desired dates by the
rule alone, then each date is moved to the nearest one at which all contracts of the roll have a price.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.model import contract_label, find_adjacent_contract
from tradeflow_core.series.contract_table import (
    MISSING,
    ContractTable,
    Ints,
    PricesLike,
    StampForm,
    decode_contracts,
    encode_contracts,
    read_contract_prices,
)

CALENDAR_COLUMNS = ("current_contract", "next_contract", "carry_contract")

_DAY = 86_400
_ORDINAL_OF_1970 = 719_163


@dataclass(frozen=True, slots=True)
class RollCalendar:
    """A roll calendar as arrays: `dates` in the unit of the prices, ids as integers."""

    dates: Ints
    current: Ints
    next: Ints
    carry: Ints

    def frame(self, form: StampForm, *, as_text: bool) -> pd.DataFrame:
        """As a frame: index date, the three id columns."""
        columns = zip(CALENDAR_COLUMNS, (self.current, self.next, self.carry), strict=True)
        return pd.DataFrame({name: decode_contracts(ids, as_text=as_text) for name, ids in columns}, index=form.index(self.dates))

    def rows(self, keep: slice | Ints) -> RollCalendar:
        """Some of the rows."""
        return RollCalendar(self.dates[keep], self.current[keep], self.next[keep], self.carry[keep])


def approximate_roll_calendar(contract_prices: PricesLike, roll_rule: RollRule) -> pd.DataFrame:
    """Which contracts follow each other and on which dates the rule would like to roll, whatever the prices.

    `contract_prices`: long frame (contract, date, price) or mapping from id to series. Index: `date`, midnight (UTC where
    the stamps are aware), strictly increasing; columns current_contract, next_contract, carry_contract, ids in the form in which
    they came. Only contracts with prices appear. Raises DataError where no contract has a carry contract, there is a
    gap among the held contracts, or there is one contract only.
    """
    table = read_contract_prices(contract_prices)
    return _approximate(table, roll_rule).frame(table.form, as_text=table.as_text)


def build_roll_calendar(contract_prices: PricesLike, roll_rule: RollRule) -> pd.DataFrame:
    """The roll calendar of an instrument: input and output as for `approximate_roll_calendar`.

    Each date is the stamp nearest to the desired one (in whole days; of equally near ones the first) at which current and
    next contract, and the carry contracts before and after where they can, all have a price. The last desired row is
    dropped, since nothing follows it. A row without such a stamp is left out at the start and ends the calendar later on.
    The dates may fail to increase: see `check_roll_calendar`. Raises DataError as above, and where no row is left.
    """
    table = read_contract_prices(contract_prices)
    return align_dates(_approximate(table, roll_rule), table).frame(table.form, as_text=table.as_text)


def check_roll_calendar(calendar: pd.DataFrame, contract_prices: PricesLike) -> pd.DataFrame:
    """The wrong rows of a calendar, with the reason in the column `problem`; empty where all rows are right.

    Dates must increase strictly; current, next and carry contract must each have prices, and current and next one
    exactly at the date.
    """
    table = read_contract_prices(contract_prices)
    rows = read_calendar(calendar, table)
    problems: list[tuple[int, str]] = [
        (int(j) + 1, "date is not after the one before") for j in np.flatnonzero(np.diff(rows.dates) <= 0)
    ]
    for name, ids, at_date in zip(CALENDAR_COLUMNS, (rows.current, rows.next, rows.carry), (True, True, False), strict=True):
        for j, contract in enumerate(ids):
            stamps = table.priced_stamps(int(contract))
            if stamps is None:
                problems.append((j, f"{name} has no prices"))
            elif at_date and not _contains(stamps, rows.dates[j : j + 1])[0]:
                problems.append((j, f"{name} has no price at the date"))
    problems.sort(key=lambda problem: problem[0])
    return calendar.iloc[[j for j, _ in problems]].assign(problem=pd.array([text for _, text in problems], dtype="str"))


def back_out_calendar(multiple_prices: pd.DataFrame) -> pd.DataFrame:
    """The calendar that multiple prices imply, as pysystemtrade reads it.

    A row for each change to a later PRICE_CONTRACT, dated at the *first* stamp of the new contract, and one for the last
    stamp. The first contract's rows and changes of the other labels within a contract are lost: `back_out_events` keeps
    them.
    """
    kept = multiple_prices[~multiple_prices.index.duplicated(keep="last")]
    if not len(kept):
        raise DataError("multiple prices are empty: there is no calendar in them")
    index = pd.DatetimeIndex(kept.index)
    price, as_text = encode_contracts(kept["PRICE_CONTRACT"])
    forward, _ = encode_contracts(kept["FORWARD_CONTRACT"])
    carry, _ = encode_contracts(kept["CARRY_CONTRACT"])
    rolls = np.flatnonzero((price[1:] > price[:-1]) & (price[:-1] != MISSING)) + 1
    calendar = RollCalendar(
        np.append(index.asi8[rolls], index.asi8[-1]),
        np.append(price[rolls - 1], price[-1]),
        np.append(price[rolls], forward[-1]),
        np.append(carry[rolls - 1], carry[-1]),
    )
    return calendar.frame(StampForm.of(index), as_text=as_text)


def read_calendar(calendar: pd.DataFrame, table: ContractTable) -> RollCalendar:
    """A calendar frame as arrays, its dates in the unit of the prices. Raises DataError for absent columns."""
    if absent := set(CALENDAR_COLUMNS) - set(calendar.columns):
        raise DataError(f"roll calendar lacks the columns {sorted(absent)}")
    ids = [encode_contracts(calendar[name])[0] for name in CALENDAR_COLUMNS]
    return RollCalendar(table.form.integers(pd.DatetimeIndex(calendar.index), "roll calendar"), *ids)


def _approximate(table: ContractTable, rule: RollRule) -> RollCalendar:
    contracts = [int(contract) for contract in table.ids]
    rows: list[tuple[int, int, int, int]] = []
    current = _first_contract(table, rule, contracts)
    while current < contracts[-1]:
        following = _available(table, contracts, current, cycle=rule.hold, direction=1)
        if following is None:
            held_next = find_adjacent_contract(current, rule.hold, 1, known=contracts)
            if held_next is None or held_next > contracts[-1]:
                break
            raise DataError(
                f"contracts that should be held after {contract_label(current)} have no prices: fetch them, or end the contracts there"
            )
        carry = _carry(table, contracts, current, rule=rule)
        if carry is None:
            raise DataError(
                f"contract {contract_label(current)} has no carry contract with prices: fetch one, or start the contracts later"
            )
        desired = rule.desired_roll_date(current)
        midnight = table.form.ticks((desired.toordinal() - _ORDINAL_OF_1970) * _DAY)
        rows.append((midnight, current, following, carry))
        current = following
    if not rows:
        raise DataError(
            f"contract {contract_label(current)} has none to roll into: a roll calendar needs two contracts with prices"
        )
    return RollCalendar(*np.array(rows, dtype=np.int64).T)


def _first_contract(table: ContractTable, rule: RollRule, contracts: list[int]) -> int:
    """The earliest contract that has its carry contract.

    The first one of all is tried even where its month is not in the hold cycle: that affects only the first row.
    """
    contract: int | None = contracts[0]
    while contract is not None:
        if _carry(table, contracts, contract, rule=rule) is not None:
            return contract
        contract = _available(table, contracts, contract, cycle=rule.hold, direction=1)
    raise DataError(
        f"no starting contract: none from {contract_label(contracts[0])} to {contract_label(contracts[-1])} has its carry contract among the prices"
    )


def _carry(table: ContractTable, contracts: list[int], contract: int, *, rule: RollRule) -> int | None:
    return _available(table, contracts, contract, cycle=rule.priced, direction=rule.carry_offset)


def _available(table: ContractTable, contracts: list[int], contract: int, *, cycle: str, direction: int) -> int | None:
    """The nearest contract of the cycle that has prices; None where there is none within the range of `contracts`."""
    candidate = find_adjacent_contract(contract, cycle, direction, known=contracts)
    while candidate is not None and contracts[0] <= candidate <= contracts[-1]:
        if candidate in table.places:
            return candidate
        candidate = find_adjacent_contract(candidate, cycle, direction, known=contracts)
    return None


def align_dates(approximate: RollCalendar, table: ContractTable) -> RollCalendar:
    """Move each date to a stamp with prices, as `build_roll_calendar` says. Raises DataError where no row is left."""
    stamps: dict[int, Ints | None] = {}
    for contract in np.unique(np.concatenate((approximate.current, approximate.next, approximate.carry))):
        stamps[int(contract)] = table.priced_stamps(int(contract))
    dates: list[int] = []
    first = 0
    for i in range(len(approximate.dates) - 1):
        date = _aligned_date(approximate, i, stamps, day=table.form.ticks(_DAY))
        if date is not None:
            first = first if dates else i
            dates.append(date)
        elif dates:
            break
    if not dates:
        raise DataError(
            "empty roll calendar: at no roll do the two contracts have prices at the same time, or there is one roll only"
        )
    kept = approximate.rows(slice(first, first + len(dates)))
    return RollCalendar(np.array(dates, dtype=np.int64), kept.current, kept.next, kept.carry)


def _aligned_date(approximate: RollCalendar, i: int, stamps: dict[int, Ints | None], *, day: int) -> int | None:
    """The stamp nearest to approximate date `i` at which all contracts of the roll have prices, or None.

    It lies after the approximate date of the row before, not after the aligned one. The carry contracts need a price as well,
    unless one has no prices at all, the carry contract comes after the current one, or no stamp would be left.
    """
    current, following = stamps[int(approximate.current[i])], stamps[int(approximate.next[i])]
    if current is None or following is None:
        return None
    desired = approximate.dates[i]
    if i:
        limit = approximate.dates[i - 1]
        current = current[np.searchsorted(current, limit, side="right") :]
    both = current[_contains(following, current)]
    valid = both
    carry, next_carry = stamps[int(approximate.carry[i])], stamps[int(approximate.carry[i + 1])]
    if approximate.carry[i] <= approximate.current[i] and carry is not None and next_carry is not None:
        valid = both[_contains(carry, both)]
        valid = valid[_contains(next_carry, valid)]
        valid = valid if len(valid) else both
    if not len(valid):
        return None
    return int(valid[np.argmin(np.abs((valid - desired) // day))])


def _contains(stamps: Ints, wanted: Ints) -> np.ndarray:
    """For each wanted stamp, whether it is among the sorted stamps."""
    if not len(stamps):
        return np.zeros(len(wanted), dtype=bool)
    places = np.searchsorted(stamps, wanted)
    return stamps[np.minimum(places, len(stamps) - 1)] == wanted
