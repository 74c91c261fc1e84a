"""All that this library knows of factory_boy beyond what that documents.

factory_boy gives no guarantee for any of it
(https://factoryboy.readthedocs.io/en/stable/internals.html). Other modules use its documented
classes, the ``_meta`` of a factory with the options of ``Meta``, and what stands here; of its
objects they read nothing else. `tests/test_seams.py` fails when any of it changes upstream, or when
another module knows more.

A plan reads what it needs when it is compiled. So what is called for each object is a method of
factory_boy's own, or a value that was taken out of it before.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, overload

from factory import base, builder, declarations, enums, errors
from factory.faker import Faker

from async_factory_boy import sequences

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# Classes and values.

BaseFactory = base.BaseFactory
CONTAINERS = (base.BaseDictFactory, base.BaseListFactory)
"""The factories of a ``Dict`` and a ``List``: they have no model, and take no options."""
StubObject = base.StubObject

BaseDeclaration = declarations.BaseDeclaration
Parameter = declarations.Parameter
"""What ``Params`` consist of; a plain value there is wrapped in one."""
SKIP = declarations.SKIP
"""What a declaration evaluates to that gives the model no value."""

AssociatedClassError = errors.AssociatedClassError
CyclicDefinitionError = errors.CyclicDefinitionError
InvalidDeclarationError = errors.InvalidDeclarationError

LOGGER = logging.getLogger("factory.generate")
"""Where factory_boy logs, at the level DEBUG, each declaration that it evaluates."""

SEQUENCE = "__sequence"
"""The keyword of a call that gives the sequence number."""

ITSELF = ""
"""In a context, the key of what is given for a hook or a ``Transformer`` itself."""

faker_for: Callable[[str | None], Any] = Faker._get_faker
"""Returns the faker that draws for a locale; ``None`` is the default one."""

# What factory_boy asks of ours, and we of its. Read-only attributes are written as properties.


class Declaration(Protocol):
    """How a declaration is evaluated: in one of the first two ways, by its phase.

    Args:
        instance: The stub of the object; after that is made, the object.
        step: The `BuildStep`.
        overrides: The context.
        extra: The same, for those that evaluate to a value of their own.
    """

    def evaluate_pre(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any: ...
    def evaluate_post(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any: ...
    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any: ...


class BuildStep(Protocol):
    """What declarations may ask of the step that they are evaluated for."""

    sequence: Any

    @property
    def attributes(self) -> dict[str, Any]: ...
    @property
    def builder(self) -> StepBuilder: ...
    @property
    def chain(self) -> tuple[Any, ...]: ...
    @property
    def parent_step(self) -> BuildStep | None: ...
    @property
    def stub(self) -> Resolver: ...
    def recurse(
        self, factory: Any, declarations: Mapping[str, Any], force_sequence: int | None = None
    ) -> Any: ...
    def resolve(self, declarations: Any) -> None: ...


class StepBuilder(Protocol):
    """What declarations may ask of the builder of their step."""

    factory_meta: Any
    extras: dict[str, Any]
    strategy: str
    force_init_sequence: Any

    def build(self, parent_step: Any | None = None, force_sequence: int | None = None) -> Any: ...
    def recurse(self, factory_meta: Any, extras: dict[str, Any]) -> StepBuilder: ...


class Resolver(Protocol):
    """The stub: besides the values of the object, it has that of the object above."""

    @property
    def factory_parent(self) -> Resolver | None: ...
    def __getattr__(self, name: str) -> Any: ...


# What is a declaration, and when it is evaluated.


def comes_before(value: object) -> bool:
    """Return whether a value is a declaration that is evaluated before the object is made."""
    phase = getattr(value, "FACTORY_BUILDER_PHASE", None)
    return bool(phase == enums.BuilderPhase.ATTRIBUTE_RESOLUTION)


def runs_after(value: object) -> bool:
    """Return whether a value is a declaration that runs when the object exists."""
    phase = getattr(value, "FACTORY_BUILDER_PHASE", None)
    return bool(phase == enums.BuilderPhase.POST_INSTANTIATION)


def is_declared(value: object) -> bool:
    """Return whether a value is evaluated, and not just given to the model."""
    return getattr(value, "FACTORY_BUILDER_PHASE", None) is not None or isinstance(
        value, declarations.Transformer.Force
    )


# What a factory declares, given its ``_meta``.

factory_of: Callable[[Any], Any] = attrgetter("factory")
"""Returns the factory that a ``_meta`` is of."""


class Declared(NamedTuple):
    """What there is under one name."""

    declaration: Any
    """Or a plain value."""

    context: Mapping[str, Any]
    """What it is given further: for ``company__name``, that under ``name``."""


class Parsed(NamedTuple):
    """What a factory declares, together with the keywords of a call."""

    pre: dict[str, Declared]
    """What is evaluated before the object is made, in order."""

    post: dict[str, Declared]
    """What runs when the object exists, in order."""


def parsed(meta: Any, keywords: Mapping[str, Any]) -> Parsed:
    """Return what a factory declares, together with the keywords of a call.

    Raises:
        InvalidDeclarationError: When a keyword reaches into a declaration that there is not.
    """
    pre, post = _parsed(meta, keywords)
    return Parsed(_records(pre, pre), _records(post, post.sorted()))


def definitions(meta: Any, keywords: Mapping[str, Any], begun: Iterable[str]) -> object:
    """Return what an error shows of what `parsed` returns first.

    Args:
        meta: The ``_meta`` of the factory.
        keywords: Those of the call.
        begun: The names whose evaluation has begun: a ``Transformer`` takes its value out then.
    """
    pre, _ = _parsed(meta, keywords)
    for name in begun:
        if captures_value(pre.declarations.get(name)):
            pre.contexts[name].pop(ITSELF, None)
    return pre


def _parsed(meta: Any, keywords: Mapping[str, Any]) -> tuple[Any, Any]:
    sets: tuple[Any, Any] = builder.parse_declarations(
        dict(keywords), base_pre=_pre(meta), base_post=meta.post_declarations
    )
    return sets


def _pre(meta: Any) -> Any:
    """Return what a factory declares to be evaluated before the object is made."""
    automatic = meta.automatic_declarations() if isinstance(meta, Options) else None
    if not automatic:
        return meta.pre_declarations
    declared, found, completed = meta._completed
    if declared is not meta.pre_declarations or found is not automatic:
        completed = _completed(meta, automatic)
        meta._completed = meta.pre_declarations, automatic, completed
    return completed


def _completed(meta: Any, automatic: Mapping[str, Any]) -> Any:
    # Those first: a part that a declaration looks at is then there.
    completed = builder.DeclarationSet(automatic)
    completed.update(meta.pre_declarations.as_dict())
    for name, declaration in automatic.items():
        declared = meta.pre_declarations.declarations.get(name)
        if declared is not None:
            completed.declarations[name] = _otherwise(declared, declaration)
    return completed


def _otherwise(changed: Any, declaration: Any) -> Any:
    """Return what traits make of a name, with a declaration for when none of them is on."""
    no = changed.no
    if isinstance(no, declarations.Maybe):
        return replaced(changed, {"no": _otherwise(no, declaration)})
    return replaced(changed, {"no": declaration})


def declared_outright(meta: Any) -> set[str]:
    """Return the names that a factory declares, its ``Params`` included, but not in traits."""
    return {*meta.base_declarations, *meta.parameters}


def outright(meta: Any) -> Mapping[str, Any]:
    """Return what a factory declares, but for its ``Params``, as it is written there."""
    found: Mapping[str, Any] = meta.base_declarations
    return found


def _records(some: Any, names: Iterable[str]) -> dict[str, Declared]:
    return {
        name: Declared(some.declarations[name], dict(some.contexts.get(name, ()))) for name in names
    }


def declaration_sets(meta: Any) -> object:
    """Return what is equal as long as a factory declares the same: plugins give it other sets."""
    return _pre(meta), meta.post_declarations


split: Callable[[str], tuple[str, str | None]] = builder.DeclarationSet.split
"""Returns the declaration that a keyword is for, with the name within it: ``company__name``."""


def declarations_of(meta: Any) -> dict[str, Any]:
    """Return what a factory declares, by name; a field that a trait changes is a ``Maybe``."""
    return {**_pre(meta).declarations, **meta.post_declarations.declarations}


def declared_keywords(meta: Any) -> set[str]:
    """Return what a factory declares to be evaluated, for parts too: ``company__name``."""
    return {*meta.pre_declarations.as_dict()}


def declares(meta: Any, name: str) -> bool:
    """Return whether a factory declares a name."""
    return name in _pre(meta).declarations or name in meta.post_declarations.declarations


def declares_value(meta: Any, name: str) -> bool:
    """Return whether a factory declares a name that has a value before the object is made."""
    return name in _pre(meta).declarations


def written(meta: Any) -> dict[str, Any]:
    """Return what a factory declares, as it is written there: not as its traits change it."""
    parameters = {
        name: one.value if isinstance(one, declarations.SimpleParameter) else one
        for name, one in meta.parameters.items()
    }
    changed = {**meta.pre_declarations.declarations, **meta.post_declarations.declarations}
    # What only a trait declares is nowhere but among what traits have changed.
    as_written = {**changed, **parameters, **meta.base_declarations}
    return {name: as_written[name] for name in {**parameters, **changed}}


def every(meta: Any) -> Iterator[Any]:
    """Yield the declarations of a factory, and what they are made of."""
    yield from within(meta.pre_declarations.as_dict())
    yield from within(meta.post_declarations.as_dict())
    yield from within(meta.parameters)


def parameters(meta: Any) -> Mapping[str, Any]:
    """Return the ``Params`` of a factory, its own and those of its bases, by name."""
    found: Mapping[str, Any] = meta.parameters
    return found


def traits(meta: Any) -> dict[str, declarations.Trait]:
    """Return the traits of a factory, by name."""
    return {
        name: parameter
        for name, parameter in meta.parameters.items()
        if isinstance(parameter, declarations.Trait)
    }


def overrides(trait: declarations.Trait) -> Mapping[str, Any]:
    """Return what a trait declares."""
    found: Mapping[str, Any] = trait.overrides
    return found


# What a declaration is made of.


class PartDeclaration(NamedTuple):
    """What a ``SubFactory`` or a ``RelatedFactory`` asks for; a ``Dict`` or a ``List``, too."""

    get_factory: Callable[[], Any]
    """Returns the factory, which may have to be imported."""

    keywords: Mapping[str, Any]

    shares_sequence: bool
    """Whether the part has the sequence number of the whole."""

    refers_by: str
    """Of a ``RelatedFactory``: its ``factory_related_name``, or empty."""


@overload
def part(
    declaration: declarations.SubFactory | declarations.RelatedFactory,
) -> PartDeclaration: ...
@overload
def part(declaration: object) -> PartDeclaration | None: ...
def part(declaration: object) -> PartDeclaration | None:
    """Return what a declaration asks for; ``None`` if it is no such."""
    if isinstance(declaration, declarations.SubFactory):
        shares = declaration.FORCE_SEQUENCE
        return PartDeclaration(declaration.get_factory, declaration._defaults, shares, "")
    if isinstance(declaration, declarations.RelatedFactory):
        keywords, refers_by = declaration.defaults, declaration.name
        return PartDeclaration(declaration.get_factory, keywords, False, refers_by)
    return None


def is_imported(declaration: Any) -> bool:
    """Return whether the factory of a declaration with a part is there, and not just its path."""
    return declaration.factory_wrapper.factory is not None


def unrolls_context(declaration: Any) -> bool:
    """Return whether what is declared in its context is evaluated before the declaration."""
    return getattr(declaration, "UNROLL_CONTEXT_BEFORE_EVALUATION", False)


def captures_value(declaration: Any) -> bool:
    """Return whether what is given for a declaration is a context of it, under `ITSELF`."""
    return getattr(declaration, "CAPTURE_OVERRIDES", False)


function: Callable[[Any], Callable[..., Any]] = attrgetter("function")
"""Returns what a lazy declaration or a ``Sequence`` calls."""

forced_value: Callable[[declarations.Transformer.Force], Any] = attrgetter("forced_value")
"""Returns what is not to be transformed."""

decision: Callable[[declarations.Maybe], tuple[Any, Any, Any]] = attrgetter("decider", "yes", "no")
"""Returns what a ``Maybe`` decides by, and between."""

transformation: Callable[[declarations.Transformer], tuple[Any, Callable[[Any], Any]]]
transformation = attrgetter("default", "transform")
"""Returns what a ``Transformer`` transforms by default, and how."""

faked: Callable[[Faker], tuple[str, Mapping[str, Any]]] = attrgetter("provider", "_defaults")
"""Returns the provider of a ``Faker``, with its keywords; one of these is ``locale``."""


def own_attribute(declaration: declarations.SelfAttribute) -> str | None:
    """Return the name of the value that a ``SelfAttribute`` is the same as.

    ``None`` if it is of another object or within a value, or if there need be none.
    """
    name: str = declaration.attribute_name
    is_optional = declaration.default is not declarations._UNSPECIFIED
    return None if "." in name or declaration.depth > 1 or is_optional else name


def within(value: Any) -> Iterator[Any]:
    """Yield a declaration, and what it is made of."""
    yield value
    if isinstance(value, declarations.BaseDeclaration | declarations.Trait):
        value = vars(value)
    if isinstance(value, dict):
        for one in value.values():
            yield from within(one)


def nested(declaration: Any, instead: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the attributes of a declaration that are declarations, as those of a ``Maybe``.

    Args:
        declaration: The one that evaluates the others.
        instead: Returns what each is to be replaced by.
    """
    found: dict[str, Any] = {}
    for attribute, one in getattr(declaration, "__dict__", {}).items():
        if isinstance(one, declarations.BaseDeclaration):
            found[attribute] = instead(one)
        elif isinstance(one, declarations.Transformer.Force) and isinstance(
            one.forced_value, declarations.BaseDeclaration
        ):
            found[attribute] = declarations.Transformer.Force(instead(one.forced_value))
    return found


def replaced(declaration: Any, attributes: Mapping[str, Any]) -> Any:
    """Return a copy of a declaration with other attributes."""
    declaration = copy.copy(declaration)
    vars(declaration).update(attributes)
    return declaration


class StandIn(declarations.BaseDeclaration):
    """Stands in the place of a declaration, within another."""

    def __init__(self, declaration: Any) -> None:
        # Not super().__init__(): it would count this as one more declaration of the class body.
        self.FACTORY_BUILDER_PHASE = declaration.FACTORY_BUILDER_PHASE
        self.CAPTURE_OVERRIDES = captures_value(declaration)


# How a factory makes objects, given its ``_meta``.


class Making(NamedTuple):
    """The steps of making an object that belong to the ``_meta`` of its factory."""

    next_sequence: Callable[[], Any]

    prepare_arguments: Callable[[dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]] | None
    """Returns what the model is called with; ``None`` if ``Meta`` and the factory say all of it."""

    instantiate: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
    """Takes a `BuildStep` and the arguments of the model."""


def making(meta: Any) -> Making:
    """Return how a factory makes objects."""
    usual = (base.FactoryOptions.prepare_arguments, Options.prepare_arguments)
    prepares = type(meta).prepare_arguments not in usual
    return Making(
        meta.next_sequence, meta.prepare_arguments if prepares else None, meta.instantiate
    )


def counting(meta: Any) -> Any:
    """Return what is the same for factories that share a counter: the ``_meta`` that it is of."""
    return meta.counter_reference


def exchange_counter(meta: Any, counter: Any) -> Any:
    """Give a factory another counter, and return the one it had. ``None`` begins anew."""
    before, meta._counter = meta._counter, counter
    return before


class Counter(base._Counter):
    """Counts the objects of a factory."""

    def next(self) -> int:
        return sequences.actual(super().next())


# Base classes of ours, which factory_boy calls. What they override of it comes first, and calls
# the methods that follow, for a subclass to have its say.


class Metaclass(base.FactoryMetaClass):
    """The class of factories."""

    def __new__(mcs, class_name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        if isinstance(attrs.get("_meta"), base.FactoryOptions):
            # factory.make_factory() calls FactoryMetaClass.__new__ by name; Python then finds that
            # the bases ask for this metaclass, and enters here a second time. Meta is taken out of
            # `attrs` already, and the first call goes on to fill in `_meta`.
            return type.__new__(mcs, class_name, bases, attrs)
        return super().__new__(mcs, class_name, bases, attrs)


class Options(base.FactoryOptions):
    """The class of a ``_meta``."""

    # What factory_boy sets; not given a value here, since it asserts that the options of Meta are
    # absent before it fills them in.
    factory: Any
    model: Any
    abstract: bool
    strategy: str
    exclude: tuple[str, ...]
    rename: dict[str, str]
    inline_args: tuple[str, ...]
    counter_reference: Any

    _completed: tuple[Any, Any, Any] = (None, None, None)
    """What is declared, what is taken from the model, and the two together."""

    # When the class of a factory is made.

    def contribute_to_class(
        self, factory: type[base.BaseFactory[Any]], *args: Any, **kwargs: Any
    ) -> None:
        super().contribute_to_class(factory, *args, **kwargs)
        self.complete()

    def _build_default_options(self) -> list[base.OptionDefault]:
        return [
            *super()._build_default_options(),
            *(
                base.OptionDefault(name, default, inherit=True)
                for name, default in self.further_options().items()
            ),
        ]

    def _fill_from_meta(self, meta: type | None, base_meta: base.FactoryOptions | None) -> None:
        names = () if meta is None else vars(meta)
        given = [name for name in names if not name.startswith("_")]
        self.check_options(given, {option.name for option in self._build_default_options()})
        super()._fill_from_meta(meta, base_meta)
        self.take_options(given)

    def _get_counter_reference(self) -> Any:
        parent = None if self.base_factory is None else self.base_factory._meta
        if parent is None or parent.model is None or self.model is None:
            return self
        return parent.counter_reference if self.counts_with(parent.model) else self

    def further_options(self) -> dict[str, Any]:
        """Return the options of ``Meta`` besides factory_boy's, with their defaults."""
        return {}

    def check_options(self, given: Iterable[str], known: set[str]) -> None:
        """Raise if ``Meta`` has an option that there is not.

        Args:
            given: The options that are set in the ``Meta`` of this factory.
            known: The options that there are.
        """

    def take_options(self, given: Iterable[str]) -> None:
        """Make use of the options, which are filled in."""

    def complete(self) -> None:
        """Do what comes last, when it is known what the factory declares."""

    def automatic_declarations(self) -> Mapping[str, Any]:
        """Return declarations for what the factory does not declare; the same each time."""
        return {}

    def counts_with(self, model: Any) -> bool:
        """Return whether objects are counted with those of a base, given the model of that."""
        return issubclass(self.model, model)

    # When objects are counted.

    def _initialize_counter(self) -> None:
        if self._counter is None and self.counter_reference is self:
            first = self.first_number(self.factory)
            # Where that had to wait, another task may have been here.
            if self._counter is None:
                self._counter = Counter(first)
        super()._initialize_counter()

    def reset_sequence(self, value: int | None = None, force: bool = False) -> None:
        top = self.counter_reference
        if value is not None and top._counter is None and (force or top is self):
            top._counter = Counter(value)  # an async _setup_next_sequence need not be asked
        if value is None and (force or top is self):
            value = self.first_number(top.factory)
        super().reset_sequence(value, force)

    def first_number(self, factory: Any) -> int:
        """Return what the objects of a factory are counted from."""
        first: int = factory._setup_next_sequence()
        return first

    # When factory_boy's builder makes objects of this factory, which stands below one that is not
    # ours. Declarations are not awaited there, so their results are.

    def prepare_arguments(
        self, attributes: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        attributes = {name: self.awaited(name, value) for name, value in attributes.items()}
        args, kwargs = super().prepare_arguments(attributes)
        return args, kwargs

    def instantiate(self, step: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.awaited("_create", super().instantiate(step, args, kwargs))

    def use_postgeneration_results(
        self, step: Any, instance: Any, results: Mapping[str, Any]
    ) -> None:
        results = {name: self.awaited(name, value) for name, value in results.items()}
        super().use_postgeneration_results(step=step, instance=instance, results=results)

    def awaited(self, name: str, value: Any) -> Any:
        """Return what a declaration or a hook has returned, or what that evaluates to."""
        return value
