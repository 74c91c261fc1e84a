"""Turns: which call uses a connection, and when."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Hashable, Sequence
from typing import Any

import factory
import pytest

from async_factory_boy.adapters import CallOption, ForEachUse, PersistenceAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory import turns as table
from tests.factory.limits import all_of, within_limit


class Item:
    def __init__(self, name: str = "item", **values: Any) -> None:
        self.name = name
        vars(self).update(values)


class Connection:
    """A connection that only one call may use at a time; it notes who does."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.in_use = 0

    async def store(self, instances: Sequence[Item]) -> None:
        self.in_use += 1
        try:
            assert self.in_use == 1, "two tasks use the connection at once"
            await asyncio.sleep(0)
            self.stored += [instance.name for instance in instances]
        finally:
            self.in_use -= 1


class ConnectionAdapter(PersistenceAdapter[Any]):
    turns_connection: CallOption[Connection] = CallOption()

    def connection(self) -> Connection:
        connection = self.turns_connection
        assert connection is not None
        return connection

    def connection_key(self, model: type[Any]) -> Hashable:
        return self.connection()

    async def save(self, instance: Any) -> Any:
        return (await self.save_many([instance]))[0]

    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await self.connection().store(instances)
        return instances


class OtherAdapter(ConnectionAdapter):
    """Another adapter that stores through the same connections."""


class ItemFactory(AsyncFactory[Item]):
    class Meta:
        model = Item
        adapter = ConnectionAdapter()


class OtherFactory(AsyncFactory[Item]):
    class Meta:
        model = Item
        adapter = OtherAdapter()

    name = "other"


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture(autouse=True)
async def nothing_is_left() -> Any:
    """See that no connection is kept when a test is over."""
    yield
    assert not table._table()


async def test_a_call_keeps_its_turn(connection: Connection) -> None:
    """What a call stores first and last comes before what a call beside it stores."""

    class Slow(ItemFactory):
        @factory.post_generation
        async def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0.01)
            await OtherFactory.create_async(name=f"after {item.name}")

    calls = [Slow.create_async(name=name, turns_connection=connection) for name in "abc"]
    await within_limit(all_of(*calls))
    assert connection.stored == ["a", "after a", "b", "after b", "c", "after c"]


async def test_tasks_of_one_call_take_turns(connection: Connection) -> None:
    """Tasks that a hook starts store within the turn of its call, one after the other."""

    class Gathering(ItemFactory):
        @factory.post_generation
        async def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await asyncio.gather(*(OtherFactory.create_async(name=name) for name in "xyz"))

    calls = [Gathering.create_async(name=name, turns_connection=connection) for name in "ab"]
    await within_limit(all_of(*calls))
    assert connection.stored == ["a", "x", "y", "z", "b", "x", "y", "z"]


@pytest.mark.parametrize("size", [1, 3])
async def test_an_adapter_that_creates(connection: Connection, size: int) -> None:
    """An adapter may create further objects while it stores one, through the same connection."""

    class Creating(ConnectionAdapter):
        async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
            await OtherFactory.create_async(name=f"before {len(instances)}")
            return await super().save_many(instances)

    class CreatingFactory(ItemFactory):
        class Meta:
            adapter = Creating()

    calls = [
        CreatingFactory.create_batch_async(size, turns_connection=connection) for _ in range(2)
    ]
    await within_limit(all_of(*calls))
    assert connection.stored == [f"before {size}", *["item"] * size] * 2


async def test_a_constructor_that_creates(connection: Connection) -> None:
    """The constructor of a model may create further objects through the same connection."""

    class Created(Item):
        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            OtherFactory.create(name=f"part of {self.name}")

    class CreatedFactory(ItemFactory):
        class Meta:
            model = Created

        name = factory.Iterator(["a", "b", "c"])

    await within_limit(CreatedFactory.create_batch_async(2, turns_connection=connection))
    await within_limit(CreatedFactory.create_async(turns_connection=connection))
    assert connection.stored == ["part of a", "part of b", "a", "b", "part of c", "c"]


@pytest.mark.parametrize("when", ["waiting", "as its turn comes"])
async def test_cancelled_while_waiting(connection: Connection, when: str) -> None:
    """A call that is cancelled while it waits stores nothing, and leaves its turn to the next."""
    go_on = asyncio.Event()

    class Slow(ItemFactory):
        @factory.post_generation
        async def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await go_on.wait()
            if when == "as its turn comes":
                asyncio.get_running_loop().call_soon(cancelled.cancel)

    def start(factory_: Any, name: str) -> asyncio.Task[Any]:
        return asyncio.create_task(factory_.create_async(name=name, turns_connection=connection))

    first, cancelled = start(Slow, "first"), start(ItemFactory, "cancelled")
    last = start(ItemFactory, "last")
    await asyncio.sleep(0.01)
    if when == "waiting":
        cancelled.cancel()
        await asyncio.sleep(0)
    go_on.set()
    await within_limit(all_of(first, last))
    await asyncio.wait([cancelled])
    assert cancelled.cancelled()
    assert connection.stored == ["first", "last"]


async def test_two_connections_in_opposite_order() -> None:
    """Calls that use two connections in opposite order wait for each other no longer than needed.

    Their hooks hold neither at the moment they ask for the other.
    """
    one, two = Connection(), Connection()

    def using(first: Connection, second: Connection) -> Any:
        class Using(ItemFactory):
            @factory.post_generation
            async def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
                await asyncio.sleep(0.01)
                await OtherFactory.create_async(turns_connection=second)
                await OtherFactory.create_async(turns_connection=first)

        return Using.create_async(turns_connection=first)

    await within_limit(all_of(*(using(*pair) for pair in [(one, two), (two, one)] * 3)))
    assert len(one.stored) == len(two.stored) == 9


async def test_a_connection_for_each_use(connection: Connection) -> None:
    """What is kept for each use only, other tasks use while a hook waits for them."""

    class Briefly(ConnectionAdapter):
        def connection_key(self, model: type[Any]) -> Hashable:
            return ForEachUse(self.connection())

    class BrieflyFactory(ItemFactory):
        class Meta:
            adapter = Briefly()

    wanted: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def serve() -> None:
        while True:
            done = await wanted.get()
            await BrieflyFactory.create_batch_async(2, name="other", turns_connection=connection)
            done.set_result(None)

    class Asking(BrieflyFactory):
        @factory.post_generation
        async def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            done = asyncio.get_running_loop().create_future()
            await wanted.put(done)
            await done

    server = asyncio.create_task(serve())
    calls = (Asking.create_async(turns_connection=connection) for _ in range(5))
    await within_limit(all_of(*calls))
    server.cancel()
    assert sorted(connection.stored) == ["item"] * 5 + ["other"] * 10


@pytest.mark.parametrize("tasks", [1, 3])
async def test_a_task_that_outlives_its_call(connection: Connection, tasks: int) -> None:
    """Calls that go on in tasks of a hook when its call is over end its turn, and commit."""
    commits: list[int] = []
    started: list[asyncio.Task[Any]] = []
    go_on = asyncio.Event()

    class Committing(ConnectionAdapter):
        async def commit(self) -> None:
            commits.append(len(self.connection().stored))

    async def once_over() -> str:
        await go_on.wait()
        return "late"

    class LateFactory(OtherFactory):
        class Meta:
            adapter = Committing()

        name = factory.LazyFunction(once_over)

    class Starting(ItemFactory):
        @factory.post_generation
        async def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            started.extend(asyncio.create_task(LateFactory.create_async()) for _ in range(tasks))
            await asyncio.sleep(0.01)

    await within_limit(Starting.create_async(turns_connection=connection))
    go_on.set()
    await within_limit(all_of(*started))
    await within_limit(ItemFactory.create_async(name="after", turns_connection=connection))
    assert connection.stored == ["item", *["late"] * tasks, "after"]
    assert len(commits) == tasks
    assert commits[-1] == 1 + tasks


async def test_tasks_that_take_another_connection() -> None:
    """Tasks of a hook may ask for another connection at once, while others of it use the first."""
    one, two, three = Connection(), Connection(), Connection()

    def using(first: Connection, *others: Connection) -> Any:
        class Using(ItemFactory):
            @factory.post_generation
            async def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
                tasks = [
                    OtherFactory.create_async(turns_connection=other)
                    for other in (first, *others, *others, first)
                ]
                await asyncio.gather(*tasks)

        return Using.create_async(turns_connection=first)

    orders = [(one, two, three), (two, three, one), (three, one, two)] * 2
    await within_limit(all_of(*(using(*order) for order in orders)))
    assert [len(each.stored) for each in (one, two, three)] == [14, 14, 14]


async def test_an_error_ends_the_turn(connection: Connection) -> None:
    """A call that fails leaves the connection to the next."""

    class Failing(ItemFactory):
        @factory.post_generation
        def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            raise LookupError

    with pytest.raises(LookupError):
        await Failing.create_batch_async(2, turns_connection=connection)
    await within_limit(ItemFactory.create_async(name="after", turns_connection=connection))
    assert connection.stored == ["item", "item", "after"]


def test_a_loop_that_was_left(connection: Connection) -> None:
    """A connection that a call had when its event loop was left is free in the next loop."""

    class Endless(ItemFactory):
        @factory.post_generation
        async def hook(item: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            loop.stop()
            await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    task = loop.create_task(Endless.create_async(turns_connection=connection))
    loop.run_forever()
    asyncio.run(
        within_limit(ItemFactory.create_async(name="in the next", turns_connection=connection))
    )
    assert connection.stored == ["item", "in the next"]
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()


@pytest.mark.parametrize("size", [1, 10])
async def test_a_call_leaves_no_garbage(connection: Connection, size: int) -> None:
    """What a call has made is gone with the last reference: the collector finds nothing."""

    class WithPart(ItemFactory):
        part = factory.SubFactory(OtherFactory)
        also = factory.LazyAttribute(lambda item: item.part.name)

    for _ in range(3):  # the first calls compile the plan, and fill caches
        await WithPart.create_batch_async(size, turns_connection=connection)
    gc.collect()
    gc.disable()
    try:
        await WithPart.create_batch_async(size, turns_connection=connection)
        assert gc.collect() == 0
    finally:
        gc.enable()
