"""The models of modules, and where they are imported from."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.adapters.registry import by_name, names_for
from async_factory_boy.exceptions import AdapterError

__all__ = ["Found", "Place", "models_of", "place_of"]


class Place(NamedTuple):
    """Where something is imported from."""

    module: str
    name: str


class Found(NamedTuple):
    """A model that was found.

    Args:
        model: The model.
        place: Where it is imported from.
        adapter: The name of its adapter.
        is_handled: Whether the adapter knows it for a model of its store: if not, its objects may
            as well be stored within others.
    """

    model: Any
    place: Place
    adapter: str
    is_handled: bool = True


def models_of(modules: Iterable[ModuleType], adapter: str | None) -> list[Found]:
    """Return the models that modules define, and packages: those that their modules define.

    Args:
        modules: The modules.
        adapter: The name of the adapter, if it is not to be inferred from each model.
    """
    found: dict[int, Found] = {}
    for module in modules:
        for name, value in _defined_in(module):
            if id(value) in found or is_abstract(value):
                continue
            stored_by = adapter_of(value, adapter)
            if stored_by is not None:
                place = Place(module.__name__, name)
                is_handled = by_name(stored_by).handles(value)
                found[id(value)] = Found(value, place, stored_by, is_handled)
    return list(found.values())


def adapter_of(model: Any, adapter: str | None) -> str | None:
    """Return the name of the adapter for what may be a model; ``None`` if it is none.

    Args:
        model: Anything.
        adapter: The one adapter to ask.
    """
    if adapter is None:
        return next(names_for(model), None)
    known = by_name(adapter)
    kind = known if isinstance(known, type) else type(known)
    if kind.handles.__func__ is not PersistenceAdapter.handles.__func__:  # type: ignore[attr-defined]
        return adapter if known.handles(model) else None
    if not isinstance(model, type):
        return None
    # It stores objects that could be of any store: what it can read is for it.
    try:
        fields = (known() if isinstance(known, type) else known).fields(model)
    except (AdapterError, TypeError):
        return None
    return adapter if fields else None


def is_abstract(model: Any) -> bool:
    """Return whether there are no objects of a model, but of others that derive from it."""
    if inspect.isabstract(model):
        return True
    options = getattr(model, "_meta", None), getattr(model, "__mapper__", None)
    return any(
        getattr(one, name, False) is True
        for one, name in zip(options, ("abstract", "polymorphic_abstract"), strict=True)
    )


def place_of(model: Any, modules: Sequence[str]) -> Place | None:
    """Return where a model is imported from that is not in the namespace of modules.

    Args:
        model: The model.
        modules: The names of the modules: one that is no class is looked for in their packages.
    """
    if isinstance(model, type):
        place = Place(model.__module__, model.__name__)
        module = sys.modules.get(place.module)
        return place if getattr(module, place.name, None) is model else None
    packages = {one.partition(".")[0] for one in modules}
    for name, loaded in sorted(sys.modules.items()):
        if name.partition(".")[0] in packages:
            for attribute, value in list(vars(loaded).items()):
                if value is model:
                    return Place(name, attribute)
    return None


def _defined_in(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield what a module defines, each thing by its own name, if it has that there."""
    name, is_package = module.__name__, hasattr(module, "__path__")
    members = list(vars(module).items())
    members.sort(key=lambda one: one[0] != getattr(one[1], "__name__", one[0]))
    wanted = {
        id(value): (key, value)
        for key, value in reversed(members)
        if not isinstance(value, type)
        or value.__module__ == name
        or (is_package and value.__module__.startswith(f"{name}."))
    }
    for key, value in vars(module).items():
        if wanted.get(id(value), ("", None))[0] == key and not key.startswith("__"):
            yield key, value
