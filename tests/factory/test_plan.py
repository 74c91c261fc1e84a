"""Plans: a factory is compiled once, and anew when something of it changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import factory
import pytest
from factory import declarations

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.factory import AsyncFactory, AsyncFactoryOptions, plan


class Thing:
    def __init__(self, *args: Any, **fields: Any) -> None:
        self.args = args
        vars(self).update(fields)


class Other(Thing):
    pass


class Memory(PersistenceAdapter[Any]):
    async def save(self, instance: Any) -> Any:
        return instance


class ThingFactory(AsyncFactory[Thing]):
    class Meta:
        adapter = Memory()

    name = "ada"


USELESS: dict[str, Callable[[], Any]] = {
    "LazyFunction": lambda: factory.LazyFunction(lambda: 1),
    "Sequence": lambda: factory.Sequence(lambda n: n),
    "LazyAttribute": lambda: factory.LazyAttribute(lambda thing: thing.name),
    "LazyAttributeSequence": lambda: factory.LazyAttributeSequence(lambda thing, n: n),
    "ContainerAttribute": lambda: factory.ContainerAttribute(lambda *_: 2, strict=False),
    "SelfAttribute": lambda: factory.SelfAttribute("name"),
    "Iterator": lambda: factory.Iterator("ab"),
}


@pytest.mark.parametrize("kind", USELESS)
async def test_context_without_a_use(kind: str) -> None:
    """What is given to a declaration that has no use for it changes nothing, as in factory_boy."""
    values = {"name": "ada", "value": USELESS[kind](), "value__given": 3}
    plain = factory.make_factory(Thing, **values)
    ours = type(ThingFactory)("Ours", (ThingFactory,), {**values, "value": USELESS[kind]()})
    expected = plain.build().value
    ours.reset_sequence(0, force=True)
    assert (await ours.create_async()).value == expected
    ours.reset_sequence(0, force=True)
    ours = type(ThingFactory)("Ours", (ThingFactory,), {**values, "value": USELESS[kind]()})
    assert (await ours.create_async(value__given=4)).value == expected


def test_kept_plans_are_bounded() -> None:
    """Calls with declarations of their own do not fill the memory with plans."""
    for number in range(200):
        thing = ThingFactory.build(name=factory.LazyFunction(lambda number=number: number))
        assert thing.name == number  # type: ignore[attr-defined]
    assert len(plan._plans[ThingFactory._meta]) <= plan._KEPT + 2


def test_declaration_that_cannot_be_hashed() -> None:
    """A declaration need not be hashable."""

    class Unhashable(declarations.BaseDeclaration):
        __hash__ = None  # type: ignore[assignment]

        def evaluate(self, instance: Any, step: Any, extra: Any) -> str:
            return "evaluated"

    assert [ThingFactory.build(name=Unhashable()).name for _ in "12"] == ["evaluated"] * 2  # type: ignore[attr-defined]


async def test_hook_that_is_set_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that a test sets on a factory is called, and is not when it is taken away."""

    class Factory(ThingFactory):
        pass

    def shout(cls: Any, instance: Any, create: bool, results: Any = None) -> None:
        instance.name += "!"

    assert (await Factory.create_async()).name == "ada"  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(Factory, "_after_postgeneration", classmethod(shout))
        assert (await Factory.create_async()).name == "ada!"  # type: ignore[attr-defined]
    Factory._adjust_kwargs = classmethod(lambda cls, **kwargs: {"name": "bob"})  # type: ignore[assignment, method-assign]
    assert (await Factory.create_async()).name == "bob"  # type: ignore[attr-defined]
    del Factory._adjust_kwargs
    assert (await Factory.create_async()).name == "ada"  # type: ignore[attr-defined]


async def test_options_that_prepare_arguments() -> None:
    """Options of a project's own may say what the model is called with."""

    class Options(AsyncFactoryOptions):
        def prepare_arguments(self, attributes: Any) -> Any:
            args, kwargs = super().prepare_arguments(attributes)
            return (*args, "first"), kwargs

    class Base(ThingFactory):
        _options_class = Options  # of the factories that derive from it

    class Factory(Base):
        pass

    assert (await Factory.create_async()).args == ("first",)


async def test_create_of_another_model() -> None:
    """An override of _create() may have an object of another class stored."""

    class Sync(ThingFactory):
        @classmethod
        def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
            return super()._create(Other, *args, **kwargs)

    class Async(ThingFactory):
        @classmethod
        async def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
            return await super()._create(Other, *args, **kwargs)

    assert type(await Sync.create_async()) is Other
    assert [type(one) for one in await Async.create_batch_async(2)] == [Other] * 2


@pytest.mark.parametrize("logs", [False, True], ids=["quiet", "logged"])
async def test_forced_declaration_that_is_async(
    logs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """An async declaration that a Transformer is forced to take is awaited, logged or not."""
    caplog.set_level("DEBUG" if logs else "INFO", "factory.generate")

    async def name() -> str:
        return "ada"

    inner = factory.Transformer(factory.LazyFunction(name), transform=str.upper)

    class Forced(ThingFactory):
        name = factory.Transformer(factory.Transformer.Force(inner), transform=str.title)

    assert (await Forced.build_async()).name == "ADA"  # type: ignore[attr-defined]


def test_what_an_unknown_name_shows() -> None:
    """The error for an unknown name shows the declarations as factory_boy's own error does."""

    def message(base: Any) -> str:
        class Reading(base):  # type: ignore[misc]
            class Meta:
                model = Thing

            shout = factory.Transformer("ada", transform=str.upper)
            reads = factory.LazyAttribute(lambda thing: thing.nothing)

        with pytest.raises(AttributeError) as caught:
            Reading.build(shout=factory.LazyFunction(lambda: "grace"))
        return re.sub("0x[0-9a-f]+", "0x", str(caught.value))

    assert message(AsyncFactory) == message(factory.Factory)
    assert "shout__" not in message(AsyncFactory)


async def test_methods_that_are_overridden() -> None:
    """A batch calls an overridden build() for each object."""

    class Louder(ThingFactory):
        @classmethod
        def build(cls, **kwargs: Any) -> Any:
            return super().build(name="LOUD", **kwargs)

    assert [one.name for one in Louder.build_batch(2)] == ["LOUD"] * 2
    assert [one.name for one in await Louder.build_batch_async(2)] == ["LOUD"] * 2


async def test_below_a_factory_that_is_not_ours() -> None:
    """In a hook, a plain factory may have a part that is stored."""

    class Plain(factory.Factory[Thing]):
        class Meta:
            model = Other

        part = factory.SubFactory(ThingFactory)

    class Outer(ThingFactory):
        @factory.post_generation
        def hook(thing: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            thing.made = Plain.create()

    made = (await Outer.create_async()).made  # type: ignore[attr-defined]
    assert type(made) is Other
    assert made.part.name == "ada"


async def test_related_object_that_a_declaration_transforms() -> None:
    """A related factory may make something of the object that it is related to."""

    class Note(ThingFactory):
        about = factory.Transformer(None, transform=lambda thing: thing and thing.name)

    class Noted(ThingFactory):
        notes = factory.RelatedFactoryList(Note, "about", size=2)

        @classmethod
        def _after_postgeneration(cls, instance: Any, create: bool, results: Any = None) -> None:
            instance.notes = results["notes"]

    noted: Any = await Noted.create_async()
    assert [note.about for note in noted.notes] == ["ada"] * 2


class Named(Protocol):
    name: str


class Called:
    name = "x"


def test_protocol_as_the_type_argument() -> None:
    """A protocol may be the type argument of a factory whose model is a class that has it."""

    class NamedFactory(AsyncFactory[Named]):
        class Meta:
            model = Called

    assert type(NamedFactory.build()) is Called
