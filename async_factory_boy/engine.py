"""Lets synchronous code wait for the event loop.

factory_boy resolves declarations lazily and recursively: a plain attribute access may need an
object that has to be stored first, so there is no place to write ``await``. Here a *build* (any
synchronous callable) runs in a greenlet, and whatever must be awaited is handed from there to the
coroutine that drives it. SQLAlchemy's asyncio extension rests on the same technique.

The module knows no ORM and no factory. A build hands the driver one of two things:

- an awaitable (`wait`), whose result it gets back;
- a `Request` (`submit`), which is work on a store. The driver, not the build, decides when it is
  performed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast

from greenlet import GreenletExit, getcurrent, greenlet

T = TypeVar("T")
R = TypeVar("R")


class Request(ABC, Generic[R]):
    """Work on a store that a build waits for."""

    @abstractmethod
    async def perform(self) -> R:
        """Do the work, and return what the build gets back from `submit`."""


class Build(greenlet):
    """The greenlet a build runs in."""

    # SQLAlchemy's await_only() looks for this name: with it, a hook may read a lazy relationship,
    # as code under AsyncSession.run_sync() may. See sqlalchemy/util/concurrency.py.
    __sqlalchemy_greenlet_provider__ = True

    def __init__(self, function: Callable[[], Any]) -> None:
        driver = getcurrent()
        super().__init__(function, driver)
        # A greenlet starts with an empty context of its own; the build is part of the caller's
        # call, so it shares the caller's context variables, both ways.
        self.gr_context = driver.gr_context


def in_build() -> bool:
    """Tell whether the calling code runs in a build, so that `wait` and `submit` work."""
    return isinstance(getcurrent(), Build)


def wait(awaitable: Awaitable[T]) -> T:
    """Wait for `awaitable` from within a build, and return its result.

    Raises:
        RuntimeError: When called outside of a build (see `in_build`).
        BaseException: Whatever the awaitable raises, and the cancellation of the caller's task.
    """
    return cast("T", _switch_to_driver(awaitable))


def submit(request: Request[R]) -> R:
    """Hand `request` to the driver from within a build, and return its result.

    Raises:
        RuntimeError: When called outside of a build (see `in_build`).
        BaseException: Whatever performing it raises, and the cancellation of the caller's task.
    """
    return cast("R", _switch_to_driver(request))


def _switch_to_driver(yielded: object) -> object:
    current = getcurrent()
    if not isinstance(current, Build) or current.parent is None:
        raise RuntimeError("nothing waits for this greenlet; run the code with engine.run()")
    return current.parent.switch(yielded)


async def run(function: Callable[[], T]) -> T:
    """Run `function` as a build, and return what it returns.

    Exceptions, cancellation included, are thrown into the build at the point where it waits. When
    this coroutine ends, however it ends, the build has ended.

    Args:
        function: Synchronous code that may call `wait` and `submit`.

    Returns:
        What `function` returns.

    Raises:
        BaseException: What `function` raises.
        RuntimeError: When it raises StopIteration, which no coroutine can.
    """
    build = Build(function)
    yielded: Any = None
    try:
        yielded = build.switch()
        while not build.dead:
            try:
                value = await (yielded.perform() if isinstance(yielded, Request) else yielded)
            except BaseException as error:
                # With the traceback spelt out: given the exception alone, greenlet drops it.
                yielded = build.throw(type(error), error, error.__traceback__)
                if isinstance(error, GeneratorExit):
                    raise  # closed: nothing can be awaited from here on
            else:
                yielded = build.switch(value)
    except StopIteration as error:
        # No coroutine can raise it: Python would say no more than that.
        raise RuntimeError(
            "StopIteration in a build: an iterator that it read has come to its end, such as that "
            "of an Iterator(..., cycle=False)."
        ) from error
    finally:
        # Not dead here: the build answered being closed by asking for one more await.
        while not build.dead:
            _discard(yielded)
            yielded = build.throw(GreenletExit)
    return cast("T", yielded)


def _discard(yielded: object) -> None:
    close = getattr(yielded, "close", None)
    if close is not None:
        close()
