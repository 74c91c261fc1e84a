"""Adapters, one module per store, and the names they are known by.

``Meta.adapter = "sqlalchemy"`` finds an adapter class here. A module is imported when its name is
asked for, so that no ORM is imported that nobody uses.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.exceptions import ConfigurationError, closest

__all__ = ["PersistenceAdapter"]


class _Location(NamedTuple):
    module: str
    adapter: str
    package: str
    """The ORM's own package: what is not imported cannot have made a model."""
    factory: str
    """The dedicated factory of the store, which an error can recommend."""


_built_in = {
    "sqlalchemy": _Location(
        "async_factory_boy.adapters.sqlalchemy",
        "SQLAlchemyAdapter",
        "sqlalchemy",
        "async_factory_boy.factory.sqlalchemy.AsyncSQLAlchemyModelFactory",
    ),
    "tortoise": _Location(
        "async_factory_boy.adapters.tortoise",
        "TortoiseAdapter",
        "tortoise",
        "async_factory_boy.factory.tortoise.AsyncTortoiseModelFactory",
    ),
    "beanie": _Location(
        "async_factory_boy.adapters.beanie",
        "BeanieAdapter",
        "beanie",
        "async_factory_boy.factory.beanie.AsyncBeanieDocumentFactory",
    ),
    "mongo": _Location(
        "async_factory_boy.adapters.mongo",
        "MongoAdapter",
        "pymongo",
        "async_factory_boy.factory.mongo.AsyncMongoFactory",
    ),
    "databases": _Location(
        "async_factory_boy.adapters.databases",
        "DatabasesAdapter",
        "databases",
        "async_factory_boy.factory.databases.AsyncDatabasesFactory",
    ),
}


def by_name(name: str) -> type[PersistenceAdapter[Any]]:
    """Return the adapter class registered as `name`.

    Raises:
        ConfigurationError: When there is none; the message lists the known names.
        ImportError: When the adapter's ORM is not installed; the message names the extra.
    """
    location = _built_in.get(name)
    if location is None:
        raise ConfigurationError(
            "adapter",
            f"names an unknown adapter {name!r}.{closest(name, _built_in)} "
            f"Known adapters: {', '.join(sorted(_built_in))}.",
            owner="Meta",
        )
    adapter: type[PersistenceAdapter[Any]]
    adapter = getattr(import_module(location.module), location.adapter)
    return adapter


def candidates(model: type) -> Iterator[tuple[type[PersistenceAdapter[Any]], str]]:
    """Yield the adapters that handle `model`, each with the dedicated factory to recommend."""
    for name, location in _built_in.items():
        if location.package in sys.modules:
            adapter = by_name(name)
            if adapter.handles(model):
                yield adapter, location.factory


def missing(package: str, extra: str) -> str:
    """Return the message of the ImportError for an ORM that is not installed."""
    return f"{package} is not installed. Install it with: pip install 'async-factory-boy[{extra}]'"
