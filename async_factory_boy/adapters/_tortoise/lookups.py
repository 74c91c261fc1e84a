"""Conditions that look up several objects at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from tortoise.expressions import Q
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.models import Model

from async_factory_boy.exceptions import ConfigurationError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")


# Objects per SELECT, when many are looked up or loaded again.
PAGE = 500


def columns_of(model: type[Model], lookup: Mapping[str, Any]) -> dict[str, Any] | None:
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


def key_by_its_name(model: type[Model], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the key under the name of its field, not under ``pk``.

    Queries take either name. The constructor passes over ``pk`` without a word.

    Raises:
        ConfigurationError: When the key is there under both names.
    """
    key = model._meta.pk_attr
    if key in values:
        raise ConfigurationError(
            "pk",
            f"is another name of {key!r}, which has a value too; write {key}=..., which replaces "
            "what the factory declares.",
            owner=model.__name__,
        )
    return {key if name == "pk" else name: value for name, value in values.items()}


def all_of(conditions: Mapping[str, Any]) -> Q:
    """Return the condition that all fields have these values."""
    return Q(**conditions)


def any_of(names: Sequence[str], wanted: Sequence[Sequence[Any]]) -> Q:
    """Return the condition that these fields have one of several rows of values."""
    if len(names) == 1:
        values = [value for (value,) in wanted]
        if None not in values:
            return all_of({f"{names[0]}__in": values})
    if len(wanted) == 1:
        return all_of(dict(zip(names, wanted[0], strict=True)))
    # Halved, since a long chain would be too deep a recursion for Tortoise.
    half = len(wanted) // 2
    return Q(any_of(names, wanted[:half]), any_of(names, wanted[half:]), join_type=Q.OR)
