"""`Mcp-Session-Id` and `requestState` as we give them out: the upstream's, sealed with whose they are.

Nothing is stored, so any replica opens them. A session of another agent, of the same agent before it was suspended, or
of another system is answered like one that never was: 404 (revision 2025-11-25, "Session management").
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
_STATE_CONTEXT = "gateway.mcp.state"
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


class NoSuchState(InputRefused):
    """The `requestState` was not given to this caller."""

    code = "no_such_state"


class _State(msgspec.Struct, frozen=True, array_like=True):
    agent: str
    epoch: int
    system: str
    upstream_state: str


class Sessions:
    """Seals and opens what an upstream gives a client to bring back."""

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

    def seal_state(self, upstream_state: str, caller: Caller, system: System) -> str:
        """The `requestState` that the agent gets for an upstream's (revision 2026-07-28, `input_required`)."""
        state = _State(caller.agent.id, caller.epoch, system.id, upstream_state)
        return base64url(self._sealer.seal(msgspec.json.encode(state), _STATE_CONTEXT))

    def open_state(self, sealed: object, caller: Caller, system: System) -> str:
        """The upstream's own state. Raises NoSuchState."""
        try:
            if not isinstance(sealed, str):
                raise InputRefused("not a text")
            state = msgspec.json.decode(self._sealer.open(from_base64url(sealed), _STATE_CONTEXT), type=_State)
        except (InputRefused, Unavailable, msgspec.MsgspecError, ValueError) as error:
            raise NoSuchState("requestState is not one that was given to you") from error
        if (state.agent, state.epoch, state.system) != (caller.agent.id, caller.epoch, system.id):
            raise NoSuchState("requestState is not one that was given to you")
        return state.upstream_state
