"""What every adapter promises, on every backend: one test for all."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import factory
import pytest

from tests.greenlets import suspended_greenlets
from tests.stores import beanie, databases, mongo, sqlalchemy, tortoise
from tests.stores.base import Store

STORES: list[type[Store]] = [
    *sqlalchemy.STORES,
    *tortoise.STORES,
    *beanie.STORES,
    *mongo.STORES,
    *databases.STORES,
]

pytestmark = pytest.mark.parametrize("store", STORES, indirect=True, ids=[s.id for s in STORES])


async def test_create(store: Store) -> None:
    """create_async stores the object, and returns it with its key."""
    company = await store.CompanyFactory.create_async(size=7)
    assert store.key(company) is not None
    assert await store.rows(store.CompanyFactory) == [
        {"key": store.key(company), "name": "company0", "size": 7}
    ]


async def test_awaiting_the_class(store: Store) -> None:
    """C8: ``await Factory(...)`` is ``await Factory.create_async(...)``."""
    company = await store.CompanyFactory(size=8)
    assert [row["key"] for row in await store.rows(store.CompanyFactory)] == [store.key(company)]


async def test_build(store: Store) -> None:
    """C6: build_async, build and stub store nothing."""
    async_built = await store.UserFactory.build_async(company_key=None)
    built = store.UserFactory.build(company_key=None)
    stub = store.CompanyFactory.stub()
    assert [store.get(user, "name") for user in (async_built, built)] == ["user0", "user1"]
    assert stub.name == "company2"
    for one in (store.CompanyFactory, store.UserFactory):
        assert await store.rows(one) == []


async def test_sub_factory(store: Store) -> None:
    """A SubFactory's object is stored before the declarations that read its key."""
    user = await store.UserFactory.create_async(company__size=3)
    (company,) = await store.rows(store.CompanyFactory)
    assert company["size"] == 3
    assert await store.rows(store.UserFactory) == [
        {"key": store.key(user), "name": "user0", "company_key": company["key"]}
    ]


async def test_sub_factory_with_an_object(store: Store) -> None:
    """An object given in place of a SubFactory is used, and no other is created."""
    company = await store.CompanyFactory.create_async()
    user = await store.UserFactory.create_async(company=company)
    assert store.get(user, "company_key") == store.key(company)
    assert len(await store.rows(store.CompanyFactory)) == 1


async def test_related_factory_list(store: Store) -> None:
    """A RelatedFactoryList's objects are stored after the object they relate to."""

    class WithPosts(store.UserFactory):  # type: ignore[name-defined, misc]
        posts = factory.RelatedFactoryList(store.PostFactory, "author", size=3)

    user = await WithPosts.create_async()
    posts = await store.rows(store.PostFactory)
    assert [post["author_key"] for post in posts] == [store.key(user)] * 3
    assert [post["title"] for post in posts] == ["post0", "post1", "post2"]
    assert len(await store.rows(store.UserFactory)) == 1


async def test_async_declarations(store: Store) -> None:
    """What an async declaration evaluates to is a value for the declarations that read it."""

    async def shout(company: Any) -> str:
        await asyncio.sleep(0)
        return f"{company.quiet}!"

    class Shouting(store.CompanyFactory):  # type: ignore[name-defined, misc]
        class Params:
            quiet = factory.Sequence(lambda n: f"quiet{n}")

        name = factory.LazyAttribute(shout)
        size = factory.LazyAttribute(lambda company: len(company.name))

    await Shouting.create_async()
    (company,) = await store.rows(store.CompanyFactory)
    assert (company["name"], company["size"]) == ("quiet0!", 7)


async def test_hooks(store: Store) -> None:
    """A hook, sync or async, creates further objects with the options of the call."""

    class WithPosts(store.UserFactory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        def sync_posts(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            store.PostFactory.create_batch(2, author=user)
            store.PostFactory(author=user)

        @factory.post_generation
        async def async_posts(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await store.PostFactory.create_batch_async(2, author=user)
            await store.PostFactory(author=user)

    user = await WithPosts.create_async()
    posts = await store.rows(store.PostFactory)
    assert [post["author_key"] for post in posts] == [store.key(user)] * 6


async def test_batch(store: Store) -> None:
    """A batch stores as many objects, in order, each with its own SubFactory."""
    users = await store.UserFactory.create_batch_async(3)
    assert [store.get(user, "name") for user in users] == ["user0", "user1", "user2"]
    rows = await store.rows(store.UserFactory)
    assert [row["key"] for row in rows] == [store.key(user) for user in users]
    assert len({row["company_key"] for row in rows}) == 3
    assert await store.UserFactory.create_batch_async(0) == []


async def test_get_or_create(store: Store) -> None:
    """get_or_create returns the object that has the values, and stores one where there is none."""
    first = await store.NamedCompanyFactory.create_async(name="acme", size=1)
    again = await store.NamedCompanyFactory.create_async(name="acme", size=2)
    other = await store.NamedCompanyFactory.create_async(name="other", size=3)
    assert store.key(first) == store.key(again) != store.key(other)
    assert store.get(again, "size") == 1
    rows = await store.rows(store.CompanyFactory)
    assert [(row["name"], row["size"]) for row in rows] == [("acme", 1), ("other", 3)]


async def test_get_or_create_in_a_batch(store: Store) -> None:
    """The objects of a batch that have the same identifying values are one object."""
    users = await store.UserFactory.create_batch_async(
        3, company=factory.SubFactory(store.NamedCompanyFactory, name="acme")
    )
    (company,) = await store.rows(store.CompanyFactory)
    assert [store.get(user, "company_key") for user in users] == [company["key"]] * 3


async def test_lost_race(store: Store) -> None:
    """get_or_create returns the row of whoever was faster, and keeps what was stored before."""
    if not store.concurrent:
        pytest.skip("the store has one writer at a time, so there is no race to lose")
    adapter = store.NamedCompanyFactory._meta.adapter_for_storing()
    overtaken_by: list[Any] = []

    class Overtaken(type(adapter)):  # type: ignore[misc]
        """Has somebody else store what it just failed to find."""

        async def find(self, model: Any, lookup: Any) -> Any:
            found = await super().find(model, lookup)
            if not overtaken_by:
                async with store.another() as options:
                    faster = await store.CompanyFactory.create_async(size=99, **lookup, **options)
                overtaken_by.append(faster)
            return found

    overtaken = copy.copy(adapter)
    overtaken.__class__ = Overtaken

    class Racing(store.CompanyFactory):  # type: ignore[name-defined, misc]
        class Meta:
            adapter = overtaken

    before = await store.CompanyFactory.create_async(name="before")
    raced = await Racing.create_async(name="raced")
    assert store.get(raced, "size") == 99
    user = await store.UserFactory.create_async(company=raced)
    assert store.get(user, "company_key") == store.key(raced)
    rows = await store.rows(store.UserFactory)
    assert [row["company_key"] for row in rows] == [store.key(raced)]
    expected = {store.key(before): "before", store.key(raced): "raced"}
    await store.commit()
    companies = await store.rows(store.CompanyFactory)
    assert {row["key"]: row["name"] for row in companies} == expected


async def test_unique_violation(store: Store) -> None:
    """The database's refusal reaches the caller as the driver or ORM raised it."""
    await store.CompanyFactory.create_async(name="acme")
    with pytest.raises(store.conflict):
        await store.CompanyFactory.create_async(name="acme")


async def test_rollback(store: Store) -> None:
    """Nothing is committed: the caller's rollback undoes all that calls have stored."""
    if not store.transactional:
        pytest.skip("the store has no transactions")
    await store.UserFactory.create_batch_async(2)
    await store.NamedCompanyFactory.create_async(name="acme")
    await store.rollback()
    for one in (store.CompanyFactory, store.UserFactory):
        assert await store.rows(one) == []
    await store.CompanyFactory.create_async()
    assert len(await store.rows(store.CompanyFactory)) == 1


async def test_gather(store: Store) -> None:
    """Twenty calls at once share one session or connection."""
    users = await asyncio.gather(*(store.UserFactory.create_async() for _ in range(20)))
    rows = await store.rows(store.UserFactory)
    assert {row["key"] for row in rows} == {store.key(user) for user in users}
    assert len(await store.rows(store.CompanyFactory)) == 20


async def test_two_tasks_with_two_connections(store: Store) -> None:
    """One factory serves two tasks, each of which stores where its own options say."""
    if not store.concurrent:
        pytest.skip("the store has one writer at a time")
    names = ["one", "other"]
    arrived = 0
    both = asyncio.Event()

    async def name_once_both_are_here() -> str:
        nonlocal arrived
        arrived += 1
        if arrived == 2:
            both.set()
        await both.wait()
        return names.pop()

    async def create(**options: Any) -> Any:
        return await store.UserFactory.create_async(
            company__name=factory.LazyFunction(name_once_both_are_here), **options
        )

    async with store.another() as options:
        mine, _ = await asyncio.gather(create(), create(**options))
        seen = await store.rows(store.UserFactory)
        if store.transactional:
            assert [row["key"] for row in seen] == [store.key(mine)]
    await store.commit()
    assert len(await store.rows(store.UserFactory)) == 2


async def test_cancellation(store: Store) -> None:
    """A cancelled call leaves no suspended greenlet, and a store that can be used again."""
    entered = asyncio.Event()

    async def wait_forever() -> str:
        entered.set()
        await asyncio.Event().wait()
        return "never"

    unwound = []

    def waiting(company: Any) -> Any:
        try:
            return store.CompanyFactory.create(name=factory.LazyFunction(wait_forever))
        finally:
            unwound.append(True)

    call = asyncio.create_task(
        store.UserFactory.create_async(company=factory.LazyAttribute(waiting))
    )
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert unwound == [True]
    assert not suspended_greenlets()
    await store.rollback()
    await store.UserFactory.create_async()
    assert len(await store.rows(store.UserFactory)) == 1


async def test_error_in_a_hook(store: Store) -> None:
    """An exception of a hook reaches the caller with the user's own line in its traceback."""

    class Failing(store.CompanyFactory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        async def fail(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            raise LookupError("of the user's own")

    with pytest.raises(LookupError, match="of the user's own") as caught:
        await Failing.create_async()
    assert caught.traceback[-1].name == "fail"
    assert not suspended_greenlets()
