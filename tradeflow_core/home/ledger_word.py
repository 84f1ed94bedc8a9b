"""The home's word about its ledger: which one is its own, and which facts it held when the home looked last.

A ledger that is missing, that is another one, or that lacks what the home has seen in it, is recognised by this file. It is written
a while after the facts, never before them: a ledger may have more than the home knows, never less.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tradeflow_core.home.files import replace_text

LEDGER_WORD_FILE = "ledger.json"


@dataclass(frozen=True, slots=True)
class LedgerWord:
    """What a home knows about its ledger.

    `made`: it was made once, so that a missing one is an error. `identity`: its random id; empty where it is not known yet. `heads`: by
    table of facts, the id and the hash of the newest row. `replaced`: how often another ledger was put in its place by a restore.
    """

    made: bool = False
    identity: str = ""
    heads: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    replaced: int = 0

    @classmethod
    def read(cls, home: Path) -> LedgerWord | None:
        """The word of the home in the folder `home`; None where there is none, or it cannot be read."""
        try:
            said = json.loads((home / LEDGER_WORD_FILE).read_text(encoding="utf-8"))
            return cls(
                made=bool(said["made"]),
                identity=str(said["identity"]),
                heads={str(table): (int(head[0]), str(head[1])) for table, head in said["heads"].items()},
                replaced=int(said["replaced"]),
            )
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
            return None

    def write(self, home: Path) -> None:
        """Make this the word of the home in the folder `home`. Raises OSError."""
        replace_text(home / LEDGER_WORD_FILE, json.dumps(asdict(self), indent=1))
