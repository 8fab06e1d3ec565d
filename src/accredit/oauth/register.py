"""Dynamic client registration (RFC 7591) and its management by the client (RFC 7592).

It is closed: who registers holds an initial access token of an administrator. A browser may call it from any origin
(the MCP Inspector does): a token in a header is what lets in, and no cookie is looked at.
"""

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from accredit.agents.client_metadata import (
    SECRET_METHODS,
    ClientMetadata,
    ClientMetadataInvalid,
    RedirectUriInvalid,
    parse_client_metadata,
    read_object,
    registered_members,
)
from accredit.agents.registration_tokens import RegistrationRefused, RegistrationTokens
from accredit.agents.registrations import Registered, Registrations
from accredit.errors import Error, InputRefused, NotAuthenticated, Unavailable
from accredit.oauth.errors import OAuthError, TemporarilyUnavailable, render_error
from accredit.oauth.rooms import OAuthRooms
from accredit.outbound.guarded import Guarded
from accredit.outbound.target import TargetRefused
from accredit.tokens.errors import NoToken
from accredit.web.asgi import read_body
from accredit.web.bearer import bearer_token

REGISTER_PATH = "/oauth/register"
BODY_BYTES = 65_536
METHODS = ("none", *SECRET_METHODS, "private_key_jwt")
"""How a client that registers itself may prove itself; certificates are an administrator's to enter."""
_ASKED_BY_US = ("jwks_uri", "backchannel_logout_uri", "backchannel_client_notification_endpoint")
_HEADERS = {
    "cache-control": "no-store",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "WWW-Authenticate",
}
_PREFLIGHT = {
    **_HEADERS,
    "access-control-allow-methods": "POST, GET, PUT, DELETE",
    "access-control-allow-headers": "Authorization, Content-Type, MCP-Protocol-Version",
    "access-control-max-age": "600",
}


class InvalidRedirectUri(OAuthError):
    """A redirect URI is not allowed (RFC 7591 §3.2.2)."""

    code = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """The metadata is not allowed (RFC 7591 §3.2.2)."""

    code = "invalid_client_metadata"


class InvalidRegistrationToken(OAuthError):
    """The request holds no token that lets it in (RFC 6750 §3.1)."""

    code = "invalid_token"
    status = 401


def register_routes(rooms: OAuthRooms) -> list[BaseRoute]:
    """The routes at `/oauth/register`."""
    tokens = RegistrationTokens(
        rooms.transactions, rooms.people, rooms.clock, rooms.new_id, rooms.hash_secret, rooms.systems.exists
    )
    registrations = Registrations(rooms.transactions, rooms.agents, tokens, rooms.hash_secret)
    return RegistrationEndpoint(registrations, rooms.guarded, rooms.issuer).routes()


class RegistrationEndpoint:
    """Authenticates by the token in the header, parses, acts, and renders."""

    def __init__(self, registrations: Registrations, guarded: Guarded, issuer: str) -> None:
        self._registrations = registrations
        self._guarded = guarded
        self._issuer = issuer

    def routes(self) -> list[BaseRoute]:
        """Both addresses."""
        own = REGISTER_PATH + "/{client_id}"
        return [
            Route(REGISTER_PATH, self._collection, methods=["POST", "OPTIONS"]),
            Route(own, self._one, methods=["GET", "PUT", "DELETE", "OPTIONS"]),
        ]

    async def _collection(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        try:
            return await self._register(request)
        except Error as error:
            return _refuse(error)

    async def _one(self, request: Request) -> Response:
        try:
            match request.method:
                case "OPTIONS":
                    return Response(status_code=204, headers=_PREFLIGHT)
                case "PUT":
                    return await self._replace(request)
                case "DELETE":
                    await self._registrations.remove(request.path_params["client_id"], _token(request))
                    return Response(status_code=204, headers=_HEADERS)
                case _:
                    token = _token(request)
                    found = await self._registrations.find(request.path_params["client_id"], token)
                    return self._render(found, 200, token)
        except Error as error:
            return _refuse(error)

    async def _register(self, request: Request) -> Response:
        """RFC 7591 §3."""
        token = _token(request)
        # Before a byte of the body is looked at; the use is counted with the registration itself.
        await self._registrations.check(token)
        metadata = self._check(await _members(request))
        return self._render(await self._registrations.register(token, metadata), 201)

    async def _replace(self, request: Request) -> Response:
        """RFC 7592 §2.2."""
        client_id, token = request.path_params["client_id"], _token(request)
        await self._registrations.find(client_id, token)
        members = await _members(request)
        if members.get("client_id") != client_id:
            raise ClientMetadataInvalid("client_id is missing, or another one (RFC 7592 §2.2)")
        secret = members.get("client_secret")
        if secret is not None and not isinstance(secret, str):
            raise ClientMetadataInvalid("client_secret is not a text")
        metadata = self._check(members)
        return self._render(await self._registrations.replace(client_id, token, metadata, secret), 200)

    def _check(self, members: Mapping[str, object]) -> ClientMetadata:
        metadata = parse_client_metadata(members)
        if metadata.token_endpoint_auth_method not in METHODS:
            raise ClientMetadataInvalid("token_endpoint_auth_method must be one of " + ", ".join(METHODS))
        for name in _ASKED_BY_US:
            if url := getattr(metadata, name):
                try:
                    self._guarded.check(url)
                except TargetRefused as error:
                    raise ClientMetadataInvalid(f"{name}: {error.explanation}", next_step=error.next_step) from error
        return metadata

    def _render(self, found: Registered, status: int, presented: str | None = None) -> Response:
        """RFC 7591 §3.2.1: what is registered, defaults included. A secret is shown once, when it is made."""
        agent = found.agent
        token = found.registration_access_token
        answer: dict[str, object] = {
            "client_id": agent.id,
            "client_id_issued_at": int(agent.created_at),
            **registered_members(found.metadata),
            "registration_client_uri": f"{self._issuer}{REGISTER_PATH}/{agent.id}",
            # RFC 7592 §3: the token in force; without a new one it is the one that was sent.
            "registration_access_token": presented if token is None else token.reveal(),
        }
        if found.client_secret is not None:
            answer |= {"client_secret": found.client_secret.reveal(), "client_secret_expires_at": 0}
        return Response(msgspec.json.encode(answer), status, _HEADERS, media_type="application/json")


def _token(request: Request) -> str:
    return bearer_token(request.scope["headers"])


async def _members(request: Request) -> dict[str, object]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ClientMetadataInvalid("the body must be application/json (RFC 7591 §3.1)")
    return read_object(await read_body(request.receive, request.scope["headers"], BODY_BYTES))


def _refuse(error: Error) -> Response:
    answer = _as_oauth(error)
    headers = dict(_HEADERS)
    if isinstance(error, NoToken):
        # RFC 6750 §3.1: who sent no token is told no error.
        headers["www-authenticate"] = 'Bearer realm="accredit"'
    elif answer.status == InvalidRegistrationToken.status:
        headers["www-authenticate"] = 'Bearer realm="accredit", error="invalid_token"'
    return Response(render_error(answer), answer.status, headers, media_type="application/json")


def _as_oauth(error: Error) -> OAuthError:
    """The table of what a client is told: the first that fits."""
    if isinstance(error, OAuthError):
        return error
    kinds: tuple[tuple[type[Error], type[OAuthError]], ...] = (
        (RegistrationRefused, InvalidRegistrationToken),
        (NotAuthenticated, InvalidRegistrationToken),
        (RedirectUriInvalid, InvalidRedirectUri),
        (InputRefused, InvalidClientMetadata),
        (Unavailable, TemporarilyUnavailable),
    )
    kind = next((made for raised, made in kinds if isinstance(error, raised)), InvalidClientMetadata)
    return kind(error.explanation, next_step=error.next_step, detail=error.detail)
