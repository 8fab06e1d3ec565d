"""Signing people on: begin at a provider, come back with its answer, and be one person here.

Nothing is stored for a stranger. What must be remembered until the answer comes (state, nonce, verifier, where to go
then) is sealed and given to the browser that began, so an answer proves something only in that browser: nobody can
sign somebody else on as themselves (login CSRF), and a code or an assertion that was stolen is worth nothing elsewhere.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from accredit.canonical import base64url, from_base64url
from accredit.clock import Clock
from accredit.errors import InputRefused, Unavailable
from accredit.federation.asking import Asking
from accredit.federation.connector import Attempt, LoginConnector, Parts
from accredit.federation.connectors import CONNECTORS
from accredit.federation.errors import SignOnRefused, refused
from accredit.federation.jwks_cache import JwksCache
from accredit.federation.providers import SignInProviders
from accredit.ids import NewId
from accredit.keys.seal import Sealer
from accredit.outbound import Outbound
from accredit.people.identities import Identities
from accredit.people.model import Person
from accredit.storage.feed import Feed
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Once, UsedBefore

ATTEMPT_SECONDS = 600
RETURN_LIMIT = 2_400
"""The longest path to come back to: with the rest it has to fit into one cookie, sealed."""
_CONTEXT = "accredit.sign-on.v1"
_COOKIE_LIMIT = 4_000
_SECRET_BYTES = 32


def open_sign_on(
    *,
    transactions: Transactions,
    feed: Feed,
    sealer: Sealer,
    attempt_sealer: Sealer,
    clock: Clock,
    new_id: NewId,
    outbound: Outbound,
    base: str,
) -> "SignOn":
    """The parts, put together. `sealer` seals client secrets, `attempt_sealer` what a browser keeps for us.

    `base` is the installation's own address, as `https://accredit.example.com`.
    """
    asking = Asking(outbound)
    parts = Parts(asking=asking, cache=JwksCache(asking.document, clock), clock=clock, base=base)
    providers = SignInProviders(transactions, feed, sealer, new_id, parts, CONNECTORS)
    return SignOn(providers, Identities(transactions, clock, new_id), attempt_sealer, clock)


class Started(NamedTuple):
    """Where the browser goes, and what it must bring back; `posted`: the answer is a POST from another site."""

    url: str
    sealed: str
    posted: bool


class SignedOn(NamedTuple):
    """Who signed on, how (`oidc:NAME`), what the provider said of it, and where they wanted to go."""

    person: Person
    authentication: str
    acr: str
    amr: tuple[str, ...]
    auth_time: float
    return_path: str


class SignOn:
    """The walk through a sign-on. `sealer` is of a key that every process of the installation has."""

    def __init__(self, providers: SignInProviders, identities: Identities, sealer: Sealer, clock: Clock) -> None:
        self.providers = providers
        self.identities = identities
        self._sealer = sealer
        self._clock = clock

    async def begin(self, name: str, return_path: str, *, fresh: bool = False) -> Started:
        """Begin at this provider; `fresh` has it ask the person anew. `return_path` was checked. Writes nothing.

        Raises NotFound, InputRefused if the path is too long, Unavailable.
        """
        if len(return_path) > RETURN_LIMIT:
            raise InputRefused(
                "what you wanted to see has too long an address", next_step="sign in, then open it again"
            )
        connector = await self.providers.connector(name)
        now = self._clock.seconds()
        attempt = Attempt(
            provider=name,
            return_path=return_path,
            state=_random(),
            nonce=_random(),
            verifier=_random(),
            request="",
            fresh=fresh,
            started_at=now,
            expires_at=now + ATTEMPT_SECONDS,
        )
        begun = await connector.begin(attempt)
        sealed = base64url(self._sealer.seal(msgspec.json.encode(begun.attempt), _CONTEXT))
        return Started(begun.url, sealed, connector.posted)

    async def finish(self, name: str, sealed: str | None, answer: Mapping[str, str]) -> SignedOn:
        """Take a provider's answer, in the browser that began.

        Raises SignOnRefused, UnknownIdentity, NotFound, Unavailable. A refusal is recorded if the browser did begin.
        """
        connector = await self.providers.connector(name)
        attempt = self._open(name, sealed, answer.get(connector.state_parameter))
        try:
            return await self._finish(connector, attempt, answer)
        except (SignOnRefused, UsedBefore) as error:
            detail = "the answer was used before" if isinstance(error, UsedBefore) else error.detail
            seq = await self.identities.refuse(f"{_kind(connector)}:{name}", "the provider's answer proves nobody")
            explanation = error.explanation if isinstance(error, SignOnRefused) else "this answer was used before"
            raise SignOnRefused(
                explanation, next_step="start again from the sign-in page", detail=detail, event=seq
            ) from error

    async def _finish(self, connector: LoginConnector, attempt: Attempt, answer: Mapping[str, str]) -> SignedOn:
        vouched = await connector.finish(attempt, answer)
        once = Once(hashlib.sha256(f"{_CONTEXT}\0{attempt.state}".encode()).digest(), attempt.expires_at)
        person = await self.identities.sign_on(vouched.identity, (once, *vouched.once))
        return SignedOn(
            person=person,
            authentication=vouched.identity.authentication,
            acr=vouched.acr,
            amr=vouched.amr,
            auth_time=vouched.auth_time if vouched.auth_time is not None else _assumed_time(attempt),
            return_path=attempt.return_path,
        )

    def _open(self, name: str, sealed: str | None, state: str | None) -> Attempt:
        """The attempt of this browser, if this answer is to it. Raises SignOnRefused."""
        if not sealed or len(sealed) > _COOKIE_LIMIT:
            raise refused("no attempt", "this browser did not begin a sign-on, or it took too long")
        try:
            plain = self._sealer.open(from_base64url(sealed), _CONTEXT)
            attempt = msgspec.json.decode(plain, type=Attempt)
        except (InputRefused, Unavailable, msgspec.MsgspecError) as error:
            raise refused("the attempt does not open", "this browser did not begin a sign-on") from error
        same = hmac.compare_digest((state or "").encode(), attempt.state.encode())
        # RFC 9700 §4.4.2: the address at which the answer came belongs to the provider that was asked.
        if not same or attempt.provider != name or self._clock.seconds() >= attempt.expires_at:
            raise refused("state, provider or time", "this answer is not to what this browser began, or it is too late")
        return attempt


def _assumed_time(attempt: Attempt) -> float:
    """When the person proved who they are, if the provider does not say: long ago, unless it was asked to ask anew."""
    return attempt.started_at if attempt.fresh else 0.0


def _kind(connector: LoginConnector) -> str:
    return "saml" if connector.posted else "oidc"


def _random() -> str:
    return base64url(secrets.token_bytes(_SECRET_BYTES))
