"""A console with a real provider beside it; the browser and what listens to its pages are the console's own."""

from collections.abc import Iterator

import pytest

from tests.console.conftest import axe, browser, context, listen, page
from tests.console.server import ConsoleServer
from tests.federation.browsing import Browser
from tests.federation.peers import RealProvider
from tests.federation.stage import Stage

__all__ = ["axe", "browser", "context", "listen", "page", "stage", "surfer"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with ConsoleServer(tmp_path_factory.mktemp("sign-on")) as server, RealProvider(server.origin) as provider:
        made = Stage(server, provider)
        made.connect()
        yield made


@pytest.fixture
def surfer() -> Iterator[Browser]:
    one = Browser()
    yield one
    one.close()
