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
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from heapq import heappop, heappush
from itertools import count
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar, cast

from greenlet import GreenletExit, getcurrent

from async_factory_boy.engine.fibers import (
    IDLE,
    Fiber,
    current_fiber,
    give_back,
    hand_over,
    in_coroutine,
    synchronously,
    take,
    under_way,
)
from async_factory_boy.engine.programs import Answer, Execution, Program, Request

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 (the type of an item)

Trail = tuple[int, ...]
"""The index of the item that a fiber works on, for each loop; it orders them as one loop would."""

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
    await Waves(execution).run()
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
        result: T = synchronously(partial(run_here, program))
        return result
    execution = Execution(program)
    requests = execution.advance()
    while requests:
        execution.answer(_answers(requests))
        requests = execution.advance()
    return execution.result()


def _answers(requests: Sequence[Request[Any]]) -> Sequence[Answer]:
    try:
        answers: Sequence[Answer] = hand_over(_Asked(requests))
    except BaseException as error:  # a cancellation, which each program is to see
        return [(None, error)] * len(requests)
    return answers


def submit(request: Request[T]) -> T:
    """Have a request performed, from within a fiber, and return its result.

    Raises:
        RuntimeError: When called outside of a fiber.
        BaseException: What performing it raises, and the cancellation of the caller's task.
    """
    ((value, error),) = hand_over(_Asked([request]))
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
    waves = getattr(getcurrent(), "waves", None)
    if len(items) < 2 or waves is None:
        return [function(item) for item in items]
    return _Loop(function, items, waves).run()


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


class _Asked(NamedTuple):
    """Says that a fiber waits for requests, all of the same rank."""

    requests: Sequence[Request[Any]]


class _Join(NamedTuple):
    """Says that a fiber waits for the others that work on the items of a loop."""

    loop: _Loop[Any, Any]


class _Loop(Generic[I, T]):
    """What `each` does. Whichever fiber is free takes the next item.

    Args:
        function: What is called with each item.
        items: The items.
        waves: What drives the calling fiber, which goes on when all items are done.
    """

    __slots__ = (
        "_function", "_items", "_limit", "_next", "_results", "_running", "_waves", "base",
        "context", "error", "failed_at", "outer", "passed", "size",
    )  # fmt: skip

    def __init__(self, function: Callable[[I], T], items: Sequence[I], waves: Waves) -> None:
        fiber = current_fiber()
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
        self.base = tuple(fiber.trail)
        self.outer = fiber.loops
        # What one item sets, while it waits, must not be there for the others.
        self.context = copy_context()
        self.failed_at = 0
        self.error: BaseException | None = None

    @property
    def has_more(self) -> bool:
        """Whether there are items that nobody has taken."""
        return self._next < self._limit

    def run(self) -> list[T]:
        """Work on the items, and wait for those that others have taken."""
        self._waves.enter(self)
        try:
            self.work()
            if self._running and not self._waves.is_dropped:
                hand_over(_Join(self))
            if self.error is not None:
                raise self.error
        finally:
            self._waves.leave(self)
            self.error = None  # or the traceback and this object would keep each other alive
        return self._results

    def work(self) -> None:
        """Work on one item after the other, until all are taken."""
        function, items, results = self._function, self._items, self._results
        # No local variable is the fiber, so that it is gone when it is dropped.
        trail = current_fiber().trail
        trail.append(0)
        current_fiber().loops = [*self.outer, self]
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
            current_fiber().loops = self.outer
            self._running -= 1
        if not self._running:
            self._waves.go_on_later(self)

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


class _Ready(NamedTuple):
    """A fiber that can go on, among others in the order in which they do."""

    goes_on: bool
    """False where it is only unwound, which comes first."""
    trail: Trail
    number: int
    """Tells those apart that have the same trail."""
    fiber: Fiber
    value: Any
    error: BaseException | None


class Waves:
    """Drives a program, and the fibers that it takes."""

    is_over = False
    """Whether fibers are only unwound, and not used again."""

    is_dropped = False
    """Whether each of them is unwound on its own, when nothing refers to it any more."""

    def __init__(self, execution: Execution[Any]) -> None:
        self._loops: set[_Loop[Any, Any]] = set()
        """Those under way."""
        self._open: list[_Loop[Any, Any]] = []
        """Those that may have items which nobody has taken, the innermost last."""
        self._asked: list[tuple[Trail, Fiber, Sequence[Request[Any]]]] = []
        self._joined: dict[_Loop[Any, Any], Fiber] = {}
        """The fibers that wait for the others of a loop."""
        self._ready: list[_Ready] = []
        """A heap of what can go on."""
        self._numbers = count()
        self._busy: set[Fiber] = set()
        self._thread = threading.get_ident()
        self.event_loop = asyncio._get_running_loop()
        self._execution = execution
        # It shares the context variables of the caller, both ways, as a plain call does.
        self._main: Fiber | None = take(self, getcurrent().gr_context)
        """The fiber that the program runs in."""
        self._under_way = under_way(self.event_loop)

    async def run(self) -> None:
        """Run the program to its end."""
        main, execution = cast("Fiber", self._main), self._execution
        self._under_way.add(self)
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
        except BaseException:
            # The coroutine was closed, say: nothing can be awaited from here on.
            self.end()
            raise
        finally:
            self._under_way.discard(self)
        give_back(main)

    async def _next(self) -> None:
        """Do the next thing: begin another item, go on with a fiber, or perform a wave."""
        # What is only unwound comes first, so that nothing begins after a failure.
        begins = not self._ready or self._ready[0].goes_on
        loop = self._innermost() if begins else None
        if loop is not None:
            helper = take(self, loop.context.copy())
            helper.trail[:] = loop.base
            helper.loops = loop.outer
            self._busy.add(helper)
            await self._go_on(helper, helper.resume(loop.work))
        elif self._ready:
            one = heappop(self._ready)
            await self._go_on(one.fiber, one.fiber.resume(one.value, one.error))
        else:
            await self._perform()

    async def _go_on(self, fiber: Fiber, waited_for: Any) -> None:
        """Give a fiber what it waits for until it is done, or waits for others."""
        while waited_for is not IDLE:
            if type(waited_for) is _Asked:
                self._asked.append((tuple(fiber.trail), fiber, waited_for.requests))
                return
            if type(waited_for) is _Join:
                self._joined[waited_for.loop] = fiber
                return
            value: Any = None
            error: BaseException | None = None
            try:
                if fiber is self._main:
                    value = await waited_for
                else:
                    # With what the item has set in its own context.
                    value = await _InContext(cast("Context", fiber.gr_context), waited_for)
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
        rank = max(requests[0].rank for _, _, requests in self._asked)
        asked = [one for one in self._asked if one[2][0].rank == rank]
        asked.sort(key=itemgetter(0))
        self._asked = [one for one in self._asked if one[2][0].rank != rank]
        answers = iter(await _performed([request for *_, some in asked for request in some]))
        for _, fiber, requests in asked:
            self._go_on_later(fiber, [next(answers) for _ in requests])
        del answers  # or the traceback of an error and this frame would keep each other alive

    def enter(self, loop: _Loop[Any, Any]) -> None:
        """Have fibers take items of a loop, when others wait."""
        self._loops.add(loop)
        self._open.append(loop)

    def leave(self, loop: _Loop[Any, Any]) -> None:
        """Note that all items of a loop are done."""
        self._loops.discard(loop)
        self._innermost()

    def _innermost(self) -> _Loop[Any, Any] | None:
        """Return the innermost loop with items that nobody has taken."""
        while self._open and not self._open[-1].has_more:
            self._open.pop()
        return self._open[-1] if self._open else None

    def go_on_later(self, loop: _Loop[Any, Any]) -> None:
        """Have the fiber go on that waits for the others of a loop, if one does."""
        fiber = self._joined.pop(loop, None)
        if fiber is not None:
            self._go_on_later(fiber, error=loop.error)

    def _go_on_later(
        self, fiber: Fiber, value: Any = None, error: BaseException | None = None
    ) -> None:
        trail, number = tuple(fiber.trail), next(self._numbers)
        heappush(self._ready, _Ready(error is None, trail, number, fiber, value, error))

    def cancel(self, base: Trail, first: int) -> None:
        """Unwind what works on items of a loop, from the one with index `first` on."""
        depth = len(base)

        def is_meant(trail: Trail) -> bool:
            return trail[:depth] == base and len(trail) > depth and trail[depth] >= first

        for loop in self._loops:
            if is_meant(loop.base) and loop.error is None:
                loop.give_up(_cancelled())
        ready, self._ready = self._ready, []
        for one in ready:
            if one.error is None and is_meant(one.trail):
                self._go_on_later(one.fiber, error=_cancelled())
            else:
                heappush(self._ready, one)
        asked, self._asked = self._asked, []
        for trail, fiber, requests in asked:
            if is_meant(trail):
                self._go_on_later(fiber, error=_cancelled())
            else:
                self._asked.append((trail, fiber, requests))

    def end(self) -> None:
        """Unwind all fibers, each in its own thread, or drop them where that is over.

        Raises:
            RuntimeError: When the code in one catches `GreenletExit` and waits again.
        """
        if self.is_over:
            return
        self.is_over = self.is_dropped = True
        self._under_way.discard(self)
        fibers, joined = [*self._busy], dict(self._joined)
        if self._main is not None and self._main not in self._busy:
            fibers.append(self._main)
        # Their frames refer to this object. When they are dropped, nothing may refer to them.
        self._main = None
        for some in (self._busy, self._asked, self._joined, self._ready):
            some.clear()
        if self._thread == threading.get_ident():
            self._unwind(fibers, joined)
        elif self.event_loop is not None:
            # The garbage collector of another thread closes the coroutine.
            with suppress(RuntimeError):  # the loop is closed
                self.event_loop.call_soon_threadsafe(self._unwind, fibers, joined)

    def _unwind(self, fibers: Sequence[Fiber], joined: dict[_Loop[Any, Any], Fiber]) -> None:
        """Unwind fibers in order, without awaiting anything, and close the program."""
        self.is_dropped = False
        self._joined = joined
        waiting = set(joined.values())
        refusing = self._ended(fiber for fiber in fibers if fiber not in waiting)
        refused = bool(refusing)
        self.is_dropped = True
        # They may have waited in a finally block, and end now.
        refusing = self._ended(refusing)
        for fiber in refusing:
            fiber.place = fiber  # kept for good: dropped, greenlet would raise in it again
        left, self._joined = self._joined, {}
        self._ended(left.values())
        self._execution.close()
        if refused:
            raise RuntimeError("synchronous code in a fiber ignored GreenletExit")

    def _ended(self, fibers: Iterable[Fiber]) -> list[Fiber]:
        """End fibers, and those that wait for them; return those that wait for something else."""
        for fiber in fibers:
            self._go_on_later(fiber, error=GreenletExit())
        refusing = []
        while self._ready:
            one = heappop(self._ready)
            waited_for = one.fiber.resume(one.value, one.error)
            if type(waited_for) is _Join:
                self._joined[waited_for.loop] = one.fiber
            elif one.fiber:
                refusing.append(one.fiber)
        return refusing


class _SiblingFailed(asyncio.CancelledError):
    """Is thrown into what works on an item, since another one has failed."""


class _InContext:
    """Awaits an awaitable in a context of its own, in the task of the caller."""

    def __init__(self, context: Context, awaitable: Awaitable[Any]) -> None:
        self._context = context
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        run = self._context.run
        awaiting = _awaited(self._awaitable)  # what __await__() returns need have no send()
        step: Callable[[Any], Any] = awaiting.send
        argument: Any = None
        while True:
            try:
                yielded = run(step, argument)
            except StopIteration as end:
                return end.value
            finally:
                argument = None  # an error, which has this frame in its traceback
            try:
                argument = yield yielded
                step = awaiting.send
            except BaseException as error:
                argument = error
                step = awaiting.throw


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _cancelled() -> BaseException:
    return _SiblingFailed("another object of the batch has failed")


async def _performed(requests: Sequence[Request[Any]]) -> Sequence[Answer]:
    """Perform requests, those together that have the same key; return an answer for each."""
    answers: list[Answer] = [(None, None)] * len(requests)
    error: BaseException | None = None
    try:
        if len(requests) == 1:
            (value,), error = await _performed_together(requests)
            answers[0] = (value, error)
            return answers
        waves: dict[Any, list[int]] = {}
        for index, request in enumerate(requests):
            waves.setdefault((type(request), request.key), []).append(index)
        for indices in waves.values():
            values: Sequence[Any] = [None] * len(indices)
            if isinstance(error, Exception | None):  # nothing begins after a cancellation
                values, error = await _performed_together([requests[index] for index in indices])
            for index, value in zip(indices, values, strict=True):
                answers[index] = (value, error)
        return answers
    finally:
        del answers, error  # or an error's traceback and this frame would keep each other alive


async def _performed_together(
    requests: Sequence[Request[Any]],
) -> tuple[Sequence[Any], BaseException | None]:
    try:
        return await requests[0].perform(requests), None
    except GeneratorExit:
        raise
    except BaseException as error:
        return [None] * len(requests), error
