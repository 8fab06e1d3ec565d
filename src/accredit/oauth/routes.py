"""The addresses of the authorization server: hot paths as plain ASGI applications, the rest as routes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from accredit.oauth import backchannel_authentication, device_authorization, introspect, par, revoke
from accredit.oauth.authorize import open_authorize
from accredit.oauth.client_auths import make_client_authentication
from accredit.oauth.discovery import OPENID_PATH, SERVER_PATH, Discovery
from accredit.oauth.grants import make_grants
from accredit.oauth.logout import open_logout
from accredit.oauth.refusals import open_refusals
from accredit.oauth.register import register_routes
from accredit.oauth.resources import RESOURCE_PATH
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.senders import Senders
from accredit.oauth.status_list import status_list_routes
from accredit.oauth.token import TokenEndpoint
from accredit.oauth.userinfo import open_userinfo
from accredit.web.asgi import Application

KeySet = Mapping[str, Sequence[Mapping[str, str]]]
_CACHE = {"cache-control": "public, max-age=60", "access-control-allow-origin": "*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """`endpoints` by their path are looked up before any router; `routes` are Starlette's."""

    endpoints: Mapping[str, Application]
    routes: list[BaseRoute]


def authorization_server(rooms: OAuthRooms) -> AuthorizationServer:
    """Every endpoint under /oauth, and the documents under /.well-known."""
    authentication = make_client_authentication(rooms)
    grants = make_grants(rooms)
    senders = Senders(rooms.binding, f"{rooms.issuer}/oauth/token")
    token = TokenEndpoint(
        authentication, grants, rooms.settlement, rooms.group, open_refusals(rooms), senders, rooms.certificates
    )
    discovery = Discovery(rooms, tuple(grants), authentication.names)
    return AuthorizationServer(
        endpoints={
            "/oauth/token": token,
            introspect.PATH: introspect.IntrospectionEndpoint(rooms, authentication),
            revoke.PATH: revoke.open_revocation(rooms, authentication),
            par.PATH: par.open_par(rooms, authentication),
            device_authorization.PATH: device_authorization.open_device_authorization(rooms, authentication),
            backchannel_authentication.PATH: backchannel_authentication.open_backchannel_authentication(
                rooms, authentication
            ),
        },
        routes=[
            *open_authorize(rooms).routes(),
            *register_routes(rooms),
            *status_list_routes(rooms),
            *open_userinfo(rooms).routes(),
            *open_logout(rooms).routes(),
            *oauth_routes(discovery, rooms.keyring.jwks),
        ],
    )


def oauth_routes(discovery: Discovery, jwks: Callable[[], KeySet]) -> list[BaseRoute]:
    """RFC 8414 and RFC 9728 metadata, and the JWK Set (RFC 7517 §5) as the keys are when it is asked for."""

    async def server(_request: Request) -> Response:
        return Response(discovery.server(), media_type="application/json", headers=_CACHE)

    async def resource(request: Request) -> Response:
        path: str = request.scope["path"]
        document = discovery.protected_resource(path.removeprefix(RESOURCE_PATH))
        if document is None:
            return Response(b'{"error":"not_found"}', status_code=404, media_type="application/json")
        return Response(document, media_type="application/json", headers=_CACHE)

    async def jwk_set(_request: Request) -> Response:
        return Response(msgspec.json.encode(jwks()), media_type="application/jwk-set+json", headers=_CACHE)

    return [
        Route(SERVER_PATH, server, methods=["GET"]),
        Route(OPENID_PATH, server, methods=["GET"]),
        Route(RESOURCE_PATH, resource, methods=["GET"]),
        Route(RESOURCE_PATH + "/{path:path}", resource, methods=["GET"]),
        Route("/.well-known/jwks.json", jwk_set, methods=["GET"]),
    ]
