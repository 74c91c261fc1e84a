"""SQLAlchemy on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import factory
from sqlalchemy import ForeignKey, MetaData, String, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    AsyncSessionTransaction,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.servers import Servers
from tests.stores.base import Store


class Base(DeclarativeBase):
    pass


class Company(Base):
    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    size: Mapped[int]
    users: Mapped[list[User]] = relationship(back_populates="company")


class User(Base):
    __tablename__ = "app_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    company_id: Mapped[int] = mapped_column(ForeignKey(Company.id))
    company_key: Mapped[int]
    company: Mapped[Company] = relationship(back_populates="users")
    posts: Mapped[list[Post]] = relationship(back_populates="author")


class Post(Base):
    __tablename__ = "post"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    author: Mapped[User] = relationship(back_populates="posts")


class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")
    size = 10


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        sqlalchemy_get_or_create = ("name",)


class CommittingCompanyFactory(CompanyFactory):
    class Meta:
        sqlalchemy_session_persistence = "commit"


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)
    company_key = factory.LazyAttribute(lambda user: user.company.id)


class PostFactory(AsyncSQLAlchemyModelFactory[Post]):
    class Meta:
        model = Post

    title = factory.Sequence(lambda n: f"post{n}")
    author = factory.SubFactory(UserFactory)


class SQLAlchemyStore(Store):
    CompanyFactory = CompanyFactory
    NamedCompanyFactory = NamedCompanyFactory
    CommittingCompanyFactory = CommittingCompanyFactory
    UserFactory = UserFactory
    PostFactory = PostFactory
    conflict = IntegrityError

    def __init__(self, engine: AsyncEngine, session: AsyncSession) -> None:
        self.engine = engine
        self.session = session

    @staticmethod
    def url(servers: Servers) -> str:
        raise NotImplementedError

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncGenerator[SQLAlchemyStore]:
        async with (
            opened_engine(cls.url(servers), Base.metadata) as engine,
            AsyncSession(engine) as session,
        ):
            yield cls(engine, session)

    @property
    def options(self) -> Mapping[str, Any]:
        return {"sqlalchemy_session": self.session}

    @asynccontextmanager
    async def another(self) -> AsyncGenerator[Mapping[str, Any]]:
        async with AsyncSession(self.engine) as session:
            yield {"sqlalchemy_session": session}
            await session.commit()

    async def rows(self, factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
        table = inspect(factory._meta.model).local_table
        connection = await self.session.connection()
        found = await connection.execute(select(table).order_by(table.c.id))
        rows = [dict(row) for row in found.mappings()]
        for row in rows:
            row["key"] = row.pop("id")
            if "author_id" in row:
                row["author_key"] = row.pop("author_id")
            if "company_id" in row:
                assert row.pop("company_id") == row["company_key"]
        return rows

    def key(self, instance: Any) -> Any:
        return instance.id

    async def rollback(self) -> None:
        await self.session.rollback()

    async def commit(self) -> None:
        await self.session.commit()

    def savepoint(self) -> AsyncSessionTransaction:
        return self.session.begin_nested()


# Creating tables takes longer than most tests, so they stay for the run.
_created: set[tuple[str, MetaData]] = set()


@asynccontextmanager
async def opened_engine(url: str, metadata: MetaData) -> AsyncGenerator[AsyncEngine]:
    """Open an engine whose tables exist, and empty them afterwards."""
    memory = url.endswith("://")
    engine = create_async_engine(url, **({"poolclass": StaticPool} if memory else {}))
    if memory or (url, metadata) not in _created:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        _created.add((url, metadata))
    try:
        yield engine
    finally:
        async with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                await connection.execute(table.delete())
        await engine.dispose()


class SQLite(SQLAlchemyStore):
    id: ClassVar = "sqlalchemy-sqlite"
    concurrent: ClassVar = False

    @staticmethod
    def url(servers: Servers) -> str:
        return f"sqlite+aiosqlite:///{servers.folder / 'sqlalchemy.sqlite'}"


class SQLiteMemory(SQLAlchemyStore):
    id: ClassVar = "sqlalchemy-sqlite-memory"
    concurrent: ClassVar = False

    @staticmethod
    def url(servers: Servers) -> str:
        return "sqlite+aiosqlite://"


class PostgreSQLAsyncpg(SQLAlchemyStore):
    id: ClassVar = "sqlalchemy-postgresql-asyncpg"

    @staticmethod
    def url(servers: Servers) -> str:
        return servers.postgres.replace("postgresql://", "postgresql+asyncpg://")


class PostgreSQLPsycopg(SQLAlchemyStore):
    id: ClassVar = "sqlalchemy-postgresql-psycopg"

    @staticmethod
    def url(servers: Servers) -> str:
        return servers.postgres.replace("postgresql://", "postgresql+psycopg://")


class MariaDB(SQLAlchemyStore):
    id: ClassVar = "sqlalchemy-mariadb"

    @staticmethod
    def url(servers: Servers) -> str:
        return servers.mysql.replace("mysql://", "mysql+asyncmy://")


STORES = [SQLite, SQLiteMemory, PostgreSQLAsyncpg, PostgreSQLPsycopg, MariaDB]
