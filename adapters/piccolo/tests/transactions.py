"""Transactions for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from piccolo.engine import Engine


@asynccontextmanager
async def another_transaction(engine: Engine[Any]) -> AsyncGenerator[Any]:
    """Begin a transaction in addition to the one that the test is in."""
    before = engine.current_transaction.get()
    engine.current_transaction.set(None)
    transaction = engine.transaction()
    await transaction.__aenter__()
    engine.current_transaction.set(before)
    try:
        yield transaction
    finally:
        engine.current_transaction.set(None)
        transaction.context = engine.current_transaction.set(None)
        await transaction.__aexit__(None, None, None)
        engine.current_transaction.set(before)


class _Undone(Exception):  # noqa: N818
    pass


@asynccontextmanager
async def undone(engine: Engine[Any]) -> AsyncGenerator[Any]:
    """Have Piccolo roll back what is done inside."""
    with suppress(_Undone):
        async with engine.transaction() as transaction:
            yield transaction
            raise _Undone
