"""Backups: made, verified, put back."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from tradeflow_core import backups
from tradeflow_core.cli.common import ask, console, dry_run_option, json_option, open_desk, print_json, progress, yes_option
from tradeflow_core.errors import ConfigError, DataError
from tradeflow_core.home import environment_home

if TYPE_CHECKING:
    from tradeflow_core.backups import Manifest, Restored

AFTERWARDS = (
    "tradeflow reconcile               what the ledger and the broker hold differently",
    "tradeflow positions adopt --help  take over positions that the broker holds and the ledger does not know",
    "tradeflow resume                  once both are the same: trading is stopped until then",
)


@click.command()
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: one in the folder backups of the home]"
)
@click.option(
    "--without-prices", is_flag=True, help="Leave out the prices and runs, which are large and can mostly be made again."
)
@dry_run_option
@json_option
@click.pass_obj
def backup(home: Path | None, to: Path | None, *, without_prices: bool, dry_run: bool, as_json: bool) -> None:
    """Write settings, ledger, prices and the book of a paper market to one file, verified; also while the desk trades."""
    desk = open_desk(home, quiet=as_json)
    content = backups.content_of(desk, to, prices=not without_prices)
    answer: dict[str, Any] = {"file": str(content.target), "files": content.count, "left_out": content.left_out}
    if not dry_run:
        bar, task = progress("backup", content.count, quiet=as_json)
        with bar:
            manifest = backups.make_backup(desk, content, lambda name: bar.advance(task))
        answer |= {"files": len(manifest.files), "bytes": content.target.stat().st_size, "facts": manifest.facts}
    if as_json:
        print_json(answer | {"done": not dry_run})
        return
    verb = (
        "would be written"
        if dry_run
        else f"written and verified ({answer['bytes']:,} bytes, {answer['facts']} facts of the ledger)"
    )
    console.print(f"{escape(answer['file'])}: {answer['files']} files {verb}", soft_wrap=True)
    for each in content.left_out:
        console.print(f"left out: {escape(each)}", soft_wrap=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def verify(file: Path, *, as_json: bool) -> None:
    """Look whether a backup is whole: every file as it was written, its ledger sound. Exit code 1 if it is not."""
    manifest = backups.read_manifest(file)
    bar, task = progress("verify", len(manifest.files), quiet=as_json)
    with bar:
        problems = backups.problems_of(file, lambda name: bar.advance(task))
    if as_json:
        print_json({"problems": problems, **_about(manifest)})
        raise SystemExit(1 if problems else 0)
    if problems:
        raise DataError(f"{file} is damaged ({'; '.join(problems[:5])}); use another backup")
    console.print(f"{escape(str(file))} is whole: {_described(manifest)}", soft_wrap=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="The folder: new or empty, or a home.  [default: the home]"
)
@click.option("--database", default="", help="An empty PostgreSQL database, in place of the one of the settings.")
@click.option("--empty", is_flag=True, help="No backup: a new ledger without any history, in place of one that is refused.")
@click.option(
    "--as-it-is",
    is_flag=True,
    help="No backup: the ledger that lies in the database is right, as after a restore on another host that shares it.",
)
@yes_option
@dry_run_option
@json_option
@click.pass_obj
def restore(
    home: Path | None,
    file: Path | None,
    to: Path | None,
    *,
    database: str,
    empty: bool,
    as_it_is: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a backup back: as a new home, or as the ledger of a home whose own one is refused.

    A ledger that is replaced is kept aside. Trading is stopped in what is restored until you have compared it with the broker.
    """
    folder, who = to or home or environment_home(), getpass.getuser()
    if (file is not None) + empty + as_it_is != 1:
        raise ConfigError("name the backup to restore, or say --empty or --as-it-is; see `tradeflow restore --help`")
    if file is None and database:
        raise ConfigError("--empty and --as-it-is work with the database of the settings; set `database` there first")
    total = 0 if file is None else len(backups.read_manifest(file).files)
    bar, task = progress("restore", total, quiet=as_json)

    def go(*, only_say: bool) -> Restored:
        if file is None:
            without_file = backups.begin_anew if empty else backups.take_as_it_is
            return without_file(folder, who=who, dry_run=only_say)
        return backups.restore_backup(
            file, folder, who=who, database=database, dry_run=only_say, on_file=lambda name: bar.advance(task)
        )

    if file is None and not dry_run:
        go(only_say=True)
        question = (
            f"Begin a ledger without any history in {folder}? Positions, orders and capital of before are not known to it."
            if empty
            else f"Take the ledger that {folder} refuses for its own? What it lacks is not known any more."
        )
        if not ask(question, yes=yes, as_json=as_json):
            return
    with bar:
        restored = go(only_say=dry_run)
    if as_json:
        print_json({"done": not dry_run, **_restored(restored), "next": [line.split("  ")[0] for line in AFTERWARDS]})
        return
    done = "taken" if as_it_is else "restored"
    verb = f"would be {done}" if dry_run else done
    what = "home" if restored.is_new_home else "ledger"
    source = _described(restored.manifest) if restored.manifest else "as it is" if as_it_is else "without any history"
    console.print(
        f"{what} {verb} in {escape(str(restored.home))}, database {escape(restored.database)}: {source}", soft_wrap=True
    )
    if restored.kept_aside is not None:
        console.print(
            f"the refused ledger {'would be' if dry_run else 'is'} kept as {escape(str(restored.kept_aside))}", soft_wrap=True
        )
    if not dry_run:
        console.print("[bold red]trading is stopped[/bold red]; go on with", soft_wrap=True)
        for line in AFTERWARDS:
            console.print(f"  {line}", soft_wrap=True)


def _described(manifest: Manifest) -> str:
    prices = "with" if manifest.prices else "without"
    return f"account {manifest.account}, made {manifest.made_at}, {len(manifest.files)} files {prices} prices, {manifest.facts} facts"


def _about(manifest: Manifest) -> dict[str, Any]:
    return {
        "made_at": manifest.made_at,
        "version": manifest.version,
        "account": manifest.account,
        "market": manifest.market,
        "schema": manifest.schema,
        "identity": manifest.identity,
        "files": len(manifest.files),
        "facts": manifest.facts,
        "prices": manifest.prices,
    }


def _restored(restored: Restored) -> dict[str, Any]:
    return {
        "home": str(restored.home),
        "database": restored.database,
        "kept_aside": str(restored.kept_aside) if restored.kept_aside else None,
        "new_home": restored.is_new_home,
        "backup": _about(restored.manifest) if restored.manifest else None,
    }
