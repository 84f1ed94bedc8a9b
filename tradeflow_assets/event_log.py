"""Dagster's event log in SQLite, with its connections kept open.

The packaged log makes an engine and a connection for every event and closes it again, which costs two file synchronisations and the
compilation of every statement: 12 to 40 ms an event, and a price run has hundreds. This one keeps the connections of the files last used, and
lets SQLite synchronise at checkpoints only (write-ahead log, synchronous=NORMAL): a power cut may lose the newest events, but cannot
damage the file. The files have the format of the packaged log. The state of the desk is in the ledger, not here.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event

OPEN_FILES = 16
"""Files kept open: the index of all runs, and one for each of the runs last used."""

BUSY_SECONDS = 30
"""How long to wait for another process that writes to the same file."""


class QuickEventLog(SqliteEventLogStorage):
    """The packaged SQLite event log, made faster by keeping its connections open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._columns: dict[str, bool] = {}
        super().__init__(base_dir, inst_data)
        # Opening a file for the first time logs messages. If the user's `dagster.yaml` captures Python's loggers, each message is an event
        # to be stored here, by the thread that holds the lock: a plain lock would block for ever (dagster issue 32217).
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "QuickEventLog":
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            engine = create_engine(self.conn_string_for_shard(shard), pool_size=1, connect_args={"timeout": BUSY_SECONDS})
            event.listen(engine, "connect", _synchronise_at_checkpoints)
            self._initdb(engine)
            if shard in self._engines:  # meanwhile opened by an event that `_initdb` logged
                engine.dispose()
            else:
                self._engines[shard] = engine
            if len(self._engines) > OPEN_FILES:
                self._engines.popitem(last=False)[1].dispose()
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._columns:
            self._columns[column_name] = super()._has_asset_key_col_on_connection(conn, column_name)
        return self._columns[column_name]

    def dispose(self) -> None:
        """Close every file."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()


def _synchronise_at_checkpoints(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
