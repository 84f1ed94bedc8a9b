"""The broker is the judge of whether a market is open, and somebody is told where our own table says otherwise."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tradeflow_core.desk import Desk
from tradeflow_core.execution import StackHandler, blocked_orders
from tradeflow_core.execution.hours import odd_hours
from tradeflow_core.home import Home

HOLIDAY = "Session,Day,Close\n{session},{day},closed\n"


def alerts_about_hours(desk: Desk) -> list[str]:
    return [alert["subject"] for alert in desk.alerts.read(500) if alert["subject"].startswith("trading hours of ")]


def afternoon(trading_desk: Desk) -> Desk:
    """The desk anew, at three in the afternoon of New York."""
    desk = Desk(Home.open(trading_desk.home.path))
    desk.clock.wait(15 * 3600)
    return desk


def test_hours_that_agree_are_no_news(trading_desk: Desk) -> None:
    desk = afternoon(trading_desk)
    for _ in range(20):
        StackHandler(desk).step()
        desk.clock.wait(1800)
    assert alerts_about_hours(desk) == []


def test_nothing_is_sent_where_the_broker_says_closed_and_one_alert_a_day_names_the_table(
    trading_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEFLOW_SIMULATED__FAULTS__ODD_HOURS", "1")
    desk = afternoon(trading_desk)
    for _ in range(3):
        done = StackHandler(desk).step()
        assert done.sent == 0
        desk.clock.wait(60)
    whys = {blocked.order.instrument: blocked.why for blocked in blocked_orders(desk)}
    odd = {code for code, why in whys.items() if "the broker says that the market is closed, and sessions.csv has it open" in why}
    assert odd == {code for code in whys if desk.home.sessions.is_open(code, desk.now())} and odd
    assert sorted(alerts_about_hours(desk)) == sorted(f"trading hours of {code}" for code in odd), (
        "once, however many passes there were"
    )
    assert all("special_days.csv" in whys[code] for code in odd)


def test_a_market_that_trades_on_our_holiday_is_told_of(trading_desk: Desk) -> None:
    """Whichever of the two is wrong: what the broker says is compared with the tables of the home, with special days."""
    desk = afternoon(trading_desk)
    code = next(code for code in desk.universe if desk.broker.is_open(code))
    assert odd_hours(desk, code, is_open=True) == ""
    config = desk.home.path / "config"
    config.mkdir(exist_ok=True)
    (config / "special_days.csv").write_text(HOLIDAY.format(session=desk.home.sessions.session_of(code).name, day=desk.today()))
    desk = Desk(Home.open(desk.home.path))
    assert "the market is open, and sessions.csv has it closed" in odd_hours(desk, code, is_open=True)
    assert odd_hours(desk, code, is_open=False) == ""


def test_clocks_that_differ_by_a_little_are_no_news(trading_desk: Desk) -> None:
    desk = afternoon(trading_desk)
    code = next(code for code in desk.universe if desk.broker.is_open(code))
    closes = desk.home.sessions.closes_at(code, desk.now())
    assert closes is not None
    desk.clock.advance_to(closes - timedelta(minutes=2))
    assert odd_hours(desk, code, is_open=False) == "", "two minutes before our close the broker may have closed already"
