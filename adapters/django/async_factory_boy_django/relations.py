"""Relations of many to many, whose objects are given with the values of a model.

A constructor of Django takes none: the rows in between need the key of the object. So what is given
waits with the object, and is added when that is stored.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from django.apps import apps
from django.db import connections, router
from django.db.models import AutoField, Field, ForeignKey, ManyToManyField, Model
from django.db.models.manager import BaseManager
from django.db.models.signals import m2m_changed

from async_factory_boy.exceptions import AdapterError, shown
from async_factory_boy_django.signals import muted_signals

__all__ = ["Given", "Relation", "add", "given_with", "keep", "split"]

AnyField: TypeAlias = "Field[Any, Any]"

# Where an object has what is to be added to it.
_WAITING = "_async_factory_boy_related"


class Relation(NamedTuple):
    """A relation of many to many, seen from one of its models."""

    model: type[Model]
    name: str
    """The attribute that has the manager of the related objects."""
    field: ManyToManyField[Any, Any]
    source: ForeignKey[Any, Any]
    """Of the model in between, to the object."""
    target: ForeignKey[Any, Any]
    """Of the model in between, to those that are related to it."""

    @property
    def through(self) -> type[Model]:
        """The model in between."""
        through: type[Model] = self.source.model
        return through

    @property
    def related_model(self) -> type[Model]:
        """The model of the objects that are related."""
        model: type[Model] = self.target.remote_field.model
        return model

    def __str__(self) -> str:
        return f"{self.model.__name__}.{self.name}"


class Given(NamedTuple):
    """What is to be added to an object."""

    instance: Model
    relation: Relation
    objects: Sequence[Any]


_relations: WeakKeyDictionary[type[Model], Mapping[str, Relation | str]] = WeakKeyDictionary()


def split(
    model: type[Model], kwargs: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[Relation, Any]]:
    """Return what a model is constructed with, and what is added to the object later.

    Raises:
        AdapterError: When related objects cannot be given in this way.
    """
    relations = _relations_of(model)
    if relations.keys().isdisjoint(kwargs):
        return kwargs, {}
    values: dict[str, Any] = {}
    given: dict[Relation, Any] = {}
    for name, value in kwargs.items():
        relation = relations.get(name)
        if relation is None:
            values[name] = value
        elif isinstance(relation, str):
            raise AdapterError(relation)
        elif value is not None:
            given[relation] = _checked(relation, value)
    return values, given


def keep(instance: Model, given: Mapping[Relation, Any]) -> None:
    """Have an object keep what is to be added when it is stored."""
    if given:
        setattr(instance, _WAITING, given)


def given_with(instances: Iterable[Model]) -> list[Given]:
    """Return what some objects have kept, which they let go of.

    To be called in the thread of the ORM: what is given may be a queryset.

    Raises:
        AdapterError: When one of the related objects is not stored.
    """
    found: list[Given] = []
    for instance in instances:
        waiting = vars(instance).get(_WAITING)
        if waiting is not None:
            delattr(instance, _WAITING)
            found += [
                Given(instance, relation, _listed(relation, objects))
                for relation, objects in waiting.items()
            ]
    return found


def add(given: Iterable[Given], alias: str, *, untouched: bool) -> None:
    """Add related objects to what has been stored, in one statement for each relation.

    Args:
        given: What is to be added.
        alias: Where it is stored.
        untouched: Whether no code of the user's has run when they were stored, which may have
            added some already.
    """
    of_relation: dict[Relation, list[Given]] = {}
    for one in given:
        if one.objects:
            of_relation.setdefault(one.relation, []).append(one)
    for relation, some in of_relation.items():
        through = relation.through
        is_automatic = bool(through._meta.auto_created)
        ignores = is_automatic and connections[alias].features.supports_ignore_conflicts
        is_heard = m2m_changed not in muted_signals() and m2m_changed.has_listeners(through)
        if is_heard or not (ignores or untouched):
            for one in some:
                getattr(one.instance, relation.name).add(*one.objects)
            continue
        # As add() does, where it need not look first: by the default manager.
        rows = [through(**keys) for keys in _keys(relation, some)]
        through._default_manager.using(alias).bulk_create(rows, ignore_conflicts=ignores)


def _keys(relation: Relation, given: Iterable[Given]) -> list[dict[str, Any]]:
    """Return the keys of the rows in between, each pair once."""
    source, target = relation.source, relation.target
    pairs: dict[tuple[Any, Any], None] = {}
    for one in given:
        (key,) = source.get_foreign_related_value(one.instance)
        for related in one.objects:
            other = _key(relation, one.instance, related)
            pairs[key, other] = None
            if relation.field.remote_field.symmetrical:
                pairs[other, key] = None
    return [{source.attname: key, target.attname: other} for key, other in pairs]


def _key(relation: Relation, instance: Model, related: Any) -> Any:
    if not isinstance(related, Model):
        return relation.target.get_prep_value(related)
    if not router.allow_relation(related, instance):
        # In the words of Django's own add().
        raise ValueError(
            f'Cannot add "{related!r}": instance is on database "{instance._state.db}", value is '
            f'on database "{related._state.db}"'
        )
    (key,) = relation.target.get_foreign_related_value(related)
    return key


def _checked(relation: Relation, value: Any) -> Any:
    if isinstance(value, BaseManager):
        return value.all()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        name = relation.related_model.__name__
        raise AdapterError(
            f"{relation} takes a list of {name} objects, or of their keys; got {shown(value)}. "
            f"Write {relation.name} = [...], or factory.List([factory.SubFactory({name}Factory)])."
        )
    return value


def _listed(relation: Relation, objects: Iterable[Any]) -> list[Any]:
    some = list(objects)
    model = relation.related_model
    for one in some:
        if not isinstance(one, Model):
            continue
        if not isinstance(one, model):
            raise AdapterError(
                f"{relation} takes a list of {model.__name__} objects, or of their keys; one of "
                f"them is a {type(one).__name__}."
            )
        if _is_not_stored(one):
            raise AdapterError(
                f"{relation} is given a {model.__name__} that is not stored, and so cannot be "
                f"referred to; create it first, with await {model.__name__}Factory.create_async(), "
                f"or by factory.List([factory.SubFactory({model.__name__}Factory)])."
            )
    return some


def _is_not_stored(instance: Model) -> bool:
    # One that was made of a key that is known stands for its row, as it does in a ForeignKey.
    return instance.pk is None or (instance._state.adding and instance._meta.pk.has_default())


def _relations_of(model: type[Model]) -> Mapping[str, Relation | str]:
    """Return the relations to many of a model; instead of some, what is wrong with giving it."""
    known = _relations.get(model)
    if known is not None:
        return known
    found: dict[str, Relation | str] = {}
    for many in model._meta.many_to_many:
        found[many.name] = _relation(model, many.name, many, is_reverse=False)
    if apps.models_ready:  # or others may be added
        for one in model._meta.related_objects:
            name = one.get_accessor_name()
            if name is None or one.one_to_one:
                continue
            field: AnyField = one.field
            if isinstance(field, ManyToManyField):
                found[name] = _relation(model, name, field, is_reverse=True)
            else:
                found[name] = _of_many_to_one(model, name, field)
        _relations[model] = found
    if model.__init__ is not Model.__init__:
        for name in inspect.signature(model.__init__).parameters:
            found.pop(name, None)  # it takes it by itself
    return found


def _relation(
    model: type[Model], name: str, field: ManyToManyField[Any, Any], *, is_reverse: bool
) -> Relation | str:
    through: Any = field.remote_field.through
    source, target = (
        through._meta.get_field(one)
        for one in (field.m2m_field_name(), field.m2m_reverse_field_name())
    )
    if is_reverse:
        source, target = target, source
    needed = [one.name for one in through._meta.concrete_fields if _needs_a_value(one)]
    needed = [one for one in needed if one not in (source.name, target.name)]
    if not needed:
        return Relation(model, name, field, source, target)
    between = through.__name__
    return (
        f"{model.__name__}.{name} is stored by way of {between}, which needs values for "
        f"{', '.join(needed)} as well, so a list of objects does not do. Declare "
        f'factory.RelatedFactory({between}Factory, "{source.name}") in its place, under another '
        "name."
    )


def _needs_a_value(field: AnyField) -> bool:
    return not (
        field.null
        or field.has_default()
        or field.has_db_default()
        or field.generated
        or isinstance(field, AutoField)
        or getattr(field, "auto_now", False)
        or getattr(field, "auto_now_add", False)
        or (field.blank and field.empty_strings_allowed)
    )


def _of_many_to_one(model: type[Model], name: str, field: AnyField) -> str:
    other = field.model.__name__
    return (
        f"{model.__name__}.{name} are the {other} objects that refer to a {model.__name__}, and "
        "are stored after it, so they cannot be given with its values. Declare "
        f'{name} = factory.RelatedFactoryList({other}Factory, "{field.name}", size=...).'
    )
