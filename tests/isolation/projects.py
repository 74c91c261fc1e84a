"""A project whose tests use a database, and run in a pytest run of their own.

The adapters that have a distribution of their own use this module as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from tests.servers import Servers

# How each plugin is chosen, and an async test marked.
PLUGINS = {
    "asyncio-auto": (["-o", "asyncio_mode=auto"], ""),
    "asyncio-strict": (["-o", "asyncio_mode=strict"], "pytestmark = pytest.mark.asyncio"),
    "anyio": (["-p", "no:asyncio"], "pytestmark = pytest.mark.anyio"),
}

# What the runs do not need, and would import anew each time.
UNUSED = ("cacheprovider", "pytest_cov", "randomly", "hypothesispytest")


class Kind:
    """A store that has fixtures of a database.

    Args:
        call: What a conftest.py calls.
        shop: The module of models and factories.
        conftest: The conftest.py, with the URL of a database left out.
        session: A fixture that a test asks for to use the database.
        own: The fixture that is the database of the run.
    """

    arguments: tuple[str, ...] = ()
    """What pytest is given besides."""

    apart = False
    """Whether each run has a process of its own."""

    def __init__(
        self, call: str, shop: str, conftest: str, session: str = "session", own: str = "database"
    ) -> None:
        self.call = call
        self.own = own
        self.shop = dedent(shop)
        self.session = session
        self._conftest = dedent(conftest)

    def url(self, servers: Servers, name: str) -> str:
        """Return the URL of a database that does not exist, on a server of the tests."""
        raise NotImplementedError

    def conftest(self, url: str) -> str:
        """Return a conftest.py with the line for a database."""
        return self._conftest.replace("{url!r}", repr(url))

    def modules(self, url: str) -> Mapping[str, str]:
        """Return the modules beside conftest.py, by name."""
        return {"shop": self.shop}

    def unreachable(self, text: str) -> str:
        """Return a module of the project with another server, which does not exist."""
        return text.replace("://", "://nowhere:1/")

    def databases(self, servers: Servers) -> set[str]:
        """Return the names of all databases of the server; none of SQLite, which has files."""
        raise NotImplementedError

    def drop(self, servers: Servers, name: str) -> None:
        """Drop one of them."""
        raise NotImplementedError


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
        url = kind.url(servers, self.name)
        self.conftest = kind.conftest(url)
        self.modules = {**kind.modules(url)}

    def lose_server(self) -> None:
        """Have it name a server that does not exist."""
        self.conftest = self.kind.unreachable(self.conftest)
        self.modules = {name: self.kind.unreachable(text) for name, text in self.modules.items()}

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
            **self.modules,
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
        apart = apart or self.kind.apart
        run = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest
        return run(*options, *self.kind.arguments, *arguments)

    def passes(self, passed: int, *arguments: str, **kwargs: object) -> pytest.RunResult:
        """Check that so many tests pass, and all of them, and that no database is left."""
        result = self.run(*arguments, **kwargs)  # type: ignore[arg-type]
        result.assert_outcomes(passed=passed)
        assert self.databases() == set()
        return result


_BACKEND = '\n\n@pytest.fixture(scope="session")\ndef anyio_backend():\n    return "asyncio"\n'
