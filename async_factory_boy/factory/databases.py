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
    instance_class = TableRow

    def counts_with(self, model: Any) -> bool:
        # A Table is no class, which could be a subclass of another.
        if isinstance(self.model, type) and isinstance(model, type):
            return super().counts_with(model)
        return self.model is model


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
