"""Capital out of account values, its shares, and orders net of what is on the stack are the reference's."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection

from tests.orders import put_order
from tests.parity.proof import Answers, reads
from tradeflow_core.capital import CapitalJump, allocate, fold_capital
from tradeflow_core.desk import Desk
from tradeflow_core.orders import preview_orders

CAPITAL, SHARES, STACK = (
    f"reference_cases/execution/{name}"
    for name in ("capital_sequences", "strategy_allocation", "instrument_stack_adjusting_orders")
)
NAMES = {"total": "capital", "maximum": "maximum", "accumulated": "accumulated", "broker": "broker"}
MAX_CHANGE = 0.1


def sequences(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Each sequence of account values: method, start, and its rows by time, a minute apart."""
    for (_, method, start), rows in table.groupby(["sequence", "method", "start"], sort=False):
        times = pd.date_range("2024-01-08", periods=len(rows), freq="min", tz="UTC")
        yield str(method), str(start), rows.set_index(times)


def fold(rows: pd.DataFrame, method: str) -> pd.DataFrame:
    """Our capital of the rows: the account value after each, of which a deposit or withdrawal is no profit."""
    flows = rows[rows["event"] == "delta"]
    events = pd.DataFrame({"time": flows.index, "kind": "flow", "amount": flows["value"].to_numpy()})
    told = rows["value"].where(rows["event"].isin(["create", "broker_value"]), rows["broker"])
    return fold_capital(told, events, method, MAX_CHANGE)


@reads(CAPITAL)
def test_capital_by_every_method_from_the_values_of_an_account(answers: Answers) -> None:
    """A value that jumps is refused alike, and the next one is compared with the last that was believed.

    Nobody can say here that total or maximum are another figure than what follows from the account values (there is no such command). So
    where the reference began with half the capital and an older profit, or was told another capital on the way, the profit since and the
    account value are compared from there on, total and maximum are not.
    """
    table = answers.table(CAPITAL)
    for method, start, rows in sequences(table):
        believed = rows[rows["status"] == "ok"]
        ours = fold(believed, method)
        theirs = believed[list(NAMES)].rename(columns=NAMES)
        theirs["accumulated"] -= theirs["accumulated"].iloc[0]
        answers.same(CAPITAL, ours[["accumulated", "broker"]], theirs[["accumulated", "broker"]], 1e-9, measure="largest")
        answers.equal(CAPITAL, range(1, len(ours) + 1), believed["n_rows"])
        told = believed["event"].str.startswith("modify").to_numpy()
        free = np.zeros(len(told), dtype=bool) if start != "default" else ~np.maximum.accumulate(told)
        answers.same(
            CAPITAL, ours.loc[free, ["capital", "maximum"]], theirs.loc[free, ["capital", "maximum"]], 1e-9, measure="largest"
        )
        for time in rows.index[rows["status"] == "LargeCapitalChange"]:
            with pytest.raises(CapitalJump):
                fold(pd.concat([believed[believed.index < time], rows.loc[[time]]]), method)


@reads(SHARES)
def test_capital_is_shared_by_weight(answers: Answers) -> None:
    table = answers.table(SHARES)
    ours: list[float] = []
    for _, rows in table.groupby("case"):
        ours += allocate(rows["total_capital"].iloc[0], dict(zip(rows["strategy"], rows["weight"], strict=True))).values()
    answers.near(SHARES, ours, table["allocated"], 1e-12)


@reads(STACK)
def test_an_order_is_net_of_what_is_on_the_stack(desk: Desk, answers: Answers) -> None:
    table = answers.table(STACK).set_index(["existing_orders_(trade,fill)", "desired_trade"])["order_put_on_stack"]
    stacks = {text: f"case{place}" for place, text in enumerate(table.index.unique(level=0))}
    held: dict[str, int] = {}
    with desk.ledger.begin() as tx:
        for text, strategy in stacks.items():
            held[text] = sum(put_on_stack(desk, tx, strategy, *entry) for entry in literal_eval(text))
    ours: list[int] = []
    for text, desired in table.index:
        wanted = float(held[text] + desired)
        optimal = pd.DataFrame({"lower": [wanted], "upper": [wanted]}, index=pd.Index(["CORN"], name="instrument"))
        decision, *others = preview_orders(desk, stacks[text], optimal).decisions
        assert not others
        ours.append(decision.quantity)
    answers.equal(STACK, ours, table)


def put_on_stack(desk: Desk, tx: Connection, strategy: str, quantity: int, filled: int) -> int:
    """An order of which so much is filled; returns what is filled."""
    put_order(
        tx, "CORN", quantity, now=desk.now(), day=desk.today(), strategy=strategy, account=desk.account, filled=filled
    )
    return filled
