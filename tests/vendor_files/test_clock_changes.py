"""Hours that occur twice in autumn and those that are left out in spring."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.vendor_files.test_csv_file import closes, read, starts, write
from tradeflow_core.errors import ConfigError
from tradeflow_core.prices import History

CLOSE = "Time,Close"


def hours(folder: Path, *times: str, frequency: str = "H", zone: str = "America/New_York", **changes: object) -> History:
    rows = (f"{time},{470 + place}" for place, time in enumerate(times))
    return read(write(folder, *rows, header=CLOSE), frequency, zone=zone, **changes)


def test_of_two_rows_with_one_time_the_first_is_summer_and_the_second_winter_time(tmp_path: Path) -> None:
    history = hours(tmp_path, "2022-11-06 00:00", "2022-11-06 01:00", "2022-11-06 01:00", "2022-11-06 02:00")
    assert starts(history) == ["11-06 04:00", "11-06 05:00", "11-06 06:00", "11-06 07:00"]
    assert closes(history) == [470.0, 471.0, 472.0, 473.0] and not history.notes


def test_it_is_the_same_with_the_newest_row_first(tmp_path: Path) -> None:
    history = hours(
        tmp_path, "2022-10-30 03:00", "2022-10-30 02:00", "2022-10-30 02:00", "2022-10-30 01:00", zone="Europe/Berlin"
    )
    assert starts(history) == ["10-29 23:00", "10-30 00:00", "10-30 01:00", "10-30 02:00"]
    assert closes(history) == [473.0, 472.0, 471.0, 470.0]


@pytest.mark.parametrize(
    "times",
    [
        ["01:00", "01:15", "01:30", "01:45", "01:00", "01:15", "01:30", "01:45"],
        ["01:00", "01:00", "01:15", "01:15", "01:30", "01:30", "01:45", "01:45"],
    ],
)
def test_quarters_of_an_hour_occur_twice_as_well(tmp_path: Path, times: list[str]) -> None:
    history = hours(tmp_path, *(f"2022-11-06 {time}" for time in times), frequency="15M")
    expected = pd.date_range("2022-11-06 05:00", periods=8, freq="15min", tz="UTC")
    assert sorted(history.bars["start"]) == list(expected) and history.read == 8


def test_a_gap_in_one_of_the_two_hours_moves_no_row_into_the_other(tmp_path: Path) -> None:
    history = hours(tmp_path, *(f"2022-11-06 {time}" for time in ("01:15", "01:45", "01:00", "01:30", "02:00")), frequency="15M")
    assert starts(history) == ["11-06 05:15", "11-06 05:45", "11-06 06:00", "11-06 06:30", "11-06 07:00"]


def test_each_autumn_of_many_years_is_read_by_itself(tmp_path: Path) -> None:
    nights = ["2020-11-01", "2021-11-07", "2022-11-06"]
    history = hours(tmp_path, *(f"{night} {time}" for night in nights for time in ("00:00", "01:00", "01:00", "02:00")))
    assert history.bars["start"].dt.hour.tolist() == [4, 5, 6, 7] * 3


def test_a_row_that_stands_alone_in_the_hour_that_occurs_twice_is_noted(tmp_path: Path) -> None:
    history = hours(tmp_path, "2022-11-06 00:00", "2022-11-06 01:00", "2022-11-06 02:00")
    assert starts(history) == ["11-06 04:00", "11-06 06:00", "11-06 07:00"]
    (note,) = history.notes
    assert "1 rows are in an hour that occurs twice in America/New_York" in note and "on line 3" in note


def test_a_third_row_of_one_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the time occurs twice, with different values"):
        hours(tmp_path, *["2022-11-06 01:00"] * 3)


def test_an_hour_that_does_not_exist_is_told_and_not_guessed(tmp_path: Path) -> None:
    times = ("2022-03-13 01:00", "2022-03-13 02:00", "2022-03-13 03:00")
    with pytest.raises(
        ConfigError, match=r"line 3, column Time: '2022-03-13 02:00' does not exist in America/New_York"
    ) as raised:
        hours(tmp_path, *times)
    assert len(str(raised.value).splitlines()) == 1, "the hour after it is right"
    history = hours(tmp_path, *times, skip={"missing_hours": True})
    assert closes(history) == [470.0, 472.0] and history.skipped == {"in an hour that does not exist": 1}


def test_times_with_an_offset_need_no_guess(tmp_path: Path) -> None:
    history = hours(tmp_path, "2022-11-06T01:00:00-04:00", "2022-11-06T01:00:00-05:00", "2022-11-06T07:00:00Z")
    assert starts(history) == ["11-06 05:00", "11-06 06:00", "11-06 07:00"] and not history.notes


def test_a_vendors_hours_are_in_its_own_zone(tmp_path: Path) -> None:
    path = write(tmp_path, "03/08/2024 08:00,1,1,1,2,7", "03/08/2024 09:00,1,1,1,3,7")
    assert starts(read(path, "H", profile="barchart")) == ["03-08 14:00", "03-08 15:00"]
