"""Instrument orders from optimal positions: trade to the edge of the buffer, or to the whole contracts of the optimiser, within
overrides and limits, net of what is already on the stack. Every instrument gets its line of explanation, traded or not."""

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
from tradeflow_core.ledger import active_stop, add_instrument_order
from tradeflow_core.model import OrderType
from tradeflow_core.nightly import run_behind, store_optimal
from tradeflow_core.orders.controls import Standing, standings
from tradeflow_core.orders.optimised import is_dynamic, optimised_positions
from tradeflow_core.orders.sizing import apply_override, apply_position_limits
from tradeflow_core.strategy.positions import Outcome

ORDER_DECISIONS = "order_decisions"
"""The dataset of what was decided for every instrument, traded or not. The orders themselves are in the ledger."""


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


@dataclass(frozen=True, eq=False)
class OrderPlan:
    """What a strategy would trade now. `decisions`: one an instrument. `optimal`: the optimal positions that they follow from; with
    dynamic optimisation they hold what was decided (see `optimised_positions`), and `decided` says that it was decided just now."""

    decisions: list[Decision]
    optimal: pd.DataFrame
    decided: bool

    @property
    def table(self) -> pd.DataFrame:
        """A row an instrument with the fields of `Decision`."""
        return pd.DataFrame([asdict(decision) for decision in self.decisions], columns=list(Decision.__slots__))


def buffered_trade(position: int, lower: float, upper: float) -> int:
    """The trade to the nearest edge of the buffer: below `lower` up to round(lower), above `upper` down to round(upper), else none.

    Rounding is half to even. An edge that is not a number gives no trade.
    """
    if np.isnan(lower) or np.isnan(upper):
        return 0
    if position < lower:
        return int(np.round(lower)) - position
    return int(np.round(upper)) - position if position > upper else 0


def plan_orders(desk: Desk, view: Connection, strategy: str, optimal: pd.DataFrame) -> OrderPlan:
    """What `strategy` would trade now; nothing is written. `optimal`: as of `generate_orders`.

    Instruments that are held but no longer wanted by the strategy are closed. Raises StateError where a strategy with dynamic
    optimisation lacks the saved run behind its optimal positions.
    """
    known = standings(view, strategy, optimal.index)
    given = optimal
    if is_dynamic(optimal):
        optimal = optimised_positions(optimal, run_behind(desk, strategy, optimal), known)
    rows = optimal.to_dict("index")
    return OrderPlan([_decide(strategy, code, rows.get(code), one) for code, one in known.items()], optimal, optimal is not given)


def preview_orders(desk: Desk, strategy: str, optimal: pd.DataFrame) -> OrderPlan:
    """A dry run of `generate_orders`: the plan, with nothing written."""
    with desk.ledger.read() as view:
        return plan_orders(desk, view, strategy, optimal)


def generate_orders(desk: Desk, strategy: str, optimal: pd.DataFrame, day: date) -> pd.DataFrame:
    """Put the orders of `strategy` for `day` on the stack, all in one transaction, and return the decisions.

    `optimal`: one row an instrument (index), columns lower, upper (contracts), reference_contract, reference_price, reference_time; with
    dynamic optimisation the rows of the dataset optimal_positions, where what is decided is stored before the orders are.
    Returns a row an instrument with the fields of `Decision`; stored as the dataset `order_decisions`. Instruments that are held but
    no longer wanted by the strategy are closed. Making them again changes nothing, since what is on the stack already counts.
    """
    now = desk.now()
    with desk.ledger.begin() as tx:
        if stop := active_stop(tx):
            raise StateError(
                f"trading is stopped since {stop.since:%Y-%m-%d %H:%M} UTC by {stop.who} ({stop.why}); lift it with `tradeflow resume`"
            )
        plan = plan_orders(desk, tx, strategy, optimal)
        if plan.decided:
            store_optimal(desk, strategy, plan.optimal)
        rows = plan.optimal.to_dict("index")
        for decision in plan.decisions:
            if decision.quantity:
                row = rows.get(decision.instrument)
                add_instrument_order(
                    tx,
                    strategy=strategy,
                    instrument=decision.instrument,
                    quantity=decision.quantity,
                    order_type=OrderType.BEST,
                    day=day,
                    now=now,
                    reference_contract=None if row is None else int(row["reference_contract"]),
                    reference_price=None if row is None else float(row["reference_price"]),
                    reference_time=None if row is None else row["reference_time"].to_pydatetime(),
                )
    if plan.decided and str(outcome := plan.optimal["outcome"].iloc[0]).startswith(Outcome.FAILED):
        desk.alerts.send(f"dynamic optimisation of {strategy}", str(outcome), now)
    return plan.table.assign(day=pd.Timestamp(day))


def _decide(strategy: str, code: str, optimal: dict[Hashable, Any] | None, standing: Standing) -> Decision:
    lower, upper = (0.0, 0.0) if optimal is None else (float(optimal["lower"]), float(optimal["upper"]))
    position, unfilled, override = standing.position, standing.unfilled, standing.override
    wanted = buffered_trade(position, lower, upper)
    after_override = apply_override(position, wanted, override)
    allowed = apply_position_limits(
        position, standing.instrument_position, after_override, standing.strategy_limit, standing.instrument_limit
    )
    quantity = allowed - unfilled
    to_trade, at_rest = _words(optimal, position, lower, upper)
    if standing.lock:
        quantity, reason = 0, f"locked ({standing.lock})"
    elif np.isnan(lower) or np.isnan(upper):
        quantity, reason = 0, "no optimal position (too little price history)"
    elif quantity:
        reason = to_trade if allowed == wanted else _limits(override.why, override.kind, after_override != wanted)
        reason += f", net of {unfilled} on the stack" if unfilled else ""
    elif wanted and not allowed:
        reason = _limits(override.why, override.kind, after_override != wanted)
    elif unfilled:
        reason = f"{unfilled} on the stack already"
    else:
        reason = at_rest
    return Decision(strategy, code, position, lower, upper, wanted, allowed, unfilled, quantity, reason)


def _words(optimal: dict[Hashable, Any] | None, position: int, lower: float, upper: float) -> tuple[str, str]:
    """What is said of an instrument that is traded freely, and of one that is not traded."""
    if optimal is None:
        return "close: it is held without an optimal position", "no optimal position"
    explanation = optimal.get("explanation")
    if isinstance(explanation, str):
        to_trade = "trade to the optimised position"
        return f"{to_trade}: {explanation}" if explanation else to_trade, explanation or "at the optimised position"
    small = "; too little capital for one contract" if max(abs(lower), abs(upper)) < 0.5 and position == 0 else ""
    return "trade to the buffer edge", f"inside the buffer{small}"


def _limits(why: str, kind: str, overridden: bool) -> str:
    return f"override {kind} ({why})" if overridden else "position limit"
