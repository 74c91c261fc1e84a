"""The adapter keeps what every adapter promises: in a transaction, and without one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from sqlite3 import IntegrityError
from typing import Any

import pytest
from asyncpg.exceptions import UniqueViolationError
from piccolo.engine import Engine
from piccolo.engine.sqlite import SQLiteEngine
from tables import ChildFactory, ParentFactory
from transactions import another_transaction

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.testing import AdapterConformance


class _Conformance(AdapterConformance):
    @pytest.fixture
    def parent(self) -> type[AsyncFactory[Any]]:
        return ParentFactory

    @pytest.fixture
    def child(self) -> type[AsyncFactory[Any]]:
        return ChildFactory

    @pytest.fixture
    async def connection(self, database: Engine[Any]) -> AsyncGenerator[Any]:
        """What the rows that are stored are read by."""
        if isinstance(database, SQLiteEngine):
            connection = await database.get_connection()
        else:
            connection = await database.get_new_connection()
        yield connection
        await connection.close()

    @pytest.fixture
    def rows(self, connection: Any) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
        read = getattr(connection, "fetch", None) or connection.execute_fetchall

        async def rows(factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
            if factory._meta.model is ParentFactory._meta.model:
                query = "SELECT id AS key, name, size FROM parent"
            else:
                query = "SELECT id AS key, name, parent FROM child"
            return [dict(row) for row in await read(query)]

        return rows

    @pytest.fixture
    def new_key(self) -> Callable[[], int]:
        # Far from what a database has counted to.
        return count(1_000_000, 10_000).__next__

    @pytest.fixture
    def conflict(self, database: Engine[Any]) -> type[Exception]:
        return IntegrityError if isinstance(database, SQLiteEngine) else UniqueViolationError


class TestWithoutTransaction(_Conformance):
    """Each row is stored at once."""


class TestInTransaction(_Conformance):
    """The test is inside of ``async with DB.transaction()``."""

    @pytest.fixture
    async def transaction(self, database: Engine[Any]) -> AsyncGenerator[Any]:
        async with database.transaction() as transaction:
            yield transaction
            await transaction.rollback()

    @pytest.fixture
    def connection(self, transaction: Any) -> Any:
        return transaction.connection

    @pytest.fixture
    def rollback(self, connection: Any) -> Callable[[], Awaitable[None]]:
        async def rollback() -> None:
            await connection.execute("ROLLBACK")
            await connection.execute("BEGIN")

        return rollback

    @pytest.fixture
    def another(self, database: Engine[Any]) -> Any:
        @asynccontextmanager
        async def another() -> AsyncGenerator[Mapping[str, Any]]:
            async with another_transaction(database) as transaction:
                yield {"piccolo_transaction": transaction}

        # SQLite has one writer at a time.
        return None if isinstance(database, SQLiteEngine) else another


class TestInGivenTransaction(TestInTransaction):
    """The transaction is a call-time option, and the test is in none."""

    @pytest.fixture
    async def transaction(self, database: Engine[Any]) -> AsyncGenerator[Any]:
        async with another_transaction(database) as transaction:
            yield transaction
            await transaction.rollback()

    @pytest.fixture
    def options(self, transaction: Any) -> Mapping[str, Any]:
        return {"piccolo_transaction": transaction}
