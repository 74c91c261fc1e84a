"""Each test finds the database as it was, on every store, loop scope and plugin."""

from __future__ import annotations

import re

import pytest

from tests.isolation.projects import PLUGINS, Project

# Whatever comes first, each finds an empty database.
UNDONE = """
    @pytest.mark.parametrize("run", range(2))
    async def test_committed(store, run):
        user = await UserFactory.create_async(name="Ada")
        await store.commit()
        assert await store.names(User) == ["Ada"]
        await store.delete(user)
        await UserFactory.create_async(name="Grace")
        await store.commit()

    async def test_failing(store):
        assert await store.count(User) == 0
        await UserFactory.create_async(name="Ada")
        await store.commit()
        raise ArithmeticError

    @pytest.mark.parametrize("run", range(2))
    async def test_batch(store, run):
        assert await store.count(User) == await store.count(Company) == 0
        await UserFactory.create_batch_async(3)
        assert await store.count(User) == await store.count(Company) == 3
"""

CANCELLED = """
    import asyncio

    async def test_cancelled(store):
        assert await store.count(User) == 0
        await UserFactory.create_async(name="Ada")
        raise asyncio.CancelledError
"""


@pytest.mark.parametrize("loops", ["function", "class", "module", "package", "session"])
def test_undone(project: Project, loops: str) -> None:
    """What a test has stored and committed is undone, also if the test fails or is cancelled."""
    result = project.run(test_it=UNDONE, test_that=CANCELLED, loops=loops)
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["*ArithmeticError*", "*CancelledError*"])


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins(project: Project, plugin: str) -> None:
    """Whatever plugin runs the tests, what they have stored is undone."""
    result = project.run(test_it=UNDONE, plugin=plugin)
    result.assert_outcomes(passed=4, failed=1)


def test_workers(project: Project) -> None:
    """Each worker of pytest-xdist has a database of its own."""
    project.passes(
        8,
        "-n", "2", "--dist", "each",
        test_it="""
            @pytest.mark.parametrize("run", range(4))
            async def test_committed(store, run):
                await UserFactory.create_async(name="Ada")
                await store.commit()
                assert await store.names(User) == ["Ada"]
        """,
    )  # fmt: skip


def test_synchronous(project: Project) -> None:
    """A synchronous test creates objects by the fixture of a registered factory."""
    project.passes(
        2,
        conftest="register(UserFactory)",
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            def test_it(user_factory, OWN, store, run):
                user = user_factory.create(name="Ada")
                others = user_factory.create_batch(2, company=user.company)
                OWN.run(store.commit())
                assert OWN.run(store.count(User)) == 3
                assert OWN.run(store.count(Company)) == 1
                assert user_factory.build(name="Grace").name == "Grace"
        """.replace("OWN", project.kind.own),
    )


def test_synchronous_under_anyio(project: Project) -> None:
    """So does one that anyio's plugin runs."""
    project.passes(
        1,
        plugin="anyio",
        conftest="register(UserFactory)",
        test_it="""
            @pytest.mark.usefixtures("anyio_backend")
            def test_it(user_factory, OWN, store):
                user_factory.create(name="Ada")
                assert OWN.run(store.names(User)) == ["Ada"]
        """.replace("OWN", project.kind.own),
    )


def test_registered(project: Project) -> None:
    """A fixture of a registered factory asks for the database itself."""
    project.passes(
        3,
        conftest="register(UserFactory)\nregister(CompanyFactory)",
        test_it="""
            async def test_it(user, company):
                assert user.company is company

            async def test_stored(user, store):
                assert await store.count(User) == 1

            async def test_committed(user, store):
                await store.commit()
        """,
    )


def test_for_real(project: Project) -> None:
    """A test that is not rolled back commits for real, and leaves nothing."""
    project.passes(
        4,
        loops="module",
        test_it="""
            @pytest.mark.factory_database(rollback=False)
            @pytest.mark.parametrize("run", range(2))
            async def test_for_real(store, run):
                await UserFactory.create_async(name="Ada")
                await store.commit()
                assert await store.count(User) == 1

            @pytest.mark.parametrize("run", range(2))
            async def test_others(store, run):
                assert await store.count(User) == 0
                await UserFactory.create_async(name="Ada")
        """,
    )


def test_lazy(project: Project) -> None:
    """A run whose tests do not ask for the database creates none."""
    project.lose_server()
    project.passes(1, test_it="async def test_it():\n    assert User is not Company")


def test_autouse(project: Project) -> None:
    """With autouse, a test need not ask for the database."""
    line = re.compile(rf"^({project.kind.call}\(.*)\)$", re.MULTILINE)
    project.conftest = line.sub(r"\1, autouse=True)", project.conftest)
    assert "autouse=True" in project.conftest
    project.passes(
        2,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(run):
                assert (await UserFactory.create_async(name="Ada")).company.name
        """,
    )


def test_not_asked_for(project: Project) -> None:
    """A test that creates, and does not ask for the database, is told to."""
    result = project.run(test_it="async def test_it():\n    await UserFactory.create_async()")
    if result.parseoutcomes().get("failed"):
        result.stdout.fnmatch_lines(
            [f"*{project.kind.call}() has fixtures here*such as '{project.kind.session}'*"]
        )


def test_direct_call(project: Project) -> None:
    """A synchronous test that calls a factory itself is told of the fixture."""
    result = project.run(test_it="def test_it(SESSION):\n    UserFactory.create()")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cannot wait for*", "*user_factory.create() in the test*"])


def test_kept(project: Project) -> None:
    """--keep-database leaves the database, and shows its name."""
    test = "async def test_it(store):\n    await UserFactory.create_async()"
    result = project.run("--keep-database", test_it=test)
    result.assert_outcomes(passed=1)
    shown = [line for line in result.outlines if line.startswith("kept the database")]
    assert len(shown) == 1
    for name in project.databases():
        assert name in shown[0]
        project.kind.drop(project.servers, name)
