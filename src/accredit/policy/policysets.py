"""Policy sets: validated whole, stored with the event that tells of it, then put in force by swapping one reference.

A crash before the commit leaves the old set; after it, the new one is loaded at the next start.
"""

import asyncio
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec
import structlog

from accredit.audit.event import Actor, management_event
from accredit.audit.group import record
from accredit.clock import Clock
from accredit.errors import Unavailable
from accredit.ids import NewId
from accredit.policy import store
from accredit.policy.background import compile_in_background
from accredit.policy.cedar import STARTER_PREFIX, CompiledPolicies, CompiledPolicy, digest_of
from accredit.policy.decide import Policy
from accredit.policy.schema import Tools, validate
from accredit.policy.source import PolicyInvalid, Problem
from accredit.policy.starter import starter_sources
from accredit.policy.store import StoredSet
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx
from accredit.systems.model import System, Tool

CHANGE = "policy"
"""The kind under which the change feed tells of an applied set."""

APPLIED = "policy.applied"
RETRY_SECONDS = 1.0
_log = structlog.get_logger("accredit.policy")


class SystemsView(Protocol):
    """What validation needs to know of the systems."""

    def all(self) -> tuple[System, ...]:
        """Every registered system."""

    def tools(self, name: str) -> Mapping[str, Tool] | None:
        """A system's tools by name; None while they are unknown."""


class PolicyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One policy in force. `file` is null for a starter policy."""

    id: str
    description: str
    effect: Literal["permit", "forbid"]
    origin: Literal["builtin", "file"]
    file: str | None
    line: int


class PolicySetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A set: its digest, as events name it, its policies, and the roles that they name."""

    digest: str
    roles: tuple[str, ...]
    policies: tuple[PolicyInfo, ...]


class PolicySets:
    """Applies and loads sets. One at a time; decisions go on by the old set until the new one is in force."""

    def __init__(
        self, transactions: Transactions, policy: Policy, clock: Clock, new_id: NewId, systems_view: SystemsView
    ) -> None:
        self._transactions = transactions
        self._policy = policy
        self._clock = clock
        self._new_id = new_id
        self._systems = systems_view
        self._lock = asyncio.Lock()
        self._reloads: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Put the newest stored set in force; without one, the starter set alone.

        Raises PolicyInvalid if it does not compile (any more), and Unavailable. The running set then stays.
        """
        async with self._lock:
            stored = await self._transactions.read(store.newest)
            sources = _whole({} if stored is None else stored.sources)
            if digest_of(sources) != self._policy.compiled.digest:
                self._policy.replace(await compile_in_background(sources))

    def reload(self, digest: str) -> None:
        """Follow a change that another process made: a subscriber of the change feed, for the kind `policy`."""
        if digest != self._policy.compiled.digest:
            task = asyncio.get_running_loop().create_task(self._reload())
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)

    async def caught_up(self) -> None:
        """Return when every reload that was asked for has ended."""
        await asyncio.gather(*self._reloads)

    async def close(self) -> None:
        """Give up reloads that wait for the database."""
        reloads = tuple(self._reloads)
        for task in reloads:
            task.cancel()
        await asyncio.gather(*reloads, return_exceptions=True)

    async def validate(self, sources: Mapping[str, str]) -> CompiledPolicies:
        """Compile a set together with the starter policies, and check it against the registered systems.

        Raises PolicyInvalid with every problem, and Unavailable. Nothing is changed.
        """
        misplaced = [file for file in sorted(sources) if file.startswith(STARTER_PREFIX)]
        if misplaced:
            message = f"names that begin with {STARTER_PREFIX} are the starter set's; expected another"
            raise PolicyInvalid(Problem(file, 1, message) for file in misplaced)
        compiled = await compile_in_background(_whole(sources))
        await asyncio.to_thread(validate, compiled, self._systems.all(), self._tools())
        return compiled

    async def apply(self, sources: Mapping[str, str], actor: Actor) -> PolicySetInfo:
        """Replace all but the starter set, and record who did. When this returns, the set decides here.

        Raises PolicyInvalid (the running set stays), and Unavailable.
        """
        async with self._lock:
            compiled = await self.validate(sources)
            stored = StoredSet(
                digest=compiled.digest, sources=dict(sources), applied_by=actor.person, applied_at=self._clock.seconds()
            )
            digest = compiled.digest
            event = management_event(APPLIED, actor, self._clock, self._new_id, resource=digest, policy_set=digest)

            def run(tx: Tx) -> None:
                store.add(tx.connection, stored)
                record(tx, event)
                tx.changed(CHANGE, digest)

            await self._transactions.change(run)
            self._policy.replace(compiled)
        return self.current()

    def current(self) -> PolicySetInfo:
        """The set in force."""
        compiled = self._policy.compiled
        return PolicySetInfo(
            digest=compiled.digest,
            roles=tuple(sorted({role for policy in compiled.policies for role in policy.roles})),
            policies=tuple(_info(policy) for policy in compiled.policies),
        )

    def list(self) -> tuple[PolicyInfo, ...]:
        """The policies in force, starter policies included."""
        return self.current().policies

    def _tools(self) -> Tools:
        known = {system.name: self._systems.tools(system.name) for system in self._systems.all()}
        return {name: tools for name, tools in known.items() if tools is not None}

    async def _reload(self) -> None:
        while not await self._try_to_load():  # noqa: ASYNC110  # the database has no event to wait for
            # What was forbidden since must not stay permitted here for longer than it has to.
            await asyncio.sleep(RETRY_SECONDS)

    async def _try_to_load(self) -> bool:
        """Load; false if that may succeed later."""
        try:
            await self.load()
        except Unavailable as error:
            _log.warning("policy set not loaded yet", reason=error.explanation, detail=error.detail)
            return False
        except PolicyInvalid as error:
            _log.error("policy set refused, the old one stays", reason=error.explanation)
        return True


def _whole(sources: Mapping[str, str]) -> dict[str, str]:
    return {**starter_sources(), **sources}


def _info(policy: CompiledPolicy) -> PolicyInfo:
    builtin = policy.file.startswith(STARTER_PREFIX)
    return PolicyInfo(
        id=policy.id,
        description=policy.description,
        effect=policy.effect,
        origin="builtin" if builtin else "file",
        file=None if builtin else policy.file,
        line=policy.line,
    )
