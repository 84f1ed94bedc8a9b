"""The Dagster UI of a home: its web app behind a guard in this process, the daemon and one code server for both beside it.

`tradeflow ui` starts this module in a process group of its own, and ends that group. Dagster has no public way to put middleware in front of
its web app, nor to start what `dagster dev` starts without the port of that app: this is the one module that uses private names of Dagster.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
import yaml
from dagster import DagsterInstance
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget
from dagster._utils.interrupts import setup_interrupt_handlers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from tradeflow_assets.guard import Guard
from tradeflow_assets.instance import instance_for
from tradeflow_core.errors import StateError, TradeflowError
from tradeflow_core.home import Home, take_ui_password

DEFINITIONS = "tradeflow_assets.definitions"
GRACE = 3
"""Seconds that an open page may take to go, once the UI ends."""


def main(home_path: str, host: str, port: str) -> None:
    """Serve the home until SIGINT or SIGTERM. A password in the environment (`take_ui_password`) is asked of every visitor."""
    setup_interrupt_handlers()
    password, home = take_ui_password(), Home.open(Path(home_path))
    os.environ |= {
        "TRADEFLOW_HOME": str(home.path),
        "DAGSTER_HOME": str(home.path / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONWARNINGS": "ignore",
    }
    _end_with(os.getppid())
    with instance_for(home.path) as instance, _code_server(instance) as workspace, _daemon(workspace):
        target = WorkspaceFileTarget([workspace])
        with WorkspaceProcessContext(instance, target, version=__version__, code_server_log_level="warning") as context:
            app = Guard(create_app_from_workspace_process_context(context), password)
            uvicorn.run(app, host=host, port=int(port), log_level="warning", proxy_headers=False, timeout_graceful_shutdown=GRACE)


@contextmanager
def _code_server(instance: DagsterInstance) -> Iterator[str]:
    """Run the definitions in a process of their own, for web app and daemon alike; yields the workspace file that leads there."""
    target = ModuleTarget(DEFINITIONS, None, os.getcwd(), None)
    with (
        ProxyServerManager(instance, target, code_server_log_level="warning") as servers,
        tempfile.TemporaryDirectory(prefix="tradeflow-ui-") as folder,
    ):
        file = Path(folder) / "workspace.yaml"
        file.write_text(yaml.dump({"load_from": servers.get_code_server_specs()}), encoding="utf-8")
        yield str(file)


@contextmanager
def _daemon(workspace: str) -> Iterator[None]:
    """Run Dagster's daemon, which evaluates schedules and sensors. Where it ends by itself, everything ends: raises StateError then."""
    words = ["-m", "dagster._daemon", "run", "--log-level", "warning", "--workspace", workspace]
    daemon = subprocess.Popen([sys.executable, *words])
    over = threading.Event()

    def watch() -> None:
        daemon.wait()
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        by_itself = daemon.poll()
        daemon.terminate()
        daemon.wait()
        if by_itself not in (None, 0, -signal.SIGTERM):  # else it was told to end, as this process is
            raise StateError(f"the daemon of Dagster has ended (exit code {by_itself}), so the UI ends too")


def _end_with(parent: int) -> None:
    """End this process group when the process that started it is gone, since nobody else would."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.killpg(os.getpgrp(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except TradeflowError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        pass
