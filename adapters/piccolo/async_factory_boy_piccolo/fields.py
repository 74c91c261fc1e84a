"""Tells what the columns of a Piccolo table are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any

from piccolo.columns import (
    JSON,
    Array,
    BigInt,
    BigSerial,
    Column,
    ForeignKey,
    Integer,
    Numeric,
    Serial,
    SmallInt,
    Timestamptz,
    Varchar,
)
from piccolo.columns.combination import And, Where
from piccolo.columns.defaults.base import Default
from piccolo.columns.m2m import M2M
from piccolo.columns.operators import comparison
from piccolo.querystring import QueryString
from piccolo.table import Table

from async_factory_boy import AdapterError
from async_factory_boy.adapters.fields import NO_DEFAULT, Field, Relation
from async_factory_boy.adapters.narrowing import narrow, unique_with

__all__ = ["fields_of"]

Uniques = Sequence[frozenset[str]]

# The smallest and the greatest number, by the first class that a column is of.
_RANGES: Mapping[type[Column], tuple[int, int]] = {
    SmallInt: (-(2**15), 2**15 - 1),
    BigInt: (-(2**63), 2**63 - 1),
    BigSerial: (-(2**63), 2**63 - 1),
    Integer: (-(2**31), 2**31 - 1),
    Serial: (-(2**31), 2**31 - 1),
}


def fields_of(table: type[Table]) -> list[Field]:
    """Return the columns of a table, and its relations of many to many.

    A foreign key is one field: a row has the related row, or its key, under the same name.

    Raises:
        AdapterError: When the table refers to one that cannot be imported.
    """
    uniques = _uniques(table)
    checks = _checks(table)
    found: list[Field] = []
    for column in table._meta.columns:
        name = column._meta.name
        # First, since what the key is like is a question to the other table.
        target = _target(table, column) if isinstance(column, ForeignKey) else None
        told = _column(name, column, uniques, checks.get(name, {}))
        if target is not None:
            told = replace(told, type=target, relation=Relation(target=target))
        found.append(told)
    for relation in table._meta.m2m_relationships:
        related = Relation(target=_others(table, relation), many=True)
        found.append(Field(name=relation._meta.name, type=list, stored_as="M2M", relation=related))
    return found


def _target(table: type[Table], column: ForeignKey[Any]) -> type[Table]:
    meta = column._foreign_key_meta
    try:
        return meta.resolved_references
    except (ImportError, ValueError) as error:
        raise _unresolved(table, column._meta.name, meta.references, error) from error


def _others(table: type[Table], relation: M2M) -> type[Table]:
    try:
        return relation._meta.secondary_table
    except (ImportError, ValueError) as error:
        meta = relation._meta
        raise _unresolved(table, meta.name, meta.joining_table, error) from error


def _unresolved(table: type[Table], name: str, reference: object, error: Exception) -> AdapterError:
    return AdapterError(
        f"{table.__name__}.{name} refers to a table that cannot be imported: {reference}. Write "
        "LazyTableReference(table_class_name=..., module_path=...) as the table is called, and "
        f"where it is. ({error})"
    )


def _column(
    name: str, column: Column, uniques: Uniques, checked: Mapping[str, Any] | None = None
) -> Field:
    meta = column._meta
    unique = unique_with(name, uniques)
    has_default = _has_default(column, is_unique=frozenset({name}) in unique)
    generated = isinstance(column, Serial)
    kind = _type_of(column)
    limits = {} if meta.choices else _limits(column)
    narrow(limits, **(checked or {}))
    element = None
    if isinstance(column, Array):
        element = _element(name, column)
    elif meta.choices is not None:
        kind = meta.choices
    return Field(
        name=name,
        type=kind,
        stored_as=type(column).__name__,
        required=not (meta.null or generated or has_default),
        nullable=meta.null,
        generated=generated,
        default=_default(column) if has_default else NO_DEFAULT,
        has_default=has_default,
        unique=unique,
        aware=isinstance(column, Timestamptz) if kind in (datetime, time) else None,
        element=element,
        **limits,
    )


def _element(name: str, column: Array) -> Field:
    """Return what the items of an array are."""
    item = _column(name, column.base_column, ())
    item = replace(item, required=True, default=NO_DEFAULT, has_default=False)
    choices = column._meta.choices
    if choices is None:
        return item
    return Field(name=name, type=choices, stored_as=item.stored_as, required=True)


def _has_default(column: Column, *, is_unique: bool) -> bool:
    """Tell whether a column has a default that a row can do with.

    Piccolo gives one to each column that is declared with none: an empty string, or 0. So what
    is unique would take it in one row only; and an empty string is what nobody has chosen.
    """
    default = getattr(column, "default", None)
    if default is None or isinstance(column, Serial):
        return False
    if is_unique and _default(column) is not NO_DEFAULT:
        return False
    return not (_type_of(column) is str and _default(column) == "")


def _default(column: Column) -> Any:
    default = getattr(column, "default", None)
    return NO_DEFAULT if callable(default) or isinstance(default, Default) else default


def _type_of(column: Column) -> type | None:
    """Return the class of a column's values, or nothing if it does not say."""
    if isinstance(column, JSON):
        return dict
    if isinstance(column, Integer | Serial):
        return int
    for cls in type(column).__mro__:
        # That of Column itself is no more than where Piccolo begins.
        if cls is not Column and "value_type" in vars(cls):
            return column.value_type
    return None


def _limits(column: Column) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if isinstance(column, Varchar):
        narrow(limits, max_length=column.length)
    elif isinstance(column, Numeric):
        narrow(limits, precision=column.precision, scale=column.scale)
    for cls, (least, greatest) in _RANGES.items():
        if isinstance(column, cls):
            narrow(limits, ge=least, le=greatest)
            break
    return limits


def _uniques(table: type[Table]) -> list[frozenset[str]]:
    columns = table._meta.columns
    names = {column._meta.db_column_name: column._meta.name for column in columns}
    found = [
        frozenset({column._meta.name})
        for column in columns
        if column._meta.unique or column._meta.primary_key
    ]
    for constraint in _constraints(table):
        # Not by its class, which older releases of Piccolo have not.
        if hasattr(constraint, "get_column_names"):
            found.append(frozenset(names[name] for name in constraint.get_column_names()))
    return found


def _constraints(table: type[Table]) -> Sequence[Any]:
    return getattr(table._meta, "constraints", ())


_OPERATORS: Mapping[type[Any], str] = {
    comparison.GreaterThan: "gt",
    comparison.GreaterEqualThan: "ge",
    comparison.LessThan: "lt",
    comparison.LessEqualThan: "le",
}


def _checks(table: type[Table]) -> dict[str, dict[str, Any]]:
    """Return what the constraints of a table ask of single columns, where that is simple."""
    found: dict[str, dict[str, Any]] = {}
    for constraint in _constraints(table):
        for part in _all_of(getattr(constraint, "condition", None)):
            limits = found.setdefault(part.column._meta.name, {})
            word = _OPERATORS.get(part.operator)
            if part.operator is comparison.In and isinstance(part.values, list | tuple):
                narrow(limits, choices=tuple(part.values))
            elif word is not None and not isinstance(part.value, Column | QueryString):
                narrow(limits, **{word: part.value})
    return found


def _all_of(condition: object) -> Iterator[Where]:
    """Yield the parts of a condition that all have to hold."""
    if isinstance(condition, And):
        yield from _all_of(condition.first)
        yield from _all_of(condition.second)
    elif isinstance(condition, Where):
        yield condition
