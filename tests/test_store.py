"""Files are replaced as a whole, SQL over them only reads."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.ledger import Ledger
from tradeflow_core.store import APPENDED, Store, create_sql_engine, open_query, run_query


def frame(rows: int, value: float = 1.0) -> pd.DataFrame:
    return pd.DataFrame(
        {"price": value}, index=pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", name="time").as_unit("us")
    )


def test_what_was_written_is_read_back_with_its_index(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("prices", "GOLD-micro.x", frame(5))
    pd.testing.assert_frame_equal(store.read("prices", "GOLD-micro.x"), frame(5), check_freq=False)
    assert store.names("prices") == ["GOLD-micro.x"]


@pytest.mark.parametrize("tz", [None, "UTC", "Europe/London", "+01:00"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_every_kind_of_column_comes_back_as_it_was(tmp_path: Path, tz: str | None, unit: Literal["ms", "us", "ns"]) -> None:
    store, index = Store(str(tmp_path)), pd.date_range("2024-01-01", periods=3, tz=tz, name="time").as_unit(unit)
    columns: dict[str, object] = {
        "float": [1.0, np.nan, -np.inf],
        "whole": np.array([1, 2, 3]),
        "short": np.array([1, 2, 3], dtype="int8"),
        "maybe": pd.array([1, None, 3], dtype="Int64"),
        "flag": [True, False, True],
        "text": pd.array(["a", None, "c"], dtype="str"),
        "kind": pd.Categorical(["x", "y", None]),
        "when": index,
        "then": pd.Series([index[0], pd.NaT, index[2]]).to_numpy()
        if tz is None
        else pd.DatetimeIndex([index[0], pd.NaT, index[2]]),
    }
    for name in ("first", "second"):
        for number, by in enumerate((index, pd.RangeIndex(3), pd.RangeIndex(5, 8), pd.Index(["a", "b", "c"]))):
            given = pd.DataFrame(columns, index=by)
            store.write("kinds", f"{name}{number}", given)
            pd.testing.assert_frame_equal(store.read("kinds", f"{name}{number}"), given, check_freq=False)
            store.write("kinds", "short", given.iloc[:1])
            pd.testing.assert_frame_equal(store.read("kinds", "short"), given.iloc[:1], check_freq=False)
            store.write("kinds", "mixed", given.assign(mixed=np.array([1, 2, 3], dtype=object)))
            assert store.read("kinds", "mixed")["mixed"].tolist() == [1, 2, 3]


def test_the_same_code_works_on_an_object_store() -> None:
    store = Store("memory://tradeflow-test")
    store.write("prices", "GOLD", frame(3))
    assert store.names("prices") == ["GOLD"]
    assert len(store.read("prices", "GOLD")) == 3
    assert int(run_query(open_query(store), "select count(*) as n from prices")["n"].iloc[0]) == 3


def test_a_missing_artifact_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="adjusted_prices of GOLD has not been made yet"):
        Store(str(tmp_path)).read("adjusted_prices", "GOLD")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "GOLD.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(StateError, match=r"GOLD\.parquet is not a readable Parquet file"):
        Store(str(tmp_path)).read("prices", "GOLD")


WRITER = """
import sys; sys.path.insert(0, {root!r})
from tests.test_store import frame
from tradeflow_core.store import Store
store, value = Store({folder!r}), 0
while True:
    value += 1
    store.write("prices", "GOLD", frame(50_000, value))
    print(value, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    store, dice = Store(str(tmp_path)), random.Random(1)
    store.write("prices", "GOLD", frame(50_000, 0))
    root = str(Path(__file__).resolve().parent.parent)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER.format(root=root, folder=str(tmp_path))], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        values = store.read("prices", "GOLD")["price"]
        assert len(values) == 50_000
        assert values.nunique() == 1


def bars(numbers: Iterable[int]) -> pd.DataFrame:
    """One bar of FINAL n for each number n, in that order."""
    numbers = list(numbers)
    start = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.array(numbers), unit="h")
    frequency = pd.Categorical(["DH"[n % 2] for n in numbers], categories=["D", "H"])
    frame = {
        "contract": [202403 + n % 3 for n in numbers],
        "frequency": frequency,
        "start": start.as_unit("us"),
        "FINAL": np.array(numbers, float),
    }
    return pd.DataFrame(frame)


def in_order(numbers: Iterable[int]) -> pd.DataFrame:
    return bars(numbers).sort_values(APPENDED["contract_prices"], ignore_index=True)


@pytest.mark.parametrize("root", ["here", "memory://tradeflow-append"])
def test_appended_rows_are_read_in_their_place_whether_they_lie_apart_or_were_merged(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradeflow_core.store.parquet.RECENT_ROWS", 10)
    store = Store(str(tmp_path) if root == "here" else root)
    apart = []
    for n in range(0, 60, 3):
        store.append("contract_prices", "GOLD", in_order(range(n, n + 3)))
        pd.testing.assert_frame_equal(store.read("contract_prices", "GOLD"), in_order(range(n + 3)))
        assert sorted(store.read("contract_prices", "GOLD", ["FINAL"])["FINAL"]) == list(range(n + 3))
        apart.append(len(store.tables("contract_prices", "GOLD")) == 2)
    assert set(apart) == {True, False}
    assert store.names("contract_prices") == ["GOLD"]
    assert int(run_query(open_query(store), "select count(*) as n from contract_prices where name = 'GOLD'")["n"].iloc[0]) == 60
    store.append("contract_prices", "GOLD", in_order([60]))
    store.write("contract_prices", "GOLD", in_order(range(5)))
    assert len(store.read("contract_prices", "GOLD")) == 5, "what is written replaces what was appended"
    store.append("contract_prices", "GOLD", in_order([60]))
    store.delete("contract_prices", "GOLD")
    store.append("contract_prices", "GOLD", in_order([7]))
    pd.testing.assert_frame_equal(store.read("contract_prices", "GOLD"), bars([7]))


def test_what_a_killed_merge_left_behind_goes_with_the_next_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradeflow_core.store.parquet.RECENT_ROWS", 10)
    store, recent = Store(str(tmp_path)), tmp_path / "contract_prices" / "recent" / "GOLD.parquet"
    store.append("contract_prices", "GOLD", in_order(range(4)))
    store.append("contract_prices", "GOLD", in_order(range(4, 12)))
    left_over = recent.read_bytes()
    store.append("contract_prices", "GOLD", in_order(range(12, 16)))
    assert not recent.exists()
    recent.write_bytes(left_over)
    pd.testing.assert_frame_equal(store.read("contract_prices", "GOLD"), in_order(range(16)))
    store.append("contract_prices", "GOLD", in_order([16]))
    assert len(pd.read_parquet(recent)) == 1
    pd.testing.assert_frame_equal(store.read("contract_prices", "GOLD"), in_order(range(17)))


def test_a_row_that_is_there_already_stays_as_it_is(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.append("contract_prices", "GOLD", in_order(range(6)))
    store.append("contract_prices", "GOLD", in_order(range(4, 9)).assign(FINAL=-1.0))
    store.append("contract_prices", "GOLD", in_order(range(7, 10)).assign(FINAL=-2.0))
    expected = in_order(range(10))
    known = expected["FINAL"].copy()
    expected["FINAL"] = np.select([known < 6, known < 9], [known, -1.0], -2.0)
    pd.testing.assert_frame_equal(store.read("contract_prices", "GOLD"), expected)


APPENDER = """
import sys; sys.path.insert(0, {root!r})
from tests.test_store import in_order
from tradeflow_core.store import Store, parquet
parquet.RECENT_ROWS = 6
store = Store({folder!r})
done = len(store.read("contract_prices", "GOLD"))
while True:
    store.append("contract_prices", "GOLD", in_order(range(done, done + 2)))
    done += 2
    print(done, flush=True)
"""


def test_an_appender_killed_at_any_moment_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    store, dice = Store(str(tmp_path)), random.Random(2)
    store.append("contract_prices", "GOLD", in_order([0, 1]))
    root = str(Path(__file__).resolve().parent.parent)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", APPENDER.format(root=root, folder=str(tmp_path))], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        promised = int((process.stdout.read().split() or ["0"])[-1])
        process.stdout.close()
        rows = store.read("contract_prices", "GOLD")
        assert len(rows) >= promised
        pd.testing.assert_frame_equal(rows, in_order(range(len(rows))))


def test_sql_sees_the_store_and_the_ledger_and_changes_neither(tmp_path: Path) -> None:
    store, ledger = Store(str(tmp_path / "data")), Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    store.write("adjusted_prices", "GOLD", frame(4, 2.0))
    with ledger.read() as view:
        query = open_query(store, view)
    assert run_query(query, "select name, sum(price) as total from adjusted_prices group by 1").to_dict("records") == [
        {"name": "GOLD", "total": 8.0}
    ]
    for statement in (
        "drop view adjusted_prices",
        "create table x (a int)",
        "select 1; select 2",
        "copy adjusted_prices to 'x.csv'",
    ):
        with pytest.raises(ConfigError, match="SELECT"):
            run_query(query, statement)
    with pytest.raises(ConfigError, match="show tables"):
        run_query(query, "select * from nowhere")


def test_a_sqlite_transaction_is_durable_and_takes_the_lock_at_once(tmp_path: Path) -> None:
    engine = create_sql_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with engine.connect() as connection:
        assert connection.execute(text("pragma journal_mode")).scalar() == "wal"
        assert connection.execute(text("pragma synchronous")).scalar() == 2
        assert connection.execute(text("pragma foreign_keys")).scalar() == 1


def test_another_database_is_refused() -> None:
    with pytest.raises(ConfigError, match="sqlite"):
        create_sql_engine("mysql://x/y")
