"""What the fields of a mapped class are."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

from sqlalchemy import Column, Table
from sqlalchemy.orm import LoaderCallableStatus, Mapper, RelationshipDirection, RelationshipProperty

from async_factory_boy.adapters._mapped import attribute_of, keys_of
from async_factory_boy.adapters._tables.checks import narrowed
from async_factory_boy.adapters._tables.columns import column_field, remote_column, uniques_of
from async_factory_boy.adapters._tables.hints import (
    annotation_of,
    class_of,
    evaluated,
    facts_of,
    values_of,
)
from async_factory_boy.adapters.fields import Field, Relation

__all__ = ["fields_of"]


def fields_of(mapper: Mapper[Any], *, counts_versions: bool = True) -> Sequence[Field]:
    """Return the fields that the constructor of a mapped class takes: columns, then relations.

    Left out is what stands for other fields, or is read only: synonyms, hybrids, association
    proxies, composites of columns that are mapped as well, expressions, ``viewonly``.

    Args:
        mapper: The mapper of the class.
        counts_versions: Whether the ORM stores the objects, and fills ``version_id_col``.
    """
    columns = {
        attribute.key: column
        for attribute in mapper.column_attrs
        # Of several, such as the keys of joined tables, the one of the table that comes first.
        if isinstance(column := attribute.columns[-1], Column) and not column.system
    }
    tables = [table for table in mapper.tables if isinstance(table, Table)]
    place = {column: index for index, column in enumerate(c for table in tables for c in table.c)}
    names = sorted(columns, key=lambda name: place.get(columns[name], -1))
    uniques = uniques_of(tables, lambda column: attribute_of(mapper, column))
    made = _made_by_mapper(mapper, counts_versions)
    fields = {}
    for name in names:
        field = _column_field(mapper, name, columns[name])
        if name in made:
            field = replace(field, generated=True, has_default=True, required=False)
        fields[name] = replace(field, unique=uniques.get(name, ()))
    constructor = _constructor(mapper)
    relations = _relations(mapper, fields, constructor)
    holders = _holders(relations, fields)
    for name, field in fields.items():
        if name in holders:
            fields[name] = replace(field, key_of=holders[name])
        else:
            relation = _foreign_key(mapper, name, columns)
            fields[name] = replace(field, relation=relation)
    for name, relation_field in relations.items():
        fields[name] = _with_keys(relation_field, fields, holders)
    return constructor.adjusted(fields)


def _made_by_mapper(mapper: Mapper[Any], counts_versions: bool) -> set[str | None]:
    """Return the attributes that the mapper fills: what class an object is of, and its version."""
    columns: list[Any] = []
    if mapper.polymorphic_identity is not None:
        columns.append(mapper.polymorphic_on)
    if counts_versions:
        columns.append(mapper.version_id_col)
    return {attribute_of(mapper, column) for column in columns if isinstance(column, Column)}


def _column_field(mapper: Mapper[Any], name: str, column: Column[Any]) -> Field:
    """Return the field that a column is, with what the class says of it besides."""
    info: Any = getattr(mapper.class_, "model_fields", {}).get(name)  # of SQLModel
    if info is None:
        full = values_of(hint := annotation_of(mapper.class_, name))
        field = column_field(column, name, hint)
        facts = facts_of(hint)
        # A bare class, or one that is not to be told, says no more than the type.
        is_more = bool(facts) or (field.type in (dict, list) and class_of(full) not in (None, full))
    else:
        hint, annotated = info.annotation, cast("Any", Annotated)
        # SQLModel keeps there what it makes the column of, too.
        metadata = [
            one for one in info.metadata if type(one).__module__.partition(".")[0] != "sqlmodel"
        ]
        parts = (hint, *metadata)
        full = annotated[parts] if metadata else hint
        field = column_field(column, name, hint)
        facts = facts_of(hint, *metadata)
        is_more = bool(metadata or facts) or class_of(hint) is not field.type
    if full is None or not is_more:
        return field
    return narrowed(field, **facts, annotation=full)


# Constructors.


@dataclass(frozen=True)
class _Constructor:
    """What the constructor of a class takes.

    Args:
        parameters: Those that it has a name for.
        takes_all: Whether it takes any other attribute, too.
        mapper: The mapper of the class.
    """

    parameters: Mapping[str, inspect.Parameter]
    takes_all: bool
    mapper: Mapper[Any]

    def takes(self, name: str) -> bool:
        return self.takes_all or name in self.parameters

    def adjusted(self, fields: Mapping[str, Field]) -> Sequence[Field]:
        """Return the fields that it takes, of which it may require more than the store."""
        found = [
            self._adjusted(field, self.parameters.get(name))
            for name, field in fields.items()
            if self.takes(name)
        ]
        for name, parameter in self.parameters.items():
            if parameter.default is parameter.empty and name not in fields:
                found.append(Field(name=name, type=self._kind(name, parameter), required=True))
        return found

    def _kind(self, name: str, parameter: inspect.Parameter) -> type | None:
        """Return the class of what is no column: a composite, or a parameter of its own."""
        composite = self.mapper.composites.get(name)
        if composite is not None:
            kind = composite.composite_class
            return kind if isinstance(kind, type) else None
        if parameter.annotation is parameter.empty:
            return None
        return class_of(evaluated(parameter.annotation, self.mapper.class_))

    def _adjusted(self, field: Field, parameter: inspect.Parameter | None) -> Field:
        if parameter is None:
            return field
        default = parameter.default
        if default is parameter.empty:
            # Nobody makes a value of which another has to be given.
            return replace(field, required=True, generated=False, has_default=False)
        if default is None or isinstance(default, LoaderCallableStatus):
            return field  # what SQLAlchemy takes for no value
        return replace(field, required=False, has_default=True)


def _constructor(mapper: Mapper[Any]) -> _Constructor:
    original: Any = mapper.class_manager.original_init
    _, *parameters = inspect.signature(original).parameters.values()
    named = {
        one.name: one
        for one in parameters
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    }
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters)
    return _Constructor(named, takes_all, mapper)


# Relations.


def _relations(
    mapper: Mapper[Any], fields: Mapping[str, Field], constructor: _Constructor
) -> dict[str, Field]:
    keys = keys_of(mapper)
    found = {}
    for relationship in mapper.relationships:
        name = relationship.key
        if relationship.viewonly or not constructor.takes(name):
            continue
        target = relationship.mapper.class_
        if relationship.direction is RelationshipDirection.MANYTOONE:
            relation = Relation(target=target, keys=keys.get(name, {}))
            required = not relation.keys and _is_required(relationship)
            found[name] = Field(
                name=name, type=target, relation=relation, required=required, nullable=not required
            )
        else:
            many = bool(relationship.uselist)
            kind = (relationship.collection_class or list) if many else target
            found[name] = Field(
                name=name,
                type=kind if isinstance(kind, type) else None,
                relation=Relation(target=target, many=many),
                nullable=not many,
                has_default=many,
            )
    return found


def _is_required(relationship: RelationshipProperty[Any]) -> bool:
    """Return whether a relationship has to be given whose keys no attribute of the class holds."""
    return any(
        isinstance(column, Column) and column_field(column, column.key).required
        for _, column in relationship.synchronize_pairs
    )


def _holders(relations: Mapping[str, Field], fields: Mapping[str, Field]) -> dict[str, str]:
    """Return the relation that each key belongs to.

    That is the one with the fewest keys, where several share one: it decides, and what is found
    by more keys has to agree.
    """
    held: dict[str, str] = {}
    by_size = sorted(relations.values(), key=lambda field: len(_keys(field)))
    for field in by_size:
        for key in _keys(field):
            if key in fields:
                held.setdefault(key, field.name)
    return held


def _keys(field: Field) -> Mapping[str, str]:
    return {} if field.relation is None else field.relation.keys


def _with_keys(field: Field, fields: Mapping[str, Field], holders: Mapping[str, str]) -> Field:
    """Return a relation with what its keys say: of two with the same keys, to one of them only."""
    keys = _keys(field)
    if not keys:
        return field
    own = [fields[key] for key in keys if holders.get(key) == field.name]
    required = any(key.required for key in own)
    unique = {
        frozenset(field.name if name in keys else holders.get(name, name) for name in names): None
        for key in own
        for names in key.unique
    }
    return replace(field, required=required, nullable=not required, unique=tuple(unique))


def _foreign_key(
    mapper: Mapper[Any], name: str, columns: Mapping[str, Column[Any]]
) -> Relation | None:
    """Return what a column refers to that no relationship goes with.

    A key that a joined table shares with its parent's is of the parent's, and refers to nothing.
    """
    column = columns[name]
    if not column.foreign_keys:
        return None
    remote, pairs = remote_column(column)
    target = _mapped_to(mapper, remote.table)
    keys = {}
    for local, other in pairs.items():
        local_name = attribute_of(mapper, local)
        if local_name is not None:
            keys[local_name] = _attribute(target, other)
    return Relation(
        target=remote.table if target is None else target.class_,
        keys=keys if len(keys) > 1 else {},
        attribute=_attribute(target, remote),
    )


def _attribute(mapper: Mapper[Any] | None, column: Column[Any]) -> str:
    return (mapper and attribute_of(mapper, column)) or column.key


def _mapped_to(mapper: Mapper[Any], table: Any) -> Mapper[Any] | None:
    """Return the mapper of a table, of those in the same registry: of a hierarchy, its base."""
    found = (
        other
        for other in _by_name(mapper)
        if other.local_table is table
        and (other.inherits is None or other.inherits.local_table is not table)
    )
    return next(found, None)


def _by_name(mapper: Mapper[Any]) -> Iterator[Mapper[Any]]:
    yield from sorted(mapper.registry.mappers, key=lambda other: str(other.class_.__qualname__))
