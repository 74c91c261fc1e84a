"""How new objects are inserted. Runs in the thread of the ORM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from django.db import connections, transaction
from django.db.models import Field, Model
from django.db.models.query import QuerySet
from django.db.models.signals import post_save, pre_save

from async_factory_boy.adapters.paging import paged
from async_factory_boy_django import relations
from async_factory_boy_django.signals import muted_signals

__all__ = ["Overwritten", "automatic_fields", "insert", "pages", "restore"]

M = TypeVar("M", bound=Model)
R = TypeVar("R")

AnyField: TypeAlias = "Field[Any, Any]"

# What save() calls in turn, and bulk_create() does not.
_OF_SAVE = ("save", "save_base", "_save_parents", "_save_table", "_do_insert")

# What bulk_create() calls in turn, and of which save() calls _insert() only.
_OF_BULK_CREATE = ("_insert", "_batched_insert", "_prepare_for_bulk_create", "bulk_create")

# PostgreSQL counts the parameters of a statement in 16 bits.
# https://www.postgresql.org/docs/current/limits.html
_PARAMETERS = 65_535

# Any MySQL takes a statement of so many bytes.
_SMALL_PACKET = 1024 * 1024


class _Traits(NamedTuple):
    """What the fields of a model say of how its objects are stored."""

    is_plain: bool
    """Whether there is one table, and nothing in it depends on what has been stored before."""
    automatic: tuple[AnyField, ...]
    """The fields that take the time when they are saved, whatever they are given."""


_traits: WeakKeyDictionary[type[Model], _Traits] = WeakKeyDictionary()


class Overwritten(NamedTuple):
    """What Django overwrites of the values that an object is given."""

    instance: Model
    values: Mapping[str, Any]
    """By the attribute of the field."""


def insert(instances: Sequence[M], alias: str) -> None:
    """Insert objects of one model, with what is to be added to them."""
    model = type(instances[0])
    given = relations.given_with(instances)
    overwritten = [
        Overwritten(instance, values)
        for instance in instances
        if (values := _automatic_values(instance))
    ]
    is_untouched = (len(instances) > 1 or bool(given)) and _is_untouched(model, alias)
    # Then it is more than one statement. All of it is stored, or nothing; as by save(), an
    # enclosing transaction is refused to go on if this fails.
    several = given or overwritten
    with transaction.atomic(using=alias, savepoint=False) if several else nullcontext():
        if len(instances) > 1 and is_untouched and _bulk_create_does_the_same(instances, alias):
            # As save() does, by the base manager.
            rows = model._base_manager.using(alias)
            rows.bulk_create(instances, batch_size=_rows_of_a_statement(instances, alias))
        else:
            for instance in instances:
                instance.save(force_insert=True, using=alias)
        restore(overwritten, alias)
        relations.add(given, alias, untouched=is_untouched)


def restore(overwritten: Iterable[Overwritten], alias: str) -> None:
    """Store the values that were given, where Django has put others in their place.

    ``auto_now`` and ``auto_now_add`` do so in an INSERT, and leave an UPDATE of a queryset alone.
    https://docs.djangoproject.com/en/5.2/ref/models/fields/#django.db.models.DateField.auto_now
    """
    changed: dict[tuple[str, ...], list[Model]] = {}
    for instance, values in overwritten:
        others = [name for name, value in values.items() if getattr(instance, name) != value]
        for name in others:
            setattr(instance, name, values[name])
        if others:
            changed.setdefault(tuple(others), []).append(instance)
    for names, instances in changed.items():
        rows = type(instances[0])._base_manager.using(alias)
        first = {name: getattr(instances[0], name) for name in names}
        if all(getattr(one, name) == first[name] for one in instances for name in names):
            for page in pages(instances, alias):
                rows.filter(pk__in=[one.pk for one in page]).update(**first)
        else:
            # For each row, a key and a value by field, and the key once more. (Of several fields,
            # Django counts the key for one only.)
            size = _most_parameters(alias) // (2 * len(names) + 1)
            rows.bulk_update(instances, names, batch_size=size)


def automatic_fields(model: type[Model]) -> tuple[AnyField, ...]:
    """Return the fields that take the time when they are saved."""
    return _traits_of(model).automatic


def pages(values: Sequence[R], alias: str, *, parameters: int = 1) -> Iterable[Sequence[R]]:
    """Return values in parts that a statement may have a condition for each of.

    Args:
        values: The values.
        alias: The database.
        parameters: How many there are for each.
    """
    # SQLite nests no more than 1,000 conditions. https://www.sqlite.org/limits.html
    return paged(values, min(200, _most_parameters(alias) // parameters))


def _most_parameters(alias: str) -> int:
    most: int | None = connections[alias].features.max_query_params
    return most or _PARAMETERS


def _automatic_values(instance: Model) -> dict[str, Any]:
    values = instance.__dict__
    return {
        field.attname: value
        for field in _traits_of(type(instance)).automatic
        if (value := values.get(field.attname)) is not None
    }


def _traits_of(model: type[Model]) -> _Traits:
    known = _traits.get(model)
    if known is None:
        meta = model._meta
        fields: Sequence[AnyField] = meta.concrete_fields
        one_table = all(
            parent._meta.concrete_model is meta.concrete_model for parent in meta.all_parents
        )
        # What a field of somebody else's makes up may depend on the rows that are there: the next
        # position, a slug that is not taken.
        own = all(type(field).pre_save.__module__.startswith("django.") for field in fields)
        automatic = tuple(
            field
            for field in fields
            if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
        )
        known = _Traits(one_table and own and not meta.order_with_respect_to, automatic)
        _traits[model] = known
    return known


def _is_untouched(model: type[Model], alias: str) -> bool:
    """Tell whether ``save()`` runs no code but Django's own."""
    # Looked up each time, since tests put something in the place of methods, and listen to signals.
    if any(getattr(model, name) is not getattr(Model, name) for name in _OF_SAVE):
        return False
    rows = type(model._base_manager.using(alias))
    if any(getattr(rows, name) is not getattr(QuerySet, name) for name in _OF_BULK_CREATE):
        return False
    return not any(
        signal.has_listeners(model) for signal in {pre_save, post_save} - muted_signals()
    )


def _bulk_create_does_the_same(instances: Sequence[Model], alias: str) -> bool:
    """Tell whether ``bulk_create()`` leaves nothing out of what Django's ``save()`` does."""
    # It would store those that have a key before the others.
    keys_among_others = len({instance.pk is None for instance in instances}) > 1
    return (
        _traits_of(type(instances[0])).is_plain
        and not keys_among_others
        and _sets_keys(instances, alias)
    )


def _sets_keys(instances: Sequence[Model], alias: str) -> bool:
    features = connections[alias].features
    if features.can_return_rows_from_bulk_insert:
        return True
    return all(instance.pk is not None for instance in instances)


def _rows_of_a_statement(instances: Sequence[Model], alias: str) -> int | None:
    """Return how many rows an INSERT takes, where Django does not see to that by itself."""
    connection = connections[alias]
    if connection.vendor == "mysql":
        return _rows_of_a_packet(instances, connection)
    if getattr(connection.features, "uses_server_side_binding", False):
        return max(_PARAMETERS // len(instances[0]._meta.concrete_fields), 1)
    return None


def _rows_of_a_packet(instances: Sequence[Model], connection: Any) -> int | None:
    """Return how many of some rows MySQL takes at once, or nothing if it takes them all.

    https://dev.mysql.com/doc/refman/8.4/en/packet-too-large.html
    """
    sizes = list(map(_most_bytes, instances))
    if sum(sizes) < _SMALL_PACKET:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        packet: int = cursor.fetchone()[0]
    # An INSERT has a beginning, too.
    return max((packet - _SMALL_PACKET // 4) // max(sizes), 1)


def _most_bytes(instance: Model) -> int:
    """Return how long the values of a row may be in an INSERT."""
    size = 0
    for name, value in vars(instance).items():
        if name == "_state":
            continue
        size += 40  # a number, a time, and what stands around it
        if isinstance(value, str | bytes):
            size += 4 * len(value)  # UTF-8; or escaped
        elif isinstance(value, dict | list):  # of a JSONField, whose characters may be escaped
            size += 12 * len(repr(value))
    return size
