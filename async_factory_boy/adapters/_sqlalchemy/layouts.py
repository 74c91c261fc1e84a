"""What is to be known of a mapped class, found out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import eq
from typing import Any, NamedTuple
from weakref import WeakSet

from sqlalchemy import BinaryExpression, Boolean, Column, Date, Integer, Table, Uuid, event
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql.visitors import iterate

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# False is another word for "joined".
_EAGER = ("selectin", "joined", "immediate", "subquery", False)

# Of these types, a value that was stored is equal to the value that was given.
EXACT = (Integer, Uuid, Boolean, Date)


class Owner(NamedTuple):
    """A one-to-many relationship, of another class or the same, that objects belong to."""

    mapper: Mapper[Any]
    name: str
    foreign_key: tuple[str, ...]
    """The attributes of the member that hold the key of the owner, in its order."""
    other_sides: tuple[str, ...]
    """The relationships of the member that keep the owner's up to date by themselves."""
    is_plain: bool
    """Whether every member is in it, in no particular order."""


class Layout:
    """What is to be known of a mapped class.

    Args:
        mapper: That of the class.
    """

    def __init__(self, mapper: Mapper[Any]) -> None:
        self.deferred = frozenset(
            attribute.key
            for attribute in mapper.column_attrs
            if attribute.deferred and not attribute.raiseload
        )
        """The columns that are loaded by a SELECT of their own when they are read."""
        self.references = tuple(
            relationship.key
            for relationship in mapper.relationships
            if relationship.direction is RelationshipDirection.MANYTOONE
        )
        self.eager: Mapping[str, RelationshipProperty[Any]] = {
            relationship.key: relationship
            for relationship in mapper.relationships
            if relationship.lazy in _EAGER
        }
        """The relationships that a query loads together with the object."""
        self.empty_at_first = frozenset(
            key for key, relationship in self.eager.items() if _foreign_key(relationship)
        )
        """Those of them that a new object has nothing in, until something refers to its key."""
        self.may_change_key = _may_change_key(mapper)
        self._mapper: Mapper[Any] = mapper

    @cached_property
    def owners(self) -> Sequence[Owner]:
        """The one-to-many relationships, of any class, that objects of this class may be in."""
        mapper = self._mapper
        found = []
        for other in mapper.registry.mappers:
            for relationship in other.relationships:
                if relationship.parent is not other or not mapper.isa(relationship.mapper):
                    continue
                names = _foreign_key(relationship)
                if names:
                    sides = tuple(
                        side.key
                        for side in mapper.relationships
                        if relationship.key == side.back_populates
                        or side.key == relationship.back_populates
                        if side.mapper.isa(other) or other.isa(side.mapper)
                    )
                    is_plain = _is_plain(relationship)
                    found.append(Owner(other, relationship.key, names, sides, is_plain))
        return found


def _is_plain(relationship: RelationshipProperty[Any]) -> bool:
    conditions = [
        one for one in iterate(relationship.primaryjoin) if isinstance(one, BinaryExpression)
    ]
    return (
        len(conditions) == len(relationship.local_remote_pairs or ())
        and all(one.operator is eq for one in conditions)
        and not relationship.order_by
        and relationship.collection_class in (None, list, set)
    )


def _foreign_key(relationship: RelationshipProperty[Any]) -> tuple[str, ...]:
    """Return the attributes of a member that refer to the key of a one-to-many relationship.

    None for another kind of relationship, or one that is not by the primary key.
    """
    if relationship.direction is not RelationshipDirection.ONETOMANY or relationship.viewonly:
        return ()
    parent, target = relationship.parent, relationship.mapper
    try:
        by_name = {
            parent.get_property_by_column(local).key: target.get_property_by_column(remote).key
            for local, remote in relationship.local_remote_pairs or ()
            if isinstance(local, Column) and isinstance(remote, Column)
        }
        keys = [parent.get_property_by_column(column).key for column in parent.primary_key]
    except UnmappedColumnError:
        return ()
    if set(keys) != set(by_name):
        return ()
    return tuple(by_name[key] for key in keys)


def _may_change_key(mapper: Mapper[Any]) -> bool:
    """Return whether INSERT ... RETURNING may return a key unlike the one that was given.

    SQLAlchemy matches the rows that come back to objects by their keys, where it inserts several.
    https://docs.sqlalchemy.org/en/20/core/connections.html#configuring-sentinel-columns
    """
    if mapper.eager_defaults is False or all(
        isinstance(column.type, EXACT) for column in mapper.primary_key
    ):
        return False
    return mapper.eager_defaults is True or any(
        column.server_default is not None
        or (column.default is not None and column.default.is_clause_element)
        for table in mapper.tables
        if isinstance(table, Table)
        for column in table.columns
    )


# A layout is kept with its class, in the `info` of what SQLAlchemy knows of that: it lives as long
# as the class, which may be made by a test. This is its name there.
_LAYOUT = "async_factory_boy"

_layouts: WeakSet[Layout] = WeakSet()


def layout_of(mapper: Mapper[Any]) -> Layout:
    """Return what is known of a mapped class."""
    layout: Layout | None = mapper.class_manager.info.get(_LAYOUT)
    if layout is None:
        layout = mapper.class_manager.info[_LAYOUT] = Layout(mapper)
        _layouts.add(layout)
    return layout


def is_known(mapper: Mapper[Any]) -> bool:
    """Return whether factories have stored or found objects of a mapped class."""
    return _LAYOUT in mapper.class_manager.info


@event.listens_for(Mapper, "after_configured")
def _forget_owners() -> None:
    """Have owners looked up again: classes were mapped that may refer to those before."""
    for layout in list(_layouts):
        vars(layout).pop("owners", None)
