"""Roll decisions: the roll state of every instrument, decided by rules, by a tape or by hand, and the roll of its prices.

A roll of the price series is one appended event. It is refused while the priced contract is still held, which is checked in
the transaction that records it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError, TradeflowError
from tradeflow_core.ledger import (
    LedgerTrouble,
    append_roll_events,
    contract_facts,
    current_roll,
    current_rolls,
    instruments_locked_by,
    lock_instrument,
    positions_by_contract,
    roll_state,
    set_roll_state,
    unfinished_rolls,
    unlock_instrument,
)
from tradeflow_core.model import LockOwner, RollEvent, RollState, contract_label
from tradeflow_core.parquet import DamagedFile
from tradeflow_core.prices import (
    adjusted_prices,
    contract_prices,
    contract_volume,
    lock_damaged,
    refresh_expiries,
    roll_rule_of,
    run_stages,
    stored_bars,
)
from tradeflow_core.rolls.gaps import record_roll_marks, record_tape_marks
from tradeflow_core.rolls.rules import VOLUME_DAYS, AutoRollRules, allowed_states, relative_volume, smoothed_volume, suggest_state
from tradeflow_core.rolls.states import StateChange, check_change, enter_state
from tradeflow_core.series import RollPlan, plan_roll
from tradeflow_core.store import Tape

PREVIEW_ROWS = 6


@dataclass(frozen=True, slots=True)
class RollStatus:
    """The roll status of one instrument. Days are calendar days from today; volumes are contracts a day."""

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
        """Days until the first of: the desired roll date, the expiry of the priced contract, the expiry of the carry contract."""
        return min(self.days_to_roll, self.days_to_expiry, self.days_to_carry_expiry)

    @property
    def allowed(self) -> tuple[RollState, ...]:
        """The states that may follow, the recommended one first."""
        return allowed_states(self.state, self.position)


Confirm = Callable[[str, RollPlan], bool]
"""Called before the prices of an instrument are rolled; False: do not roll them."""


def roll_mode(desk: Desk) -> str:
    """How rolls are decided: `auto` (by the rules), `tape` or `person` (by hand)."""
    return desk.settings.rolls.decide or {"simulated": "auto", "replay": "tape"}.get(desk.settings.market, "person")


def roll_statuses(desk: Desk, instruments: list[str] | None = None) -> list[RollStatus]:
    """The roll status of every instrument with a roll history, the most urgent first; nothing is changed."""
    return _decide_each(desk, instruments, lambda instrument: roll_status(desk, instrument), look_only=True)


def decide_rolls(desk: Desk, instruments: list[str] | None = None) -> list[RollStatus]:
    """Decide the roll of every instrument, record what changes, and return the statuses, the most urgent first.

    An error of one instrument is not raised: it keeps its state, its status has the error as `note`, and an alert is sent. Without
    `instruments`, those of the setting `stale_instruments` are locked, so that they are not traded, and all others unlocked.
    """
    if instruments is None:
        lock_stale_instruments(desk)
    if roll_mode(desk) == "tape":
        _tape_of(desk)
        return _decide_each(desk, instruments, lambda instrument: _decide_by_tape(desk, instrument))
    return _decide_each(desk, instruments, lambda instrument: _decide_by_rules(desk, instrument, apply=roll_mode(desk) == "auto"))


def roll_by_rules(
    desk: Desk,
    instruments: list[str] | None = None,
    *,
    dry_run: bool = False,
    confirm: Confirm | None = None,
    who: str = "tradeflow",
) -> list[RollStatus]:
    """Apply the automatic rules now, even where rolls are decided by hand; `dry_run` only suggests. Returns as `decide_rolls`.

    `confirm` is called before each roll of prices (None: they are rolled at once). Raises StateError in a replay whose tape decides.
    """
    if roll_mode(desk) == "tape":
        raise StateError("the rolls of this replay are decided by its tape; set rolls.decide to auto to use the rules instead")
    return _decide_each(
        desk,
        instruments,
        lambda instrument: _decide_by_rules(desk, instrument, apply=not dry_run, tidy=not dry_run, confirm=confirm, who=who),
    )


def _decide_each(
    desk: Desk, instruments: list[str] | None, decide: Callable[[str], RollStatus], *, look_only: bool = False
) -> list[RollStatus]:
    """The status of each instrument after `decide`, the most urgent first. One that fails is noted; with damaged prices it is locked, too.

    `look_only`: nothing is locked, and no alert is sent.
    """
    statuses = []
    for instrument in _with_rolls(desk, instruments):
        try:
            statuses.append(decide(instrument))
        except LedgerTrouble:
            raise
        except TradeflowError as error:
            is_damaged = isinstance(error, DamagedFile)
            statuses.append(roll_status(desk, instrument, note=str(error), with_volumes=not is_damaged))
            if is_damaged and not look_only:
                lock_damaged(desk, instrument, error)
            if not look_only:
                desk.alerts.send(f"roll of {instrument}", str(error), desk.now())
    return _by_urgency(statuses)


def _by_urgency(statuses: list[RollStatus]) -> list[RollStatus]:
    return sorted(statuses, key=lambda status: (status.urgency, status.instrument))


def _with_rolls(desk: Desk, instruments: list[str] | None) -> list[str]:
    with desk.ledger.read() as view:
        with_rolls = current_rolls(view)
    return [instrument for instrument in (instruments if instruments is not None else desk.universe) if instrument in with_rolls]


def lock_stale_instruments(desk: Desk) -> None:
    """Lock the instruments of the setting `stale_instruments`, since they get no new prices; unlock all others."""
    stale = set(desk.settings.stale_instruments)
    with desk.ledger.begin() as tx:
        for instrument in sorted(stale | set(instruments_locked_by(tx, LockOwner.STALE))):
            if instrument in stale:
                lock_instrument(
                    tx,
                    instrument,
                    LockOwner.STALE,
                    now=desk.now(),
                    why="stale_instruments of tradeflow.toml names it: no prices, no trades",
                )
            else:
                unlock_instrument(
                    tx, instrument, LockOwner.STALE, now=desk.now(), why="stale_instruments of tradeflow.toml no longer names it"
                )


def roll_status(desk: Desk, instrument: str, decision: str = "", *, note: str = "", with_volumes: bool = True) -> RollStatus:
    """The roll status of an instrument now; nothing is decided or changed. `with_volumes` False: its bars are not read, volumes are NaN."""
    rule, today = roll_rule_of(desk, instrument), desk.today()
    with desk.ledger.read() as view:
        roll, state = current_roll(view, instrument), roll_state(view, instrument)
        expiries = {contract: expiry for contract, (expiry, _) in contract_facts(view, instrument).items()}
        position = positions_by_contract(view, desk.account).get((instrument, roll.price_contract), 0)
    expiry, carry_expiry = (
        expiries.get(contract, rule.approximate_expiry(contract)) for contract in (roll.price_contract, roll.carry_contract)
    )
    contracts = (roll.price_contract, roll.forward_contract)
    priced_volume, forward_volume = _recent_volumes(desk, instrument, contracts) if with_volumes else (np.nan, np.nan)
    return RollStatus(
        instrument=instrument,
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


def _left_of_roll(desk: Desk, instrument: str) -> int:
    with desk.ledger.read() as view:
        return unfinished_rolls(view, desk.account).get(instrument, 0)


def _unfinished(rest: int) -> str:
    return f"{rest} contracts are left of a roll that is half done; the next session of the stack handler trades them first"


def _recent_volumes(desk: Desk, instrument: str, contracts: tuple[int, int]) -> list[float]:
    zone = desk.settings.time_zone
    since = desk.now() - timedelta(days=2 * VOLUME_DAYS)
    bars = stored_bars(desk, instrument, ("contract", "frequency", "start", "end", "VOLUME"), since=since)
    now = pd.Timestamp(desk.now()).tz_convert(zone).tz_localize(None)
    return [smoothed_volume(contract_volume(bars, contract, zone), now) for contract in contracts]


# --- by rules ------------------------------------------------------------------------------------------------------------


def _decide_by_rules(
    desk: Desk, instrument: str, *, apply: bool, tidy: bool = True, confirm: Confirm | None = None, who: str = "tradeflow"
) -> RollStatus:
    """Suggest a state near the roll and, if `apply`, enter it. `tidy`: first put a forced state whose contract is no longer held back to Passive."""
    status = roll_status(desk, instrument)
    state = status.state
    if rest := _left_of_roll(desk, instrument):
        return replace(status, note=_unfinished(rest))
    if state.is_forced and not status.position and tidy:
        set_state(desk, instrument, RollState.PASSIVE, who=who, why="the priced contract is no longer held")
        status = roll_status(desk, instrument)
        state = status.state
    settings = desk.settings.rolls
    if status.urgency > settings.near_expiry_days:
        return status
    rules = AutoRollRules(
        relative_volume=settings.auto_roll_if_relative_volume_higher_than,
        min_relative_volume=settings.min_relative_volume,
        min_absolute_volume=settings.min_absolute_volume,
        near_expiry_days=settings.near_expiry_days,
        undecided=None if settings.when_undecided == "Ask" else RollState(settings.when_undecided),
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
        return replace(status, note="the rules do not decide this one; set a state with `tradeflow roll set`")
    if suggestion == state:
        return status
    if not apply:
        return replace(status, decision=f"suggested: {suggestion}")
    if suggestion == RollState.ROLL_ADJUSTED:
        plan = preview_roll(desk, instrument)
        if confirm is not None and not confirm(instrument, plan):
            return replace(status, note="the roll of its prices was not confirmed")
        event = roll_prices(desk, instrument, "auto", who=who, why="rolled by the rules", plan=plan)
        return roll_status(desk, instrument, decision=f"rolled into {contract_label(event.price_contract)}")
    why = f"{status.days_to_roll} days to the roll, relative volume {status.relative_volume:.2f}"
    change = set_state(desk, instrument, suggestion, who=who, why=why)
    return roll_status(desk, instrument, decision=f"now {suggestion}", note="; ".join(change.warnings))


# --- by hand -------------------------------------------------------------------------------------------------------------


def set_state(desk: Desk, instrument: str, state: RollState, *, who: str, why: str, dry_run: bool = False) -> StateChange:
    """Put an instrument into a roll state, or (`dry_run`) only return what that would be.

    Roll_Adjusted is only checked here, since no instrument stays in it: `roll_prices` does the roll. Raises StateError, listing the allowed
    states, for one that may not follow.
    """
    if dry_run or state == RollState.ROLL_ADJUSTED:
        with desk.ledger.read() as view:
            return check_change(view, desk.account, instrument, state=state, now=desk.now())
    with desk.ledger.begin() as tx:
        return enter_state(tx, desk.account, instrument, state=state, now=desk.now(), who=who, why=why)


def preview_roll(desk: Desk, instrument: str) -> RollPlan:
    """The roll of an instrument's prices into its forward contract as it would be recorded now; nothing is changed.

    If the two contracts have no price at the same last stamp, one is inferred; where that is not possible, the last known one is used.
    """
    multiple = desk.store.read("multiple_prices", instrument)
    prices, rule = contract_prices(desk, instrument), roll_rule_of(desk, instrument)
    method = desk.settings.prices.stitching
    try:
        return plan_roll(multiple, rule, prices, method=method)
    except DataError:
        return plan_roll(multiple, rule, prices, forward_fill=True, method=method)


def preview_tables(desk: Desk, instrument: str, plan: RollPlan) -> dict[str, pd.DataFrame]:
    """The last rows of multiple and adjusted prices, as stored and as they would be after the roll, by time (UTC)."""
    return {
        "multiple_before": desk.store.read("multiple_prices", instrument).tail(PREVIEW_ROWS),
        "multiple_after": plan.multiple_prices.tail(PREVIEW_ROWS),
        "adjusted_before": adjusted_prices(desk, instrument).rename("price").to_frame().tail(PREVIEW_ROWS),
        "adjusted_after": plan.adjusted_prices.rename("price").to_frame().tail(PREVIEW_ROWS),
    }


def roll_prices(desk: Desk, instrument: str, reason: str, *, who: str, why: str, plan: RollPlan | None = None) -> RollEvent:
    """Roll the price series: append the event and its marks, and return to No_Roll, in one transaction; then rebuild the prices.

    The three contracts of the roll are looked up at the broker first; after the roll the sampled contracts are updated. `plan`: the plan that was
    confirmed (default: made now, as by `preview_roll`). Raises StateError while the priced contract is held, if the instrument was rolled
    meanwhile, if its prices are stale, or one of the contracts does not exist; DataError where a price of the roll cannot be inferred.
    """
    with desk.ledger.read() as view:
        before = current_roll(view, instrument)
    plan = plan or preview_roll(desk, instrument)
    now = desk.now()
    after = plan.after.to_pydatetime()
    age = int(np.busday_count(desk.home.local_day(after), desk.today()))
    if age > desk.settings.prices.stale_after_business_days:
        raise StateError(f"{instrument}: its last price is {age} business days old; update its prices before rolling")
    event = RollEvent(instrument, after, plan.price_contract, plan.forward_contract, plan.carry_contract, reason)
    refresh_expiries(desk, instrument, (event.price_contract, event.forward_contract, event.carry_contract))
    with desk.ledger.begin() as tx:
        current = current_roll(tx, instrument)
        if current != before or current.forward_contract != event.price_contract:
            raise StateError(
                f"{instrument}: its contracts changed meanwhile; look again (`tradeflow prices update {instrument}` brings its prices up to date)"
            )
        if position := positions_by_contract(tx, desk.account).get((instrument, current.price_contract), 0):
            raise StateError(
                f"{instrument}: {position} contracts of {contract_label(current.price_contract)} are still held; roll or close them first"
            )
        if rest := unfinished_rolls(tx, desk.account).get(instrument):
            raise StateError(f"{instrument}: {_unfinished(rest)}")
        append_roll_events(tx, [event], now, who=who, why=why)
        record_roll_marks(tx, instrument, plan.marks, now=now, who=who)
        set_roll_state(tx, instrument, RollState.NO_ROLL, now=now, who=who, why=why)
    run_stages(desk, instrument, ("sampled_contracts", "multiple_prices", "adjusted_prices"))
    return event


# --- by a tape -----------------------------------------------------------------------------------------------------------


def _decide_by_tape(desk: Desk, instrument: str) -> RollStatus:
    """Roll as the tape did: Passive and Force `passive_days` and `force_days` before its next event, and the roll itself after it.

    A position that is still held in the old contract at the event must be closed first, by the caller: the status has a note about it.
    """
    events = tape_events(desk, instrument)
    now, today = desk.now(), desk.today()
    with desk.ledger.read() as view:
        current, state = current_roll(view, instrument), roll_state(view, instrument)
        positions = positions_by_contract(view, desk.account)
    coming = events[events["after"] > pd.Timestamp(current.after)] if current.after else events[events["after"].notna()]
    if coming.empty:
        return roll_status(desk, instrument, note="the tape has no further roll")
    event, position = coming.iloc[0], positions.get((instrument, current.price_contract), 0)
    roll_time: datetime = event["after"].to_pydatetime()
    if roll_time < now:
        if position:
            return roll_status(
                desk, instrument, note=f"rolled on the tape, {position} of {contract_label(current.price_contract)} still held"
            )
        if rest := _left_of_roll(desk, instrument):
            return roll_status(desk, instrument, note=_unfinished(rest))
        rolled = RollEvent(
            instrument,
            roll_time,
            int(event["price_contract"]),
            int(event["forward_contract"]),
            int(event["carry_contract"]),
            "import",
        )
        with desk.ledger.begin() as tx:
            append_roll_events(tx, [rolled], now, who="tape", why="rolled when the tape did")
            record_tape_marks(tx, _tape_of(desk), instrument, after=current.after, until=roll_time, now=now)
            set_roll_state(tx, instrument, RollState.NO_ROLL, now=now, who="tape", why="rolled when the tape did")
        return roll_status(desk, instrument, decision=f"rolled into {contract_label(rolled.price_contract)}")
    new_state = tape_state(
        desk.home.local_day(roll_time), today, desk.settings.rolls.passive_days, force_days=desk.settings.rolls.force_days
    )
    if new_state.is_forced and not position:
        new_state = RollState.PASSIVE
    if new_state == state:
        return roll_status(desk, instrument)
    with desk.ledger.begin() as tx:
        set_roll_state(tx, instrument, new_state, now=now, who="tape", why=f"the tape rolls on {desk.home.local_day(roll_time)}")
    return roll_status(desk, instrument, decision=f"now {new_state}")


def tape_state(roll_day: date, today: date, passive_days: int, *, force_days: int) -> RollState:
    """The roll state `today`, by the number of business days left until the tape rolls on `roll_day`."""
    days_left = int(np.busday_count(today, roll_day))
    if days_left <= force_days:
        return RollState.FORCE
    return RollState.PASSIVE if days_left <= passive_days else RollState.NO_ROLL


def tape_events(desk: Desk, instrument: str) -> pd.DataFrame:
    """Roll events of the tape that this home replays."""
    return _tape_of(desk).roll_events(instrument)


def _tape_of(desk: Desk) -> Tape:
    if desk.settings.replay is None:
        raise StateError("rolls are decided by the tape only in a replay; set rolls.decide to auto or person")
    return open_tape(desk.settings.replay.tape)


def open_tape(path: str) -> Tape:
    """The tape at `path`; each process opens it only once."""
    if path not in _TAPES:
        _TAPES[path] = Tape.open(path)
    return _TAPES[path]


_TAPES: dict[str, Tape] = {}
