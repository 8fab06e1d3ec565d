"""One server with a CRM behind it, for the suites of a module."""

from collections.abc import Iterator

import pytest

from tests.conformance.person import Person, sign_in
from tests.examples.conftest import RunningCrm, crm
from tests.server.running import Running, running

__all__ = ["crm"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("conformance") / "data") as server:
        server.add_crm(crm.url)
        yield server


@pytest.fixture(scope="module")
def person(server: Running) -> Person:
    """The administrator, who may let agents do everything."""
    return sign_in(server)
