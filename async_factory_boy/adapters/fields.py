"""What an adapter tells of the fields of a model: the same words for every store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Field", "Relation"]


class _NoDefault:
    def __repr__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT = _NoDefault()
"""Stands for the default of a field that has none, or one that only the store knows."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """How a field refers to objects of another model.

    Args:
        target: The other model: what `Meta.model` of its factory is. ``None`` where objects of any
            model will do, as for a generic foreign key of Django: a person has to choose one.
        keys: The fields of this model that hold the key of the related object, each with the
            attribute of that object that it is equal to: ``{"company_id": "id"}``. Empty where
            the field holds the reference itself.
        attribute: Of a key that no relation of the model goes with, a plain foreign key column
            say: the attribute of the related object that the field is equal to.
        many: Whether the field is a collection of related objects.
    """

    target: Any
    keys: Mapping[str, str] = field(default_factory=dict)
    attribute: str | None = None
    many: bool = False


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a model, as declarations name it.

    Args:
        name: The name that the constructor of the model takes.
        type: The class of its values: ``str``, ``Decimal``, an enum, the class of a nested
            document. ``None`` where the adapter cannot tell.
        stored_as: The store's own word for the type, such as ``"VARCHAR(30)"``; for errors.
        required: Whether an object without a value is refused, and nothing else fills the field.
        nullable: Whether it takes ``None``.
        generated: Whether the store makes the value: a key, a computed column.
        default: The value that an object has when none is given, where that is a plain value.
        has_default: Whether the model or the store fills the field when no value is given.
        unique: The sets of fields whose values no two objects share; each has this field in it.
        min_length: The least number of characters, bytes or items.
        max_length: The greatest.
        precision: The greatest number of decimal digits, before and after the point.
        scale: The greatest number of digits after the point.
        ge: The least value.
        gt: What values are greater than.
        le: The greatest value.
        lt: What values are less than.
        multiple_of: What values are a multiple of.
        pattern: The regular expression that values match.
        choices: The values that are allowed; empty where all are.
        aware: Whether a date and time has a time zone; ``None`` where either is taken.
        element: The items of a list, a set or an array; its name is that of the field.
        relation: The related model, if the field is a relation, or a foreign key by itself.
        key_of: The relation that this field holds the key of. It is filled by the relation.
        annotation: The type with its constraints, where those are written in an annotation.
        validators: What refuses values for reasons that nothing above tells: functions that raise
            an error for a value.
        store_type: The store's own object for the type, such as ``String(30)``: what a rule for
            a type of the store goes by.
    """

    name: str
    type: Any = None
    stored_as: str = ""
    required: bool = False
    nullable: bool = False
    generated: bool = False
    default: Any = NO_DEFAULT
    has_default: bool = False
    unique: tuple[frozenset[str], ...] = ()
    min_length: int | None = None
    max_length: int | None = None
    precision: int | None = None
    scale: int | None = None
    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    multiple_of: Any = None
    pattern: str | None = None
    choices: tuple[Any, ...] = ()
    aware: bool | None = None
    element: Field | None = None
    relation: Relation | None = None
    key_of: str | None = None
    annotation: Any = None
    validators: tuple[Callable[[Any], Any], ...] = ()
    store_type: Any = None
