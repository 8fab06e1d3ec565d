"""What a bearer of a token is, once it was verified."""

from dataclasses import dataclass

from accredit.agents.model import Agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An agent that showed a token which is ours, for this audience, not expired, and of its present epoch."""

    agent: Agent
    token_id: str
    scopes: frozenset[str]
    audience: str
    expires_at: float
    epoch: int
