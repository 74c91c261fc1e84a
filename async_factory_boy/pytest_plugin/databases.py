"""Fixtures of a database that each test finds as it was: what `sqlalchemy_database` makes.

A database is created once for a run, by the fixture ``database``. For each test that asks for it,
``opened_database`` begins a transaction, on the event loop of the test, and undoes it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any, NoReturn
from uuid import uuid4

import pytest

from async_factory_boy import bind
from async_factory_boy.exceptions import FixtureError, MissingOptionError, SyncCallError, closest
from async_factory_boy.isolation import Database, Opened, Run, TransactionEndedError
from async_factory_boy.options import CallOption
from async_factory_boy.pytest_plugin import kept, loops
from async_factory_boy.pytest_plugin._definitions import (
    definitions_in_use,
    definitions_of,
    depending_on,
    models_reached,
)
from async_factory_boy.pytest_plugin.lanes import ENTRIES, Entry, Lane
from async_factory_boy.pytest_plugin.loops import async_fixture

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

MARKER = "factory_database"

# The attribute of a fixture's function that tells which `DatabaseFixtures` it is one of.
_DEFINED = "_async_factory_boy_database"


class DatabaseFixtures:
    """The fixtures of one database.

    A plugin of an ORM for pytest may have a say in when a database is there, and in which test has
    it: a store that has such a plugin derives from this, and overrides `create`, `drop`, `commits`,
    `check` and `is_not_allowed`.

    Args:
        call: What a conftest.py calls to define them, such as ``sqlalchemy_database``.
        database: The database.
        prefix: What the names of the fixtures begin with.
    """

    # Those of all conftests of this process, in the order in which they were defined.
    all: list[DatabaseFixtures] = []

    def __init__(self, call: str, database: Database, prefix: str) -> None:
        self.call = call
        self.database = database
        self.created = prefix + "created_database"
        self.own = prefix + database.own_fixture
        self.prepared = prefix + "data_shared_by_tests"
        self.opened = prefix + "opened_database"
        self.values = {prefix + name: name for name in database.fixtures}
        self.failure: BaseException | None = None
        self.told_at = ""
        self._lanes: dict[asyncio.AbstractEventLoop, Lane] = {}
        # Whether what a test has committed for real is to be removed.
        self._is_used = False

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """Return the functions of the fixtures, by name."""
        functions = {
            self.own: self._own_fixture(),
            self.created: self._created_fixture(),
            self.prepared: self._prepared_fixture(),
            self.opened: async_fixture(self._opened_fixture()),
            **{name: self._value_fixture(name, value) for name, value in self.values.items()},
        }
        for function in functions.values():
            setattr(function, _DEFINED, self)
        return functions

    def _created_fixture(self) -> Callable[..., Any]:
        def created_database(
            request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
        ) -> Generator[Database]:
            config = request.config
            worker = getattr(config, "workerinput", {}).get("workerid", "")
            suffix = f"{worker}_{uuid4().hex[:6]}".strip("_")
            run = Run(suffix, tmp_path_factory.mktemp(self.own))
            try:
                try:
                    self.create(request, run)
                except BaseException as error:
                    self.failure = error
                    raise
                yield self.database
            finally:
                if config.getoption("keep_database"):
                    if self.database.name:
                        kept.note(config, self.database.name)
                else:
                    self._drop()

        created_database.__doc__ = "The database, created for the run, and dropped after it."
        return created_database

    def _own_fixture(self) -> Callable[..., Any]:
        @depending_on([self.created])
        def database(**created: Database) -> Database:
            return created[self.created]

        database.__doc__ = f"The database of the run, a {type(self.database).__name__}."
        return database

    def create(self, request: pytest.FixtureRequest, run: Run) -> None:
        """Create the database, before the first test that asks for it.

        Args:
            request: That of a fixture of the run.
            run: What its databases are named after.
        """
        apart(lambda: self.database.create(run))

    def drop(self) -> None:
        """Drop what `create` has made."""
        apart(self.database.drop)

    def commits(self, node: pytest.Item) -> bool:
        """Tell whether a test without our mark commits for real."""
        return False

    def check(self, node: pytest.Item, shares: bool) -> None:
        """Raise if a test asks for something that the database cannot be given together with.

        Args:
            node: The test.
            shares: Whether it shares data with others.
        """

    def is_not_allowed(self, error: BaseException) -> bool:
        """Tell whether an error says that a test has not asked for the database."""
        return isinstance(error, MissingOptionError)

    def rolls_back(self, node: pytest.Item) -> bool:
        """Tell whether what a test commits is rolled back."""
        marked = _marked(node)
        return not self.commits(node) if marked is None else marked

    def _drop(self) -> None:
        try:
            self.drop()
        except Exception as error:
            raise FixtureError(
                f"{self.call}(): the database {self.database.name!r} of this run was not dropped: "
                f"{type(error).__name__}: {error}. Drop it by hand."
            ) from error

    def _prepared_fixture(self) -> Callable[..., Any]:
        @depending_on(["request", self.created])
        def data_shared_by_tests(request: pytest.FixtureRequest, **_: Any) -> list[Entry]:
            """What tests share that this one asks for, the widest scope first."""
            request.node.stash[loops.ON_LOOP_OF_TEST] = True
            self._end_elsewhere(loops.scope_of(request))
            loops.check(request, {self.opened, *self.values})
            entries = self._entries_for(request)
            self.check(request.node, bool(entries))
            return entries

        return data_shared_by_tests

    def _end_elsewhere(self, scope: str) -> None:
        """Undo what is shared on other event loops, whose connections would be in the way."""
        for lane in self._lanes.values():
            if lane.scope != scope:
                lane.loop.run_until_complete(lane.end())

    def _opened_fixture(self) -> Callable[..., Any]:
        @depending_on(["request", self.created, self.prepared])
        async def opened_database(
            request: pytest.FixtureRequest, **fixtures: Any
        ) -> AsyncGenerator[Opened]:
            """What this test is given of the database."""
            async with self._opened_for(request, fixtures[self.prepared]) as opened:
                yield opened

        return opened_database

    @asynccontextmanager
    async def _opened_for(
        self, request: pytest.FixtureRequest, entries: list[Entry]
    ) -> AsyncGenerator[Opened]:
        node = request.node
        rolls_back = self.rolls_back(node)
        lane = await self._lane(request)
        await self._begin(lane, entries, rolls_back)
        try:
            opened = await lane.connection.open()
            try:
                with bind(**(opened.options if self._is_bound(node) else {})):
                    if not rolls_back:
                        await lane.provide_to(opened, entries)
                    for entry in entries:
                        lane.given(entry, opened)  # before a fixture of the test changes one
                    self.database.opened, self.database.loop = opened, lane.loop
                    if loops.is_under_anyio(request):
                        self.database.context = copy_context()
                    node.stash.setdefault(LANES, {})[self] = lane
                    yield opened
            finally:
                self.database.opened = self.database.loop = self.database.context = None
                await opened.close()
        except BaseException:
            await self._end(lane, rolls_back)
            raise
        await self._end(lane, rolls_back)

    async def _begin(self, lane: Lane, entries: list[Entry], rolls_back: bool) -> None:
        """Begin what a test works in; what it shares with others is stored before."""
        is_connected = True
        try:
            if self._is_used:
                await self._empty(lane)
            if not rolls_back:
                await lane.end()
                self._is_used = True
                return
            await lane.provide(entries)
            is_connected = False
            await lane.connection.begin()
        except BaseException:
            # Entries that cannot be stored leave no transaction, and what others share stays.
            if lane.scope == "function" or not is_connected:
                await self._close(lane)()
            raise

    async def _lane(self, request: pytest.FixtureRequest) -> Lane:
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            scope = loops.scope_of(request)
            lane = Lane(loop, scope, await self.database.connect())
            self._lanes[loop] = lane
            if scope != "function":
                # Added after the fixture of the loop, and so called before that is closed.
                end = self._close(lane)
                loops.node_of(request, scope).addfinalizer(lambda: loop.run_until_complete(end()))
        return lane

    async def _end(self, lane: Lane, rolls_back: bool) -> None:
        """Undo what a test has done, and leave the connection to the next test on the same loop."""
        try:
            if rolls_back:
                await lane.connection.rollback()
            else:
                await self._empty(lane)
        except BaseException as error:
            self._is_used |= isinstance(error, TransactionEndedError)
            await self._close(lane)()
            raise
        if lane.scope == "function":
            await self._close(lane)()

    async def _empty(self, lane: Lane) -> None:
        await lane.end()
        await lane.connection.empty()
        self._is_used = False

    def _close(self, lane: Lane) -> Callable[[], Awaitable[None]]:
        async def close() -> None:
            if self._lanes.pop(lane.loop, None) is not None:
                await lane.close()

        return close

    def _is_bound(self, node: pytest.Item) -> bool:
        """Tell whether factories store here: in the first of a store's databases."""
        options = self.database.options
        return self is next(one for one in visible_at(node) if one.database.options == options)

    def _entries_for(self, request: pytest.FixtureRequest) -> list[Entry]:
        """Return what a test shares with others, the widest scope first."""
        node, entries = request.node, dict[object, Entry]()
        for name in [*request.fixturenames, *models_reached(node, request.fixturenames)]:
            for definition in definitions_in_use(node, name):
                entries_of = getattr(definition.func, ENTRIES, None)
                if entries_of is not None:
                    entries |= {entry.key: entry for entry in entries_of(request)}
        stored_here = [entry for entry in entries.values() if entry.database is self]
        return sorted(stored_here, key=lambda entry: -loops.SCOPES.index(entry.scope))

    def serves(self, adapter: type) -> bool:
        """Tell whether an adapter takes an option that is bound to this database."""
        return any(
            isinstance(inspect.getattr_static(adapter, option, None), CallOption)
            for option in self.database.options
        )

    def _value_fixture(self, name: str, value: str) -> Callable[..., Any]:
        @depending_on([self.opened])
        def value_fixture(**opened: Opened) -> Any:
            return opened[self.opened].values[value]

        value_fixture.__doc__ = self.database.fixtures[value]
        return value_fixture


LANES = pytest.StashKey[dict[DatabaseFixtures, Lane]]()
"""What is open of each database that a test has asked for."""


def define(
    call: str,
    database: Database,
    prefix: str,
    autouse: bool,
    namespace: dict[str, Any],
    kind: type[DatabaseFixtures] = DatabaseFixtures,
) -> None:
    """Make the fixtures of a database, in the module whose body calls this.

    Args:
        call: What is called there.
        database: The database.
        prefix: What the names of the fixtures begin with.
        autouse: Whether each test uses them, also one that does not ask for any.
        namespace: The names of that module.
        kind: The class of the fixtures.

    Raises:
        FixtureError: When a name is taken.
    """
    if prefix and not prefix.isidentifier():
        _fail(
            f"{call}(prefix={prefix!r}): the names of fixtures begin with it, such as "
            "'audit_' in 'audit_session'."
        )
    fixtures = kind(call, database, prefix)
    functions = fixtures.functions()
    for name in functions:
        if name in namespace:
            _fail(
                f"{call}() makes a fixture {name!r}, which {namespace['__name__']} has already; "
                f'give those of one of them a prefix: {call}(..., prefix="audit_") makes '
                f"'audit_{name.removeprefix(prefix)}'."
            )
    for name, function in functions.items():
        scope: Any = "session" if name in (fixtures.created, fixtures.own) else "function"
        of_all = autouse and name == fixtures.opened
        namespace[name] = pytest.fixture(name=name, scope=scope, autouse=of_all)(function)
    DatabaseFixtures.all.append(fixtures)


def defined_at(node: pytest.Item, name: str) -> DatabaseFixtures | None:
    """Return the database that a fixture is of, as a test sees it."""
    definitions = definitions_of(node, name)
    return getattr(definitions[-1].func, _DEFINED, None) if definitions else None


def visible_at(node: pytest.Item) -> Iterator[DatabaseFixtures]:
    """Yield the databases whose fixtures a test sees."""
    # By a fixture that no one overrides, and that is not async: plugins put another function in the
    # place of an async one.
    return (one for one in DatabaseFixtures.all if defined_at(node, one.created) is one)


def database_for(node: pytest.Item, factory: Any) -> DatabaseFixtures | None:
    """Return the database that the objects of a factory are stored in, where a test sees one."""
    adapter = factory._meta.likely_adapter(factory._meta.model)
    return next((one for one in visible_at(node) if one.serves(type(adapter))), None)


def open_for(request: pytest.FixtureRequest, factory: Any) -> None:
    """Have a database bound for a factory before a fixture creates an object of it."""
    database = database_for(request.node, factory)
    if database is not None:
        request.getfixturevalue(database.opened)


def given_to(request: pytest.FixtureRequest, entry: Entry) -> Any:
    """Return, for a test, data that it shares with others."""
    database: DatabaseFixtures = entry.database
    opened = request.getfixturevalue(database.opened)
    lane = request.node.stash[LANES][database]
    if not lane.has(entry):
        _fail(
            f"The shared fixture {entry.name!r} is stored before a test begins, and "
            f"{request.node.nodeid} has asked for it by getfixturevalue(), when it had begun: name "
            f'it in the arguments of the test, or in @pytest.mark.usefixtures("{entry.name}").'
        )
    return lane.given(entry, opened)


def shorten(report: pytest.TestReport, error: BaseException) -> None:
    """Have a test that lacks a database say so in a line, if another test has told why."""
    for one in DatabaseFixtures.all:
        if error is one.failure:
            if one.told_at:
                report.longrepr = (
                    f"{one.call}() has no database for this test: see the error of {one.told_at}."
                )
            else:
                one.told_at = report.nodeid


def explained(node: pytest.Item, error: BaseException) -> str | None:
    """Return what to write, where a test sees a database and a factory has not used it."""
    first = next(visible_at(node), None)
    if first is None:
        return None
    for one in node.stash.get(LANES, ()):
        explanation = one.database.explain(error)
        if explanation is not None:
            return explanation
    value = next(iter(first.values), first.own)
    if first.is_not_allowed(error) and node.stash.get(LANES, None) is None:
        return (
            f"{first.call}() has fixtures here, and {node.nodeid} uses none of them: name one in "
            f'its arguments, such as {value!r}, or in @pytest.mark.usefixtures("{value}"). Or have '
            f"every test use it: {first.call}(..., autouse=True)."
        )
    if isinstance(error, SyncCallError) and is_synchronous(node):
        return (
            "A synchronous test creates objects by the fixture of a registered factory, which runs "
            "on the event loop of the test: write register(UserFactory) in a conftest.py, and "
            "user_factory.create() in the test."
        )
    return None


def is_synchronous(node: pytest.Item) -> bool:
    """Tell whether a test is no coroutine function."""
    return not inspect.iscoroutinefunction(getattr(node, "function", None))


def _marked(node: pytest.Item) -> bool | None:
    """Return what our mark says of a test: whether it is rolled back."""
    marker = node.get_closest_marker(MARKER)
    if marker is None:
        return None
    rollback = marker.kwargs.get("rollback", True)
    if marker.args or set(marker.kwargs) - {"rollback"} or not isinstance(rollback, bool):
        given = [*map(repr, marker.args), *(f"{k}={v!r}" for k, v in marker.kwargs.items())]
        meant = closest(next(iter(marker.kwargs), ""), ["rollback"])
        _fail(
            f"{node.nodeid}: @pytest.mark.{MARKER}({', '.join(given)}) takes rollback=False or "
            f"rollback=True, and nothing else.{meant}"
        )
    return rollback


def apart(function: Callable[[], None]) -> None:
    """Call a function in a thread, where no event loop runs, and wait until it is done."""
    with ThreadPoolExecutor(1, thread_name_prefix="async_factory_boy") as executor:
        executor.submit(function).result()


def _fail(message: str) -> NoReturn:
    raise FixtureError(message)
