"""Roll decisions: the state of every instrument's roll, decided by rules, by a tape or by a person, and the roll of its prices.

A roll of the price series is one appended event. It is refused while the priced contract is still held, and that is checked in
the transaction that records it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError, TradeflowError
from tradeflow_core.ledger import (
    append_roll_events,
    contract_facts,
    current_roll,
    current_rolls,
    instruments_locked_by,
    lock_instrument,
    positions_by_contract,
    record_mark,
    roll_state,
    set_roll_state,
    unlock_instrument,
)
from tradeflow_core.model import LockOwner, RollEvent, RollState, contract_label
from tradeflow_core.prices import (
    adjusted_prices,
    contract_prices,
    contract_volume,
    refresh_expiries,
    roll_rule_of,
    run_stages,
    stored_bars,
)
from tradeflow_core.rolls.rules import AutoRollRules, allowed_states, relative_volume, smoothed_volume, suggest_state
from tradeflow_core.rolls.states import StateChange, check_change, enter_state
from tradeflow_core.series import RollPlan, plan_roll
from tradeflow_core.store import Tape

PREVIEW_ROWS = 6


@dataclass(frozen=True, slots=True)
class RollStatus:
    """Where one instrument stands in its roll. Days are calendar days from today; volumes are contracts a day."""

    instrument: str
    state: RollState
    decision: str
    priced: int
    forward: int
    position: int
    days_to_roll: int
    days_to_expiry: int
    relative_volume: float
    forward_volume: float
    days_to_carry_expiry: int
    note: str = ""

    @property
    def urgency(self) -> int:
        """Days until the first thing that asks for a roll: the desired roll date, or the expiry of the priced or the carry contract."""
        return min(self.days_to_roll, self.days_to_expiry, self.days_to_carry_expiry)

    @property
    def allowed(self) -> tuple[RollState, ...]:
        """The states that may follow, the recommended one first."""
        return allowed_states(self.state, self.position)


Confirm = Callable[[str, RollPlan], bool]
"""Asked before the prices of an instrument are rolled; no means that it stays as it is."""


def roll_mode(desk: Desk) -> str:
    """Who decides the rolls of this desk: `auto`, `tape` or `person`."""
    return desk.settings.rolls.decide or {"simulated": "auto", "replay": "tape"}.get(desk.settings.market, "person")


def roll_statuses(desk: Desk, codes: list[str] | None = None) -> list[RollStatus]:
    """Where every instrument with a roll history stands, the most urgent first; nothing is changed."""
    return _by_urgency([roll_status(desk, code) for code in _with_rolls(desk, codes)])


def decide_rolls(desk: Desk, codes: list[str] | None = None) -> list[RollStatus]:
    """Decide the roll of every instrument, record what changes, and return where each stands, the most urgent first.

    An instrument that cannot be decided keeps its state and says why. Raises nothing for a single instrument's trouble. Without `codes`
    instruments that the settings call stale are locked, so that they are not traded, and others unlocked again.
    """
    if codes is None:
        lock_stale_instruments(desk)
    if roll_mode(desk) == "tape":
        _tape_of(desk)
        return _decide_each(desk, codes, lambda code: _decide_by_tape(desk, code))
    return _decide_each(desk, codes, lambda code: _decide_by_rules(desk, code, apply=roll_mode(desk) == "auto"))


def roll_by_rules(
    desk: Desk, codes: list[str] | None = None, *, dry_run: bool = False, confirm: Confirm | None = None, who: str = "tradeflow"
) -> list[RollStatus]:
    """Apply the automatic rules now, whoever decides otherwise; `dry_run` only says what they would do. Returns as `decide_rolls`.

    `confirm` is asked before each roll of prices (None: no question). Raises StateError in a replay whose tape decides.
    """
    if roll_mode(desk) == "tape":
        raise StateError("the rolls of this replay are decided by its tape; set rolls.decide to auto to use the rules instead")
    return _decide_each(
        desk, codes, lambda code: _decide_by_rules(desk, code, apply=not dry_run, tidy=not dry_run, confirm=confirm, who=who)
    )


def _decide_each(desk: Desk, codes: list[str] | None, decide: Callable[[str], RollStatus]) -> list[RollStatus]:
    statuses = []
    for code in _with_rolls(desk, codes):
        try:
            statuses.append(decide(code))
        except TradeflowError as error:
            statuses.append(roll_status(desk, code, note=str(error)))
            desk.alerts.send(f"roll of {code}", str(error), desk.now())
    return _by_urgency(statuses)


def _by_urgency(statuses: list[RollStatus]) -> list[RollStatus]:
    return sorted(statuses, key=lambda status: (status.urgency, status.instrument))


def _with_rolls(desk: Desk, codes: list[str] | None) -> list[str]:
    with desk.ledger.read() as view:
        known = current_rolls(view)
    return [code for code in (codes if codes is not None else desk.universe) if code in known]


def lock_stale_instruments(desk: Desk) -> None:
    """Lock the instruments of the setting `stale_instruments`: without new prices nothing is traded in them; unlock all others."""
    stale = set(desk.settings.stale_instruments)
    with desk.ledger.begin() as tx:
        for code in sorted(stale | set(instruments_locked_by(tx, LockOwner.STALE))):
            if code in stale:
                lock_instrument(
                    tx,
                    code,
                    LockOwner.STALE,
                    now=desk.now(),
                    why="stale_instruments of tradeflow.toml names it: no prices, no trades",
                )
            else:
                unlock_instrument(tx, code, LockOwner.STALE)


def roll_status(desk: Desk, code: str, decision: str = "", *, note: str = "") -> RollStatus:
    """Where an instrument stands now, with nothing decided or changed."""
    rule, today = roll_rule_of(desk, code), desk.today()
    with desk.ledger.read() as view:
        roll, state = current_roll(view, code), roll_state(view, code)
        known = {contract: expiry for contract, (expiry, _) in contract_facts(view, code).items()}
        position = positions_by_contract(view, desk.account).get((code, roll.price_contract), 0)
    expiry, carry_expiry = (
        known.get(contract, rule.approximate_expiry(contract)) for contract in (roll.price_contract, roll.carry_contract)
    )
    priced_volume, forward_volume = _recent_volumes(desk, code, (roll.price_contract, roll.forward_contract))
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
        days_to_carry_expiry=(carry_expiry - today).days,
        note=note,
    )


def _recent_volumes(desk: Desk, code: str, contracts: tuple[int, int]) -> list[float]:
    zone = desk.settings.time_zone
    bars = stored_bars(desk, code, ("contract", "frequency", "start", "end", "VOLUME"))
    now = pd.Timestamp(desk.now()).tz_convert(zone).tz_localize(None)
    return [smoothed_volume(contract_volume(bars, contract, zone), now) for contract in contracts]


# --- by rules ------------------------------------------------------------------------------------------------------------


def _decide_by_rules(
    desk: Desk, code: str, *, apply: bool, tidy: bool = True, confirm: Confirm | None = None, who: str = "tradeflow"
) -> RollStatus:
    """Suggest a state near the roll and, if `apply`, take it. `tidy`: a forced state whose contract is no longer held goes back to Passive."""
    status = roll_status(desk, code)
    state = status.state
    if state.is_forced and not status.position and tidy:
        set_state(desk, code, RollState.PASSIVE, who=who, why="the priced contract is no longer held")
        status = roll_status(desk, code)
        state = status.state
    choices = desk.settings.rolls
    if status.urgency > choices.near_expiry_days:
        return status
    rules = AutoRollRules(
        relative_volume=choices.auto_roll_if_relative_volume_higher_than,
        min_relative_volume=choices.min_relative_volume,
        min_absolute_volume=choices.min_absolute_volume,
        near_expiry_days=choices.near_expiry_days,
        undecided=None if choices.when_undecided == "Ask" else RollState(choices.when_undecided),
    )
    suggestion = suggest_state(
        state,
        status.position,
        status.days_to_expiry,
        days_to_desired_roll=status.days_to_roll,
        relative_volume=status.relative_volume,
        forward_volume=status.forward_volume,
        rules=rules,
    )
    if suggestion is None:
        return replace(status, note="the rules leave it to a person: `tradeflow roll set`")
    if suggestion == state:
        return status
    if not apply:
        return replace(status, decision=f"suggested: {suggestion}")
    if suggestion == RollState.ROLL_ADJUSTED:
        plan = preview_roll(desk, code)
        if confirm is not None and not confirm(code, plan):
            return replace(status, note="the roll of its prices was not confirmed")
        event = roll_prices(desk, code, "auto", who=who, why="rolled by the rules", plan=plan)
        return roll_status(desk, code, decision=f"rolled into {contract_label(event.price_contract)}")
    why = f"{status.days_to_roll} days to the roll, relative volume {status.relative_volume:.2f}"
    change = set_state(desk, code, suggestion, who=who, why=why)
    return roll_status(desk, code, decision=f"now {suggestion}", note="; ".join(change.warnings))


# --- by a person ---------------------------------------------------------------------------------------------------------


def set_state(desk: Desk, code: str, state: RollState, *, who: str, why: str, dry_run: bool = False) -> StateChange:
    """Put an instrument into a roll state, or (`dry_run`) say what that would be.

    Roll_Adjusted is not a state to stay in: `roll_prices` does it, and this only says whether it may be done. Raises StateError, listing
    the states that are allowed, for one that may not follow.
    """
    if dry_run or state == RollState.ROLL_ADJUSTED:
        with desk.ledger.read() as view:
            return check_change(view, desk.account, code, state=state, now=desk.now())
    with desk.ledger.begin() as tx:
        return enter_state(tx, desk.account, code, state=state, now=desk.now(), who=who, why=why)


def preview_roll(desk: Desk, code: str) -> RollPlan:
    """The roll of an instrument's prices into its forward contract as it would be recorded now; nothing is changed.

    If the two contracts have no price at the same last moment one is inferred; failing that the last known one is taken.
    """
    multiple, prices, rule = desk.store.read("multiple_prices", code), contract_prices(desk, code), roll_rule_of(desk, code)
    method = desk.settings.prices.stitching
    try:
        return plan_roll(multiple, rule, prices, method=method)
    except DataError:
        return plan_roll(multiple, rule, prices, forward_fill=True, method=method)


def preview_tables(desk: Desk, code: str, plan: RollPlan) -> dict[str, pd.DataFrame]:
    """The last rows of multiple and adjusted prices, as stored and as they would be after the roll, by instant (UTC)."""
    return {
        "multiple_before": desk.store.read("multiple_prices", code).tail(PREVIEW_ROWS),
        "multiple_after": plan.multiple_prices.tail(PREVIEW_ROWS),
        "adjusted_before": adjusted_prices(desk, code).rename("price").to_frame().tail(PREVIEW_ROWS),
        "adjusted_after": plan.adjusted_prices.rename("price").to_frame().tail(PREVIEW_ROWS),
    }


def roll_prices(desk: Desk, code: str, reason: str, *, who: str, why: str, plan: RollPlan | None = None) -> RollEvent:
    """Roll the price series: append the event and its marks, and return to No_Roll, in one transaction; then rebuild the prices.

    The three contracts of the roll are looked up at the broker first, and what is sampled follows them after it. `plan`: what was shown to a
    person before (default: as `preview_roll` makes it now). Raises StateError while the priced contract is held, when somebody rolled
    meanwhile, when prices are stale, or one of the contracts does not exist; DataError where a roll cannot be priced.
    """
    with desk.ledger.read() as view:
        before = current_roll(view, code)
    plan = plan or preview_roll(desk, code)
    now = desk.now()
    after = plan.after.to_pydatetime()
    age = int(np.busday_count(desk.home.local_day(after), desk.today()))
    if age > desk.settings.prices.stale_after_business_days:
        raise StateError(f"{code}: its last price is {age} business days old; update its prices before rolling")
    event = RollEvent(code, after, plan.price_contract, plan.forward_contract, plan.carry_contract, reason)
    refresh_expiries(desk, code, (event.price_contract, event.forward_contract, event.carry_contract))
    with desk.ledger.begin() as tx:
        current = current_roll(tx, code)
        if current != before or current.forward_contract != event.price_contract:
            raise StateError(
                f"{code}: its contracts changed meanwhile; look again (`tradeflow prices update {code}` brings its prices up to date)"
            )
        if held := positions_by_contract(tx, desk.account).get((code, current.price_contract), 0):
            raise StateError(
                f"{code}: {held} contracts of {contract_label(current.price_contract)} are still held; roll or close them first"
            )
        append_roll_events(tx, [event], now, who=who, why=why)
        for mark in plan.marks.to_dict("records"):
            record_mark(
                tx,
                code,
                int(mark["contract"]),
                time=mark["date"].to_pydatetime(),
                price=float(mark["price"]),
                source="roll",
                now=now,
                who=who,
                why=mark["why"],
            )
        set_roll_state(tx, code, RollState.NO_ROLL, now=now, who=who, why=why)
    run_stages(desk, code, ("sampled_contracts", "multiple_prices", "adjusted_prices"))
    return event


# --- by a tape -----------------------------------------------------------------------------------------------------------


def _decide_by_tape(desk: Desk, code: str) -> RollStatus:
    """Roll as the tape did: Passive and Force a given number of business days before its next event, the event itself when it has passed.

    What is still held of the old contract at the event must be closed first: the status then says so, and the caller does it.
    """
    events = tape_events(desk, code)
    now, today = desk.now(), desk.today()
    with desk.ledger.read() as view:
        current, state = current_roll(view, code), roll_state(view, code)
        held = positions_by_contract(view, desk.account)
    coming = events[events["after"] > pd.Timestamp(current.after)] if current.after else events[events["after"].notna()]
    if coming.empty:
        return roll_status(desk, code, note="the tape has no further roll")
    event, position = coming.iloc[0], held.get((code, current.price_contract), 0)
    due: datetime = event["after"].to_pydatetime()
    if due < now:
        if position:
            return roll_status(
                desk, code, note=f"rolled on the tape, {position} of {contract_label(current.price_contract)} still held"
            )
        rolled = RollEvent(
            code, due, int(event["price_contract"]), int(event["forward_contract"]), int(event["carry_contract"]), "import"
        )
        with desk.ledger.begin() as tx:
            append_roll_events(tx, [rolled], now, who="tape", why="rolled when the tape did")
            set_roll_state(tx, code, RollState.NO_ROLL, now=now, who="tape", why="rolled when the tape did")
        return roll_status(desk, code, decision=f"rolled into {contract_label(rolled.price_contract)}")
    wanted = tape_state(
        desk.home.local_day(due), today, desk.settings.rolls.passive_days, force_days=desk.settings.rolls.force_days
    )
    if wanted.is_forced and not position:
        wanted = RollState.PASSIVE
    if wanted == state:
        return roll_status(desk, code)
    with desk.ledger.begin() as tx:
        set_roll_state(tx, code, wanted, now=now, who="tape", why=f"the tape rolls on {desk.home.local_day(due)}")
    return roll_status(desk, code, decision=f"now {wanted}")


def tape_state(roll_day: date, today: date, passive_days: int, *, force_days: int) -> RollState:
    """The roll state `today`, given the business day on which the tape rolls."""
    left = int(np.busday_count(today, roll_day))
    if left <= force_days:
        return RollState.FORCE
    return RollState.PASSIVE if left <= passive_days else RollState.NO_ROLL


def tape_events(desk: Desk, code: str) -> pd.DataFrame:
    """Roll events of the tape that this home replays."""
    return _tape_of(desk).roll_events(code)


def _tape_of(desk: Desk) -> Tape:
    if desk.settings.replay is None:
        raise StateError("rolls are decided by the tape only in a replay; set rolls.decide to auto or person")
    return open_tape(desk.settings.replay.tape)


def open_tape(path: str) -> Tape:
    """The tape at `path`, opened once in a process."""
    if path not in _TAPES:
        _TAPES[path] = Tape.open(path)
    return _TAPES[path]


_TAPES: dict[str, Tape] = {}
