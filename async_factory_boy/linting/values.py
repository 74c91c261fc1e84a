"""Whether a value is one that a field of a model takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Any

from async_factory_boy.adapters import Field
from async_factory_boy.auto.spaces import members
from async_factory_boy.auto.types import limits

_MOST_SHOWN = 8


def allowed(field: Field) -> tuple[Any, ...]:
    """Return the values that a field takes, if it has choices or an enum; else none."""
    if field.choices:
        return field.choices
    # Members of a flag can be combined.
    is_flag = isinstance(field.type, type) and issubclass(field.type, Flag)
    return () if is_flag else members(field.type)


def broken(field: Field, value: Any) -> Iterator[str]:
    """Yield what a value would have to be for a field to take it, in words.

    Where it cannot be told, the value passes: a type of the store may convert it.
    """
    if value is None:
        return
    among = allowed(field)
    if among and not isinstance(value, list | tuple | set | frozenset):
        if not is_one_of(value, among) and not _is_default(value, field):
            if field.choices:
                yield f"one of {listed([word_for(one) for one in among])}"
            else:
                yield f"a member of {field.type.__name__}"
        return  # of a string that is stored for an enum, the length is that of the store
    if not among and _is_of_another_kind(value, field.type):
        yield f"of type {field.type.__name__}"
    elif _is_comparable(value, field):
        for name, exceeds in _LIMITS.items():
            limit = getattr(field, name)
            if limit is not None and _exceeds(exceeds, value, field):
                yield limits(Field(name=field.name, type=field.type, **{name: limit}))
    if field.element is not None and isinstance(value, list | tuple | set | frozenset):
        found = dict.fromkeys(text for item in value for text in broken(field.element, item))
        for text in found:
            yield f"of items that are {text}"


def described(value: Any) -> str:
    """Return what a value is, without showing it: it may be a secret."""
    if value is None:
        return "None"
    kind = type(value).__name__
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    if isinstance(value, Enum):
        return f"{article} {kind}"
    if isinstance(value, str | bytes | bytearray | Sequence | Mapping | set | frozenset):
        unit = "character" if isinstance(value, str) else "item"
        unit = "byte" if isinstance(value, bytes | bytearray) else unit
        return f"{article} {kind} of {len(value)} {unit}{'' if len(value) == 1 else 's'}"
    if isinstance(value, Decimal) and value.is_finite():
        whole, fraction = _digits(value)
        after = f", {fraction} of them after the point" if fraction else ""
        return f"a {kind} of {whole + fraction} digits{after}"
    return f"{article} {kind}"


def word_for(value: Any) -> str:
    """Return a value that a model names in words: not one that only an object has."""
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


def listed(words: Sequence[str]) -> str:
    """Return a list of words, which may be cut."""
    further = len(words) - _MOST_SHOWN
    if further <= 1:
        return ", ".join(words)
    return ", ".join([*words[:_MOST_SHOWN], f"… ({further} more)"])


def is_one_of(value: Any, among: Iterable[Any]) -> bool:
    """Return whether a value is among others, or stands for an enum's member that is."""
    return any(_stands_for(value, one) for one in among)


def _stands_for(value: Any, one: Any) -> bool:
    if isinstance(value, bool) is not isinstance(one, bool):
        return False  # though 1 == True
    if isinstance(one, Enum) and not isinstance(value, Enum):
        return bool(value == one.name or value == one.value)
    if isinstance(value, Enum) and not isinstance(one, Enum):
        return bool(value.value == one)
    return bool(value == one)


def _is_default(value: Any, field: Field) -> bool:
    """Return whether a value is what the model itself gives: no fault of the factory."""
    return type(value) is type(field.default) and bool(value == field.default)


_NUMBERS = (int, float, Decimal)

# What a text is read by where a store takes one for a value of the type.
_READ: dict[Any, Callable[[str], object]] = {
    int: int, float: float, Decimal: Decimal, date: date.fromisoformat,
    datetime: datetime.fromisoformat, time: time.fromisoformat,
}  # fmt: skip

# Of two types in different groups, no store takes one for the other.
_GROUPS: dict[type, object] = {
    str: 1, int: 2, bool: 2, float: 2, Decimal: 2, bytes: 3, date: 4, datetime: 4, time: 5,
    timedelta: 6, list: 7, tuple: 7, dict: 8,
}  # fmt: skip


def _is_of_another_kind(value: Any, wanted: Any) -> bool:
    """Return whether a value is of a type that no store converts to that of the field."""
    kind = type(value)
    if kind not in _GROUPS or wanted not in _GROUPS:
        return False
    if kind is not str:
        return _GROUPS[kind] != _GROUPS[wanted]
    if wanted not in _READ:
        return wanted in (bool, list, tuple)
    try:
        _READ[wanted](value)
    except (ValueError, ArithmeticError):
        return True
    return False


def _is_comparable(value: Any, field: Field) -> bool:
    """Return whether a value is of the type that the limits of a field are about."""
    if not isinstance(field.type, type) or isinstance(value, field.type):
        return True
    # A number passes for another one, as it does in databases.
    return isinstance(value, _NUMBERS) and field.type in _NUMBERS


def _exceeds(exceeds: Callable[[Any, Field], bool], value: Any, field: Field) -> bool:
    try:
        return exceeds(value, field)
    except (TypeError, ValueError, ArithmeticError, re.error):
        return False  # a time with a zone and one without, say


def _digits(value: Any) -> tuple[int, int]:
    """Return how many digits a number has before the point, and after it."""
    number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    _, digits, exponent = number.normalize().as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("no finite number")
    return (max(0, len(digits) + exponent) if number else 0), max(0, -exponent)


def _has_more_digits(value: Any, field: Field) -> bool:
    assert field.precision is not None
    whole, fraction = _digits(value)
    if field.scale is not None:
        return whole > field.precision - field.scale
    # A float is rounded by whoever stores it.
    return (whole if isinstance(value, float) else whole + fraction) > field.precision


def _has_more_decimals(value: Any, field: Any) -> bool:
    return not isinstance(value, float) and _digits(value)[1] > field.scale


def _is_no_multiple(value: Any, field: Field) -> bool:
    return not isinstance(value, float) and bool(value % field.multiple_of)


_LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "min_length": lambda value, field: len(value) < field.min_length,
    "max_length": lambda value, field: len(value) > field.max_length,
    "ge": lambda value, field: bool(value < field.ge),
    "gt": lambda value, field: bool(value <= field.gt),
    "le": lambda value, field: bool(value > field.le),
    "lt": lambda value, field: bool(value >= field.lt),
    "multiple_of": _is_no_multiple,
    "precision": _has_more_digits,
    "scale": _has_more_decimals,
    "pattern": lambda value, field: re.search(field.pattern, value) is None,
}
