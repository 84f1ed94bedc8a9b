"""Words for people: what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """` (nearest: NAME)` for the one of `known` that is most like `word`, in upper or lower case; empty where none is alike."""
    names = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), names, n=1, cutoff=0.5)
    return f" (nearest: {names[close[0]]})" if close else ""
