"""factory_boy factories whose objects are stored by async ORMs.

factory_boy decides what to build; a ``PersistenceAdapter`` decides how it is stored; the engine
between them lets the first, which is synchronous, wait for the second, which is not.

Start at `async_factory_boy.factory.sqlalchemy.AsyncSQLAlchemyModelFactory`, or at its sibling for
your ORM; `async_factory_boy.factory.AsyncFactory` is what they share.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from async_factory_boy.exceptions import (
        AbstractFactoryError,
        AdapterError,
        AsyncFactoryError,
        BatchSizeError,
        ConfigurationError,
        FixtureError,
        LeftOutError,
        MissingOptionError,
        MultipleFoundError,
        OptionError,
        SyncCallError,
        UnknownStrategyError,
    )
    from async_factory_boy.linting import LintError, lint
    from async_factory_boy.options import bind

    __version__: str

__all__ = [
    "AbstractFactoryError",
    "AdapterError",
    "AsyncFactoryError",
    "BatchSizeError",
    "ConfigurationError",
    "FixtureError",
    "LeftOutError",
    "LintError",
    "MissingOptionError",
    "MultipleFoundError",
    "OptionError",
    "SyncCallError",
    "UnknownStrategyError",
    "bind",
    "lint",
]


_elsewhere = {"LintError": "linting", "bind": "options", "lint": "linting"}


def __getattr__(name: str) -> Any:
    # Imported when asked for: pytest imports the plugin, and with it this package, in every run of
    # every project that has it installed, and `import factory` imports SQLAlchemy and Django.
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("async-factory-boy")
    elif name in __all__:
        module = _elsewhere.get(name, "exceptions")
        value = getattr(import_module(f"{__name__}.{module}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
