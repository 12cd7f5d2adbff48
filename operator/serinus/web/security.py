"""What is refused before any page is made, and the headers of every answer."""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serinus.web.render import inline

_LONGEST_QUERY: Final = 2048
_LONGEST_PATH: Final = 1024
_METHODS: Final = frozenset({"GET", "HEAD"})


class SecurityGate:
    """Admits requests that a browser sends to this server by its own name, and only reads."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        """Admit these values of the Host header: another one is a site that points its name at this address."""
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with 4xx what is refused, hand on the rest; nothing but HTTP is served."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _harden(MutableHeaders(scope=message))
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if headers.getlist("host") != [host for host in headers.getlist("host") if host.lower() in self._hosts][:1]:
            return PlainTextResponse("this server does not serve this Host\n", 421)
        if not headers.getlist("host"):
            return PlainTextResponse("a Host header is needed\n", 400)
        if scope["method"] not in _METHODS:
            return PlainTextResponse("this page only reads\n", 405, {"Allow": ", ".join(sorted(_METHODS))})
        if len(scope["query_string"]) > _LONGEST_QUERY or len(scope["path"]) > _LONGEST_PATH:
            return PlainTextResponse("the address is too long\n", 414)
        # Another site cannot read an answer, but it could keep streams open. A link from it is harmless.
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("another site may only link to this page\n", 403)
        return None


def _harden(headers: MutableHeaders) -> None:
    headers["Content-Security-Policy"] = inline().policy
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Cache-Control"] = "no-store"
