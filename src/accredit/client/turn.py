"""One request's way through challenges: what an answer of the resource means, and when to stop asking."""

from dataclasses import dataclass

import httpx2

from accredit.client.challenge import Challenge, parse_challenges
from accredit.client.errors import CredentialRefused, StepUpRequired
from accredit.client.tokens import Token

_UNAUTHORIZED = 401
_FORBIDDEN = 403
MAX_STEP_UPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Why a token is fetched: the resource's challenge, and whether it asks for more than a valid token."""

    challenge: Challenge | None = None
    step_up: bool = False


class Turn:
    """Counts what was tried for one request, so that it ends whatever the servers say."""

    def __init__(self) -> None:
        self._renewed = False
        self._nonce_sent = False
        self._step_ups = 0

    def judge(self, response: httpx2.Response, token: Token | None, *, nonce_is_new: bool) -> Need | bool:
        """What to do now: fetch a token for a Need, True: send again, False: the answer is the program's.

        Raises CredentialRefused and StepUpRequired where going on could not help.
        """
        if response.status_code not in {_UNAUTHORIZED, _FORBIDDEN}:
            return False
        challenges = parse_challenges(response.headers.get_list("www-authenticate"))
        challenge = next((one for one in challenges if one.error), challenges[0] if challenges else Challenge())
        if response.status_code == _FORBIDDEN:
            return self._more_scope(challenge, token) if challenge.error == "insufficient_scope" else False
        if challenge.error == "use_dpop_nonce" and nonce_is_new and not self._nonce_sent:
            self._nonce_sent = True
            return True
        if challenge.error == "insufficient_user_authentication":
            return self._stronger_sign_in(challenge)
        if self._renewed:
            raise CredentialRefused(
                challenge.description or "the resource does not accept a token that was just issued for it",
                code=challenge.error or "invalid_token",
                next_step="check that the authorization server is the one that this resource trusts",
            )
        self._renewed = True
        return Need(challenge=challenge)

    def _more_scope(self, challenge: Challenge, token: Token | None) -> Need:
        needed = set(challenge.scope)
        held = set() if token is None else set(token.scope)
        self._step_ups += 1
        # A token that has the scope, or a second asking for what was not given, cannot end otherwise.
        if (token is not None and needed <= held) or self._step_ups > MAX_STEP_UPS:
            raise StepUpRequired(
                challenge.description or "the call needs a scope that was asked for and not granted",
                code="insufficient_scope",
                scope=challenge.scope,
                next_step="ask whoever runs the authorization server for the scope " + " ".join(challenge.scope),
            )
        return Need(challenge=challenge, step_up=True)

    def _stronger_sign_in(self, challenge: Challenge) -> Need:
        self._step_ups += 1
        if self._step_ups > 1:
            raise step_up_required(challenge)
        return Need(challenge=challenge, step_up=True)


def step_up_required(challenge: Challenge) -> StepUpRequired:
    """The error for a challenge of RFC 9470 that this client cannot meet by itself."""
    return StepUpRequired(
        challenge.description or "the call needs a fresher or stronger sign-in",
        code="insufficient_user_authentication",
        acr_values=challenge.acr_values,
        max_age_seconds=challenge.max_age_seconds,
        scope=challenge.scope,
        next_step="let the person sign in again, in the way that acr_values and max_age_seconds say",
    )
