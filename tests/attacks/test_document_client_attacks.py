"""Attacks by clients that nobody here knows but their metadata document, and on those that are known by one."""

from pathlib import Path

import pytest

from accredit.delegations.consent import Answered, Asked, Choice
from accredit.errors import InputRefused
from accredit.oauth.client_documents import HOST_PER_MINUTE, LEAST_SECONDS
from tests.oauth.authorizing import Authorizing, answer_of
from tests.oauth.endpoint import CRM_RESOURCE
from tests.oauth.test_authorize_document_clients import Document, with_document
from tests.oauth.test_private_key_jwt import KEY, TYPE, sign


def test_a_persons_consent_lets_a_document_client_do_nothing_as_itself(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        document.members |= {
            "grant_types": ["authorization_code", "client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [KEY.as_dict(private=False)]},
        }
        await one.code(client_id=document.url)
        form = {
            "grant_type": "client_credentials",
            "resource": CRM_RESOURCE,
            "client_assertion_type": TYPE,
            "client_assertion": sign(one.endpoint, iss=document.url, sub=document.url),
        }

        answer = await one.endpoint.client.post("/oauth/token", data=form)

        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client"), answer.text

    with_document(tmp_path, act)


def test_rfc9700_4_11_2_a_browser_is_not_sent_to_an_unknown_client_before_anybody_was_asked(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        sealed = await one.sealed(client_id=document.url, prompt="none")

        for session in (None, one.session):
            with pytest.raises(InputRefused, match="would have to"):
                await one.consents.begin(sealed, session)

        # Once a person has consented, somebody here knows it.
        await one.code(client_id=document.url)
        told = await one.consents.begin(await one.sealed(client_id=document.url, prompt="none"), None)
        assert isinstance(told, Answered)
        assert answer_of(told.url)["error"] == "login_required"

    with_document(tmp_path, act)


def test_a_person_without_rights_opens_no_system_to_a_document_client(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        await one.set_roles()
        session = await one.sign_in()
        sealed = await one.sealed(client_id=document.url, scope="openid")

        asked = await one.consents.begin(sealed, session)
        answered = await one.consents.approve(sealed, session, Choice(scopes=frozenset(), seconds=3_600))

        assert isinstance(asked, Asked)
        assert asked.scopes == ()
        assert isinstance(answered, Answered)
        assert answer_of(answered.url)["error"] == "invalid_scope"
        assert await one.endpoint.rooms.agents.of_client(document.url) is None

    with_document(tmp_path, act)


def test_strangers_who_name_its_host_do_not_keep_a_known_client_out(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        await one.code(client_id=document.url)
        one.endpoint.rooms.clock.move(LEAST_SECONDS)
        for number in range(HOST_PER_MINUTE + 1):
            refused = await one.authorize(client_id=f"{document.url}?{number}")
            assert refused.status_code in (400, 503)

        assert (await one.authorize(client_id=document.url)).status_code == 303
        # A stranger still waits.
        assert (await one.authorize(client_id=f"{document.url}?x")).status_code == 503

    with_document(tmp_path, act)
