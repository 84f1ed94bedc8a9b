"""How calendars and price tables are compared with the reference's: same stamps, same contracts, same prices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tests.parity.proof import Answers
from tradeflow_core.instruments import RollRule
from tradeflow_core.series.multiple import LABEL_COLUMNS, PRICE_COLUMNS

TOLERANCE = 1e-9
CALENDAR = ["current_contract", "next_contract", "carry_contract"]


def by(frame: pd.DataFrame, *keys: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each part of a file with its key, indexed by date where it is not one of contract prices."""
    for key, rows in frame.groupby(list(keys), sort=False):
        part = rows.drop(columns=list(keys))
        yield (key[0] if len(keys) == 1 else key), part if "contract" in part else part.set_index("date")


def rules(frame: pd.DataFrame, key: str) -> dict[str, RollRule]:
    """The roll rule of each row."""
    columns = ["hold_rollcycle", "priced_rollcycle", "roll_offset_day", "carry_offset", "approx_expiry_offset"]
    return {row[key]: RollRule(*row[columns]) for _, row in frame.iterrows()}


def same_series(answers: Answers, file: str, ours: pd.Series, theirs: pd.Series) -> None:
    """The same prices at the same stamps."""
    assert ours.index.equals(theirs.index), f"{file}: {len(ours)} stamps, the reference has {len(theirs)}"
    answers.same(file, ours.to_frame("price"), theirs.to_frame("price"), TOLERANCE)


def same_multiple_prices(answers: Answers, file: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """The same three prices and contracts at the same stamps."""
    assert ours.index.equals(theirs.index), f"{file}: {len(ours)} stamps, the reference has {len(theirs)}"
    answers.same(file, ours[list(PRICE_COLUMNS)], theirs[list(PRICE_COLUMNS)], TOLERANCE)
    for column in LABEL_COLUMNS:
        answers.equal(file, ours[column], theirs[column])


def same_calendar(answers: Answers, file: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """The same rolls on the same dates."""
    assert list(ours.columns) == CALENDAR
    answers.equal(file, ours.index, theirs.index)
    for column in CALENDAR:
        answers.equal(file, ours[column], theirs[column])
