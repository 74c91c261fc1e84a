"""Copies stored objects: one copy for each, whoever else refers to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import is_dataclass
from typing import Any

# Tells a stored object from others; ``None`` for what is none.
KeyOf = Callable[[Any], Hashable]


class Copies:
    """The copies that a test has been given.

    Args:
        key_of: Tells one stored object from others.
    """

    def __init__(self, key_of: KeyOf) -> None:
        self._key_of = key_of
        self._copies: dict[Hashable, Any] = {}

    def anew(self, instance: Any) -> Any:
        """Return the copy of a stored object; ``NotImplemented`` for another."""
        if self._key_of(instance) is None:
            return NotImplemented
        parts = [*self._stored_in(instance)]
        memo = {
            id(part): self._copies[key]
            for part in parts
            if (key := self._key_of(part)) in self._copies
        }
        copied = copy.deepcopy(instance, memo)
        for part in parts:
            self._copies.setdefault(self._key_of(part), memo[id(part)])
        return copied

    def _stored_in(self, instance: Any) -> Iterator[Any]:
        """Yield the stored objects that an object consists of, itself too."""
        seen, left = set[int](), [instance]
        while left:
            part = left.pop()
            if id(part) not in seen:
                seen.add(id(part))
                left += _inside(part)
                if self._key_of(part) is not None:
                    yield part


def _inside(part: Any) -> Iterable[Any]:
    if isinstance(part, dict):
        return part.values()
    if isinstance(part, list | tuple | set | frozenset):
        return part
    is_model = is_dataclass(part) or hasattr(type(part), "model_fields")  # pydantic's
    return vars(part).values() if is_model and hasattr(part, "__dict__") else ()
