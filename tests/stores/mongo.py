"""MongoDB collections, of PyMongo and (if it is installed) of Motor."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from uuid import uuid4

import factory
from bson import ObjectId
from pymongo import AsyncMongoClient, monitoring
from pymongo.errors import BulkWriteError, DuplicateKeyError

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.mongo import AsyncMongoFactory
from tests.servers import Servers
from tests.stores.base import Store

# The run's own, so that a server may be shared.
DATABASE = f"async_factory_boy_{uuid4().hex[:12]}"


_numbers = itertools.count()

# Where the collections of a store have been made, as URL and name of the database.
_created: set[tuple[str, str]] = set()


class Commands(monitoring.CommandListener):
    """Notes the commands that a client sends, e.g. ``insert company``."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent.append(f"{event.command_name} {event.command.get(event.command_name)}")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


class Driver:
    """Makes clients and sessions."""

    name: ClassVar = "pymongo"

    @classmethod
    @asynccontextmanager
    async def client(cls, url: str, *listeners: monitoring.CommandListener) -> AsyncGenerator[Any]:
        async with AsyncMongoClient[dict[str, Any]](url, event_listeners=listeners) as client:
            yield client

    @classmethod
    @asynccontextmanager
    async def database(
        cls, url: str, *listeners: monitoring.CommandListener
    ) -> AsyncGenerator[Any]:
        """Give an empty database."""
        name = f"{DATABASE}_{next(_numbers)}"
        async with cls.client(url, *listeners) as client:
            yield client[name]
            if "MONGODB_URL" in os.environ:  # or the server is thrown away, which takes less time
                await client.drop_database(name)

    @classmethod
    @asynccontextmanager
    async def session(cls, database: Any) -> AsyncGenerator[Any]:
        async with database.client.start_session() as session:
            yield session

    @classmethod
    async def begin(cls, session: Any) -> None:
        await session.start_transaction()


class MotorDriver(Driver):
    name: ClassVar = "motor"

    @classmethod
    @asynccontextmanager
    async def client(cls, url: str, *listeners: monitoring.CommandListener) -> AsyncGenerator[Any]:
        from motor.motor_asyncio import AsyncIOMotorClient

        client: Any = AsyncIOMotorClient(url, event_listeners=listeners)
        try:
            yield client
        finally:
            client.close()

    @classmethod
    @asynccontextmanager
    async def session(cls, database: Any) -> AsyncGenerator[Any]:
        async with await database.client.start_session() as session:
            yield session

    @classmethod
    async def begin(cls, session: Any) -> None:
        session.start_transaction()


class DriverStore(Store):
    """What the stores on a MongoDB driver share: a session, which may be in a transaction."""

    driver: ClassVar[type[Driver]]
    session_option: ClassVar[str]
    conflict = (DuplicateKeyError, BulkWriteError)

    def __init__(self, database: Any, session: Any, commands: Commands) -> None:
        self.database = database
        self.session = session
        self.commands = commands

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncGenerator[DriverStore]:
        # Emptied, not dropped: to make a collection takes longer than most tests.
        name = f"{DATABASE}_{cls.id}"
        commands = Commands()
        async with cls.driver.client(servers.mongodb, commands) as client:
            database = client[name]
            if (servers.mongodb, name) not in _created:
                await cls.create_collections(database)
                _created.add((servers.mongodb, name))
                servers.drop_mongodb_later(name)
            await cls.prepare(database)
            async with cls.driver.session(database) as session:
                if cls.transactional:
                    await cls.driver.begin(session)
                yield cls(database, session, commands)
                if cls.transactional:
                    await session.abort_transaction()
            for collection in await database.list_collection_names():
                await database[collection].delete_many({})

    @classmethod
    async def create_collections(cls, database: Any) -> None:
        """Make the collections, which must exist before a transaction writes to them."""
        raise NotImplementedError

    @classmethod
    async def prepare(cls, database: Any) -> None:
        """Have the factories of the store use a database."""
        raise NotImplementedError

    @property
    def options(self) -> Mapping[str, Any]:
        return {self.session_option: self.session}

    @asynccontextmanager
    async def another(self) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.driver.session(self.database) as session:
            if self.transactional:
                await self.driver.begin(session)
            yield {self.session_option: session}
            if self.transactional:
                await session.commit_transaction()

    def collection(self, factory: type[AsyncFactory[Any]]) -> Any:
        raise NotImplementedError

    def new_key(self) -> ObjectId:
        return ObjectId()

    async def rows(self, factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
        found = self.collection(factory).find({}, session=self.session).sort("_id")
        rows = [dict(document) async for document in found]
        for row in rows:
            row["key"] = row.pop("_id")
            if "author" in row:
                row["author_key"] = self.reference(row.pop("author"))
            if "company" in row:
                assert self.reference(row.pop("company")) == row["company_key"]
        return rows

    def reference(self, stored: Any) -> Any:
        """Return the key of a related object, given what is stored for it."""
        raise NotImplementedError

    async def rollback(self) -> None:
        if self.transactional:
            await self.session.abort_transaction()
            await self.driver.begin(self.session)

    async def commit(self) -> None:
        if self.transactional:
            await self.session.commit_transaction()
            await self.driver.begin(self.session)


class CompanyFactory(AsyncMongoFactory[dict[str, Any]]):
    class Meta:
        model = dict
        mongo_collection = lambda: MongoStore.current["company"]  # noqa: E731

    name = factory.Sequence(lambda n: f"company{n}")
    size = 10


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        mongo_get_or_create = ("name",)


class UserFactory(AsyncMongoFactory[dict[str, Any]]):
    class Meta:
        model = dict
        mongo_collection = lambda: MongoStore.current["user"]  # noqa: E731

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)
    company_key = factory.LazyAttribute(lambda user: user.company["_id"])


class PostFactory(AsyncMongoFactory[dict[str, Any]]):
    class Meta:
        model = dict
        mongo_collection = lambda: MongoStore.current["post"]  # noqa: E731

    title = factory.Sequence(lambda n: f"post{n}")
    author = factory.SubFactory(UserFactory)


class MongoStore(DriverStore):
    CompanyFactory = CompanyFactory
    NamedCompanyFactory = NamedCompanyFactory
    UserFactory = UserFactory
    PostFactory = PostFactory
    session_option = "mongo_session"
    key_name = "_id"

    current: ClassVar[Any]
    """The database of the running test."""

    @classmethod
    async def create_collections(cls, database: Any) -> None:
        for name in ("company", "user", "post"):
            await database.create_collection(name)
        await database["company"].create_index("name", unique=True)

    @classmethod
    async def prepare(cls, database: Any) -> None:
        MongoStore.current = database

    def collection(self, factory: type[AsyncFactory[Any]]) -> Any:
        adapter: Any = factory._meta.adapter_for_storing()
        return adapter.current_collection()

    def reference(self, stored: Any) -> Any:
        return stored["_id"]

    def key(self, instance: Any) -> Any:
        return instance.get("_id")

    def get(self, instance: Any, name: str) -> Any:
        return instance[name]


class PyMongo(MongoStore):
    id: ClassVar = "mongo-pymongo"
    driver = Driver
    transactional: ClassVar = False


class PyMongoTransaction(MongoStore):
    id: ClassVar = "mongo-pymongo-transaction"
    driver = Driver
    survives_conflict: ClassVar = False  # a refused insert aborts the whole transaction


class Motor(MongoStore):
    id: ClassVar = "mongo-motor"
    driver = MotorDriver
    transactional: ClassVar = False


class MotorTransaction(MongoStore):
    id: ClassVar = "mongo-motor-transaction"
    driver = MotorDriver
    survives_conflict: ClassVar = False


STORES: list[type[Store]] = [PyMongo, PyMongoTransaction]
try:
    import motor  # noqa: F401
except ImportError:
    pass
else:
    STORES += [Motor, MotorTransaction]
