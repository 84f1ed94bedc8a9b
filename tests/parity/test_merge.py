"""Merging, spike checks, cleaning and resampling of bars give the figures of the system that this one replaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import needs_shared
from tests.reference.bars import (
    Merge,
    MergeStatus,
    append_only_merge,
    clean_bars,
    closing_rows,
    daily_prices,
    find_spike,
    full_merge,
    merged_table,
)
from tradeflow_core.errors import DataError
from tradeflow_core.series import cross_rate, daily_volume, hourly_prices, spike_units

pytestmark = needs_shared("golden", "merge")

COLUMNS = ["FINAL", "HIGH", "LOW", "OPEN", "VOLUME"]
APPENDING = ("add_rows_spike8", "add_rows_nocheck")
CHECKED = ("add_rows_spike8", "full_merge_spike8")


@pytest.fixture(scope="module")
def golden(shared: Path) -> Any:
    return lambda name: pd.read_parquet(shared / "golden" / "merge" / f"{name}.parquet")


@pytest.fixture(scope="module")
def cases(golden: Any) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Old and new bars by case."""
    inputs = golden("inputs").set_index("date")
    return {
        case: tuple(rows[rows["which"] == which][COLUMNS] for which in ("old", "new")) for case, rows in inputs.groupby("case")
    }


def reference_full_merge(old: pd.DataFrame, new: pd.DataFrame, overwrite: bool) -> Merge:
    """The old system's full merge with its two losses: overwriting keeps old stamps only, and a change is judged by
    values without stamps, so that rows with values seen elsewhere count as no change."""
    if not len(old) or not len(new):
        return append_only_merge(old, new)
    if not (old.index.is_unique and new.index.is_unique):
        raise DataError("double stamps")
    stamps = old.index if overwrite else old.index.union(new.index).sort_values()
    first, second = (new, old) if overwrite else (old, new)
    both = first.reindex(stamps).fillna(second.reindex(stamps)).sort_index()
    pile = pd.concat([both, old])
    changed = pile[~pile.duplicated(keep=False)]
    return Merge(both, MergeStatus.MERGED, changed.index[0]) if len(changed) else Merge(old, MergeStatus.ONLY_OLD, None)


def merge_as(mode: str, old: pd.DataFrame, new: pd.DataFrame) -> Merge:
    return append_only_merge(old, new) if mode in APPENDING else reference_full_merge(old, new, mode == "full_merge_overwrite")


def spike_of(merge: Merge) -> pd.Timestamp | None:
    if merge.status is MergeStatus.ONLY_OLD:
        return None
    spike = find_spike(merge.result["FINAL"], merge.join_date)
    return None if spike is None else spike.date


def test_every_merge_gives_the_same_rows_values_and_refusals(golden: Any, cases: dict[str, Any]) -> None:
    outputs = {key: rows.set_index("date")[COLUMNS] for key, rows in golden("outputs").groupby(["case", "mode"])}
    compared = 0
    for row in golden("status").itertuples():
        key = (row.case, row.mode)
        if row.result.startswith("raised"):
            with pytest.raises(DataError):
                merge_as(row.mode, *cases[row.case])
        else:
            merge = merge_as(row.mode, *cases[row.case])
            refused = row.mode in CHECKED and spike_of(merge) is not None
            assert refused == (row.result == "SPIKE"), key
            if not refused:
                assert merge.result.index.equals(outputs[key].index), key
                assert len(merge.result) == row.n_rows_out
                np.testing.assert_allclose(merge.result, outputs[key], rtol=1e-9, err_msg=str(key))
        compared += 1
    assert compared == 19 * 5


def test_appending_reports_the_same_status_join_date_and_first_spike(golden: Any, cases: dict[str, Any]) -> None:
    for row in golden("status").itertuples():
        merge = append_only_merge(*cases[row.case])
        assert merge.status == row.merge_status, row.case
        assert str(merge.join_date or "No data") == row.date_of_merge_join, row.case
        assert str(spike_of(merge) or "No spike in data") == row.spike_date_max8, row.case


def test_changes_have_the_same_size_in_average_daily_changes(golden: Any, cases: dict[str, Any]) -> None:
    units = {case: rows.set_index("date")["units"] for case, rows in golden("change_in_vol_normalised_units").groupby("case")}
    assert len(units) == len(cases)
    for case, expected in units.items():
        ours = spike_units(append_only_merge(*cases[case]).result["FINAL"])
        assert ours.index.equals(expected.index), case
        np.testing.assert_allclose(ours, expected, rtol=1e-9, err_msg=case)


def test_our_full_merge_loses_none_of_the_rows_that_the_old_one_lost(cases: dict[str, Any]) -> None:
    for case in ("flat_old_price_then_move", "all_new_older_than_old"):
        old, new = cases[case]
        for overwrite in (False, True):
            merge = full_merge(old, new, overwrite)
            assert new.index.isin(merge.result.index).all() and old.index.isin(merge.result.index).all(), case
            assert merge.join_date == new.index[~new.index.isin(old.index)].min(), case


def test_cleaning_drops_the_same_rows(golden: Any) -> None:
    tables = {case: rows.set_index("date")[COLUMNS] for case, rows in golden("cleaning_filters").groupby("case")}
    bars = tables.pop("input")
    now = bars.index.max() + pd.Timedelta(days=1)
    none = {"ignore_future": False, "ignore_zero_volumes": False, "ignore_zero_prices": False, "ignore_negative_prices": False}
    assert len(tables) == 3
    for case, expected in tables.items():
        switch = {"remove_zero_volumes": "ignore_zero_volumes", "remove_zero_prices": "ignore_zero_prices"}.get(
            case, "ignore_negative_prices"
        )
        pd.testing.assert_frame_equal(clean_bars(bars, now, **{**none, switch: True}), expected)


def test_daily_hourly_closing_and_volume_series_are_the_same(golden: Any) -> None:
    prices = golden("freq_input").set_index("date")["price"]
    volume = golden("freq_volume_input").set_index("date")["volume"]
    for name, ours in (
        ("freq_daily_resample_1B_last", daily_prices(prices)),
        ("freq_closing_rows_2300", closing_rows(prices)),
        ("freq_hourly", hourly_prices(prices)),
        ("freq_daily_volume", daily_volume(volume)),
    ):
        expected = golden(name).set_index("date").iloc[:, 0]
        assert ours.index.equals(expected.index), name
        np.testing.assert_allclose(ours, expected, rtol=1e-9, err_msg=name)


def test_merging_frequencies_gives_the_same_table_but_for_one_tie_that_its_unstable_sort_decided(golden: Any) -> None:
    """The golden call was merge([intraday, daily + 0.01, first five intraday + 1]): later lists win, as daily does here."""
    prices = golden("freq_input").set_index("date")[["price"]]
    expected = golden("freq_merged_hourly_daily").set_index("date")["merged"]
    closing = prices.index.isin(closing_rows(prices).index)
    intraday, daily = prices[~closing], prices[closing] + 0.01
    ours = merged_table(merged_table(intraday, daily), intraday.head(5) + 1)["price"]
    tie = pd.Timestamp("2024-03-01 16:45")
    assert ours.index.equals(expected.index)
    assert ours[tie] != expected[tie]
    np.testing.assert_allclose(ours.drop(tie), expected.drop(tie), rtol=1e-9)


@needs_shared("golden", "system_a")
def test_cross_rates_of_stored_fx_equal_those_of_a_whole_system(shared: Path) -> None:
    folder = shared / "data" / "pysystemtrade_csv" / "fx_prices_csv"
    stored = {file.stem: pd.read_csv(file, index_col=0, parse_dates=[0]).iloc[:, 0] for file in folder.glob("*.csv")}
    currencies = pd.read_csv(folder.parent / "csvconfig" / "instrumentconfig.csv", index_col="Instrument")["Currency"]
    expected = pd.read_parquet(shared / "golden" / "system_a" / "input_fx_to_base.parquet").set_index("date")
    for instrument in expected:
        ours = cross_rate(stored, f"{currencies.loc[str(instrument)]}USD", today=expected.index.max().date())
        known = expected[instrument].dropna()
        np.testing.assert_allclose(ours.reindex(known.index), known, rtol=1e-9, err_msg=instrument)
