"""Serving the Dagster UI: what is asked before, and the process group in which it runs."""

from __future__ import annotations

import errno
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click

from tradeflow_core.cli.common import console, error_console, open_desk
from tradeflow_core.errors import ConfigError, StateError
from tradeflow_core.home import UI_PASSWORD, ui_password

SERVER = "tradeflow_assets.serve"
"""The module that serves. Named, not imported: the core works without Dagster."""
SHORTEST = 12
END_SECONDS = 60.0
"""How long the processes of the UI may take to end: a handler among them cancels its orders first."""
WHY = (
    "whoever reaches this interface can start jobs and trade, so other machines may do so with a password only. "
    "It travels unencrypted: on a network that you do not trust, keep 127.0.0.1 and use a tunnel (ssh -L) instead."
)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="The port.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address; one that other machines reach asks for a password."
)
@click.pass_obj
def ui(home: Path | None, port: int, host: str) -> None:
    """Serve the Dagster UI of this home on 127.0.0.1, with its schedules and sensors, until Ctrl-C.

    \b
    tradeflow ui --host 0.0.0.0     for other machines too: asks for a password

    A password in TRADEFLOW_UI_PASSWORD is asked of every visitor, also on 127.0.0.1.
    """
    desk = open_desk(home)
    password = _password(is_needed=not is_loopback(host))
    require_free(host, port)
    shown = f"[{host}]" if ":" in host else host
    console.print(f"Dagster will be at [bold]http://{shown}:{port}[/bold] in a few seconds; Ctrl-C ends it")
    path = desk.home.path
    desk.close()
    # In a folder of the home: Python looks for modules where it is started, and whoever can write there could run what he likes.
    code = serve([sys.executable, "-m", SERVER, str(path), host, str(port)], path / "dagster", password)
    if code:
        raise StateError(f"the UI has ended by itself (exit code {code}); what it said stands above")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _password(*, is_needed: bool) -> str | None:
    """The password of the UI: that of the environment; else, where one is needed, asked for. Raises ConfigError for a short one."""
    password = ui_password()
    if is_needed:
        error_console.print(WHY, soft_wrap=True)
        password = password or str(click.prompt(f"Password (at least {SHORTEST} characters)", hide_input=True, err=True))
    if password is not None and len(password) < SHORTEST:
        raise ConfigError(f"the password of the UI needs at least {SHORTEST} characters; set {UI_PASSWORD}, or type a longer one")
    return password


def require_free(host: str, port: int) -> None:
    """Raise StateError where that port is in use or the address is not one of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        trouble = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be served ({error.strerror})"
        raise StateError(
            f"port {port} of {host} {trouble}; stop what runs there, or take another: make ui PORT={port % 65535 + 1}"
        ) from error


def serve(command: list[str], folder: Path, password: str | None) -> int:
    """Run a command in `folder`, in a process group of its own, until it ends or is interrupted; then end the group. Returns its exit code.

    Ctrl-C, the usual way to end it, returns 0; SIGTERM goes on to end this process too.
    """
    environment: Mapping[str, str] = {**os.environ, **({UI_PASSWORD: password} if password else {})}
    server = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end_group(server)


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    """End all processes of a group: those that SIGTERM has not ended in time are killed. A second Ctrl-C kills them at once."""
    try:
        _signal(leader.pid, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        while _is_alive(leader) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        _signal(leader.pid, signal.SIGKILL)
        leader.wait()


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # nobody is left; macOS says the second of a group of zombies
        return


def _is_alive(leader: subprocess.Popen[bytes]) -> bool:
    """Whether any process of the group still runs. One that has ended, and that nobody asks for its exit code, does not."""
    leader.poll()
    try:
        os.killpg(leader.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    states = [_group_and_state(folder) for folder in Path("/proc").glob("[0-9]*")]
    return not states or any(group == leader.pid and state != "Z" for group, state in states)


def _group_and_state(folder: Path) -> tuple[int, str]:
    try:
        state, _, group = (folder / "stat").read_text().rpartition(") ")[2].split()[:3]
    except (OSError, ValueError):
        return -1, "Z"  # it has ended meanwhile
    return int(group), state
