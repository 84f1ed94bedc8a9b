"""Replacing a local text file as a whole."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path


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
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
