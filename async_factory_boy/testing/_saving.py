"""What `save` and `save_many` promise."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from factory.declarations import Iterator

from async_factory_boy.testing._promise import promise
from async_factory_boy.testing._subject import Subject


class Saving:
    """Direct calls of the methods that store."""

    @promise(
        "save() must be asynchronous.",
        instead="Write async def save(self, instance).",
    )
    async def test_save_is_async(self, subject: Subject) -> None:
        instance = await subject.built(subject.parent, name="one", size=1)
        async with subject.adapter(subject.parent) as adapter:
            awaitable = adapter.save(instance)
            assert inspect.isawaitable(awaitable)
            await awaitable

    @promise(
        "save() must have stored the object by the time it returns.",
        instead="Await the call of the driver inside of save(), and start no task there.",
    )
    async def test_save_stores(self, subject: Subject) -> None:
        await subject.save(subject.parent, name="one", size=1)
        assert await subject.names(subject.parent) == ["one"]

    @promise(
        "save() must store the object once, and nothing else.",
        instead="Insert one row for each call of save().",
    )
    async def test_save_stores_once(self, subject: Subject) -> None:
        parent = await subject.save(subject.parent, name="one", size=1)
        assert await subject.names(subject.parent) == ["one"]
        assert await subject.names(subject.child) == []
        await subject.save(subject.child, name="child", **{subject.relation: parent})
        assert await subject.names(subject.parent) == ["one"]
        assert await subject.names(subject.child) == ["child"]

    @promise(
        "save() must return the very object that it was given.",
        instead="Set what the store filled in on the instance, and return that instance.",
    )
    async def test_save_returns_the_instance(self, subject: Subject) -> None:
        instance = await subject.built(subject.parent, name="one", size=1)
        async with subject.adapter(subject.parent) as adapter:
            saved = await adapter.save(instance)
        assert saved is instance, f"it returned {saved!r}, which is not {instance!r}"

    @promise(
        "save() must set the key under which the object is stored.",
        instead="Ask the store for the key (lastrowid, RETURNING), and set it on the instance.",
    )
    async def test_save_sets_the_key(self, subject: Subject) -> None:
        saved = [await subject.save(subject.parent, name=f"name{n}", size=n) for n in range(3)]
        for instance in saved:
            assert subject.key(instance) is not None, f"{subject.key_name} is None on {instance!r}"
        rows = await subject.rows(subject.parent)
        assert [rows[subject.key(one)]["name"] for one in saved] == ["name0", "name1", "name2"]

    @promise(
        "primary_key() must return the key that an object is stored under.",
        instead="Return the names of the attributes that hold it, each with its value.",
    )
    async def test_primary_key(self, subject: Subject) -> None:
        subject.needs_primary_key()
        saved = [await subject.save(subject.parent, name=f"name{n}", size=n) for n in range(2)]
        async with subject.adapter(subject.parent) as adapter:
            keys = [adapter.primary_key(instance) for instance in saved]
        assert keys == [{subject.key_name: subject.key(instance)} for instance in saved]

    @promise(
        "save() must store the values that the object has, and leave them as they are.",
        instead="Copy what you need to change for the store, and change the copy.",
    )
    async def test_save_keeps_the_values(self, subject: Subject) -> None:
        saved = await subject.save(subject.parent, name="one", size=17)
        row = (await subject.rows(subject.parent))[subject.key(saved)]
        assert (row["name"], row["size"]) == ("one", 17)
        assert (subject.get(saved, "name"), subject.get(saved, "size")) == ("one", 17)

    @promise(
        "save() must store an object under the key that the caller has given it.",
        instead="Ask the store for a key only where the instance has none.",
    )
    async def test_save_keeps_a_given_key(self, subject: Subject) -> None:
        keys = [subject.new_key() for _ in range(2)]
        saved = await subject.save(subject.parent, name="saved", size=1, **_keyed(subject, keys[0]))
        created = await subject.parent.create_async(name="created", **_keyed(subject, keys[1]))
        assert [subject.key(saved), subject.key(created)] == keys
        rows = await subject.rows(subject.parent)
        assert [rows[key]["name"] for key in keys] == ["saved", "created"]

    @promise(
        "save() must store which object a child belongs to.",
        instead="Store the key of the parent, which is stored before its children are.",
    )
    async def test_save_stores_the_relation(self, subject: Subject) -> None:
        await subject.save(subject.parent, name="other", size=1)
        parent = await subject.save(subject.parent, name="parent", size=1)
        child = await subject.save(subject.child, name="child", **{subject.relation: parent})
        rows = await subject.rows(subject.child)
        assert rows[subject.key(child)][subject.relation] == subject.key(parent)

    @promise(
        "save() must let the database's own error through, as the driver or ORM raised it.",
        instead="Catch nothing in save(), and wrap nothing: the user knows the driver's errors.",
    )
    async def test_save_raises_what_the_database_raises(self, subject: Subject) -> None:
        conflict = subject.conflict
        await subject.save(subject.parent, name="taken", size=1)
        with pytest.raises(conflict):
            await subject.save(subject.parent, name="taken", size=2)
        await subject.rollback()

    @promise(
        "save_many() must have stored every object by the time it returns.",
        instead="Insert one row for each of the instances, and await that.",
    )
    async def test_save_many_stores_all(self, subject: Subject) -> None:
        names = [f"name{n:03}" for n in range(1000)]  # by default, no batch has more at once
        instances = await subject.parent.build_batch_async(1000, name=Iterator(names))
        async with subject.adapter(subject.parent) as adapter:
            await adapter.save_many(instances)
        assert await subject.names(subject.parent) == names

    @promise(
        "save_many() must return the very objects that it was given, all of them, in order.",
        instead="Return the sequence of instances, whatever order the store answers in.",
    )
    async def test_save_many_returns_the_instances(self, subject: Subject) -> None:
        instances = [await subject.built(subject.parent, name=f"n{n}", size=n) for n in range(4)]
        async with subject.adapter(subject.parent) as adapter:
            saved = await adapter.save_many(instances)
        assert [id(one) for one in saved] == [id(one) for one in instances], (
            f"it was given {instances!r}, and returned {saved!r}"
        )

    @promise(
        "save_many() must set on each object the key under which that object is stored.",
        instead="Match the keys that the store returns to the instances, or save one by one.",
    )
    async def test_save_many_sets_the_keys(self, subject: Subject) -> None:
        given = [{"name": f"name{n}", "size": n} for n in (3, 1, 2, 0)]
        saved = await subject.save_many(subject.parent, *given)
        for instance in saved:
            assert subject.key(instance) is not None, f"{subject.key_name} is None on {instance!r}"
        rows = await subject.rows(subject.parent)
        for instance, values in zip(saved, given, strict=True):
            row = rows[subject.key(instance)]
            assert {name: row[name] for name in values} == values
            assert {name: subject.get(instance, name) for name in values} == values

    @promise(
        "save_many() must store objects under the keys that the caller has given them, and the "
        "others among them under keys of their own.",
        instead="Insert the objects that have a key apart from those that have none, or save one "
        "by one.",
    )
    async def test_save_many_keeps_given_keys(self, subject: Subject) -> None:
        keys = [subject.new_key() for _ in range(5)]
        given = [None, keys[1], None, keys[0], None]
        saved = await subject.save_many(
            subject.parent,
            *(
                {"name": f"saved{n}", "size": n, **({} if key is None else _keyed(subject, key))}
                for n, key in enumerate(given)
            ),
        )
        created = await subject.parent.create_batch_async(
            3, name=Iterator(["a", "b", "c"]), **_keyed(subject, Iterator(keys[2:]))
        )
        assert [subject.key(one) for one in created] == keys[2:]
        for instance, key in zip(saved, given, strict=True):
            assert key is None or subject.key(instance) == key
        rows = await subject.rows(subject.parent)
        assert len(rows) == 8
        for instance in [*saved, *created]:
            assert rows[subject.key(instance)]["name"] == subject.get(instance, "name")

    @promise(
        "save_many() must store the objects in order: keys that ascend from one save() to the "
        "next must ascend within a batch.",
        instead="Insert the rows in the order of the instances.",
    )
    async def test_save_many_stores_in_order(self, subject: Subject) -> None:
        # So many, in case the keys are random: then they ascend by chance once in ten million.
        keys = [
            subject.key(await subject.save(subject.parent, name=f"name{n:02}", size=1))
            for n in range(11)
        ]
        if keys != sorted(keys):
            pytest.skip("the store makes keys in no order")
        given = ({"name": f"name{n}", "size": 1} for n in range(11, 22))
        keys += [subject.key(one) for one in await subject.save_many(subject.parent, *given)]
        assert keys == sorted(keys)

    @promise(
        "save_many() must store which object each child belongs to.",
        instead="Store the key of each child's own parent.",
    )
    async def test_save_many_stores_the_relations(self, subject: Subject) -> None:
        parents = [await subject.save(subject.parent, name=f"p{n}", size=n) for n in range(3)]
        children = await subject.save_many(
            subject.child,
            *({"name": f"c{n}", subject.relation: parents[n]} for n in (2, 0, 1, 0)),
        )
        rows = await subject.rows(subject.child)
        belong_to = [rows[subject.key(child)][subject.relation] for child in children]
        assert belong_to == [subject.key(parents[n]) for n in (2, 0, 1, 0)]

    @promise(
        "save_many() must let the database's own error through, as the driver or ORM raised it.",
        instead="Catch nothing in save_many(), and do not have the store ignore conflicts.",
    )
    async def test_save_many_raises_what_the_database_raises(self, subject: Subject) -> None:
        conflict = subject.conflict
        await subject.save(subject.parent, name="taken", size=1)
        with pytest.raises(conflict):
            await subject.save_many(
                subject.parent, *({"name": name, "size": 2} for name in ("free", "taken", "other"))
            )
        await subject.rollback()

    @promise(
        "save() and save_many() must commit nothing.",
        instead="Leave the commit to whoever began the transaction.",
    )
    async def test_saving_does_not_commit(self, subject: Subject) -> None:
        subject.needs_transactions()
        await subject.save(subject.parent, name="one", size=1)
        await subject.save_many(
            subject.parent, {"name": "two", "size": 2}, {"name": "three", "size": 3}
        )
        await subject.rollback()
        assert await subject.names(subject.parent) == []


def _keyed(subject: Subject, key: Any) -> dict[str, Any]:
    return {subject.key_name: key}
