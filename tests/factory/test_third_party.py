"""Declarations of third parties, which look at the step they are evaluated in.

They are written here as the libraries write them, and give with AsyncFactory what they give with
factory_boy's own factories.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from types import MethodType
from typing import Any, ClassVar

import factory
import factory.fuzzy
import factory.random
import faker
import pytest
from factory import builder, declarations, enums

from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.factory import AsyncFactory


class Model:
    def __init__(self, **kwargs: Any) -> None:
        vars(self).update(kwargs)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"


class Child(Model):
    pass


class MemoryAdapter(PersistenceAdapter[Any]):
    async def save(self, instance: Any) -> Any:
        return instance


class Theirs(factory.Factory):  # type: ignore[type-arg]
    class Meta:
        abstract = True


class Ours(AsyncFactory[Any]):
    class Meta:
        abstract = True
        adapter = MemoryAdapter()


Bases = type[Theirs] | type[Ours]


def factory_of(
    base: Any, model: type[Any], params: dict[str, Any] | None = None, **body: Any
) -> Any:
    body["Meta"] = type("Meta", (), {"model": model})
    body["Params"] = type("Params", (), params or {})
    return type(base)(f"{model.__name__}Factory", (base,), body)


async def same(
    define: Callable[[Any], Any], *, batch: int = 3, stubs: bool = True, **kwargs: Any
) -> Any:
    """Return what a factory builds, having made sure that with both bases it makes the same.

    Args:
        define: Makes the factory, given the base.
        batch: The size of the batch that is compared with a loop.
        stubs: Whether it can be stubbed.
        **kwargs: What the factory is called with.
    """
    expected = seeded(lambda: define(Theirs).build(**kwargs))
    assert seeded(lambda: define(Ours).build(**kwargs)) == expected
    assert await seeded(lambda: define(Ours).build_async(**kwargs)) == expected
    created = seeded(lambda: define(Theirs).create(**kwargs))
    assert await seeded(lambda: define(Ours).create_async(**kwargs)) == created
    several = seeded(lambda: define(Theirs).create_batch(batch, **kwargs))
    assert await seeded(lambda: define(Ours).create_batch_async(batch, **kwargs)) == several
    if stubs:
        stubbed = seeded(lambda: define(Theirs).stub(**kwargs))
        assert of_stub(seeded(lambda: define(Ours).stub(**kwargs))) == of_stub(stubbed)
    return expected


def of_stub(value: Any) -> Any:
    if isinstance(value, factory.StubFactory._meta.model):
        value = vars(value)
    if isinstance(value, dict):
        return {name: of_stub(part) for name, part in value.items()}
    return [*map(of_stub, value)] if isinstance(value, list) else value


def seeded(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, or an awaitable for it, with the same random values each time."""

    async def awaited(coroutine: Any) -> Any:
        factory.random.reseed_random("third party")
        return await coroutine

    factory.random.reseed_random("third party")
    result = call()
    return awaited(result) if asyncio.iscoroutine(result) else result


# mimesis-factory


class MimesisField(declarations.BaseDeclaration):
    """Asks the factory's own declarations for the providers that the project has added."""

    default_locale: ClassVar[str] = "en"

    def __init__(self, field: str, locale: str | None = None, **kwargs: Any) -> None:
        super().__init__()
        self.locale = locale
        self.kwargs = kwargs
        self.field = field

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any] | None) -> Any:
        kwargs = {**self.kwargs, **(extra or {})}
        providers = step.builder.factory_meta.declarations.get("providers")
        return self.field, self.locale or self.default_locale, providers, kwargs

    @classmethod
    @contextlib.contextmanager
    def override_locale(cls, locale: str) -> Generator[None]:
        before, cls.default_locale = cls.default_locale, locale
        try:
            yield
        finally:
            cls.default_locale = before


def define_guest(base: Any) -> Any:
    return factory_of(
        base,
        Model,
        params={"providers": ("RussiaSpecProvider",)},
        name=MimesisField("full_name", gender="female"),
        russian=MimesisField("full_name", locale="ru"),
        age=MimesisField("age", minimum=30),
        data=factory.Dict({"city": MimesisField("city")}),
    )


async def test_mimesis() -> None:
    """A MimesisField finds its providers among the Params, and takes overrides of its arguments."""
    guest = await same(define_guest, age__minimum=40, age__maximum=50)
    assert guest.name == ("full_name", "en", ("RussiaSpecProvider",), {"gender": "female"})
    assert guest.russian[1] == "ru"
    assert guest.age[3] == {"minimum": 40, "maximum": 50}
    assert guest.data == {"city": ("city", "en", None, {})}


async def test_mimesis_locale() -> None:
    """The locale in force counts where the object is built, not where its factory is defined."""
    made = define_guest(Ours)
    await made.create_async()
    with MimesisField.override_locale("de"):
        guest = await made.create_async()
        (of_batch,) = await made.create_batch_async(1)
    assert guest.name[1] == of_batch.name[1] == "de"
    assert guest.russian[1] == "ru"


# pytest-factoryboy


@contextlib.contextmanager
def disable_method(method: Any) -> Generator[None]:
    owner, name = method.__self__, method.__name__
    before = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: None)
    try:
        yield
    finally:
        setattr(owner, name, before)


async def model_fixture(factory_class: Any, given: dict[str, Any]) -> Any:
    """Do what pytest-factoryboy's fixture of a model does."""
    derived = type(factory_class)("Factory", (factory_class,), {})
    derived._meta.base_declarations = {
        name: declaration
        for name, declaration in derived._meta.base_declarations.items()
        if not isinstance(declaration, declarations.PostGenerationDeclaration)
    }
    derived._meta.post_declarations = builder.DeclarationSet()
    kwargs = {name: given[name] for name in factory_class._meta.pre_declarations if name in given}
    step_builder = builder.StepBuilder(derived._meta, kwargs, enums.CREATE_STRATEGY)
    step = builder.BuildStep(builder=step_builder, sequence=derived._meta.next_sequence())
    assert isinstance(derived._after_postgeneration, MethodType)
    with disable_method(derived._after_postgeneration):
        instance = derived(**kwargs)
        if asyncio.iscoroutine(instance):
            instance = await instance
    results = {}
    for name in factory_class._meta.post_declarations.sorted():
        declaration = factory_class._meta.post_declarations.declarations[name]
        extra = {
            key: value
            for key, value in factory_class._meta.post_declarations.contexts[name].items()
            if key
        }
        value = given.get(name)
        if isinstance(declaration, factory.PostGenerationMethodCall):
            value = given.get(name, declaration.method_arg)
        context = declarations.PostGenerationContext(
            value_provided=value is not declarations.NotProvided, value=value, extra=extra
        )
        results[name] = declaration.call(instance, step, context)
    factory_class._after_postgeneration(instance, create=True, results=results)
    return instance


class Author(Model):
    def register(self, by: str = "themselves", **kwargs: Any) -> Any:
        self.registered = by, kwargs
        return self.registered


def define_author(base: Any) -> Any:
    @factory.post_generation
    def greeted(author: Any, create: bool, extracted: Any, **kwargs: Any) -> str:
        author.greeted = create, extracted, kwargs
        return "greeted"

    def _after_postgeneration(cls: Any, instance: Any, create: bool, results: Any = None) -> None:
        instance.results = create, results

    return factory_of(
        base,
        Author,
        number=factory.Sequence(lambda number: number),
        name=factory.LazyAttribute(lambda author: f"author {author.number}"),
        register=factory.PostGenerationMethodCall("register"),
        register__loudly=True,
        greeted=greeted,
        greeted__twice=True,
        _after_postgeneration=classmethod(_after_postgeneration),
    )


@pytest.mark.parametrize("given", [{}, {"name": "Ada", "greeted": 5, "register": "Charles"}])
async def test_pytest_factoryboy(given: dict[str, Any]) -> None:
    """The fixture of a model takes the hooks out of the factory, and calls them itself later."""
    authors = [await model_fixture(define_author(base), given) for base in (Theirs, Ours)]
    assert authors[0] == authors[1]
    assert authors[1].greeted == (True, given.get("greeted"), {"twice": True})
    assert authors[1].registered == (given.get("register", "themselves"), {"loudly": True})
    assert authors[1].results[1].keys() == {"register", "greeted"}


async def test_hooks_taken_out_of_a_factory() -> None:
    """What is taken out of the declarations of a factory that has been used is not called."""
    made = define_author(Ours)
    assert hasattr(await made.create_async(), "greeted")
    made._meta.post_declarations = builder.DeclarationSet()
    assert not hasattr(await made.create_async(), "greeted")
    assert not hasattr((await made.create_batch_async(2))[1], "greeted")


# factory.django


class File(Model):
    pass


class FileField(declarations.BaseDeclaration):
    DEFAULT_FILENAME = "example.dat"

    def _make_data(self, params: dict[str, Any]) -> Any:
        return params.get("data", b"")

    def _make_content(self, params: dict[str, Any]) -> tuple[str, bytes]:
        path = ""
        from_path = params.get("from_path")
        from_file = params.get("from_file")
        from_func = params.get("from_func")
        if len([one for one in (from_path, from_file, from_func) if one]) > 1:
            raise ValueError("At most one of them should be non-empty.")
        if from_path:
            path, content = from_path, Path(from_path).read_bytes()
        elif from_file or from_func:
            file = from_file or from_func()  # type: ignore[misc]
            path, content = file.name, file.getvalue()
        else:
            content = self._make_data(params)
        default_filename = os.path.basename(path) if path else self.DEFAULT_FILENAME
        return params.get("filename", default_filename), content

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        filename, content = self._make_content(extra)
        return File(name=filename, content=content)


class ImageField(FileField):
    DEFAULT_FILENAME = "example.jpg"

    def _make_data(self, params: dict[str, Any]) -> Any:
        width = params.get("width", 100)
        return width, params.get("height", width), params.get("color", "blue")


class LazyFileField(FileField):
    """Has the name of the file depend on the object."""

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        filename, content = self._make_content(extra)
        return File(name=filename(instance) if callable(filename) else filename, content=content)


def named_file() -> io.BytesIO:
    file = io.BytesIO(b"content")
    file.name = "named.dat"
    return file


def define_upload(base: Any) -> Any:
    return factory_of(
        base,
        Model,
        name="upload",
        file=FileField(data=b"123"),
        from_func=FileField(from_func=named_file),
        image=ImageField(width=5, color=factory.SelfAttribute("..name")),
        lazy=LazyFileField(filename=lambda upload: f"{upload.name}.dat"),
    )


async def test_django_files(tmp_path: Path) -> None:
    """A FileField takes its arguments from its own definition, and from a call."""
    path = tmp_path / "of_path.dat"
    path.write_bytes(b"of the path")
    upload = await same(
        define_upload,
        stubs=False,  # a context with a declaration in it becomes a stub too
        file__from_path=str(path),
        image__height=7,
        image__filename="photo.jpg",
    )
    assert upload.file == File(name="of_path.dat", content=b"of the path")
    assert upload.from_func == File(name="named.dat", content=b"content")
    assert upload.image == File(name="photo.jpg", content=(5, 7, "upload"))
    assert upload.lazy == File(name="upload.dat", content=b"")
    with pytest.raises(ValueError, match="At most one"):
        await define_upload(Ours).create_async(from_func__from_path=str(path))


def make_password(password: str | None) -> str:
    return f"hashed {password}"


class Password(declarations.Transformer):
    def __init__(
        self, password: Any, transform: Callable[[Any], Any] = make_password, **kwargs: Any
    ) -> None:
        super().__init__(password, transform=transform, **kwargs)


def define_user(base: Any) -> Any:
    return factory_of(base, Model, name="ada", password=Password("secret"))


@pytest.mark.parametrize(
    ("kwargs", "password"),
    [
        ({}, "hashed secret"),
        ({"password": "other"}, "hashed other"),
        ({"password": factory.SelfAttribute("name")}, "hashed ada"),
        ({"password": Password.Force("as it is")}, "as it is"),
        ({"password": Password.Force(factory.SelfAttribute("name"))}, "ada"),
        ({"password": Password(None)}, "hashed hashed None"),
    ],
    ids=["default", "value", "declaration", "forced", "forced declaration", "another"],
)
async def test_django_password(kwargs: dict[str, Any], password: str) -> None:
    """A Password hashes whatever takes its place, except what is forced."""
    assert (await same(define_user, **kwargs)).password == password


# wagtail-factories


class ListBlockFactory(factory.SubFactory):
    """Makes as many objects as there are indices in what it is given: ``items__0__label="foo"``."""

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        result: dict[int, dict[str, Any]] = defaultdict(dict)
        for key, value in extra.items():
            index, label = key.split("__", maxsplit=1)
            result[int(index)][label] = value
        subfactory = self.get_factory()
        force_sequence = step.sequence if self.FORCE_SEQUENCE else None
        return [
            step.recurse(subfactory, params, force_sequence=force_sequence)
            for _, params in sorted(result.items())
        ]


def define_page(base: Any) -> Any:
    block = factory_of(
        base, Child, number=factory.Sequence(int), label=factory.Sequence("block {}".format)
    )
    return factory_of(base, Model, items=ListBlockFactory(block, **{"0__label": "first"}))


async def test_wagtail_blocks() -> None:
    """A subclass of SubFactory may recurse into its factory as often as it likes."""
    page = await same(define_page, batch=1, items__2__number=7, items__1__label="second")
    assert page.items == [
        Child(number=0, label="first"),
        Child(number=1, label="second"),
        Child(number=7, label="block 2"),
    ]


# What is found in projects


class ParentAttribute(declarations.ParameteredAttribute):
    """Makes an object of the very factory that asks, if it is given anything."""

    def generate(self, step: Any, params: dict[str, Any]) -> Any:
        if not params:
            return None
        return step.recurse(step.builder.factory_meta.factory, params)


def define_document(base: Any) -> Any:
    return factory_of(
        base, Model, parent=ParentAttribute(), title=factory.Sequence("document {}".format)
    )


async def test_parent_of_the_same_factory() -> None:
    """A declaration finds the factory it belongs to, and recurses as deep as a call says."""
    document = await same(define_document, batch=1, parent__parent__title="root")
    assert document.title == "document 0"
    assert document.parent.title == "document 1"
    assert document.parent.parent == Model(parent=None, title="root")


class UniqueFaker(factory.Faker):
    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        subfaker = self._get_faker(extra.pop("locale"))
        return subfaker.unique.format(self.provider, **extra)


async def test_unique_faker() -> None:
    """A Faker that takes its own way to the values is left to it."""

    def define(base: Any) -> Any:
        for locale in ("en_US", "de_DE"):
            factory.Faker._get_faker(locale).unique.clear()
        return factory_of(
            base, Model, digit=UniqueFaker("random_digit"), city=UniqueFaker("city", locale="de_DE")
        )

    assert (await same(define)).digit in range(10)


async def test_faker_of_another_locale() -> None:
    """The default locale, and providers that are added, count where the object is built."""

    class Provider(faker.providers.BaseProvider):
        def answer(self) -> int:
            return 42

    def define(base: Any) -> Any:
        return factory_of(base, Model, name=factory.Faker("name"))

    made = {base: define(base) for base in (Theirs, Ours)}
    english = seeded(made[Theirs].build)
    assert await seeded(made[Ours].create_async) == english
    with factory.Faker.override_default_locale("ja_JP"):
        japanese = seeded(made[Theirs].build)
        assert await seeded(made[Ours].create_async) == japanese != english
    factory.Faker.add_provider(Provider)
    answering = factory_of(Ours, Model, answer=factory.Faker("answer"))
    assert (await answering.create_async()).answer == 42


class ManyFactory(factory.RelatedFactory):
    """Makes a related object for each value that it is given, as for a many-to-many relation."""

    def call(self, instance: Any, step: Any, context: Any) -> Any:
        values = context.value if context.value_provided else [None]
        kwargs = {**self.defaults, **context.extra}
        made = [step.recurse(self.get_factory(), {**kwargs, self.name: value}) for value in values]
        instance.related = made
        return made


def define_group(base: Any) -> Any:
    member = factory_of(base, Child, number=factory.Sequence(int), name="nobody")
    return factory_of(base, Model, members=ManyFactory(member, "name", rank=1))


async def test_many_related_objects() -> None:
    """A subclass of RelatedFactory decides by itself what it makes of its context."""
    group = await same(define_group, batch=1, members=["ada", "charles"], members__rank=2)
    assert group.related == [
        Child(number=0, rank=2, name="ada"),
        Child(number=1, rank=2, name="charles"),
    ]


# The step itself


class Witness(declarations.BaseDeclaration):
    """Looks at all that factory_boy's step has."""

    def evaluate(self, instance: Any, step: Any, extra: dict[str, Any]) -> Any:
        parent = step.parent_step
        assert step.stub is instance
        assert step.chain == (instance, *(() if parent is None else parent.chain))
        assert step.resolve is not None
        recursed = step.builder.recurse(factory.DictFactory._meta, {"k": 1})
        assert recursed.strategy == step.builder.strategy
        return {
            "attributes": dict(step.attributes),
            "sequence": step.sequence,
            "strategy": step.builder.strategy,
            "extras": dict(step.builder.extras),
            "factory": step.builder.factory_meta.factory.__name__,
            "model": step.builder.factory_meta.model,
            "declarations": list(step.builder.factory_meta.declarations),
            "before": list(step.builder.factory_meta.pre_declarations),
            "after": list(step.builder.factory_meta.post_declarations),
            "parameters": list(step.builder.factory_meta.parameters),
            "parent": parent and parent.builder.factory_meta.factory.__name__,
            "parent's attributes": parent and dict(parent.attributes),
            "made by the builder": recursed.build(parent_step=step, force_sequence=5),
        }


def define_watched(base: Any) -> Any:
    child = factory_of(base, Child, name="child", witness=Witness())
    return factory_of(
        base,
        Model,
        params={"hidden": 1},
        first=factory.Sequence(int),
        witness=Witness(),
        child=factory.SubFactory(child, given=2),
        last=3,
        after=factory.PostGeneration(lambda instance, create, extracted: None),
    )


async def test_step() -> None:
    """A declaration finds in the step all that factory_boy's has."""
    made = await same(define_watched, first=7, child__name="other")
    assert made.witness["attributes"] == {"first": 7}
    assert made.witness["extras"] == {"first": 7, "child__name": "other"}
    assert made.witness["before"] == ["first", "witness", "child", "last", "hidden"]
    assert made.child.witness["parent"] == "ModelFactory"
    assert made.child.witness["extras"] == {"given": 2, "name": "other"}


# factory.fuzzy

DAY = date(2024, 2, 1)
MOMENT = datetime(2024, 2, 1)
UTC = MOMENT.replace(tzinfo=timezone.utc)

FUZZY: dict[str, Callable[[], Iterable[Any]]] = {
    "FuzzyAttribute": lambda: [
        factory.fuzzy.FuzzyAttribute(lambda: factory.random.randgen.randint(0, 1000))
    ],
    "FuzzyText": lambda: [
        factory.fuzzy.FuzzyText(),
        factory.fuzzy.FuzzyText(prefix="a", length=4, suffix="z", chars="xyz"),
    ],
    "FuzzyChoice": lambda: [
        factory.fuzzy.FuzzyChoice(range(1000)),
        factory.fuzzy.FuzzyChoice(itertools.islice(itertools.count(), 100)),
        factory.fuzzy.FuzzyChoice(["a", "b", "c"], getter=str.upper),
    ],
    "FuzzyInteger": lambda: [
        factory.fuzzy.FuzzyInteger(1000),
        factory.fuzzy.FuzzyInteger(10, 1000, step=10),
    ],
    "FuzzyDecimal": lambda: [
        factory.fuzzy.FuzzyDecimal(100),
        factory.fuzzy.FuzzyDecimal(1, 2, precision=5),
    ],
    "FuzzyFloat": lambda: [
        factory.fuzzy.FuzzyFloat(100),
        factory.fuzzy.FuzzyFloat(1, 2, precision=5),
    ],
    "FuzzyDate": lambda: [
        factory.fuzzy.FuzzyDate(DAY, DAY + timedelta(days=1000)),
    ],
    "FuzzyNaiveDateTime": lambda: [
        factory.fuzzy.FuzzyNaiveDateTime(MOMENT, MOMENT + timedelta(days=1000)),
        factory.fuzzy.FuzzyNaiveDateTime(
            MOMENT, MOMENT + timedelta(days=1000), force_day=3, force_microsecond=4
        ),
    ],
    "FuzzyDateTime": lambda: [
        factory.fuzzy.FuzzyDateTime(UTC, UTC + timedelta(days=1000)),
        factory.fuzzy.FuzzyDateTime(UTC, UTC + timedelta(days=1000), force_year=2025),
    ],
}


class FuzzyMoney(factory.fuzzy.BaseFuzzyAttribute):
    """A fuzzy attribute of a project's own."""

    def fuzz(self) -> Any:
        return f"{factory.random.randgen.randint(0, 1000)} EUR"


FUZZY["FuzzyMoney"] = lambda: [FuzzyMoney()]


def test_all_fuzzy_attributes_are_tested() -> None:
    """There is no fuzzy attribute in factory_boy but those that are compared here."""
    known = {
        name
        for name, value in vars(factory.fuzzy).items()
        if isinstance(value, type) and issubclass(value, factory.fuzzy.BaseFuzzyAttribute)
    }
    assert known - {"BaseFuzzyAttribute", "BaseFuzzyDateTime"} == FUZZY.keys() - {"FuzzyMoney"}


@pytest.mark.parametrize("name", FUZZY)
async def test_fuzzy(name: str) -> None:
    """A fuzzy attribute draws the same values, in a flat factory also in a batch."""

    def define(base: Any) -> Any:
        return factory_of(
            base, Model, **{f"value{n}": value for n, value in enumerate(FUZZY[name]())}
        )

    await same(define)
