"""Dagster's own storage and settings of a home: `dagster/dagster.yaml`, written once, and the instance that it describes.

The file belongs to the user: another storage, launcher or coordinator that is configured there stays. Only lines that tradeflow
wrote and that name folders of the home are updated when the home has moved.
"""

import json
import re
from pathlib import Path

from dagster import DagsterInstance

from tradeflow_core.errors import ConfigError
from tradeflow_core.home import Home, replace_text

INSTANCE_SETTINGS = """\
# Dagster's own settings. Paths are {where}.
telemetry: {{enabled: false}}
nux: {{enabled: false}}
run_storage: {{module: dagster._core.storage.runs, class: SqliteRunStorage, config: {{base_dir: "{base}/history"}}}}
event_log_storage: {{module: tradeflow_assets.event_log, class: QuickEventLog, config: {{base_dir: "{base}/history/runs"}}}}
schedule_storage: {{module: dagster._core.storage.schedules, class: SqliteScheduleStorage, config: {{base_dir: "{base}/schedules"}}}}
local_artifact_storage: {{module: dagster.core.storage.root, class: LocalArtifactStorage, config: {{base_dir: "{base}"}}}}
compute_logs: {{module: dagster.core.storage.local_compute_log_manager, class: LocalComputeLogManager, config: {{base_dir: "{base}/compute_logs"}}}}
concurrency:
  runs: {{max_concurrent_runs: 4, tag_concurrency_limits: [{{key: singleton, value: {{applyLimitPerUniqueValue: true}}, limit: 1}}]}}
  pools: {{default_limit: 1, granularity: run}}
run_monitoring: {{enabled: true, poll_interval_seconds: 15}}
retention: {{schedule: {{purge_after_days: 90}}, sensor: {{purge_after_days: {{skipped: 7, failure: 30, success: -1}}}}}}
"""
PATHS = "absolute, below this home"
_BASE = "\0"
_OUR_LINES = [
    (re.compile(re.escape(line).replace(re.escape(_BASE), r"(.+)").replace('"', '"?') + r"\s*"), line)
    for line in INSTANCE_SETTINGS.format(where=PATHS, base=_BASE).splitlines()
    if _BASE in line
]
"""Each line of ours that names a folder: a pattern that matches it for any folder, quoted or (in older homes) not, and the line itself."""


def write_dagster_home(home: Home) -> Path:
    """Make sure that the home has a `dagster/dagster.yaml`, and return that folder, to be given as DAGSTER_HOME.

    It names the same storage as the `dagster.yaml` of the repository does for the default home `./var`. Raises ConfigError where the file
    is no text.
    """
    folder = home.path / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    base, path = json.dumps(str(folder))[1:-1], folder / "dagster.yaml"  # escaped for use between double quotes
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
    except UnicodeDecodeError as error:
        raise _unusable(path, error) from error
    text = _with_folder(before, base) if before else INSTANCE_SETTINGS.format(where=PATHS, base=base)
    if text != before:
        replace_text(path, text)
    return folder


def _unusable(path: Path, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())
    return ConfigError(f"{path} cannot be used: {reason}; correct it, or remove it to have it written anew")


def _with_folder(text: str, base: str) -> str:
    """The settings with the folder `base` in every line that tradeflow wrote."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        for pattern, our_line in _OUR_LINES:
            if pattern.fullmatch(line):
                lines[number] = our_line.replace(_BASE, base)
    return "\n".join(lines) + "\n"


def instance_for(home_path: Path) -> DagsterInstance:
    """The Dagster instance of the home in that folder; the caller disposes of it. Raises ConfigError where its `dagster.yaml` is wrong."""
    folder = write_dagster_home(Home.open(home_path))
    try:
        return DagsterInstance.from_config(str(folder))
    except (
        Exception
    ) as error:  # Dagster has no common class for them: what comes of a wrong file may be of YAML, Python or a database
        raise _unusable(folder / "dagster.yaml", error) from error
