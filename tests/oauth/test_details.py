"""`authorization_details` of type accredit_action (RFC 9396): just these actions, shown to the person, in the token."""

from pathlib import Path

import msgspec
import pytest
from joserfc import jwt

from accredit.delegations.consent import Answered, Asked
from accredit.delegations.model import ActionDetails
from accredit.oauth.details import parse_details
from accredit.oauth.errors import InvalidAuthorizationDetails
from tests.oauth.authorizing import READ, WRITE, Authorizing, answer_of, with_authorizing
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.rooms import SIGNER


def details(**more: object) -> str:
    one = {
        "type": "accredit_action",
        "system": "crm",
        "actions": ["crm.contacts.create"],
        "purpose": "Add the people met at the fair",
        "limits": {"count": 20},
        **more,
    }
    return msgspec.json.encode([one]).decode()


def test_a_person_is_shown_just_these_actions_and_their_purpose(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        asked = await one.begin(authorization_details=details(), resource=None)

        assert isinstance(asked, Asked)
        assert [item.scope for item in asked.scopes] == [WRITE]
        assert [item.action for item in asked.scopes[0].operations] == ["crm.contacts.create"]
        assert asked.details[0].purpose == "Add the people met at the fair"
        assert asked.details[0].limits == {"count": 20}

    with_authorizing(tmp_path, act)


def test_the_details_stand_in_the_token_its_answer_and_the_delegation(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        body = (await one.redeem(await one.code(authorization_details=details()))).json()
        refreshed = (await one.refresh(body["refresh_token"])).json()

        expected = msgspec.json.decode(details())
        [made] = await one.endpoint.rooms.delegations.of_person(one.person.id)
        for answer in (body, refreshed):
            claims = jwt.decode(answer["access_token"], SIGNER.jwk, algorithms=["ES256"]).claims
            assert answer["authorization_details"] == expected
            assert claims["authorization_details"] == expected
            assert (claims["aud"], claims["scope"]) == (CRM_RESOURCE, WRITE)
        assert made.details[0].actions == ("crm.contacts.create",)

    with_authorizing(tmp_path, act)


def test_scopes_beside_the_details_are_only_those_about_the_person(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        asked = await one.begin(authorization_details=details(), scope=f"openid {READ}")

        assert isinstance(asked, Asked)
        assert [item.scope for item in asked.scopes] == [WRITE, "openid"]

    with_authorizing(tmp_path, act)


def test_other_details_than_those_remembered_are_asked(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.allow(authorization_details=details(), remember=True)

        same = await one.begin(authorization_details=details())
        more = await one.begin(authorization_details=details(limits={"count": 21}))
        free = await one.begin(scope=WRITE)

        assert isinstance(same, Answered)
        assert isinstance(more, Asked)
        assert isinstance(free, Asked)

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param(details(type="payment_initiation"), "invalid_authorization_details", id="unknown type"),
        pytest.param(details(actions=["crm.contacts.delete"]), "invalid_authorization_details", id="unknown action"),
        pytest.param(details(actions=[]), "invalid_authorization_details", id="no action"),
        pytest.param(details(system="erp"), "invalid_authorization_details", id="unknown system"),
        pytest.param(details(colour="red"), "invalid_authorization_details", id="unknown member"),
        pytest.param(details(limits={"count": "20"}), "invalid_authorization_details", id="limit is a text"),
        pytest.param(details(limits={"count": -1}), "invalid_authorization_details", id="negative limit"),
        pytest.param(details(limits={"": 1}), "invalid_authorization_details", id="limit of nothing"),
        pytest.param(details(purpose="a\u202eb"), "invalid_authorization_details", id="turned purpose"),
        pytest.param(details(purpose="x" * 301), "invalid_authorization_details", id="long purpose"),
        pytest.param("[]", "invalid_authorization_details", id="empty"),
        pytest.param("{}", "invalid_authorization_details", id="no array"),
        pytest.param("[" * 5_000, "invalid_authorization_details", id="deep"),
        pytest.param("[" + "1," * 4_000 + "1]", "invalid_authorization_details", id="numbers"),
        pytest.param('[{"type":"accredit_action"}]', "invalid_authorization_details", id="nothing but a type"),
    ],
)
def test_details_that_are_not_of_the_type_are_refused(tmp_path: Path, text: str, error: str) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.authorize(authorization_details=text, resource=None)

        assert answer_of(response.headers["location"])["error"] == error

    with_authorizing(tmp_path, act)


def test_details_of_another_system_than_the_resource_are_refused(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.authorize(authorization_details=details(), resource=ISSUER)

        assert answer_of(response.headers["location"])["error"] == "invalid_target"

    with_authorizing(tmp_path, act)


def test_details_of_two_systems_are_refused() -> None:
    one = msgspec.json.decode(details(), type=list[ActionDetails])[0]
    two = msgspec.structs.replace(one, system="mail")

    with pytest.raises(InvalidAuthorizationDetails, match="one system"):
        parse_details(msgspec.json.encode([one, two]).decode())


def test_too_many_objects_are_refused() -> None:
    one = msgspec.json.decode(details())[0]

    with pytest.raises(InvalidAuthorizationDetails, match="1 to 8"):
        parse_details(msgspec.json.encode([one] * 9).decode())
