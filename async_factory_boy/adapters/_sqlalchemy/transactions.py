"""Savepoints, on every kind of session, and what is stored within them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState, Mapper, Session

from async_factory_boy.adapters._sqlalchemy.layouts import layout_of
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
async def begun_on_sqlite(session: AsyncSession) -> AsyncGenerator[None]:
    """Begin, where it is needed, the transaction that a SAVEPOINT needs around it.

    Python's sqlite3 begins one before an INSERT, but not before a SAVEPOINT, and SQLite takes the
    RELEASE of a savepoint outside of a transaction for a COMMIT.
    https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl
    """
    waiting = [one for one in connections_of(session) if one.dialect.name == "sqlite"]
    if waiting:
        await session.run_sync(_begin_each, waiting)

    def begin_too(_: Session, __: object, connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            _begin(connection)

    # A connection may join within the block.
    event.listen(session.sync_session, "after_begin", begin_too)
    try:
        yield
    finally:
        event.remove(session.sync_session, "after_begin", begin_too)


def _begin_each(_: Session, connections: Iterable[Connection]) -> None:
    for connection in connections:
        _begin(connection)


def _begin(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    # With isolation_level None the driver begins none at all: that is AUTOCOMMIT.
    if not driver.in_transaction and driver.isolation_level is not None:
        connection.exec_driver_sql("BEGIN")


# Mappers whose keys have come back changed from the database.
_changing: WeakSet[Mapper[Any]] = WeakSet()
_one_by_one: Counter[Mapper[Any]] = Counter()


def with_changing_keys(states: Sequence[InstanceState[Any]]) -> set[Mapper[Any]]:
    """Return the base mappers of objects whose keys the database may change."""
    if len(states) < 2:
        return set()
    mappers = {state.mapper for state in states}
    return {mapper.base_mapper for mapper in mappers if layout_of(mapper).may_change_key}


async def flush_with_changing_keys(
    session: AsyncSession, instances: Sequence[Any], mappers: Iterable[Mapper[Any]]
) -> None:
    """Flush new objects whose keys the database may change, by a type or a trigger.

    SQLAlchemy refuses to insert such by one statement, when they come back. It tells only then, and
    to find out within a savepoint keeps the caller's transaction.
    """
    if not any(mapper in _changing for mapper in mappers):
        try:
            async with begun_on_sqlite(session), session.begin_nested():
                session.add_all(instances)
            return
        except Exception as error:
            if session.is_active:
                # Rolling back to the savepoint has expired what was changed within it.
                await load_columns(session, session.sync_session.identity_map.all_states())
            if not refuses_changed_keys(error):
                raise
        _changing.update(mappers)
    session.add_all(instances)
    with inserted_one_by_one(mappers):
        await session.flush()


def refuses_changed_keys(error: Exception) -> bool:
    """Return whether SQLAlchemy has not recognised the keys that have come back."""
    return isinstance(error, InvalidRequestError) and "sentinel" in str(error)


@contextmanager
def inserted_one_by_one(mappers: Iterable[Mapper[Any]]) -> Generator[None]:
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
