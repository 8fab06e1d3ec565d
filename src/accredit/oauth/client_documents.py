"""Client ID Metadata Documents: a client_id that is the URL of what the client says of itself.

draft-ietf-oauth-client-id-metadata-document-03, as the Model Context Protocol 2026-07-28 prefers it. The URL comes from
a stranger: it is asked by `Guarded` alone, at a bounded rate, and nothing that the document names is fetched here.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from accredit.agents.client_metadata import ClientMetadata, parse_client_metadata, read_object
from accredit.clock import Clock
from accredit.errors import InputRefused
from accredit.oauth.errors import InvalidClient, TemporarilyUnavailable
from accredit.outbound.failures import UpstreamFailure, UpstreamInvalid
from accredit.outbound.guarded import Fetched, Guarded
from accredit.outbound.target import Target

DOCUMENT_BYTES = 10_240
FETCH_SECONDS = 5.0
LEAST_SECONDS = 60.0
MOST_SECONDS = 86_400.0
"""How long a document is kept, whatever its Cache-Control says; LEAST_SECONDS too if it says nothing."""
RETRY_SECONDS = 10.0
"""A failure is no answer and is not kept (§4.4), but it is not tried again before this."""
HOST_PER_MINUTE = 30
NEW_PER_MINUTE = 600
_DOCUMENTS = 1_024
_MINUTE = 60.0
_OK = 200
_METHODS = ("none", "private_key_jwt")
# A person lets such a client act for them, and nobody here lets it act as itself.
_AS_ITSELF = "client_credentials"
_NEXT = "see draft-ietf-oauth-client-id-metadata-document §4"


class ClientDocumentRefused(InvalidClient):
    """The client_id is no URL that is accepted here, or its document is not allowed."""

    status = 400


class ClientDocumentUnavailable(TemporarilyUnavailable):
    """The client's document cannot be had now."""


@dataclass(frozen=True, slots=True)
class _Kept:
    metadata: ClientMetadata
    fresh_until: float


async def _nobody(url: str) -> bool:
    del url
    return False


class ClientDocuments:
    """The documents of clients, by their URL. `hosts` are `*`, names, or `*.` and a domain; none: nobody's.

    `is_known` says whether the client of a URL is registered here. It is asked for only when no more documents of
    strangers are, so that a stranger who names a known client's host does not keep that client out.
    """

    def __init__(
        self,
        guarded: Guarded,
        clock: Clock,
        hosts: Iterable[str],
        is_known: Callable[[str], Awaitable[bool]] = _nobody,
    ) -> None:
        self._guarded = guarded
        self._clock = clock
        self._is_known = is_known
        self._hosts = tuple(host.lower() for host in hosts)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[ClientMetadata]] = {}
        self._host_rates: OrderedDict[str, _Rate] = OrderedDict()
        self._new_rate = _Rate(NEW_PER_MINUTE)

    @property
    def is_open(self) -> bool:
        """Whether any client may come by a document: `client_id_metadata_document_supported`."""
        return bool(self._hosts)

    async def get(self, url: str) -> ClientMetadata:
        """What the client at this URL says of itself. Raises ClientDocumentRefused, ClientDocumentUnavailable."""
        target = self._check_url(url)
        now = self._clock.monotonic()
        kept = self._kept.get(url)
        if kept is not None and now < kept.fresh_until:
            self._kept.move_to_end(url)
            return kept.metadata
        if url not in self._under_way:
            await self._check_rate(url, target.host, now)
        task = self._under_way.get(url)
        if task is None:
            task = self._under_way[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda done: self._end(url, done))
        # One request for all who wait: that one of them goes away ends nothing for the others.
        return await asyncio.shield(task)

    def _check_url(self, url: str) -> Target:
        """§3: https, a path, no dot segments, no fragment, no user; the host is one that is accepted."""
        try:
            target = self._guarded.check(url)
        except InputRefused as error:
            raise ClientDocumentRefused(f"the client_id: {error.explanation}", next_step=_NEXT) from error
        if target.path.partition("?")[0] == "/":
            raise ClientDocumentRefused("a client_id that is a URL has a path", next_step=_NEXT)
        if not any(_is_of(target.host, host) for host in self._hosts):
            raise ClientDocumentRefused(
                "clients of this host are not accepted here",
                next_step="an administrator can name the host in the setting client_metadata_hosts",
            )
        return target

    async def _check_rate(self, url: str, host: str, now: float) -> None:
        """Raises ClientDocumentUnavailable; a stranger must not have us ask somebody else's server without end."""
        wait = ClientDocumentUnavailable("the client's document is not asked for now", next_step="try again later")
        failed_at = self._failed.get(url)
        if failed_at is not None and now - failed_at < RETRY_SECONDS:
            raise wait
        rate = self._host_rates.setdefault(host, _Rate(HOST_PER_MINUTE))
        self._host_rates.move_to_end(host)
        _shorten(self._host_rates)
        # Clients that were here before do not stand in the queue of those that were not.
        has_turn = rate.take(now) and (url in self._kept or self._new_rate.take(now))
        if not has_turn and not await self._is_known(url):
            raise wait

    async def _fetch(self, url: str) -> ClientMetadata:
        try:
            found = await self._guarded.fetch(
                url, accept="application/json", most_bytes=DOCUMENT_BYTES, seconds=FETCH_SECONDS
            )
            metadata = parse_client_document(url, found)
        except (InputRefused, UpstreamInvalid) as error:
            self._fail(url)
            raise ClientDocumentRefused(
                f"the client's document: {error.explanation}", next_step=error.next_step or _NEXT, detail=error.detail
            ) from error
        except UpstreamFailure as error:
            self._fail(url)
            raise ClientDocumentUnavailable(
                f"the client's document: {error.explanation}", next_step=error.next_step, detail=error.detail
            ) from error
        seconds = min(max(float(found.cache_seconds or 0), LEAST_SECONDS), MOST_SECONDS)
        self._failed.pop(url, None)
        self._kept[url] = _Kept(metadata, self._clock.monotonic() + seconds)
        self._kept.move_to_end(url)
        _shorten(self._kept)
        return metadata

    def _fail(self, url: str) -> None:
        self._kept.pop(url, None)
        self._failed[url] = self._clock.monotonic()
        self._failed.move_to_end(url)
        _shorten(self._failed)

    def _end(self, url: str, done: asyncio.Task[ClientMetadata]) -> None:
        del self._under_way[url]
        if not done.cancelled():
            # Everybody who waited may be gone.
            done.exception()


def parse_client_document(url: str, found: Fetched) -> ClientMetadata:
    """Read the document that was found at a client_id (§4.1). Raises InputRefused."""
    if found.status != _OK:
        raise InputRefused(f"its server answers with {found.status}, and not with 200")
    kind, _, subtype = found.content_type.partition("/")
    if kind != "application" or (subtype != "json" and not subtype.endswith("+json")):
        raise InputRefused("it is not application/json")
    members = read_object(found.body)
    if members.get("client_id") != url:
        raise InputRefused("its client_id is not the URL that it stands at")
    if "client_secret" in members or "client_secret_expires_at" in members:
        raise InputRefused("it holds a client_secret, which everybody could read")
    # RFC 7591's default is a secret, which such a client cannot have.
    if members.get("token_endpoint_auth_method") is None:
        members["token_endpoint_auth_method"] = _METHODS[0]
    if members["token_endpoint_auth_method"] not in _METHODS:
        raise InputRefused("its token_endpoint_auth_method is neither none nor private_key_jwt")
    if isinstance(grants := members.get("grant_types"), list):
        members["grant_types"] = [one for one in grants if one != _AS_ITSELF]
    metadata = parse_client_metadata(members)
    if not metadata.redirect_uris:
        raise InputRefused("it lists no redirect_uris")
    return metadata


def is_client_url(client_id: str) -> bool:
    """Whether a client_id is meant as the URL of a document."""
    return client_id.startswith(("https://", "http://"))


def _is_of(host: str, allowed: str) -> bool:
    if allowed.startswith("*."):
        return host.endswith(allowed[1:]) and len(host) >= len(allowed)
    return allowed in ("*", host)


class _Rate:
    """So many in each minute."""

    __slots__ = ("_began", "_limit", "_taken")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._began = float("-inf")
        self._taken = 0

    def take(self, now: float) -> bool:
        if now - self._began >= _MINUTE:
            self._began, self._taken = now, 0
        self._taken += 1
        return self._taken <= self._limit


def _shorten(table: OrderedDict[str, float] | OrderedDict[str, _Kept] | OrderedDict[str, _Rate]) -> None:
    while len(table) > _DOCUMENTS:
        table.popitem(last=False)
