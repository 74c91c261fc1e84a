"""`AsyncPiccoloTableFactory`: factories for the tables of Piccolo ORM."""

from __future__ import annotations

from typing import TypeVar

from async_factory_boy.factory.base import AsyncFactory
from async_factory_boy.factory.meta import AsyncFactoryOptions
from async_factory_boy_piccolo.adapter import PiccoloAdapter

__all__ = ["AsyncPiccoloOptions", "AsyncPiccoloTableFactory"]

T = TypeVar("T")


class AsyncPiccoloOptions(AsyncFactoryOptions):
    """The ``Meta`` options of an `AsyncPiccoloTableFactory`."""

    adapter_class = PiccoloAdapter
    adapter_options = {
        "piccolo_get_or_create": "get_or_create",
        "piccolo_prefetch": "prefetch",
    }


class AsyncPiccoloTableFactory(AsyncFactory[T]):
    """Base of the factories for the tables of Piccolo ORM.

    ```python
    class UserFactory(AsyncPiccoloTableFactory[User]):
        class Meta:
            model = User
            piccolo_get_or_create = ("email",)

        email = factory.Sequence(lambda n: f"user{n}@example.org")
        company = factory.SubFactory(CompanyFactory)


    user = await UserFactory.create_async()
    ```

    ``Meta`` takes factory_boy's options, and

    - ``piccolo_get_or_create``: columns to look a row up by before storing a new one;
    - ``piccolo_prefetch``: foreign keys whose rows are fetched for what a call returns.

    They are described at `async_factory_boy_piccolo.adapter.PiccoloAdapter`.

    Rows are stored in the first of: the transaction that the call is given as
    ``piccolo_transaction``, that of the innermost `async_factory_boy.bind`, the one that the call
    is made in (inside of ``async with DB.transaction()``); or, where there is none, at once.
    """

    _options_class = AsyncPiccoloOptions
