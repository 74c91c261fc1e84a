"""What the rules answer: a declaration for a field, and words for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from async_factory_boy.adapters.fields import Field
from async_factory_boy.exceptions import ConfigurationError


@dataclass(frozen=True)
class Nested:
    """Stands for a declaration that builds objects of another class: its automatic factory does.

    Args:
        model: The class.
        container: What they are put into: ``list``, ``tuple``. ``None`` where there is one object.
        size: How many there are.
    """

    model: Any
    container: Any = None
    size: int = 1


@dataclass(frozen=True)
class Choice:
    """What is declared for a field.

    Args:
        declaration: A declaration of factory_boy's, a plain value, or a `Nested`.
        rule: The rule that it was chosen by, in words.
        source: The expression that a person would write for it. It is empty for a rule that the
            user registered. Its values need not be the same, but are as valid.
        imports: The lines that the expression needs, besides ``import factory``.
        decide: What a person should know who takes the expression; empty where nothing is to be
            decided.
    """

    declaration: Any
    rule: str
    source: str = ""
    imports: tuple[str, ...] = ()
    decide: str = ""


def name_of(model: Any) -> str:
    """Return what an error calls a model."""
    name: str = getattr(model, "__name__", None) or getattr(model, "name", None) or repr(model)
    return name


def factory_name(model: Any) -> str:
    """Return what the factory of a model is usually called: a table's is as that of a class."""
    name = name_of(model)
    return f"{name if isinstance(model, type) else camel(name)}Factory"


def camel(name: str) -> str:
    """Return a name as that of a class."""
    return "".join(one[:1].upper() + one[1:] for one in re.split(r"\W|_", name))


def needs_rule(field: Field, model: Any, problem: str) -> ConfigurationError:
    """Return an error that says how to steer what is chosen for a field."""
    owner = name_of(model)
    return ConfigurationError(
        field.name,
        f"{problem} Declare {field.name!r} in the factory, or register a rule: "
        f"async_factory_boy.auto.rule(({owner}, {field.name!r}), factory.LazyFunction(...)).",
        owner=owner,
    )
