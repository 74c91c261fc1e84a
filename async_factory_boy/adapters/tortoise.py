"""Stores objects through Tortoise ORM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, ClassVar, TypeVar, cast
from weakref import WeakKeyDictionary

from async_factory_boy.adapters import missing
from async_factory_boy.adapters.base import PersistenceAdapter, fields_option
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
)
from async_factory_boy.options import CallOption

try:
    from tortoise.backends.base.client import (
        BaseDBAsyncClient,
        TransactionalDBClient,
        TransactionContext,
    )
    from tortoise.context import TortoiseContext, get_current_context
    from tortoise.exceptions import ConfigurationError as TortoiseConfigurationError
    from tortoise.exceptions import IntegrityError, OperationalError
    from tortoise.fields.base import DatabaseDefault
    from tortoise.fields.relational import (
        BackwardFKRelation,
        BackwardOneToOneRelation,
        RelationalField,
        ReverseRelation,
    )
    from tortoise.models import Model
    from tortoise.queryset import QuerySet
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("Tortoise ORM", "tortoise")) from error

__all__ = ["TortoiseAdapter"]

M = TypeVar("M", bound=Model)

_HOW_TO_GET_ONE = (
    "Pass the connection that a transaction gives you: "
    "async with in_transaction() as connection: "
    "await UserFactory.create_async(tortoise_using_db=connection); "
    'or a connection by its name, tortoise.connection.get_connection("default").'
)


def _check_connection(value: object) -> None:
    if isinstance(value, BaseDBAsyncClient):
        return
    if isinstance(value, str):
        problem = f"the name {value!r}"
    elif isinstance(value, TransactionContext):
        problem = "a transaction that is not entered"
    elif isinstance(value, TortoiseContext):
        problem = "a TortoiseContext, which has connections and is none"
    else:
        problem = f"an object of type {type(value).__name__}"
    raise OptionError(
        f"tortoise_using_db takes a connection of Tortoise; got {problem}. {_HOW_TO_GET_ONE}"
    )


class TortoiseAdapter(PersistenceAdapter[M]):
    """Stores objects of Tortoise models.

    ```python
    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = TortoiseAdapter(get_or_create=("email",), fetch=("posts",))
    ```

    An object is stored as by ``Model.create()``: signals fire, and an overridden ``save()`` is
    called. The connection is the call's ``tortoise_using_db``, or the one that Tortoise uses for
    the model: inside of ``in_transaction()``, that of the transaction. It never commits or rolls
    back the caller's transaction. Tasks may share a transaction: the adapter waits its turn.

    What is built without storing may refer to objects that are not stored either, which the
    constructor of a model refuses. Such relations can be read, and when the objects are saved
    later, first those that are referred to, the keys are right.

    Args:
        get_or_create: Fields that identify an object. One that has their values is looked up
            before a new one is stored; in a transaction that happens in a SAVEPOINT, so that
            losing a race for a unique value costs nothing, and finds the winner's row.
        fetch: Relations to fetch for the objects a call returns, spelt as for
            ``fetch_related()``.

    Raises:
        ConfigurationError: When an argument is not of the kind described.
    """

    tortoise_using_db: CallOption[BaseDBAsyncClient] = CallOption(_check_connection)

    conflicts: ClassVar[tuple[type[Exception], ...]] = (IntegrityError,)

    def __init__(self, *, get_or_create: Sequence[str] = (), fetch: Sequence[str] = ()) -> None:
        owner = type(self).__name__
        self.get_or_create = fields_option("get_or_create", get_or_create, owner=owner)
        self.fetch = fields_option("fetch", fetch, owner=owner)

    @classmethod
    def handles(cls, model: type) -> bool:
        return isinstance(model, type) and issubclass(model, Model)

    def connection(self, model: type[Model]) -> BaseDBAsyncClient:
        """Return the connection that objects of `model` are stored through now."""
        return self.tortoise_using_db or model._choose_db(for_write=True)

    def ambient(self, model: type[M]) -> Mapping[str, Any]:
        # in_transaction() puts its connection into a context variable of the code inside it.
        return {"tortoise_using_db": self.connection(model)}

    def check(self, model: type[M]) -> None:
        name = getattr(model, "__name__", repr(model))
        if not self.handles(model):
            raise AdapterError(
                f"{name} is not a model of Tortoise ORM, so it cannot be stored; set Meta.model "
                "to a class that derives from tortoise.models.Model."
            )
        if model._meta.abstract:
            raise AdapterError(
                f"{name} is an abstract model, which has no table; set Meta.model to a model "
                "that derives from it."
            )
        connection = self.tortoise_using_db
        _check_initialised(model, connection)
        if connection is not None:
            _check_usable(connection)
        owner = type(self).__name__
        for field in self.get_or_create:
            if field != "pk" and field not in model._meta.fields:
                raise ConfigurationError(
                    "get_or_create",
                    f"names {field!r}, which is not a field of {name}; it has: "
                    f"{', '.join(sorted(model._meta.fields - model._meta.fetch_fields))}.",
                    owner=owner,
                )
        for path in self.fetch:
            _check_relation(model, path, owner)

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        unsaved = {
            name: value
            for name, value in kwargs.items()
            if isinstance(value, Model)
            and not value._saved_in_db
            and (name in model._meta.fk_fields or name in model._meta.o2o_fields)
        }
        if not unsaved:
            return model(*args, **kwargs)
        instance = model(*args, **{n: v for n, v in kwargs.items() if n not in unsaved})
        for name, related in unsaved.items():
            _relate(instance, name, related)
        return instance

    def exclusive(self) -> AbstractAsyncContextManager[object]:
        if not self.get_or_create:
            return nullcontext()  # save() waits its turn by itself
        connection = self.tortoise_using_db
        return _turn(*(_connections_in_use() if connection is None else [connection]))

    async def save(self, instance: M) -> M:
        connection = self.connection(type(instance))
        async with _turn(connection):
            return await _insert(instance, connection)

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        return await self._lookup(model, lookup).get_or_none()

    async def find_winner(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        connection = self.connection(model)
        queryset = self._lookup(model, lookup)
        if connection.capabilities.dialect != "mysql":
            return await queryset.get_or_none()
        # MySQL's default isolation level, REPEATABLE READ, shows a plain SELECT what was there
        # when the transaction began; a locking one shows what is there. Not select_for_update():
        # all who lost the race hold a shared lock on the row, and would wait for each other.
        # https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
        # https://dev.mysql.com/doc/refman/8.4/en/innodb-locks-set.html
        queryset.sql()  # has it make its query
        sql, values = queryset.query.get_parameterized_sql()
        executor = connection.executor_class(model=model, db=connection)
        found: list[M] = await executor.execute_select(f"{sql} LOCK IN SHARE MODE", values)
        return found[0] if found else None

    def _lookup(self, model: type[M], lookup: Mapping[str, Any]) -> QuerySet[M]:
        # By the model's manager, as Model.get_or_create() does.
        return model.filter(**lookup).using_db(self.connection(model))

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        instances = await build()
        connection = self.connection(type(instances[0]))
        if isinstance(connection, TransactionalDBClient):
            async with _savepoint(connection):
                return await self.save_many(instances)
        return await self.save_many(instances)

    def stored_through(self, model: type[M]) -> Hashable:
        return self.connection(model)

    @asynccontextmanager
    async def rolled_back(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        connection = self.connection(model)
        try:
            if isinstance(connection, TransactionalDBClient):
                async with _savepoint(connection):
                    yield {"tortoise_using_db": connection}
                    raise _RollBackError
            async with connection._in_transaction() as transaction:
                yield {"tortoise_using_db": transaction}
                raise _RollBackError
        except _RollBackError:
            pass

    async def finish(self, instances: Sequence[M]) -> None:
        if not self.fetch:
            return
        of_model: dict[type[M], list[M]] = {}
        for instance in instances:
            of_model.setdefault(type(instance), []).append(instance)
        for model, some in of_model.items():
            await model.fetch_for_list(some, *self.fetch, using_db=self.connection(model))


def _check_initialised(model: type[Model], connection: BaseDBAsyncClient | None) -> None:
    context = get_current_context()
    if connection is None and not _is_initialised(context):
        raise MissingOptionError(
            "Tortoise ORM is not initialised here. In a fixture that the test uses, write "
            f"{_how_to_initialise(model)} (Tortoise keeps what it sets up in a context variable, "
            "so another task sees it only if it was started from there.)"
        )
    if not _is_registered(model, context if connection is None else None):
        raise MissingOptionError(
            f"{model.__name__} is not among the models that Tortoise ORM was initialised with. "
            f"Name the module that it is in: {_how_to_initialise(model)}"
        )


def _how_to_initialise(model: type[Model]) -> str:
    module = model.__module__
    return (
        f'await Tortoise.init(db_url=..., modules={{"models": ["{module}"]}}), or '
        f'async with tortoise_test_context(["{module}"]): ...'
    )


def _is_initialised(context: TortoiseContext | None) -> bool:
    if context is None or not context.inited:
        return False
    try:
        return bool(context.connections.db_config)
    except TortoiseConfigurationError:  # its connections have been closed
        return False


def _is_registered(model: type[Model], context: TortoiseContext | None) -> bool:
    meta = model._meta
    if context is None:
        return meta.default_connection is not None
    if meta.app is None or context.apps is None or meta.app not in context.apps:
        return False
    return context.apps[meta.app].get(model.__name__) is model


def _check_usable(connection: BaseDBAsyncClient) -> None:
    """Refuse what would make the driver fail in ways that are hard to read, or not fail."""
    if isinstance(connection, TransactionalDBClient) and connection._finalized:
        raise OptionError(
            "tortoise_using_db is the connection of a transaction that has ended; use the "
            "factory inside of async with in_transaction() as connection: ..."
        )
    transaction = _outermost_transaction(connection)
    if not (connection if transaction is None else transaction._parent)._check_loop():
        raise OptionError(
            "tortoise_using_db is a connection that another event loop has opened. Initialise "
            "Tortoise ORM in the loop that the test runs in (with pytest-asyncio: give fixture "
            "and test the same loop_scope), and take the connection from there."
        )


def _check_relation(model: type[Model], path: str, owner: str) -> None:
    for name in path.split("__"):
        if name not in model._meta.fetch_fields:
            raise ConfigurationError(
                "fetch",
                f"names {path!r}, but {name!r} is not a relation of {model.__name__}; it has: "
                f"{', '.join(sorted(model._meta.fetch_fields)) or 'none'}.",
                owner=owner,
            )
        model = cast("RelationalField[Any]", model._meta.fields_map[name]).related_model


def _relate(instance: Model, name: str, related: Model) -> None:
    """Have `instance` refer to an object that is not stored yet."""
    if hasattr(type(instance), name):
        setattr(instance, name, related)
        _relate_back(related, instance, name)
    else:
        # Tortoise has not been initialised, which would have put a property there. It will keep
        # the object under the second name. Not setattr(): Model.__setattr__ fails for lack of the
        # class that the relation is to.
        object.__setattr__(instance, name, related)
        object.__setattr__(instance, f"_{name}", related)
    # Where Tortoise keeps async defaults until save() evaluates them. One is forgotten, as this
    # should be, when something is assigned to the field or to the relation.
    instance._await_when_save[f"{name}_id"] = partial(_key, type(instance), name, related)


async def _key(model: type[Model], name: str, related: Model) -> object:
    if not related._saved_in_db:
        raise OperationalError(
            f"You should first call .save() on {related!r}, which is the {name} of a "
            f"{model.__name__}, before saving that one"
        )
    return getattr(related, cast("RelationalField[Any]", model._meta.fields_map[name]).to_field)


def _relate_back(related: Model, instance: Model, name: str) -> None:
    """Show `instance` in the backward relation of `related`, as Model.construct() does."""
    meta = related._meta
    for backward in meta.backward_fk_fields | meta.backward_o2o_fields:
        field = cast("BackwardFKRelation[Any]", meta.fields_map[backward])
        if field.related_model is type(instance) and field.relation_field == f"{name}_id":
            if isinstance(field, BackwardOneToOneRelation):
                setattr(related, f"_{backward}", instance)
            else:
                relation: ReverseRelation[Any] = getattr(related, backward)
                relation.related_objects.append(instance)
                relation._fetched = True


async def _insert(instance: M, connection: BaseDBAsyncClient) -> M:
    await instance.save(using_db=connection, force_create=True)
    unknown = _unknown_fields(instance)
    if unknown:
        await instance.refresh_from_db(unknown, using_db=connection)
    return instance


def _unknown_fields(instance: Model) -> list[str]:
    """Return the fields whose value the database has made up, and Tortoise has not fetched."""
    meta = instance._meta
    generated, defaults = meta.generated_db_fields, meta.db_default_db_columns
    if not defaults and generated in ((), (meta.db_pk_column,)):
        return []  # made up is the key at most, which Tortoise always fetches
    if not _is_known(instance.pk):
        return []  # MySQL tells no key but an integer, so nothing can be fetched
    names = [meta.fields_db_projection_reverse[column] for column in (*generated, *defaults)]
    return [
        name
        for name in names
        if not _is_known(value := getattr(instance, name))
        and (value is not None or meta.fields_map[name].generated)
    ]


def _is_known(value: object) -> bool:
    return value is not None and not isinstance(value, DatabaseDefault)


def _connections_in_use() -> list[BaseDBAsyncClient]:
    context = get_current_context()
    return context.connections.all() if context is not None and _is_initialised(context) else []


def _outermost_transaction(connection: BaseDBAsyncClient) -> TransactionalDBClient | None:
    outermost = None
    while isinstance(connection, TransactionalDBClient):
        outermost = connection
        connection = connection._parent
    return outermost


# Within a transaction, tasks must not set savepoints and store objects in between each other: to
# roll one back would undo what others have stored since. The lock of a transaction goes with it.
# https://github.com/tortoise/tortoise-orm/issues/1861
_locks: WeakKeyDictionary[TransactionalDBClient, asyncio.Lock] = WeakKeyDictionary()

# The locks that the running code has, possibly through a task that it is part of: a signal
# listener, or an overridden save(), may create further objects.
_held: ContextVar[frozenset[asyncio.Lock]] = ContextVar(
    "async_factory_boy_tortoise_held", default=frozenset()
)


def _turn(*connections: BaseDBAsyncClient) -> AbstractAsyncContextManager[object]:
    transactions = map(_outermost_transaction, connections)
    locks = [_lock(transaction) for transaction in transactions if transaction is not None]
    return _Turn(locks) if locks else nullcontext()


def _lock(transaction: TransactionalDBClient) -> asyncio.Lock:
    lock = _locks.get(transaction)
    if lock is None:
        lock = _locks[transaction] = asyncio.Lock()
    return lock


class _Turn:
    """Holds locks, but for those that the running code has already.

    Not an asynccontextmanager, which would cost 20 of the 250 microseconds that storing takes.
    """

    def __init__(self, locks: Sequence[asyncio.Lock]) -> None:
        self._locks = locks
        self._taken: list[asyncio.Lock] = []

    async def __aenter__(self) -> None:
        self._held = _held.get()
        try:
            for lock in self._locks:
                if lock not in self._held:
                    await lock.acquire()
                    self._taken.append(lock)
        except BaseException:
            self._release()
            raise
        _held.set(self._held.union(self._taken))

    async def __aexit__(self, *_: object) -> None:
        _held.set(self._held)
        self._release()

    def _release(self) -> None:
        for lock in self._taken:
            lock.release()


class _RollBackError(Exception):
    """Ends a transaction whose context manager would commit it."""


@asynccontextmanager
async def _savepoint(transaction: TransactionalDBClient) -> AsyncGenerator[None]:
    # Statements go through the transaction itself, not through the client that the savepoint
    # has: that one takes no notice of the statements that other tasks are waiting for.
    savepoint = transaction._in_transaction()
    async with transaction.acquire_connection():
        await savepoint.__aenter__()
    try:
        yield
    except BaseException as error:
        async with transaction.acquire_connection():
            await savepoint.__aexit__(type(error), error, error.__traceback__)
        raise
    else:
        async with transaction.acquire_connection():
            await savepoint.__aexit__(None, None, None)
