"""The glossary and the records of decisions keep their form."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPO

RECORDS = sorted((REPO / "docs" / "decisions").glob("0*.md"))


def test_the_glossary_is_in_the_order_of_the_alphabet_and_says_each_word_once() -> None:
    terms = re.findall(r"^- \*\*(.+?)\*\*", (REPO / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = [term.lower() for term in terms]
    assert len(names) > 100 and names == sorted(set(names))


def test_the_glossary_names_files_that_exist() -> None:
    """Paths without a package are of tradeflow_core; a word in backticks with a slash or an ending is a path."""
    text = (REPO / "docs" / "glossary.md").read_text(encoding="utf-8")
    paths = [path for path in re.findall(r"`([\w./]+)`", text) if "/" in path or path.endswith(".py")]
    missing = [path for path in paths if not any((REPO / folder / path).exists() for folder in ("", "tradeflow_core"))]
    assert len(paths) > 90 and not missing


def test_every_dependency_has_a_line_that_says_why() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    names = {re.match(r"[\w-]+", name).group().lower().replace("_", "-") for name in needed}  # type: ignore[union-attr]
    table = (
        (REPO / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Dependencies")[2].lower().replace("_", "-")
    )
    assert sorted(name for name in names if not re.search(rf"(^\| |, ){re.escape(name)}(,| )", table, re.MULTILINE)) == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_of_a_decision_says_when_why_what_was_rejected_and_what_follows(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert re.match(rf"# {record.stem[:4]}: .+\n\nDate: \d{{4}}-\d\d-\d\d\n", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Rejected", "Consequences"]


def test_the_records_are_numbered_without_gaps_and_listed_where_one_looks() -> None:
    assert [int(record.stem[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
    for page in ("architecture.md", "decisions/index.md"):
        text = (REPO / "docs" / page).read_text(encoding="utf-8")
        assert [record.stem for record in RECORDS if record.stem not in text] == []
