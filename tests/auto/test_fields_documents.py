"""What adapters tell of the fields of Beanie documents, and of the models of collections."""

# The older ways to write an annotation are read as well.
# ruff: noqa: PYI061, UP007, UP045

from __future__ import annotations

import datetime
import enum
import importlib
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union

import annotated_types
import pydantic
import pymongo
import pytest
from beanie import BackLink, Document, Indexed, Link, PydanticObjectId, init_beanie
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    EmailStr,
    TypeAdapter,
    create_model,
)
from pymongo import IndexModel
from typing_extensions import NotRequired, ReadOnly, Required, TypeAliasType, TypedDict

from async_factory_boy.adapters._annotations import Reader
from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.adapters.beanie import BeanieAdapter
from async_factory_boy.adapters.fields import NO_DEFAULT, Field, Relation
from async_factory_boy.adapters.mongo import MongoAdapter
from async_factory_boy.exceptions import AdapterError
from tests.auto.constrained import CALLED, annotations, model_of, values
from tests.servers import Servers
from tests.stores.beanie import DRIVER


def told(model: Any, adapter: PersistenceAdapter[Any] | None = None) -> dict[str, Field]:
    """Return the fields of a model by name, with Beanie's adapter for a document."""
    if adapter is None:
        adapter = BeanieAdapter() if BeanieAdapter.handles(model) else MongoAdapter()
    return {one.name: one for one in adapter.fields(model)}


def said(field: Field, *without: str) -> dict[str, Any]:
    """Return what a field says, but for what it says of each."""
    plain = Field(name="")
    return {
        name: value
        for name in plain.__dataclass_fields__
        if (value := getattr(field, name)) != getattr(plain, name)
        and name not in ("name", "required", "annotation", *without)
    }


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Place(TypedDict):
    city: str


@dataclass
class Point:
    x: int


T = TypeVar("T", bound=int)


@dataclass
class Box(Generic[T]):
    item: T


UserId = NewType("UserId", int)
Ids = TypeAliasType("Ids", list[int])
Items = TypeAliasType("Items", list[T], type_params=(T,))  # type: ignore[misc]
Tree = TypeAliasType("Tree", dict[str, "Tree"])  # type: ignore[misc]
Moment = datetime.datetime(2020, 1, 1)

# What is written, and what is told of it.
ANNOTATIONS: list[tuple[Any, dict[str, Any]]] = [
    (str, {"type": str}),
    (Optional[str], {"type": str, "nullable": True}),
    (str | None, {"type": str, "nullable": True}),
    (Union[int, str], {"type": int}),
    (Union[Any, None], {"type": object, "nullable": True}),
    (None, {"type": type(None)}),
    (Any, {"type": object}),
    (Color, {"type": Color}),
    (Literal["a", "b"], {"type": str, "choices": ("a", "b")}),
    (Literal["a", None], {"type": str, "choices": ("a",), "nullable": True}),
    (Literal[1, "a"], {"type": object, "choices": (1, "a")}),
    (Literal[Color.RED], {"type": Color, "choices": (Color.RED,)}),
    (Literal["a", "b"] | None, {"type": str, "choices": ("a", "b"), "nullable": True}),
    (UserId, {"type": int}),
    (Annotated[UserId, pydantic.Field(gt=3)], {"type": int, "gt": 3}),
    (T, {"type": int}),
    (type[int], {"type": type}),
    (Point, {"type": Point}),
    (Box[int], {"type": Box}),
    (Place, {"type": Place}),
    (Cat, {"type": Cat}),
    (
        Annotated[Dog | Cat, pydantic.Field(discriminator="kind")],
        {"type": Dog},
    ),
    (pydantic.constr(min_length=2, pattern="a+"), {"type": str, "min_length": 2, "pattern": "a+"}),
    (pydantic.conint(ge=1, le=5, multiple_of=2), {"type": int, "ge": 1, "le": 5, "multiple_of": 2}),
    (pydantic.PositiveInt, {"type": int, "gt": 0}),
    (pydantic.NonPositiveFloat, {"type": float, "le": 0}),
    (
        pydantic.condecimal(max_digits=5, decimal_places=2, lt=Decimal(9)),
        {"type": Decimal, "precision": 5, "scale": 2, "lt": Decimal(9)},
    ),
    (pydantic.UUID4, {"type": uuid.UUID}),
    (pydantic.SecretStr, {"type": pydantic.SecretStr}),
    (pydantic.HttpUrl, {"type": pydantic.HttpUrl}),
    (pydantic.PastDate, {"type": pydantic.PastDate}),
    (pydantic.Json, {"type": pydantic.Json}),
    (pydantic.Json[list[int]], {"type": pydantic.Json}),
    (pydantic.AwareDatetime, {"type": datetime.datetime, "aware": True}),
    (pydantic.NaiveDatetime, {"type": datetime.datetime, "aware": False}),
    (
        Annotated[datetime.datetime, pydantic.Field(gt=Moment)],
        {"type": datetime.datetime, "gt": Moment},
    ),
    (Annotated[int, annotated_types.Interval(ge=1, lt=4)], {"type": int, "ge": 1, "lt": 4}),
    # Both hold, so what is told is the tighter.
    (
        Annotated[Annotated[int, pydantic.Field(ge=1, le=9)], pydantic.Field(ge=3, le=20)],
        {"type": int, "ge": 3, "le": 9},
    ),
    (
        Annotated[Annotated[str, pydantic.Field(max_length=3)] | None, annotated_types.Len(1)],
        {"type": str, "nullable": True, "min_length": 1, "max_length": 3},
    ),
    (list, {"type": list}),
    (Annotated[list[int], pydantic.Field(max_length=3)], {"type": list, "max_length": 3}),
    (pydantic.conlist(int, min_length=1), {"type": list, "min_length": 1}),
    (pydantic.conset(int, max_length=3), {"type": set, "max_length": 3}),
    (frozenset[int], {"type": frozenset}),
    (deque[int], {"type": deque}),
    (Sequence[int], {"type": list}),
    (Ids, {"type": list}),
    (Items[int], {"type": list}),
    (tuple[int, ...], {"type": tuple}),
    (tuple[int, int], {"type": tuple, "min_length": 2, "max_length": 2}),
    (dict[str, int], {"type": dict}),
    (Mapping[str, int], {"type": dict}),
]  # fmt: skip
ELEMENTS = {list, set, frozenset, deque, dict, tuple}


@pytest.mark.parametrize(("annotation", "expected"), ANNOTATIONS, ids=lambda one: str(one)[:60])
def test_annotations(annotation: Any, expected: dict[str, Any]) -> None:
    """What is told of an annotation is the same for a model, a document and a dataclass."""
    made = create_model("Made", value=(annotation, ...))
    document = create_model("Document", __base__=Document, value=(annotation, ...))
    for model in (made, document):
        one = told(model)["value"]
        assert said(one, "element") == expected
        assert one.required
        if expected["type"] in ELEMENTS and annotation is not list:
            assert one.element is not None
            assert (one.element.type, one.element.name) == (int, "value")
    if annotation is not T:
        plain = dataclass(type("Plain", (), {"__annotations__": {"value": annotation}}))
        assert said(told(plain)["value"], "element") == expected


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (EmailStr, {"type": EmailStr}),
        (Annotated[datetime.datetime, annotated_types.Timezone(None)], {"aware": False}),
        (Annotated[datetime.datetime, annotated_types.Timezone(...)], {"aware": True}),
        (Tree, {"type": dict}),
        (Union[Literal["a"], Literal["b"]], {"type": str, "choices": ("a", "b")}),  # noqa: PYI030
        (tuple[int, str], {"type": tuple, "min_length": 2, "max_length": 2}),
        (tuple[()], {"type": tuple, "min_length": 0, "max_length": 0}),
        (Annotated[int | str, None] | Literal["a"], {"type": int}),
        (Callable[[], int], {}),
        ("Missing", {}),
        (Annotated["Missing", None], {}),  # type: ignore[name-defined]  # noqa: F821
        (list["Missing"], {"type": list}),  # type: ignore[name-defined]  # noqa: F821
        (Annotated[Literal["a"], pydantic.Field(pattern="b")], {"choices": ("a",)}),
    ],
    ids=str,
)
def test_annotations_of_no_model(annotation: Any, expected: dict[str, Any]) -> None:
    """An annotation is read by itself; what names a class that is not known has no type."""
    one = said(Reader().field("value", annotation), "element")
    if not expected:
        assert one == {}
    assert expected.items() <= one.items()


def test_elements_have_constraints() -> None:
    """The items of a field are told as a field is: constraints, choices, items of their own."""

    class Model(BaseModel):
        words: list[Annotated[str, pydantic.Field(max_length=3)]]
        grid: list[list[Literal[1, 2]]]
        ages: dict[str, Annotated[int, pydantic.Field(ge=0)] | None]
        mixed: tuple[int, str]

    fields = told(Model)
    words, grid, ages = (fields[name].element for name in ("words", "grid", "ages"))
    assert words is not None
    assert said(words) == {"type": str, "max_length": 3}
    assert grid is not None
    assert grid.element is not None
    assert said(grid.element) == {"type": int, "choices": (1, 2)}
    assert ages is not None
    assert said(ages) == {"type": int, "ge": 0, "nullable": True}
    assert fields["mixed"].element is None


@pytest.mark.unmeasured
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_constraints(data: st.DataObject) -> None:
    """A field says the constraints it was made with, and its model takes what meets them."""
    annotation, constraints, where = data.draw(annotations())
    model = model_of(annotation)
    (one,) = MongoAdapter[Any]().fields(model)
    constrained = one.element if where else one
    assert constrained is not None
    for name, value in constraints.items():
        assert getattr(constrained, CALLED.get(name, name)) == value
    value = data.draw(values(one))
    model(value=value)
    TypeAdapter(one.annotation).validate_python(value)


def test_annotation_is_whole() -> None:
    """The annotation of a field has all that decides what it takes."""

    class Model(BaseModel):
        pet: Annotated[Dog | Cat, pydantic.Field(discriminator="kind")]
        code: Annotated[str, pydantic.Field(pattern="^a+$"), pydantic.AfterValidator(str.upper)]

    fields = told(Model)
    pet = TypeAdapter(fields["pet"].annotation)
    assert pet.validate_python({"kind": "cat"}) == Cat(kind="cat")
    with pytest.raises(pydantic.ValidationError, match="'kind' does not match any of the expected"):
        pet.validate_python({"kind": "cow"})
    code = TypeAdapter(fields["code"].annotation)
    assert code.validate_python("aa") == "AA"
    with pytest.raises(pydantic.ValidationError):
        code.validate_python("b")


# Keywords, defaults, keys.


class Aliased(BaseModel):
    plain: int
    alias: int = pydantic.Field(alias="aliasOf")
    validated: int = pydantic.Field(validation_alias="validatedAs")
    written: int = pydantic.Field(serialization_alias="writtenAs")
    chosen: int = pydantic.Field(validation_alias=AliasChoices(AliasPath("a", 0), "one", "two"))
    path: list[int] = pydantic.Field(validation_alias=AliasPath("within", 0))


def test_keywords() -> None:
    """A field is called as the constructor takes it."""
    fields = told(Aliased)
    names = ["plain", "aliasOf", "validatedAs", "written", "one", "within"]
    assert list(fields) == names
    Aliased(**{name: [[1]] if name == "within" else 1 for name in names})

    class ByName(Aliased):
        model_config = ConfigDict(populate_by_name=True)

    assert list(told(ByName)) == list(Aliased.model_fields)


class Defaults(BaseModel):
    given: int
    nullable: int | None
    plain: int = 3
    none: int | None = None
    made: list[int] = pydantic.Field(default_factory=list)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.given * 2


@dataclass
class PlainDefaults:
    given: int
    nullable: int | None
    hidden: int = field(init=False, default=0)
    plain: int = 3
    none: int | None = None
    made: list[int] = field(default_factory=list)


@pydantic.dataclasses.dataclass
class CheckedDefaults:
    given: int
    nullable: int | None
    hidden: int = field(init=False, default=0)
    plain: int = 3
    none: int | None = None
    made: list[int] = field(default_factory=list)


class DocumentDefaults(Document):
    given: int
    nullable: int | None
    plain: int = 3
    none: int | None = None
    made: list[int] = pydantic.Field(default_factory=list)


@pytest.mark.parametrize("model", [Defaults, PlainDefaults, CheckedDefaults, DocumentDefaults])
def test_defaults(model: Any) -> None:
    """Required is what has no default, even if it may be None; what is computed is no field."""
    fields = [one for one in told(model).values() if not one.generated]
    assert [
        (one.name, one.required, one.nullable, one.has_default, one.default) for one in fields
    ] == [
        ("given", True, False, False, NO_DEFAULT),
        ("nullable", True, True, False, NO_DEFAULT),
        ("plain", False, False, True, 3),
        ("none", False, True, True, None),
        ("made", False, False, True, NO_DEFAULT),
    ]


@dataclass
class WithInitVar:
    seed: InitVar[Annotated[int, pydantic.Field(ge=1)]]
    total: int = field(init=False)

    def __post_init__(self, seed: int) -> None:
        self.total = seed


class OwnConstructor:
    __annotations__ = {"size": "int"}

    def __init__(self, size: int, color=None, *rest: Any, **others: Any) -> None:  # type: ignore[no-untyped-def]
        self.size = size


def test_what_a_dataclass_is_constructed_with() -> None:
    """The fields of a dataclass are what its constructor takes, by whatever it is written."""
    (seed,) = told(WithInitVar).values()
    assert (seed.name, seed.required, said(seed)) == ("seed", True, {"type": int, "ge": 1})
    fields = told(dataclass(init=False)(OwnConstructor))
    assert {name: (one.type, one.required) for name, one in fields.items()} == {
        "size": (int, True),
        "color": (object, False),
    }


class Address(TypedDict, total=False):
    street: Required[Annotated[str, pydantic.Field(max_length=9)]]
    number: int
    note: ReadOnly[Required[str | None]]


class FullAddress(Address):
    country: str
    flat: NotRequired[int]


def test_typed_dict() -> None:
    """The keys of a TypedDict are required as it says, also where annotations are strings."""
    fields = told(FullAddress)
    assert {name: one.required for name, one in fields.items()} == {
        "street": True, "number": False, "note": True, "country": True, "flat": False,
    }  # fmt: skip
    assert said(fields["street"]) == {"type": str, "max_length": 9}
    assert said(fields["note"]) == {"type": str, "nullable": True}


@pytest.mark.parametrize("model", [dict, dict[str, Any]])
def test_dict_has_no_fields(model: Any) -> None:
    """A plain dict is refused, and what to write instead is said."""
    with pytest.raises(AdapterError) as caught:
        MongoAdapter().fields(model)
    assert str(caught.value) == (
        "Meta.model is dict, which has no fields to tell, so nothing can be declared for it. Set "
        "Meta.model to a TypedDict, a dataclass or a pydantic model; or write the declarations in "
        "the factory."
    )


def test_no_model() -> None:
    """What is no model of the adapter's store is refused as it is when it is to be stored."""
    with pytest.raises(AdapterError, match=r"^int is no kind of model that can be stored in a"):
        MongoAdapter().fields(int)
    with pytest.raises(AdapterError, match=r"^Cat is not a Beanie document, so it cannot be"):
        BeanieAdapter().fields(Cat)


PydanticId = Annotated[str, pydantic.BeforeValidator(str)]


class WithId(BaseModel):
    id: PydanticId | None = pydantic.Field(alias="_id", default=None)


class WithGivenId(BaseModel):
    key: int = pydantic.Field(alias="_id")


@dataclass
class DataWithId:
    id: ObjectId | None = None


@dataclass
class DataWithGivenId:
    _id: int
    id: str


class DictWithId(TypedDict):
    _id: ObjectId


class DictWithGivenId(TypedDict):
    _id: int
    id: str


class DocumentWithGivenId(Document):
    id: int  # type: ignore[assignment]


class DocumentWithMadeId(Document):
    id: uuid.UUID = pydantic.Field(default_factory=uuid.uuid4)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("model", "name", "generated"),
    [
        (WithId, "_id", True),
        (WithGivenId, "_id", False),
        (DataWithId, "id", True),
        (DataWithGivenId, "_id", False),
        (DictWithId, "_id", True),
        (DictWithGivenId, "_id", False),
        (DocumentDefaults, "id", True),
        (DocumentWithGivenId, "id", False),
        (DocumentWithMadeId, "id", True),
    ],
)
def test_keys(model: Any, name: str, generated: bool) -> None:
    """What is stored as _id is unique, and has to be given unless something else fills it."""
    fields = told(model)
    key = fields.pop(name)
    assert key.unique == (frozenset({name}),)
    assert (key.generated, key.required) == (generated, not generated)
    assert not any(one.unique for one in fields.values())


class Shouting(BaseModel):
    model_config = ConfigDict(str_min_length=2, str_max_length=9)

    name: str
    names: list[str]
    short: Annotated[str, pydantic.Field(min_length=0, max_length=3)]
    choice: Literal["a"]
    number: int


def test_configured_lengths() -> None:
    """The lengths that a model is configured with for all strings are told of each."""
    fields = told(Shouting)
    element = fields["names"].element
    assert element is not None
    for one in (fields["name"], element):
        assert (one.min_length, one.max_length) == (2, 9)
    assert (fields["short"].min_length, fields["short"].max_length) == (0, 3)
    assert fields["number"].max_length is None
    assert said(fields["choice"]) == {"type": str, "choices": ("a",)}


# Classes that are not known.


class Waiting(BaseModel):
    later: Optional[Later] = None  # type: ignore[name-defined]  # noqa: F821


class Early(BaseModel):
    later: list[DefinedLater]


class DefinedLater(BaseModel):
    pass


@dataclass
class WaitingData:
    number: int
    later: Later  # type: ignore[name-defined]  # noqa: F821


def test_unknown_classes() -> None:
    """A class that is not defined yet is an error that says what to do first."""
    element = told(Early)["later"].element
    assert element is not None
    assert element.type is DefinedLater
    with pytest.raises(AdapterError) as caught:
        told(Waiting)
    assert str(caught.value) == (
        "Waiting.later is annotated with Optional[Later], which is not defined yet. Call "
        "Waiting.model_rebuild() before the factory is used, once all classes are defined."
    )
    with pytest.raises(AdapterError) as caught:
        told(WaitingData)
    assert str(caught.value) == (
        f"WaitingData.later is annotated with Later, which cannot be found from {__name__}. "
        "Import or define it at the top level of that module, not in a function and not under "
        "TYPE_CHECKING."
    )


# Beanie.


class Team(Document):
    name: Annotated[str, Indexed(unique=True)]
    slug: Indexed(str, unique=True)  # type: ignore[valid-type]
    note: Indexed(str)  # type: ignore[valid-type]
    rank: Indexed(int, unique=True) | None = None  # type: ignore[valid-type]
    members: list[BackLink[Member]] = pydantic.Field(json_schema_extra={"original_field": "team"})


class Member(Document):
    team: Link[Team]
    former: Optional[Link[Team]] = None
    teams: list[Link[Team]]
    wanted: Annotated[Optional[list[Link[Team]]], pydantic.Field(max_length=2)] = None
    either: Link[Team] | Link[Member] | None = None
    lead: BackLink[Team] = pydantic.Field(json_schema_extra={"original_field": "lead"})
    by_key: dict[str, Link[Team]] = {}


def test_links() -> None:
    """A link is a relation to its document, which holds the reference itself."""
    fields = told(Member)
    one, many = Relation(target=Team), Relation(target=Team, many=True)
    assert {name: (field.type, field.relation) for name, field in fields.items()} == {
        "id": (PydanticObjectId, None), "revision_id": (uuid.UUID, None),
        "team": (Team, one), "former": (Team, one), "either": (Team, one),
        "teams": (list, many), "wanted": (list, many), "by_key": (dict, None),
    }  # fmt: skip
    assert fields["team"].required
    assert (fields["former"].required, fields["former"].nullable) == (False, True)
    assert fields["wanted"].max_length == 2
    element = fields["teams"].element
    assert element is not None
    assert (element.type, element.relation) == (Team, one)


def test_indexed() -> None:
    """A field is unique as its index is; what Indexed() wraps is the type."""
    fields = told(Team)
    own = {name: one.unique for name, one in fields.items() if one.unique}
    assert own == {name: (frozenset({name}),) for name in ("id", "name", "slug")}
    for name in ("name", "slug", "note"):
        assert fields[name].type is str
    assert "members" not in fields


def test_generated() -> None:
    """What Beanie fills is generated."""
    assert [name for name, one in told(Team).items() if one.generated] == ["id", "revision_id"]


class Place2(BaseModel):
    zip: str


class Shop(Document):
    name: str
    city: str = pydantic.Field(alias="town")
    number: int
    place: Place2
    other: str

    class Settings:
        indexes = [
            "other",
            [("other", pymongo.DESCENDING)],
            IndexModel("name", unique=True),
            IndexModel(["name", "other"]),
            IndexModel([("town", 1), ("number", -1)], unique=True),
            IndexModel("number", unique=True, partialFilterExpression={"other": "a"}),
            IndexModel([("place.zip", 1), ("_class_id", 1)], unique=True),
            IndexModel("_class_id", unique=True),
        ]


class Chain(Shop):
    more: int


class Kiosk(Shop):
    class Settings:
        indexes = [IndexModel("other", unique=True)]


class Merged(Shop):
    class Settings:
        merge_indexes = True
        indexes = [IndexModel("other", unique=True)]


class Root(Document):
    code: str

    class Settings:
        is_root = True
        indexes = [IndexModel("code", unique=True)]


class Branch(Root):
    size: int

    class Settings:
        indexes = [IndexModel("size", unique=True)]


OF_SHOP = {
    "name": [{"name"}],
    "city": [{"city", "number"}],
    "number": [{"city", "number"}, {"number"}],
    "place": [{"place"}],
}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (Shop, OF_SHOP),
        (Chain, OF_SHOP),
        (Kiosk, {"other": [{"other"}]}),
        (Merged, {**OF_SHOP, "other": [{"other"}]}),
        (Root, {"code": [{"code"}]}),
        (Branch, {"code": [{"code"}], "size": [{"size"}]}),
    ],
)
def test_indexes(document: Any, expected: dict[str, Any]) -> None:
    """Unique indexes of the settings are told of all their fields, by the constructor's names."""
    fields = told(document)
    fields.pop("id")
    unique = {name: [set(names) for names in one.unique] for name, one in fields.items()}
    assert {name: sets for name, sets in unique.items() if sets} == expected


def test_inherited_fields() -> None:
    """The fields of a document are those that it inherits, and its own."""
    names = ["id", "revision_id", "name", "city", "number", "place", "other", "more"]
    assert list(told(Chain)) == names


SCHOOL = """
from beanie import Document

class School(Document):
    name: str
"""
PUPIL = """
from beanie import Document, Link

class Pupil(Document):
    school: Link["School"]
    schools: list[Link["School"]] = []
"""


async def test_links_by_name(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which document a string means is known once Beanie is initialised, and not before."""
    (tmp_path / "a_school.py").write_text(SCHOOL)
    (tmp_path / "a_pupil.py").write_text(PUPIL)
    monkeypatch.syspath_prepend(tmp_path)
    school: Any = importlib.import_module("a_school").School
    pupil: Any = importlib.import_module("a_pupil").Pupil
    with pytest.raises(AdapterError) as caught:
        told(pupil)
    assert str(caught.value) == (
        "Pupil.school is annotated with School, which is not known yet. Before the factory is "
        "used, write await init_beanie(database=..., document_models=[Pupil, ...]); or call "
        "Pupil.model_rebuild() once all classes are defined."
    )
    async with DRIVER.database(servers.mongodb) as database:
        await init_beanie(database=database, document_models=[pupil, school])
    fields = told(pupil)
    assert fields["school"].relation == Relation(target=school)
    assert fields["schools"].relation == Relation(target=school, many=True)


async def test_initialised(servers: Servers) -> None:
    """What is told of a document is the same before Beanie is initialised, and after that."""
    documents = [Team, Member, Shop, Merged, Root, Branch]
    before = [told(document) for document in documents]
    async with DRIVER.database(servers.mongodb) as database:
        await init_beanie(database=database, document_models=documents)
    assert [told(document) for document in documents] == before
