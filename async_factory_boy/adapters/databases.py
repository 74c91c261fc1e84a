"""Stores rows through encode/databases, in the tables that SQLAlchemy describes."""

from __future__ import annotations

import asyncio
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
    from sqlalchemy import Column, Engine, Integer, Select, Table, inspect, select, type_coerce
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

    async def save(self, instance: M) -> M:
        database = self.current_database()
        layout = _layout_of(instance)
        if len(layout.tables) == 1:
            await _save(database, layout, instance)
        else:
            async with database.transaction():
                await _save(database, layout, instance)
        return instance

    async def save_many(self, instances: Sequence[M]) -> Sequence[M]:
        # On one connection: to take it from the pool and give it back costs a statement, too.
        async with self.current_database().connection():
            return await super().save_many(instances)

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

    async def complete(self, database: Database, instance: M) -> None:
        """Set on an object what no row holds."""


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


def _layout_of(instance: Any) -> _Layout[Any]:
    return _layout(instance.__table__ if isinstance(instance, TableRow) else type(instance))


class _TableLayout(_Layout[TableRow]):
    def __init__(self, table: Table) -> None:
        self.name = str(table)
        self.table = table
        self.tables = [table]

    def fields(self) -> Sequence[str]:
        return self.table.c.keys()

    def select(self, lookup: Mapping[str, Any]) -> Select[Any]:
        return self.table.select().where(
            *(self.table.c[name] == value for name, value in lookup.items())
        )

    def load(self, record: Record) -> TableRow:
        return TableRow(self.table, _named(self.table.c.keys(), record))

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

    def select(self, lookup: Mapping[str, Any]) -> Select[Any]:
        return self._select(self.mapper.column_attrs.keys()).filter_by(**lookup)

    def _select(self, names: Iterable[str]) -> Select[Any]:
        attributes = [getattr(self.mapper.class_, name) for name in names]
        return cast("Select[Any]", select(*attributes))

    def load(self, record: Record) -> Any:
        # As SQLAlchemy itself loads an object: without calling its constructor.
        instance = self.mapper.class_manager.new_instance()
        for name, value in _named(self.mapper.column_attrs.keys(), record).items():
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

    async def complete(self, database: Database, instance: Any) -> None:
        names = [
            attribute.key
            for attribute in self.mapper.column_attrs
            if not isinstance(attribute.columns[0], Column)
        ]
        if names:
            key = {
                name: getattr(instance, name)
                for name in (_attribute(self.mapper, c) for c in self.mapper.primary_key)
                if name is not None
            }
            read = await _read(database, self._select(names).filter_by(**key), names)
            for name, value in read.items():
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


async def _save(database: Database, layout: _Layout[M], instance: M) -> None:
    for table in layout.tables:
        values = _with_defaults(table, layout.values(instance, table))
        await _insert(database, table, values)
        layout.fill(instance, table, values)
    await layout.complete(database, instance)


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
        statement = select(*filled_in).where(*(column == values[column.key] for column in key))
        names = [column.key for column in filled_in]
        values.update(await _read(database, statement, names))


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
    return _Insertion(table, values, tuple(returning))


class _Insertion(ClauseElement):
    """An INSERT of plain values, compiled once for all rows that have values for the same columns.

    databases compiles every statement it is given, which is most of what storing a row takes.
    """

    def __init__(
        self, table: Table, values: Mapping[str, Any], returning: tuple[Column[Any], ...]
    ) -> None:
        self.table = table
        self.parameters = dict(values)
        self.returned = returning

    def compile(self, bind: Any = None, dialect: Any = None, **options: Any) -> Any:
        keywords = options.get("compile_kwargs", {})
        return _BoundInsertion(
            _compiled(
                dialect,
                self.table,
                tuple(self.parameters),
                self.returned,
                tuple(keywords.items()),
            ),
            self.parameters,
        )


@lru_cache(maxsize=256)
def _compiled(
    dialect: Dialect,
    table: Table,
    names: tuple[str, ...],
    returning: tuple[Column[Any], ...],
    compile_kwargs: tuple[tuple[str, Any], ...],
) -> Compiled:
    statement: ClauseElement = table.insert()
    if returning:
        statement = table.insert().returning(*returning)
    return statement.compile(
        dialect=dialect, column_keys=list(names), compile_kwargs=dict(compile_kwargs)
    )


class _BoundInsertion:
    """A compiled INSERT with the values of one row; otherwise what SQLAlchemy has compiled."""

    def __init__(self, compiled: Compiled, values: dict[str, Any]) -> None:
        self._compiled = compiled
        self.params: Any = compiled.construct_params(values)

    def construct_params(self) -> Any:
        return self.params

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)


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
