"""Print what fills the fields of a factory's model: by which rule, or why nothing does."""

from __future__ import annotations

import argparse

from async_factory_boy.commands import importing
from async_factory_boy.commands.problems import CommandError
from async_factory_boy.factory import AsyncFactory

HELP = "print what fills the fields of a factory's model"

EPILOG = """\
examples:
  python -m async_factory_boy explain app.factories:UserFactory
  python -m async_factory_boy explain app.factories:UserFactory --setup tests.conftest:initialise

exit status: 0 done; 1 the factory cannot be imported, or its model cannot be read; 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("factory", help="the factory, such as app.factories:UserFactory")
    parser.add_argument(
        "--setup",
        metavar="MODULE:FUNCTION",
        help="a function to call before, which may be async: one that initialises the ORM",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    if arguments.setup is not None:
        importing.call(arguments.setup)
    found = importing.member(arguments.factory, "app.factories:UserFactory")
    if not (isinstance(found, type) and issubclass(found, AsyncFactory)):
        raise CommandError(
            f"{arguments.factory} is {found!r}, and no class that derives from AsyncFactory."
        )
    found.explain()
    return 0
