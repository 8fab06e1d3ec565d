"""Who the client is, and how it proves that at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2).

A credential that was registered beforehand names the `issuer` that it is for: else a resource could name an
authorization server of its own choice, and be sent the secret.
"""

import base64
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote_plus, urlsplit

from accredit.client.errors import Misconfigured
from accredit.client.metadata import AuthorizationServer
from accredit.client.private_keys import ASSERTION_TYPE, SigningKey, import_key, kind_of, sign_assertion
from accredit.client.sources import Source, obtain
from accredit.client.steps import Steps

BASIC = "client_secret_basic"
POST = "client_secret_post"
NONE = "none"
_ALGORITHMS = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("Ed25519", "EdDSA"),
    "RSA": ("PS256", "RS256"),
}

SecretMethod = Literal["client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client with a secret. `issuer=None` trusts whatever server the resource names with it.

        ClientSecret("agt_1", secret, issuer="https://accredit.example")

    Without `method`, the one that the server publishes is used, `client_secret_basic` first.
    """

    client_id: str
    secret: str = field(repr=False)
    issuer: str | None = field(kw_only=True)
    method: SecretMethod | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A client with a key (`private_key_jwt`): a PEM or a JWK of kind EC, Ed25519 or RSA. Nothing secret is sent.

        PrivateKey("agt_1", Path("key.pem").read_text())

    Raises Misconfigured.
    """

    client_id: str
    key: str = field(repr=False)
    issuer: str | None = field(default=None, kw_only=True)
    algorithm: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _load_key(self.key)


@dataclass(frozen=True, slots=True)
class WorkloadAssertion:
    """A client that the platform vouches for: its token is the client assertion (RFC 7523 §2.2)."""

    client_id: str
    assertion: Source = field(repr=False)
    issuer: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class PublicClient:
    """A client that was registered beforehand and can keep no secret (`none`); PKCE protects it."""

    client_id: str
    issuer: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client that the server has not met: by its Client ID Metadata Document, else by dynamic registration.

        OAuth(url, NewClient("Notes", document="https://notes.example/client.json"))

    `document` is the address of the document, which is then the `client_id`; `document_key` signs for it if it says
    `private_key_jwt`. `initial_access_token` is what a server may want before it registers anybody (RFC 7591 §3).

    Raises Misconfigured.
    """

    name: str
    document: str | None = field(default=None, kw_only=True)
    document_key: str | None = field(default=None, kw_only=True, repr=False)
    initial_access_token: str | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.document is not None:
            parts = urlsplit(self.document)
            # draft-ietf-oauth-client-id-metadata-document §3: https, with a path, and nothing that could be confused.
            if parts.scheme != "https" or parts.path in {"", "/"} or parts.fragment or parts.username is not None:
                raise Misconfigured("the document of a client is at an https address with a path", next_step="host it")
        if self.document_key is not None:
            _load_key(self.document_key)


Credential = ClientSecret | PrivateKey | WorkloadAssertion | PublicClient
Identity = Credential | NewClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a request to the token endpoint carries beside its grant."""

    form: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def prove(credential: Credential, server: AuthorizationServer) -> Steps[Proof]:
    """The client's proof for one request to this server. Raises Misconfigured."""
    match credential:
        case ClientSecret():
            return _secret(credential, server)
        case PrivateKey():
            form = _assertion(credential.client_id, _sign(credential, server))
            return Proof(form=form)
        case WorkloadAssertion():
            assertion = yield from obtain(credential.assertion, server.issuer)
            return Proof(form=_assertion(credential.client_id, assertion))
        case PublicClient():
            return Proof(form={"client_id": credential.client_id})


def check_issuer(credential: Credential, issuer: str) -> None:
    """Refuse to prove to another server than the credential is for. Raises Misconfigured."""
    if credential.issuer is not None and credential.issuer != issuer:
        raise Misconfigured(
            f"the resource names the authorization server {issuer}, and the credential is for {credential.issuer}",
            next_step="check the address of the resource; register the client there if it is the right one",
            code="issuer_mismatch",
        )


def _secret(credential: ClientSecret, server: AuthorizationServer) -> Proof:
    # RFC 8414 §2: a server that does not say accepts client_secret_basic.
    supported = server.token_endpoint_auth_methods_supported or (BASIC,)
    method = credential.method or (POST if POST in supported and BASIC not in supported else BASIC)
    if method == POST:
        return Proof(form={"client_id": credential.client_id, "client_secret": credential.secret})
    # RFC 6749 §2.3.1: each half is form-encoded before they are joined.
    pair = f"{quote_plus(credential.client_id)}:{quote_plus(credential.secret)}"
    return Proof(form={}, headers={"authorization": "Basic " + base64.b64encode(pair.encode()).decode()})


def _assertion(client_id: str, assertion: str) -> dict[str, str]:
    return {"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def _sign(credential: PrivateKey, server: AuthorizationServer) -> str:
    key = _load_key(credential.key)
    possible = _ALGORITHMS.get(kind_of(key), ())
    wanted = server.token_endpoint_auth_signing_alg_values_supported
    usable = [one for one in possible if wanted is None or one in wanted]
    algorithm = credential.algorithm or (usable[0] if usable else None)
    if algorithm is None:
        raise Misconfigured("the server accepts no algorithm that fits the key", next_step="use P-256 with ES256")
    return sign_assertion(key, algorithm, credential.client_id, server.issuer)


def _load_key(text: str) -> SigningKey:
    try:
        key = import_key(text)
    except ValueError:
        raise Misconfigured("no private key that can be used", next_step="give an EC, Ed25519 or RSA key") from None
    if not key.is_private:
        raise Misconfigured("this is the public key", next_step="give the private one of the pair")
    return key
