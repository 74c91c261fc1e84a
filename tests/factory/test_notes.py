"""A note on an error says which factory it is from, and the way there, but no values."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import factory
import pytest
from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_factory_boy import bind
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.exceptions import ConfigurationError, OptionError, SyncCallError
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.servers import Servers
from tests.stores.sqlalchemy import SQLiteMemory, opened_engine


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "noted_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(50), unique=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("noted_team.id", use_alter=True))


class Team(Base):
    __tablename__ = "noted_team"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    deputy_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    deputy: Mapped[User] = relationship(foreign_keys=[deputy_id])


class UserFactory(AsyncSQLAlchemyModelFactory[User]):
    email = factory.Sequence(lambda n: f"user{n}@example.org")


class TeamFactory(AsyncSQLAlchemyModelFactory[Team]):
    name = "team"
    deputy = factory.SubFactory(UserFactory)


class LookingFactory(TeamFactory):
    """What a LazyAttribute reads has to be stored before: by its own statement."""

    name = factory.LazyAttribute(lambda team: f"of {team.deputy.id}")


@pytest.fixture(autouse=True)
async def session(servers: Servers) -> AsyncGenerator[AsyncSession]:
    async with (
        opened_engine(SQLiteMemory.url(servers), Base.metadata) as engine,
        AsyncSession(engine) as session,
    ):
        with bind(sqlalchemy_session=session):
            yield session


async def notes_of(awaitable: Awaitable[Any], kind: type[Exception] = ValueError) -> list[str]:
    """Return the notes of the error that is raised."""
    with pytest.raises(kind) as raised:
        await awaitable
    return [note.partition(": raised while ")[2] for note in getattr(raised.value, "__notes__", ())]


has_notes = pytest.mark.skipif(sys.version_info < (3, 11), reason="errors take no notes")


def failing(*_: Any, **kwargs: Any) -> Any:
    raise ValueError("secret")


async def failing_later(*_: Any, **kwargs: Any) -> Any:
    raise ValueError("secret")


# --- what a store raises -------------------------------------------------------------------------


STORING = [
    (TeamFactory, "storing TeamFactory → deputy (UserFactory)"),
    (LookingFactory, "storing LookingFactory → deputy (UserFactory)"),
]


@has_notes
@pytest.mark.parametrize(("team", "where"), STORING)
async def test_store_refuses_an_object_of_a_batch(team: Any, where: str) -> None:
    """The note names the way to the factory and how many are meant, and shows no value."""
    emails = [f"secret{n}@example.org" for n in range(10)]
    emails[7] = emails[2]
    call = team.create_batch_async(10, deputy__email=factory.Iterator(emails))
    (note,) = await notes_of(call, IntegrityError)
    assert note.startswith(where)
    assert note.endswith(", objects 1 to 10 of 10")
    assert "secret" not in note


@has_notes
async def test_store_refuses_one_object(session: AsyncSession) -> None:
    """Without a batch, no object has a number."""
    await UserFactory.create_async(email="taken")
    await session.commit()
    (note,) = await notes_of(UserFactory.create_async(email="taken"), IntegrityError)
    assert note == "storing UserFactory"
    await session.rollback()
    call = LookingFactory.create_async(deputy__email="taken")
    assert await notes_of(call, IntegrityError) == ["storing LookingFactory → deputy (UserFactory)"]


@has_notes
async def test_store_refuses_one_of_a_graph() -> None:
    """Of objects that are stored together, those are listed that the error may be about."""
    (note,) = await notes_of(TeamFactory.create_async(deputy__email=None), IntegrityError)
    assert note == "storing TeamFactory → deputy (UserFactory)"


@has_notes
async def test_page_of_a_batch() -> None:
    """Of a batch that is stored in pages, the note names the objects of the page."""

    class Paged(UserFactory):
        class Meta:
            batch_size = 4

    emails = [f"{n % 9}@example.org" for n in range(10)]
    call = Paged.create_batch_async(10, email=factory.Iterator(emails))
    (note,) = await notes_of(call, IntegrityError)
    assert note == "storing Paged, objects 9 to 10 of 10"


@has_notes
async def test_object_that_refers_to_others() -> None:
    """Of an object that has parts, they are named: the store may mean a key of theirs."""
    (note,) = await notes_of(TeamFactory.create_async(name=None), IntegrityError)
    assert note == "storing TeamFactory with deputy"


# --- what code of the user's raises --------------------------------------------------------------


class FailingModel(User):
    def __init__(self, **kwargs: Any) -> None:
        raise ValueError("secret")


class OfFailingModel(AsyncSQLAlchemyModelFactory[FailingModel]):
    pass


def hooked(hook: Callable[..., Any]) -> Any:
    """Return a UserFactory with a hook."""

    class Hooked(UserFactory):
        calls = factory.PostGeneration(hook)

    return Hooked


@has_notes
@pytest.mark.parametrize("function", [failing, failing_later])
@pytest.mark.parametrize("strategy", ["build", "create"])
async def test_declaration_raises(function: Any, strategy: str) -> None:
    """Of a declaration's error, the note names the factory, the way, and the object."""
    with_error = {"deputy__email": factory.LazyFunction(function)}
    call = TeamFactory.generate_async(strategy, **with_error)
    assert await notes_of(call) == ["building TeamFactory → deputy (UserFactory)"]
    count = iter(range(10))

    def third(user: Any) -> str:
        number = next(count)
        return failing() if number == 2 else str(number)

    with_error = {"deputy__email": factory.LazyAttribute(third)}
    call = TeamFactory.generate_batch_async(strategy, 5, **with_error)
    expected = "building TeamFactory → deputy (UserFactory), object 3 of 5"
    assert await notes_of(call) == [expected]


@has_notes
@pytest.mark.parametrize("strategy", ["build", "create"])
async def test_constructor_raises(strategy: str) -> None:
    """So it does of an error of the model's constructor."""
    call = OfFailingModel.generate_async(strategy)
    assert await notes_of(call) == ["building OfFailingModel"]
    call = TeamFactory.generate_async(strategy, deputy=factory.SubFactory(OfFailingModel))
    assert await notes_of(call) == ["building TeamFactory → deputy (OfFailingModel)"]


@has_notes
@pytest.mark.parametrize("hook", [failing, failing_later])
@pytest.mark.parametrize("strategy", ["build", "create"])
async def test_hook_raises(hook: Any, strategy: str) -> None:
    """So it does of an error of a hook."""
    call = TeamFactory.generate_async(strategy, deputy=factory.SubFactory(hooked(hook)))
    assert await notes_of(call) == ["building TeamFactory → deputy (Hooked)"]


@has_notes
@pytest.mark.parametrize("name", ["_adjust_kwargs", "_create", "_after_postgeneration"])
@pytest.mark.parametrize("function", [failing, failing_later])
async def test_override_raises(name: str, function: Any) -> None:
    """So it does of an error of an overridden method of the factory."""
    overriding: Any = type(UserFactory)("Overriding", (UserFactory,), {name: classmethod(function)})
    assert await notes_of(overriding.create_async()) == ["building Overriding"]


@has_notes
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_factory_that_a_hook_calls(session: AsyncSession, is_async: bool) -> None:
    """Of a factory that a hook calls, the way is that to the hook, and on."""
    await UserFactory.create_async(email="taken")
    await session.commit()

    def hook(*_: Any, **kwargs: Any) -> None:
        TeamFactory.create(deputy__email="taken")

    async def async_hook(*_: Any, **kwargs: Any) -> None:
        await TeamFactory.create_async(deputy__email="taken")

    Hooked = hooked(async_hook if is_async else hook)  # noqa: N806
    (note,) = await notes_of(Hooked.create_async(), IntegrityError)
    assert note == "storing Hooked → TeamFactory → deputy (UserFactory)"
    await session.rollback()
    call = TeamFactory.create_async(deputy=factory.SubFactory(Hooked))
    (note,) = await notes_of(call, IntegrityError)
    assert note == "storing TeamFactory → deputy (Hooked) → TeamFactory → deputy (UserFactory)"


@has_notes
@pytest.mark.parametrize("strategy", ["build", "create"])
async def test_related_factories(strategy: str) -> None:
    """Of objects that come after another, the way names the declaration they are from."""

    class WithRelated(UserFactory):
        teams = factory.RelatedFactoryList(
            TeamFactory, "deputy", size=3, name=factory.LazyFunction(failing)
        )

    call = WithRelated.generate_async(strategy)
    assert await notes_of(call) == ["building WithRelated → teams (TeamFactory)"]
    if strategy == "create":
        (note,) = await notes_of(WithRelated.create_async(teams__name=None), IntegrityError)
        assert note.startswith("storing WithRelated → teams (TeamFactory)")


# --- the error itself ----------------------------------------------------------------------------


class OwnError(Exception):
    """An error whose constructor cannot be called with its args."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


@pytest.mark.parametrize("strategy", ["build", "create"])
async def test_error_is_untouched(strategy: str) -> None:
    """The very error that was raised arrives: with its class, its args and its cause."""
    error = OwnError(1, 2)
    cause = KeyError("cause")

    def raising() -> None:
        raise error from cause

    call = TeamFactory.generate_async(strategy, deputy__email=factory.LazyFunction(raising))
    with pytest.raises(OwnError) as raised:
        await call
    assert raised.value is error
    assert error.args == ("1 and 2",)
    assert str(error) == "1 and 2"
    assert error.__cause__ is cause
    assert len(getattr(error, "__notes__", ())) == (sys.version_info >= (3, 11))


@has_notes
async def test_one_note() -> None:
    """An error that goes through several factories, or is raised again, has one note of ours."""
    error = ValueError("again")
    error.add_note("the user's")

    def raising(*_: Any, **kwargs: Any) -> None:
        raise error

    async def hook(*_: Any, **kwargs: Any) -> None:
        await UserFactory.create_async(email=factory.LazyFunction(raising))

    for _ in range(2):
        with pytest.raises(ValueError, match="again"):
            await TeamFactory.create_async(deputy=factory.SubFactory(hooked(hook)))
    first, second = error.__notes__
    assert first == "the user's"
    assert second == (
        "async-factory-boy: raised while building TeamFactory → deputy (Hooked) → UserFactory"
    )


async def test_own_errors_have_none() -> None:
    """Errors of this library name the factory already."""

    class Looking(UserFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

    async def hook(*_: Any, **kwargs: Any) -> None:
        UserFactory.build()
        await UserFactory.create_async(emial="x")

    assert await notes_of(TeamFactory.create_async(deputy__emial="x"), OptionError) == []
    assert await notes_of(Looking.create_async(), ConfigurationError) == []
    assert await notes_of(hooked(hook).create_async(), OptionError) == []
    with pytest.raises(SyncCallError) as raised:
        UserFactory.build(email=factory.LazyFunction(failing_later))
    assert not hasattr(raised.value, "__notes__")


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="errors take notes")
async def test_no_notes_before_python_3_11() -> None:
    """Where errors take no notes, they arrive as they are."""
    with pytest.raises(ValueError, match=r"^secret$") as raised:
        await UserFactory.create_async(email=factory.LazyFunction(failing))
    assert not hasattr(raised.value, "__notes__")


# --- which objects an error may be about ---------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "users", "teams"),
    [
        ("INSERT INTO noted_user (email) VALUES (?)", True, False),
        ('INSERT INTO "noted_user" (email) VALUES (?)', True, False),
        ("INSERT INTO `noted_user` (email) VALUES (?)", True, False),
        ("\n  insert into main.noted_team (name) VALUES (?)", False, True),
        ("INSERT INTO another (name) VALUES (?)", False, False),
        ("UPDATE noted_user SET email=?", True, True),
        (None, True, True),
    ],
)
def test_sqlalchemy_knows_the_table(statement: str | None, users: bool, teams: bool) -> None:
    """SQLAlchemy's errors have the statement: an INSERT is about the models of its table."""
    error = IntegrityError(statement, {}, Exception())
    adapter: SQLAlchemyAdapter[Any] = SQLAlchemyAdapter()
    assert adapter.concerns(error, User) is users
    assert adapter.concerns(error, Team) is teams


def test_sqlalchemy_takes_errors_of_other_kinds() -> None:
    """An error without a statement may be about any model."""
    assert SQLAlchemyAdapter().concerns(ValueError(), User)


# --- deep graphs ---------------------------------------------------------------------------------


class Node(Base):
    __tablename__ = "noted_node"

    id: Mapped[int] = mapped_column(primary_key=True)
    depth: Mapped[int]
    below_id: Mapped[int | None] = mapped_column(ForeignKey("noted_node.id"))
    below: Mapped[Node | None] = relationship(remote_side=[id])


def node_below(name: str) -> factory.Maybe:
    """Declare another node of the factory of that name, one deeper."""
    below = factory.SubFactory(
        f"{__name__}.{name}",
        depth=factory.LazyAttribute(lambda node: node.factory_parent.depth + 1),
        size=factory.SelfAttribute("..size"),
    )
    return factory.Maybe("goes_on", below)


class NodeFactory(AsyncSQLAlchemyModelFactory[Node]):
    class Params:
        size = 500
        goes_on = factory.LazyAttribute(lambda node: node.depth < node.size - 1)

    depth = 0
    below = node_below("NodeFactory")


class FailingNodeFactory(NodeFactory):
    """The deepest node fails."""

    class Params:
        goes_on = factory.LazyAttribute(lambda node: node.depth < node.size - 1 or failing())

    below = node_below("FailingNodeFactory")


@pytest.mark.parametrize("strategy", ["build", "create"])
async def test_deep_graph(session: AsyncSession, strategy: str) -> None:
    """A graph of hundreds of levels that ends is built, and stored."""
    node = await NodeFactory.generate_async(strategy)
    depths = []
    while node is not None:
        depths.append(node.depth)
        node = node.below
    assert depths == list(range(500))
    stored = await session.scalar(select(func.count()).select_from(Node))
    assert stored == (500 if strategy == "create" else 0)


@has_notes
@pytest.mark.parametrize("size", [12, 13, 500])
async def test_long_way_is_cut(size: int) -> None:
    """The middle of a long way is left out."""
    names = ["FailingNodeFactory", *["below"] * (size - 1)]
    if size > 12:
        names = [*names[:6], "…", *names[-6:]]
    notes = await notes_of(FailingNodeFactory.build_async(size=size))
    assert notes == [f"building {' → '.join(names)} (FailingNodeFactory)"]
