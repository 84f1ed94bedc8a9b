"""The desk as a Dagster resource: a home opened for one run, sensor tick or check, and closed after it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster import InitResourceContext

from tradeflow_core.desk import Desk
from tradeflow_core.home import SETTINGS_FILE, Home, Settings, environment_home
from tradeflow_core.instruments import REGIONS, load_instruments


class DeskResource(dg.ConfigurableResource[Desk]):
    """Opens the home in the folder `home` (default: TRADEFLOW_HOME, else ./var) and hands its desk to assets, checks and sensors."""

    home: str = ""

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Generator[Desk, None, None]:
        desk = Desk(Home.open(Path(self.home) if self.home else None))
        try:
            yield desk
        finally:
            desk.close()


def home_for_definitions() -> Home:
    """The home that the definitions are made for: the one that the environment names; if it does not exist yet, one with packaged defaults.

    Raises ConfigError for a home whose settings are wrong.
    """
    path = environment_home()
    return Home.open(path) if (path / SETTINGS_FILE).exists() else Home(path, Settings())


def home_exists(home: Home) -> bool:
    """Whether the home exists on disk; `home_for_definitions` may return one that does not."""
    return (home.path / SETTINGS_FILE).exists()


def universe_of(home: Home) -> list[str]:
    """Instruments that the home trades, region by region so that one run can cover a region; before the home exists, every packaged one."""
    all_instruments = home.instruments if home_exists(home) else load_instruments()
    instruments = home.universe if home_exists(home) else sorted(all_instruments)
    return sorted(instruments, key=lambda instrument: REGIONS.index(all_instruments[instrument].region))
