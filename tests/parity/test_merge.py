"""Merging, spike checks, cleaning and resampling of bars give the figures of the system that this one replaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import needs_shared
from tests.parity.proof import Answers, reads, uses
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

INPUTS, OUTPUTS, STATUS, UNITS, CLEANED = (
    f"reference_cases/merge/{name}"
    for name in ("inputs", "outputs", "status", "change_in_vol_normalised_units", "cleaning_filters")
)
PRICES, VOLUMES = "reference_cases/merge/freq_input", "reference_cases/merge/freq_volume_input"
MERGED = "reference_cases/merge/freq_merged_hourly_daily"
SERIES: dict[str, tuple[str, Callable[[pd.Series], pd.Series]]] = {
    "reference_cases/merge/freq_daily_resample_1B_last": (PRICES, daily_prices),
    "reference_cases/merge/freq_closing_rows_2300": (PRICES, closing_rows),
    "reference_cases/merge/freq_hourly": (PRICES, hourly_prices),
    "reference_cases/merge/freq_daily_volume": (VOLUMES, daily_volume),
}

TOLERANCE = 1e-9
COLUMNS = ["FINAL", "HIGH", "LOW", "OPEN", "VOLUME"]
APPENDING = ("add_rows_spike8", "add_rows_nocheck")
CHECKED = ("add_rows_spike8", "full_merge_spike8")


def cases_of(answers: Answers) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Old and new bars by case."""
    inputs = answers.table(INPUTS).set_index("date")
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


@uses(INPUTS)
@reads(OUTPUTS, STATUS)
def test_every_merge_gives_the_same_rows_values_and_refusals(answers: Answers) -> None:
    outputs = {key: rows.set_index("date")[COLUMNS] for key, rows in answers.table(OUTPUTS).groupby(["case", "mode"])}
    cases, results, rows_out = cases_of(answers), list[str](), list[int]()
    status = answers.table(STATUS)
    for case, mode in zip(status["case"], status["mode"], strict=True):
        try:
            merge = merge_as(mode, *cases[case])
        except DataError:
            results.append("raised")
            continue
        spike = mode in CHECKED and spike_of(merge) is not None
        results.append("SPIKE" if spike else "ok")
        if not spike:
            theirs = outputs.pop((case, mode))
            answers.equal(OUTPUTS, merge.result.index, theirs.index)
            answers.same(OUTPUTS, merge.result, theirs, TOLERANCE)
            rows_out.append(len(merge.result))
    answers.equal(STATUS, results, [result.split()[0].rstrip(":") for result in status["result"]])
    answers.equal(STATUS, rows_out, status.loc[status["result"] == "ok", "n_rows_out"])
    assert not outputs


@uses(INPUTS)
@reads(STATUS)
def test_appending_reports_the_same_status_join_date_and_first_spike(answers: Answers) -> None:
    cases, status = cases_of(answers), answers.table(STATUS)
    merges = [append_only_merge(*cases[case]) for case in status["case"]]
    answers.equal(STATUS, [merge.status for merge in merges], status["merge_status"])
    answers.equal(STATUS, [str(merge.join_date or "No data") for merge in merges], status["date_of_merge_join"])
    answers.equal(STATUS, [str(spike_of(merge) or "No spike in data") for merge in merges], status["spike_date_max8"])


@uses(INPUTS)
@reads(UNITS)
def test_changes_have_the_same_size_in_average_daily_changes(answers: Answers) -> None:
    units = {case: rows.set_index("date")[["units"]] for case, rows in answers.table(UNITS).groupby("case")}
    for case, bars in cases_of(answers).items():
        theirs = units.pop(case)
        ours = spike_units(append_only_merge(*bars).result["FINAL"])
        answers.equal(UNITS, ours.index, theirs.index)
        answers.same(UNITS, ours.to_frame("units"), theirs, TOLERANCE)
    assert not units


@uses(INPUTS)
def test_our_full_merge_loses_none_of_the_rows_that_the_old_one_lost(answers: Answers) -> None:
    cases = cases_of(answers)
    for case in ("flat_old_price_then_move", "all_new_older_than_old"):
        old, new = cases[case]
        for overwrite in (False, True):
            merge = full_merge(old, new, overwrite)
            assert new.index.isin(merge.result.index).all() and old.index.isin(merge.result.index).all(), case
            assert merge.join_date == new.index[~new.index.isin(old.index)].min(), case


@reads(CLEANED)
def test_cleaning_drops_the_same_rows(answers: Answers) -> None:
    tables = {case: rows.set_index("date")[COLUMNS] for case, rows in answers.table(CLEANED).groupby("case")}
    bars = tables["input"]
    now = bars.index.max() + pd.Timedelta(days=1)
    none = {"ignore_future": False, "ignore_zero_volumes": False, "ignore_zero_prices": False, "ignore_negative_prices": False}
    switches: dict[str, dict[str, bool]] = {
        "input": {},
        "remove_zero_volumes": {"ignore_zero_volumes": True},
        "remove_zero_prices": {"ignore_zero_prices": True},
        "remove_negative_prices": {"ignore_negative_prices": True},
    }
    for case, theirs in tables.items():
        ours = clean_bars(bars, now, **{**none, **switches[case]})
        answers.equal(CLEANED, ours.index, theirs.index)
        answers.same(CLEANED, ours, theirs, 0.0)


@uses(PRICES, VOLUMES)
@reads(*SERIES)
def test_daily_hourly_closing_and_volume_series_are_the_same(answers: Answers) -> None:
    for file, (given, series) in SERIES.items():
        ours = series(answers.table(given).set_index("date").iloc[:, 0])
        theirs = answers.table(file).set_index("date").iloc[:, 0]
        answers.equal(file, ours.index, theirs.index)
        answers.near(file, ours, theirs, TOLERANCE)


@uses(PRICES)
@reads(MERGED)
def test_merging_frequencies_gives_the_same_table_but_for_one_tie_that_its_unstable_sort_decided(answers: Answers) -> None:
    """The reference was asked for merge([intraday, daily + 0.01, first five intraday + 1]): later lists win, as daily does here."""
    prices = answers.table(PRICES).set_index("date")[["price"]]
    theirs = answers.table(MERGED).set_index("date")["merged"]
    closing = prices.index.isin(closing_rows(prices).index)
    intraday, daily = prices[~closing], prices[closing] + 0.01
    ours = merged_table(merged_table(intraday, daily), intraday.head(5) + 1)["price"]
    tie = pd.Timestamp("2024-03-01 16:45")
    answers.equal(MERGED, ours.index, theirs.index)
    assert ours[tie] != theirs[tie]
    answers.near(MERGED, ours.drop(tie), theirs.drop(tie), TOLERANCE)


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
