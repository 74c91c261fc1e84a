"""The engine: synchronous code and programs that wait for the event loop, one or many."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from greenlet import GreenletExit, getcurrent, greenlet

from async_factory_boy import engine
from async_factory_boy.engine import fibers
from async_factory_boy.engine.programs import Execution
from tests.greenlets import suspended_greenlets

T = TypeVar("T")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Generator[None]:
    """Fail a test that leaves a fiber suspended, or a value in an idle one."""
    Doubling.performed, before = [], suspended_greenlets()
    yield
    assert suspended_greenlets() == before
    for fiber in fibers._pool.of_thread.idle:
        assert vars(fiber) == vars(fibers.Fiber())


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


class Doubling(engine.Request[int]):
    """Doubles a number, and notes with which others."""

    performed: ClassVar[list[list[int]]] = []

    def __init__(self, number: int, rank: float = 0, key: str = "doubling") -> None:
        self.number = number
        self.rank = rank
        self._key = key

    @property
    def key(self) -> str:
        return self._key

    @classmethod
    async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
        Doubling.performed.append([request.number for request in requests])
        return [await double(request.number) for request in requests]


class RefusedError(LookupError):
    pass


class Refused(Doubling):
    @classmethod
    async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
        await super().perform(requests)
        raise RefusedError("refused")


class Endless(Doubling):
    """Is performed until it is cancelled."""

    begun: ClassVar[asyncio.Event]

    @classmethod
    async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
        cls.begun.set()
        await asyncio.Event().wait()
        raise AssertionError


def calling(function: Callable[[], T]) -> engine.Program[T]:
    """Return a program that calls a function, and yields nothing."""
    return function()
    yield


async def run(function: Callable[[], T]) -> T:
    return await engine.run(calling(function))


async def run_each(function: Callable[[int], T], size: int) -> list[T]:
    return await run(lambda: engine.each(function, range(size)))


def begun(call: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """Run a coroutine up to where it waits for the first time."""
    call.send(None)
    return call


def forever() -> None:
    engine.wait(asyncio.Event().wait())


# A fiber.


async def test_wait_and_submit() -> None:
    """A fiber gets back what an awaitable, or a request, evaluates to."""
    assert await run(lambda: engine.wait(double(2)) + engine.submit(Doubling(3))) == 10


def test_a_program_that_never_waits() -> None:
    """A program that has nothing to wait for returns without an event loop."""
    with pytest.raises(StopIteration) as end:
        run(lambda: engine.each(str, range(2))).send(None)
    assert end.value.value == ["0", "1"]


async def test_nested_runs() -> None:
    """A coroutine that a fiber waits for is no part of it, and may run another program."""

    async def nested() -> int:
        assert not engine.in_fiber()
        return await run(lambda: engine.wait(double(4)))

    def work() -> int:
        assert engine.in_fiber()
        return engine.wait(nested())

    assert await run(work) == 8


@pytest.mark.parametrize("call", [engine.wait, engine.submit, engine.step_through])
async def test_outside_of_a_fiber(call: Any) -> None:
    """Where nothing drives the code, waiting fails at once, and says so."""
    error = pytest.raises(RuntimeError, match=r"run it with engine\.run\(\)")
    with contextlib.closing(double(1)) as coroutine, error:
        call(coroutine)


async def test_errors_reach_the_fiber() -> None:
    """What an awaitable or a request raises can be caught where the code waits for it."""

    async def fail() -> None:
        raise LookupError("lost")

    def work() -> None:
        with pytest.raises(LookupError, match="lost"):
            engine.wait(fail())
        with pytest.raises(LookupError, match="refused"):
            engine.submit(Refused(1))

    await run(work)


async def test_errors_leave_the_fiber() -> None:
    """What the code raises is raised by run(), with the line that raised it."""

    def work(_: int) -> None:
        engine.wait(double(1))
        raise LookupError("lost")

    for call in (run(lambda: work(0)), run_each(work, 2)):
        with pytest.raises(LookupError, match="lost") as caught:
            await call
        assert caught.traceback[-1].name == "work"


async def test_an_error_keeps_nothing_alive() -> None:
    """An error that is dropped is gone at once: nothing that it refers to refers to it."""

    def fail(number: int) -> None:
        engine.submit(Doubling(number))
        engine.submit(Refused(number))

    def failing() -> engine.Program[None]:
        yield [calling(lambda: fail(1)), calling(lambda: fail(2))]

    gc.disable()
    try:
        for call in (lambda: run(lambda: fail(1)), lambda: run_each(fail, 3)):
            error = await _error_of(call())
            assert error() is None
        error = await _error_of(engine.run(failing()))
        assert error() is None
    finally:
        gc.enable()


async def _error_of(call: Coroutine[Any, Any, Any]) -> weakref.ref[BaseException]:
    try:
        await call
    except LookupError as error:
        return weakref.ref(error)
    raise AssertionError


async def test_context_variables_are_shared() -> None:
    """A program sees the caller's context variables, and the caller sees what it sets."""
    variable: ContextVar[str] = ContextVar("variable", default="caller")

    def work() -> str:
        before = variable.get()
        variable.set("program")
        engine.wait(double(1))
        assert variable.get() == "program"
        return before

    assert await run(work) == "caller"
    assert variable.get() == "program"


async def test_awaitables_that_are_no_coroutines() -> None:
    """A fiber waits for futures, and for objects of any class that can be awaited."""

    class Custom:
        def __await__(self) -> Generator[Any, Any, int]:
            return run(lambda: engine.submit(Doubling(2))).__await__()

    class Done:
        def __await__(self) -> Iterator[Any]:
            return iter(())

    loop = asyncio.get_running_loop()
    done, failed = loop.create_future(), loop.create_future()
    loop.call_soon(done.set_result, 1)
    loop.call_soon(failed.set_exception, LookupError("lost"))

    def work(_: int) -> int:
        with pytest.raises(LookupError, match="lost"):
            engine.wait(failed)
        with pytest.raises(TypeError):
            engine.wait(None)  # type: ignore[arg-type]
        assert engine.wait(Done()) is None
        return engine.wait(done) + engine.wait(Custom())

    assert await run_each(work, 3) == [5, 5, 5]


# Iterators that have come to their end.


async def test_stop_iteration() -> None:
    """An iterator at its end is named as such: a coroutine cannot raise StopIteration."""

    def work() -> Any:
        return next(iter([]))

    def yielding(program: Any) -> engine.Program[Any]:
        return (yield program)

    async def hook() -> None:
        await asyncio.sleep(0)
        await run(work)

    calls = [
        run(work),
        run(lambda: [engine.wait(double(1)), work()]),
        run_each(lambda number: [engine.submit(Doubling(number)), work()], 2),
        run(lambda: engine.wait(hook())),
        engine.run(yielding(yielding(calling(work)))),
        engine.run(yielding([calling(lambda: engine.submit(Doubling(1))), calling(work)])),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="cycle=False") as caught:
            await call
        assert isinstance(caught.value.__cause__, StopIteration)


def test_stop_iteration_here() -> None:
    """Within synchronous code it is raised as it is, and programs may catch it."""

    def catching() -> engine.Program[str]:
        try:
            yield calling(lambda: next(iter([])))
        except StopIteration:
            return "caught"
        return "not raised"

    with pytest.raises(StopIteration):
        engine.run_here(calling(lambda: next(iter([]))))
    assert engine.run_here(catching()) == "caught"


async def test_an_error_because_of_stop_iteration() -> None:
    """A RuntimeError that the code raises itself leaves it as it is."""

    def work() -> None:
        raise RuntimeError("of the user's") from StopIteration()

    with pytest.raises(RuntimeError, match="of the user's"):
        await run(work)


# Coroutines within a fiber.


async def test_stepping_through_a_coroutine() -> None:
    """A coroutine may run within a fiber, and read what has to be waited for."""

    async def reading() -> int:
        assert engine.in_coroutine()
        assert not engine.in_fiber()
        lazy = engine.synchronously(lambda: engine.in_fiber() and engine.submit(Doubling(1)))
        here = engine.run_here(calling(lambda: engine.in_fiber() and engine.submit(Doubling(2))))
        assert engine.in_coroutine()
        with pytest.raises(LookupError, match="refused"):
            engine.synchronously(lambda: engine.submit(Refused(1)))
        return lazy + here + await double(3)

    def work(_: int) -> int:
        result = engine.step_through(reading())
        assert engine.in_fiber()
        return result

    assert await run_each(work, 2) == [12, 12]
    assert Doubling.performed == [[1, 1], [2, 2], [1, 1]]


async def test_errors_reach_the_coroutine() -> None:
    """Errors of what it awaits, and the cancellation of the caller, are thrown into it."""
    entered = asyncio.Event()
    seen: list[str] = []

    async def fail() -> None:
        raise LookupError("lost")

    async def waiting() -> None:
        with pytest.raises(LookupError, match="lost"):
            await fail()
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

    call = asyncio.create_task(run(lambda: engine.step_through(waiting())))
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert seen == ["cleaned up"]


async def test_a_task_that_a_coroutine_starts() -> None:
    """A task is not part of the fiber, not even one that begins at once."""
    seen: list[bool] = []

    async def task() -> None:
        seen.extend([engine.in_coroutine(), engine.in_fiber()])

    async def starting() -> None:
        loop = asyncio.get_running_loop()
        if sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        try:
            await asyncio.create_task(task())
        finally:
            loop.set_task_factory(None)
        seen.append(engine.in_coroutine())

    await run(lambda: engine.step_through(starting()))
    assert seen == [False, False, True]


# The end of a call.


async def test_cancellation_is_thrown_in() -> None:
    """Cancelling the caller raises where the code waits, and finally blocks may wait."""
    entered = asyncio.Event()
    seen: list[Any] = []

    async def entering() -> None:
        entered.set()
        await asyncio.Event().wait()

    def work() -> None:
        try:
            engine.wait(entering())
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append(engine.wait(double(1)) + engine.submit(Doubling(1)))

    call = asyncio.create_task(run(work))
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert seen == ["cancelled", 4]


async def test_a_suspended_greenlet_is_noticed() -> None:
    """The check that no greenlet is left behind finds one that is."""
    call = begun(run(forever))
    assert len(suspended_greenlets()) == 1
    call.close()
    assert not suspended_greenlets()


@pytest.mark.parametrize(
    "wait", [forever, lambda: engine.submit(Doubling(1))], ids=["wait", "submit"]
)
async def test_closing_ends_all(wait: Callable[[], object]) -> None:
    """A call that is closed, not awaited to its end, unwinds all that it has begun."""
    left: list[Any] = []

    def item(number: int) -> None:
        try:
            engine.submit(Doubling(number)) if number else wait()
        finally:
            left.append(number)

    def nested(number: int) -> None:
        try:
            engine.each(item, range(3))
        finally:
            left.append("nested")

    def asking() -> engine.Program[None]:
        try:
            yield [calling(lambda: engine.each(nested, range(2)))]
        finally:
            left.append("program")

    begun(engine.run(asking())).close()
    if wait is forever:  # it waits alone
        assert left == [0, "nested", "program"]
    else:
        assert left == [0, 1, 2, "nested", 0, 1, 2, "nested", "program"]


async def test_closing_a_program_that_asks() -> None:
    """A program that is closed while its request is performed runs its finally blocks."""
    left: list[int] = []

    def asking(number: int) -> engine.Program[None]:
        try:
            if number:
                yield [asking(number - 1), asking(number - 1)]
            yield Doubling(1)
        finally:
            left.append(number)

    begun(engine.run(asking(2))).close()
    assert sorted(left) == [0, 0, 0, 0, 1, 1, 2]


async def test_code_that_does_not_let_itself_be_ended() -> None:
    """Code that waits once more when its call is closed makes that an error; the others end."""
    left: list[object] = []

    def item(number: int) -> None:
        while True:
            try:
                engine.submit(Doubling(number))
            except GreenletExit:
                left.append(number)
                if number != 1 or left.count(1) > 1:
                    raise

    def asking() -> engine.Program[None]:
        try:
            yield calling(lambda: engine.each(item, range(3)))
        finally:
            left.append("program")

    call = begun(engine.run(asking()))
    with pytest.raises(RuntimeError, match="ignored GreenletExit"):
        call.close()
    assert left == [0, 1, 2, 1, "program"]  # it may have waited in a finally block, once


async def test_closed_by_another_thread() -> None:
    """What the garbage collector of another thread closes is unwound in its own."""
    left: list[int] = []

    def item(number: int) -> None:
        try:
            engine.submit(Doubling(number))
        finally:
            left.append(threading.get_ident())

    await asyncio.to_thread(begun(run_each(item, 3)).close)
    await asyncio.sleep(0)
    assert left == [threading.get_ident()] * 3


async def step_through_forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "wait",
    [
        lambda number: forever(),
        lambda number: engine.submit(Doubling(number)),
        lambda number: engine.step_through(step_through_forever()),
        lambda number: engine.synchronously(forever),
        lambda number: engine.each(lambda one: engine.submit(Doubling(one)), range(2)),
        lambda number: engine.run_here(calling(lambda: engine.submit(Doubling(number)))),
        lambda number: engine.take_turn("place", 0) if number else forever(),
    ],
    ids=["wait", "submit", "step_through", "synchronously", "each", "run_here", "take_turn"],
)
@pytest.mark.parametrize("size", [1, 3])
def test_closed_by_another_thread_without_a_loop(wait: Callable[[int], Any], size: int) -> None:
    """Where its event loop is closed, it is dropped: nothing stays alive for ever."""
    left: list[int] = []

    def item(number: int) -> None:
        try:
            wait(number)
        finally:
            left.append(threading.get_ident())

    async def begin() -> Coroutine[Any, Any, Any]:
        return begun(run_each(item, size))

    loop = asyncio.new_event_loop()
    calls = [loop.run_until_complete(begin())]
    loop.close()
    thread = threading.Thread(target=lambda: calls.pop().close())
    thread.start()
    thread.join()
    greenlet(lambda: None).switch()  # greenlet unwinds here what other threads have dropped
    assert not suspended_greenlets()
    assert set(left) == {threading.get_ident()}


def test_a_thread_that_ends() -> None:
    """What is under way in a thread is unwound before the thread ends."""
    left: list[int] = []
    calls: list[Coroutine[Any, Any, Any]] = []

    def item(number: int) -> None:
        try:
            engine.submit(Doubling(number))
        finally:
            left.append(threading.get_ident())

    async def begin() -> None:
        calls.append(begun(run_each(item, 3)))

    thread = threading.Thread(target=lambda: asyncio.run(begin()))
    thread.start()
    thread.join()
    assert left == [thread.ident] * 3
    calls.pop().close()


def test_an_event_loop_that_is_left() -> None:
    """What a closed event loop has left is unwound when the next one runs in its thread."""
    left: list[int] = []

    def item(number: int) -> None:
        try:
            forever() if number == 1 else engine.submit(Doubling(number))
        finally:
            left.append(number)

    loop = asyncio.new_event_loop()
    task: Any = loop.create_task(run_each(item, 3))
    task._log_destroy_pending = False
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    del task
    asyncio.run(run(lambda: None))
    assert left == [0, 1]


# Fibers are used again.


async def test_fibers_are_used_again() -> None:
    """A further call makes no new fiber, whatever the first one has waited for."""

    def item(number: int) -> greenlet:
        engine.submit(Doubling(number))
        engine.wait(double(number))
        return getcurrent()

    for size in (1, 4):
        first = await run_each(item, size)
        assert len(set(first)) == size
        assert set(await run_each(item, size)) == set(first)
    with pytest.raises(LookupError):
        await run(lambda: engine.submit(Refused(1)))
    assert await run(getcurrent) in first


async def test_idle_fibers_are_few() -> None:
    """A large batch keeps no more fibers than a small one."""
    await run_each(lambda number: engine.submit(Doubling(number)), 100)
    assert len(fibers._pool.of_thread.idle) == fibers._POOL_SIZE


async def test_idle_fibers_keep_nothing() -> None:
    """What a call has worked on, or returned, does not stay alive with its fibers."""

    class Thing:
        pass

    def item(thing: Thing) -> Thing:
        engine.submit(Doubling(1))
        return Thing()

    async def call() -> weakref.WeakSet[Thing]:
        things = [Thing(), Thing()]
        made = await run(lambda: engine.each(item, things))
        return weakref.WeakSet(things + made)

    fibers._end_all()
    gc.disable()
    try:
        for _ in range(2):
            assert not await call()
    finally:
        gc.enable()


async def test_items_that_do_not_wait_share_a_fiber() -> None:
    """Items need a fiber each only while they wait."""

    def item(number: int) -> greenlet:
        if number % 10 == 0:
            engine.submit(Doubling(number))
        return getcurrent()

    assert len(set(await run_each(item, 30))) == 4  # the last one had nobody waiting


def test_threads_with_idle_fibers() -> None:
    """Threads take their idle fibers with them when they end."""
    script = """
        import asyncio, gc, threading
        from async_factory_boy import engine
        from async_factory_boy.engine.fibers import Fiber
        from tests.test_engine import run_each, Doubling

        def work():
            for _ in range(2):
                asyncio.run(run_each(lambda n: engine.submit(Doubling(n)), 20))

        for _ in range(5):
            threads = [threading.Thread(target=work) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        work()
        gc.collect()
        print(sum(type(one) is Fiber for one in gc.get_objects()))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{fibers._POOL_SIZE}\n", "")


# Many items.


async def test_each_is_a_loop() -> None:
    """Items give their results in order, and perform their requests together."""

    def item(number: int) -> int:
        return engine.submit(Doubling(number)) + engine.submit(Doubling(number + 10))

    assert await run_each(item, 3) == [20, 24, 28]
    assert Doubling.performed == [[0, 1, 2], [10, 11, 12]]
    assert await run_each(item, 0) == []


async def test_each_as_a_plain_loop() -> None:
    """With one item, or outside of a fiber, nothing runs side by side."""
    here = getcurrent()
    assert engine.each(lambda _: getcurrent(), range(3)) == [here] * 3
    assert engine.path() == ()

    def work() -> None:
        engine.each(lambda _: paths.append(list(engine.path())), range(1))

    paths: list[Any] = []
    await run(work)
    assert paths == [[]]


async def test_nested_loops() -> None:
    """Items of loops within items of a loop wait together, in the order of one loop."""

    def inner(number: int) -> int:
        return engine.submit(Doubling(number)) + engine.submit(Doubling(number + 10))

    def outer(number: int) -> list[int]:
        engine.submit(Doubling(number + 100))
        numbers = range(3 * number, 3 * number + 3)
        return engine.each(lambda one: engine.each(inner, [one, one])[0], numbers)

    assert await run_each(outer, 2) == [[20, 24, 28], [32, 36, 40]]
    once = [number for number in range(6) for _ in range(2)]
    assert Doubling.performed == [[100, 101], once, [number + 10 for number in once]]


async def test_an_awaitable_is_awaited_alone() -> None:
    """While an item waits for an awaitable, no other item runs."""
    order: list[tuple[str, int]] = []

    async def hook(number: int) -> None:
        order.append(("enter", number))
        await asyncio.sleep(0)
        await run_each(lambda one: engine.submit(Doubling(one)), 2)
        order.append(("leave", number))

    def item(number: int) -> None:
        order.append(("before", number))
        engine.wait(hook(number))
        engine.submit(Doubling(number))

    await run_each(item, 3)
    steps = ["before", "enter", "leave"]
    assert order == [(step, number) for number in range(3) for step in steps]
    assert Doubling.performed == [[0, 1]] * 3 + [[0, 1, 2]]


async def test_a_lock_across_a_request() -> None:
    """A coroutine that holds a lock while it waits for the store does not block other items."""
    lock = asyncio.Lock()

    async def hook(number: int) -> int:
        async with lock:
            return await run(lambda: engine.submit(Doubling(number)))

    call = run_each(lambda number: engine.wait(hook(number)), 5)
    assert await asyncio.wait_for(call, 10) == [0, 2, 4, 6, 8]


async def test_what_an_item_sets() -> None:
    """What an item sets is there for what it awaits, and not for items that run as it waits."""
    variable: ContextVar[object] = ContextVar("variable", default="caller")

    async def hook() -> object:
        await asyncio.sleep(0)
        before = variable.get()
        variable.set(f"hook {before}")
        return before

    def item(number: int) -> list[object]:
        seen = [variable.get()]
        variable.set(number)
        engine.submit(Doubling(number))
        return [*seen, engine.wait(hook()), engine.submit(Doubling(number)), variable.get()]

    seen = await run_each(item, 3)
    assert seen == [["caller", number, 2 * number, f"hook {number}"] for number in range(3)]


async def test_order_of_waves() -> None:
    """Those of the highest rank are performed first, each in the order of the items."""

    def item(number: int) -> None:
        if number % 2:
            engine.submit(Doubling(number, rank=1))
        engine.submit(Doubling(number, rank=1 if number == 3 else 0))

    await run_each(item, 4)
    assert Doubling.performed == [[1, 3], [3], [0, 1, 2]]


async def test_requests_that_differ() -> None:
    """Requests are performed together that have a class and a key in common."""

    class Other(Doubling):
        pass

    def item(number: int) -> int:
        kind = Other if number == 4 else Doubling
        return engine.submit(kind(number, key="even" if number % 2 == 0 else "odd"))

    assert await run_each(item, 5) == [0, 2, 4, 6, 8]
    assert Doubling.performed == [[0, 2], [1, 3], [4]]


async def test_a_request_that_fails_among_others() -> None:
    """An error of one wave is that of its requests; the others have their results."""

    def item(number: int) -> int:
        try:
            return engine.submit(Refused(number) if number % 2 else Doubling(number))
        except LookupError:
            return -1

    assert await run_each(item, 4) == [0, -1, 4, -1]


# Failures.


async def test_an_item_that_fails() -> None:
    """Items before it go on to their end, those after it are unwound, or do not begin."""
    order: list[tuple[str, int]] = []

    def item(number: int) -> None:
        order.append(("begin", number))
        if number == 3:
            raise LookupError("third")
        try:
            engine.submit(Doubling(number))
            if number == 1:
                raise LookupError("first")
            engine.submit(Doubling(number))
            order.append(("end", number))
        except asyncio.CancelledError:
            order.append(("unwound", number))
            raise

    with pytest.raises(LookupError, match="first"):
        await run_each(item, 5)
    assert order == [*(("begin", number) for number in range(4)), ("unwound", 2), ("end", 0)]


async def test_a_failure_unwinds_what_is_below() -> None:
    """A failure unwinds the items of loops that later items have begun."""
    left: list[object] = []

    def below(number: int) -> None:
        try:
            engine.submit(Doubling(number))
            engine.submit(Doubling(number))
        finally:
            left.append(number)

    def item(number: int) -> None:
        if number == 0:
            engine.submit(Doubling(number))
            raise LookupError("first")
        try:
            engine.each(below, range(2))
        finally:
            left.append("owner")

    with pytest.raises(LookupError, match="first"):
        await run_each(item, 2)
    assert left == [0, 1, "owner"]


async def test_a_failure_withdraws_requests() -> None:
    """Once an item has failed, the requests of those after it are not performed."""

    def item(number: int) -> None:
        engine.wait(double(1))
        if number == 0:
            engine.submit(Refused(0))
        engine.submit(Doubling(1, rank=-1))

    with pytest.raises(LookupError, match="refused"):
        await run_each(item, 2)
    assert Doubling.performed == [[0]]


async def test_an_item_that_ends_while_it_is_unwound() -> None:
    """What an unwound item raises in place of its cancellation is not the loop's error."""

    def item(number: int) -> None:
        with contextlib.suppress(*[asyncio.CancelledError] * (number == 2)):
            try:
                engine.submit(Refused(0) if number == 0 else Doubling(1, rank=-1))
            except asyncio.CancelledError:
                if number == 1:
                    raise KeyError("in its place") from None
                raise

    with pytest.raises(LookupError, match="refused"):
        await run_each(item, 4)


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt])
@pytest.mark.parametrize("how", ["raised", "awaited", "performed"])
async def test_an_interruption(kind: type[BaseException], how: str) -> None:
    """One that is no Exception unwinds every other item, once; nothing begins after it."""
    order: list[tuple[str, int, int]] = []

    class Interrupting(Doubling):
        @classmethod
        async def perform(cls, requests: Sequence[Doubling]) -> Sequence[int]:
            raise kind

    async def interrupt() -> None:
        raise kind

    def interrupted() -> None:
        if how == "raised":
            raise kind
        if how == "awaited":
            engine.wait(interrupt())
        engine.submit(Interrupting(0, rank=2))

    def inner(outer: int, number: int) -> None:
        order.append(("begin", outer, number))
        try:
            if (outer, number) == (1, 2):
                interrupted()
            engine.submit(Doubling(number))
            order.append(("performed", outer, number))
        except (asyncio.CancelledError, KeyboardInterrupt):
            order.append(("unwound", outer, number))
            engine.wait(asyncio.sleep(0))  # a finally block may wait
            order.append(("left", outer, number))
            raise

    def item(outer: int) -> None:
        try:
            engine.each(lambda number: inner(outer, number), range(4))
        finally:
            order.append(("owner", outer, 0))

    with pytest.raises(kind):
        await run_each(item, 3)
    begun = [one for one in order if one[0] == "begin"]
    interrupted_at = order.index(("unwound", 1, 2))
    assert order[:interrupted_at] == begun
    if how != "performed":
        assert len(begun) == 7
    owners = [("owner", outer, 0) for outer in {one[1] for one in begun}]
    unwound = [(step, *one[1:]) for one in begun for step in ("unwound", "left")]
    assert sorted(order[interrupted_at:]) == sorted(unwound + owners)


async def test_cancelled_while_a_wave_is_performed() -> None:
    """A call that is cancelled ends at once: it performs nothing more, and begins nothing."""
    left: list[int] = []

    def item(number: int) -> None:
        try:
            engine.submit(Endless(1, rank=1))
            engine.submit(Doubling(2))
        finally:
            left.append(number)

    Endless.begun = asyncio.Event()
    call = asyncio.create_task(run_each(lambda number: engine.each(item, range(3)), 3))
    await Endless.begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 10)
    assert sorted(left) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert Doubling.performed == []


# Turns.


async def test_turns_are_taken_in_order() -> None:
    """Items come to a place in order, also where some wait for the store before they do."""
    order: list[int] = []

    def item(number: int) -> None:
        for _ in range(3 - number):
            engine.submit(Doubling(number))
        engine.take_turn("place", -1)
        order.append(number)

    await run_each(item, 4)
    assert order == [0, 1, 2, 3]
    await run(lambda: item(3))  # no loop, and nobody to wait for


async def test_turns_in_nested_loops() -> None:
    """That holds for items of loops within several items, too."""
    order: list[tuple[int, int]] = []

    def inner(outer: int, number: int) -> None:
        if (outer, number) == (0, 1):
            engine.submit(Doubling(number))
        engine.take_turn("place", -1)
        order.append((outer, number))

    def item(outer: int) -> None:
        engine.submit(Doubling(outer))
        engine.each(lambda number: inner(outer, number), range(2))

    await run_each(item, 3)
    assert order == [(outer, number) for outer in range(3) for number in range(2)]


async def test_passing_by() -> None:
    """Who was at a place without waiting is not waited for; each place has its own turns."""
    order: list[Any] = []

    def item(number: int) -> None:
        assert [index for _, index in engine.path()] == [number]
        engine.pass_by(engine.path(), "place")
        engine.submit(Doubling(number))
        engine.take_turn("place", -1)
        engine.take_turn("other", -1)
        order.append(number)
        if number == 1:
            engine.submit(Doubling(number))

    await run_each(item, 3)
    assert order == [0, 1, 2]
    assert len(Doubling.performed) == 2


async def test_an_item_that_is_late_for_its_turn() -> None:
    """Nobody waits for ever: who never comes to a place is overtaken when nothing else is left."""
    order: list[int] = []

    def item(number: int) -> None:
        if number:
            engine.take_turn("place", 0)
            order.append(number)

    await run_each(item, 3)
    assert order == [1, 2]


# Programs.


def asks(*requests: Any) -> engine.Program[list[Any]]:
    """Yield one request after the other, and return their results."""
    results = []
    for request in requests:
        results.append((yield request))
    return results


async def test_programs_side_by_side() -> None:
    """Programs that are yielded as a list give their results in order, and ask together."""
    waiting = calling(lambda: engine.wait(double(4)))
    assert await engine.run(
        asks(
            [asks(Doubling(1), Doubling(2)), waiting, asks([asks(Doubling(3)), asks()])],
            asks(Doubling(5)),
            [],
        )
    ) == [[[2, 4], 8, [[[6], []]]], [10], []]
    assert Doubling.performed == [[1, 3], [2], [5]]


async def test_order_of_what_programs_ask_for() -> None:
    """Those of the highest rank are performed first, each in the order of the programs."""
    first = asks(Doubling(0), Doubling(1, rank=1))
    second = asks(Doubling(2, rank=1), Doubling(3))
    third = asks(Doubling(4, rank=1, key="other"), Refused(5, rank=-1))
    with pytest.raises(LookupError, match="refused"):
        await engine.run(asks([first, second, third]))
    assert Doubling.performed == [[2], [4], [0, 3], [1], [5]]


async def test_programs_of_several_items() -> None:
    """Programs that items run within themselves ask together, too."""

    def item(number: int) -> list[Any]:
        return engine.run_here(asks([asks(Doubling(number)), asks(Doubling(number + 10))]))

    assert await run_each(item, 2) == [[[[0], [20]]], [[[2], [22]]]]
    assert Doubling.performed == [[0, 10, 1, 11]]


def test_a_program_here() -> None:
    """Where nothing drives the code, a program runs as long as it asks for nothing."""
    assert engine.run_here(asks([asks(), calling(lambda: 1)])) == [[[], 1]]
    with pytest.raises(RuntimeError, match=r"run it with engine\.run\(\)"):
        engine.run_here(asks(Doubling(1)))


async def test_errors_reach_the_program() -> None:
    """What a request, or a further program, raises can be caught where it is yielded."""

    def catching(yielded: Any) -> engine.Program[str]:
        try:
            yield yielded
        except LookupError as error:
            return str(error)
        return "not raised"

    for failing in (Refused(1), asks(Refused(1)), [asks(Doubling(1)), asks(Refused(2))]):
        assert await engine.run(catching(failing)) == "refused"


async def test_a_program_that_fails_among_others() -> None:
    """The others are closed, with all that they wait for, and ask for nothing more."""
    left: list[str] = []

    def closed(name: str, yielded: Any) -> engine.Program[None]:
        try:
            yield yielded
            yield Doubling(2)
        finally:
            left.append(name)

    below = [closed("below", asks(Doubling(1))), closed("low", Doubling(3, rank=-1))]
    siblings = [closed("asking", Doubling(1)), asks(Refused(1)), closed("above", below), asks()]
    with pytest.raises(LookupError, match="refused"):
        await engine.run(closed("parent", siblings))
    assert left == ["asking", "below", "low", "above", "parent"]
    assert Doubling.performed == [[1, 1], [1]]


@pytest.mark.parametrize("here", [False, True], ids=["run", "run_here"])
async def test_cancellation_reaches_programs(here: bool) -> None:
    """Cancelling the caller raises in a program where it waits, also within a fiber."""
    seen: list[type[BaseException]] = []

    def noting() -> engine.Program[None]:
        try:
            yield Endless(1)
        except BaseException as error:
            seen.append(type(error))
            raise

    Endless.begun = asyncio.Event()
    program = calling(lambda: engine.run_here(noting())) if here else noting()
    call = asyncio.create_task(engine.run(program))
    await Endless.begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert seen == [asyncio.CancelledError]


async def test_a_failure_reaches_programs() -> None:
    """What unwinds an item is raised in the program that the item runs."""
    seen: list[bool] = []

    def noting() -> engine.Program[None]:
        try:
            yield Doubling(1, rank=-1)
        except asyncio.CancelledError:
            seen.append(engine.in_fiber())
            raise

    def item(number: int) -> None:
        engine.run_here(noting() if number else asks(Refused(1)))

    with pytest.raises(LookupError, match="refused"):
        await run_each(item, 2)
    assert seen == [True]


def test_an_execution() -> None:
    """An execution says which requests come next, and goes on with their answers."""
    execution = Execution(asks([asks(Doubling(1)), asks(Doubling(2, rank=1))], Doubling(3)))
    (second,) = execution.advance()
    assert second.number == 2
    execution.answer([("second", None)])
    (first,) = execution.advance()
    execution.answer([("first", None)])
    (third,) = execution.advance()
    execution.answer([(None, LookupError("lost"))])
    assert (first.number, third.number, execution.advance()) == (1, 3, [])
    with pytest.raises(LookupError, match="lost"):
        execution.result()
    execution.close()
