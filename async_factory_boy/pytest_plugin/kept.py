"""Shows the databases that a run has left: ``--keep-database``."""

from __future__ import annotations

from typing import Any

import pytest

_NAMES = pytest.StashKey[list[str]]()


def configure(config: pytest.Config) -> None:
    """Begin to keep the names; called where the option asks for it."""
    config.stash[_NAMES] = []
    config.pluginmanager.register(_Summary(config), "async_factory_boy_kept")


def note(config: pytest.Config, name: str) -> None:
    """Note that a database was left."""
    config.stash[_NAMES].append(name)


class _Summary:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    # What is in the workers of pytest-xdist.

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["factory_databases_kept"] = self._config.stash[_NAMES]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for name in getattr(node, "workeroutput", {}).get("factory_databases_kept", ()):
            note(self._config, name)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name in self._config.stash[_NAMES]:
            terminalreporter.write_line(f"kept the database {name}")
