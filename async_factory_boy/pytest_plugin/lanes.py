"""What is open on an event loop: a connection, the data that tests of a scope share, and the test.

A **lane** is what is open on one event loop: a connection, and on it a transaction for each scope
that has data, the widest first, and for the test in it. The transaction of a scope stays until the
scope ends, or until data of a wider scope are to be stored beneath it.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, NamedTuple

from async_factory_boy import bind
from async_factory_boy.exceptions import FixtureError
from async_factory_boy.isolation import Connection, Opened
from async_factory_boy.pytest_plugin.loops import SCOPES

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# The attribute of a fixture's function whose data tests share: called with a test's request, it
# returns the entries that these take, their own last, or none if the test has data of its own.
ENTRIES = "_async_factory_boy_entries"


class Entry(NamedTuple):
    """Data that a test shares with others of a scope."""

    key: object
    """What it is told by."""

    name: str
    """The fixture that has it."""

    database: Any
    """The fixtures of the database that it is stored in."""

    scope: str
    node: Any
    """The node of pytest that the scope ends with."""

    store: Callable[..., Awaitable[Any]]
    """Stores the data, and returns them."""

    arguments: Mapping[str, Any]
    """What that is called with: values; `DataOf` and `OfDatabase` in place of others."""


class DataOf(NamedTuple):
    """Stands for the data of another entry."""

    entry: Entry


class OfDatabase(NamedTuple):
    """Stands for the value of a fixture of the database."""

    name: str


@dataclass(eq=False)
class Level:
    """The transaction of a scope."""

    scope: str
    node: Any
    data: dict[object, Any] = field(default_factory=dict)
    """What is stored in it, by the key of its entry. No test is given these very objects."""


class Lane:
    """What is open on one event loop.

    Args:
        loop: The loop.
        scope: The scope that the loop lasts for.
        connection: The connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, scope: str, connection: Connection) -> None:
        self.loop = loop
        self.scope = scope
        self.connection = connection
        self._levels: list[Level] = []
        self._of_test: dict[object, Any] = {}

    async def provide(self, entries: list[Entry]) -> None:
        """Store what is not stored yet, each in the transaction of its scope.

        Args:
            entries: The widest scope first, and each after those it depends on.
        """
        self._of_test = {}
        for entry in entries:
            level = self._level_of(entry)
            if level is not None and entry.key in level.data:
                continue
            level = await self._level_for(entry)
            try:
                level.data[entry.key] = await self._stored(entry)
            except BaseException:
                await self.end(level)
                raise

    async def provide_to(self, opened: Opened, entries: list[Entry]) -> None:
        """Store data for one test alone, which commits."""
        self._of_test = {}
        for entry in entries:
            arguments = self._arguments(entry, opened, lambda value: value)
            self._of_test[entry.key] = await entry.store(**arguments)
        if entries:
            await opened.keep()

    def given(self, entry: Entry, opened: Opened) -> Any:
        """Return the data of an entry, for a test: as they were stored."""
        if entry.key not in self._of_test:
            self._of_test[entry.key] = anew(self._data(entry), opened, entry.name)
        return self._of_test[entry.key]

    def has(self, entry: Entry) -> bool:
        """Tell whether the data of an entry are stored."""
        level = self._level_of(entry)
        return entry.key in self._of_test or (level is not None and entry.key in level.data)

    def _data(self, entry: Entry) -> Any:
        level = self._level_of(entry)
        assert level is not None
        return level.data[entry.key]

    def _level_of(self, entry: Entry) -> Level | None:
        found = (one for one in self._levels if one.node is entry.node and one.scope == entry.scope)
        return next(found, None)

    async def _level_for(self, entry: Entry) -> Level:
        """Return the transaction that an entry is stored in, with no other one in it."""
        while self._levels and _width(self._levels[-1].scope) < _width(entry.scope):
            await self.end(self._levels[-1])  # its data are stored again for who asks for them
        level = self._level_of(entry)
        if level is None:
            await self.connection.begin()
            level = Level(entry.scope, entry.node)
            self._levels.append(level)
            ending = level
            entry.node.addfinalizer(lambda: self._end_with_scope(ending))
        return level

    def _end_with_scope(self, level: Level) -> None:
        if not self.loop.is_closed():
            self.loop.run_until_complete(self.end(level))

    async def _stored(self, entry: Entry) -> Any:
        opened = await self.connection.open()
        try:
            with _for_several_tests(entry), bind(**opened.options):
                arguments = self._arguments(
                    entry, opened, lambda value: anew(value, opened, entry.name)
                )
                data = await entry.store(**arguments)
            await opened.keep()
        finally:
            await opened.close()
        return data

    def _arguments(
        self, entry: Entry, opened: Opened, given: Callable[[Any], Any]
    ) -> dict[str, Any]:
        arguments = {}
        for name, value in entry.arguments.items():
            if isinstance(value, DataOf):
                own = self._of_test
                key = value.entry.key
                value = own[key] if key in own else given(self._data(value.entry))
            elif isinstance(value, OfDatabase):
                value = opened.values[value.name]
            arguments[name] = value
        return arguments

    async def end(self, level: Level | None = None) -> None:
        """Undo a level and those in it; without one, all."""
        if level is not None and level not in self._levels:
            return
        until = 0 if level is None else self._levels.index(level)
        while len(self._levels) > until:
            self._levels.pop()
            await self.connection.rollback()

    async def close(self) -> None:
        """Close the connection; what is stored in its transactions is undone."""
        self._levels.clear()
        await self.connection.close()


def _width(scope: str) -> int:
    return SCOPES.index(scope)


@contextmanager
def _for_several_tests(entry: Entry) -> Generator[None]:
    """Have what an entry draws depend on the entry alone, not on the test that comes first."""
    plugins = entry.node.config.pluginmanager
    seeding = plugins.get_plugin("async_factory_boy_seeding")
    sequences = plugins.get_plugin("async_factory_boy_sequences")
    report = plugins.get_plugin("async_factory_boy_report")
    with ExitStack() as stack:
        if seeding is not None:
            stack.enter_context(seeding.apart(f"{entry.node.nodeid} {entry.name}"))
        if sequences is not None:
            stack.enter_context(sequences.apart())
        if report is not None:
            stack.enter_context(report.apart())
        yield


def anew(data: Any, opened: Opened, fixture: str) -> Any:
    """Return a copy of data whose objects are as if `opened` had read them.

    Args:
        data: An object, or objects in lists, tuples, sets, dicts and dataclasses.
        opened: What is given the copy.
        fixture: The fixture that the data are of, for errors.

    Raises:
        FixtureError: When something in it cannot be copied.
    """
    copied = opened.anew(data)
    if copied is not NotImplemented:
        return copied
    if type(data) in (list, set, frozenset):
        return type(data)(anew(one, opened, fixture) for one in data)
    if isinstance(data, tuple):
        parts = [anew(one, opened, fixture) for one in data]
        return type(data)(*parts) if hasattr(data, "_fields") else tuple(parts)
    if type(data) is dict:
        return {key: anew(value, opened, fixture) for key, value in data.items()}
    if is_dataclass(data) and not isinstance(data, type):
        values = {
            one.name: anew(getattr(data, one.name), opened, fixture)
            for one in fields(data)
            if one.init
        }
        return replace(data, **values)
    try:
        return copy.deepcopy(data)
    except Exception as error:
        raise FixtureError(
            f"The shared fixture {fixture!r} has a {type(data).__name__}, which cannot be given "
            f"anew to each test: it is no stored object, and copying it failed with "
            f"{type(error).__name__}: {error}. Return stored objects, or lists, dicts and "
            "dataclasses of such; make the rest in a fixture of its own."
        ) from error
