"""A plan: a factory, compiled.

factory_boy takes a factory's declarations apart for each object. A plan does so once: which names
are plain values, which are evaluated, by what and in which order, and which declarations run when
the object exists. All objects of a batch share it, and are evaluated side by side: the values of
each, in the order of the declarations, up to the first part; then that part of all of them, as
objects of its own plan; and so on. So parts are stored together, and no greenlet waits for them.

The declarations that factory_boy has are evaluated here by rules of our own, if they are of
exactly these types. Any other is asked for its value, as factory_boy asks, with a `Step` in place
of a ``BuildStep``.

What this library knows of factory_boy's internals stands here, in `step` and in `meta`.
`tests/test_seams.py` fails when it changes upstream.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import factory as factory_boy
from factory import base, builder, declarations, enums, errors
from greenlet import getcurrent

from async_factory_boy import engine, observing, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.exceptions import AbstractFactoryError, ConfigurationError
from async_factory_boy.factory.calls import Call, current_place
from async_factory_boy.factory.checks import refuse_wrong_keywords
from async_factory_boy.factory.faking import value_of
from async_factory_boy.factory.meta import AsyncFactoryOptions, is_overridden, original_hook
from async_factory_boy.factory.notes import noted
from async_factory_boy.factory.requests import FindOrSave, Save, Settle, TakeTurn, Target
from async_factory_boy.factory.step import Scope, Step, check_factory

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

Evaluate = Callable[[Step], Any]

_log = logging.getLogger("factory.generate")

# Values of these types are not awaitable. It takes less time to look a type up here than to ask.
_PLAIN = frozenset({str, int, float, bool, bytes, type(None), list, dict, tuple, set})

# More plans than these are not kept for one factory: each call may bring new declarations.
_KEPT = 64

# A factory that is deeper than this in a graph is taken to call itself for ever.
_DEEPEST = 1000


class Given(NamedTuple):
    """Stands, in a plan, for a plain value that each call gives anew."""

    key: str


class _RelatedInstance:
    """Stands, in the keywords of a related factory, for the object that it is related to."""


class Plan:
    """A factory, compiled for calls with certain keywords. Made by `plan_for`."""

    def __init__(self, meta: Any, extras: Mapping[str, Any], *, knows_types: bool) -> None:
        self.meta = meta
        self.factory = meta.factory
        self._knows_types = knows_types
        self.forced_sequence: Any = None
        self.pre, self.post = _parsed(meta, extras)
        self.names = tuple(self.pre)
        self.constants: dict[str, Any] = {}
        self.given: list[tuple[str, str]] = []
        """Names with plain values that the call gives, each with its keyword."""
        self.evaluators: dict[str, Evaluate] = {}
        self.columns: list[_Values | _PartColumn] = []
        for name in self.names:
            self._add(name, self.pre.declarations[name], self.pre.contexts.get(name) or {})
        self.posts = [
            _compiled_post(self, name, self.post.declarations[name], self.post.contexts.get(name))
            for name in self.post.sorted()
        ]
        self._compile_arguments()
        self.is_ours = isinstance(meta, AsyncFactoryOptions)
        # See AsyncFactoryMetaclass.__setattr__(), which has plans made anew.
        self.creates_itself = is_overridden(self.factory, "_create")
        self.builds_itself = is_overridden(self.factory, "_build")
        self.has_after = is_overridden(self.factory, "_after_postgeneration")
        self._prepared: dict[bool, tuple[Any, Any]] = {}
        self.has_options = not issubclass(
            self.factory, base.BaseDictFactory | base.BaseListFactory
        )

    def _add(self, name: str, declaration: Any, context: Mapping[str, Any]) -> None:
        if type(declaration) is Given:
            self.given.append((name, declaration.key))
            compiled = _Compiled(_given(name, declaration.key))
        elif enums.get_builder_phase(declaration) != enums.BuilderPhase.ATTRIBUTE_RESOLUTION:
            if not _is_awaitable(declaration):
                self.constants[name] = declaration
                self.evaluators[name] = lambda step: declaration
                return
            compiled = _Compiled(lambda step: step.awaited(name, declaration))
        else:
            compiled = _compiled(self, name, declaration, context)
        self.evaluators[name] = compiled.evaluate
        if compiled.begin is not None:
            self.columns.append(_PartColumn(name, compiled.begin))
            return
        if not self.columns or not isinstance(self.columns[-1], _Values):
            self.columns.append(_Values())
        self.columns[-1].add(name, compiled)

    def _compile_arguments(self) -> None:
        meta, factory = self.meta, self.factory
        self.adjusts = is_overridden(factory, "_adjust_kwargs")
        self._prepares = type(meta).prepare_arguments not in (
            base.FactoryOptions.prepare_arguments,
            AsyncFactoryOptions.prepare_arguments,
        )
        hidden = {*meta.exclude, *meta.parameters}
        self._is_simple = not (self.adjusts or self._prepares or meta.rename or meta.inline_args)
        self.keywords = tuple(name for name in self.names if name not in hidden)

    def arguments(self, step: Step) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what the model is called with."""
        values = step.values
        if step.postponed:
            values = {**values, **step.postponed}
        if self._is_simple:
            skip = declarations.SKIP
            return (), {
                name: value for name in self.keywords if (value := values[name]) is not skip
            }
        attributes = {name: values[name] for name in self.names}
        if self._prepares:
            arguments: tuple[tuple[Any, ...], dict[str, Any]]
            arguments = self.meta.prepare_arguments(attributes)
            return arguments
        if self.adjusts:
            attributes = call_hook(step, "_adjust_kwargs", **attributes)
        return self._arranged(attributes)

    def _arranged(
        self, attributes: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        meta = self.meta
        keywords = {
            name: value
            for name, value in attributes.items()
            if name not in meta.exclude
            and name not in meta.parameters
            and value is not declarations.SKIP
        }
        for name, renamed in meta.rename.items():
            if name in keywords:
                keywords[renamed] = keywords.pop(name)
        return tuple(keywords.pop(name) for name in meta.inline_args), keywords

    def postpones(
        self, scope: Scope, arguments: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]
    ) -> bool:
        """Return whether objects may be constructed now, and stored later."""
        adapter = scope.adapter
        if type(adapter).postpones is PersistenceAdapter.postpones:
            return False
        # Nearly all objects of a scope have the same keywords.
        names = [kwargs.keys() for args, kwargs in arguments if not args]
        distinct = [names[0]] if names else []
        distinct += [one for one in names if one != names[0]]
        return len(names) == len(arguments) and all(
            adapter.postpones(scope.model, one) for one in distinct
        )

    def constants_with(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that objects have from the beginning."""
        if not self.given:
            return self.constants
        values = self.constants.copy()
        for name, key in self.given:
            value = given[key]
            if not _is_awaitable(value) and value is not _RelatedInstance:
                values[name] = value
        return values

    def prepare(self, scope: Scope) -> None:
        """Work out what objects of a scope are constructed and stored by.

        Raises:
            AsyncFactoryError: When they cannot be, before anything is evaluated.
        """
        if scope.depth > _DEEPEST:
            raise _endless(scope)
        meta = self.meta
        if not self.is_ours:
            scope.model = meta.get_model_class()
            return
        stores = scope.strategy == enums.CREATE_STRATEGY
        if stores:
            scope.adapter = adapter = meta.adapter_for_storing()
            with options.restored(scope.in_force):
                meta.check_create(scope.call, adapter, scope.extras)
        scope.model = model = meta.model_to_construct()
        if scope.strategy == enums.STUB_STRATEGY:
            return
        known, construct = self._prepared.get(stores, (None, None))
        if known is not model or construct is None:
            construct = meta.constructor(model, stores=stores)
            self._prepared[stores] = model, construct
        scope.construct = construct

    def begin(
        self, scope: Scope, parent: Step | None, sequence: Any = None, index: int = 0
    ) -> Step:
        """Return a new step. Objects draw their sequence numbers in the order they begin."""
        if sequence is None:
            sequence = scope.sequence
            if sequence is None:
                sequence = self.meta.next_sequence()
        return Step(scope, parent, sequence, scope.constants.copy(), index)

    def recurse(
        self, step: Step, meta: Any, extras: dict[str, Any], sequence: Any = None
    ) -> Any:
        """Build an object for a declaration that asks for one by ``step.recurse()``."""
        name = step.pending[-1] if step.pending else ""
        scope = part_scope(step.scope, meta.factory, extras, name)
        take_turn(scope)
        return build_here(scope.plan.begin(scope, step, sequence))

    def definitions(self, given: Mapping[str, Any]) -> Any:
        """Return the declarations with the values that a call gives, for an error to show."""
        pre, _ = builder.parse_declarations(
            dict(given),
            base_pre=self.meta.pre_declarations,
            base_post=self.meta.post_declarations,
        )
        return pre

    @staticmethod
    def settle(call: Call) -> None:
        """Store what a call has postponed: somebody is about to look at it."""
        if call.postponed:
            engine.submit(Settle(call))


def _parsed(meta: Any, extras: Mapping[str, Any]) -> tuple[Any, Any]:
    marked = {
        key: value if _is_declared(value) else Given(key)
        for key, value in extras.items()
        if key != "__sequence"
    }
    base_sets = {"base_pre": meta.pre_declarations, "base_post": meta.post_declarations}
    try:
        return builder.parse_declarations(marked, **base_sets)
    except errors.InvalidDeclarationError:
        builder.parse_declarations(dict(extras), **base_sets)  # to have it name the values
        raise


def _is_declared(value: object) -> bool:
    return enums.get_builder_phase(value) is not None or isinstance(
        value, declarations.Transformer.Force
    )


_plans: WeakKeyDictionary[Any, dict[Any, Plan]] = WeakKeyDictionary()

_plainly: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()


def forget_plans() -> None:
    """Have all plans made anew: an attribute of a factory has been set."""
    _plans.clear()
    _plainly.clear()


def generates_plainly(factory: Any, strategy: str) -> bool:
    """Return whether a factory leaves it to this library how to build, create or stub."""
    plainly = _plainly.setdefault(factory, {})
    answer = plainly.get(strategy)
    if answer is None:
        answer = plainly[strategy] = not (
            is_overridden(factory, strategy) or is_overridden(factory, "_generate")
        )
    return answer


def plan_for(meta: Any, extras: Mapping[str, Any]) -> Plan:
    """Return the plan of a factory for calls with certain keywords.

    Args:
        meta: The ``_meta`` of the factory.
        extras: The keywords. Plain values make no difference to the plan.

    Raises:
        InvalidDeclarationError: When a keyword reaches into a declaration that there is not.
    """
    # factory_boy logs each value that it evaluates, so then it has to evaluate them.
    knows_types = not _log.isEnabledFor(logging.DEBUG)
    plans = _plans.get(meta)
    if plans is None:
        plans = _plans[meta] = {}
    key = (
        knows_types,
        *((name, value if _is_declared(value) else None) for name, value in extras.items()),
    )
    try:
        plan = plans.get(key)
    except TypeError:  # a declaration that is not hashable
        return Plan(meta, extras, knows_types=knows_types)
    if plan is None:
        if len(plans) >= _KEPT:
            plans.clear()
        plan = plans[key] = Plan(meta, extras, knows_types=knows_types)
    return plan


# Scopes.


def root_scope(
    factory: Any,
    strategy: str,
    keywords: dict[str, Any],
    call: Call,
    *,
    size: int = 1,
    depth: int = 0,
) -> Scope:
    """Return the scope of the objects that a call is for.

    Args:
        factory: Their factory.
        strategy: Whether they are built, created or stubbed.
        keywords: What the call was given. It is changed.
        call: The call that they are part of.
        size: How many they are.
        depth: How deep the code is, in the graph of objects, that asks for them.

    Raises:
        AbstractFactoryError: When the factory has no model.
        AsyncFactoryError: When the objects cannot be created.
    """
    if factory._meta.abstract:
        raise AbstractFactoryError(
            f"Cannot generate instances of abstract factory {factory.__name__}; set "
            f"{factory.__name__}.Meta.model, and leave Meta.abstract out."
        )
    in_force = options.in_force()
    return _scope(factory, strategy, keywords, call, in_force, None, "", size, depth)


def part_scope(parent: Scope, factory: Any, keywords: dict[str, Any], name: str) -> Scope:
    """Return the scope of objects that are parts of others."""
    depth = parent.depth + 1
    return _scope(
        factory, parent.strategy, keywords, parent.call, parent.in_force, parent, name, 1, depth
    )


def _scope(
    factory: Any,
    strategy: str,
    keywords: dict[str, Any],
    call: Call,
    in_force: options.InForce,
    parent: Scope | None,
    name: str,
    size: int,
    depth: int,
) -> Scope:
    meta = factory._meta
    sequence = keywords.pop("__sequence", None) if "__sequence" in keywords else None
    takes_options = not issubclass(factory, base.BaseDictFactory | base.BaseListFactory)
    if takes_options:
        # Taken from the keywords, which go to the model.
        in_force = options.for_object(in_force, options.take(keywords) if keywords else {})
        if keywords:
            refuse_wrong_keywords(meta, keywords)
    plan = plan_for(meta, keywords)
    scope = Scope(plan, strategy, keywords, call, in_force, parent, name, size, depth)
    if sequence is not None:
        scope.sequence = sequence
    return scope


def _endless(scope: Scope) -> ConfigurationError:
    names: list[str] = []
    above: Scope | None = scope
    while above is not None and above.parent is not None and len(names) < 4:
        names.insert(0, f"{above.name} ({above.plan.factory.__name__})")
        above = above.parent
    root = scope
    while root.parent is not None:
        root = root.parent
    return ConfigurationError(
        scope.name,
        f"calls for {scope.plan.factory.__name__} for ever: "
        f"{root.plan.factory.__name__} → … → {' → '.join(names)} is {_DEEPEST:,} deep. End it, "
        f"with factory.Maybe('has_{scope.name}', factory.SubFactory(...), None) and "
        f"has_{scope.name} among the Params, say; or give {scope.name}=None.",
        owner=scope.parent.plan.factory.__name__ if scope.parent is not None else "",
    )


# Building.


def take_turn(scope: Scope) -> None:
    """Wait, so that siblings draw their sequence numbers in order.

    One may come early to a factory, having had nothing to store on the way. Those that are built
    side by side begin in order.
    """
    counter = getattr(scope.plan.meta, "counter_reference", None)
    if not scope.depth:
        place = current_place()
        if place is not None:
            engine.pass_by(place.path, counter)  # an async hook runs alone, and waits for nobody
    else:
        engine.take_turn(counter, scope.depth - 0.5)


def build_here(step: Step) -> Any:
    """Build one object within the calling code, which looks at it."""
    (instance,) = engine.run_here(build([step]))
    if step.scope.call.postponed:
        Plan.settle(step.scope.call)
    return instance


def build(steps: Sequence[Step]) -> engine.Program[list[Any]]:
    """Build objects of one scope side by side, and store them if the strategy says so.

    Returns:
        The objects, in order.
    """
    scope = steps[0].scope
    plan, call = scope.plan, scope.call
    for column in plan.columns:
        if isinstance(column, _Values):
            _each(scope, column.evaluate, steps)
        else:
            yield from column.build(steps)
    if scope.strategy == enums.CREATE_STRATEGY and plan.is_ours:
        if plan.creates_itself:
            if call.postponed:
                yield Settle(call)
            instances = _each(scope, _created, steps)
        else:
            instances = yield from _stored(scope, steps)
    else:
        instances = _each(scope, _instantiated, steps)
    results: list[dict[str, Any]] | None = None
    if plan.posts or plan.has_after:
        results = yield from _finished(scope, steps, instances)
    if observing.observer is not None and plan.has_options:
        observing.observer.built(plan.factory, scope.strategy, len(steps))
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


def enter(step: Step) -> None:
    """Have the code that follows be part of a step."""
    fiber = getcurrent()
    if type(fiber) is engine.Fiber:
        fiber.place = step
    if options.in_force() is not step.scope.in_force:
        options.put_in_force(step.scope.in_force)


def _arguments(step: Step) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        return step.scope.plan.arguments(step)
    except Exception as error:
        raise noted(error, "building", [step])


def _constructed(one: tuple[Step, tuple[Any, ...], dict[str, Any]]) -> Any:
    step, args, kwargs = one
    enter(step)
    try:
        return step.scope.construct(args, kwargs)
    except Exception as error:
        raise noted(error, "building", [step])


def _stored(scope: Scope, steps: Sequence[Step]) -> engine.Program[Sequence[Any]]:
    if scope.call.postponed and scope.plan.adjusts:
        yield Settle(scope.call)
    enter(steps[0])
    arguments = _each(scope, _arguments, steps)
    instances: Sequence[Any] = yield from stored_with(scope, steps, arguments, may_postpone=True)
    return instances


def stored_with(
    scope: Scope,
    steps: Sequence[Step],
    arguments: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
    *,
    may_postpone: bool = False,
) -> engine.Program[Sequence[Any]]:
    """Construct and store objects.

    Args:
        scope: What they have in common.
        steps: What they are built by.
        arguments: What the model is called with, for each.
        may_postpone: Whether nobody looks at them yet.
    """
    plan, call, adapter = scope.plan, scope.call, scope.adapter
    each_with_arguments = [
        (step, args, kwargs) for step, (args, kwargs) in zip(steps, arguments, strict=True)
    ]
    if adapter.get_or_create:
        if call.postponed:
            yield Settle(call)
            enter(steps[0])
        lookups = [plan.meta.lookup(args, kwargs) for args, kwargs in arguments]
        constructs = [partial(_constructed, one) for one in each_with_arguments]
        found: Sequence[Any] = yield FindOrSave(Target.now(scope), steps, lookups, constructs)
        return found
    postpones = may_postpone and plan.postpones(scope, arguments)
    if call.postponed and not postpones:
        yield Settle(call)
        enter(steps[0])
    target = Target.now(scope)
    while not target.is_free:
        yield TakeTurn(target, steps)
        enter(steps[0])
    instances = _each(scope, _constructed, each_with_arguments)
    save: Save[Any] = Save(target, steps, instances)
    if postpones:
        enter(steps[0])
        adapter.add(instances)
        call.postponed.append(save)
        return instances
    saved: Sequence[Any] = yield save
    return saved


def _created(step: Step) -> Any:
    """Have an overridden ``_create()`` make the object."""
    enter(step)
    scope = step.scope
    try:
        args, kwargs = scope.plan.arguments(step)
        return call_hook(step, "_create", scope.model, *args, **kwargs)
    except Exception as error:
        raise noted(error, "building", [step])


def _instantiated(step: Step) -> Any:
    enter(step)
    scope = step.scope
    plan = scope.plan
    try:
        args, kwargs = plan.arguments(step)
        if not plan.is_ours:
            return plan.meta.instantiate(step, args, kwargs)
        if scope.strategy == enums.STUB_STRATEGY:
            return base.StubObject(**kwargs)
        if plan.builds_itself:
            return call_hook(step, "_build", scope.model, *args, **kwargs)
        return scope.construct(args, kwargs)
    except Exception as error:
        raise noted(error, "building", [step])


def call_hook(step: Step, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Call a hook of the factory, and return its result, awaited if it is async."""
    factory = step.scope.plan.factory
    result = original_hook(factory, name)(*args, **kwargs)
    if type(result) in _PLAIN or not _is_awaitable(result):
        return result
    owner = next(one for one in factory.__mro__ if name in vars(one)).__name__
    instead = f"await {factory.__name__}.create_async(...) or build_async(...)"
    value = step.waited_for(result, f"{owner}.{name}", lambda: instead)
    if inspect.iscoroutine(value):  # return super()._create(...) in an async _create
        value = step.waited_for(value, f"{owner}.{name}", lambda: instead)
    return value


def _finished(
    scope: Scope, steps: Sequence[Step], instances: Sequence[Any]
) -> engine.Program[list[dict[str, Any]]]:
    """Run what comes when the objects exist."""
    plan, call = scope.plan, scope.call
    results: list[dict[str, Any]] = [{} for _ in steps]
    for post in plan.posts:
        if isinstance(post, _Related):
            found = yield from post.build(scope, steps, instances)
        else:
            if call.postponed:
                yield Settle(call)
            found = _each(
                scope, post.evaluate, list(zip(steps, instances, strict=True))
            )
        for result, value in zip(results, found, strict=True):
            result[post.name] = value
    if plan.has_after:
        if call.postponed:
            yield Settle(call)
        _each(scope, _after, list(zip(steps, instances, results, strict=True)))
    return results


def _after(one: tuple[Step, Any, dict[str, Any]]) -> None:
    step, instance, results = one
    enter(step)
    creates = step.scope.strategy == enums.CREATE_STRATEGY
    try:
        call_hook(step, "_after_postgeneration", instance, create=creates, results=results)
    except Exception as error:
        raise noted(error, "building", [step])


# Columns.


class _Compiled(NamedTuple):
    """What a declaration has become."""

    evaluate: Evaluate
    reads: bool = False
    """Whether it may read other values, and so be part of a cycle."""
    begin: Callable[[Step], Any] | None = None
    """For a part: returns its `Step`, to be built with those of other objects; or a `_Value`."""


class _Value(NamedTuple):
    """What there is in place of a part that would have to be built."""

    value: Any


class _Values:
    """Declarations, up to the next part, that are evaluated one object after the other."""

    def __init__(self) -> None:
        self._quick: list[tuple[str, Evaluate, bool]] = []

    def add(self, name: str, compiled: _Compiled) -> None:
        self._quick.append((name, compiled.evaluate, compiled.reads))

    def evaluate(self, step: Step) -> None:
        """Evaluate what is not there yet."""
        enter(step)
        values = step.values
        try:
            for name, evaluate, reads in self._quick:
                if name not in values and not (step.postponed and name in step.postponed):
                    if reads:
                        step.read(name)
                    else:
                        values[name] = evaluate(step)
        except Exception as error:
            raise noted(error, "building", [step])


class _PartColumn:
    """A part that each of the objects has."""

    def __init__(self, name: str, begin: Callable[[Step], Any]) -> None:
        self.name = name
        self._begin = begin

    def begin(self, step: Step) -> Any:
        step.pending.append(self.name)
        enter(step)
        try:
            return self._begin(step)
        except Exception as error:
            raise noted(error, "building", [step])

    def build(self, steps: Sequence[Step]) -> engine.Program[None]:
        name = self.name
        waiting = [
            step
            for step in steps
            if name not in step.values and not (step.postponed and name in step.postponed)
        ]
        if not waiting:
            return
        begun = _each(waiting[0].scope, self.begin, waiting)
        parts = yield from _built_each(begun)
        for step, part in zip(waiting, parts, strict=True):
            step.pending.remove(name)
            step.receive(name, part)


def _built_each(begun: Sequence[Any]) -> engine.Program[Sequence[Any]]:
    """Build what was begun, those of one scope together; return them in order."""
    groups: dict[int, list[int]] = {}
    for index, one in enumerate(begun):
        if type(one) is Step:
            groups.setdefault(id(one.scope), []).append(index)
    if len(groups) == 1 and len(begun) == len(next(iter(groups.values()))):
        built: Sequence[Any] = yield build(begun)
        return built
    results = [one.value if type(one) is _Value else None for one in begun]
    programs = [build([begun[index] for index in indices]) for indices in groups.values()]
    of_groups = yield programs
    for indices, some in zip(groups.values(), of_groups, strict=True):
        for index, instance in zip(indices, some, strict=True):
            results[index] = instance
    return results


class Part:
    """Makes the steps of the parts that a declaration asks for.

    Args:
        name: The declaration's name.
        get_factory: Returns the factory of the parts.
        extras: The keywords for them; a `Given` stands for what the call gives.
        shares_sequence: Whether a part has the sequence number of the whole.
    """

    def __init__(
        self,
        name: str,
        get_factory: Callable[[], Any],
        extras: Mapping[str, Any],
        *,
        shares_sequence: bool = False,
    ) -> None:
        self.name = name
        self._get_factory = get_factory
        self._extras = extras
        self._shares_sequence = shares_sequence

    def scope(self, parent: Scope, extras: Mapping[str, Any]) -> Scope:
        return part_scope(parent, self._get_factory(), dict(extras), self.name)

    def begin(self, step: Step) -> Step:
        check_factory(self._get_factory(), step)
        scope = step.scope.child(self, self._extras)
        return scope.plan.begin(
            scope, step, step.sequence if self._shares_sequence else None
        )

    def evaluate(self, step: Step) -> Any:
        """Build the part where something reads it before its turn."""
        take_turn(step.scope.child(self, self._extras))
        return build_here(self.begin(step))


# Declarations that are evaluated before the object exists.


def _compiled(plan: Plan, name: str, declaration: Any, context: Mapping[str, Any]) -> _Compiled:
    kind = type(declaration)
    compile_known = _KNOWN.get(kind) if plan._knows_types else None
    if compile_known is not None:
        compiled = compile_known(plan, name, declaration, context)
        if compiled is not None:
            return compiled
    return _unknown(name, declaration, context)


def _unknown(name: str, declaration: Any, context: Mapping[str, Any]) -> _Compiled:
    """Ask a declaration for its value, as factory_boy does."""
    asked = with_awaited_parts(name, declaration)
    is_factory = type(declaration) is declarations.SubFactory
    unrolls = getattr(declaration, "UNROLL_CONTEXT_BEFORE_EVALUATION", False)

    def evaluate(step: Step) -> Any:
        if step.postponed:
            plan = step.scope.plan
            plan.settle(step.scope.call)
        overrides = _resolved(context, step.scope.given)
        if unrolls:
            for key, value in overrides.items():
                overrides[key] = step.awaited(name, value)
        value = asked.evaluate_pre(instance=step.stub, step=step, overrides=overrides)
        # What a factory makes is no awaitable, though some models do have an __await__().
        if type(value) in _PLAIN or is_factory:
            return value
        return step.awaited(name, value, reads=True)

    return _Compiled(evaluate, reads=True)


def _resolved(context: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a context with the values that a call has given."""
    return {
        key: given[value.key] if type(value) is Given else value for key, value in context.items()
    }


def _given(name: str, key: str) -> Evaluate:
    return lambda step: step.awaited(name, step.scope.given[key])


def _lazy_function(
    plan: Plan, name: str, declaration: declarations.LazyFunction, context: Mapping[str, Any]
) -> _Compiled | None:
    if context:
        return None
    function = declaration.function

    def evaluate(step: Step) -> Any:
        value = function()
        return value if type(value) in _PLAIN else step.awaited(name, value)

    return _Compiled(evaluate)


def _sequence(
    plan: Plan, name: str, declaration: declarations.Sequence, context: Mapping[str, Any]
) -> _Compiled | None:
    if context:
        return None
    function = declaration.function

    def evaluate(step: Step) -> Any:
        value = function(int(step.sequence))
        return value if type(value) in _PLAIN else step.awaited(name, value)

    return _Compiled(evaluate)


def _lazy_attribute(
    plan: Plan, name: str, declaration: declarations.LazyAttribute, context: Mapping[str, Any]
) -> _Compiled | None:
    if context:
        return None
    function = declaration.function

    def evaluate(step: Step) -> Any:
        value = function(step.stub)
        return value if type(value) in _PLAIN else step.awaited(name, value, reads=True)

    return _Compiled(evaluate, reads=True)


def _lazy_attribute_sequence(
    plan: Plan,
    name: str,
    declaration: declarations.LazyAttributeSequence,
    context: Mapping[str, Any],
) -> _Compiled | None:
    if context:
        return None
    function = declaration.function

    def evaluate(step: Step) -> Any:
        value = function(step.stub, int(step.sequence))
        return value if type(value) in _PLAIN else step.awaited(name, value, reads=True)

    return _Compiled(evaluate, reads=True)


def _container_attribute(
    plan: Plan,
    name: str,
    declaration: declarations.ContainerAttribute,
    context: Mapping[str, Any],
) -> _Compiled | None:
    if context:
        return None

    def evaluate(step: Step) -> Any:
        value = declaration.evaluate(step.stub, step, {})
        return value if type(value) in _PLAIN else step.awaited(name, value, reads=True)

    return _Compiled(evaluate, reads=True)


def _self_attribute(
    plan: Plan, name: str, declaration: declarations.SelfAttribute, context: Mapping[str, Any]
) -> _Compiled | None:
    if context:
        return None
    path, depth, default = declaration.attribute_name, declaration.depth, declaration.default
    if "." in path or depth > 1 or default is not declarations._UNSPECIFIED:

        def evaluate(step: Step) -> Any:
            value = declaration.evaluate(step.stub, step, {})
            return value if type(value) in _PLAIN else step.awaited(name, value)

    else:

        def evaluate(step: Step) -> Any:
            value = getattr(step.stub, path)
            return value if type(value) in _PLAIN else step.awaited(name, value)

    return _Compiled(evaluate, reads=True)


def _iterator(
    plan: Plan, name: str, declaration: declarations.Iterator, context: Mapping[str, Any]
) -> _Compiled | None:
    if context:
        return None

    def evaluate(step: Step) -> Any:
        value = declaration.evaluate(None, None, {})
        return value if type(value) in _PLAIN else step.awaited(name, value)

    return _Compiled(evaluate)


def _faker(
    plan: Plan, name: str, declaration: factory_boy.Faker, context: Mapping[str, Any]
) -> _Compiled | None:
    parameters = {**declaration._defaults, **context}
    if any(map(_is_declared, parameters.values())) or any(
        type(value) is Given or _is_awaitable(value) for value in parameters.values()
    ):
        return None
    locale = parameters.pop("locale")
    provider = declaration.provider

    def evaluate(step: Step) -> Any:
        value = value_of(provider, locale, parameters)
        return value if type(value) in _PLAIN else step.awaited(name, value)

    return _Compiled(evaluate)


def _sub_factory(
    plan: Plan, name: str, declaration: declarations.SubFactory, context: Mapping[str, Any]
) -> _Compiled:
    part = _GivenPart(
        name,
        declaration.get_factory,
        {**declaration._defaults, **context},
        shares_sequence=declaration.FORCE_SEQUENCE,
    )
    return _Compiled(part.evaluate, reads=True, begin=part.begin)


class _GivenPart(Part):
    """A part some of whose keywords are given by the call."""

    def scope(self, parent: Scope, extras: Mapping[str, Any]) -> Scope:
        return super().scope(parent, _resolved(extras, parent.given))


def _maybe(
    plan: Plan, name: str, declaration: declarations.Maybe, context: Mapping[str, Any]
) -> _Compiled:
    decide = _compiled(plan, name, declaration.decider, {}).evaluate
    yes = _branch(plan, name, declaration.yes, context)
    no = _branch(plan, name, declaration.no, context)

    def evaluate(step: Step) -> Any:
        return (yes if decide(step) else no).evaluate(step)

    if yes.begin is None and no.begin is None:
        return _Compiled(evaluate, reads=True)

    def begin(step: Step) -> Any:
        branch = yes if decide(step) else no
        if branch.begin is not None:
            return branch.begin(step)
        return _Value(branch.evaluate(step))

    return _Compiled(evaluate, reads=True, begin=begin)


def _branch(plan: Plan, name: str, branch: Any, context: Mapping[str, Any]) -> _Compiled:
    if isinstance(branch, declarations.BaseDeclaration):
        return _compiled(plan, name, branch, context)
    return _Compiled(lambda step: step.awaited(name, branch))


def _transformer(
    plan: Plan, name: str, declaration: declarations.Transformer, context: Mapping[str, Any]
) -> _Compiled:
    context = dict(context)
    value = context.pop("", declaration.default)
    transform = declaration.transform
    is_forced = isinstance(value, declarations.Transformer.Force)
    if is_forced:
        value = value.forced_value
    if type(value) is Given:
        evaluate_value: Evaluate = _given(name, value.key)
    else:
        evaluate_value = _branch(plan, name, value, context).evaluate
    if is_forced:
        return _Compiled(evaluate_value, reads=True)

    def evaluate(step: Step) -> Any:
        return step.awaited(name, transform(evaluate_value(step)))

    return _Compiled(evaluate, reads=True)


_KNOWN: dict[type, Callable[[Plan, str, Any, Mapping[str, Any]], _Compiled | None]] = {
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
    factory_boy.Faker: _faker,
}


class _Awaited(declarations.BaseDeclaration):
    """Evaluates a declaration that is part of another, and awaits the result."""

    def __init__(self, name: str, declaration: Any) -> None:
        # Not super().__init__(): it would count this as one more declaration of the class body.
        self._name = name
        self._declaration = with_awaited_parts(name, declaration)
        self.FACTORY_BUILDER_PHASE = declaration.FACTORY_BUILDER_PHASE
        self.CAPTURE_OVERRIDES = getattr(declaration, "CAPTURE_OVERRIDES", False)

    def evaluate_pre(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        value = self._declaration.evaluate_pre(instance=instance, step=step, overrides=overrides)
        return step.awaited(self._name, value) if isinstance(step, Step) else value

    def evaluate_post(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        value = self._declaration.evaluate_post(instance=instance, step=step, overrides=overrides)
        return step.awaited(self._name, value) if isinstance(step, Step) else value

    def __repr__(self) -> str:
        return repr(self._declaration)


def with_awaited_parts(name: str, declaration: Any) -> Any:
    """Have a declaration that evaluates others see awaited values.

    Without this, a subclass of ``Maybe`` would take a coroutine, which is true, for the decision.
    The declaration is copied only if it has such parts: one that has none may keep state.
    """
    parts: dict[str, Any] = {
        attribute: _Awaited(name, part)
        for attribute, part in getattr(declaration, "__dict__", {}).items()
        if isinstance(part, declarations.BaseDeclaration)
    }
    if not parts:
        return declaration
    declaration = copy.copy(declaration)
    vars(declaration).update(parts)
    return declaration


# Declarations that run when the object exists.


class _Hook(NamedTuple):
    """A declaration that is called with an object."""

    name: str
    evaluate: Callable[[tuple[Step, Any]], Any]


class _Related:
    """A ``RelatedFactory`` or ``RelatedFactoryList``, or a ``Maybe`` of these."""

    def __init__(self, name: str, begin: Callable[[Step, Any], Any]) -> None:
        self.name = name
        self._begin = begin

    def build(
        self, scope: Scope, steps: Sequence[Step], instances: Sequence[Any]
    ) -> engine.Program[list[Any]]:
        begun = _each(scope, self._begin_one, list(zip(steps, instances, strict=True)))
        results: list[Any] = [one.value if type(one) is _Value else None for one in begun]
        lists = [(index, one) for index, one in enumerate(begun) if type(one) is not _Value]
        for index, one in lists:
            results[index] = []
        while lists:
            taken = [(index, _each(scope, one.begin, one.page())) for index, one in lists]
            built = yield from _built_each([step for _, some in taken for step in some])
            made = iter(built)
            for index, some in taken:
                results[index] += [next(made) for _ in some]
            for index, one in lists:
                if one.is_single:
                    results[index] = results[index][0]
            lists = [(index, one) for index, one in lists if one.rest]
            if lists and scope.call.postponed:
                yield Settle(scope.call)
        return results

    def _begin_one(self, one: tuple[Step, Any]) -> Any:
        step, instance = one
        enter(step)
        try:
            return self._begin(step, instance)
        except Exception as error:
            raise noted(error, "building", [step])


class _RelatedSteps:
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

    def __init__(self, name: str, declaration: Any, context: Mapping[str, Any]) -> None:
        extras = {**declaration.defaults, **context}
        self._refers_by = declaration.name
        super().__init__(name, declaration.get_factory, extras)

    @property
    def factory(self) -> Any:
        return self._get_factory()

    def begin_for(self, step: Step, instance: Any) -> Step:
        name = self._refers_by
        if not name:
            return self.begin(step)
        check_factory(self._get_factory(), step)
        extras = {**self._extras, name: _RelatedInstance}
        scope = step.scope.child(self, extras)
        if any(own == name == key for own, key in scope.plan.given):
            new = scope.plan.begin(scope, step)
            new.receive(name, instance)
            return new
        # It is not just a value, but for a declaration to make something of.
        scope = self.scope(step.scope, {**self._extras, name: instance})
        return scope.plan.begin(scope, step)

    def scope(self, parent: Scope, extras: Mapping[str, Any]) -> Scope:
        return super().scope(parent, _resolved(extras, parent.given))


def _compiled_post(
    plan: Plan, name: str, declaration: Any, context: Mapping[str, Any] | None
) -> _Hook | _Related:
    context = dict(context or {})
    if plan._knows_types:
        begin = _compiled_related(plan, name, declaration, context)
        if begin is not None:
            return _Related(name, begin)
    asked = with_awaited_parts(name, declaration)
    if isinstance(declaration, declarations.RelatedFactoryList) and callable(declaration.size):
        asked = _with_awaited_size(name, asked)
    unrolls = getattr(declaration, "UNROLL_CONTEXT_BEFORE_EVALUATION", False)
    # What a factory makes is no awaitable, though some models do have an __await__().
    is_factory = type(declaration) is declarations.RelatedFactory
    # A declaration of another kind is given the step, and may read from it.
    reads = not isinstance(
        declaration, declarations.PostGeneration | declarations.PostGenerationMethodCall
    )

    def evaluate(one: tuple[Step, Any]) -> Any:
        step, instance = one
        enter(step)
        try:
            overrides = _resolved(context, step.scope.given)
            for key, value in overrides.items():
                if unrolls or key == "":
                    overrides[key] = step.awaited(name, value)
            result = asked.evaluate_post(instance=instance, step=step, overrides=overrides)
            return result if is_factory else step.awaited(name, result, reads=reads)
        except Exception as error:
            raise noted(error, "building", [step])

    return _Hook(name, evaluate)


def _with_awaited_size(name: str, declaration: Any) -> Any:
    declaration, size = copy.copy(declaration), declaration.size

    def awaited() -> Any:
        place = getattr(getcurrent(), "place", None)
        return size() if place is None else place.awaited(name, size())

    declaration.size = awaited
    return declaration


def _compiled_related(
    plan: Plan, name: str, declaration: Any, context: dict[str, Any]
) -> Callable[[Step, Any], Any] | None:
    """Return what begins related objects, or ``None`` if the declaration is of another kind."""
    kind = type(declaration)
    if kind is declarations.Maybe:
        return _maybe_related(plan, name, declaration, context)
    if kind is not declarations.RelatedFactory and kind is not declarations.RelatedFactoryList:
        return None
    if kind is declarations.RelatedFactory and "" in context:
        provided = context[""]

        def instead(step: Step, instance: Any) -> Any:
            value = step.scope.given[provided.key] if type(provided) is Given else provided
            return _Value(step.awaited(name, value))

        return instead
    if "" in context:
        return None  # the value that is provided, so many times
    part = _RelatedPart(name, declaration, context)
    size = getattr(declaration, "size", 1)
    is_single = kind is declarations.RelatedFactory

    def begin(step: Step, instance: Any) -> Any:
        number = size if isinstance(size, int) else step.awaited(name, size())
        return _RelatedSteps(part, step, instance, len(range(number)), is_single=is_single)

    return begin


def _maybe_related(
    plan: Plan, name: str, declaration: declarations.Maybe, context: dict[str, Any]
) -> Callable[[Step, Any], Any] | None:
    decider = declaration.decider
    if enums.get_builder_phase(decider) != enums.BuilderPhase.ATTRIBUTE_RESOLUTION:
        return None
    branches = []
    for branch in (declaration.yes, declaration.no):
        if enums.get_builder_phase(branch) == enums.BuilderPhase.POST_INSTANTIATION:
            begin = _compiled_related(plan, name, branch, context)
            if begin is None:
                return None
            branches.append(begin)
        else:
            branches.append(partial(_plain_branch, name, branch))
    yes, no = branches
    # factory_boy hands the context to the decider too. Most evaluate what is declared in it, and
    # have no use for the rest.
    if type(decider) in _KNOWN and type(decider) is not factory_boy.Faker:
        context = {key: value for key, value in context.items() if _is_declared(value)}
    decide = _compiled(plan, name, decider, context).evaluate
    return lambda step, instance: (yes if decide(step) else no)(step, instance)


def _plain_branch(name: str, value: Any, step: Step, instance: Any) -> _Value:
    return _Value(step.awaited(name, value))


def _is_awaitable(value: object) -> bool:
    return hasattr(type(value), "__await__") and not isinstance(value, type)
