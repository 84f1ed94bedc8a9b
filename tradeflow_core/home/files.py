"""The files of a home, each of which is there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SETTINGS_FILE = "tradeflow.toml"
"""The settings of a home: a folder with this file is one."""
BACKUPS = "backups"
"""The folder of a home in which its backups lie, and what was copied before an upgrade."""


def replace_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write `text` (UTF-8, line ends as they are) to `path` so that every reader finds the old file or the new one, never a part.

    `sync`: also survive a power cut, which costs a few milliseconds. A link stays a link, and the new file has the permissions of the old one.
    Raises OSError.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    if path.exists():
        shutil.copymode(path, temporary)
    os.replace(temporary, path)
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Raises OSError."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def finished_file(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, which becomes `target` when the block ends without an error; else it is removed.

    After a power cut either the whole file is there or none. Raises OSError.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
