"""Declarations that a factory takes from its model: for what it does not declare itself.

They are chosen when the factory is first used, and are ordinary declarations from then on. What
is chosen for a value, `async_factory_boy.auto` says; for a relation, it is a ``SubFactory`` of the
factory for the related model, which is made where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from operator import itemgetter
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

from factory import declarations
from factory.helpers import make_factory

from async_factory_boy.adapters import Field, Relation
from async_factory_boy.adapters._annotations import part_fields
from async_factory_boy.adapters.configuration import check_names
from async_factory_boy.auto import Choice, Nested, choose, drawing
from async_factory_boy.auto.chosen import factory_name, name_of
from async_factory_boy.auto.rules import RULES, on_change, ruled, ruled_alone, rules_of
from async_factory_boy.auto.uniques import Unique, carriers
from async_factory_boy.columns import columns
from async_factory_boy.exceptions import AbstractFactoryError, ConfigurationError, shown
from async_factory_boy.factory import upstream
from async_factory_boy.factory.faking import value_of
from async_factory_boy.factory.ruled import asked, by_rule

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

Option = bool | str | tuple[str, ...]
"""What ``Meta.auto_declarations`` takes."""


class Row(NamedTuple):
    """What comes of a field."""

    name: str
    origin: str
    """``"declared"``, ``"chosen"``, or ``"left out"``."""
    rule: str
    """By which rule it was chosen, or why it was left out."""
    source: str
    """The declaration, as it would be written."""


class Chosen(NamedTuple):
    """What was chosen for a factory."""

    by_name: Mapping[str, Any]
    """The declarations."""
    rows: Sequence[Row]
    imports: Sequence[str]
    """What the sources in the rows need."""


class Limited(NamedTuple):
    """A field of an object, or of a part of it, that may run out of values."""

    unique: Unique
    given_by: frozenset[str]
    """The names with which none of them is drawn, as keywords of a call."""


class KeyOf(declarations.SubFactory):
    """Builds a related object, and evaluates to its key.

    For a foreign key that no relation of the model goes with.

    Args:
        factory: The factory of the related object.
        attribute: The attribute of that object that holds the key.
        **kwargs: What is declared for the object, as in a ``SubFactory``.
    """

    def __init__(self, factory: Any, attribute: str, **kwargs: Any) -> None:
        super().__init__(factory, **kwargs)
        self.attribute = attribute

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        related = super().evaluate(instance, step, extra)
        if isinstance(related, Mapping):
            return related[self.attribute]
        return getattr(related, self.attribute)


KEY_OF = "from async_factory_boy.factory import KeyOf"
"""The line that a declaration by `KeyOf` needs."""

# The factories that the user has defined, each with a number, and those that were made here.
_defined: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_numbers = count()
_made: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()

_chosen: WeakKeyDictionary[Any, Chosen] = WeakKeyDictionary()
_limited: WeakKeyDictionary[Any, Sequence[Limited]] = WeakKeyDictionary()


def _forget() -> None:
    _chosen.clear()
    _limited.clear()


def checked(option: Any, *, owner: str) -> Option:
    """Return what ``Meta.auto_declarations`` is set to.

    Raises:
        ConfigurationError: When it is none of what it can be.
    """
    if option is True or option is False or option == "all":
        return cast("Option", option)
    if isinstance(option, list | tuple) and all(isinstance(name, str) for name in option):
        return tuple(option)
    raise ConfigurationError(
        "auto_declarations",
        'takes True for the fields that the store requires, "all" for the optional ones as well, '
        f'or a tuple of names, such as ("email",); got {shown(option)}.',
        owner=owner,
    )


def note_factory(factory: Any) -> None:
    """Note that a factory was defined: objects of its model may be made by it.

    One that is made for a single call, by ``make_factory()``, is nobody else's.
    """
    meta = factory._meta
    if meta.model is not None and not meta.abstract and factory.__module__ != upstream.__name__:
        _defined[factory] = next(_numbers)
        _forget()  # a relation may be to its model


def _defined_for(model: Any, factory: Any) -> list[Any]:
    """Return the factories of a model that another factory may call for.

    One that is defined within a function is for those in the same function. Of two of the same
    name, in a module that was loaded again or a function that has run twice, it is the newer.
    """
    found: dict[tuple[str, str], Any] = {}
    for one, _ in sorted(_defined.items(), key=itemgetter(1)):
        scope, _, _ = one.__qualname__.rpartition("<locals>.")
        if one._meta.get_model_class() is model and (
            not scope
            or (
                one.__module__ == factory.__module__
                and factory.__qualname__.startswith(f"{scope}<locals>.")
            )
        ):
            found[one.__module__, one.__qualname__] = one
    return list(found.values())


on_change(_forget)

# What is cut to fit is drawn as fast as what is not.
drawing.use(value_of)


def chosen(meta: Any, path: tuple[tuple[Any, str], ...] = ()) -> Chosen:
    """Return what is taken from the model for a factory.

    Args:
        meta: The ``_meta`` of the factory.
        path: The relations that lead to it, from factories that are being asked for.

    Raises:
        AdapterError: When the model cannot be asked.
        ConfigurationError: When there is no rule for a field, or relations that the store requires
            lead back to the factory.
    """
    found = _chosen.get(meta)
    if found is None:
        _refuse_cycle(meta, path)
        try:
            found = _chosen[meta] = _Choosing(meta, path).run()
        except ConfigurationError as error:
            if not path or isinstance(error, _AskedForError):
                raise
            raise _AskedForError(error, path) from error
    return found


class _AskedForError(ConfigurationError):
    """An error about a related model, which names the factory that has asked for it."""

    def __init__(self, error: ConfigurationError, path: Sequence[tuple[Any, str]]) -> None:
        ways = [
            f"{upstream.factory_of(meta).__name__}.{name.rpartition('.')[2]}" for meta, name in path
        ]
        problem = f"{error.problem} (Asked for by {' → '.join(ways)}.)"
        super().__init__(error.option, problem, owner=error.owner)


def meta_of_new(base: Any, model: Any, **options: Any) -> Any:
    """Return the ``_meta`` of a factory that nobody defines: what is asked what it would be.

    Args:
        base: What it derives from.
        model: Its model.
        **options: What else is in its ``Meta``.
    """
    options = {"model": model, "auto_declarations": True, **options}
    attributes = {"Meta": type("Meta", (), options), "__module__": upstream.__name__}
    return type(base)(factory_name(model), (base,), attributes)._meta


def choices(
    meta: Any,
    related: Callable[[Field, Callable[[Any], Mapping[str, str]]], Choice],
    declared: Iterable[str] = (),
) -> Iterator[tuple[Field, Choice | ConfigurationError]]:
    """Yield what would be taken from the model for a factory that is yet to be written.

    No factory is made for a related model, nor for objects within the object: where a choice is a
    `Nested`, its source says what that factory is called.

    Args:
        meta: The ``_meta`` of a factory without declarations.
        related: Returns what is chosen for a relation. It is also given what returns, for the
            ``_meta`` of the factory of the related model, which of its declarations have to be
            the same as those of this one, and where these are.
        declared: The fields that it will declare anyway.

    Yields:
        Each field that has to be filled, with what is chosen for it, or with the error where
        there is no rule.
    """
    choosing = _Choosing(meta, (), declared)

    def with_shared(field: Field) -> Choice:
        return related(field, partial(choosing.shared, field))

    for field, left_out, differs in choosing.decided():
        if not left_out:
            try:
                found = choosing.choice(field, differs, with_shared)
            except ConfigurationError as error:
                yield field, error
            else:
                yield field, found


def choices_within(
    model: Any, within: Sequence[Any]
) -> Iterator[tuple[Field, Choice | ConfigurationError]]:
    """Yield, as `choices` does, for objects that are stored within others.

    Args:
        model: Their class.
        within: The classes of those that they are stored in, the outermost first.
    """
    for field in part_fields(model):
        if field.required:
            try:
                found = _chosen_within(field, model, within)
            except ConfigurationError as error:
                yield field, error
            else:
                yield field, found


def _chosen_within(field: Field, model: Any, within: Sequence[Any]) -> Choice:
    """Return what is chosen for a field of objects that are stored within others."""
    return _ended(choose(field, model), field, model, within)


def _ended(choice: Choice, field: Field, model: Any, within: Sequence[Any] = ()) -> Choice:
    """Return what is chosen for a field, or None where that would go on for ever.

    Raises:
        ConfigurationError: When the field takes no None.
    """
    nested = choice.declaration
    around = [*within, model]
    if not isinstance(nested, Nested) or nested.model not in around:
        return choice
    if field.nullable:
        return Choice(None, "ends what would go on for ever", "None")
    way = " → ".join(map(name_of, [*around[around.index(nested.model) :], nested.model]))
    raise ConfigurationError(
        field.name,
        f"leads back to {name_of(nested.model)}, and each of these is required: {way}. No object "
        "ends that; let one of the fields take None, or an empty list.",
        owner=name_of(model),
    )


def refuse_too_many(meta: Any, size: int, given: Iterable[str]) -> None:
    """Raise the error of a field that has no value left, before objects are made without it.

    Each such error is raised when the values are drawn, too: but some objects may be stored then.

    Args:
        meta: The ``_meta`` of a factory.
        size: How many objects are to be made.
        given: The keywords of the call.
    """
    if meta.auto_declarations is False:
        return
    limited = _limited.get(meta)
    if limited is None:
        limited = _limited[meta] = tuple(_limited_of(meta, ()))
    if not limited:
        return
    asked: dict[Hashable, int] = {}
    for unique, given_by in limited:
        if given_by.isdisjoint(given):
            asked[unique.shared_by] = asked.get(unique.shared_by, 0) + size
            unique.refuse_beyond(asked[unique.shared_by])


def read_off_given(meta: Any, extras: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the relations whose object is that of an object which a call gives.

    Where the keys of a relation are among those of another, the object of the one is that of the
    other's, too: the tenant of a post is that of the author who is given.

    Args:
        meta: The ``_meta`` of the factory.
        extras: The keywords of the call.

    Yields:
        For each, the name, what is chosen for it, and what is declared in place of that.
    """
    if meta.auto_declarations is False or not extras:
        return
    by_name = chosen(meta).by_name
    spelt = {new: old for old, new in meta.rename.items()}
    relations = {
        spelt.get(field.name, field.name): field.relation
        for field in meta.fields(meta.model_to_construct())
        if field.relation is not None and field.relation.keys
    }
    for name, relation in relations.items():
        declaration = by_name.get(name)
        if type(declaration) is not declarations.SubFactory:
            continue
        for given, other in relations.items():
            if (
                given != name
                and given in extras
                and not upstream.is_declared(extras[given])
                and relation.keys.keys() <= other.keys.keys()
            ):
                read = _read_off(meta, name, relation, given, other)
                maybe: Any = declarations.Maybe  # whose annotations say less than it takes
                instead = maybe(
                    declarations.LazyAttribute(partial(_has_value, given)),
                    declarations.LazyAttribute(read),
                    declaration,
                )
                yield name, declaration, instead
                break


def _has_value(name: str, stub: Any) -> bool:
    return getattr(stub, name) is not None


def _read_off(
    meta: Any, name: str, relation: Relation, given: str, other: Relation
) -> Callable[[Any], Any]:
    """Return what reads the object of a relation off that of another, which is given."""
    theirs = {field.name: field for field in meta.fields(other.target)}
    keys = {other.keys[key]: attribute for key, attribute in relation.keys.items()}
    inner = next(
        (
            field.name
            for field in theirs.values()
            if field.relation is not None
            and field.relation.target is relation.target
            and field.relation.keys == keys
        ),
        None,
    )

    def read(stub: Any) -> Any:
        # Not getattr(), which may ask the database.
        held = getattr(getattr(stub, given), "__dict__", {})
        value = held.get(inner)
        if value is not None:
            return value
        why = f"which has no relation {name}" if inner is None else f"whose {inner} is not loaded"
        raise ConfigurationError(
            name,
            f"has to be that of the {given} which is given, {why}. Give {name} to the call, too.",
            owner=upstream.factory_of(meta).__name__,
        )

    return read


def _limited_of(meta: Any, above: tuple[Any, ...]) -> Iterator[Limited]:
    """Yield the fields that may run out of values, where nothing but what is chosen fills them."""
    if meta in above or meta.adapter_for_storing().get_or_create:
        return
    declared = upstream.declared_keywords(meta)  # by traits, too, and for parts
    keys = meta.relations()
    for name, declaration in chosen(meta).by_name.items():
        found: list[Limited] = []
        if isinstance(declaration, declarations.LazyFunction):
            function = upstream.function(declaration)
            if isinstance(function, Unique) and function.is_limited:
                found.append(Limited(function, frozenset({name})))
        elif isinstance(declaration, declarations.SubFactory):
            below = declaration.get_factory()._meta
            if getattr(below, "auto_declarations", False) is not False:
                own = {name, *keys.get(name, ())}
                for unique, given_by in _limited_of(below, (*above, meta)):
                    inner = {f"{name}__{one}" for one in given_by}
                    found.append(Limited(unique, frozenset(own | inner)))
        yield from (one for one in found if one.given_by.isdisjoint(declared))


def _refuse_cycle(meta: Any, path: Sequence[tuple[Any, str]]) -> None:
    places = [one for one, _ in path]
    if meta not in places:
        return
    path = path[places.index(meta) :]
    cycle = [name for _, name in path]
    first = cycle[0].rpartition(".")[2]
    ends = f"{first} = None"
    if len(cycle) > 1:
        below = upstream.factory_of(path[1][0]).__name__
        back = cycle[-1].rpartition(".")[2]
        inner = "__".join([*(one.rpartition(".")[2] for one in cycle[1:-1]), back])
        key = next(one for one in meta.fields(meta.model) if one.name == first).relation.attribute
        ends = f"{first} = factory.SubFactory({below}, {inner}=None)"
        if key is not None:
            ends = f'{first} = KeyOf({below}, "{key}", {inner}=None) (needs: {KEY_OF})'
    raise ConfigurationError(
        first,
        f"leads back to {name_of(meta.model)}, and each of these relations is required: "
        f"{' → '.join([*cycle, name_of(meta.model)])}. No declaration ends that, unless one of "
        f"their keys takes null; then write {ends}. Or declare an object that is stored already.",
        owner=upstream.factory_of(meta).__name__,
    )


class _Choosing:
    """Chooses declarations for one factory.

    Args:
        meta: The ``_meta`` of the factory.
        path: As for `chosen`.
        also_declared: Fields that count as declared, besides those that are.
    """

    def __init__(
        self,
        meta: Any,
        path: tuple[tuple[Any, str], ...],
        also_declared: Iterable[str] = (),
    ) -> None:
        self.meta = meta
        self.path = path
        self.factory = upstream.factory_of(meta)
        self.model = meta.model_to_construct()
        self.fields = {one.name: one for one in meta.fields(self.model)}
        self.option: Option = meta.auto_declarations
        renamed = meta.rename
        declared = upstream.declared_outright(meta)
        self.declared = {renamed.get(name, name) for name in declared}.union(also_declared)
        self.spelt = {new: old for old, new in renamed.items()}
        """How declarations name what has another name in the model."""
        self.left_out = {name: self._left_out(one) for name, one in self.fields.items()}
        """For each field, why nothing is chosen for it; empty where something is."""
        self.filled = {name for name, reason in self.left_out.items() if not reason}
        self.never_filled = {
            name
            for name in self.fields
            if name in meta.exclude
            or self.option is False
            or (isinstance(self.option, tuple) and name not in self.option)
        }

    def run(self, *, shows_errors: bool = False) -> Chosen:
        """Choose.

        Args:
            shows_errors: Whether a field that nothing can be chosen for has a row that says so.
        """
        self._check_names()
        parts: dict[str, Any] = {}
        values: dict[str, Any] = {}
        rows = []
        imports: dict[str, None] = {}
        for field, left_out, differs in self.decided():
            name = field.name
            if name in self.declared:
                rows.append(Row(name, "declared", "", self._declared(name)))
            elif left_out:
                rows.append(Row(name, "left out", left_out, ""))
            else:
                try:
                    with asked(field, self.model, self.factory.__name__):
                        choice = self.choice(field, differs, self._related)
                    declaration = self._declaration(choice, field)
                except ConfigurationError as error:
                    if not shows_errors:
                        raise
                    rows.append(Row(name, "refused", str(error), ""))
                    continue
                of_kind = values if field.relation is None else parts
                of_kind[self.spelt.get(name, name)] = declaration
                rows.append(Row(name, "chosen", choice.rule, choice.source))
                imports.update(dict.fromkeys(choice.imports))
        return Chosen({**parts, **values}, tuple(rows), tuple(sorted(imports)))

    def _check_names(self) -> None:
        """Raise ConfigurationError where ``Meta``, or a rule, names what cannot be chosen."""
        owner, known = f"{self.factory.__name__}.Meta", self.fields.keys()
        if isinstance(self.option, tuple):
            check_names("auto_declarations", self.option, known, owner=owner, model=self.model)
            for name in self.option:
                field = self.fields[name]
                instead = f"the key of {field.key_of}. Name {field.key_of}"
                if field.key_of is None:
                    if not field.generated:
                        continue
                    instead = "made by the store. Leave it out, or declare it"
                raise ConfigurationError(
                    "auto_declarations", f"names {name!r}, which is {instead}.", owner=owner
                )
        for model, name in rules_of(self.model):
            check_names(
                f"rule(({name_of(model)}, {name!r}))",
                [name],
                known,
                owner=RULES,
                model=self.model,
            )

    def decided(self) -> Iterator[tuple[Field, str, bool]]:
        """Yield each field, why it is left out, and whether its value has to differ from others."""
        filled = self.filled
        # As a rule that is given a value, so is one whose value has to differ from that of others.
        differing = carriers(self.fields.values(), filled | self.declared)
        differing -= self.declared | self.never_filled
        for name, field in self.fields.items():
            differs = name in differing
            yield field, "" if differs else self.left_out[name], differs

    def choice(self, field: Field, differs: bool, related: Callable[[Field], Choice]) -> Choice:
        """Return what is chosen for a field that is not left out."""
        try:
            return self._choice(field, differs, related)
        except ConfigurationError as error:
            if error.owner != RULES:
                raise
            asked = f"{error.problem} {self.factory.__name__} has asked for it."
            raise ConfigurationError(error.option, asked, owner=error.owner) from None

    def _choice(self, field: Field, differs: bool, related: Callable[[Field], Choice]) -> Choice:
        if field.relation is not None:
            of_user = ruled(field, self.model)
            if of_user is None and field.nullable and not isinstance(self.option, tuple):
                # The constructor asks for it, but not for an object.
                return Choice(None, "an optional relation", "None")
            return of_user or related(field)
        choice = choose(field, self.model, unique=True if differs else None)
        return _ended(choice, field, self.model)

    def _left_out(self, field: Field) -> str:
        """Return why nothing is chosen for a field; empty where something is."""
        name, relation, option = field.name, field.relation, self.option
        if name in self.declared:
            return "declared"
        if name in self.meta.exclude:
            return "in Meta.exclude"
        if option is False:
            return "Meta.auto_declarations is not set"
        if isinstance(option, tuple):
            return "" if name in option else "not in Meta.auto_declarations"
        if field.key_of is not None:
            return f"the key of {field.key_of}"
        if ruled_alone(field, self.model):
            return ""
        if field.generated:
            return "made by the store"
        if relation is not None:
            if relation.keys and self.declared.issuperset(relation.keys):
                return f"given by {', '.join(relation.keys)}"
            if relation.many:
                return "a collection"
            return "" if field.required else "an optional relation"
        if option == "all" or field.required:
            return ""
        return "has a default" if field.has_default else "takes None"

    def _declared(self, name: str) -> str:
        declaration = upstream.written(self.meta).get(self.spelt.get(name, name))
        if upstream.is_declared(declaration):
            return type(declaration).__name__
        return repr(declaration)

    def _declaration(self, choice: Choice, field: Field, within: tuple[Any, ...] = ()) -> Any:
        declaration = choice.declaration
        if isinstance(declaration, Nested):
            return self._nested(declaration, within or (self.model,))
        model, owner = self.model, self.factory.__name__
        if within:
            model, owner = within[-1], factory_name(within[-1])
        return by_rule(declaration, field, model, owner)

    def _nested(self, nested: Nested, within: tuple[Any, ...]) -> Any:
        """Return what declares objects that are stored within the object.

        Args:
            nested: Says what they are.
            within: The classes of the objects that they are stored in, the outermost first.
        """
        own = {}
        for field in part_fields(nested.model):
            if field.required:
                with asked(field, nested.model, factory_name(nested.model)):
                    choice = _chosen_within(field, nested.model, within)
                own[field.name] = self._declaration(choice, field, (*within, nested.model))
        part = declarations.SubFactory(make_factory(nested.model, **own))
        if nested.container is None:
            return part
        parts = declarations.List([part] * nested.size)
        if nested.container is list:
            return parts
        return declarations.Transformer(parts, transform=nested.container)

    def _related(self, field: Field) -> Choice:
        relation = field.relation
        assert relation is not None
        target = relation.target
        if target is None:
            raise ConfigurationError(
                field.name,
                "refers to objects of any model, so none is chosen. Declare which: "
                f"{field.name} = factory.SubFactory(...).",
                owner=self.factory.__name__,
            )
        found, rule = self._factory_for(field, target)
        # One that is optional may be given where it has to end.
        if field.required and found._meta.auto_declarations is not False:
            here = (self.meta, f"{name_of(self.model)}.{field.name}")
            chosen(found._meta, (*self.path, here))
        name = found.__name__
        if relation.attribute is not None:
            self._refuse_several(field, name)
            source = f'KeyOf({name}, "{relation.attribute}")'
            return Choice(KeyOf(found, relation.attribute), rule, source, (KEY_OF,))
        shared = self.shared(field, found._meta)
        source = "".join(f', {key}=factory.SelfAttribute("{path}")' for key, path in shared.items())
        attributes = {key: declarations.SelfAttribute(path) for key, path in shared.items()}
        return Choice(
            declarations.SubFactory(found, **attributes), rule,
            f"factory.SubFactory({name}{source})",
        )  # fmt: skip

    def _refuse_several(self, field: Field, factory: str) -> None:
        """Raise ConfigurationError for one of several keys: each would be of another object."""
        relation = field.relation
        assert relation is not None
        if len(relation.keys) < 2:
            return
        target = name_of(relation.target)
        keys = " and ".join(sorted(relation.keys))
        values = ", ".join(
            f'{key} = factory.SelfAttribute("related.{attribute}")'
            for key, attribute in sorted(relation.keys.items())
        )
        raise ConfigurationError(
            field.name,
            f"refers to {target} by {keys} together, and {name_of(self.model)} has no relation for "
            f"them. Declare all: {values}; with related = factory.SubFactory({factory}) in the "
            "factory's Params.",
            owner=self.factory.__name__,
        )

    def shared(self, field: Field, meta: Any) -> Mapping[str, str]:
        """Return what the object of a relation has in common with the rest, and where that is.

        Relations may share a key: the tenant of a post is that of its author. Where each had an
        object of its own, only one of them could be what the key says.

        Args:
            field: The relation.
            meta: The ``_meta`` of the factory of the related model.
        """
        relation = field.relation
        assert relation is not None
        shared: dict[str, str] = {}
        for key, attribute in relation.keys.items():
            holder = self.fields[key].key_of if key in self.fields else None
            if holder is None or holder == field.name:
                continue
            theirs = {one.name: one for one in meta.fields(relation.target)}
            spelt = {new: old for old, new in meta.rename.items()}
            if key in self.declared:
                shared[spelt.get(attribute, attribute)] = f"..{self.spelt.get(key, key)}"
            elif holder in self.filled | self.declared and attribute in theirs:
                other, inner = self.fields[holder].relation, theirs[attribute].key_of
                assert other is not None
                path = f"..{self.spelt.get(holder, holder)}"
                if inner is None:
                    shared[spelt.get(attribute, attribute)] = f"{path}.{other.keys[key]}"
                elif theirs[inner].relation == replace(other, keys={attribute: other.keys[key]}):
                    shared[spelt.get(inner, inner)] = path
        return shared

    def _factory_for(self, field: Field, target: Any) -> tuple[Any, str]:
        """Return the factory of a related model, and how it was found."""
        candidates = _defined_for(target, self.factory)
        if not candidates:
            return self._made_for(target), f"by relation: an automatic factory of {name_of(target)}"
        usual = factory_name(target)
        for fewer in (
            candidates,
            [one for one in candidates if one.__name__ == usual],
            [
                one
                for one in candidates
                if one.__name__ == usual and one.__module__ == self.factory.__module__
            ],
        ):
            if len(fewer) == 1:
                return fewer[0], f"by relation: the factory of {name_of(target)}"
        names = sorted(f"{one.__module__}.{one.__qualname__}" for one in candidates)
        assert field.relation is not None
        key = field.relation.attribute
        first = candidates[0].__name__
        which = f"factory.SubFactory({first})" if key is None else f'KeyOf({first}, "{key}")'
        raise ConfigurationError(
            field.name,
            f"refers to {name_of(target)}, which several factories make: {', '.join(names)}. "
            f"Declare which: {field.name} = {which}{'' if key is None else f' (needs: {KEY_OF})'}.",
            owner=self.factory.__name__,
        )

    def _made_for(self, target: Any) -> Any:
        """Return a factory of a related model that nobody has defined one for."""
        meta = self.meta
        base = next(
            one
            for one in self.factory.__mro__
            if getattr(one, "_meta", None) is not None and one._meta.model is None
        )
        key = (base, target, self.factory.__qualname__.rpartition(".")[0])
        made = _made.get(key)
        if made is None:
            options: dict[str, Any] = {"model": target, "auto_declarations": True}
            # A class that brings options of a store has none of them itself.
            usual = meta.further_options()
            for name in ("adapter", *meta.adapter_options):
                value = getattr(meta, name)
                # Names of fields are those of this model.
                inherited = getattr(base._meta, name, usual[name])
                if value is not inherited and not isinstance(value, list | tuple):
                    options[name] = value
            name = factory_name(target)
            attributes = {
                "Meta": type("Meta", (), options),
                "__module__": self.factory.__module__,
                "__qualname__": "".join([*self.factory.__qualname__.rpartition(".")[:2], name]),
            }
            made = type(base)(name, (base,), attributes)
            _defined.pop(made, None)
            _made[key] = made
        return made


class Explanation(tuple[Row, ...]):
    """What comes of each field; as a text, a table.

    Args:
        rows: A row for each field.
        imports: The lines that the declarations in it need, besides ``import factory``.
    """

    imports: tuple[str, ...]

    def __new__(cls, rows: Iterable[Row], imports: Iterable[str] = ()) -> Explanation:
        made = super().__new__(cls, rows)
        made.imports = tuple(imports)
        return made

    def __str__(self) -> str:
        lines = columns(("field", "", "by", "declaration"), self)
        if self.imports:
            lines += ["", "These declarations need:", *self.imports]
        return "\n".join(lines)


def explained(meta: Any) -> Explanation:
    """Return what comes of each field of a model, and of what else a factory declares."""
    if meta.model is None:
        raise AbstractFactoryError(
            f"{upstream.factory_of(meta).__name__} has no Meta.model, whose fields could be "
            "explained; explain a factory that is derived from it."
        )
    found = _Choosing(meta, ()).run(shows_errors=True)
    known = {row.name for row in found.rows}
    return Explanation((*found.rows, *_further(meta, known)), found.imports)


def _further(meta: Any, known: Iterable[str]) -> list[Row]:
    """Return rows for what a factory declares that is no field."""
    renamed = meta.rename
    return [
        Row(name, "declared", "not a field of the model", type(declaration).__name__)
        for name, declaration in upstream.written(meta).items()
        if renamed.get(name, name) not in known
    ]
