"""Where price history comes from, beside the broker: a source says what it has, and gives the bars of one contract at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd


@dataclass(frozen=True, slots=True)
class Offer:
    """Bars of one contract and frequency that a source has. `name`: what people call it, such as its file. `problem`: why it cannot be read,
    for example since its name tells no contract; empty where it can."""

    name: str
    instrument: str = ""
    contract: int = 0
    frequency: str = "D"
    problem: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """Bars of one contract and frequency in the columns and types of the store, in order; rows left out, by reason; what one ought to know."""

    bars: pd.DataFrame
    skipped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def read(self) -> int:
        """So many rows there were."""
        return len(self.bars) + sum(self.skipped.values())


class HistorySource(Protocol):
    """Another source of price history is one class with these two."""

    def offers(self) -> Sequence[Offer]:
        """Everything that it has, and what it has and cannot give. Raises ConfigError where the source itself cannot be read."""
        ...

    def history(self, offer: Offer) -> History:
        """The bars of an offer without a problem. Raises ConfigError or DataError with everything that is wrong with them."""
        ...
