"""The factories of a described family, made with a base class, and all that is seen of them.

Whatever a factory calls notes it: functions, overridden methods, models. Two bases do the same if
the notes, the values and the errors are the same.
"""

from __future__ import annotations

import logging
import re
import sys
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import factory
import factory.fuzzy
import factory.random
from factory import base, declarations, enums

from tests.factory.families import Declared, Described, Family, Read, Ref

MODULE = "tests.factory.made"
"""Where the import paths of factories lead to; they are there while `Realisation.observe` runs."""


# What the error about an unknown name shows.
_ATTRIBUTES = re.compile(
    r"(?<=Evaluated attributes are \{)(.*?)(?=\}, definitions are (.*))", re.DOTALL
)


def _in_order(shown: re.Match[str]) -> str:
    """Sort the evaluated attributes, and leave out the constants, which the definitions show too.

    AsyncFactory keeps no account of the order in which values were evaluated, and evaluates no
    constants.
    """
    attributes, definitions = (set(re.split(r", |[{}]", text)) for text in shown.groups())
    return ", ".join(sorted(attributes - definitions))


@dataclass(frozen=True)
class Failure:
    """An exception."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        return cls(type(error).__name__, _ATTRIBUTES.sub(_in_order, without_addresses(str(error))))

    def begins_as(self, other: Failure) -> bool:
        return self.kind == other.kind and self.message.startswith(other.message)


@dataclass(frozen=True)
class Observed:
    """What is seen of an action."""

    result: Any
    notes: list[Any] = field(default_factory=list)
    """What was called, with which arguments, in order."""
    log: list[str] = field(default_factory=list)


class Record:
    """A model that keeps what it is given, in order."""

    realisation: Realisation

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.kwargs = kwargs
        self.marks: list[Any] = []
        name = type(self).__name__
        content = normalised((args, kwargs))
        self.realisation.note(name, content)
        # Short, since objects stand in each other, and in what is noted of them, again and again.
        self.summary = f"{name} {zlib.crc32(repr(content).encode()):x}"

    def __getattr__(self, name: str) -> Any:
        kwargs = vars(self).get("kwargs", {})
        if name in kwargs:
            return kwargs[name]
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"<{self.summary} {self.marks}>"

    def mark(self, *args: Any, **kwargs: Any) -> str:
        self.realisation.note("mark", args, kwargs)
        self.marks.append(normalised((args, kwargs)))
        return "marked"


class StrictRecord(Record):
    def __init__(self, a: Any = None, *, b: Any = None, c: Any = None) -> None:
        super().__init__(a, b=b, c=c)


class FailingRecord(Record):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(kwargs) % 2:
            raise LookupError(f"an odd number of values: {list(kwargs)}")


MODELS = {"record": Record, "strict": StrictRecord, "failing": FailingRecord}


class _Foreign(factory.Factory):  # type: ignore[type-arg]
    class Meta:
        abstract = True


def normalised(value: Any) -> Any:
    """Return what is equal for equal values, although each base has models of its own."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Record):
        return (value.summary, *value.marks)
    if isinstance(value, base.StubObject):
        return ("stub", normalised(vars(value)))
    if isinstance(value, dict):
        return ("dict", *((key, normalised(part)) for key, part in value.items()))
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(normalised, value))
    if hasattr(type(value), "factory_parent"):
        return "the object under construction"
    return without_addresses(repr(value))


_PLAIN = {str, int, float, bool, type(None)}

# What is called differently with each base, and may be.
_NAMES = {
    "async_factory_boy.factory.base.AsyncFactoryMetaclass": "factory.base.FactoryMetaClass",
    "AsyncFactoryOptions": "FactoryOptions",
}


def without_addresses(text: str) -> str:
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    for ours, theirs in _NAMES.items():
        text = text.replace(ours, theirs)
    return text


def facts(step: Any, instance: Any = None) -> Any:
    """Return what a declaration can see of the step that it is evaluated in."""
    builder = step.builder
    parent = step.parent_step
    return normalised(
        {
            "strategy": builder.strategy,
            "factory": builder.factory_meta.factory.__name__,
            "model": getattr(builder.factory_meta.model, "__name__", None),
            "extras": builder.extras,
            "sequence": step.sequence,
            "attributes": step.attributes,
            "parent": parent and (parent.builder.factory_meta.factory.__name__, parent.sequence),
            "chain": len(step.chain),
            "chain begins": step.chain[0] is step.stub,
            "chain goes on": parent is None or step.chain[1:] == parent.chain,
            "instance": instance is step.stub,
        }
    )


class Realisation:
    """The factories of a family.

    Args:
        family: The description.
        base: What they derive from.
        asynchronous: Whether the functions that declarations and hooks take are coroutine
            functions.

    Raises:
        Exception: What the definition of a factory raises.
    """

    def __init__(self, family: Family, base: type[Any], *, asynchronous: bool = False) -> None:
        self.base = base
        # What calls a foreign factory by itself, and not as a part, does not wait for it.
        is_foreign = any(described.is_foreign for described in family.factories)
        called = family.kinds & {"building", "creating"}
        self.asynchronous = asynchronous and not (is_foreign and called)
        self.notes: list[Any] = []
        self.module: Any = ModuleType(MODULE)
        self.models: list[Any] = []
        self.factories: list[Any] = []
        for described in family.factories:
            self.factories.append(self.factory(described))

    def note(self, *what: Any) -> None:
        self.notes.append(normalised(what))

    def observe(self, action: Callable[[], Any], *, logs: bool = False) -> Observed:
        """Run an action, each time with the same random values.

        Args:
            action: A function without arguments.
            logs: Whether to note what factory_boy's logger is told as well.
        """
        self.notes.clear()
        factory.random.reseed_random("fidelity")
        sys.modules[MODULE] = self.module
        handler = _Messages()
        with handler.attached() if logs else nullcontext():
            try:
                result: Any = normalised(action())
            except Exception as error:
                result = Failure.of(error)
            finally:
                del sys.modules[MODULE]
        return Observed(result, list(self.notes), handler.messages)

    def next_numbers(self) -> list[int]:
        return [made._meta.next_sequence() for made in self.factories]

    # Factories

    def factory(self, described: Described) -> Any:
        name = f"Factory{len(self.factories)}"
        if described.base is not None:
            parent = self.factories[described.base]
        else:
            parent = _Foreign if described.is_foreign else self.base
        model = self.model(described)
        self.models.append(model)
        meta = self.given(described.meta)
        if described.model != "inherited":
            meta["model"] = model
        body = self.body(described)
        params = self.given(described.params)
        mixin: dict[str, Any] = {}
        for hook in described.hooks:
            method, _, where = hook.partition(" of a ")
            self.hook(method, where, parent, mixin if where == "mixin" else body)
        bases = (type("Mixin", (), mixin), parent) if mixin else (parent,)
        attributes = {
            "__module__": MODULE,
            "Meta": type("Meta", (), meta),
            "Params": type("Params", (), params),
            **body,
        }
        made = type(parent)(name, bases, attributes)
        setattr(self.module, name, made)
        return made

    def body(self, described: Described) -> dict[str, Any]:
        items = list(described.body.items())
        order = reversed(items) if described.created_backwards else items
        made = {name: self.value(value) for name, value in order}
        return {name: made[name] for name, _ in items}

    def model(self, described: Described) -> Any:
        name = f"Model{len(self.factories)}"
        if described.base is not None and described.model in ("inherited", "derived"):
            parent = self.models[described.base]
            if described.model == "inherited" or parent is None:
                return parent
            return type(name, (parent,), {})
        if described.model == "dict":
            return dict
        parent = MODELS.get(described.model, Record)
        return type(name, (parent,), {"realisation": self, "__module__": MODULE})

    def hook(self, method: str, where: str, parent: Any, body: dict[str, Any]) -> None:
        realisation = self
        mark = f"_noted_{method}"

        def note(cls: Any, *args: Any, **kwargs: Any) -> Any:
            realisation.note(method, cls.__name__, args, kwargs)
            owner = next(one for one in cls.__mro__ if vars(one).get(mark) is note)
            return getattr(super(owner, cls), method)(*args, **kwargs)

        def adjust(cls: Any, **kwargs: Any) -> Any:
            realisation.note(method, kwargs)
            return dict(reversed([("adjusted", len(kwargs)), *kwargs.items()]))

        def build(cls: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            return note(cls, model, *args, **kwargs, built=True)

        def setup(cls: Any) -> int:
            realisation.note(method, cls.__name__)
            return 10

        def static(**kwargs: Any) -> Any:
            return adjust(None, **kwargs)

        if method == "get_model_class":
            body["_options_class"] = type("Options", (type(parent._meta),), {method: _model_class})
            return
        functions = {
            "_adjust_kwargs": adjust,
            "_build": build,
            "_create": build,
            "_setup_next_sequence": setup,
        }
        body[mark] = note
        if where == "staticmethod":
            body[method] = staticmethod(static)
        else:
            body[method] = classmethod(functions.get(method, note))

    # Values

    def given(self, described: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.value(value) for name, value in described.items()}

    def value(self, described: Any) -> Any:
        if isinstance(described, Ref):
            name = f"Factory{described.index}"
            return f"{MODULE}.{name}" if described.by_path else self.factories[described.index]
        if not isinstance(described, Declared):
            return described
        made = getattr(self, f"make_{described.kind}")(
            *map(self.value, described.arguments),
            **self.given(described.keywords),
        )
        if described.own and isinstance(made, declarations.BaseDeclaration):
            # A class of its own, which the arguments need not be passed through.
            made.__class__ = self.subclass(type(made), described.own)
        return made

    def subclass(self, kind: Any, own: str) -> Any:
        realisation = self

        # Positional, whatever the parameters are called: so does factory_boy call these.
        def evaluate(self: Any, resolver: Any, current: Any, context: Any) -> Any:
            realisation.note(kind.__name__, own, facts(current, resolver), context)
            return super(made, self).evaluate(resolver, current, context)

        def call(self: Any, built: Any, current: Any, given: Any) -> Any:
            realisation.note(kind.__name__, own, facts(current), built, given)
            return super(made, self).call(built, current, given)

        def unroll_context(self: Any, resolver: Any, current: Any, given: Any) -> Any:
            realisation.note(kind.__name__, own, facts(current), given)
            return {**super(made, self).unroll_context(resolver, current, given)}

        # By these names: so does it call these.
        def evaluate_pre(self: Any, instance: Any, step: Any, overrides: Any) -> Any:
            realisation.note(kind.__name__, own, facts(step, instance), overrides)
            return super(made, self).evaluate_pre(instance, step, overrides)

        def evaluate_post(self: Any, instance: Any, step: Any, overrides: Any) -> Any:
            realisation.note(kind.__name__, own, facts(step), instance, overrides)
            return super(made, self).evaluate_post(instance, step, overrides)

        overridden: dict[str, Any] = {
            "subclass": {},
            "evaluate": {"evaluate": evaluate},
            "call": {"call": call},
            "unroll_context": {"unroll_context": unroll_context},
            "evaluate_pre": {"evaluate_pre": evaluate_pre},
            "evaluate_post": {"evaluate_post": evaluate_post},
            "flags": {"FORCE_SEQUENCE": True}
            if issubclass(kind, declarations.SubFactory)
            else {"UNROLL_CONTEXT_BEFORE_EVALUATION": False},
        }
        made: Any = type(f"Own{kind.__name__}", (kind,), overridden[own])
        return made

    def function(self, label: str, reads: Iterable[Read], result: str) -> Callable[..., Any]:
        """Return a function that reads its first argument, and notes what it is called with."""

        def function(*args: Any) -> Any:
            values = [self.read(args[0], read) for read in reads]
            self.note(label, args, values)
            if result == "assign":
                args[0].a = "assigned"
            return outcome(result, shortened(label, args, values))

        return self.maybe_async(function)

    def maybe_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not self.asynchronous:
            return function

        async def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        call.__name__, call.__qualname__ = function.__name__, function.__qualname__
        return call

    def read(self, instance: Any, read: Read) -> Any:
        path = "factory_parent." * read.up + read.path
        default = () if read.default is ... else (read.default,)
        return declarations.deepgetattr(instance, path, *default)

    def make_skip(self) -> Any:
        return declarations.SKIP

    def make_broken(self, how: str) -> Any:
        if how == "abstract":
            return declarations.BaseDeclaration()
        if how == "recursing":
            return self.make_recursing(dict, None)
        paths = {"path": "nodot", "module": "no.such_module.Factory", "name": f"{MODULE}.Missing"}
        return factory.SubFactory(paths[how])

    def make_size(self, size: int) -> Any:
        def noted() -> int:
            self.note("size", size)
            return size

        return self.maybe_async(noted)

    def make_function(self, label: str, reads: Any, result: str) -> Any:
        return factory.LazyFunction(self.function(label, reads, result))

    def make_lazy(self, label: str, reads: Any, result: str) -> Any:
        return factory.LazyAttribute(self.function(label, reads, result))

    def make_sequence(self, label: str, reads: Any, result: str) -> Any:
        if result == "parity":
            return factory.Sequence(lambda number: number % 2)
        return factory.Sequence(self.function(label, reads, result))

    def make_lazy_sequence(self, label: str, reads: Any, result: str) -> Any:
        return factory.LazyAttributeSequence(self.function(label, reads, result))

    def make_container(self, label: str, reads: Any, strict: bool) -> Any:
        def function(instance: Any, chain: Any) -> Any:
            self.note(label, chain, [one is not None for one in chain])
            return shortened(label, len(chain), [self.read(instance, read) for read in reads])

        return factory.ContainerAttribute(self.maybe_async(function), strict=strict)

    def make_self_attribute(self, read: Read) -> Any:
        path = "." * (read.up + 1) + read.path if read.up else read.path
        if read.default is ...:
            return factory.SelfAttribute(path)
        return factory.SelfAttribute(path, default=read.default)

    def make_iterator(self, label: str, size: int, cycle: bool, getter: bool, lazily: bool) -> Any:
        values = [f"{label}.{number}" for number in range(size)]

        def noted() -> Any:
            for value in values:
                self.note(label, value)
                yield value

        return factory.Iterator(
            noted() if lazily else values, cycle=cycle, getter=str.upper if getter else None
        )

    def make_faker(self, provider: str, **kwargs: Any) -> Any:
        return factory.Faker(provider, **kwargs)

    def make_fuzzy(self, name: str) -> Any:
        arguments: dict[str, Any] = {
            "FuzzyInteger": (0, 1000),
            "FuzzyChoice": (("x", "y", "z"),),
            "FuzzyText": (),
        }
        return getattr(factory.fuzzy, name)(*arguments[name])

    def make_custom(self, label: str, reads: Any, result: str, captures: bool = False) -> Any:
        realisation = self
        function = self.function(label, reads, result)

        class Custom(declarations.BaseDeclaration):
            CAPTURE_OVERRIDES = captures

            def evaluate(self, instance: Any, step: Any, extra: Any) -> Any:
                realisation.note(label, facts(step, instance), extra)
                extra["touched"] = True
                return function(instance, extra)

        return Custom()

    def make_parametered(self, label: str, **defaults: Any) -> Any:
        realisation = self

        class Parametered(declarations.ParameteredAttribute):
            def generate(self, step: Any, params: Any) -> Any:
                realisation.note(label, facts(step), params)
                return shortened(label, params)

        return Parametered(**defaults)

    def make_recursing(self, made: Any, number: Any, **defaults: Any) -> Any:
        realisation = self

        class Recursing(declarations.BaseDeclaration):
            UNROLL_CONTEXT_BEFORE_EVALUATION = False

            def evaluate(self, instance: Any, step: Any, extra: Any) -> Any:
                realisation.note("recursing", facts(step, instance), extra)
                return step.recurse(realisation.resolved(made), extra, force_sequence=number)

        return Recursing(**defaults)

    def resolved(self, made: Any) -> Any:
        return getattr(self.module, made.rpartition(".")[2]) if isinstance(made, str) else made

    def make_building(self, made: Any, kwargs: Any) -> Any:
        given = self.given(kwargs)
        return factory.LazyFunction(lambda: self.resolved(made).build(**given))

    def make_sub(self, made: Any, **context: Any) -> Any:
        return factory.SubFactory(made, **context)

    def make_dict(self, values: Any) -> Any:
        return factory.Dict(self.given(values))

    def make_list(self, values: Any) -> Any:
        return factory.List([self.value(value) for value in values])

    def make_maybe(self, decider: Any, *branches: Any) -> Any:
        return factory.Maybe(decider, *branches)

    make_maybe_post = make_maybe

    def make_transformer(self, value: Any, label: str, result: str) -> Any:
        # An AttributeError would be taken for that of a missing attribute, and the declaration
        # be evaluated once more: without the override, which factory_boy has taken out by then.
        result = "ValueError" if result == "AttributeError" else result
        return factory.Transformer(value, transform=self.function(label, (), result))

    def make_force(self, value: Any) -> Any:
        return factory.Transformer.Force(value)

    def make_trait(self, **overrides: Any) -> Any:
        return factory.Trait(**overrides)

    # What runs once the object is there

    def make_hook(self, label: str, result: str) -> Any:
        def hook(instance: Any, create: bool, extracted: Any, **kwargs: Any) -> Any:
            self.note(label, instance, create, extracted, kwargs)
            if isinstance(instance, Record):
                instance.marks.append(label)
            return outcome(result, shortened(label, extracted))

        return factory.PostGeneration(self.maybe_async(hook))

    def make_custom_post(self, label: str, **defaults: Any) -> Any:
        realisation = self

        class CustomPost(declarations.PostGenerationDeclaration):
            def call(self, instance: Any, step: Any, context: Any) -> Any:
                realisation.note(label, instance, facts(step), context)
                return shortened(label, context)

        return CustomPost(**defaults)

    def make_evaluated_post(self, label: str) -> Any:
        realisation = self

        class EvaluatedPost(declarations.BaseDeclaration):
            FACTORY_BUILDER_PHASE = enums.BuilderPhase.POST_INSTANTIATION

            def evaluate_post(self, instance: Any, step: Any, overrides: Any) -> Any:
                realisation.note(label, instance, facts(step), overrides)
                return label

        return EvaluatedPost()

    def make_method(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return factory.PostGenerationMethodCall(name, *args, **kwargs)

    def make_related(self, made: Any, name: str, **defaults: Any) -> Any:
        return factory.RelatedFactory(made, name, **defaults)

    def make_related_list(self, made: Any, name: str, size: Any, **defaults: Any) -> Any:
        return factory.RelatedFactoryList(made, name, size=size, **defaults)

    def make_creating(self, made: Any, size: int | None, kwargs: Any) -> Any:
        given = self.given(kwargs)

        def hook(instance: Any, create: bool, extracted: Any, **kwargs: Any) -> Any:
            strategy = enums.CREATE_STRATEGY if create else enums.BUILD_STRATEGY
            if size is None:
                return getattr(self.resolved(made), strategy)(**given)
            return getattr(self.resolved(made), f"{strategy}_batch")(size, **given)

        return factory.PostGeneration(hook)


_ERRORS = {
    "ValueError": ValueError,
    "AttributeError": AttributeError,
    "StopIteration": StopIteration,
}


def outcome(result: str, text: str) -> Any:
    """Return or raise what a function is described to."""
    if result in _ERRORS:
        raise _ERRORS[result](f"raised by {text}")
    results = {
        "text": text,
        "parity": zlib.crc32(text.encode()) % 2 == 0,
        "none": None,
        "skip": declarations.SKIP,
        "other": _OTHER,
        "assign": None,
    }
    return results[result]


# A declaration that is a value, and so is not evaluated.
_OTHER = factory.LazyFunction(str)


def shortened(*parts: Any) -> str:
    """Return a short text for values; a long one would grow with each object that reads it."""
    text = repr(normalised(parts))
    return text if len(text) < 60 else f"{text[:30]} {zlib.crc32(text.encode()):x}"


def _model_class(options: Any) -> Any:
    """Return the model as it is while the factory is defined, and then one derived from it."""
    model = options.model
    if not isinstance(model, type) or not issubclass(model, Record):
        return model
    if not vars(options).get("_defined"):
        options._defined = True
        return model
    return type(f"Other{model.__name__}", (model,), {})


class _Messages(logging.Handler):
    """Keeps what factory_boy's logger is told."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(without_addresses(record.getMessage()))

    @contextmanager
    def attached(self) -> Generator[None]:
        logger = logging.getLogger("factory")
        before, logger.propagate = logger.level, False
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            logger.setLevel(before)
            logger.removeHandler(self)
            logger.propagate = True
