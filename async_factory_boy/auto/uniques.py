"""Values that no two objects share: each has a number, and none is given twice.

The numbers are those of a field of a model, not of a factory: several factories of one model take
turns. They go on for as long as the process runs, unless `begin_anew` is called: pytest's plugin
does so, before each test, where the sequences of factories begin anew as well.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from math import isqrt
from threading import Lock
from typing import Any

from async_factory_boy import sequences
from async_factory_boy.adapters.fields import Field
from async_factory_boy.auto.chosen import needs_rule
from async_factory_boy.auto.spaces import LARGE, Space

__all__ = ["Distinct", "Unique", "begin_anew", "carriers"]

_counts: dict[tuple[Hashable, str, bool], int] = {}
"""How many values were given: of a field of a model, for one test or for several."""

_lock = Lock()


def begin_anew() -> None:
    """Count from 0 again, but for the objects that several tests use: they still exist."""
    with _lock:
        for key in [key for key in _counts if not key[2]]:
            del _counts[key]


def owner_of(model: Any, name: str) -> Hashable:
    """Return what shares the values of a field: the model, or the base that it has the field from.

    Tables may be inherited: an Employee and a User have their email in one column.
    """
    for base in reversed(getattr(model, "__mro__", ())):
        if name in vars(base) or name in vars(base).get("__annotations__", {}):
            return base  # type: ignore[no-any-return]
    try:
        hash(model)
    except TypeError:
        return id(model)
    return model  # type: ignore[no-any-return]


class _Counted:
    """Numbers the values of a field."""

    def __init__(self, field: Field, model: Any) -> None:
        self._field, self._model = field, model
        self._of_test = (owner_of(model, field.name), field.name, False)
        self._of_shared = (*self._of_test[:2], True)

    def next_number(self) -> int:
        key = self._of_shared if sequences.offset else self._of_test
        with _lock:
            number = _counts.get(key, 0)
            _counts[key] = number + 1
        return number


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
        self._space, self._limits = space, limits

    def __call__(self) -> Any:
        number = self.next_number()
        size, at = self._space[:2]
        return at(sequences.actual(number) if size >= LARGE else self._place(number, size))

    def _place(self, number: int, size: int) -> int:
        """Return the place of a value in a space that may be exhausted.

        Each process that shares the database has a part of the space. A prime or small number of
        parts leaves each a good deal, and is above the number of workers, as a rule. Objects that
        several tests use have their values from the end of that part.
        """
        worker, parts = sequences.worker or 0, 1
        if sequences.worker is not None:
            parts = min(97, isqrt(size))
        share = len(range(worker, size, parts)) if worker < parts else 0
        taken = _counts.get(self._of_test if sequences.offset else self._of_shared, 0)
        if number + taken >= share:
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
        given = _given.setdefault(self._of_test[:2], set())
        for _ in range(self.TRIES):
            value = self._draw()
            with _lock:
                if value not in given:
                    given.add(value)
                    return value
        problem = f"is unique: of {self.TRIES:,} values drawn none was a new one."
        raise needs_rule(self._field, self._model, problem)


_given: dict[tuple[Hashable, str], set[Any]] = {}


_EASY = ("str", "UUID", "int", "datetime", "Decimal", "float", "date", "timedelta", "bytes")


def carriers(fields: Iterable[Field], filled: Iterable[str] | None = None) -> set[str]:
    """Return the fields that have to be unique, such that sets of fields are unique together.

    A set that has a value of its own for each object anyway needs none: one with a field that is
    unique alone, made by the store, or with a required relation, the object of which is new. Nor
    does a set with a field that stays None: databases take two of these for different.

    Args:
        fields: All fields of the model.
        filled: The names of those that get a value; if not given, those that are required. The
            names returned are to be filled as well.
    """
    by_name = {one.name: one for one in fields}
    required = {one.name for one in by_name.values() if one.required}
    names = required if filled is None else set(filled)
    # What fills the key of a relation is the relation.
    names |= {one.name for one in by_name.values() if one.key_of in names}
    found: set[str] = set()
    together = {one for each in by_name.values() for one in each.unique if len(one) > 1}
    for group in sorted(together, key=sorted):
        members = [by_name[name] for name in sorted(group) if name in by_name]
        if any(_varies(one, names) or one.name in found for one in members):
            continue
        able = [one for one in members if one.relation is None and one.key_of is None]
        if able:
            found.add(min(able, key=lambda one: _rank(one, names)).name)
    return found


def _varies(field: Field, filled: set[str]) -> bool:
    if field.generated or frozenset({field.name}) in field.unique:
        return True
    if field.name in filled:
        return field.relation is not None or field.key_of is not None
    return field.nullable and not field.has_default


def _rank(field: Field, filled: set[str]) -> tuple[bool, bool, int]:
    """Return what is least for the field that is best made unique."""
    word = getattr(field.type, "__name__", "")
    place = _EASY.index(word) if word in _EASY else len(_EASY)
    few = bool(field.choices) or (field.max_length or 9) < 4
    return field.name not in filled, few, place
