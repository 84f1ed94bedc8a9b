"""Orders, fills, positions, capital and freshness of a desk, as data frames. Commands and assets render them."""

from __future__ import annotations

from datetime import date

import pandas as pd
from sqlalchemy import func, select

from tradeflow_core.capital import total_capital
from tradeflow_core.desk import Desk
from tradeflow_core.ledger import allocations, commissions, fills, positions_by_contract
from tradeflow_core.model import contract_label
from tradeflow_core.parquet import DamagedFile
from tradeflow_core.reports.rows import freshness_rows, order_rows, position_rows


def orders_of_day(desk: Desk, day: date) -> pd.DataFrame:
    """Instrument orders made for `day`: id, strategy, instrument, quantity, filled, type, status."""
    return pd.DataFrame(order_rows(desk, day), columns=["id", "strategy", "instrument", "quantity", "filled", "type", "status"])


def fills_of_day(desk: Desk, day: date) -> pd.DataFrame:
    """Fills whose time is on `day` in the desk's time zone, a row for each owner: time (local), strategy, instrument, contract, quantity,
    price, commission, currency.

    What a correction takes back stands there as the opposite of the former fill. The commission of a fill is divided by quantity.
    """
    start = pd.Timestamp(day, tz=desk.settings.time_zone)
    f, a = fills.c, allocations.c
    commission = func.coalesce(f.commission, commissions.c.commission)
    query = (
        select(a.time, a.strategy, a.instrument, a.contract, a.quantity, a.price, commission, f.currency, f.quantity.label("of"))
        .select_from(allocations.join(fills).outerjoin(commissions, commissions.c.exec_id == f.exec_id))
        .where(
            a.time >= start.to_pydatetime(), a.time < (start + pd.DateOffset(days=1)).to_pydatetime(), a.account == desk.account
        )
        .order_by(a.time, a.id)
    )
    columns = ["time", "strategy", "instrument", "contract", "quantity", "price", "commission", "currency", "of"]
    with desk.ledger.read() as view:
        frame = pd.DataFrame(view.execute(query).all(), columns=columns).astype({"commission": "float64"})
    frame["commission"] *= frame["quantity"] / frame.pop("of")
    frame["time"] = pd.to_datetime(frame["time"], utc=True).dt.tz_convert(desk.settings.time_zone)
    frame["contract"] = [contract_label(int(contract)) for contract in frame["contract"]]
    return frame


def fills_by_contract(fills: pd.DataFrame) -> pd.DataFrame:
    """Fills added up: strategy, instrument, contract, side, fills (number), quantity, average price (weighted by quantity), commission, currency."""
    frame = fills.assign(
        side=["buy" if quantity > 0 else "sell" for quantity in fills["quantity"]], value=fills["price"] * fills["quantity"]
    )
    keys = ["strategy", "instrument", "contract", "side", "currency"]
    summed = frame.groupby(keys, sort=True).agg(
        fills=("quantity", "size"), quantity=("quantity", "sum"), value=("value", "sum"), commission=("commission", "sum")
    )
    summed = summed.assign(average_price=summed["value"] / summed["quantity"]).reset_index()
    return summed[["strategy", "instrument", "contract", "side", "fills", "quantity", "average_price", "commission", "currency"]]


def positions_against_optimal(desk: Desk) -> pd.DataFrame:
    """A row for each strategy and instrument that is held or wanted: position, optimal, lower, upper, price, last_decision (why no order was
    made)."""
    figures = ["optimal", "lower", "upper", "price"]
    frame = pd.DataFrame(position_rows(desk), columns=["strategy", "instrument", "position", *figures, "last_decision"])
    return frame.astype(dict.fromkeys(figures, "float64"))


def contract_positions(desk: Desk) -> pd.DataFrame:
    """Positions by contract: instrument, contract, quantity."""
    with desk.ledger.read() as view:
        held = positions_by_contract(view, desk.account)
    rows = [(instrument, contract_label(contract), quantity) for (instrument, contract), quantity in sorted(held.items())]
    return pd.DataFrame(rows, columns=["instrument", "contract", "quantity"])


def capital_history(desk: Desk) -> pd.DataFrame:
    """Total capital by time (UTC), as `capital.fold_capital` made it; empty before the first account value."""
    try:
        stored = _stored(desk, "total_capital", "total")
    except DamagedFile:
        stored = total_capital(desk)
    return pd.DataFrame(columns=["capital", "maximum", "accumulated", "broker"], dtype="float64") if stored is None else stored


def freshness(desk: Desk) -> pd.DataFrame:
    """The newest price of every instrument: instrument, last_time (UTC), age in business days, lock (why it is locked, or empty)."""
    return pd.DataFrame(freshness_rows(desk), columns=["instrument", "last_time", "age", "lock"])


def profit_of_day(desk: Desk, day: date) -> float | None:
    """Change of accumulated profit over `day` (desk's time zone) in base currency; None before the second account value."""
    history = capital_history(desk)["accumulated"]
    if len(history) < 2:
        return None
    days = pd.DatetimeIndex(history.index).tz_convert(desk.settings.time_zone).date
    before, until = history[days < day], history[days <= day]
    if until.empty:
        return None
    start = before.iloc[-1] if len(before) else until.iloc[0]
    return float(until.iloc[-1] - start)


def _stored(desk: Desk, dataset: str, name: str) -> pd.DataFrame | None:
    return desk.store.read(dataset, name) if desk.store.exists(dataset, name) else None
