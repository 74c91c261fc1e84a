"""What ``lint(strict=True)`` checks besides: whether factories fit their models."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from async_factory_boy import options
from async_factory_boy.adapters import Field, PersistenceAdapter
from async_factory_boy.auto import choose
from async_factory_boy.auto.chosen import factory_name, name_of
from async_factory_boy.auto.uniques import counted_apart
from async_factory_boy.exceptions import AsyncFactoryError, OptionError, similar
from async_factory_boy.factory import AsyncFactory, upstream
from async_factory_boy.factory.checks import fields_without
from async_factory_boy.factory.meta import is_overridden
from async_factory_boy.linting.coverage import UNKNOWN, Coverage, LintReport, read
from async_factory_boy.linting.values import broken, described

OBJECTS = 50
"""How many objects are looked at of each factory and each trait."""

MOST_OBJECTS = 1000
"""How many at most, where a field has that many choices."""

_HOOKS = ("_adjust_kwargs", "_build", "_create")


class ModelMismatchError(AsyncFactoryError):
    """What a factory declares, or what it gives its objects, does not fit the model."""


class _BuiltError(Exception):
    """Ends the block in which objects were built, so that nothing of it is flushed."""


class Strict:
    """Checks factories against their models, and notes which values their objects have.

    Args:
        factories: All that will be checked.
    """

    def __init__(self, factories: Iterable[Any]) -> None:
        self.coverage = Coverage()
        self.notes: list[str] = []
        self._fields: dict[Any, Mapping[str, Field]] = {}
        self._models: dict[Any, Any] = {}
        self._told: set[tuple[Any, str]] = set()
        for factory in dict.fromkeys(factories):
            self._add(factory)

    def _add(self, factory: Any) -> None:
        meta = factory._meta
        try:
            model = meta.model_to_construct()
            adapter = meta._adapter
            if adapter is not None and type(adapter).fields is PersistenceAdapter.fields:
                self._note(
                    factory,
                    f"what {name_of(model)} is made of is not known, since "
                    f"{type(adapter).__name__} has no fields() method. Add it to the adapter.",
                )
                return
            fields = meta.fields(model)
            self.coverage.add(model, fields)
        except Exception as error:  # what cannot be asked may work nevertheless
            self._note(factory, f"its model cannot be asked: {type(error).__name__}: {error}")
            return
        self._models[factory] = model
        self._fields[factory] = {field.name: field for field in fields}

    def _note(self, factory: Any, text: str) -> None:
        self.notes.append(f"{factory.__qualname__} in {factory.__module__}: {text}")

    def knows(self, factory: Any) -> bool:
        """Return whether it is known what the model of a factory is made of."""
        return factory in self._fields

    def report(self, checked: int) -> LintReport:
        """Return what was found besides failures."""
        return LintReport(checked, self.coverage.not_covered(), tuple(self.notes))

    # What is declared.

    def declared(self, factory: Any, trait: str | None) -> Iterator[ModelMismatchError]:
        """Yield what is wrong with the declarations of a factory; with a trait, with its own."""
        meta = factory._meta
        if not self.knows(factory):
            return
        overridden = [hook for hook in _HOOKS if is_overridden(factory, hook)]
        if overridden:
            if trait is None:
                self._note(
                    factory,
                    f"it overrides {', '.join(overridden)}, so what its model is given is not "
                    "known before; only the objects were looked at.",
                )
            return
        # An error in what is chosen is told by creating the object.
        with contextlib.suppress(AsyncFactoryError):
            if trait is None:
                automatic = meta.automatic_declarations()
                names = upstream.declared_outright(meta) | automatic.keys()
                yield from self._missing(factory, names)
                given = upstream.outright(meta)
                yield from self._unknown(factory, given, factory.__name__)
            else:
                given = upstream.overrides(upstream.traits(meta)[trait])
                subject = f"The trait {trait!r} of {factory.__name__}"
                yield from self._unknown(factory, given, subject)

    def _missing(self, factory: Any, names: Iterable[str]) -> Iterator[ModelMismatchError]:
        """Yield the fields that the store requires and nothing fills."""
        meta, model, fields = factory._meta, self._models[factory], self._fields[factory]
        hidden = {*meta.exclude, *upstream.parameters(meta)}
        filled = {meta.rename.get(name, name) for name in names if name not in hidden}
        spelt = {new: old for old, new in meta.rename.items()}
        for name, field in fields.items():
            if not field.required or name in filled:
                continue
            relation = field.relation
            if field.key_of is not None and field.key_of in fields:
                continue  # told of the relation
            if relation is not None and relation.keys and filled.issuperset(relation.keys):
                continue
            yield ModelMismatchError(
                f"{name_of(model)}.{name} is required, and {factory.__name__} declares nothing "
                f"for it. Write {spelt.get(name, name)} = {_proposal(field, model)} in "
                f"{factory.__name__}, or Meta.auto_declarations = True."
            )

    def _unknown(
        self, factory: Any, given: Mapping[str, Any], subject: str
    ) -> Iterator[ModelMismatchError]:
        """Yield the names that neither the model nor a part has."""
        meta, model, fields = factory._meta, self._models[factory], self._fields[factory]
        for name, value in given.items():
            root, inner = upstream.split(name)
            declaration = upstream.declarations_of(meta).get(root, value)
            if inner is not None:
                yield from _unknown_in_part(factory, root, declaration, [inner])
                continue
            part = upstream.part(value)
            if part is not None:
                yield from _unknown_in_part(factory, name, value, part.keywords)
            hidden = {*meta.exclude, *upstream.parameters(meta)}
            target = meta.rename.get(name, name)
            if upstream.runs_after(value) or name in hidden or target in fields:
                continue
            if _is_option(name):
                continue
            known = fields_without(meta, model, target)
            if known is None:
                continue
            suggestion = similar(target, {*known, *fields} - {target})
            yield ModelMismatchError(
                f"{subject} declares {name!r}, which {name_of(model)} does not have."
                f"{suggestion} Correct the name; or declare it in Params, if only other "
                "declarations need it."
            )

    # What is made.

    def made(
        self, factory: Any, name: str, instances: Sequence[Any], *, stored: bool
    ) -> Iterator[ModelMismatchError]:
        """Note what objects have, and yield what is wrong with it.

        Args:
            factory: The factory.
            name: What an error calls it, with its trait.
            instances: The objects.
            stored: Whether they are stored.
        """
        if not self.knows(factory):
            return
        model = self._models[factory]
        note = self.coverage.note_stored if stored else self.coverage.note_built
        for instance in instances:
            note(model, instance)
            for field in self._fields[factory].values():
                if field.relation is not None or field.key_of is not None:
                    continue
                value = read(instance, field.name)
                for limit in () if value is UNKNOWN else broken(field, value):
                    if (factory, f"{field.name} {limit}") in self._told:
                        continue
                    self._told.add((factory, f"{field.name} {limit}"))
                    yield ModelMismatchError(
                        f"{name_of(model)}.{field.name} has to be {limit}; {name} has given it "
                        f"{described(value)}. Change what the factory declares for it."
                    )

    async def sampled(
        self,
        factory: Any,
        given: Mapping[str, Any],
        name: str,
        undone: AbstractAsyncContextManager[object],
        *,
        works: bool,
    ) -> list[ModelMismatchError]:
        """Build objects without storing them, and return what is wrong with them.

        Args:
            factory: The factory; one that it knows.
            given: What it is called with.
            name: What an error calls it, with its trait.
            undone: Undoes what hooks may store. It may have begun to, so it is entered in any case.
            works: Whether one object could be made.
        """
        size = min(max(OBJECTS, self.coverage.most_values(self._models[factory])), MOST_OBJECTS)
        instances: list[Any] = []
        found: list[ModelMismatchError] = []
        failed = None
        with contextlib.suppress(_BuiltError):
            async with undone:
                with counted_apart():
                    failed = await _build(factory, given, size, instances)
                found += self.made(factory, name, instances, stored=False)
                raise _BuiltError
        if failed is not None and works:
            self.notes.append(
                f"{name} in {factory.__module__}: only {len(instances)} of {size} objects could "
                f"be built to look at: {type(failed).__name__}: {failed}"
            )
        return found


async def _build(
    factory: Any, given: Mapping[str, Any], size: int, instances: list[Any]
) -> Exception | None:
    """Build objects up to the first that fails, and return why it does."""
    # One by one: what was built before an iterator ends is worth a look.
    while len(instances) < size:
        try:
            instances.append(await factory.build_async(**given))
        except Exception as error:
            return error
    return None


def _proposal(field: Field, model: Any) -> str:
    """Return what could be written for a field."""
    relation = field.relation
    if relation is not None:
        target = "..." if relation.target is None else factory_name(relation.target)
        if relation.attribute is not None:
            return f'KeyOf({target}, "{relation.attribute}")'
        return f"factory.SubFactory({target})"
    with contextlib.suppress(AsyncFactoryError):
        return choose(field, model).source or "..."
    return "..."


def _unknown_in_part(
    factory: Any, name: str, declaration: Any, keywords: Iterable[str]
) -> Iterator[ModelMismatchError]:
    """Yield the keywords that a declaration gives to the factory of a part, which has no such."""
    part = upstream.part(declaration)
    if part is None:
        return
    try:
        below = part.get_factory()
    except (ImportError, AttributeError, ValueError):
        return  # told by the call
    if not issubclass(below, AsyncFactory) or below._meta.model is None:
        return
    if any(is_overridden(below, hook) for hook in _HOOKS):
        return
    meta = below._meta
    declared = upstream.declarations_of(meta)
    parameters = upstream.parameters(meta)
    for keyword in keywords:
        root, inner = upstream.split(keyword)
        if inner is not None and root in declared:
            yield from _unknown_in_part(below, root, declared[root], [inner])
            continue
        if inner is not None or root in (*declared, *parameters, *meta.exclude):
            continue
        if _is_option(keyword):
            continue
        fields = fields_without(meta, meta.model, meta.rename.get(root, root))
        if fields is not None:
            yield ModelMismatchError(
                f"{factory.__name__}.{name} gives {keyword!r} to {below.__name__}, which neither "
                f"{below.__name__} nor {name_of(meta.model)} has."
                f"{similar(keyword, {*declared, *parameters, *fields})} Correct the name, or take "
                "it out."
            )


def _is_option(name: str) -> bool:
    """Return whether a name is that of a call-time option."""
    keywords = {name: None}
    with contextlib.suppress(OptionError):
        options.take(keywords)
    return name not in keywords
