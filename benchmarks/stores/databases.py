"""encode/databases on PostgreSQL, in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from databases import Database
from databases.core import Transaction
from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from async_factory_boy.factory.databases import AsyncDatabasesFactory
from benchmarks.declarations import Kind, Models
from benchmarks.stores.base import Store
from tests.servers import Servers

person = Table(
    "databases_person",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("email", String(100), nullable=False),
    Column("age", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
)


class DatabasesStore(Store):
    id: ClassVar = "databases-postgresql"
    name: ClassVar = "databases on PostgreSQL (asyncpg)"
    insert_by = "execute"
    base = AsyncDatabasesFactory
    models = Models(person)

    def __init__(self, database: Database, transaction: Transaction) -> None:
        super().__init__()
        self.database = database
        self.transaction = transaction

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncGenerator[DatabasesStore]:
        url = servers.postgres.replace("postgresql:", "postgresql+asyncpg:")
        async with Database(url) as database:
            await database.execute(str(CreateTable(person).compile(dialect=postgresql.dialect())))
            store = cls(database, await database.transaction())
            yield store
            await store.transaction.rollback()

    @property
    def options(self) -> Mapping[str, Any]:
        return {"databases_database": self.database}

    async def insert(self, kind: Kind) -> object:
        return await self.database.execute(person.insert().values(**self.values.build()))

    async def undo(self) -> int:
        rows: int = await self.database.fetch_val(select(func.count()).select_from(person))
        await self.transaction.rollback()
        self.transaction = await self.database.transaction()
        return rows

    async def server(self) -> str:
        version: str = await self.database.fetch_val("SHOW server_version")
        return f"PostgreSQL {version.split()[0]}"
