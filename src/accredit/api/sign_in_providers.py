"""`/api/v1/sign-in-providers`: where people sign on, and whom a provider's subject is here."""

from typing import Annotated

import msgspec

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.federation.configuration import OidcProvider, SamlProvider
from accredit.federation.providers import Registered, SignInProviders
from accredit.people.identities import Identities
from accredit.sensitive import Sensitive

_FileName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=16_384)]


class ProviderInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's description (TOML). `file` is its name, for messages.

    `secret` is the client secret, or for `private_key_jwt` the private key (JWK or PEM); it is sealed and never shown.
    With `replace` the description takes the place of the one before, and without `secret` the one before is kept.
    """

    configuration: str
    file: _FileName = "provider"
    secret: _Secret | None = None
    replace: bool = False


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider. `register_there` is the address that the provider must know: the redirect URI, or SAML's ACS."""

    id: str
    kind: str
    has_secret: bool
    register_there: str
    version: int
    configuration: OidcProvider | SamlProvider


class ProviderList(msgspec.Struct, frozen=True, kw_only=True):
    """Every provider, by name."""

    providers: tuple[ProviderView, ...]


class IdentityInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subject as the provider names it (`sub`, or the NameID), and the address of the person that it is here."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    email: Annotated[str, msgspec.Meta(min_length=3, max_length=254, extra_json_schema={"format": "email"})]


class LinkedIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs on by this subject."""

    provider: str
    subject: str
    person: str
    email: str


class SignInProviderEndpoints:
    """What can be done with sign-in providers."""

    def __init__(self, providers: SignInProviders, identities: Identities, issuer: str) -> None:
        self._providers = providers
        self._identities = identities
        self._issuer = issuer

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        return (
            Endpoint(
                method="POST",
                path="/api/v1/sign-in-providers",
                summary="Register a provider at which people sign on",
                act=self._add,
                body=ProviderInput,
                query=Nothing,
                answer=ProviderView,
                status=201,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/sign-in-providers",
                summary="List sign-in providers by name",
                act=self._list,
                body=Nothing,
                query=Nothing,
                answer=ProviderList,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/sign-in-providers/{provider}",
                summary="Show a sign-in provider",
                act=self._show,
                body=Nothing,
                query=Nothing,
                answer=ProviderView,
            ),
            Endpoint(
                method="DELETE",
                path="/api/v1/sign-in-providers/{provider}",
                summary="Remove a sign-in provider",
                act=self._remove,
                body=Nothing,
                query=Nothing,
                answer=None,
                status=204,
            ),
            Endpoint(
                method="POST",
                path="/api/v1/sign-in-providers/{provider}/identities",
                summary="Let a provider's subject sign on as a person who is here already",
                act=self._link,
                body=IdentityInput,
                query=Nothing,
                answer=LinkedIdentity,
                status=201,
            ),
        )

    async def _add(self, call: Call[ProviderInput, Nothing]) -> ProviderView:
        sent = call.body
        put = self._providers.replace if sent.replace else self._providers.add
        secret = None if sent.secret is None else Sensitive(sent.secret)
        return self._view(await put(sent.configuration, sent.file, secret, call.actor))

    async def _list(self, call: Call[Nothing, Nothing]) -> ProviderList:
        del call
        return ProviderList(providers=tuple(self._view(one) for one in await self._providers.all()))

    async def _show(self, call: Call[Nothing, Nothing]) -> ProviderView:
        return self._view(await self._providers.named(call.path["provider"]))

    async def _remove(self, call: Call[Nothing, Nothing]) -> None:
        await self._providers.remove(call.path["provider"], call.actor)

    async def _link(self, call: Call[IdentityInput, Nothing]) -> LinkedIdentity:
        one, sent = await self._providers.named(call.path["provider"]), call.body
        person = await self._identities.link(one.configuration.key(), sent.subject, sent.email, call.actor)
        return LinkedIdentity(
            provider=one.configuration.name, subject=sent.subject, person=person.id, email=person.email
        )

    def _view(self, one: Registered) -> ProviderView:
        configuration = one.configuration
        kind, at = ("oidc", "callback") if isinstance(configuration, OidcProvider) else ("saml", "saml")
        return ProviderView(
            id=one.id,
            kind=kind,
            has_secret=one.has_secret,
            register_there=f"{self._issuer}/console/sign-in/{at}/{configuration.name}",
            version=one.version,
            configuration=configuration,
        )
