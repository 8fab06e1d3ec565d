"""`/api/v1/tokens`: end a token before its time, with everything that came of it."""

import re
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.audit.event import management_event
from accredit.clock import Clock
from accredit.errors import InputRefused, NotFound
from accredit.ids import NewId
from accredit.tokens.ending import REVOKED, TokenEnding

_ID = re.compile(r"(?:tok|rfm)_[0-9A-HJKMNP-TV-Z]{26}")


class TokenInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to end: by its id, as events name it, or by itself. Just one of both."""

    token_id: Annotated[str, msgspec.Meta(description="tok_… of a token, rfm_… of a chain of refresh tokens")] | (
        UnsetType
    ) = UNSET
    token: str | UnsetType = UNSET


class EndedToken(msgspec.Struct, frozen=True, kw_only=True):
    """What was ended."""

    token_id: str


class TokenEndpoints:
    """What can be done with tokens. `longest_seconds` is how long anything that comes of a token can live."""

    def __init__(self, ending: TokenEnding, clock: Clock, new_id: NewId, longest_seconds: int) -> None:
        self._ending = ending
        self._clock = clock
        self._new_id = new_id
        self._longest_seconds = longest_seconds

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        return (
            Endpoint(
                method="POST",
                path="/api/v1/tokens/revoke",
                summary="End a token, or a chain of refresh tokens, and everything that came of it",
                act=self._revoke,
                body=TokenInput,
                query=Nothing,
                answer=EndedToken,
            ),
        )

    async def _revoke(self, call: Call[TokenInput, Nothing]) -> EndedToken:
        agent: str | None = None
        match call.body.token_id, call.body.token:
            case str() as thing, UnsetType():
                if _ID.fullmatch(thing) is None:
                    raise InputRefused("not the id of a token", next_step="`accredit audit tail` shows token_id")
                expires_at = self._clock.seconds() + self._longest_seconds
            case UnsetType(), str() as token:
                found = self._ending.read(token)
                if found is None:
                    raise NotFound("this is no token of ours that holds", next_step="it may have ended already")
                thing, expires_at, agent = found.id, found.expires_at, found.agent
            case _:
                raise InputRefused("give either token_id or token", next_step="an event's token_id will do")
        event = management_event(
            REVOKED, call.actor, self._clock, self._new_id, agent=agent, token_id=thing, resource=thing
        )
        await self._ending.end(thing, expires_at, event)
        return EndedToken(token_id=thing)
