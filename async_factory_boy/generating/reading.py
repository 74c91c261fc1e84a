"""Reads the factories that a module has, without importing it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from async_factory_boy.generating.finding import Place

__all__ = ["Written", "WrittenFactory", "module_name", "read"]

TO_DECIDE = "Decide: "
"""What begins a comment that asks for a decision."""

_COMMENT = re.compile(rf"\s*# {TO_DECIDE}(\w+)")


@dataclass
class WrittenFactory:
    """A factory that a module has.

    Args:
        name: Its name.
        node: The class.
        model: Where its model is imported from, as far as that can be seen.
        declared: The fields that it declares, or its bases in the module.
        excluded: What ``Meta.exclude`` names.
        is_automatic: Whether it takes from the model what it does not declare.
        to_decide: The fields that a comment asks to decide.
        stores: Whether it derives from a factory of this library, as far as that can be seen.
    """

    name: str
    node: ast.ClassDef
    model: Place | None
    declared: set[str] = field(default_factory=set)
    excluded: tuple[str, ...] = ()
    is_automatic: bool = False
    to_decide: set[str] = field(default_factory=set)
    stores: bool = True

    def is_of(self, model: Any, place: Place) -> bool:
        """Return whether it is a factory of a model, which is imported from a certain place."""
        own = self.model
        if own is None:
            return False
        if own == place:
            return True
        module = sys.modules.get(own.module)
        if module is None:
            return own.name == place.name  # imported by a way that cannot be seen
        found: Any = module
        for part in own.name.split("."):
            found = getattr(found, part, None)
        return found is model


@dataclass
class Written:
    """A module that has factories.

    Args:
        text: Its text.
        factories: The factories, in their order.
        imported: What it imports, with the name that this has in the module.
        taken: The names that are taken at its top level.
        imports_end: The last line of its last import at the top level; of its docstring, or 0.
        module: What it is imported as.
    """

    text: str
    factories: list[WrittenFactory]
    imported: Mapping[Place, str]
    taken: set[str]
    imports_end: int
    module: str


def read(path: Path) -> Written:
    """Read a module.

    Raises:
        OSError: When it cannot be read.
        SyntaxError: When it is no Python.
        UnicodeDecodeError: When it is not in UTF-8.
    """
    text = path.read_bytes().decode()
    tree = ast.parse(text, filename=str(path))
    module = module_name(path)
    reader = _Reader(text, tree, path)
    names, classes = reader.names, reader.classes
    found = [one for node in classes.values() if (one := reader.factory(node)) is not None]
    ends = [one.end_lineno or 0 for one in tree.body if _is_import(one)]
    if not ends and ast.get_docstring(tree) is not None:
        ends = [tree.body[0].end_lineno or 0]
    taken = {*names, *classes}
    for node in tree.body:
        taken.update(_assigned(node))
    # Not what is imported within a function, or for type checkers.
    imported = {place: name for name, place in _imports(tree.body, module).items()}
    return Written(text, found, imported, taken, max(ends, default=0), module)


def module_name(path: Path) -> str:
    """Return what pytest imports a file as: its packages begin below a folder that is none."""
    path = path.absolute()
    parts = [path.stem]
    for folder in path.parents:
        if not (folder / "__init__.py").exists():
            break
        parts.insert(0, folder.name)
    return ".".join(parts).removesuffix(".__init__")


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _imports(nodes: Iterable[ast.AST], module: str) -> dict[str, Place]:
    """Return what each name stands for that statements of a module import."""
    found: dict[str, Place] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.asname is not None:
                    found[one.asname] = Place(one.name, "")
                else:
                    first = one.name.partition(".")[0]
                    found[first] = Place(first, "")
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(module.split(".")[: -node.level]) if node.level else ""
            origin = ".".join(filter(None, (package, node.module)))
            for one in node.names:
                found[one.asname or one.name] = Place(origin, one.name)
    return found


def _assigned(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement gives a value to."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))
    elif isinstance(node, ast.AnnAssign):
        if isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name


class _Reader:
    """Reads the classes of a module."""

    def __init__(self, text: str, tree: ast.Module, path: Path) -> None:
        self.names = _imports(ast.walk(tree), module_name(path))
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self._lines = text.splitlines()
        # Where absolute imports of the module begin.
        self._root = path.absolute().parents[module_name(path).count(".")]

    def factory(self, node: ast.ClassDef) -> WrittenFactory | None:
        """Return what a class is as a factory that has a model; ``None`` if it is none."""
        found = WrittenFactory(node.name, node, None)
        if not self._fill(found, node, own=True) or found.model is None:
            return None
        return found

    def _fill(self, found: WrittenFactory, node: ast.ClassDef, *, own: bool) -> bool:
        """Add what a class says. Return whether it is a factory that has objects."""
        is_factory = False
        options = self._options(node)
        model = options.get("model")
        found.model = found.model or (self._place(model) if model is not None else None)
        for base in node.bases:
            name = base.value if isinstance(base, ast.Subscript) else base
            if isinstance(base, ast.Subscript):
                found.model = found.model or self._place(base.slice)
            local = self.classes.get(name.id) if isinstance(name, ast.Name) else None
            if local is not None and local is not node and local.lineno < node.lineno:
                is_factory |= self._fill(found, local, own=False)
                continue
            place = self._place(name)
            elsewhere = self._elsewhere(place)
            if elsewhere is not None:
                reader, above = elsewhere
                is_factory |= reader._fill(found, above, own=False)
            else:
                is_factory |= _is_factory(place)
                found.stores = place != Place("factory", "Factory")
        for statement in node.body:
            found.declared.update(_assigned(statement))
            if isinstance(statement, ast.ClassDef) and statement.name == "Params":
                found.declared.update(name for one in statement.body for name in _assigned(one))
        for old, new in _literal(options.get("rename"), dict).items():
            if old in found.declared:
                found.declared.add(new)
        found.excluded += tuple(_literal(options.get("exclude"), tuple))
        self._take_automatic(found, options.get("auto_declarations"))
        for line in self._lines_of(node):
            match = _COMMENT.match(line)
            if match is not None:
                found.to_decide.add(match[1])
        return is_factory and not (own and _literal(options.get("abstract"), bool))

    def _lines_of(self, node: ast.ClassDef) -> Iterator[str]:
        """Yield the lines of a class, with the comments that it ends with."""
        end = node.end_lineno or node.lineno
        yield from self._lines[node.lineno : end]
        yield from takewhile(lambda line: re.match(r"\s+#|\s*$", line), self._lines[end:])

    def _take_automatic(self, found: WrittenFactory, option: ast.expr | None) -> None:
        if option is None:
            return
        names = _literal(option, tuple)
        found.declared.update(names)
        found.is_automatic = not names and _literal(option, object) is not False

    def _options(self, node: ast.ClassDef) -> dict[str, ast.expr]:
        """Return the options that the ``Meta`` of a class has itself."""
        found = {}
        for statement in node.body:
            if isinstance(statement, ast.ClassDef) and statement.name == "Meta":
                for one in statement.body:
                    if isinstance(one, ast.Assign | ast.AnnAssign) and one.value is not None:
                        found.update(dict.fromkeys(_assigned(one), one.value))
        return found

    def _elsewhere(self, place: Place | None) -> tuple[_Reader, ast.ClassDef] | None:
        """Return a base class that another module of the project has, with what reads that."""
        if place is None or not place.module or _is_of_library(place):
            return None
        module, name = place
        while "." in name:  # what was imported is a module itself
            first, _, name = name.partition(".")
            module = f"{module}.{first}"
        *package, last = module.split(".")
        for root in (self._root, *map(Path, sys.path)):
            folder = root.joinpath(*package)
            for path in (folder / last / "__init__.py", folder / f"{last}.py"):
                try:
                    text = path.read_bytes().decode()
                    reader = _Reader(text, ast.parse(text), path)
                except (OSError, SyntaxError, UnicodeDecodeError):
                    continue
                node = reader.classes.get(name)
                if node is not None:
                    return reader, node
                onward = reader.names.get(name)
                return None if onward is None else reader._elsewhere(onward)
        return None

    def _place(self, node: ast.expr) -> Place | None:
        """Return where something is imported from that an expression names."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        origin = self.names.get(node.id)
        if origin is None:
            return Place("", ".".join([node.id, *parts]))
        path = [one for one in (origin.name, *parts) if one]
        # What is imported may be a module itself.
        module = origin.module
        while len(path) > 1 and f"{module}.{path[0]}" in sys.modules:
            module = f"{module}.{path.pop(0)}"
        return Place(module, ".".join(path))


def _is_of_library(place: Place) -> bool:
    top = place.module.partition(".")[0]
    return top == "factory" or top.startswith("async_factory_boy")


def _is_factory(place: Place | None) -> bool:
    """Return whether the base of a class, of a module that cannot be read, is a factory."""
    return place is not None and (_is_of_library(place) or place.name.endswith("Factory"))


def _literal(node: ast.expr | None, kind: type) -> Any:
    """Return the value of an option that is written out; what is empty where it is not."""
    try:
        value = None if node is None else ast.literal_eval(node)
    except ValueError:
        value = None
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if kind is object:
        return value
    return value if isinstance(value, kind) else kind()
