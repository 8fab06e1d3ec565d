"""The register of systems: all of them in memory, kept current by the change feed."""

from collections.abc import Mapping, Sequence

from accredit.audit.event import Actor, management_event
from accredit.audit.group import record
from accredit.clock import Clock
from accredit.errors import Conflict, NotFound, Unavailable
from accredit.ids import NewId, SystemId
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx
from accredit.systems.manifest import parse_manifest
from accredit.systems.model import System, Tool
from accredit.systems.store import (
    has_system,
    insert_system,
    load_manifest,
    load_register,
    load_systems,
    replace_tools,
    update_system,
)

CHANGE = "system"


class Systems:
    """Every system and its tools, loaded at start and again after a change of kind `system`."""

    def __init__(self, transactions: Transactions, clock: Clock, new_id: NewId) -> None:
        self._transactions = transactions
        self._clock = clock
        self._new_id = new_id
        self._systems: dict[str, System] = {}
        self._tools: dict[str, dict[str, Tool]] = {}
        self._stale = False

    async def load(self) -> None:
        """Read all systems and tools afresh; one reference is swapped. Raises Unavailable."""
        self._stale = False
        try:
            self._systems, self._tools = await self._transactions.read(load_register)
        except Unavailable:
            self._stale = True
            raise

    def mark_stale(self, name: str) -> None:
        """Note that another process changed a system: a subscriber of the change feed."""
        del name
        self._stale = True

    async def load_if_stale(self) -> None:
        """Read all again if anything was noted. Raises Unavailable, and the note then stays."""
        if self._stale:
            await self.load()

    def get(self, name: str) -> System | None:
        """The system of this name."""
        return self._systems.get(name)

    def exists(self, tx: Tx, name: str) -> bool:
        """Whether there is a system of this name, in the caller's transaction: memory may not have heard yet."""
        return has_system(tx.connection, name)

    def all(self) -> tuple[System, ...]:
        """Every system, by name."""
        return tuple(self._systems.values())

    def tools(self, name: str) -> Mapping[str, Tool] | None:
        """The tools of a system by name; None while they are not known."""
        return self._tools.get(name)

    async def manifest(self, name: str) -> str:
        """The manifest as it was given. Raises NotFound."""
        text = await self._transactions.read(lambda c: load_manifest(c, name))
        if text is None:
            raise NotFound(f"there is no system {name!r}", next_step="`accredit system list` shows them")
        return text

    async def add(self, manifest: str, file: str, actor: Actor) -> System:
        """Register a system. Raises ManifestInvalid, and Conflict if the name is taken or an action is another's."""
        system = parse_manifest(manifest, file, SystemId(self._new_id("sys")), version=1)

        def write(tx: Tx) -> None:
            known = {one.name: one for one in load_systems(tx.connection)}
            if system.name in known:
                raise Conflict(
                    f"there is a system {system.name!r} already",
                    next_step="`accredit system add --replace` puts this manifest in its place",
                )
            _check_actions(system, known)
            insert_system(tx, system, manifest, self._clock.seconds())
            self._record(tx, "system.added", system, actor)

        await self._transactions.change(write)
        await self.load()
        return system

    async def replace(self, manifest: str, file: str, actor: Actor) -> System:
        """Put a manifest in the place of the one of the same name. Raises ManifestInvalid, NotFound, Conflict."""
        parsed = parse_manifest(manifest, file, SystemId(self._new_id("sys")), version=1)

        def write(tx: Tx) -> System:
            known = {one.name: one for one in load_systems(tx.connection)}
            if (old := known.pop(parsed.name, None)) is None:
                raise NotFound(f"there is no system {parsed.name!r}", next_step="add it without --replace")
            _check_actions(parsed, known)
            system = parse_manifest(manifest, file, old.id, version=old.version + 1)
            update_system(tx, system, manifest)
            self._record(tx, "system.changed", system, actor)
            return system

        system, _ = await self._transactions.change(write)
        await self.load()
        return system

    async def learn_tools(self, system: System, learned: Sequence[Tool]) -> None:
        """Keep what an upstream's `tools/list` said; nothing is written if it said the same before."""
        fresh = {tool.name: tool for tool in learned}
        if self._tools.get(system.name) == fresh:
            return

        def write(tx: Tx) -> None:
            replace_tools(tx, system.name, list(fresh.values()), self._clock.seconds())
            self._record(tx, "system.tools_learned", system, None)

        await self._transactions.change(write)
        await self.load()

    def _record(self, tx: Tx, kind: str, system: System, actor: Actor | None) -> None:
        event = management_event(kind, actor, self._clock, self._new_id, system=system.name, resource=system.id)
        record(tx, event)
        tx.changed(CHANGE, system.name)


def _check_actions(system: System, others: Mapping[str, System]) -> None:
    """An action names one operation of one system: policy and the log could not tell two apart."""
    taken = {one.action: other.name for other in others.values() for one in other.operations}
    for one in system.operations:
        if one.action in taken:
            raise Conflict(f"the action {one.action} belongs to the system {taken[one.action]!r}")
