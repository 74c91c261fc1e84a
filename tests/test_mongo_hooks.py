"""What models of the MongoDB stores override, and are given: by themselves and in a batch."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Optional

import factory
import pytest
from beanie import (
    Document,
    Insert,
    Save,
    SaveChanges,
    ValidateOnSave,
    after_event,
    before_event,
    init_beanie,
)
from bson import Binary, ObjectId
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_serializer
from pymongo.errors import DuplicateKeyError

from async_factory_boy import bind
from async_factory_boy.adapters.mongo import MongoAdapter
from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from async_factory_boy.factory.mongo import AsyncMongoFactory
from tests.servers import Servers
from tests.stores import mongo
from tests.stores.beanie import DRIVER

GIVEN = uuid.UUID(int=7)


class Plain(Document):
    name: str
    note: str = ""


class OwnInsert(Document):
    name: str
    note: str = ""

    async def insert(self, **kwargs: Any) -> Any:
        self.note = "by insert"
        return await super().insert(**kwargs)


class OwnSave(Document):
    name: str
    note: str = "not saved again"

    async def save(self, **kwargs: Any) -> Any:
        raise AssertionError("insert() does not save")

    async def create(self, **kwargs: Any) -> Any:
        raise AssertionError("insert() comes before create()")

    @classmethod
    async def insert_many(cls, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a batch is what single calls are")

    @before_event(Save, SaveChanges)
    def act(self) -> None:
        raise AssertionError("insert() is neither")


class OwnCollection(Document):
    name: str
    note: str = "elsewhere"

    @classmethod
    def get_pymongo_collection(cls) -> Any:
        return cls.get_settings().pymongo_collection.database["elsewhere"]

    @classmethod
    def get_motor_collection(cls) -> Any:
        return cls.get_settings().motor_collection.database["elsewhere"]


class OwnValidation(Document):
    name: str
    note: str = ""

    async def validate_self(self, *args: Any, **kwargs: Any) -> None:
        self.note = "by validate_self"


class Acting(Document):
    name: str
    note: str = ""
    noted: int = 0

    @before_event(Insert)
    def before(self) -> None:
        self.note = "by action"

    @before_event(ValidateOnSave)
    async def check(self) -> None:
        self.noted += 1

    @after_event(Insert)
    def after(self) -> None:
        self.noted += 10

    class Settings:
        validate_on_save = True
        use_state_management = True
        state_management_save_previous = True


class PostInit(Document):
    name: str
    note: str = ""

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self.note = "by model_post_init"


class Encoded(Document):
    name: str
    note: str = "encoded"
    nothing: Optional[str] = None  # noqa: UP045 (Beanie 1)

    class Settings:
        bson_encoders = {str: lambda text: f"<{text}>"}
        keep_nulls = False


class Lazy(Document):
    name: str
    note: str = "lazy"

    class Settings:
        lazy_parsing = True
        use_revision = True


DOCUMENTS: dict[Any, tuple[str, int]] = {
    Plain: ("", 1),
    OwnInsert: ("by insert", 3),
    OwnSave: ("not saved again", 1),
    OwnCollection: ("elsewhere", 1),
    OwnValidation: ("by validate_self", 1),
    Acting: ("by action", 1),
    PostInit: ("by model_post_init", 1),
    Encoded: ("encoded", 1),
    Lazy: ("lazy", 1),
}


class Revised(Document):
    name: str

    class Settings:
        use_revision = True
        use_state_management = True


class RevisedByInsert(Revised):
    note: str = ""

    async def insert(self, **kwargs: Any) -> Any:
        self.note = "by insert"
        return await super().insert(**kwargs)


class Aliased(Document):
    name: str
    mail: str = Field(default="", alias="e_mail")


class Computing(Document):
    name: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def initial(self) -> str:
        return self.name[:1]


class Animal(Document):
    name: str

    class Settings:
        is_root = True


class Dog(Animal):
    barks: bool = True


class ByUUID(Document):
    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    name: str


OTHERS: list[Any] = [Revised, RevisedByInsert, Aliased, Computing, Animal, Dog, ByUUID]


@pytest.fixture
def commands() -> mongo.Commands:
    """The commands that have been sent to the database."""
    return mongo.Commands()


@pytest.fixture
async def database(servers: Servers, commands: mongo.Commands) -> AsyncGenerator[Any]:
    """The database that Beanie is initialised with."""
    async with DRIVER.database(servers.mongodb, commands) as database:
        await init_beanie(database=database, document_models=[*DOCUMENTS, *OTHERS])
        yield database


@pytest.fixture
async def things(servers: Servers, commands: mongo.Commands) -> AsyncGenerator[Any]:
    """A collection for objects that are no documents of Beanie."""
    async with DRIVER.database(servers.mongodb, commands) as database:
        with bind(mongo_collection=database["things"]):
            yield database["things"]


def factory_of(base: Any, model: Any, **declarations: Any) -> Any:
    options = ("beanie_", "mongo_", "rename")
    meta = {name: declarations.pop(name) for name in list(declarations) if name.startswith(options)}
    attrs = {"Meta": type("Meta", (), {"model": model, **meta}), **declarations}
    return type(base)(f"{model.__name__}Factory", (base,), attrs)


def beanie_factory(model: Any, **declarations: Any) -> Any:
    return factory_of(AsyncBeanieDocumentFactory, model, **declarations)


def mongo_factory(model: Any, **declarations: Any) -> Any:
    return factory_of(AsyncMongoFactory, model, **declarations)


def key_of(made: Any) -> Any:
    return made["_id"] if isinstance(made, dict) else made.id


async def by_calls(made_by: Any, **declarations: Any) -> list[Any]:
    return [await made_by.create_async(**declarations) for _ in range(3)]


async def in_a_batch(made_by: Any, **declarations: Any) -> list[Any]:
    made: list[Any] = await made_by.create_batch_async(3, **declarations)
    return made


both = pytest.mark.parametrize("make", [by_calls, in_a_batch])


# Beanie.


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.__name__)
async def test_what_a_document_overrides(
    document: Any, database: Any, commands: mongo.Commands
) -> None:
    """A single call, a batch and insert() give the same documents."""
    note, inserts = DOCUMENTS[document]
    made_by = beanie_factory(document, name="x", beanie_get_or_create=("name",))
    by_hand = await document(name="x").insert()
    await by_hand.delete()
    one = await made_by.create_async()
    commands.sent.clear()
    many = await made_by.create_batch_async(3, name=factory.Sequence(lambda n: f"n{n}"))
    many += await beanie_factory(document, name="x").create_batch_async(3)
    sent = [command for command in commands.sent if command.startswith("insert")]
    assert len(sent) == 2 * inserts
    different = {"id", "name", "revision_id"}
    dumps = [each.model_dump(exclude=different) for each in (by_hand, one, *many)]
    assert dumps == [dumps[0]] * 8
    assert one.note == note
    states = [each.get_saved_state() or {} for each in (by_hand, one, *many)]
    assert {frozenset(state) - {"_id", "revision_id"} for state in states} == {
        frozenset(states[0]) - {"_id", "revision_id"}
    }
    collection = "elsewhere" if document is OwnCollection else document.__name__
    rows = [row async for row in database[collection].find().sort("_id")]
    assert [row["_id"] for row in rows] == [each.id for each in (one, *many)]
    assert len({tuple(row) for row in rows}) == 1
    assert (await made_by.create_async(name=many[1].name)).id == many[1].id


@both
@pytest.mark.parametrize("document", [Revised, RevisedByInsert])
async def test_given_revision(
    document: Any, make: Any, database: Any, commands: mongo.Commands
) -> None:
    """A revision id that is given is stored, where insert() makes one up."""
    made = await make(beanie_factory(document, name="x", revision_id=GIVEN))
    rows = [row async for row in database[document.__name__].find()]
    assert [row["revision_id"] for row in rows] == [Binary.from_uuid(GIVEN)] * 3
    assert [each.revision_id for each in made] == [GIVEN] * 3
    assert not any(each.is_changed for each in made)
    filled = await make(beanie_factory(document, name="x"))
    assert len({each.revision_id for each in filled} - {None, GIVEN}) == 3


async def test_given_revision_that_is_refused(database: Any) -> None:
    """A document that is refused raises what insert() does, also with a revision id given."""
    made_by = beanie_factory(Revised, name="x", revision_id=GIVEN)
    one = await made_by.create_async()
    with pytest.raises(DuplicateKeyError):
        await made_by.create_async(id=one.id)


@both
async def test_given_id(make: Any, database: Any) -> None:
    """Ids that are given are stored."""
    ids = [ObjectId() for _ in range(3)]
    ids.reverse()
    left = iter(ids)
    made = await make(beanie_factory(Plain, name="x", id=factory.LazyFunction(lambda: next(left))))
    assert [each.id for each in made] == ids
    assert {row["_id"] async for row in database["Plain"].find()} == set(ids)


@both
@pytest.mark.parametrize("name", ["id", "_id", "e_mail"])
async def test_get_or_create_by_name_or_alias(name: str, make: Any, database: Any) -> None:
    """get_or_create by the name of a field, or by its alias, stores it and finds it."""
    value = "a@b" if name == "e_mail" else ObjectId()
    stored_as = "_id" if name == "id" else name
    made_by = beanie_factory(Aliased, name="x", beanie_get_or_create=(name,))
    made = await make(made_by, **{name: value}) + await make(made_by, **{name: value})
    assert len({each.id for each in made}) == 1
    assert await database["Aliased"].count_documents({stored_as: value}) == 1


@both
async def test_found_documents(make: Any, database: Any) -> None:
    """Documents of a subclass, and with computed fields, are found as they were stored."""
    dogs = await make(beanie_factory(Dog, name="Rex", beanie_get_or_create=("name",)))
    dogs += await make(beanie_factory(Dog, name="Rex", beanie_get_or_create=("name",)))
    assert {type(one) for one in dogs} == {Dog}
    assert len({one.id for one in dogs}) == 1
    made_by = beanie_factory(Computing, name="Ada", beanie_get_or_create=("name",))
    assert {one.initial for one in await make(made_by) + await make(made_by)} == {"A"}


@both
async def test_fetched_ids(make: Any, database: Any) -> None:
    """Documents whose ids are UUIDs are found again when links are fetched."""
    made_by = beanie_factory(ByUUID, name="x", beanie_fetch_links=True)
    assert len({one.id for one in await make(made_by)}) == 3


@pytest.mark.unmeasured
@pytest.mark.parametrize(("count", "size"), [(90, 100_000), (2, 9_000_000)])
async def test_lookups_beyond_a_query(
    count: int, size: int, database: Any, things: Any, commands: mongo.Commands
) -> None:
    """Lookups that together are too long for one query are several queries."""
    text = factory.Sequence(lambda n: f"{n}" + "x" * size)
    for made_by in (
        beanie_factory(Plain, name=text, beanie_get_or_create=("name",)),
        mongo_factory(dict, name=text, mongo_get_or_create=("name",)),
    ):
        commands.sent.clear()
        first = await made_by.create_batch_async(count)
        finds = [one for one in commands.sent if one.startswith("find")]
        assert len(finds) == 2
        made_by.reset_sequence(0)
        again = await made_by.create_batch_async(count)
        assert [key_of(one) for one in again] == [key_of(one) for one in first]


async def test_undoing_with_long_ids(things: Any, commands: mongo.Commands) -> None:
    """What was stored before a document that was refused is deleted, however long the ids are."""

    class Late(MongoAdapter[Any]):
        async def find_many(self, model: Any, lookups: Any) -> Any:
            found = await super().find_many(model, lookups)
            await things.insert_one({"_id": "late", "n": len(lookups) - 1})
            return found

    await things.create_index("n", unique=True)
    made_by = factory_of(
        AsyncMongoFactory,
        dict,
        n=factory.Sequence(int),
        key=factory.Sequence(lambda n: f"{n}" + "x" * 1_000),
        rename={"key": "_id"},
    )
    adapter = Late(get_or_create=("n",))
    commands.sent.clear()
    late: Any = type(made_by)(
        "LateFactory", (made_by,), {"Meta": type("Meta", (), {"adapter": adapter})}
    )
    late.reset_sequence(0, force=True)
    made = await late.create_batch_async(5)
    assert [one["n"] for one in made] == [0, 1, 2, 3, 4]
    assert made[4]["_id"] == "late"
    assert commands.sent.count("delete things") == 1


# Without an ODM.


class OwnItems(dict[str, Any]):
    def items(self) -> Any:
        return {**self, "note": "by items"}.items()


class OwnDump(BaseModel):
    name: str
    note: str = ""

    def model_dump(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().model_dump(**kwargs), "note": "by model_dump"}


class OwnSerializer(BaseModel):
    name: str
    note: str = ""

    @field_serializer("note")
    def serialized(self, note: str) -> str:
        return "by serializer"


class ModelPostInit(BaseModel):
    name: str
    note: str = ""

    def model_post_init(self, context: Any, /) -> None:
        self.note = "by model_post_init"


@dataclass
class DataclassPostInit:
    name: str
    note: str = ""

    def __post_init__(self) -> None:
        self.note = "by __post_init__"


MODELS: dict[Any, str] = {
    OwnItems: "by items",
    OwnDump: "by model_dump",
    OwnSerializer: "by serializer",
    ModelPostInit: "by model_post_init",
    DataclassPostInit: "by __post_init__",
}


@pytest.mark.parametrize("model", MODELS, ids=lambda one: one.__name__)
async def test_what_a_model_overrides(model: Any, things: Any, commands: mongo.Commands) -> None:
    """A single call and a batch store the same, which a listener of commands sees as commands."""
    made_by = mongo_factory(model, name="x")
    await made_by.create_async()
    await made_by.create_batch_async(3)
    rows = [row async for row in things.find({}, {"_id": 0})]
    assert rows == [{"name": "x", "note": MODELS[model]}] * 4
    assert commands.sent[:2] == ["insert things"] * 2
    if model is not OwnItems:
        (first,) = [row["_id"] async for row in things.find().limit(1)]
        await things.delete_many({"_id": {"$ne": first}})
        found = await mongo_factory(model, name="x", mongo_get_or_create=("name",)).create_async()
        assert (type(found), found.note) == (model, MODELS[model])


@both
@pytest.mark.parametrize("name", ["id", "_id"])
async def test_get_or_create_by_the_id(name: str, make: Any, things: Any) -> None:
    """get_or_create by the field that is stored as _id, under the name that it has."""

    @dataclass
    class Row:
        id: int
        note: str = ""

    class Model(BaseModel):
        key: int = Field(alias="_id")

    model = Row if name == "id" else Model
    made = await make(mongo_factory(model, mongo_get_or_create=(name,)), **{name: 5})
    assert len(made) == 3
    assert [row["_id"] async for row in things.find()] == [5]


@dataclass
class Mail:
    address: str


@dataclass
class Phone:
    number: str
    country: str = "de"


@dataclass
class Contact:
    name: str
    how: Mail | Phone
    pair: tuple[Mail, Phone]
    mixed: tuple[int, Mail]
    several: dict[str, Mail]
    lists: list[list[Mail]]
    maybe: Optional[list[Phone | Mail]] = None  # noqa: UP045 (both spellings)
    anything: Any = None
    plain: int | list[int] = 0
    either: dict[str, Phone] | Mail | None = None
    id: ObjectId | None = None
    more: list[Any] = field(default_factory=list)


async def test_found_dataclasses(things: Any) -> None:
    """Dataclasses in unions, tuples, lists and dicts are found as they were stored."""
    mail, phone = Mail("a@b"), Phone("1")
    values: dict[str, Any] = {
        "how": phone,
        "pair": (mail, phone),
        "mixed": (1, mail),
        "several": {"home": mail},
        "lists": [[mail], []],
        "maybe": [mail, phone],
        "anything": {"x": [1]},
        "plain": [1],
        "either": {"home": phone},
        "more": [1, {"y": 2}],
    }
    declared = {name: factory.LazyFunction(lambda v=value: v) for name, value in values.items()}
    made_by = mongo_factory(Contact, name="x", **declared, mongo_get_or_create=("name",))
    made = await made_by.create_async()
    found = [await made_by.create_async(), *await made_by.create_batch_async(2)]
    assert found == [made] * 3
    other = await made_by.create_async(name="y", how=mail, either=mail, plain=3, maybe=None)
    assert await made_by.create_async(name="y") == other


@both
async def test_lookups_by_dataclasses(make: Any, things: Any) -> None:
    """get_or_create compares lists, tuples and dicts of dataclasses as they are stored."""
    names = ("lists", "several", "pair")
    made_by = mongo_factory(
        Contact,
        name="x",
        how=factory.LazyFunction(lambda: Mail("a")),
        pair=factory.LazyFunction(lambda: (Mail("a"), Phone("1"))),
        mixed=factory.LazyFunction(lambda: (1, Mail("a"))),
        several=factory.LazyFunction(lambda: {"home": Mail("a")}),
        lists=factory.LazyFunction(lambda: [[Mail("a")]]),
        mongo_get_or_create=names,
    )
    made = await make(made_by) + await make(made_by)
    assert len({each.id for each in made}) == 1


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str

    @computed_field(alias="first")  # type: ignore[prop-decorator]
    @property
    def initial(self) -> str:
        return self.name[:1]


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Any = Field(default=None, alias="_id")
    name: str
    part: Strict
    parts: list[Strict]
    named: dict[str, Strict]
    pair: tuple[int, Strict]
    either: Strict | list[Strict] | None
    other: dict[str, int] = {}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.parts)


async def test_computed_fields(things: Any) -> None:
    """What pydantic computes is stored, and left out where a model is made of what is found."""
    part = Strict(name="Ada")
    made_by = mongo_factory(
        Whole,
        name="x",
        part=part,
        parts=[part, part],
        named={"first": part},
        pair=(1, part),
        either=part,
        other={"first": 1},
        mongo_get_or_create=("name",),
    )
    made = await made_by.create_async()
    assert (await things.find_one())["part"] == {"name": "Ada", "first": "A"}
    assert [await made_by.create_async(), *await made_by.create_batch_async(2)] == [made] * 3
    again = await made_by.create_async(name="y", either=[part])
    assert await made_by.create_async(name="y") == again
