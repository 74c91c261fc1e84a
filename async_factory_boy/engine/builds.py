"""Builds: synchronous code that runs in a greenlet, and hands what it waits for to a coroutine."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from greenlet import GreenletExit, getcurrent, greenlet

if TYPE_CHECKING:
    from async_factory_boy.engine.waves import Branch

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")
R = TypeVar("R")

# No coroutine can raise StopIteration: Python would say no more than that.
EXHAUSTED = (
    "StopIteration in a build: an iterator that it read has come to its end, such as that of an "
    "Iterator(..., cycle=False)."
)


class Request(ABC, Generic[R]):
    """Work on a store that a build waits for. Awaiting it does the work, for it alone."""

    rank: float = 0
    """Requests of the highest rank are performed first. The deeper in a graph an object is, the
    higher it ranks: then its siblings' parents are all waiting when their turn comes."""

    build: Build | None = None
    """What waits for it; ``None`` if that has ended, by returning it."""

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """What requests must have in common to be performed together."""

    @classmethod
    @abstractmethod
    async def perform(cls, requests: Sequence[Any]) -> Sequence[R]:
        """Do the work of requests that share a key; return a result for each, in order."""

    def __await__(self) -> Generator[Any, Any, R]:
        return self._alone().__await__()

    async def _alone(self) -> R:
        (result,) = await self.perform([self])
        return result

    async def run(self, function: Callable[[], T]) -> T:
        """Run, while performing it, a function that may wait: in the build that it is for."""
        if self.build is None:
            return await run(function)
        errand: _Errand = await _drive(self.build, self.build.resume(_Errand(function)))
        if errand.error is not None:
            try:
                raise errand.error
            finally:
                del errand  # or the frames of the exception would keep it alive
        return cast("T", errand.value)


class _Errand:
    """A function that a build calls while it waits for a request."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.value: Any = None
        self.error: BaseException | None = None

    def do(self) -> _Errand:
        try:
            self.value = self.function()
        except BaseException as error:
            self.error = error
        return self


class Build(greenlet):
    """The greenlet that a build runs in."""

    # SQLAlchemy's await_only() looks for this name: with it, a hook may read a lazy relationship,
    # as code under AsyncSession.run_sync() may. See sqlalchemy/util/concurrency.py.
    __sqlalchemy_greenlet_provider__ = True

    branch: Branch | None = None
    """What it is, if it was forked."""

    in_coroutine = False
    """Whether a coroutine that it waits for is running, in this greenlet."""

    coroutines = 0
    """How many coroutines have begun in it, and not ended."""

    task: object = None
    """The task that runs that coroutine."""

    def resume(self, value: Any, error: BaseException | None = None) -> Any:
        """Let it go on until it waits or ends; return what it waits for, or has returned."""
        # It may be another greenlet each time: a task that is started eagerly in a hook begins in
        # that of the hook, and goes on in that of the event loop.
        current = getcurrent()
        if self.parent is not current:
            self.parent = current
        if error is not None:
            # With the traceback spelt out: given the exception alone, greenlet drops it.
            return self.throw(type(error), error, error.__traceback__)
        return self.switch(value)

    def kill(self) -> None:
        """Unwind it where nothing can be awaited any more."""
        while self:
            self.resume(None, GreenletExit())


def in_build() -> bool:
    """Tell whether the calling code runs in a build, so that it can `wait`.

    Not so in a coroutine that the build waits for, which can await; see `in_coroutine`.
    """
    current = getcurrent()
    return isinstance(current, Build) and not current.in_coroutine


def in_coroutine() -> bool:
    """Tell whether the calling code belongs to a coroutine that a build waits for.

    A task that such a coroutine starts does not, even if it is started eagerly, at once.
    """
    current = getcurrent()
    return isinstance(current, Build) and current.in_coroutine and current.task is _current_task()


def synchronously(function: Callable[[], T]) -> T:
    """Call `function` as code of the build, where `in_coroutine`.

    An async declaration may read another one, ``user.company``: a plain attribute access, which
    has to wait.
    """
    build = cast("Build", getcurrent())
    build.in_coroutine = False
    try:
        return function()
    finally:
        build.in_coroutine = True


def wait(awaitable: Awaitable[T]) -> T:
    """Wait for `awaitable` from within a build, and return its result.

    Its code runs in the build, not in the driver, so that what it calls may wait too.

    Raises:
        RuntimeError: When called outside of a build (see `in_build`).
        BaseException: Whatever the awaitable raises, and the cancellation of the caller's task.
    """
    build = current_build()
    coroutine = awaitable if isinstance(awaitable, Coroutine) else _awaiting(awaitable)
    build.coroutines += 1
    try:
        return cast("T", _step_through(build, coroutine))
    finally:
        build.coroutines -= 1


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _step_through(build: Build, coroutine: Coroutine[Any, Any, Any]) -> Any:
    step: Callable[[Any], Any] = coroutine.send
    argument: Any = None
    while True:
        build.in_coroutine, build.task = True, _current_task()
        try:
            yielded = step(argument)
        except StopIteration as end:
            return end.value
        finally:
            build.in_coroutine = False
            argument = None  # an error, which has this frame in its traceback
        try:
            argument = switch_to_driver(build, Yielded(yielded))
            step = coroutine.send
        except BaseException as error:
            argument = error
            step = coroutine.throw


def submit(request: Request[R]) -> R:
    """Hand `request` to the driver from within a build, and return its result.

    Raises:
        RuntimeError: When called outside of a build (see `in_build`).
        BaseException: Whatever performing it raises, and the cancellation of the caller's task.
    """
    build = request.build = current_build()
    answer = switch_to_driver(build, request)
    while isinstance(answer, _Errand):
        answer = switch_to_driver(build, answer.do())
    return cast("R", answer)


def current_build() -> Build:
    current = getcurrent()
    if not isinstance(current, Build) or current.parent is None:
        raise RuntimeError("nothing waits for this greenlet; run the code with engine.run()")
    return current


def switch_to_driver(build: Build, yielded: object) -> object:
    return cast("greenlet", build.parent).switch(yielded)


async def run(function: Callable[[], T]) -> T:
    """Run `function` as a build, and return what it returns.

    Exceptions, cancellation included, are thrown into the build at the point where it waits. When
    this coroutine ends, however it ends, the build and all it forked have ended.

    Called by a coroutine that a build waits for, it joins the waves of that build.

    Args:
        function: Synchronous code that may call `wait`, `submit` and `fork`.

    Returns:
        What `function` returns.

    Raises:
        BaseException: What `function` raises.
        RuntimeError: When it raises StopIteration, which no coroutine can.
    """
    try:
        if in_coroutine():
            return synchronously(function)
        build = Build(function)
        # It shares the context variables of the caller, both ways, as a plain call does.
        build.gr_context = getcurrent().gr_context
        yielded = build.switch()
        return cast("T", yielded if build.dead else await _drive(build, yielded))
    except StopIteration as error:
        raise RuntimeError(EXHAUSTED) from error


async def _drive(build: Build, yielded: Any) -> Any:
    """Do what a build asks for, until it ends or has done an errand."""
    try:
        while build and not isinstance(yielded, _Errand):
            answer: Any = None
            error: BaseException | None = None
            try:
                answer = await yielded
            except GeneratorExit:
                raise
            except BaseException as raised:
                error = raised
            try:
                yielded = build.resume(answer, error)
            except StopIteration as raised:
                raise RuntimeError(EXHAUSTED) from raised
            finally:
                del answer, error  # or the frames of an exception would keep all that alive
    except GeneratorExit:
        # The coroutine was closed: nothing can be awaited from here on.
        build.kill()
        raise
    return yielded


class Yielded:
    """Awaiting it hands an object to whoever drives the coroutine, and returns the answer."""

    __slots__ = ("yielded",)

    def __init__(self, yielded: object) -> None:
        self.yielded = yielded

    def __await__(self) -> Generator[object, Any, Any]:
        return (yield self.yielded)


def _current_task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop of asyncio runs
        return None
