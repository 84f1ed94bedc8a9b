"""Total capital as a fold over account values and what people said about them. Pure: it knows no desk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pandas as pd

from tradeflow_core.capital.jump import ROUNDING, ValueState, acceptable, believed
from tradeflow_core.model import CapitalEvent, CapitalEventKind, events_in_force

COLUMNS = ["capital", "maximum", "accumulated", "broker", "change", "flow", "profit", "state"]


def fold_capital(values: pd.Series, events: Sequence[CapitalEvent], method: str, *, max_change: float) -> pd.DataFrame:
    """Total capital from account values.

    `values`: account value in base currency by time (UTC), increasing; `events`: all that people said, what was taken back included. Returns,
    by time, `capital` (the total capital), `maximum` (high-water mark), `accumulated` (profit and loss since the beginning), `broker` (the
    account value); and of that account value `change` (since the last one that counted), `flow` (deposits and withdrawals in it), `profit`
    (the rest), `state` (`ValueState`). Methods: full: profits are added to capital; half: they only make up for earlier losses; fixed: capital
    stays.

    The first value is the capital. A profit or loss above `max_change` of the value before, flows since included, is a jump: it does not count,
    capital stays, and the next value is compared with the last that counted, until a person accepts it. Nobody can accept more profit or loss
    than the account has moved: what exceeds that comes from a flow that does not fit.
    """
    broker, said = values.to_numpy(dtype=float).tolist(), _by_value(pd.DatetimeIndex(values.index), events)
    rows: list[tuple[object, ...]] = []
    capital = maximum = accumulated = base = flow = 0.0
    for place, value in enumerate(broker):
        about = said.get(place, ())
        kinds = {event.kind for event in about}
        flow += sum(float(event.amount) for event in about if event.kind == CapitalEventKind.FLOW)
        if place == 0:
            capital = maximum = base = value
            flow = 0.0
        change, of_flow = value - base, flow
        profit = change - of_flow
        state = (
            ValueState.COUNTED
            if place == 0
            else _state(kinds, change=change, profit=profit, limit=believed(base, of_flow, max_change))
        )
        if state.counts:
            if state != ValueState.SET:
                capital = _grown(method, capital, profit, maximum=maximum)
                maximum = maximum if method == "half" else capital
                accumulated += profit
            base, flow = value, 0.0
        for event in about:
            amount = float(event.amount)
            if event.kind == CapitalEventKind.TOTAL:
                capital = maximum = amount
            elif event.kind == CapitalEventKind.MAXIMUM:
                maximum = amount
            elif event.kind == CapitalEventKind.ACCUMULATED:
                accumulated = amount
        rows.append((capital, maximum, accumulated, value, change, of_flow, profit, str(state)))
    return pd.DataFrame(rows, columns=COLUMNS, index=values.index).astype(dict.fromkeys(COLUMNS[:-1], "float64"))


def _state(kinds: set[CapitalEventKind], *, change: float, profit: float, limit: float) -> ValueState:
    """Of the account value after the first ones; `limit`: the profit or loss that is believed."""
    if CapitalEventKind.REFUSE in kinds:
        return ValueState.REFUSED
    if abs(profit) <= limit * (1 + ROUNDING):
        return ValueState.COUNTED
    if CapitalEventKind.TOTAL in kinds:
        return ValueState.SET
    return ValueState.ACCEPTED if CapitalEventKind.ACCEPT in kinds and acceptable(change, profit) else ValueState.JUMP


def _grown(method: str, capital: float, profit: float, *, maximum: float) -> float:
    if method == "full":
        return max(capital + profit, 0.0)
    return max(min(capital + profit, maximum), 0.0) if method == "half" else capital


def _by_value(times: pd.DatetimeIndex, events: Sequence[CapitalEvent]) -> dict[int, list[CapitalEvent]]:
    """The events in force by the account value that they are about: a flow belongs to the first value at or after its time, what else is said
    to the last one at or before it."""
    said: dict[int, list[CapitalEvent]] = defaultdict(list)
    for event in events_in_force(events):
        time = pd.Timestamp(event.time)
        if event.kind == CapitalEventKind.FLOW:
            place = int(times.searchsorted(time))
        else:
            place = max(int(times.searchsorted(time, side="right")) - 1, 0)
        if event.kind != CapitalEventKind.VOID and place < len(times):
            said[place].append(event)
    return said
