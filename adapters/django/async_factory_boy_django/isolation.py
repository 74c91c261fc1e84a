"""The test databases of a run, for Django: each test in transactions that are rolled back."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.models import Model
from django.test.utils import setup_databases, teardown_databases

from async_factory_boy.exceptions import FixtureError, closest
from async_factory_boy.isolation import Connection, Database, Opened, Run
from async_factory_boy.isolation.naming import name_of

__all__ = ["DjangoDatabase"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

R = TypeVar("R")


class DjangoDatabase(Database):
    """The test databases of Django, whose tests work within transactions that are rolled back.

    Django's connections belong to a thread, and its async ORM works in another one than the test.
    While a test has the databases, both threads have the same connections: so synchronous code,
    async code and the test itself see what any of them has stored.

    Args:
        databases: The aliases of the databases. Default: all of ``settings.DATABASES``, but for
            those that mirror another in tests.
    """

    fixtures = {
        "async_db": "The databases, for async code and for synchronous: what a test stores is "
        "rolled back.",
    }
    options = ("django_database",)

    def __init__(self, databases: Sequence[str] | None = None) -> None:
        if isinstance(databases, str):
            raise FixtureError(
                f"django_database(databases={databases!r}) takes a list of aliases: write "
                f"databases=[{databases!r}]."
            )
        self._given = databases
        self.unblocked: Callable[[], AbstractContextManager[None]] = nullcontext
        """Allows access to the databases, where somebody else forbids it."""
        self.connections: Mapping[str, Any] = {}
        """Those of the thread of the tests, by alias."""
        self._set_up: list[Any] = []

    @property
    def aliases(self) -> Sequence[str]:
        """The aliases of the databases.

        Raises:
            FixtureError: When there is none of a name that was given, or Django is not set up.
        """
        try:
            known = [*connections]
        except ImproperlyConfigured as error:
            _fail(f"django_database(): Django has no settings: {error} {_HOW_TO_SET_UP}")
        if not apps.ready:
            _fail(f"django_database(): Django has not loaded its apps. {_HOW_TO_SET_UP}")
        for alias in self._given or ():
            if alias not in known:
                _fail(
                    f"django_database(databases={self._given!r}) names {alias!r}, which is not in "
                    f"settings.DATABASES.{closest(alias, known)} Known databases: "
                    f"{', '.join(sorted(known))}."
                )
        return [
            alias
            for alias in self._given or known
            if connections[alias].settings_dict["TEST"]["MIRROR"] is None
        ]

    def create(self, run: Run) -> None:
        self.use_connections()
        for connection in self.connections.values():
            _name_after(run, connection)
        self.set_up(self.connections)

    def use_connections(self) -> None:
        """Take the connections of the thread of the tests, which calls this.

        Where an event loop runs, they could not be had.
        """
        self.connections = {alias: connections[alias] for alias in self.aliases}

    def set_up(self, aliases: Collection[str], *, keep: bool = False) -> None:
        """Create test databases as Django's own test runner does.

        Args:
            aliases: Those of the databases.
            keep: Whether to use one that is there already.

        Raises:
            FixtureError: When one cannot be created.
        """
        for alias in aliases:
            # Django waits for what a database depends on: here, for what is set up with it.
            tested = connections[alias].settings_dict["TEST"]
            needs = tested.get("DEPENDENCIES", [DEFAULT_DB_ALIAS])
            tested["DEPENDENCIES"] = [one for one in needs if one in aliases and one != alias]
        try:
            with self.unblocked():
                self._set_up = setup_databases(
                    verbosity=0,
                    interactive=False,
                    keepdb=keep,
                    aliases=dict.fromkeys(aliases),
                    serialized_aliases=set(),
                )
        except (DatabaseError, SystemExit) as error:
            # Django has printed why, where it exits.
            said = " ".join(str(error).split()).rstrip(".")  # on several lines, by PostgreSQL
            why = "" if isinstance(error, SystemExit) else f": {said}"
            raise FixtureError(
                "django_database() cannot create the test databases of "
                f"{', '.join(sorted(aliases))}{why}. Start the server, or correct HOST, PORT, USER "
                "and PASSWORD in settings.DATABASES. The user has to be one who may create "
                "databases."
            ) from error
        self.name = ", ".join(str(connections[alias].settings_dict["NAME"]) for alias in aliases)

    def drop(self) -> None:
        if not self.connections:
            return  # Django is not set up
        self.disconnect()
        with self.unblocked():
            teardown_databases(self._set_up, verbosity=0)

    def disconnect(self) -> None:
        """Close the connections of async code, which would keep a server from dropping a database.

        Called in a thread in which no event loop runs.
        """
        _in_new_loop(connections.close_all)

    async def connect(self) -> DjangoConnection:
        return DjangoConnection(self)


_HOW_TO_SET_UP = (
    "With pytest-django, write DJANGO_SETTINGS_MODULE = ... in the configuration of pytest; "
    'without it, in a conftest.py: os.environ["DJANGO_SETTINGS_MODULE"] = "...", and '
    "django.setup()."
)


def _in_new_loop(function: Callable[[], object]) -> None:
    """Call a function in the thread of the async ORM."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(sync_to_async(function)())
    finally:
        loop.close()


def _name_after(run: Run, connection: Any) -> None:
    """Have the test database of a connection be the run's own."""
    tested = connection.settings_dict["TEST"]
    given = tested["NAME"]
    if connection.vendor != "sqlite":
        tested["NAME"] = name_of(given or f"test_{connection.settings_dict['NAME']}", run.suffix)
    elif given and not connection.is_in_memory_db():
        tested["NAME"] = str(run.folder / name_of(Path(given).stem, run.suffix))


class DjangoConnection(Connection):
    """A connection to each of the databases, which the threads of a test share."""

    def __init__(self, database: DjangoDatabase) -> None:
        self._database = database
        self._aliases = [*database.connections]
        self._begun: list[dict[str, Any]] = []
        self._replaced: Mapping[str, Any] | None = None

    async def begin(self) -> None:
        await self._share()
        await self._in_thread(self._begin)

    def _begin(self) -> None:
        begun: dict[str, Any] = {}
        self._begun.append(begun)
        for alias in self._aliases:
            atomic: Any = transaction.atomic(using=alias)
            # As Django's TestCase does, for code that begins one with durable=True.
            atomic._from_testcase = True
            atomic.__enter__()
            begun[alias] = atomic

    async def rollback(self) -> None:
        await self._in_thread(self._rollback)
        if not self._begun:
            await self._unshare()

    def _rollback(self) -> None:
        for alias, atomic in self._begun.pop().items():
            blocks = self._database.connections[alias].atomic_blocks
            while atomic in blocks:  # and whatever the test has left open within
                transaction.set_rollback(True, using=alias)
                blocks[-1].__exit__(None, None, None)

    async def empty(self) -> None:
        await self._share()
        await self._in_thread(self._flush)
        await self._unshare()

    def _flush(self) -> None:
        for alias in self._aliases:
            # As Django's TransactionTestCase does.
            call_command("flush", verbosity=0, interactive=False, database=alias)

    async def open(self) -> _OpenedDatabases:
        await self._share()
        return _OpenedDatabases(self._database)

    async def close(self) -> None:
        while self._begun:
            await self._in_thread(self._rollback)
        await self._unshare()

    async def _share(self) -> None:
        """Give the thread of the async ORM the connections of that of the tests."""
        if self._replaced is None:
            shared = self._database.connections
            for connection in shared.values():
                connection.inc_thread_sharing()
            self._replaced = await self._in_thread(_replace, shared)

    async def _unshare(self) -> None:
        """Give it back its own."""
        if self._replaced is not None:
            for connection in (await self._in_thread(_replace, self._replaced)).values():
                connection.dec_thread_sharing()
            self._replaced = None

    async def _in_thread(self, function: Callable[..., R], *args: Any) -> R:
        with self._database.unblocked():
            return await sync_to_async(function, thread_sensitive=True)(*args)


def _replace(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have a thread use connections, and return those that it has used."""
    before = {alias: connections[alias] for alias in given}
    for alias, connection in given.items():
        connections[alias] = connection
    return before


class _OpenedDatabases(Opened):
    def __init__(self, database: DjangoDatabase) -> None:
        self.values = {"async_db": database}
        self._copies: dict[object, Model] = {}
        self._allowed = ExitStack()
        self._allowed.enter_context(database.unblocked())

    async def keep(self) -> None:
        """Django writes at once."""

    async def close(self) -> None:
        self._allowed.close()

    def anew(self, instance: Any) -> Any:
        if not isinstance(instance, Model):
            return NotImplemented
        key = (type(instance), instance._state.db, instance.pk or id(instance))
        if key not in self._copies:
            new = self._copies[key] = copy.copy(instance)  # and its _state, for Django
            memo = {id(instance): new}
            for name, value in vars(instance).items():
                if name != "_state":
                    vars(new)[name] = copy.deepcopy(value, memo)
            # What it refers to is the same object, by whatever way it is reached.
            cache = new._state.fields_cache
            for name, value in cache.items():
                copied = self.anew(value)
                cache[name] = copy.deepcopy(value) if copied is NotImplemented else copied
            return new
        return self._copies[key]


def _fail(message: str) -> NoReturn:
    raise FixtureError(message)
