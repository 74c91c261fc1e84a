"""`AsyncMongoFactory`: factories for documents in MongoDB collections, without an ODM."""

from __future__ import annotations

from typing import TypeVar

from async_factory_boy.adapters.mongo import MongoAdapter
from async_factory_boy.factory.base import AsyncFactory
from async_factory_boy.factory.meta import AsyncFactoryOptions

__all__ = ["AsyncMongoFactory", "AsyncMongoOptions"]

T = TypeVar("T")


class AsyncMongoOptions(AsyncFactoryOptions):
    """The ``Meta`` options of an `AsyncMongoFactory`."""

    adapter_class = MongoAdapter
    adapter_options = {
        "mongo_collection": "collection",
        "mongo_get_or_create": "get_or_create",
    }


class AsyncMongoFactory(AsyncFactory[T]):
    """Base of the factories for dicts, dataclasses and pydantic models stored in MongoDB.

    ```python
    class UserFactory(AsyncMongoFactory[dict[str, Any]]):
        class Meta:
            model = dict
            mongo_collection = lambda: database["users"]
            mongo_get_or_create = ("email",)

        email = factory.Sequence(lambda n: f"user{n}@example.org")


    user = await UserFactory.create_async()
    user["_id"]
    ```

    ``Meta`` takes factory_boy's options, and

    - ``mongo_collection``: for calls that are given none, the name of a collection, in the
      database that is bound as ``mongo_database``; or a collection of PyMongo's async API or of
      Motor; or a callable that returns one;
    - ``mongo_get_or_create``: fields to look an object up by before storing a new one.

    They are described at `async_factory_boy.adapters.mongo.MongoAdapter`.

    The collection is the first of: the call's keyword ``mongo_collection``, the innermost
    `async_factory_boy.bind`, ``Meta.mongo_collection``. The keyword ``mongo_session`` takes a
    client session, in whose transaction the call then stores.
    """

    _options_class = AsyncMongoOptions
