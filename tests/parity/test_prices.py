"""The price algorithms give the figures of the system that this one replaces: calendars, multiple and adjusted prices, rolls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import needs_shared
from tests.parity.prices_alike import by, rules
from tests.reference.multiple import forward_fill_across_rolls, roll_step, update_adjusted, update_multiple
from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.series import (
    back_adjust,
    back_out_calendar,
    back_out_events,
    build_from_events,
    build_multiple_prices,
    build_roll_calendar,
    check_roll_calendar,
    compare_multiple_prices,
    contract_series,
    plan_roll,
    rolls_not_into_forward,
)
from tradeflow_core.series.multiple import LABEL_COLUMNS, PRICE_COLUMNS

pytestmark = needs_shared("golden", "prices")

CONTRADICTING = {"BOVESPA", "BRE", "EU-DJ-TECH", "EU-DJ-UTIL", "FTSECHINAH", "FTSEINDO", "FTSETAIWAN", "SGX"}
CONTRADICTING |= {"US-DISCRETE", "US-HEALTH"}


@pytest.fixture(scope="module")
def golden(shared: Path) -> Any:
    return lambda name: pd.read_parquet(shared / "golden" / "prices" / f"{name}.parquet")


def same_numbers(ours: Any, theirs: Any, where: object) -> None:
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=str(where))


def same_index(ours: pd.DataFrame | pd.Series, theirs: pd.DataFrame | pd.Series, where: object) -> None:
    assert ours.index.equals(theirs.index), f"{where}: {len(ours)} stamps, golden {len(theirs)}"


def same_series(ours: pd.Series, theirs: pd.Series, where: object) -> None:
    same_index(ours, theirs, where)
    same_numbers(ours, theirs, where)


def same_multiple_prices(ours: pd.DataFrame, theirs: pd.DataFrame, where: object) -> None:
    same_index(ours, theirs, where)
    for column in PRICE_COLUMNS:
        same_numbers(ours[column], theirs[column], (where, column))
    for column in LABEL_COLUMNS:
        assert ours[column].tolist() == theirs[column].tolist(), (where, column)


def same_calendar(ours: pd.DataFrame, theirs: pd.DataFrame, where: object) -> None:
    same_index(ours, theirs, where)
    columns = ["current_contract", "next_contract", "carry_contract"]
    assert list(ours.columns) == columns
    for column in columns:
        assert ours[column].tolist() == theirs[column].tolist(), (where, column)


def test_back_adjustment_gives_the_series_of_27_instruments(golden: Any) -> None:
    expected = dict(by(golden("backadjust_output"), "instrument"))
    for instrument, multiple in by(golden("backadjust_input_multiple_prices"), "instrument"):
        same_series(back_adjust(multiple), expected.pop(instrument)["price"], instrument)
    assert not expected


def test_back_adjustment_meets_the_edge_cases_with_the_same_values_and_refusals(golden: Any) -> None:
    for (case, fill), rows in by(golden("backadjust_edge_cases"), "case", "forward_fill"):
        status = golden("backadjust_edge_status").query("case == @case and forward_fill == @fill")["status"].item()
        multiple = forward_fill_across_rolls(rows.drop(columns="adjusted")) if fill else rows
        if status == "ok":
            same_series(back_adjust(multiple), rows["adjusted"], (case, fill))
        else:
            with pytest.raises(DataError) as refusal:
                back_adjust(multiple)
            named = re.findall(r"\d{4}-\d\d-\d\d|\d{8}", status)
            assert len(named) == 3
            assert all(word in str(refusal.value) for word in named), (case, named, str(refusal.value))


def test_filling_forward_inside_contracts_differs_only_where_a_new_contract_was_given_the_old_ones_price(golden: Any) -> None:
    for (case, fill), rows in by(golden("backadjust_edge_cases"), "case", "forward_fill"):
        if fill:
            ours = back_adjust(rows, forward_fill=True)
            wrong = ours.isna() & rows["adjusted"].notna()
            assert 0 < wrong.sum() <= 3, case
            same_numbers(ours[~wrong], rows["adjusted"][~wrong], case)


def test_calendars_from_prices_have_the_dates_and_contracts_of_16_instruments(golden: Any) -> None:
    rule = rules(golden("roll_parameters_input"), "instrument")
    expected = dict(by(golden("roll_calendars_output").query("kind == 'create_from_prices'").drop(columns="kind"), "instrument"))
    for instrument, prices in by(golden("contract_prices_input"), "instrument"):
        calendar = build_roll_calendar(prices, rule[instrument])
        same_calendar(calendar, expected.pop(instrument), instrument)
        assert check_roll_calendar(calendar, prices).empty, instrument
    assert not expected


def test_calendars_backed_out_of_multiple_prices_have_the_dates_and_contracts_of_16_instruments(golden: Any) -> None:
    multiple = dict(by(golden("backadjust_input_multiple_prices"), "instrument"))
    prices = dict(by(golden("contract_prices_input"), "instrument"))
    status = golden("contract_status").set_index("instrument")["rebuild_from_backout"]
    compared = 0
    for (instrument, kind), expected in by(golden("roll_calendars_output"), "instrument", "kind"):
        if kind == "backed_out":
            calendar = back_out_calendar(multiple[instrument])
            same_calendar(calendar, expected, instrument)
            rebuilt = build_multiple_prices(prices[instrument], calendar)
            common = rebuilt.index.intersection(multiple[instrument].index)
            worst = (rebuilt["PRICE"].loc[common] - multiple[instrument]["PRICE"].loc[common]).abs().max()
            rows = [len(multiple[instrument]), len(rebuilt), len(common)]
            assert [int(word) for word in status[instrument].split() if word.isdigit()] == rows, instrument
            assert float(status[instrument].split()[-1]) == pytest.approx(worst, rel=1e-9), instrument
            compared += 1
    assert compared == 16


def test_contract_prices_are_those_that_multiple_prices_were_made_of(golden: Any) -> None:
    multiple = dict(by(golden("backadjust_input_multiple_prices"), "instrument"))
    for instrument, prices in by(golden("contract_prices_input"), "instrument"):
        ours = contract_series(multiple[instrument])
        theirs = prices.sort_values(["contract", "date"], ignore_index=True)
        assert ours["contract"].tolist() == theirs["contract"].tolist(), instrument
        assert (ours["date"] == theirs["date"]).all(), instrument
        same_numbers(ours["price"], theirs["price"], instrument)


def test_multiple_prices_follow_from_contract_prices_and_a_calendar(golden: Any) -> None:
    expected = dict(by(golden("multiple_prices_from_csv_calendar_output"), "instrument"))
    calendars = dict(by(golden("roll_calendar_csv_input"), "instrument"))
    for instrument, prices in by(golden("contract_prices_input"), "instrument"):
        multiple = build_multiple_prices(prices, calendars[instrument])
        same_multiple_prices(multiple, expected.pop(instrument), instrument)
    assert not expected


def test_daily_updates_extend_multiple_and_adjusted_prices_as_they_did(golden: Any) -> None:
    before = dict(by(golden("update_before_multiple"), "instrument"))
    adjusted = dict(by(golden("update_before_adjusted"), "instrument"))
    expected = dict(by(golden("update_after_multiple_tail400"), "instrument", "mode"))
    expected_adjusted = dict(by(golden("update_after_adjusted_tail400"), "instrument", "mode"))
    cases = list(by(golden("update_new_contract_prices"), "instrument", "mode"))
    for (instrument, mode), new in cases:
        after = update_multiple(before[instrument], new)
        cut = before[instrument].index[-400:][0]
        same_multiple_prices(after[after.index >= cut], expected[instrument, mode], (instrument, mode))
        series = update_adjusted(adjusted[instrument]["price"], after)
        same_series(series[series.index >= cut], expected_adjusted[instrument, mode]["price"], (instrument, mode))
    assert len(cases) == 22


def test_rebuilding_gives_what_daily_updates_gave_but_for_carry_cells_of_the_forward_contract(golden: Any) -> None:
    before = dict(by(golden("update_before_multiple"), "instrument"))
    expected = dict(by(golden("update_after_multiple_tail400"), "instrument", "mode"))
    expected_adjusted = dict(by(golden("update_after_adjusted_tail400"), "instrument", "mode"))
    cells = 0
    for (instrument, mode), new in by(golden("update_new_contract_prices"), "instrument", "mode"):
        history = contract_series(before[instrument])
        prices = pd.concat([history, new[["contract", "date", "price"]].dropna()]).drop_duplicates(["contract", "date"])
        rebuilt = build_from_events(prices, back_out_events(before[instrument]))
        cut = before[instrument].index[-400:][0]
        tail, theirs = rebuilt[rebuilt.index >= cut], expected[instrument, mode]
        same_index(tail, theirs, (instrument, mode))
        same = theirs["CARRY_CONTRACT"] == theirs["FORWARD_CONTRACT"]
        filled = (same & theirs["CARRY"].isna() & tail["CARRY"].notna()).to_numpy()
        cells += int(filled.sum())
        same_multiple_prices(tail.assign(CARRY=tail["CARRY"].mask(filled)), theirs, (instrument, mode))
        adjusted, known = back_adjust(rebuilt), expected_adjusted[instrument, mode]["price"].dropna()
        same_series(adjusted[adjusted.index >= cut].dropna(), known, (instrument, mode))
    assert cells == 24


def roll_cases(golden: Any) -> Iterator[tuple[Any, RollRule, pd.DataFrame, pd.DataFrame, str]]:
    """Each case of the roll step: its key, rule, prices of its contracts, multiple prices before, and outcome."""
    rule = rules(golden("roll_step_roll_parameters"), "instrument")
    prices = dict(by(golden("contract_prices_input"), "instrument"))
    before = dict(by(golden("roll_step_before_multiple"), "instrument", "case"))
    for row in golden("roll_step_status").itertuples():
        key = (row.instrument, row.case, row.forward_fill, row.append_patched)
        yield key, rule[row.instrument], prices[row.instrument], before[row.instrument, row.case], row.status


def test_the_roll_step_appends_the_same_rows_and_refuses_the_same_rolls(golden: Any) -> None:
    keys = ("instrument", "case", "forward_fill", "append_patched")
    tails = dict(by(golden("roll_step_after_multiple_last8rows"), *keys))
    adjusted = dict(by(golden("roll_step_after_adjusted"), *keys))
    refused = compared = 0
    for key, rule, prices, before, status in roll_cases(golden):
        forward_fill, patched = key[2:]
        if status == "ok":
            after = roll_step(before, rule, prices, forward_fill)
            same_multiple_prices(after.tail(8), tails[key], key)
            same_series(back_adjust(after), adjusted[key]["price"], key)
            compared += 1
        elif patched:
            with pytest.raises(DataError, match="PRICE" if "PRICE" in status else "FORWARD"):
                roll_step(before, rule, prices, forward_fill)
            refused += 1
    assert (compared, refused) == (194, 3)


def test_a_planned_roll_previews_the_rows_that_the_roll_step_wrote(golden: Any) -> None:
    """One column without a price gets that of another column with the same contract; nothing else differs."""
    keys = ("instrument", "case", "forward_fill", "append_patched")
    tails = dict(by(golden("roll_step_after_multiple_last8rows"), *keys))
    adjusted = dict(by(golden("roll_step_after_adjusted"), *keys))
    compared = 0
    for key, rule, prices, before, status in roll_cases(golden):
        forward_fill, patched = key[2:]
        if status == "ok" and patched and not forward_fill:
            plan = plan_roll(before, rule, prices)
            theirs = tails[key].dropna(how="all", subset=list(PRICE_COLUMNS))  # a rebuild has no row for them
            tail = plan.multiple_prices.tail(len(theirs))
            same_index(tail, theirs, key)
            same = (theirs["CARRY_CONTRACT"] == theirs["FORWARD_CONTRACT"]).to_numpy()
            carry = theirs["CARRY"].where(theirs["CARRY"].notna() | ~same, theirs["FORWARD"])
            forward = theirs["FORWARD"].where(theirs["FORWARD"].notna() | ~same, theirs["CARRY"])
            same_multiple_prices(tail, theirs.assign(CARRY=carry, FORWARD=forward), key)
            same_series(plan.adjusted_prices.dropna(), adjusted[key]["price"].dropna(), key)
            compared += 1
    assert compared == 57


@needs_shared("data", "pysystemtrade_csv")
def test_adjusted_prices_equal_the_published_ones_of_26_instruments(shared: Path) -> None:
    folder = shared / "data" / "pysystemtrade_csv"
    files = sorted((folder / "multiple_prices_csv").glob("*.csv"))
    assert len(files) == 26
    for file in files:
        multiple = pd.read_csv(file, index_col="DATETIME", parse_dates=["DATETIME"])
        published = pd.read_csv(folder / "adjusted_prices_csv" / file.name, index_col="DATETIME", parse_dates=["DATETIME"])
        known = published["price"].dropna()
        same_numbers(back_adjust(multiple).reindex(known.index), known, file.stem)


@pytest.mark.slow
@needs_shared("data", "universe")
def test_186_instruments_rebuild_from_contract_prices_and_events_without_loss(shared: Path) -> None:
    files = sorted((shared / "data" / "universe" / "multiple_prices").glob("*.parquet"))
    rows, kinds, contradicting, wrong_rolls, identical = 0, dict[str, int](), set(), [], 0
    for file in files:
        original = pd.read_parquet(file).set_index("DATETIME")
        prices, events = contract_series(original), back_out_events(original)
        rebuilt = build_from_events(prices, events)
        found = compare_multiple_prices(original, rebuilt)["kind"].value_counts()
        kinds = {kind: kinds.get(kind, 0) + int(found.get(kind, 0)) for kind in {*kinds, *found.index}}
        contradicting |= {file.stem} if "contradiction" in found else set()
        identical += found.drop("row without prices", errors="ignore").empty
        adjusted, before = back_adjust(rebuilt), back_adjust(original)
        pd.testing.assert_series_equal(adjusted.dropna(), before.dropna(), check_exact=True, check_names=False)
        wrong_rolls += [file.stem] * len(rolls_not_into_forward(original))
        rows += len(original)
    assert (len(files), rows) == (186, 4_401_795)
    assert kinds == {"row without prices": 516, "carry from forward": 414, "contradiction": 4_617}
    assert contradicting == CONTRADICTING
    assert identical == 75
    assert wrong_rolls == ["MILKWET"]


@pytest.mark.slow
@needs_shared("data", "universe")
def test_calendars_of_186_instruments_are_sound_and_only_one_pair_of_contracts_never_trades_together(shared: Path) -> None:
    table = pd.read_csv(shared / "data" / "pysystemtrade_csv" / "csvconfig" / "rollconfig.csv", index_col="Instrument")
    columns = ["HoldRollCycle", "PricedRollCycle", "RollOffsetDays", "CarryOffset", "ExpiryOffset"]
    rows, without = 0, []
    for file in sorted((shared / "data" / "universe" / "multiple_prices").glob("*.parquet")):
        prices = contract_series(pd.read_parquet(file).set_index("DATETIME"))
        try:
            calendar = build_roll_calendar(prices, RollRule(*table.loc[file.stem, columns]))
        except DataError:
            without.append(file.stem)
            continue
        assert check_roll_calendar(calendar, prices).empty, file.stem
        rows += len(calendar)
    assert (rows, without) == (18_337, ["MSCIEMASIA"])
