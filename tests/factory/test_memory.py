"""What a large batch keeps, beside the objects that it returns."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from async_factory_boy import bind
from async_factory_boy.factory.step import Step
from tests.factory.test_greenlets import Counting, LookingUserFactory, UserFactory
from tests.stores import sqlalchemy as stores

pytestmark = pytest.mark.unmeasured

SIZE = 20
STEPS_OF_ONE = 4  # the user, the company, two posts


@pytest.fixture
async def session() -> AsyncGenerator[AsyncSession]:
    async with (
        stores.opened_engine("sqlite+aiosqlite://", stores.Base.metadata) as engine,
        AsyncSession(engine) as session,
    ):
        yield session


@pytest.mark.parametrize("kind", [UserFactory, LookingUserFactory])
async def test_pages_are_let_go(
    session: AsyncSession, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of ten pages keeps the steps of the last page alone, without the collector's help."""
    monkeypatch.setattr(Counting, "count", lambda: None, raising=False)

    class Paged(kind):  # type: ignore[misc]
        class Meta:
            batch_size = SIZE

    alive: list[int] = []

    def count(done: int, size: int) -> None:
        alive.append(sum(type(one) is Step for one in gc.get_objects()) - before)

    gc.collect()
    before = sum(type(one) is Step for one in gc.get_objects())
    gc.disable()
    try:
        with bind(sqlalchemy_session=session, progress=count):
            users = await Paged.create_batch_async(10 * SIZE)
    finally:
        gc.enable()
    assert len(users) == 10 * SIZE
    assert len(alive) == 10
    assert 0 < max(alive) <= STEPS_OF_ONE * SIZE
