"""How figures, dates and tables are written in a tear sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

MISSING = "–"
MINUS = "−"


def _signed(text: str) -> str:
    """With a true minus sign, and none for what was rounded to zero."""
    return text.replace("-", MINUS) if text.strip("-0.,") else text.lstrip("-")


def _known(value: Any) -> bool:
    return value is not None and value is not pd.NaT and (not isinstance(value, float) or math.isfinite(value))


def percent(value: float, digits: int = 1) -> str:
    """With its sign; very small ones with one digit that is not 0."""
    if not _known(value):
        return MISSING
    if abs(value) < 1e-6:
        return "0 %"
    shown = f"{value:+,.{digits}f}" if abs(value) >= 0.5 * 10**-digits else f"{value:+.1g}"
    return f"{_signed(shown)} %"


def spread(value: float, digits: int | None = None) -> str:
    """A percentage that needs no sign, such as a standard deviation; with the digits of `figure` if not given."""
    return f"{figure(value) if digits is None else number(value, digits)} %" if _known(value) else MISSING


def number(value: float, digits: int = 2) -> str:
    """Thousands separated."""
    return _signed(f"{value:,.{digits}f}") if _known(value) else MISSING


def figure(value: float) -> str:
    """Two decimals, or more for what is small."""
    if not _known(value):
        return MISSING
    return number(value) if abs(value) >= 1 or value == 0 else _signed(f"{value:.3g}")


def price(value: float) -> str:
    """Seven significant digits."""
    return _signed(f"{value:,.7g}") if _known(value) else MISSING


def small(value: float) -> str:
    """Four decimals."""
    return number(value, 4)


def whole(value: float) -> str:
    """Contracts, counts, money."""
    return number(value, 0)


def day(value: Any) -> str:
    """A date such as 31 Aug 2023."""
    return f"{value:%-d %b %Y}" if _known(value) and not pd.isna(value) else MISSING


def text(value: Any) -> str:
    """Anything else."""
    return str(value) if _known(value) else MISSING


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, how values are written, whether losses stand out, and what its title means."""

    title: str
    show: Callable[[Any], str] = text
    coloured: bool = False
    meaning: str = ""

    @property
    def is_text(self) -> bool:
        """True for words, which are aligned to the left."""
        return self.show is text


@dataclass(frozen=True)
class Cell:
    """A cell: its text, its class (`t` for words, `loss`), and what it is sorted by if that is a number."""

    text: str
    kind: str = ""
    order: str | None = None


@dataclass(frozen=True)
class Table:
    """A table that can be sorted in the page; the label of a row stands under the first heading."""

    heads: list[Column]
    rows: list[tuple[str, list[Cell]]]


def table(rows: pd.DataFrame, columns: Mapping[str, Column], label: str) -> Table:
    """The columns of `rows` as they are shown, the index first under the heading `label`."""
    body = [(str(name), [_cell(row[key], column) for key, column in columns.items()]) for name, row in rows.iterrows()]
    return Table([Column(label), *columns.values()], body)


def _cell(value: Any, column: Column) -> Cell:
    if column.is_text:
        return Cell(text(value), "t")
    order = value.timestamp() if isinstance(value, pd.Timestamp) and not pd.isna(value) else value
    if not isinstance(order, int | float) or not math.isfinite(order):
        return Cell(column.show(value))
    return Cell(column.show(value), "loss" if column.coloured and order < 0 else "", f"{order:.10g}")
