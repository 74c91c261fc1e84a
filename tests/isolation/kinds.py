"""Small projects whose tests use the fixtures of a database: one for each store.

Each has a module ``shop`` with models and factories of companies and users, and a conftest.py whose
fixture ``store`` has what tests do to a store: `count`, `commit`, `save`, `delete`.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers import Servers

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


class Kind:
    """A store that has fixtures of a database.

    Args:
        call: What a conftest.py calls.
        shop: The module of models and factories.
        conftest: The conftest.py, with the URL of a database left out.
        session: A fixture that a test asks for to use the database.
        own: The fixture that is the database of the run.
    """

    arguments: tuple[str, ...] = ()
    """What pytest is given besides."""

    apart = False
    """Whether each run has a process of its own."""

    def __init__(
        self, call: str, shop: str, conftest: str, session: str = "session", own: str = "database"
    ) -> None:
        self.call = call
        self.own = own
        self.shop = dedent(shop)
        self.session = session
        self._conftest = dedent(conftest)

    def url(self, servers: Servers, name: str) -> str:
        """Return the URL of a database that does not exist, on a server of the tests."""
        raise NotImplementedError

    def conftest(self, url: str) -> str:
        """Return a conftest.py with the line for a database."""
        return self._conftest.replace("{url!r}", repr(url))

    def modules(self, url: str) -> Mapping[str, str]:
        """Return the modules beside conftest.py, by name."""
        return {"shop": self.shop}

    def unreachable(self, text: str) -> str:
        """Return a module of the project with another server, which does not exist."""
        return text.replace("://", "://nowhere:1/")

    def databases(self, servers: Servers) -> set[str]:
        """Return the names of all databases of the server; none of SQLite, which has files."""
        raise NotImplementedError

    def drop(self, servers: Servers, name: str) -> None:
        """Drop one of them."""
        raise NotImplementedError


class SQLAlchemy(Kind):
    """SQLAlchemy, by a driver of its own for each kind of database."""

    def __init__(self, driver: str) -> None:
        super().__init__("sqlalchemy_database", SQLALCHEMY_SHOP, SQLALCHEMY_CONFTEST)
        self.driver = driver

    def url(self, servers: Servers, name: str) -> str:
        if self.driver.startswith("sqlite"):
            return f"{self.driver}://"
        server = servers.postgres if self.driver.startswith("postgresql") else servers.mysql
        return with_database(server, name).replace(server.partition(":")[0], self.driver, 1)

    def databases(self, servers: Servers) -> set[str]:
        if self.driver.startswith("sqlite"):
            return set()
        return servers.databases(self.driver.partition("+")[0])

    def drop(self, servers: Servers, name: str) -> None:
        servers.drop_database(self.driver.partition("+")[0], name)


def with_database(url: str, name: str) -> str:
    """Return a URL for another database on the same server."""
    from urllib.parse import urlsplit, urlunsplit

    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


KINDS: Mapping[str, Kind] = {
    "sqlalchemy-sqlite": SQLAlchemy("sqlite+aiosqlite"),
    "sqlalchemy-postgresql": SQLAlchemy("postgresql+asyncpg"),
    "sqlalchemy-mariadb": SQLAlchemy("mysql+asyncmy"),
}
