"""Runs async fixtures of ours on the event loop of the test, by the plugin that runs the test.

That is pytest-asyncio, or anyio's plugin. Which one, and which loop, is known only when a test is
about to run: so such a fixture is handed over when it is set up.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, NoReturn, cast

import pytest

from async_factory_boy.exceptions import FixtureError
from async_factory_boy.options import in_force, put_in_force
from async_factory_boy.pytest_plugin._definitions import definitions_in_use, uses_of

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

Function = Callable[..., Any]

# The attribute of a fixture's function that tells it is to be handed over.
_HANDED_OVER = "_async_factory_boy_handed_over"

ON_LOOP_OF_TEST = pytest.StashKey[bool]()
"""Whether the session of a test is on its own loop for certain: where a fixture of ours made it."""

SCOPES = ("function", "class", "module", "package", "session")
"""The scopes of pytest, from the narrowest to the widest."""


def async_fixture(function: Function, under_anyio: Function | None = None) -> Function:
    """Return an async function, marked as one to be run by the plugin that runs the test.

    Args:
        function: A coroutine function or an async generator function.
        under_anyio: What to run in its place under anyio's plugin.
    """
    setattr(function, _HANDED_OVER, (function, under_anyio or function))
    return _for_pytest_asyncio(function)


def hand_over(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Have the plugin that runs a test set up an async fixture of ours.

    A wrapper of the hook ``pytest_fixture_setup``.
    """
    functions = getattr(fixturedef.func, _HANDED_OVER, None)
    if functions is None:
        return (yield)
    function, under_anyio = functions
    name, old = fixturedef.argname, _old_pytest_asyncio()
    if is_under_anyio(request):
        function = under_anyio
    elif old:
        _fail(
            f"The fixture {name!r} takes pytest-asyncio 1.1 or later, and version {old} is "
            "installed, which may run it on another event loop than the test; upgrade it: "
            'pip install "pytest-asyncio>=1.1".'
        )
    elif _has_pytest_asyncio(request.config):
        # What is stored is used by the test as well: so it has to be stored on its loop.
        _for_pytest_asyncio(function, _loop_scope(request))
    else:
        _fail(
            f"The fixture {name!r} runs in an event loop, and {request.node.nodeid} has none: "
            "install pytest-asyncio; or, with anyio's plugin, mark the test with "
            "@pytest.mark.anyio, or if it is synchronous, with "
            '@pytest.mark.usefixtures("anyio_backend").'
        )
    # Last of all finalizers. pytest-asyncio leaves what a fixture has bound in force if tearing it
    # down fails: the next tests would store by a session that is closed.
    fixturedef.addfinalizer(partial(put_in_force, in_force()))
    definition = cast("Any", fixturedef)
    registered, definition.func = definition.func, function
    try:
        return (yield)
    finally:
        definition.func = registered


def is_under_anyio(request: pytest.FixtureRequest) -> bool:
    """Tell whether anyio's plugin runs a test."""
    return "anyio_backend" in request.fixturenames  # which it goes by


def scope_of(request: pytest.FixtureRequest) -> str:
    """Return how long the event loop of a test lasts for certain: the name of a scope."""
    if is_under_anyio(request):
        return "function"  # longer only if a fixture of a wider scope is async
    return _scope_of_test(request) or scope_of_fixtures(request.config)


def scope_of_fixtures(config: pytest.Config) -> str:
    """Return the scope of the event loop that fixtures of a test have, unless they say another."""
    scope = config.getini("asyncio_default_fixture_loop_scope")
    return scope if scope in SCOPES else "function"


def check(request: pytest.FixtureRequest, names: AbstractSet[str]) -> None:
    """Raise if an async fixture of a test uses one of ours, and runs on another event loop.

    Args:
        request: That of the test.
        names: Our fixtures, whose values belong to the loop of the test.

    Raises:
        FixtureError: When there is one. It says which setting to write.
    """
    if is_under_anyio(request):
        return
    wanted = scope_of(request)
    for name in request.fixturenames:
        for definition in definitions_in_use(request.node, name):
            function: Any = definition.func
            is_ours = getattr(function, _HANDED_OVER, None) is not None
            is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
            if is_ours or not is_async or not names & uses_of(request.node, definition):
                continue
            runs_on = getattr(function, "_loop_scope", None) or scope_of_fixtures(request.config)
            if runs_on != wanted:
                _fail(
                    f"The fixture {name!r} runs on the event loop of its {runs_on}, and "
                    f"{request.node.nodeid} on that of its {wanted}; both use one connection, "
                    "which belongs to one loop. In the configuration of pytest, write "
                    f"asyncio_default_fixture_loop_scope = {wanted}; or for this fixture, "
                    f"@pytest_asyncio.fixture(loop_scope={wanted!r})."
                )


def node_of(request: pytest.FixtureRequest, scope: str) -> pytest.Item | pytest.Collector:
    """Return the node of a test whose end is that of a scope, as pytest sees it."""
    node: Any = request.node
    kinds = {
        "class": pytest.Class,
        "module": pytest.Module,
        "package": pytest.Package,
        "session": pytest.Session,
    }
    found = node if scope == "function" else node.getparent(kinds[scope])
    if found is None and scope == "package":
        found = node.session
    return cast("pytest.Item | pytest.Collector", node if found is None else found)


def _has_pytest_asyncio(config: pytest.Config) -> bool:
    plugins = config.pluginmanager
    return plugins.has_plugin("asyncio") or plugins.has_plugin("pytest_asyncio.plugin")


def _scope_of_test(request: pytest.FixtureRequest) -> str | None:
    """Return the scope of the loop that pytest-asyncio runs a test on; ``None`` for a sync one."""
    marker = request.node.get_closest_marker("asyncio")
    if marker is None:
        return None
    return cast(
        "str",
        marker.kwargs.get("loop_scope") or request.config.getini("asyncio_default_test_loop_scope"),
    )


def _loop_scope(request: pytest.FixtureRequest) -> str | None:
    """Return the scope of the loop that a fixture of a test runs on, if it is not the default."""
    scope = _scope_of_test(request)
    if scope == "function" and not request.node.stash.get(ON_LOOP_OF_TEST, False):
        # Nobody has chosen it, most likely: the test's session is where its own fixtures are.
        return None
    return scope


def _for_pytest_asyncio(function: Function, loop_scope: str | None = None) -> Function:
    """Return a function, marked as an async fixture that pytest-asyncio is to run."""
    if "pytest_asyncio" in sys.modules and not _old_pytest_asyncio():
        import pytest_asyncio

        pytest_asyncio.fixture(loop_scope=cast("Any", loop_scope))(function)
    return function


def _old_pytest_asyncio() -> str:
    """Return the version of pytest-asyncio if it is in use and too old, or nothing."""
    version: str = getattr(sys.modules.get("pytest_asyncio"), "__version__", "")
    return version if version.startswith(("0.", "1.0.")) else ""


def _fail(message: str) -> NoReturn:
    raise FixtureError(message)
