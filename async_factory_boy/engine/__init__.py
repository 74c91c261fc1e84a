"""Lets synchronous code wait for the event loop, and waits for many at once.

factory_boy resolves declarations lazily and recursively: a plain attribute access may need an
object that has to be stored first, so there is no place to write ``await``. Here a *build* (any
synchronous callable) runs in a greenlet, and whatever must be awaited is handed from there to the
coroutine that drives it. SQLAlchemy's asyncio extension rests on the same technique.

The module knows no ORM and no factory. A build hands its driver one of three things:

- an awaitable (`wait`), whose result it gets back;
- a `Request` (`submit`), which is work on a store;
- further builds (`fork`), whose results it gets back as a list.

Builds that were forked run in *waves*: each goes on until it submits a request; when none can go
on, the requests that have the same key are performed together, and those builds continue. Nothing
else overlaps: one build runs at a time, and awaitables are awaited one at a time, in order, because
they may use one and the same session.
"""

from async_factory_boy.engine.builds import (
    Build,
    Request,
    in_build,
    in_coroutine,
    run,
    submit,
    synchronously,
    wait,
)
from async_factory_boy.engine.waves import fork, take_turn

__all__ = [
    "Build",
    "Request",
    "fork",
    "in_build",
    "in_coroutine",
    "run",
    "submit",
    "synchronously",
    "take_turn",
    "wait",
]
