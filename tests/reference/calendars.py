"""How the reference keeps the end of a roll calendar open, and repairs a calendar that was given. tradeflow records roll events instead."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.series import ContractTable
from tradeflow_core.series.calendars import RollCalendar, align_dates, read_calendar
from tradeflow_core.series.contract_table import PricesLike, read_contract_prices

PHANTOM_DAYS = 5
"""How far beyond now an open last contract is dated, where a calendar must have a row for it."""

_DAY = 86_400


def append_phantom_row(
    calendar: pd.DataFrame, contract_prices: PricesLike, roll_rule: RollRule, *, now: pd.Timestamp
) -> pd.DataFrame:
    """The calendar with a row five days after `now`, so that the contract rolled into last has an end.

    Unchanged where the last date is after `now`, or the last next contract has no prices. `now` naive or aware, like the stamps.
    """
    table = read_contract_prices(contract_prices)
    return _with_phantom(read_calendar(calendar, table), table, roll_rule, now=now).frame(table.form, as_text=table.as_text)


def repair_roll_calendar(
    calendar: pd.DataFrame, contract_prices: PricesLike, roll_rule: RollRule, *, now: pd.Timestamp
) -> pd.DataFrame:
    """A given calendar (say from a CSV file) with its dates moved to stamps at which there are prices, and open at its end.

    Arguments and errors as for `build_roll_calendar` and `append_phantom_row`.
    """
    table = read_contract_prices(contract_prices)
    given = _with_phantom(read_calendar(calendar, table), table, roll_rule, now=now)
    return _with_phantom(align_dates(given, table), table, roll_rule, now=now).frame(table.form, as_text=table.as_text)


def _with_phantom(calendar: RollCalendar, table: ContractTable, rule: RollRule, *, now: pd.Timestamp) -> RollCalendar:
    moment = int(table.form.integers(pd.DatetimeIndex([now]), "the moment now")[0])
    if not len(calendar.dates):
        raise DataError("roll calendar is empty")
    contract = int(calendar.next[-1])
    if moment < calendar.dates[-1] or contract not in table.places:
        return calendar
    known = [int(k) for k in table.ids] if contract % 100 else None
    row = (
        moment + table.form.ticks(PHANTOM_DAYS * _DAY),
        contract,
        rule.forward_of(contract, known),
        rule.carry_of(contract, known),
    )
    columns = (calendar.dates, calendar.current, calendar.next, calendar.carry)
    return RollCalendar(*(np.append(column, value) for column, value in zip(columns, row, strict=True)))
