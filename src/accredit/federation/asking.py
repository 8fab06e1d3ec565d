"""Requests to a provider that an administrator named: JSON only, small, in time, and no redirect is followed."""

import asyncio
import base64
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec

from accredit.errors import Error
from accredit.federation.endpoints import check_endpoint
from accredit.federation.errors import ProviderFailed
from accredit.outbound import Outbound

SECONDS = 10.0
ANSWER_BYTES = 262_144
_JSON_TYPES = ("application/json", "application/jwk-set+json", "application/scim+json")
_NEXT = "try again; if it stays so, the server's log says why"


class JsonAnswer(msgspec.Struct, frozen=True):
    """An answer of JSON, whatever its status."""

    status: int
    body: bytes


class Asking:
    """Asks providers. Every failure is ProviderFailed: nothing was done, and the log says what happened."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def document(self, url: str, issuer: str, most_bytes: int = ANSWER_BYTES) -> bytes:
        """GET a public document of an issuer. Raises ProviderFailed."""
        answer = await self._ask("GET", url, issuer, (), None, most_bytes)
        return _successful(answer, url)

    async def with_token(self, url: str, issuer: str, token: str) -> bytes:
        """GET what a bearer token opens (RFC 6750 §2.1). Raises ProviderFailed."""
        answer = await self._ask("GET", url, issuer, (("authorization", f"Bearer {token}"),), None, ANSWER_BYTES)
        return _successful(answer, url)

    async def form(
        self, url: str, issuer: str, fields: Mapping[str, str], basic: tuple[str, str] | None = None
    ) -> JsonAnswer:
        """POST a form, with the client's name and secret if `basic` (RFC 6749 §2.3.1). Raises ProviderFailed."""
        headers = [("content-type", "application/x-www-form-urlencoded")]
        if basic is not None:
            # Both are encoded as in a form first: a secret may hold a colon.
            pair = ":".join(urlencode({"": part})[1:] for part in basic)
            headers.append(("authorization", "Basic " + base64.b64encode(pair.encode()).decode()))
        return await self._ask("POST", url, issuer, headers, urlencode(fields).encode(), ANSWER_BYTES)

    async def _ask(
        self,
        method: str,
        url: str,
        issuer: str,
        headers: Iterable[tuple[str, str]],
        body: bytes | None,
        most_bytes: int,
    ) -> JsonAnswer:
        sent = (("accept", "application/json"), ("accept-encoding", "identity"), *headers)
        try:
            target = check_endpoint(url, issuer)
            async with asyncio.timeout(SECONDS), self._outbound.open(method, target, sent, body) as answer:
                kind = (answer.header(b"content-type") or b"").decode("latin-1").partition(";")[0].strip().lower()
                if kind not in _JSON_TYPES:
                    raise ProviderFailed(
                        "the provider did not answer with JSON",
                        next_step=_NEXT,
                        detail=f"{url}: status {answer.status}, {kind[:60]!r}",
                    )
                return JsonAnswer(answer.status, await answer.read_all(most_bytes))
        except ProviderFailed:
            raise
        except TimeoutError as error:
            raise ProviderFailed("the provider does not answer in time", next_step=_NEXT, detail=url) from error
        except Error as error:
            detail = f"{url}: {error.explanation} {error.detail}"
            raise ProviderFailed("the provider cannot be asked", next_step=_NEXT, detail=detail) from error


def _successful(answer: JsonAnswer, url: str) -> bytes:
    if answer.status != HTTPStatus.OK:
        # 3xx too: what another address says was not vouched for by this one.
        raise ProviderFailed(
            "the provider answers with an error", next_step=_NEXT, detail=f"{url}: status {answer.status}"
        )
    return answer.body
