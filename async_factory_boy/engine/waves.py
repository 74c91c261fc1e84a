"""Waves: builds that were forked go on side by side, and wait for the store together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Iterator, Sequence
from contextlib import suppress
from contextvars import copy_context
from operator import attrgetter
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

from async_factory_boy.engine.builds import (
    EXHAUSTED,
    Build,
    Request,
    Yielded,
    current_build,
    submit,
    switch_to_driver,
)

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")

STALL = 0.5
"""Seconds that a build may wait for something, before others that may hold it go on."""


def fork(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Run functions as builds of their own, from within a build, and return their results.

    It is as if they were called one after the other, but that their requests make waves. The last
    thing that a function does may be to return a request, in place of submitting it: the result is
    the same, but no greenlet has to be kept for it.

    Raises:
        RuntimeError: When called outside of a build (see `in_build`).
        BaseException: What the first of them that failed has raised. Those after it are unwound,
            as by a cancellation.
    """
    build = current_build()
    inside = build.coroutines > 0
    return cast("list[T]", switch_to_driver(build, _Fork(functions, build.branch, inside)))


def take_turn(place: Hashable, rank: float) -> None:
    """Wait, in a forked build, until it is this build's turn to do what a loop does in order.

    Siblings that are before it may have to wait for the store first, to come to the same place.

    Args:
        place: What is done there, once by each build that comes there.
        rank: As that of a `Request`: those of a higher rank are performed before.
    """
    build = getcurrent()
    if isinstance(build, Build) and build.branch is not None:
        fork, index = build.branch.fork, build.branch.index
        if not fork.is_turn_of(index, place):
            submit(_Turn(rank))
        fork.pass_by(index, place)


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


class _Fork:
    """Branches that a build waits for.

    Args:
        functions: What each of them calls.
        parent: The branch that the build is, if it is one.
        inside: Whether a coroutine that the build waits for has forked them.
    """

    def __init__(
        self, functions: Sequence[Callable[[], Any]], parent: Branch | None, inside: bool
    ) -> None:
        self.parent = parent
        self.inside: bool = inside or (parent is not None and parent.fork.inside)
        path = () if parent is None else parent.path
        self.branches = [
            Branch(function, self, index, (*path, index))
            for index, function in enumerate(functions)
        ]
        self.size = self.running = len(functions)
        self.context = copy_context()
        self.failed: Branch | None = None
        """The first, in order, that failed."""
        self._passed: dict[Hashable, int] = {}
        """For a place, how many of them have been there, each after all before it."""

    def is_turn_of(self, index: int, place: Hashable) -> bool:
        """Tell whether all branches before that one, and before its parent, were at a place."""
        if self._passed.get(place, 0) != index:
            return False
        parent = self.parent
        return index > 0 or parent is None or parent.fork.is_turn_of(parent.index, place)

    def pass_by(self, index: int, place: Hashable) -> None:
        """Note that a branch was at a place."""
        if self._passed.get(place, 0) == index:
            self._passed[place] = index + 1
            if index + 1 == self.size and self.parent is not None:
                self.parent.fork.pass_by(self.parent.index, place)

    def __await__(self) -> Generator[Any, Any, list[Any] | None]:
        return self._run().__await__()

    async def _run(self) -> list[Any] | None:
        await _Waves().run(self)
        values, error = self.outcome()
        if isinstance(error, StopIteration):
            raise RuntimeError(EXHAUSTED) from error
        if error is not None:
            try:
                raise error
            finally:
                del error, self  # or the frames of the exception would keep all that alive
        return values

    def outcome(self) -> tuple[list[Any] | None, BaseException | None]:
        """Return what the branches have returned, or what the first that failed has raised."""
        if self.failed is not None:
            return None, self.failed.error
        return [branch.value for branch in self.branches], None


class Branch:
    """A forked build on its way.

    Args:
        function: What it calls.
        fork: What it was forked with.
        index: Its place there.
        path: Orders branches as a loop would run them.
    """

    __slots__ = (
        "build", "ended", "error", "fork", "forked", "function", "has_returned", "holds", "index",
        "path", "request", "stalled_on", "value",
    )  # fmt: skip

    def __init__(
        self, function: Callable[[], Any], fork: _Fork, index: int, path: tuple[int, ...]
    ) -> None:
        self.function = function
        self.fork = fork
        self.index = index
        self.path = path
        self.build: Build | None = None
        """The greenlet that it runs in; ``None`` until it begins, and when it has returned."""
        self.has_returned = False
        """Whether its function has, if only a request."""
        self.ended = False
        self.holds = False
        """Whether, as it is parked, it or a parent is inside of a coroutine."""
        # What it waits for, if it is not ready to go on.
        self.request: Request[Any] | None = None
        self.forked: _Fork | None = None
        self.stalled_on: asyncio.Future[Any] | None = None
        # What it is resumed with, and when it has ended, what it ended with.
        self.value: Any = None
        self.error: BaseException | None = None


class _Returned:
    """What the function that a greenlet was given has returned."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def _work(function: Callable[[], Any]) -> None:
    """Call one function after the other, as the driver hands them over.

    A greenlet costs more than all the switching: Python maps memory for its frames. Those that
    never wait, or whose last act is to return a request, can do with the same one.
    """
    driver: Any = cast("greenlet", getcurrent().parent)
    while True:
        function = driver.switch(_Returned(function()))
        driver = cast("greenlet", getcurrent().parent)


_path = attrgetter("path")


class _Waves:
    """Runs the branches of a fork, and those that they fork."""

    def __init__(self) -> None:
        self._ready: list[Branch] = []
        """In order, the next one last."""
        self._parked: list[Branch] = []
        self._stalled: list[Branch] = []
        self._idle: list[Build] = []
        self._one_by_one = False
        self._holders = 0
        """How many of the parked branches are inside of a coroutine."""

    async def run(self, fork: _Fork) -> None:
        """Run the branches of a fork to their ends."""
        self._start(fork)
        try:
            while fork.running:
                if self._stalled:
                    for branch in self._no_longer_stalled():
                        self._resume(branch)
                if self._ready and not self._parked_is_next():
                    branch = self._ready.pop()
                    awaitable = self._step(branch)
                    if awaitable is not None:
                        await self._wait(branch, awaitable)
                elif self._parked:
                    await self._perform()
                else:
                    await self._wait_for_stalled()
        except GeneratorExit:
            self._kill(fork)
            raise
        finally:
            for build in self._idle:
                build.kill()

    def _start(self, fork: _Fork) -> None:
        # Before all that is ready, as their parent was the next.
        self._ready.extend(reversed(fork.branches))

    def _step(self, branch: Branch) -> Awaitable[Any] | None:
        """Let a branch go on until it ends, is parked, or waits for what is returned."""
        if branch.has_returned:
            self._finish(branch)
            return None
        value, error = branch.value, branch.error
        branch.value = branch.error = None
        try:
            yielded = self._resume_build(branch, value, error)
        except BaseException as raised:
            branch.build, branch.error = None, raised
            self._finish(branch)
            return None
        finally:
            del value, error
        if isinstance(yielded, _Returned):
            self._idle.append(cast("Build", branch.build))
            branch.build, branch.has_returned = None, True
            yielded = yielded.value
            if not isinstance(yielded, Request):
                branch.value = yielded
                self._finish(branch)
                return None
        if isinstance(yielded, Request):
            self._park(branch, yielded)
        elif not isinstance(yielded, _Fork):
            return cast("Awaitable[Any]", yielded)
        elif yielded.running:
            branch.forked = yielded
            self._start(yielded)
        else:
            branch.value = []
            self._ready.append(branch)
        return None

    def _resume_build(self, branch: Branch, value: Any, error: BaseException | None) -> Any:
        if branch.build is not None:
            return branch.build.resume(value, error)
        if error is not None:
            raise error  # before it has begun
        branch.build = build = self._idle.pop() if self._idle else Build(_work)
        build.branch = branch
        build.gr_context = branch.fork.context.copy()
        return build.resume(branch.function)

    def _park(self, branch: Branch, request: Request[Any]) -> None:
        branch.request = request
        branch.holds = branch.fork.inside or (
            branch.build is not None and branch.build.coroutines > 0
        )
        self._parked.append(branch)
        self._holders += branch.holds

    def _finish(self, branch: Branch) -> None:
        """Note that a branch has ended, and resume its parent if it was the last."""
        branch.ended = True
        fork = branch.fork
        fork.running -= 1
        failed = fork.failed
        if branch.error is not None and (failed is None or branch.index < failed.index):
            # Those after it would not have been called; those before it go on.
            fork.failed = branch
            for later in fork.branches[branch.index + 1 : None if failed is None else failed.index]:
                self._cancel(later)
        parent = fork.parent
        if fork.running or parent is None or parent.forked is not fork:
            return
        parent.forked = None
        if parent.error is None:  # else it was cancelled itself, in the meantime
            parent.value, parent.error = fork.outcome()
        self._resume(parent)

    def _resume(self, branch: Branch) -> None:
        out_of_order = bool(self._ready) and self._ready[-1].path < branch.path
        self._ready.append(branch)
        if out_of_order:
            self._ready.sort(key=_path, reverse=True)

    def _cancel(self, branch: Branch) -> None:
        """Unwind a branch: a sibling before it has failed."""
        if branch.ended:
            return
        branch.error = asyncio.CancelledError("a build before this one has failed")
        if branch.forked is not None:
            for child in branch.forked.branches:
                self._cancel(child)
        elif branch.request is not None:
            branch.request = None
            self._parked.remove(branch)
            self._holders -= branch.holds
            self._resume(branch)
        elif branch.stalled_on is not None:
            branch.stalled_on.cancel()
            self._take_out(branch)
            self._resume(branch)

    async def _wait(self, branch: Branch, awaitable: Awaitable[Any]) -> None:
        """Wait for what a branch waits for, unless it may be a sibling that has it."""
        future = awaitable.yielded if isinstance(awaitable, Yielded) else None
        # Only what is parked inside of a coroutine can hold something that others wait for: a lock.
        if self._holders and isinstance(future, asyncio.Future):
            # It usually is I/O, on a connection that nothing else may use meanwhile, so that
            # nothing else is done. If it takes long, a branch before this one may hold it.
            try:
                done, _ = await asyncio.wait([future], timeout=STALL)
            except asyncio.CancelledError as error:
                future.cancel()
                branch.error = error
                self._resume(branch)
                return
            if not done:
                # As in a loop, from now on: until it has ended, no other goes on.
                self._one_by_one = True
                self._stall(branch, future)
                return
        await self._await(branch, awaitable)
        self._resume(branch)

    async def _await(self, branch: Branch, awaitable: Awaitable[Any]) -> None:
        try:
            branch.value = await self._result_of(awaitable)
        except GeneratorExit:
            raise
        except BaseException as error:
            branch.error = error

    def _stall(self, branch: Branch, future: asyncio.Future[Any]) -> None:
        branch.stalled_on = future
        self._stalled.append(branch)

    async def _wait_for_stalled(self) -> None:
        """Wait until one of the branches that wait for something else can go on."""
        with suppress(asyncio.CancelledError):  # the branch has it
            await self._first_of(self._stalled_on())

    def _stalled_on(self) -> list[asyncio.Future[Any]]:
        return [cast("asyncio.Future[Any]", branch.stalled_on) for branch in self._stalled]

    async def _first_of(
        self, futures: Sequence[asyncio.Future[Any]], timeout: float | None = None
    ) -> None:
        """Wait for one of some futures; a cancellation is the first stalled branch's as well."""
        try:
            await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            first = min(self._stalled, key=_path)
            cast("asyncio.Future[Any]", first.stalled_on).cancel()
            self._take_out(first)
            first.error = error
            self._resume(first)
            raise

    def _no_longer_stalled(self) -> Iterator[Branch]:
        """Take out, one by one, the branches that have got what they waited for."""
        for branch in list(self._stalled):
            # Not one that was cancelled since, as one before it has failed.
            if branch.stalled_on is not None and branch.stalled_on.done():
                self._take_out(branch)
                yield branch

    def _take_out(self, branch: Branch) -> None:
        self._stalled.remove(branch)
        branch.stalled_on = None

    def _parked_is_next(self) -> bool:
        """Tell whether, one by one, a branch that is parked goes on before any that is ready."""
        return (
            self._one_by_one
            and bool(self._parked)
            and min(map(_path, self._parked)) < self._ready[-1].path
        )

    async def _perform(self) -> None:
        """Perform the requests of the highest rank, and resume the branches that made them."""
        parked = sorted(self._parked, key=_path)
        if self._one_by_one:
            self._parked = parked[1:]
            await self._perform_wave(parked[:1])
            return
        rank = max(cast("Request[Any]", branch.request).rank for branch in parked)
        waves: dict[Hashable, list[Branch]] = {}
        self._parked = []
        for branch in parked:
            request = cast("Request[Any]", branch.request)
            if request.rank == rank:
                waves.setdefault((type(request), request.key), []).append(branch)
            else:
                self._parked.append(branch)
        for branches in waves.values():
            await self._perform_wave(branches)

    async def _perform_wave(self, branches: Sequence[Branch]) -> None:
        requests = [cast("Request[Any]", branch.request) for branch in branches]
        for branch in branches:
            branch.request = None
            self._holders -= branch.holds
        results: Sequence[Any] = [None] * len(branches)
        failure: BaseException | None = None
        try:
            performing = requests[0].perform(requests)
            results = await (self._beside_stalled(performing) if self._stalled else performing)
        except GeneratorExit:
            raise
        except BaseException as error:
            failure = error
        # The last one first, as in the usual case nothing is ready that would come in between.
        for branch, result in zip(reversed(branches), reversed(results), strict=True):
            if branch.error is None:  # else it was cancelled, in the meantime
                branch.value, branch.error = result, failure
            self._resume(branch)
        del failure  # which has this frame in its traceback

    async def _beside_stalled(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine, and let branches go on that have got what they were waiting for.

        One of them may hold what the coroutine waits for, such as the lock of a session.
        """
        step: Callable[[Any], Any] = coroutine.send
        argument: Any = None
        while True:
            try:
                yielded = step(argument)
            except StopIteration as end:
                return cast("T", end.value)
            try:
                argument = await self._result_of(Yielded(yielded))
                step = coroutine.send
            except BaseException as error:
                argument = error
                step = coroutine.throw

    async def _result_of(self, awaitable: Awaitable[T]) -> T:
        """Await what a step of a coroutine waits for; if that takes long, what is stalled goes on.

        Not before, since a hook would change objects in the middle of a flush, after which
        SQLAlchemy forgets the change.
        """
        future = awaitable.yielded if isinstance(awaitable, Yielded) else None
        if self._stalled and isinstance(future, asyncio.Future):
            try:
                await self._first_of([future], timeout=STALL)
                while self._stalled and not future.done():
                    await self._first_of([future, *self._stalled_on()])
                    for branch in self._no_longer_stalled():
                        await self._go_on(branch)
            except asyncio.CancelledError:
                future.cancel()
                raise
        return await awaitable

    async def _go_on(self, branch: Branch) -> None:
        """Let a branch go on until it ends, is parked, or waits for something else once more."""
        while (awaitable := self._step(branch)) is not None:
            future = awaitable.yielded if isinstance(awaitable, Yielded) else None
            if isinstance(future, asyncio.Future):
                self._stall(branch, future)
                return
            await self._await(branch, awaitable)

    def _kill(self, fork: _Fork) -> None:
        for branch in fork.branches:
            if branch.forked is not None:
                self._kill(branch.forked)
            if branch.build is not None:
                branch.build.kill()
