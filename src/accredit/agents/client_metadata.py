"""OAuth client metadata of an agent (RFC 7591 §2): where its answers go, and how it proves itself.

What a client says of itself is checked here, whoever brings it: an administrator, a registration, a document at a URL.
The rules of redirect URIs are in `redirect_uris.py`.
"""

import json
import unicodedata
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from accredit.agents.credentials import parse_public_keys
from accredit.agents.redirect_uris import RedirectUriInvalid, check_redirect_uri, matches_redirect_uri
from accredit.errors import InputRefused
from accredit.keys.algorithms import ALGORITHMS
from accredit.outbound.target import TargetRefused, parse_target

__all__ = [
    "SECRET_METHODS",
    "ClientDocument",
    "ClientMetadata",
    "ClientMetadataInvalid",
    "RedirectUriInvalid",
    "check_client_document",
    "check_redirect_uri",
    "document_of",
    "matches_redirect_uri",
    "parse_client_metadata",
    "read_object",
    "registered_members",
]

DEFAULT_GRANTS = ("authorization_code", "refresh_token")
CIBA_GRANT = "urn:openid:params:grant-type:ciba"
CLIENT_GRANTS = (
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:device_code",
    CIBA_GRANT,
)
"""The grants that a client may ask to use; others that it lists are left out (RFC 7591 §2: replaced by the server)."""

SECRET_METHODS = ("client_secret_basic", "client_secret_post")
AUTH_METHODS = ("none", *SECRET_METHODS, "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth")
_KEY_METHODS = frozenset(("private_key_jwt", "self_signed_tls_client_auth"))
_ID_TOKEN_ALGORITHMS = ("ES256", "RS256", "EdDSA")
_DELIVERY_MODES = ("poll", "ping")
_APPLICATION_TYPES = ("web", "native")
_TEXT = 256
_URL = 2_048
_LIST = 32
_SCOPE = 4_096
# Control and format characters, which turn text around or hide it; surrogates, separators, unassigned.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_SCOPE_CHARACTERS = frozenset(map(chr, (0x20, 0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F))))


_Anything = Annotated[object, msgspec.Meta(extra_json_schema={"description": "a member of the set"})]


class ClientMetadataInvalid(InputRefused):
    """What a client says of itself is not allowed, or contradicts itself (RFC 7591 §3.2.2)."""

    code = "invalid_client_metadata"


class _Members(msgspec.Struct, frozen=True, kw_only=True):
    client_name: str = ""
    client_uri: str = ""
    logo_uri: str = ""
    policy_uri: str = ""
    tos_uri: str = ""
    contacts: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""
    backchannel_logout_session_required: bool = False
    grant_types: tuple[str, ...] = DEFAULT_GRANTS
    response_types: tuple[str, ...] = ("code",)
    token_endpoint_auth_method: str = "client_secret_basic"  # noqa: S105  # a method's name
    jwks_uri: str = ""
    scope: str = ""
    application_type: str = "web"
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    id_token_signed_response_alg: str = "ES256"  # noqa: S105  # the name of an algorithm
    introspection_signed_response_alg: str = "ES256"
    backchannel_token_delivery_mode: str = "poll"  # noqa: S105  # a mode's name
    backchannel_client_notification_endpoint: str = ""
    software_id: str = ""
    software_version: str = ""


class ClientMetadata(_Members, frozen=True, kw_only=True, omit_defaults=True):
    """What a client says of itself, checked; none of it is proof. `jwks` is a JWK Set as JSON text."""

    jwks: str = ""

    @property
    def is_public(self) -> bool:
        """Whether the client has no credential (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method == "none"  # noqa: S105


class ClientDocument(_Members, frozen=True, kw_only=True):
    """The same as it is written on the wire: `jwks` is a JSON object."""

    jwks: Annotated[dict[str, _Anything], msgspec.Meta(description="public keys (RFC 7517 §5)")] | UnsetType = UNSET


def read_object(raw: bytes) -> dict[str, object]:
    """A JSON object in UTF-8 in which no name stands twice. Raises ClientMetadataInvalid."""
    try:
        found = msgspec.json.decode(raw, type=dict[str, object])
        json.loads(raw, object_pairs_hook=_refuse_doubles)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        what = type(error).__name__
        raise ClientMetadataInvalid("this is no JSON object in UTF-8 (RFC 8259)", detail=what) from error
    return found


def parse_client_metadata(obj: object) -> ClientMetadata:
    """Check a JSON object that is decoded already. Members that we do not know are ignored (RFC 7591 §2).

    A member that is null counts as left out. Raises ClientMetadataInvalid and RedirectUriInvalid.
    """
    if not isinstance(obj, dict):
        raise ClientMetadataInvalid("client metadata is a JSON object (RFC 7591 §3.1)")
    try:
        document = msgspec.convert({name: value for name, value in obj.items() if value is not None}, ClientDocument)
    except (msgspec.ValidationError, RecursionError) as error:
        # The message names types and members, and no value.
        raise ClientMetadataInvalid(f"client metadata: {error}", next_step="see RFC 7591 §2") from error
    return check_client_document(document)


def check_client_document(document: ClientDocument) -> ClientMetadata:
    """Check what is of the right types already. Raises ClientMetadataInvalid and RedirectUriInvalid."""
    _check_texts(document)
    _check_addresses(document)
    for uri in (*document.redirect_uris, *document.post_logout_redirect_uris):
        check_redirect_uri(uri)
    _check_choices(document)
    grants = tuple(one for one in dict.fromkeys(document.grant_types) if one in CLIENT_GRANTS)
    if not grants:
        raise ClientMetadataInvalid("no grant that the client lists is one of this server's")
    uses_browser = "authorization_code" in grants
    if uses_browser and "code" not in document.response_types:
        raise ClientMetadataInvalid("the grant authorization_code goes with the response type code (RFC 7591 §2.1)")
    if uses_browser and not document.redirect_uris:
        raise RedirectUriInvalid("the grant authorization_code needs a redirect URI", next_step="list redirect_uris")
    if grants == ("refresh_token",):
        raise ClientMetadataInvalid("a refresh token comes of another grant", next_step="list that grant too")
    if document.token_endpoint_auth_method == "none" and "client_credentials" in grants:  # noqa: S105
        raise ClientMetadataInvalid("client_credentials needs a credential (RFC 6749 §4.4)")
    given = {name: getattr(document, name) for name in _Members.__struct_fields__}
    return ClientMetadata(
        **{
            **given,
            "jwks": _check_keys(document),
            "grant_types": grants,
            "response_types": ("code",) if uses_browser else (),
            "redirect_uris": tuple(dict.fromkeys(document.redirect_uris)),
            "post_logout_redirect_uris": tuple(dict.fromkeys(document.post_logout_redirect_uris)),
            "scope": " ".join(dict.fromkeys(document.scope.split())),
        }
    )


def document_of(metadata: ClientMetadata) -> ClientDocument:
    """The metadata as it is written on the wire."""
    members = {name: getattr(metadata, name) for name in _Members.__struct_fields__}
    jwks = msgspec.json.decode(metadata.jwks, type=dict[str, object]) if metadata.jwks else UNSET
    return ClientDocument(**members, jwks=jwks)


def registered_members(metadata: ClientMetadata) -> dict[str, object]:
    """What is registered, as it is told to the client (RFC 7591 §3.2.1): defaults included, without empty members."""
    members: dict[str, object] = {
        name: value for name in _Members.__struct_fields__ if (value := getattr(metadata, name)) not in ("", (), False)
    }
    if metadata.jwks:
        members["jwks"] = msgspec.Raw(metadata.jwks.encode())
    return members


def _refuse_doubles(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ClientMetadataInvalid("a name stands twice in one JSON object")


def _check_texts(document: ClientDocument) -> None:
    for name in ("client_name", "software_id", "software_version"):
        _check_text(name, getattr(document, name), _TEXT)
    for name in ("contacts", "redirect_uris", "post_logout_redirect_uris", "grant_types", "response_types"):
        listed: tuple[str, ...] = getattr(document, name)
        if len(listed) > _LIST:
            raise ClientMetadataInvalid(f"{name} lists more than {_LIST}")
        for one in listed:
            _check_text(name, one, _URL)
    if len(document.scope) > _SCOPE or not _SCOPE_CHARACTERS.issuperset(document.scope):
        raise ClientMetadataInvalid("scope is no list of scope tokens (RFC 6749 §3.3)")


def _check_text(name: str, text: str, most: int) -> None:
    if len(text) > most or any(unicodedata.category(char) in _HIDDEN for char in text):
        raise ClientMetadataInvalid(f"{name} is longer than {most}, or has a character that is not seen")


def _check_addresses(document: ClientDocument) -> None:
    """Links that a person may follow, and places that we ask. What we ask is guarded again when it is asked."""
    for name in (
        "client_uri",
        "logo_uri",
        "policy_uri",
        "tos_uri",
        "jwks_uri",
        "backchannel_logout_uri",
        "backchannel_client_notification_endpoint",
    ):
        address: str = getattr(document, name)
        if not address:
            continue
        try:
            # A page of a browser has a fragment; what we ask has none.
            parse_target(address.partition("#")[0] if name in ("client_uri", "policy_uri", "tos_uri") else address)
        except TargetRefused as error:
            raise ClientMetadataInvalid(f"{name}: {error.explanation}") from error
        if len(address) > _URL or not address.isascii() or not address.isprintable():
            raise ClientMetadataInvalid(f"{name} is no URL of printable ASCII characters")


def _check_choices(document: ClientDocument) -> None:
    for name, allowed in (
        ("token_endpoint_auth_method", AUTH_METHODS),
        ("application_type", _APPLICATION_TYPES),
        ("id_token_signed_response_alg", _ID_TOKEN_ALGORITHMS),
        ("introspection_signed_response_alg", ALGORITHMS),
        ("backchannel_token_delivery_mode", _DELIVERY_MODES),
    ):
        if getattr(document, name) not in allowed:
            raise ClientMetadataInvalid(f"{name} must be one of " + ", ".join(allowed))
    pings = document.backchannel_token_delivery_mode == "ping"  # noqa: S105  # a mode's name
    if pings and not document.backchannel_client_notification_endpoint:
        raise ClientMetadataInvalid("the mode ping needs a backchannel_client_notification_endpoint (CIBA §4)")


def _check_keys(document: ClientDocument) -> str:
    has_keys = not isinstance(document.jwks, UnsetType)
    if has_keys and document.jwks_uri:
        raise ClientMetadataInvalid("jwks and jwks_uri exclude each other (RFC 7591 §2)")
    if document.token_endpoint_auth_method in _KEY_METHODS and not has_keys and not document.jwks_uri:
        raise ClientMetadataInvalid(f"{document.token_endpoint_auth_method} needs jwks or jwks_uri")
    if not has_keys:
        return ""
    try:
        return parse_public_keys(msgspec.json.encode(document.jwks).decode())
    except InputRefused as error:
        raise ClientMetadataInvalid(f"jwks: {error.explanation}", next_step=error.next_step) from error
