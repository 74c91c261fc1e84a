"""Fields for the tests of the rules, and what their values have to satisfy."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import factory
from factory.random import randgen
from hypothesis import strategies as st

from async_factory_boy.auto import Choice, Field, names


class Model:
    pass


WORDS = sorted({word for entry in names.TEXTS for word in entry.words})
NAMES = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(WORDS).map(lambda word: f"home_{word}"),
    st.sampled_from(["code", "x", "a_b", "kind"]),
    st.sampled_from([word for table in (names.NUMBERS, names.MOMENTS) for one in table
                     for word in one.words]),
)  # fmt: skip


def unique(name: str) -> tuple[frozenset[str], ...]:
    return (frozenset({name}),)


@st.composite
def texts(draw: Any, least: int = 0) -> Field:
    most = draw(st.none() | st.integers(max(least, 1), 150))
    low = draw(st.none() | st.integers(0, most if most is not None else 50))
    return Field(name=draw(NAMES), type=str, min_length=low, max_length=most)


@st.composite
def numbers(draw: Any) -> Field:
    kind = draw(st.sampled_from([int, float, Decimal]))
    limits: dict[str, Any] = {}
    low = draw(st.none() | st.integers(-500, 500))
    if low is not None:
        limits[draw(st.sampled_from(["ge", "gt"]))] = kind(low)
    if draw(st.booleans()):
        high = (low or 0) + draw(st.integers(40, 5000))
        limits[draw(st.sampled_from(["le", "lt"]))] = kind(high)
    multiples = {int: [3, 7], float: [0.5], Decimal: [Decimal("0.05"), Decimal(2)]}
    limits["multiple_of"] = draw(st.none() | st.sampled_from(multiples[kind]))
    if kind is Decimal:
        scale = draw(st.integers(2, 6))
        limits.update(scale=scale, precision=scale + draw(st.integers(5, 9)))
    return Field(name=draw(NAMES), type=kind, **limits)


@st.composite
def moments(draw: Any) -> Field:
    kind = draw(st.sampled_from([date, datetime]))
    aware = draw(st.booleans()) if kind is datetime else None
    zone = timezone.utc if aware else None
    limits: dict[str, Any] = {}

    def at(year: int) -> Any:
        return (
            datetime(year, 5, 17, 4, 3, 2, 500, tzinfo=zone)
            if aware is not None
            else date(year, 5, 17)
        )

    low = draw(st.none() | st.integers(1950, 2060))
    if low is not None:
        limits[draw(st.sampled_from(["ge", "gt"]))] = at(low)
    if draw(st.booleans()):
        limits[draw(st.sampled_from(["le", "lt"]))] = at((low or 1950) + draw(st.integers(1, 80)))
    return Field(name=draw(NAMES), type=kind, aware=aware, **limits)


OTHERS = st.sampled_from([bool, bytes, time, timedelta, UUID, dict, list, set]).map(
    lambda kind: Field(name="x", type=kind)
)
FIELDS = st.one_of(texts(), numbers(), moments(), OTHERS)

FORMS = {
    "email": r"[^@\s]+@[\w-]+(\.[\w-]+)+",
    "url": r"https?://[\w-]+(\.[\w-]+)+(/\S*)?",
    "slug": r"[a-z0-9]+(-[a-z0-9]+)*",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "hex_color": r"#[0-9a-f]{6}",
    "domain": r"[\w-]+(\.[\w-]+)+",
    "filename": r"[^/\s]+\.\w+",
    "ip": r"\d+(\.\d+){3}",
}


def check(value: Any, field: Field, rule: str = "") -> None:
    """Assert that a value is one that a field takes, and of the form that its rule names."""
    assert type(value) is field.type
    if isinstance(value, str | bytes | list | set):
        assert (field.min_length or 0) <= len(value)
        assert field.max_length is None or len(value) <= field.max_length
    if isinstance(value, str):
        assert value == value.strip()
        form = FORMS.get(re.sub("by name: |,.*", "", rule))
        assert form is None or re.fullmatch(form, value), value
    if isinstance(value, datetime):
        assert (value.tzinfo is not None) == bool(field.aware)
    assert field.ge is None or value >= field.ge
    assert field.gt is None or value > field.gt
    assert field.le is None or value <= field.le
    assert field.lt is None or value < field.lt
    if field.multiple_of is not None:
        assert (Fraction(value) / Fraction(field.multiple_of)).denominator == 1
    if field.precision is not None:
        _, digits, exponent = value.as_tuple()
        assert -exponent <= field.scale
        assert len(digits) + exponent <= field.precision - field.scale or value == 0


def many_of(declaration: Any, count: int) -> list[Any]:
    """Return what a declaration evaluates to in a batch, without the time that a batch takes."""
    return [declaration.evaluate(None, None, {}) for _ in range(count)]


def values_of(declaration: Any, count: int = 5) -> list[Any]:
    made = factory.make_factory(dict, value=declaration)
    return [one["value"] for one in made.build_batch(count)]


def declared(choice: Choice) -> Any:
    """Return what the source of a choice evaluates to."""
    scope: dict[str, Any] = {"factory": factory, "randgen": randgen}
    for line in choice.imports:
        exec(line, scope)
    return eval(choice.source, scope)
