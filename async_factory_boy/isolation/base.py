"""The protocol between the fixtures of a test and the database of a store."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from contextvars import Context
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from async_factory_boy.exceptions import FixtureError

__all__ = ["Connection", "Database", "Opened", "Run", "TransactionEndedError"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")


class TransactionEndedError(FixtureError):
    """A test has ended the transaction around it, which `Connection.rollback` is to do."""


class Run(NamedTuple):
    """A run of tests: what its databases are named after, and where its files are."""

    suffix: str
    """What no other run, and no other worker of this one, appends to the name of a database."""

    folder: Path
    """A folder for files. pytest keeps those of the last three runs."""


class Database(ABC):
    """A database of one store, which a run of tests has to itself.

    A fixture makes one object of this for a run, and calls, in this order: `create`, once;
    `connect`, on each event loop that a test runs on; `drop`, once. See `Connection` for what
    happens in between.
    """

    fixtures: Mapping[str, str] = {}
    """The fixtures whose values `Opened.values` has, each with its description."""

    own_fixture: ClassVar[str] = "database"
    """The fixture whose value is this object."""

    options: ClassVar[Sequence[str]] = ()
    """The call-time options that a factory of this store has. A factory whose adapter declares one
    of them is given this database."""

    name: str = ""
    """What an error, and ``--keep-database``, call the database. Set by `create`."""

    opened: Opened | None = None
    """What the test that runs now was given."""

    loop: asyncio.AbstractEventLoop | None = None
    """The event loop of that test."""

    context: Context | None = None
    """What is bound there, where a synchronous test does not see what an async fixture binds."""

    @abstractmethod
    def create(self, run: Run) -> None:
        """Create the database, and what is in it before the first test.

        Called in a thread in which no event loop runs: use ``asyncio.run()``.

        Args:
            run: What distinguishes this database from those of other runs.

        Raises:
            FixtureError: When it cannot be created. It says what to do.
        """

    @abstractmethod
    def drop(self) -> None:
        """Remove all that `create` has made, also where that was interrupted.

        Called in a thread in which no event loop runs.
        """

    @abstractmethod
    async def connect(self) -> Connection:
        """Connect to the database, on the event loop that runs."""

    def run(self, awaitable: Awaitable[T]) -> T:
        """Run a coroutine on the event loop of a synchronous test, and return what it returns.

        ```python
        def test_sync(database, session):
            database.run(session.commit())
        ```

        Raises:
            FixtureError: When no test has asked for the database, or its loop runs already.
        """
        if self.loop is None:
            raise FixtureError(
                f"{self.own_fixture}.run() runs on the event loop of a test, and there is none: "
                f"name a fixture of the database in the test, such as {self._first_fixture()!r}."
            )
        if self.loop.is_running():
            raise FixtureError(
                f"{self.own_fixture}.run() is for synchronous tests, and the event loop runs "
                "already: write await instead."
            )
        if self.context is not None:
            return self.context.run(self.loop.run_until_complete, _awaiting(awaitable))
        return self.loop.run_until_complete(_awaiting(awaitable))

    def explain(self, error: BaseException) -> str | None:
        """Return what an error that a test raises means within its transaction, if it tells."""
        return None

    def _first_fixture(self) -> str:
        return next(iter(self.fixtures), self.own_fixture)


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


class Connection(ABC):
    """A connection to a `Database`, on one event loop.

    For each test, a fixture calls: `begin`; `open`, whose values the test is given; `Opened.close`;
    and `rollback`. Data that several tests share is stored in a transaction around theirs.

    A test that is to commit for real has no `begin` and no `rollback`: after it comes `empty`.
    """

    @abstractmethod
    async def begin(self) -> None:
        """Begin a transaction; in another one, set a savepoint."""

    @abstractmethod
    async def rollback(self) -> None:
        """Undo all since the last `begin` that was not undone, also what was committed since.

        Raises:
            TransactionEndedError: When the transaction is over: what was committed may have stayed.
        """

    @abstractmethod
    async def empty(self) -> None:
        """Remove what tests have stored, outside of any transaction.

        Raises:
            FixtureError: When another connection prevents it. It does not wait for that forever.
        """

    @abstractmethod
    async def open(self) -> Opened:
        """Return what a test needs to use the database, in the transaction that was begun last."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connection; the transactions on it are undone."""


class Opened(ABC):
    """What a test, or a function that stores shared data, is given of a `Connection`."""

    values: Mapping[str, Any]
    """The values of the fixtures that `Database.fixtures` names."""

    options: Mapping[str, Any] = {}
    """The call-time options to be bound for factories."""

    @abstractmethod
    async def keep(self) -> None:
        """Write what is not written yet, so that it stays after `close`."""

    @abstractmethod
    async def close(self) -> None:
        """Release what the test was given."""

    @abstractmethod
    def anew(self, instance: Any) -> Any:
        """Return a copy, for this test, of a stored object that another was given.

        Args:
            instance: The object, as it was when it was stored. It stays as it is.

        Returns:
            An object with the same values, which is as if this test had read it from the database;
            or ``NotImplemented``, for what is no object of this store.
        """
