"""What is under test, as the tests see it."""

from __future__ import annotations

import copy
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Hashable,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from async_factory_boy import bind, linting, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.exceptions import AdapterError, OptionError
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.testing._promise import WrongFixtureError

Factory = type[AsyncFactory[Any]]
Row = Mapping[str, Any]
Rows = Callable[[Factory], Awaitable[Sequence[Row]]]
Conflict = type[Exception] | tuple[type[Exception], ...]
Another = Callable[[], AbstractAsyncContextManager[Mapping[str, Any]]]


class Subject:
    """The fixtures of an `AdapterConformance`, and what tests do with them."""

    def __init__(
        self,
        *,
        parent: Factory,
        child: Factory,
        rows: Rows,
        options: Mapping[str, Any],
        relation: str,
        key: str,
        rollback: Callable[[], Awaitable[object]] | None,
        another: Another | None,
        conflict: Conflict | None,
        survives_conflict: bool,
        committing: Factory | None,
        new_key: Callable[[], Any] | None,
    ) -> None:
        for name, factory in (("parent", parent), ("child", child)):
            if factory._meta.adapter_for_storing().get_or_create:
                raise WrongFixtureError(
                    f"The fixture `{name}` returns {factory.__name__}, whose adapter has "
                    "get_or_create; return one without: the suite makes its own of it."
                )
        self.parent = parent
        self.child = child
        self.options = options
        self.relation = relation
        self.key_name = key
        self._rows = rows
        self._rollback = rollback
        self._another = another
        self._conflict = conflict
        self._survives_conflict = survives_conflict
        self._committing = committing
        self._new_key = new_key

    # What is asked of the adapter.

    @asynccontextmanager
    async def adapter(self, factory: Factory) -> AsyncGenerator[PersistenceAdapter[Any]]:
        """Give the adapter of a factory, with all in force that the core puts around its use."""
        adapter = factory._meta.adapter_for_storing()
        with options.scope({**options.in_force(), **adapter.ambient_options(factory._meta.model)}):
            yield adapter

    async def built(self, factory: Factory, **values: Any) -> Any:
        """Return an object that is not stored."""
        return await factory.build_async(**values)

    async def save(self, factory: Factory, **values: Any) -> Any:
        """Build one object, and have the adapter's ``save`` store it."""
        instance = await self.built(factory, **values)
        async with self.adapter(factory) as adapter:
            return await adapter.save(instance)

    async def save_many(self, factory: Factory, *values: Mapping[str, Any]) -> Sequence[Any]:
        """Build an object of each of `values`, and have ``save_many`` store them."""
        instances = [await self.built(factory, **some) for some in values]
        async with self.adapter(factory) as adapter:
            return await adapter.save_many(instances)

    async def save_new(self, factory: Factory, *values: Mapping[str, Any]) -> Sequence[Any]:
        """Have ``save_new`` store an object of each of `values`."""

        async def build() -> list[Any]:
            return [await self.built(factory, **some) for some in values]

        async with self.adapter(factory) as adapter:
            return await adapter.save_new(build)

    async def find(self, factory: Factory, **lookup: Any) -> Any:
        async with self.adapter(factory) as adapter:
            return await adapter.find(factory._meta.model, lookup)

    async def find_many(self, factory: Factory, *lookups: Mapping[str, Any]) -> Sequence[Any]:
        async with self.adapter(factory) as adapter:
            return await adapter.find_many(factory._meta.model, lookups)

    async def find_afresh(self, factory: Factory, **lookup: Any) -> Any:
        async with self.adapter(factory) as adapter:
            return await adapter.find_afresh(factory._meta.model, lookup)

    @asynccontextmanager
    async def undoing(self, factory: Factory) -> AsyncGenerator[None]:
        """Have undone at the end what `factory` stores inside, as lint() does."""
        adapter = factory._meta.adapter_for_storing()
        if type(adapter).undo is PersistenceAdapter.undo:
            pytest.skip(
                f"{type(adapter).__name__} cannot undo what it stores: it does not implement undo()"
            )
        try:
            undoing = await linting.undoing(factory)
        except linting.BrokenUndoError:
            raise
        except (AdapterError, OptionError) as error:
            pytest.skip(f"nothing can be undone here: {error}")
        async with undoing:
            yield

    def connection_key(self, factory: Factory, **given: Any) -> Hashable:
        """Return what objects of `factory` are stored through by a call with options `given`."""
        adapter = factory._meta.adapter_for_storing()
        with bind(**given):
            key = adapter.connection_key(factory._meta.model)
        if key is None:
            pytest.skip(
                f"{type(adapter).__name__} stores through what many tasks may use at once: its "
                "connection_key() is None"
            )
        return key

    # What there is to see.

    async def rows(self, factory: Factory) -> dict[Any, Row]:
        """Return what is stored of a factory's objects, by key."""
        rows = await self._read(factory)
        by_key = {row["key"]: row for row in rows}
        assert len(by_key) == len(rows), f"there are rows with one and the same key: {rows}"
        return by_key

    async def names(self, factory: Factory) -> list[str]:
        """Return the names that are stored, sorted."""
        return sorted(row["name"] for row in await self._read(factory))

    async def _read(self, factory: Factory) -> Sequence[Row]:
        rows = await self._rows(factory)
        needed = ["key", "name", "size" if factory is self.parent else self.relation]
        for row in rows:
            for name in needed:
                if name not in row:
                    raise WrongFixtureError(
                        f"The fixture `rows` gave {row!r} for {factory.__name__}, without {name!r};"
                        f" each row has to have {', '.join(map(repr, needed))}."
                    )
        return rows

    def get(self, instance: Any, name: str) -> Any:
        return instance[name] if isinstance(instance, Mapping) else getattr(instance, name)

    def set(self, instance: Any, name: str, value: Any) -> None:
        if isinstance(instance, MutableMapping):
            instance[name] = value
        else:
            setattr(instance, name, value)

    def key(self, instance: Any) -> Any:
        return self.get(instance, self.key_name)

    # Variants of the factories.

    def extended(self, factory: Factory, /, **attributes: Any) -> Factory:
        """Return a factory like `factory`, with further declarations."""
        metaclass: Any = type(factory)
        attributes = {"__module__": factory.__module__, **attributes}
        extended: Factory = metaclass(f"Extended{factory.__name__}", (factory,), attributes)
        return extended

    def get_or_create(self, *fields: str) -> Factory:
        """Return the factory of parents, with get_or_create by `fields`."""
        self.needs_find()
        adapter = copy.copy(self.parent._meta.adapter_for_storing())
        adapter.get_or_create = fields
        return self.extended(self.parent, Meta=type("Meta", (), {"adapter": adapter}))

    def overriding(self, factory: Factory, /, **methods: Callable[..., Any]) -> Factory:
        """Return a factory like `factory`, whose adapter has methods of its own.

        Args:
            factory: The factory.
            methods: The methods. Each may call that of `adapter_class`, which it overrides.
        """
        adapter = copy.copy(factory._meta.adapter_for_storing())
        base = type(adapter)
        # Of the same layout, so that the copy can become one. And a class, not attributes of the
        # copy: which methods an adapter has, its class says.
        adapter.__class__ = type(
            f"Overriding{base.__name__}", (base,), {"__slots__": (), **methods}
        )
        return self.extended(factory, Meta=type("Meta", (), {"adapter": adapter}))

    def adapter_class(self, factory: Factory) -> Any:
        return type(factory._meta.adapter_for_storing())

    def overtaken(self, rival: Callable[[], Awaitable[object]]) -> Factory:
        """Return a factory with get_or_create by name, that somebody else is faster than.

        Args:
            rival: Called, once, after the adapter has not found an object, and before it stores
                one.
        """
        overtaken = self.get_or_create("name")
        adapter: Any = overtaken._meta.adapter_for_storing()
        find, overtaken_by = adapter.find, list[object]()

        async def find_and_be_overtaken(model: Any, lookup: Any) -> Any:
            found = await find(model, lookup)
            if not overtaken_by:
                overtaken_by.append(await rival())
            return found

        adapter.find = find_and_be_overtaken
        return overtaken

    # What not every store can do.

    @property
    def can_find(self) -> bool:
        return type(self.parent._meta.adapter_for_storing()).find is not PersistenceAdapter.find

    def needs_find(self) -> None:
        if not self.can_find:
            adapter = type(self.parent._meta.adapter_for_storing()).__name__
            pytest.skip(f"{adapter} cannot look objects up: it does not implement find()")

    def needs_primary_key(self) -> None:
        adapter = type(self.parent._meta.adapter_for_storing())
        if adapter.primary_key is PersistenceAdapter.primary_key:
            pytest.skip(
                f"{adapter.__name__} does not tell the key of an object: it does not implement "
                "primary_key()"
            )

    def needs_flush(self) -> None:
        adapter = type(self.parent._meta.adapter_for_storing())
        if adapter.flush is PersistenceAdapter.flush:
            pytest.skip(
                f"{adapter.__name__} writes nothing that hooks change: it does not implement "
                "flush()"
            )

    def new_key(self) -> Any:
        """Return a key that nothing has yet."""
        if self._new_key is None:
            pytest.skip("no key is given by the caller: the fixture `new_key` is not given")
        return self._new_key()

    @property
    def transactional(self) -> bool:
        return self._rollback is not None

    def needs_transactions(self) -> None:
        if not self.transactional:
            pytest.skip("the store has no transactions: the fixture `rollback` is not given")

    async def rollback(self) -> None:
        """Undo what can be undone; after a conflict, that is how the store can be used again."""
        if self._rollback is not None:
            await self._rollback()

    def another(self) -> AbstractAsyncContextManager[Mapping[str, Any]]:
        """Give the options of a second connection, which commits on exit."""
        if self._another is None:
            pytest.skip("there is no second connection: the fixture `another` is not given")
        return self._another()

    @property
    def conflict(self) -> Conflict:
        """What is raised when a name is taken."""
        if self._conflict is None:
            pytest.skip("the store takes every name twice: the fixture `conflict` is not given")
        return self._conflict

    def needs_to_survive_a_conflict(self) -> None:
        if not self._survives_conflict:
            pytest.skip(
                "a conflict ends a transaction of this store: the fixture `survives_conflict` says "
                "so"
            )

    @property
    def committing(self) -> Factory:
        """The factory of parents whose adapter was told to commit."""
        if self._committing is None:
            pytest.skip(
                "the adapter is never told to commit: the fixture `committing` is not given"
            )
        return self._committing
