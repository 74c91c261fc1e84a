"""SQLAlchemy: a part is stored when it is observed, and otherwise together with all others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import factory
import pytest
from factory.declarations import BaseDeclaration
from sqlalchemy import Column, ForeignKey, String, Table, event, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    declared_attr,
    mapped_column,
    relationship,
    synonym,
    validates,
)

from async_factory_boy import bind
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.servers import Servers
from tests.stores import sqlalchemy as stores
from tests.stores.base import params

_seen: list[Any] = []


def look(company: Any) -> Any:
    """Note which key a company has now, and return it."""
    _seen.append(company.id)
    return company


@pytest.fixture
def seen() -> list[Any]:
    """The keys that companies had when they were observed."""
    _seen.clear()
    return _seen


class Base(DeclarativeBase):
    pass


class Company(Base):
    __tablename__ = "postponed_company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


class UserColumns:
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[int | None]
    company_id: Mapped[int] = mapped_column(ForeignKey(Company.id))

    @declared_attr
    def company(cls) -> Mapped[Company]:
        return relationship(Company)


class User(UserColumns, Base):
    __tablename__ = "postponed_user"


class Post(Base):
    __tablename__ = "postponed_post"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    author: Mapped[User] = relationship()


class WithConstructor(UserColumns, Base):
    __tablename__ = "postponed_with_constructor"

    def __init__(self, company: Company) -> None:
        self.company = look(company)


class WithValidator(UserColumns, Base):
    __tablename__ = "postponed_with_validator"

    @validates("company")
    def check_company(self, name: str, company: Company) -> Company:
        return look(company)


class WithProperty(UserColumns, Base):
    __tablename__ = "postponed_with_property"

    @property
    def firm(self) -> Company:
        return self.company

    @firm.setter
    def firm(self, company: Company) -> None:
        self.company = look(company)


class WithSynonym(UserColumns, Base):
    __tablename__ = "postponed_with_synonym"

    @property
    def _firm(self) -> Company:
        return self.company

    @_firm.setter
    def _firm(self, company: Company) -> None:
        self.company = look(company)

    firm = synonym("company", descriptor=_firm)


class WithSetListener(UserColumns, Base):
    __tablename__ = "postponed_with_set_listener"


class WithInitListener(UserColumns, Base):
    __tablename__ = "postponed_with_init_listener"


@event.listens_for(WithSetListener.company, "set")
def note_set(user: object, company: Company, *_: object) -> None:
    look(company)


@event.listens_for(WithInitListener, "init")
def note_init(user: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    look(kwargs["company"])


class Group(Base):
    """Its companies are in a dict by their keys."""

    __tablename__ = "postponed_group"

    id: Mapped[int] = mapped_column(primary_key=True)
    companies: Mapped[dict[int, Company]] = relationship(
        secondary=Table(
            "postponed_membership",
            Base.metadata,
            Column("group_id", ForeignKey("postponed_group.id"), primary_key=True),
            Column("company_id", ForeignKey(Company.id), primary_key=True),
        ),
        collection_class=attribute_keyed_dict("id"),
    )


class CompanyFactory(AsyncSQLAlchemyModelFactory[Company]):
    class Meta:
        model = Company

    name = factory.Sequence(lambda n: f"company{n}")


class UserFactory(AsyncSQLAlchemyModelFactory[Any]):
    class Meta:
        model = User

    company = factory.SubFactory(CompanyFactory)


class PostFactory(AsyncSQLAlchemyModelFactory[Post]):
    class Meta:
        model = Post

    title = factory.Sequence(lambda n: f"post{n}")


class BlogFactory(UserFactory):
    """Looks at nothing."""

    key = factory.Sequence(lambda n: n)
    posts = factory.RelatedFactoryList(PostFactory, "author", size=2)


@pytest.fixture(params=params([stores.SQLiteMemory, stores.PostgreSQLAsyncpg]))
async def engine(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[AsyncEngine]:
    url = request.param.url(servers)
    async with stores.opened_engine(url, Base.metadata) as engine:
        yield engine


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine) as session:
        with bind(sqlalchemy_session=session):
            yield session


@pytest.fixture
def flushes(session: AsyncSession) -> list[str]:
    """One entry for each flush."""
    done: list[str] = []
    event.listen(session.sync_session, "after_flush", lambda *_: done.append("flush"))
    return done


async def create(kind: type[AsyncFactory[Any]], size: int) -> list[Any]:
    """Create one object by `create_async`, and several by `create_batch_async`."""
    return [await kind.create_async()] if size == 1 else await kind.create_batch_async(size)


async def rows(session: AsyncSession) -> list[list[list[Any]]]:
    """Read all tables in the order of their keys, which count from that of the first row."""
    connection = await session.connection()
    tables: list[list[list[Any]]] = []
    first: dict[str, int] = {}
    for model in (Company, User, Post):
        table = inspect(model).local_table
        found = (await connection.execute(select(table).order_by(table.c.id))).mappings().all()
        first[table.name] = found[0]["id"]
        of_keys = {"id": table.name, "company_id": Company.__tablename__}
        of_keys["author_id"] = User.__tablename__
        tables.append(
            [
                [value - first[of_keys[key]] if key in of_keys else value for key, value in pairs]
                for pairs in (row.items() for row in found)
            ]
        )
    return tables


@pytest.mark.parametrize("size", [1, 50])
async def test_one_flush(session: AsyncSession, flushes: list[str], size: int) -> None:
    """Users with a company and two posts, whose declarations look at nothing, are one flush."""
    users = await create(BlogFactory, size)
    assert len(flushes) == 1
    assert all(user.id and user.company.id == user.company_id for user in users)
    posts = (await session.scalars(select(Post.author_id).order_by(Post.id))).all()
    assert posts == [user.id for user in users for _ in range(2)]


async def test_order_of_rows(engine: AsyncEngine, session: AsyncSession) -> None:
    """The rows of a batch, and the order of their keys, are those of a loop."""

    def reset() -> None:
        for kind in (CompanyFactory, UserFactory, BlogFactory, PostFactory):
            kind.reset_sequence(0, force=True)

    reset()
    await BlogFactory.create_batch_async(50)
    of_batch = await rows(session)
    await session.rollback()
    session.expunge_all()
    reset()
    for _ in range(50):
        await BlogFactory.create_async()
    assert await rows(session) == of_batch


Way = Callable[[AsyncSession], type[AsyncFactory[Any]]]
WAYS: dict[str, Way] = {}


def way(function: Way) -> Way:
    """Note a way to look at a part: it returns a factory that does so."""
    WAYS[function.__name__] = function
    return function


@way
def lazy_attribute(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        key = factory.LazyAttribute(lambda user: look(user.company).id)

    return Factory


@way
def self_attribute(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        key = factory.SelfAttribute("company.id")

    return Factory


@way
def decider_of_maybe(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        key = factory.Maybe(factory.LazyAttribute(lambda user: look(user.company).id), 1, 2)

    return Factory


@way
def decider_by_name(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Companies(CompanyFactory):
        name = factory.Sequence(lambda n: f"company of maybe {n}")

    class Factory(UserFactory):
        company = factory.SubFactory(Companies)
        key = factory.Maybe("company", factory.SelfAttribute("company.id"), -1)

    return Factory


@way
def transformer(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        company = factory.Transformer(factory.SubFactory(CompanyFactory), transform=look)

    return Factory


@way
def post_generation(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        @factory.post_generation
        def note(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            look(user.company)
            assert user.id is not None

    return Factory


@way
def async_post_generation(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        @factory.post_generation
        async def note(user: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            look(user.company)
            assert user.id is not None

    return Factory


@way
def after_postgeneration(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        @classmethod
        def _after_postgeneration(cls, instance: Any, create: bool, results: Any = None) -> None:
            look(instance.company)
            assert instance.id is not None

    return Factory


@way
def overridden_create(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        @classmethod
        def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
            look(kwargs["company"])
            return super()._create(model_class, *args, **kwargs)

    return Factory


@way
def adjust_kwargs(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        @classmethod
        def _adjust_kwargs(cls, **kwargs: Any) -> Any:
            look(kwargs["company"])
            return kwargs

    return Factory


@way
def async_lazy_function(session: AsyncSession) -> type[AsyncFactory[Any]]:
    async def key() -> int:
        connection = await session.connection()  # which does not flush
        keys = [*await connection.scalars(select(Company.id))]
        _seen.extend(keys)
        return max(keys, default=0)

    class Factory(UserFactory):
        zkey = factory.LazyFunction(key)

        class Meta:
            exclude = ("zkey",)

    return Factory


def of_model(kind: Any, declaration: str = "company") -> Way:
    def factory_of_model(session: AsyncSession) -> type[AsyncFactory[Any]]:
        class Factory(AsyncSQLAlchemyModelFactory[Any]):
            class Meta:
                model = kind

        return type("ModelFactory", (Factory,), {declaration: factory.SubFactory(CompanyFactory)})

    return factory_of_model


WAYS["constructor"] = of_model(WithConstructor)
WAYS["validator"] = of_model(WithValidator)
WAYS["set_listener"] = of_model(WithSetListener)
WAYS["init_listener"] = of_model(WithInitListener)
WAYS["property"] = of_model(WithProperty, "firm")
WAYS["synonym"] = of_model(WithSynonym, "firm")


class LookingAdapter(SQLAlchemyAdapter[Any]):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        look(lookup["company"])
        return await super().find(model, lookup)


@way
def get_or_create(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(AsyncFactory[Any]):
        class Meta:
            model = User
            adapter = LookingAdapter(get_or_create=("company",))

        company = factory.SubFactory(CompanyFactory)

    return Factory


class Looks(BaseDeclaration):
    def evaluate(self, instance: Any, step: Any, extra: Any) -> Any:
        return look(instance.company).id


@way
def custom_declaration(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        key = Looks()

    return Factory


@way
def in_dict(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        class Meta:
            exclude = ("parts",)

        parts = factory.Dict({"one": factory.SubFactory(CompanyFactory)})
        company = factory.LazyAttribute(lambda user: look(user.parts["one"]))

    return Factory


@way
def in_list(session: AsyncSession) -> type[AsyncFactory[Any]]:
    class Factory(UserFactory):
        class Meta:
            exclude = ("parts",)

        parts = factory.List([factory.SubFactory(CompanyFactory)])
        company = factory.LazyAttribute(lambda user: look(user.parts[0]))

    return Factory


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("name", WAYS)
async def test_observed(session: AsyncSession, seen: list[Any], name: str, size: int) -> None:
    """A part has its key when it is looked at, whatever looks at it."""
    users = await create(WAYS[name](session), size)
    keys = seen or [user.key for user in users]
    assert set(keys) == {user.company.id for user in users}
    assert all(user.id is not None for user in users)
    assert len({*keys}) == size


@pytest.mark.parametrize("size", [1, 3])
async def test_collection_by_key(session: AsyncSession, size: int) -> None:
    """A part has its key when it is put into a collection that is a dict by that."""

    class GroupFactory(AsyncSQLAlchemyModelFactory[Group]):
        class Meta:
            model = Group

        companies = factory.Dict({"any": factory.SubFactory(CompanyFactory)})

    groups = await create(GroupFactory, size)
    pairs = [pair for group in groups for pair in group.companies.items()]
    assert len(pairs) == size
    assert all(key == company.id for key, company in pairs)


async def test_dict_that_nobody_looks_into(session: AsyncSession, flushes: list[str]) -> None:
    """Parts in a Dict and a List have their keys when the call is over."""

    class Factory(UserFactory):
        class Meta:
            exclude = ("parts",)

        parts = factory.Dict({"some": factory.List([factory.SubFactory(CompanyFactory)])})

    await Factory.create_batch_async(3)
    assert not session.new
    assert len((await session.scalars(select(Company.id))).all()) == 6


async def test_persistence_none(session: AsyncSession, flushes: list[str], seen: list[Any]) -> None:
    """With persistence None a part is only added, and has no key, however it is looked at."""

    class Companies(CompanyFactory):
        class Meta:
            sqlalchemy_session_persistence = None

    class Factory(UserFactory):
        class Meta:
            sqlalchemy_session_persistence = None

        company = factory.SubFactory(Companies)
        key = factory.LazyAttribute(lambda user: look(user.company).id)

    users = await Factory.create_batch_async(2)
    assert seen == [None, None]
    assert flushes == []
    assert {*session.new} == {*users, *(user.company for user in users)}
    await session.flush()
    assert all(user.company.id == user.company_id for user in users)


class RefusedError(Exception):
    pass


def refuse() -> None:
    raise RefusedError


@pytest.mark.parametrize("persistence", ["flush", "commit"])
@pytest.mark.parametrize("size", [1, 3])
async def test_failure(
    engine: AsyncEngine, session: AsyncSession, flushes: list[str], persistence: str, size: int
) -> None:
    """What fails after a part leaves the part in the session, and nothing is committed."""
    commits: list[str] = []
    event.listen(engine.sync_engine, "commit", lambda connection: commits.append("commit"))

    class Companies(CompanyFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence

    class Factory(UserFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence

        company = factory.SubFactory(Companies)
        key = factory.LazyFunction(refuse)

    with pytest.raises(RefusedError):
        await create(Factory, size)
    assert commits == []
    assert [type(one) for one in session] == [Company] * size
    await session.flush()
    assert len((await session.scalars(select(Company.id))).all()) == size
    await session.rollback()
    assert (await session.scalars(select(Company.id))).all() == []


@dataclass
class Letter:
    company: Any


class Drawer(PersistenceAdapter[Letter]):
    """Keeps letters in memory."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    def build(self, model: type[Letter], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Letter:
        look(kwargs["company"])
        return super().build(model, args, kwargs)

    async def save(self, instance: Letter) -> Letter:
        assert instance.company.id is not None
        self.letters.append(instance)
        return instance


@pytest.mark.parametrize("size", [1, 3])
async def test_other_adapter_above(session: AsyncSession, seen: list[Any], size: int) -> None:
    """An object of another adapter is constructed when its parts are stored."""

    class LetterFactory(AsyncFactory[Letter]):
        class Meta:
            model = Letter
            adapter = Drawer()

        company = factory.SubFactory(CompanyFactory)

    letters = await create(LetterFactory, size)
    assert seen == [letter.company.id for letter in letters]
    assert None not in seen


@pytest.mark.parametrize("size", [1, 3])
async def test_other_adapter_beside(session: AsyncSession, seen: list[Any], size: int) -> None:
    """A part of another adapter that is given a part of SQLAlchemy's is given a stored one."""

    class LetterFactory(AsyncFactory[Letter]):
        class Meta:
            model = Letter
            adapter = Drawer()

    class Factory(UserFactory):
        class Meta:
            exclude = ("letter",)

        letter = factory.SubFactory(LetterFactory, company=factory.SelfAttribute("..company"))

    users = await create(Factory, size)
    assert seen == [user.company.id for user in users]
    assert None not in seen


@pytest.mark.parametrize("size", [1, 3])
async def test_other_adapter_related(session: AsyncSession, seen: list[Any], size: int) -> None:
    """What is related by another adapter is given an object that is stored, as are its parts."""

    class LetterFactory(AsyncFactory[Letter]):
        class Meta:
            model = Letter
            adapter = Drawer()

    class Factory(UserFactory):
        letter = factory.RelatedFactory(LetterFactory, "company")

    users = await create(Factory, size)
    assert seen == [user.id for user in users]
    assert None not in seen
