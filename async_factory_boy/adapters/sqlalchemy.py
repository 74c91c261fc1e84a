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
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from inspect import iscoroutine
from typing import Any, ClassVar, Literal, TypeVar, cast

from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.adapters.configuration import check_names, configured, fields_option
from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.matching import answered, are_hashable, matched, only_one
from async_factory_boy.adapters.paging import paged
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    OptionError,
    shown,
)
from async_factory_boy.options import CallOption
from async_factory_boy.stores import missing

try:
    from sqlalchemy import ColumnElement, Select, and_, inspect, or_, select
    from sqlalchemy.exc import IntegrityError
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
    from sqlalchemy.orm import Mapper, Session, scoped_session, sessionmaker
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("SQLAlchemy", "sqlalchemy")) from error

from async_factory_boy.adapters._mapped import keys_of, primary_key_of
from async_factory_boy.adapters._sqlalchemy.belonging import belonging
from async_factory_boy.adapters._sqlalchemy.constructing import (
    constructs_blindly,
    default_constructor,
)
from async_factory_boy.adapters._sqlalchemy.fields import fields_of
from async_factory_boy.adapters._sqlalchemy.layouts import is_known, layout_of
from async_factory_boy.adapters._sqlalchemy.loading import (
    PAGE,
    all_of,
    complete_columns,
    expired_references,
    is_incomplete,
    load_columns,
    load_eager,
    load_relationships,
    loads_eagerly,
    reload,
    restore_references,
    state_of,
)
from async_factory_boy.adapters._sqlalchemy.statements import listen
from async_factory_boy.adapters._sqlalchemy.transactions import (
    begun,
    connections_of,
    flush_new,
)

__all__ = ["SQLAlchemyAdapter"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")

AnyAsyncSession = AsyncSession | async_scoped_session[AsyncSession]
Persistence = Literal["flush", "commit"] | None

# The table of a statement, whatever quotes its name, without its schema.
_INTO = re.compile(r"\s*INSERT INTO (?:\S+\.)?[\"`\[]?(\w+)", re.IGNORECASE)


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
        load: Relationships to load on the objects a call returns. ``None``: those that the mapping
            loads eagerly, as a query would.

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
        load: Sequence[str] | None = None,
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
        self.load = (
            None if load is None else fields_option("load", load, owner=owner, example="company")
        )

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
        session: Any = self.sqlalchemy_session
        if session is None:
            session = configured(
                self.session_factory,
                is_value=lambda _: False,
                check=_check_returned,
                missing="No async session provided. Pass one to the call, "
                "create_async(sqlalchemy_session=session); or bind one for many calls, "
                "with async_factory_boy.bind(sqlalchemy_session=session): ...; or set "
                "Meta.sqlalchemy_session_factory to a callable that returns it.",
            )
        current: AsyncSession = session() if isinstance(session, async_scoped_session) else session
        return current

    def check(self, model: type[M]) -> None:
        mapper = _mapper_of(model)
        owner = type(self).__name__
        if self.get_or_create:
            unmapped = [name for name in self.get_or_create if not hasattr(model, name)]
            check_names("get_or_create", unmapped, mapper.attrs.keys(), owner=owner, model=model)
        if self.load:
            names = mapper.relationships.keys()
            check_names("load", self.load, names, owner=owner, model=model, what="relationship")
        if _is_closed_for_good(self.session()):
            raise OptionError(
                "sqlalchemy_session is an AsyncSession that has been closed for good "
                "(close_resets_only=False); pass one that is open: use the factory inside of "
                "async with Session() as session: ..."
            )

    def takes(self, model: type[M], name: str) -> bool | None:
        mapper = cast("Mapper[M]", inspect(model))
        if mapper.class_manager.original_init is not default_constructor:
            return None
        return hasattr(model, name)

    def keys_of(self, model: type[M]) -> Mapping[str, Mapping[str, str]]:
        mapper = inspect(model, raiseerr=False)
        return keys_of(mapper) if isinstance(mapper, Mapper) else {}

    def fields(self, model: type[M]) -> Sequence[Field]:
        return fields_of(_mapper_of(model))

    def primary_key(self, data: M, /) -> Mapping[str, Any]:
        # Not read from the object, which may have expired.
        state = state_of(data)
        names = primary_key_of(state.manager.mapper)
        key = (None,) * len(names) if state.key is None else state.key[1]
        return dict(zip(names, key, strict=True))

    async def save(self, data: M) -> M:
        return (await self.save_many([data]))[0]

    async def save_many(self, data: Sequence[M]) -> list[M]:
        session, instances = self.session(), list(data)
        states = [state_of(instance) for instance in instances]
        known = belonging(session)
        known.note_new(session, states)
        if self.persistence is None:
            session.add_all(instances)
        else:
            await flush_new(session, instances, states)
            if any(map(is_incomplete, states)):
                await complete_columns(session, states)
            known.note_stored(states)
        if not self.commits_later:
            await self.commit()  # last: loading may begin a transaction
        return instances

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        session = self.session()
        await self._flush_for_lookup(session)
        return await self._find(session, model, lookup, select(model).filter_by(**lookup))

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        columns = cast("Mapper[M]", inspect(model)).column_attrs
        if not all(name in columns for name in lookups[0]) or not are_hashable(
            value for lookup in lookups for value in lookup.values()
        ):
            # By a relationship, what a row refers to is not to be seen without loading it.
            return await super().find_many(model, lookups)
        session = self.session()
        await self._flush_for_lookup(session)
        found: list[tuple[Any, M]] = []
        for page in paged(lookups, PAGE):
            instances = await all_of(session, select(model).where(_any_of(model, page)))
            await load_columns(session, map(state_of, instances))
            for instance in instances:
                found.append((tuple(getattr(instance, name) for name in lookups[0]), instance))
        if not are_hashable(values for values, _ in found):  # of a JSON column
            return await super().find_many(model, lookups)
        answers = matched([tuple(lookup.values()) for lookup in lookups], found)
        return await answered(lookups, answers, partial(self.find, model))

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
        if any(one.dialect.name in ("mysql", "mariadb") for one in connections_of(session)):
            statement = statement.with_for_update(read=True)
        return await self._find(session, model, lookup, statement)

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        session = self.session()
        if self.persistence is None:
            return await self.save_many(await build())
        try:
            # Built within the savepoint, since setting one flushes: an object that is not in the
            # session yet, but is related to others that are, would bring up a warning.
            async with begun(session), session.begin_nested():
                instances = await build()
                belonging(session).note_new(session, map(state_of, instances))
                session.add_all(instances)
        except IntegrityError:
            if session.is_active:
                # Rolling back to the savepoint has expired what was changed within it: a company
                # that the refused user was added to, say.
                await load_columns(session, session.sync_session.identity_map.all_states())
            raise
        return await self.save_many(instances)

    def ambient_options(self, model: type[M]) -> Mapping[str, Any]:
        # What the factory or the registry returns may go by a context variable of the calling hook.
        given = self.sqlalchemy_session
        if isinstance(given, AsyncSession) or (given is None and self.session_factory is None):
            return {}
        return {"sqlalchemy_session": self.session()}

    def connection_key(self, model: type[M]) -> Hashable:
        return self.session()  # which one task at a time may use

    async def flush(self) -> None:
        if self.persistence is not None:
            session = self.session()
            sync = session.sync_session
            if sync.new or sync.dirty or sync.deleted:
                new = list(sync.new)
                await session.flush()
                belonging(session).note_stored(map(state_of, new))

    async def refresh(self, instances: Sequence[M]) -> None:
        session = self.session()
        states = [state_of(instance) for instance in instances]
        if any(map(is_incomplete, states)):
            expired = [(state, expired_references(state)) for state in states]
            await load_columns(session, states)
            restore_references(expired)
        known = belonging(session)
        if self.load is None:
            if any(map(loads_eagerly, states)):
                await load_eager(session, states, known.is_empty)
        elif self.load:
            await load_relationships(session, states, self.load)
        known.forget(states)
        stale = known.take_stale()
        if stale:
            await reload(session, stale)

    async def commit(self) -> None:
        if self.persistence == "commit":
            session = self.session()
            with _nothing_expires(session):
                await session.commit()

    @asynccontextmanager
    async def undo(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        session = self.session()
        try:
            async with begun(session), session.begin_nested() as savepoint:
                yield {}
                await session.flush()  # what was only added, the database has not seen yet
                await savepoint.rollback()
        finally:
            # As in save_new(): what was changed inside has expired.
            await load_columns(session, session.sync_session.identity_map.all_states())

    def listen(
        self, heard: Callable[[Callable[[object], bool]], object]
    ) -> Callable[[], object] | None:
        return listen(heard)

    def postpones(self, model: type[M], names: Collection[str]) -> bool:
        return (
            self.persistence is not None
            and constructs_blindly(model, names)
            and not layout_of(cast("Mapper[M]", inspect(model))).may_change_key
        )

    def add(self, data: Sequence[M]) -> None:
        session = self.session()
        belonging(session).note_new(session, map(state_of, data))
        session.add_all(data)

    def concerns(self, error: Exception, model: type[M]) -> bool:
        found = _INTO.match(getattr(error, "statement", None) or "")
        tables = cast("Mapper[M]", inspect(model)).tables
        return found is None or found[1] in {getattr(table, "name", None) for table in tables}

    async def _flush_for_lookup(self, session: AsyncSession) -> None:
        if self.persistence is None and not session.autoflush:
            await session.flush()  # what was only added could not be found

    async def _find(
        self,
        session: AsyncSession,
        model: type[M],
        lookup: Mapping[str, Any],
        statement: Select[Any],
    ) -> M | None:
        found: M | None = only_one(await all_of(session, statement), model, lookup)
        if found is not None:
            await load_columns(session, [state_of(found)])
        return found


def _mapper_of(model: Any) -> Mapper[Any]:
    mapper = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise AdapterError(
            f"{getattr(model, '__name__', repr(model))} is not mapped by SQLAlchemy, so it "
            "cannot be stored; set Meta.model to a mapped class (one that derives from your "
            "DeclarativeBase, or that registry.map_imperatively() was called with)."
        )
    return mapper


def is_relationship(model: type[Any], name: str) -> bool | None:
    """Return whether an attribute is a relationship; ``None`` if no factory stores the model."""
    mapper = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper) or not is_known(mapper):
        return None
    return name in mapper.relationships


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
