"""Dagster's settings of a home are the user's: written once, and afterwards only what is ours in them follows the home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from tradeflow_assets.assembly import assemble
from tradeflow_assets.instance import instance_for, write_dagster_home
from tradeflow_assets.partitions import RANGE_END, RANGE_START
from tradeflow_core.desk import Desk
from tradeflow_core.errors import ConfigError
from tradeflow_core.home import SETTINGS_FILE, Home

USERS = """\
# my own database
storage: {postgres: {postgres_db: {username: me, password: secret, hostname: db, db_name: dagster, port: 5432}}}
run_launcher: {module: dagster.core.launcher, class: DefaultRunLauncher}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
compute_logs: {module: dagster.core.storage.noop_compute_log_manager, class: NoOpComputeLogManager}
"""


def test_they_are_written_once_and_kept(three: Desk) -> None:
    file = write_dagster_home(three.home) / "dagster.yaml"
    written = file.stat().st_mtime_ns
    write_dagster_home(three.home)
    assert file.stat().st_mtime_ns == written


def test_a_storage_launcher_and_coordinator_of_the_users_own_stay(three: Desk) -> None:
    file = three.home.path / "dagster" / "dagster.yaml"
    file.write_text(USERS, encoding="utf-8")
    write_dagster_home(three.home)
    assert file.read_text(encoding="utf-8") == USERS


def test_a_home_that_moved_takes_its_storage_along_and_the_users_lines_stay(three: Desk, tmp_path: Path) -> None:
    file = write_dagster_home(three.home) / "dagster.yaml"
    own = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("compute_logs")]
    file.write_text("\n".join([*own, *USERS.splitlines()[2:], "# the end"]) + "\n", encoding="utf-8")
    moved = tmp_path / "a new place"
    shutil.copytree(three.home.path, moved)
    text = (write_dagster_home(Home.open(moved)) / "dagster.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    assert settings["event_log_storage"]["config"]["base_dir"] == str(moved / "dagster" / "history" / "runs")
    assert settings["run_storage"]["config"]["base_dir"] == str(moved / "dagster" / "history")
    assert settings["compute_logs"]["class"] == "NoOpComputeLogManager" and text.endswith("# the end\n")
    assert str(three.home.path) not in text
    with instance_for(moved) as instance:
        assert not instance.get_runs()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"storage: [", "line 2"),
        (b"storage: 5", "int"),
        (b"- a list", "dictionary"),
        (b"\xff\xfe", "utf-8"),
        (b"telemetry: {enabled: maybe}", "telemetry:enabled"),
        (b"run_storage: {module: nowhere, class: Runs, config: {}}", "nowhere"),
        (b"storage: {sqlite: {base_dir: /proc/nowhere}}", "/proc/nowhere"),
    ],
)
def test_a_wrong_file_is_named_with_the_reason_and_the_remedy(three: Desk, content: bytes, reason: str) -> None:
    file = write_dagster_home(three.home) / "dagster.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"dagster\.yaml cannot be used: .*{reason}.*; correct it, or remove it"):
        instance_for(three.home.path)
    file.unlink()
    with instance_for(three.home.path) as instance:
        assert not instance.get_runs()


def test_the_executor_is_a_setting(three: Desk) -> None:
    def executor() -> str:
        return assemble(Home.open(three.home.path), three).executor.name  # type: ignore[union-attr]

    assert executor() == "in_process"
    with (three.home.path / SETTINGS_FILE).open("a", encoding="utf-8") as file:
        file.write('\n[dagster]\nexecutor = "multiprocess"\n')
    assert executor() == "multiprocess"


@pytest.mark.slow
def test_a_run_with_processes_of_their_own_for_its_steps_finds_the_desk(three: Desk) -> None:
    with (three.home.path / SETTINGS_FILE).open("a", encoding="utf-8") as file:
        file.write('\n[dagster]\nexecutor = "multiprocess"\n')
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "tradeflow_assets.definitions", "-j", "prune"]
    environment = {**os.environ, "TRADEFLOW_HOME": str(three.home.path), "DAGSTER_HOME": str(write_dagster_home(three.home))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "multiprocess executor" in done.stderr and "0 runs deleted" in done.stderr


def test_the_tags_of_a_range_are_dagsters() -> None:
    assert (RANGE_START, RANGE_END) == (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
