"""Contract ids and roll rules."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings, strategies as st

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.model import (
    MONTH_LETTERS,
    adjacent_contract,
    contract_label,
    contract_letter,
    find_adjacent_contract,
    month_number,
    parse_contract,
)

QUARTERLY = RollRule("HMUZ", "HMUZ", -5, -1, 18)
CYCLES = st.sets(st.sampled_from(MONTH_LETTERS), min_size=1).map("".join)
CONTRACTS = st.builds(lambda year, month: year * 10000 + month * 100, st.integers(1950, 2090), st.integers(1, 12))


@pytest.mark.parametrize("given_id", ["202403", "20240300", 202403, 20240300, 20240300.0, " 20240300 "])
def test_a_contract_may_be_given_with_or_without_a_day_as_text_or_number(given_id: object) -> None:
    assert parse_contract(given_id) == 20240300


def test_a_contract_with_a_day_keeps_it() -> None:
    assert parse_contract("20240315") == 20240315


@pytest.mark.parametrize(
    "wrong", ["2024", "202413", "20240000", "20240231", "March 24", "", None, float("nan"), 20240300.5, True, "-2024030"]
)
def test_anything_else_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(DataError, match="contract"):
        parse_contract(wrong)


def test_contracts_are_shown_and_lettered_as_traders_write_them() -> None:
    assert (contract_label(20240300), contract_label(20240315)) == ("2024-03", "2024-03-15")
    assert [contract_letter(20240000 + month * 100) for month in range(1, 13)] == list(MONTH_LETTERS)


def test_a_month_only_id_sorts_before_every_day_of_its_month_and_after_the_month_before() -> None:
    ids = [parse_contract(text) for text in ("202404", "20240315", "202403")]
    assert sorted(ids) == ids[::-1]
    assert month_number(20240300) == month_number(20240315)


def test_a_contract_outside_the_cycle_steps_to_its_neighbours_in_it() -> None:
    assert (QUARTERLY.next_held(20240400), QUARTERLY.previous_held(20240400)) == (20240600, 20240300)


def test_december_is_followed_by_december_of_the_next_year_in_a_december_cycle() -> None:
    rule = RollRule("Z", "HKNUZ", -40, -1, 14)
    assert (rule.next_held(20231200), rule.previous_held(20231200)) == (20241200, 20221200)
    assert rule.carry_of(20231200) == 20230900


def test_forward_and_carry_are_the_same_contract_where_both_cycles_agree_and_carry_looks_ahead() -> None:
    rule = RollRule("HMUZ", "HMUZ", -5, 1, 18)
    assert rule.forward_of(20240300) == rule.carry_of(20240300) == 20240600


def test_the_desired_roll_lies_before_the_expiry_the_brokers_one_where_known() -> None:
    assert QUARTERLY.approximate_expiry(20240300) == date(2024, 3, 19)
    assert QUARTERLY.desired_roll_date(20240300) == date(2024, 3, 14)
    assert QUARTERLY.desired_roll_date(20240300, date(2024, 3, 15)) == date(2024, 3, 10)
    assert QUARTERLY.approximate_expiry(20240315) == date(2024, 4, 2)


def test_contracts_with_days_step_through_the_known_ones() -> None:
    weekly = [20240105, 20240112, 20240216, 20240315, 20240321]
    rule = RollRule(MONTH_LETTERS, "HMUZ", 0, 1, 0)
    assert rule.next_held(20240105, weekly) == 20240216
    assert rule.previous_held(20240315, weekly) == 20240216
    assert rule.carry_of(20240105, weekly) == 20240315
    with pytest.raises(DataError, match="20240321"):
        rule.next_held(20240321, weekly)
    assert find_adjacent_contract(20240321, "HMUZ", 1, known=weekly) is None


def test_without_known_contracts_the_day_is_carried_over() -> None:
    assert adjacent_contract(20240117, MONTH_LETTERS, 1) == 20240217


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("hold", ("", "HMUZ", -5, -1, 0)),
        ("hold", ("HMA", "HMUZ", -5, -1, 0)),
        ("priced", ("HMUZ", "hmuz", -5, -1, 0)),
        ("roll_offset", ("HMUZ", "HMUZ", 0.5, -1, 0)),
        ("carry_offset", ("HMUZ", "HMUZ", -5, 0, 0)),
        ("carry_offset", ("HMUZ", "HMUZ", -5, -2, 0)),
        ("expiry_offset", ("HMUZ", "HMUZ", -5, -1, "15")),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_field(field: str, values: tuple[object, ...]) -> None:
    with pytest.raises(ConfigError, match=field):
        RollRule(*values)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(CONTRACTS, CYCLES)
def test_stepping_finds_the_nearest_month_of_the_cycle(contract: int, cycle: str) -> None:
    following = adjacent_contract(contract, cycle, 1)
    between = range(month_number(contract) + 1, month_number(following))
    assert contract_letter(following) in cycle
    assert not any(MONTH_LETTERS[month % 12] in cycle for month in between)


@settings(max_examples=100, deadline=None)
@given(CONTRACTS, CYCLES)
def test_stepping_forward_and_back_returns_to_a_contract_of_the_cycle(contract: int, cycle: str) -> None:
    member = adjacent_contract(contract, cycle, 1)
    assert adjacent_contract(adjacent_contract(member, cycle, 1), cycle, -1) == member
    assert adjacent_contract(member, cycle, -1) <= contract < member
