"""Small projects on Piccolo whose tests use `piccolo_database`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import asyncpg

from tests.isolation.projects import Kind

SHOP = """
    import factory
    from piccolo.columns import ForeignKey, Varchar
    from piccolo.table import Table

    from async_factory_boy_piccolo import AsyncPiccoloTableFactory
    from piccolo_conf import DB


    class Company(Table, db=DB):
        name = Varchar()


    class User(Table, db=DB, tablename="app_user"):
        name = Varchar(unique=True)
        company = ForeignKey(Company)


    class CompanyFactory(AsyncPiccoloTableFactory[Company]):
        name = factory.Faker("company")


    class UserFactory(AsyncPiccoloTableFactory[User]):
        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)
"""

CONFTEST = """
    import pytest

    from async_factory_boy.pytest_plugin import register, shared
    from async_factory_boy_piccolo.pytest_plugin import piccolo_database
    from piccolo_conf import DB
    from shop import Company, CompanyFactory, User, UserFactory

    piccolo_database(tables=[User, Company])


    class Store:
        async def count(self, model):
            return await model.count()

        async def names(self, model):
            return await model.select(model.name).order_by(model.name).output(as_list=True)

        async def commit(self):
            async with DB.transaction() as transaction:
                await transaction.commit()

        async def save(self, instance):
            await instance.save()

        async def delete(self, instance):
            async with DB.transaction():
                await instance.remove()


    @pytest.fixture
    def store(engine):
        return Store()
"""


class Server:
    """A server of PostgreSQL.

    Args:
        url: The URL of one of its databases.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.made = set[str]()

    def new(self, name: str) -> str:
        """Create a database, and return its URL: Piccolo warns of an engine without one."""
        self.execute(f"CREATE DATABASE {name}")
        self.made.add(name)
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def execute(self, statement: str) -> list[str]:
        """Execute a statement, and return what it finds."""

        async def execute() -> list[str]:
            connection = await asyncpg.connect(self.url)
            found = await connection.fetch(statement)
            await connection.close()
            return [value for (value,) in found]

        return asyncio.run(execute())


class Piccolo(Kind):
    """Piccolo on SQLite or PostgreSQL.

    Args:
        engine: The expression of the engine, with the URL of a database left out.
    """

    def __init__(self, engine: str) -> None:
        super().__init__("piccolo_database", SHOP, CONFTEST, "engine")
        self.engine = engine
        self.on_postgresql = "Postgres" in engine

    def url(self, servers: Server | None, name: str) -> str:  # type: ignore[override]
        return "test.sqlite" if servers is None else servers.new(name)

    def modules(self, url: str) -> Mapping[str, str]:
        return {
            "shop": self.shop,
            "piccolo_conf": (
                "from piccolo.engine.postgres import PostgresEngine\n"
                "from piccolo.engine.sqlite import SQLiteEngine\n\n"
                f"DB = {self.engine.format(url)}\n"
            ),
        }

    def unreachable(self, text: str) -> str:
        if "DB = Postgres" in text:  # which connects at once, and only warns if it cannot
            text += "DB.config = {'host': '127.0.0.1', 'port': 1}\n"
        return text.replace("test.sqlite", "nowhere/test.sqlite")

    def databases(self, servers: Server | None) -> set[str]:  # type: ignore[override]
        if servers is None:
            return set()
        return {*servers.execute("SELECT datname FROM pg_database")} - servers.made

    def drop(self, servers: Server, name: str) -> None:  # type: ignore[override]
        servers.execute(f"DROP DATABASE {name}")


KINDS: Mapping[str, Piccolo] = {
    "sqlite": Piccolo("SQLiteEngine({!r})"),
    "postgresql": Piccolo("PostgresEngine({{'dsn': {!r}}})"),
}
