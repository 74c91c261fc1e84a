"""What ``lint(strict=True)`` checks besides: whether factories fit their models."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from factory import declarations
from factory.faker import Faker

from async_factory_boy import options
from async_factory_boy.adapters import Field, PersistenceAdapter
from async_factory_boy.auto import choose
from async_factory_boy.auto.chosen import factory_name, name_of
from async_factory_boy.auto.uniques import counted_apart
from async_factory_boy.exceptions import AsyncFactoryError, OptionError, similar
from async_factory_boy.factory import AsyncFactory, upstream
from async_factory_boy.factory.automatic import KEY_OF
from async_factory_boy.factory.checks import fields_without
from async_factory_boy.factory.meta import is_overridden
from async_factory_boy.linting.coverage import UNKNOWN, Coverage, LintReport, read, related
from async_factory_boy.linting.values import broken, described

OBJECTS = 50
"""How many objects are looked at of each factory and each trait."""

MOST_OBJECTS = 1000
"""How many at most, where a field has that many choices."""

_FINAL = (Faker, declarations.Iterator, declarations.LazyFunction, declarations.Sequence)

_HOOKS = ("_adjust_kwargs", "_build", "_create")


class ModelMismatchError(AsyncFactoryError):
    """What a factory declares, or what it gives its objects, does not fit the model.

    Args:
        text: What is wrong, and what to write.
        name: The field, or what the factory declares that is none.
    """

    def __init__(self, text: str, *, name: str) -> None:
        super().__init__(text)
        self.name = name

    def explains(self, text: str) -> bool:
        """Return whether an error, given as text, is about the same mistake: it names the field."""
        return re.search(rf"\b{re.escape(self.name)}\b", text) is not None


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
        self._mismatches: dict[Any, list[ModelMismatchError]] = {}
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

    def explains(
        self, factory: Any, found: Iterable[Exception], error: str
    ) -> ModelMismatchError | None:
        """Return what tells the same mistake as an error, for a factory or for one of its traits.

        Args:
            factory: The factory.
            found: What was found now.
            error: The error, as a text.
        """
        mismatches = self._mismatches.setdefault(factory, [])
        mismatches += (one for one in found if isinstance(one, ModelMismatchError))
        return next((one for one in mismatches if one.explains(error)), None)

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
            source, imports = _proposal(field, model)
            needed = f" (needs: {'; '.join(imports)})" if imports else ""
            yield ModelMismatchError(
                f"{name_of(model)}.{name} is required, and {factory.__name__} declares nothing "
                f"for it. Write {spelt.get(name, name)} = {source} in {factory.__name__}{needed}, "
                "or Meta.auto_declarations = True.",
                name=name,
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
                "declarations need it.",
                name=name,
            )

    # What is made.

    def made(
        self,
        factory: Any,
        trait: str | None,
        name: str,
        instances: Sequence[Any],
        *,
        stored: bool,
    ) -> Iterator[ModelMismatchError]:
        """Note what objects have, and yield what is wrong with it.

        Args:
            factory: The factory.
            trait: The trait that it was called with.
            name: What an error calls it, with its trait.
            instances: The objects.
            stored: Whether they are stored.
        """
        if not self.knows(factory):
            return
        model = self._models[factory]
        note = self.coverage.note_stored if stored else self.coverage.note_built
        given = _given(factory, trait)
        of_parts = [] if stored else [*_given_to_parts(factory, given)]
        for instance in instances:
            note(model, instance)
            for field in self._fields[factory].values():
                value = read(instance, field.name)
                # A key is None, and what is derived of it, until the object is stored.
                final = field.name in given and (stored or _is_final(given[field.name]))
                yield from self._wrong(factory, model, field, value, name, is_final=final)
            for way, owner, field in of_parts:
                value = _value_at(instance, [*way, field.name])
                subject = f"{name} by {'__'.join([*way, field.name])}"
                yield from self._wrong(factory, owner, field, value, subject, is_final=True)

    def _wrong(
        self, factory: Any, model: Any, field: Field, value: Any, subject: str, *, is_final: bool
    ) -> Iterator[ModelMismatchError]:
        """Yield what is wrong with a value of a field, once for each limit.

        Args:
            factory: The factory that is checked.
            model: The model that has the field.
            field: The field.
            value: What an object has.
            subject: What an error calls who has given it that.
            is_final: Whether it is from the factory, and what is stored: else None tells nothing.
        """
        limits: Iterable[str] = ()
        if value is None:
            if is_final and field.required and not field.nullable:
                limits = ["a value other than None"]
        elif value is not UNKNOWN and field.relation is None and field.key_of is None:
            limits = broken(field, value)
        for limit in limits:
            told = (factory, f"{name_of(model)}.{field.name} {limit}")
            if told not in self._told:
                self._told.add(told)
                yield ModelMismatchError(
                    f"{name_of(model)}.{field.name} has to be {limit}; {subject} has given it "
                    f"{described(value)}. Change what the factory declares for it.",
                    name=field.name,
                )

    async def sampled(
        self,
        factory: Any,
        trait: str | None,
        name: str,
        undone: AbstractAsyncContextManager[object],
        *,
        works: bool,
    ) -> list[ModelMismatchError]:
        """Build objects without storing them, and return what is wrong with them.

        Args:
            factory: The factory; one that it knows.
            trait: The trait that it is called with.
            name: What an error calls it, with its trait.
            undone: Undoes what hooks may store. It may have begun to, so it is entered in any case.
            works: Whether one object could be made.
        """
        size = min(max(OBJECTS, self.coverage.most_values(self._models[factory])), MOST_OBJECTS)
        given = {} if trait is None else {trait: True}
        instances: list[Any] = []
        found: list[ModelMismatchError] = []
        failed = None
        with contextlib.suppress(_BuiltError):
            async with undone:
                with counted_apart():
                    failed = await _build(factory, given, size, instances)
                found += self.made(factory, trait, name, instances, stored=False)
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


def _given(factory: Any, trait: str | None) -> Mapping[str, Any]:
    """Return what a factory declares, with a trait, by the names of the model."""
    meta = factory._meta
    found = dict(upstream.outright(meta))
    if trait is not None:
        found.update(upstream.overrides(upstream.traits(meta)[trait]))
    return {meta.rename.get(name, name): value for name, value in found.items()}


def _is_final(declared: Any) -> bool:
    """Return whether what is declared evaluates to the same where the object is not stored."""
    return not upstream.is_declared(declared) or type(declared) in _FINAL


def _given_to_parts(
    factory: Any, given: Mapping[str, Any]
) -> Iterator[tuple[list[str], Any, Field]]:
    """Yield the fields of parts that a factory gives values to: the way there, and the model."""
    meta = factory._meta
    declared = {**upstream.written(meta), **given}
    for name, value in given.items():
        root, inner = upstream.split(name)
        part = upstream.part(declared.get(root))
        if part is None:
            continue
        keywords = part.keywords if inner is None else {inner: value}
        with contextlib.suppress(Exception):  # what cannot be imported, or asked, a call tells
            below = part.get_factory()
            if not issubclass(below, AsyncFactory):
                continue
            fields = {field.name: field for field in below._meta.fields(below._meta.model)}
            model = below._meta.model_to_construct()
            spelt = {below._meta.rename.get(key, key): one for key, one in keywords.items()}
            for key in [one for one in fields if one in spelt and _is_final(spelt[one])]:
                yield [root], model, fields[key]
            for way, owner, field in _given_to_parts(below, spelt):
                yield [root, *way], owner, field


def _value_at(instance: Any, way: Sequence[str]) -> Any:
    """Return what an object has at the end of a way over other objects, or `UNKNOWN`."""
    for name in way[:-1]:
        instance = related(instance, name)
        if instance is None or instance is UNKNOWN:
            return UNKNOWN
    return read(instance, way[-1])


def _proposal(field: Field, model: Any) -> tuple[str, tuple[str, ...]]:
    """Return what could be written for a field, and the imports that this needs."""
    relation = field.relation
    if relation is not None:
        target = "..." if relation.target is None else factory_name(relation.target)
        if relation.attribute is not None:
            return f'KeyOf({target}, "{relation.attribute}")', (KEY_OF,)
        return f"factory.SubFactory({target})", ()
    with contextlib.suppress(AsyncFactoryError):
        choice = choose(field, model)
        if choice.source:
            return choice.source, choice.imports
    return "...", ()


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
                "it out.",
                name=keyword,
            )


def _is_option(name: str) -> bool:
    """Return whether a name is that of a call-time option."""
    keywords = {name: None}
    with contextlib.suppress(OptionError):
        options.take(keywords)
    return name not in keywords
