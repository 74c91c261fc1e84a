"""What is particular to encode/databases; what it has in common is in test_conformance.py."""

from __future__ import annotations

import asyncio
import copy
import datetime
import decimal
import enum
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import factory
import pytest
from databases import Database, DatabaseURL
from sqlalchemy import (
    CHAR,
    JSON,
    Column,
    Computed,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    create_engine,
    func,
    inspect,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    mapped_column,
    relationship,
)
from sqlmodel import Field, SQLModel

from async_factory_boy import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    MultipleFoundError,
    OptionError,
    bind,
)
from async_factory_boy.adapters.databases import DatabasesAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.databases import AsyncDatabasesFactory, TableRow
from tests.servers import Servers
from tests.stores import databases as stores
from tests.stores.base import named_params


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


metadata = MetaData()


def _from_context(context: Any) -> str:
    return f"about {context.get_current_parameters()['name']}"


articles = Table(
    "article",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(50)),
    Column("number", Integer, default=7, onupdate=8),
    Column("token", Uuid, default=uuid.uuid4),
    Column("subject", String(50), default=_from_context),
    Column("lowered", String(50), default=func.lower("LOW")),
    Column("rank", Integer, server_default="42"),
    Column("doubled", Integer, Computed("number * 2", persisted=True)),
    Column("remark", String(50)),
)

typed = Table(
    "typed",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("full_name", String(50), key="name"),
    Column("colour", Enum(Colour, native_enum=False), server_default="RED"),
    Column("data", JSON),
    Column("price", Numeric(10, 2), server_default="1.50"),
    Column("at", DateTime, server_default="2020-01-02 03:04:05"),
)

places = Table(
    "place",
    metadata,
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("seat", String(5), primary_key=True),
    Column("taken", Integer, server_default="0", nullable=False),
)

tickets = Table(
    "ticket",
    metadata,
    Column("code", String(36), primary_key=True, default=lambda: str(uuid.uuid4())),
    Column("row", Integer),
    Column("seat", String(5)),
    ForeignKeyConstraint(["row", "seat"], [places.c.row, places.c.seat]),
)

countdown = Table(
    "countdown",
    metadata,
    Column("id", Integer, Identity(start=-1, increment=-1), primary_key=True),
    Column("name", String(5)),
)

padded = Table(
    "padded",
    metadata,
    Column("code", CHAR(5), primary_key=True),
    Column("rank", Integer, server_default="42"),
)

wide = Table(
    "wide",
    metadata,
    Column("id", Integer, primary_key=True),
    *(Column(f"c{n}", Integer) for n in range(99)),
)

by_expression = Table(
    "by_expression",
    metadata,
    Column("code", String(20), primary_key=True, default=func.lower("K1")),
    Column("name", String(50)),
)

by_server = Table(
    "by_server",
    metadata,
    Column("code", String(20), primary_key=True, server_default="S1"),
    Column("name", String(50)),
)

keyless = Table(
    "keyless",
    metadata,
    Column("name", String(50)),
    Column("rank", Integer, server_default="42"),
)


class ArticleFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = articles

    name = factory.Sequence(lambda n: f"article{n}")


class TypedFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = typed

    name = "typed"


class PlaceFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = places

    row = 3
    seat = factory.Sequence(lambda n: f"s{n}")


class TicketFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = tickets
        exclude = ("place",)

    place = factory.SubFactory(PlaceFactory)
    row = factory.SelfAttribute("place.row")
    seat = factory.SelfAttribute("place.seat")


class Base(DeclarativeBase):
    metadata = metadata


class Publisher(Base):
    __tablename__ = "publisher"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    shouted: Mapped[str] = column_property(func.upper(name.column))
    country: Mapped[str | None] = mapped_column(String(2), default="NL")
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    rank: Mapped[int | None] = mapped_column(server_default="42")
    books: Mapped[list[Book]] = relationship(back_populates="publisher")


class Label(Base):
    __tablename__ = "label"

    code: Mapped[str] = mapped_column(CHAR(5), primary_key=True)
    shouted: Mapped[str] = column_property(func.upper(code.column))
    rank: Mapped[int | None] = mapped_column(server_default="42")


class Book(Base):
    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column("the_title", String(50))
    kind: Mapped[str] = mapped_column(String(20))
    publisher_id: Mapped[int | None] = mapped_column(ForeignKey(Publisher.id))
    publisher: Mapped[Publisher | None] = relationship(back_populates="books")

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "book"}


class Atlas(Book):
    __tablename__ = "atlas"

    book_id: Mapped[int] = mapped_column(ForeignKey(Book.id), primary_key=True)
    maps: Mapped[int | None] = mapped_column(server_default="12")

    __mapper_args__ = {"polymorphic_identity": "atlas"}


class Globe(Book):
    __tablename__ = "globe"

    id: Mapped[int] = mapped_column(ForeignKey(Book.id), primary_key=True)
    radius: Mapped[int]

    __mapper_args__ = {"polymorphic_identity": "globe"}


class Comic(Book):
    __mapper_args__ = {"polymorphic_identity": "comic"}


class Summary(Base):
    __table__ = articles
    __mapper_args__ = {"include_properties": ["id", "name", "rank"]}


class Stamp(MappedAsDataclass, Base):
    __tablename__ = "stamp"

    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    value: Mapped[int] = mapped_column(default=5)


class Coin(SQLModel, table=True):
    metadata = metadata

    id: int | None = Field(default=None, primary_key=True)
    name: str


class PublisherFactory(AsyncDatabasesFactory[Publisher]):
    class Meta:
        model = Publisher

    name = factory.Sequence(lambda n: f"publisher{n}")


class WideFactory(AsyncDatabasesFactory[TableRow]):
    class Meta:
        model = wide

    c0 = factory.Sequence(lambda n: n)


class BookFactory(AsyncDatabasesFactory[Book]):
    class Meta:
        model = Book

    title = factory.Sequence(lambda n: f"book{n}")
    publisher = factory.SubFactory(PublisherFactory)


class AtlasFactory(AsyncDatabasesFactory[Atlas]):
    class Meta:
        model = Atlas

    title = "atlas"
    publisher = factory.SubFactory(PublisherFactory)


NAMESPACES = {
    "sqlite": stores.sqlite,
    "postgresql": stores.postgresql,
    "mariadb-aiomysql": stores.mariadb,
    "mariadb-asyncmy": stores.mariadb_asyncmy,
}


@pytest.fixture(params=named_params(NAMESPACES))
async def database(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[Database]:
    """A database with empty tables, connected, and bound."""
    async with (
        request.param(servers) as (url, options),
        Database(url, **options) as database,
    ):
        await stores.create(database, metadata)
        with bind(databases_database=database):
            yield database


on_sqlite = pytest.mark.parametrize("database", [stores.sqlite], indirect=True, ids=["sqlite"])
"""For what does not depend on the backend."""


async def _stored(database: Database, model: Any) -> list[dict[str, Any]]:
    table = model if isinstance(model, Table) else model.__table__
    return [
        {column.key: row[column.name] for column in table.c}
        for row in await database.fetch_all(table.select())
    ]


# What comes back ----------------------------------------------------------------------------------


async def test_defaults(database: Database) -> None:
    """Defaults of every kind are stored, and are there on what comes back."""
    article = await ArticleFactory.create_async(name="news")
    (row,) = await _stored(database, articles)
    assert dict(article) == row
    assert isinstance(article.token, uuid.UUID)
    assert (article.number, article.subject, article.lowered) == (7, "about news", "low")
    assert (article.rank, article.doubled, article.remark) == (42, 14, None)


async def test_values_in_place_of_defaults(database: Database) -> None:
    """A value given for a column is used instead of its default, NULL included."""
    article = await ArticleFactory.create_async(number=1, rank=2, subject=None, lowered=None)
    assert (article.number, article.rank, article.doubled) == (1, 2, 2)
    (row,) = await _stored(database, articles)
    assert dict(article) == row
    assert (row["subject"], row["lowered"]) == (None, None)


async def test_nothing_but_defaults(database: Database) -> None:
    """A row may get all of its values from the server."""

    class OnlyDefaults(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = typed

    row = await OnlyDefaults.create_async()
    assert (row.id, row.name, row.colour) == (1, None, Colour.RED)


async def test_types(database: Database) -> None:
    """What is read back has the Python type of its column."""
    row = await TypedFactory.create_async(data={"a": [1, None]})
    expected = (
        "typed",
        Colour.RED,
        {"a": [1, None]},
        decimal.Decimal("1.50"),
        datetime.datetime(2020, 1, 2, 3, 4, 5),
    )

    class Finding(TypedFactory):
        class Meta:
            databases_get_or_create = ("name", "colour")

    found = await Finding.create_async(colour=Colour.RED)
    for one in (row, found):
        assert (one.name, one.colour, one.data, one.price, one.at) == expected
    assert row == found


async def test_expressions_as_values(database: Database) -> None:
    """An SQL expression given for a column comes back as the value that the server gave it."""
    article = await ArticleFactory.create_async(
        name="x", rank=select(func.length("four")).scalar_subquery()
    )
    assert article.rank == 4
    (row,) = await _stored(database, articles)
    assert dict(article) == row


async def test_an_expression_for_the_key(database: Database) -> None:
    """An SQL expression given for the key comes back as its value, too."""
    row = await ArticleFactory.create_async(id=func.length("seven77"))
    assert row.id == 7
    assert [row["id"] for row in await _stored(database, articles)] == [7]


@on_sqlite
async def test_a_row_that_the_database_discards(database: Database) -> None:
    """Of a row that a trigger keeps from being stored, no more is known than was given."""
    await database.execute(
        "CREATE TRIGGER discard BEFORE INSERT ON place BEGIN SELECT RAISE(IGNORE); END"
    )
    place = await PlaceFactory.create_async()
    assert await _stored(database, places) == []
    assert (place.row, place.taken) == (3, None)


async def test_the_key_as_none(database: Database) -> None:
    """None for a key stands for one that is to be generated."""
    first = await ArticleFactory.create_async(id=None)
    second = await ArticleFactory.create_async(id=None, rank=1, remark="", lowered="")
    assert first.id is not None
    assert second.id == first.id + 1


async def test_a_given_key(database: Database) -> None:
    """A key that is given is the key."""
    article = await ArticleFactory.create_async(id=77)
    assert article.id == 77
    (row,) = await _stored(database, articles)
    assert row["id"] == 77


async def test_composite_and_other_keys(database: Database) -> None:
    """Composite keys, keys that are no integers, and keys that refer to others."""
    ticket = await TicketFactory.create_async()
    (place,) = await _stored(database, places)
    (row,) = await _stored(database, tickets)
    assert (row["row"], row["seat"]) == (3, place["seat"])
    assert dict(ticket) == row
    assert len(ticket.code) == 36

    class Finding(PlaceFactory):
        class Meta:
            databases_get_or_create = ("row", "seat")

    again = await Finding.create_async(row=place["row"], seat=place["seat"])
    assert dict(again) == place


async def test_a_key_from_an_expression(database: Database) -> None:
    """The default of a key may be an SQL expression."""

    class ByExpression(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = by_expression

    row = await ByExpression.create_async(name="x")
    assert row.code == "k1"
    assert await _stored(database, by_expression) == [dict(row)]


async def test_a_key_from_the_server(database: Database) -> None:
    """Where there is RETURNING, a key that the server makes comes back; elsewhere we say so."""

    class ByServer(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = by_server

    if database.url.dialect == "mysql":
        with pytest.raises(AdapterError) as caught:
            await ByServer.create_async(name="x")
        assert str(caught.value) == (
            "by_server.code gets its value from the server, and without RETURNING there is no key "
            "to read it by; declare the primary key in the factory, or give its column a "
            "Python-side default."
        )
        assert await _stored(database, by_server) == []
    else:
        assert (await ByServer.create_async(name="x")).code == "S1"


async def test_a_table_without_key(database: Database) -> None:
    """A table that has no key can be stored in, and is read back where there is RETURNING."""

    class Keyless(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = keyless

    row = await Keyless.create_async(name="x", rank=1)
    assert await _stored(database, keyless) == [{"name": "x", "rank": 1}] == [dict(row)]
    if database.url.dialect == "mysql":
        with pytest.raises(AdapterError, match=r"^keyless\.rank gets its value from the server"):
            await Keyless.create_async(name="y")
    else:
        assert (await Keyless.create_async(name="y")).rank == 42


async def test_statements(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """The statements are those that databases makes of what one writes by hand."""
    caplog.set_level("DEBUG", logger="databases")
    values = {"row": 1, "seat": "a", "taken": 1}
    await PlaceFactory.create_async(**values)
    await PlaceFactory.create_async(**{**values, "seat": "b"})
    await database.execute(places.insert().values({**values, "seat": "c"}))
    queries = [str(record.args[0]) for record in caplog.records if record.args]
    assert len(queries) == 3
    assert len(set(queries)) == 1


# Many at once -------------------------------------------------------------------------------------

in_every_store = pytest.mark.parametrize(
    "store", stores.STORES, indirect=True, ids=[store.id for store in stores.STORES]
)


@pytest.fixture
def statements(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Returns the first words of the statements sent so far, e.g. ``INSERT INTO post``."""
    caplog.set_level("DEBUG", logger="databases")

    def sent() -> list[str]:
        queries = [str(record.args[0]) for record in caplog.records if record.args]
        caplog.clear()
        return [" ".join(query.replace("`", "").split()[:3]) for query in queries]

    return sent


@pytest.mark.unmeasured
@in_every_store
async def test_a_thousand_users(store: Any, statements: Callable[[], list[str]]) -> None:
    """A thousand users with a company and two posts each are an INSERT per table and page."""

    class WithPosts(store.UserFactory):  # type: ignore[name-defined, misc]
        posts = factory.RelatedFactoryList(store.PostFactory, "author", size=2)

    users = await WithPosts.create_batch_async(1000)
    assert statements() == [
        "INSERT INTO company",
        "INSERT INTO app_user",
        "INSERT INTO post",
        "INSERT INTO post",
    ]
    keys = [user.id for user in users]
    assert keys == sorted(set(keys))
    rows = await store.rows(store.UserFactory)
    assert [(row["key"], row["name"]) for row in rows] == [(user.id, user.name) for user in users]
    assert [row["company_key"] for row in rows] == [user.company_key for user in users]
    posts = await store.rows(store.PostFactory)
    assert [post["author_key"] for post in posts] == [key for key in keys for _ in range(2)]


@in_every_store
async def test_one_object_with_many(store: Any, statements: Callable[[], list[str]]) -> None:
    """One create_async with fifty related objects is three INSERTs."""

    class WithPosts(store.UserFactory):  # type: ignore[name-defined, misc]
        posts = factory.RelatedFactoryList(store.PostFactory, "author", size=50)

    await WithPosts.create_async()
    assert statements() == ["INSERT INTO company", "INSERT INTO app_user", "INSERT INTO post"]


@pytest.mark.unmeasured
@in_every_store
async def test_a_thousand_get_or_create(store: Any, statements: Callable[[], list[str]]) -> None:
    """A thousand get_or_create of ten values are one SELECT and one INSERT."""
    companies = await store.NamedCompanyFactory.create_batch_async(
        1000, name=factory.Sequence(lambda n: f"name{n % 10}")
    )
    kinds = [statement.split()[0] for statement in statements()]
    assert kinds == ["SELECT", "INSERT"]
    assert len({id(company) for company in companies}) == 10
    again = await store.NamedCompanyFactory.create_batch_async(
        12, name=factory.Sequence(lambda n: f"name{n % 12}")
    )
    assert {company.name for company in again} == {f"name{n}" for n in range(12)}
    assert len(await store.rows(store.CompanyFactory)) == 12


@in_every_store
async def test_refused_in_the_middle(store: Any) -> None:
    """The driver's error reaches the caller, and what was done before is not undone."""
    await store.CompanyFactory.create_async(name="taken")
    with pytest.raises(store.conflict):
        await store.CompanyFactory.create_batch_async(
            3, name=factory.Iterator(["first", "taken", "last"])
        )
    await store.rollback()
    assert len(await store.CompanyFactory.create_batch_async(3)) == 3


async def test_defaults_of_many(database: Database, statements: Callable[[], list[str]]) -> None:
    """Each row of a batch has its own defaults, and what the server filled in."""
    made = await ArticleFactory.create_batch_async(
        5, name=factory.Sequence(lambda n: f"news{n}"), number=factory.Iterator([5, 3, 4, 1, 2])
    )
    assert [one for one in statements() if one.startswith("INSERT")] == ["INSERT INTO article"]
    stored = await _stored(database, articles)
    assert sorted(stored, key=lambda row: row["id"]) == [dict(article) for article in made]
    assert [article.doubled for article in made] == [10, 6, 8, 2, 4]
    assert [article.subject for article in made] == [f"about {article.name}" for article in made]
    assert len({article.token for article in made}) == 5
    assert {(article.lowered, article.rank) for article in made} == {("low", 42)}
    ids = [article.id for article in made]
    assert ids == sorted(ids)


async def test_types_of_many(database: Database) -> None:
    """What is read back of a batch has the Python type of its column, by key as by number."""

    class TypedFactory(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = typed

        name = "x"
        data = factory.Iterator([{"a": [1]}, None, [2]])

    numbered = await TypedFactory.create_batch_async(3)
    keyed = await TypedFactory.create_batch_async(
        3, id=factory.Iterator([30, 10, 20]), colour=factory.Iterator([Colour.BLUE, Colour.RED])
    )
    for row in (*numbered, *keyed):
        alone = await TypedFactory.create_async(data=row.data)
        assert dict(alone) == {**dict(row), "id": alone.id, "colour": Colour.RED}
    assert [row.id for row in keyed] == [30, 10, 20]
    assert [row.colour for row in keyed] == [Colour.BLUE, Colour.RED, Colour.BLUE]
    assert [row.data for row in numbered] == [{"a": [1]}, None, [2]]


async def test_what_is_given_may_differ(
    database: Database, statements: Callable[[], list[str]]
) -> None:
    """Rows that leave columns to be NULL go together; others in as many INSERTs as they need."""

    class PlainFactory(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = articles

        number = 1
        subject = "s"

    some = PlainFactory.build_batch(6, lowered="x", rank=1)
    for n, row in enumerate(some):
        if n % 2:
            row.name = f"name{n}"
    adapter: Any = PlainFactory._meta.adapter_for_storing()
    saved = await adapter.save_many(some)
    assert len([one for one in statements() if one.startswith("INSERT")]) == 1
    assert [row.name for row in saved] == [None, "name1", None, "name3", None, "name5"]

    mixed = [
        PlainFactory.build(**values)
        for values in (
            {"rank": 1},
            {"rank": 2},
            {"rank": 3, "id": 77},
            {},
            {"name": func.upper("a")},
            {"rank": 4},
        )
    ]
    mixed = await adapter.save_many(mixed)
    assert [row.rank for row in mixed] == [1, 2, 3, 42, 42, 4]
    assert [row.name for row in mixed] == [None, None, None, None, "A", None]
    assert mixed[2].id == 77
    stored = {row["id"]: row for row in await _stored(database, articles)}
    assert [stored[row.id] for row in (*saved, *mixed)] == [dict(row) for row in (*saved, *mixed)]
    assert len(stored) == 12


async def test_keys_of_many(database: Database) -> None:
    """Composite keys, keys made in Python, by an expression and by the server, in a batch."""
    rows = factory.Iterator([3, 1, 2])
    made = await PlaceFactory.create_batch_async(3, row=rows)
    assert [(place.row, place.taken) for place in made] == [(3, 0), (1, 0), (2, 0)]

    class TicketFactory(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = tickets

    bought = await TicketFactory.create_batch_async(3, row=factory.Iterator([1, None, 2]))
    assert {(row["code"], row["row"]) for row in await _stored(database, tickets)} == {
        (ticket.code, ticket.row) for ticket in bought
    }

    class ByExpression(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = by_expression

    (row,) = await ByExpression.create_batch_async(1)
    assert row.code == "k1"


async def test_expressions_of_many(database: Database, statements: Callable[[], list[str]]) -> None:
    """What a mapping computes is read for a batch at once, or by the database's equality."""

    class LabelFactory(AsyncDatabasesFactory[Label]):
        class Meta:
            model = Label

        code = factory.Iterator(["b", "a", "c"])

    publishers = await PublisherFactory.create_batch_async(3)
    assert [one.split()[0] for one in statements()] == ["INSERT", "SELECT"]
    assert [one.shouted for one in publishers] == [one.name.upper() for one in publishers]
    labels = await LabelFactory.create_batch_async(3)
    assert [one.shouted.strip() for one in labels] == ["B", "A", "C"]
    assert [one.rank for one in labels] == [42, 42, 42]


async def test_everything_given(database: Database, statements: Callable[[], list[str]]) -> None:
    """Rows that have nothing to be read back are one INSERT, on every database."""
    rows = [3, 1, 2]
    places_made = await PlaceFactory.create_batch_async(3, row=factory.Iterator(rows), taken=5)
    assert statements() == ["INSERT INTO place"]
    assert [place.row for place in places_made] == rows
    assert sorted(row["row"] for row in await _stored(database, places)) == [1, 2, 3]


async def test_keys_that_count_down(database: Database) -> None:
    """Keys of a batch that are not counted up belong to their rows all the same."""

    class CountdownFactory(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = countdown

        name = factory.Iterator("abc")

    made = await CountdownFactory.create_batch_async(3)
    stored = {row["id"]: row["name"] for row in await _stored(database, countdown)}
    assert [stored[row.id] for row in made] == [row.name for row in made] == ["a", "b", "c"]
    if database.url.dialect == "postgresql":
        assert [row.id for row in made] == [-1, -2, -3]


async def test_a_key_that_is_stored_as_something_else(database: Database) -> None:
    """A row is told by its key also where the database makes something else of that."""

    class PaddedFactory(AsyncDatabasesFactory[TableRow]):
        class Meta:
            model = padded

        code = factory.Iterator(["b", "a", "c"])

    made = await PaddedFactory.create_batch_async(3)
    assert [(row.code, row.rank) for row in made] == [("b", 42), ("a", 42), ("c", 42)]
    assert len(await _stored(database, padded)) == 3


@pytest.mark.unmeasured
async def test_pages(database: Database, statements: Callable[[], list[str]]) -> None:
    """A wide table takes as many INSERTs as its parameters do not fit into one."""
    WideFactory.reset_sequence(0)
    made = await WideFactory.create_batch_async(700)
    expected = {"sqlite": 3, "postgresql": 3, "mysql": 1}[database.url.dialect]
    assert statements() == ["INSERT INTO wide"] * expected
    stored = await _stored(database, wide)
    assert [row["c0"] for row in sorted(stored, key=lambda row: row["id"])] == [*range(700)]
    assert [row.id for row in made] == sorted(row["id"] for row in stored)


async def test_inheritance_of_many(database: Database, statements: Callable[[], list[str]]) -> None:
    """Objects of a class that is mapped to two tables take an INSERT into each."""
    publisher = await PublisherFactory.create_async()
    statements()
    made = await AtlasFactory.create_batch_async(4, publisher=publisher)
    sent = [one for one in statements() if one.startswith("INSERT")]
    assert sent == ["INSERT INTO book", "INSERT INTO atlas"]
    again = await AtlasFactory.create_async(publisher=publisher)
    ids = [atlas.id for atlas in (*made, again)]
    assert ids == sorted(set(ids))
    assert {row["book_id"] for row in await _stored(database, Atlas)} == set(ids)


@pytest.mark.parametrize("database", [stores.postgresql], indirect=True, ids=["postgresql"])
async def test_some_rows_that_the_database_discards(database: Database) -> None:
    """If all are discarded, nothing is known of them; if some are, which is not to be told."""
    await database.execute(
        "CREATE FUNCTION discard() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.name = ''no'' THEN RETURN NULL; END IF; RETURN NEW; END'"
    )
    await database.execute(
        "CREATE TRIGGER discard BEFORE INSERT ON article FOR EACH ROW EXECUTE FUNCTION discard()"
    )
    made = await ArticleFactory.create_batch_async(2, name="no")
    assert [article.id for article in made] == [None, None]
    with pytest.raises(AdapterError, match=r"^Of 3 rows, article has taken 2 .*batch_size = 1"):
        await ArticleFactory.create_batch_async(3, name=factory.Iterator(["yes", "no", "yes"]))


async def test_looking_up_many_by_a_relationship(database: Database) -> None:
    """The objects of a batch may be looked up by what they refer to."""

    class Once(BookFactory):
        class Meta:
            databases_get_or_create = ("publisher",)

    publishers = await PublisherFactory.create_batch_async(3)
    first = await Once.create_async(publisher=publishers[1])
    books = await Once.create_batch_async(3, publisher=factory.Iterator(publishers))
    assert books[1].id == first.id
    assert len(await _stored(database, Book)) == 3
    assert all(publisher.shouted == publisher.name.upper() for publisher in publishers)


async def test_looking_up_many(database: Database) -> None:
    """Many are found as one by one: by several columns, NULL, and the database's equality."""
    adapter = DatabasesAdapter[Any]()
    for name, number in (("a", 1), ("a", 2), ("b", 1), ("B", 3), (None, 4)):
        await ArticleFactory.create_async(name=name, number=number)
    for lookups in (
        [{"name": "a", "number": 2}, {"name": "b", "number": 1}, {"name": "a", "number": 3}],
        [{"number": 3}, {"number": 4}, {"number": 5}],
        [{"name": None}, {"name": "c"}],
        [{"name": "b", "number": 3}, {"name": "b", "number": 1}],
    ):
        found = await adapter.find_many(articles, lookups)
        assert found == [await adapter.find(articles, lookup) for lookup in lookups]
    with pytest.raises(MultipleFoundError):
        await adapter.find_many(articles, [{"name": "a"}, {"name": "x"}])


@on_sqlite
async def test_looking_up_many_by_what_cannot_be_hashed(database: Database) -> None:
    """A lookup may be by a value such as a list, where the database can compare it."""
    adapter = DatabasesAdapter[Any]()
    await database.execute(typed.insert().values(name="x", data=[1], price=1))
    for lookups in ([{"data": [2]}, {"data": [1]}], [{"data": (2,)}, {"data": (1,)}]):
        found = await adapter.find_many(typed, lookups)
        assert [row and row.name for row in found] == [None, "x"]


# A row --------------------------------------------------------------------------------------------


def test_a_row() -> None:
    """build() gives what create_async() gives: a row with attributes and items."""
    row = ArticleFactory.build(name="news")
    assert isinstance(row, TableRow)
    assert (row.name, row["name"], row.id, row["id"]) == ("news", "news", None, None)
    row.name = "other"
    row["remark"] = "set"
    assert (row["name"], row.remark) == ("other", "set")
    assert list(row) == row.keys() == articles.c.keys()
    assert len(row) == len(articles.c)
    assert {**row} == dict(row)
    assert repr(row) == "TableRow(article, name='other', remark='set')"


def test_rows_are_compared_by_value() -> None:
    """Two rows are equal if their table and their values are."""
    row = ArticleFactory.build(name="news")
    same = copy.copy(row)
    assert row == same == ArticleFactory.build(name="news", id=None)
    assert row != ArticleFactory.build(name="other")
    assert row != TypedFactory.build(name="news")
    assert row != {"name": "news"}
    with pytest.raises(TypeError, match="unhashable"):
        hash(row)


def test_a_row_has_no_other_names() -> None:
    """What is no column can be neither read nor set, so that a mistyped name does not pass."""
    row = ArticleFactory.build()
    with pytest.raises(AttributeError, match="article has no column 'naem'"):
        row.naem  # noqa: B018
    with pytest.raises(AttributeError, match="article has no column 'naem'"):
        row.naem = "x"
    with pytest.raises(KeyError, match="naem"):
        row["naem"]
    with pytest.raises(KeyError, match="naem"):
        row["naem"] = "x"


def test_a_value_for_no_column() -> None:
    """A declaration that is no column is refused, with how to keep it from the row."""
    with pytest.raises(ConfigurationError) as caught:
        PlaceFactory.build(hall="main")
    assert str(caught.value) == (
        "place.hall is not a column of the table; it has: row, seat, taken. If only other "
        "declarations need it, name it in Meta.exclude, or declare it in Params."
    )


def test_no_positional_arguments() -> None:
    """Meta.inline_args has no meaning for a table."""

    class Inline(PlaceFactory):
        class Meta:
            inline_args = ("row",)

    with pytest.raises(AdapterError) as caught:
        Inline.build()
    assert str(caught.value) == (
        "A row of place takes no positional arguments; leave Meta.inline_args out."
    )


# Mapped classes -----------------------------------------------------------------------------------


async def test_a_mapped_object(database: Database) -> None:
    """A factory for a mapped class returns an object of it, with all its columns set."""
    publisher = await PublisherFactory.create_async(name="acme")
    assert inspect(publisher).transient
    assert publisher.id == 1
    assert (publisher.country, publisher.rank, publisher.shouted) == ("NL", 42, "ACME")
    assert await _stored(database, Publisher) == [
        {"id": 1, "name": "acme", "country": "NL", "data": None, "rank": 42}
    ]


async def test_none_for_a_mapped_attribute(database: Database) -> None:
    """As in SQLAlchemy's ORM, None lets a column's default have its way."""
    publisher = await PublisherFactory.create_async(id=None, country=None, rank=None)
    assert (publisher.country, publisher.rank) == ("NL", 42)


async def test_json_null(database: Database) -> None:
    """As in SQLAlchemy's ORM, None for a JSON attribute is stored as JSON's null."""
    await PublisherFactory.create_async(data=None)
    count = select(func.count()).where(Publisher.__table__.c.data.is_(None))
    assert await database.fetch_val(count) == 0


async def test_many_to_one(database: Database) -> None:
    """The object that a many-to-one relationship is given sets the foreign key."""
    book = await BookFactory.create_async()
    assert book.publisher is not None
    assert book.publisher_id == book.publisher.id == 1
    other = await PublisherFactory.create_async()
    moved = await BookFactory.create_async(publisher=other, publisher_id=other.id)
    assert moved.publisher_id == other.id
    without = await BookFactory.create_async(publisher=None)
    assert without.publisher_id is None
    rows = await _stored(database, Book)
    assert [row["publisher_id"] for row in rows] == [1, other.id, None]


async def test_the_foreign_key_itself(database: Database) -> None:
    """The foreign key may be declared in place of the relationship."""

    class ByKey(BookFactory):
        class Meta:
            exclude = ("publisher",)

        publisher_id = factory.SelfAttribute("publisher.id")

    book = await ByKey.create_async()
    assert book.publisher_id == 1
    assert book.publisher is None


@on_sqlite
async def test_many_to_one_with_what_is_not_stored(database: Database) -> None:
    """A related object that was only built is refused, since it has no key."""
    with pytest.raises(AdapterError) as caught:
        await BookFactory.create_async(publisher=PublisherFactory.build())
    assert str(caught.value) == (
        "Book.publisher was given an object that has no key, because it is not stored; create it "
        "first, or let a SubFactory create it."
    )
    assert await _stored(database, Book) == []


@on_sqlite
async def test_one_to_many(database: Database) -> None:
    """What a collection holds would be lost, so it is refused; an empty one is fine."""
    with pytest.raises(AdapterError) as caught:
        await PublisherFactory.create_async(books=[BookFactory.build(publisher=None)])
    assert str(caught.value) == (
        "Publisher.books is not many-to-one, and databases stores one row at a time: create the "
        "objects it holds by a RelatedFactory, or in a hook."
    )
    assert await _stored(database, Publisher) == []
    await PublisherFactory.create_async(books=[])


async def test_get_or_create_of_a_mapped_class(database: Database) -> None:
    """What is found is an object with all its columns set, made without its constructor."""

    class Named(PublisherFactory):
        class Meta:
            databases_get_or_create = ("name",)

    class Once(BookFactory):
        class Meta:
            databases_get_or_create = ("title", "publisher")

        publisher = factory.SubFactory(Named, name="acme")

    first = await Once.create_async(title="once")
    again = await Once.create_async(title="once")
    assert again is not first
    assert (again.id, again.title, again.kind) == (first.id, "once", "book")
    assert again.publisher_id == first.publisher_id
    named = await Named.create_async(name="acme", rank=1)
    assert (named.rank, named.shouted, named.data) == (42, "ACME", None)


async def test_inheritance(database: Database) -> None:
    """Objects of a class that is mapped to two tables, or to some rows of one, are stored."""

    class ComicFactory(BookFactory):
        class Meta:
            model = Comic

    class FindingAtlas(AtlasFactory):
        class Meta:
            databases_get_or_create = ("title",)

    class GlobeFactory(BookFactory):
        class Meta:
            model = Globe

        radius = 8

    await ComicFactory.create_async(title="same")
    atlas = await FindingAtlas.create_async(title="same")
    assert (atlas.id, atlas.book_id, atlas.kind, atlas.maps) == (2, 2, "atlas", 12)
    found = await FindingAtlas.create_async(title="same")
    assert type(found) is Atlas
    assert (found.id, found.book_id, found.kind, found.maps) == (2, 2, "atlas", 12)
    globe = await GlobeFactory.create_async()
    assert (globe.id, globe.kind, globe.radius) == (3, "globe", 8)
    rows = await _stored(database, Book)
    assert [row["kind"] for row in rows] == ["comic", "atlas", "globe"]
    assert [row["publisher_id"] for row in rows] == [1, 2, globe.publisher_id]
    assert await _stored(database, Atlas) == [{"book_id": 2, "maps": 12}]
    assert await _stored(database, Globe) == [{"id": 3, "radius": 8}]


async def test_a_column_that_is_not_mapped(database: Database) -> None:
    """A column that the mapping leaves out is left to the database."""

    class SummaryFactory(AsyncDatabasesFactory[Summary]):
        class Meta:
            model = Summary

        name = "short"

    summary = await SummaryFactory.create_async()
    (row,) = await _stored(database, articles)
    assert (summary.id, summary.name, summary.rank) == (row["id"], "short", 42)


async def test_both_tables_or_none(database: Database) -> None:
    """An object whose second row is refused leaves no first one behind."""
    await AtlasFactory.create_async(id=5)
    with pytest.raises(DatabasesAdapter.conflicts):
        await AtlasFactory.create_async(id=6, book_id=5)
    assert [row["id"] for row in await _stored(database, Book)] == [5]


async def test_dataclass_and_sqlmodel(database: Database) -> None:
    """Dataclasses that are mapped, and SQLModel's models, work as other mapped classes."""

    class StampFactory(AsyncDatabasesFactory[Stamp]):
        class Meta:
            model = Stamp
            databases_get_or_create = ("name",)

        name = "blue"

    class CoinFactory(AsyncDatabasesFactory[Coin]):
        class Meta:
            model = Coin
            databases_get_or_create = ("name",)

        name = "penny"

    stamp = await StampFactory.create_async()
    assert (stamp.id, stamp.value) == (1, 5)
    assert await StampFactory.create_async(value=6) == stamp
    coin = await CoinFactory.create_async()
    assert coin.id == 1
    assert (await CoinFactory.create_async()).model_dump() == {"id": 1, "name": "penny"}


# Transactions -------------------------------------------------------------------------------------


class NamedPublisherFactory(PublisherFactory):
    class Meta:
        databases_get_or_create = ("name",)


class Overtaken(DatabasesAdapter[Any]):
    """Finds nothing at first, as one does who is overtaken by another."""

    found_nothing = False

    async def find(self, model: Any, lookup: Any) -> Any:
        if self.found_nothing:
            return await super().find(model, lookup)
        self.found_nothing = True
        return None


async def test_transaction(database: Database) -> None:
    """What is stored within database.transaction() is part of it."""
    async with database.transaction(force_rollback=True):
        await BookFactory.create_async()
        await NamedPublisherFactory.create_async(name="acme")
        assert len(await _stored(database, Publisher)) == 2
    assert await _stored(database, Publisher) == []
    async with database.transaction():
        await BookFactory.create_async()
    assert len(await _stored(database, Book)) == 1


@pytest.mark.unmeasured
async def test_nested_transaction(database: Database) -> None:
    """What is stored within an inner transaction is undone with it, and no more than that."""
    async with database.transaction():
        await PublisherFactory.create_async(name="outer")
        async with database.transaction(force_rollback=True):
            await NamedPublisherFactory.create_async(name="inner")
    assert [row["name"] for row in await _stored(database, Publisher)] == ["outer"]


@pytest.mark.unmeasured
async def test_a_conflict_within_a_transaction(database: Database) -> None:
    """A lost race costs the transaction around it nothing, and finds the winner's row."""

    class Racing(PublisherFactory):
        class Meta:
            adapter = Overtaken(get_or_create=("name",))

    async with database.transaction():
        winner = await PublisherFactory.create_async(name="acme")
        assert (await Racing.create_async(name="acme")).id == winner.id
        await PublisherFactory.create_async(name="after")
    assert [row["name"] for row in await _stored(database, Publisher)] == ["acme", "after"]


@pytest.mark.unmeasured
async def test_a_conflict_outside_of_a_transaction(database: Database) -> None:
    """A lost race finds the winner's row where each statement commits itself, too."""

    class Racing(PublisherFactory):
        class Meta:
            adapter = Overtaken(get_or_create=("name",))

    winner = await PublisherFactory.create_async(name="acme")
    assert (await Racing.create_async(name="acme")).id == winner.id


async def test_force_rollback(database: Database) -> None:
    """A Database with force_rollback=True has one connection, which tasks can share."""
    shared = Database(database.url, force_rollback=True, **database.options)
    async with shared:
        books, others = await asyncio.gather(
            asyncio.gather(
                *(BookFactory.create_async(databases_database=shared) for _ in range(5))
            ),
            asyncio.gather(
                *(
                    NamedPublisherFactory.create_async(name="acme", databases_database=shared)
                    for _ in range(5)
                )
            ),
        )
        assert len({book.id for book in books}) == 5
        assert len({publisher.id for publisher in others}) == 1
        assert len(await _stored(shared, Publisher)) == 6
    assert await _stored(database, Publisher) == []


async def test_gather(database: Database) -> None:
    """With a Database as usual, each task has a connection of its own."""
    await asyncio.gather(*(NamedPublisherFactory.create_async(name="acme") for _ in range(5)))
    assert len(await _stored(database, Publisher)) == 1


# Which database -----------------------------------------------------------------------------------


@pytest.mark.parametrize("database", [stores.postgresql], indirect=True, ids=["postgresql"])
async def test_cancelled_within_a_transaction(database: Database) -> None:
    """A get_or_create that is cancelled while it inserts leaves its transaction usable."""
    waiting = asyncio.Event()

    async def wait_for_the_lock() -> None:
        async with database.transaction():
            await PublisherFactory.create_async(name="before")
            waiting.set()
            with pytest.raises(asyncio.CancelledError):
                await NamedPublisherFactory.create_async(name="acme")
            await PublisherFactory.create_async(name="after")

    async with database.transaction(force_rollback=True):
        await PublisherFactory.create_async(name="acme")
        task = asyncio.create_task(wait_for_the_lock())
        await waiting.wait()
        blocked = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        )
        while await database.fetch_val(blocked) == 0:  # noqa: ASYNC110 (the server has no event)
            await asyncio.sleep(0.01)
        task.cancel()
        await task
    assert [row["name"] for row in await _stored(database, Publisher)] == ["before", "after"]


@on_sqlite
async def test_which_database(database: Database, servers: Servers) -> None:
    """The call's database goes before the bound one, and that before Meta's."""
    async with stores.sqlite(servers) as (url, _), Database(url) as other:
        await stores.create(other, metadata)

        class Own(PublisherFactory):
            class Meta:
                databases_database = other

        class Called(PublisherFactory):
            class Meta:
                databases_database = staticmethod(lambda: other)

        await Own.create_async(name="bound")
        await Own.create_async(name="called", databases_database=other)
        with bind(databases_database=None):
            await Own.create_async(name="own")
            await Called.create_async(name="returned")
        assert [row["name"] for row in await _stored(database, Publisher)] == ["bound"]
        names = [row["name"] for row in await _stored(other, Publisher)]
        assert names == ["called", "own", "returned"]


@on_sqlite
async def test_database_of_a_context_variable(database: Database, servers: Servers) -> None:
    """A callable is asked where the object is created: in the context of the hook."""
    current = ContextVar("current", default=database)

    class Called(PublisherFactory):
        class Meta:
            databases_database = current.get

    class Hooked(Called):
        @factory.post_generation
        async def elsewhere(row: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            token = current.set(other)
            await Called.create_async(name=f"of {row.name}")
            current.reset(token)

    async with stores.sqlite(servers) as (url, _), Database(url) as other:
        await stores.create(other, metadata)
        with bind(databases_database=None):
            await Hooked.create_batch_async(2, name=factory.Iterator("ab"))
        assert [row["name"] for row in await _stored(database, Publisher)] == ["a", "b"]
        assert [row["name"] for row in await _stored(other, Publisher)] == ["of a", "of b"]


def test_no_database() -> None:
    """C3: without a database, the error says how to give one."""

    async def create() -> None:
        await ArticleFactory.create_async()

    with pytest.raises(MissingOptionError) as caught:
        asyncio.run(create())
    assert str(caught.value) == (
        "No database provided. Pass one to the call, create_async(databases_database=database); "
        "or bind one for many calls, with async_factory_boy.bind(databases_database=database): "
        "...; or set Meta.databases_database to it, or to a callable that returns it. (Asked for "
        "by ArticleFactory.)"
    )


async def test_not_connected() -> None:
    """A Database that is not connected is refused before anything is evaluated."""
    with pytest.raises(OptionError) as caught:
        await ArticleFactory.create_async(
            name=factory.LazyFunction(pytest.fail),
            databases_database=Database("sqlite:///nowhere.sqlite"),
        )
    assert str(caught.value) == (
        "databases_database is not connected; await database.connect() before the first call, or "
        "use the factory inside of async with database: ..."
    )


WRONG = {
    "a URL": "sqlite:///x",
    "a URL ": DatabaseURL("sqlite:///x"),
    "SQLAlchemy's Engine": create_engine("sqlite://"),
    "SQLAlchemy's AsyncEngine": create_async_engine("sqlite+aiosqlite://"),
    "SQLAlchemy's AsyncSession": AsyncSession(),
    "the class Database": Database,
    "an object of type int": 3,
}


@pytest.mark.parametrize(("described", "wrong"), WRONG.items(), ids=WRONG)
def test_the_wrong_kind_of_database(described: str, wrong: Any) -> None:
    """What is no Database is refused where it is given, with what to give instead."""
    described = described.strip()
    with pytest.raises(OptionError) as caught, bind(databases_database=wrong):
        pytest.fail("bound")
    assert str(caught.value) == (
        f"databases_database takes a databases.Database; got {described}. Make one with "
        "databases.Database(url): async with Database(url) as database: "
        "await UserFactory.create_async(databases_database=database)."
    )
    with pytest.raises(ConfigurationError) as refused:

        class Wrong(ArticleFactory):
            class Meta:
                databases_database = wrong

    assert str(refused.value) == (
        "Wrong.Meta.databases_database takes a databases.Database, or a callable that returns "
        f"one; got {described}."
    )


@on_sqlite
async def test_a_connection_for_a_database(database: Database) -> None:
    """A Connection is no Database, but its Database can be given."""
    async with database.connection() as connection:
        with pytest.raises(OptionError, match=r"got a Connection \(pass its Database:"):
            await ArticleFactory.create_async(databases_database=connection)


async def test_a_callable_that_returns_no_database() -> None:
    """A callable is held to return a Database."""

    class Wrong(ArticleFactory):
        class Meta:
            databases_database = staticmethod(lambda: "sqlite:///x")

    with pytest.raises(OptionError, match=r"^databases_database takes .*; got a URL\. Make one"):
        await Wrong.create_async()


async def test_another_event_loop(database: Database) -> None:
    """A Database that was connected in another loop is refused, where it could not work."""

    async def create() -> None:
        await PublisherFactory.create_async(databases_database=database)

    def elsewhere(coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run(coroutine)

    if database.url.dialect == "sqlite":
        await asyncio.to_thread(elsewhere, create())
        assert len(await _stored(database, Publisher)) == 1
        return
    with pytest.raises(OptionError) as caught:
        await asyncio.to_thread(elsewhere, create())
    assert str(caught.value) == (
        "databases_database was connected in another event loop, and its connections cannot be "
        "used in this one; connect it in the loop of the running test (with pytest-asyncio, give "
        "the fixture and the test the same loop_scope)."
    )


# Which model --------------------------------------------------------------------------------------


@on_sqlite
async def test_neither_table_nor_mapped(database: Database) -> None:
    """A model that SQLAlchemy knows nothing of is refused."""

    class Plain:
        pass

    class PlainFactory(AsyncDatabasesFactory[Plain]):
        class Meta:
            model = Plain

    class SelectFactory(AsyncDatabasesFactory[Any]):
        class Meta:
            model = "article"

    hint = " SelectFactory.Meta.model is a string; give it the class itself."
    for one, name, end in ((PlainFactory, "Plain", ""), (SelectFactory, "'article'", hint)):
        with pytest.raises(AdapterError) as caught:
            await one.create_async()
        assert str(caught.value) == (
            f"{name} is neither a Table nor a mapped class, so it cannot be stored; set Meta.model "
            f"to a sqlalchemy.Table, or to a class that SQLAlchemy maps to one.{end}"
        )


@on_sqlite
async def test_get_or_create_by_no_column(database: Database) -> None:
    """get_or_create by what is no column, or no attribute of the class, is refused."""

    class Row(PlaceFactory):
        class Meta:
            databases_get_or_create = ("hall",)

    class Object(PublisherFactory):
        class Meta:
            databases_get_or_create = ("hall",)

    with pytest.raises(ConfigurationError) as caught:
        await Row.create_async(hall=1)
    assert str(caught.value) == (
        "Row.Meta.databases_get_or_create names 'hall', which is not a field of place. "
        "It has: row, seat, taken."
    )
    with pytest.raises(ConfigurationError, match=r"is not a field of Publisher\. It has: .*name"):
        await Object.create_async(hall=1)


def test_handles() -> None:
    """A Table is for this adapter; a mapped class, by itself, is for SQLAlchemy's."""
    assert DatabasesAdapter.handles(articles)  # type: ignore[arg-type]
    assert not DatabasesAdapter.handles(Publisher)


def test_a_misspelt_option() -> None:
    """An option that is spelt wrongly is refused for a table as it is for a class."""
    with pytest.raises(OptionError) as caught:
        ArticleFactory.build(databases_databse=None)
    assert str(caught.value) == (
        "ArticleFactory was given 'databases_databse', which is neither a call-time option nor a "
        "field of article. Did you mean 'databases_database'?"
    )


def test_counters() -> None:
    """A factory that derives from one for the same table shares its counter; others do not."""

    class Same(ArticleFactory):
        remark = "same"

    class Other(ArticleFactory):
        class Meta:
            model = typed

    class Mapped(ArticleFactory):
        class Meta:
            model = Publisher

    ArticleFactory.reset_sequence(0)
    names = [one.build().name for one in (ArticleFactory, Same, ArticleFactory, Other, Mapped)]
    assert names == ["article0", "article1", "article2", "article0", "article0"]


async def test_on_the_plain_factory(database: Database) -> None:
    """The adapter can be given to AsyncFactory itself."""

    class Plain(AsyncFactory[TableRow]):
        class Meta:
            model = places
            adapter = DatabasesAdapter(get_or_create=("row", "seat"))

        row = 1
        seat = "a"

    assert await Plain.create_async() == await Plain.create_async()
    assert len(await _stored(database, places)) == 1
