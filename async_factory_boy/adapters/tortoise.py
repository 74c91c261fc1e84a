"""Stores objects through Tortoise ORM."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, TypeVar

from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.adapters.configuration import check_names, fields_option
from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.matching import answered, matched, only_one
from async_factory_boy.adapters.paging import paged
from async_factory_boy.exceptions import ConfigurationError
from async_factory_boy.options import CallOption
from async_factory_boy.stores import missing

try:
    from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
    from tortoise.exceptions import IntegrityError
    from tortoise.models import Model
    from tortoise.queryset import QuerySet
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("Tortoise ORM", "tortoise")) from error

from async_factory_boy.adapters._tortoise.checks import (
    check_ambient,
    check_connection,
    check_initialised,
    check_model,
    check_relation,
    check_resolved,
    check_usable,
)
from async_factory_boy.adapters._tortoise.connections import outermost_transaction
from async_factory_boy.adapters._tortoise.fields import fields_of
from async_factory_boy.adapters._tortoise.inserts import (
    insert_many,
    insert_one,
    saves_as_tortoise_does,
)
from async_factory_boy.adapters._tortoise.lookups import (
    PAGE,
    any_of,
    columns_of,
    key_by_its_name,
)
from async_factory_boy.adapters._tortoise.overrides import (
    has_parameter,
    overrides_create,
    remember_arguments,
)
from async_factory_boy.adapters._tortoise.relations import (
    add_related,
    additions_of,
    relate,
    relate_many,
)
from async_factory_boy.adapters._tortoise.savepoints import RollBackError, savepoint

__all__ = ["TortoiseAdapter"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M", bound=Model)


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

    tortoise_using_db: CallOption[BaseDBAsyncClient] = CallOption(check_connection)

    conflicts: ClassVar[tuple[type[Exception], ...]] = (IntegrityError,)

    def __init__(self, *, get_or_create: Sequence[str] = (), fetch: Sequence[str] = ()) -> None:
        owner = type(self).__name__
        self.get_or_create = fields_option("get_or_create", get_or_create, owner=owner)
        self.fetch = fields_option("fetch", fetch, owner=owner, example="company")
        self.refreshes = bool(self.fetch)

    @classmethod
    def handles(cls, model: type) -> bool:
        return isinstance(model, type) and issubclass(model, Model)

    def connection(self, model: type[Model]) -> BaseDBAsyncClient:
        """Return the connection that objects of `model` are stored through now."""
        return self.tortoise_using_db or model._choose_db(for_write=True)

    def check(self, model: type[M]) -> None:
        check_model(model)
        connection = self.tortoise_using_db
        check_initialised(model, connection)
        if connection is not None:
            check_usable(connection)
        else:
            check_ambient(self.connection(model))
        owner = type(self).__name__
        for field in self.get_or_create:
            if field in model._meta.m2m_fields:
                raise ConfigurationError(
                    "get_or_create",
                    f"names {field!r}, a many-to-many relation, which identifies no object; name "
                    f"fields of {model.__name__} that do.",
                    owner=owner,
                )
        fields = model._meta.fields
        unknown = [one for one in self.get_or_create if one != "pk" and one not in fields]
        if unknown:
            named = fields - model._meta.fetch_fields
            check_names("get_or_create", unknown, named, owner=owner, model=model)
        for path in self.fetch:
            check_relation(model, path, owner)

    def keys_of(self, model: type[M]) -> Mapping[str, Mapping[str, str]]:
        if not self.handles(model):
            return {}
        # Not kept: Tortoise names the field that is referred to only when it is initialised.
        meta = model._meta
        return {
            name: {f"{name}_id": getattr(meta.fields_map[name], "to_field", None) or "pk"}
            for name in meta.fk_fields | meta.o2o_fields
        }

    def fields(self, model: type[M]) -> Sequence[Field]:
        check_model(model)
        check_resolved(model)
        return fields_of(model, self.keys_of(model))

    def primary_key(self, data: M, /) -> Mapping[str, Any]:
        return {data._meta.pk_attr: data.pk if data._saved_in_db else None}

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        if not self.handles(model):
            return super().build(model, args, kwargs)
        meta = model._meta
        if "pk" in kwargs:
            kwargs = key_by_its_name(model, kwargs)
        many = {
            name: value
            for name, value in kwargs.items()
            # What the model's own constructor takes is its business.
            if name in meta.m2m_fields and not has_parameter(model.__init__, name)
        }
        unsaved = {
            name: value
            for name, value in kwargs.items()
            if isinstance(value, Model)
            and not value._saved_in_db
            and (name in meta.fk_fields or name in meta.o2o_fields)
        }
        if unsaved or many:
            given = {n: v for n, v in kwargs.items() if n not in unsaved and n not in many}
            instance = model(*args, **given)
        else:
            instance = model(*args, **kwargs)
        if overrides_create(model):
            # What an own create() takes is its business, likewise.
            many = {n: value for n, value in many.items() if not has_parameter(model.create, n)}
            given = {n: value for n, value in kwargs.items() if n not in many}
            remember_arguments(instance, args, given)
        for name, related in unsaved.items():
            relate(instance, name, related)
        for name, related in many.items():
            relate_many(instance, name, related)
        return instance

    async def save(self, data: M) -> M:
        connection = self.connection(type(data))
        additions = additions_of([data])
        stored = await insert_one(data, connection)
        if additions:
            await add_related([stored], additions, connection)
        return stored

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
            or not saves_as_tortoise_does(model, executor)
        ):
            return list(await super().save_many(instances))
        additions = additions_of(instances)
        await insert_many(instances, executor)
        if additions:
            await add_related(instances, additions, connection)
        return instances

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        return only_one(await self._lookup(model, lookup).limit(2), model, lookup)

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        columns = [columns_of(model, lookup) for lookup in lookups]
        if None in columns:
            return await super().find_many(model, lookups)
        wanted = [tuple(one.values()) for one in columns if one is not None]
        names = tuple(columns[0] or ())
        connection = self.connection(model)
        found: list[tuple[Any, M]] = []
        for page in paged(wanted, PAGE):
            for instance in await model.filter(any_of(names, page)).using_db(connection):
                found.append((tuple(getattr(instance, name) for name in names), instance))
        return await answered(lookups, matched(wanted, found), partial(self.find, model))

    async def find_afresh(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        connection = self.connection(model)
        if connection.capabilities.dialect != "mysql":
            return await self.find(model, lookup)
        # MySQL's default isolation level, REPEATABLE READ, shows a plain SELECT what was there
        # when the transaction began; a locking one shows what is there. Not select_for_update():
        # all who lost the race hold a shared lock on the row, and would wait for each other.
        # https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
        # https://dev.mysql.com/doc/refman/8.4/en/innodb-locks-set.html
        queryset = self._lookup(model, lookup).limit(2)
        queryset.sql()  # has it make its query
        sql, values = queryset.query.get_parameterized_sql()
        executor = connection.executor_class(model=model, db=connection)
        found: list[M] = await executor.execute_select(f"{sql} LOCK IN SHARE MODE", values)
        return only_one(found, model, lookup)

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        instances = await build()
        connection = self.connection(type(instances[0]))
        if isinstance(connection, TransactionalDBClient):
            async with savepoint(connection):
                return await self.save_many(instances)
        return await self.save_many(instances)

    def ambient_options(self, model: type[M]) -> Mapping[str, Any]:
        # in_transaction() puts its connection into a context variable of the code inside it.
        return {"tortoise_using_db": self.connection(model)}

    def connection_key(self, model: type[M]) -> Hashable:
        # Within a transaction, tasks must not set savepoints and store objects in between each
        # other: to roll one back would undo what others have stored since.
        # https://github.com/tortoise/tortoise-orm/issues/1861
        return outermost_transaction(self.connection(model))

    async def refresh(self, instances: Sequence[M]) -> None:
        if not self.fetch:
            return
        of_model: dict[type[M], list[M]] = {}
        for instance in instances:
            of_model.setdefault(type(instance), []).append(instance)
        for model, some in of_model.items():
            for page in paged(some, PAGE):
                await model.fetch_for_list(page, *self.fetch, using_db=self.connection(model))

    @asynccontextmanager
    async def undo(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        connection = self.connection(model)
        try:
            if isinstance(connection, TransactionalDBClient):
                async with savepoint(connection):
                    yield {"tortoise_using_db": connection}
                    raise RollBackError
            async with connection._in_transaction() as transaction:
                yield {"tortoise_using_db": transaction}
                raise RollBackError
        except RollBackError:
            pass

    def _lookup(self, model: type[M], lookup: Mapping[str, Any]) -> QuerySet[M]:
        # By the model's manager, as Model.get_or_create() does.
        return model.filter(**lookup).using_db(self.connection(model))
