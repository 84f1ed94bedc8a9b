"""`tradeflow prices seed`: price history from vendors' CSV files, as they were downloaded."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from tradeflow_core.cli.common import console, dry_run_option, json_option, open_desk, print_json, print_table, progress
from tradeflow_core.errors import StateError
from tradeflow_core.model import contract_label, parse_contract
from tradeflow_core.prices import FREQUENCY_NAMES, Offer, Seeded, Seeding, seed_history
from tradeflow_core.vendor_files import CsvFolder, load_profile


@click.command()
@click.argument("instrument", required=False)
@click.option(
    "--csv",
    "path",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="A file with a header, or a folder of them.",
)
@click.option(
    "--profile",
    "profile_name",
    default="plain",
    show_default=True,
    help="How the vendor writes: plain, barchart, or a YAML file.",
)
@click.option("--contract", help="The contract of the file, such as 20240300 (default: its name tells).")
@click.option(
    "--frequency",
    type=click.Choice(FREQUENCY_NAMES),
    default="D",
    show_default=True,
    help="Length of a row: a day, an hour, or so many minutes; where the name of a file does not tell.",
)
@click.option("--zone", help="Time zone of times without an offset (default: the profile's, or the desk's).")
@click.option("--time", help="Column of the times (default: Time, Date ...).")
@click.option("--time-format", help="How times are written, as of strptime (default: the profile's, or ISO).")
@click.option("--open", "open_", help="Column of opening prices (default: Open).")
@click.option("--high", help="Column of highest prices (default: High).")
@click.option("--low", help="Column of lowest prices (default: Low).")
@click.option("--final", help="Column of closing prices (default: Close, Last or Settle).")
@click.option("--volume", help="Column of volumes (default: Volume).")
@click.option("--thousands", help="What separates thousands, such as a comma.")
@click.option("--fractions", is_flag=True, default=None, help="Prices may be fractions: 450-6, 112-16, 112'165.")
@click.option("--skip-bad", is_flag=True, help="Leave out files with anything wrong, and list them; the others are stored.")
@click.option("--yes", is_flag=True, help="Store the prices without the check whether they are plausible.")
@dry_run_option
@json_option
@click.pass_obj
def seed(
    home: Path | None,
    instrument: str | None,
    path: Path,
    *,
    profile_name: str,
    contract: str | None,
    frequency: str,
    zone: str | None,
    time: str | None,
    time_format: str | None,
    open_: str | None,
    high: str | None,
    low: str | None,
    final: str | None,
    volume: str | None,
    thousands: str | None,
    fractions: bool | None,
    skip_bad: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add price history from CSV files of a vendor: one file, or all files of a folder. What is stored stays.

    Without INSTRUMENT the names of the files tell it. Every row that is left out is counted. Where anything is wrong with a file, nothing is
    stored, and all that is wrong is told; --skip-bad stores the other files.
    """
    desk = open_desk(home, quiet=as_json)
    code = desk.instrument(instrument).code if instrument else None
    profile = load_profile(profile_name)
    columns = {"time": time, "final": final, "open": open_, "high": high, "low": low, "volume": volume}
    profile = profile.changed(
        "the options of the command",
        zone=zone,
        times=(time_format,) if time_format else None,
        columns=columns,
        numbers={"thousands": thousands, "fractions": fractions},
    )
    source = CsvFolder(
        path,
        profile,
        desk.settings.time_zone,
        desk.home.instruments.keys(),
        instrument=code,
        contract=parse_contract(contract) if contract else None,
        frequency=frequency,
    )
    bar, task = progress("reading", len(source.offers()), quiet=as_json)

    def show_progress(offer: Offer) -> None:
        bar.update(task, advance=1, description=escape(offer.name))

    with bar:
        seeding = seed_history(desk, source, trust=yes, dry_run=dry_run, skip_bad=skip_bad, on_read=show_progress)
    if as_json:
        print_json(_as_json(code, seeding))
    else:
        _show(seeding, skip_bad=skip_bad, dry_run=dry_run)
    refused = seeding.refused
    if refused and (not skip_bad or len(refused) == len(seeding.files)):
        told = [] if skip_bad and not as_json else [each.refused for each in refused]
        count = f"{len(refused):,} of {len(seeding.files):,} files were" if len(seeding.files) > 1 else "the file was"
        remedy = "correct what is wrong, leave files out with --skip-bad, or store prices that are only not plausible as they are with --yes"
        raise StateError("\n".join([*told, f"{count} refused, nothing was stored: {remedy}"]))


def _show(seeding: Seeding, *, skip_bad: bool, dry_run: bool) -> None:
    would = not seeding.stored
    rows = [
        {
            "file": each.offer.name,
            "contract": _contract(each.offer),
            "read": each.read,
            "would_add" if would else "added": each.added,
            "skipped": ", ".join(f"{count:,} {reason}" for reason, count in each.skipped.items()),
            "refused": _short(each),
        }
        for each in seeding.files
    ]
    print_table("Prices", rows, limit=1000)
    for each in seeding.files:
        for note in each.notes:
            console.print(f"note: {escape(note)}", soft_wrap=True)
        if each.refused and skip_bad:
            console.print(f"[red]left out[/red] {escape(each.offer.name)}: {escape(each.refused)}", soft_wrap=True)
    read, added = sum(each.read for each in seeding.files), sum(each.added for each in seeding.files)
    console.print(f"{'would add' if would else 'added'} {added:,} of {read:,} rows of {len(seeding.files):,} files")
    if added and seeding.stored and not dry_run:
        codes = sorted({each.offer.instrument for each in seeding.files if each.added})
        commands = ", ".join(f"`tradeflow roll parameters {code}`" for code in codes)
        console.print(f"{commands} rebuilds its roll history with them", soft_wrap=True)


def _as_json(code: str | None, seeding: Seeding) -> dict[str, object]:
    skipped: dict[str, int] = {}
    for each in seeding.files:
        for reason, count in each.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    codes = {each.offer.instrument for each in seeding.files}
    return {
        "instrument": code or (codes.pop() if len(codes) == 1 else None),
        "read": sum(each.read for each in seeding.files),
        "added": sum(each.added for each in seeding.files),
        "stored": seeding.stored,
        "skipped": skipped,
        "files": [_file(each) for each in seeding.files],
    }


def _file(each: Seeded) -> dict[str, object]:
    return {
        "file": each.offer.name,
        "instrument": each.offer.instrument,
        "contract": each.offer.contract,
        "frequency": each.offer.frequency,
        "read": each.read,
        "added": each.added,
        "skipped": each.skipped,
        "refused": each.refused,
        "notes": each.notes,
    }


def _contract(offer: Offer) -> str:
    return f"{offer.instrument} {contract_label(offer.contract)} {offer.frequency}" if offer.contract else ""


def _short(seeded: Seeded) -> str:
    """Why a file was refused, without its name, which stands beside it."""
    first, *more = seeded.refused.splitlines() or [""]
    first = first.partition(seeded.offer.name)[2].lstrip(",: ") or first
    return f"{first[:60]}{'...' if len(first) > 60 else ''}" + (f" (and {len(more)} more)" if more else "")
