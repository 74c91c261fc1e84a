"""The objects that factories have made for a test, as a tree in the report of its failure."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import chain, islice, zip_longest
from reprlib import Repr
from typing import TYPE_CHECKING, Any

import pytest

from async_factory_boy import observing

if TYPE_CHECKING:
    from async_factory_boy.factory.calls import Call
    from async_factory_boy.factory.step import Scope, Step

# Of a test, and of each fixture, no more branches are kept.
_KEPT = 1000

# Of objects that are alike, the keys of so many are shown, and that of the last.
_SHOWN = 6

# Without -vv, so many branches of one object are shown, so many lines, and so many levels.
_LISTED, _LINES, _DEEPEST = 20, 100, 20


def started(config: pytest.Config) -> Recorder:
    """Return a recorder that records what is made for the test which is about to run."""
    recorder = Recorder(shows_values=config.option.verbose >= 2)
    recorder.start()
    config.add_cleanup(recorder.stop)
    return recorder


# A key, and whether get_or_create has found the object.
_Key = tuple[Mapping[str, Any], bool]


class Branch:
    """Objects of one factory that were made for the same place: one object, or those of a batch.

    Args:
        scope: What they have in common.
    """

    # Not set where they are as here: that would be most of the time that recording takes.
    adapter: Any = None
    """What stores them, if anything does."""
    overrides: Sequence[str] = ()
    """What the call was given, if they are what it is for."""
    count = 0
    values: Sequence[str] = ()
    """What the first were made with, if that is to be shown."""

    def __init__(self, scope: Scope) -> None:
        self.factory = scope.plan.factory
        self.model = scope.model
        self.strategy = scope.strategy
        self.place = scope.name
        """The declaration that they are for."""
        self.branches: list[Branch] = []
        self.pages: list[Sequence[Any]] = []
        """The objects, until their call is over."""
        self.keys: list[_Key] = []
        """The keys of the first, and of the last."""

    def given(self, keywords: Mapping[str, Any]) -> None:
        """Note the names of what the call was given. The values may be secrets."""
        self.overrides = tuple(keywords)

    def made(self, steps: Sequence[Step], instances: Sequence[Any]) -> None:
        """Note the objects; called when they exist."""
        self.count += len(instances)
        if self.adapter is not None:
            self.pages.append(instances)

    def read_keys(self, found: Collection[int] = ()) -> None:
        """Keep keys in place of the objects: to keep these would change what a session does."""
        pages = self.pages
        if not pages:
            return
        self.pages = []
        objects = [*islice(chain.from_iterable(pages), _SHOWN)]
        if self.count > _SHOWN:
            objects.append(pages[-1][-1])
        for instance in objects:
            try:
                key = self.adapter.primary_key(instance)
            except Exception:  # the report is of another error, if there is one
                key = {}
            self.keys.append((key, id(instance) in found))


class _DetailedBranch(Branch):
    """A branch that notes values, too."""

    def given(self, keywords: Mapping[str, Any]) -> None:
        self.overrides = [f"{name}={_repr.repr(value)}" for name, value in keywords.items()]

    def made(self, steps: Sequence[Step], instances: Sequence[Any]) -> None:
        self.values = [*self.values, *map(_made_with, steps[: _SHOWN - len(self.values)])]
        super().made(steps, instances)


class _OfCall(list[Branch]):
    """What a call stores."""

    found: Collection[int] = ()
    """The ids of what it has found."""

    def over(self) -> None:
        for branch in self:
            branch.read_keys(self.found)


class _Origin:
    """What has called factories: a fixture, or the test itself.

    Args:
        test: The number of the test that ran.
        name: The name of the fixture.
        scope: The scope of the fixture.
        node: What the fixture was set up for.
    """

    def __init__(self, test: int, name: str = "", scope: str = "", node: object = None) -> None:
        self.test = test
        self.name = name
        self.scope = scope
        self.node = node
        self.branches: list[Branch] = []
        self.room = _KEPT
        self.left_out = 0

    def place(self, test: int) -> str:
        """Return how to call it in the report of a test."""
        if not self.name:
            return ""
        words = [self.scope] * (self.scope != "function") + ["made before"] * (self.test != test)
        return f"fixture {self.name}" + (f" ({', '.join(words)})" if words else "")


class Recorder:
    """Records which objects factories make for each test, and tells it if the test fails.

    Args:
        shows_values: Whether to show what objects were made with.
    """

    def __init__(self, *, shows_values: bool) -> None:
        self.shows_values = shows_values
        self._branch_class = _DetailedBranch if shows_values else Branch
        self._test = 0
        self._of_test = self._origin = _Origin(0)
        self._fixtures: list[_Origin] = []
        """Those that were set up for the test."""
        self._wider: dict[object, _Origin] = {}
        """Those of a wider scope that are not torn down, by their definitions."""
        self._records = False
        self._outer: observing.Recorder | None = None

    def start(self) -> None:
        """Record what is made for another test."""
        self.stop()
        self._test += 1
        self._of_test = self._origin = _Origin(self._test)
        self._fixtures = []
        self._records = True
        self._outer, observing.recorder = observing.recorder, self

    def stop(self) -> None:
        """Record nothing until the next test."""
        if self._records:
            observing.recorder = self._outer
            self._records = False

    # What factories tell.

    def begin(self, scope: Scope, steps: Sequence[Step]) -> None:
        origin = self._origin
        if not origin.room:
            origin.left_out += len(steps)
            return
        origin.room -= 1
        branch = scope.recorded = self._branch_class(scope)
        above = scope.parent
        if above is None:
            if scope.given:
                branch.given(scope.given)
            if scope.above is not None:
                above = scope.above.scope
        while above is not None and not above.plan.has_options:  # a Dict or a List
            branch.place, above = above.name, above.parent
        noted = None if above is None else above.recorded
        (origin if noted is None else noted).branches.append(branch)
        adapter = getattr(scope, "adapter", None)
        if adapter is not None:
            branch.adapter = adapter
            call = scope.call
            if call.recorded is None:
                call.recorded = _OfCall()
            call.recorded.append(branch)

    def found(self, call: Call, instances: Sequence[Any]) -> None:
        noted: _OfCall | None = call.recorded
        if noted is not None:
            # What the call has stored itself was not there before.
            new = (id(one) for one in instances if one is not None and not call.is_stored(one))
            noted.found = {*noted.found, *new}

    # What pytest tells.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.start()  # once more where a test is run again

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self,
        fixturedef: pytest.FixtureDef[Any],
        request: Any,  # a SubRequest, which pytest does not export
    ) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        outer = self._origin
        name, scope = fixturedef.argname, fixturedef.scope
        self._origin = _Origin(self._test, name, scope, request.node)
        self._fixtures.append(self._origin)
        if scope != "function":
            self._wider[fixturedef] = self._origin
        try:
            return (yield)
        finally:
            self._origin = outer

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        self._wider.pop(fixturedef, None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            lines = list(self.lines(item))
            if lines:
                report.sections.append(("factories", "\n".join(lines)))
        if call.when == "teardown":
            self.stop()
        return report

    # What is told.

    def lines(self, item: pytest.Item) -> Iterator[str]:
        """Yield what was made for a test, the one that runs."""
        names, nodes = getattr(item, "fixturenames", ()), item.listchain()
        before = [
            one
            for one in self._wider.values()
            if one.test != self._test and one.name in names and one.node in nodes
        ]
        for origin in (*before, *self._fixtures, self._of_test):
            place = origin.place(self._test)
            lines = list(_tree(origin.branches, 0, place, shows_all=self.shows_values))
            if len(lines) > _LINES and not self.shows_values:
                lines[_LINES:] = [f"… {len(lines) - _LINES:,} more lines"]
            yield from lines
            if origin.left_out:
                yield f"… {origin.left_out:,} more objects, which were not kept"


def _tree(
    branches: Iterable[Branch], depth: int, place: str = "", *, shows_all: bool
) -> Iterator[str]:
    """Yield the lines of branches, those that are alike together."""
    indent = "  " * depth
    groups: dict[object, list[Branch]] = {}
    for one in branches:
        one.read_keys()  # of calls that still go on
        alike = (
            *(one.place, one.factory, id(one.model), one.strategy, one.count > 0),
            *one.overrides,
        )
        groups.setdefault(alike, []).append(one)
    if groups and depth >= _DEEPEST and not shows_all:
        yield f"{indent}…"
        return
    listed = list(groups.values())
    rest = [] if shows_all else listed[_LISTED:]
    for group in listed[: len(listed) - len(rest)]:
        yield indent + _heading(group, place)
        if shows_all:
            details = dict.fromkeys(chain.from_iterable(map(_details, group)))
            yield from (f"{indent}  {line}" for line in islice(details, _SHOWN))
        inner = chain.from_iterable(one.branches for one in group)
        yield from _tree(inner, depth + 1, shows_all=shows_all)
    if rest:
        yield f"{indent}… {sum(max(one.count, 1) for group in rest for one in group):,} more"


def _details(branch: Branch) -> Iterator[str]:
    """Yield a line for each of the first objects, with what it was made with."""
    for values, key in zip_longest(branch.values, branch.keys):
        if values:
            keys = "" if key is None else _joined([key])
            yield f"{keys or _model(branch)}: {values}"


def _heading(group: Sequence[Branch], place: str) -> str:
    """Return the line of branches that are alike."""
    first, count = group[0], sum(one.count for one in group)
    place = place or first.place
    state = {"build": "only built", "stub": "stubbed"}.get(first.strategy, _keys(group))
    factory = first.factory.__name__
    parts = [
        f"{place}: {factory}" if place else factory,
        f"{_model(first)} {state if count else 'not made'}".strip(),
        ", ".join(one if "=" in one else f"{one}=…" for one in first.overrides),
        f"(x{count:,})" if count > 1 else "",
    ]
    return "  ".join(filter(None, parts))


def _model(branch: Branch) -> str:
    return getattr(branch.model, "__name__", None) or str(branch.model)


def _keys(group: Sequence[Branch]) -> str:
    keys = [key for one in group for key in one.keys]
    distinct: list[_Key] = []
    for key in keys:
        if len(distinct) <= _SHOWN + 1 and all(key[0] != other for other, _ in distinct):
            distinct.append(key)
    if len(distinct) <= _SHOWN + 1 and all(one.count <= len(one.keys) for one in group):
        return _joined(distinct)
    return f"{_joined(distinct[:_SHOWN])}, … {_joined(keys[-1:]).rpartition('=')[2]}"


def _joined(keys: Iterable[_Key]) -> str:
    """Return keys as text, with their names where these are others than those before."""
    texts, names = list[str](), ""
    for key, is_found in keys:
        before, names = names, ", ".join(key)
        values = ", ".join(map(_key_text, key.values()))
        if len(key) > 1:
            names, values = f"({names})", f"({values})"
        if any(value is not None for value in key.values()):
            prefix = f"{names}=" if names != before else ""
            texts.append(f"{prefix}{values}{' found' * is_found}")
        elif key:
            texts.append("not stored")
    return ", ".join(texts)


def _key_text(value: Any) -> str:
    if isinstance(value, str | bytes | Enum):
        return _repr.repr(value)
    # A UUID, or the ObjectId of a document, as one looks it up.
    text = str(value)
    return text if len(text) <= _repr.maxother else f"{text[: _repr.maxother]}…"


def _made_with(step: Step) -> str:
    """Return the values of an object's fields, but for its parts, which have lines of their own."""
    plan = step.scope.plan
    parts = plan.part_names
    return ", ".join(
        f"{name}={_repr.repr(step.values[name])}"
        for name in plan.keywords
        if name in step.values and name not in parts
    )


# Where classes come from whose objects show themselves without asking a database.
_PLAIN = frozenset({"builtins", "datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid"})


class _Repr(Repr):
    """Shows plain values, shortened; of others, the class."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60

    def repr_instance(self, x: Any, level: int) -> str:
        if isinstance(x, Enum):
            return f"{type(x).__name__}.{x.name}"
        if type(x).__module__ in _PLAIN:
            return super().repr_instance(x, level)
        return f"<{type(x).__name__}>"


_repr = _Repr()
