"""Random values, drawn such that the seed of the run governs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from factory.faker import Faker
from factory.random import randgen

from async_factory_boy.auto.spaces import Space


def plain(provider: str, locale: str | None, parameters: Mapping[str, Any]) -> Any:
    """Return what ``factory.Faker(provider, locale=locale, **parameters)`` evaluates to."""
    return Faker(provider).evaluate(None, None, {"locale": locale, **parameters})


_value_of: Callable[[str, str | None, Mapping[str, Any]], Any] = plain


def use(value_of: Callable[[str, str | None, Mapping[str, Any]], Any]) -> None:
    """Draw by another function from now on: one that returns the same values as `plain`, faster."""
    global _value_of
    _value_of = value_of


class Drawn:
    """Draws from the usual values of a space."""

    def __init__(self, space: Space) -> None:
        self._at = space.at
        self._first, self._last = space.usual

    def __call__(self) -> Any:
        return self._at(randgen.randint(self._first, self._last))


class SeveralDrawn:
    """Draws a tuple or a set: distinct values, as many as asked for."""

    def __init__(self, container: Callable[[Any], Any], space: Space, size: int) -> None:
        self._container, self._at, self._size = container, space.at, size
        first, last = space.usual
        last = min(last, first + sys.maxsize - 1)  # no longer range has a length
        self._from = range(first, last + 1) if last - first >= size else range(space.size)

    def __call__(self) -> Any:
        return self._container(map(self._at, randgen.sample(self._from, self._size)))


class Fitted:
    """Draws a value of Faker's, and fits it to a length."""

    def __init__(
        self, provider: str, parameters: Mapping[str, Any], fit: Callable[[str], str]
    ) -> None:
        self._parameters = dict(parameters)
        self._locale = self._parameters.pop("locale", None)
        self._provider, self._fit = provider, fit

    def __call__(self) -> str:
        return self._fit(_value_of(self._provider, self._locale, self._parameters))
