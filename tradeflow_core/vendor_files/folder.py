"""A folder of vendors' CSV files, or one of them, as a source of price history."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.model import nearest, parse_contract
from tradeflow_core.prices import History, Offer
from tradeflow_core.vendor_files.csv_file import read_history
from tradeflow_core.vendor_files.profile import FileName, Profile


@dataclass(frozen=True)
class CsvFolder:
    """Files named `*.csv` in a folder and those below it, or one file. `zone`: the desk's; `codes`: the instruments that are known.

    `instrument`: only its files, and those whose names tell none. `contract`: of the one file. `frequency`: of files whose names tell none; with
    `contract`, of the file.
    """

    path: Path
    profile: Profile
    zone: str
    codes: Collection[str]
    instrument: str | None = None
    contract: int | None = None
    frequency: str = "D"

    def offers(self) -> Sequence[Offer]:
        """One for each file, in order of their names. Raises ConfigError where there is no file."""
        if not self.path.is_dir():
            return [self._offer(self.path)]
        if self.contract is not None:
            raise ConfigError(f"{self.path} is a folder: leave --contract out, the names of its files tell their contracts")
        paths = sorted(path for path in self.path.rglob("*") if path.suffix.lower() == ".csv" and path.is_file())
        if not paths:
            raise ConfigError(f"{self.path} holds no file whose name ends in .csv; name the folder with the files of the vendor")
        offers = [self._offer(path) for path in paths]
        own = [offer for offer in offers if self.instrument is None or offer.instrument in (self.instrument, "")]
        if not own:
            raise ConfigError(
                f"{self.path} holds no file of {self.instrument}; the names of its {len(paths)} files tell other instruments"
            )
        return own

    def history(self, offer: Offer) -> History:
        """The bars of a file. Raises ConfigError with everything that is wrong in it."""
        path = self.path / offer.name if self.path.is_dir() else self.path
        return read_history(path, offer.contract, frequency=offer.frequency, profile=self.profile, zone=self.zone)

    def _offer(self, path: Path) -> Offer:
        name = path.relative_to(self.path).as_posix() if self.path.is_dir() else path.name
        if self.contract is not None:
            if self.instrument is None:
                raise ConfigError("--contract tells the contract of one file; name its instrument too")
            return Offer(name, self.instrument, self.contract, self.frequency)
        problem = f"{path}: its name tells no contract"
        for known in self.profile.files:
            if found := known.pattern.fullmatch(path.name):
                parts = found.groupdict()
                try:
                    contract = parse_contract(parts["contract"])
                except DataError as error:
                    problem = f"{path}: {error}"
                    continue
                return self._named(path, name, parts.get("instrument"), contract=contract, known=known)
        remedy = "rename it" if self.path.is_dir() else "give --contract"
        return Offer(name, problem=f"{problem}; {remedy}, or say in `files` of a profile how it is to be read")

    def _named(self, path: Path, name: str, symbol: str | None, *, contract: int, known: FileName) -> Offer:
        frequency = known.frequency or self.frequency
        code = self.instrument if symbol is None else self._code(symbol)
        if symbol is None and code is None:
            return Offer(name, problem=f"{path}: its name tells no instrument; name the instrument of these files")
        if code is None:
            hint = nearest(str(symbol), [*self.codes, *self.profile.symbols])
            remedy = f"set `symbols: {{{symbol}: CODE}}` in a profile"
            return Offer(
                name, problem=f"{path}: {symbol} of its name is no instrument that is known{hint}; {remedy}, or rename it"
            )
        if self.instrument not in (None, code) and not self.path.is_dir():
            return Offer(
                name,
                code,
                contract,
                frequency,
                f"{path}: its name tells {code}, not {self.instrument}; give --contract if that is right",
            )
        return Offer(name, code, contract, frequency)

    def _code(self, symbol: str) -> str | None:
        """Our instrument of a vendor's symbol; None: not known."""
        for names in (self.profile.symbols, {code: code for code in self.codes}):
            by_name = {key.casefold(): code for key, code in names.items()}
            if code := by_name.get(symbol.casefold()):
                return code
        return None
