"""Whose turn it is on a connection: the one table of locks.

An adapter says by `connection_key` what one task at a time may use, such as a session. The
outermost call takes it when it first stores something there, and keeps it until it ends: between
two flushes of its own, no other call flushes what its hooks have changed so far. Code that the
call itself runs, in whatever task, uses the connection within that turn. A key `ForEachUse` it
keeps for one use only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from weakref import WeakKeyDictionary

from async_factory_boy.adapters.base import ForEachUse

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


class _Lock:
    """A connection that a call has taken."""

    __slots__ = ("busy", "waiting_calls", "waiting_tasks")

    def __init__(self) -> None:
        self.waiting_calls: deque[asyncio.Future[None]] = deque()
        """The other calls that wait for it, in order."""
        self.busy = False
        """Whether a task of the call uses it at this moment."""
        self.waiting_tasks: deque[asyncio.Future[None]] = deque()
        """The other tasks of the call that wait for the end of that."""


# For each event loop: what has outlived one loop does not have to be waited for in another.
_tables: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Lock]] = WeakKeyDictionary()


def _table() -> dict[Hashable, _Lock]:
    loop = asyncio.get_running_loop()
    table = _tables.get(loop)
    if table is None:
        table = _tables[loop] = {}
    return table


class Turns:
    """The connections that an outermost call has taken."""

    __slots__ = ("_held", "_table", "_taking")

    def __init__(self) -> None:
        self._held: dict[Hashable, _Lock] = {}
        self._table: dict[Hashable, _Lock] | None = None
        self._taking: asyncio.Lock | None = None

    def take_now(self, key: Hashable) -> bool:
        """Take a connection if nobody has to be waited for; return whether it can be used now."""
        lock = self._held.get(key)
        if lock is not None:
            return not lock.busy
        if self._taking is not None and self._taking.locked():
            return False
        if self._table is None:
            self._table = _table()
        if key in self._table:
            return False
        self._held[key] = self._table[key] = _Lock()
        return True

    def use_now(self, key: Hashable) -> bool:
        """Begin to use a connection if nobody has to be waited for; return whether it has begun."""
        if not self.take_now(key):
            return False
        self._held[key].busy = True
        return True

    async def use(self, key: Hashable, *, in_use: bool) -> None:
        """Begin to use a connection, when it is the turn of the call, and of the running task.

        Args:
            key: The connection.
            in_use: Whether the running task is in the middle of using another one, which it
                therefore cannot let go of while it waits.
        """
        while not self.use_now(key):
            if key in self._held:
                await _end_of_use(self._held[key])
            else:
                await self._take(key, in_use=in_use)

    def end_use(self, key: Hashable) -> None:
        """Let another task of the call use a connection."""
        lock = self._held[key]
        lock.busy = False
        while lock.waiting_tasks:
            _wake(lock.waiting_tasks.popleft())
        if isinstance(key, ForEachUse):
            self._hand_on(key, self._held.pop(key))

    def let_go(self) -> None:
        """Let go of all connections."""
        while self._held:
            key, lock = self._held.popitem()
            self._hand_on(key, lock)

    async def _take(self, key: Hashable, *, in_use: bool) -> None:
        if self._taking is None:
            self._taking = asyncio.Lock()
        async with self._taking:
            if key in self._held:
                return
            wanted = [key]
            if self._held and not in_use:
                # Two calls must not wait for each other, each for what the other one has. So let
                # go of all, and take them again with the new one, in an order that is the same
                # for every call. In between, others may use them: no task of this call does.
                while any(lock.busy for lock in self._held.values()):
                    await _end_of_use(next(lock for lock in self._held.values() if lock.busy))
                wanted = sorted([*self._held, key], key=hash)
                self.let_go()
            for one in wanted:
                self._held[one] = await self._waited_for(one)

    async def _waited_for(self, key: Hashable) -> _Lock:
        self._table = table = _table()
        lock = table.get(key)
        if lock is None:
            lock = table[key] = _Lock()
            return lock
        future = asyncio.get_running_loop().create_future()
        lock.waiting_calls.append(future)
        try:
            await future
        except BaseException:
            if future in lock.waiting_calls:
                lock.waiting_calls.remove(future)
            elif not future.cancelled():  # its turn came at the same moment
                self._hand_on(key, lock)
            raise
        return lock

    def _hand_on(self, key: Hashable, lock: _Lock) -> None:
        """Give a connection to the call that has waited longest."""
        while lock.waiting_calls:
            if _wake(lock.waiting_calls.popleft()):
                return
        if self._table is not None:
            self._table.pop(key, None)


async def _end_of_use(lock: _Lock) -> None:
    future = asyncio.get_running_loop().create_future()
    lock.waiting_tasks.append(future)
    await future


def _wake(future: asyncio.Future[None]) -> bool:
    """Have the code go on that waits for a future; return whether it still does."""
    if future.done():
        return False
    future.set_result(None)
    return True
