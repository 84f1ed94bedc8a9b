"""A desk at work: a home with its ledger, store, broker and clock opened. Every step of the day takes one.

Rooms are imported as modules and their names are looked up when used, so `tradeflow stop` loads neither Parquet nor a broker.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from tradeflow_core import brokers, ledger, parquet, store
from tradeflow_core.home import Alerts, Home, NoSuchMarket, next_business_day, sqlite_url
from tradeflow_core.instruments import find_instrument, load_simulated_fx, load_simulated_market

if TYPE_CHECKING:
    import pandas as pd

    from tradeflow_core.brokers import Broker
    from tradeflow_core.home import Clock, Settings
    from tradeflow_core.instruments import Instrument
    from tradeflow_core.ledger import Ledger
    from tradeflow_core.store import Store


@dataclass(frozen=True)
class Desk:
    """Everything that a step of the day needs, opened when it is first asked for."""

    home: Home

    @property
    def settings(self) -> Settings:
        return self.home.settings

    @property
    def clock(self) -> Clock:
        return self.home.clock

    @property
    def account(self) -> str:
        return self.settings.account

    @property
    def universe(self) -> list[str]:
        return self.home.universe

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of this home. Raises LedgerRefused where it is not the one that the home has had, or lacks what it had."""
        return ledger.Ledger.open(self.home.database_url, home=self.home.path, tell=self._tell)

    def _tell(self, subject: str, message: str) -> None:
        self.alerts.send(subject, message, self.now())

    @cached_property
    def store(self) -> Store:
        return store.Store(self.home.data_url)

    def former_rows(self, dataset: str, name: str) -> pd.DataFrame | None:
        """What is stored of a file to which rows are about to be added; None where there is none.

        A damaged one is put aside with an alert, and the caller begins another: its rows only told of the past, and nothing depends on them.
        """
        if not self.store.exists(dataset, name):
            return None
        try:
            return self.store.read(dataset, name)
        except parquet.DamagedFile as error:
            aside = self.store.put_aside(dataset, name)
            self.alerts.send(f"{dataset} of {name}", f"{error}; it was put aside as {aside}, and another is begun", self.now())
            return None

    @cached_property
    def alerts(self) -> Alerts:
        return Alerts(self.home.path / "logs", self.settings.alerts)

    @cached_property
    def broker(self) -> Broker:
        """The broker of this home's market, connected. Raises ConfigError if there is none for that market."""
        broker = open_broker(self.home)
        broker.connect()
        return broker

    def now(self) -> datetime:
        """The present instant of this desk (UTC)."""
        return self.clock.now()

    def today(self) -> date:
        """The present date in the desk's time zone."""
        return self.home.local_day(self.now())

    def business_day(self) -> date:
        """The present business day: today in the desk's time zone; on a weekend the coming Monday."""
        today = self.today()
        return next_business_day(today) if today.weekday() >= 5 else today

    def last_done_day(self) -> date | None:
        """The latest business day that is done; None if there is none."""
        with self.ledger.read() as view:
            return ledger.last_done_day(view)

    def instrument(self, code: str) -> Instrument:
        """The instrument of that code. Raises ConfigError for an unknown code, with the most similar known one."""
        return find_instrument(self.home.instruments, code)

    def close(self) -> None:
        """Close what was opened."""
        if "broker" in self.__dict__:
            self.broker.close()
        if "ledger" in self.__dict__:
            self.ledger.close()


def open_broker(home: Home) -> Broker:
    """The broker of the home's market, not yet connected."""
    settings = home.settings
    book = sqlite_url(home.path / "market" / "book.sqlite")
    if settings.market == "simulated":
        broker = brokers.SimulatedBroker(
            instruments=home.instruments,
            sessions=home.sessions,
            parameters=load_simulated_market(home.path / "config"),
            fx=load_simulated_fx(home.path / "config"),
            clock=home.clock,
            book_url=book,
            account=settings.account,
            base_currency=settings.base_currency,
            capital=settings.capital,
            seed=settings.simulated.seed,
            first_day=settings.simulated.first_day.replace(
                year=settings.simulated.first_day.year - settings.simulated.history_years
            ),
            broken=settings.simulated.broken,
        )
        faults = settings.simulated.faults
        return brokers.FaultyBroker(broker, faults) if faults.any else broker
    if settings.market == "replay" and settings.replay is not None:
        return brokers.ReplayBroker(
            tape=store.Tape.open(settings.replay.tape),
            clock=home.clock,
            book_url=book,
            account=settings.account,
            base_currency=settings.base_currency,
            capital=settings.capital,
        )
    raise NoSuchMarket(settings.market)
