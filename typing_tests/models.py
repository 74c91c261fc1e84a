"""Models and factories, one of each store, that the other files check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from beanie import Document, WriteRules
from factory import declarations, faker, helpers
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.asynchronous.database import AsyncDatabase
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped
from tortoise import fields
from tortoise.models import Model

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from async_factory_boy.factory.databases import AsyncDatabasesFactory, TableRow
from async_factory_boy.factory.mongo import AsyncMongoFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from async_factory_boy.options import CallOption


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"

    name: Mapped[str]


class Event(Model):
    title = fields.TextField()


class Page(Document):
    title: str


class Visit(TypedDict):
    path: str


@dataclass
class Click:
    path: str


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    class Meta:
        model = User
        sqlalchemy_get_or_create = ("name",)
        sqlalchemy_session_persistence = "commit"
        sqlalchemy_load = ("posts",)
        batch_size = 100

    class Params:
        admin = declarations.Trait(name="admin")

    name = faker.Faker("name")


class EventFactory(AsyncTortoiseModelFactory[Event]):
    class Meta:
        model = Event
        tortoise_get_or_create = ("title",)
        tortoise_fetch = ("visitors",)

    title = "launch"


class PageFactory(AsyncBeanieDocumentFactory[Page]):
    class Meta:
        model = Page
        beanie_get_or_create = ("title",)
        beanie_fetch_links = True
        beanie_link_rule = WriteRules.WRITE

    title = "home"


def database() -> AsyncDatabase[dict[str, Any]]:
    raise NotImplementedError


class VisitFactory(AsyncMongoFactory[Visit]):
    class Meta:
        model = Visit
        mongo_collection = lambda: database()["visits"]  # noqa: E731
        mongo_get_or_create = ("path",)

    path = "/"


class ClickFactory(AsyncMongoFactory[Click]):
    class Meta:
        model = Click

    path = "/"


class RowFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = Table("row", MetaData())
        databases_get_or_create = ("name",)


class PlainFactory(AsyncFactory[User]):
    class Meta:
        model = User
        adapter = SQLAlchemyAdapter[User](persistence="commit")

    @helpers.post_generation
    async def greet(user: Any, create: bool, extracted: str | None, **kwargs: Any) -> None:
        await UserFactory.create_async(name=extracted)

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> Any:
        return super()._create(model_class, *args, **kwargs)


class DictAdapter(PersistenceAdapter[dict[str, int]]):
    dict_store: CallOption[list[dict[str, int]]] = CallOption()

    async def save(self, instance: dict[str, int]) -> dict[str, int]:
        return instance


def motor_collection() -> AsyncIOMotorCollection[dict[str, Any]]:
    raise NotImplementedError


def session() -> AsyncSession:
    raise NotImplementedError
