"""Write factories for the models of modules, and for the models that these require.

Prints them, or writes them to a new file. Of a file that is there, no line is changed: what it
lacks is shown as a diff, which --write applies.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from async_factory_boy.adapters.registry import by_name
from async_factory_boy.commands import importing
from async_factory_boy.commands.problems import CommandError
from async_factory_boy.exceptions import AdapterError, ConfigurationError
from async_factory_boy.generating import (
    Drafting,
    Found,
    Merged,
    Written,
    lowest_python,
    merged,
    models_of,
    new_file,
    read,
)

HELP = "write factories for models"

EPILOG = """\
examples:
  python -m async_factory_boy generate app.models
  python -m async_factory_boy generate app.models --only User,Post --output tests/factories.py
  python -m async_factory_boy generate app.models --output tests/factories.py --check

exit status: 0 done, and with --check nothing is missing; 1 something is, or models cannot be
read; 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("modules", nargs="+", metavar="module", help="a module, such as app.models")
    parser.add_argument(
        "--only", metavar="NAMES", help="these models, such as User,Post, and what they require"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file; if it is there, what it lacks is shown as a diff",
    )
    parser.add_argument(
        "--adapter",
        metavar="NAME",
        help="the adapter of the models, such as sqlalchemy, if they do not tell",
    )
    parser.add_argument(
        "--setup",
        metavar="MODULE:FUNCTION",
        help="a function to call before, which may be async: one that initialises the ORM",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--check",
        action="store_true",
        help="write nothing; list what --output lacks, with exit status 1 if there is something. A "
        "comment # Decide above a declaration is advice, and passes",
    )
    how.add_argument(
        "--write", action="store_true", help="add to --output what it lacks; no line is changed"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write what is missing, show it, or list it."""
    output: Path | None = arguments.output
    _check_usage(arguments)
    if arguments.setup is not None:
        importing.call(arguments.setup)
    modules = [importing.module(name) for name in arguments.modules]
    if arguments.adapter is not None:
        _check_adapter(arguments.adapter)  # which the modules may have registered
    found = models_of(modules, arguments.adapter)
    wanted = _wanted(found, modules, arguments)
    written = _read(output) if output is not None and output.exists() else None
    drafting = Drafting(found, arguments.modules, arguments.adapter, written)
    try:
        drafting.add(wanted)
    except AdapterError as error:
        if arguments.setup is not None:
            raise
        raise CommandError(
            f"{error} For this command, name a function that does so, which may be async: "
            "--setup tests.conftest:initialise, say."
        ) from error
    python = lowest_python(output.parent if output is not None else Path())
    if written is None or output is None:
        return _new(new_file(drafting, python), drafting, arguments)
    return _existing(written, merged(written, drafting, python), arguments)


def _names_in(only: str) -> list[str]:
    return [name.strip() for name in only.split(",") if name.strip()]


def _check_usage(arguments: argparse.Namespace) -> None:
    output: Path | None = arguments.output
    if arguments.only is not None and not _names_in(arguments.only):
        raise CommandError("--only names no model; write --only User,Post, say.", status=2)
    if output is None:
        for option in ("check", "write"):
            if getattr(arguments, option):
                raise CommandError(
                    f"--{option} needs --output, the file that has the factories.", status=2
                )
    elif not output.parent.is_dir():
        raise CommandError(
            f"--output {output}: there is no folder {output.parent}; make it first.", status=2
        )
    elif output.is_dir():
        raise CommandError(
            f"--output {output} is a folder; name a file in it: {output / 'factories.py'}.",
            status=2,
        )


def _check_adapter(name: str) -> None:
    try:
        by_name(name)
    except ConfigurationError as error:
        raise CommandError(f"--adapter {error.problem}", status=2) from error
    except ImportError as error:
        raise CommandError(f"--adapter {name}: {error}") from error


def _wanted(
    found: Sequence[Found], modules: Sequence[ModuleType], arguments: argparse.Namespace
) -> Sequence[Found]:
    given = " and ".join(arguments.modules)
    if not found:
        by = f" that the adapter {arguments.adapter} stores" if arguments.adapter else ""
        below = [
            one.__name__
            for module in modules
            for one in importing.submodules(module)
            if models_of([one], arguments.adapter)
        ]
        if below:
            raise CommandError(
                f"{given}: there are no models{by} in it itself. Name the modules that define "
                f"them: {' '.join(below)}."
            )
        raise CommandError(
            f"{given}: there are no models{by}. Name the modules that define them; and where "
            "the models do not tell what stores them, name that: --adapter mongo, say."
        )
    if arguments.only is None:
        return found
    names = _names_in(arguments.only)
    by_name_ = {one.place.name: one for one in found}
    for name in names:
        if name not in by_name_:
            raise CommandError(
                f"--only names {name}, which {given} has no model of. Models: "
                f"{', '.join(sorted(by_name_))}.",
                status=2,
            )
    return [by_name_[name] for name in names]


def _read(output: Path) -> Written:
    try:
        return read(output)
    except SyntaxError as error:
        raise CommandError(
            f"{output} cannot be read: line {error.lineno}: {error.msg}. Correct it first, or "
            "write to another file."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{output} cannot be read: {error}") from error


def _new(text: str, drafting: Drafting, arguments: argparse.Namespace) -> int:
    output: Path | None = arguments.output
    if output is None:
        print(text, end="")
    elif arguments.check:
        for draft in drafting.new:
            print(f"{output}: {draft.name} is missing")
        return 1
    else:
        output.write_bytes(text.encode())
        _say(f"{output}: {_counted(len(drafting.new))} written.")
    return 0


def _existing(written: Written, result: Merged, arguments: argparse.Namespace) -> int:
    output: Path = arguments.output
    if arguments.check:
        for one in result.missing:
            print(f"{output}: {one}")
        return 1 if result.missing else 0
    if result.text == written.text:
        _say(f"{output}: nothing is missing.")
        return 0
    diff = difflib.unified_diff(
        written.text.splitlines(), result.text.splitlines(), str(output), str(output), lineterm=""
    )
    print("\n".join(diff))
    if arguments.write:
        output.write_bytes(result.text.encode())
        _say(f"{output}: written.")
    else:
        _say(f"{output}: not changed. To add these lines, add --write.")
    return 0


def _counted(number: int) -> str:
    return f"{number} {'factory' if number == 1 else 'factories'}"


def _say(text: str) -> None:
    """Tell what was done, apart from what is printed for other programs."""
    print(text, file=sys.stderr)
