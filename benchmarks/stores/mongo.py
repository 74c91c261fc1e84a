"""A collection of PyMongo's async API, without an ODM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from async_factory_boy.factory.mongo import AsyncMongoFactory
from benchmarks.declarations import Builder, Kind, Models
from benchmarks.stores.mongodb import MongoDBStore


class MongoStore(MongoDBStore):
    id: ClassVar = "mongo"
    name: ClassVar = "MongoDB collection (PyMongo)"
    insert_by = "insert_one"
    insert_many_by = "insert_many"
    insert_many_kinds = ("flat",)
    base = AsyncMongoFactory
    models = Models(dict)

    @property
    def options(self) -> Mapping[str, Any]:
        return {"mongo_collection": self.database["mongo_person"]}

    async def insert(self, kind: Kind) -> object:
        return await self.database["mongo_person"].insert_one(self.values.build())

    async def insert_many(self, builder: Builder, kind: Kind, size: int) -> object:
        documents = builder.batch(kind, size)
        await self.database["mongo_person"].insert_many(documents)
        return documents
