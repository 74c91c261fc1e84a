"""The report on what factories did in a test run: ``--factory-report``."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, astuple, dataclass
from os.path import isdir
from pathlib import Path
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from async_factory_boy import observing

_TO_SHARE = "To share: several tests create it alike, and none changes it."
_TO_BUILD = "To build: the test asks the database for nothing after it is created."

# What is longer is cut off in a table; the file has all of it.
_LONGEST = 80


def configure(config: pytest.Config) -> None:
    """Begin to observe; called where an option asks for a report."""
    shown, file = config.getoption("factory_report"), config.getoption("factory_report_json")
    path = config.invocation_params.dir / file if file is not None else None
    # Not path.is_dir(), which raises where a directory on the way may not be read.
    if path is not None and (isdir(path) or not isdir(path.parent)):
        raise pytest.UsageError(
            f"--factory-report-json takes a file in a directory that exists; got {file!r}."
        )
    report = Report(config, shown, path)
    config.pluginmanager.register(report, "async_factory_boy_report")
    config.add_cleanup(report.stop)


@dataclass
class Figures:
    """What a factory did. Times are in seconds."""

    built: int = 0
    created: int = 0
    top_level: int = 0
    waves: int = 0
    building: float = 0.0
    storing: float = 0.0

    @property
    def seconds(self) -> float:
        return self.building + self.storing

    def add(self, other: Figures) -> None:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


class _Clock(threading.local):
    """Charges time to the object that is being built, or whose hook is waited for.

    Builds wait for the store and for each other, each in a greenlet: so the clock follows the
    switches between these. Within each, objects are built within objects.
    """

    def __init__(self) -> None:
        self._stacks: WeakKeyDictionary[Any, list[Figures]] = WeakKeyDictionary()
        self._running: Figures | None = None
        self._since = 0.0
        self._storing = 0
        self._outer: Any = None  # another that follows them
        self._follows = False
        self.charged = 0.0
        """All seconds that were charged to anything so far."""

    def enter(self, figures: Figures) -> None:
        self._follow_switches()
        self._stack().append(figures)
        self._run(figures)

    def leave(self) -> None:
        stack = self._stack()
        stack.pop()
        self._run(stack[-1] if stack else None)

    @contextmanager
    def pause(self) -> Generator[None]:
        """Charge only what runs in the ``with`` block: not what is waited for there."""
        self._run(None)
        self._storing += 1
        try:
            yield
        finally:
            self._storing -= 1

    def _stack(self) -> list[Figures]:
        from greenlet import getcurrent

        return self._stacks.setdefault(getcurrent(), [])

    def _run(self, figures: Figures | None) -> None:
        now = perf_counter()
        if self._running is not None:
            self._running.building += now - self._since
            self.charged += now - self._since
        self._running, self._since = figures, now

    def _follow_switches(self) -> None:
        if not self._follows:
            from greenlet import gettrace, settrace

            self._outer = gettrace()
            settrace(self._switched)
            self._follows = True

    def stop(self) -> None:
        if self._follows:
            from greenlet import settrace

            settrace(self._outer)
            self._follows = False

    def _switched(self, event: str, greenlets: tuple[Any, Any]) -> None:
        if self._outer is not None:
            self._outer(event, greenlets)
        origin, target = greenlets
        stack = self._stacks.get(target)
        if stack:
            self._run(stack[-1])
        elif self._storing or not self._stacks.get(origin):
            self._run(None)
        # Else a build has gone over to the event loop, to wait for something of its own.


class Report:
    """Observes factories, and tells what they did.

    Args:
        config: That of the run.
        shown: How many factories and tests to show; 0 for all, ``None`` for none.
        path: The file to write.
    """

    def __init__(self, config: pytest.Config, shown: int | None, path: Path | None) -> None:
        self.config = config
        self.shown = shown
        self.path = path
        self.unwritten: OSError | None = None
        self.test = ""
        """The test that runs."""
        self.test_seconds = 0.0
        self.figures: defaultdict[tuple[str, str], Figures] = defaultdict(Figures)
        """For each factory and test."""
        self._clock = _Clock()
        self._outer, observing.observer = observing.observer, self
        self._factories: dict[int, str] = {}
        """Which factory used an adapter last."""
        # Not above: it is not to be imported in runs that do not use it.
        from async_factory_boy.pytest_plugin import creations

        self._by_a_factory = creations.by_a_factory
        worker = getattr(config, "workerinput", {}).get("workerid", "")
        self.creations = creations.Creations(worker)

    def stop(self) -> None:
        observing.observer = self._outer
        self.creations.stop()  # it may follow switches since, and let go of them first
        self._clock.stop()

    # What is observed.

    @contextmanager
    def building(self, factory: Any) -> Generator[None]:
        self._clock.enter(self.figures[_name(factory), self.test])
        try:
            yield
        finally:
            self._clock.leave()

    def built(self, factory: Any, strategy: str, count: int, depth: int) -> None:
        name = _name(factory)
        figures = self.figures[name, self.test]
        if strategy == "create":
            figures.created += count
            figures.top_level += 0 if depth else count
            self.creations.created(name)
        else:
            figures.built += count

    def called(
        self,
        factory: Any,
        strategy: str,
        given: Mapping[str, Any],
        instances: Sequence[Any],
        seconds: float,
    ) -> None:
        if strategy == "create":
            self.creations.called(_name(factory), given, instances, seconds)

    @contextmanager
    def storing(self, factories: Sequence[Any], adapter: object) -> Generator[None]:
        counts = Counter(map(_name, factories))
        self._factories[id(adapter)] = next(iter(counts))
        self.creations.stored_by(counts, adapter)
        for name in counts:
            self.figures[name, self.test].waves += 1
        with self._stored({name: count / len(factories) for name, count in counts.items()}):
            yield

    @contextmanager
    def refreshing(self, adapter: object) -> Generator[None]:
        name = self._factories.get(id(adapter))
        with self._stored({} if name is None else {name: 1.0}):
            yield

    @contextmanager
    def _stored(self, shares: dict[str, float]) -> Generator[None]:
        with self._by_a_factory(), self._clock.pause():
            begin, charged = perf_counter(), self._clock.charged
            try:
                yield
            finally:
                # What was built meanwhile, such as the objects to be stored, is charged as such.
                seconds = perf_counter() - begin - (self._clock.charged - charged)
                for name, share in shares.items():
                    self.figures[name, self.test].storing += seconds * share

    def apart(self) -> AbstractContextManager[None]:
        """Have what is created in the ``with`` block be no test's own: several share it."""
        return self.creations.apart()

    # What pytest tells.

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.test = item.nodeid
        self.creations.begin(item)
        try:
            return (yield)
        finally:
            self.creations.end(passed=False)  # if the fixtures failed, it has not ended before
            self.test = ""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        passed = False
        try:
            result = yield
            passed = True
        finally:
            self.creations.end(passed=passed)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        with self.creations.setting_up(fixturedef):
            return (yield)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        self.creations.forget(fixturedef)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.test_seconds += report.duration

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["factory_report"] = [
                (*names, *astuple(figures)) for names, figures in self.figures.items()
            ]
            output["factory_creations"] = self.creations.as_tuples()
        elif self.path is not None:
            text = json.dumps(self.as_dict(), indent=2) + "\n"
            try:
                self.path.write_text(text)
            except OSError as error:
                self.unwritten = error  # raised from here, it would hide what the tests did

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for factory, test, *figures in getattr(node, "workeroutput", {}).get("factory_report", ()):
            self.figures[factory, test].add(Figures(*figures))
        self.creations.add(*getattr(node, "workeroutput", {}).get("factory_creations", ((), ())))

    # What is told.

    def by_factory(self) -> list[tuple[str, Figures]]:
        """Return each factory with what it did, those first that took longest."""
        sums = _sums((factory, figures) for (factory, _), figures in self.figures.items())
        return sorted(sums.items(), key=lambda item: -item[1].seconds)

    def by_test(self) -> list[tuple[str, Figures]]:
        """Return each test with what factories did for it, those first that created most."""
        sums = _sums((test, figures) for (_, test), figures in self.figures.items() if test)
        return sorted(sums.items(), key=lambda item: (-item[1].created, -item[1].seconds))

    def shares(self) -> dict[str, float]:
        """Return the part of the time of all tests that was spent on each factory."""
        # What was built while tests were collected took no time of theirs.
        sums = _sums((factory, one) for (factory, test), one in self.figures.items() if test)
        return {
            factory: one.seconds / self.test_seconds if self.test_seconds else 0.0
            for factory, one in sums.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Return all that is known, to be written as JSON."""
        shares = self.shares()
        return {
            "test_seconds": self.test_seconds,
            "factories": [
                {"factory": name, **asdict(figures), "share": shares.get(name, 0.0)}
                for name, figures in self.by_factory()
            ],
            "tests": [
                {
                    "test": test,
                    **asdict(figures),
                    "factories": {
                        factory: asdict(part)
                        for (factory, other), part in self.figures.items()
                        if other == test
                    },
                }
                for test, figures in self.by_test()
            ],
            "to_share": [share._asdict() for share in self.creations.to_share()],
            "to_build": [unread._asdict() for unread in self.creations.to_build()],
        }

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.shown is not None:
            terminalreporter.section("factories")
            self._show(terminalreporter, self.shown)
        if self.unwritten is not None:
            terminalreporter.write_line(
                f"--factory-report-json has not written its file: {self.unwritten}"
            )

    def _show(self, terminalreporter: pytest.TerminalReporter, shown: int) -> None:
        factories, tests = self.by_factory(), self.by_test()
        if not factories:
            terminalreporter.write_line("No async factory was used.")
            return
        total, shares = Figures(), self.shares()
        for _, figures in factories:
            total.add(figures)
        shares["all factories"] = sum(shares.values())
        rows: list[tuple[str, ...]]
        rows = [("", "created", "top-level", "built", "waves", "building", "storing", "share")]
        rows += [
            (
                name,
                f"{one.created:,}",
                f"{one.top_level:,}",
                f"{one.built:,}",
                f"{one.waves:,}",
                f"{one.building:.2f} s",
                f"{one.storing:.2f} s",
                f"{shares.get(name, 0.0):.0%}",
            )
            for name, one in [*factories[: shown or None], ("all factories", total)]
        ]
        for line in _table(rows):
            terminalreporter.write_line(line)
        if len(factories) > shown > 0:
            terminalreporter.write_line(f"({len(factories) - shown} more factories)")
        terminalreporter.write_line("")
        rows = [("", "created", "seconds")]
        rows += [
            (test, f"{one.created:,}", f"{one.seconds:.2f} s")
            for test, one in tests[: shown or None]
        ]
        for line in _table(rows):
            terminalreporter.write_line(line)
        self._show_advice(terminalreporter, shown)
        if self.path is not None and self.unwritten is None:
            terminalreporter.write_line(f"all of it: {self.path}")

    def _show_advice(self, terminalreporter: pytest.TerminalReporter, shown: int) -> None:
        to_share = [
            (
                _shortened(f"{one.factory.rpartition('.')[2]}({one.given})"),
                f"{len(one.tests):,} tests of {one.of}",
                f"{one.seconds:.2f} s",
                _shortened(one.write),
            )
            for one in self.creations.to_share()
        ]
        to_build = [
            (one.test, one.factory, f"{one.created:,}", f"{one.seconds:.2f} s")
            for one in self.creations.to_build()
        ]
        for title, rows, texts in (
            (_TO_SHARE, to_share, (0, 1, 3)),
            (_TO_BUILD, to_build, (0, 1)),
        ):
            if rows:
                terminalreporter.write_line("")
                terminalreporter.write_line(title)
                for line in _table(rows[: shown or None], texts):
                    terminalreporter.write_line(line)


def _name(factory: Any) -> str:
    return f"{factory.__module__}.{factory.__qualname__}"


def _sums(parts: Iterable[tuple[str, Figures]]) -> dict[str, Figures]:
    sums: defaultdict[str, Figures] = defaultdict(Figures)
    for name, figures in parts:
        sums[name].add(figures)
    return sums


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _table(rows: Sequence[tuple[str, ...]], texts: Collection[int] = (0,)) -> Iterable[str]:
    """Yield the lines of a table, of whose columns some are texts, and all others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place in texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
