import pytest
from httpx import ASGITransport, AsyncClient
from tortoise.context import tortoise_test_context

from app import app


@pytest.fixture(autouse=True)
async def database():
    async with tortoise_test_context(["models"]) as context:
        yield context


@pytest.fixture
async def client():
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
