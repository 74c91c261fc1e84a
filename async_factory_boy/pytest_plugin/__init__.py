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

from async_factory_boy.pytest_plugin import linting, objects, reporting, seeding, unloaded

if TYPE_CHECKING:
    from async_factory_boy.pytest_plugin.fixtures import LazyFixture, register

__all__ = ["LazyFixture", "register"]


def _fixtures() -> Any:
    """Return the module of the fixtures, if it was imported, for `register`."""
    return globals().get("fixtures")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from async_factory_boy.pytest_plugin import fixtures

    return getattr(fixtures, name)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("async-factory-boy", "factories")
    seeding.add_options(parser, group)
    reporting.add_options(group)
    linting.add_options(group)


def pytest_configure(config: pytest.Config) -> None:
    seeding.configure(config)
    reporting.configure(config)
    linting.configure(config)
    objects.configure(config)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    fixtures = _fixtures()
    if fixtures is not None:
        fixtures.let_parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None:
        explained = unloaded.explained(call.excinfo.value)
        if explained is not None:
            report.sections.append(("async-factory-boy", explained))
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    __tracebackhide__ = True
    fixtures = _fixtures()
    if fixtures is None:
        return (yield)
    return (yield from fixtures.hand_to_the_runner(fixturedef, request))
