"""What the author of an adapter gets wrong: found early, and told what to write instead."""

from __future__ import annotations

import copy
import functools
import pickle
import sys
from abc import abstractmethod
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import factory as factory_boy
import pytest
from sqlalchemy.exc import NoResultFound, OperationalError
from tortoise.exceptions import DoesNotExist

from async_factory_boy import AdapterError, ConfigurationError, OptionError, bind
from async_factory_boy.adapters import CallOption, PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory


class DictAdapter(PersistenceAdapter[Any]):
    """Stores nothing; the mistakes are made in subclasses."""

    get_or_create = ("name",)

    async def save(self, instance: Any) -> Any:
        return instance

    async def find(self, model: Any, lookup: Any) -> Any:
        return None


def factory_with(given: object) -> type[AsyncFactory[Any]]:
    class Factory(AsyncFactory[Any]):
        class Meta:
            model = dict
            adapter = given

        name = "x"

    return Factory


def define(**attributes: Any) -> type[PersistenceAdapter[Any]]:
    """Define an adapter that is called RedisAdapter."""
    return type("RedisAdapter", (DictAdapter,), {"__module__": __name__, **attributes})


def message(error: pytest.ExceptionInfo[BaseException]) -> str:
    return str(error.value).replace(f"{__name__}.", "")


# When the class is defined.


def _sync(*parameters: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(f"def function({', '.join(['self', *parameters])}): pass", namespace)
    return namespace["function"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("save", ["instance"]),
        ("save_many", ["instances"]),
        ("find", ["model", "lookup"]),
        ("find_many", ["model", "lookups"]),
        ("find_afresh", ["model", "lookup"]),
        ("save_new", ["build"]),
        ("commit", []),
        ("refresh", ["instances"]),
    ],
)
def test_sync_method(name: str, parameters: list[str]) -> None:
    """A method that is awaited has to be a coroutine function."""
    with pytest.raises(AdapterError) as caught:
        define(**{name: _sync(*parameters)})
    assert message(caught) == (
        f"RedisAdapter.{name}() has to be a coroutine function, which may await "
        f"asyncio.to_thread(...) for what blocks; write async def {name}("
        f"{', '.join(['self', *parameters])})."
    )


def test_sync_method_of_a_mixin() -> None:
    """Methods that an adapter has from a class that is none are checked as well."""

    class Mixin:
        def save(self, instance: Any) -> Any:
            return instance

    with pytest.raises(AdapterError, match=r"^MixedAdapter\.save\(\) has to be a coroutine func"):
        type("MixedAdapter", (Mixin, DictAdapter), {})


async def _async(self: object, *arguments: object) -> None:
    pass


async def _generator(self: object, *arguments: object) -> Any:
    yield


@pytest.mark.parametrize("function", [_async, classmethod(_async)])
@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("handles", "@classmethod def handles(cls, model)"),
        ("check", "def check(self, model)"),
        ("ambient_options", "def ambient_options(self, model)"),
        ("build", "def build(self, model, args, kwargs)"),
        ("connection_key", "def connection_key(self, model)"),
        ("undo", "def undo(self, model)"),
    ],
)
def test_async_method(name: str, signature: str, function: Any) -> None:
    """A method that nobody awaits must not be a coroutine function."""
    with pytest.raises(AdapterError) as caught:
        define(**{name: function})
    assert message(caught) == (
        f"RedisAdapter.{name}() is never awaited, so it cannot be async, or do I/O; write "
        f"{signature}."
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "build",
            "is never awaited, so it cannot be async, or do I/O; write "
            "def build(self, model, args, kwargs).",
        ),
        (
            "undo",
            "is a generator, and has to return an async context manager; write "
            "@contextlib.asynccontextmanager async def undo(self, model).",
        ),
    ],
)
def test_generator(name: str, text: str) -> None:
    """What is entered is no generator, but what a decorator makes of one."""
    with pytest.raises(AdapterError) as caught:
        define(**{name: _generator})
    assert message(caught) == f"RedisAdapter.{name}() {text}"
    define(**{name: asynccontextmanager(_generator)} if name != "build" else {})


async def _lonely(self: object) -> None:
    pass


async def _demanding(self: object, model: object, lookup: object, client: object) -> None:
    pass


@pytest.mark.parametrize(
    ("name", "function", "text"),
    [
        ("save", _lonely, "(instance), as factories do; write async def save(self, instance)."),
        ("save", staticmethod(_lonely), None),
        (
            "find",
            _demanding,
            "(model, lookup), as factories do; write async def find(self, model, lookup).",
        ),
        (
            "build",
            _sync("model", "**kwargs"),
            "(model, args, kwargs), as factories do; write def build(self, model, args, kwargs).",
        ),
        (
            "fields",
            _sync(),
            "cannot be called with (model), as factories do; write def fields(self, model).",
        ),
        ("handles", classmethod(_sync("model")), None),
        ("save", lambda self, instance: instance, "has to be a coroutine function"),
    ],
)
def test_wrong_parameters(name: str, function: Any, text: str | None) -> None:
    """A method has to take the arguments that it is called with."""
    if text is None:
        define(**{name: function})
        return
    with pytest.raises(AdapterError) as caught:
        define(**{name: function})
    assert message(caught).startswith(f"RedisAdapter.{name}() ")
    assert text in message(caught)


def test_handles_is_a_class_method() -> None:
    """What is asked of the class is a class method."""
    with pytest.raises(AdapterError) as caught:
        define(handles=_sync("model"))
    assert message(caught) == (
        "RedisAdapter.handles() is asked of the class, so it has to be a class method; write "
        "@classmethod def handles(cls, model)."
    )


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("get_or_create", "email", "has to be a tuple of field names; write ('email',)."),
        (
            "conflicts",
            [LookupError],
            "has to be a tuple of exception classes, as Python's except takes it; write "
            "(LookupError,).",
        ),
    ],
)
def test_not_a_tuple(name: str, value: object, text: str) -> None:
    """The attributes of the protocol are tuples."""
    with pytest.raises(AdapterError) as caught:
        define(**{name: value})
    assert message(caught) == f"RedisAdapter.{name} {text}"


async def test_decorated_methods() -> None:
    """Decorators are no mistake, if what is decorated would be none."""

    def sync_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return call

    def async_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return call

    class DecoratedAdapter(DictAdapter):
        @sync_decorator
        async def save(self, instance: Any) -> Any:
            return instance

        @async_decorator
        async def find(self, model: Any, lookup: Any) -> Any:
            return None

        async def _refresh(self, done: bool, instances: Any) -> None:
            assert done

        refresh = functools.partialmethod(_refresh, True)

    assert await factory_with(DecoratedAdapter).create_async() == {"name": "x"}


# Call-time options.


def test_option_of_another_adapter() -> None:
    """An option has one adapter; the error names the other one."""
    define(shelf_client=CallOption())
    with pytest.raises(ConfigurationError) as caught:

        class OtherAdapter(DictAdapter):
            shelf_client: CallOption[str] = CallOption()

    assert message(caught) == (
        "test_option_of_another_adapter.<locals>.OtherAdapter.shelf_client is an option of "
        "RedisAdapter already; give yours another name, prefixed with the name of its store."
    )


@pytest.mark.parametrize(
    ("option", "owner"),
    [
        ("sqlalchemy_session", "sqlalchemy.SQLAlchemyAdapter"),
        ("tortoise_using_db", "tortoise.TortoiseAdapter"),
    ],
)
def test_option_of_a_built_in_adapter(option: str, owner: str) -> None:
    """The options of the built-in adapters are taken, whichever is imported."""
    with pytest.raises(ConfigurationError) as caught:
        define(**{option: CallOption()})
    assert message(caught) == (
        f"RedisAdapter.{option} is an option of async_factory_boy.adapters.{owner} already; give "
        "yours another name, prefixed with the name of its store."
    )


def test_option_of_the_library() -> None:
    """The library's own option is taken."""
    with pytest.raises(ConfigurationError) as caught:
        define(progress=CallOption())
    assert message(caught) == (
        "RedisAdapter.progress is an option of the library itself already; give yours another "
        "name, prefixed with the name of its store."
    )


@pytest.mark.parametrize("option", ["client", "_client", "redis__client", "client_"])
def test_option_without_a_prefix(option: str) -> None:
    """An option has a prefix, or it would hide a field; and no double underscore, as paths have."""
    with pytest.raises(ConfigurationError) as caught:
        define(**{option: CallOption()})
    assert message(caught) == (
        f"RedisAdapter.{option} shares a call's keywords with the fields of models, so its name "
        "has to begin with that of its store and one underscore, as redis_client does."
    )


async def test_refused_options_are_not_known() -> None:
    """An adapter that is refused leaves no option behind."""
    with pytest.raises(ConfigurationError):
        define(drawer_client=CallOption(), client=CallOption())
    with (
        pytest.raises(OptionError, match=r"unknown option 'drawer_client'.* once its module is "),
        bind(drawer_client=1),
    ):
        pass


async def test_option_of_a_mixin() -> None:
    """An option that an adapter has from a class that is none is known to calls."""

    class Mixin:
        mixed_client: CallOption[str] = CallOption()

        async def save(self, instance: Any) -> Any:
            return {**instance, "client": self.mixed_client}

    for name in ("OneAdapter", "OtherAdapter"):
        factory = factory_with(type(name, (Mixin, DictAdapter), {}))
        assert await factory.create_async(mixed_client="c") == {"name": "x", "client": "c"}


async def test_misspelt_option() -> None:
    """A call's keyword that is nearly an option is refused, also if it was none before."""

    class Factory(factory_with(DictAdapter)):
        class Meta:
            model = object

    async def create() -> Any:
        return await Factory.create_async(wardrobe_clint="c")

    with pytest.raises(TypeError, match="takes no arguments"):
        await create()
    define(wardrobe_client=CallOption())
    with pytest.raises(OptionError, match="Did you mean 'wardrobe_client'"):
        await create()


def test_option_that_is_set() -> None:
    """An option cannot be set on an adapter, which would hide what calls give."""

    class ClientAdapter(DictAdapter):
        cupboard_client: CallOption[str] = CallOption()

        def __init__(self, client: str) -> None:
            self.cupboard_client = client

    with pytest.raises(ConfigurationError) as caught:
        ClientAdapter("c")
    assert message(caught) == (
        "test_option_that_is_set.<locals>.ClientAdapter.cupboard_client cannot be set, since it "
        "would hide what calls and bind() give. Keep a value to fall back on in another "
        "attribute, and read that where this one is None."
    )


# When it is instantiated.


class Incomplete(PersistenceAdapter[Any]):
    pass


@pytest.mark.parametrize("use", [Incomplete, lambda: factory_with(Incomplete)])
def test_no_save(use: Callable[[], object]) -> None:
    """An adapter without save() is found when it, or a factory with it, is made."""
    with pytest.raises(AdapterError) as caught:
        use()
    assert message(caught) == (
        "Incomplete has no save(), so it cannot store anything; write async def save(self, "
        "instance), which stores the object and returns it."
    )


def test_other_abstract_methods() -> None:
    """What a base of adapters declares abstract is named."""

    class Base(DictAdapter):
        @abstractmethod
        def client(self) -> object: ...

    with pytest.raises(AdapterError, match=r"^Base leaves client abstract; write them, "):
        Base()


def test_arguments_of_the_constructor() -> None:
    """Without a constructor there are no arguments; and copies are made as of any object."""
    with pytest.raises(TypeError, match=r"^DictAdapter\(\) takes no arguments$"):
        DictAdapter("c")
    with pytest.raises(TypeError):
        SQLAlchemyAdapter(lod=("posts",))
    adapter = SQLAlchemyAdapter[Any](load=("posts",))
    for one in (copy.copy(adapter), pickle.loads(pickle.dumps(adapter))):
        assert one.load == ("posts",)


# When it is used.


def returns(value: Any) -> Callable[..., Any]:
    async def method(self: object, *args: object) -> Any:
        return value

    return method


async def _build(self: object, build: Any) -> Any:
    await build()
    return [None, None]


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        (
            {"get_or_create": (), "save": returns(None)},
            "RedisAdapter.save_many() returned None; it has to return the instance that it stored.",
        ),
        (
            {"get_or_create": (), "save_many": returns(None)},
            "RedisAdapter.save_many() returned None for 2; it has to return a list with one for "
            "each, in order.",
        ),
        (
            {"get_or_create": (), "save_many": returns([{}])},
            "RedisAdapter.save_many() returned 1 instances for 2; it has to return a list with one "
            "for each, in order.",
        ),
        (
            {"get_or_create": (), "save_many": returns({1: {}, 2: {}}.values())},
            "RedisAdapter.save_many() returned an object of type dict_values for 2; it has to "
            "return a list with one for each, in order.",
        ),
        (
            {"save_new": returns([{}, {}, {}])},
            "RedisAdapter.save_new() returned 3 instances for 2; it has to return a list with one "
            "for each, in order.",
        ),
        (
            {"save_new": _build},
            "RedisAdapter.save_new() returned None; it has to return the instance that it stored.",
        ),
        (
            {"find_many": returns([])},
            "RedisAdapter.find_many() returned 0 answers for 2; it has to return a list with one "
            "for each, in order, None for none.",
        ),
        (
            {"find_many": returns(None)},
            "RedisAdapter.find_many() returned None for 2; it has to return a list with one for "
            "each, in order, None for none.",
        ),
    ],
)
async def test_wrong_result_for_a_batch(attributes: dict[str, Any], text: str) -> None:
    """What is returned for a batch is a list of as many, in order."""

    class Factory(factory_with(define(**attributes))):
        name = factory_boy.Sequence(str)

    with pytest.raises(AdapterError) as caught:
        await Factory.create_batch_async(2)
    assert message(caught) == text


async def test_save_returns_none() -> None:
    """The method save() has to return the instance."""
    factory = factory_with(define(get_or_create=(), save=returns(None)))
    with pytest.raises(AdapterError) as caught:
        await factory.create_async()
    assert message(caught) == (
        "RedisAdapter.save() returned None; it has to return the instance that it stored."
    )


async def test_no_find() -> None:
    """get_or_create with an adapter that has no find() is found before anything is evaluated."""

    class SavingAdapter(PersistenceAdapter[Any]):
        get_or_create = ("name",)
        save = DictAdapter.save

    evaluated: list[object] = []

    class Factory(factory_with(SavingAdapter)):
        size = factory_boy.LazyFunction(lambda: evaluated.append(1))

    for call in (Factory.create_async(), SavingAdapter().find(dict, {"name": "x"})):
        with pytest.raises(AdapterError) as caught:
            await call
        assert message(caught) == (
            "SavingAdapter cannot look objects up, so get_or_create is not available with it; "
            "implement find(model, lookup), or leave get_or_create empty."
        )
    assert not evaluated


class NotFoundError(Exception):
    """As clients of search engines call it."""


class GoneError(NotFoundError):
    pass


def notes(error: BaseException) -> list[str]:
    """Return the notes of an error, but for the one that names the factory."""
    every: list[str] = getattr(error, "__notes__", [])
    return [note for note in every if not note.startswith("async-factory-boy: raised while ")]


@pytest.mark.parametrize(("size", "method"), [(1, "find"), (2, "find_many")])
@pytest.mark.parametrize("kind", [KeyError, DoesNotExist, NoResultFound, GoneError])
async def test_find_raises(size: int, method: str, kind: type[Exception]) -> None:
    """What find() raises passes untouched; a note says what to do where nothing was found."""

    class RaisingAdapter(DictAdapter):
        async def find(self, model: Any, lookup: Any) -> Any:
            raise kind(lookup["name"])

    class Factory(factory_with(RaisingAdapter)):
        name = factory_boy.Sequence(str)

    with pytest.raises(kind) as caught:
        await Factory.create_batch_async(size)
    assert caught.value.args == ("0",)
    if sys.version_info >= (3, 11):
        assert notes(caught.value) == [
            f"Raised by RaisingAdapter.{method}(), which get_or_create asks for an object by "
            f"'name'. If this means that there is none, {method}() has to return None for it "
            "instead."
        ]


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Task got Future attached to a different loop"),
        OperationalError("SELECT", {}, Exception("no such table: user")),
        AdapterError("It cannot look objects up."),
    ],
)
async def test_find_fails(size: int, error: Exception) -> None:
    """Nothing is added to an error that cannot mean that nothing was found."""

    class FailingAdapter(DictAdapter):
        async def find(self, model: Any, lookup: Any) -> Any:
            raise error

    class Factory(factory_with(FailingAdapter)):
        name = factory_boy.Sequence(str)

    with pytest.raises(type(error)) as caught:
        await Factory.create_batch_async(size)
    assert caught.value is error
    assert not notes(error)
