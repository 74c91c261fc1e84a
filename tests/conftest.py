"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack

import pytest
from greenlet import getcurrent, greenlet
from greenlet._greenlet import enable_optional_cleanup

from async_factory_boy import bind
from tests.forks import Forks
from tests.servers import Servers
from tests.stores.base import Store

pytest_plugins = ["pytester", "async_factory_boy.pytest_plugin"]


# When a thread has ended, such as that of a connection of aiosqlite, greenlet drops its main
# greenlet in a pending call, in the middle of anything. With concurrency = ["greenlet", "thread"],
# coverage has that greenlet in a WeakKeyDictionary: on CPython 3.11, tracing the callback of the
# dictionary there was seen to loop for ever. So main greenlets are kept until the end.
_main_greenlets: list[greenlet] = []


def _keep_main_greenlet(*_: object) -> None:
    sys.setprofile(None)
    _main_greenlets.append(getcurrent())


# greenlet looks for who keeps such a one, among all objects there are: 10 ms and more a thread.
enable_optional_cleanup(False)
threading.setprofile(_keep_main_greenlet)


def pytest_collection() -> None:
    """Have the garbage collector wait: nothing that is collected goes away."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Have the garbage collector go on."""
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """Have the garbage collector pass over what is there already, such as reports and modules.

    Some tests collect all garbage, which would take longer with every test that has run before.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def servers() -> Generator[Servers]:
    """The database servers, each started when it is first asked for."""
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def forks() -> Generator[Forks]:
    """Runs Python in processes of their own, which need not import everything anew."""
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork")
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
async def store(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[Store]:
    """An adapter on a backend, its options bound, with every sequence starting at 0."""
    kind: type[Store] = request.param
    async with kind.opened(servers) as store:
        for factory in (store.CompanyFactory, store.UserFactory, store.PostFactory):
            factory.reset_sequence(0, force=True)
        with bind(**store.options):
            yield store


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a parameter by its type: workers must agree, and an address is another in each."""
    if val is None or isinstance(val, str | int | float):
        return None
    return str(getattr(val, "__name__", type(val).__name__))


# The reasons for which a test may be skipped where CI is set: there, every server is to be had.
DOCUMENTED_SKIPS = re.compile(
    r"the store has no transactions"
    r"|SQLite has one writer at a time"
    r"|there is no second connection"
    r"|the adapter is never told to commit"
    r"|writes nothing that hooks change"
    r"|no key is given by the caller"
    r"|the adapter does not tell what the model is made of"
    r"|does not tell what models are made of"
    r"|does not tell the key of an object"
    r"|nobody can listen to the store"
    r"|the factories of parents and of children have an adapter each"
    r"|a conflict ends a transaction of this store"
    r"|on SQLite a cancelled statement goes on, and the connection is lost"
    r"|Python's sqlite3 needs event listeners for this"
    r"|nothing can be undone here"
    r"|errors take (no )?notes"
    r"|SQLAlchemy inserts row by row on SQLite"
)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run in CI if a test was skipped for a reason that is not documented."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return
    reasons = {report.longrepr[2] for report in reporter.stats.get("skipped", ())}
    undocumented = sorted(reason for reason in reasons if not DOCUMENTED_SKIPS.search(reason))
    if undocumented and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"ERROR: skipped without a documented reason: {undocumented}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
