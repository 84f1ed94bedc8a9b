"""History from CSV files: what is read, what is refused and where, what is stored."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.days import run_until
from tests.frames import contracts_of
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError, StateError
from tradeflow_core.ledger import open_instrument_orders, positions_by_contract, roll_events_of
from tradeflow_core.prices import CsvColumns, PriceWindow, delete_prices, read_bars_csv, run_stages, seed_bars, stored_bars

COLUMNS = CsvColumns("Time", "Last", "Open", "High", "Low", "Volume")
HEADER = "Time,Open,High,Low,Last,Volume\n"
OLD = 20210300
"""A contract from before the simulated history."""


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "prices.csv"
    path.write_text(header + "\n".join(rows) + "\n")
    return path


def daily(folder: Path, days: int = 60, price: float = 100.0) -> Path:
    dates = pd.bdate_range("2020-12-01", periods=days)
    return write(
        folder, *(f"{stamp:%Y-%m-%d},{price},{price + 1},{price - 1},{price + n % 3},50" for n, stamp in enumerate(dates))
    )


def test_a_daily_row_is_the_bar_of_its_date_and_ends_at_23_hours_of_it(tmp_path: Path) -> None:
    bars = read_bars_csv(
        write(tmp_path, "2024-03-08,1,3,0.5,2,7", "2024-03-11,2,,,2.5,"), OLD, COLUMNS, frequency="D", zone="America/New_York"
    )
    assert bars["start"].tolist() == [pd.Timestamp("2024-03-08 05:00", tz="UTC"), pd.Timestamp("2024-03-11 04:00", tz="UTC")]
    assert bars["end"].tolist() == [pd.Timestamp("2024-03-09 04:00", tz="UTC"), pd.Timestamp("2024-03-12 03:00", tz="UTC")]
    assert bars["FINAL"].tolist() == [2.0, 2.5] and bars["HIGH"].isna().tolist() == [False, True]


def test_an_hourly_row_begins_at_its_time_and_rows_are_put_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, "2024-03-08 15:00,1,1,1,2,7", "2024-03-08 14:00,1,1,1,1,7")
    bars = read_bars_csv(path, OLD, COLUMNS, frequency="H", zone="Europe/Berlin")
    assert bars["start"].tolist() == [pd.Timestamp("2024-03-08 13:00", tz="UTC"), pd.Timestamp("2024-03-08 14:00", tz="UTC")]
    assert ((bars["end"] - bars["start"]) == pd.Timedelta(hours=1)).all() and bars["FINAL"].tolist() == [1.0, 2.0]


def test_columns_and_times_are_read_as_the_file_writes_them(tmp_path: Path) -> None:
    path = write(tmp_path, "31/01/2024,5", header="Day,Settle\n")
    bars = read_bars_csv(path, OLD, CsvColumns("Day", "Settle", time_format="%d/%m/%Y"), frequency="D", zone="UTC")
    assert bars["start"].tolist() == [pd.Timestamp("2024-01-31", tz="UTC")] and bars["VOLUME"].isna().all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2024-03-08,1,1,1,1,1", "soon,1,1,1,1,1"], r"prices\.csv, line 3, column Time: 'soon' is not a time"),
        (["2024-03-08,1,1,1,,1"], r"line 2, column Last: '' is not a number"),
        (["2024-03-08,1,1,1,inf,1"], r"line 2, column Last: 'inf' is not a number"),
        (["2024-03-08,1,x,1,1,1"], r"line 2, column High: 'x' is not a number"),
        (["2024-03-08,1,1,1,1,1", "", "2024-03-08,1,1,1,1,1"], r"line 4, column Time: '2024-03-08' the time occurs twice"),
        ([], "holds no row"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_bars_csv(write(tmp_path, *rows), OLD, COLUMNS, frequency="D", zone="UTC")


def test_a_missing_column_cell_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="column Close is missing"):
        read_bars_csv(write(tmp_path, "2024-03-08,1,1,1,1,1"), OLD, CsvColumns(), frequency="D", zone="UTC")
    with pytest.raises(ConfigError, match="line 2: has 3 cells, the header has 6"):
        read_bars_csv(write(tmp_path, "2024-03-08,1,1"), OLD, COLUMNS, frequency="D", zone="UTC")
    with pytest.raises(ConfigError, match=r"nowhere\.csv cannot be read"):
        read_bars_csv(tmp_path / "nowhere.csv", OLD, COLUMNS, frequency="D", zone="UTC")


def test_seeded_bars_are_stored_once_and_their_contract_is_known(trading_desk: Desk, tmp_path: Path) -> None:
    desk = trading_desk
    before = stored_bars(desk, "US10")
    bars = read_bars_csv(daily(tmp_path), OLD, COLUMNS, frequency="D", zone="America/New_York")
    assert seed_bars(desk, "US10", bars, dry_run=True).added == 60
    pd.testing.assert_frame_equal(stored_bars(desk, "US10"), before)
    assert seed_bars(desk, "US10", bars).added == 60
    assert seed_bars(desk, "US10", bars).added == 0
    after = stored_bars(desk, "US10")
    pd.testing.assert_frame_equal(after[after["contract"] != OLD].reset_index(drop=True), before)
    assert after.equals(after.sort_values(["contract", "frequency", "start"], ignore_index=True))
    with desk.ledger.read() as view:
        assert OLD in contracts_of(view, "US10").index
    run_stages(desk, "US10")


def test_a_day_that_is_stored_is_not_stored_again_under_another_start(trading_desk: Desk, tmp_path: Path) -> None:
    desk = trading_desk
    stored = stored_bars(desk, "US10")
    contract = int(stored["contract"].iloc[0])
    own = stored[(stored["contract"] == contract) & (stored["frequency"] == "D")]
    dates = own["end"].dt.tz_convert(desk.settings.time_zone).dt.date
    path = write(tmp_path, *(f"{date},1,1,1,{final},1" for date, final in zip(dates, own["FINAL"], strict=True)))
    assert seed_bars(desk, "US10", read_bars_csv(path, contract, COLUMNS, frequency="D", zone=desk.settings.time_zone)).added == 0


def test_a_spike_in_a_file_is_refused_unless_a_person_trusts_it(trading_desk: Desk, tmp_path: Path) -> None:
    desk = trading_desk
    before = stored_bars(desk, "US10")
    path = daily(tmp_path)
    path.write_text(path.read_text() + "2021-03-01,1,1,1,9999,1\n")
    bars = read_bars_csv(path, OLD, COLUMNS, frequency="D", zone="America/New_York")
    report = seed_bars(desk, "US10", bars)
    assert report.added == 0 and "average days at 2021-03-02" in report.refused
    pd.testing.assert_frame_equal(stored_bars(desk, "US10"), before)
    assert seed_bars(desk, "US10", bars, trust=True).added == 61


def test_deleted_prices_come_back_with_a_full_refresh(trading_desk: Desk) -> None:
    desk = trading_desk
    before = desk.store.read("adjusted_prices", "US10")
    with desk.ledger.begin() as tx:
        tx.exec_driver_sql("update instrument_orders set status = 'cancelled'")
        events = roll_events_of(tx, "US10")
    assert delete_prices(desk, "US10", dry_run=True) == ["contract_prices", "multiple_prices", "adjusted_prices"]
    assert desk.store.exists("adjusted_prices", "US10")
    delete_prices(desk, "US10")
    assert not any(desk.store.exists(dataset, "US10") for dataset in ("contract_prices", "multiple_prices", "adjusted_prices"))
    with desk.ledger.read() as view:
        assert len(roll_events_of(view, "US10")) == len(events)
    run_stages(desk, "US10", window=PriceWindow(full_refresh=True))
    after = desk.store.read("adjusted_prices", "US10")
    daily_before = before["price"].dropna()
    assert after["price"].reindex(daily_before.index).notna().all()


def test_prices_of_a_held_instrument_are_not_deleted(trading_desk: Desk) -> None:
    desk = trading_desk
    with desk.ledger.read() as view:
        ordered = open_instrument_orders(view, desk.account)[0].instrument
    with pytest.raises(StateError, match="is open; cancel it first"):
        delete_prices(desk, ordered)
    run_until(desk, "stack_handler")
    with desk.ledger.read() as view:
        code = next(iter(positions_by_contract(view, desk.account)))[0]
    with pytest.raises(StateError, match="is still held"):
        delete_prices(desk, code)
    assert desk.store.exists("adjusted_prices", code)
