"""Making a backup of a home, also while it trades."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from upath import UPath

from tradeflow_core import __version__
from tradeflow_core.backups.archive import LEDGER, MANIFEST, Manifest, OnFile, add_file, problems_of, tell_nobody
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.home import (
    BACKUPS,
    LEDGER_WORD_FILE,
    SETTINGS_FILE,
    LedgerWord,
    WallClock,
    copy_sqlite,
    finished_file,
    sqlite_url,
)
from tradeflow_core.ledger import HEAD, copy_ledger, word_about
from tradeflow_core.store import RECENT, create_sql_engine, read_only


@dataclass(frozen=True, slots=True)
class Content:
    """What a backup of a home would hold: `files` are copied as they are, `databases` as they are at one instant; names in the home.

    `strategies`: which of the files belongs to which strategy. `left_out`: what it does not hold, for people.
    """

    target: Path
    files: dict[str, Path] = field(default_factory=dict)
    databases: dict[str, Path] = field(default_factory=dict)
    strategies: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many files it will hold, with the ledger and the home's word about it."""
        return len(self.files) + len(self.databases) + 2


def content_of(desk: Desk, to: Path | None = None, *, prices: bool = True) -> Content:
    """What `make_backup` writes, and where to: `to`, or a file named after account and time in `backups` of the home."""
    home = desk.home.path
    stamp = f"{WallClock().now():%Y%m%dT%H%M%S}"
    content = Content((to or home / BACKUPS / f"{desk.account}-{stamp}.zip").absolute())
    for name in (SETTINGS_FILE, "adopting", "replay.json"):
        if (home / name).exists():
            content.files[name] = home / name
    for file in _files(home / "config"):
        content.files[file.relative_to(home).as_posix()] = file
    for name, strategy in desk.settings.strategies.items():
        file = Path(strategy.config).absolute()
        if file.is_file() and file.is_relative_to(home):
            content.strategies[name] = file.relative_to(home).as_posix()
            content.files[content.strategies[name]] = file
        elif file.is_file():
            content.left_out.append(f"the strategy file {file}, which is not in the home")
    if desk.settings.replay is not None:
        content.left_out.append(f"the tape {desk.settings.replay.tape}, which the home only reads")
    for file in sorted((home / "market").glob("*.sqlite")):
        content.databases[file.relative_to(home).as_posix()] = file
    data = UPath(desk.home.data_url)
    if data.protocol not in ("", "file", "local"):
        content.left_out.append(f"the prices and runs in {desk.home.data_url}, which is not on this machine")
    elif prices:
        # Recent files first: rows that are merged into the main file meanwhile are in both then, which count once, and not in neither.
        content.files.update(sorted(_data_files(Path(data.path)), key=lambda each: each[1].parent.name != RECENT))
    else:
        content.left_out.append("the prices and runs (--without-prices)")
    if (clock := home / "clock.json").exists():
        content.files[clock.name] = clock  # last: nothing in the backup is of a later time
    return content


def make_backup(desk: Desk, content: Content, on_file: OnFile = tell_nobody) -> Manifest:
    """Write a backup of the home to `content.target`, verified; it is there as a whole, or not at all.

    The ledger is copied first: what other files know more is told again by the broker, or made again. Raises StateError where something is
    damaged or cannot be written.
    """
    desk.ledger.require_sound()
    desk.ledger.keep_word()
    target = content.target
    if target.exists():
        raise StateError(f"{target} exists already; choose another name with --to")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with finished_file(target) as temporary:
            manifest = _write(desk, content, temporary, on_file=on_file)
            if problems := problems_of(temporary):
                raise StateError(
                    f"the backup {target} is damaged ({'; '.join(problems[:3])}); it was not kept: check disk and memory"
                )
    except OSError as error:
        raise StateError(
            f"the backup {target} cannot be written ({error}); make room, or choose another place with --to"
        ) from error
    return manifest


def _write(desk: Desk, content: Content, target: Path, *, on_file: OnFile) -> Manifest:
    sums: dict[str, str] = {}
    with (
        zipfile.ZipFile(target, "w") as archive,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder,
    ):

        def add(name: str, source: Path) -> None:
            sums[name] = add_file(archive, name, source)
            on_file(name)

        ledger = Path(folder) / LEDGER
        copy_ledger(desk.ledger.engine, ledger)
        word = _word_of(ledger)
        word.write(Path(folder))
        add(LEDGER, ledger)
        add(LEDGER_WORD_FILE, Path(folder) / LEDGER_WORD_FILE)
        for number, (name, source) in enumerate(content.databases.items()):
            copy_sqlite(source, Path(folder) / f"{number}.sqlite")
            add(name, Path(folder) / f"{number}.sqlite")
        for name, source in _and_new_ones(desk, content, sums):
            with suppress(FileNotFoundError):  # deleted meanwhile, as a recent file that was merged is
                add(name, source)
        manifest = Manifest(
            made_at=WallClock().now().isoformat(timespec="seconds"),
            version=__version__,
            account=desk.account,
            market=desk.settings.market,
            database=desk.ledger.engine.dialect.name,
            schema=HEAD,
            identity=word.identity,
            heads=word.heads,
            prices=any(name.startswith("data/") for name in sums),
            files=sums,
            strategies=content.strategies,
        )
        archive.writestr(MANIFEST, manifest.text())
    return manifest


def _word_of(ledger: Path) -> LedgerWord:
    engine = create_sql_engine(sqlite_url(ledger))
    try:
        with read_only(engine) as view:
            return word_about(view, replaced=0)
    finally:
        engine.dispose()


def _and_new_ones(desk: Desk, content: Content, added: Container[str]) -> Iterator[tuple[str, Path]]:
    """The files of the content; before the last one, the clock, data files that were not there when they were listed: when bars of a month go
    into a file of their own, the file before has them no more."""
    last = "clock.json"
    yield from ((name, source) for name, source in content.files.items() if name != last)
    if any(name.startswith("data/") for name in content.files):
        yield from (each for each in _data_files(Path(UPath(desk.home.data_url).path)) if each[0] not in added)
    if last in content.files:
        yield last, content.files[last]


def _data_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The Parquet files of a store by their names in a backup."""
    return ((f"data/{file.relative_to(folder).as_posix()}", file) for file in _files(folder) if file.suffix == ".parquet")


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, sorted; not hidden ones, which are half written."""
    return (file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith("."))
