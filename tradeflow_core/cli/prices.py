"""Prices by hand: updates without Dagster, review of suspect prices, seeding from files, deletion, spreads."""

from __future__ import annotations

import getpass
from datetime import datetime
from pathlib import Path

import click
import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tradeflow_core.cli.common import (
    DAY,
    PRICE,
    ask,
    console,
    dry_run_option,
    json_option,
    open_desk,
    print_json,
    print_table,
    yes_option,
)
from tradeflow_core.cli.repair import repair
from tradeflow_core.cli.seed import seed
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError, DataError, StateError
from tradeflow_core.instruments import REGIONS
from tradeflow_core.ledger import FX_CONTRACT
from tradeflow_core.model import contract_label, parse_contract
from tradeflow_core.plausibility import Finding
from tradeflow_core.prices import (
    PriceDecision,
    PriceWindow,
    SuspectPrice,
    decide_prices,
    delete_prices,
    doubts,
    price_summary,
    review_bars,
    review_rates,
    sample_spreads,
    suspect_prices,
    update_instrument,
)


@click.group()
def prices() -> None:
    """Update, check, repair, seed and delete prices."""


prices.add_command(repair)
prices.add_command(seed)


@prices.command()
@click.argument("instruments", nargs=-1)
@click.option("--region", help=f"Only the instruments of this region: {', '.join(REGIONS)}.")
@click.option("--full-refresh", is_flag=True, help="Fetch history again; what is stored stays, what is missing is added.")
@click.option("--start", type=DAY, help="First day of a full refresh (default: everything).")
@click.option("--end", type=DAY, help="Last day to fetch (default: now).")
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
    chosen = chosen_instruments(desk, instruments, region)
    if (start or end) and not full_refresh:
        raise ConfigError("--start and --end choose what a full refresh fetches; add --full-refresh")
    if dry_run:
        print_json({"would_update": chosen}) if as_json else console.print(f"would update {', '.join(chosen)}")
        return
    zone = desk.settings.zone
    # --end names a day, which is fetched to its end.
    end_time = end.replace(hour=23, minute=59, second=59, tzinfo=zone) if end else None
    window = PriceWindow(start.replace(tzinfo=zone) if start else None, end_time, full_refresh)
    outcomes = []
    bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*bar, console=console, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task("prices", total=len(chosen))
        for instrument in chosen:
            progress.update(task, description=f"prices of {instrument}")
            outcomes.append(update_instrument(desk, instrument, window=window))
            progress.advance(task)
    failed = {outcome.instrument: outcome.error for outcome in outcomes if outcome.error}
    if as_json:
        print_json({"updated": [instrument for instrument in chosen if instrument not in failed], "failed": failed})
    else:
        print_table("Failed", pd.DataFrame({"instrument": list(failed), "why": list(failed.values())}), "none")
        console.print(price_summary(outcomes), soft_wrap=True)
    if failed:
        raise StateError(f"{len(failed)} of {len(chosen)} instruments failed; they keep their last good prices and are locked")


def chosen_instruments(desk: Desk, instruments: tuple[str, ...], region: str | None) -> list[str]:
    """The given instruments (none: all) that are in `region`, in the order of the universe.

    Raises ConfigError for unknown or stale ones, and if none is left.
    """
    for instrument in instruments:
        desk.instrument(instrument)
        if instrument in desk.settings.stale_instruments:
            raise ConfigError(
                f"{instrument} is among the stale_instruments of {desk.home.path / 'tradeflow.toml'}; take it out of the list first"
            )
        if instrument not in desk.universe:
            raise ConfigError(
                f"{instrument} is not in the universe of this home; add it to `universe` in {desk.home.path / 'tradeflow.toml'}"
            )
    if region is not None and region.upper() not in REGIONS:
        raise ConfigError(f"unknown region {region!r}; use one of {', '.join(REGIONS)}")
    chosen = [instrument for instrument in desk.universe if not instruments or instrument in instruments]
    if region is not None:
        chosen = [instrument for instrument in chosen if desk.instrument(instrument).region == region.upper()]
    if not chosen:
        raise ConfigError(f"no instrument of this home is in the region {region}; `tradeflow instruments` lists regions")
    return chosen


@prices.command()
@click.argument("instrument", required=False)
@click.option("--fx", "currency", help="Check the rate of this currency against the dollar instead.")
@click.option("--accept", multiple=True, metavar="CONTRACT@TIME", help="The price is right: the next update stores its batch.")
@click.option("--reject", multiple=True, metavar="CONTRACT@TIME", help="The price is wrong: it is ignored everywhere.")
@click.option(
    "--replace",
    "replaced",
    multiple=True,
    metavar="CONTRACT@TIME=PRICE",
    help="The price is wrong: PRICE is used instead; *0.01 multiplies it.",
)
@click.option("--why", default="", help="The reason, kept in the ledger; needed for a decision.")
@click.option("--stored", "only_stored", is_flag=True, help="Do not ask the broker for new prices.")
@dry_run_option
@click.option("--yes", is_flag=True, help="Accept a replacement that is a spike itself.")
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
    """List what is doubtful about prices of INSTRUMENT, stored and new ones; or decide about a price.

    Spikes, with the rows before each; contracts in other units than their neighbours, bars outside of a contract's life, prices of a bar in
    disorder, closes that repeat, volume that falls to nothing; of rates, those that stand out. Bars are never edited: decisions are kept in
    the ledger and applied on read. TIME is in UTC, as in the list, or FIRST..LAST for all prices between; a rate (--fx) has only a TIME.
    """
    if (instrument is None) == (currency is None):
        raise ConfigError("name an instrument, or a currency with --fx")
    desk = open_desk(home, quiet=as_json)
    if currency is not None:
        if currency not in desk.home.currencies:
            raise ConfigError(f"no rate of {currency} is collected here; this home has {', '.join(desk.home.currencies)}")
        name, bars = f"{currency}USD", review_rates(desk, currency, fetch=not only_stored)
    else:
        name = desk.instrument(str(instrument)).code
        bars = review_bars(desk, name, fetch=not only_stored)
    decisions = [
        *(_parse_decision("accept", text, currency) for text in accept),
        *(_parse_decision("reject", text, currency) for text in reject),
    ]
    decisions += [_parse_decision("replace", text, currency) for text in replaced]
    report: dict[str, object] = {"name": name}
    if decisions:
        if not why:
            raise ConfigError("a decision about a price needs --why; the reason is kept in the ledger")
        table = decide_prices(desk, name, bars, decisions=decisions, who=getpass.getuser(), why=why, trust=yes, dry_run=dry_run)
        report |= {"decided": table, "recorded": not dry_run}
        if not as_json:
            shown = table.assign(contract=[_contract_name(contract) for contract in table["contract"]])
            print_table("Would be decided" if dry_run else "Decided", shown, decimals=4)
    suspected = suspect_prices(desk, name, bars)
    doubtful = pd.DataFrame([_doubt_fields(finding) for finding in doubts(desk, name, bars)])
    if as_json:
        print_json({**report, "suspects": [_suspect_fields(suspect) for suspect in suspected], "doubts": doubtful})
        return
    console.print(f"{len(suspected)} suspected spikes of {name}" + (" left" if decisions else ""))
    for suspect in suspected:
        print_table(_title(suspect), suspect.context, decimals=4)
    if len(doubtful):
        print_table("Doubtful; name the prices as they stand here to decide about them", doubtful)


def _parse_decision(verdict: str, text: str, currency: str | None) -> PriceDecision:
    """Parse `CONTRACT@TIME` or `CONTRACT@TIME=PRICE`; for rates without CONTRACT@. Raises ConfigError."""
    place, _, price = text.partition("=")
    contract, separator, time_text = place.rpartition("@")
    first, _, last = time_text.partition("..")
    example = "2024-01-05T19:20" if currency else "20240300@2024-01-05T19:20"
    example += "=101.5" if verdict == "replace" else ""
    problem = ConfigError(f"--{verdict} {text!r} cannot be read; write it as {example}")
    is_factor = price.startswith("*")
    try:
        stamps = [pd.Timestamp(each) for each in (first, last) if each]
        number = float(price.removeprefix("*")) if price else None
        contract_id = FX_CONTRACT if currency else parse_contract(contract)
    except (ValueError, DataError) as error:
        raise problem from error
    if not first or pd.NaT in stamps or bool(separator) == bool(currency) or (number is None) == (verdict == "replace"):
        raise problem
    if not all(1900 <= stamp.year < 2200 for stamp in stamps) or (number is not None and not abs(number) <= PRICE.most):
        raise problem
    time, *until = (
        (stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")).to_pydatetime() for stamp in stamps
    )
    return PriceDecision(
        contract_id,
        time,
        verdict,  # type: ignore[arg-type]
        price=None if is_factor else number,
        until=until[0] if until else time if is_factor else None,
        factor=number if is_factor else None,
    )


def _contract_name(contract: int) -> str:
    return contract_label(int(contract)) if contract else ""


def _reference(suspect: SuspectPrice) -> str:
    """The text that names the price in a decision."""
    return _place(suspect.contract, _time(suspect.time))


def _place(contract: int, time: str) -> str:
    return f"{contract}@{time}" if contract else time


def _time(time: datetime) -> str:
    """In UTC, as short as it can be."""
    return f"{time:%Y-%m-%dT%H:%M}" if time == time.replace(second=0, microsecond=0) else time.isoformat()


def _doubt_fields(finding: Finding) -> dict[str, object]:
    span = _time(finding.first) if finding.first == finding.last else f"{_time(finding.first)}..{_time(finding.last)}"
    return {"prices": _place(finding.contract, span), "kind": finding.kind, "detail": finding.detail, "count": finding.rows}


def _title(suspect: SuspectPrice) -> str:
    place = "stored" if suspect.stored else "new, its batch is refused"
    return f"{_reference(suspect)}  {suspect.frequency}, {place}: {suspect.price:,.4f} changes by {suspect.units:.1f} times the usual daily change"


def _suspect_fields(suspect: SuspectPrice) -> dict[str, object]:
    return {
        "reference": _reference(suspect),
        "contract": suspect.contract,
        "frequency": suspect.frequency,
        "time": suspect.time,
        "price": suspect.price,
        "units": suspect.units,
        "stored": suspect.stored,
        "context": suspect.context,
    }


@prices.command()
@click.argument("instrument")
@yes_option
@dry_run_option
@json_option
@click.pass_obj
def delete(home: Path | None, instrument: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete the price files of INSTRUMENT: bars, multiple and adjusted prices, spreads. Refused while it is held."""
    desk = open_desk(home, quiet=as_json)
    instrument = desk.instrument(instrument).code
    files = delete_prices(desk, instrument, dry_run=True)
    done = bool(files) and not dry_run and ask(f"delete {', '.join(files)} of {instrument}?", yes=yes, as_json=as_json)
    if done:
        delete_prices(desk, instrument)
    if as_json:
        print_json({"instrument": instrument, "files": files, "deleted": done})
    elif done:
        console.print(
            f"deleted {', '.join(files)} of {instrument}; `tradeflow prices update {instrument} --full-refresh` fetches them again",
            soft_wrap=True,
        )
    else:
        console.print(f"would delete {', '.join(files) or 'nothing'}" if dry_run else "nothing was deleted")


@prices.command()
@click.argument("instruments", nargs=-1)
@click.option("--region", help=f"Only the instruments of this region: {', '.join(REGIONS)}.")
@json_option
@click.pass_obj
def spreads(home: Path | None, instruments: tuple[str, ...], region: str | None, *, as_json: bool) -> None:
    """Sample the bid-ask spread of the priced contract of INSTRUMENTS (default: all) from the broker's quotes now."""
    desk = open_desk(home, quiet=as_json)
    samples = sample_spreads(desk, chosen_instruments(desk, instruments, region))
    rows = [(sample.instrument, sample.contract, sample.spread, sample.reason) for sample in samples]
    frame = pd.DataFrame(rows, columns=["instrument", "contract", "spread", "reason"])
    print_json(frame) if as_json else print_table("Spreads", frame, decimals=6)
