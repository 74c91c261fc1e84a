"""The conformance suite notices what is broken: each adapter here is, but for one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from async_factory_boy.testing import AdapterConformance, _promise
from async_factory_boy.testing._promise import BrokenPromise
from tests.broken_adapters import (
    BROKEN,
    LocksTheConnectionForABatch,
    LocksTheConnectionToConstruct,
)
from tests.sound_adapter import SoundAdapter, SoundConformance

CHECKS = {name for name in dir(AdapterConformance) if name.startswith("test_")}

# Only the checks that are meant for an adapter: to collect all takes longer than to run these.
MODULE = """
from tests.broken_adapters import BROKEN
from tests.sound_adapter import SoundConformance
from tests.test_conformance_teeth import CHECKS

for adapter, checks in BROKEN.items():
    name = f"Test{adapter.__name__}"
    others = dict.fromkeys(CHECKS.difference(checks))
    globals()[name] = type(name, (SoundConformance,), {"adapter_class": adapter, **others})
"""


Failures = Mapping[tuple[str, str], BaseException]


# All others are noticed otherwise than by the time that it takes.
HOLD_EVERYTHING_UP = (LocksTheConnectionForABatch, LocksTheConnectionToConstruct)


class Recorder:
    """A plugin that keeps what the tests have failed with, by class and test."""

    def __init__(self) -> None:
        self.failures: dict[tuple[str, str], BaseException] = {}

    def pytest_exception_interact(
        self, node: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        assert report.when == "call", report.longreprtext
        assert call.excinfo is not None
        _, name, test = report.nodeid.split("::")
        self.failures[name, test.partition("[")[0]] = call.excinfo.value


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Failures:
    """The failures of every broken adapter in the check that is meant for it."""
    module: Path = tmp_path_factory.mktemp("teeth") / "test_broken.py"
    module.write_text(MODULE)
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()):
        patch.setattr(_promise, "TIME_LIMIT", 2.0)
        ended = pytest.main(
            [
                *("-c", os.devnull, "--rootdir", str(module.parent), "--tb", "line"),
                *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-W", "ignore"),
                # In this process it would tell the tests that follow that factory_boy is seeded.
                *("-p", "no:randomly"),
                *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
                str(module),
            ],
            plugins=[recorder],
        )
    assert ended == pytest.ExitCode.TESTS_FAILED
    return recorder.failures


class TestSoundAdapter(SoundConformance):
    """The adapter that is not broken passes every test, and none is skipped."""

    @pytest.fixture(autouse=True)
    def skipping_is_failing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pytest, "skip", pytest.fail)


@pytest.mark.versionless
@pytest.mark.parametrize("adapter", BROKEN, ids=lambda adapter: adapter.__name__)
def test_broken_adapter(adapter: type[SoundAdapter], failures: Failures) -> None:
    """A broken adapter is caught by the check meant for it, which says what was promised."""
    for check in BROKEN[adapter]:
        error = failures.get((f"Test{adapter.__name__}", check))
        assert isinstance(error, BrokenPromise), f"{check} did not notice"
        promised = getattr(AdapterConformance, check).__doc__
        assert str(error).startswith(f"{promised} ")
        assert isinstance(error.__cause__, TimeoutError) == (adapter in HOLD_EVERYTHING_UP)


def test_every_check_has_teeth() -> None:
    """There is a broken adapter for each check."""
    assert {check for checks in BROKEN.values() for check in checks} == CHECKS
