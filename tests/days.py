"""Parts of a business day, for tests that begin in the middle of one."""

from __future__ import annotations

from tradeflow_core.business_day import STEPS
from tradeflow_core.desk import Desk
from tradeflow_core.home import SimulatedClock
from tradeflow_core.ledger import step_done


def run_until(desk: Desk, last: str) -> None:
    """Run the steps of the present business day that are not done yet, up to and including the step `last`."""
    day = desk.business_day()
    if isinstance(desk.clock, SimulatedClock):
        desk.clock.advance_to(desk.home.at(day, desk.settings.day.start))
    for name, run in STEPS.items():
        with desk.ledger.read() as view:
            done = step_done(view, day, name)
        if not done:
            run(desk)
        if name == last:
            return
