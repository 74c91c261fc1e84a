"""The fixtures of a database for MongoDB, without an ODM."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from async_factory_boy.isolation.mongo import MongoDatabase
from async_factory_boy.pytest_plugin.databases import define
from async_factory_boy.pytest_plugin.stores import namespace_of

__all__ = ["mongo_database"]


def mongo_database(
    url: str,
    *,
    setup: Callable[[Any], Awaitable[object]] | None = None,
    transaction: bool = False,
    prefix: str = "",
    autouse: bool = False,
    allow_existing: bool = False,
    client_class: Callable[..., Any] | None = None,
    client_options: Mapping[str, Any] | None = None,
) -> None:
    """Make the fixtures ``database`` and ``mongo_client``, in the conftest.py that calls this.

    ```python
    mongo_database("mongodb://localhost:27017/app_test")


    async def test_user(database):
        user = await UserFactory.create_async()
        assert await database["users"].find_one() == user
    ```

    The database is created for the run, and for each of pytest-xdist's workers, and dropped at its
    end. After each test that asks for one of the fixtures, its collections are emptied; they and
    their indexes stay. Factories whose ``Meta.mongo_collection`` is a name store in the database of
    the test.

    - ``database`` is an ``AsyncDatabase``, on the event loop of the test.
    - ``mongo_client`` is its client.
    - ``session``, with ``transaction=True``, is a client session in a transaction, which is aborted
      after the test. Factories store by it.
    - ``database_of_run`` is a `MongoDatabase` of the whole run: ``database_of_run.url``; and
      ``database_of_run.run()``, for synchronous tests.

    Args:
        url: The URL of a server. The new database is named after the one in it, which need not
            exist.
        setup: An async function that is called with the new database, to create indexes.
        transaction: Whether each test has a transaction. Code that is not given ``session`` does
            not see what is stored in it. It takes a replica set.
        prefix: What the names of the fixtures begin with, where there are several databases.
        autouse: Whether each test has the database, also one that asks for no fixture.
        allow_existing: Whether the URL may be of a database that has collections, and no "test" in
            its name. It is not written to in either case.
        client_class: The class of clients: PyMongo's ``AsyncMongoClient``, or Motor's
            ``AsyncIOMotorClient``.
        client_options: For that class, such as ``tz_aware``.

    Raises:
        FixtureError: When it is called in a function, when a name is taken, or when the URL is none
            of MongoDB's. What is wrong with the server is raised by ``database_of_run``.
    """
    namespace = namespace_of(sys._getframe(1), "mongo_database")
    database = MongoDatabase(
        url,
        setup=setup,
        transaction=transaction,
        allow_existing=allow_existing,
        client_class=client_class,
        client_options=client_options,
    )
    define("mongo_database", database, prefix, autouse, namespace)
