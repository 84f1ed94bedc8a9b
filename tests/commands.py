"""Running the `tradeflow` command in a test, as a person or a program would."""

from __future__ import annotations

import json
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
