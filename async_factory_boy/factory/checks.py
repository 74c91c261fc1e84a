"""Checks the keywords of a call, before anything is evaluated."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from async_factory_boy import options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.auto.chosen import name_of
from async_factory_boy.exceptions import ConfigurationError, OptionError, similar
from async_factory_boy.factory import upstream
from async_factory_boy.factory.meta import is_overridden

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


def refuse_wrong_keywords(meta: Any, extras: Mapping[str, Any]) -> None:
    """Raise OptionError for keywords that look like call-time options, and are none."""
    for name, value in extras.items():
        root, inner = upstream.split(name)
        if upstream.declares(meta, root):
            # What is made by another declaration in its place, is checked when that is evaluated.
            if inner is not None and root not in extras:
                below = _factory_of(meta, root)
                if below is not None:
                    refuse_wrong_keywords(below._meta, {inner: value})
            continue
        options.check_for_part(name, value)  # its own, an object has taken already
        suggestion = options.misspelt(name) or options.unprefixed(name, value)
        if suggestion and not has_field(meta.model, name):
            raise OptionError(
                f"{upstream.factory_of(meta).__name__} was given {name!r}, which is neither a "
                "call-time option nor a field of "
                f"{getattr(meta.model, '__name__', meta.model)}.{suggestion}"
            )
        if not upstream.runs_after(value):
            _refuse_misspelt(meta, root)


def _refuse_misspelt(meta: Any, name: str) -> None:
    """Raise OptionError for a name that nobody has, but that is like one which somebody has."""
    model, factory = meta.model, upstream.factory_of(meta)
    parameters = upstream.parameters(meta)
    known = {*upstream.declarations_of(meta), *parameters}
    if any(is_overridden(factory, hook) for hook in ("_adjust_kwargs", "_build", "_create")):
        return  # it may make something of the name
    hidden = {*meta.exclude, *meta.rename, *parameters}
    if name in hidden:
        return
    fields = fields_without(meta, model, name)
    suggestion = "" if fields is None else similar(name, known | fields)
    if suggestion:
        raise OptionError(
            f"{factory.__name__} was given {name!r}, which neither {factory.__name__} nor "
            f"{model.__name__} has.{suggestion}"
        )


def refuse_misspelt_declarations(meta: Any, model: Any, names: Iterable[str]) -> None:
    """Raise ConfigurationError for a declaration whose name is misspelt for one of the model's.

    Args:
        meta: The ``_meta`` of the factory.
        model: What objects are made of.
        names: The declarations that it would be given.
    """
    factory = upstream.factory_of(meta)
    if any(is_overridden(factory, hook) for hook in ("_adjust_kwargs", "_build", "_create")):
        return  # it may make something of the name
    for name in names:
        target = meta.rename.get(name, name)
        fields = fields_without(meta, model, target)
        suggestion = "" if fields is None else similar(target, fields)
        if suggestion:
            raise ConfigurationError(
                name,
                f"is declared, and {name_of(model)} has no such field.{suggestion} Correct the "
                "name; or declare it in Params, if only other declarations need it.",
                owner=factory.__name__,
            )


def fields_without(meta: Any, model: Any, name: str) -> set[str] | None:
    """Return what a model can be constructed with, if it is known that a name is not of it.

    It is empty where that is known of the name alone. ``None`` where the model has the name, or
    may take it.
    """
    if has_field(model, name):
        return None
    fields = _parameters(model)
    if fields is None:
        adapter = getattr(meta, "_adapter", None)
        if adapter is None or adapter.takes(model, name) is not False:
            return None
        if type(adapter).fields is PersistenceAdapter.fields:
            return set()
        return {field.name for field in adapter.fields(model)}
    return fields


def _parameters(model: Any) -> set[str] | None:
    """Return what a model can be constructed with; ``None`` if it takes any name."""
    try:
        parameters = inspect.signature(model).parameters.values()
    except (TypeError, ValueError):  # a builtin, such as dict, has no signature
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters}


def _factory_of(meta: Any, name: str) -> Any:
    """Return the factory that a declaration calls, if it is one that takes call-time options."""
    part = upstream.part(upstream.declarations_of(meta)[name])
    if part is None:
        return None
    factory = part.get_factory()
    takes_none = issubclass(factory, upstream.CONTAINERS)
    return None if takes_none or factory._meta.model is None else factory


def has_field(model: Any, name: str) -> bool:
    if hasattr(model, name) or name in getattr(model, "__annotations__", {}):
        return True
    try:
        return name in inspect.signature(model).parameters
    except (TypeError, ValueError):  # a builtin, such as dict, has no signature
        return False
