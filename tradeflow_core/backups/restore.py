"""Putting a backup back: as a new home, or as the ledger of a home whose own one is refused; beginning anew without one; or taking the
ledger that lies there although it lacks what the home has seen, as after a restore on another host.

Whatever is put back or taken, trading is stopped in it until a person has compared it with the broker.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import make_url

from tradeflow_core.backups.archive import LEDGER, Manifest, OnFile, extract, move, read_manifest, tell_nobody
from tradeflow_core.errors import ConfigError, DataError, StateError
from tradeflow_core.execution import LEASE, LOCK_FILE
from tradeflow_core.home import (
    BACKUPS,
    LEDGER_WORD_FILE,
    PARTS,
    SETTINGS_FILE,
    Home,
    LedgerWord,
    SimulatedClock,
    WallClock,
    as_one_file,
    change_settings,
    finished_file,
    load_settings,
    sqlite_url,
)
from tradeflow_core.ledger import (
    RESTORE,
    Ledger,
    LedgerRefused,
    damage,
    fill_database,
    find_lease,
    free_lease,
    require_any,
    stop_trading,
    word_about,
)
from tradeflow_core.store import create_sql_engine, read_only


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, or would be: into which home and database, and where the refused ledger is kept (None where there was none)."""

    home: Path
    database: str
    kept_aside: Path | None
    is_new_home: bool
    manifest: Manifest | None


def restore_backup(
    file: Path, to: Path, *, who: str, database: str = "", dry_run: bool = False, on_file: OnFile = tell_nobody
) -> Restored:
    """Put a backup back into the folder `to`, which is missing or empty, or is a home whose ledger is refused.

    Of such a home only the ledger is replaced. `database`: the URL of an empty PostgreSQL database, in place of the one that the settings
    name. Raises DataError where the backup is damaged, and StateError where the folder or database is not free, or somebody trades there.
    """
    to, manifest = to.absolute(), read_manifest(file)
    is_new = not (to / SETTINGS_FILE).exists()
    if is_new and to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise StateError(f"{to} is not empty and no home; name a new folder with --to")
    with nullcontext() if is_new else _refused_home(to, database), _folder_beside(to) as folder:
        if problems := extract(file, folder, on_file=on_file):
            raise DataError(f"{file} is damaged ({'; '.join(problems[:3])}); nothing was restored, choose another backup")
        if is_new:
            _make_its_own(folder, to, database, manifest=manifest)
        url = _url_of(folder, to) if is_new else database or Home.open(to).database_url
        found = Restored(to, _shown(url), _aside(url), is_new, manifest)
        if is_new and found.kept_aside is not None:
            raise StateError(f"{found.database} exists already, and is not replaced for a new home; name another with --database")
        if dry_run:
            return found
        why = f"the ledger was restored from {file.name} of {manifest.made_at}: compare it with the broker first"
        word = _prepare(folder / LEDGER, _now(folder if is_new else to), who=who, why=why)
        _put(folder, found, url, word=word)
        if database and not is_new:
            change_settings(to / SETTINGS_FILE, {"database": database})
    return found


def begin_anew(to: Path, *, who: str, dry_run: bool = False) -> Restored:
    """Give a home whose ledger is refused a new one without any facts, in which trading is stopped. Raises StateError as `restore_backup`."""
    to = to.absolute()
    with _refused_home(to, ""), _folder_beside(to) as folder:
        url = Home.open(to).database_url
        found = Restored(to, _shown(url), _aside(url), is_new_home=False, manifest=None)
        if not dry_run:
            why = "the ledger was begun anew without its history: adopt the positions of the broker first"
            word = _prepare(folder / LEDGER, _now(to), who=who, why=why)
            _put(folder, found, url, word=word)
    return found


def take_as_it_is(to: Path, *, who: str, dry_run: bool = False) -> Restored:
    """Make the ledger that lies in the database of a home its own, although it is older than the home knows, or another one.

    For a PostgreSQL ledger that another host has restored, or one that was put back by other means. Raises StateError as
    `restore_backup`, and where there is no ledger or it is damaged.
    """
    to = to.absolute()
    with _refused_home(to, ""):
        url = Home.open(to).database_url
        engine = create_sql_engine(url)
        try:
            require_any(engine)
        finally:
            engine.dispose()
        found = Restored(to, _shown(url), None, is_new_home=False, manifest=None)
        ledger = Ledger.open(url)
        try:
            if problems := damage(ledger.engine, quick=False):
                raise StateError(f"the ledger {found.database} is damaged ({'; '.join(problems[:3])}); {RESTORE}")
            if not dry_run:
                word = _stopped(ledger, _now(to), who=who, why="a ledger was taken as it is: compare it with the broker first")
                _counted(word, to).write(to)
        finally:
            ledger.close()
    return found


def _prepare(ledger: Path, now: datetime, *, who: str, why: str) -> LedgerWord:
    """Make a ledger file ready to be put back: of this version's schema, with trading stopped; returns what a home may say about it."""
    opened = Ledger.open(sqlite_url(ledger))
    if problems := damage(opened.engine, quick=False):  # one of an older version was not looked at until now
        raise DataError(
            f"the ledger of the backup is damaged ({'; '.join(problems[:3])}); nothing was restored, choose another backup"
        )
    word = _stopped(opened, now, who=who, why=why)
    opened.close()
    as_one_file(ledger)
    return word


def _stopped(ledger: Ledger, now: datetime, *, who: str, why: str) -> LedgerWord:
    """Stop trading in a ledger; returns what a home may say about it then.

    Its session gets a number that no session after a backup can have had, so that the broker takes it for the newest one.
    """
    machine_time = WallClock().now()
    with ledger.begin() as tx:
        stop_trading(tx, now, who, why=why)
        free_lease(tx, LEASE, generation=int(machine_time.timestamp() // 60), now=machine_time)
    with ledger.read() as view:
        return word_about(view, replaced=0)


def _counted(word: LedgerWord, home: Path) -> LedgerWord:
    """That word, with how often the home's ledger was replaced."""
    before = LedgerWord.read(home)
    return replace(word, replaced=before.replaced + 1 if before else 1)


def _put(folder: Path, found: Restored, url: str, *, word: LedgerWord) -> None:
    """Move what lies in `folder` to its places.

    The word of a home comes after its ledger: until then it refuses what lies there. The settings, which make a folder a home, come last.
    """
    word = _counted(word, found.home)
    place = _file_of(url)
    if place is None:
        target = create_sql_engine(url)
        try:
            fill_database(folder / LEDGER, target)
        finally:
            target.dispose()
    if found.is_new_home:
        others = sorted(each for each in folder.rglob("*") if each.is_file())
        for source in others:
            name = source.relative_to(folder).as_posix()
            if name not in (LEDGER, SETTINGS_FILE, LEDGER_WORD_FILE):
                move(source, found.home / name)
        for name in ("config", "data", "market", "dagster", "logs", "reports"):
            (found.home / name).mkdir(parents=True, exist_ok=True)
    if place is not None:
        for part in PARTS:
            if found.kept_aside is not None and (old := Path(f"{place}{part}")).exists():
                move(old, Path(f"{found.kept_aside}{part}"))
        with finished_file(place) as temporary:
            shutil.copyfile(folder / LEDGER, temporary)
    word.write(found.home)
    if found.is_new_home:
        move(folder / SETTINGS_FILE, found.home / SETTINGS_FILE)


@contextmanager
def _refused_home(to: Path, database: str) -> Iterator[None]:
    """Until the block ends nobody trades in this home. Raises StateError where somebody does, or its ledger is sound."""
    if not (to / SETTINGS_FILE).exists():
        raise ConfigError(f"{to} is not a tradeflow home ({SETTINGS_FILE} is missing); name one with --to")
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(to / LOCK_FILE, timeout=0))
        except Timeout:
            raise StateError(f"the stack handler of {to} is at work; end it first (`tradeflow stop`), then restore") from None
        _require_refused(to, database or Home.open(to).database_url)
        yield


def _require_refused(to: Path, url: str) -> None:
    _require_no_session(url)
    try:
        ledger = Ledger.open(url, home=to)
    except LedgerRefused:
        return
    try:
        if not damage(ledger.engine, quick=False):
            raise StateError(
                f"the ledger {_shown(url)} of {to} is sound, so it is not replaced; restore into another folder with --to, or move that "
                "ledger away yourself"
            )
    finally:
        ledger.close()


def _require_no_session(url: str) -> None:
    """Raise StateError while a process on any host trades on that ledger, as far as it can be read."""
    if (file := _file_of(url)) is not None and not file.exists():
        return
    engine = create_sql_engine(url)
    try:
        with read_only(engine) as view:
            lease = find_lease(view, LEASE)
    except Exception:  # a damaged or empty database has no lease
        return
    finally:
        engine.dispose()
    now = WallClock().now()
    if lease is not None and lease.is_held(now):
        wait = lease.expires_at - now + timedelta(seconds=1)
        raise StateError(
            f"{lease.about or 'somebody'} trades on the ledger {_shown(url)}; end that first, or wait {wait.seconds} seconds if it is dead"
        )


@contextmanager
def _folder_beside(to: Path) -> Iterator[Path]:
    """A temporary folder on the disk of the home."""
    was_there = to.exists()
    try:
        to.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to, prefix=".restore-") as folder:
            yield Path(folder)
    except OSError as error:
        raise StateError(f"{to} cannot be written ({error}); make room, or choose another folder with --to") from error
    finally:
        if not was_there:
            with suppress(OSError):  # it is not empty if something was restored
                to.rmdir()


def _make_its_own(folder: Path, to: Path, database: str, *, manifest: Manifest) -> None:
    """The settings in `folder`, of a home that will be in `to`, share neither ledger nor prices nor strategy files with the one that was
    backed up, if these were files of that machine."""
    settings, changes = load_settings(folder / SETTINGS_FILE), dict[str, str | None]()
    if database or (settings.database or "").startswith("sqlite:"):
        changes["database"] = database or None
    if manifest.prices and settings.data:
        changes["data"] = None
    for strategy, name in manifest.strategies.items():
        changes[f"strategies/{strategy}/config"] = str(to / name)
    if changes:
        change_settings(folder / SETTINGS_FILE, changes)


def _now(folder: Path) -> datetime:
    """The time of the home in this folder (UTC)."""
    file = folder / "clock.json"
    return SimulatedClock(file).now() if file.exists() else WallClock().now()


def _url_of(folder: Path, to: Path) -> str:
    """The database of a home that is made of the files in `folder`."""
    return load_settings(folder / SETTINGS_FILE).database or sqlite_url(to / LEDGER)


def _aside(url: str) -> Path | None:
    """Where a ledger file that is there is kept. A log beside a missing one counts: SQLite would play it into whatever is put there."""
    place = _file_of(url)
    if place is None or not any(Path(f"{place}{part}").exists() for part in PARTS):
        return None
    return place.parent / BACKUPS / f"refused-{WallClock().now():%Y%m%dT%H%M%S}.sqlite"


def _file_of(url: str) -> Path | None:
    """The file of an SQLite database; None in PostgreSQL."""
    given = make_url(url)
    return Path(given.database or "") if given.get_backend_name() == "sqlite" else None


def _shown(url: str) -> str:
    engine = create_sql_engine(url)
    try:
        return engine.url.render_as_string(hide_password=True)
    finally:
        engine.dispose()
