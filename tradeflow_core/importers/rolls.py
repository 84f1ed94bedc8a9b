"""Rolls of a data folder without a price of both contracts: named, and mended by marks of the tape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.series import (
    MendedRoll,
    RollMethod,
    marks_of_rolls,
    mend_roll,
    parse_told,
    require_used,
    roll_gaps,
    told_for,
)

Told = Mapping[tuple[int, pd.Timestamp], float]


@dataclass(frozen=True, slots=True)
class RollChoice:
    """What a person chose for rolls without common prices: the method, and prices by instrument, contract and time."""

    method: RollMethod = "infer"
    told: Mapping[str, Told] | None = None

    @classmethod
    def parse(cls, method: RollMethod, prices: Sequence[str], zone: str) -> RollChoice:
        """Of prices such as `ALPHA:20230800@2023-08-16T23:00=101.25`. Raises ConfigError."""
        told: dict[str, dict[tuple[int, pd.Timestamp], float]] = {}
        for text in prices:
            code, colon, rest = text.partition(":")
            if not colon:
                raise ConfigError(f"{text!r} names no instrument; write CODE:CONTRACT@TIME=PRICE")
            key, price = parse_told(rest, zone)
            told.setdefault(code, {})[key] = price
        return cls(method, told)

    def of(self, instrument: str) -> Told:
        """The prices told for an instrument."""
        return (self.told or {}).get(instrument, {})


def mend_rolls(multiple: pd.DataFrame, instrument: str, choice: RollChoice, *, zone: str) -> list[MendedRoll]:
    """The rolls of rebuilt multiple prices that lack a price, with one; stamps in `zone`.

    Raises DataError naming those for which none can be had, and the ways out; ConfigError for a told price that no roll lacks.
    """
    local = multiple.set_axis(pd.DatetimeIndex(multiple.index).tz_convert(zone), axis=0)
    gaps, told = roll_gaps(local), choice.of(instrument)
    require_used(gaps, told)
    mended, hopeless = [], []
    for gap in gaps:
        try:
            mended.append(mend_roll(local, gap, choice.method, told=told_for(gap, told)))
        except DataError as error:
            hopeless.append(f"{error} with --roll-price {instrument}:{gap.forward_contract}@{gap.stamp:%Y-%m-%dT%H:%M:%S}=PRICE")
    if hopeless:
        raise DataError("\n".join(f"{instrument}: {text}" for text in hopeless))
    return mended


def stored_marks(mended: Sequence[MendedRoll]) -> pd.DataFrame:
    """The marks of rolls as a tape keeps them: contract, date (UTC), price, why."""
    marks = marks_of_rolls(mended)
    dates = pd.DatetimeIndex(marks["date"]).tz_convert("UTC").as_unit("us")
    return marks.assign(contract=marks["contract"].astype("int64"), date=dates)


def note_of(instrument: str, mended: MendedRoll) -> str:
    """What a person has to know about a mended roll, with the ways to choose otherwise."""
    return (
        f"{instrument}: {mended}; choose otherwise with --roll-method infer or fill, or tell it: "
        f"--roll-price {instrument}:CONTRACT@{mended.gap.stamp:%Y-%m-%dT%H:%M:%S}=PRICE"
    )


def off_by_a_constant(theirs: pd.Series, ours: pd.Series, mended: Sequence[MendedRoll]) -> pd.Series:
    """Our adjusted prices, those before each mended roll moved by a constant to where `theirs` (at the same times) are.

    A price that the folder does not hold moves all before it: only that is taken from the folder's series, for the comparison.
    """
    if not mended:
        return ours
    ends = pd.DatetimeIndex([each.gap.stamp for each in mended]).tz_convert("UTC")
    part = ends.searchsorted(pd.DatetimeIndex(ours.index), side="left")
    moved = ours.to_numpy(dtype=float).copy()
    for number in range(len(ends)):
        rows = part == number
        if (known := rows & ~np.isnan(moved)).any():
            moved[rows] += np.median(theirs.to_numpy()[known] - moved[known])
    return pd.Series(moved, index=ours.index)
