"""The contract of the library, C1 to C9, point by point."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Any

import factory
import pytest
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from async_factory_boy import (
    ConfigurationError,
    MissingOptionError,
    SyncCallError,
    bind,
)
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory
from tests.stores.sqlalchemy import Base, Company, CompanyFactory, User, UserFactory


@pytest.fixture
async def session() -> AsyncGenerator[AsyncSession]:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


def imported_by(statement: str) -> set[str]:
    """Return the modules that a statement imports into a new interpreter, besides factory_boy's."""
    code = (
        "import sys, factory; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.unmeasured
def test_c1_imports() -> None:
    """C1: a package imports no ORM that it does not name."""
    names = imported_by("import async_factory_boy, async_factory_boy.factory")
    ours = {name for name in names if name.startswith("async_factory_boy.adapters")}
    assert ours == {
        "async_factory_boy.adapters",
        "async_factory_boy.adapters._annotations",
        "async_factory_boy.adapters.base",
        "async_factory_boy.adapters.configuration",
        "async_factory_boy.adapters.fields",
        "async_factory_boy.adapters.matching",
        "async_factory_boy.adapters.narrowing",
        "async_factory_boy.adapters.registry",
        "async_factory_boy.adapters.validation",
    }
    others = {
        "sqlalchemy",
        "tortoise",
        "beanie",
        "motor",
        "pymongo",
        "databases",
        "pydantic",
        "pytest",
    }
    assert not others & {name.partition(".")[0] for name in names}
    dedicated = imported_by("from async_factory_boy.factory import sqlalchemy")
    assert "async_factory_boy.adapters.sqlalchemy" in dedicated
    assert not (others - {"sqlalchemy"}) & {name.partition(".")[0] for name in dedicated}


@pytest.mark.unmeasured
@pytest.mark.parametrize("module", ["sqlalchemy"])
def test_c1_missing_orm(module: str) -> None:
    """C1: without its ORM, importing a dedicated factory names the extra to install."""
    code = f"import sys; sys.modules[{module!r}] = None; import async_factory_boy.factory.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError" in done.stderr
    assert f"pip install 'async-factory-boy[{module}]'" in done.stderr


async def test_c2_quickstart(session: AsyncSession) -> None:
    """C2: a session given to the call stores the object, and everything made for it."""
    user = await UserFactory.create_async(sqlalchemy_session=session)
    assert user.id is not None
    assert inspect(user).persistent
    assert inspect(user.company).persistent


async def test_c3_no_session() -> None:
    """C3: without a session nothing is evaluated, and the error says how to give one."""
    evaluated = []

    class Factory(UserFactory):
        name = factory.LazyFunction(lambda: evaluated.append(True))

    with pytest.raises(RuntimeError) as caught:
        await Factory.create_async()
    assert type(caught.value) is MissingOptionError
    assert str(caught.value) == (
        "No async session provided. Pass one to the call, "
        "create_async(sqlalchemy_session=session); or bind one for many calls, "
        "with async_factory_boy.bind(sqlalchemy_session=session): ...; or set "
        "Meta.sqlalchemy_session_factory to a callable that returns it. (Asked for by Factory.)"
    )
    assert not evaluated


async def test_c4_session_on_the_class(session: AsyncSession) -> None:
    """C4: Meta.sqlalchemy_session is not used; if it is all there is, the error says why."""

    class Factory(CompanyFactory):
        class Meta:
            sqlalchemy_session = session

    class Derived(Factory):
        pass

    for one in (Factory, Derived):
        with pytest.raises(MissingOptionError) as caught:
            await one.create_async()
        message = str(caught.value)
        assert message.startswith("No async session provided")
        assert message.endswith(
            "Meta.sqlalchemy_session is set, but ignored: a session on a class would be shared by "
            "every task and event loop, which an AsyncSession does not survive."
        )

    class NoneFactory(CompanyFactory):
        class Meta:
            sqlalchemy_session = None

    company = await NoneFactory.create_async(sqlalchemy_session=session)
    assert company in session
    with pytest.raises(MissingOptionError, match=r"Asked for by NoneFactory\.\)$"):
        await NoneFactory.create_async()


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (UserFactory.create, r"await UserFactory\.create_async\(\.\.\.\)"),
        (
            lambda: UserFactory.create_batch(2),
            r"await UserFactory\.create_batch_async\(size, \.\.\.\)",
        ),
        (lambda: UserFactory.generate("create"), r"await UserFactory\.create_async"),
        (lambda: UserFactory.simple_generate(True), r"await UserFactory\.create_async"),
    ],
)
def test_c5_sync_create(call: Any, instead: str) -> None:
    """C5: the sync create methods fail at once, and name their async counterparts."""
    with pytest.raises(SyncCallError, match=rf"^UserFactory\.create.* write {instead}"):
        call()


def test_c5_sync_create_through_a_plain_factory() -> None:
    """C5: below a plain factory_boy factory, that is named as the one to change."""

    class PlainFactory(factory.Factory):
        class Meta:
            model = dict

        user = factory.SubFactory(UserFactory)

    with pytest.raises(SyncCallError) as caught:
        PlainFactory.create()
    assert str(caught.value) == (
        "CompanyFactory cannot wait for the database below a factory that is not async, whose "
        "SubFactory has asked for an object of CompanyFactory; derive that factory from an async "
        "one too, such as AsyncFactory, and write await ...Factory.create_async(...)."
    )


async def test_c6_build() -> None:
    """C6: building needs no session, and stays synchronous under factory_boy's names."""
    for user in (
        await UserFactory.build_async(sqlalchemy_session=None, company_key=1),
        UserFactory.build(company_key=1),
        *UserFactory.build_batch(2, company_key=1),
        *await UserFactory.build_batch_async(2, company_key=1),
    ):
        assert inspect(user).transient
        assert inspect(user.company).transient
    assert UserFactory.stub(company=None, company_key=1).company_key == 1


@pytest.mark.parametrize(
    "configured",
    [SQLAlchemyAdapter(), SQLAlchemyAdapter, "sqlalchemy"],
    ids=["object", "class", "name"],
)
async def test_c7_adapter(session: AsyncSession, configured: Any) -> None:
    """C7: Meta.adapter takes an adapter, its class, or its name."""

    class Factory(AsyncFactory[Company]):
        class Meta:
            model = Company
            adapter = configured

        name = "c7"
        size = 1

    assert await Factory.create_async(sqlalchemy_session=session) in session


async def test_c7_inferred_adapter(session: AsyncSession) -> None:
    """C7: without one it is inferred from the model; a warning points at the dedicated class."""
    line = sys._getframe().f_lineno

    class Factory(AsyncFactory[Company]):
        class Meta:
            model = Company

        name = "c7"
        size = 1

    with pytest.warns(
        DeprecationWarning,
        match=r"^Factory sets no Meta\.adapter; SQLAlchemyAdapter is inferred from its model\. "
        r"Subclass async_factory_boy\.factory\.sqlalchemy\.AsyncSQLAlchemyModelFactory",
    ) as caught:
        assert await Factory.create_async(sqlalchemy_session=session) in session
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, line + 2)}
    assert Factory.build().name == "c7"


async def test_c7_no_adapter() -> None:
    """C7: a model that no adapter knows needs one, and the error says so."""

    class Factory(AsyncFactory[Any]):
        class Meta:
            model = object

    with pytest.raises(ConfigurationError, match=r"^Factory\.Meta\.adapter is not set, and none"):
        await Factory.create_async()


async def test_c8_awaiting_the_class(session: AsyncSession) -> None:
    """C8: awaiting a call of the class creates, builds or stubs as Meta.strategy says."""

    class Builder(CompanyFactory):
        class Meta:
            strategy = factory.BUILD_STRATEGY

    class Stubber(CompanyFactory):
        class Meta:
            strategy = factory.STUB_STRATEGY

    with bind(sqlalchemy_session=session):
        assert inspect(await CompanyFactory(name="created")).persistent
        assert inspect(await Builder(name="built")).transient
        assert (await Stubber(name="stubbed")).name == "stubbed"
    assert (await session.scalars(select(Company.name))).all() == ["created"]


async def test_c9_semantics(session: AsyncSession) -> None:
    """C9: factory_boy's semantics hold; `nox -s compat` runs its own tests, this is one of each."""

    class Factory(UserFactory):
        class Params:
            loud = factory.Trait(name=factory.LazyAttribute(lambda user: user.company.name.upper()))

        @factory.post_generation
        def rename(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            user.name += kwargs.get("suffix", "")

    user = await Factory.create_async(
        loud=True, company__name="acme", rename__suffix="!", sqlalchemy_session=session
    )
    assert user.name == "ACME!"


class MemoryAdapter(PersistenceAdapter[Any]):
    """Keeps objects in a list, after a turn of the event loop."""

    def __init__(self) -> None:
        self.saved: list[Any] = []

    async def save(self, instance: Any) -> Any:
        await asyncio.sleep(0)
        self.saved.append(instance)
        return instance


async def test_nothing_of_a_call_is_kept_on_the_class(session: AsyncSession) -> None:
    """A call leaves no trace on the factory, its options or its adapter."""

    def traces() -> list[dict[str, Any]]:
        meta = CompanyFactory._meta
        return [
            {k: v for k, v in vars(one).items() if k != "_counter"}
            for one in (CompanyFactory, meta, meta.adapter_for_storing())
        ]

    before = traces()
    await CompanyFactory.create_async(sqlalchemy_session=session, name="x", size=2)
    assert traces() == before
    assert User is UserFactory._meta.model


def test_the_name_of_version_1() -> None:
    """The factory's name of version 1 still imports, with a warning that says what has changed."""
    from async_factory_boy.factory import sqlalchemy

    with pytest.warns(DeprecationWarning, match=r"now called AsyncSQLAlchemyModelFactory.*await"):
        assert sqlalchemy.AsyncSQLAlchemyFactory is sqlalchemy.AsyncSQLAlchemyModelFactory
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sqlalchemy.nonsense
