"""Builds objects by their plan, side by side, and stores them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from factory.enums import CREATE_STRATEGY, STUB_STRATEGY
from greenlet import getcurrent

from async_factory_boy import engine, observing, options
from async_factory_boy.engine.programs import Program
from async_factory_boy.factory.calls import Call, current_place
from async_factory_boy.factory.evaluators import Compiled, Evaluate, Value
from async_factory_boy.factory.meta import original_hook
from async_factory_boy.factory.notes import noted
from async_factory_boy.factory.related import Hook, Related
from async_factory_boy.factory.requests import FindOrSave, Save, Settle, TakeTurn, Target, settle
from async_factory_boy.factory.step import PLAIN, Scope, Step, is_awaitable
from async_factory_boy.factory.upstream import StubObject

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# So many levels of a graph are built within each other.
_FRAMES = 50

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Values:
    """Declarations, up to the next part, that are evaluated one object after the other."""

    def __init__(self) -> None:
        self._evaluators: list[tuple[str, Evaluate, bool]] = []

    def add(self, name: str, compiled: Compiled) -> None:
        """Note a declaration."""
        self._evaluators.append((name, compiled.evaluate, compiled.reads))

    def evaluate(self, step: Step) -> None:
        """Evaluate what is not there yet."""
        enter(step)
        values = step.values
        try:
            for name, evaluate, reads in self._evaluators:
                if name in values or (step.postponed is not None and name in step.postponed):
                    continue
                if reads:
                    step.evaluate(name)
                else:
                    values[name] = evaluate(step)
        except Exception as error:
            noted(error, "building", [step])
            raise


class Parts(NamedTuple):
    """A declaration that makes a part of each object."""

    name: str
    begin: Callable[[Step], Any]
    """Returns the `Step` of the part; or a `Value`."""


def take_turn(scope: Scope) -> None:
    """Wait, so that siblings draw their sequence numbers in order.

    One may come early to a factory, having had nothing to store on the way. Those that are built
    side by side begin in order.
    """
    counter = scope.plan.counter
    if engine.path():
        engine.take_turn(counter, scope.depth - 0.5)
    else:
        place = current_place()
        if place is not None:
            engine.pass_by(place.path, counter)  # an async hook runs alone, and waits for nobody


def build_here(step: Step) -> Any:
    """Build one object within the calling code, which looks at it."""
    (instance,) = engine.run_here(build([step]))
    if step.scope.call.postponed:
        settle_here(step.scope.call)
    return instance


def build(steps: Sequence[Step], *, ends_call: bool = False) -> Program[list[Any]]:
    """Build objects of one scope side by side, and store them if the strategy says so.

    Args:
        steps: What they are built by.
        ends_call: Whether nothing of the call comes after, but that it stores what is postponed.

    Returns:
        The objects, in order.
    """
    scope = steps[0].scope
    plan, call = scope.plan, scope.call
    if observing.recorder is not None and scope.recorded is None and plan.has_options:
        observing.recorder.begin(scope, steps)
    instances: Sequence[Any]
    for column in plan.columns:
        if isinstance(column, Values):
            _each(scope, column.evaluate, steps)
        else:
            yield from _built_parts(column, steps)
    if scope.strategy == CREATE_STRATEGY and plan.is_ours:
        if plan.creates_itself:
            if call.postponed:
                yield Settle(call)
            instances = _each(scope, _created, steps)
        else:
            is_last = ends_call and not (plan.posts or plan.has_after)
            instances = yield from _stored(scope, steps, is_last=is_last)
    else:
        instances = _each(scope, _instantiated, steps)
    if scope.recorded is not None:
        scope.recorded.made(steps, instances)  # before their hooks, which may fail
    if plan.posts or plan.has_after:
        yield from _finished(scope, steps, instances)
    if observing.observer is not None and plan.has_options:
        observing.observer.built(plan.factory, scope.strategy, len(steps), scope.depth)
    for step in steps:
        step._stub = step._builder = None  # each refers to the step
    return list(instances)


def _each(scope: Scope, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    observer = observing.observer
    if observer is None or not scope.plan.has_options:
        return [function(items[0])] if len(items) == 1 else engine.each(function, items)
    watch, factory = observer.building, scope.plan.factory

    def watched(item: Any) -> Any:
        with watch(factory):
            return function(item)

    return engine.each(watched, items)


def settle_here(call: Call) -> None:
    """Store what a call has postponed: somebody is about to look at it."""
    if call.postponed:
        engine.submit(Settle(call))


def settle_now(call: Call) -> None:
    """Store what a call has postponed, while nothing else of it goes on.

    What was made side by side was postponed together: the next object to look at a part finds it
    stored, and need not wait.
    """
    if call.postponed:
        engine.wait(settle(call))


def enter(step: Step) -> None:
    """Have the code that follows be part of a step."""
    fiber = getcurrent()
    if type(fiber) is engine.Fiber:
        fiber.place = step
    if options.in_force() is not step.scope.in_force:
        options.put_in_force(step.scope.in_force)


def _arguments(step: Step) -> Arguments:
    try:
        return step.scope.plan.arguments(step)
    except Exception as error:
        noted(error, "building", [step])
        raise


def _constructed(one: tuple[Step, tuple[Any, ...], dict[str, Any]]) -> Any:
    step, args, kwargs = one
    enter(step)
    try:
        return step.scope.construct(args, kwargs)
    except Exception as error:
        noted(error, "building", [step])
        raise


def _stored(
    scope: Scope, steps: Sequence[Step], *, is_last: bool = False
) -> Program[Sequence[Any]]:
    """Construct and store objects by the adapter."""
    plan = scope.plan
    if not plan.is_simple or scope.adapter.get_or_create:
        if scope.call.postponed and plan.adjusts:
            yield Settle(scope.call)
        enter(steps[0])
        arguments = _each(scope, _arguments, steps)
        return (yield from stored_with(scope, steps, arguments))
    postpones = plan.postpones(scope)
    return (yield from _saved(scope, steps, _made, steps, postpones=postpones, is_last=is_last))


def stored_with(
    scope: Scope, steps: Sequence[Step], arguments: Sequence[Arguments]
) -> Program[Sequence[Any]]:
    """Construct and store objects, or find them.

    Args:
        scope: What they have in common.
        steps: What they are built by.
        arguments: What the model is called with, for each.
    """
    each_with_arguments = [
        (step, args, kwargs) for step, (args, kwargs) in zip(steps, arguments, strict=True)
    ]
    if not scope.adapter.get_or_create:
        return (yield from _saved(scope, steps, _constructed, each_with_arguments))
    if scope.call.postponed:
        yield Settle(scope.call)
        enter(steps[0])
    lookups = [scope.plan.meta.lookup(args, kwargs) for args, kwargs in arguments]
    constructs = [partial(_constructed, one) for one in each_with_arguments]
    found: Sequence[Any] = yield FindOrSave(Target.now(scope), steps, lookups, constructs)
    return found


def _saved(
    scope: Scope,
    steps: Sequence[Step],
    construct: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    postpones: bool = False,
    is_last: bool = False,
) -> Program[Sequence[Any]]:
    """Construct objects of some items in the turn of the call, and save them, now or later.

    Args:
        scope: What they have in common.
        steps: What they are built by.
        construct: Makes an object of an item.
        items: The items.
        postpones: Whether the adapter can store them later.
        is_last: Whether nobody looks at them before the call ends, which then stores them.
    """
    call = scope.call
    if call.postponed and not postpones:
        yield Settle(call)
    enter(steps[0])
    target = Target.now(scope)
    while not target.is_free:
        yield TakeTurn(target, steps)
        enter(steps[0])
    instances = _each(scope, construct, items)
    save: Save[Any] = Save(target, steps, instances)
    # What is stored alone, save() adds: of several, all are to be there when the first is flushed.
    if postpones and (call.postponed or not is_last):
        enter(steps[0])
        scope.adapter.add(instances)
    if is_last:
        call.last = save
    if postpones or is_last:
        call.postponed.append(save)
        return instances
    saved: Sequence[Any] = yield save
    return saved


def _made(step: Step) -> Any:
    enter(step)
    try:
        return step.scope.construct(*step.scope.plan.arguments(step))
    except Exception as error:
        noted(error, "building", [step])
        raise


def _created(step: Step) -> Any:
    """Have an overridden ``_create()`` make the object."""
    enter(step)
    scope = step.scope
    try:
        args, kwargs = scope.plan.arguments(step)
        return call_hook(step, "_create", scope.model, *args, **kwargs)
    except Exception as error:
        noted(error, "building", [step])
        raise


def _instantiated(step: Step) -> Any:
    enter(step)
    scope = step.scope
    plan = scope.plan
    try:
        args, kwargs = plan.arguments(step)
        if not plan.is_ours:
            return plan.instantiate(step, args, kwargs)
        if scope.strategy == STUB_STRATEGY:
            return StubObject(**kwargs)
        if plan.builds_itself:
            return call_hook(step, "_build", scope.model, *args, **kwargs)
        return scope.construct(args, kwargs)
    except Exception as error:
        noted(error, "building", [step])
        raise


def call_hook(step: Step, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Call a hook of the factory, and return its result, awaited if it is async."""
    factory = step.scope.plan.factory
    result = original_hook(factory, name)(*args, **kwargs)
    if type(result) in PLAIN or not is_awaitable(result):
        return result
    owner = next(one for one in factory.__mro__ if name in vars(one)).__name__
    instead = f"await {factory.__name__}.create_async(...) or build_async(...)"
    value = step.waited_for(result, f"{owner}.{name}", lambda: instead)
    if inspect.iscoroutine(value):  # return super()._create(...) in an async _create
        value = step.waited_for(value, f"{owner}.{name}", lambda: instead)
    return value


def _finished(scope: Scope, steps: Sequence[Step], instances: Sequence[Any]) -> Program[None]:
    """Run what comes when the objects exist."""
    plan, call = scope.plan, scope.call
    results: list[dict[str, Any]] = [{} for _ in steps]
    for post in plan.posts:
        if isinstance(post, Related):
            found = yield from _built_related(post, scope, steps, instances)
        else:
            if call.postponed:
                yield Settle(call)
            hook = partial(_hooked, post)
            found = _each(scope, hook, list(zip(steps, instances, strict=True)))
        for result, value in zip(results, found, strict=True):
            result[post.name] = value
    if plan.has_after:
        if call.postponed:
            yield Settle(call)
        _each(scope, _after, list(zip(steps, instances, results, strict=True)))


def _hooked(hook: Hook, one: tuple[Step, Any]) -> Any:
    step, instance = one
    enter(step)
    try:
        return hook.evaluate(step, instance)
    except Exception as error:
        noted(error, "building", [step])
        raise


def _after(one: tuple[Step, Any, dict[str, Any]]) -> None:
    step, instance, results = one
    enter(step)
    creates = step.scope.strategy == CREATE_STRATEGY
    try:
        call_hook(step, "_after_postgeneration", instance, create=creates, results=results)
    except Exception as error:
        noted(error, "building", [step])
        raise


def _built_parts(column: Parts, steps: Sequence[Step]) -> Program[None]:
    """Build the part that a declaration asks for, for each of some objects."""
    name = column.name
    waiting = [step for step in steps if not step.has(name)]
    if not waiting:
        return
    begun = _each(waiting[0].scope, partial(_begun_part, column), waiting)
    parts = yield from _built_each(begun)
    for step, part in zip(waiting, parts, strict=True):
        step.pending.remove(name)
        step.receive(name, part)


def _begun_part(column: Parts, step: Step) -> Any:
    step.pending.append(column.name)
    enter(step)
    try:
        return column.begin(step)
    except Exception as error:
        noted(error, "building", [step])
        raise


def _built_each(begun: Sequence[Any]) -> Program[Sequence[Any]]:
    """Build what was begun, those of one scope together; return them in order."""
    groups: dict[int, list[int]] = {}
    for index, one in enumerate(begun):
        if type(one) is Step:
            groups.setdefault(id(one.scope), []).append(index)
    if len(groups) == 1 and len(begun) == len(next(iter(groups.values()))):
        # Each `yield from` takes a frame of Python's stack; a program that is yielded begins anew.
        if begun[0].scope.depth % _FRAMES:
            return (yield from build(begun))
        built: Sequence[Any] = yield build(begun)
        return built
    results = [one.value if type(one) is Value else None for one in begun]
    programs = [build([begun[index] for index in indices]) for indices in groups.values()]
    of_groups = yield programs
    for indices, some in zip(groups.values(), of_groups, strict=True):
        for index, instance in zip(indices, some, strict=True):
            results[index] = instance
    return results


def _built_related(
    related: Related, scope: Scope, steps: Sequence[Step], instances: Sequence[Any]
) -> Program[list[Any]]:
    """Build what is related to each of some objects, page by page."""
    begin = partial(_begun_related, related)
    begun = _each(scope, begin, list(zip(steps, instances, strict=True)))
    results: list[Any] = [one.value if type(one) is Value else [] for one in begun]
    unfinished = [(index, one) for index, one in enumerate(begun) if type(one) is not Value]
    while unfinished:
        taken = [(index, _each(scope, one.begin, one.page())) for index, one in unfinished]
        built = yield from _built_each([step for _, some in taken for step in some])
        made = iter(built)
        for index, some in taken:
            results[index] += [next(made) for _ in some]
        for index, one in unfinished:
            if one.is_single:
                (results[index],) = results[index]
        unfinished = [(index, one) for index, one in unfinished if one.rest]
        if unfinished and scope.call.postponed:
            yield Settle(scope.call)
    return results


def _begun_related(related: Related, one: tuple[Step, Any]) -> Any:
    step, instance = one
    enter(step)
    try:
        return related.begin(step, instance)
    except Exception as error:
        noted(error, "building", [step])
        raise
