"""Call-time options: bind, scopes, and what adapters declare."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Generator
from typing import Any

import pytest

from async_factory_boy import ConfigurationError, bind, options
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.adapters.registry import by_name
from async_factory_boy.factory import AsyncFactory
from async_factory_boy.options import CallOption


class NotingAdapter(PersistenceAdapter[Any]):
    """Returns what its option was when it was asked to store."""

    noting_place: CallOption[str] = CallOption()

    async def save(self, instance: Any) -> Any:
        await asyncio.sleep(0)
        return self.noting_place or "nowhere"


class Factory(AsyncFactory[Any]):
    class Meta:
        model = dict
        adapter = NotingAdapter


async def test_precedence() -> None:
    """A call's keyword beats the innermost bind, which beats the outer one."""
    assert await Factory.create_async() == "nowhere"
    with bind(noting_place="outer"):
        assert await Factory.create_async() == "outer"
        with bind(noting_place="inner"):
            assert await Factory.create_async() == "inner"
            assert await Factory.create_async(noting_place="call") == "call"
            assert await Factory.create_async(noting_place=None) == "inner"
        with bind(noting_place=None):
            assert await Factory.create_async() == "nowhere"
        assert await Factory.create_async() == "outer"
    assert await Factory.create_async() == "nowhere"


async def test_bind_is_undone_by_an_error() -> None:
    """What was bound is forgotten when the block ends by an exception."""
    with pytest.raises(LookupError), bind(noting_place="lost"):
        raise LookupError
    assert await Factory.create_async() == "nowhere"


async def test_tasks_do_not_see_each_other() -> None:
    """A task sees what was bound when it was started, not what others bind."""

    async def task(place: str) -> Any:
        with bind(noting_place=place):
            await asyncio.sleep(0)
            return await Factory.create_async()

    with bind(noting_place="outer"):
        inherited = asyncio.create_task(Factory.create_async())
    assert await asyncio.gather(task("one"), task("two"), inherited) == ["one", "two", "outer"]


@pytest.fixture
def bound() -> Generator[None]:
    with bind(noting_place="fixture"):
        yield


@pytest.mark.usefixtures("bound")
async def test_bind_in_a_fixture() -> None:
    """What a sync fixture binds is seen by the async test."""
    assert await Factory.create_async() == "fixture"


def test_options_of_two_adapters_clash() -> None:
    """Two adapters cannot declare one option; the error names the other one."""
    with pytest.raises(
        ConfigurationError,
        match=r"noting_place is an option of tests\.test_options\.NotingAdapter already; "
        "give yours another name, prefixed with the name of its store",
    ):

        class Other(PersistenceAdapter[Any]):
            noting_place: CallOption[str] = CallOption()

            async def save(self, instance: Any) -> Any:
                return instance


def test_options_are_read_on_instances() -> None:
    """On the adapter's class, an option is its declaration."""
    assert NotingAdapter.noting_place.name == "noting_place"


def test_built_in_options_are_known_before_their_adapters() -> None:
    """The function bind takes the options of the built-in adapters, whichever is imported."""
    with bind(**dict.fromkeys(["beanie_session", "tortoise_using_db", "mongo_session"])):
        assert options.in_force()["beanie_session"] is None


def test_built_in_options_are_in_the_signature_of_bind() -> None:
    """Type checkers and editors know the options of the adapters in this distribution."""
    parameters = inspect.signature(bind).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    declared = {
        name
        for adapter in ("sqlalchemy", "tortoise", "beanie", "mongo", "databases")
        for name, _ in inspect.getmembers(by_name(adapter), lambda one: isinstance(one, CallOption))
    }
    assert named == declared | {"progress"}
