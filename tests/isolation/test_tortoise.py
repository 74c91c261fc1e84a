"""The fixtures that `tortoise_database` makes: what is Tortoise's own, and what is refused."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from textwrap import dedent

import pytest

from tests.isolation.kinds import KINDS, kinds, tortoise
from tests.isolation.projects import Project
from tests.servers import Servers


@pytest.fixture(params=kinds("tortoise"))
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on each database that Tortoise's fixtures are for."""
    return Project(pytester, servers, KINDS[request.param])


@pytest.fixture
def on_sqlite(pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on Tortoise and SQLite, for what is the same on every database."""
    return Project(pytester, servers, KINDS["tortoise-sqlite"])


def test_transactions_of_the_code(project: Project) -> None:
    """Transactions of the code end as they usually do, and are undone with that of the test."""
    project.passes(
        2,
        test_it="""
            from tortoise.exceptions import IntegrityError
            from tortoise.transactions import in_transaction

            from async_factory_boy.exceptions import FixtureError

            @pytest.mark.parametrize("run", range(2))
            async def test_it(connection, store, run):
                async with in_transaction() as outer:
                    await UserFactory.create_async(name="Ada")
                    async with outer._in_transaction() as inner:
                        await UserFactory.create_async(name="Grace")
                        await inner.rollback()
                    async with outer._in_transaction() as inner:
                        await UserFactory.create_async(name="Barbara")
                        await inner.commit()
                assert await store.names(User) == ["Ada", "Barbara"]
                with pytest.raises(IntegrityError):
                    async with in_transaction():
                        await UserFactory.create_async(name="Joan")
                        await UserFactory.create_async(name="Ada")
                async with in_transaction() as one:
                    await UserFactory.create_async(name="Frances")
                    await one.commit()
                assert await store.names(User) == ["Ada", "Barbara", "Frances"]
                for method in (connection.commit, connection.rollback):
                    with pytest.raises(FixtureError, match="would end the transaction of the test"):
                        await method()
        """,
    )


def test_many_tasks(project: Project) -> None:
    """Tasks that a test starts are in its transaction, and so are hooks of factories."""
    project.passes(
        2,
        conftest="""
            import factory

            class FounderFactory(UserFactory):
                @factory.post_generation
                async def colleague(user, create, extracted, **kwargs):
                    await UserFactory.create_async(company=user.company)

            register(FounderFactory, "founder")
        """,
        test_it="""
            import asyncio

            @pytest.mark.parametrize("run", range(2))
            async def test_it(founder, connection, store, run):
                await asyncio.gather(*(UserFactory.create_async() for _ in range(5)))
                assert await store.count(User) == 7
                assert await founder.company.users.all().count() == 2
        """,
    )


RELATED = """
    import factory
    from tortoise import fields
    from tortoise.models import Model

    from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory


    class Tag(Model):
        id = fields.IntField(primary_key=True)
        slug = fields.CharField(max_length=20)


    class Post(Model):
        id = fields.IntField(primary_key=True)
        tags = fields.ManyToManyField("blog.Tag", "posts")
        parts = fields.JSONField(default=list)


    class Draft(Model):
        id = fields.IntField(primary_key=True)
        post = fields.OneToOneField("blog.Post", "draft")


    class TagFactory(AsyncTortoiseModelFactory[Tag]):
        slug = factory.Sequence(lambda n: f"tag{n}")


    class PostFactory(AsyncTortoiseModelFactory[Post]):
        tags = factory.List([factory.SubFactory(TagFactory)])
        parts = factory.LazyFunction(lambda: ["first"])


    class DraftFactory(AsyncTortoiseModelFactory[Draft]):
        class Meta:
            tortoise_fetch = ("post__tags",)

        post = factory.SubFactory(PostFactory)
"""

TWO_APPS = """
    import pytest
    from async_factory_boy.pytest_plugin import shared, tortoise_database
    from blog import *
    from tortoise.backends.base.executor import EXECUTOR_CACHE

    EXECUTOR_CACHE.clear()

    CONFIG = {
        "connections": {"default": URL, "blogs": URL},
        "apps": {
            "shop": {"models": ["shop"], "default_connection": "default"},
            "blog": {"models": ["blog"], "default_connection": "blogs"},
        },
    }
    tortoise_database(config=CONFIG)
"""


def test_several_apps(project: Project) -> None:
    """Each connection of a configuration has a database, and a test a transaction in each."""
    url = project.kind.url(project.servers, project.name)
    project.conftest = dedent(TWO_APPS.replace("URL", repr(url)))
    project.passes(
        4,
        loops="module",
        blog=RELATED,
        test_it="""
            from blog import *
            from tortoise.connection import get_connection

            @pytest.mark.parametrize("rollback", [True, True, False, True])
            async def test_it(request, database, connection, rollback):
                assert connection is get_connection("default")
                assert [*database.config["connections"]] == ["default", "blogs"]
                assert await User.all().count() == await Post.all().count() == 0
                await UserFactory.create_async()
                await DraftFactory.create_async()
                assert await User.all().count() == await Tag.all().count() == 1
                through = Post._meta.fields_map["tags"].through
                rows = await get_connection("blogs").execute_query_dict(f"SELECT * FROM {through}")
                assert len(rows) == 1
        """.replace("[True, True, False, True]", _PARAMETERS),
    )


_PARAMETERS = """[
                True, True, True,
                pytest.param(False, marks=pytest.mark.factory_database(rollback=False)),
            ]"""


def test_shared_relations(on_sqlite: Project) -> None:
    """What is loaded of shared objects is loaded in what each test is given."""
    on_sqlite.conftest = dedent(
        TWO_APPS.replace("URL", "'sqlite://:memory:'")
        + """
    @shared(scope="module")
    async def draft(connection):
        draft = await DraftFactory.create_async()
        await draft.post.fetch_related("draft")
        return draft

    @shared(scope="module")
    async def post(draft):
        return await Post.get(id=draft.post_id)
"""
    )
    on_sqlite.passes(
        2,
        loops="module",
        blog=RELATED,
        test_it="""
            from blog import *

            @pytest.mark.parametrize("run", range(2))
            async def test_it(draft, post, run):
                assert draft.post is post
                assert post.draft is draft
                assert [tag.slug.startswith("tag") for tag in post.tags] == [True]
                assert post.parts == ["first"]
                post.parts.append("second")
                await post.save()
                await post.tags.clear()
                await post.tags.add(await TagFactory.create_async(slug="new"))
                assert await post.tags.all().values_list("slug", flat=True) == ["new"]
                await draft.delete()
        """,
    )


def test_schema(on_sqlite: Project) -> None:
    """A function creates the tables, with the configuration of the new database."""
    on_sqlite.conftest = on_sqlite.conftest.replace(
        'modules={"shop": ["shop"]}',
        'modules={"shop": ["shop"]}, schema=create, init_options={"use_tz": False}',
    ).replace(
        "tortoise_database(",
        "async def create(config):\n"
        "    from tortoise import Tortoise\n"
        "    async with await Tortoise.init(config=config):\n"
        "        await Tortoise.generate_schemas()\n\n"
        "tortoise_database(",
        1,
    )
    on_sqlite.passes(1, test_it="async def test_it(store):\n    await UserFactory.create_async()")


def test_psycopg(pytester: pytest.Pytester, servers: Servers) -> None:
    """Psycopg does for PostgreSQL as well."""
    project = Project(pytester, servers, tortoise("psycopg", "postgresql"))
    project.passes(
        3,
        loops="module",
        conftest="""
            @shared(scope="module")
            async def company():
                return await CompanyFactory.create_async()
        """,
        test_it="""
            from tortoise.transactions import in_transaction

            @pytest.mark.parametrize("run", range(2))
            async def test_it(company, store, run):
                async with in_transaction() as transaction:
                    await UserFactory.create_async(name="Ada", company=company)
                    await transaction.commit()
                await store.commit()
                assert await store.names(User) == ["Ada"]

            @pytest.mark.factory_database(rollback=False)
            async def test_for_real(store):
                await UserFactory.create_async(name="Ada")
        """,
    )


UNREACHABLE = [
    "asyncpg://user:secret@localhost:1/test",
    "psycopg://user:secret@localhost:1/test",
    "mysql://user:secret@127.0.0.1:1/test",
]


@pytest.mark.parametrize("url", UNREACHABLE)
def test_unreachable(on_sqlite: Project, url: str) -> None:
    """A server that cannot be connected to is named, and what is wrong, without the password."""
    on_sqlite.conftest = on_sqlite.conftest.replace("sqlite://:memory:", url)
    result = on_sqlite.run(test_it="async def test_it(connection): ...")
    result.assert_outcomes(errors=1)
    shown, host = url.replace("secret", "***"), url.rpartition("@")[2].partition(":")[0]
    told = f"tortoise_database({shown!r}): cannot connect to {host}: "
    assert told in result.stdout.str()
    assert "secret@" not in result.stdout.str()


@pytest.mark.parametrize(
    ("driver", "package"),
    [("asyncpg", "asyncpg"), ("psycopg", "psycopg"), ("mysql", "asyncmy")],
)
def test_missing_driver(on_sqlite: Project, driver: str, package: str) -> None:
    """A driver that is not installed is named, and how to install it."""
    on_sqlite.conftest = (
        "import sys\nfor name in ('asyncpg', 'psycopg', 'asyncmy', 'aiomysql', 'pymysql'):\n"
        "    sys.modules[name] = None\n"
    ) + on_sqlite.conftest.replace("sqlite://:memory:", f"{driver}://localhost/test")
    result = on_sqlite.run(test_it="async def test_it(connection): ...", apart=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"E*is not installed. Install it with: pip install *{package}*"])


REFUSED = [
    ("'sqlite://:memory:'", "takes the URL of a database and modules=, or config="),
    (
        "'sqlite://:memory:', {'shop': ['shop']}, config={}",
        "takes the URL of a database and modules=, or config=",
    ),
    ("", "takes the URL of a database and modules=, or config="),
    (
        "'sqlite://:memory:', {'shop': 'shop'}",
        "takes a list of modules for each app: modules={'shop': ['shop']}",
    ),
    (
        "'nosql://here', {'shop': ['shop']}",
        "('nosql://here'): Tortoise ORM knows no such URL: Unknown DB scheme: nosql. It takes",
    ),
    (
        "'mssql://sa:secret@here/test', {'shop': ['shop']}",
        "('mssql://sa:***@here/test'): no database is created on such a server. It takes sqlite,",
    ),
    ("config={'apps': {}}", 'tortoise_database(config=...): Config must define "connections"'),
    (
        "'sqlite://:memory:', {'shop': ['shp']}",
        "the module 'shp' of the app 'shop' cannot be imported: No module named 'shp'. Write it as",
    ),
    (
        "'sqlite://:memory:', {'models': ['shop']}",
        "No app with name 'shop' registered",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_refused(on_sqlite: Project, arguments: str, message: str) -> None:
    """What is of no use is refused, with what to write instead."""
    on_sqlite.conftest = re.sub(
        r"tortoise_database\('.*", f"tortoise_database({arguments})", on_sqlite.conftest
    )
    result = on_sqlite.run(test_it="async def test_it(connection): ...")
    assert result.ret != 0
    assert message in (result.stdout.str() + result.stderr.str()).replace("\nE   ", "")


@pytest.mark.parametrize("name", ["shop.sqlite", "shop_test.sqlite"])
def test_existing(on_sqlite: Project, name: str) -> None:
    """A file that has tables, and does not look like one for tests, is left alone."""
    path = on_sqlite.pytester.path / name
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customer (id INTEGER)")
    on_sqlite.conftest = on_sqlite.conftest.replace(":memory:", str(path))
    result = on_sqlite.run(
        test_it="async def test_it(store):\n    await UserFactory.create_async()"
    )
    if name == "shop.sqlite":
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["E*exists and has tables (customer, ...)*"])
    else:
        result.assert_outcomes(passed=1)
    assert [one.name for one in on_sqlite.pytester.path.glob("*.sqlite*")] == [name]
