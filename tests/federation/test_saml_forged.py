"""SAML responses that are unsigned, changed, wrapped or no responses at all sign nobody in, each for its own reason."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.console.server import ConsoleServer
from tests.federation.browsing import Browser
from tests.federation.forging import SPOILT, WHY_SPOILT, comment_in_the_name
from tests.federation.idp import ENTITY_ID
from tests.federation.saml_stage import SamlStage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamlStage]:
    with ConsoleServer(tmp_path_factory.mktemp("saml")) as server:
        yield SamlStage(server)


@pytest.mark.parametrize("name", SPOILT)
def test_a_response_that_is_not_as_it_was_signed_signs_nobody_in(stage: SamlStage, surfer: Browser, name: str) -> None:
    says, relay = stage.begin(surfer)

    why = stage.refusal(surfer, SPOILT[name](stage.idp, says), relay)

    assert WHY_SPOILT[name] in why


def test_a_comment_in_a_name_does_not_cut_it(stage: SamlStage, surfer: Browser) -> None:
    says, relay = stage.begin(surfer)
    says = replace(says, email="cut@example.com")

    answer = stage.post(surfer, comment_in_the_name(stage.idp, says), relay)

    async def resources() -> list[str | None]:
        await stage.server.sequencer.advance()
        newest = await stage.server.log.latest(10)
        return [one.event.resource for one in newest if one.event.type == "person.signed_on"]  # type: ignore[union-attr]

    # The signature holds, since the canonical form has no comments; the name is read whole, as it was signed.
    assert answer.status_code == 303
    assert stage.server.call(resources)[0] == f"saml:{ENTITY_ID} the-boss.evil"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<", id="no XML"),
        pytest.param(b"<html/>", id="another document"),
        pytest.param(b"\x00\xff", id="bytes"),
        pytest.param(b"<a>" * 50_000, id="nested"),
        pytest.param(b'<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>', id="entities"),
        pytest.param(b'<!DOCTYPE r SYSTEM "http://localhost:PORT/dtd"><r/>', id="a document type elsewhere"),
        pytest.param(
            b'<!DOCTYPE r [<!ENTITY % a SYSTEM "http://localhost:PORT/p"> %a;]><r/>', id="a parameter entity elsewhere"
        ),
        pytest.param(b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r>&a;</r>', id="a file"),
        pytest.param(
            b'<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="http://localhost:PORT/x"/>', id="XInclude"
        ),
    ],
)
def test_what_is_no_response_is_refused_and_fetches_nothing(stage: SamlStage, surfer: Browser, raw: bytes) -> None:
    import socket

    _, relay = stage.begin(surfer)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        port = str(listening.getsockname()[1]).encode()

        answer = stage.post(surfer, raw.replace(b"PORT", port), relay)

        with pytest.raises(BlockingIOError):
            listening.accept()
    assert answer.status_code == 401
    assert "root:" not in answer.text


def test_a_response_that_is_too_long_is_refused(stage: SamlStage, surfer: Browser) -> None:
    _, relay = stage.begin(surfer)

    assert stage.post(surfer, b"x" * 300_000, relay).status_code == 401
    assert surfer.post(stage.acs, {"SAMLResponse": "x" * 600_000, "RelayState": relay}).status_code == 400
