"""Values of unique fields never collide, as far as there are enough of them."""

from __future__ import annotations

import enum
import string
import struct
import threading
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from uuid import UUID

import factory
import pytest
from beanie import PydanticObjectId
from bson import ObjectId
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from async_factory_boy import ConfigurationError, sequences
from async_factory_boy.adapters.fields import Relation
from async_factory_boy.auto import Choice, Field, choose, uniques
from tests.auto.fields import check, declared, many_of, moments, numbers, texts, unique, values_of


def fresh() -> Any:
    return type("User", (), {})


def chosen(field: Field, model: Any = None) -> Choice:
    return choose(field, model or fresh(), unique=True)


@pytest.mark.unmeasured
@pytest.mark.versionless
@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("email", [None, 24, 20, 10]),
        ("slug", [None, 9, 4]),
        ("code", [None, 12, 9, 6, 4]),
        ("url", [None, 20, 16]),
        ("username", [None, 9, 4]),
    ],
)
def test_texts_of_a_large_batch(name: str, lengths: list[int | None]) -> None:
    """100,000 texts are distinct, also for a database that ignores case and trailing spaces."""
    for length in lengths:
        declaration = chosen(Field(name=name, type=str, max_length=length)).declaration
        values = many_of(declaration, 100_000)
        assert len({value.lower().rstrip() for value in values}) == 100_000
        assert length is None or max(map(len, values)) <= length
        assert not {*"".join(values)} & {*string.ascii_uppercase, " "}


@pytest.mark.parametrize("bounds", [{}, {"ge": 0, "le": 1}, {"gt": -5, "lt": 0}, {"ge": 90_000}])
def test_floats_of_single_precision(bounds: Any) -> None:
    """Where a column keeps six digits of a float, unique ones differ in these."""
    field = Field(name="x", type=float, precision=6, **bounds)
    values = many_of(chosen(field).declaration, 10_000)
    assert len({struct.pack("f", value) for value in values}) == 10_000


@pytest.mark.unmeasured
@pytest.mark.versionless
@pytest.mark.parametrize(
    "kind", [int, float, Decimal, datetime, date, UUID, bytes, timedelta, IPv4Address, IPv6Address,
             Path, ObjectId, PydanticObjectId],
)  # fmt: skip
def test_other_types_in_a_large_batch(kind: type) -> None:
    """100,000 values of any other type are distinct."""
    values = many_of(chosen(Field(name="x", type=kind)).declaration, 100_000)
    assert len({*values}) == 100_000
    assert type(values[0]) in (kind, type(Path()))


@settings(max_examples=50, deadline=None)
@given(field=st.one_of(texts(least=3), numbers(), moments()))
def test_constraints(field: Field) -> None:
    """Unique values satisfy the constraints of the field, and so do those of the source."""
    choice = chosen(field)
    try:
        values = values_of(choice.declaration, 20)
    except ConfigurationError:
        reject()  # there are fewer
    assert len({*values}) == 20
    written = values_of(declared(choice), 5)
    assert len({*written}) == 5
    for value in values + written:
        check(value, field)


@pytest.mark.parametrize(
    ("name", "length"),
    [
        (name, length)
        for name in ("email", "code", "slug")
        for length in (None, 12, 7, 5, 4, 2)
        if name != "email" or length is None or length >= 7  # no shorter one is an e-mail
    ],
)
def test_workers(name: str, length: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that share a database have no value in common, with shared objects or not."""
    declaration = chosen(Field(name=name, type=str, max_length=length)).declaration
    seen: list[Any] = []
    for worker in (0, 1, 5):
        monkeypatch.setattr(sequences, "worker", worker)
        monkeypatch.setattr(uniques, "_counts", {})
        for offset in (0, 100_000):
            monkeypatch.setattr(sequences, "offset", offset)
            seen += values_of(declaration, 3)
    assert len({*seen}) == len(seen)


def test_more_workers_than_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that no part of a small space is left for is told so."""
    monkeypatch.setattr(sequences, "worker", 6)
    declaration = chosen(Field(name="code", type=str, max_length=1)).declaration
    with pytest.raises(ConfigurationError) as caught:
        values_of(declaration)
    assert str(caught.value).startswith(
        "User.code is unique and at most 1 characters long: after 0 values (of 36: each of "
        "pytest-xdist's workers has a part, see factory_disjoint_sequences) there is no other."
    )


def test_a_large_space_that_is_exhausted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where workers share numbers of nine digits, the last one is followed by an error."""
    declaration = chosen(Field(name="code", type=str, max_length=9)).declaration
    monkeypatch.setattr(sequences, "worker", 3)
    monkeypatch.setattr(sequences, "offset", 10**7)
    with pytest.raises(ConfigurationError, match=r"User\.code is unique and at most 9"):
        values_of(declaration)


def test_an_exhausted_space() -> None:
    """All values of a small space are given; then an error says what to do."""
    declaration = chosen(Field(name="code", type=str, max_length=2)).declaration
    assert len({*many_of(declaration, 36**2)}) == 36**2
    with pytest.raises(ConfigurationError) as caught:
        values_of(declaration, 1)
    assert str(caught.value) == (
        "User.code is unique and at most 2 characters long: after 1,296 values there is no other. "
        "Declare 'code' in the factory, or register a rule: async_factory_boy.auto.rule((User, "
        "'code'), factory.LazyFunction(...))."
    )


TENTHS = {Decimal(number) / 10 for number in range(1, 10)}
DEFAULT = {"required": False, "has_default": True}


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        ({"type": Color}, {*Color}),
        ({"type": bool}, {True, False}),
        ({"type": str, "choices": ("a", "b", "c")}, {"a", "b", "c"}),
        ({"type": int, "ge": -1, "lt": 3}, {-1, 0, 1, 2}),
        ({"type": str, "max_length": 0}, {""}),
        ({"type": Decimal, "precision": 1, "scale": 1, "gt": 0}, TENTHS),
        ({"type": time, "ge": time(23, 59, 58)}, {time(23, 59, 58), time(23, 59, 59)}),
        ({"type": bytes, "max_length": 1}, {bytes([n]) for n in range(256)}),
    ],
)  # fmt: skip
def test_small_types(constraints: Any, expected: set[Any]) -> None:
    """Each value of a small type is given once, and none twice."""
    declaration = chosen(Field(name="x", **constraints)).declaration
    assert {*many_of(declaration, len(expected))} == expected
    with pytest.raises(ConfigurationError, match=f"after {len(expected)} values"):
        values_of(declaration, 1)


def test_factories_of_one_model() -> None:
    """Factories of one model count together, and so do those of a model that inherits the field."""

    class Base:
        code: str

    class Derived(Base):
        pass

    field = Field(name="code", type=str)
    made = [chosen(field, model).declaration for model in (Base, Base, Derived)]
    assert [values_of(one, 2) for one in made] == [
        ["code-0", "code-1"], ["code-2", "code-3"], ["code-4", "code-5"],
    ]  # fmt: skip
    assert values_of(chosen(field, fresh()).declaration, 1) == ["code-0"]


def test_models_of_any_kind() -> None:
    """A model need not be hashable, nor its annotations defined, to have numbers of its own."""

    class Forward:
        code: "Missing"  # type: ignore[name-defined]  # noqa: F821, UP037

    for model in ([], {}, Forward, "table"):
        declaration = chosen(Field(name="code", type=str), model).declaration
        assert values_of(declaration, 2) == ["code-0", "code-1"]


def test_threads() -> None:
    """Threads never get the same value."""
    declaration = chosen(Field(name="code", type=str)).declaration
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(many_of(declaration, 2000))) for _ in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len({*seen}) == 8000


def test_beginning_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers begin anew, but for those of objects that several tests use."""
    monkeypatch.setattr(uniques, "_counts", {})
    declaration = chosen(Field(name="code", type=str)).declaration
    assert values_of(declaration, 1) == ["code-0"]
    monkeypatch.setattr(sequences, "offset", 100)
    assert values_of(declaration, 1) == ["code-100"]
    uniques.begin_anew()
    assert values_of(declaration, 1) == ["code-101"]
    monkeypatch.setattr(sequences, "offset", 0)
    assert values_of(declaration, 1) == ["code-0"]


def test_distinct_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that have no numbers are drawn until one is new, for shared objects as well."""
    monkeypatch.setattr(uniques, "_given", {})
    draws = iter("aabbbabcabc")
    distinct = uniques.Distinct(Field(name="code"), fresh(), lambda: next(draws, "a"))
    assert [distinct(), distinct()] == ["a", "b"]
    monkeypatch.setattr(sequences, "offset", 100)
    assert distinct() == "c"
    with pytest.raises(ConfigurationError, match="of 1,000 values drawn none was a new one"):
        distinct()
    uniques.begin_anew()
    assert distinct() == "a"


def test_the_rest_cannot_be_numbered() -> None:
    """A type that has no numbered values is refused, with what to write."""
    with pytest.raises(ConfigurationError, match="is unique, and values of dict cannot be numb"):
        chosen(Field(name="x", type=dict))
    with pytest.raises(ConfigurationError, match="is of the type object, which no rule knows"):
        chosen(Field(name="x", type=object))
    with pytest.raises(ConfigurationError, match="has no value: none is at least 2, at most 1"):
        chosen(Field(name="x", type=int, ge=2, le=1))


ALONE = unique("a")
BOTH = (frozenset({"a", "b"}),)
REFERENCE = Relation(target=object)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"type": str}, {"type": int}, {"a"}),
        ({"type": int}, {"type": str}, {"b"}),
        ({"type": datetime}, {"type": bool}, {"a"}),
        ({"type": Color}, {"type": Color}, {"a"}),
        ({"type": str, "max_length": 2}, {"type": int}, {"b"}),
        ({"type": str, "choices": ("x", "y")}, {"type": int}, {"b"}),
        ({"type": str, "unique": (*ALONE, *BOTH)}, {"type": str}, set()),
        ({"type": int, "generated": True, "required": False}, {"type": str}, set()),
        ({"type": None, "relation": REFERENCE}, {"type": str}, {"b"}),
        ({"type": None, "relation": REFERENCE}, {"type": Color}, set()),
        ({"type": None, "relation": REFERENCE}, {"type": int, "ge": 1, "lt": 6}, set()),
        ({"type": int, "key_of": "r", "required": False}, {"type": str}, {"b"}),
        ({"type": str, "required": False, "nullable": True}, {"type": str}, set()),
        ({"type": str, **DEFAULT, "default": "x"}, {"type": int}, {"b"}),
        ({"type": str, **DEFAULT}, {"type": bool}, {"b"}),
    ],
)  # fmt: skip
def test_fields_that_are_unique_together(first: Any, second: Any, expected: set[str]) -> None:
    """One field of a set varies, the one that has most values; none where the set does anyway."""
    fields = [
        Field(**{"name": name, "required": True, "unique": BOTH, **given})
        for name, given in (("a", first), ("b", second))
    ]
    assert uniques.carriers(fields) == expected


def test_keys_that_are_filled_by_a_relation() -> None:
    """The key of a relation that is filled is relied on where the other field has few values."""
    fields = [
        Field(name="a", type=int, key_of="r", unique=BOTH),
        Field(name="b", type=bool, required=True, unique=BOTH),
        Field(name="r", relation=REFERENCE, required=True),
    ]
    assert uniques.carriers(fields) == set()
    assert uniques.carriers(fields, ["b"]) == {"b"}
    assert uniques.carriers(fields[:1]) == set()


@pytest.mark.parametrize(
    ("constraints", "nulls_differ", "expected"),
    [
        ({"has_default": True, "default": ""}, True, {"a"}),
        ({"has_default": True}, True, set()),
        ({"has_default": True, "type": datetime}, True, {"a"}),
        ({"nullable": True}, True, set()),
        ({"nullable": True}, False, {"a"}),
        ({"required": True}, True, set()),
    ],
)
def test_unique_fields_that_are_left_out(
    constraints: Any, nulls_differ: bool, expected: set[str]
) -> None:
    """A unique field is to be filled if all objects would have its default."""
    field = Field(**{"name": "a", "type": str, "unique": ALONE, **constraints})
    assert uniques.carriers([field], nulls_differ=nulls_differ) == expected


def test_the_plugin_begins_anew(pytester: pytest.Pytester) -> None:
    """With factory_reset_sequences, each test has the same unique values."""
    pytester.makepyfile(
        """
        import factory
        import pytest
        from async_factory_boy.auto import Field, choose
        from async_factory_boy.factory import AsyncFactory

        class User(dict):
            pass

        class UserFactory(AsyncFactory):
            class Meta:
                model = User

            code = choose(Field(name="code", type=str), User, unique=True).declaration

        @pytest.fixture(scope="module")
        def shared():
            return UserFactory.build()

        @pytest.mark.parametrize("number", [1, 2])
        def test(number, shared):
            assert shared["code"] == "code-100000"
            assert [UserFactory.build()["code"] for _ in range(2)] == ["code-0", "code-1"]
        """
    )
    result = pytester.runpytest(
        *("-p", "async_factory_boy.pytest_plugin", "-p", "no:async_factory_boy"),
        *("-p", "no:randomly", "-o", "asyncio_default_fixture_loop_scope=function"),
        *("-o", "factory_reset_sequences=true"),
    )
    result.assert_outcomes(passed=2)


def test_uniques_in_a_plain_factory() -> None:
    """The declaration is a LazyFunction, which factories evaluate fast, and in any factory."""
    assert type(chosen(Field(name="code", type=str)).declaration) is factory.LazyFunction
