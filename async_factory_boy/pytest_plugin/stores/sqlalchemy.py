"""The fixtures of a database for SQLAlchemy and SQLModel."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from async_factory_boy.isolation.sqlalchemy import SQLAlchemyDatabase, alembic
from async_factory_boy.pytest_plugin.databases import define
from async_factory_boy.pytest_plugin.stores import namespace_of

if TYPE_CHECKING:
    from sqlalchemy import URL, MetaData
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["alembic", "sqlalchemy_database"]


def sqlalchemy_database(
    url: str | URL,
    *,
    metadata: MetaData | None = None,
    schema: Callable[[URL], Awaitable[object] | object] | None = None,
    prefix: str = "",
    autouse: bool = False,
    allow_existing: bool = False,
    engine_options: Mapping[str, Any] | None = None,
    session_options: Mapping[str, Any] | None = None,
    configure: Callable[[AsyncEngine], object] | None = None,
) -> None:
    """Make the fixtures ``database``, ``engine`` and ``session``, where a conftest.py calls this.

    ```python
    sqlalchemy_database("postgresql+asyncpg://localhost/app_test", metadata=Base.metadata)


    async def test_user(session):
        user = await UserFactory.create_async()
        await session.commit()
    ```

    The database is created for the run, and for each of pytest-xdist's workers, and dropped at its
    end. Each test that asks for one of the fixtures works in a transaction, which is rolled back:
    a commit of the test, or of the code that it tests, ends a savepoint. Factories store by the
    session of the test.

    - ``database`` is a `SQLAlchemyDatabase` of the whole run: ``database.url``;
      ``database.sessionmaker``, for code that opens sessions of its own; and ``database.run()``,
      for synchronous tests.
    - ``engine`` is an engine. What its connections commit stays.
    - ``session`` is the session of the test.

    Args:
        url: The URL of a database, with an async driver. It need not exist: the new one is named
            after it.
        metadata: The tables to create in it.
        schema: In place of `metadata`, what creates the tables: a function, async or not, that is
            called with the URL of the new database; such as ``alembic("alembic.ini")``.
        prefix: What the names of the fixtures begin with, where there are several databases.
        autouse: Whether each test has the session, also one that asks for no fixture.
        allow_existing: Whether the URL may be of a database that has tables, and no "test" in its
            name. It is not written to in either case, unless no database can be created.
        engine_options: For ``create_async_engine()``.
        session_options: For ``async_sessionmaker()``: ``class_``, for SQLModel's session.
        configure: Called with the engine, to listen to its events.

    Raises:
        FixtureError: When it is called in a function, when a name is taken, or when arguments do
            not go together. What is wrong with the server is raised by the fixture ``database``.
    """
    namespace = namespace_of(sys._getframe(1), "sqlalchemy_database")
    database = SQLAlchemyDatabase(
        url,
        metadata=metadata,
        schema=schema,
        allow_existing=allow_existing,
        engine_options=engine_options,
        session_options=session_options,
        configure=configure,
    )
    define("sqlalchemy_database", database, prefix, autouse, namespace)
