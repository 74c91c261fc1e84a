"""Configuration of Sphinx. Build with: nox -s docs."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

from sphinx.util import logging

import async_factory_boy

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "async-factory-boy"
author = copyright = "The async-factory-boy developers"
release = version = version_of("async-factory-boy")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "async-factory-boy"
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

# In docstrings, `name` in single backquotes is a reference where there is something to refer to.
default_role = "py:obj"


def convert_fences(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Turn the Markdown fences of a docstring into the directive that autodoc understands."""
    fence = re.compile(r"^( *)```(\w+)$")
    converted: list[str] = []
    indent = None
    for line in lines:
        if indent is None and (match := fence.match(line)):
            indent = match[1]
            converted += [f"{indent}.. code-block:: {match[2]}", ""]
        elif indent is not None and line == f"{indent}```":
            indent = None
            converted.append("")
        else:
            converted.append(line if indent is None or not line else f"   {line}")
    lines[:] = converted


def exported() -> Iterator[tuple[str, object]]:
    """Yield what the public modules have in ``__all__``, with its name."""
    package = async_factory_boy.__name__
    modules = pkgutil.walk_packages(async_factory_boy.__path__, f"{package}.")
    for module in [package, *(found.name for found in modules)]:
        part = module.removeprefix(f"{package}.").partition(".")[0]
        if "._" not in module and part not in ("commands", "engine", "generating"):
            imported = importlib.import_module(module)
            for name in getattr(imported, "__all__", ()):
                yield f"{module}.{name}", getattr(imported, name)


def check_reference(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of what the reference leaves out, under whatever name a module offers it."""
    described = {
        id(pkgutil.resolve_name(name))
        for name, entry in env.domains["py"].objects.items()
        if entry.objtype in ("class", "exception", "function")
    }
    for name, value in exported():
        if id(value) not in described:
            logging.getLogger(__name__).warning("%s is not in docs/reference.md", name)


def setup(app: Sphinx) -> None:
    app.connect("env-check-consistency", check_reference)
    # Before napoleon, which has the default priority, 500.
    app.connect("autodoc-process-docstring", convert_fences, priority=400)
