"""The report as a web application: Streamlit, with what a browser is told beside its pages."""

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.starlette import App

from pipeline.settings import ReportSettings
from report.origins import OwnPagesOnly

# A page's address is one step below the report's own. Untold, Streamlit looks for its server below the page first.
HEAD, TOLD = (
    b"<head>",
    b'<head><script>window.__streamlit = { BACKEND_BASE_URL: new URL(".", location.href).href }</script>',
)
# Nothing comes from elsewhere or goes there, and addresses, which may hold a phone, are told to nobody.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class ToldBrowsers:
    """Adds HEADERS to all answers, and to pages where the server is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # A page is changed below, so it must not come packed; nor does an answer of before do.
        if "/static/" not in scope["path"]:
            unwanted = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] not in unwanted]}
        start: Message | None = None
        body = b""

        async def tell(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if headers.get("content-type", "").startswith("text/html"):
                    start = message
                    return
            elif start is not None:
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                told = body.replace(HEAD, TOLD, 1)
                MutableHeaders(scope=start)["content-length"] = str(len(told))
                await send(start)
                start = None
                message = {"type": "http.response.body", "body": told}
            await send(message)

        await self.app(scope, receive, tell)


app = App(
    Path(__file__).with_name("app.py"),
    middleware=[Middleware(OwnPagesOnly, names=ReportSettings.read().names), Middleware(ToldBrowsers)],
)
