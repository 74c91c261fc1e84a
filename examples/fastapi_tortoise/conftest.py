import pytest
from httpx import ASGITransport, AsyncClient

from app import app
from async_factory_boy.pytest_plugin import tortoise_database

tortoise_database("sqlite://:memory:", modules={"models": ["models"]}, autouse=True)


@pytest.fixture
async def client():
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
