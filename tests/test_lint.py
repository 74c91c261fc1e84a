"""`lint`: every factory and trait is tried, nothing of it stays, and all failures are told."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import factory
import pytest
from pydantic import BaseModel, ValidationError
from pymongo import AsyncMongoClient
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from tortoise.context import tortoise_test_context

from async_factory_boy import (
    AbstractFactoryError,
    AdapterError,
    AsyncFactoryError,
    ConfigurationError,
    LintError,
    MissingOptionError,
    OptionError,
    UnknownStrategyError,
    bind,
    lint,
)
from async_factory_boy.adapters import CallOption, PersistenceAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from async_factory_boy.linting import LintCase, LintFailure, lint_cases
from tests.stores import beanie, mongo, tortoise
from tests.stores.base import Store, params
from tests.stores.every import STORES
from tests.stores.sqlalchemy import Base, Company, CompanyFactory, User, UserFactory


@pytest.mark.parametrize("store", params(STORES), indirect=True)
async def test_nothing_stays(store: Store) -> None:
    """What is created is undone, also where the store has refused some of it, and only that."""
    if store.id.endswith("-transaction"):
        with pytest.raises(OptionError, match=r"is in a transaction, .* session that is in none"):
            await lint([store.PostFactory])
        return

    class Taken(store.CompanyFactory):  # type: ignore[name-defined, misc]
        class Params:
            free = factory.Trait(name="free")

        name = "taken"

        @factory.post_generation
        async def users(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await store.UserFactory.create_batch_async(2, company=company)

    before = await store.CompanyFactory.create_async(name="taken")
    with pytest.raises(LintError) as caught:
        await lint([store.PostFactory, Taken, store.UserFactory])
    assert [str(failure.case) for failure in caught.value.failures] == [Taken.__qualname__]
    assert isinstance(caught.value.failures[0].error, store.conflict)
    companies = await store.rows(store.CompanyFactory)
    assert [row["key"] for row in companies] == [store.key(before)]
    for one in (store.UserFactory, store.PostFactory):
        assert await store.rows(one) == []
    await store.UserFactory.create_async(company=before)
    assert len(await store.rows(store.UserFactory)) == 1


@asynccontextmanager
async def opened() -> AsyncGenerator[AsyncSession]:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


@pytest.fixture
async def session() -> AsyncGenerator[AsyncSession]:
    async with opened() as session:
        yield session


class Broken(CompanyFactory):
    """Is one that works, with two traits of which one does not."""

    class Params:
        large = factory.Trait(size=1000)
        shapeless = factory.Trait(size=None)

    name = factory.Sequence(lambda n: f"broken{n}")


class Unusable(CompanyFactory):
    """Does not work, with a trait or without."""

    class Params:
        small = factory.Trait(size=1)

    @factory.lazy_attribute
    def name(self) -> str:
        raise LookupError


async def test_all_failures_in_one_error(session: AsyncSession) -> None:
    """The error names each factory and trait that failed, with the cause, and the cause has its
    traceback.
    """
    with pytest.raises(LintError) as caught:
        await lint([UserFactory, Broken, Unusable], sqlalchemy_session=session)
    error = caught.value
    assert str(error) == (
        "3 of 6 factories and traits do not work:\n"
        "- Broken(shapeless=True) in tests.test_lint: IntegrityError: (sqlite3.IntegrityError) "
        "NOT NULL constraint failed: company.size\n"
        "- Unusable in tests.test_lint: LookupError\n"
        "- Unusable(small=True) in tests.test_lint: LookupError"
    )
    assert [(failure.factory, failure.trait) for failure in error.failures] == [
        (Broken, "shapeless"),
        (Unusable, None),
        (Unusable, "small"),
    ]
    assert error.__cause__ is error.failures[0].error
    assert isinstance(error.__cause__, IntegrityError)
    frames = [frame.name for frame in pytest.ExceptionInfo.from_exception(
        error.failures[1].error
    ).traceback]  # fmt: skip
    assert frames[-1] == "name"
    assert isinstance(error, AsyncFactoryError)
    assert isinstance(error, AssertionError)


class Person(BaseModel):
    name: str
    age: int


class SeveralError(Exception):
    """Looks like an ExceptionGroup, which Python 3.10 has not."""

    exceptions = (LookupError("one"), ValueError(), KeyError("other"))


def validation_error() -> Exception:
    with pytest.raises(ValidationError) as caught:
        Person(age="old")  # type: ignore[call-arg, arg-type]
    return caught.value


def statement_error(message: str) -> Exception:
    return IntegrityError("INSERT\nINTO user", {"name": "Ada"}, ValueError(message))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LookupError("\n  in the second line\n"), "LookupError: in the second line"),
        (LookupError("two\n\n  lines"), "LookupError: two lines"),
        (
            validation_error(),
            "ValidationError: 2 validation errors for Person "
            "name Field required [type=missing, input_value={'age': 'old'}, input_type=dict] "
            "age Input should be a valid integer, unable to parse string as an integer "
            "[type=int_parsing, input_value='old', input_type=str]",
        ),
        (
            statement_error("no user\nDETAIL: Ada"),
            "IntegrityError: (builtins.ValueError) no user DETAIL: Ada",
        ),
        (
            SeveralError("in tasks"),
            "SeveralError: in tasks [LookupError: one; ValueError; KeyError: 'other']",
        ),
    ],
)
def test_text_of_a_failure(error: Exception, text: str) -> None:
    """The text of a failure says why, in one line, without the statement or links."""
    failure = LintFailure(LintCase(CompanyFactory), error)
    assert str(failure) == f"CompanyFactory in {CompanyFactory.__module__}: {text}"


async def test_without_traits(session: AsyncSession) -> None:
    """traits=False tries the factories only."""
    with bind(sqlalchemy_session=session):
        await lint(Broken, traits=False)
        with pytest.raises(LintError, match=r"^1 of 1 .*\n- Unusable in"):
            await lint(Unusable, traits=False)


async def test_build() -> None:
    """strategy="build" stores nothing, and needs no session."""
    with pytest.raises(LintError, match=r"^2 of 5 factories"):
        await lint([Broken, Unusable], strategy="build")


async def test_no_session() -> None:
    """A factory that finds no session has failed, like one that is wrong otherwise."""
    with pytest.raises(LintError, match=r"- UserFactory in .*: No async session") as caught:
        await lint([UserFactory, CompanyFactory])
    assert [type(one.error) for one in caught.value.failures] == [MissingOptionError] * 2


@pytest.mark.parametrize("persistence", ["commit", None])
async def test_persistence(session: AsyncSession, persistence: Any) -> None:
    """Nothing is committed by a factory that commits, nor by a batch in a hook; and what is only
    added has been tried on the database.
    """

    class Persisting(CompanyFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence

        class Params:
            refused = factory.Trait(size=None)

        @factory.post_generation
        async def more(company: Company, create: bool, extracted: Any, **kwargs: Any) -> None:
            await CompanyFactory.create_batch_async(2)

    commits: list[Any] = []
    event.listen(session.sync_session, "after_commit", commits.append)
    with pytest.raises(LintError) as caught:
        await lint(Persisting, sqlalchemy_session=session)
    assert [(f.trait, type(f.error)) for f in caught.value.failures] == [
        ("refused", IntegrityError)
    ]
    assert commits == []
    await session.commit()
    assert list(await session.scalars(Company.__table__.select())) == []


async def test_sessions_of_parts(session: AsyncSession) -> None:
    """What is created with a session that a declaration gives to a part is undone, in that."""
    async with opened() as one, opened() as two, opened() as three:

        class WithOthers(CompanyFactory):
            class Params:
                third = factory.Trait(
                    more=factory.RelatedFactory(CompanyFactory, sqlalchemy_session=three)
                )

            other = factory.RelatedFactory(CompanyFactory, sqlalchemy_session=one)
            another = factory.RelatedFactory(CompanyFactory)
            another__sqlalchemy_session = two

        async def counts() -> list[int]:
            return [
                len((await each.scalars(Company.__table__.select())).all())
                for each in (session, one, two, three)
            ]

        await lint(WithOthers, sqlalchemy_session=session)
        assert await counts() == [0, 0, 0, 0]
        await WithOthers.create_async(third=True, sqlalchemy_session=session)
        assert await counts() == [1, 1, 1, 1]


async def test_what_the_session_holds_stays_readable(session: AsyncSession) -> None:
    """An object that a factory has changed can be read afterwards, with its old values."""
    existing = await CompanyFactory.create_async(size=1, sqlalchemy_session=session)

    class Growing(UserFactory):
        company = existing

        @factory.post_generation
        def grow(user: User, create: bool, extracted: Any, **kwargs: Any) -> None:
            user.company.size = 2

    await lint(Growing, sqlalchemy_session=session)
    assert existing.size == 1


async def test_outside_of_a_transaction() -> None:
    """Where there is no transaction to set a savepoint in, there is one for each object."""

    class Taken(tortoise.CompanyFactory):
        class Params:
            tags = factory.Dict({"a": 1})

        name = "taken"

    module = tortoise.__name__
    async with tortoise_test_context([module], connection_label="test_lint"):
        before = await tortoise.CompanyFactory.create_async(name="taken")
        with pytest.raises(LintError, match=r"^1 of 2 .*\n- .*Taken in .*: IntegrityError"):
            await lint([tortoise.PostFactory, Taken])
        assert await tortoise.Company.all() == [before]
        assert await tortoise.Post.all().count() == 0


async def test_two_stores(servers: Any, session: AsyncSession) -> None:
    """What a factory creates in another store, by a declaration or a trait, is undone as well."""

    class Mirrored(CompanyFactory):
        class Params:
            document = None
            reported = factory.Trait(
                document=factory.Maybe("size", factory.SubFactory(mongo.CompanyFactory))
            )

    class WithDocument(Mirrored):
        reports = factory.RelatedFactoryList(f"{__name__}.ReportFactory", size=2)

    async with mongo.PyMongo.opened(servers) as store:
        with bind(sqlalchemy_session=session):
            await lint([Mirrored, WithDocument])
            assert await store.rows(mongo.CompanyFactory) == []
            assert await store.database["post"].count_documents({}) == 0
            await WithDocument.create_async(reported=True)
        assert len(await store.rows(mongo.CompanyFactory)) == 1
        assert await store.database["post"].count_documents({}) == 2


async def test_two_adapters_on_one_client(servers: Any) -> None:
    """Documents and what is in plain collections are undone, with a session for both or none."""

    class WithReports(beanie.CompanyFactory):
        reports = factory.RelatedFactoryList(f"{__name__}.ReportFactory", size=2)

    async with beanie.Beanie.opened(servers) as store:
        reports = store.database["report"]
        both = {"beanie_session": store.session, "mongo_session": store.session}
        for sessions in ({}, both, {"beanie_session": store.session}):
            await lint(WithReports, mongo_collection=reports, **sessions)
            assert await store.rows(beanie.CompanyFactory) == []
            assert await reports.count_documents({}) == 0


async def test_mongodb_without_transactions(servers: Any) -> None:
    """A MongoDB server without a replica set is left alone, unless the caller asks for it."""
    async with AsyncMongoClient(servers.standalone_mongodb) as client:
        collection = client[uuid4().hex]["company"]
        with bind(mongo_collection=collection):
            with pytest.raises(AdapterError, match="has no transactions, which take a replica set"):
                await lint(mongo.CompanyFactory)
            assert await collection.count_documents({}) == 0
            await lint(mongo.CompanyFactory, rollback=False)
            assert await collection.count_documents({}) == 1


class ReportFactory(mongo.PostFactory):
    author = None


class ListAdapter(PersistenceAdapter[dict[str, Any]]):
    """Has no way to undo anything."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    async def save(self, instance: dict[str, Any]) -> dict[str, Any]:
        self.rows.append(instance)
        return instance


class UndoingAdapter(ListAdapter):
    def undo(self, model: Any) -> Any:
        return Undo(self.rows)


class Undo:
    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    async def __aenter__(self) -> dict[str, Any]:
        self.before = len(self.rows)
        return {}

    async def __aexit__(self, *error: object) -> None:
        del self.rows[self.before :]


async def test_undoing_without_options() -> None:
    """A undo() that yields nothing is told what to yield."""

    class SilentAdapter(ListAdapter):
        @asynccontextmanager
        async def undo(self, model: Any) -> AsyncGenerator[Any]:
            yield

    with pytest.raises(
        AdapterError,
        match=r"^SilentAdapter\.undo\(\) gave None; it has to give the call-time options "
        r"that hold inside of it: yield \{\} if none changes\.$",
    ):
        await lint(of(SilentAdapter()))


def of(adapter_: Any) -> Any:
    class DictFactory(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict
            adapter = adapter_

        name = "Ada"

    return DictFactory


async def test_an_adapter_that_cannot_undo() -> None:
    """A store that cannot undo anything is left alone, unless the caller asks for it."""
    adapter = ListAdapter()
    with pytest.raises(AdapterError, match=r"ListAdapter cannot undo .*lint\(\.\.\., rollback=F"):
        await lint(of(adapter))
    assert adapter.rows == []
    await lint(of(adapter), strategy="build")
    assert adapter.rows == []
    await lint(of(adapter), rollback=False)
    assert adapter.rows == [{"name": "Ada"}]


class BeginningAdapter(ListAdapter):
    """Stores in a list, unless it is given another; a transaction is one more list."""

    lint_rows: CallOption[list[Any]] = CallOption()
    open_transactions = 0

    async def save(self, instance: dict[str, Any]) -> dict[str, Any]:
        (self.rows if self.lint_rows is None else self.lint_rows).append(instance)
        return instance

    def connection_key(self, model: Any) -> Any:
        return id(self.lint_rows)

    @asynccontextmanager
    async def undo(self, model: Any) -> AsyncGenerator[dict[str, Any]]:
        self.open_transactions += 1
        yield {"lint_rows": []}
        self.open_transactions -= 1


async def test_a_connection_of_a_part() -> None:
    """A part that is to use a connection without a transaction is left to use that.

    Nothing is left begun meanwhile that nobody would use, and might hold locks.
    """
    adapter_ = BeginningAdapter()
    seen: list[int] = []
    rows: list[Any] = []

    class WithPart(of(adapter_)):  # type: ignore[misc]
        part = factory.SubFactory(of(adapter_), lint_rows=rows)
        seen = factory.LazyFunction(lambda: seen.append(adapter_.open_transactions))

    await lint(WithPart)
    assert adapter_.rows == []
    assert rows == [{"name": "Ada"}]
    assert seen == [1]
    assert adapter_.open_transactions == 0


async def test_an_adapter_of_somebody_else() -> None:
    """An adapter that implements undo() can be linted."""
    adapter = UndoingAdapter()
    await lint([of(adapter), of(adapter)])
    assert adapter.rows == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package with factories in its modules, some of them there twice."""
    head = "from tests.stores.sqlalchemy import *\n"
    files = {
        "__init__.py": "from linted.users import Users\n",
        "users.py": f"{head}class Users(UserFactory): pass\n",
        "sub/__init__.py": "",
        "sub/companies.py": (
            "from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory\n"
            "from tests.stores.sqlalchemy import CompanyFactory\n"
            "class Companies(CompanyFactory): pass\nAlias = Companies\n"
            "class Base(AsyncSQLAlchemyModelFactory):\n    class Meta:\n        abstract = True\n"
        ),
        "__main__.py": "raise SystemExit\n",
    }
    for name, text in files.items():
        path = tmp_path / "linted" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("linted")
    for name in [name for name in sys.modules if name.partition(".")[0] == "linted"]:
        del sys.modules[name]


def test_a_package(package: ModuleType) -> None:
    """Of a package, every module counts; of a module, what is abstract does not; each once."""
    assert {str(case) for case in lint_cases(package)} == {
        *("Users", "UserFactory", "NamedCompanyFactory", "CommittingCompanyFactory", "PostFactory"),
        *("Companies", "CompanyFactory"),
    }
    assert [str(case) for case in lint_cases(package)].count("Users") == 1
    both = [sys.modules["linted.sub.companies"], CompanyFactory]
    assert {str(case) for case in lint_cases(both)} == {"Companies", "CompanyFactory"}


@pytest.mark.parametrize("case", lint_cases([CompanyFactory, Broken]), ids=str)
async def test_cases(case: LintCase, session: AsyncSession) -> None:
    """A case raises what its factory does, and leaves nothing behind."""
    if case.trait == "shapeless":
        with pytest.raises(IntegrityError):
            await case.run(sqlalchemy_session=session)
    else:
        await case.run(sqlalchemy_session=session)
    assert list(await session.scalars(Company.__table__.select())) == []


class Abstract(AsyncSQLAlchemyModelFactory[Company]):
    class Meta:
        abstract = True


class Plain(factory.Factory[Company]):
    class Meta:
        model = Company


@pytest.mark.parametrize(
    ("factories", "error", "text"),
    [
        ([], ConfigurationError, "has no factory in it"),
        (sys, ConfigurationError, "has no factory in it"),
        ("factories", ConfigurationError, "takes modules, packages and classes .* 'factories'"),
        (
            [Plain],
            ConfigurationError,
            r"derive from AsyncFactory; got <class .*Plain",
        ),
        (3, ConfigurationError, "; got 3"),
        (Abstract, AbstractFactoryError, "set Abstract.Meta.model"),
    ],
)
async def test_nothing_to_lint(factories: Any, error: type[Exception], text: str) -> None:
    """What is no factory, and what has none, is an error: it would seem to be in order."""
    with pytest.raises(error, match=text):
        await lint(factories)


async def test_strategy() -> None:
    """A strategy is "create" or "build"."""
    with pytest.raises(UnknownStrategyError, match="has to be 'create' or 'build'; got 'stub'"):
        await lint(CompanyFactory, strategy="stub")  # type: ignore[arg-type]


async def test_a_misspelt_option(session: AsyncSession) -> None:
    """An unknown option is an error of the call, not of each factory."""
    with pytest.raises(OptionError, match="Did you mean 'sqlalchemy_session'"):
        await lint(CompanyFactory, sqlalchemy_sesion=session)
    wrong: dict[str, Any] = {"stric": True}
    with pytest.raises(OptionError, match=r"^lint\(\) got .* 'stric'\. Did you mean 'strict'\?"):
        await lint(CompanyFactory, **wrong)
    with pytest.raises(OptionError, match=r"^LintCase\.run\(\) got .* Did you mean 'strict'\?"):
        await LintCase(CompanyFactory).run(**wrong)
