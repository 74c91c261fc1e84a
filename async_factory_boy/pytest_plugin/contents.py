"""Tells what an object holds, to be compared with what it holds later; without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any

# Of more, or deeper than this, nothing is told: to compare it would take too long.
_MOST = 1000
_DEEPEST = 50

_VALUES = (str, int, float, complex, bytes, type(None), type, Enum)


class _CannotTellError(Exception):
    """There is a value that may change, and cannot be copied."""


def contents_of(instance: object, left_out: Callable[[type], Collection[str]]) -> object | None:
    """Return a copy of what an object holds, and all that it refers to; ``None`` if unknown.

    Attributes are taken as they are, and not read: so nothing is loaded. What is private is left
    out unless it is a plain value, such as whether the object is stored.

    Args:
        instance: The object.
        left_out: Returns the names of what else is left out of the objects of a class.
    """
    try:
        return _Copy(left_out).of(instance, 0)
    except _CannotTellError:
        return None


def are_same(before: object | None, now: object | None) -> bool:
    """Return whether two contents are known, and the same."""
    try:
        return before is not None and bool(before == now)
    except Exception:  # whatever the values make of it
        return False


class _Copy:
    def __init__(self, left_out: Callable[[type], Collection[str]]) -> None:
        self._left_out = left_out
        self._places: dict[int, int] = {}

    def of(self, value: Any, depth: int) -> object:
        kind = type(value)
        if isinstance(value, _VALUES):
            return kind, value
        place = self._places.get(id(value))
        if place is not None:
            return place
        parts = self._parts(value)
        if parts is None:
            if kind.__hash__ is None:
                raise _CannotTellError
            return value  # a date, a decimal: what is hashable is taken for a value
        if depth > _DEEPEST or len(self._places) >= _MOST:
            raise _CannotTellError
        self._places[id(value)] = len(self._places)
        return kind, {name: self.of(one, depth + 1) for name, one in parts.items()}

    def _parts(self, value: Any) -> Mapping[Any, Any] | None:
        """Return what a value is made of; ``None`` if nothing is to be seen."""
        if isinstance(value, Mapping):
            return value
        if isinstance(value, list | tuple):
            return dict(enumerate(value))
        if isinstance(value, set | frozenset):
            return dict.fromkeys(value)
        left_out = self._left_out(type(value))
        held = {
            name: one
            for name, one in getattr(value, "__dict__", {}).items()
            if name not in left_out and (not name.startswith("_") or isinstance(one, _VALUES))
        }
        return held or None
