"""The engine: synchronous code that waits for the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest
from greenlet import GreenletExit

from async_factory_boy import engine
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
    monkeypatch.setattr(engine, "STALL", 0.01)
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
    monkeypatch.setattr(engine, "STALL", 0.01)
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
