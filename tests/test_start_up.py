"""A command loads only what it uses, so that it answers at once: above all the one that stops trading."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tradeflow_core.cli.main import COMMANDS, root

HEAVY = ("dagster", "duckdb", "scipy", "plotly", "pandas", "exchange_calendars", "jinja2", "yaml")
PROGRAM = """
import json, sys
from tradeflow_core.cli.main import root
try:
    root(sys.argv[1:], standalone_mode=False)
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        *("--help", "stop", "resume", "status", "status --json", "orders --dry-run", "orders", "alerts", "instruments"),
        *("locks", "locks lock CORN --why storm", "overrides", "limits --history", "limits trade CORN --days 1 5 --why storm"),
    ],
)
def test_it_loads_neither_pandas_nor_dagster_nor_a_query_engine(seeded_home: Path, tmp_path: Path, arguments: str) -> None:
    shutil.copytree(seeded_home, tmp_path / "home")
    words = [sys.executable, "-c", PROGRAM, "--home", str(tmp_path / "home"), *arguments.split()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stdout, done.stderr
    loaded = json.loads(done.stderr.splitlines()[-1])
    assert [name for name in HEAVY if name in loaded] == []
    if arguments == "--help":
        assert not {"sqlalchemy", "pydantic", "numpy", "pyarrow", "alembic"} & set(loaded)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_help_of_each_command_is_its_own(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None and command.name == name
    assert COMMANDS[name][1] == command.get_short_help_str(limit=500)
