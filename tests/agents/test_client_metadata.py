"""What a client may say of itself, and which redirect URI is which (RFC 7591 §2, RFC 8252, RFC 9700 §2.1)."""

from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from accredit.agents.client_metadata import (
    ClientMetadata,
    ClientMetadataInvalid,
    parse_client_metadata,
    registered_members,
)
from accredit.agents.redirect_uris import RedirectUriInvalid, check_redirect_uri, matches_redirect_uri

URI = "https://client.example/callback"
KEY = ECKey.generate_key("P-256")

REFUSED = {
    "empty": "",
    "relative": "/callback",
    "no scheme": "//client.example/callback",
    "http": "http://client.example/callback",
    "http on a name that begins with a loopback": "http://127.0.0.1.client.example/callback",
    "http on localhost of a domain": "http://localhost.client.example/callback",
    "http on another spelling of loopback": "http://127.1/callback",
    "http on a decimal address": "http://2130706433/callback",
    "http on a long loopback": "http://[0:0:0:0:0:0:0:1]/callback",
    "http on a mapped loopback": "http://[::ffff:127.0.0.1]/callback",
    "http on every address": "http://0.0.0.0/callback",
    "http on localhost with a dot": "http://localhost./callback",
    "fragment": "https://client.example/callback#f",
    "empty fragment": "https://client.example/callback#",
    "user": "https://user@client.example/callback",
    "user that looks like a host": "https://client.example@evil.example/callback",
    "user on loopback": "http://127.0.0.1@evil.example/callback",
    "user with a port": "http://localhost:80@evil.example/callback",
    "wildcard host": "https://*.client.example/callback",
    "wildcard path": "https://client.example/*",
    "wildcard port": "http://127.0.0.1:*/callback",
    "port 0": "https://client.example:0/callback",
    "port above the last": "https://client.example:65536/callback",
    "no host": "https:///callback",
    "javascript": "javascript:alert(1)//https://client.example",
    "javascript in capitals": "JavaScript:alert(1)",
    "data": "data:text/html,x",
    "file": "file:///etc/passwd",
    "about": "about:blank",
    "vbscript": "vbscript:x",
    "private-use without a dot": "myapp:/callback",
    "private-use without a path": "com.example.app:callback",
    "private-use with a user": "com.example.app://user@host/callback",
    "capitals": "HTTPS://client.example/callback",
    "blank": "https://client.example/call back",
    "leading blank": " https://client.example/callback",
    "line end": "https://client.example/callback\r\nLocation: x",
    "tab": "https://client.exam\tple/callback",
    "null": "https://client.example/\0",
    "backslash": "https://client.example\\@evil.example/callback",
    "quote": 'https://client.example/"onload=',
    "angle": "https://client.example/<script>",
    "dot segment": "https://client.example/a/../callback",
    "escaped dot segment": "https://client.example/%2e%2e/callback",
    "escaped slash": "https://client.example/a%2fb",
    "letter of another script": "https://сlient.example/callback",
    "full-width dot": "https://client。example/callback",
    "circled": "https://client.example/ⓒ",
    "direction mark": "https://client.example/\u202ekcab",
    "trailing dot": "https://client.example./callback",
    "too long": "https://client.example/" + "c" * 2_048,
}  # fmt: skip


@pytest.mark.parametrize("uri", [pytest.param(uri, id=name) for name, uri in REFUSED.items()])
def test_a_redirect_uri_that_could_lead_elsewhere_is_not_registered(uri: str) -> None:
    with pytest.raises(RedirectUriInvalid):
        check_redirect_uri(uri)
    with pytest.raises((RedirectUriInvalid, ClientMetadataInvalid)):
        parse_client_metadata({"redirect_uris": [uri]})


@pytest.mark.parametrize(
    "uri",
    [URI, "https://client.example", "https://client.example:8443/cb?a=b&c=%20", "https://xn--bcher-kva.example/cb",
     "http://127.0.0.1/cb", "http://127.0.0.1:3000/cb", "http://[::1]/cb", "http://localhost:33418/", "http://localhost",
     "com.example.app:/callback", "com.example.app://callback?a=b"],
)  # fmt: skip
def test_an_ordinary_redirect_uri_is_registered_and_is_itself(uri: str) -> None:
    check_redirect_uri(uri)

    assert matches_redirect_uri(uri, uri)


@pytest.mark.parametrize(
    ("registered", "presented"),
    [
        pytest.param(URI, URI + "/", id="slash more"),
        pytest.param(URI, URI + "?a=b", id="query more"),
        pytest.param(URI, URI + "#f", id="fragment"),
        pytest.param(URI, "https://client.example/CALLBACK", id="case of the path"),
        pytest.param(URI, "https://CLIENT.example/callback", id="case of the host"),
        pytest.param(URI, "https://client.example:443/callback", id="default port"),
        pytest.param(URI, "https://client.example:8443/callback", id="another port"),
        pytest.param(URI, "http://client.example/callback", id="another scheme"),
        pytest.param(URI, "https://a.client.example/callback", id="subdomain"),
        pytest.param(URI, "https://client.example/%63allback", id="escape"),
        pytest.param(URI, "https://client.example/a/../callback", id="dot segment"),
        pytest.param(URI, "https://client.example@evil.example/callback", id="user"),
        pytest.param(URI, "", id="empty"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb", id="loopback as a user"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:80.evil.example/cb", id="loopback as a subdomain"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", id="loopback prefix"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:3000/other", id="loopback, another path"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:3000/cb?a=b", id="loopback, another query"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:3000/cb#f", id="loopback, fragment"),
        pytest.param("http://127.0.0.1/cb", "http://localhost:3000/cb", id="loopback, another name"),
        pytest.param("http://localhost/cb", "http://127.0.0.1/cb", id="loopback, its address"),
        pytest.param("http://127.0.0.1/cb", "https://127.0.0.1:3000/cb", id="loopback, another scheme"),
        pytest.param("https://127.0.0.1/cb", "https://127.0.0.1:3000/cb", id="https on loopback has one port"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", id="loopback, port 0"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", id="loopback, port above the last"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:/cb", id="loopback, empty port"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:٣/cb", id="loopback, other digits"),
        pytest.param("http://127.0.0.1/cb", "http://127.0.0.1:3000/cb\n", id="loopback, line end"),
        pytest.param("http://127.0.0.1", "http://127.0.0.1:3000evil.example", id="loopback, no path"),
        pytest.param("com.example.app:/cb", "com.example.app:/cb2", id="private-use, another path"),
    ],
)
def test_what_is_not_the_registered_redirect_uri_does_not_match(registered: str, presented: str) -> None:
    assert not matches_redirect_uri(registered, presented)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
@pytest.mark.parametrize("registered", ["", ":3000"])
@pytest.mark.parametrize("presented", ["", ":1", ":49152", ":65535"])
def test_a_program_on_the_machine_may_listen_at_any_port(host: str, registered: str, presented: str) -> None:
    assert matches_redirect_uri(f"http://{host}{registered}/cb?a=b", f"http://{host}{presented}/cb?a=b")


BASES = st.sampled_from(
    [URI, "http://127.0.0.1/cb", "http://[::1]:3000/cb?a=b", "http://localhost", "com.example.app:/cb"]
)
PIECES = st.text(st.sampled_from(list("/:@#?.\\%2e0159abc[]*evil ")), max_size=12)


@given(base=BASES, piece=PIECES, at=st.integers(0, 40), cut=st.integers(0, 4))
def test_whatever_matches_leads_to_the_same_host_and_path(base: str, piece: str, at: int, cut: int) -> None:
    presented = base[:at] + piece + base[at + cut :]
    if not matches_redirect_uri(base, presented):
        assert presented != base
        return

    ours, theirs = urlsplit(base), urlsplit(presented)

    assert (ours.scheme, ours.hostname, ours.path, ours.query, ours.fragment) == (
        theirs.scheme,
        theirs.hostname,
        theirs.path,
        theirs.query,
        theirs.fragment,
    )
    assert "@" not in theirs.netloc
    assert ours.port == theirs.port or ours.hostname in ("127.0.0.1", "::1", "localhost")
    check_redirect_uri(presented)


@given(st.text(max_size=60))
def test_no_text_is_registered_that_a_browser_would_run_or_read_otherwise(text: str) -> None:
    try:
        check_redirect_uri(text)
    except RedirectUriInvalid:
        return

    assert text.isascii() and text.isprintable() and "#" not in text and "*" not in text
    assert text.startswith(("https://", "http://")) or "." in text.partition(":")[0]


def test_metadata_is_read_with_its_defaults() -> None:
    found = parse_client_metadata({"redirect_uris": [URI]})

    assert found == ClientMetadata(redirect_uris=(URI,))
    assert (found.token_endpoint_auth_method, found.grant_types, found.is_public) == (
        "client_secret_basic",
        ("authorization_code", "refresh_token"),
        False,
    )


def test_every_member_is_read_and_told_again() -> None:
    given_members: dict[str, Any] = {
        "client_name": "Łódź reader",
        "client_uri": "https://client.example/#about",
        "logo_uri": "https://client.example/logo.png",
        "policy_uri": "https://client.example/policy",
        "tos_uri": "https://client.example/tos",
        "contacts": ["ana@example.com"],
        "redirect_uris": [URI, "http://127.0.0.1/cb"],
        "post_logout_redirect_uris": ["https://client.example/out"],
        "backchannel_logout_uri": "https://client.example/logout",
        "backchannel_logout_session_required": True,
        "grant_types": ["authorization_code", "urn:openid:params:grant-type:ciba"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [KEY.as_dict(private=False)]},
        "scope": "crm:contacts.read agent:read",
        "application_type": "native",
        "dpop_bound_access_tokens": True,
        "tls_client_certificate_bound_access_tokens": True,
        "require_pushed_authorization_requests": True,
        "id_token_signed_response_alg": "RS256",
        "introspection_signed_response_alg": "RS256",
        "backchannel_token_delivery_mode": "ping",
        "backchannel_client_notification_endpoint": "https://client.example/ping",
        "software_id": "reader",
        "software_version": "1.2",
    }

    found = parse_client_metadata(given_members)

    assert msgspec.json.decode(msgspec.json.encode(registered_members(found))) == given_members
    stored = msgspec.json.encode(found)
    assert msgspec.json.decode(stored, type=ClientMetadata) == found


def test_what_is_told_has_no_empty_member_and_names_the_defaults() -> None:
    told = registered_members(parse_client_metadata({"redirect_uris": [URI]}))

    assert told == {
        "redirect_uris": (URI,),
        "grant_types": ("authorization_code", "refresh_token"),
        "response_types": ("code",),
        "token_endpoint_auth_method": "client_secret_basic",
        "application_type": "web",
        "id_token_signed_response_alg": "ES256",
        "introspection_signed_response_alg": "ES256",
        "backchannel_token_delivery_mode": "poll",
    }


def test_unknown_and_null_members_are_ignored() -> None:
    sent = {"redirect_uris": [URI], "logo_uri": None, "jwks": None, "client_name#ja": "x", "unknown": {"a": 1}}

    assert parse_client_metadata(sent) == ClientMetadata(redirect_uris=(URI,))


def test_grants_that_are_not_of_this_server_are_left_out() -> None:
    found = parse_client_metadata(
        {"redirect_uris": [URI], "grant_types": ["implicit", "authorization_code", "password", "authorization_code"]}
    )

    assert found.grant_types == ("authorization_code",)


def test_a_client_without_a_browser_needs_no_redirect_uri() -> None:
    found = parse_client_metadata({"grant_types": ["client_credentials"]})

    assert (found.grant_types, found.response_types, found.redirect_uris) == (("client_credentials",), (), ())


@pytest.mark.parametrize("uris", [[], None], ids=["empty", "none"])
def test_a_client_that_uses_a_browser_needs_a_redirect_uri(uris: object) -> None:
    with pytest.raises(RedirectUriInvalid):
        parse_client_metadata({"redirect_uris": uris})


INVALID: dict[str, dict[str, Any]] = {
    "name is a number": {"client_name": 1},
    "name turns around": {"client_name": "rea\u202eder"},
    "name has a line end": {"client_name": "a\nb"},
    "name too long": {"client_name": "x" * 257},
    "uris are a text": {"redirect_uris": URI},
    "a uri is a number": {"redirect_uris": [1]},
    "too many uris": {"redirect_uris": [f"{URI}/{n}" for n in range(33)]},
    "script as a page": {"client_uri": "javascript:alert(1)"},
    "data as a logo": {"logo_uri": "data:image/png;base64,AA"},
    "file of keys": {"jwks_uri": "file:///etc/passwd"},
    "user in a policy": {"policy_uri": "https://a@b.example/"},
    "fragment in a logout": {"backchannel_logout_uri": "https://client.example/out#f"},
    "other script in terms": {"tos_uri": "https://сlient.example/"},
    "only unknown grants": {"grant_types": ["implicit"]},
    "refresh token alone": {"grant_types": ["refresh_token"]},
    "no grant": {"grant_types": []},
    "implicit flow": {"response_types": ["token"]},
    "no response type": {"response_types": []},
    "symmetric assertion": {"token_endpoint_auth_method": "client_secret_jwt"},
    "unknown method": {"token_endpoint_auth_method": "magic"},
    "public client as itself": {"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]},
    "key method without keys": {"token_endpoint_auth_method": "private_key_jwt"},
    "both ways of keys": {"jwks": {"keys": [KEY.as_dict(private=False)]}, "jwks_uri": "https://client.example/k"},
    "private key": {"jwks": {"keys": [KEY.as_dict(private=True)]}},
    "symmetric key": {"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
    "no key": {"jwks": {"keys": []}},
    "keys as a text": {"jwks": "{}"},
    "unsigned id token": {"id_token_signed_response_alg": "none"},
    "symmetric id token": {"id_token_signed_response_alg": "HS256"},
    "push": {"backchannel_token_delivery_mode": "push"},
    "ping to nowhere": {"backchannel_token_delivery_mode": "ping"},
    "scope with a quote": {"scope": 'a"b'},
    "scope with a line end": {"scope": "a\nb"},
    "unsigned introspection": {"introspection_signed_response_alg": "none"},
    "unknown application": {"application_type": "desktop"},
    "flag as a text": {"dpop_bound_access_tokens": "true"},
}


@pytest.mark.parametrize("members", [pytest.param(members, id=name) for name, members in INVALID.items()])
def test_metadata_that_is_not_allowed_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ClientMetadataInvalid):
        parse_client_metadata({"redirect_uris": [URI], **members})


@pytest.mark.parametrize("value", [None, [], "x", 1, [{"redirect_uris": [URI]}]], ids=repr)
def test_metadata_is_an_object(value: object) -> None:
    with pytest.raises(ClientMetadataInvalid):
        parse_client_metadata(value)
