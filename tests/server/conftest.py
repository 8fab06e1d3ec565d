"""One server with a CRM behind it, for the tests of a module that leave it as it is."""

from collections.abc import Iterator

import pytest

from tests.examples.conftest import RunningCrm, crm, own_crm
from tests.server.running import Running, running

__all__ = ["crm", "own_crm"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("server") / "data") as server:
        server.add_crm(crm.url)
        yield server
