"""A home: the folder with everything that belongs to one desk. Made with `Home.create`, opened with `Home.open`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradeflow_core import instruments
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home.alerts import Alerts
from tradeflow_core.home.clock import Clock, SimulatedClock, WallClock
from tradeflow_core.home.files import CLOCK_FILE, SETTINGS_FILE, close_to_others, keep_private, keep_room
from tradeflow_core.home.ledger_word import LEDGER_WORD_FILE, LedgerWord
from tradeflow_core.home.settings import (
    Settings,
    environment_home,
    load_settings,
    validate_settings,
)
from tradeflow_core.home.sqlite_files import sqlite_url
from tradeflow_core.home.upgrades import HOME_VERSION, OlderHome, upgrade_home, write_settings, write_version
from tradeflow_core.instruments import Instrument, load_fx_table, load_instruments

if TYPE_CHECKING:
    from tradeflow_core.instruments import Sessions


class NoSuchMarket(ConfigError):
    """The market of the settings has no broker in this version."""

    def __init__(self, market: str) -> None:
        super().__init__(
            f"market {market}: this version trades simulated and replayed markets only; Interactive Brokers is not there yet. Set `market` to "
            "one of them"
        )


@dataclass(frozen=True)
class Home:
    """The folder of one desk. Two homes never share anything.

    `tradeflow.toml`: settings; `config/`: tables whose rows replace the packaged ones; `data/`: Parquet store; `ledger.sqlite`;
    `ledger.json`: which ledger is this home's own; `market/`: the book of the paper exchange; `clock.json`: the time of a simulated desk;
    `dagster/`, `logs/`, `reports/`, `backups/`.
    """

    path: Path
    settings: Settings = field(repr=False)

    @classmethod
    def open(cls, path: Path | None = None) -> Home:
        """Open the home at `path` (default: TRADEFLOW_HOME or ./var), upgraded if an older version made it.

        It is closed to other users, and what this process writes from now on is its owner's alone (`docs/security.md`).
        Raises ConfigError where there is none or its settings are wrong.
        """
        keep_private()
        path = (path or environment_home()).absolute()
        if not (path / SETTINGS_FILE).exists():
            raise ConfigError(f"{path} is not a tradeflow home ({SETTINGS_FILE} is missing); make one with `tradeflow init`")
        close_to_others(path)
        home = cls(path, load_settings(path / SETTINGS_FILE))
        if home.settings.home_version < HOME_VERSION:
            done = upgrade_home(OlderHome(path, home.data_url, home.database_url), home.settings.home_version)
            home = cls(path, load_settings(path / SETTINGS_FILE))
            Alerts(path / "logs", home.settings.alerts).send("home upgraded", done, home.clock.now())
        return home

    @classmethod
    def create(cls, path: Path, values: dict[str, Any], start: datetime | None = None) -> Home:
        """Make a home at `path` with the settings `values`; `start`: first time of the clock of a simulated or replayed market.

        Raises ConfigError where the folder cannot be written, is a home already, or a setting is wrong. The settings file, which makes a
        folder a home, is written last, so that an interrupted call leaves no home.
        """
        path = path.absolute()
        if (path / SETTINGS_FILE).exists():
            raise ConfigError(f"{path} is a home already; open it, or choose another folder")
        home = cls(path, validate_settings(values, str(path / SETTINGS_FILE)))
        home._make(start)
        home._write({"home_version": HOME_VERSION, **values})
        return cls.open(path)

    @classmethod
    def is_written_by_hand(cls, path: Path) -> bool:
        """Whether the folder has a settings file, and nothing else of a home yet."""
        return (path / SETTINGS_FILE).exists() and not any(
            (path / name).exists() for name in (LEDGER_WORD_FILE, CLOCK_FILE, "ledger.sqlite", "data", "market")
        )

    @classmethod
    def complete(cls, path: Path) -> Home:
        """Make a home of a folder with a settings file that a person has written; the file keeps its comments.

        Raises ConfigError where a setting is wrong, or the folder cannot be written.
        """
        path = path.absolute()
        home = cls(path, load_settings(path / SETTINGS_FILE))
        if home.settings.market == "replay":
            raise ConfigError(
                f"{path}: the home of a replay is made by `tradeflow replay TAPE --start DAY --end DAY`; remove {SETTINGS_FILE}"
            )
        home._make(home.first_time)
        write_version(path / SETTINGS_FILE)
        return cls.open(path)

    @property
    def first_time(self) -> datetime:
        """The beginning of the first day of a simulated market (UTC)."""
        return self.at(self.settings.simulated.first_day, time(0))

    def _make(self, start: datetime | None) -> None:
        """Make the folders and files of a home, but for its settings file. Raises ConfigError where what the settings want is not there."""
        keep_private()
        path = self.path
        if self.settings.time_is_real:
            raise NoSuchMarket(self.settings.market)
        _ = self.universe, self.currencies
        try:
            for name in ("config", "data", "market", "dagster", "logs", "reports"):
                (path / name).mkdir(parents=True, exist_ok=True)
            if start is None:
                raise StateError("a simulated or replayed home needs the time at which its clock starts")
            SimulatedClock(path / CLOCK_FILE, start)
            if not (path / LEDGER_WORD_FILE).exists():
                LedgerWord().write(path)
            keep_room(path)
        except OSError as error:
            raise self._cannot_be_written(error) from error

    def _write(self, values: dict[str, Any]) -> None:
        try:
            write_settings(self.path / SETTINGS_FILE, values)
        except OSError as error:
            raise self._cannot_be_written(error) from error

    def _cannot_be_written(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"{self.path} cannot be written ({error.strerror}); choose another folder with TRADEFLOW_HOME or --home"
        )

    @cached_property
    def clock(self) -> Clock:
        return WallClock() if self.settings.time_is_real else SimulatedClock(self.path / CLOCK_FILE)

    @property
    def _tables(self) -> list[Path]:
        """The folder of tables; a home that is just being made may have none."""
        folder = self.path / "config"
        return [folder] if folder.exists() or (self.path / LEDGER_WORD_FILE).exists() else []

    @cached_property
    def instruments(self) -> dict[str, Instrument]:
        """All instruments of the packaged tables and of this home's, by code, traded or not."""
        return load_instruments(*self._tables)

    @cached_property
    def universe(self) -> list[str]:
        """Codes of the instruments that this home trades, sorted, without stale ones. Raises ConfigError for an unknown code."""
        stale = set(self.settings.stale_instruments)
        return [instrument for instrument in self._universe_with_stale if instrument not in stale]

    @cached_property
    def _universe_with_stale(self) -> list[str]:
        """Codes of the instruments that this home trades, sorted, the stale ones included."""
        for key in ("universe", "stale_instruments"):
            if missing := [instrument for instrument in getattr(self.settings, key) if instrument not in self.instruments]:
                raise ConfigError(
                    f"{self.path / SETTINGS_FILE}: {key}: no such instrument {missing}; see `tradeflow instruments`"
                )
        return list(self.settings.universe) or sorted(self.instruments)

    @cached_property
    def sessions(self) -> Sessions:
        return instruments.load_sessions(self.instruments, *self._tables)

    @cached_property
    def currencies(self) -> list[str]:
        """Currencies that need a rate against the dollar: those of the universe and the base, without USD, sorted."""
        needed = {self.instruments[code].currency for code in self._universe_with_stale} | {self.settings.base_currency}
        with_code = {pair.currency for pair in load_fx_table(*self._tables).values()}
        if missing := needed - {"USD"} - with_code:
            raise ConfigError(f"no FX code for currency {sorted(missing)}; add a row to {self.path / 'config' / 'fx.csv'}")
        return sorted(needed - {"USD"})

    @property
    def database_url(self) -> str:
        return self.settings.database or sqlite_url(self.path / "ledger.sqlite")

    @property
    def data_url(self) -> str:
        return self.settings.data or str(self.path / "data")

    def local_day(self, instant: datetime) -> date:
        """The date of a time in the desk's time zone."""
        return instant.astimezone(self.settings.zone).date()

    def at(self, day: date, local_time: time) -> datetime:
        """`local_time` on `day` in the desk's time zone, as a time in UTC."""
        return datetime.combine(day, local_time, self.settings.zone).astimezone(UTC)

    def describe(self) -> str:
        """The line with which every command begins: market, account, home and time."""
        settings = self.settings
        now = self.clock.now().astimezone(settings.zone)
        return f"{settings.market} market, account {settings.account}, home {self.path}, {now:%a %Y-%m-%d %H:%M} {settings.time_zone}"
