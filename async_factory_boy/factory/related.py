"""What declarations become that run when the object exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from factory import declarations
from factory.faker import Faker

from async_factory_boy.factory import upstream
from async_factory_boy.factory.evaluators import (
    KNOWN,
    Given,
    Part,
    Value,
    compiled,
    resolved,
    with_awaited_parts,
)
from async_factory_boy.factory.step import RelatedInstance, Step, check_factory
from async_factory_boy.factory.upstream import ITSELF, is_declared

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


# Declarations of factory_boy's own, of which it is known what they do.
KNOWN_POST = frozenset(
    {
        declarations.PostGeneration,
        declarations.PostGenerationMethodCall,
        declarations.RelatedFactory,
        declarations.RelatedFactoryList,
    }
)


class Hook(NamedTuple):
    """A declaration that is called with an object."""

    name: str
    evaluate: Callable[[Step, Any], Any]


class Related(NamedTuple):
    """A ``RelatedFactory`` or ``RelatedFactoryList``, or a ``Maybe`` of these."""

    name: str
    begin: Callable[[Step, Any], Any]
    """Returns `RelatedSteps`; or a `Value`."""


class RelatedSteps:
    """The objects that are related to one object, begun page by page."""

    def __init__(
        self, part: _RelatedPart, step: Step, instance: Any, size: int, *, is_single: bool
    ) -> None:
        self._part = part
        self._step = step
        self._instance = instance
        self.rest = size
        self.is_single = is_single

    def page(self) -> range:
        # A factory that is not ours has no such option; what is no factory, begin() refuses.
        meta = getattr(self._part.factory, "_meta", None)
        size = min(self.rest, getattr(meta, "batch_size", self.rest))
        self.rest -= size
        return range(size)

    def begin(self, _: int) -> Step:
        return self._part.begin_for(self._step, self._instance)


class _RelatedPart(Part):
    """Makes the steps of objects that refer to another by ``factory_related_name``."""

    @property
    def factory(self) -> Any:
        return self._get_factory()

    def begin_for(self, step: Step, instance: Any) -> Step:
        name = self._refers_by
        if not name:
            return self.begin(step)
        check_factory(self._get_factory(), step)
        extras = {**self._extras, name: RelatedInstance}
        scope = step.scope.child(self, extras)
        if any(own == name == key for own, key in scope.plan.given):
            new = scope.plan.begin(scope, step)
            new.receive(name, instance)
            return new
        # It is not just a value, but for a declaration to make something of.
        scope = self.scope(step.scope, {**self._extras, name: instance})
        return scope.plan.begin(scope, step)


def compiled_post(
    name: str, declaration: Any, context: Mapping[str, Any], *, knows_types: bool = True
) -> Hook | Related:
    """Return what a declaration becomes that runs when the object exists."""
    if knows_types:
        begin = _compiled_related(name, declaration, context)
        if begin is not None:
            return Related(name, begin)
    asked = with_awaited_parts(name, declaration)
    unrolls = upstream.unrolls_context(declaration)
    # What a factory makes is no awaitable, though some models do have an __await__().
    is_factory = type(declaration) is declarations.RelatedFactory
    # A declaration of another kind is given the step, and may read from it.
    reads = not isinstance(
        declaration, declarations.PostGeneration | declarations.PostGenerationMethodCall
    )

    def evaluate(step: Step, instance: Any) -> Any:
        overrides = resolved(context, step.scope.given)
        for key, value in overrides.items():
            if unrolls or key == ITSELF:
                overrides[key] = step.awaited(name, value)
        result = asked.evaluate_post(instance=instance, step=step, overrides=overrides)
        return result if is_factory else step.awaited(name, result, reads=reads)

    return Hook(name, evaluate)


def _compiled_related(
    name: str, declaration: Any, context: Mapping[str, Any]
) -> Callable[[Step, Any], Any] | None:
    """Return what begins related objects, or ``None`` if the declaration is of another kind."""
    kind = type(declaration)
    if kind is declarations.Maybe:
        return _maybe_related(name, declaration, context)
    if kind is not declarations.RelatedFactory and kind is not declarations.RelatedFactoryList:
        return None
    if kind is declarations.RelatedFactory and ITSELF in context:
        provided = context[ITSELF]

        def instead(step: Step, instance: Any) -> Any:
            value = step.scope.given[provided.key] if type(provided) is Given else provided
            return Value(step.awaited(name, value))

        return instead
    if ITSELF in context:
        return None  # the value that is provided, so many times
    related: declarations.RelatedFactory = declaration
    part = _RelatedPart(name, upstream.part(related), context)
    size = getattr(declaration, "size", 1)
    is_single = kind is declarations.RelatedFactory

    def begin(step: Step, instance: Any) -> Any:
        number = size if isinstance(size, int) else step.awaited(name, size())
        return RelatedSteps(part, step, instance, len(range(number)), is_single=is_single)

    return begin


def _maybe_related(
    name: str, declaration: declarations.Maybe, context: Mapping[str, Any]
) -> Callable[[Step, Any], Any] | None:
    decider, *cases = upstream.decision(declaration)
    if not upstream.comes_before(decider):
        return None
    branches = []
    for branch in cases:
        if upstream.runs_after(branch):
            begin = _compiled_related(name, branch, context)
            if begin is None:
                return None
            branches.append(begin)
        else:
            branches.append(partial(_plain_branch, name, branch))
    yes, no = branches
    # factory_boy hands the context to the decider too. Most evaluate what is declared in it, and
    # have no use for the rest.
    if type(decider) in KNOWN and type(decider) is not Faker:
        context = {key: value for key, value in context.items() if is_declared(value)}
    decide = compiled(name, decider, context).evaluate
    return lambda step, instance: (yes if decide(step) else no)(step, instance)


def _plain_branch(name: str, value: Any, step: Step, instance: Any) -> Value:
    return Value(step.awaited(name, value))
