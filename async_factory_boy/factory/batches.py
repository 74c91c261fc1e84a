"""From a call to its objects: one or many, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from factory.enums import CREATE_STRATEGY
from greenlet import getcurrent

from async_factory_boy import engine, observing, options
from async_factory_boy.engine.programs import Program
from async_factory_boy.factory import automatic, building, plan
from async_factory_boy.factory.calls import Call, current_place
from async_factory_boy.factory.requests import Settle, finish
from async_factory_boy.factory.step import Scope, Step

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


async def generate(factory: Any, strategy: str, size: int, keywords: dict[str, Any]) -> list[Any]:
    """Return objects of a factory, stored if the strategy says so.

    Args:
        factory: The factory.
        strategy: ``"build"``, ``"create"`` or ``"stub"``.
        size: How many.
        keywords: What the call was given.
    """
    place = current_place()
    above = None if place is None else place.step
    observer = observing.observer if place is None else None
    began = 0.0 if observer is None else perf_counter()
    with Call(None if place is None else place.call) as call:
        made = await engine.run(_generated(factory, strategy, size, keywords, call, above))
        await finish(call)
        if call.last is not None:
            stored = call.last.instances
            made[-len(stored) :] = stored
    if observer is not None:
        # Of the keywords, what is left is for the object: options were taken out of them.
        observer.called(factory, strategy, keywords, made, perf_counter() - began)
    return made


def generate_here(factory: Any, strategy: str, size: int, keywords: dict[str, Any]) -> list[Any]:
    """Do what `generate` does from within synchronous code."""
    before, place = options.in_force(), getattr(getcurrent(), "place", None)
    call, above = _here()
    try:
        made = engine.run_here(_generated(factory, strategy, size, keywords, call, above))
        building.settle_here(call)
        return made
    finally:
        options.put_in_force(before)
        fiber = getcurrent()  # not kept above: a fiber that its frames refer to is never collected
        if isinstance(fiber, engine.Fiber):
            fiber.place = place


def one_here(factory: Any, strategy: str, keywords: dict[str, Any]) -> Any:
    """Return one object, whatever methods of the factory are overridden."""
    before, place = options.in_force(), getattr(getcurrent(), "place", None)
    call, above = _here()
    try:
        scope = plan.root_scope(factory, strategy, keywords, call, above=above)
        building.take_turn(scope)
        instance = building.build_here(scope.plan.begin(scope, None))
        scope.forget_children()
        return instance
    finally:
        options.put_in_force(before)
        fiber = getcurrent()  # not kept above: a fiber that its frames refer to is never collected
        if isinstance(fiber, engine.Fiber):
            fiber.place = place


def _here() -> tuple[Call, Step | None]:
    """Return the call that synchronous code is part of, and the object that it is for."""
    place = current_place() if engine.in_fiber() or engine.in_coroutine() else None
    if place is None:
        return Call(), None
    return place.call, place.step


def _generated(
    factory: Any,
    strategy: str,
    size: int,
    keywords: dict[str, Any],
    call: Call,
    above: Step | None = None,
) -> Program[list[Any]]:
    progress = _progress(call)
    call.progress = progress
    page = factory._meta.batch_size if strategy == CREATE_STRATEGY else max(size, 1)
    if not size:
        options.take(dict(keywords))  # what is wrong with them is told all the same
        return []
    scope: Scope | None = None
    if plan.generates_plainly(factory, strategy):
        scope = plan.root_scope(factory, strategy, keywords, call, size=size, above=above)
        if above is not None or call.within is not None:
            building.take_turn(scope)
    made: list[Any] = []
    stores = strategy == CREATE_STRATEGY
    is_outermost = stores and above is None and call.within is None
    if is_outermost:
        automatic.refuse_too_many(factory._meta, size, keywords)
    if size == 1 and scope is not None and progress is None:  # as nearly always
        made = yield from building.build([_begun(scope, 0)], ends_call=is_outermost)
        scope.forget_children()
        return made
    while len(made) < size:
        indices = range(len(made), min(size, len(made) + page))
        ends_call = is_outermost and indices.stop == size
        if scope is None and stores:
            made += engine.each(partial(_by_method, factory, strategy, keywords), indices)
        elif scope is None:
            # What the method does is not known, so one by one, as below.
            for index in indices:
                made.append(_by_method(factory, strategy, keywords, index))
        elif size == 1 or (scope.plan.may_share_counters and not stores):
            # One by one, so that each object has the sequence numbers that it has in a loop.
            for index in indices:
                made += yield from building.build([_begun(scope, index)], ends_call=ends_call)
        else:
            steps = engine.each(partial(_begun, scope), indices)
            made += yield from building.build(steps, ends_call=ends_call)
        if call.postponed and (progress is not None or len(made) < size):
            yield Settle(call)
        if progress is not None:
            progress(len(made), size)
    if scope is not None:
        scope.forget_children()
    return made


def _by_method(factory: Any, strategy: str, keywords: Mapping[str, Any], _: int) -> Any:
    return getattr(factory, strategy)(**keywords)


def _begun(scope: Scope, index: int) -> Step:
    return scope.plan.begin(scope, None, None, index)


def _progress(call: Call) -> Any:
    """Return what is told how far a batch is, unless one that is under way tells it."""
    progress, above = options.batching.progress, call.within
    while above is not None:
        if above.progress is progress:
            return None
        above = above.within
    return progress


# What `_create()` calls.


async def stored(factory: Any, model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return an object that is constructed and stored now, for an async ``_create()``."""
    (instance,) = await engine.run(_stored(factory, model, args, kwargs))
    return instance


def stored_here(factory: Any, model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return an object that is constructed and stored now, for a synchronous ``_create()``."""
    (instance,) = engine.run_here(_stored(factory, model, args, kwargs))
    return instance


def _stored(
    factory: Any, model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Program[Sequence[Any]]:
    place = current_place()
    step: Step | None = None if place is None else place.step
    if step is None or step.scope.plan.factory is not factory:
        # Reached through a factory that is not ours.
        call = Call() if place is None else place.call
        scope = plan.root_scope(factory, CREATE_STRATEGY, {}, call)
        step = Step(scope, None, 0, {})
    scope = step.scope.for_model(model)
    if scope is not step.scope:
        step = Step(scope, step.parent, step.sequence, step.values)
    instances: Sequence[Any] = yield building.stored_with(
        scope, [step], [(tuple(args), dict(kwargs))]
    )
    return instances
