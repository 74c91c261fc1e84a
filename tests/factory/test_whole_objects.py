"""SQLAlchemy: when a call is over, its objects are whole, and what its hooks changed is stored."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import factory
import pytest
from sqlalchemy import Column, ForeignKey, String, Table, event, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_factory_boy import bind
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.factory.limits import all_of, until, within_limit
from tests.servers import Servers
from tests.stores import sqlalchemy as stores
from tests.stores.base import params

pytestmark = pytest.mark.unmeasured


class Base(DeclarativeBase):
    pass


class Account(Base):
    """Each UPDATE of it leaves `touched` to be loaded again."""

    __tablename__ = "whole_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    created: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    visits: Mapped[int] = mapped_column(default=0)
    touched: Mapped[datetime.datetime | None] = mapped_column(onupdate=func.now())

    def visit(self, times: int) -> None:
        self.visits += times


note_label = Table(
    "whole_note_label",
    Base.metadata,
    Column("note_id", ForeignKey("whole_note.id"), primary_key=True),
    Column("label_id", ForeignKey("whole_label.id"), primary_key=True),
)


class Label(Base):
    __tablename__ = "whole_label"

    id: Mapped[int] = mapped_column(primary_key=True)


class Note(Base):
    __tablename__ = "whole_note"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(50))
    touched: Mapped[datetime.datetime | None] = mapped_column(onupdate=func.now())
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    account: Mapped[Account] = relationship()
    labels: Mapped[list[Label]] = relationship(secondary=note_label, lazy="selectin")


class AccountFactory(AsyncSQLAlchemyModelFactory[Account]):
    class Meta:
        model = Account

    name = factory.Sequence(lambda n: f"account {n}")


class LabelFactory(AsyncSQLAlchemyModelFactory[Label]):
    class Meta:
        model = Label


class NoteFactory(AsyncSQLAlchemyModelFactory[Note]):
    class Meta:
        model = Note

    text = "new"
    account = factory.SubFactory(AccountFactory)


STORES = [stores.SQLite, stores.PostgreSQLAsyncpg, stores.MariaDB]


@pytest.fixture(params=params(STORES))
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
def commits(engine: AsyncEngine, session: AsyncSession) -> list[str]:
    """One entry for each commit."""
    sent: list[str] = []
    event.listen(engine.sync_engine, "commit", lambda connection: sent.append("commit"))
    return sent


async def stored(session: AsyncSession, model: Any = Account, column: str = "name") -> list[Any]:
    """Read a column in the transaction of a session, without a flush of what it holds."""
    table = inspect(model).local_table
    connection = await session.connection()
    return [*await connection.scalars(select(table.c[column]).order_by(table.c.id))]


async def committed(engine: AsyncEngine) -> list[str]:
    """Read the names of the accounts that other connections see."""
    async with AsyncSession(engine) as other:
        return await stored(other)


def assert_whole(objects: Iterable[Any]) -> None:
    """Read every column of each: what is not loaded raises ``MissingGreenlet``."""
    for one in objects:
        for attribute in inspect(type(one)).column_attrs:
            getattr(one, attribute.key)


each_persistence = pytest.mark.parametrize("persistence", ["flush", "commit"])


# --- whole ---------------------------------------------------------------------------------------


def plain_hook(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
    account.visit(1)


async def async_hook(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
    await asyncio.sleep(0)
    account.visit(1)


def after(cls: Any, instance: Any, create: bool, results: Any = None) -> None:
    instance.visit(1)


CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "plain hook": lambda: {"hook": factory.PostGeneration(plain_hook)},
    "async hook": lambda: {"hook": factory.PostGeneration(async_hook)},
    "method call": lambda: {"hook": factory.PostGenerationMethodCall("visit", 1)},
    "_after_postgeneration": lambda: {"_after_postgeneration": classmethod(after)},
}


def changing(change: str, persistence: str = "flush", **body: Any) -> Any:
    """Return a factory of accounts, in pages of two, that changes each once it is stored.

    It does so after all that `body` declares.
    """
    meta = {"sqlalchemy_session_persistence": persistence, "batch_size": 2}
    body = {"Meta": type("Meta", (), meta), **body, **CHANGES[change]()}
    return type(AccountFactory)("Changing", (AccountFactory,), body)


@each_persistence
@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_changed(
    session: AsyncSession, commits: list[str], change: str, persistence: str
) -> None:
    """What hooks change is stored when a call is over, and all that it returns is whole.

    Be it one object or several pages; it is committed once, if at all.
    """
    changed = changing(change, persistence)
    accounts = [await changed.create_async()]
    assert len(commits) == (persistence == "commit")
    accounts += await changed.create_batch_async(5)
    assert len(commits) == (2 if persistence == "commit" else 0)
    assert_whole(accounts)
    assert not session.dirty
    assert [account.visits for account in accounts] == [1] * 6
    assert await stored(session, column="visits") == [1] * 6
    assert all(account.touched is not None for account in accounts)


@each_persistence
async def test_what_is_made_on_the_way(session: AsyncSession, persistence: str) -> None:
    """So is all that a call makes and does not return: parts, and what hooks create."""
    made: list[Any] = []
    other = changing("method call", persistence)

    class Factory(NoteFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence
            batch_size = 2

        account = factory.SubFactory(changing("async hook", persistence))

        @factory.post_generation
        def plain(note: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            made.extend([note.account, *other.create_batch(3)])

        @factory.post_generation
        async def later(note: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            made.extend([await other.create_async(), *await other.create_batch_async(2)])

        @factory.post_generation
        def last(note: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            note.text = "changed"
            for account in (note.account, made[-1]):
                account.visit(9)

    notes = [await Factory.create_async(), *await Factory.create_batch_async(5)]
    assert len(made) == 6 * 7
    assert_whole([*notes, *made])
    assert await stored(session, Note, "text") == ["changed"] * 6
    made.sort(key=lambda account: account.id)
    assert await stored(session, column="visits") == [account.visits for account in made]
    assert {account.visits for account in made} >= {1, 10}


@each_persistence
async def test_load_of_another_factory(session: AsyncSession, persistence: str) -> None:
    """An object stays whole when another factory loads relationships, and flushes for that."""

    class Loading(NoteFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence
            sqlalchemy_load = ("labels",)

    noted = changing("plain hook", persistence, note=factory.RelatedFactory(Loading, "account"))
    assert_whole([await noted.create_async(), *await noted.create_batch_async(5)])


@each_persistence
async def test_what_was_found(session: AsyncSession, persistence: str) -> None:
    """So is what get_or_create finds and a hook then changes, on several pages of a batch."""

    class Finding(changing("plain hook", persistence)):  # type: ignore[misc]
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    class Factory(NoteFactory):
        class Meta:
            sqlalchemy_session_persistence = persistence
            batch_size = 2

        account = factory.SubFactory(Finding, name="the same")

    account = await Finding.create_async(name="the same")
    notes = await Factory.create_batch_async(5)
    assert {note.account for note in notes} == {account}
    assert_whole([account, *notes])
    assert await stored(session, column="visits") == [account.visits] == [6]


async def test_what_was_rolled_back(session: AsyncSession) -> None:
    """An async hook that rolls a savepoint back leaves whole what is left."""

    class Factory(AccountFactory):
        class Meta:
            batch_size = 2

        @factory.post_generation
        async def hook(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            account.name = "changed"
            await NoteFactory.create_async(account=account, text="kept")
            savepoint = await session.begin_nested()
            account.name = "lost"
            await NoteFactory.create_async(account=account, text="lost")
            await savepoint.rollback()

    accounts = [await Factory.create_async(), *await Factory.create_batch_async(5)]
    assert_whole(accounts)
    assert await stored(session) == [account.name for account in accounts] == ["changed"] * 6
    assert await stored(session, Note, "text") == ["kept"] * 6


@each_persistence
async def test_gathered_calls(session: AsyncSession, persistence: str) -> None:
    """Calls gathered on one session return whole objects, whatever the others flush or commit."""
    changed = changing("async hook", persistence)

    async def create() -> list[Any]:
        singles = [changed.create_async() for _ in range(10)]
        batches = [changed.create_batch_async(3) for _ in range(5)]
        made = await all_of(*singles, *batches)
        return [*made[:10], *(one for batch in made[10:] for one in batch)]

    accounts = await within_limit(create())
    assert_whole(accounts)
    accounts.sort(key=lambda account: account.id)
    assert await stored(session) == [account.name for account in accounts]
    assert await stored(session, column="visits") == [1] * 25


# --- flushed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_another_session_sees_it(engine: AsyncEngine, kind: str) -> None:
    """What a hook changes is seen by another session on the same connection, and by a refresh."""

    def label(note: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        note.labels.extend(LabelFactory.create_batch(2))
        note.text = "changed"

    async def label_later(note: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        note.labels.extend(await LabelFactory.create_batch_async(2))
        await asyncio.sleep(0)
        note.text = "changed"

    class Factory(NoteFactory):
        labels = factory.LazyFunction(list)
        hook = factory.PostGeneration(label if kind == "plain" else label_later)

    async with (
        engine.connect() as connection,
        AsyncSession(connection) as session,
        AsyncSession(connection) as application,
    ):
        with bind(sqlalchemy_session=session):
            notes = [await Factory.create_async(), *await Factory.create_batch_async(3)]
        assert not session.dirty
        seen = (await application.scalars(select(Note))).all()
        assert [(note.text, len(note.labels)) for note in seen] == [("changed", 2)] * 4
        for note in notes:
            await session.refresh(note)
            assert (note.text, len(note.labels)) == ("changed", 2)


# --- committed -----------------------------------------------------------------------------------


async def test_commit_of_the_outermost_call(
    engine: AsyncEngine, session: AsyncSession, commits: list[str]
) -> None:
    """However many calls hooks make, the outermost one commits: once, at its end, with it all."""
    counted: list[int] = []
    inner = changing("plain hook", "commit")

    class Outer(inner):  # type: ignore[misc, valid-type]
        @factory.post_generation
        async def later(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await inner.create_async()
            await inner.create_batch_async(3)
            counted.append(len(commits))
            account.name = "changed last"

        @factory.post_generation
        def plain(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            inner.create()
            inner.create_batch(3)
            counted.append(len(commits))

    await Outer.create_async()
    assert (len(commits), len(await committed(engine))) == (1, 9)
    await Outer.create_batch_async(3)
    names = await committed(engine)
    assert (len(commits), len(names)) == (2, 4 * 9)
    assert counted == [0] * 2 + [1] * 6
    assert names.count("changed last") == 4
    assert not session.in_transaction()


async def test_commit_asked_for_by_a_hook(
    engine: AsyncEngine, session: AsyncSession, commits: list[str]
) -> None:
    """A factory that commits, called by the hook of one that flushes, leaves that to the call."""
    counted: list[int] = []
    committing = changing("plain hook", "commit")

    class Outer(AccountFactory):
        @factory.post_generation
        async def later(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await committing.create_async()
            counted.append(len(commits))
            account.name = "changed last"

    await Outer.create_async()
    assert len(commits) == 1
    await Outer.create_batch_async(3)
    assert len(commits) == 2
    assert counted == [0, 1, 1, 1]
    names = await committed(engine)
    assert len(names) == 8
    assert names.count("changed last") == 4


@pytest.mark.parametrize("call", ["create", "batch"])
@pytest.mark.parametrize("end", ["plain", "async", "cancelled"])
async def test_nothing_of_a_failed_call_is_committed(
    engine: AsyncEngine, session: AsyncSession, commits: list[str], call: str, end: str
) -> None:
    """A call that fails or is cancelled commits nothing, whatever its hooks have created."""
    inner = changing("plain hook", "commit")
    last = 0 if call == "create" else 4
    waits = asyncio.Event()

    class Failing(inner):  # type: ignore[misc, valid-type]
        @factory.post_generation
        async def nested(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await inner.create_async()
            await inner.create_batch_async(3)

        @factory.post_generation
        def plain(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            inner.create_batch(3)
            if end == "plain" and account.name.startswith(f"mine {last}"):
                raise LookupError

        @factory.post_generation
        async def later(account: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            if account.name.startswith(f"mine {last}"):
                if end == "async":
                    raise LookupError
                waits.set()
                await asyncio.Event().wait()

    numbers = iter(range(5))
    name = factory.LazyFunction(lambda: f"mine {next(numbers)}")
    if call == "create":
        task = asyncio.create_task(Failing.create_async(name=name))
    else:
        task = asyncio.create_task(Failing.create_batch_async(5, name=name))
    if end == "cancelled":
        await until(waits, task)
        task.cancel()
    with pytest.raises(asyncio.CancelledError if end == "cancelled" else LookupError):
        await task
    assert commits == []
    await session.rollback()
    assert await committed(engine) == []
    await inner.create_async()
    assert len(await committed(engine)) == 1
