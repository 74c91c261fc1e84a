"""Where what factories do can be watched; pytest's plugin does so.

The module imports nothing, because the plugin sets what is here before factories are imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Observer(Protocol):
    """Is told what factories do, while they do it.

    What is called a factory is its class, which this module cannot import.
    """

    def building(self, factory: Any) -> AbstractContextManager[object]:
        """Watch code that builds an object: its declarations, its constructor, a hook."""
        ...

    def built(self, factory: Any, strategy: str, count: int, depth: int) -> None:
        """Note that objects have been built, their hooks included.

        The depth is 0 for those that a call was made for, and greater for what their declarations
        and hooks make.
        """
        ...

    def called(
        self,
        factory: Any,
        strategy: str,
        given: Mapping[str, Any],
        instances: Sequence[Any],
        seconds: float,
    ) -> None:
        """Note that a call which is not part of another has made objects, and how long it took."""
        ...

    def storing(self, factories: Sequence[Any], adapter: object) -> AbstractContextManager[object]:
        """Watch a wave: a store being asked for objects at once, each with its factory."""
        ...

    def refreshing(self, adapter: object) -> AbstractContextManager[object]:
        """Watch an adapter finish what a call has stored: flush, refresh, commit."""
        ...


class Recorder(Protocol):
    """Is told which objects factories have made, and by which parts of which others.

    It is told in every test, so it must not take long.
    """

    def begin(self, scope: Any, steps: Sequence[Any]) -> None:
        """Note that objects of a scope, of which nothing is noted yet, are about to be built.

        What it notes is set as ``scope.recorded``, whose ``made(steps, instances)`` is called when
        they exist: they may not be stored yet, and their hooks come later. What it notes of the
        call is set as ``scope.call.recorded``, whose ``over()`` is called when that ends.
        """
        ...

    def found(self, call: Any, instances: Sequence[Any]) -> None:
        """Note what get_or_create has found in the store, with ``None`` where there was none."""
        ...


class LintObserver(Protocol):
    """Is told what a strict lint has found besides failures."""

    def linted(
        self, rows: Sequence[tuple[str, str, str, list[str], list[int]]], notes: Sequence[str]
    ) -> None:
        """Note what objects of factories had.

        Args:
            rows: For each field what identifies its model, the names of the model and of the field,
                the values that the field can have, and the places of those that were seen.
            notes: What could not be checked.
        """
        ...


observer: Observer | None = None
"""Who watches. Nobody does, unless somebody sets this."""

recorder: Recorder | None = None
"""Who notes which objects are made."""

lint_observer: LintObserver | None = None
"""Who wants every lint to be strict, if it does not say otherwise."""
