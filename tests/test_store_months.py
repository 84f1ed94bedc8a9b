"""Growing datasets lie in files of whole months: what a day adds costs the same whatever lies in the past, and nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.conftest import REPO
from tradeflow_core.parquet import months
from tradeflow_core.store import APPENDED, Store, open_query, run_query

KEY = APPENDED["contract_prices"]


def bars(hours: list[int], contract: int | None = None) -> pd.DataFrame:
    """An hourly bar (on even hours also a daily one) for each number of hours since 2024; FINAL is that number. Sorted."""
    numbers = np.array(hours, dtype="int64")
    start = (pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(numbers, unit="h")).as_unit("us")
    frame = pd.DataFrame(
        {
            "contract": 20240300 + 100 * (numbers % 3) if contract is None else contract,
            "frequency": pd.Categorical(np.where(numbers % 2, "H", "D"), categories=["D", "H"]),
            "start": start,
            "FINAL": numbers.astype(float),
        }
    )
    return frame.sort_values(KEY, ignore_index=True)


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(months, "FILE_ROWS", 100)
    monkeypatch.setattr("tradeflow_core.store.parquet.RECENT_ROWS", 20)


def folders(root: Path) -> list[str]:
    return sorted(child.name for child in (root / "contract_prices").iterdir() if months.is_month(child.name))


MONTH_HOURS = 730
"""About a month."""


@pytest.mark.parametrize("root", ["here", "memory://tradeflow-months"])
def test_a_long_file_is_split_at_months_and_read_as_one(root: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path) if root == "here" else root)
    hours = list(range(0, 12 * MONTH_HOURS, 11))
    store.write("contract_prices", "GOLD", bars(hours))
    pd.testing.assert_frame_equal(store.read("contract_prices", "GOLD"), bars(hours))
    assert len(store.places("contract_prices", "GOLD")) == 12, "66 bars a month: two months are more than a file holds"
    assert store.names("contract_prices") == ["GOLD"]
    assert int(run_query(open_query(store), "select count(*) as n from contract_prices where name = 'GOLD'")["n"].iloc[0]) == len(
        hours
    )
    store.write("contract_prices", "GOLD", bars(hours[:30]))
    assert len(store.places("contract_prices", "GOLD")) == 1, "what is written replaces all files"
    store.delete("contract_prices", "GOLD")
    assert store.places("contract_prices", "GOLD") == []


def test_months_with_few_bars_share_a_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("contract_prices", "GOLD", bars(list(range(0, 24 * MONTH_HOURS, 100))))
    assert folders(tmp_path) == ["2025-02"]


def test_a_day_rewrites_only_the_newest_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("contract_prices", "GOLD", bars(list(range(0, 12 * MONTH_HOURS, 11))))
    before = {place: store.path(*place).stat().st_ino for place in store.places("contract_prices", "GOLD")}
    store.append("contract_prices", "GOLD", bars(list(range(12 * MONTH_HOURS, 12 * MONTH_HOURS + 30))))
    changed = [place for place, number in before.items() if store.path(*place).stat().st_ino != number]
    assert changed == [("contract_prices/2024-12", "GOLD")]


batches = st.lists(
    st.lists(st.integers(0, 6 * MONTH_HOURS), min_size=1, max_size=60, unique=True),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches)
def test_whatever_is_appended_in_whatever_order_is_read_once_and_sorted(
    tmp_path_factory: pytest.TempPathFactory, given: list[list[int]]
) -> None:
    store, stored = Store(str(tmp_path_factory.mktemp("store"))), set[int]()
    for hours in given:
        store.append("contract_prices", "GOLD", bars(hours))
        stored |= set(hours)
        pd.testing.assert_frame_equal(store.read("contract_prices", "GOLD"), bars(sorted(stored)))
        assert sorted(store.read("contract_prices", "GOLD", ["FINAL"])["FINAL"]) == sorted(stored)
        for place in store.places("contract_prices", "GOLD"):
            rows = pd.read_parquet(store.path(*place))
            assert len(rows) <= 100 or rows["start"].dt.strftime("%Y-%m").nunique() == 1


def test_a_bar_that_is_there_already_stays_as_it_is_in_whichever_file_it_lies(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    hours = list(range(0, 12 * MONTH_HOURS, 11))
    store.write("contract_prices", "GOLD", bars(hours))
    store.append("contract_prices", "GOLD", bars([*hours[::7], 1, 5000]).assign(FINAL=-1.0))
    read = store.read("contract_prices", "GOLD")
    assert len(read) == len(hours) + 2 and (read["FINAL"] == -1).sum() == 2


APPENDER = """
import sys; sys.path.insert(0, {root!r})
from tests.test_store_months import bars
from tradeflow_core.parquet import months
from tradeflow_core.store import Store, parquet
parquet.RECENT_ROWS, months.FILE_ROWS = 20, 100
store = Store({folder!r})
done = len(store.read("contract_prices", "GOLD"))
while True:
    store.append("contract_prices", "GOLD", bars(list(range(done * 20, (done + 15) * 20, 20))))
    done += 15
    print(done, flush=True)
"""


@pytest.mark.slow
def test_an_appender_killed_while_it_splits_files_loses_nothing_and_a_reader_always_sees_all(tmp_path: Path) -> None:
    store, dice = Store(str(tmp_path)), random.Random(3)
    store.append("contract_prices", "GOLD", bars([0]))
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", APPENDER.format(root=str(REPO), folder=str(tmp_path))], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        promised = int(process.stdout.readline())
        ends = time.monotonic() + dice.uniform(0.05, 0.5)
        while time.monotonic() < ends:
            rows = store.read("contract_prices", "GOLD")
            assert len(rows) >= promised, "a reader beside the writer misses rows"
            pd.testing.assert_frame_equal(rows, bars(list(range(0, len(rows) * 20, 20))))
            promised = len(rows)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        promised = max(promised, int((process.stdout.read().split() or ["0"])[-1]))
        process.stdout.close()
        rows = store.read("contract_prices", "GOLD")
        assert len(rows) >= promised
        pd.testing.assert_frame_equal(rows, bars(list(range(0, len(rows) * 20, 20))))
    assert len(folders(tmp_path)) > 3
