"""A plan: a factory, compiled.

factory_boy takes a factory's declarations apart for each object. A plan does so once: which names
are plain values, which are evaluated, by what and in which order, and which declarations run when
the object exists. All objects of a batch share it, and are evaluated side by side: the values of
each, in the order of the declarations, up to the first part; then that part of all of them, as
objects of its own plan; and so on. So parts are stored together, and no greenlet waits for them.

What this library knows of factory_boy's internals stands in `upstream`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from factory.enums import CREATE_STRATEGY, STUB_STRATEGY

from async_factory_boy import options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.auto.rules import on_change
from async_factory_boy.exceptions import AbstractFactoryError, ConfigurationError
from async_factory_boy.factory import automatic, building, relations, upstream
from async_factory_boy.factory.building import Arguments, Parts, Values
from async_factory_boy.factory.calls import Call
from async_factory_boy.factory.checks import refuse_misspelt_declarations, refuse_wrong_keywords
from async_factory_boy.factory.evaluators import (
    KNOWN,
    Compiled,
    Evaluate,
    Given,
    compiled,
    given_value,
)
from async_factory_boy.factory.meta import AsyncFactoryOptions, is_overridden
from async_factory_boy.factory.notes import noted
from async_factory_boy.factory.related import KNOWN_POST, compiled_post
from async_factory_boy.factory.step import LEFT_OUT, RelatedInstance, Scope, Step, is_awaitable
from async_factory_boy.factory.upstream import SKIP, is_declared

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# More plans than these are not kept for one factory: each call may bring new declarations.
_KEPT = 64

# A factory that is deeper than this in a graph is taken to call itself for ever.
_DEEPEST = 1000


class Plan:
    """A factory, compiled for calls with certain keywords. Made by `plan_for`."""

    def __init__(self, meta: Any, extras: Mapping[str, Any], *, knows_types: bool) -> None:
        self.meta = meta
        self.factory = upstream.factory_of(meta)
        self._knows_types = knows_types
        self.forced_sequence: Any = None
        self.counter = upstream.counting(meta)
        self._next_sequence, self._prepare_arguments, self.instantiate = upstream.making(meta)
        self.pre, self.post = _parsed(meta, extras)
        self.is_ours = isinstance(meta, AsyncFactoryOptions)
        if self.is_ours:
            for name, declaration, instead in automatic.read_off_given(meta, extras):
                if self.pre[name] == (declaration, {}):
                    self.pre[name] = upstream.Declared(instead, {})
        self.agreements = relations.agreements(meta, extras, self.pre)
        self.evaluators: dict[str, Evaluate] = {}
        self._left_out: list[relations.Omission] = []
        """Relations that no object has."""
        self._omissions: dict[str, relations.Omission] = {}
        """Relations that some objects may not have."""
        self._leave_out(relations.omissions(meta, extras, self.pre))
        self.names = tuple(self.pre)
        self.constants: dict[str, Any] = {}
        self.given: list[tuple[str, str]] = []
        """Names with plain values that the call gives, each with its keyword."""
        self.columns: list[Values | Parts] = []
        for name, (declaration, context) in self.pre.items():
            self._add(name, declaration, context)
        self.columns += map(_Agreement, self.agreements)
        self.posts = [
            compiled_post(name, declaration, context, knows_types=knows_types)
            for name, (declaration, context) in self.post.items()
        ]
        self._compile_arguments(extras)
        # See AsyncFactoryMetaclass.__setattr__(), which has plans made anew.
        self.creates_itself = is_overridden(self.factory, "_create")
        self.builds_itself = is_overridden(self.factory, "_build")
        self.has_after = is_overridden(self.factory, "_after_postgeneration")
        self._prepared: dict[bool, tuple[Any, Any]] = {}
        self._postponing: tuple[PersistenceAdapter[Any], Any, bool] | None = None
        """For an adapter and a model, whether `postpones`."""
        self.has_options = not issubclass(self.factory, upstream.CONTAINERS)

    def _leave_out(self, omissions: list[relations.Omission]) -> None:
        for omission in omissions:
            if omission.is_certain and not any(map(self._reads, omission.keys)):
                self._left_out.append(omission)
                del self.pre[omission.relation]
                self.evaluators[omission.relation] = partial(_refuse, omission)
            else:
                self._omissions[omission.relation] = omission

    def _reads(self, name: str) -> bool:
        """Return whether a declaration may read other values, or skip its own."""
        declaration, context = self.pre[name]
        return is_declared(declaration) and compiled(name, declaration, context).reads

    def _add(self, name: str, declaration: Any, context: Mapping[str, Any]) -> None:
        omission = self._omissions.get(name)
        if omission is not None:
            self.columns.append(_Omitted(omission))
            if not is_declared(declaration):
                self._add_compiled(name, Compiled(lambda step: step.awaited(name, declaration)))
            else:
                self._add_compiled(
                    name, compiled(name, declaration, context, knows_types=self._knows_types)
                )
            self.evaluators[name] = omission.read_by(self.evaluators[name])
            return
        if type(declaration) is Given:
            self.given.append((name, declaration.key))
            found = Compiled(given_value(name, declaration.key))
        elif not upstream.comes_before(declaration):
            if not is_awaitable(declaration):
                self.constants[name] = declaration
                self.evaluators[name] = lambda step: declaration
                return
            found = Compiled(lambda step: step.awaited(name, declaration))
        else:
            found = compiled(name, declaration, context, knows_types=self._knows_types)
        self._add_compiled(name, found)

    def _add_compiled(self, name: str, found: Compiled) -> None:
        self.evaluators[name] = found.evaluate
        if found.begin is not None:
            self.columns.append(Parts(name, found.begin))
            return
        last = self.columns[-1] if self.columns else None
        if type(last) is not Values:
            last = Values()
            self.columns.append(last)
        last.add(name, found)

    def _compile_arguments(self, extras: Mapping[str, Any]) -> None:
        meta, factory = self.meta, self.factory
        self.adjusts = is_overridden(factory, "_adjust_kwargs")
        # A declared value cannot know of the relation that is given, unless it reads it.
        self._overruled = frozenset(
            name
            for name in relations.overruled_keys(meta, extras, self.pre)
            if not self._reads(name)
        )
        self._hidden = frozenset({*meta.exclude, *upstream.parameters(meta)})
        # Whether the model is called with just what is evaluated.
        self.is_simple = not (
            self.adjusts or self._prepare_arguments or meta.rename or meta.inline_args
        )
        self.keywords = tuple(
            name for name in self.names if name not in self._hidden | self._overruled
        )

    def arguments(self, step: Step) -> Arguments:
        """Return what the model is called with."""
        values = step.values
        if step.postponed:
            values = {**values, **step.postponed}
            if self._omissions:
                values = {
                    name: SKIP if value is LEFT_OUT else value for name, value in values.items()
                }
        if self.is_simple:
            skip = SKIP
            return (), {
                name: value for name in self.keywords if (value := values[name]) is not skip
            }
        attributes = {
            name: values[name]
            for name in self.names
            if name not in self._overruled
            and (name not in self._omissions or values[name] is not SKIP)
        }
        if self._prepare_arguments is not None:
            return self._prepare_arguments(attributes)
        if self.adjusts:
            attributes = building.call_hook(step, "_adjust_kwargs", **attributes)
        return self._arranged(attributes)

    def _arranged(self, attributes: Mapping[str, Any]) -> Arguments:
        meta = self.meta
        keywords = {
            name: value
            for name, value in attributes.items()
            if name not in self._hidden and value is not SKIP
        }
        for name, renamed in meta.rename.items():
            if name in keywords:
                keywords[renamed] = keywords.pop(name)
        return tuple(keywords.pop(name) for name in meta.inline_args), keywords

    def postpones(self, scope: Scope) -> bool:
        """Return whether objects may be constructed now, and stored later."""
        adapter, model = scope.adapter, scope.model
        if self._postponing is None or self._postponing[:2] != (adapter, model):
            postpones = type(adapter).postpones is not PersistenceAdapter.postpones
            answer = postpones and adapter.postpones(model, self.keywords)
            self._postponing = adapter, model, answer
        return self._postponing[2]

    @cached_property
    def may_share_counters(self) -> bool:
        """Whether objects of a graph may draw sequence numbers from one counter in two places.

        What a declaration of an unknown type builds, or a hook, is not known.
        """
        counters = {self.counter}
        declared = [*self.pre.values(), *self.post.values()]
        if any(map(_has_declared_context, declared)):
            return True
        waiting = [one.declaration for one in declared]
        while waiting:
            for declaration in upstream.within(waiting.pop()):
                if isinstance(declaration, upstream.BaseDeclaration) and not (
                    type(declaration) in KNOWN or type(declaration) in KNOWN_POST
                ):
                    return True
                part = upstream.part(declaration)
                if part is None:
                    continue
                meta = part.get_factory()._meta
                if issubclass(upstream.factory_of(meta), upstream.CONTAINERS):
                    continue
                counter = upstream.counting(meta)
                if counter in counters:
                    return True
                counters.add(counter)
                pre, post = upstream.parsed(meta, {})
                if any(map(_has_declared_context, (*pre.values(), *post.values()))):
                    return True
                # What is given to the part stands in the place of what it declares.
                given = {part.refers_by, *part.keywords}
                waiting += [
                    one.declaration
                    for name, one in (*pre.items(), *post.items())
                    if name not in given
                ]
        return False

    @property
    def part_names(self) -> list[str]:
        """The names of the declarations that make parts."""
        return [column.name for column in self.columns if isinstance(column, Parts)]

    def constants_with(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that objects have from the beginning."""
        if not self.given:
            return self.constants
        values = self.constants.copy()
        for name, key in self.given:
            value = given[key]
            if not is_awaitable(value) and value is not RelatedInstance:
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
        stores = scope.strategy == CREATE_STRATEGY
        scope.model = model = meta.model_to_construct()
        if stores:
            scope.adapter = adapter = meta.adapter_for_storing()
            with options.restored(scope.in_force):
                meta.check_create(scope.call, adapter, scope.extras)
        if scope.strategy == STUB_STRATEGY:
            return
        known, construct = self._prepared.get(stores, (None, None))
        if known is not model or construct is None:
            for omission in self._left_out:
                omission.refuse_impossible(model)
            declared = upstream.outright(meta)
            refuse_misspelt_declarations(
                meta, model, [name for name in self.keywords if name in declared]
            )
            construct = meta.constructor(model, stores=stores)
            self._prepared[stores] = model, construct
        scope.construct = construct

    def refuse_impossible(self, omission: relations.Omission, scope: Scope) -> None:
        """Raise ConfigurationError where a relation that is to be left out cannot be."""
        if scope.strategy == STUB_STRATEGY:
            return
        omission.refuse_impossible(scope.model)
        if scope.strategy == CREATE_STRATEGY:
            # The objects of a batch are looked up by the same fields.
            relation = self.meta.rename.get(omission.relation, omission.relation)
            if relation in scope.adapter.get_or_create:
                raise self.meta.no_value_for(relation)

    def begin(
        self, scope: Scope, parent: Step | None, sequence: Any = None, index: int = 0
    ) -> Step:
        """Return a new step. Objects draw their sequence numbers in the order they begin."""
        if sequence is None:
            sequence = scope.sequence
            if sequence is None:
                sequence = self._next_sequence()
        return Step(scope, parent, sequence, scope.constants.copy(), index)

    def recurse(self, step: Step, meta: Any, extras: dict[str, Any], sequence: Any = None) -> Any:
        """Build an object for a declaration that asks for one by ``step.recurse()``."""
        name = step.pending[-1] if step.pending else ""
        scope = part_scope(step.scope, upstream.factory_of(meta), extras, name)
        building.take_turn(scope)
        instance = building.build_here(scope.plan.begin(scope, step, sequence))
        scope.forget_children()
        return instance

    def definitions(self, given: Mapping[str, Any], begun: Iterable[str]) -> Any:
        """Return the declarations with the values that a call gives, for an error to show."""
        return upstream.definitions(self.meta, given, begun)

    # What evaluators do by way of the plan, which knows how objects are built.

    def part_scope(self, parent: Scope, factory: Any, keywords: dict[str, Any], name: str) -> Scope:
        """Return the scope of objects that are parts of others."""
        return part_scope(parent, factory, keywords, name)

    take_turn = staticmethod(building.take_turn)
    build_here = staticmethod(building.build_here)
    settle = staticmethod(building.settle_now)


class _Omitted(Values):
    """Comes before a relation that some objects may not have."""

    def __init__(self, omission: relations.Omission) -> None:
        super().__init__()
        self._omission = omission

    def evaluate(self, step: Step) -> None:
        building.enter(step)
        relation = self._omission.relation
        try:
            # A key may be read off the relation, which then is there.
            if not step.has(relation) and self._omission.applies(step) and not step.has(relation):
                step.scope.plan.refuse_impossible(self._omission, step.scope)
                step.leave_out(relation)
        except Exception as error:
            noted(error, "building", [step])
            raise


class _Agreement(Values):
    """Comes when a relation and its keys, all of them given, are evaluated."""

    def __init__(self, agreement: relations.Agreement) -> None:
        super().__init__()
        self._agreement = agreement

    def evaluate(self, step: Step) -> None:
        building.enter(step)
        try:
            self._agreement.check(step)
        except Exception as error:
            noted(error, "building", [step])
            raise


def _refuse(omission: relations.Omission, step: Step) -> Any:
    raise omission.error()


def _has_declared_context(declared: upstream.Declared) -> bool:
    """Return whether a declaration is given further ones: ``company__owner=SubFactory(...)``."""
    return any(map(is_declared, declared.context.values()))


def _parsed(meta: Any, extras: Mapping[str, Any]) -> upstream.Parsed:
    marked = {
        key: value if is_declared(value) else Given(key)
        for key, value in extras.items()
        if key != upstream.SEQUENCE
    }
    with suppress(upstream.InvalidDeclarationError):
        return upstream.parsed(meta, marked)
    # Once more, to have the error name the values.
    return upstream.parsed(meta, extras)


class _Plans(NamedTuple):
    """The plans of one factory."""

    declared: object
    """What it declares, for which they hold."""

    by_keywords: dict[Any, Plan]


_plans: WeakKeyDictionary[Any, _Plans] = WeakKeyDictionary()

_plainly: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()


def forget_plans() -> None:
    """Have all plans made anew: an attribute of a factory has been set."""
    _plans.clear()
    _plainly.clear()


on_change(forget_plans)


def generates_plainly(factory: Any, strategy: str) -> bool:
    """Return whether a factory leaves it to this library how to build, create or stub."""
    plainly = _plainly.get(factory)
    if plainly is None:
        plainly = _plainly[factory] = {}
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
    knows_types = not upstream.LOGGER.isEnabledFor(logging.DEBUG)
    known = _plans.get(meta)
    declared = upstream.declaration_sets(meta)
    if known is None or known.declared != declared:
        known = _plans[meta] = _Plans(declared, {})
    plans = known.by_keywords
    key = (
        knows_types,
        *((name, value if is_declared(value) else None) for name, value in extras.items()),
    )
    plan: Plan | None
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
    above: Step | None = None,
) -> Scope:
    """Return the scope of the objects that a call is for.

    Args:
        factory: Their factory.
        strategy: Whether they are built, created or stubbed.
        keywords: What the call was given. It is changed.
        call: The call that they are part of.
        size: How many they are.
        above: The object whose hook or declaration asks for them.

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
    depth = 0 if above is None else above.scope.depth + 1
    return _scope(factory, strategy, keywords, call, in_force, None, "", size, depth, above)


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
    above: Step | None = None,
) -> Scope:
    meta = factory._meta
    sequence = keywords.pop(upstream.SEQUENCE, None)
    if not issubclass(factory, upstream.CONTAINERS):
        # Taken from the keywords, which go to the model.
        in_force = options.for_object(in_force, options.take(keywords) if keywords else {})
        if keywords:
            refuse_wrong_keywords(meta, keywords)
    plan = plan_for(meta, keywords)
    for agreement in plan.agreements:
        agreement.check_given(keywords, is_declared)
    scope = Scope(plan, strategy, keywords, call, in_force, parent, name, size, depth, above)
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
