"""What an import found: counts for each instrument, and the proof that nothing was lost."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

OTHER = "other"
"""Kind of a difference between imported and rebuilt prices that nothing explains."""


@dataclass(frozen=True, slots=True)
class InstrumentImport:
    """One instrument. Stamps are local times of the recording.

    `rows` of multiple prices between `first` and `last`, holding `contracts` and `rolls`; `daily`, `hourly`, `marks`: bars made of them;
    `exceptions`: values of the imported multiple prices that the bars and roll events do not give back, by kind (see
    `prices.compare_multiple_prices`); `calendar_rows`, `calendar_matching`: rolls of the folder's roll calendar, and those that are in the
    prices; `adjusted_rows`, `adjusted_equal`: adjusted prices in the folder, and those that our back-adjustment gives;
    `adjusted_new`: prices of ours that the folder's series lacks; `odd_times`: stamps in the hours that a change of the clocks doubles
    or leaves out.
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

    @property
    def proven(self) -> bool:
        """Whether every difference is explained and no adjusted price of the folder is contradicted."""
        return not self.exceptions.get(OTHER) and self.adjusted_equal == self.adjusted_rows


@dataclass
class ImportReport:
    """What was imported from `source`, recorded in `zone`: instruments, rows of each FX series, and what to know."""

    source: str
    zone: str
    instruments: list[InstrumentImport] = field(default_factory=list)
    fx: dict[str, int] = field(default_factory=dict)
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
