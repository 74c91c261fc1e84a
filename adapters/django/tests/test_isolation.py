"""Tests of Django and pytest-django: in which transaction, thread and event loop a call works."""

from __future__ import annotations

import asyncio
import threading

import factory
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.test import TestCase, TransactionTestCase

from tests.shop.factories import CompanyFactory, UserFactory
from tests.shop.models import Company, User


class TestDjangoTestCase(TestCase):
    """An async test of Django's TestCase works in the transaction of that test."""

    async def test_first(self) -> None:
        await UserFactory.create_batch_async(2)
        assert await User.objects.acount() == 2

    async def test_second(self) -> None:
        await UserFactory.create_async()
        assert await User.objects.acount() == 1

    def test_from_synchronous_code(self) -> None:
        async_to_sync(UserFactory.create_async)()
        assert User.objects.count() == 1
        assert connection.in_atomic_block


class TestDjangoTransactionTestCase(TransactionTestCase):
    """An async test of Django's TransactionTestCase begins with empty tables."""

    async def test_first(self) -> None:
        await UserFactory.create_async()
        assert await User.objects.acount() == 1

    test_second = test_first


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", ["first", "second"])
async def test_transactional_db(time: str) -> None:
    """A test of pytest-django with transaction=True begins with empty tables."""
    await UserFactory.create_async()
    assert await User.objects.acount() == 1


@pytest.mark.django_db
def test_synchronous_test() -> None:
    """A synchronous test may call through async_to_sync(), in its own transaction."""
    users = async_to_sync(UserFactory.create_batch_async)(2)
    assert list(User.objects.order_by("pk")) == users


@pytest.mark.django_db(databases="__all__")
async def test_thread(rollback: None) -> None:
    """Everything is stored in the thread that the rest of Django's async ORM works in."""
    threads = []

    def note(**_: object) -> None:
        threads.append(threading.get_ident())

    post_save.connect(note, sender=Company)
    try:
        await CompanyFactory.create_async()
        await Company.objects.acreate(name="by hand", size=1)
        await CompanyFactory.create_batch_async(2)
    finally:
        post_save.disconnect(note, sender=Company)
    assert set(threads) == {await sync_to_async(threading.get_ident)()}
    assert threading.get_ident() not in threads


@pytest.mark.django_db(transaction=True)
async def test_transaction_of_the_caller() -> None:
    """What is stored within a transaction of the caller goes with it."""

    def begin() -> transaction.Atomic:
        atomic = transaction.atomic()
        atomic.__enter__()
        return atomic

    atomic = await sync_to_async(begin)()
    await UserFactory.create_batch_async(2)
    await UserFactory.create_async()
    await sync_to_async(transaction.set_rollback)(True)
    await sync_to_async(atomic.__exit__)(None, None, None)
    assert await User.objects.acount() == 0


@pytest.mark.django_db(databases="__all__")
async def test_cancellation(rollback: None) -> None:
    """A cancelled call leaves nothing that later ones stumble over."""
    waiting = asyncio.Event()

    async def wait() -> str:
        waiting.set()
        await asyncio.Event().wait()
        return "never"

    task = asyncio.create_task(UserFactory.create_async(name=factory.LazyFunction(wait)))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await UserFactory.create_async()
    assert await User.objects.acount() == 1
