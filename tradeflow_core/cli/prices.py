"""Prices by hand: updates without Dagster, review of suspected ones, seeding from files, deletion, spreads."""

from __future__ import annotations

import getpass
import math
from datetime import datetime
from pathlib import Path

import click
import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tradeflow_core.cli.common import ask, console, dry_run_option, json_option, open_desk, print_json, print_table, yes_option
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError, StateError
from tradeflow_core.instruments import REGIONS
from tradeflow_core.ledger import FX_CONTRACT
from tradeflow_core.model import contract_label, parse_contract
from tradeflow_core.prices import (
    FREQUENCY_NAMES,
    CsvColumns,
    PriceDecision,
    PriceWindow,
    SuspectPrice,
    decide_prices,
    delete_prices,
    price_summary,
    read_bars_csv,
    review_bars,
    review_rates,
    sample_spreads,
    seed_bars,
    suspect_prices,
    update_instrument,
)


@click.group()
def prices() -> None:
    """Update, check, seed and delete prices."""


@prices.command()
@click.argument("instruments", nargs=-1)
@click.option("--region", help=f"Only the instruments of this region: {', '.join(REGIONS)}.")
@click.option("--full-refresh", is_flag=True, help="Fetch history again; what is stored stays, what is missing is added.")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="First day of a full refresh (default: everything).")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day to fetch (default: now).")
@dry_run_option
@json_option
@click.pass_obj
def update(
    home: Path | None,
    instruments: tuple[str, ...],
    region: str | None,
    *,
    full_refresh: bool,
    start: datetime | None,
    end: datetime | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run the price chain of INSTRUMENTS (default: all) without Dagster. One that fails is locked, the others go on."""
    desk = open_desk(home, quiet=as_json)
    codes = choose(desk, instruments, region)
    if (start or end) and not full_refresh:
        raise ConfigError("--start and --end choose what a full refresh fetches; add --full-refresh")
    if dry_run:
        print_json({"would_update": codes}) if as_json else console.print(f"would update {', '.join(codes)}")
        return
    zone = desk.settings.zone
    # The day that --end names is fetched as a whole.
    last = end.replace(hour=23, minute=59, second=59, tzinfo=zone) if end else None
    window = PriceWindow(start.replace(tzinfo=zone) if start else None, last, full_refresh)
    outcomes = []
    bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*bar, console=console, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task("prices", total=len(codes))
        for code in codes:
            progress.update(task, description=f"prices of {code}")
            outcomes.append(update_instrument(desk, code, window=window))
            progress.advance(task)
    failed = {outcome.instrument: outcome.error for outcome in outcomes if outcome.error}
    if as_json:
        print_json({"updated": [code for code in codes if code not in failed], "failed": failed})
    else:
        print_table("Failed", pd.DataFrame({"instrument": list(failed), "why": list(failed.values())}), "none")
        console.print(price_summary(outcomes), soft_wrap=True)
    if failed:
        raise StateError(f"{len(failed)} of {len(codes)} instruments failed; they keep their last good prices and are locked")


def choose(desk: Desk, instruments: tuple[str, ...], region: str | None) -> list[str]:
    """The instruments meant, in the order of the universe. Raises ConfigError for an unknown or stale one, and where none is meant."""
    for code in instruments:
        desk.instrument(code)
        if code in desk.settings.stale_instruments:
            raise ConfigError(
                f"{code} is among the stale_instruments of {desk.home.path / 'tradeflow.toml'}; take it out of the list first"
            )
        if code not in desk.universe:
            raise ConfigError(
                f"{code} is not in the universe of this home; add it to `universe` in {desk.home.path / 'tradeflow.toml'}"
            )
    if region is not None and region.upper() not in REGIONS:
        raise ConfigError(f"unknown region {region!r}; use one of {', '.join(REGIONS)}")
    codes = [code for code in desk.universe if not instruments or code in instruments]
    if region is not None:
        codes = [code for code in codes if desk.instrument(code).region == region.upper()]
    if not codes:
        raise ConfigError(f"no instrument of this home is in the region {region}; `tradeflow instruments` lists regions")
    return codes


@prices.command()
@click.argument("instrument", required=False)
@click.option("--fx", "currency", help="Check the rate of this currency against the dollar instead.")
@click.option("--accept", multiple=True, metavar="CONTRACT@TIME", help="The price is right: the next update stores its batch.")
@click.option("--reject", multiple=True, metavar="CONTRACT@TIME", help="The price is wrong: it counts nowhere.")
@click.option("--replace", "replaced", multiple=True, metavar="CONTRACT@TIME=PRICE", help="The price is wrong: this one counts.")
@click.option("--why", default="", help="The reason, kept in the ledger; needed for a decision.")
@click.option("--stored", "only_stored", is_flag=True, help="Do not ask the broker for new prices.")
@dry_run_option
@click.option("--yes", is_flag=True, help="Take a replacement that is a spike itself.")
@json_option
@click.pass_obj
def check(
    home: Path | None,
    instrument: str | None,
    currency: str | None,
    *,
    accept: tuple[str, ...],
    reject: tuple[str, ...],
    replaced: tuple[str, ...],
    why: str,
    only_stored: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """List suspected spikes of INSTRUMENT, stored and new ones, with the rows before each; or decide about a price.

    Bars are never edited: a decision is laid over them. TIME is in UTC, as the list shows it; a rate (--fx) is named by TIME alone.
    """
    if (instrument is None) == (currency is None):
        raise ConfigError("name an instrument, or a currency with --fx")
    desk = open_desk(home, quiet=as_json)
    if currency is not None:
        if currency not in desk.home.currencies:
            raise ConfigError(f"no rate of {currency} is collected here; this home has {', '.join(desk.home.currencies)}")
        code, bars = f"{currency}USD", review_rates(desk, currency, fetch=not only_stored)
    else:
        code = desk.instrument(str(instrument)).code
        bars = review_bars(desk, code, fetch=not only_stored)
    decisions = [
        *(_decision("accept", text, currency) for text in accept),
        *(_decision("reject", text, currency) for text in reject),
    ]
    decisions += [_decision("replace", text, currency) for text in replaced]
    report: dict[str, object] = {"name": code}
    if decisions:
        if not why:
            raise ConfigError("a decision about a price needs --why; the reason is kept in the ledger")
        table = decide_prices(desk, code, bars, decisions=decisions, who=getpass.getuser(), why=why, trust=yes, dry_run=dry_run)
        report |= {"decided": table, "recorded": not dry_run}
        if not as_json:
            shown = table.assign(contract=[_contract_name(contract) for contract in table["contract"]])
            print_table("Would be decided" if dry_run else "Decided", shown, decimals=4)
    found = suspect_prices(desk, code, bars)
    if as_json:
        print_json({**report, "suspects": [_facts(each) for each in found]})
        return
    console.print(f"{len(found)} suspected spikes of {code}" + (" left" if decisions else ""))
    for each in found:
        print_table(_title(each), each.context, decimals=4)


def _decision(verdict: str, text: str, currency: str | None) -> PriceDecision:
    """What `CONTRACT@TIME`, `CONTRACT@TIME=PRICE`, or without a contract for rates, means. Raises ConfigError."""
    where, _, price = text.partition("=")
    contract, at, time = where.rpartition("@")
    example = "2024-01-05T19:20" if currency else "20240300@2024-01-05T19:20"
    example += "=101.5" if verdict == "replace" else ""
    problem = ConfigError(f"--{verdict} {text!r} cannot be read; write it as {example}")
    try:
        stamp = pd.Timestamp(time)
        number = float(price) if price else None
        wanted = FX_CONTRACT if currency else parse_contract(contract)
    except (ValueError, DataError) as error:
        raise problem from error
    if stamp is pd.NaT or bool(at) == bool(currency) or (number is None) == (verdict == "replace"):
        raise problem
    if number is not None and not math.isfinite(number):
        raise problem
    moment = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return PriceDecision(wanted, moment.to_pydatetime(), verdict, number)  # type: ignore[arg-type]


def _contract_name(contract: int) -> str:
    return contract_label(int(contract)) if contract else ""


def _reference(each: SuspectPrice) -> str:
    """How the price is named in a decision."""
    time = f"{each.time:%Y-%m-%dT%H:%M}" if each.time == each.time.replace(second=0, microsecond=0) else each.time.isoformat()
    return f"{each.contract}@{time}" if each.contract else time


def _title(each: SuspectPrice) -> str:
    place = "stored" if each.stored else "new, its batch is refused"
    return f"{_reference(each)}  {each.frequency}, {place}: {each.price:,.4f} moves {each.units:.1f} average days"


def _facts(each: SuspectPrice) -> dict[str, object]:
    return {
        "reference": _reference(each),
        "contract": each.contract,
        "frequency": each.frequency,
        "time": each.time,
        "price": each.price,
        "units": each.units,
        "stored": each.stored,
        "context": each.context,
    }


@prices.command()
@click.argument("instrument")
@click.option("--csv", "path", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file, with a header.")
@click.option("--contract", required=True, help="The contract, such as 20240300.")
@click.option(
    "--frequency",
    type=click.Choice(FREQUENCY_NAMES),
    default="D",
    show_default=True,
    help="Daily rows, hours, or so many minutes.",
)
@click.option("--zone", help="Time zone of times without an offset (default: the desk's).")
@click.option("--time", default="Time", show_default=True, help="Column of the times.")
@click.option("--time-format", help="How times are written, as of strptime (default: ISO).")
@click.option("--open", "open_", help="Column of opening prices.")
@click.option("--high", help="Column of highest prices.")
@click.option("--low", help="Column of lowest prices.")
@click.option("--final", default="Close", show_default=True, help="Column of closing prices.")
@click.option("--volume", help="Column of volumes.")
@click.option("--yes", is_flag=True, help="Take the prices as they are, without the check for spikes.")
@dry_run_option
@json_option
@click.pass_obj
def seed(
    home: Path | None,
    instrument: str,
    path: Path,
    *,
    contract: str,
    frequency: str,
    zone: str | None,
    time: str,
    time_format: str | None,
    open_: str | None,
    high: str | None,
    low: str | None,
    final: str,
    volume: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add the price history of one contract of INSTRUMENT from a CSV file. What is stored stays."""
    desk = open_desk(home, quiet=as_json)
    code = desk.instrument(instrument).code
    columns = CsvColumns(time, final, open_, high, low, volume, time_format)
    bars = read_bars_csv(path, parse_contract(contract), columns, frequency=frequency, zone=zone or desk.settings.time_zone)
    report = seed_bars(desk, code, bars, trust=yes, dry_run=dry_run)
    if report.refused:
        raise StateError(f"{code}: {report.refused}; nothing was stored: mend the file, or take it as it is with --yes")
    if as_json:
        print_json({"instrument": code, "read": report.read, "added": report.added, "stored": not dry_run})
    else:
        verb = "would add" if dry_run else "added"
        console.print(f"{verb} {report.added:,} of {report.read:,} bars of {code} {contract_label(parse_contract(contract))}")
        if report.added and not dry_run:
            console.print(f"`tradeflow roll parameters {code}` rebuilds its roll history with them", soft_wrap=True)


@prices.command()
@click.argument("instrument")
@yes_option
@dry_run_option
@json_option
@click.pass_obj
def delete(home: Path | None, instrument: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete the price files of INSTRUMENT: bars, multiple and adjusted prices, spreads. Refused while it is held."""
    desk = open_desk(home, quiet=as_json)
    code = desk.instrument(instrument).code
    there = delete_prices(desk, code, dry_run=True)
    done = bool(there) and not dry_run and ask(f"delete {', '.join(there)} of {code}?", yes=yes, as_json=as_json)
    if done:
        delete_prices(desk, code)
    if as_json:
        print_json({"instrument": code, "files": there, "deleted": done})
    elif done:
        console.print(
            f"deleted {', '.join(there)} of {code}; `tradeflow prices update {code} --full-refresh` fetches them again",
            soft_wrap=True,
        )
    else:
        console.print(f"would delete {', '.join(there) or 'nothing'}" if dry_run else "nothing was deleted")


@prices.command()
@click.argument("instruments", nargs=-1)
@click.option("--region", help=f"Only the instruments of this region: {', '.join(REGIONS)}.")
@json_option
@click.pass_obj
def spreads(home: Path | None, instruments: tuple[str, ...], region: str | None, *, as_json: bool) -> None:
    """Sample the bid-ask spread of the priced contract of INSTRUMENTS (default: all) from the broker's quotes now."""
    desk = open_desk(home, quiet=as_json)
    samples = sample_spreads(desk, choose(desk, instruments, region))
    rows = [(each.instrument, each.contract, each.spread, each.reason) for each in samples]
    frame = pd.DataFrame(rows, columns=["instrument", "contract", "spread", "reason"])
    print_json(frame) if as_json else print_table("Spreads", frame, decimals=6)
