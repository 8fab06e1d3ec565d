"""Every way to a token, and introspection: what is sent to Accredit, and to the peer where it has the same."""

import http.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from bench import load, processes
from bench.assertions import Signing
from bench.minting import REDIRECT, VERIFIER, Minting

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # the name of a type
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_CIBA = "urn:openid:params:grant-type:ciba"
_GRANTS = ("client_credentials", "authorization_code", "refresh_token", _DEVICE, _CIBA)
_ISSUER = "https://platform.bench.example"
_WORKLOAD = "build-7"


@dataclass(frozen=True, slots=True)
class Flow:
    """One kind of request. `goal` is what the issue asks of `ours` on a machine that does nothing else."""

    name: str
    ours: load.Target
    theirs: load.Target | None = None
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Ours:
    """A running Accredit, its system's audience, an agent with a secret, and the keys of its data folder."""

    server: processes.Accredit
    audience: str
    agent: processes.AgentSecret
    minting: Minting


@dataclass(frozen=True, slots=True)
class Theirs:
    """The running peer, its resource, and its client."""

    url: str
    resource: str
    client: processes.AgentSecret


def client_secret(url: str, client: processes.AgentSecret, resource: str) -> load.Target:
    """`client_credentials`, always the same."""
    form = {"grant_type": "client_credentials", **_secret(client), "resource": resource}
    return load.Target(url, FORM, urlencode(form))


def flows(ours: Ours, theirs: Theirs, signing: Signing) -> tuple[Flow, ...]:
    """All but `client_secret`. Makes what they need at Accredit; raises NotStartedError, LoadFailedError."""
    # Another agent than the one that was asked for before: the server must not have it in memory yet.
    desk = processes.agent(ours.server, "bench-desk", systems=[processes.SYSTEM])
    ours.minting.make_client(desk.client_id, _GRANTS)
    ours = replace(ours, agent=desk)
    return (
        _private_key_jwt(ours, theirs, signing),
        _token_exchange(ours),
        _refresh_token(ours, theirs),
        _authorization_code(ours, theirs),
        _jwt_bearer(ours),
        _device(ours),
        _ciba(ours),
        _introspection(ours, theirs),
    )


def _private_key_jwt(ours: Ours, theirs: Theirs, signing: Signing) -> Flow:
    agent = processes.agent(ours.server, "bench-key", systems=[processes.SYSTEM])
    credential = {"kind": "public_key", "jwks": {"keys": [signing.jwk]}}
    ours.server.call(f"/api/v1/agents/{agent.client_id}/credentials", credential)

    def target(url: str, client: str, audience: str, resource: str) -> load.Target:
        form = {"grant_type": "client_credentials", "client_id": client, "resource": resource}
        fixed = urlencode({**form, "client_assertion_type": ASSERTION_TYPE})

        def fresh(count: int) -> Sequence[str]:
            jwts = signing.jwts(count, issuer=client, subject=client, audience=audience)
            return [f"{fixed}&client_assertion={jwt}" for jwt in jwts]

        return load.Target(url, FORM, "", fresh=fresh)

    key_client = f"{theirs.client.client_id}-key"
    return Flow(
        "private_key_jwt",
        target(_token(ours), agent.client_id, ours.server.issuer, ours.audience),
        target(f"{theirs.url}/token", key_client, theirs.url, theirs.resource),
        "3,000/s",
    )


def _token_exchange(ours: Ours) -> Flow:
    """Two agents: the second acts with the token of the first. The peer has no such grant."""
    acting = processes.agent(ours.server, "bench-acting", systems=[processes.SYSTEM])
    first = processes.agent(ours.server, "bench-first", systems=[processes.SYSTEM], may_act=[acting.client_id])
    subject = _access_token(client_secret(_token(ours), first, ours.audience))
    form = {"grant_type": _EXCHANGE, "subject_token": subject, "subject_token_type": _ACCESS_TOKEN, **_secret(acting)}
    return Flow("token exchange", load.Target(_token(ours), FORM, urlencode(form)), goal="3,000/s")


def _refresh_token(ours: Ours, theirs: Theirs) -> Flow:
    def target(url: str, client: processes.AgentSecret, make: Callable[[int], Sequence[str]]) -> load.Target:
        body = urlencode({"grant_type": "refresh_token", **_secret(client)}) + "&refresh_token={}"
        return load.Target(
            url,
            FORM,
            body,
            fresh=lambda count: [body.replace("{}", quote(one)) for one in make(count)],
            next_from="refresh_token",
        )

    return Flow(
        "refresh_token",
        target(_token(ours), ours.agent, ours.minting.refresh_tokens),
        target(f"{theirs.url}/token", theirs.client, lambda count: _made(theirs, "refresh_token", count)),
    )


def _authorization_code(ours: Ours, theirs: Theirs) -> Flow:
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    return Flow(
        "authorization_code",
        _once(_token(ours), {**form, **_secret(ours.agent)}, "code", ours.minting.codes),
        _once(
            f"{theirs.url}/token",
            {**form, **_secret(theirs.client), "resource": theirs.resource},
            "code",
            lambda count: _made(theirs, "code", count),
        ),
    )


def _jwt_bearer(ours: Ours) -> Flow:
    platform = Signing()
    jwks = msgspec.json.encode({"keys": [platform.jwk]}).decode()
    described = f'name = "bench"\nkind = "generic"\nissuer = "{_ISSUER}"\njwks = \'{jwks}\'\n'
    ours.server.call("/api/v1/trusted-issuers", {"configuration": described})
    agent = processes.agent(ours.server, "bench-workload", systems=[processes.SYSTEM])
    credential = {"kind": "federated", "issuer": _ISSUER, "subject": _WORKLOAD}
    ours.server.call(f"/api/v1/agents/{agent.client_id}/credentials", credential)

    def make(count: int) -> Sequence[str]:
        return platform.jwts(count, issuer=_ISSUER, subject=_WORKLOAD, audience=ours.server.issuer)

    form = {"grant_type": _JWT_BEARER, "resource": ours.audience}
    return Flow("jwt-bearer, a workload", _once(_token(ours), form, "assertion", make))


def _device(ours: Ours) -> Flow:
    form = {"grant_type": _DEVICE, **_secret(ours.agent)}
    target = _once(
        _token(ours),
        form,
        "device_code",
        lambda count: ours.minting.requests("device", count, approved=False),
        expects="authorization_pending",
    )
    return Flow("device poll, nobody answered yet", target)


def _ciba(ours: Ours) -> Flow:
    form = {"grant_type": _CIBA, **_secret(ours.agent)}
    return Flow(
        "CIBA poll, approved",
        _once(_token(ours), form, "auth_req_id", lambda count: ours.minting.requests("ciba", count, approved=True)),
    )


def _introspection(ours: Ours, theirs: Theirs) -> Flow:
    opaque = client_secret(f"{theirs.url}/token", theirs.client, _made(theirs, "opaque", 1)[0])

    def target(url: str, client: processes.AgentSecret, token: str) -> load.Target:
        return load.Target(url, FORM, urlencode({**_secret(client), "token": token}), expects='"active":true')

    token = _access_token(client_secret(_token(ours), ours.agent, ours.audience))
    return Flow(
        "introspection",
        target(f"{ours.server.url}/oauth/introspect", ours.agent, token),
        target(f"{theirs.url}/token/introspection", theirs.client, _access_token(opaque)),
        "8,000/s",
    )


def _once(
    url: str, form: dict[str, str], name: str, make: Callable[[int], Sequence[str]], *, expects: str = ""
) -> load.Target:
    """A form whose parameter `name` is another each time."""
    fixed = urlencode(form)
    return load.Target(
        url, FORM, "", fresh=lambda count: [f"{fixed}&{name}={quote(one)}" for one in make(count)], expects=expects
    )


def _token(ours: Ours) -> str:
    return f"{ours.server.url}/oauth/token"


def _secret(client: processes.AgentSecret) -> dict[str, str]:
    return {"client_id": client.client_id, "client_secret": client.client_secret}


def _made(theirs: Theirs, what: str, count: int) -> list[str]:
    return httpx2.get(f"{theirs.url}/made/{what}", params={"count": count}, timeout=60).raise_for_status().text.split()


def _access_token(target: load.Target) -> str:
    status, body = load.post(target)
    if status != http.client.OK:
        raise load.LoadFailedError(f"{target.url} gave no token: {status} {body[:500]!r}")
    token: str = msgspec.json.decode(body)["access_token"]
    return token
