"""What can be wrong with a log, a checkpoint or a proof."""

from accredit.errors import Conflict, Error, InputRefused


class LogBroken(Error):
    """What is stored is not what was logged. `seq` is the first event that shows it, None if no single one does."""

    code = "log_broken"

    def __init__(self, explanation: str, *, seq: int | None = None, detail: str = "") -> None:
        super().__init__(
            explanation if seq is None else f"event {seq}: {explanation}",
            next_step="stop, keep a copy of the data folder as it is, and compare it with a backup",
            detail=detail,
            event=seq,
        )
        self.seq = seq


class LogSetBack(Error):
    """The database is older than a checkpoint that was published: to sign now would be to rewrite history."""

    code = "log_set_back"


class AlreadySequenced(Conflict):
    """Another process integrates events into this log; two would sign different trees."""

    code = "already_sequenced"


class CheckpointRefused(InputRefused):
    """A checkpoint is malformed, or no key that is trusted has signed it."""

    code = "checkpoint_refused"


class ProofRefused(InputRefused):
    """A proof is malformed, or does not lead to the root that it should."""

    code = "proof_refused"
