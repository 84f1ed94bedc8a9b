"""The guard of the Dagster UI: which requests get through, over real HTTP."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tradeflow_assets.guard import Guard

PASSWORD = "correct horse battery: staple"
MUTATION = quote("mutation { launchRun { __typename } }")


async def page(_request: object) -> PlainTextResponse:
    return PlainTextResponse("reached")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


class Site:
    """A small app behind the guard, on this machine."""

    def __init__(self, password: str | None) -> None:
        app = Starlette(
            routes=[WebSocketRoute("/graphql", talk), Route("/{path:path}", page, methods=["GET", "POST", "PUT", "DELETE"])]
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(Guard(app, password), log_level="critical"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def ask(self, target: str, *headers: tuple[str, str], method: str = "GET") -> tuple[int, str, http.client.HTTPMessage]:
        """Status, text and headers of the answer. Without a header Host, the one of a browser at 127.0.0.1 is sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, target, skip_host=any(name == "Host" for name, _ in headers))
        for name, value in headers:
            connection.putheader(name, value.replace("PORT", str(self.port)))
        connection.endheaders()
        answer = connection.getresponse()
        try:
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def shake(self, *headers: tuple[str, str]) -> int:
        """Status of the answer to the handshake of a websocket."""
        words = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ]
        return self.ask("/graphql", *words, *headers)[0]


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    """The UI for this machine alone."""
    site = Site(None)
    yield site
    site.close()


@pytest.fixture(scope="module")
def everywhere() -> Iterator[Site]:
    """The UI for other machines too, with a password."""
    site = Site(PASSWORD)
    yield site
    site.close()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Host", "localhost:PORT")],
        [("Host", "LocalHost")],
        [("Host", "[::1]:PORT")],
        [("Host", "127.0.0.1:8080")],  # through a tunnel
        [("Origin", "http://127.0.0.1:PORT")],
        [("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],  # a link in a mail
    ],
)
def test_a_page_of_its_own_and_a_program_get_through(headers: list[tuple[str, str]], here: Site) -> None:
    status, text, answered = here.ask("/runs", *headers)
    assert (status, text) == (200, "reached")
    assert answered["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "evil.example:PORT")],
        [("Host", "127.0.0.1.evil.example")],
        [("Host", "localhost.evil.example:PORT")],
        [("Host", "evil.example#127.0.0.1")],
        [("Host", "192.168.0.7:PORT")],
        [("Host", "")],
        [("Origin", "http://evil.example")],
        [("Origin", "http://127.0.0.1:1")],
        [("Origin", "http://localhost:PORT")],  # another origin than 127.0.0.1
        [("Origin", "null")],
        [("Origin", "")],
        [("Origin", "http://127.0.0.1:PORT"), ("Origin", "http://evil.example")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")],
    ],
)
def test_a_page_of_another_origin_and_a_name_of_another_host_are_refused(
    headers: list[tuple[str, str]], method: str, here: Site
) -> None:
    status, text, _ = here.ask("/graphql", *headers, method=method)
    assert status == 403 and "this interface" in text


def test_a_request_without_a_host_or_with_two_is_refused(here: Site) -> None:
    for lines in ("", f"Host: 127.0.0.1:{here.port}\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", here.port), timeout=30) as raw:
            raw.sendall(f"GET / HTTP/1.0\r\n{lines}Connection: close\r\n\r\n".encode())
            assert raw.recv(1000).split(b" ")[1] in (b"400", b"403")


def test_a_websocket_is_opened_for_the_own_origin_only(here: Site) -> None:
    assert here.shake(("Origin", "http://127.0.0.1:PORT")) == 101
    assert here.shake(("Origin", "http://evil.example")) == 403
    assert here.shake(("Host", "evil.example"), ("Origin", "http://evil.example")) == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (quote("{ version }"), 200),
        (quote("query Runs { version }"), 200),
        (MUTATION, 405),
        (quote("query A { version } mutation B { launchRun { __typename } }"), 405),
        (quote("subscription { x }"), 405),
        (quote("{ version }") + "&query=" + MUTATION, 405),
        (MUTATION + "&query=" + quote("{ version }"), 405),
        (quote("# { version }\nmutation { a }"), 405),
        (quote("this is no GraphQL"), 405),
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/%67raphql"])
def test_a_get_changes_nothing(path: str, query: str, status: int, here: Site) -> None:
    assert here.ask(f"{path}?query={query}")[0] == status
    assert here.ask(f"{path}?query={query}", method="POST")[0] == 200
    assert here.ask(f"{path}?query={query}", ("Accept", "text/html"))[0] == status


def test_with_a_password_only_those_who_have_it_get_through(everywhere: Site) -> None:
    def basic(password: str) -> tuple[str, str]:
        return "Authorization", "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()

    status, text, headers = everywhere.ask("/", ("Host", "desk.example:3000"))
    assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="tradeflow"') and "password" in text
    for wrong in (
        basic(PASSWORD + "x"),
        basic(""),
        ("Authorization", f"Bearer {PASSWORD}"),
        ("Authorization", "Basic %"),
        ("Cookie", "tradeflow_ui=x"),
    ):
        assert everywhere.ask("/", wrong)[0] == 401
    status, _, headers = everywhere.ask("/", ("Host", "desk.example:3000"), basic(PASSWORD))
    assert status == 200
    ticket = headers["Set-Cookie"].partition(";")[0]
    assert "HttpOnly; SameSite=Strict" in headers["Set-Cookie"] and PASSWORD not in headers["Set-Cookie"]
    assert everywhere.shake(("Cookie", ticket)) == 101
    assert everywhere.shake() == 403
    assert everywhere.ask("/", basic(PASSWORD), ("Origin", "http://evil.example"))[0] == 403
    assert everywhere.ask(f"/graphql?query={MUTATION}", basic(PASSWORD))[0] == 405
