"""The fixtures of a database for Piccolo."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence

from piccolo.table import Table

from async_factory_boy.pytest_plugin.databases import DatabaseFixtures, define
from async_factory_boy.pytest_plugin.stores import namespace_of
from async_factory_boy_piccolo.isolation import PiccoloDatabase

__all__ = ["piccolo_database"]


def piccolo_database(
    *,
    tables: Sequence[type[Table]] | None = None,
    prefix: str = "",
    autouse: bool = False,
    allow_existing: bool = False,
) -> None:
    """Make the fixtures ``database`` and ``engine``, where a conftest.py calls this.

    ```python
    piccolo_database(tables=[Company, User])


    async def test_user(engine):
        user = await UserFactory.create_async()
        assert await User.count() == 1
    ```

    The database is created for the run, and for each of pytest-xdist's workers, on the server of
    the tables' engine, and dropped at its end. It is named after the database that the engine is
    for, which is left alone. While the run lasts, the engine is one for the new database. Each test
    that asks for one of the fixtures works in a transaction, which is rolled back.

    - ``database`` is a `PiccoloDatabase` of the whole run: ``database.run()`` is for synchronous
      tests.
    - ``engine`` is the engine of the tables.

    Args:
        tables: The tables to create in it. Default: those of the apps in ``APP_REGISTRY``.
        prefix: What the names of the fixtures begin with, where there are several databases.
        autouse: Whether each test has the database, also one that asks for no fixture.
        allow_existing: Whether the engine may be for a database that has tables, and no "test" in
            its name. It is not written to in either case.

    Raises:
        FixtureError: When it is called in a function, or when a name is taken. What is wrong with
            the tables, or with the server, is raised by the fixture ``database``.
    """
    namespace = namespace_of(sys._getframe(1), "piccolo_database")
    database = PiccoloDatabase(tables, allow_existing=allow_existing)
    define("piccolo_database", database, prefix, autouse, namespace, PiccoloFixtures)


class PiccoloFixtures(DatabaseFixtures):
    """The fixtures of a database of Piccolo."""

    def is_not_allowed(self, error: BaseException) -> bool:
        # What the test has reached is another database: most likely one without its tables.
        no_such = getattr(error, "sqlstate", None) in ("42P01", "3D000")
        return no_such or isinstance(error, sqlite3.OperationalError | OSError)
