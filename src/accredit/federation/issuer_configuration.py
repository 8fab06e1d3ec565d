"""The description of a trusted issuer (TOML), as `docs/workloads.md` shows it → what its assertions are checked by."""

import re
import tomllib
from collections.abc import Callable
from typing import Literal

import msgspec

from accredit.errors import InputRefused, Unavailable
from accredit.federation.endpoints import check_endpoint, check_issuer
from accredit.federation.jwks_cache import parse_jwks
from accredit.federation.signed import ALGORITHMS, DEFAULT_ALGORITHMS
from accredit.federation.workload import WorkloadKind
from accredit.federation.workloads import WORKLOADS
from accredit.federation.written import DOMAIN, NAME, PLAIN, ROLE
from accredit.settings import toml_place

IssuerKind = Literal["kubernetes", "spiffe", "github_actions", "entra", "google", "aws", "generic", "provider"]

# RFC 6749 §3.3
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}\Z")
_LIFETIME_LIMIT_SECONDS = 604_800
_GRANT_LIMIT_SECONDS = 3_600
_JWKS_LIMIT = 65_536
_NEXT = "docs/workloads.md shows the form; mend it, nothing was changed"


class IssuerInvalid(InputRefused):
    """The description of an issuer is not as `docs/workloads.md` says; nothing was changed."""

    code = "issuer_invalid"


class Vouching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It vouches for people: its identity assertions (ID-JAG) are taken.

    `authoritative_domains` are those for whose addresses its word is taken; with `create_people` it makes accounts for
    them, in these `roles`. `addresses_are_verified`: it sends no `email_verified`, and people there cannot choose their
    address. `scopes` bounds every assertion; empty: only the rights of the agent and the person do.
    """

    authoritative_domains: tuple[str, ...] = ()
    create_people: bool = False
    roles: tuple[str, ...] = ()
    addresses_are_verified: bool = False
    scopes: tuple[str, ...] = ()
    lifetime_seconds: int = 300


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It takes identity assertions of ours: what agents may ask there for, and what they are called there.

    `resources`: resource → the scopes that may be asked for. `clients`: agent → its `client_id` there; an empty one is
    the agent's own `client_id`. `lifetime_seconds` is how long an assertion is valid.
    """

    resources: dict[str, tuple[str, ...]]
    clients: dict[str, str]
    lifetime_seconds: int = 300


class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer whose assertions are taken, or who takes ours.

    `issuer` is its `iss`, or its trust domain. Its keys are asked for at `jwks_uri`, or stand in `jwks` (a JWK Set as
    JSON); without both its metadata names them. `iss`: what a SPIFFE trust domain writes there. `audience`: what it
    writes into `aud`; empty: our own issuer. `single_use` has a token used once even where the kind lets it be reused.
    """

    name: str
    issuer: str
    kind: IssuerKind
    jwks_uri: str = ""
    jwks: str = ""
    iss: str = ""
    audience: str = ""
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    lifetime_seconds: int | None = None
    single_use: bool = False
    people: Vouching | None = None
    peer: Peer | None = None

    def workload(self) -> WorkloadKind | None:
        """How its workloads' tokens look; None if it has none."""
        return WORKLOADS.get(self.kind)


def parse_issuer(text: str, file: str) -> TrustedIssuer:
    """Read one description. `file` is its name, for messages. Raises IssuerInvalid."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise IssuerInvalid(f"{toml_place(file, str(error))}; expected TOML", next_step=_NEXT) from error
    try:
        found = msgspec.convert(table, TrustedIssuer)
        _check(found)
    except msgspec.ValidationError as error:
        raise IssuerInvalid(f"{file}: {str(error)[:1].lower()}{str(error)[1:]}", next_step=_NEXT) from error
    except _Wrong as error:
        raise IssuerInvalid(f"{file}: {error.args[0]} must be {error.args[1]}", next_step=_NEXT) from error
    return found


class _Wrong(Exception):
    """A key, and what it must be."""


def _check(one: TrustedIssuer) -> None:
    _must(bool(NAME.match(one.name)), "name", "a-z, 0-9 and -, at most 63 characters")
    kind = one.workload()
    _must(kind is not None or bool(one.people or one.peer), "kind", "a platform, or there must be [people] or [peer]")
    if kind is not None:
        _must(bool(kind.issuer.fullmatch(one.issuer)), "issuer", f"as a {one.kind} issuer is written")
        _must(not (one.single_use and one.kind == "spiffe"), "single_use", "false: a JWT-SVID need not have a jti")
    if one.kind == "spiffe":
        _must(bool(one.jwks_uri or one.jwks), "jwks_uri", "given: a trust domain has no metadata")
    else:
        _must_be_asked(check_issuer, "issuer", one.issuer)
        _must(not one.iss, "iss", "left out: it is the issuer")
    _check_keys(one)
    allowed = bool(one.algorithms) and set(one.algorithms) <= set(ALGORITHMS)
    _must(allowed, "algorithms", f"a list out of {', '.join(ALGORITHMS)}")
    _must(not one.audience or bool(PLAIN.match(one.audience)), "audience", "a text without blanks")
    within = one.lifetime_seconds is None or 1 <= one.lifetime_seconds <= _LIFETIME_LIMIT_SECONDS
    _must(within, "lifetime_seconds", "1 second to a week")
    if one.people is not None:
        _check_people(one.people)
    if one.peer is not None:
        _check_peer(one.peer)


def _check_keys(one: TrustedIssuer) -> None:
    _must(not (one.jwks_uri and one.jwks), "jwks", "left out where jwks_uri is given")
    if one.jwks_uri:
        _must_be_asked(lambda url: check_endpoint(url, url), "jwks_uri", one.jwks_uri)
    if one.jwks:
        try:
            usable = len(one.jwks) <= _JWKS_LIMIT and bool(parse_jwks(one.jwks.encode()))
        except Unavailable:
            usable = False
        _must(usable, "jwks", "a JWK Set of public keys (RFC 7517), at most 64 kB")


def _check_people(one: Vouching) -> None:
    domains = all(DOMAIN.match(domain) for domain in one.authoritative_domains)
    _must(domains, "people.authoritative_domains", "domains in lower case, such as example.com")
    _must(all(map(ROLE.match, one.roles)), "people.roles", "a list of roles of a-z, 0-9 and -")
    _must(all(map(_SCOPE.match, one.scopes)), "people.scopes", "a list of scopes (RFC 6749 §3.3)")
    _must(1 <= one.lifetime_seconds <= _GRANT_LIMIT_SECONDS, "people.lifetime_seconds", "1 second to an hour")


def _check_peer(one: Peer) -> None:
    _must(bool(one.resources), "peer.resources", "resources, each with a list of scopes")
    for resource, scopes in one.resources.items():
        _must(bool(PLAIN.match(resource)), "peer.resources", "resources without blanks")
        _must(all(map(_SCOPE.match, scopes)), "peer.resources", "resources, each with a list of scopes")
    _must(bool(one.clients), "peer.clients", "agents, each with its client_id there")
    for client in one.clients.values():
        _must(not client or bool(PLAIN.match(client)), "peer.clients", "agents, each with its client_id there")
    _must(1 <= one.lifetime_seconds <= _GRANT_LIMIT_SECONDS, "peer.lifetime_seconds", "1 second to an hour")


def _must(holds: bool, key: str, expected: str) -> None:
    if not holds:
        raise _Wrong(key, expected)


def _must_be_asked(check: Callable[[str], object], key: str, url: str) -> None:
    try:
        check(url)
    except InputRefused as error:
        raise _Wrong(key, f"an https URL: {error.explanation}") from error
