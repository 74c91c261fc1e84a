"""Which values of a model's fields the objects of factories have, and which none of them has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from async_factory_boy.adapters import Field
from async_factory_boy.adapters.fields import NO_DEFAULT
from async_factory_boy.auto.chosen import name_of
from async_factory_boy.columns import columns
from async_factory_boy.linting.values import allowed, is_one_of, listed, word_for


class _AValue:
    def __repr__(self) -> str:
        return "a value"


A_VALUE = _AValue()
"""Stands for any value of a field that takes ``None`` as well."""

UNKNOWN: Any = object()


class NotCovered(NamedTuple):
    """A field of a model that has values which no object of the factories has."""

    model: Any
    """The model."""
    field: str
    """The name of the field."""
    values: tuple[Any, ...]
    """Members of an enum, choices, ``True``, ``False``, ``None``; or `A_VALUE`, where each object
    has ``None``."""


@dataclass(frozen=True)
class LintReport:
    """What `lint` tells besides failures, where it is strict. As a text, it is a table.

    Attributes:
        checked: How many factories and traits were tried.
        not_covered: The values that no factory and no trait has given an object.
        notes: What could not be checked, and why.
    """

    checked: int
    not_covered: tuple[NotCovered, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        rows = [
            (name_of(one.model), one.field, list(map(word_for, one.values)))
            for one in self.not_covered
        ]
        return "\n".join(lines_of(rows, self.notes))


def lines_of(rows: Sequence[tuple[str, str, Sequence[str]]], notes: Iterable[str]) -> list[str]:
    """Return the lines of a table: models, fields, and the values that are not covered."""
    texts = columns(
        ("model", "field", "not covered"),
        [(model, field, listed(values)) for model, field, values in rows],
    )
    if not rows:
        texts = ["Each value that could be listed is covered."]
    return [*texts, *(f"note: {note}" for note in notes)]


def read(instance: Any, name: str) -> Any:
    """Return a value that an object has, or `UNKNOWN`: nothing is loaded or computed for it."""
    if isinstance(instance, Mapping):
        return instance.get(name, UNKNOWN)
    own = getattr(instance, "__dict__", {})
    if name in own:
        return own[name]
    descriptor = getattr(type(instance), name, None)
    if descriptor is None or type(descriptor).__name__ == "member_descriptor":  # a slot
        return getattr(instance, name, UNKNOWN)
    return UNKNOWN


class _Values:
    """The values that a field can have, and those that were seen.

    Args:
        field: The field.
    """

    def __init__(self, field: Field) -> None:
        self._field = field
        possible: tuple[Any, ...] = ()
        if field.relation is None:
            possible = allowed(field) or ((False, True) if field.type is bool else ())
        if field.nullable and not is_one_of(None, possible):
            possible = (*(possible or (A_VALUE,)), None)
        self.possible = possible
        self.seen: set[int] = set()

    def note(self, value: Any) -> None:
        for place, one in enumerate(self.possible):
            if place not in self.seen and (
                (one is A_VALUE and value is not None) or is_one_of(value, (one,))
            ):
                self.seen.add(place)

    @property
    def never(self) -> tuple[Any, ...]:
        return tuple(one for place, one in enumerate(self.possible) if place not in self.seen)


class Coverage:
    """Notes which values objects have, of the models that it is told of."""

    def __init__(self) -> None:
        self._fields: dict[Any, Sequence[Field]] = {}
        self._values: dict[tuple[Any, str], _Values] = {}

    def add(self, model: Any, fields: Sequence[Field]) -> None:
        """Have objects of a model noted."""
        if model in self._fields:
            return
        self._fields[model] = fields
        for field in fields:
            many = field.relation is not None and field.relation.many
            if not field.generated and field.key_of is None and not many:
                self._values[model, field.name] = _Values(field)

    def most_values(self, model: Any) -> int:
        """Return how many values the field of a model can have that has the most of them."""
        found = [
            len(values.possible) for (owner, _), values in self._values.items() if owner is model
        ]
        return max(found, default=0)

    def note_stored(self, model: Any, instance: Any) -> None:
        """Note what an object has that the store has filled as well."""
        for field in self._fields[model]:
            if field.relation is None or field.relation.attribute is not None:
                self._note(model, field, read(instance, field.name))

    def note_built(self, model: Any, instance: Any) -> None:
        """Note what an object has that was built only, and what the objects have it refers to."""
        pending = [(model, instance)]
        noted = set[int]()
        while pending:
            model, instance = pending.pop()
            if id(instance) in noted:
                continue
            noted.add(id(instance))
            for field in self._fields[model]:
                relation = field.relation
                if relation is None or relation.attribute is not None:
                    value = read(instance, field.name)
                    if value is UNKNOWN:
                        value = _without_value(field)
                    self._note(model, field, value)
                    continue
                value = related(instance, field.name)
                self._note(model, field, value)
                if relation.target in self._fields:
                    parts = value if isinstance(value, list | tuple | set) else [value]
                    pending += [
                        (relation.target, one)
                        for one in parts
                        if one is not None and one is not UNKNOWN
                    ]

    def _note(self, model: Any, field: Field, value: Any) -> None:
        values = self._values.get((model, field.name))
        if values is not None and value is not UNKNOWN:
            values.note(value)

    def not_covered(self) -> tuple[NotCovered, ...]:
        """Return what was not seen."""
        return tuple(
            NotCovered(model, name, never)
            for (model, name), values in self._values.items()
            if (never := values.never)
        )

    def rows(self) -> list[tuple[str, str, str, list[str], list[int]]]:
        """Return what can be added up with what others have noted, in other processes too.

        For each field: what identifies the model, its name, that of the field, the values that the
        field can have, and the places of those that were seen.
        """
        return [
            (
                f"{getattr(model, '__module__', '')}.{_full_name(model)}",
                name_of(model),
                name,
                list(map(word_for, values.possible)),
                sorted(values.seen),
            )
            for (model, name), values in self._values.items()
            if values.possible
        ]


def _without_value(field: Field) -> Any:
    """Return what an object has that was given no value, once it is stored."""
    if field.default is not NO_DEFAULT:
        return field.default
    return None if field.nullable and not field.has_default else UNKNOWN


def _full_name(model: Any) -> str:
    name: str = getattr(model, "__qualname__", None) or name_of(model)
    return name


def related(instance: Any, name: str) -> Any:
    """Return what an object that was built refers to."""
    value = read(instance, name)
    if value is not UNKNOWN:
        return value
    try:
        value = getattr(instance, name)
        # Tortoise has an object that is false in place of None.
        return value if value else None
    except Exception:  # it would have to be loaded
        return UNKNOWN
