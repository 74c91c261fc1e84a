"""Random families of factories, as data: a few factories that refer to each other, and calls.

A description holds nothing of factory_boy, so that the same one can be made with any base class;
`tests.factory.realisation` does so.

Two things are true of every family, unless it is drawn as a faulty one:

- Nothing is read in a circle. The names have an order, which is drawn too, and what stands for a
  name reads only names that come before it. Where it stands in the class body is another matter.
- What is read exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from hypothesis import strategies as st

# Some are what factory_boy calls its own attributes and parameters, inside and out.
FIELDS = ("a", "b", "step", "instance", "sequence")
PARAMS = ("p", "q")
TRAITS = ("t", "u")
AFTER = ("after", "beyond")
UNKNOWN = "z"


@dataclass(frozen=True)
class Declared:
    """A declaration: `Realisation` has a method for each kind, which takes the arguments."""

    kind: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    own: str = ""
    """What a subclass of the declaration's class overrides; empty for the class itself."""

    def __repr__(self) -> str:
        arguments = [*map(repr, self.arguments)]
        arguments += [f"{name}={value!r}" for name, value in self.keywords.items()]
        own = f"<{self.own}>" if self.own else ""
        return f"{self.kind}{own}({', '.join(arguments)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # Hypothesis asks for this


@dataclass(frozen=True)
class Ref:
    """A factory of the family."""

    index: int
    by_path: bool = False
    """Whether its import path is given, and not the class."""


@dataclass(frozen=True)
class Read:
    """A value that a declaration reads off the object under construction."""

    up: int
    """How many parents up from that object."""
    path: str
    default: Any = ...
    """What is read where there is nothing; Ellipsis has it fail."""


@dataclass(frozen=True)
class Described:
    """A factory."""

    base: int | None
    model: str
    body: Mapping[str, Any]
    params: Mapping[str, Any]
    meta: Mapping[str, Any]
    hooks: tuple[str, ...]
    """The methods that it overrides."""
    created_backwards: bool
    """Whether the declarations were created in another order than they stand in."""
    is_foreign: bool = False
    """Whether it derives from `factory.Factory`, whatever the others derive from."""


@dataclass(frozen=True)
class Family:
    factories: tuple[Described, ...]
    calls: tuple[Mapping[str, Any], ...]
    """The keywords of each call of the last factory."""
    reset: tuple[int | None, bool]
    """What its `reset_sequence` is called with in between."""

    @cached_property
    def kinds(self) -> set[str]:
        """The kinds of all declarations, those within others too."""
        return {part.kind for part in self._parts if type(part) is Declared}

    @cached_property
    def has_shared_counter(self) -> bool:
        """Whether sequence numbers are drawn from one counter in two places of the graph."""
        root = len(self.factories) - 1
        counters = [self._counter(part.index) for part in self._parts if type(part) is Ref]
        return len({*counters, self._counter(root)}) <= len(counters)

    @cached_property
    def _parts(self) -> list[Any]:
        return list(_parts((self.factories, self.calls)))

    def _counter(self, index: int) -> int:
        base = self.factories[index].base
        return index if base is None else self._counter(base)


def _parts(value: Any) -> Iterator[Any]:
    yield value
    if is_dataclass(value):
        for one in fields(value):
            yield from _parts(getattr(value, one.name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _parts(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _parts(part)


# What may be wrong with a faulty family. Each has one kind of fault, in places.
FAULTS = (
    "circular",  # what is read depends on what reads it
    "unknown",  # what is read is not there
    "raising",  # a function raises, or assigns to the object under construction
    "broken",  # a declaration cannot be evaluated
    "arguments",  # the model refuses its arguments, or is given none
    "overrides",  # there is nothing that could be overridden
    "definition",  # the class cannot be made, or a declaration of it
)


class Scope(NamedTuple):
    """What a declaration may read."""

    names: tuple[str, ...]
    """Of the object that it is for."""
    parents: tuple[Scope, ...] = ()
    """Of the objects that this one is a part of, the nearest first."""

    def inner(self, names: tuple[str, ...] = ()) -> Scope:
        return Scope(names, (self, *self.parents))


PLAIN = (0, 1, "text", None, False, True, (1, 2), [3])
LEAVES = (
    "function",
    "lazy",
    "lazy",
    "sequence",
    "lazy_sequence",
    "self_attribute",
    "self_attribute",
    "iterator",
    "faker",
    "fuzzy",
    "container",
    "custom",
    "parametered",
)
NESTED = (
    "sub",
    "sub",
    "sub",
    "sub",
    "dict",
    "list",
    "maybe",
    "maybe",
    "transformer",
    "transformer",
    "recursing",
    "building",
)
POSTS = (
    "hook",
    "hook",
    "related",
    "related",
    "related_list",
    "method",
    "maybe_post",
    "custom_post",
    "evaluated_post",
    "creating",
)
MODELS = ("record", "record", "record", "record", "dict", "strict", "failing")
HOOKS = (
    "_adjust_kwargs",
    "_adjust_kwargs of a staticmethod",
    "_build",
    "_build of a mixin",
    "_create",
    "_create of a mixin",
    *["_after_postgeneration"] * 4,
    "_setup_next_sequence",
    "_generate",
    "build",
    "create",
    "get_model_class",
)
OWN = ("subclass", "evaluate", "evaluate_pre", "unroll_context", "flags")
OWN_POST = ("subclass", "call", "evaluate_post", "unroll_context", "flags")


class Drawing:
    """Draws a family, factory by factory; each may refer to those before it."""

    def __init__(self, draw: Callable[..., Any], fault: str) -> None:
        self.draw = draw
        self.of_fault = fault
        """The kind of fault, or empty."""
        self.factories: list[Described] = []
        self.bodies: list[dict[str, Any]] = []
        """What each name of a factory stands for, inherited ones included."""
        self.traits: list[tuple[str, ...]] = []
        self.usable: list[int] = []
        self.unused: list[int] = []
        self.labels = 0
        self.leaves = LEAVES if self.chance(3) else [leaf for leaf in LEAVES if leaf not in DRAWS]
        self.refs = 0
        self.shares = self.chance(4)
        """Whether a factory may stand in several places of the graph."""
        self.order: tuple[str, ...] = tuple(draw(st.permutations(FIELDS + PARAMS)))

    def chance(self, of: int) -> bool:
        """Return True once in so many times."""
        return self.number(of - 1) == of - 1

    def fault(self, kind: str, of: int = 3) -> bool:
        """Return True once in so many times, if the family has this kind of fault."""
        return self.of_fault == kind and self.chance(of)

    def number(self, most: int) -> int:
        return int(self.draw(st.integers(0, most)))

    def pick(self, options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def some(self, options: Any, most: int) -> tuple[Any, ...]:
        """Return up to so many of the options, each at most once, in any order."""
        left = list(options)
        return tuple(left.pop(self.number(len(left) - 1)) for _ in range(self.number(most)))

    def label(self, kind: str) -> str:
        self.labels += 1
        return f"{kind}{self.labels}"

    def family(self) -> Family:
        for _ in range(1 + self.number(1 if self.of_fault else 3)):
            self.add()
        root = len(self.factories) - 1
        meta = {**self.factories[root].meta, "abstract": self.fault("broken", 10)}
        self.factories[root] = replace(self.factories[root], meta=meta)
        calls = [self.context(root, (), most=4) for _ in range(1 + self.number(1))]
        if self.chance(2):
            calls[0]["deeper"] = True  # see with_itself()
        self.not_foreign(root)
        reset = (self.pick((None, 3)), self.chance(2))
        return Family(tuple(self.factories), tuple(calls), reset)

    def not_foreign(self, index: int | None) -> None:
        """Have a factory, with those that it is derived from, not be a foreign one."""
        while index is not None:
            self.factories[index] = replace(self.factories[index], is_foreign=False)
            index = self.factories[index].base

    # What a name may stand for

    def before(self, name: str, names: Any) -> tuple[str, ...]:
        """Return those of the names that may be read for the value of `name`."""
        if name not in self.order:
            return tuple(names)
        order = self.order[: self.order.index(name)]
        return tuple(other for other in names if other in order)

    def scope(self, index: int, name: str, parents: tuple[Scope, ...] = ()) -> Scope:
        names = [n for n, value in self.bodies[index].items() if not is_post(value)]
        return Scope(self.before(name, names), parents)

    # Factories

    def add(self) -> None:
        index = len(self.factories)
        base = self.base()
        body: dict[str, Any] = {} if base is None else dict(self.bodies[base])
        inherited = () if base is None else self.traits[base]
        names = self.some(FIELDS, 5)
        params = self.some(PARAMS, 2)
        afters = self.some(AFTER, 2)
        for name in (*names, *params):
            body[name] = None  # not known yet, but there
        self.bodies.append(body)
        self.traits.append(inherited)
        own: dict[str, Any] = {}
        for name in names:
            own[name] = body[name] = self.value(self.scope(index, name))
        own_params = {name: self.value(self.scope(index, name)) for name in params}
        body.update(own_params)
        everything = self.scope(index, "")
        for name in afters:
            own[name] = body[name] = self.post(everything)
        for _ in range(self.number(2)):
            own.update([self.deep(index)])
        if self.fault("definition", 4):
            own[self.pick(("z__x", "_z", "a__b__c"))] = self.value(everything)
        if self.chance(8):
            own.update([self.pick((("_private", self.value(everything)), ("__sequence", 7)))])
        if self.chance(6):
            own, own_params = self.with_itself(index, own, own_params)
        own_params.update(self.drawn_traits(index))
        if self.chance(10):
            own_params["hidden"] = self.post(everything)
        self.traits[index] = tuple({*inherited, *(own_params.keys() & set(TRAITS))})
        model, meta = self.meta(index, base)
        self.factories.append(
            Described(
                base,
                model,
                own,
                own_params,
                meta,
                hooks=self.some(HOOKS, 2) if self.chance(2) else (),
                created_backwards=self.chance(3),
                is_foreign=base is None and self.chance(8),
            )
        )
        if not meta.get("abstract") or self.fault("broken", 1):
            self.usable.append(index)
            self.unused.append(index)

    def base(self) -> int | None:
        candidates = range(len(self.factories)) if self.shares else self.unused
        if not candidates or not self.chance(3):
            return None
        base: int = self.pick(candidates)
        if base in self.unused:
            self.unused.remove(base)
        return base

    def with_itself(
        self, index: int, own: Mapping[str, Any], params: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add a part that is made by the same factory, once.

        The names are not in `bodies`, so nothing else is given to them: it would never end.
        """
        part = Declared(
            "sub", (Ref(index, by_path=True),), {"deeper": False, **self.context(index, (), 3)}
        )
        return {**own, "part": Declared("maybe", ("deeper", part, None))}, {
            **params,
            "deeper": self.pick((False, True)),
        }

    def drawn_traits(self, index: int) -> dict[str, Any]:
        traits: dict[str, Any] = {}
        for name in self.some(TRAITS, 2) if self.chance(2) else ():
            overrides = self.context(index, (), most=3, in_trait=True)
            if name == "u" and "t" in (*traits, *self.traits[index]) and self.chance(2):
                overrides["t"] = True
            if self.fault("definition"):
                overrides[self.pick((*TRAITS, "z__x"))] = True
            if overrides:
                traits[name] = Declared("trait", (), overrides)
        return traits

    def meta(self, index: int, base: int | None) -> tuple[str, dict[str, Any]]:
        body = self.bodies[index]
        names = [name for name in body if name in FIELDS and not is_post(body[name])]
        meta: dict[str, Any] = {}
        model = "inherited" if base is not None and self.chance(2) else self.pick(MODELS)
        if model in ("strict", "failing") and self.of_fault != "arguments":
            model = "record"
        if base is not None and model == "record" and self.chance(2):
            model = "derived"
        if self.chance(8) and index == 0:
            meta["abstract"] = True
        names = list(self.draw(st.permutations(names)))
        if names and self.chance(4):
            meta["exclude"] = [names.pop()] if self.chance(2) else (names.pop(), UNKNOWN)
        if names and self.chance(4):
            old = names.pop()
            new = self.pick(("renamed", UNKNOWN, *(names if self.of_fault == "arguments" else ())))
            meta["rename"] = {old: new, "nowhere": "never"}
        if model != "dict" and self.chance(4):
            meta["inline_args"] = tuple(names[: self.number(2)])
            if self.fault("arguments"):
                meta["inline_args"] += (self.pick((*FIELDS, *PARAMS, UNKNOWN)),)
        return model, meta

    # Overrides

    def context(
        self, index: int, parents: tuple[Scope, ...], most: int = 2, in_trait: bool = False
    ) -> dict[str, Any]:
        """Return what a factory is called with: by a call, a SubFactory or a trait."""
        return dict(
            self.override(index, parents, in_trait=in_trait) for _ in range(self.number(most))
        )

    def override(
        self, index: int, parents: tuple[Scope, ...], depth: int = 0, in_trait: bool = False
    ) -> tuple[str, Any]:
        body = self.bodies[index]
        if not in_trait and self.chance(16):
            return "__sequence", self.pick((5, 100, "7", None))
        if not in_trait and self.traits[index] and self.chance(3):
            return self.pick(self.traits[index]), self.pick((True, True, False))
        name = self.pick((*body, UNKNOWN) if body else (UNKNOWN,))
        value = body.get(name)
        deeper = self.chance(3) or (factory_of(value) is not None and self.chance(2))
        if name in body and depth < 3 and deeper and kind(value) != "broken":
            inner, given = self.inside(index, name, parents, depth)
            return f"{name}__{inner}", given
        scope = self.scope(index, name, parents)
        if is_post(value):
            # A plain value is what a hook gets in a call; in a trait it takes the hook's place.
            replaced = in_trait or self.chance(3)
            return name, self.post(scope) if replaced else self.value(scope.inner())
        if self.fault("definition" if in_trait else "overrides"):
            return self.pick((name, f"{name}__", UNKNOWN + "__x")), self.post(scope)
        if kind(value) == "transformer" and self.chance(2):
            return name, Declared("force", (self.value(scope),))
        return name, Declared("skip") if self.chance(12) else self.value(scope)

    def deep(self, index: int) -> tuple[str, Any]:
        """Return what a class body gives to a part: ``company__name = ...``."""
        # Where the path of a part leads is looked up early if something is given to the part.
        names = [n for n, value in self.bodies[index].items() if kind(value) != "broken"]
        if not names:
            return "_nothing", None
        name = self.pick(names)
        inner, given = self.inside(index, name, (), 0)
        return f"{name}__{inner}", given

    def inside(
        self, index: int, name: str, parents: tuple[Scope, ...], depth: int
    ) -> tuple[str, Any]:
        value = self.bodies[index][name]
        scope = self.scope(index, name, parents)
        reached = factory_of(value)
        if reached is not None:
            return self.override(reached, (scope, *parents), depth + 1)
        if kind(value) == "faker" and not self.fault("overrides"):
            return "max_value", self.pick((9_000, 9_500))
        if kind(value) in ("dict", "list"):
            if self.chance(4):
                return "__sequence", 5
            names = (*value.arguments[0], "new") if kind(value) == "dict" else ("0", "1")
            return self.pick(names), self.value(scope.inner(), 1)
        return "x__y" if self.fault("overrides") else self.pick(("k", "x")), self.value(
            scope.inner(), 1
        )

    # Values

    def value(self, scope: Scope, depth: int = 0) -> Any:
        if self.chance(4):
            return self.pick(PLAIN)
        chosen = self.pick([*self.leaves, *(NESTED if depth < 2 else ())])
        if chosen in FACTORIES and not self.candidates():
            chosen = "lazy"
        declared: Declared = getattr(self, f"drawn_{chosen}")(scope, depth)
        if self.fault("broken", 5):
            return Declared("broken", (self.pick(("abstract", "module", "name", "recursing")),))
        if self.fault("definition", 20):
            return Declared("broken", ("path",))
        return replace(declared, own=self.pick(OWN)) if self.chance(3) else declared

    def post(self, scope: Scope, depth: int = 0) -> Any:
        chosen = self.pick(POSTS)
        if chosen == "maybe_post" and depth == 2:
            chosen = "hook"
        if chosen in FACTORIES and not self.candidates():
            chosen = "hook"
        declared: Declared = getattr(self, f"drawn_{chosen}")(scope, depth)
        return replace(declared, own=self.pick(OWN_POST)) if self.chance(3) else declared

    def candidates(self) -> list[int]:
        """Return the factories that one more declaration may refer to."""
        if not self.shares:
            return self.unused
        return self.usable if self.refs < 5 else []  # or the graph would be large

    def ref(self) -> Ref:
        index = self.pick(self.candidates())
        self.refs += 1
        if not self.shares:
            self.unused.remove(index)
        return Ref(index, self.chance(4))

    def read(self, scope: Scope) -> Read:
        default = self.pick((..., ..., "default"))
        if self.bodies[-1] and self.fault("circular", 2):
            return Read(0, self.pick(tuple(self.bodies[-1])), default)
        if self.fault("unknown"):
            path = self.pick((*FIELDS, UNKNOWN, "a.b", "factory_parent.a"))
            return Read(self.pick((0, 0, 0, 1, 2)), path, default)
        scopes = [(up, one) for up, one in enumerate((scope, *scope.parents)) if one.names]
        if not scopes or self.chance(6):
            path = self.pick((*TRAITS, UNKNOWN, "nowhere.a"))
            return Read(0, path, self.pick(("default", None)))
        up, one = self.pick(scopes)
        name = self.pick(one.names)
        if self.chance(4):
            return Read(up, f"{name}.{self.pick(FIELDS)}", "default")
        return Read(up, name, default)

    def reads(self, scope: Scope) -> tuple[Read, ...]:
        return tuple(self.read(scope) for _ in range(self.number(2)))

    def result(self) -> str:
        """Return what kind of value a function returns, or how it fails."""
        if self.fault("raising"):
            return str(
                self.pick(("ValueError", "AttributeError", "StopIteration", *["assign"] * 3))
            )
        return str(self.pick(("text", "text", "text", "parity", "parity", "none", "skip", "other")))

    def called(self, name: str, scope: Scope) -> Declared:
        return Declared(name, (self.label(name), self.reads(scope), self.result()))

    def drawn_function(self, scope: Scope, depth: int) -> Declared:
        return Declared("function", (self.label("function"), (), self.result()))

    def drawn_lazy(self, scope: Scope, depth: int) -> Declared:
        return self.called("lazy", scope)

    def drawn_sequence(self, scope: Scope, depth: int) -> Declared:
        return Declared("sequence", (self.label("sequence"), (), self.result()))

    def drawn_lazy_sequence(self, scope: Scope, depth: int) -> Declared:
        return self.called("lazy_sequence", scope)

    def drawn_container(self, scope: Scope, depth: int) -> Declared:
        strict = bool(scope.parents) or self.fault("unknown", 2)
        return Declared(
            "container", (self.label("container"), self.reads(scope)), {"strict": strict}
        )

    def drawn_custom(self, scope: Scope, depth: int) -> Declared:
        keywords = {"captures": True} if self.chance(4) else {}
        return replace(self.called("custom", scope), keywords=keywords)

    def drawn_parametered(self, scope: Scope, depth: int) -> Declared:
        keywords = {k: self.value(scope.inner(), depth + 1) for k in self.some(("k", "x"), 2)}
        return Declared("parametered", (self.label("parametered"),), keywords)

    def drawn_self_attribute(self, scope: Scope, depth: int) -> Declared:
        return Declared("self_attribute", (self.read(scope),))

    def drawn_iterator(self, scope: Scope, depth: int) -> Declared:
        keywords = {
            "cycle": not self.fault("raising", 1),
            "getter": self.chance(3),
            "lazily": self.chance(3),
        }
        return Declared("iterator", (self.label("iterator"), self.number(2) + 1), keywords)

    def drawn_faker(self, scope: Scope, depth: int) -> Declared:
        locale = {"locale": "de_DE"} if self.chance(4) else {}
        return Declared("faker", ("pyint",), locale)

    def drawn_fuzzy(self, scope: Scope, depth: int) -> Declared:
        return Declared("fuzzy", (self.pick(("FuzzyInteger", "FuzzyChoice", "FuzzyText")),))

    def drawn_sub(self, scope: Scope, depth: int) -> Declared:
        ref = self.ref()
        return Declared("sub", (ref,), self.context(ref.index, (scope, *scope.parents)))

    def drawn_recursing(self, scope: Scope, depth: int) -> Declared:
        ref = self.ref()
        context = self.context(ref.index, (scope, *scope.parents))
        return Declared("recursing", (ref, self.pick((None, 50))), context)

    def drawn_building(self, scope: Scope, depth: int) -> Declared:
        ref = self.ref()
        return Declared("building", (ref, self.context(ref.index, ())))

    def drawn_dict(self, scope: Scope, depth: int) -> Declared:
        names = self.some(("i", "j", "k"), 3)
        return Declared("dict", (self.values(names, scope, depth),))

    def drawn_list(self, scope: Scope, depth: int) -> Declared:
        values = self.values(("0", "1", "2")[: self.number(3)], scope, depth)
        return Declared("list", (tuple(values.values()),))

    def values(self, names: tuple[str, ...], scope: Scope, depth: int) -> dict[str, Any]:
        return {n: self.value(scope.inner(names[:i]), depth + 1) for i, n in enumerate(names)}

    def decider(self, scope: Scope, depth: int) -> Any:
        if self.chance(2):
            return self.pick((*scope.names, *TRAITS))
        declared = self.value(scope, depth + 1)
        return declared if isinstance(declared, Declared) else self.drawn_sequence(scope, depth)

    def drawn_maybe(self, scope: Scope, depth: int) -> Declared:
        branches = [self.value(scope, depth + 1) for _ in range(self.number(2))]
        if self.fault("definition"):
            branches.append(self.post(scope, 2))
        return Declared("maybe", (self.decider(scope, depth), *branches[:2]))

    def drawn_transformer(self, scope: Scope, depth: int) -> Declared:
        value = self.value(scope, depth + 1)
        if self.chance(5):
            value = Declared("force", (value,))
        return Declared("transformer", (value, self.label("transform"), self.result()))

    # What runs once the object is there

    def drawn_hook(self, scope: Scope, depth: int) -> Declared:
        return Declared("hook", (self.label("hook"), self.result()))

    def drawn_custom_post(self, scope: Scope, depth: int) -> Declared:
        keywords = {k: self.value(scope.inner(), 1) for k in self.some(("k", "x"), 2)}
        return Declared("custom_post", (self.label("custom_post"),), keywords)

    def drawn_evaluated_post(self, scope: Scope, depth: int) -> Declared:
        return Declared("evaluated_post", (self.label("evaluated_post"),))

    def drawn_method(self, scope: Scope, depth: int) -> Declared:
        name = "no_method" if self.fault("broken") else "mark"
        args = (1, 2) if self.fault("definition", 2) else self.some((1,), 1)
        return Declared("method", (name, *args), dict.fromkeys(self.some("kx", 2)))

    def drawn_related(self, scope: Scope, depth: int) -> Declared:
        ref = self.ref()
        context = self.context(ref.index, (scope, *scope.parents))
        return Declared("related", (ref, self.pick(("", "owner", *FIELDS[:1]))), context)

    def drawn_related_list(self, scope: Scope, depth: int) -> Declared:
        size = Declared("size", (self.number(2),)) if self.chance(2) else self.number(2)
        related = self.drawn_related(scope, depth)
        return replace(related, kind="related_list", arguments=(*related.arguments, size))

    def drawn_creating(self, scope: Scope, depth: int) -> Declared:
        ref = self.ref()
        size = self.pick((None, 2))
        return Declared("creating", (ref, size, self.context(ref.index, ())))

    def drawn_maybe_post(self, scope: Scope, depth: int) -> Declared:
        branches = [self.post(scope, depth + 1)]
        if self.chance(2):
            branches.append(self.post(scope, depth + 1))
        elif self.chance(3):
            branches.insert(0, self.pick(PLAIN))
        if self.chance(4):
            return Declared("maybe_post", (self.drawn_hook(scope, depth), *branches))
        # No Transformer: to decide, it would take out the value that is meant for the branch. (So
        # it does in factory_boy, as a side effect; not with AsyncFactory.)
        return Declared("maybe_post", (self.decider(scope, depth=2), *branches))


# The kinds that have another value each time.
DRAWS = {"faker", "fuzzy", "iterator"}
# Those that make several objects at once, or may.
SEVERAL = {"related_list", "creating"}
# Those that need a factory of the family.
FACTORIES = {"sub", "recursing", "building", "related", "related_list", "creating"}


def kind(value: Any) -> str:
    return value.kind if isinstance(value, Declared) else ""


def is_post(value: Any) -> bool:
    return kind(value) in POSTS


def factory_of(value: Any) -> int | None:
    """Return which factory takes what is given to a declaration with double underscores."""
    if kind(value) in ("sub", "recursing", "related", "related_list"):
        return int(value.arguments[0].index)
    if kind(value) in ("maybe", "maybe_post", "transformer"):
        return next((n for n in map(factory_of, value.arguments) if n is not None), None)
    return None


@st.composite
def families(draw: Any, fault: str = "") -> Family:
    """Draw a family, with one of the `FAULTS` or none."""
    return Drawing(draw, fault).family()
