import os
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from async_factory_boy import bind
from models import Base

MONGODB_URL = os.environ.get("MONGODB_URL", "mongodb://localhost:27017")


@pytest.fixture
async def session():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


@pytest.fixture
async def database():
    async with AsyncMongoClient(MONGODB_URL) as client:
        database = client[f"test_{uuid4().hex}"]
        yield database
        await client.drop_database(database)


@pytest.fixture(autouse=True)
async def bound(session, database):
    with bind(sqlalchemy_session=session, mongo_collection=database["visits"]):
        yield
