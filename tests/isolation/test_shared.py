"""Data that tests share: stored once for a scope, and for each test as they were stored."""

from __future__ import annotations

import re

import pytest

from tests.isolation.projects import Project

SHARED = """
    import itertools

    stored = itertools.count(1)

    register(CompanyFactory, scope="SCOPE")
    register(UserFactory, "admin", name="admin", scope="SCOPE")
    register(UserFactory)


    @shared(scope="SCOPE")
    async def team(company):
        users = await UserFactory.create_batch_async(2, company=company)
        return {"company": company, "users": users, "stored": next(stored)}
"""

TESTS = """
    class TestTeam:
        @pytest.mark.parametrize("run", range(3))
        async def test_changed(self, team, store, run):
            assert await store.count(User) == USERS
            assert await store.count(Company) == 1
            assert team["users"][0].name.startswith("user")
            assert team["stored"] == EXPECTED
            team["users"][0].name = "changed"
            await store.save(team["users"][0])
            await store.delete(team["users"][1])
            await UserFactory.create_async()
            await store.commit()
            team["users"].clear()

        async def test_registered(self, admin, company, user, store):
            assert admin.company is company
            assert user.company is company
            assert company.name == PATH.setdefault("name", company.name)
            company.name = "changed"
            await store.save(company)

        @pytest.mark.parametrize("company__name", ["ACME"])
        async def test_own(self, company, user):
            assert user.company is company
            assert company.name == "ACME"

        async def test_again(self, company, store):
            assert company.name == PATH.setdefault("name", company.name)
            company.name = "changed"
            await store.save(company)


    PATH = {}
"""


@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_shared(project: Project, scope: str) -> None:
    """Each test finds what it shares as it was stored, whatever others did to it."""
    # The administrator of the first module is there in the second, if all of the run share her.
    stays = scope == "session"
    first = TESTS.replace("EXPECTED", "1").replace("USERS", "2")
    second = TESTS.replace("EXPECTED", "1" if stays else "2").replace(
        "USERS", "3" if stays else "2"
    )
    project.passes(
        12,
        loops=scope,
        conftest=SHARED.replace("SCOPE", scope),
        test_first=first,
        test_second=second,
    )


def test_nested(project: Project) -> None:
    """Scopes nest; what is asked for later, by a test of a narrower scope, changes nothing."""
    project.passes(
        4,
        loops="session",
        conftest="""
            @shared(scope="session")
            async def company():
                return await CompanyFactory.create_async(name="ACME")

            @shared(scope="module")
            async def user(company):
                return await UserFactory.create_async(name="Ada", company=company)

            @shared(scope="session")
            async def another():
                return await CompanyFactory.create_async(name="Initech")
        """,
        test_first="""
            async def test_user(user, store):
                assert (await store.count(User), await store.count(Company)) == (1, 1)
                assert user.company.name == "ACME"

            async def test_another(user, another, store):
                assert (await store.count(User), await store.count(Company)) == (1, 2)
                assert user.company.name == "ACME"
        """,
        test_second="""
            async def test_gone(store):
                assert (await store.count(User), await store.count(Company)) == (0, 2)

            async def test_user(user, company, store):
                assert (await store.count(User), await store.count(Company)) == (1, 2)
        """,
    )


def test_not_stored(project: Project) -> None:
    """If data cannot be stored, each test that asks for them is told; nothing else is undone."""
    result = project.run(
        loops="session",
        conftest="""
            @shared(scope="session")
            async def company():
                return await CompanyFactory.create_async(name="ACME")

            @shared(scope="module")
            async def user(company):
                await UserFactory.create_async(name="Ada", company=company)
                raise ArithmeticError
        """,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_without(user, run): ...

            async def test_others(company, store):
                assert (await store.count(User), await store.count(Company)) == (0, 1)
        """,
    )
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["E*ArithmeticError", "E*ArithmeticError"])
    assert project.databases() == set()


def test_for_real(project: Project) -> None:
    """A test that commits for real has what it shares stored for itself, and others anew."""
    test = "async def test_{}(team, store):\n    assert await store.count(User) == 2\n"
    mark = "@pytest.mark.factory_database(rollback=False)\n"
    texts = [test.format(1), mark + test.format(2) + "    await store.commit()\n", test.format(3)]
    project.passes(
        3, loops="module", conftest=SHARED.replace("SCOPE", "module"), test_it="\n".join(texts)
    )


def test_seeded(project: Project) -> None:
    """What is drawn for shared data depends on the seed, not on the test that comes first."""
    run = """
        async def test_a(company):
            print("company:", company.name)

        async def test_b(user, company):
            print("company:", company.name)
    """
    names = set()
    for chosen in ("test_a", "test_b"):
        result = project.run(
            "-s", "--factory-seed=1", "-k", chosen,
            loops="module", conftest=SHARED.replace("SCOPE", "module"), test_it=run,
        )  # fmt: skip
        result.assert_outcomes(passed=1, deselected=1)
        names |= {*re.findall("company: (.+)", result.stdout.str())}
    assert len(names) == 1


@pytest.mark.parametrize(
    ("conftest", "tests", "message"),
    [
        (
            '@shared(scope="modul")\nasync def team(): ...',
            "",
            "shared() is given scope='modul'. Did you mean 'module'?",
        ),
        ('@shared(scope="function")\nasync def team(): ...', "", "each test has its own already"),
        ('@shared(scope="module")\ndef team(): ...', "", "Write async def team(...), with return"),
        (
            'register(UserFactory, scope="modul")',
            "",
            "register(UserFactory) is given scope='modul'. Did you mean 'module'?",
        ),
        (
            '@shared(scope="session")\nasync def team(): ...',
            "async def test_it(team): ...",
            "write asyncio_default_test_loop_scope = session",
        ),
        (
            '@shared(scope="module")\nasync def team(request): ...',
            "async def test_it(team): ...",
            "takes 'request', which is another in each test",
        ),
        (
            '@shared(scope="module")\nasync def team(tmp_path): ...',
            "async def test_it(team): ...",
            "takes 'tmp_path', which is another in each test",
        ),
        (
            '@shared(scope="class")\nasync def user(): ...\n\n'
            '@shared(scope="module")\nasync def team(user): ...',
            "async def test_it(team): ...",
            "takes 'user', which is of scope 'class' and gone before",
        ),
        (
            'register(UserFactory, scope="module")\n\n'
            '@shared(scope="module")\nasync def team(user): ...',
            '@pytest.mark.parametrize("user__name", ["Ada"])\nasync def test_it(team, user): ...',
            "since it overrides a value of it",
        ),
        (
            '@shared(scope="module")\nasync def team(session):\n    return (n for n in range(3))',
            "async def test_it(team): ...",
            "has a generator, which cannot be given anew to each test",
        ),
        (
            '@shared(scope="module")\nasync def team(): ...',
            "def test_it(session, request):\n    request.getfixturevalue('team')",
            "asked for it by getfixturevalue(), when it had begun",
        ),
        (
            'sqlalchemy_database("sqlite+aiosqlite://", metadata=Base.metadata, prefix="audit_")\n'
            '@shared(scope="module")\nasync def team(): ...',
            "async def test_it(team): ...",
            "there are several; take a fixture of one of them: 'session', 'audit_session'",
        ),
    ],
)  # fmt: skip
def test_refused(on_sqlite: Project, conftest: str, tests: str, message: str) -> None:
    """Each mistake is told when the fixture is defined or set up, with what to write."""
    loops = "function" if "session" in message else "module"
    result = on_sqlite.run(loops=loops, conftest=conftest, test_it=tests)
    assert result.ret != 0
    assert message in "".join((result.stdout.str() + result.stderr.str()).splitlines())


def test_no_database(on_sqlite: Project) -> None:
    """Shared data need a database that their test sees."""
    on_sqlite.conftest = (
        "import pytest\nfrom async_factory_boy.pytest_plugin import shared\n"
        '@shared(scope="function".replace("function", "module"))\nasync def team(): ...\n'
    )
    result = on_sqlite.run(loops="module", test_it="async def test_it(team): ...")
    result.assert_outcomes(errors=1)
    assert "sees no database that it can be stored in" in result.stdout.str()
