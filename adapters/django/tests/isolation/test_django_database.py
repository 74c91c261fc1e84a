"""The fixtures that `django_database` makes: what is Django's own, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.isolation.django_kinds import KINDS, Django
from tests.isolation.projects import Project


@pytest.fixture
def on_sqlite(pytester: pytest.Pytester, servers: Callable[[], str]) -> Project:
    """A project with pytest-django, on SQLite."""
    return Project(pytester, servers, KINDS["pytest-django-sqlite"])


@pytest.fixture
def alone(pytester: pytest.Pytester, servers: Callable[[], str]) -> Project:
    """A project without pytest-django, on SQLite."""
    return Project(pytester, servers, Django(alone=True))


@pytest.mark.parametrize("kind", ["pytest-django-sqlite", "pytest-django-postgresql"])
def test_beside_pytest_django(
    pytester: pytest.Pytester, servers: Callable[[], str], kind: str
) -> None:
    """Tests may ask pytest-django for the database as well, or alone, for one or for the other."""
    kinds = {**KINDS, "pytest-django-postgresql": Django(on_postgresql=True)}
    Project(pytester, servers, kinds[kind]).passes(
        10,
        loops="module",
        conftest="register(UserFactory)\n\n\n@shared(scope='module')\nasync def company():\n"
        "    return await CompanyFactory.create_async()\n",
        test_it="""
            def threads_agree():
                return User.objects.count()

            @pytest.mark.parametrize("run", range(2))
            async def test_async(async_db, run):
                await UserFactory.create_async(name="Ada")
                assert await sync_to_async(threads_agree)() == await User.objects.acount() == 1

            @pytest.mark.parametrize("run", range(2))
            def test_synchronous(db, user_factory, run):
                User.objects.create(name="Grace")
                user_factory.create(name="Ada")
                assert {user.name for user in User.objects.all()} == {"Ada", "Grace"}

            @pytest.mark.django_db
            async def test_marked(async_db):
                await UserFactory.create_async(name="Ada")
                assert await User.objects.acount() == 1

            async def test_shared(company, async_db):
                assert await Company.objects.aget() == company
                await company.adelete()

            @pytest.mark.django_db(transaction=True)
            async def test_committed(company, async_db):
                assert not transaction.get_connection().in_atomic_block
                await UserFactory.create_async(name="Ada", company=company)
                assert await User.objects.acount() == await Company.objects.acount() == 1

            async def test_shared_again(company, async_db):
                assert await Company.objects.aget() == company

            @pytest.mark.django_db
            def test_theirs():
                assert not User.objects.count()
                User.objects.create(name="Ada")

            def test_theirs_again(db):
                assert not User.objects.count()
        """.replace("def threads", "from asgiref.sync import sync_to_async\n"
            "            from django.db import transaction\n\n            def threads"),
    )  # fmt: skip


def test_set_up_of_the_project(on_sqlite: Project) -> None:
    """What the project's own django_db_setup stores is there, and stored in a test database."""
    on_sqlite.passes(
        2,
        conftest="""
            from django.conf import settings

            @pytest.fixture(scope="session")
            def django_db_setup(django_db_setup, django_db_blocker):
                with django_db_blocker.unblock():
                    assert "memory" in settings.DATABASES["default"]["NAME"]
                    Company.objects.create(name="ACME")
        """,
        test_it="""
            async def test_async(async_db):
                assert (await Company.objects.aget()).name == "ACME"
                await Company.objects.all().adelete()

            def test_synchronous(async_db):
                assert Company.objects.get().name == "ACME"
        """,
    )


def test_clients(on_sqlite: Project) -> None:
    """Views see what a test has stored, whatever client calls them."""
    on_sqlite.modules["settings"] += 'ROOT_URLCONF = "urls"\n'
    on_sqlite.modules["urls"] = (
        "from django.http import HttpResponse\nfrom django.urls import path\n"
        "from accounts.models import User\n\n"
        "def names(request):\n"
        "    return HttpResponse([user.name for user in User.objects.all()])\n\n"
        "async def count(request):\n"
        "    return HttpResponse(await User.objects.acount())\n\n"
        'urlpatterns = [path("names", names), path("count", count)]\n'
    )
    on_sqlite.passes(
        2,
        conftest="register(UserFactory)",
        test_it="""
            async def test_async(async_db, async_client):
                await UserFactory.create_async(name="Ada")
                assert (await async_client.get("/names")).content == b"Ada"
                assert (await async_client.get("/count")).content == b"1"

            def test_synchronous(user_factory, client):
                user_factory.create(name="Ada")
                assert client.get("/names").content == b"Ada"
                assert client.get("/count").content == b"1"
        """,
    )


SEVERAL = """
DATABASES["audit"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": "audit.sqlite3"}
DATABASES["replica"] = {**DATABASES["default"], "TEST": {"MIRROR": "default"}}
"""


def test_several(on_sqlite: Project) -> None:
    """A test has a transaction on each database, but for one that mirrors another."""
    on_sqlite.modules["settings"] += SEVERAL
    on_sqlite.passes(
        3,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(async_db, run):
                assert async_db.aliases == ["default", "audit"]
                await UserFactory.create_async(name="Ada")
                await UserFactory.create_async(name="Ada", django_database="audit")
                assert await User.objects.using("audit").acount() == 1

            def test_theirs(db):
                assert not User.objects.count()
        """,
    )


def test_left_open(on_sqlite: Project) -> None:
    """A transaction that a test has begun, and not ended, is undone as well."""
    on_sqlite.passes(
        2,
        test_it="""
            from django.db import transaction

            @pytest.mark.parametrize("run", range(2))
            def test_it(async_db, run):
                assert not User.objects.count()
                transaction.atomic().__enter__()
                User.objects.create(name="Ada")
        """,
    )


COMMITS = "@pytest.mark.factory_database(rollback=False)\nasync def test_it(async_db, db): ..."
SHARES = (
    '@shared(scope="module")\nasync def team(): ...\n',
    "@pytest.mark.django_db\nasync def test_it(async_db, team): ...",
)
TEST = "async def test_it(async_db): ..."


@pytest.mark.parametrize(
    ("call", "conftest", "test", "message"),
    [
        ("databases=None", "", COMMITS, "write @pytest.mark.django_db(transaction=True) in place"),
        ("databases=None", *SHARES, "shares data with other tests, which stay in a transaction"),
        ("databases=['defualt']", "", TEST, "Did you mean 'default'? Known databases: default."),
        ("databases='default'", "", TEST, "write databases=['default']."),
    ],
)
def test_refused(on_sqlite: Project, call: str, conftest: str, test: str, message: str) -> None:
    """Each mistake is told, with what to write."""
    on_sqlite.conftest = on_sqlite.conftest.replace("databases=None", call)
    result = on_sqlite.run(loops="module", conftest=conftest, test_it=test)
    assert result.ret != 0
    assert message in "".join((result.stdout.str() + result.stderr.str()).splitlines())


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("", "Django has no settings: "),
        ("import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n", "has not loaded its"),
    ],
)
def test_not_set_up(
    alone: Project, monkeypatch: pytest.MonkeyPatch, head: str, message: str
) -> None:
    """Django that has no settings, or is not set up, is told, with how to set it up."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    alone.conftest = (
        f"{head}from async_factory_boy_django.pytest_plugin import django_database\n\n"
        "import pytest\ndjango_database()\n"
    )
    alone.modules["shop"] = ""
    result = alone.run(test_it=TEST)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"E*FixtureError: django_database(): *{message}*django.setup()."])


@pytest.mark.parametrize("alone", [True, False])
def test_unreachable(pytester: pytest.Pytester, servers: Callable[[], str], alone: bool) -> None:
    """A server that cannot be reached is told once for the run."""
    project = Project(pytester, servers, Django(alone=alone, on_postgresql=True))
    project.lose_server()
    result = project.run(
        "-W", "ignore:Normally Django will use:RuntimeWarning",
        test_it="async def test_1(async_db): ...\n\nasync def test_2(async_db): ...",
    )  # fmt: skip
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "E*FixtureError: django_database() cannot create the test databases of default: *"
            "Start the server, or correct HOST, PORT, USER and PASSWORD in settings.DATABASES.*",
            "django_database() has no database for this test: see the error of *::test_1.",
        ]
    )
