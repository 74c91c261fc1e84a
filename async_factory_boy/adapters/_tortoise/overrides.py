"""Goes through what a model overrides of the calls that `Model.create()` consists of."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.models import Model

from async_factory_boy.exceptions import AdapterError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M", bound=Model)


# What Model.save() consists of. If a model has its own, each object is stored through it.
_PARTS_OF_SAVE = (
    "save",
    "_set_async_default_field",
    "_pre_save",
    "_post_save",
    "_wait_for_listeners",
)

_CREATE = cast("Any", Model.create).__func__

# Where an object that is built keeps what its model's create() is to be called with. On the object,
# since a table of them would hold what refers back to it.
_ARGUMENTS = "_async_factory_boy_arguments"


def overrides_create(model: type[Model]) -> bool:
    """Tell whether a model has a ``create()`` of its own."""
    return getattr(model.create, "__func__", None) is not _CREATE


def overrides_save(model: type[Model]) -> bool:
    """Tell whether a model has a ``save()`` of its own, or a part of one."""
    return any(getattr(model, name) is not getattr(Model, name) for name in _PARTS_OF_SAVE)


def remember_arguments(instance: Model, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Keep what `instance` was constructed with, for the ``create()`` of its model."""
    object.__setattr__(instance, _ARGUMENTS, (args, kwargs))


async def created(instance: M, connection: BaseDBAsyncClient) -> M | None:
    """Store an object by the ``create()`` of its model, and return what that returns.

    ``None`` if the object has not been built by the adapter, so that it is not known what to call
    it with.
    """
    args, kwargs = vars(instance).get(_ARGUMENTS, (None, None))
    if args is None:
        return None
    model: Any = type(instance)
    using = {"using_db": connection}
    if not _takes(model.create, "using_db"):
        if connection is not model._choose_db(True):
            raise AdapterError(
                f"{model.__name__}.create() does not take using_db, so it cannot store through "
                "the connection that the call was given; declare it as Model.create() does, "
                "async def create(cls, using_db=None, **kwargs), and pass it on."
            )
        using = {}
    stored = await model.create(*args, **using, **kwargs)
    if not isinstance(stored, Model):
        raise AdapterError(
            f"{model.__name__}.create() returned an object of type {type(stored).__name__}; have "
            "it return what super().create() returns."
        )
    return cast("M", stored)


def has_parameter(function: Any, name: str) -> bool:
    """Tell whether a function has a parameter of that name."""
    return name in _parameters(function)[0]


def _takes(function: Any, name: str) -> bool:
    names, takes_any = _parameters(function)
    return takes_any or name in names


_signatures: WeakKeyDictionary[Any, tuple[frozenset[str], bool]] = WeakKeyDictionary()


def _parameters(function: Any) -> tuple[frozenset[str], bool]:
    """Return the names of a function's parameters, and whether it takes others as well."""
    key = getattr(function, "__func__", function)
    found = _signatures.get(key)
    if found is None:
        parameters = inspect.signature(function).parameters
        takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
        found = _signatures[key] = (frozenset(parameters), takes_any)
    return found
