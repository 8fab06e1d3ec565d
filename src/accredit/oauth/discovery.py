"""Metadata that clients find us by: RFC 8414 and OpenID Connect Discovery for the server, RFC 9728 for each system.

The server's document is a table: each endpoint adds its members by one row of `MEMBERS`, so that what is advertised
stands beside what is there.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from accredit.agents.credentials import CLIENT_ASSERTION_ALGORITHMS
from accredit.delegations.model import DETAILS_TYPE
from accredit.keys.algorithms import ALGORITHMS
from accredit.oauth import (
    authorize,
    backchannel_authentication,
    device_authorization,
    introspect,
    logout,
    par,
    revoke,
    userinfo,
)
from accredit.oauth.client_auth import NONE
from accredit.oauth.id_jag import ID_JAG, PROFILE
from accredit.oauth.register import REGISTER_PATH
from accredit.oauth.resources import ACCREDIT_PERSON_SCOPES, ACCREDIT_SCOPES
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.steps.check_pkce import METHOD
from accredit.oauth.steps.check_response import RESPONSE_MODES, RESPONSE_TYPES
from accredit.oauth.steps.load_prompt import PROMPTS
from accredit.tokens.dpop import PROOF_ALGORITHMS

SERVER_PATH = "/.well-known/oauth-authorization-server"
OPENID_PATH = "/.well-known/openid-configuration"

_TOKEN = "/oauth/token"  # noqa: S105  # a path


class Served(NamedTuple):
    """What the document is made of: the rooms, and what the tables of grants and client authentications hold."""

    rooms: OAuthRooms
    grants: tuple[str, ...]
    methods: tuple[str, ...]


Members = Mapping[str, object]


def _server(served: Served) -> Members:
    """RFC 8414 §2."""
    rooms = served.rooms
    scopes = {one.scope for system in rooms.systems.all() for one in system.operations}
    return {
        "issuer": rooms.issuer,
        "token_endpoint": rooms.issuer + _TOKEN,
        "jwks_uri": f"{rooms.issuer}/.well-known/jwks.json",
        "scopes_supported": sorted(scopes | set(ACCREDIT_SCOPES) | set(ACCREDIT_PERSON_SCOPES)),
        "grant_types_supported": list(served.grants),
        "token_endpoint_auth_methods_supported": list(served.methods),
        "token_endpoint_auth_signing_alg_values_supported": list(CLIENT_ASSERTION_ALGORITHMS),
    }


def _authorize(served: Served) -> Members:
    """The authorization endpoint: RFC 8414 §2, RFC 9207 §3, RFC 9396 §10, OpenID Connect Discovery §3."""
    return {
        "authorization_endpoint": served.rooms.issuer + authorize.PATH,
        "response_types_supported": list(RESPONSE_TYPES),
        "response_modes_supported": list(RESPONSE_MODES),
        "code_challenge_methods_supported": [METHOD],
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": [DETAILS_TYPE],
        "prompt_values_supported": list(PROMPTS),
        "request_parameter_supported": False,
        # Only what was pushed; of a request_uri that we would have to fetch, Discovery would take silence for yes.
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
        "client_id_metadata_document_supported": served.rooms.client_documents.is_open,
    }


def _pushed(served: Served) -> Members:
    """RFC 9126 §5."""
    return {
        "pushed_authorization_request_endpoint": served.rooms.issuer + par.PATH,
        "require_pushed_authorization_requests": served.rooms.settings.pushed_requests,
    }


def _device(served: Served) -> Members:
    """RFC 8628 §4."""
    return {"device_authorization_endpoint": served.rooms.issuer + device_authorization.PATH}


def _backchannel(served: Served) -> Members:
    """CIBA Core §4."""
    return {
        "backchannel_authentication_endpoint": served.rooms.issuer + backchannel_authentication.PATH,
        "backchannel_token_delivery_modes_supported": ["poll", "ping"],
        "backchannel_user_code_parameter_supported": False,
    }


def _openid(served: Served) -> Members:
    """OpenID Connect Discovery §3, RP-Initiated Logout §2.1, Back-Channel Logout §2.1."""
    return {
        "userinfo_endpoint": served.rooms.issuer + userinfo.PATH,
        "end_session_endpoint": served.rooms.issuer + logout.PATH,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "claims_supported": ["sub", "name", "email", "auth_time", "acr", "amr", "sid"],
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }


def _tokens(served: Served) -> Members:
    """What looks at tokens and ends them: RFC 8414 §2, RFC 9701 §7."""
    proving = [method for method in served.methods if method != NONE]
    return {
        "introspection_endpoint": served.rooms.issuer + introspect.PATH,
        "introspection_endpoint_auth_methods_supported": proving,
        "introspection_endpoint_auth_signing_alg_values_supported": list(CLIENT_ASSERTION_ALGORITHMS),
        "introspection_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint": served.rooms.issuer + revoke.PATH,
        "revocation_endpoint_auth_methods_supported": list(served.methods),
        "revocation_endpoint_auth_signing_alg_values_supported": list(CLIENT_ASSERTION_ALGORITHMS),
    }


def _senders(served: Served) -> Members:
    """How tokens are bound to keys: RFC 9449 §5.1, RFC 8705 §3.3."""
    return {
        "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
        "tls_client_certificate_bound_access_tokens": bool(served.rooms.settings.client_certificate_header),
    }


def _registration(served: Served) -> Members:
    """RFC 7591 §3.1: there, and open to who brings an initial access token."""
    return {"registration_endpoint": served.rooms.issuer + REGISTER_PATH}


def _chaining(_served: Served) -> Members:
    """The identity assertion grant, as issuer and as consumer (draft-ietf-oauth-identity-assertion-authz-grant)."""
    return {
        "authorization_grant_profiles_supported": [PROFILE],
        "identity_chaining_requested_token_types_supported": [ID_JAG],
    }


MEMBERS: tuple[Callable[[Served], Members], ...] = (
    _server,
    _tokens,
    _senders,
    _authorize,
    _pushed,
    _device,
    _backchannel,
    _openid,
    _registration,
    _chaining,
)
"""What each endpoint adds to the document. No member is given twice."""


class Discovery:
    """Renders the documents from what is registered now."""

    def __init__(self, rooms: OAuthRooms, grants: tuple[str, ...], methods: tuple[str, ...]) -> None:
        self._served = Served(rooms, grants, methods)
        self._issuer = rooms.issuer
        self._systems = rooms.systems
        self._resources = rooms.resources

    def server(self) -> bytes:
        """The server's document (RFC 8414 §3.2). The one of OpenID Connect Discovery has the same members."""
        document: dict[str, object] = {}
        for members in MEMBERS:
            document.update(members(self._served))
        return msgspec.json.encode(document)

    def protected_resource(self, path: str) -> bytes | None:
        """RFC 9728 §2 for the resource whose path follows the well-known one; None if there is none."""
        if path in ("", "/"):
            return self._resource(self._issuer, "Accredit", (*ACCREDIT_SCOPES, *ACCREDIT_PERSON_SCOPES))
        for system in self._systems.all():
            audience = self._resources.audience(system)
            if audience == self._issuer + path:
                scopes = tuple(sorted({one.scope for one in system.operations}))
                return self._resource(audience, system.title, scopes)
        return None

    def _resource(self, resource: str, name: str, scopes: tuple[str, ...]) -> bytes:
        settings = self._served.rooms.settings
        document = {
            "resource": resource,
            "authorization_servers": [self._issuer],
            "scopes_supported": list(scopes),
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
            "dpop_bound_access_tokens_required": settings.sender_constrained and not settings.client_certificate_header,
            "tls_client_certificate_bound_access_tokens": bool(settings.client_certificate_header),
            "resource_name": name,
        }
        return msgspec.json.encode(document)
