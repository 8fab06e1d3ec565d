"""From a need to a token: find the server, be its client, refresh or ask anew. No input or output of its own."""

from dataclasses import replace
from time import monotonic

import httpx2

from accredit.client.authorization import AuthorizationCode, Wish, authorize
from accredit.client.credentials import Credential, Identity, NewClient, check_issuer, prove
from accredit.client.dpop import DpopKey, Nonces
from accredit.client.errors import CredentialRefused, Denied, Misconfigured, StepUpRequired
from accredit.client.grants import Unattended, grant_form, token_endpoint
from accredit.client.metadata import (
    AuthorizationServer,
    ProtectedResource,
    choose_issuer,
    find_legacy_server,
    find_resource,
    find_server,
)
from accredit.client.registration import become_client, registration_key
from accredit.client.steps import Answer, Call, Http, Steps, send
from accredit.client.tokens import Store, Token, decode_token, encode_token, parse_token
from accredit.client.turn import Need, step_up_required

_METADATA_SECONDS = 3600.0
_REFUSED_SECONDS = 60.0
_OFFLINE = "offline_access"


class Flow:
    """The state behind one auth object. `renew` is called by one at a time; the rest may be called by anybody."""

    def __init__(
        self,
        resource: str,
        client: Identity,
        grant: Unattended | AuthorizationCode,
        *,
        scope: tuple[str, ...] | None,
        dpop: DpopKey | None,
        store: Store,
        http: Http,
    ) -> None:
        self.nonces = Nonces()
        self._resource = resource
        self._client = client
        self._grant = grant
        self._scope = scope
        self._dpop = dpop
        self._store = store
        self._http = http
        self._pinned = None if isinstance(client, NewClient) else client.issuer
        self._hint: str | None = None
        self._protected: ProtectedResource | None = None
        self._indicator: str | None = None
        self._server: AuthorizationServer | None = None
        self._server_read = 0.0
        self._refused: dict[frozenset[str], float] = {}
        self.token = self._stored()

    def need_before(self) -> Need | bool:
        """Whether to fetch a token before the request is sent at all.

        Where no server is known yet, the resource's challenge says more than any guess.
        """
        if self.token is not None and self.token.is_fresh():
            return False
        known = self._server is not None or (
            self._pinned is not None and not isinstance(self._grant, AuthorizationCode)
        )
        return Need() if known else False

    def attach(self, request: httpx2.Request, token: Token | None) -> None:
        """Put the token, and a proof for this one request, into its headers."""
        for name in ("authorization", "dpop"):
            request.headers.pop(name, None)
        if token is None:
            return
        if not self._is_bound(token):
            request.headers["authorization"] = f"Bearer {token.access_token}"
        elif self._dpop is not None:
            url = str(request.url)
            nonce = self.nonces.get(url)
            proof = self._dpop.proof(request.method, url, nonce=nonce, access_token=token.access_token)
            request.headers["authorization"] = f"DPoP {token.access_token}"
            request.headers["dpop"] = proof

    def renew(self, need: Need, rejected: Token | None) -> Steps[Token]:
        """A token for a need; one that another fetched meanwhile will do. Raises ClientError."""
        current = self.token
        if current is not None and current is not rejected and current.is_fresh() and not self._lacks(current, need):
            return current
        server = yield from self._locate(need)
        self._check_not_refused(need)
        asked = self._scope_to_ask(need, current, server)
        token = None
        if current is not None and not need.step_up:
            token = yield from self._refresh(current, server)
        if token is None:
            token = yield from self._ask_anew(need, asked, server)
        self._keep(token, need)
        return token

    def forget(self) -> None:
        """Drop the token, here and in the store."""
        self.token = None
        self._store.save(self._token_key(), None)

    def _locate(self, need: Need) -> Steps[AuthorizationServer]:
        """The authorization server. A challenge makes us look again: the resource may have moved to another."""
        is_recent = monotonic() - self._server_read < _METADATA_SECONDS
        if need.challenge is None and self._server is not None and is_recent:
            return self._server
        # Not every challenge names the metadata again: the first that did still counts.
        self._hint = (need.challenge.resource_metadata if need.challenge is not None else None) or self._hint
        found = yield from find_resource(self._resource, self._hint, self._http)
        if found is not None:
            listed = found.authorization_servers or ()
            issuer = self._pinned if self._pinned in listed and self._pinned is not None else choose_issuer(found)
        elif self._pinned is not None:
            issuer = self._pinned
        else:
            issuer = None
        server = yield from self._read_server(issuer)
        if not isinstance(self._client, NewClient):
            check_issuer(self._client, server.issuer)
            # From here on the secret is for this server: a resource that names another later is refused.
            self._pinned = server.issuer
            self._client = replace(self._client, issuer=server.issuer)
        self._protected, self._server = found, server
        # A resource without metadata is of revision 2025-03-26, whose servers know no resource indicators.
        if found is not None:
            self._indicator = found.resource
        else:
            self._indicator = None if issuer is None else self._resource
        if found is not None and found.dpop_bound_access_tokens_required and self._dpop is None:
            self._dpop = DpopKey.generate()
        self._check_dpop(server)
        return server

    def _read_server(self, issuer: str | None) -> Steps[AuthorizationServer]:
        known = self._server
        if known is not None and known.issuer == issuer and monotonic() - self._server_read < _METADATA_SECONDS:
            return known
        if issuer is None:
            server = yield from find_legacy_server(self._resource, self._http)
        else:
            server = yield from find_server(issuer, self._http)
        self._server_read = monotonic()
        return server

    def _check_dpop(self, server: AuthorizationServer) -> None:
        accepted = server.dpop_signing_alg_values_supported
        if self._dpop is not None and accepted is not None and "ES256" not in accepted:
            raise Misconfigured(f"{server.issuer} takes no DPoP proofs with ES256", next_step="leave dpop out")

    def _refresh(self, current: Token, server: AuthorizationServer) -> Steps[Token | None]:
        """A token for the refresh token; None if that is over, and the grant has to be used again."""
        if current.refresh_token is None or current.issuer != server.issuer:
            return None
        credential = yield from self._become(server)
        if credential.client_id != current.client_id:
            return None
        form = {"grant_type": "refresh_token", "refresh_token": current.refresh_token}
        try:
            token = yield from self._request_token(server, credential, form, current.scope)
        except (CredentialRefused, StepUpRequired) as error:
            # A known client that does not prove itself will not do so after the person was asked either.
            if error.code == "invalid_client" and not isinstance(self._client, NewClient):
                raise
            self.forget()
            return None
        # RFC 6749 §6: no scope means the same scope, no new refresh token that the old one goes on.
        return replace(token, refresh_token=token.refresh_token or current.refresh_token, asked=current.asked)

    def _ask_anew(self, need: Need, asked: tuple[str, ...], server: AuthorizationServer) -> Steps[Token]:
        credential = yield from self._become(server)
        challenge = need.challenge
        signs_in = challenge is not None and challenge.error == "insufficient_user_authentication"
        if isinstance(self._grant, AuthorizationCode):
            wish = Wish(
                scope=asked,
                resource=self._indicator,
                acr_values=challenge.acr_values if challenge is not None else (),
                max_age_seconds=challenge.max_age_seconds if challenge is not None else None,
                dpop_thumbprint=None if self._dpop is None else self._dpop.thumbprint,
            )
            form = yield from authorize(self._grant, credential, server, wish, self._http)
        else:
            if challenge is not None and signs_in:
                raise step_up_required(challenge)
            form = yield from grant_form(self._grant, server, self._indicator, asked, self._http)
            if asked:
                form["scope"] = " ".join(asked)
        return (yield from self._request_token(server, credential, form, asked))

    def _become(self, server: AuthorizationServer) -> Steps[Credential]:
        if not isinstance(self._client, NewClient):
            return self._client
        redirect = self._grant.redirect.redirect_uri if isinstance(self._grant, AuthorizationCode) else None
        dpop = self._dpop is not None
        return (yield from become_client(self._client, server, self._store, redirect, dpop=dpop))

    def _request_token(
        self, server: AuthorizationServer, credential: Credential, form: dict[str, str], asked: tuple[str, ...]
    ) -> Steps[Token]:
        url = token_endpoint(server)
        answer = yield from self._post(url, server, credential, form)
        # RFC 9449 §8: once more with the nonce that the server wants.
        if self.nonces.note(url, answer.headers.get("dpop-nonce")) and _wants_nonce(answer):
            answer = yield from self._post(url, server, credential, form)
            self.nonces.note(url, answer.headers.get("dpop-nonce"))
        try:
            token = parse_token(answer, url, asked=asked, issuer=server.issuer, client_id=credential.client_id)
        except CredentialRefused as error:
            if error.code == "invalid_client" and isinstance(self._client, NewClient):
                # The server has forgotten the client that it registered: the next attempt registers anew.
                self._store.save(registration_key(server.issuer), None)
            raise
        if token.token_type.lower() != ("bearer" if self._dpop is None else "dpop"):
            raise Denied(
                f"{server.issuer} gave a token of type {token.token_type[:20]}, and another kind was asked for",
                next_step="leave dpop out" if self._dpop is not None else "give dpop=DpopKey.generate()",
            )
        return token

    def _post(
        self, url: str, server: AuthorizationServer, credential: Credential, form: dict[str, str]
    ) -> Steps[Answer]:
        proof = yield from prove(credential, server)
        headers = dict(proof.headers)
        if self._dpop is not None:
            headers["dpop"] = self._dpop.proof("POST", url, nonce=self.nonces.get(url))
        indicator = {"resource": self._indicator} if self._indicator is not None else {}
        return (yield from send(Call(url=url, form={**form, **indicator, **proof.form}, headers=headers)))

    def _scope_to_ask(self, need: Need, current: Token | None, server: AuthorizationServer) -> tuple[str, ...]:
        """MCP's order: what the challenge names, else what the resource lists, else nothing; a step-up only adds."""
        challenged = () if need.challenge is None else need.challenge.scope
        if current is not None:
            wanted = _union(current.asked, challenged)
        elif self._scope is not None:
            wanted = _union(self._scope, challenged if need.step_up else ())
        elif challenged:
            wanted = challenged
        else:
            wanted = (self._protected.scopes_supported if self._protected is not None else None) or ()
        if wanted and isinstance(self._grant, AuthorizationCode) and _OFFLINE in (server.scopes_supported or ()):
            wanted = _union(wanted, (_OFFLINE,))
        return wanted

    def _lacks(self, token: Token, need: Need) -> bool:
        if need.challenge is None:
            return False
        return need.challenge.error == "insufficient_user_authentication" or not set(need.challenge.scope) <= set(
            token.scope
        )

    def _check_not_refused(self, need: Need) -> None:
        """Do not ask, time and again, for a scope that was just not granted: a person would be asked each time."""
        if not need.step_up or need.challenge is None:
            return
        wanted = frozenset(need.challenge.scope)
        if wanted and monotonic() - self._refused.get(wanted, float("-inf")) < _REFUSED_SECONDS:
            raise StepUpRequired(
                "the call needs a scope that was asked for a moment ago and not granted",
                code="insufficient_scope",
                scope=need.challenge.scope,
                next_step="ask whoever runs the authorization server for the scope " + " ".join(need.challenge.scope),
            )

    def _keep(self, token: Token, need: Need) -> None:
        self.token = token
        if need.step_up and need.challenge is not None and not set(need.challenge.scope) <= set(token.scope):
            self._refused[frozenset(need.challenge.scope)] = monotonic()
        # What needs no person is as easily got again, and is better kept nowhere.
        if isinstance(self._grant, AuthorizationCode):
            self._store.save(self._token_key(), encode_token(token))

    def _stored(self) -> Token | None:
        if not isinstance(self._grant, AuthorizationCode):
            return None
        text = self._store.load(self._token_key())
        token = None if text is None else decode_token(text)
        return None if token is None or (self._is_bound(token) and self._dpop is None) else token

    def _token_key(self) -> str:
        client = self._client
        name = (client.document or client.name) if isinstance(client, NewClient) else client.client_id
        return f"token {self._resource} {name}"

    @staticmethod
    def _is_bound(token: Token) -> bool:
        return token.token_type.lower() == "dpop"


def _wants_nonce(answer: Answer) -> bool:
    return answer.status in {400, 401} and b"use_dpop_nonce" in answer.body


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
