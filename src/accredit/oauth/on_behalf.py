"""A token for an agent that acts for a person: what a code and a refresh token are both changed into.

Rights are cut anew each time: to the consent, the agent's, the person's as they are now, and the system's.
"""

from dataclasses import dataclass

from accredit.agents.model import Agent
from accredit.agents.revocations import Revocations
from accredit.oauth.errors import InvalidGrant
from accredit.oauth.grant import Granted, OnReuse, TokenRequest
from accredit.oauth.issuance import Ground, Issuance
from accredit.oauth.resources import Resources
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.scopes import cut_delegated, delegable_scopes
from accredit.people.directory import People
from accredit.people.model import Person
from accredit.policy.decide import Policy
from accredit.sensitive import Sensitive
from accredit.storage.writer import Once
from accredit.systems.model import System
from accredit.tokens.identity import IdTokens
from accredit.tokens.issue import AccessToken
from accredit.tokens.refresh import RefreshFamily, RefreshTokens

_NEXT = "ask the person again, at the authorization endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One use of a family: `scope` is what is asked for now; `once` is spent; `is_first` when a code begins it."""

    family: RefreshFamily
    scope: str
    once: Once
    on_reuse: OnReuse
    is_first: bool = False


class OnBehalf:
    """Issues for a person."""

    def __init__(
        self,
        people: People,
        policy: Policy,
        issuance: Issuance,
        resources: Resources,
        refresh_tokens: RefreshTokens,
        revocations: Revocations,
        id_tokens: IdTokens,
    ) -> None:
        self._people = people
        self._policy = policy
        self._issuance = issuance
        self._resources = resources
        self._refresh_tokens = refresh_tokens
        self._revocations = revocations
        self._id_tokens = id_tokens

    async def issue(self, request: TokenRequest, turn: Turn) -> Granted:
        """The tokens of this turn. Raises InvalidGrant, InvalidScope if nothing is left, UnauthorizedClient."""
        family, agent = turn.family, request.client.agent
        if family.epoch != agent.epoch or await self._revocations.is_ended((family.id, family.delegation)):
            raise InvalidGrant("what the person gave was ended", next_step=_NEXT)
        person, system = await self._find(family)
        ground = Ground(
            person=person.id,
            delegation=family.delegation,
            session=family.session,
            lineage=(family.delegation, family.id),
            details=family.details,
            acr=family.acr,
            auth_time=family.auth_time,
            not_after=family.expires_at,
        )
        evidence = self._issuance.evidence(request, ground)
        scopes = cut_delegated(turn.scope, delegable_scopes(self._policy, agent, person, system, evidence))
        token, permit = await self._issuance.issue(request, system, scopes, evidence, ground, (turn.once,))
        return Granted(
            token=token,
            permit=permit,
            refresh_token=self._refresh_token(agent, turn),
            id_token=await self._id_token(agent, person, turn, token, scopes),
            details=family.details,
            on_reuse=turn.on_reuse,
        )

    async def _find(self, family: RefreshFamily) -> tuple[Person, System]:
        person = await self._people.get(family.person)
        system = self._resources.of_audience(family.audience)
        if person is None or system is None:
            raise InvalidGrant("the person or the system is gone", next_step=_NEXT)
        return person, system

    def _refresh_token(self, agent: Agent, turn: Turn) -> Sensitive | None:
        if agent.client is None or "refresh_token" not in agent.client.grant_types:
            return None
        return self._refresh_tokens.seal(turn.family if turn.is_first else turn.family.next())

    async def _id_token(
        self, agent: Agent, person: Person, turn: Turn, token: AccessToken, scopes: tuple[str, ...]
    ) -> Sensitive | None:
        # OpenID Connect Core §12.2: a refresh need not bring another, and its nonce would be an old one.
        if not turn.is_first or "openid" not in scopes:
            return None
        family = turn.family
        return await self._id_tokens.issue(
            agent,
            person,
            access_token=token.token,
            nonce=family.nonce,
            auth_time=family.auth_time,
            acr=family.acr,
            amr=family.amr,
            session=family.session,
        )


def open_on_behalf(rooms: OAuthRooms) -> OnBehalf:
    """As the server is wired."""
    return OnBehalf(
        rooms.people,
        rooms.policy,
        rooms.issuance,
        rooms.resources,
        rooms.refresh_tokens,
        rooms.revocations,
        rooms.id_tokens,
    )
