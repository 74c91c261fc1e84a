"""Fibers: greenlets in which synchronous code waits for coroutines.

A *fiber* is a greenlet that runs synchronous code. Where that code has to wait, the fiber hands
what it waits for to the code that resumed it, its *driver*, which is a coroutine and can await.
SQLAlchemy's asyncio extension rests on the same technique.

Fibers are used again, since Python maps memory for the frames of a new greenlet: that alone costs
a seventh of a small INSERT. A fiber with nothing to do is *idle*, and waits in a pool of its
thread. A fiber with work is never left suspended: its driver resumes it, or ends it.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

if TYPE_CHECKING:
    from async_factory_boy.engine.waves import Waves

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")

IDLE: Final = object()
"""What a fiber hands to its driver when its work is done."""

# More than this many fibers are rarely busy at once, and each keeps some 16 kB.
_POOL_SIZE = 8


class Fiber(greenlet):
    """Runs one piece of synchronous work after the other."""

    # SQLAlchemy's await_only() looks for this name. With it, a hook may read a lazy relationship,
    # as code under AsyncSession.run_sync() may. See sqlalchemy/util/concurrency.py.
    __sqlalchemy_greenlet_provider__ = True

    waves: Waves | None
    """What drives it."""

    place: Any
    """What the running code is part of: set and read by the caller of the engine."""

    trail: list[int]
    """The index of the item it works on, for each loop that this item is nested in."""

    loops: list[Any]
    """These loops."""

    coroutine_task: object
    """While a coroutine runs inside of it (see `step_through`), the task of that coroutine."""

    value: Any
    raised: BaseException | None
    """What its last work has returned, or raised."""

    def __init__(self) -> None:
        super().__init__(_live)
        self.waves = self.place = self.coroutine_task = self.value = self.raised = None
        self.trail, self.loops = [], []

    def resume(self, value: object, error: BaseException | None = None) -> Any:
        """Go on with what was waited for; return what is waited for next, or `IDLE`.

        An idle fiber is resumed with the work to do.
        """
        # The driver may be in another greenlet each time.
        current = getcurrent()
        if self.parent is not current:
            self.parent = current
        if error is not None:
            # With the traceback spelt out: given the exception alone, greenlet drops it.
            return self.throw(type(error), error, error.__traceback__)
        return self.switch(value)

    def outcome(self) -> Any:
        """Return what the work has returned, or raise what it has raised."""
        value, error = self.value, self.raised
        self.value = self.raised = None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the traceback and this frame would keep each other alive
        return value

    def end(self) -> None:
        """Unwind it where nothing can be awaited any more.

        Raises:
            RuntimeError: When its code catches `GreenletExit` and waits again.
        """
        self.resume(None, GreenletExit())
        self.value = self.raised = None
        if self:
            raise RuntimeError("synchronous code in a fiber ignored GreenletExit")


def _live() -> None:
    # No local variable is the fiber: a greenlet that its own frame refers to is never collected.
    current: Callable[[], Any] = getcurrent
    while True:
        work = current().parent.switch(IDLE)  # the driver may be in another greenlet each time
        try:
            current().value = work()
        except BaseException as error:
            current().raised = error
        del work
        if current().waves.is_over:
            return


class _OfThread:
    """The fibers of a thread. They end with it, as greenlets cannot change threads."""

    def __init__(self) -> None:
        self.idle: list[Fiber] = []
        self.under_way: set[Waves] = set()
        """What drives the busy ones."""
        self.event_loop: object = None
        """The one that was last seen."""

    def end_all(self) -> None:
        """Unwind the busy fibers, and end the idle ones."""
        while self.under_way:
            with suppress(RuntimeError):  # code that ignores its end
                self.under_way.pop().end()
        while self.idle:
            self.idle.pop().end()

    def __del__(self) -> None:
        self.end_all()


class _Pool(threading.local):
    def __init__(self) -> None:
        self.of_thread = _OfThread()


_pool = _Pool()


def under_way(event_loop: object) -> set[Waves]:
    """Return what drives the busy fibers of this thread.

    What a closed event loop has left is ended: a loop may be closed without a word to its tasks,
    and the collector does not see what the frames of a suspended greenlet refer to.
    """
    of_thread = _pool.of_thread
    if of_thread.event_loop is not event_loop:
        of_thread.event_loop = event_loop
        for waves in [*of_thread.under_way]:
            if waves.event_loop is not None and waves.event_loop.is_closed():
                with suppress(RuntimeError):  # code that ignores its end
                    waves.end()
    return of_thread.under_way


def take(waves: Waves, context: Context | None) -> Fiber:
    """Return an idle fiber, which is to run in a context."""
    idle = _pool.of_thread.idle
    if idle:
        fiber = idle.pop()
    else:
        fiber = Fiber()
        fiber.switch()  # without work: greenlet keeps what one is first switched to with
    fiber.waves = waves
    fiber.gr_context = context
    return fiber


def give_back(fiber: Fiber) -> None:
    """Have a fiber used again that is idle."""
    if not fiber:
        return  # it has been ended
    fiber.waves = fiber.place = fiber.gr_context = None
    fiber.trail, fiber.loops = [], []
    idle = _pool.of_thread.idle
    if len(idle) < _POOL_SIZE:
        idle.append(fiber)
    else:
        fiber.end()


@atexit.register
def _end_all() -> None:
    _pool.of_thread.end_all()


def in_fiber() -> bool:
    """Return whether the calling code runs in a fiber, and so can `wait`.

    False in a coroutine that `step_through` runs, which can await.
    """
    current = getcurrent()
    return isinstance(current, Fiber) and current.coroutine_task is None


def current_fiber() -> Fiber:
    """Return the fiber of the calling code.

    Raises:
        RuntimeError: When it runs in none.
    """
    current = getcurrent()
    if not isinstance(current, Fiber):
        raise RuntimeError("nothing waits for this code; run it with engine.run()")
    return current


def hand_over(waited_for: object) -> Any:
    """Hand the driver what the calling code waits for, and return what comes of it."""
    driver: Any = current_fiber().parent
    return driver.switch(waited_for)


def wait(awaitable: Awaitable[T]) -> T:
    """Wait for an awaitable from within a fiber, and return its result.

    The driver awaits it, in its own task and greenlet. Nothing else of the call runs meanwhile.

    Raises:
        RuntimeError: When called outside of a fiber (see `in_fiber`).
        BaseException: What the awaitable raises, and the cancellation of the caller's task.
    """
    result: T = hand_over(awaitable)
    return result


def step_through(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine within the fiber, and return its result.

    For a coroutine that may read a lazy value: a plain attribute access, ``user.company``, which
    has to wait. What the coroutine awaits, the driver waits for.

    Raises:
        RuntimeError: When called outside of a fiber (see `in_fiber`).
        BaseException: What the coroutine raises, and the cancellation of the caller's task.
    """
    step: Callable[[Any], Any] = coroutine.send
    argument: Any = None
    while True:
        # No local variable is the fiber, so that it is gone when it is dropped.
        current_fiber().coroutine_task = _current_task()
        try:
            yielded = step(argument)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            current_fiber().coroutine_task = None
            argument = None  # an error, which has this frame in its traceback
        try:
            argument = hand_over(_Yielded(yielded))
            step = coroutine.send
        except BaseException as error:
            argument = error
            step = coroutine.throw


def in_coroutine() -> bool:
    """Return whether the calling code belongs to a coroutine that `step_through` runs.

    A task that such a coroutine starts does not, even if it is started eagerly, at once.
    """
    current = getcurrent()
    return (
        isinstance(current, Fiber)
        and current.coroutine_task is not None
        and current.coroutine_task is _current_task()
    )


def synchronously(function: Callable[[], T]) -> T:
    """Call a function as code of the fiber, which can `wait`, where `in_coroutine`."""
    task, current_fiber().coroutine_task = current_fiber().coroutine_task, None
    try:
        return function()
    finally:
        current_fiber().coroutine_task = task


class _Yielded:
    """Awaiting it hands an object to whoever drives the coroutine, and returns the answer."""

    __slots__ = ("yielded",)

    def __init__(self, yielded: object) -> None:
        self.yielded = yielded

    def __await__(self) -> Generator[object, Any, Any]:
        return (yield self.yielded)


def _current_task() -> object:
    try:
        return asyncio.current_task() or _NO_TASK
    except RuntimeError:  # no event loop of asyncio runs
        return _NO_TASK


_NO_TASK = object()
