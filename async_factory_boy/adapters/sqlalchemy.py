"""Stores objects through an SQLAlchemy ``AsyncSession``."""

from __future__ import annotations

import re
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from inspect import iscoroutine
from typing import Any, ClassVar, Literal, TypeVar, cast
from weakref import WeakKeyDictionary

from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.adapters.configuration import fields_option
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
    shown,
)
from async_factory_boy.options import CallOption
from async_factory_boy.stores import missing

try:
    from sqlalchemy import Column, ColumnElement, Select, and_, inspect, or_, select
    from sqlalchemy.exc import IntegrityError
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
    from sqlalchemy.orm import (
        InstanceState,
        Mapper,
        RelationshipDirection,
        Session,
        lazyload,
        registry,
        scoped_session,
        selectinload,
        sessionmaker,
        undefer,
    )
    from sqlalchemy.orm.attributes import instance_state, set_committed_value
    from sqlalchemy.orm.base import PassiveFlag
    from sqlalchemy.sql.base import ExecutableOption
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("SQLAlchemy", "sqlalchemy")) from error

from async_factory_boy.adapters._mapped import keys_of

__all__ = ["SQLAlchemyAdapter"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")

AnyAsyncSession = AsyncSession | async_scoped_session[AsyncSession]
Persistence = Literal["flush", "commit"] | None

# The table of a statement, whatever quotes its name, without its schema.
_INTO = re.compile(r"\s*INSERT INTO (?:\S+\.)?[\"`\[]?(\w+)", re.IGNORECASE)

# Rows per SELECT when many objects are loaded again: every database takes so many parameters.
_PAGE = 500

_HOW_TO_MAKE_ONE = (
    "make one with async_sessionmaker(create_async_engine(url)): "
    "async with Session() as session: await UserFactory.create_async(sqlalchemy_session=session)"
)


def _check_session(value: object) -> None:
    if not isinstance(value, AsyncSession | async_scoped_session):
        raise OptionError(
            f"sqlalchemy_session takes an AsyncSession; got {_no_session(value)}. Pass an "
            f"AsyncSession: {_HOW_TO_MAKE_ONE}."
        )


def _check_returned(value: object) -> None:
    if isinstance(value, AsyncSession | async_scoped_session):
        return
    if iscoroutine(value):
        value.close()  # or Python would warn that nobody has awaited it
        returned = "a coroutine. Set it to a plain function: def, not async def"
    else:
        returned = "None" if value is None else _no_session(value)
    raise OptionError(
        "The callable that is set as Meta.sqlalchemy_session_factory has to return the "
        f"AsyncSession of the running test; it returned {returned}."
    )


def _no_session(value: object) -> str:
    """Return what to call a value that is no AsyncSession."""
    if isinstance(value, Session | scoped_session):
        return "a synchronous Session"
    if isinstance(value, async_sessionmaker | sessionmaker):
        return f"{type(value).__name__}, which makes sessions and is none; call it"
    return f"an object of type {type(value).__name__}"


class SQLAlchemyAdapter(PersistenceAdapter[M]):
    """Stores objects of mapped classes through an ``AsyncSession``.

    ```python
    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = SQLAlchemyAdapter(persistence="commit", get_or_create=("email",))
    ```

    What it returns is loaded: no column attribute is expired, whatever ``expire_on_commit``, server
    defaults, or a database without ``RETURNING``, so reading one never raises ``MissingGreenlet``.
    It never rolls back, and commits only with ``persistence="commit"``. Tasks may share a session:
    the adapter waits its turn.

    Args:
        persistence: What to do with a new object after adding it to the session: ``"flush"`` (it
            has its key, and the caller's transaction can still be rolled back), ``"commit"``, or
            ``None`` (it is added only).
        get_or_create: Fields that identify an object. One that has their values is looked up
            before a new one is stored; that happens in a SAVEPOINT, so that losing a race for a
            unique value costs nothing, and finds the winner's row.
        session_factory: Called without arguments for the session, when neither the call nor
            ``bind`` gives one. It has to return the same session throughout a test: an
            ``async_scoped_session``, for example.
        load: Relationships to load on the objects a call returns.

    Raises:
        ConfigurationError: When an argument is not of the kind described.
    """

    sqlalchemy_session: CallOption[AnyAsyncSession] = CallOption(_check_session)

    conflicts: ClassVar[tuple[type[Exception], ...]] = (IntegrityError,)

    def __init__(
        self,
        *,
        persistence: Persistence = "flush",
        get_or_create: Sequence[str] = (),
        session_factory: Callable[[], AnyAsyncSession] | None = None,
        load: Sequence[str] = (),
    ) -> None:
        owner = type(self).__name__
        if persistence not in ("flush", "commit", None):
            raise ConfigurationError(
                "persistence",
                f"has to be 'flush', 'commit' or None; got {shown(persistence)}.",
                owner=owner,
            )
        _check_session_factory(session_factory, owner)
        self.persistence = persistence
        self.get_or_create = fields_option("get_or_create", get_or_create, owner=owner)
        self.session_factory = session_factory
        self.load = fields_option("load", load, owner=owner, example="company")

    @classmethod
    def handles(cls, model: type) -> bool:
        # A Table can be inspected too; it belongs to the databases adapter.
        return isinstance(inspect(model, raiseerr=False), Mapper)

    def session(self) -> AsyncSession:
        """Return the session to use now: the call's, the bound one, or the session factory's.

        Raises:
            MissingOptionError: When there is none.
            OptionError: When the session factory returned something else.
        """
        session = self.sqlalchemy_session
        if session is None and self.session_factory is not None:
            session = self.session_factory()
            _check_returned(session)
        if session is None:
            raise MissingOptionError(
                "No async session provided. Pass one to the call, "
                "create_async(sqlalchemy_session=session); or bind one for many calls, "
                "with async_factory_boy.bind(sqlalchemy_session=session): ...; or set "
                "Meta.sqlalchemy_session_factory to a callable that returns it."
            )
        if isinstance(session, async_scoped_session):
            session = session()
        return session

    def ambient_options(self, model: type[M]) -> Mapping[str, Any]:
        # What the factory or the registry returns may go by a context variable of the calling hook.
        given = self.sqlalchemy_session
        if isinstance(given, AsyncSession) or (given is None and self.session_factory is None):
            return {}
        return {"sqlalchemy_session": self.session()}

    def check(self, model: type[M]) -> None:
        mapper = inspect(model, raiseerr=False)
        if not isinstance(mapper, Mapper):
            raise AdapterError(
                f"{getattr(model, '__name__', repr(model))} is not mapped by SQLAlchemy, so it "
                "cannot be stored; set Meta.model to a mapped class (one that derives from your "
                "DeclarativeBase, or that registry.map_imperatively() was called with)."
            )
        for name in self.get_or_create:
            if not hasattr(model, name):
                raise ConfigurationError(
                    "get_or_create",
                    f"names {name!r}, which is not an attribute of {model.__name__}; it has: "
                    f"{', '.join(sorted(mapper.attrs.keys()))}.",
                    owner=type(self).__name__,
                )
        for name in self.load:
            if name not in mapper.relationships:
                raise ConfigurationError(
                    "load",
                    f"names {name!r}, which is not a relationship of {model.__name__}; it has: "
                    f"{', '.join(sorted(mapper.relationships.keys())) or 'none'}.",
                    owner=type(self).__name__,
                )
        if _is_closed_for_good(self.session()):
            raise OptionError(
                "sqlalchemy_session is an AsyncSession that has been closed for good "
                "(close_resets_only=False); pass one that is open: use the factory inside of "
                "async with Session() as session: ..."
            )

    def connection_key(self, model: type[M]) -> Hashable:
        return self.session()  # which one task at a time may use

    async def save(self, data: M) -> M:
        return (await self.save_many([data]))[0]

    async def save_many(self, data: Sequence[M]) -> list[M]:
        session, instances = self.session(), list(data)
        states = [_state(instance) for instance in instances]
        mine = session.sync_session.hash_key
        if any(state.session_id != mine for state in states):
            session.add_all(instances)
        if self.persistence is not None:
            if any(state.pending for state in states):
                await session.flush()
            await _complete_columns(session, states)
        if not self.commits_later:
            await self.commit()  # last: loading may begin a transaction
        return instances

    def postpones(self, model: type[M], names: Collection[str]) -> bool:
        return self.persistence is not None and constructs_blindly(model, names)

    def takes(self, model: type[M], name: str) -> bool | None:
        mapper = cast("Mapper[M]", inspect(model))
        if mapper.class_manager.original_init is not _default_constructor:
            return None
        return hasattr(model, name)

    def keys_of(self, model: type[M]) -> Mapping[str, Mapping[str, str]]:
        mapper = inspect(model, raiseerr=False)
        return keys_of(mapper) if isinstance(mapper, Mapper) else {}

    def concerns(self, error: Exception, model: type[M]) -> bool:
        found = _INTO.match(getattr(error, "statement", None) or "")
        tables = cast("Mapper[M]", inspect(model)).tables
        return found is None or found[1] in {getattr(table, "name", None) for table in tables}

    def add(self, data: Sequence[M]) -> None:
        self.session().add_all(data)

    async def flush(self) -> None:
        if self.persistence is not None:
            session = self.session()
            sync = session.sync_session
            if sync.new or sync.dirty or sync.deleted:
                await session.flush()

    async def commit(self) -> None:
        if self.persistence == "commit":
            session = self.session()
            with _nothing_expires(session):
                await session.commit()

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        session = self.session()
        await self._flush_for_lookup(session)
        return await self._find(session, select(model).filter_by(**lookup))

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        columns = cast("Mapper[M]", inspect(model)).column_attrs
        if not all(name in columns for name in lookups[0]) or not _are_hashable(lookups):
            # By a relationship, what a row refers to is not to be seen without loading it.
            return await super().find_many(model, lookups)
        session = self.session()
        await self._flush_for_lookup(session)
        found: dict[tuple[Any, ...], list[M]] = {}
        for start in range(0, len(lookups), _PAGE):
            condition = _any_of(model, lookups[start : start + _PAGE])
            result = await session.execute(select(model).where(condition))
            instances = result.unique().scalars().all()
            await _load_columns(session, map(_state, instances))
            try:
                for instance in instances:
                    values = tuple(getattr(instance, name) for name in lookups[0])
                    found.setdefault(values, []).append(instance)
            except TypeError:  # not hashable, such as what a JSON column holds
                return await super().find_many(model, lookups)
        answers: list[M | None] = []
        for lookup in lookups:
            matches = found.pop(tuple(lookup.values()), [])
            # Not one: asked for by itself, to have the error that find() raises.
            answers.append(
                matches[0]
                if len(matches) == 1
                else await self.find(model, lookup)
                if matches
                else None
            )
        if found:
            # The database has taken for equal what Python does not, such as "acme" and "ACME".
            answers = [
                await self.find(model, lookup) if answer is None else answer
                for lookup, answer in zip(lookups, answers, strict=True)
            ]
        return answers

    async def _flush_for_lookup(self, session: AsyncSession) -> None:
        if self.persistence is None and not session.autoflush:
            await session.flush()  # what was only added could not be found

    async def find_afresh(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        # MySQL's default isolation level, REPEATABLE READ, shows a plain SELECT what was there
        # when the transaction began; a locking one shows what is there.
        # https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
        statement: Select[Any] = select(model).filter_by(**lookup)
        session = self.session()
        if not session.is_active:
            # The refused row was one that the caller had added, and was flushed outside of the
            # savepoint: the error is the caller's, and until the rollback nothing can be read.
            return None
        if (await session.connection()).dialect.name in ("mysql", "mariadb"):
            statement = statement.with_for_update(read=True)
        return await self._find(session, statement)

    async def _find(self, session: AsyncSession, statement: Select[Any]) -> M | None:
        result = await session.execute(statement)
        found: M | None = result.unique().scalars().one_or_none()
        if found is not None:
            await _load_columns(session, [_state(found)])
        return found

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        session = self.session()
        if self.persistence is None:
            return await self.save_many(await build())
        await _begin_on_sqlite(session)
        try:
            # Built within the savepoint, since setting one flushes: an object that is not in the
            # session yet, but is related to others that are, would bring up a warning.
            async with session.begin_nested():
                instances = await build()
                session.add_all(instances)
        except IntegrityError:
            if session.is_active:
                # Rolling back to the savepoint has expired what was changed within it: a company
                # that the refused user was added to, say.
                await _load_columns(session, session.sync_session.identity_map.all_states())
            raise
        return await self.save_many(instances)

    @asynccontextmanager
    async def undo(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        session = self.session()
        await _begin_on_sqlite(session)
        try:
            async with session.begin_nested() as savepoint:
                yield {}
                await session.flush()  # what was only added, the database has not seen yet
                await savepoint.rollback()
        finally:
            # As in save_new(): what was changed inside has expired.
            await _load_columns(session, session.sync_session.identity_map.all_states())

    async def refresh(self, instances: Sequence[M]) -> None:
        session = self.session()
        states = [_state(instance) for instance in instances]
        if any(state.expired_attributes or _deferred_columns(state.mapper) for state in states):
            expired = [(state, _expired_references(state)) for state in states]
            await _load_columns(session, states)
            _restore_references(expired)
        if self.load:
            await _load_relationships(session, states, self.load)


def _are_hashable(lookups: Sequence[Mapping[str, Any]]) -> bool:
    try:
        for lookup in lookups:
            hash(tuple(lookup.values()))
    except TypeError:
        return False
    return True


def _any_of(model: type[Any], lookups: Sequence[Mapping[str, Any]]) -> ColumnElement[bool]:
    if len(lookups[0]) == 1:
        ((name, _),) = lookups[0].items()
        values = [lookup[name] for lookup in lookups]
        if None not in values:
            return cast("ColumnElement[bool]", getattr(model, name).in_(values))
    return or_(
        *(
            and_(*(getattr(model, name) == value for name, value in lookup.items()))
            for lookup in lookups
        )
    )


def _check_session_factory(value: object, owner: str) -> None:
    if value is None:
        return
    if isinstance(value, async_sessionmaker | sessionmaker):
        raise ConfigurationError(
            "session_factory",
            "would make a new session for each object, which nobody commits or closes. Give it a "
            "callable that returns the session of the running test, such as "
            "async_scoped_session(Session, scopefunc=asyncio.current_task); or use "
            "async_factory_boy.bind(sqlalchemy_session=session).",
            owner=owner,
        )
    if not callable(value):
        raise ConfigurationError(
            "session_factory",
            f"takes a callable that returns an AsyncSession; got {shown(value)}. Pass a session to "
            "the call, create_async(sqlalchemy_session=session), instead.",
            owner=owner,
        )


def _is_closed_for_good(session: AsyncSession) -> bool:
    # The only way to tell without beginning a transaction; tests/test_sqlalchemy.py notices if
    # the name changes.
    return session.sync_session._close_state.name == "CLOSED"


@contextmanager
def _nothing_expires(session: AsyncSession) -> Generator[None]:
    """Keep a commit from expiring what the session holds.

    Each object of a graph is committed on its own, which would expire all those before it.
    """
    sync = session.sync_session
    before = sync.expire_on_commit
    sync.expire_on_commit = False
    try:
        yield
    finally:
        sync.expire_on_commit = before


async def _begin_on_sqlite(session: AsyncSession) -> None:
    """Begin the transaction that a SAVEPOINT needs around it.

    Python's sqlite3 begins one before an INSERT, but not before a SAVEPOINT, and SQLite takes the
    RELEASE of a savepoint outside of a transaction for a COMMIT.
    https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl
    """
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        driver: Any = (await connection.get_raw_connection()).driver_connection
        # With isolation_level None the driver begins none at all: that is AUTOCOMMIT.
        if not driver.in_transaction and driver.isolation_level is not None:
            await connection.exec_driver_sql("BEGIN")


def _state(instance: object) -> InstanceState[Any]:
    return instance_state(instance)


async def _complete_columns(session: AsyncSession, states: Sequence[InstanceState[Any]]) -> None:
    """Load what the database has filled in of objects that were just stored."""
    if any(state.expired_attributes or _deferred_columns(state.mapper) for state in states):
        _set_nulls(states)
        await _load_columns(session, states)


async def _load_columns(session: AsyncSession, states: Iterable[InstanceState[Any]]) -> None:
    """Load the column attributes that would be loaded, and fail to be, when they are read."""
    for mapper, some in _by_mapper(states).items():
        deferred = _deferred_columns(mapper)
        columns = mapper.column_attrs
        unloaded = [
            state
            for state in some
            # What was never set and has no default is absent from the dict, but reads as None.
            if (state.expired_attributes or deferred)
            and any(
                name in columns and name not in state.dict
                for name in state.expired_attributes | deferred
            )
        ]
        if unloaded:
            attributes = (getattr(mapper.class_, name) for name in deferred)
            await _select(session, mapper, unloaded, *map(undefer, attributes))


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
        for name in _deferred_columns(mapper):
            if isinstance(mapper.column_attrs[name].expression, Column):
                for state in some:
                    if name not in state.dict and name not in state.expired_attributes:
                        set_committed_value(state.obj(), name, None)


# Weak, since a mapper lives as long as its class, which may be made by a test.
_deferred: WeakKeyDictionary[Mapper[Any], frozenset[str]] = WeakKeyDictionary()


def _deferred_columns(mapper: Mapper[Any]) -> frozenset[str]:
    deferred = _deferred.get(mapper)
    if deferred is None:
        deferred = _deferred[mapper] = frozenset(
            attribute.key
            for attribute in mapper.column_attrs
            if attribute.deferred and not attribute.raiseload
        )
    return deferred


_blind: WeakKeyDictionary[Mapper[Any], dict[frozenset[str], bool]] = WeakKeyDictionary()

# SQLAlchemy itself listens, to keep both sides of a relationship alike. Not all its modules are
# named, since a listener of the user's may stand in a function of sqlalchemy.orm.events.
_LISTENING = frozenset(
    f"sqlalchemy.{name}"
    for name in ("orm.attributes", "orm.mapper", "orm.unitofwork", "ext.mutable")
)

# What SQLAlchemy gives a class that has no constructor.
_default_constructor = registry().constructor


def constructs_blindly(model: type[Any], names: Collection[str]) -> bool:
    """Return whether constructing an object runs no code that could look at what it is given.

    Such code is a constructor, a validator, a property or an event listener of the user's.
    """
    mapper = cast("Mapper[Any]", inspect(model))
    known = _blind.setdefault(mapper, {})
    key = frozenset(names)
    blind = known.get(key)
    if blind is None:
        blind = known[key] = _constructs_blindly(mapper, key)
    return blind


def _constructs_blindly(mapper: Mapper[Any], names: Collection[str]) -> bool:
    manager = mapper.class_manager
    model: Any = mapper.class_
    if (
        manager.original_init is not _default_constructor
        or model.__setattr__ is not object.__setattr__
        or model.__new__ is not object.__new__
        or mapper.validators
        or _has_listeners(manager.dispatch.init)
        # Not mapper.attrs: a synonym may have a property of the user's.
        or not all(name in mapper.column_attrs or name in mapper.relationships for name in names)
    ):
        return False
    for name in names:
        relationship = mapper.relationships.get(name)
        if relationship is not None and relationship.collection_class not in (None, list, set):
            return False  # its key may be that of the part
        dispatch = getattr(model, name).impl.dispatch
        if any(map(_has_listeners, (dispatch.set, dispatch.append, dispatch.bulk_replace))):
            return False
    return True


def _has_listeners(event: Iterable[Any]) -> bool:
    return not all(getattr(listener, "__module__", "") in _LISTENING for listener in event)


def _expired_references(state: InstanceState[Any]) -> list[str]:
    return [
        relationship.key
        for relationship in state.mapper.relationships
        if relationship.direction is RelationshipDirection.MANYTOONE
        and relationship.key in state.expired_attributes
    ]


def _restore_references(expired: Iterable[tuple[InstanceState[Any], Sequence[str]]]) -> None:
    """Have objects refer again to those that the session holds; that takes no SELECT.

    A hook that commits makes them forget each other, and what nothing refers to, the session drops.
    """
    without_select = PassiveFlag.PASSIVE_NO_FETCH | PassiveFlag.NO_RAISE
    for state, names in expired:
        for name in names:
            state.get_impl(name).get(state, state.dict, without_select)


async def _load_relationships(
    session: AsyncSession, states: Iterable[InstanceState[Any]], names: Sequence[str]
) -> None:
    """Load relationships as the database has them, whatever is loaded of them already."""
    await session.flush()
    for mapper, some in _by_mapper(states).items():
        for state in some:
            session.expire(state.obj(), names)
        await _select(
            session, mapper, some, *(selectinload(getattr(mapper.class_, n)) for n in names)
        )
        await _load_columns(session, some)  # flushing may have had some changed by the database


async def _select(
    session: AsyncSession,
    mapper: Mapper[Any],
    states: Sequence[InstanceState[Any]],
    *options: ExecutableOption,
) -> None:
    """Fill in what is not loaded of objects of one class, by one SELECT for each `_PAGE`."""
    # Relationships that the mapping loads eagerly were not asked for. Not load_only(): it would
    # have the columns that are neither named nor loaded load themselves when they are read.
    statement = select(mapper).options(lazyload("*"), *options)
    with session.no_autoflush:
        for start in range(0, len(states), _PAGE):
            keys = [state.identity for state in states[start : start + _PAGE]]
            await session.execute(statement.where(_has_key(mapper, keys)))


def _has_key(mapper: Mapper[Any], keys: Sequence[Any]) -> ColumnElement[bool]:
    columns = mapper.primary_key
    if len(columns) == 1:
        return columns[0].in_([key for (key,) in keys])
    # Not tuple_().in_(): SQL Server has no row values.
    return or_(*(and_(*(c == v for c, v in zip(columns, key, strict=True))) for key in keys))
