"""Relations of objects that are not stored yet."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from tortoise.exceptions import OperationalError
from tortoise.fields.relational import (
    BackwardFKRelation,
    BackwardOneToOneRelation,
    RelationalField,
    ReverseRelation,
)
from tortoise.models import Model

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
