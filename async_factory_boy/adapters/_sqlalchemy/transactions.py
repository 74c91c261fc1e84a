"""Savepoints, on every kind of session, and what is stored within them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakSet

from sqlalchemy import ColumnElement, Connection, event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.types import TypeDecorator

from async_factory_boy.adapters._sqlalchemy.layouts import EXACT, layout_of
from async_factory_boy.adapters._sqlalchemy.loading import load_columns

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


def connections_of(session: AsyncSession) -> list[Connection]:
    """Return the connections that take part in the transaction of a session.

    Which of them a session uses for what, it may decide in ways of its own: by ``binds``, an
    overridden ``get_bind()``, or shards.
    """
    transaction: Any = session.sync_session.get_transaction()
    if transaction is None:
        return []
    # SQLAlchemy has no public name for them; tests/test_sqlalchemy.py notices if it changes.
    return list({id(one[0]): one[0] for one in transaction._connections.values()}.values())


@asynccontextmanager
async def begun(session: AsyncSession) -> AsyncGenerator[None]:
    """Begin, where it is needed, the transaction that a SAVEPOINT needs around it.

    Python's sqlite3 begins one before an INSERT, but not before a SAVEPOINT, and SQLite takes the
    RELEASE of a savepoint outside of a transaction for a COMMIT.
    https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl

    In AUTOCOMMIT mode there is no transaction on other databases either; there, what the block
    has stored is committed at its end.
    """
    in_autocommit: list[Connection] = []

    def begin(connection: Connection) -> None:
        if connection not in in_autocommit and _begin(connection):
            in_autocommit.append(connection)

    def begin_too(_: Session, __: object, connection: Connection) -> None:
        begin(connection)

    connections = [one for one in connections_of(session) if _lacks_transaction(one)]
    if connections:
        await session.run_sync(lambda _: list(map(begin, connections)))
    # A connection may join within the block.
    event.listen(session.sync_session, "after_begin", begin_too)
    try:
        yield
    finally:
        event.remove(session.sync_session, "after_begin", begin_too)
        if in_autocommit:
            await session.run_sync(_commit, in_autocommit)


def _lacks_transaction(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        # With isolation_level None the driver begins none at all: that is AUTOCOMMIT, in which a
        # SAVEPOINT begins one by itself.
        return not driver.in_transaction and driver.isolation_level is not None
    return _is_in_autocommit(connection)


def _is_in_autocommit(connection: Connection) -> bool:
    # Asked of the driver: SQLAlchemy has detect_autocommit_setting() since 2.0.43 only. What it
    # puts around asyncmy's and aiomysql's connections has had the method since later still.
    dbapi: Any = connection.connection.dbapi_connection
    for one in (dbapi, connection.connection.driver_connection):
        get = getattr(one, "get_autocommit", None)
        if get is not None:
            return get() is True
    return getattr(dbapi, "autocommit", False) is True


def _begin(connection: Connection) -> bool:
    """Begin a transaction if there is none; return whether nobody else will commit it."""
    if not _lacks_transaction(connection):
        return False
    connection.exec_driver_sql("BEGIN")
    return connection.dialect.name != "sqlite"


def _commit(_: Session, connections: Iterable[Connection]) -> None:
    for connection in connections:
        if not connection.closed and not connection.invalidated:
            connection.exec_driver_sql("COMMIT")


# Mappers whose keys have come back changed from the database.
_changing: WeakSet[Mapper[Any]] = WeakSet()
_one_by_one: Counter[Mapper[Any]] = Counter()


async def flush_new(
    session: AsyncSession, instances: Sequence[Any], states: Sequence[InstanceState[Any]]
) -> None:
    """Add new objects to a session, and flush it.

    SQLAlchemy inserts several objects by one statement, and refuses to if keys come back unlike
    what was given: changed by a type, or by a trigger. Those are inserted one by one.
    """
    sync = session.sync_session
    risky = _risky(states) if len(states) > 1 else set()
    if not risky:
        if any(state.session_id != sync.hash_key for state in states):
            session.add_all(instances)
        if any(state.pending for state in states):
            await session.flush()
        return
    types = {type(column.type) for mapper in risky for column in mapper.primary_key}
    if not _changing.isdisjoint(risky) or _types_change_keys(session, states):
        session.add_all(instances)
        with _inserted_one_by_one(risky):
            await session.flush()
    elif sync.new or sync.dirty or all(issubclass(one, (TypeDecorator, *EXACT)) for one in types):
        # Without a savepoint, since setting one flushes what the session has so far. That may refer
        # to these objects, which are not in the session yet.
        session.add_all(instances)
        await session.flush()
    else:
        await _flush_within_savepoint(session, instances, risky)


def _risky(states: Iterable[InstanceState[Any]]) -> set[Mapper[Any]]:
    """Return the mappers of objects whose keys may come back unlike what was given."""
    mappers = {state.mapper for state in states}
    return {mapper.base_mapper for mapper in mappers if layout_of(mapper).may_change_key}


async def _flush_within_savepoint(
    session: AsyncSession, instances: Sequence[Any], risky: Iterable[Mapper[Any]]
) -> None:
    """Flush objects whose keys a trigger may change.

    SQLAlchemy tells only when they have come back. Finding out within a savepoint keeps the
    caller's transaction.
    """
    try:
        async with begun(session), session.begin_nested():
            session.add_all(instances)
    except Exception as error:
        if session.is_active:
            # Rolling back to the savepoint has expired what was changed within it.
            await load_columns(session, session.sync_session.identity_map.all_states())
        if not _refuses_changed_keys(error):
            raise
        _changing.update(risky)
        session.add_all(instances)
        with _inserted_one_by_one(risky):
            await session.flush()


def _types_change_keys(session: AsyncSession, states: Sequence[InstanceState[Any]]) -> bool:
    """Return whether a type changes the key of any of some objects."""
    dialect: Any = None
    for state in states:
        mapper = state.mapper
        for column in mapper.primary_key:
            kind = column.type
            if not isinstance(kind, TypeDecorator):
                continue
            value = _given_key(state, column)
            if value is None:
                continue  # the column's default makes it
            if dialect is None:
                dialect = _dialect_for(session, mapper, state.obj())
            if not _comes_back(kind, value, dialect):
                return True
    return False


def _given_key(state: InstanceState[Any], column: ColumnElement[Any]) -> Any:
    """Return the value of a key column: the object's own, or that of what it refers to."""
    mapper = state.mapper
    value = state.dict.get(mapper.get_property_by_column(column).key)
    if value is not None:
        return value
    for name in layout_of(mapper).references:
        relationship, target = mapper.relationships[name], state.dict.get(name)
        for local, remote in relationship.local_remote_pairs or ():
            if target is not None and mapper.get_property_by_column(
                local
            ) is mapper.get_property_by_column(column):
                its = relationship.mapper.get_property_by_column(remote).key
                return instance_state(target).dict.get(its)
    return None


def _comes_back(kind: TypeDecorator[Any], value: Any, dialect: Any) -> bool:
    """Return whether a type gives a value back as it was, once it was stored."""
    back = value
    if type(kind).process_bind_param is not TypeDecorator.process_bind_param:
        back = kind.process_bind_param(back, dialect)
    if type(kind).process_result_value is not TypeDecorator.process_result_value:
        back = kind.process_result_value(back, dialect)
    return bool(back == value)


def _dialect_for(session: AsyncSession, mapper: Mapper[Any], instance: object) -> Any:
    for connection in connections_of(session):
        return connection.dialect
    sync = session.sync_session
    if sync.connection_callable is not None:  # shards
        return sync.get_bind(mapper, instance=instance).dialect
    return sync.get_bind(mapper).dialect


def _refuses_changed_keys(error: Exception) -> bool:
    """Return whether SQLAlchemy has not recognised the keys that have come back."""
    return isinstance(error, InvalidRequestError) and "sentinel" in str(error)


@contextmanager
def _inserted_one_by_one(mappers: Iterable[Mapper[Any]]) -> Generator[None]:
    """Have a flush insert objects one by one, as the mapper option ``batch=False`` does.

    https://docs.sqlalchemy.org/en/20/orm/mapping_api.html#sqlalchemy.orm.Mapper.params.batch
    """
    # Tasks may flush at the same time: the last of them restores what the mapping says.
    switched = [mapper for mapper in mappers if mapper.batch or mapper in _one_by_one]
    for mapper in switched:
        _one_by_one[mapper] += 1
        mapper.batch = False
    try:
        yield
    finally:
        for mapper in switched:
            _one_by_one[mapper] -= 1
            if not _one_by_one[mapper]:
                del _one_by_one[mapper]
                mapper.batch = True
