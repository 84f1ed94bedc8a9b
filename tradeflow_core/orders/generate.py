"""Instrument orders from optimal positions: trade to the edge of the buffer, within overrides and limits, net of what is
already on the stack. Every instrument gets its line of explanation, traded or not."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import (
    ANY,
    active_stop,
    add_instrument_order,
    locked_instruments,
    override_for,
    position_limit,
    positions_by_strategy,
    unfilled_by_instrument,
)
from tradeflow_core.orders.sizing import apply_override, apply_position_limits

DATASET = "instrument_orders"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one instrument: from `position` towards the band `lower`..`upper`; `quantity` is the order (0: none)."""

    strategy: str
    instrument: str
    position: int
    lower: float
    upper: float
    wanted: int
    allowed: int
    unfilled: int
    quantity: int
    reason: str


def buffered_trade(position: int, lower: float, upper: float) -> int:
    """The trade to the nearest edge of the buffer: below `lower` up to round(lower), above `upper` down to round(upper), else none.

    Rounding is half to even. An edge that is not a number gives no trade.
    """
    if np.isnan(lower) or np.isnan(upper):
        return 0
    if position < lower:
        return int(np.round(lower)) - position
    return int(np.round(upper)) - position if position > upper else 0


def generate_orders(desk: Desk, strategy: str, optimal: pd.DataFrame, day: date) -> pd.DataFrame:
    """Put the orders of `strategy` for `day` on the stack, all in one transaction, and return the decisions.

    `optimal`: one row an instrument (index), columns lower, upper (contracts), reference_contract, reference_price, reference_time.
    Returns a row an instrument with the fields of `Decision`; stored as the dataset `instrument_orders`. Instruments that are held but
    no longer wanted by the strategy are closed. Making them again changes nothing, since what is on the stack already counts.
    """
    now = desk.now()
    with desk.ledger.begin() as tx:
        if stop := active_stop(tx):
            raise StateError(
                f"trading is stopped since {stop.since:%Y-%m-%d %H:%M} UTC by {stop.who} ({stop.why}); lift it with `tradeflow resume`"
            )
        locked = locked_instruments(tx)
        held = positions_by_strategy(tx)
        unfilled = unfilled_by_instrument(tx, strategy)
        codes = sorted(set(optimal.index) | {code for (name, code) in held if name == strategy})
        wanted = optimal.to_dict("index")
        totals: dict[str, int] = {}
        for (_, code), quantity in held.items():
            totals[code] = totals.get(code, 0) + quantity
        decisions = []
        for code in codes:
            row = wanted.get(code)
            decision = _decide(
                tx, strategy, code, row, held.get((strategy, code), 0), totals.get(code, 0), unfilled.get(code, 0), locked
            )
            if decision.quantity:
                add_instrument_order(
                    tx,
                    strategy,
                    code,
                    decision.quantity,
                    "best",
                    day,
                    now,
                    None if row is None else int(row["reference_contract"]),
                    None if row is None else float(row["reference_price"]),
                    None if row is None else row["reference_time"].to_pydatetime(),
                )
            decisions.append(decision)
    return pd.DataFrame([asdict(decision) for decision in decisions], columns=list(Decision.__slots__)).assign(
        day=pd.Timestamp(day)
    )


def _decide(
    tx: Connection,
    strategy: str,
    code: str,
    optimal: dict[Hashable, Any] | None,
    position: int,
    instrument_position: int,
    unfilled: int,
    locked: dict[str, str],
) -> Decision:
    lower, upper = (0.0, 0.0) if optimal is None else (float(optimal["lower"]), float(optimal["upper"]))
    wanted = buffered_trade(position, lower, upper)
    override = override_for(tx, strategy, code)
    after_override = apply_override(position, wanted, override)
    strategy_limit, instrument_limit = position_limit(tx, strategy, code), position_limit(tx, ANY, code)
    allowed = apply_position_limits(position, instrument_position, after_override, strategy_limit, instrument_limit)
    quantity = allowed - unfilled
    if code in locked:
        quantity, reason = 0, f"locked ({locked[code]})"
    elif np.isnan(lower) or np.isnan(upper):
        quantity, reason = 0, "no optimal position (too little price history)"
    elif quantity:
        reason = (
            "trade to the buffer edge" if allowed == wanted else _limits(override.why, override.kind, after_override != wanted)
        )
        reason += f", net of {unfilled} on the stack" if unfilled else ""
    elif wanted and not allowed:
        reason = _limits(override.why, override.kind, after_override != wanted)
    elif unfilled:
        reason = f"{unfilled} on the stack already"
    else:
        small = "; too little capital for one contract" if max(abs(lower), abs(upper)) < 0.5 and position == 0 else ""
        reason = f"inside the buffer{small}"
    return Decision(strategy, code, position, lower, upper, wanted, allowed, unfilled, quantity, reason)


def _limits(why: str, kind: str, overridden: bool) -> str:
    return f"override {kind} ({why})" if overridden else "position limit"
