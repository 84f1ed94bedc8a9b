"""Back-adjusted prices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.reference.multiple import forward_fill_across_rolls
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.series import back_adjust, rolls_not_into_forward

NAN = float("nan")
MARCH, JUNE, SEPTEMBER, DECEMBER = 20240300, 20240600, 20240900, 20241200


def multiple(rows: list[tuple[float, float, int, int]], tz: str | None = None) -> pd.DataFrame:
    """Rows of PRICE, FORWARD and their contracts, a day each."""
    table = pd.DataFrame(rows, columns=["PRICE", "FORWARD", "PRICE_CONTRACT", "FORWARD_CONTRACT"])
    return table.set_index(pd.date_range("2024-03-01", periods=len(rows), name="date", tz=tz))


ONE_ROLL = [
    (100.0, 103.0, MARCH, JUNE),
    (101.0, 105.0, MARCH, JUNE),
    (106.0, 108.0, JUNE, SEPTEMBER),
    (107.0, 109.0, JUNE, SEPTEMBER),
]


@pytest.mark.parametrize("kind", ["int", "text", "category"])
@pytest.mark.parametrize("tz", [None, "UTC"])
def test_a_roll_shifts_all_earlier_prices_by_the_spread_of_the_last_row_before_it(kind: str, tz: str | None) -> None:
    table = multiple(ONE_ROLL, tz)
    if kind != "int":
        labels = {name: table[name].astype(str) for name in ("PRICE_CONTRACT", "FORWARD_CONTRACT")}
        table = table.assign(**labels) if kind == "text" else table.assign(**labels).astype(dict.fromkeys(labels, "category"))
    adjusted = back_adjust(table)
    assert adjusted.tolist() == [104.0, 105.0, 106.0, 107.0]
    assert adjusted.index.equals(table.index)


def test_ratio_adjustment_multiplies_and_none_leaves_prices_alone() -> None:
    table = multiple(ONE_ROLL)
    np.testing.assert_allclose(back_adjust(table, method="ratio"), [100 * 105 / 101, 105, 106, 107])
    assert back_adjust(table, method="none").tolist() == table["PRICE"].tolist()
    with pytest.raises(ConfigError, match="proportional"):
        back_adjust(table, method="proportional")  # type: ignore[arg-type]


def test_ratio_adjustment_refuses_prices_that_are_not_positive_at_a_roll() -> None:
    table = multiple([(-1.0, 3.0, MARCH, JUNE), (4.0, 5.0, JUNE, SEPTEMBER)])
    with pytest.raises(DataError, match="positive"):
        back_adjust(table, method="ratio")
    assert back_adjust(table).tolist() == [3.0, 4.0]


def test_a_row_without_a_price_has_no_adjusted_price_and_disturbs_no_other() -> None:
    rows = [(NAN, 103.0, MARCH, JUNE), *ONE_ROLL]
    adjusted = back_adjust(multiple(rows))
    assert np.isnan(adjusted.iloc[0])
    assert adjusted.tolist()[1:] == [104.0, 105.0, 106.0, 107.0]


def test_all_rolls_without_both_prices_are_named_at_once() -> None:
    rows = [
        (100.0, NAN, MARCH, JUNE),
        (106.0, 108.0, JUNE, SEPTEMBER),
        (NAN, 109.0, JUNE, SEPTEMBER),
        (110.0, 111.0, SEPTEMBER, DECEMBER),
    ]
    with pytest.raises(DataError) as refusal:
        back_adjust(multiple(rows))
    for part in ("2024-03-02", f"{MARCH} to {JUNE}", "2024-03-04", f"{JUNE} to {SEPTEMBER}"):
        assert part in str(refusal.value)


def test_only_the_last_row_before_a_roll_counts_not_earlier_rows_of_the_contract() -> None:
    rows = [(100.0, 103.0, MARCH, JUNE), (101.0, NAN, MARCH, JUNE), (106.0, 108.0, JUNE, SEPTEMBER)]
    with pytest.raises(DataError, match="2024-03-03"):
        back_adjust(multiple(rows))
    assert back_adjust(multiple(rows), forward_fill=True).tolist() == [102.0, 103.0, 106.0]


def test_filling_forward_never_gives_a_new_contract_the_price_of_the_old_one() -> None:
    rows = [(100.0, 103.0, MARCH, JUNE), (NAN, 108.0, JUNE, SEPTEMBER), (107.0, 109.0, JUNE, SEPTEMBER)]
    ours = back_adjust(multiple(rows), forward_fill=True)
    assert np.isnan(ours.iloc[1])
    assert back_adjust(forward_fill_across_rolls(multiple(rows))).iloc[1] == 100.0


def test_a_missing_label_counts_as_a_roll_on_both_of_its_sides() -> None:
    table = multiple(ONE_ROLL).astype({"PRICE_CONTRACT": "Int64"})
    table["PRICE_CONTRACT"] = table["PRICE_CONTRACT"].mask(table.index == table.index[1])
    assert back_adjust(table).tolist() == [107.0, 105.0, 106.0, 107.0]


def test_empty_tables_and_double_stamps_are_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        back_adjust(multiple([]))
    table = multiple(ONE_ROLL)
    with pytest.raises(DataError, match="2024-03-01"):
        back_adjust(table.set_index(table.index[[0, 0, 1, 2]]))


def test_a_roll_into_another_contract_than_the_forward_one_is_reported() -> None:
    assert rolls_not_into_forward(multiple(ONE_ROLL)).empty
    found = rolls_not_into_forward(multiple([(100.0, 103.0, MARCH, JUNE), (106.0, 108.0, SEPTEMBER, DECEMBER)]))
    assert found.to_numpy().tolist() == [[MARCH, JUNE, SEPTEMBER]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(1, 1e4), st.integers(0, 3)), min_size=1, max_size=40))
def test_every_change_of_the_adjusted_price_is_one_that_a_holder_had(quotes: list[tuple[float, float, int]]) -> None:
    """Inside a contract the change of PRICE; over a roll the change from the new contract's price the row before."""
    table = multiple([(price, forward, label, label + 1) for price, forward, label in quotes])
    adjusted = back_adjust(table)
    rolled = table["PRICE_CONTRACT"].diff().fillna(0) != 0
    held = table["PRICE"] - table["FORWARD"].shift().where(rolled, table["PRICE"].shift())
    np.testing.assert_allclose(adjusted.diff(), held, atol=1e-6)
    assert adjusted.iloc[-1] == table["PRICE"].iloc[-1]
