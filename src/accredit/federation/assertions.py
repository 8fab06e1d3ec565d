"""Assertions of trusted issuers: a foreign JWT → what it proves (RFC 7521 §5.2, RFC 7523 §3, RFC 8725).

Nothing in a token chooses its key but the `kid` of an issuer that an administrator named; a token of anybody else is
refused before anything is asked of anybody.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import structlog
from joserfc import jws
from joserfc.errors import JoseError

from accredit.agents.model import Agent, AgentStatus, CredentialKind
from accredit.agents.registry import Agents
from accredit.clock import Clock
from accredit.errors import InputRefused, NotAuthenticated
from accredit.federation.issuer_configuration import TrustedIssuer
from accredit.federation.issuers import TrustedIssuers
from accredit.federation.jwks_cache import JwksCache, VerifyingKey, parse_jwks
from accredit.federation.signed import Signed, verify_signed
from accredit.federation.workload import texts_of
from accredit.storage.writer import Once

TOKEN_LIMIT_BYTES = 8_192
LEEWAY_SECONDS = 10
ID_JAG_TYPE = "oauth-id-jag+jwt"
_JTI_LIMIT = 256
_SUBJECT_LIMIT = 512
# Thumbprints of a certificate name no key. `jwk`, `jku`, `x5u` and `x5c` bring one; `cty` says that a JWT is inside.
_HEADER = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
_REPORTED = 1_024
_log = structlog.get_logger("accredit.federation")


class AssertionRefused(NotAuthenticated):
    """The assertion proves nothing here. What exactly is wrong stands in `detail`, which never leaves the process."""

    code = "assertion_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Who runs, by the word of the platform that runs it. `claims` are all that a credential can demand, as text.

    `once`: a platform whose tokens are used once gives what is spent with this one.
    """

    issuer: TrustedIssuer
    subject: str
    claims: Mapping[str, str]
    once: tuple[Once, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityAssertion:
    """An ID-JAG: for which person a client may act here, by the word of the company's identity provider.

    `scopes` is None where it does not bound them, `resources` are those that it names. `key` is the thumbprint that it
    is bound to. `auth_time` is in seconds since 1970.
    """

    issuer: TrustedIssuer
    subject: str
    client_id: str
    scopes: tuple[str, ...] | None
    resources: tuple[str, ...]
    once: tuple[Once, ...]
    acr: str
    auth_time: float | None
    email: str | None
    email_verified: bool
    name: str
    key: str | None


class _Confirmation(msgspec.Struct, frozen=True):
    jkt: str | None = None


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What every assertion is checked by (RFC 7523 §3)."""

    sub: str
    aud: str | tuple[str, ...]
    exp: float
    iss: str | None = None
    iat: float | None = None
    nbf: float = 0.0
    jti: str | None = None
    cnf: _Confirmation | None = None


class _IdJag(_Payload, frozen=True, kw_only=True):
    """draft-ietf-oauth-identity-assertion-authz-grant-04 §3."""

    client_id: str
    scope: str | None = None
    resource: str | tuple[str, ...] = ()
    acr: str = ""
    auth_time: float | None = None
    email: str | None = None
    email_verified: bool | None = None
    name: str = ""


P = TypeVar("P", bound=_Payload)


class _Head(msgspec.Struct, frozen=True):
    sub: str = ""
    iss: str = ""


@dataclass(frozen=True, slots=True)
class _Given:
    """Keys that stand in the description of an issuer: nobody is asked."""

    known: tuple[VerifyingKey, ...]

    async def keys(self, jwks_uri: str, issuer: str, kid: str | None) -> Sequence[VerifyingKey]:
        del jwks_uri, issuer, kid
        return self.known


class Assertions:
    """Checks assertions, and finds the agent that a workload is. `own_issuer` is the audience that they must name."""

    def __init__(
        self, issuers: TrustedIssuers, agents: Agents, cache: JwksCache, clock: Clock, own_issuer: str
    ) -> None:
        self._issuers = issuers
        self._agents = agents
        self._cache = cache
        self._clock = clock
        self._own_issuer = own_issuer
        self._given: dict[str, _Given] = {}
        self._reported: set[tuple[str, str]] = set()

    async def workload(self, unverified: str) -> Workload:
        """The workload that a token proves. Raises AssertionRefused, and Unavailable if its keys cannot be had."""
        issuer = await self._issuer_of(unverified)
        kind = issuer.workload()
        if kind is None:
            raise _refused("the issuer has no workloads")
        signed = await self._verify(unverified, issuer)
        if (signed.type and signed.type.upper()) not in kind.types:
            raise _refused("typ")
        payload, claims = _decode(signed, _Payload)
        lifetime_seconds = issuer.lifetime_seconds or kind.lifetime_seconds
        self._check(payload, issuer, issuer.audience or self._own_issuer, lifetime_seconds)
        if payload.cnf is not None:
            # The token is worth something only with a proof of its key, which nobody asked for.
            raise _refused("the token is bound to a key")
        if faults := kind.faults(claims, issuer.issuer):
            raise _refused(f"claims of a {issuer.kind} token: {', '.join(faults)}")
        self._report(issuer, kind.unknown(claims))
        once = () if kind.reusable and not issuer.single_use else (_once(payload, issuer),)
        return Workload(issuer=issuer, subject=payload.sub, claims=_texts(claims), once=once)

    async def agent_of(self, workload: Workload) -> Agent | None:
        """The active agent with a credential for this very workload. Raises Unavailable."""
        agent = await self._agents.of_workload(workload.issuer.issuer, workload.subject)
        if agent is None or agent.status is not AgentStatus.ACTIVE:
            return None
        for one in agent.credentials:
            if (
                one.kind is CredentialKind.FEDERATED
                and one.revoked_at is None
                and one.issuer == workload.issuer.issuer
                and one.subject == workload.subject
                and all(workload.claims.get(name) == value for name, value in one.claims)
            ):
                return agent
        return None

    async def identity(self, unverified: str) -> IdentityAssertion:
        """What an ID-JAG proves. Raises AssertionRefused, and Unavailable if its issuer's keys cannot be had."""
        issuer = await self._issuer_of(unverified)
        if issuer.people is None:
            raise _refused("the issuer does not vouch for people")
        signed = await self._verify(unverified, issuer)
        # RFC 8725 §3.11: an ID token, signed by the same keys for another purpose, is no grant.
        if signed.type != ID_JAG_TYPE:
            raise _refused("typ")
        payload, _ = _decode(signed, _IdJag)
        # The audience is our own issuer, whatever name the issuer's workloads use for us.
        self._check(payload, issuer, self._own_issuer, issuer.people.lifetime_seconds)
        if payload.iat is None or not payload.client_id:
            raise _refused("iat or client_id")
        return IdentityAssertion(
            issuer=issuer,
            subject=payload.sub,
            client_id=payload.client_id,
            scopes=None if payload.scope is None else tuple(payload.scope.split()),
            resources=(payload.resource,) if isinstance(payload.resource, str) else payload.resource,
            once=(_once(payload, issuer),),
            acr=payload.acr,
            auth_time=payload.auth_time,
            email=payload.email,
            email_verified=payload.email_verified is True
            or (payload.email_verified is None and issuer.people.addresses_are_verified),
            name=payload.name,
            key=None if payload.cnf is None else payload.cnf.jkt or "",
        )

    async def _issuer_of(self, unverified: str) -> TrustedIssuer:
        """The trusted issuer that the token claims to be of: only to know with whose keys to verify it."""
        head = _unverified_payload(unverified)
        if head.sub.startswith("spiffe://"):
            domain = "spiffe://" + head.sub.removeprefix("spiffe://").partition("/")[0]
            if (found := await self._issuers.get(domain)) is not None:
                return found
        found = await self._issuers.get(head.iss)
        if found is None:
            raise _refused(f"issuer {head.iss[:200]!r} is not trusted")
        return found

    async def _verify(self, unverified: str, issuer: TrustedIssuer) -> Signed:
        uri, asked = await self._place_of_keys(issuer)
        source = self._given_keys(issuer) if issuer.jwks else self._cache
        try:
            return await verify_signed(
                unverified, issuer=asked, jwks_uri=uri, cache=source, algorithms=issuer.algorithms
            )
        except NotAuthenticated as error:
            raise _refused(f"{error.explanation}: {error.detail}") from error

    async def _place_of_keys(self, issuer: TrustedIssuer) -> tuple[str, str]:
        """Where the issuer's keys are, and whose word that is."""
        if issuer.jwks or issuer.jwks_uri:
            return issuer.jwks_uri, issuer.jwks_uri
        return (await self._cache.metadata(issuer.issuer)).jwks_uri, issuer.issuer

    def _given_keys(self, issuer: TrustedIssuer) -> _Given:
        found = self._given.get(issuer.jwks)
        if found is None:
            if len(self._given) >= _REPORTED:
                self._given.clear()
            found = self._given[issuer.jwks] = _Given(parse_jwks(issuer.jwks.encode()))
        return found

    def _check(self, one: _Payload, issuer: TrustedIssuer, audience: str, lifetime_seconds: int) -> None:
        now = self._clock.seconds()
        audiences = (one.aud,) if isinstance(one.aud, str) else one.aud
        # What may be there only for a trust domain: the SPIFFE ID says whose the token is (JWT-SVID §3).
        issuers = {issuer.issuer, issuer.iss, one.sub, None} if issuer.kind == "spiffe" else {issuer.issuer}
        begun = now if one.iat is None else one.iat
        for holds, what in (
            (one.iss in issuers, "iss"),
            # RFC 7523bis §3: whoever else is named could use it here.
            (audiences == (audience,), "aud"),
            (0 < len(one.sub) <= _SUBJECT_LIMIT and one.sub.isprintable(), "sub"),
            (now < one.exp + LEEWAY_SECONDS, "exp"),
            (one.nbf <= now + LEEWAY_SECONDS, "nbf"),
            (now - lifetime_seconds - LEEWAY_SECONDS <= begun <= now + LEEWAY_SECONDS, "iat"),
            (one.exp - begun <= lifetime_seconds + LEEWAY_SECONDS, "it is valid for too long"),
        ):
            if not holds:
                raise _refused(what)

    def _report(self, issuer: TrustedIssuer, unknown: tuple[str, ...]) -> None:
        """Claims that the kind is not known to have, each once: the platform has changed, or it is another one."""
        new = [name for name in unknown if (issuer.issuer, name) not in self._reported]
        if new and len(self._reported) < _REPORTED:
            self._reported.update((issuer.issuer, name) for name in new)
            _log.warning("unknown claims", issuer=issuer.name, claims=[name[:100] for name in new[:50]])


def unverified_type(token: str) -> str | None:
    """The `typ` that a token claims, to tell for what it was sent; None if it has none or is no JWT."""
    try:
        kind = _unverified(token).headers().get("typ")
    except AssertionRefused:
        return None
    return kind if isinstance(kind, str) else None


def _unverified(token: str) -> jws.CompactSignature:
    if not 0 < len(token) <= TOKEN_LIMIT_BYTES or not token.isascii():
        raise _refused("too long, or not ASCII")
    try:
        found = jws.extract_compact(token.encode())
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise _refused(type(error).__name__) from error
    if not set(found.headers()) <= _HEADER:
        raise _refused("a member of the header brings a key, or says something that is not understood")
    return found


def _unverified_payload(token: str) -> _Head:
    try:
        return msgspec.json.decode(_unverified(token).payload, type=_Head)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refused(type(error).__name__) from error


def _decode(signed: Signed, kind: type[P]) -> tuple[P, Mapping[str, object]]:
    try:
        return msgspec.json.decode(signed.payload, type=kind), msgspec.json.decode(
            signed.payload, type=dict[str, object]
        )
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refused(type(error).__name__) from error


def _texts(claims: Mapping[str, object]) -> Mapping[str, str]:
    try:
        return texts_of(claims)
    except InputRefused as error:
        raise _refused(error.explanation) from error


def _once(one: _Payload, issuer: TrustedIssuer) -> Once:
    if one.jti is None or not 0 < len(one.jti) <= _JTI_LIMIT:
        raise _refused("jti")
    key = hashlib.sha256(f"assertion\0{issuer.issuer}\0{one.jti}".encode()).digest()
    return Once(key, one.exp + 2 * LEEWAY_SECONDS)


def _refused(detail: str) -> AssertionRefused:
    return AssertionRefused(
        "the assertion is not one that is taken here",
        next_step="check its issuer, its audience and its time; the administrator sees whose are taken",
        detail=detail,
    )
