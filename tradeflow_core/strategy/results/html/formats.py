"""How figures, dates and tables are written in a tear sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
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


def table(rows: pd.DataFrame, columns: Mapping[str, Column], label: str) -> str:
    """An HTML table, the index first under the heading `label`, sortable in the page."""
    if rows.empty:
        return "<p class='none'>Nothing to show.</p>"
    heads = [_head(Column(label)), *(_head(column) for column in columns.values())]
    body = []
    for name, row in rows.iterrows():
        cells = [f"<th scope='row'>{escape(str(name))}</th>", *(_cell(row[key], column) for key, column in columns.items())]
        body.append(f"<tr>{''.join(cells)}</tr>")
    inside = f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f"<div class='scroll'><table class='sortable'>{inside}</table></div>"


def _head(column: Column) -> str:
    meaning = f" title='{escape(column.meaning, quote=True)}'" if column.meaning else ""
    kind = " class='t'" if column.show is text else ""
    return f"<th scope='col'{kind}{meaning}><button type='button'>{escape(column.title)}</button></th>"


def _cell(value: Any, column: Column) -> str:
    if column.show is text:
        return f"<td class='t'>{escape(text(value))}</td>"
    order = value.timestamp() if isinstance(value, pd.Timestamp) and not pd.isna(value) else value
    known = isinstance(order, int | float) and math.isfinite(order)
    loss = " class='loss'" if column.coloured and known and order < 0 else ""
    return (
        f"<td{loss} data-v='{order:.10g}'>{escape(column.show(value))}</td>"
        if known
        else f"<td>{escape(column.show(value))}</td>"
    )


def plain_table(rows: Mapping[str, Sequence[str]], heads: Sequence[str]) -> str:
    """An HTML table of texts by row label."""
    head = "".join(f"<th scope='col'>{escape(one)}</th>" for one in heads)
    body = "".join(
        f"<tr><th scope='row'>{escape(label)}</th>{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for label, values in rows.items()
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def pairs(values: Mapping[str, str]) -> str:
    """A list of names and what they stand for."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())
    return f"<dl class='pairs'>{items}</dl>"
