"""Random models of SQLAlchemy, as strategies of hypothesis: what is drawn says how to map them."""

from __future__ import annotations

import datetime as dt
import enum
import operator
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, registry, relationship


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Mood(str, enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Lower(sa.TypeDecorator[str]):
    """Tells by an annotation what it takes, and writes it otherwise."""

    impl = sa.String(20)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.lower()


@dataclass(frozen=True)
class Kind:
    """A type of columns.

    Args:
        type: The type.
        default: A value that such a column may have.
        bounds: What a check may compare it with; a check is also of lengths, if they are texts.
        compared: Whether PostgreSQL can tell whether two values are equal.
    """

    type: Any
    default: Any
    bounds: Sequence[Any] = ()
    compared: bool = True


INTEGERS = (-40_000, -1, 0, 1, 3, 90, 40_000)
DECIMALS = (Decimal("-1.5"), Decimal(0), Decimal("0.25"), Decimal(7), Decimal(1200))
TEXTS = ("", "a", "red", "green", "a longer text")
MOMENT = dt.datetime(2021, 5, 1, 12)
AWARE = MOMENT.replace(tzinfo=dt.timezone.utc)

KINDS: Mapping[str, Kind] = {
    **{
        f"String({length})": Kind(sa.String(length), "a", TEXTS)
        for length in (1, 2, 3, 6, 10, 24, 255)
    },
    "String": Kind(sa.String(), "a", TEXTS),
    "Text": Kind(sa.Text(), "a", TEXTS),
    "CHAR(3)": Kind(sa.CHAR(3), "abc"),
    "Integer": Kind(sa.Integer(), 1, INTEGERS),
    "SmallInteger": Kind(sa.SmallInteger(), 1, INTEGERS),
    "BigInteger": Kind(sa.BigInteger(), 1, (*INTEGERS, 2**40)),
    "Numeric": Kind(sa.Numeric(), Decimal(1), DECIMALS),
    "Numeric(4)": Kind(sa.Numeric(4), Decimal(1), DECIMALS),
    "Numeric(2, 2)": Kind(sa.Numeric(2, 2), Decimal("0.5"), DECIMALS),
    "Numeric(10, 2)": Kind(sa.Numeric(10, 2), Decimal(1), DECIMALS),
    "Float": Kind(sa.Float(), 1.0, DECIMALS),
    "REAL": Kind(sa.REAL(), 1.0, DECIMALS),
    "Boolean": Kind(sa.Boolean(), True),
    "Date": Kind(sa.Date(), MOMENT.date(), (dt.date(1990, 1, 1), dt.date(2030, 1, 1))),
    "DateTime": Kind(sa.DateTime(), MOMENT, (MOMENT,)),
    "DateTime(timezone)": Kind(sa.DateTime(timezone=True), AWARE, (AWARE,)),
    "Time": Kind(sa.Time(), MOMENT.time()),
    "Interval": Kind(sa.Interval(), dt.timedelta(1), (dt.timedelta(2), dt.timedelta(days=-1))),
    "LargeBinary": Kind(sa.LargeBinary(), b"a"),
    "Uuid": Kind(sa.Uuid(), uuid.UUID(int=1)),
    "UUID": Kind(postgresql.UUID(as_uuid=True), uuid.UUID(int=1)),
    "Enum": Kind(sa.Enum(Size, name="size"), Size.SMALL),
    "Enum of strings": Kind(sa.Enum(Mood, native_enum=False), Mood.GOOD),
    "Enum of texts": Kind(sa.Enum("red", "green", name="colour"), "red"),
    "JSON": Kind(sa.JSON(), {}, compared=False),
    "JSONB": Kind(postgresql.JSONB(), {}),
    "ARRAY(Integer)": Kind(sa.ARRAY(sa.Integer()), [1]),
    "ARRAY(String, 2)": Kind(sa.ARRAY(sa.String(5), dimensions=2), [["a"]]),
    "Lower": Kind(Lower(), "a"),
    "INET": Kind(postgresql.INET(), "10.0.0.1"),
}

# Some have a rule by their name, if it fits the type; some begin or end like one.
NAMES = (
    "name", "email", "slug", "url", "phone", "title", "city", "country_code", "token", "password",
    "price", "amount", "age", "year", "rating", "quantity", "created_at", "birthday", "expires_at",
    "description", "billing_email", "value", "note", "flag", "data", "kind", "x", "hostname",
    "file_name", "ip", "uuid", "language", "currency", "username",
)  # fmt: skip


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "<>": operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """A check of one column: by `operator` with `values`, of its length if it `is_length`."""

    operator: str
    values: tuple[Any, ...]
    is_length: bool = False
    is_text: bool = False
    """Whether it is written as text, and not as an expression."""

    def of(self, column: sa.Column[Any]) -> sa.CheckConstraint:
        left: Any = sa.func.length(column) if self.is_length else column
        if self.is_text:
            name = f"length({column.name})" if self.is_length else column.name
            return sa.CheckConstraint(f"{name} {self._text()}")
        if self.operator == "BETWEEN":
            return sa.CheckConstraint(left.between(*self.values))
        if self.operator == "IN":
            return sa.CheckConstraint(left.in_(self.values))
        return sa.CheckConstraint(_OPERATORS[self.operator](left, self.values[0]))

    def _text(self) -> str:
        values = [f"'{one}'" if isinstance(one, str) else str(one) for one in self.values]
        if self.operator == "BETWEEN":
            return f"BETWEEN {values[0]} AND {values[1]}"
        if self.operator == "IN":
            return f"IN ({', '.join(values)})"
        return f"{self.operator} {values[0]}"


@dataclass(frozen=True)
class Column:
    name: str
    kind: str
    nullable: bool = False
    unique: str = ""
    """How it is unique, if it is: by a ``"constraint"``, an ``"index"``, or a ``"partial"`` one."""
    default: str = ""
    """What fills it, if anything: the model's ``"value"``, a ``"call"``, or the ``"server"``."""
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Reference:
    """A foreign key, to the key of another table or to its unique column ``code``."""

    target: int
    required: bool
    unique: bool = False
    mapped: bool = True
    """Whether a relationship goes with it."""
    in_key: bool = False
    """Whether it is part of the primary key; such a one refers to an earlier table."""
    natural: bool = False


@dataclass(frozen=True)
class Table:
    key: str
    """What the key is: ``"counted"``, ``"identity"``, ``"uuid"``, ``"text"``, ``"pair"``."""
    columns: tuple[Column, ...]
    references: tuple[Reference, ...] = ()
    together: tuple[tuple[int, ...], ...] = ()
    """What is unique together: places among the columns and the keys of references."""


@dataclass(frozen=True)
class Models:
    tables: tuple[Table, ...]
    root: int
    """Of which a batch is to be made."""
    option: bool | str = True

    def mapped(self) -> tuple[list[Any], sa.MetaData, registry]:
        """Return the classes, their tables, and what they are registered with."""
        mapping = _Mapping(self)
        return mapping.classes, mapping.base.metadata, mapping.base.registry


@dataclass
class _Mapping:
    models: Models
    classes: list[Any] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)
    """The types of the columns of each table's primary key."""

    def __post_init__(self) -> None:
        self.base = type("Base", (DeclarativeBase,), {})
        referred = {
            one.target for table in self.models.tables for one in table.references if one.natural
        }
        for table in self.models.tables:
            _, types = _key(table.key)
            for number, one in enumerate(table.references):
                if one.in_key:
                    types |= {f"r{number}_{name}": kind for name, kind in self._to(one).items()}
            if any(one.in_key for one in table.references) and table.key in ("counted", "identity"):
                del types["id"]
            self.keys.append(types)
        for place, table in enumerate(self.models.tables):
            self.classes.append(self._class(place, table, place in referred))

    def _to(self, reference: Reference) -> dict[str, Any]:
        """Return the types of the columns that a reference is to."""
        return {"code": sa.String(12)} if reference.natural else self.keys[reference.target]

    def _class(self, place: int, table: Table, is_referred: bool) -> Any:
        own, _ = _key(table.key)
        attributes: dict[str, Any] = {
            name: column for name, column in own.items() if name in self.keys[place]
        }
        arguments: list[Any] = []
        if is_referred:
            attributes["code"] = sa.Column(sa.String(12), nullable=False, unique=True)
        names = []
        for column in table.columns:
            attributes[column.name] = made = _column(column)
            arguments += [one.of(made) for one in column.checks]
            if column.unique in ("index", "partial"):
                where = made.is_not(None) if column.unique == "partial" else None
                arguments.append(
                    sa.Index(f"ix{place}_{column.name}", made, unique=True, postgresql_where=where)
                )
            if KINDS[column.kind].compared:
                names.append(column.name)
        for number, reference in enumerate(table.references):
            remote = self._to(reference)
            local = {f"r{number}_{name}": kind for name, kind in remote.items()}
            for name, kind in local.items():
                attributes[name] = sa.Column(
                    kind, nullable=not reference.required, primary_key=reference.in_key
                )
            arguments.append(
                sa.ForeignKeyConstraint(
                    list(local), [f"t{reference.target}.{name}" for name in remote],
                    name=f"fk{place}_{number}", use_alter=reference.target > place,
                )
            )  # fmt: skip
            if reference.unique:
                arguments.append(sa.UniqueConstraint(*local))
            if reference.mapped:
                attributes[f"r{number}"] = self._relationship(reference, local, remote, attributes)
            names += local
        for some in table.together:
            chosen = dict.fromkeys(names[one % len(names)] for one in some if names)
            if len(chosen) > 1:
                arguments.append(sa.UniqueConstraint(*chosen))
        attributes |= {"__tablename__": f"t{place}", "__table_args__": tuple(arguments)}
        return type(f"T{place}", (self.base,), attributes)

    def _relationship(
        self, reference: Reference, local: Any, remote: Any, attributes: Mapping[str, Any]
    ) -> Any:
        target, classes = reference.target, self.classes
        own = [attributes[name] for name in local]

        def primary_join() -> Any:
            others = [getattr(classes[target], name) for name in remote]
            return sa.and_(*(one == other for one, other in zip(own, others, strict=True)))

        return relationship(
            lambda: classes[target],
            primaryjoin=primary_join,
            foreign_keys=own,
            remote_side=lambda: [getattr(classes[target], name) for name in remote],
        )


def _key(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of a primary key, and their types."""
    columns: dict[str, Any] = {
        "counted": lambda: {"id": sa.Column(sa.Integer(), primary_key=True)},
        "identity": lambda: {"id": sa.Column(sa.BigInteger(), sa.Identity(), primary_key=True)},
        "uuid": lambda: {"id": sa.Column(sa.Uuid(), primary_key=True, default=uuid.uuid4)},
        "text": lambda: {"id": sa.Column(sa.String(8), primary_key=True)},
        "pair": lambda: {
            "part": sa.Column(sa.Integer(), primary_key=True, autoincrement=False),
            "section": sa.Column(sa.String(4), primary_key=True),
        },
    }[kind]()
    return columns, {name: column.type for name, column in columns.items()}


def _column(column: Column) -> sa.Column[Any]:
    kind = KINDS[column.kind]
    value = kind.default
    more: dict[str, Any] = {
        "": {},
        "value": {"default": value},
        "call": {"default": lambda: value},
        "server": {"server_default": _server_default(value)},
    }[column.default]
    return sa.Column(
        column.name, kind.type, nullable=column.nullable,
        unique=column.unique == "constraint" or None, **more,
    )  # fmt: skip


def _server_default(value: Any) -> Any:
    if isinstance(value, str | bool):
        return (sa.true() if value else sa.false()) if isinstance(value, bool) else str(value)
    return sa.text(str(value)) if isinstance(value, int | float | Decimal) else sa.text("now()")


# Which of the defaults a server can have, here.
_SERVED = (
    "String(1)", "String(6)", "Text", "Integer", "Numeric(4)", "Float", "Boolean", "DateTime",
    "DateTime(timezone)", "Date",
)  # fmt: skip


@st.composite
def checks(draw: Any, kind: Kind) -> Check:
    """Draw a check of the kinds that are read."""
    is_text = draw(st.booleans())
    if not isinstance(kind.default, str):
        if isinstance(kind.default, dt.date | dt.timedelta):
            is_text = False
        bound = st.sampled_from(kind.bounds)
        sign = draw(st.sampled_from(["<", "<=", ">", ">=", "BETWEEN", "IN"]))
        if sign == "BETWEEN":
            return Check(sign, tuple(sorted((draw(bound), draw(bound)))), False, is_text)
        if sign == "IN":
            values = draw(st.lists(bound, min_size=1, max_size=3, unique=True))
            return Check(sign, tuple(values), False, is_text)
        return Check(sign, (draw(bound),), False, is_text)
    sign = draw(st.sampled_from(["<=", "<", ">=", ">", "BETWEEN", "IN", "<>"]))
    if sign == "IN":
        values = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3, unique=True))
        return Check(sign, tuple(values), False, is_text)
    if sign == "<>":
        return Check(sign, ("",), False, is_text)
    length = st.integers(1, 30)
    if sign == "BETWEEN":
        return Check(sign, tuple(sorted((draw(length), draw(length)))), True, is_text)
    return Check(sign, (draw(length),), True, is_text)


@st.composite
def columns(draw: Any, name: str) -> Column:
    key = draw(st.sampled_from(list(KINDS)))
    kind = KINDS[key]
    # Of two lists with nothing in common, only the database says so.
    few = st.lists(checks(kind), max_size=2, unique_by=lambda one: one.operator)
    some = draw(few) if kind.bounds else []
    uniques = ["", "", "", *(("constraint", "index", "partial") if kind.compared else ())]
    unique = draw(st.sampled_from(uniques))
    defaults = ["", "", "value", *(["server"] if key in _SERVED else [])]
    if not unique:  # what a model calls for a unique value is not this one
        defaults.append("call")
    # A default that a check refuses is refused whoever makes the objects.
    return Column(
        name,
        key,
        nullable=draw(st.booleans()),
        unique=unique,
        default="" if some else draw(st.sampled_from(defaults)),
        checks=tuple(some),
    )


@st.composite
def references(draw: Any, place: int, count: int) -> Reference:
    in_key = bool(place) and draw(st.integers(0, 4)) == 0
    target = draw(st.integers(0, place - 1 if in_key else count - 1))
    # Most are to earlier tables, or no batch would ever be stored.
    required = in_key or draw(st.integers(0, 9)) < (7 if target < place else 1)
    return Reference(
        target,
        required,
        unique=draw(st.booleans()),
        mapped=draw(st.integers(0, 2)) > 0,
        in_key=in_key,
        natural=not in_key and draw(st.integers(0, 3)) == 0,
    )


@st.composite
def tables(draw: Any, place: int, count: int) -> Table:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    return Table(
        draw(st.sampled_from(["counted", "counted", "identity", "uuid", "text", "pair"])),
        tuple(draw(columns(name)) for name in names),
        tuple(draw(st.lists(references(place, count), max_size=2))),
        tuple(draw(st.lists(st.tuples(*[st.integers(0, 7)] * 3), max_size=2))),
    )


@st.composite
def models(draw: Any) -> Models:
    count = draw(st.integers(3, 4))
    some = tuple(draw(tables(place, count)) for place in range(count))
    root = draw(st.integers(0, count - 1))
    return Models(some, root, draw(st.sampled_from([True, "all"])))
