"""Inserts rows, and finds out what the database has filled in."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from databases import Database
from sqlalchemy import Column, Integer, Table, select, type_coerce
from sqlalchemy.sql import ClauseElement

from async_factory_boy.adapters._databases.layouts import Layout, named
from async_factory_boy.adapters._databases.statements import (
    Insertion,
    insertion,
    is_expression,
    pages,
)
from async_factory_boy.exceptions import AdapterError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")


# Rows per INSERT.
_ROWS = 1000


async def insert_objects(database: Database, layout: Layout[M], instances: Sequence[M]) -> None:
    """Insert objects of one model, and set on them what their rows hold."""
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
    if not values or any(map(is_expression, values.values())):
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
    return pages(rows, _ROWS, width, database.url.dialect, dict.values)


async def _insert_page(
    database: Database,
    table: Table,
    rows: Sequence[dict[str, Any]],
    unknown: Sequence[Column[Any]],
) -> None:
    names = [column.key for column in table.c if any(column.key in values for values in rows)]
    given = [{name: values.get(name) for name in names} for values in rows]
    if not unknown:
        await database.execute(Insertion(table, given))
        return
    key = table.primary_key.columns.values()
    returned = list(dict.fromkeys([*key, *unknown]))
    records = await database.fetch_all(Insertion(table, given, tuple(returned)))
    found = [named([column.key for column in returned], record) for record in records]
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
        if column.key not in values or is_expression(values[column.key])
    ]
    generated = table.autoincrement_column
    if not unknown:
        await database.execute(insertion(table, values))
    elif (
        generated is not None
        and isinstance(generated.type, Integer)
        and len(unknown) == 1
        and unknown[0] is generated
    ):
        # What databases returns of an INSERT is then the key, on every backend.
        values[generated.key] = await database.execute(insertion(table, values))
    elif _has_returning(database):
        names = [column.key for column in unknown]
        values.update(await _read(database, insertion(table, values, unknown), names))
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
    returned = await database.execute(insertion(table, values))
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


async def _read(
    database: Database, statement: ClauseElement, names: Sequence[str]
) -> dict[str, Any]:
    record = await database.fetch_one(statement)
    # A trigger may have discarded the row, and then nothing is known of it.
    return {} if record is None else named(names, record)
