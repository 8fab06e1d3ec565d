"""OpenID Connect Back-Channel Logout 1.0: clients that were told of a session hear of its end.

The message is written in the transaction that ends the session, and signed when it is sent.
"""

from urllib.parse import urlencode

import msgspec

from accredit.agents.client_metadata import ClientMetadata
from accredit.agents.registry import Agents
from accredit.errors import Unavailable
from accredit.ids import AgentId, PersonId, SessionId
from accredit.oauth.store import take_session_clients
from accredit.outbound.guarded import Guarded
from accredit.people.model import Session
from accredit.storage.outbox import Message, Outbox
from accredit.storage.writer import Tx
from accredit.tokens.identity import IdTokens

KIND = "backchannel_logout"
GIVE_UP_SECONDS = 3_600.0
_ANSWER_SECONDS = 10.0
_ANSWER_BYTES = 4_096
_TAKEN = (200, 204)


class _Ended(msgspec.Struct, frozen=True):
    agent: AgentId
    person: PersonId
    session: SessionId


def tell_clients(outbox: Outbox, tx: Tx, session: Session) -> None:
    """Queue a logout token for each client of a session that wants one (§2.5), in the caller's transaction."""
    for told in take_session_clients(tx.connection, session.id):
        uri = msgspec.json.decode(told.metadata, type=ClientMetadata).backchannel_logout_uri
        if uri:
            ended = _Ended(told.agent, session.person.id, session.id)
            outbox.put(tx, KIND, uri, msgspec.json.encode(ended), seconds=GIVE_UP_SECONDS)


class BackchannelLogout:
    """Delivers the messages."""

    def __init__(self, agents: Agents, id_tokens: IdTokens, guarded: Guarded) -> None:
        self._agents = agents
        self._id_tokens = id_tokens
        self._guarded = guarded

    async def deliver(self, message: Message) -> None:
        """POST the logout token (§2.5). Raises Error when it has to be tried again."""
        ended = msgspec.json.decode(message.message, type=_Ended)
        agent = await self._agents.get(ended.agent)
        if agent is None:
            return
        token = await self._id_tokens.logout_token(agent, ended.person, ended.session)
        answer = await self._guarded.post(
            message.url,
            urlencode({"logout_token": token.reveal()}).encode(),
            content_type="application/x-www-form-urlencoded",
            most_bytes=_ANSWER_BYTES,
            seconds=_ANSWER_SECONDS,
        )
        if answer.status not in _TAKEN:
            raise Unavailable(f"the client answered a logout token with {answer.status}")
