"""Adds what a module of factories lacks: lines between those that are there, which stay."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from async_factory_boy.generating.drafting import Declaration, Draft, Drafting, Target
from async_factory_boy.generating.naming import Names
from async_factory_boy.generating.reading import Written
from async_factory_boy.generating.writing import (
    class_lines,
    declaration_lines,
    hidden_by,
    import_lines,
)

__all__ = ["Merged", "Missing", "merged"]


class Missing(NamedTuple):
    """What a module lacks.

    Args:
        factory: The name of the factory that is missing, or lacks a declaration.
        name: The declaration that is missing; empty where it is the factory.
        problem: Why only a person can declare it.
    """

    factory: str
    name: str
    problem: str

    def __str__(self) -> str:
        what = f"{self.factory}.{self.name}" if self.name else self.factory
        if self.problem:
            return f"{what} has no declaration, and needs one of yours: {self.name} {self.problem}"
        return f"{what} is missing"


class Merged(NamedTuple):
    """A module with what it lacked.

    Args:
        text: Its text.
        missing: What it lacked, and what it lacks still.
    """

    text: str
    missing: list[Missing]


_Place = tuple[float, float]
"""A line before which a factory stands, and its place among those that are added there."""


def merged(written: Written, drafting: Drafting, python: tuple[int, int]) -> Merged:
    """Return a module with the factories and declarations that it lacks.

    Args:
        written: The module.
        drafting: It has been given the module, and the models.
        python: The lowest version of Python that the module is for.
    """
    return _Merging(written, drafting, python).run()


class _Merging:
    def __init__(self, written: Written, drafting: Drafting, python: tuple[int, int]) -> None:
        self._written = written
        self._drafting = drafting
        drafts = [*drafting.new, *drafting.lacking]
        hidden = hidden_by(drafts).union(*(one.declared for one in written.factories))
        taken = {*written.taken, *(one.name for one in drafting.new)}
        self._names = Names(written.imported, taken, hidden, python)
        self._lines = written.text.splitlines()
        self._after: dict[int, list[str]] = {}
        """What comes after a line."""
        self._places: dict[str, _Place] = {
            one.name: (one.node.lineno, math.inf) for one in written.factories
        }
        self._place_new()

    def run(self) -> Merged:
        written = self._written
        missing = [*self._add_declarations(), *self._add_factories()]
        groups = import_lines(self._names.new)
        if groups:
            self._import([line for group in groups for line in group])
        if not self._after:
            return Merged(written.text, missing)
        end = "\r\n" if "\r\n" in written.text else "\n"
        lines = list(self._after.get(0, ()))
        for number, line in enumerate(self._lines, start=1):
            lines += [line, *self._after.get(number, ())]
        return Merged(end.join([*lines, ""]), missing)

    def _import(self, lines: list[str]) -> None:
        """Add imports after those that are there; or apart from what is above or below."""
        written = self._written
        line = written.imports_end
        if not written.imported:
            lines = ["", *lines] if line else [*lines, ""]
        self._after[line] = [*lines, *self._after.get(line, ())]

    def _add(self, line: int, lines: list[str]) -> None:
        self._after.setdefault(line, []).extend(lines)

    # Where new factories go.

    def _place_new(self) -> None:
        """Place each new factory before what refers to it, and after what it refers to itself."""
        new = self._drafting.new
        # What refers to others comes last in there, and is placed first.
        for index, draft in reversed([*enumerate(new)]):
            referring = [
                self._places[one.name]
                for one in [*self._drafting.lacking, *new]
                if one.name in self._places and draft.target in _targets(one)
            ]
            line = min((place[0] for place in referring), default=math.inf)
            names = {self._drafting.name(target) for target in _targets(draft)}
            above = [one for one in self._written.factories if one.name in names]
            needed = [one.node.end_lineno or 0 for one in above]
            if max(needed, default=0) >= line:
                line = math.inf
            self._places[draft.name] = line, index

    def _refer(self, draft: Draft, target: Target) -> str:
        name = self._drafting.name(target)
        place = self._places.get(name, (0, 0))
        if place < self._places[draft.name]:
            return name
        return f'"{self._written.module}.{name}"'

    def _add_factories(self) -> Iterator[Missing]:
        for draft in self._drafting.new:
            lines = class_lines(draft, self._names, partial(self._refer, draft))
            line, _ = self._places[draft.name]
            if line is math.inf:
                self._add(len(self._lines), ["", "", *lines])
            else:
                self._add(self._line_above(int(line)), [*lines, "", ""])
            yield Missing(draft.name, "", "")
            yield from _undecided(draft)

    def _line_above(self, line: int) -> int:
        """Return the last line that is above a class, its decorators and its comment."""
        node = next(one.node for one in self._written.factories if one.node.lineno == line)
        line = min([line, *(one.lineno for one in node.decorator_list)]) - 1
        while line and self._lines[line - 1].startswith("#"):
            line -= 1
        return line

    # What factories lack that are there.

    def _add_declarations(self) -> Iterator[Missing]:
        for draft in self._drafting.lacking:
            written = draft.written
            assert written is not None
            known = written.to_decide
            added = [one for one in draft.body if one.source or one.name not in known]
            if added:
                self._extend(draft, written.node, added)
            for one in draft.body:
                if one.source:
                    yield Missing(draft.name, one.name, "")
            yield from _undecided(draft)

    def _extend(self, draft: Draft, node: ast.ClassDef, added: list[Declaration]) -> None:
        """Add declarations to a class, after the last that it has."""
        body = node.body
        indent = body[0].col_offset
        if self._lines[body[0].lineno - 1].encode()[:indent].strip():
            indent = self._break_line(node)
        place = _last_declaration(body)
        lines = [
            line
            for one in added
            for line in declaration_lines(
                one, self._names, partial(self._refer, draft), indent=indent
            )
        ]
        if isinstance(place, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            lines.insert(0, "")
        self._add(place.end_lineno or 0, lines)

    def _break_line(self, node: ast.ClassDef) -> int:
        """Put the body of a class in lines of its own, which is in that of its name."""
        first = node.body[0]
        line = self._lines[first.lineno - 1].encode()
        head, rest = line[: first.col_offset].decode().rstrip(), line[first.col_offset :].decode()
        indent = node.col_offset + 4
        is_nothing = isinstance(first, ast.Pass) or (
            isinstance(first, ast.Expr) and ast.unparse(first) == "..."
        )
        self._lines[first.lineno - 1] = head
        if not is_nothing:
            self._add(first.lineno, [f"{' ' * indent}{rest}"])
        return indent


def _targets(draft: Draft) -> list[Target]:
    return [one.target for one in draft.body if one.target is not None]


def _undecided(draft: Draft) -> Iterator[Missing]:
    for one in draft.body:
        if not one.source and not one.is_taken:
            yield Missing(draft.name, one.name, one.decide.partition(" ")[2])


def _last_declaration(body: list[ast.stmt]) -> ast.stmt:
    assigned = [one for one in body if isinstance(one, ast.Assign | ast.AnnAssign)]
    return (assigned or body)[-1]
