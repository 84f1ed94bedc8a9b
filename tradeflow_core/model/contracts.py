"""Contract ids: what they mean, how they are read and shown, and which one follows which in a cycle of delivery months.

A contract id is an integer `YYYYMMDD`; day 00 means that only the delivery month is known. The width is fixed, so
the order of ids is the order of time, and a month-only id sorts before every day of its month.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cache
from numbers import Real
from typing import Any

from tradeflow_core.errors import DataError

MONTH_LETTERS = "FGHJKMNQUVXZ"
_BY_LETTER = re.compile(
    rf"(?P<letter>[{MONTH_LETTERS}])(?P<year>\d{{2}}|\d{{4}})|(?P<before>\d{{4}})(?P<after>[{MONTH_LETTERS}])"
)


def parse_contract(value: Any) -> int:
    """The contract id meant by `YYYYMM`, `YYYYMMDD` or such a number (`20240300.0` is `20240300`), or by a month letter with its year
    (`H2024`, `2024H`, `H24`: from 1970 to 2069).

    Raises DataError for another text, or where the month or day does not exist.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        text = str(int(number)) if number.is_integer() else repr(value)
    else:
        text = str(value).strip()
    if by_letter := _BY_LETTER.fullmatch(text.upper()):
        year = int(by_letter["year"] or by_letter["before"])
        century = 0 if year >= 100 else 2000 if year < 70 else 1900
        return (century + year) * 10000 + (MONTH_LETTERS.index(by_letter["letter"] or by_letter["after"]) + 1) * 100
    if not (text.isascii() and text.isdigit() and len(text) in (6, 8)):
        raise DataError(f"contract {value!r} is not a contract id: give YYYYMM or YYYYMMDD")
    contract = int(text) if len(text) == 8 else int(text) * 100
    first_day(contract)
    return contract


def month_number(contract: int) -> int:
    """Months since year 0: 12 x year + (month - 1). Raises DataError where the month is not 1 to 12."""
    year, month = divmod(int(contract) // 100, 100)
    if not 1 <= month <= 12:
        raise DataError(f"contract {contract} has month {month:02d}; months run from 01 to 12")
    return 12 * year + month - 1


def contract_label(contract: int) -> str:
    """`2024-03`, or `2024-03-15` where the day is known."""
    year, month, day = _parts(contract)
    return f"{year:04d}-{month:02d}" + (f"-{day:02d}" if day else "")


def contract_letter(contract: int) -> str:
    """The month letter that exchanges use: F for January to Z for December."""
    return MONTH_LETTERS[month_number(contract) % 12]


def adjacent_contract(contract: int, cycle: str, direction: int, *, known: Sequence[int] | None = None) -> int:
    """The nearest contract after (1) or before (-1) `contract` in another month that is in `cycle`.

    With `known` and an id that has a day, the nearest known id; DataError where the known ones end.
    """
    adjacent = find_adjacent_contract(contract, cycle, direction, known=known)
    if adjacent is None:
        way = "after" if direction == 1 else "before"
        raise DataError(f"no known contract {way} {contract} in the cycle {cycle}: add it to the contracts of the instrument")
    return adjacent


def find_adjacent_contract(contract: int, cycle: str, direction: int, *, known: Sequence[int] | None = None) -> int | None:
    """As `adjacent_contract`, but None where the known contracts end."""
    month = month_number(contract)
    if known is not None and contract % 100:
        candidates = [k for k in known if (month_number(k) - month) * direction > 0 and contract_letter(k) in cycle]
        return (min(candidates) if direction == 1 else max(candidates)) if candidates else None
    forward, back = _distances(cycle)
    month += forward[month % 12] if direction == 1 else -back[month % 12]
    return (month // 12) * 10000 + (month % 12 + 1) * 100 + contract % 100


@cache
def _distances(cycle: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """For each month 0 to 11, how many months to the next and to the previous member of the cycle (1 to 12)."""
    members = {MONTH_LETTERS.index(letter) for letter in cycle}
    forward = tuple(next(n for n in range(1, 13) if (month + n) % 12 in members) for month in range(12))
    back = tuple(next(n for n in range(1, 13) if (month - n) % 12 in members) for month in range(12))
    return forward, back


def _parts(contract: int) -> tuple[int, int, int]:
    month = month_number(contract)
    return month // 12, month % 12 + 1, int(contract) % 100


def first_day(contract: int) -> date:
    """The first of the delivery month, or the id's own day. Raises DataError for a day that does not exist."""
    year, month, day = _parts(contract)
    try:
        return date(year, month, day or 1)
    except ValueError as error:
        raise DataError(f"contract {contract} names a day that does not exist: {error}") from error
