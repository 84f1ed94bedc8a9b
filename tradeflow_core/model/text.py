"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, valid: Iterable[str]) -> str:
    """` (nearest: NAME)` for the one of `valid` that is most like `word`, upper and lower case being alike; empty where none is similar.

    The similarity of difflib, 0 to 1, must be 0.5: then GOLD still finds GOLD_micro.
    """
    close = nearest_names(word, valid, count=1)
    return f" (nearest: {close[0]})" if close else ""


def nearest_names(word: str, valid: Iterable[str], *, count: int) -> list[str]:
    """At most `count` of `valid` that are like `word`, as `nearest`, the most similar first."""
    names = {name.casefold(): name for name in valid}
    return [names[each] for each in difflib.get_close_matches(word.casefold(), names, n=count, cutoff=0.5)]
