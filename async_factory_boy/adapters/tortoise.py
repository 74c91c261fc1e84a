"""Stores objects through Tortoise ORM."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, groupby, islice, pairwise, repeat
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast
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
    from pypika_tortoise.terms import Field as Column
    from tortoise.backends.base.client import (
        BaseDBAsyncClient,
        TransactionalDBClient,
        TransactionContext,
    )
    from tortoise.backends.base.executor import BaseExecutor
    from tortoise.context import TortoiseContext, get_current_context
    from tortoise.exceptions import ConfigurationError as TortoiseConfigurationError
    from tortoise.exceptions import IntegrityError, OperationalError
    from tortoise.expressions import Q
    from tortoise.fields import IntField
    from tortoise.fields.base import DatabaseDefault
    from tortoise.fields.relational import (
        BackwardFKRelation,
        BackwardOneToOneRelation,
        ForeignKeyFieldInstance,
        RelationalField,
        ReverseRelation,
    )
    from tortoise.models import Model
    from tortoise.queryset import QuerySet
    from tortoise.signals import Signals
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("Tortoise ORM", "tortoise")) from error

__all__ = ["TortoiseAdapter"]

M = TypeVar("M", bound=Model)
T = TypeVar("T")

# Rows per INSERT, as many as SQLAlchemy puts into one; fewer, if they have many columns: asyncpg
# takes 32,767 parameters, and SQLite one less.
_ROWS = 1000
_PARAMETERS = 32_766

# Characters and bytes of values per INSERT, where the driver puts them into the statement, which
# MySQL and MariaDB limit (max_allowed_packet). What the drivers' executemany() goes by.
_LENGTH = 1_024_000

# Objects per SELECT, when many are looked up or loaded again.
_PAGE = 500

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

    The objects of a batch share INSERTs. Only where the database would not tell which key is whose,
    or where the model overrides ``save()``, each has its own.

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
        elif not _is_of_this_loop(self.connection(model)):
            raise OptionError(
                "The transaction that this code is in was begun in another event loop. Enter "
                "in_transaction() in the loop that the test runs in (with pytest-asyncio: give "
                "fixture and test the same loop_scope)."
            )
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

    async def save(self, data: M) -> M:
        connection = self.connection(type(data))
        async with _turn(connection):
            return await _insert(data, connection)

    async def save_many(self, data: Sequence[M]) -> list[M]:
        instances = list(data)
        if not instances:
            return []
        model = type(instances[0])
        connection = self.connection(model)
        executor = connection.executor_class(model=model, db=connection)
        if (
            type(self).save is not TortoiseAdapter.save
            or any(type(instance) is not model for instance in instances)
            or not _saves_as_tortoise_does(model, executor)
        ):
            return list(await super().save_many(instances))
        async with _turn(connection):
            await _insert_many(instances, executor)
        return instances

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        return await self._lookup(model, lookup).get_or_none()

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        columns = [_columns_of(model, lookup) for lookup in lookups]
        if None in columns:
            return await super().find_many(model, lookups)
        wanted = [tuple(one.values()) for one in columns if one is not None]
        names = tuple(columns[0] or ())
        connection = self.connection(model)
        found: dict[tuple[Any, ...], list[M]] = {}
        for page in _paged(wanted, _PAGE):
            for instance in await model.filter(_is_any_of(names, page)).using_db(connection):
                values = tuple(getattr(instance, name) for name in names)
                found.setdefault(values, []).append(instance)
        # The database may take for equal what Python does not, such as "acme" and "ACME".
        is_otherwise_equal = bool(found.keys() - set(wanted))
        answers: list[M | None] = []
        for lookup, values in zip(lookups, wanted, strict=True):
            matches = found.get(values, [])
            if len(matches) == 1:
                answers.append(matches[0])
            elif matches or is_otherwise_equal:
                # If it is not one: for the error of find().
                answers.append(await self.find(model, lookup))
            else:
                answers.append(None)
        return answers

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
            for page in _paged(some, _PAGE):
                await model.fetch_for_list(page, *self.fetch, using_db=self.connection(model))


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
    if not _is_of_this_loop(connection):
        raise OptionError(
            "tortoise_using_db is a connection that another event loop has opened. Initialise "
            "Tortoise ORM in the loop that the test runs in (with pytest-asyncio: give fixture "
            "and test the same loop_scope), and take the connection from there."
        )


def _is_of_this_loop(connection: BaseDBAsyncClient) -> bool:
    transaction = _outermost_transaction(connection)
    return (connection if transaction is None else transaction._parent)._check_loop()


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
    await _load_unknown([instance], connection)
    return instance


# What Model.save() consists of. If a model has its own, each object is stored through it.
_PARTS_OF_SAVE = (
    "save",
    "_set_async_default_field",
    "_pre_save",
    "_post_save",
    "_wait_for_listeners",
)


def _saves_as_tortoise_does(model: type[Model], executor: BaseExecutor) -> bool:
    """Tell whether saving an object is what `_insert_many` does, no more and no less."""
    dialect = executor.db.capabilities.dialect
    return (
        # Before 3.35, SQLite did not know RETURNING, and took fewer parameters.
        (dialect == "sqlite" and sqlite3.sqlite_version_info >= (3, 35))
        or dialect in ("postgres", "mysql")
    ) and (
        type(executor).execute_insert is BaseExecutor.execute_insert
        and all(getattr(model, name) is getattr(Model, name) for name in _PARTS_OF_SAVE)
    )


async def _insert_many(instances: Sequence[M], executor: BaseExecutor) -> None:
    """Do for many objects, step by step, what ``Model.save(force_create=True)`` does for one."""
    model, connection = type(instances[0]), executor.db
    listeners = model._listeners
    for instance in instances:
        if instance._await_when_save:
            await instance._set_async_default_field()
        if listeners[Signals.pre_save].get(model):
            await instance._pre_save(connection)
    inserts = _Inserts[M](executor, returning=await _knows_returning(connection))
    pages = inserts.pages(instances)
    if len(pages) == 1 or isinstance(connection, TransactionalDBClient):
        await inserts.execute(pages, connection)
    else:
        # So that all of them are stored or none, as with one page. Nothing in here calls code of
        # the user's, which would be surprised by the transaction.
        async with connection._in_transaction() as transaction:
            await inserts.execute(pages, transaction)
    for instance in instances:
        instance._saved_in_db = True
    if listeners[Signals.post_save].get(model):
        for instance in instances:
            await instance._post_save(connection, created=True)


class _Alike(NamedTuple):
    """What rows have to have in common to go into one statement."""

    together: bool
    """Whether they can, with it known afterwards which key is whose."""
    key_is_given: bool
    """Whether they have keys, where the database would generate them."""
    omitted: tuple[str, ...]
    """The fields that are left to the default of their column."""


_Row = tuple[_Alike, M, list[Any]]


@dataclass
class _Page(Generic[M]):
    alike: _Alike
    instances: Sequence[M]
    rows: Sequence[Sequence[Any]]
    """The values of each, as the driver takes them."""


class _Inserts(Generic[M]):
    """Inserts new objects of one model.

    Args:
        executor: Tortoise's, for the model and a connection.
        returning: Whether the server knows ``INSERT ... RETURNING``.
    """

    def __init__(self, executor: BaseExecutor, *, returning: bool) -> None:
        self.model = executor.model
        self.meta = executor.model._meta
        self.executor = executor
        self.returning = returning
        # By key_is_given, as Tortoise tells the two apart.
        self.names = {False: executor.regular_columns, True: executor.regular_columns_all}
        # That its keys count up shows which of the rows that come back is whose.
        self.returns_key = returning and isinstance(self.meta.pk, IntField)
        # SQLite does not know the keyword DEFAULT among values.
        self.mixes_defaults = executor.db.capabilities.dialect != "sqlite"

    def pages(self, instances: Iterable[M]) -> list[_Page[M]]:
        """Convert the values of the objects, and divide these into pages, in their order."""
        pages = []
        for alike, alike_rows in groupby(self._rows(instances), lambda row: row[0]):
            size = min(_ROWS, _PARAMETERS // (len(self.names[alike.key_is_given]) or 1))
            while rows := list(islice(alike_rows, size)):
                for some in self._of_bounded_length(rows):
                    pages.append(_Page(alike, [row[1] for row in some], [row[2] for row in some]))
        return pages

    def _of_bounded_length(self, rows: Sequence[_Row[M]]) -> Iterator[Sequence[_Row[M]]]:
        start = 0
        if self.executor.db.capabilities.dialect == "mysql":
            length = 0
            for end, (_, _, values) in enumerate(rows):
                own = sum(len(value) for value in values if isinstance(value, str | bytes))
                if length + own > _LENGTH and end > start:
                    yield rows[start:end]
                    start, length = end, 0
                length += own
        yield rows[start:]

    def _rows(self, instances: Iterable[M]) -> Iterator[_Row[M]]:
        converters = {
            given: [(name, self.meta.fields_map[name].to_db_value) for name in names]
            for given, names in self.names.items()
        }
        generated = self.meta.pk.generated
        some_have_defaults = bool(self.meta.db_default_db_columns)
        for instance in instances:
            given = instance._custom_generated_pk
            if not (_is_known(instance.pk) if given or not generated else self.returns_key):
                yield _Alike(False, given, ()), instance, []
                continue
            omitted: list[str] = []
            values: list[Any] = []
            for name, to_db_value in converters[given]:
                value = getattr(instance, name)
                if some_have_defaults and isinstance(value, DatabaseDefault):
                    omitted.append(name)
                    values.append(value)
                else:
                    values.append(to_db_value(value, instance))
            together = len(omitted) < len(values)
            separate = () if self.mixes_defaults else tuple(omitted)
            yield _Alike(together, given, separate), instance, values

    async def execute(self, pages: Iterable[_Page[M]], connection: BaseDBAsyncClient) -> None:
        """Insert all pages, and read back what the database has made up for them."""
        self.executor.db = connection
        for page in pages:
            if not page.alike.together:
                for instance in page.instances:
                    await self.executor.execute_insert(instance)
                await _load_unknown(page.instances, connection)
                continue
            sql, values, made_up = self._statement(page)
            rows = await connection.execute_query_dict(sql, values)
            if not made_up:
                continue
            if self.returning:
                self._fill(page.instances, self._in_order(page, rows), made_up)
            else:
                await _load_unknown(page.instances, connection)

    def _statement(self, page: _Page[M]) -> tuple[str, list[Any], list[str]]:
        """Return the INSERT for a page, its parameters, and the columns it leaves to the database.

        Written out row by row: to have Tortoise's query builder do so would take more time than
        all the rest. It writes the beginning.
        """
        key_is_given = page.alike.key_is_given
        names: Sequence[str] = self.names[key_is_given]
        rows: Sequence[Sequence[Any]] = page.rows
        defaulted: list[str] = []
        if self.meta.db_default_db_columns:
            columns = dict(zip(names, zip(*rows, strict=True), strict=True))
            defaulted = [name for name, column in columns.items() if any(map(_is_default, column))]
            names = [name for name, column in columns.items() if not all(map(_is_default, column))]
            rows = list(zip(*(columns[name] for name in names), strict=True))
        projection = self.meta.fields_db_projection
        query_class = self.executor.db.query_class
        query = query_class.into(self.meta.basetable).columns(*(projection[n] for n in names))
        beginning, _, _ = str(
            query.insert(*map(self.executor.parameter, range(len(names))))
        ).rpartition("(")
        marks = self._marks()
        if defaulted:
            lines = [
                ",".join("DEFAULT" if _is_default(v) else next(marks) for v in row) for row in rows
            ]
            values = [value for row in rows for value in row if not _is_default(value)]
        else:
            lines = [",".join(islice(marks, len(names))) for _ in rows]
            values = list(chain.from_iterable(rows))
        sql = f"{beginning}({'),('.join(lines)})"
        key = self.meta.db_pk_column
        made_up = [c for c in self.meta.generated_db_fields if not (key_is_given and c == key)]
        made_up += [projection[name] for name in defaulted]
        if made_up and self.returning:
            returned = dict.fromkeys([key, *made_up])
            sql += " RETURNING " + ",".join(
                Column(c).get_sql(query_class.SQL_CONTEXT) for c in returned
            )
        return sql, values, made_up

    def _marks(self) -> Iterator[str]:
        """Yield the parameters of a statement: ``?``, ``?`` and so on, or ``$1``, ``$2``."""
        context = self.executor.db.query_class.SQL_CONTEXT
        first, second = (self.executor.parameter(n).get_sql(context) for n in range(2))
        if first == second:
            return repeat(first)
        sign = first.removesuffix("1")
        return (f"{sign}{number}" for number in count(1))

    def _fill(
        self,
        instances: Sequence[M],
        rows: Sequence[Mapping[str, Any]],
        made_up: Sequence[str],
    ) -> None:
        """Set the fields that the database has made up values for."""
        for column in made_up:
            always = column in self.meta.generated_db_fields
            name = self.meta.fields_db_projection_reverse[column]
            to_python_value = self.meta.fields_map[name].to_python_value
            for instance, row in zip(instances, rows, strict=True):
                if always or _is_default(getattr(instance, name)):
                    setattr(instance, name, to_python_value(row[column]))

    def _in_order(
        self, page: _Page[M], rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the rows in the order of the instances.

        No database promises to return them in the order that they were inserted in. All do so, and
        they generate keys in that order; if the one is so, and the other, it shows.
        https://github.com/sqlalchemy/sqlalchemy/issues/9618
        """
        column = self.meta.db_pk_column
        if self.meta.pk.generated and not page.alike.key_is_given:
            keys = [row[column] for row in rows]
            if len(keys) == len(page.instances) and all(a < b for a, b in pairwise(keys)):
                return rows
        else:
            to_python_value = self.meta.pk.to_python_value
            of_key = {to_python_value(row[column]): row for row in rows}
            keys = [to_python_value(instance.pk) for instance in page.instances]
            if of_key.keys() == set(keys):
                return [of_key[key] for key in keys]
        raise AdapterError(
            f"The database does not tell which row is whose when {self.model.__name__} objects are "
            "inserted by one statement: a trigger changes their keys, or the keys do not count up. "
            "Store them one by one, by a subclass of TortoiseAdapter that says "
            "save_many = PersistenceAdapter.save_many."
        )


async def _load_unknown(instances: Iterable[Model], connection: BaseDBAsyncClient) -> None:
    """Load the fields whose values the database has made up, and Tortoise has not fetched."""
    unknown = [(one, own) for one in instances if (own := _unknown_fields(one))]
    for page in _paged(unknown, _PAGE):
        model = type(page[0][0])
        key = model._meta.pk_attr
        # Not by the model's manager, which may hide them.
        queryset = QuerySet(model).using_db(connection)
        queryset = queryset.only(key, *{name for _, own in page for name in own})
        stored = {
            one.pk: one
            for one in await queryset.filter(_q({f"{key}__in": [one.pk for one, _ in page]}))
        }
        for instance, own in page:
            for name in own:
                setattr(instance, name, getattr(stored[instance.pk], name))


# Whether the server behind a pool knows INSERT ... RETURNING, for those that speak MySQL.
_known_servers: WeakKeyDictionary[BaseDBAsyncClient, bool] = WeakKeyDictionary()


async def _knows_returning(connection: BaseDBAsyncClient) -> bool:
    if connection.capabilities.dialect != "mysql":
        return True
    transaction = _outermost_transaction(connection)
    pool = connection if transaction is None else transaction._parent
    if pool not in _known_servers:
        # The driver has been told when it connected, so this takes no round trip.
        async with connection.acquire_connection() as driver:
            _known_servers[pool] = _is_mariadb_with_returning(driver.get_server_info())
    return _known_servers[pool]


def _is_mariadb_with_returning(server: str) -> bool:
    # "11.4.2-MariaDB"; before version 11 after "5.5.5-", for the sake of replication with MySQL.
    version = re.search(r"(\d+)\.(\d+)\.\d+(-\d+)?-MariaDB", server)
    return version is not None and (int(version[1]), int(version[2])) >= (10, 5)


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


def _is_default(value: object) -> bool:
    return isinstance(value, DatabaseDefault)


def _is_known(value: object) -> bool:
    return value is not None and not isinstance(value, DatabaseDefault)


def _columns_of(model: type[Model], lookup: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a lookup asks for by the fields that have columns, with values as on an object.

    None if that cannot be said, or not be compared.
    """
    meta = model._meta
    columns: dict[str, Any] = {}
    for name, value in lookup.items():
        field = meta.fields_map[meta.pk_attr if name == "pk" else name]
        if isinstance(field, ForeignKeyFieldInstance):
            if isinstance(value, Model):
                value = getattr(value, field.to_field)
            field = meta.fields_map[cast("str", field.source_field)]
        if field.model_field_name not in meta.fields_db_projection:
            return None
        value = field.to_python_value(value)
        try:
            hash(value)
        except TypeError:
            return None
        columns[field.model_field_name] = value
    return columns


def _q(conditions: Mapping[str, Any]) -> Q:
    return Q(**conditions)


def _is_any_of(names: Sequence[str], wanted: Sequence[Sequence[Any]]) -> Q:
    if len(names) == 1:
        values = [value for (value,) in wanted]
        if None not in values:
            return _q({f"{names[0]}__in": values})
    if len(wanted) == 1:
        return _q(dict(zip(names, wanted[0], strict=True)))
    # Halved, since a long chain would be too deep a recursion for Tortoise.
    half = len(wanted) // 2
    return Q(_is_any_of(names, wanted[:half]), _is_any_of(names, wanted[half:]), join_type=Q.OR)


def _paged(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


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
