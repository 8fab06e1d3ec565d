"""What a token is asked for with: one class a grant. The code flow, which needs a person, is in `authorization`."""

from dataclasses import dataclass, field

from accredit.client.credentials import Credential, prove
from accredit.client.errors import Denied
from accredit.client.metadata import AuthorizationServer, find_server
from accredit.client.sources import Source, obtain
from accredit.client.steps import Call, Http, Steps, send
from accredit.client.tokens import parse_token

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # a name of RFC 8693 §3
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  # the same
JWT = "urn:ietf:params:oauth:token-type:jwt"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client itself, for itself (RFC 6749 §4.4)."""


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """A signed assertion in place of a sign-in (RFC 7523 §2.1).

        auth = OAuth(url, PublicClient("agt_1"), grant=JwtBearer(from_file(Path("/var/run/secrets/tokens/accredit"))))

    It is a workload's identity from its platform: Kubernetes, SPIFFE, GitHub Actions or a cloud.
    """

    assertion: Source = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenExchange:
    """A token for another (RFC 8693).

        auth = OAuth(crm_url, ClientSecret("agt_2", secret, issuer=issuer), grant=TokenExchange(caller_token))

    The new one is narrower, for another audience, or has an actor added.
    """

    subject_token: Source = field(repr=False)
    subject_token_type: str = field(default=ACCESS_TOKEN, kw_only=True)
    actor_token: Source | None = field(default=None, kw_only=True, repr=False)
    actor_token_type: str = field(default=ACCESS_TOKEN, kw_only=True)
    audience: str | None = field(default=None, kw_only=True)
    requested_token_type: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class IdentityAssertion:
    """Enterprise-managed authorization: the company's provider says which client reaches which resource (ID-JAG).

        IdentityAssertion(id_token, provider="https://login.example", provider_client=PublicClient("notes"))

    The ID token is exchanged at the provider for an ID-JAG, which is then the assertion at the resource's server.
    """

    id_token: Source = field(repr=False)
    provider: str = field(kw_only=True)
    provider_client: Credential = field(kw_only=True)
    subject_token_type: str = field(default=ID_TOKEN, kw_only=True)


Unattended = ClientCredentials | JwtBearer | TokenExchange | IdentityAssertion


def grant_form(
    grant: Unattended, server: AuthorizationServer, resource: str | None, scope: tuple[str, ...], http: Http
) -> Steps[dict[str, str]]:
    """The grant's own parameters of a token request. Raises ClientError."""
    match grant:
        case ClientCredentials():
            return {"grant_type": "client_credentials"}
        case JwtBearer():
            assertion = yield from obtain(grant.assertion, server.issuer)
            return {"grant_type": JWT_BEARER, "assertion": assertion}
        case TokenExchange():
            return (yield from _exchange(grant, server))
        case IdentityAssertion():
            assertion = yield from _id_jag(grant, server, resource, scope, http)
            return {"grant_type": JWT_BEARER, "assertion": assertion}


def _exchange(grant: TokenExchange, server: AuthorizationServer) -> Steps[dict[str, str]]:
    form = {
        "grant_type": EXCHANGE,
        "subject_token": (yield from obtain(grant.subject_token, server.issuer)),
        "subject_token_type": grant.subject_token_type,
    }
    if grant.actor_token is not None:
        form["actor_token"] = yield from obtain(grant.actor_token, server.issuer)
        form["actor_token_type"] = grant.actor_token_type
    if grant.audience is not None:
        form["audience"] = grant.audience
    if grant.requested_token_type is not None:
        form["requested_token_type"] = grant.requested_token_type
    return form


def _id_jag(
    grant: IdentityAssertion, server: AuthorizationServer, resource: str | None, scope: tuple[str, ...], http: Http
) -> Steps[str]:
    """The ID-JAG for one server and one resource (draft-ietf-oauth-identity-assertion-authz-grant §4.3)."""
    provider = yield from find_server(grant.provider, http)
    url = token_endpoint(provider)
    proof = yield from prove(grant.provider_client, provider)
    form = {
        "grant_type": EXCHANGE,
        "requested_token_type": ID_JAG,
        "subject_token": (yield from obtain(grant.id_token, grant.provider)),
        "subject_token_type": grant.subject_token_type,
        "audience": server.issuer,
        **({"resource": resource} if resource else {}),
        **({"scope": " ".join(scope)} if scope else {}),
        **proof.form,
    }
    answer = yield from send(Call(url=url, form=form, headers=proof.headers))
    client_id = grant.provider_client.client_id
    found = parse_token(answer, url, asked=scope, issuer=provider.issuer, client_id=client_id)
    if found.issued_token_type != ID_JAG:
        raise Denied(f"{provider.issuer} gave something else than an ID-JAG", next_step="report it to its operator")
    return found.access_token


def token_endpoint(server: AuthorizationServer) -> str:
    """The server's token endpoint. Raises Denied if it has none."""
    if server.token_endpoint is None:
        raise Denied(f"{server.issuer} has no token endpoint", next_step="check that it is the right server")
    return server.token_endpoint
