"""`AsyncDatabasesFactory`: factories for tables that encode/databases is used with."""

from __future__ import annotations

from typing import Any, TypeVar

from async_factory_boy.adapters.databases import DatabasesAdapter, TableRow
from async_factory_boy.factory.base import AsyncFactory
from async_factory_boy.factory.meta import AsyncFactoryOptions

__all__ = ["AsyncDatabasesFactory", "AsyncDatabasesOptions", "TableRow"]

T = TypeVar("T")


class AsyncDatabasesOptions(AsyncFactoryOptions):
    """The ``Meta`` options of an `AsyncDatabasesFactory`."""

    adapter_class = DatabasesAdapter
    adapter_options = {
        "databases_database": "database",
        "databases_get_or_create": "get_or_create",
    }

    def _get_counter_reference(self) -> Any:
        # Upstream asks whether one model is a subclass of the other, but a Table is no class.
        parent = self.base_factory and self.base_factory._meta
        if parent and parent.model is not None and parent.model is self.model:
            return parent.counter_reference
        if isinstance(self.model, type) and parent and isinstance(parent.model, type):
            return super()._get_counter_reference()
        return self


class AsyncDatabasesFactory(AsyncFactory[T]):
    """Base of the factories for rows that are stored through a ``databases.Database``.

    ```python
    class UserFactory(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = users  # a sqlalchemy.Table, or a mapped class
            databases_get_or_create = ("email",)
            exclude = ("company",)

        email = factory.Sequence(lambda n: f"user{n}@example.org")
        company = factory.SubFactory(CompanyFactory)
        company_id = factory.SelfAttribute("company.id")


    user = await UserFactory.create_async(databases_database=database)
    ```

    ``Meta`` takes factory_boy's options, and

    - ``databases_database``: a ``databases.Database``, or a callable that returns it, for calls
      that are given none;
    - ``databases_get_or_create``: columns to look a row up by before inserting a new one.

    They are described at `async_factory_boy.adapters.databases.DatabasesAdapter`.

    The database is the first of: the call's keyword ``databases_database``, the innermost
    `async_factory_boy.bind`, ``Meta.databases_database``.
    """

    _options_class = AsyncDatabasesOptions
