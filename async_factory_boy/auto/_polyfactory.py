"""Has polyfactory make values, from the random numbers of factory_boy.

Where polyfactory's values do not meet the constraints, or do not depend on the seed alone, they
are made here.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import functools
import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import pydantic
from factory.random import randgen
from faker import Faker
from polyfactory.exceptions import FactoryException, ParameterException
from polyfactory.factories import DataclassFactory, TypedDictFactory
from polyfactory.factories.pydantic_factory import ModelFactory, PydanticFieldMeta
from polyfactory.field_meta import FieldMeta
from polyfactory.utils.helpers import get_collection_type
from polyfactory.value_generators.regex import RegexFactory
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from async_factory_boy.adapters._annotations import (
    config_of,
    dataclass_fields,
    typed_dict_fields,
)
from async_factory_boy.adapters.fields import Field
from async_factory_boy.auto.chosen import name_of
from async_factory_boy.auto.pydantic_values import named
from async_factory_boy.exceptions import ConfigurationError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# How many values are tried, where what is made does not always meet the constraints.
_ATTEMPTS = 200

# What a model is configured with that decides which values its fields take.
_CONFIG = (
    "allow_inf_nan", "coerce_numbers_to_str", "regex_engine", "str_max_length", "str_min_length",
    "str_strip_whitespace", "str_to_lower", "str_to_upper", "strict",
)  # fmt: skip

_faker: Any = Faker()
_faker.random = randgen


class Maker:
    """Makes values for a field: each has been validated."""

    def __init__(self, field: Field, model: Any) -> None:
        self._field, self._model = field, model
        config = config_of(model)
        known = {key: config[key] for key in _CONFIG if key in config}
        self._holder: type[BaseModel] = create_model(
            "Value",
            __config__=cast("ConfigDict", {"arbitrary_types_allowed": True, **known}),
            value=(_annotation(field), ...),
        )
        self._factory = _factory_for(self._holder)
        self._validated = not hasattr(model, "__pydantic_validator__")

    def __call__(self) -> Any:
        problem: Exception | None = None
        for _ in range(_ATTEMPTS):
            try:
                value = self._factory.process_kwargs()["value"]
                holder: Any = self._holder(value=value)
            except FactoryException as error:  # which no other attempt would change
                problem = error
                break
            except ValidationError as error:
                problem = error
            else:
                return holder.value if self._validated else value
        raise ConfigurationError(
            self._field.name,
            f"has constraints that no value was found for: {named(self._field)} "
            f"({_shortened(problem)}). Declare {self._field.name} in the factory.",
            owner=name_of(self._model),
        )


def _shortened(problem: Exception | None) -> str:
    if isinstance(problem, ValidationError):
        return problem.errors()[0]["msg"]
    return str(problem).partition("\n")[0] or type(problem).__name__


def _annotation(field: Field) -> Any:
    """Return the annotation of a field, made of its constraints if it has none."""
    if field.annotation is not None:
        return field.annotation
    annotation = field.type
    if field.element is not None:
        items = (str, _annotation(field.element))
        annotation = annotation[items if annotation is dict else items[1]]
    if field.choices:
        return Literal[field.choices]
    info: Any = pydantic.Field(
        ge=field.ge, gt=field.gt, le=field.le, lt=field.lt, multiple_of=field.multiple_of,
        min_length=field.min_length, max_length=field.max_length, pattern=field.pattern,
        max_digits=field.precision, decimal_places=field.scale,
    )  # fmt: skip
    return Annotated[annotation, info]


@functools.lru_cache(maxsize=512)
def _factory_for(model: Any) -> Any:
    """Return a factory of polyfactory's, which is registered nowhere, for a model or dataclass."""
    if ModelFactory.is_supported_type(model):
        # By the names of the fields, whatever aliases they have.
        return cast("Any", ModelFactory).create_factory(
            model, bases=(_Constrained,), __by_name__=True
        )
    for kind in (DataclassFactory, TypedDictFactory):
        if kind.is_supported_type(model):
            return cast("Any", kind).create_factory(model, bases=(_Unvalidated, _Constrained))
    raise ParameterException(f"{model!r} is no model that polyfactory knows")


class _Constrained:
    """What is changed of polyfactory's factories."""

    __random__ = randgen
    __faker__ = _faker
    __use_defaults__ = True
    __allow_none_optionals__ = False
    __check_model__ = False

    @classmethod
    def get_provider_map(cls) -> dict[Any, Callable[[], Any]]:
        known: dict[Any, Callable[[], Any]] = _providers(cast("Any", cls))
        return known

    @classmethod
    def own_provider_map(cls) -> dict[Any, Callable[[], Any]]:
        parent: Any = super()
        providers = parent.get_provider_map()
        # Faker has dates until now, which the seed does not decide.
        moments: dict[Any, Any] = {
            kind: functools.partial(make, {})
            for kinds, make in _MAKERS
            if make not in (_boolean, _integer, _float, _decimal, _string, _bytes)
            for kind in kinds
        }
        return {**providers, **moments, str: functools.partial(_string, _string_lengths(cls))}

    @classmethod
    def _get_or_create_factory(cls, model: Any) -> Any:
        return _factory_for(model)

    @classmethod
    def get_constrained_field_value(
        cls,
        annotation: Any,
        field_meta: FieldMeta,
        field_build_parameters: Any | None = None,
        build_context: Any | None = None,
    ) -> Any:
        constraints: dict[str, Any] = dict(field_meta.constraints or {})
        factory: Any = cls
        if constraints.pop("json", False):
            inner = copy.copy(field_meta)
            inner.constraints = cast("Any", constraints) or None
            value = factory.get_field_value(inner, build_context=build_context)
            return to_json(value).decode()
        if "url" in constraints:
            return _url(constraints["url"])
        if annotation is str:
            constraints = {**_string_lengths(factory), **constraints}
        make = _maker(annotation)
        if make is not None:
            try:
                return make(constraints)
            except TypeError as error:  # a bound with a time zone, where none is taken
                raise ParameterException(str(error)) from error
        try:
            collection = get_collection_type(annotation)
        except ValueError:
            collection = None
        if collection is not None and not _is_fixed(collection, field_meta):
            return _collection(factory, collection, field_meta, constraints, build_context)
        try:
            # As it is for a type that takes no constraints.
            parent: Any = super()
            return parent.get_constrained_field_value(
                annotation, field_meta, field_build_parameters, build_context
            )
        except ParameterException:
            provider = factory.get_provider_map().get(annotation)
            if provider is None:
                raise
            return provider()


@functools.lru_cache(maxsize=512)
def _providers(factory: Any) -> Any:
    # polyfactory asks for it once for each value.
    return factory.own_provider_map()


class _Unvalidated:
    """What is changed of the factories of models that do not validate what they are given."""

    @classmethod
    def get_model_fields(cls) -> list[FieldMeta]:
        model = cast("Any", cls).__model__
        read = dataclass_fields if dataclasses.is_dataclass(model) else typed_dict_fields
        return [
            # As for a pydantic model, so that pydantic's constraints are seen.
            PydanticFieldMeta.from_field_info(
                field_name=one.name,
                field_info=FieldInfo.from_annotation(one.annotation),
                use_alias=False,
            )
            for one in read(model)
            if one.required
        ]


def _string_lengths(factory: Any) -> dict[str, Any]:
    """Return the lengths that a model is configured with for all strings."""
    config = config_of(factory.__model__)
    lengths = {name: config.get(f"str_{name}") for name in ("min_length", "max_length")}
    return {name: length for name, length in lengths.items() if length is not None}


def _url(constraints: Mapping[str, Any]) -> str:
    scheme = (constraints.get("allowed_schemes") or ["https"])[0]
    return f"{scheme}://{_faker.domain_name()}{constraints.get('default_path') or '/'}"


def _is_fixed(collection: Any, field_meta: FieldMeta) -> bool:
    children = field_meta.children or []
    return collection is tuple and not (children and children[-1].annotation is ...)


def _collection(
    factory: Any,
    kind: Any,
    field_meta: FieldMeta,
    constraints: Mapping[str, Any],
    context: Any,
) -> Any:
    """Return a collection of as few items as are allowed, but not of none."""
    least = constraints.get("min_length") or 0
    size = min(max(least, 1), constraints.get("max_length", math.inf))
    children = [one for one in field_meta.children or [] if one.annotation is not ...]
    make: Callable[[Any], Any] = kind
    made: Any = []
    for _ in range(_ATTEMPTS * max(least, 1)):
        if len(made) >= size:
            break
        parts = [factory.get_field_value(one, build_context=context) for one in children]
        if issubclass(kind, Mapping):
            if parts[0] not in dict(made):
                made.append(tuple(parts))
        elif not issubclass(kind, set | frozenset) or parts[0] not in made:
            made.append(parts[0])
    return make(made)


def _number(
    constraints: Mapping[str, Any], steps: Iterable[Fraction], usual: int = 100
) -> Fraction:
    """Return a number within bounds that is a multiple of the first step that has one there.

    Args:
        constraints: The bounds.
        steps: What to try.
        usual: How many steps are between bounds where one of them, or both, are not given.
    """
    bounds = {
        key: Fraction(constraints[key])
        for key in ("ge", "gt", "le", "lt")
        if key in constraints and math.isfinite(constraints[key])
    }
    for step in steps:
        firsts = [math.ceil(bounds["ge"] / step)] if "ge" in bounds else []
        firsts += [math.floor(bounds["gt"] / step) + 1] if "gt" in bounds else []
        lasts = [math.floor(bounds["le"] / step)] if "le" in bounds else []
        lasts += [math.ceil(bounds["lt"] / step) - 1] if "lt" in bounds else []
        first = max(firsts) if firsts else min(lasts) - usual if lasts else 0
        last = min(lasts) if lasts else first + usual
        if first <= last:
            return randgen.randint(first, last) * step
    raise ParameterException("no number is within the bounds")


def _multiple_of(constraints: Mapping[str, Any]) -> Fraction | None:
    value = constraints.get("multiple_of")
    return None if value is None else Fraction(str(value))  # 0.1 is meant, not the nearest float


def _integer(constraints: Mapping[str, Any]) -> int:
    step = _multiple_of(constraints) or Fraction(1)
    # Of 3/2, the multiples that are integers are those of 3.
    return int(_number(constraints, [Fraction(step.numerator)]))


def _float(constraints: Mapping[str, Any]) -> float:
    multiple = _multiple_of(constraints)
    # What can be read, or else any: all floats are multiples of the last step.
    steps = [Fraction(1, 100), Fraction(1, 10_000), Fraction(1, 2**1074)]
    return float(_number(constraints, steps if multiple is None else [multiple]))


def _decimal(constraints: Mapping[str, Any]) -> Decimal:
    digits, places = constraints.get("max_digits"), constraints.get("decimal_places")
    multiple = _multiple_of(constraints)
    for scale in (2, 0, 1, *range(3, 20)) if places is None else (places,):
        step = Fraction(1, 10**scale)
        if multiple is not None:
            # The least common multiple of two fractions.
            step = Fraction(
                math.lcm(step.numerator, multiple.numerator),
                math.gcd(step.denominator, multiple.denominator),
            )
        limits = dict(constraints)
        if digits is not None:
            if scale > digits:
                continue
            most = Decimal(10**digits - 1).scaleb(-scale)
            limits["le"] = min(most, constraints.get("le", most))
            least = -most if constraints.keys() & {"ge", "gt", "le", "lt"} else 0
            limits["ge"] = max(least, constraints.get("ge", least))
        try:
            number = _number(limits, [step])
        except ParameterException:
            continue
        return Decimal(int(number * 10**scale)).scaleb(-scale)
    raise ParameterException("no number is within the bounds")


_EPOCH = datetime.datetime(2020, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)
# In microseconds.
_STEPS = [Fraction(86_400_000_000), Fraction(1_000_000), Fraction(1)]


def _date(constraints: Mapping[str, Any]) -> datetime.date:
    limits = {
        key: value.toordinal() - _EPOCH.toordinal()
        for key, value in constraints.items()
        if isinstance(value, datetime.date)
    }
    days = _number(limits, [Fraction(1)])
    return _EPOCH.date() + datetime.timedelta(days=int(days))


def _datetime(constraints: Mapping[str, Any]) -> datetime.datetime:
    zones = [value.tzinfo for value in constraints.values() if hasattr(value, "tzinfo")]
    zone = zones[0] if zones else None
    epoch = _EPOCH.replace(tzinfo=zone)
    limits = {
        key: (value - epoch) // _MICROSECOND
        for key, value in constraints.items()
        if isinstance(value, datetime.datetime)
    }
    return epoch + int(_number(limits, _STEPS)) * _MICROSECOND


def _timedelta(constraints: Mapping[str, Any]) -> datetime.timedelta:
    limits = {
        key: value // _MICROSECOND
        for key, value in constraints.items()
        if isinstance(value, datetime.timedelta)
    }
    return int(_number(limits, _STEPS)) * _MICROSECOND


def _time(constraints: Mapping[str, Any]) -> datetime.time:
    day = _EPOCH.date()
    limits: dict[str, Any] = {"ge": 0, "lt": 86_400_000_000}
    for key, value in constraints.items():
        if isinstance(value, datetime.time):
            # A bound that is given is within the day.
            limits[key] = (datetime.datetime.combine(day, value) - _EPOCH) // _MICROSECOND
    moment = _EPOCH + int(_number(limits, [Fraction(1_000_000), Fraction(1)])) * _MICROSECOND
    return moment.time()


def _boolean(constraints: Mapping[str, Any]) -> bool:
    return randgen.random() < 0.5


def _uuid(constraints: Mapping[str, Any]) -> UUID:
    version = constraints.get("uuid_version", 4)
    number = randgen.getrandbits(128)
    # RFC 9562: four bits for the version, and two for the variant.
    number = number & ~(0xF << 76) | version << 76
    return UUID(int=number & ~(0x3 << 62) | 0x2 << 62)


class _Sorted(random.Random):
    """Chooses by the seed alone: RegexFactory has the characters in sets, whose order differs.

    Letters and digits are preferred, which can be read.
    """

    def choice(self, seq: Any) -> Any:
        if all(isinstance(one, str) for one in seq):
            seq = sorted(set(seq))
            seq = [one for one in seq if one.isalnum()] or seq
        return randgen.choice(seq)

    def randint(self, a: int, b: int) -> int:
        return randgen.randint(a, b)


def _string(constraints: Mapping[str, Any]) -> str:
    least = constraints.get("min_length") or 0
    most = constraints.get("max_length")
    pattern = constraints.get("pattern")
    change: Callable[[str], str] = str
    if constraints.get("lower_case"):
        change = str.lower
    elif constraints.get("upper_case"):
        change = str.upper
    if pattern is None:
        size = max(least, 1) if most is None else min(max(least, 10), most)
        letters = "abcdefghijklmnopqrstuvwxyz"
        return change("".join(randgen.choice(letters) for _ in range(max(size, least))))
    # How often a part may be repeated decides how long the string is.
    for limit in _limits(least, most):
        made = change(RegexFactory(random=_Sorted(), limit=limit)(pattern))
        if least <= len(made) <= (math.inf if most is None else most) and _matches(pattern, made):
            return made
    raise ParameterException(f"no string of that length was found for the pattern {pattern!r}")


def _limits(least: int, most: int | None) -> Sequence[int]:
    usual = [10 if most is None else max(1, min(10, most)), max(1, 2 * least), 1, 3]
    return usual * (_ATTEMPTS // len(usual))


def _matches(pattern: str | re.Pattern[str], made: str) -> bool:
    return re.search(pattern, made) is not None


def _bytes(constraints: Mapping[str, Any]) -> bytes:
    return _string(constraints).encode()


def _aware(constraints: Mapping[str, Any]) -> datetime.datetime:
    made = _datetime(constraints)
    return made if made.tzinfo else made.replace(tzinfo=datetime.timezone.utc)


def _limited(
    make: Callable[[Mapping[str, Any]], Any], now: Callable[[Any], Any], *, past: bool
) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes dates, a day from now at least, into the past or the future."""

    def limited(constraints: Mapping[str, Any]) -> Any:
        zones = [getattr(value, "tzinfo", None) for value in constraints.values()]
        today = now(next(iter(filter(None, zones)), None))
        day = datetime.timedelta(days=1)
        if past:
            limit = {"lt": min(today - day, constraints.get("lt", today))}
        else:
            limit = {"gt": max(today + day, constraints.get("gt", today))}
        return make({**constraints, **limit})

    return limited


_today = cast("Callable[[Any], Any]", lambda zone: datetime.date.today())

# The first that the class derives from.
_MAKERS: Sequence[tuple[tuple[Any, ...], Callable[[Mapping[str, Any]], Any]]] = (
    ((bool,), _boolean),
    ((int,), _integer),
    ((float,), _float),
    ((Decimal,), _decimal),
    ((datetime.datetime, pydantic.NaiveDatetime), _datetime),
    ((pydantic.AwareDatetime,), _aware),
    ((pydantic.PastDatetime,), _limited(_datetime, datetime.datetime.now, past=True)),
    ((pydantic.FutureDatetime,), _limited(_datetime, datetime.datetime.now, past=False)),
    ((datetime.date,), _date),
    ((pydantic.PastDate,), _limited(_date, _today, past=True)),
    ((pydantic.FutureDate,), _limited(_date, _today, past=False)),
    ((datetime.timedelta,), _timedelta),
    ((datetime.time,), _time),
    ((UUID,), _uuid),
    ((str, pydantic.SecretStr), _string),
    ((bytes, pydantic.SecretBytes), _bytes),
)


def _maker(annotation: Any) -> Callable[[Mapping[str, Any]], Any] | None:
    if not isinstance(annotation, type):
        return None
    # Of a number of a payment card, say, polyfactory knows more than that it is a string.
    return next((make for kinds, make in _MAKERS if _derives(annotation, kinds)), None)


def _derives(annotation: type, kinds: tuple[Any, ...]) -> bool:
    special = annotation.__module__.startswith("pydantic")
    return annotation in kinds if special else issubclass(annotation, kinds)
