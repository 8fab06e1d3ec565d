"""What a person is asked before an agent acts for them, and what they answer.

The values that the page which asks and the server which is asked both know.
"""

from dataclasses import dataclass

from accredit.delegations.model import ActionDetails
from accredit.systems.model import Operation, System


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedScope:
    """One scope, and all that it lets an agent do; none for a scope of OpenID Connect or of Accredit itself."""

    scope: str
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was checked, as a person has to understand it.

    `name` is the agent's; `host` is that of its metadata document, and None for an agent that is registered here, of
    which then `owner` is the e-mail address. `redirect_uri` is where the answer goes. `choices` are the times, in
    seconds, for which it may be given. `may_remember`: whether the client can be known again by more than its word.
    `person_may`: whether the person may do anything on this system, so that they have something to give.
    """

    identity: str
    name: str
    host: str | None
    owner: str | None
    redirect_uri: str
    system: System
    scopes: tuple[AskedScope, ...]
    details: tuple[ActionDetails, ...]
    choices: tuple[int, ...]
    may_remember: bool
    person_may: bool
    login_hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A request that came from elsewhere, in a person's words: times are in seconds since 1970.

    `identity` and `name` are the agent's. `message` is the client's own, to be compared with what it shows there;
    `user_code` is a device's.
    """

    reference: str
    identity: str
    name: str
    message: str
    created_at: float
    expires_at: float
    user_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a person ticked: `seconds` is one of the choices."""

    scopes: frozenset[str]
    seconds: int
    remember: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """The request is answered: the browser goes to the client, at this URL."""

    url: str


@dataclass(frozen=True, slots=True)
class SignInFirst:
    """The person has to sign in, or, with `again`, to prove anew who they are."""

    again: bool
