"""Keeps the values that fields with ``auto_now`` are given, which ``save()`` replaces."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any
from weakref import WeakKeyDictionary

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.fields import DatetimeField, TimeField
from tortoise.models import Model
from tortoise.queryset import QuerySet

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

_fields: WeakKeyDictionary[type[Model], Mapping[str, Any]] = WeakKeyDictionary()


def plain_fields(model: type[Model]) -> Mapping[str, Any]:
    """Return the fields of a model that have ``auto_now``, as if they had not.

    ``auto_now`` takes effect where a value is converted for the database, whatever the value. A
    copy of the field converts it like any other.
    https://tortoise.github.io/fields.html#tortoise.fields.data.DatetimeField
    """
    found = _fields.get(model)
    if found is None:
        found = _fields[model] = {
            name: _plain(field)
            for name, field in model._meta.fields_map.items()
            if isinstance(field, DatetimeField | TimeField) and field.auto_now
        }
    return found


def _plain(field: Any) -> Any:
    plain = copy(field)
    plain.auto_now = False
    return plain


def stamps_of(instance: Model) -> Mapping[str, Any]:
    """Return the values that a new object was given for fields with ``auto_now``."""
    return {
        name: value
        for name in plain_fields(type(instance))
        if (value := getattr(instance, name, None)) is not None
    }


async def restore(
    instance: Model, stamps: Mapping[str, Any], connection: BaseDBAsyncClient
) -> None:
    """Store the values that an object was given, where ``save()`` has replaced them."""
    replaced = {n: value for n, value in stamps.items() if getattr(instance, n) != value}
    if not replaced or instance.pk is None:
        return
    # By a query, which leaves auto_now alone; and not by the model's manager, which may hide it.
    queryset = QuerySet(type(instance)).using_db(connection).filter(pk=instance.pk)
    await queryset.update(**replaced)
    for name, value in replaced.items():
        setattr(instance, name, value)
