"""`tradeflow ui` ends with everything that it has started, however it is ended."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.commands import program
from tests.conftest import REPO, make_home
from tests.test_sigterm import SENTENCE
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import live_broker_orders
from tradeflow_core.reports import check_desk

LAUNCH = (
    'mutation { launchRun(executionParams: {selector: {repositoryLocationName: "tradeflow_assets.definitions", '
    'repositoryName: "__repository__", jobName: "stack_handler"}}) { __typename } }'
)
RUNS = "{ runsOrError { ... on Runs { results { status } } } }"

pytestmark = pytest.mark.slow


class Served:
    """The UI of a home, served by the real command."""

    def __init__(self, home: Path, *make: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [*make, f"PORT={self.port}"] if make else program(home, "ui", "--port", str(self.port))
        self.process = subprocess.Popen(command, cwd=REPO, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.wait_until(self._answers)
        served = f"tradeflow_assets.serve\0{home}\0".encode()
        folders = [folder for folder in Path("/proc").glob("[0-9]*") if served in _command_line(folder)]
        assert len(folders) == 1
        self.group = int(folders[0].name)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("{ version }"))
        except (urllib.error.URLError, OSError):
            assert self.process.poll() is None
            return False

    def ask(self, query: str) -> Any:
        words = base64.b64encode(f"me:{os.environ.get('TRADEFLOW_UI_PASSWORD', '')}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {words}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", json.dumps({"query": query}).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def processes(self) -> dict[int, str]:
        """What runs in the group of the UI: command lines by process id."""
        running = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, group = (folder / "stat").read_text().rpartition(") ")[2].split()[:3]
                if int(group) == self.group and state != "Z":
                    running[int(folder.name)] = _command_line(folder).decode().replace("\0", " ")
        return running

    def end(self, number: int) -> tuple[int, list[str]]:
        """Exit code and lines on standard error after that signal."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=120)
        return self.process.returncode, [line for line in errors.splitlines() if line.strip()]


def _command_line(folder: Path) -> bytes:
    """The command line of a process, empty where it has ended meanwhile."""
    with suppress(OSError):
        return (folder / "cmdline").read_bytes()
    return b""


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc, to see which processes are left")
    served: list[Served] = []

    def begin(home: Path, *make: str) -> Served:
        served.append(Served(home, *make))
        return served[-1]

    yield begin
    for each in served:
        if each.process.poll() is None:
            each.end(signal.SIGTERM)


def test_sigterm_ends_the_ui_with_its_daemon_its_code_server_and_a_handler_at_work(
    trading_desk: Desk, serve: Callable[..., Served]
) -> None:
    home = trading_desk.home.path
    served = serve(home)
    assert {"tradeflow_assets.serve", "dagster._daemon", "code-server"} <= {
        word for line in served.processes().values() for word in line.split()
    }
    assert served.ask(LAUNCH)["launchRun"]["__typename"] == "LaunchRunSuccess"
    served.wait_until(
        lambda: served.ask(RUNS)["runsOrError"]["results"][0]["status"] not in ("QUEUED", "STARTING", "NOT_STARTED")
    )
    code, errors = served.end(signal.SIGTERM)
    assert (code, errors[-1]) == (143, SENTENCE)
    assert not [line for line in errors if "Traceback" in line]
    assert served.processes() == {}
    desk = Desk(Home.open(home))
    with desk.ledger.read() as view:
        assert live_broker_orders(view, desk.account) == []
    assert check_desk(desk) == []
    desk.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_ctrl_c_nor_after_the_command_itself_was_killed(
    number: int, tmp_path: Path, serve: Callable[..., Served]
) -> None:
    served = serve(make_home(tmp_path / "home").path)
    code, errors = served.end(number)
    assert (code, errors) == ((0, []) if number == signal.SIGINT else (-signal.SIGKILL, []))
    served.wait_until(lambda: served.processes() == {}, seconds=60)


def test_the_ui_ends_when_its_daemon_does(tmp_path: Path, serve: Callable[..., Served]) -> None:
    served = serve(make_home(tmp_path / "home").path)

    served.wait_until(lambda: any("dagster._daemon" in line for line in served.processes().values()))
    os.kill(next(number for number, line in served.processes().items() if "dagster._daemon" in line), signal.SIGKILL)
    _, errors = served.process.communicate(timeout=120)
    assert served.process.returncode == 1
    assert "the daemon of Dagster has ended (exit code -9), so the UI ends too" in errors
    assert served.processes() == {}


def test_another_address_needs_a_password_and_says_why(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home").path
    for given in ({}, {"TRADEFLOW_UI_PASSWORD": "short"}):
        done = subprocess.run(
            program(home, "ui", "--host", "0.0.0.0"),
            cwd=REPO,
            text=True,
            capture_output=True,
            input="",
            env={**os.environ, **given},
            check=False,
        )
        assert done.returncode == 1
        assert "other machines may do so with a password only" in done.stderr
        assert "Traceback" not in done.stderr
    assert "at least 12 characters" in done.stderr


def test_make_ui_ends_by_sigterm_with_its_children(tmp_path: Path, serve: Callable[..., Served]) -> None:
    home, command = make_home(tmp_path / "home").path, tmp_path / "bin" / "tradeflow"
    command.parent.mkdir()
    words = " ".join(map(shlex.quote, program(home)))
    command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    command.chmod(0o700)
    served = serve(home, "make", "INSTALLED=", f"BIN={command.parent}", "ui")
    code, errors = served.end(signal.SIGTERM)
    assert code != 0 and SENTENCE in errors
    served.wait_until(lambda: served.processes() == {}, seconds=60)


def test_a_password_is_asked_of_every_visitor_and_told_to_no_other_process(
    tmp_path: Path, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEFLOW_UI_PASSWORD", "correct horse battery staple")
    served = serve(make_home(tmp_path / "home").path)
    for page in ("/", "/graphql?query={version}", "/server_info"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.1:{served.port}{page}", timeout=30)
    served.wait_until(lambda: any("dagster._daemon" in line for line in served.processes().values()))
    others = [number for number, line in served.processes().items() if "tradeflow_assets.serve" not in line]
    assert len(others) >= 3
    assert not [number for number in others if b"battery" in Path(f"/proc/{number}/environ").read_bytes()]
