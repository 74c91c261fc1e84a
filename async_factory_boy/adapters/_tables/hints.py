"""What an annotation says of the values of a field."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from inspect import get_annotations
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

from sqlalchemy.orm import Mapped, declared_attr

from async_factory_boy.adapters._annotations import CONCRETE, constraints

__all__ = [
    "annotation_of",
    "annotations_of",
    "class_of",
    "enum_of",
    "evaluated",
    "facts_of",
    "literals_of",
    "values_of",
]

# A name that is imported for type checkers only has no value. It is not asked for.
_LENIENT: Mapping[str, Any] = {}
if sys.version_info >= (3, 14):  # pragma: no cover (tests measure one version)
    from annotationlib import Format

    _LENIENT = {"format": Format.FORWARDREF}


def annotation_of(model: type, name: str) -> Any:
    """Return what an attribute of a class is annotated with, ``None`` if that is not to be told.

    Each annotation is evaluated by itself, since others may name what only a type checker imports.
    """
    for base in model.__mro__:
        found = annotations_of(base).get(name)
        declared = vars(base).get(name)
        if found is None and isinstance(declared, declared_attr):
            found = annotations_of(declared.fget).get("return")
        if found is not None:
            return evaluated(found, base)
    return None


def annotations_of(owner: Any) -> Mapping[str, Any]:
    """Return the annotations of a class or function, of which some may be strings."""
    return get_annotations(owner, **_LENIENT)


def evaluated(annotation: Any, owner: Any) -> Any:
    """Return an annotation of a class or function, ``None`` if a name in it is not known."""
    if not isinstance(annotation, str):
        return annotation
    names = vars(sys.modules.get(owner.__module__, sys))
    scope = vars(owner) if isinstance(owner, type) else {}
    try:
        return eval(annotation, dict(names), dict(scope))
    except Exception:
        return None  # whatever evaluating it raises, the column tells without it


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation is made of, without what says nothing of the values.

    Of a union, the members that are not ``None``.
    """
    origin = get_origin(annotation)
    if hasattr(annotation, "__supertype__"):  # NewType
        yield from _parts(annotation.__supertype__)
    elif hasattr(annotation, "__value__"):  # type X = ...
        yield from _parts(annotation.__value__)
    elif origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from _parts(one)
    elif isinstance(origin, type) and issubclass(origin, Mapped):
        yield from _parts(get_args(annotation)[0])
    elif annotation not in (None, NoneType):
        yield annotation


def _only(annotation: Any) -> Any:
    parts = list(_parts(annotation))
    return parts[0] if len(parts) == 1 else None


def class_of(annotation: Any) -> type | None:
    """Return the one class that an annotation stands for, if there is one."""
    found = _only(annotation)
    if is_typeddict(found):
        return dict
    found = get_origin(found) or found
    found = CONCRETE.get(found, found)
    return found if isinstance(found, type) and found is not object and found is not Any else None


def literals_of(annotation: Any) -> tuple[Any, ...]:
    """Return the values that an annotation lists."""
    found = _only(annotation)
    return get_args(found) if get_origin(found) is Literal else ()


def values_of(annotation: Any) -> Any:
    """Return an annotation without what the ORM has put around it."""
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapped):
        return get_args(annotation)[0]
    return annotation


def facts_of(annotation: Any, *more: Any) -> dict[str, Any]:
    """Return the constraints in an annotation, as arguments of a `Field`.

    Args:
        annotation: The annotation. A union is asked if it has one member besides ``None``.
        more: Constraints that stand elsewhere.
    """
    return constraints((*_metadata(annotation), *more))


def _metadata(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if hasattr(annotation, "__value__"):
        yield from _metadata(annotation.__value__)
    elif origin is Annotated:
        inner, *metadata = get_args(annotation)
        yield from _metadata(inner)
        yield from metadata
    elif origin in (Union, UnionType):
        members = [one for one in get_args(annotation) if one is not NoneType]
        if len(members) == 1:
            yield from _metadata(members[0])
    elif isinstance(origin, type) and issubclass(origin, Mapped):
        yield from _metadata(get_args(annotation)[0])


def enum_of(annotation: Any) -> type[Enum] | None:
    """Return the enum that an annotation stands for, if it does."""
    found = class_of(annotation)
    return found if found is not None and issubclass(found, Enum) else None
