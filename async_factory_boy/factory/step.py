"""One object being built: the values it has so far, and the facts that belong to it.

A `Scope` is what objects have in common that are built side by side: the plan, the strategy, the
call-time options in force, the call. A `Step` is one of these objects. To declarations of other
libraries it looks like factory_boy's ``BuildStep``, and its stub like factory_boy's ``Resolver``.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factory.enums import STUB_STRATEGY

from async_factory_boy import engine, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.exceptions import ConfigurationError, SyncCallError
from async_factory_boy.factory import upstream
from async_factory_boy.factory.calls import Call, Place, at

if TYPE_CHECKING:
    from async_factory_boy.factory.evaluators import Part
    from async_factory_boy.factory.plan import Plan

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


# Values of these types are not awaitable. It takes less time to look a type up here than to ask.
PLAIN = frozenset({str, int, float, bool, bytes, type(None), list, dict, tuple, set})


def is_awaitable(value: object) -> bool:
    """Return whether a value is an awaitable, and not a class of such."""
    return hasattr(type(value), "__await__") and not isinstance(value, type)


LEFT_OUT: Any = type("LeftOut", (), {"__repr__": lambda self: "<left out>"})()
"""Stands, among values that are not to be looked at yet, for a relation whose keys are given."""


class RelatedInstance:
    """Stands, in the keywords of a related factory, for the object that it is related to."""


class Scope:
    """What objects have in common that are built side by side.

    Args:
        plan: How they are built.
        strategy: ``"build"``, ``"create"`` or ``"stub"``.
        given: The keywords that each is asked for with, those of the plan.
        call: The call that they are part of.
        in_force: The call-time options that hold for them.
        parent: The scope of the objects that they are parts of.
        name: The name of the declaration that asks for them, in the factory above.
        size: How many objects the call is for.
        depth: How deep they are in the graph of objects.
        above: The object whose hook or declaration has called for them.
    """

    __slots__ = (
        "_children", "above", "adapter", "call", "constants", "construct", "depth", "extras",
        "given", "in_force", "model", "name", "parent", "plan", "recorded", "sequence", "size",
        "strategy",
    )  # fmt: skip

    adapter: PersistenceAdapter[Any]
    model: Any
    construct: Callable[[Sequence[Any], Mapping[str, Any]], Any]

    def __init__(
        self,
        plan: Plan,
        strategy: str,
        given: Mapping[str, Any],
        call: Call,
        in_force: options.InForce,
        parent: Scope | None = None,
        name: str = "",
        size: int = 1,
        depth: int = 0,
        above: Step | None = None,
    ) -> None:
        self.plan = plan
        self.strategy = strategy
        self.given = given
        self.call = call
        self.in_force = in_force
        self.parent = parent
        self.name = name
        self.size = size
        self.depth = depth
        self.above = above
        self.extras: Mapping[str, Any] = given
        self.recorded: Any = None
        """What a recorder has noted of it."""
        self.sequence = plan.forced_sequence
        self.constants = plan.constants_with(given)
        self._children: dict[object, Scope] = {}
        plan.prepare(self)

    def child(self, part: Part, extras: Mapping[str, Any]) -> Scope:
        """Return the scope of the parts that a declaration makes, for all objects of this one."""
        scope = self._children.get(part)
        if scope is None:
            scope = self._children[part] = part.scope(self, extras)
        return scope

    def forget_children(self) -> None:
        """Let go of the scopes of parts, which refer to this one."""
        for child in self._children.values():
            child.forget_children()
        self._children.clear()

    def for_model(self, model: Any) -> Scope:
        """Return this scope, for objects that are made of a certain model."""
        if model is self.model:
            return self
        scope = copy.copy(self)
        scope.model = model
        scope.construct = scope.plan.meta.constructor(model, stores=True)
        return scope


class Step:
    """One object being built.

    Args:
        scope: What it has in common with those beside it.
        parent: The object that it is a part of, or related to.
        sequence: Its sequence number.
        values: The values that it has from the beginning.
        index: Its place among those that the call is for.
    """

    __slots__ = (
        "_builder", "_stub", "index", "parent", "pending", "postponed", "scope", "sequence",
        "values",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        parent: Step | None,
        sequence: Any,
        values: dict[str, Any],
        index: int = 0,
    ) -> None:
        self.scope = scope
        self.parent = parent
        self.sequence = sequence
        self.values = values
        self.index = index
        self.pending: list[str] = []
        """The names of what is being evaluated, to detect cycles."""
        self.postponed: dict[str, Any] | None = None
        """Values that are, or contain, objects which may not be stored yet; or `LEFT_OUT`."""
        self._stub: Stub | None = None
        self._builder: Builder | None = None

    # What declarations of other libraries use, under factory_boy's names: `upstream.BuildStep`.

    @property
    def stub(self) -> Stub:
        """What a ``LazyAttribute`` is given."""
        stub = self._stub
        if stub is None:
            stub = self._stub = Stub(self)
        return stub

    @property
    def parent_step(self) -> Step | None:
        """The step that this one is below."""
        return self.parent

    @property
    def chain(self) -> tuple[Stub, ...]:
        """The stubs of this step, and of those above it."""
        chain = []
        step: Step | None = self
        while step is not None:
            chain.append(step.stub)
            step = step.parent
        return tuple(chain)

    @property
    def attributes(self) -> dict[str, Any]:
        """The values of the declarations before the one that is evaluated, in their order."""
        values = {**self.values, **(self.postponed or {})}
        values = {name: value for name, value in values.items() if value is not LEFT_OUT}
        names = self.scope.plan.names
        if self.pending:
            names = names[: names.index(self.pending[0])]
        return {name: values[name] for name in names if name in values}

    def resolve(self, declarations: Any) -> None:
        """Evaluate what is not there yet, as factory_boy's step does for its builder."""
        for name in declarations:
            self.read(name)

    @property
    def builder(self) -> Builder:
        """What knows the strategy, the factory and the keywords."""
        if self._builder is None:
            scope = self.scope
            extras = self._told(scope.extras)
            self._builder = Builder(scope.plan.meta, extras, scope.strategy, self)
        return self._builder

    def _told(self, keywords: Mapping[str, Any]) -> dict[str, Any]:
        """Return keywords as somebody else may see them."""
        return {
            name: self.read(name) if value is RelatedInstance else value
            for name, value in keywords.items()
        }

    def recurse(
        self, factory: Any, declarations: Mapping[str, Any], force_sequence: int | None = None
    ) -> Any:
        """Build an object of another factory, as a part of this one."""
        check_factory(factory, self)
        return self.builder.recurse(factory._meta, dict(declarations)).build(
            parent_step=self, force_sequence=force_sequence
        )

    def __repr__(self) -> str:
        return f"<BuildStep for {self.builder!r}>"

    # Evaluating.

    def receive(self, name: str, value: Any) -> None:
        """Note the value of a part, which may not be stored yet."""
        if not self.scope.call.postponed:
            self.values[name] = value
        elif self.postponed is None:
            self.postponed = {name: value}
        else:
            self.postponed[name] = value

    def leave_out(self, name: str) -> None:
        """Note that there is to be no value of a relation, since its keys are given."""
        self.postponed = {**(self.postponed or {}), name: LEFT_OUT}

    def has(self, name: str) -> bool:
        """Return whether there is a value already, or is to be none."""
        return name in self.values or (self.postponed is not None and name in self.postponed)

    def read(self, name: str) -> Any:
        """Return a value, and evaluate it if it is not there yet.

        Raises:
            CyclicDefinitionError: When it is being evaluated.
            AttributeError: When there is no such declaration.
        """
        values = self.values
        if name in self.pending:
            raise upstream.CyclicDefinitionError(
                f"Cyclic lazy attribute definition for {name!r}; cycle found in {self.pending!r}."
            )
        if name in values:
            return values[name]
        if (
            self.postponed is not None
            and name in self.postponed
            and self.postponed[name] is not LEFT_OUT
        ):
            self.scope.plan.settle(self.scope.call)
            value = values[name] = self.postponed.pop(name)
            return value
        if name not in self.scope.plan.evaluators:
            given = self._told(self.scope.given)
            definitions = self.scope.plan.definitions(given, {*values, *self.pending})
            raise AttributeError(
                f"The parameter {name!r} is unknown. Evaluated attributes are "
                f"{self._evaluated()!r}, definitions are {definitions!r}."
            )
        return self.evaluate(name)

    def evaluate(self, name: str) -> Any:
        """Evaluate a declaration that may read other values, and return its value."""
        self.pending.append(name)
        try:
            value = self.values[name] = self.scope.plan.evaluators[name](self)
        finally:
            self.pending.pop()
        return value

    def _evaluated(self) -> dict[str, Any]:
        """Return what factory_boy would have evaluated by now: no constants further down."""
        names = self.scope.plan.names
        before = names[: names.index(self.pending[0])] if self.pending else names
        values, constants = self.values, self.scope.constants
        in_turn = {name: values[name] for name in before if name in values}
        early = {name: value for name, value in values.items() if name not in constants}
        return {**in_turn, **early}

    def awaited(self, name: str, value: Any, *, reads: bool = False) -> Any:
        """Return what an awaitable evaluates to, or the value itself if it is none.

        Args:
            name: The declaration that returned it.
            value: What it returned.
            reads: Whether it is a coroutine that was given the stub, and so may read values that
                have to be waited for.

        Raises:
            ConfigurationError: When it is a coroutine that was awaited for another object.
            SyncCallError: When it is a coroutine, and nothing here can wait for it.
        """
        if not hasattr(type(value), "__await__"):
            return value
        factory = self.scope.plan.factory.__name__
        if inspect.iscoroutine(value) and inspect.getcoroutinestate(value) != inspect.CORO_CREATED:
            raise ConfigurationError(
                name,
                "is a coroutine, which can be awaited only once, and has been for another object. "
                "Write factory.SubFactory(CompanyFactory) in place of CompanyFactory() or "
                "CompanyFactory.create_async(), and factory.LazyFunction(fetch_name) in place of "
                "fetch_name(); or await it before, for all objects to share what it returns.",
                owner=factory,
            )
        return self.waited_for(value, f"{factory}.{name}", self._async_call, reads=reads)

    def waited_for(
        self, value: Any, subject: str, instead: Callable[[], str], *, reads: bool = False
    ) -> Any:
        """Return what an awaitable evaluates to.

        Args:
            value: The awaitable.
            subject: What returned it, for the error.
            instead: Returns what to call in place of the synchronous method, for the error.
            reads: As for `awaited`.

        Raises:
            SyncCallError: When it is a coroutine, and nothing here can wait for it.
        """
        if engine.in_fiber():
            scope = self.scope
            if scope.call.postponed:
                scope.plan.settle(scope.call)
            place = Place(scope.call, self, path=engine.path())
            if reads and inspect.iscoroutine(value):
                return engine.step_through(value)
            return engine.wait(at(place, value, options.in_force()))
        if not inspect.iscoroutine(value):
            return value  # a future, or a lazy queryset, that a synchronous build only passes on
        value.close()
        raise SyncCallError(f"{subject} is async, and cannot be awaited here; write {instead()}.")

    def _async_call(self) -> str:
        """Return the call to write instead of the synchronous one that this is part of."""
        factory, strategy = self.scope.plan.factory, self.scope.strategy
        step: Step | None = self.parent
        while step is not None:
            if hasattr(step.scope.plan.factory, "build_async"):
                factory = step.scope.plan.factory
            step = step.parent
        if strategy == STUB_STRATEGY:
            return f"await {factory.__name__}.generate_async({strategy!r}, ...)"
        return f"await {factory.__name__}.{strategy}_async(...)"


def check_factory(factory: Any, step: Step) -> None:
    """Raise factory_boy's error if a declaration names something else than a factory."""
    if not (isinstance(factory, type) and issubclass(factory, upstream.BaseFactory)):
        raise upstream.AssociatedClassError(
            f"{step!r}: Attempting to recursing into a non-factory object {factory!r}"
        )


class Stub:
    """The object under construction, as a ``LazyAttribute`` sees it.

    What is evaluated stands where Python finds it first, in ``__dict__``. The rest is asked for.
    """

    __slots__ = ("__dict__", "__step", "__weakref__")

    def __init__(self, step: Step) -> None:
        object.__setattr__(self, "_Stub__step", step)
        object.__setattr__(self, "__dict__", step.values)

    @property
    def factory_parent(self) -> Stub | None:
        """The stub of the object that this one is a part of."""
        parent = self.__step.parent
        return None if parent is None else parent.stub

    def __getattr__(self, name: str) -> Any:
        step = self.__step
        if engine.in_coroutine():
            # An async declaration reads this one: ``user.company``.
            return engine.synchronously(lambda: step.read(name))
        return step.read(name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Setting of object attributes is not allowed")

    def __repr__(self) -> str:
        return f"<Resolver for {self.__step!r}>"


class Builder:
    """What declarations of other libraries find as ``step.builder``: `upstream.StepBuilder`."""

    def __init__(
        self, factory_meta: Any, extras: dict[str, Any], strategy: str, step: Step
    ) -> None:
        self.factory_meta = factory_meta
        self.extras = extras
        self.strategy = strategy
        self.force_init_sequence = extras.pop(upstream.SEQUENCE, None)
        self._step = step

    def recurse(self, factory_meta: Any, extras: dict[str, Any]) -> Builder:
        """Return the builder of a part."""
        return Builder(factory_meta, extras, self.strategy, self._step)

    def build(self, parent_step: Step | None = None, force_sequence: int | None = None) -> Any:
        """Build the object."""
        step = self._step if parent_step is None else parent_step
        extras = dict(self.extras)
        if self.force_init_sequence is not None:
            extras[upstream.SEQUENCE] = self.force_init_sequence
        return step.scope.plan.recurse(step, self.factory_meta, extras, force_sequence)

    def __repr__(self) -> str:
        return f"<StepBuilder({self.factory_meta!r}, strategy={self.strategy!r})>"


if TYPE_CHECKING:
    # For type checkers to find what is missing.
    _classes: tuple[
        type[upstream.BuildStep], type[upstream.StepBuilder], type[upstream.Resolver]
    ] = (Step, Builder, Stub)
