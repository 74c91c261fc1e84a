"""Relations of many to many, whose rows are given with the values of a table.

A constructor of Piccolo takes none: the rows in between need the key of the row. So what is given
waits with the row, and is related to it when that is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from piccolo.columns import Column, Serial
from piccolo.columns.m2m import M2M
from piccolo.table import Table

from async_factory_boy import AdapterError
from async_factory_boy.exceptions import shown

__all__ = ["Given", "between", "given_with", "keep", "split"]

# Where a row has what is to be related to it.
_WAITING = "_async_factory_boy_related"

_relations: WeakKeyDictionary[type[Table], Mapping[str, M2M]] = WeakKeyDictionary()


class Given(NamedTuple):
    """What is to be related to a row."""

    row: Table
    relation: M2M
    keys: Sequence[Any]
    """What the table in between refers to the related rows by."""


def split(
    model: type[Table], kwargs: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what a row is constructed with, and what is related to it later, by name.

    Raises:
        AdapterError: When rows cannot be related in this way.
    """
    relations = _relations_of(model)
    if relations.keys().isdisjoint(kwargs):
        return kwargs, {}
    given: dict[str, Any] = {}
    for name in relations.keys() & kwargs:
        rows = kwargs[name]
        if rows is not None:
            _check(relations[name], rows)
            given[name] = rows
    return {name: value for name, value in kwargs.items() if name not in relations}, given


def keep(row: Table, given: Mapping[str, Any]) -> None:
    """Have a row keep what is to be related to it when it is stored."""
    if given:
        setattr(row, _WAITING, given)


def given_with(rows: Iterable[Table]) -> list[Given]:
    """Return what some rows have kept, which they let go of.

    Raises:
        AdapterError: When one of the related rows is not stored.
    """
    found: list[Given] = []
    for row in rows:
        waiting = vars(row).get(_WAITING)
        if waiting is None:
            continue
        delattr(row, _WAITING)
        relations = _relations_of(type(row))
        for name, others in waiting.items():
            keys = _keys(relations[name], others)
            if keys:
                found.append(Given(row, relations[name], keys))
    return found


def between(given: Iterable[Given]) -> dict[type[Table], list[Table]]:
    """Return the rows that relate others, by their table; to be called when those are stored."""
    rows: dict[type[Table], list[Table]] = {}
    for row, relation, keys in given:
        meta = relation._meta
        source, target = meta.primary_foreign_key._meta.name, meta.secondary_foreign_key._meta.name
        table = meta.resolved_joining_table
        own = row[_target(meta.primary_foreign_key)]
        rows.setdefault(table, []).extend(table(**{source: own, target: key}) for key in keys)
    return rows


def _relations_of(model: type[Table]) -> Mapping[str, M2M]:
    known = _relations.get(model)
    if known is None:
        known = {one._meta.name: one for one in model._meta.m2m_relationships}
        _relations[model] = known
    return known


def _check(relation: M2M, rows: object) -> None:
    meta = relation._meta
    name, other = f"{meta.table.__name__}.{meta.name}", meta.secondary_table.__name__
    table = meta.resolved_joining_table
    # By name, since == makes a condition of columns.
    ends = (meta.primary_foreign_key._meta.name, meta.secondary_foreign_key._meta.name)
    needed = [
        column._meta.name
        for column in table._meta.columns
        if column._meta.name not in ends and _needs_a_value(column)
    ]
    if needed:
        raise AdapterError(
            f"{name} is stored by way of {table.__name__}, which needs values for "
            f"{', '.join(needed)} as well, so a list of rows does not do. Declare "
            f'factory.RelatedFactory({table.__name__}Factory, "{ends[0]}") in its '
            "place, under another name."
        )
    if isinstance(rows, str | bytes | Mapping | Table) or not isinstance(rows, Iterable):
        raise AdapterError(
            f"{name} takes a list of {other} rows, or of their keys; got {shown(rows)}. Write "
            f"{meta.name} = [...], or factory.List([factory.SubFactory({other}Factory)])."
        )


def _needs_a_value(column: Column) -> bool:
    if column._meta.null or isinstance(column, Serial):
        return False
    return getattr(column, "default", None) is None


def _keys(relation: M2M, rows: Iterable[Any]) -> list[Any]:
    """Return the keys of related rows, each once."""
    meta = relation._meta
    other = meta.secondary_table
    target = _target(meta.secondary_foreign_key)
    keys: dict[Any, None] = {}
    for row in rows:
        if not isinstance(row, Table):
            keys[row] = None
        elif not isinstance(row, other):
            raise AdapterError(
                f"{meta.table.__name__}.{meta.name} takes a list of {other.__name__} rows, or of "
                f"their keys; one of them is a {type(row).__name__}."
            )
        elif not row._exists_in_db:
            raise AdapterError(
                f"{meta.table.__name__}.{meta.name} is given a {other.__name__} that is not "
                "stored, and so cannot be referred to; create it first, with await "
                f"{other.__name__}Factory.create_async(), or by "
                f"factory.List([factory.SubFactory({other.__name__}Factory)])."
            )
        else:
            keys[row[target]] = None
    return list(keys)


def _target(column: Any) -> str:
    name: str = column._foreign_key_meta.resolved_target_column._meta.name
    return name
