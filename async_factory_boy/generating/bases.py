"""What the factory of a model derives from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from async_factory_boy.adapters.registry import by_name, factory_named
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.generating.finding import Place

__all__ = ["Base", "base_for"]


class Base(NamedTuple):
    """A base class.

    Args:
        factory: The class.
        place: Where it is imported from.
        options: What ``Meta`` says of the adapter, where the class does not say it.
    """

    factory: Any
    place: Place
    options: Mapping[str, str]


def base_for(adapter: str) -> Base:
    """Return the dedicated factory of an adapter; if there is none, one that names the adapter."""
    path = factory_named(adapter)
    if path:
        module, _, name = path.rpartition(".")
        return Base(getattr(import_module(module), name), Place(module, name), {})
    known = by_name(adapter)
    if isinstance(known, type):
        # A distribution that brings an adapter brings its factory beside it.
        import_module(known.__module__.partition(".")[0])
        for one in _derived(AsyncFactory):
            if one._options_class.adapter_class is known:
                return Base(one, _public(one), {})
    place = Place("async_factory_boy.factory", "AsyncFactory")
    return Base(AsyncFactory, place, {"adapter": adapter})


def _derived(factory: type[AsyncFactory[Any]]) -> Iterator[type[AsyncFactory[Any]]]:
    for one in factory.__subclasses__():
        if vars(one).get("_options_class") is not None:
            yield one
        yield from _derived(one)


def _public(factory: type) -> Place:
    """Return where a class is exported, which may be the package above its module."""
    module, name = factory.__module__, factory.__name__
    package = module.partition(".")[0]
    exported = name in getattr(import_module(package), "__all__", ())
    return Place(package if exported else module, name)
