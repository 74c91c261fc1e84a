"""The fixtures that `piccolo_database` makes: what is Piccolo's own, and what is refused."""

from __future__ import annotations

import pytest

from tests.isolation.piccolo_kinds import KINDS
from tests.isolation.projects import Project


@pytest.fixture
def on_sqlite(pytester: pytest.Pytester) -> Project:
    """A project on SQLite."""
    return Project(pytester, None, KINDS["sqlite"])


def test_transactions_of_the_code(project: Project) -> None:
    """A transaction of the code is one with that of the test, and rolled back to where it began."""
    project.passes(
        2,
        test_it="""
            from piccolo_conf import DB

            @pytest.mark.parametrize("run", range(2))
            async def test_it(engine, store, run):
                assert engine is DB
                async with DB.transaction() as transaction:
                    await UserFactory.create_async(name="Ada")
                    await transaction.commit()
                    await UserFactory.create_async(name="Grace")
                    await transaction.rollback()
                    await UserFactory.create_async(name="Joan")
                assert await store.names(User) == ["Ada", "Joan"]
        """,
    )


def test_tasks_that_have_begun_before(project: Project) -> None:
    """Code works in the transaction of the test, whatever context it runs in."""
    project.passes(
        2,
        test_it="""
            import asyncio
            import contextvars

            @pytest.mark.parametrize("run", range(2))
            async def test_it(store, run):
                work = UserFactory.create_async(name="Ada")
                await asyncio.create_task(work, context=contextvars.Context())
                assert await store.names(User) == ["Ada"]
        """,
    )


def test_tables_of_the_apps(on_sqlite: Project) -> None:
    """Without tables, those of the registered apps are created."""
    on_sqlite.modules["piccolo_conf"] += (
        "from piccolo.conf.apps import AppRegistry\nAPP_REGISTRY = AppRegistry(['piccolo_app'])\n"
    )
    on_sqlite.modules["piccolo_app"] = (
        "from piccolo.conf.apps import AppConfig\nfrom shop import Company, User\n"
        "APP_CONFIG = AppConfig('shop', 'migrations', table_classes=[Company, User])\n"
    )
    on_sqlite.conftest = on_sqlite.conftest.replace("tables=[User, Company]", "")
    on_sqlite.passes(1, test_it="async def test_it(engine):\n    await UserFactory.create_async()")


def test_several(on_sqlite: Project) -> None:
    """Tables of several engines have a database each."""
    on_sqlite.conftest += (
        "\nfrom piccolo.columns import Varchar\nfrom piccolo.engine.sqlite import SQLiteEngine\n"
        "from piccolo.table import Table\n\n"
        "class Log(Table, db=SQLiteEngine('log_test.sqlite')):\n    text = Varchar()\n\n"
        "piccolo_database(tables=[Log], prefix='audit_')\n"
    )
    on_sqlite.passes(
        2,
        test_it="""
            from conftest import Log

            @pytest.mark.parametrize("run", range(2))
            async def test_it(audit_engine, engine, store, run):
                assert audit_engine is not engine
                assert await Log.count() == await store.count(User) == 0
                await Log(text="Ada").save()
                await UserFactory.create_async()
        """,
    )


def test_engine_after_the_run(on_sqlite: Project) -> None:
    """The engine is for its own database again after the run, and that was left alone."""
    on_sqlite.passes(
        1,
        conftest="""
            def pytest_unconfigure():
                from pathlib import Path
                assert DB.path == "test.sqlite" and not Path(DB.path).exists()
        """,
        test_it="""
            async def test_it(engine, database):
                assert engine.path == database.name != "test.sqlite"
        """,
    )


TWO_ENGINES = (
    "from piccolo.engine.sqlite import SQLiteEngine\n"
    "Company._meta.db = SQLiteEngine('other_test.sqlite')\n"
)


@pytest.mark.parametrize(
    ("call", "more", "message"),
    [
        ("tables=[]", "", "piccolo_database() finds no tables. Write piccolo_database(tables="),
        ("tables=[User, Company]", TWO_ENGINES, "User and Company have different ones: call it"),
        (
            "tables=[User, Company]",
            "import sqlite3\nDB.path = 'shop.sqlite'\nconnection = sqlite3.connect(DB.path)\n"
            "connection.execute('CREATE TABLE company (id INT)')\nconnection.close()\n",
            "exists and has tables (company, ...). Its name does not contain 'test'",
        ),
    ],
)
def test_refused(on_sqlite: Project, call: str, more: str, message: str) -> None:
    """What is of no use is told, with what to write."""
    on_sqlite.conftest = on_sqlite.conftest.replace("tables=[User, Company]", call)
    result = on_sqlite.run(conftest=more, test_it="async def test_it(engine): ...")
    result.assert_outcomes(errors=1)
    assert message in "".join(result.outlines)


def test_unreachable(pytester: pytest.Pytester, project: Project) -> None:
    """A server that cannot be reached is told once for the run."""
    if not project.kind.databases(project.servers):
        pytest.skip("SQLite has no server")
    project.lose_server()
    result = project.run(test_it="async def test_1(engine): ...\n\nasync def test_2(engine): ...")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "E*FixtureError: piccolo_database() cannot connect to PostgreSQL: *. Start the server, "
            "or correct host, port, user and password of the engine in piccolo_conf.py.",
            "piccolo_database() has no database for this test: see the error of *::test_1.",
        ]
    )
