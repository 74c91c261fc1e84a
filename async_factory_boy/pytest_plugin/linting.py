"""Has each lint of a run be strict, and shows what is not covered: ``--factory-lint-strict``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from async_factory_boy import observing

Row = tuple[str, str, str, list[str], list[int]]


def configure(config: pytest.Config) -> None:
    """Begin to observe; called where the option asks for it."""
    summary = Summary(config)
    config.pluginmanager.register(summary, "async_factory_boy_lint")
    config.add_cleanup(summary.stop)


class Summary:
    """Adds up what each lint of a run has found, and shows what none of them has.

    Args:
        config: That of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rows: dict[tuple[str, str], Row] = {}
        self.notes: dict[str, None] = {}
        self._outer, observing.lint_observer = observing.lint_observer, self

    def stop(self) -> None:
        observing.lint_observer = self._outer

    def linted(self, rows: Sequence[Row], notes: Sequence[str]) -> None:
        self.notes.update(dict.fromkeys(notes))
        for key, model, field, possible, seen in rows:
            known = self.rows.setdefault((key, field), (key, model, field, possible, []))
            known[-1].extend(seen)

    # What is in the workers of pytest-xdist.

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["factory_lint"] = [list(self.rows.values()), list(self.notes)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        found = getattr(node, "workeroutput", {}).get("factory_lint")
        if found is not None:
            self.linted(*found)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("factory lint")
        if not self.rows and not self.notes:
            terminalreporter.write_line("No factory was linted strictly.")
            return
        from async_factory_boy.linting.coverage import lines_of

        never = [
            (model, field, [one for place, one in enumerate(possible) if place not in seen])
            for _, model, field, possible, seen in self.rows.values()
        ]
        lines = lines_of([one for one in never if one[2]], self.notes)
        for line in lines:
            terminalreporter.write_line(line)
