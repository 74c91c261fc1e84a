"""Values that no two objects share: each has a number, and none is given twice.

The numbers are those of a field of a model, not of a factory: several factories of one model take
turns. They go on for as long as the process runs, unless `begin_anew` is called: pytest's plugin
does so, before each test, where the sequences of factories begin anew as well.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from math import isqrt
from threading import Lock
from typing import Any, cast

from async_factory_boy import sequences
from async_factory_boy.adapters.fields import NO_DEFAULT, Field
from async_factory_boy.auto.chosen import needs_rule
from async_factory_boy.auto.spaces import LARGE, Space

_Key = tuple[Hashable, str, bool]
"""A model, a field of it, and whether it is for objects that several tests use."""

_counts: dict[_Key, int] = {}
"""How many values were given."""

_given: dict[_Key, set[Any]] = {}
"""Which values were given, where they have no numbers."""

_lock = Lock()


def begin_anew() -> None:
    """Count from 0 again, but for the objects that several tests use: they still exist."""
    tables: tuple[dict[_Key, Any], ...] = (_counts, _given)
    with _lock:
        for table in tables:
            for key in [key for key in table if not key[2]]:
                del table[key]


@contextmanager
def counted_apart() -> Generator[None]:
    """Count from 0 in the ``with`` block, and go on from where it began after it.

    For objects that are not stored: of a small space, they would take the values that others need.
    """
    with _lock:
        counts, given = dict(_counts), dict(_given)
        _counts.clear()
        _given.clear()
    try:
        yield
    finally:
        with _lock:
            _counts.clear()
            _counts.update(counts)
            _given.clear()
            _given.update(given)


def owner_of(model: Any, name: str) -> Hashable:
    """Return what shares the values of a field: the model, or the base that it has the field from.

    Tables may be inherited: an Employee and a User have their email in one column.
    """
    for base in reversed(getattr(model, "__mro__", ())):
        if name in vars(base) or name in _annotated(base):
            return cast(Hashable, base)
    try:
        hash(model)
    except TypeError:
        return id(model)
    return cast(Hashable, model)


def _annotated(base: type) -> Mapping[str, Any]:
    try:
        return base.__annotations__
    except (AttributeError, NameError):  # NameError: of a class that is only imported for types
        return {}


_MOMENTS = (date, datetime, time)


class _Counted:
    """Numbers the values of a field."""

    def __init__(self, field: Field, model: Any) -> None:
        self._field, self._model = field, model
        self._of_test = (owner_of(model, field.name), field.name, False)
        self._of_shared = (*self._of_test[:2], True)

    def _keys(self) -> tuple[_Key, _Key]:
        """Return the key of what is given now, and that of the rest."""
        if sequences.offset:
            return self._of_shared, self._of_test
        return self._of_test, self._of_shared


class Unique(_Counted):
    """Gives the values of a space one after another, each once.

    Args:
        field: The field.
        model: Its model.
        space: The values.
        limits: What limits them, in words: "at most 2 characters long".
    """

    def __init__(self, field: Field, model: Any, space: Space, limits: str = "") -> None:
        super().__init__(field, model)
        self._size, self._at, self._limits = space.size, space.at, limits

    def __call__(self) -> Any:
        key = self._of_shared if sequences.offset else self._of_test
        with _lock:
            number = _counts.get(key, 0)
            _counts[key] = number + 1
        size = self._size
        if size < LARGE:
            return self._at(self._place(number, size))
        place = sequences.actual(number)
        if place >= size:
            raise needs_rule(self._field, self._model, self._exhausted(size, number))
        return self._at(place)

    @property
    def is_limited(self) -> bool:
        """Whether a test may use up all values that there are."""
        return self._size < LARGE

    @property
    def shared_by(self) -> Hashable:
        """What is equal for all that give values of the same field."""
        return self._of_test

    def refuse_beyond(self, count: int) -> None:
        """Raise the error of one that is exhausted, if fewer values than so many are left."""
        share, given = self._share()[2], sum(_counts.get(key, 0) for key in self._keys())
        if given + count > share:
            raise needs_rule(self._field, self._model, self._exhausted(self._size, share))

    def _share(self) -> tuple[int, int, int]:
        """Return which part of a limited space this process has, of how many, and its size.

        Each process that shares the database has a part of the space: of few parts, so that each
        has many values, and of more than there are workers, as a rule.
        """
        size, worker, parts = self._size, sequences.worker or 0, 1
        if sequences.worker is not None:
            parts = min(97, isqrt(size))
        return worker, parts, len(range(worker, size, parts)) if worker < parts else 0

    def _place(self, number: int, size: int) -> int:
        """Return the place of a value in a space that may be exhausted.

        Objects that several tests use have their values from the end of the process's part.
        """
        worker, parts, share = self._share()
        if number + _counts.get(self._keys()[1], 0) >= share:
            raise needs_rule(self._field, self._model, self._exhausted(size, share))
        return worker + parts * (share - 1 - number if sequences.offset else number)

    def _exhausted(self, size: int, share: int) -> str:
        limits = f" and {self._limits}" if self._limits else ""
        part = ""
        if sequences.worker is not None:
            part = f" (of {size:,}: each of pytest-xdist's workers has a part, see "
            part += "factory_disjoint_sequences)"
        return f"is unique{limits}: after {share:,} values{part} there is no other."


class Distinct(_Counted):
    """Gives the values of a function, but none twice.

    Values of a pattern cannot be numbered. Those of several processes may be equal, though it is
    unlikely.
    """

    TRIES = 1000

    def __init__(self, field: Field, model: Any, draw: Callable[[], Any]) -> None:
        super().__init__(field, model)
        self._draw = draw

    def __call__(self) -> Any:
        key, other = self._keys()
        for _ in range(self.TRIES):
            value = self._draw()
            with _lock:
                given = _given.setdefault(key, set())
                if value not in given and value not in _given.get(other, ()):
                    given.add(value)
                    return value
        problem = f"is unique: of {self.TRIES:,} values drawn none was a new one."
        raise needs_rule(self._field, self._model, problem)


_EASY = ("str", "UUID", "int", "datetime", "Decimal", "float", "date", "timedelta", "bytes")


def carriers(
    fields: Iterable[Field], filled: Iterable[str] | None = None, *, nulls_differ: bool = True
) -> set[str]:
    """Return the fields that have to be unique, besides those that say so and are filled.

    Of a set of fields that are unique together, it is one. A set needs none that has a value of its
    own for each object anyway: one with a field that is unique alone, or made by the store. The
    object of a relation that is filled is new for each, too, unless the caller gives it: so a set
    with a relation relies on that only where no other field of it has many values.

    Args:
        fields: All fields of the model.
        filled: The names of those that get a value; if not given, those that are required. The
            names returned are to be filled as well: with its default, each would be a duplicate.
        nulls_differ: Whether the store takes two objects for different that have no value.
    """
    by_name = {one.name: one for one in fields}
    required = {one.name for one in by_name.values() if one.required}
    names = required if filled is None else set(filled)
    # What fills the key of a relation is the relation.
    names = names | {one.name for one in by_name.values() if one.key_of in names}

    def varies(one: Field) -> bool:
        if one.generated or one.name in found:
            return True
        if one.name in names:
            return frozenset({one.name}) in one.unique
        if one.has_default and one.default is NO_DEFAULT:
            # Only the store knows it. What is unique alone has no constant there; but a moment may
            # be that of all objects of a transaction, or of a day.
            return frozenset({one.name}) in one.unique and one.type not in _MOMENTS
        return nulls_differ and one.nullable and not one.has_default

    found: set[str] = set()
    groups = {one for each in by_name.values() for one in each.unique}
    for group in sorted(groups, key=lambda one: (len(one), sorted(one))):
        members = [by_name[name] for name in sorted(group) if name in by_name]
        if any(map(varies, members)):
            continue
        able = [one for one in members if one.relation is None and one.key_of is None]
        if any(one.name in names for one in members if one not in able):
            able = [one for one in able if one.name in names and not _has_few(one)]
        if able:
            found.add(min(able, key=lambda one: _rank(one, names)).name)
    return found


def _has_few(field: Field) -> bool:
    """Return whether a field may have few values."""
    if field.choices or getattr(field.type, "__name__", "") not in _EASY:
        return True
    least = field.ge if field.gt is None else field.gt
    most = field.le if field.lt is None else field.lt
    has_bounds = least is not None and most is not None
    return has_bounds or (field.max_length or 9) < 4 or (field.precision or 9) < 4


def _rank(field: Field, filled: set[str]) -> tuple[bool, bool, int]:
    """Return what is least for the field that is best made unique."""
    word = getattr(field.type, "__name__", "")
    place = _EASY.index(word) if word in _EASY else len(_EASY)
    return field.name not in filled, _has_few(field), place
