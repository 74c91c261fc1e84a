"""One call of a factory, from ``await UserFactory.create_async()`` to its last hook.

A call made within another, in an async hook say, is part of the outermost one: that keeps its turn
on what it stores through, flushes what hooks changed, and commits.

There are two context variables in the library, each for what code can find in no other way:

- the options in force (`async_factory_boy.options`), which `bind` gives to the code below it, and
  which an adapter reads;
- the `Place` of the running coroutine (here), by which a call made in an async hook, or by an
  adapter that is storing something, finds the call that it is part of.

Synchronous code in a fiber has its place in the fiber.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from greenlet import getcurrent

from async_factory_boy import engine, observing, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.engine.programs import Program

if TYPE_CHECKING:
    from async_factory_boy.factory.requests import Save
    from async_factory_boy.factory.step import Step

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")
Adapter = PersistenceAdapter[Any]


class Place(NamedTuple):
    """Where a coroutine runs."""

    call: Call
    step: Step | None = None
    """The object that it is for."""
    using: frozenset[Hashable] = frozenset()
    """The connections that it has been called to use."""
    path: Any = ()
    """The loops of the engine that the code which waits for it is in."""


_place: ContextVar[Place | None] = ContextVar("async_factory_boy_place", default=None)


def current_place() -> Place | None:
    """Return where the calling code runs; ``None`` outside of every call."""
    fiber = getcurrent()
    if isinstance(fiber, engine.Fiber) and (fiber.coroutine_task is None or engine.in_coroutine()):
        step: Step | None = fiber.place
        if step is not None:
            return Place(step.scope.call, step)
    return _place.get()


def in_coroutine() -> bool:
    """Return whether the calling code belongs to a coroutine that is part of a call."""
    if engine.in_fiber():
        return False
    place = current_place()
    return place is not None and not place.call.is_over


async def at(place: Place, awaitable: Awaitable[T], in_force: options.InForce) -> T:
    """Await what belongs to a place, with the options that are in force there."""
    token = _place.set(place)
    try:
        with options.restored(in_force):
            return await awaitable
    finally:
        options.take_back(_place, token)


class Call:
    """What belongs to one call.

    Args:
        within: The call that it is made in.
    """

    is_over: bool = False
    """Whether it has ended. A task that it has started may go on."""

    def __init__(self, within: Call | None = None) -> None:
        while within is not None and within.is_over:
            within = within.within  # a task has outlived what has started it
        self.within: Call | None = within
        self.root: Call = self if within is None else within.root
        self.postponed: list[Save[Any]] = []
        """What is to be stored when somebody could tell, or the call ends."""
        self.progress: Callable[[int, int], object] | None = None
        self._uses: list[_Use] = []
        self._checked: dict[object, options.InForce] = {}
        if self.root is self:
            self.turns = _Turns()

    @classmethod
    def here(cls) -> Call:
        """Return a new call, made where the calling code runs."""
        place = current_place()
        return cls(None if place is None else place.call)

    def check_once(self, subject: object, check: Callable[[], object]) -> None:
        """Check something unless this call has, with the same options in force."""
        in_force = options.in_force()
        if self._checked.get(subject) is not in_force:
            check()
            self._checked[subject] = in_force

    def note(
        self,
        adapter: Adapter,
        model: Any,
        in_force: options.InForce,
        instances: Sequence[Any],
    ) -> None:
        """Note objects that an adapter has stored, or found."""
        noted = self._use(adapter, model, in_force).instances
        for instance in instances:
            noted[id(instance)] = instance

    def is_stored(self, value: object) -> bool:
        """Return whether an object is one that this call has stored, or found."""
        return any(id(value) in use.instances for use in self._uses) or (
            self.within is not None and self.within.is_stored(value)
        )

    def _use(self, adapter: Adapter, model: Any, in_force: options.InForce) -> _Use:
        for use in self._uses:
            if use.adapter is adapter and (
                use.in_force is in_force or use.in_force.identity == in_force.identity
            ):
                return use
        use = _Use(adapter, model, in_force)
        self._uses.append(use)
        return use

    async def run(self, program: Program[T]) -> T:
        """Run what the call is for, and finish what it has stored."""
        before = _place.get()
        if before is not None and before.call.root is self.root:
            token = _place.set(before._replace(call=self, step=None))
        else:
            token = _place.set(Place(self))
        try:
            result = await engine.run(program)
            await self._finish()
            return result
        finally:
            options.take_back(_place, token)
            self.is_over = True
            if self.root is self:
                await self.turns.let_go()

    async def _finish(self) -> None:
        if self.within is not None:
            for use in self._uses:
                if use.has("refresh"):
                    await use.do(self, "refresh")
                # What the rest of the outer call does may leave its objects out of date again.
                self.within.note(use.adapter, use.model, use.in_force, list(use.instances.values()))
            return
        for method in ("flush", "refresh", "commit"):
            for use in self._uses:
                if use.has(method):
                    await use.do(self, method)


@lru_cache(maxsize=256)
def _overridden(adapter: type[Adapter]) -> frozenset[str]:
    """Return which of the methods an adapter has that are called at the end of a call."""
    return frozenset(
        name
        for name in ("flush", "refresh", "commit")
        if getattr(adapter, name) is not getattr(PersistenceAdapter, name)
    )


class _Use:
    """What a call has stored or found by an adapter, with the same options in force."""

    __slots__ = ("adapter", "in_force", "instances", "model")

    def __init__(self, adapter: Adapter, model: Any, in_force: options.InForce) -> None:
        self.adapter = adapter
        self.model = model
        self.in_force = in_force
        self.instances: dict[int, Any] = {}

    def has(self, method: str) -> bool:
        """Return whether the adapter has a method that does anything."""
        adapter = self.adapter
        return method in _overridden(type(adapter)) and (method != "refresh" or adapter.refreshes)

    async def do(self, call: Call, method: str) -> None:
        """Call a method of the adapter."""
        arguments = [list(self.instances.values())] if method == "refresh" else []

        def work() -> Awaitable[None]:
            done: Awaitable[None] = getattr(self.adapter, method)(*arguments)
            return done

        with options.restored(self.in_force):
            key = self.adapter.stored_through(self.model)
        watching: Any = nullcontext()
        if observing.observer is not None and method == "refresh":
            watching = observing.observer.refreshing(self.adapter)
        with watching:
            await using(call, self.adapter, key, self.in_force, work)


async def using(
    call: Call,
    adapter: Adapter,
    key: Hashable,
    in_force: options.InForce,
    work: Callable[[], Awaitable[T]],
    step: Step | None = None,
) -> T:
    """Do some work by an adapter, in the turn of the call, and one after the other.

    Code that this work calls may store through the same connection.

    Args:
        call: The call that the work is part of.
        adapter: The adapter.
        key: What it stores through.
        in_force: The options that hold for the work.
        work: Does the work.
        step: An object that it is for.
    """
    before = _place.get()
    already = frozenset[Hashable]()
    if before is not None and before.call.root is call.root:
        already = before.using
    with options.restored(in_force.of_call):
        if key in already:
            return await work()
        turns = call.root.turns
        if not turns.take_now(key, adapter):
            await turns.take(key, adapter, already)
        # Tasks that a hook has started may store at the same time.
        while turns.is_busy(key):
            await turns.no_longer_busy(key)
        turns.begin(key)
        token = _place.set(Place(call, step, already | {key}))
        try:
            return await work()
        finally:
            options.take_back(_place, token)
            turns.end(key)


class _Turns:
    """The connections that an outermost call keeps to itself until it ends.

    Between two flushes of its own, then, no other task flushes what its hooks have changed so far.
    """

    def __init__(self) -> None:
        self._mine: set[Hashable] = set()
        """The connections that are the call's own."""
        self._held: dict[Hashable, AbstractAsyncContextManager[object]] = {}
        """Those of them that others have to wait for, each with what has been entered."""
        self._exclusive: dict[Hashable, Callable[[], AbstractAsyncContextManager[object]]] = {}
        self._busy: dict[Hashable, list[asyncio.Future[None]]] = {}
        """Those through which something is being done now, each with who waits for its end."""
        self._taking: asyncio.Lock | None = None

    def is_free(self, key: Hashable, adapter: Adapter) -> bool:
        """Return whether the calling code may use a connection at once; take it if it is free."""
        if self._busy and key in self._busy:
            place = _place.get()
            return place is not None and key in place.using
        return self.take_now(key, adapter)

    def take_now(self, key: Hashable, adapter: Adapter) -> bool:
        """Take a connection if nobody has to be waited for; return whether it is the call's."""
        if key in self._mine:
            return True
        if type(adapter).exclusive is not PersistenceAdapter.exclusive:
            manager = adapter.exclusive()
            if self._enters(manager):
                self._mine.add(key)
                return True
            if self._held or self._taking is not None:
                return False
            if isinstance(manager, asyncio.Lock):
                entering = manager.__aenter__()
                try:
                    entering.send(None)
                except StopIteration:  # the lock was free
                    self._hold(key, adapter, manager)
                else:
                    entering.close()
                    return False
            elif not isinstance(manager, nullcontext):
                return False
        self._mine.add(key)
        return True

    async def take(self, key: Hashable, adapter: Adapter, using: frozenset[Hashable]) -> None:
        """Wait for the call's turn on a connection.

        Args:
            key: What the adapter stores through.
            adapter: The adapter, with its options in force.
            using: The connections that the calling code is using.
        """
        if self._taking is None:
            self._taking = asyncio.Lock()
        async with self._taking:
            if key in self._mine:
                return
            manager = adapter.exclusive()
            if self._enters(manager):
                self._mine.add(key)
                return
            if self._held and not using:
                await self._take_with_others(key, adapter)
            else:
                await manager.__aenter__()
                self._hold(key, adapter, manager)
            self._mine.add(key)

    def _enters(self, manager: AbstractAsyncContextManager[object]) -> bool:
        """Return whether the call has entered the same: a lock, for adapters that share one."""
        return any(held is manager for held in self._held.values())

    def _hold(
        self, key: Hashable, adapter: Adapter, manager: AbstractAsyncContextManager[object]
    ) -> None:
        in_force = options.in_force()

        def again() -> AbstractAsyncContextManager[object]:
            with options.restored(in_force):
                return adapter.exclusive()

        self._held[key], self._exclusive[key] = manager, again

    async def _take_with_others(self, key: Hashable, adapter: Adapter) -> None:
        """Let go of all connections, and take them in an order that all calls keep.

        Or two calls could wait for each other, each for what the other one has.
        """
        while any(held in self._busy for held in self._held):
            await self.no_longer_busy(next(held for held in self._held if held in self._busy))
        held = list(self._held)
        await self.let_go()
        self._hold(key, adapter, nullcontext())
        wanted = {one: self._exclusive[one] for one in sorted([*held, key], key=hash)}
        self._held.clear()
        self._mine.difference_update(held)
        for one, exclusive in wanted.items():
            manager = exclusive()
            await manager.__aenter__()
            self._held[one] = manager
            self._mine.add(one)

    def is_busy(self, key: Hashable) -> bool:
        """Return whether something is being done through a connection."""
        return key in self._busy

    async def no_longer_busy(self, key: Hashable) -> None:
        """Wait for the end of what is being done through a connection."""
        future = asyncio.get_running_loop().create_future()
        self._busy[key].append(future)
        await future

    def begin(self, key: Hashable) -> None:
        """Note that something is being done through a connection."""
        self._busy[key] = []

    def end(self, key: Hashable) -> None:
        """Note the end of that."""
        for future in self._busy.pop(key):
            if not future.done():
                future.set_result(None)

    async def let_go(self) -> None:
        """Let go of all connections."""
        while self._held:
            _, manager = self._held.popitem()
            await manager.__aexit__(None, None, None)


@contextmanager
def uncommitted() -> Generator[Call]:
    """Make all calls inside the block part of one that commits nothing."""
    call = Call()
    token = _place.set(Place(call))
    try:
        yield call
    finally:
        call.is_over = True
        options.take_back(_place, token)
