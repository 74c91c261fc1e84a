"""What factories do, whatever the store; what adapters promise is in test_conformance.py."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import factory
import pytest

from async_factory_boy import MultipleFoundError
from tests.greenlets import suspended_greenlets
from tests.stores.base import Store, params
from tests.stores.every import STORES

pytestmark = [
    pytest.mark.parametrize("store", params(STORES), indirect=True),
    pytest.mark.unmeasured,
]


async def test_awaiting_the_class(store: Store) -> None:
    """C8: ``await Factory(...)`` is ``await Factory.create_async(...)``."""
    company = await store.CompanyFactory(size=8)
    assert [row["key"] for row in await store.rows(store.CompanyFactory)] == [store.key(company)]


async def test_async_declarations(store: Store) -> None:
    """What an async declaration evaluates to is a value for the declarations that read it."""

    async def shout(company: Any) -> str:
        await asyncio.sleep(0)
        return f"{company.quiet}!"

    class Shouting(store.CompanyFactory):  # type: ignore[name-defined, misc]
        class Params:
            quiet = factory.Sequence(lambda n: f"quiet{n}")

        name = factory.LazyAttribute(shout)
        size = factory.LazyAttribute(lambda company: len(company.name))

    await Shouting.create_async()
    (company,) = await store.rows(store.CompanyFactory)
    assert (company["name"], company["size"]) == ("quiet0!", 7)


async def test_lost_race_in_a_transaction(store: Store) -> None:
    """get_or_create that loses a race leaves what its own transaction has stored."""
    if not store.concurrent or not store.survives_conflict:
        pytest.skip("the store has no transactions that go on after a race was lost")
    overtaken: Any = copy.copy(store.NamedCompanyFactory._meta.adapter_for_storing())
    find, overtaken_by = overtaken.find, list[Any]()

    async def find_and_be_overtaken(model: Any, lookup: Any) -> Any:
        found = await find(model, lookup)
        if not overtaken_by:
            async with store.another() as options:
                faster = await store.CompanyFactory.create_async(size=99, **lookup, **options)
            overtaken_by.append(faster)
        return found

    overtaken.find = find_and_be_overtaken

    class Racing(store.CompanyFactory):  # type: ignore[name-defined, misc]
        class Meta:
            adapter = overtaken

    before = await store.CompanyFactory.create_async(name="before")
    raced = await Racing.create_async(name="raced")
    assert store.get(raced, "size") == 99
    expected = {store.key(before): "before", store.key(raced): "raced"}
    await store.commit()
    companies = await store.rows(store.CompanyFactory)
    assert {row["key"]: row["name"] for row in companies} == expected


async def test_cancellation(store: Store) -> None:
    """A cancelled call leaves no suspended greenlet, and a store that can be used again."""
    entered = asyncio.Event()

    async def wait_forever() -> str:
        entered.set()
        await asyncio.Event().wait()
        return "never"

    unwound = []

    def waiting(company: Any) -> Any:
        try:
            return store.CompanyFactory.create(name=factory.LazyFunction(wait_forever))
        finally:
            unwound.append(True)

    call = asyncio.create_task(
        store.UserFactory.create_async(company=factory.LazyAttribute(waiting))
    )
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert unwound == [True]
    assert not suspended_greenlets()
    await store.rollback()
    await store.UserFactory.create_async()
    assert len(await store.rows(store.UserFactory)) == 1


async def test_error_in_a_hook(store: Store) -> None:
    """An exception of a hook reaches the caller with the user's own line in its traceback."""

    class Failing(store.CompanyFactory):  # type: ignore[name-defined, misc]
        @factory.post_generation
        async def fail(company: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            raise LookupError("of the user's own")

    with pytest.raises(LookupError, match="of the user's own") as caught:
        await Failing.create_async()
    assert caught.traceback[-1].name == "fail"
    assert not suspended_greenlets()


async def test_several_match(store: Store) -> None:
    """get_or_create by values that several have is an error; it names the factory, no values."""
    by_size: Any = copy.copy(store.NamedCompanyFactory._meta.adapter_for_storing())
    by_size.get_or_create = ("size",)

    class BySize(store.CompanyFactory):  # type: ignore[name-defined, misc]
        class Meta:
            adapter = by_size

        size = factory.Iterator([77, 78, 77])

    for _ in range(2):
        await store.CompanyFactory.create_async(size=77)
    for call in (BySize.create_async(size=77), BySize.create_batch_async(3)):
        with pytest.raises(MultipleFoundError) as caught:
            await call
        assert "by 'size', and several have these values" in str(caught.value)
        assert "77" not in str(caught.value)
        told = [str(caught.value), *getattr(caught.value, "__notes__", ())]
        assert any("raised while storing BySize" in text for text in told)
    assert [row["size"] for row in await store.rows(store.CompanyFactory)] == [77, 77]
