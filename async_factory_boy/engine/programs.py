"""Programs: generators that yield what they need, and go on with the answers.

A *program* is a generator. It yields a `Request`, which is work on a store, and is sent the
result; or further programs, and is sent what they return. It awaits nothing itself. So the same
code runs in a coroutine, which performs the requests, and within a fiber, which hands them over;
and where it yields, no greenlet is kept for it.

Programs that are yielded as a list run side by side: requests of the same key and rank are
performed together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Hashable, Sequence
from inspect import GEN_RUNNING, getgeneratorstate
from typing import Any, Generic, TypeVar, cast

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")
R = TypeVar("R")

Program = Generator[Any, Any, T]


class Request(ABC, Generic[R]):
    """Work on a store that a program or a fiber waits for."""

    rank: float = 0
    """Requests of the highest rank are performed first. The deeper in a graph an object is, the
    higher it ranks: then its siblings' parents are all waiting when their turn comes."""

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """What requests must have in common to be performed together."""

    @classmethod
    @abstractmethod
    async def perform(cls, requests: Sequence[Any]) -> Sequence[R]:
        """Do the work of requests that share a key; return a result for each, in order."""


Answer = tuple[Any, BaseException | None]

_EXHAUSTED = ("generator raised StopIteration",)


class Execution(Generic[T]):
    """A program on its way, with the programs that it has yielded."""

    def __init__(self, program: Program[T]) -> None:
        self._ready = [_Frame(program, None)]
        """What can go on, the next one last."""
        self._asking: list[tuple[_Frame, Request[Any]]] = []
        self._asked: list[_Frame] = []
        self._value: Any = None
        self._error: BaseException | None = None

    def advance(self) -> list[Request[Any]]:
        """Go on until nothing can without an answer; return the requests to perform next.

        All of them have the same rank. There are none when the program has ended.
        """
        while self._ready:
            self._step(self._ready.pop())
        asking = self._asking
        if not asking:
            return []
        if len(asking) > 1:
            rank = max(request.rank for _, request in asking)
            self._asking = [one for one in asking if one[1].rank != rank]
            asking = [one for one in asking if one[1].rank == rank]
        else:
            self._asking = []
        self._asked = [frame for frame, _ in asking]
        return [request for _, request in asking]

    def answer(self, answers: Sequence[Answer]) -> None:
        """Answer the requests that `advance` has returned."""
        for frame, (value, error) in zip(reversed(self._asked), reversed(answers), strict=True):
            frame.value, frame.error = value, error
            self._ready.append(frame)

    def result(self) -> T:
        """Return what the program has returned, or raise what it has raised."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the traceback and this frame would keep each other alive
        value: T = self._value
        return value

    def close(self) -> None:
        """Close all generators, as nothing will be answered any more."""
        for frame in [*self._ready, *(frame for frame, _ in self._asking), *self._asked]:
            while frame is not None:
                # It runs in a fiber that has refused to end.
                if getgeneratorstate(frame.program) != GEN_RUNNING:
                    frame.program.close()
                frame = frame.parent  # type: ignore[assignment]

    def _step(self, frame: _Frame) -> None:
        if frame.is_abandoned:
            return
        value, error = frame.value, frame.error
        frame.value = frame.error = None
        try:
            yielded = frame.program.send(value) if error is None else frame.program.throw(error)
        except StopIteration as end:
            self._ended(frame, end.value, None)
        except BaseException as raised:
            # A generator cannot let StopIteration out; PEP 479 has Python raise this in its place.
            cause = raised.__cause__
            if raised.args == _EXHAUSTED and isinstance(cause, StopIteration):
                self._ended(frame, None, cause)
            else:
                self._ended(frame, None, raised)
            del cause
        else:
            if isinstance(yielded, Request):
                self._asking.append((frame, yielded))
            elif isinstance(yielded, list):
                frame.spread(yielded)
                self._ready.extend(reversed(frame.children))
                if not yielded:
                    frame.value = []
                    self._ready.append(frame)
            else:
                self._ready.append(_Frame(yielded, frame))
        finally:
            del value, error

    def _ended(self, frame: _Frame, value: object, error: BaseException | None) -> None:
        parent = frame.parent
        if parent is None:
            self._value, self._error = value, error
        elif not parent.children:
            parent.value, parent.error = value, error
            self._ready.append(parent)
        elif error is not None:
            for sibling in parent.children:
                self._abandon(sibling)
            parent.children = []
            parent.error = error
            self._ready.append(parent)
        else:
            frame.value = value
            parent.running -= 1
            if not parent.running:
                parent.value = [child.value for child in parent.children]
                parent.children = []
                self._ready.append(parent)

    def _abandon(self, frame: _Frame) -> None:
        """Close a program, with those that it waits for: a sibling has failed."""
        for other in [*self._ready, *(asking for asking, _ in self._asking), *self._asked]:
            below: _Frame | None = other
            while below is not None and below is not frame:
                below = below.parent
            if below is frame:
                while other is not frame:
                    other.is_abandoned = True
                    other.program.close()
                    other = cast("_Frame", other.parent)
        frame.is_abandoned = True
        frame.program.close()
        self._asking = [one for one in self._asking if not one[0].is_abandoned]


class _Frame:
    """A program that is part of an `Execution`."""

    __slots__ = ("children", "error", "is_abandoned", "parent", "program", "running", "value")

    def __init__(self, program: Program[Any], parent: _Frame | None) -> None:
        self.program = program
        self.parent = parent
        self.children: list[_Frame] = []
        """The programs it waits for, where these run side by side."""
        self.running = 0
        self.is_abandoned = False
        # What it goes on with.
        self.value: Any = None
        self.error: BaseException | None = None

    def spread(self, programs: Sequence[Program[Any]]) -> None:
        self.children = [_Frame(program, self) for program in programs]
        self.running = len(programs)
