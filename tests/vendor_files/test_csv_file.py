"""One file of a vendor as it was downloaded: what is read, what is left out and counted, what is refused and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tradeflow_core.errors import ConfigError
from tradeflow_core.prices import History
from tradeflow_core.vendor_files import load_profile, read_history

HEADER = "Time,Open,High,Low,Last,Volume"


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "prices.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def read(path: Path, frequency: str = "D", *, profile: str = "plain", zone: str = "America/New_York", **changes: Any) -> History:
    return read_history(
        path, 20240600, frequency=frequency, profile=load_profile(profile).changed("this test", **changes), zone=zone
    )


def closes(history: History) -> list[float]:
    return history.bars["FINAL"].tolist()


def starts(history: History) -> list[str]:
    return [f"{stamp:%m-%d %H:%M}" for stamp in history.bars["start"]]


def test_a_daily_row_is_the_bar_of_its_date_and_ends_at_23_hours_of_it(tmp_path: Path) -> None:
    bars = read(write(tmp_path, "2024-03-08,1,3,0.5,2,7", "2024-03-11,2,,,2.5,")).bars
    assert bars["start"].tolist() == [pd.Timestamp("2024-03-08 05:00", tz="UTC"), pd.Timestamp("2024-03-11 04:00", tz="UTC")]
    assert bars["end"].tolist() == [pd.Timestamp("2024-03-09 04:00", tz="UTC"), pd.Timestamp("2024-03-12 03:00", tz="UTC")]
    assert bars["FINAL"].tolist() == [2.0, 2.5] and bars["HIGH"].isna().tolist() == [False, True]


def test_the_day_of_a_date_is_a_day_of_the_desk_wherever_the_vendor_is(tmp_path: Path) -> None:
    history = read(write(tmp_path, "03/08/2024,1,3,0.5,2,7"), profile="barchart")
    assert history.bars["end"].tolist() == [pd.Timestamp("2024-03-08 23:00", tz="America/New_York")]


def test_a_midnight_in_the_vendors_zone_is_a_date_though_it_is_written_in_utc(tmp_path: Path) -> None:
    path = write(tmp_path, "2024-03-08T06:00:00+0000,1,1,1,2,7", "2024-03-11T05:00:00+0000,1,1,1,3,7")
    ends = read(path, profile="barchart").bars["end"].dt.tz_convert("America/New_York")
    assert [f"{end:%Y-%m-%d %H:%M}" for end in ends] == ["2024-03-08 23:00", "2024-03-11 23:00"]


def test_an_hourly_row_begins_at_its_time_and_the_newest_may_stand_first(tmp_path: Path) -> None:
    history = read(write(tmp_path, "2024-03-08 15:00,1,1,1,2,7", "2024-03-08 14:00,1,1,1,1,7"), "H", zone="Europe/Berlin")
    assert starts(history) == ["03-08 13:00", "03-08 14:00"] and closes(history) == [1.0, 2.0]
    assert ((history.bars["end"] - history.bars["start"]) == pd.Timedelta(hours=1)).all()


def test_a_note_of_the_vendor_below_the_prices_is_counted_and_left_out(tmp_path: Path) -> None:
    for note in (
        '"Downloaded from Vendor.example, Inc. as of 08-12-2020 05:02pm CDT"',
        "Downloaded from Vendor.example, as of 08-12-2020, 05:02pm",
        "Total,,,,,200",
        "\n\nSource: a, b, c, d, e, f, g, h",
    ):
        history = read(write(tmp_path, "2024-03-07,1,1,1,1,100", "2024-03-08,1,1,1,2,100", note))
        assert closes(history) == [1.0, 2.0] and history.skipped == {"below the prices": 1}, note


def test_a_last_row_that_was_cut_off_is_no_note(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 3: has 4 cells, the header has 6 columns; .* was cut off"):
        read(write(tmp_path, "2024-03-07,1,1,1,1,100", "2024-03-08,1,1,2"))


def test_a_note_in_the_middle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 3: has 1 cells, the header has 6 columns"):
        read(write(tmp_path, "2024-03-07,1,1,1,1,100", "to be continued", "2024-03-08,1,1,1,2,100"))


def test_lines_above_the_header_are_counted_where_the_profile_expects_them(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, "2024-03-08,1,1,1,2,100", header="A disclaimer, of a vendor\n")
    assert read(path, profile="barchart").skipped == {"above the header": 1}
    with pytest.raises(ConfigError, match=r"line 1: column Time or Date .* is missing; the header has A disclaimer,of a vendor"):
        read(path)


def test_a_day_without_any_price_is_counted_and_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "2024-03-07,1,1,1,1,100", "2024-03-08,,,,,0", "2024-03-11,N/A,N/A,N/A,N/A,N/A", "2024-03-12,1,1,1,3,1")
    history = read(path)
    assert closes(history) == [1.0, 3.0] and history.skipped == {"without prices": 2} and history.read == 4
    with pytest.raises(ConfigError, match="line 3, column Last: '' is no price"):
        read(path, skip={"empty_days": False})


def test_a_missing_volume_is_no_number_and_no_error(tmp_path: Path) -> None:
    volumes = read(write(tmp_path, "2024-03-07,1,1,1,1,N/A", "2024-03-08,1,1,1,2,")).bars["VOLUME"]
    assert volumes.isna().all()


def test_last_or_settle_stands_for_the_close_and_a_column_that_is_named_goes_first(tmp_path: Path) -> None:
    path = write(tmp_path, "2024-03-08,1,2,100", header="Date,Settle,Last,volume")
    assert closes(read(path)) == [2.0] and read(path).bars["VOLUME"].tolist() == [100.0]
    assert closes(read(path, columns={"final": "settle"})) == [1.0]
    with pytest.raises(
        ConfigError, match="column Price is missing; the header has Date,Settle,Last,volume: name the column with --final"
    ):
        read(path, columns={"final": "Price"})


def test_days_may_have_two_digits_for_their_year(tmp_path: Path) -> None:
    for rows in (("03/07/24", "03/08/24"), ("03/07/2024", "03/08/2024"), ("2024-03-07", "2024-03-08"), ("3/7/24", "3/8/24")):
        history = read(write(tmp_path, *(f"{day},1,1,1,1,1" for day in rows)), profile="barchart")
        assert [f"{end:%Y-%m-%d}" for end in history.bars["end"].dt.tz_convert("America/New_York")] == [
            "2024-03-07",
            "2024-03-08",
        ]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "soon,1,1,1,1,1",
        "2024-03-08,x,1,1,1,1",
        "2024-03-11,1,1,1,inf,1",
        "2024-03-12,1,1,1,,1",
        "2024-03-13,1,1,1,1,1",
    )
    with pytest.raises(ConfigError) as raised:
        read(path)
    told = [line.removeprefix(f"{path}, ") for line in str(raised.value).splitlines()]
    assert [line.partition(";")[0] for line in sorted(told)] == [
        "line 2, column Time: 'soon' is not a time",
        "line 3, column Open: 'x' is not a number",
        "line 4, column Last: 'inf' is not a number",
        "line 5, column Last: '' is not a number, though the row has other prices",
    ]


def test_a_year_alone_is_no_date(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'2024' is not a time"):
        read(write(tmp_path, "2024,1,1,1,1,1", "2024-03-08,1,1,1,1,1"))


def test_a_row_that_is_repeated_counts_once_and_two_that_differ_are_refused(tmp_path: Path) -> None:
    history = read(write(tmp_path, "2024-03-07,1,1,1,1,1", "2024-03-08,1,1,1,2,1", "", "2024-03-08,1,1,1,2,1"))
    assert closes(history) == [1.0, 2.0] and history.skipped == {"repeated": 1}
    with pytest.raises(ConfigError, match="line 4, column Time: '2024-03-08' the time occurs twice, with different values"):
        read(write(tmp_path, "2024-03-08,1,1,1,1,1", "", "2024-03-08,1,1,1,2,1"))


def test_rows_in_no_order_are_refused_since_a_time_may_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 4, column Time: '2024-02-03' is not in order"):
        read(write(tmp_path, "2024-03-01,1,1,1,1,1", "2024-03-04,1,1,1,1,1", "2024-02-03,1,1,1,2,1", "2024-03-06,1,1,1,2,1"))


def test_hours_are_not_taken_for_days_nor_days_for_hours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 3 rows of one day; .* give --frequency H"):
        read(write(tmp_path, *(f"2024-03-08 1{hour}:00,1,1,1,1,1" for hour in range(3))))
    with pytest.raises(ConfigError, match=r"has dates alone, .* give --frequency D"):
        read(write(tmp_path, *(f"2024-03-0{day},1,1,1,1,1" for day in range(4, 8))), "H")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"Time,Close\n", "holds no row of prices below the header"),
        (b"Time;Close\n2024-03-08;1\n", "column Time or .* the header has Time;Close: ';' separates its cells: set `delimiter`"),
        (b"Time,Close,close\n2024-03-08,1,2\n", "line 1: column Close is there twice"),
        (b"Time,Close\n2024-03-08,1\xb2\n", "is not utf-8-sig text .* set `encoding` in a profile"),
    ],
)
def test_a_file_without_prices_is_said_to_be_one(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read(path)
    with pytest.raises(ConfigError, match=r"nowhere\.csv cannot be read"):
        read(tmp_path / "nowhere.csv")


def test_a_file_of_another_country_is_read_by_a_profile(tmp_path: Path) -> None:
    path = write(tmp_path, "31.01.2024;1.250,5;1.000", header="Datum;Schluss;Umsatz")
    history = read(
        path,
        delimiter=";",
        times=["%d.%m.%Y"],
        columns={"time": "Datum", "final": "Schluss", "volume": "Umsatz"},
        numbers={"decimal": ",", "thousands": "."},
    )
    assert closes(history) == [1250.5] and history.bars["VOLUME"].tolist() == [1000.0]
