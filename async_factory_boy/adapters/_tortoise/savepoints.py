"""Savepoints of Tortoise."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tortoise.backends.base.client import TransactionalDBClient

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


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
