"""The business day: which steps it has, in which order, and what each of them does.

`make run`, a replay and Dagster run the same list. A step is recorded in the ledger's journal when it is done, so that a day that was
interrupted goes on where it stood, and a day that is done stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from tradeflow_core.capital import poll_account, update_strategy_capital, update_total_capital
from tradeflow_core.clock import SimulatedClock
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError, TradeflowError
from tradeflow_core.execution import Pass, StackHandler, close_rolled_contract
from tradeflow_core.ledger import (
    active_stop,
    current_roll,
    last_day_with,
    locked_instruments,
    positions_by_contract,
    record_step,
    step_done,
)
from tradeflow_core.nightly import StrategyRun, latest_optimal, run_strategy, save_run
from tradeflow_core.orders import generate_orders
from tradeflow_core.prices import (
    LOCK_OWNER,
    STAGES,
    PriceWindow,
    RollStatus,
    StageResult,
    decide_rolls,
    tape_events,
    update_instrument,
    update_spot_fx,
)
from tradeflow_core.reports import daily_report

JOBS: dict[str, tuple[str, ...]] = {
    "rolls": ("rolls",),
    "prices": ("prices",),
    "portfolio": ("spot_fx", "account_values", "total_capital", "strategy_capital", "optimal_positions", "instrument_orders"),
    "stack_handler": ("stack_handler",),
    "reports": ("report",),
}
"""The jobs of a day in order, each with the steps that it consists of. The names are those of the Dagster jobs and assets."""

LAST_STEP = "report"
MIN_GOOD_PRICES = 0.5
"""Share of instruments whose prices must be good before positions are computed."""


@dataclass
class StepNote:
    """Filled in by a step while it works: one line for a person about what it did."""

    summary: str = ""


def business_day(desk: Desk) -> date:
    """The business day that it is now: today in the desk's time zone, on a weekend the coming Monday."""
    today = desk.today()
    return today + timedelta(days=max(7 - today.weekday(), 0) if today.weekday() >= 5 else 0)


def next_business_day(day: date) -> date:
    """The next Monday to Friday after `day`."""
    return day + timedelta(days=3 if day.weekday() == 4 else 2 if day.weekday() == 5 else 1)


@contextmanager
def step(desk: Desk, name: str) -> Iterator[StepNote]:
    """Run the body as a step of the present business day; it counts as done only when the body ends well."""
    note, started, clock = StepNote(), desk.now(), time.perf_counter()
    day = business_day(desk)
    yield note
    with desk.ledger.begin() as tx:
        record_step(tx, day, name, started, desk.now(), time.perf_counter() - clock, note.summary)


# --- the steps -----------------------------------------------------------------------------------------------------------


def roll_step(desk: Desk) -> list[RollStatus]:
    """Decide the rolls; in a replay first close what is left of contracts that the tape has rolled out of."""
    with step(desk, "rolls") as note:
        closed = _close_rolled_by_tape(desk) if desk.settings.market == "replay" else []
        statuses = decide_rolls(desk)
        decided = [f"{status.instrument} {status.decision}" for status in statuses if status.decision]
        note.summary = "; ".join(closed + decided) or f"{len(statuses)} instruments, nothing to do"
    return statuses


def _close_rolled_by_tape(desk: Desk) -> list[str]:
    """Close what is held of contracts before the one that the tape has rolled into, and say so."""
    lines = []
    with desk.ledger.read() as view:
        held = positions_by_contract(view, desk.account)
    for code, contract in sorted(held):
        with desk.ledger.read() as view:
            current = current_roll(view, code)
        assert current is not None
        events = tape_events(desk, code)
        later = events[events["after"] > pd.Timestamp(current.after)] if current.after else events[events["after"].notna()]
        if len(later) and later["after"].iloc[0] < pd.Timestamp(desk.now()) and contract < later["price_contract"].iloc[0]:
            lines += close_rolled_contract(desk, code, contract)
    return lines


@dataclass
class PriceOutcome:
    """What became of one instrument: its stage results, or why it failed."""

    instrument: str
    results: list[StageResult]
    error: str = ""


def price_step(
    desk: Desk,
    codes: list[str] | None = None,
    window: PriceWindow = PriceWindow(),
    on_instrument: Callable[[PriceOutcome], None] | None = None,
) -> list[PriceOutcome]:
    """Run the price chain of every instrument; one that fails is locked and reported, the others go on."""
    with step(desk, "prices") as note:
        outcomes = [
            update_prices_of(desk, code, window, on_instrument) for code in (codes if codes is not None else desk.universe)
        ]
        note.summary = price_summary(outcomes)
    return outcomes


def update_prices_of(
    desk: Desk, code: str, window: PriceWindow = PriceWindow(), on_instrument: Callable[[PriceOutcome], None] | None = None
) -> PriceOutcome:
    """The price chain of one instrument, with its failure as a value."""
    outcome = PriceOutcome(code, [])
    try:
        for result in update_instrument(desk, code, STAGES, window):
            outcome.results.append(result)
    except TradeflowError as error:
        outcome.error = str(error)
        desk.alerts.send(f"prices of {code}", outcome.error, desk.now())
    if on_instrument:
        on_instrument(outcome)
    return outcome


def price_summary(outcomes: list[PriceOutcome]) -> str:
    """One line: instruments that are good, bars added, instruments that failed."""
    added = sum(
        int(result.facts["added"])
        for outcome in outcomes
        for result in outcome.results
        if result.stage == "contract_prices"
    )
    failed = [outcome.instrument for outcome in outcomes if outcome.error]
    text = f"{len(outcomes) - len(failed)} of {len(outcomes)} instruments good, {added:,} new bars"
    return text + (f"; failed and locked: {', '.join(failed)}" if failed else "")


def require_good_prices(desk: Desk) -> None:
    """The gate before positions are computed: enough instruments must have good prices. Raises DataError otherwise."""
    with desk.ledger.read() as view:
        bad = [code for code, why in locked_instruments(view).items() if f"{LOCK_OWNER}: " in why and code in desk.universe]
    good = 1 - len(bad) / len(desk.universe)
    if good < MIN_GOOD_PRICES:
        raise DataError(
            f"only {good:.0%} of the instruments have good prices, {MIN_GOOD_PRICES:.0%} are needed; "
            f"mend {', '.join(bad[:5])} and others, then run prices again"
        )


def fx_step(desk: Desk) -> dict[str, pd.Series]:
    """Update the rate of every currency that the desk needs."""
    with step(desk, "spot_fx") as note:
        rates = {f"{currency}USD": update_spot_fx(desk, currency) for currency in desk.home.currencies}
        note.summary = f"{len(rates)} currencies"
    return rates


def account_step(desk: Desk) -> pd.DataFrame:
    """Ask the broker what the account is worth and record it."""
    with step(desk, "account_values") as note:
        values = poll_account(desk)
        note.summary = f"account value {values['value'].iloc[-1]:,.0f} {desk.settings.base_currency}"
    return values


def total_capital_step(desk: Desk) -> pd.DataFrame:
    """Fold account values into total capital."""
    with step(desk, "total_capital") as note:
        capital = update_total_capital(desk)
        last = capital.iloc[-1]
        note.summary = (
            f"capital {last['capital']:,.0f}, accumulated profit {last['accumulated']:,.0f} {desk.settings.base_currency}"
        )
    return capital


def strategy_capital_step(desk: Desk) -> pd.DataFrame:
    """Share the capital among the strategies."""
    with step(desk, "strategy_capital") as note:
        shares = update_strategy_capital(desk)
        note.summary = ", ".join(f"{row.strategy} {row.capital:,.0f}" for row in shares.itertuples())
    return shares


def optimal_positions_step(desk: Desk) -> dict[str, StrategyRun]:
    """Run every strategy and store its optimal positions."""
    require_good_prices(desk)
    runs = {}
    with step(desk, "optimal_positions") as note:
        for name in desk.settings.strategies:
            runs[name] = run_strategy(desk, name)
            save_run(desk, runs[name], business_day(desk))
        note.summary = ", ".join(
            f"{name}: {int(run.optimal['notional_position'].notna().sum())} positions" for name, run in runs.items()
        )
    return runs


def instrument_orders_step(desk: Desk) -> pd.DataFrame:
    """Make the orders of every strategy; returns all decisions, traded or not."""
    day = business_day(desk)
    with step(desk, "instrument_orders") as note:
        frames = []
        for name in desk.settings.strategies:
            decisions = generate_orders(desk, name, latest_optimal(desk, name), day)
            desk.store.write("instrument_orders", name, decisions)
            frames.append(decisions)
        every = pd.concat(frames, ignore_index=True)
        note.summary = f"{int((every['quantity'] != 0).sum())} orders out of {len(every)} instruments"
    return every


def stack_handler_step(desk: Desk, on_pass: Callable[[Pass], None] | None = None) -> Pass:
    """Work the order stack until the session ends."""
    with step(desk, "stack_handler") as note:
        day = business_day(desk)
        done = StackHandler(desk).run(desk.home.at(day, desk.settings.day.session_end), on_pass)
        note.summary = f"{done.sent} broker orders, {done.fills} fills, {done.rolls} rolls"
    return done


def report_step(desk: Desk) -> str:
    """Value the account at the end of the day and write the day's report; returns its text."""
    with step(desk, LAST_STEP) as note:
        poll_account(desk)
        update_total_capital(desk)
        text, note.summary = daily_report(desk, business_day(desk))
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
    day = business_day(desk)
    for name in JOBS[job]:
        with desk.ledger.read() as view:
            done = step_done(view, day, name)
        if not done:
            STEPS[name](desk)


def run_until(desk: Desk, last: str) -> None:
    """Run the steps of the present business day that are not done yet, up to and including the step `last`."""
    day = business_day(desk)
    if isinstance(desk.clock, SimulatedClock):
        desk.clock.advance_to(desk.home.at(day, desk.settings.day.start))
    for name, run in STEPS.items():
        with desk.ledger.read() as view:
            done = step_done(view, day, name)
        if not done:
            run(desk)
        if name == last:
            return


@dataclass(frozen=True, slots=True)
class JobDone:
    """One job of a day: whether it was run now or had been done before, and how long it took (seconds)."""

    day: date
    job: str
    ran: bool
    seconds: float


def last_done_day(desk: Desk) -> date | None:
    """The latest business day that is done; None if there is none."""
    with desk.ledger.read() as view:
        return last_day_with(view, LAST_STEP)


def run_day(
    desk: Desk, day: date, execute: Callable[[Desk, str], None] = run_job, on_job: Callable[[JobDone], None] | None = None
) -> None:
    """Run the business day `day` of a simulated or replayed home, moving its clock; jobs that are done are left alone.

    `execute` runs one job: directly, or through Dagster. Raises StateError for a day that has passed, in a home whose time is real, and while
    trading is stopped.
    """
    clock = desk.clock
    if not isinstance(clock, SimulatedClock):
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
    clock.advance_to(desk.home.at(day, desk.settings.day.start))
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


def days_to_run(desk: Desk, further: int) -> list[date]:
    """The present business day unless it is done, and `further` business days after it."""
    day = business_day(desk)
    last = last_done_day(desk)
    days = [] if last is not None and last >= day else [day]
    current = day if days else max(last or day, day)
    for _ in range(further):
        current = next_business_day(current)
        days.append(current)
    return days
