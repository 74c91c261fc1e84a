"""Relations of objects that are not stored yet, and many-to-many relations of new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from pypika_tortoise.queries import Table
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import OperationalError
from tortoise.fields import Field
from tortoise.fields.relational import (
    BackwardFKRelation,
    BackwardOneToOneRelation,
    ManyToManyFieldInstance,
    RelationalField,
    ReverseRelation,
)
from tortoise.models import Model

from async_factory_boy.adapters._tortoise.lookups import PAGE
from async_factory_boy.adapters.paging import paged
from async_factory_boy.exceptions import AdapterError, ConfigurationError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


def relate(instance: Model, name: str, related: Model) -> None:
    """Have `instance` refer to an object that is not stored yet."""
    if hasattr(type(instance), name):
        setattr(instance, name, related)
        _relate_back(related, instance, name)
    else:
        # Tortoise has not been initialised, which would have put a property there. It will keep
        # the object under the second name. Not setattr(): Model.__setattr__ fails for lack of the
        # class that the relation is to.
        object.__setattr__(instance, name, related)
        object.__setattr__(instance, f"_{name}", related)
    # Where Tortoise keeps async defaults until save() evaluates them. One is forgotten, as this
    # should be, when something is assigned to the field or to the relation.
    instance._await_when_save[f"{name}_id"] = partial(_key, type(instance), name, related)


async def _key(model: type[Model], name: str, related: Model) -> object:
    if not related._saved_in_db:
        raise OperationalError(
            f"You should first call .save() on {related!r}, which is the {name} of a "
            f"{model.__name__}, before saving that one"
        )
    return getattr(related, cast("RelationalField[Any]", model._meta.fields_map[name]).to_field)


def _relate_back(related: Model, instance: Model, name: str) -> None:
    """Show `instance` in the backward relation of `related`, as Model.construct() does."""
    meta = related._meta
    for backward in meta.backward_fk_fields | meta.backward_o2o_fields:
        field = cast("BackwardFKRelation[Any]", meta.fields_map[backward])
        if field.related_model is type(instance) and field.relation_field == f"{name}_id":
            if isinstance(field, BackwardOneToOneRelation):
                setattr(related, f"_{backward}", instance)
            else:
                relation: ReverseRelation[Any] = getattr(related, backward)
                relation.related_objects.append(instance)
                relation._fetched = True


def relate_many(instance: Model, name: str, related: object) -> None:
    """Have a many-to-many relation of a new object hold others.

    `add_related` adds them when the object is stored, which Tortoise asks for before its own
    ``add()``.

    Raises:
        ConfigurationError: When `related` is not a list of objects of the right model.
    """
    model = type(instance)
    field = cast("ManyToManyFieldInstance[Any]", model._meta.fields_map[name])
    # Before Tortoise is initialised, a model that is referred to by its name is not known.
    remote: type[Model] = getattr(field, "related_model", None) or Model
    objects = list(related) if isinstance(related, list | tuple | set | frozenset) else None
    if objects is None or not all(isinstance(one, remote) for one in objects):
        wrong = (
            related if objects is None else next(o for o in objects if not isinstance(o, remote))
        )
        where = "" if objects is None else " in it"
        expected = "stored objects" if remote is Model else f"{remote.__name__} objects"
        raise ConfigurationError(
            name,
            f"is a many-to-many relation, which takes a list of {expected}; got an object of type "
            f"{type(wrong).__name__}{where}.",
            owner=model.__name__,
        )
    if not hasattr(model, name):
        object.__setattr__(instance, name, objects)
        return
    relation = getattr(instance, name)
    relation.related_objects = objects
    relation._fetched = True
    for one in objects:
        if not one._saved_in_db:
            backward = getattr(one, field.related_name)
            backward.related_objects.append(instance)
            backward._fetched = True


# The objects to add to a relation of each of several new objects, by the place of that object.
Additions = Mapping[str, Mapping[int, Sequence[Model]]]


def additions_of(instances: Sequence[Model]) -> Additions:
    """Return what the many-to-many relations of new objects of one model hold.

    Raises:
        AdapterError: When some of that is not stored.
    """
    model = type(instances[0])
    additions: dict[str, dict[int, Sequence[Model]]] = {}
    for name in model._meta.m2m_fields:
        for place, instance in enumerate(instances):
            relation = vars(instance).get(f"_{name}")
            if relation is None or not relation.related_objects:
                continue
            for one in relation.related_objects:
                if not one._saved_in_db:
                    remote = type(one).__name__
                    raise AdapterError(
                        f"{model.__name__}.{name} was given a {remote} that is not stored. Have "
                        f"the factory create it, {name} = factory.List([factory.SubFactory("
                        f"{remote}Factory)]), or pass what await {remote}Factory.create_async() "
                        "returns."
                    )
            additions.setdefault(name, {})[place] = relation.related_objects
    return additions


async def add_related(
    instances: Sequence[Model], additions: Additions, connection: BaseDBAsyncClient
) -> None:
    """Add to the many-to-many relations of objects of one model, that are stored by now.

    What is there already, because a listener or an overridden ``save()`` has added it, is left as
    it is, as ``add()`` of a relation does.
    """
    for name, of_place in additions.items():
        field = cast("ManyToManyFieldInstance[Any]", type(instances[0])._meta.fields_map[name])
        own_pk, remote_pk = type(instances[0])._meta.pk, field.related_model._meta.pk
        pairs = [
            (own_pk.to_db_value(instances[place].pk, instances[place]),
             remote_pk.to_db_value(one.pk, one))
            for place, objects in of_place.items()
            for one in objects
        ]  # fmt: skip
        for page in paged(list(dict.fromkeys(pairs)), PAGE):
            await _add_pairs(field, page, own_pk, remote_pk, connection)
        for place, objects in of_place.items():
            relation = getattr(instances[place], name)
            relation.related_objects, relation._fetched = list(objects), True


async def _add_pairs(
    field: ManyToManyFieldInstance[Any],
    pairs: Sequence[tuple[Any, Any]],
    own_pk: Field[Any],
    remote_pk: Field[Any],
    connection: BaseDBAsyncClient,
) -> None:
    through = Table(field.through, schema=field.through_schema)
    own, remote = through[field.backward_key], through[field.forward_key]
    query = connection.query_class.from_(through).select(own, remote)
    query = query.where(own.isin(list(dict.fromkeys(key for key, _ in pairs))))
    _, rows = await connection.execute_query(*query.get_parameterized_sql())
    there = {
        (own_pk.to_db_value(own_pk.to_python_value(row[field.backward_key]), field.model),
         remote_pk.to_db_value(remote_pk.to_python_value(row[field.forward_key]), field.model))
        for row in rows
    }  # fmt: skip
    new = [pair for pair in pairs if pair not in there]
    if new:
        insert = connection.query_class.into(through).columns(own, remote)
        for pair in new:
            insert = insert.insert(*pair)
        await connection.execute_query(*insert.get_parameterized_sql())
