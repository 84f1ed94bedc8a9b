"""Capital out of account values, its shares, and orders net of what is on the stack are the reference's."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator
from decimal import Decimal

import pandas as pd
from sqlalchemy import Connection

from tests.orders import put_order
from tests.parity.proof import Answers, reads
from tradeflow_core.capital import ValueState, allocate, fold_capital
from tradeflow_core.desk import Desk
from tradeflow_core.model import CapitalEvent, CapitalEventKind
from tradeflow_core.orders import preview_orders

CAPITAL, SHARES, STACK = (
    f"reference_cases/execution/{name}"
    for name in ("capital_sequences", "strategy_allocation", "instrument_stack_adjusting_orders")
)
NAMES = {"total": "capital", "maximum": "maximum", "accumulated": "accumulated", "broker": "broker"}
MAX_CHANGE = 0.1


def sequences(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each sequence of account values: method, and its rows by time, a minute apart."""
    for (_, method, _), rows in table.groupby(["sequence", "method", "start"], sort=False):
        times = pd.date_range("2024-01-08", periods=len(rows), freq="min", tz="UTC")
        yield str(method), rows.set_index(times)


def fold(rows: pd.DataFrame, method: str) -> pd.DataFrame:
    """Our capital of the rows: the account value after each, of which a deposit or withdrawal is no profit, and what was said of the total.

    The first row says what the capital is where that is not the account value; a later one may say it anew."""
    said: list[tuple[pd.Timestamp, CapitalEventKind, float]] = []
    for time, row in rows.iterrows():
        event = str(row["event"])
        if event == "delta":
            said.append((time, CapitalEventKind.FLOW, row["value"]))
        elif event == "create" or event.startswith("modify"):
            said += [(time, kind, row[str(kind)]) for kind in (CapitalEventKind.TOTAL, CapitalEventKind.MAXIMUM)]
        if event == "create":
            said.append((time, CapitalEventKind.ACCUMULATED, row["accumulated"]))
    events = [
        CapitalEvent(place, time.to_pydatetime(), kind, Decimal(str(amount)), None, "", "", time.to_pydatetime())
        for place, (time, kind, amount) in enumerate(said, start=1)
    ]
    told = rows["value"].where(rows["event"].isin(["create", "broker_value"]), rows["broker"])
    return fold_capital(told, events, method, max_change=MAX_CHANGE)


@reads(CAPITAL)
def test_capital_by_every_method_from_the_values_of_an_account(answers: Answers) -> None:
    """A value that jumps does not count with either, and the next one is compared with the last that was believed; here it leaves a row, in
    which capital is what it was."""
    table = answers.table(CAPITAL)
    for method, rows in sequences(table):
        believed = (rows["status"] == "ok").to_numpy()
        ours = fold(rows, method)
        answers.equal(CAPITAL, ours["state"] != ValueState.JUMP, believed)
        theirs = rows[list(NAMES)].rename(columns=NAMES)
        answers.same(CAPITAL, ours[believed][list(NAMES.values())], theirs[believed], tolerance=1e-9, measure="largest")
        answers.equal(CAPITAL, range(1, int(believed.sum()) + 1), rows["n_rows"][believed])
        held = ours[["capital", "maximum", "accumulated"]]
        pd.testing.assert_frame_equal(held[~believed], held.shift()[~believed])


@reads(SHARES)
def test_capital_is_shared_by_weight(answers: Answers) -> None:
    table = answers.table(SHARES)
    ours: list[float] = []
    for _, rows in table.groupby("case"):
        ours += allocate(rows["total_capital"].iloc[0], dict(zip(rows["strategy"], rows["weight"], strict=True))).values()
    answers.near(SHARES, ours, table["allocated"], tolerance=1e-12)


@reads(STACK)
def test_an_order_is_net_of_what_is_on_the_stack(desk: Desk, answers: Answers) -> None:
    table = answers.table(STACK).set_index(["existing_orders_(trade,fill)", "desired_trade"])["order_put_on_stack"]
    stacks = {text: f"case{place}" for place, text in enumerate(table.index.unique(level=0))}
    held: dict[str, int] = {}
    with desk.ledger.begin() as tx:
        for text, strategy in stacks.items():
            held[text] = sum(
                put_on_stack(desk, tx, strategy, quantity=quantity, filled=filled) for quantity, filled in literal_eval(text)
            )
    ours: list[int] = []
    for text, desired in table.index:
        wanted = float(held[text] + desired)
        optimal = pd.DataFrame({"lower": [wanted], "upper": [wanted]}, index=pd.Index(["CORN"], name="instrument"))
        decision, *others = preview_orders(desk, stacks[text], optimal).decisions
        assert not others
        ours.append(decision.quantity)
    answers.equal(STACK, ours, table)


def put_on_stack(desk: Desk, tx: Connection, strategy: str, *, quantity: int, filled: int) -> int:
    """An order of which so much is filled; returns what is filled."""
    put_order(tx, "CORN", quantity, now=desk.now(), day=desk.today(), strategy=strategy, account=desk.account, filled=filled)
    return filled
