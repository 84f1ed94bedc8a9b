"""SQLite databases as files: whether one is sound, and a copy of one that may be in use.

With the standard library alone: what is copied or looked at may have the tables of any version.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

from tradeflow_core.errors import StateError
from tradeflow_core.home.files import finished_file

SQLITE = "sqlite:///"
PARTS = ("", "-wal", "-shm")
"""The files of one database, by what is added to its name."""


def sqlite_url(path: Path) -> str:
    """The URL of the database in a file, whatever characters its path has."""
    return SQLITE + quote(str(path), safe="/\\: ")


def sqlite_path(url: str) -> Path | None:
    """The file that the URL of a database names; None where it names no file."""
    return Path(unquote(url.removeprefix(SQLITE))) if url.startswith(SQLITE) else None


def is_sqlite(path: Path) -> bool:
    """Whether the file begins as an SQLite database does. A missing or empty one does not.

    SQLite looks, not we: whoever opens and closes the file of a database by other means takes away the locks that connections of the same
    process have on it (POSIX). Another process that closes it then takes itself for the last, and removes the write-ahead log in which this
    one goes on to write.
    """
    if not (path.is_file() and path.stat().st_size):
        return False
    try:
        with closing(_connect(path)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        return error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN)
    return True


def is_without_room(error: sqlite3.Error) -> bool:
    """Whether the disk, not the database, is what is wrong: it is full, or cannot be written. What cannot be read may be damaged."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    reading = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)
    return code & 0xFF == sqlite3.SQLITE_FULL or (code & 0xFF == sqlite3.SQLITE_IOERR and code not in reading)


def sqlite_problems(path: Path, *, quick: bool = False) -> list[str]:
    """What SQLite finds wrong with the structure of a database file; empty where it is sound. Raises StateError where the disk is full.

    `quick`: without comparing the indexes with their tables, which takes half the time. The file is read once as a whole.
    """
    if not is_sqlite(path):
        return [_no_database(path)]
    try:
        with closing(_connect(path)) as connection:
            found = connection.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check(20)").fetchall()
    except sqlite3.Error as error:
        if is_without_room(error):
            raise StateError(f"{path} cannot be looked at ({error}); make room on the disk, then do this again") from error
        return [f"{path.name}: {error}"]
    said = [line for row in found for line in _text(row[0]).splitlines()]
    return [] if said == ["ok"] else [f"{path.name}: {' '.join(line.split())}" for line in said]


def copy_sqlite(source: Path, target: Path) -> dict[str, int]:
    """Write a copy of the database `source`, as it is at one instant, to the new file `target`; returns the number of rows by table.

    `source` may be in use. The copy is made under a temporary name, checked, synced to disk and then renamed. Raises StateError where
    `source` is damaged, or cannot be copied.
    """
    if not is_sqlite(source):
        raise StateError(f"{_no_database(source)}; no copy was made")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with finished_file(target) as temporary:
            with closing(_connect(source)) as connection, closing(sqlite3.connect(temporary)) as copy:
                connection.execute("BEGIN")  # what is counted is what is copied
                counts = _counts(connection)
                connection.backup(copy)
                copied = _counts(copy)
            as_one_file(temporary)
            if problems := sqlite_problems(temporary):
                raise StateError(f"{source} is damaged ({'; '.join(problems)}); no copy was made")
            if copied != counts:
                raise StateError(f"the copy of {source} has other rows than it ({copied}, not {counts}); no copy was made")
    except (sqlite3.Error, OSError) as error:
        raise StateError(f"{source} cannot be copied to {target} ({error}); no copy was made") from error
    return counts


def as_one_file(path: Path) -> None:
    """Have a database that nobody uses keep everything in its one file, without a write-ahead log beside it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that only reads, so that a damaged database stays as it is found."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30, isolation_level=None)
    connection.text_factory = bytes
    return connection


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    tables = [_text(row[0]) for row in connection.execute("select name from sqlite_master where type = 'table' order by name")]
    return {table: int(connection.execute(f'select count(*) from "{table}"').fetchone()[0]) for table in tables}


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _no_database(path: Path) -> str:
    if not path.exists():
        return f"{path} is missing"
    return f"{path} is empty" if path.stat().st_size == 0 else f"{path} is not an SQLite database"
