"""An adapter that keeps every promise, for the broken ones to derive from: aiosqlite, no ORM."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, fields
from functools import partial
from itertools import count, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import factory
import pytest
from aiosqlite import Connection, connect

from async_factory_boy import MissingOptionError, MultipleFoundError, OptionError
from async_factory_boy.adapters import Field, PersistenceAdapter
from async_factory_boy.adapters.fields import Relation
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.options import CallOption
from async_factory_boy.testing import AdapterConformance

TABLES = """
CREATE TABLE Parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER);
CREATE TABLE Child (id INTEGER PRIMARY KEY, name TEXT, parent INTEGER REFERENCES Parent);
"""


@dataclass
class Parent:
    name: str
    size: int
    id: int | None = None


@dataclass
class Child:
    name: str
    parent: Parent
    id: int | None = None


# For each connection, the objects of the call that has its turn, each with the values it is stored
# with.
_stored: WeakKeyDictionary[Connection, list[tuple[Any, dict[str, Any]]]] = WeakKeyDictionary()

# Those who are told of each statement.
_listeners: list[Callable[[Callable[[object], bool]], object]] = []


def check_connection(value: object) -> None:
    if not isinstance(value, Connection):
        raise OptionError(f"sound_connection takes an aiosqlite.Connection; got {value!r}.")


class SoundAdapter(PersistenceAdapter[Any]):
    """Stores dataclasses, each in the table of its name."""

    sound_connection: CallOption[Connection] = CallOption(check_connection)

    conflicts = (sqlite3.IntegrityError,)

    commits = False
    """Whether to commit what is stored."""

    option: ClassVar[str] = "sound_connection"
    """The call-time option that takes the connection."""

    of_the_test: ClassVar[Connection]
    """The connection that the fixture has opened; used by an adapter that ignores its option."""

    def check(self, model: type[Any]) -> None:
        self.connection()

    def fields(self, model: type[Any]) -> Sequence[Field]:
        key = Field(name="id", type=int, generated=True, has_default=True)
        name = Field(
            name="name", type=str, required=True,
            unique=(frozenset({"name"}),) if model is Parent else (),
        )  # fmt: skip
        if model is Parent:
            return [name, Field(name="size", type=int, required=True), key]
        return [name, Field(name="parent", required=True, relation=Relation(target=Parent)), key]

    def listen(
        self, heard: Callable[[Callable[[object], bool]], object]
    ) -> Callable[[], object] | None:
        _listeners.append(heard)
        return partial(_listeners.remove, heard)

    def primary_key(self, instance: Any) -> Mapping[str, Any]:
        return {"id": instance.id}

    def connection(self) -> Connection:
        connection: Connection | None = getattr(self, self.option)
        if connection is None:
            raise MissingOptionError("No connection provided. Pass sound_connection to the call.")
        return connection

    def connection_key(self, model: type[Any]) -> Hashable:
        return self.connection()

    async def save(self, instance: Any) -> Any:
        await self.insert([instance])
        await self.commit_now()
        return instance

    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await self.insert(instances)
        await self.commit_now()
        return instances

    async def commit_now(self) -> None:
        if not self.commits_later:
            await self.commit()

    async def commit(self) -> None:
        if self.commits:
            await self.connection().commit()

    async def insert(self, instances: Sequence[Any], insert: str = "INSERT") -> None:
        """Insert in order, and set the keys: by one statement, if no object has a key or all do."""
        for has_key, group in groupby(instances, lambda instance: instance.id is not None):
            some = list(group)
            rows = [self.row(instance) for instance in some]
            places = f"({', '.join('?' * len(rows[0]))})"
            cursor = await self.connection().execute(
                f"{insert} INTO {type(some[0]).__name__} ({', '.join(rows[0])})"
                f" VALUES {', '.join([places] * len(rows))} RETURNING id",
                [value for row in rows for value in row.values()],
            )
            keys = sorted(await cursor.fetchall())
            if not has_key:
                for instance, (key,) in zip(some, keys, strict=False):
                    instance.id = key
        self.note(instances)

    def note(self, instances: Sequence[Any]) -> None:
        """Keep what objects are stored with, for `flush` to see what has changed."""
        stored = _stored.setdefault(self.connection(), [])
        stored += [(instance, self.values(instance)) for instance in instances]

    async def flush(self) -> None:
        for instance, before in _stored.pop(self.connection(), []):
            values = self.values(instance)
            if values != before:
                assignments = ", ".join(f"{name} = ?" for name in values)
                await self.connection().execute(
                    f"UPDATE {type(instance).__name__} SET {assignments} WHERE id = ?",
                    [*values.values(), instance.id],
                )

    def row(self, instance: Any) -> dict[str, Any]:
        """Return what is inserted of an object: its key, if it has one, and its values."""
        key = {} if instance.id is None else {"id": instance.id}
        return {**key, **self.values(instance)}

    def values(self, instance: Any) -> dict[str, Any]:
        """Return what is stored of an object, but for its key."""
        values = {**vars(instance)}
        del values["id"]
        if "parent" in values:
            values["parent"] = values["parent"].id
        return values

    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        found = await self.select_all(
            model, " AND ".join(f"{name} IS ?" for name in lookup), lookup
        )
        if len(found) > 1:
            raise MultipleFoundError(model, lookup)
        self.note(found)
        return found[0] if found else None

    async def select(self, model: type[Any], condition: str, lookup: Mapping[str, Any]) -> Any:
        """Return the first object that meets a condition, if there is one."""
        found = await self.select_all(model, condition, lookup)
        return found[0] if found else None

    async def select_all(
        self, model: type[Any], condition: str, lookup: Mapping[str, Any]
    ) -> list[Any]:
        """Return the objects that meet a condition."""
        names = [field.name for field in fields(model)]
        cursor = await self.connection().execute(
            f"SELECT {', '.join(names)} FROM {model.__name__} WHERE {condition} ORDER BY id",
            list(lookup.values()),
        )
        return [model(*row) for row in await cursor.fetchall()]

    async def save_new(self, build: Callable[[], Awaitable[Sequence[Any]]]) -> Sequence[Any]:
        async with self.savepoint():
            instances = await build()
            await self.insert(instances)
        await self.commit_now()
        return instances

    @asynccontextmanager
    async def undo(self, model: type[Any]) -> AsyncGenerator[Mapping[str, Any]]:
        connection = await self.begin_savepoint()
        try:
            yield {}
        finally:
            await connection.execute("ROLLBACK TO sound")
            await connection.execute("RELEASE sound")

    async def begin_savepoint(self) -> Connection:
        connection = self.connection()
        if not connection.in_transaction:
            await connection.execute("BEGIN")
        await connection.execute("SAVEPOINT sound")
        return connection

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        connection = await self.begin_savepoint()
        try:
            yield
        except BaseException:
            await connection.execute("ROLLBACK TO sound")
            raise
        finally:
            await connection.execute("RELEASE sound")


def _empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "sound.sqlite")
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(TABLES)
        return path.read_bytes()


EMPTY = _empty_database()


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[Connection]:
    async with connect(path, timeout=0.5) as connection:
        # Nothing has to survive a power cut.
        await connection.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;")
        await connection.set_trace_callback(_tell)
        yield connection


def _tell(statement: str) -> None:
    for heard in _listeners:
        heard(lambda instance: "UPDATE" in statement or "DELETE" in statement)


def factories(adapter_class: type[SoundAdapter]) -> list[type[AsyncFactory[Any]]]:
    """Return factories of parents, of children, and of parents that are committed."""
    shared, told_to_commit = adapter_class(), adapter_class()
    told_to_commit.commits = True

    class ParentFactory(AsyncFactory[Parent]):
        class Meta:
            model = Parent
            adapter = shared

        name = factory.Sequence(lambda n: f"parent{n}")
        size = factory.Sequence(lambda n: n)

    class ChildFactory(AsyncFactory[Child]):
        class Meta:
            model = Child
            adapter = shared

        name = factory.Sequence(lambda n: f"child{n}")
        parent = factory.SubFactory(ParentFactory)

    class CommittingFactory(ParentFactory):
        class Meta:
            adapter = told_to_commit

    return [ParentFactory, ChildFactory, CommittingFactory]


class SoundConformance(AdapterConformance):
    """The suite for an adapter that derives from `SoundAdapter`."""

    adapter_class: ClassVar[type[SoundAdapter]] = SoundAdapter
    factories: ClassVar[list[type[AsyncFactory[Any]]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.factories = factories(cls.adapter_class)

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "sound.sqlite"
        path.write_bytes(EMPTY)
        return path

    @pytest.fixture
    async def connection(self, path: Path) -> AsyncGenerator[Connection]:
        async with opened(path) as connection:
            self.adapter_class.of_the_test = connection
            yield connection

    @pytest.fixture
    def options(self, connection: Connection) -> Mapping[str, Any]:
        return {self.adapter_class.option: connection}

    @pytest.fixture
    def parent(self) -> type[AsyncFactory[Any]]:
        return self.factories[0]

    @pytest.fixture
    def child(self) -> type[AsyncFactory[Any]]:
        return self.factories[1]

    @pytest.fixture
    def rows(self, connection: Connection) -> Any:
        async def rows(factory: type[AsyncFactory[Any]]) -> list[dict[str, Any]]:
            cursor = await connection.execute(f"SELECT * FROM {factory._meta.model.__name__}")
            names = [column[0] for column in cursor.description]
            found = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
            return [{**row, "key": row["id"]} for row in found]

        return rows

    @pytest.fixture
    def rollback(self, connection: Connection) -> Callable[[], Awaitable[None]]:
        return connection.rollback

    @pytest.fixture
    def another(self, path: Path) -> Any:
        @asynccontextmanager
        async def another() -> AsyncGenerator[Mapping[str, Any]]:
            async with opened(path) as connection:
                yield {self.adapter_class.option: connection}
                await connection.commit()

        return another

    @pytest.fixture
    def conflict(self) -> type[Exception]:
        return sqlite3.IntegrityError

    @pytest.fixture
    def new_key(self) -> Callable[[], int]:
        return count(1000, 1000).__next__

    @pytest.fixture
    def committing(self) -> type[AsyncFactory[Any]]:
        return self.factories[2]
