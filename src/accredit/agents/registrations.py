"""Clients that register themselves (RFC 7591) and manage what they registered (RFC 7592): each is an agent.

One transaction counts the use of the initial access token, makes the agent, its credential and its events, or nothing.
"""

import hmac
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from accredit.agents.client_metadata import SECRET_METHODS, ClientMetadata, ClientMetadataInvalid
from accredit.agents.model import Agent, AgentStatus, CredentialKind
from accredit.agents.new_agent import NewAgent
from accredit.agents.registration_tokens import RegistrationRefused, RegistrationTokens, new_registration_token
from accredit.agents.registry import Agents
from accredit.agents.store import load_agent, load_agent_named, load_registration_hash, set_registration_hash
from accredit.audit.event import Actor
from accredit.sensitive import Sensitive
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CLIENT_TYPE = "client"
_INITIAL = "registration_token"
_OWN = "registration_access_token"
_NAME = 48
_DENSE = 16
_NOTHING = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A registration as it is now. The secrets are shown this once; None where none was made."""

    agent: Agent
    metadata: ClientMetadata
    client_secret: Sensitive | None = None
    registration_access_token: Sensitive | None = None


class Registrations:
    """Registers clients, and lets each manage its own registration with its own token."""

    def __init__(
        self,
        transactions: Transactions,
        agents: Agents,
        tokens: RegistrationTokens,
        hash_secret: Callable[[str], bytes],
    ) -> None:
        self._transactions = transactions
        self._agents = agents
        self._tokens = tokens
        self._hash_secret = hash_secret

    async def check(self, initial_token: str) -> None:
        """Refuse who holds no initial access token, without using one. Raises RegistrationRefused, Unavailable."""
        await self._tokens.check(initial_token)

    async def register(self, initial_token: str, metadata: ClientMetadata) -> Registered:
        """Make an agent of a client. Raises RegistrationRefused, NotFound if a system is gone, Unavailable."""

        def write(tx: Tx) -> Registered:
            token = self._tokens.use_in(tx, initial_token)
            actor = Actor(person=token.owner, authentication=_INITIAL)
            new = NewAgent(
                name=_free_name(tx, metadata.client_name),
                owner=token.owner_email,
                type=CLIENT_TYPE,
                roles=token.roles,
                systems=token.systems,
                client=metadata,
            )
            agent = self._agents.create_in(tx, new, actor)
            return self._equip(tx, agent, metadata, actor)

        registered, _ = await self._transactions.change(write)
        return registered

    async def find(self, client_id: str, token: str) -> Registered:
        """A client's own registration. Raises RegistrationRefused, alike for an unknown client and a wrong token."""
        presented = self._hash_secret(token)
        agent, stored = await self._transactions.read(
            lambda c: (load_agent(c, client_id), load_registration_hash(c, client_id))
        )
        return self._check(agent, stored, presented)

    async def replace(
        self, client_id: str, token: str, metadata: ClientMetadata, client_secret: str | None = None
    ) -> Registered:
        """Register a client anew under its id; its token is exchanged.

        A `client_secret` that the client sends must be its own: it chooses none (RFC 7592 §2.2). Raises
        RegistrationRefused, ClientMetadataInvalid, Unavailable.
        """
        presented = self._hash_secret(token)
        secret_hash = None if client_secret is None else self._hash_secret(client_secret)

        def write(tx: Tx) -> Registered:
            before = self._check_in(tx, client_id, presented)
            if secret_hash is not None and not _holds_secret(before.agent, secret_hash):
                raise ClientMetadataInvalid("client_secret is not the one that was issued (RFC 7592 §2.2)")
            actor = Actor(person=before.agent.owner, authentication=_OWN)
            agent = self._agents.set_client_in(tx, client_id, metadata, actor)
            had_secret = _secrets(before.agent) != ()
            if had_secret and metadata.token_endpoint_auth_method not in SECRET_METHODS:
                for credential in _secrets(before.agent):
                    self._agents.revoke_credential_in(tx, agent, credential, actor)
            return self._equip(tx, agent, metadata, actor)

        registered, _ = await self._transactions.change(write)
        return registered

    async def remove(self, client_id: str, token: str) -> None:
        """End a client for good. Raises RegistrationRefused, Unavailable."""
        presented = self._hash_secret(token)

        def write(tx: Tx) -> None:
            before = self._check_in(tx, client_id, presented)
            self._agents.retire_in(tx, client_id, Actor(person=before.agent.owner, authentication=_OWN))
            set_registration_hash(tx, client_id, None)

        await self._transactions.change(write)

    def _equip(self, tx: Tx, agent: Agent, metadata: ClientMetadata, actor: Actor) -> Registered:
        """A secret if the method needs one that the agent has not, and a token for the registration."""
        secret = None
        if metadata.token_endpoint_auth_method in SECRET_METHODS and not _secrets(agent):
            secret = self._agents.add_client_secret_in(tx, agent, actor)
        token = new_registration_token()
        set_registration_hash(tx, agent.id, self._hash_secret(token))
        return Registered(
            agent=agent, metadata=metadata, client_secret=secret, registration_access_token=Sensitive(token)
        )

    def _check_in(self, tx: Tx, client_id: str, presented: bytes) -> Registered:
        # In the transaction: of two that use one token at once, the second finds it exchanged.
        stored = load_registration_hash(tx.connection, client_id)
        return self._check(load_agent(tx.connection, client_id), stored, presented)

    def _check(self, agent: Agent | None, stored: bytes | None, presented: bytes) -> Registered:
        holds = hmac.compare_digest(stored or _NOTHING, presented) and stored is not None
        if not holds or agent is None or agent.client is None or agent.status is not AgentStatus.ACTIVE:
            raise RegistrationRefused
        return Registered(agent=agent, metadata=agent.client)


def _secrets(agent: Agent) -> tuple[str, ...]:
    held = (one for one in agent.credentials if one.kind is CredentialKind.CLIENT_SECRET)
    return tuple(one.id for one in held if one.revoked_at is None)


def _holds_secret(agent: Agent, secret_hash: bytes) -> bool:
    held = [one.secret_hash for one in agent.credentials if one.revoked_at is None and one.secret_hash]
    return sum(hmac.compare_digest(one, secret_hash) for one in held) > 0


def _free_name(tx: Tx, wanted: str) -> str:
    """A name for an agent from what a client calls itself: letters, digits, blanks, `-`, `.` and `_`; not taken."""
    kept = (char if _may_stand(char) else " " for char in unicodedata.normalize("NFKC", wanted))
    name = " ".join("".join(kept).split())[:_NAME].strip(" .-_") or "client"
    if name.startswith("agt_"):
        name = f"client {name}"
    free, number = name, 2
    while load_agent_named(tx.connection, free) is not None:
        free = f"{name} {number}"
        # Doubled, so that many of one name cost few look-ups.
        number = number + 1 if number < _DENSE else number * 2
    return free


def _may_stand(char: str) -> bool:
    return char in "-._" or unicodedata.category(char)[0] in "LN"
