"""The Dagster UI of a home: webserver and daemon in the foreground."""

import os
import socket
import sys

from tradeflow_assets.instance import instance_for, write_dagster_home
from tradeflow_core.errors import StateError
from tradeflow_core.home import Home


def command(port: int) -> list[str]:
    """The command that serves the UI on 127.0.0.1."""
    return [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-m",
        "tradeflow_assets.definitions",
        "--log-level",
        "warning",
    ]


def environment(home: Home) -> dict[str, str]:
    """The environment in which that command serves this home: where the home and its Dagster storage are."""
    folder = write_dagster_home(home)
    return {
        **os.environ,
        "DAGSTER_HOME": str(folder),
        "TRADEFLOW_HOME": str(home.path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONWARNINGS": "ignore",
    }


def require_free(port: int) -> None:
    """Raise StateError if something listens on that port of 127.0.0.1 already."""
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise StateError(
                f"port {port} of 127.0.0.1 is in use; stop what runs there, or take another: make ui PORT={port % 65535 + 1}"
            )


def serve(home: Home, port: int) -> None:
    """Replace this process by the UI of the home; returns only if that fails. Ctrl-C ends the UI. Raises ConfigError for a wrong `dagster.yaml`."""
    with instance_for(home.path):
        pass  # a wrong file is reported here in one line, not by a traceback of the daemon
    settings = environment(home)
    os.chdir(settings["DAGSTER_HOME"])
    os.execve(sys.executable, command(port), settings)
