"""Requests that wait for a person on another device: device authorization (RFC 8628) and CIBA.

A row is found by the hash of the code that the client polls with, so a copy of the database polls for nobody; what a
ping needs of the code is sealed.
"""

import hashlib
import secrets
from collections import OrderedDict
from typing import Literal

import msgspec

from accredit.agents.model import Agent
from accredit.audit.event import AuditEvent
from accredit.audit.group import record
from accredit.canonical import base64url, from_base64url
from accredit.clock import Clock, rfc3339
from accredit.delegations.model import ActionDetails
from accredit.errors import Conflict
from accredit.ids import AgentId, EventId, NewId, PersonId
from accredit.keys.seal import Sealer
from accredit.oauth.client_auth import AuthenticatedClient
from accredit.oauth.errors import AccessDenied, AuthorizationPending, ExpiredToken, InvalidGrant, SlowDown
from accredit.oauth.pushed import TooManyWait
from accredit.oauth.store import (
    PendingRow,
    answer_pending,
    count_pending,
    count_pending_of_person,
    delete_expired_pending,
    insert_pending,
    load_pending,
    load_pending_by_user_code,
    load_pending_of_person,
)
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Once, Tx
from accredit.tokens.refresh import RefreshFamily

Kind = Literal["device", "ciba"]
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CIBA_GRANT = "urn:openid:params:grant-type:ciba"
INTERVAL_SECONDS = 5
LIFETIME_SECONDS = 600
_CODE_BYTES = 32
_USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Without vowels no code spells a word (RFC 8628 §6.1)."""
_USER_CODE_LENGTH = 8
_POLLS = 10_000
_AT_ONCE = 1_000
_KINDS: tuple[Kind, ...] = ("device", "ciba")
_PING = "ciba_ping"


class PendingRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked for. `resource` is the audience; `scope` as it was sent, None for all that is open."""

    system: str
    resource: str
    scope: str | None = None
    details: tuple[ActionDetails, ...] = ()
    binding_message: str = ""
    interval: int = INTERVAL_SECONDS
    sealed_ping: str = ""


class Ping(msgspec.Struct, frozen=True):
    """What a client in ping mode is told with (CIBA §10.2): both are credentials, kept sealed until then."""

    auth_req_id: str
    token: str


class PendingAuthorization(msgspec.Struct, frozen=True, kw_only=True):
    """A request and what became of it; `family` is the chain of tokens that an approval begins."""

    key: bytes
    kind: Kind
    agent: AgentId
    person: PersonId | None
    request: PendingRequest
    status: Literal["pending", "approved", "denied"]
    family: RefreshFamily | None
    user_code: str | None
    created_at: float
    expires_at: float


class PendingAuthorizations:
    """Opens requests, shows them to the person, and tells the client what became of them."""

    def __init__(self, transactions: Transactions, clock: Clock, new_id: NewId, sealer: Sealer) -> None:
        self._transactions = transactions
        self._clock = clock
        self._new_id = new_id
        self._sealer = sealer
        self._polled: OrderedDict[bytes, float] = OrderedDict()

    async def open_device(self, client: AuthenticatedClient, request: PendingRequest, seconds: int) -> tuple[str, str]:
        """A device code and a user code (RFC 8628 §3.2). Raises Unavailable, also if too many of this client wait."""
        code = _new_code()
        user_code = "".join(secrets.choice(_USER_CODE_LETTERS) for _ in range(_USER_CODE_LENGTH))
        await self._insert("device", code, client, request, seconds, user_code=user_code)
        return code, user_code

    async def open_ciba(
        self,
        client: AuthenticatedClient,
        request: PendingRequest,
        seconds: int,
        person: PersonId | None,
        notification_token: str = "",
    ) -> str:
        """An auth_req_id (CIBA §7.3). Without a person nobody will answer, and the client is not told why.

        With a token the client is told of the answer. Raises Unavailable, also if too many of this client wait.
        """
        code = _new_code()
        if notification_token:
            ping = msgspec.json.encode(Ping(code, notification_token))
            request = msgspec.structs.replace(request, sealed_ping=base64url(self._sealer.seal(ping, _PING)))
        await self._insert("ciba", code, client, request, seconds, person=person)
        return code

    def ping_of(self, one: PendingAuthorization) -> Ping | None:
        """What its client is told of the answer with; None for one that polls. Raises Unavailable."""
        if not one.request.sealed_ping:
            return None
        return msgspec.json.decode(self._sealer.open(from_base64url(one.request.sealed_ping), _PING), type=Ping)

    async def by_user_code(self, user_code: str) -> PendingAuthorization | None:
        """The device request that waits under this code; letters of both cases and dashes are taken."""
        normal = normal_user_code(user_code)
        now = self._clock.seconds()
        row = await self._transactions.read(lambda c: load_pending_by_user_code(c, normal))
        return None if row is None or row.expires_at <= now or row.status != "pending" else _pending(row)

    async def of_person(self, person: PersonId) -> list[PendingAuthorization]:
        """What waits for a person, the newest first, at most 50."""
        now = self._clock.seconds()
        rows = await self._transactions.read(lambda c: load_pending_of_person(c, person, now))
        return [_pending(row) for row in rows]

    async def count_of_person(self, person: PersonId) -> int:
        """How many requests wait for a person."""
        now = self._clock.seconds()
        return await self._transactions.read(lambda c: count_pending_of_person(c, person, now))

    async def get(self, key: bytes) -> PendingAuthorization | None:
        """The request of this key, whatever became of it."""
        row = await self._transactions.read(lambda c: load_pending(c, key))
        # Pushed requests (RFC 9126) stand in the same table; nobody answers those here.
        return None if row is None or row.kind not in _KINDS else _pending(row)

    def answer(self, tx: Tx, one: PendingAuthorization, person: PersonId, family: RefreshFamily | None) -> None:
        """Approve with the chain that begins, or deny with None, in the caller's transaction.

        Raises Conflict if it was answered before, or its time is over.
        """
        now = self._clock.seconds()
        status = "denied" if family is None else "approved"
        answer = None if family is None else msgspec.json.encode(family).decode()
        if not answer_pending(tx.connection, one.key, status=status, person=person, answer=answer, now=now):
            raise Conflict("this request was answered before, or is too old", next_step="have the client begin anew")

    async def poll(self, kind: Kind, code: str, agent: AgentId) -> PendingAuthorization:
        """The approved request of a code.

        Raises AuthorizationPending, SlowDown, AccessDenied, ExpiredToken (RFC 8628 §3.5), and InvalidGrant for a
        code that is unknown or another client's.
        """
        key = key_of(kind, code)
        one = await self.get(key)
        if one is None or one.kind != kind or one.agent != agent:
            raise InvalidGrant("the code is not known", next_step="begin anew")
        now = self._clock.seconds()
        if now >= one.expires_at:
            raise ExpiredToken("nobody answered in time", next_step="begin anew")
        if one.status == "denied":
            raise AccessDenied("the person said no", next_step="ask them why before you ask again")
        too_soon = now - self._polled.get(key, -INTERVAL_SECONDS) < one.request.interval - 0.5
        self._remember(key, now)
        if too_soon:
            raise SlowDown("you ask too often", next_step="wait five seconds longer between two requests from now on")
        if one.status == "pending":
            raise AuthorizationPending("the person has not answered yet", next_step="ask again after the interval")
        return one

    async def forget(self) -> None:
        """Delete what expired an hour ago: until then a client is told why. Raises Unavailable."""
        before = self._clock.seconds() - 3_600
        await self._transactions.change(lambda tx: delete_expired_pending(tx.connection, before))

    async def _insert(
        self,
        kind: Kind,
        code: str,
        client: AuthenticatedClient,
        request: PendingRequest,
        seconds: int,
        *,
        user_code: str | None = None,
        person: PersonId | None = None,
    ) -> None:
        now, agent = self._clock.seconds(), client.agent
        row = PendingRow(
            key=key_of(kind, code),
            kind=kind,
            agent=agent.id,
            person=person,
            user_code=user_code,
            request=msgspec.json.encode(request).decode(),
            status="pending",
            answer=None,
            created_at=now,
            expires_at=now + seconds,
        )

        def write(tx: Tx) -> None:
            # Whoever knows the name of a public client can ask in it: they must not fill the table.
            if count_pending(tx.connection, kind, agent.id, now) >= _AT_ONCE:
                raise TooManyWait("too many requests of this client wait", next_step="try again in ten minutes")
            insert_pending(tx.connection, row)
            self._record(tx, agent, client.method, request, person)

        await self._transactions.change(write)

    def _record(self, tx: Tx, agent: Agent, method: str, request: PendingRequest, person: PersonId | None) -> None:
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type="delegation.requested",
            action="delegation.requested",
            agent=agent.id,
            agent_name=agent.name,
            authentication=method,
            person=person,
            system=request.system,
            resource=request.resource,
            reason=request.binding_message or None,
            outcome="ok",
        )
        record(tx, event)

    def _remember(self, key: bytes, now: float) -> None:
        self._polled[key] = now
        self._polled.move_to_end(key)
        if len(self._polled) > _POLLS:
            self._polled.popitem(last=False)


def key_of(kind: Kind, code: str) -> bytes:
    """Under which a request is kept."""
    return hashlib.sha256(f"{kind}\0{code}".encode()).digest()


def once_of(one: PendingAuthorization) -> Once:
    """What is spent when the code is changed into a token."""
    return Once(hashlib.sha256(b"pending\0" + one.key).digest(), one.expires_at + 60)


def normal_user_code(text: str) -> str:
    """The one spelling of a code that a person types (RFC 8628 §6.1)."""
    return "".join(char for char in text.upper() if char in _USER_CODE_LETTERS)[: _USER_CODE_LENGTH + 1]


def shown_user_code(code: str) -> str:
    """A code as a person reads it."""
    return f"{code[:4]}-{code[4:]}"


def _new_code() -> str:
    return base64url(secrets.token_bytes(_CODE_BYTES))


def _pending(row: PendingRow) -> PendingAuthorization:
    return PendingAuthorization(
        key=row.key,
        kind="device" if row.kind == "device" else "ciba",
        agent=AgentId(row.agent),
        person=None if row.person is None else PersonId(row.person),
        request=msgspec.json.decode(row.request, type=PendingRequest),
        status="approved" if row.status == "approved" else "denied" if row.status == "denied" else "pending",
        family=None if row.answer is None else msgspec.json.decode(row.answer, type=RefreshFamily),
        user_code=row.user_code,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
