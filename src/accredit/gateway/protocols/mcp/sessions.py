"""`Mcp-Session-Id` as we give it out: the upstream's id, sealed with whose it is. No session is stored.

Any replica opens it. A session of another agent, of the same agent before it was suspended, or of another system
is answered like one that never was: 404 (revision 2025-11-25, "Session management").
"""

import re

import msgspec

from accredit.canonical import base64url, from_base64url
from accredit.errors import InputRefused, Unavailable
from accredit.ids import NewId
from accredit.keys.seal import Sealer
from accredit.outbound.failures import UpstreamInvalid
from accredit.systems.model import System
from accredit.tokens.model import Caller

_CONTEXT = "gateway.mcp.session"
_SEALED_CHARACTERS = 2_048
_UPSTREAM_ID = re.compile(r"[\x21-\x7e]{1,512}")


class NoSuchSession(InputRefused):
    """The session is not this caller's, or is none at all."""

    code = "no_such_session"


class Session(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed. `ref` names the session in the log; `upstream_id` is a secret between the upstream and us."""

    agent: str
    epoch: int
    system: str
    upstream_id: str
    ref: str


class Sessions:
    """Seals and opens session ids."""

    def __init__(self, sealer: Sealer, new_id: NewId) -> None:
        self._sealer = sealer
        self._new_id = new_id

    def seal(self, upstream_id: str, caller: Caller, system: System, ref: str | None = None) -> str:
        """The id that the agent gets for an upstream's. Raises UpstreamInvalid if the upstream's is malformed."""
        if _UPSTREAM_ID.fullmatch(upstream_id) is None:
            raise UpstreamInvalid("the system gave a session id with characters that are not allowed")
        session = Session(caller.agent.id, caller.epoch, system.id, upstream_id, ref or self._new_id("ses"))
        return base64url(self._sealer.seal(msgspec.json.encode(session), _CONTEXT))

    def open(self, sealed: str, caller: Caller, system: System) -> Session:
        """The session behind an id. Raises NoSuchSession."""
        try:
            if len(sealed) > _SEALED_CHARACTERS:
                raise InputRefused("too long")
            plain = self._sealer.open(from_base64url(sealed), _CONTEXT)
            session = msgspec.json.decode(plain, type=Session)
        except (InputRefused, Unavailable, msgspec.MsgspecError, ValueError) as error:
            raise NoSuchSession("no such session", next_step="initialize a new one") from error
        if (session.agent, session.epoch, session.system) != (caller.agent.id, caller.epoch, system.id):
            raise NoSuchSession("no such session", next_step="initialize a new one")
        return session
