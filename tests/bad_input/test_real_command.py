"""The same in a process of its own, and for programs: an error is one line, or one JSON object, on standard error."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.bad_input.corpus import instead, state_of
from tests.commands import program
from tradeflow_core.cli.main import our_mistake, root

SAMPLE = [
    (("status",), "home_version = 4\ncapital = inf\n", "capital: Input should be a finite number"),
    (("status",), "[", "is not valid TOML"),
    (("day",), 'home_version = 4\ndatabase = "junk"\n', "is not a URL"),
    (("day",), 'home_version = 4\ndata = "junk://x"\n', "data: junk://x cannot be used"),
    (("day",), 'home_version = 4\nbase_currency = "BRL"\n', "no FX code for currency"),
    (("capital", "flow", "1,0000", "--yes", "--why", "x"), None, "is no amount of money"),
    (("orders", "manual", "trend_carry", "CORN", "1", "--limit", "nan", "--why", "x"), None, "nan is not a number from"),
    (("alerts", "--newest", "-1"), None, "-1 is not in the range"),
    (("orders", "list", "--day", "2024-02-30"), None, "'2024-02-30' does not match the format"),
    (("sql", "selec 1"), None, "selec"),
    (("stats",), None, "No such command 'stats' (nearest: status)"),
    (("import", "pysystemtrade", "nowhere"), None, "does not exist"),
]


@pytest.mark.parametrize(("words", "settings", "message"), SAMPLE, ids=[f"{row[0][0]}: {row[2]}" for row in SAMPLE])
def test_the_real_command_shows_no_traceback(words: tuple[str, ...], settings: str | None, message: str, traded: Path) -> None:
    file = traded / "tradeflow.toml"
    with instead(file, file.read_bytes() if settings is None else settings):
        before = state_of(traded)
        ended = subprocess.run(program(traded, *words), check=False, capture_output=True, text=True, timeout=120)
        assert ended.returncode in (1, 2) and message in " ".join(ended.stderr.split()), ended.stderr
        assert "Traceback" not in ended.stdout + ended.stderr
        assert state_of(traded) == before


def test_a_mistake_of_ours_is_told_without_its_traceback() -> None:
    try:
        int("x")
    except ValueError as error:
        said = our_mistake(error)
    assert "has a mistake here (ValueError: invalid literal" in said and "\n" not in said
    file = Path(said.rpartition(" with ")[2])
    assert "Traceback" in file.read_text()
    file.unlink()


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command that has --json."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        if command and any("--json" in parameter.opts for parameter in command.params):
            yield (*path, name)


@pytest.mark.parametrize("words", list(commands(root)), ids=" ".join)
def test_a_program_gets_errors_as_json(words: tuple[str, ...], traded: Path) -> None:
    for wrong in ((*words, "--json", "--no-such-option"), ("--home", str(traded / "config"), *words, "--json", "")):
        result = given_json(traded, wrong)
        assert json.loads(result)["error"], result


def given_json(home: Path, words: tuple[str, ...]) -> str:
    """What a refused command says on standard error; on standard output it says nothing."""
    before = state_of(home)
    result = CliRunner().invoke(root, ["--home", str(home), *words])
    assert result.exit_code == 2 and result.stdout == "" and state_of(home) == before, result.output
    return result.stderr


def test_a_refusal_of_the_business_is_json_too(traded: Path) -> None:
    for words in (("status", "NOPE"), ("locks", "lock", "NOPE", "--why", "x"), ("orders", "show", "999"), ("sql", "selec 1")):
        result = CliRunner().invoke(root, ["--home", str(traded), *words, "--json"])
        assert result.exit_code == 1 and result.stdout == "" and json.loads(result.stderr)["error"]
