"""Given means given: a relation is left out where its keys are given closer than itself.

A value may come from the call, or from the declaration that asks for a part; from a trait that is
switched on; or from a class, of which a subclass is closer than its base. If all the keys of a
relation come from closer than the relation, that is not evaluated, nor handed to the model. So no
object is stored that nothing refers to, and what the keys refer to is what the relation is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from async_factory_boy.exceptions import ConfigurationError, LeftOutError, shown
from async_factory_boy.factory.meta import AsyncFactoryOptions, is_overridden
from async_factory_boy.factory.step import RelatedInstance, Step, is_awaitable
from async_factory_boy.factory.upstream import SKIP, factory_of, overrides, parameters, traits

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# How close a value comes from; the lower, the closer. The classes of a factory have _CLASSES and
# up, by their place in its __mro__. A name that nothing has a value for is behind all of them.
_CALL = 0
_TRAIT = 1
_CLASSES = 2
_NOWHERE = 1_000_000

_UNKNOWN = object()


class Closeness:
    """How close the values of a factory come from, for calls with certain keywords.

    Args:
        meta: The ``_meta`` of the factory.
        extras: The keywords.
        names: What is declared, or given.
    """

    def __init__(self, meta: Any, extras: Mapping[str, Any], names: Iterable[str]) -> None:
        self._meta = meta
        self._extras = extras
        self._names = frozenset(names)

    def of(self, name: str) -> int:
        """Return how close a value comes from, if no trait has one; the lower, the closer."""
        if any(_is_about(extra, name) for extra in self._extras):
            return _CALL
        parameter = parameters(self._meta).get(name)
        is_declared_in = (
            (lambda one: name in vars(one))
            if parameter is None
            # factory_boy does not keep the Params of a class, but their contents.
            else (lambda one: parameters(one._meta).get(name) is parameter)
        )
        places = [
            place
            for place, one in enumerate(factory_of(self._meta).__mro__)
            if hasattr(one, "_meta") and is_declared_in(one)
        ]
        if not places:
            return _NOWHERE
        # Its contents a subclass inherits, so a parameter is from the farthest class that has it.
        return _CLASSES + (places[0] if parameter is None else places[-1])

    def traits(self, name: str) -> list[str]:
        """Return the traits which have a value, and may be switched on."""
        return [
            trait
            for trait, declared in traits(self._meta).items()
            if trait in self._names
            and any(_is_about(override, name) for override in overrides(declared))
        ]


class Omission:
    """Leaves a relation out, for the objects whose keys come from closer.

    Args:
        factory: The factory.
        relation: The relation.
        keys: Its keys.
        closeness: How close the values are.
    """

    def __init__(
        self, factory: Any, relation: str, keys: Iterable[str], closeness: Closeness
    ) -> None:
        self.relation = relation
        self.keys = frozenset(keys)
        self._factory = factory
        self._places = {name: closeness.of(name) for name in (relation, *self.keys)}
        self._traits = {name: closeness.traits(name) for name in (relation, *self.keys)}

    def _nearest(self, name: str) -> int:
        return min(_TRAIT, self._places[name]) if self._traits[name] else self._places[name]

    @property
    def may_be(self) -> bool:
        """Whether the relation is left out for any object."""
        nearest = max(map(self._nearest, self.keys))
        return nearest < self._places[self.relation]

    @property
    def is_certain(self) -> bool:
        """Whether it is left out for every object whose keys have values."""
        return max(self._places[key] for key in self.keys) < self._nearest(self.relation)

    def applies(self, step: Step) -> bool:
        """Return whether the relation is left out for an object, whose keys are evaluated."""
        if max(self._place(step, key) for key in self.keys) >= self._place(step, self.relation):
            return False
        # A Maybe may skip a key, which then has no value.
        return all(step.read(key) is not SKIP for key in sorted(self.keys))

    def _place(self, step: Step, name: str) -> int:
        place = self._places[name]
        if place > _TRAIT and any(step.read(trait) for trait in self._traits[name]):
            return _TRAIT
        return place

    @property
    def _are(self) -> str:
        return "is" if len(self.keys) == 1 else "are"

    def error(self) -> LeftOutError:
        """Return what is raised where something reads the relation."""
        keys = _listed(self.keys)
        return LeftOutError(
            f"{self._factory.__name__}.{self.relation} is left out, since {keys} {self._are} "
            f"given; read {keys} here, or give {self.relation} to the call in place of {keys}."
        )

    def read_by(self, real: Callable[[Step], Any]) -> Callable[[Step], Any]:
        """Return what evaluates the relation where something reads it.

        Args:
            real: Evaluates its declaration.
        """
        relation = self.relation

        def evaluate(step: Step) -> Any:
            if not self.keys.isdisjoint(step.pending):
                return real(step)  # a key is read off the relation itself
            step.pending.remove(relation)  # or a key that reads it would seem to be a cycle
            try:
                applies = self.applies(step)
            finally:
                step.pending.append(relation)
            if relation in step.values:
                return step.values[relation]
            if applies:
                raise self.error()
            return real(step)

        return evaluate

    def refuse_impossible(self, model: Any) -> None:
        """Raise ConfigurationError for a model that cannot do without the relation."""
        meta, relation = self._factory._meta, self.relation
        field = meta.rename.get(relation, relation)
        keys = _listed(self.keys)
        if relation in meta.inline_args:
            raise ConfigurationError(
                relation,
                f"cannot be left out, as it has to be since {keys} {self._are} given: "
                f"Meta.inline_args makes it positional. Give {relation} in place of {keys}.",
                owner=self._factory.__name__,
            )
        if (
            relation in meta.exclude
            or relation in parameters(meta)
            or any(
                is_overridden(self._factory, one) for one in ("_adjust_kwargs", "_build", "_create")
            )
        ):
            return
        try:
            parameter = inspect.signature(model).parameters.get(field)
        except (TypeError, ValueError):  # not everything that can be called has a signature
            return
        if (
            parameter is not None
            and parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        ):
            raise ConfigurationError(
                relation,
                f"cannot be left out, as it has to be since {keys} {self._are} given: "
                f"{model.__name__}() requires {field}. Give {relation} in place of {keys}, or give "
                f"the parameter of {model.__name__}() a default.",
                owner=self._factory.__name__,
            )


def omissions(meta: Any, extras: Mapping[str, Any], declared: Iterable[str]) -> list[Omission]:
    """Return how relations of a factory are left out, in calls with certain keywords.

    Raises:
        ConfigurationError: When a keyword reaches into what is left out.
    """
    relations = relations_of(meta)
    if not relations:
        return []
    names = frozenset(declared)
    closeness = Closeness(meta, extras, names)
    found = []
    for relation, keys in relations.items():
        if relation not in names or not keys or not names.issuperset(keys):
            continue
        if relation not in extras and all(key in extras for key in keys):
            for extra in extras:
                if _is_about(extra, relation):
                    raise ConfigurationError(
                        extra,
                        f"is given besides {_listed(keys)}, which leaves {relation} out; give "
                        "one of them.",
                        owner=factory_of(meta).__name__,
                    )
        omission = Omission(factory_of(meta), relation, keys, closeness)
        if omission.may_be:
            found.append(omission)
    return found


class Agreement:
    """Has a relation and its keys be the same, if keys are given besides it.

    Args:
        factory: The factory.
        relation: The relation.
        keys: Those of its keys that are given, with what they are equal to.
        is_given: Whether the relation is given too. Otherwise it is declared, and some of its keys
            are not given, so that it is not left out.
    """

    def __init__(
        self, factory: Any, relation: str, keys: Mapping[str, str], *, is_given: bool
    ) -> None:
        self._factory = factory
        self._relation = relation
        self._keys = keys
        self._is_given = is_given

    def check_given(self, given: Mapping[str, Any], is_declared: Callable[[Any], bool]) -> None:
        """Raise ConfigurationError for plain values that contradict each other."""
        if not self._is_given:
            return
        related = given[self._relation]
        # Not is_awaitable(related): some models have an __await__().
        if related is not RelatedInstance and not is_declared(related):
            keys = {key: given[key] for key in self._keys}
            self._check(
                related,
                {
                    key: value
                    for key, value in keys.items()
                    if not is_declared(value) and not is_awaitable(value)
                },
            )

    def check(self, step: Step) -> None:
        """Raise ConfigurationError for values of an object that contradict each other."""
        self._check(step.read(self._relation), {key: step.read(key) for key in self._keys})

    def _check(self, related: Any, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if value is SKIP or related is SKIP:
                continue
            if related is None and not self._is_given:
                continue  # a key may belong to another relation as well
            remote = self._keys[key]
            # Not getattr(), which may ask the database.
            known = (
                None if related is None else getattr(related, "__dict__", {}).get(remote, _UNKNOWN)
            )
            # "3" is as good as 3 to some models, and a UUID as the string.
            if known is _UNKNOWN or (known == value) is not False or str(known) == str(value):
                continue
            is_ = "is None" if related is None else f"has {shown(known)} for its {remote}"
            if self._is_given:
                origin, instead = "given", f"give {key} or {self._relation}, not both"
            else:
                origin = "declared"
                instead = f"give {self._relation}__{remote} too, or all keys of {self._relation}"
            raise ConfigurationError(
                key,
                f"is given as {shown(value)}, but the {self._relation} that is {origin} {is_}; "
                f"{instead}.",
                owner=self._factory.__name__,
            )


def agreements(meta: Any, extras: Mapping[str, Any], declared: Iterable[str]) -> list[Agreement]:
    """Return what has to agree, in calls with certain keywords."""
    found = []
    names = frozenset(declared)
    if extras:
        for relation, keys in relations_of(meta).items():
            given = {key: remote for key, remote in keys.items() if key in extras}
            is_given = relation in extras
            if given and (is_given or (relation in names and not names.issuperset(keys))):
                found.append(Agreement(factory_of(meta), relation, given, is_given=is_given))
    return found


def overruled_keys(meta: Any, extras: Mapping[str, Any], declared: Iterable[str]) -> set[str]:
    """Return the keys that are not handed to the model: their relation comes from closer."""
    names = frozenset(declared)
    closeness = Closeness(meta, extras, names)
    return {
        key
        for relation, keys in relations_of(meta).items()
        if relation in names
        for key in names.intersection(keys)
        if closeness.of(key) > closeness.of(relation) and not closeness.traits(key)
    }


def without_overruled(
    factory: Any,
    extras: Mapping[str, Any],
    place: Callable[[str], int],
    *,
    exempt: str = "",
) -> Mapping[str, Any]:
    """Return the keywords for a part, without those that are overruled from closer.

    Args:
        factory: The factory of the part.
        extras: The keywords.
        place: Returns how close one comes from.
        exempt: A relation that neither overrules its keys, nor is overruled by them.
    """
    overruled: set[str] = set()
    for relation, keys in relations_of(getattr(factory, "_meta", None)).items():
        given = [key for key in keys if key in extras]
        if not given or relation == exempt:
            continue
        about = [name for name in extras if _is_about(name, relation)]
        if not about:
            continue
        closest = min(map(place, about))
        if len(given) == len(keys) and max(map(place, given)) < closest:
            overruled.update(about)
        else:
            overruled.update(key for key in given if place(key) > closest)
    if not overruled:
        return extras
    return {name: value for name, value in extras.items() if name not in overruled}


def relations_of(meta: Any) -> Mapping[str, Mapping[str, str]]:
    """Return the relations that a factory may be given the keys of."""
    return meta.relations() if isinstance(meta, AsyncFactoryOptions) else {}


def _is_about(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}__")


def _listed(names: Iterable[str]) -> str:
    *others, last = sorted(names)
    return f"{', '.join(others)} and {last}" if others else last
