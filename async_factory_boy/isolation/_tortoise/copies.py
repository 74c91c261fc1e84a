"""Copies of stored objects of Tortoise models."""

from __future__ import annotations

import copy
from collections.abc import MutableMapping
from typing import Any

from tortoise.fields.relational import ReverseRelation
from tortoise.models import Model
from tortoise.queryset import AwaitableQuery


class Copies:
    """Copies of objects, one for each row, with the relations that are loaded."""

    def __init__(self) -> None:
        self._of_row: MutableMapping[object, Model] = {}

    def of(self, instance: Model) -> Model:
        """Return the copy of an object; one that exists has its values from now on."""
        return self._copied(instance, set())

    def _copied(self, instance: Model, under_way: set[int]) -> Model:
        row = (type(instance), id(instance) if instance.pk is None else instance.pk)
        copied = self._of_row.get(row)
        if copied is None:
            copied = self._of_row[row] = type(instance).__new__(type(instance))
        if id(instance) not in under_way:
            under_way.add(id(instance))
            for name, value in vars(instance).items():
                if isinstance(value, ReverseRelation):
                    if value._fetched:
                        vars(copied)[name] = self._relation(value, copied, under_way)
                elif not isinstance(value, AwaitableQuery):  # which is made when it is read
                    vars(copied)[name] = self._value(value, under_way)
        return copied

    def _relation(
        self, relation: ReverseRelation[Any], owner: Model, under_way: set[int]
    ) -> ReverseRelation[Any]:
        copied = copy.copy(relation)
        copied.instance = owner
        copied.related_objects = self._value(relation.related_objects, under_way)
        return copied

    def _value(self, value: Any, under_way: set[int]) -> Any:
        if isinstance(value, Model):
            return self._copied(value, under_way)
        if isinstance(value, list):
            return [self._value(one, under_way) for one in value]
        return copy.deepcopy(value)
