"""Small projects whose tests use the fixtures of a database: one for each store.

Each has a module ``shop`` with models and factories of companies and users, and a conftest.py whose
fixture ``store`` has what tests do to a store: `count`, `commit`, `save`, `delete`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.isolation.projects import Kind
from tests.servers import Servers
from tests.stores.base import REPEATS, named_params

SQLALCHEMY_SHOP = """
    import factory
    from sqlalchemy import ForeignKey, String
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

    from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory


    class Base(DeclarativeBase):
        pass


    class Company(Base):
        __tablename__ = "company"

        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(50))


    class User(Base):
        __tablename__ = "app_user"

        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(50), unique=True)
        company_id: Mapped[int | None] = mapped_column(ForeignKey(Company.id))
        company: Mapped[Company | None] = relationship()


    class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
        name = factory.Faker("company")


    class UserFactory(AsyncSQLAlchemyModelFactory[User]):
        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)
"""

SQLALCHEMY_CONFTEST = """
    import pytest
    from sqlalchemy import func, select

    from async_factory_boy.pytest_plugin import register, shared, sqlalchemy_database
    from shop import Base, Company, CompanyFactory, User, UserFactory

    sqlalchemy_database({url!r}, metadata=Base.metadata)


    class Store:
        def __init__(self, session):
            self.session = session

        async def count(self, model):
            return await self.session.scalar(select(func.count()).select_from(model))

        async def names(self, model):
            return [*await self.session.scalars(select(model.name).order_by(model.name))]

        async def commit(self):
            await self.session.commit()

        async def save(self, instance):
            await self.session.commit()

        async def delete(self, instance):
            await self.session.delete(instance)
            await self.session.commit()


    @pytest.fixture
    def store(session):
        return Store(session)
"""

DATABASES_SHOP = SQLALCHEMY_SHOP.replace(
    "sqlalchemy import Async", "databases import Async"
).replace("AsyncSQLAlchemyModelFactory", "AsyncDatabasesFactory")

DATABASES_CONFTEST = """
    import pytest
    from sqlalchemy import delete, func, select, update

    from async_factory_boy.pytest_plugin import databases_database, register, shared
    from shop import Base, Company, CompanyFactory, User, UserFactory

    databases_database({url!r}, metadata=Base.metadata)


    class Store:
        def __init__(self, database):
            self.database = database

        async def count(self, model):
            return await self.database.fetch_val(select(func.count()).select_from(model))

        async def names(self, model):
            rows = await self.database.fetch_all(select(model.name).order_by(model.name))
            return [row.name for row in rows]

        async def commit(self):
            async with self.database.transaction():
                pass

        async def save(self, instance):
            model = type(instance)
            named = update(model).where(model.id == instance.id).values(name=instance.name)
            await self.database.execute(named)

        async def delete(self, instance):
            model = type(instance)
            async with self.database.transaction():
                await self.database.execute(delete(model).where(model.id == instance.id))


    @pytest.fixture
    def store(database):
        return Store(database)
"""

TORTOISE_SHOP = """
    import factory
    from tortoise import fields
    from tortoise.models import Model

    from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory


    class Company(Model):
        id = fields.IntField(primary_key=True)
        name = fields.CharField(max_length=50)


    class User(Model):
        id = fields.IntField(primary_key=True)
        name = fields.CharField(max_length=50, unique=True)
        company = fields.ForeignKeyField("shop.Company", "users", null=True)

        class Meta:
            table = "app_user"


    class CompanyFactory(AsyncTortoiseModelFactory[Company]):
        name = factory.Faker("company")


    class UserFactory(AsyncTortoiseModelFactory[User]):
        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)
"""

TORTOISE_CONFTEST = """
    import pytest
    from tortoise.backends.base.executor import EXECUTOR_CACHE
    from tortoise.transactions import in_transaction

    from async_factory_boy.pytest_plugin import register, shared, tortoise_database
    from shop import Company, CompanyFactory, User, UserFactory

    tortoise_database({url!r}, modules={"shop": ["shop"]})

    # Tortoise keeps statements for the process, and other runs in this one are on other databases.
    EXECUTOR_CACHE.clear()


    class Store:
        async def count(self, model):
            return await model.all().count()

        async def names(self, model):
            return await model.all().order_by("name").values_list("name", flat=True)

        async def commit(self):
            async with in_transaction() as transaction:
                await transaction.commit()

        async def save(self, instance):
            await instance.save()

        async def delete(self, instance):
            async with in_transaction():
                await instance.delete()


    @pytest.fixture
    def store(connection):
        return Store()
"""


BEANIE_SHOP = """
    from typing import Annotated

    import factory
    from beanie import Document, Indexed, Link

    from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory


    class Company(Document):
        name: str


    class User(Document):
        name: Annotated[str, Indexed(unique=True)]
        company: Link[Company] | None = None

        class Settings:
            use_state_management = True


    class CompanyFactory(AsyncBeanieDocumentFactory[Company]):
        name = factory.Faker("company")


    class UserFactory(AsyncBeanieDocumentFactory[User]):
        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)
"""

BEANIE_CONFTEST = """
    import inspect

    import pytest

    from async_factory_boy.pytest_plugin import beanie_database, register, shared
    from shop import Company, CompanyFactory, User, UserFactory

    beanie_database({url!r}, document_models=[Company, User])


    class Store:
        def __init__(self, session):
            self.session = session

        async def count(self, model):
            return await model.find(session=self.session).count()

        async def names(self, model):
            return [one.name async for one in model.find(session=self.session).sort("name")]

        async def commit(self):
            if self.session is not None and self.session.in_transaction:
                await self.session.commit_transaction()
                begun = self.session.start_transaction()
                if inspect.isawaitable(begun):  # not by Motor
                    await begun

        async def save(self, instance):
            await instance.save(session=self.session)
            await self.commit()

        async def delete(self, instance):
            await instance.delete(session=self.session)
            await self.commit()


    @pytest.fixture
    def store(database, request):
        return Store(request.getfixturevalue("session") if IN_TRANSACTION else None)
"""

MONGO_SHOP = """
    from dataclasses import dataclass

    import factory
    from bson import ObjectId

    from async_factory_boy.factory.mongo import AsyncMongoFactory


    @dataclass
    class Company:
        name: str
        id: ObjectId | None = None


    @dataclass
    class User:
        name: str
        company: Company | None = None
        id: ObjectId | None = None


    class CompanyFactory(AsyncMongoFactory[Company]):
        class Meta:
            mongo_collection = "companies"

        name = factory.Faker("company")


    class UserFactory(AsyncMongoFactory[User]):
        class Meta:
            mongo_collection = "users"

        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)
"""

MONGO_CONFTEST = """
    from dataclasses import asdict

    import pytest

    from async_factory_boy.pytest_plugin import mongo_database, register, shared
    from shop import Company, CompanyFactory, User, UserFactory

    mongo_database({url!r})


    class Store:
        def __init__(self, database):
            self.collections = {Company: database["companies"], User: database["users"]}

        async def count(self, model):
            return await self.collections[model].count_documents({})

        async def names(self, model):
            found = await self.collections[model].find().sort("name").to_list(None)
            return [one["name"] for one in found]

        async def commit(self):
            pass

        async def save(self, instance):
            document = asdict(instance)
            key = {"_id": document.pop("id")}
            await self.collections[type(instance)].replace_one(key, document)

        async def delete(self, instance):
            await self.collections[type(instance)].delete_one({"_id": instance.id})


    @pytest.fixture
    def store(database):
        return Store(database)
"""


class SQL(Kind):
    """An ORM on a database of SQL.

    Args:
        driver: The scheme of URLs.
        on: The database: ``"sqlite"``, ``"postgresql"`` or ``"mysql"``.
        file: The file that a URL of SQLite has to name.
        **kwargs: As of a `Kind`.
    """

    def __init__(self, driver: str, on: str, file: str = "", **kwargs: str) -> None:
        super().__init__(**kwargs)
        self.driver = driver
        self.on = on
        self.file = file

    def url(self, servers: Servers, name: str) -> str:
        if self.on == "sqlite":
            return f"{self.driver}://{self.file}"
        server = servers.postgres if self.on == "postgresql" else servers.mysql
        return with_database(server, name).replace(server.partition(":")[0], self.driver, 1)

    def databases(self, servers: Servers) -> set[str]:
        return set() if self.on == "sqlite" else servers.databases(self.on)

    def drop(self, servers: Servers, name: str) -> None:
        servers.drop_database(self.on, name)


def sqlalchemy(driver: str) -> Kind:
    """SQLAlchemy, by a driver of its own for each kind of database."""
    return SQL(
        driver,
        driver.partition("+")[0],
        call="sqlalchemy_database",
        shop=SQLALCHEMY_SHOP,
        conftest=SQLALCHEMY_CONFTEST,
    )


def databases(driver: str) -> Kind:
    """databases, with classes that SQLAlchemy maps."""
    return SQL(
        driver,
        driver,
        call="databases_database",
        shop=DATABASES_SHOP,
        conftest=DATABASES_CONFTEST,
        session="database",
        own="database_of_run",
    )


def tortoise(driver: str, on: str) -> Kind:
    """Tortoise ORM, with an app that is not called ``models``."""
    return SQL(
        driver,
        on,
        file=":memory:",
        call="tortoise_database",
        shop=TORTOISE_SHOP,
        conftest=TORTOISE_CONFTEST,
        session="connection",
    )


class MongoDB(Kind):
    """Beanie, or PyMongo alone."""

    def __init__(self, call: str, shop: str, conftest: str, transaction: bool = False) -> None:
        conftest = conftest.replace("IN_TRANSACTION", str(transaction))
        if transaction:
            conftest = conftest.replace("_database({url!r}", "_database({url!r}, transaction=True")
        super().__init__(call, shop, conftest, "database", "database_of_run")

    def url(self, servers: Servers, name: str) -> str:
        return with_database(servers.mongodb, name)

    def databases(self, servers: Servers) -> set[str]:
        return servers.databases("mongodb")

    def drop(self, servers: Servers, name: str) -> None:
        servers.drop_database("mongodb", name)


def with_database(url: str, name: str) -> str:
    """Return a URL for another database on the same server."""
    from urllib.parse import urlsplit, urlunsplit

    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


KINDS: Mapping[str, Kind] = {
    "sqlalchemy-sqlite": sqlalchemy("sqlite+aiosqlite"),
    "sqlalchemy-postgresql": sqlalchemy("postgresql+asyncpg"),
    "sqlalchemy-mariadb": sqlalchemy("mysql+asyncmy"),
    "databases-sqlite": databases("sqlite"),
    "databases-postgresql": databases("postgresql"),
    "databases-mariadb": databases("mysql"),
    "tortoise-sqlite": tortoise("sqlite", "sqlite"),
    "tortoise-postgresql": tortoise("asyncpg", "postgresql"),
    "tortoise-mariadb": tortoise("mysql", "mysql"),
    "beanie": MongoDB("beanie_database", BEANIE_SHOP, BEANIE_CONFTEST),
    "beanie_transaction": MongoDB("beanie_database", BEANIE_SHOP, BEANIE_CONFTEST, True),
    "mongo": MongoDB("mongo_database", MONGO_SHOP, MONGO_CONFTEST),
}


def kinds(adapter: str = "") -> list[Any]:
    """Return the names of kinds as parameters, of which those for another database are marked.

    Args:
        adapter: What the names begin with.
    """
    return named_params({name: name for name in KINDS if name.startswith(adapter)}, 1, REPEATS)
