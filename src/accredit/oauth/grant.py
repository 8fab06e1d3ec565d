"""What a grant is: its type, its parameters, and how it is handled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from accredit.oauth.client_auth import AuthenticatedClient
from accredit.policy.permit import Permit
from accredit.tokens.issue import AccessToken


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """An authenticated request; `parameters` holds only what the grant declared."""

    client: AuthenticatedClient
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token and the permit that it was made with: it leaves when the permit is recorded."""

    token: AccessToken
    permit: Permit


class Grant(Protocol):
    """One grant type."""

    @property
    def grant_type(self) -> str:
        """The value of `grant_type`."""

    @property
    def required(self) -> frozenset[str]:
        """The parameters that must be there."""

    @property
    def optional(self) -> frozenset[str]:
        """The parameters that may be there; any other is ignored (RFC 6749 §3.2)."""

    async def handle(self, request: TokenRequest) -> Granted:
        """Decide and issue. Raises OAuthError; nothing may leave before the permit is recorded."""
