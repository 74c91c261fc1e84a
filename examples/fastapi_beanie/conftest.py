from uuid import uuid4

import pytest
from beanie import init_beanie
from httpx import ASGITransport, AsyncClient
from pymongo import AsyncMongoClient

from app import MONGODB_URL, app
from models import MODELS

DATABASE = f"test_{uuid4().hex}"


@pytest.fixture(autouse=True)
async def database():
    async with AsyncMongoClient(MONGODB_URL) as client:
        await init_beanie(database=client[DATABASE], document_models=MODELS)
        yield client[DATABASE]
        await client.drop_database(DATABASE)


@pytest.fixture
async def client():
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
