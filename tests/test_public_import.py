"""`import tradeflow_core as tf` gives every public name, and costs nothing until one is asked for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import pytest

import tradeflow_core as tf
from tests.conftest import REPO

HEAVY = {"pandas", "numpy", "sqlalchemy", "pydantic", "pyarrow", "duckdb", "scipy", "dagster"}


@pytest.mark.parametrize("name", tf.__all__)
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    thing = getattr(tf, name)
    assert name in dir(tf)
    if name != "STAGES":
        assert (thing.__doc__ or "").strip(), f"{name} has no docstring, so the API page has nothing to say"


def test_the_import_alone_loads_nothing_heavy() -> None:
    program = "import json, sys, tradeflow_core; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout
    assert not HEAVY & {name.split(".")[0] for name in json.loads(loaded)}


def test_asking_for_a_name_that_is_not_public_says_so() -> None:
    with pytest.raises(AttributeError, match=r"tradeflow_core.*no_such_thing"):
        _ = tf.no_such_thing  # type: ignore[attr-defined]


def test_the_public_names_on_the_api_page_are_those_of_the_import() -> None:
    page = (REPO / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. auto\w+:: tradeflow_core\.(\w+)", page, re.MULTILINE)
    assert sorted(shown) == sorted(tf.__all__)


def test_the_version_is_said_in_one_place_and_has_its_news() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "tradeflow_core.__version__"}
    assert f"## {tf.__version__} " in (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
