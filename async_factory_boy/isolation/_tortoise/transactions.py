"""Transactions of Tortoise that outlive the context they are begun in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NoReturn

from tortoise.backends.base.client import TransactionalDBClient, TransactionContext
from tortoise.context import TortoiseContext
from tortoise.transactions import in_transaction

from async_factory_boy.exceptions import FixtureError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


class Transactions:
    """A transaction on each connection of a context, which is rolled back.

    Tortoise ends a transaction in the context it was begun in. A fixture of pytest has a context of
    its own in each test. So a task holds them.
    """

    clients: dict[str, TransactionalDBClient]
    """Those of the transactions, by the names of their connections."""

    def __init__(self, context: TortoiseContext, names: Iterable[str]) -> None:
        self._context = context
        self._names = names
        self._end = asyncio.Event()
        self.clients = {}

    async def begin(self) -> None:
        begun = asyncio.Event()
        self._task = asyncio.create_task(self._hold(begun))
        waiting = asyncio.create_task(begun.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            self._task.result()

    async def rollback(self) -> None:
        self._end.set()
        await self._task

    async def _hold(self, begun: asyncio.Event) -> None:
        self._context.__enter__()  # in the context of this task, which ends with it
        async with AsyncExitStack() as stack:
            for name in self._names:
                client = await stack.enter_async_context(in_transaction(name))
                # As the class has it: a test has what is below in its place.
                stack.push_async_callback(type(client).rollback, client)
                _keep_open(client)
                self.clients[name] = client
            begun.set()
            await self._end.wait()

    async def execute(self, statement: str) -> None:
        for client in self.clients.values():
            await client.execute_query(statement)


def _keep_open(client: TransactionalDBClient) -> None:
    """Have no code but ours end a transaction: that of a test begins savepoints in it."""
    vars(client).update(
        _in_transaction=partial(_savepoint_in, client),
        commit=partial(_refuse, "commit"),
        rollback=partial(_refuse, "rollback"),
    )


async def _refuse(method: str) -> NoReturn:
    raise FixtureError(
        f"connection.{method}() would end the transaction of the test, which is undone when the "
        f"test is over. Begin another one in it: async with in_transaction() as connection: "
        f"await connection.{method}()."
    )


def _savepoint_in(client: TransactionalDBClient) -> TransactionContext:
    """Return a savepoint, as Tortoise does, whose client does not commit what is around it."""
    context = type(client)._in_transaction(client)
    savepoint: Any = context.client
    own: dict[str, Any] = {"_in_transaction": partial(_savepoint_in, savepoint)}
    if client.capabilities.dialect != "postgres":
        # There, commit() of a savepoint releases it. Elsewhere, it commits the transaction.
        own["commit"] = partial(_ended, savepoint, savepoint.release_savepoint)
        own["rollback"] = partial(_ended, savepoint, savepoint.savepoint_rollback)
    vars(savepoint).update(own)
    return context


async def _ended(savepoint: Any, end: Callable[[], Awaitable[None]]) -> None:
    await end()
    savepoint._finalized = True
