"""A data folder in pysystemtrade's layout: which files it has, and what they hold, read the same for an import and for a backtest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tradeflow_core.data_folders.problems import Note, Problems
from tradeflow_core.data_folders.series_files import CONTRACT, PRICE, STAMP, SeriesFile, read_series
from tradeflow_core.errors import ConfigError
from tradeflow_core.instruments import Instrument, read_instruments, unknown_name

MULTIPLE, ADJUSTED, FX, CALENDARS, CONFIG = (
    "multiple_prices_csv",
    "adjusted_prices_csv",
    "fx_prices_csv",
    "roll_calendars_csv",
    "csvconfig",
)
TABLES = ("instrumentconfig.csv", "rollconfig.csv", "spreadcosts.csv")
PRICE_NAMES = ("PRICE", "FORWARD", "CARRY")
MULTIPLE_COLUMNS = (
    {"DATETIME": STAMP}
    | dict.fromkeys(PRICE_NAMES, PRICE)
    | dict.fromkeys(("PRICE_CONTRACT", "FORWARD_CONTRACT", "CARRY_CONTRACT"), CONTRACT)
)
ADJUSTED_COLUMNS = {"DATETIME": STAMP, "price": PRICE}
FX_COLUMNS = {"DATETIME": STAMP, "PRICE": PRICE}
CALENDAR_COLUMNS = {"DATE_TIME": STAMP, "current_contract": CONTRACT, "next_contract": CONTRACT, "carry_contract": CONTRACT}

_PAIR = re.compile("([A-Z]{3})([A-Z]{3})")


@dataclass(frozen=True)
class RateFile:
    """A file of rates. `pair`: dollars for one unit of a currency, e.g. `JPYUSD`; `is_inverted`: the file has the reciprocals."""

    pair: str
    path: Path
    is_inverted: bool = False

    def read(self) -> SeriesFile:
        """Its rates (column PRICE) as dollars for one unit. Raises ConfigError for one that is not above zero."""
        read = read_series(self.path, FX_COLUMNS, about=self.pair, dates_are_usual=True)
        rates = read.frame["PRICE"]
        problems = Problems()
        for stamp in rates.index[(rates <= 0).to_numpy()]:
            problems.add(f"{self.path}, {stamp:%Y-%m-%d}: {rates[stamp]:g} is no rate; write one above 0, or remove the line")
        problems.raise_if_any()
        if not self.is_inverted:
            return read
        note = Note(self.pair, "rate turned round", f"{self.path.name} is quoted the other way round; its reciprocals are used.")
        return SeriesFile(read.path, (1.0 / rates).to_frame(), read.is_date, (*read.notes, note))


@dataclass(frozen=True)
class DataFolder:
    """A folder in that layout. What was noted while reading its files is in `notes`."""

    root: Path
    notes: list[Note] = field(default_factory=list)

    @staticmethod
    def open(folder: str | Path, *, needs: Iterable[str] = (MULTIPLE, FX)) -> DataFolder:
        """Raises ConfigError naming everything that is missing of the folders that it `needs` and of the tables."""
        root = Path(folder).absolute()
        wanted = [*(root / name for name in needs), *(root / CONFIG / name for name in TABLES)]
        if missing := [str(path) for path in wanted if not path.exists()]:
            raise ConfigError(
                f"{folder} is not a pysystemtrade data folder, {', '.join(missing)} missing; name the folder that holds {MULTIPLE} and {CONFIG}"
            )
        return DataFolder(root)

    @property
    def codes(self) -> list[str]:
        """Codes of the instruments that have multiple prices, sorted."""
        return sorted(path.stem for path in (self.root / MULTIPLE).glob("*.csv"))

    @cached_property
    def tables(self) -> tuple[dict[str, Instrument], dict[str, list[str]]]:
        """Instruments by code, and by code what is wrong with the lines of the others."""
        instruments, problems, notes = read_instruments(self.root / CONFIG)
        self.notes.extend(Note(*note) for note in notes)
        return instruments, problems

    def instrument(self, code: str) -> Instrument:
        """Facts of an instrument. Raises ConfigError with what is wrong with its lines, or where it has none."""
        instruments, wrong = self.tables
        if code in wrong:
            raise ConfigError("\n".join(wrong[code]))
        if code not in instruments:
            raise ConfigError(f"{self.root / CONFIG / TABLES[0]}: {unknown_name(code, instruments)}; add a line for it")
        return instruments[code]

    def multiple_prices(self, code: str) -> SeriesFile:
        """Multiple prices of an instrument. Raises ConfigError with everything that is wrong."""
        path = self.root / MULTIPLE / f"{code}.csv"
        read = self._noted(read_series(path, MULTIPLE_COLUMNS))
        if not read.frame["PRICE"].notna().any():
            raise ConfigError(f"{path}: has no PRICE on any line; restore the file, or leave the instrument out")
        return read

    def has_adjusted_prices(self, code: str) -> bool:
        """Whether the folder has adjusted prices of an instrument."""
        return (self.root / ADJUSTED / f"{code}.csv").exists()

    def adjusted_prices(self, code: str) -> SeriesFile:
        """Adjusted prices of an instrument. Raises ConfigError as `multiple_prices`."""
        return self._noted(read_series(self.root / ADJUSTED / f"{code}.csv", ADJUSTED_COLUMNS))

    def roll_calendar(self, code: str) -> SeriesFile | None:
        """The roll calendar of an instrument; None where the folder has none."""
        path = self.root / CALENDARS / f"{code}.csv"
        return read_series(path, CALENDAR_COLUMNS, in_order=False) if path.exists() else None

    @cached_property
    def rate_files(self) -> Mapping[str, RateFile]:
        """Files of rates against the dollar by pair. One that is quoted the other way round counts where the right one is missing."""
        found: dict[str, RateFile] = {}
        for path in sorted((self.root / FX).glob("*.csv")):
            match = _PAIR.fullmatch(path.stem)
            if match is None or "USD" not in match.groups():
                self.notes.append(Note("", "file left out", f"{path.name} is not a rate against the dollar and was left out"))
            elif match[2] == "USD":
                found[path.stem] = RateFile(path.stem, path)
            elif (self.root / FX / f"{match[2]}USD.csv").exists():
                self.notes.append(Note("", "file left out", f"{path.name} was left out, since there is {match[2]}USD.csv"))
            else:
                found[f"{match[2]}USD"] = RateFile(f"{match[2]}USD", path, is_inverted=True)
        return found

    def rates(self, pair: str) -> SeriesFile:
        """Rates of a pair that is in `rate_files`. Raises ConfigError with everything that is wrong."""
        return self._noted(self.rate_files[pair].read())

    def _noted(self, read: SeriesFile) -> SeriesFile:
        self.notes.extend(note for note in read.notes if note not in self.notes)
        return read
