"""The commands of ``python -m async_factory_boy``, each in a module of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from async_factory_boy.commands import explain, generate
from async_factory_boy.commands.problems import CommandError
from async_factory_boy.exceptions import AsyncFactoryError

__all__ = ["main"]

COMMANDS: dict[str, ModuleType] = {"generate": generate, "explain": explain}
"""Each has `HELP`, ``add_arguments(parser)`` and ``run(arguments)``, which returns the status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What is written after ``python -m async_factory_boy``; by default, what was.

    Returns:
        The exit status: 0 when it is done, 1 when a check has found something or models could not
        be read. A wrong usage ends by ``SystemExit(2)``, as in `argparse`.
    """
    given = _parser().parse_args(arguments)
    # As with python -m, also where the console script is called.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        status: int = COMMANDS[given.command].run(given)
    except CommandError as error:
        return _refused(f"{error}", error.status)
    except AsyncFactoryError as error:
        return _refused(f"{error}", 1)
    return status


def _refused(problem: str, status: int) -> int:
    print(f"async-factory-boy: {problem}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m async_factory_boy",
        description="Write and explain factories.",
        epilog="Exit status: 0 done, 1 a check has found something or modules could not be "
        "imported, 2 wrong usage.",
    )
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            epilog=getattr(module, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    return parser
