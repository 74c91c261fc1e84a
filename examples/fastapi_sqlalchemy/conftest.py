import os

import pytest
from httpx import ASGITransport, AsyncClient

from app import app, get_session
from async_factory_boy.pytest_plugin import sqlalchemy_database
from models import Base

URL = os.environ.get("POSTGRES_URL", "sqlite+aiosqlite://")

sqlalchemy_database(URL.replace("postgresql://", "postgresql+asyncpg://"), metadata=Base.metadata)


@pytest.fixture
async def client(session):
    app.dependency_overrides[get_session] = lambda: session
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
    app.dependency_overrides.clear()
