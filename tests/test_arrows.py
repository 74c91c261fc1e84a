"""Which parts of the library import which: arrows between them point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import async_factory_boy

pytestmark = [pytest.mark.unmeasured, pytest.mark.versionless]

PACKAGE = Path(async_factory_boy.__file__).parent

# What each part may import, besides itself.
MAY_IMPORT = {
    "columns": set[str](),
    "exceptions": set[str](),
    "stores": set[str](),
    "observing": set[str](),
    "sequences": set[str](),
    "engine": set[str](),
    "options": {"exceptions", "stores"},
    "adapters": {"exceptions", "options", "stores"},
    "auto": {"adapters", "exceptions", "sequences"},
    "factory": {
        "adapters", "auto", "columns", "engine", "exceptions", "observing", "options", "sequences",
        "stores",
    },
    "isolation": {"exceptions"},
    "generating": {"adapters", "auto", "exceptions", "factory"},
    "commands": {"adapters", "exceptions", "factory", "generating"},
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """Return the parts of the library that a module imports while it runs."""
    found: set[str] = set()

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node: ast.If) -> None:
            if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
                self.generic_visit(node)

        def visit_Import(self, node: ast.Import) -> None:
            for alias in node.names:
                self.add(alias.name)

        def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
            if node.module == "async_factory_boy":
                for alias in node.names:
                    self.add(f"async_factory_boy.{alias.name}")
            else:
                self.add(node.module or "")

        def add(self, name: str) -> None:
            package, *rest = name.split(".")
            if package == "async_factory_boy" and rest:
                found.add(rest[0])

    Visitor().visit(ast.parse(path.read_text()))
    return found


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_arrows(part: str) -> None:
    """A part imports only those that are below it."""
    module = PACKAGE / f"{part}.py"
    modules = [module] if module.exists() else sorted((PACKAGE / part).rglob("*.py"))
    assert modules
    for one in modules:
        assert imported(one) - {part} <= MAY_IMPORT[part], one
