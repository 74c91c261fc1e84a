"""What the report of the pytest plugin advises: to share an object, or to build it only."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import aiosqlite  # noqa: F401
import factory
import pytest
import pytest_asyncio  # noqa: F401
import tortoise.context  # noqa: F401

import async_factory_boy.factory.sqlalchemy
import async_factory_boy.factory.tortoise  # noqa: F401
from async_factory_boy.pytest_plugin.creations import Creations

# The runs are in this process, and forget what they import: so what is slow to import is here.
factory.Faker("name").evaluate(None, None, {"locale": None})

MODELS = {
    "sqlalchemy": """
        import factory
        from sqlalchemy import JSON, ForeignKey, select, update
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

        from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory as Base_


        class Base(DeclarativeBase):
            pass


        class Company(Base):
            __tablename__ = "company"

            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]
            tags: Mapped[list[str]] = mapped_column(JSON)
            users: Mapped[list["User"]] = relationship(back_populates="company", lazy="selectin")


        class User(Base):
            __tablename__ = "user"

            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]
            company_id: Mapped[int | None] = mapped_column(ForeignKey(Company.id))
            company: Mapped[Company | None] = relationship(back_populates="users")
    """,
    "tortoise": """
        import factory
        from tortoise import fields
        from tortoise.models import Model

        from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory as Base_


        class Company(Model):
            id = fields.IntField(primary_key=True)
            name = fields.CharField(100)
            tags = fields.JSONField()


        class User(Model):
            id = fields.IntField(primary_key=True)
            name = fields.CharField(100)
            company = fields.ForeignKeyField("models.Company", related_name="users")
    """,
}

FACTORIES = """

class CompanyFactory(Base_):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")
    tags = factory.LazyFunction(list)


class UserFactory(Base_):
    class Meta:
        model = User

    name = factory.Faker("name")
    company = factory.SubFactory(CompanyFactory)
"""

CONFTESTS = {
    "sqlalchemy": """
        import pytest
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

        from async_factory_boy import bind
        from models import Base


        @pytest.fixture(scope="SCOPE", autouse=True)
        async def session():
            engine = create_async_engine("sqlite+aiosqlite://")
            async with engine.connect() as connection:
                await connection.run_sync(Base.metadata.create_all)
                async with AsyncSession(connection, expire_on_commit=False) as session:
                    with bind(sqlalchemy_session=session):
                        yield session
            await engine.dispose()
    """,
    "tortoise": """
        import pytest
        from tortoise.backends.base.executor import EXECUTOR_CACHE
        from tortoise.context import tortoise_test_context

        EXECUTOR_CACHE.clear()  # which is of the process, as is this run


        @pytest.fixture(scope="SCOPE", autouse=True)
        async def database():
            async with tortoise_test_context(["models"]) as context:
                yield context
    """,
}


class Project:
    """Models, factories, and tests in a package."""

    def __init__(self, pytester: pytest.Pytester, store: str) -> None:
        self.pytester = pytester
        self.store = store
        self.output: list[str] = []

    def report(
        self, tests: dict[str, str], *arguments: str, scope: str = "function", failed: int = 0
    ) -> Any:
        """Run the tests of some modules of the package ``shop``, and return what is reported."""
        for name, code in {
            "models.py": dedent(MODELS[self.store]) + FACTORIES,
            "conftest.py": dedent(CONFTESTS[self.store]).replace("SCOPE", scope),
            "shop/__init__.py": "",
            **{
                f"shop/{name}": (
                    "import pytest\nfrom async_factory_boy.pytest_plugin import register\n"
                    "from models import *\n" + dedent(code)
                )
                for name, code in tests.items()
            },
        }.items():
            path: Path = self.pytester.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(code)
        unused = ("cacheprovider", "pytest_cov", "randomly", "hypothesispytest")
        result = self.pytester.runpytest(
            *(argument for plugin in unused for argument in ("-p", f"no:{plugin}")),
            *("-W", "error", "--tb=short", "-o", "asyncio_mode=auto"),
            *("-o", f"asyncio_default_fixture_loop_scope={scope}"),
            *("-o", f"asyncio_default_test_loop_scope={scope}"),
            *("--factory-report", "--factory-report-json=report.json", *arguments),
        )
        outcomes = result.parseoutcomes()
        assert outcomes.get("failed", 0) == failed, str(result.stdout)
        assert "errors" not in outcomes
        self.output = result.outlines
        return json.loads((self.pytester.path / "report.json").read_text())


PAGE = (Path(__file__).parent.parent.parent / "docs" / "pytest.md").read_text()

# What the page shows the report of.
ON_THE_PAGE = {
    "test_import.py": """
        async def test_a_large_file(session):
            await UserFactory.create_batch_async(1000)
            await session.scalars(select(User))
    """,
    "test_orders.py": """
        register(CompanyFactory)

        @pytest.mark.parametrize("number", range(34))
        async def test_order(company, session, number):
            await session.scalars(select(Company))
    """,
    "test_users.py": """
        async def test_list(session):
            await UserFactory.create_batch_async(10)
            await session.scalars(select(User))

        async def test_full_name():
            user = await UserFactory.create_async(company=None, name="Ada Lovelace")
            assert user.name == "Ada Lovelace"

        async def test_greeting():
            await UserFactory.build_async(company=None)
    """,
}


def test_page(sqlalchemy_project: Project) -> None:
    """The page shows what the report of such tests is, but for the times."""
    (shown,) = re.findall(r"(?s)```text\n(=+ factories =+\n.*?)```", PAGE)
    sqlalchemy_project.report(ON_THE_PAGE, "--factory-report=2")
    first = next(
        place for place, line in enumerate(sqlalchemy_project.output) if " factories " in line
    )
    last = next(
        place
        for place, line in enumerate(sqlalchemy_project.output)
        if line.startswith("all of it: ")
    )
    printed = sqlalchemy_project.output[first:last]

    def masked(lines: list[str]) -> list[str]:
        # Which factory comes first depends on the times, and the widths of columns do.
        return sorted(re.sub(r"[\d.]+( s|%)", r"*\1", " ".join(line.split())) for line in lines)

    assert masked(shown.splitlines()) == masked(printed)


@pytest.fixture(params=list(MODELS))
def project(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> Project:
    return Project(pytester, request.param)


@pytest.fixture
def sqlalchemy_project(pytester: pytest.Pytester) -> Project:
    return Project(pytester, "sqlalchemy")


def shares(report: Any) -> set[tuple[str, str, str, int]]:
    """Return what is to be shared: the call, the scope, its node, and by how many tests."""
    return {
        (
            f"{one['factory'].removeprefix('models.')}({one['given']})",
            one["scope"],
            one["of"],
            len(one["tests"]),
        )
        for one in report["to_share"]
    }


SHARED = {
    "test_one.py": """
        register(CompanyFactory)
        register(UserFactory)

        @pytest.fixture
        async def acme():
            return await CompanyFactory.create_async(name="acme")

        def test_acme(acme):
            pass

        def test_user(user, acme):
            assert user.company.name

        def test_user_of_acme(user, acme):
            assert user.name

        async def test_renames():
            company = await CompanyFactory.create_async(name="renamed")
            company.name = "other"

        class TestOfClass:
            async def test_one(self):
                await CompanyFactory.create_async(name="renamed")

            async def test_two(self):
                await CompanyFactory.create_async(name="renamed")
    """,
    "test_two.py": """
        from enum import Enum

        async def test_acme():
            await CompanyFactory.create_async(name="acme")

        async def test_renamed():
            await CompanyFactory.create_async(name="renamed")

        class Tag(str, Enum):
            NEW = "new"

        @pytest.mark.parametrize("run", [1, 2, 3])
        async def test_tags(run):
            await CompanyFactory.create_async(tags=[Tag.NEW, "old"])
    """,
}


def test_share(project: Project) -> None:
    """Equal calls of several tests are one proposal, for the widest scope where nobody changes it.

    An object that was given is written as its own call.
    """
    report = project.report(SHARED)
    assert shares(report) == {
        ("CompanyFactory(name='acme')", "package", "shop", 4),
        ("CompanyFactory()", "module", "shop/test_one.py", 2),
        ("CompanyFactory(tags=[Tag.NEW, 'old'])", "module", "shop/test_two.py", 3),
        ("UserFactory(company=CompanyFactory())", "module", "shop/test_one.py", 2),
        ("CompanyFactory(name='renamed')", "class", "shop/test_one.py::TestOfClass", 2),
    }
    writes = {one["given"]: one["write"] for one in report["to_share"]}
    assert writes["name='acme'"] == "register(CompanyFactory, name='acme', scope=\"package\")"
    assert writes["company=CompanyFactory()"] == 'register(UserFactory, scope="module")'
    (acme,) = [one for one in report["to_share"] if one["scope"] == "package"]
    assert acme["tests"] == [
        "shop/test_one.py::test_acme",
        "shop/test_one.py::test_user",
        "shop/test_one.py::test_user_of_acme",
        "shop/test_two.py::test_acme",
    ]
    assert 0 < acme["seconds"] < report["test_seconds"]
    title = project.output.index("To share: several tests create it alike, and none changes it.")
    rows = [line.split() for line in project.output[title + 1 : title + 6]]
    assert sorted(rows)[0][:5] == ["CompanyFactory()", "2", "tests", "of", "shop/test_one.py"]


def test_workers_add_up(sqlalchemy_project: Project) -> None:
    """What pytest-xdist's workers have found out is one report."""
    tests = "\n".join(
        f"async def test_{number}():\n    await CompanyFactory.create_async()\n"
        for number in range(6)
    )
    report = sqlalchemy_project.report({"test_it.py": tests}, "-n2", "--dist=load")
    assert shares(report) == {("CompanyFactory()", "module", "shop/test_it.py", 6)}
    (figures,) = report["factories"]
    assert (figures["created"], figures["top_level"]) == (6, 6)
    unread = sorted(one["test"] for one in report["to_build"])
    assert unread == [f"shop/test_it.py::test_{number}" for number in range(6)]


def test_seconds() -> None:
    """What is saved is all but one object of each worker: the one that took longest."""
    creations = Creations("")

    def alike(factory: str, worker: str, *seconds: float) -> list[tuple[Any, ...]]:
        scopes = [("module", "test_it.py")]
        return [
            (factory, "", "", f"test_{place}", scopes, True, True, one, worker)
            for place, one in enumerate(seconds)
        ]

    creations.add(alike("models.UserFactory", "gw0", 3, 1, 2), [])
    creations.add(alike("models.UserFactory", "gw1", 5, 4) + alike("A", "gw1", 9), [])
    creations.add(alike("A", "gw2", 9), [])
    (share,) = creations.to_share()
    assert (share.factory, share.seconds) == ("models.UserFactory", 1 + 2 + 4)


NOT_SHARED = """
    def both(test):
        return pytest.mark.parametrize("run", [1, 2])(test)

    @both
    async def test_changes_within(run):
        company = await CompanyFactory.create_async(name="within")
        company.tags.append("new")

    @both
    async def test_changes_what_it_was_given(run):
        company = await CompanyFactory.create_async(name="given")
        user = await UserFactory.create_async(name="of given", company=company)
        user.company.name = "changed"

    @both
    async def test_needs_several(run):
        await CompanyFactory.create_async(name="several")
        company = await CompanyFactory.create_async(name="several")
        await UserFactory.create_async(name="of several", company=company)

    @both
    async def test_batch(run):
        await CompanyFactory.create_batch_async(2, name="batch")

    @both
    async def test_nobody_knows_what_it_is_given(run):
        await CompanyFactory.create_async(name=factory.LazyFunction(lambda: "lazy"))
        company = await CompanyFactory.create_async(name=f"company {run}")
        await UserFactory.create_async(company=company)

    @both
    async def test_for_other_objects(run):
        await UserFactory.create_async(name=f"user {run}")

    @both
    async def test_different(run):
        await CompanyFactory.create_async(name=f"different {run}")

    @both
    async def test_cannot_be_copied(run):
        company = await CompanyFactory.create_async(name="buffer")
        company.tags = bytearray(b"")

    @both
    async def test_fails(run):
        await CompanyFactory.create_async(name="fails")
        assert run == 1

    @pytest.fixture
    async def broken(run):
        await CompanyFactory.create_async(name="skipped")
        if run == 2:
            pytest.skip("no object is compared here")

    @both
    async def test_is_skipped(run, broken):
        pass
"""


def test_not_shared(project: Project) -> None:
    """Nothing is proposed where a test changes an object, needs several, or is not comparable."""
    assert shares(project.report({"test_it.py": NOT_SHARED}, failed=1)) == set()


def test_changed_by_statement(sqlalchemy_project: Project) -> None:
    """On SQLAlchemy, a statement that may change the row counts, whatever it is sent through.

    A SELECT does not, and neither do rows of other tables.
    """
    report = sqlalchemy_project.report(
        {
            "test_it.py": """
                from sqlalchemy import text

                def both(test):
                    return pytest.mark.parametrize("run", [1, 2])(test)

                @both
                async def test_update(run, session):
                    company = await CompanyFactory.create_async(name="updated")
                    await UserFactory.create_async(name="of updated", company=company)
                    await session.execute(text("UPDATE company SET name = 'other'"))

                @both
                async def test_delete(run, session):
                    company = await CompanyFactory.create_async(name="deleted")
                    await session.execute(text("DELETE FROM company"))

                @both
                async def test_update_of_users(run, session):
                    company = await CompanyFactory.create_async(name="other table")
                    await session.execute(text('UPDATE "user" SET name = NULL WHERE id = 3'))

                @both
                async def test_select(run, session):
                    company = await CompanyFactory.create_async(name="selected")
                    await session.execute(select(Company).with_for_update())
                    session.add(User(name="Ada", company=company))
                    await session.flush()

                @both
                async def test_expired(run, session):
                    company = await CompanyFactory.create_async(name="expired")
                    session.expire(company)
            """
        }
    )
    assert {call for call, *_ in shares(report)} == {
        "CompanyFactory(name='other table')",
        "CompanyFactory(name='selected')",
    }


def test_given_a_shared_object(sqlalchemy_project: Project) -> None:
    """What several tests share is not proposed; given, a fixture of several tests is named."""
    report = sqlalchemy_project.report(
        {
            "test_it.py": """
                @pytest.fixture(scope="module")
                async def acme():
                    return await CompanyFactory.create_async()

                async def test_one(acme):
                    await UserFactory.create_async(company=acme, name="Ada")

                async def test_two(acme):
                    await UserFactory.create_async(company=acme, name="Ada")

                @pytest.fixture
                async def stored_apart(request):
                    plugins = request.config.pluginmanager
                    with plugins.get_plugin("async_factory_boy_report").apart():
                        return await CompanyFactory.create_async(name="stored apart")

                @pytest.mark.parametrize("run", [1, 2])
                async def test_stored_apart(stored_apart, run):
                    await UserFactory.create_async(company=stored_apart, name="Grace")
            """
        },
        scope="module",
    )
    assert shares(report) == {
        ("UserFactory(company=acme, name='Ada')", "module", "shop/test_it.py", 2)
    }
    (share,) = report["to_share"]
    assert share["write"] == "register(UserFactory, name='Ada', scope=\"module\")"
    assert {one["factory"] for one in report["to_build"]} == {"models.UserFactory"}


TO_BUILD = """
    import asyncio

    async def read():
        RUN_A_SELECT

    class FinderFactory(CompanyFactory):
        class Meta:
            STORE_get_or_create = ("name",)

    class ReadingFactory(CompanyFactory):
        @factory.post_generation
        async def reads(company, create, extracted, **kwargs):
            await read()

    class HookFactory(CompanyFactory):
        @factory.post_generation
        def changes(company, create, extracted, **kwargs):
            company.tags = ["hook"]

    class OwnFactory(CompanyFactory):
        @classmethod
        def create(cls, **kwargs):
            return Company(name="kept elsewhere", **kwargs)

    @pytest.fixture
    async def company():
        return await CompanyFactory.create_async()

    async def test_kept_elsewhere(company):
        assert (await OwnFactory.create_async()).name == "kept elsewhere"

    async def test_nothing_is_read(company):
        await read()
        await UserFactory.create_async(company=company)
        await UserFactory.create_batch_async(2)

    async def test_read(company):
        await read()

    async def test_read_by_a_hook():
        await CompanyFactory.create_async()
        await ReadingFactory.create_async()

    async def test_changed_by_a_hook(company):
        await HookFactory.create_async()

    async def test_got_from_the_session(company, session):
        assert await session.get(Company, company.id) is company

    async def test_may_be_found(company):
        await FinderFactory.create_async(name="acme")

    def test_fails(company):
        assert not company
"""


def test_build(sqlalchemy_project: Project) -> None:
    """On SQLAlchemy, objects that nothing was asked for after need not be stored.

    What factories store and load does not count, but what their hooks do. To ask a session for
    what it holds, without a statement, counts.
    """
    code = TO_BUILD.replace("STORE", "sqlalchemy").replace(
        "RUN_A_SELECT",
        "from async_factory_boy.options import in_force\n"
        "        session = in_force()['sqlalchemy_session']\n"
        "        await session.execute(select(Company))",
    )
    report = sqlalchemy_project.report({"test_it.py": code}, failed=1)
    assert {
        (one["test"].rpartition("::")[2], one["factory"].rpartition(".")[2], one["created"])
        for one in report["to_build"]
    } == {
        ("test_nothing_is_read", "UserFactory", 3),
        ("test_read_by_a_hook", "ReadingFactory", 1),
        ("test_changed_by_a_hook", "CompanyFactory", 1),
        ("test_changed_by_a_hook", "HookFactory", 1),
        ("test_may_be_found", "CompanyFactory", 1),
    }
    assert all(one["seconds"] > 0 for one in report["to_build"])


def test_build_is_not_told(pytester: pytest.Pytester) -> None:
    """Where statements cannot be heard, nothing is said of what to build."""
    code = "async def test_it():\n    await CompanyFactory.create_async()\n"
    report = Project(pytester, "tortoise").report({"test_it.py": code})
    assert report["to_build"] == []
    assert report["factories"][0]["created"] == 1


def test_top_level(project: Project) -> None:
    """Top-level objects are those that calls were for, not what declarations and hooks make."""
    report = project.report(
        {
            "test_it.py": """
                class OwnerFactory(CompanyFactory):
                    @factory.post_generation
                    async def user(company, create, extracted, **kwargs):
                        await UserFactory.create_async(company=company)

                    last = factory.RelatedFactory(UserFactory, factory_related_name="company")

                async def test_it():
                    await UserFactory.create_batch_async(3)
                    await OwnerFactory.create_async()
                    await CompanyFactory.create_async()
            """
        }
    )
    assert {
        one["factory"].rpartition(".")[2]: (one["created"], one["top_level"])
        for one in report["factories"]
    } == {"UserFactory": (5, 3), "CompanyFactory": (4, 1), "OwnerFactory": (1, 1)}
