"""Adapters as the ``__async_persistence__`` of polyfactory's factories, on real databases."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import pytest
from beanie import Document, init_beanie
from polyfactory.factories.beanie_odm_factory import BeanieDocumentFactory
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from polyfactory.persistence import AsyncPersistenceProtocol
from sqlalchemy import String, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_factory_boy import MissingOptionError, bind
from async_factory_boy.adapters.beanie import BeanieAdapter
from async_factory_boy.adapters.registry import by_name
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from tests.servers import Servers
from tests.stores.beanie import DRIVER

pytestmark = pytest.mark.unmeasured


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    rank: Mapped[int] = mapped_column(server_default="7")


class PersonFactory(SQLAlchemyFactory[Person]):
    __async_persistence__ = SQLAlchemyAdapter()
    __set_primary_key__ = False

    @classmethod
    def rank(cls) -> int:
        return 3


class CommittingFactory(PersonFactory):
    __async_persistence__ = SQLAlchemyAdapter(persistence="commit")


class ClassFactory(PersonFactory):
    __async_persistence__ = SQLAlchemyAdapter


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
async def session(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[AsyncSession]:
    """A session on a database with the table, bound."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{servers.folder / uuid4().hex}"
    elif request.param == "postgres":
        url = servers.postgres.replace("postgresql:", "postgresql+asyncpg:")
    else:
        url = servers.mysql.replace("mysql:", "mysql+asyncmy:")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        with bind(sqlalchemy_session=session):
            yield session
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await engine.dispose()


async def count(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(Person)) or 0


@pytest.mark.parametrize("factory", [PersonFactory, ClassFactory])
async def test_sqlalchemy(session: AsyncSession, factory: type[PersonFactory]) -> None:
    """Objects are stored in the caller's transaction, which stays open."""
    person = await factory.create_async(name="Ada")
    assert person.id is not None
    assert person in session
    people = await factory.create_batch_async(3)
    assert sorted(one.id for one in people) == [one.id for one in people]
    assert await factory.create_batch_async(0) == []
    assert await count(session) == 4
    await session.rollback()
    assert await count(session) == 0


async def test_sqlalchemy_commits_if_asked_to(session: AsyncSession) -> None:
    """An adapter that commits does so, and what it returns can be read."""
    people = await CommittingFactory.create_batch_async(3)
    await session.rollback()
    assert await count(session) == 3
    assert [person.rank for person in people] == [3, 3, 3]


async def test_sqlalchemy_errors(session: AsyncSession) -> None:
    """What the database refuses is its own error, as ever."""
    await PersonFactory.create_async(name="Ada")
    with pytest.raises(IntegrityError):
        await PersonFactory.create_batch_async(2, name="Ada")


async def test_no_session() -> None:
    """Without a session that is bound, the error says how to bind one."""
    with pytest.raises(MissingOptionError, match=r"with async_factory_boy\.bind\(sqlalchemy_sess"):
        await PersonFactory.create_async()


class Note(Document):
    title: str


class NoteFactory(BeanieDocumentFactory[Note]):
    __async_persistence__ = BeanieAdapter()


@pytest.fixture
async def database(servers: Servers) -> AsyncGenerator[Any]:
    """A database that Beanie is initialised with."""
    async with DRIVER.database(servers.mongodb) as database:
        await init_beanie(database=database, document_models=[Note])
        yield database


@pytest.mark.usefixtures("database")
async def test_beanie() -> None:
    """Documents are stored, and returned with their ids."""
    note = await NoteFactory.create_async(title="one")
    notes = await NoteFactory.create_batch_async(3, title="many")
    found = await Note.get(note.id)
    assert found is not None
    assert found.title == "one"
    assert await NoteFactory.create_batch_async(0) == []
    many = await Note.find(Note.title == "many").to_list()
    assert [one.id for one in many] == [one.id for one in notes]


async def test_beanie_in_a_transaction(database: Any) -> None:
    """With a session bound, documents are stored in its transaction, which is the caller's."""
    await database.create_collection("Note")
    async with DRIVER.session(database) as session:
        await DRIVER.begin(session)
        with bind(beanie_session=session):
            await NoteFactory.create_async()
            await NoteFactory.create_batch_async(2)
        assert await Note.find_all(session=session).count() == 3
        await session.abort_transaction()
    assert await Note.count() == 0


@pytest.mark.parametrize("name", ["sqlalchemy", "tortoise", "beanie", "mongo", "databases"])
@pytest.mark.parametrize("method", ["save", "save_many"])
def test_keyword(name: str, method: str) -> None:
    """Every adapter takes what polyfactory passes, by the name it passes it by."""
    theirs = list(inspect.signature(getattr(AsyncPersistenceProtocol, method)).parameters)
    assert list(inspect.signature(getattr(by_name(name), method)).parameters) == theirs
