"""Whether the next job of the day may start: pure functions of the present situation that return the reason why not, or None.

The sensors and schedules only collect the facts (`observe`) and act on the answer.
"""

from dataclasses import dataclass
from datetime import date

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from tradeflow_core.business_day import JOBS, require_good_prices
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.home import SIMULATED_MARKETS
from tradeflow_core.ledger import active_stop, step_done

ACTIVE = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
MAX_RESTARTS = 20
"""Restarts of a crashing stack handler in one day; after that somebody has to look."""


@dataclass(frozen=True)
class Situation:
    """The facts on which a job is started or not. `done` are the finished steps of the present business day."""

    market: str
    day: date
    done: frozenset[str]
    stopped: str = ""
    bad_prices: str = ""
    in_session: bool = True
    handler_active: bool = False
    handler_ended: str = ""
    handler_crashes: int = 0

    def has_done(self, job: str) -> bool:
        return self.done.issuperset(JOBS[job])


def observe(desk: Desk, instance: DagsterInstance | None = None) -> Situation:
    """The present situation of a desk; the runs of the stack handler are read from `instance`."""
    day, settings = desk.business_day(), desk.settings
    with desk.ledger.read() as view:
        stop = active_stop(view)
        done = frozenset(step for steps in JOBS.values() for step in steps if step_done(view, day, step))
    try:
        require_good_prices(desk)
        bad_prices = ""
    except DataError as error:
        bad_prices = str(error)
    start, end = (desk.home.at(day, local_time) for local_time in (settings.day.start, settings.day.session_end))
    runs = instance.get_runs(RunsFilter(job_name="stack_handler", created_after=start), limit=100) if instance else []
    return Situation(
        market=settings.market,
        day=day,
        done=done,
        stopped=f"trading is stopped by {stop.who} ({stop.why})" if stop else "",
        bad_prices=bad_prices,
        in_session=start <= desk.now() < end,
        handler_active=any(run.status in ACTIVE for run in runs),
        handler_ended=runs[0].status.value if runs and runs[0].status not in ACTIVE else "",
        handler_crashes=sum(run.status == DagsterRunStatus.FAILURE for run in runs),
    )


def why_not_automatic(market: str) -> str | None:
    """Why no job starts automatically: the time of the home is simulated. None where time is real."""
    if market in SIMULATED_MARKETS:
        return f"time in a home with market {market} moves only by command: `make run` or `tradeflow day` runs its business days"
    return None


def why_not_start_day(situation: Situation) -> str | None:
    """Why the day's first job, the rolls, does not start."""
    return why_not_automatic(situation.market) or (
        f"the rolls of {situation.day} are done" if situation.has_done("rolls") else None
    )


def why_not_prices(situation: Situation) -> str | None:
    """Why the prices do not start after the rolls."""
    return why_not_automatic(situation.market) or (
        f"the prices of {situation.day} are done" if situation.has_done("prices") else None
    )


def why_not_portfolio(situation: Situation) -> str | None:
    """Why positions are not computed after the prices: the data-quality gate."""
    if reason := why_not_automatic(situation.market):
        return reason
    if not situation.has_done("prices"):
        return f"the prices of {situation.day} are not complete: only a run over every instrument opens the gate"
    if situation.bad_prices:
        return situation.bad_prices
    if situation.has_done("portfolio"):
        return f"the portfolio of {situation.day} is done"
    return situation.stopped or None


def why_not_handler(situation: Situation) -> str | None:
    """Why the stack handler does not start after new instrument orders."""
    if reason := why_not_automatic(situation.market):
        return reason
    if situation.handler_active:
        return "a stack handler is at work or queued already; it handles the new orders too"
    if situation.has_done("stack_handler"):
        return f"the session of {situation.day} is over"
    if not situation.in_session:
        return "outside the hours of the session"
    return situation.stopped or None


def why_not_restart(situation: Situation) -> str | None:
    """Why the watchdog does not start the stack handler again."""
    if reason := why_not_handler(situation):
        return reason
    if "instrument_orders" not in situation.done:
        return f"no instrument orders have been made for {situation.day} yet"
    if situation.handler_ended != DagsterRunStatus.FAILURE.value:
        return f"no stack handler has crashed (last run: {situation.handler_ended or 'none today'}); one that was ended by hand stays ended"
    if situation.handler_crashes > MAX_RESTARTS:
        return (
            f"the stack handler has crashed {situation.handler_crashes} times today; look at its last run, then start it by hand"
        )
    return None


def why_not_reports(situation: Situation) -> str | None:
    """Why the reports are not written after the session."""
    if reason := why_not_automatic(situation.market):
        return reason
    if not situation.has_done("stack_handler"):
        return f"the session of {situation.day} is not over"
    return f"the report of {situation.day} is written" if situation.has_done("reports") else None
