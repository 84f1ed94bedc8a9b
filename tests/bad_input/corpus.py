"""How a bad input is given to the command, and what has to come of it."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import traceback
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from tests.commands import said
from tradeflow_core.cli.main import root

WHY = ("--why", "a test")
OWN_OF_THE_EXCHANGE = ("session",)
"""A table of the paper exchange that counts connections: to ask the broker something is no change."""


def state_of(home: Path) -> dict[str, str]:
    """What is in a home: a hash of every file, and of the rows of every database."""
    state = {}
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        if path.is_dir():
            state[name] = "a folder"
        elif path.suffix == ".sqlite":
            state[name] = _rows(path)
        elif not name.endswith(("-wal", "-shm")):
            state[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return state


def _rows(path: Path) -> str:
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table' order by name").fetchall():
            if table not in OWN_OF_THE_EXCHANGE:
                digest.update(repr((table, connection.execute(f'select * from "{table}"').fetchall())).encode())
    return digest.hexdigest()


def given(home: Path, words: tuple[str, ...], environment: Mapping[str, str] | None = None) -> Result:
    """The result of a command, which has to be a refusal in one message; the home has to be as it was."""
    before = state_of(home)
    result = CliRunner().invoke(root, ["--home", str(home), *words], env=environment)
    unexpected = result.exception if not isinstance(result.exception, SystemExit) else None
    assert unexpected is None, "".join(traceback.format_exception(unexpected))
    assert result.exit_code in (1, 2), f"it was taken: {result.output[-500:]}"
    assert len(re.findall(r"^error:", result.stderr, re.MULTILINE | re.IGNORECASE)) == 1, result.output
    assert state_of(home) == before, "the home was changed"
    return result


def refused(home: Path, words: tuple[str, ...], message: str, environment: Mapping[str, str] | None = None) -> None:
    """The command refuses `words`, and says `message`."""
    result = given(home, words, environment)
    assert message in said(result), said(result)[-1000:]


@contextmanager
def instead(file: Path, text: str | bytes | None) -> Iterator[None]:
    """Until the block ends, `file` holds `text`; None: it is not there."""
    before = file.read_bytes() if file.exists() else None
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        if before is not None:
            file.write_bytes(before)
