"""What the SQLAlchemy adapter tells of the fields of a mapped class."""

from __future__ import annotations

import datetime as dt
import enum
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, TypedDict

import psycopg
import pydantic
import pytest
import sqlalchemy as sa
from annotated_types import Ge, Len, MaxLen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoReferencedTableError
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    MappedColumn,
    column_property,
    composite,
    declared_attr,
    mapped_column,
    registry,
    relationship,
    synonym,
)

from async_factory_boy.adapters.fields import NO_DEFAULT, Field, Relation
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.exceptions import AdapterError
from tests.auto.teams import Player, Size, Team
from tests.servers import Servers

if TYPE_CHECKING:
    Unknown = Any

ONCE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def fields(model: Any) -> dict[str, Field]:
    return {field.name: field for field in SQLAlchemyAdapter[Any]().fields(model)}


def field_of(
    *args: Any, hint: Any = None, name: str = "x", extra: Any = (), **kwargs: Any
) -> Field:
    """Return the field of a class with a column that is made like that."""
    columns: dict[str, Any] = {name: mapped_column(*args, **kwargs), "__table_args__": tuple(extra)}
    if hint is not None:
        columns["__annotations__"] = {name: hint}
    return fields(mapped(**columns))[name]


def mapped(**attributes: Any) -> Any:
    """Return a class of a registry of its own, with a key of its own."""
    base: Any = registry().generate_base()
    key = {} if "id" in attributes else {"id": mapped_column(sa.Integer, primary_key=True)}
    attributes.setdefault("__tablename__", "model")
    return type("Model", (base,), {"__module__": __name__, **key, **attributes})


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Settings(TypedDict):
    theme: str


class Money:
    pass


UserId = NewType("UserId", int)


# Types.


class Lower(sa.TypeDecorator[Any]):
    """Tells of nothing, and converts."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and value.lower()


class Stamp(sa.TypeDecorator[Any]):
    """Converts only what comes back."""

    impl = sa.DateTime
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value


class OwnType(Lower):
    @property
    def python_type(self) -> type[Any]:
        return Money


class Noted(sa.TypeDecorator[Any]):
    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Money | None, dialect: Any) -> Any: ...


class Nested(sa.TypeDecorator[Any]):
    impl = Stamp
    cache_ok = True


class Kept(sa.types.UserDefinedType[Any]):
    cache_ok = True


TYPES: list[tuple[Any, Any, dict[str, Any]]] = [
    (sa.Integer(), None, {"type": int, "stored_as": "INTEGER"}),
    (sa.SmallInteger(), None, {"type": int, "ge": -32768, "le": 32767}),
    (mysql.INTEGER(unsigned=True), None, {"type": int, "ge": 0}),
    (sa.String(30), None, {"type": str, "max_length": 30, "stored_as": "VARCHAR(30)"}),
    (sa.Text(), None, {"type": str, "max_length": None}),
    (sa.Numeric(10, 2), None, {"type": Decimal, "precision": 10, "scale": 2}),
    (sa.Numeric(10), None, {"type": Decimal, "precision": 10, "scale": 0}),
    (sa.Numeric(), None, {"type": Decimal, "precision": None, "scale": None}),
    (sa.Numeric(5, 1, asdecimal=False), None, {"type": float, "precision": 5, "scale": 1}),
    (sa.Float(10), None, {"type": float, "precision": None}),
    (sa.Boolean(), None, {"type": bool}),
    (sa.Date(), None, {"type": dt.date, "aware": None}),
    (sa.Time(), None, {"type": dt.time, "aware": False}),
    (sa.DateTime(), None, {"type": dt.datetime, "aware": False}),
    (sa.DateTime(timezone=True), None, {"type": dt.datetime, "aware": True}),
    (sa.Interval(), None, {"type": dt.timedelta}),
    (sa.LargeBinary(8), None, {"type": bytes, "max_length": 8}),
    (sa.Uuid(), None, {"type": uuid.UUID}),
    (sa.Uuid(as_uuid=False), None, {"type": str, "max_length": None}),
    (postgresql.UUID(), None, {"type": uuid.UUID}),
    (sa.Enum(Color), None, {"type": Color, "choices": (), "max_length": None}),
    (sa.Enum("a", "b"), None, {"type": str, "choices": ("a", "b"), "max_length": None}),
    (sa.JSON(), None, {"type": dict, "element": None, "annotation": None}),
    (sa.JSON(), Mapped[Any], {"type": dict, "annotation": None}),
    (sa.JSON(), Mapped[Settings], {"type": dict, "annotation": Settings}),
    (postgresql.JSONB(), Mapped[list[str] | None], {"type": list, "annotation": list[str] | None}),
    (sa.JSON(), "Mapped[Sequence[str]]", {"type": list, "annotation": Sequence[str]}),
    (postgresql.HSTORE(), None, {"type": dict}),
    (sa.PickleType(), None, {"type": None, "stored_as": "PickleType"}),
    # A column of strings or numbers may be annotated with what says more.
    (sa.String(10), Mapped[Size], {"type": Size, "max_length": None}),
    (sa.String(10), Mapped[Color], {"type": str, "choices": ("red", "blue")}),
    (sa.String(10), Mapped[Literal["a", "b"]], {"type": str, "choices": ("a", "b")}),
    (sa.Integer(), Mapped[Literal["a"]], {"type": int, "choices": ()}),
    (sa.Integer(), Mapped[UserId], {"type": int}),
    (
        sa.String(9),
        Mapped[Annotated[str, Len(2, 5)] | None],
        {"min_length": 2, "max_length": 5, "annotation": Annotated[str, Len(2, 5)] | None},
    ),
    (sa.String(4), Mapped[Annotated[str, MaxLen(5)]], {"max_length": 4}),
    # What SQLAlchemy cannot tell of, and what another package knows.
    (postgresql.INET(), None, {"type": None, "stored_as": "INET"}),
    (postgresql.INET(), Mapped[str], {"type": None}),
    (postgresql.CIDR(), None, {"type": None}),
    (postgresql.MACADDR(), None, {"type": None}),
    (postgresql.TSVECTOR(), Mapped[str], {"type": None}),
    (postgresql.INT4RANGE(), None, {"type": None}),
    (postgresql.INT4RANGE(), Mapped[postgresql.Range[int]], {"type": postgresql.Range}),
    (Kept(), None, {"type": None, "stored_as": "Kept()"}),
    (Kept(), Mapped[Money], {"type": Money}),
    (postgresql.DOMAIN("d", sa.String(7)), None, {"type": str, "max_length": 7}),
    # Decorators.
    (Lower(5), None, {"type": None, "stored_as": "Lower"}),
    (Lower(5), Mapped[str], {"type": str, "max_length": 5}),
    (OwnType(5), Mapped[str], {"type": Money, "max_length": None, "stored_as": "OwnType"}),
    (Noted(), None, {"type": Money}),
    (Stamp(timezone=True), None, {"type": dt.datetime, "aware": True, "stored_as": "Stamp"}),
    (Nested(), None, {"type": dt.datetime, "aware": False, "stored_as": "Nested"}),
]


@pytest.mark.parametrize(
    ("store_type", "hint", "told"), TYPES, ids=lambda one: str(one)[:40].replace("\n", " ")
)
def test_types(store_type: Any, hint: Any, told: Mapping[str, Any]) -> None:
    """The type of a column, and what the attribute is annotated with, tell of the values."""
    field = field_of(store_type, hint=hint)
    assert {name: getattr(field, name) for name in told} == told
    assert type(field.store_type) is type(store_type)


def test_array() -> None:
    """An array is a list, whose items are told of by their own type; so are arrays of arrays."""
    field = field_of(postgresql.ARRAY(sa.String(5)))
    assert (field.type, field.max_length) == (list, None)
    assert field.element is not None
    assert (field.element.name, field.element.type, field.element.max_length) == ("x", str, 5)
    nested = field_of(sa.ARRAY(sa.Integer, dimensions=2)).element
    assert nested is not None
    assert nested.element is not None
    assert (nested.type, nested.element.type) == (list, int)


def test_converting_decorator_over_naive_dates() -> None:
    """Whether a decorator that converts takes naive dates is not told by what it stores."""

    class Zoned(sa.TypeDecorator[dt.datetime]):
        impl = sa.DateTime
        cache_ok = True

        def process_bind_param(self, value: dt.datetime, dialect: Any) -> Any: ...

    field = field_of(Zoned())
    assert (field.type, field.aware) == (dt.datetime, None)


def test_annotation_that_is_not_to_be_told() -> None:
    """What a column is annotated with counts only where its names have values."""

    class Base(DeclarativeBase):
        __allow_unmapped__ = True

    class Bill(Base):
        __tablename__ = "bill"
        id = sa.Column(sa.Integer, primary_key=True)
        number: Unknown = sa.Column(sa.Integer)  # type: ignore[valid-type]
        price: Unknown = sa.Column(Lower(5))  # type: ignore[valid-type]
        paid: Money = sa.Column(Lower(5))  # type: ignore[assignment]

    told = fields(Bill)
    assert [told[name].type for name in ("number", "price", "paid")] == [int, None, Money]


def test_annotation_of_declared_attr() -> None:
    """What a declared attribute of a mixin returns says of the values what an annotation says."""

    class Mixin:
        @declared_attr
        def price(cls) -> MappedColumn[Money]:
            return mapped_column(Lower(5))

    base: Any = registry().generate_base()

    class Priced(Mixin, base):  # type: ignore[misc]
        __tablename__ = "priced"
        id = mapped_column(sa.Integer, primary_key=True)

    assert fields(Priced)["price"].type is Money


# Who fills a column.


FILLED: list[tuple[Any, dict[str, Any]]] = [
    ({"nullable": False}, {"required": True, "nullable": False, "has_default": False}),
    ({"nullable": True}, {"required": False, "nullable": True, "has_default": False}),
    ({"default": 3, "nullable": False}, {"required": False, "has_default": True, "default": 3}),
    ({"default": int}, {"has_default": True, "default": NO_DEFAULT}),
    ({"default": sa.func.now()}, {"has_default": True, "default": NO_DEFAULT}),
    ({"insert_default": 4}, {"has_default": True, "default": 4}),
    (
        {"server_default": "5", "nullable": False},
        {"has_default": True, "default": 5, "generated": False, "required": False},
    ),
    ({"server_default": sa.text("-7")}, {"default": -7}),
    ({"server_default": sa.text("1.5")}, {"default": NO_DEFAULT, "has_default": True}),
    ({"server_default": sa.text("f(1)")}, {"default": NO_DEFAULT, "has_default": True}),
    ({"server_default": sa.func.f()}, {"default": NO_DEFAULT, "has_default": True}),
    ({"server_default": sa.FetchedValue()}, {"generated": True, "default": NO_DEFAULT}),
]


@pytest.mark.parametrize(("how", "told"), FILLED, ids=lambda one: str(list(one))[:40])
def test_filled(how: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """A column is required if it takes no NULL, and neither Python nor the server fills it."""
    field = field_of(sa.Integer, **how)
    assert {name: getattr(field, name) for name in told} == told


@pytest.mark.parametrize(
    ("store_type", "server_default", "default"),
    [
        (sa.String(9), "abc", "abc"),
        (sa.String(9), sa.text("'abc'"), "abc"),
        (sa.String(9), sa.text("abc"), NO_DEFAULT),
        (sa.Boolean(), sa.true(), True),
        (sa.Boolean(), sa.false(), False),
        (sa.Boolean(), sa.text("FALSE"), False),
        (sa.Boolean(), "1", True),
        (sa.Boolean(), sa.text("x()"), NO_DEFAULT),
        (sa.Numeric(4, 2), "1.50", Decimal("1.50")),
        (sa.Float(), sa.text("2"), 2.0),
        (sa.DateTime(), "2020-01-01", NO_DEFAULT),
    ],
    ids=str,
)
def test_server_default(store_type: Any, server_default: Any, default: Any) -> None:
    """A default that the server has is told where it is a plain value of the field's type."""
    assert field_of(store_type, server_default=server_default).default == default


GENERATED: list[tuple[tuple[Any, ...], dict[str, Any], bool]] = [
    ((sa.Integer,), {}, True),
    ((sa.Integer, sa.Identity()), {}, True),
    ((sa.Integer, sa.Sequence("s")), {}, True),
    ((sa.Uuid,), {"server_default": sa.text("gen_random_uuid()")}, True),
    ((sa.Integer,), {"autoincrement": False}, False),
    ((sa.Uuid,), {}, False),
    ((sa.String(9),), {}, False),
]


@pytest.mark.parametrize(("args", "kwargs", "is_generated"), GENERATED)
def test_keys(args: Any, kwargs: Any, is_generated: bool) -> None:
    """A key that the store makes is generated; any other has to be given, unlike all others."""
    field = fields(mapped(id=mapped_column(*args, primary_key=True, **kwargs)))["id"]
    assert field.generated is field.has_default is is_generated
    assert field.required is not is_generated
    assert field.unique == (frozenset({"id"}),)


def test_computed() -> None:
    """What the store computes is generated, and not required."""
    field = field_of(sa.Integer, sa.Computed("id + 1"), nullable=False)
    assert (field.generated, field.required) == (True, False)


def test_key_with_python_default() -> None:
    """A key that a function of Python's makes is filled, and not by the store."""
    model = mapped(id=mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4))
    field = fields(model)["id"]
    assert (field.required, field.generated, field.has_default) == (False, False, True)


def test_composite_key() -> None:
    """The parts of a composite key have to be given, and are unique together."""
    told = fields(
        mapped(
            id=mapped_column(sa.Integer, primary_key=True),
            b=mapped_column(sa.Integer, primary_key=True),
        )
    )
    for name in ("id", "b"):
        assert told[name].required
        assert told[name].unique == (frozenset({"id", "b"}),)


def test_version_and_system_columns() -> None:
    """A version that the mapper counts is generated; a column of the system is no field."""
    version = mapped_column(sa.Integer, nullable=False)
    xmin = mapped_column("xmin", sa.Integer, system=True)
    told = fields(mapped(version=version, xmin=xmin, __mapper_args__={"version_id_col": version}))
    assert (told["version"].generated, told["version"].required) == (True, False)
    assert "xmin" not in told


# Unique.


def test_unique() -> None:
    """Each way to say that values are unique is told, by the names of the attributes."""

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str] = mapped_column("mail", unique=True)
        slug: Mapped[str] = mapped_column(unique=True, index=True)
        a: Mapped[str]
        b: Mapped[str]
        c: Mapped[str] = mapped_column(index=True)
        hidden = sa.Column("hidden", sa.Integer)
        __table_args__ = (
            sa.UniqueConstraint("a", "mail"),
            sa.Index("partial", "b", unique=True, sqlite_where=sa.text("b > ''")),
            sa.Index("lower", sa.func.lower(c), unique=True),
            sa.Index("text", sa.text("a || b"), unique=True),
        )

    told = fields(User)
    both = frozenset({"a", "email"})
    assert set(told["email"].unique) == {frozenset({"email"}), both}
    assert told["slug"].unique == (frozenset({"slug"}),)
    assert told["a"].unique == (both,)
    assert told["b"].unique == (frozenset({"b"}),)
    assert told["c"].unique == (frozenset({"c"}),)
    assert told["hidden"].unique == ()


# Checks.


NO = dict[str, Any]()
CHECKS: list[tuple[Any, Any, dict[str, Any]]] = [
    (int, "x > 0", {"gt": 0}),
    (int, "x >= 0 AND x < 10", {"ge": 0, "lt": 10}),
    (int, "(x >= 0) and ((x <= 10))", {"ge": 0, "le": 10}),
    (int, "0 < x AND 10 >= x", {"gt": 0, "le": 10}),
    (int, "x BETWEEN -5 AND +5 AND x <> 0", {"ge": -5, "le": 5}),
    (int, "x > 0 AND x >= 0 AND x >= 1 AND x > 1", {"gt": 1}),
    (int, '"x" > 1 AND `x` < 7 AND [x] < 6 AND model.x < 5', {"gt": 1, "lt": 5}),
    (int, "X > 1", {"gt": 1}),
    (int, "x IN (1, 2, 3) AND x IN (2, 3, 4)", {"choices": (2, 3)}),
    (int, "x = 4", {"choices": (4,)}),
    (int, "x IN (1) AND x IN (2)", {"choices": (1,)}),
    (int, "x > 0.5", {"gt": Decimal("0.5")}),
    (Decimal, "x >= 0.5", {"ge": Decimal("0.5")}),
    (float, "x >= 0.5", {"ge": 0.5}),
    (str, "x IN ('a', 'it''s')", {"choices": ("a", "it's")}),
    (str, "length(x) >= 3 AND char_length(x) <= 5", {"min_length": 3, "max_length": 5}),
    (str, "length(x) > 3 AND length(x) < 5", {"min_length": 4, "max_length": 4}),
    (str, "3 <= length(model.x)", {"min_length": 3}),
    (str, "length(x) BETWEEN 2 AND 4", {"min_length": 2, "max_length": 4}),
    (str, "length(x) = 4", {"min_length": 4, "max_length": 4}),
    (str, "x <> ''", {"min_length": 1}),
    (str, "x != ''", {"min_length": 1}),
    (str, "x ~ '^a' AND x <> ''", {"min_length": 1}),
    # What is left alone.
    (int, "x > 0 OR id > 1", NO),
    (int, "x > 0 AND id > 1 OR id < 0", NO),
    (int, "x > 0 || id > 1", NO),
    (int, "x > 0 XOR id > 1", NO),
    (int, "(x > 0 OR id > 1) AND x < 9", {"lt": 9}),
    (int, "NOT x > 0", NO),
    (int, "NOT (x > 0 AND x < 5)", NO),
    (int, "x NOT BETWEEN 1 AND 5", NO),
    (int, "x NOT IN (1, 2)", NO),
    (int, "x BETWEEN SYMMETRIC 5 AND 1", NO),
    (int, "x + 1 > 0", NO),
    (int, "x > 1 + 2", NO),
    (int, "-x > 1", NO),
    (int, "x - 1 > 1", NO),
    (int, "x > id", NO),
    (int, "abs(x) < 3", NO),
    (int, "CASE WHEN id > 0 AND x > 1 AND id < 5 THEN x > 2 ELSE x > 3 END", NO),
    (int, "(CASE WHEN id > 0 AND x > 1 THEN 1 ELSE 0 END) = 1 AND x > 4", {"gt": 4}),
    (int, "x > 0 -- AND x < 5", NO),
    (int, "x > 0 /* AND x < 5 */", NO),
    (int, "x > '1'", NO),
    (int, "x <> 3", NO),
    (int, "x > 1e5", NO),
    (int, "y > 1", NO),
    (int, '"X" > 1', NO),
    (int, "x IS NULL AND x > 1 IS TRUE", NO),
    (int, "length(x) > 2", NO),
    (int, "x IN (0.5)", NO),
    (int, "length(x, 1) > 2", NO),
    (str, "x > 'a'", NO),
    (str, "x IN (1, 2)", NO),
    (str, "x <> 'a'", NO),
    (str, "trim(x) <> ''", NO),
    (str, "length(trim(x)) > 2", NO),
    (str, "length(x) > 'a'", NO),
    (str, "length(x) IN (1, 2)", NO),
    (str, "x = 'a\\' OR x = 'b'", NO),
    (str, "x = 'a' COLLATE nocase", NO),
    (str, "x LIKE 'a%'", NO),
    (str, "x = E'a'", NO),
    (bool, "x IN (0, 1)", NO),
    (Color, "x IN ('RED')", NO),
    (dt.date, "x > '2020-01-01'", NO),
]

KINDS: dict[Any, Any] = {
    int: sa.Integer(), str: sa.String(), Decimal: sa.Numeric(), float: sa.Float(),
    bool: sa.Boolean(), Color: sa.Enum(Color), dt.date: sa.Date(),
    Money: Lower(),
}  # fmt: skip

BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length", "choices")


def bounds(field: Field) -> dict[str, Any]:
    found = {name: getattr(field, name) for name in BOUNDS}
    return {name: value for name, value in found.items() if value not in (None, ())}


@pytest.mark.parametrize(("kind", "condition", "told"), CHECKS, ids=str)
def test_check_as_text(kind: Any, condition: str, told: Mapping[str, Any]) -> None:
    """A condition of a simple kind is read; another one is left alone, and never misread."""
    field = field_of(KINDS[kind], extra=[sa.CheckConstraint(condition)])
    assert bounds(field) == told
    assert all(type(one) is kind for one in field.choices)
    assert bounds(field_of(KINDS[kind], sa.CheckConstraint(condition))) == told


EXPRESSIONS: list[tuple[Any, Any, dict[str, Any]]] = [
    (int, lambda x, id: x > 0, {"gt": 0}),
    (int, lambda x, id: sa.and_(x >= 0, x < 10, id > 3), {"ge": 0, "lt": 10}),
    (int, lambda x, id: sa.literal(0) < x, {"gt": 0}),
    (int, lambda x, id: x.between(-1, 5), {"ge": -1, "le": 5}),
    (int, lambda x, id: x.in_([1, 2]), {"choices": (1, 2)}),
    (int, lambda x, id: sa.and_(sa.text("x > 2"), x == 3), {"gt": 2, "choices": (3,)}),
    (Decimal, lambda x, id: x.between(1, Decimal("2.5")), {"ge": 1, "le": Decimal("2.5")}),
    (str, lambda x, id: x.in_(["a", "b"]), {"choices": ("a", "b")}),
    (str, lambda x, id: x != "", {"min_length": 1}),
    (str, lambda x, id: sa.func.length(x) >= 3, {"min_length": 3}),
    (str, lambda x, id: sa.func.char_length(x).between(3, 4), {"min_length": 3, "max_length": 4}),
    (dt.date, lambda x, id: x > dt.date(2020, 1, 1), {"gt": dt.date(2020, 1, 1)}),
    (Color, lambda x, id: x.in_([Color.RED]), {"choices": (Color.RED,)}),
    (int, lambda x, id: sa.or_(x > 0, id > 1), NO),
    (int, lambda x, id: sa.and_(sa.or_(x > 0, id > 1), x < 5), {"lt": 5}),
    (int, lambda x, id: ~x.between(1, 2), NO),
    (int, lambda x, id: x.between(2, 1, symmetric=True), NO),
    (int, lambda x, id: x.between(id, 1), NO),
    (int, lambda x, id: x.not_in([1]), NO),
    (int, lambda x, id: x > id, NO),
    (int, lambda x, id: x + 1 > 0, NO),
    (int, lambda x, id: sa.func.abs(x) > 0, NO),
    (int, lambda x, id: x.is_(None), NO),
    (int, lambda x, id: x > sa.bindparam("later", callable_=lambda: 3), NO),
    (int, lambda x, id: sa.not_(sa.and_(x > 1, id > 2)), NO),
    (str, lambda x, id: x > "a", NO),
    (str, lambda x, id: sa.func.lower(x) == "a", NO),
    (str, lambda x, id: sa.func.length(x, 2) > 1, NO),
    (str, lambda x, id: x.like("a"), NO),
    (bool, lambda x, id: x.is_(True), NO),
]


@pytest.mark.parametrize(("kind", "made", "told"), EXPRESSIONS)
def test_check_as_expression(kind: Any, made: Any, told: Mapping[str, Any]) -> None:
    """An expression is read as the text that it stands for."""
    x, id = mapped_column(KINDS[kind]), mapped_column(sa.Integer, primary_key=True)
    model = mapped(id=id, x=x, __table_args__=(sa.CheckConstraint(made(x.column, id.column)),))
    assert bounds(fields(model)["x"]) == told


def test_check_of_what_is_stored() -> None:
    """A check of a column whose type converts is of what is stored, and is left alone."""
    check = sa.CheckConstraint("x IN ('a', 'b')")
    assert bounds(field_of(Lower(5), hint=Mapped[str], extra=[check])) == {"max_length": 5}
    made = field_of(sa.Enum(Color, native_enum=False, create_constraint=True))
    assert bounds(made) == {}


@st.composite
def conditions(draw: st.DrawFn) -> tuple[type[Any], str]:
    """Return the type of a column ``x``, and a condition on it and on ``y``, a number."""
    kind = draw(st.sampled_from([int, str]))
    number = st.integers(-3, 6).map(str)
    sign = st.sampled_from(["<", "<=", ">", ">=", "=", "<>", "!="])
    name = st.sampled_from(["x", "x", "x", "y", "X", '"x"'])
    if kind is int:
        atom = st.one_of(
            st.builds("{} {} {}".format, name, sign, number),
            st.builds("{1} {2} {0}".format, name, number, sign),
            st.builds("{} BETWEEN {} AND {}".format, name, number, number),
            st.builds("{} IN ({}, {})".format, name, number, number),
            st.builds("{} {} {}".format, st.sampled_from(["x + 1", "abs(x)", "-x"]), sign, number),
        )
    else:
        text = st.sampled_from(["''", "'a'", "'bb'", "'it''s'", "'ccccc'"])
        atom = st.one_of(
            st.builds("length(x) {} {}".format, sign, number),
            st.builds("length(x) BETWEEN {} AND {}".format, number, number),
            st.builds("x IN ({}, {})".format, text, text),
            st.builds("x {} {}".format, st.sampled_from(["=", "<>", "!="]), text),
            st.builds("y {} {}".format, sign, number),
            st.builds("lower(x) = {}".format, text),
        )
    condition = st.recursive(
        atom,
        lambda inner: st.one_of(
            st.builds("({})".format, inner),
            st.builds("NOT {}".format, inner),
            st.builds("{} AND {}".format, inner, inner),
            st.builds("{} and ({})".format, inner, inner),
            st.builds("{} OR {}".format, inner, inner),
        ),
        max_leaves=5,
    )
    return kind, draw(condition)


def permits(field: Field, value: Any) -> bool:
    """Return whether a field takes a value, by what it says of itself."""
    return (
        (field.ge is None or value >= field.ge)
        and (field.gt is None or value > field.gt)
        and (field.le is None or value <= field.le)
        and (field.lt is None or value < field.lt)
        and (field.min_length is None or len(value) >= field.min_length)
        and (field.max_length is None or len(value) <= field.max_length)
        and (not field.choices or value in field.choices)
    )


VALUES: dict[type[Any], Sequence[Any]] = {
    int: range(-5, 9),
    str: ["", "a", "A", "b", "bb", "it's", "abcd", "ccccc", "abcdef", "abcdefg"],
}


@pytest.mark.unmeasured
@settings(parent=ONCE, max_examples=50)
@given(conditions())
def test_checks_refuse_what_fields_forbid(made: tuple[type[Any], str]) -> None:
    """What a field forbids is refused by SQLite, whatever the condition, and whatever else holds.

    What is left alone is not told. So what is permitted may be refused by a condition that is not
    of a simple kind, but nothing is forbidden that would be accepted.
    """
    kind, condition = made
    field = field_of(KINDS[kind], extra=[sa.CheckConstraint(condition)])
    with sqlite3.connect(":memory:") as connection:
        for value in VALUES[kind]:
            if not permits(field, value):
                for y in range(-4, 8):
                    row = connection.execute(
                        f"SELECT {condition} FROM (SELECT ? AS x, ? AS y)", (value, y)
                    ).fetchone()
                    assert row == (0,), (field, value, y)
    connection.close()


@st.composite
def simple_conditions(draw: st.DrawFn) -> tuple[type[Any], str]:
    """Return the type of a column ``x``, and a condition of the kinds that are read."""
    kind = draw(st.sampled_from([int, str]))
    number, sign = st.integers(-3, 6), st.sampled_from(["<", "<=", ">", ">="])
    if kind is int:
        atom = st.one_of(
            st.builds("x {} {}".format, sign, number),
            st.builds("{} {} x".format, number, sign),
            st.builds("x BETWEEN {} AND {}".format, number, number),
            st.builds("x IN ({}, {}, {})".format, number, number, number),
        )
    else:
        text = st.sampled_from(["''", "'a'", "'bb'", "'it''s'", "'ccccc'"])
        atom = st.one_of(
            st.builds("length(x) {} {}".format, sign, number),
            st.builds("char_length(x) BETWEEN {} AND {}".format, number, number),
            st.builds("x IN ({}, {}, {})".format, text, text, text),
            st.builds("x <> ''".format),
        )
    return kind, " AND ".join(draw(st.lists(atom, min_size=1, max_size=3)))


@pytest.mark.unmeasured
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_checks_agree_with_the_store(store: str, servers: Servers) -> None:
    """Of a simple condition, a field permits what the store accepts, and forbids what it refuses.

    Unless nothing is allowed at all, which choices cannot say.
    """
    connection: Any
    if store == "sqlite":
        connection = sqlite3.connect(":memory:")
        connection.create_function("char_length", 1, len)
        sign, number, text = "?", "INTEGER", "TEXT"
    else:
        connection = psycopg.connect(servers.postgres)
        sign, number, text = "%s", "INTEGER", "TEXT"

    @ONCE
    @given(simple_conditions())
    def agree(made: tuple[type[Any], str]) -> None:
        kind, condition = made
        field = field_of(KINDS[kind], extra=[sa.CheckConstraint(condition)])
        cast = f"CAST({sign} AS {number if kind is int else text})"
        accepted = [
            value
            for value in VALUES[kind]
            if connection.execute(
                f"SELECT {condition} FROM (SELECT {cast} AS x) AS t", (value,)
            ).fetchone()[0]
        ]
        permitted = [value for value in VALUES[kind] if permits(field, value)]
        assert accepted == permitted or not accepted

    try:
        agree()
    finally:
        connection.close()


COLUMNS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                (sa.Integer, int), (sa.Text, str), (sa.Boolean, bool), (sa.Date, dt.date),
                (sa.DateTime, dt.datetime), (sa.LargeBinary, bytes), (sa.Uuid, uuid.UUID),
                (sa.JSON, dict), (sa.Interval, dt.timedelta),
            ]
        ),
        "length": st.none() | st.integers(1, 300),
        "nullable": st.booleans(),
        "unique": st.booleans(),
        "index": st.booleans(),
        "default": st.sampled_from(["none", "scalar", "callable", "server"]),
    }
)  # fmt: skip


@ONCE
@given(st.lists(COLUMNS, min_size=1, max_size=6))
def test_random_columns(made: list[dict[str, Any]]) -> None:
    """Fields say what their columns were made with."""
    columns: dict[str, Any] = {}
    for number, one in enumerate(made):
        default: dict[str, Any] = {
            "none": {},
            "scalar": {"default": number},
            "callable": {"default": lambda: None},
            "server": {"server_default": sa.text("f()")},
        }[one["default"]]
        type_ = sa.String(one["length"]) if one["length"] else one["type"][0]()
        options = {name: one[name] for name in ("nullable", "unique", "index")}
        columns[f"c{number}"] = mapped_column(type_, **options, **default)
    told = fields(mapped(**columns))
    assert list(told) == ["id", *columns]
    for (name, field), one in zip(list(told.items())[1:], made, strict=True):
        assert field.type is (str if one["length"] else one["type"][1])
        assert field.max_length == one["length"]
        assert field.nullable is one["nullable"]
        assert field.has_default is (one["default"] != "none")
        assert field.required is (not one["nullable"] and one["default"] == "none")
        is_scalar = one["default"] == "scalar"
        assert field.default == (int(name[1:]) if is_scalar else NO_DEFAULT)
        assert field.unique == ((frozenset({name}),) if one["unique"] else ())
        assert not field.generated


# Relations.


class Base(DeclarativeBase):
    pass


class Company(Base):
    __tablename__ = "company"
    id: Mapped[int] = mapped_column(primary_key=True)
    employees: Mapped[list[Employee]] = relationship(
        back_populates="company", foreign_keys="Employee.firm_id"
    )
    profile: Mapped[Profile] = relationship(back_populates="company")
    seen: Mapped[list[Employee]] = relationship(viewonly=True, foreign_keys="Employee.firm_id")
    tags: Mapped[set[Tag]] = relationship(secondary="company_tag")
    tag_names = association_proxy("tags", "name")


class Profile(Base):
    """A key that is a foreign key: one to one."""

    __tablename__ = "profile"
    company_id: Mapped[int] = mapped_column(sa.ForeignKey("company.id"), primary_key=True)
    company: Mapped[Company] = relationship(back_populates="profile")


class Tag(Base):
    __tablename__ = "tag"
    name: Mapped[str] = mapped_column(sa.String(9), primary_key=True)


sa.Table(
    "company_tag",
    Base.metadata,
    sa.Column("company_id", sa.ForeignKey("company.id")),
    sa.Column("tag", sa.ForeignKey("tag.name")),
)
unmapped = sa.Table("unmapped", Base.metadata, sa.Column("code", sa.String(2), primary_key=True))


class Employee(Base):
    __tablename__ = "employee"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(sa.CheckConstraint("number > 0"))
    firm_id: Mapped[int] = mapped_column("company_id", sa.ForeignKey(Company.id))
    company: Mapped[Company] = relationship(back_populates="employees", foreign_keys=[firm_id])
    boss_id: Mapped[int | None] = mapped_column(sa.ForeignKey("employee.id"))
    boss: Mapped[Employee | None] = relationship(remote_side=[id])
    first_tag: Mapped[str] = mapped_column(sa.ForeignKey("tag.name"))
    country: Mapped[str | None] = mapped_column(sa.ForeignKey("unmapped.code"))
    other_id: Mapped[int] = mapped_column(sa.ForeignKey("company.id"), server_default="1")
    other: Mapped[Company] = relationship(foreign_keys=[other_id])
    nickname = synonym("number")
    double = column_property(number * 2)
    __table_args__ = (sa.UniqueConstraint("company_id", "number"),)

    @hybrid_property
    def triple(self) -> int:
        return self.number * 3


def test_many_to_one() -> None:
    """A relation is required if its key is, and its key belongs to it."""
    told = fields(Employee)
    assert list(told) == [
        "id", "number", "firm_id", "boss_id", "first_tag", "country", "other_id",
        "company", "boss", "other",
    ]  # fmt: skip
    company = told["company"]
    assert company.relation == Relation(target=Company, keys={"firm_id": "id"})
    assert (company.type, company.required, company.nullable) == (Company, True, False)
    assert company.unique == (frozenset({"company", "number"}),)
    assert told["number"].unique == (frozenset({"firm_id", "number"}),)
    assert (told["firm_id"].key_of, told["firm_id"].relation) == ("company", None)
    boss = told["boss"]
    assert boss.relation == Relation(target=Employee, keys={"boss_id": "id"})
    assert (boss.required, boss.nullable, told["boss_id"].key_of) == (False, True, "boss")
    assert (told["other"].required, told["other"].nullable) == (False, True)


def test_foreign_keys_by_themselves() -> None:
    """A key that no relation goes with refers to a class, or to a table that none is mapped to."""
    told = fields(Employee)
    tag = told["first_tag"]
    assert tag.relation == Relation(target=Tag, attribute="name")
    assert (tag.required, tag.type, tag.max_length, tag.key_of) == (True, str, 9, None)
    assert told["country"].relation == Relation(target=unmapped, attribute="code")


def test_collections() -> None:
    """Collections are never required, nor is the other side of a one-to-one; views are left out."""
    told = fields(Company)
    assert list(told) == ["id", "employees", "profile", "tags"]
    for name, target, kind in (("employees", Employee, list), ("tags", Tag, set)):
        field = told[name]
        assert field.relation == Relation(target=target, many=True)
        assert (field.type, field.required, field.has_default) == (kind, False, True)
    assert told["profile"].relation == Relation(target=Profile)
    assert (told["profile"].required, told["profile"].nullable) == (False, True)


def test_key_that_is_a_foreign_key() -> None:
    """The key of a one-to-one is that of its relation, which no two objects share."""
    told = fields(Profile)
    assert told["company_id"].key_of == "company"
    assert (told["company"].required, told["company"].unique) == (True, (frozenset({"company"}),))


def test_shared_keys() -> None:
    """A key that two relations share belongs to the one that it is all the key of."""
    base: Any = registry().generate_base()

    class Tenant(base):
        __tablename__ = "tenant"
        id = mapped_column(sa.Integer, primary_key=True)

    class Author(base):
        __tablename__ = "author"
        tenant_id = mapped_column(sa.ForeignKey("tenant.id"), primary_key=True)
        number = mapped_column(sa.Integer, primary_key=True)

    class Post(base):
        __tablename__ = "post"
        id = mapped_column(sa.Integer, primary_key=True)
        tenant_id = mapped_column(sa.ForeignKey("tenant.id"), nullable=False)
        author_no = mapped_column(sa.Integer, nullable=False)
        author = relationship(Author, overlaps="tenant,again")
        tenant = relationship(Tenant, overlaps="author,again")
        again = relationship(Tenant, overlaps="author,tenant")
        __table_args__ = (
            sa.ForeignKeyConstraint(
                ["tenant_id", "author_no"], ["author.tenant_id", "author.number"]
            ),
        )

    told = fields(Post)
    keys = {"tenant_id": "tenant_id", "author_no": "number"}
    assert told["author"].relation == Relation(target=Author, keys=keys)
    assert (told["tenant_id"].key_of, told["author_no"].key_of) == ("tenant", "author")
    assert [told[name].required for name in ("author", "tenant", "again")] == [True, True, False]

    class Note(base):
        __tablename__ = "note"
        id = mapped_column(sa.Integer, primary_key=True)
        tenant_id = mapped_column(sa.Integer)
        author_no = mapped_column(sa.Integer)
        __table_args__ = (
            sa.ForeignKeyConstraint(
                ["tenant_id", "author_no"], ["author.tenant_id", "author.number"]
            ),
        )

    told = fields(Note)
    for name, remote in keys.items():
        assert told[name].relation == Relation(target=Author, keys=keys, attribute=remote)


def test_relation_without_keys() -> None:
    """A relation whose key the class does not map is required if the column of the key is."""
    mapping = registry()
    parent = sa.Table("p", mapping.metadata, sa.Column("id", sa.Integer, primary_key=True))
    child = sa.Table(
        "c",
        mapping.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("p_id", sa.ForeignKey("p.id"), nullable=False),
        sa.UniqueConstraint("p_id"),
    )

    class Parent:
        pass

    class Child:
        pass

    mapping.map_imperatively(Parent, parent)
    mapping.map_imperatively(
        Child,
        child,
        exclude_properties=["p_id"],
        properties={"parent": relationship(Parent)},
    )
    told = fields(Child)
    assert list(told) == ["id", "parent"]
    assert told["parent"].relation == Relation(target=Parent)
    assert told["parent"].required


# Ways to map.


def test_imperative() -> None:
    """A class that is mapped imperatively is told of as any other, dataclasses too."""
    mapping = registry()
    table = sa.Table(
        "users",
        mapping.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_name", sa.String(20), nullable=False),
    )

    class User:
        pass

    mapping.map_imperatively(User, table, properties={"name": table.c.user_name})
    told = fields(User)
    assert list(told) == ["id", "name"]
    assert (told["name"].required, told["name"].max_length) == (True, 20)

    @dataclass
    class Account:
        user_name: str
        id: int | None = None

    registry().map_imperatively(Account, table.to_metadata(sa.MetaData()))
    assert {name: field.required for name, field in fields(Account).items()} == {
        "id": False,
        "user_name": True,
    }


def test_dataclass() -> None:
    """What the constructor of a dataclass does not take is left out; what it asks for is required.

    A key that it asks for is none that the store makes.
    """

    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class Owner(Base):
        __tablename__ = "owner"
        id: Mapped[int] = mapped_column(init=False, primary_key=True)
        name: Mapped[str | None]
        tags: Mapped[list[str]] = mapped_column(sa.JSON, default_factory=list)
        level: Mapped[int] = mapped_column(default=3)
        code: Mapped[str] = mapped_column(default=None)

    class Pet(Base):
        __tablename__ = "pet"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner_id: Mapped[int] = mapped_column(sa.ForeignKey("owner.id"), init=False)
        keeper_id: Mapped[int] = mapped_column(sa.ForeignKey("owner.id"))
        owner: Mapped[Owner] = relationship(foreign_keys=[owner_id])
        keeper: Mapped[Owner] = relationship(foreign_keys=[keeper_id], init=False)

    told = fields(Owner)
    assert list(told) == ["name", "tags", "level", "code"]
    assert (told["name"].required, told["name"].nullable) == (True, True)
    assert (told["tags"].required, told["tags"].has_default) == (False, True)
    assert (told["level"].required, told["level"].default) == (False, 3)
    assert told["code"].required
    pet = fields(Pet)
    assert list(pet) == ["id", "keeper_id", "owner"]
    assert (pet["id"].required, pet["id"].generated) == (True, False)
    assert pet["keeper_id"].relation == Relation(target=Owner, attribute="id")
    assert pet["owner"].required


def test_constructor_of_ones_own() -> None:
    """A constructor of the class's own is taken at its word, also for what is no attribute."""

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str | None]
        secret: Mapped[bytes]

        def __init__(self, password: str, other, *, name: str, more: int = 1) -> None:  # type: ignore[no-untyped-def]
            """Take a password, to store what it hashes to."""

    told = fields(User)
    assert list(told) == ["name", "password", "other"]
    assert told["name"].required
    assert told["password"] == Field(name="password", type=str, required=True)
    assert told["other"] == Field(name="other", required=True)


def test_composite_attribute() -> None:
    """A composite is left out where its columns are taken; where it is asked for, it is told."""

    @dataclass
    class Point:
        x: int
        y: int

    class Base(DeclarativeBase):
        pass

    class Vertex(Base):
        __tablename__ = "vertex"
        id: Mapped[int] = mapped_column(primary_key=True)
        at: Mapped[Point] = composite(Point, mapped_column("x"), mapped_column("y"))

    assert list(fields(Vertex)) == ["id", "x", "y"]

    class DataBase(MappedAsDataclass, DeclarativeBase):
        pass

    class Corner(DataBase):
        __tablename__ = "corner"
        id: Mapped[int] = mapped_column(init=False, primary_key=True)
        at: Mapped[Point] = composite(Point, mapped_column("x"), mapped_column("y"))

    told = fields(Corner)
    assert {name: (field.type, field.required) for name, field in told.items()} == {
        "at": (Point, True)
    }


def test_inheritance() -> None:
    """A subclass has the fields of its parents; the key of its table is none of its own."""

    class Base(DeclarativeBase):
        pass

    class Person(Base):
        __tablename__ = "person"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        name: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}

    class Clerk(Person):
        __tablename__ = "clerk"
        id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"), primary_key=True)
        desk: Mapped[int] = mapped_column(unique=True)
        __mapper_args__ = {"polymorphic_identity": "clerk"}

    class Guest(Person):
        visits: Mapped[int | None]
        __mapper_args__ = {"polymorphic_identity": "guest"}

    class Badge(Base):
        __tablename__ = "badge"
        id: Mapped[int] = mapped_column(primary_key=True)
        person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))
        clerk_id: Mapped[int] = mapped_column(sa.ForeignKey("clerk.id"))

    clerk = fields(Clerk)
    assert list(clerk) == ["id", "kind", "name", "desk"]
    assert (clerk["id"].generated, clerk["id"].relation) == (True, None)
    assert clerk["id"].unique == (frozenset({"id"}),)
    assert (clerk["kind"].generated, clerk["kind"].required) == (True, False)
    assert clerk["desk"].unique == (frozenset({"desk"}),)
    assert list(fields(Guest)) == ["id", "kind", "name", "visits"]
    assert list(fields(Person)) == ["id", "kind", "name"]
    badge = fields(Badge)
    assert badge["person_id"].relation == Relation(target=Person, attribute="id")
    assert badge["clerk_id"].relation == Relation(target=Clerk, attribute="id")


def test_discriminator_that_nobody_sets() -> None:
    """A class without an identity has a discriminator to fill, as any other column."""
    kind = mapped_column(sa.String(9), nullable=False)
    field = fields(mapped(kind=kind, __mapper_args__={"polymorphic_on": kind}))["kind"]
    assert (field.generated, field.required) == (False, True)


def test_sqlmodel() -> None:
    """What SQLModel's fields say is told too, though it does not validate what it stores."""
    told = fields(Team)
    assert list(told) == ["id", "name", "code", "rating", "budget", "size", "motto", "members"]
    assert told["id"].generated
    name = told["name"]
    assert (name.type, name.required, name.unique) == (str, True, (frozenset({"name"}),))
    assert (name.min_length, name.max_length) == (2, 50)
    assert [type(one).__name__ for one in name.annotation.__metadata__] == ["MinLen", "MaxLen"]
    assert (told["code"].type, told["code"].pattern) == (str, "^[a-z]+$")
    assert bounds(told["rating"]) == {"gt": 2, "le": 5}
    budget = told["budget"]
    assert (budget.type, budget.precision, budget.scale, budget.gt) == (Decimal, 8, 2, 0)
    assert (told["size"].type, told["size"].default) == (Size, Size.S)
    assert (told["motto"].min_length, told["motto"].nullable) == (3, True)
    assert told["members"].relation == Relation(target=Player, many=True)
    player = fields(Player)
    assert (player["email"].type, player["email"].annotation) == (str, pydantic.AnyUrl)
    assert player["joined"].annotation is None
    assert player["role"].choices == ("keeper", "striker")
    assert player["team_id"].key_of == "team"
    assert player["team"].required


def test_annotated_bound() -> None:
    """Constraints of an annotation hold beside those of the database: the tighter one counts."""
    check = sa.CheckConstraint("x > 3")
    assert bounds(field_of(sa.Integer, hint=Mapped[Annotated[int, Ge(3)]], extra=[check])) == {
        "gt": 3
    }


# Bad input.


def test_not_mapped() -> None:
    """A class that is not mapped is refused, with what to set instead."""
    with pytest.raises(AdapterError, match=r"Money is not mapped by SQLAlchemy.*set Meta\.model"):
        SQLAlchemyAdapter[Any]().fields(Money)


def test_mapping_that_is_wrong() -> None:
    """Errors of SQLAlchemy's pass untouched: of mappers, and of tables that are not there."""
    with pytest.raises(InvalidRequestError, match="'Missing'"):
        fields(mapped(other=relationship("Missing")))
    with pytest.raises(NoReferencedTableError, match="missing"):
        fields(mapped(x=mapped_column(sa.Integer, sa.ForeignKey("missing.id"))))
    with pytest.raises(ArgumentError):
        fields(mapped(id=mapped_column(sa.Integer)))
