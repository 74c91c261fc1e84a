"""factory_boy factories whose objects are stored by async ORMs.

factory_boy decides what to build; a ``PersistenceAdapter`` decides how it is stored; the engine
between them lets the first, which is synchronous, wait for the second, which is not.

Start at `async_factory_boy.factory.sqlalchemy.AsyncSQLAlchemyModelFactory`, or at its sibling for
your ORM; `async_factory_boy.factory.AsyncFactory` is what they share.
"""

from importlib.metadata import version as _version

from async_factory_boy.exceptions import (
    AbstractFactoryError,
    AdapterError,
    AsyncFactoryError,
    BatchSizeError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
    SyncCallError,
    UnknownStrategyError,
)
from async_factory_boy.linting import LintError, lint
from async_factory_boy.options import bind

__all__ = [
    "AbstractFactoryError",
    "AdapterError",
    "AsyncFactoryError",
    "BatchSizeError",
    "ConfigurationError",
    "LintError",
    "MissingOptionError",
    "OptionError",
    "SyncCallError",
    "UnknownStrategyError",
    "bind",
    "lint",
]

__version__ = _version("async-factory-boy")
