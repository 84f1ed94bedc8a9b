"""Files are replaced as a whole, SQL over them only reads."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import text

from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.ledger import Ledger
from tradeflow_core.store import Store, create_sql_engine, open_query, run_query


def frame(rows: int, value: float = 1.0) -> pd.DataFrame:
    return pd.DataFrame({"price": value}, index=pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", name="time").as_unit("us"))


def test_what_was_written_is_read_back_with_its_index(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("prices", "GOLD-micro.x", frame(5))
    pd.testing.assert_frame_equal(store.read("prices", "GOLD-micro.x"), frame(5), check_freq=False)
    assert store.names("prices") == ["GOLD-micro.x"]


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


def test_sql_sees_the_store_and_the_ledger_and_changes_neither(tmp_path: Path) -> None:
    store, ledger = Store(str(tmp_path / "data")), Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    store.write("adjusted_prices", "GOLD", frame(4, 2.0))
    query = open_query(store, ledger.engine)
    assert run_query(query, "select name, sum(price) as total from adjusted_prices group by 1").to_dict("records") == [{"name": "GOLD", "total": 8.0}]
    for statement in ("drop view adjusted_prices", "create table x (a int)", "select 1; select 2", "copy adjusted_prices to 'x.csv'"):
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
