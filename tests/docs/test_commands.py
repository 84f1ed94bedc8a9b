"""Every block of code in the documentation runs, in the order of its page: commands in a small home, and Python."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.commands import run as run_command
from tests.conftest import REPO
from tests.docs.blocks import PAGES, Block, Reader, blocks_of
from tests.replay.folders import write_folder
from tests.strategy.markets import market, write_csv_folder
from tradeflow_core.cli.main import COMMANDS

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
TO_RUN = [block for block in BLOCKS if (block.is_commands or block.is_output or block.language == "python") and not block.reason]

NOT_RUN = {
    "CONTRIBUTING.md": ["make dev", ".venv-3.11/bin/pre-commit install", "make test-fast"],
    "README.md": ["make run", "make ui"],
    "docs/index.md": ["make run", "make ui"],
}
"""The commands that no test runs, by page. Above each block of them a comment on the page says why: `<!-- commands not run: ... -->`."""


@pytest.fixture(scope="module")
def traded_home(seeded_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small home that has traded two days."""
    home = tmp_path_factory.mktemp("traded") / "home"
    shutil.copytree(seeded_home, home)
    result = run_command(home, "day", "--days", "1")
    assert result.exit_code == 0, result.output
    return home


@pytest.fixture
def desk_of_a_reader(tmp_path: Path, traded_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, with what the pages take as given: a home in `var` and `my_home`, and data folders of pysystemtrade."""
    shutil.copytree(traded_home, tmp_path / "var")
    shutil.copytree(traded_home, tmp_path / "my_home")
    write_csv_folder(tmp_path / "my_data", market(currency="EUR"))
    (tmp_path / "path" / "to" / "data").mkdir(parents=True)
    (tmp_path / "path" / "to" / "csv").symlink_to(tmp_path / "my_data")
    write_folder(tmp_path / "path" / "to" / "data" / "futures")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("TRADEFLOW_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "150")
    return tmp_path


@pytest.mark.parametrize("page", sorted({block.page for block in TO_RUN}), ids=lambda page: str(page.relative_to(REPO)))
def test_every_block_of_a_page_runs(page: Path, desk_of_a_reader: Path) -> None:
    reader, blocks = Reader(), [block for block in blocks_of(page) if block in TO_RUN or block.file]
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        reader.do(block, is_shown=following is not None and following.is_output)


def test_what_is_not_run_is_marked_on_its_page_with_the_reason() -> None:
    marked: dict[str, list[str]] = {}
    for block in BLOCKS:
        if block.reason:
            commands = [command.partition("#")[0].strip() for command in block.commands]
            marked.setdefault(str(block.page.relative_to(REPO)), []).extend(commands)
    assert marked == NOT_RUN


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_says_what_it_is(block: Block) -> None:
    """So that no command hides in a block that is not run: `text` is what a program said, or a list for the eye."""
    assert block.language in ("sh", "console", "python", "toml", "text", "{toctree}", "{eval-rst}")


def test_the_readme_names_every_command() -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    shown = text.partition("## The command")[2].partition("## ")[0]
    assert [name for name in COMMANDS if name not in ("ui",) and not re.search(rf"\b{name}\b", shown)] == []


FOLDERS = [REPO, REPO / "tradeflow_core", REPO / "tradeflow_core" / "strategy", REPO / "docs"]
HOME = ("var/", "config/", "data/", "market/", "dagster/", "logs/", "reports/", "contract_prices/", "replays/", "my_")
"""How the paths of a home, and of a reader's own things, begin."""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: str(page.relative_to(REPO))
)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:\w[\w.]*/)+(?:\w[\w.]*)?)`", page.read_text(encoding="utf-8"))
    ours = [path for path in named if not path.startswith(HOME)]
    assert [path for path in ours if not any((folder / path).exists() for folder in FOLDERS)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
