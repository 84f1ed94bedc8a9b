"""When the next job of the day starts, and why it does not: decided on facts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tradeflow_assets.alerts import failure_alert
from tradeflow_assets.decisions import (
    MAX_RESTARTS,
    Situation,
    why_not_handler,
    why_not_portfolio,
    why_not_prices,
    why_not_reports,
    why_not_restart,
    why_not_start_day,
)
from tradeflow_core.business_day import JOBS

MORNING = Situation(market="ib_paper", day=date(2024, 1, 8), done=frozenset())


def after(*jobs: str) -> Situation:
    """A morning on which these jobs are done."""
    return replace(MORNING, done=frozenset(step for job in jobs for step in JOBS[job]))


def test_a_day_goes_from_job_to_job() -> None:
    assert why_not_start_day(MORNING) is None
    assert why_not_prices(after("rolls")) is None
    assert why_not_portfolio(after("rolls", "prices")) is None
    assert why_not_handler(after("rolls", "prices", "portfolio")) is None
    assert why_not_reports(after("rolls", "prices", "portfolio", "stack_handler")) is None


def test_nothing_that_is_done_is_done_again_on_the_same_day() -> None:
    done = after(*JOBS)
    for decide in (why_not_start_day, why_not_prices, why_not_portfolio, why_not_handler, why_not_restart, why_not_reports):
        assert "2024-01-08" in (decide(done) or "")


@pytest.mark.parametrize("market", ["simulated", "replay"])
def test_where_time_is_told_nothing_starts_by_itself(market: str) -> None:
    told = replace(after("rolls", "prices"), market=market)
    for decide in (why_not_start_day, why_not_prices, why_not_portfolio, why_not_handler, why_not_restart, why_not_reports):
        assert "moves only by command" in (decide(told) or "")


def test_positions_wait_for_prices_of_the_whole_universe() -> None:
    assert "not complete" in (why_not_portfolio(after("rolls")) or "")


def test_the_gate_is_shut_when_too_many_prices_are_bad() -> None:
    reason = "only 40% of the instruments have good prices"
    assert why_not_portfolio(replace(after("rolls", "prices"), bad_prices=reason)) == reason


def test_a_stop_holds_back_orders_and_the_handler() -> None:
    stopped = replace(after("rolls", "prices"), stopped="trading is stopped by me (holiday)")
    assert why_not_portfolio(stopped) == stopped.stopped
    assert why_not_handler(stopped) == stopped.stopped


def test_a_second_handler_is_not_started() -> None:
    assert "at work" in (why_not_handler(replace(after("portfolio"), handler_active=True)) or "")


def test_the_handler_starts_only_inside_the_session() -> None:
    assert "outside" in (why_not_handler(replace(after("portfolio"), in_session=False)) or "")


def test_the_watchdog_starts_again_what_crashed_and_nothing_else() -> None:
    crashed = replace(after("portfolio"), handler_ended="FAILURE", handler_crashes=1)
    assert why_not_restart(crashed) is None
    assert "stays ended" in (why_not_restart(replace(crashed, handler_ended="CANCELED")) or "")
    assert "stays ended" in (why_not_restart(replace(crashed, handler_ended="")) or "")
    assert "outside" in (why_not_restart(replace(crashed, in_session=False)) or "")
    assert "no instrument orders" in (why_not_restart(replace(crashed, done=frozenset())) or "")


def test_the_watchdog_gives_up_on_a_handler_that_keeps_crashing() -> None:
    crashed = replace(after("portfolio"), handler_ended="FAILURE", handler_crashes=MAX_RESTARTS + 1)
    assert "by hand" in (why_not_restart(crashed) or "")


def test_an_alert_about_a_failed_run_names_job_run_and_reason() -> None:
    subject, text = failure_alert("portfolio", "0123456789", "the rate is not a number\n")
    assert subject == "job portfolio failed"
    assert "01234567" in text and "the rate is not a number" in text
    assert failure_alert("__ASSET_JOB", "0123456789", "why")[0] == "materialization failed"
