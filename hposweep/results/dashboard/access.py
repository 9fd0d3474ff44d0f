"""Who may ask the dashboard for what: its own pages, from this machine or with the token of its link.

It answers reading requests alone. Pages of other origins get nothing: neither by a name of theirs that leads to this
machine (DNS rebinding), nor by embedding, nor by the cookie, which other sites' requests don't carry.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hposweep.results.dashboard.listening import TOKEN, is_loopback

# A notebook on this machine shows the dashboard in a frame.
ANCESTORS = "'self' http://localhost:* https://localhost:* http://127.0.0.1:* https://127.0.0.1:*"
POLICY = "; ".join(
    [
        "default-src 'none'",
        # Plotly makes functions of texts of its own, and sets styles.
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        f"frame-ancestors {ANCESTORS}",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
PLACES_OF_A_PAGE = ("document", "iframe")


class Access:
    """Refuses what must not be answered, and adds to every answer what a browser is to heed.

    Args:
        token: what each request has to hold, in its query or in a cookie; None: none, but each must have been sent to a
            name of this machine for itself.
        port: of the server; it is part of the cookie's name, since a browser sends cookies to all ports of a machine.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, port: int) -> None:
        self._app, self._token = app, token
        self._cookie = f"hposweep-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        named = query.get(TOKEN)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    sent[name] = value
                sent.setdefault("Cache-Control", "no-store")
                if self._token is not None and _is_equal(named, self._token) and message["status"] < 400:
                    cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
                    sent.append("Set-Cookie", cookie)
            await send(message)

        refusal = self._refusal(scope["method"], headers, named)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers, named: str | None) -> PlainTextResponse | None:
        if method not in ("GET", "HEAD"):
            return PlainTextResponse("The dashboard only reads.\n", 405, {"Allow": "GET, HEAD"})
        hosts = headers.getlist("host")
        if len(hosts) != 1 or (self._token is None and not is_loopback(_host_of(hosts[0]))):
            return _refused("it was not sent to a name of this machine")
        site = headers.get("sec-fetch-site", "same-origin")
        opens_a_page = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in PLACES_OF_A_PAGE
        if site not in ("same-origin", "none") and not opens_a_page:
            return _refused("another site has sent it")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            return _refused("a page of another origin has sent it")
        if self._token is not None and not (
            _is_equal(named, self._token) or _is_equal(self._token_of_cookie(headers), self._token)
        ):
            return _refused("it lacks the token of the link that hposweep dashboard has printed")
        return None

    def _token_of_cookie(self, headers: Headers) -> str | None:
        try:
            cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        found = cookies.get(self._cookie)
        return None if found is None else found.value


def _host_of(header: str) -> str:
    """The host without its port; of an IPv6 address without its brackets."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_equal(given: str | None, token: str) -> bool:
    # In a time that does not tell how much of it is right.
    return given is not None and secrets.compare_digest(given.encode(errors="replace"), token.encode())


def _refused(why: str) -> PlainTextResponse:
    return PlainTextResponse(f"Refused: {why}.\n", 403)
