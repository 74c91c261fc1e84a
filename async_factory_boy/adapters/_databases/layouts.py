"""How the objects of a model lie in tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Generic, TypeVar, cast

from databases import Database
from databases.interfaces import Record
from sqlalchemy import Column, ColumnElement, Select, Table, and_, inspect, or_, select
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.orm.attributes import set_committed_value

from async_factory_boy.adapters._databases.fields import fields_of
from async_factory_boy.adapters._databases.rows import TableRow
from async_factory_boy.adapters._databases.statements import pages
from async_factory_boy.adapters._mapped import attribute_of
from async_factory_boy.adapters._sqlalchemy.fields import fields_of as mapped_fields
from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.matching import ASK, answered, are_hashable, matched, only_one
from async_factory_boy.exceptions import AdapterError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")


# Lookups per SELECT, of which SQLite takes no more than 1,000.
_LOOKUPS = 500

# Comparisons per SELECT on SQLite, whose planner takes seconds over those of many columns.
_COMPARISONS = 4_000


class Layout(ABC, Generic[M]):
    """How the objects of a model lie in tables.

    Values are keyed by the ``key`` of their column.
    """

    name: str
    tables: Sequence[Table]
    """Each refers to those before it only."""

    @abstractmethod
    def fields(self) -> Sequence[str]:
        """Return the names that a lookup may use."""

    @abstractmethod
    def described(self) -> Sequence[Field]:
        """Return what the fields of the model are."""

    @abstractmethod
    def columns(self) -> Sequence[str]:
        """Return the names of what `load` needs, in order."""

    @abstractmethod
    def column(self, name: str) -> Any:
        """Return the column, or what else can be selected, that a name stands for."""

    @abstractmethod
    def select(self, lookup: Mapping[str, Any]) -> Select[Any]:
        """Select what `load` needs of the objects that have the values of `lookup`."""

    @abstractmethod
    def load(self, record: Record) -> M:
        """Make an object of what `select` has selected."""

    @abstractmethod
    def values(self, instance: M, table: Table) -> dict[str, Any]:
        """Return what is to be inserted into `table` for an object."""

    @abstractmethod
    def fill(self, instance: M, table: Table, values: Mapping[str, Any]) -> None:
        """Set on an object what its row in `table` holds."""

    async def complete(self, database: Database, instances: Sequence[M]) -> None:
        """Set on objects what no row holds."""


def layout_of(model: Any) -> Layout[Any]:
    if isinstance(model, Table):
        return _TableLayout(model)
    mapper = inspect(model, raiseerr=False)
    if isinstance(mapper, Mapper):
        return _MappedLayout(mapper)
    raise AdapterError(
        f"{getattr(model, '__name__', repr(model))} is neither a Table nor a mapped class, so it "
        "cannot be stored; set Meta.model to a sqlalchemy.Table, or to a class that SQLAlchemy "
        "maps to one."
    )


def by_layout(instances: Sequence[M]) -> Iterator[tuple[Layout[M], Sequence[M]]]:
    for model, some in groupby(instances, _model_of):
        yield layout_of(model), list(some)


def _model_of(instance: Any) -> Any:
    return instance.__table__ if isinstance(instance, TableRow) else type(instance)


class _TableLayout(Layout[TableRow]):
    def __init__(self, table: Table) -> None:
        self.name = str(table)
        self.table = table
        self.tables = [table]

    def fields(self) -> Sequence[str]:
        return self.table.c.keys()

    def described(self) -> Sequence[Field]:
        return fields_of(self.table)

    def columns(self) -> Sequence[str]:
        return self.table.c.keys()

    def column(self, name: str) -> Any:
        return self.table.c[name]

    def select(self, lookup: Mapping[str, Any]) -> Select[Any]:
        return self.table.select().where(
            *(self.table.c[name] == value for name, value in lookup.items())
        )

    def load(self, record: Record) -> TableRow:
        return TableRow(self.table, named(self.columns(), record))

    def values(self, instance: TableRow, table: Table) -> dict[str, Any]:
        return {
            name: value
            for name, value in instance._values.items()
            # A key cannot be NULL: None stands for one that is still to be generated.
            if value is not None or not table.c[name].primary_key
        }

    def fill(self, instance: TableRow, table: Table, values: Mapping[str, Any]) -> None:
        instance._values.update(values)


class _MappedLayout(Layout[Any]):
    def __init__(self, mapper: Mapper[Any]) -> None:
        self.name = mapper.class_.__name__
        self.mapper = mapper
        self.tables = cast("Sequence[Table]", mapper.tables)

    def fields(self) -> Sequence[str]:
        return self.mapper.all_orm_descriptors.keys()

    def described(self) -> Sequence[Field]:
        # The ORM stores nothing here, so nobody counts versions.
        return mapped_fields(self.mapper, counts_versions=False)

    def columns(self) -> Sequence[str]:
        return self.mapper.column_attrs.keys()

    def column(self, name: str) -> Any:
        return getattr(self.mapper.class_, name)

    def select(self, lookup: Mapping[str, Any]) -> Select[Any]:
        return _selected(self, self.columns()).filter_by(**lookup)

    def load(self, record: Record) -> Any:
        # As SQLAlchemy itself loads an object: without calling its constructor.
        instance = self.mapper.class_manager.new_instance()
        for name, value in named(self.columns(), record).items():
            set_committed_value(instance, name, value)
        return instance

    def values(self, instance: Any, table: Table) -> dict[str, Any]:
        attributes = inspect(instance).dict
        values = {}
        for column in table.c:
            name = attribute_of(self.mapper, column)
            # SQLAlchemy takes None for absent too, unless the type has a value for it (JSON).
            value = attributes.get(name)
            if value is not None or (name in attributes and column.type.should_evaluate_none):
                values[column.key] = value
            elif column.primary_key and table is not self.tables[0]:
                # Joined inheritance: this table's key refers to that of the parent's table.
                for foreign_key in column.foreign_keys:
                    parent = attribute_of(self.mapper, foreign_key.column)
                    if parent is not None:
                        values[column.key] = getattr(instance, parent)
        for relationship in self.mapper.relationships:
            related = attributes.get(relationship.key)
            if related is not None and not relationship.viewonly:
                values.update(self._foreign_key(relationship, related, table))
        return values

    def _foreign_key(
        self, relationship: RelationshipProperty[Any], related: Any, table: Table
    ) -> dict[str, Any]:
        if relationship.direction is not RelationshipDirection.MANYTOONE:
            if relationship.uselist and not len(related):
                return {}
            raise AdapterError(
                f"{relationship} is not many-to-one, and databases stores one row at a time: "
                "create the objects it holds by a RelatedFactory, or in a hook."
            )
        key: dict[str, Any] = {}
        for column, remote in relationship.local_remote_pairs or ():
            if isinstance(column, Column) and column.table is table:
                attribute = attribute_of(inspect(related).mapper, remote)
                key[column.key] = None if attribute is None else getattr(related, attribute)
        if None in key.values():
            raise AdapterError(
                f"{relationship} was given an object that has no key, because it is not stored; "
                "create it first, or let a SubFactory create it."
            )
        return key

    def fill(self, instance: Any, table: Table, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            attribute = attribute_of(self.mapper, table.c[name])
            if attribute is not None:
                set_committed_value(instance, attribute, value)

    async def complete(self, database: Database, instances: Sequence[Any]) -> None:
        names = [
            attribute.key
            for attribute in self.mapper.column_attrs
            if not isinstance(attribute.columns[0], Column)
        ]
        if not names:
            return
        key = [attribute_of(self.mapper, column) for column in self.mapper.primary_key]
        lookups = [
            {name: getattr(instance, name) for name in key if name is not None}
            for instance in instances
        ]
        names += lookups[0]
        found = await records_of(database, self, names, lookups)

        async def one_by_one(lookup: Mapping[str, Any]) -> Record | None:
            return await database.fetch_one(_selected(self, names).filter_by(**lookup))

        records = await answered(lookups, found, one_by_one)
        for instance, record in zip(instances, records, strict=True):
            # A trigger may have discarded the row.
            values = {} if record is None else named(names, record)
            for name, value in values.items():
                set_committed_value(instance, name, value)


async def fetch(
    database: Database, layout: Layout[M], lookup: Mapping[str, Any], statement: Select[Any]
) -> M | None:
    record = only_one(await database.fetch_all(statement.limit(2)), layout, lookup)
    return None if record is None else layout.load(record)


def _selected(layout: Layout[Any], names: Iterable[str]) -> Select[Any]:
    return cast("Select[Any]", select(*map(layout.column, names)))


async def records_of(
    database: Database,
    layout: Layout[Any],
    names: Sequence[str],
    lookups: Sequence[Mapping[str, Any]],
) -> list[Any]:
    """Return the record of each of several lookups, by few statements.

    Args:
        database: Where to look.
        layout: How the objects lie there.
        names: What to select, which includes the names in the lookups.
        lookups: Names with hashable values; the same names in each.

    Returns:
        What `matched` returns.
    """
    positions = [names.index(name) for name in lookups[0]]
    dialect, width = database.url.dialect, len(lookups[0])
    size = min(_LOOKUPS, _COMPARISONS // width) if dialect == "sqlite" else _LOOKUPS
    found: list[tuple[Any, Record]] = []
    for page in pages(lookups, size, width, dialect, lambda lookup: lookup.values()):
        conditions: list[ColumnElement[bool]] = [
            and_(*(layout.column(name) == value for name, value in lookup.items()))
            for lookup in page
        ]
        statement = _selected(layout, names).where(or_(*conditions))
        for record in await database.fetch_all(statement):
            found.append((tuple(record[position] for position in positions), record))
    if not are_hashable(values for values, _ in found):
        return [ASK] * len(lookups)  # given as a tuple, and comes back as a list
    return matched([tuple(lookup.values()) for lookup in lookups], found)


async def fetch_many(
    database: Database, layout: Layout[M], lookups: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """Return the object of each of several lookups, as `records_of` does for records."""
    records = await records_of(database, layout, layout.columns(), lookups)
    return [one if one is ASK or one is None else layout.load(one) for one in records]


def named(names: Iterable[str], record: Record) -> dict[str, Any]:
    # By position: a column's name, its key, and that of its attribute may be three.
    return {name: record[position] for position, name in enumerate(names)}
