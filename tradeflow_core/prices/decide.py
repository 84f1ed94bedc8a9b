"""Roll decisions: the state of every instrument's roll, decided by rules, by a tape or by a person, and the roll of its prices.

A roll of the price series is one appended event. It is refused while the priced contract is still held, and that is checked in
the transaction that records it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError
from tradeflow_core.instruments import display
from tradeflow_core.ledger import (
    RollEvent,
    append_roll_events,
    contracts_of,
    current_roll,
    positions_by_contract,
    record_mark,
    roll_state,
    set_roll_state,
)
from tradeflow_core.prices.collect import contract_prices, roll_rule_of, stored_bars
from tradeflow_core.prices.rolls import (
    AutoRollRules,
    RollPlan,
    RollState,
    plan_roll,
    relative_volume,
    smoothed_volume,
    suggest_state,
)
from tradeflow_core.store.tape import Tape

FORCED = (RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.CLOSE)


@dataclass(frozen=True, slots=True)
class RollStatus:
    """Where one instrument stands in its roll. Days are calendar days from today; volumes are contracts a day."""

    instrument: str
    state: str
    decision: str
    priced: int
    forward: int
    position: int
    days_to_roll: int
    days_to_expiry: int
    relative_volume: float
    forward_volume: float
    note: str = ""


def decide_rolls(desk: Desk, codes: list[str] | None = None) -> list[RollStatus]:
    """Decide the roll of every instrument, record what changes, and return where each stands, the most urgent first.

    An instrument that cannot be decided keeps its state and says why. Raises nothing for a single instrument's trouble.
    """
    mode = desk.settings.rolls.decide or {"simulated": "auto", "replay": "tape"}.get(desk.settings.market, "person")
    statuses = []
    for code in codes if codes is not None else desk.universe:
        with desk.ledger.read() as view:
            if current_roll(view, code, required=False) is None:
                continue
        try:
            statuses.append(_decide_by_tape(desk, code) if mode == "tape" else _decide_by_rules(desk, code, apply=mode == "auto"))
        except DataError as error:
            statuses.append(roll_status(desk, code, note=str(error)))
            desk.alerts.send(f"roll of {code}", str(error), desk.now())
    return sorted(statuses, key=lambda status: (status.days_to_roll, status.instrument))


def roll_status(desk: Desk, code: str, decision: str = "", note: str = "") -> RollStatus:
    """Where an instrument stands now, with nothing decided or changed."""
    rule, today = roll_rule_of(desk, code), desk.today()
    with desk.ledger.read() as view:
        roll, state = current_roll(view, code), roll_state(view, code)
        known = contracts_of(view, code)["expiry"]
        position = positions_by_contract(view, desk.account).get((code, roll.price_contract if roll else 0), 0)
    assert roll is not None
    expiry = known.get(roll.price_contract, rule.approximate_expiry(roll.price_contract))
    priced_volume, forward_volume = (
        _recent_volume(desk, code, contract) for contract in (roll.price_contract, roll.forward_contract)
    )
    return RollStatus(
        instrument=code,
        state=state,
        decision=decision,
        priced=roll.price_contract,
        forward=roll.forward_contract,
        position=position,
        days_to_roll=(rule.desired_roll_date(roll.price_contract, expiry) - today).days,
        days_to_expiry=(expiry - today).days,
        relative_volume=relative_volume(priced_volume, forward_volume),
        forward_volume=forward_volume,
        note=note,
    )


def _recent_volume(desk: Desk, code: str, contract: int) -> float:
    bars = stored_bars(desk, code)
    daily = bars[(bars["contract"] == contract) & (bars["frequency"] == "D")]
    return smoothed_volume(daily.set_index("end")["VOLUME"], pd.Timestamp(desk.now()))


# --- by rules ------------------------------------------------------------------------------------------------------------


def _decide_by_rules(desk: Desk, code: str, apply: bool) -> RollStatus:
    """Suggest a state near the roll and, if `apply`, take it; a forced state whose contract is no longer held always goes back to Passive."""
    status = roll_status(desk, code)
    state = RollState(status.state)
    if state in FORCED and not status.position:
        _set_state(desk, code, RollState.PASSIVE, "the priced contract is no longer held")
        status = roll_status(desk, code)
        state = RollState(status.state)
    choices = desk.settings.rolls
    if min(status.days_to_roll, status.days_to_expiry) > choices.near_expiry_days:
        return status
    rules = AutoRollRules(
        relative_volume=choices.auto_roll_if_relative_volume_higher_than,
        min_relative_volume=choices.min_relative_volume,
        min_absolute_volume=choices.min_absolute_volume,
        near_expiry_days=choices.near_expiry_days,
        undecided=RollState(choices.when_undecided),
    )
    suggestion = suggest_state(
        state, status.position, status.days_to_expiry, status.days_to_roll, status.relative_volume, status.forward_volume, rules
    )
    if suggestion is None or suggestion == state:
        return status
    if not apply:
        return roll_status(desk, code, decision=f"suggested: {suggestion}")
    if suggestion == RollState.ROLL_ADJUSTED:
        event = roll_prices(desk, code, "auto", "tradeflow", "rolled by the rules")
        return roll_status(desk, code, decision=f"rolled into {display(event.price_contract)}")
    _set_state(desk, code, suggestion, f"{status.days_to_roll} days to the roll, relative volume {status.relative_volume:.2f}")
    return roll_status(desk, code, decision=f"now {suggestion}")


def _set_state(desk: Desk, code: str, state: RollState, why: str, who: str = "tradeflow") -> None:
    with desk.ledger.begin() as tx:
        set_roll_state(tx, code, state.value, desk.now(), who, why)


def preview_roll(desk: Desk, code: str) -> RollPlan:
    """The roll of an instrument's prices into its forward contract as it would be recorded now; nothing is changed.

    If the two contracts have no price at the same last moment one is inferred; failing that the last known one is taken.
    """
    multiple, prices, rule = desk.store.read("multiple_prices", code), contract_prices(desk, code), roll_rule_of(desk, code)
    try:
        return plan_roll(multiple, rule, prices)
    except DataError:
        return plan_roll(multiple, rule, prices, forward_fill=True)


def roll_prices(desk: Desk, code: str, reason: str, who: str, why: str) -> RollEvent:
    """Roll the price series: append the event and its marks, and return to No_Roll, in one transaction.

    Raises StateError while the priced contract is held, when somebody rolled meanwhile, or when prices are stale; DataError where a roll
    cannot be priced. Multiple and adjusted prices show it when they are next made.
    """
    with desk.ledger.read() as view:
        before = current_roll(view, code)
    plan = preview_roll(desk, code)
    now = desk.now()
    after = plan.event.after.to_pydatetime()
    age = int(np.busday_count(desk.home.local_day(after), desk.today()))
    if age > desk.settings.prices.stale_after_business_days:
        raise StateError(f"{code}: its last price is {age} business days old; update its prices before rolling")
    event = RollEvent(
        code, after, int(plan.event.price_contract), int(plan.event.forward_contract), int(plan.event.carry_contract), reason
    )
    with desk.ledger.begin() as tx:
        current = current_roll(tx, code)
        if current != before or current is None:
            raise StateError(f"{code}: its contracts changed meanwhile; look again and repeat")
        if held := positions_by_contract(tx, desk.account).get((code, current.price_contract), 0):
            raise StateError(
                f"{code}: {held} contracts of {display(current.price_contract)} are still held; roll or close them first"
            )
        append_roll_events(tx, [event], now, who, why)
        for mark in plan.marks.to_dict("records"):
            record_mark(
                tx, code, int(mark["contract"]), mark["date"].to_pydatetime(), float(mark["price"]), "roll", now, who, mark["why"]
            )
        set_roll_state(tx, code, RollState.NO_ROLL.value, now, who, why)
    return event


# --- by a tape -----------------------------------------------------------------------------------------------------------


def _decide_by_tape(desk: Desk, code: str) -> RollStatus:
    """Roll as the tape did: Passive and Force a given number of business days before its next event, the event itself when it has passed.

    What is still held of the old contract at the event must be closed first: the status then says so, and the caller does it.
    """
    events = tape_events(desk, code)
    now, today = desk.now(), desk.today()
    with desk.ledger.read() as view:
        current, state = current_roll(view, code), RollState(roll_state(view, code))
        held = positions_by_contract(view, desk.account)
    assert current is not None
    coming = events[events["after"] > pd.Timestamp(current.after)] if current.after else events[events["after"].notna()]
    if coming.empty:
        return roll_status(desk, code, note="the tape has no further roll")
    event, position = coming.iloc[0], held.get((code, current.price_contract), 0)
    due: datetime = event["after"].to_pydatetime()
    if due < now:
        if position:
            return roll_status(desk, code, note=f"rolled on the tape, {position} of {display(current.price_contract)} still held")
        rolled = RollEvent(
            code, due, int(event["price_contract"]), int(event["forward_contract"]), int(event["carry_contract"]), "import"
        )
        with desk.ledger.begin() as tx:
            append_roll_events(tx, [rolled], now, "tape", "rolled when the tape did")
            set_roll_state(tx, code, RollState.NO_ROLL.value, now, "tape", "rolled when the tape did")
        return roll_status(desk, code, decision=f"rolled into {display(rolled.price_contract)}")
    wanted = tape_state(desk.home.local_day(due), today, desk.settings.rolls.passive_days, desk.settings.rolls.force_days)
    if wanted in FORCED and not position:
        wanted = RollState.PASSIVE
    if wanted == state:
        return roll_status(desk, code)
    _set_state(desk, code, wanted, f"the tape rolls on {desk.home.local_day(due)}", "tape")
    return roll_status(desk, code, decision=f"now {wanted}")


def tape_state(roll_day: date, today: date, passive_days: int, force_days: int) -> RollState:
    """The roll state `today`, given the business day on which the tape rolls."""
    left = int(np.busday_count(today, roll_day))
    if left <= force_days:
        return RollState.FORCE
    return RollState.PASSIVE if left <= passive_days else RollState.NO_ROLL


def tape_events(desk: Desk, code: str) -> pd.DataFrame:
    """Roll events of the tape that this home replays."""
    if desk.settings.replay is None:
        raise StateError("rolls are decided by the tape only in a replay; set rolls.decide to auto or person")
    return open_tape(desk.settings.replay.tape).roll_events(code)


def open_tape(path: str) -> Tape:
    """The tape at `path`, opened once in a process."""
    if path not in _TAPES:
        _TAPES[path] = Tape.open(path)
    return _TAPES[path]


_TAPES: dict[str, Tape] = {}
