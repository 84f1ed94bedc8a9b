"""The root of the `tradeflow` command, and how it reports errors.

Only the module of the command that is run is imported, so `tradeflow --help` and `tradeflow stop` answer at once.
"""

from __future__ import annotations

import errno
import importlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape

from tradeflow_core import __version__
from tradeflow_core.cli.ending import TERMINATED, Terminated, listen, terminated
from tradeflow_core.errors import StateError, TradeflowError
from tradeflow_core.home.files import keep_private
from tradeflow_core.model import nearest

WORDS = "tradeflow.words"
"""Under this name the context of click has the words of the command, as they were typed."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("days", "Make a home: the folder that holds everything of one desk."),
    "day": ("days", "Run the business day of a simulated home: prices, positions, orders, trades."),
    "backfill": ("days", "Fetch the price history of instruments again and rebuild their prices, through Dagster."),
    "ui": ("ui", "Serve the Dagster UI of this home on 127.0.0.1, with its schedules and sensors, until Ctrl-C."),
    "status": ("status", "Show capital, positions against optimal ones, orders, freshness and locks."),
    "check": ("status", "Check every invariant of ledger and store; exit code 1 if one is broken."),
    "backup": (
        "backups",
        "Write settings, ledger, prices and the book of a paper market to one file, verified; also while the desk trades.",
    ),
    "verify": ("backups", "Look whether a backup is whole: every file as it was written, its ledger sound."),
    "restore": ("backups", "Put a backup back: as a new home, or as the ledger of a home whose own one is refused."),
    "stop": ("control", "Stop trading at once: nothing more is sent, orders at work are cancelled."),
    "resume": ("control", "Allow trading again after `tradeflow stop`."),
    "capital": (
        "capital",
        "Show the capital, what it was made of, and what waits for a person; with a command, say what the account did.",
    ),
    "locks": ("locks", "Show which instruments are locked, by whom and why; with a command, lock or unlock one."),
    "overrides": ("overrides", "Show what holds positions back; with a command, set or clear an override."),
    "limits": (
        "limits",
        "Show the limits of positions beside positions, and of trades beside what is used; with a command, change them.",
    ),
    "sql": ("look", "Query the store and the ledger with one SELECT (DuckDB)."),
    "instruments": ("look", "List the instruments that this home knows."),
    "alerts": ("look", "Show the newest alerts."),
    "orders": (
        "orders",
        "Make the instrument orders of the business day from its optimal positions, as the step of the day does.",
    ),
    "positions": ("positions", "Show who holds what, by strategy, by contract and by account; with a command, mend positions."),
    "reconcile": (
        "reconcile",
        "Compare positions at three levels, and name the command that mends each difference; exit code 1 for a break.",
    ),
    "roll": ("roll", "Show the roll state of every instrument, the most urgent first; with a command, act on it."),
    "prices": ("prices", "Update, check, repair, seed and delete prices."),
    "import": ("history", "Import the history of another system as a tape: read-only, to be replayed or adopted."),
    "replay": ("history", "Run the production days of a tape, one by one, in a home of their own."),
    "backtest": ("backtest", "Run strategies over history, look into saved runs, and explain why positions changed."),
}
"""For each command, its module in this package and its line of help; a test compares that with the command's own help."""


class _Root(click.Group):
    """Imports a command's module when the command is needed; shows an expected error as one line on standard error, without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tradeflow_core.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_" if cmd_name == "import" else cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}{nearest(args[0], COMMANDS)}; see `tradeflow --help`.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        words = ctx.meta[WORDS]
        try:
            require_text(words)
            return super().invoke(ctx)
        except BaseException as error:
            if terminated():  # whatever the interruption has become on its way up
                raise Terminated from None
            as_json = "--json" in words
            if isinstance(error, click.ClickException) and as_json:
                _print_error(error.format_message(), as_json=True)
                ctx.exit(error.exit_code)
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                error = StateError(f"{error}; what was not finished is not written. {_remedy(error)}, and then do this again")
            if not isinstance(error, TradeflowError):
                raise
            _print_error(str(error), as_json=as_json)
            ctx.exit(1)


def _remedy(error: OSError) -> str:
    """What to do about an error of the operating system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on the disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Give the rights that are missing"
    return "Correct the name" if error.errno == errno.ENAMETOOLONG else "Look at what it names"


def _print_error(message: str, *, as_json: bool) -> None:
    """An error on standard error: a line for people, or for a program `{"error": ...}`. Standard output is left to answers."""
    if as_json:
        print(json.dumps({"error": message}), file=sys.stderr)
        return
    from tradeflow_core.cli.common import error_console

    error_console.print(f"[red]error:[/red] {escape(message)}", soft_wrap=True)


def require_text(words: Sequence[str]) -> None:
    """Raise UsageError for an argument that is empty, or that has control characters other than line ends and tabs: it is a slip of a script,
    and no name, amount or reason."""
    for before, word in zip(("", *words), words, strict=False):
        option, _, value = word.partition("=")
        if not word or (option.startswith("--") and "=" in word and not value):
            named = option or before
            where = f"the value of {named}" if re.match("--.", named) else "an argument"
            raise click.UsageError(f"{where} is empty; give a value, or leave it out")
        if _CONTROL.search(word):
            raise click.UsageError(f"the argument {word!r} has control characters; write it without them")


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), help="The home to work in (default: TRADEFLOW_HOME, or ./var)."
)
@click.pass_context
def root(ctx: click.Context, home: Path | None) -> None:
    """Run a systematic futures trading business.

    \b
    Begin:     tradeflow init          make a home on the simulated market
               tradeflow day           run the business day: prices, positions, orders, trades
               tradeflow status        capital, positions, orders, freshness, locks
    """
    keep_private()
    ctx.obj = home


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 refused or failed, 2 called wrongly, 143 ended by SIGTERM."""
    listen()
    try:
        root(standalone_mode=True)
    except BrokenPipeError:
        sys.exit(1)
    except SystemExit as end:
        if end.code and terminated():
            print("ended by SIGTERM; what was done is kept, and the same command goes on where it stood", file=sys.stderr)
            sys.exit(TERMINATED)
        raise
    except Exception as error:
        _print_error(our_mistake(error), as_json="--json" in sys.argv)
        sys.exit(1)


def our_mistake(error: Exception) -> str:
    """What a person is told of an error that nobody foresaw; its traceback goes to a file for us."""
    import tempfile
    import traceback

    text = f"tradeflow {__version__} has a mistake here ({type(error).__name__}: {error}); what was not finished is not written. Please report it"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="tradeflow-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
        return f"{text} with {file.name}"
    except OSError:  # no room for it
        return text
