"""What the stores on MongoDB have in common: PyMongo's client, and documents that are deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from benchmarks.stores.base import Store
from tests.servers import Servers


class MongoDBStore(Store):
    """Not in a transaction: its size would be limited, and tests on MongoDB rarely have one."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        super().__init__()
        self.database = database

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncGenerator[MongoDBStore]:
        async with AsyncMongoClient[dict[str, Any]](servers.mongodb) as client:
            store = cls(client[f"async_factory_boy_{uuid4().hex[:12]}"])
            await store.prepare()
            yield store
            await client.drop_database(store.database)

    async def prepare(self) -> None:
        """Do what has to be done once before documents are stored. Default: nothing."""

    @property
    def options(self) -> Mapping[str, Any]:
        return {}

    async def undo(self) -> int:
        documents = 0
        for name in await self.database.list_collection_names():
            documents += (await self.database[name].delete_many({})).deleted_count
        return documents

    async def server(self) -> str:
        return f"MongoDB {(await self.database.client.server_info())['version']}"
