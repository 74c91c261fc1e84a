"""The engine: synchronous code that waits for the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import pytest
from greenlet import GreenletExit, getcurrent

from async_factory_boy import engine
from async_factory_boy.engine import waves
from tests.greenlets import suspended_greenlets


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


class Doubling(engine.Request[int]):
    def __init__(self, number: int) -> None:
        self.number = number

    @property
    def key(self) -> str:
        return "doubling"

    @classmethod
    async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
        return [await double(request.number) for request in requests]


async def test_wait_and_submit() -> None:
    """A build gets back what an awaitable, or a request, evaluates to."""
    assert await engine.run(lambda: engine.wait(double(2)) + engine.submit(Doubling(3))) == 10


async def test_a_build_that_never_waits() -> None:
    """A build that has nothing to wait for returns without an event loop turning."""
    assert await engine.run(lambda: 1) == 1


async def test_nested_runs() -> None:
    """A coroutine that a build waits for may run another build."""

    async def nested() -> int:
        assert not engine.in_build()
        return await engine.run(lambda: engine.wait(double(4)))

    def build() -> int:
        assert engine.in_build()
        return engine.wait(nested())

    assert await engine.run(build) == 8


@pytest.mark.parametrize("call", [engine.wait, engine.submit])
async def test_outside_of_a_build(call: Any) -> None:
    """Where nothing drives the code, waiting fails at once, and says so."""
    with pytest.raises(RuntimeError, match=r"run the code with engine\.run\(\)"):
        call(None)


async def test_errors_reach_the_build() -> None:
    """What an awaitable raises can be caught where the build waits for it."""

    async def fail() -> None:
        raise LookupError("lost")

    def build() -> str:
        try:
            engine.wait(fail())
        except LookupError as error:
            return str(error)
        return "not raised"

    assert await engine.run(build) == "lost"


async def test_errors_leave_the_build() -> None:
    """What a build raises is raised by run(), with the line that raised it."""

    def build() -> None:
        engine.wait(double(1))
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost") as caught:
        await engine.run(build)
    assert caught.traceback[-1].name == "build"


async def test_stop_iteration() -> None:
    """An iterator at its end is named as such: a coroutine cannot raise StopIteration."""
    with pytest.raises(RuntimeError, match="cycle=False") as caught:
        await engine.run(lambda: next(iter([])))
    assert isinstance(caught.value.__cause__, StopIteration)


async def test_context_variables_are_shared() -> None:
    """A build sees the caller's context variables, and the caller sees what it sets."""
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("caller")

    def build() -> str:
        before = variable.get()
        variable.set("build")
        engine.wait(double(1))
        assert variable.get() == "build"
        return before

    assert await engine.run(build) == "caller"
    assert variable.get() == "build"


async def test_cancellation_is_thrown_into_the_build() -> None:
    """Cancelling the caller raises in the build where it waits, and its finally blocks run."""
    entered = asyncio.Event()
    seen: list[str] = []

    async def forever() -> None:
        entered.set()
        await asyncio.Event().wait()

    def build() -> None:
        try:
            engine.wait(forever())
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            engine.wait(double(1))
            seen.append("cleaned up")

    call = asyncio.create_task(engine.run(build))
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert seen == ["cancelled", "cleaned up"]
    assert not suspended_greenlets()


async def test_closing_ends_the_build() -> None:
    """A call that is closed, not awaited to its end, leaves no greenlet, though it still waits."""
    seen: list[str] = []

    def build() -> None:
        with contextlib.suppress(GreenletExit):
            engine.wait(asyncio.sleep(1))
        try:
            engine.wait(asyncio.sleep(2))  # can no longer be had
        finally:
            seen.append("cleaned up")

    call = engine.run(build)
    call.send(None)
    call.close()
    assert seen == ["cleaned up"]
    assert not suspended_greenlets()


async def test_a_suspended_greenlet_is_noticed() -> None:
    """The check that no greenlet is left behind finds one that is."""
    call = engine.run(lambda: engine.wait(asyncio.sleep(1)))
    call.send(None)
    assert len(suspended_greenlets()) == 1
    call.close()
    assert not suspended_greenlets()


async def test_a_fork_is_a_loop() -> None:
    """Forked builds give their results in order, and perform their requests together."""
    performed: list[list[int]] = []

    class Noting(Doubling):
        @classmethod
        async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
            performed.append([request.number for request in requests])
            return await super().perform(requests)

    def one(number: int) -> int:
        return engine.submit(Noting(number)) + engine.submit(Noting(number + 10))

    functions = [functools.partial(one, number) for number in range(3)]
    assert await engine.run(lambda: engine.fork(functions)) == [20, 24, 28]
    assert performed == [[0, 1, 2], [10, 11, 12]]
    assert await engine.run(lambda: engine.fork([])) == []


async def test_a_lock_across_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that holds a lock while it waits for the store does not block its siblings."""
    monkeypatch.setattr(waves, "STALL", 0.01)
    lock = asyncio.Lock()
    order: list[int] = []

    async def hook(number: int) -> int:
        async with lock:
            result = await engine.run(lambda: engine.submit(Doubling(number)))
            order.append(number)
            return result

    def one(number: int) -> int:
        return engine.wait(hook(number)) + engine.submit(Doubling(0))

    functions = [functools.partial(one, number) for number in range(5)]
    results = await asyncio.wait_for(engine.run(lambda: engine.fork(functions)), 10)
    assert results == [0, 2, 4, 6, 8]
    assert order == [0, 1, 2, 3, 4]


async def test_cancelled_while_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose builds wait for a lock that never comes can be cancelled."""
    monkeypatch.setattr(waves, "STALL", 0.01)
    lock = asyncio.Lock()
    await lock.acquire()
    left: list[int] = []

    async def hook(number: int) -> None:
        try:
            if number:
                async with lock:
                    pass
            await engine.run(lambda: engine.submit(Doubling(number)))
            await asyncio.Event().wait()
        finally:
            left.append(number)

    functions = [functools.partial(lambda n: engine.wait(hook(n)), number) for number in range(3)]
    call = asyncio.create_task(engine.run(lambda: engine.fork(functions)))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 10)
    assert sorted(left) == [0, 1]  # the third has not begun
    assert not suspended_greenlets()


class Locking(Doubling):
    """Doubles under a lock."""

    rank = -1
    lock: ClassVar[asyncio.Lock]

    @classmethod
    async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
        async with cls.lock:
            await asyncio.sleep(0)
            return await super().perform(requests)


async def test_a_request_waits_for_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build may hold, while something takes it long, what another one's request waits for."""
    monkeypatch.setattr(waves, "STALL", 0.01)
    Locking.lock = asyncio.Lock()

    async def hook(number: int) -> int:
        await engine.run(lambda: engine.submit(Doubling(number)))
        async with Locking.lock:
            await asyncio.sleep(0.05)
            await asyncio.sleep(0)
            await asyncio.sleep(0.05)
        return await engine.run(lambda: engine.submit(Locking(number)))

    functions = [functools.partial(lambda n: engine.wait(hook(n)), number) for number in range(3)]
    call = engine.run(lambda: engine.fork(functions))
    assert await asyncio.wait_for(call, 10) == [0, 2, 4]


async def test_stalled_builds_wait_for_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a build was waiting for too long may come while a request is performed: it waits on."""
    monkeypatch.setattr(waves, "STALL", 0.3)
    release = asyncio.Event()
    order: list[str] = []

    class Releasing(Doubling):
        @classmethod
        async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
            release.set()
            await asyncio.sleep(0.001)
            order.append("performed")
            return await super().perform(requests)

    async def first() -> None:
        await engine.run(lambda: engine.submit(Releasing(1)))

    async def second() -> None:
        await release.wait()
        order.append("went on")

    functions = [lambda: engine.wait(first()), lambda: engine.wait(second())]
    await asyncio.wait_for(engine.run(lambda: engine.fork(functions)), 10)
    assert order == ["performed", "went on"]


@pytest.mark.parametrize("failing", [True, False])
async def test_ended_while_a_request_waits_for_a_lock(
    monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    """If that build fails, or the call is cancelled, the one that made the request is unwound."""
    monkeypatch.setattr(waves, "STALL", 0.01)
    Locking.lock = asyncio.Lock()
    ended: list[type[BaseException] | None] = []

    async def first() -> None:
        for _ in range(2):
            await engine.run(lambda: engine.submit(Doubling(1)))
        async with Locking.lock:
            await asyncio.sleep(0.1 if failing else 60)
            raise LookupError("failed")

    async def second() -> None:
        await engine.run(lambda: engine.submit(Doubling(1)))
        try:
            await engine.run(lambda: engine.submit(Locking(1)))
        except BaseException as error:
            ended.append(type(error))
            raise

    functions = [lambda: engine.wait(first()), lambda: engine.wait(second())]
    call = asyncio.create_task(engine.run(lambda: engine.fork(functions)))
    await asyncio.sleep(0.05)
    if not failing:
        call.cancel()
    with pytest.raises(LookupError if failing else asyncio.CancelledError):
        await asyncio.wait_for(call, 10)
    assert ended == [asyncio.CancelledError]
    assert not Locking.lock.locked()
    assert not suspended_greenlets()


class Custom:
    """An awaitable that is no coroutine, and runs a build."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __await__(self) -> Generator[Any, Any, int]:
        return engine.run(lambda: engine.submit(Doubling(self.number))).__await__()


async def test_awaitables_that_are_no_coroutines() -> None:
    """A build waits for futures, and for objects of any class that can be awaited."""
    loop = asyncio.get_running_loop()
    done, failed = loop.create_future(), loop.create_future()
    loop.call_soon(done.set_result, 1)
    loop.call_soon(failed.set_exception, LookupError("lost"))

    def build() -> int:
        with pytest.raises(LookupError, match="lost"):
            engine.wait(failed)
        return engine.wait(done) + engine.wait(Custom(2))

    assert await engine.run(build) == 5
    functions = [functools.partial(lambda n: engine.wait(Custom(n)), number) for number in range(3)]
    assert await engine.run(lambda: engine.fork(functions)) == [0, 2, 4]


async def test_stop_iteration_below() -> None:
    """An iterator at its end is named as such in a coroutine that a build waits for, too."""

    async def hook() -> None:
        await asyncio.sleep(0)
        await engine.run(lambda: next(iter([])))

    async def late() -> None:
        await engine.run(lambda: [engine.wait(double(1)), next(iter([]))])

    for function in (lambda: engine.wait(hook()), lambda: engine.wait(late())):
        with pytest.raises(RuntimeError, match="cycle=False"):
            await engine.run(function)
    with pytest.raises(RuntimeError, match="cycle=False"):
        await late()


async def test_closing_ends_forked_builds() -> None:
    """A batch that is closed leaves none of its builds behind."""
    left: list[int] = []

    def one(number: int) -> None:
        try:
            engine.wait(asyncio.sleep(1)) if number else engine.submit(Doubling(1))
        finally:
            left.append(number)

    functions = [functools.partial(one, number) for number in range(2)]
    call = engine.run(lambda: engine.fork(functions))
    call.send(None)
    call.close()
    assert sorted(left) == [0, 1]
    assert not suspended_greenlets()


def parks(event: asyncio.Event, error: Exception | None = None) -> list[Callable[[], int]]:
    """Return builds of which the second waits for `event`, and so for none of its siblings."""

    async def first() -> int:
        number = await engine.run(lambda: engine.submit(Doubling(1)))
        if error is not None:
            raise error
        return number

    async def second() -> int:
        await event.wait()
        return 1

    return [lambda: engine.wait(first()), lambda: engine.wait(second())]


async def test_what_comes_late_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build may wait long for something that none of its siblings holds."""
    monkeypatch.setattr(waves, "STALL", 0.01)
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, event.set)
    assert await engine.run(lambda: engine.fork(parks(event))) == [2, 1]


async def test_cancelled_while_it_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that waits for such a build only can be cancelled."""
    monkeypatch.setattr(waves, "STALL", 0.01)
    call = asyncio.create_task(engine.run(lambda: engine.fork(parks(asyncio.Event()))))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not suspended_greenlets()


async def test_failure_while_a_sibling_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure unwinds a later sibling that waits for something else."""
    monkeypatch.setattr(waves, "STALL", 0.01)
    functions = parks(asyncio.Event(), LookupError("first"))
    with pytest.raises(LookupError, match="first"):
        await asyncio.wait_for(engine.run(lambda: engine.fork(functions)), 10)
    assert not suspended_greenlets()


async def test_failure_unwinds_what_was_forked_below() -> None:
    """A failure unwinds the builds that a later sibling has forked."""
    left: list[int] = []

    def below(number: int) -> None:
        try:
            engine.submit(Doubling(1))
            engine.submit(Doubling(1))
        finally:
            left.append(number)

    def first() -> None:
        engine.submit(Doubling(1))
        raise LookupError("first")

    def second() -> None:
        engine.fork([functools.partial(below, number) for number in range(2)])

    with pytest.raises(LookupError, match="first"):
        await engine.run(lambda: engine.fork([first, second]))
    assert left == [0, 1]
    assert not suspended_greenlets()


async def test_a_request_returned() -> None:
    """A function may return a request, in place of submitting it: its result is that of both."""

    def one(number: int) -> Any:
        request = Doubling(number)
        return request if number % 2 else engine.submit(request)

    functions = [functools.partial(one, number) for number in range(4)]
    assert await engine.run(lambda: engine.fork(functions)) == [0, 2, 4, 6]


async def test_builds_that_never_wait_share_a_greenlet() -> None:
    """Forked builds that end with a request need no greenlet each."""
    greenlets: set[int] = set()

    def one() -> Any:
        greenlets.add(id(getcurrent()))
        return Doubling(1)

    assert await engine.run(lambda: engine.fork([one] * 100)) == [2] * 100
    assert len(greenlets) == 1
    assert not suspended_greenlets()


class Refused(Doubling):
    @classmethod
    async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
        await asyncio.sleep(0)
        raise LookupError("refused")


async def test_a_returned_request_that_fails() -> None:
    """What performing a returned request raises leaves the fork, as of one that was submitted."""
    left: list[str] = []

    def submitting() -> int:
        try:
            return engine.submit(Refused(2))
        finally:
            left.append("submitting")

    functions: list[Callable[[], Any]] = [lambda: Doubling(1), lambda: Refused(1), submitting]
    with pytest.raises(LookupError, match="refused"):
        await engine.run(lambda: engine.fork(functions))
    assert left == ["submitting"]
    assert not suspended_greenlets()


async def test_a_failure_withdraws_what_was_returned() -> None:
    """Once a build has failed, the requests of those after it are not performed."""
    performed: list[int] = []

    class Noting(Doubling):
        @classmethod
        async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
            performed.extend(request.number for request in requests)
            return await super().perform(requests)

    def failing() -> int:
        engine.wait(double(1))
        raise LookupError("first")

    def submitting() -> int:
        engine.submit(Refused(1))
        return 1

    functions: list[Callable[[], Any]] = [failing, lambda: Noting(1)]
    with pytest.raises(LookupError, match="first"):
        await engine.run(lambda: engine.fork(functions))
    low = Noting(2)
    low.rank = -1
    functions = [submitting, lambda: low]
    with pytest.raises(LookupError, match="refused"):
        await engine.run(lambda: engine.fork(functions))
    assert performed == []
    assert not suspended_greenlets()


class Asking(Doubling):
    """Has a function run by the build that made the request."""

    function: Callable[[], int]

    @classmethod
    async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
        function = cls.function
        result = await requests[0].run(function)
        return [result] * len(requests)


@pytest.mark.parametrize("ask", [engine.submit, lambda request: request], ids=["kept", "returned"])
async def test_what_a_request_has_run(ask: Any) -> None:
    """While it is performed, a request may run code that waits, also once its build is gone."""

    class One(Asking):
        function = staticmethod(lambda: engine.wait(double(21)))

    assert await engine.run(lambda: engine.submit(One(1))) == 42
    assert await engine.run(lambda: engine.fork([lambda: ask(One(1))] * 2)) == [42, 42]


async def test_what_a_request_has_run_may_fail() -> None:
    """An error of such code reaches the build through the request, with the line that raised it."""

    def fail() -> int:
        engine.wait(double(1))
        raise LookupError("lost")

    class One(Asking):
        function = staticmethod(fail)

    with pytest.raises(LookupError, match="lost") as caught:
        await engine.run(lambda: engine.submit(One(1)))
    assert caught.traceback[-1].name == "fail"
    assert not suspended_greenlets()


async def test_closing_while_a_request_runs_code() -> None:
    """A call that is closed in the middle of that leaves no greenlet."""

    class One(Asking):
        function = staticmethod(lambda: engine.wait(asyncio.sleep(1, 1)))

    call = engine.run(lambda: engine.submit(One(1)))
    call.send(None)
    call.close()
    assert not suspended_greenlets()


async def test_turns_are_taken_in_order() -> None:
    """Builds come to a place in order, also where some wait for the store before they do."""
    order: list[int] = []

    def one(number: int) -> None:
        if number == 1:
            engine.submit(Doubling(number))
        engine.take_turn("place", 0)
        order.append(number)

    functions = [functools.partial(one, number) for number in range(4)]
    await engine.run(lambda: engine.fork(functions))
    assert order == [0, 1, 2, 3]


async def test_turns_of_what_was_forked_below() -> None:
    """That holds for builds that were forked by several parents, too."""
    order: list[tuple[int, int]] = []

    def below(parent: int, number: int) -> None:
        if (parent, number) == (0, 1):
            engine.submit(Doubling(number))
        engine.take_turn("place", 0)
        order.append((parent, number))

    def one(parent: int) -> None:
        engine.submit(Doubling(parent))
        engine.fork([functools.partial(below, parent, number) for number in range(2)])

    functions = [functools.partial(one, number) for number in range(3)]
    await engine.run(lambda: engine.fork(functions))
    assert order == [(parent, number) for parent in range(3) for number in range(2)]
