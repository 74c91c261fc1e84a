"""Loads what would otherwise be loaded, and fail to be, when it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    InstanceState,
    Mapper,
    Session,
    joinedload,
    lazyload,
    selectinload,
    undefer,
)
from sqlalchemy.orm.attributes import instance_state, set_committed_value
from sqlalchemy.orm.base import PassiveFlag
from sqlalchemy.orm.exc import ObjectDeletedError
from sqlalchemy.sql.base import ExecutableOption

from async_factory_boy.adapters._sqlalchemy.layouts import layout_of
from async_factory_boy.adapters.paging import paged

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# Rows per SELECT when many objects are loaded again: every database takes so many parameters.
PAGE = 500

_WITHOUT_SELECT = PassiveFlag.PASSIVE_NO_FETCH | PassiveFlag.NO_RAISE


def state_of(instance: object) -> InstanceState[Any]:
    return instance_state(instance)


async def all_of(session: AsyncSession, statement: Select[Any]) -> Sequence[Any]:
    """Return the objects that a SELECT finds.

    Not by ``session.execute()``, which SQLModel's session warns of.
    """

    def found(sync: Session) -> Sequence[Any]:
        return sync.scalars(statement).unique().all()

    return await session.run_sync(found)


def is_incomplete(state: InstanceState[Any]) -> bool:
    """Return whether there may be columns that are not loaded."""
    return bool(state.expired_attributes or layout_of(state.mapper).deferred)


async def complete_columns(session: AsyncSession, states: Sequence[InstanceState[Any]]) -> None:
    """Load what the database has filled in of objects that were just stored."""
    _set_nulls(states)
    await load_columns(session, states)


async def load_columns(session: AsyncSession, states: Iterable[InstanceState[Any]]) -> None:
    """Load the column attributes that would be loaded when they are read."""
    for mapper, some in _by_mapper(states).items():
        unloaded = [state for state in some if _missing_columns(state)]
        # The session does not keep them alive.
        kept = [state.obj() for state in unloaded]
        if kept:
            deferred = (getattr(mapper.class_, name) for name in layout_of(mapper).deferred)
            await _select(session, mapper, unloaded, lazyload("*"), *map(undefer, deferred))
            await _read(session, unloaded, _missing_columns)
        del kept


def _missing_columns(state: InstanceState[Any]) -> list[str]:
    deferred = layout_of(state.mapper).deferred
    names = state.expired_attributes
    if deferred:
        names = names | deferred
    columns = state.mapper.column_attrs
    # What was never set and has no default is absent from the dict, but reads as None.
    return [name for name in names if name in columns and name not in state.dict]


def loads_eagerly(state: InstanceState[Any]) -> bool:
    """Return whether a query for the object would have loaded relationships with it."""
    return bool(layout_of(state.mapper).eager)


async def load_eager(
    session: AsyncSession,
    states: Iterable[InstanceState[Any]],
    is_empty: Callable[[InstanceState[Any], str], bool],
) -> None:
    """Load the relationships that a query for the objects would have loaded.

    Args:
        session: The session.
        states: Those of the objects.
        is_empty: Returns whether a relationship is known to have nothing in it.
    """
    for mapper, some in _by_mapper(states).items():
        layout = layout_of(mapper)
        if not layout.eager:
            continue
        names: dict[str, None] = {}
        lacking = []
        for state in some:
            lacks = False
            for name in layout.eager:
                if name in state.dict:
                    continue
                if name in layout.references:
                    # The session may hold what it refers to, or it may refer to nothing.
                    state.get_impl(name).get(state, state.dict, _WITHOUT_SELECT)
                    if name in state.dict:
                        continue
                elif is_empty(state, name):
                    value: Any = [] if layout.eager[name].uselist else None
                    set_committed_value(state.obj(), name, value)
                    continue
                names[name] = None
                lacks = True
            if lacks:
                lacking.append(state)
        if lacking:
            await _load_unloaded(session, mapper, lacking, list(names))


async def load_relationships(
    session: AsyncSession, states: Iterable[InstanceState[Any]], names: Sequence[str]
) -> None:
    """Load relationships as the database has them, whatever is loaded of them already."""
    await session.flush()
    for mapper, some in _by_mapper(states).items():
        for state in some:
            session.expire(state.obj(), names)
        options = (selectinload(getattr(mapper.class_, name)) for name in names)
        await _select(session, mapper, some, lazyload("*"), *options)
        await _read(session, some, lambda state: names)
        await load_columns(session, some)  # flushing may have had some changed by the database


async def reload(
    session: AsyncSession, stale: Iterable[tuple[InstanceState[Any], Iterable[str]]]
) -> None:
    """Load relationships again that are loaded, and are no longer what the database says."""
    groups: dict[tuple[Mapper[Any], frozenset[str]], list[InstanceState[Any]]] = {}
    kept = []  # as in load_columns()
    for state, names in stale:
        # What is not flushed yet would be lost, and what is not loaded is not out of date.
        again = frozenset(
            name for name in names if name in state.dict and name not in state.committed_state
        )
        instance = state.obj()
        if again and instance is not None and state.persistent:
            kept.append(instance)
            session.expire(instance, again)
            groups.setdefault((state.mapper, again), []).append(state)
    for (mapper, again), some in groups.items():
        await _load_unloaded(session, mapper, some, sorted(again))
    del kept


def restore_references(expired: Iterable[tuple[InstanceState[Any], Sequence[str]]]) -> None:
    """Have objects refer again to those that the session holds; that takes no SELECT.

    A hook that commits makes them forget each other, and what nothing refers to, the session drops.
    """
    for state, names in expired:
        for name in names:
            state.get_impl(name).get(state, state.dict, _WITHOUT_SELECT)


def expired_references(state: InstanceState[Any]) -> list[str]:
    return [name for name in layout_of(state.mapper).references if name in state.expired_attributes]


async def _load_unloaded(
    session: AsyncSession,
    mapper: Mapper[Any],
    states: Sequence[InstanceState[Any]],
    names: Sequence[str],
) -> None:
    """Load relationships where they are not loaded, by one SELECT for each page if possible."""
    options: list[ExecutableOption] = [
        lazyload(getattr(mapper.class_, name))
        for name in layout_of(mapper).eager
        if name not in names
    ]
    has_collection = False
    for name in names:
        # By a join: a SELECT for the objects is needed in any case. A join of two collections
        # would have a row for each pair of their members.
        is_collection = bool(mapper.relationships[name].uselist)
        load = selectinload if is_collection and has_collection else joinedload
        has_collection = has_collection or is_collection
        options.append(load(getattr(mapper.class_, name)))
    await _select(session, mapper, states, *options)
    await _read(session, states, lambda state: names)


def _by_mapper(
    states: Iterable[InstanceState[Any]],
) -> dict[Mapper[Any], list[InstanceState[Any]]]:
    """Group the states of objects that are in the database."""
    groups: dict[Mapper[Any], list[InstanceState[Any]]] = {}
    for state in states:
        if state.persistent:
            groups.setdefault(state.mapper, []).append(state)
    return groups


def _set_nulls(states: Iterable[InstanceState[Any]]) -> None:
    """Give the deferred columns that were not set, and stored as NULL, that value.

    Other columns that were not set read as ``None``, but a deferred one would be loaded.
    """
    for mapper, some in _by_mapper(states).items():
        for name in layout_of(mapper).deferred:
            if isinstance(mapper.column_attrs[name].expression, Column):
                for state in some:
                    if name not in state.dict and name not in state.expired_attributes:
                        set_committed_value(state.obj(), name, None)


async def _read(
    session: AsyncSession,
    states: Iterable[InstanceState[Any]],
    names: Callable[[InstanceState[Any]], Iterable[str]],
) -> None:
    """Read what a SELECT for many objects has not loaded, one by one.

    It finds neither what a global criterion hides, nor a row whose key the database has in
    another form. An attribute that loads itself is exempt from such criteria.
    https://docs.sqlalchemy.org/en/20/orm/session_events.html#adding-global-where-on-criteria
    """
    left = [(state, name) for state in states for name in names(state) if name not in state.dict]
    if not left:
        return

    def read(sync: Session) -> None:
        with sync.no_autoflush:
            for state, name in left:
                if name not in state.dict and state.persistent:
                    with suppress(ObjectDeletedError):  # by a statement of a hook's, say
                        state.get_impl(name).get(state, state.dict, PassiveFlag.PASSIVE_OFF)

    await session.run_sync(read)


async def _select(
    session: AsyncSession,
    mapper: Mapper[Any],
    states: Sequence[InstanceState[Any]],
    *options: ExecutableOption,
) -> None:
    """Fill in what is not loaded of objects of one class, by one SELECT for each `PAGE`."""
    # For columns, with lazyload("*"): relationships that the mapping loads eagerly were not asked
    # for. Not load_only(): it would have the columns that are neither named nor loaded load
    # themselves when they are read.
    statement = select(mapper.class_).options(*options)
    with session.no_autoflush:
        for page in paged(states, PAGE):
            keys = [state.identity for state in page]
            await all_of(session, statement.where(_has_key(mapper, keys)))


def _has_key(mapper: Mapper[Any], keys: Sequence[Any]) -> ColumnElement[bool]:
    columns = mapper.primary_key
    if len(columns) == 1:
        return columns[0].in_([key for (key,) in keys])
    # Not tuple_().in_(): SQL Server has no row values.
    return or_(*(and_(*(c == v for c, v in zip(columns, key, strict=True))) for key in keys))
