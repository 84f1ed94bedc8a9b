"""Importing a history as a tape, and replaying a tape."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
import pandas as pd
from rich.markup import escape

from tradeflow_core.business_day import run_replay
from tradeflow_core.cli.common import CAPITAL, DAY, console, print_json, print_table, progress
from tradeflow_core.cli.days import executor
from tradeflow_core.desk import Desk
from tradeflow_core.errors import StateError
from tradeflow_core.home import Home, environment_home, next_business_day
from tradeflow_core.importers import InstrumentImport, import_pysystemtrade
from tradeflow_core.replay import DayRecord, adopt, replay_home, seed_replay
from tradeflow_core.reports import check_desk
from tradeflow_core.series import METHODS, RollMethod
from tradeflow_core.store import Tape


@click.group("import")
def import_() -> None:
    """Import the history of another system as a tape: read-only, to be replayed or adopted."""


@import_.command("pysystemtrade")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--tape", type=click.Path(path_type=Path), help="Where the tape goes (default: tapes/ beside the home).")
@click.option("--instruments", help="Codes, separated by commas (default: all that have multiple prices).")
@click.option("--zone", default="Europe/London", show_default=True, help="The time zone of the times in the folder.")
@click.option("--replace", is_flag=True, help="Replace an existing tape.")
@click.option("--skip-bad", is_flag=True, help="Leave out instruments with anything wrong, and list them.")
@click.option(
    "--roll-method",
    type=click.Choice(METHODS),
    default="infer",
    show_default=True,
    help="How a roll gets the price that the folder lacks: infer (median of the last common differences) or fill (the last known one).",
)
@click.option(
    "--roll-price",
    "roll_prices",
    multiple=True,
    metavar="CODE:CONTRACT@TIME=PRICE",
    help="A price that you know of such a roll, its time in the folder's zone.",
)
@click.option("--adopt", "adopting", is_flag=True, help="Make the tape the production history of the home, which must have none.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def pysystemtrade(
    home: Path | None,
    folder: Path,
    tape: Path | None,
    *,
    instruments: str | None,
    zone: str,
    replace: bool,
    skip_bad: bool,
    roll_method: RollMethod,
    roll_prices: tuple[str, ...],
    adopting: bool,
    as_json: bool,
) -> None:
    """Read a data folder of pysystemtrade (csvconfig, multiple_prices_csv, fx_prices_csv, ...).

    Contract prices and roll events are derived from the multiple prices; the import then rebuilds these from them and compares.
    """
    tape = tape or (home or environment_home()).parent / "tapes" / folder.resolve().name
    codes = [code.strip() for code in instruments.split(",") if code.strip()] if instruments else None
    bar, task = progress(
        "importing", len(list((folder / "multiple_prices_csv").glob("*.csv"))) if codes is None else len(codes), quiet=as_json
    )
    started = time.perf_counter()

    def show_progress(imported: InstrumentImport) -> None:
        bar.update(task, advance=1, description=imported.instrument)

    with bar:
        report = import_pysystemtrade(
            folder,
            tape,
            instruments=codes,
            zone=zone,
            on_instrument=show_progress,
            replace=replace,
            skip_bad=skip_bad,
            roll_method=roll_method,
            roll_prices=roll_prices,
        )
    if as_json:
        print_json(json.loads(report.to_json()) | {"tape": str(tape), "seconds": time.perf_counter() - started})
    else:
        rows = pd.DataFrame(
            [
                asdict(outcome) | {"exceptions": _kinds(outcome.exceptions), "proven": outcome.proven}
                for outcome in report.instruments
            ]
        )
        columns = [
            "instrument",
            "first",
            "last",
            "rows",
            "contracts",
            "rolls",
            "exceptions",
            "calendar_rows",
            "calendar_matching",
            "proven",
        ]
        print_table("Imported", rows[columns], limit=1000)
        for name, wrong in report.left_out.items():
            console.print(f"[red]left out[/red] {name}: {escape(wrong)}", soft_wrap=True)
        for note in report.notes:
            console.print(f"note: {note}", soft_wrap=True)
        proven = (
            "rebuilt multiple prices equal the imported ones" if report.proven else "[red]not everything could be proven[/red]"
        )
        console.print(
            f"[bold]{tape}[/bold]: {len(report.instruments)} instruments, {proven}; exceptions: {_kinds(report.exceptions) or 'none'}"
        )
    if adopting:
        adopt(Home.open(home), Tape.open(tape))
        if not as_json:
            console.print("adopted as the production history of the home")
    if not report.proven:
        raise StateError("the rebuilt prices differ from the imported ones for no known reason; see the table")


def _kinds(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


@click.command()
@click.argument("tape", type=click.Path(path_type=Path))
@click.option("--start", type=DAY, required=True, help="First business day.")
@click.option("--end", type=DAY, required=True, help="Last day.")
@click.option("--instruments", help="Codes, separated by commas (default: all on the tape).")
@click.option("--capital", type=CAPITAL, default=5_000_000, show_default=True, help="Starting capital in US dollars.")
@click.option(
    "--fill-at",
    type=click.Choice(["next close", "close after next"]),
    default="next close",
    show_default=True,
    help="The close at which orders are filled that no intraday bar has filled, counted from their decision.",
)
@click.option("--through-dagster", is_flag=True, help="Run every job through Dagster.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def replay(
    home: Path | None,
    tape: Path,
    start: datetime,
    *,
    end: datetime,
    instruments: str | None,
    capital: float,
    fill_at: str,
    through_dagster: bool,
    as_json: bool,
) -> None:
    """Run the production days of a tape, one by one, in a home of their own.

    The home is seeded with what was known before the first day. After an interruption the same command goes on with the first
    step that is not done.
    --home names the replay's home (default: replays/ beside the desk's home).
    """
    opened_tape = Tape.open(tape)
    first, last = start.date(), end.date()
    codes = [code.strip() for code in instruments.split(",") if code.strip()] if instruments else None
    path = home or replay_home(opened_tape, first, last)
    execute = executor(through_dagster=through_dagster)
    seeded_home = seed_replay(path, opened_tape, first, end=last, instruments=codes, capital=int(capital), fill_at=fill_at)
    if not as_json:
        console.print(f"[dim]{seeded_home.describe()}[/dim]", soft_wrap=True)
    desk = Desk(seeded_home)
    days_left, day = 0, desk.business_day()
    while day <= last:
        days_left, day = days_left + 1, next_business_day(day)
    desk.close()
    bar, task = progress("replaying", days_left, quiet=as_json)
    started = time.perf_counter()

    def show_day(record: DayRecord) -> None:
        bar.update(task, advance=1, description=str(record.day))
        if not as_json:
            console.print(escape(record.line()), soft_wrap=True)
            for line in record.not_traded:
                console.print(f"  [dim]{escape(line)}[/dim]", soft_wrap=True)

    with bar:
        summary = run_replay(seeded_home, last, execute, on_day=show_day)
    seconds = time.perf_counter() - started
    checked_desk = Desk(seeded_home)
    problems = check_desk(checked_desk)
    checked_desk.close()
    if as_json:
        print_json(json.loads(summary.to_json()) | {"problems": problems, "wall_seconds": seconds})
    else:
        totals = summary.totals
        console.print(
            f"\n[bold]{totals['days']:.0f} days[/bold], {totals['orders']:.0f} orders, {totals['roll_orders']:.0f} roll orders, "
            f"{totals['rolls']:.0f} rolls, {totals['fills']:.0f} fills, {totals['closed']:.0f} positions closed by a roll; "
            f"profit {totals['profit']:+,.0f} {summary.base_currency}, account {totals['value']:,.0f}"
        )
        console.print(
            f"fills: {totals['fills_at_close']:.0f} of {totals['fills']:.0f} at a close; {escape(summary.how_filled)}",
            soft_wrap=True,
        )
        if summary.only_closes:
            console.print(
                f"no intraday bars, so all their orders are filled at a close: {', '.join(summary.only_closes)}", soft_wrap=True
            )
        for instrument, why in summary.left_out.items():
            console.print(f"left out: {instrument}, {why}")
        for problem in problems:
            console.print(f"[red]broken[/red] {escape(problem)}", soft_wrap=True)
        console.print(
            f"{'everything holds' if not problems else f'{len(problems)} invariants are broken'}; home {seeded_home.path}",
            soft_wrap=True,
        )
    if problems:
        raise click.exceptions.Exit(1)
