"""What can be seen of a factory without calling it: its traits, declarations and iterators."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from factory import base, declarations


def exchange_counters(
    factory: type[base.BaseFactory[Any]], counters: Mapping[Any, Any]
) -> dict[Any, Any]:
    """Give a factory and all derived ones other counters, and have their iterators begin anew.

    Args:
        factory: The factory.
        counters: What an earlier call returned. A factory that is not in there begins anew.

    Returns:
        The counters they had.
    """
    before: dict[Any, Any] = {}

    def exchange(factory: type[base.BaseFactory[Any]]) -> None:
        meta = factory._meta
        if meta in before:
            return  # it has two bases
        before[meta] = meta._counter
        meta._counter = counters.get(meta)
        for iterator in _iterators_of(meta):
            iterator.reset()
        for derived in factory.__subclasses__():
            exchange(derived)

    exchange(factory)
    return before


# Kept, since they are asked for in each test, of all factories.
_iterators: WeakKeyDictionary[Any, list[declarations.Iterator]] = WeakKeyDictionary()


def _iterators_of(meta: Any) -> list[declarations.Iterator]:
    if meta not in _iterators:
        found = [value for value in declared(meta) if isinstance(value, declarations.Iterator)]
        _iterators[meta] = found
    return _iterators[meta]


def traits(meta: Any) -> list[str]:
    """Return the names of the traits of a factory, given its ``_meta``."""
    return [
        name
        for name, parameter in meta.parameters.items()
        if isinstance(parameter, declarations.Trait)
    ]


def reached(factory: Any) -> list[Any]:
    """Return `factory` and those that its declarations name, as far as this can be seen."""
    found: list[Any] = []

    def add(factory: Any) -> None:
        if factory not in found:
            found.append(factory)
            for value in declared(factory._meta):
                if isinstance(value, declarations.SubFactory | declarations.RelatedFactory):
                    # One that cannot be imported is told by the call that would use it.
                    with contextlib.suppress(ImportError, AttributeError, ValueError):
                        add(value.get_factory())

    add(factory)
    return found


def declared(meta: Any) -> Iterator[Any]:
    """Yield the declarations of a factory, and what they are made of."""
    yield from parts_of(meta.pre_declarations.as_dict())
    yield from parts_of(meta.post_declarations.as_dict())
    yield from parts_of(meta.parameters)


def parts_of(value: Any) -> Iterator[Any]:
    """Yield a declaration, and what it is made of."""
    yield value
    if isinstance(value, declarations.BaseDeclaration | declarations.Trait):
        value = vars(value)
    if isinstance(value, dict):
        for part in value.values():
            yield from parts_of(part)
