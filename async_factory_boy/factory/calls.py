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

from collections.abc import Awaitable, Callable, Generator, Hashable, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from greenlet import getcurrent

from async_factory_boy import engine, observing, options
from async_factory_boy.adapters import ForEachUse, PersistenceAdapter
from async_factory_boy.factory.turns import Turns

if TYPE_CHECKING:
    from async_factory_boy.factory.requests import Save
    from async_factory_boy.factory.step import Step

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")
Adapter = PersistenceAdapter[Any]


class Place:
    """Where a coroutine runs.

    Args:
        call: The call that it is part of.
        step: The object that it is for.
        using: The connections that it has been called to use.
        path: The loops of the engine that the code which waits for it is in.
    """

    __slots__ = ("call", "path", "step", "using")

    def __init__(
        self,
        call: Call,
        step: Step | None = None,
        using: tuple[Hashable, ...] = (),
        path: Any = (),
    ) -> None:
        self.call = call
        self.step = step
        self.using = using
        self.path = path


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
        options.take_back(token)


class Call:
    """What belongs to one call.

    Args:
        within: The call that it is made in.
    """

    is_over: bool = False
    """Whether it has ended. A task that it has started may go on."""

    last: Save[Any] | None = None
    """Of what is postponed, that which comes last: nobody looks at it before the call ends."""

    progress: Callable[[int, int], object] | None = None

    _under_way: int = 0
    """Of an outermost call: how many calls that are part of it, itself included, are not over."""

    recorded: Any = None
    """What a recorder has noted of it."""

    def __init__(self, within: Call | None = None) -> None:
        self.within: Call | None = _not_over(within)
        within = self.within
        self._root: Call | None = None if within is None else within.root
        self.postponed: list[Save[Any]] = []
        """What is to be stored when somebody could tell, or the call ends."""
        self._uses: list[_Use] = []
        self._checked: dict[object, options.InForce] = {}
        if within is None:
            self.turns = Turns()

    @property
    def root(self) -> Call:
        """The outermost call that it is part of."""
        # Not an attribute: a call that refers to itself would be left to the garbage collector,
        # and its objects with it.
        return self if self._root is None else self._root

    @property
    def is_first_to_store(self) -> bool:
        """Whether nothing was stored so far, neither by it nor by a call that it is part of."""
        return not self._uses and _not_over(self.within) is None

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

    def __enter__(self) -> Call:
        self.root._under_way += 1
        before = _place.get()
        if before is not None and before.call.root is self.root:
            place = Place(self, None, before.using, before.path)
        else:
            place = Place(self)
        self._before = _place.set(place), options.put_in_force(options.in_force())
        return self

    def __exit__(self, *error: object) -> None:
        place, in_force = self._before
        options.take_back(in_force)
        options.take_back(place)
        self.is_over = True
        self.last = None  # it refers to the call
        if self.recorded is not None:
            self.recorded.over()
        root = self.root
        root._under_way -= 1
        # A call in a task that outlives the outermost one goes on in its turn, and ends it.
        if not root._under_way:
            root.turns.let_go()

    async def finish(self) -> None:
        """Have what it has stored made whole; where no call around it will, commit it."""
        within = _not_over(self.within)
        if within is None:
            await self._do("flush", "refresh", "commit")
            return
        await self._do("refresh")
        for use in self._uses:
            # What the rest of the outer call does may leave its objects out of date again.
            within.note(use.adapter, use.model, use.in_force, list(use.instances.values()))

    async def _do(self, *methods: str) -> None:
        if len(self._uses) == 1:  # in one go, as nearly always
            await self._uses[0].do(self, methods)
            return
        for method in methods:
            for use in self._uses:
                await use.do(self, (method,))


def _not_over(call: Call | None) -> Call | None:
    """Return the innermost call that goes on: a task may outlive the one that has started it."""
    while call is not None and call.is_over:
        call = call.within
    return call


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

    async def do(self, call: Call, methods: Sequence[str]) -> None:
        """Call those of some methods that the adapter has, in their order."""
        has = _overridden(type(self.adapter))
        methods = [name for name in methods if name in has]
        if not self.adapter.refreshes and "refresh" in methods:
            methods.remove("refresh")
        if methods:
            with options.restored(self.in_force):
                key = self.adapter.connection_key(self.model)
            await using(call, key, self.in_force, partial(self._work, methods))

    async def _work(self, methods: Sequence[str]) -> None:
        adapter, observer = self.adapter, observing.observer
        with nullcontext() if observer is None else observer.refreshing(adapter):
            for name in methods:
                if name == "refresh":
                    await adapter.refresh(list(self.instances.values()))
                else:
                    await getattr(adapter, name)()


async def using(
    call: Call,
    key: Hashable,
    in_force: options.InForce,
    work: Callable[[], Awaitable[T]],
    step: Step | None = None,
) -> T:
    """Do some work through a connection, in the turn of the call, and one after the other.

    Code that this work calls may store through the same connection.

    Args:
        call: The call that the work is part of.
        key: The connection; ``None`` where nobody has to wait.
        in_force: The options that hold for the work.
        work: Does the work.
        step: An object that it is for.
    """
    before = _place.get()
    root = call.root
    already: tuple[Hashable, ...] = ()
    if before is not None and before.call.root is root:
        already = before.using
    with options.restored(in_force.of_call):
        if key in already:
            return await work()
        if key is None:
            using = already
        else:
            turns = root.turns
            if not turns.use_now(key):
                await turns.use(key, in_use=bool(already))
            using = (*already, key)
        token = _place.set(Place(call, step, using))
        try:
            return await work()
        finally:
            options.take_back(token)
            if key is not None:
                root.turns.end_use(key)


def is_free(call: Call, key: Hashable) -> bool:
    """Return whether the calling code may use a connection at once; take it if it is free."""
    if key is None or isinstance(key, ForEachUse) or call.root.turns.take_now(key):
        return True
    place = _place.get()
    return place is not None and key in place.using


@contextmanager
def uncommitted() -> Generator[Call]:
    """Make all calls inside the block part of one that commits nothing."""
    with Call() as call:
        yield call
