"""A page of another origin, open in the same browser, can neither start a job nor see anything."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import MARKS, Site

pytestmark = MARKS

START = (
    'mutation { launchRun(executionParams: {selector: {repositoryLocationName: "tradeflow_assets.definitions", '
    'repositoryName: "__repository__", jobName: "rolls"}}) { __typename } }'
)
RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"

EVIL = """<html><body>
<iframe id="frame" src="SITE/overview"></iframe><iframe name="other"></iframe>
<form id="form" method="post" enctype="text/plain" action="SITE/graphql?query=START" target="other"></form>
<script>
const tried = {};
const note = (name, start) => new Promise(start).then(() => tried[name] = "answered", () => tried[name] = "refused");
const send = (mode, address, more) => (yes, no) => fetch(address, {mode, ...more}).then(yes, no);
const json = {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"query": "{version}"}'};
window.attack = async () => {
  await note("image", (yes, no) => {
    const image = new Image(); image.onload = yes; image.onerror = no; image.src = "SITE/graphql?query=START";
  });
  await note("read", send("cors", "SITE/graphql?query=RUNS"));
  await note("json", send("cors", "SITE/graphql", json));
  await note("socket", (yes, no) => {
    const socket = new WebSocket("SITE/graphql".replace("http", "ws"), "graphql-ws"); socket.onopen = yes; socket.onerror = no;
  });
  await note("blind", send("no-cors", "SITE/graphql?query=START"));
  document.getElementById("form").submit();
  return tried;
};
</script></body></html>"""


def asked(url: str, query: str) -> tuple[int, Any]:
    """Answer to a program of this machine, which sends no origin."""
    request = urllib.request.Request(
        f"{url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, json.load(answer)["data"]


@pytest.fixture
def evil(site: Site, tmp_path: Path) -> Iterator[str]:
    """The address of a page somewhere else that attacks the UI."""
    words = {"SITE": site.url, "START": urllib.parse.quote(START), "RUNS": urllib.parse.quote(RUNS)}
    text = functools.reduce(lambda text, word: text.replace(*word), words.items(), EVIL)
    (tmp_path / "index.html").write_text(text)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/index.html"
    server.shutdown()


def test_the_attack_would_work_from_the_pages_own_origin(site: Site, page: Any) -> None:
    """What is refused below is refused for its origin, not because it is wrong."""
    before = len(asked(site.url, RUNS)[1]["runsOrError"]["results"])
    page.goto(f"{site.url}/overview")
    call = """async (query) => (await fetch("/graphql", {
        method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({query})
    })).json()"""
    assert page.evaluate(call, START)["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    assert len(asked(site.url, RUNS)[1]["runsOrError"]["results"]) == before + 1


def test_a_page_of_another_origin_starts_nothing_and_reads_nothing(site: Site, page: Any, evil: str) -> None:
    before = asked(site.url, RUNS)[1]
    refused = []
    page.on("response", lambda answer: refused.append(answer.status) if answer.url.startswith(site.url) else None)
    page.goto(evil)
    tried = page.evaluate("attack()")
    assert tried.pop("blind") == "answered", "a page may send what it likes; it is not told what came of it"
    assert tried == dict.fromkeys(("image", "read", "json", "socket"), "refused")
    page.wait_for_timeout(2000)
    assert "Overview" not in page.frame_locator("#frame").locator("body").inner_text()
    assert refused and set(refused) <= {403, 405}
    assert asked(site.url, RUNS)[1] == before
    page.goto(f"{site.url}/overview")
    page.get_by_text("Overview").first.wait_for()
