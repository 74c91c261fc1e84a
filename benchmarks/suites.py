"""What isolating the tests of a suite costs: our fixtures, and what people write by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

from benchmarks.measure import BY_HAND, Comparison
from tests.servers import Servers

FIXTURES = "sqlalchemy_database()"
TRUNCATE = "tables emptied for each test"
SHARED = "company and user shared by the module"

SHOP = """
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
        name: Mapped[str] = mapped_column(String(50))
        company_id: Mapped[int] = mapped_column(ForeignKey(Company.id))
        company: Mapped[Company] = relationship()


    class Post(Base):
        __tablename__ = "post"

        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(String(50))
        author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
        author: Mapped[User] = relationship()


    class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
        name = factory.Sequence(lambda n: f"company{n}")


    class UserFactory(AsyncSQLAlchemyModelFactory[User]):
        name = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)


    class PostFactory(AsyncSQLAlchemyModelFactory[Post]):
        title = factory.Sequence(lambda n: f"post{n}")
        author = factory.SubFactory(UserFactory)
"""

# Prints how long the tests took but the first and the last: these make the tables and drop them.
TIMED = """
    import os
    import time

    import pytest
    import pytest_asyncio
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    from async_factory_boy import bind
    from async_factory_boy.pytest_plugin import shared, sqlalchemy_database
    from shop import Base, CompanyFactory, UserFactory

    URL = os.environ["BENCHMARK_URL"]


    ends = []


    def pytest_runtest_logfinish():
        ends.append(time.perf_counter())


    def pytest_sessionfinish():
        print(f"\\nseconds: {ends[-2] - ends[0]}")
"""

ENGINE = """
    @pytest_asyncio.fixture(scope="session")
    async def engine():
        engine = create_async_engine(URL)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield engine
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
        await engine.dispose()
"""

CONFTESTS = {
    FIXTURES: "sqlalchemy_database(URL, metadata=Base.metadata)\n",
    BY_HAND: dedent(ENGINE)
    + dedent("""
        @pytest_asyncio.fixture
        async def session(engine):
            async with engine.connect() as connection:
                transaction = await connection.begin()
                async with AsyncSession(
                    connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
                ) as session:
                    with bind(sqlalchemy_session=session):
                        yield session
                await transaction.rollback()
    """),
    TRUNCATE: dedent(ENGINE)
    + dedent("""
        @pytest_asyncio.fixture
        async def session(engine):
            async with AsyncSession(engine, expire_on_commit=False) as session:
                with bind(sqlalchemy_session=session):
                    yield session
            async with engine.begin() as connection:
                await connection.execute(
                    text("TRUNCATE company, app_user, post RESTART IDENTITY CASCADE")
                )
    """),
    SHARED: dedent("""
        sqlalchemy_database(URL, metadata=Base.metadata)


        @shared(scope="module")
        async def user():
            return await UserFactory.create_async()
    """),
}

MINE = """
    async def test_posts(session, number):
        user = await UserFactory.create_async()
        posts = await PostFactory.create_batch_async(2, author=user)
        await session.commit()
        assert {post.author_id for post in posts} == {user.id}
"""
OURS = """
    async def test_posts(session, user, number):
        posts = await PostFactory.create_batch_async(2, author=user)
        await session.commit()
        assert {post.author_id for post in posts} == {user.id}
"""

TESTS = {way: OURS if way == SHARED else MINE for way in CONFTESTS}


def suites(servers: Servers, *, tests: int, rounds: int) -> Comparison:
    """Run a suite whose tests each have a user, a company and two posts, in each of the ways."""
    comparison = Comparison(
        benchmark="suite",
        store="SQLAlchemy on PostgreSQL",
        kind="graph",
        work=f"a suite of {tests} tests, each with a user, a company and two posts",
        rows=tests,
        calls={},
        seconds={way: [] for way in CONFTESTS},
    )
    ways = list(CONFTESTS)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            turn = number % len(ways)
            for way in (*ways[turn:], *ways[:turn]):
                seconds = _seconds(way, Path(folder) / str(ways.index(way)), servers, tests)
                if number:
                    comparison.seconds[way].append(seconds)
    return comparison


def _seconds(way: str, folder: Path, servers: Servers, tests: int) -> float:
    folder.mkdir(exist_ok=True)
    head = "import pytest\nfrom shop import *\n\n"
    mark = f'@pytest.mark.parametrize("number", range({tests}))\n'
    (folder / "shop.py").write_text(dedent(SHOP))
    (folder / "conftest.py").write_text(f"{dedent(TIMED)}\n{CONFTESTS[way]}")
    (folder / "test_suite.py").write_text(f"{head}{mark}{dedent(TESTS[way])}")
    loops = [
        f"asyncio_default_{kind}_loop_scope={scope}"
        for kind, scope in (("fixture", "session"), ("test", "session"))
    ]
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider",
            "-o", "asyncio_mode=auto", *(part for loop in loops for part in ("-o", loop)),
        ],
        cwd=folder,
        env={**os.environ, "BENCHMARK_URL": _url(servers)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    if f"{tests} passed" not in done.stdout:
        raise RuntimeError(done.stdout + done.stderr)
    return float(done.stdout.partition("seconds: ")[2].split()[0])


def _url(servers: Servers) -> str:
    return servers.postgres.replace("postgresql://", "postgresql+asyncpg://")
