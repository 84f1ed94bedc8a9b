"""Every block of code on the page about backtests runs, in the order of the page."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.strategy.markets import market, write_csv_folder

PAGE = REPO / "docs" / "backtesting.md"
BLOCK = re.compile(r"^```python(?: title=\"(?P<file>[^\"]+)\")?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs(tmp_path: Path, seeded_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv_folder(tmp_path / "my_data", market(currency="EUR"))
    shutil.copytree(seeded_home, tmp_path / "my_home")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    blocks = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    assert len(blocks) == PAGE.read_text(encoding="utf-8").count("```python") > 10
    names: dict[str, object] = {}
    for block in blocks:
        if block["file"]:
            Path(block["file"]).write_text(block["code"], encoding="utf-8")
        else:
            line = PAGE.read_text(encoding="utf-8")[: block.start()].count("\n") + 1
            exec(compile("\n" * line + block["code"], str(PAGE), "exec"), names)
    assert (tmp_path / "tear_sheet.html").exists()
    assert {"backtest", "summary", "found", "why"} <= set(names)
