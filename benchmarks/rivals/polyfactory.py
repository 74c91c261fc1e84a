"""polyfactory's ``create_batch_async``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

from polyfactory import PostGenerated, Use
from polyfactory.factories.base import BaseFactory

from benchmarks.declarations import Kind
from benchmarks.measure import Way
from benchmarks.rivals import Rival, titled


class Polyfactory(Rival):
    """Factories of polyfactory.

    Args:
        factories: The factory for each kind of work that it can do in a store.
        undo: Undoes the work, and returns the number of rows that it had stored.
    """

    name = titled("polyfactory", "create_batch_async")

    def __init__(
        self, factories: Mapping[Kind, type[BaseFactory[Any]]], undo: Callable[[], Awaitable[int]]
    ) -> None:
        self.kinds = factories.keys()
        self._factories = factories
        self._undo = undo

    def way(self, kind: Kind, size: int) -> Way:
        create = partial(self._factories[kind].create_batch_async, size)
        return Way(self.name, create, self._undo)


def _numbered(text: str) -> Use[[], str]:
    numbers = count()
    return Use(lambda: f"{text} {next(numbers)}")


# As in benchmarks.declarations.
PERSON: dict[str, Any] = {
    "name": _numbered("Person"),
    "email": PostGenerated(lambda name, values: f"{values['name']}@example.org"),
    "age": 40,
    "active": True,
}
COMPANY: dict[str, Any] = {"name": _numbered("Company")}
POST: dict[str, Any] = {"title": _numbered("Post")}
