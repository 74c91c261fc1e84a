"""What a factory asks of a store: to save objects, or to find or save them."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from math import inf
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

from async_factory_boy import engine, observing, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.matching import loosely, strictly
from async_factory_boy.engine.programs import Program
from async_factory_boy.exceptions import AdapterError, AsyncFactoryError
from async_factory_boy.factory.calls import Call, is_free, using
from async_factory_boy.factory.notes import noted
from async_factory_boy.factory.step import Scope, Step

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")
R = TypeVar("R")
T = TypeVar("T")


class Target(NamedTuple):
    """Where objects of a scope are stored, at a certain moment."""

    call: Call
    adapter: PersistenceAdapter[Any]
    model: Any
    in_force: options.InForce
    """The call-time options that hold for storing."""
    at_the_end: options.InForce
    """Those that hold at the end of the call, when a transaction that a hook has entered is
    over."""
    connection: Hashable
    """What the adapter stores through."""

    @classmethod
    def now(cls, scope: Scope) -> Target:
        """Return where an object would be stored now."""
        adapter, model, in_force = scope.adapter, scope.model, scope.in_force
        ambient = adapter.ambient_options(model)
        if not ambient:
            connection = adapter.connection_key(model)
            return cls(scope.call, adapter, model, in_force, in_force, connection)
        for_storing = in_force.over(ambient)
        if for_storing is not in_force:
            for_storing.is_of_call = True
        with options.restored(for_storing):
            connection = adapter.connection_key(model)
        return cls(scope.call, adapter, model, for_storing, in_force, connection)

    @property
    def is_free(self) -> bool:
        """Whether it may be used at once."""
        return is_free(self.call, self.connection)


class _OfSteps(engine.Request[Any], Generic[M]):
    """What is asked for by one step, or by several of one factory.

    Args:
        target: Where the objects are stored.
        steps: What each object is part of; all of them of one scope.
    """

    stores: ClassVar[bool] = True
    """Whether there is something that an observer counts."""

    def __init__(self, target: Target, steps: Sequence[Step]) -> None:
        scope = steps[0].scope
        self.target = target
        self.steps = steps
        self.factory = scope.plan.factory
        self.rank = scope.depth

    @property
    def key(self) -> Hashable:
        target = self.target
        return id(target.adapter), target.model, target.in_force.identity

    @classmethod
    async def perform(cls, requests: Sequence[Any]) -> Sequence[Any]:
        try:
            return await cls.perform_quietly(requests)
        except Exception as error:
            noted(error, "storing", [step for request in requests for step in request.steps])
            raise

    @classmethod
    async def perform_quietly(
        cls, requests: Sequence[Any], *, watches: bool = True
    ) -> Sequence[Any]:
        """Perform requests, and leave it to the caller to say in an error where it is from."""
        target: Target = requests[0].target
        work = cls._watched if watches else cls._do
        return await using(
            target.call,
            target.connection,
            target.in_force,
            lambda: work(requests),
            requests[0].steps[0],
        )

    @classmethod
    async def _watched(cls, requests: Sequence[Any]) -> Sequence[Any]:
        if observing.observer is None or not cls.stores:
            return await cls._do(requests)
        factories = [request.factory for request in requests for _ in request.steps]
        with observing.observer.storing(factories, requests[0].target.adapter):
            return await cls._do(requests)

    @classmethod
    @abstractmethod
    async def _do(cls, requests: Sequence[Any]) -> Sequence[Any]:
        """Do the work of requests, in the turn of their call."""

    def _note(self, instances: Sequence[M]) -> Sequence[M]:
        target = self.target
        target.call.note(target.adapter, target.model, target.at_the_end, instances)
        return instances


class TakeTurn(_OfSteps[M]):
    """Waits for the turn of the call on what objects are to be stored through.

    It is taken before they are constructed: an object that only exists may already be reached from
    others, and were another task to flush those, it would be stored with them, or refused.
    """

    def __init__(self, target: Target, steps: Sequence[Step]) -> None:
        super().__init__(target, steps)
        self.rank = inf

    stores = False

    @classmethod
    async def _do(cls, requests: Sequence[Any]) -> Sequence[Any]:
        return [None] * len(requests)


class Save(_OfSteps[M]):
    """Stores new objects; its result is a list of them.

    Args:
        target: As for any request.
        steps: Likewise.
        instances: The objects.
    """

    def __init__(self, target: Target, steps: Sequence[Step], instances: Sequence[M]) -> None:
        super().__init__(target, steps)
        self.instances = instances

    def may_have_raised(self, error: Exception) -> bool:
        """Return whether an error may be about these objects."""
        return self.target.adapter.concerns(error, self.target.model)

    @classmethod
    async def _do(cls, requests: Sequence[Save[M]]) -> Sequence[Sequence[M]]:
        adapter = requests[0].target.adapter
        if len(requests) == 1:
            (request,) = requests
            request.instances = request._note(await saved_by(adapter, request.instances))
            return [request.instances]
        instances = [instance for request in requests for instance in request.instances]
        saved = await saved_by(adapter, instances)
        results, start = [], 0
        for request in requests:
            end = start + len(request.instances)
            request.instances = request._note(saved[start:end])
            results.append(request.instances)
            start = end
        return results


async def saved_by(adapter: PersistenceAdapter[M], instances: Sequence[M]) -> Sequence[M]:
    """Return what an adapter has stored, one object or more."""
    if len(instances) == 1:
        saved = await adapter.save(instances[0])
        if saved is None:
            raise _returned_none(adapter, "save")
        return [saved]
    return _checked(adapter, "save_many", await adapter.save_many(instances), len(instances))


class Settle(engine.Request[None]):
    """Stores what a call has postponed."""

    rank = inf

    def __init__(self, call: Call) -> None:
        self.call = call

    @property
    def key(self) -> Hashable:
        return id(self.call)

    @classmethod
    async def perform(cls, requests: Sequence[Settle]) -> Sequence[None]:
        await settle(requests[0].call)
        return [None] * len(requests)


async def finish(call: Call) -> None:
    """Store what a call has postponed, and have all that it has stored made whole."""
    if len(call.postponed) == 1 and call.is_first_to_store and observing.observer is None:
        # As nearly always: all of it in one turn. What was just stored, nobody has changed since.
        save = call.postponed.pop()
        target = save.target
        work = partial(_save_and_refresh, save)
        await using(call, target.connection, target.in_force, work, save.steps[0])
        return
    if call.postponed:
        await settle(call)
    await call.finish()


async def _save_and_refresh(save: Save[Any]) -> None:
    adapter = save.target.adapter
    try:
        save.instances = instances = await saved_by(adapter, save.instances)
    except Exception as error:
        noted(error, "storing", save.steps)
        raise
    if adapter.refreshes:
        await adapter.refresh(instances)
    await adapter.commit()


async def settle(call: Call) -> None:
    """Store what a call has postponed, as if it were one request."""
    postponed, call.postponed = call.postponed, []
    waves: dict[Hashable, list[Save[Any]]] = {}
    for save in postponed:
        waves.setdefault(save.key if len(postponed) > 1 else None, []).append(save)
    observer = observing.observer
    watching: Any = nullcontext()
    if observer is not None and postponed:
        factories = [save.factory for save in postponed for _ in save.steps]
        watching = observer.storing(factories, postponed[0].target.adapter)
    try:
        with watching:
            for saves in waves.values():
                await Save.perform_quietly(saves, watches=False)
    except Exception as error:
        concerned = [save for save in postponed if save.may_have_raised(error)] or postponed
        noted(error, "storing", [step for save in concerned for step in save.steps])
        raise


class FindOrSave(_OfSteps[M]):
    """Finds objects, or stores new ones; its result is a list of them.

    Args:
        target: As for any request.
        steps: Likewise.
        lookups: For each step, the fields that identify its object, with their values.
        constructs: For each step, what makes the object.
    """

    def __init__(
        self,
        target: Target,
        steps: Sequence[Step],
        lookups: Sequence[Mapping[str, Any]],
        constructs: Sequence[Callable[[], M]],
    ) -> None:
        super().__init__(target, steps)
        self.wanted = [
            _Wanted(self, lookup, construct)
            for lookup, construct in zip(lookups, constructs, strict=True)
        ]

    @classmethod
    async def _do(cls, requests: Sequence[FindOrSave[M]]) -> Sequence[Sequence[M]]:
        target = requests[0].target
        search: _Search[M] = _Search(target.adapter, target.model, requests[0].steps)
        found = iter(await search.run([one for request in requests for one in request.wanted]))
        return [request._note([next(found) for _ in request.wanted]) for request in requests]


class _Wanted(Generic[M]):
    """An object that is to be found, or stored.

    Args:
        request: What asks for it.
        lookup: The fields that identify it, with their values.
        construct: Makes a new one.
    """

    def __init__(
        self, request: FindOrSave[M], lookup: Mapping[str, Any], construct: Callable[[], M]
    ) -> None:
        self.request = request
        self.lookup = lookup
        self.construct = construct

    @property
    def given(self) -> Mapping[str, Any]:
        """Those of the lookup that the caller of the factory gave.

        When the new object is refused, it is looked up by these alone: the others may have been
        made up for it.
        """
        extras = self.request.steps[0].scope.extras
        return {name: value for name, value in self.lookup.items() if name in extras}


class _Search(Generic[M]):
    """Finds or stores many objects as a loop would, by few statements."""

    def __init__(
        self, adapter: PersistenceAdapter[M], model: type[M], steps: Sequence[Step]
    ) -> None:
        self.adapter = adapter
        self.model = model
        self.steps = steps

    async def run(self, wanted: Sequence[_Wanted[M]]) -> list[M]:
        """Return an object for each, in order."""
        if len(wanted) == 1:
            return [await self._find_or_save(wanted[0])]
        # Lookups that are the same to Python share an answer. Those that only a store may take for
        # the same, such as "acme" and "ACME", are answered one by one: it has to say.
        places: dict[Hashable, int] = {}
        distinct: list[_Wanted[M]] = []
        alike: dict[Hashable, set[int]] = {}
        answered_by: list[int] = []
        for one in wanted:
            is_stored = one.request.target.call.is_stored
            values = list(one.lookup.values())
            place = places.setdefault(
                tuple(strictly(value, is_stored) for value in values), len(distinct)
            )
            if place == len(distinct):
                distinct.append(one)
                key = tuple(loosely(value, is_stored) for value in values)
                alike.setdefault(key, set()).add(place)
            answered_by.append(place)
        one_by_one = {place for some in alike.values() if len(some) > 1 for place in some}
        answers: list[M | None] = [None] * len(distinct)
        together = [place for place in range(len(distinct)) if place not in one_by_one]
        if together:
            lookups = [distinct[place].lookup for place in together]
            found = await self._found(lookups)
            for place, answer in zip(together, found, strict=True):
                answers[place] = answer
        # Created in order, as by a loop; those that are next to each other, together.
        missing: list[int] = []
        for place, one in enumerate(distinct):
            if place in one_by_one:
                await self._create_missing(distinct, answers, missing)
                answers[place] = await self._find_or_save(one)
            elif answers[place] is None:
                missing.append(place)
        await self._create_missing(distinct, answers, missing)
        return [cast("M", answers[place]) for place in answered_by]

    async def _create_missing(
        self, distinct: Sequence[_Wanted[M]], answers: list[M | None], missing: list[int]
    ) -> None:
        if missing:
            created = await self._create([distinct[place] for place in missing])
            for place, instance in zip(missing, created, strict=True):
                answers[place] = instance
            missing.clear()

    async def _find_or_save(self, one: _Wanted[M]) -> M:
        (found,) = await self._found([one.lookup])
        return (await self._create([one]))[0] if found is None else found

    async def _found(self, lookups: Sequence[Mapping[str, Any]]) -> Sequence[M | None]:
        adapter = self.adapter
        method = "find" if len(lookups) == 1 else "find_many"
        found: Sequence[M | None]
        try:
            if len(lookups) == 1:
                found = [await adapter.find(self.model, lookups[0])]
            else:
                found = await adapter.find_many(self.model, lookups)
        except Exception as error:
            if sys.version_info >= (3, 11) and _may_mean_none(error):
                error.add_note(
                    f"Raised by {type(adapter).__name__}.{method}(), which get_or_create asks for "
                    f"an object by {', '.join(map(repr, lookups[0]))}. If this means that there is "
                    f"none, {method}() has to return None for it instead."
                )
            raise
        return self._noted(_counted(adapter, method, found, len(lookups)))

    async def _create(self, wanted: Sequence[_Wanted[M]]) -> Sequence[M]:
        async def build() -> list[M]:
            # In a fiber, since the constructor of a model may create objects.
            return await engine.run(self._constructed(wanted))

        try:
            saved = await self.adapter.save_new(build)
        except self.adapter.conflicts:
            if len(wanted) > 1:
                # One of them was refused, and so all were. The store does not say which.
                return [(await self._create([one]))[0] for one in wanted]
            winner = await self._winner(wanted[0])
            if winner is None:
                raise
            return [winner]
        return _checked(self.adapter, "save_new", saved, len(wanted))

    def _constructed(self, wanted: Sequence[_Wanted[M]]) -> Program[list[M]]:
        engine.current_fiber().place = self.steps[0]
        return [one.construct() for one in wanted]
        yield

    async def _winner(self, one: _Wanted[M]) -> M | None:
        """Return the object that was faster, or None if the conflict was over something else."""
        winner = await self.adapter.find_afresh(self.model, one.lookup)
        if winner is None and one.given:
            winner = await self.adapter.find_afresh(self.model, one.given)
        self._noted([winner])
        return winner

    def _noted(self, found: Sequence[M | None]) -> Sequence[M | None]:
        if observing.recorder is not None:
            observing.recorder.found(self.steps[0].scope.call, found)
        return found


# How stores and ORMs call what they raise where there is nothing to return.
_NOT_FOUND = ("NotFound", "NotFoundError", "DoesNotExist", "NoResultFound")


def _may_mean_none(error: Exception) -> bool:
    """Return whether an error may say that there is no such object, for which `find` is None."""
    if isinstance(error, AsyncFactoryError):
        return False
    return isinstance(error, LookupError) or any(
        one.__name__.endswith(_NOT_FOUND) for one in type(error).__mro__
    )


def _checked(
    adapter: PersistenceAdapter[M], method: str, saved: Sequence[M], expected: int
) -> Sequence[M]:
    saved = _counted(adapter, method, saved, expected)
    if any(instance is None for instance in saved):
        raise _returned_none(adapter, method)
    return saved


def _returned_none(adapter: PersistenceAdapter[Any], method: str) -> AdapterError:
    return AdapterError(
        f"{type(adapter).__name__}.{method}() returned None; it has to return the instance "
        "that it stored."
    )


def _counted(
    adapter: PersistenceAdapter[Any], method: str, answers: Sequence[R], expected: int
) -> Sequence[R]:
    if (type(answers) is list or isinstance(answers, Sequence)) and len(answers) == expected:
        return answers
    if isinstance(answers, Sequence):
        returned = f"{len(answers)} {'answers' if method == 'find_many' else 'instances'}"
    else:
        returned = "None" if answers is None else f"an object of type {type(answers).__name__}"
    raise AdapterError(
        f"{type(adapter).__name__}.{method}() returned {returned} for {expected}; it has to return "
        f"a list with one for each, in order{', None for none' * (method == 'find_many')}."
    )
