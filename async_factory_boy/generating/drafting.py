"""Decides what the factories of models are to be: their declarations, and their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from factory.base import DictFactory, Factory

from async_factory_boy.adapters import Field
from async_factory_boy.auto import Choice, Nested
from async_factory_boy.auto.chosen import camel, factory_name, name_of
from async_factory_boy.exceptions import ConfigurationError
from async_factory_boy.factory.automatic import KEY_OF, choices, choices_within, meta_of_new
from async_factory_boy.generating.bases import Base, base_for
from async_factory_boy.generating.finding import Found, Place, adapter_of, place_of
from async_factory_boy.generating.naming import declared_as
from async_factory_boy.generating.reading import Written, WrittenFactory

__all__ = ["Declaration", "Draft", "Drafting"]

PLAIN = Base(Factory, Place("factory", "Factory"), {})
"""What a factory derives from whose objects are stored within others."""


@dataclass(frozen=True)
class _Reference:
    """Stands for a declaration that refers to the factory of a model.

    Args:
        model: The model.
        attribute: The attribute to take of its object, where it is not the object itself.
        shared: Returns, given the ``_meta`` of the factory, what its object shares with the one
            that refers to it, and where that is.
    """

    model: Any
    attribute: str | None
    shared: Callable[[Any], Mapping[str, str]]


class Target(NamedTuple):
    """What a factory is for.

    Args:
        model: The model.
        is_part: Whether its objects are stored within others.
    """

    model: Any
    is_part: bool = False


@dataclass
class Declaration:
    """A declaration of a draft.

    Args:
        name: What the factory calls it.
        field: What the model calls it.
        source: The expression; ``{}`` in it stands for the factory it refers to. It is empty where
            there is none.
        imports: The lines that it needs.
        target: What the factory is for that it refers to.
        decide: What a person has to decide, if there is something.
        is_taken: Whether the factory takes it from the model when it is used, for want of an
            expression.
    """

    name: str
    field: str
    source: str = ""
    imports: tuple[str, ...] = ()
    target: Target | None = None
    decide: str = ""
    is_taken: bool = False


@dataclass
class Draft:
    """A factory as it is to be, or what one lacks that is written already.

    Args:
        model: The model.
        place: Where the model is imported from.
        name: The name of the factory.
        base: What it derives from.
        body: Its declarations.
        written: The factory that there is.
    """

    model: Any
    place: Place
    name: str
    base: Base
    body: list[Declaration] = field(default_factory=list)
    written: WrittenFactory | None = None

    @property
    def target(self) -> Target:
        """What it is for."""
        return Target(self.model, self.base is PLAIN)


class Drafting:
    """Drafts the factories of models, and of those that they require.

    Args:
        models: All models that are known.
        modules: The names of the modules that were given.
        adapter: The name of the adapter of all models, if it is not to be inferred from each.
        written: The module that has factories already.
    """

    def __init__(
        self,
        models: Sequence[Found],
        modules: Sequence[str],
        adapter: str | None = None,
        written: Written | None = None,
    ) -> None:
        self._known = {id(one.model): one for one in models}
        self._modules = modules
        self._adapter = adapter
        self._written = written
        self._path: list[tuple[Any, str]] = []
        self._parts: list[Target] = []
        """What is being drafted of the objects within others, the outermost first."""
        self._names: dict[Target, str] = {}
        self._metas: dict[Target, Any] = {}
        self._taken = set(written.taken) if written is not None else set[str]()
        self.new: list[Draft] = []
        """The factories that are missing, such that each comes after those it refers to."""
        self.lacking: list[Draft] = []
        """What factories lack that there are."""
        self._visited: set[Target] = set()

    def add(self, models: Sequence[Found]) -> None:
        """Draft the factories of models; but not of those that are parts of others only."""
        parts = {part for one in models if not one.is_handled for part in _parts_of(one)}
        for one in models:
            if one.is_handled or one.model not in parts:
                self._visit(one.model)
        if self._written is not None:
            # No declaration that is there already leads to them.
            for one in models:
                for part in _parts_of(one):
                    target = Target(part, is_part=True)
                    if self._existing(target, self._place_of_part(part)):
                        self._visit_part(target)

    def name(self, target: Target) -> str:
        """Return the name of a factory."""
        return self._names[target]

    def _visit(self, model: Any) -> bool:
        """Draft the factory of a model, unless that was done. Return whether there can be one."""
        target = Target(model)
        if target in self._visited:
            return True
        found = self._known.get(id(model)) or self._elsewhere(model)
        if found is None:
            return False
        self._visited.add(target)
        existing = self._existing(target, found.place)
        base = base_for(found.adapter)
        self._metas[target] = meta_of_new(base.factory, model, **base.options)
        if not existing:
            draft = Draft(model, found.place, self._new_name(found.place), base)
            self._names[target] = draft.name
            self._fill(draft)
            self.new.append(draft)
            return True
        usual = factory_name(model)
        preferred = next((one for one in existing if one.name == usual), existing[0])
        self._names[target] = preferred.name
        for one in existing:
            draft = Draft(model, found.place, one.name, base, written=one)
            if not one.is_automatic:
                self._fill(draft)
            if draft.body:
                self.lacking.append(draft)
        return True

    def _existing(self, target: Target, place: Place) -> list[WrittenFactory]:
        written = self._written.factories if self._written is not None else ()
        return [
            one
            for one in written
            if one.stores is not target.is_part and one.is_of(target.model, place)
        ]

    def _elsewhere(self, model: Any) -> Found | None:
        """Return a model that is in none of the modules, if it can be imported."""
        adapter = adapter_of(model, self._adapter)
        place = place_of(model, self._modules)
        return None if adapter is None or place is None else Found(model, place, adapter)

    def _new_name(self, place: Place) -> str:
        stem = camel(place.name)
        name = f"{stem}Factory"
        if name in self._taken:
            name = f"{camel(place.module.rpartition('.')[2])}{name}"
        number = 2
        while name in self._taken:
            name, number = f"{stem}{number}Factory", number + 1
        self._taken.add(name)
        return name

    # What a factory declares.

    def _fill(self, draft: Draft) -> None:
        written = draft.written
        declared = written.declared if written is not None else set[str]()
        exclude = written.excluded if written is not None else ()
        meta = meta_of_new(draft.base.factory, draft.model, exclude=exclude, **draft.base.options)
        for one, choice in choices(meta, _reference, declared):
            draft.body.append(self._declaration(draft, one, choice))

    def _declaration(
        self, draft: Draft, field: Field, choice: Choice | ConfigurationError
    ) -> Declaration:
        name = declared_as(field.name, draft.base.factory)
        declaration = partial(Declaration, name, field.name)
        if isinstance(choice, ConfigurationError):
            return declaration(decide=f"{name} {_problem(choice)}")
        decide = f"{name} {choice.decide}" if choice.decide else ""
        made = choice.declaration
        if isinstance(made, _Reference):
            target = Target(made.model)
            decide = self._problem_of(draft, field, made)
            if decide:
                return declaration(decide=f"{name} {decide}")
            if made.attribute is None:
                shared = made.shared(self._metas[target])
                keywords = "".join(
                    f', {key}=factory.SelfAttribute("{path}")' for key, path in shared.items()
                )
                return declaration(f"factory.SubFactory({{}}{keywords})", target=target)
            return declaration(f'KeyOf({{}}, "{made.attribute}")', (KEY_OF,), target=target)
        if isinstance(made, Nested):
            target = Target(made.model, is_part=True)
            self._visit_part(target)
            part = "factory.SubFactory({})"
            if made.container is not None:
                part = f"factory.List([{', '.join([part] * made.size)}])"
                if made.container is not list:
                    part = f"factory.Transformer({part}, transform={made.container.__name__})"
            return declaration(part, target=target)
        if choice.source:
            decide = decide or _refusal(field, name, choice)
            source = choice.source.replace("{", "{{").replace("}", "}}")
            return declaration(source, choice.imports, decide=decide)
        is_taken = draft.written is None and draft.base is not PLAIN
        how = "; auto_declarations takes it from the model" if is_taken else ""
        return declaration(
            decide=f"{name} is chosen {_by(choice.rule)}, for which there is no expression{how}.",
            is_taken=is_taken,
        )

    def _problem_of(self, draft: Draft, field: Field, reference: _Reference) -> str:
        """Draft the factory that a declaration refers to. Return why it cannot refer to one."""
        relation = field.relation
        if reference.model is None:
            return "refers to objects of any model."
        if relation is not None and reference.attribute is not None and len(relation.keys) > 1:
            keys = ", ".join(relation.keys)
            return f"is one of the keys of one {name_of(reference.model)}: {keys}."
        here = (draft.model, f"{name_of(draft.model)}.{field.name}")
        path = [*self._path, here]
        places = [one for one, _ in path]
        target = reference.model
        if any(one is target for one in places):
            first = next(place for place, one in enumerate(places) if one is target)
            cycle = " → ".join([*(one for _, one in path[first:]), name_of(target)])
            return f"leads back to {name_of(target)}: {cycle}, each of which is required."
        self._path.append(here)
        try:
            if self._visit(target):
                return ""
        finally:
            self._path.pop()
        return f"refers to {name_of(target)}, which no factory can be written for."

    def _visit_part(self, target: Target) -> None:
        """Draft the factory of objects that are stored within others."""
        if target in self._visited:
            return
        self._visited.add(target)
        model = target.model
        place = self._place_of_part(model)
        existing = self._existing(target, place)
        if existing:
            self._names[target] = existing[0].name
            for one in existing:
                draft = Draft(model, place, one.name, PLAIN, written=one)
                self._fill_part(draft)
                if draft.body:
                    self.lacking.append(draft)
            return
        draft = Draft(model, place, self._new_name(place), PLAIN)
        self._names[target] = draft.name
        self._fill_part(draft)
        self.new.append(draft)

    def _place_of_part(self, model: Any) -> Place:
        return place_of(model, self._modules) or Place(model.__module__, model.__qualname__)

    def _fill_part(self, draft: Draft) -> None:
        written = draft.written
        declared = {*written.declared, *written.excluded} if written is not None else set[str]()
        within = [one.model for one in self._parts]
        self._parts.append(draft.target)
        for one, choice in choices_within(draft.model, within):
            if one.name not in declared:
                draft.body.append(self._declaration(draft, one, choice))
        self._parts.pop()


def _parts_of(found: Found) -> list[Any]:
    """Return the classes of what is stored within objects of a model."""
    base = base_for(found.adapter)
    meta = meta_of_new(base.factory, found.model, **base.options)
    parts: list[Any] = []

    def add(choice: Choice | ConfigurationError) -> None:
        made = choice.declaration if isinstance(choice, Choice) else None
        if isinstance(made, Nested) and made.model not in parts:
            parts.append(made.model)
            for _, within in choices_within(made.model, ()):
                add(within)

    for _, choice in choices(meta, _reference):
        add(choice)
    return parts


def _reference(field: Field, shared: Callable[[Any], Mapping[str, str]]) -> Choice:
    assert field.relation is not None
    reference = _Reference(field.relation.target, field.relation.attribute, shared)
    return Choice(reference, "by relation", "reference")


def _refusal(field: Field, name: str, choice: Choice) -> str:
    """Return which validator refuses a value that was chosen, and why; nothing if none does."""
    if not field.validators:
        return ""
    value = DictFactory.build(value=choice.declaration)["value"]
    for validate in field.validators:
        try:
            validate(value)
        except Exception as error:
            which = getattr(validate, "__name__", type(validate).__name__)
            text = " ".join(f"{error}".split()).rstrip(".")
            return f"{name} is chosen {_by(choice.rule)}, which {which} refuses: {text}."
    return ""


def _by(rule: str) -> str:
    return rule if rule.startswith("by ") else f"by {rule}"


def _problem(error: ConfigurationError) -> str:
    """Return what is wrong, without what to do about it: that is for a factory of another kind."""
    return error.problem.partition(" Declare ")[0]
