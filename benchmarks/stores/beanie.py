"""Beanie on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, ClassVar

from beanie import Document, Link, init_beanie
from polyfactory import Ignore
from polyfactory.factories.beanie_odm_factory import BeanieDocumentFactory

from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from benchmarks.declarations import Builder, Kind, Models
from benchmarks.rivals import Rival
from benchmarks.rivals.polyfactory import PERSON, Polyfactory
from benchmarks.stores.mongodb import MongoDBStore
from tests.servers import Servers


class Person(Document):
    name: str
    email: str
    age: int
    active: bool


class Company(Document):
    name: str


class User(Document):
    name: str
    email: str
    age: int
    active: bool
    company: Link[Company]


class Post(Document):
    title: str
    author: Link[User]


class BeanieStore(MongoDBStore):
    id: ClassVar = "beanie"
    name: ClassVar = "Beanie on MongoDB (PyMongo)"
    insert_by = "insert"
    insert_many_by = "insert_many"
    base = AsyncBeanieDocumentFactory
    models = Models(Person, Company, User, Post)

    async def prepare(self) -> None:
        await init_beanie(self.database, document_models=[Person, Company, User, Post])

    async def insert(self, kind: Kind) -> object:
        return await Person(**self.values.build()).insert()

    async def insert_many(self, builder: Builder, kind: Kind, size: int) -> object:
        if kind == "flat":
            return await _stored(Person, builder.batch("flat", size))
        users = builder.batch("company", size)
        await _stored(Company, [user.company for user in users])
        await _stored(User, users)
        if kind == "graph":
            await _stored(Post, builder.posts(users))
        return users

    def rivals(self, servers: Servers) -> Sequence[AbstractAsyncContextManager[Rival]]:
        # It does not store the documents that are linked to.
        person = BeanieDocumentFactory.create_factory(
            Person, **PERSON, id=Ignore(), revision_id=Ignore()
        )
        return [nullcontext(Polyfactory({"flat": person}, self.undo))]


async def _stored(model: type[Document], documents: list[Any]) -> list[Any]:
    """Store documents, and set the ids, which insert_many leaves None."""
    result = await model.insert_many(documents)
    for document, key in zip(documents, result.inserted_ids, strict=True):
        document.id = key
    return documents
