"""Multiple prices from contract prices and rolls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings, strategies as st

from tests.reference.multiple import update_adjusted, update_multiple
from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.series import (
    back_out_events,
    build_from_events,
    build_multiple_prices,
    calendar_from_events,
    compare_multiple_prices,
    contract_series,
    contracts_without_prices,
    events_from_calendar,
)
from tradeflow_core.series.multiple import LABEL_COLUMNS, PRICE_COLUMNS

MARCH, JUNE, SEPTEMBER, DECEMBER = 20240300, 20240600, 20240900, 20241200
DAYS = pd.date_range("2024-02-01 23:00", periods=6, name="date")
RULE = RollRule("HMUZ", "HMUZ", -5, 1, 15)


def prices(tz: str | None = None, **of_month: Sequence[float | None]) -> dict[int, pd.Series]:
    """A price a day from the first of DAYS on; None leaves the stamp out."""
    table = {}
    for month, values in of_month.items():
        contract = {"march": MARCH, "june": JUNE, "september": SEPTEMBER, "december": DECEMBER}[month]
        table[contract] = pd.Series(np.array(values, dtype=float), index=DAYS[: len(values)].tz_localize(tz)).dropna()
    return table


def all_prices(tz: str | None = None) -> dict[int, pd.Series]:
    return prices(
        tz,
        march=[1, 2, 3, 4, 5, 6],
        june=[11, 12, 13, 14, 15, 16],
        september=[21, 22, 23, 24, 25, 26],
        december=[31, 32, 33, 34, 35, 36],
    )


def calendar(*rows: tuple[int, int, int, int], tz: str | None = None) -> pd.DataFrame:
    """Rows of (number of the day, current, next, carry)."""
    index = DAYS[[row[0] for row in rows]].tz_localize(tz)
    return pd.DataFrame([row[1:] for row in rows], columns=["current_contract", "next_contract", "carry_contract"], index=index)


def events(*rows: tuple[int | None, int, int, int], tz: str | None = None) -> pd.DataFrame:
    """Rows of (number of the day after which, price, forward, carry)."""
    after = pd.DatetimeIndex([pd.NaT if row[0] is None else DAYS[row[0]] for row in rows], dtype="M8[ns]").tz_localize(tz)
    table = pd.DataFrame([row[1:] for row in rows], columns=["price_contract", "forward_contract", "carry_contract"])
    table.insert(0, "after", after)
    return table


TWO_ROLLS = (
    (0, MARCH, JUNE, JUNE),
    (2, JUNE, SEPTEMBER, SEPTEMBER),
    (4, SEPTEMBER, DECEMBER, DECEMBER),
)


def test_a_calendar_row_is_in_force_after_the_date_before_it_up_to_its_own_date() -> None:
    multiple = build_multiple_prices(all_prices(), calendar(*TWO_ROLLS))
    assert list(multiple.columns) == [*PRICE_COLUMNS, *LABEL_COLUMNS]
    assert multiple.index.equals(DAYS[1:5])
    assert multiple["PRICE"].tolist() == [12, 13, 24, 25]
    assert multiple["FORWARD"].tolist() == multiple["CARRY"].tolist() == [22, 23, 34, 35]
    assert multiple["PRICE_CONTRACT"].tolist() == [JUNE, JUNE, SEPTEMBER, SEPTEMBER]
    assert all(multiple[label].dtype == "int64" for label in LABEL_COLUMNS)


def test_a_quote_in_the_second_after_a_roll_belongs_to_no_contract() -> None:
    table = all_prices()
    late = pd.Series([99.0, 98.0], index=DAYS[0] + pd.to_timedelta(["500ms", "1s"]))
    table[JUNE] = pd.concat([table[JUNE], late])
    multiple = build_multiple_prices(table, calendar(*TWO_ROLLS))
    assert multiple["PRICE"].iloc[0] == 98.0
    assert 99.0 not in multiple["PRICE"].tolist()


@pytest.mark.parametrize("tz", [None, "UTC"])
@pytest.mark.parametrize("text", [False, True])
def test_prices_come_back_with_the_time_zone_and_form_of_ids_that_they_had(tz: str | None, *, text: bool) -> None:
    table = {str(contract) if text else contract: series for contract, series in all_prices(tz).items()}
    rows = calendar(*TWO_ROLLS, tz=tz)
    multiple = build_multiple_prices(table, rows.astype(str) if text else rows)
    assert multiple.index.equals(DAYS[1:5].tz_localize(tz))
    assert multiple["PRICE_CONTRACT"].iloc[0] == (str(JUNE) if text else JUNE)
    rebuilt = build_from_events(contract_series(multiple), back_out_events(multiple))
    pd.testing.assert_frame_equal(rebuilt, multiple)


def test_a_naive_calendar_does_not_fit_prices_with_a_time_zone() -> None:
    with pytest.raises(DataError, match="time zone"):
        build_multiple_prices(all_prices("UTC"), calendar(*TWO_ROLLS))


def test_days_on_which_only_one_contract_trades_stay_and_nothing_is_filled() -> None:
    table = prices(june=[11, 12, 13, None, 15], september=[21, 22, None, 24, 25], december=[31, 32, 33, 34, None])
    multiple = build_from_events(table, events((None, JUNE, SEPTEMBER, DECEMBER)))
    assert multiple.index.equals(DAYS[:5])
    np.testing.assert_equal(multiple["PRICE"].to_numpy(), [11, 12, 13, np.nan, 15])
    np.testing.assert_equal(multiple["FORWARD"].to_numpy(), [21, 22, np.nan, 24, 25])
    np.testing.assert_equal(multiple["CARRY"].to_numpy(), [31, 32, 33, 34, np.nan])


def test_gaps_in_the_contracts_of_a_calendar_are_forgiven_at_its_ends_only() -> None:
    without = {contract: series for contract, series in all_prices().items() if contract != JUNE}
    assert build_multiple_prices(without, calendar(*TWO_ROLLS))["PRICE_CONTRACT"].tolist() == [SEPTEMBER, SEPTEMBER]
    without = {contract: series for contract, series in all_prices().items() if contract != DECEMBER}
    multiple = build_multiple_prices(without, calendar(*TWO_ROLLS))
    assert multiple["FORWARD"].iloc[2:].isna().all() and multiple["CARRY"].iloc[2:].isna().all()
    without = {contract: series for contract, series in all_prices().items() if contract != SEPTEMBER}
    with pytest.raises(DataError, match=r"next contract 2024-09.*2024-02-03"):
        build_multiple_prices(without, calendar(*TWO_ROLLS))
    with pytest.raises(DataError, match=r"current contract 2024-09.*2024-02-04"):
        build_multiple_prices(
            without, calendar((0, MARCH, JUNE, JUNE), (2, JUNE, DECEMBER, DECEMBER), (3, SEPTEMBER, DECEMBER, DECEMBER))
        )


def test_calendars_that_are_too_short_or_out_of_order_are_refused() -> None:
    with pytest.raises(DataError, match="two rows"):
        build_multiple_prices(all_prices(), calendar(TWO_ROLLS[0]))
    with pytest.raises(DataError, match=r"2024-02-03.*not after"):
        build_multiple_prices(all_prices(), calendar(TWO_ROLLS[0], TWO_ROLLS[2], TWO_ROLLS[1]))
    with pytest.raises(DataError, match="carry_contract"):
        build_multiple_prices(all_prices(), calendar(*TWO_ROLLS).drop(columns="carry_contract"))


def test_the_last_event_is_open_and_the_first_begins_with_the_prices() -> None:
    multiple = build_from_events(all_prices(), events((None, MARCH, JUNE, JUNE), (2, JUNE, SEPTEMBER, SEPTEMBER)))
    assert multiple["PRICE"].tolist() == [1, 2, 3, 14, 15, 16]


def test_a_roll_is_one_more_event_and_leaves_all_earlier_rows_as_they_are() -> None:
    before = events((None, MARCH, JUNE, JUNE))
    rolled = events((None, MARCH, JUNE, JUNE), (3, JUNE, SEPTEMBER, SEPTEMBER))
    first, second = build_from_events(all_prices(), before), build_from_events(all_prices(), rolled)
    pd.testing.assert_frame_equal(first.iloc[:4], second.iloc[:4])
    assert second["PRICE_CONTRACT"].iloc[4] == JUNE


def test_events_without_a_price_contract_or_out_of_order_are_refused_and_other_gaps_reported() -> None:
    some = {contract: series for contract, series in all_prices().items() if contract != SEPTEMBER}
    with pytest.raises(DataError, match="2024-09"):
        build_from_events(some, events((None, SEPTEMBER, DECEMBER, DECEMBER)))
    with pytest.raises(DataError, match="not after"):
        build_from_events(all_prices(), events((3, MARCH, JUNE, JUNE), (3, JUNE, SEPTEMBER, SEPTEMBER)))
    with pytest.raises(DataError, match="no roll events"):
        build_from_events(all_prices(), events())
    gaps = events((None, MARCH, SEPTEMBER, JUNE), (3, JUNE, SEPTEMBER, SEPTEMBER))
    assert build_from_events(some, gaps)["FORWARD"].isna().all()
    found = contracts_without_prices(some, gaps)
    assert found[["column", "contract"]].to_numpy().tolist() == [["FORWARD", SEPTEMBER]]


def test_calendar_and_events_say_the_same() -> None:
    rows = calendar(*TWO_ROLLS)
    table = events_from_calendar(rows)
    pd.testing.assert_frame_equal(
        build_from_events(all_prices(), table).loc[: DAYS[4]], build_multiple_prices(all_prices(), rows), check_freq=False
    )
    opened = events_from_calendar(rows, RULE)
    assert opened.iloc[-1].tolist() == [DAYS[4], DECEMBER, 20250300, 20250300]
    back = calendar_from_events(opened)
    pd.testing.assert_frame_equal(back, rows.iloc[1:], check_freq=False)


def test_of_two_prices_of_one_contract_and_moment_price_wins_over_forward_and_forward_over_carry() -> None:
    multiple = build_from_events(all_prices(), events((None, MARCH, JUNE, JUNE))).assign(CARRY=99.0)
    series = contract_series(multiple)
    assert series["price"].tolist() == [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]
    assert series["contract"].tolist() == [MARCH] * 6 + [JUNE] * 6


def test_what_a_rebuild_changes_is_named_by_kind() -> None:
    original = build_from_events(all_prices(), events((None, MARCH, JUNE, JUNE)))
    original.loc[DAYS[0], list(PRICE_COLUMNS)] = np.nan
    original.loc[DAYS[1], "CARRY"] = np.nan
    original.loc[DAYS[2], "CARRY"] = 99.0
    rebuilt = build_from_events(contract_series(original), back_out_events(original))
    found = compare_multiple_prices(original, rebuilt)
    assert found["kind"].tolist() == ["row without prices", "carry from forward", "contradiction"]
    assert found["date"].tolist() == DAYS[:3].tolist()
    rebuilt.loc[DAYS[3], "PRICE"] = 77.0
    rebuilt.loc[DAYS[4], "PRICE_CONTRACT"] = DECEMBER
    other = compare_multiple_prices(original, rebuilt).query("kind == 'other'")
    assert other["column"].tolist() == ["PRICE", "PRICE_CONTRACT"]
    assert compare_multiple_prices(original, original).empty


def new_prices(column: str, contract: int, first: int, *, values: list[float]) -> pd.DataFrame:
    index = pd.date_range(DAYS[first], periods=len(values), freq="D")
    return pd.DataFrame({"column": column, "contract": contract, "date": index, "price": values})


def existing() -> pd.DataFrame:
    table = build_from_events(all_prices(), events((None, MARCH, JUNE, SEPTEMBER))).iloc[:4].copy()
    table.loc[DAYS[2], "PRICE"] = np.nan
    return table


def test_an_update_fills_gaps_and_adds_rows_but_never_changes_a_price() -> None:
    updated = update_multiple(existing(), new_prices("PRICE", MARCH, 1, values=[92, 93, 94, 95]))
    assert updated["PRICE"].tolist() == [1, 2, 93, 4, 95]
    np.testing.assert_equal(updated["FORWARD"].to_numpy(), [11, 12, 13, 14, np.nan])
    assert updated["CARRY_CONTRACT"].tolist() == [SEPTEMBER] * 5


def test_an_update_reaches_no_further_back_than_the_contract_or_the_new_series() -> None:
    table = existing()
    table.loc[DAYS[:2], "PRICE_CONTRACT"] = 20231200
    table.loc[DAYS[1], "PRICE"] = np.nan
    updated = update_multiple(table, new_prices("PRICE", MARCH, 0, values=[91, 92, 93, 94]))
    np.testing.assert_equal(updated["PRICE"].to_numpy(), [1, np.nan, 93, 4])
    odd = new_prices("PRICE", MARCH, 0, values=[90]).assign(date=DAYS[2] - pd.Timedelta(hours=1))
    assert update_multiple(existing(), odd).equals(existing())


def test_a_series_that_begins_after_the_end_waits_until_prices_have_grown_past_it() -> None:
    late = new_prices("FORWARD", JUNE, 5, values=[96])
    assert update_multiple(existing(), late).equals(existing())
    assert len(update_multiple(existing(), pd.concat([late, new_prices("FORWARD", JUNE, 3, values=[94])]))) == 5


def test_new_prices_of_another_contract_are_refused() -> None:
    with pytest.raises(DataError, match=f"{DECEMBER}.*{MARCH}"):
        update_multiple(existing(), new_prices("PRICE", DECEMBER, 3, values=[1]))


def test_adjusted_prices_grow_and_refuse_a_roll_that_nobody_recorded() -> None:
    multiple = build_from_events(all_prices(), events((None, MARCH, JUNE, JUNE)))
    old = multiple["PRICE"].iloc[:3].rename("price") + 100
    assert update_adjusted(old, multiple).tolist() == [101, 102, 103, 4, 5, 6]
    rolled = build_from_events(all_prices(), events((None, MARCH, JUNE, JUNE), (4, JUNE, SEPTEMBER, SEPTEMBER)))
    with pytest.raises(DataError, match="not registered"):
        update_adjusted(old, rolled)
    with pytest.raises(DataError, match="rebuild"):
        update_adjusted(old, multiple.iloc[4:])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 5),
    st.lists(st.integers(1, 2**30 - 1), min_size=7, max_size=7),
    st.sets(st.integers(0, 28), min_size=4, max_size=4),
)
def test_rebuilding_from_backed_out_series_and_events_loses_nothing(count: int, traded: list[int], rolls: set[int]) -> None:
    """Contracts trade at random stamps (the bits of `traded`), but a priced one at least once."""
    contracts = [20200000 + month * 100 for month in range(1, count + 3)]
    stamps = pd.date_range("2020-01-01", periods=30, freq="6h")
    bits = [[mask >> bit & 1 == 1 for bit in range(30)] for mask in traded]
    table = {
        contract: pd.Series(np.arange(30.0) + contract, index=stamps)[kept]
        for contract, kept in zip(contracts, bits, strict=False)
    }
    after = [pd.NaT, *stamps[sorted(rolls)]][:count]
    rows = [(after[k], *contracts[k : k + 3]) for k in range(count)]
    multiple = build_from_events(
        table, pd.DataFrame(rows, columns=["after", "price_contract", "forward_contract", "carry_contract"])
    )
    assume(multiple.groupby("PRICE_CONTRACT")["PRICE"].count().gt(0).all() and len(multiple))
    pd.testing.assert_frame_equal(build_from_events(contract_series(multiple), back_out_events(multiple)), multiple)
