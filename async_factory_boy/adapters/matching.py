"""Which object answers which lookup, and which lookups are the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Final, TypeVar
from uuid import UUID

from async_factory_boy.exceptions import MultipleFoundError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


M = TypeVar("M")

ASK: Final = object()
"""Says that only the store can tell which object answers a lookup."""


def matched(wanted: Sequence[Hashable], found: Iterable[tuple[Hashable, M]]) -> list[Any]:
    """Return which of the objects that a store has found for several lookups answers each.

    Args:
        wanted: The values of each lookup, in one order of fields.
        found: The objects, each with the values that it has in these fields.

    Returns:
        For each lookup an object, or ``None`` where there is none; or `ASK` where several match, or
        may match: a store may take for equal what Python does not, such as "acme" and "ACME".
    """
    objects: dict[Hashable, list[M]] = {}
    for values, instance in found:
        objects.setdefault(values, []).append(instance)
    missing = ASK if objects.keys() - set(wanted) else None
    answers: list[Any] = []
    for values in wanted:
        matches = objects.get(values, ())
        answers.append(matches[0] if len(matches) == 1 else ASK if matches else missing)
    return answers


async def answered(
    lookups: Sequence[Mapping[str, Any]],
    answers: Sequence[Any],
    find: Callable[[Mapping[str, Any]], Awaitable[M | None]],
) -> list[M | None]:
    """Return the object for each lookup: what `matched` has returned, or else what `find` does."""
    return [
        await find(lookup) if answer is ASK else answer
        for lookup, answer in zip(lookups, answers, strict=True)
    ]


def only_one(found: Sequence[M], model: object, lookup: Mapping[str, Any]) -> M | None:
    """Return the object that was found, or ``None``.

    Args:
        found: At least two of the objects that match, if there are so many.
        model: Their class.
        lookup: What they were looked up by.

    Raises:
        MultipleFoundError: When there are several.
    """
    if len(found) > 1:
        raise MultipleFoundError(model, lookup)
    return found[0] if found else None


def are_hashable(values: Iterable[object]) -> bool:
    """Return whether values can be matched: a list or a dict of a JSON column cannot."""
    try:
        for value in values:
            hash(value)
    except TypeError:
        return False
    return True


_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")  # no exponent: 1e999999999 takes a while

Stored = Callable[[object], bool]


def strictly(value: Any, is_stored: Stored) -> Hashable:
    """Return what is equal for values that every store takes for the same.

    Args:
        value: A value of a lookup.
        is_stored: Whether an object has a row of its own. That is told apart from others by its
            identity, whatever its ``__eq__`` says, which may even load others.
    """
    if is_stored(value):
        return ("is", id(value))
    if isinstance(value, list | tuple | set | frozenset):
        return (type(value), *(strictly(part, is_stored) for part in value))
    if isinstance(value, Mapping):
        return (
            type(value),
            *((strictly(k, is_stored), strictly(v, is_stored)) for k, v in value.items()),
        )
    if isinstance(value, datetime | time):
        return (type(value), value.isoformat(), value.fold)  # equal instants may differ in zone
    if isinstance(value, float | Decimal):
        return (type(value), str(value))  # 1.0 and 1.00; -0.0 and 0.0
    try:
        hash(value)
    except TypeError:
        return ("is", id(value))
    return (type(value), value)


def loosely(value: Any, is_stored: Stored) -> Hashable:
    """Return what is equal for values that some store may take for the same.

    Texts that differ in case, accents, width, spaces or punctuation; numbers of different types;
    times in different zones; what a store keeps as text or number, and that text or number.

    Args:
        value: A value of a lookup.
        is_stored: As for `strictly`.
    """
    if value is None or is_stored(value):
        return strictly(value, is_stored)
    if isinstance(value, Enum) and not isinstance(value, str | int | float):
        return ("enum", type(value), value.name)
    if isinstance(value, bool | int | float | Decimal | Fraction):
        return _number(value)
    if isinstance(value, str | bytes):
        return _text(value)
    if isinstance(value, UUID):
        return _text(value.hex)
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date | time | timedelta):
        return _text(str(value))
    if isinstance(value, list | tuple | set | frozenset):
        parts = [loosely(part, is_stored) for part in value]
        return ("many", *(sorted(parts, key=repr) if isinstance(value, set | frozenset) else parts))
    if isinstance(value, Mapping):
        pairs = [(loosely(k, is_stored), loosely(v, is_stored)) for k, v in value.items()]
        return ("many", *sorted(pairs, key=repr))
    try:
        hash(value)
    except TypeError:
        return _shown(value)
    return (type(value), value)


def _shown(value: object) -> Hashable:
    """Return what is equal for values of a type that is not known, if they look the same."""
    kind = type(value)
    # A mapped object may have to load what it shows.
    if kind.__repr__ is object.__repr__ or hasattr(kind, "__mapper__"):
        return ("is", id(value))
    return (kind, _text(repr(value)))


def _number(value: Any) -> Hashable:
    try:
        number = Fraction(value)
    except (ValueError, OverflowError):
        return _text(str(value))  # NaN, infinity
    return float(number) if abs(number) < 10**15 else int(number)


def _text(value: str | bytes) -> Hashable:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    folded = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(character for character in folded if character.isalnum())
    try:
        for digits in (text.strip(), kept):
            if _NUMBER.fullmatch(digits):
                return _number(digits)
    except ValueError:  # Python refuses to read so many digits
        pass
    return kept


def _instant(value: datetime) -> Hashable:
    try:
        instant = value.astimezone(timezone.utc)
    except (OverflowError, ValueError):  # the first or last day there is
        instant = value.replace(tzinfo=timezone.utc)
    return ("instant", instant.replace(microsecond=0))
