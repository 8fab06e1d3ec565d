"""What a token holds beside its scopes, and what its bearer is once it was verified."""

from dataclasses import dataclass

import msgspec

from accredit.agents.model import Agent
from accredit.delegations.model import ActionDetails
from accredit.policy.request import Evidence
from accredit.storage.writer import Once


class Confirmation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The key that a token is bound to (RFC 7800 §3.1).

    `jkt` is the thumbprint of the key of DPoP proofs (RFC 9449 §6.1), `x5t_s256` a certificate's (RFC 8705 §3.1).
    """

    jkt: str | None = None
    x5t_s256: str | None = msgspec.field(default=None, name="x5t#S256")

    @property
    def sender_constraint(self) -> str:
        """`dpop` or `mtls`, as policy and the record call it."""
        return "dpop" if self.jkt is not None else "mtls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """How a token came: by which scheme, with which proof, over which connection.

    `proof` is the DPoP header, `method` and `url` the request's own (RFC 9449 §4.3), `certificate` the SHA-256
    thumbprint of the client's certificate in base64url.
    """

    scheme: str = "bearer"
    proof: str | None = None
    method: str = ""
    url: str = ""
    certificate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An agent that showed a token which is ours, for this audience, not expired, and of its present epoch.

    `evidence` is what a decision knows of it; `once` is spent with the decision's event. `subject` is the agent, or the
    person acted for. `auth_time` is when the person signed in, in seconds since 1970.
    """

    agent: Agent
    token_id: str
    scopes: frozenset[str]
    audience: str
    expires_at: float
    epoch: int
    subject: str
    evidence: Evidence
    confirmation: Confirmation | None = None
    details: tuple[ActionDetails, ...] = ()
    may_act: tuple[str, ...] | None = None
    auth_time: float | None = None
    once: tuple[Once, ...] = ()
