"""Changing a roll state: which state may follow which, what each means, and warnings before a forced roll."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.ledger import current_roll, positions_by_contract, roll_state, set_roll_state, tradeable_now
from tradeflow_core.model import ROLLS, RollState, contract_label
from tradeflow_core.rolls.rules import allowed_states

EXPLANATIONS: dict[RollState, str] = {
    RollState.NO_ROLL: "nothing is rolled: all trading is in the priced contract",
    RollState.PASSIVE: "roll with the trades that happen anyway: reductions in the priced contract, new risk in the forward one",
    RollState.FORCE: "roll now with one calendar spread order: out of the priced contract, into the forward one",
    RollState.FORCE_OUTRIGHT: "roll now with two outright orders, one in each contract, where spreads are not traded",
    RollState.CLOSE: "close the position in the priced contract and hold nothing in the forward one",
    RollState.NO_OPEN: "the forward contract hardly trades: positions may be reduced, not increased, as long as this state lasts",
    RollState.ROLL_ADJUSTED: "roll the prices: the forward contract becomes the priced one; needs no position in the priced contract",
}

_TRADED_PER_CONTRACT = {RollState.FORCE: 2, RollState.FORCE_OUTRIGHT: 2, RollState.CLOSE: 1}
"""Contracts traded for each contract of the position: each leg counts against trade limits."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change of roll state. `position`: contracts held of the priced contract; `warnings`: sentences to show."""

    instrument: str
    before: RollState
    after: RollState
    position: int
    warnings: tuple[str, ...] = ()


def parse_state(text: str) -> RollState:
    """The roll state of that name, in any case. Raises ConfigError listing them."""
    for state in RollState:
        if state.value.lower() == text.lower():
            return state
    raise ConfigError(f"unknown roll state {text!r}; use one of {', '.join(RollState)}")


def explain(states: tuple[RollState, ...]) -> str:
    """The states with their meaning, one on each line."""
    return "\n".join(f"  {state}: {EXPLANATIONS[state]}" for state in states)


def check_change(view: Connection, account: str, instrument: str, *, state: RollState, now: datetime) -> StateChange:
    """The change to `state`, not recorded. Raises StateError, listing the allowed states, if it may not follow the present one."""
    roll, before = current_roll(view, instrument), roll_state(view, instrument)
    position = positions_by_contract(view, account).get((instrument, roll.price_contract), 0)
    allowed = allowed_states(before, position)
    if state not in allowed:
        held = (
            f"{position} of {contract_label(roll.price_contract)} held"
            if position
            else f"nothing held of {contract_label(roll.price_contract)}"
        )
        raise StateError(f"{instrument}: {state} may not follow {before} with {held}; allowed are\n{explain(allowed)}")
    warnings = _limit_warning(view, account, instrument, needed=_TRADED_PER_CONTRACT.get(state, 0) * abs(position), now=now)
    return StateChange(instrument, before, state, position, tuple(f"{instrument}: {state} {warning}" for warning in warnings))


def enter_state(
    tx: Connection, account: str, instrument: str, *, state: RollState, now: datetime, who: str, why: str
) -> StateChange:
    """Record a roll state, checked in the same transaction. Raises StateError as `check_change`."""
    change = check_change(tx, account, instrument, state=state, now=now)
    set_roll_state(tx, instrument, state, now=now, who=who, why=why)
    return change


def _limit_warning(view: Connection, account: str, instrument: str, *, needed: int, now: datetime) -> tuple[str, ...]:
    left = tradeable_now(view, account, ROLLS, instrument=instrument, now=now)
    if left is None or left >= needed:
        return ()
    return (f"needs {needed} contracts to be traded, but the trade limits leave {left} today; raise them, or it takes longer",)
