"""Real HTTP servers on this machine: a resource, and an authorization server whose every answer a test can change."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from accredit.client import AuthorizationResponse


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    @property
    def authorization(self) -> str | None:
        return self.headers["authorization"]

    @property
    def basic(self) -> str:
        return base64.b64decode((self.authorization or "").removeprefix("Basic ")).decode()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a route answers: JSON, or the bytes that `raw` holds."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


Route = Reply | Callable[[Seen], Reply]


class Server:
    """Answers by path, with 404 for the rest; `seen` is every request in order."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://localhost:{self._http.server_port}"

    def at(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, seen: Seen) -> Reply:
        with self._lock:
            self.seen.append(seen)
        route = self.routes.get(seen.path, Reply(404, {}))
        return route if isinstance(route, Reply) else route(seen)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            query = dict(parse_qsl(parts.query))
            reply = server.answer(Seen(self.command, parts.path, query, self.headers, body))
            content = json.dumps(reply.body).encode() if reply.raw is None else reply.raw
            self.send_response(reply.status)
            for name, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, *_arguments: Any) -> None:
            pass

    return Handler


class World:
    """A resource at `/mcp` that wants a token, and an authorization server that gives `token-1`, `token-2`, …"""

    def __init__(self) -> None:
        self.resource = Server()
        self.issuer = Server()
        self.valid: set[str] = set()
        self.scope: str | None = None
        self.granted: str | None = None
        self.expires_in: int | None = 300
        self.refresh = False
        self.token_type = "Bearer"
        self.count = 0
        self.metadata: dict[str, Any] = {
            "issuer": self.issuer.url,
            "authorization_endpoint": f"{self.issuer.url}/authorize",
            "token_endpoint": f"{self.issuer.url}/token",
            "registration_endpoint": f"{self.issuer.url}/register",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        }
        self.protected: dict[str, Any] = {"resource": self.url, "authorization_servers": [self.issuer.url]}
        self.resource.routes["/mcp"] = self._serve
        self.resource.routes["/.well-known/oauth-protected-resource/mcp"] = lambda _: Reply(body=self.protected)
        self.issuer.routes["/.well-known/oauth-authorization-server"] = lambda _: Reply(body=self.metadata)
        self.issuer.routes["/token"] = self.give_token
        self.issuer.routes["/authorize"] = self.let
        self.issuer.routes["/register"] = lambda _: Reply(201, {"client_id": "registered"})

    @property
    def url(self) -> str:
        return f"{self.resource.url}/mcp"

    @property
    def tokens_asked(self) -> list[dict[str, str]]:
        return [seen.form for seen in self.issuer.at("/token")]

    def close(self) -> None:
        self.resource.close()
        self.issuer.close()

    def challenge(self, **parameters: str) -> Reply:
        about = f"{self.resource.url}/.well-known/oauth-protected-resource/mcp"
        given = {"resource_metadata": about, **parameters}
        text = ", ".join(f'{name}="{value}"' for name, value in given.items())
        status = 403 if parameters.get("error") == "insufficient_scope" else 401
        return Reply(status, {}, {"www-authenticate": f"Bearer {text}"})

    def give_token(self, seen: Seen) -> Reply:
        self.count += 1
        token = f"token-{self.count}"
        self.valid.add(token)
        body: dict[str, Any] = {"access_token": token, "token_type": self.token_type}
        scope = self.granted if self.granted is not None else seen.form.get("scope")
        body |= {} if scope is None else {"scope": scope}
        body |= {} if self.expires_in is None else {"expires_in": self.expires_in}
        body |= {"refresh_token": f"refresh-{self.count}"} if self.refresh else {}
        return Reply(body=body)

    def let(self, seen: Seen) -> Reply:
        back = {"code": "the-code", "state": seen.query["state"], "iss": self.issuer.url}
        return Reply(302, {}, {"location": f"{seen.query['redirect_uri']}?{urlencode(back)}"})

    def _serve(self, seen: Seen) -> Reply:
        token = (seen.authorization or "").partition(" ")[2]
        if token not in self.valid:
            return self.challenge(**({} if self.scope is None else {"scope": self.scope}))
        return Reply(body={"token": token})


@contextmanager
def world() -> Iterator[World]:
    made = World()
    try:
        yield made
    finally:
        made.close()


class Agrees:
    """A person who says yes at once."""

    redirect_uri = "http://127.0.0.1:9/callback"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def authorize(self, url: str) -> AuthorizationResponse:
        self.asked.append(url)
        answer = httpx2.get(url, timeout=10, trust_env=False)
        return AuthorizationResponse.from_url(answer.headers["location"])

    @property
    def queries(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(urlsplit(url).query)) for url in self.asked]
