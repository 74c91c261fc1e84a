"""Whose turn it is on a connection, and savepoints there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient

from async_factory_boy.adapters._tortoise.connections import outermost_transaction

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# Within a transaction, tasks must not set savepoints and store objects in between each other: to
# roll one back would undo what others have stored since. The lock of a transaction goes with it.
# https://github.com/tortoise/tortoise-orm/issues/1861
_locks: WeakKeyDictionary[TransactionalDBClient, asyncio.Lock] = WeakKeyDictionary()

# The locks that the running code has, possibly through a task that it is part of: a signal
# listener, or an overridden save(), may create further objects.
_held: ContextVar[frozenset[asyncio.Lock]] = ContextVar(
    "async_factory_boy_tortoise_held", default=frozenset()
)


def turn(*connections: BaseDBAsyncClient) -> AbstractAsyncContextManager[object]:
    """Return what is held while connections are used, if they are in transactions."""
    transactions = map(outermost_transaction, connections)
    locks = [_lock(transaction) for transaction in transactions if transaction is not None]
    return _Turn(locks) if locks else nullcontext()


def _lock(transaction: TransactionalDBClient) -> asyncio.Lock:
    lock = _locks.get(transaction)
    if lock is None:
        lock = _locks[transaction] = asyncio.Lock()
    return lock


class _Turn:
    """Holds locks, but for those that the running code has already.

    Not an asynccontextmanager, which would cost 20 of the 250 microseconds that storing takes.
    """

    def __init__(self, locks: Sequence[asyncio.Lock]) -> None:
        self._locks = locks
        self._taken: list[asyncio.Lock] = []

    async def __aenter__(self) -> None:
        self._held = _held.get()
        try:
            for lock in self._locks:
                if lock not in self._held:
                    await lock.acquire()
                    self._taken.append(lock)
        except BaseException:
            self._release()
            raise
        _held.set(self._held.union(self._taken))

    async def __aexit__(self, *_: object) -> None:
        _held.set(self._held)
        self._release()

    def _release(self) -> None:
        for lock in self._taken:
            lock.release()


class RollBackError(Exception):
    """Ends a transaction whose context manager would commit it."""


@asynccontextmanager
async def savepoint(transaction: TransactionalDBClient) -> AsyncGenerator[None]:
    # Statements go through the transaction itself, not through the client that the savepoint
    # has: that one takes no notice of the statements that other tasks are waiting for.
    savepoint = transaction._in_transaction()
    async with transaction.acquire_connection():
        await savepoint.__aenter__()
    try:
        yield
    except BaseException as error:
        async with transaction.acquire_connection():
            await savepoint.__aexit__(type(error), error, error.__traceback__)
        raise
    else:
        async with transaction.acquire_connection():
            await savepoint.__aexit__(None, None, None)
