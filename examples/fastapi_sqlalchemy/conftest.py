import os

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from app import app, get_session
from async_factory_boy import bind
from models import Base


@pytest.fixture
async def engine():
    url = make_url(os.environ.get("POSTGRES_URL", "sqlite://"))
    on_sqlite = url.get_backend_name() == "sqlite"
    driver = "sqlite+aiosqlite" if on_sqlite else "postgresql+asyncpg"
    engine = create_async_engine(url.set(drivername=driver))
    if on_sqlite:
        # Or Python's sqlite3 would begin transactions where it likes, and none before a SAVEPOINT.
        @event.listens_for(engine.sync_engine, "connect")
        def leave_it_to_sqlalchemy(connection, record):
            connection.isolation_level = None

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection):
            connection.exec_driver_sql("BEGIN")

    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await engine.dispose()


@pytest.fixture
async def session(engine):
    async with engine.connect() as connection:
        transaction = await connection.begin()
        # What commits or rolls back ends a savepoint; the outer transaction goes on.
        async with AsyncSession(
            connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        ) as session:
            with bind(sqlalchemy_session=session):
                yield session
        await transaction.rollback()


@pytest.fixture
async def client(session):
    app.dependency_overrides[get_session] = lambda: session
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
    app.dependency_overrides.clear()
