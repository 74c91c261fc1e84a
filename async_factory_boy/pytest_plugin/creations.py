"""Finds out what tests create alike and leave as it is, and what they never ask the store for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import takewhile
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from async_factory_boy.pytest_plugin.contents import are_same, contents_of

# The words that `register` takes for a scope.
_SCOPES: Mapping[type, str] = {
    pytest.Package: "package",
    pytest.Module: "module",
    pytest.Class: "class",
}

# What the repr() of tells all of.
_PLAIN = (str, int, float, bytes, date, time, timedelta, Decimal, UUID, type(None))

_for_a_factory: ContextVar[bool] = ContextVar("async_factory_boy_report", default=False)


class Alike(NamedTuple):
    """Objects that one test has created by equal calls."""

    factory: str
    given: str
    """What the calls were given, as it is written in a call."""

    plain: str
    """That of it which is no object."""

    test: str
    scopes: Sequence[tuple[str, str]]
    """The packages, module and classes that the test is in, the widest first."""

    is_alone: bool
    """Whether it is one object."""

    is_same: bool
    """Whether it is known that the test has not changed them."""

    seconds: float
    worker: str
    """The worker of pytest-xdist that has run the test."""


class Unread(NamedTuple):
    """Objects of a factory that one test has created, and then asked nothing of their store."""

    factory: str
    test: str
    created: int
    seconds: float


class Share(NamedTuple):
    """Objects that the tests of a scope create alike, and that nobody changes."""

    factory: str
    given: str
    scope: str
    of: str
    """The node of that scope: the path of a module, say."""

    tests: Sequence[str]
    seconds: float
    """What creating it once would save."""

    write: str
    """What to write to share it."""


@dataclass
class _Created:
    """What a call of a test has created."""

    factory: str
    count: int
    seconds: float
    asked: int
    """How often the test had asked the store for something by then."""

    instance: Any = None
    """The object, if it is one."""

    contents: object | None = None
    may_be_changed: bool = False
    given: str | None = None
    plain: str = ""
    parts: list[_Created] = field(default_factory=list)
    """The objects of the test that it was given."""


@dataclass
class _Test:
    """What is known of the test that runs."""

    name: str
    scopes: Sequence[tuple[str, str]]
    created: list[_Created] = field(default_factory=list)
    by_instance: dict[int, _Created] = field(default_factory=dict)
    factories: set[str] = field(default_factory=set)
    """All that have created something for it."""

    asked: int = 0


class _Unknown(Exception):  # noqa: N818 (it is no error)
    """There is no way to write a value."""


class Creations:
    """Is told what factories create, and by which tests.

    Args:
        worker: The worker of pytest-xdist that this is.
    """

    def __init__(self, worker: str) -> None:
        self.alike: list[Alike] = []
        self.unread: list[Unread] = []
        self._worker = worker
        self._test: _Test | None = None
        self._is_apart = 0
        """Whether something is created that is no test's own: by how many ``with`` blocks."""

        self._shared: dict[int, tuple[str, Any]] = {}
        """The fixtures of several tests that are there, by their definitions."""

        self._adapters: dict[str, Any] = {}
        """The adapter that each factory used last."""

        self._left_out: dict[type, Collection[str]] = {}
        """For each model, what of its objects is not compared."""

        self._ends: dict[type, Callable[[], object] | None] = {}
        """For each class of adapters, what ends its listening; ``None`` if it cannot listen."""

    def stop(self) -> None:
        for end in reversed(self._ends.values()):
            if end is not None:
                end()

    # What factories do.

    def stored_by(self, factories: Iterable[str], adapter: Any) -> None:
        """Note the adapter that some factories use."""
        self._adapters.update(dict.fromkeys(factories, adapter))
        kind = type(adapter)
        if kind not in self._ends:
            self._ends[kind] = adapter.listen(self._heard)

    def created(self, factory: str) -> None:
        """Note that a factory has created something, whatever for."""
        if self._test is not None:
            self._test.factories.add(factory)

    def called(
        self, factory: str, given: Mapping[str, Any], instances: Sequence[Any], seconds: float
    ) -> None:
        """Note what a test has created by a call of its own."""
        test = self._test
        if test is None or self._is_apart:
            return
        created = _Created(factory, len(instances), seconds, test.asked)
        test.created.append(created)
        test.factories.add(factory)  # which may have a way of its own to create
        if len(instances) == 1:  # a fixture would not take the place of a batch
            created.instance = instances[0]
            self._write(test, created, given)
            created.contents = self._contents(created)
            test.by_instance[id(created.instance)] = created

    def _contents(self, created: _Created) -> object | None:
        adapter: Any = self._adapters.get(created.factory)

        def left_out(model: type) -> Collection[str]:
            names = self._left_out.get(model)
            if names is None:
                names = self._left_out[model] = _collections_of_others(adapter, model)
            return names

        return contents_of(created.instance, left_out)

    def _write(self, test: _Test, created: _Created, given: Mapping[str, Any]) -> None:
        """Note what a call was given, as it is written; unless there is no way to write it."""
        texts, plain = [], []
        try:
            for name, value in sorted(given.items()):
                objects: list[_Created | None] = []
                text = f"{name}={self._text(test, value, objects)}"
                texts.append(text)
                created.parts += filter(None, objects)
                if not objects:
                    plain.append(text)
        except _Unknown:
            return
        created.given, created.plain = ", ".join(texts), ", ".join(plain)

    def _text(self, test: _Test, value: Any, objects: list[_Created | None]) -> str:
        """Return how a value is written; the objects in it, of tests and of fixtures, are added."""
        if isinstance(value, Enum):
            return f"{type(value).__name__}.{value.name}"
        if isinstance(value, _PLAIN):
            return repr(value)
        if type(value) is list:
            return f"[{', '.join(self._text(test, one, objects) for one in value)}]"
        created = test.by_instance.get(id(value))
        if created is not None and created.given is not None:
            objects.append(created)
            return f"{_short(created.factory)}({created.given})"
        name = self._shared_name(value)
        if not name:
            raise _Unknown
        objects.append(None)
        return name

    def _shared_name(self, value: Any) -> str:
        """Return the name of the fixture of several tests that a value is from, or nothing."""
        return next((name for name, one in self._shared.values() if one is value), "")

    def _heard(self, may_change: Callable[[object], bool]) -> None:
        """Note that a store is asked for something."""
        test = self._test
        if test is None or _for_a_factory.get():
            return
        test.asked += 1
        for created in test.created:
            if created.instance is not None and not created.may_be_changed:
                created.may_be_changed = may_change(created.instance)

    # What pytest does.

    def begin(self, item: pytest.Item) -> None:
        """Note that a test begins, with the fixtures that it needs."""
        scopes = [
            (word, node.nodeid)
            for node in item.listchain()
            for kind, word in _SCOPES.items()
            if isinstance(node, kind)
        ]
        self._test = _Test(item.nodeid, scopes)

    @contextmanager
    def apart(self) -> Generator[None]:
        """Have what is created in the ``with`` block be no test's own."""
        self._is_apart += 1
        try:
            yield
        finally:
            self._is_apart -= 1

    @contextmanager
    def setting_up(self, definition: pytest.FixtureDef[Any]) -> Generator[None]:
        """Watch a fixture being set up."""
        from async_factory_boy.pytest_plugin.lanes import ENTRIES

        is_shared = definition.scope != "function" or bool(getattr(definition.func, ENTRIES, None))
        with self.apart() if is_shared else nullcontext():
            yield
        if is_shared and definition.cached_result is not None:
            self._shared[id(definition)] = definition.argname, definition.cached_result[0]

    def forget(self, definition: pytest.FixtureDef[Any]) -> None:
        """Note that a fixture was torn down."""
        self._shared.pop(id(definition), None)

    def end(self, *, passed: bool) -> None:
        """Note that a test is over, before its fixtures are torn down; or that it came to none."""
        test, self._test = self._test, None
        if test is None:
            return
        groups: dict[tuple[str, str], list[_Created]] = defaultdict(list)
        for created in test.created:
            if created.given is not None:
                groups[created.factory, created.given].append(created)
        several = {id(one) for some in groups.values() if len(some) > 1 for one in some}
        for (factory, given), some in groups.items():
            is_alone = not any(_within(one, several) for one in some)
            is_same = passed and all(self._is_same(one) for one in some)
            seconds = sum(one.seconds for one in some)
            self.alike.append(
                Alike(
                    factory, given, some[0].plain, test.name, test.scopes, is_alone, is_same,
                    seconds, self._worker,
                )
            )  # fmt: skip
        if passed and self._hears_all_of(test):
            self._note_unread(test)

    def _is_same(self, created: _Created) -> bool:
        if created.may_be_changed or not all(map(self._is_same, created.parts)):
            return False
        return are_same(created.contents, self._contents(created))

    def _hears_all_of(self, test: _Test) -> bool:
        """Return whether all was heard that could have asked for its objects."""
        return all(
            name in self._adapters and self._ends[type(self._adapters[name])] is not None
            for name in test.factories
        )

    def _note_unread(self, test: _Test) -> None:
        counts: dict[str, list[_Created]] = defaultdict(list)
        for created in test.created:
            finds = self._adapters[created.factory].get_or_create
            if created.asked == test.asked and not finds:
                counts[created.factory].append(created)
        for factory, some in counts.items():
            count, seconds = sum(one.count for one in some), sum(one.seconds for one in some)
            self.unread.append(Unread(factory, test.name, count, seconds))

    # What is told.

    def as_tuples(self) -> tuple[Sequence[tuple[Any, ...]], Sequence[tuple[Any, ...]]]:
        """Return all that was found out, for another process to `add`."""
        return [tuple(one) for one in self.alike], [tuple(one) for one in self.unread]

    def add(self, alike: Iterable[Sequence[Any]], unread: Iterable[Sequence[Any]]) -> None:
        """Take over what another process has found out."""
        self.alike += [Alike(*one) for one in alike]
        self.unread += [Unread(*one) for one in unread]

    def to_share(self) -> list[Share]:
        """Return what to share, first that which saves most.

        Each call counts once: for the widest scope in which nobody changes the object.
        """
        calls: dict[tuple[str, str], list[Alike]] = defaultdict(list)
        for one in self.alike:
            calls[one.factory, one.given].append(one)
        found = [share for some in calls.values() for share in _shares(some, 0)]
        return sorted(found, key=lambda share: -share.seconds)

    def to_build(self) -> list[Unread]:
        """Return what need not be stored, first that which took longest."""
        return sorted(self.unread, key=lambda one: -one.seconds)


@contextmanager
def by_a_factory() -> Generator[None]:
    """Have what a store is asked for in the ``with`` block count as a factory's."""
    before = _for_a_factory.get()
    _for_a_factory.set(True)
    try:
        yield
    finally:
        _for_a_factory.set(before)


def _collections_of_others(adapter: Any, model: type) -> Collection[str]:
    """Return the names of collections that change with other objects: the users of a company."""

    def refers(target: Any) -> bool:
        relations = [one.relation for one in adapter.fields(target)]
        return any(one and not one.many and issubclass(model, one.target) for one in relations)

    try:
        return {
            one.name
            for one in adapter.fields(model)
            if one.relation and one.relation.many and refers(one.relation.target)
        }
    except Exception:  # it is no model of the adapter's, which may say so in any way
        return ()


def _within(created: _Created, several: Collection[int]) -> bool:
    """Return whether an object is one of several, or was given one."""
    return id(created) in several or any(_within(part, several) for part in created.parts)


def _shares(some: Sequence[Alike], depth: int) -> Generator[Share]:
    groups: dict[tuple[str, str], list[Alike]] = defaultdict(list)
    for one in some:
        if len(one.scopes) > depth:
            groups[one.scopes[depth]].append(one)
    for group in groups.values():
        if all(one.is_same for one in group):
            yield from _share([one for one in group if one.is_alone])
        else:
            yield from _shares(group, depth + 1)


def _share(some: Sequence[Alike]) -> Generator[Share]:
    """Yield what calls are worth, in the narrowest scope that has all of them."""
    of_workers: dict[str, list[float]] = defaultdict(list)
    for one in some:
        of_workers[one.worker].append(one.seconds)
    if len(of_workers) == len(some):
        return
    # Each worker goes on creating one, and the first takes longest: what it needs is imported.
    seconds = sum(sum(times) - max(times) for times in of_workers.values())
    first = some[0]
    columns = zip(*(one.scopes for one in some), strict=False)
    common = [column[0] for column in takewhile(lambda column: len({*column}) == 1, columns)]
    scope, node = common[-1]
    plain = f", {first.plain}" if first.plain else ""
    write = f'register({_short(first.factory)}{plain}, scope="{scope}")'
    tests = [one.test for one in some]
    yield Share(first.factory, first.given, scope, node, tests, seconds, write)


def _short(factory: str) -> str:
    return factory.rpartition(".")[2]
