"""A pytest plugin that runs factory_boy's own tests through async-factory-boy.

``factory.Factory`` becomes an `AsyncFactory` whose synchronous methods run their async counterparts
on an event loop. The tests are not changed, and neither is async-factory-boy.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from types import CoroutineType, SimpleNamespace
from typing import Any, TypeVar

import pytest
from factory import base, helpers

from async_factory_boy import engine
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.base import AsyncFactoryMetaclass
from async_factory_boy.factory.meta import note_own_hooks

T = TypeVar("T")

LEFT_OUT = dict.fromkeys(
    (
        "tests/test_using.py::DjangoModelFactoryTestCase",
        "tests/test_using.py::SimpleBuildTestCase::test_create_batch_custom_base",
        "tests/test_using.py::SimpleBuildTestCase::test_create_custom_base",
        "tests/test_using.py::SimpleBuildTestCase::test_generate_batch_create_custom_base",
        "tests/test_using.py::SimpleBuildTestCase::test_generate_create_custom_base",
        "tests/test_using.py::SimpleBuildTestCase::test_simple_generate_batch_create_custom_base",
        "tests/test_using.py::SimpleBuildTestCase::test_simple_generate_create_custom_base",
    ),
    "tests factory.django.DjangoModelFactory, which is not among ours",
)
"""The tests, or classes of tests, that may skip or fail, each with the reason.

The run fails if one of them passes or does not exist, and if any other test skips.
"""

_patches = pytest.MonkeyPatch()
_loop = asyncio.new_event_loop()
_calls: Counter[str] = Counter()
_errors: list[str] = []


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    assert isinstance(coroutine, CoroutineType)
    _calls[coroutine.__name__] += 1
    try:
        made: T = _loop.run_until_complete(coroutine)
    except RuntimeError as error:
        # Python lets no StopIteration out of a coroutine (PEP 479), be it that of an Iterator.
        if isinstance(error.__cause__, StopIteration):
            raise error.__cause__ from None
        raise
    return made


class MemoryAdapter(PersistenceAdapter[Any]):
    """Stores nothing, but has the build wait for the event loop, as a database would."""

    async def save(self, instance: Any) -> Any:
        await asyncio.sleep(0)
        return instance


class CompatMetaclass(AsyncFactoryMetaclass):
    """Has ``UserFactory()`` return what ``await UserFactory()`` would."""

    def __call__(cls, **kwargs: Any) -> Any:
        made = super().__call__(**kwargs)
        return made if engine.in_fiber() else _run(made)


class CompatFactory(AsyncFactory[T], metaclass=CompatMetaclass):
    """Takes the place of ``factory.Factory``."""

    class Meta:
        abstract = True
        adapter = MemoryAdapter()

    @classmethod
    def create(cls, **kwargs: Any) -> T:
        return super().create(**kwargs) if engine.in_fiber() else _run(cls.create_async(**kwargs))

    @classmethod
    def create_batch(cls, size: int, **kwargs: Any) -> list[T]:
        if engine.in_fiber():
            return super().create_batch(size, **kwargs)
        return _run(cls.create_batch_async(size, **kwargs))

    @classmethod
    def build(cls, **kwargs: Any) -> T:
        return super().build(**kwargs) if engine.in_fiber() else _run(cls.build_async(**kwargs))

    @classmethod
    def build_batch(cls, size: int, **kwargs: Any) -> list[T]:
        if engine.in_fiber():
            return super().build_batch(size, **kwargs)
        return _run(cls.build_batch_async(size, **kwargs))


# Or objects of a batch would be created one by one, by methods of the user's.
note_own_hooks(CompatFactory, ("build", "build_batch", "create", "create_batch"))


def pytest_configure() -> None:
    # make_factory() still calls upstream's metaclass by name, as it does for users; it is only
    # given another base class. StubFactory, DictFactory and ListFactory stay as they are: the
    # first creates nothing, the others are only reached through factory.Dict and factory.List.
    make_factory = partial(helpers.make_factory, FACTORY_CLASS=CompatFactory)
    _patches.setattr("factory.helpers.base", SimpleNamespace(Factory=base.Factory))
    for target in ("factory.helpers.make_factory", "factory.make_factory"):
        _patches.setattr(target, make_factory)
    for target in ("factory.base.Factory", "factory.Factory"):
        _patches.setattr(target, CompatFactory)

    # Wherever this runs, `import django` fails, and the tests in LEFT_OUT skip themselves.
    _patches.setitem(sys.modules, "django", None)


def pytest_unconfigure() -> None:
    _patches.undo()
    _loop.close()


def _left_out(nodeid: str) -> str | None:
    return next((n for n in LEFT_OUT if nodeid == n or nodeid.startswith(f"{n}::")), None)


@pytest.hookimpl(tryfirst=True)  # before -k deselects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    found = {item: _left_out(item.nodeid) for item in items}
    for item, name in found.items():
        if name is not None:
            item.add_marker(pytest.mark.xfail(reason=LEFT_OUT[name], strict=True))
    _errors.extend(f"{name} does not exist" for name in LEFT_OUT.keys() - found.values())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and _left_out(report.nodeid) is None:
        _errors.append(f"{report.nodeid} was skipped, and is not in LEFT_OUT")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not _calls["create_async"]:
        _errors.append("no test called create_async")
    if _errors and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("factory_boy's tests on async-factory-boy")
    for nodeid, reason in LEFT_OUT.items():
        terminalreporter.line(f"left out: {nodeid}: {reason}")
    counts = ", ".join(f"{count} {name}" for name, count in sorted(_calls.items()))
    terminalreporter.line(f"called on an event loop: {counts}")
    for error in _errors:
        terminalreporter.line(f"error: {error}", red=True)
