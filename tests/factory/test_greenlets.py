"""Where nothing waits for what comes after it, no fiber is suspended, however large the batch."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import factory
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from async_factory_boy import bind
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.engine import fibers
from async_factory_boy.factory import AsyncFactory
from tests.greenlets import suspended_greenlets
from tests.stores import sqlalchemy as stores
from tests.stores.sqlalchemy import Company, Post, User

pytestmark = pytest.mark.unmeasured


@pytest.fixture
async def engine() -> AsyncGenerator[AsyncEngine]:
    async with stores.opened_engine("sqlite+aiosqlite://", stores.Base.metadata) as engine:
        yield engine


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine) as session:
        with bind(sqlalchemy_session=session):
            yield session


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[fibers.Fiber]:
    """The fibers of this thread: those that were idle before the test, and those it makes."""
    every = [*fibers._pool.of_thread.idle]
    begin = fibers.Fiber.__init__

    def noted(fiber: fibers.Fiber) -> None:
        begin(fiber)
        every.append(fiber)

    monkeypatch.setattr(fibers.Fiber, "__init__", noted)
    return every


@pytest.fixture
def parked(made: list[fibers.Fiber]) -> Callable[[], int]:
    """Count the fibers that are suspended with work.

    As `tests.greenlets.suspended_greenlets` does, but without a look at all objects there are.
    A fiber that runs, or in which the running code was called, has no frame of its own.
    """

    def count() -> int:
        idle = {id(fiber) for fiber in fibers._pool.of_thread.idle}
        return sum(fiber.gr_frame is not None and id(fiber) not in idle for fiber in made)

    return count


@pytest.fixture
def counts(engine: AsyncEngine, parked: Callable[[], int]) -> list[int]:
    """How many fibers are suspended with work, at each statement and call of the adapter."""
    seen: list[int] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *_: seen.append(parked()))
    Counting.count = lambda: seen.append(parked())
    return seen


class Counting(SQLAlchemyAdapter[Any]):
    count: Callable[[], None]

    def build(self, model: type[Any], args: Sequence[Any], kwargs: Any) -> Any:
        type(self).count()
        return super().build(model, args, kwargs)

    def add(self, data: Sequence[Any]) -> None:
        type(self).count()
        super().add(data)

    async def save_many(self, data: Sequence[Any]) -> list[Any]:
        type(self).count()
        return await super().save_many(data)

    async def refresh(self, instances: Sequence[Any]) -> None:
        type(self).count()
        await super().refresh(instances)


class CompanyFactory(AsyncFactory[Company]):
    class Meta:
        model = Company
        adapter = Counting()

    name = factory.Sequence(lambda n: f"company{n}")
    size = 10


class PostFactory(AsyncFactory[Post]):
    class Meta:
        model = Post
        adapter = Counting()

    title = factory.Sequence(lambda n: f"post{n}")


class UserFactory(AsyncFactory[User]):
    class Meta:
        model = User
        adapter = Counting()

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)
    company_key = 0
    posts = factory.RelatedFactoryList(PostFactory, "author", size=2)


class LookingUserFactory(UserFactory):
    company_key = factory.LazyAttribute(lambda user: user.company.id)


class EarlyUserFactory(UserFactory):
    """Reads a part that is declared after it."""

    name = factory.LazyAttribute(lambda user: user.company.name)


@pytest.mark.parametrize("kind", [UserFactory, LookingUserFactory])
async def test_nothing_is_parked(
    session: AsyncSession, counts: list[int], parked: Callable[[], int], kind: Any
) -> None:
    """A thousand users with company and posts keep no fiber suspended, at any moment."""
    users = await kind.create_batch_async(1000)
    assert len({user.company.id for user in users}) == 1000
    assert len(counts) > 4000
    assert max(counts) <= 1  # that of the call itself, which waits for the store
    assert parked() == 0


async def test_reading_ahead_parks(
    session: AsyncSession, counts: list[int], parked: Callable[[], int]
) -> None:
    """Declarations that read a part declared after them wait in fibers, and leave none behind."""
    users = await EarlyUserFactory.create_batch_async(100)
    assert all(user.name == user.company.name for user in users)
    assert max(counts) >= 100
    assert parked() == 0


async def test_fixture_sees_what_the_collector_sees(
    session: AsyncSession, parked: Callable[[], int], made: list[fibers.Fiber]
) -> None:
    """The count of these tests is that of all suspended greenlets that are fibers."""
    pairs: list[tuple[int, int]] = []

    async def compare() -> int:
        found = [one for one in suspended_greenlets() if isinstance(one, fibers.Fiber)]
        pairs.append((len(found), parked()))
        return 0

    class Factory(UserFactory):
        name = factory.LazyAttribute(lambda user: user.company.name)
        company_key = factory.LazyFunction(compare)

    await Factory.create_batch_async(3)
    gc.collect()
    assert pairs
    assert all(found == counted for found, counted in pairs)
