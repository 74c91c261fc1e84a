"""The fixtures of a database for Tortoise ORM."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from async_factory_boy.isolation.tortoise import TortoiseDatabase
from async_factory_boy.pytest_plugin.databases import define
from async_factory_boy.pytest_plugin.stores import namespace_of

if TYPE_CHECKING:
    from types import ModuleType

    from tortoise.config import TortoiseConfig

__all__ = ["tortoise_database"]


def tortoise_database(
    url: str | None = None,
    modules: Mapping[str, Iterable[str | ModuleType]] | None = None,
    *,
    config: Mapping[str, Any] | TortoiseConfig | None = None,
    schema: Callable[[dict[str, Any]], Awaitable[object] | object] | None = None,
    prefix: str = "",
    autouse: bool = False,
    allow_existing: bool = False,
    init_options: Mapping[str, Any] | None = None,
) -> None:
    """Make the fixtures ``database`` and ``connection``, in the conftest.py that calls this.

    ```python
    tortoise_database("asyncpg://localhost:5432/app_test", modules={"models": ["app.models"]})


    async def test_user(connection):
        user = await UserFactory.create_async()
        assert await User.get(id=user.id) == user
    ```

    A database is created for the run, and for each of pytest-xdist's workers, and dropped at its
    end. In each test that asks for one of the fixtures, Tortoise is initialised, and models and
    factories use a transaction, which is rolled back. ``in_transaction()``, of the test or of the
    code that it tests, sets a savepoint in it.

    - ``database`` is a `TortoiseDatabase` of the whole run: ``database.config``, for
      ``Tortoise.init()``, and ``database.run()``, for synchronous tests.
    - ``connection`` is the connection that models use.

    Args:
        url: The URL of a database. It need not exist: the new one is named after it.
        modules: The modules of the models of each app, as ``Tortoise.init()`` takes them.
        config: In place of `url` and `modules`, a configuration as ``Tortoise.init()`` takes it.
            With several connections, there is a database for each.
        schema: What creates the tables, in place of ``generate_schemas()``: a function, async or
            not, that is called with the configuration of the new databases.
        prefix: What the names of the fixtures begin with, where there are several databases.
        autouse: Whether each test has the database, also one that asks for no fixture.
        allow_existing: Whether the URL may be of a database that has tables, and no "test" in its
            name. It is not written to in either case, unless no database can be created.
        init_options: Further options of ``Tortoise.init()``: ``use_tz``, ``timezone``,
            ``routers``, ``table_name_generator``.

    Raises:
        FixtureError: When it is called in a function, when a name is taken, or when arguments do
            not go together. What is wrong with the server is raised by the fixture ``database``.
    """
    namespace = namespace_of(sys._getframe(1), "tortoise_database")
    database = TortoiseDatabase(
        url,
        modules,
        config=config,
        schema=schema,
        allow_existing=allow_existing,
        init_options=init_options,
    )
    define("tortoise_database", database, prefix, autouse, namespace)
