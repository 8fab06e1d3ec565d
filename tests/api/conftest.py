"""A server for the tests of one module: each test uses names of its own."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.api.server import ManagementServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagementServer]:
    with ManagementServer(tmp_path_factory.mktemp("accredit-data")) as running:
        yield running


@pytest.fixture
def client(server: ManagementServer) -> Iterator[httpx2.Client]:
    with server.client() as one:
        yield one
