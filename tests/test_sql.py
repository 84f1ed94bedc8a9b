"""SQL over a home reads the tables of that home, and nothing else of the machine; it writes nowhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from tests.commands import answer, run, said
from tests.test_store import frame
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import Home
from tradeflow_core.store import Store, open_query, run_query

SECRET = "the password of somebody"

DOORS = [
    "select * from read_text('{secret}')",
    "select * from read_blob('{secret}')",
    "select * from read_csv('{secret}', header=false)",
    "select * from read_json('{secret}')",
    "select * from '{secret}'",
    "select * from 'file://{secret}'",
    "select * from read_text('file://{secret}')",
    "select * from read_text(['{secret}'])",
    "select * from read_text('{data}/../secret.txt')",
    "select * from read_text('{data}/link.txt')",
    "select * from read_parquet('{other}')",
    "select * from '{other}'",
    "select * from parquet_schema('{other}')",
    "select * from sniff_csv('{secret}')",
    "select * from glob('{folder}/*')",
    "select * from glob('{data}/**')",
    "select * from query('select * from read_text(''{secret}'')')",
    "select * from read_text('/proc/self/environ')",
    "select * from 'http://127.0.0.1:9/x.csv'",
    "select getenv('HOME')",
    "select * from duckdb_secrets()",
    "select * from secret_variable",
    "with x as (copy (select 1) to '{folder}/written.csv') select * from x",
    "with x as (copy (select 1) to '{data}/prices/GOLD.parquet') select * from x",
    "with x as materialized (copy (select 1) to '{ledger}') select 1",
    "explain analyze copy (select 1) to '{ledger}'",
    "explain select 1",
    "copy prices to '{folder}/written.csv'",
    "copy (select 1) to '{ledger}'",
    "export database '{folder}/written'",
    "import database '{folder}'",
    "attach '{folder}/written.db' as x",
    "attach '{ledger}' as x (type sqlite)",
    "install httpfs",
    "load '{folder}/x.duckdb_extension'",
    "pragma database_list",
    "call pragma_version()",
    "set enable_external_access = true",
    "reset lock_configuration",
    "create table x as select 1",
    "create secret x (type s3)",
    "drop table prices",
    "delete from prices",
    "with x as (delete from prices returning *) select * from x",
    "select 1; select 2",
    "select 1; copy (select 1) to '{folder}/written.csv'",
    "begin",
    "prepare x as select 1",
    "vacuum",
    "",
    "-- nothing",
    "select \udcff",
]
"""Statements that would read, write or reach what is no table of the home."""


def contents(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, Path]:
    """A store with one dataset, in a folder with a secret, a Parquet file of somebody else and the file of a ledger."""
    places = {"folder": tmp_path, "data": tmp_path / "home" / "data", "ledger": tmp_path / "home" / "ledger.sqlite"}
    places |= {"secret": tmp_path / "home" / "secret.txt", "other": tmp_path / "other.parquet"}
    Store(str(places["data"])).write("prices", "GOLD", frame(4, 2.0))
    places["secret"].write_text(SECRET)
    places["ledger"].write_text(SECRET)
    (places["data"] / "link.txt").symlink_to(places["secret"])
    pd.DataFrame({"secret": [SECRET]}).to_parquet(places["other"])
    return places


@pytest.mark.parametrize("statement", DOORS)
def test_a_statement_reads_and_writes_no_file(
    statement: str, machine: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret_variable = pd.DataFrame({"secret": [SECRET]})
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"^sql: ") as refused:
        run_query(open_query(Store(str(machine["data"]))), statement.format_map(machine))
    assert SECRET not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert contents(tmp_path) == before
    assert len(secret_variable) == 1


def test_the_command_refuses_a_copy_into_the_ledger_and_answers_a_select(home: Home) -> None:
    desk = Desk(home)
    desk.store.write("adjusted_prices", "GOLD", frame(4, 2.0))
    with desk.ledger.begin():
        pass
    desk.close()
    before = contents(home.path)
    refused = run(home.path, "sql", f"explain analyze copy (select 1) to '{home.path / 'ledger.sqlite'}'")
    assert refused.exit_code == 1
    assert "exactly one SELECT is run here, and this is EXPLAIN" in said(refused)
    assert {name: text for name, text in contents(home.path).items() if "-shm" not in name} == {
        name: text for name, text in before.items() if "-shm" not in name
    }
    assert answer(home.path, "sql", "select name, last(price) as price from adjusted_prices group by 1") == [
        {"name": "GOLD", "price": 2.0}
    ]
    assert answer(home.path, "sql", "select count(*) as n from fills where instrument = 'CORN'") == [{"n": 0}]


def test_values_that_json_does_not_know_are_answered_as_text(home: Home) -> None:
    assert answer(home.path, "sql", "select 'a'::blob as a, interval 1 day as b, '12:00'::time as c")[0]["c"] == "12:00:00"


@pytest.mark.parametrize(
    "name", ["it's", "a b", "what?", "#1", "[x]", "{a,b}", "star*", "100%20", "ünï", 'say "so"', "a;b", "$HOME"]
)
def test_odd_characters_in_the_names_of_folders_and_files_make_no_difference(name: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / name / "data"))
    store.write("prices", name, frame(3, 2.0))
    store.write("prices", "GOLD", frame(2, 1.0))
    rows = run_query(open_query(store), "select name, sum(price) as total from prices group by 1 order by total")
    assert rows.to_dict("records") == [{"name": "GOLD", "total": 2.0}, {"name": name, "total": 6.0}]


def test_files_with_other_columns_are_one_table(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("prices", "A", pd.DataFrame({"price": [1, 2], "kind": pd.Categorical(["x", "y"])}))
    store.write("prices", "B", pd.DataFrame({"price": [1.5], "kind": ["z"], "note": ["new"]}))
    rows = run_query(
        open_query(store), "select name, max(price) as price, max(kind) as kind, max(note) as note from prices group by 1"
    )
    assert sorted(map(str, rows.itertuples(index=False, name=None))) == ["('A', 2.0, 'y', nan)", "('B', 1.5, 'z', 'new')"]


def test_the_last_row_of_a_long_file_is_its_newest(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("A", "B"):
        store.write("prices", name, pd.DataFrame({"price": range(400_000)}))
    newest = run_query(open_query(store), "select name, last(price) as price from prices group by 1")
    assert newest["price"].tolist() == [399_999, 399_999]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("prices", "GOLD", frame(3))
    (tmp_path / "prices" / "CORN.parquet").write_bytes(b"PAR1")
    with pytest.raises(StateError, match=r"CORN\.parquet is not a readable Parquet file"):
        open_query(store)
    told: list[str] = []
    rows = run_query(open_query(store, tell=told.append), "select distinct name from prices")
    assert rows["name"].tolist() == ["GOLD"] and len(told) == 1 and "left out" in told[0]
