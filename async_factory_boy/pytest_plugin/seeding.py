"""Random data and sequences that are the same in each run of a test."""

from __future__ import annotations

import random
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from async_factory_boy import sequences

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


def add_options(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    group.addoption(
        "--factory-seed",
        metavar="SEED",
        help="the integer that each test's random data is derived from, as the header of an "
        "earlier run showed it (default: the ini option factory_seed, or another in each run)",
    )
    parser.addini("factory_seed", "the default of --factory-seed", default=None)
    parser.addini(
        "factory_reset_sequences",
        "have the sequences and iterators of all async factories begin anew in each test",
        type="bool",
        default=False,
    )
    parser.addini(
        "factory_disjoint_sequences",
        "have the sequences of each of pytest-xdist's workers give numbers of their own",
        type="bool",
        default=False,
    )


def configure(config: pytest.Config) -> None:
    """Register what the options ask for."""
    if config.getini("factory_disjoint_sequences"):
        _number_workers(config)
    if config.getini("factory_reset_sequences"):
        config.pluginmanager.register(_Sequences(), "async_factory_boy_sequences")
    given = _given_seed(config)
    if config.pluginmanager.has_plugin("randomly") and config.getoption(
        "randomly_reset_seed", default=False
    ):
        if given is not None:
            raise pytest.UsageError(
                "pytest-randomly seeds factory_boy in this run, and so --factory-seed (or the ini "
                "option factory_seed) would have no effect: use --randomly-seed instead, or add "
                "--randomly-dont-reset-seed."
            )
        return
    from_controller = getattr(config, "workerinput", {}).get("factory_seed")
    seed = given if given is not None else from_controller
    seeding = Seeding(config, random.getrandbits(32) if seed is None else seed, given is not None)
    config.pluginmanager.register(seeding, "async_factory_boy_seeding")


def _given_seed(config: pytest.Config) -> int | None:
    for source, value in (
        ("--factory-seed", config.getoption("factory_seed")),
        ("The ini option factory_seed", config.getini("factory_seed") or None),
    ):
        if value is not None:
            try:
                return int(value)
            except ValueError:
                raise pytest.UsageError(
                    f"{source} takes an integer, such as the header of a run shows; got {value!r}."
                ) from None
    return None


def _number_workers(config: pytest.Config) -> None:
    number = getattr(config, "workerinput", {}).get("factory_worker")
    if number is None:
        config.pluginmanager.register(_Workers(), "async_factory_boy_workers")
    else:
        sequences.worker = number
        config.add_cleanup(lambda: setattr(sequences, "worker", None))


class _Workers:
    """Gives a number to each of pytest-xdist's workers, also to one that replaces another.

    Not that of its id, gw0, which may be any word: ``--tx popen//id=alice``.
    """

    def __init__(self) -> None:
        self._numbers = count()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["factory_worker"] = next(self._numbers)


def _name(node: pytest.Item | pytest.Collector) -> str:
    """Return the id of a node, without the group that pytest-xdist appends to that of a test."""
    if isinstance(node, pytest.Item) and node.parent is not None:
        return f"{node.parent.nodeid}::{node.name}"
    return node.nodeid


def _has_factories() -> bool:
    """Tell whether this run has imported async factories so far."""
    return "async_factory_boy.factory" in sys.modules


class Seeding:
    """Has each test begin with random data that depends on the seed and the test alone.

    Args:
        config: That of the run.
        seed: The seed.
        given: Whether it was asked for. Else only runs are seeded that have async factories, and
            that do not call ``factory.random.reseed_random()`` themselves.
    """

    def __init__(self, config: pytest.Config, seed: int, given: bool) -> None:
        self.config = config
        self.seed = seed
        self.given = given
        self.used = False
        self.shown = False
        self._seeded_by_others = False

    def _seeds(self) -> bool:
        if self.given:
            return True
        if self._seeded_by_others or not _has_factories():
            return False
        if not self.used:
            self._notice_others()
        return not self._seeded_by_others

    def _notice_others(self) -> None:
        from factory.random import randgen

        self._seeded_by_others = not self.given and getattr(randgen, "state_set", False)

    def pytest_report_header(self) -> str | None:
        if not self._seeds():
            return None
        self.shown = True
        return self._line()

    def _line(self) -> str:
        return f"factories: --factory-seed={self.seed}"

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Have parameters that factories make be the same in each of pytest-xdist's workers."""
        if not self._seeds():
            return (yield)
        self._reseed(_name(collector))
        try:
            return (yield)
        finally:
            self._notice_others()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self._seeds():
            self._reseed(_name(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self,
        fixturedef: pytest.FixtureDef[Any],
        request: Any,  # a SubRequest, which pytest does not export
    ) -> Generator[None, Any, Any]:
        """Keep what other tests use as well from depending on the test that comes first."""
        if fixturedef.scope == "function":
            return (yield)
        # By its place: the text of a parameter may be another in each run, as an address is.
        param = request.param_index if hasattr(request, "param") else ""
        with self.apart(f"{_name(request.node)} {fixturedef.argname} {param}"):
            return (yield)

    @contextmanager
    def apart(self, name: str) -> Generator[None]:
        """Have what is drawn depend on a name alone, and not on what was drawn before."""
        if not self._seeds():
            yield
            return
        import faker.generator
        from factory.random import randgen

        generators = (randgen, faker.generator.random)
        states = [generator.getstate() for generator in generators]
        self._reseed(name)
        try:
            yield
        finally:
            self._notice_others()
            if not self._seeded_by_others:
                for generator, state in zip(generators, states, strict=True):
                    generator.setstate(state)

    def _reseed(self, name: str) -> None:
        from factory.random import randgen, reseed_random

        reseed_random(f"{self.seed} {name}")
        vars(randgen)["state_set"] = False  # to see when another does it
        self.used = True

    # Where only test modules import factories, the header is too early, and under pytest-xdist only
    # the workers know.

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        wanted = terminalreporter.verbosity >= 0 or any(
            terminalreporter.stats.get(outcome) for outcome in ("failed", "error")
        )
        if self.used and not self.shown and wanted:
            terminalreporter.write_line(self._line())

    def pytest_sessionfinish(self) -> None:
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["factory_seed_used"] = self.used

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["factory_seed"] = self.seed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.used |= getattr(node, "workeroutput", {}).get("factory_seed_used", False)


class _Sequences:
    """Has the sequences begin anew in each test.

    The numbers of objects that several tests use are out of the way of those of each test.
    """

    OFFSET = 100_000

    def __init__(self) -> None:
        self.shared: Mapping[Any, Any] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._exchange({})
        uniques = sys.modules.get("async_factory_boy.auto.uniques")
        if uniques is not None:
            uniques.begin_anew()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        with self.apart():
            return (yield)

    @contextmanager
    def apart(self) -> Generator[None]:
        """Have the numbers of sequences be those for what several tests use."""
        of_test, of_outer = self._exchange(self.shared), sequences.offset
        sequences.offset = self.OFFSET
        try:
            yield
        finally:
            self.shared, sequences.offset = self._exchange(of_test), of_outer

    def _exchange(self, counters: Mapping[Any, Any]) -> Mapping[Any, Any]:
        if not _has_factories():
            return {}
        from async_factory_boy.factory import AsyncFactory
        from async_factory_boy.factory.inspection import exchange_counters

        return exchange_counters(AsyncFactory, counters)
