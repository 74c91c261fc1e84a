from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass
from sqlite3 import IntegrityError
from typing import TypeVar

import aiosqlite

from async_factory_boy import AdapterError, MissingOptionError, MultipleFoundError
from async_factory_boy.adapters import CallOption, PersistenceAdapter

M = TypeVar("M")


class SqliteAdapter(PersistenceAdapter[M]):
    """Stores dataclasses, each in the table of its name. SQLite gives the key, `id`."""

    sqlite_connection: CallOption[aiosqlite.Connection] = CallOption()
    conflicts = (IntegrityError,)

    def __init__(self, *, get_or_create: Sequence[str] = ()) -> None:
        self.get_or_create = tuple(get_or_create)

    def connection(self) -> aiosqlite.Connection:
        if self.sqlite_connection is None:
            raise MissingOptionError("No connection provided. Pass or bind sqlite_connection=...")
        return self.sqlite_connection

    def check(self, model: type[M]) -> None:
        if not is_dataclass(model):
            raise AdapterError(f"{model!r} is not a dataclass; make it one with @dataclass.")
        self.connection()

    def connection_key(self, model: type[M]) -> object:
        return self.connection()

    async def fetch(self, query: str, values: Sequence[object]) -> list[tuple]:
        async with self.connection().cursor() as cursor:
            cursor.row_factory = None  # tuples, whatever the connection makes of rows
            return list(await (await cursor.execute(query, values)).fetchall())

    async def save(self, instance: M) -> M:
        await self.save_many([instance])
        return instance

    async def save_many(self, instances: Sequence[M]) -> Sequence[M]:
        model = type(instances[0])
        names = [field.name for field in fields(model) if field.name != "id"]
        size = 30_000 // len(names)  # a statement takes 32766 values
        for some in (instances[start : start + size] for start in range(0, len(instances), size)):
            places = ", ".join([f"({', '.join('?' * len(names))})"] * len(some))
            keys = await self.fetch(
                f"INSERT INTO {table(model)} ({', '.join(names)}) VALUES {places} RETURNING id",
                [getattr(instance, name) for instance in some for name in names],
            )
            # RETURNING promises no order, but new keys rise from row to row.
            for instance, (key,) in zip(some, sorted(keys), strict=True):
                instance.id = key
        return instances

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        connection = self.connection()
        if connection.isolation_level is not None and not connection.in_transaction:
            await connection.execute("BEGIN")  # or else RELEASE would commit
        await connection.execute("SAVEPOINT save_new")
        try:
            return await super().save_new(build)
        except BaseException:  # a cancellation too
            await connection.execute("ROLLBACK TO save_new")
            raise
        finally:
            await connection.execute("RELEASE save_new")

    async def find(self, model: type[M], lookup: Mapping[str, object]) -> M | None:
        names = ", ".join(field.name for field in fields(model))
        where = " AND ".join(f"{name} IS ?" for name in lookup)
        query = f"SELECT {names} FROM {table(model)} WHERE {where} LIMIT 2"
        rows = await self.fetch(query, list(lookup.values()))
        if len(rows) > 1:
            raise MultipleFoundError(model, lookup)
        return model(*rows[0]) if rows else None

    @asynccontextmanager
    async def undo(self, model: type[M]) -> AsyncIterator[Mapping[str, object]]:
        connection = self.connection()
        await connection.execute("SAVEPOINT undo")
        try:
            yield {}
        finally:
            await connection.execute("ROLLBACK TO undo")
            await connection.execute("RELEASE undo")


def table(model: type) -> str:
    return f'"{model.__name__.lower()}"'
