"""Asking a person: what the page of consent shows, and what comes of their answer.

Each call opens the sealed request and takes it through the steps again: a client that was ended, a redirect URI that
was taken back, or a system that is gone since then is found here too. An answer is one transaction.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from accredit.agents.model import Agent
from accredit.agents.registry import Agents
from accredit.audit.event import Actor, AuditEvent
from accredit.audit.group import record
from accredit.clock import Clock, rfc3339
from accredit.delegations.consent import Answered, Asked, AskedScope, Choice, SignInFirst
from accredit.delegations.model import ActionDetails, Delegation
from accredit.delegations.register import Delegations
from accredit.errors import Conflict, InputRefused, Unavailable
from accredit.ids import EventId, FamilyId, NewId
from accredit.oauth.authorize import Checks, may_be_sent_on, open_checks, open_clients
from accredit.oauth.clients import Clients
from accredit.oauth.codes import CODE_SECONDS, AuthorizationCode, SealedRequest, Seals, open_seals
from accredit.oauth.errors import AccessDenied, ConsentRequired, InvalidScope, LoginRequired, OAuthError
from accredit.oauth.pushed import CARRIED_PREFIX, PushedRequests
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.scopes import cut_delegated, delegable_scopes, expected_evidence, person_scopes
from accredit.oauth.step import AuthorizationRequest, Leg, RequestRefused, answer_url, error_url
from accredit.oauth.store import insert_session_client
from accredit.people.model import Session
from accredit.policy.decide import Policy
from accredit.settings import Settings
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx, UsedBefore
from accredit.systems.model import Operation, System
from accredit.tokens.refresh import RefreshFamily

TIMES_SECONDS = (3_600, 28_800, 86_400, 604_800, 2_592_000, 7_776_000)
"""For how long a person may be asked to let an agent act: an hour, a working day, a day, a week, 30 and 90 days."""

_OPENID = "openid"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A request that holds, sealed and checked."""

    sealed: SealedRequest
    request: AuthorizationRequest


class ConsentRequests:
    """What the console asks of the authorization server; `console.view.Consents` says how."""

    def __init__(
        self,
        *,
        checks: Checks,
        seals: Seals,
        pushed: PushedRequests,
        clients: Clients,
        agents: Agents,
        delegations: Delegations,
        policy: Policy,
        transactions: Transactions,
        settings: Settings,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._checks = checks
        self._seals = seals
        self._pushed = pushed
        self._clients = clients
        self._agents = agents
        self._delegations = delegations
        self._policy = policy
        self._transactions = transactions
        self._longest = settings.delegation_seconds
        self._issuer = settings.issuer
        self._clock = clock
        self._new_id = new_id

    async def begin(self, sealed: str, session: Session | None) -> Asked | SignInFirst | Answered:
        """What to ask; or that the person signs in first; or where to go, if there is nothing to ask.

        Raises InputRefused if the request is not ours or too old, or nobody may be answered.
        """
        opened = await self._open(sealed)
        if isinstance(opened, Answered):
            return opened
        request = opened.request
        silent = "none" in request.prompt
        if session is None or self._is_stale(request, session):
            if silent:
                return self._unasked(request, LoginRequired("the person would have to sign in"))
            return SignInFirst(again=session is not None)
        try:
            offered = self._offered(request, session)
        except InvalidScope as error:
            # A person is told why; a client that must not ask one is told.
            if silent:
                return self._unasked(request, error)
            offered = ()
        if offered:
            known = await self._remembered(request, session, offered)
            if known is not None:
                return await self._grant_again(request, session, known, offered)
        if silent:
            return self._unasked(request, ConsentRequired("the person would have to consent"))
        return self._asked(request, session, offered)

    async def approve(self, sealed: str, session: Session, choice: Choice) -> SignInFirst | Answered:
        """Let the agent act, and send the person back to it with a code.

        Raises InputRefused for a choice that was not offered, and as `begin`; Conflict if it was answered before.
        """
        opened = await self._open(sealed)
        if isinstance(opened, Answered):
            return opened
        request = opened.request
        if self._is_stale(request, session):
            return SignInFirst(again=True)
        try:
            offered = self._offered(request, session)
        except InvalidScope as error:
            return self._error(request, error)
        scopes = take_choice(offered, offered_times(self._longest), choice)
        try:
            code, _ = await self._transactions.change(lambda tx: self._make(tx, opened, session, scopes, choice))
        except UsedBefore as error:
            raise _answered_before() from error
        return self._answer(request, code)

    async def refuse(self, sealed: str, session: Session) -> Answered:
        """Say no, and send the person back with that. Raises InputRefused, Conflict if it was answered before."""
        opened = await self._open(sealed)
        if isinstance(opened, Answered):
            return opened
        request = opened.request

        def write(tx: Tx) -> None:
            tx.use(opened.sealed.once())
            agent = request.client.agent
            event = AuditEvent(
                id=EventId(self._new_id("evt")),
                time=rfc3339(self._clock.seconds()),
                type="delegation.refused",
                action="delegation.refused",
                agent=None if agent is None else agent.id,
                agent_name=request.client.name if agent is None else agent.name,
                authentication=session.authentication,
                session=session.id,
                person=session.person.id,
                system=request.system.name,
                resource=request.audience,
                reason="the person said no",
                outcome="refused",
            )
            record(tx, event)

        try:
            await self._transactions.change(write)
        except UsedBefore as error:
            raise _answered_before() from error
        return self._error(request, AccessDenied("the person said no"))

    async def _open(self, text: str) -> _Opened | Answered:
        if text.startswith(CARRIED_PREFIX):
            text = await self._pushed.carried(text) or ""
        sealed = self._seals.open_request(text)
        if sealed is None:
            raise InputRefused(
                "this request is not one of ours, or it is more than ten minutes old",
                next_step="go back to the application and begin anew",
            )
        try:
            request = await self._checks.check(
                Leg.CONSENT, sealed.parameters, made_at=sealed.made_at, is_pushed=sealed.is_pushed
            )
        except RequestRefused as refused:
            return self._unasked(refused.request, refused.error)
        return _Opened(sealed=sealed, request=request)

    def _is_stale(self, request: AuthorizationRequest, session: Session) -> bool:
        """Whether the person has to prove anew who they are (OpenID Connect Core §3.1.2.1, RFC 9470 §4)."""
        oldest = float("-inf")
        if "login" in request.prompt:
            oldest = request.made_at
        elif request.max_age is not None:
            oldest = request.made_at - request.max_age
        if session.auth_time < oldest:
            return True
        wanted = request.get("acr_values").split()
        # It is a wish: a sign-in since the request is taken as the best that the person can do.
        return bool(wanted) and session.acr not in wanted and session.auth_time < request.made_at

    def _offered(self, request: AuthorizationRequest, session: Session) -> tuple[str, ...]:
        """What this person may let this client do. Raises InvalidScope if that is nothing."""
        agent = self._clients.after_consent(request.client, request.system)
        evidence = expected_evidence(session)
        open_ = delegable_scopes(self._policy, agent, session.person, request.system, evidence)
        offered = cut_delegated(request.scope, open_)
        # Who may do nothing on a system themselves opens it to no client that comes along.
        if not offered or (not open_ and self._clients.grows(request.client, request.system)):
            raise InvalidScope("there is nothing that the agent may do and the person may let it do")
        return offered

    async def _remembered(
        self, request: AuthorizationRequest, session: Session, offered: tuple[str, ...]
    ) -> Delegation | None:
        agent = request.client.agent
        asks = request.prompt & {"consent", "select_account"}
        hint = request.get("login_hint")
        if agent is None or asks or not _is_assured(request) or (hint and hint.lower() != session.person.email):
            return None
        now = self._clock.seconds()
        for one in await self._delegations.between(session.person.id, agent.id):
            if one.remembered and one.covers(request.audience, offered, request.details, now):
                return one
        return None

    async def _grant_again(
        self, request: AuthorizationRequest, session: Session, known: Delegation, scopes: tuple[str, ...]
    ) -> Answered:
        agent = request.client.agent
        if agent is None:
            raise TypeError("a client without an agent has no delegation")
        await self._transactions.change(lambda tx: insert_session_client(tx.connection, session.id, agent.id))
        return self._answer(request, self._code(request, session, agent, known, scopes, owns=False))

    def _asked(self, request: AuthorizationRequest, session: Session, offered: tuple[str, ...]) -> Asked:
        client = request.client
        return Asked(
            identity=client.agent.id if client.agent is not None else client.client_id,
            name=client.name,
            host=client.host,
            owner=None if client.agent is None or client.host is not None else client.agent.owner_email,
            redirect_uri=request.redirect_uri,
            system=request.system,
            scopes=tuple(
                AskedScope(scope=scope, operations=offered_operations(request.system, request.details, scope))
                for scope in offered
            ),
            details=request.details,
            choices=offered_times(self._longest),
            may_remember=_is_assured(request),
            person_may=bool(person_scopes(self._policy, session.person, request.system, expected_evidence(session))),
            login_hint=request.get("login_hint"),
        )

    def _make(
        self, tx: Tx, opened: _Opened, session: Session, scopes: tuple[str, ...], choice: Choice
    ) -> AuthorizationCode:
        """All that comes of a yes, in one transaction. A crash before its commit leaves nothing of it."""
        request, now = opened.request, self._clock.seconds()
        tx.use(opened.sealed.once())
        agent = self._agent(tx, request, session)
        delegation = Delegation(
            id=self._delegations.new_id(),
            person=session.person.id,
            agent=agent.id,
            system=request.system.name,
            audience=request.audience,
            scopes=scopes,
            details=request.details,
            remembered=choice.remember and _is_assured(request),
            created_at=now,
            expires_at=now + choice.seconds,
        )
        self._delegations.make(tx, delegation, agent, session, session.authentication)
        insert_session_client(tx.connection, session.id, agent.id)
        return self._code(request, session, agent, delegation, scopes, owns=True)

    def _agent(self, tx: Tx, request: AuthorizationRequest, session: Session) -> Agent:
        """The agent of the client, registered or grown by this consent if need be."""
        client, system = request.client, request.system
        actor = Actor(person=session.person.id, authentication=session.authentication)
        grown = (system.name,) if self._clients.grows(client, system) else ()
        if client.host is None:
            if client.agent is None:
                raise TypeError("a client that is not registered has a metadata document")
            return client.agent
        agent = client.agent or self._agents.register_client(
            tx, client.client_id, client.metadata, session.person.email, self._clients.roles, grown, actor
        )
        if agent.client != client.metadata:
            agent = self._agents.set_client_in(tx, agent.id, client.metadata, actor)
        return self._agents.grow(tx, agent, system.name, actor) if grown else agent

    def _code(
        self,
        request: AuthorizationRequest,
        session: Session,
        agent: Agent,
        delegation: Delegation,
        scopes: tuple[str, ...],
        *,
        owns: bool,
    ) -> AuthorizationCode:
        now = self._clock.seconds()
        family = RefreshFamily(
            id=FamilyId(self._new_id("rfm")),
            generation=0,
            agent=agent.id,
            epoch=agent.epoch,
            person=session.person.id,
            delegation=delegation.id,
            audience=request.audience,
            scopes=scopes,
            expires_at=min(delegation.expires_at, now + agent.max_session_seconds),
            details=request.details,
            session=session.id,
            nonce=request.get("nonce"),
            acr=session.acr,
            amr=session.amr,
            auth_time=session.auth_time,
        )
        return AuthorizationCode(
            id=self._new_id("cod"),
            family=family,
            redirect_uri=request.redirect_uri,
            code_challenge=request.get("code_challenge"),
            expires_at=now + CODE_SECONDS,
            dpop_jkt=request.get("dpop_jkt"),
            owns_delegation=owns,
        )

    def _answer(self, request: AuthorizationRequest, code: AuthorizationCode) -> Answered:
        members = {"code": self._seals.seal_code(code).reveal()}
        return Answered(answer_url(request, self._issuer, members))

    def _unasked(self, request: AuthorizationRequest, error: OAuthError) -> Answered:
        """Tell the client before a person answered; one that nobody here knows is told nothing (RFC 9700 §4.11.2)."""
        if request.redirect_uri and may_be_sent_on(request):
            return self._error(request, error)
        kind = Unavailable if error.status >= 500 else InputRefused  # noqa: PLR2004  # what is away, not wrong
        raise kind(error.explanation, next_step=error.next_step, detail=error.detail)

    def _error(self, request: AuthorizationRequest, error: OAuthError) -> Answered:
        return Answered(error_url(request, self._issuer, error))


def offered_times(longest_seconds: int) -> tuple[int, ...]:
    """For how long it may be given, in seconds, shortest first."""
    return tuple(seconds for seconds in TIMES_SECONDS if seconds <= longest_seconds) or (longest_seconds,)


def take_choice(offered: tuple[str, ...], times: tuple[int, ...], choice: Choice) -> tuple[str, ...]:
    """The scopes that a person ticked. Raises InputRefused for what was not offered, and for nothing."""
    if choice.seconds not in times:
        raise InputRefused("this time was not offered", next_step="choose one of those on the page")
    # Without openid the answer would be none that an OpenID Connect client understands.
    chosen = tuple(scope for scope in offered if scope in choice.scopes or scope == _OPENID)
    if not choice.scopes <= set(offered):
        raise InputRefused("you can no longer let it do all of this", next_step="open the request again")
    if not chosen:
        raise InputRefused("nothing was ticked", next_step="tick what it may do, or refuse")
    return chosen


def offered_operations(system: System, details: tuple[ActionDetails, ...], scope: str) -> tuple[Operation, ...]:
    """What a scope lets the agent do; of the details, if there are any, only what they name."""
    named = {action for one in details for action in one.actions}
    return tuple(one for one in system.operations if one.scope == scope and (not named or one.action in named))


def _is_assured(request: AuthorizationRequest) -> bool:
    """Whether the client can be known again by more than its word.

    RFC 8252 §8.6: any program on the device can take the redirect of a public client that is no https address, so
    that a person is asked each time.
    """
    return not request.client.metadata.is_public or urlsplit(request.redirect_uri).scheme == "https"


def _answered_before() -> Conflict:
    return Conflict("this request was answered before", next_step="go back to the application and begin anew")


def open_consent(rooms: OAuthRooms) -> ConsentRequests:
    """As the server is wired."""
    return ConsentRequests(
        checks=open_checks(rooms),
        seals=open_seals(rooms),
        pushed=PushedRequests(rooms.transactions, rooms.clock),
        clients=open_clients(rooms),
        agents=rooms.agents,
        delegations=rooms.delegations,
        policy=rooms.policy,
        transactions=rooms.transactions,
        settings=rooms.settings,
        clock=rooms.clock,
        new_id=rooms.new_id,
    )
