"""The register of agents: a bounded snapshot in memory, and the state machine of an agent's life.

active ⇄ suspended, either → retired. Suspend and retire add one to the epoch in the same transaction: every token
that was made under the old epoch is refused from then on (rule 3 of the spine).
"""

import dataclasses
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Callable

from accredit.agents.credentials import new_client_secret, parse_public_keys
from accredit.agents.model import Agent, AgentStatus, Credential, CredentialKind
from accredit.agents.store import (
    find_agent,
    insert_agent,
    insert_credential,
    load_agent,
    load_agent_named,
    load_agents_after,
    revoke_credential,
    update_agent,
)
from accredit.audit.event import Actor, management_event
from accredit.audit.group import record
from accredit.clock import Clock
from accredit.errors import Conflict, InputRefused, NotFound
from accredit.ids import AgentId, CredentialId, NewId
from accredit.people.directory import People
from accredit.sensitive import Sensitive
from accredit.storage.feed import Feed
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CHANGE = "agent"
CACHE_LIMIT = 10_000
NAME = re.compile(r"[^\x00-\x1f\x7f\s/?#](?:[^\x00-\x1f\x7f/?#]{0,62}[^\x00-\x1f\x7f\s/?#])?\Z")
# Control and format characters, which turn text around or hide it; surrogates, separators, unassigned.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
TYPE = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
MAX_CAPABILITY_LEVEL = 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewAgent:
    """What a person says of an agent that is to be registered."""

    name: str
    owner: str
    type: str = "service"
    roles: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    capability_level: int = 2


class Agents:
    """Agents by id. `get` answers from memory as long as the change feed is heard, else from the database."""

    def __init__(
        self,
        transactions: Transactions,
        feed: Feed,
        people: People,
        clock: Clock,
        new_id: NewId,
        hash_secret: Callable[[str], bytes],
        system_exists: Callable[[Tx, str], bool],
    ) -> None:
        self._transactions = transactions
        self._feed = feed
        self._people = people
        self._clock = clock
        self._new_id = new_id
        self._hash_secret = hash_secret
        self._system_exists = system_exists
        self._cache: OrderedDict[str, Agent] = OrderedDict()
        feed.subscribe(CHANGE, self._forget)

    def peek(self, agent_id: str) -> Agent | None:
        """The agent if it is in memory and memory is to be trusted; None says nothing: ask `get`."""
        if self._feed.is_stale():
            return None
        return self._cache.get(agent_id)

    async def get(self, agent_id: str) -> Agent | None:
        """The agent as it is now. Raises Unavailable if neither the feed nor the database answers (fail closed)."""
        found = self.peek(agent_id)
        if found is not None:
            return found
        return await self.reload(agent_id)

    async def reload(self, agent_id: str) -> Agent | None:
        """The agent from the database, whatever memory holds. Raises Unavailable."""
        # The number is read before the row: a change in between makes the row too new, never too old.
        before = self._feed.applied
        found = await self._transactions.read(lambda c: load_agent(c, agent_id))
        if found is not None and before == self._feed.applied:
            self._cache[agent_id] = found
            while len(self._cache) > CACHE_LIMIT:
                self._cache.popitem(last=False)
        return found

    async def named(self, name: str) -> Agent:
        """The agent with this name or id. Raises NotFound."""
        return await self._transactions.read(lambda c: find_agent(c, name))

    async def list(self, after: str, limit: int) -> list[Agent]:
        """Agents by name, those after `after`."""
        return await self._transactions.read(lambda c: load_agents_after(c, after, limit))

    async def create(self, new: NewAgent, actor: Actor) -> Agent:
        """Register an agent and, if unknown, its owner. Raises InputRefused and Conflict."""
        self._check(new)

        def write(tx: Tx) -> Agent:
            if load_agent_named(tx.connection, new.name) is not None:
                raise Conflict(f"there is an agent {new.name!r} already", next_step="choose another name")
            # Asked of the database: another process may have added the system a moment ago.
            for system in new.systems:
                if not self._system_exists(tx, system):
                    raise NotFound(f"there is no system {system!r}", next_step="`accredit system list` shows them")
            owner = self._people.ensure(tx, new.owner)
            agent = Agent(
                id=AgentId(self._new_id("agt")),
                name=new.name,
                owner=owner.id,
                owner_email=owner.email,
                type=new.type,
                roles=tuple(dict.fromkeys(new.roles)),
                systems=tuple(dict.fromkeys(new.systems)),
                capability_level=new.capability_level,
                status=AgentStatus.ACTIVE,
                epoch=1,
                version=1,
                created_at=self._clock.seconds(),
                credentials=(),
            )
            insert_agent(tx, agent)
            self._record(tx, "agent.created", agent, actor)
            return agent

        agent, _ = await self._transactions.change(write)
        return agent

    async def suspend(self, name: str, actor: Actor) -> Agent:
        """End everything that the agent holds, until it is resumed. Raises NotFound, Conflict."""
        return await self._move(name, "agent.suspended", {AgentStatus.ACTIVE}, AgentStatus.SUSPENDED, actor)

    async def resume(self, name: str, actor: Actor) -> Agent:
        """Let a suspended agent ask for new tokens; the old ones stay ended. Raises NotFound, Conflict."""
        return await self._move(name, "agent.resumed", {AgentStatus.SUSPENDED}, AgentStatus.ACTIVE, actor)

    async def retire(self, name: str, actor: Actor) -> Agent:
        """End the agent for good. Raises NotFound, Conflict."""
        living = {AgentStatus.ACTIVE, AgentStatus.SUSPENDED}
        return await self._move(name, "agent.retired", living, AgentStatus.RETIRED, actor)

    async def add_client_secret(self, name: str, actor: Actor) -> tuple[Credential, Sensitive]:
        """Make a client secret; it is shown this once. Raises NotFound, Conflict if the agent is retired."""
        secret = new_client_secret()
        hashed = self._hash_secret(secret)
        credential = await self._add_credential(name, CredentialKind.CLIENT_SECRET, hashed, None, actor)
        return credential, Sensitive(secret)

    async def add_public_key(self, name: str, jwks: str, actor: Actor) -> Credential:
        """Register public keys for `private_key_jwt` (RFC 7523 §2.2). Raises InputRefused, NotFound, Conflict."""
        return await self._add_credential(name, CredentialKind.PUBLIC_KEY, None, parse_public_keys(jwks), actor)

    async def revoke_credential(self, name: str, credential_id: str, actor: Actor) -> None:
        """End one credential. Tokens made with it live on to their end. Raises NotFound."""

        def write(tx: Tx) -> None:
            agent = find_agent(tx.connection, name)
            held = {one.id: one for one in agent.credentials if one.revoked_at is None}
            if CredentialId(credential_id) not in held:
                raise NotFound("there is no such credential", next_step="`accredit agent credential list` shows them")
            revoke_credential(tx, credential_id, self._clock.seconds())
            self._touch(tx, agent)
            self._record(tx, "credential.revoked", agent, actor, resource=credential_id)

        await self._transactions.change(write)

    async def _add_credential(
        self, name: str, kind: CredentialKind, secret_hash: bytes | None, jwks: str | None, actor: Actor
    ) -> Credential:
        def write(tx: Tx) -> Credential:
            agent = find_agent(tx.connection, name)
            if agent.status is AgentStatus.RETIRED:
                raise Conflict(f"the agent {agent.name!r} is retired", next_step="register another agent")
            credential = Credential(
                id=CredentialId(self._new_id("crd")),
                agent=agent.id,
                kind=kind,
                secret_hash=secret_hash,
                jwks=jwks,
                created_at=self._clock.seconds(),
                revoked_at=None,
            )
            insert_credential(tx, credential)
            self._touch(tx, agent)
            self._record(tx, "credential.added", agent, actor, resource=credential.id)
            return credential

        credential, _ = await self._transactions.change(write)
        return credential

    async def _move(self, name: str, kind: str, from_: set[AgentStatus], to: AgentStatus, actor: Actor) -> Agent:
        def write(tx: Tx) -> Agent:
            agent = find_agent(tx.connection, name)
            if agent.status not in from_:
                raise Conflict(
                    f"the agent {agent.name!r} is {agent.status.value}",
                    next_step="`accredit agent show` tells its state",
                )
            ends = to is not AgentStatus.ACTIVE
            moved = dataclasses.replace(
                agent, status=to, epoch=agent.epoch + (1 if ends else 0), version=agent.version + 1
            )
            update_agent(tx, moved)
            self._record(tx, kind, moved, actor)
            return moved

        agent, _ = await self._transactions.change(write)
        return agent

    def _touch(self, tx: Tx, agent: Agent) -> None:
        update_agent(tx, dataclasses.replace(agent, version=agent.version + 1))

    def _record(self, tx: Tx, kind: str, agent: Agent, actor: Actor, resource: str | None = None) -> None:
        event = management_event(
            kind, actor, self._clock, self._new_id, agent=agent.id, agent_name=agent.name, resource=resource or agent.id
        )
        record(tx, event)
        tx.changed(CHANGE, agent.id)

    def _forget(self, agent_id: str) -> None:
        self._cache.pop(agent_id, None)

    def _check(self, new: NewAgent) -> None:
        hidden = any(unicodedata.category(char) in _HIDDEN for char in new.name)
        if hidden or not NAME.match(new.name) or new.name.startswith("agt_") or new.name in (".", ".."):
            raise InputRefused(
                "name must be 1 to 64 characters, without control characters, / ? and #; not `.`, `..` or agt_…",
                next_step="choose a name such as lead-scout",
            )
        if not TYPE.match(new.type):
            raise InputRefused(
                "type must be a word of a-z, 0-9 and -, such as service or worker", next_step="leave it out for service"
            )
        if not 0 <= new.capability_level <= MAX_CAPABILITY_LEVEL:
            raise InputRefused("capability_level must be 0 to 4", next_step="leave it out for 2")
