"""What is Tortoise ORM's own; what all adapters promise is in test_behaviour."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import factory
import pytest
from tortoise import Tortoise, fields
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.context import TortoiseContext, tortoise_test_context
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.fields.db_defaults import Now
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.queryset import QuerySet
from tortoise.signals import post_save, pre_save
from tortoise.transactions import in_transaction

from async_factory_boy import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
    bind,
)
from async_factory_boy.adapters.tortoise import TortoiseAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from tests.servers import Servers
from tests.stores import tortoise as stores


class Company(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50, unique=True)
    users: fields.ReverseRelation[User]

    class Meta:
        table = "own_company"


class User(Model):
    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(50)
    company: fields.ForeignKeyRelation[Company] = fields.ForeignKeyField("own.Company", "users")
    boss: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "own.User", "staff", null=True
    )
    tags: fields.ManyToManyRelation[Tag] = fields.ManyToManyField("own.Tag", related_name="users")
    profile: fields.BackwardOneToOneRelation[Profile]
    badge: fields.BackwardOneToOneRelation[Badge]
    staff: fields.ReverseRelation[User]

    class Meta:
        table = "own_user"


class Tag(Model):
    slug = fields.CharField(20, primary_key=True)
    users: fields.ManyToManyRelation[User]

    class Meta:
        table = "own_tag"


class Profile(Model):
    id = fields.IntField(primary_key=True)
    bio = fields.CharField(50)
    user: fields.OneToOneRelation[User] = fields.OneToOneField("own.User", "profile")

    class Meta:
        table = "own_profile"


class Badge(Model):
    """A one-to-one relation that is the key, and one to another field than a key."""

    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "own.User", "badge", primary_key=True
    )
    issuer: fields.ForeignKeyRelation[Company] = fields.ForeignKeyField(
        "own.Company", "badges", to_field="name"
    )

    class Meta:
        table = "own_badge"


async def computed_default() -> str:
    await asyncio.sleep(0)
    return "computed"


class Defaults(Model):
    id = fields.IntField(primary_key=True)
    status = fields.CharField(20, db_default="new")
    stamp = fields.DatetimeField(db_default=Now())
    code = fields.CharField(20, default=computed_default)

    class Meta:
        table = "own_defaults"


class Unfetched(Model):
    id = fields.IntField(primary_key=True)
    status = fields.CharField(20, db_default="new")

    class Meta:
        table = "own_unfetched"
        fetch_db_defaults = False


class Active(Manager):
    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(active=True)


class Account(Model):
    id = fields.IntField(primary_key=True)
    email = fields.CharField(50, unique=True)
    active = fields.BooleanField(default=True)
    status = fields.CharField(20, db_default="new")
    everything = Manager()

    class Meta:
        table = "own_account"
        manager = Active()


class Audited(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    saves = fields.IntField(default=0)

    class Meta:
        table = "own_audited"

    async def save(self, *args: Any, **kwargs: Any) -> None:
        self.saves += 1
        await super().save(*args, **kwargs)


class Abstract(Model):
    class Meta:
        abstract = True


class CompanyFactory(AsyncTortoiseModelFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        tortoise_get_or_create = ("name",)


class UserFactory(AsyncTortoiseModelFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)


class TagFactory(AsyncTortoiseModelFactory[Tag]):
    class Meta:
        model = Tag
        tortoise_get_or_create = ("slug",)

    slug = factory.Sequence(lambda n: f"tag{n}")


class ProfileFactory(AsyncTortoiseModelFactory[Profile]):
    class Meta:
        model = Profile

    bio = "bio"
    user = factory.SubFactory(UserFactory)


class BadgeFactory(AsyncTortoiseModelFactory[Badge]):
    class Meta:
        model = Badge

    user = factory.SubFactory(UserFactory)
    issuer = factory.SubFactory(CompanyFactory)


class AccountFactory(AsyncTortoiseModelFactory[Account]):
    class Meta:
        model = Account
        tortoise_get_or_create = ("email",)

    email = factory.Sequence(lambda n: f"account{n}@example.org")


class AuditedFactory(AsyncTortoiseModelFactory[Audited]):
    class Meta:
        model = Audited

    name = "audited"


@asynccontextmanager
async def opened(
    servers: Servers, kind: type[stores.TortoiseStore]
) -> AsyncGenerator[TortoiseContext]:
    async with stores.opened_context(kind.id, kind.url(servers), __name__, app="own") as context:
        yield context


@pytest.fixture
async def sqlite(servers: Servers) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised on SQLite, for what does not depend on the database."""
    async with opened(servers, stores.SQLite) as context:
        yield context


@pytest.fixture(params=stores.STORES, ids=[store.id for store in stores.STORES])
async def database(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised on each backend in turn."""
    async with opened(servers, request.param) as context:
        yield context
