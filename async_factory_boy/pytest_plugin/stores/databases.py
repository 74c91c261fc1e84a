"""The fixtures of a database for encode/databases."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from async_factory_boy.isolation.databases import DatabasesDatabase
from async_factory_boy.pytest_plugin.databases import define
from async_factory_boy.pytest_plugin.stores import namespace_of

if TYPE_CHECKING:
    from databases import DatabaseURL
    from sqlalchemy import MetaData

__all__ = ["databases_database"]


def databases_database(
    url: str | DatabaseURL,
    *,
    metadata: MetaData | None = None,
    schema: Callable[[str], Awaitable[object] | object] | None = None,
    prefix: str = "",
    autouse: bool = False,
    allow_existing: bool = False,
    database_options: Mapping[str, Any] | None = None,
) -> None:
    """Make the fixtures ``database`` and ``database_of_run``, in the conftest.py that calls this.

    ```python
    databases_database("postgresql://localhost/app_test", metadata=metadata)


    async def test_user(database):
        user = await UserFactory.create_async()
        assert await database.fetch_val("SELECT count(*) FROM app_user") == 1
    ```

    A database is created for the run, and for each of pytest-xdist's workers, and dropped at its
    end. Each test that asks for one of the fixtures works in a transaction, which is rolled back.
    A transaction of the test, or of the code that it tests, is a savepoint in it. Factories store
    in that transaction, too.

    - ``database`` is a connected ``databases.Database``. Its tasks share one connection.
    - ``database_of_run`` is a `DatabasesDatabase`: ``database_of_run.url``, and
      ``database_of_run.run()``, for synchronous tests.

    Args:
        url: The URL of a database, as ``databases.Database()`` takes it. It need not exist: the new
            one is named after it.
        metadata: The tables to create in it.
        schema: In place of `metadata`, what creates the tables: a function, async or not, that is
            called with the URL of the new database.
        prefix: What the names of the fixtures begin with, where there are several databases.
        autouse: Whether each test has the database, also one that asks for no fixture.
        allow_existing: Whether the URL may be of a database that has tables, and no "test" in its
            name. It is not written to in either case, unless no database can be created.
        database_options: For ``databases.Database()``.

    Raises:
        FixtureError: When it is called in a function, when a name is taken, or when arguments do
            not go together. What is wrong with the server is raised when the first test asks.
    """
    namespace = namespace_of(sys._getframe(1), "databases_database")
    database = DatabasesDatabase(
        url,
        metadata=metadata,
        schema=schema,
        allow_existing=allow_existing,
        database_options=database_options,
    )
    define("databases_database", database, prefix, autouse, namespace)
