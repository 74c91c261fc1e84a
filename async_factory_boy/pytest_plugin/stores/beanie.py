"""The fixtures of a database for Beanie."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from async_factory_boy.isolation.beanie import BeanieDatabase
from async_factory_boy.pytest_plugin.databases import define
from async_factory_boy.pytest_plugin.stores import namespace_of

__all__ = ["beanie_database"]


def beanie_database(
    url: str,
    document_models: Sequence[type | str],
    *,
    transaction: bool = False,
    prefix: str = "",
    autouse: bool = False,
    allow_existing: bool = False,
    client_class: Callable[..., Any] | None = None,
    client_options: Mapping[str, Any] | None = None,
) -> None:
    """Make the fixtures ``database`` and ``mongo_client``, in the conftest.py that calls this.

    ```python
    beanie_database("mongodb://localhost:27017/app_test", document_models=[Company, User])


    async def test_user(database):
        user = await UserFactory.create_async()
        assert await User.count() == 1
    ```

    The database is created for the run, and for each of pytest-xdist's workers, and dropped at its
    end. Beanie is initialised with it on the event loop of each test that asks for one of the
    fixtures; the indexes are built once. After the test the collections are emptied.

    - ``database`` is an ``AsyncDatabase``, on the event loop of the test.
    - ``mongo_client`` is its client.
    - ``session``, with ``transaction=True``, is a client session in a transaction, which is aborted
      after the test. Factories store by it.
    - ``database_of_run`` is a `BeanieDatabase` of the whole run: ``database_of_run.url``; and
      ``database_of_run.run()``, for synchronous tests.

    Args:
        url: The URL of a server. The new database is named after the one in it, which need not
            exist.
        document_models: What ``init_beanie()`` takes: documents, views and unions, or their paths.
        transaction: Whether each test has a transaction. Code that is not given ``session`` does
            not see what is stored in it. It takes a replica set.
        prefix: What the names of the fixtures begin with, where there are several databases.
        autouse: Whether each test has the database, also one that asks for no fixture.
        allow_existing: Whether the URL may be of a database that has collections, and no "test" in
            its name. It is not written to in either case.
        client_class: The class of clients; that which this version of Beanie works with.
        client_options: For that class, such as ``tz_aware``.

    Raises:
        FixtureError: When it is called in a function, when a name is taken, or when arguments are
            not what they should be. What is wrong with the server is raised by ``database_of_run``.
    """
    namespace = namespace_of(sys._getframe(1), "beanie_database")
    database = BeanieDatabase(
        url,
        document_models,
        transaction=transaction,
        allow_existing=allow_existing,
        client_class=client_class,
        client_options=client_options,
    )
    define("beanie_database", database, prefix, autouse, namespace)
