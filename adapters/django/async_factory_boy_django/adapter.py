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
from django.db import IntegrityError, connections, router, transaction
from django.db.models import Field, ForeignKey, Manager, Model, Q
from django.db.models.manager import BaseManager
from django.db.models.query import QuerySet
from django.db.models.signals import post_save, pre_save
from django.dispatch import Signal

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.configuration import fields_option
from async_factory_boy.exceptions import AdapterError, ConfigurationError, OptionError, closest
from async_factory_boy.options import CallOption
from async_factory_boy_django.signals import mute_signals, muted_signals

__all__ = ["DjangoAdapter"]

M = TypeVar("M", bound=Model)
R = TypeVar("R")

AnyField: TypeAlias = "Field[Any, Any]"

# Objects per SELECT when many are looked up: SQLite nests no more than 1,000 conditions.
_PAGE = 200

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

    def ambient_options(self, model: type[M]) -> Mapping[str, Any]:
        # An object is stored elsewhere than it is asked for.
        muted = muted_signals(also=self.django_muted_signals or ())
        return {"django_muted_signals": muted} if muted else {}

    def check(self, model: type[M]) -> None:
        name = getattr(model, "__name__", repr(model))
        if not self.handles(model):
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
        owner = type(self).__name__
        if self.database is not None:
            problem = _unknown_alias(self.database)
            if problem:
                raise ConfigurationError("database", problem, owner=owner)
        for field in self.get_or_create:
            if _column(model, field) is None:
                raise ConfigurationError(
                    "get_or_create",
                    f"names {field!r}, which is not a field that {name} is stored with; it has: "
                    f"{', '.join(sorted(one.name for one in model._meta.concrete_fields))}.",
                    owner=owner,
                )

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

    async def refresh(self, instances: Sequence[M]) -> None:
        unknown: dict[tuple[type[M], str], list[M]] = {}
        for instance in instances:
            if _unknown_fields(instance):
                key = type(instance), instance._state.db or self.alias(type(instance))
                unknown.setdefault(key, []).append(instance)
        for (_, alias), some in unknown.items():
            await self._in_thread(_load_unknown, some, alias)

    def has_own_create(self, model: type[M]) -> bool:
        """Tell whether the manager of `model` overrides ``create()``."""
        manager = _manager(model)
        # A manager that is made from a queryset has functions which call those of the queryset.
        return (
            inspect.unwrap(type(manager).create) is not QuerySet.create
            or type(manager.get_queryset()).create is not QuerySet.create
        )

    async def create(
        self,
        model: type[M],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        lookup: Mapping[str, Any],
    ) -> M:
        """Have the manager of `model` create an object, or find it if there is a `lookup`.

        For a manager that overrides ``create()``.
        """
        manager = self.manager(model)
        if not lookup:
            return await self._in_thread(lambda: manager.create(*args, **kwargs))
        defaults = {name: value for name, value in kwargs.items() if name not in lookup}
        instance, _ = await self._in_thread(
            lambda: manager.get_or_create(defaults=defaults, **lookup)
        )
        return instance

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


def _column(model: type[Model], name: str) -> AnyField | None:
    """Return the field of that name, if it is stored in a column of its own."""
    if name == "pk":
        key: AnyField = model._meta.pk
        return key
    fields: Sequence[AnyField] = model._meta.concrete_fields
    return next((field for field in fields if name in (field.name, field.attname)), None)


# What follows runs in the thread.


def _store(instances: Sequence[M], alias: str) -> list[M]:
    model = type(instances[0])
    if len(instances) > 1 and _bulk_create_does_the_same(instances, alias):
        # As save() does, by the base manager.
        model._base_manager.using(alias).bulk_create(instances)
    else:
        for instance in instances:
            instance.save(force_insert=True, using=alias)
    _load_unknown(instances, alias)
    return list(instances)


def _bulk_create_does_the_same(instances: Sequence[Model], alias: str) -> bool:
    """Tell whether ``bulk_create()`` leaves nothing out of what ``save()`` does."""
    model = type(instances[0])
    meta = model._meta
    overridden = any(
        getattr(model, name) is not getattr(Model, name)
        for name in ("save", "save_base", "_save_table", "_do_insert")
    )
    listened_to = any(
        signal.has_listeners(model) for signal in {pre_save, post_save} - muted_signals()
    )
    several_tables = any(
        parent._meta.concrete_model is not meta.concrete_model for parent in meta.all_parents
    )
    # bulk_create() would store those that have a key before the others.
    keys_among_others = len({instance.pk is None for instance in instances}) > 1
    return not (
        overridden
        or listened_to
        or several_tables
        or keys_among_others
        or meta.order_with_respect_to
        or not _sets_keys(instances, alias)
    )


def _sets_keys(instances: Sequence[Model], alias: str) -> bool:
    features = connections[alias].features
    if features.can_return_rows_from_bulk_insert:
        return True
    return all(instance.pk is not None for instance in instances)


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
        for keys in _pages(list(by_key)):
            rows = model._base_manager.using(alias).filter(pk__in=keys)
            for found, *values in rows.values_list("pk", *names):
                for instance in by_key[found]:
                    for name, value in zip(names, values, strict=True):
                        setattr(instance, name, value)


def _pages(values: Sequence[R]) -> Iterable[Sequence[R]]:
    return (values[start : start + _PAGE] for start in range(0, len(values), _PAGE))


def _find(manager: Manager[M], lookup: Mapping[str, Any]) -> M | None:
    try:
        return manager.get(**lookup)
    except manager.model.DoesNotExist:
        return None


def _find_many(manager: Manager[M], lookups: Sequence[Mapping[str, Any]]) -> Sequence[M | None]:
    # check() has made sure that there are columns of these names.
    columns = [cast("AnyField", _column(manager.model, name)) for name in lookups[0]]
    wanted = [_column_values(columns, lookup) for lookup in lookups]
    if not all(map(_is_hashable, wanted)):
        return [_find(manager, lookup) for lookup in lookups]
    found: dict[tuple[Any, ...], list[M]] = {}
    for page in _pages(lookups):
        for instance in manager.filter(_any_of(page)):
            key = tuple(getattr(instance, column.attname) for column in columns)
            found.setdefault(key, []).append(instance)
    answers: list[M | None] = []
    for lookup, values in zip(lookups, wanted, strict=True):
        matches = found.pop(values, [])
        # Not one: asked for by itself, to have the error that _find() raises.
        answers.append(
            matches[0] if len(matches) == 1 else _find(manager, lookup) if matches else None
        )
    if found:
        # The database has taken for equal what Python does not, such as 1 and "1".
        answers = [
            _find(manager, lookup) if answer is None else answer
            for lookup, answer in zip(lookups, answers, strict=True)
        ]
    return answers


def _column_values(columns: Sequence[AnyField], lookup: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values of `lookup` as an instance has them: of a related object, its key."""
    return tuple(
        getattr(value, column.target_field.attname)
        if isinstance(column, ForeignKey) and isinstance(value, Model)
        else value
        for column, value in zip(columns, lookup.values(), strict=True)
    )


def _is_hashable(values: tuple[Any, ...]) -> bool:
    try:
        hash(values)
    except TypeError:  # a list or a dict, of a JSONField
        return False
    return True


def _any_of(lookups: Sequence[Mapping[str, Any]]) -> Q:
    if len(lookups[0]) == 1:
        ((name, _),) = lookups[0].items()
        values = [lookup[name] for lookup in lookups]
        if None not in values:
            return Q(**{f"{name}__in": values})
    return Q(*(Q(**lookup) for lookup in lookups), _connector=Q.OR)
