"""The places where async-factory-boy hooks into the way factory_boy builds an object.

factory_boy's builder runs as it is. What is subclassed here is not part of its documented
interface, so it is all in this module, and `tests/test_seams.py` fails when it changes upstream:

- `AwaitingDeclarations` hands out declarations that await what they evaluate to;
- `AsyncStepBuilder` recognises call-time options at every level of a graph, and has factories
  that are not ours (`factory.DictFactory`, behind ``factory.Dict``) await as well.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from factory import base, builder, declarations, enums

from async_factory_boy import engine, observing, options, sequences
from async_factory_boy.exceptions import ConfigurationError, OptionError, SyncCallError
from async_factory_boy.factory import _storing

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


def awaited(value: Any, subject: str, instead: str) -> Any:
    """Return `value`, or what it evaluates to if it is awaitable.

    Args:
        value: What a declaration or hook returned.
        subject: Names that declaration or hook, for the error.
        instead: What to call in place of the synchronous method, for the error.

    Raises:
        SyncCallError: When `value` is a coroutine and nothing here can wait for it.
    """
    if not hasattr(type(value), "__await__"):
        return value
    if engine.in_build():
        return engine.wait(value)
    if not inspect.iscoroutine(value):
        return value  # a future, or a lazy queryset, that a synchronous build only passes on
    value.close()
    raise SyncCallError(f"{subject} is async, and cannot be awaited here; write {instead}.")


_OF_FACTORIES = (declarations.SubFactory, declarations.RelatedFactory)


class _Awaiting(declarations.BaseDeclaration):
    """Evaluates a declaration, and awaits the result."""

    def __init__(self, name: str, declaration: Any) -> None:
        # Not super().__init__(): it would count this as one more declaration of the class body.
        self._name = name
        self._declaration = _with_awaiting_parts(name, declaration)
        self.FACTORY_BUILDER_PHASE = declaration.FACTORY_BUILDER_PHASE
        self.CAPTURE_OVERRIDES = getattr(declaration, "CAPTURE_OVERRIDES", False)
        # What a factory makes is no awaitable, though some models do have an __await__().
        self._awaits_result = type(declaration) not in _OF_FACTORIES
        # The others pass their overrides on to a factory, which awaits them.
        self._uses_overrides = getattr(declaration, "UNROLL_CONTEXT_BEFORE_EVALUATION", False)

    def evaluate_pre(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        if engine.in_coroutine():
            # An async declaration reads this one: ``user.company``.
            return engine.synchronously(lambda: self.evaluate_pre(instance, step, overrides))
        if overrides:
            overrides = self._awaited_overrides(overrides, step)
        value = self._declaration.evaluate_pre(instance, step, overrides)
        return self._awaited(value, step) if self._awaits_result else value

    def evaluate_post(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        if overrides:
            overrides = self._awaited_overrides(overrides, step)
            if "" in overrides:
                overrides[""] = self._awaited(overrides[""], step)
        value = self._declaration.evaluate_post(instance, step, overrides)
        return self._awaited(value, step) if self._awaits_result else value

    def _awaited_overrides(self, overrides: dict[str, Any], step: Any) -> dict[str, Any]:
        if self.CAPTURE_OVERRIDES and "" in overrides:
            return {**overrides, "": _awaiting(self._name, overrides[""])}
        if self._uses_overrides:
            for key, value in overrides.items():
                # In place, since Maybe hands them to its decider first, and what is awaited once
                # cannot be awaited again.
                overrides[key] = self._awaited(value, step)
        return overrides

    def _awaited(self, value: Any, step: Any) -> Any:
        if not hasattr(type(value), "__await__"):
            return value
        factory = step.builder.factory_meta.factory.__name__
        if inspect.iscoroutine(value) and inspect.getcoroutinestate(value) != inspect.CORO_CREATED:
            raise ConfigurationError(
                self._name,
                "is a coroutine, which can be awaited only once, and has been for another object. "
                "Write factory.SubFactory(CompanyFactory) in place of CompanyFactory() or "
                "CompanyFactory.create_async(), and factory.LazyFunction(fetch_name) in place of "
                "fetch_name(); or await it before, for all objects to share what it returns.",
                owner=factory,
            )
        return awaited(value, f"{factory}.{self._name}", _async_call(step))

    def __repr__(self) -> str:
        return repr(self._declaration)


def _async_call(step: Any) -> str:
    """Return the call to write instead of the synchronous one that `step` is part of."""
    factory, strategy = step.builder.factory_meta.factory, step.builder.strategy
    while step.parent_step is not None:
        step = step.parent_step
        if hasattr(step.builder.factory_meta.factory, "build_async"):
            factory = step.builder.factory_meta.factory
    if strategy == enums.STUB_STRATEGY:
        return f"await {factory.__name__}.generate_async({strategy!r}, ...)"
    return f"await {factory.__name__}.{strategy}_async(...)"


class _AwaitingValue(declarations.BaseDeclaration):
    """An awaitable given in place of a value: ``create_async(company=fetch_company())``."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def evaluate_pre(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        return self._value


_PHASES = (enums.BuilderPhase.ATTRIBUTE_RESOLUTION, enums.BuilderPhase.POST_INSTANTIATION)


def _awaiting(name: str, value: Any) -> Any:
    """Return `value` such that what it evaluates to is awaited, or unchanged if it is plain."""
    if isinstance(value, _Awaiting):
        return value
    # By the phases that there are: a Mock has any attribute that it is asked for.
    if enums.get_builder_phase(value) in _PHASES:
        return _Awaiting(name, value)
    if isinstance(value, declarations.Transformer.Force):
        return declarations.Transformer.Force(_awaiting(name, value.forced_value))
    if hasattr(type(value), "__await__") and not isinstance(value, type):
        return _Awaiting(name, _AwaitingValue(value))
    return value


def _with_awaiting_parts(name: str, declaration: Any) -> Any:
    """Have a declaration that evaluates others (Maybe, Transformer) see awaited values.

    Without this, ``Maybe(LazyFunction(an_async_function), ...)`` would take the coroutine, which
    is true, for the decision. The declaration is copied only if it has such parts: one that has
    none may keep state (Iterator does).
    """
    parts: dict[str, Any] = {
        attribute: _awaiting(name, part)
        for attribute, part in vars(declaration).items()
        if isinstance(part, declarations.BaseDeclaration)
    }
    is_list = isinstance(declaration, declarations.RelatedFactoryList)
    if is_list and callable(declaration.size):
        size = declaration.size
        parts["size"] = lambda: awaited(size(), f"the size of {name}", "a plain function")
    if not parts and not is_list:
        return declaration
    declaration = copy.copy(declaration)
    vars(declaration).update(parts)
    if type(declaration) is declarations.RelatedFactoryList:
        declaration.__class__ = _ForkingRelatedFactoryList
    return declaration


class _ForkingRelatedFactoryList(declarations.RelatedFactoryList):
    """Creates the objects of the list in one wave."""

    def call(self, instance: Any, step: Any, context: Any) -> list[Any]:
        one = functools.partial(declarations.RelatedFactory.call, self, instance, step, context)
        size = self.size if isinstance(self.size, int) else self.size()
        if step.builder.strategy == enums.CREATE_STRATEGY and engine.in_build():
            # A factory that is not ours has no such option.
            page = getattr(self.get_factory()._meta, "batch_size", size)
            return _storing.fork(_storing.as_last(one), size, page)
        return [one() for _ in range(size)]


class AwaitingDeclarations(builder.DeclarationSet):
    """A `DeclarationSet` whose declarations await what they evaluate to.

    ``parse_declarations()`` copies the set of a factory and updates the copy with a call's
    overrides, so those are awaited too.
    """

    def __init__(self, initial: Mapping[str, Any] | None = None) -> None:
        self._awaiting: dict[str, Any] = {}
        self._sorted: list[str] | None = None
        self._is_copy = False
        super().__init__(initial)

    @classmethod
    def of(cls, declarations: Any) -> AwaitingDeclarations:
        """Return a set of the same declarations."""
        return cls(declarations.as_dict())

    def update(self, values: Mapping[str, Any]) -> None:
        if not values:
            return
        if self._is_copy:
            self._copy_contents()
        self._sorted = None
        super().update(values)
        for name in values:
            if name in self.declarations:
                self._awaiting[name] = _awaiting(name, self.declarations[name])

    def copy(self) -> AwaitingDeclarations:
        # Made for every object built, most of which override nothing: upstream's copy() would take
        # all names apart again, and wrap all declarations again.
        new = type(self).__new__(type(self))
        vars(new).update(vars(self))
        new._is_copy = True
        return new

    def _copy_contents(self) -> None:
        self.declarations = self.declarations.copy()
        self._awaiting = self._awaiting.copy()
        contexts = self.contexts
        self.contexts = defaultdict(dict)
        for name, context in contexts.items():
            if context:
                self.contexts[name] = context.copy()
        self._is_copy = False

    def sorted(self) -> list[str]:
        if self._sorted is None:
            self._sorted = super().sorted()
        return self._sorted

    def __getitem__(self, key: str) -> builder.DeclarationWithContext:
        # A context of its own, since what evaluates the declaration takes some parts out of it.
        context = self.contexts.get(key)
        return builder.DeclarationWithContext(
            name=key,
            declaration=self._awaiting[key],
            context=context.copy() if context else {},
        )


class Counter(base._Counter):
    """Counts the objects of a factory."""

    def next(self) -> int:
        return sequences.actual(super().next())


def exchange_counters(
    factory: type[base.BaseFactory[Any]], counters: Mapping[Any, Any]
) -> dict[Any, Any]:
    """Give a factory and all derived ones other counters, and have their iterators begin anew.

    Args:
        factory: The factory.
        counters: What an earlier call returned. A factory that is not in there begins anew.

    Returns:
        The counters they had.
    """
    before: dict[Any, Any] = {}

    def exchange(factory: type[base.BaseFactory[Any]]) -> None:
        meta = factory._meta
        if meta in before:
            return  # it has two bases
        before[meta] = meta._counter
        meta._counter = counters.get(meta)
        for iterator in _iterators_of(meta):
            iterator.reset()
        for derived in factory.__subclasses__():
            exchange(derived)

    exchange(factory)
    return before


# Kept, since they are asked for in each test, of all factories.
_iterators: WeakKeyDictionary[Any, list[declarations.Iterator]] = WeakKeyDictionary()


def _iterators_of(meta: Any) -> list[declarations.Iterator]:
    if meta not in _iterators:
        found = [value for value in declared(meta) if isinstance(value, declarations.Iterator)]
        _iterators[meta] = found
    return _iterators[meta]


class _AwaitingMeta:
    """The ``_meta`` of a factory that is not ours, with declarations that await."""

    def __init__(self, meta: Any) -> None:
        self._meta = meta
        self.pre_declarations = AwaitingDeclarations.of(meta.pre_declarations)
        self.post_declarations = AwaitingDeclarations.of(meta.post_declarations)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._meta, name)

    def __repr__(self) -> str:
        return repr(self._meta)


class AsyncStepBuilder(builder.StepBuilder):
    """Builds one object of a graph, with the call-time options that were given at its level."""

    def __init__(self, factory_meta: Any, extras: dict[str, Any], strategy: str) -> None:
        if not isinstance(factory_meta.pre_declarations, AwaitingDeclarations):
            factory_meta = _AwaitingMeta(factory_meta)
        super().__init__(factory_meta, extras, strategy)
        self.is_last = False
        """Whether a request for the object can stand for it; see `_storing.as_last`."""
        self._options: Mapping[str, Any] = {}
        takes_options = not issubclass(
            factory_meta.factory, base.BaseDictFactory | base.BaseListFactory
        )
        if extras and takes_options:
            # Taken from extras, which factory_boy would pass on to the model.
            self._options = options.take(extras)
            _refuse_wrong_options(factory_meta, extras)

    def build(self, parent_step: Any = None, force_sequence: int | None = None) -> Any:
        if engine.in_coroutine():
            # UserFactory.build() in an async hook, or step.recurse() in an async declaration.
            return engine.synchronously(lambda: self.build(parent_step, force_sequence))
        given = options.for_object(self._options)
        if not given:
            return self._build(parent_step, force_sequence)
        with options.scope(given):
            return self._build(parent_step, force_sequence)

    def _build(self, parent_step: Any, force_sequence: int | None) -> Any:
        is_last = _storing.is_last()
        if self.strategy == enums.CREATE_STRATEGY and not isinstance(
            self.factory_meta, _AwaitingMeta
        ):
            self.factory_meta.check_create(self.extras)
            self.is_last = (
                is_last
                and self.factory_meta.calls_nothing_after
                and enums.BuilderPhase.POST_INSTANTIATION
                not in map(enums.get_builder_phase, self.extras.values())
            )
        depth = _storing.depth.get()
        if depth:
            # So that siblings draw their sequence numbers in order: this one may be early, having
            # had nothing to store on the way. The objects of a batch itself start in order.
            engine.take_turn(self.factory_meta.counter_reference, depth + 0.5)
        _storing.depth.set(depth + 1)
        try:
            if observing.observer is None:
                return super().build(parent_step, force_sequence)
            with observing.observer.building(self.factory_meta.factory, self.strategy):
                return super().build(parent_step, force_sequence)
        finally:
            _storing.depth.set(depth)


def _refuse_wrong_options(meta: Any, extras: Mapping[str, Any]) -> None:
    for name, value in extras.items():
        root, inner = builder.DeclarationSet.split(name)
        if root in meta.pre_declarations or root in meta.post_declarations:
            # What is made by another declaration in its place, is checked when that is evaluated.
            if inner is not None and root not in extras:
                below = _factory_of(meta, root)
                if below is not None:
                    _refuse_wrong_options(below._meta, {inner: value})
            continue
        options.check_for_part(name, value)  # its own, an object has taken already
        suggestion = options.misspelt(name) or options.unprefixed(name, value)
        if suggestion and not _has_field(meta.model, name):
            raise OptionError(
                f"{meta.factory.__name__} was given {name!r}, which is neither a call-time option "
                f"nor a field of {getattr(meta.model, '__name__', meta.model)}.{suggestion}"
            )


def _factory_of(meta: Any, name: str) -> Any:
    """Return the factory that a declaration calls, if it is one that takes call-time options."""
    declared = {**meta.pre_declarations.declarations, **meta.post_declarations.declarations}
    declaration = declared[name]
    if not isinstance(declaration, declarations.SubFactory | declarations.RelatedFactory):
        return None
    factory = declaration.get_factory()
    takes_none = issubclass(factory, base.BaseDictFactory | base.BaseListFactory)
    return None if takes_none or factory._meta.model is None else factory


def _has_field(model: Any, name: str) -> bool:
    if hasattr(model, name) or name in getattr(model, "__annotations__", {}):
        return True
    try:
        return name in inspect.signature(model).parameters
    except (TypeError, ValueError):  # a builtin, such as dict, has no signature
        return False


def traits(meta: Any) -> list[str]:
    """Return the names of the traits of a factory, given its ``_meta``."""
    return [
        name
        for name, parameter in meta.parameters.items()
        if isinstance(parameter, declarations.Trait)
    ]


def reached(factory: Any) -> list[Any]:
    """Return `factory` and those that its declarations name, as far as this can be seen."""
    found: list[Any] = []

    def add(factory: Any) -> None:
        if factory not in found:
            found.append(factory)
            for value in declared(factory._meta):
                if isinstance(value, _OF_FACTORIES):
                    # One that cannot be imported is told by the call that would use it.
                    with contextlib.suppress(ImportError, AttributeError, ValueError):
                        add(value.get_factory())

    add(factory)
    return found


def declared(meta: Any) -> Iterator[Any]:
    """Yield the declarations of a factory, and what they are made of."""

    def parts(value: Any) -> Iterator[Any]:
        yield value
        if isinstance(value, declarations.BaseDeclaration | declarations.Trait):
            value = vars(value)
        if isinstance(value, dict):
            for part in value.values():
                yield from parts(part)

    yield from parts(meta.pre_declarations.as_dict())
    yield from parts(meta.post_declarations.as_dict())
    yield from parts(meta.parameters)
