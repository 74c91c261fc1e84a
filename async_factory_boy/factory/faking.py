"""Values of ``factory.Faker``, drawn faster: exactly those that plain Faker gives for a seed.

For each value, Faker adds up the weights of a set of elements, and takes a pattern apart. Here,
that is done once for each set and each pattern.

Nothing that belongs to Faker or factory_boy is changed. Each generator that factory_boy keeps, and
each provider of it, gets a *twin*: an object of a subclass, which shares the attributes of the
original (its ``__dict__``) and overrides what is slow. So what is later added to, set on or seeded
in the original holds for the twin, and a synchronous factory goes on with the same random numbers.

What has no twin draws as in plain Faker: several locales at once, a provider whose class is not one
of Faker's, a method that was replaced, a version of Faker that works in another way.
"""

from __future__ import annotations

import string
from bisect import bisect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import inf
from random import Random
from types import MethodType
from typing import Any

import faker
import faker.generator
import faker.providers
import faker.providers.lorem
from faker.generator import Generator
from faker.providers import BaseProvider
from faker.providers.lorem import Provider as LoremProvider

from async_factory_boy.factory.upstream import faker_for


def value_of(provider: str, locale: str | None, parameters: Mapping[str, Any]) -> Any:
    """Return what ``factory.Faker(provider, locale=locale, **parameters)`` evaluates to."""
    return _source(locale).format(provider, **parameters)


def values_of(
    provider: str, locale: str | None, parameters: Mapping[str, Any], count: int
) -> list[Any]:
    """Return `count` values, the same as one by one, in less time.

    `value_of` looks each time whether a set of elements has changed since it was last drawn from.
    Here, that is done once for all values.
    """
    draw = _source(locale).format
    return [draw(provider, **parameters) for _ in range(count)]


# The methods that twins override, as they are in Faker. Old versions lack some.
_get_formatter = getattr(Generator, "get_formatter", None)
_parse = getattr(Generator, "parse", None)
_random_elements = getattr(BaseProvider, "random_elements", None)
_random_digit = getattr(BaseProvider, "random_digit", None)
_numerify = getattr(BaseProvider, "numerify", None)
_lexify = getattr(BaseProvider, "lexify", None)
_get_words_list = getattr(LoremProvider, "get_words_list", None)
# Those of Faker's methods that ask for the list of words.
_words = LoremProvider.words
_word = LoremProvider.word
_sentence = LoremProvider.sentence

_LIMIT = 256  # of what a cache remembers; it is emptied when it is full

_twins: dict[Any, Any] = {}
"""For each faker that factory_boy keeps: the twin of its generator, or itself if there is none."""


def _source(locale: str | None) -> Any:
    """Return what draws for `locale`, in a new turn."""
    plain = faker_for(locale)
    twin = _twins.get(plain)
    if twin is None:
        if len(_twins) >= _LIMIT:
            _twins.clear()
        twin = _twins[plain] = _twin_of(plain)
    if twin is not plain:
        twin._turn = object()
    return twin


def _twin_of(plain: Any) -> Any:
    if type(plain) is faker.Faker and len(plain.factories) == 1 and _TWINS_DRAW_ALIKE:
        generator = plain.factories[0]
        if type(generator) is Generator:
            return _Twin(generator)
    return plain


class _Twin(Generator):
    """Draws in place of a generator."""

    # Formatters are attributes too. None that a provider adds begins with an underscore.
    __slots__ = ("_generator", "_known", "_turn")

    def __init__(self, generator: Generator) -> None:
        self.__dict__ = generator.__dict__
        self._generator = generator
        # For each name: the formatter of the original, and the one that is faster.
        self._known: dict[str, tuple[Any, Any]] = {}
        # A turn is a call of `value_of` or `values_of`, or the rest of it after code ran that is
        # not Faker's. In a turn, a set of elements is compared once with what is remembered of it.
        self._turn = object()

    def get_formatter(self, formatter: str) -> Any:
        plain = getattr(self, formatter, None)
        if plain is None or Generator.get_formatter is not _get_formatter:
            return super().get_formatter(formatter)
        known = self._known.get(formatter)
        # The original may have another formatter of this name by now.
        if known is not None and known[0] is plain:
            return known[1]
        fast = self._faster(plain)
        if fast is plain:
            self._turn = object()  # a user's formatter may change sets of elements
        else:
            self._known[formatter] = plain, fast
        return fast

    def _faster(self, formatter: Any) -> Any:
        """Return `formatter`, a method of a provider, as one of the twin of that provider."""
        if type(formatter) is not MethodType:
            return formatter
        function: Any = formatter.__func__
        provider: Any = formatter.__self__
        plain: Any = type(provider)
        twin_class = _twin_class(plain)
        if (
            twin_class is None
            or provider.generator is not self._generator
            or not str(function.__module__).startswith("faker.")
        ):
            return formatter
        twin = object.__new__(twin_class)
        twin.__dict__ = provider.__dict__
        twin.generator = self
        return MethodType(function, twin)

    def parse(self, text: str) -> str:
        pieces = _pieces(text) if type(text) is str and Generator.parse is _parse else None
        if pieces is None:
            return super().parse(text)
        values = list(pieces)
        for place in range(1, len(values), 2):
            values[place] = str(self.format(values[place]))
        return "".join(values)


_Twin.__name__ = Generator.__name__  # for errors: 'Generator' object has no attribute …


@lru_cache(_LIMIT)
def _pieces(pattern: str) -> Sequence[str] | None:
    """Return the pieces of a pattern, every second of them the name of a formatter.

    ``None`` stands for a pattern in which a formatter has arguments.
    """
    pieces = faker.generator._re_token.split(pattern)  # text, name, arguments, text, …
    if any(pieces[2::3]):
        return None
    del pieces[2::3]
    return pieces


@lru_cache(_LIMIT)
def _twin_class(plain: Any) -> Any:
    """Return the class of the twins of providers of a class, or ``None``."""
    *classes, _ = plain.__mro__
    if not all(str(cls.__module__).startswith("faker.") for cls in classes):
        return None
    # Ours are looked into right before those that they override: so those of `plain` come first.
    bases: list[Any] = [_Lorem, _Provider] if issubclass(plain, LoremProvider) else [_Provider]
    if plain not in (LoremProvider, BaseProvider):
        bases.insert(0, plain)
    # Some providers of Faker say ``super(self.__class__, self)``.
    attributes = {"__slots__": (), "__class__": property(lambda self: plain)}
    return type(plain.__name__, tuple(bases), attributes)


class _Provider(BaseProvider):
    """What the twins of all providers do faster.

    Each method does so only if BaseProvider still has the method that it takes the place of.
    """

    # It hides the entry "generator" of __dict__, which is the original generator.
    __slots__ = ("generator",)

    def random_elements(
        self,
        elements: Any = ("a", "b", "c"),
        length: int | None = None,
        unique: bool = False,
        use_weighting: bool | None = None,
    ) -> Sequence[Any]:
        random = self.generator.random
        kind = type(elements)
        if (
            length is None
            or unique
            or type(random) is not Random
            or BaseProvider.random_elements is not _random_elements
        ):
            pass
        elif kind is tuple or kind is list or kind is str:
            return [random.choice(elements)] if length == 1 else random.choices(elements, k=length)
        elif kind is OrderedDict and (
            self.__use_weighting__ if use_weighting is None else use_weighting
        ):
            weights = _weights_of(elements, self.generator._turn)
            if weights is not None:
                if length != 1:
                    return random.choices(weights.keys, cum_weights=weights.sums, k=length)
                # This is what `choices` does.
                place = bisect(weights.sums, random.random() * weights.total, 0, weights.last)
                return [weights.keys[place]]
        return super().random_elements(elements, length, unique, use_weighting)

    def numerify(self, text: str = "###") -> str:
        random = self.generator.random
        if (
            type(text) is not str
            or type(random) is not Random
            or BaseProvider.numerify is not _numerify
            or getattr(self.random_digit, "__func__", None) is not _random_digit
        ):
            return super().numerify(text)
        if "#" in text:
            # One of ten characters takes the same random bits as a number from 0 to 9.
            *pieces, last = text.split("#")
            text = "".join([piece + random.choice(string.digits) for piece in pieces]) + last
        if "%" in text or "$" in text or "!" in text or "@" in text:
            return super().numerify(text)
        return text

    def lexify(self, text: str = "????", letters: str = string.ascii_letters) -> str:
        if type(text) is str and "?" not in text and BaseProvider.lexify is _lexify:
            return text
        return super().lexify(text, letters)


class _Lorem(LoremProvider):
    """What the twins of providers of words do faster."""

    __slots__ = ()

    word_list: Any  # each locale has its own

    def get_words_list(
        self, part_of_speech: str | None = None, ext_word_list: Sequence[str] | None = None
    ) -> Any:
        cls = type(self)
        if (
            cls.words is _words
            and cls.word is _word
            and cls.sentence is _sentence
            and LoremProvider.get_words_list is _get_words_list
        ):
            words = ext_word_list
            if words is None and not part_of_speech:
                words = self.word_list
            # Faker makes a copy here. These three methods do not need it: they only draw from it.
            if type(words) is tuple or type(words) is list:
                return words
        return super().get_words_list(part_of_speech, ext_word_list)


class _Weights:
    """The weights of a set of elements, added up."""

    __slots__ = ("elements", "keys", "last", "order", "sums", "total", "turn", "values")

    def __init__(self, elements: Any, keys: Sequence[Any], turn: object) -> None:
        self.elements = elements
        self.keys = keys
        self.last = len(keys) - 1
        self.sums = list(accumulate(elements.values()))
        self.total = self.sums[-1] + 0.0
        self.order = iter(elements)
        self.values = _values_of(elements)
        self.turn = turn

    def hold(self, turn: object) -> bool:
        """Return whether the set still has these keys and weights."""
        if self.turn is turn:
            return True
        try:
            # The iterator fails if keys were added, removed or moved. At its end it does not, so
            # there the weights count as changed.
            next(self.order)
            same = self.elements._key_cache is self.keys
        except (RuntimeError, StopIteration, AttributeError):
            return False
        if same and _values_of(self.elements) == self.values:
            self.turn = turn
            return True
        return False


def _values_of(elements: Any) -> list[Any]:
    return list(dict.values(elements))  # the method of OrderedDict is slower by far


_remembered: dict[int, _Weights] = {}
"""For each set of elements its weights, by the id of the set, which they keep alive."""


def _weights_of(elements: Any, turn: object) -> _Weights | None:
    """Return the weights of a set of elements, or ``None`` where Faker has to deal with them."""
    weights = _remembered.get(id(elements))
    if weights is not None and weights.hold(turn):
        return weights
    # Faker notes the keys of a set here, and draws from these from then on.
    if not hasattr(elements, "_key_cache"):
        elements._key_cache = tuple(elements)
    keys = elements._key_cache
    if not 0 < len(keys) == len(elements) or not {*map(type, elements.values())} <= {float, int}:
        return None
    weights = _Weights(elements, keys, turn)
    if not 0 < weights.total < inf:
        return None
    if len(_remembered) >= _LIMIT:
        _remembered.clear()
    _remembered[id(elements)] = weights
    return weights


def _examples(source: Callable[[Generator], Generator]) -> tuple[Any, ...]:
    """Return values of all that twins draw in their own way, and what the draws leave behind."""
    generator = Generator()
    generator.random = Random(0)
    generator.add_provider(BaseProvider)
    generator.add_provider(LoremProvider)
    draw = source(generator).format
    weighted = OrderedDict(a=1, b=2.5, c=3)
    values = [
        draw("random_elements", elements, length, False, weighting)
        for elements in ("abc", ["a", "b"], ("a", "b"), weighted, weighted)
        for length in (1, 2)
        for weighting in (True, False)
    ]
    values += [draw("bothify", text) for text in ("abc", "?#%$!@", "a##b##")]
    values += [draw("parse", text) for text in ("abc", "{{random_digit}}-{{ random_digit }}")]
    values += [draw("words", nb=2, ext_word_list=words) for words in (["a", "b"], ("a", "b"))]
    return values, generator.random.getstate(), getattr(weighted, "_key_cache", None)


def _faker_is_as_expected() -> bool:
    """Return whether twins draw as this version of Faker does, and nobody patched it before."""
    originals = [
        *((faker.generator, method) for method in (_get_formatter, _parse)),
        *((faker.providers, method) for method in (_random_elements, _numerify, _lexify)),
        (faker.providers, _random_digit),
        (faker.providers.lorem, _get_words_list),
    ]
    if any(method and method.__globals__ is not vars(module) for module, method in originals):
        return False
    try:
        return _examples(lambda generator: generator) == _examples(_Twin)
    except Exception:  # Faker 7 and before
        return False


_TWINS_DRAW_ALIKE = _faker_is_as_expected()
