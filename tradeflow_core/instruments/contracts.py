"""Contract ids, and the rule that says which contracts of a market are held, priced and rolled, and when.

A contract id is an integer `YYYYMMDD`; day 00 means that only the delivery month is known. The width is fixed, so
the order of ids is the order of time, and a month-only id sorts before every day of its month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from numbers import Integral, Real
from typing import Any

from tradeflow_core.errors import ConfigError, DataError

MONTH_LETTERS = "FGHJKMNQUVXZ"


def parse_contract(value: Any) -> int:
    """The contract id meant by `YYYYMM`, `YYYYMMDD` or such a number (`20240300.0` is `20240300`).

    Raises DataError where the text is not 6 or 8 digits, or the month or day does not exist.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        text = str(int(number)) if number.is_integer() else repr(value)
    else:
        text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) in (6, 8)):
        raise DataError(f"contract {value!r} is not a contract id: give YYYYMM or YYYYMMDD")
    contract = int(text) if len(text) == 8 else int(text) * 100
    _first_day(contract)
    return contract


def month_number(contract: int) -> int:
    """Months since year 0: 12 x year + (month - 1). Raises DataError where the month is not 1 to 12."""
    year, month = divmod(int(contract) // 100, 100)
    if not 1 <= month <= 12:
        raise DataError(f"contract {contract} has month {month:02d}; months run from 01 to 12")
    return 12 * year + month - 1


def display(contract: int) -> str:
    """`2024-03`, or `2024-03-15` where the day is known."""
    year, month, day = _parts(contract)
    return f"{year:04d}-{month:02d}" + (f"-{day:02d}" if day else "")


def contract_letter(contract: int) -> str:
    """The month letter that exchanges use: F for January to Z for December."""
    return MONTH_LETTERS[month_number(contract) % 12]


@dataclass(frozen=True, slots=True)
class RollRule:
    """When a market is rolled, and which contracts play which part.

    `hold`: letters of the months that are held, e.g. `HMUZ`; `priced`: months with usable prices (the carry contract is
    one of them). `roll_offset`: days from expiry to the desired roll, usually negative. `carry_offset`: -1 where the
    carry contract is the priced one before, +1 where it is the one after. `expiry_offset`: days from the first of the
    delivery month (or from the id's own day) to the approximate expiry.

    The methods that step from contract to contract use month arithmetic. Where ids carry days, pass `known`, the ids that
    exist: a stepped day id almost never exists by itself (weekly expiries, third Wednesdays). Without `known` the day
    digits are carried over unchanged. Raises ConfigError for letters, offsets or types that make no sense.
    """

    hold: str
    priced: str
    roll_offset: int
    carry_offset: int
    expiry_offset: int

    def __post_init__(self) -> None:
        for name in ("hold", "priced"):
            cycle = getattr(self, name)
            if not isinstance(cycle, str) or not cycle or set(cycle) - set(MONTH_LETTERS):
                raise ConfigError(f"roll rule: {name} is {cycle!r}; give one or more month letters of {MONTH_LETTERS}")
        for name in ("roll_offset", "carry_offset", "expiry_offset"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise ConfigError(f"roll rule: {name} is {value!r}; give a whole number")
            object.__setattr__(self, name, int(value))
        if self.carry_offset not in (-1, 1):
            raise ConfigError(f"roll rule: carry_offset is {self.carry_offset}; it can only be -1 or +1")

    def next_held(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The next contract of the hold cycle."""
        return step(contract, self.hold, 1, known)

    def previous_held(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The contract of the hold cycle before."""
        return step(contract, self.hold, -1, known)

    def next_priced(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The next contract of the priced cycle."""
        return step(contract, self.priced, 1, known)

    def previous_priced(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The contract of the priced cycle before."""
        return step(contract, self.priced, -1, known)

    def forward_of(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The contract that a holder of `contract` rolls into."""
        return self.next_held(contract, known)

    def carry_of(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The contract against which the carry of `contract` is measured."""
        return step(contract, self.priced, self.carry_offset, known)

    def approximate_expiry(self, contract: int) -> date:
        """First of the delivery month (or the id's own day) plus `expiry_offset` calendar days."""
        return _first_day(contract) + timedelta(days=self.expiry_offset)

    def desired_roll_date(self, contract: int, expiry: date | None = None) -> date:
        """`roll_offset` calendar days from `expiry`, the broker's where known, otherwise the approximate one."""
        return (expiry or self.approximate_expiry(contract)) + timedelta(days=self.roll_offset)


def step(contract: int, cycle: str, direction: int, known: Sequence[int] | None = None) -> int:
    """The nearest contract after (1) or before (-1) `contract` in another month that is in `cycle`.

    With `known` and an id that has a day, the nearest known id; DataError where the known ones end.
    """
    found = step_or_none(contract, cycle, direction, known)
    if found is None:
        way = "after" if direction == 1 else "before"
        raise DataError(f"no known contract {way} {contract} in the cycle {cycle}: add it to the contracts of the instrument")
    return found


def step_or_none(contract: int, cycle: str, direction: int, known: Sequence[int] | None = None) -> int | None:
    """As `step`, but None where the known contracts end."""
    month = month_number(contract)
    if known is not None and contract % 100:
        there = [k for k in known if (month_number(k) - month) * direction > 0 and contract_letter(k) in cycle]
        return (min(there) if direction == 1 else max(there)) if there else None
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


def _first_day(contract: int) -> date:
    year, month, day = _parts(contract)
    try:
        return date(year, month, day or 1)
    except ValueError as error:
        raise DataError(f"contract {contract} names a day that does not exist: {error}") from error
