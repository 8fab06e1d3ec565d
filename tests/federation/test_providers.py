"""The register of providers: descriptions are strict, secrets sealed, and no two speak for one person."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from accredit.errors import Conflict, Error, NotFound, Unavailable
from accredit.federation.configuration import OidcProvider, parse_configuration
from accredit.federation.errors import ProviderInvalid
from accredit.federation.sign_on import SignOn, open_sign_on
from accredit.ids import new_id
from accredit.keys.seal import Sealer
from accredit.outbound import Outbound
from accredit.sensitive import Sensitive
from accredit.storage.schema import sign_in_providers
from tests.federation.idp import IdentityProvider
from tests.people.log import events
from tests.rooms import ADMINISTRATOR, Rooms, open_rooms

SECRET = "the secret of the test"  # of no server
CERTIFICATE = IdentityProvider.make().certificate


def oidc(name: str = "acme", issuer: str = "https://login.example.com", more: str = "", **changes: str) -> str:
    lines = {"title": '"Acme"', "client_id": '"accredit"', **changes}
    rest = "\n".join(f"{key} = {value}" for key, value in lines.items() if value)
    return f'kind = "oidc"\nname = "{name}"\nissuer = "{issuer}"\n{rest}\n{more}'


def saml(certificate: str = CERTIFICATE, more: str = "", **changes: str) -> str:
    lines = {
        "entity_id": '"https://idp.example.com/saml"',
        "sso_url": '"https://idp.example.com/sso"',
        "certificates": f'["""{certificate}"""]',
        **changes,
    }
    rest = "\n".join(f"{key} = {value}" for key, value in lines.items())
    return f'kind = "saml"\nname = "saml"\ntitle = "Acme"\n{rest}\n{more}'


@asynccontextmanager
async def opened(rooms: Rooms, key: bytes = bytes(32)) -> AsyncIterator[SignOn]:
    outbound = Outbound()
    yield open_sign_on(
        transactions=rooms.transactions,
        feed=rooms.feed,
        sealer=Sealer(key),
        attempt_sealer=Sealer(bytes(32)),
        clock=rooms.clock,
        new_id=new_id,
        outbound=outbound,
        base="https://accredit.example.com",
    )
    await outbound.close()


def run(folder: Path, act: Callable[[Rooms, SignOn], Awaitable[None]]) -> None:
    async def started() -> None:
        async with open_rooms(folder) as rooms, opened(rooms) as sign_on:
            await act(rooms, sign_on)

    asyncio.run(started())


async def add(sign_on: SignOn, text: str, secret: str | None = SECRET) -> None:
    await sign_on.providers.add(text, "acme.toml", None if secret is None else Sensitive(secret), ADMINISTRATOR)


def test_a_provider_is_added_changed_and_removed_with_an_event_each(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sign_on: SignOn) -> None:
        await add(sign_on, oidc())
        changed = await sign_on.providers.replace(oidc(title='"Other"'), "f", None, ADMINISTRATOR)
        assert (changed.configuration.title, changed.version, changed.has_secret) == ("Other", 2, True)
        await sign_on.providers.remove("acme", ADMINISTRATOR)

        assert await sign_on.providers.all() == ()
        recorded = [one.event for one in await events(rooms)]
        assert [one.type for one in recorded] == [
            "sign_in_provider.added",
            "sign_in_provider.changed",
            "sign_in_provider.removed",
        ]
        assert {(one.resource, one.reason, one.person) for one in recorded} == {(changed.id, "acme", "per_test")}

    run(tmp_path, act)


def test_a_secret_is_sealed_for_its_row_and_stands_nowhere_else(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sign_on: SignOn) -> None:
        await add(sign_on, oidc())
        query = select(sign_in_providers.c.id, sign_in_providers.c.sealed_secret)
        row = await rooms.transactions.read(lambda c: c.execute(query).one())
        assert Sealer(bytes(32)).open(row.sealed_secret, f"sign_in_provider/{row.id}") == SECRET.encode()
        with pytest.raises(Unavailable):
            Sealer(bytes(32)).open(row.sealed_secret, "sign_in_provider/another")
        assert SECRET not in repr(await sign_on.providers.all())

    run(tmp_path, act)

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"accredit" in stored
    assert SECRET.encode() not in stored


def test_a_secret_that_another_master_key_sealed_opens_nothing(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sign_on: SignOn) -> None:
        await add(sign_on, oidc())
        async with opened(rooms, bytes([7]) * 32) as other:
            with pytest.raises(Unavailable):
                await other.providers.connector("acme")

    run(tmp_path, act)


def test_another_process_hears_of_a_change(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sign_on: SignOn) -> None:
        async with opened(rooms) as other:
            assert await other.providers.all() == ()
            await add(sign_on, oidc())
            first = await other.providers.connector("acme")
            assert await other.providers.connector("acme") is first
            await sign_on.providers.replace(oidc(title='"Other"'), "f", None, ADMINISTRATOR)
            assert await other.providers.connector("acme") is not first
            await sign_on.providers.remove("acme", ADMINISTRATOR)
            with pytest.raises(NotFound):
                await other.providers.connector("acme")

    run(tmp_path, act)


@pytest.mark.parametrize(
    ("second", "told"),
    [
        pytest.param(oidc(issuer="https://other.example.com"), "already", id="the same name"),
        pytest.param(oidc("other"), "same issuer", id="the same issuer"),
        pytest.param(
            oidc("other", "https://other.example.com", domains='["b.test", "a.test"]'), "a.test belongs", id="a domain"
        ),
        pytest.param(
            oidc("other", "https://other.example.com", authoritative_domains='["a.test"]'),
            "a.test belongs",
            id="an authority",
        ),
    ],
)
def test_two_providers_never_speak_for_the_same_people(tmp_path: Path, second: str, told: str) -> None:
    async def act(rooms: Rooms, sign_on: SignOn) -> None:
        await add(sign_on, oidc(domains='["a.test"]', authoritative_domains='["a.test"]'))
        with pytest.raises(Conflict) as error:
            await add(sign_on, second)
        assert told in error.value.explanation
        assert len(await sign_on.providers.all()) == 1

    run(tmp_path, act)


def test_a_saml_entity_of_the_name_of_an_issuer_is_another_authority() -> None:
    one = parse_configuration(oidc(issuer="https://idp.example.com/saml"), "f")
    other = parse_configuration(saml(), "f")

    assert one.key() != other.key()


def test_a_domain_leads_to_its_provider(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sign_on: SignOn) -> None:
        await add(sign_on, oidc(domains='["a.test", "b.test"]'))
        found = await sign_on.providers.of_domain(" B.Test ")
        assert found is not None
        assert [await sign_on.providers.of_domain(one) for one in ("", "c.a.test", "test")] == [None] * 3

    run(tmp_path, act)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param(oidc(), None, id="a secret is missing"),
        pytest.param(oidc(client_authentication='"none"'), SECRET, id="a secret too many"),
        pytest.param(saml(), SECRET, id="a secret for SAML"),
        pytest.param(oidc(client_authentication='"private_key_jwt"'), SECRET, id="no private key"),
        pytest.param(oidc(client_authentication='"private_key_jwt"'), '{"kty":"oct","k":"AAAA"}', id="symmetric"),
        pytest.param(
            oidc(client_authentication='"private_key_jwt"'),
            '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
            '"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}',
            id="a public key",
        ),
    ],
)
def test_a_secret_that_does_not_fit_is_refused_and_not_repeated(tmp_path: Path, text: str, secret: str | None) -> None:
    async def act(rooms: Rooms, sign_on: SignOn) -> None:
        with pytest.raises(ProviderInvalid) as error:
            await add(sign_on, text, secret)
        assert secret is None or secret not in f"{error.value} {error.value.detail} {error.value.__cause__}"
        assert await sign_on.providers.all() == ()

    run(tmp_path, act)


WRONG = {
    "no TOML": "name = ",
    "no kind": 'name = "a"',
    "another kind": oidc().replace('"oidc"', '"ldap"'),
    "an unknown key": oidc(more="surprise = 1"),
    "an unknown claim": oidc(more='[claims]\nphone = "p"'),
    "a name with a slash": oidc("a/b"),
    "a name in capitals": oidc("Acme"),
    "an empty title": oidc(title='" "'),
    "a title with a line end": oidc(title='"a\\nb"'),
    "an issuer by http": oidc(issuer="http://login.example.com"),
    "an issuer with a query": oidc(issuer="https://login.example.com/?a=b"),
    "an issuer with a fragment": oidc(issuer="https://login.example.com/#a"),
    "an issuer with a user": oidc(issuer="https://a:b@login.example.com"),
    "no issuer": oidc(issuer="login.example.com"),
    "a client id with a blank": oidc(client_id='"a b"'),
    "scopes without openid": oidc(scopes='["email"]'),
    "a scope with a blank": oidc(scopes='["openid email"]'),
    "algorithm none": oidc(algorithms='["none"]'),
    "a symmetric algorithm": oidc(algorithms='["RS256", "HS256"]'),
    "no algorithm": oidc(algorithms="[]"),
    "an acr that nobody asks for": oidc(require_acr="true"),
    "a negative age": oidc(max_age_seconds="-1"),
    "a prompt that asks nobody": oidc(prompt='"none"'),
    "another client authentication": oidc(client_authentication='"client_secret_jwt"'),
    "the domain of the local administrator": oidc(authoritative_domains='["localhost"]'),
    "a domain in capitals": oidc(domains='["Example.com"]'),
    "a domain with a star": oidc(domains='["*.example.com"]'),
    "an address for a domain": oidc(domains='["ana@example.com"]'),
    "a top-level number": oidc(domains='["127.0.0.1"]'),
    "a role with a blank": oidc(more='[roles]\ng = ["the boss"]'),
    "a role that is no list": oidc(more='[roles]\ng = "administrator"'),
    "no certificate": saml(certificates="[]"),
    "a certificate that is none": saml("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
    "an sso_url by http": saml(sso_url='"http://idp.example.com"'),
    "an entity that breaks out of XML": saml(entity_id="'https://a\"><b'"),
    "an sso_url with an ampersand": saml(sso_url='"https://idp.example.com/?a=b&c=d"'),
    "a context that breaks out of XML": saml(authn_contexts='["a<b"]'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_description_that_is_not_of_the_form_is_refused_with_its_file(name: str) -> None:
    with pytest.raises(ProviderInvalid) as error:
        parse_configuration(WRONG[name], "wrong.toml")

    assert error.value.explanation.startswith("wrong.toml")


def test_a_description_needs_little(tmp_path: Path) -> None:
    one = parse_configuration(oidc(), "f")

    assert isinstance(one, OidcProvider)
    assert (one.algorithms, one.scopes) == (("RS256", "PS256", "ES256"), ("openid", "email", "profile"))
    assert (one.domains, one.authoritative_domains, one.roles, one.userinfo, one.sign_out) == ((), (), {}, False, False)


def test_a_change_that_somebody_else_made_first_is_not_lost(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sign_on: SignOn) -> None:
        await add(sign_on, oidc())
        puts = (sign_on.providers.replace(oidc(title=f'"T{n}"'), "f", None, ADMINISTRATOR) for n in range(4))
        answers = await asyncio.gather(*puts, return_exceptions=True)
        refused = [one for one in answers if isinstance(one, Error)]
        assert len(refused) == 3
        assert {type(one) for one in refused} == {Conflict}
        assert (await sign_on.providers.named("acme")).version == 2

    run(tmp_path, act)


def test_the_descriptions_in_the_documentation_are_of_the_form() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sign-on.md").read_text(encoding="utf-8")
    placeholder = re.compile(r"-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----")

    shown = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)

    assert len(shown) == 2
    for one in shown:
        parse_configuration(placeholder.sub(CERTIFICATE.strip(), one), "docs/sign-on.md")
