"""Every check of an authorization request, in its order: a row a check, a column a leg.

P: the request is pushed (RFC 9126). A: the browser brings it. C: it comes back from the page of consent, sealed.
Above the line an error is shown to the person; below it the client is told.
"""

from collections.abc import Callable
from typing import NamedTuple

from accredit.oauth.clients import Clients
from accredit.oauth.pushed import PushedRequests
from accredit.oauth.resources import Resources
from accredit.oauth.step import Leg, Step
from accredit.oauth.steps.check_pkce import check_pkce
from accredit.oauth.steps.check_pushed import CheckPushed
from accredit.oauth.steps.check_redirect_uri import check_redirect_uri
from accredit.oauth.steps.check_response import check_response
from accredit.oauth.steps.check_texts import check_texts
from accredit.oauth.steps.load_client import LoadClient
from accredit.oauth.steps.load_prompt import load_prompt
from accredit.oauth.steps.load_pushed_request import LoadPushedRequest
from accredit.oauth.steps.load_scope import load_scope
from accredit.oauth.steps.load_target import LoadTarget
from accredit.oauth.steps.reject_request_object import reject_request_object


class Parts(NamedTuple):
    """What the steps are made of."""

    clients: Clients
    pushed: PushedRequests
    resources: Resources
    pushed_is_required: bool


class Row(NamedTuple):
    """A check and the legs that take it."""

    make: Callable[[Parts], Step]
    legs: Leg


P, A, C = Leg.PUSHED, Leg.AUTHORIZE, Leg.CONSENT

# fmt: off
STEPS: tuple[Row, ...] = (
    Row(lambda parts: LoadClient(parts.clients),                          P | A | C),
    Row(lambda parts: LoadPushedRequest(parts.pushed),                        A    ),
    Row(lambda _:     check_redirect_uri,                                 P | A | C),
    # ---- the redirect URI is the client's ----------------------------------------
    Row(lambda _:     reject_request_object,                              P | A    ),
    Row(lambda parts: CheckPushed(required=parts.pushed_is_required),         A    ),
    Row(lambda _:     check_texts,                                        P | A | C),
    Row(lambda _:     check_response,                                     P | A | C),
    Row(lambda _:     check_pkce,                                         P | A | C),
    Row(lambda _:     load_prompt,                                        P | A | C),
    Row(lambda parts: LoadTarget(parts.clients, parts.resources),         P | A | C),
    Row(lambda _:     load_scope,                                         P | A | C),
)
# fmt: on
