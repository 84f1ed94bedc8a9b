"""Local wall times become instants, also in the hours in which the clocks change."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from tradeflow_core.errors import ConfigError
from tradeflow_core.importers.stamps import to_instants

ZONE = "Europe/London"


def instants(*local: str) -> list[str]:
    return [str(stamp) for stamp in to_instants(pd.DatetimeIndex(local), ZONE, "test").utc]


def test_summer_and_winter_times_of_a_close_are_an_hour_apart_in_utc():
    assert instants("2023-01-10 23:00", "2023-07-10 23:00") == ["2023-01-10 23:00:00+00:00", "2023-07-10 22:00:00+00:00"]


def test_a_time_that_occurs_twice_is_taken_as_its_first():
    got = to_instants(pd.DatetimeIndex(["2022-10-30 00:30", "2022-10-30 01:30", "2022-10-30 02:30"]), ZONE, "test")
    assert [stamp.hour for stamp in got.utc] == [23, 0, 2]
    assert got.odd == 1


def test_a_time_that_never_was_stays_between_its_neighbours():
    got = to_instants(
        pd.DatetimeIndex(["2022-03-27 00:59:59", "2022-03-27 01:00:00", "2022-03-27 01:30:00", "2022-03-27 02:00:00"]),
        ZONE,
        "test",
    )
    assert got.utc.is_monotonic_increasing
    assert got.utc.is_unique
    assert got.odd == 2
    assert str(got.utc[-1]) == "2022-03-27 01:00:00+00:00"
    assert (got.utc[-1] - got.utc[1]).total_seconds() < 0.01


def test_an_unknown_zone_is_named():
    with pytest.raises(ConfigError, match="Europe/Londn"):
        to_instants(pd.DatetimeIndex(["2022-03-27"]), "Europe/Londn", "test")


wall_times = st.lists(
    st.one_of(
        st.integers(0, 3 * 86400).map(lambda s: pd.Timestamp("2022-03-26") + pd.Timedelta(seconds=s)),
        st.integers(0, 3 * 86400).map(lambda s: pd.Timestamp("2022-10-29") + pd.Timedelta(seconds=s)),
    ),
    min_size=1,
    max_size=60,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(wall_times, st.sampled_from([ZONE, "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"]))
def test_unique_wall_times_stay_unique_and_in_order(times, zone):
    utc = to_instants(pd.DatetimeIndex(sorted(times)), zone, "test").utc
    assert utc.is_monotonic_increasing
    assert utc.is_unique
