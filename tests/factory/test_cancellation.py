"""A call that is cancelled, closed, interrupted or left alone ends, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import factory
import pytest

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.factory import AsyncFactory
from tests.factory.limits import LIMIT, ended, until, within_limit
from tests.factory.processes import SCENARIOS
from tests.factory.watched import PLACES, SIZE, Thing, Watched
from tests.forks import Forks
from tests.greenlets import suspended_greenlets

each_place = pytest.mark.parametrize("place", PLACES)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Generator[None]:
    """When a call is over, no greenlet of it is suspended, and the garbage collector is on."""
    before = suspended_greenlets()
    yield
    collects = gc.isenabled()
    gc.enable()
    assert collects
    assert [one for one in suspended_greenlets() if one not in before] == []


async def begin(watched: Watched) -> asyncio.Task[list[Thing]]:
    """Start a batch, and return its task when it waits for ever."""
    batch = asyncio.create_task(watched.Factory.create_batch_async(SIZE))
    await until(watched.reached, batch)
    return batch


async def cancelled(batch: asyncio.Task[Any]) -> bool:
    """Cancel a task once, and tell whether it ends by that."""
    batch.cancel()
    return await ended(batch) and batch.cancelled()


@each_place
async def test_the_collector_is_on(place: str) -> None:
    """The garbage collector is on while a batch waits."""
    batch = await begin(Watched(place))
    collects = gc.isenabled()
    await cancelled(batch)
    assert collects


# --- cancelled ---------------------------------------------------------------------------------


@each_place
async def test_one_cancellation(place: str) -> None:
    """One cancellation ends a batch wherever it waits, and nothing of it begins afterwards."""
    watched = Watched(place)
    batch = await begin(watched)
    begun = [*watched.begun]
    assert await cancelled(batch)
    assert watched.begun == begun
    assert watched.unwound()


@each_place
async def test_cancelled_in_a_loop(place: str) -> None:
    """So it is for one object after the other."""
    watched = Watched(place)

    async def loop() -> None:
        for _ in range(SIZE):
            await watched.Factory.create_async()

    call = asyncio.create_task(loop())
    await until(watched.reached, call)
    begun = [*watched.begun]
    assert await cancelled(call)
    assert watched.begun == begun
    assert watched.unwound()


async def _wait_for(seconds: float, batch: Callable[[], Awaitable[Any]]) -> None:
    await asyncio.wait_for(batch(), seconds)


TIME_LIMITS = {"wait_for": _wait_for}

if sys.version_info >= (3, 11):

    async def _timeout(seconds: float, batch: Callable[[], Awaitable[Any]]) -> None:
        async with asyncio.timeout(seconds):
            await batch()

    TIME_LIMITS["timeout"] = _timeout


@pytest.mark.parametrize("kind", TIME_LIMITS)
async def test_time_limit(kind: str) -> None:
    """A time limit ends a batch whose declarations take longer, and whose hooks wait for ever."""

    class Adapter(PersistenceAdapter[Thing]):
        async def save(self, instance: Thing) -> Thing:
            await asyncio.sleep(0)
            return instance

    class Waiting(AsyncFactory[Thing]):
        class Meta:
            model = Thing
            adapter = Adapter()

        value = factory.LazyFunction(lambda: asyncio.sleep(0.02))

        @factory.post_generation
        async def hook(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await asyncio.Event().wait()

    limited = TIME_LIMITS[kind](0.1, lambda: Waiting.create_batch_async(50))
    with pytest.raises(asyncio.TimeoutError):
        await within_limit(limited)


async def test_finally_that_creates() -> None:
    """The ``finally`` blocks of plain hooks create, each once and in order, when cancelled."""
    watched = Watched("save", stop_at=3)
    saved: list[int] = []

    class Adapter(PersistenceAdapter[Thing]):
        async def save(self, instance: Any) -> Any:
            await asyncio.sleep(0)
            saved.append(instance.number)
            return instance

    class Cleaning(AsyncFactory[Thing]):
        class Meta:
            model = Thing
            adapter = Adapter()

        @factory.post_generation
        def hook(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            if create and extracted is None:
                try:
                    watched.Factory.create()
                finally:
                    Cleaning.create(number=10 + thing.number, hook="none")

    batch = asyncio.create_task(
        Cleaning.create_batch_async(SIZE, number=factory.Sequence(lambda n: n))
    )
    await until(watched.reached, batch)
    assert await cancelled(batch)
    assert saved == [*range(SIZE), *range(10, 10 + SIZE)]


async def test_async_hook_that_suppresses() -> None:
    """An async hook that suppresses its cancellation goes on, and so does its batch, as a loop."""
    watched = Watched("save in a hook")
    numbers: list[int] = []

    class Suppressing(watched.Factory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        async def hook(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            with suppress(asyncio.CancelledError):
                if thing.number == 3:
                    watched.reached.set()
                    await asyncio.Event().wait()
            numbers.append(thing.number)

    batch = asyncio.create_task(Suppressing.create_batch_async(SIZE))
    await until(watched.reached, batch)
    batch.cancel()
    assert await ended(batch)
    assert not batch.cancelled()
    assert len(batch.result()) == SIZE
    assert numbers == list(range(SIZE))


async def test_plain_hook_that_suppresses() -> None:
    """A plain hook that suppresses the cancellation of its batch does not keep it from ending."""
    watched = Watched("save")
    suppressed: list[int] = []

    class Suppressing(Watched("nowhere").Factory):  # type: ignore[misc]
        @factory.post_generation
        def last(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            try:
                watched.Factory.create()
            except asyncio.CancelledError:
                if thing.number != 3:
                    raise
                suppressed.append(thing.number)

    batch = asyncio.create_task(Suppressing.create_batch_async(SIZE))
    await until(watched.reached, batch)
    assert await cancelled(batch)
    assert suppressed == [3]


async def test_cancelled_twice() -> None:
    """A second cancellation ends what the first one waits for: the ``finally`` block of a hook."""
    waiting = [asyncio.Event(), asyncio.Event()]
    left: list[int] = []

    class Waiting(Watched("nowhere").Factory):  # type: ignore[misc]
        @factory.post_generation
        async def hook(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            try:
                waiting[0].set()
                await asyncio.Event().wait()
            finally:
                waiting[1].set()
                try:
                    await asyncio.Event().wait()
                finally:
                    left.append(thing.number)

    batch = asyncio.create_task(Waiting.create_batch_async(SIZE))
    await until(waiting[0], batch)
    batch.cancel()
    await until(waiting[1], batch)
    assert await cancelled(batch)
    assert left == [0]


# --- interrupted, closed, left alone -------------------------------------------------------------


@pytest.mark.parametrize("place", ["declaration", "async declaration", "plain hook", "async hook"])
async def test_keyboard_interrupt(place: str) -> None:
    """A KeyboardInterrupt that user code raises ends the batch, and its siblings are unwound."""
    watched = Watched("nowhere")
    raised: list[int] = []

    def interrupt(thing: Any, *_: Any, **kwargs: Any) -> None:
        if thing.number == 3:
            raised.append(len(watched.begun))
            raise KeyboardInterrupt

    async def interrupt_later(thing: Any, *_: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        interrupt(thing)

    declaration: Any = factory.PostGeneration if "hook" in place else factory.LazyAttribute
    last = declaration(interrupt_later if "async" in place else interrupt)
    with pytest.raises(KeyboardInterrupt):
        await watched.Factory.create_batch_async(SIZE, last=last)
    assert raised == [len(watched.begun)]
    assert watched.unwound()


@each_place
async def test_closed(place: str) -> None:
    """A call whose coroutine is closed is unwound at once."""
    watched = Watched(place, awaits_at_the_end=False)
    call = watched.Factory.create_batch_async(SIZE)
    while not watched.reached.is_set():
        call.send(None)
    begun = [*watched.begun]
    call.close()
    assert watched.begun == begun
    assert watched.unwound()


def run_and_leave(watched: Watched) -> None:
    """Run a batch in a loop that is stopped and closed when the batch waits for ever."""
    loop = asyncio.new_event_loop()

    async def stop() -> None:
        await watched.reached.wait()
        loop.stop()

    tasks = [loop.create_task(watched.Factory.create_batch_async(SIZE)), loop.create_task(stop())]
    loop.call_later(LIMIT, loop.stop)
    loop.run_forever()
    loop.close()
    assert watched.reached.is_set()
    assert not tasks[0].done()


@each_place
def test_loop_that_is_stopped(place: str) -> None:
    """A call whose loop is stopped and closed is unwound by the next call of its thread."""
    watched = Watched(place, awaits_at_the_end=False)
    run_and_leave(watched)
    begun = [*watched.begun]
    asyncio.run(Watched("nowhere").Factory.create_async())
    gc.collect()
    assert watched.begun == begun
    assert watched.unwound()


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "name", [name for name in SCENARIOS if hasattr(os, "fork") or "fork" not in name]
)
def test_in_a_process_of_its_own(name: str, forks: Forks) -> None:
    """What may end a batch from outside ends it: see tests/factory/processes.py."""
    done = forks.run(
        *("-W", "error", "-m", "tests.factory.processes", name),
        cwd=Path(__file__).parents[2],
        timeout=15,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
