"""The interface of a kind of provider: one file in `connectors`, one line in its table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from accredit.clock import Clock
from accredit.federation.asking import Asking
from accredit.federation.configuration import Configuration
from accredit.federation.jwks_cache import JwksCache
from accredit.people.identities import Identity
from accredit.storage.writer import Once


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-on under way. Only the browser that began it has it, sealed; nothing is stored here.

    `state` comes back through the provider; `nonce` and `verifier` are of OpenID Connect, `request` is the id of a
    SAML request. `fresh`: the person has to prove anew who they are, whatever the provider remembers. Times are
    seconds since 1970.
    """

    provider: str
    return_path: str
    state: str
    nonce: str
    verifier: str
    request: str
    fresh: bool
    started_at: float
    expires_at: float


class Begun(NamedTuple):
    """Where the browser goes now, and the attempt as it is to be remembered."""

    url: str
    attempt: Attempt


class Vouched(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's answer proves. `auth_time` is in seconds since 1970, None if the provider does not say.

    `once`: what of the answer may be used once.
    """

    identity: Identity
    acr: str
    amr: tuple[str, ...]
    auth_time: float | None
    once: tuple[Once, ...]


class LoginConnector(Protocol):
    """One provider at which people sign on. It remembers nothing between `begin` and `finish`."""

    state_parameter: str
    """In which parameter of the answer `Attempt.state` comes back."""

    posted: bool
    """The answer is a POST from the provider's site: a cookie with SameSite=Lax does not come with it."""

    async def begin(self, attempt: Attempt) -> Begun:
        """Make the request. Writes nothing. Raises Unavailable if the provider's metadata cannot be had."""

    async def finish(self, attempt: Attempt, answer: Mapping[str, str]) -> Vouched:
        """Check the answer to this attempt; its `state` was compared already. Writes nothing.

        Raises SignOnRefused for what proves nothing, Unavailable for a provider that does not answer.
        """

    async def sign_out_url(self) -> str | None:
        """Where the browser can end the session at the provider too; None if that is not wanted or not offered."""

    def metadata(self) -> bytes | None:
        """Our side's description for the provider (XML), None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What connectors are made with. `base` is the installation's own address, as `https://accredit.example.com`."""

    asking: Asking
    cache: JwksCache
    clock: Clock
    base: str


class MakeConnector(Protocol):
    """Makes the connector of one provider; `secret` is what authenticates us there, None if nothing does."""

    def __call__(self, configuration: Configuration, secret: str | None, parts: Parts) -> LoginConnector:
        """Raises ProviderInvalid for a secret that is not of the form, ExtraMissing for a library that is not there."""
