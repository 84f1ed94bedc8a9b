"""A tape: a read-only history of markets (bars, rates, roll events, instrument tables) that a replay trades on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path

import pandas as pd

from tradeflow_core.errors import ConfigError
from tradeflow_core.instruments import Instrument, find_instrument, load_instruments
from tradeflow_core.store.parquet import Store

MANIFEST = "tape.json"
"""Written last: a folder without it is not a tape, or an incomplete one."""


@dataclass(frozen=True)
class Tape:
    """A tape in a folder: `tape.json`, `config/` (instrument tables), datasets `bars`, `fx`, `roll_events` and `roll_marks`.

    `zone`: time zone in which the history was recorded. `source`: what it was imported from.
    """

    path: Path
    zone: str
    source: str

    @classmethod
    def open(cls, path: str | Path) -> Tape:
        """The tape at `path`. Raises ConfigError if there is none."""
        path = Path(path).absolute()
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} is not a tape ({MANIFEST} is missing or unreadable); make one with `tradeflow import pysystemtrade`"
            ) from error
        return cls(path, manifest["zone"], manifest["source"])

    @cached_property
    def store(self) -> Store:
        return Store(str(self.path))

    @cached_property
    def codes(self) -> list[str]:
        """Codes of the instruments that have a price history, sorted."""
        return self.store.names("bars")

    @cached_property
    def instruments(self) -> dict[str, Instrument]:
        """The instruments of the tape, by code."""
        table = load_instruments(self.path / "config")
        return {instrument: find_instrument(table, instrument) for instrument in self.codes}

    @cached_property
    def currencies(self) -> list[str]:
        """Currencies with a rate against the dollar."""
        return [name.removesuffix("USD") for name in self.store.names("fx")]

    @lru_cache(maxsize=256)  # noqa: B019 - a tape lives as long as its replay
    def bars(self, instrument: str) -> pd.DataFrame:
        """Bars of all contracts, sorted by end. Raises StateError for an instrument that is not on the tape."""
        return self.store.read("bars", instrument)

    @lru_cache(maxsize=64)  # noqa: B019
    def fx(self, currency: str) -> pd.Series:
        """US dollars for one unit of `currency`, by time (UTC)."""
        return self.store.read("fx", f"{currency}USD")["rate"]

    def contracts(self, instrument: str) -> list[int]:
        """Contracts with prices, sorted."""
        return sorted(int(contract) for contract in self.bars(instrument)["contract"].unique())

    @lru_cache(maxsize=256)  # noqa: B019
    def roll_events(self, instrument: str) -> pd.DataFrame:
        """Roll events in order: after (UTC, NaT first), price_contract, forward_contract, carry_contract, reason."""
        return self.store.read("roll_events", instrument)

    @lru_cache(maxsize=256)  # noqa: B019
    def roll_marks(self, instrument: str) -> pd.DataFrame:
        """Prices of rolls that the recording lacks: contract, date (UTC), price, why (how it was found); mostly none."""
        if not self.store.exists("roll_marks", instrument):
            dates = pd.DatetimeIndex([], tz="UTC").as_unit("us")
            return pd.DataFrame({"contract": [], "date": dates, "price": [], "why": []})
        return self.store.read("roll_marks", instrument)

    def has_intraday(self, instrument: str, start: datetime, end: datetime) -> bool:
        """Whether a bar of the instrument that is shorter than a day ends in (start, end]; a mark, which has no length, is none."""
        bars = self.bars(instrument)
        bars = bars[(bars["end"] > start) & (bars["end"] <= end)]
        return bool(((bars["frequency"] != "D") & (bars["start"] < bars["end"])).any())

    def first_and_last(self, instrument: str) -> tuple[datetime, datetime]:
        """When the first and the last bar of the instrument end (UTC)."""
        end = self.bars(instrument)["end"]
        return end.min().to_pydatetime(), end.max().to_pydatetime()
