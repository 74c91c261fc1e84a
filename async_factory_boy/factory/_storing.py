"""What a factory asks of the engine: that an object be stored, or found, by an adapter."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from async_factory_boy import engine, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.base import deferred_commits
from async_factory_boy.exceptions import AdapterError

M = TypeVar("M")


class _Stores(engine.Request[M], Generic[M]):
    """What saving and get_or_create have in common.

    Args:
        adapter: Where to store the object.
        model: Its class.
        build: Constructs it. Called only when it is this request's turn to use the store, because
            an object that only exists may already be reached from others: were another task to
            store those in between, this one would be stored with them, or refused.
    """

    def __init__(
        self, adapter: PersistenceAdapter[M], model: type[M], build: Callable[[], M]
    ) -> None:
        self.adapter = adapter
        self.model = model
        self.build = build
        self.rank = depth.get()
        # What the hook that asks has entered (a transaction) may have ended when the call does.
        self.at_the_end = options.in_force()
        self.in_force = {**self.at_the_end, **adapter.ambient(model)}
        self.stored = _stored.get()

    @property
    def key(self) -> Hashable:
        return id(self.adapter), self.model, options.identity(self.in_force)


class Save(_Stores[M], Generic[M]):
    """Stores a new object."""

    @classmethod
    async def perform(cls, requests: Sequence[Save[M]]) -> Sequence[M]:
        adapter = requests[0].adapter
        with options.scope(requests[0].in_force):
            async with adapter.exclusive():
                # In a build, since the constructor of a model may read a lazy relationship.
                instances = await engine.run(lambda: [request.build() for request in requests])
                if len(instances) == 1:
                    saved: Sequence[M] = [await adapter.save(instances[0])]
                    method = "save"
                else:
                    saved = await adapter.save_many(instances)
                    method = "save_many"
        return _remembered(requests, _checked(adapter, method, saved, len(instances)))


class GetOrCreate(_Stores[M], Generic[M]):
    """Finds an object, or stores a new one.

    Args:
        lookup: The fields that identify it, with their values.
        given: Those of them that the caller of the factory gave a value for. When the new object
            is refused, it is looked up by these alone: the others may have been made up for it.
    """

    def __init__(
        self,
        adapter: PersistenceAdapter[M],
        model: type[M],
        build: Callable[[], M],
        lookup: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> None:
        super().__init__(adapter, model, build)
        self.lookup = lookup
        self.given = given

    @classmethod
    async def perform(cls, requests: Sequence[GetOrCreate[M]]) -> Sequence[M]:
        adapter, model = requests[0].adapter, requests[0].model
        distinct = _Distinct(requests)
        with options.scope(requests[0].in_force):
            async with adapter.exclusive():
                lookups = [request.lookup for request in distinct.requests]
                if len(lookups) == 1:
                    found: Sequence[M | None] = [await adapter.find(model, lookups[0])]
                else:
                    found = await adapter.find_many(model, lookups)
                missing = [
                    request
                    for request, instance in zip(distinct.requests, found, strict=True)
                    if instance is None
                ]
                created = iter(await cls._create(adapter, missing) if missing else ())
        instances = [next(created) if instance is None else instance for instance in found]
        return _remembered(requests, distinct.spread(instances))

    @classmethod
    async def _create(
        cls, adapter: PersistenceAdapter[M], requests: Sequence[GetOrCreate[M]]
    ) -> Sequence[M]:
        async def build() -> list[M]:
            return await engine.run(lambda: [request.build() for request in requests])

        try:
            saved = await adapter.save_new(build)
        except adapter.conflicts:
            if len(requests) > 1:
                # One of them was refused, and so all were. The store does not say which.
                return [(await cls._create(adapter, [request]))[0] for request in requests]
            winner = await requests[0]._winner()
            if winner is None:
                raise
            return [winner]
        return _checked(adapter, "save_new", saved, len(requests))

    async def _winner(self) -> M | None:
        """Return the object that was faster, or None if the conflict was over something else."""
        winner = await self.adapter.find_winner(self.model, self.lookup)
        if winner is None and self.given:
            winner = await self.adapter.find_winner(self.model, self.given)
        return winner


class _Distinct(Generic[M]):
    """Requests that look the same object up are answered by one of them."""

    def __init__(self, requests: Sequence[GetOrCreate[M]]) -> None:
        self.requests: list[GetOrCreate[M]] = []
        self._places: list[int] = []
        by_values: dict[Hashable, int] = {}
        for request in requests:
            values: Hashable = tuple(request.lookup.values())
            try:
                place = by_values.setdefault(values, len(self.requests))
            except TypeError:  # not hashable, such as a list or a dict
                place = self._place_of(request.lookup)
            if place == len(self.requests):
                self.requests.append(request)
            self._places.append(place)

    def _place_of(self, lookup: Mapping[str, Any]) -> int:
        for place, request in enumerate(self.requests):
            if request.lookup == lookup:
                return place
        return len(self.requests)

    def spread(self, instances: Sequence[M]) -> list[M]:
        """Return an instance for each of the requests there were, given one for each distinct."""
        return [instances[place] for place in self._places]


def _checked(
    adapter: PersistenceAdapter[M], method: str, saved: Sequence[M], expected: int
) -> Sequence[M]:
    if len(saved) != expected:
        raise AdapterError(
            f"{type(adapter).__name__}.{method}() returned {len(saved)} instances for {expected}; "
            "it has to return one for each, in order."
        )
    if any(instance is None for instance in saved):
        raise AdapterError(
            f"{type(adapter).__name__}.{method}() returned None; it has to return the instance "
            "that it stored."
        )
    return saved


# How deep in a graph the object is that is being built.
depth: ContextVar[int] = ContextVar("async_factory_boy_depth", default=0)

_Stored = list[tuple[PersistenceAdapter[Any], Mapping[str, Any], Any]]

# The objects stored or found so far in the call that is under way, each with its adapter and the
# options that were in force for it.
_stored: ContextVar[_Stored | None] = ContextVar("async_factory_boy_stored", default=None)


def _remembered(requests: Sequence[_Stores[M]], instances: Sequence[M]) -> Sequence[M]:
    for request, instance in zip(requests, instances, strict=True):
        if request.stored is not None:
            request.stored.append((request.adapter, request.at_the_end, instance))
    return instances


async def call(function: Callable[[], M]) -> M:
    """Run `function` in the engine, and have the adapters finish what it stored."""
    outer = _stored.get()
    stored: _Stored = []
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


_Users = dict[Hashable, tuple[PersistenceAdapter[Any], Mapping[str, Any]]]

# The adapters that the batch under way has used, each with the options in force.
_batch: ContextVar[_Users | None] = ContextVar("async_factory_boy_batch", default=None)


async def call_batch(function: Callable[[], M], size: int, page: int) -> list[M]:
    """Run `function` so many times, at most a page of them at once.

    Args:
        function: Creates one object.
        size: How many times.
        page: How many builds may be alive at once.
    """
    outer = _batch.get()
    users: _Users = {} if outer is None else outer
    results: list[M] = []
    _batch.set(users)
    try:
        with deferred_commits():
            while len(results) < size:
                functions = [function] * min(page, size - len(results))
                with _paused_gc():
                    results += await call(functools.partial(engine.fork, functions))
                if options.batching.progress is not None:
                    options.batching.progress(len(results), size)
    finally:
        _batch.set(outer)
    if outer is None:
        for adapter, in_force in users.values():
            with options.scope(in_force):
                async with adapter.exclusive():
                    await adapter.complete()
    return results


@contextmanager
def uncommitted() -> Generator[None]:
    """Have nothing committed inside the block, as if it were part of a batch that never ends."""
    outer = _batch.get()
    _batch.set({})
    try:
        with deferred_commits():
            yield
    finally:
        _batch.set(outer)


@contextmanager
def _paused_gc() -> Generator[None]:
    """Keep the garbage collector from walking the same suspended builds again and again."""
    pause = gc.isenabled() and options.batching.pause_gc is not False
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()


async def _finish(stored: _Stored) -> None:
    groups: dict[Hashable, tuple[PersistenceAdapter[Any], Mapping[str, Any], dict[int, Any]]]
    groups = {}
    for adapter, in_force, instance in stored:
        key = (id(adapter), options.identity(in_force))
        group = groups.setdefault(key, (adapter, in_force, {}))
        group[2][id(instance)] = instance
    for adapter, in_force, instances in groups.values():
        with options.scope(in_force):
            async with adapter.exclusive():
                await adapter.finish(list(instances.values()))
    batch = _batch.get()
    if batch is not None:
        batch.update((key, group[:2]) for key, group in groups.items())


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
        return engine.submit(Save(adapter, model, build))
    names = _given.get()
    given = {name: value for name, value in lookup.items() if name in names}
    return engine.submit(GetOrCreate(adapter, model, build, lookup, given))
