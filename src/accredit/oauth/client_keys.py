"""The public keys of a client: its credentials here, `jwks` of its metadata, and what stands at its `jwks_uri`.

The last are fetched by `Guarded` and kept for a while (RFC 7591 §2). An unknown `kid` has a set asked for again, for a
client may have rotated its keys, but not more often than every 30 seconds: whoever sends assertions cannot make us ask
without end.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

from accredit.agents.credentials import JWKS_LIMIT_BYTES, parse_public_keys
from accredit.agents.model import Agent, CredentialKind
from accredit.clock import Clock
from accredit.errors import InputRefused, Unavailable
from accredit.oauth.client_documents import ClientDocuments
from accredit.outbound.failures import UpstreamFailure
from accredit.outbound.guarded import Guarded

FRESH_SECONDS = 600.0
KEPT_SECONDS = 3_600.0
"""If the client's server does not answer, its last keys serve for this long."""
REFETCH_SECONDS = 30.0
FETCH_SECONDS = 5.0
METHOD = "private_key_jwt"
_SETS = 1_024
_OK = 200


class ClientKeysUnavailable(Unavailable):
    """The client's keys cannot be had now, or are no JWK Set of public keys."""

    code = "client_keys_unavailable"


class _Key(msgspec.Struct, frozen=True):
    kid: str | None = None


class _Keys(msgspec.Struct, frozen=True):
    keys: tuple[_Key, ...]


@dataclass(slots=True)
class _Kept:
    jwks: str = ""
    kids: frozenset[str | None] = frozenset()
    fetched_at: float = float("-inf")
    tried_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ClientKeys:
    """Finds the keys that a client may sign assertions with."""

    def __init__(self, documents: ClientDocuments, key_sets: "ClientKeySets") -> None:
        self._documents = documents
        self._key_sets = key_sets

    async def of(self, agent: Agent, kid: str | None) -> tuple[str, ...]:
        """Every JWK Set of this client, as checked JSON text. Raises ClientKeysUnavailable, InvalidClient, Unavailable.

        A client that is known by its document has the keys that stand there now: one that it takes away ends.
        """
        held = tuple(
            one.jwks
            for one in agent.credentials
            if one.kind is CredentialKind.PUBLIC_KEY and one.revoked_at is None and one.jwks
        )
        metadata = agent.client if agent.client_url is None else await self._documents.get(agent.client_url)
        if metadata is None or metadata.token_endpoint_auth_method != METHOD:
            return held
        if metadata.jwks_uri:
            return (*held, await self._key_sets.get(metadata.jwks_uri, kid))
        return (*held, metadata.jwks)


class ClientKeySets:
    """Key sets by their address."""

    def __init__(self, guarded: Guarded, clock: Clock) -> None:
        self._guarded = guarded
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def get(self, jwks_uri: str, kid: str | None) -> str:
        """The JWK Set as checked JSON text; it is asked for again if it has no key of this `kid`.

        Raises ClientKeysUnavailable.
        """
        kept = self._kept.setdefault(jwks_uri, _Kept())
        self._kept.move_to_end(jwks_uri)
        while len(self._kept) > _SETS:
            self._kept.popitem(last=False)
        # One request at a time: who waits for it finds its answer.
        async with kept.lock:
            now = self._clock.monotonic()
            is_known = kid is None or kid in kept.kids
            if now - kept.fetched_at < FRESH_SECONDS and is_known:
                return kept.jwks
            if now - kept.tried_at >= REFETCH_SECONDS:
                await self._fetch(jwks_uri, kept, now)
        if now - kept.fetched_at >= KEPT_SECONDS:
            raise ClientKeysUnavailable("the client's keys cannot be had now", next_step="try again in a minute")
        return kept.jwks

    async def _fetch(self, jwks_uri: str, kept: _Kept, now: float) -> None:
        kept.tried_at = now
        try:
            found = await self._guarded.fetch(
                jwks_uri,
                accept="application/jwk-set+json, application/json",
                most_bytes=JWKS_LIMIT_BYTES,
                seconds=FETCH_SECONDS,
            )
            if found.status != _OK:
                return
            jwks = parse_public_keys(found.body.decode())
        except (UpstreamFailure, InputRefused, UnicodeDecodeError):
            # What was there before serves on, until it is too old.
            return
        kept.jwks, kept.fetched_at = jwks, now
        kept.kids = frozenset(key.kid for key in msgspec.json.decode(jwks, type=_Keys).keys)
