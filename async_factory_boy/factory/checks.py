"""Checks the keywords of a call, before anything is evaluated."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from factory import base, builder, declarations

from async_factory_boy import options
from async_factory_boy.exceptions import OptionError


def refuse_wrong_keywords(meta: Any, extras: Mapping[str, Any]) -> None:
    """Raise OptionError for keywords that look like call-time options, and are none."""
    for name, value in extras.items():
        root, inner = builder.DeclarationSet.split(name)
        if root in meta.pre_declarations or root in meta.post_declarations:
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
                f"{meta.factory.__name__} was given {name!r}, which is neither a call-time option "
                f"nor a field of {getattr(meta.model, '__name__', meta.model)}.{suggestion}"
            )


def _factory_of(meta: Any, name: str) -> Any:
    """Return the factory that a declaration calls, if it is one that takes call-time options."""
    declared = {**meta.pre_declarations.declarations, **meta.post_declarations.declarations}
    declaration = declared[name]
    if not isinstance(declaration, declarations.SubFactory | declarations.RelatedFactory):
        return None
    factory = declaration.get_factory()
    takes_none = issubclass(factory, base.BaseDictFactory | base.BaseListFactory)
    return None if takes_none or factory._meta.model is None else factory


def has_field(model: Any, name: str) -> bool:
    if hasattr(model, name) or name in getattr(model, "__annotations__", {}):
        return True
    try:
        return name in inspect.signature(model).parameters
    except (TypeError, ValueError):  # a builtin, such as dict, has no signature
        return False
