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
    r"(?:^<!-- commands not run: (?P<reason>.*?) -->\n|^<!-- (?P<output>output) -->\n)?"
    r"^(?P<fence>```+)(?P<language>[^\s]*)(?: title=\"(?P<file>[^\"]+)\")?\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; its code begins at `line`. `file`: the code is the content of that file. `reason`: why it is not run.

    `is_output`: it shows what the commands above it said, or lines of that; `...` in it stands for anything.
    """

    page: Path
    line: int
    language: str
    code: str
    file: str
    reason: str
    is_output: bool

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
        yield Block(
            page, line, found["language"], found["code"], found["file"] or "", found["reason"] or "", bool(found["output"])
        )


class Reader:
    """Somebody who reads a page and does what its blocks say, one after another, in the present folder."""

    def __init__(self) -> None:
        self._names: dict[str, object] = {}
        self._said = ""
        self._references: list[str] = []

    def do(self, block: Block, *, is_shown: bool) -> None:
        """Run the commands of a block, or its Python with the names of the blocks before, write its file, or look for what it shows.

        `is_shown`: what its commands say stands below it, so that a refusal is no surprise.
        """
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.code, str(block.page), "exec"), self._names)
        elif block.is_output:
            self._look_for(block)
        else:
            self._said = "".join(self._run(block, command, is_shown=is_shown) for command in block.commands)

    def _run(self, block: Block, command: str, *, is_shown: bool) -> str:
        if self._references:
            command = command.replace(REFERENCE, self._references[-1])
        program, *words = shlex.split(command, comments=True)
        assert program == "tradeflow", f"{block}: this test runs `tradeflow` only, not: {command}"
        result = CliRunner().invoke(root, words, input="y\n" * 3)
        refused = result.exit_code == 1 and is_shown
        assert result.exit_code == 0 or refused, f"{block}: {command}\n{result.output}\n{result.exception!r}"
        self._references += _REFERENCES.findall(result.output)
        return result.output

    def _look_for(self, block: Block) -> None:
        said = [_plain(line) for line in self._said.splitlines()]
        start = 0
        for line in block.code.splitlines():
            wanted = re.compile(".*".join(re.escape(part) for part in _plain(line).split("...")))
            found = next((number for number in range(start, len(said)) if wanted.fullmatch(said[number])), None)
            assert found is not None, f"{block}: the commands above do not say {line!r} there, but\n{self._said}"
            start = found + 1


REFERENCE = "tf-0123456789abcdef"
"""Stands on a page for the newest of our references that a command has shown."""
_REFERENCES = re.compile(r"tf-[0-9a-f]{16}")


def _plain(line: str) -> str:
    """A line without what differs from run to run: references, the folder, spaces at its end."""
    return _REFERENCES.sub(REFERENCE, line).replace(f"{Path.cwd()}/", "").rstrip()
