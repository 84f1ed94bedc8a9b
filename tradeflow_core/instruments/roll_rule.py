"""The roll rule of an instrument: which contracts are held and priced, and when they are rolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from numbers import Integral

from tradeflow_core.errors import ConfigError
from tradeflow_core.model import MONTH_LETTERS, adjacent_contract, first_day

MOST_DAYS = 3650
"""Ten years: no contract is listed for longer."""


@dataclass(frozen=True, slots=True)
class RollRule:
    """When an instrument is rolled, and which of its contracts are held, priced and used for carry.

    `hold`: letters of the months that are held, e.g. `HMUZ`; `priced`: months with usable prices (the carry contract is
    one of them). `roll_offset`: days from expiry to the desired roll, usually negative. `carry_offset`: -1 where the
    carry contract is the priced one before, +1 where it is the one after. `expiry_offset`: days from the first of the
    delivery month (or from the id's own day) to the approximate expiry.

    The methods that step from contract to contract use month arithmetic. Where ids carry days, pass `known`, the ids that
    exist, since month arithmetic almost never gives the day of an existing id (weekly expiries, third Wednesdays). Without `known`
    the day digits stay unchanged. Raises ConfigError for letters, offsets or types that are not valid.
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
            if abs(int(value)) > MOST_DAYS:
                raise ConfigError(f"roll rule: {name} is {value}; it can be {MOST_DAYS} days at most")
            object.__setattr__(self, name, int(value))
        if self.carry_offset not in (-1, 1):
            raise ConfigError(f"roll rule: carry_offset is {self.carry_offset}; it can only be -1 or +1")

    def next_held(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The next contract of the hold cycle."""
        return adjacent_contract(contract, self.hold, 1, known=known)

    def previous_held(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The previous contract of the hold cycle."""
        return adjacent_contract(contract, self.hold, -1, known=known)

    def forward_of(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The contract that a holder of `contract` rolls into."""
        return self.next_held(contract, known)

    def carry_of(self, contract: int, known: Sequence[int] | None = None) -> int:
        """The contract against which the carry of `contract` is measured."""
        return adjacent_contract(contract, self.priced, self.carry_offset, known=known)

    def approximate_expiry(self, contract: int) -> date:
        """First of the delivery month (or the id's own day) plus `expiry_offset` calendar days."""
        return first_day(contract) + timedelta(days=self.expiry_offset)

    def desired_roll_date(self, contract: int, expiry: date | None = None) -> date:
        """`roll_offset` calendar days from `expiry` (default: the approximate expiry)."""
        return (expiry or self.approximate_expiry(contract)) + timedelta(days=self.roll_offset)
