"""Tells what the fields of a Tortoise model are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from types import UnionType
from typing import Any, cast, get_args
from uuid import UUID

from tortoise import fields, validators
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.data import CharEnumFieldInstance, IntEnumFieldInstance
from tortoise.fields.db_defaults import SqlDefault
from tortoise.fields.relational import (
    ForeignKeyFieldInstance,
    ManyToManyFieldInstance,
    OneToOneFieldInstance,
)
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.models import Model
from tortoise.timezone import get_use_tz

from async_factory_boy.adapters.fields import NO_DEFAULT, Field, Relation
from async_factory_boy.adapters.narrowing import in_words, narrow, pattern_of, unique_with

__all__ = ["fields_of"]

Uniques = Sequence[frozenset[str]]


def fields_of(model: type[Model], keys: Mapping[str, Mapping[str, str]]) -> list[Field]:
    """Return the fields of a model that Tortoise has initialised.

    A relation is followed by the field that holds its key. What other models refer to this one by
    is left out.

    Args:
        model: The model.
        keys: The keys of its relations, as `PersistenceAdapter.keys_of` has them.
    """
    meta = model._meta
    relations = {key: relation for relation, of_one in keys.items() for key in of_one}
    uniques = _uniques(model, relations)
    found: list[Field] = []
    for name, field in meta.fields_map.items():
        if name in relations:
            continue
        if isinstance(field, ManyToManyFieldInstance):
            if not field._generated:
                related = Relation(target=field.related_model, many=True)
                found.append(
                    Field(name=name, type=list, stored_as="ManyToManyField", relation=related)
                )
        elif isinstance(field, ForeignKeyFieldInstance):
            found.append(_reference(name, field, keys[name], uniques))
            found.extend(_key(key, meta.fields_map[key], name, uniques) for key in keys[name])
        elif field.has_db_field:
            found.append(_column(name, field, uniques))
    return found


def _uniques(model: type[Model], relations: Mapping[str, str]) -> list[frozenset[str]]:
    meta = model._meta
    alone = [(name,) for name, one in meta.fields_map.items() if one.has_db_field and one.unique]
    # One with a condition holds for some rows only: to obey it for all is right as well.
    constrained = [one.fields for one in meta.constraints if isinstance(one, UniqueConstraint)]
    return [
        frozenset(relations.get(name, name) for name in names)
        for names in (*alone, *meta.unique_together, *constrained)
    ]


def _reference(
    name: str,
    field: ForeignKeyFieldInstance[Any],
    keys: Mapping[str, str],
    uniques: Uniques,
) -> Field:
    has_default = _has_default(field)
    one_to_one = isinstance(field, OneToOneFieldInstance)
    return Field(
        name=name,
        type=field.related_model,
        stored_as="OneToOneField" if one_to_one else "ForeignKeyField",
        required=not (field.null or has_default),
        nullable=field.null,
        has_default=has_default,
        unique=unique_with(name, uniques),
        relation=Relation(target=field.related_model, keys=keys),
    )


def _key(name: str, field: fields.Field[Any], relation: str, uniques: Uniques) -> Field:
    unique = unique_with(name, uniques, relation)
    return replace(_column(name, field, ()), required=False, unique=unique, key_of=relation)


def _column(name: str, field: fields.Field[Any], uniques: Uniques) -> Field:
    has_default = _has_default(field)
    kind = _type_of(field)
    limits, others = _limits(field)
    # A value that is converted, an enum's member say, is not like what it is stored as.
    if isinstance(field, CharEnumFieldInstance | IntEnumFieldInstance):
        limits = {}
    elif kind is not None and not hasattr(kind, "__len__"):
        limits = {name: limit for name, limit in limits.items() if name not in _OF_LENGTH}
    return Field(
        name=name,
        type=kind,
        stored_as=in_words(type(field).__name__.removesuffix("Instance"), others),
        required=not (field.null or field.generated or has_default),
        nullable=field.null,
        generated=field.generated,
        default=_default(field),
        has_default=has_default,
        unique=unique_with(name, uniques),
        aware=get_use_tz() if kind in (datetime, time) else None,
        element=_element(name, field.element_type) if isinstance(field, ArrayField) else None,
        validators=tuple(others),
        store_type=field,
        **limits,
    )


def _has_default(field: fields.Field[Any]) -> bool:
    return field.default is not None or field.has_db_default() or _takes_the_time(field)


def _takes_the_time(field: fields.Field[Any]) -> bool:
    return isinstance(field, fields.DatetimeField | fields.TimeField) and (
        field.auto_now or field.auto_now_add
    )


def _default(field: fields.Field[Any]) -> Any:
    if field.default is not None:
        return NO_DEFAULT if callable(field.default) else field.default
    if field.has_db_default() and not isinstance(field.db_default, SqlDefault):
        return field.db_default
    return NO_DEFAULT


def _type_of(field: fields.Field[Any]) -> type | None:
    """Return the class of a field's values, or nothing if a class of its own converts them."""
    if isinstance(field, CharEnumFieldInstance | IntEnumFieldInstance):
        return field.enum_type
    if "field_type" in vars(field):
        return _one_of(field.field_type)
    for cls in type(field).__mro__:
        if "field_type" in vars(cls):
            return _one_of(cls.__dict__["field_type"])
        if "to_python_value" in vars(cls) and not cls.__module__.startswith("tortoise."):
            return None
    raise AssertionError(field)  # pragma: no cover (the base of all fields has a field_type)


def _one_of(field_type: Any) -> type | None:
    """Return the class that a field_type is, or is a choice of: JSON is a dict, or a list."""
    if isinstance(field_type, UnionType):
        return next((one for one in get_args(field_type) if one is dict), None)
    return cast("type | None", field_type)


_OF_LENGTH = ("min_length", "max_length", "pattern")
_OF_PYDANTIC = ("ge", "gt", "le", "lt", "min_length", "max_length")


def _limits(field: fields.Field[Any]) -> tuple[dict[str, Any], list[Callable[[Any], Any]]]:
    """Return what values have to be like, and the validators that this does not tell of."""
    limits: dict[str, Any] = {}
    others: list[Callable[[Any], Any]] = []
    narrow(limits, **{name: field.constraints.get(name) for name in _OF_PYDANTIC})
    if isinstance(field, fields.DecimalField):
        narrow(limits, precision=field.max_digits, scale=field.decimal_places)
    for one in field.validators:
        if isinstance(one, validators.MaxLengthValidator):
            narrow(limits, max_length=one.max_length)
        elif isinstance(one, validators.MinLengthValidator):
            narrow(limits, min_length=one.min_length)
        elif isinstance(one, validators.MinValueValidator):
            narrow(limits, ge=one.min_value)
        elif isinstance(one, validators.MaxValueValidator):
            narrow(limits, le=one.max_value)
        elif isinstance(one, validators.RegexValidator):
            narrow(limits, pattern=pattern_of(one.regex, from_the_start=True))
        elif isinstance(one, validators.CommaSeparatedIntegerListValidator):
            narrow(limits, pattern=pattern_of(one.regex.regex))
        else:
            others.append(one)
    return limits, others


def _element(name: str, stored_as: str) -> Field:
    """Return what the items of an array are, which Tortoise has the SQL of."""
    word, _, rest = stored_as.partition("(")
    kind, limits = _ELEMENTS.get(word.strip(), (None, {}))
    numbers = map(int, re.findall(r"\d+", rest))
    limits = {**limits, **dict(zip(_OF_NUMBERS.get(word.strip(), ()), numbers, strict=False))}
    aware = _is_aware(word) if kind in (datetime, time) else None
    return Field(name=name, type=kind, stored_as=stored_as, required=True, aware=aware, **limits)


def _is_aware(word: str) -> bool:
    return word.endswith(("TZ", "WITH TIME ZONE"))


def _among(words: Iterable[str], kind: type, **limits: Any) -> dict[str, tuple[type, Any]]:
    return dict.fromkeys(words, (kind, limits))


_ELEMENTS: Mapping[str, tuple[type | None, dict[str, Any]]] = {
    **_among(("INT", "INTEGER"), int, ge=-(2**31), le=2**31 - 1),
    **_among(("BIGINT",), int, ge=-(2**63), le=2**63 - 1),
    **_among(("SMALLINT",), int, ge=-(2**15), le=2**15 - 1),
    **_among(("TEXT", "VARCHAR", "CHARACTER VARYING", "CHAR"), str),
    **_among(("BOOL", "BOOLEAN"), bool),
    **_among(("FLOAT", "REAL", "DOUBLE PRECISION"), float),
    **_among(("DECIMAL", "NUMERIC"), Decimal),
    **_among(("UUID",), UUID),
    **_among(("BYTEA",), bytes),
    **_among(("JSON", "JSONB"), dict),
    **_among(("DATE",), date),
    **_among(("TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"), datetime),
    **_among(("TIME", "TIMETZ"), time),
}
_OF_NUMBERS = {
    **dict.fromkeys(("VARCHAR", "CHARACTER VARYING", "CHAR"), ("max_length",)),
    **dict.fromkeys(("DECIMAL", "NUMERIC"), ("precision", "scale")),
}
