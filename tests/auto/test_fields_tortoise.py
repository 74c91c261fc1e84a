"""What the adapter of Tortoise ORM tells of the fields of a model."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from factory import Faker
from tortoise import fields, validators
from tortoise.context import TortoiseContext
from tortoise.contrib.mysql.fields import GeometryField
from tortoise.contrib.mysql.fields import UUIDField as CompressedUUIDField
from tortoise.contrib.postgres.fields import ArrayField, TSVectorField
from tortoise.exceptions import IntegrityError, ValidationError
from tortoise.fields.db_defaults import Now
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from async_factory_boy import AdapterError
from async_factory_boy.adapters.fields import NO_DEFAULT, Field, Relation
from async_factory_boy.adapters.tortoise import TortoiseAdapter
from async_factory_boy.auto import choose, rule, rules_kept
from tests.servers import Servers
from tests.stores import tortoise as stores
from tests.stores.base import params

INT = {"type": int, "stored_as": "IntField", "ge": -(2**31), "le": 2**31 - 1}
BIG = {"type": int, "stored_as": "BigIntField", "ge": -(2**63), "le": 2**63 - 1}
SMALL = {"type": int, "stored_as": "SmallIntField", "ge": -(2**15), "le": 2**15 - 1}


class Colour(str, Enum):
    RED = "red"
    BLUE = "blue"


class Rank(IntEnum):
    LOW = 1
    HIGH = 2


def refuse_nothing(value: object) -> None:
    """Take any value."""


class UpperField(fields.CharField):  # type: ignore[type-arg]
    """Changes what is stored, which is a string for all that."""

    def to_db_value(self, value: Any, instance: Any) -> Any:
        return super().to_db_value(value and value.upper(), instance)


class PathField(fields.CharField):  # type: ignore[type-arg]
    """Has values of another class than a string."""

    def to_python_value(self, value: Any) -> Any:
        return value and PurePosixPath(value)


class DayField(fields.CharField):  # type: ignore[type-arg]
    """Has values of another class, and says so."""

    field_type = date  # type: ignore[assignment]

    def to_python_value(self, value: Any) -> Any:
        return date.fromisoformat(value) if isinstance(value, str) else value

    def to_db_value(self, value: Any, instance: Any) -> Any:
        return value and str(value)


class ChoiceField(fields.Field[Any], int, str):  # type: ignore[misc]
    SQL_TYPE = "VARCHAR(9)"


class Company(Model):
    code = fields.CharField(8, primary_key=True)
    name = fields.CharField(50, unique=True)
    # What Tortoise makes of it: staff, as User names it.


class Tag(Model):
    slug = fields.CharField(20, primary_key=True)


class User(Model):
    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(50)
    company: fields.ForeignKeyRelation[Company] = fields.ForeignKeyField("auto.Company", "staff")
    boss: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "auto.User", "others", null=True
    )
    seller: fields.ForeignKeyRelation[Company] = fields.ForeignKeyField(
        "auto.Company", "sellers", to_field="name", default="nobody"
    )
    tags: fields.ManyToManyRelation[Tag] = fields.ManyToManyField("auto.Tag", related_name="users")
    email = fields.CharField(60)
    nick = fields.CharField(20)
    floor = fields.IntField()

    class Meta:
        table = "auto_user"
        unique_together = (("company", "name"), ("floor", "boss_id"))
        constraints = (
            UniqueConstraint(fields=("company_id", "email")),
            UniqueConstraint(fields=("nick",), condition="floor > 3"),
            CheckConstraint(check="floor > 0", name="above_ground"),
        )


class Profile(Model):
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "auto.User", "profile", primary_key=True
    )


class Badge(Model):
    id = fields.BigIntField(primary_key=True)
    owner: fields.OneToOneNullableRelation[User] = fields.OneToOneField(
        "auto.User", "badge", null=True
    )


class Base(Model):
    made = fields.DatetimeField(auto_now_add=True)

    class Meta:
        abstract = True


class Everything(Base):
    id = fields.SmallIntField(primary_key=True)
    number = fields.IntField()
    big = fields.BigIntField()
    few = fields.SmallIntField(
        validators=[validators.MinValueValidator(1), validators.MaxValueValidator(99999)]
    )
    text = fields.TextField()
    short = fields.CharField(9, validators=[validators.MinLengthValidator(2)])
    shorter = fields.CharField(9, validators=[validators.MaxLengthValidator(5)])
    code = fields.CharField(9, validators=[validators.RegexValidator("[a-z]+$", re.I)])
    both = fields.CharField(
        9, validators=[validators.RegexValidator("^[ab]+$", 0), validators.RegexValidator("a", 0)]
    )
    numbers = fields.CharField(9, validators=[validators.CommaSeparatedIntegerListValidator()])
    email = fields.CharField(
        60, validators=[validators.EmailValidator(), validators.validate_ipv4_address]
    )
    flag = fields.BooleanField()
    ratio = fields.FloatField()
    price = fields.DecimalField(7, 2)
    moment = fields.DatetimeField()
    day = fields.DateField()
    span = fields.TimeDeltaField()
    extra: Any = fields.JSONField()
    listed: Any = fields.JSONField(field_type=list)
    data = fields.BinaryField()
    token = fields.UUIDField()
    colour = fields.CharEnumField(Colour)
    rank = fields.IntEnumField(Rank, default=Rank.LOW)
    optional = fields.IntField(null=True)
    zero = fields.IntField(default=0)
    called = fields.UUIDField(default=uuid4)
    stored = fields.IntField(db_default=7)
    stamped = fields.DatetimeField(db_default=Now())
    upper = UpperField(9)
    path = PathField(9)
    birthday = DayField(10)
    either = ChoiceField()
    checked = fields.IntField(validators=[refuse_nothing])


special = ModuleType("special")


class Special(Model):
    """Has fields that not all databases have."""

    id = fields.IntField(primary_key=True)
    numbers = ArrayField()
    names: Any = ArrayField("varchar(20)", null=True)
    prices: Any = ArrayField("NUMERIC(7, 2)", default=list)
    moments: Any = ArrayField("timestamp with time zone")
    days: Any = ArrayField("date")
    hours: Any = ArrayField("TIME")
    ranges: Any = ArrayField("int4range")
    odd: Any = ArrayField("?")
    search: Any = TSVectorField(source_fields="names")
    place: Any = GeometryField()
    packed = CompressedUUIDField()
    hour = fields.TimeField()
    clock = fields.TimeField(auto_now=True)

    class Meta:
        app = "special"


vars(special).update(Special=Special)
# Not among the models of this module, whose tables are made in each database.
Special.__module__ = special.__name__
__models__ = [Company, Tag, User, Profile, Badge, Everything]

adapter: TortoiseAdapter[Any] = TortoiseAdapter()


@pytest.fixture
async def initialised(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised, without any table."""
    monkeypatch.setitem(sys.modules, special.__name__, special)
    async with TortoiseContext() as context:
        modules: Any = {"auto": [__name__], "special": [special.__name__]}
        await context.init(db_url="sqlite://:memory:", modules=modules)
        yield context


def field(model: type[Model], name: str) -> Field:
    (found,) = [one for one in adapter.fields(model) if one.name == name]
    return found


def alone(name: str) -> tuple[frozenset[str], ...]:
    return (frozenset({name}),)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("id", {**SMALL, "generated": True, "unique": alone("id")}),
        (
            "made",
            {"type": datetime, "stored_as": "DatetimeField", "has_default": True, "aware": True},
        ),
        ("number", {**INT, "required": True}),
        ("big", {**BIG, "required": True}),
        ("few", {**SMALL, "required": True, "ge": 1}),
        ("text", {"type": str, "stored_as": "TextField", "required": True}),
        (
            "short",
            {"type": str, "stored_as": "CharField", "required": True}
            | {"min_length": 2, "max_length": 9},
        ),
        (
            "shorter",
            {"type": str, "stored_as": "CharField", "required": True, "max_length": 5},
        ),
        (
            "code",
            {"type": str, "stored_as": "CharField", "required": True, "max_length": 9}
            | {"pattern": "(?i:^(?:[a-z]+$))"},
        ),
        (
            "email",
            {"type": str, "required": True, "max_length": 60}
            | {"stored_as": "CharField(EmailValidator, validate_ipv4_address)"},
        ),
        ("flag", {"type": bool, "stored_as": "BooleanField", "required": True}),
        ("ratio", {"type": float, "stored_as": "FloatField", "required": True}),
        (
            "price",
            {"type": Decimal, "stored_as": "DecimalField", "required": True}
            | {"precision": 7, "scale": 2},
        ),
        (
            "moment",
            {"type": datetime, "stored_as": "DatetimeField", "required": True, "aware": True},
        ),
        ("day", {"type": date, "stored_as": "DateField", "required": True}),
        ("hour", {"type": time, "stored_as": "TimeField", "required": True, "aware": True}),
        ("clock", {"type": time, "stored_as": "TimeField", "has_default": True, "aware": True}),
        ("span", {"type": timedelta, "stored_as": "TimeDeltaField", "required": True}),
        ("extra", {"type": dict, "stored_as": "JSONField", "required": True}),
        ("listed", {"type": list, "stored_as": "JSONField", "required": True}),
        ("data", {"type": bytes, "stored_as": "BinaryField", "required": True}),
        ("token", {"type": UUID, "stored_as": "UUIDField", "required": True}),
        ("packed", {"type": UUID, "stored_as": "UUIDField", "required": True}),
        ("colour", {"type": Colour, "stored_as": "CharEnumField", "required": True}),
        (
            "rank",
            {"type": Rank, "stored_as": "IntEnumField", "has_default": True, "default": Rank.LOW},
        ),
        ("optional", {**INT, "nullable": True}),
        ("zero", {**INT, "has_default": True, "default": 0}),
        ("called", {"type": UUID, "stored_as": "UUIDField", "has_default": True}),
        ("stored", {**INT, "has_default": True, "default": 7}),
        (
            "stamped",
            {"type": datetime, "stored_as": "DatetimeField", "has_default": True, "aware": True},
        ),
        (
            "upper",
            {"type": str, "stored_as": "UpperField", "required": True, "max_length": 9},
        ),
        ("path", {"type": None, "stored_as": "PathField", "required": True, "max_length": 9}),
        ("birthday", {"type": date, "stored_as": "DayField", "required": True}),
        ("either", {"type": None, "stored_as": "ChoiceField", "required": True}),
        ("checked", {**INT, "stored_as": "IntField(refuse_nothing)", "required": True}),
    ],
)
def test_column(initialised: TortoiseContext, name: str, said: dict[str, Any]) -> None:
    """A field that is stored in a column is told with its type, and what its values are like."""
    model = Everything if name in Everything._meta.fields else Special
    found = field(model, name)
    assert found.store_type is model._meta.fields_map[name]
    assert replace(found, store_type=None, validators=()) == Field(name=name, **said)


def test_rule_for_a_class_of_fields(initialised: TortoiseContext) -> None:
    """What the store takes may be less than a type says: a rule may be for the class of fields."""
    with rules_kept():
        rule(UpperField, Faker("numerify", text="A#"))
        assert choose(field(Everything, "upper"), Everything).rule == "your rule for UpperField"
        assert choose(field(Everything, "text"), Everything).rule != "your rule for UpperField"


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("code", ["abc", "ABC"], ["1abc", "abc1"]),
        ("both", ["aab", "a"], ["ba", "ac"]),
        ("numbers", ["1", "1,22"], ["1,", "a", "-1"]),
    ],
)
def test_pattern(
    initialised: TortoiseContext, name: str, right: list[str], wrong: list[str]
) -> None:
    """The pattern is found in the values that the validators take, and in no others."""
    pattern = field(Everything, name).pattern
    assert pattern is not None
    for value in [*right, *wrong]:
        refused = value in wrong
        assert (re.search(pattern, value) is None) == refused
        try:
            Everything._meta.fields_map[name].validate(value)
        except ValidationError:
            assert refused
        else:
            assert not refused


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("numbers", {"type": int, "stored_as": "INT", "ge": -(2**31), "le": 2**31 - 1}),
        ("names", {"type": str, "stored_as": "VARCHAR(20)", "max_length": 20}),
        (
            "prices",
            {"type": Decimal, "stored_as": "NUMERIC(7, 2)", "precision": 7, "scale": 2},
        ),
        (
            "moments",
            {"type": datetime, "stored_as": "TIMESTAMP WITH TIME ZONE", "aware": True},
        ),
        ("days", {"type": date, "stored_as": "DATE"}),
        ("hours", {"type": time, "stored_as": "TIME", "aware": False}),
        ("ranges", {"stored_as": "INT4RANGE"}),
        ("odd", {"stored_as": "?"}),
    ],
)
def test_array(initialised: TortoiseContext, name: str, item: dict[str, Any]) -> None:
    """An array is a list, told with what its items are as far as the SQL of their type says so."""
    found = field(Special, name)
    assert (found.type, found.stored_as) == (list, "ArrayField")
    assert found.required == (name not in ("names", "prices"))
    assert found.element == Field(name=name, required=True, **item)


def test_special_columns(initialised: TortoiseContext) -> None:
    """A computed column is generated; a field that has no type in Python is told without one."""
    search, place = field(Special, "search"), field(Special, "place")
    assert (search.type, search.generated, search.required) == (str, True, False)
    assert (place.type, place.stored_as, place.required) == (None, "GeometryField", True)


async def test_without_time_zones() -> None:
    """Times have no zone where Tortoise was told to use none."""
    async with TortoiseContext() as context:
        await context.init(db_url="sqlite://:memory:", modules={"auto": [__name__]}, use_tz=False)
        assert field(Everything, "moment").aware is False


def test_order(initialised: TortoiseContext) -> None:
    """Fields are in the order of the model, each relation followed by its key.

    What only others refer to is not among them.
    """
    assert " ".join(one.name for one in adapter.fields(User)) == (
        "id name company company_id boss boss_id seller seller_id tags email nick floor"
    )
    assert [one.name for one in adapter.fields(Tag)] == ["slug"]
    assert [one.name for one in adapter.fields(Company)] == ["code", "name"]
    assert adapter.fields(Everything)[0].name == "made"


def test_keys_that_are_given(initialised: TortoiseContext) -> None:
    """A key that Tortoise does not make is required, or has the default of its field."""
    code, identity = field(Company, "code"), field(User, "id")
    assert (code.required, code.generated, code.unique) == (True, False, alone("code"))
    assert (identity.required, identity.generated) == (False, False)
    assert (identity.has_default, identity.default) == (True, NO_DEFAULT)


@pytest.mark.parametrize(
    ("model", "name", "target", "keys", "said"),
    [
        (User, "company", Company, {"company_id": "code"}, {"required": True}),
        (User, "boss", User, {"boss_id": "id"}, {"nullable": True}),
        (User, "seller", Company, {"seller_id": "name"}, {"has_default": True}),
        (Profile, "user", User, {"user_id": "id"}, {"required": True}),
        (Badge, "owner", User, {"owner_id": "id"}, {"nullable": True}),
    ],
)
def test_reference(
    initialised: TortoiseContext,
    model: type[Model],
    name: str,
    target: type[Model],
    keys: dict[str, str],
    said: dict[str, Any],
) -> None:
    """A relation has its target, and the same keys as `keys_of`; it alone may be required."""
    kind = "ForeignKeyField" if model is User else "OneToOneField"
    found = field(model, name)
    expected = {"nullable": False, "has_default": False, "required": False, **said}
    assert {word: getattr(found, word) for word in expected} == expected
    assert (found.type, found.stored_as) == (target, kind)
    assert found.relation == Relation(target=target, keys=keys)
    assert found.relation.keys == adapter.keys_of(model)[name]
    (key,) = keys
    held = field(model, key)
    assert (held.key_of, held.required, held.relation) == (name, False, None)
    assert held.nullable == found.nullable


def test_type_of_keys(initialised: TortoiseContext) -> None:
    """The key of a relation is like the field that it refers to, and has the default."""
    key = field(User, "seller_id")
    assert (key.type, key.max_length, key.default) == (str, 50, "nobody")
    assert field(Badge, "owner_id").type is UUID


def test_many_to_many(initialised: TortoiseContext) -> None:
    """A relation of many to many is told by the model that declares it, and is not required."""
    assert field(User, "tags") == Field(
        name="tags",
        type=list,
        stored_as="ManyToManyField",
        relation=Relation(target=Tag, many=True),
    )


@pytest.mark.parametrize(
    ("model", "name", "unique"),
    [
        (Company, "name", ["name"]),
        (User, "name", ["company name"]),
        (User, "company", ["company name", "company email"]),
        (User, "company_id", ["company_id name", "company_id email"]),
        (User, "email", ["company email"]),
        (User, "boss", ["floor boss"]),
        (User, "boss_id", ["floor boss_id"]),
        (User, "floor", ["floor boss"]),
        (User, "nick", ["nick"]),
        (User, "seller_id", []),
        (Profile, "user", ["user"]),
        (Profile, "user_id", ["user_id"]),
        (Badge, "owner", ["owner"]),
        (Badge, "owner_id", ["owner_id"]),
    ],
)
def test_unique(
    initialised: TortoiseContext, model: type[Model], name: str, unique: list[str]
) -> None:
    """Each set of unique fields is told of each of them, with relations by their own names."""
    assert field(model, name).unique == tuple(frozenset(one.split()) for one in unique)


def test_before_tortoise_is_initialised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that Tortoise was not initialised with is refused, with what to write first."""
    module = ModuleType("fields_before")

    class Target(Model):
        pass

    class Early(Model):
        target: Any = fields.ForeignKeyField("shop.Target")

    for model in (Target, Early):
        model.__module__ = module.__name__
        setattr(module, model.__name__, model)
    with pytest.raises(AdapterError, match=r'modules=\{"models": \["fields_before"\]\}'):
        adapter.fields(Early)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(AdapterError) as caught:
        adapter.fields(Target)
    assert str(caught.value) == (
        "What the fields of Target are is known when Tortoise ORM has been initialised with it; "
        "call Tortoise.init(...) first. In a fixture that the test uses, write "
        'await Tortoise.init(db_url=..., modules={"shop": ["fields_before"]}), or '
        'async with tortoise_test_context(["fields_before"], app_label="shop"): ...'
    )


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (dict, "dict is not a model of Tortoise ORM.*derives from tortoise.models.Model"),
        (Base, "Base is an abstract model, which has no table"),
    ],
)
def test_no_model(model: Any, text: str) -> None:
    """What is no model, or an abstract one, is refused."""
    with pytest.raises(AdapterError, match=text):
        adapter.fields(model)


@pytest.fixture(params=params(stores.STORES, 2))
async def database(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised on each backend in turn."""
    kind = request.param
    url = kind.url(servers, __name__)
    async with stores.opened_context(kind.id, url, __name__, app="auto") as context:
        yield context


VALUES: dict[Any, Any] = {
    int: 42,
    str: "a",
    bool: True,
    float: 0.5,
    Decimal: Decimal("12345.67"),
    datetime: datetime(2026, 1, 2, tzinfo=timezone.utc),
    date: date(2026, 1, 2),
    time: time(1, 2, tzinfo=timezone.utc),
    timedelta: timedelta(hours=1),
    dict: {},
    list: [],
    bytes: b"a",
    UUID: UUID(int=1),
    Colour: Colour.RED,
}
# What only a person knows to be valid, or of which type it is.
KNOWN = {"short": "abc", "numbers": "1,2", "email": "", "path": "a", "either": "a"}


async def test_what_is_required(database: TortoiseContext) -> None:
    """With what is required an object can be stored, and without any one of it, it cannot."""
    email = Everything._meta.fields_map["email"]
    email.validators = []  # no string is an address of both kinds
    required = {
        one.name: KNOWN.get(one.name, VALUES.get(one.type))
        for one in adapter.fields(Everything)
        if one.required
    }
    stored = await Everything.create(**required)
    assert stored.pk is not None
    for name in required:
        others = {other: value for other, value in required.items() if other != name}
        with pytest.raises((IntegrityError, ValidationError, TypeError, ValueError)):
            await Everything.create(**others)
    assert await Everything.all().count() == 1
