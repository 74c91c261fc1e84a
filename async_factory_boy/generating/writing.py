"""Writes factories as the text of a module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from async_factory_boy.generating.drafting import PLAIN, Declaration, Draft, Drafting, Target
from async_factory_boy.generating.finding import Place
from async_factory_boy.generating.layout import WIDTH, comment, laid_out
from async_factory_boy.generating.naming import Names
from async_factory_boy.generating.reading import TO_DECIDE

__all__ = ["class_lines", "declaration_lines", "import_lines", "new_file"]

Refer = Callable[[Target], str]
"""Returns how a factory is referred to."""


def new_file(drafting: Drafting, python: tuple[int, int]) -> str:
    """Return the text of a module with all the factories of a drafting.

    Args:
        drafting: It has been given the models.
        python: The lowest version of Python that the module is for.
    """
    drafts = drafting.new
    names = Names({}, [one.name for one in drafts], hidden_by(drafts), python)
    classes = [class_lines(one, names, drafting.name) for one in drafts]
    modules = sorted({one.place.module for one in drafts})
    title = f'"""Factories for the models of {" and ".join(modules)}."""'
    if len(title) > WIDTH:
        title = '"""Factories for the models of several modules."""'
    groups = ["\n".join(group) for group in import_lines(names.new)]
    return "\n\n\n".join(["\n\n".join([title, *groups]), *map("\n".join, classes)]) + "\n"


def hidden_by(drafts: Iterable[Draft]) -> set[str]:
    """Return the names that factories use for fields."""
    return {declaration.name for one in drafts for declaration in one.body}


def class_lines(draft: Draft, names: Names, refer: Refer) -> list[str]:
    """Return the lines of a factory."""
    options = [f'{name} = "{value}"' for name, value in draft.base.options.items()]
    argument = model = _imported(draft.place, names)
    is_plain = draft.base is PLAIN
    of = None if is_plain else draft.base.factory._options_class.instance_class
    if not isinstance(draft.model, type):
        argument = "Any" if of is None else of.__name__
        place = Place("typing", "Any") if of is None else Place(draft.base.place.module, argument)
        argument = names.of(place)
    if is_plain or argument != model:
        options.insert(0, f"model = {model}")
    if is_plain:
        base = f"{names.of(Place('factory', ''))}.{draft.base.place.name}"
    else:
        base = names.of(draft.base.place)
    renamed = [one for one in draft.body if one.name != one.field and one.source]
    lines = laid_out(f"class {draft.name}", f"({base}[{argument}])", ":")
    meta_lines = [line for one in options for line in _assignment(one, 8)]
    if renamed:
        pairs = ", ".join(f'"{one.name}": "{one.field}"' for one in renamed)
        variable = names.of(Place("typing", "ClassVar"))
        meta_lines += _assignment(f"rename: {variable}[dict[str, str]] = {{{pairs}}}", 8)
    taken = [one for one in draft.body if one.is_taken]
    for one in taken:
        meta_lines += comment(f"{TO_DECIDE}{one.decide}", indent=8)
    if taken:
        fields = ", ".join(f'"{one.field}"' for one in taken)
        ending = "," if len(taken) == 1 else ""
        meta_lines += _assignment(f"auto_declarations = ({fields}{ending})", 8)
    if meta_lines:
        lines += ["    class Meta:", *meta_lines]
    body = [
        line
        for one in draft.body
        if not one.is_taken
        for line in declaration_lines(one, names, refer, indent=4)
    ]
    if meta_lines and body:
        lines.append("")
    lines += body
    if not meta_lines and not any(one.source for one in draft.body):
        lines += [*([""] if body else []), "    pass"]
    return lines


def declaration_lines(
    declaration: Declaration, names: Names, refer: Refer, *, indent: int
) -> list[str]:
    """Return the lines of a declaration, with the comment that asks for a decision."""
    lines = []
    if declaration.decide:
        lines += comment(f"{TO_DECIDE}{declaration.decide}", indent=indent)
    if declaration.source:
        target = declaration.target
        template = names.written(declaration.source.replace("{}", _TARGET), declaration.imports)
        source = template.replace("{{", "{").replace("}}", "}")
        if target is not None:
            source = source.replace(_TARGET, refer(target))
        lines += laid_out(f"{declaration.name} = ", source, indent=indent)
    return lines


_TARGET = "__target__"


def import_lines(places: Mapping[Place, str]) -> list[list[str]]:
    """Return the lines that import places under names, in groups, as isort has them."""
    groups: list[tuple[list[str], list[list[str]]]] = [([], []), ([], []), ([], [])]
    together: dict[str, list[str]] = {}
    for place, name in sorted(places.items(), key=lambda one: (one[0].module, _order(one[0].name))):
        module, own = place
        of_group = groups[_group(module)]
        if not own:
            of_group[0].append(f"import {module}" + (f" as {name}" if name != module else ""))
        elif own != name:
            of_group[1].append([f"from {module} import {own} as {name}"])
        elif module in together:
            together[module].append(name)
        else:
            together[module] = [f"from {module} import ", name]
            of_group[1].append(together[module])
    return [
        [*plain, *(line for one in several for line in _import(*one))]
        for plain, several in groups
        if plain or several
    ]


def _import(head: str, *members: str) -> list[str]:
    line = f"{head}{', '.join(members)}"
    if len(line) <= WIDTH or not members:
        return [line]
    return [f"{head}(", *(f"    {one}," for one in members), ")"]


def _order(name: str) -> tuple[int, str]:
    """Return what is least for what isort lists first: constants, classes, the rest."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


def _group(module: str) -> int:
    """Return in which group a module is imported: the standard library, packages, one's own."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return 0
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    if top == "factory" or top.startswith("async_factory_boy") or "site-packages" in file:
        return 1
    return 2


def _assignment(line: str, indent: int) -> list[str]:
    head, _, source = line.partition(" = ")
    return laid_out(f"{head} = ", source, indent=indent)


def _imported(place: Place, names: Names) -> str:
    first, dot, rest = place.name.partition(".")
    return f"{names.of(Place(place.module, first))}{dot}{rest}"
