"""What `find`, `find_many`, `find_afresh` and `save_new` promise: what get_or_create rests on."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from async_factory_boy import MultipleFoundError
from async_factory_boy.testing._promise import promise
from async_factory_boy.testing._subject import Subject


class Finding:
    """Direct calls of the methods that look objects up, and store those that are not there."""

    @promise(
        "find() must return the stored object that has the values.",
        instead="Select by the values, within the caller's transaction.",
    )
    async def test_find_returns_the_object(self, subject: Subject) -> None:
        subject.needs_find()
        saved = [await subject.save(subject.parent, name=f"name{n}", size=n) for n in range(3)]
        for n, instance in enumerate(saved):
            found = await subject.find(subject.parent, name=f"name{n}")
            assert found is not None, f"it did not find name{n}, which is stored"
            _is_the_object(subject, found, instance)

    @promise(
        "find() must return None for an object that is not stored.",
        instead="Have it raise nothing, and return no other object.",
    )
    async def test_find_returns_none(self, subject: Subject) -> None:
        subject.needs_find()
        assert await subject.find(subject.parent, name="absent") is None
        await subject.save(subject.parent, name="present", size=1)
        assert await subject.find(subject.parent, name="absent") is None
        assert await subject.find(subject.parent, name="pres") is None

    @promise(
        "find() must find only what has all the values of the lookup.",
        instead="Compare every field of the lookup, joined by AND.",
    )
    async def test_find_compares_every_field(self, subject: Subject) -> None:
        subject.needs_find()
        for n in range(2):
            await subject.save(subject.parent, name=f"name{n}", size=n)
        assert await subject.find(subject.parent, name="name0", size=1) is None
        assert await subject.find(subject.parent, size=0, name="name1") is None
        found = await subject.find(subject.parent, name="name1", size=1)
        assert found is not None
        assert subject.get(found, "name") == "name1"

    @promise(
        "find() must raise MultipleFoundError when several objects have the values.",
        instead="Ask the store for two objects, and raise MultipleFoundError(model, lookup) if it "
        "has them.",
    )
    async def test_find_raises_for_several(self, subject: Subject) -> None:
        subject.needs_find()
        for name, size in (("one", 7), ("two", 7), ("three", 3)):
            await subject.save(subject.parent, name=name, size=size)
        with pytest.raises(MultipleFoundError):
            await subject.find(subject.parent, size=7)
        found = await subject.find(subject.parent, name="two", size=7)
        assert subject.get(found, "name") == "two"

    @promise(
        "find() must store nothing.",
        instead="Look up only; the core calls save_new() for what is not found.",
    )
    async def test_find_stores_nothing(self, subject: Subject) -> None:
        subject.needs_find()
        await subject.save(subject.parent, name="one", size=1)
        await subject.find(subject.parent, name="one")
        await subject.find(subject.parent, name="absent")
        await subject.find_many(subject.parent, {"name": "one"}, {"name": "other"})
        await subject.find_afresh(subject.parent, name="absent")
        assert await subject.names(subject.parent) == ["one"]

    @promise(
        "find_many() must give one answer for each lookup, in order, and None where there is none.",
        instead="Match the objects that the store returns to the lookups, or find one by one.",
    )
    async def test_find_many_answers_in_order(self, subject: Subject) -> None:
        subject.needs_find()
        names = ["d", "absent", "a", "c", "missing", "b"]
        saved = {
            name: await subject.save(subject.parent, name=name, size=1) for name in sorted("abcd")
        }
        found = await subject.find_many(subject.parent, *({"name": name} for name in names))
        assert len(found) == len(names)
        for name, instance in zip(names, found, strict=True):
            if name in saved:
                assert instance is not None, f"it did not find {name!r}, which is stored"
                _is_the_object(subject, instance, saved[name])
            else:
                assert instance is None, f"it found {instance!r} for {name!r}"

    @promise(
        "find_many() must find only what has all the values of a lookup.",
        instead="Compare every field of each lookup with the values of that same lookup.",
    )
    async def test_find_many_compares_every_field(self, subject: Subject) -> None:
        subject.needs_find()
        for n in range(3):
            await subject.save(subject.parent, name=f"name{n}", size=n)
        lookups = [{"name": "name0", "size": 1}, {"name": "name2", "size": 2}]
        crossed, found = await subject.find_many(subject.parent, *lookups)
        assert crossed is None, "it mixed the values of two lookups"
        assert subject.get(found, "name") == "name2"

    @promise(
        "find_many() must raise MultipleFoundError when several objects have the values of one "
        "lookup.",
        instead="Count the objects that match each lookup, or find one by one.",
    )
    async def test_find_many_raises_for_several(self, subject: Subject) -> None:
        subject.needs_find()
        for name, size in (("one", 7), ("two", 7), ("three", 3)):
            await subject.save(subject.parent, name=name, size=size)
        for sizes in ((7, 3), (3, 7), (8, 7)):
            with pytest.raises(MultipleFoundError):
                await subject.find_many(subject.parent, *({"size": size} for size in sizes))
        found, missing = await subject.find_many(subject.parent, {"size": 3}, {"size": 8})
        assert subject.get(found, "name") == "three"
        assert missing is None

    @promise(
        "find_afresh() must return the stored object that has the values, or None, as find() does.",
        instead="Leave it out, unless your store's transactions do not see what others commit.",
    )
    async def test_find_afresh_finds(self, subject: Subject) -> None:
        subject.needs_find()
        saved = await subject.save(subject.parent, name="one", size=1)
        found = await subject.find_afresh(subject.parent, name="one")
        assert found is not None
        _is_the_object(subject, found, saved)
        assert await subject.find_afresh(subject.parent, name="absent") is None

    @promise(
        "The methods that find and save_new() must be asynchronous.",
        instead="Write async def for find(), find_many(), find_afresh() and save_new().",
    )
    async def test_finding_is_async(self, subject: Subject) -> None:
        subject.needs_find()
        model = subject.parent._meta.model

        async def build() -> list[Any]:
            return [await subject.built(subject.parent, name="one", size=1)]

        async with subject.adapter(subject.parent) as adapter:
            for awaitable in (
                adapter.find(model, {"name": "one"}),
                adapter.find_many(model, [{"name": "one"}]),
                adapter.find_afresh(model, {"name": "one"}),
                adapter.save_new(build),
            ):
                assert inspect.isawaitable(awaitable)
                await awaitable

    @promise(
        "save_new() must store what `build` constructs, and return those objects in order.",
        instead="Call build() once, and pass on what save_many() returns.",
    )
    async def test_save_new_stores(self, subject: Subject) -> None:
        built: list[Any] = []

        async def build() -> list[Any]:
            assert not built, "it called build() more than once"
            for n in range(3):
                built.append(await subject.built(subject.parent, name=f"name{n}", size=n))
            return list(built)

        async with subject.adapter(subject.parent) as adapter:
            saved = await adapter.save_new(build)
        assert [id(one) for one in saved] == [id(one) for one in built]
        rows = await subject.rows(subject.parent)
        assert [rows[subject.key(one)]["name"] for one in saved] == ["name0", "name1", "name2"]
        assert len(rows) == 3

    @promise(
        "save_new() must raise one of `conflicts`, the database's own error, when a name is taken.",
        instead="Name the error of the driver or ORM in `conflicts`, and let it through.",
    )
    async def test_save_new_raises_a_conflict(self, subject: Subject) -> None:
        subject.needs_find()
        conflict = subject.conflict
        await subject.save(subject.parent, name="taken", size=1)
        with pytest.raises(conflict) as caught:
            await subject.save_new(subject.parent, {"name": "taken", "size": 2})
        adapter = subject.parent._meta.adapter_for_storing()
        assert isinstance(caught.value, adapter.conflicts), (
            f"{type(caught.value).__name__} is not in conflicts, which are {adapter.conflicts}"
        )
        await subject.rollback()

    @promise(
        "save_new() must store none of the objects when one of them is refused.",
        instead="Set a savepoint before calling build(), and roll back to it on an error.",
    )
    async def test_save_new_stores_all_or_none(self, subject: Subject) -> None:
        subject.needs_find()
        subject.needs_transactions()
        subject.needs_to_survive_a_conflict()
        conflict = subject.conflict
        await subject.save(subject.parent, name="taken", size=1)
        with pytest.raises(conflict):
            await subject.save_new(
                subject.parent, *({"name": name, "size": 2} for name in ("free", "taken"))
            )
        assert await subject.names(subject.parent) == ["taken"]

    @promise(
        "save_new() must leave all that was done before in the caller's transaction as it was, "
        "when an object is refused.",
        instead="Roll back to a savepoint, never the transaction of the caller.",
    )
    async def test_save_new_keeps_what_was_there(self, subject: Subject) -> None:
        subject.needs_find()
        subject.needs_to_survive_a_conflict()
        conflict = subject.conflict
        earlier = await subject.save(subject.parent, name="earlier", size=1)
        child = await subject.save(subject.child, name="child", **{subject.relation: earlier})
        with pytest.raises(conflict):
            await subject.save_new(subject.parent, {"name": "earlier", "size": 2})
        assert await subject.names(subject.parent) == ["earlier"]
        assert await subject.names(subject.child) == ["child"]
        assert subject.get(earlier, "size") == 1
        assert subject.key(child) in await subject.rows(subject.child)
        await subject.save(subject.parent, name="later", size=3)
        assert await subject.names(subject.parent) == ["earlier", "later"]

    @promise(
        "save_new() must commit nothing.",
        instead="Release the savepoint, and leave the transaction around it open.",
    )
    async def test_save_new_does_not_commit(self, subject: Subject) -> None:
        subject.needs_transactions()
        await subject.save_new(subject.parent, {"name": "one", "size": 1})
        await subject.rollback()
        assert await subject.names(subject.parent) == []

    @promise(
        "find_afresh() must find what somebody else has committed since find() was asked, after "
        "save_new() raised a conflict over it.",
        instead="Look it up in a way that sees what is committed now: a locking read, for example.",
    )
    async def test_find_afresh_sees_who_was_faster(self, subject: Subject) -> None:
        subject.needs_find()
        subject.needs_to_survive_a_conflict()
        conflict = subject.conflict
        raced: Mapping[str, Any] = {"name": "raced", "size": 1}
        assert await subject.find(subject.parent, name="raced") is None
        async with subject.another() as options:
            await subject.parent.create_async(name="raced", size=99, **options)
        with pytest.raises(conflict):
            await subject.save_new(subject.parent, raced)
        winner = await subject.find_afresh(subject.parent, name="raced")
        assert winner is not None, "it did not find the object that was in the way"
        assert subject.get(winner, "size") == 99


def _is_the_object(subject: Subject, found: Any, saved: Any) -> None:
    for name in (subject.key_name, "name", "size"):
        assert subject.get(found, name) == subject.get(saved, name)
