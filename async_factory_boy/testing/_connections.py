"""What holds for transactions, tasks and event loops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from factory.declarations import Iterator, LazyFunction
from factory.helpers import post_generation

from async_factory_boy.testing._promise import promise
from async_factory_boy.testing._subject import Subject


class Connections:
    """Calls of factories that share a connection, or that must not."""

    @promise(
        "Nothing must be committed: the caller's rollback undoes all that calls have stored.",
        instead="Commit nowhere, unless an option of the adapter asks for it.",
    )
    async def test_rollback(self, subject: Subject) -> None:
        subject.needs_transactions()
        await subject.child.create_async()
        await subject.child.create_batch_async(2)
        await subject.rollback()
        for one in (subject.parent, subject.child):
            assert await subject.names(one) == []
        await subject.parent.create_async(name="one")
        assert await subject.names(subject.parent) == ["one"]

    @promise(
        "Nothing must be committed by get_or_create.",
        instead="Have save_new() release its savepoint, and leave the transaction around it open.",
    )
    async def test_rollback_of_get_or_create(self, subject: Subject) -> None:
        subject.needs_transactions()
        named = subject.get_or_create("name")
        await named.create_async(name="one")
        await named.create_batch_async(2, name=Iterator(["one", "two"]))
        await subject.rollback()
        assert await subject.names(subject.parent) == []

    @promise(
        "An adapter that was told to commit must have done so when the call returns.",
        instead="Commit at the end of save(), save_many() and save_new(), unless `commits_later`; "
        "and in commit().",
    )
    async def test_commits_when_told_to(self, subject: Subject) -> None:
        subject.needs_transactions()
        await subject.committing.create_async(name="one")
        await subject.rollback()
        assert await subject.names(subject.parent) == ["one"]
        await subject.committing.create_batch_async(2, name=Iterator(["three", "two"]))
        await subject.rollback()
        assert await subject.names(subject.parent) == ["one", "three", "two"]

    @promise(
        "An adapter that was told to commit must commit a batch at its end, and nothing of one "
        "that fails.",
        instead="Commit nothing while `commits_later` is true; commit() is called at the end.",
    )
    async def test_commits_all_or_nothing(self, subject: Subject) -> None:
        subject.needs_transactions()

        def fail(parent: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            if subject.get(parent, "name") == "last":
                raise LookupError("of the user's own")

        one_by_one = type("Meta", (), {"batch_size": 1})
        failing = subject.extended(subject.committing, Meta=one_by_one, fail=post_generation(fail))
        with pytest.raises(LookupError, match="of the user's own"):
            await failing.create_batch_async(3, name=Iterator(["first", "second", "last"]))
        await subject.rollback()
        assert await subject.names(subject.parent) == []

    @promise(
        "The option that a call is given must win over the one that is bound.",
        instead="Store through the value that the CallOption has now, and through no other.",
    )
    async def test_option_of_the_call_wins(self, subject: Subject) -> None:
        subject.needs_transactions()
        async with subject.another() as options:
            await subject.child.create_async(name="theirs", **options)
        await subject.rollback()
        assert await subject.names(subject.child) == ["theirs"]
        assert len(await subject.rows(subject.parent)) == 1

    @promise(
        "Two tasks must each store where their own options say.",
        instead="Keep no option on the adapter or its class: read the CallOption when it is used.",
    )
    async def test_two_tasks(self, subject: Subject) -> None:
        subject.needs_transactions()
        entered, mine_is_done = asyncio.Event(), asyncio.Event()

        async def once_mine_is_done() -> str:
            entered.set()
            await mine_is_done.wait()
            return "theirs"

        async def create_theirs() -> Any:
            async with subject.another() as options:
                # Not a child: what is asked of the adapter after the wait is to store, no more.
                return await subject.parent.create_async(
                    name=LazyFunction(once_mine_is_done), **options
                )

        # Theirs begins first. Mine is undone before theirs is stored, since not every store lets
        # two transactions write at once.
        theirs = asyncio.create_task(create_theirs())
        try:
            await _reached(entered, theirs)
            await subject.parent.create_async(name="mine")
            await subject.rollback()
        finally:
            mine_is_done.set()
            await theirs
        await subject.rollback()
        assert await subject.names(subject.parent) == ["theirs"]

    @promise(
        "Many tasks must be able to use one connection at once.",
        instead="If only one task at a time may use it, return it from connection_key().",
    )
    async def test_gather(self, subject: Subject) -> None:
        children = await asyncio.gather(*(subject.child.create_async() for _ in range(20)))
        rows = await subject.rows(subject.child)
        assert rows.keys() == {subject.key(child) for child in children}
        assert len(rows) == len(await subject.rows(subject.parent)) == 20

    @promise(
        "Many tasks that get_or_create one object must end up with that object.",
        instead="Return the connection from connection_key(): a call keeps it from find() to "
        "save_new().",
    )
    async def test_gather_get_or_create(self, subject: Subject) -> None:
        named = subject.get_or_create("name")
        if not subject.transactional:
            subject.conflict  # noqa: B018 (skips: without either, two may be stored)
        found = await asyncio.gather(*(named.create_async(name="acme") for _ in range(10)))
        assert await subject.names(subject.parent) == ["acme"]
        assert len({subject.key(one) for one in found}) == 1

    @promise(
        "A cancelled call must leave a store that can be used.",
        instead="Release whatever a method took, when it is cancelled too.",
    )
    async def test_cancellation(self, subject: Subject) -> None:
        entered = asyncio.Event()

        async def wait_forever() -> str:
            entered.set()
            await asyncio.Event().wait()
            return "never"

        call = asyncio.create_task(subject.child.create_async(name=LazyFunction(wait_forever)))
        await _reached(entered, call)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await subject.rollback()
        child = await subject.child.create_async(name="one")
        assert list(await subject.rows(subject.child)) == [subject.key(child)]

    @promise(
        "connection_key() must be the same each time, and tell one connection from another.",
        instead="Return what the options in force have objects stored through: the connection.",
    )
    async def test_connection_key(self, subject: Subject) -> None:
        mine = subject.connection_key(subject.parent)
        assert {mine} == {subject.connection_key(subject.parent)}, "it is another each time"
        async with subject.another() as options:
            assert mine != subject.connection_key(subject.parent, **options)

    @pytest.mark.parametrize("loop", ["first", "second"])
    @promise(
        "The adapter must work in one event loop after another.",
        instead="Keep no lock, connection or task on the adapter, its class or its module.",
    )
    async def test_two_event_loops(self, subject: Subject, loop: str) -> None:
        await asyncio.gather(*(subject.child.create_async() for _ in range(3)))
        await subject.child.create_batch_async(2)
        assert len(await subject.rows(subject.child)) == 5


async def _reached(event: asyncio.Event, call: asyncio.Task[Any]) -> None:
    """Wait until `call` has set an event; raise its error if it ended before."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait({waiting, call}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if call.done():
        await call
