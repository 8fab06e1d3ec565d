"""The management API: one table of endpoints, from which its routes and its description are made."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from accredit.agents.registration_tokens import RegistrationTokens
from accredit.agents.registry import Agents
from accredit.api.agents import AgentEndpoints
from accredit.api.audit import AuditEndpoints, Export
from accredit.api.authentication import ManagementToken
from accredit.api.delegations import DelegationEndpoints
from accredit.api.endpoint import Address, AnyEndpoint
from accredit.api.keys import KeyEndpoints
from accredit.api.openapi import openapi_document
from accredit.api.own import OwnEndpoints
from accredit.api.own_endpoint import OwnAddress
from accredit.api.people import PersonEndpoints
from accredit.api.policies import PolicyEndpoints
from accredit.api.registration_tokens import RegistrationTokenEndpoints
from accredit.api.sign_in_links import SignInLinkEndpoints
from accredit.api.sign_in_providers import SignInProviderEndpoints
from accredit.api.systems import AudienceOf, DiscoverTools, SystemEndpoints
from accredit.api.tokens import TokenEndpoints
from accredit.api.trusted_issuers import TrustedIssuerEndpoints
from accredit.audit.reading import AuditLog
from accredit.clock import Clock
from accredit.delegations.register import Delegations
from accredit.federation.issuers import TrustedIssuers
from accredit.federation.sign_on import SignOn
from accredit.ids import NewId
from accredit.keys.rotation import Rotation
from accredit.people.directory import People
from accredit.people.model import Person
from accredit.people.sessions import Sessions
from accredit.policy.policysets import PolicySets
from accredit.sensitive import Sensitive
from accredit.systems.registry import Systems

OPENAPI_PATH = "/api/openapi.json"


def api_endpoints(
    *,
    agents: Agents,
    systems: Systems,
    policy_sets: PolicySets,
    audit_log: AuditLog,
    export: Export,
    people: People,
    sessions: Sessions,
    sign_on: SignOn,
    delegations: Delegations,
    issuers: TrustedIssuers,
    registration_tokens: RegistrationTokens,
    administrator: Person,
    rotation: Rotation,
    clock: Clock,
    new_id: NewId,
    issuer: str,
    discover_tools: DiscoverTools,
    audience_of: AudienceOf,
    tokens: TokenEndpoints,
) -> tuple[AnyEndpoint, ...]:
    """The table: every endpoint of every noun."""
    return (
        *AgentEndpoints(agents, issuers).endpoints(),
        *PersonEndpoints(people, sessions, sign_on.identities, sign_on.providers, delegations).endpoints(),
        *DelegationEndpoints(delegations, people, agents).endpoints(),
        *RegistrationTokenEndpoints(registration_tokens).endpoints(),
        *SystemEndpoints(systems, discover_tools, audience_of).endpoints(),
        *PolicyEndpoints(policy_sets).endpoints(),
        *AuditEndpoints(audit_log, export).endpoints(),
        *KeyEndpoints(rotation, clock, new_id).endpoints(),
        *SignInLinkEndpoints(people, sessions, administrator, issuer).endpoints(),
        *SignInProviderEndpoints(sign_on.providers, sign_on.identities, issuer).endpoints(),
        *TrustedIssuerEndpoints(issuers).endpoints(),
        *tokens.endpoints(),
    )


def api_routes(
    endpoints: tuple[AnyEndpoint, ...],
    *,
    own: OwnEndpoints,
    token: Sensitive,
    administrator: Person,
    issuer: str,
    body_limit_bytes: int,
) -> list[BaseRoute]:
    """Everything at `/api`. Who holds `token` acts as `administrator`; `own` is for agents, with tokens of theirs."""
    guard = ManagementToken(token, administrator.id)
    rows = own.endpoints()
    document = openapi_document((*endpoints, *rows), issuer)

    async def describe(request: Request) -> Response:
        del request
        return Response(document, media_type="application/json")

    by_path: dict[str, dict[str, AnyEndpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    # A path of fixed words stands before one with a variable in that place.
    paths = sorted(by_path, key=lambda path: path.replace("{", "\x7f"))
    nothing = Address({}, guard, body_limit_bytes)
    return [
        Route(OPENAPI_PATH, describe, methods=["GET"]),
        *(Route(path, Address(by_path[path], guard, body_limit_bytes)) for path in paths),
        *(Route(one.path, OwnAddress(one, own.token, body_limit_bytes)) for one in rows),
        Route("/api/{rest:path}", nothing),
        Route("/api", nothing),
    ]
