"""What a session of the campaign came to: what was traded, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.frames import table_of
from tradeflow_core import execution, ledger as books
from tradeflow_core.desk import Desk
from tradeflow_core.errors import TradeflowError
from tradeflow_core.execution import StackHandler, poll_orders
from tradeflow_core.home import SETTINGS_FILE, Home
from tradeflow_core.ledger.schema import broker_orders, instrument_orders


def what_happened(home: Path) -> dict[str, Any]:
    """What was traded, when, at which price and for whom, what is held, and the problems of the ledger."""
    desk = Desk(Home.open(home))
    with desk.ledger.read() as view:
        problems = books.ledger_problems(view)
        owned, orders = table_of(view, books.allocations), table_of(view, instrument_orders)
        held = sorted((*key, size) for key, size in books.positions_by_contract(view, desk.account).items())
        problems += _journal_problems(desk, view)
    # Who gets the few contracts that are quoted at an instant depends on who asks first, which a kill may change: what is traded is the
    # same, but for spreads, which trade only when both their legs can, and but for the last contracts that the day's liquidity left over.
    orders = orders[orders["day"] == orders["day"].max()]
    owned = owned[owned["instrument_order_id"].isin(orders["id"])].copy()
    holders = owned.groupby("contract")["strategy"].transform("nunique")
    owned["holder"] = owned["strategy"].where(holders == 1, "any")
    spreads = {
        name for name, legs in owned.groupby(["instrument", "contract_order_id"])["contract"].nunique().items() if legs > 1
    }
    rivals = owned.groupby("instrument")["strategy"].nunique()
    unfilled = set(orders.loc[orders["filled"] != orders["quantity"], "instrument"])
    contested = sorted(name for name in {*(name for name, _ in spreads), *unfilled} if rivals.get(name, 0) > 1)
    keys = ["time", "holder", "instrument", "contract", "price"]
    sums = owned.groupby(keys, as_index=False)["quantity"].sum()
    fills = [[str(value) for value in row] for row in sums.itertuples(index=False)]
    desk.close()
    return {"fills": fills, "positions": [list(row) for row in held], "problems": problems, "contested": contested}


def settle_and_judge(home: Path) -> list[str]:
    """The problems that are left once the broker tells the truth and everything late is told."""
    lying = Desk(Home.open(home))
    lying.clock.wait(3 * 3600)
    for _ in range(3):
        try:
            lying.broker.connect()
            poll_orders(lying, long_ago=True)  # what was to be corrected or voided is
        except TradeflowError:
            pass
        lying.clock.wait(3600)
    lying.close()
    file = home / SETTINGS_FILE
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("[simulated.faults]")], encoding="utf-8")
    desk = Desk(Home.open(home))
    with execution.trading_session(desk):
        poll_orders(desk, long_ago=True)
        StackHandler(desk).end_of_day()
        poll_orders(desk, long_ago=True)
    with desk.ledger.read() as view:
        problems = books.ledger_problems(view) + _journal_problems(desk, view) + _limit_problems(desk, view)
    problems += [f"break {each}" for each in execution.position_breaks(desk)]
    desk.close()
    return problems


def _journal_problems(desk: Desk, view: Any) -> list[str]:
    """Differences between the exchange's journal and the ledger."""
    told = [fill.exec_id for fill in desk.broker.executions(desk.account).fills]
    fills = table_of(view, books.fills)
    booked = set(fills["exec_id"])
    known = booked | set(fills["replaces"])  # one that was corrected before it was told needs no booking of its own
    there = [state.client_ref for state in desk.broker.orders(desk.account).orders if state.client_ref]
    sent = set(table_of(view, broker_orders)["client_ref"])
    problems = [f"execution {name} is booked, the exchange has none" for name in sorted(booked - set(told))]
    problems += [f"execution {name} of the exchange is not booked" for name in sorted(set(told) - known)]
    problems += [f"reference {name} was sent twice" for name, number in Counter(there).items() if number > 1]
    return problems + [f"reference {name} is not in the ledger" for name in sorted(set(there) - sent)]


def _limit_problems(desk: Desk, view: Any) -> list[str]:
    """Instruments whose position went beyond its limit by trades of ours; not where others traded, or trades were changed later."""
    fills = table_of(view, books.fills)
    strange = set(fills.loc[fills["broker_order_id"].isna() | fills["replaces"].notna(), "instrument"])
    problems = []
    for (strategy, instrument), limit in books.position_limits_in_force(view).items():
        if strategy or instrument in strange:
            continue
        of_it = fills[fills["instrument"] == instrument].sort_values(["time", "id"], kind="stable")
        position, before = 0, 0
        for fill in of_it.itertuples():
            before, position = position, position + fill.change
            is_recent = fill.time > desk.now() - timedelta(days=2)
            if is_recent and abs(position) > max(limit, abs(before)):
                problems.append(f"{instrument}: {position} of {limit} at {fill.time}")
    return problems
