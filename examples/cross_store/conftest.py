import os

from async_factory_boy.pytest_plugin import mongo_database, sqlalchemy_database
from models import Base

MONGODB_URL = os.environ.get("MONGODB_URL", "mongodb://localhost:27017")

sqlalchemy_database("sqlite+aiosqlite://", metadata=Base.metadata)
mongo_database(MONGODB_URL, prefix="tracking_")
