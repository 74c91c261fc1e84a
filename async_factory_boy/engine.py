"""Lets synchronous code wait for the event loop, and waits for many at once.

factory_boy resolves declarations lazily and recursively: a plain attribute access may need an
object that has to be stored first, so there is no place to write ``await``. Here a *build* (any
synchronous callable) runs in a greenlet, and whatever must be awaited is handed from there to the
coroutine that drives it. SQLAlchemy's asyncio extension rests on the same technique.

The module knows no ORM and no factory. A build hands its driver one of three things:

- an awaitable (`wait`), whose result it gets back;
- a `Request` (`submit`), which is work on a store;
- further builds (`fork`), whose results it gets back as a list.

Builds that were forked run in *waves*: each goes on until it submits a request; when none can go
on, the requests that have the same key are performed together, and those builds continue. Nothing
else overlaps: one build runs at a time, and awaitables are awaited one at a time, in order, because
they may use one and the same session.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

from greenlet import GreenletExit, getcurrent, greenlet

T = TypeVar("T")
R = TypeVar("R")

STALL = 0.5
"""Seconds that a build may wait for something, before others that may hold it go on."""

# No coroutine can raise StopIteration: Python would say no more than that.
_EXHAUSTED = (
    "StopIteration in a build: an iterator that it read has come to its end, such as that of an "
    "Iterator(..., cycle=False)."
)


class Request(ABC, Generic[R]):
    """Work on a store that a build waits for."""

    rank: float = 0
    """Requests of the highest rank are performed first. The deeper in a graph an object is, the
    higher it ranks: then its siblings' parents are all waiting when their turn comes."""

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """What requests must have in common to be performed together."""

    @classmethod
    @abstractmethod
    async def perform(cls, requests: Sequence[Any]) -> Sequence[R]:
        """Do the work of requests that share a key; return a result for each, in order."""


class _Turn(Request[None]):
    """Waits for the builds that are before it in order."""

    def __init__(self, rank: float) -> None:
        self.rank = rank

    @property
    def key(self) -> Hashable:
        return None

    @classmethod
    async def perform(cls, requests: Sequence[_Turn]) -> Sequence[None]:
        return [None] * len(requests)


class Build(greenlet):
    """A build on its way: the greenlet it runs in, and what it waits for."""

    # SQLAlchemy's await_only() looks for this name: with it, a hook may read a lazy relationship,
    # as code under AsyncSession.run_sync() may. See sqlalchemy/util/concurrency.py.
    __sqlalchemy_greenlet_provider__ = True

    in_coroutine = False
    """Whether a coroutine that it waits for is running, in this greenlet."""

    coroutines = 0
    """How many coroutines have begun in it, and not ended."""

    task: object = None
    """The task that runs that coroutine."""

    fork: _Fork | None = None
    """What it was forked with."""

    index = 0
    """Its place among its siblings."""

    path: tuple[int, ...] = ()
    """Orders builds as a loop would run them."""

    inside = False
    """Whether it was forked from inside of a coroutine."""

    holds = False
    """Whether, as it is parked, it or a parent is inside of a coroutine."""

    request: Request[Any] | None = None
    forked: _Fork | None = None
    """The builds that it waits for."""
    stalled_on: asyncio.Future[Any] | None = None

    # What it is resumed with, and when it has ended, what it ended with.
    value: Any = None
    error: BaseException | None = None

    def resume(self, value: Any, error: BaseException | None) -> Any:
        """Let it go on until it waits or ends; return what it waits for, or has returned."""
        # It may be another greenlet each time: a task that is started eagerly in a hook begins in
        # that of the hook, and goes on in that of the event loop.
        current = getcurrent()
        if self.parent is not current:
            self.parent = current
        if error is not None:
            # With the traceback spelt out: given the exception alone, greenlet drops it.
            return self.throw(type(error), error, error.__traceback__)
        # A greenlet is started with arguments, and resumed with a value.
        return self.switch(value) if self else self.switch()

    def kill(self) -> None:
        """Unwind it, and all that it has forked, where nothing can be awaited any more."""
        if self.forked is not None:
            for build in self.forked.builds:
                build.kill()
        while not self.dead:
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
    build = _current_build()
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
            argument = _switch_to_driver(build, _Yield(yielded))
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
    return cast("R", _switch_to_driver(_current_build(), request))


def fork(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Run functions as builds of their own, from within a build, and return their results.

    It is as if they were called one after the other, but that their requests make waves.

    Raises:
        RuntimeError: When called outside of a build (see `in_build`).
        BaseException: What the first of them that failed has raised. Those after it are unwound,
            as by a cancellation.
    """
    build = _current_build()
    return cast("list[T]", _switch_to_driver(build, _Fork(functions, build)))


def take_turn(place: Hashable, rank: float) -> None:
    """Wait, in a forked build, until it is this build's turn to do what a loop does in order.

    Siblings that are before it may have to wait for the store first, to come to the same place.

    Args:
        place: What is done there, once by each build that comes there.
        rank: As that of a `Request`: those of a higher rank are performed before.
    """
    build = getcurrent()
    if isinstance(build, Build) and build.fork is not None:
        if not build.fork.is_turn_of(build.index, place):
            submit(_Turn(rank))
        build.fork.pass_by(build.index, place)


def _current_build() -> Build:
    current = getcurrent()
    if not isinstance(current, Build) or current.parent is None:
        raise RuntimeError("nothing waits for this greenlet; run the code with engine.run()")
    return current


def _switch_to_driver(build: Build, yielded: object) -> object:
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
        raise RuntimeError(_EXHAUSTED) from error


async def _drive(build: Build, yielded: Any) -> Any:
    """Drive a build that has been started to its end, doing what it asks for."""
    try:
        while True:
            answer: Any = None
            error: BaseException | None = None
            try:
                if isinstance(yielded, Request):
                    (answer,) = await yielded.perform([yielded])
                elif isinstance(yielded, _Fork):
                    await _Waves().run(yielded)
                    answer, error = yielded.outcome()
                else:
                    answer = await yielded
            except GeneratorExit:
                raise
            except BaseException as raised:
                error = raised
            try:
                yielded = build.resume(answer, error)
            except StopIteration as raised:
                raise RuntimeError(_EXHAUSTED) from raised
            finally:
                del answer, error  # or the frames of an exception would keep all that alive
            if build.dead:
                return yielded
    except GeneratorExit:
        # The coroutine was closed: nothing can be awaited from here on.
        build.kill()
        raise


class _Yield:
    """Awaiting it hands an object to whoever drives the coroutine, and returns the answer."""

    __slots__ = ("yielded",)

    def __init__(self, yielded: object) -> None:
        self.yielded = yielded

    def __await__(self) -> Generator[object, Any, Any]:
        return (yield self.yielded)


class _Fork:
    """Builds that their parent waits for."""

    def __init__(self, functions: Sequence[Callable[[], Any]], parent: Build) -> None:
        self.functions = functions
        self.parent = parent
        self.builds: list[Build] = []
        self.running = len(functions)
        self.failed: Build | None = None
        """The first build, in order, that failed."""
        self._passed: dict[Hashable, int] = {}
        """For a place, the number of builds that have been there, each after all before it."""

    def is_turn_of(self, index: int, place: Hashable) -> bool:
        """Tell whether all builds before this one, and before its parents, have been at a place."""
        if self._passed.get(place, 0) != index:
            return False
        parent = self.parent
        return index > 0 or parent.fork is None or parent.fork.is_turn_of(parent.index, place)

    def pass_by(self, index: int, place: Hashable) -> None:
        """Note that a build has been at a place."""
        if self._passed.get(place, 0) == index:
            self._passed[place] = index + 1
            if index + 1 == len(self.functions) and self.parent.fork is not None:
                self.parent.fork.pass_by(self.parent.index, place)

    def outcome(self) -> tuple[list[Any] | None, BaseException | None]:
        """Return what the builds have returned, or else what the first that failed has raised."""
        if self.failed is not None:
            return None, self.failed.error
        return [build.value for build in self.builds], None


_in_order = attrgetter("path")


class _Waves:
    """Runs the builds of a fork, and those that they fork."""

    def __init__(self) -> None:
        self._ready: list[Build] = []
        """In order, the next one last."""
        self._parked: list[Build] = []
        self._stalled: list[Build] = []
        self._one_by_one = False
        self._holders = 0
        """How many of the parked builds are inside of a coroutine."""

    async def run(self, fork: _Fork) -> None:
        """Run the builds of a fork to their ends."""
        self._start(fork)
        try:
            while fork.running:
                if self._stalled:
                    self._resume_stalled()
                if self._ready and not self._parked_is_next():
                    build = self._ready.pop()
                    awaitable = self._step(build)
                    if awaitable is not None:
                        await self._wait(build, awaitable)
                elif self._parked:
                    await self._perform()
                else:
                    await self._wait_for_stalled()
        except GeneratorExit:
            for build in fork.builds:
                build.kill()
            raise

    def _start(self, fork: _Fork) -> None:
        parent = fork.parent
        inside = parent.inside or parent.coroutines > 0
        context = cast("Any", parent.gr_context)
        for index, function in enumerate(fork.functions):
            build = Build(function)
            build.gr_context = context.copy()
            build.fork = fork
            build.index = index
            build.path = (*parent.path, index)
            build.inside = inside
            fork.builds.append(build)
        # Before all that is ready, as their parent was the next.
        self._ready.extend(reversed(fork.builds))

    def _step(self, build: Build) -> Awaitable[Any] | None:
        """Let a build go on until it ends, is parked, or waits for what is returned."""
        value, error = build.value, build.error
        build.value = build.error = None
        try:
            yielded = build.resume(value, error)
        except BaseException as raised:
            build.error = raised
            self._finish(build)
            return None
        finally:
            del value, error
        if build.dead:
            build.value = yielded
            self._finish(build)
        elif isinstance(yielded, Request):
            build.request = yielded
            build.holds = build.inside or build.coroutines > 0
            self._parked.append(build)
            self._holders += build.holds
        elif not isinstance(yielded, _Fork):
            return cast("Awaitable[Any]", yielded)
        elif yielded.functions:
            build.forked = yielded
            self._start(yielded)
        else:
            build.value = []
            self._ready.append(build)
        return None

    def _finish(self, build: Build) -> None:
        """Note that a build has ended, and resume its parent if it was the last."""
        fork = cast("_Fork", build.fork)
        fork.running -= 1
        failed = fork.failed
        if build.error is not None and (failed is None or build.index < failed.index):
            # Those after it would not have been called; those before it go on.
            fork.failed = build
            for later in fork.builds[build.index + 1 : None if failed is None else failed.index]:
                self._cancel(later)
        parent = fork.parent
        if fork.running or parent.forked is not fork:
            return
        parent.forked = None
        if parent.error is None:  # else it was cancelled itself, in the meantime
            parent.value, parent.error = fork.outcome()
        fork.builds.clear()
        self._resume(parent)

    def _resume(self, build: Build) -> None:
        out_of_order = bool(self._ready) and self._ready[-1].path < build.path
        self._ready.append(build)
        if out_of_order:
            self._ready.sort(key=_in_order, reverse=True)

    def _cancel(self, build: Build) -> None:
        """Unwind a build: a sibling before it has failed."""
        if build.dead:
            return
        build.error = asyncio.CancelledError("a build before this one has failed")
        if build.forked is not None:
            for child in build.forked.builds:
                self._cancel(child)
        elif build.request is not None:
            build.request = None
            self._parked.remove(build)
            self._holders -= build.holds
            self._resume(build)
        elif build.stalled_on is not None:
            build.stalled_on.cancel()
            self._resume_stalled([build])

    async def _wait(self, build: Build, awaitable: Awaitable[Any]) -> None:
        """Wait for what a build waits for, unless it may be a sibling that has it."""
        future = awaitable.yielded if isinstance(awaitable, _Yield) else None
        # Only what is parked inside of a coroutine can hold something that others wait for: a lock.
        if self._holders and isinstance(future, asyncio.Future):
            # It usually is I/O, on a connection that nothing else may use meanwhile, so that
            # nothing else is done. If it takes long, a build before this one may hold it.
            try:
                done, _ = await asyncio.wait([future], timeout=STALL)
            except asyncio.CancelledError as error:
                future.cancel()
                build.error = error
                self._resume(build)
                return
            if not done:
                # As in a loop, from now on: until it has ended, no other build goes on.
                self._one_by_one = True
                build.stalled_on = future
                self._stalled.append(build)
                return
        try:
            build.value = await awaitable
        except GeneratorExit:
            raise
        except BaseException as error:
            build.error = error
        self._resume(build)

    async def _wait_for_stalled(self) -> None:
        """Wait until one of the builds that wait for something else can go on."""
        futures = [cast("asyncio.Future[Any]", build.stalled_on) for build in self._stalled]
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            futures[0].cancel()
            self._stalled[0].error = error
            self._resume_stalled([self._stalled[0]])

    def _resume_stalled(self, builds: Sequence[Build] | None = None) -> None:
        """Resume builds that wait for something else: these, or those that have got it."""
        if builds is None:
            builds = [one for one in self._stalled if one.stalled_on and one.stalled_on.done()]
        for build in builds:
            self._stalled.remove(build)
            build.stalled_on = None
            self._resume(build)

    def _parked_is_next(self) -> bool:
        """Tell whether, one by one, a build that is parked goes on before any that is ready."""
        return (
            self._one_by_one
            and bool(self._parked)
            and min(map(_in_order, self._parked)) < self._ready[-1].path
        )

    async def _perform(self) -> None:
        """Perform the requests of the highest rank, and resume the builds that made them."""
        parked = sorted(self._parked, key=_in_order)
        if self._one_by_one:
            self._parked = parked[1:]
            await self._perform_wave(parked[:1])
            return
        rank = max(cast("Request[Any]", build.request).rank for build in parked)
        waves: dict[Hashable, list[Build]] = {}
        self._parked = []
        for build in parked:
            request = cast("Request[Any]", build.request)
            if request.rank == rank:
                waves.setdefault((type(request), request.key), []).append(build)
            else:
                self._parked.append(build)
        for builds in waves.values():
            await self._perform_wave(builds)

    async def _perform_wave(self, builds: Sequence[Build]) -> None:
        requests = [cast("Request[Any]", build.request) for build in builds]
        for build in builds:
            build.request = None
            self._holders -= build.holds
        try:
            results = await requests[0].perform(requests)
        except GeneratorExit:
            raise
        except BaseException as error:
            for build in builds:
                build.error = error
        else:
            for build, result in zip(builds, results, strict=True):
                build.value = result
        # Before all that is ready, in the usual case that this is nothing.
        for build in reversed(builds):
            self._resume(build)


def _current_task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop of asyncio runs
        return None
