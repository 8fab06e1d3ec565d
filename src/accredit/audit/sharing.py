"""One log, several processes: one of them is its sequencer, the others follow, and take over when it ends."""

import asyncio

from accredit.audit import store
from accredit.audit.checkpoint import Signer, parse_checkpoint_text, parse_note
from accredit.audit.errors import AlreadySequenced
from accredit.audit.sequencer import Sequencer
from accredit.errors import NotFound, Unavailable
from accredit.storage.transactions import Transactions

FOLLOW_SECONDS = 5.0
_POLL_SECONDS = 0.05


class SharedSequencer:
    """What a process needs of the log, whether it is the sequencer or follows the one that is."""

    def __init__(self, sequencer: Sequencer, transactions: Transactions, signer: Signer) -> None:
        self._sequencer = sequencer
        self._transactions = transactions
        self._signer = signer
        self._leads = False
        self._keys = ""

    @property
    def keys(self) -> str:
        """The log's verifier keys, one a line."""
        return self._keys

    async def start(self) -> None:
        """Become the sequencer, or follow the one that is there.

        Raises LogSetBack, LogBroken, and Unavailable if the other one has not begun the log within five seconds.
        """
        await self._try_to_lead()
        async with asyncio.timeout(FOLLOW_SECONDS):
            while (row := await self._transactions.read(store.load_log)) is None:  # noqa: ASYNC110  # another process
                await asyncio.sleep(_POLL_SECONDS)
        self._keys = "".join(f"{key.text()}\n" for key in self._signer.verifier_keys(row.origin))

    async def advance(self) -> None:
        """Bring every committed event into the tree; as a follower, see whether the sequencer's place is free."""
        if not self._leads:
            await self._try_to_lead()
        if self._leads:
            await self._sequencer.advance()

    async def cover(self, seq: int) -> str:
        """Return a checkpoint whose tree holds event `seq`.

        Raises NotFound if there is no such event, and Unavailable if the sequencer did not reach it in five seconds.
        """
        if self._leads:
            return await self._sequencer.cover(seq)
        if not 0 <= seq < await self._transactions.read(store.count_events):
            raise NotFound(f"the log has no event {seq}", next_step="`accredit audit tail` shows the newest")
        try:
            async with asyncio.timeout(FOLLOW_SECONDS):
                while True:
                    row = await self._transactions.read(store.load_log)
                    if row is not None and _covers(row.checkpoint, seq):
                        return row.checkpoint
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable("no checkpoint covers the event yet", next_step="try again") from error

    async def close(self) -> None:
        """As the sequencer, close the log with a checkpoint and give the place up."""
        if self._leads:
            self._leads = False
            await self._sequencer.close()

    async def _try_to_lead(self) -> None:
        try:
            await self._sequencer.start()
        except AlreadySequenced:
            return
        self._leads = True


def _covers(checkpoint: str, seq: int) -> bool:
    return bool(checkpoint) and parse_checkpoint_text(parse_note(checkpoint).text).size > seq
