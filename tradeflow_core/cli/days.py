"""Making a home and running its days."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from datetime import date, datetime, time as clock_time
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pandas as pd
from click.core import ParameterSource
from rich.markup import escape

from tradeflow_core import business_day as business
from tradeflow_core.cli.common import CAPITAL, DAY, console, open_desk, print_json, print_table
from tradeflow_core.cli.ending import obey
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import SETTINGS_FILE, Home, Settings, environment_home
from tradeflow_core.ledger import recorded_steps
from tradeflow_core.reports import capital_history, contract_positions, fills_by_contract, fills_of_day, not_traded, orders_of_day

WRITTEN_BY_INIT = ("market", "capital", "base", "universe", "time_zone", "seed")
"""Options of init that become settings."""

RUNNER = "tradeflow_assets.runner"
"""The module that runs a job through Dagster. Named, not imported: the core works without Dagster."""


def executor(*, through_dagster: bool) -> Callable[[Desk, str], None]:
    """What runs one job of a day: the core itself, or Dagster."""
    if not through_dagster:
        return business.run_job
    try:
        runner = importlib.import_module(RUNNER)
    except ImportError as error:
        raise StateError(
            f"Dagster is not installed here ({error}); leave out --through-dagster, or install the package with its dependencies"
        ) from error

    def execute(desk: Desk, job: str) -> None:
        try:
            runner.execute_job(desk, job)
        finally:
            obey()  # Dagster swallows a signal that comes between two of its steps

    return execute


@click.command()
@click.option(
    "--market",
    type=click.Choice(["simulated", "ib_paper", "ib_live"]),
    default="simulated",
    show_default=True,
    help="The market that the home trades.",
)
@click.option(
    "--capital",
    type=CAPITAL,
    default=10_000_000,
    show_default=True,
    help="Starting capital of a simulated account.",
)
@click.option("--base", default="USD", show_default=True, help="Currency of the accounts.")
@click.option("--universe", help="Instrument codes, separated by commas (default: all that come with tradeflow).")
@click.option(
    "--time-zone", default="America/New_York", show_default=True, help="The desk's zone: business days and schedules are in it."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=7, show_default=True, help="Seed of the simulated market.")
@click.option("--if-missing", is_flag=True, help="Do nothing if the home exists already.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def init(
    context: click.Context,
    market: str,
    capital: float,
    *,
    base: str,
    universe: str | None,
    time_zone: str,
    seed: int,
    if_missing: bool,
    as_json: bool,
) -> None:
    """Make a home: the folder that holds everything of one desk.

    In a folder with nothing but a tradeflow.toml that you have written, the home is made as that says.
    """
    home: Path | None = context.obj
    path = home or environment_home()
    if Home.is_written_by_hand(path):
        if given := [name for name in WRITTEN_BY_INIT if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ConfigError(
                f"{path / SETTINGS_FILE} says what the home is like; write {options} into it, and call init without"
            )
        new_home = Home.complete(path)
    elif if_missing and (path / SETTINGS_FILE).exists():
        return
    else:
        values: dict[str, object] = {
            "market": market,
            "capital": f"{capital:.2f}",
            "base_currency": base,
            "time_zone": time_zone,
            "simulated": {"seed": seed},
        }
        if universe is not None:
            values["universe"] = [code.strip() for code in universe.split(",") if code.strip()]
            if not values["universe"]:
                raise ConfigError(f"--universe {universe!r} names no instrument; see `tradeflow instruments`")
        try:
            start = datetime.combine(Settings().simulated.first_day, clock_time(0), ZoneInfo(time_zone))
        except (KeyError, ValueError, OSError) as error:
            raise ConfigError(f"--time-zone: {time_zone!r} is not a time zone; use an IANA name such as Europe/London") from error
        new_home = Home.create(path, values, start)
    settings = new_home.settings
    if as_json:
        print_json({"home": str(new_home.path), "market": settings.market, "universe": new_home.universe})
    else:
        console.print(
            f"made [bold]{new_home.path}[/bold]: {settings.market} market, {len(new_home.universe)} instruments, "
            f"{settings.capital:,.0f} {settings.base_currency}",
            soft_wrap=True,
        )
        console.print("next: [bold]tradeflow day[/bold] runs the first business day")


@click.command()
@click.option(
    "--days", "days_after", type=click.IntRange(0, 2000), default=0, help="Go on this many business days after the present one."
)
@click.option("--through-dagster", is_flag=True, help="Run every job through Dagster, as its schedules and sensors would.")
@click.option("--dry-run", is_flag=True, help="Only say which days would be run.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def day(home: Path | None, days_after: int, *, through_dagster: bool, dry_run: bool, as_json: bool) -> None:
    """Run the business day of a simulated home: prices, positions, orders, trades.

    Steps that are done are not run again.
    """
    desk = open_desk(home, quiet=as_json)
    days = business.days_to_run(desk, days_after)
    if dry_run:
        names = [str(business_day) for business_day in days]
        print_json({"days": names}) if as_json else console.print(
            "would run: " + (", ".join(names) or "nothing, the day is done")
        )
        return
    records: list[dict[str, object]] = []
    for business_day in days:
        if not as_json:
            console.print(f"\n[bold]{business_day:%A %Y-%m-%d}[/bold]")
        business.run_day(
            desk,
            business_day,
            executor(through_dagster=through_dagster),
            on_job=lambda job_done: _record_job(desk, job_done, records, quiet=as_json),
        )
    last = desk.last_done_day()
    if as_json:
        print_json({"days": [str(business_day) for business_day in days], "jobs": records, **closing_tables(desk, last)})
    else:
        if not days and last:
            console.print(
                f"{last} is done; [bold]tradeflow day --days 1[/bold] (make run DAYS=1) goes on to the next business day"
            )
        print_closing(desk, last)
    desk.close()


def _record_job(desk: Desk, job_done: business.JobDone, records: list[dict[str, object]], *, quiet: bool) -> None:
    with desk.ledger.read() as view:
        steps = recorded_steps(view)
    job_steps = steps[(steps["day"] == job_done.day) & steps["step"].isin(business.JOBS[job_done.job])]
    records.append(
        {
            "day": job_done.day,
            "job": job_done.job,
            "ran": job_done.ran,
            "seconds": round(job_done.seconds, 3),
            "core_seconds": float(job_steps["seconds"].sum()),
        }
    )
    if quiet:
        return
    for name in business.JOBS[job_done.job]:
        for row in job_steps[job_steps["step"] == name].to_dict("records"):
            timing = f"{row['seconds']:6.1f} s" if job_done.ran else "    done"
            console.print(f"  {name:<18} {timing}  {escape(row['summary'])}", soft_wrap=True)


def closing_tables(desk: Desk, last: date | None) -> dict[str, pd.DataFrame]:
    """Orders, fills, positions and capital at the end of `last`."""
    if last is None:
        return {}
    return {
        "orders": orders_of_day(desk, last),
        "fills": fills_by_contract(fills_of_day(desk, last)),
        "not_traded": pd.DataFrame(not_traded(desk, last)),
        "positions": contract_positions(desk),
        "capital": capital_history(desk).tail(5).rename_axis("time").reset_index(),
    }


def print_closing(desk: Desk, last: date | None) -> None:
    """Show the closing tables of a day."""
    for name, frame in closing_tables(desk, last).items():
        title = name.replace("_", " ").capitalize() + (f" of {last}" if name in ("orders", "fills", "not_traded") else "")
        print_table(title, frame, decimals=2 if name == "fills" else 0)


@click.command()
@click.argument("codes", nargs=-1, required=True)
@click.option("--start", type=DAY, help="First day to fetch (default: everything).")
@click.option("--end", type=DAY, help="Last day to fetch (default: now).")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def backfill(
    home: Path | None, codes: tuple[str, ...], start: datetime | None, *, end: datetime | None, dry_run: bool, as_json: bool
) -> None:
    """Fetch the price history of instruments again and rebuild their prices, through Dagster.

    What is stored stays; what is missing is added. An instrument with bad data keeps its last good prices and is locked.
    """
    desk = open_desk(home, quiet=as_json)
    for instrument in codes:
        desk.instrument(instrument)
        if instrument not in desk.universe:
            raise ConfigError(
                f"{instrument} is not in the universe of this home; add it to `universe` in {desk.home.path / SETTINGS_FILE}"
            )
    if dry_run:
        print_json({"would_backfill": codes}) if as_json else console.print(
            f"would fetch the history of {', '.join(codes)} again and rebuild its prices"
        )
        return
    zone = desk.settings.zone
    first, last = (midnight.replace(tzinfo=zone) if midnight else None for midnight in (start, end))
    started = time.perf_counter()
    outcome: dict[str, str] = importlib.import_module(RUNNER).backfill(desk, list(codes), first, end=last, full_refresh=True)
    obey()
    frame = pd.DataFrame({"instrument": list(outcome), "outcome": list(outcome.values())})
    if as_json:
        print_json({"outcome": outcome, "seconds": time.perf_counter() - started})
    else:
        print_table("Backfill", frame)
    if any(text != "ok" for text in outcome.values()):
        raise StateError("some instruments failed; they keep their last good prices and are locked, see `tradeflow status`")
