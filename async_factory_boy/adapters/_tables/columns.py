"""What the columns of tables say of fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    DefaultClause,
    Interval,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement, False_, TextClause, True_

from async_factory_boy.adapters._tables.checks import bounds_of
from async_factory_boy.adapters._tables.types import converts, typed_field
from async_factory_boy.adapters.fields import NO_DEFAULT, Field

__all__ = ["column_field", "remote_column", "uniques_of"]


def column_field(column: Column[Any], name: str, hint: Any = None) -> Field:
    """Return the field that a column is, without what is unique and what it refers to.

    Args:
        column: The column, of a `Table`.
        name: The name of the field.
        hint: What the attribute is annotated with.
    """
    field = typed_field(name, column.type, hint)
    generated, has_default, default = _filled(column, field.type)
    field = replace(
        field,
        nullable=bool(column.nullable),
        generated=generated,
        has_default=has_default,
        default=default,
        required=not (column.nullable or has_default),
    )
    # Where values are converted, a check is of what is stored. SQLAlchemy's own Interval writes
    # the same values in a check.
    if isinstance(column.type, Interval) or not converts(column.type):
        for condition in _checks(column.table):
            field = bounds_of(condition, column, field)
    return field


def _checks(table: Table) -> Sequence[ClauseElement]:
    """Return the conditions of the table and of its columns, in the same order each time."""
    constraints = [*table.constraints, *(one for column in table.c for one in column.constraints)]
    conditions = [one.sqltext for one in constraints if isinstance(one, CheckConstraint)]
    return sorted(conditions, key=str)


def _filled(column: Column[Any], kind: Any) -> tuple[bool, bool, Any]:
    """Return whether the store makes the value, whether it is filled at all, and with what."""
    server: Any = column.server_default
    default: Any = column.default
    # Identity and Computed are server defaults; so is FetchedValue, which stands for a trigger.
    made = server is not None and (column.primary_key or not isinstance(server, DefaultClause))
    if default is not None:
        if default.is_sequence:
            return True, True, NO_DEFAULT
        return made, True, default.arg if default.is_scalar else NO_DEFAULT
    if server is not None:
        arg = server.arg if isinstance(server, DefaultClause) else None
        return made, True, _literal(arg, kind)
    counted = column.table.autoincrement_column is column
    return counted, counted, NO_DEFAULT


_BOOLEANS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


def _literal(arg: Any, kind: Any) -> Any:
    """Return the value that a server's default is, if it is a plain one."""
    if isinstance(arg, True_ | False_):
        arg = "true" if isinstance(arg, True_) else "false"
    quoted = isinstance(arg, str)  # SQLAlchemy does it
    text = arg.text.strip() if isinstance(arg, TextClause) else arg
    if not isinstance(text, str):
        return NO_DEFAULT
    if not quoted and re.fullmatch(r"'[^'\\]*'", text):
        quoted, text = True, text[1:-1]
    if kind is str:
        return text if quoted else NO_DEFAULT
    if kind is bool:
        return _BOOLEANS.get(text.lower(), NO_DEFAULT)
    if kind in (int, float, Decimal) and (number := _NUMBER.fullmatch(text)):
        return NO_DEFAULT if kind is int and number[1] else kind(text)
    return NO_DEFAULT


def uniques_of(
    tables: Iterable[Table], name_of: Callable[[Column[Any]], str | None]
) -> Mapping[str, tuple[frozenset[str], ...]]:
    """Return for each field the sets of fields whose values no two rows share.

    A unique index with a condition, or of an expression, counts as one of its columns: it allows
    more than that, and never less.

    Args:
        tables: The tables that the fields are in.
        name_of: Returns the field that a column is, or ``None``.
    """
    found: dict[frozenset[str], None] = {}
    for table in tables:
        columns: list[Iterable[Any]] = [
            constraint.columns
            for constraint in sorted(table.constraints, key=_order)
            if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
        ]
        columns += [
            _columns_in(index.expressions)
            for index in sorted(table.indexes, key=lambda index: str(index.name))
            if index.unique
        ]
        for some in columns:
            names = frozenset(name for column in some if (name := name_of(column)) is not None)
            if names:
                found[names] = None
    sets: dict[str, tuple[frozenset[str], ...]] = {}
    for names in found:
        for name in names:
            sets[name] = (*sets.get(name, ()), names)
    return sets


def _order(constraint: Any) -> tuple[bool, str, list[str]]:
    """Order constraints alike in each run: they are in a set."""
    is_key = isinstance(constraint, PrimaryKeyConstraint)
    columns = getattr(constraint, "columns", ())
    return not is_key, str(constraint.name or ""), [column.name for column in columns]


def _columns_in(expressions: Iterable[Any]) -> list[Column[Any]]:
    return [
        element
        for expression in expressions
        if isinstance(expression, ClauseElement)
        for element in visitors.iterate(expression)
        if isinstance(element, Column)
    ]


def remote_column(column: Column[Any]) -> tuple[Column[Any], Mapping[Column[Any], Column[Any]]]:
    """Return what a foreign key column refers to, and all columns of that foreign key.

    Of several foreign keys, the first by the name of what it refers to.
    """
    keys = sorted(column.foreign_keys, key=lambda key: str(key.target_fullname))
    constraint = keys[0].constraint
    pairs = {
        element.parent: element.column
        for element in (keys[:1] if constraint is None else constraint.elements)
    }
    return pairs[column], pairs
