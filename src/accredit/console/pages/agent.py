"""One agent: who it is, what it may reach, how it proves itself, and what it did."""

from typing import NamedTuple

import msgspec
from starlette.responses import Response

from accredit.agents.model import Credential, CredentialKind
from accredit.audit.reading import LoggedEvent
from accredit.console.figures import WINDOW
from accredit.console.site import Site, Visit
from accredit.errors import NotFound

_ROWS = 20


class ShownCredential(NamedTuple):
    """A credential without anything that proves: what it is, and which keys by name."""

    id: str
    what: str
    keys: tuple[str, ...]
    created_at: float
    revoked_at: float | None


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
    return await site.page(
        visit,
        "agent.html",
        agent=found,
        systems=[(name, site.data.systems.get(name)) for name in found.systems],
        credentials=[_shown(one) for one in found.credentials],
        events=own,
        names=await site.names(own),
        window=WINDOW,
    )


def _shown(credential: Credential) -> ShownCredential:
    keys: tuple[str, ...] = ()
    if credential.kind is CredentialKind.PUBLIC_KEY and credential.jwks is not None:
        keys = tuple(
            " ".join(part for part in (key.alg or key.crv or key.kty, key.kid) if part)
            for key in msgspec.json.decode(credential.jwks, type=_KeySet).keys
        )
    what = "Client secret" if credential.kind is CredentialKind.CLIENT_SECRET else "Public key"
    return ShownCredential(credential.id, what, keys, credential.created_at, credential.revoked_at)
