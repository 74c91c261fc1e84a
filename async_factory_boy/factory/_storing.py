"""What a factory asks of the engine: that an object be stored, or found, by an adapter."""

from __future__ import annotations

import functools
import gc
import sys
from abc import abstractmethod
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from async_factory_boy import engine, observing, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.base import commits_deferred, deferred_commits
from async_factory_boy.exceptions import AdapterError, AsyncFactoryError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")
R = TypeVar("R")


class _Stores(engine.Request[M], Generic[M]):
    """What saving and get_or_create have in common.

    Args:
        adapter: Where to store the object.
        model: Its class.
        construct: Makes the object. Called only when it is this request's turn to use the store,
            because an object that only exists may already be reached from others: were another
            task to store those in between, this one would be stored with them, or refused.
    """

    def __init__(
        self, adapter: PersistenceAdapter[M], model: type[M], construct: Callable[[], M]
    ) -> None:
        self.adapter = adapter
        self.model = model
        self.construct = construct
        self.rank = depth.get()
        # What the hook that asks has entered (a transaction) may have ended when the call does.
        self.at_the_end = options.in_force()
        self.in_force = self.at_the_end.over(adapter.ambient(model))
        self.call = _call.get()

    factory: object = None
    """What asks for the object; noted only while somebody observes."""

    @property
    def key(self) -> Hashable:
        return id(self.adapter), self.model, self.in_force.identity

    @classmethod
    async def perform(cls, requests: Sequence[_Stores[M]]) -> Sequence[M]:
        if observing.observer is None:
            return await cls._store(requests)
        factories = [request.factory for request in requests]
        with observing.observer.storing(factories, requests[0].adapter):
            return await cls._store(requests)

    @classmethod
    @abstractmethod
    async def _store(cls, requests: Sequence[Any]) -> Sequence[M]:
        """Do the work of requests that share a key."""

    @classmethod
    async def _built(cls, requests: Sequence[_Stores[M]]) -> list[M]:
        # In a build, since the constructor of a model may read a lazy relationship.
        return await requests[0].run(lambda: [request.construct() for request in requests])


class Save(_Stores[M], Generic[M]):
    """Stores a new object."""

    @classmethod
    async def _store(cls, requests: Sequence[Save[M]]) -> Sequence[M]:
        adapter = requests[0].adapter
        with options.restored(requests[0].in_force):
            async with adapter.exclusive():
                instances = await cls._built(requests)
                if len(instances) == 1:
                    saved: Sequence[M] = [await adapter.save(instances[0])]
                else:
                    saved = await adapter.save_many(instances)
        method = "save" if len(instances) == 1 else "save_many"
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
        construct: Callable[[], M],
        lookup: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> None:
        super().__init__(adapter, model, construct)
        self.lookup = lookup
        self.given = given

    @classmethod
    async def _store(cls, requests: Sequence[GetOrCreate[M]]) -> Sequence[M]:
        adapter, model = requests[0].adapter, requests[0].model
        distinct = _Distinct(requests)
        with options.restored(requests[0].in_force):
            async with adapter.exclusive():
                lookups = [request.lookup for request in distinct.requests]
                found = await _found(adapter, model, lookups)
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
            return await cls._built(requests)

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
            values = tuple(_identifying(value, request.call) for value in request.lookup.values())
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


def _identifying(value: Any, call: _Call | None) -> tuple[object, ...]:
    """Return what is equal for values that a store takes for equal."""
    stored = call is not None and any(id(value) in use.instances for use in call.uses)
    if stored or not isinstance(value, Hashable | list | dict | set):
        # An object with a row of its own, whatever its __eq__() says, which may even load others.
        return ("is", id(value))
    return (isinstance(value, bool), value)  # True == 1, but documents tell them apart


async def _found(
    adapter: PersistenceAdapter[M], model: type[M], lookups: Sequence[Mapping[str, Any]]
) -> Sequence[M | None]:
    method = "find" if len(lookups) == 1 else "find_many"
    try:
        if len(lookups) == 1:
            return [await adapter.find(model, lookups[0])]
        found = await adapter.find_many(model, lookups)
    except Exception as error:
        if sys.version_info >= (3, 11) and _may_mean_none(error):
            error.add_note(
                f"Raised by {type(adapter).__name__}.{method}(), which get_or_create asks for an "
                f"object by {', '.join(map(repr, lookups[0]))}. If this means that there is none, "
                f"{method}() has to return None for it instead."
            )
        raise
    return _counted(adapter, method, found, len(lookups))


# How stores and ORMs call what they raise where there is nothing to return.
_NOT_FOUND = ("NotFound", "NotFoundError", "DoesNotExist", "NoResultFound")


def _may_mean_none(error: Exception) -> bool:
    """Tell whether an error may say that there is no such object, for which `find` returns None."""
    if isinstance(error, AsyncFactoryError):
        return False
    return isinstance(error, LookupError) or any(
        one.__name__.endswith(_NOT_FOUND) for one in type(error).__mro__
    )


def _checked(
    adapter: PersistenceAdapter[M], method: str, saved: Sequence[M], expected: int
) -> Sequence[M]:
    saved = _counted(adapter, method, saved, expected)
    for instance in saved:
        if instance is None:
            raise AdapterError(
                f"{type(adapter).__name__}.{method}() returned None; it has to return the instance "
                "that it stored."
            )
    return saved


def _counted(
    adapter: PersistenceAdapter[Any], method: str, answers: Sequence[R], expected: int
) -> Sequence[R]:
    if isinstance(answers, list | Sequence) and len(answers) == expected:
        return answers
    if isinstance(answers, Sequence):
        returned = f"{len(answers)} {'answers' if method == 'find_many' else 'instances'}"
    else:
        returned = "None" if answers is None else f"an object of type {type(answers).__name__}"
    raise AdapterError(
        f"{type(adapter).__name__}.{method}() returned {returned} for {expected}; it has to return "
        f"a list with one for each, in order{', None for none' * (method == 'find_many')}."
    )


# How deep in a graph the object is that is being built.
depth: ContextVar[int] = ContextVar("async_factory_boy_depth", default=0)


class _Call:
    """What a call that is under way has come to know."""

    def __init__(self) -> None:
        self.uses: list[_Use] = []
        self.checked: dict[object, options.InForce] = {}
        """What was checked, each with the options that were in force."""

    def use(self, adapter: PersistenceAdapter[Any], in_force: options.InForce) -> _Use:
        """Return what was done so far by an adapter with these options in force."""
        for use in self.uses:
            if use.adapter is adapter and (
                use.in_force is in_force or use.in_force.identity == in_force.identity
            ):
                return use
        use = _Use(adapter, in_force)
        self.uses.append(use)
        return use

    def adopt(self, inner: _Call) -> None:
        """Note what a call that was made by this one has done."""
        for use in inner.uses:
            self.use(use.adapter, use.in_force).instances.update(use.instances)


class _Use:
    """What a call has stored or found by an adapter, with the same options in force."""

    def __init__(self, adapter: PersistenceAdapter[Any], in_force: options.InForce) -> None:
        self.adapter = adapter
        self.in_force = in_force
        self.instances: dict[int, Any] = {}

    async def finish(self) -> None:
        if type(self.adapter).finish is not PersistenceAdapter.finish:
            if observing.observer is None:
                await self._finish()
            else:
                with observing.observer.finishing(self.adapter):
                    await self._finish()

    async def _finish(self) -> None:
        with options.restored(self.in_force):
            async with self.adapter.exclusive():
                await self.adapter.finish(list(self.instances.values()))

    async def complete(self) -> None:
        if type(self.adapter).complete is not PersistenceAdapter.complete:
            with options.restored(self.in_force):
                async with self.adapter.exclusive():
                    await self.adapter.complete()


_call: ContextVar[_Call | None] = ContextVar("async_factory_boy_call", default=None)


def _remembered(requests: Sequence[_Stores[M]], instances: Sequence[M]) -> Sequence[M]:
    call = in_force = None
    noted: dict[int, M] = {}
    for request, instance in zip(requests, instances, strict=True):
        if request.call is not call or request.at_the_end is not in_force:
            call, in_force = request.call, request.at_the_end
            noted = {} if call is None else call.use(request.adapter, in_force).instances
        noted[id(instance)] = instance
    return instances


def check_once(subject: object, check: Callable[[], object]) -> None:
    """Check something unless this call has, with the same options in force."""
    call, in_force = _call.get(), options.in_force()
    if call is None:
        check()
    elif call.checked.get(subject) is not in_force:
        check()
        call.checked[subject] = in_force


async def call(function: Callable[[], M]) -> M:
    """Run `function` in the engine, and have the adapters finish what it stored."""
    outer = _call.get()
    inner = _Call()
    _call.set(inner)
    try:
        result = await engine.run(function)
    finally:
        _call.set(outer)
    batch = _batch.get()
    for use in inner.uses:
        await use.finish()
        if batch is not None:
            batch.use(use.adapter, use.in_force)
    if outer is not None:
        # A call made in an async hook: what the rest of the outer call does may leave these
        # objects out of date once more.
        outer.adopt(inner)
    return result


# What the batch under way has used.
_batch: ContextVar[_Call | None] = ContextVar("async_factory_boy_batch", default=None)

# What the batch under way tells how far it is; it is not for those that its hooks create.
_told: ContextVar[Callable[[int, int], object] | None] = ContextVar(
    "async_factory_boy_told", default=None
)


def fork(function: Callable[[], M], size: int, page: int) -> list[M]:
    """Do, from within a build, what `call_batch` does outside of one."""
    results: list[M] = []
    while len(results) < size:
        results += engine.fork([function] * min(page, size - len(results)))
    return results


async def call_batch(function: Callable[[], M], size: int, page: int) -> list[M]:
    """Run `function` so many times, at most a page of them at once.

    Args:
        function: Creates one object.
        size: How many times.
        page: How many builds may be alive at once.
    """
    outer = _batch.get()
    # A task that a hook has started may outlive the batch that is in its context.
    part_of = outer if commits_deferred() else None
    batch = _Call() if part_of is None else part_of
    results: list[M] = []
    progress, told = options.batching.progress, _told.get()
    if progress is told:
        progress = None
    else:
        _told.set(progress)
    _batch.set(batch)
    try:
        with deferred_commits():
            while len(results) < size:
                functions = [function] * min(page, size - len(results))
                with _paused_gc():
                    results += await call(functools.partial(engine.fork, functions))
                if progress is not None:
                    progress(len(results), size)
    finally:
        _batch.set(outer)
        _told.set(told)
    if part_of is None:
        for use in batch.uses:
            await use.complete()
    return results


@contextmanager
def uncommitted() -> Generator[None]:
    """Have nothing committed inside the block, as if it were part of a batch that never ends."""
    outer = _batch.get()
    _batch.set(_Call())
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


def request(
    adapter: PersistenceAdapter[M],
    model: type[M],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    lookup: Mapping[str, Any],
) -> _Stores[M]:
    """Ask for an object of `model` to be stored, or found if there is a `lookup`."""

    def construct() -> M:
        return adapter.build(model, args, kwargs)

    if not lookup:
        return Save(adapter, model, construct)
    names = _given.get()
    given = {name: value for name, value in lookup.items() if name in names}
    return GetOrCreate(adapter, model, construct, lookup, given)


# Whether the object that is built next is the last thing that a forked function does.
_is_last: ContextVar[bool] = ContextVar("async_factory_boy_is_last", default=False)


def as_last(function: Callable[[], M]) -> Callable[[], M]:
    """Return a function to be forked: one whose last act is to build an object, all there is."""

    def call() -> M:
        _is_last.set(True)  # in the context of this branch, where nothing comes after
        return function()

    return call


def is_last() -> bool:
    """Tell whether the object to build is one of `as_last`; those that it is made of are not."""
    last = _is_last.get()
    if last:
        _is_last.set(False)
    return last
