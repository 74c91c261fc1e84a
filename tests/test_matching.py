"""Which lookups are the same; and get_or_create in a batch finds what a loop finds."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Hashable, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

import factory
import pytest
from sqlalchemy import DateTime, Numeric, String, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_factory_boy import MultipleFoundError, bind
from async_factory_boy.adapters import matching
from async_factory_boy.adapters.matching import loosely, strictly
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from tests.servers import Servers
from tests.stores import sqlalchemy as stores
from tests.stores.base import params


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Shade(Enum):
    RED = "red"


class Word(str, Enum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Shown:
    """Not hashable; shows what it is equal by."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: str) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shown) and other.value == self.value

    def __repr__(self) -> str:
        return f"Shown({self.value!r})"


class Opaque:
    """Not hashable, and shows nothing of its value."""

    __hash__ = None  # type: ignore[assignment]


class Stored:
    """What has a row of its own; equal to all of its kind."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stored)

    def __hash__(self) -> int:
        return 1


def is_stored(value: object) -> bool:
    return isinstance(value, Stored)


NOON = datetime(2020, 1, 1, 12, tzinfo=timezone.utc)
SAME_NOON = NOON.astimezone(timezone(timedelta(hours=2)))
SOME_UUID = UUID("12345678-1234-5678-1234-567812345678")
OPAQUE, STORED = Opaque(), Stored()

EQUAL = [
    (None, None),
    ("red", "red"),
    (b"red", b"red"),
    (1, 1),
    (1.5, 1.5),
    (Decimal("1.0"), Decimal("1.0")),
    (SOME_UUID, UUID(str(SOME_UUID))),
    (NOON, NOON.replace()),
    (date(2020, 1, 1), date(2020, 1, 1)),
    (Colour.RED, Colour("red")),
    ([1, "a"], [1, "a"]),
    ((1, "a"), (1, "a")),
    ({1}, {1}),
    ({"a": [1]}, {"a": [1]}),
    (OPAQUE, OPAQUE),
    (STORED, STORED),
    (float("nan"), float("nan")),
]
"""Values that every store takes for the same."""

ALIKE = [
    ("red", "RED"),
    ("straße", "STRASSE"),
    ("café", "cafe"),
    ("café", "cafe\N{COMBINING ACUTE ACCENT}"),
    ("abc", "\N{FULLWIDTH LATIN SMALL LETTER A}bc"),
    ("red", "red "),
    ("red", " red"),
    ("e-mail", "email"),
    ("red", b"red"),
    (1, 1.0),
    (1, True),
    (0, False),
    (1, Decimal(1)),
    (1, Fraction(1)),
    (Decimal("1.0"), Decimal("1.00")),
    (0.0, -0.0),
    (0.1, Decimal("0.1")),
    (10**20, Decimal(10**20)),
    ("1", 1),
    ("1", Decimal("1.0")),
    ("1.5", 1.5),
    ("1.50", Decimal("1.50")),
    ("-1", -1),
    (SOME_UUID, str(SOME_UUID)),
    (SOME_UUID, SOME_UUID.hex),
    (SOME_UUID, str(SOME_UUID).upper()),
    (NOON, SAME_NOON),
    (NOON, NOON.replace(microsecond=1)),
    (date(2020, 1, 1), "2020-01-01"),
    (Word.RED, "red"),
    (Word.RED, "RED"),
    (Level.ONE, 1),
    ([1], (1,)),
    ([1], [1.0]),
    (["red"], ["RED"]),
    ({0, 8}, {8.0, 0.0}),
    ({"a": 1}, {"A": 1.0}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (Shown("red"), Shown("red")),
    (Shown("red"), Shown("RED")),
]
"""Values that are not the same to all stores, but to some."""

DIFFERENT = [
    (None, ""),
    (None, 0),
    ("red", "blue"),
    ("user1", "user2"),
    ("user1", "user11"),
    ("1", 2),
    (1, 2),
    (1, 1.5),
    (10**20, 10**20 + 1),
    (NOON, NOON + timedelta(hours=1)),
    (date(2020, 1, 1), date(2020, 1, 2)),
    (SOME_UUID, UUID(int=1)),
    (Colour.RED, Colour.BLUE),
    (Colour.RED, Shade.RED),
    ([1, 2], [2, 1]),
    ([1], [1, 1]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    (Shown("red"), Shown("blue")),
    (OPAQUE, Opaque()),
    (STORED, Stored()),
    ([STORED], [Stored()]),
]
"""Values that no store takes for the same."""


def shown(pair: object) -> str:
    # Without addresses, or workers would collect other tests.
    return re.sub(r" at 0x[0-9a-f]+", "", ascii(pair))


def keys(pair: tuple[Any, Any], of: Any) -> list[Hashable]:
    found = [of(value, is_stored) for value in pair]
    assert all(hash(one) == hash(one) for one in found)
    return found


@pytest.mark.parametrize("pair", EQUAL, ids=shown)
def test_equal(pair: tuple[Any, Any]) -> None:
    """What every store takes for the same is the same strictly, and loosely."""
    first, second = keys(pair, strictly)
    assert first == second
    first, second = keys(pair, loosely)
    assert first == second


@pytest.mark.parametrize("pair", ALIKE, ids=shown)
def test_alike(pair: tuple[Any, Any]) -> None:
    """What only some store takes for the same differs strictly, and is the same loosely."""
    first, second = keys(pair, strictly)
    assert first != second
    first, second = keys(pair, loosely)
    assert first == second


@pytest.mark.parametrize("pair", DIFFERENT, ids=shown)
def test_different(pair: tuple[Any, Any]) -> None:
    """What no store takes for the same differs strictly, and loosely."""
    first, second = keys(pair, strictly)
    assert first != second
    first, second = keys(pair, loosely)
    assert first != second


@pytest.mark.parametrize("hours", [-5, 0, 5])
@pytest.mark.parametrize("value", [datetime.min, datetime.max], ids=["min", "max"])
def test_last_and_first_datetime(value: datetime, hours: int) -> None:
    """The first and the last datetime have a key, in any time zone, and without one."""
    zoned = value.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert loosely(zoned, is_stored) == loosely(zoned.replace(), is_stored)
    assert loosely(value, is_stored) == loosely(value.replace(), is_stored)


class Base(DeclarativeBase):
    pass


class Tag(Base):
    """`name` is not told apart by case on SQLite and MariaDB, and is on PostgreSQL."""

    __tablename__ = "matching_tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(
        String(50).with_variant(String(50, collation="NOCASE"), "sqlite")
    )


class Price(Base):
    __tablename__ = "matching_price"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[Decimal] = mapped_column(Numeric(10, 2))


class Moment(Base):
    __tablename__ = "matching_moment"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[datetime] = mapped_column(DateTime(timezone=True))


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


async def found(
    session: AsyncSession,
    kind: Any,
    name: str,
    values: Sequence[Any],
    there: Sequence[Any],
    size: int,
) -> list[Any]:
    """Get or create objects, in batches; return the rows, and which of them each object has."""

    class Factory(AsyncSQLAlchemyModelFactory[Any]):
        class Meta:
            model = kind
            sqlalchemy_get_or_create = (name,)
            batch_size = size

    column = getattr(kind, name)
    session.add_all([kind(**{name: value}) for value in there])
    await session.flush()
    with_values = type("WithValues", (Factory,), {name: factory.Iterator(values)})
    made = await with_values.create_batch_async(len(values))
    rows = (await session.execute(select(kind.id, column).order_by(kind.id))).all()
    order = [row[0] for row in rows]
    result = [[row[1] for row in rows], [order.index(one.id) for one in made]]
    await session.rollback()
    session.expunge_all()
    return result


NAMES = [
    ["red", "RED"],
    ["RED", "red", "Red", "red"],
    ["red", "blue", "RED", "green", "Blue"],
    ["red", "red ", "réd"],
]


@pytest.mark.parametrize("there", [[], ["red"], ["RED"], ["rEd", "green"]], ids=ascii)
@pytest.mark.parametrize("names", NAMES, ids=ascii)
async def test_names(session: AsyncSession, names: list[str], there: list[str]) -> None:
    """Names that differ in case find the rows that a loop finds, whatever the collation."""
    of_loop = await found(session, Tag, "name", names, there, 1)
    assert await found(session, Tag, "name", names, there, 1000) == of_loop


async def test_case_makes_a_difference(engine: AsyncEngine, session: AsyncSession) -> None:
    """The stores of these tests do not agree on case, so that the tests can fail."""
    rows, _ = await found(session, Tag, "name", ["red", "RED"], [], 1000)
    assert len(rows) == (2 if engine.dialect.name == "postgresql" else 1)


DECIMALS = [Decimal("1"), Decimal("1.0"), Decimal("1.50"), Decimal("1.5"), Decimal("2")]


@pytest.mark.parametrize("there", [[], [Decimal("1.5")]], ids=ascii)
async def test_decimals(session: AsyncSession, there: list[Decimal]) -> None:
    """Decimals that are equal, but written in another way, find the rows that a loop finds."""
    of_loop = await found(session, Price, "value", DECIMALS, there, 1)
    assert await found(session, Price, "value", DECIMALS, there, 1000) == of_loop


MOMENTS = [NOON, SAME_NOON, NOON + timedelta(hours=2), NOON, SAME_NOON + timedelta(hours=2)]


@pytest.mark.parametrize("there", [[], [NOON], [SAME_NOON]], ids=["none", "utc", "zoned"])
async def test_datetimes(session: AsyncSession, there: list[datetime]) -> None:
    """Datetimes of one instant in two zones find the rows that a loop finds."""
    of_loop = await found(session, Moment, "value", MOMENTS, there, 1)
    assert await found(session, Moment, "value", MOMENTS, there, 1000) == of_loop


async def test_distinct_names(engine: AsyncEngine, session: AsyncSession) -> None:
    """Names that no store takes for the same are one SELECT and one INSERT."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLAlchemy inserts row by row on SQLite")
    sent: list[str] = []
    event.listen(
        engine.sync_engine, "before_cursor_execute", lambda *args: sent.append(args[2].split()[0])
    )

    class Factory(AsyncSQLAlchemyModelFactory[Tag]):
        class Meta:
            model = Tag
            sqlalchemy_get_or_create = ("name",)

        name = factory.Sequence(lambda n: f"tag{n}")

    await Factory.create_batch_async(100)
    assert sent.count("SELECT") == 1
    assert sent.count("INSERT") == 1


# Which object answers which lookup.


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, [None, None]),
        ({"a": 1}, ["a0", None]),
        ({"a": 1, "b": 1}, ["a0", "b0"]),
        ({"a": 2}, [matching.ASK, None]),
        ({"a": 1, "A": 1}, ["a0", matching.ASK]),
        ({"A": 1}, [matching.ASK, matching.ASK]),
    ],
)
def test_which_object_answers(found: dict[str, int], expected: list[object]) -> None:
    """One object that has the values answers; where there are others, the store is asked."""
    objects = [((name,), f"{name}{n}") for name, number in found.items() for n in range(number)]
    assert matching.matched([("a",), ("b",)], objects) == expected


def test_only_one() -> None:
    """Several objects for one lookup are an error, which shows no values."""
    assert matching.only_one([], dict, {"name": "secret"}) is None
    assert matching.only_one(["x"], dict, {"name": "secret"}) == "x"
    with pytest.raises(MultipleFoundError) as caught:
        matching.only_one(["x", "y"], dict, {"name": "secret", "size": 1})
    assert str(caught.value) == (
        "get_or_create looks for one dict by 'name', 'size', and several have these values. Name "
        "fields in get_or_create whose values are unique together; or remove all but one of them."
    )
