"""What is Piccolo's own; what all adapters promise is in test_conformance."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
import sys
import unittest
from collections.abc import AsyncGenerator
from decimal import Decimal
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import factory
import pytest
from async_factory_boy_piccolo import AsyncPiccoloTableFactory, PiccoloAdapter, adapter
from asyncpg.exceptions import UniqueViolationError
from piccolo.columns import Varchar
from piccolo.columns.defaults.base import Default
from piccolo.engine import Engine
from piccolo.engine.postgres import PostgresEngine
from piccolo.engine.sqlite import SQLiteEngine
from piccolo.querystring import QueryString
from piccolo.table import Table
from piccolo.testing.test_case import AsyncTransactionTest
from tables import (
    Audited,
    AuditedFactory,
    Badge,
    BadgeFactory,
    Colour,
    Company,
    CompanyFactory,
    Item,
    ItemFactory,
    NamedCompanyFactory,
    Order,
    OrderFactory,
    Tag,
    TagFactory,
    User,
    UserFactory,
)
from transactions import another_transaction, undone

from async_factory_boy import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    MultipleFoundError,
    OptionError,
    bind,
)
from async_factory_boy.factory import AsyncFactory

# Where rows are stored


async def test_without_a_transaction(database: Engine[Any]) -> None:
    """Outside of a transaction a row is stored at once, with what it refers to."""
    user = await UserFactory.create_async(company__name="acme")
    assert user._exists_in_db
    found = await User.objects(User.company).get(User.id == user.id)
    assert found is not None
    assert found.company.name == "acme"


async def test_in_a_transaction(database: Engine[Any]) -> None:
    """Inside of DB.transaction() rows become part of it, and nothing is committed."""
    async with undone(database):
        await UserFactory.create_async()
        await UserFactory.create_batch_async(3)
        await NamedCompanyFactory.create_batch_async(3)
        assert await Company.count() == 7
    assert await Company.count() == await User.count() == 0


async def test_transaction_of_a_fixture(fixture_transaction: Engine[Any]) -> None:
    """A transaction that a fixture has begun is the one that a test is in."""
    assert fixture_transaction.transaction_exists()
    await UserFactory.create_async()
    await fixture_transaction.current_transaction.get().rollback()
    assert await User.count() == 0


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Piccolo's test case needs Python 3.11")
async def test_piccolos_test_case(sqlite: Engine[Any]) -> None:
    """Piccolo's own AsyncTransactionTest undoes what its tests create."""

    class Tests(AsyncTransactionTest):
        db = sqlite

        async def test(self) -> None:
            await UserFactory.create_batch_async(2)
            assert await User.count() == 2

    result = unittest.TestResult()
    await asyncio.to_thread(Tests("test").run, result)
    assert result.testsRun == 1
    assert result.wasSuccessful(), result.errors + result.failures
    assert await User.count() == 0


@pytest.fixture
async def fixture_transaction(database: Engine[Any]) -> AsyncGenerator[Engine[Any]]:
    async with database.transaction():
        yield database


async def test_piccolo_transaction(postgresql: Engine[Any]) -> None:
    """A call stores in the transaction that it is given, not in the one it is made in."""
    async with another_transaction(postgresql) as another, undone(postgresql) as own:
        user = await UserFactory.create_async(piccolo_transaction=another)
        await UserFactory.create_batch_async(2, piccolo_transaction=another)
        found = await NamedCompanyFactory.create_async(
            name=user.company.name, piccolo_transaction=another
        )
        assert found.id == user.company.id
        assert postgresql.current_transaction.get() is own
        assert await User.count() == 0
    assert await User.count() == 3


async def test_bind(postgresql: Engine[Any]) -> None:
    """A transaction can be bound for many calls."""
    async with another_transaction(postgresql) as another:
        with bind(piccolo_transaction=another):
            await UserFactory.create_async()
        assert await User.count() == 0
    assert await User.count() == 1


async def test_transaction_of_a_hook(database: Engine[Any]) -> None:
    """What a hook creates inside of a transaction of its own is part of that one."""

    class WithStaff(CompanyFactory):
        @factory.post_generation
        async def staff(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            async with undone(database):
                await UserFactory.create_batch_async(2, company=company)

    company = await WithStaff.create_async()
    assert await Company.exists().where(Company.id == company.id)
    assert await User.count() == 0


async def test_transactions_of_the_hooks_of_a_batch(postgresql: Engine[Any]) -> None:
    """So it is in a batch, whose hooks run side by side (in SQLite, one has to wait)."""
    entered: list[Any] = []

    class SideBySide(CompanyFactory):
        @factory.post_generation
        async def staff(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            async with undone(postgresql) as transaction:
                entered.append(transaction)
                await UserFactory.create_async(company=company)
                assert await User.count() == 1
                assert postgresql.current_transaction.get() is transaction

    await asyncio.wait_for(SideBySide.create_batch_async(3), 20)
    assert len(set(entered)) == 3
    assert not postgresql.transaction_exists()
    assert (await Company.count(), await User.count()) == (3, 0)


async def test_pool(postgresql: PostgresEngine) -> None:
    """The connections of a pool are used, where there is one."""
    await postgresql.start_connection_pool(min_size=1, max_size=2)
    try:
        await asyncio.gather(*(UserFactory.create_async() for _ in range(20)))
        async with postgresql.transaction():
            await asyncio.gather(*(UserFactory.create_async() for _ in range(20)))
    finally:
        await postgresql.close_connection_pool()
    assert await User.count() == 40


# Many at once


async def test_gather(database: Engine[Any]) -> None:
    """Many calls at once work outside of a transaction: SQLite has one writer at a time."""
    users = await asyncio.gather(*(UserFactory.create_async() for _ in range(20)))
    assert {user["id"] for user in await User.select(User.id)} == {user.id for user in users}
    assert await Company.count() == 20


async def test_gather_on_a_file_that_is_not_waited_for(sqlite: SQLiteEngine) -> None:
    """No call has to wait for SQLite's lock, which gives up after a time."""
    sqlite.connection_kwargs["timeout"] = 0
    await asyncio.gather(*(UserFactory.create_async() for _ in range(20)))
    assert await User.count() == 20


async def test_a_hook_that_waits_for_another_task(database: Engine[Any]) -> None:
    """Outside of a transaction, a hook may wait for what another task creates, such as a server."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def serve() -> None:
        await asked.wait()
        await CompanyFactory.create_async()
        answered.set()

    class Asking(UserFactory):
        @factory.post_generation
        async def ask(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            asked.set()
            await answered.wait()

    server = asyncio.create_task(serve())
    await asyncio.wait_for(Asking.create_async(), 10)
    await server
    assert await Company.count() == 2


async def test_gather_in_a_transaction(database: Engine[Any]) -> None:
    """Many calls at once share a transaction, whose connection takes one statement at a time."""

    class Fetched(UserFactory):
        class Meta:
            piccolo_prefetch = ("company",)

    async with database.transaction():
        company = await CompanyFactory.create_async()
        calls = [Fetched.create_async(company=company.id) for _ in range(10)]
        named = [NamedCompanyFactory.create_async(name=f"acme{n % 2}") for n in range(10)]
        _, companies = await asyncio.gather(asyncio.gather(*calls), asyncio.gather(*named))
        assert len({company.id for company in companies}) == 2
    assert await User.count() == 10
    assert await Company.count() == 3


async def test_refused_while_others_store(database: Engine[Any]) -> None:
    """A row that is refused in a get_or_create takes nothing with it that another task stores."""

    class ByRank(CompanyFactory):
        class Meta:
            piccolo_get_or_create = ("rank",)

    async with database.transaction():
        await CompanyFactory.create_async(name="taken")
        refused = [ByRank.create_async(name="taken", rank=100 + n) for n in range(5)]
        kept = [CompanyFactory.create_async() for _ in range(5)]
        results = await asyncio.gather(*refused, *kept, return_exceptions=True)
        assert sum(isinstance(result, Exception) for result in results) == 5
    assert await Company.count() == 6


async def test_cancelled_while_waiting(database: Engine[Any]) -> None:
    """A call that is cancelled while others use the transaction keeps nobody waiting."""
    done = asyncio.Event()

    class Waiting(CompanyFactory):
        @factory.post_generation
        async def wait(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await done.wait()

    async with database.transaction():
        working = asyncio.create_task(Waiting.create_async(name="working"))
        calls = [
            asyncio.create_task(one.create_async(name="cancelled"))
            for one in (CompanyFactory, NamedCompanyFactory)
        ]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        done.set()
        await working
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        await NamedCompanyFactory.create_async(name="after")
    names = [row["name"] for row in await Company.select(Company.name)]
    assert names == ["working", "after"]


async def test_cancelled_while_the_database_works(postgresql: Engine[Any]) -> None:
    """A get_or_create that is cancelled while it inserts leaves the transaction usable."""
    async with postgresql.transaction():
        await CompanyFactory.create_async(name="before")
        slow = QueryString("(SELECT 1 FROM pg_sleep(30))")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(NamedCompanyFactory.create_async(name="slow", rank=slow), 0.5)
        await CompanyFactory.create_async(name="after")
    assert {row["name"] for row in await Company.select(Company.name)} == {"before", "after"}


# get_or_create


async def test_get_or_create(database: Engine[Any]) -> None:
    """A row that has the values is found, and a new one is stored where there is none."""
    first = await NamedCompanyFactory.create_async(name="acme")
    again = await NamedCompanyFactory.create_async(name="acme", rank=99)
    assert (again.id, again.rank, again._exists_in_db) == (first.id, 10, True)
    assert (await NamedCompanyFactory.create_async(name="other")).id != first.id


async def test_refused_in_a_transaction(database: Engine[Any]) -> None:
    """A row that the database refuses costs nothing of what was done before."""

    class ByRank(CompanyFactory):
        class Meta:
            piccolo_get_or_create = ("rank",)

    async with database.transaction():
        await CompanyFactory.create_async(name="acme")
        with pytest.raises(adapter.PiccoloAdapter.conflicts):
            await ByRank.create_async(name="acme", rank=1)
        await CompanyFactory.create_async(name="after")
    assert {row["name"] for row in await Company.select(Company.name)} == {"acme", "after"}


@pytest.mark.parametrize("inside", [True, False], ids=["transaction", "autocommit"])
async def test_lost_race(postgresql: Engine[Any], inside: bool) -> None:
    """Who loses a race for a unique value gets the winner's row, in a batch as alone."""

    class Overtaken(PiccoloAdapter[Company]):
        async def find_many(self, model: Any, lookups: Any) -> Any:
            found = await super().find_many(model, lookups)
            async with another_transaction(postgresql) as another:
                await CompanyFactory.create_async(
                    name="name2", rank=99, piccolo_transaction=another
                )
            return found

    class Racing(CompanyFactory):
        class Meta:
            adapter = Overtaken(get_or_create=("name",))

        name = factory.Sequence(lambda n: f"name{n}")

    async def race() -> list[Company]:
        await CompanyFactory.create_async(name="before")
        return await Racing.create_batch_async(3)

    if inside:
        async with postgresql.transaction():
            companies = await race()
    else:
        companies = await race()
    assert [company.rank for company in companies] == [10, 99, 10]
    rows = await Company.select(Company.name, Company.id)
    assert {row["name"] for row in rows} == {"before", "name1", "name2", "name3"}
    by_name = {row["name"]: row["id"] for row in rows}
    assert [company.id for company in companies] == [by_name[one.name] for one in companies]


async def test_all_or_none(database: Engine[Any]) -> None:
    """Outside of a transaction, rows that are stored for one get_or_create are so all, or none."""
    stored = NamedCompanyFactory._meta.adapter_for_storing()
    await CompanyFactory.create_async(name="taken")

    async def build() -> list[Any]:
        # As many as need two statements.
        size = adapter._PARAMETERS // 3
        return [Company(name=f"new{n}") for n in range(size)] + [Company(name="taken")]

    with pytest.raises(adapter.PiccoloAdapter.conflicts):
        await stored.save_new(build)
    assert await Company.count() == 1


async def test_lookup_by_a_foreign_key(database: Engine[Any]) -> None:
    """An object, or its key, stands for a foreign key in a lookup; NULL is a value like others."""

    class ByCompany(UserFactory):
        class Meta:
            piccolo_get_or_create = ("company", "name")

        name = "same"

    company = await CompanyFactory.create_async()
    first = await ByCompany.create_async(company=company)
    assert (await ByCompany.create_async(company=company.id)).id == first.id
    nobodys = await ByCompany.create_async(company=None)
    assert (await ByCompany.create_async(company=None)).id == nobodys.id != first.id
    users = await ByCompany.create_batch_async(
        4,
        company=factory.Iterator([None, company, company.id, await CompanyFactory.create_async()]),
    )
    assert [user.id for user in users[:3]] == [nobodys.id, first.id, first.id]
    assert await User.count() == 3


async def test_lookups_of_a_batch(database: Engine[Any], statements: list[str]) -> None:
    """The rows of a batch are looked up together, and those that are missing stored together."""
    await NamedCompanyFactory.create_batch_async(700, name=factory.Sequence(lambda n: f"n{n}"))
    statements.clear()
    companies = await NamedCompanyFactory.create_batch_async(
        1000, name=factory.Iterator([f"n{n}" for n in range(1000)])
    )
    assert [company.name for company in companies] == [f"n{n}" for n in range(1000)]
    assert statements == ["SELECT", "SELECT", "INSERT"]
    assert await Company.count() == 1000


async def test_lookups_by_several_columns(database: Engine[Any], statements: list[str]) -> None:
    """So are rows that several columns identify."""

    class ByBoth(CompanyFactory):
        class Meta:
            piccolo_get_or_create = ("name", "rank")

        rank = factory.Iterator([1, None])

    await ByBoth.create_batch_async(600, name=factory.Iterator([f"n{n}" for n in range(600)]))
    statements.clear()
    again = await ByBoth.create_batch_async(
        600, name=factory.Iterator([f"n{n}" for n in range(600)])
    )
    assert set(statements) == {"SELECT"}
    assert len(statements) == 3
    assert [company.rank for company in again[:2]] == [1, None]
    assert await Company.count() == 600


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("colour", [Colour.RED, Colour.BLUE]),
        ("price", [Decimal("1.50"), Decimal("2.25")]),
        ("made", [datetime.datetime(2020, 1, d, tzinfo=datetime.timezone.utc) for d in (1, 2)]),
        ("sizes", [[1, 2], [3]]),
        ("label", ["a", "b"]),
    ],
)
async def test_lookup_by_any_column(database: Engine[Any], column: str, values: list[Any]) -> None:
    """Values of every type identify a row."""

    class ByColumn(ItemFactory):
        class Meta:
            piccolo_get_or_create = (column,)

    first = await ByColumn.create_batch_async(2, **{column: factory.Iterator(values)})
    again = await ByColumn.create_batch_async(2, **{column: factory.Iterator(values)})
    assert [item.code for item in again] == [item.code for item in first]
    assert await Item.count() == 2


async def test_lookup_by_what_only_the_database_finds_equal(database: Engine[Any]) -> None:
    """A UUID written as a string finds its row, in a batch too."""

    class ById(UserFactory):
        class Meta:
            piccolo_get_or_create = ("id",)

        id = factory.LazyFunction(lambda: str(uuid4()))

    users = await UserFactory.create_batch_async(2)
    again = await ById.create_batch_async(2, id=factory.Iterator([str(user.id) for user in users]))
    assert [user.id for user in again] == [user.id for user in users]
    lookups = [{"id": str(users[0].id)}, {"id": uuid4()}, {"id": users[1].id}]
    found = await ById._meta.adapter_for_storing().find_many(User, lookups)
    assert [one and one.id for one in found] == [users[0].id, None, users[1].id]


async def test_several_rows_have_the_values(database: Engine[Any]) -> None:
    """get_or_create by what several rows have is an error, in a single call and in a batch."""

    class ByRank(CompanyFactory):
        class Meta:
            piccolo_get_or_create = ("rank",)

    await CompanyFactory.create_batch_async(2, rank=4)
    for call in (
        ByRank.create_async(rank=4),
        ByRank.create_batch_async(2, rank=factory.Iterator([4, 6])),
    ):
        with pytest.raises(MultipleFoundError, match="one Company by 'rank', and several"):
            await call
    assert await Company.count() == 2


async def test_lookup_of_null_in_a_batch(database: Engine[Any]) -> None:
    """NULL identifies a row among other values."""

    class ByRank(CompanyFactory):
        class Meta:
            piccolo_get_or_create = ("rank",)

    first = await ByRank.create_batch_async(2, rank=factory.Iterator([None, 1]))
    again = await ByRank.create_batch_async(3, rank=factory.Iterator([1, None, 2]))
    assert [one.id for one in again[:2]] == [first[1].id, first[0].id]
    assert await Company.count() == 3


# Keys, defaults, values


async def test_keys(database: Engine[Any]) -> None:
    """Rows have their keys, whoever made those up: the database, Piccolo, or the caller."""
    badge = await BadgeFactory.create_async()
    assert isinstance(badge.id, int)
    assert (await BadgeFactory.create_async(id=2**40)).id == 2**40
    item = await ItemFactory.create_async()
    assert await Item.exists().where(Item.code == item.code)
    user = await UserFactory.create_async()
    assert isinstance(user.id, UUID)
    given = uuid4()
    assert (await UserFactory.create_async(id=given)).id == given
    assert (await TagFactory.create_async(slug="red")).slug == "red"


async def test_keys_of_a_batch(database: Engine[Any], statements: list[str]) -> None:
    """The rows of a batch are in one INSERT, and have each its own key, in order."""
    companies = await CompanyFactory.create_batch_async(1000)
    assert statements == ["INSERT"]
    assert all(company._exists_in_db for company in companies)
    rows = await Company.select(Company.id, Company.name).order_by(Company.id)
    assert [(row["id"], row["name"]) for row in rows] == [(one.id, one.name) for one in companies]
    users = await UserFactory.create_batch_async(100)
    rows = await User.select(User.id, User.name)
    assert {row["id"]: row["name"] for row in rows} == {user.id: user.name for user in users}


async def test_more_than_one_statement_takes(database: Engine[Any], statements: list[str]) -> None:
    """A batch with more values than a statement takes parameters is stored by several."""

    class Large(ItemFactory):
        class Meta:
            batch_size = 5000

    items = await Large.create_batch_async(5000, position=factory.Sequence(lambda n: n))
    assert statements == ["INSERT", "INSERT"]
    rows = await Item.select(Item.code, Item.position).order_by(Item.code)
    assert [(row["item_code"], row["position"]) for row in rows] == [
        (item.code, n) for n, item in enumerate(items)
    ]


async def test_sqlite_that_takes_few_parameters(
    sqlite: Engine[Any], statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite before 3.32 is given no more than 999 parameters."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    monkeypatch.setattr(SQLiteEngine, "get_version_sync", lambda self: 3.35)
    await CompanyFactory.create_batch_async(1000)
    assert len(statements) == 4  # of three columns
    assert await Company.count() == 1000


async def test_sqlite_that_returns_one_key_only(
    sqlite: Engine[Any], statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are inserted one by one where SQLite, before 3.35, tells the key of the last only."""
    monkeypatch.setattr(SQLiteEngine, "get_version_sync", lambda self: 3.34)
    users = await UserFactory.create_batch_async(3)
    assert statements == ["INSERT"] * 6
    rows = await User.select(User.id, User.company).order_by(User.company)
    assert [(row["id"], row["company"]) for row in rows] == [
        (user.id, user.company.id) for user in users
    ]
    items = await ItemFactory.create_batch_async(2, position=QueryString("1 + 1"))
    assert [(item.code, item.position) for item in items] == [(1, 2), (2, 2)]


async def test_defaults(database: Engine[Any]) -> None:
    """Piccolo's defaults are in what is created, and in what is stored."""
    items = [await ItemFactory.create_async(), *await ItemFactory.create_batch_async(2)]
    for item in items:
        assert item.label == "by default"
        assert isinstance(item.made, datetime.datetime)
        assert not any(isinstance(value, QueryString | Default) for value in vars(item).values())
        found = await Item.objects().get(Item.code == item.code)
        assert found is not None
        assert found.to_dict() == item.to_dict()


async def test_values_that_the_database_computes(database: Engine[Any]) -> None:
    """What is given as SQL is there as a value afterwards."""
    item = await ItemFactory.create_async(position=QueryString("1 + 1"))
    assert item.position == 2
    items = await ItemFactory.create_batch_async(
        2, position=factory.Iterator([QueryString("1 + 2"), 7]), label=QueryString("upper('a')")
    )
    assert [(item.position, item.label) for item in items] == [(3, "A"), (7, "A")]


async def test_values(database: Engine[Any]) -> None:
    """Arrays, JSON, enums, decimals and NULL are stored as given."""
    item = await ItemFactory.create_async(
        colour=Colour.BLUE, price=Decimal("1.50"), sizes=[1, 2], extra={"a": [1]}, position=None
    )
    found = await Item.objects().get(Item.code == item.code).output(load_json=True)  # type: ignore[attr-defined]
    assert found is not None
    assert (found.colour, found.price, found.sizes, found.extra, found.position) == (
        "b",
        Decimal("1.50"),
        [1, 2],
        {"a": [1]},
        None,
    )


# Foreign keys


async def test_foreign_keys(database: Engine[Any]) -> None:
    """A foreign key takes an object, a key, or nothing; and may refer to its own table."""
    company = await CompanyFactory.create_async()
    boss = await UserFactory.create_async(company=company)
    user = await UserFactory.create_async(company=company.id, boss=boss)
    free = await UserFactory.create_async(company=None)
    assert (boss.company is company, user.company, free.company) == (True, company.id, None)
    rows = {row["id"]: row for row in await User.select()}
    assert rows[user.id]["boss"] == boss.id
    assert [rows[one.id]["company"] for one in (boss, user, free)] == [company.id] * 2 + [None]


async def test_foreign_key_to_another_column(database: Engine[Any]) -> None:
    """A foreign key may refer to another column than the key."""
    badge = await BadgeFactory.create_async(issuer__name="acme")
    assert badge.issuer.name == "acme"
    (row,) = await Badge.select(Badge.issuer)
    assert row["issuer"] == "acme"


async def test_many_to_many(database: Engine[Any]) -> None:
    """An async hook may use what Piccolo has for relations of many to many."""

    class Tagged(UserFactory):
        @factory.post_generation
        async def with_tags(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            for slug in extracted or ():
                await user.add_m2m(await TagFactory.create_async(slug=slug), m2m=User.tags)

    user = await Tagged.create_async(with_tags=["red", "blue"])
    async with database.transaction():
        await Tagged.create_batch_async(2, with_tags=["red"])
    assert {tag.slug for tag in await user.get_m2m(User.tags)} == {"red", "blue"}
    assert await Tag.count() == 2


async def test_build(database: Engine[Any]) -> None:
    """What is built is not stored, and may refer to what is not stored; both can be, later."""
    user = UserFactory.build()
    assert not user._exists_in_db
    assert await User.count() == await Company.count() == 0
    await user.company.save()
    await user.save()
    (row,) = await User.select(User.company)
    assert row["company"] == user.company.id


async def test_creating_with_what_is_not_stored(database: Engine[Any]) -> None:
    """A row that is not stored cannot be referred to; Piccolo would store NULL."""
    company = CompanyFactory.build()
    text = (
        r"User\.company is given a Company that is not stored, and so has no id to refer to; "
        r"create it first, with await CompanyFactory\.create_async\(\), or by a SubFactory\."
    )
    with pytest.raises(AdapterError, match=text):
        await UserFactory.create_async(company=company)
    with pytest.raises(AdapterError, match=text):
        await UserFactory.create_batch_async(2, company=factory.Iterator([None, company]))

    class ByCompany(UserFactory):
        class Meta:
            piccolo_get_or_create = ("company",)

    with pytest.raises(AdapterError, match=text):
        await ByCompany.create_async(company=company)
    with pytest.raises(AdapterError, match=text):
        await ByCompany.create_batch_async(2, company=factory.Iterator([None, company]))
    assert await User.count() == 0


async def test_refused_foreign_key(database: Engine[Any]) -> None:
    """What the database refuses reaches the caller as its driver raised it."""
    with pytest.raises(Exception, match=r"(?i)foreign key") as caught:
        await UserFactory.create_async(company=12345)
    assert type(caught.value).__module__ in ("sqlite3", "asyncpg.exceptions")


async def test_prefetch(database: Engine[Any], statements: list[str]) -> None:
    """Rows that are referred to are fetched for what a call returns, by one SELECT a step."""

    class Fetched(UserFactory):
        class Meta:
            piccolo_get_or_create = ("name",)
            piccolo_prefetch = ("company", "boss.company")

        name = "ada"

    boss = await UserFactory.create_async()
    await Fetched.create_async(boss=boss)
    found = await Fetched.create_async()
    assert (found.company.name, found.boss.id) == ("company1", boss.id)
    assert found.boss.company.name == boss.company.name

    companies = [(await CompanyFactory.create_async()).id for _ in range(2)]
    statements.clear()
    users = await Fetched.create_batch_async(
        30,
        name=factory.Sequence(lambda n: f"user {n}"),
        company=factory.Iterator(companies),
        boss=factory.Iterator([boss.id, boss, None]),
    )
    # The lookup, the new rows, their companies, their bosses, and those bosses' companies.
    assert statements == ["SELECT", "INSERT", "SELECT", "SELECT", "SELECT"]
    assert [user.company.id for user in users] == companies * 15
    assert [user.boss and user.boss.company.id for user in users[:3]] == [boss.company.id] * 2 + [
        None
    ]
    assert users[1].boss is boss
    assert users[0].company is users[2].company


async def test_prefetch_by_what_only_the_database_finds_equal(database: Engine[Any]) -> None:
    """A UUID written as a string is a key as well."""

    class Fetched(UserFactory):
        class Meta:
            piccolo_prefetch = ("boss",)

    boss = await UserFactory.create_async()
    users = await Fetched.create_batch_async(2, boss=str(boss.id))
    assert [user.boss.name for user in users] == [boss.name] * 2


# An overridden save()


async def test_overridden_save(database: Engine[Any]) -> None:
    """A save() of a table's own is called, for each row of a batch too."""
    rows = [await AuditedFactory.create_async(), *await AuditedFactory.create_batch_async(3)]
    assert [row.saves for row in rows] == [1] * 4
    assert [row["saves"] for row in await Audited.select()] == [1] * 4
    assert all(row._exists_in_db and isinstance(row.id, int) for row in rows)
    given = await AuditedFactory.create_async(name=QueryString("lower('A')"))
    assert given.name == "a"


@pytest.mark.parametrize("inside", [True, False], ids=["transaction", "autocommit"])
async def test_overridden_save_that_creates(database: Engine[Any], inside: bool) -> None:
    """A save() may create further rows, where nobody else can come in between."""

    class NamedOrder(OrderFactory):
        class Meta:
            piccolo_get_or_create = ("name",)

    async def create() -> None:
        await asyncio.gather(
            OrderFactory.create_async(),
            OrderFactory.create_batch_async(3),
            NamedOrder.create_async(name="a"),
            NamedOrder.create_batch_async(2),
        )

    if inside:
        async with database.transaction():
            await create()
    else:
        await create()
    orders = {f"of {row['name']}" for row in await Order.select(Order.name)}
    assert len(orders) == 7
    assert {row["name"] for row in await Company.select(Company.name)} == orders


# Options


@pytest.mark.parametrize(
    "given",
    ["piccolo", PiccoloAdapter, PiccoloAdapter(get_or_create=("name",))],
    ids=["name", "class", "instance"],
)
async def test_meta_adapter(sqlite: Engine[Any], given: Any) -> None:
    """The adapter serves any AsyncFactory."""

    class Plain(AsyncFactory[Company]):
        class Meta:
            model = Company
            adapter = given

        name = "acme"

    assert (await Plain.create_async()).id is not None


def test_handles() -> None:
    """The adapter is for the tables of Piccolo."""
    assert PiccoloAdapter.handles(Company)
    assert not any(map(PiccoloAdapter.handles, (Table, dict, SQLiteEngine)))


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        (
            "piccolo_get_or_create",
            "name",
            r"Meta\.piccolo_get_or_create takes a sequence of field names; write \('name',\)",
        ),
        (
            "piccolo_prefetch",
            (Company.name,),
            r"Meta\.piccolo_prefetch takes a sequence of field names",
        ),
    ],
)
def test_bad_option(option: str, value: object, text: str) -> None:
    """An option of the wrong kind is refused when the factory is defined."""
    with pytest.raises(ConfigurationError, match=text):
        type("Bad", (CompanyFactory,), {"Meta": type("Meta", (), {option: value})})


async def test_option_that_names_no_column(sqlite: Engine[Any]) -> None:
    """A lookup is by columns of the table."""

    class Bad(CompanyFactory):
        class Meta:
            piccolo_get_or_create = ("nmae",)

    text = (
        r"Bad\.Meta\.piccolo_get_or_create names 'nmae', which is not a column of Company\. "
        r"Did you mean 'name'\? It has: id, name, rank\."
    )
    with pytest.raises(ConfigurationError, match=text):
        await Bad.create_async()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("name", r"names 'name', but 'name' is not a foreign key of User; it has: boss, company"),
        ("boss.company.name", r"'name' is not a foreign key of Company; it has: none"),
    ],
)
async def test_option_that_names_no_foreign_key(sqlite: Engine[Any], path: str, text: str) -> None:
    """What is fetched are foreign keys."""

    class Bad(UserFactory):
        class Meta:
            piccolo_prefetch = (path,)

    with pytest.raises(ConfigurationError, match=text):
        await Bad.create_async()


# Mistakes


@pytest.mark.parametrize("model", [Table, dict], ids=["Table", "dict"])
async def test_not_a_table(model: type) -> None:
    """The model has to be a table."""

    class Bad(AsyncPiccoloTableFactory[Any]):
        class Meta:
            pass

    Bad._meta.model = model
    Bad._meta.abstract = False
    text = (
        rf"{model.__name__} is not a table of Piccolo, so it cannot be stored; set Meta\.model to "
        r"a class that derives from piccolo\.table\.Table\."
    )
    with pytest.raises(AdapterError, match=text):
        await Bad.create_async()


async def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine there is nothing to store through; the error says how to have one."""
    text = (
        r"Company has no engine to be stored through\. Give it one, class Company\(Table, db=DB\): "
        r"\.\.\.; or have a module piccolo_conf, .* define DB = SQLiteEngine\(.*\) or .*\. \({}\) "
        r"\(Asked for by CompanyFactory\.\)"
    )
    with pytest.raises(MissingOptionError, match=text.format("No module named 'piccolo_conf'")):
        await CompanyFactory.create_async()

    monkeypatch.setitem(sys.modules, "piccolo_conf", ModuleType("piccolo_conf"))
    with (
        pytest.warns(Warning, match="DB variable"),
        pytest.raises(MissingOptionError, match=text.format("no engine is called DB there")),
    ):
        await CompanyFactory.create_async()


async def test_engine_of_piccolo_conf(sqlite: Engine[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is that of piccolo_conf, where a table has none of its own."""
    conf = ModuleType("piccolo_conf")
    conf.DB = sqlite  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "piccolo_conf", conf)
    Company._meta._db = None
    await CompanyFactory.create_async()
    assert await Company.count() == 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda engine: engine, "got SQLiteEngine, which has transactions and is none"),
        (lambda engine: engine.transaction(), "got a transaction that is not entered"),
        (lambda engine: "default", "got an object of type str"),
    ],
)
async def test_not_a_transaction(sqlite: Engine[Any], make: Any, text: str) -> None:
    """What is given as a transaction has to be one that is entered."""
    match = (
        rf"piccolo_transaction takes a transaction of Piccolo; {text}\. Pass the one that you have "
        r"entered: async with DB\.transaction\(\) as transaction: await UserFactory\.create_async"
    )
    with pytest.raises(OptionError, match=match):
        await CompanyFactory.create_async(piccolo_transaction=make(sqlite))


async def test_ended_transaction(database: Engine[Any]) -> None:
    """A transaction that has ended cannot be stored in; what was rolled back would be committed."""
    async with database.transaction() as transaction:
        pass
    text = r"The transaction to store in has been committed or rolled back; use the factory inside"
    with pytest.raises(OptionError, match=text):
        await CompanyFactory.create_async(piccolo_transaction=transaction)
    async with database.transaction() as transaction:
        await CompanyFactory.create_async()
        await transaction.rollback()
        with pytest.raises(OptionError, match=text):
            await CompanyFactory.create_async()
    assert await Company.count() == 0


async def test_transaction_of_another_engine(sqlite: Engine[Any], postgres: str) -> None:
    """A transaction holds the rows of its own engine only."""
    text = r"piccolo_transaction is not a transaction of the engine of Company, so it cannot hold"
    async with PostgresEngine(config={"dsn": postgres}).transaction() as transaction:
        with pytest.raises(OptionError, match=text):
            await CompanyFactory.create_async(piccolo_transaction=transaction)
    assert await Company.count() == 0


async def test_two_engines(sqlite: Engine[Any], postgres: str) -> None:
    """Rows of two databases are in one call, each in the transaction of its own engine."""
    other = PostgresEngine(config={"dsn": postgres})

    class Archive(Table, db=other):
        name = Varchar()

    class ArchiveFactory(AsyncPiccoloTableFactory[Archive]):
        class Meta:
            model = Archive

        name = "archive"

    class Archived(CompanyFactory):
        archive = factory.RelatedFactory(ArchiveFactory)

    await Archive.create_table()
    try:
        async with undone(sqlite), undone(other):
            await Archived.create_batch_async(2)
            assert (await Archive.count(), await Company.count()) == (2, 2)
        assert (await Archive.count(), await Company.count()) == (0, 0)
    finally:
        await Archive.alter().drop_table()


async def test_transaction_of_another_loop(postgresql: Engine[Any]) -> None:
    """A transaction belongs to the event loop that it was begun in."""

    def elsewhere() -> None:
        asyncio.run(CompanyFactory.create_async(piccolo_transaction=transaction))

    async with postgresql.transaction() as transaction:
        with pytest.raises(OptionError, match=r"was begun in another event loop\. Begin it in the"):
            await asyncio.to_thread(elsewhere)


async def test_pool_of_another_loop(postgresql: PostgresEngine) -> None:
    """So does a pool."""
    await postgresql.start_connection_pool(min_size=1)
    try:
        with pytest.raises(OptionError, match=r"pool was started in another event loop, and can"):
            await asyncio.to_thread(lambda: asyncio.run(CompanyFactory.create_async()))
    finally:
        await postgresql.close_connection_pool()


async def test_closed_pool(postgresql: PostgresEngine) -> None:
    """A pool that was closed behind the engine's back is named as the mistake."""
    await postgresql.start_connection_pool(min_size=1)
    assert postgresql.pool is not None
    await postgresql.pool.close()
    with pytest.raises(OptionError, match=r"pool is closed, but the engine does not know"):
        await CompanyFactory.create_async()
    await postgresql.close_connection_pool()
    await CompanyFactory.create_async()


async def test_unique_violation(postgresql: Engine[Any]) -> None:
    """The database's refusal reaches the caller untouched, and costs the caller's transaction."""
    async with postgresql.transaction():
        await CompanyFactory.create_async(name="acme")
        with pytest.raises(UniqueViolationError):
            await CompanyFactory.create_async(name="acme")
    assert await Company.count() == 0


async def test_misspelt_call_option(sqlite: Engine[Any]) -> None:
    """A call-time option that is spelt wrongly gets a suggestion."""
    with pytest.raises(OptionError, match="Did you mean 'piccolo_transaction'"):
        await CompanyFactory.create_async(piccolo_transction=None)
