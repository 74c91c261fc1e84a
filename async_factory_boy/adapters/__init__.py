"""Adapters: one module, or package, for each store."""

from async_factory_boy.adapters.base import ForEachUse, PersistenceAdapter
from async_factory_boy.adapters.fields import NO_DEFAULT as NO_DEFAULT
from async_factory_boy.adapters.fields import Field, Relation
from async_factory_boy.adapters.registry import register
from async_factory_boy.options import CallOption

__all__ = [
    "CallOption",
    "Field",
    "ForEachUse",
    "PersistenceAdapter",
    "Relation",
    "register",
]
