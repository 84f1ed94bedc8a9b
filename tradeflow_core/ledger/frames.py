"""Contents of the ledger as data frames, for prices, capital and reports.

A module of its own, so that commands that need no frames do not load pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, bindparam, select

from tradeflow_core.ledger.decisions import FX_CONTRACT, GENERATION_IN_FORCE, OF_INSTRUMENT, generation_of
from tradeflow_core.ledger.schema import account_values, day_steps, price_marks, roll_events
from tradeflow_core.model import EVENT_CONTRACTS

# Queries that a price run makes for every instrument are built once: building one takes longer than running it.
_EVENTS = (
    select(roll_events.c.after, *(roll_events.c[name] for name in EVENT_CONTRACTS), roll_events.c.reason)
    .where(OF_INSTRUMENT, roll_events.c.generation == GENERATION_IN_FORCE)
    .order_by(roll_events.c.id)
)
_EVERY_MARK = (
    select(*(price_marks.c[name] for name in ("contract", "time", "price", "source", "generation")))
    .where(price_marks.c.instrument == bindparam("of"))
    .order_by(price_marks.c.id)
)
_MARKS, _RATE_MARKS = (
    _EVERY_MARK.where(price_marks.c.contract != FX_CONTRACT),
    _EVERY_MARK.where(price_marks.c.contract == FX_CONTRACT),
)


def roll_events_of(view: Connection, instrument: str) -> pd.DataFrame:
    """The roll events in force of an instrument in order: after (`datetime64[us, UTC]`, NaT first), the three contracts (int64), reason."""
    rows = view.execute(_EVENTS, {"of": instrument}).all()
    after, price, forward, carry, reason = zip(*rows, strict=True) if rows else ((),) * 5
    labels = {name: np.array(ids, dtype="int64") for name, ids in zip(EVENT_CONTRACTS, (price, forward, carry), strict=True)}
    return pd.DataFrame({"after": _instants(after), **labels, "reason": pd.array(reason, dtype="str")}, copy=False)


def _instants(times: Sequence[datetime | None]) -> pd.DatetimeIndex:
    """UTC instants as an index of microseconds."""
    naive = np.array([None if time is None else time.replace(tzinfo=None) for time in times], dtype="datetime64[us]")
    return pd.DatetimeIndex(naive, tz="UTC")


def marks_of(view: Connection, instrument: str) -> pd.DataFrame:
    """Marks in force of an instrument, the newest for each contract and time: contract, time (UTC), price (NaN: rejected), source."""
    return _marks(view, instrument, _MARKS)


def rate_marks_of(view: Connection, fx_code: str) -> pd.DataFrame:
    """Marks in force of the FX rate `fx_code` (EURUSD): columns as of `marks_of`."""
    return _marks(view, fx_code, _RATE_MARKS)


def _marks(view: Connection, instrument: str, query: Select[Any]) -> pd.DataFrame:
    rows = view.execute(query, {"of": instrument}).all()
    if any(row.generation is not None for row in rows):
        generation = generation_of(view, instrument)
        rows = [row for row in rows if row.generation in (None, generation)]
    if not rows:
        return _NO_MARKS.copy(deep=False)
    newest = {(row.contract, row.time): row for row in rows}.values()
    return _marks_frame([row[:4] for row in newest])


def _marks_frame(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    contract, time, price, source = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pd.DataFrame(
        {
            "contract": np.array(contract, dtype="int64"),
            "time": _instants(time),
            "price": np.array(price, dtype="float64"),
            "source": pd.Series(list(source), dtype="str"),
        }
    )


_NO_MARKS = _marks_frame([])
"""Most instruments have no marks, and making an empty frame takes longer than the query."""


def account_value_history(view: Connection, account: str) -> pd.DataFrame:
    """By time (UTC): `value` and `excess` of the account in base currency (floats), summed over currencies."""
    rows = view.execute(select(account_values).where(account_values.c.account == account).order_by(account_values.c.time)).all()
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime([row.time for row in rows], utc=True).astype("datetime64[us, UTC]"),
            "value": [float(row.net_liquidation) * row.fx_to_base for row in rows],
            "excess": [float(row.excess_liquidity) * row.fx_to_base for row in rows],
        }
    )
    return frame.groupby("time")[["value", "excess"]].sum()


def recorded_steps(view: Connection) -> pd.DataFrame:
    """Every recorded step: day, step, started_at, finished_at, seconds, summary, in order."""
    rows = view.execute(select(day_steps).order_by(day_steps.c.day, day_steps.c.finished_at)).mappings().all()
    return pd.DataFrame(rows, columns=[column.name for column in day_steps.columns])
