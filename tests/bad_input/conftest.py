"""One home for all inputs of the corpus: none of them changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def traded(day_done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small home that has traded a day."""
    home = tmp_path_factory.mktemp("bad") / "home"
    shutil.copytree(day_done, home)
    return home
