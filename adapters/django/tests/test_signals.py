"""mute_signals."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import factory
import pytest
from async_factory_boy_django import mute_signals
from django.db.models.signals import post_save, pre_save

from tests.shop.factories import CompanyFactory, UserFactory
from tests.shop.models import Company, User

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def heard() -> Generator[list[str]]:
    """The names of the objects for which post_save was sent, and those of pre_save with a dash."""
    names: list[str] = []

    def before(instance: Any, **_: object) -> None:
        names.append(f"-{instance.name}")

    def after(instance: Any, **_: object) -> None:
        names.append(instance.name)

    for one in (CompanyFactory, UserFactory):
        one.reset_sequence(0, force=True)
    pre_save.connect(before, sender=User)
    post_save.connect(after)
    yield names
    pre_save.disconnect(before, sender=User)
    post_save.disconnect(after)


async def test_block(alias: str, heard: list[str], statements: list[str]) -> None:
    """In a block, a muted signal is sent to nobody, and does not slow a batch down."""
    with mute_signals(post_save):
        await CompanyFactory.create_async()
        await CompanyFactory.create_batch_async(2)
    assert heard == []
    assert len(statements) == 2
    await CompanyFactory.create_async(name="audible")
    assert heard == ["audible"]


@pytest.mark.parametrize("size", [1, 2])
async def test_only_those_that_are_named(alias: str, heard: list[str], size: int) -> None:
    """Other signals are sent as ever."""
    with mute_signals(post_save):
        await UserFactory.create_batch_async(size)
    assert heard == ["-user0", "-user1"][:size]


async def test_within_each_other(alias: str, heard: list[str]) -> None:
    """A block within another adds to it, and may name the same signal."""
    with mute_signals(post_save):
        with mute_signals(pre_save, post_save):
            await UserFactory.create_async()
        await CompanyFactory.create_async()
    assert heard == []


class RenamedFactory(CompanyFactory):
    @factory.post_generation
    async def rename(self: Any, create: bool, extracted: Any) -> None:
        self.name += "!"
        await self.asave()


@mute_signals(post_save)
class MutedFactory(RenamedFactory):
    pass


async def test_factory(alias: str, heard: list[str]) -> None:
    """A factory mutes a signal while it creates, for its hooks as well."""
    await MutedFactory.create_async()
    assert heard == []
    await RenamedFactory.create_async()
    assert heard == ["company1", "company1!"]


async def test_batch_of_a_factory(alias: str, heard: list[str], statements: list[str]) -> None:
    """Objects of a batch, created side by side, do not end each other's muting."""
    companies = await MutedFactory.create_batch_async(3)
    assert heard == []
    assert [one.name for one in companies] == ["company0!", "company1!", "company2!"]
    assert statements.count("INSERT INTO shop_company") == 1


async def test_subfactory(alias: str, heard: list[str]) -> None:
    """Of a graph, only what the muting factory creates is muted, with its hooks left aside."""

    class StaffFactory(UserFactory):
        company = factory.SubFactory(mute_signals(post_save)(type("M", (CompanyFactory,), {})))

    await StaffFactory.create_batch_async(2)
    assert heard == ["-user0", "user0", "-user1", "user1"]


async def test_function(alias: str, heard: list[str]) -> None:
    """A function is muted, async or not."""

    @mute_signals(post_save)
    async def create() -> Company:
        return await CompanyFactory.create_async()

    @mute_signals(post_save)
    def answer() -> int:
        post_save.send(Company, instance=Company(name="quiet"))
        return 42

    assert (await create()).pk is not None
    assert answer() == 42
    assert heard == []


async def test_other_tasks(alias: str, heard: list[str]) -> None:
    """Other tasks are not muted."""
    muted = asyncio.Event()
    done = asyncio.Event()

    async def other() -> None:
        await muted.wait()
        await CompanyFactory.create_async(name="audible")
        done.set()

    task = asyncio.create_task(other())
    with mute_signals(post_save):
        muted.set()
        await done.wait()
        await CompanyFactory.create_async()
    await task
    assert heard == ["audible"]


async def test_call(alias: str, heard: list[str]) -> None:
    """A call may name signals to mute, besides those that are muted around it."""
    with mute_signals(pre_save):
        await UserFactory.create_batch_async(2, django_muted_signals=[post_save])
        await UserFactory.create_async()
    assert heard == ["company2", "user2"]


async def test_nothing_is_left_behind(alias: str, heard: list[str]) -> None:
    """After an error the signals are as they were."""
    with pytest.raises(ZeroDivisionError), mute_signals(post_save):
        await CompanyFactory.create_async(size=factory.LazyFunction(lambda: 1 // 0))
    assert "send" not in vars(post_save)
    await CompanyFactory.create_async(name="audible")
    assert heard == ["audible"]


@pytest.mark.parametrize("method", ["send", "send_robust", "asend", "asend_robust"])
async def test_all_ways_to_send(heard: list[str], method: str) -> None:
    """However a signal is sent, it is muted."""

    async def send() -> None:
        result = getattr(post_save, method)(Company, instance=Company(name="one"))
        if asyncio.iscoroutine(result):
            result = await result
        assert type(result) is list

    with mute_signals(post_save):
        await send()
        assert heard == []
        with mute_signals(pre_save):
            pass
        await send()
    assert heard == []
    await send()
    assert heard == ["one"]


async def test_factory_boys_own(alias: str, heard: list[str]) -> None:
    """factory_boy's mute_signals works as a block, and on a factory."""
    with factory.django.mute_signals(post_save):
        await CompanyFactory.create_async()
        await CompanyFactory.create_batch_async(2)
    muted = factory.django.mute_signals(post_save)(type("M", (CompanyFactory,), {}))
    await muted.create_async()
    assert heard == []
    await CompanyFactory.create_async(name="audible")
    assert heard == ["audible"]
