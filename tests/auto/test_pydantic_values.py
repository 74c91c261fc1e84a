"""Values that polyfactory makes, where factory_boy's declarations cannot express a constraint."""

# The older ways to write an annotation are read as well.
# ruff: noqa: UP007, UP045

from __future__ import annotations

import datetime
import enum
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional, Union

import pydantic
import pytest
from annotated_types import Predicate
from factory.random import reseed_random
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, create_model
from typing_extensions import TypedDict

from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.mongo import MongoAdapter
from async_factory_boy.auto.pydantic_values import has_validators, maker_for
from async_factory_boy.exceptions import ConfigurationError
from tests.auto.constrained import PATTERNS, annotations, model_of

Code = Annotated[str, pydantic.Field(pattern=r"^[A-Z]{3}-\d{2,4}$")]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = pydantic.Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    tag: Code


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Code = pydantic.Field(alias="codeOf")
    validated: Code = pydantic.Field(validation_alias="validatedAs")
    price: Decimal = pydantic.Field(
        gt=0, max_digits=6, decimal_places=2, multiple_of=Decimal("0.25")
    )
    color: Color
    note: str | None = None
    inner: list[Line] = []


@dataclass
class Size:
    width: Annotated[int, pydantic.Field(gt=-8, lt=2, multiple_of=7)]


class Place(TypedDict):
    city: Annotated[str, pydantic.Field(min_length=30)]


class Order(BaseModel):
    pet: Annotated[Union[Cat, Dog], pydantic.Field(discriminator="kind")]
    lines: Annotated[list[Line], pydantic.Field(min_length=2, max_length=3)]
    size: Size
    place: Place
    by_code: Annotated[dict[Code, Line], pydantic.Field(min_length=2)]
    few: Annotated[
        set[Annotated[int, pydantic.Field(ge=0, le=2)]], pydantic.Field(min_length=3, max_length=9)
    ]


def told(model: Any) -> dict[str, Field]:
    return {one.name: one for one in MongoAdapter[Any]().fields(model)}


def test_nested_models() -> None:
    """Models within models, by aliases, with defaults left as they are, meet their constraints."""
    makers = {name: maker_for(one, Order) for name, one in told(Order).items()}
    for _ in range(20):
        order = Order(**{name: make() for name, make in makers.items()})
        assert {(line.note, *line.inner) for line in order.lines} == {(None,)}
        assert order.few == {0, 1, 2}
        assert order.size.width in (-7, 0)


MomentA = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
Naive = MomentA.replace(tzinfo=None)


def named(one: Any) -> str:
    """Return what an annotation is called in the name of a test, without addresses."""
    return re.sub(r"FieldInfo.annotation=NoneType, required=True, | at 0x\w+", "", str(one))[:70]


# What is no model, and that polyfactory alone would not always do right.
TYPES: list[Any] = [
    Annotated[int, pydantic.Field(ge=-5, le=3, multiple_of=7)],
    Annotated[int, pydantic.Field(lt=-1000)],
    Annotated[float, pydantic.Field(ge=0.1, le=0.1)],
    Annotated[float, pydantic.Field(gt=1e-300, lt=2e-300)],
    Annotated[float, pydantic.Field(ge=1, multiple_of=0.1)],
    Annotated[float, pydantic.Field(ge=5, le=float("inf"))],
    pydantic.FiniteFloat,
    Annotated[Decimal, pydantic.Field(max_digits=3, lt=-5)],
    Annotated[Decimal, pydantic.Field(max_digits=5, ge=99_999)],
    Annotated[Decimal, pydantic.Field(max_digits=1)],
    Annotated[Decimal, pydantic.Field(gt=Decimal("0.001"), lt=Decimal("0.009"))],
    Annotated[bool, pydantic.Strict()],
    Annotated[datetime.datetime, pydantic.Field(gt=MomentA, lt=MomentA + datetime.timedelta(0, 1))],
    Annotated[pydantic.AwareDatetime, pydantic.Field(ge=MomentA)],
    Annotated[pydantic.AwareDatetime, pydantic.Strict()],
    Annotated[pydantic.NaiveDatetime, pydantic.Field(ge=Naive)],
    Annotated[pydantic.PastDatetime, pydantic.Field(ge=MomentA)],
    Annotated[pydantic.FutureDatetime, pydantic.Field(ge=MomentA)],
    Annotated[pydantic.PastDate, pydantic.Field(ge=datetime.date(2000, 1, 1))],
    Annotated[pydantic.FutureDate, pydantic.Field(le=datetime.date(9000, 1, 1))],
    Annotated[datetime.timedelta, pydantic.Field(gt=datetime.timedelta(hours=1))],
    Annotated[datetime.time, pydantic.Field(ge=datetime.time(12))],
    Annotated[datetime.time, pydantic.Field(lt=datetime.time(0, 0, 0, 5))],
    pydantic.UUID1, pydantic.UUID4, pydantic.UUID7,
    Annotated[str, pydantic.StringConstraints(to_upper=True, max_length=4)],
    Annotated[str, pydantic.StringConstraints(to_lower=True, pattern="^[a-z]{3}$")],
    Annotated[str, pydantic.Field(pattern="^[a-z]+$", min_length=40, max_length=60)],
    Annotated[str, pydantic.Field(pattern="^[a-z]+-[a-z]+$", max_length=5)],
    Annotated[str, pydantic.Field(pattern=re.compile(r"^[^@\s]+@[^@\s]+$"))],
    Annotated[str, pydantic.Field(pattern=r"^\W\D\S.(a|bc)?\w*$")],
    Annotated[pydantic.SecretStr, pydantic.Field(min_length=30)],
    Annotated[pydantic.SecretBytes, pydantic.Field(max_length=2)],
    Annotated[bytes, pydantic.Field(min_length=40)],
    pydantic.Json, pydantic.Json[list[int]],
    pydantic.Json[Annotated[int, pydantic.Field(ge=7)]],
    pydantic.Base64Bytes, pydantic.HttpUrl, pydantic.MongoDsn, pydantic.ByteSize,
    Annotated[pydantic.AnyUrl, pydantic.UrlConstraints(allowed_schemes=["ftp"])],
    Annotated[pydantic.HttpUrl, pydantic.Field(max_length=200)],
    pydantic.IPvAnyAddress, pydantic.FilePath, pydantic.DirectoryPath,
    NewType("Count", int),
    Optional[Code], Literal["a", "b"], Color, Any,
    tuple[Code, int], tuple[Code, ...],
    Annotated[tuple[Code, ...], pydantic.Field(min_length=2)],
    Annotated[list[int], pydantic.Field(max_length=0)],
    Annotated[frozenset[Color], pydantic.Field(max_length=9)],
    Annotated[dict[Color, Code], pydantic.Field(min_length=2)],
    Annotated[int, Predicate(lambda value: value % 2 == 0)],
]  # fmt: skip


@pytest.mark.parametrize("annotation", TYPES, ids=named)
def test_types(annotation: Any) -> None:
    """Whatever the type and its constraints, values are what a model takes, each time."""
    model = model_of(annotation)
    make = maker_for(told(model)["value"], model)
    made = [make() for _ in range(10)]
    for value in made:
        assert value is not None
        model(value=value)


@pytest.mark.unmeasured
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(annotations(), min_size=1, max_size=5), st.booleans())
def test_random_models(fields: list[tuple[Any, Any, str]], nested: bool) -> None:
    """Values of random constrained models, also of those within others, validate."""
    written: Any = {f"f{number}": (one[0], ...) for number, one in enumerate(fields)}
    model: Any = create_model("Made", **written)
    if nested:
        model = create_model("Outer", inner=(model, ...), several=(list[model], ...))
    values = {name: maker_for(one, model)() for name, one in told(model).items()}
    model(**values)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern: str) -> None:
    """A value matches the pattern of its field."""
    model = model_of(Annotated[str, pydantic.Field(pattern=pattern)])
    make = maker_for(told(model)["value"], model)
    assert all(re.fullmatch(pattern, make()) for _ in range(50))


@pytest.mark.filterwarnings("ignore:The `PaymentCardNumber` class is deprecated")
def test_payment_card() -> None:
    """A type of pydantic's that is a string is not taken for any string."""
    model = model_of(Annotated[pydantic.PaymentCardNumber, pydantic.Strict(False)])
    model(value=maker_for(told(model)["value"], model)())


def test_configuration() -> None:
    """What a model is configured with holds for the values of its fields."""

    class Model(BaseModel):
        model_config = ConfigDict(regex_engine="python-re", str_max_length=5)

        code: str = pydantic.Field(pattern=r"^(?=a)[ab]+$")
        codes: list[str]

    fields = told(Model)
    for _ in range(20):
        Model(**{name: maker_for(one, Model)() for name, one in fields.items()})


def test_plain_models_are_given_validated_values() -> None:
    """A model that validates nothing is given what pydantic makes of a value."""

    @dataclass
    class Plain:
        url: pydantic.HttpUrl
        numbers: pydantic.Json[list[int]]
        secret: pydantic.SecretStr

    fields = {one.name: maker_for(one, Plain)() for one in MongoAdapter[Any]().fields(Plain)}
    assert isinstance(fields["url"], pydantic.HttpUrl)
    assert isinstance(fields["numbers"], list)
    assert isinstance(fields["secret"], pydantic.SecretStr)


def test_fields_without_annotation() -> None:
    """A field of a store that has no annotations is made of its constraints."""
    choice = Field(name="a", type=str, choices=("x", "y"))
    number = Field(name="a", type=Decimal, precision=4, scale=2, gt=3)
    items = Field(
        name="a", type=list, min_length=2, element=Field(name="a", type=str, pattern="^a+$")
    )
    entries = Field(name="a", type=dict, element=Field(name="a", type=int, ge=5, le=5))
    for _ in range(10):
        assert maker_for(choice, Cat)() in ("x", "y")
        assert Decimal(3) < maker_for(number, Cat)() < 100
        assert all(set(one) == {"a"} for one in maker_for(items, Cat)())
        assert [*maker_for(entries, Cat)().values()] == [5]


# Randomness.


def drawn() -> list[Any]:
    """Return values of all kinds, which the seed decides."""
    reseed_random(7)
    models = [Order, *(model_of(one) for one in TYPES if "Predicate" not in str(one))]
    return [maker_for(one, model)() for model in models for one in told(model).values()]


def test_the_seed_governs_values() -> None:
    """The same seed gives the same values, and another gives others."""
    field = told(Dog)["tag"]
    first = drawn()
    following = [maker_for(field, Dog)() for _ in range(5)]
    assert str(drawn()) == str(first)
    assert [maker_for(field, Dog)() for _ in range(5)] == following
    assert len(set(following)) > 1
    reseed_random(8)
    assert [maker_for(field, Dog)() for _ in range(5)] != following


PRINTED = """
from tests.auto.test_pydantic_values import printed
print(printed())
"""


def printed() -> str:
    """Return values of a nested model, but for a set, whose order is nobody's."""
    reseed_random(7)
    return str([maker_for(one, Order)() for one in told(Order).values() if one.type is not set])


@pytest.mark.unmeasured
def test_values_are_the_same_in_another_process() -> None:
    """Values do not depend on the hashes of strings, which are others in each process."""
    another = subprocess.run(
        [sys.executable, "-c", PRINTED],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert another.stdout.strip() == printed()


def test_polyfactory_is_left_alone() -> None:
    """What the user's own factories of polyfactory draw, and which there are, stays as it was."""
    from polyfactory.factories.base import BaseFactory
    from polyfactory.factories.pydantic_factory import ModelFactory

    before = [*BaseFactory._base_factories], dict(BaseFactory._factory_type_mapping)
    state = ModelFactory.__random__.getstate()
    maker_for(told(Order)["lines"], Order)()
    after = [*BaseFactory._base_factories], dict(BaseFactory._factory_type_mapping)
    assert (before, state) == (after, ModelFactory.__random__.getstate())


# Errors.


def test_no_value_is_found() -> None:
    """A field that takes nothing is an error that names it, and says why."""

    class Impossible(BaseModel):
        code: Annotated[str, pydantic.Field(pattern="^aaa$", max_length=2)]
        odd: Annotated[str, Predicate(str.isspace)]
        number: Annotated[int, pydantic.Field(gt=3, lt=4)]
        digits: Annotated[Decimal, pydantic.Field(max_digits=2, decimal_places=2, ge=3)]
        moment: Annotated[
            datetime.datetime, pydantic.Field(gt=MomentA, lt=MomentA.replace(tzinfo=None))
        ]

    fields = told(Impossible)
    for name, constraints, why in (
        (
            "code", "MaxLen(max_length=2), pattern='^aaa$'",
            "no string of that length was found for the pattern '^aaa$'",
        ),
        ("odd", "Predicate(str.isspace)", "Predicate"),
        ("number", "Gt(gt=3), Lt(lt=4)", "no number is within the bounds"),
        ("digits", "max_digits=2", "no number is within the bounds"),
        ("moment", "Gt(gt=", "can't subtract offset-naive and offset-aware datetimes"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError) as caught:
            maker_for(fields[name], Impossible)()
        assert str(caught.value).startswith(
            f"Impossible.{name} has constraints that no value was found for: "
        )
        assert constraints in str(caught.value)
        assert why in str(caught.value)
        assert str(caught.value).endswith(f"). Declare {name} in the factory.")


def test_polyfactory_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without polyfactory, an error names the field, and says what to install."""
    monkeypatch.delitem(sys.modules, "async_factory_boy.auto._polyfactory", raising=False)
    monkeypatch.setitem(sys.modules, "polyfactory", None)
    monkeypatch.setitem(sys.modules, "polyfactory.exceptions", None)
    with pytest.raises(ConfigurationError) as caught:
        maker_for(told(Dog)["tag"], Dog)()
    assert str(caught.value) == (
        "Dog.tag has constraints that factory_boy's declarations cannot express: "
        r"pattern='^[A-Z]{3}-\\d{2,4}$'. polyfactory, which makes values for those, is not "
        "installed. Install it with: pip install 'async-factory-boy[auto]'; or declare the field "
        "in the factory."
    )


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, False),
        (Annotated[int, pydantic.Field(ge=1, le=5, strict=True)], False),
        (pydantic.UUID4, False),
        (pydantic.UUID1, True),
        (Optional[pydantic.constr(max_length=4)], False),
        (Annotated[str, pydantic.PlainSerializer(str)], False),
        (Color, False),
        (Literal["a"], False),
        (NewType("Count", int), False),
        (list[Annotated[int, pydantic.Field(ge=1)]], False),
        (pydantic.AwareDatetime, False),
        (Code, False),
        (pydantic.Base64Bytes, True),
        (Annotated[int, pydantic.AfterValidator(abs)], True),
        (list[Annotated[int, pydantic.AfterValidator(abs)]], True),
        (Annotated[int, Predicate(bool)], True),
    ],
    ids=named,
)
def test_validators(annotation: Any, expected: bool) -> None:
    """What a field says is all that is asked of its values, but for what a validator may refuse."""
    assert has_validators(told(model_of(annotation))["value"]) is expected
