"""Automatic factories of random models: what they make is stored, or is refused beforehand.

Set ``MODELS`` in the environment for another number of examples than 15.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, given, note, settings
from sqlalchemy.exc import SAWarning
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.schema import CreateTable

from async_factory_boy.exceptions import AsyncFactoryError
from async_factory_boy.factory.helpers import make_factory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.auto.random_models import Models, models
from tests.servers import Servers

SIZE = 200


@pytest.fixture
async def connection(servers: Servers) -> AsyncGenerator[AsyncConnection]:
    url = servers.postgres.replace("postgresql://", "postgresql+psycopg://")
    # What is prepared outlives the tables.
    engine = create_async_engine(url, connect_args={"prepare_threshold": None})
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def outcome(connection: AsyncConnection, drawn: Models) -> str:
    """Return ``"stored"``, or the reason why a batch was refused; nothing is left of it."""
    classes, metadata, registry = drawn.mapped()
    sent: list[str] = []

    def listen(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    for table in metadata.tables.values():
        note(str(CreateTable(table).compile(dialect=connection.dialect)))
    transaction = await connection.begin()
    try:
        await connection.execute(sa.text("CREATE SCHEMA random_models"))
        await connection.execute(sa.text("SET LOCAL search_path TO random_models"))
        await connection.run_sync(metadata.create_all)
        sa.event.listen(connection.sync_connection, "before_cursor_execute", listen)
        model = classes[drawn.root]
        factory = make_factory(
            model, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, auto_declarations=drawn.option
        )
        async with AsyncSession(connection) as session:
            refused = None
            try:
                batch = await factory.create_batch_async(SIZE, sqlalchemy_session=session)
            except AsyncFactoryError as error:
                refused = str(error)
            if refused is not None:
                assert not [one for one in sent if one.startswith("INSERT")], refused
                return refused
            await session.flush()
            assert len({sa.inspect(one).identity for one in batch}) == SIZE
            count = sa.select(sa.func.count()).select_from(model)
            assert (await session.scalar(count) or 0) >= SIZE
        return "stored"
    finally:
        if sa.event.contains(connection.sync_connection, "before_cursor_execute", listen):
            sa.event.remove(connection.sync_connection, "before_cursor_execute", listen)
        await transaction.rollback()
        registry.dispose()


@pytest.mark.unmeasured
@settings(
    max_examples=int(os.environ.get("MODELS", "15")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=models())
async def test_automatic_batch(connection: AsyncConnection, drawn: Models) -> None:
    """A batch of any model is stored by PostgreSQL, or refused before an INSERT is sent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # of relationships with columns in common
        event((await outcome(connection, drawn)).partition(" ")[2][:60])
