"""Batches on Tortoise ORM: what they cost, and that each object is as under ``Model.create()``."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import AsyncGenerator, Generator, Sequence
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import factory
import pytest
from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext
from tortoise.exceptions import IntegrityError, ValidationError
from tortoise.fields.db_defaults import Now
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.queryset import QuerySet
from tortoise.signals import post_save, pre_save
from tortoise.transactions import in_transaction
from tortoise.validators import MinValueValidator

from async_factory_boy import AdapterError
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters._tortoise import inserts
from async_factory_boy.adapters.tortoise import TortoiseAdapter
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from tests.servers import Servers
from tests.stores import tortoise as stores
from tests.stores.base import params
from tests.stores.tortoise import CompanyFactory, NamedCompanyFactory, PostFactory, UserFactory


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


async def numbered_default() -> str:
    """Give the default that nobody else has been given."""
    await asyncio.sleep(0)
    return f"default {next(numbers)}"


numbers = iter(range(1_000_000))


class Everything(Model):
    """A field of each kind, with columns that are called something else."""

    id = fields.IntField(primary_key=True, source_field="number")
    text = fields.TextField(source_field="the_text")
    char = fields.CharField(50, null=True)
    small = fields.SmallIntField()
    big = fields.BigIntField(null=True)
    truth = fields.BooleanField(null=True)
    ratio = fields.FloatField(null=True)
    price = fields.DecimalField(max_digits=10, decimal_places=2, null=True)
    moment = fields.DatetimeField(null=True)
    day = fields.DateField(null=True)
    period = fields.TimeDeltaField(null=True)
    data: Any = fields.JSONField(null=True)
    token = fields.UUIDField(null=True)
    bytes = fields.BinaryField(null=True)
    color = fields.CharEnumField(Color, null=True)
    level = fields.IntEnumField(Level, null=True)
    created = fields.DatetimeField(auto_now_add=True)
    changed = fields.DatetimeField(auto_now=True)
    awaited = fields.CharField(50, default=numbered_default)

    class Meta:
        table = "batch_everything"


class ByUUID(Model):
    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(50)
    status = fields.CharField(20, db_default="new")

    class Meta:
        table = "batch_uuid"


class ByChar(Model):
    slug = fields.CharField(20, primary_key=True)
    status = fields.CharField(20, db_default="new")

    class Meta:
        table = "batch_char"


class ByDefault(Model):
    key = fields.CharField(20, primary_key=True, db_default="made up")

    class Meta:
        table = "batch_default"


class Child(Model):
    """A key that is a relation, and one that may be null."""

    parent: fields.OneToOneRelation[ByUUID] = fields.OneToOneField(
        "batches.ByUUID", "child", primary_key=True
    )
    friend: fields.ForeignKeyNullableRelation[ByChar] = fields.ForeignKeyField(
        "batches.ByChar", "children", null=True
    )
    status = fields.CharField(20, db_default="new")

    class Meta:
        table = "batch_child"


class Defaults(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    status = fields.CharField(20, db_default="new")
    stamp = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "batch_defaults"
        fetch_db_defaults = False


class OnlyDefaults(Model):
    id = fields.IntField(primary_key=True)
    status = fields.CharField(20, db_default="new")

    class Meta:
        table = "batch_only_defaults"


class DoubleField(fields.IntField):
    """A column that the database generates."""

    GENERATED_SQL = "GENERATED ALWAYS AS (size * 2) STORED"
    allows_generated = True
    _db_sqlite = _db_postgres = _db_mysql = type("_db", (), {"GENERATED_SQL": GENERATED_SQL})


class Doubled(Model):
    id = fields.IntField(primary_key=True)
    size = fields.IntField()
    double = DoubleField(generated=True, null=True)

    class Meta:
        table = "batch_doubled"


class DoubledByUUID(Model):
    id = fields.UUIDField(primary_key=True)
    size = fields.IntField()
    double = DoubleField(generated=True, null=True)

    class Meta:
        table = "batch_doubled_uuid"


class Counter(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    size = fields.IntField(default=1, validators=[MinValueValidator(0)])

    class Meta:
        table = "batch_counter"


class Audited(Counter):
    class Meta:
        table = "batch_audited"

    async def save(self, *args: Any, **kwargs: Any) -> None:
        self.saved_with = args, kwargs
        self.name = f"{self.name}, saved"
        await super().save(*args, **kwargs)


class Active(Manager):
    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(active=True)


class Hidden(Model):
    slug = fields.CharField(20, primary_key=True)
    active = fields.BooleanField(default=False)
    status = fields.CharField(20, db_default="new")

    class Meta:
        table = "batch_hidden"
        manager = Active()


Wide = type(
    "Wide",
    (Model,),
    {
        "__module__": __name__,
        "id": fields.IntField(primary_key=True),
        **{f"column{n}": fields.IntField(default=n) for n in range(40)},
        "Meta": type("Meta", (), {"table": "batch_wide"}),
    },
)


class EverythingFactory(AsyncTortoiseModelFactory[Everything]):
    class Meta:
        model = Everything

    text = factory.Sequence(lambda n: f"text {n}")
    small = 1


class DefaultsFactory(AsyncTortoiseModelFactory[Defaults]):
    class Meta:
        model = Defaults

    name = factory.Sequence(lambda n: f"name {n}")


class ByUUIDFactory(AsyncTortoiseModelFactory[ByUUID]):
    class Meta:
        model = ByUUID

    name = factory.Sequence(lambda n: f"name {n}")


class ByCharFactory(AsyncTortoiseModelFactory[ByChar]):
    class Meta:
        model = ByChar

    slug = factory.Sequence(lambda n: f"slug{n}")


class ChildFactory(AsyncTortoiseModelFactory[Child]):
    class Meta:
        model = Child

    parent = factory.SubFactory(ByUUIDFactory)


class CounterFactory(AsyncTortoiseModelFactory[Counter]):
    class Meta:
        model = Counter

    name = factory.Sequence(lambda n: f"name {n}")


class AuditedFactory(CounterFactory):
    class Meta:
        model = Audited


@pytest.fixture(params=params(stores.STORES, 2))
async def database(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised with the models of this module, on each backend in turn."""
    kind: type[stores.TortoiseStore] = request.param
    url = kind.url(servers, __name__)
    async with stores.opened_context(kind.id, url, __name__, app="batches") as context:
        yield context


@pytest.fixture(params=params(stores.STORES, 2))
async def connection(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncGenerator[BaseDBAsyncClient]:
    """The connection of a transaction, with the models that all stores have."""
    kind: type[stores.TortoiseStore] = request.param
    async with stores.opened_context(kind.id, kind.url(servers, stores.__name__), stores.__name__):
        for one in (CompanyFactory, UserFactory, PostFactory):
            one.reset_sequence(0, force=True)
        async with in_transaction() as connection:
            yield connection


class Statements(logging.Handler):
    """Keeps the statements that Tortoise logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(str(record.args[0] if isinstance(record.args, tuple) else record.msg))

    @property
    def sent(self) -> list[str]:
        """The first words of each, e.g. ``INSERT INTO post``."""
        plain = (text.translate(str.maketrans("", "", '`"')) for text in self.texts)
        return [" ".join(text.split()[:3]) if "INSERT" in text else text[:6] for text in plain]


@pytest.fixture
def statements(request: pytest.FixtureRequest) -> Generator[Statements]:
    """The statements that are sent from when the database has been set up."""
    used = {"database", "connection"} & set(request.fixturenames)
    request.getfixturevalue(used.pop())
    handler = Statements()
    with stores.logging_to(handler):
        yield handler


# --- what a batch costs ----------------------------------------------------------------------


class UserWithPostsFactory(UserFactory):
    posts = factory.RelatedFactoryList(PostFactory, "author", size=2)


@pytest.mark.unmeasured
async def test_a_thousand_users(connection: BaseDBAsyncClient, statements: Statements) -> None:
    """A thousand users with a company and two posts each are four INSERTs and no SELECT."""
    users = await UserWithPostsFactory.create_batch_async(1000)
    assert statements.sent == [
        "INSERT INTO company",
        "INSERT INTO app_user",
        "INSERT INTO post",
        "INSERT INTO post",
    ]
    assert [user.id for user in users] == list(range(1, 1001))
    stored = await stores.User.all().order_by("id").select_related("company")
    assert [user.name for user in stored] == [f"user{n}" for n in range(1000)]
    assert [user.company.name for user in stored] == [f"company{n}" for n in range(1000)]
    assert all(user.company_key == user.company.id for user in stored)
    authors = await stores.Post.all().order_by("id").values_list("author_id", flat=True)
    assert authors == [user.id for user in users for _ in range(2)]


@pytest.mark.unmeasured
async def test_long_lists_add_pages_not_waves(
    connection: BaseDBAsyncClient, statements: Statements
) -> None:
    """A list of 20 posts for each of 100 users adds a page of 1,000 rows, not a wave."""

    class Factory(UserFactory):
        posts = factory.RelatedFactoryList(PostFactory, "author", size=20)

    await Factory.create_batch_async(100)
    assert statements.sent == [
        "INSERT INTO company",
        "INSERT INTO app_user",
        "INSERT INTO post",
        "INSERT INTO post",
    ]


async def test_one_object_with_many(connection: BaseDBAsyncClient, statements: Statements) -> None:
    """One create_async with fifty related objects is three INSERTs."""

    class Factory(UserFactory):
        posts = factory.RelatedFactoryList(PostFactory, "author", size=50)

    await Factory.create_async()
    assert statements.sent == ["INSERT INTO company", "INSERT INTO app_user", "INSERT INTO post"]


async def test_get_or_create(connection: BaseDBAsyncClient, statements: Statements) -> None:
    """A thousand get_or_create of ten values are one SELECT and one INSERT."""
    companies = await NamedCompanyFactory.create_batch_async(
        1000, name=factory.Sequence(lambda n: f"name{n % 10}")
    )
    assert statements.sent == ["SELECT", "INSERT INTO company"]
    assert len({id(company) for company in companies}) == 10
    assert [company.name for company in companies[:3]] == ["name0", "name1", "name2"]
    statements.texts.clear()
    names = [f"name{n}" for n in range(12)]
    found = await NamedCompanyFactory.create_batch_async(12, name=factory.Iterator(names))
    assert statements.sent == ["SELECT", "INSERT INTO company"]
    assert [company.name for company in found] == names
    assert await stores.Company.all().order_by("id").values_list("name", flat=True) == names


@pytest.mark.unmeasured
async def test_many_lookups(connection: BaseDBAsyncClient, statements: Statements) -> None:
    """A SELECT looks up 500 objects, be it by one field or by several."""

    class ByBoth(CompanyFactory):
        class Meta:
            tortoise_get_or_create = ("name", "size")

    for made in (NamedCompanyFactory, ByBoth):
        statements.texts.clear()
        made.reset_sequence(0, force=True)
        companies = await made.create_batch_async(1000)
        assert [company.name for company in companies] == [f"company{n}" for n in range(1000)]
        inserts = ["INSERT INTO company"] if made is NamedCompanyFactory else []
        assert statements.sent == ["SELECT"] * 2 + inserts


@pytest.mark.unmeasured
async def test_fetch(connection: BaseDBAsyncClient, statements: Statements) -> None:
    """tortoise_fetch costs a SELECT for each relation, for 500 of the objects returned."""

    class Factory(UserWithPostsFactory):
        class Meta:
            tortoise_fetch = ("posts", "company")

    users = await Factory.create_batch_async(600)
    assert statements.sent.count("SELECT") == 4
    assert all(len(user.posts) == 2 for user in users)


@pytest.mark.unmeasured
async def test_wide_rows(database: TortoiseContext, statements: Statements) -> None:
    """A statement has no more parameters than the drivers take."""
    wide = [Wide() for _ in range(1000)]
    async with in_transaction():
        await TortoiseAdapter().save_many(wide)
    assert statements.sent == ["INSERT INTO batch_wide"] * 2
    assert [one.pk for one in wide] == list(range(1, 1001))


MARIADB = [stores.MariaDB]


@pytest.mark.parametrize("database", MARIADB, indirect=True, ids=[s.id for s in MARIADB])
async def test_long_rows(database: TortoiseContext, statements: Statements) -> None:
    """A statement is not longer than the server takes, where values are a part of it."""
    limit = (await database.db().execute_query_dict("SELECT @@max_allowed_packet AS bytes"))[0]
    statements.texts.clear()
    text = "long " * 60_000
    size = 2 + limit["bytes"] // len(text)
    made = await EverythingFactory.create_batch_async(size, text=text)
    assert statements.sent == ["INSERT INTO batch_everything"] * -(-size // 3)
    assert [one.id for one in made] == list(range(1, size + 1))


async def test_pages_are_stored_all_or_none(database: TortoiseContext) -> None:
    """Without a transaction of the caller's, too, none of a wave is stored if a row is refused."""
    made = [ByChar(slug=f"{n}") for n in range(1200)]
    with pytest.raises(IntegrityError):
        await TortoiseAdapter().save_many([*made, ByChar(slug="0")])
    assert await ByChar.all().count() == 0
    await TortoiseAdapter().save_many(made)
    assert await ByChar.all().count() == 1200


async def test_gather(database: TortoiseContext) -> None:
    """Batches of several tasks share a transaction."""
    async with in_transaction():
        batches = await asyncio.gather(*(DefaultsFactory.create_batch_async(20) for _ in range(5)))
    keys = [one.id for batch in batches for one in batch]
    assert len(set(keys)) == 100
    stored = {one.id: one.name for one in await Defaults.all()}
    assert stored == {one.id: one.name for batch in batches for one in batch}


# --- as under create(): what is stored, and what can be read ----------------------------------

VALUES: dict[str, Sequence[Any]] = {
    "char": ["a", None, 'it\'s 100% "quoted" \\ back', "ü"],
    "small": [1, 2, -32768, 32767],
    "big": [1, None, 2**62, 40_000],
    "truth": [True, None, False, True],
    "ratio": [0.5, None, 1e300, 3],
    "price": [Decimal("1.50"), None, Decimal("-3"), "4.25"],
    "moment": [
        datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=datetime.timezone.utc),
        None,
        "2024-02-29T12:30:15+00:00",
        datetime.datetime(1999, 1, 1, tzinfo=datetime.timezone.utc),
    ],
    "day": [datetime.date(2024, 2, 29), None, "2024-03-01", datetime.date(1999, 1, 1)],
    "period": [datetime.timedelta(3), None, datetime.timedelta(0, 0, 1), -datetime.timedelta(1)],
    "data": [{"a": [1, None]}, None, ["list"], {"it's": '"'}],
    "token": [UUID(int=1), None, str(UUID(int=2)), UUID(int=3)],
    "bytes": [b"\x00\xff", None, b"", b"'"],
    "color": [Color.RED, None, "blue", Color.BLUE],
    "level": [Level.LOW, None, 2, Level.HIGH],
}


async def test_fields_of_all_kinds(database: TortoiseContext, statements: Statements) -> None:
    """Whatever its fields, an object of a batch is as one from create(), and stored as that."""
    by_hand = [
        await Everything.create(text="text", **{name: some[n] for name, some in VALUES.items()})
        for n in range(4)
    ]
    statements.texts.clear()
    iterators = {name: factory.Iterator(some) for name, some in VALUES.items()}
    batch = await EverythingFactory.create_batch_async(4, text="text", **iterators)
    assert statements.sent == ["INSERT INTO batch_everything"]
    own = ("id", "created", "changed", "awaited")
    for one, other in zip(by_hand, batch, strict=True):
        assert other.awaited.startswith("default ")
        assert vars(one).keys() == vars(other).keys()
        for name, value in vars(one).items():
            assert type(getattr(other, name)) is type(value)
            assert name in own or getattr(other, name) == value
    rows = await database.db().execute_query_dict("SELECT * FROM batch_everything ORDER BY number")
    for one, other in zip(rows[:4], rows[4:], strict=True):
        assert all(other[name] == value for name, value in one.items() if name in VALUES)
    stored = await Everything.all().order_by("id")
    for one, other in zip(batch, stored[4:], strict=True):
        assert (one.id, one.awaited) == (other.id, other.awaited)
        # MariaDB keeps the time zone apart.
        assert one.created.timestamp() == pytest.approx(other.created.timestamp(), abs=1)
    assert len({one.awaited for one in stored}) == 8


async def test_objects_are_saved_again(database: TortoiseContext, statements: Statements) -> None:
    """To save an object of a batch once more updates its row."""
    for one in await CounterFactory.create_batch_async(3):
        one.name = "changed"
        await one.save()
    assert await Counter.filter(name="changed").count() == await Counter.all().count() == 3
    assert statements.sent[:4] == ["INSERT INTO batch_counter", *["UPDATE"] * 3]


async def test_validators(database: TortoiseContext) -> None:
    """A value that a field's validator refuses fails the batch, before any row is inserted."""

    class Factory(CounterFactory):
        size = factory.Iterator([1, -1, -2])

    with pytest.raises(ValidationError, match="size: Value should be greater or equal to 0"):
        await Factory.create_batch_async(3)
    assert await Counter.all().count() == 0


async def test_defaults(database: TortoiseContext, statements: Statements) -> None:
    """What the database makes up is read back by the INSERT itself, whoever has it made up."""
    made = await DefaultsFactory.create_batch_async(3)
    assert statements.sent == ["INSERT INTO batch_defaults"]
    stored = await Defaults.all().order_by("id")
    assert [one.status for one in made] == ["new"] * 3
    assert [one.stamp for one in made] == [one.stamp for one in stored]
    assert [one.name for one in made] == [one.name for one in stored]


async def test_defaults_of_some(database: TortoiseContext, statements: Statements) -> None:
    """Some objects of a batch may have a value for what others leave to the database."""
    moment = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)
    status = "given"

    class Factory(DefaultsFactory):
        class Params:
            old = factory.Trait(stamp=moment)
            given = factory.Trait(status=status)

    flags = factory.Iterator([True, False, False, True])
    made = await Factory.create_batch_async(4, given=flags, old=factory.Iterator([False, True]))
    statuses = ["given", "new", "new", "given"]
    assert made[0].status is made[3].status is status  # not read back
    assert [one.status for one in made] == statuses
    assert [one.stamp == moment for one in made] == [False, True] * 2
    stored = await Defaults.all().order_by("id")
    assert [one.status for one in stored] == statuses
    assert [one.stamp for one in made] == [one.stamp for one in stored]
    assert [one.id for one in made] == [one.id for one in stored]
    # SQLite has no keyword for a default among values.
    sqlite = database.default_connection == stores.SQLite.id
    inserts = [one for one in statements.sent if "INSERT" in one]
    assert inserts == ["INSERT INTO batch_defaults"] * (4 if sqlite else 1)


async def test_rows_without_values(database: TortoiseContext) -> None:
    """Objects that leave all of their columns to the database can be created in a batch."""
    adapter = TortoiseAdapter[OnlyDefaults]()
    made = await adapter.save_many([OnlyDefaults() for _ in range(3)])
    given = [OnlyDefaults(status="given"), OnlyDefaults(), OnlyDefaults(status="given")]
    made = [*made, *await adapter.save_many(given)]
    assert [one.id for one in made] == [1, 2, 3, 4, 5, 6]
    statuses = ["new", "new", "new", "given", "new", "given"]
    assert [one.status for one in made] == statuses
    assert [one.status for one in await OnlyDefaults.all().order_by("id")] == statuses


async def test_generated_columns(database: TortoiseContext, statements: Statements) -> None:
    """Columns that the database generates are read back by the INSERT."""
    for model in (Doubled, DoubledByUUID):
        statements.texts.clear()
        made: Sequence[Any] = [model(size=n) for n in range(5)]
        await TortoiseAdapter[Any]().save_many(made)
        assert statements.sent == [f"INSERT INTO {model._meta.db_table}"]
        assert [one.double for one in made] == [0, 2, 4, 6, 8]
        assert {one.pk: one.size for one in await model.all()} == {one.pk: one.size for one in made}


# --- keys ------------------------------------------------------------------------------------


async def test_keys_of_the_client(database: TortoiseContext, statements: Statements) -> None:
    """Keys that are UUIDs, strings, relations or given integers are stored by one INSERT."""
    children = await ChildFactory.create_batch_async(
        3, friend=factory.SubFactory(ByCharFactory), parent__name=factory.Sequence(str)
    )
    given = await CounterFactory.create_batch_async(3, id=factory.Iterator([30, 10, 20]))
    assert sorted(statements.sent) == [
        "INSERT INTO batch_char",
        "INSERT INTO batch_child",
        "INSERT INTO batch_counter",
        "INSERT INTO batch_uuid",
    ]
    for child in children:
        stored = await Child.get(parent_id=child.pk).select_related("parent", "friend")
        assert isinstance(child.parent.id, UUID)
        assert stored.parent_id == child.parent.id == child.pk
        assert stored.parent.name == child.parent.name
        assert stored.friend.slug == child.friend.slug
        assert child.status == child.parent.status == child.friend.status == "new"
    assert [one.id for one in given] == [30, 10, 20]
    assert {one.id: one.name for one in await Counter.all()} == {one.id: one.name for one in given}


async def test_given_keys_among_others(database: TortoiseContext) -> None:
    """Objects with and without a given key are stored in their order, as by a loop."""

    class Factory(CounterFactory):
        class Params:
            given = None
            with_key = factory.Trait(id=factory.SelfAttribute("given"))

        with_key = factory.LazyAttribute(lambda counter: counter.given is not None)

    keys = [None, None, 100, None, 50, 200, None]
    async with in_transaction() as connection:
        made = await Factory.create_batch_async(len(keys), given=factory.Iterator(keys))
        stored = {one.id: one.name for one in await Counter.all()}
        assert stored == {one.id: one.name for one in made}
        await connection.rollback()
    made_up = [one.id for one, key in zip(made, keys, strict=True) if one.id != key]
    if connection.capabilities.dialect == "postgres":
        assert made_up == [1, 2, 3, 4]
    else:  # which count on from the highest key
        assert made_up == [1, 2, 101, 201]


async def test_key_by_default(database: TortoiseContext) -> None:
    """A key that is a default of its column can be read, where the database tells it."""
    made = [ByDefault(), ByDefault(key="given")]
    await TortoiseAdapter[ByDefault]().save_many(made)
    if database.default_connection != stores.MariaDB.id:  # which Tortoise does not ask for it
        assert made[0].key == "made up"
    assert made[1].key == "given"
    assert set(await ByDefault.all().values_list("key", flat=True)) == {"made up", "given"}


async def test_hidden_by_the_manager(database: TortoiseContext) -> None:
    """What the model's manager hides is returned whole."""
    made = await TortoiseAdapter[Hidden]().save_many([Hidden(slug="a"), Hidden(slug="b")])
    assert ([one.status for one in made], await Hidden.all()) == (["new", "new"], [])


async def test_server_without_returning(
    database: TortoiseContext, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not know RETURNING, as MySQL, is told rows one by one for their keys."""

    async def never(connection: BaseDBAsyncClient) -> bool:
        return False

    monkeypatch.setattr(inserts, "_knows_returning", never)
    counters = await CounterFactory.create_batch_async(3)
    assert statements.sent == ["INSERT INTO batch_counter"] * 3
    assert [one.id for one in counters] == [1, 2, 3]
    statements.texts.clear()
    # Keys that are known, and what is not by one SELECT.
    children = await ChildFactory.create_batch_async(3)
    assert statements.sent == [
        "INSERT INTO batch_uuid",
        "SELECT",
        "INSERT INTO batch_child",
        "SELECT",
    ]
    assert [child.status for child in children] == [child.parent.status for child in children]
    made = await DefaultsFactory.create_batch_async(3)
    assert [one.id for one in made] == [1, 2, 3]
    assert [one.stamp for one in made] == [one.stamp for one in await Defaults.all().order_by("id")]
    hidden = await TortoiseAdapter[Hidden]().save_many([Hidden(slug="a"), Hidden(slug="b")])
    assert [one.status for one in hidden] == ["new", "new"]


@pytest.mark.parametrize(
    ("server", "returning"),
    [
        ("5.5.5-10.11.19-MariaDB-0+deb12u1", True),
        ("11.4.2-MariaDB", True),
        ("10.6.12-8-MariaDB-enterprise", True),
        ("5.5.5-10.4.34-MariaDB", False),
        ("8.0.36", False),
        ("5.7.44-log", False),
    ],
)
def test_mariadb_is_told_from_mysql(server: str, returning: bool) -> None:
    """RETURNING is asked of MariaDB since 10.5, by what the server says its version is."""
    assert inserts._is_mariadb_with_returning(server) is returning


POSTGRESQL = [stores.PostgreSQLAsyncpg, stores.PostgreSQLPsycopg]


@pytest.mark.parametrize("database", POSTGRESQL, indirect=True, ids=[s.id for s in POSTGRESQL])
async def test_keys_that_tell_nothing(database: TortoiseContext) -> None:
    """If the keys do not show which row is whose, the batch fails; one by one it does not."""
    await database.db().execute_script(
        "ALTER SEQUENCE batch_counter_id_seq INCREMENT BY -1 MINVALUE -100 RESTART WITH -1;"
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.slug = upper(NEW.slug); RETURN NEW; END $$;"
        "CREATE TRIGGER shout BEFORE INSERT ON batch_char "
        "FOR EACH ROW EXECUTE FUNCTION shout()"
    )
    for made in (CounterFactory, ByCharFactory):
        async with in_transaction() as connection:
            with pytest.raises(AdapterError, match=r"not tell which row is whose.*save_many = "):
                await made.create_batch_async(3)
            await connection.rollback()

    class OneByOne(TortoiseAdapter[Any]):
        save_many = PersistenceAdapter.save_many

    class Factory(CounterFactory):
        class Meta:
            adapter = OneByOne()

    counters = await Factory.create_batch_async(3)
    stored = {one.id: one.name for one in await Counter.all()}
    assert stored == {one.id: one.name for one in counters}


# --- signals, save() -------------------------------------------------------------------------


@pytest.fixture
def sent() -> Generator[list[Any]]:
    """What the signals of Counter have been sent with."""
    sent: list[Any] = []

    @pre_save(Counter)
    async def before(sender: Any, instance: Any, *args: Any) -> None:
        sent.append(("pre", sender, instance.name, instance.id, instance._saved_in_db, *args))
        instance.name += "!"

    @post_save(Counter)
    async def after(sender: Any, instance: Any, *args: Any) -> None:
        sent.append(("post", sender, instance.name, instance.id, instance._saved_in_db, *args))

    yield sent
    for listeners in Model._listeners.values():
        listeners.pop(Counter, None)


async def test_signals(database: TortoiseContext, statements: Statements, sent: list[Any]) -> None:
    """Signals are sent for each object, in order, around the INSERT, as by create()."""
    await Counter.create(name="by hand")
    alone, sent[:] = sent[:], []
    statements.texts.clear()
    made = await CounterFactory.create_batch_async(2, name=factory.Iterator(["a", "b"]))
    assert [one.name for one in made] == ["a!", "b!"]
    assert await Counter.all().order_by("id").values_list("name", flat=True) == [
        "by hand!",
        "a!",
        "b!",
    ]
    assert statements.sent[0] == "INSERT INTO batch_counter"
    pool = database.db()
    keys = [one.id for one in made]
    assert alone == [
        ("pre", Counter, "by hand", None, False, pool, None),
        ("post", Counter, "by hand!", keys[0] - 1, True, True, pool, None),
    ]
    assert sent == [
        ("pre", Counter, "a", None, False, pool, None),
        ("pre", Counter, "b", None, False, pool, None),
        ("post", Counter, "a!", keys[0], True, True, pool, None),
        ("post", Counter, "b!", keys[1], True, True, pool, None),
    ]


async def test_signals_over_several_pages(database: TortoiseContext, sent: list[Any]) -> None:
    """Listeners are given the connection of the call, and not that of the pages."""
    await CounterFactory.create_batch_async(3, id=factory.Iterator([10, 20, 30]))
    sent.clear()
    made = [Counter(name="a"), Counter(name="b", id=40), Counter(name="c")]
    await TortoiseAdapter[Counter]().save_many(made)
    assert [kind for kind, *_ in sent] == ["pre"] * 3 + ["post"] * 3
    assert all(database.db() in args for args in sent)


async def test_listener_that_creates(database: TortoiseContext, sent: list[Any]) -> None:
    """A listener may create a batch of its own, in the same transaction."""

    @post_save(Counter)
    async def create(sender: Any, instance: Any, *args: Any) -> None:
        await ByCharFactory.create_batch_async(2, status=instance.name)

    async with in_transaction() as connection:
        await asyncio.wait_for(CounterFactory.create_batch_async(3), 20)
        assert await ByChar.all().count() == 6
        await connection.rollback()
    assert await ByChar.all().count() == 0


async def test_overridden_save(database: TortoiseContext, statements: Statements) -> None:
    """An overridden save() is called for each object, with what create() calls it with."""
    made = await AuditedFactory.create_batch_async(3, name="name")
    assert statements.sent == ["INSERT INTO batch_audited"] * 3
    by_hand = await Audited.create(name="name")
    for one in made:
        assert one.saved_with == by_hand.saved_with
        assert one.name == "name, saved"
    assert await Audited.filter(name="name, saved").count() == 4


async def test_adapter_with_its_own_save(database: TortoiseContext) -> None:
    """A subclass of the adapter that stores objects in its own way does so in a batch, too."""

    class Shouting(TortoiseAdapter[Counter]):
        async def save(self, instance: Counter) -> Counter:
            instance.name = instance.name.upper()
            return await super().save(instance)

    class Factory(CounterFactory):
        class Meta:
            adapter = Shouting()

    await Factory.create_batch_async(2, name="name")
    assert await Counter.filter(name="NAME").count() == 2


async def test_models_that_derive_from_one(database: TortoiseContext) -> None:
    """A factory may create objects of several models: each is stored as its own model's."""

    class Factory(CounterFactory):
        size = factory.Sequence(lambda n: n)

        @classmethod
        def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
            chosen = Audited if kwargs["size"] % 2 else Counter
            return super()._create(chosen, *args, **kwargs)

    made = await Factory.create_batch_async(4, name="name")
    assert len({type(one) for one in made}) == 2
    assert [type(one) is Audited for one in made] == [one.size % 2 == 1 for one in made]
    mixed = [Counter(name="a"), Audited(name="b"), Counter(name="c")]
    await TortoiseAdapter[Counter]().save_many(mixed)
    assert (await Counter.all().count(), await Audited.all().count()) == (4, 3)
    assert [type(one).__name__ for one in mixed if one.id is not None] == [
        "Counter",
        "Audited",
        "Counter",
    ]


# --- get_or_create ---------------------------------------------------------------------------


async def test_lookups_by_relation(database: TortoiseContext, statements: Statements) -> None:
    """Objects are looked up together by relations, by keys, and by what may be NULL."""
    friends = await ByCharFactory.create_batch_async(2)
    children = await ChildFactory.create_batch_async(
        3, friend=factory.Iterator([*friends, None], cycle=False)
    )

    class ByParent(ChildFactory):
        class Meta:
            tortoise_get_or_create = ("parent", "friend")

    class ByKey(ChildFactory):
        class Meta:
            tortoise_get_or_create = ("pk",)

    for made in (ByParent, ByKey):
        statements.texts.clear()
        found = await made.create_batch_async(
            3,
            parent=factory.Iterator([child.parent for child in children]),
            friend=factory.Iterator([*friends, None]),
            **({"pk": factory.Iterator([child.pk for child in children])} if made is ByKey else {}),
        )
        assert statements.sent == ["SELECT"]
        assert found == children
    assert await Child.all().count() == 3


async def test_lookups_by_null(database: TortoiseContext) -> None:
    """What may be NULL can be looked up, with the same answers as for a single object."""
    rows = await EverythingFactory.create_batch_async(2, char=factory.Iterator([None, "a"]))
    by_char = TortoiseAdapter[Everything]()
    found = await by_char.find_many(Everything, [{"char": "a"}, {"char": None}, {"char": "b"}])
    assert found == [rows[1], rows[0], None]
    found = await by_char.find_many(Everything, [{"pk": rows[0].id}, {"pk": str(rows[0].id)}])
    assert found == [rows[0]] * 2
    child = await ChildFactory.create_async()
    lookups: list[Any] = [{"friend": ByChar()}, {"friend": None}]
    adapter = TortoiseAdapter[Child]()
    expected = [await adapter.find(Child, lookup) for lookup in lookups]
    assert expected[1] == child
    assert await adapter.find_many(Child, lookups) == expected


async def test_lookups_by_a_backward_relation(
    connection: BaseDBAsyncClient, statements: Statements
) -> None:
    """What has no column of its own, such as a backward relation, is looked up one by one."""
    posts = await PostFactory.create_batch_async(2)
    statements.texts.clear()
    adapter = TortoiseAdapter[stores.User]()
    found = await adapter.find_many(stores.User, [{"posts": post.id} for post in posts])
    assert found == [post.author for post in posts]
    assert statements.sent == ["SELECT"] * 2


async def test_lookups_by_what_cannot_be_compared(database: TortoiseContext) -> None:
    """What Python cannot hash, such as JSON, is looked up one by one."""
    if database.default_connection != stores.SQLite.id:
        return  # the others compare JSON in ways of their own
    data: list[Any] = [["list"], {"a": 1}]
    await EverythingFactory.create_batch_async(2, data=factory.Iterator(data))
    adapter = TortoiseAdapter[Everything]()
    found = await adapter.find_many(Everything, [{"data": one} for one in data])
    assert [one.data for one in found if one] == data


async def test_lookups_by_the_database_s_equality(
    database: TortoiseContext, statements: Statements
) -> None:
    """A batch finds what the database takes for equal, as a single call does."""

    class BySlug(ByCharFactory):
        class Meta:
            tortoise_get_or_create = ("slug",)

    first = await ByCharFactory.create_async(slug="acme")
    same = database.default_connection == stores.MariaDB.id
    for names in (["ACME", "other"], ["acme", "ACME", "third"]):
        statements.texts.clear()
        made = await BySlug.create_batch_async(len(names), slug=factory.Iterator(names))
        if len(names) == 2:
            assert statements.sent.count("INSERT INTO batch_char") == 1
        expected = ["acme" if same and name == "ACME" else name for name in names]
        assert [one.slug for one in made] == expected
        assert first in made or not same
    assert await ByChar.all().count() == (3 if same else 4)


async def test_refused_rows_are_not_stored_twice(database: TortoiseContext) -> None:
    """If one of a wave of get_or_create is refused, those before it are stored, as by a loop."""

    class ByStatus(ByCharFactory):
        class Meta:
            tortoise_get_or_create = ("status",)

    with pytest.raises(IntegrityError):
        await ByStatus.create_batch_async(
            3, slug=factory.Iterator("xyx"), status=factory.Sequence(str)
        )
    assert await ByChar.all().order_by("slug").values_list("slug", flat=True) == ["x", "y"]
