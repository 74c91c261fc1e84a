"""Adapters: one module, or package, for each store."""

from async_factory_boy.adapters.base import ForEachUse, PersistenceAdapter
from async_factory_boy.adapters.fields import NO_DEFAULT, Field, Relation
from async_factory_boy.adapters.registry import register
from async_factory_boy.options import CallOption

__all__ = [
    "NO_DEFAULT",
    "CallOption",
    "Field",
    "ForEachUse",
    "PersistenceAdapter",
    "Relation",
    "register",
]
