"""Stores rows through encode/databases, in the tables that SQLAlchemy describes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.adapters.configuration import check_names, configured, fields_option
from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.matching import answered, are_hashable
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    OptionError,
)
from async_factory_boy.options import CallOption
from async_factory_boy.stores import missing

try:
    from databases import Database, DatabaseURL
    from databases.core import Connection
    from sqlalchemy import Engine, Table, inspect
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import InstanceState, Mapper, Session
    from sqlalchemy.orm.attributes import instance_state
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("databases", "databases")) from error

from async_factory_boy.adapters._databases.inserts import insert_objects
from async_factory_boy.adapters._databases.layouts import by_layout, fetch, fetch_many, layout_of
from async_factory_boy.adapters._databases.rows import TableRow
from async_factory_boy.adapters._mapped import keys_of, primary_key_of

__all__ = ["DatabasesAdapter", "TableRow"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")


def _check_database(value: object) -> None:
    if not isinstance(value, Database):
        raise OptionError(
            f"databases_database takes a databases.Database; got {_described(value)}. Make one "
            "with databases.Database(url): async with Database(url) as database: "
            "await UserFactory.create_async(databases_database=database)."
        )


def _described(value: object) -> str:
    if isinstance(value, str | DatabaseURL):
        return "a URL"  # which may hold a password, and is not shown
    if isinstance(value, Connection):
        return "a Connection (pass its Database: in this task, that uses the same connection)"
    if isinstance(value, Engine | AsyncEngine | Session | AsyncSession):
        return f"SQLAlchemy's {type(value).__name__}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"an object of type {type(value).__name__}"


class _Conflicts:
    """The integrity errors of the drivers that are in use, of which databases has no common base.

    Looked up in ``sys.modules``: a driver that is not imported cannot have raised anything.
    """

    _errors = (
        ("sqlite3", "IntegrityError"),
        ("asyncpg", "IntegrityConstraintViolationError"),
        ("psycopg2", "IntegrityError"),
        ("pymysql", "IntegrityError"),
        ("asyncmy.errors", "IntegrityError"),
    )

    def __get__(self, instance: object, owner: type) -> tuple[type[Exception], ...]:
        return tuple(
            getattr(sys.modules[module], name)
            for module, name in self._errors
            if module in sys.modules
        )


class DatabasesAdapter(PersistenceAdapter[M]):
    """Stores rows of a ``Table``, or objects of a mapped class, through a ``databases.Database``.

    ```python
    class UserFactory(AsyncFactory[TableRow]):
        class Meta:
            model = users  # a sqlalchemy.Table
            adapter = DatabasesAdapter(get_or_create=("email",))
    ```

    A factory for a ``Table`` builds a `TableRow`. One for a mapped class builds an object of it,
    which belongs to no session; what it refers to by a many-to-one relationship gives it the
    foreign key. Either comes back with all its columns set: the key, Python-side defaults (which
    databases itself leaves out), and what the server filled in.

    Rows of a batch are inserted together where it can be told which key belongs to which, else one
    by one.

    It uses the connection of the running task, and so takes part in the transaction that this task
    has begun by ``database.transaction()``. It commits nothing that it did not begin.

    Args:
        database: The ``Database``, or a callable that returns it, for calls that are given none
            and for which ``bind`` has none.
        get_or_create: Columns that identify a row. One that has their values is looked up before
            a new one is inserted; that happens in a transaction of its own, a savepoint if there
            is one around it, so that losing a race for a unique value costs nothing, and finds
            the winner's row.

    Raises:
        ConfigurationError: When an argument is not of the kind described.
    """

    databases_database: CallOption[Database] = CallOption(_check_database)

    conflicts: ClassVar[tuple[type[Exception], ...]] = cast("Any", _Conflicts())

    def __init__(
        self,
        *,
        database: Database | Callable[[], Database] | None = None,
        get_or_create: Sequence[str] = (),
    ) -> None:
        owner = type(self).__name__
        usable = database is None or isinstance(database, Database) or callable(database)
        if isinstance(database, type) or not usable:
            raise ConfigurationError(
                "database",
                "takes a databases.Database, or a callable that returns one; got "
                f"{_described(database)}.",
                owner=owner,
            )
        self.database = database
        self.get_or_create = fields_option("get_or_create", get_or_create, owner=owner)

    @classmethod
    def handles(cls, model: type) -> bool:
        return isinstance(model, Table)

    def current_database(self) -> Database:
        """Return the database to use now: the call's, the bound one, or the adapter's own.

        Raises:
            MissingOptionError: When there is none.
            OptionError: When the callable given for it returned something else.
        """
        given = self.databases_database
        if given is not None:
            return given
        database: Database = configured(
            self.database,
            is_value=lambda value: isinstance(value, Database),
            check=_check_database,
            missing="No database provided. Pass one to the call, "
            "create_async(databases_database=database); or bind one for many calls, "
            "with async_factory_boy.bind(databases_database=database): ...; or set "
            "Meta.databases_database to it, or to a callable that returns it.",
        )
        return database

    def check(self, model: type[M]) -> None:
        layout = layout_of(model)
        check_names(
            "get_or_create",
            self.get_or_create,
            layout.fields(),
            owner=type(self).__name__,
            model=layout.name,
        )
        database = self.current_database()
        if not database.is_connected:
            raise OptionError(
                "databases_database is not connected; await database.connect() before the first "
                "call, or use the factory inside of async with database: ..."
            )
        if _is_of_another_loop(database):
            raise OptionError(
                "databases_database was connected in another event loop, and its connections "
                "cannot be used in this one; connect it in the loop of the running test (with "
                "pytest-asyncio, give the fixture and the test the same loop_scope)."
            )

    def keys_of(self, model: type[M]) -> Mapping[str, Mapping[str, str]]:
        mapper = None if isinstance(model, Table) else inspect(model, raiseerr=False)
        return keys_of(mapper) if isinstance(mapper, Mapper) else {}

    def fields(self, model: type[M]) -> Sequence[Field]:
        return layout_of(model).described()

    def primary_key(self, data: M, /) -> Mapping[str, Any]:
        if isinstance(data, TableRow):
            return {column.key: data[column.key] for column in data.__table__.primary_key}
        state: InstanceState[Any] = instance_state(data)
        return {name: state.dict.get(name) for name in primary_key_of(state.mapper)}

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        if not isinstance(model, Table):
            return super().build(model, args, kwargs)
        if args:
            raise AdapterError(
                f"A row of {model} takes no positional arguments; leave Meta.inline_args out."
            )
        return cast("M", TableRow(model, kwargs))

    async def save(self, data: M) -> M:
        return (await self.save_many([data]))[0]

    async def save_many(self, data: Sequence[M]) -> list[M]:
        instances = list(data)
        database = self.current_database()
        # On one connection: to take it from the pool and give it back costs a statement, too.
        async with database.connection():
            for layout, some in by_layout(instances):
                if len(layout.tables) == 1:
                    await insert_objects(database, layout, some)
                else:
                    async with database.transaction():
                        await insert_objects(database, layout, some)
        return instances

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        layout = layout_of(model)
        return await fetch(self.current_database(), layout, lookup, layout.select(lookup))

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        layout = layout_of(model)
        names = layout.columns()
        if not all(name in names for name in lookups[0]):  # by a relationship
            return await super().find_many(model, lookups)
        if not are_hashable(value for lookup in lookups for value in lookup.values()):
            return await super().find_many(model, lookups)
        answers = await fetch_many(self.current_database(), layout, lookups)
        return await answered(lookups, answers, partial(self.find, model))

    async def find_afresh(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        database = self.current_database()
        layout = layout_of(model)
        statement = layout.select(lookup)
        # MySQL's default isolation level, REPEATABLE READ, shows a plain SELECT what was there
        # when the transaction began; a locking one shows what is there.
        # https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
        if database.url.dialect == "mysql":
            statement = statement.with_for_update(read=True)
        return await fetch(database, layout, lookup, statement)

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        async with self.current_database().transaction():
            return await self.save_many(await build())

    def ambient_options(self, model: type[M]) -> Mapping[str, Any]:
        # What the callable returns may go by a context variable of the calling hook.
        if self.databases_database is not None or not callable(self.database):
            return {}
        return {"databases_database": self.current_database()}

    def connection_key(self, model: type[M]) -> Hashable:
        # A task has a connection of its own, except with force_rollback=True. There a savepoint
        # set by one task would enclose what the others store, and databases would take its end for
        # theirs.
        return self.current_database().connection()

    @asynccontextmanager
    async def undo(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.current_database().transaction(force_rollback=True):
            yield {}


def _is_of_another_loop(database: Database) -> bool:
    # The pools of asyncpg, aiomysql and asyncmy note their loop; SQLite has none, and works in
    # any. tests/test_databases.py notices if one of these names changes.
    pool = getattr(database._backend, "_pool", None)
    loop = getattr(pool, "_loop", None)
    return loop is not None and loop is not asyncio.get_running_loop()
