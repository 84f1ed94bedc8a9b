"""Rolls: the states of one, and the event that is recorded when prices are rolled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RollState(StrEnum):
    """How an instrument is being rolled."""

    NO_ROLL = "No_Roll"
    PASSIVE = "Passive"
    FORCE = "Force"
    FORCE_OUTRIGHT = "Force_Outright"
    CLOSE = "Close"
    NO_OPEN = "No_Open"
    ROLL_ADJUSTED = "Roll_Adjusted"

    @property
    def is_forced(self) -> bool:
        """Whether roll orders are made in this state, without waiting for the strategy to trade."""
        return self in (RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.CLOSE)


EVENT_CONTRACTS = ("price_contract", "forward_contract", "carry_contract")
"""The columns of a roll event that name contracts."""


@dataclass(frozen=True, slots=True)
class RollEvent:
    """From `after` on (UTC, exclusive; None: from the beginning) these are the priced, forward and carry contract."""

    instrument: str
    after: datetime | None
    price_contract: int
    forward_contract: int
    carry_contract: int
    reason: str
