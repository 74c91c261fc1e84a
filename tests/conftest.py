"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack

import pytest

from async_factory_boy import bind
from tests.servers import Servers
from tests.stores.base import Store


@pytest.fixture(scope="session")
def servers() -> Generator[Servers]:
    """The database servers, each started when it is first asked for."""
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture
async def store(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[Store]:
    """An adapter on a backend, its options bound, with every sequence starting at 0."""
    kind: type[Store] = request.param
    async with kind.opened(servers) as store:
        for factory in (store.CompanyFactory, store.UserFactory, store.PostFactory):
            factory.reset_sequence(0, force=True)
        with bind(**store.options):
            yield store
