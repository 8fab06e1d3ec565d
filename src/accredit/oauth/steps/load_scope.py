"""How much: the scopes that are asked for, of those that the system has (RFC 6749 §3.3)."""

from dataclasses import replace

from accredit.oauth.details import scopes_of
from accredit.oauth.errors import InvalidScope
from accredit.oauth.resources import ACCREDIT, ACCREDIT_PERSON_SCOPES, IDENTITY_SCOPES
from accredit.oauth.scopes import parse_scope
from accredit.oauth.step import AuthorizationRequest
from accredit.systems.model import System


async def load_scope(request: AuthorizationRequest) -> AuthorizationRequest:
    """Raises InvalidScope if nothing that is asked for is there. What the person may give is cut later, for them."""
    text = request.parameters.get("scope")
    if text is None and not request.details:
        return replace(request, scope=None)
    wanted = parse_scope(text or "")
    if request.details:
        # RFC 9396 §3.1: the details say all that is to be done there; beside them only the person can be asked for.
        known: tuple[str, ...] = (*scopes_of(request.details, request.system), *(wanted & set(IDENTITY_SCOPES)))
        return replace(request, scope=" ".join(sorted(set(known))))
    found = sorted(wanted & _scopes(request.system))
    if not found:
        raise InvalidScope("none of the scopes is one of this system", next_step="leave scope out to ask for all")
    return replace(request, scope=" ".join(found))


def _scopes(system: System) -> frozenset[str]:
    if system is ACCREDIT:
        return frozenset(ACCREDIT_PERSON_SCOPES)
    return frozenset((*(one.scope for one in system.operations), *IDENTITY_SCOPES))
