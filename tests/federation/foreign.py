"""An issuer of somebody else's: its keys served on a port of its own, and tokens as its platform makes them."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from tests.rooms import TestClock

OURS = "http://localhost:8400"
GITHUB = "https://token.actions.githubusercontent.com"
DOMAIN = "spiffe://example.org"
TENANT = "11111111-2222-3333-4444-555555555555"
OBJECT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

KEYS: dict[str, Any] = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa-1"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec-1"}),
}


@dataclass
class Foreign:
    """The issuer. `requests` are the paths that were asked for."""

    url: str
    clock: TestClock
    published: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    answers: bool = True

    @property
    def jwks_uri(self) -> str:
        return f"{self.url}/jwks"

    def sign(
        self, claims: dict[str, Any], *, alg: str = "RS256", key: Any = None, header: dict[str, Any] | None = None
    ) -> str:
        """A token of these claims; a claim or a member of the header that is None is left out."""
        key = key or KEYS[alg]
        members = {"alg": alg, "kid": key.kid, **(header or {})}
        members = {name: value for name, value in members.items() if value is not None}
        payload = {name: value for name, value in claims.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
        return jws.serialize_compact(members, msgspec.json.encode(payload), key, registry=registry)

    def sign_raw(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """A token whose header no library would write, signed all the same (RS256)."""
        parts = [urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=") for part in (header, claims)]
        signed = b".".join(parts)
        private = load_pem_private_key(KEYS["RS256"].as_pem(private=True), None)
        assert isinstance(private, RSAPrivateKey)
        signature = private.sign(signed, PKCS1v15(), SHA256())
        return (signed + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode()

    def times(self, seconds: int = 300) -> dict[str, int]:
        now = int(self.clock.seconds())
        return {"iat": now, "nbf": now, "exp": now + seconds}

    def generic(self, **claims: Any) -> dict[str, Any]:
        return {"iss": self.url, "sub": "build-7", "aud": OURS, "jti": "j-1", **self.times(), **claims}

    def kubernetes(self, **claims: Any) -> dict[str, Any]:
        """As the API server of Kubernetes 1.32 makes them for a projected volume."""
        details = {
            "namespace": "prod",
            "node": {"name": "node-1", "uid": "5b2e7d5c-0c5b-4e8e-9d3a-000000000001"},
            "pod": {"name": "scout-7f4c", "uid": "5b2e7d5c-0c5b-4e8e-9d3a-000000000002"},
            "serviceaccount": {"name": "scout", "uid": "5b2e7d5c-0c5b-4e8e-9d3a-000000000003"},
        }
        return {
            "aud": [OURS],
            **self.times(3_607),
            "iss": self.url,
            "jti": "9c0e5ee1-6a0e-4f8e-b1b3-2f5c6c1f0001",
            "kubernetes.io": details,
            "sub": "system:serviceaccount:prod:scout",
            **claims,
        }

    def svid(self, **claims: Any) -> dict[str, Any]:
        """A JWT-SVID as SPIRE makes them."""
        return {"aud": [OURS], "sub": f"{DOMAIN}/ns/prod/sa/scout", **self.times(), "nbf": None, **claims}

    def github(self, **claims: Any) -> dict[str, Any]:
        """As GitHub makes them for a job on a branch."""
        return {
            "jti": "c8d2b3f0-0000-4000-8000-000000000001",
            "sub": "repo:acme/scout:ref:refs/heads/main",
            "aud": OURS,
            "ref": "refs/heads/main",
            "sha": "0" * 40,
            "repository": "acme/scout",
            "repository_owner": "acme",
            "repository_owner_id": "123456",
            "repository_id": "654321",
            "repository_visibility": "private",
            "run_id": "1",
            "run_number": "1",
            "run_attempt": "1",
            "runner_environment": "github-hosted",
            "actor": "ana",
            "actor_id": "7",
            "workflow": "deploy",
            "workflow_ref": "acme/scout/.github/workflows/deploy.yml@refs/heads/main",
            "workflow_sha": "0" * 40,
            "job_workflow_ref": "acme/scout/.github/workflows/deploy.yml@refs/heads/main",
            "job_workflow_sha": "0" * 40,
            "head_ref": "",
            "base_ref": "",
            "event_name": "push",
            "ref_protected": "true",
            "ref_type": "branch",
            "iss": GITHUB,
            **self.times(300),
            **claims,
        }

    def entra(self, **claims: Any) -> dict[str, Any]:
        """As Entra ID makes them for a managed identity (v2.0)."""
        return {
            "aud": OURS,
            "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            **self.times(86_400),
            "aio": "k2Bg",
            "azp": "99999999-8888-7777-6666-555555555555",
            "azpacr": "2",
            "idtyp": "app",
            "oid": OBJECT,
            "rh": "0.A",
            "sub": OBJECT,
            "tid": TENANT,
            "uti": "abc",
            "ver": "2.0",
            **claims,
        }

    def google(self, **claims: Any) -> dict[str, Any]:
        """As the metadata server makes them for a service account."""
        return {
            "aud": OURS,
            "azp": "113774264463038321964",
            "email": "scout@acme.iam.gserviceaccount.com",
            "email_verified": True,
            "iss": "https://accounts.google.com",
            "sub": "113774264463038321964",
            **self.times(3_600),
            "nbf": None,
            **claims,
        }

    def aws(self, **claims: Any) -> dict[str, Any]:
        """As `sts:GetWebIdentityToken` makes them for a role."""
        return {
            "aud": OURS,
            "sub": "arn:aws:iam::123456789012:role/scout",
            "iss": "https://8f3a1f7e-0000-4000-8000-000000000000.tokens.sts.global.api.aws",
            "jti": "6f4e3a52-0000-4000-8000-000000000001",
            "https://sts.amazonaws.com/": {
                "aws_account": "123456789012",
                "source_region": "eu-central-1",
                "principal_id": "arn:aws:iam::123456789012:role/scout",
            },
            **self.times(300),
            "nbf": None,
            **claims,
        }

    def id_jag(self, **claims: Any) -> dict[str, Any]:
        """An ID-JAG as a company's identity provider makes them."""
        return {
            "iss": self.url,
            "sub": "U019488227",
            "aud": OURS,
            "jti": "9e43f81b64a33f20116179",
            "resource": f"{OURS}/gateway/crm/mcp",
            "scope": "crm:contacts.read crm:contacts.write",
            "email": "bo@acme.example",
            "email_verified": True,
            "auth_time": int(self.clock.seconds()) - 60,
            "acr": "phr",
            "amr": ["mfa", "hwk"],
            **self.times(300),
            "nbf": None,
            **claims,
        }

    def sign_id_jag(self, client_id: str, **claims: Any) -> str:
        return self.sign(self.id_jag(client_id=client_id, **claims), header={"typ": "oauth-id-jag+jwt"})

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        self.requests.append(path)
        document: dict[str, Any] = {"keys": self.published}
        if path == "/.well-known/openid-configuration":
            document = {"issuer": self.url, "jwks_uri": self.jwks_uri}
        body = json.dumps(document).encode()
        status = b"200 OK" if self.answers else b"503 Service Unavailable"
        writer.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status, len(body), body)
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def open_foreign(clock: TestClock) -> AsyncIterator[Foreign]:
    """Serve the keys of an issuer on this machine."""
    foreign = Foreign("", clock, [key.as_dict(private=False) for key in KEYS.values()])
    server = await asyncio.start_server(foreign._answer, "127.0.0.1", 0)
    foreign.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield foreign
    finally:
        server.close()


def describe(name: str, issuer: str, kind: str, more: str = "", **keys: str) -> str:
    """A description in TOML."""
    lines = [f'{key} = "{value}"' for key, value in {"name": name, "issuer": issuer, "kind": kind, **keys}.items()]
    return "\n".join(lines) + "\n" + more


def issuer_of(foreign: Foreign, kind: str) -> str:
    """What the tokens of a kind say as `iss`."""
    return str({"spiffe": DOMAIN}.get(kind) or getattr(foreign, kind)()["iss"])
