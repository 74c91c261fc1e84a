"""What the adapter tells of the columns of a table."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal as Number
from enum import Enum
from typing import Any

import pytest
import tables
from async_factory_boy_piccolo import PiccoloAdapter
from piccolo.columns import (
    JSON,
    JSONB,
    UUID,
    Array,
    BigInt,
    BigSerial,
    Boolean,
    Bytea,
    Char,
    Column,
    Date,
    DoublePrecision,
    Email,
    ForeignKey,
    Integer,
    Interval,
    Numeric,
    Real,
    SmallInt,
    Text,
    Time,
    Timestamp,
    Timestamptz,
    Varchar,
)
from piccolo.columns.m2m import M2M
from piccolo.columns.reference import LazyTableReference
from piccolo.constraints import Check, Unique
from piccolo.engine import Engine
from piccolo.table import Table

from async_factory_boy import AdapterError
from async_factory_boy.adapters.fields import Field, Relation


class Level(int, Enum):
    LOW = 1
    HIGH = 2


class PointColumn(Column):
    """Does not say what its values are."""

    def __init__(self, **kwargs: Any) -> None:
        self.default = None
        super().__init__(**kwargs)


class Everything(Table):
    key: BigSerial = BigSerial(primary_key=True)
    name = Varchar(length=9)
    said = Varchar(default="said")
    called = Varchar(default=lambda: "called")
    asked = Varchar(default=None)
    endless = Varchar(length=None, null=True)
    letters = Char(length=2)
    address = Email()
    text = Text()
    number = Integer()
    needed = Integer(default=None)
    single = Integer(unique=True)
    big = BigInt()
    small = SmallInt()
    flag = Boolean()
    ratio = Real()
    double = DoublePrecision(null=True, default=None)
    price = Numeric(digits=(7, 2), default=None)
    any_price = Numeric()
    moment = Timestamp()
    zoned = Timestamptz(default=None)
    day = Date()
    hour = Time()
    span = Interval()
    token = UUID()
    extra = JSON()
    binary = JSONB(null=True)
    data = Bytea()
    level = Integer(choices=Level, default=Level.LOW)
    needed_level = SmallInt(choices=Level, default=None)
    sizes = Array(base_column=Integer())
    rows = Array(base_column=Array(base_column=Varchar(length=3)), default=None)
    levels = Array(base_column=Integer(), choices=Level)
    point = PointColumn()
    stored = Varchar(db_column_name="kept_as", default="x")
    unique_number = Unique([number, stored])
    check_big = Check((big > 3) & (big <= 9))
    check_small = Check((small >= 1) & (small < 7))
    check_text = Check(text.is_in(["a", "b"]))
    check_either = Check((ratio > 1) | (ratio < 0))
    check_columns = Check(number < single)
    check_sql = Check("number > 3")


class Broken(Table):
    other: ForeignKey[Any] = ForeignKey(LazyTableReference("Nobody", module_path=__name__))


class BrokenMany(Table):
    others = M2M(LazyTableReference("Nobody", module_path="nowhere"))


adapter: PiccoloAdapter[Any] = PiccoloAdapter()

INT = {"type": int, "stored_as": "Integer", "ge": -(2**31), "le": 2**31 - 1}
ZERO = {"has_default": True, "default": 0}


def field(table: type[Table], name: str) -> Field:
    (found,) = [one for one in adapter.fields(table) if one.name == name]
    return found


def text(stored_as: str = "Varchar", max_length: int | None = 255, **more: Any) -> dict[str, Any]:
    return {"type": str, "stored_as": stored_as, "max_length": max_length, **more}


def filled(kind: type, stored_as: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "stored_as": stored_as, "has_default": True, **more}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "key",
            {**INT, "stored_as": "BigSerial", "ge": -(2**63), "le": 2**63 - 1}
            | {"generated": True, "unique": (frozenset({"key"}),)},
        ),
        ("name", text(max_length=9, required=True)),
        ("said", text(has_default=True, default="said")),
        ("called", text(has_default=True)),
        ("asked", text(required=True)),
        ("endless", text(max_length=None, nullable=True)),
        ("letters", text("Char", 2, required=True)),
        ("address", text("Email", required=True)),
        ("text", text("Text", None, required=True, choices=("a", "b"))),
        ("number", {**INT, **ZERO, "unique": (frozenset({"number", "stored"}),)}),
        ("needed", {**INT, "required": True}),
        ("single", {**INT, "required": True, "unique": (frozenset({"single"}),)}),
        ("big", {**INT, **ZERO, "stored_as": "BigInt", "ge": -(2**63), "gt": 3, "le": 9}),
        ("small", {**INT, **ZERO, "stored_as": "SmallInt", "ge": 1, "le": 2**15 - 1, "lt": 7}),
        ("flag", filled(bool, "Boolean", default=False)),
        ("ratio", filled(float, "Real", default=0.0)),
        ("double", {"type": float, "stored_as": "DoublePrecision", "nullable": True}),
        (
            "price",
            {"type": Number, "stored_as": "Numeric", "required": True}
            | {"precision": 7, "scale": 2},
        ),
        ("any_price", filled(Number, "Numeric", default=Number(0))),
        ("moment", filled(datetime, "Timestamp", aware=False)),
        (
            "zoned",
            {"type": datetime, "stored_as": "Timestamptz", "required": True, "aware": True},
        ),
        ("day", filled(date, "Date")),
        ("hour", filled(time, "Time", aware=False)),
        ("span", filled(timedelta, "Interval")),
        ("token", filled(uuid.UUID, "UUID")),
        ("extra", filled(dict, "JSON", default="{}")),
        ("binary", filled(dict, "JSONB", default="{}", nullable=True)),
        ("data", filled(bytes, "Bytea", default=b"")),
        ("level", filled(Level, "Integer", default=Level.LOW)),
        ("needed_level", {"type": Level, "stored_as": "SmallInt", "required": True}),
        ("sizes", filled(list, "Array", element=Field(name="sizes", required=True, **INT))),
        (
            "rows",
            {"type": list, "stored_as": "Array", "required": True}
            | {
                "element": Field(
                    name="rows",
                    type=list,
                    stored_as="Array",
                    required=True,
                    element=Field(name="rows", **text(max_length=3, required=True)),
                )
            },
        ),
        (
            "levels",
            filled(list, "Array")
            | {"element": Field(name="levels", type=Level, stored_as="Integer", required=True)},
        ),
        ("point", {"stored_as": "PointColumn", "required": True}),
    ],
)
def test_column(name: str, said: dict[str, Any]) -> None:
    """A column is told with its type, and what its values are like."""
    assert field(Everything, name) == Field(name=name, **said)


def test_reference() -> None:
    """A foreign key is one field, which takes a row or its key; it may refer to its own table."""
    parent = field(tables.Child, "parent")
    assert parent == Field(
        name="parent",
        type=tables.Parent,
        stored_as="ForeignKey",
        nullable=True,
        relation=Relation(target=tables.Parent),
    )
    boss = field(tables.User, "boss").relation
    assert boss is not None
    assert boss.target is tables.User


def test_required_reference() -> None:
    """A foreign key is required where it may not be null, and unique where it says so."""

    class Wife(Table):
        husband = ForeignKey(tables.Parent, null=False, unique=True)

    husband = field(Wife, "husband")
    assert (husband.required, husband.nullable) == (True, False)
    assert husband.unique == (frozenset({"husband"}),)


def test_many_to_many() -> None:
    """A relation of many to many is told by both of its tables, and is required by none."""
    for table, name, target in (
        (tables.User, "tags", tables.Tag),
        (tables.Tag, "users", tables.User),
    ):
        related = Relation(target=target, many=True)
        assert field(table, name) == Field(name=name, type=list, stored_as="M2M", relation=related)


@pytest.mark.parametrize(("table", "name"), [(Broken, "other"), (BrokenMany, "others")])
def test_unresolved(table: type[Table], name: str) -> None:
    """A table that refers to one that cannot be imported is refused, with what to write."""
    with pytest.raises(AdapterError) as caught:
        adapter.fields(table)
    module = "nowhere" if table is BrokenMany else __name__
    assert str(caught.value).startswith(
        f"{table.__name__}.{name} refers to a table that cannot be imported: Module "
        f"{module}.Nobody. Write LazyTableReference(table_class_name=..., module_path=...) as "
        "the table is called, and where it is. ("
    )


def test_no_table() -> None:
    """What is no table is refused."""
    with pytest.raises(AdapterError, match="dict is not a table of Piccolo"):
        adapter.fields(dict)


async def test_what_is_required(database: Engine[Any]) -> None:
    """Rows with what is required are stored; one without any is refused, empty, or a repetition."""
    values: dict[Any, Any] = {int: 1, str: "a", None: None}
    for table in (tables.Company, tables.Item, tables.Membership, tables.Stamped, tables.Badge):
        required = [one for one in adapter.fields(table) if one.required]
        row = await adapter.save(table(**{one.name: values[one.type] for one in required}))
        assert row._exists_in_db
        for one in required:
            others = {other.name: values[other.type] for other in required if other is not one}
            try:
                made = table(**others)
            except ValueError as error:
                assert f"{one.name} wasn't provided" in str(error)  # noqa: PT017
            else:
                assert made[one.name] == ""
