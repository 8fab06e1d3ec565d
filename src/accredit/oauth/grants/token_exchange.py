"""Token exchange (RFC 8693): a token becomes a narrower one, for the same agent or for one that may act with it.

Whatever is exchanged: never more scopes, another audience, wider details or a later end than the token that it comes
of, and whatever ends that one ends all that came of it.
"""

from accredit.ids import PersonId
from accredit.oauth.details import parse_details, resolve_details
from accredit.oauth.errors import InvalidRequest, InvalidTarget, OAuthError, UnauthorizedClient
from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.id_jag import ID_JAG, IdJagIssuance
from accredit.oauth.issuance import Ground
from accredit.oauth.narrowing import narrow_details
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.scopes import agent_scopes, cut_scopes, person_scopes
from accredit.oauth.standing import Standing
from accredit.policy.request import EarlierActor, Evidence
from accredit.systems.model import System
from accredit.tokens.errors import InvalidToken
from accredit.tokens.model import Caller

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # the name of a type
_ACCESS_TOKENS = frozenset({ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"})
# Each exchange adds to what ends the token, and the token must stay small enough for a header.
_LINEAGE = 24


class TokenExchange:
    """§2: `subject_token` is whose rights are used, the client is who will act with them."""

    grant_type = GRANT_TYPE
    required = frozenset({"subject_token", "subject_token_type"})
    optional = frozenset(
        {"actor_token", "actor_token_type", "requested_token_type", "audience", "resource", "scope"}
        | {"authorization_details"}
    )
    is_open_to_public_clients = False

    def __init__(self, rooms: OAuthRooms, id_jag: IdJagIssuance) -> None:
        self._verifier = rooms.verifier
        self._policy = rooms.policy
        self._issuance = rooms.issuance
        self._resources = rooms.resources
        self._people = rooms.people
        self._standing = Standing(rooms.agents, rooms.revocations)
        self._id_jag = id_jag
        self._delegation_depth = rooms.settings.delegation_depth

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises InvalidRequest, InvalidTarget, InvalidScope, InvalidAuthorizationDetails, UnauthorizedClient."""
        parameters = request.parameters
        requested = parameters.get("requested_token_type", ACCESS_TOKEN)
        if requested == ID_JAG:
            return await self._id_jag.handle(request)
        if requested not in _ACCESS_TOKENS:
            raise InvalidRequest("requested_token_type is not issued here", next_step=f"leave it out, or use {ID_JAG}")
        subject = await self._examine(request, "subject_token")
        actor = await self._actor(request)
        actors = self._chain(request, subject)
        system = self._system(request, subject)
        details = parse_details(parameters.get("authorization_details"))
        resolve_details(details, system)
        lineage = _lineage(subject, actor)
        ground = Ground(
            person=subject.evidence.person,
            delegation=subject.evidence.delegation,
            actors=actors,
            lineage=lineage,
            details=narrow_details(details, subject.details),
            acr=subject.evidence.acr,
            auth_time=subject.auth_time,
            not_after=subject.expires_at if actor is None else min(subject.expires_at, actor.expires_at),
        )
        evidence = self._issuance.evidence(request, ground)
        scopes = await self._scopes(request, subject, system, evidence)
        if not await self._standing.holds(evidence.actors, lineage):
            raise _ended()
        token, permit = await self._issuance.issue(request, system, scopes, evidence, ground)
        return Granted(token=token, permit=permit, issued_token_type=ACCESS_TOKEN, details=ground.details)

    async def _examine(self, request: TokenRequest, name: str) -> Caller:
        """The token of a parameter: ours, not ended, for whatever audience."""
        if request.parameters.get(f"{name}_type") not in _ACCESS_TOKENS:
            raise InvalidRequest(f"{name}_type is not taken", next_step=f"use {ACCESS_TOKEN}")
        try:
            found = await self._verifier.examine(request.parameters[name])
        except InvalidToken as error:
            # §2.2.2: an invalid token is an invalid request.
            raise InvalidRequest(f"{name}: {error.explanation}", next_step=error.next_step, detail=name) from error
        # Whoever holds a bound token proves its key (RFC 9449 §7, RFC 8705 §3). That holds for the client's own tokens;
        # another agent's was bound to a key that only that agent has, and `may_act` names who may act with it.
        is_own = found.agent.id == request.client.agent.id
        if is_own and found.confirmation is not None and found.confirmation != request.confirmation:
            raise InvalidRequest(f"{name}: its key was not proved", next_step="prove the key that it is bound to")
        return found

    async def _actor(self, request: TokenRequest) -> Caller | None:
        """The client's own token, as itself: it can prove again who acts, and never that somebody else does."""
        given = [name for name in ("actor_token", "actor_token_type") if name in request.parameters]
        if not given:
            return None
        if len(given) == 1:
            raise InvalidRequest("actor_token and actor_token_type go together (RFC 8693 §2.1)")
        actor = await self._examine(request, "actor_token")
        if actor.agent.id != request.client.agent.id or actor.subject != actor.agent.id:
            raise InvalidRequest(
                "actor_token is not the client's own, as itself", next_step="leave it out, or send yours"
            )
        return actor

    def _chain(self, request: TokenRequest, subject: Caller) -> tuple[EarlierActor, ...]:
        """Who stands behind the client in the new token. Raises UnauthorizedClient if it may not stand before them."""
        agent, earlier = request.client.agent, subject.evidence.actors
        if agent.id == subject.agent.id:
            return earlier
        # What the token said when it was made, and what its agent says now: taking it back holds at once.
        if agent.id not in (subject.may_act or ()) or agent.id not in subject.agent.may_act:
            raise UnauthorizedClient(
                "the subject token does not let this agent act with it",
                next_step="its agent must name this one in may_act",
            )
        if any(actor.agent == agent.id for actor in earlier):
            raise InvalidRequest(
                "the agent acts in this chain already", next_step="exchange the token that it had then"
            )
        if len(earlier) + 2 > self._delegation_depth:
            raise InvalidRequest(
                f"more than {self._delegation_depth} agents would act in this chain", next_step="hand over less often"
            )
        return (EarlierActor(subject.agent.id, subject.epoch), *earlier)

    def _system(self, request: TokenRequest, subject: Caller) -> System:
        for name in ("resource", "audience"):
            if request.parameters.get(name, subject.audience) != subject.audience:
                raise InvalidTarget(
                    "a token is exchanged for the same resource only", next_step="leave resource and audience out"
                )
        return self._resources.resolve(request.client.agent, subject.audience)

    async def _scopes(
        self, request: TokenRequest, subject: Caller, system: System, evidence: Evidence
    ) -> tuple[str, ...]:
        bounds = [agent_scopes(self._policy, request.client.agent, system, evidence), tuple(sorted(subject.scopes))]
        if evidence.person is not None:
            person = await self._people.get(PersonId(evidence.person))
            # Rights that the person has lost since are not handed on.
            bounds.append(() if person is None else person_scopes(self._policy, person, system, evidence))
        return cut_scopes(request.parameters.get("scope"), *bounds)


def _lineage(subject: Caller, actor: Caller | None) -> tuple[str, ...]:
    """The ids of everything whose end ends the new token: its parents, and all that ended them."""
    behind = subject.evidence.lineage if actor is None else (*subject.evidence.lineage, *actor.evidence.lineage)
    lineage = tuple(dict.fromkeys(behind))
    if len(lineage) > _LINEAGE:
        raise InvalidRequest("the token comes of too many others", next_step="begin with a new one")
    return lineage


def _ended() -> OAuthError:
    return InvalidRequest("subject_token: the token was ended", next_step="ask for a new one, or ask the owner")
