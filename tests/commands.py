"""Running the `tradeflow` command in a test, as a person or a program would."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tradeflow_core.cli.main import root


def run(home: Path, *arguments: str, text: str | None = None) -> Result:
    """The result of one command in `home`; `text` is typed at its prompts."""
    return CliRunner().invoke(root, ["--home", str(home), *arguments], input=text)


def said(result: Result) -> str:
    """All that it printed, as one line."""
    return " ".join(result.output.split())


def answer(home: Path, *arguments: str) -> Any:
    """Its answer with --json; it must succeed."""
    result = run(home, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def program(home: Path, *arguments: str) -> list[str]:
    """The words that start the real command in a process of its own."""
    call = "import sys; sys.argv[0] = 'tradeflow'; from tradeflow_core.cli import main; main()"
    return [sys.executable, "-W", "ignore", "-c", call, "--home", str(home), *arguments]
