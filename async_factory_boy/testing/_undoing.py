"""What `undo` promises: what lint() rests on."""

from __future__ import annotations

from factory.declarations import Iterator

from async_factory_boy.testing._promise import promise
from async_factory_boy.testing._subject import Subject


class Undoing:
    """Calls of factories whose objects are undone, as lint() has it."""

    @promise(
        "undo() must undo all that was stored inside of it, and be of use again then.",
        instead="Set a savepoint, or begin a transaction, and roll that back at the end; if it "
        "began one, have it return the option with it.",
    )
    async def test_undo(self, subject: Subject) -> None:
        for _ in range(2):
            async with subject.undoing(subject.child):
                await subject.child.create_async()
                await subject.child.create_batch_async(2)
            for one in (subject.parent, subject.child):
                assert await subject.names(one) == []

    @promise(
        "undo() must leave alone what was stored before.",
        instead="Roll back to a savepoint of its own, not the transaction of the caller.",
    )
    async def test_undo_keeps_what_was_before(self, subject: Subject) -> None:
        parent = await subject.parent.create_async()
        await subject.child.create_async(name="before", **{subject.relation: parent})
        async with subject.undoing(subject.child):
            await subject.child.create_async(name="inside")
        assert await subject.names(subject.child) == ["before"]
        assert len(await subject.rows(subject.parent)) == 1
        await subject.child.create_async(name="after", **{subject.relation: parent})
        assert await subject.names(subject.child) == ["after", "before"]

    @promise(
        "undo() must commit nothing.",
        instead="Begin a transaction only where the caller has begun none, and commit none.",
    )
    async def test_undo_commits_nothing(self, subject: Subject) -> None:
        subject.needs_transactions()
        await subject.parent.create_async(name="before")
        async with subject.undoing(subject.parent):
            await subject.parent.create_async(name="inside")
        await subject.rollback()
        assert await subject.names(subject.parent) == []

    @promise(
        "undo() must undo what was stored before an error, and let that pass.",
        instead="Roll back in a finally block, and return nothing from __aexit__.",
    )
    async def test_undo_after_an_error(self, subject: Subject) -> None:
        await subject.parent.create_async(name="before")
        passed = False
        try:
            async with subject.undoing(subject.parent):
                await subject.parent.create_async(name="inside")
                raise LookupError("of the user's own")
        except LookupError:
            passed = True
        assert passed, "the error did not pass"
        assert await subject.names(subject.parent) == ["before"]

    @promise(
        "undo() must leave a store that can be used, also if it has refused something.",
        instead="Roll back to the savepoint whatever has happened inside.",
    )
    async def test_undo_after_a_conflict(self, subject: Subject) -> None:
        await subject.parent.create_async(name="before")
        conflict = subject.conflict
        refused = False
        try:
            async with subject.undoing(subject.parent):
                await subject.parent.create_async(name="inside")
                await subject.parent.create_batch_async(2, name=Iterator(["new", "inside"]))
        except conflict:
            refused = True
        assert refused, "the conflict did not pass"
        assert await subject.names(subject.parent) == ["before"]
        await subject.parent.create_async(name="inside")
        assert await subject.names(subject.parent) == ["before", "inside"]
