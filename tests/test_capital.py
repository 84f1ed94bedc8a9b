"""Capital is a fold over account values and what people said of them: profits are compounded as chosen, deposits are no profit, large jumps
wait for a person, and whatever was said can be taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from tradeflow_core.capital import CapitalJump, allocate, fold_capital, waiting_jump
from tradeflow_core.errors import DataError
from tradeflow_core.model import CapitalEvent, CapitalEventKind, events_in_force

START = datetime(2024, 1, 8, tzinfo=UTC)
MAX_CHANGE = 0.1


def values(*amounts: float) -> pd.Series:
    """Account values, one a day from START on."""
    return pd.Series(amounts, index=pd.date_range(START, periods=len(amounts), freq="D"), dtype=float)


def said(number: int, kind: str, day: float, amount: float = 0.0, *, voids: int | None = None) -> CapitalEvent:
    """An event about the `day`-th account value, counted from 0."""
    time = START + timedelta(days=day)
    return CapitalEvent(number, time, CapitalEventKind(kind), Decimal(f"{amount:.2f}"), voids, "ann", "test", time)


def fold(amounts: Sequence[float], *events: CapitalEvent, method: str = "full") -> pd.DataFrame:
    return fold_capital(values(*amounts), events, method, max_change=MAX_CHANGE)


def waits(amounts: Sequence[float], *events: CapitalEvent) -> CapitalJump | None:
    return waiting_jump(fold(amounts, *events), "USD")


# --- how profits are compounded ------------------------------------------------------------------------------------------


def test_the_first_value_is_the_capital() -> None:
    row = fold([100.0]).iloc[-1]
    assert (row["capital"], row["maximum"], row["accumulated"], row["broker"]) == (100, 100, 0, 100)


def test_full_compounding_trades_with_every_profit_and_loss() -> None:
    assert fold([100, 105, 102])["capital"].tolist() == [100, 105, 102]


def test_half_compounding_only_makes_up_for_losses() -> None:
    capital = fold([100, 105, 102, 104], method="half")
    assert capital["capital"].tolist() == [100, 100, 97, 99]
    assert capital["maximum"].tolist() == [100, 100, 100, 100]


def test_fixed_capital_stays() -> None:
    capital = fold([100, 105, 95], method="fixed")
    assert capital["capital"].tolist() == [100, 100, 100]
    assert capital["accumulated"].tolist() == [0, 5, -5]


# --- jumps ---------------------------------------------------------------------------------------------------------------


def test_a_jump_does_not_count_and_the_capital_stays() -> None:
    capital = fold([100, 104, 150, 151])
    assert capital["capital"].tolist() == [100, 104, 104, 104]
    assert capital["state"].tolist() == ["counted", "counted", "jump", "jump"]
    jump = waits([100, 104, 150, 151])
    assert jump is not None and (jump.before, jump.value, jump.profit, jump.capital) == (104, 151, 47, 104)
    assert jump.since == START + timedelta(days=2), "it is the same one as the day before, and is mailed under the same subject"
    for command in ("accept", "refuse", "flow AMOUNT"):
        assert f"`tradeflow capital {command}`" in jump.message


def test_a_profit_is_measured_against_the_account_with_what_was_paid_in_or_out() -> None:
    into = said(1, "flow", 1, 10_000_000)
    assert fold([1_000_000, 11_000_000 * 0.982], into)["state"].tolist() == ["counted", "counted"], (
        "1.8 % of what is there is lost"
    )
    out = said(1, "flow", 1, -900_000)
    assert fold([1_000_000, 100_000], out)["state"].tolist() == ["counted", "counted"]
    assert fold([1_000_000, 50_000], out)["state"].tolist() == ["counted", "jump"], "half of what is left is lost"
    jump = waits([1_000_000, 50_000], out)
    assert jump is not None and "(-50.0%)" in jump.message and "-900,000 that were paid" in jump.message


def test_a_deposit_that_never_came_raises_no_limit() -> None:
    for amount in (9, 50, 1000, 10**9):
        state = fold([100, 100], said(1, "flow", 1, amount))["state"].iloc[1]
        assert state == ("counted" if amount < 10 else "jump"), amount


def test_a_jump_that_is_over_settles_itself() -> None:
    assert fold([100, 150, 103])["capital"].tolist() == [100, 100, 103]
    assert waits([100, 150, 103]) is None


def test_an_accepted_jump_counts_as_profit() -> None:
    capital = fold([100, 130, 132], said(1, "accept", 1, 130))
    assert capital["capital"].tolist() == [100, 130, 132]
    assert capital["state"].tolist() == ["counted", "accepted", "counted"]


def test_an_acceptance_is_for_one_value_only() -> None:
    capital = fold([100, 130, 160], said(1, "accept", 1, 130))
    assert capital["capital"].tolist() == [100, 130, 130], "what jumps later waits, as what jumped before does"
    assert fold([100, 130, 160], said(1, "accept", 2, 160))["state"].tolist() == ["counted", "jump", "accepted"]


def test_a_refused_value_never_counts_and_the_next_is_compared_with_the_last_that_did() -> None:
    back, stays = [100, 150, 102], [100, 150, 151]
    refused = said(1, "refuse", 1, 150)
    assert fold(back, refused)["state"].tolist() == ["counted", "refused", "counted"]
    assert fold(back, refused)["capital"].tolist() == [100, 100, 102]
    assert waits(stays[:2], refused) is None
    jump = waits(stays, refused)
    assert jump is not None and (jump.before, jump.value) == (100, 151), "another value that is as far away waits again"
    assert jump.since == START + timedelta(days=2), "and it is news"


def test_a_refusal_goes_before_an_acceptance() -> None:
    assert fold([100, 130], said(1, "refuse", 1), said(2, "accept", 1))["capital"].tolist() == [100, 100]


# --- deposits and withdrawals --------------------------------------------------------------------------------------------


def test_a_deposit_is_no_profit() -> None:
    capital = fold([100, 153], said(1, "flow", 1, 50))
    assert capital["accumulated"].tolist() == [0, 3]
    assert capital["capital"].tolist() == [100, 103]


def test_a_deposit_waits_for_the_next_value_that_counts() -> None:
    capital = fold([100, 20, 153], said(1, "flow", 0.5, 50))
    assert capital["state"].tolist() == ["counted", "jump", "counted"]
    assert capital["capital"].tolist() == [100, 100, 103]


def test_a_withdrawal_that_did_not_happen_cannot_be_accepted_as_a_profit() -> None:
    """What once happened: 19 million recorded as withdrawn from an account of 19.6, then accepted, gave a capital of 38.6."""
    mistake = said(1, "flow", 1, -19_000_000)
    account = [19_600_000, 19_620_000, 19_610_000]
    jump = waits(account[:2], mistake)
    assert jump is not None and not jump.acceptable
    assert "`tradeflow capital void EVENT`" in jump.message and "`tradeflow capital accept`" not in jump.message
    for day in (1, 2):
        assert fold(account, mistake, said(2, "accept", day))["capital"].tolist() == [19_600_000] * 3
    taken_back = fold(account, mistake, said(2, "accept", 1), said(3, "void", 1, voids=1))
    assert taken_back["capital"].tolist() == account


# --- figures by hand -----------------------------------------------------------------------------------------------------


def test_the_capital_is_what_a_person_says_and_goes_on_from_there() -> None:
    capital = fold([100, 102, 104], said(1, "total", 1, 50), said(2, "accumulated", 1, 7))
    assert capital["capital"].tolist() == [100, 50, 52]
    assert capital["accumulated"].tolist() == [0, 7, 9]


def test_a_maximum_by_hand_is_how_far_half_compounding_grows() -> None:
    capital = fold([100, 102, 109, 118], said(1, "total", 1, 50), said(2, "maximum", 1, 60), method="half")
    assert capital["capital"].tolist() == [100, 50, 57, 60]


def test_saying_what_the_capital_is_settles_a_jump_without_a_profit() -> None:
    capital = fold([100, 200, 204], said(1, "total", 1, 180))
    assert capital["capital"].tolist() == [100, 180, 184]
    assert capital["accumulated"].tolist() == [0, 0, 4]
    assert capital["state"].tolist() == ["counted", "set", "counted"]


# --- taking back ---------------------------------------------------------------------------------------------------------


def test_an_event_that_was_taken_back_does_nothing_and_takes_nothing_back() -> None:
    flow, void, again = said(1, "flow", 1, 5), said(2, "void", 1, voids=1), said(3, "void", 1, voids=2)
    assert events_in_force([flow, void]) == [void]
    assert events_in_force([flow, void, again]) == [flow, again], "the flow counts again"


def test_a_corrected_event_counts_instead_of_the_wrong_one() -> None:
    wrong, right = said(1, "flow", 1, 5), said(2, "flow", 1, 50, voids=1)
    assert fold([100, 152], wrong, right)["capital"].tolist() == [100, 102]
    assert fold([100, 152], wrong, right, said(3, "void", 1, voids=2)).equals(fold([100, 152], wrong))


# --- whatever happens ----------------------------------------------------------------------------------------------------


DAYS = 12
HISTORIES = st.lists(st.floats(1, 1000), min_size=1, max_size=DAYS)
"""Accounts that jump most of the time."""

SAID = st.lists(
    st.tuples(
        st.sampled_from(["flow", "flow", "accept", "accept", "refuse", "void"]),
        st.integers(0, DAYS),
        st.floats(-2000, 2000),
        st.integers(1, 30),
    ),
    max_size=12,
)


def as_events(drawn: Sequence[tuple[str, int, float, int]]) -> list[CapitalEvent]:
    """Events out of what was drawn; each may take back one before it."""
    return [
        said(number, kind, day, amount, voids=taken % number if kind == "void" and number > 1 and taken % number else None)
        for number, (kind, day, amount, taken) in enumerate(drawn, start=1)
    ]


@given(HISTORIES, SAID)
def test_capital_is_the_first_value_and_every_profit_that_counted(
    amounts: list[float], drawn: list[tuple[str, int, float, int]]
) -> None:
    rows = fold(amounts, *as_events(drawn))
    counted = rows[rows["state"].isin(["counted", "accepted"])]
    capital = amounts[0]
    for now, profit in zip(counted["capital"], counted["profit"], strict=True):
        capital = max(capital + profit, 0.0)
        assert now == pytest.approx(capital, abs=1e-6)
    assert rows["accumulated"].iloc[-1] == pytest.approx(counted["profit"].sum(), abs=1e-6)
    assert (rows["capital"].diff().fillna(0)[~rows.index.isin(counted.index)] == 0).all(), "what does not count changes nothing"


@given(HISTORIES, SAID)
def test_nothing_that_is_said_makes_more_profit_of_a_jump_than_the_account_moved(
    amounts: list[float], drawn: list[tuple[str, int, float, int]]
) -> None:
    """So capital never exceeds what the account holds and what was said to be withdrawn."""
    events = as_events(drawn)
    rows = fold(amounts, *events)
    accepted = rows[rows["state"] == "accepted"]
    assert (accepted["profit"].abs() <= accepted["change"].abs() * (1 + 1e-9)).all()
    ordinary = rows[rows["state"] == "counted"]
    with_flows = ordinary["broker"] - ordinary["change"] + ordinary["flow"]
    assert (ordinary["profit"].abs() <= MAX_CHANGE * with_flows.abs() + 1e-6).all()


@given(HISTORIES, st.lists(st.tuples(st.sampled_from(["accept", "refuse"]), st.integers(0, DAYS)), max_size=8))
def test_without_flows_the_capital_is_the_account_value_that_counted_last(
    amounts: list[float], drawn: list[tuple[str, int]]
) -> None:
    """However often somebody accepts and refuses: full compounding from the account value never has more capital than the account had."""
    rows = fold(amounts, *(said(number, kind, day) for number, (kind, day) in enumerate(drawn, start=1)))
    counts = rows["state"].isin(["counted", "accepted"])
    assert rows["capital"].tolist() == pytest.approx(rows["broker"].where(counts).ffill().tolist())


@given(HISTORIES, SAID, st.integers(0, 11), st.sampled_from(["full", "half", "fixed"]))
def test_taking_an_event_back_gives_what_would_be_without_it(
    amounts: list[float], drawn: list[tuple[str, int, float, int]], place: int, method: str
) -> None:
    events = as_events(drawn)
    if not events:
        return
    gone = events[place % len(events)]
    if gone not in events_in_force(events):
        return
    void = said(len(events) + 1, "void", 0, voids=gone.id)
    without = [event for event in events if event is not gone]
    pd.testing.assert_frame_equal(fold(amounts, *events, void, method=method), fold(amounts, *without, method=method))


@given(st.lists(st.floats(95, 105), min_size=1, max_size=20), st.sampled_from(["full", "half", "fixed"]))
def test_profit_adds_up_and_capital_never_exceeds_its_maximum(amounts: list[float], method: str) -> None:
    capital = fold_capital(values(*amounts), [], method, max_change=0.5)
    assert capital["accumulated"].iloc[-1] == pytest.approx(amounts[-1] - amounts[0], abs=1e-9)
    assert (capital["capital"] <= capital["maximum"] + 1e-9).all()


def test_strategies_share_the_capital_by_weight() -> None:
    assert allocate(100.0, {"a": 1.0, "b": 3.0}) == {"a": 25.0, "b": 75.0}
    with pytest.raises(DataError, match="weight 0"):
        allocate(100.0, {"a": 0.0})
