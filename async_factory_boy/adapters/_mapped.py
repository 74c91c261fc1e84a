"""What the adapters for classes that SQLAlchemy maps have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.orm.exc import UnmappedColumnError

# Weak, since a mapper lives as long as its class, which may be made by a test.
_keys: WeakKeyDictionary[Mapper[Any], Mapping[str, Mapping[str, str]]] = WeakKeyDictionary()
_primary_keys: WeakKeyDictionary[Mapper[Any], Sequence[str]] = WeakKeyDictionary()


def keys_of(mapper: Mapper[Any]) -> Mapping[str, Mapping[str, str]]:
    """Return the many-to-one relationships of a class, each with the attributes of its keys."""
    known = _keys.get(mapper)
    if known is None:
        known = _keys[mapper] = {
            relationship.key: keys
            for relationship in mapper.relationships
            if relationship.direction is RelationshipDirection.MANYTOONE
            and not relationship.viewonly
            and (keys := _keys_of_one(mapper, relationship))
        }
    return known


def _keys_of_one(mapper: Mapper[Any], relationship: RelationshipProperty[Any]) -> dict[str, str]:
    keys = {}
    # What a flush copies to the row, whatever else the primaryjoin asks for.
    for source, target in relationship.synchronize_pairs:
        key, remote = attribute_of(mapper, target), attribute_of(relationship.mapper, source)
        if key is None or remote is None:
            return {}  # the class has no attribute to give it by
        keys[key] = remote
    return keys


def primary_key_of(mapper: Mapper[Any]) -> Sequence[str]:
    """Return the names of the primary key of a class: of its attributes, or else of columns."""
    names = _primary_keys.get(mapper)
    if names is None:
        names = _primary_keys[mapper] = [
            attribute_of(mapper, column) or str(column.key) for column in mapper.primary_key
        ]
    return names


def attribute_of(mapper: Mapper[Any], column: Any) -> str | None:
    """Return the name of the attribute that a column is mapped to, if there is one."""
    try:
        return mapper.get_property_by_column(column).key
    except UnmappedColumnError:
        return None
