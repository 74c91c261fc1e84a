"""Waves: programs and fibers go on side by side, and wait for the store together.

`run` drives a program in a coroutine. The code between two requests of the program runs in a
fiber, so any of it may wait as well.

Code that does the same for many items says so by `each`. When one of them waits for a store, the
others go on in further fibers, until every one waits or has ended; then the requests that have
the same key are performed together, in a *wave*. Nothing else overlaps: one fiber runs at a time,
and while an awaitable is awaited, no other fiber runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Generic, TypeVar, cast

from greenlet import getcurrent

from async_factory_boy.engine.fibers import (
    IDLE,
    Fiber,
    current_fiber,
    give_back,
    hand_over,
    in_coroutine,
    synchronously,
    take,
)
from async_factory_boy.engine.programs import Answer, Execution, Program, Request

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 (the type of an item)

# No coroutine can raise StopIteration: Python would say no more than that.
EXHAUSTED = (
    "StopIteration in a build: an iterator that it read has come to its end, such as that of an "
    "Iterator(..., cycle=False)."
)


async def run(program: Program[T]) -> T:
    """Run a program, and return what it returns.

    Exceptions, cancellation included, are thrown in where the code waits. When this coroutine
    ends, however it ends, the program and all it started have ended.

    Raises:
        BaseException: What the program raises.
        RuntimeError: When it raises StopIteration, which no coroutine can.
    """
    execution = Execution(program)
    await Waves().run(execution)
    try:
        return execution.result()
    except StopIteration as error:
        raise RuntimeError(EXHAUSTED) from error


def run_here(program: Program[T]) -> T:
    """Run a program within the calling code, which waits for it if it is in a fiber.

    Raises:
        BaseException: What the program raises.
        RuntimeError: When it makes a request, and the calling code is in no fiber.
    """
    if in_coroutine():
        return synchronously(partial(run_here, program))
    execution = Execution(program)
    requests = execution.advance()
    while requests:
        answers: Sequence[Answer] = hand_over(_Asked(current_fiber(), requests))
        execution.answer(answers)
        requests = execution.advance()
    return execution.result()


def submit(request: Request[T]) -> T:
    """Have a request performed, from within a fiber, and return its result.

    Raises:
        RuntimeError: When called outside of a fiber.
        BaseException: What performing it raises, and the cancellation of the caller's task.
    """
    ((value, error),) = hand_over(_Asked(current_fiber(), [request]))
    if error is not None:
        try:
            raise error
        finally:
            del error  # or the traceback and this frame would keep each other alive
    return cast("T", value)


def each(function: Callable[[I], T], items: Sequence[I]) -> list[T]:
    """Call a function with each of some items, in order, and return the results.

    In a fiber, those that wait for a store wait together.

    Raises:
        BaseException: What the first of them that failed has raised. Those after it do not begin,
            and are unwound if they have; so is every other, if it is no `Exception`, but a
            cancellation, say.
    """
    fiber = getcurrent()
    if len(items) < 2 or not isinstance(fiber, Fiber) or fiber.waves is None:
        return [function(item) for item in items]
    return _Loop(function, items, fiber, fiber.waves).run()


def take_turn(place: Hashable, rank: float) -> None:
    """Wait, in a loop of `each`, until it is this item's turn to do what a loop does in order.

    Items before it may have to wait for the store first, to come to the same place.

    Args:
        place: What is done there, once for each item that comes there.
        rank: As that of a `Request`: those of a higher rank are performed before.
    """
    here = path()
    if not here:
        return
    if not _is_turn(here, place):
        submit(_Turn(rank))
    pass_by(here, place)


def path() -> Path:
    """Return the loops that the calling code is in, each with the index of its item."""
    fiber = getcurrent()
    if not isinstance(fiber, Fiber):
        return ()
    return list(zip(fiber.loops, fiber.trail, strict=True))


def pass_by(path: Path, place: Hashable) -> None:
    """Note that items were at a place, without waiting for their turn."""
    for loop, index in reversed(path):
        if loop.passed.get(place, 0) != index:
            return
        loop.passed[place] = index + 1
        if index + 1 < loop.size:
            return


def _is_turn(path: Path, place: Hashable) -> bool:
    """Return whether all items before this one, in all loops, were at a place."""
    for loop, index in reversed(path):
        if loop.passed.get(place, 0) != index:
            return False
        if index > 0:
            return True
    return True


class _Turn(Request[None]):
    """Waits for the items that are before it in order."""

    def __init__(self, rank: float) -> None:
        self.rank = rank

    @property
    def key(self) -> Hashable:
        return None

    @classmethod
    async def perform(cls, requests: Sequence[_Turn]) -> Sequence[None]:
        return [None] * len(requests)


class _Asked:
    """Requests that a fiber waits for, all of the same rank."""

    __slots__ = ("answers", "fiber", "requests", "trail")

    def __init__(self, fiber: Fiber, requests: Sequence[Request[Any]]) -> None:
        self.fiber = fiber
        self.requests = requests
        self.answers: list[Answer | None] = [None] * len(requests)
        self.trail = tuple(fiber.trail)
        """Orders what is asked for as a loop would ask."""


class _Join:
    """Says that a fiber waits for the other fibers of its loop."""


class _Loop(Generic[I, T]):
    """What `each` does. Whichever fiber is free takes the next item.

    Args:
        function: What is called with each item.
        items: The items.
        owner: The fiber that has called `each`. It goes on when all items are done.
        waves: What drives it.
    """

    __slots__ = (
        "_function", "_items", "_limit", "_next", "_results", "_running", "_waves", "base",
        "context", "error", "failed_at", "is_joined", "loops", "owner", "passed", "size",
    )  # fmt: skip

    def __init__(
        self, function: Callable[[I], T], items: Sequence[I], owner: Fiber, waves: Waves
    ) -> None:
        self._function = function
        self._items = items
        self._waves = waves
        self._next = 0
        self._limit = len(items)
        self._running = 0
        self.size = len(items)
        self.passed: dict[Hashable, int] = {}
        """For a place, how many items have been there, each after all before it."""
        self._results: list[Any] = [None] * len(items)
        self.owner = owner
        self.base = tuple(owner.trail)
        self.loops = [*owner.loops, self]
        # What one item sets, while it waits, must not be there for the others.
        self.context = copy_context()
        self.failed_at = 0
        self.error: BaseException | None = None
        self.is_joined = False
        """Whether the owner waits for the others."""

    @property
    def has_more(self) -> bool:
        """Whether there are items that nobody has taken."""
        return self._next < self._limit

    def run(self) -> list[T]:
        """Work on the items, and wait for those that others have taken."""
        self._waves.loops.append(self)
        try:
            self.work(self.owner)
            if self._running:
                self.is_joined = True
                hand_over(_Join())
        finally:
            self._waves.loops.remove(self)
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error, self  # or the traceback and this frame would keep each other alive
        return self._results

    def work(self, fiber: Fiber) -> None:
        """Work on one item after the other, until all are taken."""
        trail, function, items, results = fiber.trail, self._function, self._items, self._results
        trail.append(0)
        loops, fiber.loops = fiber.loops, self.loops
        self._running += 1
        try:
            while self._next < self._limit:
                trail[-1] = index = self._next
                self._next += 1
                try:
                    results[index] = function(items[index])
                except BaseException as error:
                    self._fail(index, error)
        finally:
            trail.pop()
            fiber.loops = loops
            self._running -= 1
        if not self._running and self.is_joined:
            self._waves.go_on_later(self.owner)

    def _fail(self, index: int, error: BaseException) -> None:
        if isinstance(error, _SiblingFailed) and self.error is not None:
            return  # this item was unwound
        if isinstance(error, Exception):
            # Items after it would not have been begun; those before it go on.
            is_first = self.error is None or index < self.failed_at
            if not is_first or not isinstance(self.error, Exception | None):
                return
            self.failed_at, self.error = index, error
            self._limit = min(self._limit, index)
            self._waves.cancel(self.base, index + 1)
        elif self.error is None or isinstance(self.error, Exception):
            self.give_up(error)
            self._waves.cancel(self.base, 0)

    def give_up(self, error: BaseException) -> None:
        """Begin no further item, and have the owner raise an error."""
        self._limit, self.error = 0, error


Path = Sequence[tuple[_Loop[Any, Any], int]]


class Waves:
    """Drives a program, and the fibers that it takes."""

    def __init__(self) -> None:
        self.loops: list[_Loop[Any, Any]] = []
        """Those under way, the innermost last."""
        self._asked: list[_Asked] = []
        self._ready: list[tuple[tuple[int, ...], Fiber, Any, BaseException | None]] = []
        self._busy: set[Fiber] = set()
        self._thread = threading.get_ident()
        self._loop = asyncio._get_running_loop()
        self._context: Context | None = None
        self._main: Fiber | None = None
        """The fiber that the program runs in."""

    async def run(self, execution: Execution[Any]) -> None:
        """Run a program to its end."""
        # It shares the context variables of the caller, both ways, as a plain call does.
        self._context = getcurrent().gr_context
        main = self._main = take(self, self._context)
        try:
            while True:
                self._busy.add(main)
                waited_for = main.resume(execution.advance)
                if waited_for is not IDLE:
                    await self._go_on(main, waited_for)
                    while main in self._busy:
                        await self._next()
                self._busy.discard(main)
                requests: list[Request[Any]] = main.outcome()
                if not requests:
                    break
                execution.answer(await _performed(requests))
        except GeneratorExit:
            # The coroutine was closed: nothing can be awaited from here on.
            self._end_all(execution)
            raise
        finally:
            if self._busy:
                self._end_all(execution)
            elif self._thread == threading.get_ident():
                give_back(main)

    async def _next(self) -> None:
        """Do the next thing: begin another item, go on with a fiber, or perform a wave."""
        loop = next((loop for loop in reversed(self.loops) if loop.has_more), None)
        if loop is not None:
            helper = take(self, loop.context.copy())
            helper.trail[:] = loop.base
            helper.loops = loop.loops[:-1]
            self._busy.add(helper)
            await self._go_on(helper, helper.resume(partial(loop.work, helper)))
        elif self._ready:
            first = min(self._ready, key=lambda one: one[0])
            self._ready.remove(first)
            _, fiber, value, error = first
            await self._go_on(fiber, fiber.resume(value, error))
        else:
            await self._perform()

    async def _go_on(self, fiber: Fiber, waited_for: Any) -> None:
        """Give a fiber what it waits for until it is done, or waits for others."""
        while waited_for is not IDLE:
            if type(waited_for) is _Asked:
                self._asked.append(waited_for)
                return
            if type(waited_for) is _Join:
                return
            value: Any = None
            error: BaseException | None = None
            try:
                value = await waited_for
            except GeneratorExit:
                raise
            except BaseException as raised:
                error = raised
            try:
                waited_for = fiber.resume(value, error)
            finally:
                del value, error  # or the frames of an exception would keep all that alive
        self._busy.discard(fiber)
        if fiber is not self._main:
            fiber.outcome()
            give_back(fiber)

    async def _perform(self) -> None:
        """Perform the requests of the highest rank; the fibers that made them go on."""
        rank = max(asked.requests[0].rank for asked in self._asked)
        asked = sorted(
            (one for one in self._asked if one.requests[0].rank == rank), key=lambda one: one.trail
        )
        self._asked = [one for one in self._asked if one.requests[0].rank != rank]
        answers = iter(await _performed([request for one in asked for request in one.requests]))
        for one in asked:
            self._ready.append(
                (one.trail, one.fiber, [next(answers) for _ in one.requests], None)
            )

    def go_on_later(self, fiber: Fiber) -> None:
        """Have a fiber go on that has waited for the others of its loop."""
        self._ready.append((tuple(fiber.trail), fiber, None, None))

    def cancel(self, base: tuple[int, ...], first: int) -> None:
        """Unwind what works on items of a loop, from the one with index `first` on."""
        depth = len(base)

        def is_meant(trail: tuple[int, ...]) -> bool:
            return trail[:depth] == base and len(trail) > depth and trail[depth] >= first

        for loop in self.loops:
            if is_meant(loop.base) and loop.error is None:
                loop.give_up(_cancelled())
        for index, (trail, fiber, _, error) in enumerate(self._ready):
            if error is None and is_meant(trail) and not _is_joined(fiber, self.loops):
                self._ready[index] = (trail, fiber, None, _cancelled())
        for asked in [asked for asked in self._asked if is_meant(asked.trail)]:
            self._asked.remove(asked)
            self._ready.append((asked.trail, asked.fiber, None, _cancelled()))

    def _end_all(self, execution: Execution[Any]) -> None:
        """Unwind all fibers, each in its own thread, or drop them where that is over."""
        if self._thread != threading.get_ident():
            # The garbage collector of another thread closes the coroutine.
            with suppress(RuntimeError):  # the loop is closed
                if self._loop is not None:
                    self._loop.call_soon_threadsafe(self._end_all, execution)
            return
        for fiber in sorted(self._busy, key=lambda fiber: fiber.trail, reverse=True):
            fiber.end()
        self._busy.clear()
        execution.close()


class _SiblingFailed(asyncio.CancelledError):
    """Is thrown into what works on an item, since another one has failed."""


def _cancelled() -> BaseException:
    return _SiblingFailed("another object of the batch has failed")


def _is_joined(fiber: Fiber, loops: Sequence[_Loop[Any, Any]]) -> bool:
    # It goes on to raise what its loop has failed with.
    return any(loop.owner is fiber and loop.is_joined for loop in loops)


async def _performed(requests: Sequence[Request[Any]]) -> Sequence[Answer]:
    """Perform requests, those together that have the same key; return an answer for each."""
    if len(requests) == 1:
        (request,) = requests
        try:
            (value,) = await request.perform(requests)
        except GeneratorExit:
            raise
        except BaseException as error:
            return [(None, error)]
        return [(value, None)]
    waves: dict[Any, list[int]] = {}
    for index, request in enumerate(requests):
        waves.setdefault((type(request), request.key), []).append(index)
    answers: list[Answer] = [(None, None)] * len(requests)
    for indices in waves.values():
        wave = [requests[index] for index in indices]
        try:
            values = await wave[0].perform(wave)
        except GeneratorExit:
            raise
        except BaseException as error:
            for index in indices:
                answers[index] = (None, error)
            if not isinstance(error, Exception):  # a cancellation: nothing begins after it
                return [answer if answer != (None, None) else (None, error) for answer in answers]
        else:
            for index, value in zip(indices, values, strict=True):
                answers[index] = (value, None)
    return answers
