"""What can be seen of factories without calling them: where they lead, and their iterators."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from factory import declarations

from async_factory_boy.factory import upstream


def exchange_counters(factory: type, counters: Mapping[Any, Any]) -> dict[Any, Any]:
    """Give a factory and all derived ones other counters, and have their iterators begin anew.

    Args:
        factory: The factory.
        counters: What an earlier call returned. A factory that is not in there begins anew.

    Returns:
        The counters they had.
    """
    before: dict[Any, Any] = {}

    def exchange(factory: Any) -> None:
        meta = factory._meta
        if meta in before:
            return  # it has two bases
        before[meta] = upstream.exchange_counter(meta, counters.get(meta))
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
        every = upstream.every(meta)
        _iterators[meta] = [one for one in every if isinstance(one, declarations.Iterator)]
    return _iterators[meta]


def reached(factory: Any) -> list[Any]:
    """Return `factory` and those that its declarations name, as far as this can be seen."""
    found: list[Any] = []

    def add(factory: Any) -> None:
        if factory not in found:
            found.append(factory)
            for part in filter(None, map(upstream.part, upstream.every(factory._meta))):
                # One that cannot be imported is told by the call that would use it.
                with contextlib.suppress(ImportError, AttributeError, ValueError):
                    add(part.get_factory())

    add(factory)
    return found
