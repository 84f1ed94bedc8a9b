"""Which steps of which business day are done."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection, delete, func, insert, select

from tradeflow_core.ledger.schema import day_steps

LAST_STEP = "report"
"""The step that ends a business day."""


def record_step(
    tx: Connection, day: date, step: str, *, started: datetime, finished: datetime, seconds: float, summary: str
) -> None:
    """Record that a step of a day is done; a step done again replaces its record. `seconds`: measured duration of the work."""
    tx.execute(delete(day_steps).where(day_steps.c.day == day, day_steps.c.step == step))
    tx.execute(
        insert(day_steps).values(day=day, step=step, started_at=started, finished_at=finished, seconds=seconds, summary=summary)
    )


def step_done(view: Connection, day: date, step: str) -> bool:
    """Whether the step of that day is done."""
    return view.execute(select(day_steps.c.step).where(day_steps.c.day == day, day_steps.c.step == step)).first() is not None


def last_step_day(view: Connection) -> date | None:
    """The latest business day of which any step is done; None if there is none."""
    return view.execute(select(func.max(day_steps.c.day))).scalar()


def last_done_day(view: Connection) -> date | None:
    """The latest business day that is done, which is when its last step is; None if there is none."""
    return view.execute(select(func.max(day_steps.c.day)).where(day_steps.c.step == LAST_STEP)).scalar()
