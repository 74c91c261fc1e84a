"""The stores that this distribution has adapters for, and what they are called where."""

from __future__ import annotations

from typing import NamedTuple


class Store(NamedTuple):
    """A store."""

    name: str
    """As ``Meta.adapter`` takes it, and as the extra of the distribution."""
    package: str
    """The ORM's own package: what is not imported cannot have made a model."""
    adapter: str
    factory: str
    """The dedicated factory, which an error can recommend."""
    options: tuple[str, ...]
    """The call-time options of the adapter."""


def _store(name: str, package: str, adapter: str, factory: str, *options: str) -> Store:
    return Store(
        name,
        package,
        f"async_factory_boy.adapters.{name}.{adapter}",
        f"async_factory_boy.factory.{name}.{factory}",
        options,
    )


STORES = (
    _store(
        "sqlalchemy", "sqlalchemy", "SQLAlchemyAdapter", "AsyncSQLAlchemyModelFactory",
        "sqlalchemy_session",
    ),
    _store(
        "tortoise", "tortoise", "TortoiseAdapter", "AsyncTortoiseModelFactory",
        "tortoise_using_db",
    ),
    _store(
        "beanie", "beanie", "BeanieAdapter", "AsyncBeanieDocumentFactory",
        "beanie_session",
    ),
    _store(
        "mongo", "pymongo", "MongoAdapter", "AsyncMongoFactory",
        "mongo_collection", "mongo_database", "mongo_session",
    ),
    _store(
        "databases", "databases", "DatabasesAdapter", "AsyncDatabasesFactory",
        "databases_database",
    ),
)  # fmt: skip


def missing(package: str, extra: str) -> str:
    """Return the message of the ImportError for an ORM that is not installed."""
    return f"{package} is not installed. Install it with: pip install 'async-factory-boy[{extra}]'"
