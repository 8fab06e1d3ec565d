"""A workload proves itself by a token of its platform: nothing is kept that could leak (RFC 7521 §4.2).

As a client assertion of a trusted issuer, as a JWT-SVID (draft-ietf-oauth-spiffe-client-auth-02), or as the assertion
of the jwt-bearer grant, which then is the client's proof too (RFC 7521 §4.1: further authentication is optional).
"""

from accredit.federation.assertions import ID_JAG_TYPE, AssertionRefused, Assertions, unverified_type
from accredit.oauth.client_assertions import (
    JWT_BEARER_ASSERTION,
    JWT_BEARER_GRANT,
    SPIFFE_ASSERTION,
    WORKLOAD,
    is_of_another_issuer,
)
from accredit.oauth.client_auth import AuthenticatedClient, ClientRequest, invalid_client
from accredit.oauth.errors import InvalidGrant, OAuthError

SPIFFE = "spiffe_jwt"
FEDERATED = "federated_jwt"
# Any of these is another way to authenticate.
_OTHER_WAYS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


class Federated:
    """Takes the word of the issuers that an administrator trusts, about the workloads that are agents."""

    # The other two are known to clients by other names: `private_key_jwt`, and the grant.
    methods = (SPIFFE,)

    def __init__(self, assertions: Assertions) -> None:
        self._assertions = assertions

    def method_of(self, request: ClientRequest) -> str | None:
        """Told by who made the client assertion; by the grant where there is no other way in the request."""
        form = request.form
        if form.get("client_assertion_type") == SPIFFE_ASSERTION:
            return SPIFFE
        if form.get("client_assertion_type") == JWT_BEARER_ASSERTION:
            return FEDERATED if is_of_another_issuer(form) else None
        if form.get("grant_type") != JWT_BEARER_GRANT or request.authorization is not None:
            return None
        # An identity assertion is about a person: the client has to prove itself beside it.
        is_workload = _OTHER_WAYS.isdisjoint(form) and unverified_type(form.get("assertion", "")) != ID_JAG_TYPE
        return WORKLOAD if is_workload and "assertion" in form else None

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient:
        """Raises InvalidClient, or InvalidGrant where the grant is the proof (RFC 7521 §4.1.1); Unavailable."""
        method = self.method_of(request) or FEDERATED
        assertion = request.form.get("assertion" if method == WORKLOAD else "client_assertion", "")
        try:
            workload = await self._assertions.workload(assertion)
        except AssertionRefused as error:
            raise _not_proved(method, error.detail) from error
        if method == SPIFFE and workload.issuer.kind != "spiffe":
            raise _not_proved(method, "no JWT-SVID")
        agent = await self._assertions.agent_of(workload)
        if agent is None:
            raise _not_proved(method, f"no agent is {workload.subject[:100]} of {workload.issuer.name}")
        # RFC 7521 §4.2: a client_id beside the assertion must name the same client.
        if request.form.get("client_id", agent.id) not in (agent.id, agent.client_id, workload.subject):
            raise _not_proved(method, "client_id")
        return AuthenticatedClient(agent=agent, method=method, once=workload.once)


def _not_proved(method: str, detail: str) -> OAuthError:
    if method != WORKLOAD:
        return invalid_client(detail=detail)
    return InvalidGrant(
        "the assertion is not taken",
        next_step="check its issuer, its audience and its time; the owner of the agent can see for whom it holds",
        detail=detail,
    )
