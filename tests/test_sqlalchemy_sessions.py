"""Sessions of every kind, keys that come back changed, and SQLAlchemy's hooks, one or many."""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import factory
import pytest
import sqlmodel
from sqlalchemy import (
    DDL,
    FetchedValue,
    ForeignKey,
    Identity,
    Integer,
    String,
    Update,
    event,
    func,
    null,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    validates,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelSession

from async_factory_boy import bind, lint
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.servers import Servers
from tests.stores import sqlalchemy as stores
from tests.stores.base import params


class Shop(DeclarativeBase):
    pass


class Logs(DeclarativeBase):
    pass


class Product(Shop):
    __tablename__ = "product"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


class Label(Logs):
    __tablename__ = "label"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    made: Mapped[datetime] = mapped_column(server_default=func.current_timestamp())


class ProductFactory(AsyncSQLAlchemyModelFactory[Product]):
    class Meta:
        model = Product

    name = factory.Sequence(lambda n: f"product{n}")


class LabelFactory(AsyncSQLAlchemyModelFactory[Label]):
    class Meta:
        model = Label
        sqlalchemy_get_or_create = ("name",)

    name = factory.Sequence(lambda n: f"label{n}")


class RoutingSession(Session):
    """Writes to one engine and reads from another one, as SQLAlchemy's recipe does."""

    engines: Mapping[str, AsyncEngine]

    def get_bind(self, mapper: Any = None, *, clause: Any = None, **kw: Any) -> Any:
        if mapper is not None and issubclass(mapper.class_, Shop):
            return self.engines["a"].sync_engine
        if self._flushing or isinstance(clause, Update):
            return self.engines["b"].sync_engine
        return self.engines["reader"].sync_engine


def sharded(engines: Mapping[str, AsyncEngine]) -> AsyncSession:
    return AsyncSession(
        sync_session_class=ShardedSession,
        shards={name: engines[name].sync_engine for name in ("a", "b")},
        shard_chooser=lambda mapper, instance, clause=None: "ab"["1" in instance.name],
        identity_chooser=lambda mapper, key, **kw: ["a", "b"],
        execute_chooser=lambda context: ["a", "b"],
    )


def routing(engines: Mapping[str, AsyncEngine]) -> AsyncSession:
    kind: Any = type("Routing", (RoutingSession,), {"engines": engines})
    return AsyncSession(sync_session_class=kind)


SESSIONS: dict[str, Callable[[Mapping[str, AsyncEngine]], AsyncSession]] = {
    "binds": lambda engines: AsyncSession(binds={Shop: engines["a"], Logs: engines["b"]}),
    "default-and-binds": lambda engines: AsyncSession(engines["a"], binds={Logs: engines["b"]}),
    "routing": routing,
    "shards": sharded,
    "registry": lambda engines: async_scoped_session(
        async_sessionmaker(binds={Shop: engines["a"], Logs: engines["b"]}),
        scopefunc=asyncio.current_task,
    )(),
}


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncGenerator[Mapping[str, AsyncEngine]]:
    """Two databases that have all tables, and a second engine on the second."""
    files = {"a": "a", "b": "b", "reader": "b"}
    made = {
        name: create_async_engine(f"sqlite+aiosqlite:///{tmp_path / file}.sqlite")
        for name, file in files.items()
    }
    for name in "ab":
        async with made[name].begin() as connection:
            await connection.run_sync(Shop.metadata.create_all)
            await connection.run_sync(Logs.metadata.create_all)
    yield made
    for engine in made.values():
        await engine.dispose()


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("kind", SESSIONS)
async def test_session_of_several_engines(
    engines: Mapping[str, AsyncEngine], kind: str, size: int
) -> None:
    """With several engines, get_or_create finds, stores and loads, and a rollback undoes it."""
    async with SESSIONS[kind](engines) as session:
        with bind(sqlalchemy_session=session):
            products = await ProductFactory.create_batch_async(size)
            labels = await LabelFactory.create_batch_async(size)
            assert [label.made.year > 2000 for label in labels] == [True] * size
            assert all(product.id for product in products)
            await session.rollback()
        assert await _count(session, Product) == await _count(session, Label) == 0
        if kind == "routing":
            return  # its reader sees only what was committed
        with bind(sqlalchemy_session=session):
            first = await LabelFactory.create_batch_async(size, name=factory.Sequence(str))
            again = await LabelFactory.create_batch_async(
                size, name=factory.Iterator([label.name for label in first])
            )
        assert [one is other for one, other in zip(first, again, strict=True)] == [True] * size
        await session.rollback()


async def _count(session: AsyncSession, model: Any) -> int:
    return len((await session.scalars(select(model))).all())


@pytest.mark.parametrize("kind", ["binds", "default-and-binds"])
async def test_lint_with_several_engines(engines: Mapping[str, AsyncEngine], kind: str) -> None:
    """lint() leaves nothing behind in any of several databases."""
    async with SESSIONS[kind](engines) as session:
        await lint([LabelFactory, ProductFactory], sqlalchemy_session=session)
        await session.commit()
        assert await _count(session, Product) == 0
        assert await _count(session, Label) == 0


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("store", params(stores.STORES, 2))
async def test_autocommit(servers: Servers, store: Any, size: int) -> None:
    """In AUTOCOMMIT mode too, get_or_create stores, and finds what is there."""
    async with stores.opened_engine(store.url(servers), Logs.metadata) as engine:
        autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with AsyncSession(autocommit) as session:
            with bind(sqlalchemy_session=session):
                first = await LabelFactory.create_batch_async(size, name=factory.Iterator("abc"))
                again = await LabelFactory.create_batch_async(size, name=factory.Iterator("abc"))
            assert first == again
        async with AsyncSession(engine) as session:
            assert await _count(session, Label) == size


class Team(sqlmodel.SQLModel, table=True):
    id: int | None = sqlmodel.Field(default=None, primary_key=True)
    name: str
    places: list[Any] = sqlmodel.Relationship(
        sa_relationship=relationship("Place", lazy="selectin")
    )


class Place(sqlmodel.SQLModel, table=True):
    id: int | None = sqlmodel.Field(default=None, primary_key=True)
    team_id: int | None = sqlmodel.Field(default=None, foreign_key="team.id")


class TeamFactory(AsyncSQLAlchemyModelFactory[Team]):
    class Meta:
        model = Team
        sqlalchemy_get_or_create = ("name",)

    name = factory.Iterator("aab")


async def test_sqlmodel_session_warns_nobody() -> None:
    """SQLModel's own session, whose execute() is deprecated, gives no warning of ours."""
    async with AsyncExitStack() as stack:
        engine = create_async_engine("sqlite+aiosqlite://")
        stack.push_async_callback(engine.dispose)
        async with engine.begin() as connection:
            tables = [one.__table__ for one in (Team, Place)]
            await connection.run_sync(
                lambda sync: sqlmodel.SQLModel.metadata.create_all(sync, tables=tables)
            )
        session = await stack.enter_async_context(SQLModelSession(engine, expire_on_commit=False))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with bind(sqlalchemy_session=session):
                team = await TeamFactory.create_async()
                teams = await TeamFactory.create_batch_async(3)
                await session.commit()
                again = await TeamFactory.create_async(name=teams[-1].name)
        assert team.places == []
        assert again is teams[-1] or again in teams


# Keys that come back changed.


class Lower(TypeDecorator[str]):
    impl = String(50)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.lower()


class Keys(DeclarativeBase):
    pass


class Member(Keys):
    __tablename__ = "member"

    mail: Mapped[str] = mapped_column(Lower, primary_key=True)
    made: Mapped[datetime] = mapped_column(server_default=func.current_timestamp())
    notes: Mapped[list[Note]] = relationship(back_populates="member")


class Note(Keys):
    """A key of two columns, of which the type changes one."""

    __tablename__ = "member_note"

    mail: Mapped[str] = mapped_column(Lower, ForeignKey(Member.mail), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    made: Mapped[datetime] = mapped_column(server_default=func.current_timestamp())
    member: Mapped[Member] = relationship(back_populates="notes")


class Account(Keys):
    """A key that a trigger changes, and one that it makes up."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    made: Mapped[datetime] = mapped_column(server_default=func.current_timestamp())


class Numbered(Keys):
    __tablename__ = "numbered"

    id: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False, server_default=FetchedValue()
    )
    name: Mapped[str] = mapped_column(String(50))


for statement in (
    "CREATE OR REPLACE FUNCTION make_keys() RETURNS trigger AS $$ BEGIN "
    "IF TG_TABLE_NAME = 'account' THEN NEW.name := lower(NEW.name); "
    "ELSE NEW.id := (SELECT coalesce(max(id), 0) + 1 FROM numbered); END IF; "
    "RETURN NEW; END $$ LANGUAGE plpgsql",
    "CREATE OR REPLACE TRIGGER make_key BEFORE INSERT ON account "
    "FOR EACH ROW EXECUTE FUNCTION make_keys()",
    "CREATE OR REPLACE TRIGGER make_key BEFORE INSERT ON numbered "
    "FOR EACH ROW EXECUTE FUNCTION make_keys()",
):
    event.listen(
        Keys.metadata,
        "after_create",
        DDL(statement).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]
    )


class MemberFactory(AsyncSQLAlchemyModelFactory[Member]):
    class Meta:
        model = Member

    mail = factory.Sequence(lambda n: f"User{n}@example.org")


class NoteFactory(AsyncSQLAlchemyModelFactory[Note]):
    class Meta:
        model = Note

    number = factory.Sequence(int)
    member = factory.SubFactory(MemberFactory)


class AccountFactory(AsyncSQLAlchemyModelFactory[Account]):
    class Meta:
        model = Account

    name = factory.Sequence(lambda n: f"Account{n}")


class NumberedFactory(AsyncSQLAlchemyModelFactory[Numbered]):
    class Meta:
        model = Numbered

    name = "n"


@asynccontextmanager
async def opened_keys(url: str) -> AsyncGenerator[AsyncSession]:
    async with stores.opened_engine(url, Keys.metadata) as engine, AsyncSession(engine) as session:
        with bind(sqlalchemy_session=session):
            yield session


@pytest.mark.parametrize("store", params(stores.STORES, 2))
@pytest.mark.parametrize("rounds", [1, 2])
async def test_key_that_a_type_changes(servers: Servers, store: Any, rounds: int) -> None:
    """Objects whose keys come back changed are stored in batches as in a loop."""
    async with opened_keys(store.url(servers)) as session:
        before = await MemberFactory.create_async()
        for _ in range(rounds):
            members = await MemberFactory.create_batch_async(3)
            notes = await NoteFactory.create_batch_async(3)
        assert [member.made.year > 2000 for member in (*members, before)] == [True] * 4
        assert [note.made.year > 2000 for note in notes] == [True] * 3
        assert await _count(session, Note) == 3 * rounds
        await session.rollback()
        assert await _count(session, Member) == 0


@pytest.mark.parametrize("store", [stores.PostgreSQLAsyncpg, stores.PostgreSQLPsycopg])
@pytest.mark.parametrize("size", [1, 3])
async def test_key_by_trigger(servers: Servers, store: Any, size: int) -> None:
    """A trigger may change the key of an object, or make it up."""
    async with opened_keys(store.url(servers)) as session:
        first = await MemberFactory.create_async()
        accounts = await AccountFactory.create_batch_async(size)
        numbered = await NumberedFactory.create_batch_async(size)
        assert [account.made.year > 2000 for account in accounts] == [True] * size
        assert [one.id for one in numbered] == list(range(1, size + 1))
        names = (await session.scalars(text("SELECT name FROM account ORDER BY name"))).all()
        assert names == [account.name.lower() for account in accounts]
        assert first in session


async def test_batch_of_keys_that_fails(servers: Servers) -> None:
    """What the database refuses of such a batch is raised as it is, and nothing of it is there."""
    async with opened_keys(stores.SQLiteMemory.url(servers)) as session:
        await MemberFactory.create_async(mail="taken")
        with pytest.raises(DBAPIError):
            await MemberFactory.create_batch_async(2, mail=factory.Iterator(["free", "Taken"]))
        await session.rollback()
        assert await _count(session, Member) == 0


@pytest.mark.parametrize("store", [stores.PostgreSQLAsyncpg])
async def test_batch_beside_pending_objects(servers: Servers, store: Any) -> None:
    """A batch whose keys a trigger may change is stored together with what the user has added."""
    async with opened_keys(store.url(servers)) as session:
        session.add(Account(name="by hand"))
        accounts = await AccountFactory.create_batch_async(
            3, name=factory.Sequence(lambda n: f"lower{n}")
        )
        assert await _count(session, Account) == 4
        assert [account.name[:5] for account in accounts] == ["lower"] * 3


@pytest.mark.parametrize("store", [stores.PostgreSQLAsyncpg])
async def test_batch_with_a_key_that_is_taken(servers: Servers, store: Any) -> None:
    """A batch that the database refuses for another reason is raised as it is."""
    async with opened_keys(store.url(servers)) as session:
        await AccountFactory.create_async(name="taken")
        session.expunge_all()  # SQLAlchemy would warn that it has such an object
        with pytest.raises(DBAPIError, match="duplicate key"):
            await AccountFactory.create_batch_async(2, name=factory.Iterator(["free", "taken"]))
        await session.rollback()
        assert await _count(session, Account) == 0


# SQLAlchemy's hooks.


class Hooks(DeclarativeBase):
    pass


class Parent(Hooks):
    __tablename__ = "parent"

    id: Mapped[int] = mapped_column(primary_key=True)


class Observed(Hooks):
    """A model with what can be overridden, listened to, or filled in."""

    __tablename__ = "observed"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    by_default: Mapped[str] = mapped_column(String(50), default=lambda: "default")
    by_server: Mapped[str] = mapped_column(String(50), server_default="server")
    on_update: Mapped[str] = mapped_column(String(50), default="new", onupdate="updated")
    version: Mapped[int] = mapped_column()
    parent_id: Mapped[int | None] = mapped_column(ForeignKey(Parent.id))
    parent: Mapped[Parent | None] = relationship()

    __mapper_args__ = {"version_id_col": version, "eager_defaults": True}

    def __init__(self, **values: Any) -> None:
        CALLS.append("__init__")
        super().__init__(**values)

    @validates("name")
    def check(self, key: str, value: str) -> str:
        CALLS.append(f"validates {key}")
        return value

    @hybrid_property
    def title(self) -> str:
        return self.name

    @title.inplace.setter
    def _set_title(self, value: str) -> None:
        CALLS.append("hybrid")
        self.name = value.lower()


CALLS: list[str] = []


class ParentFactory(AsyncSQLAlchemyModelFactory[Parent]):
    class Meta:
        model = Parent


class ObservedFactory(AsyncSQLAlchemyModelFactory[Observed]):
    class Meta:
        model = Observed

    title = "Title"
    parent = factory.SubFactory(ParentFactory)

    @factory.post_generation
    def rename(observed: Observed, create: bool, extracted: Any, **kwargs: Any) -> None:
        if extracted:
            observed.name = extracted


MAPPER_EVENTS = ("before_insert", "after_insert", "before_update", "after_update")
SESSION_EVENTS = (
    "transient_to_pending",
    "pending_to_persistent",
    "before_attach",
    "after_attach",
)


@pytest.fixture
def observed() -> Generator[None]:
    """Listen to what happens to objects of the model."""
    listening: list[tuple[Any, str, Any]] = []

    def listen(target: Any, name: str) -> None:
        def note(*args: Any, **kwargs: Any) -> None:
            if any(isinstance(one, Observed) for one in args) or any(
                isinstance(getattr(one, "obj", list)(), Observed) for one in args[:1]
            ):
                CALLS.append(name)

        event.listen(target, name, note)
        listening.append((target, name, note))

    for name in (*MAPPER_EVENTS, "init", "load", "refresh"):
        listen(Observed, name)
    listen(Observed.name, "set")
    listen(Observed.parent, "set")
    for name in SESSION_EVENTS:
        listen(Session, name)
    CALLS.clear()
    yield
    for target, name, note in listening:
        event.remove(target, name, note)


@pytest.mark.parametrize("persistence", ["flush", "commit"])
@pytest.mark.parametrize("rename", [None, "renamed"])
@pytest.mark.parametrize("store", params(stores.STORES, 2))
async def test_hooks_of_one_and_of_many(
    servers: Servers, observed: None, store: Any, rename: Any, persistence: str
) -> None:
    """A batch calls what a model overrides, and what listens to it, as often as a loop does."""

    class Factory(ObservedFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence

    async with (
        stores.opened_engine(store.url(servers), Hooks.metadata) as engine,
        AsyncSession(engine) as session,
    ):
        with bind(sqlalchemy_session=session):
            one_by_one = [await Factory.create_async(rename=rename) for _ in range(3)]
            loop = Counter(CALLS)
            CALLS.clear()
            together = await Factory.create_batch_async(3, rename=rename)
        values = [
            {(one.name, one.by_default, one.by_server, one.on_update, one.version) for one in some}
            for some in (one_by_one, together)
        ]
    name, on_update, version = (rename, "updated", 2) if rename else ("title", "new", 1)
    assert values == [{(name, "default", "server", on_update, version)}] * 2
    batch = Counter(CALLS)
    if not engine.dialect.insert_returning:  # a SELECT refreshes what INSERT does not return
        loop["refresh"] = batch["refresh"]
    assert batch == loop
    expected = {"__init__", "hybrid", "validates name", "init", "set", "before_insert"}
    assert expected <= set(batch)
    assert batch["after_insert"] == batch["pending_to_persistent"] == 3


@pytest.mark.parametrize("hook", ["before_flush", "after_flush", "do_orm_execute"])
@pytest.mark.parametrize("size", [1, 3])
async def test_session_events(servers: Servers, hook: str, size: int) -> None:
    """The session's own events see every new object, however many are flushed at once."""
    seen: list[str] = []

    class Factory(ProductFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    async with (
        stores.opened_engine(stores.SQLiteMemory.url(servers), Shop.metadata) as engine,
        AsyncSession(engine) as session,
    ):

        @event.listens_for(session.sync_session, hook)
        def note(state: Any, *args: Any) -> None:
            if hook == "do_orm_execute":
                seen.append("SELECT")
            else:
                seen.extend(one.name for one in state.new)

        with bind(sqlalchemy_session=session):
            products = await Factory.create_batch_async(size)
    if hook == "do_orm_execute":
        assert seen == ["SELECT"]
    else:
        assert seen == [product.name for product in products]


class Filled(Hooks):
    """A model whose fields the ORM or the database would fill."""

    __tablename__ = "filled"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    by_default: Mapped[str] = mapped_column(String(50), default=lambda: "default")
    by_server: Mapped[str] = mapped_column(String(50), server_default="server")
    on_update: Mapped[str | None] = mapped_column(String(50), onupdate="updated")
    on_server: Mapped[str | None] = mapped_column(
        String(50), server_default="new", server_onupdate=FetchedValue()
    )
    made: Mapped[datetime] = mapped_column(default=func.now())


class FilledFactory(AsyncSQLAlchemyModelFactory[Filled]):
    class Meta:
        model = Filled


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("value", ["given", None])
@pytest.mark.parametrize("store", params(stores.STORES, 2))
async def test_given_values_are_stored(
    servers: Servers, store: Any, value: str | None, size: int
) -> None:
    """What is given for a field that would be filled is stored as it was given, NULL as well."""
    given = {
        "by_default": value or "",
        "by_server": value or "",
        "on_update": value,
        # SQLAlchemy takes None for "not given" where the server has a default.
        "on_server": value or null(),
        "made": datetime(2001, 2, 3, 4, 5, 6),
    }
    async with (
        stores.opened_engine(store.url(servers), Hooks.metadata) as engine,
        AsyncSession(engine) as session,
    ):
        with bind(sqlalchemy_session=session):
            made = await FilledFactory.create_batch_async(
                size, id=factory.Sequence(lambda n: 1000 + n), **given
            )
            keys = [one.id for one in made]
            await session.commit()
        session.expunge_all()
        stored = (await session.scalars(select(Filled).order_by(Filled.id))).all()
        assert [one.id for one in stored] == keys
        assert min(keys) >= 1000
        expected = {**given, "on_server": value}
        assert [{name: getattr(one, name) for name in given} for one in stored] == [expected] * size
