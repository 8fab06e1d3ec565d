"""Authlib's client of a server, and its code flow with the person at the browser."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from authlib.common.security import generate_token  # type: ignore[import-untyped,unused-ignore]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped,unused-ignore]

from tests.conformance.peers import metadata
from tests.conformance.person import Person
from tests.server.running import Running


def as_client(server: Running, client_id: str, secret: str | None, **more: Any) -> Any:
    """A client that proves itself with a secret, or with nothing; it uses PKCE."""
    method = more.pop("token_endpoint_auth_method", "client_secret_basic" if secret else "none")
    return OAuth2Client(
        client_id,
        secret,
        token_endpoint=metadata(server)["token_endpoint"],
        token_endpoint_auth_method=method,
        code_challenge_method="S256",
        transport=httpx2.HTTPTransport(),
        timeout=30,
        **more,
    )


AsClient = Callable[..., Any]


@pytest.fixture
def authlib() -> Iterator[AsClient]:
    """`as_client`, whose clients are closed with the test."""
    with ExitStack() as open_:
        yield lambda *given, **more: open_.enter_context(as_client(*given, **more))


def with_code(client: Any, server: Running, person: Person, **parameters: str) -> dict[str, Any]:
    """Ask the person, change the code, and return the token response."""
    verifier = generate_token(48)
    endpoint = metadata(server)["authorization_endpoint"]
    url, state = client.create_authorization_url(endpoint, code_verifier=verifier, **parameters)
    answer = person.allow(url)
    tokens: dict[str, Any] = client.fetch_token(authorization_response=answer, state=state, code_verifier=verifier)
    return tokens
