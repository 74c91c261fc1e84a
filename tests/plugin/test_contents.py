"""What objects are compared by, to tell whether a test has changed them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from async_factory_boy.pytest_plugin.contents import are_same, contents_of


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Thing:
    name: str = "thing"
    born: date = date(2000, 1, 2)
    price: Decimal = Decimal("1.50")
    color: Color = Color.RED
    tags: list[str] = field(default_factory=lambda: ["a"])
    numbers: set[int] = field(default_factory=lambda: {1})
    settings: dict[str, Any] = field(default_factory=lambda: {"deep": ({"key": 1},)})
    other: Any = None
    others: list[Any] = field(default_factory=list)
    _is_stored: bool = True
    _state: Any = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    name: str = "slotted"


def contents(thing: object) -> object | None:
    return contents_of(thing, lambda model: ("others",) if model is Thing else ())


def renamed(thing: Any) -> None:
    thing.name = "other"


CHANGES: dict[str, Callable[[Any], object]] = {
    "a value": renamed,
    "a date": lambda thing: setattr(thing, "born", date(2001, 1, 2)),
    "a decimal": lambda thing: setattr(thing, "price", Decimal(2)),
    "the type of a value": lambda thing: setattr(thing, "numbers", frozenset({1})),
    "a member of an enum": lambda thing: setattr(thing, "color", Color.BLUE),
    "in a list": lambda thing: thing.tags.append("b"),
    "in a set": lambda thing: thing.numbers.add(2),
    "deep in a dict": lambda thing: thing.settings["deep"][0].update(key=2),
    "in another object": lambda thing: renamed(thing.other),
    "another object": lambda thing: setattr(thing, "other", None),
    "whether it is stored": lambda thing: setattr(thing, "_is_stored", False),
    "an attribute that is gone": lambda thing: delattr(thing, "name"),
    "a new attribute": lambda thing: setattr(thing, "new", 1),
    "what cannot be copied": lambda thing: setattr(thing, "name", bytearray(b"")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_changed(what: str) -> None:
    """A change is seen, however deep it is."""
    thing = Thing(other=Thing())
    thing.other.other = thing
    before = contents(thing)
    assert are_same(before, contents(thing))
    CHANGES[what](thing)
    assert not are_same(before, contents(thing))


def test_same() -> None:
    """Equal values are the same, whichever object holds them; what is left out does not count."""
    thing = Thing(other=Thing())
    before = contents(thing)
    thing.other = Thing()
    thing.price = Decimal("1.50")
    thing.tags = ["a"]
    thing.others.append(1)
    thing._state.append("private")
    assert are_same(before, contents(thing))


def chain(length: int) -> Thing:
    thing = Thing()
    for _ in range(length):
        thing = Thing(other=thing)
    return thing


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise TypeError("no two of these can be compared")

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize(
    "value", [Slotted(), bytearray(b""), chain(100), [Thing() for _ in range(1000)]]
)
def test_unknown(value: object) -> None:
    """What may change unseen, or is too much to compare, is not known to be the same."""
    thing = Thing(other=value)
    assert not are_same(contents(thing), contents(thing))


def test_refuses() -> None:
    """Values that cannot be compared are not the same."""
    assert not are_same(contents(Thing(other=Unequal())), contents(Thing(other=Unequal())))
