"""Tortoise ORM on PostgreSQL, in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import generate_config
from tortoise.context import TortoiseContext
from tortoise.models import Model
from tortoise.transactions import in_transaction

from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from benchmarks.declarations import Builder, Kind, Models
from benchmarks.stores.base import Store
from tests.servers import Servers


class Person(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(100)
    email = fields.CharField(100)
    age = fields.IntField()
    active = fields.BooleanField()

    class Meta:
        table = "tortoise_person"


class Company(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(100)

    class Meta:
        table = "tortoise_company"


class User(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(100)
    email = fields.CharField(100)
    age = fields.IntField()
    active = fields.BooleanField()
    company: fields.ForeignKeyRelation[Company] = fields.ForeignKeyField(
        "models.Company", "users", db_index=True
    )

    class Meta:
        table = "tortoise_user"


class Post(Model):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(100)
    author: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", "posts", db_index=True
    )

    class Meta:
        table = "tortoise_post"


class TortoiseStore(Store):
    id: ClassVar = "tortoise-postgresql"
    name: ClassVar = "Tortoise ORM on PostgreSQL (asyncpg)"
    insert_by = "Model.create"
    insert_many_by = "bulk_create"
    base = AsyncTortoiseModelFactory
    models = Models(Person, Company, User, Post)

    def __init__(self, connection: BaseDBAsyncClient) -> None:
        super().__init__()
        self.connection = connection

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncGenerator[TortoiseStore]:
        url = servers.postgres.replace("postgresql:", "asyncpg:")
        async with TortoiseContext() as context:
            await context.init(generate_config(url, {"models": [__name__]}))
            await context.generate_schemas()
            async with in_transaction() as connection:
                yield cls(connection)

    @property
    def options(self) -> Mapping[str, Any]:
        return {"tortoise_using_db": self.connection}

    async def insert(self, kind: Kind) -> object:
        return await Person.create(using_db=self.connection, **self.values.build())

    async def insert_many(self, builder: Builder, kind: Kind, size: int) -> object:
        if kind == "flat":
            # They have no keys afterwards, and nothing asks for them.
            people = builder.batch("flat", size)
            await Person.bulk_create(people, using_db=self.connection)
            return people
        companies = await self._stored(Company, builder.companies(size))
        users = await self._stored(User, builder.users(companies))
        if kind == "graph":
            await Post.bulk_create(builder.posts(users), using_db=self.connection)
        return users

    async def _stored(self, model: type[Model], objects: list[Any]) -> list[Any]:
        """Store all there is of `model`, and read it, since bulk_create leaves the keys None."""
        await model.bulk_create(objects, using_db=self.connection)
        return await model.all(using_db=self.connection)

    async def undo(self) -> int:
        rows = 0
        for model in (Person, Company, User, Post):
            rows += await model.all(using_db=self.connection).count()
        # Not by connection.rollback(), after which the connection could not be used again.
        await self.connection.execute_query("ROLLBACK")
        await self.connection.execute_query("BEGIN")
        return rows

    async def server(self) -> str:
        (row,) = await self.connection.execute_query_dict("SHOW server_version")
        return f"PostgreSQL {row['server_version'].split()[0]}"
