"""What holds when factories use the adapter: single calls, graphs, batches, get_or_create."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from factory.declarations import Iterator, LazyAttribute, RelatedFactoryList, Sequence, SubFactory
from factory.helpers import post_generation

from async_factory_boy import bind
from async_factory_boy.testing._promise import promise
from async_factory_boy.testing._subject import Factory, Subject


class Factories:
    """Calls of factories, on one connection."""

    @promise(
        "create_async() must store the object, and return it with its key.",
        instead="See the failures of save(), which it calls.",
    )
    async def test_create(self, subject: Subject) -> None:
        parent = await subject.parent.create_async(name="one", size=7)
        row = (await subject.rows(subject.parent))[subject.key(parent)]
        assert (row["name"], row["size"]) == ("one", 7)
        assert len(await subject.rows(subject.parent)) == 1

    @promise(
        "build_async(), build() and stub() must store nothing.",
        instead="Have build() construct only, without any I/O.",
    )
    async def test_build(self, subject: Subject) -> None:
        assert subject.get(await subject.parent.build_async(name="one"), "name") == "one"
        assert subject.get(subject.parent.build(name="two"), "name") == "two"
        assert subject.parent.stub(name="three").name == "three"
        await asyncio.sleep(0)  # if a task was started to store them, it begins
        assert await subject.names(subject.parent) == []

    @promise(
        "A SubFactory's object must be stored, and have its key, before the declarations that "
        "read it are evaluated.",
        instead="Have save() store the object and set its key before it returns.",
    )
    async def test_sub_factory(self, subject: Subject) -> None:
        def key_of_parent(child: Any) -> str:
            return f"of {subject.key(getattr(child, subject.relation))}"

        child = await subject.child.create_async(
            name=LazyAttribute(key_of_parent), **{f"{subject.relation}__name": "parent"}
        )
        ((key, parent),) = (await subject.rows(subject.parent)).items()
        row = (await subject.rows(subject.child))[subject.key(child)]
        assert parent["name"] == "parent"
        assert row["name"] == subject.get(child, "name") == f"of {key}"
        assert row[subject.relation] == key

    @promise(
        "An object given in place of a SubFactory must be used as it is, and not stored again.",
        instead="Store the instance that save() is given, and not those it refers to.",
    )
    async def test_sub_factory_with_an_object(self, subject: Subject) -> None:
        parent = await subject.parent.create_async()
        child = await subject.child.create_async(**{subject.relation: parent})
        row = (await subject.rows(subject.child))[subject.key(child)]
        assert row[subject.relation] == subject.key(parent)
        assert list(await subject.rows(subject.parent)) == [subject.key(parent)]

    @promise(
        "The objects of a RelatedFactoryList must be stored after the object they belong to, "
        "each once.",
        instead="Have save_many() store each child with the key of its parent.",
    )
    async def test_related_factory_list(self, subject: Subject) -> None:
        parent = await _with_children(subject).create_async(
            children__name=Iterator(["a", "b", "c"])
        )
        rows = await subject.rows(subject.child)
        assert {row[subject.relation] for row in rows.values()} == {subject.key(parent)}
        assert await subject.names(subject.child) == ["a", "b", "c"]
        assert len(await subject.rows(subject.parent)) == 1

    @promise(
        "A hook, sync or async, must be able to create further objects with the options of the "
        "call.",
        instead="Read the call-time options each time, and hold nothing from one method to the "
        "next.",
    )
    async def test_hooks(self, subject: Subject) -> None:
        def in_sync_hook(parent: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            subject.child.create_batch(2, **{subject.relation: parent})
            subject.child(**{subject.relation: parent})

        async def in_async_hook(parent: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await subject.child.create_batch_async(2, **{subject.relation: parent})
            await subject.child.create_async(**{subject.relation: parent})

        hooked = subject.extended(
            subject.parent,
            sync=post_generation(in_sync_hook),
            asynchronous=post_generation(in_async_hook),
        )
        parent = await hooked.create_async()
        rows = (await subject.rows(subject.child)).values()
        assert [row[subject.relation] for row in rows] == [subject.key(parent)] * 6

    @promise(
        "create_batch_async() must store as many objects, each with its own SubFactory, and "
        "return them in order.",
        instead="Have save_many() return the instances it was given, in order.",
    )
    async def test_batch(self, subject: Subject) -> None:
        names = [f"name{n}" for n in (2, 0, 3, 1)]
        children = await subject.child.create_batch_async(4, name=Iterator(names))
        assert [subject.get(child, "name") for child in children] == names
        rows = await subject.rows(subject.child)
        assert [rows[subject.key(child)]["name"] for child in children] == names
        parents = {row[subject.relation] for row in rows.values()}
        assert parents == (await subject.rows(subject.parent)).keys()
        assert len(parents) == 4
        assert await subject.child.create_batch_async(0) == []

    @promise(
        "A batch must store what a loop of create_async() would: the same objects, in the same "
        "relations.",
        instead="Have save_many() do for each instance what save() does.",
    )
    async def test_batch_is_a_loop(self, subject: Subject) -> None:
        async def loop(factory: Factory) -> list[Any]:
            return [await factory.create_async() for _ in range(5)]

        async def batch(factory: Factory) -> list[Any]:
            return await factory.create_batch_async(5)

        async def stored(prefix: str, create: Callable[[Factory], Any]) -> list[Any]:
            counted = Sequence(lambda n: f"{prefix}{n}")
            with_children = subject.extended(
                subject.parent,
                name=counted,
                size=Sequence(lambda n: n),
                children=RelatedFactoryList(
                    subject.extended(subject.child, name=counted), subject.relation, size=2
                ),
            )
            with_children.reset_sequence(0, force=True)
            subject.child.reset_sequence(0, force=True)
            parents = await create(with_children)
            rows = await subject.rows(subject.parent)
            children = (await subject.rows(subject.child)).values()
            return [
                (
                    rows[key]["name"].removeprefix(prefix),
                    rows[key]["size"],
                    sorted(
                        row["name"].removeprefix(prefix)
                        for row in children
                        if row[subject.relation] == key
                    ),
                )
                for key in map(subject.key, parents)
            ]

        assert await stored("batch", batch) == await stored("loop", loop)
        assert len(await subject.rows(subject.parent)) == 10
        assert len(await subject.rows(subject.child)) == 20

    @promise(
        "Objects of one model that are ready at the same time must be stored by one save_many(), "
        "of whichever factory they are.",
        instead="Return from ambient_options() and connection_key() what is equal each time, as "
        "long as the same holds.",
    )
    async def test_factories_share_a_statement(self, subject: Subject) -> None:
        base = subject.adapter_class(subject.child)
        stored: list[list[Any]] = []

        async def save_many(adapter: Any, instances: Any) -> Any:
            stored.append([subject.get(one, "name") for one in instances])
            return await base.save_many(adapter, instances)

        await _create_by_two(subject, subject.overriding(subject.child, save_many=save_many))
        assert [sorted(names) for names in stored] == [["a", "b", "c", "d"]]
        assert await subject.names(subject.child) == ["a", "b", "c", "d"]

    @promise(
        "refresh() must be left to the core, which calls it once for all objects of a call.",
        instead="Call it nowhere in the adapter.",
    )
    async def test_refresh_is_called_once(self, subject: Subject) -> None:
        base = subject.adapter_class(subject.child)
        refreshed: list[list[Any]] = []

        async def refresh(adapter: Any, instances: Any) -> None:
            refreshed.append([subject.get(one, "name") for one in instances])
            await base.refresh(adapter, instances)

        children = subject.overriding(subject.child, refresh=refresh)
        await _create_by_two(subject, children)
        expected = [["a", "b", "c", "d"]] if children._meta.adapter_for_storing().refreshes else []
        assert [sorted(names) for names in refreshed] == expected

    @promise(
        "What a call is given must hold for all that it creates, with nothing bound.",
        instead="Read each option from its CallOption when it is used, and keep none.",
    )
    async def test_options_of_a_call(self, subject: Subject) -> None:
        with bind(**dict.fromkeys(subject.options)):
            await subject.child.create_async(**subject.options)
            await _with_children(subject).create_batch_async(2, **subject.options)
        assert len(await subject.rows(subject.parent)) == 3
        assert len(await subject.rows(subject.child)) == 7

    @promise(
        "get_or_create must return the object that has the values, and store one where there is "
        "none.",
        instead="See the failures of find(), which it asks first.",
    )
    async def test_get_or_create(self, subject: Subject) -> None:
        named = subject.get_or_create("name")
        first = await named.create_async(name="acme", size=1)
        again = await named.create_async(name="acme", size=2)
        other = await named.create_async(name="other", size=3)
        assert subject.key(first) == subject.key(again) != subject.key(other)
        assert subject.get(again, "size") == 1
        rows = await subject.rows(subject.parent)
        assert {key: (row["name"], row["size"]) for key, row in rows.items()} == {
            subject.key(first): ("acme", 1),
            subject.key(other): ("other", 3),
        }

    @promise(
        "get_or_create in a batch must find what is there, and store each of the others once.",
        instead="Have find_many() answer each lookup, and save_new() store all that are missing.",
    )
    async def test_get_or_create_in_a_batch(self, subject: Subject) -> None:
        await subject.parent.create_async(name="there", size=99)
        names = ["new", "there", "newer", "new", "there"]
        companies = await subject.get_or_create("name").create_batch_async(5, name=Iterator(names))
        assert [subject.get(one, "name") for one in companies] == names
        assert [subject.get(one, "size") == 99 for one in companies] == [
            name == "there" for name in names
        ]
        rows = await subject.rows(subject.parent)
        assert [rows[subject.key(one)]["name"] for one in companies] == names
        assert len(rows) == 3

    @promise(
        "The parts of a batch that get_or_create looks up by the same values must be one object.",
        instead="Have find() and save_new() return objects that have their keys.",
    )
    async def test_get_or_create_of_a_part(self, subject: Subject) -> None:
        part = SubFactory(subject.get_or_create("name"), name="acme")
        for _ in range(2):
            await subject.child.create_batch_async(3, **{subject.relation: part})
        ((key, parent),) = (await subject.rows(subject.parent)).items()
        assert parent["name"] == "acme"
        rows = await subject.rows(subject.child)
        assert [row[subject.relation] for row in rows.values()] == [key] * 6

    @promise(
        "get_or_create must return the object of whoever was faster.",
        instead="Name the driver's error in `conflicts`, and have find_afresh() find what was in "
        "the way.",
    )
    async def test_lost_race(self, subject: Subject) -> None:
        subject.needs_to_survive_a_conflict()
        assert subject.conflict

        async def rival() -> None:
            async with subject.another() as options:
                await subject.parent.create_async(name="raced", size=99, **options)

        raced = await subject.overtaken(rival).create_async(name="raced", size=1)
        key = subject.key(raced)
        assert subject.get(raced, "size") == 99
        child = await subject.child.create_async(**{subject.relation: raced})
        rows = await subject.rows(subject.child)
        assert rows[subject.key(child)][subject.relation] == key
        await subject.rollback()
        rows = await subject.rows(subject.parent)
        assert {key: row["size"] for key, row in rows.items()} == {key: 99}

    @promise(
        "A conflict over another value than those of get_or_create must reach the caller as the "
        "database's own error, with all that was stored before intact.",
        instead="Have find_afresh() return None if there is nothing with the values looked up, "
        "and save_new() roll back to a savepoint.",
    )
    async def test_conflict_over_another_value(self, subject: Subject) -> None:
        by_size = subject.get_or_create("size")
        subject.needs_to_survive_a_conflict()
        conflict = subject.conflict
        child = await subject.child.create_async(
            **{f"{subject.relation}__name": "taken", f"{subject.relation}__size": 1}
        )
        with pytest.raises(conflict):
            await by_size.create_async(name="taken", size=2)
        assert await subject.names(subject.parent) == ["taken"]
        assert list(await subject.rows(subject.child)) == [subject.key(child)]
        await subject.parent.create_async(name="free")
        assert await subject.names(subject.parent) == ["free", "taken"]

    @promise(
        "A row that the database refuses must reach the caller as the database's own error, from "
        "a single call and from a batch.",
        instead="Catch nothing, and wrap nothing, in save() and save_many().",
    )
    async def test_conflict(self, subject: Subject) -> None:
        conflict = subject.conflict
        await subject.parent.create_async(name="taken")
        with pytest.raises(conflict):
            await subject.parent.create_async(name="taken")
        await subject.rollback()
        with pytest.raises(conflict):
            await subject.parent.create_batch_async(3, name="the same")
        await subject.rollback()

    @promise(
        "An error of the database must reach the caller as the very object that was raised, with "
        "a note that names the factory.",
        instead="Let the error through, as it is: raise no copy of it, and none a second time.",
    )
    async def test_errors_name_the_factory(self, subject: Subject) -> None:
        conflict = subject.conflict
        base = subject.adapter_class(subject.parent)
        raised: list[Exception] = []
        seen: list[Exception] = []

        async def save(adapter: Any, instance: Any) -> Any:
            try:
                return await base.save(adapter, instance)
            except Exception as error:
                raised.append(error)
                raise

        async def save_many(adapter: Any, instances: Any) -> Any:
            try:
                return await base.save_many(adapter, instances)
            except Exception as error:
                raised.append(error)
                raise

        one = subject.overriding(subject.parent, save=save, save_many=save_many)
        for size, factory in enumerate((one, subject.extended(one), subject.extended(one)), 1):
            factory.__name__ = f"Number{size}"
            await subject.parent.create_async(name=f"taken{size}")
            raised.clear()
            with pytest.raises(conflict) as caught:
                await factory.create_batch_async(size, name=f"taken{size}")
            error = caught.value
            assert all(one is error for one in raised)
            assert all(one is not error for one in seen), "it was raised a second time"
            seen.append(error)
            hidden = _same_again(error)
            assert hidden is None, f"it was raised in place of {hidden!r}, of the same class"
            if sys.version_info >= (3, 11):
                notes = [note for note in error.__notes__ if "raised while storing" in note]
                assert len(notes) == 1, error.__notes__
                assert factory.__name__ in notes[0]
            await subject.rollback()

    @promise(
        "An error in a hook must reach the caller, and leave a store that can be used.",
        instead="Release whatever a method took, after an error too.",
    )
    async def test_error_in_a_hook(self, subject: Subject) -> None:
        async def fail(parent: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            raise LookupError("of the user's own")

        failing = subject.extended(subject.parent, fail=post_generation(fail))
        with pytest.raises(LookupError, match="of the user's own"):
            await failing.create_async(name="failed")
        with pytest.raises(LookupError, match="of the user's own"):
            await failing.create_batch_async(2)
        await subject.rollback()
        await subject.parent.create_async(name="one")
        assert "one" in await subject.names(subject.parent)

    @promise(
        "What the caller opened must stay open.",
        instead="Close only what the adapter itself has opened.",
    )
    async def test_nothing_is_closed(self, subject: Subject) -> None:
        await subject.child.create_async()
        await subject.child.create_batch_async(2)
        await _with_children(subject).create_async()
        assert len(await subject.rows(subject.parent)) == 4


def _with_children(subject: Subject) -> Factory:
    """Return a factory of parents with three children each."""
    return subject.extended(
        subject.parent,
        children=RelatedFactoryList(subject.child, subject.relation, size=3),
    )


async def _create_by_two(subject: Subject, children: Factory) -> None:
    """Create a batch of four parents, each with a child of one of two factories."""
    factories = [children, subject.extended(children)]

    def create_child(parent: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        name = subject.get(parent, "name")
        factories["abcd".index(name) % 2].create(name=name, **{subject.relation: parent})

    parents = subject.extended(subject.parent, child=post_generation(create_child))
    await parents.create_batch_async(4, name=Iterator("abcd"))


def _same_again(error: BaseException) -> BaseException | None:
    """Return what an error was raised in place of, if that is one of the very same class."""
    before = error.__cause__ or error.__context__
    while before is not None and type(before) is not type(error):
        before = before.__cause__ or before.__context__
    return before
