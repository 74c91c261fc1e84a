"""The options of the command line, and which modules of the plugin these bring in.

What a run does not ask for is not imported: every run of pytest pays for what is.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

import pytest


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--factory-report",
        metavar="N",
        nargs="?",
        const=10,
        type=_number,
        help="show the N factories that took longest, the N tests that created most, and what to "
        "share or only build (default of N: 10; 0 for all)",
    )
    group.addoption(
        "--factory-report-json",
        metavar="FILE",
        help="write what --factory-report shows to a file as JSON, all of it",
    )
    group.addoption(
        "--factory-lint-strict",
        action="store_true",
        help="have lint() and the tests of lint_cases() compare factories with their models, and "
        "show which values no factory gives an object",
    )
    group.addoption(
        "--keep-database",
        action="store_true",
        help="leave the databases that fixtures have created for this run, and show their names",
    )


def _number(value: str) -> int:
    try:
        number = int(value)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(
            "takes the number of factories to show, as in --factory-report=10; got "
            f"{value!r}. (Without a number, write it after the paths of the tests.)"
        )
    return number


# The module that an option brings in, by the name under which pytest keeps its value.
_MODULES = {
    "factory_report": "reporting",
    "factory_report_json": "reporting",
    "factory_lint_strict": "linting",
    "keep_database": "kept",
}


def configure(config: pytest.Config) -> None:
    """Begin what the options ask for."""
    modules = [module for option, module in _MODULES.items() if _is_given(config, option)]
    for module in dict.fromkeys(modules):
        import_module(f"async_factory_boy.pytest_plugin.{module}").configure(config)


_RECORDER = "async_factory_boy_objects"


def record_objects(config: pytest.Config) -> None:
    """Begin to record what factories make, once there are any; called before each test.

    ``-p no:async_factory_boy_objects`` prevents it.
    """
    plugins = config.pluginmanager
    if "async_factory_boy.factory" not in sys.modules or plugins.has_plugin(_RECORDER):
        return
    if not plugins.is_blocked(_RECORDER):
        from async_factory_boy.pytest_plugin import objects

        plugins.register(objects.started(config), _RECORDER)


def _is_given(config: pytest.Config, option: str) -> bool:
    return config.getoption(option) not in (None, False)
