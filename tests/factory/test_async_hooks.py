"""An async hook or declaration of a batch runs alone, from its first line to its last."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import factory
import pytest
from sqlalchemy import event
from tortoise.transactions import in_transaction

from async_factory_boy import bind
from tests.factory.limits import within_limit
from tests.servers import Servers
from tests.stores import beanie, databases, mongo, sqlalchemy, tortoise
from tests.stores.base import Store, params
from tests.stores.every import STORES

pytestmark = pytest.mark.unmeasured

SIZE = 14

# For what depends on how a batch runs, not on the store: one database of each adapter.
ONE_EACH: list[type[Store]] = [
    sqlalchemy.SQLiteMemory,
    tortoise.SQLite,
    beanie.Beanie,
    mongo.PyMongo,
    databases.SQLiteTables,
]
WITH_SAVEPOINTS = [*sqlalchemy.STORES, *tortoise.STORES, *databases.STORES]


def on(stores: list[Any]) -> Any:
    return pytest.mark.parametrize("store", params(stores), indirect=True)


Work = Callable[[Any, int], Awaitable[None]]


def with_hook(store: Store, work: Work) -> Any:
    """Return a factory of users whose async hook awaits `work` with the user and its number."""

    class Hooked(store.UserFactory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        async def hook(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await work(user, int(store.get(user, "name").removeprefix("user")))

    return Hooked


async def create_users(store: Store, work: Work, size: int = SIZE) -> list[Any]:
    """Create a batch of a factory `with_hook`."""
    users: list[Any] = await within_limit(with_hook(store, work).create_batch_async(size))
    return users


async def titles(store: Store) -> list[str]:
    """Return the titles of the posts that are stored, in the order of their keys."""
    return [row["title"] for row in await store.rows(store.PostFactory)]


# --- order -----------------------------------------------------------------------------------


class Steps:
    """Notes when code begins and ends that creates a company, and waits, in between."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.taken: list[str] = []
        self._numbers = itertools.count()

    async def take(self, *_: object) -> str:
        number = next(self._numbers)
        self.taken.append(f"begin {number}")
        await asyncio.sleep(0)
        await self.store.CompanyFactory.create_async(name=f"step {number}")
        stored = await self.store.rows(self.store.CompanyFactory)
        assert f"step {number}" in [row["name"] for row in stored]
        await asyncio.sleep(0.0001)
        self.taken.append(f"end {number}")
        return f"name {number}"

    @staticmethod
    def of_a_loop(size: int = SIZE) -> list[str]:
        return [f"{step} {number}" for number in range(size) for step in ("begin", "end")]


@on(ONE_EACH)
async def test_hooks_take_turns(store: Store) -> None:
    """The async hooks of a batch run one after the other, and see stored what they have created."""
    steps = Steps(store)
    users: list[int] = []

    async def work(user: Any, number: int) -> None:
        users.append(number)
        await steps.take()

    await create_users(store, work)
    assert users == list(range(SIZE))
    assert steps.taken == steps.of_a_loop()


@on(ONE_EACH)
async def test_several_hooks_take_turns(store: Store) -> None:
    """Two async hooks of one factory run alone, too, beside a plain one that creates."""
    steps = Steps(store)

    class Hooked(store.UserFactory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        async def first(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await steps.take()

        @factory.post_generation
        def plain(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            store.CompanyFactory.create()
            steps.taken.append("plain")

        @factory.post_generation
        async def second(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await steps.take()

    await within_limit(Hooked.create_batch_async(10))
    assert steps.taken.count("plain") == 10
    # A plain hook may go on between two async ones, but not in the middle of one.
    begun = [
        steps.taken[index] for index in range(len(steps.taken)) if "begin" in steps.taken[index]
    ]
    after = [steps.taken[steps.taken.index(step) + 1] for step in begun]
    assert after == [step.replace("begin", "end") for step in begun]


DECLARATIONS: dict[str, Callable[[Any], Any]] = {
    "LazyFunction": factory.LazyFunction,
    "LazyAttribute": factory.LazyAttribute,
    "LazyAttributeSequence": factory.LazyAttributeSequence,
    "Sequence": factory.Sequence,
    "Transformer": lambda work: factory.Transformer("", transform=work),
}


@on(ONE_EACH)
@pytest.mark.parametrize("kind", DECLARATIONS)
async def test_declarations_take_turns(store: Store, kind: str) -> None:
    """The async declarations of a batch run one after the other, each for its own object."""
    steps = Steps(store)
    companies = await within_limit(
        store.CompanyFactory.create_batch_async(SIZE, name=DECLARATIONS[kind](steps.take))
    )
    assert steps.taken == steps.of_a_loop()
    assert [store.get(one, "name") for one in companies] == [f"name {n}" for n in range(SIZE)]


@on(ONE_EACH)
@pytest.mark.parametrize("method", ["_adjust_kwargs", "_create", "_after_postgeneration"])
async def test_overridden_methods_take_turns(store: Store, method: str) -> None:
    """So do the methods of a factory that are overridden by coroutine functions."""
    steps = Steps(store)

    async def overriding(cls: Any, *args: Any, **kwargs: Any) -> Any:
        result = getattr(super(derived, cls), method)(*args, **kwargs)
        if inspect.isawaitable(result):
            result = await result
        await steps.take()
        return result

    base = store.CompanyFactory
    derived: Any = type(base)("Derived", (base,), {method: classmethod(overriding)})
    await within_limit(derived.create_batch_async(SIZE))
    assert steps.taken == steps.of_a_loop()


# --- what a hook holds while it creates --------------------------------------------------------


async def _wait_for(seconds: float, work: Callable[[], Any]) -> None:
    await asyncio.wait_for(work(), seconds)


TIME_LIMITS = {"wait_for": _wait_for}

if sys.version_info >= (3, 11):

    async def _timeout(seconds: float, work: Callable[[], Any]) -> None:
        async with asyncio.timeout(seconds):
            await work()

    TIME_LIMITS["timeout"] = _timeout


@on(ONE_EACH)
@pytest.mark.parametrize("kind", TIME_LIMITS)
async def test_time_limit(store: Store, kind: str) -> None:
    """A time limit in an async hook ends that block of that hook, and nothing of its siblings."""
    ended: list[int] = []

    async def work(user: Any, number: int) -> None:
        async def create_and_wait() -> None:
            await store.PostFactory.create_async(author=user, title=str(number))
            if number == 3:
                await asyncio.Event().wait()

        try:
            await TIME_LIMITS[kind](0.5, create_and_wait)
        except asyncio.TimeoutError:
            ended.append(number)

    await create_users(store, work)
    assert ended == [3]
    assert await titles(store) == [str(number) for number in range(SIZE)]


if sys.version_info >= (3, 11):

    @on(ONE_EACH)
    async def test_task_group(store: Store) -> None:
        """A task group whose child fails ends that block of its hook, and nothing of a sibling."""
        ended: list[tuple[int, str]] = []
        sibling_runs = asyncio.Event()

        async def fail() -> None:
            await sibling_runs.wait()
            raise LookupError

        async def work(user: Any, number: int) -> None:
            sibling_runs.set()
            try:
                async with asyncio.TaskGroup() as group:
                    if number == 3:
                        sibling_runs.clear()
                        group.create_task(fail())
                    await store.PostFactory.create_async(author=user, title=str(number))
                    if number == 3:
                        sibling_runs.set()  # no sibling has, in the meantime
                    await asyncio.sleep(60 if number == 3 else 0)
            except Exception as error:
                ended.append((number, type(error).__name__))

        await create_users(store, work)
        assert ended == [(3, "ExceptionGroup")]
        assert await titles(store) == [str(number) for number in range(SIZE)]


LOCKS: dict[str, Callable[[], Any]] = {
    "Lock": asyncio.Lock,
    "Semaphore": lambda: asyncio.Semaphore(2),
}


@on(STORES)
@pytest.mark.parametrize("kind", LOCKS)
async def test_lock(store: Store, kind: str) -> None:
    """Async hooks may hold a lock that all of them need, while they create."""
    lock = LOCKS[kind]()

    async def work(user: Any, number: int) -> None:
        async with lock:
            await asyncio.sleep(0)
            await store.PostFactory.create_async(author=user, title=str(number))
            await store.PostFactory.create_batch_async(2, author=user, title=f"more {number}")

    await create_users(store, work)
    expected = [[f"{number}", *[f"more {number}"] * 2] for number in range(SIZE)]
    assert await titles(store) == list(itertools.chain.from_iterable(expected))


class UndoError(Exception):
    """Leaves a block, so that it is undone."""


async def keep_even_posts(store: Store, user: Any, number: int, block: Any, **options: Any) -> None:
    """Create a post in a block, which an error leaves if `number` is odd."""
    with suppress(UndoError):
        async with block:
            await store.PostFactory.create_async(author=user, title=str(number), **options)
            await asyncio.sleep(0)
            if number % 2:
                raise UndoError


EVEN = [str(number) for number in range(0, SIZE, 2)]


@on(WITH_SAVEPOINTS)
async def test_savepoint(store: Store) -> None:
    """A savepoint that an async hook undoes has held what that hook has created in it, no more."""
    await create_users(
        store, lambda user, number: keep_even_posts(store, user, number, store.savepoint())
    )
    assert await titles(store) == EVEN
    assert len(await store.rows(store.UserFactory)) == SIZE


@pytest.mark.parametrize("kind", params(tortoise.STORES))
async def test_in_transaction(kind: type[tortoise.TortoiseStore], servers: Servers) -> None:
    """So does Tortoise's ``in_transaction()``, where the batch is in no transaction."""
    url = kind.url(servers, tortoise.__name__)
    async with tortoise.opened_context(kind.id, url, tortoise.__name__) as context:
        store = kind(context.db(), context.db())
        store.UserFactory.reset_sequence(0, force=True)
        await create_users(
            store, lambda user, number: keep_even_posts(store, user, number, in_transaction())
        )
        assert await titles(store) == EVEN
        assert len(await store.rows(store.UserFactory)) == SIZE


@on([store for store in (*beanie.STORES, *mongo.STORES) if not store.transactional])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
async def test_mongodb_transaction(store: mongo.DriverStore, own: bool) -> None:
    """So does a transaction of MongoDB, on the session of the batch or on one of the hook's own."""

    async def work(user: Any, number: int) -> None:
        if not own:
            await create_in_a_transaction(store.session, user, number)
            return
        async with store.driver.session(store.database) as session:
            await create_in_a_transaction(session, user, number)

    async def create_in_a_transaction(session: Any, user: Any, number: int) -> None:
        await store.driver.begin(session)
        await store.PostFactory.create_async(
            author=user, title=str(number), **{store.session_option: session}
        )
        await (session.abort_transaction() if number % 2 else session.commit_transaction())

    await create_users(store, work)
    assert await titles(store) == EVEN
    assert len(await store.rows(store.UserFactory)) == SIZE


@on(STORES)
async def test_caught_conflict(store: Store) -> None:
    """A hook that catches the refusal of its own row leaves the rows of the others alone."""
    if not store.survives_conflict:
        pytest.skip("a conflict ends a transaction of this store")
    await store.CompanyFactory.create_async(name="taken")
    refused: list[int] = []

    async def work(user: Any, number: int) -> None:
        name = "taken" if number % 10 == 3 else f"of {number}"
        try:
            async with store.savepoint():
                await store.CompanyFactory.create_async(name=name)
        except store.conflict:
            refused.append(number)

    await create_users(store, work)
    assert refused == list(range(3, SIZE, 10))
    names = [row["name"] for row in await store.rows(store.CompanyFactory)]
    stored = [f"of {number}" for number in range(SIZE) if number not in refused]
    assert [name for name in names if name.startswith("of ")] == stored


@on(sqlalchemy.STORES)
async def test_no_autoflush(store: sqlalchemy.SQLAlchemyStore) -> None:
    """``session.no_autoflush`` holds in the block of the hook that enters it, and in no other."""
    seen: list[bool] = []

    async def work(user: Any, number: int) -> None:
        seen.append(store.session.autoflush)
        with store.session.no_autoflush:
            await store.PostFactory.create_async(author=user)
            seen.append(store.session.autoflush)
        seen.append(store.session.autoflush)

    await create_users(store, work)
    assert seen == [True, False, True] * SIZE


# --- context variables -------------------------------------------------------------------------


@on(ONE_EACH)
async def test_context_variables(store: Store) -> None:
    """What an async hook sets is seen by what it creates, until the hook resets it."""
    variable = ContextVar("variable", default="nothing")
    seen: list[tuple[int, str, str]] = []

    async def work(user: Any, number: int) -> None:
        assert variable.get() == "nothing"
        token = variable.set(f"set by {number}")
        await asyncio.sleep(0)
        post = await store.PostFactory.create_async(
            author=user, title=factory.LazyFunction(variable.get)
        )
        seen.append((number, store.get(post, "title"), variable.get()))
        variable.reset(token)

    await create_users(store, work)
    assert seen == [(number, *[f"set by {number}"] * 2) for number in range(SIZE)]


@on(ONE_EACH)
async def test_context_variables_stay_set(store: Store) -> None:
    """What an async hook sets and leaves set, the next hook and the caller see, as of a loop."""
    variable = ContextVar("variable", default=-1)
    seen: list[int] = []

    async def work(user: Any, number: int) -> None:
        seen.append(variable.get())
        variable.set(number)

    await with_hook(store, work).create_batch_async(5)
    assert seen == [-1, 0, 1, 2, 3]
    assert variable.get() == 4


@on(ONE_EACH)
async def test_bind(store: Store) -> None:
    """Options that an async hook binds hold for what it creates, and not for its siblings."""
    told: list[tuple[int, int]] = []

    async def work(user: Any, number: int) -> None:
        with bind(progress=lambda done, size: told.append((number, done))):
            await asyncio.sleep(0)
            await store.PostFactory.create_batch_async(2, author=user)

    await create_users(store, work)
    assert [number for number, done in told if done == 2] == list(range(SIZE))


# --- statements --------------------------------------------------------------------------------


@pytest.fixture
def statements(store: Any) -> list[str]:
    """The names of the tables or collections that the store inserts into, one a statement."""
    if isinstance(store, mongo.DriverStore):
        return store.commands.sent
    sent: list[str] = []

    def note(*args: Any) -> None:
        words = args[2].split()
        if words[0] == "INSERT":
            sent.append(f"insert {words[2]}")

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    return sent


INSERTING = [
    sqlalchemy.PostgreSQLAsyncpg,
    sqlalchemy.MariaDB,
    *(store for store in (*beanie.STORES, *mongo.STORES) if not store.transactional),
]


def inserted(statements: list[str]) -> list[str]:
    names = [one.lower().removeprefix("insert ") for one in statements if "insert" in one.lower()]
    return [name.removeprefix("app_") for name in names]


@on(INSERTING)
async def test_statements(store: Store, statements: list[str]) -> None:
    """A batch that an async hook creates is a statement for each level, one batch a hook."""

    class WithPosts(store.UserFactory):  # type: ignore[name-defined, misc]
        posts = factory.RelatedFactoryList(store.PostFactory, "author", size=2)

    async def work(user: Any, number: int) -> None:
        await WithPosts.create_batch_async(10, name="colleague")

    await create_users(store, work, size=3)
    assert inserted(statements) == ["company", "user"] + ["company", "user", "post"] * 3


@on(INSERTING)
@pytest.mark.parametrize("first", ["plain", "async"])
async def test_statements_of_plain_hooks(store: Store, statements: list[str], first: str) -> None:
    """What the plain hooks of a batch create is one statement, also beside async hooks."""

    async def create_company(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        await store.CompanyFactory.create_async()

    def create_posts(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        store.PostFactory.create_batch(2, author=user)

    hooks = [factory.PostGeneration(create_posts), factory.PostGeneration(create_company)]
    if first == "async":
        hooks.reverse()

    class Hooked(store.UserFactory):  # type: ignore[name-defined, misc]
        one, two = hooks

    await within_limit(Hooked.create_batch_async(5))
    made = inserted(statements)
    assert made[:2] == ["company", "user"]
    assert sorted(made[2:]) == ["company"] * 5 + ["post"]
