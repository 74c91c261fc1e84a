"""What declarations become in a plan: functions that return a value for a step.

The declarations that factory_boy has are evaluated by rules of our own, if they are of exactly
these types. Any other is asked for its value, as factory_boy asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from factory import declarations
from factory.faker import Faker
from greenlet import getcurrent

from async_factory_boy.factory import upstream
from async_factory_boy.factory.faking import value_of
from async_factory_boy.factory.relations import without_overruled
from async_factory_boy.factory.ruled import Ruled
from async_factory_boy.factory.step import PLAIN, Scope, Step, check_factory, is_awaitable
from async_factory_boy.factory.upstream import ITSELF, BaseDeclaration, is_declared

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

Evaluate = Callable[[Step], Any]


class Given(NamedTuple):
    """Stands, in a plan, for a plain value that each call gives anew."""

    key: str


class Compiled(NamedTuple):
    """What a declaration has become."""

    evaluate: Evaluate
    reads: bool = False
    """Whether it may read other values, and so be part of a cycle."""
    begin: Callable[[Step], Any] | None = None
    """For a part: returns its `Step`, to be built with those of other objects; or a `Value`."""


class Value(NamedTuple):
    """What there is in place of a part that would have to be built."""

    value: Any


class Part:
    """Makes the steps of the parts that a declaration asks for.

    Args:
        name: The declaration's name.
        declared: What the declaration asks for.
        context: The keywords for the parts that do not come from the declaration itself; a `Given`
            stands for what the call gives.
    """

    def __init__(
        self, name: str, declared: upstream.PartDeclaration, context: Mapping[str, Any]
    ) -> None:
        self.name = name
        self._context = context
        self._get_factory, keywords, self._shares_sequence, self._refers_by = declared
        self._extras = {**keywords, **context}

    def scope(self, parent: Scope, extras: Mapping[str, Any]) -> Scope:
        """Return the scope of the parts of the objects of another."""
        keywords = self._closest(parent, resolved(extras, parent.given))
        return parent.plan.part_scope(parent, self._get_factory(), dict(keywords), self.name)

    def _closest(self, parent: Scope, extras: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the keywords without those that others overrule.

        What the call gives is closest, then what the class declares besides the declaration, then
        what the declaration has itself.
        """

        def place(key: str) -> int:
            if f"{self.name}__{key}" in parent.given:
                return 0
            return 1 if key in self._context else 2

        return without_overruled(self._get_factory(), extras, place, exempt=self._refers_by)

    def begin(self, step: Step) -> Step:
        """Return a new step, for the part of an object."""
        check_factory(self._get_factory(), step)
        scope = step.scope.child(self, self._extras)
        return scope.plan.begin(scope, step, step.sequence if self._shares_sequence else None)

    def evaluate(self, step: Step) -> Any:
        """Build the part where something reads it before its turn."""
        plan = step.scope.plan
        plan.take_turn(step.scope.child(self, self._extras))
        return plan.build_here(self.begin(step))


def compiled(
    name: str, declaration: Any, context: Mapping[str, Any], *, knows_types: bool = True
) -> Compiled:
    kind = type(declaration)
    compile_known = KNOWN.get(kind) if knows_types else None
    if compile_known is not None:
        known = compile_known(name, declaration, context)
        if known is not None:
            return known
    return unknown(name, declaration, context)


def unknown(name: str, declaration: Any, context: Mapping[str, Any]) -> Compiled:
    """Ask a declaration for its value, as factory_boy does."""
    asked = with_awaited_parts(name, declaration)
    is_factory = type(declaration) is declarations.SubFactory
    unrolls = upstream.unrolls_context(declaration)
    captures = upstream.captures_value(declaration)

    def evaluate(step: Step) -> Any:
        if step.postponed:
            plan = step.scope.plan
            plan.settle(step.scope.call)
        overrides = resolved(context, step.scope.given)
        if unrolls:
            for key, value in overrides.items():
                overrides[key] = step.awaited(name, value)
        elif captures and ITSELF in overrides:
            overrides[ITSELF] = _captured(name, step, overrides[ITSELF])
        value = asked.evaluate_pre(instance=step.stub, step=step, overrides=overrides)
        # What a factory makes is no awaitable, though some models do have an __await__().
        if type(value) in PLAIN or is_factory:
            return value
        return step.awaited(name, value, reads=True)

    return Compiled(evaluate, reads=True)


def _captured(name: str, step: Step, value: Any) -> Any:
    """Return what a declaration evaluates in its own place, such that the result is awaited."""
    if isinstance(value, declarations.Transformer.Force):
        return declarations.Transformer.Force(_captured(name, step, upstream.forced_value(value)))
    if isinstance(value, BaseDeclaration):
        return _Awaited(name, value)
    return step.awaited(name, value)


def resolved(context: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a context with the values that a call has given."""
    return {
        key: given[value.key] if type(value) is Given else value for key, value in context.items()
    }


def given_value(name: str, key: str) -> Evaluate:
    return lambda step: step.awaited(name, step.scope.given[key])


def _lazy_function(
    name: str, declaration: declarations.LazyFunction, context: Mapping[str, Any]
) -> Compiled | None:
    if context:
        return None
    function = upstream.function(declaration)

    def evaluate(step: Step) -> Any:
        value = function()
        return value if type(value) in PLAIN else step.awaited(name, value)

    return Compiled(evaluate)


def _sequence(
    name: str, declaration: declarations.Sequence, context: Mapping[str, Any]
) -> Compiled | None:
    if context:
        return None
    function = upstream.function(declaration)

    def evaluate(step: Step) -> Any:
        value = function(int(step.sequence))
        return value if type(value) in PLAIN else step.awaited(name, value)

    return Compiled(evaluate)


def _lazy_attribute(
    name: str, declaration: declarations.LazyAttribute, context: Mapping[str, Any]
) -> Compiled | None:
    if context:
        return None
    function = upstream.function(declaration)

    def evaluate(step: Step) -> Any:
        value = function(step.stub)
        return value if type(value) in PLAIN else step.awaited(name, value, reads=True)

    return Compiled(evaluate, reads=True)


def _lazy_attribute_sequence(
    name: str,
    declaration: declarations.LazyAttributeSequence,
    context: Mapping[str, Any],
) -> Compiled | None:
    if context:
        return None
    function = upstream.function(declaration)

    def evaluate(step: Step) -> Any:
        value = function(step.stub, int(step.sequence))
        return value if type(value) in PLAIN else step.awaited(name, value, reads=True)

    return Compiled(evaluate, reads=True)


def _container_attribute(
    name: str,
    declaration: declarations.ContainerAttribute,
    context: Mapping[str, Any],
) -> Compiled | None:
    if context:
        return None

    def evaluate(step: Step) -> Any:
        value = declaration.evaluate(step.stub, step, {})
        return value if type(value) in PLAIN else step.awaited(name, value, reads=True)

    return Compiled(evaluate, reads=True)


def _self_attribute(
    name: str, declaration: declarations.SelfAttribute, context: Mapping[str, Any]
) -> Compiled | None:
    if context:
        return None
    attribute = upstream.own_attribute(declaration)
    if attribute is None:

        def evaluate(step: Step) -> Any:
            value = declaration.evaluate(step.stub, step, {})
            return value if type(value) in PLAIN else step.awaited(name, value)

    else:

        def evaluate(step: Step) -> Any:
            value = getattr(step.stub, attribute)
            return value if type(value) in PLAIN else step.awaited(name, value)

    return Compiled(evaluate, reads=True)


def _iterator(
    name: str, declaration: declarations.Iterator, context: Mapping[str, Any]
) -> Compiled | None:
    if context:
        return None

    def evaluate(step: Step) -> Any:
        value = declaration.evaluate(None, None, {})
        return value if type(value) in PLAIN else step.awaited(name, value)

    return Compiled(evaluate)


def _faker(name: str, declaration: Faker, context: Mapping[str, Any]) -> Compiled | None:
    provider, keywords = upstream.faked(declaration)
    parameters = {**keywords, **context}
    if any(map(is_declared, parameters.values())) or any(
        type(value) is Given or is_awaitable(value) for value in parameters.values()
    ):
        return None
    locale = parameters.pop("locale")

    def evaluate(step: Step) -> Any:
        value = value_of(provider, locale, parameters)
        return value if type(value) in PLAIN else step.awaited(name, value)

    return Compiled(evaluate)


def _sub_factory(
    name: str, declaration: declarations.SubFactory, context: Mapping[str, Any]
) -> Compiled:
    part = Part(name, upstream.part(declaration), context)
    return Compiled(part.evaluate, reads=True, begin=part.begin)


def _maybe(name: str, declaration: declarations.Maybe, context: Mapping[str, Any]) -> Compiled:
    decider, if_so, if_not = upstream.decision(declaration)
    decide = compiled(name, decider, {}).evaluate
    yes, no = _branch(name, if_so, context), _branch(name, if_not, context)

    def evaluate(step: Step) -> Any:
        return (yes if decide(step) else no).evaluate(step)

    if yes.begin is None and no.begin is None:
        return Compiled(evaluate, reads=True)

    def begin(step: Step) -> Any:
        branch = yes if decide(step) else no
        if branch.begin is not None:
            return branch.begin(step)
        return Value(branch.evaluate(step))

    return Compiled(evaluate, reads=True, begin=begin)


def _branch(name: str, branch: Any, context: Mapping[str, Any]) -> Compiled:
    if isinstance(branch, BaseDeclaration):
        return compiled(name, branch, context)
    return Compiled(lambda step: step.awaited(name, branch))


def _transformer(
    name: str, declaration: declarations.Transformer, context: Mapping[str, Any]
) -> Compiled:
    context = dict(context)
    default, transform = upstream.transformation(declaration)
    value = context.pop(ITSELF, default)
    is_forced = isinstance(value, declarations.Transformer.Force)
    if is_forced:
        value = upstream.forced_value(value)
    if type(value) is Given:
        evaluate_value: Evaluate = given_value(name, value.key)
    else:
        evaluate_value = _branch(name, value, context).evaluate
    if is_forced:
        return Compiled(evaluate_value, reads=True)

    def evaluate(step: Step) -> Any:
        return step.awaited(name, transform(evaluate_value(step)))

    return Compiled(evaluate, reads=True)


def _ruled(name: str, declaration: Ruled, context: Mapping[str, Any]) -> Compiled:
    made = compiled(name, declaration.declaration, context)

    def evaluate(step: Step) -> Any:
        return declaration.looked_at(lambda: made.evaluate(step))

    return Compiled(evaluate, reads=made.reads, begin=made.begin)


KNOWN: dict[type, Callable[[str, Any, Mapping[str, Any]], Compiled | None]] = {
    declarations.ContainerAttribute: _container_attribute,
    declarations.Dict: _sub_factory,
    declarations.Iterator: _iterator,
    declarations.LazyAttribute: _lazy_attribute,
    declarations.LazyAttributeSequence: _lazy_attribute_sequence,
    declarations.LazyFunction: _lazy_function,
    declarations.List: _sub_factory,
    declarations.Maybe: _maybe,
    declarations.SelfAttribute: _self_attribute,
    declarations.Sequence: _sequence,
    declarations.SubFactory: _sub_factory,
    declarations.Transformer: _transformer,
    Faker: _faker,
    Ruled: _ruled,
}


class _Awaited(upstream.StandIn):
    """Evaluates a declaration that is part of another, and awaits the result."""

    def __init__(self, name: str, declaration: Any) -> None:
        super().__init__(declaration)
        self._name = name
        self._declaration = with_awaited_parts(name, declaration)

    def evaluate_pre(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        value = self._declaration.evaluate_pre(instance=instance, step=step, overrides=overrides)
        return step.awaited(self._name, value, reads=True) if isinstance(step, Step) else value

    def evaluate_post(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        value = self._declaration.evaluate_post(instance=instance, step=step, overrides=overrides)
        return step.awaited(self._name, value, reads=True) if isinstance(step, Step) else value

    def __repr__(self) -> str:
        return repr(self._declaration)


def with_awaited_parts(name: str, declaration: Any) -> upstream.Declaration:
    """Have a declaration that evaluates others, or calls for a size, see awaited values.

    Without this, a subclass of ``Maybe`` would take a coroutine, which is true, for the decision.
    The declaration is copied only if it has such parts: one that has none may keep state.
    """
    parts = upstream.nested(declaration, partial(_Awaited, name))
    if isinstance(declaration, declarations.RelatedFactoryList) and callable(declaration.size):
        parts["size"] = _awaited_size(name, declaration.size)
    asked: upstream.Declaration = upstream.replaced(declaration, parts) if parts else declaration
    return asked


def _awaited_size(name: str, size: Callable[[], Any]) -> Callable[[], Any]:
    def awaited() -> Any:
        place = getattr(getcurrent(), "place", None)
        return size() if place is None else place.awaited(name, size())

    return awaited
