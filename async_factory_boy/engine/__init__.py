"""Lets synchronous code wait for the event loop, and waits for many at once.

factory_boy resolves declarations lazily and recursively: a plain attribute access may need an
object that has to be stored first, so there is no place to write ``await``. The modules:

- `fibers`: synchronous code that waits for a coroutine;
- `programs`: generators that yield their requests to a store;
- `waves`: many of both, whose requests are performed together.

They know no ORM and no factory.
"""

from async_factory_boy.engine.fibers import (
    Fiber,
    current_fiber,
    in_coroutine,
    in_fiber,
    step_through,
    synchronously,
    wait,
)
from async_factory_boy.engine.programs import Request
from async_factory_boy.engine.waves import each, pass_by, path, run, run_here, submit, take_turn

__all__ = [
    "Fiber",
    "Request",
    "current_fiber",
    "each",
    "in_coroutine",
    "in_fiber",
    "pass_by",
    "path",
    "run",
    "run_here",
    "step_through",
    "submit",
    "synchronously",
    "take_turn",
    "wait",
]
