"""`/api/v1/people`: who is here, what they may do, and how they sign in."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.clock import rfc3339
from accredit.delegations.register import Delegations
from accredit.federation.providers import SignInProviders
from accredit.people.directory import ROLE, ROLES_A_PERSON, People
from accredit.people.identities import Identities
from accredit.people.model import Person
from accredit.people.sessions import Sessions

_Role = Annotated[str, msgspec.Meta(pattern=ROLE)]


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """A person as they are now.

    `mapped_roles` are those of the roles that the groups of the last sign-on at a provider gave; `passkeys`,
    `identities` (as whom providers know them) and `delegations` (what they let agents do now) are counted.
    """

    id: str
    email: str
    name: str
    roles: tuple[str, ...]
    mapped_roles: tuple[str, ...]
    created_at: str
    passkeys: int
    identities: int
    delegations: int


class PersonPage(msgspec.Struct, frozen=True, kw_only=True):
    """People in the order of their addresses. `next` is the `after` of the next page, null on the last."""

    people: tuple[PersonView, ...]
    next: str | None


class PersonPageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    after: Annotated[str, msgspec.Meta(description="the address after which the page begins")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class RolesInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The roles that are given here, all of them: they take the place of those before."""

    roles: Annotated[tuple[_Role, ...], msgspec.Meta(max_length=ROLES_A_PERSON, examples=[["delegator"]])]


class IdentityView(msgspec.Struct, frozen=True, kw_only=True):
    """As whom a provider knows a person. `provider` is null if no sign-in provider of this issuer is connected."""

    issuer: str
    subject: str
    provider: str | None
    created_at: str


class IdentityList(msgspec.Struct, frozen=True, kw_only=True):
    """The identities of one person, the oldest first."""

    identities: tuple[IdentityView, ...]


class IdentityQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which identity: both as the list shows them."""

    issuer: str
    subject: str


class PersonEndpoints:
    """What can be done with people. A person is named by id or address."""

    def __init__(
        self,
        people: People,
        sessions: Sessions,
        identities: Identities,
        providers: SignInProviders,
        delegations: Delegations,
    ) -> None:
        self._people = people
        self._sessions = sessions
        self._identities = identities
        self._providers = providers
        self._delegations = delegations

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        one = "/api/v1/people/{person}"
        return (
            Endpoint(
                method="GET",
                path="/api/v1/people",
                summary="List people by address",
                act=self._list,
                body=Nothing,
                query=PersonPageQuery,
                answer=PersonPage,
            ),
            Endpoint(
                method="GET",
                path=one,
                summary="Show a person",
                act=self._show,
                body=Nothing,
                query=Nothing,
                answer=PersonView,
            ),
            Endpoint(
                method="PUT",
                path=f"{one}/roles",
                summary="Give a person roles; those that a provider's groups give stay",
                act=self._set_roles,
                body=RolesInput,
                query=Nothing,
                answer=PersonView,
            ),
            Endpoint(
                method="GET",
                path=f"{one}/identities",
                summary="List as whom providers know a person",
                act=self._list_identities,
                body=Nothing,
                query=Nothing,
                answer=IdentityList,
            ),
            Endpoint(
                method="DELETE",
                path=f"{one}/identities",
                summary="Let a provider's subject sign on as this person no more, and end their sessions",
                act=self._unlink,
                body=Nothing,
                query=IdentityQuery,
                answer=None,
                status=204,
            ),
        )

    async def _list(self, call: Call[Nothing, PersonPageQuery]) -> PersonPage:
        limit = call.query.limit
        found = await self._people.list(call.query.after, limit + 1)
        page = await self._views(found[:limit])
        return PersonPage(people=page, next=page[-1].email if len(found) > limit else None)

    async def _show(self, call: Call[Nothing, Nothing]) -> PersonView:
        return (await self._views([await self._people.named(call.path["person"])]))[0]

    async def _set_roles(self, call: Call[RolesInput, Nothing]) -> PersonView:
        person = await self._people.set_roles(call.path["person"], call.body.roles, call.actor)
        return (await self._views([person]))[0]

    async def _list_identities(self, call: Call[Nothing, Nothing]) -> IdentityList:
        person = await self._people.named(call.path["person"])
        names = {one.configuration.key(): one.configuration.name for one in await self._providers.all()}
        return IdentityList(
            identities=tuple(
                IdentityView(
                    issuer=one.issuer,
                    subject=one.subject,
                    provider=names.get(one.issuer),
                    created_at=rfc3339(one.created_at),
                )
                for one in await self._identities.of_person(person.id)
            )
        )

    async def _unlink(self, call: Call[Nothing, IdentityQuery]) -> None:
        person = await self._people.named(call.path["person"])
        # Whoever signed on by it is signed in still, and perhaps is not this person.
        await self._identities.unlink(
            person, call.query.issuer, call.query.subject, call.actor, also=self._sessions.end_all_in
        )

    async def _views(self, people: Sequence[Person]) -> tuple[PersonView, ...]:
        ways = await self._people.ways_in(people)
        counts = await self._delegations.count([person.id for person in people])
        return tuple(
            PersonView(
                id=person.id,
                email=person.email,
                name=person.name,
                roles=person.roles,
                mapped_roles=person.mapped_roles,
                created_at=rfc3339(person.created_at),
                passkeys=ways[person.id].passkeys,
                identities=len(ways[person.id].identities),
                delegations=counts.get(person.id, 0),
            )
            for person in people
        )
