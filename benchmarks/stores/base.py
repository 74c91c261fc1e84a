"""What the measurements ask of a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import factory

from async_factory_boy.factory import AsyncFactory
from benchmarks.declarations import PERSON, Builder, Factories, Kind, Models
from benchmarks.rivals import Rival
from tests.servers import Servers


class Store(ABC):
    """A store with empty tables.

    What the library does follows from the attributes; what the equivalent by hand is, each store
    says for itself.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    """As the tables show it."""

    insert_by: ClassVar[str]
    """What `insert` calls."""
    insert_kinds: ClassVar[Sequence[Kind]] = ("flat",)
    """The work that `insert` can do."""
    insert_many_by: ClassVar[str] = ""
    """What `insert_many` calls."""
    insert_many_kinds: ClassVar[Sequence[Kind]] = ("flat", "company", "graph")
    """The work that `insert_many` can do."""

    base: ClassVar[type[AsyncFactory[Any]]]
    """The dedicated factory."""
    models: ClassVar[Models]

    def __init__(self) -> None:
        self.plain = Factories(factory.Factory, self.models)
        """Factories that only build."""
        self.values = factory.make_factory(dict, **PERSON)
        """Builds the fields of a person."""

    @classmethod
    @abstractmethod
    def opened(cls, servers: Servers) -> AbstractAsyncContextManager[Store]:
        """Open the store."""

    @property
    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """The call-time options of the library."""

    @abstractmethod
    async def insert(self, kind: Kind) -> object:
        """Build an object with a plain factory, and store it by hand."""

    async def insert_many(self, builder: Builder, kind: Kind, size: int) -> object:
        """Have `builder` build objects, and store them by hand, as fast as it goes."""
        raise NotImplementedError

    @abstractmethod
    async def undo(self) -> int:
        """Undo what was done since it was opened or undone, and return the number of rows."""

    @abstractmethod
    async def server(self) -> str:
        """Return the name and the version of the database."""

    def rivals(self, servers: Servers) -> Sequence[AbstractAsyncContextManager[Rival]]:
        """Return the other libraries that create batches in this store, to be opened."""
        return []
