"""SQLAlchemy on SQLite and PostgreSQL, in a transaction that is rolled back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, ClassVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from benchmarks.declarations import Builder, Kind
from benchmarks.rivals import Rival
from benchmarks.rivals.factory_boy import FactoryBoy
from benchmarks.rivals.polyfactory import Polyfactory
from benchmarks.rivals.polyfactory_sqlalchemy import sqlalchemy_factories
from benchmarks.rivals.version1 import Version1
from benchmarks.stores.base import Store
from benchmarks.stores.sqlalchemy_models import MODELS, Base
from tests.servers import Servers


class SQLAlchemyStore(Store):
    insert_by = "build, add, flush"
    insert_kinds = ("flat", "graph")
    insert_many_by = "add_all, flush"
    insert_many_kinds = ("flat", "company", "graph", "realistic")
    base = AsyncSQLAlchemyModelFactory
    models = MODELS

    def __init__(self, session: AsyncSession) -> None:
        super().__init__()
        self.session = session

    @staticmethod
    @abstractmethod
    def urls(servers: Servers) -> tuple[str, str]:
        """Return the URL for an async driver, and for a sync one."""

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncGenerator[SQLAlchemyStore]:
        async with cls.opened_at(cls.urls(servers)[0]) as store:
            yield store

    @classmethod
    @asynccontextmanager
    async def opened_at(cls, url: str) -> AsyncGenerator[SQLAlchemyStore]:
        """Open the database at an URL, in which the tables may exist already."""
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            yield cls(session)
        await engine.dispose()

    @property
    def options(self) -> Mapping[str, Any]:
        return {"sqlalchemy_session": self.session}

    # Posts are added with the users whose `posts` they are in, and so are companies.

    async def insert(self, kind: Kind) -> object:
        created = self.plain.of(kind).build()
        self.session.add(created)
        await self.session.flush()
        return created

    async def insert_many(self, builder: Builder, kind: Kind, size: int) -> object:
        created = builder.batch(kind, size)
        self.session.add_all(created)
        await self.session.flush()
        return created

    async def undo(self) -> int:
        rows = 0
        for table in Base.metadata.sorted_tables:
            rows += await self.session.scalar(select(func.count()).select_from(table)) or 0
        await self.session.rollback()
        return rows

    async def server(self) -> str:
        dialect = (await self.session.connection()).dialect
        await self.session.rollback()
        version = ".".join(map(str, dialect.server_version_info or ()))
        return f"{'SQLite' if dialect.name == 'sqlite' else 'PostgreSQL'} {version}"

    def rivals(self, servers: Servers) -> Sequence[AbstractAsyncContextManager[Rival]]:
        url, sync_url = self.urls(servers)
        return [
            FactoryBoy.opened(sync_url),
            nullcontext(Polyfactory(sqlalchemy_factories(self.session), self.undo)),
            Version1.opened(url, servers.folder / "version1"),
        ]


class SQLite(SQLAlchemyStore):
    id: ClassVar = "sqlalchemy-sqlite"
    name: ClassVar = "SQLAlchemy on SQLite (aiosqlite)"

    @staticmethod
    def urls(servers: Servers) -> tuple[str, str]:
        path = servers.folder / "sqlalchemy.sqlite"
        return f"sqlite+aiosqlite:///{path}", f"sqlite:///{path}"


class PostgreSQL(SQLAlchemyStore):
    id: ClassVar = "sqlalchemy-postgresql"
    name: ClassVar = "SQLAlchemy on PostgreSQL (asyncpg)"

    @staticmethod
    def urls(servers: Servers) -> tuple[str, str]:
        url = servers.postgres.replace
        return url("postgresql:", "postgresql+asyncpg:"), url("postgresql:", "postgresql+psycopg:")
