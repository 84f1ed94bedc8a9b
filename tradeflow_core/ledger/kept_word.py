"""A home's word about its ledger while the ledger is open: read when it is opened, and brought up to date as facts are recorded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from sqlalchemy import Engine

from tradeflow_core.errors import StateError, TradeflowError
from tradeflow_core.home import LEDGER_WORD_FILE, LedgerWord
from tradeflow_core.ledger.recognise import Tell, require_own, require_something, word_about
from tradeflow_core.ledger.soundness import damage
from tradeflow_core.ledger.trouble import LedgerRefused, place
from tradeflow_core.store import read_only

SECONDS = 60.0
"""How often the word is brought up to date while facts are recorded: each time it is synced to disk."""


@dataclass
class KeptWord:
    """The word of the home in the folder `home`, about a ledger that is open. `is_lost`: the home had none any more."""

    home: Path
    said: LedgerWord
    is_lost: bool = False
    _kept_at: float = 0.0
    _is_behind: bool = False

    @classmethod
    def of(cls, home: Path, engine: Engine) -> KeptWord:
        """The word of that home. Raises LedgerRefused where it has neither a word nor a ledger: a new home has a word."""
        if (said := LedgerWord.read(home)) is not None:
            return cls(home, said)
        require_something(engine)
        return cls(home, LedgerWord(made=True), is_lost=True)

    def begin(self, engine: Engine, tell: Tell) -> None:
        """Take on the identity of a ledger that is new to the home.

        Raises LedgerRefused where the home has lost its word, and the ledger is damaged.
        """
        if self.is_lost:
            if problems := damage(engine, quick=False):
                raise LedgerRefused(
                    place(engine), f"{LEDGER_WORD_FILE} of the home is missing, and it is damaged ({'; '.join(problems[:3])})"
                )
            tell(
                "ledger.json was missing",
                f"{self.home / LEDGER_WORD_FILE}, in which this home says which ledger is its own, was missing or unreadable; the ledger "
                f"{place(engine)} is sound and was taken for it. Make sure that it is the newest one (`tradeflow status`)",
            )
        if self.is_lost or not self.said.identity:
            self.keep(engine)
        self._kept_at = monotonic()

    def facts_may_be_new(self, engine: Engine) -> None:
        """Something was recorded: say so, unless that was done a short while ago."""
        self._is_behind = True
        if monotonic() - self._kept_at > SECONDS:
            with suppress(StateError):  # what is recorded is recorded; a disk that is full is said by what needs it
                self.keep(engine)

    def keep_at_last(self, engine: Engine) -> None:
        """Say what was recorded since, when the ledger is closed; a ledger that cannot be read any more is refused when it is opened."""
        if self._is_behind:
            with suppress(TradeflowError, Exception):
                self.keep(engine)

    def keep(self, engine: Engine) -> None:
        """Write down what the ledger has now.

        Raises LedgerRefused where it lacks what the home knows, and StateError where the file cannot be written.
        """
        present = LedgerWord.read(self.home) or self.said
        if present.replaced != self.said.replaced:
            return  # a restore has put another ledger in its place meanwhile; this one is not the home's any more
        with read_only(engine) as view:
            require_own(view, present)
            word = word_about(view, replaced=present.replaced)
        if self.is_lost or word != present:
            try:
                word.write(self.home)
            except OSError as error:
                raise StateError(f"{self.home / LEDGER_WORD_FILE} cannot be written ({error}); make the home writable") from error
        self.said, self.is_lost, self._kept_at, self._is_behind = word, False, monotonic(), False
