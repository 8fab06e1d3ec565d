"""The one way to a token, which every grant takes: decide, and issue with the permit."""

from dataclasses import dataclass
from typing import assert_never

from accredit.delegations.model import ActionDetails
from accredit.ids import NewId
from accredit.oauth.errors import InvalidRequest, UnauthorizedClient
from accredit.oauth.grant import TokenRequest
from accredit.oauth.resources import Resources
from accredit.policy.decide import Policy
from accredit.policy.permit import Permit, Refusal, StepUp
from accredit.policy.request import TOKEN_ISSUE, AccessRequest, EarlierActor, Evidence
from accredit.storage.writer import Once
from accredit.systems.model import System
from accredit.tokens.issue import AccessToken, Issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """On what a token is issued, beside the agent's own right: for whom, by which delegation, out of what.

    `lineage` holds the ids of everything whose end ends it; `not_after` (seconds since 1970) bounds its life.
    """

    person: str | None = None
    delegation: str | None = None
    session: str | None = None
    actors: tuple[EarlierActor, ...] = ()
    lineage: tuple[str, ...] = ()
    details: tuple[ActionDetails, ...] = ()
    acr: str = ""
    auth_time: float | None = None
    not_after: float | None = None


AS_ITSELF = Ground()


class Issuance:
    """Decides on a token, and signs it."""

    def __init__(
        self, policy: Policy, issuer: Issuer, resources: Resources, new_id: NewId, *, sender_constrained: bool = False
    ) -> None:
        self._policy = policy
        self._issuer = issuer
        self._resources = resources
        self._new_id = new_id
        self._sender_constrained = sender_constrained

    def evidence(self, request: TokenRequest, ground: Ground = AS_ITSELF) -> Evidence:
        """What the decision will know of the request; scopes are cut with the same."""
        return Evidence(
            authentication=request.client.method,
            token_id=self._new_id("tok"),
            session=ground.session,
            person=ground.person,
            delegation=ground.delegation,
            actors=ground.actors,
            lineage=ground.lineage,
            sender_constraint="" if request.confirmation is None else request.confirmation.sender_constraint,
            acr=ground.acr,
        )

    async def issue(
        self,
        request: TokenRequest,
        system: System,
        scopes: tuple[str, ...],
        evidence: Evidence,
        ground: Ground = AS_ITSELF,
        once: tuple[Once, ...] = (),
    ) -> tuple[AccessToken, Permit]:
        """The token and the permit that must be settled before it leaves.

        `once` is spent with a permit; what proved the client, with any decision.
        Raises UnauthorizedClient with the refusal's event, InvalidRequest if the token would have to be bound to a key
        and none was proved.
        """
        agent = request.client.agent
        bound = agent.client is not None and agent.client.dpop_bound_access_tokens
        if request.confirmation is None and (self._sender_constrained or bound):
            raise InvalidRequest("the token must be bound to a key", next_step="send a DPoP proof (RFC 9449 §5)")
        audience = self._resources.audience(system)
        decision = self._policy.decide(
            AccessRequest(agent=agent, action=TOKEN_ISSUE, system=system, resource=audience, evidence=evidence),
            once=request.once,
            if_permitted=once,
        )
        match decision:
            case Permit():
                token = await self._issuer.issue(
                    decision,
                    audience=audience,
                    scopes=scopes,
                    algorithm=system.token_algorithm,
                    confirmation=request.confirmation,
                    details=ground.details,
                    auth_time=ground.auth_time,
                    not_after=ground.not_after,
                )
                return token, decision
            case Refusal() | StepUp():
                recorded = await decision.ruling.recorded
                raise UnauthorizedClient(decision.reason, next_step=decision.next_step, event=recorded.seq)
            case _:
                assert_never(decision)
