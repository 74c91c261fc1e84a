"""`AsyncTortoiseModelFactory`: factories for the models of Tortoise ORM."""

from __future__ import annotations

from typing import TypeVar

from async_factory_boy.adapters.tortoise import TortoiseAdapter
from async_factory_boy.factory.base import AsyncFactory
from async_factory_boy.factory.meta import AsyncFactoryOptions

__all__ = ["AsyncTortoiseModelFactory", "AsyncTortoiseOptions"]

T = TypeVar("T")


class AsyncTortoiseOptions(AsyncFactoryOptions):
    """The ``Meta`` options of an `AsyncTortoiseModelFactory`."""

    adapter_class = TortoiseAdapter
    adapter_options = {
        "tortoise_get_or_create": "get_or_create",
        "tortoise_fetch": "fetch",
    }


class AsyncTortoiseModelFactory(AsyncFactory[T]):
    """Base of the factories for the models of Tortoise ORM.

    ```python
    class UserFactory(AsyncTortoiseModelFactory[User]):
        class Meta:
            model = User
            tortoise_get_or_create = ("email",)

        email = factory.Sequence(lambda n: f"user{n}@example.org")
        company = factory.SubFactory(CompanyFactory)


    user = await UserFactory.create_async()
    ```

    ``Meta`` takes factory_boy's options, and

    - ``tortoise_get_or_create``: fields to look an object up by before storing a new one;
    - ``tortoise_fetch``: relations to fetch for the objects that a call returns.

    They are described at `async_factory_boy.adapters.tortoise.TortoiseAdapter`.

    The connection is the first of: the call's keyword ``tortoise_using_db``, the innermost
    `async_factory_boy.bind`, the one that Tortoise uses for the model (inside of
    ``in_transaction()``, that of the transaction).
    """

    _options_class = AsyncTortoiseOptions
