"""Gathers what a field takes from its type, its validators and the checks of its table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def narrow(limits: dict[str, Any], **more: Any) -> None:
    """Add to the limits of a field, by their names in `Field`: of two, the narrower one holds.

    One that is ``None`` says nothing.
    """
    for name, value in more.items():
        if value is not None:
            known = limits.get(name)
            limits[name] = value if known is None else _NARROWER[name](known, value)


def _both(first: str, second: str) -> str:
    if first == second:
        return first
    return rf"(?=[\s\S]*?(?:{first}))[\s\S]*?(?:{second})"


def _common(first: Iterable[Any], second: Iterable[Any]) -> tuple[Any, ...]:
    allowed = list(second)
    return tuple(one for one in first if one in allowed)


_NARROWER: Mapping[str, Callable[[Any, Any], Any]] = {
    "min_length": max,
    "ge": max,
    "gt": max,
    "max_length": min,
    "le": min,
    "lt": min,
    "precision": min,
    "scale": min,
    "pattern": _both,
    "multiple_of": lambda _, last: last,
    "choices": _common,
}


def pattern_of(regex: re.Pattern[str], *, from_the_start: bool = False) -> str:
    """Return a regular expression as a string that says all, and may be part of another.

    Args:
        regex: The expression.
        from_the_start: Whether a value is matched from its start, though the expression may not
            say so.
    """
    pattern = regex.pattern
    if from_the_start and not pattern.startswith(("^", r"\A")):
        pattern = f"^(?:{pattern})"
    flags = "".join(letter for letter, flag in _FLAGS.items() if regex.flags & flag)
    return f"(?{flags}:{pattern})" if flags else pattern


_FLAGS = {"a": re.A, "i": re.I, "m": re.M, "s": re.S, "x": re.X}


def in_words(kind: str, validators: Iterable[object]) -> str:
    """Return the kind of a field, with the validators that `Field` has no word for."""
    names = [getattr(one, "__name__", type(one).__name__) for one in validators]
    return f"{kind}({', '.join(names)})" if names else kind


def unique_with(
    name: str, uniques: Iterable[frozenset[str]], relation: str | None = None
) -> tuple[frozenset[str], ...]:
    """Return which sets of unique fields have a field in them.

    Args:
        name: The field.
        uniques: All of the model. A relation is there by its own name, not by that of its key.
        relation: The relation that the field is the key of. It is in the sets for that.
    """
    own = frozenset({name})
    if relation is None:
        return tuple(one for one in uniques if name in one)
    return tuple(one - {relation} | own for one in uniques if relation in one)
