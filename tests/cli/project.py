"""A small project, in which commands are run."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from async_factory_boy.commands import main

HEAD = """\
from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


"""

USER = """\
class User(Base):
    __tablename__ = "app_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
"""

COMPANY = """\
class Company(Base):
    __tablename__ = "company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
"""


class Result(NamedTuple):
    """What a command has ended with."""

    status: int | str | None
    out: str
    err: str


class Project:
    """A folder, as the current one."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._capsys = capsys
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        self.write("pyproject.toml", '[project]\nname = "x"\nrequires-python = ">=3.10"\n')

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def models(self, *classes: str, name: str = "models.py") -> None:
        """Write a module of mapped classes."""
        self.write(name, HEAD + "\n\n".join(classes))

    def text(self, name: str = "factories.py") -> str:
        return (self.folder / name).read_bytes().decode()

    def run(self, *arguments: str) -> Result:
        """Run a command, which imports all modules of the project anew."""
        self.forget()
        try:
            status: int | str | None = main(arguments)
        except SystemExit as error:
            status = error.code
        return Result(status, *self._capsys.readouterr())

    def generate(self, *arguments: str) -> Result:
        return self.run("generate", "models", *arguments)

    def imported(self, name: str = "factories") -> ModuleType:
        self.forget()
        return importlib.import_module(name)

    def forget(self) -> None:
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if file.startswith(f"{self.folder}{os.sep}"):
                del sys.modules[name]
        importlib.invalidate_caches()


def body_of(text: str, factory: str) -> list[str]:
    """Return the lines of a factory, but for the first, without their indent."""
    _, _, rest = text.partition(f"\nclass {factory}(")
    lines = rest.split("\n\n\n")[0].splitlines()
    return [line.strip() for line in lines[1:]]


def added(diff: str) -> list[str]:
    """Return the lines that a diff adds, and refuse one that removes any."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    assert not [line for line in lines if line.startswith("-")]
    return [line[1:] for line in lines if line.startswith("+")]
