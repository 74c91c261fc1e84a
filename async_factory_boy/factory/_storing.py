"""What a factory asks of the engine: that an object be stored, or found, by an adapter."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from async_factory_boy import engine, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.exceptions import AdapterError

M = TypeVar("M")


class Save(engine.Request[M], Generic[M]):
    """Stores a new object.

    Args:
        adapter: Where to store it.
        build: Constructs the object. Called only when it is this request's turn to use the store,
            because an object that only exists may already be reached from others: were another
            task to store those in between, this one would be stored with them, or refused.
    """

    def __init__(self, adapter: PersistenceAdapter[M], build: Callable[[], M]) -> None:
        self.adapter = adapter
        self.build = build

    async def perform(self) -> M:
        async with self.adapter.exclusive():
            # In a greenlet, since the constructor of a model may read a lazy relationship.
            instance = await engine.run(self.build)
            saved = await self.adapter.save(instance)
        return _remembered(self.adapter, _checked(self.adapter, "save", saved))


class GetOrCreate(engine.Request[M], Generic[M]):
    """Finds an object, or stores a new one.

    Args:
        adapter: Where to look, and to store.
        model: The class of the object.
        lookup: The fields that identify it, with their values.
        given: Those of them that the caller of the factory gave a value for. When the new object
            is refused, it is looked up by these alone: the others may have been made up for it.
        build: Constructs the new object, as for `Save`; called only when none was found.
    """

    def __init__(
        self,
        adapter: PersistenceAdapter[M],
        model: type[M],
        lookup: Mapping[str, Any],
        given: Mapping[str, Any],
        build: Callable[[], M],
    ) -> None:
        self.adapter = adapter
        self.model = model
        self.lookup = lookup
        self.given = given
        self.build = build

    async def perform(self) -> M:
        async with self.adapter.exclusive():
            instance = await self.adapter.find(self.model, self.lookup)
            if instance is None:
                instance = await self._create()
        return _remembered(self.adapter, instance)

    async def _create(self) -> M:
        try:
            saved = await self.adapter.save_new(lambda: engine.run(self.build))
        except self.adapter.conflicts:
            for lookup in (self.lookup, self.given):
                if lookup:
                    winner = await self.adapter.find_winner(self.model, lookup)
                    if winner is not None:
                        return winner
            raise
        return _checked(self.adapter, "save_new", saved)


def _checked(adapter: PersistenceAdapter[M], method: str, saved: M) -> M:
    if saved is None:
        raise AdapterError(
            f"{type(adapter).__name__}.{method}() returned None; it has to return the instance "
            "that it stored."
        )
    return saved


# The objects stored or found so far in the call that is under way, each with its adapter and the
# options that were in force for it.
_stored: ContextVar[list[tuple[PersistenceAdapter[Any], Mapping[str, Any], Any]] | None]
_stored = ContextVar("async_factory_boy_stored", default=None)


def _remembered(adapter: PersistenceAdapter[M], instance: M) -> M:
    stored = _stored.get()
    if stored is not None:
        stored.append((adapter, options.in_force(), instance))
    return instance


async def call(function: Callable[[], M]) -> M:
    """Run `function` in the engine, and have the adapters finish what it stored."""
    outer = _stored.get()
    stored: list[tuple[PersistenceAdapter[Any], Mapping[str, Any], Any]] = []
    _stored.set(stored)
    try:
        result = await engine.run(function)
    finally:
        _stored.set(outer)
    if stored:
        await _finish(stored)
        if outer is not None:
            # A call made in an async hook: what the rest of the outer call does may leave these
            # objects out of date once more.
            outer.extend(stored)
    return result


async def _finish(
    stored: list[tuple[PersistenceAdapter[Any], Mapping[str, Any], Any]],
) -> None:
    groups: dict[tuple[int, int], tuple[PersistenceAdapter[Any], Mapping[str, Any], dict[int, Any]]]
    groups = {}
    for adapter, in_force, instance in stored:
        group = groups.setdefault((id(adapter), id(in_force)), (adapter, in_force, {}))
        group[2][id(instance)] = instance
    for adapter, in_force, instances in groups.values():
        with options.scope(in_force):
            async with adapter.exclusive():
                await adapter.finish(list(instances.values()))


# The names of the keywords that the object under construction was asked for with.
_given: ContextVar[frozenset[str]] = ContextVar("async_factory_boy_given", default=frozenset())


@contextmanager
def given(names: frozenset[str]) -> Generator[None]:
    """Note the keywords that an object is asked for with, for the `store` inside the block."""
    before = _given.get()
    _given.set(names)
    try:
        yield
    finally:
        _given.set(before)


def store(
    adapter: PersistenceAdapter[M],
    model: type[M],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    lookup: Mapping[str, Any],
) -> M:
    """Store an object of `model`, or find it if there is a `lookup`; called from a build."""

    def build() -> M:
        return adapter.build(model, args, kwargs)

    if not lookup:
        return engine.submit(Save(adapter, build))
    names = _given.get()
    given = {name: value for name, value in lookup.items() if name in names}
    return engine.submit(GetOrCreate(adapter, model, lookup, given, build))
