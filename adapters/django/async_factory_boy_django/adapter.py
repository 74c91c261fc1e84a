"""Stores objects through Django's ORM."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any, ClassVar, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import IntegrityError, connections, router, transaction
from django.db.models import Field, ForeignKey, Manager, Model, Q
from django.db.models.manager import BaseManager
from django.db.models.query import QuerySet
from django.dispatch import Signal

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters import fields as told
from async_factory_boy.adapters.configuration import check_names, fields_option
from async_factory_boy.adapters.matching import ASK, are_hashable, matched, only_one
from async_factory_boy.exceptions import AdapterError, ConfigurationError, OptionError, closest
from async_factory_boy.options import CallOption
from async_factory_boy_django import inserts, relations
from async_factory_boy_django.fields import check_resolved, fields_of
from async_factory_boy_django.signals import mute_signals, muted_signals

__all__ = ["DjangoAdapter"]

M = TypeVar("M", bound=Model)
R = TypeVar("R")

AnyField: TypeAlias = "Field[Any, Any]"

# The keys of each model's relations. Weak, since a model may be made by a test.
_keys: WeakKeyDictionary[type[Model], Mapping[str, Mapping[str, str]]] = WeakKeyDictionary()


def _unknown_alias(alias: object) -> str:
    """Return what is wrong with a database alias, or nothing."""
    if not isinstance(alias, str):
        return f"takes the alias of a database, as a string; got {alias!r}."
    known = list(connections)
    if alias not in known:
        return (
            f"names {alias!r}, which is not in settings.DATABASES.{closest(alias, known)} "
            f"Known databases: {', '.join(sorted(known))}."
        )
    return ""


def _check_database(value: object) -> None:
    problem = _unknown_alias(value)
    if problem:
        raise OptionError(f"django_database {problem}")


def _check_signals(value: object) -> None:
    if not isinstance(value, Collection) or not all(isinstance(one, Signal) for one in value):
        raise OptionError(
            f"django_muted_signals takes signals of Django, such as [post_save]; got {value!r}."
        )


def _check_model(model: type[Model]) -> None:
    """Refuse what is no model, or has no table of its own."""
    name = getattr(model, "__name__", repr(model))
    if not (isinstance(model, type) and issubclass(model, Model)):
        raise AdapterError(
            f"{name} is not a model of Django, so it cannot be stored; set Meta.model to a "
            'class that derives from django.db.models.Model, or to its "app_label.ModelName".'
        )
    if model._meta.abstract:
        raise AdapterError(
            f"{name} is an abstract model, which has no table; set Meta.model to a model "
            "that derives from it."
        )
    if model._meta.swapped:
        raise AdapterError(
            f"{name} has been swapped for {model._meta.swapped} by "
            f"settings.{model._meta.swappable}; set Meta.model to that one."
        )


class DjangoAdapter(PersistenceAdapter[M]):
    """Stores objects of Django models.

    ```python
    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = DjangoAdapter(get_or_create=("username",))
    ```

    An object is stored as by ``Manager.acreate()``: signals are sent, and an overridden ``save()``
    is called. Objects of a batch are stored by ``bulk_create()``, where that sets their keys, and
    leaves out no signal that somebody listens to, no overridden ``save()``, and no parent's
    table. Either way it takes one change of thread.

    A list of related objects may be given for a relation of many to many: they are added once the
    object is stored. A time that is given for a field with ``auto_now`` or ``auto_now_add`` is
    what is stored, where Django would put its own in its place.

    The call-time options are ``django_database``, and ``django_muted_signals``: signals that are
    not sent when an object is stored, besides those that `mute_signals` mutes where it is asked
    for.

    What it returns is loaded: a field that the database has made up, or computed from an
    expression, has its value. It never commits or rolls back the caller's transaction.

    Args:
        get_or_create: Fields that identify an object. One that has their values is looked up
            before a new one is stored; that happens in a savepoint, so that losing a race for a
            unique value costs nothing, and finds the winner's row.
        database: The alias of the database, when neither the call nor ``bind`` gives one. Default:
            the one that the database routers choose for the model.

    Raises:
        ConfigurationError: When an argument is not of the kind described.
    """

    django_database: CallOption[str] = CallOption(_check_database)
    django_muted_signals: CallOption[Collection[Signal]] = CallOption(_check_signals)

    conflicts: ClassVar[tuple[type[Exception], ...]] = (IntegrityError,)

    def __init__(self, *, get_or_create: Sequence[str] = (), database: str | None = None) -> None:
        owner = type(self).__name__
        if database is not None and not isinstance(database, str):
            raise ConfigurationError("database", _unknown_alias(database), owner=owner)
        self.get_or_create = fields_option("get_or_create", get_or_create, owner=owner)
        self.database = database

    @classmethod
    def handles(cls, model: type) -> bool:
        return isinstance(model, type) and issubclass(model, Model)

    def alias(self, model: type[M]) -> str:
        """Return the alias of the database that objects of `model` are stored in now."""
        alias: str
        alias = self.django_database or self.database or router.db_for_write(model)
        return alias

    def manager(self, model: type[M]) -> Manager[M]:
        """Return the manager of `model`, for the database that its objects are stored in now.

        That is ``objects``, or the default manager of a model which has another in its place.
        """
        manager: Manager[M] = _manager(model).db_manager(self.alias(model))
        return manager

    def check(self, model: type[M]) -> None:
        _check_model(model)
        owner = type(self).__name__
        if self.database is not None:
            problem = _unknown_alias(self.database)
            if problem:
                raise ConfigurationError("database", problem, owner=owner)
        unknown = [field for field in self.get_or_create if _column(model, field) is None]
        names = [one.name for one in model._meta.concrete_fields]
        check_names("get_or_create", unknown, names, owner=owner, model=model, what="stored field")

    def keys_of(self, model: type[M]) -> Mapping[str, Mapping[str, str]]:
        if not self.handles(model):
            return {}
        keys = _keys.get(model)
        if keys is None:
            keys = _keys[model] = {
                field.name: {field.attname: field.target_field.attname}
                for field in model._meta.concrete_fields
                if isinstance(field, ForeignKey)
            }
        return keys

    def fields(self, model: type[M]) -> Sequence[told.Field]:
        _check_model(model)
        check_resolved(model)
        return fields_of(model, self.keys_of(model))

    def primary_key(self, data: M, /) -> Mapping[str, Any]:
        return {data._meta.pk.attname: None if data._state.adding else data.pk}

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        values, given = relations.split(model, kwargs)
        instance = model(*args, **values)
        relations.keep(instance, given)
        return instance

    async def save(self, data: M) -> M:
        return (await self.save_many([data]))[0]

    async def save_many(self, data: Sequence[M]) -> list[M]:
        return await self._in_thread(_store, data, self.alias(type(data[0])))

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        return await self._in_thread(_find, self.manager(model), lookup)

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        return await self._in_thread(_find_many, self.manager(model), lookups)

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        instances = await build()
        alias = self.alias(type(instances[0]))

        def store_all_or_none() -> list[M]:
            # Begun and ended within one piece of work of the thread: in between, other tasks
            # could use the connection, and would be part of it.
            with transaction.atomic(using=alias):
                return _store(instances, alias)

        return await self._in_thread(store_all_or_none)

    def ambient_options(self, model: type[M]) -> Mapping[str, Any]:
        # An object is stored elsewhere than it is asked for.
        muted = muted_signals(also=self.django_muted_signals or ())
        return {"django_muted_signals": muted} if muted else {}

    async def refresh(self, instances: Sequence[M]) -> None:
        unknown: dict[tuple[type[M], str], list[M]] = {}
        for instance in instances:
            if _unknown_fields(instance):
                key = type(instance), instance._state.db or self.alias(type(instance))
                unknown.setdefault(key, []).append(instance)
        for (_, alias), some in unknown.items():
            await self._in_thread(_load_unknown, some, alias)

    @asynccontextmanager
    async def undo(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        alias = self.alias(model)
        atomic = transaction.atomic(using=alias)
        begun = False

        def begin() -> None:
            nonlocal begun
            atomic.__enter__()
            begun = True

        def undo() -> None:
            if begun:
                transaction.set_rollback(True, using=alias)
                atomic.__exit__(None, None, None)

        try:
            await self._in_thread(begin)
            yield {}
        finally:
            # What waits for the thread is dropped when it is cancelled. (What the thread has begun
            # is not: hence one that is cancelled above is undone as well.)
            await asyncio.shield(self._in_thread(undo))

    def has_own_create(self, model: type[M]) -> bool:
        """Tell whether the manager of `model` overrides what it is asked to create an object by."""
        return _own_method(_manager(model), bool(self.get_or_create)) is not None

    async def create(
        self,
        model: type[M],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        lookup: Mapping[str, Any],
    ) -> M:
        """Have the manager of `model` create an object, or find it if there is a `lookup`.

        For a manager that overrides ``create()``, ``get_or_create()``, or an async form of them.
        """
        manager, alias = self.manager(model), self.alias(model)
        name = _own_method(manager, bool(lookup)) or "create"
        method = getattr(manager, name)
        takes = inspect.signature(method).parameters
        related = {key: value for key, value in kwargs.items() if key not in takes}
        _, given = relations.split(model, related)
        names = {relation.name for relation in given}
        values = {key: value for key, value in kwargs.items() if key not in names}
        if lookup:
            defaults = {key: value for key, value in values.items() if key not in lookup}
            values = {"defaults": defaults, **lookup}
        if inspect.iscoroutinefunction(inspect.unwrap(method)):
            with mute_signals(*(self.django_muted_signals or ())):
                made = await method(*args, **values)
        else:
            made = await self._in_thread(lambda: method(*args, **values))
        instance, is_new = made if lookup else (made, True)
        if is_new:
            await self._in_thread(_complete, instance, kwargs, given, alias)
        return cast("M", instance)

    async def _in_thread(self, function: Callable[..., R], *args: Any) -> R:
        # That of all of Django's async ORM: it has the connection, with the transaction in it.
        # https://docs.djangoproject.com/en/5.2/topics/async/#asgiref.sync.sync_to_async
        with mute_signals(*(self.django_muted_signals or ())):
            return await sync_to_async(function, thread_sensitive=True)(*args)


def _manager(model: type[M]) -> Manager[M]:
    manager = getattr(model, "objects", None)
    return cast(
        "Manager[M]", manager if isinstance(manager, BaseManager) else model._default_manager
    )


def _own_method(manager: Manager[Any], looks_up: bool) -> str | None:
    """Return the method of a manager that is to be asked for an object, if it overrides one.

    An async form comes first: it is what ``await Model.objects.acreate()`` calls.
    """
    queryset = _queryset_class(manager)
    if looks_up:
        for name in ("aget_or_create", "get_or_create"):
            if _is_own(manager, queryset, name):
                return name
        # Django's get_or_create() calls create(), and is called by its async form.
        return "get_or_create" if _is_own(manager, queryset, "create") else None
    return next((name for name in ("acreate", "create") if _is_own(manager, queryset, name)), None)


def _queryset_class(manager: Manager[Any]) -> type[Any] | None:
    """Return the class of a manager's querysets, unless the manager makes a query to know it."""
    try:
        return type(manager.get_queryset())
    except SynchronousOnlyOperation:
        return None


def _is_own(manager: Manager[Any], queryset: type[Any] | None, name: str) -> bool:
    # A manager that is made from a queryset has functions which call those of the queryset.
    if inspect.unwrap(getattr(type(manager), name)) is not getattr(QuerySet, name):
        return True
    if queryset is None:  # it may be; called in the thread of the ORM, that does no harm
        return not name.startswith("a")
    return getattr(queryset, name) is not getattr(QuerySet, name)


def _column(model: type[Model], name: str) -> AnyField | None:
    """Return the field of that name, if it is stored in a column of its own."""
    if name == "pk":
        key: AnyField = model._meta.pk
        return key
    fields: Sequence[AnyField] = model._meta.concrete_fields
    return next((field for field in fields if name in (field.name, field.attname)), None)


# What follows runs in the thread.


def _store(instances: Sequence[M], alias: str) -> list[M]:
    inserts.insert(instances, alias)
    _load_unknown(instances, alias)
    return list(instances)


def _complete(
    instance: M, kwargs: Mapping[str, Any], given: Mapping[relations.Relation, Any], alias: str
) -> None:
    """Give an object that a manager has created what that has left out of what was given."""
    fields = inserts.automatic_fields(type(instance))
    values = {one.attname: kwargs[one.name] for one in fields if kwargs.get(one.name) is not None}
    if not (values or given):
        return
    with transaction.atomic(using=alias, savepoint=False):
        inserts.restore([inserts.Overwritten(instance, values)], alias)
        relations.keep(instance, given)
        relations.add(relations.given_with([instance]), alias, untouched=False)


def _unknown_fields(instance: Model) -> list[str]:
    """Return the fields whose values only the database knows: reading one would query it."""
    values = instance.__dict__
    return [
        field.attname
        for field in instance._meta.concrete_fields
        if field.attname not in values or hasattr(values[field.attname], "resolve_expression")
    ]


def _load_unknown(instances: Iterable[M], alias: str) -> None:
    unknown: dict[tuple[str, ...], dict[Any, list[M]]] = {}
    for instance in instances:
        names = tuple(_unknown_fields(instance))
        key = instance._meta.pk
        if names and key.attname not in names:
            # As the database will have it: it may have been given as a string.
            by_key = unknown.setdefault(names, {})
            by_key.setdefault(key.to_python(instance.pk), []).append(instance)
    for names, by_key in unknown.items():
        model = type(next(iter(by_key.values()))[0])
        for keys in inserts.pages(list(by_key), alias):
            rows = model._base_manager.using(alias).filter(pk__in=keys)
            for found, *values in rows.values_list("pk", *names):
                for instance in by_key[found]:
                    for name, value in zip(names, values, strict=True):
                        setattr(instance, name, value)


def _find(manager: Manager[M], lookup: Mapping[str, Any]) -> M | None:
    found = only_one(list(manager.filter(**lookup)[:2]), manager.model, lookup)
    return None if found is None else _with_related(found, lookup)


def _with_related(instance: M, lookup: Mapping[str, Any]) -> M:
    """Have a found object refer to the related objects that it was looked up by.

    Reading them takes no query then, as in a new object.
    """
    for name, value in lookup.items():
        if isinstance(value, Model):
            field = instance._meta.get_field(name)
            if isinstance(field, ForeignKey) and not field.is_cached(instance):
                field.set_cached_value(instance, value)
    return instance


def _find_many(manager: Manager[M], lookups: Sequence[Mapping[str, Any]]) -> Sequence[M | None]:
    # check() has made sure that there are columns of these names.
    columns = [cast("AnyField", _column(manager.model, name)) for name in lookups[0]]
    wanted = [_column_values(columns, lookup) for lookup in lookups]
    if not are_hashable(wanted):
        return [_find(manager, lookup) for lookup in lookups]
    found: list[tuple[Any, M]] = []
    for page in inserts.pages(lookups, manager.db, parameters=len(columns)):
        for instance in manager.filter(_any_of(page)):
            values = tuple(getattr(instance, column.attname) for column in columns)
            found.append((values, instance))
    return [
        _find(manager, lookup)
        if answer is ASK
        else None
        if answer is None
        else _with_related(answer, lookup)
        for lookup, answer in zip(lookups, matched(wanted, found), strict=True)
    ]


def _column_values(columns: Sequence[AnyField], lookup: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values of `lookup` as an instance has them: of a related object, its key."""
    return tuple(
        getattr(value, column.target_field.attname)
        if isinstance(column, ForeignKey) and isinstance(value, Model)
        else value
        for column, value in zip(columns, lookup.values(), strict=True)
    )


def _any_of(lookups: Sequence[Mapping[str, Any]]) -> Q:
    if len(lookups[0]) == 1:
        ((name, _),) = lookups[0].items()
        values = [lookup[name] for lookup in lookups]
        if None not in values:
            return Q(**{f"{name}__in": values})
    return Q(*(Q(**lookup) for lookup in lookups), _connector=Q.OR)
