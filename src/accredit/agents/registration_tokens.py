"""Initial access tokens (RFC 7591 §3): who holds one may register so many clients, until its end.

A token is 256 random bits, kept as a keyed hash only. Its owner owns what is registered with it, and its roles and
systems are the agent's: a client cannot ask for more than the administrator gave with the token.
"""

import os
from collections.abc import Callable

from accredit.agents.model import RegistrationToken
from accredit.agents.store import (
    delete_registration_token,
    insert_registration_token,
    is_open_registration_token,
    load_registration_tokens,
    take_registration_use,
)
from accredit.audit.event import Actor, management_event
from accredit.audit.group import record
from accredit.canonical import base64url
from accredit.clock import Clock
from accredit.errors import InputRefused, NotAuthenticated, NotFound
from accredit.ids import NewId
from accredit.people.directory import People
from accredit.sensitive import Sensitive
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

MOST_USES = 10_000
MOST_DAYS = 366
_DAY_SECONDS = 86_400.0
_TOKEN_BYTES = 32
_PREFIX = "ait_"


class RegistrationRefused(NotAuthenticated):
    """The token for a registration is unknown, used up, revoked or too old; which of them is not said."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__(
            "the registration token is not valid",
            next_step="ask an administrator for one: `accredit agent registration-token create`",
        )


class RegistrationTokens:
    """Makes and ends initial access tokens, and counts their uses."""

    def __init__(
        self,
        transactions: Transactions,
        people: People,
        clock: Clock,
        new_id: NewId,
        hash_secret: Callable[[str], bytes],
        system_exists: Callable[[Tx, str], bool],
    ) -> None:
        self._transactions = transactions
        self._people = people
        self._clock = clock
        self._new_id = new_id
        self._hash_secret = hash_secret
        self._system_exists = system_exists

    async def create(
        self,
        owner: str,
        actor: Actor,
        *,
        roles: tuple[str, ...] = (),
        systems: tuple[str, ...] = (),
        uses: int = 1,
        days: int = 7,
    ) -> tuple[RegistrationToken, Sensitive]:
        """Make a token, which is shown this once. Raises InputRefused, NotFound, Unavailable."""
        if not 1 <= uses <= MOST_USES or not 1 <= days <= MOST_DAYS:
            raise InputRefused(f"a token has 1 to {MOST_USES} uses within 1 to {MOST_DAYS} days", next_step="give less")
        secret = new_registration_token()

        def write(tx: Tx) -> RegistrationToken:
            for system in systems:
                if not self._system_exists(tx, system):
                    raise NotFound(f"there is no system {system!r}", next_step="`accredit system list` shows them")
            person = self._people.ensure(tx, owner)
            now = self._clock.seconds()
            token = RegistrationToken(
                id=self._new_id("rgt"),
                owner=person.id,
                owner_email=person.email,
                roles=tuple(dict.fromkeys(roles)),
                systems=tuple(dict.fromkeys(systems)),
                uses_left=uses,
                created_at=now,
                expires_at=now + days * _DAY_SECONDS,
            )
            insert_registration_token(tx, token, self._hash_secret(secret))
            self._record(tx, "registration_token.created", token.id, actor)
            return token

        token, _ = await self._transactions.change(write)
        return token, Sensitive(secret)

    async def list(self) -> tuple[RegistrationToken, ...]:
        """Every token that was not revoked, the oldest first. Raises Unavailable."""
        return tuple(await self._transactions.read(load_registration_tokens))

    async def revoke(self, token_id: str, actor: Actor) -> None:
        """End a token; what was registered with it lives on. Raises NotFound, Unavailable."""

        def write(tx: Tx) -> None:
            if not delete_registration_token(tx, token_id):
                raise NotFound(
                    "there is no such registration token", next_step="`accredit agent registration-token list` does"
                )
            self._record(tx, "registration_token.revoked", token_id, actor)

        await self._transactions.change(write)

    async def check(self, secret: str) -> None:
        """Refuse a token that is not open, without using it. Raises RegistrationRefused, Unavailable."""
        hashed, now = self._hash_secret(secret), self._clock.seconds()
        if not await self._transactions.read(lambda c: is_open_registration_token(c, hashed, now)):
            raise RegistrationRefused

    def use_in(self, tx: Tx, secret: str) -> RegistrationToken:
        """Use a token once in the caller's transaction. Raises RegistrationRefused."""
        used = take_registration_use(tx, self._hash_secret(secret), self._clock.seconds())
        if used is None:
            raise RegistrationRefused
        return used

    def _record(self, tx: Tx, kind: str, token_id: str, actor: Actor) -> None:
        record(tx, management_event(kind, actor, self._clock, self._new_id, resource=token_id))


def new_registration_token() -> str:
    """A token of 256 random bits, with a prefix that secret scanners can find."""
    return _PREFIX + base64url(os.urandom(_TOKEN_BYTES))
