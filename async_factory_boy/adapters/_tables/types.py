"""What the type of a column says of its values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    DateTime,
    Enum,
    Float,
    Numeric,
    SmallInteger,
    Time,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import DOMAIN, HSTORE
from sqlalchemy.exc import CompileError
from sqlalchemy.types import TypeEngine

from async_factory_boy.adapters._tables.hints import (
    annotations_of,
    class_of,
    enum_of,
    evaluated,
    literals_of,
)
from async_factory_boy.adapters.fields import Field

__all__ = ["converts", "typed_field"]

# What a decorator writes that changes a value on its way to the database.
_CONVERSIONS = frozenset({"process_bind_param", "bind_processor", "bind_expression"})

# Classes that do not tell what a type takes that SQLAlchemy itself cannot tell of: an address of
# the network is annotated with str, and is not any string.
_VAGUE = (str, bytes, bytearray, int, float, list, tuple, dict, set)

_SMALLEST, _LARGEST = -(2**15), 2**15 - 1


def typed_field(name: str, store_type: TypeEngine[Any], hint: Any = None) -> Field:
    """Return a field with what is known of its values by their type.

    Args:
        name: The name of the field.
        store_type: The type of its column.
        hint: What the attribute is annotated with.
    """
    kind = _kind(store_type, hint)
    enum = enum_of(hint)
    if kind is not None and enum is not None and issubclass(enum, kind):
        kind = enum  # whose members are the strings, or the numbers, that the column takes
    facts: dict[str, Any] = {}
    plain = _plain(store_type)
    if kind in (str, bytes):
        length = getattr(plain, "length", None)
        if isinstance(length, int) and not isinstance(plain, Enum):
            facts["max_length"] = length
    if isinstance(plain, Numeric) and not isinstance(plain, Float) and kind in (Decimal, float):
        facts["precision"], facts["scale"] = plain.precision, plain.scale
        if plain.scale is None and plain.precision is not None:
            facts["scale"] = 0  # which is what the database takes it for
    if isinstance(plain, REAL) and kind is float:
        facts["precision"] = 6  # of a number of single precision, so many are kept
    if isinstance(plain, DateTime | Time) and not (converts(store_type) and not plain.timezone):
        facts["aware"] = plain.timezone
    if kind is int and not converts(store_type):
        if getattr(plain, "unsigned", False):
            facts["ge"] = 0
        elif isinstance(plain, SmallInteger):
            facts["ge"], facts["le"] = _SMALLEST, _LARGEST
    if isinstance(plain, ARRAY) and kind is list:
        facts["element"] = _element(name, plain)
    return Field(
        name=name,
        type=kind,
        stored_as=_stored_as(store_type),
        store_type=store_type,
        choices=_choices(plain, kind, hint),
        **facts,
    )


def converts(store_type: TypeEngine[Any]) -> bool:
    """Return whether values reach the database as something else than they were given as."""
    return isinstance(store_type, TypeDecorator) and any(
        not _CONVERSIONS.isdisjoint(vars(base)) for base in _own_bases(store_type)
    )


def _own_bases(store_type: TypeEngine[Any]) -> list[type]:
    """Return the classes of a decorator, without those that every decorator has."""
    bases = type(store_type).__mro__
    return list(bases[: bases.index(TypeDecorator)])


def _plain(store_type: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that a decorator, or a domain, is made of."""
    while True:
        if isinstance(store_type, TypeDecorator):
            store_type = store_type.impl_instance
        elif isinstance(store_type, DOMAIN):
            store_type = store_type.data_type
        else:
            return store_type


def _kind(store_type: TypeEngine[Any], hint: Any) -> type | None:
    if isinstance(store_type, TypeDecorator):
        return _decorated_kind(store_type, hint)
    if isinstance(store_type, DOMAIN):
        return _kind(store_type.data_type, hint)
    if isinstance(store_type, JSON | HSTORE):
        return class_of(hint) or dict
    kind = _told(store_type)
    if kind is None and class_of(hint) not in _VAGUE:
        kind = class_of(hint)
    return kind


def _told(store_type: TypeEngine[Any]) -> type | None:
    try:
        return class_of(store_type.python_type)
    except NotImplementedError:  # SQLAlchemy 2.0; 2.1 says that it is an object
        return None


def _decorated_kind(store_type: TypeDecorator[Any], hint: Any) -> type | None:
    """Return the class of the values that a decorator takes.

    It converts values, so the type that it is made of is asked only if nothing in it does.
    """
    bases = _own_bases(store_type)
    kind = None
    if any("python_type" in vars(base) for base in bases):
        kind = _told(store_type)
    kind = kind or class_of(hint) or _parameter(bases)
    if kind is None and not converts(store_type):
        kind = _kind(store_type.impl_instance, None)
    return kind


def _parameter(bases: list[type]) -> type | None:
    """Return the class that ``process_bind_param`` annotates the value with."""
    for base in bases:
        method = vars(base).get("process_bind_param")
        if method is not None:
            annotations = annotations_of(method)
            value = method.__code__.co_varnames[1]
            return class_of(evaluated(annotations.get(value), method))
    return None


def _element(name: str, array: ARRAY[Any]) -> Field:
    field = typed_field(name, array.item_type)
    for _ in range((array.dimensions or 1) - 1):
        field = Field(name=name, type=list, stored_as=_stored_as(array), element=field)
    return field


def _choices(plain: TypeEngine[Any], kind: type | None, hint: Any) -> tuple[Any, ...]:
    if isinstance(plain, Enum) and plain.enum_class is None and kind is str:
        return tuple(plain.enums)
    enum = enum_of(hint)
    listed = literals_of(hint) if enum is None else tuple(member.value for member in enum)
    # A column of strings may be annotated with an enum that is none of strings: then it takes the
    # values, and not the members.
    return listed if kind is not None and all(type(one) is kind for one in listed) else ()


def _stored_as(store_type: TypeEngine[Any]) -> str:
    if not isinstance(store_type, TypeDecorator):
        try:
            return str(store_type)
        except (CompileError, AttributeError, NotImplementedError):
            pass  # of a type that one database has, or that says nothing of itself
    return type(store_type).__name__
