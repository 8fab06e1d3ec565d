"""The register of agents: a bounded snapshot in memory, and the state machine of an agent's life.

active ⇄ suspended, either → retired. Suspend and retire add one to the epoch in the same transaction: every token
that was made under the old epoch is refused from then on (rule 3 of the spine).
"""

import dataclasses
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from accredit.agents.certificates import parse_certificate, parse_tls_subject
from accredit.agents.client_metadata import ClientMetadata
from accredit.agents.credentials import new_client_secret, parse_public_keys
from accredit.agents.model import DEFAULT_MAX_SESSION_SECONDS, Agent, AgentStatus, Credential, CredentialKind
from accredit.agents.new_agent import NewAgent, check_new_agent
from accredit.agents.store import (
    find_agent,
    insert_agent,
    insert_credential,
    load_agent,
    load_agent_named,
    load_agent_of_client_url,
    load_agent_of_workload,
    load_agents_after,
    load_workload_credentials,
    revoke_credential,
    update_agent,
)
from accredit.audit.event import Actor, management_event
from accredit.audit.group import record
from accredit.clock import Clock
from accredit.errors import Conflict, NotFound
from accredit.ids import AgentId, CredentialId, NewId
from accredit.people.directory import People
from accredit.sensitive import Sensitive
from accredit.storage.feed import Feed
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CHANGE = "agent"
CACHE_LIMIT = 10_000
_CLIENT_HOST = 54


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
        max_session_seconds: int = DEFAULT_MAX_SESSION_SECONDS,
    ) -> None:
        self._transactions = transactions
        self._feed = feed
        self._people = people
        self._clock = clock
        self._new_id = new_id
        self._hash_secret = hash_secret
        self._system_exists = system_exists
        self._max_session_seconds = max_session_seconds
        self._cache: OrderedDict[str, Agent] = OrderedDict()
        self._by_client_url: dict[str, AgentId] = {}
        self._by_workload: dict[tuple[str, str], AgentId] = {}
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
        here = self._transactions.read_here(lambda c: load_agent(c, agent_id))
        found = here.value if here else await self._transactions.read(lambda c: load_agent(c, agent_id))
        if found is not None and before == self._feed.applied:
            self._cache[agent_id] = found
            while len(self._cache) > CACHE_LIMIT:
                self._cache.popitem(last=False)
        return found

    def peek_client(self, client_id: str) -> Agent | None:
        """The agent of a client_id, a URL too, if it is in memory and memory is to be trusted."""
        return self.peek(self._by_client_url.get(client_id, client_id))

    async def of_client(self, client_id: str) -> Agent | None:
        """The agent of a client_id: an id, or the URL of a metadata document. Raises Unavailable."""
        if not client_id.startswith("https://") and not client_id.startswith("http://"):
            return await self.get(client_id)
        known = self._by_client_url.get(client_id)
        if known is not None:
            # An agent's URL never changes.
            return await self.get(known)
        found = await self._transactions.read(lambda c: load_agent_of_client_url(c, client_id))
        if found is not None:
            if len(self._by_client_url) >= CACHE_LIMIT:
                self._by_client_url.clear()
            self._by_client_url[client_id] = found.id
        return found

    async def of_workload(self, issuer: str, subject: str) -> Agent | None:
        """The agent with a federated credential for this workload, whatever else it demands. Raises Unavailable."""
        known = self._by_workload.get((issuer, subject))
        if known is not None:
            agent = await self.get(known)
            # The credential can be revoked, and given to another agent then.
            if agent is not None and any(_is_for(one, issuer, subject) for one in agent.credentials):
                return agent
        found = await self._transactions.read(lambda c: load_agent_of_workload(c, issuer, subject))
        if found is not None:
            if len(self._by_workload) >= CACHE_LIMIT:
                self._by_workload.clear()
            self._by_workload[issuer, subject] = found.id
        return found

    async def named(self, name: str) -> Agent:
        """The agent with this name or id. Raises NotFound."""
        return await self._transactions.read(lambda c: find_agent(c, name))

    async def list(self, after: str, limit: int) -> list[Agent]:
        """Agents by name, those after `after`."""
        return await self._transactions.read(lambda c: load_agents_after(c, after, limit))

    async def create(self, new: NewAgent, actor: Actor) -> Agent:
        """Register an agent and, if unknown, its owner. Raises InputRefused and Conflict."""
        agent, _ = await self._transactions.change(lambda tx: self.create_in(tx, new, actor))
        return agent

    def create_in(self, tx: Tx, new: NewAgent, actor: Actor | None) -> Agent:
        """Register an agent in the caller's transaction. Raises InputRefused, Conflict, NotFound."""
        check_new_agent(new)
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
            max_session_seconds=new.max_session_seconds or self._max_session_seconds,
            may_act=tuple(dict.fromkeys(find_agent(tx.connection, other).id for other in new.may_act)),
            client=new.client,
            client_url=new.client_url,
        )
        insert_agent(tx, agent)
        self._record(tx, "agent.created", agent, actor)
        return agent

    async def set_client(self, name: str, metadata: ClientMetadata, actor: Actor | None) -> Agent:
        """Say what an agent is as an OAuth client; tokens that it holds live on. Raises NotFound, Conflict."""
        agent, _ = await self._transactions.change(lambda tx: self.set_client_in(tx, name, metadata, actor))
        return agent

    def set_client_in(self, tx: Tx, name: str, metadata: ClientMetadata, actor: Actor | None) -> Agent:
        """The same in the caller's transaction."""
        agent = find_agent(tx.connection, name)
        if agent.status is AgentStatus.RETIRED:
            raise Conflict(f"the agent {agent.name!r} is retired", next_step="register another agent")
        changed = dataclasses.replace(agent, client=metadata, version=agent.version + 1)
        update_agent(tx, changed)
        self._record(tx, "client.changed", changed, actor)
        return changed

    def register_client(
        self,
        tx: Tx,
        url: str,
        metadata: ClientMetadata,
        owner: str,
        roles: tuple[str, ...],
        systems: tuple[str, ...],
        actor: Actor,
    ) -> Agent:
        """Register the client of a metadata document, as the agent of who consented; one who is known is left as it is.

        Its name is its host and a part of the URL's hash: what it calls itself could be another agent's name.
        Raises NotFound for a system that is gone.
        """
        known = load_agent_of_client_url(tx.connection, url)
        if known is not None:
            return known
        host = re.sub(r"[^a-z0-9.-]", "", urlsplit(url).hostname or "")[:_CLIENT_HOST].strip(".-") or "client"
        name = f"{host}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        new = NewAgent(
            name=name, owner=owner, type="client", roles=roles, systems=systems, client=metadata, client_url=url
        )
        return self.create_in(tx, new, actor)

    def grow(self, tx: Tx, agent: Agent, system: str, actor: Actor) -> Agent:
        """Allow a client one more system, in the caller's transaction. Raises NotFound, Conflict if it is retired."""
        found = find_agent(tx.connection, agent.id)
        if found.status is AgentStatus.RETIRED:
            raise Conflict(f"the agent {found.name!r} is retired", next_step="register another agent")
        if system in found.systems:
            return found
        if not self._system_exists(tx, system):
            raise NotFound(f"there is no system {system!r}", next_step="`accredit system list` shows them")
        grown = dataclasses.replace(found, systems=(*found.systems, system), version=found.version + 1)
        update_agent(tx, grown)
        self._record(tx, "agent.system_allowed", grown, actor, resource=system)
        return grown

    async def suspend(self, name: str, actor: Actor) -> Agent:
        """End everything that the agent holds, until it is resumed. Raises NotFound, Conflict."""
        return await self._move(name, "agent.suspended", {AgentStatus.ACTIVE}, AgentStatus.SUSPENDED, actor)

    async def resume(self, name: str, actor: Actor) -> Agent:
        """Let a suspended agent ask for new tokens; the old ones stay ended. Raises NotFound, Conflict."""
        return await self._move(name, "agent.resumed", {AgentStatus.SUSPENDED}, AgentStatus.ACTIVE, actor)

    async def retire(self, name: str, actor: Actor) -> Agent:
        """End the agent for good. Raises NotFound, Conflict."""
        agent, _ = await self._transactions.change(lambda tx: self.retire_in(tx, name, actor))
        return agent

    def retire_in(self, tx: Tx, name: str, actor: Actor) -> Agent:
        """The same in the caller's transaction."""
        living = {AgentStatus.ACTIVE, AgentStatus.SUSPENDED}
        return self._move_in(tx, name, "agent.retired", living, AgentStatus.RETIRED, actor)

    async def add_client_secret(self, name: str, actor: Actor) -> tuple[Credential, Sensitive]:
        """Make a client secret; it is shown this once. Raises NotFound, Conflict if the agent is retired."""
        secret = new_client_secret()
        hashed = self._hash_secret(secret)
        credential = await self._add_credential(name, CredentialKind.CLIENT_SECRET, hashed, None, actor)
        return credential, Sensitive(secret)

    async def add_public_key(self, name: str, jwks: str, actor: Actor) -> Credential:
        """Register public keys for `private_key_jwt` (RFC 7523 §2.2). Raises InputRefused, NotFound, Conflict."""
        return await self._add_credential(name, CredentialKind.PUBLIC_KEY, None, parse_public_keys(jwks), actor)

    async def add_tls_subject(self, name: str, subject: str, actor: Actor) -> Credential:
        """Say what a certificate of an authority must hold (RFC 8705 §2.1). Raises InputRefused, NotFound, Conflict."""
        return await self._add_credential(
            name, CredentialKind.TLS_SUBJECT, None, None, actor, (None, parse_tls_subject(subject), ())
        )

    async def add_tls_certificate(self, name: str, certificate: str, actor: Actor) -> Credential:
        """Register one certificate, in PEM, by itself (RFC 8705 §2.2). Raises InputRefused, NotFound, Conflict."""
        return await self._add_credential(
            name, CredentialKind.TLS_CERTIFICATE, None, None, actor, (None, parse_certificate(certificate), ())
        )

    async def add_workload(
        self, name: str, issuer: str, subject: str, claims: Mapping[str, str], actor: Actor
    ) -> Credential:
        """Let a workload of a trusted issuer prove itself as the agent; `claims` are what else its token must say.

        The caller has checked that the issuer is trusted. Raises NotFound, and Conflict if the agent is retired or the
        workload is another agent's.
        """

        def write(tx: Tx) -> Credential:
            agent = find_agent(tx.connection, name)
            if agent.status is AgentStatus.RETIRED:
                raise Conflict(f"the agent {agent.name!r} is retired", next_step="register another agent")
            # A workload is one agent: which one could not depend on the order of the rows.
            if any(one.agent != agent.id for one in load_workload_credentials(tx.connection, issuer, subject)):
                raise Conflict("this workload is another agent already", next_step="revoke that credential first")
            kind, demanded = CredentialKind.FEDERATED, tuple(sorted(claims.items()))
            return self.add_credential_in(tx, agent, kind, None, None, actor, (issuer, subject, demanded))

        credential, _ = await self._transactions.change(write)
        return credential

    async def revoke_credential(self, name: str, credential_id: str, actor: Actor) -> None:
        """End one credential. Tokens made with it live on to their end. Raises NotFound."""

        def write(tx: Tx) -> None:
            agent = find_agent(tx.connection, name)
            held = {one.id: one for one in agent.credentials if one.revoked_at is None}
            if CredentialId(credential_id) not in held:
                raise NotFound("there is no such credential", next_step="`accredit agent credential list` shows them")
            self.revoke_credential_in(tx, agent, credential_id, actor)

        await self._transactions.change(write)

    def revoke_credential_in(self, tx: Tx, agent: Agent, credential_id: str, actor: Actor) -> None:
        """End one of an agent's credentials in the caller's transaction."""
        revoke_credential(tx, credential_id, self._clock.seconds())
        self._touch(tx, agent)
        self._record(tx, "credential.revoked", agent, actor, resource=credential_id)

    async def _add_credential(
        self,
        name: str,
        kind: CredentialKind,
        secret_hash: bytes | None,
        jwks: str | None,
        actor: Actor,
        subject: tuple[str | None, str | None, tuple[tuple[str, str], ...]] = (None, None, ()),
    ) -> Credential:
        def write(tx: Tx) -> Credential:
            agent = find_agent(tx.connection, name)
            if agent.status is AgentStatus.RETIRED:
                raise Conflict(f"the agent {agent.name!r} is retired", next_step="register another agent")
            return self.add_credential_in(tx, agent, kind, secret_hash, jwks, actor, subject)

        credential, _ = await self._transactions.change(write)
        return credential

    def add_client_secret_in(self, tx: Tx, agent: Agent, actor: Actor) -> Sensitive:
        """Make a client secret in the caller's transaction; it is shown this once."""
        secret = new_client_secret()
        self.add_credential_in(tx, agent, CredentialKind.CLIENT_SECRET, self._hash_secret(secret), None, actor)
        return Sensitive(secret)

    def add_credential_in(
        self,
        tx: Tx,
        agent: Agent,
        kind: CredentialKind,
        secret_hash: bytes | None,
        jwks: str | None,
        actor: Actor,
        workload: tuple[str | None, str | None, tuple[tuple[str, str], ...]] = (None, None, ()),
    ) -> Credential:
        """Add a checked credential in the caller's transaction. `workload`: issuer, subject, and claims demanded."""
        issuer, subject, claims = workload
        credential = Credential(
            id=CredentialId(self._new_id("crd")),
            agent=agent.id,
            kind=kind,
            secret_hash=secret_hash,
            jwks=jwks,
            created_at=self._clock.seconds(),
            revoked_at=None,
            issuer=issuer,
            subject=subject,
            claims=claims,
        )
        insert_credential(tx, credential)
        self._touch(tx, agent)
        self._record(tx, "credential.added", agent, actor, resource=credential.id)
        return credential

    async def _move(self, name: str, kind: str, from_: set[AgentStatus], to: AgentStatus, actor: Actor) -> Agent:
        agent, _ = await self._transactions.change(lambda tx: self._move_in(tx, name, kind, from_, to, actor))
        return agent

    def _move_in(self, tx: Tx, name: str, kind: str, from_: set[AgentStatus], to: AgentStatus, actor: Actor) -> Agent:
        agent = find_agent(tx.connection, name)
        if agent.status not in from_:
            raise Conflict(
                f"the agent {agent.name!r} is {agent.status.value}", next_step="`accredit agent show` tells its state"
            )
        ends = to is not AgentStatus.ACTIVE
        moved = dataclasses.replace(agent, status=to, epoch=agent.epoch + (1 if ends else 0), version=agent.version + 1)
        update_agent(tx, moved)
        self._record(tx, kind, moved, actor)
        return moved

    def _touch(self, tx: Tx, agent: Agent) -> None:
        update_agent(tx, dataclasses.replace(agent, version=agent.version + 1))

    def _record(self, tx: Tx, kind: str, agent: Agent, actor: Actor | None, resource: str | None = None) -> None:
        event = management_event(
            kind, actor, self._clock, self._new_id, agent=agent.id, agent_name=agent.name, resource=resource or agent.id
        )
        record(tx, event)
        tx.changed(CHANGE, agent.id)

    def _forget(self, agent_id: str) -> None:
        self._cache.pop(agent_id, None)


def _is_for(credential: Credential, issuer: str, subject: str) -> bool:
    held = credential.kind is CredentialKind.FEDERATED and credential.revoked_at is None
    return held and (credential.issuer, credential.subject) == (issuer, subject)
