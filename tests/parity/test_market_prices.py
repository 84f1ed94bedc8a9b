"""Roll calendars, multiple and adjusted prices of nine instruments of a simulated market are the reference's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import pandas as pd

from tests.parity.prices_alike import by, rules, same_calendar, same_multiple_prices, same_series
from tests.parity.proof import Answers, reads, uses
from tests.reference.multiple import update_adjusted, update_multiple
from tradeflow_core.errors import DataError
from tradeflow_core.instruments import RollRule
from tradeflow_core.series import (
    approximate_roll_calendar,
    back_adjust,
    back_out_calendar,
    build_multiple_prices,
    build_roll_calendar,
    contract_series,
)
from tradeflow_core.series.multiple import LABEL_COLUMNS, PRICE_COLUMNS

Table = TypeVar("Table", pd.DataFrame, pd.Series)

MULTIPLE = "market/input/multiple_prices"
RULES = "market/prices/roll_parameters"
CUT = "market/prices/update_cut"
ADJUSTED = "market/prices/adjusted"
BACKED_OUT = "market/prices/calendar_backed_out"
APPROXIMATE = "market/prices/calendar_approximate"
CALENDAR = "market/prices/calendar_adjusted_to_prices"
REBUILT = "market/prices/multiple_rebuilt_every10_last60"
REBUILT_ADJUSTED = "market/prices/adjusted_rebuilt_every10_last60"
REBUILT_BACKED_OUT = "market/prices/calendar_backed_out_of_rebuilt"
UPDATED = "market/prices/update_multiple_every25_last60"
UPDATED_ADJUSTED = "market/prices/update_adjusted_every25_last60"
STATUS = "market/prices/status"


@dataclass(frozen=True)
class Chain:
    """One instrument from its multiple prices to contract prices, and back again; updates begin at the stamp `cut`."""

    multiple: pd.DataFrame
    rule: RollRule
    cut: pd.Timestamp

    @cached_property
    def contract_prices(self) -> pd.DataFrame:
        return contract_series(self.multiple)

    @cached_property
    def backed_out(self) -> pd.DataFrame:
        return back_out_calendar(self.multiple)

    @cached_property
    def approximate(self) -> pd.DataFrame:
        return approximate_roll_calendar(self.contract_prices, self.rule)

    @cached_property
    def calendar(self) -> pd.DataFrame:
        return build_roll_calendar(self.contract_prices, self.rule)

    @cached_property
    def rebuilt(self) -> pd.DataFrame:
        return build_multiple_prices(self.contract_prices, self.calendar)

    @cached_property
    def rebuilt_adjusted(self) -> pd.Series:
        return back_adjust(self.rebuilt)

    @cached_property
    def rebuilt_backed_out(self) -> pd.DataFrame:
        return back_out_calendar(self.rebuilt)

    @cached_property
    def before(self) -> pd.DataFrame:
        """The rebuilt multiple prices up to the cut."""
        return self.rebuilt[self.rebuilt.index <= self.cut]

    @cached_property
    def before_adjusted(self) -> pd.Series:
        return back_adjust(self.before)

    @cached_property
    def updated(self) -> pd.DataFrame:
        """Brought up to date with all prices of the three contracts of the last row."""
        new = [
            self.contract_prices[self.contract_prices["contract"] == self.before[label].iloc[-1]].assign(column=column)
            for column, label in zip(PRICE_COLUMNS, LABEL_COLUMNS, strict=True)
        ]
        return update_multiple(self.before, pd.concat(new, ignore_index=True))

    @cached_property
    def updated_adjusted(self) -> pd.Series:
        return update_adjusted(self.before_adjusted, self.updated)


STEPS = {
    "backout_orig": "backed_out",
    "approx": "approximate",
    "cal": "calendar",
    "mult": "rebuilt",
    "adj": "rebuilt_adjusted",
    "backout": "rebuilt_backed_out",
    "upd_stitch": "before_adjusted",
    "upd_mult": "updated",
    "upd_adj": "updated_adjusted",
}
"""What the reference calls the steps of a chain."""


def chains(answers: Answers) -> Iterator[tuple[str, Chain]]:
    """The chain of each of the nine instruments."""
    rule, cut = rules(answers.table(RULES), "instrument"), answers.table(CUT).set_index("instrument")["cut"]
    for code, multiple in by(answers.table(MULTIPLE), "instrument"):
        yield code, Chain(multiple, rule[code], cut[code])


def expected(answers: Answers, file: str) -> dict[str, pd.DataFrame]:
    """The answers of a file by instrument."""
    return dict(by(answers.table(file), "instrument"))


@uses(MULTIPLE, RULES, CUT)
@reads(ADJUSTED, BACKED_OUT)
def test_back_adjusted_prices_and_the_calendar_backed_out_of_multiple_prices(answers: Answers) -> None:
    adjusted, calendars = (expected(answers, file) for file in (ADJUSTED, BACKED_OUT))
    for code, chain in chains(answers):
        same_series(answers, ADJUSTED, back_adjust(chain.multiple), adjusted.pop(code)["price"])
        same_calendar(answers, BACKED_OUT, chain.backed_out, calendars.pop(code))
    assert not adjusted and not calendars


@uses(MULTIPLE, RULES, CUT)
@reads(APPROXIMATE, CALENDAR)
def test_calendars_from_contract_prices_and_roll_rules(answers: Answers) -> None:
    approximate, calendars = (expected(answers, file) for file in (APPROXIMATE, CALENDAR))
    for code, chain in chains(answers):
        same_calendar(answers, APPROXIMATE, chain.approximate, approximate.pop(code))
        same_calendar(answers, CALENDAR, chain.calendar, calendars.pop(code))
    assert not approximate and not calendars


@uses(MULTIPLE, RULES, CUT)
@reads(REBUILT, REBUILT_ADJUSTED, REBUILT_BACKED_OUT)
def test_prices_rebuilt_from_contract_prices_and_the_calendar(answers: Answers) -> None:
    multiples, adjusteds, calendars = (expected(answers, file) for file in (REBUILT, REBUILT_ADJUSTED, REBUILT_BACKED_OUT))
    for code, chain in chains(answers):
        same_multiple_prices(answers, REBUILT, thinned(chain.rebuilt, 10, 60), multiples.pop(code))
        same_series(answers, REBUILT_ADJUSTED, thinned(chain.rebuilt_adjusted, 10, 60), adjusteds.pop(code)["price"])
        same_calendar(answers, REBUILT_BACKED_OUT, chain.rebuilt_backed_out, calendars.pop(code))
    assert not multiples and not adjusteds and not calendars


@uses(MULTIPLE, RULES, CUT)
@reads(UPDATED, UPDATED_ADJUSTED)
def test_prices_that_were_cut_off_and_brought_up_to_date(answers: Answers) -> None:
    multiples, adjusteds = (expected(answers, file) for file in (UPDATED, UPDATED_ADJUSTED))
    for code, chain in chains(answers):
        same_multiple_prices(answers, UPDATED, thinned(chain.updated, 25, 60), multiples.pop(code))
        same_series(answers, UPDATED_ADJUSTED, thinned(chain.updated_adjusted, 25, 60), adjusteds.pop(code)["price"])
    assert not multiples and not adjusteds


@uses(MULTIPLE, RULES, CUT)
@reads(STATUS)
def test_the_same_steps_can_be_done(answers: Answers) -> None:
    wanted = answers.table(STATUS)
    ours = [(code, step, outcome(chain, step)) for code, chain in chains(answers) for step in STEPS]
    answers.equal(STATUS, ours, zip(wanted["instrument"], wanted["step"], wanted["status"], strict=True))


def outcome(chain: Chain, step: str) -> str:
    try:
        getattr(chain, STEPS[step])
    except DataError as error:
        return str(error)
    return "ok"


def thinned(table: Table, every: int, last: int) -> Table:
    """Every so manieth row and the last ones, as the answers are kept."""
    kept = [row for row in range(len(table)) if row % every == 0 or row >= len(table) - last]
    return table.iloc[kept]
