"""The business day: which steps it has, in which order, and what each of them does.

`make run`, a replay and Dagster run the same list. A step is recorded in the ledger's journal when it is done, so an
interrupted day goes on with the first step that is not done, and a finished day is not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from tradeflow_core import capital, execution, nightly, orders, prices, readiness, replay, reports, rolls
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError
from tradeflow_core.home import Home, next_business_day
from tradeflow_core.ledger import LAST_STEP, LedgerRefused, active_stop, instruments_locked_by, record_step, step_done
from tradeflow_core.model import LockOwner
from tradeflow_core.parquet import DamagedFile

if TYPE_CHECKING:
    import pandas as pd

    from tradeflow_core.execution import Pass
    from tradeflow_core.nightly import StrategyRun
    from tradeflow_core.orders import OrderPlan
    from tradeflow_core.prices import OnStage, PriceOutcome, PriceWindow
    from tradeflow_core.replay import DayRecord, ReplaySummary
    from tradeflow_core.rolls import RollStatus

JOBS: dict[str, tuple[str, ...]] = {
    "rolls": ("rolls",),
    "prices": ("prices",),
    "portfolio": ("spot_fx", "account_values", "total_capital", "strategy_capital", "optimal_positions", "instrument_orders"),
    "stack_handler": ("stack_handler",),
    "reports": ("report",),
}
"""The jobs of a day in order, each with the steps that it consists of. The names are those of the Dagster jobs and assets."""

MIN_GOOD_PRICES = 0.5
"""Share of instruments whose prices must be good before positions are computed."""


@dataclass
class StepNote:
    """One line about what a step did, which the step fills in while it runs."""

    summary: str = ""


@contextmanager
def recorded_step(desk: Desk, name: str) -> Iterator[StepNote]:
    """Run the body as a step of the present business day; it counts as done only when the body ends without an error."""
    note, started, clock = StepNote(), desk.now(), time.perf_counter()
    day = desk.business_day()
    yield note
    with desk.ledger.begin() as tx:
        record_step(
            tx, day, name, started=started, finished=desk.now(), seconds=time.perf_counter() - clock, summary=note.summary
        )
    desk.ledger.keep_word()


def require_sound_ledger(desk: Desk) -> None:
    """Raise LedgerRefused, after telling a person, unless the ledger is as it was written: nothing is decided or traded on another one."""
    try:
        desk.ledger.require_sound()
        desk.ledger.keep_word()
    except LedgerRefused as error:
        desk.alerts.send("ledger refused", str(error), desk.now())
        raise


# --- the steps -----------------------------------------------------------------------------------------------------------


def roll_step(desk: Desk) -> list[RollStatus]:
    """Decide the rolls; in a replay first close what is left of contracts that the tape has rolled out of."""
    require_sound_ledger(desk)
    with recorded_step(desk, "rolls") as note:
        closed = replay.close_rolled_contracts(desk) if desk.settings.market == "replay" else []
        statuses = rolls.decide_rolls(desk)
        decided = [f"{status.instrument} {status.decision}" for status in statuses if status.decision]
        note.summary = "; ".join(closed + decided) or f"{len(statuses)} instruments, nothing to do"
    return statuses


def price_step(
    desk: Desk,
    instruments: Sequence[str] | None = None,
    stages: Sequence[str] | None = None,
    *,
    window: PriceWindow | None = None,
    on_stage: OnStage | None = None,
    on_instrument: Callable[[PriceOutcome], None] | None = None,
) -> list[PriceOutcome]:
    """Run stages of the price chain (None: all) for instruments (None: the universe); one that fails is locked and reported, the others go on.

    Only a run of all stages over the whole universe counts as the day's step; a smaller run updates its instruments but adds nothing to the journal.
    """
    instruments, stages = desk.universe if instruments is None else instruments, prices.STAGES if stages is None else stages
    is_day_step = set(stages) == set(prices.STAGES) and set(instruments) >= set(desk.universe)
    outcomes = []
    with recorded_step(desk, "prices") if is_day_step else nullcontext(StepNote()) as note:
        for instrument in instruments:
            outcome = prices.update_instrument(desk, instrument, stages, window=window or prices.PriceWindow(), on_stage=on_stage)
            outcomes.append(outcome)
            if on_instrument:
                on_instrument(outcome)
        note.summary = prices.price_summary(outcomes)
    return outcomes


def require_good_prices(desk: Desk) -> None:
    """Raise DataError unless enough instruments have good prices; checked before positions are computed."""
    with desk.ledger.read() as view:
        locked = [instrument for instrument in instruments_locked_by(view, LockOwner.PRICES) if instrument in desk.universe]
    good_share = 1 - len(locked) / len(desk.universe)
    if good_share < MIN_GOOD_PRICES:
        raise DataError(
            f"only {good_share:.0%} of the instruments have good prices, {MIN_GOOD_PRICES:.0%} are needed; "
            f"fix {', '.join(locked[:5])} and others, then run prices again"
        )


def fx_step(desk: Desk) -> dict[str, pd.Series]:
    """Update the rate of every currency that the desk needs; returns those that are good."""
    with recorded_step(desk, "spot_fx") as note:
        rates, damaged = prices.update_rates(desk)
        note.summary = f"{len(rates)} currencies" + (f"; damaged and locked: {', '.join(damaged)}" if damaged else "")
    return rates


def account_step(desk: Desk) -> pd.DataFrame:
    """Ask the broker what the account is worth and record it."""
    with recorded_step(desk, "account_values") as note:
        values = capital.poll_account(desk)
        note.summary = f"account value {values['value'].iloc[-1]:,.0f} {desk.settings.base_currency}"
    return values


def total_capital_step(desk: Desk) -> pd.DataFrame:
    """Compute total capital from the account values. Where a change of the account waits for a person, the day goes on with what it was."""
    with recorded_step(desk, "total_capital") as note:
        total = capital.update_total_capital(desk)
        last, currency = total.iloc[-1], desk.settings.base_currency
        jump = capital.waiting_jump(total, currency)
        note.summary = f"capital {last['capital']:,.0f}, accumulated profit {last['accumulated']:,.0f} {currency}"
        note.summary += f"; {jump.message}" if jump else ""
    return total


def strategy_capital_step(desk: Desk) -> pd.DataFrame:
    """Divide the capital among the strategies."""
    with recorded_step(desk, "strategy_capital") as note:
        shares = capital.update_strategy_capital(desk)
        note.summary = ", ".join(f"{row.strategy} {row.capital:,.0f}" for row in shares.itertuples())
    return shares


def optimal_positions_step(desk: Desk) -> dict[str, StrategyRun]:
    """Run every strategy and store its optimal positions."""
    require_good_prices(desk)
    runs = {}
    with recorded_step(desk, "optimal_positions") as note:
        for name in desk.settings.strategies:
            runs[name] = nightly.run_strategy(desk, name)
            nightly.save_run(desk, runs[name], desk.business_day())
        note.summary = ", ".join(
            f"{name}: {int(run.optimal['notional_position'].notna().sum())} positions" for name, run in runs.items()
        )
    return runs


def instrument_orders_step(desk: Desk) -> dict[str, OrderPlan]:
    """Make the orders of every strategy; returns by strategy what was decided for each instrument, traded or not."""
    day = desk.business_day()
    with recorded_step(desk, "instrument_orders") as note:
        plans, waiting = {}, []
        for name in desk.settings.strategies:
            optimal = _traded_rows(desk, name)
            if not optimal:
                waiting.append(name)
                continue
            plans[name] = orders.generate_orders(desk, name, optimal, day=day)
            orders.store_decisions(desk, name, plans[name].decisions, day=day)
        decisions = [decision for plan in plans.values() for decision in plan.decisions]
        made = sum(decision.quantity != 0 for decision in decisions)
        held_back = sum(decision.wanted != 0 and decision.quantity == decision.unfilled == 0 for decision in decisions)
        more = f", {held_back} held back: `tradeflow status` says why" if held_back else ""
        note.summary = f"{made} orders out of {len(decisions)} instruments{more}"
        note.summary += f"; {', '.join(waiting)}: its first decision waits for the close after next" if waiting else ""
    return plans


def _traded_rows(desk: Desk, strategy: str) -> Mapping[str, Mapping[str, Any]]:
    """The optimal positions that a strategy trades, made anew where their file was damaged since they were made."""
    try:
        return nightly.traded_rows(desk, strategy)
    except DamagedFile:
        nightly.save_run(desk, nightly.run_strategy(desk, strategy), desk.business_day())
        return nightly.traded_rows(desk, strategy)


def stack_handler_step(
    desk: Desk, on_pass: Callable[[Pass], None] | None = None, is_supervised: Callable[[], bool] = lambda: True
) -> Pass:
    """Work the order stack until the session ends, or until nobody supervises it (see `StackHandler.run`)."""
    require_sound_ledger(desk)
    with recorded_step(desk, "stack_handler") as note:
        day = desk.business_day()
        until = desk.home.at(day, desk.settings.day.session_end)
        total = execution.StackHandler(desk).run(until, on_pass, is_supervised)
        note.summary = f"{total.sent} broker orders, {total.fills} fills, {total.rolls} rolls"
    return total


def report_step(desk: Desk) -> str:
    """Value the account at the end of the day and write the day's report; returns its text."""
    with recorded_step(desk, LAST_STEP) as note:
        capital.poll_account(desk)
        capital.update_total_capital(desk)
        text, note.summary = reports.daily_report(desk, desk.business_day())
    return text


STEPS: dict[str, Callable[[Desk], object]] = {
    "rolls": roll_step,
    "prices": price_step,
    "spot_fx": fx_step,
    "account_values": account_step,
    "total_capital": total_capital_step,
    "strategy_capital": strategy_capital_step,
    "optimal_positions": optimal_positions_step,
    "instrument_orders": instrument_orders_step,
    "stack_handler": stack_handler_step,
    LAST_STEP: report_step,
}


# --- whole days ----------------------------------------------------------------------------------------------------------


def run_job(desk: Desk, job: str) -> None:
    """Run the steps of a job that are not done yet for the present business day, without Dagster."""
    day = desk.business_day()
    for name in JOBS[job]:
        with desk.ledger.read() as view:
            done = step_done(view, day, name)
        if not done:
            STEPS[name](desk)


@dataclass(frozen=True, slots=True)
class JobDone:
    """One job of a day: whether it ran now (`ran`) or was done before, and how long it took (seconds)."""

    day: date
    job: str
    ran: bool
    seconds: float


def run_day(
    desk: Desk, day: date, execute: Callable[[Desk, str], None] = run_job, *, on_job: Callable[[JobDone], None] | None = None
) -> None:
    """Run the business day `day` of a simulated or replayed home, moving its clock; jobs that are done are left alone.

    `execute` runs one job: directly, or through Dagster. Raises StateError for a day in the past, in a home whose time is real, and while
    trading is stopped.
    """
    if desk.settings.time_is_real:
        raise StateError(
            "days are run by hand only in a simulated or replayed home; here the schedules and sensors of Dagster run them (`make ui`)"
        )
    if day < desk.today():
        raise StateError(f"{day} has passed: the clock of this home stands at {desk.now():%Y-%m-%d %H:%M} UTC")
    with desk.ledger.read() as view:
        if stop := active_stop(view):
            raise StateError(
                f"trading is stopped since {stop.since:%Y-%m-%d %H:%M} UTC by {stop.who} ({stop.why}); lift it with `tradeflow resume`"
            )
    readiness.require_ready(desk)
    desk.clock.advance_to(desk.home.at(day, desk.settings.day.start))
    for job, names in JOBS.items():
        with desk.ledger.read() as view:
            done = all(step_done(view, day, name) for name in names)
        started = time.perf_counter()
        if not done:
            execute(desk, job)
            with desk.ledger.read() as view:
                if missing := [name for name in names if not step_done(view, day, name)]:
                    raise StateError(
                        f"{day}: the job {job} ended without finishing {', '.join(missing)}; see the messages above, then run the day again"
                    )
        if on_job:
            on_job(JobDone(day, job, not done, time.perf_counter() - started))


def days_to_run(desk: Desk, days_after: int) -> list[date]:
    """The present business day unless it is done, and `days_after` business days after it."""
    day = desk.business_day()
    last = desk.last_done_day()
    days = [] if last is not None and last >= day else [day]
    current = day if days else max(last or day, day)
    for _ in range(days_after):
        current = next_business_day(current)
        days.append(current)
    return days


def run_replay(
    home: Home,
    end: date | None = None,
    execute: Callable[[Desk, str], None] = run_job,
    *,
    on_day: Callable[[DayRecord], None] | None = None,
) -> ReplaySummary:
    """Run business day after business day up to `end` (default: the end of the replay), from the first day that is not done.

    `execute` runs one job of a day: directly, or through Dagster. After a crash, the next call goes on with the interrupted
    day. Raises StateError for a home that is not a seeded replay, and what a day raises.
    """
    last = replay.replay_settings(home).end if end is None else min(end, replay.replay_settings(home).end)
    desk = Desk(home)
    try:
        last_done = desk.last_done_day()
        day = desk.business_day() if last_done is None else next_business_day(last_done)
        while day <= last:
            run_day(desk, day, execute)
            if on_day:
                on_day(replay.day_record(desk, day))
            day = next_business_day(day)
        return replay.replay_summary(desk)
    finally:
        desk.close()
