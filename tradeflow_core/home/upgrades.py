"""Upgrades of homes that an older version made: done by the first command that opens such a home.

An interrupted upgrade can be repeated: the version is written last. The ledger has migrations of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradeflow_core.errors import ConfigError
from tradeflow_core.home.files import replace_text

if TYPE_CHECKING:
    from upath import UPath

HOME_VERSION = 2
"""Layout version of a home. A home of a higher version was made by a newer tradeflow and is refused."""


def upgrade_home(settings_file: Path, version: int, data: str) -> None:
    """Bring the home of `settings_file`, which has this `version`, up to `HOME_VERSION`; `data`: URL or path of its Parquet store.

    Raises ConfigError where that cannot be written.
    """
    from upath import UPath

    try:
        for number in range(version + 1, HOME_VERSION + 1):
            UPGRADES[number](UPath(data))
        _write_version(settings_file)
    except OSError as error:
        raise ConfigError(
            f"{settings_file.parent} is a home of an older version ({version}) and cannot be upgraded ({error}); make it writable first"
        ) from error


def _decisions_get_their_own_name(data: UPath) -> None:
    """The dataset of decisions was called `instrument_orders`, which hid the ledger's table of that name in SQL."""
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


UPGRADES: dict[int, Callable[[UPath], None]] = {2: _decisions_get_their_own_name}
"""By version: the upgrade from the version before it."""


def _write_version(settings_file: Path) -> None:
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
