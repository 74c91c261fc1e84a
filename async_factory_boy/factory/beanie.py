"""`AsyncBeanieDocumentFactory`: factories for Beanie documents."""

from __future__ import annotations

from typing import TypeVar

from async_factory_boy.adapters.beanie import BeanieAdapter
from async_factory_boy.factory.base import AsyncFactory
from async_factory_boy.factory.meta import AsyncFactoryOptions

__all__ = ["AsyncBeanieDocumentFactory", "AsyncBeanieOptions"]

T = TypeVar("T")


class AsyncBeanieOptions(AsyncFactoryOptions):
    """The ``Meta`` options of an `AsyncBeanieDocumentFactory`."""

    adapter_class = BeanieAdapter
    adapter_options = {
        "beanie_get_or_create": "get_or_create",
        "beanie_fetch_links": "fetch_links",
        "beanie_link_rule": "link_rule",
    }


class AsyncBeanieDocumentFactory(AsyncFactory[T]):
    """Base of the factories for Beanie documents.

    ```python
    class UserFactory(AsyncBeanieDocumentFactory[User]):
        class Meta:
            model = User
            beanie_get_or_create = ("email",)

        email = factory.Sequence(lambda n: f"user{n}@example.org")
        company = factory.SubFactory(CompanyFactory)


    user = await UserFactory.create_async()
    ```

    ``Meta`` takes factory_boy's options, and

    - ``beanie_get_or_create``: fields to look a document up by before storing a new one;
    - ``beanie_fetch_links``: links to fetch on the documents that a call returns, ``True`` for all;
    - ``beanie_link_rule``: Beanie's ``WriteRules`` for the linked documents.

    They are described at `async_factory_boy.adapters.beanie.BeanieAdapter`.

    The database is the one that ``init_beanie`` was given. The keyword ``beanie_session`` takes a
    client session, in whose transaction the call then stores.
    """

    _options_class = AsyncBeanieOptions
