"""What may end a batch from outside, each in a process of its own: ``python -m … NAME``.

A scenario ends without an error, and in time, if the batch has ended as it has to.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import factory

from tests.factory.watched import PLACES, SIZE, Watched
from tests.greenlets import suspended_greenlets

SCENARIOS: dict[str, Callable[[], object]] = {}


def scenario(function: Callable[[], object]) -> Callable[[], object]:
    SCENARIOS[function.__name__] = function
    return function


def nothing_is_left() -> None:
    assert gc.isenabled()
    assert not suspended_greenlets()


def advance(watched: Watched, call: Coroutine[Any, Any, Any]) -> None:
    """Run a call by hand until it waits for ever."""
    while not watched.reached.is_set():
        call.send(None)


@scenario
def interrupted_while_it_waits() -> None:
    """SIGINT comes while the batch waits: asyncio cancels it, and raises KeyboardInterrupt."""
    for place in PLACES:
        watched = Watched(place)

        async def main(watched: Watched = watched) -> None:
            batch = asyncio.ensure_future(watched.Factory.create_batch_async(SIZE))
            await watched.reached.wait()
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            await batch

        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main())
            raise AssertionError("no KeyboardInterrupt")
        assert watched.unwound(), place
        nothing_is_left()


@scenario
def interrupted_while_it_works() -> None:
    """SIGINT comes while a plain hook works, a second time since asyncio makes use of the first."""
    watched = Watched("nowhere")
    numbers: list[int] = []

    class Interrupted(watched.Factory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        def interrupt(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            numbers.append(thing.number)
            if thing.number == 3:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Interrupted.create_batch_async(SIZE))
        raise AssertionError("no KeyboardInterrupt")
    assert numbers == [0, 1, 2, 3]
    nothing_is_left()


@scenario
def closed_by_another_thread() -> None:
    """Another thread closes the coroutine: its own one unwinds what waits, when it is next used."""
    for place in PLACES:
        watched = Watched(place, awaits_at_the_end=False)
        raised: list[BaseException] = []

        def close(call: Coroutine[Any, Any, Any], raised: list[BaseException] = raised) -> None:
            try:
                call.close()
            except BaseException as error:
                raised.append(error)

        async def main(watched: Watched = watched, close: Callable[..., None] = close) -> None:
            call = watched.Factory.create_batch_async(SIZE)
            advance(watched, call)
            closing = threading.Thread(target=close, args=[call])
            closing.start()
            closing.join()
            await Watched("nowhere").Factory.create_batch_async(SIZE)

        asyncio.run(main())
        assert raised == [], place
        assert watched.unwound(), place
        assert watched.left_in <= {threading.get_ident()}
        nothing_is_left()


@scenario
def closed_after_its_thread() -> None:
    """The coroutine is closed when its thread is over: nothing of it is alive afterwards."""
    for place in PLACES:
        watched = Watched(place, awaits_at_the_end=False)
        waiting: list[Coroutine[Any, Any, Any]] = []

        async def begin(watched: Watched = watched, waiting: list[Any] = waiting) -> None:
            waiting.append(watched.Factory.create_batch_async(SIZE))
            advance(watched, waiting[0])

        thread = threading.Thread(target=lambda begin=begin: asyncio.run(begin()))
        thread.start()
        thread.join()
        waiting.pop().close()
        gc.collect()
        assert all(made() is None for made in watched.made), place
        nothing_is_left()


@scenario
def ignores_its_end() -> None:
    """A plain hook catches whatever is raised, and waits again: ``close()`` gives up on it."""
    other = Watched("save", stop_at=1)

    class Ignoring(Watched("nowhere").Factory):  # type: ignore[misc]
        @factory.post_generation
        def ignore(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            while True:
                with contextlib.suppress(BaseException):
                    other.Factory.create()

    async def main() -> None:
        call = Ignoring.create_batch_async(3)
        advance(other, call)
        try:
            call.close()
        except RuntimeError as error:
            complaints.append(str(error))

    complaints: list[str] = []
    asyncio.run(main())
    assert all("ignored" in complaint for complaint in complaints)
    assert gc.isenabled()


@scenario
def forked_in_a_hook() -> None:
    """A hook forks: the collector is on in the child, and the parent goes on."""
    children: list[int] = []

    class Forking(Watched("nowhere").Factory):  # type: ignore[misc]
        @factory.post_generation
        def fork(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            child = os.fork()
            if child == 0:
                os._exit(0 if gc.isenabled() else 1)
            children.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    assert len(asyncio.run(Forking.create_batch_async(3))) == 3
    assert children == [0, 0, 0]
    nothing_is_left()


if __name__ == "__main__":
    SCENARIOS[sys.argv[1]]()
