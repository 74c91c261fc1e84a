"""Tells what the fields of a Django model are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias, cast
from uuid import UUID

from django.conf import settings
from django.core import validators
from django.core.files import File
from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models import Field, ForeignKey, Model, Q, UniqueConstraint
from django.db.models.fields import NOT_PROVIDED
from django.db.models.fields.proxy import OrderWrt

from async_factory_boy.adapters import fields as told
from async_factory_boy.adapters.narrowing import in_words, narrow, pattern_of, unique_with
from async_factory_boy.exceptions import AdapterError

__all__ = ["check_resolved", "fields_of"]

AnyField: TypeAlias = "Field[Any, Any]"
Limits: TypeAlias = dict[str, Any]

_TYPES: Mapping[type[Any], type] = {
    models.BooleanField: bool,
    models.CharField: str,
    models.TextField: str,
    models.FilePathField: str,
    models.GenericIPAddressField: str,
    models.IntegerField: int,
    models.FloatField: float,
    models.DecimalField: Decimal,
    models.DateTimeField: datetime,
    models.DateField: date,
    models.TimeField: time,
    models.DurationField: timedelta,
    models.UUIDField: UUID,
    models.BinaryField: bytes,
    models.JSONField: dict,
    models.FileField: File,
}
# Their modules import a driver of PostgreSQL.
_TYPES_OF_POSTGRESQL = {
    "django.contrib.postgres.fields.array.ArrayField": list,
    "django.contrib.postgres.fields.hstore.HStoreField": dict,
}
# What a class of fields overrides that has values of another class than its base.
_CONVERSIONS = {"to_python", "from_db_value", "descriptor_class"}


def check_resolved(model: type[Model]) -> None:
    """Refuse a model that refers to another which Django does not know.

    Raises:
        AdapterError: It says what to do first.
    """
    for field in (*model._meta.concrete_fields, *model._meta.many_to_many):
        target = field.remote_field.model if field.remote_field else None
        if isinstance(target, str):
            raise AdapterError(
                f"{model.__name__}.{field.name} refers to {target!r}, which Django does not know. "
                "Call django.setup() first, with the app of that model in "
                "settings.INSTALLED_APPS; pytest-django does so by the settings it is given."
            )


def fields_of(model: type[Model], keys: Mapping[str, Mapping[str, str]]) -> list[told.Field]:
    """Return the fields of a model whose relations are resolved.

    A relation is followed by the field that holds its key. What other models refer to this one by
    is left out.

    Args:
        model: The model.
        keys: The keys of its relations, as `PersistenceAdapter.keys_of` has them.
    """
    meta = model._meta
    relations = {key: relation for relation, of_one in keys.items() for key in of_one}
    uniques = _uniques(model, relations)
    checks = _checks(model)
    generic = {
        name: field.name
        for field in meta.private_fields
        if _is_generic(field)
        for name in (field.ct_field, field.fk_field)
    }
    found: list[told.Field] = []
    for field in meta.concrete_fields:
        own = [_column(field, uniques, checks.get(field.name, {}))]
        if isinstance(field, ForeignKey):
            own = [_reference(field, keys[field.name], uniques), _key(field, uniques)]
        if field.name in generic:
            own[0] = replace(own[0], required=False, key_of=generic[field.name])
        found.extend(own)
    found.extend(_generic_reference(model, one) for one in meta.private_fields if _is_generic(one))
    for many in meta.many_to_many:
        related = told.Relation(target=many.related_model, many=True)
        kind = type(many).__name__
        found.append(told.Field(name=many.name, type=list, stored_as=kind, relation=related))
    return found


def _is_generic(field: Any) -> bool:
    # Not by its class, whose module may be imported only where contenttypes is installed.
    return hasattr(field, "ct_field") and hasattr(field, "fk_field")


def _generic_reference(model: type[Model], field: Any) -> told.Field:
    columns = [model._meta.get_field(name) for name in (field.ct_field, field.fk_field)]
    nullable = any(column.null for column in columns)
    return told.Field(
        name=field.name,
        stored_as=type(field).__name__,
        required=not (nullable or all(map(_has_default, columns))),
        nullable=nullable,
        relation=told.Relation(target=None, keys={field.fk_field: "pk"}),
    )


def _reference(
    field: ForeignKey[Any, Any], keys: Mapping[str, str], uniques: Sequence[frozenset[str]]
) -> told.Field:
    # To the part of the object that is in the table of a parent, which saves that part as well.
    generated = bool(field.remote_field.parent_link)
    has_default = _has_default(field)
    return told.Field(
        name=field.name,
        type=field.related_model,
        stored_as=type(field).__name__,
        required=not (field.null or has_default or generated),
        nullable=field.null,
        generated=generated,
        has_default=has_default,
        unique=unique_with(field.name, uniques),
        relation=told.Relation(target=field.related_model, keys=keys),
    )


def _key(field: ForeignKey[Any, Any], uniques: Sequence[frozenset[str]]) -> told.Field:
    target: AnyField = field
    while isinstance(target, ForeignKey):
        target = target.target_field
    return replace(
        _column(target, (), {}),
        name=field.attname,
        required=False,
        nullable=field.null,
        generated=bool(field.remote_field.parent_link),
        default=_default(field),
        has_default=_has_default(field),
        unique=unique_with(field.attname, uniques, field.name),
        key_of=field.name,
    )


def _column(
    field: AnyField, uniques: Sequence[frozenset[str]], checked: Mapping[str, Any]
) -> told.Field:
    kind = _type_of(field)
    limits, others = _limits(field, kind)
    narrow(limits, **checked)
    generated = (
        isinstance(field, models.AutoField | OrderWrt)
        or bool(getattr(field, "generated", False))
        or bool(getattr(field, "_parent_link", False))
    )
    unique = unique_with(field.name, uniques)
    default, has_default = _default(field), _has_default(field)
    if _is_empty_by_itself(field) and kind in (str, File) and frozenset({field.name}) not in unique:
        default, has_default = "", True
    element = None
    if kind is list and hasattr(field, "base_field"):
        element = replace(_column(field.base_field, (), {}), name=field.name)
    return told.Field(
        name=field.name,
        type=kind,
        stored_as=in_words(type(field).__name__, others),
        required=not (field.null or generated or has_default),
        nullable=field.null,
        generated=generated,
        default=default,
        has_default=has_default,
        unique=unique,
        aware=_awareness(kind),
        element=element,
        validators=tuple(others),
        **limits,
    )


def _awareness(kind: type | None) -> bool | None:
    if kind is datetime:
        return bool(settings.USE_TZ)
    return False if kind is time else None


def _is_empty_by_itself(field: AnyField) -> bool:
    """Tell whether the model itself says that an empty string will do.

    Django stores one for any string without a value, which is why not to have a value is no error.
    """
    return field.blank and not field.null and not field.primary_key and not _has_default(field)


def _has_default(field: Any) -> bool:
    return (
        field.has_default()
        or getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED
        or getattr(field, "auto_now", False)
        or getattr(field, "auto_now_add", False)
    )


def _default(field: Any) -> Any:
    if field.has_default():
        return told.NO_DEFAULT if callable(field.default) else field.default
    default = getattr(field, "db_default", NOT_PROVIDED)
    default = getattr(default, "value", default)  # of an expression that is no more than a value
    if default is NOT_PROVIDED or hasattr(default, "resolve_expression"):
        return told.NO_DEFAULT
    return default


def _type_of(field: Any) -> type | None:
    """Return the class of a field's values, or nothing if a class of its own converts them."""
    if hasattr(field, "output_field") and getattr(field, "generated", False):
        return _type_of(field.output_field)
    for cls in type(field).__mro__:
        kind = _TYPES.get(cls) or _TYPES_OF_POSTGRESQL.get(f"{cls.__module__}.{cls.__qualname__}")
        if kind is not None:
            return kind
        if not cls.__module__.startswith("django.") and not vars(cls).keys().isdisjoint(
            _CONVERSIONS
        ):
            return None
    return None


def _limits(field: Any, kind: type | None) -> tuple[Limits, list[Callable[[Any], Any]]]:
    """Return what values have to be like, and the validators that this does not tell of."""
    limits: Limits = {}
    others: list[Callable[[Any], Any]] = []
    if kind is int:
        known = BaseDatabaseOperations.integer_field_ranges
        least, greatest = known.get(field.get_internal_type(), (None, None))
        narrow(limits, ge=least, le=greatest)
    elif kind in (str, bytes):
        narrow(limits, max_length=field.max_length)
    elif kind is Decimal:
        narrow(limits, precision=field.max_digits, scale=field.decimal_places)
    elif kind is list:
        narrow(limits, max_length=field.size)
    if field.flatchoices:
        narrow(limits, choices=tuple(value for value, _ in field.flatchoices))
    # Not its .validators, which ask the database for the bounds of numbers.
    for one in (*field.default_validators, *field._validators):
        if not _read(one, limits) and one not in type(field).default_validators:
            others.append(one)
    return limits, others


def _read(validator: object, limits: Limits) -> bool:
    """Narrow limits by a validator, and tell whether they say all that it does."""
    if isinstance(validator, validators.RegexValidator):
        if validator.inverse_match or isinstance(validator, validators.URLValidator):
            return False
        narrow(limits, pattern=pattern_of(cast("re.Pattern[str]", validator.regex)))
    elif isinstance(validator, validators.DecimalValidator):
        narrow(limits, precision=validator.max_digits, scale=validator.decimal_places)
    elif isinstance(validator, validators.BaseValidator):
        limit = validator.limit_value
        limit = limit() if callable(limit) else limit
        word = next((w for c, w in _VALIDATORS.items() if isinstance(validator, c)), None)
        if word is None or getattr(validator, "offset", None) is not None:
            return False
        if word == "multiple_of" and word in limits:
            return False
        narrow(limits, **{word: limit})
    else:
        return isinstance(validator, validators.ProhibitNullCharactersValidator)
    return True


_VALIDATORS = {
    validators.MinLengthValidator: "min_length",
    validators.MaxLengthValidator: "max_length",
    validators.MinValueValidator: "ge",
    validators.MaxValueValidator: "le",
    validators.StepValueValidator: "multiple_of",
}


def _tables(model: type[Model]) -> Iterator[type[Model]]:
    """Yield the models that hold an object's columns: its own, and its parents'."""
    own = model._meta.concrete_model or model
    yield own
    yield from own._meta.get_parent_list()


def _uniques(model: type[Model], relations: Mapping[str, str]) -> list[frozenset[str]]:
    found: dict[frozenset[str], None] = {}

    def add(names: Iterable[str]) -> None:
        found[frozenset(relations.get(name, name) for name in names)] = None

    for field in model._meta.concrete_fields:
        if field.unique:
            add([field.name])
    for table in _tables(model):
        meta = table._meta
        if len(getattr(meta, "pk_fields", ())) > 1:
            add(one.name for one in meta.pk_fields)
        for names in meta.unique_together:
            add(names)
        for constraint in meta.constraints:
            # One with a condition, or of an expression, holds for some rows only, or for what is
            # made of the values: to have them differ in all rows is right as well.
            if isinstance(constraint, UniqueConstraint):
                add(constraint.fields or _named_by(constraint.expressions))
    return [names for names in found if names]


def _named_by(expressions: Iterable[Any]) -> Iterator[str]:
    for expression in expressions:
        if isinstance(expression, models.F):
            yield cast("Any", expression).name
        else:
            yield from _named_by(expression.get_source_expressions())


def _checks(model: type[Model]) -> dict[str, Limits]:
    """Return what the constraints of the tables ask of single fields, where that is simple."""
    found: dict[str, Limits] = {}
    for table in _tables(model):
        for constraint in table._meta.constraints:
            # It was called check before Django 5.1.
            condition = getattr(constraint, "condition", None) or getattr(constraint, "check", None)
            if isinstance(constraint, models.CheckConstraint) and isinstance(condition, Q):
                for path, value in _all_of(condition):
                    name, _, lookup = path.partition("__")
                    for word, limit in _limits_of(lookup, value):
                        narrow(found.setdefault(name, {}), **{word: limit})
    return found


def _all_of(condition: Q) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a condition that all have to hold."""
    if condition.negated or (condition.connector != Q.AND and len(condition.children) > 1):
        return
    for child in condition.children:
        if isinstance(child, Q):
            yield from _all_of(child)
        elif isinstance(child, tuple):
            yield child


def _limits_of(lookup: str, value: Any) -> Iterator[tuple[str, Any]]:
    parts = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    if any(hasattr(one, "resolve_expression") or one is None for one in parts):
        return
    if lookup == "range":
        least, greatest = value
        yield "ge", least
        yield "le", greatest
    elif lookup in ("in", "exact", ""):
        yield "choices", tuple(parts)
    elif lookup in ("gt", "gte", "lt", "lte"):
        yield lookup.replace("te", "e"), value
