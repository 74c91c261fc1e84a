"""`mute_signals`, in a form that asynchronous code can use."""

from __future__ import annotations

import functools
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import factory.django
from django.dispatch import Signal

__all__ = ["mute_signals"]

_muted: ContextVar[frozenset[Signal]] = ContextVar("async_factory_boy_muted", default=frozenset())

# How many blocks are open in which a signal is muted, in all tasks and threads.
_open: Counter[Signal] = Counter()
_lock = threading.Lock()


class mute_signals(factory.django.mute_signals):  # noqa: N801 (as upstream)
    """Keep signals from being sent: as factory_boy's, but for this task alone, and across awaits.

    ```python
    @mute_signals(post_save)
    class UserFactory(AsyncDjangoModelFactory[User]): ...


    with mute_signals(post_save):
        await UserFactory.create_async()


    @mute_signals(post_save)
    async def test_without_signals(): ...
    ```

    factory_boy's own takes the receivers away from a signal, and so from every task; objects of a
    batch, which are created side by side, would end each other's muting.

    Args:
        *signals: Django's signals. They are muted in the block, the function, or while the factory
            creates, and in the tasks and threads that are started from there.
    """

    def __init__(self, *signals: Signal) -> None:
        super().__init__(*signals)

    def __enter__(self) -> None:
        self._before = _muted.get()
        for signal in self.signals:
            _watch(signal)
        _muted.set(self._before.union(self.signals))

    def __exit__(self, *error: object) -> None:
        # Not reset(token): pytest's plugins may tear a fixture down in a copy of the context it
        # was set up in, where a token is refused.
        _muted.set(self._before)
        for signal in self.signals:
            _unwatch(signal)

    def copy(self) -> mute_signals:
        return mute_signals(*self.signals)

    def __call__(self, callable_obj: Any) -> Any:
        if not inspect.iscoroutinefunction(callable_obj):
            return super().__call__(callable_obj)

        @functools.wraps(callable_obj)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.copy():
                return await callable_obj(*args, **kwargs)

        return wrapper


def muted_signals(also: Iterable[Signal] = ()) -> frozenset[Signal]:
    """Return the signals that are muted for the code that asks, with others added."""
    return _same(_muted.get().union(also))


@functools.cache
def _same(signals: frozenset[Signal]) -> frozenset[Signal]:
    # One object for equal sets: objects are stored together if their options are the same objects.
    return signals


def _watch(signal: Signal) -> None:
    """Have `signal` look, whenever it is to be sent, whether it is muted."""
    with _lock:
        _open[signal] += 1
        if _open[signal] == 1:
            for name in ("send", "send_robust", "asend", "asend_robust"):
                setattr(signal, name, _unless_muted(signal, getattr(signal, name)))


def _unwatch(signal: Signal) -> None:
    with _lock:
        _open[signal] -= 1
        if not _open[signal]:
            del _open[signal]
            for name in ("send", "send_robust", "asend", "asend_robust"):
                delattr(signal, name)  # the method of the class is back


def _unless_muted(signal: Signal, method: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def asend(*args: Any, **kwargs: Any) -> Any:
            return [] if signal in _muted.get() else await method(*args, **kwargs)

        return asend

    @functools.wraps(method)
    def send(*args: Any, **kwargs: Any) -> Any:
        return [] if signal in _muted.get() else method(*args, **kwargs)

    return send
