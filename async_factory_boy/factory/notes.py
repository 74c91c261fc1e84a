"""Says in an error which factory it is from, and the way there, but no values."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from async_factory_boy.exceptions import AdapterError, AsyncFactoryError, MultipleFoundError

if TYPE_CHECKING:
    from async_factory_boy.factory.step import Step

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

E = TypeVar("E", bound=Exception)

# A longer way is cut in the middle.
_SHOWN = 12

# More factories than these are not listed.
_LISTED = 5

_MARK = "async-factory-boy: "


def noted(error: E, doing: str, steps: Sequence[Step]) -> E:
    """Return an error with a note that says where it was raised, unless it has one.

    Args:
        error: The error.
        doing: What was done: ``"building"`` or ``"storing"``.
        steps: The objects it was done for.
    """
    start = f"{_MARK}raised while "
    if any(note.startswith(start) for note in getattr(error, "__notes__", ())):
        return error
    # Those of an adapter do not name the factory, which no adapter knows.
    is_of_adapter = isinstance(error, AdapterError | MultipleFoundError)
    if isinstance(error, AsyncFactoryError) and not is_of_adapter:
        return error
    ways = dict.fromkeys(way(step) + _parts(step) * (doing == "storing") for step in steps)
    listed = "; ".join(list(ways)[:_LISTED]) + "; …" * (len(ways) > _LISTED)
    note = f"{start}{doing} {listed}{_which(steps)}"
    if sys.version_info >= (3, 11):
        error.add_note(note)
    elif isinstance(error, AsyncFactoryError) and error.args and _MARK not in str(error):
        error.args = (f"{error.args[0]} ({note})", *error.args[1:])
    return error


def add_note(error: Exception, text: str) -> None:
    """Add a note of the library to an error, where errors take notes."""
    if sys.version_info >= (3, 11):
        error.add_note(f"{_MARK}{text}")


def way(step: Step) -> str:
    """Return how a factory was reached: ``TeamFactory → deputy → tenant (TenantFactory)``."""
    names: list[str] = []
    own: str = step.scope.plan.factory.__name__
    while step.parent is not None:
        names.append(step.scope.name)
        step = step.parent
    names.append(step.scope.plan.factory.__name__)
    names.reverse()
    if len(names) > _SHOWN:
        names[_SHOWN // 2 : -_SHOWN // 2] = ["…"]
    here = " → ".join(names) if len(names) == 1 else f"{' → '.join(names)} ({own})"
    above = step.scope.above
    return here if above is None else f"{way(above)} → {here}"


def _parts(step: Step) -> str:
    """Return which parts an object has, whose keys it refers to."""
    names = step.scope.plan.part_names
    return f" with {', '.join(names)}" if names else ""


def _root(step: Any) -> Any:
    """Return the object that the call was for."""
    above = step
    while above is not None:
        step = above
        above = step.parent if step.parent is not None else step.scope.above
    return step


def _which(steps: Iterable[Any]) -> str:
    """Return which objects of a batch are meant."""
    roots = []
    for step in steps:
        roots.append(_root(step))
    size = max((root.scope.size for root in roots), default=1)
    if size < 2:
        return ""
    first, last = min(root.index for root in roots) + 1, max(root.index for root in roots) + 1
    which = f"object {first}" if first == last else f"objects {first} to {last}"
    return f", {which} of {size}"
