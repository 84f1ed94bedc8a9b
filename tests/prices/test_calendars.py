"""Roll calendars from contract prices."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tests.reference.calendars import append_phantom_row, repair_roll_calendar
from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.series import approximate_roll_calendar, back_out_calendar, build_roll_calendar, check_roll_calendar

QUARTERLY = RollRule("HMUZ", "HMUZ", 0, -1, 0)
AHEAD = RollRule("HMUZ", "HMUZ", 0, 1, 0)
YEAR = {month: 20240000 + month * 100 for month in range(1, 13)}


def days(first: str, last: str, hour: str = "23:00") -> pd.DatetimeIndex:
    return pd.date_range(f"{first} {hour}", f"{last} {hour}", freq="D")


def series(*spans: tuple[int, pd.DatetimeIndex]) -> dict[int, pd.Series]:
    """A price of 1.0 at each stamp."""
    return {contract: pd.Series(1.0, index=stamps) for contract, stamps in spans}


def quarters(tz: str | None = None) -> dict[int, pd.Series]:
    """March to December 2024, each with prices in the half year before the end of its month."""
    spans = {
        3: ("2023-10-01", "2024-03-31"),
        6: ("2024-01-01", "2024-06-30"),
        9: ("2024-04-01", "2024-09-30"),
        12: ("2024-07-01", "2024-12-31"),
    }
    return series(*((YEAR[month], days(*span).tz_localize(tz)) for month, span in spans.items()))


def three_quarters() -> dict[int, pd.Series]:
    """The same without December: one roll that is followed by another."""
    return {contract: prices for contract, prices in quarters().items() if contract != YEAR[12]}


def long(prices: dict[int, pd.Series]) -> pd.DataFrame:
    return pd.concat([pd.DataFrame({"contract": c, "date": s.index, "price": s.to_numpy()}) for c, s in prices.items()])


def test_the_rule_alone_rolls_on_the_desired_date_from_contract_to_contract() -> None:
    calendar = approximate_roll_calendar(quarters(), QUARTERLY)
    assert calendar["current_contract"].tolist() == [YEAR[6], YEAR[9]]
    assert calendar["next_contract"].tolist() == [YEAR[9], YEAR[12]]
    assert calendar["carry_contract"].tolist() == [YEAR[3], YEAR[6]]
    assert calendar.index.tolist() == [pd.Timestamp("2024-06-01"), pd.Timestamp("2024-09-01")]
    assert calendar.index.name == "date"


def test_the_last_desired_roll_is_dropped_and_the_others_go_to_a_day_with_prices_of_both_contracts() -> None:
    assert len(approximate_roll_calendar(three_quarters(), AHEAD)) == 2
    calendar = build_roll_calendar(three_quarters(), AHEAD)
    assert calendar.index.tolist() == [pd.Timestamp("2024-03-01 23:00")]
    assert calendar.iloc[0].tolist() == [YEAR[3], YEAR[6], YEAR[6]]


@pytest.mark.parametrize("tz", [None, "UTC"])
def test_ids_and_stamps_leave_in_the_form_in_which_they_came(tz: str | None) -> None:
    numbers = long(quarters(tz))
    numbers["date"] = numbers["date"].dt.as_unit("us")
    text = numbers.assign(contract=numbers["contract"].astype(str))
    from_numbers, from_text = (build_roll_calendar(table.sample(frac=1, random_state=1), AHEAD) for table in (numbers, text))
    assert from_numbers["current_contract"].dtype == "int64"
    assert from_text["current_contract"].tolist() == from_numbers["current_contract"].astype(str).tolist()
    assert from_numbers.index.dtype == numbers["date"].dtype


def test_one_contract_makes_no_calendar() -> None:
    with pytest.raises(DataError, match="carry"):
        approximate_roll_calendar(series((YEAR[3], days("2024-01-01", "2024-02-01"))), QUARTERLY)


def test_two_contracts_have_a_desired_roll_but_none_that_is_followed_by_another() -> None:
    prices = {contract: stamps for contract, stamps in quarters().items() if contract in (YEAR[3], YEAR[6])}
    assert len(approximate_roll_calendar(prices, AHEAD)) == 1
    with pytest.raises(DataError, match="empty roll calendar"):
        build_roll_calendar(prices, AHEAD)


def test_the_first_contract_is_taken_whatever_its_month_if_its_carry_contract_has_prices() -> None:
    prices = {**quarters(), **series((YEAR[2], days("2023-10-01", "2024-02-28")))}
    assert approximate_roll_calendar(prices, AHEAD)["current_contract"].iloc[0] == YEAR[2]


def test_contracts_beyond_the_last_held_one_end_the_calendar_quietly() -> None:
    rule = RollRule("HM", "HMUZ", 0, 1, 0)
    assert approximate_roll_calendar(quarters(), rule)["next_contract"].tolist() == [YEAR[6]]


def test_a_missing_held_contract_in_the_middle_is_skipped() -> None:
    prices = {contract: stamps for contract, stamps in quarters().items() if contract != YEAR[6]}
    assert approximate_roll_calendar(prices, AHEAD)["next_contract"].tolist()[0] == YEAR[9]


def test_a_contract_in_the_middle_without_its_carry_contract_is_refused_by_name() -> None:
    rule = RollRule("HMUZ", "X", 0, 1, 0)
    prices = {**quarters(), **series((20241100, days("2024-07-01", "2024-10-31")), (20250300, days("2024-10-01", "2025-03-01")))}
    with pytest.raises(DataError, match="2024-12"):
        approximate_roll_calendar(prices, rule)


def test_contracts_with_days_follow_each_other_as_far_as_they_are_known() -> None:
    rule = RollRule("FGHJKMNQUVXZ", "FGHJKMNQUVXZ", -5, 1, 0)
    stamps = days("2024-01-01", "2024-06-30")
    prices = series(*((contract, stamps) for contract in (20240117, 20240221, 20240320, 20240417)))
    calendar = approximate_roll_calendar(prices, rule)
    assert calendar["next_contract"].tolist() == [20240221, 20240320, 20240417]
    assert calendar.index[0] == pd.Timestamp("2024-01-12")
    assert build_roll_calendar(prices, rule).index.tolist() == [
        pd.Timestamp("2024-01-12 23:00"),
        pd.Timestamp("2024-02-16 23:00"),
    ]


def three(second_from: str, second_to: str) -> dict[int, pd.Series]:
    """Daily March, some of June, daily September; June is desired from 1 March on."""
    return series(
        (YEAR[3], days("2024-01-01", "2024-05-31")),
        (YEAR[6], days(second_from, second_to)),
        (YEAR[9], days("2024-01-01", "2024-08-31")),
    )


def test_of_two_days_equally_near_the_earlier_one_is_taken() -> None:
    prices = three("2024-01-01", "2024-05-31")
    prices[YEAR[6]] = prices[YEAR[6]].drop(pd.Timestamp("2024-03-01 23:00"))
    assert build_roll_calendar(prices, AHEAD).index[0] == pd.Timestamp("2024-02-29 23:00")


def test_of_the_hourly_stamps_of_the_roll_day_the_first_one_is_taken() -> None:
    hours = pd.date_range("2024-02-01 09:00", "2024-03-20 20:00", freq="h")
    prices = series((YEAR[3], hours), (YEAR[6], hours[hours.hour >= 11]), (YEAR[9], hours))
    assert build_roll_calendar(prices, AHEAD).index[0] == pd.Timestamp("2024-03-01 11:00")


def test_a_price_that_is_missing_at_a_stamp_does_not_count() -> None:
    prices = three("2024-01-01", "2024-05-31")
    prices[YEAR[6]]["2024-02-20":"2024-03-04"] = float("nan")
    assert build_roll_calendar(prices, AHEAD).index[0] == pd.Timestamp("2024-03-05 23:00")


def test_the_carry_contracts_must_trade_too_where_they_can_and_are_forgotten_where_they_cannot() -> None:
    prices = {**quarters(), **series((20231200, days("2023-10-01", "2024-02-10")))}
    assert build_roll_calendar(prices, QUARTERLY).index[0] == pd.Timestamp("2024-02-10 23:00")
    prices[20231200] = prices[20231200][:"2023-12-15"]
    assert build_roll_calendar(prices, QUARTERLY).index[0] == pd.Timestamp("2024-03-01 23:00")


def test_a_roll_without_a_common_stamp_is_left_out_at_the_start_and_ends_the_calendar_later() -> None:
    year_end = series((20250300, days("2024-10-01", "2025-02-28")), (20250600, days("2024-12-20", "2025-05-31")))
    late = {**quarters(), **year_end}
    late[YEAR[3]] = late[YEAR[3]][:"2023-12-31"]
    assert build_roll_calendar(late, AHEAD)["current_contract"].tolist()[0] == YEAR[6]
    torn = {**quarters(), **year_end}
    torn[YEAR[9]] = torn[YEAR[9]]["2024-07-01":]
    assert build_roll_calendar(torn, AHEAD)["current_contract"].tolist() == [YEAR[3]]


def test_the_check_names_every_wrong_row_and_what_is_wrong_with_it() -> None:
    prices = three_quarters()
    calendar = build_roll_calendar(prices, AHEAD)
    assert check_roll_calendar(calendar, prices).empty
    hour_late = calendar.set_index(pd.DatetimeIndex(calendar.index) + pd.Timedelta(hours=1))
    wrong: pd.DataFrame = pd.concat([calendar, calendar.assign(carry_contract=20300300), hour_late])
    found = check_roll_calendar(wrong, prices)
    assert found["problem"].tolist() == [
        "date is not after the one before",
        "carry_contract has no prices",
        "current_contract has no price at the date",
        "next_contract has no price at the date",
    ]


def test_a_phantom_row_keeps_the_last_contract_open_until_after_now() -> None:
    prices = three_quarters()
    calendar = build_roll_calendar(prices, AHEAD)
    now = pd.Timestamp("2024-03-20 12:00")
    opened = append_phantom_row(calendar, prices, AHEAD, now=now)
    assert opened.index[-1] == now + pd.Timedelta(days=5)
    assert opened.iloc[-1].tolist() == [YEAR[6], YEAR[9], YEAR[9]]
    assert append_phantom_row(calendar, prices, AHEAD, now=calendar.index[-1] - pd.Timedelta(1)).equals(calendar)
    assert append_phantom_row(calendar.assign(next_contract=20300300), prices, AHEAD, now=now)["next_contract"].tolist() == [
        20300300
    ]


def test_repairing_a_calendar_moves_its_dates_to_stamps_with_prices() -> None:
    prices = three_quarters()
    given_dates = build_roll_calendar(prices, AHEAD).set_index(pd.DatetimeIndex(["2024-03-01 12:34"], name="date"))
    repaired = repair_roll_calendar(given_dates, prices, AHEAD, now=pd.Timestamp("2024-03-20"))
    assert repaired.index.tolist() == [pd.Timestamp("2024-03-01 23:00"), pd.Timestamp("2024-03-25")]
    assert check_roll_calendar(repaired.iloc[:1], prices).empty


def test_a_calendar_backed_out_of_prices_is_dated_at_the_first_stamp_of_each_new_contract() -> None:
    stamps = days("2024-01-01", "2024-01-04")
    labels = [YEAR[3], YEAR[3], YEAR[6], YEAR[6]]
    multiple = pd.DataFrame({"PRICE_CONTRACT": labels, "FORWARD_CONTRACT": YEAR[9], "CARRY_CONTRACT": YEAR[1]}, index=stamps)
    calendar = back_out_calendar(multiple)
    assert calendar.index.tolist() == [stamps[2], stamps[3]]
    assert calendar.to_numpy().tolist() == [[YEAR[3], YEAR[6], YEAR[1]], [YEAR[6], YEAR[9], YEAR[1]]]
    assert back_out_calendar(multiple.assign(PRICE_CONTRACT=labels[::-1])).shape == (1, 3)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pd.DataFrame({"contract": [1], "date": [1]}), "price"),
        (pd.DataFrame({"contract": [], "date": [], "price": []}), "no contract prices"),
        (
            pd.DataFrame({"contract": ["202403"] * 2, "date": pd.to_datetime(["2024-01-02"] * 2), "price": [1.0, 2.0]}),
            "20240300.*2024-01-02",
        ),
        (pd.DataFrame({"contract": ["202403", None], "date": pd.to_datetime(["2024-01-02"] * 2), "price": [1.0, 2.0]}), "row 1"),
        (pd.DataFrame({"contract": ["202403"], "date": pd.DatetimeIndex([pd.NaT]), "price": [1.0]}), "row 0"),
        (pd.DataFrame({"contract": ["2024MAR"], "date": pd.to_datetime(["2024-01-02"]), "price": [1.0]}), "2024MAR"),
    ],
)
def test_malformed_contract_prices_are_refused_saying_where(table: pd.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        build_roll_calendar(table, QUARTERLY)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(20, 200)), min_size=3, max_size=12),
    st.integers(-60, 10),
    st.sampled_from([-1, 1]),
)
def test_every_row_of_a_calendar_rolls_at_a_price_of_both_contracts(
    spans: list[tuple[int, int]], roll_offset: int, carry: int
) -> None:
    rule = RollRule("FGHJKMNQUVXZ", "FGHJKMNQUVXZ", roll_offset, carry, 15)
    prices = {}
    for number, (late, length) in enumerate(spans):
        contract = 20200000 + number // 12 * 10000 + (number % 12 + 1) * 100
        start = pd.Timestamp("2019-10-01") + pd.Timedelta(days=30 * number + late)
        prices[contract] = pd.Series(1.0, index=pd.date_range(start, periods=length))
    try:
        calendar = build_roll_calendar(prices, rule)
    except DataError:
        return
    problems = check_roll_calendar(calendar, prices)
    assert set(problems["problem"]) <= {"date is not after the one before"}
    assert calendar["current_contract"].tolist()[1:] == calendar["next_contract"].tolist()[:-1]
