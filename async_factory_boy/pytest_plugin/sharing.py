"""Fixtures whose data the tests of a scope share: `shared`, and ``register(..., scope=...)``.

Such a fixture belongs to a function, for pytest: each test is given the data anew. What they are
stored by, and once for which scope, its function says under `ENTRIES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NoReturn, TypeVar, cast

import pytest

from async_factory_boy.exceptions import FixtureError, closest
from async_factory_boy.pytest_plugin import loops
from async_factory_boy.pytest_plugin._definitions import definitions_of, depending_on
from async_factory_boy.pytest_plugin.databases import (
    DatabaseFixtures,
    defined_at,
    given_to,
    visible_at,
)
from async_factory_boy.pytest_plugin.lanes import ENTRIES, DataOf, Entry, OfDatabase

__all__ = ["shared"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

Scope = Literal["session", "package", "module", "class", "function"]
EntriesOf = Callable[[pytest.FixtureRequest], list[Entry]]
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

_WIDER = [scope for scope in loops.SCOPES if scope != "function"]


def shared(*, scope: Scope) -> Callable[[F], F]:
    """Make a fixture of data that are stored once for the tests of a scope.

    ```python
    @shared(scope="module")
    async def shop(session):
        return await ShopFactory.create_async(products=50)


    async def test_discount(shop):
        shop.discount = 10
    ```

    The data are stored in a transaction around those of the tests, and are gone after the scope.
    Each test finds them as they were stored, in the database and in memory, whatever others did to
    them: what it is given are copies of its own.

    Args:
        scope: ``"class"``, ``"module"``, ``"package"`` or ``"session"``. The event loop of the
            tests has to last as long: ``asyncio_default_test_loop_scope``.

    Returns:
        A decorator for an async function. It is called with fixtures, as the arguments name them:
        those of the database, other shared ones, and those of a scope that is as wide. It returns
        stored objects, or lists, tuples, dicts and dataclasses of such.

    Raises:
        FixtureError: When the scope is none of these, or the function is not async.
    """
    check_scope("shared()", scope)
    if scope == "function":
        _fail('shared(scope="function"): each test has its own already; write @pytest.fixture.')

    def decorate(function: F) -> F:
        if not inspect.iscoroutinefunction(function):
            name = getattr(function, "__name__", repr(function))
            _fail(
                f"@shared(scope={scope!r}) takes a function that is async and returns what it has "
                f"stored; {name} is none. Write async def {name}(...), with return, not yield."
            )
        if next(iter(inspect.signature(function).parameters), None) == "self":
            _fail(
                f"@shared(scope={scope!r}) takes a function of a module, and {function.__name__} "
                "is a method, whose object is another in each test: write it outside of the class."
            )
        fixture: Any = _fixture(function, scope)
        return cast("F", fixture)

    return decorate


def check_scope(asked: str, scope: object) -> None:
    """Raise if a scope is none of pytest's."""
    if scope not in loops.SCOPES:
        _fail(
            f"{asked} is given scope={scope!r}.{closest(str(scope), loops.SCOPES)} It takes "
            f"{', '.join(map(repr, _WIDER))}."
        )


def _fixture(function: Any, scope: Scope) -> Any:
    entries_of = once_a_test(lambda request: _entries_of(function, scope, request))

    @depending_on(["request"])
    def shared_fixture(request: pytest.FixtureRequest) -> Any:
        return given_to(request, entries_of(request)[-1])

    shared_fixture.__doc__ = function.__doc__
    setattr(shared_fixture, ENTRIES, entries_of)
    return pytest.fixture(name=function.__name__)(shared_fixture)


def _entries_of(function: Any, scope: str, request: pytest.FixtureRequest) -> list[Entry]:
    name = function.__name__
    arguments: dict[str, Any] = {}
    entries: list[Entry] = []
    databases: list[DatabaseFixtures] = []
    for argument in inspect.signature(function).parameters:
        parts = shared_by(request, argument)
        database = defined_at(request.node, argument)
        if parts is not None:
            _check_parts(name, scope, argument, parts)
            entries += parts
            databases.append(parts[-1].database)
            arguments[argument] = DataOf(parts[-1])
        elif database is not None:
            databases.append(database)
            arguments[argument] = (
                OfDatabase(database.values[argument])
                if argument in database.values
                else request.getfixturevalue(argument)
            )
        else:
            _check_definition(name, scope, argument, request)
            arguments[argument] = request.getfixturevalue(argument)
    asked = f"@shared(scope={scope!r}) async def {name}"
    chosen = _one_of(asked, databases or [*visible_at(request.node)])
    return [*entries, entry_of(request, asked, scope, name, chosen, function, arguments)]


_ENTRIES_OF_TEST = pytest.StashKey[dict[object, list[Entry]]]()


def once_a_test(entries_of: EntriesOf) -> EntriesOf:
    """Have a function that returns what a test shares find it out once for the test."""

    def once(request: pytest.FixtureRequest) -> list[Entry]:
        found: dict[object, list[Entry]] = request.node.stash.setdefault(_ENTRIES_OF_TEST, {})
        if once not in found:
            found[once] = entries_of(request)
        return found[once]

    return once


def shared_by(request: pytest.FixtureRequest, name: str) -> list[Entry] | None:
    """Return what a fixture shares with other tests, its own data last.

    Returns:
        ``None`` if it is no shared fixture; an empty list if this test has data of its own.
    """
    definitions = definitions_of(request.node, name)
    entries_of = getattr(definitions[-1].func, ENTRIES, None) if definitions else None
    return None if entries_of is None else entries_of(request)


def entry_of(
    request: pytest.FixtureRequest,
    asked: str,
    scope: str,
    name: str,
    database: DatabaseFixtures | None,
    store: Callable[..., Awaitable[Any]],
    arguments: Mapping[str, Any],
) -> Entry:
    """Return an entry.

    Args:
        request: That of the test that asks for it.
        asked: What the user has written, for errors.
        scope: The scope.
        name: The fixture.
        database: The database that it is stored in.
        store: What stores it.
        arguments: What that is called with.

    Raises:
        FixtureError: When there is no database; or when the event loop of the test ends before the
            scope does.
    """
    if database is None:
        _fail(
            f"{asked}: {request.node.nodeid} sees no database that it can be stored in. Define one "
            "in a conftest.py: sqlalchemy_database(url, metadata=Base.metadata), or that of your "
            "ORM, from async_factory_boy.pytest_plugin."
        )
    node = loops.node_of(request, scope)
    lasts = loops.scope_of(request)
    if node is not request.node and loops.SCOPES.index(lasts) < loops.SCOPES.index(scope):
        _fail(
            f"{asked}: the data stay on a connection, which belongs to an event loop, and that of "
            f"{request.node.nodeid} ends with its {lasts}. {_how_to_last(request, scope)}"
        )
    return Entry(store, name, database, scope, node, store, arguments)


def _how_to_last(request: pytest.FixtureRequest, scope: str) -> str:
    if loops.is_under_anyio(request):
        return (
            "Under anyio's plugin it may end with each test: run the test by pytest-asyncio, or "
            "leave the scope out."
        )
    return (
        f"In the configuration of pytest, write asyncio_default_test_loop_scope = {scope} and "
        f"asyncio_default_fixture_loop_scope = {scope}; or leave the scope out."
    )


def _check_parts(name: str, scope: str, argument: str, parts: list[Entry]) -> None:
    if not parts:
        _fail(
            f"The shared fixture {name!r} takes {argument!r}, of which this test has its own, "
            "since it overrides a value of it: leave the override out, or create an object in the "
            "test."
        )
    if loops.SCOPES.index(parts[-1].scope) < loops.SCOPES.index(scope):
        _fail(
            f"The shared fixture {name!r} is of scope {scope!r}, and takes {argument!r}, which is "
            f"of scope {parts[-1].scope!r} and gone before: give both the same scope."
        )


def _check_definition(name: str, scope: str, argument: str, request: pytest.FixtureRequest) -> None:
    definitions = definitions_of(request.node, argument)
    narrow = argument == "request" or (
        definitions and loops.SCOPES.index(definitions[-1].scope) < loops.SCOPES.index(scope)
    )
    if narrow:
        _fail(
            f"The shared fixture {name!r} is of scope {scope!r}, and takes {argument!r}, which is "
            "another in each test: take a fixture of that scope, or create what it needs in it."
        )


def _one_of(asked: str, databases: list[DatabaseFixtures]) -> DatabaseFixtures | None:
    different = list(dict.fromkeys(databases))
    if len(different) > 1:
        names = ", ".join(repr(next(iter(one.values), one.own)) for one in different)
        _fail(
            f"{asked}: its data are stored in one database, and there are several; take a fixture "
            f"of one of them: {names}."
        )
    return different[0] if different else None


def _fail(message: str) -> NoReturn:
    raise FixtureError(message)
