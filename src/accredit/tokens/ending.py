"""Ends tokens before their time: one row and one event, and everything that came of a token ends with it."""

from typing import NamedTuple

from accredit.agents.revocations import Revocations
from accredit.audit.event import AuditEvent
from accredit.audit.group import record
from accredit.clock import Clock
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx
from accredit.tokens.errors import InvalidToken
from accredit.tokens.refresh import PREFIX, RefreshTokens
from accredit.tokens.verify import LEEWAY_SECONDS, Verifier

REVOKED = "token.revoked"
"""The type of the event."""


class Endable(NamedTuple):
    """What can be ended: an access token or a refresh family.

    `expires_at` (seconds since 1970) is when the last of it would have expired anyway.
    """

    id: str
    agent: str
    person: str | None
    expires_at: float


class TokenEnding:
    """Reads what a token is, and ends it."""

    def __init__(
        self,
        verifier: Verifier,
        refresh_tokens: RefreshTokens,
        revocations: Revocations,
        transactions: Transactions,
        clock: Clock,
    ) -> None:
        self._verifier = verifier
        self._refresh_tokens = refresh_tokens
        self._revocations = revocations
        self._transactions = transactions
        self._clock = clock

    def read(self, unverified: str) -> Endable | None:
        """What a text is, if it is a token of ours that has not expired and was not ended."""
        found = self._read(unverified)
        if found is None or self._clock.seconds() >= found.expires_at or self._revocations.is_known_ended((found.id,)):
            return None
        return found

    def _read(self, unverified: str) -> Endable | None:
        if unverified.startswith(PREFIX):
            family = self._refresh_tokens.open(unverified)
            # RFC 7009 §2.1: with a refresh token, the access tokens of the same grant end too.
            return None if family is None else Endable(family.id, family.agent, family.person, family.expires_at)
        try:
            claims = self._verifier.read(unverified)
        except InvalidToken:
            return None
        person = claims.sub if claims.sub.startswith("per_") else None
        return Endable(claims.jti, claims.client_id, person, float(claims.exp + LEEWAY_SECONDS))

    async def end(self, thing: str, expires_at: float, event: AuditEvent) -> None:
        """End it and record the event, in one transaction. Raises Unavailable."""

        def write(tx: Tx) -> None:
            self._revocations.end(tx, thing, expires_at)
            record(tx, event)

        await self._transactions.change(write)
