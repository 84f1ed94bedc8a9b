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
from tradeflow_core.home.files import SETTINGS_FILE, close_to_others, keep_private
from tradeflow_core.home.ledger_word import LEDGER_WORD_FILE, LedgerWord
from tradeflow_core.home.settings import (
    Settings,
    environment_home,
    load_settings,
    validate_settings,
)
from tradeflow_core.home.upgrades import HOME_VERSION, OlderHome, upgrade_home, write_settings
from tradeflow_core.instruments import Instrument, load_fx_table, load_instruments

if TYPE_CHECKING:
    from tradeflow_core.instruments import Sessions


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
        keep_private()
        path = path.absolute()
        if (path / SETTINGS_FILE).exists():
            raise ConfigError(f"{path} is a home already; open it, or choose another folder")
        settings = validate_settings(values, str(path / SETTINGS_FILE))
        table = load_instruments(*([path / "config"] if (path / "config").exists() else []))
        for instrument in settings.universe:
            if instrument not in table:
                raise ConfigError(f"universe: no instrument {instrument!r} in the tables; see `tradeflow instruments`")
        try:
            for name in ("config", "data", "market", "dagster", "logs", "reports"):
                (path / name).mkdir(parents=True, exist_ok=True)
            if not settings.time_is_real:
                if start is None:
                    raise StateError("a simulated or replayed home needs the time at which its clock starts")
                SimulatedClock(path / "clock.json", start)
            if not (path / LEDGER_WORD_FILE).exists():
                LedgerWord().write(path)
            write_settings(path / SETTINGS_FILE, {"home_version": HOME_VERSION, **values})
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written ({error.strerror}); choose another folder with TRADEFLOW_HOME or --home"
            ) from error
        return cls.open(path)

    @cached_property
    def clock(self) -> Clock:
        return WallClock() if self.settings.time_is_real else SimulatedClock(self.path / "clock.json")

    @cached_property
    def instruments(self) -> dict[str, Instrument]:
        """All instruments of the packaged tables and of this home's, by code, traded or not."""
        return load_instruments(self.path / "config")

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
        return instruments.load_sessions(self.instruments, self.path / "config")

    @cached_property
    def currencies(self) -> list[str]:
        """Currencies that need a rate against the dollar: those of the universe and the base, without USD, sorted."""
        needed = {self.instruments[code].currency for code in self._universe_with_stale} | {self.settings.base_currency}
        with_code = {pair.currency for pair in load_fx_table(self.path / "config").values()}
        if missing := needed - {"USD"} - with_code:
            raise ConfigError(f"no FX code for currency {sorted(missing)}; add a row to {self.path / 'config' / 'fx.csv'}")
        return sorted(needed - {"USD"})

    @property
    def database_url(self) -> str:
        return self.settings.database or f"sqlite:///{self.path / 'ledger.sqlite'}"

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
