"""Client-Initiated Backchannel Authentication (OpenID CIBA Core 1.0): a client asks a person who is elsewhere.

Poll and ping. Whether there is such a person is not told: a request for nobody waits until its time is over.
"""

import msgspec

from accredit.agents.model import Agent
from accredit.errors import Unavailable
from accredit.ids import PersonId
from accredit.oauth.asking import Asking, check_grant, open_asking
from accredit.oauth.client_auth import AuthenticatedClient, ClientAuthentication
from accredit.oauth.client_endpoint import Answer, ClientEndpoint
from accredit.oauth.errors import InvalidBindingMessage, InvalidRequest, InvalidScope, UnauthorizedClient
from accredit.oauth.pending import CIBA_GRANT, INTERVAL_SECONDS, LIFETIME_SECONDS, PendingAuthorizations, Ping
from accredit.oauth.refusals import open_refusals
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.scopes import parse_scope
from accredit.outbound.guarded import Guarded
from accredit.people.directory import People
from accredit.people.model import Person
from accredit.storage.outbox import Message, Outbox
from accredit.storage.writer import Tx
from accredit.tokens.errors import InvalidToken
from accredit.tokens.identity import IdTokens

PATH = "/oauth/backchannel_authentication"
PING = "ciba_ping"
_MESSAGE_LIMIT = 200
_NOTIFICATION_TOKEN = range(1, 1_025)
_HINTS = ("login_hint", "id_token_hint", "login_hint_token")
_PING_SECONDS = 10.0
_PING_BYTES = 4_096
_REDIRECTS = range(300, 400)
_FAILURES = 500
_EXPIRY_DIGITS = 6


class _CibaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    auth_req_id: str
    expires_in: int
    interval: int


class BackchannelAuthentication:
    """The endpoint's act (§7)."""

    def __init__(self, pending: PendingAuthorizations, asking: Asking, people: People, id_tokens: IdTokens) -> None:
        self._pending = pending
        self._asking = asking
        self._people = people
        self._id_tokens = id_tokens

    async def __call__(self, client: AuthenticatedClient, form: dict[str, str]) -> Answer:
        """Raises the OAuthErrors of CIBA §13, and Unavailable."""
        agent = client.agent
        check_grant(agent, CIBA_GRANT)
        if client.is_public:
            raise UnauthorizedClient("a public client cannot ask this way", next_step="register a credential (§7.1)")
        if "openid" not in parse_scope(form.get("scope", "")):
            raise InvalidScope("scope must hold openid", next_step="add it (§7.1)")
        message = _binding_message(form.get("binding_message", ""))
        token = _notification_token(agent, form.get("client_notification_token", ""))
        seconds = _lifetime(form.get("requested_expiry"))
        asked = msgspec.structs.replace(await self._asking.read(agent, form), binding_message=message)
        person = await self._person(agent, form)
        auth_req_id = await self._pending.open_ciba(
            client, asked, seconds, None if person is None else person.id, token
        )
        return Answer(200, _CibaAnswer(auth_req_id=auth_req_id, expires_in=seconds, interval=INTERVAL_SECONDS))

    async def _person(self, agent: Agent, form: dict[str, str]) -> Person | None:
        given = [name for name in _HINTS if name in form]
        if len(given) != 1 or given == ["login_hint_token"]:
            raise InvalidRequest("send just one of login_hint and id_token_hint", next_step="see CIBA §7.1")
        if "login_hint" in form:
            return await self._people.by_email(form["login_hint"])
        try:
            claims = self._id_tokens.read(form["id_token_hint"], audience=agent.client_id, expired=True)
        except InvalidToken as error:
            raise InvalidRequest("the id_token_hint is not one of ours for this client") from error
        return await self._people.get(PersonId(claims.sub))


def open_backchannel_authentication(rooms: OAuthRooms, authentication: ClientAuthentication) -> ClientEndpoint:
    """As the server is wired."""
    act = BackchannelAuthentication(rooms.pending, open_asking(rooms), rooms.people, rooms.id_tokens)
    return ClientEndpoint(authentication, rooms.certificates, rooms.group, open_refusals(rooms), act)


class Pings:
    """Tells a client in ping mode that there is an answer (§10.2): only that, and only once it is committed."""

    def __init__(self, outbox: Outbox, guarded: Guarded) -> None:
        self._outbox = outbox
        self._guarded = guarded

    def put(self, tx: Tx, agent: Agent, ping: Ping | None) -> None:
        """Queue a ping in the transaction of the answer; nothing for a client that polls, or polls by now."""
        url = "" if agent.client is None else agent.client.backchannel_client_notification_endpoint
        if ping is not None and url:
            self._outbox.put(tx, PING, url, msgspec.json.encode(ping), seconds=float(LIFETIME_SECONDS))

    async def deliver(self, message: Message) -> None:
        """POST it. Raises Error when it has to be tried again."""
        ping = msgspec.json.decode(message.message, type=Ping)
        answer = await self._guarded.post(
            message.url,
            msgspec.json.encode({"auth_req_id": ping.auth_req_id}),
            content_type="application/json",
            headers=(("authorization", f"Bearer {ping.token}"),),
            most_bytes=_PING_BYTES,
            seconds=_PING_SECONDS,
        )
        if answer.status >= _FAILURES or answer.status in _REDIRECTS:
            raise Unavailable(f"the client answered a ping with {answer.status}")


def _binding_message(text: str) -> str:
    if len(text) > _MESSAGE_LIMIT or not text.isprintable():
        raise InvalidBindingMessage(
            f"binding_message must be at most {_MESSAGE_LIMIT} printable characters", next_step="send a shorter one"
        )
    return text


def _notification_token(agent: Agent, token: str) -> str:
    """Required in ping mode (§7.1), and sent nowhere else."""
    if agent.client is None or agent.client.backchannel_token_delivery_mode != "ping":  # noqa: S105  # a mode
        return ""
    if len(token) not in _NOTIFICATION_TOKEN or not all("!" <= char <= "~" for char in token):
        raise InvalidRequest("ping mode needs a client_notification_token of 1 to 1024 visible characters")
    return token


def _lifetime(asked: str | None) -> int:
    if asked is None:
        return LIFETIME_SECONDS
    # Digits are counted before they are read: a number of a thousand digits is no number.
    is_number = asked.isascii() and asked.isdigit() and len(asked) <= _EXPIRY_DIGITS
    if not is_number or not 1 <= int(asked) <= LIFETIME_SECONDS:
        raise InvalidRequest(f"requested_expiry must be 1 to {LIFETIME_SECONDS} seconds")
    return int(asked)
