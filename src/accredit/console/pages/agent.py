"""One agent: who it is, what it may reach, how it proves itself, and what it did."""

from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response

from accredit.agents.model import Agent, Credential, CredentialKind
from accredit.audit.reading import LoggedEvent
from accredit.console.figures import WINDOW
from accredit.console.pages.delegations import ShownDelegation, shown_delegation
from accredit.console.site import Site, Visit
from accredit.errors import NotFound

_ROWS = 20
_DELEGATIONS = 20
_KINDS = {
    CredentialKind.CLIENT_SECRET: "Client secret",
    CredentialKind.PUBLIC_KEY: "Public key",
    CredentialKind.TLS_SUBJECT: "Certificate of an authority",
    CredentialKind.TLS_CERTIFICATE: "Certificate of its own",
    CredentialKind.FEDERATED: "Workload",
}
_PROOFS = {
    "none": "nothing: it is public, and uses PKCE",
    "client_secret_basic": "a client secret",
    "client_secret_post": "a client secret",
    "private_key_jwt": "a private key",
    "tls_client_auth": "a certificate of an authority",
    "self_signed_tls_client_auth": "a certificate of its own",
}
_GRANTS = "urn:ietf:params:oauth:grant-type:"


class ShownCredential(NamedTuple):
    """A credential without anything that proves: what it is, and which keys by name."""

    id: str
    what: str
    keys: tuple[str, ...]
    created_at: float
    revoked_at: float | None


class ShownClient(NamedTuple):
    """An agent as an OAuth client: `host` is that of its metadata document, which nobody here vouched for."""

    host: str | None
    url: str | None
    name: str
    is_public: bool
    proof: str
    redirect_uris: tuple[str, ...]
    grants: tuple[str, ...]


class ActsFor(NamedTuple):
    """A person for whom an agent may act, and what."""

    person_id: str
    person: str
    delegation: ShownDelegation


class _Key(msgspec.Struct):
    kid: str = ""
    kty: str = ""
    alg: str = ""
    crv: str = ""


class _KeySet(msgspec.Struct):
    keys: tuple[_Key, ...] = ()


async def agent(site: Site, visit: Visit) -> Response:
    """The agent of the id in the path. Raises NotFound."""
    found = await site.data.agents.get(visit.request.path_params["agent"])
    if found is None:
        raise NotFound(
            "there is no such agent, or you may not see it", next_step="the list of agents shows those you may"
        )
    newest = await site.data.log.latest(WINDOW)
    own = [one for one in newest if isinstance(one, LoggedEvent) and one.event.agent == found.id][:_ROWS]
    acts_for = await _acts_for(site, found)
    return await site.page(
        visit,
        "agent.html",
        agent=found,
        client=_client(found),
        acts_for=acts_for[:_DELEGATIONS],
        has_more=len(acts_for) > _DELEGATIONS,
        systems=[(name, site.data.systems.get(name)) for name in found.systems],
        credentials=[_shown(one) for one in found.credentials],
        events=own,
        names=await site.names(own),
        window=WINDOW,
    )


async def _acts_for(site: Site, agent: Agent) -> list[ActsFor]:
    shown = []
    for one in await site.data.delegations.of_agent(agent.id, _DELEGATIONS + 1):
        person = await site.data.people.get(one.person)
        name = one.person if person is None else person.name or person.email
        shown.append(ActsFor(one.person, name, await shown_delegation(site, one)))
    return shown


def _client(agent: Agent) -> ShownClient | None:
    client = agent.client
    if client is None:
        return None
    return ShownClient(
        host=None if agent.client_url is None else urlsplit(agent.client_url).netloc,
        url=agent.client_url,
        name=client.client_name,
        is_public=client.is_public,
        proof=_PROOFS.get(client.token_endpoint_auth_method, client.token_endpoint_auth_method),
        redirect_uris=client.redirect_uris,
        grants=tuple(grant.removeprefix(_GRANTS) for grant in client.grant_types),
    )


def _shown(credential: Credential) -> ShownCredential:
    keys: tuple[str, ...] = ()
    if credential.kind is CredentialKind.PUBLIC_KEY and credential.jwks is not None:
        keys = tuple(
            " ".join(part for part in (key.alg or key.crv or key.kty, key.kid) if part)
            for key in msgspec.json.decode(credential.jwks, type=_KeySet).keys
        )
    elif credential.subject is not None:
        keys = tuple(part for part in (credential.subject, credential.issuer) if part)
    return ShownCredential(credential.id, _KINDS[credential.kind], keys, credential.created_at, credential.revoked_at)
