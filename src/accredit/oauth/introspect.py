"""Token introspection (RFC 7662), as JSON and as a signed JWT (RFC 9701).

Whoever asks is authenticated, and is told of its own tokens alone: those issued to it, those that it stands behind as
an earlier actor, and, in the role `token-introspector`, those for its systems. Everything else is not active, alike.
"""

from typing import NamedTuple

import msgspec

from accredit.agents.model import Agent, AgentStatus
from accredit.agents.registry import Agents
from accredit.agents.revocations import Revocations
from accredit.clock import Clock
from accredit.delegations.model import ActionDetails
from accredit.keys.keyring import Keyring
from accredit.oauth.client_auth import AuthenticatedClient, ClientAuthentication, invalid_client
from accredit.oauth.client_endpoint import Answer, ClientEndpoint
from accredit.oauth.errors import InvalidRequest, InvalidTarget
from accredit.oauth.refusals import open_refusals
from accredit.oauth.resources import Resources
from accredit.oauth.rooms import OAuthRooms
from accredit.storage.once import is_used
from accredit.storage.transactions import Transactions
from accredit.tokens.claims import AccessTokenClaims, Act, MayAct
from accredit.tokens.errors import InvalidToken
from accredit.tokens.model import Confirmation
from accredit.tokens.refresh import PREFIX, RefreshFamily, RefreshTokens
from accredit.tokens.signed import sign_jwt
from accredit.tokens.verify import Verifier
from accredit.web.asgi import Receive, Scope, Send

PATH = "/oauth/introspect"
ROLE = "token-introspector"
JWT_TYPE = "token-introspection+jwt"
_JWT = (b"content-type", b"application/token-introspection+jwt")


class Introspection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of a token (RFC 7662 §2.2, RFC 8693 §4, RFC 9449 §6.2, RFC 9396 §9.2). No member is null."""

    active: bool
    scope: str = ""
    client_id: str = ""
    token_type: str = ""
    exp: int = 0
    iat: int = 0
    sub: str = ""
    aud: str = ""
    iss: str = ""
    jti: str = ""
    act: Act | None = None
    cnf: Confirmation | None = None
    authorization_details: tuple[ActionDetails, ...] = ()
    may_act: MayAct | None = None
    acr: str = ""
    auth_time: int | None = None
    accredit_delegation: str = ""


NOT_ACTIVE = Introspection(active=False)


class _JwtClaims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    aud: str
    iat: int
    token_introspection: Introspection


class Seen(NamedTuple):
    """A token that is active, and by whom it may be looked at."""

    agent: str
    actors: tuple[str, ...]
    audience: str
    told: Introspection


class Inspector:
    """Looks at tokens of every kind."""

    def __init__(
        self,
        verifier: Verifier,
        refresh_tokens: RefreshTokens,
        agents: Agents,
        revocations: Revocations,
        transactions: Transactions,
        clock: Clock,
        issuer: str,
    ) -> None:
        self._verifier = verifier
        self._refresh_tokens = refresh_tokens
        self._agents = agents
        self._revocations = revocations
        self._transactions = transactions
        self._clock = clock
        self._issuer = issuer

    async def look(self, unverified: str) -> Seen | None:
        """What a text is, if it is a token of ours that holds now. Raises Unavailable."""
        if unverified.startswith(PREFIX):
            return await self._look_at_refresh_token(unverified)
        try:
            claims, behind = await self._verifier.inspect(unverified)
        except InvalidToken:
            return None
        return Seen(claims.client_id, tuple(actor.agent for actor in behind), claims.aud, _tell(claims))

    async def _look_at_refresh_token(self, unverified: str) -> Seen | None:
        family = self._refresh_tokens.open(unverified)
        if family is None or self._clock.seconds() >= family.expires_at or await self._has_ended(family):
            return None
        told = Introspection(
            active=True,
            scope=" ".join(family.scopes),
            client_id=family.agent,
            exp=int(family.expires_at),
            sub=family.person,
            aud=family.audience,
            iss=self._issuer,
            cnf=family.confirmation,
            authorization_details=family.details,
            acr=family.acr,
            auth_time=int(family.auth_time) or None,
            accredit_delegation=family.delegation,
        )
        return Seen(family.agent, (), family.audience, told)

    async def _has_ended(self, family: RefreshFamily) -> bool:
        agent = await self._agents.get(family.agent)
        if agent is None or agent.status is not AgentStatus.ACTIVE or agent.epoch != family.epoch:
            return True
        if await self._revocations.is_ended((family.id, family.delegation)):
            return True
        # A generation that was used gave way to the next.
        return await self._transactions.read(lambda c: is_used(c, family.once()))


class IntrospectionEndpoint:
    """The ASGI application at `/oauth/introspect`."""

    def __init__(self, rooms: OAuthRooms, authentication: ClientAuthentication) -> None:
        self._inspector = Inspector(
            rooms.verifier,
            rooms.refresh_tokens,
            rooms.agents,
            rooms.revocations,
            rooms.transactions,
            rooms.clock,
            rooms.issuer,
        )
        self._resources: Resources = rooms.resources
        self._keyring: Keyring = rooms.keyring
        self._clock = rooms.clock
        self._issuer = rooms.issuer
        self._json = ClientEndpoint(authentication, rooms.certificates, rooms.group, open_refusals(rooms), self._answer)
        self._jwt = ClientEndpoint(
            authentication, rooms.certificates, rooms.group, open_refusals(rooms), self._answer_signed
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, in the form that its Accept header names (RFC 9701 §4)."""
        endpoint = self._jwt if _accepts_jwt(scope) else self._json
        await endpoint(scope, receive, send)

    async def _answer(self, client: AuthenticatedClient, form: dict[str, str]) -> Answer:
        return Answer(200, await self._introspect(client, form))

    async def _answer_signed(self, client: AuthenticatedClient, form: dict[str, str]) -> Answer:
        claims = _JwtClaims(
            iss=self._issuer,
            aud=client.agent.client_id,
            iat=int(self._clock.seconds()),
            token_introspection=await self._introspect(client, form),
        )
        metadata = client.agent.client
        algorithm = "ES256" if metadata is None else metadata.introspection_signed_response_alg
        return Answer(200, (await sign_jwt(self._keyring, JWT_TYPE, claims, algorithm)).encode(), _JWT)

    async def _introspect(self, client: AuthenticatedClient, form: dict[str, str]) -> Introspection:
        if client.is_public:
            # RFC 7662 §2.1: only those that are authorized may ask, and who proves nothing is not.
            raise invalid_client(detail="a public client cannot introspect")
        token = form.get("token")
        if token is None:
            raise InvalidRequest("token is missing", next_step="send the token that is to be looked at")
        seen = await self._inspector.look(token)
        return NOT_ACTIVE if seen is None or not self._may_see(client.agent, seen) else seen.told

    def _may_see(self, agent: Agent, seen: Seen) -> bool:
        if agent.id == seen.agent or agent.id in seen.actors:
            return True
        if ROLE not in agent.roles:
            return False
        try:
            return self._resources.resolve(agent, seen.audience).name in agent.systems
        except InvalidTarget:
            return False


def _tell(claims: AccessTokenClaims) -> Introspection:
    return Introspection(
        active=True,
        scope=claims.scope,
        client_id=claims.client_id,
        token_type="DPoP" if claims.cnf is not None and claims.cnf.jkt is not None else "Bearer",  # a type
        exp=claims.exp,
        iat=claims.iat,
        sub=claims.sub,
        aud=claims.aud,
        iss=claims.iss,
        jti=claims.jti,
        act=claims.act,
        cnf=claims.cnf,
        authorization_details=claims.authorization_details,
        may_act=claims.may_act,
        acr=claims.acr,
        auth_time=claims.auth_time,
        accredit_delegation=claims.accredit_delegation,
    )


def _accepts_jwt(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"accept" and _JWT[1] in [one.partition(b";")[0].strip().lower() for one in value.split(b",")]:
            return True
    return False
