"""The fixtures that `databases_database` makes: what is databases' own, and what is refused."""

from __future__ import annotations

import re

import pytest

from tests.isolation.kinds import KINDS, kinds
from tests.isolation.projects import Project
from tests.servers import Servers


@pytest.fixture(params=kinds("databases"))
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on each database that the fixtures of databases are for."""
    return Project(pytester, servers, KINDS[request.param])


@pytest.fixture
def on_sqlite(pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on databases and SQLite, for what is the same on every database."""
    return Project(pytester, servers, KINDS["databases-sqlite"])


def test_transactions_of_the_code(project: Project) -> None:
    """Transactions of the code are savepoints, and one that it leaves open is undone as well."""
    project.passes(
        2,
        test_it="""
            import asyncio

            @pytest.mark.parametrize("run", range(2))
            async def test_it(database, store, run):
                async with database.transaction():
                    await UserFactory.create_async(name="Ada")
                with pytest.raises(ArithmeticError):
                    async with database.transaction():
                        await UserFactory.create_async(name="Grace")
                        raise ArithmeticError
                assert await store.names(User) == ["Ada"]
                await asyncio.gather(*(UserFactory.create_async() for _ in range(5)))
                assert await store.count(User) == 6
                await database.transaction()
                await UserFactory.create_async(name="Barbara")
        """,
    )


def test_shared_rows(on_sqlite: Project) -> None:
    """Rows of a table, and objects that refer to each other, are given to each test anew."""
    on_sqlite.passes(
        2,
        loops="module",
        conftest="""
            import factory
            from async_factory_boy.factory.databases import AsyncDatabasesFactory, TableRow

            class RowFactory(AsyncDatabasesFactory[TableRow]):
                class Meta:
                    model = Company.__table__

                name = "ACME"

            @shared(scope="module")
            async def row():
                return await RowFactory.create_async()

            @shared(scope="module")
            async def pair():
                user = await UserFactory.create_async(company__name="Initech")
                return [user, user.company]
        """,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(row, pair, database, run):
                assert row.__table__ is Company.__table__
                assert (row.name, pair[1].name) == ("ACME", "Initech")
                assert pair[0].company is pair[1]
                row.name = pair[1].name = "changed"
                await database.execute(Company.__table__.update().values(name="changed"))
        """,
    )


def test_schema(on_sqlite: Project) -> None:
    """A function creates the tables, at the URL of the new database; its tables are emptied."""
    on_sqlite.conftest = on_sqlite.conftest.replace(
        "metadata=Base.metadata)", "schema=create)"
    ).replace(
        "databases_database(",
        "async def create(url):\n"
        "    from databases import Database\n"
        "    from sqlalchemy.schema import CreateTable\n"
        "    async with Database(url) as database:\n"
        "        for table in Base.metadata.sorted_tables:\n"
        "            await database.execute(CreateTable(table))\n\n"
        "databases_database(",
        1,
    )
    on_sqlite.passes(
        2,
        test_it="""
            @pytest.mark.factory_database(rollback=False)
            @pytest.mark.parametrize("run", range(2))
            async def test_it(database_of_run, store, run):
                assert await store.count(User) == 0
                assert database_of_run.url.startswith("sqlite:////")
                await UserFactory.create_async()
        """,
    )


FAULTS = [
    (
        "postgresql+psycopg2://localhost/test",
        "databases does not use 'psycopg2'; write 'postgresql' in place of 'postgresql+psycopg2'.",
    ),
    ("mssql://localhost/test", "It begins with postgresql, mysql, mysql+asyncmy or sqlite."),
    (
        "postgresql://user:secret@localhost:1/test",
        "('postgresql://user:********@localhost:1/test'): cannot connect to localhost: ",
    ),
    (
        "mysql://user:secret@127.0.0.1:1/test",
        "('mysql://user:********@127.0.0.1:1/test'): cannot connect to 127.0.0.1: ",
    ),
]


@pytest.mark.parametrize(("url", "message"), FAULTS, ids=[url for url, _ in FAULTS])
def test_refused_urls(on_sqlite: Project, url: str, message: str) -> None:
    """A URL that is of no use is told, with what to write instead, without its password."""
    on_sqlite.conftest = on_sqlite.conftest.replace("sqlite://", url)
    result = on_sqlite.run(test_it="async def test_it(database): ...")
    assert result.ret != 0
    told = result.stdout.str() + result.stderr.str()
    assert message in told
    assert "FixtureError: databases_database(" in told


@pytest.mark.parametrize("arguments", ["'sqlite://'", "'sqlite://', metadata=1, schema=print"])
def test_refused_calls(on_sqlite: Project, arguments: str) -> None:
    """What creates the tables is named once."""
    on_sqlite.conftest = re.sub(
        r"databases_database\('.*", f"databases_database({arguments})", on_sqlite.conftest
    )
    result = on_sqlite.run(test_it="async def test_it(database): ...")
    assert "takes metadata=, whose tables it creates, or schema=" in result.stderr.str()


def test_missing_driver(on_sqlite: Project) -> None:
    """A driver that is not installed is named, and how to install it."""
    on_sqlite.conftest = "import sys\nsys.modules['asyncpg'] = None\n" + on_sqlite.conftest.replace(
        "sqlite://", "postgresql://localhost/test"
    )
    result = on_sqlite.run(test_it="async def test_it(database): ...", apart=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E*is not installed. Install it with: pip install asyncpg"])
