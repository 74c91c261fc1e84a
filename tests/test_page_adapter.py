"""The adapter for PostgreSQL on docs/writing-an-adapter.md keeps what every adapter promises.

The page itself runs the suite for its other adapter, whose store has no transactions.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import asyncpg
import factory
import pytest

from async_factory_boy.factory import AsyncFactory
from async_factory_boy.testing import AdapterConformance
from tests.servers import Servers
from tests.test_docs import ROOT, page_files

PAGE = (ROOT / "docs" / "writing-an-adapter.md").read_text()

TABLES = """
    CREATE TABLE company (id serial PRIMARY KEY, name text UNIQUE, size int);
    CREATE TABLE "user" (id serial PRIMARY KEY, name text, company_id int REFERENCES company);
"""

_page: Any = ModuleType("postgres_adapter")
exec(compile(page_files(PAGE)["postgres_adapter.py"], "postgres_adapter.py", "exec"), vars(_page))


@dataclass
class Company:
    name: str
    size: int
    id: int | None = None


@dataclass
class User:
    name: str
    company_id: int
    id: int | None = None


class CompanyFactory(AsyncFactory[Company]):
    class Meta:
        adapter = _page.PostgresAdapter

    name = factory.Sequence(lambda n: f"company {n}")
    size = 1


class UserFactory(AsyncFactory[User]):
    class Meta:
        adapter = _page.PostgresAdapter

    class Params:
        company = factory.SubFactory(CompanyFactory)

    name = factory.Sequence(lambda n: f"user {n}")
    company_id = factory.SelfAttribute("company.id")


@pytest.fixture(scope="module")
def url(servers: Servers) -> str:
    return servers.new_postgres()


@pytest.mark.unmeasured
class TestPostgresAdapter(AdapterConformance):
    @pytest.fixture
    async def connection(self, url: str) -> AsyncGenerator[Any]:
        connection = await asyncpg.connect(url)
        await connection.execute(TABLES)
        yield connection
        await connection.execute('DROP TABLE "user", company')
        await connection.close()

    @pytest.fixture
    def options(self, connection: Any) -> dict[str, Any]:
        return {"postgres_connection": connection}

    @pytest.fixture
    async def rollback(self, connection: Any) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
        transaction = connection.transaction()
        await transaction.start()

        async def rollback() -> None:
            nonlocal transaction
            await transaction.rollback()
            transaction = connection.transaction()
            await transaction.start()

        yield rollback
        await transaction.rollback()

    @pytest.fixture
    def another(self, url: str) -> Any:
        @asynccontextmanager
        async def another() -> AsyncGenerator[dict[str, Any]]:
            connection = await asyncpg.connect(url)
            yield {"postgres_connection": connection}  # which commits each statement
            await connection.close()

        return another

    @pytest.fixture
    def conflict(self) -> type[Exception]:
        return asyncpg.UniqueViolationError

    @pytest.fixture
    def parent(self) -> type[AsyncFactory[Company]]:
        return CompanyFactory

    @pytest.fixture
    def child(self) -> type[AsyncFactory[User]]:
        return UserFactory

    @pytest.fixture
    def relation(self) -> str:
        return "company"

    @pytest.fixture
    def rows(self, connection: Any) -> Any:
        async def rows(factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
            stored = await connection.fetch(f"SELECT * FROM {_page.table(factory._meta.model)}")
            return [{"key": one["id"], "company": one.get("company_id"), **one} for one in stored]

        return rows
