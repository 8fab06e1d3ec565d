"""What for: the system of `resource` (RFC 8707), or of `authorization_details` (RFC 9396), and its actions."""

from dataclasses import replace

from accredit.oauth.clients import Clients
from accredit.oauth.details import parse_details, resolve_details
from accredit.oauth.errors import InvalidAuthorizationDetails
from accredit.oauth.resources import ACCREDIT, ACCREDIT_PERSON_SCOPES, Resources
from accredit.oauth.step import AuthorizationRequest
from accredit.systems.model import System


class LoadTarget:
    """One request is for one system: a token has one audience."""

    def __init__(self, clients: Clients, resources: Resources) -> None:
        self._clients = clients
        self._resources = resources

    async def __call__(self, request: AuthorizationRequest) -> AuthorizationRequest:
        """Raises InvalidTarget, InvalidAuthorizationDetails."""
        details = parse_details(request.parameters.get("authorization_details"))
        system = self._system(request, details[0].system if details else None)
        if details:
            resolve_details(details, system)
        return replace(request, system=system, audience=self._resources.audience(system), details=details)

    def _system(self, request: AuthorizationRequest, named: str | None) -> System:
        resource = request.parameters.get("resource")
        if named is not None and resource is None:
            system = self._resources.named(named)
            if system is None:
                raise InvalidAuthorizationDetails("the details name no system of this server")
            return system
        asked = request.get("scope").split()
        if resource is None and asked and set(asked) <= set(ACCREDIT_PERSON_SCOPES):
            # Who only wants to know the person is given a token for userinfo, not for a system.
            return ACCREDIT
        return self._resources.resolve(self._clients.after_consent(request.client, None), resource)
