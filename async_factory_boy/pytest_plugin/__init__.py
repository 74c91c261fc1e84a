"""The pytest plugin: fixtures made of factories, seeds, and reports on what is created.

```python
from async_factory_boy.pytest_plugin import register

register(UserFactory)


async def test_name(user):
    assert user.name
```

pytest imports this module in every run, also for projects that do not use it. So it imports nothing
but pytest until it is used.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from async_factory_boy.pytest_plugin import options, seeding, unloaded

if TYPE_CHECKING:
    from async_factory_boy.pytest_plugin.fixtures import LazyFixture, register
    from async_factory_boy.pytest_plugin.sharing import shared
    from async_factory_boy.pytest_plugin.stores.beanie import beanie_database
    from async_factory_boy.pytest_plugin.stores.databases import databases_database
    from async_factory_boy.pytest_plugin.stores.mongo import mongo_database
    from async_factory_boy.pytest_plugin.stores.sqlalchemy import alembic, sqlalchemy_database
    from async_factory_boy.pytest_plugin.stores.tortoise import tortoise_database

__all__ = [
    "LazyFixture",
    "alembic",
    "beanie_database",
    "databases_database",
    "mongo_database",
    "register",
    "shared",
    "sqlalchemy_database",
    "tortoise_database",
]

_MODULES = {
    "LazyFixture": "fixtures",
    "alembic": "stores.sqlalchemy",
    "beanie_database": "stores.beanie",
    "mongo_database": "stores.mongo",
    "databases_database": "stores.databases",
    "register": "fixtures",
    "shared": "sharing",
    "sqlalchemy_database": "stores.sqlalchemy",
    "tortoise_database": "stores.tortoise",
}


def _imported(module: str) -> Any:
    """Return a module of the plugin, if something that needs it has imported it."""
    return globals().get(module)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("async-factory-boy", "factories")
    seeding.add_options(parser, group)
    options.add_options(group)


def pytest_configure(config: pytest.Config) -> None:
    seeding.configure(config)
    options.configure(config)
    config.addinivalue_line(
        "markers",
        "factory_database(rollback=True): with rollback=False, what the test commits stays until "
        "its end, when the tables are emptied",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    options.record_objects(item.config)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    fixtures = _imported("fixtures")
    if fixtures is not None:
        fixtures.let_parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None:
        error = call.excinfo.value
        databases = _imported("databases")
        explanations = [unloaded.explained(error)]
        if databases is not None:
            databases.shorten(report, error)
            explanations.append(databases.explained(item, error))
        report.sections += [("async-factory-boy", one) for one in explanations if one is not None]
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    __tracebackhide__ = True
    loops = _imported("loops")
    if loops is None:
        return (yield)
    return (yield from loops.hand_over(fixturedef, request))
