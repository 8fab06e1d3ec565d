"""What a bench makes with the keys of a server's data folder: codes, refresh tokens, rows of requests that wait.

A person who consents takes a second; what is measured is what becomes of it.
"""

import hashlib
import secrets
import time
from pathlib import Path

import msgspec
from sqlalchemy import insert, select, update

from accredit.agents.client_metadata import parse_client_metadata
from accredit.canonical import base64url
from accredit.clock import SystemClock
from accredit.ids import AgentId, DelegationId, FamilyId, PersonId, new_id
from accredit.installation import open_unsealer
from accredit.keys.custody import Custody
from accredit.keys.keyring import open_keyring
from accredit.keys.seal import Sealer
from accredit.keys.signers.sealed import SealedKeys
from accredit.oauth.codes import AuthorizationCode, Seals
from accredit.oauth.pending import LIFETIME_SECONDS, Kind, PendingRequest, key_of
from accredit.settings import load_settings
from accredit.storage import schema
from accredit.storage.db import Database
from accredit.tokens.refresh import RefreshFamily, RefreshTokens

REDIRECT = "https://client.bench.example/back"
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64url(hashlib.sha256(VERIFIER.encode()).digest())
_CODE_SECONDS = 60
_FAMILY_SECONDS = 3_600


class Minting:
    """One server's data folder, for one agent that acts for its administrator on one system."""

    def __init__(self, data: Path, agent: str, system: str, audience: str, scopes: tuple[str, ...]) -> None:
        settings = load_settings({"ACCREDIT_DATA": str(data / "accredit-data")}, data)
        self._database = Database(settings.database_url)
        clock = SystemClock()
        sealed = SealedKeys()
        custody = Custody(Sealer(open_unsealer(settings).master_key()), {sealed.name: sealed}, sealed)
        self._keyring = open_keyring(self._database, custody, clock)
        self._seals = Seals(Sealer(self._keyring.authorization), clock)
        self._refresh_tokens = RefreshTokens(Sealer(self._keyring.refresh_token))
        self._request = PendingRequest(system=system, resource=audience)
        with self._database.reading.connect() as connection:
            row = connection.execute(select(schema.people.c.id).where(schema.people.c.roles.contains("admin"))).first()
        if row is None:
            raise LookupError("the data folder has no administrator")
        self._family = RefreshFamily(
            id=FamilyId(""),
            generation=0,
            agent=AgentId(agent),
            epoch=1,
            person=PersonId(row.id),
            delegation=DelegationId(new_id("dlg")),
            audience=audience,
            scopes=scopes,
            expires_at=0.0,
        )

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    @property
    def client_secret_key(self) -> bytes:
        """The key that secrets are hashed under."""
        return self._keyring.client_secret

    @property
    def person(self) -> str:
        """The administrator's id."""
        return self._family.person

    @property
    def database(self) -> Database:
        """The server's own, in this process."""
        return self._database

    def make_client(self, agent: str, grant_types: tuple[str, ...]) -> None:
        """Say of an agent that it is a client with these grants; from now on what is made is for this one.

        The server must not have it in memory: it does not hear of this.
        """
        self._family = msgspec.structs.replace(self._family, agent=AgentId(agent))
        document: dict[str, object] = {
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "client_secret_post",
            "grant_types": list(grant_types),
        }
        client = msgspec.json.encode(parse_client_metadata(document)).decode()
        with self._database.writing.begin() as connection:
            connection.execute(update(schema.agents).where(schema.agents.c.id == agent).values(client=client))

    def codes(self, count: int) -> list[str]:
        """Authorization codes, each of a family of its own, for the next minute."""
        return [
            self._seals.seal_code(
                AuthorizationCode(
                    id=new_id("cod"),
                    family=self._new_family(),
                    redirect_uri=REDIRECT,
                    code_challenge=CHALLENGE,
                    expires_at=time.time() + _CODE_SECONDS,
                )
            ).reveal()
            for _ in range(count)
        ]

    def refresh_tokens(self, count: int) -> list[str]:
        """Refresh tokens, each the first of a family."""
        return [self._refresh_tokens.seal(self._new_family()).reveal() for _ in range(count)]

    def requests(self, kind: Kind, count: int, *, approved: bool) -> list[str]:
        """The codes of requests that wait for a person, or that one has approved."""
        codes = [base64url(secrets.token_bytes(32)) for _ in range(count)]
        now = time.time()
        rows = [
            {
                "key": key_of(kind, code),
                "kind": kind,
                "agent": self._family.agent,
                "person": self._family.person if approved else None,
                "user_code": None,
                "request": msgspec.json.encode(self._request).decode(),
                "status": "approved" if approved else "pending",
                "answer": msgspec.json.encode(self._new_family()).decode() if approved else None,
                "created_at": now,
                "expires_at": now + LIFETIME_SECONDS,
            }
            for code in codes
        ]
        with self._database.writing.begin() as connection:
            connection.execute(insert(schema.pending_authorizations), rows)
        return codes

    def _new_family(self) -> RefreshFamily:
        expires_at = time.time() + _FAMILY_SECONDS
        return msgspec.structs.replace(self._family, id=FamilyId(new_id("rfm")), expires_at=expires_at)
