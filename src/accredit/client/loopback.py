"""The browser leg of a program on a person's own machine (RFC 8252 §7.3): a listener on the loopback interface."""

import hmac
import threading
import webbrowser
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import monotonic
from urllib.parse import parse_qs, urlsplit

from accredit.client.authorization import AuthorizationResponse
from accredit.client.errors import AuthorizationFailed

_PATH = "/callback"
_WAIT_SECONDS = 0.5
_PAGE = (
    b"<!doctype html><meta charset=utf-8><title>Done</title><p>You can close this window and go back to the program."
)


class LoopbackRedirect:
    """Opens the person's browser, and waits on 127.0.0.1 for the answer.

        grant = AuthorizationCode(LoopbackRedirect(open_browser=print))

    `port` 0 takes any free one, which the server must allow (RFC 8252 §7.3); the listener is there only during a flow.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        timeout_seconds: float = 300.0,
        open_browser: Callable[[str], object] = webbrowser.open,
    ) -> None:
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._open_browser = open_browser
        self._lock = threading.Lock()
        self._listener: _Listener | None = None

    @property
    def redirect_uri(self) -> str:
        """The address of the listener; reading it begins to listen. Raises AuthorizationFailed."""
        with self._lock:
            return f"http://127.0.0.1:{self._listen().server_port}{_PATH}"

    def authorize(self, url: str) -> AuthorizationResponse:
        """Open the browser and wait. Raises AuthorizationFailed if nobody comes back in time."""
        with self._lock:
            listener = self._listen()
            try:
                listener.state = parse_qs(urlsplit(url).query).get("state", [None])[0]
                self._open_browser(url)
                return self._wait(listener)
            finally:
                listener.server_close()
                self._listener = None

    def _listen(self) -> "_Listener":
        if self._listener is None:
            try:
                self._listener = _Listener(("127.0.0.1", self._port), _Handler)
            except OSError as error:
                raise AuthorizationFailed(
                    f"port {self._port} of this machine is taken", next_step="give port=0"
                ) from error
            # The next flow listens at the same port: that is what was registered.
            self._port = self._listener.server_port
        return self._listener

    def _wait(self, listener: "_Listener") -> AuthorizationResponse:
        deadline = monotonic() + self._timeout_seconds
        while listener.landed is None:
            if monotonic() > deadline:
                raise AuthorizationFailed(
                    f"nobody came back from the browser within {self._timeout_seconds:.0f} seconds",
                    next_step="try again, and finish in the browser",
                )
            listener.handle_request()
        return AuthorizationResponse.from_url(listener.landed)


class _Listener(HTTPServer):
    timeout = _WAIT_SECONDS
    state: str | None = None
    landed: str | None = None

    def handle_error(self, *_arguments: object) -> None:
        """A client that hangs up is no concern of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    timeout = 5

    def do_GET(self) -> None:
        """Take the answer that bears this flow's state; anything else on the machine may call here too."""
        parts = urlsplit(self.path)
        given = parse_qs(parts.query).get("state", [""])[0]
        expected = self.server.state
        # A pushed request shows no state in the address; the flow checks it in any case.
        if parts.path != _PATH or (expected is not None and not hmac.compare_digest(given.encode(), expected.encode())):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(_PAGE)))
        self.send_header("referrer-policy", "no-referrer")
        self.end_headers()
        self.wfile.write(_PAGE)
        self.server.landed = self.path

    def log_message(self, *_arguments: object) -> None:
        """Nothing: the request line holds the code."""
