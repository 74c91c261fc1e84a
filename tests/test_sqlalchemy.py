"""What is SQLAlchemy's own: its ways to map a model, and when an attribute is loaded."""

from __future__ import annotations

import asyncio
import datetime
import gc
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import factory
import pytest
import sqlmodel
from sqlalchemy import (
    JSON,
    Column,
    Computed,
    ForeignKey,
    Integer,
    String,
    Table,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncAttrs,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    deferred,
    mapped_column,
    registry,
    relationship,
)

from async_factory_boy import ConfigurationError, bind
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.greenlets import suspended_greenlets
from tests.servers import Servers
from tests.stores import sqlalchemy as stores
from tests.stores.base import params


class Base(AsyncAttrs, DeclarativeBase):
    pass


membership = Table(
    "membership",
    Base.metadata,
    Column("team_id", ForeignKey("team.id"), primary_key=True),
    Column("person_id", ForeignKey("person.id"), primary_key=True),
)


class Team(Base):
    __tablename__ = "team"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    created: Mapped[datetime.datetime] = mapped_column(server_default=func.current_timestamp())
    changes: Mapped[int] = mapped_column(default=0, onupdate=text("changes + 1"))
    length: Mapped[int] = mapped_column(Computed("length(name)", persisted=True))
    notes: Mapped[str | None] = deferred(mapped_column(String(50)))
    people: Mapped[list[Person]] = relationship(secondary=membership, back_populates="teams")
    badges: Mapped[list[Badge]] = relationship(back_populates="team")


class Person(Base):
    """Joined-table inheritance, with a key that is not an integer."""

    __tablename__ = "person"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(50))
    boss_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("person.id"))
    boss: Mapped[Person | None] = relationship(remote_side=[id])
    teams: Mapped[list[Team]] = relationship(secondary=membership, back_populates="people")

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Engineer(Person):
    __tablename__ = "engineer"

    id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Person.id), primary_key=True)
    language: Mapped[str] = mapped_column(String(20), server_default="python")

    __mapper_args__ = {"polymorphic_identity": "engineer"}


class Intern(Person):
    """Single-table inheritance."""

    __mapper_args__ = {"polymorphic_identity": "intern"}


class Badge(Base):
    """An association object with a composite key that others refer to."""

    __tablename__ = "badge"

    team_id: Mapped[int] = mapped_column(ForeignKey(Team.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    colour: Mapped[str] = mapped_column(String(20), server_default="blue")
    team: Mapped[Team] = relationship(back_populates="badges")


class Roster(Base):
    """Loads a collection together with itself."""

    __tablename__ = "roster"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    entries: Mapped[list[Entry]] = relationship(back_populates="roster", lazy="joined")


class Entry(Base):
    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    roster_id: Mapped[int] = mapped_column(ForeignKey(Roster.id))
    roster: Mapped[Roster] = relationship(back_populates="entries")


class Point(MappedAsDataclass, Base):
    __tablename__ = "point"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    x: Mapped[int]
    y: Mapped[int] = mapped_column(default=0)


@dataclass
class Plain:
    name: str
    id: int | None = None


imperative = registry(metadata=Base.metadata)
imperative.map_imperatively(
    Plain,
    Table(
        "plain",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(50)),
    ),
)


class Hero(sqlmodel.SQLModel, table=True):
    metadata = Base.metadata

    id: int | None = sqlmodel.Field(default=None, primary_key=True)
    name: str = sqlmodel.Field(max_length=50)


class TeamFactory(AsyncSQLAlchemyModelFactory[Team]):
    class Meta:
        model = Team

    name = factory.Sequence(lambda n: f"team{n}")


class PersonFactory(AsyncSQLAlchemyModelFactory[Person]):
    class Meta:
        model = Person

    name = factory.Sequence(lambda n: f"person{n}")


class EngineerFactory(PersonFactory):
    class Meta:
        model = Engineer


class InternFactory(PersonFactory):
    class Meta:
        model = Intern


class BadgeFactory(AsyncSQLAlchemyModelFactory[Badge]):
    class Meta:
        model = Badge

    number = factory.Sequence(lambda n: n)
    team = factory.SubFactory(TeamFactory)


class RosterFactory(AsyncSQLAlchemyModelFactory[Roster]):
    class Meta:
        model = Roster

    name = factory.Sequence(lambda n: f"roster{n}")


class EntryFactory(AsyncSQLAlchemyModelFactory[Entry]):
    class Meta:
        model = Entry

    roster = factory.SubFactory(RosterFactory)


class PointFactory(AsyncSQLAlchemyModelFactory[Point]):
    class Meta:
        model = Point

    x = 1


class PlainFactory(AsyncSQLAlchemyModelFactory[Plain]):
    class Meta:
        model = Plain

    name = "plain"


class HeroFactory(AsyncSQLAlchemyModelFactory[Hero]):
    class Meta:
        model = Hero

    name = "Deadpond"


FACTORIES: list[type[AsyncSQLAlchemyModelFactory[Any]]] = [
    TeamFactory,
    PersonFactory,
    EngineerFactory,
    InternFactory,
    BadgeFactory,
    PointFactory,
    PlainFactory,
    HeroFactory,
]


@pytest.fixture(params=params(stores.STORES))
async def engine(request: pytest.FixtureRequest, servers: Servers) -> AsyncGenerator[AsyncEngine]:
    async with stores.opened_engine(request.param.url(servers), Base.metadata) as engine:
        yield engine


@pytest.fixture(params=[True, False], ids=["expire", "keep"])
async def session(
    request: pytest.FixtureRequest, engine: AsyncEngine
) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=request.param) as session:
        with bind(sqlalchemy_session=session):
            yield session


def read_all_columns(*instances: Any) -> None:
    """Read every column attribute; one that is not loaded raises MissingGreenlet."""
    for instance in instances:
        for attribute in inspect(instance).mapper.column_attrs:
            getattr(instance, attribute.key)


@pytest.mark.parametrize("persistence", ["flush", "commit"])
@pytest.mark.parametrize("kind", FACTORIES, ids=lambda kind: kind._meta.model.__name__)
async def test_every_mapping(session: AsyncSession, kind: Any, persistence: str) -> None:
    """However a model is mapped, its object is stored, and each column of it can be read."""

    class Factory(kind):  # type: ignore[misc]
        class Meta:
            sqlalchemy_session_persistence = persistence

    instance = await Factory.create_async()
    read_all_columns(instance)
    identity = inspect(instance).identity
    assert identity is not None
    session.expunge_all()
    stored = await session.get(kind._meta.model, identity)
    assert type(stored) is kind._meta.model


@pytest.mark.parametrize("persistence", ["flush", "commit"])
async def test_whole_graph_is_loaded(session: AsyncSession, persistence: str) -> None:
    """Neither the object returned nor those made on the way have a column that is not loaded."""

    class CommittedTeamFactory(TeamFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence

    made: list[Any] = []

    class Factory(BadgeFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence

        team = factory.SubFactory(CommittedTeamFactory)

        @factory.post_generation
        def change_the_team(badge: Badge, create: bool, extracted: Any, **kwargs: Any) -> None:
            badge.team.name += " of the badge"
            # Storing this flushes the change too, and so has the database count `changes`.
            made.append(CommittedTeamFactory.create())

    badges = await Factory.create_batch_async(2)
    for badge in badges:
        read_all_columns(badge, badge.team)
        assert badge.team.changes == 1
        assert badge.team.length == len(badge.team.name)
    read_all_columns(*made)


async def test_what_hooks_see_is_loaded(session: AsyncSession) -> None:
    """An async hook reads what the server made up as soon as the object is stored."""

    class Factory(TeamFactory):
        @factory.post_generation
        async def look(team: Team, create: bool, extracted: Any, **kwargs: Any) -> None:
            read_all_columns(team)

    assert (await Factory.create_async(name="seen")).length == 4


@pytest.mark.parametrize("persistence", ["flush", "commit"])
async def test_hook_that_commits(session: AsyncSession, persistence: str) -> None:
    """Though a hook commits by itself, what a call returns is loaded, and what it was made of."""
    made: list[Team] = []

    class Factory(BadgeFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence

        @factory.post_generation
        async def commit(badge: Badge, create: bool, extracted: Any, **kwargs: Any) -> None:
            made.append(await TeamFactory.create_async())
            await session.commit()

    badges = [await Factory.create_async()]
    gc.collect()
    read_all_columns(badges[0], badges[0].team, *made)
    badges = await Factory.create_batch_async(2)
    gc.collect()
    read_all_columns(*badges, *(badge.team for badge in badges))


async def test_what_was_found_is_loaded(session: AsyncSession) -> None:
    """So is what get_or_create has found: expired, deferred, or a column of a subclass."""

    class NamedPersonFactory(PersonFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    class NamedTeamFactory(TeamFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    class ChiefFactory(PersonFactory):
        boss = factory.SubFactory(NamedPersonFactory)

    await EngineerFactory.create_batch_async(3, name=factory.Iterator("abc"))
    team = await TeamFactory.create_async(name="a", notes="deferred")
    await session.commit()
    assert await NamedTeamFactory.create_async(name="a") is team
    read_all_columns(team)
    session.expunge_all()
    found = [
        await NamedPersonFactory.create_async(name="a"),
        *await NamedPersonFactory.create_batch_async(2, name=factory.Iterator("bc")),
        *(one.boss for one in await ChiefFactory.create_batch_async(2, boss__name="a")),
    ]
    team = await NamedTeamFactory.create_async(name="a")
    read_all_columns(team, *found)
    assert [type(one) for one in found] == [Engineer] * 5
    assert team.notes == "deferred"


async def test_sync_code_reads_lazy_relationships(session: AsyncSession) -> None:
    """In a sync hook or declaration a lazy relationship can be read, as under run_sync()."""

    class Factory(TeamFactory):
        @factory.post_generation
        def join(team: Team, create: bool, extracted: Any, **kwargs: Any) -> None:
            assert team.people == []
            team.people.append(EngineerFactory.create())

    team = await Factory.create_async()
    badge = await BadgeFactory.create_async(
        team=team, colour=factory.LazyAttribute(lambda badge: badge.team.people[0].name)
    )
    assert badge.colour == team.people[0].name


async def test_async_attrs(session: AsyncSession) -> None:
    """What is lazy can be awaited through AsyncAttrs: in an async hook, and after the call."""
    seen: list[int] = []

    class Factory(TeamFactory):
        badges = factory.RelatedFactoryList(BadgeFactory, "team", size=2)

        @factory.post_generation
        async def look(team: Team, create: bool, extracted: Any, **kwargs: Any) -> None:
            seen.append(len(await team.awaitable_attrs.badges))

    team = await Factory.create_async()
    await session.commit()
    assert [*seen, len(await team.awaitable_attrs.badges)] == [2, 2]


async def test_self_reference(session: AsyncSession) -> None:
    """A model may refer to itself, through SubFactories as deep as the call says."""

    class Factory(InternFactory):
        class Params:
            led = factory.Trait(boss=factory.SubFactory(f"{__name__}.EngineerFactory"))

    intern = await Factory.create_async(led=True, boss__boss=await PersonFactory.create_async())
    read_all_columns(intern, intern.boss, intern.boss.boss)
    assert intern.boss_id == intern.boss.id
    assert intern.boss.boss_id == intern.boss.boss.id


async def test_server_defaults_cost_no_select_with_returning(engine: AsyncEngine) -> None:
    """A SELECT is sent only where the INSERT could not return what the server made up."""
    async with AsyncSession(engine) as session:
        statements = sent_by(engine)
        await TeamFactory.create_async(sqlalchemy_session=session)
    inserts = [sent for sent in statements if sent.startswith("INSERT")]
    selects = [sent for sent in statements if sent.startswith("SELECT")]
    assert (len(inserts), len(selects)) == (1, 0 if engine.dialect.insert_returning else 1)


def sent_by(engine: AsyncEngine) -> list[str]:
    """Return a list that each statement sent from now on is added to."""
    statements: list[str] = []
    event.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda *args: statements.append(args[2].strip()),
    )
    return statements


async def test_batch_is_loaded_by_one_select(session: AsyncSession, engine: AsyncEngine) -> None:
    """What hooks have left out of date is loaded by one SELECT for each model, at the end."""
    statements = sent_by(engine)

    class Factory(TeamFactory):
        @factory.post_generation
        async def change(team: Team, create: bool, extracted: Any, **kwargs: Any) -> None:
            team.name += "?"
            await session.flush()

    teams = await Factory.create_batch_async(5)
    read_all_columns(*teams)
    assert [team.changes for team in teams] == [1] * 5
    selects = [sent for sent in statements if sent.startswith("SELECT")]
    assert len(selects) == (1 if engine.dialect.insert_returning else 2)


async def test_what_hooks_change_is_flushed(session: AsyncSession) -> None:
    """What hooks have changed is flushed when the outermost call ends, and then loaded."""
    made: list[Team] = []

    class Factory(TeamFactory):
        @factory.post_generation
        async def change(team: Team, create: bool, extracted: Any, **kwargs: Any) -> None:
            made.append(team)
            if extracted != "other":
                other = await Factory.create_async(change="other")
                team.name += "!"
                await session.flush()
                other.name += "!"

    await Factory.create_async()
    read_all_columns(*made)
    assert not session.dirty
    assert [team.changes for team in made] == [1, 1]


async def test_relationships_loaded_by_a_join(session: AsyncSession) -> None:
    """A model may load a collection by a JOIN, which has a row for each of its members."""

    class Factory(RosterFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    class FullFactory(RosterFactory):
        entries = factory.RelatedFactoryList(EntryFactory, "roster", size=2)

    await FullFactory.create_batch_async(3, name=factory.Iterator("abc"))
    session.expunge_all()
    found = [
        await Factory.create_async(name="a"),
        *await Factory.create_batch_async(2, name=factory.Iterator("bc")),
    ]
    assert [len(roster.entries) for roster in found] == [2, 2, 2]


async def test_load_of_what_is_loaded_already(session: AsyncSession) -> None:
    """A relationship that a hook has read is loaded as it is in the end."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_load = ("badges",)

        @factory.post_generation
        def look(team: Team, create: bool, extracted: Any, **kwargs: Any) -> None:
            assert team.badges == []
            LooseBadgeFactory.create(team_id=team.id)

    class LooseBadgeFactory(AsyncSQLAlchemyModelFactory[Badge]):
        class Meta:
            model = Badge

        number = 1

    team = await Factory.create_async()
    assert [badge.number for badge in team.badges] == [1]


async def test_load(session: AsyncSession) -> None:
    """Meta.sqlalchemy_load loads relationships, with what hooks have added to them."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_load = ("badges", "people")

        badges = factory.RelatedFactoryList(BadgeFactory, "team", size=2)

        @factory.post_generation
        def join(team: Team, create: bool, extracted: Any, **kwargs: Any) -> None:
            team.people.append(InternFactory.create())

    one, two = await Factory.create_batch_async(2)
    assert [len(team.badges) for team in (one, two)] == [2, 2]
    assert [type(person) for person in one.people] == [Intern]
    assert {"badges", "people"} <= inspect(await TeamFactory.create_async()).unloaded


@pytest.mark.parametrize("persistence", ["flush", "commit"])
async def test_gathered_calls_that_load(session: AsyncSession, persistence: str) -> None:
    """Calls gathered on one session take turns to load what they return, too."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence
            sqlalchemy_load = ("badges",)

        badges = factory.RelatedFactoryList(BadgeFactory, "team", size=2)

    teams = await asyncio.gather(*(Factory.create_async() for _ in range(20)))
    read_all_columns(*teams)
    assert [len(team.badges) for team in teams] == [2] * 20
    batches = await asyncio.gather(*(Factory.create_batch_async(2) for _ in range(5)))
    assert [len(team.badges) for batch in batches for team in batch] == [2] * 10


async def test_load_of_something_else(session: AsyncSession) -> None:
    """Loading what is no relationship fails before anything is stored."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_load = ("badge",)

    with pytest.raises(
        ConfigurationError,
        match=r"^Factory\.Meta\.sqlalchemy_load names 'badge', .* Team\. Did you "
        r"mean 'badges'\? It has: badges, people\.",
    ):
        await Factory.create_async()
    assert not session.new


async def test_persistence_none(session: AsyncSession) -> None:
    """With persistence None objects are only added; get_or_create finds them all the same."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_session_persistence = None

    class NamedFactory(Factory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    team = await Factory.create_async()
    assert team in session.new
    assert team.id is None
    with session.no_autoflush:
        assert await NamedFactory.create_async(name=team.name) is team
    other = await NamedFactory.create_async(name="other")
    assert other in session.new


async def test_commit(session: AsyncSession, engine: AsyncEngine) -> None:
    """With persistence "commit" another connection sees the object at once."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"
            sqlalchemy_get_or_create = ("name",)

    expire_on_commit = session.sync_session.expire_on_commit
    await Factory.create_async(name="seen")
    assert session.sync_session.expire_on_commit == expire_on_commit
    assert not session.in_transaction()
    async with AsyncSession(engine) as other:
        assert (await other.scalars(select(Team.name))).all() == ["seen"]


async def test_get_or_create_by_what_was_given(session: AsyncSession) -> None:
    """When the new object is refused, it is looked up by what the caller gave."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name", "notes")

        notes = factory.Sequence(lambda n: f"notes{n}")

    team = await Factory.create_async(name="given")
    assert await Factory.create_async(name="given") is team


async def test_get_or_create_by_what_is_renamed_or_positional(session: AsyncSession) -> None:
    """get_or_create names fields of the model, however the factory hands their values over."""

    class Factory(AsyncSQLAlchemyModelFactory[Point]):
        class Meta:
            model = Point
            sqlalchemy_get_or_create = ("x", "y")
            inline_args = ("x",)
            rename = {"height": "y"}

        x = 1
        height = 2

    point = await Factory.create_async()
    assert (point.x, point.y) == (1, 2)
    assert await Factory.create_async() is point
    assert await Factory.create_async(x=3) is not point
    assert await Factory.create_async(height=3) is not point


async def test_failing_get_or_create_keeps_what_was_there(session: AsyncSession) -> None:
    """A refused get_or_create raises the database's error, and rolls back no more than itself."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_get_or_create = ("notes",)

        notes = factory.Sequence(lambda n: f"notes{n}")

    badge = await BadgeFactory.create_async(team__name="taken")
    with pytest.raises(IntegrityError):
        await Factory.create_async(name="taken")
    read_all_columns(badge, badge.team)
    assert (await session.scalars(select(Team.name))).all() == ["taken"]
    await TeamFactory.create_async(name="free")


async def test_get_or_create_beside_a_row_that_is_refused(session: AsyncSession) -> None:
    """The database's error over a row that the caller has added is raised as it is."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    await Factory.create_async(name="taken")
    session.autoflush = False
    session.add(Team(name="taken"))
    with pytest.raises(IntegrityError):
        await Factory.create_async(name="free")


async def test_get_or_create_with_a_relationship(session: AsyncSession) -> None:
    """A refused object that others already refer to is not stored through them later."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_get_or_create = ("notes",)

    intern = await InternFactory.create_async()
    await TeamFactory.create_async(name="taken", people=[intern])
    with pytest.raises(IntegrityError):
        await Factory.create_async(name="taken", notes="green", people=[intern])
    read_all_columns(intern)
    await session.flush()
    second = await Factory.create_async(notes="green", people=[intern])
    assert await Factory.create_async(notes="green", people=[intern]) is second
    assert (await session.scalar(select(func.count()).select_from(membership))) == 2


class Settings(DeclarativeBase):
    pass


class Setting(Settings):
    __tablename__ = "setting"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


@pytest.mark.parametrize("values", [[[1], [2], [1]], [(1,), (2,), (1,)]], ids=["lists", "tuples"])
async def test_get_or_create_by_what_cannot_be_hashed(servers: Servers, values: list[Any]) -> None:
    """A batch may look objects up by values such as lists, where the database compares them."""

    class Factory(AsyncSQLAlchemyModelFactory[Setting]):
        class Meta:
            model = Setting
            sqlalchemy_get_or_create = ("value",)

        value = factory.Iterator(values)

    url = stores.SQLiteMemory.url(servers)
    async with (
        stores.opened_engine(url, Settings.metadata) as engine,
        AsyncSession(engine) as session,
    ):
        with bind(sqlalchemy_session=session):
            before = await Factory.create_async(value=values[0])
            first, second, third = await Factory.create_batch_async(3)
    assert first is third is before
    assert (second.id, second.value) == (before.id + 1, values[1])


async def test_get_or_create_inside_the_callers_transaction(engine: AsyncEngine) -> None:
    """On SQLite too the SAVEPOINT is part of the caller's transaction, even as its first thing."""

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    async with AsyncSession(engine) as session:
        await Factory.create_async(sqlalchemy_session=session)
        await session.rollback()
        assert (await session.scalars(select(Team))).all() == []


async def test_get_or_create_in_autocommit(servers: Servers) -> None:
    """On SQLite in AUTOCOMMIT mode a new object stays, as it does without get_or_create."""
    url = f"sqlite+aiosqlite:///{servers.folder / 'autocommit.sqlite'}"

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    async with stores.opened_engine(url, Base.metadata) as engine:
        autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with AsyncSession(autocommit) as session:
            await Factory.create_async(name="stays", sqlalchemy_session=session)
        async with AsyncSession(engine) as session:
            assert (await session.scalars(select(Team.name))).all() == ["stays"]


async def test_rollback_per_test(engine: AsyncEngine) -> None:
    """A session joined to an outer transaction leaves nothing, even if factories commit."""
    if engine.dialect.name == "sqlite":
        pytest.skip("Python's sqlite3 needs event listeners for this; see the docs on SQLAlchemy")

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"

    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(engine.connect())
        outer = await connection.begin()
        session = AsyncSession(connection, join_transaction_mode="create_savepoint")
        await stack.enter_async_context(session)
        await Factory.create_async(sqlalchemy_session=session)
        await session.rollback()
        assert len((await session.scalars(select(Team))).all()) == 1
        await session.close()
        await outer.rollback()
    async with AsyncSession(engine) as session:
        assert (await session.scalars(select(Team))).all() == []


async def test_scoped_session(engine: AsyncEngine) -> None:
    """An async_scoped_session serves as the session, given or from a session factory."""
    registry = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_session_factory = registry

    try:
        team = await Factory.create_async()
        other = await TeamFactory.create_async(sqlalchemy_session=registry)
        assert team in registry()
        assert other in registry()
    finally:
        await registry.remove()


async def test_session_factory_comes_last(session: AsyncSession, engine: AsyncEngine) -> None:
    """The call's session beats the bound one, which beats that of the session factory."""
    asked: list[bool] = []

    def session_factory() -> AsyncSession:
        asked.append(True)
        return session

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_session_factory = session_factory
            sqlalchemy_session_persistence = None

    assert await Factory.create_async() in session
    assert not asked
    async with AsyncSession(engine) as other:
        assert await Factory.create_async(sqlalchemy_session=other) in other
        assert not asked
    with bind(sqlalchemy_session=None):
        assert await Factory.create_async() in session
    assert asked


@pytest.mark.parametrize("batch", [False, True])
async def test_session_factory_that_reads_a_context_variable(
    session: AsyncSession, engine: AsyncEngine, batch: bool
) -> None:
    """A session factory is asked where the object is created: in the context of the hook."""
    current = ContextVar("current", default=session)

    class Factory(TeamFactory):
        class Meta:
            sqlalchemy_session_factory = current.get
            sqlalchemy_session_persistence = None

    class HookedFactory(Factory):
        @factory.post_generation
        async def elsewhere(team: Team, create: bool, extracted: Any, **kwargs: Any) -> None:
            token = current.set(other)
            created = await Factory.create_async(name=f"of {team.name}")
            current.reset(token)
            assert created in other

    with bind(sqlalchemy_session=None):
        async with AsyncSession(engine) as other:
            if batch:
                await HookedFactory.create_batch_async(2, name=factory.Iterator("ab"))
            else:
                await HookedFactory.create_async(name="a")
                await HookedFactory.create_async(name="b")
            assert {team.name for team in session.new} == {"a", "b"}
            assert {team.name for team in other.new} == {"of a", "of b"}


async def test_sub_factory_in_another_session(session: AsyncSession, engine: AsyncEngine) -> None:
    """A call-time option given to a SubFactory by its path holds for that object."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")

    class CommittedTeamFactory(TeamFactory):
        class Meta:
            sqlalchemy_session_persistence = "commit"

    class Factory(TeamFactory):
        class Params:
            elsewhere = factory.SubFactory(CommittedTeamFactory)

        name = factory.LazyAttribute(lambda team: f"after {team.elsewhere.id}")

    async with AsyncSession(engine) as other:
        made = await Factory.create_async(elsewhere__sqlalchemy_session=other)
        assert made in session
        (team,) = (await other.scalars(select(Team))).all()
        assert made.name == f"after {team.id}"


async def test_cancelled_while_the_database_works(session: AsyncSession) -> None:
    """A call cancelled in the middle of a statement leaves a session that can be rolled back."""
    dialect = session.get_bind().dialect.name
    if dialect == "sqlite":
        pytest.skip("on SQLite a cancelled statement goes on, and the connection is lost")
    sleep = {"postgresql": "pg_sleep", "mysql": "sleep", "mariadb": "sleep"}[dialect]

    class Factory(TeamFactory):
        notes = text(f"(SELECT {sleep}(20))")  # SQLAlchemy sends it as part of the INSERT

    call = asyncio.create_task(Factory.create_async())
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not suspended_greenlets()
    await session.rollback()
    team = await TeamFactory.create_async()
    assert (await session.scalars(select(Team))).all() == [team]
