"""Metadata that clients find us by: RFC 8414 for the server, RFC 9728 for each system."""

import msgspec

from accredit.agents.credentials import CLIENT_ASSERTION_ALGORITHMS
from accredit.oauth.resources import ACCREDIT_SCOPES, Resources
from accredit.systems.registry import Systems

SERVER_PATH = "/.well-known/oauth-authorization-server"
RESOURCE_PATH = "/.well-known/oauth-protected-resource"


class Discovery:
    """Renders both documents from what is registered now."""

    def __init__(
        self, issuer: str, systems: Systems, resources: Resources, grants: tuple[str, ...], methods: tuple[str, ...]
    ) -> None:
        self._issuer = issuer
        self._systems = systems
        self._resources = resources
        self._grants = grants
        self._methods = methods

    def server(self) -> bytes:
        """RFC 8414 §2."""
        scopes = {one.scope for system in self._systems.all() for one in system.operations}
        document = {
            "issuer": self._issuer,
            "token_endpoint": f"{self._issuer}/oauth/token",
            "jwks_uri": f"{self._issuer}/.well-known/jwks.json",
            "scopes_supported": sorted(scopes | set(ACCREDIT_SCOPES)),
            "response_types_supported": [],
            "grant_types_supported": list(self._grants),
            "token_endpoint_auth_methods_supported": list(self._methods),
            "token_endpoint_auth_signing_alg_values_supported": list(CLIENT_ASSERTION_ALGORITHMS),
        }
        return msgspec.json.encode(document)

    def protected_resource(self, path: str) -> bytes | None:
        """RFC 9728 §2 for the resource whose path follows the well-known one; None if there is none."""
        if path in ("", "/"):
            return self._resource(self._issuer, "Accredit", ACCREDIT_SCOPES)
        for system in self._systems.all():
            audience = self._resources.audience(system)
            if audience == self._issuer + path:
                scopes = tuple(sorted({one.scope for one in system.operations}))
                return self._resource(audience, system.title, scopes)
        return None

    def _resource(self, resource: str, name: str, scopes: tuple[str, ...]) -> bytes:
        document = {
            "resource": resource,
            "authorization_servers": [self._issuer],
            "scopes_supported": list(scopes),
            "bearer_methods_supported": ["header"],
            "resource_name": name,
        }
        return msgspec.json.encode(document)
