"""Numbers as vendors write them."""

from __future__ import annotations

import numpy as np
import pytest

from tradeflow_core.vendor_files.numbers import hint, read_numbers
from tradeflow_core.vendor_files.profile import Numbers

FRACTIONS = Numbers(thousands=",", fractions=True, suffixes="s", missing=("-",))


def number(text: str, rules: Numbers) -> float:
    values, missing, wrong = read_numbers(np.array([text], dtype=object), rules)
    assert np.isnan(values[0]) == bool(missing[0] or wrong[0])
    return float(values[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("112-16", 112.5),
        ("112'16", 112.5),
        ("112'165", 112 + 16.5 / 32),
        ("112-162", 112 + 16.25 / 32),
        ("112-167", 112 + 16.75 / 32),
        ("112-16+", 112 + 16.5 / 32),
        ("112-01", 112 + 1 / 32),
        ("112-165s", 112 + 16.5 / 32),
        ("112 16/32", 112.5),
        ("450-6", 450.75),
        ("450'2", 450.25),
        ("450 6/8", 450.75),
        ("-0-16", -0.5),
        ("112.5", 112.5),
        ("112.5s", 112.5),
        ("3,330.25", 3330.25),
        ("-1,234,567", -1234567.0),
        ("1e3", 1000.0),
    ],
)
def test_fractions_and_separators_are_numbers_where_the_profile_says_so(text: str, value: float) -> None:
    assert number(text, FRACTIONS) == value


@pytest.mark.parametrize(
    "text",
    ["112-32", "112-164", "112-169", "450-8", "112-", "112--16", "3,33.25", "33,30", "inf", "1.2.3", "12:30", "450 8/8", "ss"],
)
def test_what_is_no_number_is_never_guessed(text: str) -> None:
    _, missing, wrong = read_numbers(np.array([text], dtype=object), FRACTIONS)
    assert wrong.tolist() == [True] and missing.tolist() == [False]


@pytest.mark.parametrize("text", ["", "N/A", "nan", "null", "-"])
def test_texts_for_no_value_are_no_value(text: str) -> None:
    _, missing, wrong = read_numbers(np.array([text], dtype=object), FRACTIONS)
    assert missing.tolist() == [True] and wrong.tolist() == [False]


def test_a_decimal_comma_is_read_where_the_profile_says_so_and_a_point_is_not_taken_for_one() -> None:
    rules = Numbers(decimal=",", thousands=".")
    assert number("1.250,5", rules) == 1250.5 and number("3,25", rules) == 3.25 and number("1.250", rules) == 1250.0
    assert np.isnan(number("3.25", rules))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("112-16", "a price in fractions: if it is, give --fractions or --profile barchart"),
        ("112'165", "a price in fractions"),
        ("3,330.25", "separators of thousands: if it is, give --thousands ,"),
        ("1.250,5", "a decimal comma"),
        ("3,25", "a decimal comma"),
        ("much", "write one such as 2.5"),
    ],
)
def test_what_looks_like_another_way_to_write_numbers_says_how_to_read_it(text: str, told: str) -> None:
    plain = Numbers()
    assert np.isnan(number(text, plain)) and told in hint(text, plain)
