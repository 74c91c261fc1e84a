"""encode/databases on SQLite, PostgreSQL and MariaDB, with tables and with mapped classes."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import asyncpg
import factory
import pymysql
from asyncmy.errors import IntegrityError as AsyncmyIntegrityError
from databases import Database, DatabaseURL
from databases.core import Connection, Transaction
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy.orm import registry, relationship
from sqlalchemy.schema import CreateTable

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.databases import AsyncDatabasesFactory, TableRow
from tests.servers import Servers
from tests.stores.base import Store

metadata = MetaData()

companies = Table(
    "company",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(50), unique=True, nullable=False),
    Column("size", Integer, nullable=False),
)

users = Table(
    "app_user",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(50), nullable=False),
    Column("company_id", ForeignKey(companies.c.id), nullable=False),
    Column("company_key", Integer, nullable=False),
)

posts = Table(
    "post",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("title", String(50), nullable=False),
    Column("author_id", ForeignKey(users.c.id), nullable=False),
)


class Company:
    def __init__(self, name: str, size: int, **key: int) -> None:
        self.name = name
        self.size = size
        for attribute, value in key.items():  # the key, if it is given
            setattr(self, attribute, value)


class User:
    def __init__(self, name: str, company_key: int, **company: Any) -> None:
        self.name = name
        self.company_key = company_key
        for attribute, value in company.items():  # the company, or its key
            setattr(self, attribute, value)


class Post:
    def __init__(self, title: str, **author: Any) -> None:
        self.title = title
        for attribute, value in author.items():  # the author, or the key
            setattr(self, attribute, value)


mapping = registry(metadata=metadata)
mapping.map_imperatively(Company, companies)
mapping.map_imperatively(
    User, users, properties={"company": relationship(Company, backref="users")}
)
mapping.map_imperatively(Post, posts, properties={"author": relationship(User, backref="posts")})


class CompanyRowFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = companies

    name = factory.Sequence(lambda n: f"company{n}")
    size = 10


class NamedCompanyRowFactory(CompanyRowFactory):
    class Meta:
        databases_get_or_create = ("name",)


class UserRowFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = users
        exclude = ("company",)

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyRowFactory)
    company_id = factory.SelfAttribute("company.id")
    company_key = factory.LazyAttribute(lambda user: user.company.id)


class PostRowFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = posts
        exclude = ("author",)

    title = factory.Sequence(lambda n: f"post{n}")
    author = factory.SubFactory(UserRowFactory)
    author_id = factory.SelfAttribute("author.id")


class CompanyFactory(AsyncDatabasesFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")
    size = 10


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        databases_get_or_create = ("name",)


class UserFactory(AsyncDatabasesFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)
    company_key = factory.LazyAttribute(lambda user: user.company.id)


class PostFactory(AsyncDatabasesFactory[Post]):
    class Meta:
        model = Post

    title = factory.Sequence(lambda n: f"post{n}")
    author = factory.SubFactory(UserFactory)


_kept: dict[type[DatabasesStore], str] = {}


class OneConnection(Database):
    """Gives every task the same connection, so that a fixture's transaction is the test's too.

    So does ``Database(url, force_rollback=True)``, but here the transaction can be committed.
    """

    transaction_under_way: OuterTransaction
    _one: Connection | None = None

    def connection(self) -> Connection:
        if self._one is None:
            self._one = Connection(self, self._backend)
        return self._one

    async def begin(self) -> None:
        self.transaction_under_way = OuterTransaction(self.connection, force_rollback=False)
        await self.transaction_under_way

    async def rollback(self) -> None:
        await self.transaction_under_way.rollback()

    async def commit(self) -> None:
        await self.transaction_under_way.commit()

    async def give_back(self) -> None:
        """Roll back, also where a failed test has left transactions open, in whatever order.

        A connection that is not given back to its pool can't be closed, and keeps its locks.
        """
        connection = self.connection()
        del connection._transaction_stack[1:]
        await self.rollback()
        while connection._connection_counter:
            await connection.__aexit__()


class OuterTransaction(Transaction):
    """Can be ended in another context than the one it was begun in."""

    _transaction = None


class DatabasesStore(Store):
    pool: ClassVar[dict[str, Any]] = {"min_size": 1, "max_size": 3}

    def __init__(self, connect: Callable[[], OneConnection], database: OneConnection) -> None:
        self.connect = connect
        self.database = database

    @classmethod
    def new(cls, servers: Servers) -> str:
        """Return the URL of an empty database that is gone after the run."""
        raise NotImplementedError

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncGenerator[DatabasesStore]:
        url = await cls.kept(servers)

        def connect() -> OneConnection:
            return OneConnection(url, **cls.pool)

        database = connect()
        async with database:
            await database.begin()
            try:
                yield cls(connect, database)
            finally:
                await database.give_back()
                for table in reversed(metadata.sorted_tables):
                    await database.execute(table.delete())

    @classmethod
    async def kept(cls, servers: Servers) -> str:
        """Return the URL of a database of the store's own, with its tables.

        It stays for the run: creating tables takes longer than most tests.
        """
        if cls not in _kept:
            url = _kept[cls] = cls.new(servers)
            async with Database(url) as database:
                await create(database, metadata)
        return _kept[cls]

    @property
    def options(self) -> Mapping[str, Any]:
        return {"databases_database": self.database}

    @asynccontextmanager
    async def another(self) -> AsyncGenerator[Mapping[str, Any]]:
        database = self.connect()
        async with database:
            await database.begin()
            yield {"databases_database": database}
            await database.commit()

    async def rows(self, factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
        model = factory._meta.model
        table = model if isinstance(model, Table) else model.__table__
        found = await self.database.fetch_all(table.select().order_by(table.c.id))
        rows = [dict(row._mapping) for row in found]
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
        await self.database.rollback()
        await self.database.begin()

    async def commit(self) -> None:
        await self.database.commit()
        await self.database.begin()

    def savepoint(self) -> Transaction:
        return self.database.transaction()


async def create(database: Database, tables: MetaData) -> None:
    """Create tables in a namespace, with which they are dropped."""
    async with database.connection():  # on SQLite, each has a thread of its own
        for table in tables.sorted_tables:
            await database.execute(CreateTable(table))


class Tables(DatabasesStore):
    CompanyFactory = CompanyRowFactory
    NamedCompanyFactory = NamedCompanyRowFactory
    UserFactory = UserRowFactory
    PostFactory = PostRowFactory


class MappedClasses(DatabasesStore):
    CompanyFactory = CompanyFactory
    NamedCompanyFactory = NamedCompanyFactory
    UserFactory = UserFactory
    PostFactory = PostFactory


_POOL = DatabasesStore.pool


@asynccontextmanager
async def sqlite(servers: Servers) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """A file of the test's own, as URL and options of a ``Database``."""
    path = servers.folder / f"{uuid.uuid4().hex}.sqlite"
    yield f"sqlite:///{path}", {}
    path.unlink()


@asynccontextmanager
async def postgresql(servers: Servers) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """A schema of the test's own, as URL and options of a ``Database``."""
    schema = f"afb_{uuid.uuid4().hex}"
    async with Database(servers.postgres, **_POOL) as database:
        await database.execute(f"CREATE SCHEMA {schema}")
        try:
            yield servers.postgres, {"server_settings": {"search_path": schema}, **_POOL}
        finally:
            await database.execute(f"DROP SCHEMA {schema} CASCADE")


@asynccontextmanager
async def mariadb(
    servers: Servers, driver: str = "mysql"
) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """A database of the test's own, as URL and options of a ``Database``."""
    name = f"afb_{uuid.uuid4().hex}"
    url = servers.mysql.replace("mysql", driver, 1)
    async with Database(url, **_POOL) as database:
        await database.execute(f"CREATE DATABASE {name}")
        try:
            yield str(DatabaseURL(url).replace(database=name)), _POOL
        finally:
            await database.execute(f"DROP DATABASE {name}")


def mariadb_asyncmy(servers: Servers) -> Any:
    """As `mariadb`, by the other driver."""
    return mariadb(servers, "mysql+asyncmy")


class SQLite(DatabasesStore):
    pool: ClassVar = {}
    concurrent: ClassVar = False
    conflict = sqlite3.IntegrityError

    @classmethod
    def new(cls, servers: Servers) -> str:
        return f"sqlite:///{servers.folder / f'{uuid.uuid4().hex}.sqlite'}"


class PostgreSQL(DatabasesStore):
    conflict = asyncpg.UniqueViolationError

    @classmethod
    def new(cls, servers: Servers) -> str:
        return servers.new_postgres()


class SQLiteTables(Tables, SQLite):
    id = "databases-sqlite-tables"


class SQLiteMapped(MappedClasses, SQLite):
    id = "databases-sqlite-mapped"


class PostgreSQLTables(Tables, PostgreSQL):
    id = "databases-postgresql-tables"


class PostgreSQLMapped(MappedClasses, PostgreSQL):
    id = "databases-postgresql-mapped"


class MariaDBTables(Tables):
    id = "databases-mariadb-aiomysql-tables"
    conflict = pymysql.err.IntegrityError

    @classmethod
    def new(cls, servers: Servers) -> str:
        return servers.new_mysql()


class MariaDBMapped(MappedClasses):
    id = "databases-mariadb-asyncmy-mapped"
    conflict = AsyncmyIntegrityError

    @classmethod
    def new(cls, servers: Servers) -> str:
        return servers.new_mysql().replace("mysql", "mysql+asyncmy", 1)


STORES = [
    SQLiteTables,
    SQLiteMapped,
    PostgreSQLTables,
    PostgreSQLMapped,
    MariaDBTables,
    MariaDBMapped,
]
