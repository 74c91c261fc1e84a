"""Other libraries that create batches, one module each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from importlib.metadata import version
from typing import ClassVar

from benchmarks.declarations import Kind
from benchmarks.measure import Way


class Rival(ABC):
    """Another library, ready to create batches in a store."""

    name: ClassVar[str]
    """As the tables show it."""

    kinds: Collection[Kind] = ("flat", "company", "graph")
    """The work that it can do."""

    @abstractmethod
    def way(self, kind: Kind, size: int) -> Way:
        """Return how it does this work."""


def titled(distribution: str, remark: str) -> str:
    """Return the name and the version of a library that is installed, with a remark."""
    return f"{distribution} {version(distribution)}, {remark}"
