"""Numbers as vendors write them: separators of thousands, fractions, texts for no value."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradeflow_core.data_folders import MISSING
from tradeflow_core.vendor_files.profile import Numbers

FRACTION = r"(?P<sign>-?)(?P<whole>\d+)[-' ](?P<digits>\d{1,3})(?P<more>\+|\.\d+)?"
QUOTIENT = r"(?P<sign>-?)(?P<whole>\d+)[- ](?P<above>\d{1,2})/(?P<below>2|4|8|16|32|64|128)"
PARTS_OF_A_32ND = {"0": 0.0, "1": 0.125, "2": 0.25, "3": 0.375, "5": 0.5, "6": 0.625, "7": 0.75, "8": 0.875}
"""What the third digit of a price in 32nds means; exchanges leave out the digit after it."""


def read_numbers(text: NDArray[np.object_], rules: Numbers) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The numbers of stripped texts; where there is no value (NaN); and where a text is no number (NaN)."""
    values = np.full(len(text), np.nan)
    if rules.decimal == ".":
        values = np.array(pd.to_numeric(text, errors="coerce"), dtype=float)
        values[~np.isfinite(values)] = np.nan
    left = np.isnan(values)
    missing = np.zeros(len(text), dtype=bool)
    if left.any():
        missing[left] = pd.Series(text[left]).isin(MISSING | set(rules.missing)).to_numpy()
        left &= ~missing
    if left.any():
        values[left] = _written(pd.Series(text[left], dtype="str"), rules)
    return values, missing, np.isnan(values) & ~missing


def hint(cell: str, rules: Numbers) -> str:
    """What to do about a cell that is no number under these rules."""
    looks = ""
    if not rules.fractions and (re.fullmatch(FRACTION, cell) or re.fullmatch(QUOTIENT, cell)):
        looks = "a price in fractions: if it is, give --fractions or --profile barchart, or set `numbers: {fractions: true}`"
    elif re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d*)?", cell) and rules.thousands != ",":
        looks = 'a number with separators of thousands: if it is, give --thousands , or set `numbers: {thousands: ","}`'
    elif re.fullmatch(r"-?\d{1,3}([.' ]?\d{3})*,\d+", cell) and rules.decimal == ".":
        looks = 'a number with a decimal comma: if it is, set `numbers: {decimal: ","}`'
    return f"it looks like {looks} in a profile" if looks else "write one such as 2.5"


def _written(text: pd.Series, rules: Numbers) -> NDArray[np.float64]:
    if rules.suffixes:
        text = text.str.replace(rf"(?<=\d)[{re.escape(rules.suffixes)}]$", "", regex=True)
    plain = text
    if rules.thousands:
        grouped = rf"[+-]?\d{{1,3}}(?:{re.escape(rules.thousands)}\d{{3}})+(?:{re.escape(rules.decimal)}\d*)?"
        plain = text.where(~text.str.fullmatch(grouped), text.str.replace(rules.thousands, "", regex=False))
    if rules.decimal == ",":
        plain = plain.where(~plain.str.contains(".", regex=False), "").str.replace(",", ".", regex=False)
    values = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=float, copy=True)
    values[~np.isfinite(values)] = np.nan
    if rules.fractions and np.isnan(values).any():
        left = np.isnan(values)
        values[left] = _fractions(text[left])
    return values


def _fractions(text: pd.Series) -> NDArray[np.float64]:
    found = text.str.extract(f"^{FRACTION}$")
    digits, whole = found["digits"].fillna(""), pd.to_numeric(found["whole"]).to_numpy(dtype=float)
    length = digits.str.len().to_numpy()
    first = pd.to_numeric(digits.str[:2].where(length > 1, digits), errors="coerce").to_numpy(dtype=float)
    third = digits.str[2].where(length == 3).map(PARTS_OF_A_32ND).to_numpy(dtype=float)
    more = found["more"].fillna("0").replace("+", "0.5").to_numpy(dtype=float)
    parts = np.select(
        [(length == 1) & (first < 8) & (more == 0), (length == 2) & (first < 32), (length == 3) & (first < 32) & (more == 0)],
        [first / 8, (first + more) / 32, (first + third) / 32],
        np.nan,
    )
    quotient = text.str.extract(f"^{QUOTIENT}$").apply(lambda column: column if column.name == "sign" else pd.to_numeric(column))
    above, below = quotient["above"].to_numpy(dtype=float), quotient["below"].to_numpy(dtype=float)
    with np.errstate(invalid="ignore"):
        other = quotient["whole"].to_numpy(dtype=float) + np.where(above < below, above / below, np.nan)
    values = np.where(np.isnan(parts), other, whole + parts)
    return np.where(text.str.startswith("-"), -values, values)
