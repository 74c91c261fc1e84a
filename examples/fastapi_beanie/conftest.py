import pytest
from httpx import ASGITransport, AsyncClient

from app import MONGODB_URL, app
from async_factory_boy.pytest_plugin import beanie_database
from models import MODELS

beanie_database(MONGODB_URL, document_models=MODELS, autouse=True)


@pytest.fixture
async def client():
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
