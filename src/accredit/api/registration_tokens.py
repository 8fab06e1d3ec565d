"""`/api/v1/registration-tokens`: let clients register themselves (RFC 7591 §3), so many and for so long."""

from typing import Annotated

import msgspec

from accredit.agents.model import RegistrationToken
from accredit.agents.registration_tokens import MOST_DAYS, MOST_USES, RegistrationTokens
from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.clock import rfc3339


class RegistrationTokenInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make. What is registered with it is an agent of this owner, with these roles and systems."""

    owner: Annotated[str, msgspec.Meta(description="the owner's e-mail address", extra_json_schema={"format": "email"})]
    roles: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    uses: Annotated[int, msgspec.Meta(ge=1, le=MOST_USES, description="how many clients")] = 1
    days: Annotated[int, msgspec.Meta(ge=1, le=MOST_DAYS)] = 7


class RegistrationTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without the secret and its hash."""

    id: str
    owner: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    uses_left: int
    created_at: str
    expires_at: str


class MadeRegistrationToken(RegistrationTokenView, frozen=True, kw_only=True):
    """A token that was just made. `token` is shown this once and kept nowhere."""

    token: str


class RegistrationTokenList(msgspec.Struct, frozen=True, kw_only=True):
    """Every token that was not revoked, also those that are used up or too old."""

    registration_tokens: tuple[RegistrationTokenView, ...]


class RegistrationTokenEndpoints:
    """What can be done with registration tokens."""

    def __init__(self, tokens: RegistrationTokens) -> None:
        self._tokens = tokens

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        path = "/api/v1/registration-tokens"
        return (
            Endpoint(
                method="POST",
                path=path,
                summary="Make a token with which clients register themselves; it is shown once",
                act=self._create,
                body=RegistrationTokenInput,
                query=Nothing,
                answer=MadeRegistrationToken,
                status=201,
            ),
            Endpoint(
                method="GET",
                path=path,
                summary="List the registration tokens",
                act=self._list,
                body=Nothing,
                query=Nothing,
                answer=RegistrationTokenList,
            ),
            Endpoint(
                method="DELETE",
                path=f"{path}/{{registration_token_id}}",
                summary="Revoke a registration token; what was registered with it lives on",
                act=self._revoke,
                body=Nothing,
                query=Nothing,
                answer=None,
                status=204,
            ),
        )

    async def _create(self, call: Call[RegistrationTokenInput, Nothing]) -> MadeRegistrationToken:
        sent = call.body
        token, secret = await self._tokens.create(
            sent.owner, call.actor, roles=sent.roles, systems=sent.systems, uses=sent.uses, days=sent.days
        )
        return MadeRegistrationToken(**msgspec.structs.asdict(_view(token)), token=secret.reveal())

    async def _list(self, call: Call[Nothing, Nothing]) -> RegistrationTokenList:
        del call
        return RegistrationTokenList(registration_tokens=tuple(_view(token) for token in await self._tokens.list()))

    async def _revoke(self, call: Call[Nothing, Nothing]) -> None:
        await self._tokens.revoke(call.path["registration_token_id"], call.actor)


def _view(token: RegistrationToken) -> RegistrationTokenView:
    return RegistrationTokenView(
        id=token.id,
        owner=token.owner_email,
        roles=token.roles,
        systems=token.systems,
        uses_left=token.uses_left,
        created_at=rfc3339(token.created_at),
        expires_at=rfc3339(token.expires_at),
    )
