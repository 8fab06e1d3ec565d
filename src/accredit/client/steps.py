"""The protocol without input and output: flows are generators that yield what they need from the outside.

A flow yields a `Call` (an HTTP request) or an `Ask` (something that only the program or a person can give) and is sent
the answer. `run` drives one from threads, `arun` from an event loop, so each flow is written once. The calls do not go
through the program's own HTTP client: its cookies, hooks and redirects have no business with a client secret.
"""

import ssl
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import isawaitable
from typing import Generic, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import anyio
import anyio.to_thread
import httpx2

from accredit.client.errors import Misconfigured, Unavailable

T = TypeVar("T")

ANSWER_LIMIT_BYTES = 1 << 20
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CUT = "its answer is longer than a megabyte"


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """How the SDK reaches authorization servers.

    `timeout_seconds` bounds each request as a whole; `verify` is as in httpx2; `trust_env` obeys `HTTPS_PROXY` and its
    kin; `allow_http` permits addresses without TLS other than this machine's, which shows every secret to the network.
    """

    timeout_seconds: float = 15.0
    verify: ssl.SSLContext | bool = True
    trust_env: bool = True
    allow_http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request: a form is POSTed, everything else is read by GET unless `json` is there."""

    url: str
    form: Mapping[str, str] | None = field(default=None, repr=False)
    json: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def method(self) -> str:
        """GET without a body, else POST."""
        return "GET" if self.form is None and self.json is None else "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; a redirect is an answer like another, and is not followed."""

    status: int
    headers: httpx2.Headers = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """Something that the program gives: a token of the platform, or a person's way through the browser."""

    give: Callable[[], T | Awaitable[T]] = field(repr=False)


Steps = Generator[Call | Ask[object], object, T]


def send(call: Call) -> Steps[Answer]:
    """The answer to one request. Raises Unavailable."""
    answer = yield call
    if not isinstance(answer, Answer):
        raise TypeError("a call is answered by an Answer")
    return answer


def ask(give: Callable[[], T | Awaitable[T]]) -> Steps[T]:
    """What the program gives; it may take its time, or be awaited."""
    return cast(T, (yield Ask(cast("Callable[[], object]", give))))


def run(steps: Steps[T], http: Http) -> T:
    """Take a flow to its end, blocking this thread."""
    with httpx2.Client(verify=_verification(http), trust_env=http.trust_env, timeout=http.timeout_seconds) as client:
        try:
            step = next(steps)
            while True:
                try:
                    answer = _answer(client, step, http) if isinstance(step, Call) else _given(step)
                except Exception as error:  # noqa: BLE001  # thrown into the flow, which may know better
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return cast(T, end.value)
        finally:
            steps.close()


async def arun(steps: Steps[T], http: Http) -> T:
    """Take a flow to its end in an event loop; what the program gives without `await` is asked for in a thread."""
    async with httpx2.AsyncClient(
        verify=_verification(http), trust_env=http.trust_env, timeout=http.timeout_seconds
    ) as client:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await (_aanswer(client, step, http) if isinstance(step, Call) else _agiven(step))
                except Exception as error:  # noqa: BLE001  # thrown into the flow, which may know better
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return cast(T, end.value)
        finally:
            steps.close()


def check_url(url: str, http: Http) -> None:
    """Refuse an address that is not HTTPS; plain HTTP is for this machine. Raises Misconfigured."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and (http.allow_http or parts.hostname in LOOPBACK)
    if not (parts.scheme == "https" or plain) or not parts.hostname:
        raise Misconfigured(f"{url} is not an https address", next_step="use TLS, or Http(allow_http=True) in a test")
    if parts.username is not None or parts.fragment:
        raise Misconfigured(f"an address at {parts.hostname} has a user name or a fragment in it")


@cache
def _usual_authorities() -> ssl.SSLContext:
    # Reading the authorities takes a tenth of a second: once for the process, not for each token.
    return httpx2.create_ssl_context()


def _verification(http: Http) -> ssl.SSLContext | bool:
    return _usual_authorities() if http.verify is True else http.verify


def _answer(client: httpx2.Client, call: Call, http: Http) -> Answer:
    deadline = time.monotonic() + http.timeout_seconds
    try:
        with client.stream(
            call.method, call.url, headers=_headers(call, http), content=_content(call), follow_redirects=False
        ) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                _grow(body, chunk, call)
                if time.monotonic() > deadline:
                    raise _unavailable(call, "it was too slow")
            return Answer(status=response.status_code, headers=response.headers, body=bytes(body))
    except httpx2.RequestError as error:
        raise _unavailable(call, type(error).__name__) from error


async def _aanswer(client: httpx2.AsyncClient, call: Call, http: Http) -> Answer:
    try:
        with anyio.fail_after(http.timeout_seconds):
            async with client.stream(
                call.method, call.url, headers=_headers(call, http), content=_content(call), follow_redirects=False
            ) as response:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    _grow(body, chunk, call)
                return Answer(status=response.status_code, headers=response.headers, body=bytes(body))
    except httpx2.RequestError as error:
        raise _unavailable(call, type(error).__name__) from error
    except TimeoutError as error:
        raise _unavailable(call, "it was too slow") from error


def _given(step: Ask[object]) -> object:
    answer = step.give()
    if isawaitable(answer):
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        raise Misconfigured(
            "an async source or redirect was given to a synchronous client", next_step="use AsyncClient"
        )
    return answer


async def _agiven(step: Ask[object]) -> object:
    # It may read a file or wait for a browser: not on the loop's thread.
    answer = await anyio.to_thread.run_sync(step.give, abandon_on_cancel=True)
    return await answer if isawaitable(answer) else answer


def _headers(call: Call, http: Http) -> dict[str, str]:
    check_url(call.url, http)
    headers = {"accept": "application/json", **call.headers}
    if call.form is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
    elif call.json is not None:
        headers["content-type"] = "application/json"
    return headers


def _content(call: Call) -> bytes | None:
    return urlencode(call.form).encode() if call.form is not None else call.json


def _grow(body: bytearray, chunk: bytes, call: Call) -> None:
    body += chunk
    if len(body) > ANSWER_LIMIT_BYTES:
        raise _unavailable(call, _CUT)


def _unavailable(call: Call, why: str) -> Unavailable:
    # The path may be a capability, so the host alone is named.
    return Unavailable(f"no usable answer from {urlsplit(call.url).netloc}: {why}", next_step="try again later")
