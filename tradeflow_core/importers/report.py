"""The report of an import: counts for each instrument, and whether the imported data give back the prices of the folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

OTHER = "other"
"""The kind of an unexplained difference between imported and rebuilt prices."""


@dataclass(frozen=True, slots=True)
class InstrumentImport:
    """The import of one instrument. Times are local times of the folder's zone.

    `rows`: rows of multiple prices, from `first` to `last`, with so many `contracts` and `rolls`; `daily`, `hourly`, `marks`: bars made of
    them; `exceptions`: by kind, values of the multiple prices that bars and roll events do not give back (see
    `series.compare_multiple_prices`); `calendar_rows`, `calendar_matching`: rolls of the folder's roll calendar, and those of them that are
    in the prices; `adjusted_rows`, `adjusted_equal`: adjusted prices in the folder, and those of them that equal our back-adjusted prices;
    `adjusted_new`: our adjusted prices at times that the folder's series lacks; `odd_times`: times in the hours that occur twice, or not at
    all, when summer time ends or begins; `mended_rolls`: rolls that had no price of one of their contracts, and the price that they got.
    """

    instrument: str
    first: str
    last: str
    rows: int
    contracts: int
    rolls: int
    daily: int
    hourly: int
    marks: int
    exceptions: dict[str, int]
    calendar_rows: int = 0
    calendar_matching: int = 0
    adjusted_rows: int = 0
    adjusted_equal: int = 0
    adjusted_new: int = 0
    odd_times: int = 0
    mended_rolls: list[str] = field(default_factory=list)

    @property
    def proven(self) -> bool:
        """Whether every difference is explained and our adjusted prices equal all of the folder's."""
        return not self.exceptions.get(OTHER) and self.adjusted_equal == self.adjusted_rows


@dataclass
class ImportReport:
    """An import from `source`, recorded in time zone `zone`: instruments, number of rates by currency pair, what is wrong with instruments that
    were left out, and notes for the user."""

    source: str
    zone: str
    instruments: list[InstrumentImport] = field(default_factory=list)
    fx: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def proven(self) -> bool:
        """Whether all instruments are proven."""
        return all(instrument.proven for instrument in self.instruments)

    @property
    def exceptions(self) -> dict[str, int]:
        """Exceptions of all instruments by kind."""
        total: dict[str, int] = {}
        for instrument in self.instruments:
            for kind, number in instrument.exceptions.items():
                total[kind] = total.get(kind, 0) + number
        return total

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps(asdict(self) | {"proven": self.proven, "exceptions": self.exceptions}, indent=1)
