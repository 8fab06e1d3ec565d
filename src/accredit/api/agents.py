"""`/api/v1/agents`: register agents, end them, and give them credentials."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from accredit.agents.model import Agent, AgentStatus, Credential, CredentialKind
from accredit.agents.registry import Agents, NewAgent
from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.clock import rfc3339
from accredit.errors import InputRefused


class AgentInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent to register. Without `roles` nothing is permitted to it, without `systems` no system is allowed."""

    name: str
    owner: Annotated[str, msgspec.Meta(description="the owner's e-mail address")]
    type: str = "service"
    roles: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    capability_level: Annotated[int, msgspec.Meta(description="0 to 4")] = 2


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it is now. `owner` is an e-mail address; `client_id` is the id again, as OAuth calls it."""

    id: str
    client_id: str
    name: str
    owner: str
    type: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    capability_level: int
    status: AgentStatus
    epoch: int
    version: int
    created_at: str


class AgentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Agents in the order of their names. `next` is the `after` of the next page, null on the last."""

    agents: tuple[AgentView, ...]
    next: str | None


class AgentPageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    after: Annotated[str, msgspec.Meta(description="the name after which the page begins")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class CredentialInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credential to add. `jwks` is a JWK or JWK Set of public keys (RFC 7517), just for `public_key`."""

    kind: CredentialKind
    jwks: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})] | UnsetType = UNSET


class CredentialView(msgspec.Struct, frozen=True, kw_only=True):
    """A credential, without the secret and its hash."""

    id: str
    client_id: str
    kind: CredentialKind
    created_at: str
    revoked_at: str | None


class AddedCredential(CredentialView, frozen=True, kw_only=True):
    """A credential that was just added. `client_secret` is shown this once and kept nowhere."""

    client_secret: str | UnsetType = UNSET


class CredentialList(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of one agent, revoked ones too."""

    credentials: tuple[CredentialView, ...]


class AgentEndpoints:
    """What can be done with agents. An agent is named by its id or its name."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        one, credentials = "/api/v1/agents/{agent}", "/api/v1/agents/{agent}/credentials"
        return (
            Endpoint(
                method="POST",
                path="/api/v1/agents",
                summary="Register an agent",
                act=self._create,
                body=AgentInput,
                query=Nothing,
                answer=AgentView,
                status=201,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/agents",
                summary="List agents by name",
                act=self._list,
                body=Nothing,
                query=AgentPageQuery,
                answer=AgentPage,
            ),
            Endpoint(
                method="GET",
                path=one,
                summary="Show an agent",
                act=self._show,
                body=Nothing,
                query=Nothing,
                answer=AgentView,
            ),
            Endpoint(
                method="POST",
                path=f"{one}/suspend",
                summary="End everything that an agent holds, until it is resumed",
                act=self._suspend,
                body=Nothing,
                query=Nothing,
                answer=AgentView,
            ),
            Endpoint(
                method="POST",
                path=f"{one}/resume",
                summary="Let a suspended agent ask for tokens again",
                act=self._resume,
                body=Nothing,
                query=Nothing,
                answer=AgentView,
            ),
            Endpoint(
                method="POST",
                path=f"{one}/retire",
                summary="End an agent for good",
                act=self._retire,
                body=Nothing,
                query=Nothing,
                answer=AgentView,
            ),
            Endpoint(
                method="POST",
                path=credentials,
                summary="Add a client secret, shown once, or public keys",
                act=self._add_credential,
                body=CredentialInput,
                query=Nothing,
                answer=AddedCredential,
                status=201,
            ),
            Endpoint(
                method="GET",
                path=credentials,
                summary="List an agent's credentials",
                act=self._list_credentials,
                body=Nothing,
                query=Nothing,
                answer=CredentialList,
            ),
            Endpoint(
                method="DELETE",
                path=f"{credentials}/{{credential}}",
                summary="Revoke a credential",
                act=self._revoke_credential,
                body=Nothing,
                query=Nothing,
                answer=None,
                status=204,
            ),
        )

    async def _create(self, call: Call[AgentInput, Nothing]) -> AgentView:
        sent = call.body
        new = NewAgent(
            name=sent.name,
            owner=sent.owner,
            type=sent.type,
            roles=sent.roles,
            systems=sent.systems,
            capability_level=sent.capability_level,
        )
        return _view(await self._agents.create(new, call.actor))

    async def _list(self, call: Call[Nothing, AgentPageQuery]) -> AgentPage:
        limit = call.query.limit
        found = await self._agents.list(call.query.after, limit + 1)
        page = tuple(_view(agent) for agent in found[:limit])
        return AgentPage(agents=page, next=page[-1].name if len(found) > limit else None)

    async def _show(self, call: Call[Nothing, Nothing]) -> AgentView:
        return _view(await self._agents.named(call.path["agent"]))

    async def _suspend(self, call: Call[Nothing, Nothing]) -> AgentView:
        return _view(await self._agents.suspend(call.path["agent"], call.actor))

    async def _resume(self, call: Call[Nothing, Nothing]) -> AgentView:
        return _view(await self._agents.resume(call.path["agent"], call.actor))

    async def _retire(self, call: Call[Nothing, Nothing]) -> AgentView:
        return _view(await self._agents.retire(call.path["agent"], call.actor))

    async def _add_credential(self, call: Call[CredentialInput, Nothing]) -> AddedCredential:
        name, sent = call.path["agent"], call.body
        match sent.kind, sent.jwks:
            case CredentialKind.CLIENT_SECRET, UnsetType():
                credential, secret = await self._agents.add_client_secret(name, call.actor)
                return _added(credential, secret.reveal())
            case CredentialKind.PUBLIC_KEY, msgspec.Raw() as jwks:
                return _added(await self._agents.add_public_key(name, bytes(jwks).decode(), call.actor))
            case CredentialKind.PUBLIC_KEY, _:
                raise InputRefused("jwks is missing", next_step="give a JWK Set of public keys (RFC 7517)")
            case _:
                raise InputRefused("a client secret is made here; it takes no jwks", next_step="leave jwks out")

    async def _list_credentials(self, call: Call[Nothing, Nothing]) -> CredentialList:
        agent = await self._agents.named(call.path["agent"])
        return CredentialList(credentials=tuple(_credential(one) for one in agent.credentials))

    async def _revoke_credential(self, call: Call[Nothing, Nothing]) -> None:
        await self._agents.revoke_credential(call.path["agent"], call.path["credential"], call.actor)


def _view(agent: Agent) -> AgentView:
    return AgentView(
        id=agent.id,
        client_id=agent.id,
        name=agent.name,
        owner=agent.owner_email,
        type=agent.type,
        roles=agent.roles,
        systems=agent.systems,
        capability_level=agent.capability_level,
        status=agent.status,
        epoch=agent.epoch,
        version=agent.version,
        created_at=rfc3339(agent.created_at),
    )


def _credential(credential: Credential) -> CredentialView:
    return CredentialView(
        id=credential.id,
        client_id=credential.agent,
        kind=credential.kind,
        created_at=rfc3339(credential.created_at),
        revoked_at=None if credential.revoked_at is None else rfc3339(credential.revoked_at),
    )


def _added(credential: Credential, secret: str | UnsetType = UNSET) -> AddedCredential:
    shown = _credential(credential)
    return AddedCredential(**msgspec.structs.asdict(shown), client_secret=secret)
