"""Which rule counts, those that users register, and types that no rule knows."""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypedDict

import factory
import pytest
from beanie import PydanticObjectId
from bson import ObjectId
from pydantic import BaseModel, EmailStr, HttpUrl, SecretStr
from sqlalchemy import Column, MetaData, String, Table, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_factory_boy import ConfigurationError
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.fields import Relation
from async_factory_boy.auto import Choice, Field, Nested, choose, rule, rules, rules_kept
from async_factory_boy.factory import AsyncFactory
from tests.auto.fields import declared, values_of


class Money:
    pass


class Euro(Money):
    pass


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


class Employee(User):
    pass


@pytest.fixture(autouse=True)
def kept() -> Generator[None]:
    with rules_kept():
        yield


def value(field: Field, model: Any = User) -> Any:
    return values_of(choose(field, model).declaration, 1)[0]


EMAIL = Field(name="email", type=str, max_length=30)


def given(text: Any) -> Any:
    return factory.LazyFunction(lambda: text)


# The user's rules.


def test_the_order() -> None:
    """A rule for a field counts before one for a name, and that before one for a type."""
    rule(str, given("by type"))
    assert value(EMAIL) == "by type"
    rule("email", given("by name"))
    assert value(EMAIL) == "by name"
    rule((User, "email"), given("by field"))
    assert value(EMAIL) == "by field"
    assert value(EMAIL, Employee) == "by field"
    assert value(EMAIL, Money) == "by name"
    rule((Employee, "email"), given("nearer"))
    assert value(EMAIL, Employee) == "nearer"
    assert value(EMAIL) == "by field"


def test_the_newest_counts() -> None:
    """Of two rules for the same, the newer counts; of two patterns as well."""
    rule("email", given("first"))
    rule("e*", given("second"))
    assert value(EMAIL) == "second"
    rule("email", given("third"))
    assert value(EMAIL) == "third"


def test_the_nearest_type_counts() -> None:
    """A rule for a type is one for those derived from it, unless there is a nearer one."""
    money, euro = Money(), Euro()
    rule(Euro, given(euro))
    rule(Money, given(money))
    assert value(Field(name="x", type=Euro)) is euro
    assert value(Field(name="x", type=Money)) is money
    assert value(Field(name="x", type=type("Cent", (Euro,), {}))) is euro


class Code(TypeDecorator[str]):
    impl = String
    cache_ok = True


@dataclass(frozen=True, kw_only=True)
class StoredField(Field):
    store_type: Any = None


@pytest.mark.parametrize("store_type", [Code, Code()])
def test_the_types_of_a_store(store_type: Any) -> None:
    """A rule may be for a type of the store, which counts before that of Python."""
    rule(str, given("text"))
    rule(Code, given("code"))
    assert value(StoredField(name="x", type=str, store_type=store_type)) == "code"
    assert value(StoredField(name="x", type=str, store_type=String())) == "text"


TABLE = Table("t", MetaData(), Column("email", String))


@pytest.mark.parametrize(
    ("spelled", "model"),
    [
        (User.email, User),
        (TABLE.c.email, TABLE),
        (SimpleNamespace(field=SimpleNamespace(model=User, name="email")), User),  # Django
        (SimpleNamespace(_meta=SimpleNamespace(table=User, name="email")), User),  # Piccolo
    ],
)
def test_a_field_as_orms_have_it(spelled: Any, model: Any) -> None:
    """A field may be given as the attribute that ORMs have for it."""
    rule(spelled, given("x"))
    assert value(EMAIL, model) == "x"


def test_a_function() -> None:
    """A rule may be a function of the field; as a decorator it leaves the function as it is."""

    @rule(str)
    def text(field: Field) -> Any:
        return factory.Faker("pystr", min_chars=3, max_chars=field.max_length)

    assert 3 <= len(value(EMAIL)) <= 30
    assert choose(EMAIL, User) == Choice(text(EMAIL), "your rule for str") or callable(text)
    assert choose(EMAIL, User).rule == "your rule for str"
    assert choose(EMAIL, User).source == ""
    rule((User, "email"), lambda field: given(field.name))
    assert choose(EMAIL, User).rule == "your rule for User.email"
    assert value(EMAIL) == "email"


def test_rules_are_kept() -> None:
    """At the end of the block, there are the rules of before."""
    rule("email", given("before"))
    with rules_kept():
        rule("email", given("within"))
        rule(str, given("within"))
        rule((User, "email"), given("within"))
        assert value(EMAIL) == "within"
    assert value(EMAIL) == "before"


def test_changes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked is told of each change."""
    monkeypatch.setattr(rules, "_callbacks", [])
    changes: list[int] = []
    rules.on_change(lambda: changes.append(1))
    with rules_kept():
        rule("email", given(""))
        assert len(changes) == 1
    assert len(changes) == 2


WRITE = "For a plain value write factory.LazyFunction(lambda: ...)."


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (5, f"got 5. {WRITE}"),
        (Money, f"got <class 'tests.auto.test_rules.Money'>. {WRITE}"),
        (factory.PostGeneration(print), f". {WRITE}"),
        (factory.RelatedFactory(factory.DictFactory), f". {WRITE}"),
    ],
)
def test_what_is_no_declaration(wrong: Any, message: str) -> None:
    """A rule is refused that neither is a declaration with a value nor returns one."""
    start = "async_factory_boy.auto.rule(Money) takes a declaration that has a value, or a function"
    with pytest.raises(ConfigurationError) as caught:
        rule(Money, wrong)
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("wrong", [5, ("a",), (User, "a", 1), (User, 1), SimpleNamespace(), None])
def test_what_no_rule_is_for(wrong: Any) -> None:
    """A rule is refused that is for nothing that a field has."""
    with pytest.raises(ConfigurationError, match="is for none of a type, a pattern of names, and"):
        rule(wrong, given(1))


class Expression(str):
    """Beanie's ``User.email`` is of a class like this, and does not know the model."""


def test_a_text_that_is_no_pattern() -> None:
    """A text of a class of its own is not taken for a pattern of names."""
    with pytest.raises(ConfigurationError, match=re.escape('(User, "email")')):
        rule(Expression("email"), given(1))


def test_a_function_that_returns_no_declaration() -> None:
    """A function that returns no declaration is refused, with what to write."""
    rule((User, "email"), lambda field: "x")
    with pytest.raises(ConfigurationError) as caught:
        choose(EMAIL, User)
    assert str(caught.value) == (
        "async_factory_boy.auto.rule((User, 'email')) returned 'x' for 'email', which is not "
        "a declaration. For a plain value return factory.LazyFunction(lambda: ...)."
    )


def test_the_factory_that_asks_is_named() -> None:
    """Where a factory asks for what a rule returns, the error names the factory as well."""
    rule(str, lambda field: "x")
    with pytest.raises(ConfigurationError, match=r"\.\.\.\)\. RecordFactory has asked for it\.$"):
        record_factory(type=str).build()


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Record(dict[str, Any]):
    pass


def record_factory(**constraints: Any) -> Any:
    """Return an automatic factory of a model that has one field, which is required."""

    class RecordAdapter(PersistenceAdapter[Record]):
        def fields(self, model: Any) -> list[Field]:
            return [Field(name="x", required=True, **constraints)]

        async def save(self, instance: Record) -> Record:
            return instance

    class RecordFactory(AsyncFactory[Record]):
        class Meta:
            model = Record
            adapter = RecordAdapter()
            auto_declarations = True

    return RecordFactory


@pytest.mark.parametrize(("for_", "words"), [("*x", "the name *x"), (object, "object")])
@pytest.mark.parametrize(
    ("constraints", "wrong", "problem"),
    [
        (
            {"type": str, "max_length": 3},
            "abcd",
            "has a length of at most 3, and was given one of 4",
        ),
        ({"type": str}, 5, "takes str, and was given int"),
        ({"type": str}, None, "takes str, and was given None"),
        ({"type": int}, True, "takes int, and was given bool"),
        ({"type": date}, datetime(2020, 1, 1), "takes date, and was given datetime"),
        ({"type": Color}, 1, "takes Color, and was given int"),
    ],
)
def test_values_that_do_not_fit(
    for_: Any, words: str, constraints: Any, wrong: Any, problem: str
) -> None:
    """A value of a rule for names or types is refused, where the field cannot take it."""
    rule(for_, given(wrong))
    with pytest.raises(ConfigurationError) as caught:
        record_factory(**constraints).build()
    assert str(caught.value) == (
        f"RecordFactory.x {problem}, by your rule for {words}. Declare x in RecordFactory; or "
        "register a rule that fits: async_factory_boy.auto.rule((Record, 'x'), ...)."
    )


@pytest.mark.parametrize(
    ("constraints", "right"),
    [
        ({"type": str, "max_length": 3}, "abc"),
        ({"type": str, "nullable": True}, None),
        ({"type": float}, 1),
        ({"type": Decimal}, 1),
        ({"type": bool}, True),
        ({"type": datetime}, datetime(2020, 1, 1)),
        ({"type": Money}, "anything"),
        ({"type": None}, "anything"),
        ({"type": Color, "choices": ("r",)}, "r"),
        ({"type": Color}, Color.RED),
    ],
)
def test_values_that_fit(constraints: Any, right: Any) -> None:
    """What a field takes, or what nobody can tell, is let through."""
    rule("x", given(right))
    assert record_factory(**constraints).build() == {"x": right}


def test_values_of_a_rule_for_a_field() -> None:
    """A rule for the very field is believed: its author knows what the field takes."""
    rule((Record, "x"), given(5))
    assert record_factory(type=str).build() == {"x": 5}
    rule((Record, "x"), factory.SubFactory(factory.DictFactory, a=1))
    assert record_factory(type=str).build() == {"x": {"a": 1}}


@dataclass
class Holder:
    y: str


def test_values_of_parts() -> None:
    """Of an object within another, the error names the factory of that object."""
    rule("y", given(5))
    with pytest.raises(ConfigurationError, match=r"^HolderFactory\.y takes str, and was given int"):
        record_factory(type=Holder).build()


async def test_what_is_awaited() -> None:
    """What a rule evaluates to is awaited before it is looked at."""

    async def text() -> str:
        return "abcd"

    rule("x", factory.LazyFunction(text))
    assert await record_factory(type=str, max_length=4).build_async() == {"x": "abcd"}
    with pytest.raises(
        ConfigurationError, match="has a length of at most 3, and was given one of 4"
    ):
        await record_factory(type=str, max_length=3).build_async()


def failing(*_: Any) -> Any:
    raise LookupError("of the user")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors take no notes")
@pytest.mark.parametrize("declaration", [failing, factory.LazyFunction(failing)])
@pytest.mark.parametrize(
    ("for_", "words"), [("x", "the name x"), (str, "str"), ((Record, "x"), "Record.x")]
)
async def test_a_rule_that_raises(for_: Any, words: str, declaration: Any) -> None:
    """The error of a rule has a note that says which rule that is, for which field."""
    rule(for_, declaration)
    with pytest.raises(LookupError, match=r"^of the user") as caught:
        await record_factory(type=str).create_async()
    first = f"async-factory-boy: raised by your rule for {words}, for RecordFactory.x"
    assert getattr(caught.value, "__notes__", [])[0] == first


# Choices and enums.


class Empty(enum.Enum):
    pass


class Outer:
    class Inner(enum.Enum):
        A = "a"


@pytest.mark.parametrize(
    ("field", "expected", "source"),
    [
        (Field(name="x", type=Color), [Color.RED, Color.BLUE] * 2, "factory.Iterator(Color)"),
        (Field(name="email", type=str, choices=("a", "b", "c")), ["a", "b", "c", "a"],
         'factory.Iterator(["a", "b", "c"])'),
        (Field(name="x", type=Color, choices=(Color.BLUE,)), [Color.BLUE] * 4,
         "factory.Iterator([Color.BLUE])"),
        (Field(name="x", type=Decimal, choices=(Decimal(1),)), [Decimal(1)] * 4,
         "factory.Iterator([Decimal('1')])"),
        (Field(name="x", type=Outer.Inner), [Outer.Inner.A] * 4, "factory.Iterator(Outer.Inner)"),
    ],
)  # fmt: skip
def test_members(field: Field, expected: Any, source: str) -> None:
    """The members of an enum and the choices of a field come one after another, so all occur."""
    choice = choose(field, User)
    assert values_of(choice.declaration, 4) == expected
    assert choice.source == source
    assert values_of(declared(choice), 4) == expected


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        ({"type": str, "choices": ("", "red", "green"), "min_length": 1, "max_length": 3}, {"red"}),
        ({"type": int, "choices": (1, 2, 3, 4), "ge": 2, "le": 3}, {2, 3}),
        ({"type": int, "choices": (1, 2, 3, 4), "gt": 1, "lt": 4}, {2, 3}),
        (
            {"type": Decimal, "precision": 2, "scale": 2,
             "choices": (Decimal("-1.5"), Decimal("0.125"), Decimal("0.25"))},
            {Decimal("0.25")},
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("unique", [True, False])
def test_choices_within_limits(constraints: Any, expected: set[Any], unique: bool) -> None:
    """Of the choices, those count that a field's own limits allow."""
    model = type("User", (), {})
    choice = choose(Field(name="x", **constraints), model, unique=unique)
    assert {*values_of(choice.declaration, len(expected))} == expected


def test_a_tuple_of_a_large_type() -> None:
    """Items are drawn from as many values as there may be, more than a range has a length for."""
    item = Field(name="x", type=bytes)
    choice = choose(Field(name="x", type=tuple, element=item, min_length=2, max_length=2), User)
    ((first, second),) = values_of(choice.declaration, 1)
    assert len({first, second}) == 2


def test_an_enum_without_members() -> None:
    """An enum that has no members has no value."""
    with pytest.raises(ConfigurationError, match=r"User\.x has no value: Empty has no members"):
        choose(Field(name="x", type=Empty), User)


# Types.


class Address(TypedDict):
    city: str


@dataclass
class Point:
    x: int


class Tag(BaseModel):
    name: str


@pytest.mark.parametrize("kind", [Address, Point, Tag])
def test_nested(kind: Any) -> None:
    """A type that has fields of its own is left to its automatic factory, also as an item."""
    item = Field(name="x", type=kind)
    assert choose(item, User).declaration == Nested(kind)
    assert choose(item, User).source == f"factory.SubFactory({kind.__name__}Factory)"
    for container in (list, tuple):
        field = Field(name="x", type=container, min_length=2, element=item)
        assert choose(field, User).declaration == Nested(kind, container, 2)
    with pytest.raises(ConfigurationError, match="takes 2 items or more, of a type that no rule"):
        choose(Field(name="x", type=set, min_length=2, element=item), User)
    with pytest.raises(ConfigurationError, match="is unique, and values of"):
        choose(item, User, unique=True)


@pytest.mark.parametrize(("container", "kind"), [(list, list), (tuple, tuple), (set, set),
                         (frozenset, frozenset), (dict, dict), (Mapping, dict)])  # fmt: skip
def test_containers(container: Any, kind: type) -> None:
    """A collection is empty, unless it has to have items: then it has as few as may be."""
    choice = choose(Field(name="x", type=container), User)
    assert value(Field(name="x", type=container)) == kind()
    assert values_of(declared(choice), 1) == [kind()]
    made = values_of(choice.declaration, 2)
    assert made[0] is not made[1] or kind in (tuple, frozenset)
    if kind is dict:
        return
    element = Field(name="x", type=int, ge=5)
    field = Field(name="x", type=container, min_length=3, element=element)
    for declaration in (choose(field, User).declaration, declared(choose(field, User))):
        (one,) = values_of(declaration, 1)
        assert type(one) is kind
        assert len(one) == 3
        assert min(one) >= 5


@pytest.mark.parametrize(
    ("constraints", "problem"),
    [
        ({"type": list, "min_length": 2}, "takes 2 items or more, and the adapter does not tell"),
        ({"type": dict, "min_length": 1, "element": EMAIL}, "takes 1 items or more, and the"),
        ({"type": set, "min_length": 3, "element": Field(name="x", type=bool)},
         "takes 3 items or more, of a type that no rule knows 3 different values for"),
        ({"type": tuple, "min_length": 1, "element": Field(name="x", type=str, pattern="a")},
         "takes 1 items or more, of a type that no rule knows 1 different values for"),
        ({"type": int, "gt": 1, "lt": 2}, "has no value: none is greater than 1, less than 2."),
        ({"type": str, "min_length": 6, "max_length": 3},
         "has no value: none is at least 6 characters long, at most 3 characters long. Declare"),
        ({"type": list, "min_length": 2, "max_length": 1}, "has no value: none is at least 2"),
        ({"type": str, "choices": ("red", "green"), "max_length": 2},
         "has no value: none of 'red', 'green' is at most 2 characters long. Declare 'x' in"),
        ({"type": int, "choices": (1, 9), "gt": 1, "lt": 9}, "has no value: none of 1, 9 is"),
        ({"type": date, "gt": date(2020, 1, 1), "lt": date(2020, 1, 2)}, "has no value: none is"),
        ({"type": datetime, "gt": datetime(2020, 1, 1), "le": datetime(2020, 1, 1)},
         "has no value: none is greater than 2020-01-01 00:00:00"),
        ({"type": Decimal, "gt": 1, "multiple_of": 5, "precision": 1, "scale": 1},
         "has no value: none is of at most 1 digits, of 1 digits after the point, greater than 1"),
        ({"type": object}, "is of the type object, which no rule knows a value for. A rule for all "
         "fields of the type: rule(object, ...). Declare 'x' in the factory, or register a rule: "
         "async_factory_boy.auto.rule((User, 'x'), factory.LazyFunction(...))."),
        ({"type": Money, "stored_as": "MONEY"}, "is of the type MONEY / Money, which no rule"),
        ({"type": None}, "is of a type that the adapter cannot tell, which no rule knows a value"),
        ({"type": str | None}, "is of the type str | None, which"),
    ],
)  # fmt: skip
def test_what_is_refused(constraints: Any, problem: str) -> None:
    """What no rule knows a value for is an error that says what to write, and never a guess."""
    with pytest.raises(ConfigurationError) as caught:
        choose(Field(name="x", **constraints), User)
    assert str(caught.value).startswith(f"User.x {problem}")


def test_bounds_of_times() -> None:
    """A time without values is refused as well."""
    from datetime import time

    with pytest.raises(ConfigurationError, match="has no value"):
        choose(Field(name="x", type=time, gt=time(23, 59, 59)), User)


def test_values_of_a_pattern() -> None:
    """What no declaration expresses is drawn from the annotation, unique if need be."""
    pattern = Field(name="x", type=str, pattern="^[ab]$")
    choice = choose(pattern, User, unique=True)
    assert choice.rule == "by constraint, of the pattern ^[ab]$, unique"
    assert sorted(values_of(choice.declaration, 2)) == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "rule", "form"),
    [(EmailStr, "by type: email", ".+@.+"), (HttpUrl, "by type: url", "https?://.+"),
     (SecretStr, "by type: password", ".+")],
)  # fmt: skip
def test_types_of_pydantic(kind: Any, rule: str, form: str) -> None:
    """Types of pydantic's that are texts of a kind have values of it, whatever the field's name."""
    choice = choose(Field(name="city", type=kind), User)
    assert choice.rule == rule
    assert re.fullmatch(form, values_of(choice.declaration, 1)[0])


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (Field(name="x", type=bool, default=True), True),
        (Field(name="x", type=bool, default=None), False),
        (Field(name="x", type=str, max_length=0), ""),
    ],
)
def test_plain_values(field: Field, expected: Any) -> None:
    """A boolean is False, unless its default says otherwise."""
    choice = choose(field, User)
    assert choice.declaration == expected
    assert eval(choice.source) == expected


class OwnId(ObjectId):
    pass


@pytest.mark.parametrize("kind", [IPv4Address, Path, ObjectId, PydanticObjectId, OwnId])
def test_drawn_types(kind: type) -> None:
    """Types that Faker has no values of are drawn from values of their own."""
    choice = choose(Field(name="x", type=kind), User)
    for declaration in (choice.declaration, declared(choice)):
        assert isinstance(values_of(declaration, 1)[0], kind)


def test_a_relation_is_not_chosen() -> None:
    """Whoever asks for the value of a relation made a mistake."""
    with pytest.raises(TypeError, match="'r' is a relation, which no rule of a value is for"):
        choose(Field(name="r", relation=Relation(target=User)), User)


def test_words_of_a_rule() -> None:
    """The rule is told with the constraints that it kept to."""
    field = Field(
        name="x", type=str, min_length=2, max_length=30, unique=(frozenset({"x"}),)
    )  # fmt: skip
    assert choose(field, User).rule == (
        "by type: str, at least 2 characters long, at most 30 characters long, unique"
    )
