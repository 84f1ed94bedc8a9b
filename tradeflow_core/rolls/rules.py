"""Rules of rolling: which state may follow which, and what the automatic rules would do. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.model import RollState

_FLAT: dict[RollState, tuple[RollState, ...]] = {
    RollState.NO_ROLL: (RollState.ROLL_ADJUSTED, RollState.PASSIVE, RollState.NO_ROLL, RollState.NO_OPEN),
    RollState.PASSIVE: (RollState.ROLL_ADJUSTED, RollState.PASSIVE, RollState.NO_ROLL, RollState.NO_OPEN),
    RollState.FORCE: (RollState.ROLL_ADJUSTED, RollState.PASSIVE),
    RollState.FORCE_OUTRIGHT: (RollState.ROLL_ADJUSTED, RollState.PASSIVE),
    RollState.CLOSE: (RollState.ROLL_ADJUSTED, RollState.PASSIVE),
    RollState.NO_OPEN: (RollState.ROLL_ADJUSTED, RollState.PASSIVE, RollState.NO_OPEN),
    RollState.ROLL_ADJUSTED: (RollState.NO_ROLL,),
}
_FORCED = (RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.PASSIVE, RollState.NO_ROLL, RollState.CLOSE, RollState.NO_OPEN)
_HELD: dict[RollState, tuple[RollState, ...]] = {
    RollState.NO_ROLL: (
        RollState.PASSIVE,
        RollState.FORCE,
        RollState.FORCE_OUTRIGHT,
        RollState.NO_ROLL,
        RollState.CLOSE,
        RollState.NO_OPEN,
    ),
    RollState.PASSIVE: _FORCED,
    RollState.FORCE: _FORCED,
    RollState.FORCE_OUTRIGHT: _FORCED,
    RollState.CLOSE: (
        RollState.CLOSE,
        RollState.FORCE,
        RollState.FORCE_OUTRIGHT,
        RollState.PASSIVE,
        RollState.NO_ROLL,
        RollState.NO_OPEN,
    ),
    RollState.NO_OPEN: (RollState.CLOSE, RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.PASSIVE, RollState.NO_ROLL),
    RollState.ROLL_ADJUSTED: (RollState.ROLL_ADJUSTED,),
}


def allowed_states(state: RollState, priced_position: float) -> tuple[RollState, ...]:
    """The states that may follow `state`, the recommended one first, given the position in the priced contract."""
    return (_HELD if priced_position else _FLAT)[state]


@dataclass(frozen=True, slots=True)
class AutoRollRules:
    """When to roll automatically. Volumes are of the forward contract; `relative_volume`: of the forward over the priced contract.

    The forward contract is liquid where its relative volume is above `relative_volume`, or above `min_relative_volume` with
    more than `min_absolute_volume` contracts a day. `undecided`: the state of a position that is still held close to
    the roll (None: leave it to a manual decision). `roll_expired`: roll the price of an expired contract without a position.
    """

    relative_volume: float = 1.0
    min_relative_volume: float = 0.01
    min_absolute_volume: float = 100.0
    near_expiry_days: int = 10
    undecided: RollState | None = None
    roll_expired: bool = True

    def __post_init__(self) -> None:
        if self.undecided is not None and not isinstance(self.undecided, RollState):
            raise ConfigError(
                f"auto roll rules: undecided is {self.undecided!r}; give a RollState, or None to leave it to a manual decision"
            )

    def liquid(self, relative_volume: float, forward_volume: float) -> bool:
        """Whether the forward contract trades enough to be rolled into."""
        return relative_volume > self.relative_volume or (
            relative_volume > self.min_relative_volume and forward_volume > self.min_absolute_volume
        )


def suggest_state(
    state: RollState,
    priced_position: float,
    days_to_expiry: int,
    *,
    days_to_desired_roll: int,
    relative_volume: float,
    forward_volume: float,
    rules: AutoRollRules = AutoRollRules(),
) -> RollState | None:
    """The state that the rules suggest for an instrument in `state`; None where it must be decided by hand.

    `priced_position`: contracts held of the priced contract; volumes: contracts a day, see `relative_volume`. The suggestion
    is `state` itself or one of `allowed_states`.
    """
    flat = not priced_position
    near = days_to_desired_roll < rules.near_expiry_days
    suggestion: RollState | None
    if flat and (days_to_expiry <= 0 and rules.roll_expired):
        suggestion = RollState.ROLL_ADJUSTED
    elif not rules.liquid(relative_volume, forward_volume):
        suggestion = RollState.NO_OPEN if near else RollState.NO_ROLL
    elif flat:
        suggestion = RollState.ROLL_ADJUSTED
    else:
        suggestion = rules.undecided if near else RollState.PASSIVE
    return suggestion if suggestion == state or suggestion in allowed_states(state, priced_position) else None


VOLUME_DAYS = 14
"""Of how many days volumes count."""


def smoothed_volume(daily_volumes: pd.Series, now: pd.Timestamp) -> float:
    """Recent contracts a day: exponentially weighted mean (span 3) of the last 14 days; 0 where there are none."""
    recent = daily_volumes[(daily_volumes.index > now - pd.Timedelta(days=VOLUME_DAYS)) & (daily_volumes.index <= now)].dropna()
    return float(recent.ewm(span=3).mean().iloc[-1]) if len(recent) else 0.0


def relative_volume(priced_volume: float, forward_volume: float) -> float:
    """Forward volume over priced volume; a priced volume of 0 counts as 0.0001."""
    return forward_volume / (priced_volume or 0.0001)
