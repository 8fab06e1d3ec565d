"""ID-JAG, as issuer: a person who is signed in here is vouched for at another authorization server.

draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3: token exchange, of an ID token or a refresh token of ours, for
an assertion that the client takes to a server which an administrator listed, for the agents and scopes listed with it.
"""

from dataclasses import dataclass
from typing import assert_never

from accredit.agents.model import Agent
from accredit.federation.issuer_configuration import Peer
from accredit.ids import PersonId
from accredit.oauth.errors import InvalidGrant, InvalidRequest, InvalidTarget, UnauthorizedClient
from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.issuance import Ground
from accredit.oauth.resources import ACCREDIT
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.scopes import cut_scopes
from accredit.oauth.standing import Standing
from accredit.people.sessions import Sessions
from accredit.policy.permit import Permit, Refusal, StepUp
from accredit.policy.request import TOKEN_ISSUE, AccessRequest, EarlierActor
from accredit.tokens.assertions import Authentication, IdJagIssuer
from accredit.tokens.errors import InvalidToken
from accredit.tokens.identity import IdTokens

ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  # the name of a type
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"  # noqa: S105  # the name of a type
PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
"""In the metadata, as `authorization_grant_profiles_supported`."""
_OPENID = "openid"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """Who is vouched for, and how they proved it."""

    ground: Ground
    authentication: Authentication


class IdJagIssuance:
    """Decides whether a client may act for a person elsewhere, and signs that."""

    def __init__(self, rooms: OAuthRooms, signing: IdJagIssuer, id_tokens: IdTokens, sessions: Sessions) -> None:
        self._issuers = rooms.trust.issuers
        self._policy = rooms.policy
        self._issuance = rooms.issuance
        self._signing = signing
        self._id_tokens = id_tokens
        self._refresh_tokens = rooms.refresh_tokens
        self._sessions = sessions
        self._people = rooms.people
        self._delegations = rooms.delegations
        self._revocations = rooms.revocations
        self._standing = Standing(rooms.agents, rooms.revocations)
        self._clock = rooms.clock

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises InvalidRequest, InvalidTarget, InvalidGrant, InvalidScope, UnauthorizedClient."""
        parameters = request.parameters
        if "actor_token" in parameters or "actor_token_type" in parameters:
            raise InvalidRequest("an identity assertion takes no actor_token", next_step="leave it out")
        audience = parameters.get("audience")
        if audience is None:
            raise InvalidRequest("audience is missing", next_step="name the issuer of the other authorization server")
        peer, client_id = await self._peer(request.client.agent, audience)
        resource, scopes = _cut(peer, parameters.get("resource"), parameters.get("scope"))
        subject = await self._subject(request)
        permit = await self._decide(request, audience, subject)
        token = await self._signing.issue(
            permit,
            client_id=client_id,
            scopes=scopes,
            resource=resource,
            authentication=subject.authentication,
            lifetime_seconds=peer.lifetime_seconds,
        )
        return Granted(token=token, permit=permit, issued_token_type=ID_JAG)

    async def _peer(self, agent: Agent, audience: str) -> tuple[Peer, str]:
        """The server that an assertion is for, and what the agent is called there."""
        found = await self._issuers.get(audience)
        if found is None or found.peer is None:
            raise InvalidTarget("the audience takes no assertions of ours", next_step="an administrator lists it")
        client_id = found.peer.clients.get(agent.id)
        if client_id is None:
            raise UnauthorizedClient("this agent is not known there", next_step="an administrator lists it")
        return found.peer, client_id or agent.client_id

    async def _subject(self, request: TokenRequest) -> _Subject:
        text, kind = request.parameters["subject_token"], request.parameters["subject_token_type"]
        match kind:
            case "urn:ietf:params:oauth:token-type:id_token":
                subject = await self._of_id_token(request.client.agent, text)
            case "urn:ietf:params:oauth:token-type:refresh_token":
                subject = await self._of_refresh_token(request, text)
            case _:
                raise InvalidRequest("subject_token_type is not taken", next_step=f"use {ID_TOKEN} or {REFRESH_TOKEN}")
        person = subject.ground.person
        if person is None or await self._people.get(PersonId(person)) is None:
            raise _not_taken("no such person")
        return subject

    async def _of_id_token(self, agent: Agent, text: str) -> _Subject:
        try:
            # §4.3.1: the audience of the subject token must be the client that asks.
            found = self._id_tokens.read(text, audience=agent.client_id)
        except InvalidToken as error:
            raise _not_taken(error.explanation) from error
        person = await self._people.get(PersonId(found.sub))
        # Who has signed out, or was signed out, is vouched for no more; a client that works on needs a refresh token.
        if person is None or all(one.id != found.sid for one in await self._sessions.list(person)):
            raise _not_taken("the session has ended")
        # What the person took back since: an ID token names no delegation, and outlives the one that it came of.
        held = await self._delegations.between(person.id, agent.id)
        known = next((one.id for one in held if _OPENID in one.scopes), None)
        if known is None:
            raise _not_taken("the person has ended what they gave")
        return _Subject(
            ground=Ground(
                person=person.id,
                delegation=known,
                session=found.sid,
                lineage=(known,),
                acr=found.acr,
                auth_time=found.auth_time,
            ),
            authentication=Authentication(acr=found.acr, amr=found.amr, auth_time=found.auth_time),
        )

    async def _of_refresh_token(self, request: TokenRequest, text: str) -> _Subject:
        """It is looked at and not used: it stays the one that the client may use next."""
        agent, family = request.client.agent, self._refresh_tokens.open(text)
        if family is None or family.agent != agent.id or family.epoch != agent.epoch:
            raise _not_taken("not a refresh token of this client")
        if family.confirmation is not None and family.confirmation != request.confirmation:
            raise _not_taken("its key was not proved")
        lineage = (family.id, family.delegation)
        if self._clock.seconds() >= family.expires_at or await self._revocations.is_ended(lineage):
            raise _not_taken("ended")
        auth_time = family.auth_time or None
        return _Subject(
            ground=Ground(
                person=family.person,
                delegation=family.delegation,
                session=family.session,
                lineage=lineage,
                acr=family.acr,
                auth_time=auth_time,
            ),
            authentication=Authentication(acr=family.acr, amr=family.amr, auth_time=auth_time),
        )

    async def _decide(self, request: TokenRequest, audience: str, subject: _Subject) -> Permit:
        evidence = self._issuance.evidence(request, subject.ground)
        # An assertion that has left cannot be taken back, so the client's own epoch is looked at once more too.
        agent = request.client.agent
        if not await self._standing.holds((EarlierActor(agent.id, agent.epoch),), evidence.lineage):
            raise _not_taken("just ended")
        # The other server's resources are no systems of ours: it is asked whether the agent may have a token at all.
        decision = self._policy.decide(
            AccessRequest(agent=agent, action=TOKEN_ISSUE, system=ACCREDIT, resource=audience, evidence=evidence),
            once=request.once,
        )
        match decision:
            case Permit():
                return decision
            case Refusal() | StepUp():
                recorded = await decision.ruling.recorded
                raise UnauthorizedClient(decision.reason, next_step=decision.next_step, event=recorded.seq)
            case _:
                assert_never(decision)


def open_id_jag(rooms: OAuthRooms) -> IdJagIssuance:
    """The issuance on top of the rooms."""
    return IdJagIssuance(
        rooms,
        IdJagIssuer(rooms.issuer, rooms.keyring, rooms.clock),
        IdTokens(rooms.issuer, rooms.keyring, rooms.clock, rooms.new_id),
        Sessions(rooms.transactions, rooms.clock, rooms.new_id),
    )


def _cut(peer: Peer, resource: str | None, scope: str | None) -> tuple[str, tuple[str, ...]]:
    """The resource, which may be left out if there is just one, and what is granted of the scopes there."""
    if resource is None and len(peer.resources) == 1:
        resource = next(iter(peer.resources))
    scopes = None if resource is None else peer.resources.get(resource)
    if resource is None or scopes is None:
        raise InvalidTarget("the resource is not one that is listed for this audience", next_step="name one that is")
    return resource, cut_scopes(scope, scopes)


def _not_taken(detail: str) -> InvalidGrant:
    return InvalidGrant(
        "the subject token does not prove who is signed in", next_step="have the person sign in again", detail=detail
    )
