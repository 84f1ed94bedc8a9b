"""Planning a roll, its states, and what the rules suggest."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from tests.reference.multiple import roll_step
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.model import EVENT_CONTRACTS, RollState
from tradeflow_core.rolls import allowed_states
from tradeflow_core.rolls.rules import AutoRollRules, relative_volume, smoothed_volume, suggest_state
from tradeflow_core.series import back_adjust, back_out_events, build_from_events, plan_roll
from tradeflow_core.series.multiple import PRICE_COLUMNS

NAN = float("nan")
FEBRUARY, MARCH, JUNE, SEPTEMBER = 20240200, 20240300, 20240600, 20240900
RULE = RollRule("HMUZ", "FGHJKMNQUVXZ", -5, -1, 15)
DAYS = pd.date_range("2024-02-01 23:00", periods=8, name="date", tz="UTC")
SECOND = pd.Timedelta(seconds=1)


def market(price: list[float], forward: list[float], carry: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Contract prices, and multiple prices in which March is priced, June forward and February carry."""
    table = {MARCH: price, JUNE: forward, FEBRUARY: carry, SEPTEMBER: [30.0] * 8, 20240500: [19.0] * 8}
    parts = [pd.DataFrame({"contract": c, "date": DAYS, "price": values}).dropna() for c, values in table.items()]
    events = pd.DataFrame(
        {"after": [pd.NaT], "price_contract": [MARCH], "forward_contract": [JUNE], "carry_contract": [FEBRUARY]}
    )
    long = pd.concat(parts, ignore_index=True)
    return long, build_from_events(long, events)


PRICE = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]
FORWARD = [20.0, 21.0, 22.5, 23.0, 24.0, 25.0, 26.0, 27.5]
CARRY = [9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0]


def test_a_roll_goes_into_the_forward_contract_after_the_last_row_and_shifts_history_by_the_spread() -> None:
    long, multiple = market(PRICE, FORWARD, CARRY)
    plan = plan_roll(multiple, RULE, long)
    assert (plan.after, plan.price_contract) == (DAYS[-1], JUNE)
    assert (plan.forward_contract, plan.carry_contract) == (SEPTEMBER, 20240500)
    assert plan.adjusted_prices.iloc[0] == PRICE[0] + 10.5
    assert plan.multiple_prices.iloc[-1].tolist() == [27.5, 30.0, 19.0, JUNE, SEPTEMBER, 20240500]
    assert plan.marks["why"].unique().tolist() == ["first row"]


def test_recording_the_event_and_marks_rebuilds_exactly_the_preview() -> None:
    for price, forward in ((PRICE, FORWARD), (PRICE, [*FORWARD[:-1], NAN]), ([*PRICE[:-1], NAN], FORWARD)):
        long, multiple = market(price, forward, CARRY)
        plan = plan_roll(multiple, RULE, long)
        stored = pd.concat([long, plan.marks[["contract", "date", "price"]]])
        event = pd.DataFrame([{name: getattr(plan, name) for name in ("after", *EVENT_CONTRACTS)}])
        rebuilt = build_from_events(stored, pd.concat([back_out_events(multiple), event]))
        pd.testing.assert_frame_equal(rebuilt, plan.multiple_prices)
        pd.testing.assert_series_equal(back_adjust(rebuilt), plan.adjusted_prices)


def test_a_price_that_is_missing_is_inferred_by_the_median_of_the_last_five_differences() -> None:
    long, multiple = market(PRICE, [*FORWARD[:-1], NAN], CARRY)
    plan = plan_roll(multiple, RULE, long)
    assert plan.after == DAYS[-1] + SECOND
    inferred = plan.marks[plan.marks["why"] == "inferred"]
    assert inferred[["contract", "price"]].to_numpy().tolist() == [[MARCH, 17.0], [JUNE, 27.0]]
    assert plan.adjusted_prices.iloc[0] == 20.0


def test_with_forward_filling_the_last_known_price_of_the_same_contract_is_marked_instead() -> None:
    long, multiple = market(PRICE, [*FORWARD[:-1], NAN], CARRY)
    plan = plan_roll(multiple, RULE, long, forward_fill=True)
    assert plan.after == DAYS[-1]
    known = plan.marks[plan.marks["why"] == "last known"]
    assert known.to_numpy().tolist() == [[JUNE, DAYS[-1], 26.0, "last known"]]
    assert plan.adjusted_prices.iloc[0] == PRICE[0] + 26.0 - 17.0


@pytest.mark.parametrize(("column", "price", "forward"), [("PRICE", [NAN] * 8, FORWARD), ("FORWARD", PRICE, [NAN] * 8)])
def test_a_roll_without_any_price_of_a_contract_is_refused(column: str, price: list[float], forward: list[float]) -> None:
    long, multiple = market(PRICE, FORWARD, CARRY)
    multiple = multiple.assign(PRICE=price, FORWARD=forward)
    for roll in (plan_roll, roll_step):
        with pytest.raises(DataError, match=f"no {column}"):
            roll(multiple, RULE, long)
    with pytest.raises(DataError, match="no price at all"):
        plan_roll(multiple.assign(PRICE=NAN, FORWARD=NAN, CARRY=NAN), RULE, long)


def test_trailing_rows_without_any_price_are_passed_over() -> None:
    long, multiple = market(PRICE, FORWARD, CARRY)
    multiple.loc[DAYS[-1], list(PRICE_COLUMNS)] = NAN
    assert plan_roll(multiple, RULE, long).after == DAYS[-2]


def test_the_first_row_of_a_table_never_counts_for_inference() -> None:
    long, multiple = market(PRICE, FORWARD, CARRY)
    multiple = multiple.assign(FORWARD=[20.0] + [NAN] * 7, CARRY=NAN)
    with pytest.raises(DataError, match="no FORWARD"):
        roll_step(multiple, RULE, long)


def test_the_old_roll_step_writes_text_ids_as_text() -> None:
    long, multiple = market(PRICE, FORWARD, CARRY)
    labels = {name: multiple[name].astype(str) for name in multiple.columns[3:]}
    after = roll_step(multiple.assign(**labels), RULE, long)
    assert after.iloc[-1].tolist() == [27.5, 30.0, 19.0, "20240600", "20240900", "20240500"]
    assert plan_roll(multiple.assign(**labels), RULE, long).multiple_prices.iloc[-1].tolist() == after.iloc[-1].tolist()


def test_every_state_leads_somewhere_and_only_without_a_position_to_the_roll_of_prices() -> None:
    for state, position in itertools.product(RollState, (0, 3, -3)):
        following = allowed_states(state, position)
        assert following
        if position and state is not RollState.ROLL_ADJUSTED:
            assert RollState.ROLL_ADJUSTED not in following
    assert allowed_states(RollState.ROLL_ADJUSTED, 0) == (RollState.NO_ROLL,)
    assert allowed_states(RollState.FORCE, 0) == (RollState.ROLL_ADJUSTED, RollState.PASSIVE)
    assert allowed_states(RollState.CLOSE, 1)[0] is RollState.CLOSE
    assert allowed_states(RollState.NO_ROLL, 1)[0] is RollState.PASSIVE


LIQUID = (1.5, 50.0)  # relative volume, and contracts a day of the forward contract
THIN = (0.02, 90.0)


def suggested_state(
    state: RollState,
    position: int,
    to_expiry: int,
    to_roll: int,
    volume: tuple[float, float],
    rules: AutoRollRules = AutoRollRules(),
) -> RollState | None:
    """What the rules suggest; `volume`: relative, and of the forward contract."""
    relative, forward = volume
    return suggest_state(
        state,
        position,
        to_expiry,
        days_to_desired_roll=to_roll,
        relative_volume=relative,
        forward_volume=forward,
        rules=rules,
    )


@pytest.mark.parametrize(
    ("position", "to_expiry", "to_roll", "volume", "suggested"),
    [
        (0, 0, -5, THIN, RollState.ROLL_ADJUSTED),
        (0, 30, 20, LIQUID, RollState.ROLL_ADJUSTED),
        (2, 30, 20, LIQUID, RollState.PASSIVE),
        (2, 30, 10, LIQUID, RollState.PASSIVE),
        (2, 30, 9, LIQUID, None),
        (2, 30, 9, THIN, RollState.NO_OPEN),
        (0, 30, 9, THIN, RollState.NO_OPEN),
        (0, 30, 20, THIN, RollState.NO_ROLL),
        (0, 30, 20, (0.02, 101.0), RollState.ROLL_ADJUSTED),
    ],
)
def test_the_rules_roll_into_liquid_contracts_and_stop_opening_in_thin_ones(
    position: int, to_expiry: int, to_roll: int, *, volume: tuple[float, float], suggested: RollState | None
) -> None:
    found = suggested_state(RollState.NO_ROLL, position, to_expiry, to_roll, volume)
    assert found is suggested


def test_the_rules_never_suggest_a_state_that_may_not_follow() -> None:
    rules = AutoRollRules(undecided=RollState.FORCE)
    for state, position, days, volume in itertools.product(RollState, (0, 1), (-1, 5, 20), (LIQUID, THIN)):
        found = suggested_state(state, position, days, days, volume, rules)
        assert found in (None, state, *allowed_states(state, position))
    assert suggested_state(RollState.FORCE, 0, 9, 5, THIN) is None


def test_what_to_do_when_undecided_must_be_a_state() -> None:
    held_near = (RollState.PASSIVE, 1, 9, 5, LIQUID)
    assert suggested_state(*held_near) is None
    assert suggested_state(*held_near, AutoRollRules(undecided=RollState.FORCE)) is RollState.FORCE
    with pytest.raises(ConfigError, match="undecided"):
        AutoRollRules(undecided="Force!")  # type: ignore[arg-type]


def test_volumes_weigh_the_last_days_most_and_older_than_two_weeks_not_at_all() -> None:
    volumes = pd.Series([1000.0, 0.0, 100.0], index=pd.DatetimeIndex(["2024-01-01", "2024-01-30", "2024-01-31"], tz="UTC"))
    now = pd.Timestamp("2024-02-01", tz="UTC")
    assert smoothed_volume(volumes, now) == pytest.approx(100 / 1.5)
    assert smoothed_volume(volumes.iloc[:1], now) == 0.0
    assert relative_volume(50.0, 100.0) == 2.0
    assert relative_volume(0.0, 1.0) == 10_000.0
    assert not np.isnan(relative_volume(0.0, 0.0))
