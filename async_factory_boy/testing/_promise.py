"""Makes a test say, when it fails, which promise was broken and what to do about it."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, ParamSpec

import pytest

P = ParamSpec("P")

# In seconds; what takes longer waits for something that will not happen.
TIME_LIMIT = 30.0


class BrokenPromise(AssertionError):  # noqa: N818 (it is read in a test report: "BrokenPromise: ...")
    """The adapter does not do what the protocol promises of it."""


class WrongFixtureError(Exception):
    """A fixture of the suite is not what it has to be, so nothing can be said of the adapter."""


def promise(
    sentence: str, *, instead: str
) -> Callable[[Callable[P, Awaitable[None]]], Callable[P, Awaitable[None]]]:
    """Turn whatever goes wrong in a test into a `BrokenPromise`.

    Args:
        sentence: What is promised, as what the adapter must do.
        instead: What to change in an adapter that does not.
    """

    def decorate(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        @functools.wraps(test)
        async def kept(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                with _limited():
                    await test(*args, **kwargs)
            except WrongFixtureError:
                raise
            # pytest.raises() fails with what is no Exception.
            except (Exception, pytest.fail.Exception) as error:
                raise BrokenPromise(f"{sentence} {instead}") from error

        # pytest shows a traceback from the test function on. To have it take this one for that, it
        # is not to see the one that is wrapped, but for the fixtures that it asks for.
        as_seen: Any = kept
        as_seen.__doc__ = sentence
        as_seen.__signature__ = inspect.signature(test)
        del as_seen.__wrapped__
        return kept

    return decorate


@contextmanager
def _limited() -> Generator[None]:
    """Cancel the running task when `TIME_LIMIT` is over."""
    # Not asyncio.timeout(), which came with Python 3.11.
    task = asyncio.current_task()
    assert task is not None
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(TIME_LIMIT, expire)
    try:
        yield
    except asyncio.CancelledError:
        if not expired:
            raise
        raise TimeoutError(
            f"The test still waited after {TIME_LIMIT} seconds: probably for a lock that was not "
            "released, or that the same call holds already."
        ) from None
    finally:
        timer.cancel()
