"""Serving the Dagster UI, with its daemon, for one home."""

from __future__ import annotations

import os
import socket
import sys

from tradeflow_assets.runner import write_dagster_home
from tradeflow_core.errors import StateError
from tradeflow_core.home import Home

HOST = "127.0.0.1"


def serve(home: Home, port: int) -> None:
    """Become `dagster dev` for `home`, on 127.0.0.1 only. Raises StateError if the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StateError(
                f"port {port} on {HOST} is in use ({error.strerror}); stop what runs there, or choose another: make ui PORT={port + 1}"
            ) from error
    environment = {**os.environ, "DAGSTER_HOME": str(write_dagster_home(home)), "TRADEFLOW_HOME": str(home.path)}
    command = [sys.executable, "-m", "dagster", "dev", "-h", HOST, "-p", str(port), "-m", "tradeflow_assets.definitions"]
    os.execve(sys.executable, command, environment)
