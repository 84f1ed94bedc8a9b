"""The blocks of code on the pages of the documentation, and how one is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from tests.conftest import REPO
from tradeflow_core.cli.main import root

PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "changelog.d").glob("*.md")])

_BLOCK = re.compile(
    r"(?:^<!-- commands not run: (?P<reason>.*?) -->\n)?"
    r"^(?P<fence>```+)(?P<language>[^\s]*)(?: title=\"(?P<file>[^\"]+)\")?\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; its code begins at `line`. `file`: the code is the content of that file. `reason`: why it is not run."""

    page: Path
    line: int
    language: str
    code: str
    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPO)}:{self.line}"

    @property
    def is_commands(self) -> bool:
        return self.language in ("sh", "console")

    @property
    def commands(self) -> list[str]:
        """Its command lines, without comments and prompts."""
        lines = (line.removeprefix("$ ").strip() for line in self.code.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text[: found.start("code")].count("\n") + 1
        yield Block(page, line, found["language"], found["code"], found["file"] or "", found["reason"] or "")


def run(block: Block, names: dict[str, object]) -> None:
    """Run a block in the present folder: commands one by one, Python with the names that earlier blocks of its page made."""
    if block.file:
        Path(block.file).write_text(block.code, encoding="utf-8")
    elif block.language == "python":
        exec(compile("\n" * (block.line - 1) + block.code, str(block.page), "exec"), names)
    else:
        for command in block.commands:
            _run_command(block, command)


def _run_command(block: Block, command: str) -> None:
    program, *words = shlex.split(command, comments=True)
    assert program == "tradeflow", f"{block}: this test runs `tradeflow` only, not: {command}"
    result = CliRunner().invoke(root, words, input="y\n" * 3)
    assert result.exit_code == 0, f"{block}: {command}\n{result.output}\n{result.exception!r}"
