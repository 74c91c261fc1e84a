"""Mistakes of the caller: each is found early, and the error says what to write instead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import factory
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from async_factory_boy import (
    AbstractFactoryError,
    AdapterError,
    AsyncFactoryError,
    BatchSizeError,
    ConfigurationError,
    OptionError,
    bind,
)
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.sqlalchemy import SQLAlchemyAdapter
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.factory.mongo import AsyncMongoFactory
from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from tests.stores.sqlalchemy import Base, Company, CompanyFactory, UserFactory


@pytest.fixture
async def session() -> AsyncGenerator[AsyncSession]:
    """A session; what is wrong must leave nothing in it, and nothing in the database."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        yield session
        assert not session.new
        assert not session.dirty
        assert not session.in_transaction()
    await engine.dispose()


SYNC_ENGINE = create_engine("sqlite://")
ASYNC_ENGINE = create_async_engine("sqlite+aiosqlite://")
HOW_TO = r"Pass an AsyncSession: make one with async_sessionmaker\(create_async_engine\(url\)\)"


@pytest.mark.parametrize(
    ("value", "called"),
    [
        (Session(SYNC_ENGINE), "a synchronous Session"),
        (scoped_session(sessionmaker(SYNC_ENGINE)), "a synchronous Session"),
        (async_sessionmaker(ASYNC_ENGINE), "async_sessionmaker, which makes sessions and is none"),
        (sessionmaker(SYNC_ENGINE), "sessionmaker, which makes sessions and is none"),
        (ASYNC_ENGINE, "an object of type AsyncEngine"),
        ("sqlite+aiosqlite://", "an object of type str"),
    ],
)
async def test_not_an_async_session(value: Any, called: str) -> None:
    """Anything but an AsyncSession is refused by the call, and by bind, before it is used."""
    message = rf"^sqlalchemy_session takes an AsyncSession; got {called}.*{HOW_TO}"
    with pytest.raises(OptionError, match=message):
        await UserFactory.create_async(sqlalchemy_session=value)
    with pytest.raises(OptionError, match=message), bind(sqlalchemy_session=value):
        pass


async def coroutine_function() -> None:
    """A session factory that cannot be awaited where it is called."""


@pytest.mark.parametrize(
    ("session_factory", "returned"),
    [
        (dict, "an object of type dict"),
        (lambda: None, "None"),
        (lambda: Session(SYNC_ENGINE), "a synchronous Session"),
        (coroutine_function, "a coroutine. Set it to a plain function: def, not async def"),
    ],
)
async def test_session_factory_returns_something_else(session_factory: Any, returned: str) -> None:
    """What Meta.sqlalchemy_session_factory returns is checked as well."""

    class Factory(CompanyFactory):
        class Meta:
            sqlalchemy_session_factory = session_factory

    with pytest.raises(OptionError) as caught:
        await Factory.create_async()
    assert str(caught.value) == (
        "The callable that is set as Meta.sqlalchemy_session_factory has to return the "
        f"AsyncSession of the running test; it returned {returned}."
    )


async def test_closed_session() -> None:
    """A session that was closed for good is refused."""
    session = AsyncSession(ASYNC_ENGINE, close_resets_only=False)
    await session.close()
    with pytest.raises(OptionError, match=r"closed for good .*; pass one that is open: use"):
        await UserFactory.create_async(sqlalchemy_session=session)


async def test_unmapped_model(session: AsyncSession) -> None:
    """A model that SQLAlchemy does not map is refused before anything is evaluated."""

    class Factory(AsyncSQLAlchemyModelFactory[Any]):
        class Meta:
            model = dict

        company = factory.SubFactory(CompanyFactory)

    with pytest.raises(AdapterError, match=r"^dict is not mapped .* set Meta\.model to a mapped"):
        await Factory.create_async(sqlalchemy_session=session)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (
            AsyncSQLAlchemyModelFactory,
            "'models.User' is not mapped by SQLAlchemy, so it cannot be stored; set Meta.model to ",
        ),
        (AsyncTortoiseModelFactory, "'models.User' is not a model of Tortoise ORM, "),
        (AsyncMongoFactory, "'models.User' is no kind of model that can be stored in a "),
        (AsyncFactory, "UserFactory.Meta.adapter is not set, and none of the known adapters is "),
    ],
)
async def test_model_given_by_name(base: Any, message: str) -> None:
    """A model that is a string is refused, and the class asked for, whatever is asked of it."""
    given = type("UserFactory", (base,), {"Meta": type("Meta", (), {"model": "models.User"})})
    with pytest.raises((AdapterError, ConfigurationError)) as caught:
        await given.create_async()
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(
        " UserFactory.Meta.model is a string; give it the class itself."
    )
    automatic = type("Meta", (), {"model": "models.User", "auto_declarations": True})
    for ask in (
        given.build,
        given.explain,
        type("UserFactory", (base,), {"Meta": automatic}).build,
    ):
        with pytest.raises(ConfigurationError) as caught:
            ask()
        assert str(caught.value) == (
            "UserFactory.Meta.model is 'models.User', a string; give it the class itself."
        )


async def test_adapter_that_knows_models_by_name() -> None:
    """An adapter may take a string for a model."""

    class Adapter(PersistenceAdapter[Any]):
        def build(self, model: Any, args: Any, kwargs: Any) -> Any:
            return {"model": model, **kwargs}

        async def save(self, instance: Any) -> Any:
            return instance

    class Factory(AsyncFactory[Any]):
        class Meta:
            model = "models.User"
            adapter = Adapter

    assert await Factory.create_async() == await Factory.build_async() == {"model": "models.User"}


def test_unknown_meta_option() -> None:
    """An unknown Meta option fails when the class is defined, and the nearest one is suggested."""
    with pytest.raises(
        ConfigurationError,
        match=r"^Factory\.Meta\.sqlalchemy_get_or_crate is not an option\. "
        r"Did you mean 'sqlalchemy_get_or_create'\? Known options: abstract, adapter, ",
    ):

        class Factory(CompanyFactory):
            class Meta:
                sqlalchemy_get_or_crate = ("name",)


@pytest.mark.parametrize("base", [AsyncFactory, AsyncTortoiseModelFactory])
def test_meta_option_of_another_factory(base: Any) -> None:
    """An option that begins like those of another store is told to belong to its factory."""
    options = {"model": dict, "sqlalchemy_get_or_create": ("name",)}
    with pytest.raises(
        ConfigurationError,
        match=r"^Factory\.Meta\.sqlalchemy_get_or_create is not an option\. Those that begin with "
        r"sqlalchemy_ belong to async_factory_boy\.factory\.sqlalchemy\.AsyncSQLAlchemyModelFactory"
        r": derive from that, or give the option to the constructor of the adapter that is set as "
        r"Meta\.adapter\. Known options: abstract, adapter, ",
    ):
        type("Factory", (base,), {"Meta": type("Meta", (), options)})


def test_meta_option_that_no_factory_has() -> None:
    """An unknown option is not said to belong to the very factory that does not have it."""
    message = r"^Factory\.Meta\.sqlalchemy_quux is not an option\. Known options: "
    with pytest.raises(ConfigurationError, match=message):

        class Factory(CompanyFactory):
            class Meta:
                sqlalchemy_quux = 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (
            "sqlalchemy_session_persistence",
            "save",
            "has to be 'flush', 'commit' or None; got 'save'.",
        ),
        ("sqlalchemy_get_or_create", "name", "takes a sequence of field names; write ('name',)."),
        (
            "sqlalchemy_get_or_create",
            [1],
            'takes a sequence of field names, such as ("email",); got [1].',
        ),
        ("sqlalchemy_load", 1, 'takes a sequence of field names, such as ("company",); got 1.'),
        (
            "sqlalchemy_session_factory",
            AsyncSession(ASYNC_ENGINE),
            "takes a callable that returns an AsyncSession; got ",
        ),
        (
            "sqlalchemy_session_factory",
            async_sessionmaker(ASYNC_ENGINE),
            "would make a new session for each object, which nobody commits or closes. ",
        ),
        (
            "adapter",
            "sqlalchmy",
            "names an unknown adapter 'sqlalchmy'. Did you mean 'sqlalchemy'? Known adapters: ",
        ),
        (
            "adapter",
            dict,
            "takes an instance of a PersistenceAdapter, its class, or its registered name; got ",
        ),
    ],
)
def test_bad_meta_option(option: str, value: Any, message: str) -> None:
    """A value that an option cannot take fails when the class is defined, under Meta's name."""
    with pytest.raises(ConfigurationError) as caught:
        type("Factory", (CompanyFactory,), {"Meta": type("Meta", (), {option: value})})
    assert str(caught.value).startswith(f"Factory.Meta.{option} {message}")


def test_meta_options_beside_an_adapter_object() -> None:
    """An option that a configured adapter would not see is refused."""
    with pytest.raises(
        ConfigurationError,
        match=r"^Factory\.Meta\.sqlalchemy_load has no effect on the instance given",
    ):

        class Factory(CompanyFactory):
            class Meta:
                adapter = SQLAlchemyAdapter()
                sqlalchemy_load = ("users",)


def test_meta_options_beside_an_adapter_class() -> None:
    """An adapter class gets the options of the dedicated factory."""

    class Adapter(SQLAlchemyAdapter[Any]):
        pass

    class Factory(CompanyFactory):
        class Meta:
            adapter = Adapter
            sqlalchemy_load = ("users",)

    adapter = Factory._meta.adapter_for_storing()
    assert type(adapter) is Adapter
    assert adapter.load == ("users",)


async def test_get_or_create_field_without_a_value(session: AsyncSession) -> None:
    """A get_or_create field that no declaration gives a value is found before any is evaluated."""

    class Factory(AsyncSQLAlchemyModelFactory[Any]):
        class Meta:
            model = Company
            sqlalchemy_get_or_create = ("name",)

        size = factory.LazyFunction(lambda: pytest.fail("evaluated"))

    message = (
        r"^Factory\.Meta\.sqlalchemy_get_or_create looks objects up by 'name', but Factory gives "
        r"that field no value; declare it in the factory, or pass name=\.\.\. to the call\.$"
    )
    with pytest.raises(ConfigurationError, match=message):
        await Factory.create_async(sqlalchemy_session=session)

    class Adjusting(CompanyFactory):
        class Meta:
            sqlalchemy_get_or_create = ("name",)

        @classmethod
        def _adjust_kwargs(cls, **kwargs: Any) -> Any:
            return {name: value for name, value in kwargs.items() if name != "name"}

    with pytest.raises(ConfigurationError, match=message.replace("Factory", "Adjusting", 1)[:40]):
        await Adjusting.create_async(sqlalchemy_session=session)


async def test_get_or_create_field_that_the_model_lacks(session: AsyncSession) -> None:
    """A get_or_create field that is not one of the model's is found before any is evaluated."""

    class Factory(CompanyFactory):
        class Meta:
            sqlalchemy_get_or_create = ("nme",)

        nme = factory.LazyFunction(lambda: pytest.fail("evaluated"))

    with pytest.raises(
        ConfigurationError,
        match=r"^Factory\.Meta\.sqlalchemy_get_or_create names 'nme', which is not a field of "
        r"Company\. Did you mean 'name'\? It has: id, name, size, users\.$",
    ):
        await Factory.create_async(sqlalchemy_session=session)


@pytest.mark.parametrize("size", [-1, 1.5, "2", None])
async def test_batch_size(session: AsyncSession, size: Any) -> None:
    """The size of a batch has to be an integer, 0 or more."""
    message = r"^The size of a batch of CompanyFactory has to be an integer, 0 or more; got "
    for call in (
        CompanyFactory.create_batch_async,
        CompanyFactory.build_batch_async,
        lambda size: CompanyFactory.generate_batch_async("create", size),
        lambda size: CompanyFactory.generate_batch_async("build", size),
    ):
        with pytest.raises(BatchSizeError, match=message), bind(sqlalchemy_session=session):
            await call(size)


@pytest.mark.parametrize("size", [-1, 1.5, "2", None])
async def test_batch_size_in_a_hook(session: AsyncSession, size: Any) -> None:
    """So has that of a batch that a hook creates."""

    class Factory(CompanyFactory):
        @factory.post_generation
        def users(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            UserFactory.create_batch(size, company=company)

    message = r"^The size of a batch of UserFactory has to be an integer, 0 or more; got "
    with pytest.raises(BatchSizeError, match=message):
        await Factory.create_async(sqlalchemy_session=session)
    await session.rollback()


async def test_misspelt_option(session: AsyncSession) -> None:
    """A call-time option spelt wrongly is not taken for a field that the model does not have."""
    with pytest.raises(
        OptionError,
        match=r"^CompanyFactory was given 'sqlalchemy_sesion', which is neither a call-time option "
        r"nor a field of Company\. Did you mean 'sqlalchemy_session'\?$",
    ):
        await CompanyFactory.create_async(sqlalchemy_sesion=session)
    message = r"^bind\(\) got an unknown option 'sqlalchemy_sesion'\. Did you mean 'sqlalchemy_s"
    with pytest.raises(OptionError, match=message), bind(sqlalchemy_sesion=session):
        pass


async def test_options_below(session: AsyncSession) -> None:
    """An option for a part is checked before anything is stored: its name, and its value."""

    class Factory(UserFactory):
        class Params:
            other = factory.SubFactory(CompanyFactory)

        company_key = factory.SelfAttribute("other.id")

    with bind(sqlalchemy_session=session):
        message = r"^sqlalchemy_session takes an AsyncSession; got an object of type int"
        with pytest.raises(OptionError, match=message):
            await Factory.create_async(company__sqlalchemy_session=3)
        message = (
            r"^CompanyFactory was given 'sqlalchemy_sesion', which is neither a call-time option "
            r"nor a field of Company\. Did you mean 'sqlalchemy_session'\?$"
        )
        with pytest.raises(OptionError, match=message):
            await Factory.create_async(company__sqlalchemy_sesion=session)

    class Whole(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict

        part = factory.SubFactory(CompanyFactory)

    # What stands in the place of the part takes other names.
    whole = await Whole.build_async(part=factory.Dict({"a": 1}), part__sqlalchemy_sesion=2)
    assert whole == {"part": {"a": 1, "sqlalchemy_sesion": 2}}

    class WithDict(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict

        part = factory.Dict({})

    assert await WithDict.build_async(part__sqlalchemy_session=3) == {
        "part": {"sqlalchemy_session": 3}
    }


async def test_option_without_its_prefix(session: AsyncSession) -> None:
    """Who leaves the prefix of an option out is told the whole name."""
    with pytest.raises(
        OptionError,
        match=r"^CompanyFactory was given 'session', which is neither a call-time option nor a "
        r"field of Company\. Did you mean 'sqlalchemy_session'\?$",
    ):
        await CompanyFactory.create_async(session=session)
    message = (
        r"^bind\(\) got an unknown option 'session'\. Did you mean 'beanie_session', "
        r"'mongo_session' or 'sqlalchemy_session'\? Known options: "
    )
    with pytest.raises(OptionError, match=message), bind(session=session):
        pass
    with pytest.raises(
        ConfigurationError,
        match=r"^Factory\.Meta\.get_or_create is not an option\. Did you mean "
        r"'sqlalchemy_get_or_create'\? Known options: ",
    ):

        class Factory(CompanyFactory):
            class Meta:
                get_or_create = ("name",)


async def test_option_without_a_name(session: AsyncSession) -> None:
    """What is given to bind without a name is told to take one."""
    with pytest.raises(OptionError) as caught:
        bind(session)
    assert str(caught.value) == (
        "bind() takes each option by its name, such as bind(sqlalchemy_session=session); got an "
        "object of type AsyncSession without one."
    )


async def test_a_value_that_is_no_option() -> None:
    """A value is not taken for an option that it could not be."""

    class Factory(AsyncFactory[dict[str, Any]]):
        class Meta:
            model = dict

    assert await Factory.build_async(session="evening") == {"session": "evening"}


async def test_a_field_that_looks_like_an_option() -> None:
    """A field of the model may be called nearly what an option is called."""

    class Model:
        def __init__(self, mongo_sessions: int) -> None:
            self.mongo_sessions = mongo_sessions

    class Factory(AsyncFactory[Model]):
        class Meta:
            model = Model

    assert (await Factory.build_async(mongo_sessions=3)).mongo_sessions == 3


async def fetch_name() -> str:
    await asyncio.sleep(0)
    return "ACME"


@pytest.mark.parametrize("strategy", ["build", "create"])
async def test_coroutine_in_place_of_a_declaration(session: AsyncSession, strategy: str) -> None:
    """A coroutine is awaited for the first object; the next one says which declaration it is."""

    class Factory(CompanyFactory):
        name = fetch_name()

    with bind(sqlalchemy_session=session):
        assert (await Factory.generate_async(strategy)).name == "ACME"
        with pytest.raises(ConfigurationError) as caught:
            await Factory.generate_async(strategy)
    assert str(caught.value) == (
        "Factory.name is a coroutine, which can be awaited only once, and has been for another "
        "object. Write factory.SubFactory(CompanyFactory) in place of CompanyFactory() or "
        "CompanyFactory.create_async(), and factory.LazyFunction(fetch_name) in place of "
        "fetch_name(); or await it before, for all objects to share what it returns."
    )
    await session.rollback()


async def test_coroutine_for_a_batch(session: AsyncSession) -> None:
    """So does a coroutine that all objects of a batch are given, while it is under way."""
    message = r"^UserFactory\.company is a coroutine, which can be awaited only once, and has been"
    with bind(sqlalchemy_session=session), pytest.raises(ConfigurationError, match=message):
        await UserFactory.create_batch_async(3, company=CompanyFactory.create_async())
    await session.rollback()


async def test_abstract_factory(session: AsyncSession) -> None:
    """An abstract factory creates nothing, and says what it lacks."""

    class Factory(AsyncSQLAlchemyModelFactory[Any]):
        pass

    with pytest.raises(
        AbstractFactoryError,
        match=r"^Cannot generate instances of abstract factory Factory; set Factory\.Meta\.model",
    ):
        await Factory.create_async(sqlalchemy_session=session)


async def test_get_or_create_without_find() -> None:
    """get_or_create with an adapter that cannot look objects up says what to implement."""

    class Adapter(PersistenceAdapter[Any]):
        get_or_create = ("name",)

        async def save(self, instance: Any) -> Any:
            return instance

    class Factory(AsyncFactory[Any]):
        class Meta:
            model = dict
            adapter = Adapter

        name = "x"

    with pytest.raises(AdapterError, match=r"^Adapter cannot look objects up.*implement find"):
        await Factory.create_async()


async def test_save_returns_nothing() -> None:
    """An adapter whose save() returns None is told to return the instance."""

    class Adapter(PersistenceAdapter[Any]):
        async def save(self, instance: Any) -> Any:
            return None

    class Factory(AsyncFactory[Any]):
        class Meta:
            model = dict
            adapter = Adapter

    with pytest.raises(AdapterError, match=r"^Adapter\.save\(\) returned None; it has to return"):
        await Factory.create_async()


def test_errors_are_of_factory_boy() -> None:
    """Every error of the library is a factory.FactoryError."""
    assert issubclass(AsyncFactoryError, factory.FactoryError)
