"""What the behaviour suite needs to know of an adapter on a backend."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, ClassVar

import pytest

from async_factory_boy.factory import AsyncFactory

# Far from what a store has counted to, and from each other: some go on counting from the highest.
_keys = itertools.count(1_000_000, 10_000)


class Store(ABC):
    """One adapter on one backend.

    Every store has three models, and a factory for each:

    - a company has a ``name``, which is unique, and a ``size``;
    - a user has a ``name``, a ``company`` (made by a SubFactory), and the key of that company in
      ``company_key``, which a LazyAttribute reads off the stored company;
    - a post has a ``title`` and an ``author``, which is a user.

    Names are sequences: ``company0``, ``user0``, ``post0`` and so on.
    """

    id: ClassVar[str]
    """Names the test, e.g. ``sqlalchemy-postgresql-asyncpg``."""

    transactional: ClassVar[bool] = True
    """Whether `rollback` can undo what was stored."""

    concurrent: ClassVar[bool] = True
    """Whether two connections can have transactions that write at once."""

    survives_conflict: ClassVar[bool] = True
    """Whether a transaction goes on after it was refused a row."""

    key_name: ClassVar[str] = "id"
    """The field that the key is in."""

    CompanyFactory: type[AsyncFactory[Any]]
    NamedCompanyFactory: type[AsyncFactory[Any]]
    """Like `CompanyFactory`, with get_or_create by ``name``."""
    CommittingCompanyFactory: type[AsyncFactory[Any]] | None = None
    """Like `CompanyFactory`, with an adapter that commits, if it can be told to."""
    UserFactory: type[AsyncFactory[Any]]
    PostFactory: type[AsyncFactory[Any]]

    conflict: ClassVar[type[Exception] | tuple[type[Exception], ...]]
    """What the driver or ORM raises when a company's name is taken."""

    @classmethod
    @abstractmethod
    def opened(cls, servers: Any) -> AbstractAsyncContextManager[Store]:
        """Open the store with empty tables, and clean up after the test.

        Args:
            servers: The `tests.servers.Servers` of the test run; skips the test when the server
                that this store needs is not to be had.
        """

    @property
    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """The call-time options for this test's connection or session."""

    @abstractmethod
    def another(self) -> AbstractAsyncContextManager[Mapping[str, Any]]:
        """Give call-time options for a second, independent connection, which commits on exit."""

    @abstractmethod
    async def rows(self, factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
        """Read what is stored of a factory's model, in the order of the keys.

        By a query of the driver's, not through objects that may be held in memory. Each row has
        ``key`` (as `key` returns it) and the scalar fields; ``company_key`` for a user and
        ``author_key`` for a post are the keys that the relations are stored as.
        """

    @abstractmethod
    def key(self, instance: Any) -> Any:
        """Return the primary key of an object, or ``None`` if it has none yet."""

    def get(self, instance: Any, name: str) -> Any:
        """Return a field of an object, which for some stores is a dict."""
        return getattr(instance, name)

    def new_key(self) -> Any:
        """Return a key for a new object, another one each time, that the store does not give."""
        return next(_keys)

    @abstractmethod
    async def rollback(self) -> None:
        """Undo all that was done with `options`; afterwards they can be used again."""

    async def commit(self) -> None:
        """Make what was done with `options` visible to `another`. Default: it is already."""

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        """Return a block that an error leaves with nothing stored. Default: the store has none."""
        return nullcontext()


# Measuring, and the lowest versions, are for the first of those that are alike.
REPEATS = (pytest.mark.unmeasured, pytest.mark.versionless)


def params(
    stores: Iterable[type[Store]], parts: int = 1, repeats: Iterable[pytest.MarkDecorator] = REPEATS
) -> list[Any]:
    """Return stores as parameters, of which those like an earlier one are marked.

    Args:
        stores: The stores.
        parts: How much of an id says what is alike: 1 for the adapter, 2 for its database as well.
        repeats: What those like an earlier one are marked with.
    """
    return named_params({store.id: store for store in stores}, parts, repeats)


def named_params(
    values: Mapping[str, Any], parts: int = 1, repeats: Iterable[pytest.MarkDecorator] = REPEATS
) -> list[Any]:
    """Return what `params` does, of values by id."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for id_, value in values.items():
        kind = tuple(id_.split("-")[:parts])
        marks = list(repeats) if kind in seen else []
        seen.add(kind)
        found.append(pytest.param(value, id=id_, marks=marks))
    return found
