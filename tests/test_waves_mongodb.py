"""Waves on MongoDB, of Beanie's documents and of collections: a command per level of the graph."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import factory
import pytest
from bson import ObjectId
from pymongo.errors import BulkWriteError, DuplicateKeyError

from tests.greenlets import suspended_greenlets
from tests.stores import beanie, mongo
from tests.stores.base import params
from tests.stores.mongo import DriverStore

pytestmark = pytest.mark.unmeasured

STORES: list[Any] = [*beanie.STORES, *mongo.STORES]
ALONE = [store for store in STORES if not store.transactional]
IN_TRANSACTION = [store for store in STORES if store.transactional]


def on(stores: list[Any]) -> Any:
    return pytest.mark.parametrize("store", params(stores), indirect=True)


def sent(store: DriverStore) -> list[str]:
    """Return the commands sent, with collections named as their models: ``insert company``."""
    return [command.lower() for command in store.commands.sent]


@on(STORES)
async def test_a_thousand_users(store: DriverStore) -> None:
    """A thousand users with a company and two posts each are three insert commands."""

    class WithPosts(store.UserFactory):  # type: ignore[name-defined, misc]
        posts = factory.RelatedFactoryList(store.PostFactory, "author", size=2)

    store.commands.sent.clear()
    users = await WithPosts.create_batch_async(1000)
    assert sent(store) == ["insert company", "insert user", "insert post"]
    keys = [store.key(user) for user in users]
    assert all(isinstance(key, ObjectId) for key in keys)
    assert keys == sorted(keys)
    for user in users:
        assert store.get(user, "company_key") == store.key(store.get(user, "company"))
    posts = await store.rows(store.PostFactory)
    assert [post["author_key"] for post in posts] == [key for key in keys for _ in range(2)]


@on(STORES)
async def test_one_object_with_many(store: DriverStore) -> None:
    """One create_async with fifty related objects is three insert commands."""

    class WithPosts(store.UserFactory):  # type: ignore[name-defined, misc]
        posts = factory.RelatedFactoryList(store.PostFactory, "author", size=50)

    store.commands.sent.clear()
    await WithPosts.create_async()
    assert sent(store) == ["insert company", "insert user", "insert post"]
    assert len(await store.rows(store.PostFactory)) == 50


@on(STORES)
async def test_get_or_create(store: DriverStore) -> None:
    """A thousand get_or_create of ten values are one find and one insert."""
    store.commands.sent.clear()
    companies = await store.NamedCompanyFactory.create_batch_async(
        1000, name=factory.Sequence(lambda n: f"name{n % 10}")
    )
    assert sent(store) == ["find company", "insert company"]
    assert len({store.key(company) for company in companies}) == 10
    assert len({id(company) for company in companies}) == 10
    store.commands.sent.clear()
    found = await store.NamedCompanyFactory.create_batch_async(
        12, name=factory.Sequence(lambda n: f"name{n % 12}")
    )
    assert sent(store) == ["find company", "insert company"]
    assert {store.get(company, "name") for company in found} == {f"name{n}" for n in range(12)}
    assert len(await store.rows(store.CompanyFactory)) == 12


@on(mongo.STORES)
async def test_get_or_create_tells_true_from_one(store: DriverStore) -> None:
    """Documents tell True from 1, which are equal in Python."""
    named: Any = store.NamedCompanyFactory
    companies = await named.create_batch_async(4, name=factory.Iterator([1, True, 1, True]))
    assert [company["name"] is True for company in companies] == [False, True, False, True]
    assert len({company["_id"] for company in companies}) == 2


@on(ALONE)
async def test_refused_in_the_middle(store: DriverStore) -> None:
    """The driver's error is raised as it is; what was stored before stays, as of a loop."""
    await store.CompanyFactory.create_async(name="taken")
    names = ["first", "second", "taken", "last"]
    with pytest.raises(BulkWriteError) as refused:
        await store.UserFactory.create_batch_async(4, company__name=factory.Iterator(names))
    (error,) = refused.value.details["writeErrors"]
    assert (error["code"], error["index"]) == (11000, 2)
    assert not suspended_greenlets()
    rows = await store.rows(store.CompanyFactory)
    assert [row["name"] for row in rows] == ["taken", "first", "second"]
    assert await store.rows(store.UserFactory) == []


@on(IN_TRANSACTION)
async def test_refused_in_a_transaction(store: DriverStore) -> None:
    """A refusal aborts the transaction, and after it is aborted the session can be used again."""
    await store.CompanyFactory.create_async(name="taken")
    with pytest.raises(BulkWriteError, match="E11000"):
        await store.CompanyFactory.create_batch_async(
            3, name=factory.Iterator(["first", "taken", "last"])
        )
    await store.rollback()
    assert await store.rows(store.CompanyFactory) == []
    await store.CompanyFactory.create_batch_async(2)
    assert len(await store.rows(store.CompanyFactory)) == 2


@on(STORES)
async def test_cancellation(store: DriverStore) -> None:
    """A batch that is cancelled leaves no greenlet, and a store that can be used again."""
    entered = asyncio.Event()

    async def forever() -> str:
        entered.set()
        await asyncio.Event().wait()
        return "never"

    batch = asyncio.create_task(
        store.UserFactory.create_batch_async(5, name=factory.LazyFunction(forever))
    )
    await entered.wait()
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert not suspended_greenlets()
    await store.rollback()
    assert len(await store.UserFactory.create_batch_async(2)) == 2
    assert len(await store.rows(store.UserFactory)) == 2


@on(STORES)
async def test_gather(store: DriverStore) -> None:
    """Batches in several tasks share a session, and each keeps together what belongs together."""
    batches = await asyncio.gather(
        *(store.UserFactory.create_batch_async(20, company__size=n) for n in range(5))
    )
    sizes = {row["key"]: row["size"] for row in await store.rows(store.CompanyFactory)}
    for n, users in enumerate(batches):
        assert [sizes[store.get(user, "company_key")] for user in users] == [n] * 20
    assert len(await store.rows(store.UserFactory)) == 100


def overtaken(store: DriverStore, *names: str) -> Any:
    """Return a factory with get_or_create that is overtaken by somebody who stores `names`."""
    adapter = store.NamedCompanyFactory._meta.adapter_for_storing()

    class Overtaken(type(adapter)):  # type: ignore[misc]
        async def find_many(self, model: Any, lookups: Any) -> Any:
            found = await super().find_many(model, lookups)
            for name in names:
                faster = {"name": name, "size": 99}
                await store.collection(store.CompanyFactory).insert_one(
                    faster, session=store.session
                )
            store.commands.sent.clear()
            return found

    slower = copy.copy(adapter)
    slower.__class__ = Overtaken

    class Racing(store.CompanyFactory):  # type: ignore[name-defined, misc]
        class Meta:
            adapter = slower

    return Racing


@on(ALONE)
async def test_lost_race(store: DriverStore) -> None:
    """Of a wave in which one was overtaken nothing stays; then each is stored or found."""
    companies = await overtaken(store, "company2").create_batch_async(4)
    assert sent(store) == [
        "insert company",
        "delete company",
        "insert company",
        "insert company",
        "insert company",
        "find company",
        "insert company",
    ]
    assert [store.get(company, "name") for company in companies] == [
        f"company{n}" for n in range(4)
    ]
    assert [store.get(company, "size") for company in companies] == [10, 10, 99, 10]
    rows = await store.rows(store.CompanyFactory)
    assert {row["key"] for row in rows} == {store.key(company) for company in companies}
    assert len(rows) == 4


@on(ALONE)
async def test_save_new_stores_all_or_none(store: DriverStore) -> None:
    """When save_new raises a conflict, none of the objects is stored."""
    adapter = store.NamedCompanyFactory._meta.adapter_for_storing()
    await store.CompanyFactory.create_async(name="taken")

    async def build() -> Any:
        names = ["first", "second", "taken", "last"]
        return store.CompanyFactory.build_batch(4, name=factory.Iterator(names))

    for _ in range(2):
        with pytest.raises(DuplicateKeyError, match="taken") as refused:
            await adapter.save_new(build)
        assert isinstance(refused.value, adapter.conflicts)
        assert refused.value.code == 11000
        assert [row["name"] for row in await store.rows(store.CompanyFactory)] == ["taken"]


@on(IN_TRANSACTION)
async def test_lost_race_in_a_transaction(store: DriverStore) -> None:
    """A refusal aborts the transaction, so its error is raised as it is, and nothing is retried."""
    with pytest.raises(BulkWriteError, match="company2"):
        await overtaken(store, "company2").create_batch_async(4)
    assert sent(store) == ["insert company"]
    await store.rollback()
    assert await store.rows(store.CompanyFactory) == []
