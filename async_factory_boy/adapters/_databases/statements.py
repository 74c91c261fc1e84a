"""INSERT statements that are compiled once for many rows."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Column, Table
from sqlalchemy.engine import Compiled, Dialect
from sqlalchemy.sql import ClauseElement

from async_factory_boy.adapters.paging import paged

T = TypeVar("T")


# How many parameters a statement may have. MySQL's drivers send none, but their values.
# https://www.postgresql.org/docs/current/limits.html
# https://www.sqlite.org/limits.html#max_variable_number
_PARAMETERS = {
    "postgresql": 32767,
    "sqlite": 32766 if sqlite3.sqlite_version_info >= (3, 32) else 999,
}

# Characters and bytes of values per statement, where the driver puts them into it. MySQL and
# MariaDB limit a statement to 16 MB and more; a character may take four bytes, a byte two.
# https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables#max_allowed_packet
_LENGTH = 1_024_000


def pages(
    items: Sequence[T],
    most: int,
    width: int,
    dialect: str,
    values_of: Callable[[T], Iterable[Any]],
) -> Iterator[Sequence[T]]:
    """Yield items in order, as many at a time as go into one statement.

    Args:
        items: Rows, or lookups.
        most: How many of them at most.
        width: How many parameters each of them is.
        dialect: The ``dialect`` of the database's URL.
        values_of: Returns the values of an item.
    """
    most = min(most, _PARAMETERS.get(dialect, sys.maxsize) // (width or 1))
    if dialect != "mysql":
        return paged(items, most)
    return paged(
        items, most, size_of=lambda item: sum(map(_length, values_of(item))), largest=_LENGTH
    )


def _length(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    # What becomes JSON, probably, or an array.
    return len(repr(value)) if isinstance(value, dict | list) else 0


def insertion(
    table: Table, values: Mapping[str, Any], returning: Sequence[Column[Any]] = ()
) -> ClauseElement:
    if not values or any(map(is_expression, values.values())):
        statement = table.insert().values(values)
        return statement.returning(*returning) if returning else statement
    return Insertion(table, [values], tuple(returning))


class Insertion(ClauseElement):
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


def is_expression(value: object) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")
