"""What one ``create_async`` costs over adding and flushing the same object by hand."""

from __future__ import annotations

import functools
from contextlib import AsyncExitStack

import factory
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_factory_boy.factory import make_factory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from benchmarks.measure import Comparison, compare

CALLS = 200


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "benchmark_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str] = mapped_column(String(100))
    age: Mapped[int]
    active: Mapped[bool]


# What both ways have factory_boy evaluate.
DECLARATIONS = {
    "name": factory.Faker("name"),
    "email": factory.Sequence(lambda n: f"user{n}@example.org"),
    "age": factory.Faker("random_int", min=18, max=99),
    "active": True,
}

ValuesFactory = factory.make_factory(dict, **DECLARATIONS)
UserFactory = make_factory(User, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, **DECLARATIONS)


async def by_hand(session: AsyncSession) -> None:
    """Add and flush `CALLS` objects, one by one."""
    for _ in range(CALLS):
        session.add(User(**ValuesFactory.build()))
        await session.flush()


async def by_factory(session: AsyncSession) -> None:
    """Create `CALLS` objects, one by one."""
    for _ in range(CALLS):
        await UserFactory.create_async(sqlalchemy_session=session)


async def overhead(backend: str, url: str, rounds: int) -> Comparison:
    """Compare the two on the database at `url`, within transactions that are rolled back."""
    async with AsyncExitStack() as stack:
        engine = create_async_engine(url)
        stack.push_async_callback(engine.dispose)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        session = await stack.enter_async_context(AsyncSession(engine))
        return await compare(
            f"{CALLS} times `create_async`, SQLAlchemy on {backend}",
            {
                "by hand: add, flush": functools.partial(by_hand, session),
                "create_async": functools.partial(by_factory, session),
            },
            reset=session.rollback,
            rounds=rounds,
        )
