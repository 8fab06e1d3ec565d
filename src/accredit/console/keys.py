"""Which of the log's keys a browser can check with."""

from accredit.audit.checkpoint import ED25519, parse_vkey
from accredit.errors import Unavailable


def browser_key(keys: str) -> str:
    """The Ed25519 key among the log's verifier keys, one a line: WebCrypto knows no other of them.

    Raises Unavailable if there is none.
    """
    for line in keys.splitlines():
        if parse_vkey(line).kind == ED25519:
            return line
    raise Unavailable("the log has no key that a browser can check with", next_step="use `accredit audit verify`")
