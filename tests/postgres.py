"""Databases for the tests: SQLite files, and a PostgreSQL server, started once, in a folder of its own, on a free port of 127.0.0.1, and
ended with them."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tradeflow_core.home import SETTINGS_FILE
from tradeflow_core.ledger import Ledger
from tradeflow_core.ledger.copies import fill_database
from tradeflow_core.store import create_sql_engine

USER = "tradeflow"


def program(name: str) -> Path | None:
    """A program of the newest PostgreSQL here: on the path, or where Debian keeps it."""
    if found := shutil.which(name):
        return Path(found)
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parent.parent.name))
    return versions[-1] if versions else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a running server, `postgresql://tradeflow@127.0.0.1:PORT`; a skip where PostgreSQL is not installed."""
    pytest.importorskip("psycopg2", reason="needs the Python package psycopg2 (extra `postgres`)")
    initdb, server = program("initdb"), program("postgres")
    if initdb is None or server is None:
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    # Not pytest's folder: root's is closed to the user as whom the server has to run, since it refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="tradeflow-postgres-"))
    who: dict[str, Any] = {"cwd": folder}  # as whom, and where, the programs run
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        who |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
    subprocess.run([initdb, "--pgdata", folder / "data", *options], check=True, stdout=subprocess.DEVNULL, **who)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        arguments = ["-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-c", "fsync=off"]
        process: subprocess.Popen[bytes] = subprocess.Popen([str(server), *map(str, arguments)], stdout=log, stderr=log, **who)
    try:
        _wait(port, process, folder / "log")
        yield f"postgresql://{USER}@127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)  # does not wait for connections that a failed test left open
        process.wait(30)
        shutil.rmtree(folder)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        try:
            _connect(port).close()
            return
        except Exception as error:
            waiting = error
        time.sleep(0.1)
    raise AssertionError(f"PostgreSQL does not answer: {waiting}; {log.read_text()}")


def _connect(port: int) -> Any:
    import psycopg2

    return psycopg2.connect(host="127.0.0.1", port=port, user=USER, dbname="postgres")


@pytest.fixture
def new_postgres_database(postgres: str) -> Callable[[], str]:
    """Makes an empty database and returns its URL."""

    return lambda: create_database(postgres)


def create_database(server: str) -> str:
    """Make an empty database in the server with that address; returns its URL."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _execute(server, f"create database {name}")
    return f"{server}/{name}"


def drop_database(url: str) -> None:
    """Drop a database, whoever is connected to it."""
    server, _, name = url.rpartition("/")
    _execute(server, f"drop database {name} with (force)")


def _execute(server: str, statement: str) -> None:
    connection = _connect(int(server.rsplit(":", 1)[1]))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def move_ledger(home: Path, url: str) -> None:
    """Move the ledger of a home from SQLite to the empty PostgreSQL database `url`."""
    engine = create_sql_engine(url)
    fill_database(home / "ledger.sqlite", engine)
    engine.dispose()
    (home / "ledger.sqlite").unlink()
    settings = home / SETTINGS_FILE
    settings.write_text(f'database = "{url}"\n{settings.read_text(encoding="utf-8")}', encoding="utf-8")


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes an empty database, of each kind in turn, and returns its URL."""
    if request.param == "postgresql":
        return request.getfixturevalue("new_postgres_database")  # type: ignore[no-any-return]
    numbers = itertools.count()
    return lambda: f"sqlite:///{tmp_path / f'ledger{next(numbers)}.sqlite'}"


@pytest.fixture
def ledger(new_database: Callable[[], str]) -> Iterator[Ledger]:
    """An empty ledger, in each kind of database."""
    ledger = Ledger.open(new_database())
    yield ledger
    ledger.close()
