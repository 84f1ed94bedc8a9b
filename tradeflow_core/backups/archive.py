"""The file of a backup: a zip with the files of a home by their names there, and a manifest that says what each of them has to be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from tradeflow_core.errors import DataError, StateError
from tradeflow_core.home import sqlite_problems, sqlite_url
from tradeflow_core.ledger import HEAD, damage
from tradeflow_core.store import create_sql_engine

MANIFEST = "manifest.json"
LEDGER = "ledger.sqlite"
"""The name of the copy of the ledger, from whatever database it was made."""
FORMAT = 1
BLOCK = 2**20

OnFile = Callable[[str], None]
"""Is told of each file that is done."""


def tell_nobody(name: str) -> None:
    """Where nobody looks at the progress."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `made_at`: machine time (UTC, ISO). `schema`, `identity`, `heads`: of the copy of the ledger.

    `files`: the SHA-256 of each file by its name in the home. `prices`: whether the Parquet data are in it. `strategies`: the file in the
    home of each strategy that has one there.
    """

    made_at: str
    version: str
    account: str
    market: str
    database: str
    schema: str
    identity: str
    heads: Mapping[str, tuple[int, str]]
    prices: bool
    files: Mapping[str, str]
    strategies: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def facts(self) -> int:
        """How many facts the ledger has, as its newest rows are numbered."""
        return sum(head[0] for head in self.heads.values())

    def text(self) -> str:
        return json.dumps(asdict(self), indent=1)


def read_manifest(file: Path) -> Manifest:
    """The manifest of a backup. Raises DataError where the file is none, or is of a newer version."""
    with _opened(file) as archive:
        try:
            said = json.loads(archive.read(MANIFEST))
            if said["format"] > FORMAT:
                raise DataError(f"{file} was made by a newer tradeflow ({said['version']}); upgrade tradeflow")
            return Manifest(**said)
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{file} is no backup of tradeflow: it has no {MANIFEST} ({error}); choose another file") from error


def problems_of(file: Path, on_file: OnFile = tell_nobody) -> list[str]:
    """What is wrong with a backup, as sentences; empty where every file is as it was, and its databases and its ledger are sound.

    Raises DataError where the file is no backup at all.
    """
    room = file.parent if os.access(file.parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=room, prefix=".verify-") as folder:
        return extract(file, Path(folder), on_file=on_file, only_databases=True)


def extract(file: Path, folder: Path, *, on_file: OnFile = tell_nobody, only_databases: bool = False) -> list[str]:
    """Write the files of a backup into `folder`; returns what is wrong with them, as sentences. Raises DataError, StateError.

    `only_databases`: the others are read and compared, and not written.
    """
    manifest, problems = read_manifest(file), []
    with _opened(file) as archive:
        there = set(archive.namelist()) - {MANIFEST}
        problems += [f"{name} is missing" for name in sorted(set(manifest.files) - there)]
        problems += [f"{name} does not belong to it" for name in sorted(there - set(manifest.files))]
        for name in sorted(set(manifest.files) & there):
            if not _is_inside(name):
                problems.append(f"{name} is not the name of a file in a home")
                continue
            target = folder / name
            is_database = name.endswith(".sqlite")
            problem = _extract(archive, name, target if is_database or not only_databases else None, sha256=manifest.files[name])
            if problem or not is_database:
                problems += [problem] if problem else []
            else:
                problems += sqlite_problems(target)
            on_file(name)
    if LEDGER not in manifest.files:
        problems.append(f"{LEDGER} is missing")
    elif not problems and manifest.schema == HEAD:
        engine = create_sql_engine(sqlite_url(folder / LEDGER))
        problems += damage(engine, quick=False)
        engine.dispose()
    return problems


def extract_data(file: Path, folder: Path, names: Collection[str]) -> Path:
    """Write the price files of these instruments and rates from a backup into `folder`; returns the folder that then holds them as a store does.

    Raises DataError where the file is no backup, holds no prices of them, or one of them is not as it was written; StateError.
    """
    manifest = read_manifest(file)
    wanted = [
        name
        for name in sorted(manifest.files)
        if name.startswith("data/") and _is_inside(name) and PurePosixPath(name).stem in names and name.count("/") <= 3
    ]
    if not wanted:
        raise DataError(f"{file} holds no prices of {', '.join(sorted(names))}; choose another backup")
    with _opened(file) as archive:
        for name in wanted:
            if problem := _extract(archive, name, folder / name, sha256=manifest.files[name]):
                raise DataError(f"{file} is damaged ({problem}); choose another backup")
    return folder / "data"


def add_file(archive: zipfile.ZipFile, name: str, source: Path) -> str:
    """Put a file into an archive; returns its SHA-256. Raises OSError."""
    digest = hashlib.sha256()
    packed = zipfile.ZIP_STORED if name.endswith(".parquet") else zipfile.ZIP_DEFLATED
    entry = zipfile.ZipInfo.from_file(source, name, strict_timestamps=False)
    entry.compress_type = packed
    with source.open("rb") as given, archive.open(entry, "w", force_zip64=True) as taken:
        _copy(given, taken, digest.update)
    return digest.hexdigest()


def _extract(archive: zipfile.ZipFile, name: str, target: Path | None, *, sha256: str) -> str:
    """Write one file, if it has a target; what is wrong with it, or nothing."""
    digest = hashlib.sha256()
    try:
        with archive.open(name) as given:
            if target is None:
                while block := given.read(BLOCK):
                    digest.update(block)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as taken:
                    _copy(given, taken, digest.update)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        return f"{name} cannot be read ({error})"
    except OSError as error:
        raise StateError(f"{target} cannot be written ({error}); make room, or choose another folder") from error
    return "" if digest.hexdigest() == sha256 else f"{name} is not as it was written"


def _copy(given: IO[bytes], taken: IO[bytes], look: Callable[[bytes], None]) -> None:
    while block := given.read(BLOCK):
        look(block)
        taken.write(block)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(file)
    except FileNotFoundError:
        raise DataError(f"{file} is missing; choose another file") from None
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{file} is no backup of tradeflow, or is damaged ({error}); choose another file") from error
    with archive:
        yield archive


def move(source: Path, target: Path) -> None:
    """Move a file to another place, maybe on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
