"""What holds trading back: the owners of locks, and overrides of positions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LockOwner(StrEnum):
    """Who locks an instrument. A part of the system lifts its own locks only; a person may lift those of others too, by naming the owner."""

    PRICES = "prices"
    """Its prices are bad or missing."""
    RATES = "rates"
    """The file of a rate of its currency is damaged."""
    STALE = "stale"
    """The settings name it in `stale_instruments`."""
    EXECUTION = "execution"
    """Trouble with its orders that a person has to look at: a fill that does not fit, rejections, an unexpected error."""
    UNKNOWN_ORDER = "unknown_order"
    """The broker's answers lack one of its orders."""
    RECONCILIATION = "reconciliation"
    """Our position is not the broker's."""
    OUTSIDE_TRADE = "outside_trade"
    """A trade in it was made elsewhere and belongs to no strategy yet."""
    PERSON = "person"
    """Somebody said so."""


class OverrideKind(StrEnum):
    """How an override holds a position back."""

    FRACTION = "fraction"
    REDUCE_ONLY = "reduce_only"
    NO_TRADING = "no_trading"


@dataclass(frozen=True, slots=True)
class Override:
    """How much of a desired position may be held: a fraction of it, or only reductions, or no trading at all."""

    kind: OverrideKind = OverrideKind.FRACTION
    fraction: float = 1.0
    why: str = ""

    @property
    def closes(self) -> bool:
        """Whether nothing may be held."""
        return self.kind is OverrideKind.FRACTION and self.fraction == 0.0

    def __mul__(self, other: Override) -> Override:
        """Both at once: no trading dominates, then a fraction of zero (close), then reduce only, else the product."""
        why = "; ".join(part for part in (self.why, other.why) if part)
        kinds = {self.kind, other.kind}
        if OverrideKind.NO_TRADING in kinds:
            return Override(OverrideKind.NO_TRADING, 0.0, why)
        if 0.0 in (self.fraction, other.fraction):
            return Override(OverrideKind.FRACTION, 0.0, why)
        if OverrideKind.REDUCE_ONLY in kinds:
            return Override(OverrideKind.REDUCE_ONLY, 1.0, why)
        return Override(OverrideKind.FRACTION, self.fraction * other.fraction, why)
