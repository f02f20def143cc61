"""Who may talk to the report: its own pages, and no page of another site, or of another port of the same machine."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

PORTS = {"http": 80, "https": 443}
READING = ("GET", "HEAD", "OPTIONS")


class OwnPagesOnly:
    """Refuses what browsers send on behalf of other pages: they name the page's origin.

    A socket, and a request that changes something, must name an origin; what only reads needn't.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        """`names` are the hosts by which browsers ask for the report; none: whichever."""
        self.app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._is_allowed(scope):
            if scope["type"] == "websocket":
                await WebSocketClose(1008)(scope, receive, send)
            else:
                await PlainTextResponse("This isn't a page of the report.", 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            return scope["type"] == "http" and scope["method"] in READING
        return is_own(origin, headers.get("host", ""), self._names)


def is_own(origin: str, host: str, names: Sequence[str]) -> bool:
    """Whether a page of this origin was served by this host, which has one of the names: scheme aside, host and port are the same.

    A server that passes requests on tells the host that it was asked for.
    """
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        usual = PORTS[page.scheme]
        is_same = (page.hostname, page.port or usual) == (server.hostname, server.port or usual)
    except (ValueError, KeyError):
        return False
    return (
        is_same and bool(page.hostname) and (not names or any(_is_named(page.hostname or "", name) for name in names))
    )


def _is_named(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name
