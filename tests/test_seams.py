"""What async_factory_boy/factory/upstream.py takes for granted of factory_boy's inside.

None of it is documented by factory_boy, so any release may change it. A test that fails here names
what in that module has to follow. The last ones see to it that no other module knows more.
"""

from __future__ import annotations

import ast
import inspect
import logging
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import factory
import factory.random
import pytest
from factory import base, builder, declarations, enums, errors, helpers, utils

import async_factory_boy
from async_factory_boy.factory import AsyncFactory, AsyncFactoryOptions, evaluators, step, upstream
from async_factory_boy.factory.ruled import Ruled

pytestmark = pytest.mark.unmeasured


@contextmanager
def seam(taken_for_granted: str, *names: str) -> Generator[None]:
    """Turn whatever goes wrong inside into a failure that says what in `upstream` to look at."""
    assert not [name for name in names if not hasattr(upstream, name)]
    try:
        yield
    except Exception as error:
        pytest.fail(
            f"factory_boy {version('factory_boy')} does not do what it did: {taken_for_granted}. "
            f"Look at {', '.join(names)} in {upstream.__name__}, and at what uses it. "
            f"({type(error).__name__}: {error})"
        )


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def members(cls: type) -> set[str]:
    """Return what a class defines itself, without what every class has."""
    every = {"__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__slotnames__"}
    every |= {"__parameters__", "__orig_bases__", "__static_attributes__", "__firstlineno__"}
    every |= {"__annotations__", "__annotate_func__", "__annotate__", "__annotations_cache__"}
    every |= {"_creation_counter"}
    return vars(cls).keys() - every


def stated(protocol: type) -> set[str]:
    """Return what a protocol says that there is."""
    inherited = members(protocol) - {name for name in members(protocol) if name.startswith("_")}
    return inherited | protocol.__annotations__.keys()


class Model:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs


class Constant(declarations.BaseDeclaration):
    """Evaluates to a value, and notes how it was asked to."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value
        self.asked: list[tuple[str, Any]] = []

    def evaluate_pre(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        self.asked.append(("pre", dict(overrides)))
        return self.value

    def evaluate_post(self, instance: Any, step: Any, overrides: dict[str, Any]) -> Any:
        self.asked.append(("post", dict(overrides)))
        return self.value


class PostConstant(Constant):
    FACTORY_BUILDER_PHASE = enums.BuilderPhase.POST_INSTANTIATION


def made(**declared: Any) -> Any:
    """Return a factory of factory_boy's."""
    return helpers.make_factory(Model, **declared)


def results_of(**declared: Any) -> dict[str, Any]:
    """Return what the declarations evaluate to that run after the object is made."""
    seen: dict[str, Any] = {}

    class Noting(factory.Factory):
        class Meta:
            model = Model

        @classmethod
        def _after_postgeneration(cls, instance: Any, create: bool, results: Any = None) -> None:
            seen.update(results)

    helpers.make_factory(Model, FACTORY_CLASS=Noting, **declared).build()
    return seen


# Sets of declarations.


def test_a_declaration_set() -> None:
    """A set is two dicts: declarations, and what is given to them under longer names."""
    with seam(
        "DeclarationSet has .declarations and .contexts, is filled by update(), copied by copy() "
        "and as_dict(), and names are parted at the first double underscore",
        "parsed",
        "split",
        "declarations_of",
        "every",
    ):
        values = {"a": 1, "b": 2, "b__c": 3, "b__d__e": 4}
        one = builder.DeclarationSet(values)
        assert vars(one).keys() == {"declarations", "contexts"}
        assert one.declarations == {"a": 1, "b": 2}
        assert one.contexts == {"b": {"c": 3, "d__e": 4}}
        assert one.contexts.get("a") is None
        assert ("a" in one, "c" in one, list(one)) == (True, False, ["a", "b"])
        assert (one.as_dict(), repr(one)) == (values, f"<DeclarationSet: {values!r}>")
        other = one.copy()
        other.update({"b": 5, "b__c": 6, "f": 7})
        assert other.as_dict() == {"a": 1, "b": 5, "b__c": 6, "b__d__e": 4, "f": 7}
        assert one.as_dict() == values
        assert one.filter(["a", "a__x", "b__c", "c", "c__b"]) == ["a", "a__x", "b__c"]
        assert tuple(builder.DeclarationSet.split("a__b__c")) == ("a", "b__c")
        assert tuple(builder.DeclarationSet.split("a")) == ("a", None)


def test_order_of_declarations() -> None:
    """Values are evaluated in the order of the set, hooks in the order they were written in."""
    with seam(
        "BuildStep.resolve goes through the set, and StepBuilder.build through its .sorted()",
        "Parsed",
    ):
        order: list[str] = []
        x, y, z = (
            factory.PostGeneration(lambda *_, name=name: order.append(name)) for name in "xyz"
        )
        a, b, c, given = (
            factory.LazyFunction(partial(order.append, name)) for name in ("a", "b", "c", "given")
        )
        made(y=y, x=x, b=b, a=a).build(z=z, c=c, a=given)
        assert order == ["b", "given", "c", "x", "y", "z"]
        assert builder.DeclarationSet({"y": y, "x": x}).sorted() == ["x", "y"]


def test_parsing_declarations() -> None:
    """The keywords of a call are put among what the factory declares, before or after."""
    with seam(
        "parse_declarations(decls, base_pre, base_post) returns two new sets; what is given for a "
        "hook, or for a declaration with CAPTURE_OVERRIDES, is under the key '' of its context",
        "parsed",
        "ITSELF",
    ):
        shout = factory.Transformer("x", transform=str.upper)
        pre = builder.DeclarationSet({"a": 1, "b": shout, "c": Constant(1)})
        post = builder.DeclarationSet({"hook": PostConstant(1), "hook__x": 1})
        new = PostConstant(2)
        given_before = {"a": 2, "a__x": 3, "b": evaluators.Given("b"), "b__x": 4, "c": 5, "more": 8}
        given = {**given_before, "hook": 6, "hook__y": 7, "new": new}
        result = builder.parse_declarations(given, base_pre=pre, base_post=post)
        before, after = (one.as_dict() for one in result)
        assert before == {**given_before, "b": shout, "b__": evaluators.Given("b")}
        assert list(result[0]) == ["a", "b", "c", "more"]
        hook = post.declarations["hook"]
        assert after == {"hook": hook, "hook__x": 1, "hook__": 6, "hook__y": 7, "new": new}
        assert (len(pre.as_dict()), len(post.as_dict())) == (3, 2)
        for wrong in ({"a": new}, {"gone__x": 1}):
            with pytest.raises(errors.InvalidDeclarationError):
                builder.parse_declarations(wrong, base_pre=pre, base_post=post)


def test_phases() -> None:
    """What says of a phase that it is its own is a declaration; anything else is a plain value."""
    with seam(
        "there are the phases ATTRIBUTE_RESOLUTION and POST_INSTANTIATION, which "
        "get_builder_phase reads from an object of any class",
        "comes_before",
        "runs_after",
        "is_declared",
    ):
        phases = enums.BuilderPhase
        names = {name for name in vars(phases) if name.isupper()}
        assert names == {"ATTRIBUTE_RESOLUTION", "POST_INSTANTIATION"}
        for value in (1, evaluators.Given("a"), factory.Transformer.Force(1), factory.Trait()):
            assert enums.get_builder_phase(value) is None
        for one in (factory.LazyFunction(int), factory.Maybe("a", 1)):
            assert enums.get_builder_phase(one) == phases.ATTRIBUTE_RESOLUTION
        for one in (factory.PostGeneration(int), factory.Maybe("a", PostConstant(1))):
            assert enums.get_builder_phase(one) == phases.POST_INSTANTIATION
        odd = type("Odd", (), {"FACTORY_BUILDER_PHASE": phases.ATTRIBUTE_RESOLUTION})()
        odd.evaluate_pre = lambda instance, step, overrides: "evaluated"
        assert made(a=odd).build().kwargs == {"a": "evaluated"}


# Declarations.

PHASE, UNROLLS = "FACTORY_BUILDER_PHASE", "UNROLL_CONTEXT_BEFORE_EVALUATION"

# A declaration of each class, with what the class defines, and what the object holds.
DECLARATIONS = [
    (
        declarations.BaseDeclaration(),
        f"{PHASE} {UNROLLS} CAPTURE_OVERRIDES __init__ _unwrap_evaluate_pre evaluate evaluate_pre "
        "unroll_context",
        "",
    ),
    (factory.ContainerAttribute(int), "__init__ evaluate", "function strict"),
    (factory.Dict({}), "FORCE_SEQUENCE __init__", "factory_wrapper"),
    (
        factory.Faker("name"),
        "_DEFAULT_LOCALE _FAKER_REGISTRY __init__ _get_faker add_provider evaluate "
        "override_default_locale",
        "provider",
    ),
    (factory.Iterator([]), "__init__ evaluate reset", "getter iterator iterator_builder"),
    (factory.LazyAttribute(str), "__init__ evaluate", "function"),
    (factory.LazyAttributeSequence(str), "evaluate", "function"),
    (factory.LazyFunction(int), "__init__ evaluate", "function"),
    (factory.List([]), "FORCE_SEQUENCE __init__", "factory_wrapper"),
    (factory.Maybe("a"), "__init__ __repr__ evaluate_post evaluate_pre", f"{PHASE} decider no yes"),
    (factory.PostGeneration(int), "__init__ call", "function"),
    (
        factory.PostGenerationMethodCall("a"),
        "__init__ call",
        "method_arg method_kwargs method_name",
    ),
    (declarations.PostGenerationDeclaration(), f"{PHASE} call evaluate_post", ""),
    (
        factory.RelatedFactory("a.B"),
        f"{UNROLLS} __init__ call get_factory",
        "defaults factory_wrapper name",
    ),
    (
        factory.RelatedFactoryList("a.B"),
        "__init__ call",
        "defaults factory_wrapper name size",
    ),
    (factory.SelfAttribute("a"), "__init__ __repr__ evaluate", "attribute_name default depth"),
    (factory.Sequence(int), "__init__ evaluate", "function"),
    (
        factory.SubFactory("a.B"),
        f"FORCE_SEQUENCE {UNROLLS} __init__ evaluate get_factory",
        "factory_wrapper",
    ),
    (
        factory.Transformer(1, transform=str),
        f"CAPTURE_OVERRIDES Force {UNROLLS} __init__ evaluate_pre",
        "default transform",
    ),
]
CLASSES = {type(one) for one, _, _ in DECLARATIONS}

_PYINT = {"locale": None, "max_value": 1}

# What reads of a declaration what it holds.
READ = {
    factory.Dict: ("part",),
    factory.Faker: ("faked",),
    factory.LazyAttribute: ("function",),
    factory.LazyAttributeSequence: ("function",),
    factory.LazyFunction: ("function",),
    factory.List: ("part",),
    factory.Maybe: ("decision",),
    factory.RelatedFactory: ("part", "is_imported"),
    factory.RelatedFactoryList: ("part", "is_imported"),
    factory.SelfAttribute: ("own_attribute",),
    factory.Sequence: ("function",),
    factory.SubFactory: ("part", "is_imported"),
    factory.Transformer: ("transformation",),
}


@pytest.mark.parametrize(
    ("one", "methods", "attributes"), DECLARATIONS, ids=lambda value: type(value).__name__
)
def test_what_a_declaration_consists_of(one: Any, methods: str, attributes: str) -> None:
    """A method, a flag or an attribute that is new may change what a declaration evaluates to."""
    with seam(
        f"{type(one).__name__} defines {methods}, and holds {attributes}",
        *READ.get(type(one), ("Declaration",)),
    ):
        assert members(type(one)) == {*methods.split()}
        assert vars(one).keys() == {"_creation_counter", "_defaults", *attributes.split()}


# Why a declaration that evaluates to a value is not among those with rules of our own.
NOT_KNOWN = {
    declarations.BaseDeclaration: "is abstract",
    declarations.OrderedDeclaration: "is abstract, an old name of BaseDeclaration",
    declarations.ParameteredAttribute: "is abstract",
}


def test_every_declaration_is_known() -> None:
    """A kind of declaration that is new is noticed: it may be faster by a rule of our own."""
    with seam(
        "factory.declarations has no further class that evaluates to a value",
        "Declaration",
    ):
        every = {
            value
            for value in [*vars(declarations).values(), *vars(factory).values()]
            if isinstance(value, type) and issubclass(value, declarations.BaseDeclaration)
        }
        after = declarations.PostGenerationDeclaration
        before = {one for one in every if not issubclass(one, after)}
        assert before == evaluators.KNOWN.keys() - {Ruled} | NOT_KNOWN.keys()
        assert every - before <= CLASSES


@pytest.mark.parametrize(
    ("declaration", "replaced", "expected"),
    [
        (factory.LazyFunction(int), {"function": lambda: "new"}, "new"),
        (factory.LazyAttribute(str), {"function": lambda stub: stub.other}, "other"),
        (factory.Sequence(int), {"function": lambda n: (n, type(n))}, (5, int)),
        (
            factory.LazyAttributeSequence(str),
            {"function": lambda stub, n: (stub.other, n, type(n))},
            ("other", 5, int),
        ),
        (factory.SelfAttribute("gone"), {"attribute_name": "other"}, "other"),
        (factory.SelfAttribute("gone"), {"default": "new"}, "new"),
        (factory.Faker("name"), {"provider": "pyint", "_defaults": {"locale": None}}, int),
        (factory.Faker("pyint"), {"_defaults": {"locale": None, "max_value": 0}}, 0),
        (factory.Transformer("a", transform=str), {"default": "b", "transform": str.upper}, "B"),
        (factory.Transformer(Constant("a"), transform=str), {"default": Constant("b")}, "b"),
        (factory.Maybe("gone"), {"decider": Constant(1), "yes": "yes"}, "yes"),
        (factory.Maybe("gone"), {"decider": Constant(0), "no": Constant("no")}, "no"),
        (factory.SubFactory("a.B"), {"get_factory": lambda: factory.DictFactory}, {}),
        (factory.SubFactory(factory.DictFactory), {"_defaults": {"a": 1}}, {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_declaration_reads(declaration: Any, replaced: Any, expected: Any) -> None:
    """What a rule of ours reads of a declaration is what its own evaluation reads."""
    with seam(f"it evaluates by {sorted(replaced)}", *READ[type(declaration)]):
        vars(declaration).update(replaced)
        value = made(a=declaration, other="other").build(__sequence="5").kwargs["a"]
        assert value == expected or type(value) is expected


@pytest.mark.parametrize(
    ("declaration", "replaced", "expected"),
    [
        (
            factory.RelatedFactory("a.B"),
            {"get_factory": lambda: factory.DictFactory, "defaults": {"a": 1, "b": 1}},
            {"a": 1, "b": 2},
        ),
        (factory.RelatedFactory(factory.ListFactory, "a"), {"name": "b"}, [Model]),
        (factory.RelatedFactoryList(factory.DictFactory), {"size": 3}, [{"b": 2}] * 3),
        (factory.RelatedFactoryList(factory.DictFactory), {"size": lambda: 1}, [{"b": 2}]),
        (
            factory.Maybe("gone", PostConstant(1)),
            {"decider": Constant(1), "yes": PostConstant(2)},
            2,
        ),
        (factory.Maybe("gone", PostConstant(1)), {"no": "no"}, "no"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_related_factory_reads(declaration: Any, replaced: Any, expected: Any) -> None:
    """What a rule of ours reads of a declaration is what its own evaluation reads."""
    with seam(f"it evaluates by {sorted(replaced)}", *READ[type(declaration)]):
        vars(declaration).update(replaced)
        given = {} if replaced == {"name": "b"} else {"a__b": 2}
        (value,) = results_of(a=declaration, **given).values()
        assert value == expected or [type(one) for one in value] == expected


def test_values_in_place_of_related_objects() -> None:
    """A value that is given for a RelatedFactory is the result, for a list of them many times."""
    with seam(
        "RelatedFactory.call returns the value that is given in its place",
        "ITSELF",
    ):
        one = factory.RelatedFactory(factory.DictFactory)
        several = factory.RelatedFactoryList(factory.DictFactory, size=2)
        results = results_of(a=one, b=several, a__="one", b__="two")
        assert results == {"a": "one", "b": ["two", "two"]}


def test_evaluating_a_declaration() -> None:
    """Declarations are asked by keyword, have their context as `overrides`, and return a value."""
    with seam(
        "evaluate_pre and evaluate_post take (instance, step, overrides), evaluate takes "
        "(instance, step, extra), call takes (instance, step, context), and BaseDeclaration counts "
        "its objects, and keeps their keywords in ._defaults",
        "Declaration",
        "StandIn",
        "nested",
        "replaced",
    ):
        base_declaration, post = declarations.BaseDeclaration, declarations.PostGeneration
        expected = ["self", "instance", "step", "overrides"]
        assert parameters(base_declaration.evaluate_pre) == expected
        assert parameters(post.evaluate_post) == parameters(factory.Maybe.evaluate_post) == expected
        assert parameters(base_declaration.evaluate) == ["self", "instance", "step", "extra"]
        assert parameters(factory.RelatedFactory.call) == ["self", "instance", "step", "context"]
        assert vars(base_declaration(a=1)).keys() == {"_creation_counter", "_defaults"}
        before, after = Constant("before"), PostConstant("after")
        assert results_of(a=before, a__x=1, b=after, b__x=2, b__=3) == {"b": "after"}
        assert before.asked == [("pre", {"x": 1})]
        assert after.asked == [("post", {"x": 2, "": 3})]


def test_evaluating_with_no_step() -> None:
    """What a rule of ours evaluates by the declaration itself asks for no more than it is given."""
    with seam(
        "Iterator.evaluate needs neither instance nor step, SelfAttribute.evaluate and "
        "ContainerAttribute.evaluate only step.chain",
        "Declaration",
        "own_attribute",
    ):
        iterator = factory.Iterator([1, 2], getter=str)
        assert iterator.iterator is None
        assert [iterator.evaluate(None, None, {}) for _ in range(3)] == ["1", "2", "1"]
        assert isinstance(iterator.iterator, utils.ResetableIterator)
        iterator.evaluate(None, None, {})
        iterator.reset()
        assert iterator.evaluate(None, None, {}) == "1"
        ended = factory.Iterator([], cycle=False)
        with pytest.raises(StopIteration):
            ended.evaluate(None, None, {})

        only_chain: Any = type("OnlyChain", (), {"chain": (Model(), Model(x=Model(y=1)))})
        up = factory.SelfAttribute("..kwargs")
        assert (up.attribute_name, up.depth) == ("kwargs", 2)
        assert up.evaluate(None, only_chain, {}) is only_chain.chain[1].kwargs
        here = factory.SelfAttribute(".kwargs.a", default=3)
        assert (here.attribute_name, here.depth) == ("kwargs.a", 1)
        assert here.evaluate(only_chain.chain[0], only_chain, {}) == 3
        assert factory.SelfAttribute("a").default is declarations._UNSPECIFIED
        container = factory.ContainerAttribute(lambda stub, chain: (stub, chain))
        assert container.evaluate("stub", only_chain, {}) == ("stub", only_chain.chain[1:])


def test_nested_declarations() -> None:
    """Maybe and Transformer hand their overrides on, and evaluate nothing but declarations."""
    with seam(
        "Maybe gives its overrides to a branch, and to the decider after the object is made only; "
        "Transformer takes the override '' out, and evaluates what is forced without transforming",
        "decision",
        "transformation",
        "forced_value",
        "ITSELF",
    ):
        decider, yes, after = Constant(1), Constant("yes"), PostConstant("after")
        made(a=factory.Maybe(decider, yes), a__x=1).build()
        results_of(a=factory.Maybe(decider, after), a__x=2)
        assert (decider.asked, yes.asked) == ([("pre", {}), ("pre", {"x": 2})], [("pre", {"x": 1})])
        assert after.asked == [("post", {"x": 2})]

        shout = made(a=factory.Transformer("default", transform=str.upper))
        forced, given = Constant("forced"), Constant("given")
        force = factory.Transformer.Force
        assert (force(1).forced_value, repr(force(1))) == (1, "Transformer.Force(1)")
        assert [
            shout.build(**keywords).kwargs["a"]
            for keywords in ({}, {"a": given, "a__x": 1}, {"a": force(forced), "a__x": 1})
        ] == ["DEFAULT", "GIVEN", "forced"]
        assert forced.asked == given.asked == [("pre", {"x": 1})]
        # A rule of ours evaluates a branch if it is a BaseDeclaration, whatever its phase.
        phase_only = type("PhaseOnly", (), {PHASE: enums.BuilderPhase.ATTRIBUTE_RESOLUTION})()
        assert made(a=factory.Maybe(Constant(1), phase_only)).build().kwargs == {"a": phase_only}


def test_contexts() -> None:
    """Keywords of a declaration are its defaults and what is given; some evaluate them first."""
    with seam(
        "unroll_context evaluates declarations in a context by "
        "step.recurse(DictFactory, context, force_sequence=step.sequence), where "
        "UNROLL_CONTEXT_BEFORE_EVALUATION is set; SubFactory and RelatedFactory hand theirs on",
        "unrolls_context",
        "captures_value",
        "part",
        "faked",
        "BuildStep",
    ):
        handing_on = {one for one in CLASSES if not getattr(one, UNROLLS)}
        assert handing_on == {
            factory.Dict, factory.List, factory.RelatedFactory, factory.RelatedFactoryList,
            factory.SubFactory, factory.Transformer,
        }  # fmt: skip
        assert {one for one in CLASSES if one.CAPTURE_OVERRIDES} == {factory.Transformer}
        forcing = {one for one in CLASSES if getattr(one, "FORCE_SEQUENCE", False)}
        assert forcing == {factory.Dict, factory.List}

        recursed: list[Any] = []

        class Noting(builder.BuildStep):
            def recurse(self, factory: Any, declarations: Any, force_sequence: Any = None) -> Any:
                recursed.append((factory, dict(declarations), force_sequence))
                return super().recurse(factory, declarations, force_sequence)

        assert parameters(builder.BuildStep.recurse) == parameters(step.Step.recurse)
        zero = factory.LazyFunction(int)
        child = made()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(builder, "BuildStep", Noting)
            made(
                a=factory.Faker("pyint", max_value=zero, min_value=0),
                b=factory.Dict({"c": zero}),
                c=factory.SubFactory(child, x=zero, y=1),
                d=factory.RelatedFactory(child, "owner", x=zero),
                e=factory.PostGeneration(lambda *_, **given: None),
            ).build(__sequence=5, c__y=2, e__x=zero)
        owner = recursed[3][1].pop("owner")
        assert isinstance(owner, Model)
        assert recursed == [
            (factory.DictFactory, {"locale": None, "max_value": zero, "min_value": 0}, 5),
            (factory.DictFactory, {"c": zero}, 5),
            (child, {"x": zero, "y": 2}, None),
            (child, {"x": zero}, None),
            (factory.DictFactory, {"x": zero}, 5),
        ]


def test_faker() -> None:
    """A Faker has one generator for each locale, the default one found when it is evaluated."""
    with seam(
        "Faker keeps its locale and keywords in ._defaults, and calls "
        "_get_faker(locale).format(provider, **keywords)",
        "faked",
        "faker_for",
    ):
        one = factory.Faker("pyint", locale="de_DE", max_value=0)
        assert one._defaults == {"locale": "de_DE", "max_value": 0}
        assert factory.Faker("name")._defaults == {"locale": None}
        german = factory.Faker._get_faker("de_DE")
        with factory.Faker.override_default_locale("de_DE"):
            assert factory.Faker._DEFAULT_LOCALE == "de_DE"
            assert factory.Faker._get_faker(None) is factory.Faker._get_faker() is german
        assert factory.Faker._get_faker() is not german


def test_traits_and_parameters() -> None:
    """A trait is a Maybe for each field that it overrides; parameters never reach the model."""
    with seam(
        "Trait keeps what it overrides in .overrides, Meta.parameters has all of Params by name",
        "traits",
        "overrides",
        "parameters",
        "written",
    ):
        trait = factory.Trait(a=Constant(2))
        assert vars(trait).keys() == {"_creation_counter", "overrides"}

        class Made(factory.Factory):
            class Meta:
                model = Model

            class Params:
                t = trait
                p = 1

            a = 1

        assert Made._meta.parameters.keys() == {"p", "t"}
        assert Made._meta.parameters["t"] is trait
        assert type(Made._meta.pre_declarations.declarations["a"]) is factory.Maybe
        assert (Made.build().kwargs, Made.build(t=True).kwargs) == ({"a": 1}, {"a": 2})


# The step.


def test_what_declarations_ask_of_a_step() -> None:
    """The step that we hand to declarations has all that those of factory_boy ask of theirs."""
    with seam(
        "declarations ask a step for its stub, chain, sequence, builder and recurse(), and the "
        "builder for its strategy",
        "BuildStep",
        "StepBuilder",
    ):
        asked: set[tuple[str, str]] = set()

        def noting(kind: type, name: str) -> type:
            def ask(self: Any, attribute: str) -> Any:
                module = sys._getframe(1).f_globals["__name__"]
                if module in ("factory.declarations", "factory.faker"):
                    asked.add((name, attribute))
                return object.__getattribute__(self, attribute)

            return type(kind.__name__, (kind,), {"__getattribute__": ask})

        child = made(
            up=factory.SelfAttribute("..other"),
            container=factory.ContainerAttribute(lambda stub, chain: None),
        )
        step_builder = noting(builder.StepBuilder, "builder")
        parent = made(
            other=1,
            sub=factory.SubFactory(child),
            dictionary=factory.Dict({"a": factory.SelfAttribute("..other")}),
            iterator=factory.Iterator([1]),
            attribute=factory.LazyAttribute(lambda stub: None),
            function=factory.LazyFunction(int),
            maybe=factory.Maybe("other", factory.Sequence(int)),
            sequence=factory.LazyAttributeSequence(lambda stub, n: n),
            transformer=factory.Transformer(1, transform=str),
            faker=factory.Faker("pyint", max_value=factory.LazyFunction(int), min_value=0),
            after=factory.Maybe("other", factory.PostGeneration(lambda *args, **kwargs: None)),
            call=factory.PostGenerationMethodCall("__str__"),
            related=factory.RelatedFactoryList(factory.DictFactory, size=1),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(builder, "BuildStep", noting(builder.BuildStep, "step"))
            step_builder(parent._meta, {}, enums.BUILD_STRATEGY).build()
        expected = {"builder", "chain", "recurse", "sequence", "stub"}
        assert asked == {("step", name) for name in expected} | {("builder", "strategy")}

        one = builder.BuildStep(None, 0)
        assert vars(one).keys() == {"attributes", "builder", "parent_step", "sequence", "stub"}
        assert members(type(one)) == {"__init__", "__repr__", "chain", "recurse", "resolve"}
        names = vars(one).keys() | {"chain", "recurse", "resolve"}
        assert names == stated(upstream.BuildStep)
        assert not [name for name in names if not hasattr(step.Step, name)]


def test_step_builder() -> None:
    """A builder has what its part is made of, and makes builders of its own class for parts."""
    with seam(
        "StepBuilder(factory_meta, extras, strategy) takes __sequence out of its extras, and has "
        "build(parent_step, force_sequence) and recurse(factory_meta, extras); a forced sequence "
        "goes before __sequence, and that before the next one",
        "StepBuilder",
        "SEQUENCE",
    ):
        kind = builder.StepBuilder
        assert members(kind) == {"__init__", "__repr__", "build", "recurse"}
        assert parameters(kind.build) == parameters(step.Builder.build)
        assert parameters(kind.recurse) == parameters(step.Builder.recurse)
        counting = made(n=factory.Sequence(int))
        extras = {"__sequence": 3, "a": 1}
        one = kind(counting._meta, extras, enums.BUILD_STRATEGY)
        expected = {"factory_meta", "strategy", "extras", "force_init_sequence"}
        assert vars(one).keys() == expected
        assert expected | {"build", "recurse"} == stated(upstream.StepBuilder)
        assert (one.extras, one.force_init_sequence) == ({"a": 1}, 3)
        assert one.build().kwargs == {"n": 3, "a": 1}
        assert one.build(force_sequence=4).kwargs == {"n": 4, "a": 1}
        part = one.recurse(counting._meta, {"__sequence": 6})
        assert (type(part), part.strategy, part.build().kwargs) == (kind, one.strategy, {"n": 6})
        assert counting.build().kwargs == {"n": 0}


def test_resolver() -> None:
    """What a LazyAttribute is given has the values, the stub above it, and nothing else."""
    with seam(
        "Resolver has factory_parent and the values, and cannot be assigned to",
        "Resolver",
    ):
        names = {"__getattr__", "__init__", "__repr__", "__setattr__", "factory_parent"}
        assert {one for one in members(builder.Resolver) if one[:9] != "_Resolver"} == names
        assert stated(upstream.Resolver) == {"factory_parent"}
        assert members(step.Stub) >= names


# Errors and texts that we repeat.


def _cyclic() -> dict[str, Any]:
    return {
        "a": factory.LazyAttribute(lambda stub: stub.b),
        "b": factory.LazyAttribute(lambda stub: stub.c),
        "c": factory.SelfAttribute("b"),
    }


@pytest.mark.parametrize(
    "declared",
    [
        _cyclic(),
        {"x": 1, "a": factory.LazyAttribute(lambda stub: (stub.x, stub.gone)), "y": 2},
        {"x": 1, "a": factory.SelfAttribute("gone")},
        {"a": factory.LazyAttribute(lambda stub: setattr(stub, "b", 1))},
        {"a": factory.LazyAttribute(lambda stub: stub.factory_parent.x)},
        {"a": factory.ContainerAttribute(lambda stub, chain: None)},
        {"a": factory.SubFactory(int)},
        {"a": factory.RelatedFactory(int)},
        {"a": factory.Iterator([], cycle=False)},
        {"a": factory.LazyAttribute(lambda stub: int(repr(stub)))},
    ],
    ids=[
        "cycle", "unknown", "unknown_path", "assigned", "no_parent", "no_container", "sub_factory",
        "related_factory", "iterator", "repr",
    ],
)  # fmt: skip
@pytest.mark.parametrize("keywords", [{}, {"given": "value"}], ids=["declared", "given"])
def test_errors(declared: Mapping[str, Any], keywords: Mapping[str, Any]) -> None:
    """An error of ours is factory_boy's: its class, and its text."""
    errors_of_ours = "CyclicDefinitionError", "AssociatedClassError", "definitions"
    with seam("it raises the same error as ours", *errors_of_ours):
        raised = []
        for kind in (factory.Factory, AsyncFactory):
            with pytest.raises(Exception) as caught:  # noqa: PT011 (it is compared)
                helpers.make_factory(Model, FACTORY_CLASS=kind, **declared).build(**keywords)
            text = str(caught.value).replace("AsyncFactoryOptions", "FactoryOptions")
            raised.append((caught.type, text))
        assert raised[0] == raised[1]


@pytest.mark.parametrize(
    "keywords", [{"gone__x": 1}, {"a": factory.PostGeneration(int)}], ids=["unknown", "shadowing"]
)
def test_errors_of_keywords(keywords: Mapping[str, Any]) -> None:
    """A keyword that factory_boy refuses is refused by ours, with the same words."""
    with seam("it raises the same error as ours", "parsed", "InvalidDeclarationError"):
        raised = []
        for kind in (factory.Factory, AsyncFactory):
            with pytest.raises(errors.InvalidDeclarationError) as caught:
                helpers.make_factory(Model, FACTORY_CLASS=kind, a=1).build(b=2, **keywords)
            raised.append(str(caught.value))
        assert raised[0] == raised[1]


def test_logger() -> None:
    """What is evaluated is logged to one logger, which factory.debug() listens to."""
    with seam(
        "declarations log to 'factory.generate', at the level DEBUG",
        "LOGGER",
    ):
        assert declarations.logger is upstream.LOGGER
        assert not upstream.LOGGER.isEnabledFor(logging.DEBUG)
        with helpers.debug():
            assert upstream.LOGGER.isEnabledFor(logging.DEBUG)


# The options of a factory.


def test_what_options_consist_of() -> None:
    """A method or an attribute that is new may be one that a plan has to ask."""
    with seam(
        "FactoryOptions has these methods and attributes, and these options",
        "Options",
        "making",
    ):
        methods = """
            __init__ __repr__ __str__ _build_default_options _check_parameter_dependencies
            _fill_from_meta _get_counter_reference _initialize_counter _is_declaration
            contribute_to_class declarations get_model_class instantiate next_sequence
            prepare_arguments reset_sequence use_postgeneration_results
        """
        attributes = """
            _counter base_declarations base_factory counter_reference factory parameters
            parameters_dependencies post_declarations pre_declarations
        """
        one = base.FactoryOptions()
        assert members(type(one)) == {*methods.split()}
        assert vars(one).keys() == {*attributes.split()}
        names = {option.name for option in one._build_default_options()}
        assert names == {"abstract", "exclude", "inline_args", "model", "rename", "strategy"}
        options = made()._meta
        values = (options.exclude, options.inline_args, options.rename, options.abstract)
        assert values == ((), (), {}, False)


def test_filling_in_options() -> None:
    """A class of options is found by _options_class, and filled in by three methods."""
    with seam(
        "FactoryOptions.contribute_to_class sets .factory, then fills the options in by "
        "_fill_from_meta(meta, base_meta), which are those of _build_default_options, and at last "
        "sets .pre_declarations and .post_declarations",
        "Options",
    ):
        calls: list[Any] = []

        class Options(base.FactoryOptions):
            def _build_default_options(self) -> Any:
                return [
                    *super()._build_default_options(),
                    base.OptionDefault("adapter", "default", inherit=True),
                ]

            def _fill_from_meta(self, meta: Any, base_meta: Any) -> None:
                assert not hasattr(self, "adapter")
                calls.append((self.factory.__name__, meta and meta.__name__))
                super()._fill_from_meta(meta, base_meta)

            def contribute_to_class(self, factory: Any, *args: Any, **kwargs: Any) -> None:
                assert self.factory is None
                super().contribute_to_class(factory, *args, **kwargs)
                calls.append(sorted(self.pre_declarations) + sorted(self.post_declarations))

        class Root(factory.Factory):
            _options_class = Options  # for those that derive from it

        class Made(Root):
            class Meta:
                model = Model
                adapter = "given"

            a = 1
            hook = factory.PostGeneration(print)

        class Derived(Made):
            b = 2

        assert calls == [
            ("Made", "Meta"), ["a", "hook"], ("Derived", None), ["a", "b", "hook"],
        ]  # fmt: skip
        assert type(Derived._meta) is Options
        assert Derived._meta.adapter == "given"


def test_arguments_of_the_model() -> None:
    """The model is called with what is not hidden, under its new name, and by position first."""
    with seam(
        "FactoryOptions.prepare_arguments adjusts, hides, renames and takes inline_args out, in "
        "this order, and leaves out what is SKIP",
        "making",
        "SKIP",
    ):

        class Made(factory.Factory):
            class Meta:
                model = Model
                exclude = ("hidden", "given")
                rename = {"a": "renamed", "gone": "x", "hidden": "y"}
                inline_args = ("renamed", "adjusted")

            class Params:
                parameter = 1

            @classmethod
            def _adjust_kwargs(cls, **kwargs: Any) -> Any:
                assert kwargs["parameter"] == 1
                return {**kwargs, "adjusted": 2, "given": 3}

        attributes = {"a": 1, "b": declarations.SKIP, "c": 4, "hidden": 5, "parameter": 1}
        assert Made._meta.prepare_arguments(attributes) == ((1, 2), {"c": 4})
        assert not declarations.SKIP


def test_instantiating() -> None:
    """Options of a factory that is not ours make the object by what the step's builder says."""
    with seam(
        "FactoryOptions.instantiate(step, args, kwargs) asks for step.builder.strategy, and calls "
        "_build or _create of the factory, or makes a StubObject",
        "making",
        "StubObject",
        "StepBuilder",
    ):

        class Made(factory.Factory):
            class Meta:
                model = Model

            _build = classmethod(lambda cls, *args, **kwargs: ("build", args, kwargs))
            _create = classmethod(lambda cls, *args, **kwargs: ("create", args, kwargs))

        assert parameters(base.FactoryOptions.instantiate) == ["self", "step", "args", "kwargs"]
        for strategy in (enums.BUILD_STRATEGY, enums.CREATE_STRATEGY):
            built: Any = type("Step", (), {"builder": type("Builder", (), {"strategy": strategy})})
            expected = (strategy, (Model, 1), {"a": 2})
            assert Made._meta.instantiate(built, (1,), {"a": 2}) == expected
        built.builder.strategy = enums.STUB_STRATEGY
        assert vars(Made._meta.instantiate(built, (), {"a": 2})) == {"a": 2}
        assert Made._meta.get_model_class() is Made._meta.model is Model


def test_counting() -> None:
    """A counter is made when it is first needed, on the options of the topmost factory."""
    with seam(
        "FactoryOptions has its counter in ._counter, makes it a _Counter in "
        "_initialize_counter() unless it is there, on the .counter_reference",
        "Counter",
        "Options",
        "counting",
        "exchange_counter",
    ):
        assert members(base._Counter) == {"__init__", "next", "reset"}
        assert members(upstream.Counter) == {"next"}
        top = made(n=factory.Sequence(int))
        derived = helpers.make_factory(Model, FACTORY_CLASS=top)
        assert top._meta._counter is derived._meta._counter is None
        assert top._meta.counter_reference is derived._meta.counter_reference is top._meta
        top._meta._counter = base._Counter(7)
        derived._meta._initialize_counter()
        assert derived._meta._counter is top._meta._counter
        assert (derived.build().kwargs, top._meta.next_sequence()) == ({"n": 7}, 8)
        assert parameters(base.FactoryOptions.reset_sequence) == ["self", "value", "force"]
        derived._meta.reset_sequence(3, force=True)
        assert top.build().kwargs == {"n": 3}
        top._meta._counter = derived._meta._counter = None
        assert derived.build().kwargs == {"n": 0}


# Factories.


def test_what_a_factory_consists_of() -> None:
    """A class method that is new may be one that has to wait, and so has to be overridden."""
    with seam(
        "BaseFactory has these class methods, and Factory has no more", "BaseFactory", "CONTAINERS"
    ):
        methods = """
            _adjust_kwargs _after_postgeneration _build _create _generate _setup_next_sequence
            build build_batch create create_batch generate generate_batch reset_sequence
            simple_generate simple_generate_batch stub stub_batch
        """
        inside = vars(base.BaseFactory).items()
        assert {name for name, one in inside if type(one) is classmethod} == {*methods.split()}
        assert members(factory.Factory) == {"AssociatedClassError", "_meta"}
        assert issubclass(factory.DictFactory, base.BaseDictFactory)
        assert issubclass(factory.ListFactory, base.BaseListFactory)


def test_generating() -> None:
    """Each of the methods that make objects ends up in _generate(strategy, params)."""
    with seam(
        "build, create and stub call cls._generate(strategy, params), their batches call these, "
        "and generate and its like call all of them by name",
        "BaseFactory",
    ):

        class Made(factory.Factory):
            class Meta:
                model = Model

            @classmethod
            def _generate(cls, strategy: str, params: Any) -> Any:
                return strategy, params

        for strategy in ("build", "create", "stub"):
            one = (strategy, {"a": 1})
            assert getattr(Made, strategy)(a=1) == Made.generate(strategy, a=1) == one
            assert getattr(Made, f"{strategy}_batch")(2, a=1) == [one, one]
            assert Made.generate_batch(strategy, 2, a=1) == [one, one]
        assert Made.simple_generate(True, a=1) == ("create", {"a": 1})
        assert Made.simple_generate_batch(False, 1, a=1) == [("build", {"a": 1})]


def test_calling_a_factory() -> None:
    """A call of the class is dispatched by Meta.strategy, with nothing but keywords."""
    with seam(
        "FactoryMetaClass.__call__(**kwargs) dispatches to build, create or stub",
        "Metaclass",
    ):
        assert type(factory.Factory) is base.FactoryMetaClass
        assert members(base.FactoryMetaClass) == {"__call__", "__new__", "__str__"}
        assert parameters(base.FactoryMetaClass.__call__) == ["cls", "kwargs"]
        for strategy, kind in [("build", Model), ("create", Model), ("stub", base.StubObject)]:
            one = made()
            one._meta.strategy = strategy
            assert type(one(a=1)) is kind
        one._meta.strategy = "unknown"
        with pytest.raises(errors.UnknownStrategy):
            one()


def test_making_a_factory_by_name() -> None:
    """make_factory calls FactoryMetaClass.__new__, whatever metaclass FACTORY_CLASS has."""
    with seam(
        "helpers.make_factory calls FactoryMetaClass.__new__ by name, so that a metaclass of ours "
        "is entered a second time, with '_meta' in the body, and Meta and Params taken out of it",
        "Metaclass",
    ):
        entered: list[Any] = []

        class Metaclass(base.FactoryMetaClass):
            def __new__(mcs, class_name: str, bases: Any, attrs: Any) -> Any:
                entered.append(dict(attrs))
                if isinstance(attrs.get("_meta"), base.FactoryOptions):
                    return type.__new__(mcs, class_name, bases, attrs)
                return super().__new__(mcs, class_name, bases, attrs)

        class Made(factory.Factory, metaclass=Metaclass):
            pass

        entered.clear()
        one = helpers.make_factory(Model, FACTORY_CLASS=Made, a=1)
        assert type(one) is Metaclass
        assert len(entered) == 1
        assert entered[0].keys() >= {"_meta", "a"}
        assert not entered[0].keys() & {"Meta", "Params"}
        assert one.build().kwargs == {"a": 1}


def test_overridable_class_methods() -> None:
    """The class methods that may be async are called on the factory, and their results used."""
    with seam(
        "_setup_next_sequence(), _adjust_kwargs(**kwargs), _build or _create(model, *args, "
        "**kwargs) and _after_postgeneration(instance, create, results) are called on the class, "
        "the number being drawn before anything is evaluated",
        "BaseFactory",
    ):
        calls: list[Any] = []

        def noting(name: str, result: Any) -> Any:
            def hook(cls: Any, *args: Any, **kwargs: Any) -> Any:
                calls.append((name, args, kwargs))
                return result

            return classmethod(hook)

        one = made(
            a=factory.LazyFunction(lambda: calls.append("evaluated")),
            _setup_next_sequence=noting("_setup_next_sequence", 0),
            _adjust_kwargs=noting("_adjust_kwargs", {"b": 2}),
            _build=noting("_build", "built"),
            _create=noting("_create", "created"),
            _after_postgeneration=noting("_after_postgeneration", None),
        )
        assert (one.build(), one.create()) == ("built", "created")
        assert calls == [
            ("_setup_next_sequence", (), {}),
            "evaluated",
            ("_adjust_kwargs", (), {"a": None}),
            ("_build", (Model,), {"b": 2}),
            ("_after_postgeneration", ("built",), {"create": False, "results": {}}),
            "evaluated",
            ("_adjust_kwargs", (), {"a": None}),
            ("_create", (Model,), {"b": 2}),
            ("_after_postgeneration", ("created",), {"create": True, "results": {}}),
        ]


# What is read of the objects, and by whom.


@pytest.mark.parametrize(
    ("read", "declaration", "expected"),
    [
        (upstream.function, factory.LazyFunction(int), int),
        (upstream.function, factory.Sequence(int), int),
        (upstream.forced_value, factory.Transformer.Force(1), 1),
        (upstream.transformation, factory.Transformer(1, transform=str), (1, str)),
        (upstream.faked, factory.Faker("pyint", max_value=1), ("pyint", _PYINT)),
        (upstream.own_attribute, factory.SelfAttribute("a"), "a"),
        (upstream.own_attribute, factory.SelfAttribute(".a"), "a"),
        (upstream.own_attribute, factory.SelfAttribute("..a"), None),
        (upstream.own_attribute, factory.SelfAttribute("a.b"), None),
        (upstream.own_attribute, factory.SelfAttribute("a", default=None), None),
        (upstream.overrides, factory.Trait(a=1), {"a": 1}),
        (upstream.is_imported, factory.SubFactory("a.B"), False),
        (upstream.is_imported, factory.RelatedFactory(factory.DictFactory), True),
        (upstream.part, factory.Iterator([]), None),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_is_read(read: Any, declaration: Any, expected: Any) -> None:
    """What is read of a declaration is what it was made of."""
    with seam("a declaration keeps what it was made of", "part", "function", "faked"):
        assert read(declaration) == expected


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        (factory.SubFactory(factory.DictFactory, a=1), ({"a": 1}, False, "")),
        (factory.Dict({"a": 1}), ({"a": 1}, True, "")),
        (factory.List([1]), ({"0": 1}, True, "")),
        (factory.RelatedFactory(factory.DictFactory, a=1), ({"a": 1}, False, "")),
        (factory.RelatedFactoryList(factory.DictFactory, "b", a=1), ({"a": 1}, False, "b")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_parts(declaration: Any, expected: Any) -> None:
    """What asks for another object says of which factory, with which keywords, and how."""
    with seam("SubFactory and RelatedFactory keep factory, keywords and name", "part"):
        get_factory, *rest = upstream.part(declaration)
        assert issubclass(get_factory(), upstream.CONTAINERS)
        assert tuple(rest) == expected


def test_what_is_read_of_a_factory() -> None:
    """What a factory declares is seen as it is used, and as it was written."""
    with seam(
        "FactoryOptions keeps .pre_declarations and .post_declarations, changed by traits, and "
        ".base_declarations and .parameters, as they were written",
        "parsed", "definitions", "declaration_sets", "declarations_of", "declares",
        "declares_value", "written", "every", "within", "traits", "parameters", "counting",
    ):  # fmt: skip
        hook = factory.PostGeneration(print)

        class Made(factory.Factory):
            class Meta:
                model = Model

            class Params:
                on = factory.Trait(a=2, b=3)
                p = 1

            child = factory.SubFactory(factory.DictFactory, x=1)
            a = 1
            hooked = hook
            child__y = 2

        _meta = Made._meta
        pre, post = upstream.parsed(_meta, {"hooked": 4, "child__x": 5})
        assert (list(pre), list(post)) == (["child", "a", "p", "b"], ["hooked"])
        assert (pre["child"].context, post["hooked"]) == ({"y": 2, "x": 5}, (hook, {"": 4}))
        assert "child__x" in repr(upstream.definitions(_meta, {"child__x": 5}, ()))
        assert upstream.declarations_of(_meta).keys() == {"a", "b", "child", "hooked", "p"}
        written = upstream.written(_meta)
        assert (written["a"], written["p"], written["hooked"]) == (1, 1, hook)
        assert type(written["b"]) is factory.Maybe
        assert written.keys() == upstream.declarations_of(_meta).keys() | {"on"}
        assert [upstream.declares(_meta, name) for name in ("a", "hooked", "x")] == [1, 1, 0]
        assert [upstream.declares_value(_meta, name) for name in ("a", "hooked")] == [1, 0]
        assert upstream.traits(_meta) == {"on": written["on"]}
        assert upstream.parameters(_meta).keys() == {"on", "p"}
        assert {2, 3, hook} <= {one for one in upstream.every(_meta) if not isinstance(one, dict)}
        assert upstream.counting(_meta) is _meta
        before = upstream.declaration_sets(_meta)
        assert upstream.declaration_sets(_meta) == before
        _meta.pre_declarations = _meta.pre_declarations.copy()
        assert upstream.declaration_sets(_meta) != before


def test_random_state() -> None:
    """Who seeds the random numbers is seen by a mark on their generator, in the pytest plugin."""
    with seam(
        "factory.random marks a seeded generator by .state_set, for pytest_plugin/seeding.py"
    ):
        state = factory.random.get_random_state()
        try:
            vars(factory.random.randgen)["state_set"] = False
            factory.random.reseed_random(1)
            assert factory.random.randgen.state_set
        finally:
            factory.random.set_random_state(state)


# Modules other than upstream.py.

# What they may use of factory_boy though it does not document it.
EXCEPTIONS = {
    (
        "exceptions.py",
        "UnknownStrategy",
    ): "is a base of an error of ours",
    ("auto/rules.py", "BaseDeclaration"): "is what a rule is told by that is a declaration",
    ("factory/base.py", "_generate"): "is overridden there; one more call would take time",
}

# What factory_boy documents, besides what it exports.
DOCUMENTED = {
    "_meta", "_adjust_kwargs", "_after_postgeneration", "_build", "_create", "_setup_next_sequence",
    "abstract", "exclude", "get_model_class", "inline_args", "model", "rename", "strategy",
    "add_provider", "build", "build_batch", "create", "create_batch", "generate", "generate_batch",
    "override_default_locale", "reset", "reset_sequence", "simple_generate", "size",
    "simple_generate_batch", "stub", "stub_batch", "Force", "randgen", "reseed_random",
}  # fmt: skip

# Names within factory_boy that mean something else where they are used.
COMMON = {
    "as_dict", "call", "copy", "default", "depth", "factory", "get", "join", "module", "name",
    "overrides", "parameters", "split", "update", "value", "values",
}  # fmt: skip

PACKAGE = Path(async_factory_boy.__file__).parent
MODULES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
del MODULES["factory/upstream.py"]


def inside() -> set[str]:
    """Return the names of what is in factory_boy's objects, and neither documented nor common."""
    instances = [
        *(one for one, _, _ in DECLARATIONS), declarations.SimpleParameter(1), factory.Trait(),
        factory.Transformer.Force(1), factory.SubFactory("a.B").factory_wrapper,
        base.FactoryOptions(), base._Counter(0), builder.DeclarationSet(),
    ]  # fmt: skip
    names = members(base.FactoryMetaClass) | members(base.BaseFactory)
    for one in instances:
        names |= members(type(one)) | vars(one).keys()
    # What upstream.py makes of these bears some of the names.
    ours = {*upstream.PartDeclaration._fields, *upstream.Making._fields}
    for protocol in (upstream.Declaration, upstream.BuildStep, upstream.StepBuilder):
        ours |= stated(protocol)
    return {name for name in names - ours - DOCUMENTED - COMMON if name[:2] != "__"}


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports from factory_boy; of a module of that, what it uses."""
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] == "factory")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "factory":
            for one in node.names:
                if inspect.ismodule(getattr(factory, one.name, None)):
                    modules.add(one.asname or one.name)
                else:
                    yield one.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
            yield node.attr


def read(tree: ast.Module) -> Iterator[str]:
    """Yield the attributes that a module reads, and the names of functions that it defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) != "upstream":
            yield node.attr


def read_of_options(tree: ast.Module) -> Iterator[str]:
    """Yield the attributes that a module reads of what is called `meta` or `_meta`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).rpartition(".")[2]
            if owner in ("meta", "_meta"):
                yield node.attr


def unexpected(module: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if (module, name) not in EXCEPTIONS})


@pytest.mark.parametrize("module", MODULES)
def test_no_other_module_imports_more(module: str) -> None:
    """Any module but upstream.py imports nothing of factory_boy but what is documented."""
    names = unexpected(module, imported(MODULES[module]))
    assert [name for name in names if not hasattr(factory, name) and name not in DOCUMENTED] == []


# These have no object of factory_boy's.
WITHOUT_FACTORIES = {"adapters", "engine", "isolation"}
WITH_FACTORIES = [name for name in MODULES if name.split("/")[0] not in WITHOUT_FACTORIES]


@pytest.mark.parametrize("module", WITH_FACTORIES)
def test_no_other_module_reads_more(module: str) -> None:
    """Any module but upstream.py reads and overrides nothing within factory_boy's objects."""
    assert unexpected(module, inside().intersection(read(MODULES[module]))) == []
    of_ours = vars(AsyncFactoryOptions).keys() | AsyncFactoryOptions.__annotations__.keys()
    known = (DOCUMENTED | of_ours) - {"factory"}
    assert unexpected(module, set(read_of_options(MODULES[module])) - known) == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from factory import builder\nbuilder.StepBuilder", ["StepBuilder"]),
        ("from factory import declarations\ndeclarations.SubFactory", ["SubFactory"]),
        ("from factory.declarations import SKIP as skip", ["SKIP"]),
        ("import factory.base as b", ["factory.base"]),
        ("def f():\n    from factory.errors import UnknownStrategy", ["UnknownStrategy"]),
        ("from factory_trytond import Model\nimport faker", []),
    ],
)
def test_what_imports_are_seen(source: str, names: list[str]) -> None:
    """Whatever is imported from factory_boy is seen, however it is."""
    assert list(imported(ast.parse(source))) == names


def test_exceptions() -> None:
    """Each exception is one: the module has the name."""
    for module, name in EXCEPTIONS:
        assert name in {*imported(MODULES[module]), *read(MODULES[module])}


def test_what_is_inside() -> None:
    """What was known in many modules is among what only one may read."""
    names = """
        pre_declarations post_declarations base_declarations declarations contexts sorted _defaults
        defaults function decider yes no forced_value factory_wrapper attribute_name provider
        transform counter_reference _counter _get_counter_reference _initialize_counter _get_faker
        _fill_from_meta _build_default_options contribute_to_class FACTORY_BUILDER_PHASE
        UNROLL_CONTEXT_BEFORE_EVALUATION CAPTURE_OVERRIDES FORCE_SEQUENCE
    """
    assert inside() >= {*names.split()}
