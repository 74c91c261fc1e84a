"""Whether constructing an object runs code that could look at what it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, registry

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

_blind: WeakKeyDictionary[Mapper[Any], dict[frozenset[str], bool]] = WeakKeyDictionary()

# SQLAlchemy itself listens, to keep both sides of a relationship alike. Not all its modules are
# named, since a listener of the user's may stand in a function of sqlalchemy.orm.events.
_LISTENING = frozenset(
    f"sqlalchemy.{name}"
    for name in ("orm.attributes", "orm.mapper", "orm.unitofwork", "ext.mutable")
)

# What SQLAlchemy gives a class that has no constructor.
default_constructor = registry().constructor


def constructs_blindly(model: type[Any], names: Collection[str]) -> bool:
    """Return whether constructing an object runs no code that could look at what it is given.

    Such code is a constructor, a validator, a property or an event listener of the user's.
    """
    mapper = cast("Mapper[Any]", inspect(model))
    known = _blind.setdefault(mapper, {})
    key = frozenset(names)
    blind = known.get(key)
    if blind is None:
        blind = known[key] = _constructs_blindly(mapper, key)
    return blind


def _constructs_blindly(mapper: Mapper[Any], names: Collection[str]) -> bool:
    manager = mapper.class_manager
    model: Any = mapper.class_
    if (
        manager.original_init is not default_constructor
        or model.__setattr__ is not object.__setattr__
        or model.__new__ is not object.__new__
        or mapper.validators
        or _has_listeners(manager.dispatch.init)
        # Not mapper.attrs: a synonym may have a property of the user's.
        or not all(name in mapper.column_attrs or name in mapper.relationships for name in names)
    ):
        return False
    for name in names:
        relationship = mapper.relationships.get(name)
        if relationship is not None and relationship.collection_class not in (None, list, set):
            return False  # its key may be that of the part
        dispatch = getattr(model, name).impl.dispatch
        if any(map(_has_listeners, (dispatch.set, dispatch.append, dispatch.bulk_replace))):
            return False
    return True


def _has_listeners(event: Iterable[Any]) -> bool:
    return not all(getattr(listener, "__module__", "") in _LISTENING for listener in event)
