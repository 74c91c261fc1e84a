"""Stores rows through Piccolo ORM."""

from __future__ import annotations

import asyncio
import functools
import operator
import sqlite3
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Hashable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, nullcontext
from itertools import groupby
from typing import Any, ClassVar, TypeVar, cast

from piccolo.columns import Column, ForeignKey
from piccolo.custom_types import Combinable
from piccolo.engine import Engine, engine_finder
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction
from piccolo.engine.sqlite import SQLiteEngine, SQLiteTransaction
from piccolo.querystring import QueryString
from piccolo.table import Table
from piccolo.utils.sql_values import convert_to_sql_value

from async_factory_boy import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
)
from async_factory_boy.adapters import CallOption, ForEachUse, PersistenceAdapter
from async_factory_boy.adapters.configuration import check_names, fields_option
from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.matching import answered, are_hashable, matched, only_one
from async_factory_boy.adapters.paging import paged
from async_factory_boy_piccolo import relations
from async_factory_boy_piccolo.fields import fields_of

try:
    from asyncpg.exceptions import UniqueViolationError  # type: ignore[import-untyped]
except ModuleNotFoundError:  # pragma: no cover (Piccolo is used with SQLite only)
    _conflicts: tuple[type[Exception], ...] = (sqlite3.IntegrityError,)
else:
    _conflicts = (sqlite3.IntegrityError, UniqueViolationError)

__all__ = ["PiccoloAdapter"]

M = TypeVar("M", bound=Table)
V = TypeVar("V")

Transaction = PostgresTransaction | SQLiteTransaction

# PostgreSQL's driver takes 32,767 parameters in a statement. SQLite takes one less, and 999 before
# 3.32, unless it was compiled otherwise. https://www.sqlite.org/limits.html#max_variable_number
_PARAMETERS = 32_766
_PARAMETERS_OF_OLD_SQLITE = 999

# What a SELECT asks for at once.
_PAGE = 500

_HOW_TO_GET_ONE = (
    "Pass the one that you have entered: async with DB.transaction() as transaction: "
    "await UserFactory.create_async(piccolo_transaction=transaction). (Inside of that block a "
    "factory uses it in any case.)"
)


def _check_transaction(value: object) -> None:
    if isinstance(value, PostgresTransaction | SQLiteTransaction):
        if hasattr(value, "connection"):
            return
        problem = "a transaction that is not entered"
    elif isinstance(value, Engine):
        problem = f"{type(value).__name__}, which has transactions and is none"
    else:
        problem = f"an object of type {type(value).__name__}"
    raise OptionError(
        f"piccolo_transaction takes a transaction of Piccolo; got {problem}. {_HOW_TO_GET_ONE}"
    )


class PiccoloAdapter(PersistenceAdapter[M]):
    """Stores rows of Piccolo tables.

    ```python
    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = PiccoloAdapter(get_or_create=("email",), prefetch=("company",))
    ```

    A row is stored as by its ``save()``, which is called where a table overrides it; the rows of a
    batch by ``Table.insert()``. They become part of the call's ``piccolo_transaction``, or of the
    transaction that the call is made in (``async with DB.transaction()``), which the adapter never
    commits or rolls back. Tasks may share a transaction: the adapter waits its turn.

    A list of related rows may be given for an ``M2M``: the rows in between are stored after the
    row itself.

    Args:
        get_or_create: Columns that identify a row. One that has their values is looked up before
            a new one is stored; in a transaction that happens in a SAVEPOINT, so that losing a
            race for a unique value costs nothing, and finds the winner's row.
        prefetch: Foreign keys. What a call returns has the rows there that they refer to, where
            Piccolo would leave a key that was given, or found. ``"company.country"`` goes on from
            there.

    Raises:
        ConfigurationError: When an argument is not of the kind described.
    """

    piccolo_transaction: CallOption[Transaction] = CallOption(_check_transaction)

    conflicts: ClassVar[tuple[type[Exception], ...]] = _conflicts

    def __init__(self, *, get_or_create: Sequence[str] = (), prefetch: Sequence[str] = ()) -> None:
        owner = type(self).__name__
        self.get_or_create = fields_option("get_or_create", get_or_create, owner=owner)
        self.prefetch = fields_option("prefetch", prefetch, owner=owner)
        self.refreshes = bool(self.prefetch)

    @classmethod
    def handles(cls, model: type) -> bool:
        return isinstance(model, type) and issubclass(model, Table) and model is not Table

    def transaction(self, model: type[Table]) -> Transaction | None:
        """Return the transaction that rows of `model` are stored in now, if there is one."""
        transaction = self.piccolo_transaction
        if transaction is None:
            transaction = _engine(model).current_transaction.get()
        return transaction

    def check(self, model: type[M]) -> None:
        self._check_table(model)
        owner = type(self).__name__
        columns = {column._meta.name for column in model._meta.columns}
        check_names(
            "get_or_create", self.get_or_create, columns, owner=owner, model=model, what="column"
        )
        for path in self.prefetch:
            _check_path(model, path, owner)
        transaction = self.transaction(model)
        if transaction is None:
            _check_pool(_engine(model))
        else:
            _check_usable(transaction, model)

    def fields(self, model: type[M]) -> Sequence[Field]:
        self._check_table(model)
        return fields_of(model)

    def primary_key(self, data: M, /) -> Mapping[str, Any]:
        name = data._meta.primary_key._meta.name
        return {name: data[name] if data._exists_in_db else None}

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        values, given = relations.split(model, kwargs)
        row = model(*args, **values)
        relations.keep(row, given)
        return row

    async def save(self, data: M) -> M:
        return (await self.save_many([data]))[0]

    async def save_many(self, data: Sequence[M]) -> list[M]:
        instances = list(data)
        for instance in instances:
            for column in instance._meta.foreign_key_columns:
                _check_stored(instance[column._meta.name], column)
        given = relations.given_with(instances)
        for table, rows in groupby(instances, key=type):
            with self._at_work(table) as transaction:
                # Outside of a transaction too, a row is stored with what is related to it, or not
                # at all.
                alone = _engine(table).transaction() if given and transaction is None else None
                async with alone or nullcontext():
                    stored = list(rows)
                    await _store(table, stored)
                    await _relate(stored, given)
        return instances

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        with self._at_work(model):
            query = model.objects().where(_condition(model, lookup))
            return only_one(await query.limit(2), model, lookup)

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        columns = [model._meta.get_column_by_name(name) for name in lookups[0]]
        asked = [tuple(map(_sql_value, lookup.values(), columns)) for lookup in lookups]
        if not are_hashable(asked):
            return await super().find_many(model, lookups)
        found: list[tuple[Any, M]] = []
        with self._at_work(model):
            for page in paged(lookups, _PAGE // len(columns)):
                for row in await model.objects().where(_any_of(model, page)):
                    found.append((tuple(row[column._meta.name] for column in columns), row))
        return await answered(lookups, matched(asked, found), functools.partial(self.find, model))

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        instances = await build()
        model = type(instances[0])
        with self._at_work(model) as transaction:
            if transaction is not None:
                async with _savepoint(transaction):
                    return await self.save_many(instances)
            if len(instances) == 1:
                return await self.save_many(instances)
            async with _engine(model).transaction():  # all of them, or none
                return await self.save_many(instances)

    def ambient_options(self, model: type[M]) -> Mapping[str, Any]:
        # DB.transaction() puts itself into a context variable of the code inside of it.
        return {"piccolo_transaction": self.transaction(model)}

    def connection_key(self, model: type[M]) -> Hashable:
        transaction, engine = self.transaction(model), _engine(model)
        if transaction is None and isinstance(engine, SQLiteEngine):
            # Each statement has a connection of its own there, and a file one writer at a time.
            return ForEachUse(engine)
        return transaction

    async def refresh(self, instances: Sequence[M]) -> None:
        for path in self.prefetch:
            for _, rows in groupby(instances, key=type):
                await self._fetch(list(rows), path.split("."))

    @asynccontextmanager
    async def undo(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        outer = self.transaction(model)
        if outer is None:
            async with _engine(model).transaction() as transaction:
                yield {}
                await transaction.rollback()
            return
        savepoint = await outer.savepoint()
        try:
            yield {}
        finally:
            await savepoint.rollback_to()
            await savepoint.release()

    def _check_table(self, model: type[M]) -> None:
        if not self.handles(model):
            name = getattr(model, "__name__", repr(model))
            raise AdapterError(
                f"{name} is not a table of Piccolo, so it cannot be stored; set Meta.model to a "
                "class that derives from piccolo.table.Table."
            )

    async def _fetch(self, rows: Sequence[Table], path: Sequence[str]) -> None:
        """Put the rows that `rows` refer to in the place of their keys."""
        if not rows or not path:
            return
        name, *rest = path
        meta = _foreign_key(type(rows[0]), name)._foreign_key_meta
        table, target = meta.resolved_references, meta.resolved_target_column
        keyed = [row for row in rows if row[name] is not None and not isinstance(row[name], Table)]
        related: dict[Any, Table] = {}
        with self._at_work(table):
            for keys in paged(list(dict.fromkeys(row[name] for row in keyed)), _PAGE):
                for one in await table.objects().where(target.is_in(list(keys))):
                    related[one[target._meta.name]] = one
            for row in keyed:
                key = row[name]
                if key not in related:  # equal for the database only, such as a UUID's string
                    related[key] = await table.objects().get(target == key) or key
                row[name] = related[key]
        distinct = {id(row[name]): row[name] for row in rows if isinstance(row[name], Table)}
        await self._fetch(list(distinct.values()), rest)

    @contextmanager
    def _at_work(self, model: type[Table]) -> Generator[Transaction | None]:
        """Have queries of the block go where rows of `model` are stored."""
        transaction = self.transaction(model)
        if transaction is None:
            yield None
            return
        current = _engine(model).current_transaction
        before = current.get()
        current.set(transaction)
        try:
            yield transaction
        finally:
            current.set(before)


def _engine(model: type[Table]) -> Engine[Any]:
    if not model._meta._db:
        try:
            engine, problem = engine_finder(), "no engine is called DB there"
        except ModuleNotFoundError as error:
            engine, problem = None, str(error)
        if engine is None:
            raise MissingOptionError(
                f"{model.__name__} has no engine to be stored through. Give it one, "
                f"class {model.__name__}(Table, db=DB): ...; or have a module piccolo_conf, or the "
                "one that the environment variable PICCOLO_CONF names, define DB = "
                f'SQLiteEngine(path="test.sqlite") or DB = PostgresEngine(...). ({problem})'
            )
    return model._meta.db


def _check_pool(engine: Engine[Any]) -> None:
    pool = engine.pool if isinstance(engine, PostgresEngine) else None
    if pool is None:
        return
    if pool.is_closing():
        raise OptionError(
            "The engine's connection pool is closed, but the engine does not know: close it by "
            "await DB.close_connection_pool(), and start one by await DB.start_connection_pool()."
        )
    # The only way to tell; the tests notice if the name changes.
    if pool._loop is not asyncio.get_running_loop():
        raise OptionError(
            "The engine's connection pool was started in another event loop, and cannot be used "
            "in this one. Call await DB.start_connection_pool() in the loop that the test runs in "
            "(with pytest-asyncio: give fixture and test the same loop_scope), and await "
            "DB.close_connection_pool() at its end; or start none in tests."
        )


def _check_usable(transaction: Transaction, model: type[Table]) -> None:
    if transaction.engine is not _engine(model):
        raise OptionError(
            f"piccolo_transaction is not a transaction of the engine of {model.__name__}, so it "
            "cannot hold its rows. Where a call stores rows by two engines, pass none: inside of "
            "async with DB.transaction(), each engine's own is used."
        )
    if transaction._committed or transaction._rolled_back:
        raise OptionError(
            "The transaction to store in has been committed or rolled back; use the factory "
            "inside of async with DB.transaction(): ..., and before you end it yourself."
        )
    # The only way to tell; the tests notice if the name changes. SQLite works in every loop.
    loop = getattr(transaction.connection, "_loop", None)
    if loop is not None and loop is not asyncio.get_running_loop():
        raise OptionError(
            "The transaction to store in was begun in another event loop. Begin it in the loop "
            "that the test runs in (with pytest-asyncio: give fixture and test the same "
            "loop_scope)."
        )


def _check_path(model: type[Table], path: str, owner: str) -> None:
    for name in path.split("."):
        foreign_keys = [column._meta.name for column in model._meta.foreign_key_columns]
        if name not in foreign_keys:
            raise ConfigurationError(
                "prefetch",
                f"names {path!r}, but {name!r} is not a foreign key of {model.__name__}; it has: "
                f"{', '.join(sorted(foreign_keys)) or 'none'}.",
                owner=owner,
            )
        model = _foreign_key(model, name)._foreign_key_meta.resolved_references


def _foreign_key(model: type[Table], name: str) -> ForeignKey[Any]:
    return cast("ForeignKey[Any]", model._meta.get_column_by_name(name))


def _check_stored(value: Any, column: Column) -> None:
    """Refuse a row that has no key yet, for which Piccolo would take NULL."""
    if not isinstance(value, Table) or not isinstance(column, ForeignKey):
        return
    target = column._foreign_key_meta.resolved_target_column._meta.name
    if value[target] is None or isinstance(value[target], QueryString):
        raise AdapterError(
            f"{column._meta.table.__name__}.{column._meta.name} is given a "
            f"{type(value).__name__} that is not stored, and so has no {target} to refer to; "
            f"create it first, with await {type(value).__name__}Factory.create_async(), or by a "
            "SubFactory."
        )


def _sql_value(value: object, column: Column) -> Any:
    _check_stored(value, column)
    return convert_to_sql_value(value, column)


async def _store(table: type[M], rows: Sequence[M]) -> None:
    if table.save is not Table.save or _tells_one_key_only(table._meta.db):
        for row in rows:
            await row.save()
            made_up = _made_up(table, [row])
            if made_up:
                await row.refresh(made_up)
        return
    for page in paged(rows, _rows_of_a_statement(table)):
        made_up = _made_up(table, page)
        stored = await table.insert(*page).returning(table._meta.primary_key, *made_up)
        for row, values in zip(page, stored, strict=True):
            for column in made_up:
                row[column._meta.name] = values[column._meta.db_column_name]


async def _relate(rows: Sequence[Table], given: Sequence[relations.Given]) -> None:
    """Store what relates some rows to others, as Piccolo's ``add_m2m()`` does."""
    if given:
        places = set(map(id, rows))
        links = relations.between(one for one in given if id(one.row) in places)
        for table, between in links.items():
            for page in paged(between, _rows_of_a_statement(table)):
                await table.insert(*page)


def _rows_of_a_statement(table: type[Table]) -> int:
    engine = table._meta.db
    is_old = isinstance(engine, SQLiteEngine) and sqlite3.sqlite_version_info < (3, 32)
    parameters = _PARAMETERS_OF_OLD_SQLITE if is_old else _PARAMETERS
    return parameters // len(table._meta.columns)


def _tells_one_key_only(engine: Engine[Any]) -> bool:
    # SQLite has had RETURNING since 3.35.
    return isinstance(engine, SQLiteEngine) and engine.get_version_sync() < 3.35


def _made_up(table: type[M], rows: Sequence[M]) -> list[Column]:
    """Return the columns, but for the key, that the database makes up a value for."""
    return [
        column
        for column in table._meta.columns
        if not column._meta.primary_key
        and any(isinstance(row[column._meta.name], QueryString) for row in rows)
    ]


def _condition(model: type[Table], lookup: Mapping[str, Any]) -> Combinable:
    conditions: list[Combinable] = []
    for name, value in lookup.items():
        column = model._meta.get_column_by_name(name)
        _check_stored(value, column)
        conditions.append(column == value)
    return functools.reduce(operator.and_, conditions)


def _any_of(model: type[Table], lookups: Sequence[Mapping[str, Any]]) -> Combinable:
    if len(lookups) == 1:
        return _condition(model, lookups[0])
    if len(lookups[0]) == 1:
        ((name, _),) = lookups[0].items()
        column = model._meta.get_column_by_name(name)
        values = [_sql_value(lookup[name], column) for lookup in lookups]
        if None not in values:
            return column.is_in(values)
    # Halved, since a chain of so many would be too deep for SQLite, and for Python.
    middle = len(lookups) // 2
    return _any_of(model, lookups[:middle]) | _any_of(model, lookups[middle:])


@asynccontextmanager
async def _savepoint(transaction: Transaction) -> AsyncGenerator[None]:
    savepoint = await transaction.savepoint()
    try:
        yield
    except BaseException:
        await savepoint.rollback_to()
        await savepoint.release()
        raise
    else:
        await savepoint.release()
