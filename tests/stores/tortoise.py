"""Tortoise ORM on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

import factory
from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionContext
from tortoise.backends.base.config_generator import generate_config
from tortoise.context import TortoiseContext
from tortoise.exceptions import IntegrityError
from tortoise.models import Model
from tortoise.transactions import in_transaction

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from tests.servers import Servers
from tests.stores.base import Store


class Company(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50, unique=True)
    size = fields.IntField()


class User(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    company: fields.ForeignKeyRelation[Company] = fields.ForeignKeyField("models.Company", "users")
    # Not null in what is stored: build() of a user has no key for it, and the constructor of a
    # model refuses None for what may not be null.
    company_key = fields.IntField(null=True)

    class Meta:
        table = "app_user"


class Post(Model):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(50)
    author: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", "posts")


class CompanyFactory(AsyncTortoiseModelFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")
    size = 10


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        tortoise_get_or_create = ("name",)


class UserFactory(AsyncTortoiseModelFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)
    company_key = factory.LazyAttribute(lambda user: user.company.id)


class PostFactory(AsyncTortoiseModelFactory[Post]):
    class Meta:
        model = Post

    title = factory.Sequence(lambda n: f"post{n}")
    author = factory.SubFactory(UserFactory)


_kept: dict[type[TortoiseStore], dict[str, Any]] = {}


class TortoiseStore(Store):
    CompanyFactory = CompanyFactory
    NamedCompanyFactory = NamedCompanyFactory
    UserFactory = UserFactory
    PostFactory = PostFactory
    conflict = IntegrityError

    def __init__(self, pool: BaseDBAsyncClient, connection: BaseDBAsyncClient) -> None:
        self.pool = pool
        self.connection = connection

    @staticmethod
    def url(servers: Servers, module: str) -> str:
        """Return the URL of a place for the tables of a module, as `opened_context` takes it."""
        raise NotImplementedError

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncGenerator[TortoiseStore]:
        async with TortoiseContext() as context:
            await cls._init(context, servers)
            pool = context.db()
            async with in_transaction() as connection:
                store = cls(pool, connection)
                yield store
                await store.rollback()
            for model in (Post, User, Company):
                await pool.execute_query(f"DELETE FROM {model._meta.db_table}")

    @classmethod
    async def _init(cls, context: TortoiseContext, servers: Servers) -> None:
        """Initialise Tortoise in a place of the store's own, which stays for the run.

        Creating tables takes longer than most tests.
        """
        if cls in _kept:
            await context.init(_kept[cls])
            return
        url = cls.new(servers)
        config = _kept[cls] = generate_config(url, {"models": [__name__]}, connection_label=cls.id)
        await context.init(config)
        await context.generate_schemas()

    @classmethod
    def new(cls, servers: Servers) -> str:
        """Return the URL of an empty database that is gone after the run."""
        raise NotImplementedError

    @property
    def options(self) -> Mapping[str, Any]:
        return {"tortoise_using_db": self.connection}

    @asynccontextmanager
    async def another(self) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.pool._in_transaction() as connection:
            yield {"tortoise_using_db": connection}

    async def rows(self, factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
        table = factory._meta.model._meta.db_table
        rows = await self.connection.execute_query_dict(f"SELECT * FROM {table} ORDER BY id")
        for row in rows:
            row["key"] = row.pop("id")
            if "author_id" in row:
                row["author_key"] = row.pop("author_id")
            if "company_id" in row:
                assert row.pop("company_id") == row["company_key"]
        return rows

    def key(self, instance: Any) -> Any:
        return instance.pk

    # Not by connection.rollback(), after which the connection could not be used again.
    async def rollback(self) -> None:
        await self.connection.execute_query("ROLLBACK")
        await self.connection.execute_query("BEGIN")

    async def commit(self) -> None:
        await self.connection.execute_query("COMMIT")
        await self.connection.execute_query("BEGIN")

    def savepoint(self) -> TransactionContext:
        return self.connection._in_transaction()


@asynccontextmanager
async def opened_context(
    name: str, url: str, module: str, *, app: str = "models"
) -> AsyncGenerator[TortoiseContext]:
    """Initialise Tortoise with the tables of `module`, which are empty.

    On MariaDB they stay for the run. Elsewhere, they are in a place of their own that is gone
    later: a schema on PostgreSQL, where that takes less time than a database. The connection is
    called `name`: Tortoise keeps the statements it has compiled for a table of a connection by
    these names, whatever the dialect.
    """
    config = generate_config(url, {app: [module]}, connection_label=name)
    schema = config["connections"][name]["credentials"].get("schema")
    stays = url.startswith("mysql")
    async with TortoiseContext() as context:
        await context.init(config, _create_db=schema is None and not stays)
        connection = context.db()
        try:
            if schema is not None:
                await connection.execute_script(f"CREATE SCHEMA {schema}")
            if url in _created:
                await _empty(connection)
            else:
                await context.generate_schemas()
            if stays:
                _created.add(url)
            yield context
        finally:
            if schema is not None:
                await connection.execute_script(f"DROP SCHEMA {schema} CASCADE")
            await connection.close()
            if schema is None and not stays:
                await connection.db_delete()


_created: set[str] = set()


async def _empty(connection: BaseDBAsyncClient) -> None:
    """Make the tables of a database of MariaDB what they were when they had been created."""
    statements = ["SET FOREIGN_KEY_CHECKS = 0"]
    tables = await connection.execute_query_dict("SHOW TABLES")
    for name in [name for table in tables for name in table.values()]:
        statements.append(f"DELETE FROM `{name}`")
        (created,) = await connection.execute_query_dict(f"SHOW CREATE TABLE `{name}`")
        # Told of one whose keys have begun to count. To reset it takes as long as to create it.
        if " AUTO_INCREMENT=" in created["Create Table"]:
            statements.append(f"ALTER TABLE `{name}` AUTO_INCREMENT = 1")
    await connection.execute_script("; ".join([*statements, "SET FOREIGN_KEY_CHECKS = 1"]))


@contextmanager
def logging_to(handler: logging.Handler) -> Generator[None]:
    """Have a handler see each statement, when it is about to be sent, and pytest see none."""
    logger = logging.getLogger("tortoise.db_client")
    level, logger.propagate = logger.level, False
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.propagate = True
        logger.setLevel(level)
        logger.removeHandler(handler)


def _unique_name() -> str:
    return f"afb_{uuid4().hex}"


def _with_schema(url: str, scheme: str) -> str:
    """Return the URL of a schema that does not exist yet, in the database of a URL."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, f"schema={_unique_name()}"]))
    return parts._replace(scheme=scheme, query=query).geturl()


class SQLite(TortoiseStore):
    id: ClassVar = "tortoise-sqlite"
    concurrent: ClassVar = False

    @staticmethod
    def url(servers: Servers, module: str) -> str:
        return f"sqlite://{servers.folder / 'tortoise.sqlite'}"

    @classmethod
    def new(cls, servers: Servers) -> str:
        return f"sqlite://{servers.folder / 'tortoise-store.sqlite'}"


class PostgreSQLAsyncpg(TortoiseStore):
    id: ClassVar = "tortoise-postgresql-asyncpg"

    @staticmethod
    def url(servers: Servers, module: str) -> str:
        return _with_schema(servers.postgres, "asyncpg")

    @classmethod
    def new(cls, servers: Servers) -> str:
        return servers.new_postgres().replace("postgresql", "asyncpg", 1)


class PostgreSQLPsycopg(TortoiseStore):
    id: ClassVar = "tortoise-postgresql-psycopg"

    @staticmethod
    def url(servers: Servers, module: str) -> str:
        return _with_schema(servers.postgres, "psycopg")

    @classmethod
    def new(cls, servers: Servers) -> str:
        return servers.new_postgres().replace("postgresql", "psycopg", 1)


class MariaDB(TortoiseStore):
    id: ClassVar = "tortoise-mariadb"

    @staticmethod
    def url(servers: Servers, module: str) -> str:
        return servers.mysql_of(module)

    @classmethod
    def new(cls, servers: Servers) -> str:
        return servers.new_mysql()


STORES = [SQLite, PostgreSQLAsyncpg, PostgreSQLPsycopg, MariaDB]
