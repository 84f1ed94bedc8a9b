"""Capital is a fold over account values: profits are compounded as chosen, deposits are no profit, large jumps need a person."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from tradeflow_core.capital import CapitalJump, allocate, fold_capital
from tradeflow_core.errors import DataError

NONE = pd.DataFrame({"time": pd.to_datetime([], utc=True), "kind": [], "amount": []})


def values(*amounts: float) -> pd.Series:
    return pd.Series(amounts, index=pd.date_range("2024-01-08", periods=len(amounts), freq="D", tz="UTC"), dtype=float)


def event(kind: str, day: str, amount: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"time": pd.to_datetime([day], utc=True), "kind": [kind], "amount": [amount]})


def test_the_first_value_is_the_capital() -> None:
    row = fold_capital(values(100.0), NONE, "full", max_change=0.1).iloc[-1]
    assert (row["capital"], row["maximum"], row["accumulated"], row["broker"]) == (100, 100, 0, 100)


def test_full_compounding_trades_with_every_profit_and_loss() -> None:
    capital = fold_capital(values(100, 105, 102), NONE, "full", max_change=0.1)
    assert capital["capital"].tolist() == [100, 105, 102]


def test_half_compounding_only_makes_up_for_losses() -> None:
    capital = fold_capital(values(100, 105, 102, 104), NONE, "half", max_change=0.1)
    assert capital["capital"].tolist() == [100, 100, 97, 99]
    assert capital["maximum"].tolist() == [100, 100, 100, 100]


def test_fixed_capital_stays() -> None:
    capital = fold_capital(values(100, 105, 95), NONE, "fixed", max_change=0.1)
    assert capital["capital"].tolist() == [100, 100, 100]
    assert capital["accumulated"].tolist() == [0, 5, -5]


def test_a_jump_of_more_than_the_limit_is_not_believed() -> None:
    with pytest.raises(CapitalJump, match="tradeflow capital accept"):
        fold_capital(values(100, 111), NONE, "full", max_change=0.1)


def test_an_accepted_jump_counts_as_profit() -> None:
    capital = fold_capital(values(100, 130), event("accept", "2024-01-09"), "full", max_change=0.1)
    assert capital["capital"].tolist() == [100, 130]


def test_a_deposit_is_no_profit() -> None:
    capital = fold_capital(values(100, 153), event("flow", "2024-01-09", 50), "full", max_change=0.1)
    assert capital["accumulated"].tolist() == [0, 3]
    assert capital["capital"].tolist() == [100, 103]


@given(st.lists(st.floats(95, 105), min_size=1, max_size=20), st.sampled_from(["full", "half", "fixed"]))
def test_profit_adds_up_and_capital_never_exceeds_its_maximum(amounts: list[float], method: str) -> None:
    capital = fold_capital(values(*amounts), NONE, method, max_change=0.5)
    assert capital["accumulated"].iloc[-1] == pytest.approx(amounts[-1] - amounts[0], abs=1e-9)
    assert (capital["capital"] <= capital["maximum"] + 1e-9).all()


def test_strategies_share_the_capital_by_weight() -> None:
    assert allocate(100.0, {"a": 1.0, "b": 3.0}) == {"a": 25.0, "b": 75.0}
    with pytest.raises(DataError, match="weight 0"):
        allocate(100.0, {"a": 0.0})
