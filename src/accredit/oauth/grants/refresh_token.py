"""The refresh token grant (RFC 6749 §6): each token is used once, and gives the next (RFC 9700 §4.14.2)."""

from accredit.clock import Clock
from accredit.oauth.errors import InvalidGrant, InvalidScope, InvalidTarget
from accredit.oauth.families import Families
from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.on_behalf import OnBehalf, Turn
from accredit.oauth.scopes import parse_scope
from accredit.storage.writer import Once
from accredit.tokens.refresh import RefreshFamily, RefreshTokens


class RefreshTokenGrant:
    """A token that is used twice was stolen, from the client or by it: its family ends."""

    grant_type = "refresh_token"
    required = frozenset({"refresh_token"})
    optional = frozenset({"scope", "resource"})
    is_open_to_public_clients = True

    def __init__(self, refresh_tokens: RefreshTokens, families: Families, on_behalf: OnBehalf, clock: Clock) -> None:
        self._refresh_tokens = refresh_tokens
        self._families = families
        self._on_behalf = on_behalf
        self._clock = clock

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises InvalidGrant, InvalidScope, InvalidTarget, UnauthorizedClient."""
        family = self._refresh_tokens.open(request.parameters["refresh_token"])
        if family is None or family.agent != request.client.agent.id or self._clock.seconds() >= family.expires_at:
            raise _refused("it is unknown, too old, or another client's")
        if family.confirmation is not None and request.confirmation != family.confirmation:
            raise _refused("it is bound to another key")
        if request.parameters.get("resource", family.audience) != family.audience:
            raise InvalidTarget("the refresh token is for another resource", next_step="ask the person for that one")

        async def on_reuse(_once: Once) -> None:
            await self._families.end(family, request.client.agent, "a refresh token was used twice")

        return await self._on_behalf.issue(
            request, Turn(family=family, scope=_scope(request, family), once=family.once(), on_reuse=on_reuse)
        )


def _scope(request: TokenRequest, family: RefreshFamily) -> str:
    asked = request.parameters.get("scope")
    if asked is None:
        return " ".join(family.scopes)
    # RFC 6749 §6: it must not hold a scope that was not given at first.
    if not parse_scope(asked) <= set(family.scopes):
        raise InvalidScope("the person gave less than is asked for", next_step="ask them anew")
    return asked


def _refused(why: str) -> InvalidGrant:
    return InvalidGrant("the refresh token is not taken: " + why, next_step="ask the person again")
