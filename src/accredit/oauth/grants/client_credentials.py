"""Client credentials: an agent asks for a token as itself (RFC 6749 §4.4)."""

from typing import assert_never

from accredit.ids import NewId, TokenId
from accredit.oauth.errors import InvalidScope, UnauthorizedClient
from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.resources import ACCREDIT, ACCREDIT_SCOPES, Resources
from accredit.policy.decide import Policy
from accredit.policy.permit import Permit, Refusal, StepUp
from accredit.policy.request import TOKEN_ISSUE, AccessRequest, Evidence
from accredit.tokens.issue import Issuer


class ClientCredentials:
    """No refresh token is issued (§4.4.3): the agent can always ask again."""

    grant_type = "client_credentials"
    required: frozenset[str] = frozenset()
    optional = frozenset({"resource", "scope"})

    def __init__(self, policy: Policy, issuer: Issuer, resources: Resources, new_id: NewId) -> None:
        self._policy = policy
        self._issuer = issuer
        self._resources = resources
        self._new_id = new_id

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises InvalidTarget, InvalidScope if nothing that was asked for is open, UnauthorizedClient."""
        agent = request.client.agent
        system = self._resources.resolve(agent, request.parameters.get("resource"))
        entitled = ACCREDIT_SCOPES if system is ACCREDIT else self._policy.entitled_scopes(agent, system)
        scopes = _cut(request.parameters.get("scope"), entitled)
        audience = self._resources.audience(system)
        token_id = TokenId(self._new_id("tok"))

        decision = self._policy.decide(
            AccessRequest(
                agent=agent,
                action=TOKEN_ISSUE,
                system=system,
                resource=audience,
                evidence=Evidence(authentication=request.client.method, token_id=token_id),
            ),
            once=request.client.once,
        )

        match decision:
            case Permit():
                token = self._issuer.issue(decision, token_id=token_id, audience=audience, scopes=scopes)
                return Granted(token=token, permit=decision)
            case Refusal() | StepUp():
                recorded = await decision.ruling.recorded
                raise UnauthorizedClient(decision.reason, next_step=decision.next_step, event=recorded.seq)
            case _:
                assert_never(decision)


def _cut(asked: str | None, entitled: tuple[str, ...]) -> tuple[str, ...]:
    """What is granted: what was asked for, cut to what the agent is entitled to; all of that if nothing was asked."""
    if asked is None:
        return entitled
    wanted = asked.split(" ")
    scopes = tuple(scope for scope in entitled if scope in wanted)
    if not scopes:
        raise InvalidScope(
            "none of the scopes is open to this agent on this system",
            next_step="leave scope out to get all that are, or ask the owner for a role",
        )
    return scopes
