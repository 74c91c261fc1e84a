"""`AsyncSQLAlchemyModelFactory`: factories for SQLAlchemy and SQLModel models."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory.base import AsyncFactory
from async_factory_boy.factory.meta import AsyncFactoryOptions

__all__ = ["AsyncSQLAlchemyModelFactory", "AsyncSQLAlchemyOptions"]

T = TypeVar("T")


class AsyncSQLAlchemyOptions(AsyncFactoryOptions):
    """The ``Meta`` options of an `AsyncSQLAlchemyModelFactory`."""

    adapter_class = SQLAlchemyAdapter
    adapter_options = {
        "sqlalchemy_get_or_create": "get_or_create",
        "sqlalchemy_session_persistence": "persistence",
        "sqlalchemy_session_factory": "session_factory",
        "sqlalchemy_load": "load",
    }
    sqlalchemy_session: object

    def further_options(self) -> dict[str, Any]:
        return {**super().further_options(), "sqlalchemy_session": None}

    def _missing_option_hint(self) -> str:
        if self.sqlalchemy_session is None:
            return ""
        return (
            " Meta.sqlalchemy_session is set, but ignored: a session on a class would be shared "
            "by every task and event loop, which an AsyncSession does not survive."
        )


class AsyncSQLAlchemyModelFactory(AsyncFactory[T]):
    """Base of the factories for SQLAlchemy and SQLModel models.

    ```python
    class UserFactory(AsyncSQLAlchemyModelFactory[User]):
        class Meta:
            model = User
            sqlalchemy_get_or_create = ("email",)

        email = factory.Sequence(lambda n: f"user{n}@example.org")
        company = factory.SubFactory(CompanyFactory)


    user = await UserFactory.create_async(sqlalchemy_session=session)
    ```

    ``Meta`` takes factory_boy's options, and

    - ``sqlalchemy_session_persistence``: ``"flush"`` (default), ``"commit"``, or ``None``;
    - ``sqlalchemy_get_or_create``: fields to look an object up by before storing a new one;
    - ``sqlalchemy_session_factory``: a callable that returns the session, for calls that are
      given none;
    - ``sqlalchemy_load``: relationships to load on the objects that a call returns, in place of
      those that the mapping loads eagerly;
    - ``sqlalchemy_session``: accepted for factories shared with synchronous code, and ignored.

    They are described at `async_factory_boy.adapters.sqlalchemy.SQLAlchemyAdapter`.

    The session is the first of: the call's keyword ``sqlalchemy_session``, the innermost
    `async_factory_boy.bind`, ``Meta.sqlalchemy_session_factory``.
    """

    _options_class = AsyncSQLAlchemyOptions


def __getattr__(name: str) -> Any:
    if name == "AsyncSQLAlchemyFactory":
        warnings.warn(
            "AsyncSQLAlchemyFactory is now called AsyncSQLAlchemyModelFactory, and its "
            "objects are created by await X.create_async(...), with the session as an argument.",
            DeprecationWarning,
            stacklevel=2,
        )
        return AsyncSQLAlchemyModelFactory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
