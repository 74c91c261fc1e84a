"""Automatic factories of random pydantic models: what they make is stored, and read back equal.

Set ``MODELS`` in the environment for another number of examples than 15.
"""

from __future__ import annotations

import datetime as dt
import enum
import os
import uuid
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import pytest
from annotated_types import Len
from beanie import Document, init_beanie
from bson import Decimal128
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, create_model, model_validator

from async_factory_boy.exceptions import AsyncFactoryError
from async_factory_boy.factory.beanie import AsyncBeanieDocumentFactory
from async_factory_boy.factory.helpers import make_factory
from tests.auto.constrained import constraints
from tests.servers import Servers
from tests.stores.beanie import DRIVER
from tests.stores.mongo import DATABASE, Commands

SIZE = 200

NAMES = (
    "name", "email", "slug", "url", "price", "age", "year", "created_at", "title", "token", "value",
    "phone", "country_code", "x", "note", "data",
)  # fmt: skip


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


def base() -> type[Document]:
    """Return a base of documents: anew, as Beanie changes those of what it initialises."""

    class Stored(Document):
        """What all documents have: BSON has no dates, and reads decimals and moments as its own."""

        class Settings:
            name = "random_documents"
            bson_encoders: ClassVar[Any] = {dt.date: str}

        @model_validator(mode="before")
        @classmethod
        def read(cls, values: Any) -> Any:
            return {
                name: _zoned(value)
                if name in cls.model_fields and cls.model_fields[name].annotation is AwareDatetime
                else value
                for name, value in _as_python(values).items()
            }

    return Stored


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=dt.timezone.utc) if isinstance(value, dt.datetime) else value


def _as_python(value: Any) -> Any:
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, dict):
        return {key: _as_python(one) for key, one in value.items()}
    return [_as_python(one) for one in value] if isinstance(value, list) else value


PLAIN: tuple[Any, ...] = (
    bool, uuid.UUID, Size, Level, Literal["a", "b"], Literal[1, "one"], dt.timedelta,
    dict[str, int], pydantic.HttpUrl, pydantic.PositiveInt, pydantic.NegativeFloat,
    Annotated[str, pydantic.StringConstraints(to_upper=True, max_length=4)],
)  # fmt: skip


@st.composite
def scalars(draw: Any) -> Any:
    """Draw an annotation of values that have no parts."""
    if draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(PLAIN))
    kind, found = draw(constraints())
    return Annotated[kind, pydantic.Field(**found)] if found else kind


@st.composite
def containers(draw: Any, items: Any) -> Any:
    """Draw an annotation of a list, a set or a mapping, with a number of items."""
    item = draw(items)
    kind = draw(st.sampled_from([list, set, dict, tuple]))
    least = draw(st.integers(0, 2))
    if kind is set:
        item = draw(st.sampled_from([int, str, Annotated[int, pydantic.Field(ge=3, le=90)]]))
    made: Any = {
        list: list[item], set: set[item], dict: dict[str, item], tuple: tuple[item, item]
    }[kind]  # fmt: skip
    if kind is tuple or not draw(st.booleans()):
        return made
    return Annotated[made, pydantic.Field(min_length=least, max_length=least + 2)]


@st.composite
def nested(draw: Any) -> Any:
    """Draw a model of scalars."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    fields: dict[str, Any] = {name: (draw(scalars()), ...) for name in names}
    return create_model("Part", **fields)


@st.composite
def annotations(draw: Any) -> Any:
    """Draw any annotation, now and then an optional one or a union."""
    form = draw(st.integers(0, 9))
    if form == 0:
        return AwareDatetime
    if form == 1:  # of what BSON tells apart
        low = draw(st.integers(-9, 9))
        return Annotated[int, pydantic.Field(ge=low)] | Annotated[str, Len(1, 3)]
    some = st.one_of(scalars(), scalars(), nested(), containers(st.one_of(scalars(), nested())))
    made = draw(some)
    return made | None if form == 2 else made


@st.composite
def documents(draw: Any) -> type[Document]:
    """Draw a document, some fields of which have a default."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    fields: dict[str, Any] = {}
    for name in names:
        annotation = draw(annotations())
        has_default = draw(st.integers(0, 4)) == 0
        fields[name] = (annotation | None, None) if has_default else (annotation, ...)
    made: type[Document] = create_model("Random", __base__=base(), __module__=__name__, **fields)
    return made


async def outcome(url: str, document: type[Document], option: bool | str) -> str:
    """Return ``"stored"``, or the reason why a batch was refused; nothing is left of it."""
    commands = Commands()
    async with DRIVER.client(url, commands) as client:
        await init_beanie(database=client[DATABASE], document_models=[document])
        made_by = make_factory(
            document, FACTORY_CLASS=AsyncBeanieDocumentFactory, auto_declarations=option
        )
        refused, batch = None, []
        commands.sent.clear()
        try:
            batch = await made_by.create_batch_async(SIZE)
        except AsyncFactoryError as error:
            refused = str(error)
        if refused is not None:
            assert not [one for one in commands.sent if one.startswith("insert ")], refused
            return refused
        found = {one.id: one for one in await document.find_all().to_list()}
        await document.delete_all()
        assert [found[one.id] for one in batch] == batch
        assert len(found) == SIZE
        return "stored"


@pytest.mark.unmeasured
@settings(
    max_examples=int(os.environ.get("MODELS", "15")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=documents(), option=st.sampled_from([True, "all"]))
async def test_automatic_batch(
    servers: Servers, document: type[Document], option: bool | str
) -> None:
    """A batch of any document is stored by MongoDB and read back, or refused beforehand."""
    note(str(document.model_fields))
    event((await outcome(servers.mongodb, document, option)).partition(" ")[2][:60])


async def test_parts_of_a_document(servers: Servers) -> None:
    """The parts of a document, which are no documents, are made of their own fields."""

    class Part(pydantic.BaseModel):
        price: Decimal = pydantic.Field(gt=0, decimal_places=2)
        sizes: tuple[Size, Size]

    document = create_model(
        "Whole", __base__=base(), part=(Part, ...), parts=(Annotated[list[Part], Len(2)], ...)
    )
    assert await outcome(servers.mongodb, document, True) == "stored"
