"""What a step of the authorization request is, and the request as it stands after the steps so far.

Each step gives back another request and changes none. The table in `steps/__init__.py` says which leg takes which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from typing import Protocol
from urllib.parse import urlencode

from accredit.delegations.model import ActionDetails
from accredit.oauth.clients import NOBODY, Client
from accredit.oauth.errors import OAuthError, error_members
from accredit.oauth.resources import ACCREDIT
from accredit.systems.model import System


class Leg(Flag):
    """Where a request comes by: pushed by the client, brought by the browser, or back from the page of consent."""

    PUSHED = auto()
    AUTHORIZE = auto()
    CONSENT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A request. What no step has established yet has a value that lets nobody in.

    `parameters` are those that are declared, as they were sent; `made_at` is when they were, in seconds since 1970.
    `redirect_uri` is set once it is known to be the client's: from then on the client is answered, before it nobody.
    `scope` is what is asked for on `system`, None for all that is open; `max_age` is in seconds.
    """

    leg: Leg
    made_at: float
    parameters: Mapping[str, str]
    is_pushed: bool = False
    client: Client = NOBODY
    redirect_uri: str = ""
    system: System = ACCREDIT
    audience: str = ""
    scope: str | None = None
    details: tuple[ActionDetails, ...] = ()
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None

    def get(self, name: str) -> str:
        """A parameter as it was sent, empty if it was not."""
        return self.parameters.get(name, "")


class Step(Protocol):
    """One check, or one thing that is found out."""

    async def __call__(self, request: AuthorizationRequest) -> AuthorizationRequest:
        """The request, and what is known of it now. Raises OAuthError, Unavailable."""


class RequestRefused(Exception):
    """A step refused: `error` says why, `request` is what was known until then."""

    def __init__(self, error: OAuthError, request: AuthorizationRequest) -> None:
        super().__init__(error.explanation)
        self.error = error
        self.request = request


def answer_url(request: AuthorizationRequest, issuer: str, members: Mapping[str, str]) -> str:
    """Where the browser is sent with an answer: the redirect URI, the members, `state` and `iss` (RFC 9207 §2)."""
    if not request.redirect_uri:
        raise TypeError("nobody is answered before the redirect URI is known to be the client's")
    sent = dict(members)
    if (state := request.parameters.get("state")) is not None:
        sent["state"] = state
    sent["iss"] = issuer
    return request.redirect_uri + ("&" if "?" in request.redirect_uri else "?") + urlencode(sent)


def error_url(request: AuthorizationRequest, issuer: str, error: OAuthError) -> str:
    """The same for an error (RFC 6749 §4.1.2.1)."""
    return answer_url(request, issuer, error_members(error))
