"""Time limits, so that a test of what hangs fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT = 10.0
"""Seconds after which a call counts as one that hangs."""


async def ended(task: asyncio.Task[Any], limit: float = LIMIT) -> bool:
    """Wait for a task, and tell whether it ends in time; if it does not, end it by force.

    ``asyncio.wait_for`` cancels once, and then waits for ever for what goes on nevertheless.
    """
    await asyncio.wait([task], timeout=limit)
    in_time = task.done()
    for _ in range(10_000):
        if task.done():
            break
        task.cancel()
        await asyncio.sleep(0.001)
    return in_time


async def within_limit(call: Coroutine[Any, Any, T]) -> T:
    """Await a call, in a task of its own, and fail if it hangs."""
    task = asyncio.create_task(call)
    assert await ended(task), "the call hangs"
    return await task


async def until(event: asyncio.Event, task: asyncio.Task[Any]) -> None:
    """Wait for an event that a task sets; if it does not, end the task, and fail."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([waiting, task], timeout=LIMIT, return_when=asyncio.FIRST_COMPLETED)
    if not event.is_set():
        waiting.cancel()
        await ended(task, limit=0)
        raise AssertionError("the task does not come to where it waits for ever")


async def all_of(*calls: Coroutine[Any, Any, T]) -> list[T]:
    """Await calls beside each other; if one fails, raise its error when the others are over."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
