"""Stores rows through encode/databases, in the tables that SQLAlchemy describes."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from itertools import groupby
from typing import Any, ClassVar, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from async_factory_boy.adapters import missing
from async_factory_boy.adapters.base import PersistenceAdapter, fields_option
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
)
from async_factory_boy.options import CallOption

try:
    from databases import Database, DatabaseURL
    from databases.core import Connection
    from databases.interfaces import Record
    from sqlalchemy import (
        Column,
        ColumnElement,
        Engine,
        Integer,
        Select,
        Table,
        and_,
        inspect,
        or_,
        select,
        type_coerce,
    )
    from sqlalchemy.engine import Compiled, Dialect
    from sqlalchemy.exc import MultipleResultsFound
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty, Session
    from sqlalchemy.orm.attributes import set_committed_value
    from sqlalchemy.orm.exc import UnmappedColumnError
    from sqlalchemy.sql import ClauseElement
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("databases", "databases")) from error

__all__ = ["DatabasesAdapter", "TableRow"]

M = TypeVar("M")

# Rows per INSERT, and lookups per SELECT: of the latter, SQLite takes no more than 1,000.
_ROWS = 1000
_LOOKUPS = 500

# How many parameters a statement may have. MySQL's drivers send none, but their values.
# https://www.sqlite.org/limits.html#max_variable_number
_PARAMETERS = {
    "postgresql": 32767,
    "sqlite": 32766 if sqlite3.sqlite_version_info >= (3, 32) else 999,
}

# A task has a connection of its own, except with force_rollback=True. There a savepoint set by one
# task would enclose what the others store, and databases would take its end for theirs.
_locks: WeakKeyDictionary[Connection, asyncio.Lock] = WeakKeyDictionary()


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


class TableRow:
    """A row of a ``Table``: what a factory whose model is a ``Table`` builds and returns.

    ```python
    user = await UserFactory.create_async(databases_database=database)
    user.id, user["id"], dict(user)
    ```

    Its columns can be read and set, both as attributes and as items, under their ``key``. One that
    was given no value reads as ``None``. Two rows are equal if they are of one table and have
    equal values.

    Args:
        table: The table, which is ``__table__`` of the row.
        values: Values of columns.

    Raises:
        ConfigurationError: When one of the values is for a column that the table does not have.
    """

    __slots__ = ("__table__", "_values")

    __table__: Table
    _values: dict[str, Any]

    def __init__(self, table: Table, values: Mapping[str, Any]) -> None:
        for name in values:
            if name not in table.c:
                raise ConfigurationError(
                    name,
                    f"is not a column of the table; it has: {', '.join(table.c.keys())}. If only "
                    "other declarations need it, name it in Meta.exclude, or declare it in Params.",
                    owner=str(table),
                )
        self.__table__ = table
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            if name in self.__table__.c:
                return None
            raise

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.__table__.c:
            raise KeyError(name)
        self._values[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise self._no_column(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in TableRow.__slots__:
            super().__setattr__(name, value)
        elif name in self.__table__.c:
            self._values[name] = value
        else:
            raise self._no_column(name)

    def _no_column(self, name: str) -> AttributeError:
        return AttributeError(f"{self.__table__} has no column {name!r}", name=name, obj=self)

    def keys(self) -> list[str]:
        """Return the keys of the columns; with it, ``dict(row)`` and ``**row`` work."""
        return list(self.__table__.c.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.__table__.c)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TableRow):
            return NotImplemented
        return self.__table__ is other.__table__ and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> tuple[Any, ...]:
        return TableRow, (self.__table__, self._values)

    def __repr__(self) -> str:
        values = "".join(f", {name}={value!r}" for name, value in self._values.items())
        return f"TableRow({self.__table__}{values})"


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
        database = self.databases_database or self.database
        if database is None:
            raise MissingOptionError(
                "No database provided. Pass one to the call, "
                "create_async(databases_database=database); or bind one for many calls, "
                "with async_factory_boy.bind(databases_database=database): ...; or set "
                "Meta.databases_database to it, or to a callable that returns it."
            )
        if not isinstance(database, Database):
            database = database()
            _check_database(database)
        return database

    def check(self, model: type[M]) -> None:
        layout = _layout(model)
        for name in self.get_or_create:
            if name not in layout.fields():
                raise ConfigurationError(
                    "get_or_create",
                    f"names {name!r}, which {layout.name} does not have; it has: "
                    f"{', '.join(layout.fields())}.",
                    owner=type(self).__name__,
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

    def exclusive(self) -> AbstractAsyncContextManager[object]:
        return _locks.setdefault(self.current_database().connection(), asyncio.Lock())

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
            for layout, some in _by_layout(instances):
                if len(layout.tables) == 1:
                    await _save(database, layout, some)
                else:
                    async with database.transaction():
                        await _save(database, layout, some)
        return instances

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        async with self.current_database().transaction():
            return await self.save_many(await build())

    def stored_through(self, model: type[M]) -> Hashable:
        return self.current_database()

    @asynccontextmanager
    async def rolled_back(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.current_database().transaction(force_rollback=True):
            yield {}

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        layout = _layout(model)
        return await _fetch(self.current_database(), layout, layout.select(lookup))

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        layout = _layout(model)
        names = layout.columns()
        if all(name in names for name in lookups[0]):  # else by a relationship
            records = await _records(self.current_database(), layout, names, lookups)
            if records is not None:
                return [None if record is None else layout.load(record) for record in records]
        return await super().find_many(model, lookups)

    async def find_winner(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        database = self.current_database()
        layout = _layout(model)
        statement = layout.select(lookup)
        # MySQL's default isolation level, REPEATABLE READ, shows a plain SELECT what was there
        # when the transaction began; a locking one shows what is there.
        # https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
        if database.url.dialect == "mysql":
            statement = statement.with_for_update(read=True)
        return await _fetch(database, layout, statement)


def _is_of_another_loop(database: Database) -> bool:
    # The pools of asyncpg, aiomysql and asyncmy note their loop; SQLite has none, and works in
    # any. tests/test_databases.py notices if one of these names changes.
    pool = getattr(database._backend, "_pool", None)
    loop = getattr(pool, "_loop", None)
    return loop is not None and loop is not asyncio.get_running_loop()


class _Layout(ABC, Generic[M]):
    """How the objects of a model lie in tables.

    Values are keyed by the ``key`` of their column.
    """

    name: str
    tables: Sequence[Table]
    """Each refers to those before it only."""

    @abstractmethod
    def fields(self) -> Sequence[str]:
        """Return the names that a lookup may use."""

    @abstractmethod
    def columns(self) -> Sequence[str]:
        """Return the names of what `load` needs, in order."""

    @abstractmethod
    def column(self, name: str) -> Any:
        """Return the column, or what else can be selected, that a name stands for."""

    @abstractmethod
    def select(self, lookup: Mapping[str, Any]) -> Select[Any]:
        """Select what `load` needs of the objects that have the values of `lookup`."""

    @abstractmethod
    def load(self, record: Record) -> M:
        """Make an object of what `select` has selected."""

    @abstractmethod
    def values(self, instance: M, table: Table) -> dict[str, Any]:
        """Return what is to be inserted into `table` for an object."""

    @abstractmethod
    def fill(self, instance: M, table: Table, values: Mapping[str, Any]) -> None:
        """Set on an object what its row in `table` holds."""

    async def complete(self, database: Database, instances: Sequence[M]) -> None:
        """Set on objects what no row holds."""


def _layout(model: Any) -> _Layout[Any]:
    if isinstance(model, Table):
        return _TableLayout(model)
    mapper = inspect(model, raiseerr=False)
    if isinstance(mapper, Mapper):
        return _MappedLayout(mapper)
    raise AdapterError(
        f"{getattr(model, '__name__', repr(model))} is neither a Table nor a mapped class, so it "
        "cannot be stored; set Meta.model to a sqlalchemy.Table, or to a class that SQLAlchemy "
        "maps to one."
    )


def _by_layout(instances: Sequence[M]) -> Iterator[tuple[_Layout[M], Sequence[M]]]:
    for model, some in groupby(instances, _model_of):
        yield _layout(model), list(some)


def _model_of(instance: Any) -> Any:
    return instance.__table__ if isinstance(instance, TableRow) else type(instance)


class _TableLayout(_Layout[TableRow]):
    def __init__(self, table: Table) -> None:
        self.name = str(table)
        self.table = table
        self.tables = [table]

    def fields(self) -> Sequence[str]:
        return self.table.c.keys()

    def columns(self) -> Sequence[str]:
        return self.table.c.keys()

    def column(self, name: str) -> Any:
        return self.table.c[name]

    def select(self, lookup: Mapping[str, Any]) -> Select[Any]:
        return self.table.select().where(
            *(self.table.c[name] == value for name, value in lookup.items())
        )

    def load(self, record: Record) -> TableRow:
        return TableRow(self.table, _named(self.columns(), record))

    def values(self, instance: TableRow, table: Table) -> dict[str, Any]:
        return {
            name: value
            for name, value in instance._values.items()
            # A key cannot be NULL: None stands for one that is still to be generated.
            if value is not None or not table.c[name].primary_key
        }

    def fill(self, instance: TableRow, table: Table, values: Mapping[str, Any]) -> None:
        instance._values.update(values)


class _MappedLayout(_Layout[Any]):
    def __init__(self, mapper: Mapper[Any]) -> None:
        self.name = mapper.class_.__name__
        self.mapper = mapper
        self.tables = cast("Sequence[Table]", mapper.tables)

    def fields(self) -> Sequence[str]:
        return self.mapper.all_orm_descriptors.keys()

    def columns(self) -> Sequence[str]:
        return self.mapper.column_attrs.keys()

    def column(self, name: str) -> Any:
        return getattr(self.mapper.class_, name)

    def select(self, lookup: Mapping[str, Any]) -> Select[Any]:
        return _selected(self, self.columns()).filter_by(**lookup)

    def load(self, record: Record) -> Any:
        # As SQLAlchemy itself loads an object: without calling its constructor.
        instance = self.mapper.class_manager.new_instance()
        for name, value in _named(self.columns(), record).items():
            set_committed_value(instance, name, value)
        return instance

    def values(self, instance: Any, table: Table) -> dict[str, Any]:
        attributes = inspect(instance).dict
        values = {}
        for column in table.c:
            name = _attribute(self.mapper, column)
            # SQLAlchemy takes None for absent too, unless the type has a value for it (JSON).
            value = attributes.get(name)
            if value is not None or (name in attributes and column.type.should_evaluate_none):
                values[column.key] = value
            elif column.primary_key and table is not self.tables[0]:
                # Joined inheritance: this table's key refers to that of the parent's table.
                for foreign_key in column.foreign_keys:
                    parent = _attribute(self.mapper, foreign_key.column)
                    if parent is not None:
                        values[column.key] = getattr(instance, parent)
        for relationship in self.mapper.relationships:
            related = attributes.get(relationship.key)
            if related is not None and not relationship.viewonly:
                values.update(self._foreign_key(relationship, related, table))
        return values

    def _foreign_key(
        self, relationship: RelationshipProperty[Any], related: Any, table: Table
    ) -> dict[str, Any]:
        if relationship.direction is not RelationshipDirection.MANYTOONE:
            if relationship.uselist and not len(related):
                return {}
            raise AdapterError(
                f"{relationship} is not many-to-one, and databases stores one row at a time: "
                "create the objects it holds by a RelatedFactory, or in a hook."
            )
        key: dict[str, Any] = {}
        for column, remote in relationship.local_remote_pairs or ():
            if isinstance(column, Column) and column.table is table:
                attribute = _attribute(inspect(related).mapper, remote)
                key[column.key] = None if attribute is None else getattr(related, attribute)
        if None in key.values():
            raise AdapterError(
                f"{relationship} was given an object that has no key, because it is not stored; "
                "create it first, or let a SubFactory create it."
            )
        return key

    def fill(self, instance: Any, table: Table, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            attribute = _attribute(self.mapper, table.c[name])
            if attribute is not None:
                set_committed_value(instance, attribute, value)

    async def complete(self, database: Database, instances: Sequence[Any]) -> None:
        names = [
            attribute.key
            for attribute in self.mapper.column_attrs
            if not isinstance(attribute.columns[0], Column)
        ]
        if not names:
            return
        key = [_attribute(self.mapper, column) for column in self.mapper.primary_key]
        lookups = [
            {name: getattr(instance, name) for name in key if name is not None}
            for instance in instances
        ]
        names += lookups[0]
        records = await _records(database, self, names, lookups)
        if records is None:
            records = [
                await database.fetch_one(_selected(self, names).filter_by(**lookup))
                for lookup in lookups
            ]
        for instance, record in zip(instances, records, strict=True):
            # A trigger may have discarded the row.
            values = {} if record is None else _named(names, record)
            for name, value in values.items():
                set_committed_value(instance, name, value)


def _attribute(mapper: Mapper[Any], column: Any) -> str | None:
    try:
        return mapper.get_property_by_column(column).key
    except UnmappedColumnError:
        return None


async def _fetch(database: Database, layout: _Layout[M], statement: Select[Any]) -> M | None:
    records = await database.fetch_all(statement.limit(2))
    if len(records) > 1:
        raise MultipleResultsFound("Multiple rows were found when one or none was required")
    return layout.load(records[0]) if records else None


def _selected(layout: _Layout[Any], names: Iterable[str]) -> Select[Any]:
    return cast("Select[Any]", select(*map(layout.column, names)))


async def _records(
    database: Database,
    layout: _Layout[Any],
    names: Sequence[str],
    lookups: Sequence[Mapping[str, Any]],
) -> Sequence[Record | None] | None:
    """Return the one record of each of several lookups, ``None`` where there is none.

    Args:
        database: Where to look.
        layout: How the objects lie there.
        names: What to select, which includes the names in the lookups.
        lookups: Names with values; the same names in each.

    Returns:
        ``None`` if it cannot be told which record belongs to which lookup: the database may take
        for equal what Python does not, such as "acme" and "ACME".
    """
    positions = [names.index(name) for name in lookups[0]]
    found: list[Record | None] = [None] * len(lookups)
    for start in range(0, len(lookups), _LOOKUPS):
        page = lookups[start : start + _LOOKUPS]
        try:
            places = {tuple(lookup.values()): start + n for n, lookup in enumerate(page)}
        except TypeError:  # not hashable
            return None
        conditions: list[ColumnElement[bool]] = [
            and_(*(layout.column(name) == value for name, value in lookup.items()))
            for lookup in page
        ]
        statement = _selected(layout, names).where(or_(*conditions))
        for record in await database.fetch_all(statement):
            place = places.get(tuple(record[position] for position in positions))
            if place is None or found[place] is not None:
                return None
            found[place] = record
    return found


async def _save(database: Database, layout: _Layout[M], instances: Sequence[M]) -> None:
    for table in layout.tables:
        rows = [_with_defaults(table, layout.values(instance, table)) for instance in instances]
        await _insert_all(database, table, rows)
        for instance, values in zip(instances, rows, strict=True):
            layout.fill(instance, table, values)
    await layout.complete(database, instances)


class _DefaultContext:
    """What a column default that takes a context can read of it.

    https://docs.sqlalchemy.org/en/20/core/defaults.html#context-sensitive-default-functions
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.current_parameters = parameters

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> dict[str, Any]:
        return self.current_parameters


def _with_defaults(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    """Add Python-side defaults, for which databases would insert NULL.

    https://github.com/encode/databases/issues/72
    """
    for column in table.c:
        default: Any = column.default
        if default is not None and column.key not in values:
            if default.is_scalar:
                values[column.key] = default.arg
            elif default.is_callable:
                values[column.key] = default.arg(_DefaultContext(values))
    return values


async def _insert_all(database: Database, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, in order, and add to each what else it holds."""
    if len(rows) == 1:
        await _insert(database, table, rows[0])
        return
    nulls = _absent_is_null(table)
    returns = await _has_multi_returning(database)
    for together, some in groupby(rows, lambda values: _given(values, nulls)):
        run = list(some)
        # Without RETURNING, a column that a trigger may have filled in is not read.
        unknown = [
            column
            for column in table.c
            if any(column.key not in values for values in run)
            and (returns or column.key not in nulls)
        ]
        one_by_one = unknown and not (returns and _keys_are_told(table, unknown))
        if together is None or one_by_one or len(run) == 1:
            for values in run:
                await _insert(database, table, values)
        else:
            for page in _pages(database, table, run):
                await _insert_page(database, table, page, unknown)


def _absent_is_null(table: Table) -> frozenset[str]:
    """Return the columns that are NULL if they are given no value."""
    return frozenset(
        column.key
        for column in table.c
        if column.nullable
        and not any((column.default, column.server_default, column.computed, column.identity))
        # None for JSON, say, is not NULL.
        and not column.type.should_evaluate_none
    )


def _given(values: Mapping[str, Any], nulls: frozenset[str]) -> frozenset[str] | None:
    """Return what rows have to have in common to go into one INSERT; ``None`` for those alone."""
    if not values or any(map(_is_expression, values.values())):
        return None
    return frozenset(values) - nulls


def _keys_are_told(table: Table, unknown: Sequence[Column[Any]]) -> bool:
    """Tell whether the rows that an INSERT returns, in any order, can be told apart.

    They can by their keys, if these are given, or are numbers that are counted up.
    """
    key = table.primary_key.columns.values()
    if not any(column in unknown for column in key):
        return bool(key)
    generated = table.autoincrement_column
    counting: Any = None
    if generated is not None:
        counting = generated.identity or generated.default
    return (
        generated is not None
        and len(key) == 1
        and key[0] is generated
        and isinstance(generated.type, Integer)
        and (getattr(counting, "increment", None) or 1) > 0
    )


def _pages(
    database: Database, table: Table, rows: Sequence[dict[str, Any]]
) -> Iterator[Sequence[dict[str, Any]]]:
    # A default that is an SQL expression may have parameters, too.
    width = len(table.c) + 4 * sum(
        column.default is not None and column.default.is_clause_element for column in table.c
    )
    size = min(_ROWS, _PARAMETERS.get(database.url.dialect, sys.maxsize) // width)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


async def _insert_page(
    database: Database,
    table: Table,
    rows: Sequence[dict[str, Any]],
    unknown: Sequence[Column[Any]],
) -> None:
    names = [column.key for column in table.c if any(column.key in values for values in rows)]
    given = [{name: values.get(name) for name in names} for values in rows]
    if not unknown:
        await database.execute(_Insertion(table, given))
        return
    key = table.primary_key.columns.values()
    returned = list(dict.fromkeys([*key, *unknown]))
    records = await database.fetch_all(_Insertion(table, given, tuple(returned)))
    found = [_named([column.key for column in returned], record) for record in records]
    if not found:
        return  # a trigger has discarded the rows, and nothing is known of them
    if key[0] in unknown:
        if len(found) != len(rows):
            raise AdapterError(
                f"Of {len(rows)} rows, {table} has taken {len(found)} (a trigger may have "
                "discarded the others), and which ones cannot be told; set Meta.batch_size = 1 in "
                "the factory, so that they are inserted one by one."
            )
        # They need not be returned in order, but are numbered in order.
        found.sort(key=lambda values: values[key[0].key])
        for values, match in zip(rows, found, strict=True):
            values.update({name: match[name] for name in match if name not in values})
        return
    by_key = {tuple(values[column.key] for column in key): values for values in found}
    for values in rows:
        known = by_key.get(tuple(values[column.key] for column in key))
        if known is None:  # given as something else than what is stored, or discarded
            known = await _read_back(database, values, key, unknown)
        values.update({name: known[name] for name in known if name not in values})


async def _insert(database: Database, table: Table, values: dict[str, Any]) -> None:
    """Insert a row, and add to `values` what else it holds."""
    unknown = [
        column
        for column in table.c
        if column.key not in values or _is_expression(values[column.key])
    ]
    generated = table.autoincrement_column
    if not unknown:
        await database.execute(_insertion(table, values))
    elif (
        generated is not None
        and isinstance(generated.type, Integer)
        and len(unknown) == 1
        and unknown[0] is generated
    ):
        # What databases returns of an INSERT is then the key, on every backend.
        values[generated.key] = await database.execute(_insertion(table, values))
    elif _has_returning(database):
        names = [column.key for column in unknown]
        values.update(await _read(database, _insertion(table, values, unknown), names))
    else:
        await _insert_and_select(database, table, values, unknown)


def _has_returning(database: Database) -> bool:
    # Of the databases that call themselves MySQL, MariaDB has it; which one this is would have to
    # be asked of the server.
    dialect = database.url.dialect
    return dialect != "mysql" and (dialect != "sqlite" or sqlite3.sqlite_version_info >= (3, 35))


async def _has_multi_returning(database: Database) -> bool:
    """Tell whether an INSERT of several rows can return them."""
    if database.url.dialect != "mysql":
        return _has_returning(database)
    # MariaDB can, and says in its greeting that it is not MySQL: 5.5.5-10.11.19-MariaDB.
    async with database.connection() as connection:
        version = str(connection.raw_connection.get_server_info())
    mariadb = re.search(r"(\d+)\.(\d+)\.\d+-MariaDB", version)
    return mariadb is not None and tuple(map(int, mariadb.groups())) >= (10, 5)


async def _insert_and_select(
    database: Database, table: Table, values: dict[str, Any], unknown: Sequence[Column[Any]]
) -> None:
    generated = table.autoincrement_column
    key = table.primary_key.columns.values()
    for column in key:
        if column in unknown and (column is not generated or column.key in values):
            # As SQLAlchemy does it: by a SELECT of the expression, which is inserted as a value.
            expression = values.get(column.key, getattr(column.default, "arg", None))
            if expression is None:
                raise _unreadable(column)
            values[column.key] = await database.fetch_val(
                select(type_coerce(expression, column.type))
            )
    # Any other column is NULL.
    filled_in = [
        column
        for column in unknown
        if not column.primary_key
        and (
            column.server_default is not None
            or column.default is not None
            or column.key in values
            or not column.nullable
        )
    ]
    if filled_in and not key:
        raise _unreadable(filled_in[0])
    returned = await database.execute(_insertion(table, values))
    if generated is not None and generated.key not in values:
        values[generated.key] = returned
    if filled_in:
        values.update(await _read_back(database, values, key, filled_in))


async def _read_back(
    database: Database,
    values: Mapping[str, Any],
    key: Sequence[Column[Any]],
    columns: Sequence[Column[Any]],
) -> dict[str, Any]:
    statement = select(*columns).where(*(column == values[column.key] for column in key))
    return await _read(database, statement, [column.key for column in columns])


def _unreadable(column: Column[Any]) -> AdapterError:
    return AdapterError(
        f"{column} gets its value from the server, and without RETURNING there is no key to read "
        "it by; declare the primary key in the factory, or give its column a Python-side default."
    )


def _insertion(
    table: Table, values: Mapping[str, Any], returning: Sequence[Column[Any]] = ()
) -> ClauseElement:
    if not values or any(map(_is_expression, values.values())):
        statement = table.insert().values(values)
        return statement.returning(*returning) if returning else statement
    return _Insertion(table, [values], tuple(returning))


class _Insertion(ClauseElement):
    """An INSERT of plain values, compiled once for all rows that have values for the same columns.

    databases compiles every statement it is given, which is most of what storing a row takes.

    Args:
        table: The table.
        rows: Their values, for the same columns in each.
        returning: The columns that are returned.
    """

    def __init__(
        self,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        returning: tuple[Column[Any], ...] = (),
    ) -> None:
        self.table = table
        self.rows = rows
        self.returned = returning

    def compile(self, bind: Any = None, dialect: Any = None, **options: Any) -> Any:
        keywords = tuple(options.get("compile_kwargs", {}).items())
        names = tuple(self.rows[0])

        def compiled(rows: int) -> Compiled:
            return _compiled(dialect, self.table, names, self.returned, keywords, rows)

        if len(self.rows) == 1:
            return _BoundInsertion(compiled(1), self.rows[0])
        return _BoundInsertions(compiled(2), compiled(3), self.rows)


@lru_cache(maxsize=256)
def _compiled(
    dialect: Dialect,
    table: Table,
    names: tuple[str, ...],
    returning: tuple[Column[Any], ...],
    compile_kwargs: tuple[tuple[str, Any], ...],
    rows: int,
) -> Compiled:
    statement: Any = table.insert()
    if rows > 1:
        statement = statement.values([dict.fromkeys(names)] * rows)
    if returning:
        statement = statement.returning(*returning)
    compiled: Compiled = statement.compile(
        dialect=dialect,
        column_keys=list(names) if rows == 1 else None,
        compile_kwargs=dict(compile_kwargs),
    )
    return compiled


class _BoundInsertion:
    """A compiled INSERT with the values of one row; otherwise what SQLAlchemy has compiled."""

    def __init__(self, compiled: Compiled, values: Mapping[str, Any]) -> None:
        self._compiled = compiled
        self.params: Any = compiled.construct_params(dict(values))

    def construct_params(self) -> Any:
        return dict(self.params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)


class _BoundInsertions(_BoundInsertion):
    """A compiled INSERT with the values of any number of rows.

    To have SQLAlchemy compile one of a thousand rows takes longer than to store them. It numbers
    the parameters of the rows, ``name_m0``, ``name_m1`` and so on, and what the third row adds is
    what each further row adds.

    Args:
        two: An INSERT of two rows, compiled.
        three: The same of three rows.
        rows: The values of two rows or more.
    """

    def __init__(self, two: Any, three: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(two, {})
        further = range(2, len(rows))
        prefixes = {
            name: two.escaped_bind_names.get(f"{name}_m0", f"{name}_m0").removesuffix("0")
            for name in rows[0]
        }
        for row, values in enumerate(rows):
            for name, prefix in prefixes.items():
                self.params[f"{prefix}{row}"] = values[name]
        # What follows the rows does not begin with the comma that another row does.
        end = _common(two.string, three.string)
        added = three.string[end : end + len(three.string) - len(two.string)]
        rest = "".join(added.replace("_m2)s", f"_m{row})s") for row in further)
        self.string = two.string[:end] + rest + two.string[end:]
        self._bind_processors = dict(two._bind_processors)
        for name, prefix in prefixes.items():
            processor = two._bind_processors.get(f"{name}_m0")
            if processor is not None:
                self._bind_processors.update({f"{prefix}{row}": processor for row in further})
        self.positiontup = two.positiontup
        if two.positiontup is not None:
            names = three.positiontup[len(two.positiontup) :]
            self.positiontup = two.positiontup + [
                f"{name.removesuffix('2')}{row}" if name.endswith("_m2") else name
                for row in further
                for name in names
            ]


def _common(text: str, longer: str) -> int:
    """Return how many characters two texts begin with in common."""
    return next(
        (n for n, (a, b) in enumerate(zip(text, longer, strict=False)) if a != b), len(text)
    )


def _is_expression(value: object) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


async def _read(
    database: Database, statement: ClauseElement, names: Sequence[str]
) -> dict[str, Any]:
    record = await database.fetch_one(statement)
    # A trigger may have discarded the row, and then nothing is known of it.
    return {} if record is None else _named(names, record)


def _named(names: Iterable[str], record: Record) -> dict[str, Any]:
    # By position: a column's name, its key, and that of its attribute may be three.
    return {name: record[position] for position, name in enumerate(names)}
