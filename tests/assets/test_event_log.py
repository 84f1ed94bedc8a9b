"""The event log that keeps its connections writes what Dagster's own reads, and the other way round."""

from __future__ import annotations

import threading
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance

from tradeflow_assets import event_log
from tradeflow_assets.event_log import QuickEventLog
from tradeflow_assets.instance import instance_for, write_dagster_home
from tradeflow_core.desk import Desk


@dg.asset
def note() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"n": 1})


def packaged(three: Desk, folder: Path) -> DagsterInstance:
    """An instance with Dagster's own SQLite storage over the same files."""
    folder.mkdir()
    (folder / "dagster.yaml").write_text(
        f"storage: {{sqlite: {{base_dir: {three.home.path / 'dagster'}}}}}\ntelemetry: {{enabled: false}}\n"
    )
    return DagsterInstance.from_config(str(folder))


def test_both_logs_read_and_continue_each_others_history(three: Desk, tmp_path: Path) -> None:
    with instance_for(three.home.path) as quick, packaged(three, tmp_path / "packaged") as plain:
        assert isinstance(quick.event_log_storage, QuickEventLog)
        assert not isinstance(plain.event_log_storage, QuickEventLog)
        runs = [dg.materialize([note], instance=instance).run_id for instance in (quick, plain, quick)]
        for instance in (quick, plain):
            found = instance.fetch_materializations(note.key, limit=10).records
            assert [record.run_id for record in found] == runs[::-1]
            assert {run.run_id for run in instance.get_runs()} == set(runs)
            assert all(instance.all_logs(run) for run in runs)


def test_only_a_few_files_stay_open_however_many_runs_there_are(three: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "OPEN_FILES", 3)
    with instance_for(three.home.path) as instance:
        log = instance.event_log_storage
        assert isinstance(log, QuickEventLog)
        runs = [dg.materialize([note], instance=instance).run_id for _ in range(5)]
        assert len(log._engines) == 3
        assert all(instance.all_logs(run) for run in runs), "closed ones are opened again"
    assert not log._engines


def test_threads_of_the_web_server_may_share_the_log(three: Desk) -> None:
    with instance_for(three.home.path) as instance:
        run = dg.materialize([note], instance=instance).run_id
        counts: list[int] = []
        threads = [threading.Thread(target=lambda: counts.append(len(instance.all_logs(run)))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(counts) == 8 and len(set(counts)) == 1


def test_an_event_that_is_logged_while_a_file_is_opened_is_stored_too(three: Desk) -> None:
    """Dagster's own log once waited for itself for ever (dagster issue 32217)."""
    settings = write_dagster_home(three.home) / "dagster.yaml"
    # Without captured output: on a busy machine Dagster may wait for the process that tails it.
    kept = [line for line in settings.read_text().splitlines() if not line.startswith("compute_logs")]
    quiet = "compute_logs: {module: dagster.core.storage.noop_compute_log_manager, class: NoOpComputeLogManager}"
    settings.write_text(
        "\n".join([*kept, quiet]) + "\n" + "python_logs: {managed_python_loggers: [root], python_log_level: INFO}\n"
    )
    runs: list[str] = []

    def run() -> None:
        with instance_for(three.home.path) as instance:
            run_id = dg.materialize([note], instance=instance).run_id
            runs.append(run_id)
            assert instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert runs, "it hangs"


def test_the_lock_of_the_log_may_be_taken_again_by_who_holds_it(three: Desk) -> None:
    with instance_for(three.home.path) as instance:
        log = instance.event_log_storage
        assert isinstance(log, QuickEventLog)
        dg.materialize([note], instance=instance)
        with log._db_lock:
            assert log._db_lock.acquire(timeout=1), "a plain lock"
            log._db_lock.release()
