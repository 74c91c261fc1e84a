"""The values that a type has within its constraints, numbered from 0."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, EnumMeta
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from async_factory_boy.adapters.fields import Field

# From this size on, a space counts as one that no test exhausts, not even many workers.
LARGE = 10**9

# How many unique values are to follow one another, where the bounds allow so many.
ROOM = 100_000

# What databases hold in an INTEGER. Smaller columns have bounds.
INTEGER = 2**31 - 1


class Space(NamedTuple):
    """Values, each with a number, no two of them equal.

    Args:
        size: How many there are.
        at: Returns the value of a number, which is less than `size`.
        usual: The first and the last number of those that are drawn, if any value will do. Where
            it is less than 0, `at` takes it all the same.
        source: The source of the value of a number ``n``, where a person would write one.
        imports: What that needs.
    """

    size: int
    at: Callable[[int], Any]
    usual: tuple[int, int]
    source: str = ""
    imports: tuple[str, ...] = ()


class Range(NamedTuple):
    """The multiples of a unit that the bounds of a field allow, each divided by the unit.

    Args:
        first: The least.
        last: The greatest.
        begin: The least of those that are usual.
        end: The greatest.
        unit: The unit.
    """

    first: int
    last: int
    begin: int
    end: int
    unit: Fraction

    def space(
        self,
        make: Callable[[Any], Any],
        start: int,
        source: Callable[[int], str],
        imports: tuple[str, ...] = (),
    ) -> Space:
        """Return the space of these multiples, the first of which is `start`, if it can be.

        Values go up from there to the last, and on from the first.

        Args:
            make: Returns the value for a multiple, given divided by the unit.
            start: The multiple to start from, divided by the unit.
            source: Returns the source of a value, given where values start.
            imports: What that needs.
        """
        first, last, size = self.first, self.last, self.last - self.first + 1
        if start > last - ROOM:  # a bound leaves few values above
            start = last - ROOM
        start = max(start, first)

        def at(number: int) -> Any:
            place = start + number
            return make(place if place <= last else place - size)

        return Space(size, at, (self.begin - start, self.end - start), source(start), imports)


def exact(value: Any) -> Fraction:
    """Return a number as it is written: 0.1 is a tenth."""
    return Fraction(str(value) if isinstance(value, float) else value)


def _finite(value: Any) -> bool:
    return value is not None and not (
        isinstance(value, float | Decimal) and not math.isfinite(value)
    )


def window(
    field: Field,
    unit: Fraction,
    limits: tuple[Any, Any],
    usual: tuple[Any, Any],
    number: Callable[[Any], Fraction] = exact,
) -> Range | None:
    """Return what the bounds of a field allow; ``None`` where that is nothing.

    Args:
        field: The field.
        unit: What all values are a multiple of.
        limits: The least and the greatest value that the type has, where the field has no bounds.
        usual: The least and the greatest of those to draw from, if the bounds allow it.
        number: Returns a value as a number.
    """
    first, last = math.ceil(number(limits[0]) / unit), math.floor(number(limits[1]) / unit)
    if _finite(field.ge):
        first = max(first, math.ceil(number(field.ge) / unit))
    if _finite(field.gt):
        first = max(first, math.floor(number(field.gt) / unit) + 1)
    if _finite(field.le):
        last = min(last, math.floor(number(field.le) / unit))
    if _finite(field.lt):
        last = min(last, math.ceil(number(field.lt) / unit) - 1)
    if first > last:
        return None
    begin, end = math.ceil(number(usual[0]) / unit), math.floor(number(usual[1]) / unit)
    width = end - begin
    begin = min(max(begin, first), last)
    end = min(end, last) if end > begin else min(begin + width, last)
    if begin >= end:
        begin, end = max(first, last - width), last
    return Range(first, last, begin, end, unit)


def _lowest_common(one: Fraction, other: Fraction) -> Fraction:
    """Return the least number that is a multiple of both."""
    below = one.denominator * other.denominator
    return Fraction(math.lcm(int(one * below), int(other * below)), below)


def _scale(number: Fraction) -> int:
    """Return how many digits a decimal fraction has after the point."""
    scale = 0
    while (number * 10**scale).denominator != 1:
        scale += 1
    return scale


# How many steps a column of single precision tells apart, between 0 and any number.
_SINGLE = 2**23


def _is_single(field: Field) -> bool:
    """Return whether floats are stored with fewer digits than they have."""
    return field.type is float and field.scale is None and field.precision is not None


def _units(field: Field, unique: bool) -> list[Fraction]:
    """Return the units that values may be multiples of, the preferred first."""
    if field.type is int:
        units = [Fraction(1)]
    elif field.type is float:
        units = [Fraction(1, 10**digits) for digits in ((0, 2, 4, 8) if unique else (2, 4, 8))]
        if unique and _is_single(field):
            given = [one for one in (field.ge, field.gt, field.le, field.lt) if _finite(one)]
            greatest = max([Fraction(1), *(abs(exact(one)) for one in given)])
            finest = greatest / _SINGLE
            units = [Fraction(1), *(Fraction(1, 10**digits) for digits in (2, 4, 6))]
            units = [unit for unit in units if unit >= finest] or [Fraction(1)]
    elif field.scale is not None:
        units = [Fraction(1, 10**field.scale)]
    elif field.precision is not None:
        units = [Fraction(1, 10**digits) for digits in range(field.precision + 1)]
    else:
        units = [Fraction(1, 10**digits) for digits in (2, 4, 8)]
    if field.multiple_of is not None:
        multiple = exact(field.multiple_of)
        if field.type is float:
            return [multiple]
        units = [_lowest_common(unit, multiple) for unit in units]
    return units


def numbers(field: Field, low: Any = 0, high: Any = 100, *, unique: bool = False) -> Range | None:
    """Return the range of a field of ``int``, ``float`` or ``Decimal``.

    Args:
        field: The field.
        low: The least value to draw, if the bounds allow it.
        high: The greatest.
        unique: Whether many values are asked for.
    """
    found = None
    for unit in _units(field, unique):
        if field.precision is not None and not _is_single(field):
            digits = _scale(unit) if field.scale is None else field.scale
            limit = Fraction(10**field.precision - 1, 10**digits)
        else:
            # Bounds beyond those of an INTEGER say that the column holds more.
            given = (field.ge, field.gt, field.le, field.lt)
            limit = INTEGER + max(abs(exact(one)) if _finite(one) else Fraction(0) for one in given)
        one = window(field, unit, (-limit, limit), (low, high))
        if one is not None:
            found = one
            if one.last - one.first >= (LARGE if unique else 0):
                break
    return found


def maker(field: Field, unit: Fraction) -> Callable[[int], Any]:
    """Return what turns so many units into a value of the field's type."""
    above, below = unit.numerator, unit.denominator
    if field.type is int:
        return lambda count: count * above
    if field.type is float:
        return lambda count: count * above / below
    scale = _scale(unit)
    step = int(unit * 10**scale)

    def decimal(count: int) -> Decimal:
        # Not by a division, which rounds to 28 digits.
        return Decimal(f"{count * step}e-{scale}")

    return decimal


BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    """Return a number in digits and lower-case letters, which no collation takes for equal."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = BASE36[digit] + digits
        if not number:
            return digits


EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _seconds(value: Any) -> Fraction:
    """Return a moment as seconds since 1970; one without a time zone counts as UTC."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        value = value.replace(tzinfo=timezone.utc)
    return Fraction((value - EPOCH) // timedelta(microseconds=1), 10**6)


def _of_day(value: time) -> Fraction:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds + Fraction(value.microsecond, 10**6)


def _length(value: timedelta) -> Fraction:
    return Fraction(value // timedelta(microseconds=1), 10**6)


def _days(value: Any) -> Fraction:
    return Fraction(value.toordinal())


_DAY = Fraction(1)
# Unique moments begin here, so that many of them come before today, and before 2038.
START = datetime(2000, 1, 1)


def moments(field: Field, low: int = 2020, high: int = 2025) -> Range | None:
    """Return the range of a field of dates, or of dates and times: the days or seconds.

    Those of the years `low` to `high` are usual. The years are fixed: the same seed gives the same
    values on another day.
    """
    if field.type is date:
        limits, usual = (
            (date(1000, 1, 1), date(9999, 12, 31)),
            (date(low, 1, 1), date(high, 12, 31)),
        )
        return window(field, _DAY, limits, usual, _days)
    # A day from the ends: no time zone moves the moment out of what there is.
    return window(
        field, _DAY, (datetime(1000, 1, 2), datetime(9999, 12, 30)),
        (datetime(low, 1, 1), datetime(high, 12, 31)), _seconds,
    )  # fmt: skip


def moment_space(field: Field, one: Range) -> Space:
    """Return the space of a range of dates, or of dates and times."""

    def on(number: Any) -> date:
        return date.fromordinal(int(number))

    if field.type is date:
        return one.space(
            on, START.toordinal(), lambda start: f"{literal(on(start))} + timedelta(days=n)",
            ("from datetime import date, timedelta",),
        )  # fmt: skip
    zone = timezone.utc if field.aware else None

    def at(number: Any) -> datetime:
        return EPOCH.replace(tzinfo=zone) + timedelta(seconds=int(number))

    return one.space(
        at, int(_seconds(START)), lambda start: f"{literal(at(start))} + timedelta(seconds=n)",
        (f"from datetime import datetime, timedelta{', timezone' if zone else ''}",),
    )  # fmt: skip


def literal(value: Any) -> str:
    """Return the source of a date, or of a date and time."""
    return repr(value).replace("datetime.", "").replace(", 0, 0", "", 1)


def quoted(value: Any) -> str:
    """Return the source of a value, texts within double quotes where that takes no escapes."""
    text = repr(value)
    if not isinstance(value, str) or text[0] == '"' or '"' in text:
        return text
    inner = text[1:-1]
    return f'"{inner}"'


def _moments(field: Field) -> Space | None:
    one = moments(field)
    return one and moment_space(field, one)


def _times(field: Field) -> Space | None:
    day = time(0), time(23, 59, 59)
    one = window(field, _DAY, day, day, _of_day)
    zone = timezone.utc if field.aware else None
    zoned = "tz" if zone else ""

    def source(start: int) -> str:
        origin = literal(datetime(2000, 1, 1, tzinfo=zone))
        count = f"n + {start}" if start else "n"
        return f"({origin} + timedelta(seconds={count})).time{zoned}()"

    return one and one.space(
        lambda number: (EPOCH + timedelta(seconds=int(number))).time().replace(tzinfo=zone), 0,
        source, (f"from datetime import datetime, timedelta{', timezone' if zone else ''}",),
    )  # fmt: skip


def _durations(field: Field) -> Space | None:
    years = timedelta(days=36500)
    one = window(field, _DAY, (-years, years), (timedelta(0), timedelta(days=1)), _length)
    return one and one.space(
        lambda number: timedelta(seconds=int(number)), 1,
        lambda start: f"timedelta(seconds=n + {start})", ("from datetime import timedelta",),
    )  # fmt: skip


def _bytes(field: Field) -> Space:
    least = field.min_length or 0
    length = max(8, least)
    if field.max_length is not None:
        length = min(length, field.max_length)
    size: int = 256**length
    source = f'n.to_bytes({length}, "big")'
    return Space(size, lambda number: number.to_bytes(length, "big"), (0, size - 1), source)


def _texts(field: Field) -> Space | None:
    least, most = field.min_length or 0, field.max_length
    if most is None or most >= 9:
        return Space(
            10 ** (most or 18), lambda number: str(number).zfill(least), (0, 99999),
            f'f"{{n:0{least}}}"' if least else 'f"{n}"',
        )  # fmt: skip
    if most == 0:
        return Space(1, lambda number: "", (0, 0), '""')
    size: int = 36**most
    source = f'f"{{n:0{least}x}}"' if least else 'f"{n:x}"'
    return Space(size, lambda number: base36(number).zfill(least), (0, size - 1), source)


def uuid_of(number: int) -> UUID:
    """Return a UUID that says its number, and is a valid one of version 4."""
    return UUID(int=(4 << 76) | (8 << 60) | number)


_ADDRESS4, _ADDRESS6 = int(IPv4Address("10.0.0.0")), int(IPv6Address("2001:db8::"))


def _numbers(field: Field) -> Space | None:
    one = numbers(field, unique=True)
    return one and number_space(field, one)


def number_space(field: Field, one: Range) -> Space:
    """Return the space of a range of numbers: 1, 2, 3, … if the bounds allow it."""
    unit = one.unit
    start = math.ceil(1 / unit) if field.type is float else 1

    def source(start: int) -> str:
        count = f"n + {start}"
        return multiple_source(field, unit, f"({count})" if field.type is not int else count)

    return one.space(maker(field, unit), start, source, number_imports(field))


def multiple_source(field: Field, unit: Fraction, count: str) -> str:
    """Return the source of so many units, as a value of the field's type."""
    if field.type is Decimal:
        count = f"Decimal{count if count.startswith('(') else f'({count})'}"
    elif field.type is float:
        count = f"float{count if count.startswith('(') else f'({count})'}"
    elif unit != 1:
        count = f"({count})"
    times = f" * {unit.numerator}" if unit.numerator != 1 else ""
    return f"{count}{times}{f' / {unit.denominator}' if unit.denominator != 1 else ''}"


def number_imports(field: Field) -> tuple[str, ...]:
    return ("from decimal import Decimal",) if field.type is Decimal else ()


SPACES: dict[type, Callable[[Field], Space | None]] = {
    bool: lambda field: Space(2, bool, (0, 1)),
    int: _numbers,
    float: _numbers,
    Decimal: _numbers,
    str: _texts,
    bytes: _bytes,
    date: _moments,
    datetime: _moments,
    time: _times,
    timedelta: _durations,
    UUID: lambda field: Space(
        2**60, uuid_of, (0, 2**60 - 1),
        'UUID(f"00000000-0000-4000-8000-{n:012x}")', ("from uuid import UUID",),
    ),
    IPv4Address: lambda field: Space(
        2**24, lambda number: IPv4Address(_ADDRESS4 + number), (0, 2**24 - 1),
        'IPv4Address("10.0.0.0") + n', ("from ipaddress import IPv4Address",),
    ),
    IPv6Address: lambda field: Space(
        2**60, lambda number: IPv6Address(_ADDRESS6 + number), (0, 2**32 - 1),
        'IPv6Address("2001:db8::") + n', ("from ipaddress import IPv6Address",),
    ),
    Path: lambda field: Space(
        LARGE, lambda number: Path(f"file{number}.txt"), (0, 999),
        'Path(f"file{n}.txt")', ("from pathlib import Path",),
    ),
}  # fmt: skip
"""For each type, what returns the space of a field; ``None`` where its bounds allow nothing."""


def space_of(field: Field) -> Space | None:
    """Return the space of a field whose type has one."""
    allowed = allowed_of(field)
    if allowed:
        return Space(len(allowed), allowed.__getitem__, (0, len(allowed) - 1))
    of_type = space_for(field.type)
    return of_type(field) if of_type is not None else None


def space_for(kind: Any) -> Callable[[Field], Space | None] | None:
    """Return what makes the space of a field of a type, if the type is known."""
    if not isinstance(kind, type):
        return None
    found = SPACES.get(kind)
    return _object_ids if found is None and _is_object_id(kind) else found


def _is_object_id(kind: type) -> bool:
    # By its name: bson comes with the driver of MongoDB, which few projects have.
    return any(
        (one.__module__, one.__name__) == ("bson.objectid", "ObjectId") for one in kind.__mro__
    )


def _object_ids(field: Field) -> Space:
    kind = field.type
    package = kind.__module__.partition(".")[0]
    exported = kind.__name__ in getattr(sys.modules.get(package), "__all__", ())
    return Space(
        2**60, lambda number: kind(f"{number:024x}"), (0, 2**60 - 1),
        f'{kind.__name__}(f"{{n:024x}}")',
        (f"from {package if exported else kind.__module__} import {kind.__name__}",),
    )  # fmt: skip


def allowed_of(field: Field) -> tuple[Any, ...]:
    """Return the values that a field lists, without those that its own limits refuse; or members.

    Limits and choices may come from different places: a column's length, and a check of it.
    """
    if not field.choices:
        return members(field.type)
    return tuple(one for one in field.choices if _is_within(one, field))


def _is_within(value: Any, field: Field) -> bool:
    least, most = field.min_length, field.max_length
    if isinstance(value, str | bytes) and not isinstance(value, Enum):
        return (least or 0) <= len(value) and (most is None or len(value) <= most)
    return (
        (field.ge is None or value >= field.ge)
        and (field.gt is None or value > field.gt)
        and (field.le is None or value <= field.le)
        and (field.lt is None or value < field.lt)
        and _has_room(value, field)
    )


def _has_room(value: Any, field: Field) -> bool:
    """Return whether a number has no more digits than a field holds: a column would round it."""
    if field.scale is None or not isinstance(value, int | float | Decimal):
        return True
    units = exact(value) * 10**field.scale
    whole = units.denominator == 1
    return whole and (field.precision is None or abs(units) < 10**field.precision)


def members(kind: Any) -> tuple[Any, ...]:
    """Return the members of an enum; of any other type none."""
    return tuple(kind) if isinstance(kind, EnumMeta) else ()
