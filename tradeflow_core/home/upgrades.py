"""Upgrades of homes that an older version made: done by the first command that opens such a home.

An interrupted upgrade can be repeated: the version is written last. The ledger has migrations of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home.clock import WallClock
from tradeflow_core.home.files import BACKUPS, SETTINGS_FILE, replace_text
from tradeflow_core.home.ledger_word import LedgerWord
from tradeflow_core.home.sqlite_files import copy_sqlite, sqlite_path

if TYPE_CHECKING:
    from upath import UPath

HOME_VERSION = 4
"""Layout version of a home. A home of a higher version was made by a newer tradeflow and is refused."""


FORMER_DATA = "data-before-home-4"
"""Where bars and rates of before are kept; a person may remove it."""


@dataclass(frozen=True, slots=True)
class OlderHome:
    """A home that is to be upgraded: its folder, and the URLs of its Parquet store and its ledger."""

    path: Path
    data: str
    database: str


def upgrade_home(home: OlderHome, version: int) -> str:
    """Bring a home of this `version` up to `HOME_VERSION`; returns what was done, for people. Its settings and ledger are copied first.

    Raises ConfigError where that cannot be written.
    """
    settings_file = home.path / SETTINGS_FILE
    try:
        copy = _copy(home, version)
        for number in range(version + 1, HOME_VERSION + 1):
            UPGRADES[number](home)
        write_version(settings_file)
    except OSError as error:
        raise ConfigError(
            f"{home.path} is a home of an older version ({version}) and cannot be upgraded ({error}); make it writable first"
        ) from error
    former = home.path / BACKUPS / FORMER_DATA
    kept = f"; its bars and rates of before are kept in {former}, which you may remove" if former.exists() else ""
    return f"{home.path} was upgraded from home version {version} to {HOME_VERSION}; its settings of before are {copy}{kept}"


def _copy(home: OlderHome, version: int) -> Path:
    """Copy the settings, and the ledger if it is a file, into the folder `backups`; returns the copy of the settings."""
    copy = home.path / BACKUPS / f"before-upgrade-of-home-{version}-{WallClock().now():%Y%m%dT%H%M%S}.toml"
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(home.path / SETTINGS_FILE, copy)
    if (ledger := _ledger_file(home)) is not None:
        with suppress(StateError):  # a damaged ledger is refused when it is opened; it is not changed here
            copy_sqlite(ledger, copy.with_suffix(".sqlite"))
    return copy


def _ledger_file(home: OlderHome) -> Path | None:
    """The file of the ledger; None where it is missing or empty, and in PostgreSQL."""
    file = sqlite_path(home.database)
    return file if file is not None and file.exists() and file.stat().st_size else None


def _decisions_get_their_own_name(home: OlderHome) -> None:
    """The dataset of decisions was called `instrument_orders`, which hid the ledger's table of that name in SQL."""
    from tradeflow_core.parquet import ParquetFiles

    data = ParquetFiles(home.data).root
    before, after = data / "instrument_orders", data / "order_decisions"
    if not before.exists():
        return
    # File by file: every file at the new place is complete, and one that another command or an interrupted upgrade has moved is skipped.
    for file in before.rglob("*.parquet"):
        target = after / file.relative_to(before)
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            data.fs.mv(file.path, target.path)
    with suppress(FileNotFoundError):
        data.fs.rm(before.path, recursive=True)


def _home_says_whether_it_had_a_ledger(home: OlderHome) -> None:
    """From now on a ledger that is missing is not made anew without a word. A home that has done something had one."""
    if LedgerWord.read(home.path) is None:
        signs = (home.path / "market" / "book.sqlite", *(home.path / "data").glob("*"), *(home.path / "reports").glob("*"))
        LedgerWord(made=_ledger_file(home) is not None or any(sign.exists() for sign in signs)).write(home.path)


def _prices_get_checksums_and_files_of_months(home: OlderHome) -> None:
    """Bars and rates are written again: with checksums, and bars in files of whole months. Each file is kept as it was; a damaged one stays."""
    from tradeflow_core.parquet import DamagedFile, ParquetFiles, split_at_months

    files = ParquetFiles(home.data)
    for dataset in ("contract_prices", "contract_prices/recent", "spot_fx"):
        for name in files.names(dataset):
            if files.problem(dataset, name, has_checksum=True) is None:
                continue  # an interrupted upgrade has done it
            try:
                table = files.read(dataset, name)
            except DamagedFile:  # `tradeflow check` names it
                continue
            _keep_former(home, files.path(dataset, name))
            pieces = [("", table)] if dataset != "contract_prices" else split_at_months(table, "start")
            for number, (month, piece) in reversed(
                [*enumerate(pieces)]
            ):  # the newest first: a kill leaves rows in two files, not in none
                files.write(f"{dataset}/{month}" if number else dataset, name, piece, sync=True)


def _keep_former(home: OlderHome, file: UPath) -> None:
    """Keep a file of the data as it is: in the folder `backups` of the home, or beside data on an object store."""
    from upath import UPath

    place = file.relative_to(UPath(home.data))
    if file.protocol not in ("", "file", "local"):
        former = UPath(f"{home.data.rstrip('/')}-{FORMER_DATA}") / str(place)
        former.parent.mkdir(parents=True, exist_ok=True)
        file.fs.copy(file.path, former.path)
        return
    target = home.path / BACKUPS / FORMER_DATA / str(place)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        with suppress(OSError):  # a link costs no room; not every disk has them
            os.link(file.path, target)
            return
        shutil.copyfile(file.path, target)


UPGRADES: dict[int, Callable[[OlderHome], None]] = {
    2: _decisions_get_their_own_name,
    3: _home_says_whether_it_had_a_ledger,
    4: _prices_get_checksums_and_files_of_months,
}
"""By version: the upgrade from the version before it."""


def write_version(settings_file: Path) -> None:
    """Write the present version of a home into its settings file; its comments are kept. Raises OSError."""
    import tomlkit

    document = tomlkit.parse(settings_file.read_text(encoding="utf-8"))
    if "home_version" not in document:
        # A plain key must stand at the top: below the header of a table it would belong to that table.
        document = tomlkit.parse(f"home_version = {HOME_VERSION}\n{tomlkit.dumps(document)}")
    document["home_version"] = HOME_VERSION
    write_settings(settings_file, document)


def write_settings(settings_file: Path, values: Mapping[str, Any]) -> None:
    """Replace a settings file as a whole. `values` may be a document of tomlkit: its comments are kept."""
    import tomlkit

    replace_text(settings_file, tomlkit.dumps(values))


def change_settings(settings_file: Path, changes: Mapping[str, str | None]) -> None:
    """Set values of a settings file, or remove those that are None; its comments are kept.

    A name is a key, or the path of one in a section, such as `strategies/slow/config`; a section that is not there is left alone.
    """
    import tomlkit

    document = tomlkit.parse(settings_file.read_text(encoding="utf-8"))
    for name, value in changes.items():
        if "/" in name:
            *sections, key = name.split("/")
            table: Any = document
            for section in sections:
                table = table.get(section, {})
            if key in table:
                table[key] = value
        elif value is None:
            document.pop(name, None)
        elif name in document:
            document[name] = value
        else:
            document = tomlkit.parse(f"{name} = {tomlkit.string(value).as_string()}\n{tomlkit.dumps(document)}")
    write_settings(settings_file, document)
