"""What async-factory-boy takes for granted of factory_boy's inside, one test for each thing.

None of it is documented by factory_boy, so any release may change it. A test that fails here names
the place of ours that has to follow.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import factory
import pytest
from async_factory_boy.factory._factory_boy import AwaitingDeclarations
from factory import base, builder, declarations, enums, errors, helpers

# The modules of ours that are named in the failures.
FACTORY_BOY = "async_factory_boy/factory/_factory_boy.py"
BASE = "async_factory_boy/factory/base.py"


@contextmanager
def seam(taken_for_granted: str, *, ours: str) -> Generator[None]:
    """Turn whatever goes wrong inside into a failure that says what to look at."""
    try:
        yield
    except Exception as error:
        pytest.fail(
            f"factory_boy {version('factory_boy')} does not do what it did: {taken_for_granted}. "
            f"Look at {ours}. ({type(error).__name__}: {error})"
        )


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


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


# DeclarationSet


def test_attributes_of_a_declaration_set() -> None:
    """A set is two dicts, and nothing else that a copy would have to take along."""
    with seam(
        "DeclarationSet has its values in .declarations and .contexts, and no other attribute",
        ours=f"AwaitingDeclarations.copy in {FACTORY_BOY}",
    ):
        one = builder.DeclarationSet({"a": 1, "b": 2, "b__c": 3, "b__d__e": 4})
        assert vars(one).keys() == {"declarations", "contexts"}
        assert one.declarations == {"a": 1, "b": 2}
        assert {k: v for k, v in one.contexts.items() if v} == {"b": {"c": 3, "d__e": 4}}
        assert one.contexts["unknown"] == {}


def test_copying_a_declaration_set() -> None:
    """Our copy, made for each object, is what factory_boy's own would be."""
    with seam(
        "DeclarationSet.copy makes an independent set of the same values",
        ours=f"AwaitingDeclarations.copy in {FACTORY_BOY}",
    ):
        values = {"a": 1, "b": 2, "b__c": 3, "b__d__e": 4}
        copies = [kind(values).copy() for kind in (builder.DeclarationSet, AwaitingDeclarations)]
        for one in copies:
            one.update({"a": 5, "b__c": 6, "f": 7, "f__g": 8})
        assert copies[0].declarations == copies[1].declarations
        assert copies[0].contexts == copies[1].contexts
        assert copies[0].as_dict() == copies[1].as_dict()
        assert type(copies[1]) is AwaitingDeclarations


def test_updating_a_declaration_set() -> None:
    """Everything that gets into a set gets there by update(), also what it is made with."""
    with seam(
        "DeclarationSet takes its initial values, and a call's overrides, by update(values)",
        ours=f"AwaitingDeclarations.update in {FACTORY_BOY}",
    ):

        class Noting(builder.DeclarationSet):
            updates: list[Any] = []

            def update(self, values: Any) -> None:
                self.updates.append(dict(values))
                super().update(values)

        first = Noting({"a": 1})
        overridden, _ = builder.parse_declarations({"a": 2, "a__b": 3}, base_pre=first)
        assert Noting.updates == [{"a": 1}, {"a": 1}, {"a": 2, "a__b": 3}]
        assert type(overridden) is Noting
        assert first.as_dict() == {"a": 1}


def test_declarations_handed_out() -> None:
    """What is evaluated is what the set hands out for a name, before and after generation."""
    with seam(
        "the builder gets each declaration by DeclarationSet.__getitem__, as a "
        "DeclarationWithContext",
        ours=f"AwaitingDeclarations.__getitem__ in {FACTORY_BOY}",
    ):
        handed_out = {"a": Constant("handed out"), "b": PostConstant("handed out")}

        class HandingOut(builder.DeclarationSet):
            def __getitem__(self, key: str) -> Any:
                context = super().__getitem__(key).context
                return builder.DeclarationWithContext(
                    name=key, declaration=handed_out[key], context=context
                )

        seen: list[Any] = []

        class Made(factory.Factory):
            class Meta:
                model = Model

            a = factory.LazyFunction(str)
            b = factory.PostGeneration(print)

            @classmethod
            def _after_postgeneration(
                cls, instance: Any, create: bool, results: Any = None
            ) -> None:
                seen.append(results)

        meta = Made._meta
        meta.pre_declarations = HandingOut(meta.pre_declarations.as_dict())
        meta.post_declarations = HandingOut(meta.post_declarations.as_dict())
        assert Made.build(a__x=1, b__x=2).kwargs == {"a": "handed out"}
        assert seen == [{"b": "handed out"}]
        assert handed_out["a"].asked == [("pre", {"x": 1})]
        assert handed_out["b"].asked == [("post", {"x": 2})]


def test_order_of_hooks() -> None:
    """Hooks run in the order they were declared in, which is a number on the declaration."""
    with seam(
        "DeclarationSet.sorted reads the order off .declarations, not off what it hands out",
        ours=f"_Awaiting, which has no number, in {FACTORY_BOY}",
    ):
        first, second = PostConstant(1), PostConstant(2)
        mixed = AwaitingDeclarations({"second": second, "first": first})
        assert list(mixed) == ["second", "first"]
        assert mixed.sorted() == ["first", "second"]


def test_splitting_names() -> None:
    """The first double underscore parts a field from what is meant for its declaration."""
    with seam(
        "DeclarationSet.split parts a keyword at the first double underscore",
        ours=f"_refuse_wrong_options in {FACTORY_BOY}",
    ):
        assert tuple(builder.DeclarationSet.split("a__b__c")) == ("a", "b__c")
        assert tuple(builder.DeclarationSet.split("a")) == ("a", None)


# Declarations


def test_evaluating_a_declaration() -> None:
    """A declaration has one method for each phase, and says which phase is its own."""
    with seam(
        "BaseDeclaration.evaluate_pre and evaluate_post take (instance, step, overrides)",
        ours=f"_Awaiting in {FACTORY_BOY}",
    ):
        expected = ["self", "instance", "step", "overrides"]
        assert parameters(declarations.BaseDeclaration.evaluate_pre) == expected
        assert parameters(declarations.PostGenerationDeclaration.evaluate_post) == expected
        phases = enums.BuilderPhase
        assert factory.LazyFunction.FACTORY_BUILDER_PHASE == phases.ATTRIBUTE_RESOLUTION
        assert factory.PostGeneration.FACTORY_BUILDER_PHASE == phases.POST_INSTANTIATION


def test_phases() -> None:
    """There are two phases; whatever else answers to the attribute's name is a plain value."""
    with seam(
        "BuilderPhase has ATTRIBUTE_RESOLUTION and POST_INSTANTIATION, and get_builder_phase "
        "returns one of them for a declaration",
        ours=f"_awaiting in {FACTORY_BOY}",
    ):
        names = {name for name in vars(enums.BuilderPhase) if name.isupper()}
        assert names == {"ATTRIBUTE_RESOLUTION", "POST_INSTANTIATION"}
        assert enums.get_builder_phase(1) is None
        constant = factory.LazyFunction(str)
        assert enums.get_builder_phase(constant) == enums.BuilderPhase.ATTRIBUTE_RESOLUTION


def test_captured_overrides() -> None:
    """A Transformer gets the value that a call gives in its place, to transform it."""
    with seam(
        "a declaration with CAPTURE_OVERRIDES, such as Transformer, is given the override under "
        "the key '' of its context",
        ours=f"_Awaiting.evaluate_pre in {FACTORY_BOY}",
    ):

        class Capturing(Constant):
            CAPTURE_OVERRIDES = True

        assert factory.Transformer.CAPTURE_OVERRIDES is True
        assert factory.LazyFunction.CAPTURE_OVERRIDES is False
        capturing = Capturing("captured")
        made = factory.make_factory(Model, a=capturing).build(a=1, a__b=2)
        assert made.kwargs == {"a": "captured"}
        assert capturing.asked == [("pre", {"": 1, "b": 2})]
        shout = factory.Transformer("default", transform=str.upper)
        overrides = {"": "given"}
        assert shout.evaluate_pre(instance=None, step=None, overrides=overrides) == "GIVEN"


def test_value_given_for_a_hook() -> None:
    """What a call gives for a hook's name reaches the hook as the value extracted."""
    with seam(
        "the value given for a post-generation declaration is under the key '' of its context",
        ours=f"_Awaiting.evaluate_post in {FACTORY_BOY}",
    ):
        hook = PostConstant(None)
        factory.make_factory(Model, hook=hook).build(hook="given", hook__a=1)
        assert hook.asked == [("post", {"": "given", "a": 1})]


def test_forced_values() -> None:
    """What is forced past a Transformer may be a declaration, which has to be awaited."""
    with seam(
        "Transformer.Force keeps what it is given in .forced_value",
        ours=f"_awaiting in {FACTORY_BOY}",
    ):
        assert factory.Transformer.Force(1).forced_value == 1
        shout = factory.Transformer("default", transform=str.upper)
        force = factory.Transformer.Force(Constant("forced"))
        assert shout.evaluate_pre(instance=None, step=None, overrides={"": force}) == "forced"


def test_declarations_within_declarations() -> None:
    """Maybe and Transformer evaluate what they hold in attributes, by calling evaluate_*."""
    with seam(
        "Maybe has its parts in .decider, .yes and .no, and Transformer in .default; they "
        "evaluate what is there, and nothing else",
        ours=f"_with_awaiting_parts in {FACTORY_BOY}",
    ):
        maybe = factory.Maybe(Constant(0), Constant("yes"), Constant("no"))
        transformer = factory.Transformer(Constant("default"), transform=str.upper)
        held = [
            {name for name, part in vars(one).items() if isinstance(part, Constant)}
            for one in (maybe, transformer)
        ]
        assert held == [{"decider", "yes", "no"}, {"default"}]
        vars(maybe).update(decider=Constant(1), yes=Constant("replaced"))
        vars(transformer).update(default=Constant("replaced"))
        replaced = factory.make_factory(Model, a=maybe, b=transformer).build()
        assert replaced.kwargs == {"a": "replaced", "b": "REPLACED"}
        after = factory.Maybe(Constant(1), PostConstant("yes"), PostConstant("no"))
        vars(after).update(yes=PostConstant("replaced"))
        evaluated = after.evaluate_post(
            instance=None, step=builder.BuildStep(None, 0), overrides={}
        )
        assert evaluated == "replaced"


def test_size_of_a_related_factory_list() -> None:
    """The size may be a function, which is called for each object without arguments."""
    with seam(
        "RelatedFactoryList keeps its size in .size, calls it if it is no int, and makes so many "
        "objects, each by RelatedFactory.call(instance, step, context)",
        ours=f"_with_awaiting_parts and _ForkingRelatedFactoryList in {FACTORY_BOY}",
    ):
        expected = ["self", "instance", "step", "context"]
        assert parameters(declarations.RelatedFactory.call) == expected
        assert parameters(declarations.RelatedFactoryList.call) == expected
        related = factory.RelatedFactoryList(factory.DictFactory, size=4)
        assert related.size == 4
        related.size = lambda: 3
        seen: list[Any] = []

        class Made(factory.Factory):
            class Meta:
                model = Model

            list = related

            @classmethod
            def _after_postgeneration(
                cls, instance: Any, create: bool, results: Any = None
            ) -> None:
                seen.append(results)

        Made.build()
        assert seen == [{"list": [{}, {}, {}]}]


def test_who_unrolls_its_context() -> None:
    """SubFactory and RelatedFactory hand their overrides on; the others evaluate them first."""
    with seam(
        "UNROLL_CONTEXT_BEFORE_EVALUATION is false for those that hand their overrides on",
        ours=f"_Awaiting._uses_overrides in {FACTORY_BOY}",
    ):
        handing_on = [factory.SubFactory, factory.RelatedFactory, factory.Dict, factory.List]
        evaluating = [factory.LazyFunction, factory.PostGeneration, factory.Faker]
        evaluating += [factory.PostGenerationMethodCall, factory.Sequence]
        assert [one.UNROLL_CONTEXT_BEFORE_EVALUATION for one in handing_on] == [False] * 4
        assert [one.UNROLL_CONTEXT_BEFORE_EVALUATION for one in evaluating] == [True] * 5


def test_declarations_in_a_context() -> None:
    """Declarations given to a declaration are evaluated by a DictFactory, in the same builder."""
    with seam(
        "a context with declarations is unrolled by step.recurse(DictFactory), and DictFactory "
        "and ListFactory derive from BaseDictFactory and BaseListFactory",
        ours=f"AsyncStepBuilder, which treats those two apart, in {FACTORY_BOY}",
    ):
        recursed = []

        class Noting(builder.StepBuilder):
            def __init__(self, factory_meta: Any, extras: Any, strategy: Any) -> None:
                recursed.append(factory_meta.factory)
                super().__init__(factory_meta, extras, strategy)

        made = factory.make_factory(
            Model, a=factory.Faker("pyint", min_value=factory.LazyFunction(int), max_value=0)
        )
        Noting(made._meta, {}, enums.BUILD_STRATEGY).build()
        assert recursed == [made, factory.DictFactory]
        assert issubclass(factory.DictFactory, base.BaseDictFactory)
        assert issubclass(factory.ListFactory, base.BaseListFactory)


# StepBuilder


def test_making_a_step_builder() -> None:
    """A builder is made of a factory's options, keywords and a strategy, and takes __sequence."""
    with seam(
        "StepBuilder(factory_meta, extras, strategy) keeps the three, and takes __sequence out of "
        "the extras that it was given",
        ours=f"AsyncStepBuilder.__init__ in {FACTORY_BOY}",
    ):
        expected = ["self", "factory_meta", "extras", "strategy"]
        assert parameters(builder.StepBuilder.__init__) == expected
        meta = factory.make_factory(Model)._meta
        extras = {"__sequence": 3, "a": 1}
        one = builder.StepBuilder(meta, extras, enums.BUILD_STRATEGY)
        assert one.extras is extras
        assert extras == {"a": 1}
        assert (one.factory_meta, one.strategy) == (meta, enums.BUILD_STRATEGY)


def test_building_with_a_step_builder() -> None:
    """build() is asked for the root and, through recurse(), for everything below it."""
    with seam(
        "StepBuilder.build(parent_step, force_sequence) builds, and StepBuilder.recurse makes "
        "builders of its own class for what is below",
        ours=f"AsyncStepBuilder.build in {FACTORY_BOY}",
    ):
        expected = ["self", "parent_step", "force_sequence"]
        assert parameters(builder.StepBuilder.build) == expected
        steps = []

        class Noting(builder.StepBuilder):
            def build(self, parent_step: Any = None, force_sequence: Any = None) -> Any:
                steps.append((self.factory_meta.factory, parent_step, force_sequence))
                return super().build(parent_step, force_sequence)

        child = factory.make_factory(Model, n=factory.Sequence(int))
        made = factory.make_factory(
            Model,
            a=factory.SubFactory(child),
            b=factory.Dict({}),
            c=factory.RelatedFactory(child),
        )
        Noting(made._meta, {"__sequence": 5}, enums.BUILD_STRATEGY).build()
        assert [(one, force) for one, _, force in steps] == [
            (made, None),
            (child, None),
            (factory.DictFactory, 5),
            (child, None),
        ]
        assert steps[0][1] is None
        for _, parent, _ in steps[1:]:
            assert isinstance(parent, builder.BuildStep)
            assert isinstance(parent.builder, Noting)
            assert parent.builder.factory_meta.factory is made
            assert parent.parent_step is None


def test_options_read_by_a_step_builder() -> None:
    """A builder reads the declarations off the options that it was made with."""
    with seam(
        "StepBuilder.build reads pre_declarations and post_declarations of the factory_meta it "
        "was given, which need not be a FactoryOptions",
        ours=f"_AwaitingMeta in {FACTORY_BOY}",
    ):

        class Proxy:
            def __init__(self, meta: Any, replaced: Any) -> None:
                self.meta = meta
                self.pre_declarations = builder.DeclarationSet(replaced)
                self.post_declarations = builder.DeclarationSet()

            def __getattr__(self, name: str) -> Any:
                return getattr(self.meta, name)

        made = factory.make_factory(Model, a=1, hook=factory.PostGeneration(int))
        proxy = Proxy(made._meta, {"a": Constant("replaced")})
        built = builder.StepBuilder(proxy, {}, enums.BUILD_STRATEGY).build()
        assert built.kwargs == {"a": "replaced"}


# Factory, its options and its metaclass


def test_generating() -> None:
    """build, create and stub are all _generate(strategy, params)."""
    with seam(
        "BaseFactory.build, create and stub call cls._generate(strategy, params)",
        ours=f"AsyncFactory._generate in {BASE}",
    ):

        class Made(factory.Factory):
            class Meta:
                model = Model

            @classmethod
            def _generate(cls, strategy: str, params: Any) -> Any:
                return strategy, params

        assert Made.build(a=1) == ("build", {"a": 1})
        assert Made.create(a=1) == ("create", {"a": 1})
        assert Made.stub(a=1) == ("stub", {"a": 1})
        assert Made.create_batch(2, a=1) == [("create", {"a": 1})] * 2
        assert Made.generate("create", a=1) == ("create", {"a": 1})


def test_calling_a_factory() -> None:
    """A call of the class is dispatched by Meta.strategy, with nothing but keywords."""
    with seam(
        "FactoryMetaClass.__call__(**kwargs) dispatches to build, create or stub",
        ours=f"AsyncFactoryMetaclass.__call__ in {BASE}",
    ):
        assert type(factory.Factory) is base.FactoryMetaClass
        assert parameters(base.FactoryMetaClass.__call__) == ["cls", "kwargs"]
        for strategy, kind in [("build", Model), ("create", Model), ("stub", base.StubObject)]:
            made = factory.make_factory(Model)
            made._meta.strategy = strategy
            assert type(made(a=1)) is kind
        made._meta.strategy = "unknown"
        with pytest.raises(errors.UnknownStrategy):
            made()


def test_making_a_factory_by_name() -> None:
    """make_factory calls FactoryMetaClass.__new__, whatever metaclass FACTORY_CLASS has."""
    with seam(
        "helpers.make_factory calls FactoryMetaClass.__new__ by name, so that a metaclass of ours "
        "is entered a second time, with '_meta' in the body, and Meta and Params taken out of it",
        ours=f"AsyncFactoryMetaclass.__new__ in {BASE}",
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
        made = helpers.make_factory(Model, FACTORY_CLASS=Made, a=1)
        assert type(made) is Metaclass
        assert len(entered) == 1
        assert entered[0].keys() >= {"_meta", "a"}
        assert not entered[0].keys() & {"Meta", "Params"}
        assert made.build().kwargs == {"a": 1}


def test_filling_in_options() -> None:
    """A class of options is found by _options_class, and filled in by three methods."""
    with seam(
        "FactoryOptions.contribute_to_class sets .factory, then fills the options in by "
        "_fill_from_meta(meta, base_meta), which are those of _build_default_options, and at last "
        "sets .pre_declarations and .post_declarations",
        ours=f"AsyncFactoryOptions in {BASE}",
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

        assert calls == [("Made", "Meta"), ["a", "hook"], ("Derived", None), ["a", "b", "hook"]]
        assert type(Derived._meta) is Options
        assert Derived._meta.adapter == "given"
        assert {option.name for option in Made._meta._build_default_options()} == {
            "model",
            "abstract",
            "strategy",
            "inline_args",
            "exclude",
            "rename",
            "adapter",
        }
        assert (Made._meta.rename, Made._meta.inline_args) == ({}, ())


def test_inheriting_declarations() -> None:
    """A factory derives from what its base declares, not from the sets made of that."""
    with seam(
        "contribute_to_class takes inherited declarations from base_declarations, so that the "
        "sets may be replaced",
        ours=f"AsyncFactoryOptions.contribute_to_class in {BASE}",
    ):
        made = factory.make_factory(Model, a=Constant("declared"))
        made._meta.pre_declarations = builder.DeclarationSet({"a": Constant("replaced")})

        class Derived(made):  # type: ignore[valid-type, misc]
            pass

        assert made.build().kwargs == {"a": "replaced"}
        assert Derived.build().kwargs == {"a": "declared"}


def test_instantiating() -> None:
    """The options make the object, and see which keywords it was asked for with."""
    with seam(
        "FactoryOptions.instantiate(step, args, kwargs) is called for each object, and "
        "step.builder.extras are the keywords it was asked for with",
        ours=f"AsyncFactoryOptions.instantiate in {BASE}",
    ):
        assert parameters(base.FactoryOptions.instantiate) == ["self", "step", "args", "kwargs"]
        extras: list[Any] = []

        class Options(base.FactoryOptions):
            def instantiate(self, step: Any, args: Any, kwargs: Any) -> Any:
                extras.append((dict(step.builder.extras), args, kwargs))
                return super().instantiate(step, args, kwargs)

        class Root(factory.Factory):
            _options_class = Options  # for those that derive from it

        class Made(Root):
            class Meta:
                model = Model
                inline_args = ("b",)

            a = 1
            b = 2

        assert type(Made.build(a=3, a__x=4)) is Model
        assert extras == [({"a": 3, "a__x": 4}, (2,), {"a": 3})]


def test_overridable_class_methods() -> None:
    """The class methods that may be async are called on the factory, and their results used."""
    with seam(
        "_setup_next_sequence(), _adjust_kwargs(**kwargs), _build or _create(model, *args, "
        "**kwargs) and _after_postgeneration(instance, create, results) are called on the class",
        ours=f"_HOOKS in {BASE}",
    ):
        calls: list[Any] = []

        def noting(name: str, result: Any) -> Any:
            def hook(cls: Any, *args: Any, **kwargs: Any) -> Any:
                calls.append((name, args, kwargs))
                return result

            return classmethod(hook)

        made = helpers.make_factory(
            Model,
            a=1,
            _setup_next_sequence=noting("_setup_next_sequence", 0),
            _adjust_kwargs=noting("_adjust_kwargs", {"b": 2}),
            _build=noting("_build", "built"),
            _create=noting("_create", "created"),
            _after_postgeneration=noting("_after_postgeneration", None),
        )
        assert (made.build(), made.create()) == ("built", "created")
        assert calls == [
            ("_setup_next_sequence", (), {}),
            ("_adjust_kwargs", (), {"a": 1}),
            ("_build", (Model,), {"b": 2}),
            ("_after_postgeneration", ("built",), {"create": False, "results": {}}),
            ("_adjust_kwargs", (), {"a": 1}),
            ("_create", (Model,), {"b": 2}),
            ("_after_postgeneration", ("created",), {"create": True, "results": {}}),
        ]
        assert all(isinstance(vars(base.BaseFactory)[name], classmethod) for name, _, _ in calls)


def test_counting() -> None:
    """A counter is made when it is first needed, on the options of the topmost factory."""
    with seam(
        "FactoryOptions has its counter in ._counter, makes it a _Counter in "
        "_initialize_counter() unless it is there, on the .counter_reference",
        ours=f"AsyncFactoryOptions._initialize_counter and reset_sequence in {BASE}",
    ):
        made = factory.make_factory(Model, n=factory.Sequence(int))
        derived = factory.make_factory(Model, FACTORY_CLASS=made)
        assert made._meta._counter is derived._meta._counter is None
        assert made._meta.counter_reference is derived._meta.counter_reference is made._meta
        made._meta._counter = base._Counter(7)
        derived._meta._initialize_counter()
        assert derived._meta._counter is made._meta._counter
        assert derived.build().kwargs == {"n": 7}
        assert parameters(base.FactoryOptions.reset_sequence) == ["self", "value", "force"]
        derived._meta.reset_sequence(3, force=True)
        assert made.build().kwargs == {"n": 3}
