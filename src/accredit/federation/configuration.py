"""The description of a provider (TOML) → what its connector is made from. `docs/sign-on.md` shows the form."""

import re
import tomllib
from collections.abc import Callable
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from accredit.errors import InputRefused
from accredit.federation.endpoints import check_endpoint, check_issuer
from accredit.federation.errors import ProviderInvalid
from accredit.federation.signed import ALGORITHMS, DEFAULT_ALGORITHMS
from accredit.federation.written import DOMAIN, NAME, PLAIN, ROLE
from accredit.settings import toml_place

ClientAuthenticationName = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
Prompt = Literal["", "login", "select_account", "consent"]

# RFC 6749 §3.3
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
_TITLE_LIMIT = 80
_RSA_BITS = 2_048
_NEXT = "docs/sign-on.md shows the form; mend it, nothing was changed"


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the provider calls what is read: claims of OpenID Connect, attributes of SAML. Empty: it is not read."""

    name: str = "name"
    email: str = "email"
    email_verified: str = "email_verified"
    groups: str = "groups"


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind of provider has.

    `domains` lead people here by their address. `authoritative_domains` are those for whose addresses the provider's
    word is taken: such an address finds an account that is there already, and `create_people` makes one for it.
    `roles` maps a group to the roles that it gives.
    """

    name: str
    title: str
    domains: tuple[str, ...] = ()
    authoritative_domains: tuple[str, ...] = ()
    create_people: bool = True
    button: bool = True
    claims: Claims = Claims()
    roles: dict[str, tuple[str, ...]] = {}


class OidcProvider(Provider, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="oidc"):
    """An OpenID Connect provider.

    `max_age_seconds` 0 means: sign in anew; None: however long ago it was. `required_claims` must stand in the ID
    token as they stand here: a provider for everybody (Google) tells one company's people so.
    """

    issuer: str
    client_id: str
    client_authentication: ClientAuthenticationName = "client_secret_basic"
    # The audience of a private_key_jwt assertion; empty: the issuer (RFC 7523bis).
    assertion_audience: str = ""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    acr_values: tuple[str, ...] = ()
    require_acr: bool = False
    required_claims: dict[str, str] = {}
    max_age_seconds: int | None = None
    prompt: Prompt = ""
    userinfo: bool = False
    sign_out: bool = False

    def key(self) -> str:
        """Under which issuer its people are kept."""
        return self.issuer


class SamlProvider(Provider, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="saml"):
    """A SAML 2.0 identity provider. `certificates` are PEM; several while the provider changes its key."""

    entity_id: str
    sso_url: str
    certificates: tuple[str, ...]
    authn_contexts: tuple[str, ...] = ()
    force_authn: bool = False

    def key(self) -> str:
        """Under which issuer its people are kept: an entity id may be spelled as somebody's issuer."""
        return f"saml:{self.entity_id}"


Configuration = OidcProvider | SamlProvider


def parse_configuration(text: str, file: str) -> Configuration:
    """Read one description. `file` is its name, for messages. Raises ProviderInvalid."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProviderInvalid(f"{toml_place(file, str(error))}; expected TOML", next_step=_NEXT) from error
    try:
        found = msgspec.convert(table, OidcProvider | SamlProvider)
        _check(found)
    except msgspec.ValidationError as error:
        raise ProviderInvalid(f"{file}: {str(error)[:1].lower()}{str(error)[1:]}", next_step=_NEXT) from error
    except _Wrong as error:
        raise ProviderInvalid(f"{file}: {error.args[0]} must be {error.args[1]}", next_step=_NEXT) from error
    return found


class _Wrong(Exception):
    """A key, and what it must be."""


def _check(one: Configuration) -> None:
    _must(bool(NAME.match(one.name)), "name", "a-z, 0-9 and -, at most 63 characters")
    _must(0 < len(one.title.strip()) <= _TITLE_LIMIT and one.title.isprintable(), "title", "a text that people read")
    for key in ("domains", "authoritative_domains"):
        domains: tuple[str, ...] = getattr(one, key)
        _must(all(DOMAIN.match(domain) for domain in domains), key, "domains in lower case, such as example.com")
    for roles in one.roles.values():
        _must(all(ROLE.match(role) for role in roles), "roles", "groups, each with a list of roles of a-z, 0-9 and -")
    if isinstance(one, OidcProvider):
        _check_oidc(one)
    else:
        _check_saml(one)


def _check_oidc(one: OidcProvider) -> None:
    _must_be_asked(check_issuer, "issuer", one.issuer)
    _must(bool(PLAIN.match(one.client_id)), "client_id", "the id that the provider gave")
    _must("openid" in one.scopes and all(map(_SCOPE.match, one.scopes)), "scopes", 'a list of scopes with "openid"')
    allowed = bool(one.algorithms) and set(one.algorithms) <= set(ALGORITHMS)
    _must(allowed, "algorithms", f"a list out of {', '.join(ALGORITHMS)}")
    _must(all(map(PLAIN.match, one.acr_values)), "acr_values", "a list of texts without blanks")
    _must(not one.require_acr or bool(one.acr_values), "require_acr", "false where acr_values is empty")
    _must(one.max_age_seconds is None or one.max_age_seconds >= 0, "max_age_seconds", "0 or more")


def _check_saml(one: SamlProvider) -> None:
    # These stand in XML that the library writes without escaping them.
    for key in ("entity_id", "sso_url"):
        value: str = getattr(one, key)
        _must(bool(PLAIN.match(value)) and not set(value) & set("&<>\"'"), key, "plain, without & < > and quotes")
    _must_be_asked(lambda url: check_endpoint(url, url), "sso_url", one.sso_url)
    for context in one.authn_contexts:
        _must(bool(PLAIN.match(context)) and not set(context) & set("&<>\"'"), "authn_contexts", "a list of URIs")
    _must(bool(one.certificates), "certificates", "a list of at least one certificate in PEM")
    for certificate in one.certificates:
        _must(_is_strong(certificate), "certificates", "PEM with an RSA key of at least 2048 bits, or an EC key")


def _is_strong(certificate: str) -> bool:
    try:
        key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    except ValueError:
        return False
    return isinstance(key, EllipticCurvePublicKey) or (isinstance(key, RSAPublicKey) and key.key_size >= _RSA_BITS)


def _must(holds: bool, key: str, expected: str) -> None:
    if not holds:
        raise _Wrong(key, expected)


def _must_be_asked(check: Callable[[str], object], key: str, url: str) -> None:
    try:
        check(url)
    except InputRefused as error:
        raise _Wrong(key, f"an https URL: {error.explanation}") from error
