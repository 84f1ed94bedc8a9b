"""The Dagster UI of a small home as `tradeflow ui` serves it, and a headless browser."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.assets.conftest import THREE, with_broken
from tests.commands import program
from tests.conftest import REPO, make_home
from tradeflow_assets.runner import execute_job
from tradeflow_core.business_day import run_day
from tradeflow_core.desk import Desk
from tradeflow_core.home import next_business_day

CHROMIUM = shutil.which("chromium")
BROKEN = "GOLD_micro"
OFFLINE = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
MARKS = [
    pytest.mark.ui,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium on the path"),
]


@dataclass
class Site:
    """The served UI: its address and the home behind it."""

    url: str
    home: Path


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The UI of a home with one finished day, on the morning of the next, where the market of one instrument broke over night."""
    folder = tmp_path_factory.mktemp("served")
    desk = Desk(make_home(folder / "home", universe=THREE, simulated={"history_years": 1}))
    today = desk.business_day()
    run_day(desk, today, execute_job)
    desk = with_broken(desk, BROKEN)
    begin = desk.home.at(next_business_day(today), desk.settings.day.start)
    desk.clock.wait((begin - desk.now()).total_seconds())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(program(desk.home.path, "ui", "--port", str(port)), cwd=REPO, stdout=log, stderr=log)
    desk.close()
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for_server(url, server, folder / "log")
        yield Site(url, desk.home.path)
    finally:
        server.terminate()
        assert server.wait(90) == 143


def _wait_for_server(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(120):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"no answer from {url}: {log.read_text()}")


@pytest.fixture(scope="package")
def page(site: Site) -> Iterator[Any]:
    """One browser page; a screenshot of it is kept in SCREENSHOTS if that is set."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=OFFLINE.split())
        page = browser.new_page(viewport={"width": 1700, "height": 950})
        page.set_default_timeout(30_000)
        yield page
        browser.close()
