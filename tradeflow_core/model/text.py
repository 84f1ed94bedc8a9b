"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, valid: Iterable[str]) -> str:
    """` (nearest: NAME)` for the one of `valid` that is most like `word`, upper and lower case being alike; empty where none is similar.

    The similarity of difflib, 0 to 1, must be 0.5: then GOLD still finds GOLD_micro.
    """
    names = {name.casefold(): name for name in valid}
    close = difflib.get_close_matches(word.casefold(), names, n=1, cutoff=0.5)
    return f" (nearest: {names[close[0]]})" if close else ""
