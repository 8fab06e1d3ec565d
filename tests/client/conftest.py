"""A resource and its authorization server, for each test anew."""

from collections.abc import Iterator

import httpx2
import pytest

from accredit.client import ClientSecret
from tests.client.servers import World, world


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def secret(here: World) -> ClientSecret:
    return ClientSecret("agt_1", "hush", issuer=here.issuer.url)


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=10, trust_env=False) as client:
        yield client
