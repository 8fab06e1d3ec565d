"""Becoming a client of a server that one has not met (MCP 2026-07-28; RFC 7591).

What a server registered is bound to its issuer: at another, the client registers anew and shows nothing of the first.
"""

import time

import msgspec

from accredit.client.credentials import (
    BASIC,
    NONE,
    POST,
    ClientSecret,
    Credential,
    NewClient,
    PrivateKey,
    PublicClient,
    SecretMethod,
)
from accredit.client.errors import Denied, Misconfigured
from accredit.client.metadata import AuthorizationServer
from accredit.client.steps import Answer, Call, Steps, send
from accredit.client.tokens import Store, refusal

_CREATED = (200, 201)


class _Registered(msgspec.Struct, frozen=True, omit_defaults=True):
    client_id: str
    client_secret: str | None = None
    token_endpoint_auth_method: str | None = None
    client_secret_expires_at: int | None = None


def become_client(
    new: NewClient, server: AuthorizationServer, store: Store, redirect_uri: str | None, *, dpop: bool
) -> Steps[Credential]:
    """The credential for this server. Raises Denied, Misconfigured, Unavailable."""
    if new.document is not None and server.client_id_metadata_document_supported:
        if new.document_key is not None:
            return PrivateKey(new.document, new.document_key, issuer=server.issuer)
        return PublicClient(new.document, issuer=server.issuer)
    key = registration_key(server.issuer)
    kept = store.load(key)
    if kept is None or _is_over(kept):
        answer = yield from _register(new, server, redirect_uri, dpop=dpop)
        kept = answer.body.decode(errors="replace")
        credential = _credential(kept, server)
        store.save(key, kept)
        return credential
    return _credential(kept, server)


def registration_key(issuer: str) -> str:
    """Where a Store keeps the client that this issuer registered."""
    return f"client {issuer}"


def _register(new: NewClient, server: AuthorizationServer, redirect_uri: str | None, *, dpop: bool) -> Steps[Answer]:
    if server.registration_endpoint is None:
        raise Misconfigured(
            f"{server.issuer} registers no clients by itself",
            next_step="have the client registered there, and give its ClientSecret, PrivateKey or PublicClient",
        )
    body: dict[str, object] = {
        "client_name": new.name,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": _method(server),
    }
    if redirect_uri is not None:
        body["redirect_uris"] = [redirect_uri]
        # OpenID Connect Registration §2: loopback and private schemes are native programs, https is a web site.
        body["application_type"] = "web" if redirect_uri.startswith("https:") else "native"
    if dpop:
        body["dpop_bound_access_tokens"] = True
    headers = {} if new.initial_access_token is None else {"authorization": f"Bearer {new.initial_access_token}"}
    url = server.registration_endpoint
    answer = yield from send(Call(url=url, json=msgspec.json.encode(body), headers=headers))
    if answer.status not in _CREATED:
        raise refusal(answer, url)
    return answer


def _method(server: AuthorizationServer) -> str:
    """How to prove: without a secret where that is allowed, since a program on a person's machine can keep none."""
    supported = server.token_endpoint_auth_methods_supported
    if supported is None or NONE in supported:
        return NONE
    for method in (BASIC, POST):
        if method in supported:
            return method
    raise Misconfigured(f"{server.issuer} accepts no way in which a new client could prove itself")


def _is_over(text: str) -> bool:
    """Whether the registered secret has expired; 0 means that it never does (RFC 7591 §3.2.1)."""
    try:
        ends = msgspec.json.decode(text, type=_Registered).client_secret_expires_at
    except msgspec.MsgspecError:
        return True
    return bool(ends) and (ends or 0) <= time.time()


def _credential(text: str, server: AuthorizationServer) -> Credential:
    try:
        found = msgspec.json.decode(text, type=_Registered)
    except msgspec.MsgspecError as error:
        raise Denied(f"{server.issuer} did not register the client", next_step="report it to its operator") from error
    method = found.token_endpoint_auth_method or _method(server)
    if method == NONE:
        return PublicClient(found.client_id, issuer=server.issuer)
    if found.client_secret is None or method not in {BASIC, POST}:
        raise Denied(
            f"{server.issuer} registered the client for {method}, which it cannot do",
            next_step="have the client registered by its operator",
        )
    return ClientSecret(found.client_id, found.client_secret, issuer=server.issuer, method=_secret_method(method))


def _secret_method(method: str) -> SecretMethod:
    return "client_secret_basic" if method == BASIC else "client_secret_post"
