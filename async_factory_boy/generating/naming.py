"""What a module calls what it imports, and what it defines."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from async_factory_boy.auto.chosen import camel
from async_factory_boy.generating.finding import Place
from async_factory_boy.generating.layout import renamed

__all__ = ["Names", "declared_as", "lowest_python"]

_IMPORT = re.compile(r"from (\S+) import (.+)")


class Names:
    """The names at the top level of a module.

    Args:
        imported: What is imported already, with its name in the module.
        taken: What else has a name there.
        hidden: Names that classes of the module use for fields: in the body of such a class, what
            is imported under that name is out of reach.
        python: The lowest version of Python that the module is for.
    """

    def __init__(
        self,
        imported: Mapping[Place, str],
        taken: Iterable[str],
        hidden: Iterable[str],
        python: tuple[int, int],
    ) -> None:
        self._imported = dict(imported)
        self._taken = {*taken, *imported.values()}
        self._hidden = {*hidden}
        self._has_utc = python >= (3, 11)
        self.new: dict[Place, str] = {}
        """What has to be imported, and is not yet."""

    def of(self, place: Place) -> str:
        """Return what is imported is called. It is imported, unless it is already.

        Args:
            place: The module and the name in it; of a module itself, the name is empty.
        """
        known = self._imported.get(place)
        if known is not None and known not in self._hidden:
            return known
        name = place.name or place.module
        other = f"{name}_"
        if name[:1].isupper():
            other = f"{camel(place.module.rpartition('.')[2])}{name}"
        found, number = name, 1
        while found in self._taken | self._hidden:
            found, number = f"{other}{number if number > 1 else ''}", number + 1
        self._imported[place] = self.new[place] = found
        self._taken.add(found)
        return found

    def written(self, source: str, imports: Iterable[str]) -> str:
        """Return an expression as it is written in the module, and import what it needs.

        Args:
            source: The expression.
            imports: The lines that it needs, besides ``import factory``.
        """
        called = {}
        for line in imports:
            match = _IMPORT.fullmatch(line)
            assert match is not None, line
            for name in match[2].split(", "):
                called[name] = Place(match[1], name)
        if self._has_utc and "timezone.utc" in source:
            source = source.replace("timezone.utc", "UTC")
            called["UTC"] = Place("datetime", "UTC")
        called["factory"] = Place("factory", "")

        def name_of(name: str) -> str:
            place = called.get(name)
            return name if place is None else self.of(place)

        return renamed(source, name_of)


def lowest_python(folder: Path) -> tuple[int, int]:
    """Return the lowest version of Python that a project supports, as far as it says that.

    Args:
        folder: A folder of the project: the file pyproject.toml is there, or above.
    """
    for one in (folder.absolute(), *folder.absolute().parents):
        file = one / "pyproject.toml"
        if file.is_file():
            match = re.search(r"^requires-python\s*=.*?>=\s*3\.(\d+)", file.read_text(), re.M)
            if match is not None:
                return 3, int(match[1])
            break
    return sys.version_info[:2]


def declared_as(name: str, base: Any) -> str:
    """Return how a factory declares a field: otherwise than it is called, where it cannot be.

    Args:
        name: What the field is called.
        base: What the factory derives from: its methods keep their names.
    """
    found = re.sub(r"\W", "_", re.sub("__+", "_", name))
    if not found.isidentifier():
        found = f"field_{found.strip('_')}"
    if keyword.iskeyword(found) or found in ("Meta", "Params") or hasattr(base, found):
        found = f"{found}_"
    return found
