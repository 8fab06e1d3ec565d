"""People: those who own agents, and those who run the installation."""

from dataclasses import dataclass

from accredit.ids import PersonId, SessionId

CHANGE = "person"
"""The kind of change under which the feed tells of a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone with an address.

    `roles` is all that they have; `mapped_roles` are those of them that the groups of the last sign-on at a provider
    gave, and that the next sign-on may take away.
    """

    id: PersonId
    email: str
    name: str
    roles: tuple[str, ...]
    created_at: float
    mapped_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAs:
    """A person as a provider or a trusted issuer knows them, since `created_at` (seconds since 1970)."""

    issuer: str
    subject: str
    person: PersonId
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysIn:
    """How a person can sign in, beside a one-time link."""

    passkeys: int
    identities: tuple[KnownAs, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A person signed in. Times are seconds since 1970.

    `authentication`: `sign_in_link`, `passkey`, `oidc:NAME`, `saml:NAME`. `acr` and `amr` as the provider said them
    (OpenID Connect Core §2), `amr` of our own ceremonies by RFC 8176. `auth_time`: when the person proved who they
    are, which at a provider can be before the session began.
    """

    id: SessionId
    person: Person
    created_at: float
    last_seen_at: float
    expires_at: float
    authentication: str
    acr: str
    amr: tuple[str, ...]
    auth_time: float
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A WebAuthn credential. `id` is the credential id in base64url, `public_key` is in COSE form (RFC 9052)."""

    id: str
    person: PersonId
    name: str
    public_key: bytes
    sign_count: int
    created_at: float
    last_used_at: float | None
