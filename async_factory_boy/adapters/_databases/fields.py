"""What the fields of a ``Table`` are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Table

from async_factory_boy.adapters._tables.columns import column_field, remote_column, uniques_of
from async_factory_boy.adapters.fields import Field, Relation

__all__ = ["fields_of"]


def fields_of(table: Table) -> Sequence[Field]:
    """Return the columns of a table, by the keys that a row has them under."""
    uniques = uniques_of([table], lambda column: str(column.key))
    found = []
    for name, column in table.c.items():
        if column.system:
            continue
        relation = None
        if column.foreign_keys:
            remote, pairs = remote_column(column)
            keys = {str(local.key): str(other.key) for local, other in pairs.items()}
            relation = Relation(
                target=remote.table,
                keys=keys if len(keys) > 1 else {},
                attribute=str(remote.key),
            )
        field = column_field(column, name)
        found.append(replace(field, unique=uniques.get(name, ()), relation=relation))
    return found
