"""Fixtures made of factories: `register`, and the hooks that serve what it registers.

The fixture of a model is async, and has to run where the test runs: it is handed to the plugin that
runs the test, pytest-asyncio or anyio's. An async fixture cannot ask for another one while it runs,
so all that it needs is found by a synchronous fixture before.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar, overload

import pytest

from async_factory_boy.exceptions import FixtureError, MissingOptionError, closest, similar
from async_factory_boy.factory import AsyncFactory, upstream
from async_factory_boy.factory.checks import has_field
from async_factory_boy.pytest_plugin._definitions import (
    MODEL,
    SEPARATOR,
    Model,
    definitions_in_use,
    definitions_of,
    depending_on,
    fixture_names,
    has_values_of_test,
    is_changed,
    is_in_progress,
    is_overridden,
    model_name,
    model_of,
    models_reached,
    paths_within,
    related_model,
    resolving,
    underscored,
)
from async_factory_boy.pytest_plugin.databases import (
    database_for,
    given_to,
    is_synchronous,
    open_for,
)
from async_factory_boy.pytest_plugin.lanes import ENTRIES, DataOf, Entry
from async_factory_boy.pytest_plugin.loops import async_fixture
from async_factory_boy.pytest_plugin.sharing import (
    Scope,
    check_scope,
    entry_of,
    once_a_test,
    shared_by,
)

__all__ = ["LazyFixture", "register"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

F = TypeVar("F", bound="type[AsyncFactory[Any]]")

_ANYIO_HINT = (
    " Under anyio's plugin that fixture has to be async: async code does not see what a "
    "synchronous one binds after an async one was set up."
)

# What a factory declares, if it is no plain value; a fixture that overrides it may pass it on.
_DECLARATIONS = (upstream.BaseDeclaration, upstream.Parameter)


class LazyFixture:
    """Stands for the value of a fixture, where a value is given outside of a test.

    ```python
    register(UserFactory, "colleague", company=LazyFixture("acme"))


    @pytest.mark.parametrize("user__company", [None, LazyFixture("acme")])
    async def test_company(user): ...
    ```

    Args:
        fixture: The name of a fixture, or a function that is called with the fixtures that its
            arguments name.
    """

    def __init__(self, fixture: str | Callable[..., Any]) -> None:
        self.fixture = fixture

    def evaluate(self, request: pytest.FixtureRequest) -> Any:
        """Return the value in the test that `request` belongs to."""
        values = {name: request.getfixturevalue(name) for name in self._names()}
        return values[self.fixture] if isinstance(self.fixture, str) else self.fixture(**values)

    def _names(self) -> list[str]:
        if isinstance(self.fixture, str):
            return [self.fixture]
        return list(inspect.signature(self.fixture).parameters)

    def __repr__(self) -> str:
        return f"LazyFixture({self.fixture!r})"


@overload
def register(
    factory_class: F, /, _name: str | None = None, *, scope: Scope = "function", **overrides: Any
) -> F: ...
@overload
def register(
    factory_class: None = None,
    /,
    _name: str | None = None,
    *,
    scope: Scope = "function",
    **overrides: Any,
) -> Callable[[F], F]: ...
def register(
    factory_class: Any = None,
    /,
    _name: str | None = None,
    *,
    scope: Scope = "function",
    **overrides: Any,
) -> type[AsyncFactory[Any]] | Callable[[F], F]:
    """Make fixtures of a factory, in the module or class whose body calls this.

    ```python
    register(UserFactory)
    register(UserFactory, "admin", role="admin")


    @pytest.mark.parametrize("user__name", ["Ada"])
    async def test_names(user, admin, user_factory):
        assert user.name == "Ada"
        await user_factory.create_async(name="Grace")
    ```

    They are ``user_factory``, the class; ``user``, an object that is created in the test's database
    (with whatever is bound when the fixture is set up); and for each declaration a fixture such as
    ``user__name``, to be overridden. Without arguments, or with keywords only, it is a decorator.

    Args:
        factory_class: The factory.
        _name: The name of the model's fixture. By default, that of the model: ``user`` for
            ``User``. Where the model is a builtin, such as ``dict``, or no class, that of the
            factory: ``user`` for ``UserFactory``.
        scope: Which tests share the object: those of a ``"class"``, a ``"module"``, a
            ``"package"``, or all of a ``"session"``. It is stored once for them, and each test
            finds it as it was stored. By default, each test has its own.
        **overrides: Values or declarations to use in place of those of the factory.

    Returns:
        The factory.

    Raises:
        FixtureError: When no fixture can be made of it: it is abstract, it is no `AsyncFactory`,
            the name is taken, or that of an override is misspelt.
    """
    frame = sys._getframe(1)
    if frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        _fail(
            "register() was called in a function, where pytest finds no fixtures; call it in the "
            "body of a conftest.py, a test module or a test class."
        )
    namespace = frame.f_locals
    if factory_class is None:
        return lambda factory: _register(factory, _name, scope, overrides, namespace)
    return _register(factory_class, _name, scope, overrides, namespace)  # type: ignore[no-any-return]


def _register(
    factory: Any,
    name: str | None,
    scope: str,
    overrides: Mapping[str, Any],
    namespace: dict[str, Any],
) -> Any:
    if pytest.version_tuple < (8, 1):
        _fail(
            f"register() takes pytest 8.1 or later, and version {pytest.__version__} is "
            'installed; upgrade it: pip install "pytest>=8.1".'
        )
    _check_factory(factory, name)
    check_scope(f"register({factory.__name__})", scope)
    model = Model(name or model_name(factory), factory, overrides)
    if not model.name.isidentifier():
        _fail(
            f"register({factory.__name__}, {name!r}): a fixture needs a name that is an "
            'identifier, such as "admin".'
        )
    _check_overrides(model)
    factory_name = underscored(factory.__name__)
    if model.name == factory_name:
        _fail(
            f"register({factory.__name__}) would make two fixtures called {model.name!r}, one for "
            "the factory and one for the model; give the second a name: "
            f'register({factory.__name__}, "some_name").'
        )
    _check_name(model, model.name, namespace)
    fixtures: dict[str, Callable[..., Any]] = {}
    if not _is_fixture_of(namespace.get(factory_name), factory):
        _check_name(model, factory_name, namespace)
        fixtures[factory_name] = _factory_fixture(model)
    for attribute in model.attributes():
        fixtures[model.path_to(attribute)] = _attribute_fixture(model, attribute)
    entries_of = None if scope == "function" else once_a_test(_entries_of(model, scope))
    fixtures[model.given_name] = _given_fixture(model, entries_of)
    fixtures[model.created_name] = async_fixture(
        _created_fixture(model), under_anyio=_created_fixture(model, _ANYIO_HINT)
    )
    if entries_of is None:
        fixtures[model.name] = fixtures.pop(model.created_name)
    else:
        fixtures[model.name] = _shared_fixture(model)
        setattr(fixtures[model.name], ENTRIES, entries_of)
    for fixture_name, function in fixtures.items():
        if fixture_name in namespace:
            continue  # an attribute's, which is overridden already
        setattr(function, MODEL, model)
        # In a class it would become a method, and be called with the instance.
        of_class = "__qualname__" in namespace
        fixture: Any = pytest.fixture(name=fixture_name)
        namespace[fixture_name] = fixture(staticmethod(function) if of_class else function)
    return factory


def _check_factory(factory: Any, fixture_name: object) -> None:
    name = getattr(factory, "__name__", repr(factory))
    if isinstance(factory, str):
        other = getattr(fixture_name, "__name__", "UserFactory")
        _fail(
            f"register() takes a factory class first, and then a name; got {factory!r}. Write "
            f'register({other}, "{factory}"), or as a decorator @register(_name="{factory}").'
        )
    if not isinstance(factory, type) or not issubclass(factory, upstream.BaseFactory):
        _fail(f"register() takes a factory class; got {factory!r}.")
    if not issubclass(factory, AsyncFactory):
        _fail(
            f"register({name}): {name} is a synchronous factory, whose objects are stored without "
            "an event loop. Derive it from AsyncFactory or from the dedicated factory of your ORM, "
            "or register it with pytest-factoryboy."
        )
    if factory._meta.abstract:
        _fail(
            f"register({name}): {name} is abstract, so it has no objects; set {name}.Meta.model "
            "and leave Meta.abstract out, or register a factory that is derived from it."
        )


def _check_overrides(model: Model) -> None:
    known = upstream.written(model.factory._meta)
    for name, value in model.overrides.items():
        if name in known and isinstance(value, _DECLARATIONS):
            known[name] = value
    for path in model.overrides:
        given = f"register({model.factory.__name__}) is given {path!r}"
        _check_path(model, known, path, given, registering=True)


def _check_path(
    model: Model, known: Mapping[str, Any], path: str, given: str, *, registering: bool = False
) -> None:
    """Raise if a model has no attribute of a name that a value is given for.

    Args:
        model: The model.
        known: What its factory declares, by name.
        path: The name.
        given: Who gives the value, and under which name: the beginning of the message.
        registering: Whether this is `register`, whose keywords go to the factory as they are: a
            field of the model need not be declared. A factory that is named by its path may not
            be there yet.
    """
    factory = model.factory
    while path not in known:
        attribute, _, path = path.partition(SEPARATOR)
        if attribute not in known:
            if registering and not _is_misspelt(factory, attribute, known):
                return
            _fail(
                f"{given}, but {factory.__name__} declares no {attribute!r}."
                f"{closest(attribute, known)} It declares {', '.join(sorted(known)) or 'nothing'}. "
                f"Declare it there, or take the fixture {underscored(model.factory.__name__)!r} "
                "and create the object in the test."
            )
        declaration = known[attribute]
        part = upstream.part(declaration)
        if registering and part is not None and not upstream.is_imported(declaration):
            return
        inner = None if part is None else part.get_factory()
        if inner is None or issubclass(inner, upstream.CONTAINERS):
            if isinstance(declaration, upstream.BaseDeclaration):
                return  # it takes what it knows of: a post_generation hook, its keywords
            _fail(
                f"{given}, but {factory.__name__}.{attribute} is {declaration!r}, which has no "
                f"attributes; leave {SEPARATOR + path!r} out."
            )
        factory, known = inner, upstream.written(inner._meta)


def _is_misspelt(factory: Any, name: str, known: Iterable[str]) -> bool:
    return bool(similar(name, known)) and not has_field(factory._meta.model, name)


def _check_name(model: Model, name: str, namespace: Mapping[str, Any]) -> None:
    if name not in namespace:
        return
    factory = model.factory.__name__
    taken = model_of(namespace[name])
    owner = namespace.get("__qualname__") or namespace["__name__"]
    what = (
        f"register({taken.factory.__name__}) has made already"
        if taken is not None
        else f"{owner.rpartition('.')[2]} has already, as {namespace[name]!r}"
    )
    instead = (
        f'give the second one another name: register({factory}, "another_{name}")'
        if name == model.name
        else f"rename {factory}, or the other"
    )
    _fail(f"register({factory}) makes a fixture {name!r}, which {what}; {instead}.")


def _fail(message: str) -> NoReturn:
    raise FixtureError(message)


def _is_fixture_of(fixture: object, factory: object) -> bool:
    model = model_of(fixture)
    return model is not None and model.factory is factory


# The fixtures.


def _factory_fixture(model: Model) -> Callable[..., Any]:
    def factory_fixture(request: pytest.FixtureRequest) -> Any:
        database = database_for(request.node, model.factory)
        if database is None or not is_synchronous(request.node):
            return model.factory
        request.getfixturevalue(database.opened)
        return FactoryInSyncTest(model.factory, database.database.run)

    factory_fixture.__doc__ = f"The factory class {model.factory.__name__}."
    return factory_fixture


class FactoryInSyncTest:
    """A factory whose `create` and `create_batch` run on the event loop of a synchronous test.

    All else is that of the factory.

    Args:
        factory: The factory.
        run: Runs a coroutine on that loop.
    """

    def __init__(self, factory: Any, run: Callable[[Any], Any]) -> None:
        self._factory = factory
        self._run = run

    def create(self, **keywords: Any) -> Any:
        """Create an object, as `create_async` does."""
        return self._run(self._factory.create_async(**keywords))

    def create_batch(self, size: int, **keywords: Any) -> Any:
        """Create objects, as `create_batch_async` does."""
        return self._run(self._factory.create_batch_async(size, **keywords))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


def _attribute_fixture(model: Model, attribute: str) -> Callable[..., Any]:
    value = model.attributes()[attribute]

    def attribute_fixture(request: pytest.FixtureRequest) -> Any:
        related = related_model(model, attribute, request.node)
        if related is None or is_in_progress(request, related):
            return value
        if is_changed(request, model, attribute):
            return value  # for an object of its own, which has what is changed
        with resolving(request, model):
            return request.getfixturevalue(related.name)

    attribute_fixture.__doc__ = f"What {model.name}.{attribute} is made with."
    return attribute_fixture


class _Shared(NamedTuple):
    """What the fixture of a model has, where it is not created for a test."""

    instance: Any


def _given_fixture(
    model: Model, entries_of: Callable[[pytest.FixtureRequest], list[Entry]] | None
) -> Callable[..., Any]:
    """Return a fixture of the keywords that the model's fixture gives to the factory.

    Args:
        model: The model.
        entries_of: Returns what tests share of it, if its fixture is of a wider scope.
    """
    attributes = {model.path_to(attribute): attribute for attribute in model.attributes()}

    @depending_on(["request", *attributes])
    def given_fixture(request: pytest.FixtureRequest, **values: Any) -> Mapping[str, Any] | _Shared:
        entries = [] if entries_of is None else entries_of(request)
        if entries:
            return _Shared(given_to(request, entries[-1]))
        open_for(request, model.factory)
        given = {attributes[path]: value for path, value in values.items()}
        for path in paths_within(request.node, model):
            given[path] = request.getfixturevalue(model.path_to(path))
        return _keywords(model, given, request)

    given_fixture.__doc__ = f"What {model.factory.__name__} is given for {model.name}."
    return given_fixture


def _keywords(
    model: Model, given: Mapping[str, Any], request: pytest.FixtureRequest
) -> dict[str, Any]:
    """Return what of the values of attributes is not the factory's to evaluate."""
    declarations = upstream.written(model.factory._meta)
    keywords = {}
    for name, value in given.items():
        declared = name in declarations and value is declarations[name]
        if not declared or (
            is_overridden(request.node, model, name) and not isinstance(value, _DECLARATIONS)
        ):
            keywords[name] = _evaluated(value, request, model.path_to(name))
    return keywords


def _entries_of(model: Model, scope: str) -> Callable[[pytest.FixtureRequest], list[Entry]]:
    """Return a function that returns what a test shares of a registered model.

    A test that overrides anything of it, or of what it refers to, has an object of its own.
    """

    def entries_of(request: pytest.FixtureRequest) -> list[Entry]:
        node = request.node
        if has_values_of_test(node, model):
            return []
        arguments: dict[str, Any] = {}
        entries: list[Entry] = []
        for attribute, value in model.attributes().items():
            related = related_model(model, attribute, node)
            name = related.name if related is not None else _name_in(value)
            parts = shared_by(request, name) if name is not None else None
            if parts is not None:
                if not parts:
                    return []
                entries += parts
                arguments[attribute] = DataOf(parts[-1])
            elif attribute in model.overrides:
                arguments[attribute] = _evaluated(value, request, model.path_to(attribute))
        for path in model.overrides.keys() - model.attributes().keys():
            arguments[path] = _evaluated(model.overrides[path], request, model.path_to(path))
        database = database_for(node, model.factory)
        asked = f"register({model.factory.__name__}, scope={scope!r})"
        entry = entry_of(
            request, asked, scope, model.name, database, model.factory.create_async, arguments
        )
        return [*entries, entry._replace(key=entries_of)]

    return entries_of


def _name_in(value: Any) -> str | None:
    """Return the name of the fixture that a `LazyFixture` stands for."""
    name = value.fixture if isinstance(value, LazyFixture) else None
    return name if isinstance(name, str) else None


def _evaluated(value: Any, request: pytest.FixtureRequest, path: str) -> Any:
    if not isinstance(value, LazyFixture):
        return value
    node = request.node
    try:
        return value.evaluate(request)
    except pytest.FixtureLookupError as error:
        missing = error.argname
        if missing not in value._names() or definitions_of(node, missing):
            raise  # a fixture that it names asks for another, say
    visible = [name for name in fixture_names(node) if definitions_of(node, name)]
    _fail(
        f"{value!r} stands for the value of {path!r}, but {node.nodeid} sees no fixture "
        f"{missing!r}.{closest(missing, visible)} Define it in the test's class or module or in a "
        "conftest.py, or give LazyFixture the name of one that is there."
    )


def _shared_fixture(model: Model) -> Callable[..., Any]:
    """Return the fixture of a model that tests share; some have an object of their own."""

    @depending_on(["request", model.given_name])
    def shared_fixture(request: pytest.FixtureRequest, **given: Any) -> Any:
        value = given[model.given_name]
        # What is not created needs no event loop.
        if isinstance(value, _Shared):
            return value.instance
        return request.getfixturevalue(model.created_name)

    shared_fixture.__doc__ = f"An object of {model.factory.__name__} that tests share."
    return shared_fixture


def _created_fixture(model: Model, hint: str = "") -> Callable[..., Any]:
    factory_name = underscored(model.factory.__name__)

    @depending_on([factory_name, model.given_name])
    async def model_fixture(**fixtures: Any) -> Any:
        try:
            return await fixtures[factory_name].create_async(**fixtures[model.given_name])
        except MissingOptionError as error:
            raise MissingOptionError(
                f"{error} The fixture {model.name!r} takes what is bound when it is set up: bind "
                f"in an autouse fixture, or in one that the test names before it.{hint}"
            ) from None

    model_fixture.__doc__ = f"An object that {model.factory.__name__} has created."
    return model_fixture


# Hooks.


def let_parametrize(metafunc: pytest.Metafunc) -> None:
    """Let tests parametrise what the fixtures that they use depend on.

    Called by the hook ``pytest_generate_tests``, before any other. Whether a user has the company
    of a fixture is seen only when the test runs; pytest wants to know before.
    """
    models = models_reached(metafunc.definition, metafunc.fixturenames)
    if not models:
        return
    for name in _parametrized(metafunc):
        if name in metafunc.fixturenames:
            continue
        for model in models.values():
            if name.startswith(model.name + SEPARATOR):
                path = name.removeprefix(model.name + SEPARATOR)
                given = f"{metafunc.definition.nodeid} is parametrised with {name!r}"
                _check_path(model, model.attributes(), path, given)
                metafunc.fixturenames.append(name)
                break
    nested = [
        model.path_to(path)
        for model in models.values()
        for path in paths_within(metafunc.definition, model)
    ]
    _add_fixtures_with_params(metafunc, [*models, *nested])


def _parametrized(metafunc: pytest.Metafunc) -> list[str]:
    names: list[str] = []
    for marker in metafunc.definition.iter_markers("parametrize"):
        given = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
        names += [name.strip() for name in given.split(",")] if isinstance(given, str) else given
    return names


def _add_fixtures_with_params(metafunc: pytest.Metafunc, names: list[str]) -> None:
    """Have pytest parametrise a test by the fixtures of these names, and by those they use."""
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name in seen or name in metafunc.fixturenames:
            continue
        seen.add(name)
        in_use = list(definitions_in_use(metafunc.definition, name))
        names += [used for definition in in_use for used in definition.argnames]
        if any(definition.params is not None for definition in in_use):
            metafunc.fixturenames.append(name)
            metafunc._arg2fixturedefs[name] = definitions_of(metafunc.definition, name)
