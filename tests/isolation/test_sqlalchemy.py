"""The fixtures that `sqlalchemy_database` makes: what is SQLAlchemy's own, and what is refused."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from subprocess import PIPE, Popen
from urllib.parse import urlsplit

import pytest

from tests.isolation.kinds import KINDS, kinds, with_database
from tests.isolation.projects import Project
from tests.servers import Servers


@pytest.fixture(params=kinds("sqlalchemy"))
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on each database that SQLAlchemy's fixtures are for."""
    return Project(pytester, servers, KINDS[request.param])


@pytest.fixture
def on_postgresql(pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on SQLAlchemy and PostgreSQL."""
    return Project(pytester, servers, KINDS["sqlalchemy-postgresql"])


def test_sessions_of_the_code(project: Project) -> None:
    """Code that opens sessions of its own does so in the transaction of the test."""
    project.passes(
        2,
        test_it="""
            from sqlalchemy.exc import IntegrityError

            @pytest.mark.parametrize("run", range(2))
            async def test_it(database, session, store, run):
                await UserFactory.create_async(name="Ada")
                async with database.sessionmaker() as own:
                    own.add(User(name="Grace"))
                    await own.commit()
                    own.add(User(name="Ada"))
                    with pytest.raises(IntegrityError):
                        await own.commit()
                    await own.rollback()
                assert await store.names(User) == ["Ada", "Grace"]
                await session.rollback()
                assert await store.names(User) == []
        """,
    )


def test_connections_of_the_code(project: Project) -> None:
    """A connection of the engine sees what a test has committed for real."""
    project.passes(
        1,
        test_it="""
            @pytest.mark.factory_database(rollback=False)
            async def test_it(engine, session):
                await UserFactory.create_async(name="Ada")
                await session.commit()
                async with engine.connect() as connection:
                    found = await connection.exec_driver_sql("SELECT name FROM app_user")
                    assert found.scalar() == "Ada"
        """,
    )


def test_several(on_sqlite: Project) -> None:
    """Several databases stand side by side; factories store in the first, unless told otherwise."""
    on_sqlite.passes(
        2,
        conftest="""
            sqlalchemy_database("sqlite+aiosqlite://", metadata=Base.metadata, prefix="audit_")
        """,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(audit_session, session, audit_database, database, store, run):
                assert audit_database.url != database.url
                assert await UserFactory.create_async() in session
                audited = await UserFactory.create_async(sqlalchemy_session=audit_session)
                assert audited in audit_session
                await audit_session.commit()
                assert await store.count(User) == 1
        """,
    )


def test_options(on_sqlite: Project) -> None:
    """Options reach the engine and the session, and listeners of the user's are called."""
    on_sqlite.conftest = on_sqlite.conftest.replace(
        "metadata=Base.metadata)",
        "metadata=Base.metadata, engine_options={'echo': False, 'logging_name': 'mine'}, "
        "session_options={'class_': OwnSession, 'autoflush': False}, configure=listen)",
    ).replace(
        "sqlalchemy_database(",
        "from sqlalchemy import event\n"
        "from sqlalchemy.ext.asyncio import AsyncSession\n\n"
        "class OwnSession(AsyncSession): ...\n\n"
        "def listen(engine):\n"
        "    event.listen(engine.sync_engine, 'connect', lambda c, _: c.execute("
        "'PRAGMA foreign_keys=ON'))\n\n"
        "sqlalchemy_database(",
    )
    on_sqlite.passes(
        1,
        test_it="""
            async def test_it(session, engine):
                assert type(session).__name__ == "OwnSession"
                assert not session.autoflush
                assert not session.sync_session.expire_on_commit
                assert engine.sync_engine.logging_name == "mine"
                assert (await session.connection()).exec_driver_sql
                found = await session.connection()
                assert (await found.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1
        """,
    )


@pytest.mark.parametrize("schema", ["def", "async def"])
def test_schema(project: Project, schema: str) -> None:
    """A function creates the tables, and is given the URL of the new database."""
    project.conftest = project.conftest.replace(
        "metadata=Base.metadata)", "schema=create)"
    ).replace(
        "sqlalchemy_database(",
        "import asyncio\nfrom sqlalchemy.ext.asyncio import create_async_engine\n\n"
        "async def create_tables(url):\n"
        "    engine = create_async_engine(url)\n"
        "    async with engine.begin() as connection:\n"
        "        await connection.run_sync(Base.metadata.create_all)\n"
        "    await engine.dispose()\n\n"
        + (
            "async def create(url):\n    await create_tables(url)\n\n"
            if schema == "async def"
            else "def create(url):\n    asyncio.run(create_tables(url))\n\n"
        )
        + "sqlalchemy_database(",
        1,
    )
    project.passes(
        3,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(store, run):
                await UserFactory.create_async(name="Ada")
                await store.commit()

            @pytest.mark.factory_database(rollback=False)
            async def test_for_real(store):
                await UserFactory.create_async(name="Ada")
                await store.commit()
        """,
    )


ENV = """
    import asyncio

    from alembic import context
    from sqlalchemy.ext.asyncio import create_async_engine


    def migrate(connection):
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


    async def main():
        engine = create_async_engine(context.config.get_main_option("sqlalchemy.url"))
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
            await connection.commit()
        await engine.dispose()


    asyncio.run(main())
"""

MIGRATION = """
    import sqlalchemy as sa
    from alembic import op

    revision = "1"
    down_revision = None


    def upgrade():
        op.create_table(
            "company",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(50), nullable=False),
        )
        op.create_table(
            "app_user",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(50), nullable=False, unique=True),
            sa.Column("company_id", sa.Integer, sa.ForeignKey("company.id")),
        )
"""


def test_alembic(project: Project, pytester: pytest.Pytester) -> None:
    """Alembic's migrations create the tables; its own table is not emptied."""
    pytester.makefile(".ini", alembic="[alembic]\nscript_location = migrations\n")
    migrations = pytester.mkdir("migrations")
    from textwrap import dedent

    (migrations / "env.py").write_text(dedent(ENV))
    (migrations / "versions").mkdir()
    (migrations / "versions" / "first.py").write_text(dedent(MIGRATION))
    project.conftest = project.conftest.replace(
        "metadata=Base.metadata)", 'schema=alembic("alembic.ini"))'
    ).replace("import register,", "import alembic, register,")
    project.passes(
        2,
        test_it="""
            from sqlalchemy import text

            @pytest.mark.factory_database(rollback=False)
            @pytest.mark.parametrize("run", range(2))
            async def test_it(store, session, run):
                assert await session.scalar(text("SELECT version_num FROM alembic_version")) == "1"
                await UserFactory.create_async(name="Ada")
                await store.commit()
        """,
    )


@pytest.mark.parametrize("loops", ["function", "module"])
def test_fixture_on_another_loop(on_sqlite: Project, loops: str) -> None:
    """A fixture that uses the session on another loop is refused, with the setting to write."""
    result = on_sqlite.run(
        loops=loops,
        conftest="""
            import pytest_asyncio

            @pytest_asyncio.fixture(loop_scope="session")
            async def client(store):
                return store
        """,
        test_it="async def test_it(client): ...",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "E*FixtureError: The fixture 'client' runs on the event loop of its session, and "
            f"test_it.py::test_it on that of its {loops}; both use one connection, which belongs "
            "to one loop. In the configuration of pytest, write asyncio_default_fixture_loop_scope "
            f"= {loops}; or for this fixture, @pytest_asyncio.fixture(loop_scope='{loops}').",
        ]
    )


@pytest.mark.parametrize("loops", ["function", "session"])
def test_test_on_another_loop(on_postgresql: Project, loops: str) -> None:
    """A test whose mark gives it a loop of its own has its session on that loop."""
    on_postgresql.passes(
        4,
        loops=loops,
        test_it="""
            import asyncio

            @pytest.mark.asyncio(loop_scope="module")
            @pytest.mark.parametrize("run", range(2))
            async def test_it(store, database, run):
                assert database.loop is asyncio.get_running_loop()
                await UserFactory.create_async(name="Ada")
                await store.commit()

            @pytest.mark.asyncio(loop_scope="function")
            @pytest.mark.parametrize("run", range(2))
            async def test_that(store, database, run):
                assert database.loop is asyncio.get_running_loop()
                await UserFactory.create_async(name="Ada")
                await store.commit()
        """,
    )


FAULTS = [
    (
        "sqlite://",
        "takes a URL with an async driver. Write 'sqlite+aiosqlite' in place of 'sqlite'.",
    ),
    (
        "mssql+aioodbc://localhost/test",
        "Databases are created on postgresql, mysql, mariadb, sqlite.",
    ),
    (
        "postgresql+asyncpg://user:secret@localhost:1/test",
        "('postgresql+asyncpg://user:***@localhost:1/test'): cannot connect to localhost: ",
    ),
    ("postgresql+nothing://localhost/test", "Write 'postgresql+asyncpg' in place of"),
    ("sqlite+aiosqlite:/x", "sqlalchemy_database() takes the URL of a database, such as"),
]


@pytest.mark.parametrize(("url", "message"), FAULTS, ids=[url for url, _ in FAULTS])
def test_refused_urls(on_sqlite: Project, url: str, message: str) -> None:
    """A URL that is of no use is told once for the run, with what to write instead."""
    on_sqlite.conftest = on_sqlite.conftest.replace("sqlite+aiosqlite://", url)
    result = on_sqlite.run(
        test_it="async def test_1(session): ...\n\nasync def test_2(session): ..."
    )
    told = result.stdout.str() + result.stderr.str()
    assert message in told
    if "takes the URL" not in message:
        result.assert_outcomes(errors=2)
        assert len(re.findall("^E .*FixtureError: ", told, re.MULTILINE)) == 1
        result.stdout.fnmatch_lines(
            ["sqlalchemy_database() has no database for this test: see the error of *::test_1."]
        )


def test_missing_driver(on_sqlite: Project) -> None:
    """A driver that is not installed is named, and how to install it."""
    on_sqlite.conftest = "import sys\nsys.modules['aiosqlite'] = None\n" + on_sqlite.conftest
    result = on_sqlite.run(test_it="async def test_it(session): ...", apart=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E*is not installed. Install it with: pip install aiosqlite"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("sqlalchemy_database('sqlite+aiosqlite://')", "takes metadata=, whose tables it creates"),
        (
            "sqlalchemy_database('sqlite+aiosqlite://', metadata=Base.metadata)",
            "makes a fixture 'database', which conftest has already",
        ),
        (
            "sqlalchemy_database('sqlite+aiosqlite://', metadata=Base.metadata, prefix='a-')",
            "the names of fixtures begin with it",
        ),
        (
            "def f():\n    sqlalchemy_database('sqlite+aiosqlite://', metadata=Base.metadata)\n\n"
            "f()",
            "was called in a function, where pytest finds no fixtures",
        ),
    ],
)
def test_refused_calls(on_sqlite: Project, call: str, message: str) -> None:
    """A call that is of no use is refused where it stands."""
    result = on_sqlite.run(conftest=call, test_it="async def test_it(session): ...")
    assert message in result.stdout.str() + result.stderr.str()


def test_refused_marks(on_sqlite: Project) -> None:
    """A mark that is misspelt is refused, and says what it takes."""
    mark = "@pytest.mark.factory_database(rolback=False)\n"
    result = on_sqlite.run(test_it=mark + "async def test_it(session): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E*takes rollback=False or*Did you mean 'rollback'?*"])


def test_too_early(on_sqlite: Project) -> None:
    """What belongs to a test cannot be had without one."""
    on_sqlite.passes(
        2,
        test_it="""
            from async_factory_boy import FixtureError

            def test_it(database):
                with pytest.raises(FixtureError, match="name the fixture 'session' in the test"):
                    database.sessionmaker
                with pytest.raises(FixtureError, match="name a fixture of the database"):
                    database.run(None)

            async def test_running(database, session):
                with pytest.raises(FixtureError, match="write await instead"):
                    database.run(None)
        """,
    )


@pytest.mark.parametrize("allowed", [False, True])
def test_database_of_others(project: Project, servers: Servers, allowed: bool) -> None:
    """A database that has tables, and no "test" in its name, is left alone."""
    if "sqlite" in project.conftest:
        path = project.pytester.path / "shop.sqlite"
        url = f"sqlite+aiosqlite:///{path}"
        import sqlite3

        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE company (id INT)")
        connection.close()
    else:
        kind = "postgresql" if "postgresql" in project.conftest else "mysql"
        base = servers.new_postgres() if kind == "postgresql" else servers.new_mysql()
        servers.execute(base, "CREATE TABLE company (id INT)")
        url = base.replace(kind, "postgresql+asyncpg" if kind == "postgresql" else "mysql+asyncmy")
    project.conftest = re.sub(r"database\('[^']*'", f"database({url!r}", project.conftest)
    if allowed:
        project.conftest = project.conftest.replace(".metadata)", ".metadata, allow_existing=True)")
    result = project.run(
        test_it="async def test_it(store):\n    assert not await store.count(User)"
    )
    result.assert_outcomes(**{"passed" if allowed else "errors": 1})
    if not allowed:
        result.stdout.fnmatch_lines(
            ["E*exists and has tables (company, ...). Its name does not contain 'test'*"]
        )


@pytest.mark.parametrize("store", ["sqlalchemy", "databases", "tortoise"])
def test_without_the_right_to_create(
    store: str, pytester: pytest.Pytester, servers: Servers
) -> None:
    """Who may create no database has a schema in the one that is given, if that is allowed."""
    project = Project(pytester, servers, KINDS[f"{store}-postgresql"])
    base = servers.new_postgres()
    role = f"afb_{os.getpid()}"
    servers.execute(base, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    name = urlsplit(base).path.strip("/")
    try:
        url = re.sub(r"//[^@/]*@?", f"//{role}:secret@", base, count=1)
        url = url.replace("postgresql", project.kind.url(servers, name).partition(":")[0], 1)
        original = project.conftest
        project.conftest = re.sub(r"database\('[^']*'", f"database({url!r}", original)
        test = (
            '@pytest.mark.parametrize("run", range(2))\n'
            "async def test_it(store, run):\n"
            "    assert not await store.count(User)\n"
            "    await UserFactory.create_async()\n"
            "    await store.commit()\n"
        )
        result = project.run(test_it=test)
        result.assert_outcomes(errors=2)
        result.stdout.fnmatch_lines([f"E*or: GRANT CREATE ON DATABASE {name} TO {role}"])
        servers.execute(base, f"GRANT CREATE ON DATABASE {name} TO {role}")
        project.run(test_it=test).assert_outcomes(passed=2)
        schemas = servers.execute(base, "SELECT schema_name FROM information_schema.schemata")
        assert not [one for (one,) in schemas if one.startswith(name)]
        gone = with_database(url, "afb_test_that_is_missing")
        project.conftest = re.sub(r"database\('[^']*'", f"database({gone!r}", original)
        result = project.run(test_it=test)
        result.assert_outcomes(errors=2)
        result.stdout.fnmatch_lines(
            [f"E*'afb_test_that_is_missing' does not exist*ALTER ROLE {role} *"]
        )
    finally:
        servers.execute(base, f"REVOKE ALL ON DATABASE {name} FROM {role}")
        servers.execute(base, f"DROP ROLE {role}")


def test_order_of_sessions(project: Project) -> None:
    """Sessions that end in another order than they can fail with an explanation."""
    result = project.run(
        test_it="""
            async def test_it(database, session):
                await UserFactory.create_async(name="Ada")
                async with database.sessionmaker() as own:
                    own.add(User(name="Grace"))
                    await own.flush()
                    await session.commit()
                    await own.commit()

            async def test_next(store):
                assert await store.count(User) == 0
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Two sessions have ended in another order*the last has to end*"])


def test_shared_classes(on_sqlite: Project) -> None:
    """Shared data may have a mapped class among them, which is no stored object."""
    on_sqlite.passes(
        1,
        loops="module",
        conftest="""
            @shared(scope="module")
            async def made():
                return {"model": User, "user": await UserFactory.create_async()}
        """,
        test_it="""
            async def test_it(made):
                assert made["model"] is User
                assert isinstance(made["user"], User)
        """,
    )


def test_shared_values(on_sqlite: Project) -> None:
    """Each test has its own values of shared objects, whose changes SQLAlchemy still sees."""
    on_sqlite.passes(
        4,
        loops="module",
        conftest="""
            from sqlalchemy import JSON, ForeignKey
            from sqlalchemy.ext.mutable import MutableDict
            from sqlalchemy.orm import Mapped, mapped_column, relationship

            class Shop(Base):
                __tablename__ = "shop"

                id: Mapped[int] = mapped_column(primary_key=True)
                plain: Mapped[dict] = mapped_column(JSON)
                tracked: Mapped[dict] = mapped_column(MutableDict.as_mutable(JSON))
                company_id: Mapped[int] = mapped_column(ForeignKey(Company.id))
                company: Mapped[Company] = relationship()

            class Branch(Base):
                __tablename__ = "branch"

                id: Mapped[int] = mapped_column(primary_key=True)
                shop_id: Mapped[int] = mapped_column(ForeignKey(Shop.id))
                shop: Mapped[Shop] = relationship()

            @shared(scope="module")
            async def branch(session, company):
                shop = Shop(plain={"tags": ["a"]}, tracked={"a": 1}, company=company)
                branch = Branch(shop=shop)
                session.add(branch)
                return branch

            @shared(scope="module")
            async def company():
                return await CompanyFactory.create_async()

            @shared(scope="module")
            async def built():
                return CompanyFactory.build(name="ACME")
        """,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(branch, session, run):
                shop = branch.shop
                assert (shop.plain, shop.tracked) == ({"tags": ["a"]}, {"a": 1})
                shop.plain["tags"].append("b")
                shop.tracked["a"] = 2
                await session.commit()
                await session.refresh(shop)
                assert (shop.plain, shop.tracked) == ({"tags": ["a"]}, {"a": 2})

            @pytest.mark.parametrize("run", range(2))
            async def test_built(built, session, run):
                assert built.name == "ACME"
                built.name = "changed"
        """,
    )


@pytest.mark.parametrize("ends", ["commit", "rollback", "close"])
def test_transaction_ended(project: Project, ends: str) -> None:
    """A test that ends the transaction around it is told so, and leaves nothing to the next."""
    result = project.run(
        loops="module",
        conftest="register(CompanyFactory, scope='module')",
        test_it=f"""
            async def test_it(session, company):
                await UserFactory.create_async(name="Ada")
                await (await session.connection()).{ends}()

            async def test_not_bound():
                with pytest.raises(RuntimeError, match="No async session provided"):
                    await UserFactory.create_async()

            async def test_next(store, company):
                assert await store.count(User) == 0
                assert await store.count(Company) == 1
        """,
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["E*TransactionEndedError: *commit(), rollback() or close() of *"])


def test_connection_left_open(project: Project) -> None:
    """Where a connection that a test leaves open prevents emptying, the next test has it done."""
    result = project.run(
        loops="module",
        test_it="""
            others = []

            @pytest.mark.factory_database(rollback=False)
            async def test_it(session, engine, store):
                await UserFactory.create_async(name="Ada")
                await store.commit()
                others.append(await engine.connect())
                statement = User.__table__.update().values(name="Grace")
                await others[0].execute(statement)

            @pytest.fixture
            async def closed():
                await others[0].close()

            async def test_next(closed, store):
                assert await store.count(User) == 0
        """,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["E*FixtureError: *another connection has a transaction in which *"]
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_interrupted(on_postgresql: Project) -> None:
    """A run that is interrupted in the middle of a test leaves no database."""
    on_postgresql.run(
        "--collect-only",
        test_it="""
            import asyncio

            async def test_it(session):
                await UserFactory.create_async()
                print("it runs", flush=True)
                await asyncio.sleep(60)
        """,
    )
    arguments = ["-s", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
    # Where this process ignores SIGINT, as one that a shell has put in the background, so would it.
    with Popen(
        [sys.executable, "-m", "pytest", *arguments],
        stdout=PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "it runs" in line:
                break
        assert on_postgresql.databases()
        time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in run.stdout.read()
    assert on_postgresql.databases() == set()
