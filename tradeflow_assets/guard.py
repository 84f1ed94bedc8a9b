"""The guard in front of Dagster's web app: only pages of that app, and programs of this machine, may use it.

Dagster's web app trusts whoever reaches its port, and a browser reaches it for every page that is open in it: `GET /graphql?query=mutation...`
starts a job. So a request is refused that was sent by a page of another origin, that names another host (a name of a stranger which leads to
this machine), or that would change something by a GET, which a browser sends for a mere link or image.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""The names under which a browser of this machine reaches it."""
COOKIE = "tradeflow_ui"


class Guard:
    """Middleware around an ASGI app. Without a password only requests to a name of `LOOPBACK` get through; with one only those that bring it."""

    def __init__(self, app: ASGIApp, password: str | None = None) -> None:
        self._app, self._password = app, password
        self._ticket = secrets.token_urlsafe()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif refusal := self._refusal(scope):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason})
            else:
                await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, lambda message: send(self._stamped(message)))

    def _stamped(self, message: Message) -> Message:
        """The answer with what keeps other pages from showing it in a frame of theirs, where a click would seem to be the person's own."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "SAMEORIGIN"
            if self._password is not None:  # for websockets, for which not every browser sends the password again
                headers.append("Set-Cookie", f"{COOKIE}={self._ticket}; HttpOnly; SameSite=Strict; Path=/")
        return message

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or (self._password is None and _name(hosts[0]) not in LOOPBACK):
            return Refusal(403, f"this interface is reached under {', '.join(sorted(LOOPBACK))} only")
        host = hosts[0].lower()
        if any(origin.lower() not in (f"http://{host}", f"https://{host}") for origin in origins):
            return Refusal(403, "a page of another origin may not use this interface")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not _is_link(scope, headers):
            return Refusal(403, "a page of another site may not use this interface; it may link to it")
        if self._password is not None and not self._is_known(headers):
            return Refusal(401, "the password of `tradeflow ui` is needed", {"WWW-Authenticate": 'Basic realm="tradeflow"'})
        if scope["type"] == "http" and scope["method"] != "POST" and _changes(scope):
            return Refusal(405, "what changes something is sent by POST", {"Allow": "POST"})
        return None

    def _is_known(self, headers: Headers) -> bool:
        kind, _, words = headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(words, validate=True).partition(b":")[2] if kind.lower() == "basic" else b""
        except ValueError:
            given = b""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        ticket = cookie.value.encode() if cookie else b""
        is_password = hmac.compare_digest(given, (self._password or "").encode())
        return is_password or hmac.compare_digest(ticket, self._ticket.encode())


class Refusal(PlainTextResponse):
    """An answer that refuses a request, and says why."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{reason}\n", status_code=status, headers=headers)
        self.reason = reason


def _name(host: str) -> str:
    """The name in a Host header: without the port, in small letters."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _is_link(scope: Scope, headers: Headers) -> bool:
    """Whether a person followed a link in a page, which then shows this interface in the place of that page."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _changes(scope: Scope) -> bool:
    """Whether a GET for GraphQL holds anything but queries."""
    if "graphql" not in scope["path"].lower():
        return False
    for text in QueryParams(scope["query_string"]).getlist("query"):
        try:
            definitions = parse(text).definitions
        except GraphQLError:
            return True
        operations = [each.operation for each in definitions if isinstance(each, OperationDefinitionNode)]
        if any(operation is not OperationType.QUERY for operation in operations):
            return True
    return False
