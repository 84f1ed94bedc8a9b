"""The glossary and the records of decisions keep their form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPO

RECORDS = sorted((REPO / "docs" / "decisions").glob("0*.md"))


def test_the_glossary_is_in_the_order_of_the_alphabet_and_says_each_word_once() -> None:
    terms = re.findall(r"^- \*\*(.+?)\*\*", (REPO / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = [term.lower() for term in terms]
    assert len(names) > 100 and names == sorted(set(names))


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
