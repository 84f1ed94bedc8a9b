"""Instrument orders from optimal positions: trade to the edge of the buffer, or to the whole contracts of the optimiser, within
overrides and limits, net of what is already on the stack. Every instrument gets its line of explanation, traded or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from tradeflow_core import nightly
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.ledger import active_stop, add_instrument_order
from tradeflow_core.model import OrderType
from tradeflow_core.orders.allowance import allowed_change
from tradeflow_core.orders.standing import Standing, left_behind, standings

if TYPE_CHECKING:
    import pandas as pd

ORDER_DECISIONS = "order_decisions"
"""The dataset of the decision about every instrument, traded or not. The orders themselves are in the ledger."""


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


Rows = Mapping[str, Mapping[str, Any]]
"""Optimal positions as plain values: by instrument, the columns of the dataset optimal_positions."""


@dataclass(frozen=True, eq=False)
class OrderPlan:
    """What a strategy would trade now. `decisions`: one for each instrument. `optimal`: the optimal positions that they follow from.
    `optimised`: with dynamic optimisation, these with the optimiser's result (see `optimised_positions`); `decided`: whether it ran just
    now."""

    decisions: list[Decision]
    optimal: Rows
    optimised: pd.DataFrame | None = None
    decided: bool = False

    @property
    def table(self) -> pd.DataFrame:
        """A row an instrument with the fields of `Decision`."""
        import pandas as pd

        return pd.DataFrame([asdict(decision) for decision in self.decisions], columns=list(Decision.__slots__))


def buffered_trade(position: int, lower: float, upper: float) -> int:
    """The trade to the nearest edge of the buffer: below `lower` up to round(lower), above `upper` down to round(upper), else none.

    Rounding is half to even. An edge that is not a number gives no trade.
    """
    if math.isnan(lower) or math.isnan(upper):
        return 0
    if position < lower:
        return round(lower) - position
    return round(upper) - position if position > upper else 0


def plan_orders(desk: Desk, view: Connection, strategy: str, *, optimal: Rows | pd.DataFrame) -> OrderPlan:
    """What `strategy` would trade now; nothing is written. `optimal`: as of `generate_orders`.

    Instruments that are held but no longer wanted by the strategy are closed. Raises StateError where a strategy with dynamic
    optimisation lacks the saved run behind its optimal positions.
    """
    rows: Rows = optimal if isinstance(optimal, Mapping) else _plain(optimal)
    by_instrument = standings(view, desk, strategy, instruments=rows)
    optimised, decided = None, False
    if any(_is_known(row.get("contract_value")) for row in rows.values()):
        # Loaded only here, since the optimiser needs pandas and NumPy.
        from tradeflow_core.orders.optimised import optimised_positions

        before = nightly.latest_optimal(desk, strategy, _day_of(rows)) if isinstance(optimal, Mapping) else optimal
        optimised = optimised_positions(before, nightly.run_behind(desk, strategy, before), by_instrument)
        rows, decided = _plain(optimised), optimised is not before
    decisions = [
        _decide(strategy, instrument, rows.get(instrument), standing=standing) for instrument, standing in by_instrument.items()
    ]
    return OrderPlan(decisions, rows, optimised, decided)


def preview_orders(desk: Desk, strategy: str, optimal: Rows | pd.DataFrame) -> OrderPlan:
    """A dry run of `generate_orders`: the plan, with nothing written."""
    with desk.ledger.read() as view:
        return plan_orders(desk, view, strategy, optimal=optimal)


def generate_orders(desk: Desk, strategy: str, optimal: Rows | pd.DataFrame, *, day: date) -> OrderPlan:
    """Put the orders of `strategy` for `day` on the stack, all in one transaction, and return the plan that they follow from.

    `optimal`: by instrument lower, upper (contracts), reference_contract, reference_price, reference_time, as plain rows or as a frame; with
    dynamic optimisation the rows of the dataset optimal_positions, to which the optimiser's result is written before the orders are.
    Instruments that are held but no longer wanted by the strategy are closed. A second call changes nothing, since open orders count.
    """
    now = desk.now()
    with desk.ledger.begin() as tx:
        if stop := active_stop(tx):
            raise StateError(
                f"trading is stopped since {stop.since:%Y-%m-%d %H:%M} UTC by {stop.who} ({stop.why}); lift it with `tradeflow resume`"
            )
        plan = plan_orders(desk, tx, strategy, optimal=optimal)
        stranded = left_behind(tx, desk)
        if plan.decided and plan.optimised is not None:
            nightly.store_optimal(desk, strategy, plan.optimised)
        for decision in plan.decisions:
            if decision.quantity:
                add_instrument_order(
                    tx,
                    account=desk.account,
                    strategy=strategy,
                    instrument=decision.instrument,
                    quantity=decision.quantity,
                    order_type=OrderType.BEST,
                    day=day,
                    now=now,
                    why=decision.reason,
                    **_reference(plan.optimal.get(decision.instrument)),
                )
    if stranded:
        named = "; ".join(f"{name}: {why}" for name, why in stranded.items())
        desk.alerts.send("positions of a removed strategy", f"nothing is traded in {named}", now)
    if plan.decided:
        from tradeflow_core.strategy.positions import Outcome

        outcome = str(next(iter(plan.optimal.values()))["outcome"])
        if outcome.startswith(Outcome.FAILED):
            desk.alerts.send(f"dynamic optimisation of {strategy}", outcome, now)
    return plan


def store_decisions(desk: Desk, strategy: str, decisions: Sequence[Decision], *, day: date) -> None:
    """Store the decisions of a strategy about every instrument, traded or not, as the dataset `order_decisions`."""
    import pyarrow as pa

    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema([*((field.name, kinds[str(field.type)]) for field in fields(Decision)), ("day", pa.timestamp("us"))])
    rows = ({**asdict(decision), "day": datetime.combine(day, time())} for decision in decisions)
    desk.store.write_rows(ORDER_DECISIONS, strategy, rows, schema=schema)


def _plain(optimal: pd.DataFrame) -> Rows:
    by_instrument = optimal.to_dict("index").items()
    return {str(instrument): {str(name): value for name, value in row.items()} for instrument, row in by_instrument}


def _day_of(rows: Rows) -> date:
    """The business day of optimal positions."""
    day: datetime = next(iter(rows.values()))["day"]
    return day.date()


def _reference(row: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of an order that say what it was decided on: contract, price and the time of that price (UTC)."""
    if row is None:
        return {}
    priced_at = row["reference_time"]
    return {
        "reference_contract": int(row["reference_contract"]),
        "reference_price": float(row["reference_price"]),
        "reference_time": priced_at.to_pydatetime() if hasattr(priced_at, "to_pydatetime") else priced_at,
    }


def _is_known(value: Any) -> bool:
    """Whether a figure is neither missing nor NaN."""
    return isinstance(value, (int, float)) and not math.isnan(value)


def _decide(strategy: str, instrument: str, optimal: Mapping[str, Any] | None, *, standing: Standing) -> Decision:
    lower, upper = (0.0, 0.0) if optimal is None else (_figure(optimal["lower"]), _figure(optimal["upper"]))
    position, unfilled = standing.position, standing.unfilled
    wanted = buffered_trade(position, lower, upper)
    allowed, held_back = allowed_change(standing, wanted)
    quantity = allowed - unfilled
    reason_to_trade, reason_not_to = _reasons(optimal, position=position, lower=lower, upper=upper)
    if standing.lock:
        quantity, reason = 0, f"locked ({standing.lock})"
    elif math.isnan(lower) or math.isnan(upper):
        quantity, reason = 0, "no optimal position (too little price history)"
    elif quantity:
        reason = held_back or reason_to_trade
        reason += f", net of {unfilled} on the stack" if unfilled else ""
    elif wanted and not allowed:
        reason = held_back
    elif unfilled:
        reason = f"{unfilled} on the stack already"
    else:
        reason = reason_not_to
    return Decision(strategy, instrument, position, lower, upper, wanted, allowed, unfilled, quantity, reason)


def _figure(value: Any) -> float:
    return math.nan if value is None else float(value)


def _reasons(optimal: Mapping[str, Any] | None, *, position: int, lower: float, upper: float) -> tuple[str, str]:
    """The reason to give where an instrument is traded without any limit, and where it is not traded."""
    if optimal is None:
        return "close: it is held without an optimal position", "no optimal position"
    explanation = optimal.get("explanation")
    if isinstance(explanation, str):
        to_trade = "trade to the optimised position"
        return f"{to_trade}: {explanation}" if explanation else to_trade, explanation or "at the optimised position"
    small = "; too little capital for one contract" if max(abs(lower), abs(upper)) < 0.5 and position == 0 else ""
    return "trade to the buffer edge", f"inside the buffer{small}"
