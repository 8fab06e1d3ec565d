"""The rooms that know nothing of HTTP, opened from the lowest up and wired to each other."""

import functools
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from accredit.agents.credentials import hash_client_secret
from accredit.agents.registry import Agents
from accredit.agents.revocations import Revocations
from accredit.audit.checkpoint import LogSigner
from accredit.audit.group import Group
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.reading import AuditLog
from accredit.audit.sequencer import Sequencer
from accredit.audit.sharing import SharedSequencer
from accredit.clock import Clock, SystemClock
from accredit.delegations.register import Delegations
from accredit.errors import Unavailable
from accredit.federation.sign_on import SignOn, open_sign_on
from accredit.federation.trust import Trust, open_trust
from accredit.ids import new_id
from accredit.installation import open_unsealer
from accredit.keys.custody import Custody
from accredit.keys.keyring import Keyring, open_keyring
from accredit.keys.rotation import CHANGE as KEY_CHANGE
from accredit.keys.rotation import Rotation
from accredit.keys.seal import Sealer
from accredit.keys.signers import open_places
from accredit.oauth.backchannel_logout import tell_clients
from accredit.outbound import Outbound
from accredit.people.directory import People
from accredit.people.sessions import Sessions
from accredit.policy.decide import Policy
from accredit.policy.policysets import CHANGE as POLICY_CHANGE
from accredit.policy.policysets import PolicySets
from accredit.policy.settle import Settlement
from accredit.policy.starter import starter_policies
from accredit.settings import Settings
from accredit.storage.db import Database
from accredit.storage.feed import Feed
from accredit.storage.outbox import Outbox
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Writer
from accredit.systems.registry import CHANGE as SYSTEM_CHANGE
from accredit.systems.registry import Systems


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The rooms that know nothing of HTTP, opened."""

    clock: Clock
    keyring: Keyring
    rotation: Rotation
    transactions: Transactions
    feed: Feed
    group: Group
    sequencer: SharedSequencer
    audit_log: AuditLog
    people: People
    sessions: Sessions
    sign_on: SignOn
    trust: Trust
    outbox: Outbox
    systems: Systems
    agents: Agents
    hash_secret: Callable[[str], bytes]
    policy: Policy
    policy_sets: PolicySets
    revocations: Revocations
    delegations: Delegations
    settlement: Settlement

    async def check_heard(self) -> None:
        """Raises Unavailable when this process hears nothing of the database."""
        if self.feed.is_stale():
            raise Unavailable("the database has not been heard for a second")


async def open_rooms(settings: Settings, closing: AsyncExitStack) -> Rooms:
    """Open the rooms from the lowest up; `closing` will close them. Raises Error, and nothing is served then."""
    clock = SystemClock()
    sealer = Sealer(open_unsealer(settings).master_key())
    database = Database(settings.database_url)
    closing.callback(database.close)
    outbound = Outbound()
    closing.push_async_callback(outbound.close)
    custody = Custody(sealer, *open_places(settings, outbound))
    keyring = open_keyring(database, custody, clock)
    writer = Writer(database)
    closing.push_async_callback(writer.close)
    feed = Feed(database, clock)
    await feed.start()
    transactions = Transactions(database, writer, feed)
    group = Group(writer)
    longest_seconds = max(settings.max_session_seconds, settings.access_token_seconds)
    rotation = Rotation(transactions, keyring.signing_keys, custody, clock, new_id, longest_seconds)
    closing.push_async_callback(rotation.close)
    feed.subscribe(KEY_CHANGE, rotation.reload)
    await rotation.load()

    signer = LogSigner(keyring.log, keyring.log_mldsa44)
    publisher = FilesystemPublisher(settings.data / "log")
    sequencer = SharedSequencer(Sequencer(transactions, signer, publisher, clock), transactions, signer)
    await sequencer.start()
    closing.push_async_callback(sequencer.close)
    # The outcomes of the last calls are not waited for: they are in the tree before its last checkpoint.
    closing.push_async_callback(writer.flush)

    people = People(transactions, feed, clock, new_id)
    systems = Systems(transactions, clock, new_id)
    await systems.load()
    feed.subscribe(SYSTEM_CHANGE, systems.mark_stale)
    hash_secret = functools.partial(hash_client_secret, keyring.client_secret)
    agents = Agents(
        transactions, feed, people, clock, new_id, hash_secret, systems.exists, settings.max_session_seconds
    )

    revocations = Revocations(transactions, feed, clock)
    await revocations.load()
    outbox = Outbox(transactions, clock, new_id, Sealer(keyring.session))

    policy = Policy(group, clock, new_id, lambda: feed.applied, starter_policies())
    policy_sets = PolicySets(transactions, policy, clock, new_id, systems)
    closing.push_async_callback(policy_sets.close)
    await policy_sets.load()
    feed.subscribe(POLICY_CHANGE, policy_sets.reload)
    return Rooms(
        clock=clock,
        keyring=keyring,
        rotation=rotation,
        transactions=transactions,
        feed=feed,
        group=group,
        sequencer=sequencer,
        audit_log=AuditLog(transactions, sequencer),
        people=people,
        sessions=Sessions(transactions, clock, new_id, on_end=(functools.partial(tell_clients, outbox),)),
        outbox=outbox,
        sign_on=open_sign_on(
            transactions=transactions,
            feed=feed,
            sealer=sealer,
            attempt_sealer=Sealer(keyring.session),
            clock=clock,
            new_id=new_id,
            outbound=outbound,
            base=settings.issuer,
        ),
        trust=open_trust(
            transactions=transactions,
            feed=feed,
            agents=agents,
            clock=clock,
            new_id=new_id,
            outbound=outbound,
            own_issuer=settings.issuer,
        ),
        systems=systems,
        agents=agents,
        hash_secret=hash_secret,
        policy=policy,
        policy_sets=policy_sets,
        revocations=revocations,
        delegations=Delegations(transactions, revocations, clock, new_id),
        settlement=Settlement(policy, agents, people, revocations, feed),
    )
