"""`/api/v1/agents`: register agents, end them, and give them credentials."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from accredit.agents.client_metadata import ClientDocument, check_client_document, document_of
from accredit.agents.model import Agent, AgentStatus, Credential, CredentialKind
from accredit.agents.new_agent import MAX_ACTORS, MAX_SESSION_SECONDS, NewAgent
from accredit.agents.registry import Agents
from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.audit.event import Actor
from accredit.clock import rfc3339
from accredit.errors import Conflict, InputRefused
from accredit.federation.issuers import TrustedIssuers


class AgentInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent to register. Without `roles` nothing is permitted to it, without `systems` no system is allowed."""

    name: Annotated[str, msgspec.Meta(examples=["lead-scout"], extra_json_schema={"minLength": 1, "maxLength": 64})]
    owner: Annotated[str, msgspec.Meta(description="the owner's e-mail address", extra_json_schema={"format": "email"})]
    type: str = "service"
    roles: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    capability_level: Annotated[int, msgspec.Meta(description="0 to 4")] = 2
    max_session_seconds: (
        Annotated[int, msgspec.Meta(ge=1, le=MAX_SESSION_SECONDS, description="bounds its tokens and refresh chains")]
        | UnsetType
    ) = UNSET
    may_act: Annotated[
        tuple[str, ...],
        msgspec.Meta(max_length=MAX_ACTORS, description="ids or names of agents that may act with its tokens"),
    ] = ()


class ClientInput(ClientDocument, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent is as an OAuth client (RFC 7591 §2)."""


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it is now. `owner` is an e-mail address; `client_id` is what OAuth calls it: its id, or its URL.

    `client` is what it is as an OAuth client, null if it only acts as itself.
    """

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
    max_session_seconds: int
    may_act: tuple[str, ...]
    client: ClientDocument | None


class AgentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Agents in the order of their names. `next` is the `after` of the next page, null on the last."""

    agents: tuple[AgentView, ...]
    next: str | None


class AgentPageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    after: Annotated[str, msgspec.Meta(description="the name after which the page begins")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class CredentialInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credential to add, with the one member that its kind takes; a client secret is made here and takes none.

    `public_key` takes `jwks`, a JWK or JWK Set of public keys (RFC 7517); `tls_subject` takes `subject`, what the
    certificate must hold; `tls_certificate` takes `certificate`, in PEM (RFC 8705). `federated` takes `issuer`, that is
    trusted, `subject`, the `sub` of the workload's tokens, and `claims`, what else they must say.
    """

    kind: CredentialKind
    jwks: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})] | UnsetType = UNSET
    subject: Annotated[str, msgspec.Meta(description="dn:…, dns:…, uri:…, email:…, ip:…, or `sub`")] | UnsetType = UNSET
    certificate: Annotated[str, msgspec.Meta(description="one certificate in PEM")] | UnsetType = UNSET
    issuer: Annotated[str, msgspec.Meta(description="the `iss` of the workload's tokens")] | UnsetType = UNSET
    claims: dict[str, str] = {}


class CredentialView(msgspec.Struct, frozen=True, kw_only=True):
    """A credential, without secret and hash. `issuer` and `claims` are a workload's, `subject` also a certificate's."""

    id: str
    client_id: str
    kind: CredentialKind
    created_at: str
    revoked_at: str | None
    issuer: str | None = None
    subject: str | None = None
    claims: dict[str, str] = {}


class AddedCredential(CredentialView, frozen=True, kw_only=True):
    """A credential that was just added. `client_secret` is shown this once and kept nowhere."""

    client_secret: str | UnsetType = UNSET


class CredentialList(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of one agent, revoked ones too."""

    credentials: tuple[CredentialView, ...]


class AgentEndpoints:
    """What can be done with agents. An agent is named by its id or its name."""

    def __init__(self, agents: Agents, issuers: TrustedIssuers) -> None:
        self._agents = agents
        self._issuers = issuers

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
                method="PUT",
                path=f"{one}/client",
                summary="Say what an agent is as an OAuth client",
                act=self._set_client,
                body=ClientInput,
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
            max_session_seconds=None if isinstance(sent.max_session_seconds, UnsetType) else sent.max_session_seconds,
            may_act=sent.may_act,
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

    async def _set_client(self, call: Call[ClientInput, Nothing]) -> AgentView:
        metadata = check_client_document(call.body)
        agent = await self._agents.named(call.path["agent"])
        if agent.client_url is not None:
            raise Conflict("this client says what it is at its own URL", next_step=f"see {agent.client_url}")
        return _view(await self._agents.set_client(agent.id, metadata, call.actor))

    async def _add_credential(self, call: Call[CredentialInput, Nothing]) -> AddedCredential:
        name, sent, actor = call.path["agent"], call.body, call.actor
        if sent.kind is CredentialKind.FEDERATED:
            return _added(await self._add_workload(name, sent, actor))
        if sent.issuer is not UNSET or sent.claims:
            raise InputRefused("issuer and claims go with the kind federated", next_step="leave them out")
        match sent.kind, sent.jwks, sent.subject, sent.certificate:
            case CredentialKind.CLIENT_SECRET, UnsetType(), UnsetType(), UnsetType():
                credential, secret = await self._agents.add_client_secret(name, actor)
                return _added(credential, secret.reveal())
            case CredentialKind.PUBLIC_KEY, msgspec.Raw() as jwks, UnsetType(), UnsetType():
                return _added(await self._agents.add_public_key(name, bytes(jwks).decode(), actor))
            case CredentialKind.TLS_SUBJECT, UnsetType(), str() as subject, UnsetType():
                return _added(await self._agents.add_tls_subject(name, subject, actor))
            case CredentialKind.TLS_CERTIFICATE, UnsetType(), UnsetType(), str() as certificate:
                return _added(await self._agents.add_tls_certificate(name, certificate, actor))
        raise InputRefused(
            "client_secret takes no member, public_key jwks, tls_subject subject, tls_certificate certificate",
            next_step="give the one that goes with the kind, and no other",
        )

    async def _add_workload(self, name: str, sent: CredentialInput, actor: Actor) -> Credential:
        issuer, subject = sent.issuer, sent.subject
        has_others = sent.jwks is not UNSET or sent.certificate is not UNSET
        if isinstance(issuer, UnsetType) or isinstance(subject, UnsetType) or has_others:
            raise InputRefused("federated takes issuer and subject", next_step="and claims, if the token must say more")
        await self._issuers.check_credential(issuer, subject, sent.claims)
        return await self._agents.add_workload(name, issuer, subject, sent.claims, actor)

    async def _list_credentials(self, call: Call[Nothing, Nothing]) -> CredentialList:
        agent = await self._agents.named(call.path["agent"])
        return CredentialList(credentials=tuple(_credential(one) for one in agent.credentials))

    async def _revoke_credential(self, call: Call[Nothing, Nothing]) -> None:
        await self._agents.revoke_credential(call.path["agent"], call.path["credential"], call.actor)


def _view(agent: Agent) -> AgentView:
    return AgentView(
        id=agent.id,
        client_id=agent.client_id,
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
        max_session_seconds=agent.max_session_seconds,
        may_act=agent.may_act,
        client=None if agent.client is None else document_of(agent.client),
    )


def _credential(credential: Credential) -> CredentialView:
    return CredentialView(
        id=credential.id,
        client_id=credential.agent,
        kind=credential.kind,
        created_at=rfc3339(credential.created_at),
        revoked_at=None if credential.revoked_at is None else rfc3339(credential.revoked_at),
        issuer=credential.issuer,
        subject=credential.subject,
        claims=dict(credential.claims),
    )


def _added(credential: Credential, secret: str | UnsetType = UNSET) -> AddedCredential:
    shown = _credential(credential)
    return AddedCredential(**msgspec.structs.asdict(shown), client_secret=secret)
