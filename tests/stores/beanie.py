"""Beanie: version 2 on PyMongo, version 1 on Motor, whichever is installed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Optional

import beanie
import factory
from beanie import Document, Indexed, Link, PydanticObjectId, init_beanie

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from tests.stores.base import Store
from tests.stores.mongo import Driver, DriverStore, MotorDriver

DRIVER = MotorDriver if beanie.__version__.startswith("1.") else Driver


# The databases whose collections have their index: to ask for one that is there takes time, too.
_indexed: set[str] = set()


class Company(Document):
    name: Annotated[str, Indexed(unique=True)]
    size: int


class User(Document):
    name: str
    company: Link[Company]
    company_key: Optional[PydanticObjectId]  # noqa: UP045 (Beanie 1)


class Post(Document):
    title: str
    author: Link[User]


class CompanyFactory(AsyncBeanieDocumentFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")
    size = 10


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        beanie_get_or_create = ("name",)


class UserFactory(AsyncBeanieDocumentFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)
    company_key = factory.LazyAttribute(lambda user: user.company.id)


class PostFactory(AsyncBeanieDocumentFactory[Post]):
    class Meta:
        model = Post

    title = factory.Sequence(lambda n: f"post{n}")
    author = factory.SubFactory(UserFactory)


class BeanieStore(DriverStore):
    CompanyFactory = CompanyFactory
    NamedCompanyFactory = NamedCompanyFactory
    UserFactory = UserFactory
    PostFactory = PostFactory
    driver = DRIVER
    session_option = "beanie_session"

    @classmethod
    async def create_collections(cls, database: Any) -> None:
        for document in (Company, User, Post):
            await database.create_collection(document.__name__)

    @classmethod
    async def prepare(cls, database: Any) -> None:
        await init_beanie(
            database=database,
            document_models=[Company, User, Post],
            skip_indexes=database.name in _indexed,
        )
        _indexed.add(database.name)

    def collection(self, factory: type[AsyncFactory[Any]]) -> Any:
        return self.database[factory._meta.model.get_collection_name()]

    def reference(self, stored: Any) -> Any:
        return stored.id

    def key(self, instance: Any) -> Any:
        return instance.id


class Beanie(BeanieStore):
    id: ClassVar = f"beanie-{DRIVER.name}"
    transactional: ClassVar = False


class BeanieTransaction(BeanieStore):
    id: ClassVar = f"beanie-{DRIVER.name}-transaction"
    survives_conflict: ClassVar = False  # a refused insert aborts the whole transaction


STORES: list[type[Store]] = [Beanie, BeanieTransaction]
