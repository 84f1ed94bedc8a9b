"""Markets open and close by the clock on their own wall, in every season, across midnight, and not on holidays."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from exchange_calendars import get_calendar
from hypothesis import given, settings, strategies as st

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.instruments import Sessions, load_instruments, load_sessions
from tradeflow_core.instruments.special_days import half_days

INSTRUMENTS = load_instruments()
SESSIONS = load_sessions(INSTRUMENTS)
SESSION_NAMES = sorted({i.session for i in INSTRUMENTS.values() if i.session})
HEADER = "Session,Zone,Calendar,Days,Open,Close"


def utc(year: int, month: int, day: int, *, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def home(folder: Path, *lines: str) -> Path:
    (folder / "sessions.csv").write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return folder


def test_chicago_opens_at_five_in_the_evening_before_and_after_the_clocks_change() -> None:
    # Summer time began in Chicago on Sunday 12 March 2023, and ended on Sunday 5 November.
    opens = [SESSIONS.session_bounds("US10", day)[0][0] for day in (date(2023, 3, 10), date(2023, 3, 13), date(2023, 11, 6))]
    assert opens == [utc(2023, 3, 9, hour=23), utc(2023, 3, 12, hour=22), utc(2023, 11, 5, hour=23)]
    assert {instant.astimezone(ZoneInfo("America/Chicago")).hour for instant in opens} == {17}


def test_berlin_opens_at_ten_past_one_before_and_after_the_clocks_change() -> None:
    opens = [SESSIONS.session_bounds("BUND", day)[0][0] for day in (date(2023, 3, 24), date(2023, 3, 27), date(2023, 10, 30))]
    assert opens == [
        utc(2023, 3, 24, hour=0, minute=10),
        utc(2023, 3, 26, hour=23, minute=10),
        utc(2023, 10, 30, hour=0, minute=10),
    ]


def hours_of(name: str, day: date) -> timedelta:
    """How long a session is open on a trade date."""
    return sum((closes - opens for opens, closes in SESSIONS.session_bounds(name, day)), timedelta())


@pytest.mark.parametrize("name", SESSION_NAMES)
def test_every_session_shows_the_same_local_hours_all_year_but_for_half_days(name: str) -> None:
    session = SESSIONS.session_of(name)
    days = [day.date() for day in SESSIONS.trading_days(name, date(2023, 1, 1), date(2023, 12, 31))]
    assert 240 <= len(days) <= 262
    whole = max(hours_of(name, day) for day in days)
    half = [day for day in days if hours_of(name, day) < whole]
    assert len(half) <= 10
    days = [day for day in days if day not in half]
    hours = {
        tuple(
            (o.astimezone(session.zone).time(), c.astimezone(session.zone).time()) for o, c in SESSIONS.session_bounds(name, day)
        )
        for day in days
    }
    assert len(hours) == 1


def test_the_sydney_night_session_is_not_empty_and_crosses_midnight() -> None:
    _, night = SESSIONS.session_bounds("SPI200", date(2023, 8, 31))
    assert night == (utc(2023, 8, 31, hour=7, minute=10), utc(2023, 8, 31, hour=21))
    assert SESSIONS.is_open("SPI200", utc(2023, 8, 31, hour=15)) and SESSIONS.is_open("SPI200", utc(2023, 8, 31, hour=2))


def test_the_friday_night_session_of_osaka_runs_into_saturday() -> None:
    assert SESSIONS.is_open("NIKKEI", utc(2023, 9, 1, hour=20, minute=59))
    assert not SESSIONS.is_open("NIKKEI", utc(2023, 9, 1, hour=21))
    assert SESSIONS.next_open("NIKKEI", utc(2023, 9, 1, hour=21)) == utc(2023, 9, 3, hour=23, minute=45)


def test_chicago_is_open_on_sunday_evening_and_closed_on_friday_evening() -> None:
    assert SESSIONS.is_open("SP500_micro", utc(2023, 9, 10, hour=22))
    assert not SESSIONS.is_open("SP500_micro", utc(2023, 9, 10, hour=21, minute=59))
    assert not SESSIONS.is_open("SP500_micro", utc(2023, 9, 8, hour=22))


def test_grains_rest_between_the_night_and_the_day() -> None:
    rest = utc(2023, 8, 31, hour=13)
    assert (
        not SESSIONS.is_open("CORN", rest)
        and SESSIONS.closes_at("CORN", rest) is None
        and SESSIONS.hours_until_close("CORN", rest) == 0
    )
    assert SESSIONS.next_open("CORN", rest) == utc(2023, 8, 31, hour=13, minute=30)
    assert SESSIONS.closes_at("CORN", utc(2023, 8, 31, hour=13, minute=30)) == utc(2023, 8, 31, hour=18, minute=20)
    assert SESSIONS.hours_until_close("CORN", utc(2023, 8, 31, hour=17, minute=50)) == 0.5


@pytest.mark.parametrize("name", SESSION_NAMES)
def test_christmas_is_closed_everywhere_but_in_tokyo(name: str) -> None:
    christmas = date(2023, 12, 25)
    in_tokyo = SESSIONS.session_of(name).zone.key == "Asia/Tokyo"
    assert SESSIONS.is_business_day(name, christmas) is in_tokyo
    assert bool(SESSIONS.session_bounds(name, christmas)) is in_tokyo


def test_on_christmas_eve_the_evening_that_belongs_to_christmas_does_not_open() -> None:
    assert not SESSIONS.is_open("GOLD_micro", utc(2023, 12, 24, hour=23, minute=30))
    assert SESSIONS.next_open("GOLD_micro", utc(2023, 12, 24, hour=23, minute=30)) == utc(2023, 12, 25, hour=23)


def test_trading_days_are_the_business_days_and_nothing_else() -> None:
    days = SESSIONS.trading_days("NIKKEI", date(2023, 4, 28), date(2023, 5, 9))
    assert list(days) == [pd.Timestamp(d) for d in ("2023-04-28", "2023-05-01", "2023-05-02", "2023-05-08", "2023-05-09")]
    every = pd.date_range("2023-04-28", "2023-05-09")
    assert [d for d in every if SESSIONS.is_business_day("OSE_INDEX", d)] == list(days)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([code for code, i in INSTRUMENTS.items() if i.session != "KRX"]),
    st.datetimes(datetime(2021, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)),
)
def test_a_closed_market_opens_next_when_it_says_and_stays_open_until_it_says(code: str, instant: datetime) -> None:
    opens = SESSIONS.next_open(code, instant)
    closes = SESSIONS.closes_at(code, opens)
    assert instant <= opens and closes is not None
    last = closes - timedelta(microseconds=1)
    assert SESSIONS.is_open(code, last) and not SESSIONS.is_open(code, closes)
    if not SESSIONS.is_open(code, instant) and opens > instant:
        assert not SESSIONS.is_open(code, instant + (opens - instant) / 2)
        assert not SESSIONS.is_open(code, opens - timedelta(microseconds=1))


def test_an_instant_without_a_zone_is_refused_and_a_zone_of_its_own_is_understood() -> None:
    with pytest.raises(DataError, match="has no time zone"):
        SESSIONS.is_open("CORN", datetime(2023, 8, 31, 14))
    tokyo = pd.Timestamp("2023-08-31 23:00", tz="Asia/Tokyo")
    assert SESSIONS.closes_at("CORN", tokyo) == utc(2023, 8, 31, hour=18, minute=20)


def test_an_unknown_instrument_is_answered_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match="nearest: SP500_micro"):
        SESSIONS.is_open("SP500_mico", utc(2023, 8, 31))


def test_an_instrument_without_hours_says_how_to_give_it_some(tmp_path: Path) -> None:
    header = "Instrument,Description,Pointsize,Currency,AssetClass,PerBlock,Percentage,PerTrade,Region"
    (tmp_path / "instrumentconfig.csv").write_text(f"{header}\nTEA,Tea,1,USD,Ags,0,0,0,ASIA\n", encoding="utf-8")
    sessions = load_sessions(load_instruments(tmp_path))
    with pytest.raises(ConfigError, match="trading hours of TEA are unknown: give it a Session"):
        sessions.is_open("TEA", utc(2023, 8, 31))


def test_dates_beyond_the_recorded_holidays_are_refused_by_name() -> None:
    with pytest.raises(
        DataError, match=r"OSE_INDEX: the holidays of calendar XTKS are known from 1997-01-01 to .*, not on 1996-12-31"
    ):
        SESSIONS.is_business_day("NIKKEI", date(1996, 12, 31))
    with pytest.raises(DataError, match="not on 1995-01-02"):
        SESSIONS.trading_days("NIKKEI", date(1995, 1, 1), date(2000, 1, 1))


def test_a_home_may_give_an_exchange_other_hours_and_no_holidays(tmp_path: Path) -> None:
    sessions = load_sessions(INSTRUMENTS, home(tmp_path, "ASX_INDEX,Australia/Sydney,none,Mon-Fri,10:00,16:00"))
    assert sessions.session_bounds("SPI200", date(2023, 12, 25)) == [(utc(2023, 12, 24, hour=23), utc(2023, 12, 25, hour=5))]
    assert not sessions.is_business_day("SPI200", date(2023, 12, 24))
    assert sessions.session_bounds("CORN", date(2023, 8, 31)) == SESSIONS.session_bounds("CORN", date(2023, 8, 31))


def test_on_the_very_day_that_the_clocks_change_a_market_keeps_its_local_hours(tmp_path: Path) -> None:
    # A market that trades on Sundays; the clocks of Sydney went back at three in the morning of 2 April 2023.
    sessions = load_sessions(INSTRUMENTS, home(tmp_path, "ASX_INDEX,Australia/Sydney,none,Sun-Thu,18:00-1d,16:00"))
    assert sessions.session_bounds("SPI200", date(2023, 4, 2)) == [(utc(2023, 4, 1, hour=7), utc(2023, 4, 2, hour=6))]
    assert sessions.hours_until_close("SPI200", utc(2023, 4, 1, hour=7)) == 23


def test_a_market_that_never_opens_says_so_instead_of_searching_for_ever(tmp_path: Path) -> None:
    sessions = load_sessions(INSTRUMENTS, home(tmp_path, "ASX_INDEX,Australia/Sydney,XASX,Sun,10:00,16:00"))
    with pytest.raises(DataError, match="ASX_INDEX does not open in the 30 days"):
        sessions.next_open("SPI200", utc(2023, 8, 31))


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("X,Australia/Sidney,none,Mon-Fri,10:00,16:00", "Zone", "IANA"),
        ("X,Australia/Sydney,none,Mon-Fri,22:00,03:00", "Close", r"write 03:00\+1d, or open at 22:00-1d"),
        ("X,Australia/Sydney,none,Mon-Fri,9:00,16:00", "Open", "HH:MM"),
        ("X,Australia/Sydney,none,Weekdays,09:00,16:00", "Days", "Mon-Fri"),
        ("X,Australia/Sydney,none,Mon-Fri,09:00-1d,16:00", "Close", "longer than a day"),
        ("ONE,Asia/Tokyo,none,Mon-Fri,10:00,16:00", "Zone", "differs from line 2"),
        ("ONE,UTC,none,Mon-Fri,10:00,16:00", "Open", "opens before the previous one closes"),
    ],
)
def test_a_wrong_line_is_named_by_file_line_and_column(tmp_path: Path, line: str, column: str, *, words: str) -> None:
    home(tmp_path, "ONE,UTC,none,Mon-Fri,09:00,12:00", line)
    with pytest.raises(ConfigError, match=rf"sessions\.csv, line 3, column {column}: .*{words}"):
        load_sessions(INSTRUMENTS, tmp_path)


def test_an_unknown_calendar_is_refused_when_its_holidays_are_asked_for(tmp_path: Path) -> None:
    sessions = load_sessions(INSTRUMENTS, home(tmp_path, "ASX_INDEX,Australia/Sydney,SYDNEY,Mon-Fri,10:00,16:00"))
    with pytest.raises(ConfigError, match="'SYDNEY' is no calendar"):
        sessions.is_business_day("SPI200", date(2023, 8, 31))


def test_an_instrument_cannot_name_a_session_that_is_not_in_the_table() -> None:
    with pytest.raises(ConfigError, match="unknown session 'CBOT_GRAINS'"):
        Sessions({"CORN": INSTRUMENTS["CORN"]}, {})


# --- half days -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "last", "zone"),
    [
        ("SP500_micro", "2025-11-28 12:00", "America/Chicago"),  # the day after Thanksgiving
        ("SP500_micro", "2025-07-04 12:00", "America/Chicago"),
        ("CORN", "2025-11-28 12:00", "America/Chicago"),
        ("VIX", "2025-11-28 10:30", "America/Chicago"),
        ("FTSE100", "2025-12-24 12:30", "Europe/London"),
        ("EURIBOR-ICE", "2025-12-31 12:30", "Europe/London"),
        ("HANG_mini", "2025-12-24 12:00", "Asia/Hong_Kong"),
        ("SPI200", "2025-12-24 14:10", "Australia/Sydney"),
    ],
)
def test_on_a_half_day_a_market_closes_early_and_does_not_open_again(code: str, last: str, zone: str) -> None:
    close = datetime.fromisoformat(last).replace(tzinfo=ZoneInfo(zone))
    before, after = close - timedelta(minutes=1), close
    assert SESSIONS.is_open(code, before) and SESSIONS.closes_at(code, before) == close
    assert not SESSIONS.is_open(code, after)
    assert SESSIONS.next_open(code, after) > close + timedelta(hours=2)
    assert SESSIONS.session_bounds(code, close.date())[-1][1] == close


def test_an_exchange_of_another_country_has_no_half_day_then() -> None:
    for code in ("DAX", "EURIBOR-ICE", "NIKKEI"):
        name = INSTRUMENTS[code].session or ""
        assert hours_of(name, date(2025, 11, 27)) == hours_of(name, date(2025, 11, 26))


@pytest.mark.parametrize("calendar", ["CMES", "XNYS", "XLON", "XHKG", "XASX", "IEPA", "XEUR"])
def test_half_days_are_those_of_the_calendar(calendar: str) -> None:
    """They are taken from its rules; here they are compared with the schedule that it builds of them."""
    known = get_calendar(calendar, start="2005-01-01", end="2025-12-31")
    ours = half_days(known, date(2005, 1, 1), date(2025, 12, 31))
    trade_dates = {day.date() for day in known.sessions}
    theirs = {
        day.date(): close.tz_convert(known.tz).time() for day, close in known.schedule.loc[known.early_closes, "close"].items()
    }
    assert {day: at for day, at in ours.items() if day in trade_dates} == theirs


def special(folder: Path, *lines: str) -> Path:
    (folder / "special_days.csv").write_text("\n".join(("Session,Day,Close", *lines)) + "\n", encoding="utf-8")
    return folder


def test_a_home_says_what_a_session_does_on_single_days(tmp_path: Path) -> None:
    folder = special(tmp_path, "EUREX,2024-03-04,12:15", "EUREX,03-05,closed", "EUREX,2024-03-29,open", "EUREX,2025-03-05,open")
    sessions = load_sessions(INSTRUMENTS, folder)
    berlin = ZoneInfo("Europe/Berlin")
    assert sessions.session_bounds("EUREX", date(2024, 3, 4))[-1][1] == datetime(2024, 3, 4, 12, 15, tzinfo=berlin)
    assert sessions.session_bounds("EUREX", date(2024, 3, 5)) == [] and not sessions.is_business_day("EUREX", date(2024, 3, 5))
    assert sessions.is_business_day("EUREX", date(2024, 3, 29)), "Good Friday, on which the exchange is closed"
    assert sessions.is_business_day("EUREX", date(2025, 3, 5)), "a date goes before a day of every year"
    days = {day.date() for day in sessions.trading_days("EUREX", date(2024, 3, 1), date(2024, 3, 31))}
    assert date(2024, 3, 29) in days and date(2024, 3, 4) in days and date(2024, 3, 5) not in days


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("EUREX,2024-02-30,closed", "special_days.csv, line 2, column Day: '2024-02-30' is no day"),
        ("EUREX,soon,closed", "column Day: 'soon' is no day"),
        ("EUREX,12-24,25:00", "column Close: '25:00' is neither closed nor open nor a time"),
        ("EUREKS,12-24,closed", "EUREKS"),
        ("EUREX,12-24,closed\nEUREX,12-24,open", "12-24 stands twice for session EUREX"),
    ],
)
def test_a_special_day_that_makes_no_sense_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_sessions(INSTRUMENTS, special(tmp_path, line))
