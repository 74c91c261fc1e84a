"""Imports what commands are given by name."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import pkgutil
import re
import traceback
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from async_factory_boy.commands.problems import CommandError
from async_factory_boy.exceptions import shown, similar

__all__ = ["call", "member", "module", "submodules"]


def module(name: str) -> ModuleType:
    """Import a module.

    Raises:
        CommandError: When it cannot be, with the cause and where that was.
    """
    if not re.fullmatch(r"\w+(\.\w+)*", name) or name.endswith(".py"):
        path = name.removesuffix(".py").strip("./").replace("/", ".").replace(os.sep, ".")
        raise CommandError(
            f"{name!r} is no name of a module; write it as in an import: {path}.", status=2
        )
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        raise CommandError(_problem(name, error)) from error


def submodules(package: ModuleType) -> Iterator[ModuleType]:
    """Yield the modules of a package, and of packages in it, that can be imported."""
    for found in pkgutil.iter_modules(getattr(package, "__path__", ())):
        if found.name != "__main__":
            with contextlib.suppress(CommandError):
                one = module(f"{package.__name__}.{found.name}")
                yield one
                yield from submodules(one)


def member(path: str, example: str) -> Any:
    """Import what is called ``package.module:name``.

    Args:
        path: What it is called.
        example: Another such path, for the error that this is none.


    Raises:
        CommandError: When the path has another form, or there is no such thing.
    """
    name, colon, attribute = path.partition(":")
    if not colon or not attribute:
        raise CommandError(
            f"{path!r} has not the form package.module:name; write {example}, say.",
            status=2,
        )
    found: Any = module(name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            has = similar(part, [one for one in vars(found) if not one.startswith("_")])
            raise CommandError(f"{name} has no {attribute}.{has}")
        found = getattr(found, part)
    return found


def call(path: str) -> None:
    """Call a function that is called ``package.module:name``, and await it if it is async.

    Raises:
        CommandError: When it cannot be imported, is none, or raises something.
    """
    function = member(path, "tests.conftest:initialise")
    if not callable(function) or isinstance(function, type):
        raise CommandError(
            f"--setup {path} is {shown(function)}, and no function; name one that takes no "
            "arguments: tests.conftest:initialise, say.",
            status=2,
        )
    try:
        result = function()
        if inspect.isawaitable(result):

            async def wait() -> None:
                await result

            asyncio.run(wait())
    except Exception as error:
        raise CommandError(f"{path} failed with {_described(error)}") from error


def _problem(name: str, error: BaseException) -> str:
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    if missing and (name == missing or name.startswith(f"{missing}.")):
        return (
            f"there is no module {missing}. Modules are looked for in the current folder, "
            f"{os.getcwd()}, and in PYTHONPATH. For those in another folder, src, write: "
            f"PYTHONPATH=src python -m async_factory_boy ..."
        )
    hint = ""
    if missing:
        hint = (
            f"\n  If {missing} is your own, name its folder: PYTHONPATH=folder "
            "python -m async_factory_boy ..."
        )
    return f"{name} cannot be imported: {_described(error)}{hint}"


def _described(error: BaseException) -> str:
    """Return an error with the place where it was raised, without a traceback."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SyntaxError):
        return text if error.filename is None else f"{text} ({error.filename})"
    frames = [
        one
        for one in traceback.extract_tb(error.__traceback__)
        if not one.filename.startswith("<frozen")
        and one.filename not in (__file__,)
        and "importlib" not in one.filename
    ]
    if not frames:
        return text
    last = frames[-1]
    return f"{text}\n  raised in {last.filename}, line {last.lineno}: {last.line}"
