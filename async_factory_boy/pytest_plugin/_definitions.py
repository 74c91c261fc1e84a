"""What pytest knows of fixtures, and which of them are made of factories."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import pytest
from factory.declarations import SubFactory

from async_factory_boy.factory import upstream

SEPARATOR = "__"


def depending_on(names: Iterable[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have pytest pass the fixtures of these names to a function that takes keywords."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return function

    return decorate


# The attribute of a fixture function that tells it is ours, with a `Model`.
MODEL = "_async_factory_boy_model"


class Model(NamedTuple):
    """What a fixture was made of."""

    name: str
    """The name of the model's fixture."""

    factory: Any
    overrides: Mapping[str, Any]

    def attributes(self) -> dict[str, Any]:
        """Return what the factory declares, with the overrides, by name."""
        return {**upstream.written(self.factory._meta), **self.overrides}

    @property
    def given_name(self) -> str:
        # No "_" before it: "from fixtures import *" leaves out what begins with one.
        return f"given_for_{self.name}"

    @property
    def created_name(self) -> str:
        """The fixture of an object of a test's own, if that of the model is shared."""
        return f"created_for_{self.name}"

    def path_to(self, attribute: str) -> str:
        return f"{self.name}{SEPARATOR}{attribute}"


def model_of(fixture: object) -> Model | None:
    """Return what a fixture was made of, if it is one of ours."""
    return getattr(inspect.unwrap(cast("Any", fixture)), MODEL, None)


def model_name(factory: Any) -> str:
    """Return the name of the fixture for the objects of a factory, unless it is given another."""
    model = factory._meta.model
    if isinstance(model, type) and model.__module__ != "builtins":
        return underscored(model.__name__)
    return underscored(factory.__name__.removesuffix("Factory")) or underscored(factory.__name__)


def underscored(name: str) -> str:
    """Return a CamelCase name in lower case, its words joined by underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def definitions_of(node: Any, name: str) -> Sequence[Any]:
    """Return the definitions of a fixture that a test can see, the one that holds last."""
    # pytest has no public way to ask for these; pytest-factoryboy takes the same one.
    return node.session._fixturemanager.getfixturedefs(name, node) or ()


def definitions_in_use(node: Any, name: str) -> Iterator[Any]:
    """Yield the definition of a fixture that holds, and those that it overrides and uses."""
    for definition in reversed(definitions_of(node, name)):
        yield definition
        if name not in definition.argnames:
            break


def uses_of(node: Any, definition: Any) -> set[str]:
    """Return the names of the fixtures that one uses, and those that these use."""
    found: set[str] = set()
    left = [*definition.argnames]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [used for one in definitions_in_use(node, name) for used in one.argnames]
    return found


def fixture_names(node: Any) -> Iterable[str]:
    """Return the names of all fixtures that pytest has found, those a test cannot see as well."""
    # The first is the table of pytest before 9.1, which has two.
    tables = ("_arg2fixturedefs", "_arg2node2fixturedefs", "_arg2nodeid2fixturedefs")
    manager = node.session._fixturemanager
    return (name for table in tables for name in getattr(manager, table, ()))


def related_model(model: Model, attribute: str, node: Any) -> Model | None:
    """Return the registered model whose fixture is a SubFactory's object, if there is one."""
    declaration = model.attributes()[attribute]
    if not isinstance(declaration, SubFactory):
        return None
    part = upstream.part(declaration)
    factory = part.get_factory()
    if part.keywords:
        return None  # an object that is registered would not have what the SubFactory asks for
    name = model_name(factory)
    for definition in reversed(definitions_of(node, name)):
        # Where it is overridden by a fixture that is not ours, that one is the object.
        found = model_of(definition.func)
        if (
            found is not None
            and found.name == name
            and found.factory._meta.model is factory._meta.model
        ):
            return found if name != model.name else None  # a user's parent is another user
    return None


def models_reached(node: Any, names: Iterable[str]) -> dict[str, Model]:
    """Return the models that fixtures lead to, by the names of theirs.

    Args:
        node: The test.
        names: The fixtures.
    """
    models: dict[str, Model] = {}
    left = list(names)
    seen: set[str] = set()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        for definition in definitions_in_use(node, name):
            model = model_of(definition.func)
            if model is None or model.name != name:
                left += definition.argnames
                continue
            models[name] = model
            related = (related_model(model, attribute, node) for attribute in model.attributes())
            left += [one.name for one in related if one is not None]
    return models


_IN_PROGRESS = pytest.StashKey[list[str]]()


def is_in_progress(request: pytest.FixtureRequest, model: Model) -> bool:
    return model.name in request.node.stash.get(_IN_PROGRESS, ())


@contextmanager
def resolving(request: pytest.FixtureRequest, model: Model) -> Generator[None]:
    """Note that a fixture is being made, to stop where its SubFactories lead back to it."""
    names = request.node.stash.setdefault(_IN_PROGRESS, [])
    names.append(model.name)
    try:
        yield
    finally:
        names.pop()


def _parameters_of(node: Any) -> Mapping[str, Any]:
    """Return what a test is parametrised with."""
    return getattr(getattr(node, "callspec", None), "params", {})


def is_overridden(node: Any, model: Model, attribute: str) -> bool:
    """Tell whether an attribute is given a value, which may be the one that is declared."""
    path = model.path_to(attribute)
    return (
        attribute in model.overrides
        or path in _parameters_of(node)
        or model_of(definitions_of(node, path)[-1].func) is not model
    )


def has_values_of_test(node: Any, model: Model) -> bool:
    """Tell whether a test overrides anything of a model, beyond what `register` was given."""
    attributes = [*model.attributes()]
    return any(
        path not in model.overrides and path not in attributes for path in paths_within(node, model)
    ) or any(
        model.path_to(attribute) in _parameters_of(node)
        or model_of(definitions_of(node, model.path_to(attribute))[-1].func) is not model
        for attribute in attributes
    )


def is_changed(request: pytest.FixtureRequest, model: Model, attribute: str) -> bool:
    """Tell whether a test overrides something within an attribute, or switches a trait of it on."""
    if any(path.startswith(attribute + SEPARATOR) for path in paths_within(request.node, model)):
        return True
    return any(
        _is_on(request, model, name)
        for name, trait in upstream.traits(model.factory._meta).items()
        if any(path.partition(SEPARATOR)[0] == attribute for path in upstream.overrides(trait))
    )


def _is_on(request: pytest.FixtureRequest, model: Model, name: str) -> bool:
    """Tell whether a trait is switched on, by a test or by another trait."""
    traits = upstream.traits(model.factory._meta)
    value = request.getfixturevalue(model.path_to(name))
    if value is not traits[name]:
        return bool(value)
    return any(
        upstream.overrides(trait).get(name) and _is_on(request, model, other)
        for other, trait in traits.items()
    )


def paths_within(node: Any, model: Model) -> list[str]:
    """Return what a test overrides within the attributes of a model, such as company__name.

    By parametrisation, by a fixture, or in the call of `register`.
    """
    prefix = model.name + SEPARATOR
    attributes = model.attributes()
    given = [*_parameters_of(node), *map(model.path_to, model.overrides)]
    paths = []
    # Of fixtures, it is their names that tell: a Dict, a hook and a factory that has itself as a
    # SubFactory take names without end.
    for name in dict.fromkeys([*given, *fixture_names(node)]):
        if not name.startswith(prefix):
            continue
        path = name.removeprefix(prefix)
        attribute, _, within = path.partition(SEPARATOR)
        # A parameter of the test itself may be called anything.
        if within and attribute in attributes and (name in given or _is_of_a_test(node, name)):
            paths.append(path)
    return paths


def _is_of_a_test(node: Any, name: str) -> bool:
    """Tell whether a fixture that a test can see is none of ours."""
    definitions = definitions_of(node, name)
    return bool(definitions) and model_of(definitions[-1].func) is None
