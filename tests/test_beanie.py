"""What is Beanie's own: links, inheritance, ids, events, and when a document is initialised."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import enum
import re
import uuid
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Optional

import beanie
import factory
import pytest
from beanie import (
    BackLink,
    Document,
    Indexed,
    Insert,
    Link,
    UnionDoc,
    ValidateOnSave,
    WriteRules,
    after_event,
    before_event,
    init_beanie,
)
from bson import Binary, DBRef
from pydantic import BaseModel, Field, ValidationError
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, OperationFailure

from async_factory_boy import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
    bind,
)
from async_factory_boy.adapters.beanie import BeanieAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from async_factory_boy.factory.mongo import AsyncMongoFactory
from tests.servers import Servers
from tests.stores import mongo
from tests.stores.beanie import DRIVER

ON_MOTOR = DRIVER is mongo.MotorDriver
OTHER_DRIVER = mongo.Driver if ON_MOTOR else mongo.MotorDriver
CLIENT = "motor.motor_asyncio.AsyncIOMotorClient" if ON_MOTOR else "pymongo.AsyncMongoClient"


class House(Document):
    name: Annotated[str, Indexed(unique=True)]
    people: list[BackLink[Person]] = Field(
        default_factory=list, json_schema_extra={"original_field": "house"}
    )
    cat: Optional[BackLink[Cat]] = Field(  # noqa: UP045 (Beanie 1)
        default=None, json_schema_extra={"original_field": "house"}
    )

    class Settings:
        use_cache = True


class Person(Document):
    name: str
    house: Link[House]
    boss: Optional[Link[Person]] = None  # noqa: UP045
    friends: list[Link[Person]] = []
    guests: Optional[list[Link[Person]]] = None  # noqa: UP045


class Cat(Document):
    name: str
    house: Link[House]


# The first init_beanie() does not see its links otherwise, as it names documents that came later.
House.model_rebuild()


class Colour(enum.Enum):
    RED = "red"


class Size(BaseModel):
    width: int
    depth: int = 1


class Parcel(Document):
    """A field of each sort that Beanie stores as something else."""

    label: str = Field(alias="on_the_label")
    colour: Colour = Colour.RED
    due: datetime.date = datetime.date(2024, 2, 29)
    size: Size = Size(width=2)


class Eventful(Document):
    name: str
    length: int = Field(default=0, le=5)
    log: list[str] = []

    @before_event(Insert)
    def lower(self) -> None:
        self.name = self.name.lower()
        self.log.append("before")

    @after_event(Insert)
    async def note(self) -> None:
        await asyncio.sleep(0)
        self.log.append(f"after {self.id is not None}")

    @before_event(ValidateOnSave)
    def measure(self) -> None:
        self.length = len(self.name)

    class Settings:
        validate_on_save = True
        use_state_management = True
        use_revision = True


class ChecksItself(Document):
    name: str
    log: list[str] = []

    async def validate_self(self, *args: Any, **kwargs: Any) -> None:
        self.log.append("validated")

    @before_event(Insert)
    async def act(self) -> None:
        self.log.append("acted")


class ActsOnValidation(Document):
    name: str
    log: list[str] = []

    @before_event(ValidateOnSave)
    def before_validation(self) -> None:
        self.log.append("validated")

    @before_event(Insert)
    async def act(self) -> None:
        self.log.append("acted")


class Vehicle(Document):
    name: str

    class Settings:
        is_root = True


class Car(Vehicle):
    doors: int = 4


class Shelf(UnionDoc):
    class Settings:
        name = "shelf"


class Book(Document):
    title: str

    class Settings:
        union_doc = Shelf


class Film(Document):
    title: str

    class Settings:
        union_doc = Shelf


class WithUUID(Document):
    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    name: str = "a"


class WithStr(Document):
    id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    name: str = "a"


class WithInt(Document):
    id: int
    name: str = "a"


class Stamped(Document):
    name: str

    async def insert(self, **kwargs: Any) -> Stamped:
        self.name = f"stamped {self.name}"
        return await super().insert(**kwargs)


class Cached(Document):
    name: str

    class Settings:
        use_cache = True


class Shift(Document):
    """Stored in a way of its own, and without what is None."""

    begins: datetime.time
    remark: Optional[str] = None  # noqa: UP045 (Beanie 1)

    class Settings:
        bson_encoders = {datetime.time: datetime.time.isoformat}
        keep_nulls = False


class Uninitialised(Document):
    name: str


class Part(BaseModel):
    holder: Optional[Uninitialised] = None  # noqa: UP045 (Beanie 1)
    held: Uninitialised


class Whole(Document):
    parts: list[Part] = []
    part: Part


class Strange(Document):
    name: str


DOCUMENTS = [House, Person, Cat, Parcel, Eventful, Vehicle, Car, Shelf, Book, Film, WithUUID]
DOCUMENTS += [Whole, WithStr, WithInt, Stamped, Cached, ChecksItself, ActsOnValidation, Shift]


class HouseFactory(AsyncBeanieDocumentFactory[House]):
    class Meta:
        model = House

    name = factory.Sequence(lambda n: f"house{n}")


class PersonFactory(AsyncBeanieDocumentFactory[Person]):
    class Meta:
        model = Person

    name = factory.Sequence(lambda n: f"person{n}")
    house = factory.SubFactory(HouseFactory)


class CatFactory(AsyncBeanieDocumentFactory[Cat]):
    class Meta:
        model = Cat

    name = "Felix"
    house = factory.SubFactory(HouseFactory)


class UninitialisedFactory(AsyncBeanieDocumentFactory[Uninitialised]):
    class Meta:
        model = Uninitialised

    name = "nobody"


@pytest.fixture
def commands() -> mongo.Commands:
    """The commands that have been sent to the database."""
    return mongo.Commands()


@pytest.fixture
async def database(servers: Servers, commands: mongo.Commands) -> AsyncGenerator[Any]:
    """The database that Beanie is initialised with."""
    async with DRIVER.database(servers.mongodb, commands) as database:
        await init_beanie(database=database, document_models=DOCUMENTS)
        for name in ("Person", "Cat"):  # House has an index, hence is there
            await database.create_collection(name)
        yield database


@pytest.fixture
async def other_database(servers: Servers) -> AsyncGenerator[Any]:
    """A database of the driver that this version of Beanie does not work with."""
    pytest.importorskip("motor", reason="install motor")
    async with OTHER_DRIVER.database(servers.mongodb) as database:
        yield database


# Links.


async def test_links(database: Any) -> None:
    """A link is stored as a reference; the object has the document that it was given."""
    house = await HouseFactory.create_async()
    boss = await PersonFactory.create_async(house=house)
    friends = await PersonFactory.create_batch_async(2, house=house)
    person = await PersonFactory.create_async(boss=boss, friends=friends, guests=friends)
    assert person.boss is boss
    assert isinstance(person.house, House)
    stored = await database["Person"].find_one({"_id": person.id})
    references = [DBRef("Person", friend.id) for friend in friends]
    assert stored == {
        "_id": person.id,
        "name": person.name,
        "house": DBRef("House", person.house.id),
        "boss": DBRef("Person", boss.id),
        "friends": references,
        "guests": references,
    }


async def test_links_that_are_no_documents(database: Any) -> None:
    """A link may be given as a Link, a reference or a key, as to the document's constructor."""
    house = await HouseFactory.create_async()
    links = [House.link_from_id(house.id), house.to_ref(), house.id]
    for link in links:
        await PersonFactory.create_async(house=link)
    assert await Person.find(Person.house.id == house.id).count() == len(links)


@pytest.mark.parametrize("fetch", [True, ["house", "friends"]])
async def test_fetch_links(fetch: Any, database: Any) -> None:
    """beanie_fetch_links has the links of what a call returns fetched, all or some, in order."""

    class Fetching(PersonFactory):
        class Meta:
            beanie_fetch_links = fetch

    first, boss = await PersonFactory.create_batch_async(2)
    house, link = boss.house, Person.link_from_id(boss.id)
    person = await Fetching.create_async(house=house, boss=link, friends=[link, boss, first])
    assert person.house is house
    names = [friend.name for friend in person.friends]
    assert names == [boss.name, boss.name, first.name]
    assert person.friends[1:] == [boss, first]
    assert (person.boss is link) == (fetch is not True)
    (other,) = await Fetching.create_batch_async(1, house=House.link_from_id(house.id))
    assert other.house.name == house.name
    assert other.boss is None


async def test_fetch_back_links(database: Any) -> None:
    """A BackLink is fetched once the call is over, so that it has what the hooks have created."""

    class Inhabited(HouseFactory):
        class Meta:
            beanie_fetch_links = True

        people = factory.RelatedFactoryList(PersonFactory, "house", size=2)

        @factory.post_generation
        async def cats(house: House, create: bool, extracted: Any, **kwargs: Any) -> None:
            await CatFactory.create_async(house=house)

    class Visited(Inhabited):
        @factory.post_generation
        async def visit(house: House, create: bool, extracted: Any, **kwargs: Any) -> None:
            again = await Inhabited.create_async(name="again", cats=None)
            assert len(again.people) == 2
            await PersonFactory.create_async(name="guest", house=house)

    house = await Visited.create_async()
    assert len(house.people) == 3
    assert all(isinstance(person, Person) for person in house.people)
    assert isinstance(house.cat, Cat)


async def test_fetch_links_does_not_ask_the_cache(database: Any) -> None:
    """Links are fetched anew, although Beanie's cache knows the query."""

    class Known(HouseFactory):
        class Meta:
            beanie_get_or_create = ("name",)
            beanie_fetch_links = ("people",)

    house = await Known.create_async(name="known")
    person = await PersonFactory.create_async(house=house)
    (found,) = (await Known.create_async(name="known")).people
    assert found.id == person.id


async def test_fetch_links_in_a_transaction(database: Any) -> None:
    """Links are fetched in the session, where what the call has stored can be seen."""

    class Fetching(PersonFactory):
        class Meta:
            beanie_fetch_links = ("boss",)

    async with DRIVER.session(database) as session:
        await DRIVER.begin(session)
        with bind(beanie_session=session):
            boss = await PersonFactory.create_async()
            person = await Fetching.create_async(boss=boss.to_ref())
        await session.abort_transaction()
    assert person.boss.name == boss.name
    assert await Person.find().count() == 0


async def test_fetch_links_of_a_deleted_document(database: Any) -> None:
    """A document that a hook has deleted is returned as it is."""

    class Fleeting(PersonFactory):
        class Meta:
            beanie_fetch_links = True

        @factory.post_generation
        async def delete(person: Person, create: bool, extracted: Any, **kwargs: Any) -> None:
            await person.delete()

    house = (await PersonFactory.create_async()).house
    link = House.link_from_id(house.id)
    assert (await Fleeting.create_async(house=link)).house is link


async def test_link_rule(database: Any) -> None:
    """WriteRules.WRITE has documents stored that are linked to and not stored yet."""

    class Writing(PersonFactory):
        class Meta:
            beanie_link_rule = WriteRules.WRITE

    person = await Writing.create_async(house=HouseFactory.build(name="built"))
    built = await House.find_one({"name": "built"})
    assert built is not None
    assert built.id == person.house.id
    with pytest.raises(beanie.exceptions.DocumentWasNotSaved):
        await PersonFactory.create_async(house=HouseFactory.build())


# As under document.insert().


async def test_as_under_insert(database: Any) -> None:
    """Events, validation, state and revision are those of a document that is inserted by hand."""

    class EventfulFactory(AsyncBeanieDocumentFactory[Eventful]):
        class Meta:
            model = Eventful

        name = "ADA"

    by_hand = await Eventful(name="ADA").insert()
    made = await EventfulFactory.create_async()
    ignored = {"id", "revision_id"}
    assert made.model_dump(exclude=ignored) == by_hand.model_dump(exclude=ignored)
    assert made.log == ["before", "after True"]
    assert (made.name, made.length) == ("ada", 3)
    assert isinstance(made.revision_id, uuid.UUID)
    states = [document.get_saved_state() or {} for document in (made, by_hand)]
    made_state, expected = ({**state, "_id": None, "revision_id": None} for state in states)
    assert made_state == expected
    assert expected["name"] == "ada"
    documents = [document async for document in database["Eventful"].find().sort("_id")]
    assert documents[1].keys() == documents[0].keys()
    assert documents[1]["length"] == 3

    with pytest.raises(ValidationError, match="less than or equal to 5"):
        await EventfulFactory.create_async(name="ada lovelace")
    assert await Eventful.find().count() == 2


async def test_batch_as_under_insert(database: Any, commands: mongo.Commands) -> None:
    """Events, validation, state and revision of a batch are those of a loop of insert()."""

    class EventfulFactory(AsyncBeanieDocumentFactory[Eventful]):
        class Meta:
            model = Eventful

        name = factory.Iterator(["ADA", "Bob", "eve", "MIA"])

    by_hand = [await Eventful(name=name).insert() for name in ("ADA", "Bob", "eve", "MIA")]
    commands.sent.clear()
    made = await EventfulFactory.create_batch_async(4)
    assert commands.sent == ["insert Eventful"]
    ignored = {"id", "revision_id"}
    dumped = [[one.model_dump(exclude=ignored) for one in some] for some in (made, by_hand)]
    assert dumped[0] == dumped[1]
    assert [one.log for one in made] == [["before", "after True"]] * 4
    assert len({one.revision_id for one in made}) == 4
    assert all(type(one.id) is type(by_hand[0].id) for one in made)
    rows = [row async for row in database["Eventful"].find().sort("_id")]
    assert [row["_id"] for row in rows[4:]] == [one.id for one in made]
    assert [row.get("revision_id") for row in rows[4:]] == [
        row.get("revision_id") and Binary.from_uuid(one.revision_id)
        for row, one in zip(rows[:4], made, strict=True)
    ]
    for row in rows:
        row.update(_id=None, revision_id=None)
    assert rows[4:] == rows[:4]
    states = [[one.get_saved_state() or {} for one in some] for some in (made, by_hand)]
    assert [state.pop("_id") for state in states[0]] == [one.id for one in made]
    for some in states:
        for state in some:
            state.pop("_id", None)
            state.pop("revision_id", None)
    assert states[0] == states[1]
    assert [one.is_changed for one in made] == [one.is_changed for one in by_hand]

    names = factory.Iterator(["ada", "ada lovelace"])
    with pytest.raises(ValidationError, match="less than or equal to 5"):
        await EventfulFactory.create_batch_async(2, name=names)
    assert await Eventful.find().count() == 8


@pytest.mark.parametrize("document", [ChecksItself, ActsOnValidation])
async def test_validation_and_actions_take_turns_as_under_insert(
    document: Any, database: Any
) -> None:
    """What of validation and actions comes first depends on Beanie, and is the same in a batch."""

    class Factory(AsyncBeanieDocumentFactory[Any]):
        class Meta:
            model = document

        name = "ada"

    by_hand = await document(name="ada").insert()
    made = await Factory.create_batch_async(2)
    assert [one.log for one in made] == [by_hand.log] * 2
    assert len(by_hand.log) == 2


async def test_overridden_insert_in_a_batch(database: Any, commands: mongo.Commands) -> None:
    """An insert() of the document's own is called for each document of a batch."""

    class StampedFactory(AsyncBeanieDocumentFactory[Stamped]):
        class Meta:
            model = Stamped

        name = factory.Sequence(str)

    StampedFactory.reset_sequence(0)
    commands.sent.clear()
    made = await StampedFactory.create_batch_async(3)
    assert commands.sent == ["insert Stamped"] * 3
    assert [one.name for one in made] == ["stamped 0", "stamped 1", "stamped 2"]
    stored = [document["name"] async for document in database["Stamped"].find().sort("_id")]
    assert stored == ["stamped 0", "stamped 1", "stamped 2"]


async def test_refused_one_by_one(database: Any) -> None:
    """Where documents go one by one, too, save_new stores all of them or none."""
    await database["Stamped"].create_index("name", unique=True)
    await Stamped(name="c").insert()
    adapter = BeanieAdapter[Stamped](get_or_create=("name",))

    async def build() -> list[Stamped]:
        return [Stamped(name=name) for name in "abcd"]

    with pytest.raises(DuplicateKeyError, match="stamped c"):
        await adapter.save_new(build)
    assert [document["name"] async for document in database["Stamped"].find()] == ["stamped c"]


async def test_links_in_a_batch(database: Any, commands: mongo.Commands) -> None:
    """The documents of a batch are stored with their references, and keep what they were given."""
    friends = await PersonFactory.create_batch_async(2)
    commands.sent.clear()
    people = await PersonFactory.create_batch_async(3, boss=friends[0], friends=friends)
    assert commands.sent == ["insert House", "insert Person"]
    assert all(person.boss is friends[0] and person.friends == friends for person in people)
    references = [DBRef("Person", friend.id) for friend in friends]
    for person in people:
        assert await database["Person"].find_one({"_id": person.id}) == {
            "_id": person.id,
            "name": person.name,
            "house": DBRef("House", person.house.id),
            "boss": references[0],
            "friends": references,
            "guests": None,
        }
    with pytest.raises(beanie.exceptions.DocumentWasNotSaved):
        await PersonFactory.create_batch_async(2, house=HouseFactory.build())


async def test_link_rule_in_a_batch(database: Any) -> None:
    """WriteRules.WRITE has what each document of a batch links to stored, if it is not yet."""

    class Writing(PersonFactory):
        class Meta:
            beanie_link_rule = WriteRules.WRITE

    built = HouseFactory.build_batch(3)
    people = await Writing.create_batch_async(3, house=factory.Iterator(built))
    stored = {house.id: house.name for house in await House.find().to_list()}
    assert stored == {house.id: house.name for house in built}
    assert [person.house.id for person in people] == [house.id for house in built]

    class WritingHouse(HouseFactory):
        class Meta:
            beanie_link_rule = WriteRules.WRITE

    await WritingHouse.create_batch_async(2)
    assert await House.find().count() == 5


@pytest.mark.parametrize(
    ("document", "kind"), [(WithUUID, uuid.UUID), (WithStr, str), (WithInt, int)]
)
async def test_ids_in_a_batch(document: Any, kind: type, database: Any) -> None:
    """Ids of another type are kept in a batch, and found by one."""

    class WithIdFactory(AsyncBeanieDocumentFactory[Any]):
        class Meta:
            model = document
            beanie_get_or_create = ("id",)

        id = factory.LazyFunction(uuid.uuid4) if kind is uuid.UUID else factory.Sequence(kind)

    made = await WithIdFactory.create_batch_async(3)
    assert all(type(one.id) is kind for one in made)
    ids = [one.id for one in made]
    again = await WithIdFactory.create_batch_async(3, id=factory.Iterator(ids), name="b")
    assert again == made
    assert [one.id for one in await document.find().sort("_id").to_list()] == sorted(ids)


async def test_inheritance_in_a_batch(database: Any) -> None:
    """The documents of a batch are stored with their class, and found by it."""

    class VehicleFactory(AsyncBeanieDocumentFactory[Any]):
        class Meta:
            model = Vehicle
            beanie_get_or_create = ("name",)

        name = factory.Sequence(lambda n: f"vehicle{n}")

    class CarFactory(VehicleFactory):
        class Meta:
            model = Car

    class FilmFactory(AsyncBeanieDocumentFactory[Any]):
        class Meta:
            model = Film
            beanie_get_or_create = ("title",)

        title = factory.Sequence(lambda n: f"title{n}")

    names = [f"vehicle{n}" for n in range(3)]
    cars = await CarFactory.create_batch_async(3, name=factory.Iterator(names))
    vehicles = await VehicleFactory.create_batch_async(3, name=factory.Iterator(names))
    assert {type(one) for one in cars} == {Car}
    assert {type(one) for one in vehicles} == {Vehicle}
    again = await CarFactory.create_batch_async(3, name=factory.Iterator(names))
    assert again == cars
    everything = await Vehicle.find(with_children=True).to_list()
    assert everything == [*cars, *vehicles]

    book = await Book(title="title0").insert()
    films = await FilmFactory.create_batch_async(2, title=factory.Iterator(["title0", "title1"]))
    assert await Shelf.all().to_list() == [book, *films]
    again = await FilmFactory.create_batch_async(2, title=factory.Iterator(["title0", "title1"]))
    assert again == films


async def test_overridden_insert(database: Any) -> None:
    """An insert() of the document's own is what is called."""

    class StampedFactory(AsyncBeanieDocumentFactory[Stamped]):
        class Meta:
            model = Stamped

        name = "a"

    await StampedFactory.create_async()
    assert [document["name"] async for document in database["Stamped"].find()] == ["stamped a"]


@pytest.mark.parametrize(
    ("document", "kind"), [(WithUUID, uuid.UUID), (WithStr, str), (WithInt, int)]
)
async def test_ids(document: Any, kind: type, database: Any) -> None:
    """An id may be of another type; get_or_create finds it."""

    class WithIdFactory(AsyncBeanieDocumentFactory[Any]):
        class Meta:
            model = document
            beanie_get_or_create = ("id",)
            beanie_fetch_links = True

        id = factory.LazyFunction(uuid.uuid4) if kind is uuid.UUID else factory.Sequence(kind)

    made = await WithIdFactory.create_async()
    assert isinstance(made.id, kind)
    again = await WithIdFactory.create_async(id=made.id, name="b")
    assert again == made
    assert await document.find().count() == 1


async def test_inheritance(database: Any) -> None:
    """A document of a subclass is stored with its class, and not found as one of the base."""

    class VehicleFactory(AsyncBeanieDocumentFactory[Any]):
        class Meta:
            model = Vehicle
            beanie_get_or_create = ("name",)

        name = "Herbie"

    class CarFactory(VehicleFactory):
        class Meta:
            model = Car

    car = await CarFactory.create_async(doors=2)
    assert (await CarFactory.create_async()).doors == 2
    vehicle = await VehicleFactory.create_async()
    assert type(vehicle) is Vehicle
    assert await Vehicle.find(with_children=True).to_list() == [car, vehicle]


async def test_union_document(database: Any) -> None:
    """Documents of a union share its collection, and are told apart."""

    class BookFactory(AsyncBeanieDocumentFactory[Any]):
        class Meta:
            model = Book
            beanie_get_or_create = ("title",)

        title = "Solaris"

    class FilmFactory(BookFactory):
        class Meta:
            model = Film

    book, film = await BookFactory.create_async(), await FilmFactory.create_async()
    assert (await FilmFactory.create_async()).id == film.id
    assert await Shelf.all().to_list() == [book, film]


# get_or_create.


@pytest.mark.parametrize("given", ["document", "link", "reference", "key", "text"])
async def test_get_or_create_by_a_link(given: str, database: Any) -> None:
    """A document is found by what it links to, in whichever form that is given."""

    class OnePerHouse(PersonFactory):
        class Meta:
            beanie_get_or_create = ("house", "boss")

        boss = None

    house = await HouseFactory.create_async()
    first = await OnePerHouse.create_async(house=house)
    forms = {
        "document": house,
        "link": House.link_from_id(house.id),
        "reference": house.to_ref(),
        "key": house.id,
        "text": str(house.id),
    }
    assert (await OnePerHouse.create_async(house=forms[given])).id == first.id
    assert (await OnePerHouse.create_async(house=house, boss=first)).id != first.id
    assert (await OnePerHouse.create_async()).id != first.id
    assert await Person.find().count() == 3


async def test_get_or_create_by_links_in_a_batch(database: Any, commands: mongo.Commands) -> None:
    """The documents of a batch are found by what they link to, in one find."""

    class OnePerHouse(PersonFactory):
        class Meta:
            beanie_get_or_create = ("house",)

    houses = await HouseFactory.create_batch_async(3)
    first = await OnePerHouse.create_async(house=houses[0])
    commands.sent.clear()
    forms = factory.Iterator([houses[1], houses[0].to_ref(), houses[2].id])
    people = await OnePerHouse.create_batch_async(3, house=forms)
    assert commands.sent == ["find Person", "insert Person"]
    assert people[1].id == first.id
    assert await Person.find().count() == 3


async def test_get_or_create_by_what_is_encoded_in_a_batch(
    database: Any, commands: mongo.Commands
) -> None:
    """The documents of a batch are looked up by the names and values that are stored."""

    class ParcelFactory(AsyncBeanieDocumentFactory[Parcel]):
        class Meta:
            model = Parcel
            beanie_get_or_create = ("label", "colour", "due", "size")

        label = "fragile"
        colour = Colour.RED
        due = datetime.date(2024, 2, 29)
        size = factory.Iterator([Size(width=2), Size(width=3)])

    first = await ParcelFactory.create_async(size=Size(width=3))
    commands.sent.clear()
    parcels = await ParcelFactory.create_batch_async(6)
    assert commands.sent == ["find Parcel", "insert Parcel"]
    assert [parcel.id == first.id for parcel in parcels] == [False, True] * 3
    assert await Parcel.find().count() == 2


async def test_settings_in_a_batch(database: Any, commands: mongo.Commands) -> None:
    """The document's own encoders are used to store and to find; and keep_nulls = False holds."""

    class ShiftFactory(AsyncBeanieDocumentFactory[Shift]):
        class Meta:
            model = Shift
            beanie_get_or_create = ("begins",)

    times = [datetime.time(hour) for hour in (6, 14, 22)]
    first = await Shift(begins=times[0]).insert()
    commands.sent.clear()
    shifts = await ShiftFactory.create_batch_async(3, begins=factory.Iterator(times))
    assert commands.sent == ["find Shift", "insert Shift"]
    assert (shifts[0].id, [shift.begins for shift in shifts]) == (first.id, times)
    assert [document async for document in database["Shift"].find()] == [
        {"_id": shift.id, "begins": shift.begins.isoformat()} for shift in shifts
    ]
    assert (await ShiftFactory.create_async(begins=times[2])).id == shifts[2].id


async def test_get_or_create_by_a_list_of_links(database: Any) -> None:
    """A document is found by the list of what it links to."""

    class ByFriends(PersonFactory):
        class Meta:
            beanie_get_or_create = ("friends",)

    friends = await PersonFactory.create_batch_async(2)
    first = await ByFriends.create_async(friends=friends)
    assert (await ByFriends.create_async(friends=friends)).id == first.id
    assert (await ByFriends.create_async(friends=friends[:1])).id != first.id


async def test_get_or_create_by_what_is_encoded(database: Any) -> None:
    """A field is looked up by the name and the value that it is stored as."""

    class ParcelFactory(AsyncBeanieDocumentFactory[Parcel]):
        class Meta:
            model = Parcel
            beanie_get_or_create = ("label", "colour", "due", "size")

        label = "fragile"
        colour = Colour.RED
        due = datetime.date(2024, 2, 29)
        size = Size(width=2)

    first = await ParcelFactory.create_async()
    assert (await ParcelFactory.create_async()).id == first.id
    assert (await ParcelFactory.create_async(size=Size(width=3))).id != first.id
    stored = await database["Parcel"].find_one({"_id": first.id})
    assert stored["on_the_label"] == "fragile"


async def test_get_or_create_does_not_ask_the_cache(database: Any) -> None:
    """What Beanie's cache holds may be gone from the database."""

    class CachedFactory(AsyncBeanieDocumentFactory[Cached]):
        class Meta:
            model = Cached
            beanie_get_or_create = ("name",)

        name = "kept"

    first = await CachedFactory.create_async()
    assert await CachedFactory.create_async() == first
    await database["Cached"].delete_one({"_id": first.id})
    assert (await CachedFactory.create_async()).id != first.id
    assert await database["Cached"].count_documents({}) == 1


# Transactions.


async def test_aborted_transaction(database: Any) -> None:
    """Nothing is left of what was stored in a transaction that is aborted."""

    class WithPeople(HouseFactory):
        people = factory.RelatedFactoryList(PersonFactory, "house", size=2)

    async with DRIVER.session(database) as session:
        await DRIVER.begin(session)
        await WithPeople.create_async(beanie_session=session)
        assert await Person.find(session=session).count() == 2
        assert await Person.find().count() == 0
        await session.abort_transaction()
        assert await Person.find().count() == await House.find().count() == 0


async def test_refused_in_a_transaction(database: Any) -> None:
    """The driver's error is raised; there are no savepoints, so MongoDB aborts the transaction."""
    await HouseFactory.create_async(name="taken")
    async with DRIVER.session(database) as session:
        await DRIVER.begin(session)
        await HouseFactory.create_async(name="before", beanie_session=session)
        with pytest.raises(DuplicateKeyError):
            await HouseFactory.create_async(name="taken", beanie_session=session)
        with pytest.raises(OperationFailure, match="has been aborted"):
            await HouseFactory.create_async(name="after", beanie_session=session)
        await session.abort_transaction()
    assert [house.name for house in await House.find().to_list()] == ["taken"]


async def test_one_session_for_two_adapters(database: Any) -> None:
    """Documents of Beanie and of plain collections, made at once, take turns with one session."""

    class TagFactory(AsyncMongoFactory[dict[str, Any]]):
        class Meta:
            model = dict
            mongo_collection = lambda: database["Cat"]  # noqa: E731

    async with DRIVER.session(database) as session:
        await DRIVER.begin(session)
        with bind(beanie_session=session, mongo_session=session):
            beanie_adapter: Any = HouseFactory._meta.adapter_for_storing()
            mongo_adapter: Any = TagFactory._meta.adapter_for_storing()
            assert beanie_adapter.connection_key(House) == mongo_adapter.connection_key(dict)
            await asyncio.gather(
                *(HouseFactory.create_async() for _ in range(10)),
                *(TagFactory.create_async() for _ in range(10)),
            )
        await session.commit_transaction()
    assert await House.find().count() == await database["Cat"].count_documents({}) == 10


# Meta.adapter.


@pytest.mark.parametrize(
    "chosen", [BeanieAdapter, "beanie", BeanieAdapter[Any](get_or_create=["name"])]
)
async def test_meta_adapter(chosen: Any, database: Any) -> None:
    """Meta.adapter takes the adapter's class, its name, and an instance that is configured."""

    class Plain(AsyncFactory[House]):
        class Meta:
            model = House
            adapter = chosen

        name = "plain"

    house = await Plain.create_async()
    assert [found.id for found in await House.find().to_list()] == [house.id]


async def test_inferred_adapter(database: Any) -> None:
    """C7: a plain AsyncFactory of a document works, and points at the dedicated class."""

    class Plain(AsyncFactory[House]):
        class Meta:
            model = House

        name = "plain"

    with pytest.warns(
        DeprecationWarning,
        match=r"BeanieAdapter is inferred .*factory\.beanie\.AsyncBeanieDocumentFactory",
    ):
        await Plain.create_async()
    assert await House.find().count() == 1


# Bad input.


NOT_INITIALISED = (
    "^Uninitialised is not initialised, so Beanie can neither store nor even construct it. .* "
    rf"write await init_beanie\(database={CLIENT}\(url\)\[\"shop\"\], "
    r"document_models=\[Uninitialised\]\)"
)


async def test_not_initialised() -> None:
    """A document that init_beanie() was not called with can neither be created nor built."""
    with pytest.raises(MissingOptionError, match=f"{NOT_INITIALISED}.*UninitialisedFactory"):
        await UninitialisedFactory.create_async()
    with pytest.raises(MissingOptionError, match=NOT_INITIALISED):
        await UninitialisedFactory.build_async()
    with pytest.raises(MissingOptionError, match=NOT_INITIALISED):
        UninitialisedFactory.build()


async def test_not_initialised_within(database: Any) -> None:
    """Nor can one that requires such a document within itself: before anything is made."""

    class WholeFactory(AsyncBeanieDocumentFactory[Whole]):
        class Meta:
            model = Whole

        part = factory.LazyFunction(lambda: pytest.fail("made"))

    with pytest.raises(MissingOptionError, match=f"{NOT_INITIALISED}.*WholeFactory"):
        await WholeFactory.create_async()


async def test_not_initialised_elsewhere(database: Any) -> None:
    """When it is another document that is not initialised, Beanie's own error is raised."""

    def construct(**kwargs: Any) -> Any:
        return Uninitialised(name="of the user's own")

    class Indirect(HouseFactory):
        @classmethod
        def _build(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
            construct.get_settings = model_class.get_settings
            return super()._build(construct, *args, **kwargs)

    with pytest.raises(beanie.exceptions.CollectionWasNotInitialized):
        Indirect.build()


async def test_database_of_the_other_driver(other_database: Any) -> None:
    """init_beanie(), which is not ours, fails or does not; ours says which client to use."""
    late = contextlib.nullcontext()
    # https://github.com/BeanieODM/beanie/pull/1325
    early = pytest.raises(TypeError, match="MotorDatabase object is not callable")
    is_early = not ON_MOTOR and not beanie.__version__.startswith("2.0.")
    with early if is_early else late:
        await init_beanie(database=other_database, document_models=[Strange])

    class StrangeFactory(AsyncBeanieDocumentFactory[Strange]):
        class Meta:
            model = Strange

        name = "strange"

    expected = (
        rf"\(A failed init_beanie\(\) counts for nothing; Beanie \S+ takes a database of {CLIENT} "
        if is_early
        else "^Strange was initialised with a database of"
    )
    with pytest.raises(MissingOptionError if is_early else AdapterError, match=expected):
        await StrangeFactory.create_async()


async def test_collection_of_the_other_driver(database: Any, other_database: Any) -> None:
    """A collection of a driver that Beanie does not work with is found before it is used."""
    Cat.set_collection(other_database["cats"])
    other = "PyMongo" if ON_MOTOR else "Motor"
    with pytest.raises(
        AdapterError,
        match=f"^Cat was initialised with a database of {other}, which Beanie "
        rf"\S+ does not work with. Write await init_beanie\(database={CLIENT}\(url\)",
    ):
        await CatFactory.create_async()


async def test_not_a_session(database: Any, other_database: Any, servers: Servers) -> None:
    """Anything but an open session of Beanie's own client is refused, before it is used."""
    taken = "Motor" if ON_MOTOR else "PyMongo's AsyncMongoClient"
    start = "async with await client" if ON_MOTOR else r"async with client\.start_session\(\)"
    with MongoClient[dict[str, Any]](servers.mongodb) as sync, sync.start_session() as session:
        for value, called in [
            (session, "one of the synchronous MongoClient"),
            (database.client, "an object of type A"),
            ("session", "an object of type str"),
        ]:
            with pytest.raises(
                OptionError,
                match=f"^beanie_session takes a client session of {taken}; got {called}.*: {start}",
            ):
                await HouseFactory.create_async(beanie_session=value)
    async with OTHER_DRIVER.session(other_database) as session:
        with pytest.raises(OptionError, match=rf"got one of (PyMongo|Motor)\. .*: {start}"):
            await HouseFactory.create_async(beanie_session=session)
    async with DRIVER.session(database) as ended:
        pass
    with pytest.raises(OptionError, match=r"^beanie_session is a client session that has ended"):
        await HouseFactory.create_async(beanie_session=ended)


def test_client_of_another_event_loop(servers: Servers) -> None:
    """A document whose client another loop has used is refused."""
    opened = DRIVER.database(servers.mongodb)
    loop = asyncio.new_event_loop()
    database = loop.run_until_complete(opened.__aenter__())
    loop.run_until_complete(init_beanie(database=database, document_models=[House]))
    try:
        with pytest.raises(
            OptionError,
            match=r"^The client of the document House was first used in another event loop.*Make "
            r"the client in a fixture",
        ):
            asyncio.run(HouseFactory.create_async())
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.close()


async def test_not_a_document() -> None:
    """A model that is not a document is refused, a UnionDoc among them."""
    for model_class in (Size, Shelf):

        class Wrong(AsyncBeanieDocumentFactory[Any]):
            class Meta:
                model = model_class

        with pytest.raises(
            AdapterError,
            match=f"^{model_class.__name__} is not a Beanie document, .* derives from "
            "beanie.Document",
        ):
            await Wrong.create_async()


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        (
            "beanie_link_rule",
            "ALL",
            r"has to be beanie\.WriteRules\.WRITE or beanie\.WriteRules\.DO_NOTHING; got 'ALL'",
        ),
        ("beanie_fetch_links", "boss", r"takes a sequence of field names; write \('boss',\)"),
        ("beanie_get_or_create", 1, "takes a sequence of field names"),
    ],
)
def test_wrong_options(option: str, value: object, problem: str) -> None:
    """An option of the wrong kind is refused when the class is made."""
    with pytest.raises(ConfigurationError, match=rf"^Wrong\.Meta\.{option} {problem}"):
        type("Wrong", (PersonFactory,), {"Meta": type("Meta", (), {option: value})})


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        (
            "beanie_fetch_links",
            "which is not a link of Person. Did you mean 'boss'? It has: boss, friends, guests",
        ),
        (
            "beanie_get_or_create",
            "which is not a field of Person. Did you mean 'boss'? It has: boss, friends",
        ),
    ],
)
async def test_options_that_name_no_field(option: str, problem: str, database: Any) -> None:
    """An option that names what the document has not is refused before anything is evaluated."""
    attrs = {"Meta": type("Meta", (), {option: ("bos",)}), "bos": 1}
    misspelt: Any = type(PersonFactory)("Misspelt", (PersonFactory,), attrs)
    text = f"{option.removeprefix('beanie_')} names 'bos', {problem}"
    with pytest.raises(ConfigurationError, match=re.escape(text)):
        await misspelt.create_async()
    assert await House.find().count() == 0
