"""Rolls of a desk whose two contracts have no common price: their prices inferred, filled or told by a person, and recorded as marks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError
from tradeflow_core.ledger import record_mark, roll_events_of
from tradeflow_core.prices import contract_prices, run_stages
from tradeflow_core.series import (
    MendedRoll,
    RollMethod,
    build_from_events,
    marks_of_rolls,
    mend_roll,
    parse_told,
    require_used,
    roll_gaps,
    told_for,
)
from tradeflow_core.store import Tape


def mend_gaps(
    desk: Desk, instrument: str, method: RollMethod, *, told: Sequence[str] = (), who: str, why: str, dry_run: bool = False
) -> list[MendedRoll]:
    """Give every roll of an instrument that lacks a price one, and make its prices anew, which lifts their lock; returns these rolls.

    `told`: prices such as `20230800@2023-08-16T23:00=101.25`, times in the desk's zone; what is not told is found by the method. With `dry_run`
    nothing is written. Raises ConfigError for a told price that no roll lacks, DataError where one is neither told nor can be found.
    """
    zone = desk.settings.time_zone
    prices_told = dict(parse_told(text, zone) for text in told)
    with desk.ledger.read() as view:
        events = roll_events_of(view, instrument)
    if not len(events):
        raise DataError(
            f"{instrument}: no roll is recorded, so none can be mended; `tradeflow prices update {instrument}` begins its history"
        )
    multiple = build_from_events(contract_prices(desk, instrument), events)
    multiple = multiple.set_axis(pd.DatetimeIndex(multiple.index).tz_convert(zone), axis=0)
    gaps = roll_gaps(multiple)
    require_used(gaps, prices_told)
    try:
        mended = [mend_roll(multiple, gap, method, told=told_for(gap, prices_told)) for gap in gaps]
    except DataError as error:
        raise DataError(f"{instrument}: {error} with --price CONTRACT@TIME=PRICE") from error
    if mended and not dry_run:
        with desk.ledger.begin() as tx:
            record_roll_marks(tx, instrument, _at_a_gap(marks_of_rolls(mended), why), now=desk.now(), who=who)
        run_stages(desk, instrument)
    return mended


def record_tape_marks(
    tx: Connection, tape: Tape, instrument: str, *, after: datetime | None, until: datetime | None, now: datetime
) -> None:
    """Record the marks of the tape's rolls after `after` (None: from the first on) up to `until` (None: before the first roll, so none)."""
    marks = tape.roll_marks(instrument)
    if until is None or marks.empty:
        return
    due = marks[marks["date"] <= until]
    due = due if after is None else due[due["date"] > after]
    record_roll_marks(tx, instrument, _at_a_gap(due), now=now, who="tape")


def record_roll_marks(tx: Connection, instrument: str, marks: pd.DataFrame, *, now: datetime, who: str) -> None:
    """Record prices that a roll needs, with columns contract, date (UTC), price and why."""
    for mark in marks.to_dict("records"):
        record_mark(
            tx,
            instrument,
            int(mark["contract"]),
            time=mark["date"].to_pydatetime(),
            price=float(mark["price"]),
            source="roll",
            now=now,
            who=who,
            why=mark["why"],
        )


def _at_a_gap(marks: pd.DataFrame, why: str = "") -> pd.DataFrame:
    """The marks with the occasion in their reasons, and what a person said."""
    return marks.assign(why=marks["why"] + " at a roll without common prices" + (f": {why}" if why else ""))
