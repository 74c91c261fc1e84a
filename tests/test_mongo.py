"""What is the own of collections without an ODM: the kinds of models, and where they are stored."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Optional, TypedDict

import factory
import pytest
from bson import Int64, ObjectId
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from async_factory_boy import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
    bind,
)
from async_factory_boy.adapters.mongo import MongoAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.mongo import AsyncMongoFactory
from tests.servers import Servers
from tests.stores import mongo as stores

DRIVERS: list[type[stores.Driver]] = list(dict.fromkeys(s.driver for s in stores.STORES))


@pytest.fixture(params=DRIVERS, ids=[driver.name for driver in DRIVERS])
def driver(request: pytest.FixtureRequest) -> type[stores.Driver]:
    chosen: type[stores.Driver] = request.param
    return chosen


@pytest.fixture
async def database(servers: Servers, driver: type[stores.Driver]) -> AsyncGenerator[Any]:
    async with driver.database(servers.mongodb) as database:
        yield database


@pytest.fixture
async def collection(database: Any) -> Any:
    """A collection that is there, so that transactions can write to it, with unique names."""
    await database["things"].create_index("name", unique=True)
    return database["things"]


@pytest.fixture
def bound(collection: Any) -> Any:
    with bind(mongo_collection=collection):
        yield collection


# Kinds of models.


class Thing(TypedDict, total=False):
    _id: ObjectId | None
    name: str


class Record(dict[str, Any]):
    """A class of the user's own."""


@dataclass
class Row:
    name: str
    id: ObjectId | None = None


@dataclass(frozen=True)
class FrozenRow:
    name: str
    _id: ObjectId | None = None


@dataclass
class RowWithoutId:
    name: str


class Model(BaseModel):
    """As in the tutorials: the model's id is a string."""

    id: Annotated[str, BeforeValidator(str)] | None = Field(alias="_id", default=None)
    name: str


class ValidatedModel(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(alias="_id", default="")
    name: str

    @field_validator("id", mode="before")
    @classmethod
    def to_string(cls, value: object) -> str:
        return str(value)


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    key: ObjectId | None = Field(serialization_alias="_id", default=None)
    name: str


class ModelReadByAlias(BaseModel):
    """The alias is for reading only: what an API returns has the name."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, BeforeValidator(str)] | None = Field(validation_alias="_id", default=None)
    name: str


class ModelWithFrozenId(BaseModel):
    id: Annotated[str, BeforeValidator(str)] | None = Field(alias="_id", default=None, frozen=True)
    name: str


class ModelWithoutId(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        (dict, lambda thing: thing["_id"]),
        (dict[str, Any], lambda thing: thing["_id"]),
        (Record, lambda thing: thing["_id"]),
        (Thing, lambda thing: thing["_id"]),
        (Row, lambda thing: thing.id),
        (FrozenRow, lambda thing: thing._id),
        (RowWithoutId, None),
        (Model, lambda thing: ObjectId(thing.id)),
        (FrozenModel, lambda thing: thing.key),
        (ModelReadByAlias, lambda thing: ObjectId(thing.id)),
        (ModelWithFrozenId, lambda thing: ObjectId(thing.id)),
        (ModelWithoutId, None),
    ],
)
async def test_kinds_of_models(kind: Any, read: Any, bound: Any) -> None:
    """Each is stored with an _id, which it has where it has a place for it, and is found again."""

    class ThingFactory(AsyncMongoFactory[Any]):
        class Meta:
            model = kind
            mongo_get_or_create = ("name",)

        name = factory.Sequence(lambda n: f"thing{n}")

    thing = await ThingFactory.create_async(name="one")
    again = await ThingFactory.create_async(name="one")
    (document,) = [document async for document in bound.find()]
    assert document == {"_id": document["_id"], "name": "one"}
    assert isinstance(document["_id"], ObjectId)
    assert type(again) is type(thing)
    assert again == thing
    if read is not None:
        assert read(thing) == read(again) == document["_id"]


async def test_id_of_the_caller(bound: Any) -> None:
    """An _id that the object has is stored; None stands for one to be made."""

    class RecordFactory(AsyncMongoFactory[Any]):
        class Meta:
            model = Record
            rename = {"key": "_id"}

        name = factory.Sequence(lambda n: f"record{n}")
        key = None

    class RowFactory(AsyncMongoFactory[Any]):
        class Meta:
            model = Row

        name = factory.Sequence(lambda n: f"row{n}")
        id = None

    class ModelFactory(AsyncMongoFactory[Any]):
        class Meta:
            model = ValidatedModel

        name = factory.Sequence(lambda n: f"model{n}")

    assert (await RecordFactory.create_async(key=7))["_id"] == 7
    assert (await RowFactory.create_async(id=8)).id == 8
    assert (await ModelFactory.create_async(id="9")).id == "9"
    made = [(await RecordFactory.create_async())["_id"], (await RowFactory.create_async()).id]
    assert [document["_id"] async for document in bound.find().sort("name")] == [
        "9",
        *(7, made[0]),
        *(8, made[1]),
    ]
    assert all(isinstance(key, ObjectId) for key in made)


async def test_id_that_the_field_refuses(bound: Any) -> None:
    """Nothing is stored of a model whose field cannot take the _id; the model's error is raised."""

    class Numbered(BaseModel):
        id: int | None = Field(alias="_id", default=None)
        name: str = "numbered"

    class NumberedFactory(AsyncMongoFactory[Numbered]):
        class Meta:
            model = Numbered

    with pytest.raises(ValidationError, match="should be a valid integer"):
        await NumberedFactory.create_async()
    assert await bound.count_documents({}) == 0
    assert (await NumberedFactory.create_async(_id=5)).id == 5


async def test_field_with_an_alias(bound: Any) -> None:
    """get_or_create looks a field up by the name that it is stored under."""

    class Aliased(BaseModel):
        model_config = ConfigDict(populate_by_name=True)

        title: str = Field(alias="name")
        tags: list[str] = []

    class AliasedFactory(AsyncMongoFactory[Aliased]):
        class Meta:
            model = Aliased
            mongo_get_or_create = ("title",)

        title = "a title"

    await AliasedFactory.create_async(tags=["first"])
    assert (await AliasedFactory.create_async(tags=["second"])).tags == ["first"]
    assert [document["name"] async for document in bound.find()] == ["a title"]


@pytest.mark.parametrize("value", [re.compile("one"), {"$ne": None}], ids=["pattern", "operator"])
async def test_lookup_is_by_value(value: Any, bound: Any) -> None:
    """A value that MongoDB could take for a condition is compared with, like any other."""

    class ThingFactory(AsyncMongoFactory[dict[str, Any]]):
        class Meta:
            model = dict
            mongo_get_or_create = ("name",)

    await ThingFactory.create_async(name="one")
    adapter: Any = ThingFactory._meta.adapter_for_storing()
    assert await adapter.find(dict, {"name": value}) is None


# Many at once.


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (dict, lambda thing: thing["_id"]),
        (Record, lambda thing: thing["_id"]),
        (Thing, lambda thing: thing["_id"]),
        (Row, lambda thing: thing.id),
        (FrozenRow, lambda thing: thing._id),
        (RowWithoutId, None),
        (Model, lambda thing: ObjectId(thing.id)),
        (FrozenModel, lambda thing: thing.key),
        (ModelReadByAlias, lambda thing: ObjectId(thing.id)),
        (ModelWithoutId, None),
    ],
)
async def test_batches_of_each_kind(kind: Any, key: Any, bound: Any) -> None:
    """A batch stores, and finds, objects of each kind of model in order, each with its id."""

    class Factory(AsyncMongoFactory[Any]):
        class Meta:
            model = kind
            mongo_get_or_create = ("name",)

        name = factory.Iterator(["c", "a", "b"])

    def names(things: list[Any]) -> list[str]:
        return [thing["name"] if isinstance(thing, dict) else thing.name for thing in things]

    made = await Factory.create_batch_async(3)
    stored = [document async for document in bound.find().sort("_id")]
    assert names(made) == [document["name"] for document in stored] == ["c", "a", "b"]
    assert all(type(thing) is kind or kind is Thing for thing in made)
    name = factory.Iterator(["a", "new", "c"])
    found = await Factory.create_batch_async(3, name=name)
    assert names(found) == ["a", "new", "c"]
    assert await bound.count_documents({}) == 4
    if key is not None:
        assert [key(thing) for thing in made] == [document["_id"] for document in stored]
        assert [key(found[0]), key(found[2])] == [key(made[1]), key(made[0])]


async def test_batch_with_ids_of_the_caller(bound: Any) -> None:
    """Some objects of a batch may have an id of the caller's."""
    ids = factory.Iterator([7, None, "eight", None])
    things = await ThingFactory.create_batch_async(4, _id=ids)
    assert [things[0]["_id"], things[2]["_id"]] == [7, "eight"]
    assert all(isinstance(thing["_id"], ObjectId) for thing in things[1::2])
    stored = {document["_id"]: document["name"] async for document in bound.find()}
    assert stored == {thing["_id"]: thing["name"] for thing in things}


LOOKED_UP = {
    "plain": ([{"a": 1}, {"a": "x"}, {"a": None}], [1, "x", None, 3], 1),
    "absent": ([{"b": 1}], [None, 1], 1),
    "documents": ([{"a": {"b": 1, "c": 2}}], [{"b": 1, "c": 2}, {"c": 2, "b": 1}], 1),
    "other number": ([{"a": 1.0}, {"a": Int64(2)}], [1, 2, 3], 4),
    "not the same to the server": ([{"a": 1}], [True, "1"], 1),
    "in an array": ([{"a": ["x", "y"]}, {"a": "z"}], ["x", "y", "z"], 3),
    "pattern": ([{"a": "xy"}, {"a": re.compile("x")}], [re.compile("x"), re.compile("y")], 1),
    "time": (
        [{"a": datetime(2024, 1, 2, microsecond=5000)}],
        [
            datetime(2024, 1, 2, microsecond=5000),
            datetime(2024, 1, 2, microsecond=6000),
        ],
        1,
    ),
    "finer than stored": (
        [{"a": datetime(2024, 1, 2, microsecond=5000)}],
        [
            datetime(2024, 1, 2, microsecond=5001),
            datetime(2024, 1, 2, microsecond=5002),
        ],
        1,
    ),
    "nan": ([{"a": float("nan")}], [float("nan"), 1.0], 1),
}


@pytest.mark.parametrize(("documents", "values", "finds"), LOOKED_UP.values(), ids=LOOKED_UP)
async def test_looking_up_many(
    documents: list[Any], values: list[Any], finds: int, servers: Servers, driver: Any
) -> None:
    """Many are looked up by one find, unless the values do not tell which is which."""
    commands = stores.Commands()
    async with driver.database(servers.mongodb, commands) as database:
        await database["things"].insert_many(documents)
        adapter = MongoAdapter[Any](collection=database["things"])
        lookups = [{"a": value} for value in values]
        expected = [await adapter.find(dict, lookup) for lookup in lookups]
        commands.sent.clear()
        found = await adapter.find_many(dict, lookups)
    assert repr(found) == repr(expected)  # nan is not equal to itself
    assert commands.sent.count("find things") == finds


async def test_looking_up_many_by_several_fields(bound: Any) -> None:
    """Objects are looked up by all of their fields together."""
    await bound.insert_many([{"name": f"{a}{b}", "a": a, "b": b} for a in "xy" for b in "xy"])
    adapter: Any = ThingFactory._meta.adapter_for_storing()
    lookups = [{"a": "x", "b": "y"}, {"b": "x", "a": "y"}, {"a": "z", "b": "y"}]
    found = await adapter.find_many(dict, [dict(sorted(lookup.items())) for lookup in lookups])
    assert [one and one["name"] for one in found] == ["xy", "yx", None]


async def test_looking_up_many_by_a_collation(database: Any) -> None:
    """A batch finds by the collection's notion of equality, as a single call does."""
    collection = await database.create_collection(
        "names", collation={"locale": "en", "strength": 2}
    )
    adapter = MongoAdapter[Any](collection=collection)
    await collection.insert_one({"name": "Acme"})
    names = ["ACME", "other", "acme"]
    found = await adapter.find_many(dict, [{"name": name} for name in names])
    assert [one and one["name"] for one in found] == ["Acme", None, "Acme"]


async def test_looking_up_many_by_part_of_a_document(bound: Any) -> None:
    """A lookup may reach into a field, as a query of MongoDB's may."""
    await bound.insert_one({"name": "one", "address": {"city": "Bern"}})
    adapter: Any = ThingFactory._meta.adapter_for_storing()
    lookups = [{"address.city": city} for city in ("Bern", "Basel", None)]
    found = await adapter.find_many(dict, lookups)
    assert [one and one["name"] for one in found] == ["one", None, None]


async def test_pages_of_lookups(servers: Servers, driver: type[stores.Driver]) -> None:
    """More than a thousand lookups are more than one find."""
    commands = stores.Commands()
    async with driver.database(servers.mongodb, commands) as database:
        adapter = MongoAdapter[Any](collection=database["things"])
        await database["things"].insert_many([{"n": n} for n in range(0, 2500, 100)])
        commands.sent.clear()
        found = await adapter.find_many(dict, [{"n": n} for n in range(2500)])
    assert [n for n, one in enumerate(found) if one is not None] == list(range(0, 2500, 100))
    assert commands.sent.count("find things") == 3


async def test_refused_for_another_reason(database: Any) -> None:
    """What is refused for another reason than a duplicate is no conflict, and not retried."""
    validator = {"size": {"$lt": 3}}
    collection = await database.create_collection("small", validator=validator)

    class SmallFactory(AsyncMongoFactory[dict[str, Any]]):
        class Meta:
            model = dict
            mongo_collection = collection
            mongo_get_or_create = ("size",)

        size = factory.Sequence(lambda n: n)

    SmallFactory.reset_sequence(1)
    with pytest.raises(BulkWriteError, match="Document failed validation"):
        await SmallFactory.create_batch_async(4)


@dataclass
class Part:
    name: str
    id: ObjectId | None = None


@dataclass
class Whole:
    name: str
    first: Part
    id: int = 1
    second: Optional[Part] = None  # noqa: UP045 (both spellings)
    third: Part | None = None
    rest: list[Part] = field(default_factory=list)
    pair: tuple[Part, ...] | None = None
    size: int = field(init=False, default=0)


async def test_nested_dataclasses(bound: Any) -> None:
    """Dataclasses within a dataclass are stored as documents, and found as dataclasses."""

    class PartFactory(AsyncMongoFactory[Part]):
        class Meta:
            model = Part

        name = factory.Sequence(lambda n: f"part{n}")

    class WholeFactory(AsyncMongoFactory[Whole]):
        class Meta:
            model = Whole
            mongo_get_or_create = ("name", "first")

        name = "whole"
        first = factory.SubFactory(PartFactory)

    rest = PartFactory.build_batch(2)
    whole = await WholeFactory.create_async(
        second=Part("second"), third=Part("third"), rest=rest, pair=tuple(rest)
    )
    await bound.update_one({"_id": 1}, {"$set": {"size": 4}})
    again = await WholeFactory.create_async(first=whole.first)
    whole.size = 4
    assert again == whole
    assert isinstance(whole.first.id, ObjectId)
    stored = await bound.find_one({"_id": 1})
    assert stored["first"] == {"_id": whole.first.id, "name": "part2"}
    assert stored["rest"] == [{"name": part.name} for part in rest]


async def test_dataclass_of_a_function(bound: Any) -> None:
    """What is annotated with names of a function's own is found as it is stored."""

    @dataclass
    class Local:
        name: str
        part: Part

    @dataclass
    class Holder:
        name: str
        local: Local

    class HolderFactory(AsyncMongoFactory[Holder]):
        class Meta:
            model = Holder
            mongo_get_or_create = ("name",)

    await HolderFactory.create_async(name="holder", local=Local("local", Part("part")))
    found = await HolderFactory.create_async(name="holder")
    assert found.local == {"name": "local", "part": {"name": "part"}}


async def test_nested_models(bound: Any) -> None:
    """Pydantic models within a pydantic model are stored by their aliases."""

    class Outer(BaseModel):
        name: str
        inner: Model

    class OuterFactory(AsyncMongoFactory[Outer]):
        class Meta:
            model = Outer
            mongo_get_or_create = ("inner",)

        name = factory.Sequence(lambda n: f"outer{n}")

    inner = Model(_id="5", name="inner")
    await OuterFactory.create_async(inner=inner)
    assert (await OuterFactory.create_async(inner=inner)).name == "outer0"
    stored = await bound.find_one({}, {"_id": 0})
    assert stored == {"name": "outer0", "inner": {"_id": "5", "name": "inner"}}


# Collections.


class ThingFactory(AsyncMongoFactory[dict[str, Any]]):
    class Meta:
        model = dict

    name = factory.Sequence(lambda n: f"thing{n}")


async def test_where_the_collection_comes_from(database: Any) -> None:
    """The call's keyword wins over bind, and that over Meta, be it a collection or a callable."""

    class Configured(ThingFactory):
        class Meta:
            mongo_collection = database["configured"]

    class ByFunction(ThingFactory):
        class Meta:
            mongo_collection = lambda: database["by_function"]  # noqa: E731

    for one in (Configured, ByFunction):
        await one.create_async()
        with bind(mongo_collection=database["bound"]):
            await one.create_async()
            await one.create_async(mongo_collection=database["given"])
    names = ["configured", "by_function", "bound", "given"]
    assert [await database[name].count_documents({}) for name in names] == [1, 1, 2, 2]


async def test_collection_of_a_sub_factory(database: Any) -> None:
    """A SubFactory's object can be given a collection by its path, and in the declaration."""

    class Outer(ThingFactory):
        inner = factory.SubFactory(ThingFactory)
        other = factory.SubFactory(ThingFactory, mongo_collection=database["other"])

    await Outer.create_async(
        mongo_collection=database["outer"], inner__mongo_collection=database["inner"]
    )
    for name in ("outer", "inner", "other"):
        assert await database[name].count_documents({}) == 1


async def test_collection_is_not_inherited(database: Any) -> None:
    """What a call is given is not for its SubFactories and hooks; what bind gives is."""

    class Inner(ThingFactory):
        class Meta:
            mongo_collection = lambda: database["inner"]  # noqa: E731

    class Outer(ThingFactory):
        class Meta:
            mongo_collection = lambda: database["outer"]  # noqa: E731

        inner = factory.SubFactory(Inner)

        @factory.post_generation
        def sync_hook(outer: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            Inner.create()

        @factory.post_generation
        async def async_hook(outer: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await Inner.create_async()

    async def counts() -> list[int]:
        names = ["outer", "inner", "given", "bound"]
        return [await database[name].count_documents({}) for name in names]

    await Outer.create_async(mongo_collection=database["given"])
    assert await counts() == [0, 3, 1, 0]
    with bind(mongo_collection=database["bound"]):
        await Outer.create_batch_async(2, mongo_collection=database["given"])
        assert await counts() == [0, 3, 3, 6]
        await Outer.create_async()
    assert await counts() == [0, 3, 3, 10]
    await Outer.create_async()
    assert await counts() == [1, 6, 3, 10]


async def test_no_collection_for_a_sub_factory(database: Any) -> None:
    """A SubFactory without a collection of its own needs to be given one."""

    class Outer(ThingFactory):
        inner = factory.SubFactory(ThingFactory)

    with pytest.raises(MissingOptionError, match="No collection provided"):
        await Outer.create_async(mongo_collection=database["given"])


@pytest.mark.parametrize("by", ["class", "name", "instance"])
async def test_meta_adapter(by: str, collection: Any) -> None:
    """Meta.adapter takes the adapter's class, its name, and an instance that is configured."""
    configured = MongoAdapter[Any](collection=lambda: collection, get_or_create=["name"])
    chosen = {"class": MongoAdapter, "name": "mongo", "instance": configured}[by]
    options = {} if by == "instance" else {"mongo_collection": collection}

    class Plain(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = chosen

        name = "plain"

    plain = await Plain.create_async(**options)
    assert await collection.find_one({}) == plain


# Transactions.


async def test_aborted_transaction(collection: Any, driver: type[stores.Driver]) -> None:
    """Nothing is left of an aborted transaction, and the session can be used again."""
    async with driver.session(collection.database) as session:
        await driver.begin(session)
        await ThingFactory.create_batch_async(3, mongo_collection=collection, mongo_session=session)
        assert await collection.count_documents({}, session=session) == 3
        assert await collection.count_documents({}) == 0
        await session.abort_transaction()
        assert await collection.count_documents({}) == 0
        await ThingFactory.create_async(mongo_collection=collection, mongo_session=session)
        assert await collection.count_documents({}) == 1


async def test_refused_in_a_transaction(collection: Any, driver: type[stores.Driver]) -> None:
    """The driver's error is raised; there are no savepoints, so MongoDB aborts the transaction."""

    class Named(ThingFactory):
        class Meta:
            mongo_get_or_create = ("name",)

    async with driver.session(collection.database) as session:
        await driver.begin(session)
        with bind(mongo_collection=collection, mongo_session=session):
            await ThingFactory.create_async(name="before")
            # Committed after the transaction began, so the lookup does not see it.
            await collection.insert_one({"name": "taken"})
            with pytest.raises(OperationFailure) as refused:
                await Named.create_async(name="taken")
            # 112 is WriteConflict, 11000 the unique index, 251 would be the lookup of the winner.
            assert refused.value.code in (112, 11000)
            with pytest.raises(OperationFailure, match="has been aborted"):
                await ThingFactory.create_async(name="after")
        await session.abort_transaction()
    assert [document["name"] async for document in collection.find()] == ["taken"]


async def test_winner_in_an_aborted_transaction(
    collection: Any, driver: type[stores.Driver]
) -> None:
    """The lookup of the winner does not hide what the insert was refused with."""

    class Blind(MongoAdapter[Any]):
        """Does not find what is there, as if it were stored a moment later."""

        lookups = 0

        async def find(self, model: Any, lookup: Any) -> Any:
            self.lookups += 1
            return None if self.lookups == 1 else await super().find(model, lookup)

    class Named(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = Blind(collection=lambda: collection, get_or_create=("name",))

        name = "taken"

    await collection.insert_one({"name": "taken"})
    async with driver.session(collection.database) as session:
        await driver.begin(session)
        with pytest.raises(DuplicateKeyError):
            await Named.create_async(mongo_session=session)
        await session.abort_transaction()
    assert Named._meta.adapter_for_storing().lookups > 1


async def test_failing_lookup(bound: Any) -> None:
    """When the winner's lookup fails for another reason, the driver's error is raised."""
    adapter: Any = ThingFactory._meta.adapter_for_storing()
    with pytest.raises(OperationFailure, match="unknown top level operator"):
        await adapter.find_afresh(dict, {"$nothing": 1})


async def test_refused_without_a_transaction(bound: Any) -> None:
    """The driver's error is raised, and what was stored before is there."""
    await ThingFactory.create_async(name="taken")
    with pytest.raises(DuplicateKeyError):
        await ThingFactory.create_async(name="taken")
    assert await bound.count_documents({}) == 1


# Bad input.


async def test_no_collection() -> None:
    """Without a collection, the error says the three ways to give one, and who asked for it."""
    with pytest.raises(
        MissingOptionError,
        match=r"^No collection provided\. Set Meta\.mongo_collection .* "
        r'create_async\(mongo_collection=database\["users"\]\); .*\.bind\(mongo_collection=\.\.\.\)'
        r".*Asked for by ThingFactory",
    ):
        await ThingFactory.create_async()


class Stub:
    pass


async def test_not_a_collection(
    database: Any, driver: type[stores.Driver], servers: Servers
) -> None:
    """Anything but an async collection is refused, by calls, by bind, and when a class is made."""
    with MongoClient[dict[str, Any]](servers.mongodb) as sync:
        wrong = [
            (database, r'a database; write database\["users"\]'),
            (database.client, "an object of type A"),
            (sync["shop"]["users"], "one of the synchronous MongoClient"),
            ("users", "an object of type str"),
            (Stub(), "an object of type Stub"),
        ]
        for value, called in wrong:
            message = (
                f"^mongo_collection takes a collection of PyMongo's .* Motor's .*; got {called}"
            )
            with pytest.raises(OptionError, match=rf"{message}.* Pass one: create_async\("):
                await ThingFactory.create_async(mongo_collection=value)
            with pytest.raises(OptionError, match=message), bind(mongo_collection=value):
                pass

            if isinstance(value, str):
                continue  # in Meta, it is a name

            with pytest.raises(
                ConfigurationError,
                match="^Wrong.Meta.mongo_collection takes a collection .*, a callable that "
                rf"returns one, such as lambda: .*; got {called}",
            ):

                class Wrong(ThingFactory):
                    class Meta:
                        mongo_collection = value

            class Returning(ThingFactory):
                class Meta:
                    mongo_collection = lambda: value  # noqa: E731

            with pytest.raises(
                OptionError,
                match="^The callable that is set as Meta.mongo_collection has to return a "
                rf"collection of .*; it returned {called}",
            ):
                await Returning.create_async()


class NamingFactory(ThingFactory):
    class Meta:
        mongo_collection = "named"


async def test_name_of_a_collection(database: Any, servers: Servers) -> None:
    """A name is that of a collection in the database that a call is given, or that is bound."""
    with bind(mongo_database=database):
        bound = await NamingFactory.create_async()
    given = await NamingFactory.create_async(mongo_database=database)
    found = await database["named"].find().to_list(None)
    assert [one["_id"] for one in found] == [bound["_id"], given["_id"]]

    with pytest.raises(
        MissingOptionError,
        match=r"^Meta\.mongo_collection is 'named', a name, and no database is provided\. "
        r"Bind one .*Asked for by NamingFactory",
    ):
        await NamingFactory.create_async()
    with MongoClient[dict[str, Any]](servers.mongodb) as sync:
        for wrong, kind in [(sync["shop"], "pymongo.*Database"), (Stub(), ".*Stub"), (3, ".*int")]:
            with pytest.raises(
                OptionError, match=f"^mongo_database takes a database of .*; got .* type {kind}"
            ):
                await NamingFactory.create_async(mongo_database=wrong)


async def test_async_callable_for_a_collection() -> None:
    """A callable for the collection has to be a plain function."""

    class Asynchronous(ThingFactory):
        class Meta:
            mongo_collection = lambda: asyncio.get_running_loop().create_future()  # noqa: E731

    with pytest.raises(OptionError, match="it returned an awaitable"):
        await Asynchronous.create_async()


async def test_not_a_session(bound: Any, driver: type[stores.Driver], servers: Servers) -> None:
    """Anything but an open session of the collection's client is refused, before it is used."""
    start = (
        r"async with client.start_session\(\) as session, await session.start_transaction\(\)"
        if driver is stores.Driver
        else r"async with await client.start_session\(\) as session, session.start_transaction\(\)"
    )
    pending = asyncio.get_running_loop().create_future()
    with MongoClient[dict[str, Any]](servers.mongodb) as sync, sync.start_session() as session:
        for value, called in [
            (session, "one of the synchronous MongoClient"),
            (pending, "one that has yet to be awaited"),
            (bound.database.client, "an object of type A"),
            (True, "an object of type bool"),
        ]:
            with pytest.raises(
                OptionError,
                match="^mongo_session takes a client session of PyMongo's AsyncMongoClient or of "
                rf"Motor; got {called}.*Start one around the calls: async with",
            ):
                await ThingFactory.create_async(mongo_session=value)
    async with driver.session(bound.database) as ended:
        pass
    with pytest.raises(
        OptionError, match=f"^mongo_session is a client session that has ended; .*{start}"
    ):
        await ThingFactory.create_async(mongo_session=ended)
    async with driver.database(servers.mongodb) as other, driver.session(other) as strange:
        with pytest.raises(OptionError, match=r"^mongo_session is a session of another client"):
            await ThingFactory.create_async(mongo_session=strange)
    for another in set(DRIVERS) - {driver}:
        async with another.database(servers.mongodb) as other, another.session(other) as strange:
            with pytest.raises(OptionError, match=f"(?i)got one of {another.name}.*{start}"):
                await ThingFactory.create_async(mongo_session=strange)


def test_client_of_another_event_loop(servers: Servers, driver: type[stores.Driver]) -> None:
    """A client that another loop has used is refused; the driver's error comes late, or is odd."""
    opened = driver.database(servers.mongodb)
    loop = asyncio.new_event_loop()
    database = loop.run_until_complete(opened.__aenter__())

    async def ping() -> None:
        await database.command("ping")

    loop.run_until_complete(ping())
    try:
        with pytest.raises(
            OptionError,
            match=r"^The client of mongo_collection was first used in another event loop.* Make "
            r"the client in a fixture .* same loop_scope",
        ):
            asyncio.run(ThingFactory.create_async(mongo_collection=database["things"]))
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.close()


async def test_model_of_another_kind(bound: Any) -> None:
    """A model that cannot become a document is refused before anything is evaluated."""

    class StubFactory(AsyncMongoFactory[Stub]):
        class Meta:
            model = Stub

        part = factory.LazyFunction(pytest.fail)

    with pytest.raises(
        AdapterError,
        match=r"^Stub is no kind of model that can be stored in a collection; set Meta.model to "
        r"dict, a TypedDict, a dataclass, or a pydantic model",
    ):
        await StubFactory.create_async()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(Thing, "_id, name"), (Row, "id, name"), (Model, "_id, id, name"), (FrozenModel, "key, name")],
)
async def test_get_or_create_of_no_field(kind: Any, fields: str, bound: Any) -> None:
    """get_or_create by what is not a field of the model is refused; a dict takes any."""

    class Misspelt(AsyncMongoFactory[Any]):
        class Meta:
            model = kind
            mongo_get_or_create = ("nmae",)

        nmae = "a"

    with pytest.raises(
        ConfigurationError,
        match=f"get_or_create names 'nmae', which is not a field of {kind.__name__}. Did you mean "
        f"'name'. It has: {fields}",
    ):
        await Misspelt.create_async()


async def test_get_or_create_without_a_value(bound: Any) -> None:
    """get_or_create by what the factory gives no value is refused."""

    class Valueless(AsyncMongoFactory[Any]):
        class Meta:
            model = dict
            mongo_get_or_create = ("name",)

    with pytest.raises(ConfigurationError, match="Valueless gives that field no value"):
        await Valueless.create_async()
    assert (await Valueless.create_async(name="a"))["name"] == "a"


async def test_extra_fields(bound: Any) -> None:
    """get_or_create takes the extra fields of a pydantic model that allows them."""

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

        name: str

    class OpenFactory(AsyncMongoFactory[Open]):
        class Meta:
            model = Open
            mongo_get_or_create = ("size",)

        name = factory.Sequence(lambda n: f"open{n}")
        size = 1

    first = await OpenFactory.create_async()
    assert (await OpenFactory.create_async()).name == first.name
    assert (await OpenFactory.create_async(size=2)).name != first.name


async def test_field_that_is_not_stored(bound: Any) -> None:
    """get_or_create by a field that pydantic leaves out of the document is refused."""

    class Excluding(BaseModel):
        name: str
        secret: str = Field(exclude=True)

    class ExcludingFactory(AsyncMongoFactory[Excluding]):
        class Meta:
            model = Excluding
            mongo_get_or_create = ("name", "secret")

        name = "a"
        secret = "b"

    await bound.insert_one({"name": "a"})
    with pytest.raises(
        ConfigurationError,
        match=r"get_or_create names fields that Excluding does not store: of name, secret, its "
        r"model_dump\(\) has name\.",
    ):
        await ExcludingFactory.create_async()


@pytest.mark.unmeasured
def test_pydantic_is_not_imported() -> None:
    """The factory needs no pydantic, and neither it nor an ODM is imported."""
    code = (
        "import sys, async_factory_boy.factory.mongo; "
        "print(*{'pydantic', 'beanie', 'motor'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


async def test_driver_keeps_the_loop_where_it_is_looked_for(servers: Servers) -> None:
    """PyMongo has no public way to ask which loop a client belongs to; Motor has get_io_loop()."""
    async with AsyncMongoClient[dict[str, Any]](servers.mongodb) as client:
        await client.aconnect()
        assert client._loop is asyncio.get_running_loop()
