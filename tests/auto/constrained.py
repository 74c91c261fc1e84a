"""Random annotations with constraints, for the tests of what is read of them."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Optional

import pydantic
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from async_factory_boy.adapters.fields import Field

PATTERNS = ["^[a-z]{2,5}$", r"^\d{3}-\d{4}$", "^(red|green|blue)$", r"^[A-Z][a-z]+( [A-Z][a-z]+)?$"]
EPOCH = datetime.datetime(2021, 3, 4, 5, 6, 7)

# What `Field` calls otherwise than pydantic.
CALLED = {"max_digits": "precision", "decimal_places": "scale"}


def _bounds(draw: Any, low: Any, high: Any) -> dict[str, Any]:
    """Draw up to two bounds, with values between them."""
    bounds = {}
    if draw(st.booleans()):
        bounds[draw(st.sampled_from(["ge", "gt"]))] = low
    if draw(st.booleans()):
        bounds[draw(st.sampled_from(["le", "lt"]))] = high
    return bounds


@st.composite
def constraints(draw: Any) -> tuple[Any, dict[str, Any]]:
    """Draw a type, with constraints that some of its values meet."""
    kind = draw(
        st.sampled_from([int, float, Decimal, str, bytes, datetime.date, datetime.datetime, "re"])
    )
    low = draw(st.integers(-1000, 1000))
    high = low + draw(st.integers(20, 500))
    if kind is int:
        found = _bounds(draw, low, high)
        if draw(st.booleans()):
            found["multiple_of"] = draw(st.integers(1, 9))
        return int, found
    if kind is float:
        return float, _bounds(draw, low / 8, high / 8)
    if kind is Decimal:
        found = _bounds(draw, Decimal(low), Decimal(high))
        if draw(st.booleans()):
            found["decimal_places"] = draw(st.integers(0, 4))
            found["max_digits"] = 4 + found["decimal_places"]
        return Decimal, found
    if kind in (str, bytes):
        least = draw(st.integers(0, 30))
        found = {"min_length": least} if draw(st.booleans()) else {}
        if draw(st.booleans()):
            found["max_length"] = least + draw(st.integers(1, 30))
        return kind, found
    if kind == "re":
        return str, {"pattern": draw(st.sampled_from(PATTERNS))}
    days = datetime.timedelta(days=1)
    found = _bounds(draw, EPOCH + low * days, EPOCH + high * days)
    if kind is datetime.date:
        found = {key: value.date() for key, value in found.items()}
    return kind, found


@st.composite
def annotations(draw: Any) -> tuple[Any, dict[str, Any], str]:
    """Draw an annotation, its constraints, and where they are: "", or "element"."""
    kind, found = draw(constraints())
    annotation = Annotated[kind, pydantic.Field(**found)] if found else kind
    shape = draw(st.sampled_from(["plain", "optional", "inside", "list"]))
    if shape == "optional":
        return Optional[annotation], found, ""  # noqa: UP045
    if shape == "inside":
        optional = Optional[kind]  # noqa: UP045
        return (Annotated[optional, pydantic.Field(**found)] if found else optional), found, ""
    if shape == "list":
        return Annotated[list[annotation], pydantic.Field(min_length=1)], found, "element"
    return annotation, found, ""


def model_of(annotation: Any) -> type[BaseModel]:
    """Return a model with one field, `value`."""
    return create_model("Made", value=(annotation, ...))


def values(field: Field) -> st.SearchStrategy[Any]:
    """Return values that meet what a field says."""
    if field.type is list:
        assert field.element is not None
        return st.lists(
            values(field.element), min_size=field.min_length or 0, max_size=field.max_length or 5
        )
    if field.pattern is not None:
        return st.from_regex(field.pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))
    if field.type in (str, bytes):
        make = st.text if field.type is str else st.binary
        return make(min_size=field.min_length or 0, max_size=field.max_length or 40)
    if field.type in (datetime.date, datetime.datetime):
        unit = datetime.timedelta(days=1 if field.type is datetime.date else 0, microseconds=1)
        low = _first(field.ge, field.gt and field.gt + unit)
        high = _first(field.le, field.lt and field.lt - unit)
        limits = {"min_value": low, "max_value": high}
        given = {key: value for key, value in limits.items() if value is not None}
        return (st.dates if field.type is datetime.date else st.datetimes)(**given)
    step = Fraction(field.multiple_of or 1)
    if field.type is not int:
        step = Fraction(1, 10 ** (2 if field.scale is None else field.scale))
    low, high = _grid(field, step)
    if field.precision is not None:
        most = 10**field.precision - 1
        low, high = max(low, -most), min(high, most)
    return st.integers(low, high).map(lambda number: _number(field, number * step))


def _first(*values: Any) -> Any:
    return next((one for one in values if one is not None), None)


def _grid(field: Field, step: Fraction) -> tuple[int, int]:
    """Return which multiples of a step are within the bounds of a field."""
    low, high = -(10**9), 10**9
    if field.ge is not None:
        low = math.ceil(Fraction(field.ge) / step)
    if field.gt is not None:
        low = math.floor(Fraction(field.gt) / step) + 1
    if field.le is not None:
        high = math.floor(Fraction(field.le) / step)
    if field.lt is not None:
        high = math.ceil(Fraction(field.lt) / step) - 1
    return low, high


def _number(field: Field, number: Fraction) -> Any:
    if field.type is Decimal:
        return Decimal(number.numerator) / Decimal(number.denominator)
    return field.type(number)
