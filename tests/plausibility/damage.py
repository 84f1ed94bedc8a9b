"""A data folder of eight instruments, damaged by seed, and whether a backtest says so.

`python -m tests.plausibility.damage --seeds 100` prints every damage with what it changes and what was said about it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from tests.strategy.markets import euros, multiple_prices, write_csv_folder
from tradeflow_core.errors import TradeflowError
from tradeflow_core.instruments import load_instruments
from tradeflow_core.strategy import BacktestData, load_strategy, packaged_strategies, run_backtest
from tradeflow_core.strategy.results import Summary, summarise

CODES = ("BUND", "CORN", "CRUDE_W_mini", "EUROSTX", "GBP", "GOLD_micro", "JGB-mini", "SP500_micro")
"""Instruments of several sizes of price, in three currencies."""

PRICES = {
    "GBP": 1.27,
    "JGB-mini": 146.0,
    "GOLD_micro": 2060.0,
    "SP500_micro": 4760.0,
    "BUND": 133.0,
    "CORN": 480.0,
    "EUROSTX": 4470.0,
}
DAYS = 1500
NOTICED = 0.01
"""A change of a figure by more has to be said."""

FIGURES = ("net", "std", "sharpe")


def make_folder(folder: Path) -> Path:
    """The sound folder."""
    packaged = load_instruments()
    tables = {}
    for place, code in enumerate(CODES):
        table = multiple_prices(place, DAYS)
        tick = packaged[code].tick or 0.01
        scale = PRICES.get(code, 72.0) / 200.0
        for name in ("PRICE", "CARRY", "FORWARD"):
            table[name] = np.round(table[name] * scale / tick) * tick
        tables[code] = table
    yen = 0.0069 * euros(DAYS) / 1.1
    data = BacktestData.from_frames(tables, {"EURUSD": euros(DAYS), "JPYUSD": yen}, {code: packaged[code] for code in CODES})
    return write_csv_folder(folder, data)


@dataclass(frozen=True)
class Damage:
    """What was done to which file, and to which instruments it belongs."""

    kind: str
    file: str
    place: str
    instruments: tuple[str, ...]


def damage(folder: Path, seed: int) -> Damage:
    """Damage one file of the folder, drawn by `seed`."""
    random = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    group = str(
        random.choice(["multiple_prices_csv", "multiple_prices_csv", "adjusted_prices_csv", "fx_prices_csv", "csvconfig"])
    )
    if group == "csvconfig" and kind in ("unit", "shifted row"):
        group = "multiple_prices_csv"
    path = folder / group / str(random.choice(sorted(each.name for each in (folder / group).glob("*.csv"))))
    if group == "csvconfig" and path.name == "rollconfig.csv":
        path = path.with_name("spreadcosts.csv")  # a backtest does not read roll rules
    header, *lines = path.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    columns = header.split(",")
    numbers = [place for place, name in enumerate(columns) if name in NUMBERS]
    column = int(random.choice(numbers))
    row = int(random.integers(len(rows) // 5, len(rows) * 4 // 5)) if group != "csvconfig" else int(random.integers(len(rows)))
    code = rows[row][0] if group == "csvconfig" else path.stem
    facts = load_instruments()
    named = (code,) if code in CODES else tuple(each for each in CODES if f"{facts[each].currency}USD" == code)
    place = f"line {row + 2}, {columns[column]}"
    if kind == "missing file":
        path.unlink()
        return Damage(kind, f"{group}/{path.name}", "", named)
    CHANGES[kind](rows, row, column)
    path.write_text("\n".join([header, *(",".join(cells) for cells in rows)]) + "\n")
    return Damage(kind, f"{group}/{path.name}", place, named)


NUMBERS = ("PRICE", "CARRY", "FORWARD", "price", "Pointsize", "PerBlock", "SpreadCost")
Rows = list[list[str]]


def _cell(by: Callable[[str], str]) -> Callable[[Rows, int, int], None]:
    def change(rows: Rows, row: int, column: int) -> None:
        rows[row][column] = by(rows[row][column])

    return change


def _neighbour(rows: Rows, row: int, _: int) -> None:
    rows[row] = [rows[row][0], *rows[row - 1][1:]]


def _shifted(rows: Rows, row: int, _: int) -> None:
    rows[row] = [rows[row][0], *rows[row][2:], rows[row][1]]


def _unit(rows: Rows, row: int, column: int) -> None:
    for later in rows[row:]:
        later[column] = repr(float(later[column]) * 100)


def _duplicate(rows: Rows, row: int, column: int) -> None:
    rows.insert(row, [*rows[row][:column], repr(float(rows[row][column]) * 1.5), *rows[row][column + 1 :]])


def _order(rows: Rows, row: int, _: int) -> None:
    rows[row], rows[row - 1] = rows[row - 1], rows[row]


CHANGES: dict[str, Callable[[Rows, int, int], None]] = {
    "times 10": _cell(lambda text: repr(float(text) * 10)),
    "times 100": _cell(lambda text: repr(float(text) * 100)),
    "sign": _cell(lambda text: repr(-float(text))),
    "zero": _cell(lambda _: "0"),
    "blank": _cell(lambda _: ""),
    "neighbour's row": _neighbour,
    "shifted row": _shifted,
    "unit": _unit,
    "duplicate": _duplicate,
    "another order": _order,
}
KINDS = (*CHANGES, "missing file")


def backtest(folder: Path) -> Summary:
    config = load_strategy(packaged_strategies()["static_trend_carry"])
    config = config.model_copy(update={"instrument_weights": dict.fromkeys(CODES, 1 / len(CODES))})
    return summarise(run_backtest(config, BacktestData.from_pysystemtrade(folder)))


def figures(summary: Summary) -> pd.DataFrame:
    """Mean, volatility, Sharpe ratio and turnover by instrument, and of the portfolio."""
    table = summary.by_instrument[[*FIGURES, "turnover"]].astype("float64")
    whole = summary.statistics["net"]
    table.loc["portfolio"] = [whole["ann_mean"], whole["ann_std"], whole["sharpe"], summary.portfolio_turnover]
    return table.sort_index()


@dataclass(frozen=True)
class Outcome:
    """What came of a damage: what refused it, or by how much it changes a figure most, and which new caveats name an instrument."""

    damage: Damage
    refused: str
    change: float
    caveats: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was changed silently."""
        named = {instrument for instrument, _ in self.caveats} & set(self.damage.instruments)
        return bool(self.refused) or self.change <= NOTICED or bool(named)


def outcome(sound: Path, seed: int, expected: Summary) -> Outcome:
    """Damage a copy of the sound folder, and backtest it."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "data"
        shutil.copytree(sound, copy)
        done = damage(copy, seed)
        try:
            found = backtest(copy)
        except TradeflowError as error:
            return Outcome(done, str(error), 0.0, ())
    before, after = figures(expected), figures(found)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = ((after - before).abs() / before.abs()).where(after.notna() == before.notna(), np.inf).fillna(0.0)
    known = {(each.instrument, each.kind, each.detail) for each in expected.shortcomings}
    new = tuple(
        (each.instrument, f"{each.kind}: {each.detail}")
        for each in found.shortcomings
        if (each.instrument, each.kind, each.detail) not in known
    )
    return Outcome(done, "", float(change.to_numpy().max()), new)


@click.command()
@click.option("--seeds", default=22, show_default=True)
@click.option("--first", default=0, show_default=True)
def main(seeds: int, first: int) -> None:
    """Print what becomes of every damage."""
    with tempfile.TemporaryDirectory() as place:
        sound = make_folder(Path(place) / "sound")
        expected = backtest(sound)
        for seed in range(first, first + seeds):
            found = outcome(sound, seed, expected)
            said = found.refused or "; ".join(f"{code} {text}" for code, text in found.caveats)
            verdict = "ok" if found.passed else "SILENT"
            click.echo(
                f"{seed:4} {verdict:6} {found.damage.kind} in {found.damage.file} {found.damage.place}: {found.change:.2%}; {said[:200]}"
            )


if __name__ == "__main__":
    main()
