"""What a grant is: its type, its parameters, and how it is handled."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from accredit.delegations.model import ActionDetails
from accredit.oauth.client_auth import AuthenticatedClient
from accredit.policy.permit import Permit
from accredit.sensitive import Sensitive
from accredit.storage.writer import Once
from accredit.tokens.issue import AccessToken
from accredit.tokens.model import Confirmation


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """An authenticated request; `parameters` holds only what the grant declared.

    `confirmation` is the key that the client proved with this request, by DPoP or by its certificate; `once` is what
    that proof and the client's own must not be used again for, and every decision must spend it.
    """

    client: AuthenticatedClient
    parameters: Mapping[str, str]
    confirmation: Confirmation | None = None
    once: tuple[Once, ...] = ()


OnReuse = Callable[[Once], Awaitable[None]]
"""Called when what a grant spends was spent before: it ends what came of the first use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token and the permit that it was made with: it leaves when the permit is recorded."""

    token: AccessToken
    permit: Permit
    refresh_token: Sensitive | None = None
    id_token: Sensitive | None = None
    issued_token_type: str | None = None
    details: tuple[ActionDetails, ...] = ()
    on_reuse: OnReuse | None = None


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

    @property
    def is_open_to_public_clients(self) -> bool:
        """Whether a client that cannot authenticate may use it: what it changes was given to a person's own device."""

    async def handle(self, request: TokenRequest) -> Granted:
        """Decide and issue. Raises OAuthError; nothing may leave before the permit is recorded."""
