"""Copies of a ledger: from either database into one SQLite file, and from such a file into an empty PostgreSQL database.

A copy has the tables of the revision that its source has, whatever that is, so that a ledger can be copied before it is upgraded.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, Table, delete, func, insert, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from tradeflow_core.errors import StateError
from tradeflow_core.home import (
    BACKUPS,
    SETTINGS_FILE,
    WallClock,
    as_one_file,
    copy_sqlite,
    finished_file,
    sqlite_problems,
    sqlite_url,
)
from tradeflow_core.ledger.migrate import migrate, migration
from tradeflow_core.ledger.trouble import LedgerRefused, place
from tradeflow_core.store import create_sql_engine, read_only

VERSION = "alembic_version"
BATCH = 5000
"""Rows that are held in memory at a time."""


def copy_ledger(source: Engine, target: Path) -> dict[str, int]:
    """Write a copy of a ledger, as it is at one instant, to the new SQLite file `target`; returns the number of rows by table.

    The copy has been checked, and is complete or not there. Raises StateError where the source is damaged or the copy cannot be made.
    """
    if source.dialect.name == "sqlite":
        return copy_sqlite(Path(source.url.database or ""), target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with finished_file(target) as temporary:
            counts = _copy_out(source, temporary)
            as_one_file(temporary)
            if problems := sqlite_problems(temporary):
                raise StateError(f"the copy {target} is damaged ({'; '.join(problems)}); no copy was made")
    except (SQLAlchemyError, OSError) as error:
        raise StateError(f"the ledger cannot be copied to {target} ({error}); no copy was made") from error
    return counts


def fill_database(source: Path, target: Engine) -> dict[str, int]:
    """Put the rows of a copy into an empty PostgreSQL database, in one transaction; returns the number of rows by table.

    Raises StateError where the database has tables already.
    """
    copy = create_sql_engine(sqlite_url(source))
    try:
        with read_only(copy) as view, migration(target.url) as tx:
            if there := inspect(tx).get_table_names():
                raise StateError(
                    f"the database {target.url.render_as_string(hide_password=True)} is not empty (it has {', '.join(sorted(there)[:3])} ...); "
                    "make an empty one and name it with --database"
                )
            migrate(tx, revision_of(view) or "head")
            counts = _copy_rows(view, tx)
            _set_sequences(tx)
        return counts
    finally:
        copy.dispose()


def copy_before_upgrade(source: Engine, revision: str, home: Path | None) -> str:
    """Copy a ledger and the settings of its home into the folder `backups` before the ledger is upgraded; says where the copy is.

    Without a home the copy of a file lies beside it, and a PostgreSQL database is not copied.
    """
    database = source.url.database or ""
    if home is None and (source.dialect.name != "sqlite" or database in ("", ":memory:")):
        return ""
    name = f"before-upgrade-{revision}-{WallClock().now():%Y%m%dT%H%M%S}"
    if source.dialect.name == "sqlite" and (problems := sqlite_problems(Path(database))):
        raise LedgerRefused(place(source), f"it is damaged ({'; '.join(problems[:3])})")
    copy = (home or Path(database).parent) / BACKUPS / f"{name}.sqlite"
    copy_ledger(source, copy)
    if home is not None and (home / SETTINGS_FILE).exists():
        shutil.copyfile(home / SETTINGS_FILE, copy.with_suffix(".toml"))
    return f"; what it was before is in {copy}"


def revision_of(view: Connection) -> str | None:
    """The revision of the schema of a ledger; None where the database holds no ledger."""
    if not inspect(view).has_table(VERSION):
        return None
    return view.execute(text(f"select version_num from {VERSION}")).scalar_one_or_none()


def _copy_out(source: Engine, file: Path) -> dict[str, int]:
    copy = create_sql_engine(sqlite_url(file))
    try:
        with read_only(source) as view:
            with migration(copy.url) as tx:
                migrate(tx, revision_of(view) or "head")
            with copy.begin() as tx:
                counts = _copy_rows(view, tx)
        return counts
    finally:
        copy.dispose()


def _copy_rows(view: Connection, tx: Connection) -> dict[str, int]:
    """Replace the rows of all tables of `tx`, which has the same schema, by those of `view`; returns their number by table."""
    theirs, ours = MetaData(), MetaData()
    theirs.reflect(view)
    ours.reflect(tx)
    if different := set(theirs.tables) ^ set(ours.tables):
        raise StateError(f"the ledger has other tables than its revision says ({', '.join(sorted(different))}); no copy was made")
    tables = [table for table in ours.sorted_tables if table.name != VERSION]
    for table in reversed(tables):  # what a migration has put there
        tx.execute(delete(table))
    return {table.name: _copy_table(view, tx, theirs.tables[table.name], ours=table) for table in tables}


def _copy_table(view: Connection, tx: Connection, theirs: Table, *, ours: Table) -> int:
    names = [each.name for each in ours.columns]
    if set(names) != {each.name for each in theirs.columns}:
        raise StateError(f"the table {ours.name} has other columns than its revision says; no copy was made")
    rows, count = view.execution_options(stream_results=True).execute(select(*(theirs.c[name] for name in names))), 0
    for part in rows.partitions(BATCH):
        tx.execute(insert(ours), [dict(zip(names, row, strict=True)) for row in part])
        count += len(part)
    there = tx.execute(select(func.count()).select_from(ours)).scalar_one()
    if there != count:
        raise StateError(f"{there} of {count} rows of {ours.name} have arrived; no copy was made")
    return count


def _set_sequences(tx: Connection) -> None:
    """The next id of each table of a PostgreSQL database comes after those that were copied into it."""
    for table in inspect(tx).get_table_names():
        if any(each["name"] == "id" and each["autoincrement"] for each in inspect(tx).get_columns(table)):
            newest = tx.execute(text(f"select max(id) from {table}")).scalar()
            if newest is not None:
                tx.execute(
                    text("select setval(pg_get_serial_sequence(:table, 'id'), :newest)"), {"table": table, "newest": newest}
                )
