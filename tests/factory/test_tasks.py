"""Tasks: those that a hook starts, and calls that run beside each other."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import sys
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import factory
import pytest
from greenlet import getcurrent
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from tests.factory.limits import all_of, within_limit
from tests.stores import sqlalchemy
from tests.stores.base import Store, params
from tests.stores.every import STORES
from tests.stores.sqlalchemy import Company, CompanyFactory, SQLAlchemyStore, UserFactory

pytestmark = pytest.mark.unmeasured

SIZE = 10


def on(stores: list[Any]) -> Any:
    return pytest.mark.parametrize("store", params(stores, parts=2), indirect=True)


async def names(store: Store) -> list[str]:
    """Return the names of the companies that are stored, in the order of their keys."""
    return [row["name"] for row in await store.rows(store.CompanyFactory)]


# --- where async code of the user's runs ---------------------------------------------------------


PLACES = [
    *("LazyFunction", "Sequence", "PostGeneration"),
    *("_adjust_kwargs", "_create", "_after_postgeneration"),
]


@pytest.mark.parametrize("store", [sqlalchemy.SQLiteMemory], indirect=True)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("nested", [False, True], ids=["called", "nested"])
async def test_where_async_code_runs(store: Store, place: str, nested: bool) -> None:
    """Async code of a factory runs in the task of the caller, as awaited there: in no greenlet."""
    seen: list[tuple[Any, Any]] = []

    async def note(*_: Any, **kwargs: Any) -> str:
        await asyncio.sleep(0)
        seen.append((asyncio.current_task(), getcurrent().parent))
        return f"name {len(seen)}"

    async def overriding(cls: Any, *args: Any, **kwargs: Any) -> Any:
        await note()
        result = getattr(super(noting, cls), place)(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    body: dict[str, Any] = {place: classmethod(overriding)}
    if not place.startswith("_"):
        body = {"hook" if place == "PostGeneration" else "name": getattr(factory, place)(note)}
    noting: Any = type(CompanyFactory)("Noting", (CompanyFactory,), body)

    class Outer(CompanyFactory):
        @factory.post_generation
        def hook(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            noting.create_batch(2)

    await (Outer if nested else noting).create_async()
    await (Outer if nested else noting).create_batch_async(2)
    assert len(seen) == (6 if nested else 3)
    assert set(seen) == {(asyncio.current_task(), None)}


# --- tasks that a hook starts --------------------------------------------------------------------


TASK_FACTORIES: dict[str, Any] = {"usual": None}

if sys.version_info >= (3, 12):
    TASK_FACTORIES["eager"] = asyncio.eager_task_factory


@pytest.fixture(params=TASK_FACTORIES)
async def task_factory(request: pytest.FixtureRequest) -> AsyncGenerator[None]:
    """Have tasks begin later, as usual, or (from Python 3.12) at once."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(TASK_FACTORIES[request.param])
    yield
    loop.set_task_factory(None)


@on(STORES)
@pytest.mark.parametrize("place", ["declaration", "hook"])
async def test_task_that_queries(store: Store, task_factory: None, place: str) -> None:
    """A task that async code of a factory starts and awaits uses the database like any other."""

    async def query(*_: Any, **kwargs: Any) -> str:
        rows = await asyncio.create_task(store.rows(store.CompanyFactory))
        return f"after {len(rows)}"

    kind: Any = factory.PostGeneration if place == "hook" else factory.LazyFunction
    overrides = {("last" if place == "hook" else "name"): kind(query)}

    async def create() -> None:
        for _ in range(2):
            await store.CompanyFactory.create_async(**overrides)

    await within_limit(create())
    if place == "declaration":
        assert await names(store) == ["after 0", "after 1"]
    assert len(await store.rows(store.CompanyFactory)) == 2


@on([store for store in sqlalchemy.STORES if store is not sqlalchemy.SQLiteMemory])
async def test_task_with_a_session_of_its_own(store: SQLAlchemyStore, task_factory: None) -> None:
    """So does one that an async hook of a batch starts, in a session and transaction of its own."""
    counts: list[Any] = []

    async def count() -> Any:
        async with AsyncSession(store.engine) as session:
            return await session.scalar(select(func.count()).select_from(Company))

    class Hooked(CompanyFactory):
        @factory.post_generation
        async def hook(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            counts.append(await asyncio.create_task(count()))

    await within_limit(Hooked.create_batch_async(SIZE))
    assert counts == [0] * SIZE


@on(STORES)
async def test_gather_in_a_hook(store: Store, task_factory: None) -> None:
    """Calls that an async hook gathers store on the session of the batch, each what it creates."""

    class Hooked(store.UserFactory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        async def posts(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            made = await asyncio.gather(
                *(store.PostFactory.create_async(author=user) for _ in range(3)),
                store.PostFactory.create_batch_async(2, author=user),
            )
            assert len(made) == 4

    users = await within_limit(Hooked.create_batch_async(SIZE))
    authors = [row["author_key"] for row in await store.rows(store.PostFactory)]
    assert authors == [store.key(user) for user in users for _ in range(5)]


@on(STORES)
async def test_task_that_is_not_awaited(store: Store, task_factory: None) -> None:
    """A task that an async hook starts and does not await creates beside the rest of the batch."""
    tasks: list[asyncio.Task[Any]] = []

    class Hooked(store.UserFactory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        async def post(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            tasks.append(asyncio.create_task(store.PostFactory.create_async(author=user)))
            await store.PostFactory.create_async(author=user)

    async def create() -> list[Any]:
        users = await Hooked.create_batch_async(SIZE)
        await asyncio.gather(*tasks)
        return users

    users = await within_limit(create())
    authors = [row["author_key"] for row in await store.rows(store.PostFactory)]
    keys = [store.key(user) for user in users]
    assert sorted(authors) == sorted(keys * 2)


@on(STORES)
@pytest.mark.parametrize("call", ["create", "batch"])
async def test_task_that_outlives_its_call(store: Store, call: str) -> None:
    """A task that an async hook has started creates after the end of the call, too."""
    tasks: list[asyncio.Task[Any]] = []
    over = asyncio.Event()

    async def later() -> None:
        await over.wait()
        await store.CompanyFactory.create_async(name=f"one {len(tasks)}")
        await store.CompanyFactory.create_batch_async(
            2, name=factory.Sequence(lambda n: f"batch {n}")
        )

    class Hooked(store.UserFactory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        async def start(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            if not tasks:
                tasks.append(asyncio.create_task(later()))

    async def create() -> None:
        if call == "create":
            await Hooked.create_async()
        else:
            await Hooked.create_batch_async(2)
        over.set()
        await asyncio.gather(*tasks)

    await within_limit(create())
    assert len(await names(store)) == (1 if call == "create" else 2) + 3


# --- calls gathered on one session ---------------------------------------------------------------


def changing(kind: str) -> type[CompanyFactory]:
    """Return a factory whose hook reads its company, waits, and then changes it, twice."""

    class Plain(CompanyFactory):
        @factory.post_generation
        def hook(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            for word in ("once", "twice"):
                name = company.name
                CompanyFactory.create(name=f"of {name}")
                company.name = f"{name} {word}"

    class Async(CompanyFactory):
        @factory.post_generation
        async def hook(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            for word in ("once", "twice"):
                name = company.name
                await asyncio.sleep(0)
                await CompanyFactory.create_async(name=f"of {name}")
                await asyncio.sleep(0.001)
                company.name = f"{name} {word}"

    return Async if kind == "async" else Plain


@on(sqlalchemy.STORES)
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_gathered_calls_lose_no_change(store: SQLAlchemyStore, kind: str) -> None:
    """What the hooks of gathered calls change is in the database when they return, all of it."""
    changed = changing(kind)

    singles = [changed.create_async(name=f"single {n}") for n in range(20)]
    batches = [
        changed.create_batch_async(3, name=factory.Iterator([f"{n}a", f"{n}b", f"{n}c"]))
        for n in range(5)
    ]
    await within_limit(all_of(*singles, *batches))
    made = [f"single {n}" for n in range(20)]
    made += [f"{n}{letter}" for n in range(5) for letter in "abc"]
    expected = [[f"of {name}", f"of {name} once", f"{name} once twice"] for name in made]
    assert sorted(await names(store)) == sorted(itertools.chain.from_iterable(expected))


@on(sqlalchemy.STORES)
async def test_gathered_calls_change_one_object(store: SQLAlchemyStore) -> None:
    """Async hooks of gathered calls on one session add to one object, and no addition is lost."""
    tally = await CompanyFactory.create_async(name="tally", size=0)

    class Counting(CompanyFactory):
        @factory.post_generation
        async def hook(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            size = tally.size
            await asyncio.sleep(0)
            await CompanyFactory.create_async()
            tally.size = size + 1

    singles = [Counting.create_async() for _ in range(10)]
    batches = [Counting.create_batch_async(3) for _ in range(5)]
    await within_limit(all_of(*singles, *batches))
    (stored,) = [row for row in await store.rows(CompanyFactory) if row["name"] == "tally"]
    assert stored["size"] == 25


@on([store for store in sqlalchemy.STORES if store.concurrent])
@pytest.mark.parametrize("call", ["create", "batch"])
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_two_sessions_in_opposite_order(store: SQLAlchemyStore, call: str, kind: str) -> None:
    """Two gathered calls may use the same two sessions, each in its own order."""
    async with AsyncSession(store.engine) as other:
        sessions = [store.session, other]

        def create(first: AsyncSession, second: AsyncSession) -> Coroutine[Any, Any, Any]:
            class Async(CompanyFactory):
                @factory.post_generation
                async def hook(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
                    await asyncio.sleep(0.01)
                    await CompanyFactory.create_async(sqlalchemy_session=second)
                    await CompanyFactory.create_async(sqlalchemy_session=first)

            class Plain(CompanyFactory):
                @factory.post_generation
                def hook(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
                    CompanyFactory.create(sqlalchemy_session=second)
                    CompanyFactory.create(sqlalchemy_session=first)

            chosen = Async if kind == "async" else Plain
            if call == "create":
                return chosen.create_async(sqlalchemy_session=first)
            return chosen.create_batch_async(3, sqlalchemy_session=first)

        await within_limit(all_of(create(*sessions), create(*reversed(sessions))))
        size = 1 if call == "create" else 3
        for session in sessions:
            count = await session.scalar(select(func.count()).select_from(Company))
            assert count == 3 * size


# --- adapters that share a connection ------------------------------------------------------------


class Separate(SQLAlchemyAdapter[Any]):
    """Another adapter for the same session."""


@on(sqlalchemy.STORES)
@pytest.mark.parametrize("postponed", [True, False], ids=["at once", "one by one"])
async def test_adapters_sharing_a_session(store: SQLAlchemyStore, postponed: bool) -> None:
    """Two adapters may store a parent and its part in one session by one call, also at once."""

    class Part(CompanyFactory):
        class Meta:
            adapter = Separate()

    class Parent(UserFactory):
        company = factory.SubFactory(Part)
        company_key = 0 if postponed else factory.SelfAttribute("company.id")

        @factory.post_generation
        async def hook(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await CompanyFactory.create_async()

    calls = [Parent.create_batch_async(3) for _ in range(3)]
    await within_limit(all_of(*calls, Part.create_batch_async(2)))
    await within_limit(Parent.create_async())
    assert await store.session.scalar(select(func.count()).select_from(Company)) == 22
