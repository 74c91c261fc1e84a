"""Values by the type of a field and its constraints, and by its name where a name has a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from factory import declarations
from factory.faker import Faker

from async_factory_boy.adapters._annotations import is_nested_model
from async_factory_boy.adapters.fields import Field
from async_factory_boy.auto import names, spaces
from async_factory_boy.auto.chosen import Choice, Nested, name_of, needs_rule
from async_factory_boy.auto.drawing import Drawn, Fitted, SeveralDrawn
from async_factory_boy.auto.pydantic_values import is_described, maker_for
from async_factory_boy.auto.spaces import LARGE, Space, quoted
from async_factory_boy.auto.uniques import Distinct, Unique

# Words.


def limits(field: Field) -> str:
    """Return what limits the values of a field, in words."""
    found = []
    unit = {str: " characters long", bytes: " bytes long"}.get(field.type, " items long")
    if field.min_length:
        found.append(f"at least {field.min_length}{unit}")
    if field.max_length is not None:
        found.append(f"at most {field.max_length}{unit}")
    if field.precision is not None:
        found.append(f"of at most {field.precision} digits")
    if field.scale is not None:
        found.append(f"of {field.scale} digits after the point")
    for word, value in (
        ("at least", field.ge),
        ("greater than", field.gt),
        ("at most", field.le),
        ("less than", field.lt),
        ("a multiple of", field.multiple_of),
    ):
        if value is not None:
            found.append(f"{word} {value}")
    if field.pattern is not None:
        found.append(f"of the pattern {field.pattern}")
    return ", ".join(found)


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _rule(first: str, field: Field, unique: bool) -> str:
    return ", ".join(filter(None, (first, limits(field), "unique" if unique else "")))


def _call(provider: str, keywords: Mapping[str, Any]) -> str:
    given = "".join(f", {key}={_literal(value)}" for key, value in keywords.items())
    return f"factory.Faker({quoted(provider)}{given})"


def _literal(value: Any) -> str:
    if isinstance(value, date):
        return spaces.literal(value)
    if isinstance(value, tuple):
        inner = ", ".join(map(_literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return "timezone.utc" if value is timezone.utc else quoted(value)


def _drawn(provider: str, keywords: Mapping[str, Any], rule: str, *imports: str) -> Choice:
    return Choice(Faker(provider, **keywords), rule, _call(provider, keywords), imports)


def _numbered(field: Field, model: Any, space: Space, rule: str) -> Choice:
    """Return the choice of values that are unique."""
    return Choice(
        declarations.LazyFunction(Unique(field, model, space, limits(field))),
        rule, f"factory.Sequence(lambda n: {space.source})" if space.source else "",
        space.imports, "" if space.size >= LARGE else _few(field),
    )  # fmt: skip


def _few(field: Field) -> str:
    """Return what there is to know of unique values that may be used up."""
    limited = f" and {limits(field)}" if limits(field) else ""
    return f"is unique{limited}: its values may run out."


def _nothing(field: Field, model: Any) -> Exception:
    problem = f"has no value: none is {limits(field)}."
    return needs_rule(field, model, problem)


def refuse_contradictions(field: Field, model: Any) -> None:
    """Raise an error for a field whose lengths allow no value."""
    if field.max_length is not None and (field.min_length or 0) > field.max_length:
        raise _nothing(field, model)


# Choices and enums.


def by_members(field: Field, model: Any, unique: bool) -> Choice | None:
    """Choose from the values that are allowed, if these are named: each in its turn."""
    kind = field.type
    allowed = spaces.allowed_of(field)
    if isinstance(kind, type) and issubclass(kind, Enum) and not (allowed or field.choices):
        raise needs_rule(field, model, f"has no value: {kind.__name__} has no members.")
    if not allowed:
        if field.choices:
            listed = ", ".join(map(repr, field.choices))
            raise needs_rule(field, model, f"has no value: none of {listed} is {limits(field)}.")
        return None
    rule = "by choices" if field.choices else f"by enum: {kind.__name__}"
    source, needed = _listed(allowed) if field.choices else _named(kind)
    if unique:
        space = Space(len(allowed), allowed.__getitem__, (0, len(allowed) - 1))
        one_of = Unique(field, model, space, f"one of {len(allowed):,} values")
        declaration: Any = declarations.LazyFunction(one_of)
    else:
        declaration = declarations.Iterator(allowed)
    text = f"factory.Iterator({source})"
    if not unique:
        return Choice(declaration, rule, text, needed)
    few = f"is unique: there are {len(allowed):,} values."
    return Choice(declaration, f"{rule}, unique", text, needed, few)


def _named(kind: type) -> tuple[str, tuple[str, ...]]:
    """Return the source of a class, and the lines that it needs."""
    name = kind.__qualname__.rpartition("<locals>.")[2]
    return name, (f"from {kind.__module__} import {name.partition('.')[0]}",)


def _listed(values: Sequence[Any]) -> tuple[str, tuple[str, ...]]:
    """Return the source of a list, and the lines that it needs."""
    texts, imports = [], dict[str, None]()
    for one in values:
        if isinstance(one, Enum):
            name, needed = _named(type(one))
            texts.append(f"{name}.{one.name}")
            imports.update(dict.fromkeys(needed))
        else:
            texts.append(_literal(one))
            if type(one) in _IMPORTS:
                imports[_IMPORTS[type(one)]] = None
    return f"[{', '.join(texts)}]", tuple(imports)


_IMPORTS: dict[type, str] = {
    Decimal: "from decimal import Decimal",
    UUID: "from uuid import UUID",
    date: "from datetime import date",
    datetime: "from datetime import datetime, timezone",
}


# Sources of others.


def by_annotation(field: Field, model: Any, unique: bool) -> Choice:
    """Choose what polyfactory makes of an annotation: for what no declaration expresses."""
    draw = maker_for(field, model)
    function = Distinct(field, model, draw) if unique else draw
    return Choice(declarations.LazyFunction(function), _rule("by constraint", field, unique))


# Names.

# Types of pydantic's whose values are texts of a kind, whatever the field is called.
_ALIASES = {
    "EmailStr": "email", "AnyUrl": "url", "AnyHttpUrl": "url", "HttpUrl": "url",
    "AnyWebsocketUrl": "", "SecretStr": "password", "IPvAnyAddress": "ip",
}  # fmt: skip


def by_name(field: Field, model: Any, unique: bool) -> Choice | None:
    """Choose a readable value by the name of a field, where the table has one for its type."""
    kind, name = field.type, field.name
    if getattr(kind, "__module__", "").startswith("pydantic."):
        alias = _ALIASES.get(getattr(kind, "__name__", ""))
        if alias:
            text = _by_text(replace(field, type=str), model, unique, alias)
            return text and replace(text, rule=text.rule.replace("name", "type", 1))
    if kind is str:
        return _by_text(field, model, unique, name)
    if unique:
        return None  # numbers and moments that differ are not those of a name
    if kind in (int, float, Decimal):
        number = names.looked_up(name, names.NUMBERS)
        if number is None:
            return None
        word, entry = number
        found = spaces.numbers(field, entry.low, entry.high)
        if found is None or not _within(found, entry.low, entry.high):
            return None
        return _number(field, found, _rule(f"by name: {word}", field, False))
    if kind in (date, datetime):
        moment = names.looked_up(name, names.MOMENTS)
        if moment is None:
            return None
        word, entry = moment
        years = spaces.moments(field, entry.low, entry.high)
        rule = _rule(f"by name: {word}", field, False)
        return None if years is None else _moment(field, years, rule)
    return None


def _within(found: spaces.Range, low: int, high: int) -> bool:
    """Return whether the usual values are of those that a name stands for."""
    return found.begin * found.unit >= low and found.end * found.unit <= high


def _by_text(field: Field, model: Any, unique: bool, name: str) -> Choice | None:
    looked_up = names.looked_up(name, names.TEXTS, name_of(model))
    if looked_up is None:
        return None
    word, entry = looked_up
    rule = _rule(f"by name: {word}", field, unique)
    least, most = field.min_length or 0, field.max_length
    if unique:
        space = _exact_space(entry, least, most) or _shaped(entry.shapes, least, most)
        return space and _numbered(field, model, space, rule)
    for one in (entry, *entry.shorter):
        if one.sized is not None:
            length = max(one.longest, least)
            length = length if most is None else min(length, most)
            key, pattern = one.sized
            if length >= one.shortest:
                return _drawn(one.faker, {key: pattern * length or length}, rule)
        elif least <= one.shortest and (most is None or one.longest <= most):
            return _drawn(one.faker, one.keywords, rule)
    fit = entry.fit
    if fit is None or (most is not None and most < entry.fits_from) or least > 60:
        return None
    room = most if most is not None else max(least, entry.longest)
    fitted = Fitted(entry.faker, entry.keywords, lambda value: fit(value, least, room))
    shape = _shaped(entry.shapes, least, most)
    if shape is not None:
        source = f"factory.Sequence(lambda n: {shape.source})"
    elif least > 1:
        source = _call("pystr", {"min_chars": least, "max_chars": room})
    else:
        call = _call(entry.faker, entry.keywords)
        source = f"factory.Transformer({call}, transform=lambda value: value[:{room}])"
    return Choice(declarations.LazyFunction(fitted), rule, source)


def _numbered_text(
    before: str, after: str, write: Callable[[int], str], pad: int
) -> Callable[[int], str]:
    if not pad:
        return lambda number: f"{before}{write(number)}{after}"
    return lambda number: f"{before}{write(number).zfill(pad)}{after}"


def _shaped(
    shapes: Sequence[tuple[str, str]], least: int, most: int | None, digits: int = 9
) -> Space | None:
    """Return texts with a number in them: the first shape that leaves room for many numbers."""
    for before, after in shapes:
        pad = max(0, least - len(before) - len(after))
        if (most is None or most - len(before) - len(after) >= digits) and pad <= 60:
            room = 18 if most is None else most - len(before) - len(after)
            return Space(
                10**room,
                _numbered_text(before, after, str, pad),
                (0, 99999),
                f'f"{before}{{n{f":0{pad}" if pad else ""}}}{after}"',
            )
    if not shapes or most is None:
        return None
    before, after = shapes[-1]
    room, pad = most - len(before) - len(after), max(0, least - len(before) - len(after))
    if room < 1 or pad > 60:
        return None
    size: int = 36**room
    return Space(
        size,
        _numbered_text(before, after, spaces.base36, pad),
        (0, size - 1),
        f'f"{before}{{n:{f"0{pad}" if pad else ""}x}}{after}"',
    )


def _exact_space(entry: names.Text, least: int, most: int | None) -> Space | None:
    """Return the texts of a kind that has a form of its own, if they fit."""
    found = _EXACT.get(entry.faker)
    if found is None or least > entry.shortest or (most is not None and most < entry.longest):
        return None
    return found


_EXACT = {
    "uuid4": Space(
        2**60, lambda number: str(spaces.uuid_of(number)), (0, 99999),
        'f"00000000-0000-4000-8000-{n:012x}"',
    ),
    "ipv4": Space(
        2**24, lambda number: f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", (0, 99999),
        'f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"',
    ),
    "hex_color": Space(16**6, lambda number: f"#{number:06x}", (0, 99999), 'f"#{n:06x}"'),
}  # fmt: skip


# Types.


Choose = Callable[[Field, Any], Choice]


def by_type(field: Field, model: Any, unique: bool, choose: Choose) -> Choice:
    """Choose a value by the type of a field and its constraints.

    Args:
        field: The field.
        model: Its model.
        unique: Whether no two objects may have the same value.
        choose: Chooses for the items of a collection.
    """
    kind = field.type
    rule = _rule(f"by type: {_type_name(kind)}", field, unique)
    if unique:
        return _by_unique_type(field, model, rule)
    if kind is str:
        return _text(field, rule)
    if kind in (int, float, Decimal):
        range_ = spaces.numbers(field)
        if range_ is None:
            raise _nothing(field, model)
        return _number(field, range_, rule)
    if kind in (date, datetime):
        years = spaces.moments(field)
        if years is None:
            raise _nothing(field, model)
        return _moment(field, years, rule)
    if kind is bool:
        value = field.default if isinstance(field.default, bool) else False
        return Choice(value, rule, repr(value))
    if kind is UUID:
        return _drawn("uuid4", {"cast_to": None}, rule)
    if kind is bytes:
        length = max(16, field.min_length or 0)
        if field.max_length is not None:
            length = min(length, field.max_length)
        return _drawn("binary", {"length": length}, rule)
    if spaces.space_for(kind) is not None:
        space = spaces.space_of(field)
        if space is None:
            raise _nothing(field, model)
        source = f"factory.Sequence(lambda n: {space.source})"
        return Choice(declarations.LazyFunction(Drawn(space)), rule, source, space.imports)
    if is_nested_model(kind):
        return Choice(Nested(kind), rule, f"factory.SubFactory({kind.__name__}Factory)")
    container = _CONTAINERS.get(kind) if isinstance(kind, type) else None
    if container is not None:
        return _collection(field, model, rule, container, choose)
    if not is_described(kind):
        raise _unknown(field, model)
    return by_annotation(field, model, unique)


def _unknown(field: Field, model: Any) -> Exception:
    known = [field.stored_as] if field.stored_as else []
    if field.type is not None:
        known.append(_type_name(field.type))
    of = f"of the type {' / '.join(known)}" if known else "of a type that the adapter cannot tell"
    also = ""
    if isinstance(field.type, type):
        also = f" A rule for all fields of the type: rule({field.type.__name__}, ...)."
    return needs_rule(field, model, f"is {of}, which no rule knows a value for.{also}")


def _by_unique_type(field: Field, model: Any, rule: str) -> Choice:
    space = _unique_text(field) if field.type is str else spaces.space_of(field)
    if space is not None:
        return _numbered(field, model, space, rule)
    if spaces.space_for(field.type) is not None:
        raise _nothing(field, model)
    if is_nested_model(field.type) or field.type in _CONTAINERS:
        problem = f"is unique, and values of {_type_name(field.type)} cannot be numbered."
        raise needs_rule(field, model, problem)
    if not is_described(field.type):
        raise _unknown(field, model)
    return by_annotation(field, model, True)


def _unique_text(field: Field) -> Space | None:
    """Return texts that begin with the field's name, or as much of it as there is room for."""
    word = names.spelled(field.name).replace("_", "-")
    most = field.max_length
    if most is not None:
        word = word[: max(0, most - 10)].rstrip("-")
    if not word:
        return spaces.space_of(field)
    return _shaped([(f"{word}-", "")], field.min_length or 0, most) or spaces.space_of(field)


def _text(field: Field, rule: str) -> Choice:
    least, most = field.min_length or 0, field.max_length
    if least <= 1 and (most is None or most >= 24):
        return _drawn("word", {}, rule)
    if most == 0:
        return Choice("", rule, '""')
    most = max(least, 20) if most is None else min(most, max(least, 20))
    return _drawn("pystr", {"min_chars": max(1, least), "max_chars": most}, rule)


def _number(field: Field, found: spaces.Range, rule: str) -> Choice:
    if field.type is int:
        unit = int(found.unit)
        keywords = {"min_value": found.begin * unit, "max_value": found.end * unit}
        if unit != 1:
            keywords["step"] = unit
        return _drawn("pyint", keywords, rule)
    drawn = f"randgen.randint({found.begin}, {found.end})"
    value = spaces.multiple_source(field, found.unit, drawn)
    return Choice(
        declarations.LazyFunction(Drawn(spaces.number_space(field, found))),
        rule,
        f"factory.LazyFunction(lambda: {value})",
        (*spaces.number_imports(field), "from factory.random import randgen"),
    )


def _moment(field: Field, found: spaces.Range, rule: str) -> Choice:
    """Choose from whole days or seconds: what a database rounds is not what an object has."""
    space = spaces.moment_space(field, found)
    first, last = map(space.at, space.usual)
    keywords = {"start_date": first, "end_date": last}
    provider, needed = "date_between", "date"
    if field.type is datetime:
        provider, needed = "date_time_between", "datetime"
        if field.aware:
            keywords["tzinfo"] = timezone.utc
            needed = "datetime, timezone"
    source = _call(provider, keywords)
    drawn = declarations.LazyFunction(Drawn(space))
    return Choice(drawn, rule, source, (f"from datetime import {needed}",))


_CONTAINERS: dict[Any, type] = {
    dict: dict, Mapping: dict, MutableMapping: dict,
    list: list, Sequence: list, MutableSequence: list,
    tuple: tuple, set: set, frozenset: frozenset,
}  # fmt: skip


def _collection(field: Field, model: Any, rule: str, container: type, choose: Choose) -> Choice:
    size, element = field.min_length or 0, field.element
    made = f"factory.LazyFunction({container.__name__})"
    if not size:
        return Choice(declarations.LazyFunction(container), rule, made)
    if element is None or container is dict:
        problem = f"takes {size} items or more, and the adapter does not tell of which type."
        raise needs_rule(field, model, problem)
    if container is list or is_nested_model(element.type):
        item = choose(element, model)
        if isinstance(item.declaration, Nested):
            if container in (set, frozenset):
                raise needs_rule(field, model, f"takes {size} items or more, of a type that no "
                                 "rule knows different values for.")  # fmt: skip
            source = f"factory.List([{', '.join([item.source] * size)}])"
            return Choice(Nested(element.type, container, size), rule, source)
        source = f"factory.List([{', '.join([item.source] * size)}])"
        return Choice(declarations.List([item.declaration] * size), rule, source, item.imports)
    space = None if element.pattern else spaces.space_of(element)
    if space is None or space.size < size:
        raise needs_rule(
            field, model, f"takes {size} items or more, of a type that no rule knows {size} "
            "different values for.",
        )  # fmt: skip
    several = SeveralDrawn(container, space, size)
    source = ""
    if space.source:
        source = f"factory.LazyFunction(lambda: {container.__name__}({space.source} "
        source += f"for n in range({size})))"
    return Choice(declarations.LazyFunction(several), rule, source, space.imports)
