"""Agents: first-class identities. An agent is an OAuth client; its id is its `client_id` and `sub`."""

from dataclasses import dataclass
from enum import StrEnum

from accredit.ids import AgentId, CredentialId, PersonId


class AgentStatus(StrEnum):
    """`active` ⇄ `suspended`; either → `retired`, which is final."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class CredentialKind(StrEnum):
    """How an agent may prove itself."""

    CLIENT_SECRET = "client_secret"  # noqa: S105  # a name, not a secret
    PUBLIC_KEY = "public_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One way in. A secret is kept as a keyed hash only; `jwks` is a JWK Set as JSON text (RFC 7517)."""

    id: CredentialId
    agent: AgentId
    kind: CredentialKind
    secret_hash: bytes | None
    jwks: str | None
    created_at: float
    revoked_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent as it is now. `epoch` grows when everything that it holds ends; `version` with every change."""

    id: AgentId
    name: str
    owner: PersonId
    owner_email: str
    type: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    capability_level: int
    status: AgentStatus
    epoch: int
    version: int
    created_at: float
    credentials: tuple[Credential, ...]
