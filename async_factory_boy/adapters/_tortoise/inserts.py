"""Inserts objects, several by one statement where that gives what ``save()`` does."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, groupby, islice, pairwise, repeat
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from pypika_tortoise.terms import Field as Column
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.backends.base.executor import BaseExecutor
from tortoise.fields import IntField
from tortoise.fields.base import DatabaseDefault
from tortoise.models import Model
from tortoise.queryset import QuerySet
from tortoise.signals import Signals

from async_factory_boy.adapters._tortoise.connections import outermost_transaction
from async_factory_boy.adapters._tortoise.lookups import PAGE, all_of
from async_factory_boy.adapters._tortoise.overrides import (
    created,
    overrides_create,
    overrides_save,
)
from async_factory_boy.adapters._tortoise.stamps import plain_fields, restore, stamps_of
from async_factory_boy.adapters.paging import paged
from async_factory_boy.exceptions import AdapterError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M", bound=Model)


# Rows per INSERT, as many as SQLAlchemy puts into one; fewer, if they have many columns: asyncpg
# takes 32,767 parameters, and SQLite one less.
_ROWS = 1000

_PARAMETERS = 32_766

# Characters and bytes of values per INSERT, where the driver puts them into the statement, which
# MySQL and MariaDB limit (max_allowed_packet). What the drivers' executemany() goes by.
_LENGTH = 1_024_000


async def insert_one(instance: M, connection: BaseDBAsyncClient) -> M:
    """Store an object as ``Model.create()`` does, and return it, or what an own one returns."""
    model = type(instance)
    stamps = stamps_of(instance)
    stored = await created(instance, connection) if overrides_create(model) else None
    if stored is None:
        executor = connection.executor_class(model=model, db=connection)
        if stamps and saves_as_tortoise_does(model, executor):
            await insert_many([instance], executor)
            return instance
        await instance.save(using_db=connection, force_create=True)
        stored = instance
    await _load_unknown([stored], connection)
    await restore(stored, stamps, connection)
    return stored


def saves_as_tortoise_does(model: type[Model], executor: BaseExecutor) -> bool:
    """Tell whether saving an object is what `insert_many` does, no more and no less."""
    dialect = executor.db.capabilities.dialect
    return (
        # Before 3.35, SQLite did not know RETURNING, and took fewer parameters.
        (dialect == "sqlite" and sqlite3.sqlite_version_info >= (3, 35))
        or dialect in ("postgres", "mysql")
    ) and (
        type(executor).execute_insert is BaseExecutor.execute_insert
        and not overrides_create(model)
        and not overrides_save(model)
    )


async def insert_many(instances: Sequence[M], executor: BaseExecutor) -> None:
    """Do for many objects, step by step, what ``Model.save(force_create=True)`` does for one."""
    model, connection = type(instances[0]), executor.db
    listeners = model._listeners
    stamps = {}
    if plain_fields(model):
        stamps = {id(one): own for one in instances if (own := stamps_of(one))}
    for instance in instances:
        if instance._await_when_save:
            await instance._set_async_default_field()
        if listeners[Signals.pre_save].get(model):
            await instance._pre_save(connection)
    inserts = _Inserts[M](executor, stamps, returning=await _knows_returning(connection))
    pages = inserts.pages(instances)
    if len(pages) == 1 or isinstance(connection, TransactionalDBClient):
        await inserts.execute(pages, connection)
    else:
        # So that all of them are stored or none, as with one page. Nothing in here calls code of
        # the user's, which would be surprised by the transaction.
        async with connection._in_transaction() as transaction:
            await inserts.execute(pages, transaction)
    for instance in instances:
        instance._saved_in_db = True
    if listeners[Signals.post_save].get(model):
        for instance in instances:
            await instance._post_save(connection, created=True)


class _Alike(NamedTuple):
    """What rows have to have in common to go into one statement."""

    together: bool
    """Whether they can, with it known afterwards which key is whose."""
    key_is_given: bool
    """Whether they have keys, where the database would generate them."""
    omitted: tuple[str, ...]
    """The fields that are left to the default of their column."""


_Row = tuple[_Alike, M, list[Any]]


def _length(row: _Row[Any]) -> int:
    return sum(len(value) for value in row[2] if isinstance(value, str | bytes))


@dataclass
class _Page(Generic[M]):
    alike: _Alike
    instances: Sequence[M]
    rows: Sequence[Sequence[Any]]
    """The values of each, as the driver takes them."""


class _Inserts(Generic[M]):
    """Inserts new objects of one model.

    Args:
        executor: Tortoise's, for the model and a connection.
        stamps: By the ``id()`` of an object, what it was given for fields with ``auto_now``.
        returning: Whether the server knows ``INSERT ... RETURNING``.
    """

    def __init__(
        self,
        executor: BaseExecutor,
        stamps: Mapping[int, Mapping[str, Any]],
        *,
        returning: bool,
    ) -> None:
        self.model = executor.model
        self.meta = executor.model._meta
        self.executor = executor
        self.stamps = stamps
        self.returning = returning
        # By key_is_given, as Tortoise tells the two apart.
        self.names = {False: executor.regular_columns, True: executor.regular_columns_all}
        # That its keys count up shows which of the rows that come back is whose.
        self.returns_key = returning and isinstance(self.meta.pk, IntField)
        # SQLite does not know the keyword DEFAULT among values.
        self.mixes_defaults = executor.db.capabilities.dialect != "sqlite"

    def pages(self, instances: Iterable[M]) -> list[_Page[M]]:
        """Convert the values of the objects, and divide these into pages, in their order."""
        pages = []
        for alike, alike_rows in groupby(self._rows(instances), lambda row: row[0]):
            size = min(_ROWS, _PARAMETERS // (len(self.names[alike.key_is_given]) or 1))
            rows = list(alike_rows)
            if self.executor.db.capabilities.dialect == "mysql":
                divided = paged(rows, size, size_of=_length, largest=_LENGTH)
            else:
                divided = paged(rows, size)
            for some in divided:
                pages.append(_Page(alike, [row[1] for row in some], [row[2] for row in some]))
        return pages

    def _rows(self, instances: Iterable[M]) -> Iterator[_Row[M]]:
        converters = {
            given: [(name, self.meta.fields_map[name].to_db_value) for name in names]
            for given, names in self.names.items()
        }
        generated = self.meta.pk.generated
        some_have_defaults = bool(self.meta.db_default_db_columns)
        for instance in instances:
            given = instance._custom_generated_pk
            if not (_is_known(instance.pk) if given or not generated else self.returns_key):
                yield _Alike(False, given, ()), instance, []
                continue
            omitted: list[str] = []
            values: list[Any] = []
            columns = converters[given]
            if stamps := self.stamps.get(id(instance)):
                plain = plain_fields(self.model)
                columns = [
                    (name, plain[name].to_db_value if name in stamps else to_db_value)
                    for name, to_db_value in columns
                ]
            for name, to_db_value in columns:
                value = getattr(instance, name)
                if some_have_defaults and isinstance(value, DatabaseDefault):
                    omitted.append(name)
                    values.append(value)
                else:
                    values.append(to_db_value(value, instance))
            together = len(omitted) < len(values)
            separate = () if self.mixes_defaults else tuple(omitted)
            yield _Alike(together, given, separate), instance, values

    async def execute(self, pages: Iterable[_Page[M]], connection: BaseDBAsyncClient) -> None:
        """Insert all pages, and read back what the database has made up for them."""
        self.executor.db = connection
        for page in pages:
            if not page.alike.together:
                for instance in page.instances:
                    await self.executor.execute_insert(instance)
                await _load_unknown(page.instances, connection)
                for instance in page.instances:
                    await restore(instance, self.stamps.get(id(instance), {}), connection)
                continue
            sql, values, made_up = self._statement(page)
            rows = await connection.execute_query_dict(sql, values)
            if not made_up:
                continue
            if self.returning:
                self._fill(page.instances, self._in_order(page, rows), made_up)
            else:
                await _load_unknown(page.instances, connection)

    def _statement(self, page: _Page[M]) -> tuple[str, list[Any], list[str]]:
        """Return the INSERT for a page, its parameters, and the columns it leaves to the database.

        Written out row by row: to have Tortoise's query builder do so would take more time than
        all the rest. It writes the beginning.
        """
        key_is_given = page.alike.key_is_given
        names: Sequence[str] = self.names[key_is_given]
        rows: Sequence[Sequence[Any]] = page.rows
        defaulted: list[str] = []
        if self.meta.db_default_db_columns:
            columns = dict(zip(names, zip(*rows, strict=True), strict=True))
            defaulted = [name for name, column in columns.items() if any(map(_is_default, column))]
            names = [name for name, column in columns.items() if not all(map(_is_default, column))]
            rows = list(zip(*(columns[name] for name in names), strict=True))
        projection = self.meta.fields_db_projection
        query_class = self.executor.db.query_class
        query = query_class.into(self.meta.basetable).columns(*(projection[n] for n in names))
        beginning, _, _ = str(
            query.insert(*map(self.executor.parameter, range(len(names))))
        ).rpartition("(")
        marks = self._marks()
        if defaulted:
            lines = [
                ",".join("DEFAULT" if _is_default(v) else next(marks) for v in row) for row in rows
            ]
            values = [value for row in rows for value in row if not _is_default(value)]
        else:
            lines = [",".join(islice(marks, len(names))) for _ in rows]
            values = list(chain.from_iterable(rows))
        sql = f"{beginning}({'),('.join(lines)})"
        key = self.meta.db_pk_column
        made_up = [c for c in self.meta.generated_db_fields if not (key_is_given and c == key)]
        made_up += [projection[name] for name in defaulted]
        if made_up and self.returning:
            returned = dict.fromkeys([key, *made_up])
            sql += " RETURNING " + ",".join(
                Column(c).get_sql(query_class.SQL_CONTEXT) for c in returned
            )
        return sql, values, made_up

    def _marks(self) -> Iterator[str]:
        """Yield the parameters of a statement: ``?``, ``?`` and so on, or ``$1``, ``$2``."""
        context = self.executor.db.query_class.SQL_CONTEXT
        first, second = (self.executor.parameter(n).get_sql(context) for n in range(2))
        if first == second:
            return repeat(first)
        sign = first.removesuffix("1")
        return (f"{sign}{number}" for number in count(1))

    def _fill(
        self,
        instances: Sequence[M],
        rows: Sequence[Mapping[str, Any]],
        made_up: Sequence[str],
    ) -> None:
        """Set the fields that the database has made up values for."""
        for column in made_up:
            always = column in self.meta.generated_db_fields
            name = self.meta.fields_db_projection_reverse[column]
            to_python_value = self.meta.fields_map[name].to_python_value
            for instance, row in zip(instances, rows, strict=True):
                if always or _is_default(getattr(instance, name)):
                    setattr(instance, name, to_python_value(row[column]))

    def _in_order(
        self, page: _Page[M], rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the rows in the order of the instances.

        No database promises to return them in the order that they were inserted in. All do so, and
        they generate keys in that order; if the one is so, and the other, it shows.
        https://github.com/sqlalchemy/sqlalchemy/issues/9618
        """
        column = self.meta.db_pk_column
        if self.meta.pk.generated and not page.alike.key_is_given:
            keys = [row[column] for row in rows]
            if len(keys) == len(page.instances) and all(a < b for a, b in pairwise(keys)):
                return rows
        else:
            to_python_value = self.meta.pk.to_python_value
            of_key = {to_python_value(row[column]): row for row in rows}
            keys = [to_python_value(instance.pk) for instance in page.instances]
            if of_key.keys() == set(keys):
                return [of_key[key] for key in keys]
        raise AdapterError(
            f"The database does not tell which row is whose when {self.model.__name__} objects are "
            "inserted by one statement: a trigger changes their keys, or the keys do not count up. "
            "Store them one by one, by a subclass of TortoiseAdapter that says "
            "save_many = PersistenceAdapter.save_many."
        )


async def _load_unknown(instances: Iterable[Model], connection: BaseDBAsyncClient) -> None:
    """Load the fields whose values the database has made up, and Tortoise has not fetched."""
    unknown = [(one, own) for one in instances if (own := _unknown_fields(one))]
    for page in paged(unknown, PAGE):
        model = type(page[0][0])
        key = model._meta.pk_attr
        # Not by the model's manager, which may hide them.
        queryset = QuerySet(model).using_db(connection)
        queryset = queryset.only(key, *{name for _, own in page for name in own})
        stored = {
            one.pk: one
            for one in await queryset.filter(all_of({f"{key}__in": [one.pk for one, _ in page]}))
        }
        for instance, own in page:
            for name in own:
                setattr(instance, name, getattr(stored[instance.pk], name))


# Whether the server behind a pool knows INSERT ... RETURNING, for those that speak MySQL.
_known_servers: WeakKeyDictionary[BaseDBAsyncClient, bool] = WeakKeyDictionary()


async def _knows_returning(connection: BaseDBAsyncClient) -> bool:
    if connection.capabilities.dialect != "mysql":
        return True
    transaction = outermost_transaction(connection)
    pool = connection if transaction is None else transaction._parent
    if pool not in _known_servers:
        # The driver has been told when it connected, so this takes no round trip.
        async with connection.acquire_connection() as driver:
            _known_servers[pool] = _is_mariadb_with_returning(driver.get_server_info())
    return _known_servers[pool]


def _is_mariadb_with_returning(server: str) -> bool:
    # "11.4.2-MariaDB"; before version 11 after "5.5.5-", for the sake of replication with MySQL.
    version = re.search(r"(\d+)\.(\d+)\.\d+(-\d+)?-MariaDB", server)
    return version is not None and (int(version[1]), int(version[2])) >= (10, 5)


def _unknown_fields(instance: Model) -> list[str]:
    """Return the fields whose value the database has made up, and Tortoise has not fetched."""
    meta = instance._meta
    generated, defaults = meta.generated_db_fields, meta.db_default_db_columns
    if not defaults and generated in ((), (meta.db_pk_column,)):
        return []  # made up is the key at most, which Tortoise always fetches
    if not _is_known(instance.pk):
        return []  # MySQL tells no key but an integer, so nothing can be fetched
    names = [meta.fields_db_projection_reverse[column] for column in (*generated, *defaults)]
    return [
        name
        for name in names
        if not _is_known(value := getattr(instance, name))
        and (value is not None or meta.fields_map[name].generated)
    ]


def _is_default(value: object) -> bool:
    return isinstance(value, DatabaseDefault)


def _is_known(value: object) -> bool:
    return value is not None and not isinstance(value, DatabaseDefault)
