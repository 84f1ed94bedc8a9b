"""Six made-up chains of contracts, with gaps and long overlaps, give the reference's calendars, multiple and adjusted prices."""

from __future__ import annotations

from tests.parity.prices_alike import by, rules, same_calendar, same_multiple_prices, same_series
from tests.parity.proof import Answers, reads, uses
from tradeflow_core.series import approximate_roll_calendar, back_adjust, build_multiple_prices, build_roll_calendar

PRICES, RULES, CALENDARS, MULTIPLE, ADJUSTED = (
    f"reference_cases/prices/synthetic_{name}"
    for name in ("contract_prices_input", "roll_parameters", "roll_calendars_output", "multiple_prices_output", "adjusted_output")
)


@uses(PRICES, RULES)
@reads(CALENDARS, MULTIPLE, ADJUSTED)
def test_every_stage_of_a_chain_is_the_same(answers: Answers) -> None:
    rule = rules(answers.table(RULES), "case")
    calendars, multiples, adjusteds = (dict(by(answers.table(file), "case")) for file in (CALENDARS, MULTIPLE, ADJUSTED))
    for case, prices in by(answers.table(PRICES), "case"):
        same_calendar(answers, CALENDARS, approximate_roll_calendar(prices, rule[case]), calendars.pop(f"{case}__approx"))
        calendar = build_roll_calendar(prices, rule[case])
        same_calendar(answers, CALENDARS, calendar, calendars.pop(case))
        multiple = build_multiple_prices(prices, calendar)
        same_multiple_prices(answers, MULTIPLE, multiple, multiples.pop(case))
        same_series(answers, ADJUSTED, back_adjust(multiple), adjusteds.pop(case)["price"])
    assert not calendars and not multiples and not adjusteds
