"""jwt-bearer (RFC 7523 §2.1): the word of a trusted issuer becomes a token.

About a workload: the agent that it is acts as itself. About a person (ID-JAG, draft-ietf-oauth-identity-assertion-
authz-grant-04): the agent acts for them, with what their company's identity provider allowed it, and no more than both
may. The person sees it among what they have delegated, and ends it there.
"""

from accredit.delegations.model import Delegation
from accredit.errors import InputRefused
from accredit.federation.assertions import AssertionRefused, IdentityAssertion
from accredit.oauth.client_assertions import JWT_BEARER_GRANT, WORKLOAD
from accredit.oauth.errors import InvalidGrant, InvalidScope, InvalidTarget
from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.issuance import Ground
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.scopes import agent_scopes, cut_scopes, person_scopes
from accredit.oauth.standing import Standing
from accredit.people.directory import normal_email
from accredit.people.identities import Identity, UnknownIdentity
from accredit.people.model import Person
from accredit.storage.writer import Once, Tx, UsedBefore
from accredit.systems.model import System


class JwtBearer:
    """No refresh token is issued: the assertion's issuer decides each time."""

    grant_type = JWT_BEARER_GRANT
    required = frozenset({"assertion"})
    optional = frozenset({"resource", "scope"})
    is_open_to_public_clients = False

    def __init__(self, rooms: OAuthRooms) -> None:
        self._trust = rooms.trust
        self._policy = rooms.policy
        self._issuance = rooms.issuance
        self._resources = rooms.resources
        self._delegations = rooms.delegations
        self._standing = Standing(rooms.agents, rooms.revocations)
        self._transactions = rooms.transactions
        self._delegation_seconds = rooms.settings.delegation_seconds
        self._clock = rooms.clock

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises InvalidGrant, InvalidTarget, InvalidScope, UnauthorizedClient."""
        if request.client.method == WORKLOAD:
            return await self._as_itself(request)
        try:
            assertion = await self._trust.assertions.identity(request.parameters["assertion"])
        except AssertionRefused as error:
            raise InvalidGrant(error.explanation, next_step=error.next_step, detail=error.detail) from error
        self._check_client(request, assertion)
        return await self._for_person(request, assertion)

    async def _as_itself(self, request: TokenRequest) -> Granted:
        agent = request.client.agent
        system = self._resources.resolve(agent, request.parameters.get("resource"))
        evidence = self._issuance.evidence(request)
        entitled = agent_scopes(self._policy, agent, system, evidence)
        scopes = cut_scopes(request.parameters.get("scope"), entitled)
        token, permit = await self._issuance.issue(request, system, scopes, evidence)
        return Granted(token=token, permit=permit)

    def _check_client(self, request: TokenRequest, assertion: IdentityAssertion) -> None:
        agent = request.client.agent
        if assertion.client_id not in (agent.id, agent.client_id):
            # Whoever got hold of it elsewhere is another client.
            raise InvalidGrant("the assertion is for another client", next_step="ask the identity provider for one")
        proved = None if request.confirmation is None else request.confirmation.jkt
        if assertion.key is not None and assertion.key != proved:
            raise InvalidGrant("the assertion is bound to a key", next_step="send a DPoP proof of that key")

    async def _for_person(self, request: TokenRequest, assertion: IdentityAssertion) -> Granted:
        agent = request.client.agent
        system = self._system(request, assertion)
        try:
            person = await self._trust.identities.vouched_for(_identity(assertion))
        except UnknownIdentity as error:
            raise InvalidGrant(error.explanation, next_step=error.next_step, event=error.event) from error
        ground = Ground(person=person.id, acr=assertion.acr, auth_time=assertion.auth_time)
        scopes = self._scopes(request, assertion, system, person, ground)
        delegation, once = await self._delegation(request, assertion, system, person, scopes)
        if not await self._standing.holds((), (delegation.id,)):
            raise InvalidGrant("the person has just ended this", next_step="ask them")
        ground = Ground(
            person=person.id,
            delegation=delegation.id,
            lineage=(delegation.id,),
            acr=assertion.acr,
            auth_time=assertion.auth_time,
            not_after=min(delegation.expires_at, self._clock.seconds() + agent.max_session_seconds),
        )
        evidence = self._issuance.evidence(request, ground)
        token, permit = await self._issuance.issue(request, system, scopes, evidence, ground, once)
        return Granted(token=token, permit=permit, on_reuse=_nothing_came_of_it)

    def _system(self, request: TokenRequest, assertion: IdentityAssertion) -> System:
        asked = request.parameters.get("resource")
        if asked is None and len(assertion.resources) == 1:
            asked = assertion.resources[0]
        if assertion.resources and asked not in assertion.resources:
            raise InvalidTarget("the assertion is for another resource", next_step="ask for one that it names")
        return self._resources.resolve(request.client.agent, asked)

    def _scopes(
        self, request: TokenRequest, assertion: IdentityAssertion, system: System, person: Person, ground: Ground
    ) -> tuple[str, ...]:
        evidence = self._issuance.evidence(request, ground)
        bounds = [
            agent_scopes(self._policy, request.client.agent, system, evidence),
            person_scopes(self._policy, person, system, evidence),
        ]
        if assertion.scopes is not None:
            bounds.append(assertion.scopes)
        if assertion.issuer.people is not None and assertion.issuer.people.scopes:
            bounds.append(assertion.issuer.people.scopes)
        scopes = cut_scopes(request.parameters.get("scope"), *bounds)
        if not scopes:
            next_step = "the identity provider, the agent's owner and the person's roles decide"
            raise InvalidScope("no scope is open to this agent for this person", next_step=next_step)
        return scopes

    async def _delegation(
        self,
        request: TokenRequest,
        assertion: IdentityAssertion,
        system: System,
        person: Person,
        scopes: tuple[str, ...],
    ) -> tuple[Delegation, tuple[Once, ...]]:
        """The delegation that holds for this, made if there is none; and what is still to be spent."""
        agent, audience, now = request.client.agent, self._resources.audience(system), self._clock.seconds()
        for one in await self._delegations.between(person.id, agent.id):
            if one.covers(audience, scopes, (), now):
                return one, assertion.once
        seconds = min(self._delegation_seconds, agent.max_session_seconds)
        made = Delegation(
            id=self._delegations.new_id(),
            person=person.id,
            agent=agent.id,
            system=system.name,
            audience=audience,
            scopes=scopes,
            details=(),
            remembered=False,
            created_at=now,
            expires_at=now + seconds,
        )

        def write(tx: Tx) -> None:
            # With it, so that an assertion that was used before makes nothing.
            for once in assertion.once:
                tx.use(once)
            self._delegations.make(tx, made, agent, None, f"id_jag:{assertion.issuer.name}")

        try:
            await self._transactions.change(write)
        except UsedBefore as error:
            raise InvalidGrant("the assertion was used before", next_step="ask for a new one") from error
        return made, ()


async def _nothing_came_of_it(once: Once) -> None:
    """An assertion that is used again ends nothing: who has it is not known, and the first use stands."""
    del once


def _identity(assertion: IdentityAssertion) -> Identity:
    vouching = assertion.issuer.people
    email = _email(assertion.email)
    domains = () if vouching is None else vouching.authoritative_domains
    return Identity(
        issuer=assertion.issuer.issuer,
        subject=assertion.subject,
        email=email,
        # Elsewhere people can give themselves any address; here only the domains that the issuer speaks for count.
        email_is_proven=email is not None and assertion.email_verified and email.rpartition("@")[2] in domains,
        name=assertion.name[:200] if assertion.name.isprintable() else "",
        roles=() if vouching is None else vouching.roles,
        authentication=f"id_jag:{assertion.issuer.name}",
        create=vouching is not None and vouching.create_people,
    )


def _email(text: str | None) -> str | None:
    try:
        return None if text is None else normal_email(text)
    except InputRefused:
        return None
