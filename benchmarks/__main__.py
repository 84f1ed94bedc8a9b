"""Print every figure with its baseline beside it."""

from __future__ import annotations

import os
import platform

from rich.console import Console
from rich.table import Table

from benchmarks import backtests, day, growth, polls, prices, stack, start_up, universe
from benchmarks.measure import Figure
from tradeflow_core.instruments import default_universe


def main() -> None:
    """Measure and print."""
    console = Console(width=150)
    console.print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, OPENBLAS_CORETYPE={os.environ.get('OPENBLAS_CORETYPE', '')}"
    )
    if prices.SHARED.exists():
        # First, while this process is small: a child's peak memory begins with its parent's.
        show_growth(console, universe.figures())
        show_backtests(console, backtests.figures())
        show_optimiser(console, backtests.optimiser_figures())
        show(console, prices.figures())
    else:
        console.print("the reference data is absent (../shared), so only the simulated day is measured")
    show_appends(console, growth.figures())
    show_start_up(console, start_up.figures())
    show_polls(console, polls.figures())
    show_stack(console, stack.figures())
    table = Table(
        f"job through Dagster, {len(default_universe())} instruments",
        "wall s",
        "core s",
        "Dagster s",
        title="Business day",
        title_justify="left",
    )
    for name, wall, own in day.figures():
        table.add_row(name, f"{wall:.2f}", f"{own:.2f}", f"{wall - own:.2f}")
    console.print(table)


def show_start_up(console: Console, figures: list[tuple[str, float, str]]) -> None:
    """Print what a command costs before it does anything."""
    table = Table("what", "CPU s", "beside", title="Start-up", title_justify="left")
    imports = {name.removeprefix("import "): cpu for name, cpu, _ in figures if name.startswith("import ")}
    for name, cpu, beside in figures:
        table.add_row(name, f"{cpu:.2f}", f"import {beside} {imports[beside]:.2f}" if beside else "")
    console.print(table)


def show_growth(console: Console, figures: list[universe.UniverseFigure]) -> None:
    """Print what the price chain costs as the number of instruments grows."""
    names = ("price chain", "instruments", "price rows", "CPU s", "us a row", "wall s", "peak MB", "MB before")
    table = Table(*names, title="Price chain over the universe", title_justify="left")
    for f in figures:
        numbers = (f"{f.cpu:.2f}", f"{f.cpu / f.rows * 1e6:.2f}", f"{f.wall:.2f}", f"{f.peak:,.0f}", f"{f.idle:,.0f}")
        table.add_row(f.work, str(f.instruments), f"{f.rows:,}", *numbers)
    console.print(table)


def show_appends(console: Console, figures: list[growth.GrowthFigure]) -> None:
    """Print what a day of minute bars costs as the stored past grows."""
    names = (
        "stored rows",
        "append s",
        "worst s",
        "one file: s",
        "peak MB",
        "one file: MB",
        "60 days s",
        "all closes s",
        "all bars s",
    )
    table = Table(*names, title="A day of minute bars, CPU seconds", title_justify="left")
    for f in figures:
        seconds, memory = growth.BEFORE[f.rows]
        numbers = (f"{f.append:.3f}", f"{f.worst:.3f}", f"{seconds:.2f}", f"{f.peak:,.0f}", f"{memory:,}")
        table.add_row(f"{f.rows:,}", *numbers, *(f"{read:.3f}" for read in (f.recent, f.closes, f.bars)))
    console.print(table)


def show_backtests(console: Console, figures: list[backtests.BacktestFigure]) -> None:
    """Print what backtests cost, what dominates, and how that grows."""
    names = ("backtest", "price rows", "CPU s", "target s", "reference s", "times faster", "us a row")
    memory_names = ("peak MB", "target MB", "MB before", "NumPy passes")
    table = Table(*names, *memory_names, title="Backtests to P&L, data loaded", title_justify="left")
    for f in figures:
        seconds, memory = f.targets
        reference = backtests.BASELINES.get(f.name)
        table.add_row(
            f.name,
            f"{f.rows:,}",
            f"{f.cpu:.2f}",
            "" if seconds is None else f"{seconds:g}",
            "" if reference is None else f"{reference:g}",
            "" if reference is None else f"{reference / f.cpu:,.0f}",
            f"{f.cpu / f.rows * 1e6:.2f}",
            f"{f.peak:,.0f}",
            "" if memory is None else f"{memory:,.0f}",
            f"{f.idle:,.0f}",
            f"{f.cpu / max(f.calibration, 1e-9):,.0f}",
        )
    console.print(table)
    steps = Table("backtest", *backtests.STEPS, title="CPU seconds by step", title_justify="left")
    for f in figures:
        steps.add_row(f.name, *(f"{f.steps[name]:.2f}" for name in backtests.STEPS))
    console.print(steps)


def show_optimiser(console: Console, figures: list[backtests.OptimiserFigure]) -> None:
    """Print what one date of dynamic optimisation costs."""
    names = ("instruments", "steps", "CPU ms", "target ms", "reference ms")
    table = Table(*names, title="Dynamic optimisation of one date", title_justify="left")
    for f in figures:
        reference = "" if f.reference is None else f"{f.reference:g}"
        table.add_row(str(f.instruments), str(f.steps), f"{f.cpu:.2f}", f"{f.target:g}", reference)
    console.print(table)


def show_polls(console: Console, figures: list[Figure]) -> None:
    """Print what asking the paper exchange costs."""
    table = Table("call", "CPU ms", "wall ms", "target ms", title="Paper exchange", title_justify="left")
    for f in figures:
        target = "" if f.baseline is None else f"{f.baseline * 1000:,.0f}"
        table.add_row(f.name, f"{f.cpu * 1000:.1f}", f"{f.wall * 1000:.1f}", target)
    console.print(table)


def show_stack(console: Console, figures: list[stack.StackFigure]) -> None:
    """Print what the stack handler costs."""
    table = Table("work", "measured", "target", "unit", title="Stack handler", title_justify="left")
    for f in figures:
        table.add_row(f.name, f"{f.value:,.3f}", "" if f.target is None else f"{f.target:g}", f.unit)
    console.print(table)


def show(console: Console, figures: list[Figure]) -> None:
    """Print figures as a table."""
    table = Table("what", "CPU s", "wall s", "baseline s", "times faster", "NumPy passes", title="Figures", title_justify="left")
    for figure in figures:
        baseline = "" if figure.baseline is None else f"{figure.baseline:,.1f}"
        faster = "" if figure.baseline is None else f"{figure.baseline / figure.cpu:,.0f}"
        table.add_row(
            figure.name,
            f"{figure.cpu:.3f}",
            f"{figure.wall:.3f}",
            baseline,
            faster,
            f"{figure.cpu / max(figure.calibration, 1e-9):,.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
