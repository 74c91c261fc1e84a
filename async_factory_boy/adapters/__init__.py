"""Adapters: one module, or package, for each store."""

from async_factory_boy.adapters.base import ForEachUse, PersistenceAdapter
from async_factory_boy.adapters.registry import register
from async_factory_boy.options import CallOption

__all__ = ["CallOption", "ForEachUse", "PersistenceAdapter", "register"]
