"""What `faking` draws is what plain Faker draws.

Set ``FAKER_LOCALES=all`` in the environment to compare all providers of all locales, not a sample.
"""

from __future__ import annotations

import datetime
import importlib.util
import inspect
import os
import random
import string
import sys
import time
import types
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import factory
import factory.random
import faker
import faker.generator
import faker.providers
import pytest
from faker.config import AVAILABLE_LOCALES
from faker.generator import Generator
from faker.providers import BaseProvider, DynamicProvider
from faker.providers.lorem import Provider as LoremProvider
from faker.providers.lorem.en_US import Provider as EnglishLorem
from faker.providers.person import Provider as PersonProvider
from faker.providers.person.en_US import Provider as EnglishPerson

from async_factory_boy.factory import faking


@pytest.fixture(autouse=True)
def _own_fakers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test fakers of its own, and leave the shared random numbers as they were."""
    monkeypatch.setattr(factory.Faker, "_FAKER_REGISTRY", {})
    monkeypatch.setattr(Generator, "_is_seeded", False)
    monkeypatch.setattr(Generator, "_global_seed", None)
    state = faker.generator.random.getstate()
    yield
    faker.generator.random.setstate(state)


def generator_of(locale: str | None = None) -> Generator:
    """Return the generator that factory_boy keeps for a locale."""
    return factory.Faker._get_faker(locale).factories[0]


def plain(provider: str, locale: str | None = None, **parameters: Any) -> Any:
    """Draw as factory_boy does."""
    return factory.Faker._get_faker(locale).format(provider, **parameters)


def fast(provider: str, locale: str | None = None, **parameters: Any) -> Any:
    """Draw as async factories do."""
    return faking.value_of(provider, locale, parameters)


def outcome(draw: Any, *arguments: Any, **parameters: Any) -> Any:
    """Return the value that is drawn, or the error."""
    try:
        value = draw(*arguments, **parameters)
        return list(value) if isinstance(value, Iterator) else value
    except Exception as error:
        return type(error), str(error)


def drawn_by(draw: Any, *arguments: Any, draws: int = 12, **parameters: Any) -> Any:
    """Return values drawn for a seed, and the state of the random numbers afterwards."""
    factory.random.reseed_random(1)
    values = [outcome(draw, *arguments, **parameters) for _ in range(draws)]
    return values, faker.generator.random.getstate()


def compare(*arguments: Any, **parameters: Any) -> list[Any]:
    """Compare what both ways draw, in turns, and return it."""
    expected = drawn_by(plain, *arguments, **parameters)
    assert drawn_by(fast, *arguments, **parameters) == expected
    assert drawn_by(plain, *arguments, **parameters) == expected
    assert drawn_by(fast, *arguments, **parameters) == expected
    return expected[0]


# Every provider of every locale

ALL = os.environ.get("FAKER_LOCALES") == "all"
LOCALES = sorted(AVAILABLE_LOCALES) if ALL else ["en_US", *sorted(AVAILABLE_LOCALES)[::12]]


NOW = datetime.datetime(2026, 5, 17, 12, 30, 15, 123456)


class FrozenType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__base__)  # what arithmetic returns may be no subclass


class FrozenDate(datetime.date, metaclass=FrozenType):
    @classmethod
    def today(cls) -> Any:
        return NOW.date()


class FrozenDatetime(datetime.datetime, metaclass=FrozenType):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return NOW.astimezone(tz) if tz else NOW


def freeze_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Faker see one and the same moment, and the archives that it makes."""
    monkeypatch.setattr(time, "time", NOW.timestamp)
    frozen: dict[Any, Any] = {datetime.date: FrozenDate, datetime.datetime: FrozenDatetime}
    frozen[datetime] = types.SimpleNamespace(
        **{
            name: frozen.get(value, value)
            for name, value in vars(datetime).items()
            if name[0] != "_"
        }
    )
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("faker.providers."):
            for name in ("date", "dtdate", "datetime"):
                value = vars(module).get(name)
                if value in frozen:
                    monkeypatch.setattr(module, name, frozen[value])


def needs_arguments(formatter: Any) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(formatter).parameters.values()
    return any(p.default is p.empty and p.kind in (*kinds, p.KEYWORD_ONLY) for p in parameters)


@pytest.mark.unmeasured
@pytest.mark.parametrize("locale", LOCALES)
def test_all_providers(locale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each provider gives the values of plain Faker, and uses up the same random numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some locales are deprecated
        generator = generator_of(locale)
        expected = faker.Faker(locale).factories[0]
    freeze_clock(monkeypatch)
    names = [name for name, value in vars(generator).items() if callable(value)]
    names = [name for name in names if not needs_arguments(getattr(generator, name))]
    assert len(names) > 200
    if not ALL:
        names = random.Random(locale).sample(names, 60)
    differing = []
    for name in names:
        results = []
        for draw, drawing in ((expected.format, expected), (fast, generator)):
            drawing.seed_instance(7)
            random.seed(7)  # some providers take these
            arguments = (name,) if draw is not fast else (name, locale)
            values = [outcome(draw, *arguments) for _ in range(3)]
            results.append((values, drawing.random.getstate(), random.getstate()))
        if results[0] != results[1]:
            differing.append((name, results[0][0], results[1][0]))
    assert differing == []


def test_a_provider_that_names_its_class() -> None:
    """A provider that says ``super(self.__class__, self)``, as one of Bengali does, works."""
    assert all(isinstance(number, str) for number in compare("msisdn", "bn_BD"))


# What is asked for

WEIGHTED = OrderedDict(often=5, seldom=1, never=0)
UNITS = OrderedDict([(str(number), number / 7) for number in range(500)])


@pytest.mark.parametrize(
    ("provider", "parameters"),
    [
        ("random_element", {"elements": WEIGHTED}),
        ("random_element", {"elements": UNITS}),
        ("random_element", {"elements": "text"}),
        ("random_element", {"elements": ["one"]}),
        ("random_element", {"elements": {"a set"}}),
        ("random_element", {"elements": range(9)}),
        ("random_element", {"elements": {"a": 1}}),
        ("random_element", {"elements": ()}),
        ("random_element", {"elements": OrderedDict()}),
        ("random_element", {"elements": OrderedDict(nothing=0, at=0, all=0)}),
        ("random_element", {"elements": OrderedDict(endless=float("inf"), other=1)}),
        ("random_element", {"elements": OrderedDict(exact=Decimal(1), other=Decimal(2))}),
        ("random_element", {"elements": OrderedDict(negative=-1, other=2)}),
        ("random_elements", {"elements": UNITS}),
        ("random_elements", {"elements": UNITS, "length": 7}),
        ("random_elements", {"elements": UNITS, "length": 7, "unique": True}),
        ("random_elements", {"elements": UNITS, "length": 7, "use_weighting": False}),
        ("random_elements", {"elements": WEIGHTED, "length": 7, "unique": True}),
        ("random_elements", {"elements": "text", "length": 0}),
        ("random_elements", {"elements": [1, 2], "length": 7}),
        ("random_elements", {"elements": [1, 2], "length": 7, "unique": True}),
        ("random_choices", {"elements": WEIGHTED, "length": -1}),
        ("random_choices", {"elements": WEIGHTED, "length": "7"}),
        ("email", {"safe": False}),
        ("email", {"domain": "example.test"}),
        ("sentence", {"nb_words": 3, "variable_nb_words": False}),
        ("sentence", {"ext_word_list": ["alpha", "beta"]}),
        ("sentence", {"ext_word_list": OrderedDict(alpha=1, beta=100)}),
        ("words", {"nb": 4, "unique": True}),
        ("words", {"nb": 4, "part_of_speech": "verb"}),
        ("words", {"nb": 4, "part_of_speech": "smile"}),
        ("text", {"max_nb_chars": 4}),
        ("text", {"max_nb_chars": 20}),
        ("text", {"max_nb_chars": 90}),
        ("texts", {"nb_texts": 2, "max_nb_chars": 900, "ext_word_list": ("alpha", "beta")}),
        ("bothify", {"text": "#%$!@ ?? ##-#", "letters": "xyz"}),
        ("bothify", {"text": ""}),
        ("bothify", {"text": b"##"}),
        ("numerify", {"text": "none"}),
        ("hexify", {"text": "^^^-^", "upper": True}),
        ("pystr_format", {"string_format": "{{random_int}}-?#{{ first_name }}"}),
        ("parse", {"text": "{{first_name}}{{last_name}} {{ city }}"}),
        ("parse", {"text": "{{pyint:small}} {{city}}"}),
        ("parse", {"text": "{{pyint:unknown}} {{city}}"}),
        ("parse", {"text": "{{city}} {{nothing}}"}),
        ("parse", {"text": 7}),
        ("pyint", {"least": 7}),
        ("pyint", {"formatter": "name"}),
        ("nothing", {}),
        ("_nothing", {}),
        ("random", {}),
        (7, {}),
    ],
)
def test_parameters(provider: Any, parameters: dict[str, Any]) -> None:
    """A provider gives the values, or the errors, of plain Faker for the same parameters."""
    generator_of().set_arguments("small", "max_value", 10)
    compare(provider, **parameters)


def test_locales() -> None:
    """A locale is the one asked for, or else the default in force."""
    german = compare("name", "de_DE")
    with factory.Faker.override_default_locale("de_DE"):
        assert compare("name") == german
        assert compare("name", "en_US") != german
    assert compare("name") == compare("name", "en_US")


def test_several_locales() -> None:
    """A faker of several locales takes one of them for each value, as in plain Faker."""
    compare("name", ("en_US", "ja_JP"))
    compare("nothing", ("en_US", "ja_JP"))


def test_unknown_locale() -> None:
    """An unknown locale is the error of plain Faker."""
    assert outcome(fast, "name", "xx_XX") == outcome(plain, "name", "xx_XX")


def test_missing_formatter() -> None:
    """A provider that needs another one, which is not there, gives the error of plain Faker."""
    registry = factory.Faker._FAKER_REGISTRY
    registry["en_US"] = faker.Faker(providers=["faker.providers.profile", "faker.providers.person"])
    values = compare("simple_profile") + compare("first_name")
    assert "'Generator' object has no attribute" in values[0][1]


def test_values_of() -> None:
    """Many values are those that come one by one."""
    for provider, parameters in [("name", {}), ("random_element", {"elements": UNITS})]:
        values = compare(provider, draws=30, **parameters)
        factory.random.reseed_random(1)
        assert faking.values_of(provider, None, parameters, 20) == values[:20]
        assert faking.values_of(provider, None, parameters, 0) == []
        assert faking.values_of(provider, None, parameters, 10) == values[20:]


# Random numbers


def test_seeds() -> None:
    """All ways to seed Faker hold for both, which go on where the other stopped."""
    for locale in ("en_US", "fr_FR"):
        generator = generator_of(locale)
        ways = [
            lambda: factory.random.reseed_random("one"),
            lambda: faker.Faker.seed(2),
            lambda: generator.seed_instance(3),
            lambda: setattr(generator, "random", random.Random(4)),
        ]
        for seed in ways:
            seed()
            expected = [plain("name", locale) for _ in range(20)]
            seed()
            assert [draw("name", locale) for draw in (fast, plain) * 10] == expected


def test_random_numbers_of_another_kind() -> None:
    """A generator of random numbers that is not Python's own is asked what Faker asks it."""

    class Noting(random.Random):
        asked: list[Any]

        def choices(self, *arguments: Any, **parameters: Any) -> Any:
            self.asked.append((arguments, parameters))
            return super().choices(*arguments, **parameters)

    asked = []
    for draw in (plain, fast):
        generator_of().random = numbers = Noting(1)
        numbers.asked = []
        asked.append([[draw("address") for _ in range(20)], numbers.asked])
    assert asked[0] == asked[1]
    assert asked[0][1]


# Providers of the user's


class Pets(BaseProvider):
    def pet(self) -> str:
        return self.random_element(("cat", "dog"))

    def first_name(self) -> str:
        return self.generator.parse("{{pet}}-") + self.pet()


def test_provider_added_later() -> None:
    """A provider that is added after the first value counts, also for what others make of it."""
    unknown = compare("pet")
    factory.Faker.add_provider(Pets)
    assert compare("pet") != unknown
    assert set(compare("first_name")) == {"cat-cat", "cat-dog", "dog-cat", "dog-dog"}
    assert "cat-dog" in " ".join(compare("email"))
    factory.Faker.add_provider(EnglishPerson)
    assert "cat-dog" not in " ".join(compare("email"))


def test_provider_derived_from_one_of_faker() -> None:
    """A subclass of one of Faker's providers gives what it gives in plain Faker."""

    class Short(EnglishPerson):
        def random_element(self, elements: Any = ()) -> Any:
            return super(type(self), self).random_element(elements)[:3]

    factory.Faker.add_provider(Short)
    assert {len(name) for name in compare("last_name")} == {3}


def test_dynamic_provider() -> None:
    """A DynamicProvider draws from the elements that it has by now."""
    provider = DynamicProvider("pet", ["cat", "dog"], generator_of())
    factory.Faker.add_provider(provider)
    assert set(compare("pet")) == {"cat", "dog"}
    provider.add_element("cow")
    assert set(compare("pet")) == {"cat", "dog", "cow"}


def test_generator_of_a_provider() -> None:
    """A provider that was made with another generator goes on with that."""
    other = Generator()
    factory.Faker.add_provider(DynamicProvider("letter", list(string.ascii_letters), other))
    values = []
    for draw in (plain, fast):
        other.seed_instance(1)
        values.append([draw("letter") for _ in range(20)])
    assert values[0] == values[1]


def test_list_of_words_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gets a list of words may change it: the caller, and a method of the user's."""

    def take_words(self: Any, *arguments: Any, **parameters: Any) -> Any:
        words = self.get_words_list()
        return [words.pop(), words.pop()]

    words = ["alpha", "beta"]
    fast("get_words_list").clear()
    fast("get_words_list", ext_word_list=words).clear()
    assert compare("get_words_list")[0]
    assert words == ["alpha", "beta"]
    for name in ("words", "take_words"):
        for provider in (EnglishLorem, LoremProvider):
            with monkeypatch.context() as patch:
                patch.setattr(provider, name, take_words, raising=False)
                patch.setattr(factory.Faker, "_FAKER_REGISTRY", {})
                compare(name)
                compare("sentence")


# Elements that change


def test_weights_that_change() -> None:
    """A set of elements is drawn from as it is by now."""
    weights: Any = OrderedDict((str(number), 1.0) for number in range(40))

    def only(key: str) -> None:
        weights.update(dict.fromkeys(weights, 0.0))
        weights[key] = 1.0

    def swap() -> None:
        weights["7"], weights["8"] = weights["8"], weights["7"]

    class Growing:
        amount = 0.0

        def __radd__(self, other: float) -> float:
            return other + self.amount

    growing = Growing()
    # Faker notes the keys of a set with the first value, and does not look at them again.
    changes = [
        (lambda: None, None),
        (lambda: only("7"), {"7"}),
        (swap, {"8"}),
        (lambda: weights.move_to_end("0"), {"7"}),
        (lambda: delattr(weights, "_key_cache"), {"8"}),
        (lambda: weights.pop("0"), {AssertionError}),
        (lambda: delattr(weights, "_key_cache"), {"8"}),
        (lambda: weights.update(new=1e9), {AssertionError}),
        (lambda: delattr(weights, "_key_cache"), {"new"}),
        (lambda: weights.update(new=float("nan")), None),
        (lambda: weights.update(new="heavy"), None),
        (lambda: weights.update(new=Decimal(1)), None),
        (lambda: weights.update(new=growing), {"8"}),
        (lambda: setattr(growing, "amount", 1e9), {"new"}),
        (lambda: weights.update(new=0), {"8"}),
        (lambda: weights.update({"8": 0}), None),
        (lambda: only("7"), {"7"}),
        (lambda: weights.clear(), {AssertionError}),
    ]
    for change, values in changes:
        change()
        drawn = drawn_by(fast, "random_element", elements=weights)
        assert drawn == drawn_by(plain, "random_element", elements=weights)
        seen = {value if isinstance(value, str) else value[0] for value in drawn[0]}
        assert seen == (values or seen)
        many = drawn_by(
            faking.values_of, "random_element", None, {"elements": weights}, 12, draws=1
        )
        assert many[0] in ([drawn[0]], drawn[0][:1])  # the values, or the error of the first


def test_weights_of_faker_that_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight of Faker's own that changes counts from the next value on."""
    usual = compare("first_name")
    for name in ("Aaron", "Zoe"):
        with monkeypatch.context() as patch:
            patch.setitem(EnglishPerson.first_names, name, 1e12)
            assert compare("first_name") == [name] * 12
        assert compare("first_name") == usual


def test_weights_that_a_provider_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider of the user's may change weights while many values are drawn."""
    names = EnglishPerson.first_names
    monkeypatch.setitem(names, "Aaron", 1e12)
    monkeypatch.setitem(names, "Zoe", 0.0)

    class Swapping(BaseProvider):
        def swap(self) -> str:
            names["Aaron"], names["Zoe"] = names["Zoe"], names["Aaron"]
            return ""

    factory.Faker.add_provider(Swapping)
    pattern = {"text": "{{first_name}}{{swap}}"}
    assert faking.values_of("parse", None, pattern, 4) == ["Aaron", "Zoe", "Aaron", "Zoe"]


def test_elements_that_are_made_anew() -> None:
    """Sets of elements that exist for one value are not taken for one another."""
    for number in range(600):
        elements = OrderedDict([(f"{number} often", 1e9), (f"{number} never", 0.0)])
        assert fast("random_element", elements=elements) == f"{number} often"
        assert len(faking._remembered) <= 256


def test_many_fakers() -> None:
    """Fakers that are not kept by factory_boy any longer are forgotten in the end."""
    for _ in range(300):
        factory.Faker._FAKER_REGISTRY.clear()
        factory.Faker._FAKER_REGISTRY["en_US"] = faker.Faker(providers=["faker.providers.misc"])
        fast("boolean")
    assert len(faking._twins) <= 256


# What the user replaces


def test_methods_that_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that the user replaces is called where plain Faker calls it, and only there."""
    usual = [compare(name) for name in ("name", "address", "email", "text", "bothify")]
    generator = generator_of()
    person = next(one for one in generator.providers if isinstance(one, PersonProvider))

    def other(*arguments: Any, **parameters: Any) -> Any:
        return ["other"]

    replaced: list[tuple[Any, str]] = [
        *((person, name) for name in ("first_name", "random_element", "random_elements")),
        *((EnglishPerson, name) for name in ("first_name", "name", "random_elements")),
        *((PersonProvider, name) for name in ("name", "random_elements")),
        *((BaseProvider, name) for name in ("random_element", "random_elements", "random_digit")),
        *((BaseProvider, name) for name in ("numerify", "lexify", "bothify")),
        *((LoremProvider, name) for name in ("get_words_list", "words", "sentence")),
        *((EnglishLorem, name) for name in ("get_words_list", "word_list")),
        *((Generator, name) for name in ("parse", "format", "get_formatter")),
        *((generator, name) for name in ("first_name", "parse", "format", "get_formatter")),
    ]
    for place, method in replaced:
        with monkeypatch.context() as patch:
            patch.setattr(place, method, other, raising=False)
            for name in ("first_name", "name", "address", "email", "text", "bothify"):
                compare(name, draws=4)
    assert [compare(name) for name in ("name", "address", "email", "text", "bothify")] == usual


def test_faker_that_was_patched_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was replaced before this library is imported is called as well."""
    called = []
    original = BaseProvider.random_elements

    def random_elements(*arguments: Any, **parameters: Any) -> Any:
        called.append(arguments)
        return original(*arguments, **parameters)

    monkeypatch.setattr(BaseProvider, "random_elements", random_elements)
    spec = importlib.util.spec_from_file_location("imported_again", faking.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.value_of("random_element", None, {"elements": ["one"]}) == "one"
    assert [arguments[1] for arguments in called] == [["one"]]


def test_this_version_of_faker_is_known() -> None:
    """With the installed version of Faker, the faster ways are taken."""
    fast("name")
    assert isinstance(faking._twins[factory.Faker._get_faker()], Generator)


def attributes() -> dict[tuple[str, ...], Any]:
    """Return the attributes of all modules and classes of Faker and factory_boy."""
    found: dict[tuple[str, ...], Any] = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] in ("faker", "factory"):
            for name, value in vars(module).items():
                found[module_name, name] = value
                if isinstance(value, type):
                    for attribute, content in vars(value).items():
                        found[module_name, name, attribute] = content
    return found


def test_nothing_is_patched() -> None:
    """Modules, classes, generators and providers stay as they are, and so do a user's fakers."""
    own = faker.Faker()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generators = [generator_of(), generator_of("ja_JP"), own.factories[0]]
    objects = [*generators, *(one for generator in generators for one in generator.providers)]
    contents = [dict(vars(one)) for one in objects]
    before = attributes()
    for locale in ("en_US", "ja_JP"):
        for name in ("name", "email", "company", "address", "text", "pyint", "uuid4", "nothing"):
            outcome(fast, name, locale)
            outcome(faking.values_of, name, locale, {}, 3)
    after = attributes()
    assert {name for name, value in before.items() if after[name] is not value} == set()
    assert [dict(vars(one)) for one in objects] == contents
    assert [type(one) for one in generators] == [Generator] * 3
