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
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
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
    """The greenlet a build runs in."""

    forked = False
    """Whether it has siblings."""

    in_coroutine = False
    """Whether a coroutine that it waits for is running, in this greenlet."""

    coroutines = 0
    """How many coroutines have begun in it, and not ended."""

    task: object = None
    """The task that runs that coroutine."""

    # SQLAlchemy's await_only() looks for this name: with it, a hook may read a lazy relationship,
    # as code under AsyncSession.run_sync() may. See sqlalchemy/util/concurrency.py.
    __sqlalchemy_greenlet_provider__ = True


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

    A coroutine runs in the build, not in the driver, so that what it calls may wait too.

    Raises:
        RuntimeError: When called outside of a build (see `in_build`).
        BaseException: Whatever the awaitable raises, and the cancellation of the caller's task.
    """
    if in_build() and isinstance(awaitable, Coroutine):
        return cast("T", _run_coroutine(awaitable))
    return cast("T", _switch_to_driver(awaitable))


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    build = cast("Build", getcurrent())
    build.coroutines += 1
    try:
        return _step_through(build, coroutine)
    finally:
        build.coroutines -= 1


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
            argument = _switch_to_driver(_Yield(yielded))
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
    return cast("R", _switch_to_driver(request))


def fork(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Run functions as builds of their own, from within a build, and return their results.

    It is as if they were called one after the other, but that their requests make waves.

    Raises:
        RuntimeError: When called outside of a build (see `in_build`).
        BaseException: What the first of them that failed has raised. Those after it are unwound,
            as by a cancellation.
    """
    return cast("list[T]", _switch_to_driver(_Fork(functions)))


def take_turn(rank: float) -> None:
    """Wait, in a forked build, until it is this build's turn to do what a loop does in order.

    Siblings that are before it may have to wait for the store first, to come to the same place.

    Args:
        rank: As that of a `Request`: those of a higher rank are performed before.
    """
    current = getcurrent()
    if isinstance(current, Build) and current.forked:
        submit(_Turn(rank))


def _switch_to_driver(yielded: object) -> object:
    current = getcurrent()
    if not isinstance(current, Build) or current.parent is None:
        raise RuntimeError("nothing waits for this greenlet; run the code with engine.run()")
    return current.parent.switch(yielded)


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
    if in_coroutine():
        try:
            return synchronously(function)
        except StopIteration as error:
            raise RuntimeError(_EXHAUSTED) from error
    driver = _driver.get()
    if driver is not None and driver.is_stepping():
        (result,) = await _Yield(_Fork([function]))
        return cast("T", result)
    # The build shares the context variables of the caller, both ways, as a plain call does.
    root = _Branch(function, context=None)
    try:
        yielded = root.build.switch()
        if root.ended:
            return cast("T", yielded)
        return cast("T", await _Driver().run(root, yielded))
    except StopIteration as error:
        raise RuntimeError(_EXHAUSTED) from error


class _Yield:
    """Awaiting it hands an object to whoever drives the coroutine, and returns the answer."""

    def __init__(self, yielded: object) -> None:
        self.yielded = yielded

    def __await__(self) -> Generator[object, Any, Any]:
        return (yield self.yielded)


class _Fork:
    """Builds that their parent waits for."""

    def __init__(self, functions: Sequence[Callable[[], Any]]) -> None:
        self.functions = functions
        self.parent: _Branch
        self.branches: list[_Branch] = []
        self.running = len(functions)
        self.failed: int | None = None
        """The index of the first build, in order, that failed."""


class _Branch:
    """A build on its way."""

    __slots__ = (
        "awaiting", "build", "context", "error", "fork", "holds", "in_coroutine", "index", "path",
        "request", "stalled_on", "value", "waiting_for",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[[], Any],
        context: Context | None,
        path: tuple[int, ...] = (),
        fork: _Fork | None = None,
        index: int = 0,
    ) -> None:
        driver = getcurrent()
        self.build = Build(function, driver)
        self.context = context
        """Its own context variables; None for those of the caller, which it then shares."""
        self.build.gr_context = driver.gr_context if context is None else context
        self.build.forked = fork is not None
        self.path = path
        """Orders branches as a loop would run them."""
        self.fork = fork
        self.index = index
        self.in_coroutine = False
        """Whether it was forked from inside of a coroutine."""
        self.holds = 0
        """Whether, as it is parked, it or a parent is inside of a coroutine."""
        self.awaiting: Generator[Any, Any, Any] | None = None
        """The awaitable that the build waits for."""
        self.waiting_for: _Fork | None = None
        self.request: Request[Any] | None = None
        self.stalled_on: asyncio.Future[Any] | None = None
        # What it is resumed with, and when it has ended, what it ended with.
        self.value: Any = None
        self.error: BaseException | None = None

    @property
    def ended(self) -> bool:
        return self.build.dead

    def return_here(self) -> None:
        """Have the build switch to the running greenlet, when it waits or ends.

        It may be another one each time: a task that is started eagerly in a hook begins in the
        greenlet of the hook, and goes on in that of the event loop.
        """
        current = getcurrent()
        if self.build.parent is not current:
            self.build.parent = current


class _Driver:
    """Drives a build and all it forks, from one coroutine."""

    def __init__(self) -> None:
        self._task = _current_task()
        self._stepping = False
        # Each with its path, by which both are ordered.
        self._ready: list[tuple[tuple[int, ...], _Branch]] = []
        self._parked: list[tuple[tuple[int, ...], _Branch]] = []
        self._stalled: list[_Branch] = []
        self._in_order = False
        self._holders = 0
        """How many of the parked branches are inside of a coroutine."""

    def is_stepping(self) -> bool:
        """Tell whether the calling code is a coroutine that a build of this driver waits for.

        A task that such a coroutine has started is not: nobody passes on what it yields.
        """
        return self._stepping and _current_task() is self._task

    async def run(self, root: _Branch, yielded: Any) -> Any:
        """Drive a build to its end.

        Args:
            root: The build, which has been started.
            yielded: What it waits for.
        """
        before = _driver.get()
        _driver.set(self)
        try:
            if await self._serve(root, yielded):
                self._resume(root)
            while not root.ended:
                self._resume_stalled()
                if self._ready and not self._parked_is_next():
                    await self._advance(heappop(self._ready)[1])
                elif self._parked:
                    await self._perform()
                else:
                    await self._wait_for_stalled()
        except GeneratorExit:
            # The coroutine was closed: nothing can be awaited from here on.
            self._kill(root)
            raise
        finally:
            _driver.set(before)
        if isinstance(root.error, StopIteration):
            raise RuntimeError(_EXHAUSTED) from root.error
        if root.error is not None:
            try:
                raise root.error
            finally:
                del root  # or the exception's frames would keep it, and all it holds, alive
        return root.value

    def _resume(self, branch: _Branch) -> None:
        heappush(self._ready, (branch.path, branch))

    async def _advance(self, branch: _Branch) -> None:
        """Let a branch go on until it is parked or has ended."""
        while True:
            try:
                yielded = self._step(branch)
            except BaseException as error:
                if branch.awaiting is None:
                    branch.value, branch.error = None, error
                    self._finish(branch)
                    return
                # The awaitable has come to its end, and the build goes on.
                branch.awaiting = None
                if isinstance(error, StopIteration):
                    branch.value, branch.error = error.value, None
                else:
                    branch.value, branch.error = None, error
                continue
            branch.value = branch.error = None
            if branch.ended:
                branch.value = yielded
                self._finish(branch)
                return
            if not await self._serve(branch, yielded):
                return

    async def _serve(self, branch: _Branch, yielded: Any) -> bool:
        """Do what a branch asks for; return whether it can go on at once."""
        from_coroutine = isinstance(yielded, _Yield)
        if from_coroutine:
            yielded = yielded.yielded
        if isinstance(yielded, Request):
            branch.request = yielded
            self._parked.append((branch.path, branch))
            branch.holds = int(branch.in_coroutine or branch.build.coroutines > 0)
            self._holders += branch.holds
            return False
        if isinstance(yielded, _Fork):
            self._fork(branch, yielded)
            return False
        if branch.awaiting is None and not from_coroutine:
            branch.awaiting = cast("Generator[Any, Any, Any]", yielded.__await__())
            return True
        if self._may_stall(yielded) and not await self._comes_soon(branch, yielded):
            self._stalled.append(branch)
            return False
        try:
            branch.value = await _Yield(yielded)
        except GeneratorExit:
            raise
        except BaseException as error:
            branch.error = error
        return True

    def _parked_is_next(self) -> bool:
        """Tell whether, in order, a branch that is parked has to go on before any that is ready."""
        return self._in_order and bool(self._parked) and min(self._parked) < self._ready[0]

    def _may_stall(self, yielded: Any) -> bool:
        """Tell whether a branch may wait for one that is parked, and holds a lock, say.

        Only what is parked inside of a coroutine can hold something that others wait for.
        """
        return self._holders > 0 and isinstance(yielded, asyncio.Future)

    async def _comes_soon(self, branch: _Branch, future: asyncio.Future[Any]) -> bool:
        """Wait for a future for a while.

        It usually is I/O, on a connection that nothing else may use meanwhile, so that nothing else
        is done. If it takes long, a build before this one may hold what it waits for. From then on
        one build goes on at a time, as in a loop, until it has ended.
        """
        try:
            done, _ = await asyncio.wait([future], timeout=STALL)
        except asyncio.CancelledError as error:
            future.cancel()
            branch.error = error
            done = {future}
        if done:
            return True
        self._in_order = True
        branch.stalled_on = future
        return False

    async def _wait_for_stalled(self) -> None:
        """Wait until one of the branches that wait for something else can go on."""
        futures = [branch.stalled_on for branch in self._stalled if branch.stalled_on]
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            branch = self._stalled[0]
            futures[0].cancel()
            branch.error = error
            self._stalled.remove(branch)
            branch.stalled_on = None
            self._resume(branch)
        self._resume_stalled()

    def _resume_stalled(self) -> None:
        for branch in [one for one in self._stalled if one.stalled_on and one.stalled_on.done()]:
            self._stalled.remove(branch)
            branch.stalled_on = None
            self._resume(branch)

    def _step(self, branch: _Branch) -> Any:
        """Resume what is innermost of a branch: the awaitable it waits for, or the build."""
        value, error = branch.value, branch.error
        if branch.awaiting is None:
            branch.return_here()
            if error is None:
                # A greenlet is started with arguments, and resumed with a value.
                return branch.build.switch(value) if branch.build else branch.build.switch()
            # With the traceback spelt out: given the exception alone, greenlet drops it.
            return branch.build.throw(type(error), error, error.__traceback__)
        self._stepping = True
        try:
            awaiting = branch.awaiting
            if error is not None:
                if branch.context is None:
                    return awaiting.throw(error)
                return branch.context.run(awaiting.throw, error)
            if branch.context is None:
                return awaiting.send(value)
            return branch.context.run(awaiting.send, value)
        finally:
            self._stepping = False

    def _fork(self, parent: _Branch, fork: _Fork) -> None:
        fork.parent = parent
        if not fork.functions:
            parent.value = []
            self._resume(parent)
            return
        parent.waiting_for = fork
        for index, function in enumerate(fork.functions):
            context = copy_context() if parent.context is None else parent.context.copy()
            branch = _Branch(function, context, (*parent.path, index), fork, index)
            branch.in_coroutine = parent.in_coroutine or parent.build.coroutines > 0
            fork.branches.append(branch)
            self._resume(branch)

    def _finish(self, branch: _Branch) -> None:
        """Note that a branch has ended, and resume its parent if it was the last."""
        fork = branch.fork
        if fork is None:
            return
        fork.running -= 1
        if branch.error is not None and (fork.failed is None or branch.index < fork.failed):
            # Those after it would not have been called; those before it go on.
            last = len(fork.branches) if fork.failed is None else fork.failed
            fork.failed = branch.index
            for later in fork.branches[branch.index + 1 : last]:
                self._cancel(later)
        if not fork.running:
            parent = fork.parent
            parent.waiting_for = None
            if parent.error is not None:
                pass  # it was cancelled itself, in the meantime
            elif fork.failed is not None:
                parent.error = fork.branches[fork.failed].error
            else:
                parent.value = [branch.value for branch in fork.branches]
            fork.branches.clear()
            self._resume(parent)

    def _cancel(self, branch: _Branch) -> None:
        """Unwind a branch: a sibling before it has failed."""
        if branch.ended:
            return
        branch.error = asyncio.CancelledError("a build before this one has failed")
        if branch.waiting_for is not None:
            for child in branch.waiting_for.branches:
                self._cancel(child)
        elif branch.request is not None:
            branch.request = None
            self._parked.remove((branch.path, branch))
            self._holders -= branch.holds
            self._resume(branch)
        elif branch.stalled_on is not None:
            branch.stalled_on.cancel()
            branch.stalled_on = None
            self._stalled.remove(branch)
            self._resume(branch)

    async def _perform(self) -> None:
        """Perform the requests of the highest rank, and resume the branches that made them."""
        if len(self._parked) == 1 or self._in_order:
            self._parked.sort()
            _, first = self._parked.pop(0)
            self._holders -= first.holds
            await self._perform_wave([first])
            return
        rank = max(branch.request.rank for _, branch in self._parked if branch.request)
        waves: dict[Hashable, list[_Branch]] = {}
        parked, self._parked = sorted(self._parked), []
        for path, branch in parked:
            request = cast("Request[Any]", branch.request)
            if request.rank == rank:
                self._holders -= branch.holds
                waves.setdefault((type(request), request.key), []).append(branch)
            else:
                self._parked.append((path, branch))
        for branches in waves.values():
            await self._perform_wave(branches)

    async def _perform_wave(self, branches: Sequence[_Branch]) -> None:
        requests = [cast("Request[Any]", branch.request) for branch in branches]
        for branch in branches:
            branch.request = None
        try:
            results = await requests[0].perform(requests)
        except GeneratorExit:
            raise
        except BaseException as error:
            for branch in branches:
                branch.error = error
        else:
            for branch, result in zip(branches, results, strict=True):
                branch.value = result
        for branch in branches:
            self._resume(branch)

    def _kill(self, branch: _Branch) -> None:
        if branch.waiting_for is not None:
            for child in branch.waiting_for.branches:
                self._kill(child)
        yielded: Any = branch.awaiting
        while not branch.ended:
            if hasattr(yielded, "close"):
                yielded.close()
            branch.return_here()
            yielded = branch.build.throw(GreenletExit)


_driver: ContextVar[_Driver | None] = ContextVar("async_factory_boy_driver", default=None)


def _current_task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop of asyncio runs
        return None
