"""What pytest shows of a traceback that goes through a factory, as docs/pytest.md has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

import async_factory_boy
from async_factory_boy import bind
from async_factory_boy.factory import create_async
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.stores.sqlalchemy import Base, Company, CompanyFactory, opened_engine

LIBRARY = Path(async_factory_boy.__file__).parent


@pytest.fixture(autouse=True)
async def session() -> AsyncGenerator[AsyncSession]:
    async with (
        opened_engine("sqlite+aiosqlite://", Base.metadata) as engine,
        AsyncSession(engine) as session,
    ):
        with bind(sqlalchemy_session=session):
            yield session


class GetOrCreateFactory(CompanyFactory):
    class Meta:
        sqlalchemy_get_or_create = ("name",)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: CompanyFactory.build_async(unheard="ACME"), TypeError),
        (lambda: CompanyFactory.create_async(unheard="ACME"), TypeError),
        (CompanyFactory.create_async, ZeroDivisionError),
        (GetOrCreateFactory.create_async, ZeroDivisionError),
        (lambda: GetOrCreateFactory.create_batch_async(2), ZeroDivisionError),
        (
            lambda: create_async(
                Company, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, unheard="ACME"
            ),
            TypeError,
        ),
    ],
)
async def test_frames_of_the_library(session: AsyncSession, call: Any, error: Any) -> None:
    """The frames of the library are left out, those of the test and of others are not."""

    def fail(*args: Any) -> None:
        raise ZeroDivisionError

    event.listen(session.sync_session, "before_flush", fail)
    with pytest.raises(error) as caught:
        await call()
    event.remove(session.sync_session, "before_flush", fail)
    shown = [str(entry.path) for entry in caught.traceback.filter(caught)]
    assert shown[0] == __file__
    assert len(shown) > 1
    assert [path for path in shown if path.startswith(str(LIBRARY))] == []
